"""Money: charged with the message, refused when it is spent, given back by policy; it adds up."""

from typing import Any

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from smsgw.message import Message, MessageState
from smsgw.provisioning import Account, Number, Provisioning
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.money import Entry
from smsgw.smpp.constants import Status
from smsgw.store import ledger, schema
from smsgw.store.journal import Changes, StoreFailed
from tests.flow.journey import (
    HOUR_MS,
    NOW_MS,
    SOURCE,
    Journey,
    JourneyCase,
    a_message,
    provisioned,
)

PRICE = 100  # ten-thousandths: the route's 0.0100


def prepaid(balance: str | None, **fields: Any) -> Provisioning:
    """The tests' provisioning with an account that has so much."""
    provisioning = provisioned()
    account = Account(name="acme", number=[Number(SOURCE)], balance=balance, **fields)
    provisioning.accounts["acme"] = account
    return provisioning


def put_in_force(journey: Journey, provisioning: Provisioning) -> None:
    """As ``smsgw apply`` does: the store opens the balance, then the tables are exchanged."""
    allot = journey.identities.allot
    for account in provisioning.accounts.values():
        journey.result(
            journey.journal.run(
                lambda c, one=account: ledger.provisioned(c, one, journey.now_ms, allot)
            )
        )
    journey.result(Deferred.fromCoroutine(journey.balances.load(journey.journal)))
    journey.provision(provisioning)


def entries(journey: Journey) -> list[tuple[Entry, int, int | None]]:
    """Reason, amount and message of all entries of the ledger."""
    rows = sorted(schema.LedgerRow(*row) for row in journey.rows(schema.ledger))
    return [(Entry(row.reason), row.amount, row.message) for row in rows]


def stored_balance(journey: Journey, account: str = "acme") -> int:
    """What the store says that the account has."""
    balances = journey.result(journey.journal.run(ledger.balances))
    return int(balances.get(account, 0))


class MoneyCase(JourneyCase):
    def provide(self, balance: str | None = "0.0300", **fields: Any) -> None:
        put_in_force(self.journey, prepaid(balance, **fields))

    def reason(self, **fields: Any) -> Reason:
        """Why a message is refused."""
        [outcome] = self.journey.accept(a_message(**fields))
        assert isinstance(outcome, Refusal)
        return outcome.reason

    def adds_up(self, expected: int) -> None:
        """I8: in the ledger, in the balance and in memory is the same."""
        assert sum(amount for _, amount, _ in entries(self.journey)) == expected
        assert stored_balance(self.journey) == expected
        assert self.journey.balances.of("acme") == expected


