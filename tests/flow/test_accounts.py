"""Accounts: what a parent limits and pays for, last days, senders, pools and send windows."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from twisted.internet.defer import Deferred

from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.operate.routing import tried
from smsgw.provisioning import Account, Credential, Number
from smsgw.provisioning.accounts import Pool
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.smpp.constants import Status
from smsgw.store import ledger, schema
from tests.flow.journey import (
    DESTINATION,
    HOUR_MS,
    NOW_MS,
    SOURCE,
    JourneyCase,
    a_message,
    provisioned,
)

PRICE = 100  # ten-thousandths: the route's 0.0100
NEW_YORK = "12125550123"


class AccountsCase(JourneyCase):
    def provide(self, *accounts: Account, **fields: Any) -> None:
        """As ``smsgw apply`` does; ``fields`` are acme's, ``accounts`` are others beside it."""
        journey = self.journey
        acme = Account(**{"name": "acme", "number": [Number(SOURCE)], **fields})
        provisioning = provisioned()
        provisioning.accounts = {one.name: one for one in (acme, *accounts)}
        provisioning.routes["uk"].prefixes = ["44", "1"]
        for account in provisioning.accounts.values():
            journey.result(
                journey.journal.run(
                    lambda c, one=account: ledger.provisioned(
                        c, one, journey.now_ms, journey.identities.allot
                    )
                )
            )
        journey.result(Deferred.fromCoroutine(journey.balances.load(journey.journal)))
        journey.provision(provisioning)

    def submit(self, account: str = "acme", **fields: Any) -> Message | Refusal:
        """The outcome of one message."""
        [outcome] = self.journey.accept(a_message(**fields), account=account)
        return outcome

    def reason(self, account: str = "acme", **fields: Any) -> Reason:
        """Why a message is refused."""
        outcome = self.submit(account, **fields)
        assert isinstance(outcome, Refusal), outcome
        return outcome.reason

    def taken(self, account: str = "acme", **fields: Any) -> Message:
        """A message that is accepted."""
        outcome = self.submit(account, **fields)
        assert isinstance(outcome, Message), outcome
        return outcome


class TreeTests(AccountsCase):
    def test_a_suspended_parent_suspends_all_below(self) -> None:
        """To the third level; the others go on."""
        self.provide(
            Account("child", parent="acme"),
            Account("grandchild", parent="child"),
            Account("other"),
            suspended=True,
        )
        for name in ("acme", "child", "grandchild"):
            assert self.reason(name) is Reason.ACCOUNT_INACTIVE
        self.taken("other")

    def test_a_prepaid_parent_pays(self) -> None:
        """The ledger's rows are the payer's; their message tells who sent it."""
        self.provide(Account("child", parent="acme"), balance="0.0200")
        message = self.taken("child")
        rows = [schema.LedgerRow(*row) for row in self.journey.rows(schema.ledger)]
        [charge] = [row for row in rows if row.reason == money.Entry.CHARGE]
        assert (charge.account, charge.amount, charge.message) == ("acme", -PRICE, message.id)
        stored = self.journey.stored(message)
        assert (stored.account, stored.payer) == ("child", "acme")
        assert self.journey.balances.of("acme") == PRICE
        self.taken()
        assert self.reason("child") is Reason.NO_CREDIT
        assert self.reason() is Reason.NO_CREDIT

    def test_a_prepaid_child_pays_for_itself(self) -> None:
        """Whatever its parent has."""
        self.provide(Account("child", parent="acme", balance="0.0100"), balance="5.00")
        assert self.taken("child").payer == ""
        assert self.reason("child") is Reason.NO_CREDIT
        assert self.journey.balances.of("acme") == 50_000

    def test_a_refund_goes_to_who_paid(self) -> None:
        """By the policy of the sender's account, also after a restart."""
        self.provide(Account("child", parent="acme"), balance="0.0100", refund=[])
        message = self.taken("child")
        self.journey.restart()
        for name in ("north", "south"):
            link = self.journey.link(name)
            link.answer(Status.ESME_RINVDSTADR)
            link.lose()
        assert MessageState(self.journey.stored(message).state).final
        assert self.journey.balances.of("acme") == PRICE
        balances = self.journey.result(self.journey.journal.run(ledger.balances))
        assert (balances["acme"], balances.get("child", 0)) == (PRICE, 0)

    def test_the_rate_of_a_parent_is_one_for_all_below_it(self) -> None:
        """What one of them may not send uses nothing up of the others' rates."""
        self.provide(
            Account("child", parent="acme", rate=2),
            Account("other", parent="acme", rate=1),
            rate=3,
        )
        self.taken("child")
        self.taken("child")
        assert self.reason("child") is Reason.THROTTLED
        self.taken("other")
        assert self.reason() is Reason.THROTTLED
        self.journey.clock.advance(1)
        for _ in range(3):
            self.taken()
        assert self.reason("other") is Reason.THROTTLED
        self.journey.clock.advance(0.4)
        self.taken("other")


