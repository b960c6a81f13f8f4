"""The queues in both their homes under any order of events; commits and reads may be late, fail, or
be lost, and a broker may go and come, or forget everything.

The store is the truth: a row is an entry that is not settled. Lines and pages are tiny, so that a
few entries make a queue fall behind.
"""

from functools import cached_property
from unittest.mock import patch

from attrs import define, field
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.queues import Entry, Kind, Transaction, arriving, broker, embedded, outbox, rows
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.store import records
from smsgw.store.records import Records
from tests.journals import SynchronousJournal, a_journal
from tests.machines import run_machine
from tests.queues.brokers import MemoryBroker, MemoryWire

QUEUE = "carrier:north"
RESIDENT = 8
PAGE = 4
LOW = 2


@define(eq=False)
class Taker:
    """A link or session; what it is given, it has until the store has taken its answer."""

    machine: "QueueMachine"
    window: int
    subscribed: bool = True
    has: list[Entry] = field(factory=list)
    answered: int = 0  # of those that it has; the answers are on their way to the store

    @property
    def room(self) -> int:
        return self.window - len(self.has)

    def take(self, entries: list[Entry]) -> None:
        try:
            self.check_and_take(entries)
        except AssertionError as fault:
            # The queue takes it for a consumer that breaks, and goes on.
            self.machine.faults.append(fault)
            raise

    def check_and_take(self, entries: list[Entry]) -> None:
        machine = self.machine
        assert self.subscribed, "an unsubscribed consumer is given entries"
        assert 0 < len(entries) <= self.room, "more than there is room for"
        for entry in entries:
            row = machine.rows().get(entry.id)
            assert row is not None, "handed out before it is stored, or after it is settled"
            assert row == (entry.due, entry.attempts), "not as it is stored"
            assert entry.due <= machine.now_ms, "handed out before it is due"
            assert entry.id not in machine.held(), "handed out twice"
            earlier = [
                id
                for id, (due, _) in machine.waiting().items()
                if (due, id) < (entry.due, entry.id)
                # A commit may take so long that others are due before it is done.
                and machine.stored.get(id, machine.now_ms) <= entry.due
            ]
            assert not (earlier and machine.ordered), "handed out before one that was due earlier"
            assert entry.message.id == entry.id - 1, "of another message"
            self.has.append(entry)