class ChargeTests(MoneyCase):
    def test_each_part_is_charged_with_the_message(self) -> None:
        """One entry for the message, of its parts times the price, in its transaction."""
        self.provide()
        message = self.journey.accepted(parts=[b"x" * 200])
        assert entries(self.journey)[1:] == [(Entry.CHARGE, -2 * PRICE, message.id)]
        assert self.journey.stored(message).charged == PRICE
        self.adds_up(PRICE)

    def test_what_is_spent_is_refused_and_nothing_is_stored(self) -> None:
        """To the last ten-thousandth, and also within one batch."""
        self.provide("0.0299")
        outcomes = self.journey.accept(a_message(), a_message(), a_message())
        assert [isinstance(one, Message) for one in outcomes] == [True, True, False]
        assert isinstance(outcomes[2], Refusal)
        assert outcomes[2].reason is Reason.NO_CREDIT
        assert len(self.journey.rows(schema.message)) == 2
        self.adds_up(99)

    def test_a_message_that_is_too_dear_leaves_the_rest_to_others(self) -> None:
        """Two parts are too many, one is not."""
        self.provide("0.0100")
        assert self.reason(parts=[b"x" * 200]) is Reason.NO_CREDIT
        assert self.journey.accepted().charged == PRICE
        self.adds_up(0)

    def test_a_credit_limit_lets_the_balance_fall_below_nothing(self) -> None:
        """By as much as it says."""
        self.provide("0.0100", credit_limit="0.0150")
        self.journey.accepted()
        self.journey.accepted()
        assert self.reason() is Reason.NO_CREDIT
        self.adds_up(-PRICE)

    def test_a_postpaid_account_is_charged_without_a_check(self) -> None:
        """What it owes is below 0."""
        self.provide(None)
        self.journey.accepted()
        assert [reason for reason, _, _ in entries(self.journey)] == [Entry.CHARGE]
        self.adds_up(-PRICE)

    def test_what_costs_nothing_is_not_in_the_ledger(self) -> None:
        """A route without a price writes no row."""
        provisioning = prepaid("0")
        provisioning.routes["uk"].price = "0"
        put_in_force(self.journey, provisioning)
        assert self.journey.accepted().charged == 0
        assert entries(self.journey) == [(Entry.OPENING, 0, None)]

    def test_of_two_submits_that_race_for_the_last_credit_one_wins(self) -> None:
        """The second is decided before the first is stored."""
        self.provide("0.0100")
        journey = self.journey
        journey.journal.waiting = True
        first = journey.acceptance.accept(journey.login(), [a_message()])
        second = journey.acceptance.accept(journey.login(), [a_message()])
        [refusal] = self.successResultOf(second)
        assert refusal.reason is Reason.NO_CREDIT
        journey.journal.release()
        [accepted] = self.successResultOf(first)
        assert isinstance(accepted, Message)
        self.adds_up(0)

    def test_a_charge_that_is_not_stored_is_undone(self) -> None:
        """The credit is there for the next message."""
        self.provide("0.0100")
        self.journey.journal.broken = "disk full"
        assert self.reason() is Reason.STORE_FAILED
        self.journey.journal.broken = ""
        self.adds_up(PRICE)
        self.journey.accepted()
        self.adds_up(0)

    def test_a_message_over_the_rate_costs_nothing(self) -> None:
        """What is throttled is not charged."""
        self.provide("1.00", rate=1)
        self.journey.accepted()
        assert self.reason() is Reason.THROTTLED
        self.adds_up(10_000 - PRICE)

    def test_tables_put_in_force_keep_what_waits_for_the_store(self) -> None:
        """A charge that waits for the store is not forgotten when balances are read again."""
        self.provide("0.0100")
        journey = self.journey
        journey.journal.waiting = True
        done = journey.acceptance.accept(journey.login(), [a_message()])
        loaded = Deferred.fromCoroutine(journey.balances.load(journey.journal))
        assert journey.balances.of("acme") == 0
        journey.journal.release()
        self.successResultOf(done)
        self.successResultOf(loaded)
        self.adds_up(0)


class OpeningTests(MoneyCase):
    def test_a_balance_is_opened_once(self) -> None:
        """Applying again, with the same or another balance, changes nothing."""
        self.provide("5.00")
        self.journey.accepted()
        self.provide("7.00")
        self.adds_up(50_000 - PRICE)

    def test_a_postpaid_account_is_opened_when_it_becomes_prepaid(self) -> None:
        """What it owes counts."""
        self.provide(None)
        self.journey.accepted()
        self.provide("1.00")
        self.adds_up(10_000 - PRICE)


