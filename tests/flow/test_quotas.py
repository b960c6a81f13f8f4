"""Quotas: counted with the message, in its transaction, by the account's own calendar."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import insert, select
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from smsgw.flow.quotas import KEPT_DAYS, Quotas
from smsgw.message import Message
from smsgw.provisioning import Account, Number, Provisioning
from smsgw.refusals import Reason, Refusal
from smsgw.store import schema
from tests.flow.journey import SOURCE, Journey, JourneyCase, a_message, provisioned
from tests.machines import run_machine

TODAY = 20270115  # UTC at the journey's begin, 08:00
LONG = [b"x" * 200]  # two parts
DAY_S = 24 * 3600.0


def with_accounts(*accounts: Account) -> Provisioning:
    """The tests' provisioning with these accounts instead."""
    provisioning = provisioned()
    provisioning.accounts = {one.name: one for one in accounts}
    return provisioning


class QuotaCase(JourneyCase):
    def provide(self, *below: Account, **fields: Any) -> None:
        acme = Account(name="acme", number=[Number(SOURCE)], **fields)
        self.journey.provision(with_accounts(acme, *below))

    def reason(self, account: str = "acme", **fields: Any) -> Reason:
        """Why a message is refused."""
        [outcome] = self.journey.accept(a_message(**fields), account=account)
        assert isinstance(outcome, Refusal), outcome
        return outcome.reason

    def usage(self) -> dict[tuple[str, int], int]:
        """What the store has counted."""
        return {(row.account, row.day): row.parts for row in self.journey.rows(schema.usage)}

    def used(self, account: str = "acme") -> tuple[int, int]:
        """Parts of today and of this month, as operators see it."""
        form = self.journey.tables.accounts[account]
        return self.journey.quotas.used(form, self.journey.clock.seconds())


class CountTests(QuotaCase):
    def test_parts_are_counted_with_the_message(self) -> None:
        """Of every account, whether it has a quota or not; several messages in one row."""
        self.journey.accept(a_message(), a_message(parts=list(LONG)))
        assert self.usage() == {("acme", TODAY): 3}
        assert self.used() == (3, 3)

    def test_what_is_refused_is_not_counted(self) -> None:
        """Neither a fault, nor what is kept as not sent, nor what is throttled."""
        self.provide(rate=1)
        self.journey.accept(a_message(destination="12"), a_message(destination="33123456789"))
        self.reason()
        assert self.usage() == {}
        assert self.used() == (0, 0)

    def test_a_day_is_one_of_the_accounts_own_calendar(self) -> None:
        """At 08:00 UTC it is already the 15th in London, and still the 14th in Honolulu."""
        self.provide(time_zone="Pacific/Honolulu")
        self.journey.accepted()
        assert self.usage() == {("acme", 20270114): 1}
        self.journey.clock.advance(2 * 3600)
        self.journey.accepted()
        assert self.usage() == {("acme", 20270114): 1, ("acme", 20270115): 1}
        assert self.used() == (1, 2)

    def test_a_restart_forgets_nothing(self) -> None:
        """Counts come from the store."""
        self.journey.accept(a_message(), a_message())
        self.journey.restart()
        assert self.used() == (2, 2)

    def test_what_is_not_stored_is_not_counted(self) -> None:
        """It is undone."""
        self.journey.journal.broken = "disk full"
        assert self.reason() is Reason.STORE_FAILED
        assert self.used() == (0, 0)
        self.journey.journal.broken = ""
        assert self.usage() == {}

    def test_counts_read_anew_keep_what_waits_for_the_store(self) -> None:
        """A message whose commit is under way is not forgotten at a reload."""
        journey = self.journey
        journey.journal.waiting = True
        done = journey.acceptance.accept(journey.login(), [a_message()])
        loading = journey.quotas.load(journey.journal, journey.clock.seconds())
        loaded = Deferred.fromCoroutine(loading)
        assert self.used() == (1, 1)
        journey.journal.release()
        self.successResultOf(done)
        self.successResultOf(loaded)
        assert self.used() == (1, 1)

    def test_usage_of_long_ago_is_removed(self) -> None:
        """After 400 days, when counts are read; what is younger is kept."""
        now = self.journey.clock.seconds()
        old, young = (
            int(datetime.fromtimestamp(now - days * DAY_S, ZoneInfo("UTC")).strftime("%Y%m%d"))
            for days in (KEPT_DAYS + 1, KEPT_DAYS - 1)
        )
        rows = [{"account": "acme", "day": day, "parts": 1} for day in (old, young)]
        self.journey.result(
            self.journey.journal.run(lambda c: c.execute(insert(schema.usage), rows) and None)
        )
        self.journey.restart()
        assert self.usage() == {("acme", young): 1}
        assert self.used() == (0, 0)

    def test_memory_holds_this_month_only(self) -> None:
        """Days that are over are forgotten when the next one begins."""
        for _ in range(70):
            self.journey.accepted(validity_ms=1000)
            self.journey.clock.advance(DAY_S)
        assert len(self.journey.quotas._used) < 70