class ExpiryTests(AccountsCase):
    def test_after_its_last_day_an_account_sends_nothing(self) -> None:
        """The day ends in the account's own time zone: in New York at 05:00 UTC."""
        self.provide(expires="2027-01-15", time_zone="America/New_York")
        self.journey.clock.advance(21 * 3600 - 1)
        self.taken()
        self.journey.clock.advance(1)
        assert self.reason() is Reason.ACCOUNT_EXPIRED
        assert self.journey.acceptance.refused == {Reason.ACCOUNT_EXPIRED: 1}

    def test_the_last_day_of_a_parent_ends_all_below(self) -> None:
        """Whatever they have themselves."""
        self.provide(Account("child", parent="acme", expires="2028-01-01"), expires="2027-01-14")
        assert self.reason("child") is Reason.ACCOUNT_EXPIRED


class SenderTests(AccountsCase):
    def test_a_message_without_a_source_has_the_default_one(self) -> None:
        """Which need not be listed to be allowed; another one stays as it is."""
        self.provide(sender="ACME", senders=["447700900555"])
        assert self.taken(source="", source_ton=0).source == "ACME"
        message = self.taken(source="447700900555", source_ton=1)
        assert (message.source, message.source_ton) == ("447700900555", 1)
        self.provide(sender="447700900555")
        message = self.taken(source="", source_ton=5)
        assert (message.source, message.source_ton, message.source_npi) == ("447700900555", 1, 1)

    def test_without_a_default_a_source_is_needed(self) -> None:
        """The reason is that of a bad one."""
        assert self.reason(source="") is Reason.BAD_SOURCE

    def test_the_name_of_a_pool_stands_for_one_of_its_senders(self) -> None:
        """The same for each recipient always, in whatever form the recipient is written."""
        senders = ["447700900001", "447700900002", "ACME"]
        self.provide(pool=[Pool("shared", senders)], senders=["OTHER"], sender="shared")
        chosen = {
            n: self.taken(source="shared", destination=f"44770090{n:04d}").source for n in range(30)
        }
        assert set(chosen.values()) == set(senders)
        for n, sender in chosen.items():
            again = self.taken(source="shared", source_ton=5, destination=f"0770090{n:04d}")
            assert again.source == sender
            assert again.source_ton == (5 if sender == "ACME" else 1)
            assert self.taken(source="", destination=f"44770090{n:04d}").source == sender
        assert self.taken(source="ACME").source == "ACME"
        assert self.reason(source="SHARED") is Reason.SOURCE_NOT_PROVISIONED

    def test_a_login_with_numbers_sends_from_these_only(self) -> None:
        """A pool's name stands for its senders; other logins may use all of the account's."""
        allowed = ["447700900001", "shared"]
        self.provide(
            pool=[Pool("shared", ["447700900002"])],
            credential=[
                Credential("smpp", "one", numbers=list(allowed)),
                Credential("http", "one"),
            ],
        )

        def outcome(kind: str, **fields: Any) -> Message | Refusal:
            login = Login("acme", "one", kind=kind)
            messages = [a_message(**fields)]
            [found] = self.journey.result(self.journey.acceptance.accept(login, messages))
            return found  # type: ignore[no-any-return]

        assert isinstance(outcome("smpp", source="447700900001"), Message)
        assert isinstance(outcome("smpp", source="shared"), Message)
        refusal = outcome("smpp", source="447700900002")
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.SOURCE_NOT_PROVISIONED
        assert isinstance(outcome("http", source="447700900002"), Message)
        # What counts is the source that it becomes, not how it was written.
        refusal = outcome("smpp", source="447700900001", source_ton=2)
        assert isinstance(refusal, Refusal)
        assert refusal.reason is Reason.SOURCE_NOT_PROVISIONED


