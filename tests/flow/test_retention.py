"""Retention: what ended long ago goes, with all that is its own; nothing else does."""

from itertools import pairwise
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from smsgw.flow import retention as flow_retention
from smsgw.flow.dead import DeadLetters, Which
from smsgw.flow.replay import Replays
from smsgw.flow.retention import DAY_MS, Retention
from smsgw.message import Message, MessageState
from smsgw.operate import statement
from smsgw.provisioning import Account, Number
from smsgw.store import batches, ledger, records, retention, schema
from smsgw.store.journal import Changes
from tests.flow.journey import NOW_MS, SOURCE, a_message, provisioned
from tests.flow.targets import URL, TargetCase

DAY_S = 86_400.0


class RetentionCase(TargetCase):
    """A journey whose messages are kept for 30 days."""

    def setUp(self) -> None:
        """The job, which is not started."""
        super().setUp()
        journey = self.journey
        self.letters = DeadLetters(
            journey.journal,
            journey.queues,
            journey.known,
            journey.settlement,
            journey.clock.seconds,
        )
        self.replays = Replays(
            journey.current,
            journey.queues,
            journey.settlement,
            journey.identities.allot,
            journey.clock.seconds,
        )
        self.job = self.retention()

    def retention(self, days: int = 30) -> Retention:
        """A job that stops with the test."""
        job = Retention(
            days,
            self.journey.journal,
            self.journey.known,
            lambda: self.letters.reopened + self.replays.reopened,
            self.journey.clock,
            self.journey.clock.seconds,
        )
        self.addCleanup(job.stop)
        return job

    def passes(self, job: Retention | None = None, steps: int = 200) -> None:
        """One pass of the job."""
        job = job or self.job
        job.start()
        for _ in range(steps):
            self.journey.clock.advance(0.1)
        job.stop()

    def days(self, count: float) -> None:
        """Days go by."""
        self.journey.clock.advance(count * DAY_S)

    def delivered(self, name: str = "a0", **fields: Any) -> int:
        """The id of a message that was delivered, held by nobody any more."""
        message = self.journey.sent(name, **fields)
        self.journey.receive(name)
        assert message.state == MessageState.DELIVERED
        return message.id

    def left(self) -> set[int]:
        """The ids of the messages in the store."""
        return {row.id for row in self.journey.rows(schema.message)}