class RefundTests(MoneyCase):
    def refuse(self, message: Message, status: int = Status.ESME_RINVDSTADR) -> None:
        """Both carriers refuse all parts for good."""
        for name in ("north", "south"):
            link = self.journey.link(name)
            link.answer(status)
            link.lose()
        assert MessageState(message.state).final

    def test_what_carriers_refuse_is_given_back(self) -> None:
        """By default, in the transaction of the state."""
        self.provide()
        message = self.journey.accepted(parts=[b"x" * 200])
        self.refuse(message)
        assert entries(self.journey)[-1] == (Entry.REFUND, 2 * PRICE, message.id)
        self.adds_up(3 * PRICE)

    def test_what_is_not_in_the_policy_is_not_given_back(self) -> None:
        """An empty policy gives nothing back."""
        self.provide(refund=[])
        self.refuse(self.journey.accepted())
        self.adds_up(2 * PRICE)

    def test_what_ran_out_of_time_is_given_back_if_so_agreed(self) -> None:
        """Of ``expired`` only."""
        for refund, expected in ((["refused"], 2 * PRICE), (["expired"], 2 * PRICE)):
            self.provide(refund=refund)
            self.journey.accepted(validity_ms=HOUR_MS)
            self.journey.expiry.start()
            self.journey.clock.advance(3601 * 1.0)
            self.journey.clock.advance(10)
            self.journey.expiry.stop()
            self.adds_up(expected)

    def test_what_was_not_delivered_is_given_back_if_so_agreed(self) -> None:
        """Once, whatever the carrier says afterwards."""
        self.provide(refund=["undelivered"])
        message = self.journey.sent(registered_delivery=1)
        self.adds_up(2 * PRICE)
        for _ in range(2):
            self.journey.receive("a0", MessageState.UNDELIVERABLE)
        assert entries(self.journey)[-1] == (Entry.REFUND, PRICE, message.id)
        self.adds_up(3 * PRICE)

    def test_what_was_delivered_is_not_given_back(self) -> None:
        """Whatever the policy is."""
        self.provide(refund=["refused", "expired", "undelivered"])
        self.journey.sent(registered_delivery=1)
        self.journey.receive("a0")
        self.adds_up(2 * PRICE)

    def test_a_receipt_that_is_not_stored_refunds_nothing_yet(self) -> None:
        """It comes again, and then it does, once."""
        self.provide(refund=["undelivered"])
        self.journey.sent(registered_delivery=1)
        self.journey.journal.broken = "disk full"
        assert not self.journey.receive("a0", MessageState.UNDELIVERABLE)
        self.journey.journal.broken = ""
        self.adds_up(2 * PRICE)
        assert self.journey.receive("a0", MessageState.UNDELIVERABLE)
        self.adds_up(3 * PRICE)

    def test_only_the_parts_that_came_to_nothing_are_given_back(self) -> None:
        """Of a message of two parts the one that was not delivered."""
        self.provide(refund=["undelivered"])
        self.journey.sent(parts=[b"x" * 200], registered_delivery=1)
        self.journey.receive("a0.0")
        self.journey.receive("a0.1", MessageState.UNDELIVERABLE)
        self.adds_up(2 * PRICE)

    def test_a_message_that_ends_twice_is_given_back_once(self) -> None:
        """The second end changes nothing of the money."""
        self.provide(refund=["expired", "refused"])
        message = self.journey.accepted()
        for state in (MessageState.EXPIRED, MessageState.UNDELIVERABLE):
            transaction = Transaction()
            self.journey.settlement.close(message, state, transaction, NOW_MS)
            transaction.settled += self.journey.taker().taken
            self.journey.result(self.journey.settlement.persist(transaction))
        self.adds_up(3 * PRICE)

    def test_a_message_of_before_prices_counted_is_not_refunded(self) -> None:
        """What was never charged is never given back."""
        self.provide()
        message = self.journey.accepted()
        message.charged = 0
        self.refuse(message)
        self.adds_up(2 * PRICE)