class LimitTests(QuotaCase):
    def test_a_quota_of_a_day_is_used_to_the_last_part(self) -> None:
        """What is over the rest of it is refused whole, and what fits is taken."""
        self.provide(quota_day=3)
        self.journey.accepted(parts=list(LONG))
        assert self.reason(parts=list(LONG)) is Reason.QUOTA_EXCEEDED
        self.journey.accepted()
        assert self.reason() is Reason.QUOTA_EXCEEDED
        assert self.used() == (3, 3)

    def test_the_next_day_begins_anew(self) -> None:
        """At midnight in the account's own time zone: 16 hours after 08:00 UTC."""
        self.provide(quota_day=1)
        self.journey.accepted()
        self.journey.clock.advance(16 * 3600 - 1)
        assert self.reason() is Reason.QUOTA_EXCEEDED
        self.journey.clock.advance(1)
        self.journey.accepted()

    def test_a_quota_of_a_month_holds_for_all_its_days(self) -> None:
        """And begins anew with the next month."""
        self.provide(quota_month=2)
        self.journey.accepted()
        self.journey.clock.advance(DAY_S)
        self.journey.accepted()
        assert self.reason() is Reason.QUOTA_EXCEEDED
        self.journey.clock.advance(15 * DAY_S)
        assert self.reason() is Reason.QUOTA_EXCEEDED
        self.journey.clock.advance(DAY_S)
        self.journey.accepted()

    def test_a_quota_set_in_the_middle_counts_what_was_sent_before(self) -> None:
        """Every account is counted all the time."""
        self.journey.accept(a_message(), a_message())
        self.provide(quota_month=2)
        assert self.reason() is Reason.QUOTA_EXCEEDED

    def test_of_two_that_race_for_the_last_part_one_wins(self) -> None:
        """The second is decided before the first is stored."""
        self.provide(quota_day=1)
        journey = self.journey
        journey.journal.waiting = True
        first = journey.acceptance.accept(journey.login(), [a_message()])
        second = journey.acceptance.accept(journey.login(), [a_message()])
        [refusal] = self.successResultOf(second)
        assert refusal.reason is Reason.QUOTA_EXCEEDED
        journey.journal.release()
        self.successResultOf(first)

    def test_what_is_over_the_quota_costs_nothing(self) -> None:
        """It is neither charged nor counted against the rate."""
        self.provide(quota_day=1, rate=2)
        self.journey.accepted()
        self.reason()
        assert len(self.journey.rows(schema.ledger)) == 1
        self.provide(rate=2)
        self.journey.accepted()

    def test_a_try_counts_nothing(self) -> None:
        """``smsgw route test`` says that the quota is used up, and leaves it as it is."""
        self.provide(quota_day=1)
        account = self.journey.tables.accounts["acme"]
        for _ in range(3):
            assert isinstance(self.journey.acceptance.consider(account, a_message()), Message)
        self.journey.accepted()
        outcome = self.journey.acceptance.consider(account, a_message())
        assert isinstance(outcome, Refusal)
        assert outcome.reason is Reason.QUOTA_EXCEEDED
        assert outcome.detail == "1 parts a day"

    def test_a_quota_of_a_parent_is_one_for_all_below_it(self) -> None:
        """And each below it may have one of its own."""
        self.provide(
            Account("child", parent="acme", quota_day=2),
            Account("other", parent="acme"),
            quota_day=3,
        )
        for _ in range(2):
            self.journey.accept(a_message(), account="child")
        assert self.reason("child") is Reason.QUOTA_EXCEEDED
        self.journey.accept(a_message(), account="other")
        assert self.reason("other") is Reason.QUOTA_EXCEEDED
        assert self.reason() is Reason.QUOTA_EXCEEDED
        assert self.usage() == {
            ("acme", TODAY): 3,
            ("child", TODAY): 2,
            ("other", TODAY): 1,
        }