class RemovedTests(RetentionCase):
    """What goes, and when."""

    def test_w_d30_what_ended_more_than_thirty_days_ago_goes(self) -> None:
        """W-D30: kept for 30 days, with its parts; not a day less."""
        self.delivered()
        self.days(29.9)
        young = self.delivered("b0")
        self.passes()
        assert self.job.removed == 0
        self.days(0.2)
        self.passes()
        assert self.left() == {young}
        assert {row.message for row in self.journey.rows(schema.part)} == {young}
        assert self.job.removed == 1

    def test_page_and_media_go_with_their_message(self) -> None:
        """A page without its message shows nothing, and no file is kept for one that is gone."""
        old = self.delivered()
        self.days(20)
        young = self.delivered("b0")
        until = NOW_MS + 1000 * DAY_MS
        changes = Changes(
            media=[(id, "00", 1, until) for id in (old, young)],
            links=[(f"token{id}", id, until) for id in (old, young)],
        )
        self.journey.result(self.journey.journal.commit(changes))
        self.days(11)
        self.passes()
        for table in (schema.media, schema.link):
            assert {row.message for row in self.journey.rows(table)} == {young}

    def test_zero_days_is_for_ever(self) -> None:
        """Nothing is looked for."""
        kept = self.delivered()
        self.days(1000)
        self.passes(self.retention(days=0))
        assert self.left() == {kept}

    def test_the_days_begin_with_the_end(self) -> None:
        """A message that waited for long is kept as long after it has ended as any other."""
        message = self.journey.sent("a0")
        self.days(25)
        self.journey.receive("a0")
        self.days(20)
        self.passes()
        assert self.left() == {message.id}
        id = message.id
        del message
        self.days(11)
        self.passes()
        assert id not in self.left()

    def test_what_has_not_ended_stays(self) -> None:
        """However old it is: it waits for a carrier, or for a receipt."""
        waiting = self.journey.accepted().id
        self.journey.queues.stop()
        self.days(400)
        self.passes()
        assert self.left() == {waiting}
        assert len(self.journey.entries()) == 1

    def test_what_ended_without_a_receipt_goes(self) -> None:
        """Ruling 18: UNKNOWN is its end."""
        self.journey.sent("a0", registered_delivery=1)
        self.journey.expiry.start()
        self.days(10)
        self.journey.clock.advance(10)
        self.journey.expiry.stop()
        [row] = self.journey.rows(schema.message)
        assert row.state == MessageState.UNKNOWN
        self.journey.respond(self.journey.session())  # the account has its receipt
        # What is matched with receipts is held until newer messages take its place.
        self.journey.awaited._recent.clear()
        self.days(31)
        self.passes()
        assert self.left() == set()

    def test_what_a_carrier_took_and_no_receipt_is_awaited_of_goes(self) -> None:
        """Its time is over when it is not valid any more, even if it was scheduled long ahead."""
        at = NOW_MS + 20 * DAY_MS
        plain = self.journey.sent("a0").id
        later = self.journey.accepted(schedule_at=at, validity_ms=DAY_MS).id
        self.journey.queues.stop()
        self.days(31.5)
        self.passes()
        assert self.left() == {plain, later}
        self.days(1)
        self.passes()
        assert self.left() == {later}

    def test_refused_messages_go(self) -> None:
        """Those that are kept because their transaction can be asked for."""
        self.journey.accept(a_message(destination="12025550123", interface="rest"))
        assert len(self.left()) == 1
        self.days(31)
        self.passes()
        assert self.left() == set()

    def test_i8_the_ledger_stays(self) -> None:
        """I8: the sum of the entries is the balance; a statement still shows what was charged."""
        provisioning = provisioned()
        provisioning.accounts["acme"] = Account("acme", balance="1", number=[Number(SOURCE)])
        self.journey.provision(provisioning)
        opening = schema.LedgerRow(1, "acme", NOW_MS, 10_000, 0, None, "")
        self.journey.result(self.journey.journal.commit(Changes(ledger=[opening])))
        self.journey.result(
            Deferred.fromCoroutine(self.journey.balances.load(self.journey.journal))
        )
        id = self.delivered()
        self.days(31)
        self.passes()
        assert self.left() == set()
        rows = self.journey.rows(schema.ledger)
        [balance] = self.journey.rows(schema.balance)
        assert balance.amount == sum(row.amount for row in rows) == 9_900
        items = self.journey.result(
            self.journey.journal.run(lambda c: ledger.entries(c, "acme", 0, NOW_MS + 1, -1, 10))
        )
        assert [(one.amount, one.message) for one in items] == [(10_000, None), (-100, id)]

    def test_a_statement_of_what_is_gone_names_no_message(self) -> None:
        """A-R20: one that was private does not come to light by being removed."""
        provisioning = provisioned()
        provisioning.accounts["acme"] = Account("acme", balance="1", number=[Number(SOURCE)])
        self.journey.provision(provisioning)
        opening = schema.LedgerRow(1, "acme", NOW_MS, 10_000, 0, None, "")
        self.journey.result(self.journey.journal.commit(Changes(ledger=[opening])))
        self.journey.result(
            Deferred.fromCoroutine(self.journey.balances.load(self.journey.journal))
        )
        self.delivered("a0", private=True)
        self.delivered("b0")
        self.days(31)
        self.passes()
        rows = self.journey.result(
            self.journey.journal.run(lambda c: statement.read(c, "acme", NOW_MS, NOW_MS + 1, -1))
        )
        assert [(one.reason, one.amount, one.message) for one in rows] == [("private", "-0.02", "")]

    def test_the_alias_of_a_request_to_many_goes_too(self) -> None:
        """It means the request, which has no message of its own."""
        self.delivered("a0", alias=7, batch=99)
        rows = [("acme", 7, 99)]
        self.journey.result(self.journey.journal.commit(Changes(aliases=rows)))
        self.days(31)
        self.passes()
        assert self.journey.rows(schema.alias) == []

    def test_an_alias_goes_unless_a_newer_message_has_it(self) -> None:
        """A number of 3.3 sessions comes again after seven weeks."""
        old = self.delivered("a0", alias=7)
        other = self.delivered("b0", alias=8)
        rows = [("acme", 7, old), ("acme", 8, other)]
        self.journey.result(self.journey.journal.commit(Changes(aliases=rows)))
        self.days(31)
        again = self.delivered("c0", alias=8)
        rows = [("acme", 8, again)]
        self.journey.result(self.journey.journal.commit(Changes(aliases=rows)))
        self.passes()
        assert self.left() == {again}
        assert [tuple(row) for row in self.journey.rows(schema.alias)] == [("acme", 8, again)]

    def test_a_batch_goes_with_its_last_message(self) -> None:
        """W-D27: as long as one of its messages is kept its id is known."""
        id = self.journey.identities.allot()
        first = self.journey.sent("a0")
        second = self.journey.sent("b0")
        row = batches.row(id, "acme", NOW_MS, [first, second])
        self.journey.result(self.journey.journal.commit(Changes(batches=[row])))
        ids = {first.id, second.id}
        self.journey.receive("a0")
        self.days(10)
        self.journey.receive("b0")
        del first, second
        self.days(21)
        self.passes()
        assert len(self.left() & ids) == 1
        assert len(self.journey.rows(schema.batch)) == 1
        self.days(11)
        self.passes()
        assert self.left() == set()
        assert self.journey.rows(schema.batch) == []

    def test_many_go_a_few_at_a_time(self) -> None:
        """No transaction removes more than 500, and others have their turn between them."""
        rows = []
        for _ in range(1_200):
            message = Message(
                SOURCE,
                "447700900123",
                parts=[b"x"],
                account="acme",
                id=self.journey.identities.allot(),
                accepted_at=NOW_MS,
                state=int(MessageState.DELIVERED),
                done_at=NOW_MS,
            )
            rows.append(records.row(message, None))
        self.journey.result(self.journey.journal.commit(Changes(messages=rows)))
        self.days(31)
        counts = []
        self.job.start()
        for _ in range(100):
            self.journey.clock.advance(0.1)
            counts.append(len(self.left()))
        steps = {a - b for a, b in pairwise(counts) if a != b}
        assert steps <= {flow_retention.BATCH, 1_200 - 2 * flow_retention.BATCH}
        assert counts[-1] == 0