class ValidityTests(AccountsCase):
    def test_the_validity_of_an_account_is_for_messages_without_one(self) -> None:
        """In minutes; a message's own holds."""
        self.provide(validity=90)
        assert self.taken().expires_at == NOW_MS + 90 * 60_000
        assert self.taken(validity_ms=HOUR_MS).expires_at == NOW_MS + HOUR_MS


class SendWindowTests(AccountsCase):
    """It is 08:00 in London and 03:00 in New York."""

    def test_outside_the_hours_a_message_waits_until_they_begin(self) -> None:
        """Its validity counts from there; the carrier gets it then and not before."""
        self.provide(send_hours={"1": "08:00-20:00"}, validity=60)
        message = self.taken(destination=NEW_YORK)
        opens = NOW_MS + 5 * HOUR_MS
        assert message.schedule_at == opens
        assert message.expires_at == opens + HOUR_MS
        assert [row.due for row in self.journey.entries()] == [opens]
        taker = self.journey.taker()
        assert taker.taken == []
        self.journey.clock.advance(5 * 3600)
        assert [entry.message.id for entry in taker.taken] == [message.id]
        self.journey.queues.unsubscribe("carrier:north", taker)

    def test_inside_the_hours_it_goes_at_once(self) -> None:
        """As do messages to where there are no hours."""
        self.provide(send_hours={"1": "03:00-20:00"})
        assert self.taken(destination=NEW_YORK).schedule_at == 0
        assert self.taken().schedule_at == 0

    def test_what_is_scheduled_into_closed_hours_moves_to_the_next_ones(self) -> None:
        """What is scheduled into open ones stays."""
        self.provide(send_hours={"": "09:00-10:00"})
        local = datetime(2027, 1, 16, 9, 30, tzinfo=ZoneInfo("America/New_York"))
        asked = int(local.timestamp()) * 1000
        assert self.taken(destination=NEW_YORK, schedule_at=asked).schedule_at == asked
        late = self.taken(destination=NEW_YORK, schedule_at=asked + HOUR_MS)
        assert late.schedule_at == asked + 24 * HOUR_MS - HOUR_MS // 2

    def test_an_answer_to_an_opt_out_does_not_wait(self) -> None:
        """Who wrote just now is awake."""
        self.provide(send_hours={"": "09:00-10:00"})
        assert self.taken(exempt=True).schedule_at == 0

    def test_a_try_tells_when_it_goes_out(self) -> None:
        """``smsgw route test``; 0 if at once."""
        self.provide(send_hours={"1": "08:00-20:00"})
        journey = self.journey
        for destination, expected in ((NEW_YORK, NOW_MS + 5 * HOUR_MS), (DESTINATION, 0)):
            message = a_message(destination=destination)
            view = tried(journey.acceptance, journey.tables, "acme", message, None)
            assert view.error == ""
            assert view.deferred_until == expected