class QuotaMachine(RuleBasedStateMachine):
    """Accepts of a tree of accounts, a store that fails or is slow, and crashes, in any order."""

    test: Any

    @initialize(limits=st.tuples(*[st.sampled_from([0, 5, 12])] * 3))
    def begin(self, limits: tuple[int, int, int]) -> None:
        self.journey: Any = Journey(self.test)
        self.limits = dict(zip(("acme", "child", "grandchild"), limits, strict=True))
        zones = ("Pacific/Honolulu", "UTC", "Pacific/Auckland")
        self.journey.provision(
            with_accounts(
                Account("acme", quota_day=limits[0], time_zone=zones[0]),
                Account("child", parent="acme", quota_month=limits[1], time_zone=zones[1]),
                Account("grandchild", parent="child", quota_day=limits[2], time_zone=zones[2]),
            )
        )

    @property
    def journal(self) -> Any:
        return self.journey.journal

    @rule(
        account=st.sampled_from(["acme", "child", "grandchild"]),
        sizes=st.lists(st.sampled_from([5, 5, 200, 400]), min_size=1, max_size=4),
        bad=st.booleans(),
    )
    def submit(self, account: str, sizes: list[int], bad: bool) -> None:
        messages = [a_message(parts=[b"x" * size]) for size in sizes]
        if bad:
            messages.insert(1, a_message(destination="33123456789"))  # kept, and not counted
        self.journey.acceptance.accept(self.journey.login(account), messages)

    @rule(hours=st.sampled_from([1, 5, 11]))
    def time_passes(self, hours: int) -> None:
        self.journey.clock.advance(hours * 3600)

    @rule(how=st.sampled_from(["works", "works", "fails", "is slow"]))
    def store(self, how: str) -> None:
        if how == "is slow":
            self.journal.waiting = True
        elif how == "fails":
            self.journal.broken = "disk full"
        else:
            self.journal.broken = ""
            self.journal.release()

    @rule()
    def reload(self) -> None:
        now = self.journey.clock.seconds()
        loading = Deferred.fromCoroutine(self.journey.quotas.load(self.journal, now))
        loading.addErrback(lambda failure: None)

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

    @invariant()
    def what_is_counted_is_what_is_stored(self) -> None:
        if not hasattr(self, "journey"):
            return
        connection = self.journal.connection
        with connection.begin():
            usage = {
                (row.account, row.day): row.parts
                for row in connection.execute(select(schema.usage))
            }
            messages = list(connection.execute(select(schema.message)))
        tables = self.journey.tables
        expected: dict[tuple[str, int], int] = {}
        for row in messages:
            for one in tables.lineage[row.account] if row.parts else ():
                zone = ZoneInfo(one.time_zone)
                local = datetime.fromtimestamp(row.accepted_at / 1000, zone)
                key = one.name, int(local.strftime("%Y%m%d"))
                expected[key] = expected.get(key, 0) + row.parts
        assert usage == expected
        for (name, _), parts in usage.items():
            if self.limits[name] and name != "child":
                assert parts <= self.limits[name]
        if not self.journal.waiting:
            stored = Quotas()
            stored.take([(name, day, parts) for (name, day), parts in usage.items()])
            now = self.journey.clock.seconds()
            for one in tables.accounts.values():
                assert self.journey.quotas.used(one, now) == stored.used(one, now)

    def teardown(self) -> None:
        if hasattr(self, "journey"):
            self.journal.broken = ""
            self.journal.release()
            self.what_is_counted_is_what_is_stored()
            for call in list(self.journey.clock.getDelayedCalls()):
                call.cancel()


class QuotaMachineTests(SynchronousTestCase):
    def test_usage_is_what_was_stored_whatever_happens(self) -> None:
        """Per account and day, with the accounts below it; no quota is ever exceeded."""
        QuotaMachine.test = self
        run_machine(QuotaMachine)