class QueueMachine(RuleBasedStateMachine):
    """Everything that may happen to one queue."""

    journal: SynchronousJournal  # one for all examples, given by the test
    ordered = True  # whether entries go out in the order of their due times
    takers = Bundle("takers")

    @initialize()
    def begin(self) -> None:
        self.begin_again()

    def begin_again(self) -> None:
        self.journal.forget()
        self.journal.broken = self.journal.unreadable = ""
        for table in ("message", "queue", "outbox"):
            self.journal.connection.connection.cursor().execute(f"DELETE FROM {table}")
        self.clock = Clock()
        self.clock.rightNow = 1_000.0
        self.ids = 0
        self.widest = 0
        self.faults: list[AssertionError] = []
        self.stored: dict[int, int] = {}  # when an entry came to be stored as it is
        self.start()

    def start(self) -> None:
        self.all: list[Taker] = []
        self.known = Records()
        self.queues = self.a_home()

    def a_home(self) -> EmbeddedQueues | BrokerQueues:
        return EmbeddedQueues(self.journal, self.known, self.clock, self.clock.seconds)

    # What the rules ask

    @property
    def now_ms(self) -> int:
        return int(self.clock.seconds() * 1000)

    def rows(self) -> dict[int, tuple[int, int]]:
        """Due time and attempts of all entries in the store."""
        cursor = self.journal.connection.connection.cursor()
        cursor.execute("SELECT id, due, attempts FROM queue")
        return {id: (due, attempts) for id, due, attempts in cursor.fetchall()}

    def held(self) -> set[int]:
        """What consumers have."""
        return {entry.id for taker in self.all for entry in taker.has}

    def waiting(self) -> dict[int, tuple[int, int]]:
        """What is due and nobody has."""
        held = self.held()
        return {
            id: row for id, row in self.rows().items() if id not in held and row[0] <= self.now_ms
        }

    def note(self, entries: list[Entry]) -> None:
        for entry in entries:
            self.stored[entry.id] = self.now_ms

    def quiet(self) -> bool:
        """True if nothing is on its way to the store or from it."""
        return not self.journal.line and not self.queues._queue(QUEUE).paging

    # What may happen

    @rule(
        count=st.integers(1, 6), delay=st.sampled_from([0, 0, 0, 500, 3_000]), fails=st.booleans()
    )
    def put(self, count: int, delay: int, fails: bool) -> None:
        self.clock.advance(0.001)
        transaction = Transaction()
        for _ in range(count):
            self.ids += 2
            message = Message("1", "2", parts=[b"x"], id=self.ids, account="a")
            self.known.known[message.id] = message
            transaction.changes.messages.append(records.row(message, None))
            entry = Entry(self.ids + 1, QUEUE, self.now_ms + delay, Kind.SEND, message)
            transaction.put.append(entry)
        fails = fails and not self.journal.line
        self.journal.broken = "disk full" if fails else ""
        done = self.queues.commit(transaction)
        self.journal.broken = ""
        done.addCallbacks(lambda _: self.note(transaction.put), lambda failure: None)

    @rule(target=takers, window=st.integers(1, 12))
    def subscribe(self, window: int) -> Taker:
        taker = Taker(self, window)
        self.all.append(taker)
        self.widest = max(self.widest, sum(t.window for t in self.all if t.subscribed or t.has))
        self.queues.subscribe(QUEUE, taker)
        return taker

    @rule(taker=takers)
    def unsubscribe(self, taker: Taker) -> None:
        """It keeps what it has, and may still answer."""
        taker.subscribed = False
        self.queues.unsubscribe(QUEUE, taker)

    @rule(taker=takers, count=st.integers(1, 6), fails=st.booleans())
    def settle(self, taker: Taker, count: int, fails: bool) -> None:
        transaction = Transaction()
        for entry in self.answering(taker, count):
            transaction.settle(entry)
        self.commit(taker, transaction, fails)

    @rule(taker=takers, count=st.integers(1, 6), delay=st.sampled_from([0, 1_000, 5_000]))
    def postpone(self, taker: Taker, count: int, delay: int) -> None:
        self.clock.advance(0.001)
        transaction = Transaction()
        for entry in self.answering(taker, count):
            transaction.postpone(entry, self.now_ms + delay)
        self.commit(taker, transaction, False)

    def answering(self, taker: Taker, count: int) -> list[Entry]:
        if taker not in self.all:  # it was of a process that is no more
            return []
        entries = taker.has[taker.answered :][:count]
        taker.answered += len(entries)
        return entries

    def commit(self, taker: Taker, transaction: Transaction, fails: bool) -> None:
        """As settle and handover do: tried again until the store takes it; then there is room."""
        entries = transaction.settled + transaction.postponed
        if not entries:
            return
        queues = self.queues

        def stored(_: None) -> None:
            for entry in entries:
                taker.has.remove(entry)
            taker.answered -= len(entries)
            self.note(transaction.postponed)
            if queues is self.queues:
                queues.pump(QUEUE)

        def again(_: object) -> Deferred[None]:
            transaction.unwritten()
            return queues.commit(transaction)

        self.journal.broken = "disk full" if fails and not self.journal.line else ""
        # The consumer lets go of entries before they are given to others.
        self.journal.waiting, waited = True, self.journal.waiting
        done = queues.commit(transaction)
        done.addErrback(again)
        done.addCallback(stored)
        if not waited:
            self.journal.release(1)
            self.journal.broken = ""
            self.journal.release()
        self.journal.broken = ""

    @rule(seconds=st.sampled_from([0.0, 0.3, 1.0, 4.0, 70.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule()
    def slow_down(self) -> None:
        """From now on commits and reads take their time."""
        self.journal.waiting = True

    @rule(count=st.integers(1, 3))
    def work(self, count: int) -> None:
        self.journal.release(count)

    @rule()
    def catch_up(self) -> None:
        self.journal.release()

    @precondition(lambda self: not self.journal.line)
    @rule()
    def cannot_read(self) -> None:
        """A page that is wanted now is not had, but a second later."""
        self.journal.unreadable = "disk failed"
        self.queues.pump(QUEUE)
        self.journal.unreadable = ""

    @rule(orderly=st.booleans())
    def restart(self, orderly: bool) -> None:
        """A new process on the store; what was on its way is lost, unless it stops in order."""
        self.queues.stop()
        if orderly:
            self.journal.release()
        self.journal.forget()
        self.ended()
        for call in list(self.clock.getDelayedCalls()):
            call.cancel()
        self.start()
        done = Deferred.fromCoroutine(self.queues.load())
        assert done.called

    def ended(self) -> None:
        """The process is no more."""

    # What always holds

    @invariant()
    def what_is_handed_out_is_right(self) -> None:
        for fault in getattr(self, "faults", ()):
            raise fault

    @invariant()
    def memory_is_bounded(self) -> None:
        if not hasattr(self, "queues"):
            return
        q = self.queues._queue(QUEUE)
        assert len(q.ready) <= RESIDENT + self.widest
        assert len(q.held) <= RESIDENT + 2 * self.widest

    @invariant()
    def what_is_due_is_with_a_consumer_that_has_room(self) -> None:
        if not hasattr(self, "queues") or not self.quiet():
            return
        if any(taker.subscribed and taker.room > 0 for taker in self.all):
            assert not self.waiting()

    def teardown(self) -> None:
        """In the end every entry is delivered, and once settled it is gone."""
        if not hasattr(self, "queues"):
            return
        self.catch_up()
        taker = self.subscribe(5)
        for _ in range(500):
            for each in self.all:
                self.settle(each, 100, False)
            if not self.rows():
                break
            self.clock.advance(1)
        self.what_is_handed_out_is_right()
        assert self.rows() == {}
        assert taker.has == []
        assert self.queues._queue(QUEUE).held == {}


class BrokerMachine(QueueMachine):
    """The same on a broker, to which the way may be lost. Its order is that of handing over."""

    ordered = False
    shared = False
    wire: MemoryWire | None = None

    @initialize()
    def begin(self) -> None:
        self.broker = MemoryBroker()
        self.begin_again()

    def a_home(self) -> BrokerQueues:
        self.wire = MemoryWire(self.broker)
        queues = BrokerQueues(
            self.journal,
            self.known,
            self.clock,
            self.wire,
            self.identities.allot,
            shared=self.shared,
            now=self.clock.seconds,
        )
        self.wire.told = queues
        return queues

    @cached_property
    def identities(self) -> Identities:
        return Identities()

    def ended(self) -> None:
        assert self.wire is not None
        self.wire.end()

    def quiet(self) -> bool:
        assert isinstance(self.queues, BrokerQueues)
        assert self.wire is not None
        for _ in range(4):
            self.clock.advance(0)
        return (
            not self.journal.line
            and self.wire.up
            and not self.wire.unsure
            and self.queues.outbox.idle
            and not self.clock_is_awaited()
            and not self.queues._queue(QUEUE).reading
        )

    def clock_is_awaited(self) -> bool:
        """True if something is tried again within a second or so."""
        soon = self.clock.seconds() + 1.1
        return any(call.getTime() <= soon for call in self.clock.getDelayedCalls())

    @rule()
    def lose_the_broker(self) -> None:
        self.wire.lose()

    @rule()
    def the_broker_is_back(self) -> None:
        self.wire.unsure = False
        self.wire.connect()

    @rule()
    def confirms_are_late(self) -> None:
        """Batches arrive, and their confirms get lost with the connection."""
        self.wire.unsure = True

    @rule()
    def the_broker_forgets(self) -> None:
        """It comes back without what it had."""
        self.wire.lose()
        self.broker.forget()
        self.wire.connect()

    def teardown(self) -> None:
        if not hasattr(self, "queues"):
            return
        self.catch_up()
        self.wire.lose()
        self.the_broker_is_back()
        super().teardown()
        for _ in range(5):
            self.clock.advance(1)
        assert self.queues.outbox.idle
        assert self.queues.outbox.entries == 0
        assert not any(self.broker.lines.values()), "batches are left with the broker"
        for consumers in self.broker.consumers.values():
            assert not any(one.unacknowledged for one in consumers), "never acknowledged"


class SharedBrokerMachine(BrokerMachine):
    """Where the store marks what a node has."""

    shared = True


class BrokerMachineTests(SynchronousTestCase):
    def run_it(self, machine: type[QueueMachine]) -> None:
        machine.journal = a_journal(self)
        with (
            patch.multiple(broker, LARGEST=3),
            patch.multiple(arriving, LOW=LOW, TOGETHER=PAGE),
            patch.multiple(rows, PAGE=PAGE),
            patch.multiple(outbox, LARGEST=3, RESIDENT=3, PAGE=2),
        ):
            run_machine(machine, examples=50, steps=40)

    def test_every_entry_is_delivered_until_settled_and_never_to_two(self) -> None:
        """Within bounds, whatever happens in between; nothing is left with the broker."""
        self.run_it(BrokerMachine)

    def test_the_same_where_the_store_is_shared(self) -> None:
        """Entries are marked as taken, and let go of."""
        self.run_it(SharedBrokerMachine)


class EmbeddedMachineTests(SynchronousTestCase):
    def test_every_entry_is_delivered_until_settled_and_never_to_two(self) -> None:
        """In order of their due times, within bounds, whatever happens in between."""
        QueueMachine.journal = a_journal(self)
        with patch.multiple(embedded, RESIDENT=RESIDENT, PAGE=PAGE, LOW=LOW):
            run_machine(QueueMachine, examples=50, steps=40)