class MoneyMachine(RuleBasedStateMachine):
    """Accepts, refusals, refunds, top-ups, a store that fails, and crashes, in any order."""

    test: Any

    @initialize(
        balance=st.sampled_from(["0.0500", "0.1999", "1.0000"]),
        limit=st.sampled_from(["0", "0.0200"]),
        refund=st.sets(st.sampled_from(["refused", "expired", "undelivered"])),
    )
    def begin(self, balance: str, limit: str, refund: set[str]) -> None:
        self.journey: Any = Journey(self.test)
        self.limit = ledger.amount(limit)
        fields: dict[str, Any] = {"credit_limit": limit, "refund": sorted(refund)}
        put_in_force(self.journey, prepaid(balance, **fields))
        self.journey.expiry.start()
        self.counter = 0
        self.names: list[str] = []

    @rule(sizes=st.lists(st.sampled_from([5, 5, 200, 400]), min_size=1, max_size=4))
    def submit(self, sizes: list[int]) -> None:
        messages = [
            a_message(parts=[b"x" * size], registered_delivery=1, validity_ms=HOUR_MS)
            for size in sizes
        ]
        self.journey.acceptance.accept(self.journey.login(), messages)

    @rule(amount=st.sampled_from([1, PRICE, 450]))
    def top_up(self, amount: int) -> None:
        row = (self.journey.identities.allot(), "acme", NOW_MS, amount, Entry.TOP_UP, None, "")
        entry = schema.LedgerRow(*row)
        changes = Changes(ledger=[entry])
        balances = self.journey.balances
        done = self.journal.commit(changes)
        done.addCallbacks(lambda _: balances.credit(changes), lambda why: why.trap(StoreFailed))

    @property
    def journal(self) -> Any:
        return self.journey.journal

    @rule(name=st.sampled_from(["north", "south"]), refused=st.sampled_from([True, False, None]))
    def answer(self, name: str, refused: bool | None) -> None:
        if refused is None:
            self.submit([5, 200])
        link = self.journey.link(name)
        names = [f"{name}-{self.counter + n}" for n in range(len(link.submitted))]
        self.counter += len(names)
        self.names += [] if refused else names
        link.answer(Status.ESME_RINVDSTADR if refused else 0, names=names)
        link.lose()

    @rule(
        state=st.sampled_from(
            [MessageState.DELIVERED, MessageState.UNDELIVERABLE, MessageState.EXPIRED]
        ),
        data=st.data(),
    )
    def receipt(self, state: MessageState, data: st.DataObject) -> None:
        if self.names and not self.journal.waiting:
            name = data.draw(st.sampled_from(self.names))
            self.journey.receive(name, state, carrier=name.partition("-")[0])

    @rule(seconds=st.sampled_from([2.0, 2.0, 4_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)

    @rule(how=st.sampled_from(["works", "works", "works", "fails", "is slow"]))
    def store(self, how: str) -> None:
        if how == "is slow":
            self.journal.waiting = True
        elif how == "fails":
            self.journal.broken = "disk full"
        else:
            self.store_works()

    def store_works(self) -> None:
        """It has done all that waited."""
        self.journal.broken = ""
        self.journal.release()
        self.journey.clock.advance(1.01)

    @rule()
    def crash(self) -> None:
        """A new process: what was not stored never happened."""
        for call in list(self.journey.clock.getDelayedCalls()):
            call.cancel()
        self.journey.queues._timer = None
        self.journey.expiry._expiring = None
        self.journal.broken = ""
        self.journal.forget()
        self.journey.restart()
        self.journey.expiry.start()

    @invariant()
    def money_adds_up(self) -> None:
        if not hasattr(self, "journey"):
            return
        connection = self.journal.connection
        with connection.begin():
            rows = [schema.LedgerRow(*row) for row in connection.execute(select(schema.ledger))]
            stored = ledger.balances(connection)["acme"]
            accepted = list(connection.execute(select(schema.message)))
        assert sum(row.amount for row in rows) == stored
        # Nobody spends what is not there, and what is in memory is never more than the store has.
        assert stored >= -self.limit
        assert self.journey.balances.of("acme") >= -self.limit
        if not self.journal.waiting:
            assert self.journey.balances.of("acme") == stored
        charges = {row.message: -row.amount for row in rows if row.reason == Entry.CHARGE}
        assert charges == {row.id: row.parts * PRICE for row in accepted}
        refunds = [row for row in rows if row.reason == Entry.REFUND]
        assert len({row.message for row in refunds}) == len(refunds)
        assert all(0 < row.amount <= charges[row.message] for row in refunds)

    def teardown(self) -> None:
        if hasattr(self, "journey"):
            self.journal.release()
            self.store_works()
            self.money_adds_up()
            for call in list(self.journey.clock.getDelayedCalls()):
                call.cancel()


class MoneyMachineTests(SynchronousTestCase):
    def test_money_adds_up_whatever_happens(self) -> None:
        """I8."""
        MoneyMachine.test = self
        run = MoneyMachine.TestCase("runTest")
        run.settings = settings(
            max_examples=60,
            stateful_step_count=50,
            deadline=None,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
        )
        run.runTest()