class KeptTests(RetentionCase):
    """What is still needed."""

    def test_a_message_with_a_dead_letter_stays_until_that_goes(self) -> None:
        """Otherwise it could not be put back."""
        self.to(URL)
        message = self.mo()
        self.http.tell("refused", "HTTP 404")
        id = message.id
        del message
        self.days(31)
        self.passes()
        assert self.left() == {id}
        action = schema.ActionRow(self.journey.identities.allot(), 0, "jo", "drop", "dead", "all")
        self.journey.result(Deferred.fromCoroutine(self.letters.drop(Which(), action)))
        self.passes()
        assert self.left() == set()

    def test_a_message_of_which_something_waits_stays(self) -> None:
        """A receipt that is brought again, which its account has not taken yet."""
        id = self.delivered()
        self.days(31)
        [message] = self.journey.known.adopt([self.stored(id)]).values()
        self.journey.result(Deferred.fromCoroutine(self.replays.replay(message)))
        del message
        # As after a restart: nothing of it is in memory.
        self.journey.known.known.clear()
        self.passes()
        assert self.left() == {id}
        assert [row.message for row in self.journey.entries()] == [id]

    def test_what_is_brought_again_during_a_pass_stays(self) -> None:
        """The queues had been looked through before; then they are looked through again."""
        id = self.delivered()
        self.days(31)
        self.job.start()
        self.journey.clock.advance(0.1)  # it has found the message, and nothing that waits
        [message] = self.journey.known.adopt([self.stored(id)]).values()
        self.journey.result(Deferred.fromCoroutine(self.replays.replay(message)))
        del message
        self.journey.known.known.clear()
        for _ in range(50):
            self.journey.clock.advance(0.1)
        assert self.left() == {id}

    def test_what_somebody_holds_stays(self) -> None:
        """It may be brought again at any moment."""
        id = self.delivered()
        self.days(31)
        [held] = self.journey.known.adopt([self.stored(id)]).values()
        self.passes()
        assert self.left() == {held.id}

    def test_a_pass_that_fails_is_tried_again(self) -> None:
        """An hour later, and nothing else is harmed."""
        self.delivered()
        self.days(31)
        self.journey.journal.unreadable = "disk I/O error"
        self.job.start()
        assert len(self.flushLoggedErrors()) == 1
        self.journey.journal.unreadable = ""
        self.journey.clock.advance(3600)
        for _ in range(50):
            self.journey.clock.advance(0.1)
        assert self.left() == set()

    def test_a_stop_ends_it_at_once(self) -> None:
        """Whatever it was about to do."""
        id = self.delivered()
        self.days(31)
        self.job.start()
        self.job.stop()
        for _ in range(50):
            self.journey.clock.advance(0.1)
        assert self.left() == {id}

    def test_i5_every_statement_finds_its_rows_by_a_key(self) -> None:
        """I5: none of them walks through a table, however much is kept."""
        plans: list[str] = []

        def explained(connection: Connection) -> None:
            driver: Any = connection.connection.dbapi_connection
            seen: list[str] = []
            driver.set_trace_callback(seen.append)
            retention.ended(connection, 0, 10, NOW_MS, 10)
            retention.waiting(connection, 0, 10, 0, 10)
            retention.remove(connection, [id])
            retention.remove_batches(connection, 0, NOW_MS, 10)
            driver.set_trace_callback(None)
            for one in seen:
                plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {one}")
                plans.extend(f"{row[3]}: {one}" for row in plan)

        id = self.delivered(alias=7)
        self.journey.result(self.journey.journal.run(explained))
        assert len(plans) >= 8
        tables = ("message", "part", "alias", "queue", "dead", "batch")
        walks = tuple(f"SCAN {table}" for table in tables)
        assert [one for one in plans if one.startswith(walks)] == []
