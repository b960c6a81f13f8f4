"""Attended queues: those to which nobody subscribes get their consumer with the first entry."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.queues import Consumer, Entry, Transaction
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.store import records
from smsgw.store.records import Records
from tests.flow.journey import Taker
from tests.journals import a_journal
from tests.queues.brokers import MemoryBroker, MemoryWire

QUEUE = "target:acme a@b.example"


class Attended:
    """What holds of attended queues wherever they are."""

    def setUp(self) -> None:
        self.journal = a_journal(self)
        self.clock = Clock()
        self.begin()

    def begin(self) -> None:
        """A process on the store."""
        self.known = Records()
        self.queues = self.a_home()
        self.queues.attend = self.attend
        self.takers: list[Taker] = []

    def a_home(self) -> EmbeddedQueues | BrokerQueues:
        raise NotImplementedError

    def attend(self, queue: str) -> Consumer | None:
        if not queue.startswith("target:"):
            return None
        self.takers.append(Taker(2))
        return self.takers[-1]

    def put(self, id: int, due: int = 0, queue: str = QUEUE) -> None:
        transaction = Transaction()
        message = Message("1", "2", parts=[b"x"], id=id, account="acme")
        self.known.known[id] = message
        transaction.changes.messages.append(records.row(message, None))
        transaction.put.append(Entry(id, queue, due, 1, message, expires_at=1 << 40))
        self.successResultOf(self.queues.commit(transaction))

    def settle(self, taker: Taker) -> None:
        transaction = Transaction()
        for entry in taker.taken:
            transaction.settle(entry)
        taker.taken = []
        self.successResultOf(self.queues.commit(transaction))
        self.queues.pump(QUEUE)

    def test_the_first_entry_brings_the_consumer(self) -> None:
        """Further ones go to the same."""
        self.put(1)
        self.put(2)
        self.put(3)
        [taker] = self.takers
        assert [entry.id for entry in taker.taken] == [1, 2]
        self.settle(taker)
        assert [entry.id for entry in taker.taken] == [3]

    def test_nothing_is_left_of_a_queue_without_entries(self) -> None:
        """However many targets there were (I5)."""
        self.put(1)
        self.settle(self.takers[0])
        assert self.queues.resident() == {}
        self.put(2)
        assert len(self.takers) == 2
        assert [entry.id for entry in self.takers[1].taken] == [2]

    def test_a_queue_that_waits_for_a_retry_stays(self) -> None:
        """And hands out what is due then."""
        self.put(1)
        [taker] = self.takers
        transaction = Transaction()
        transaction.postpone(taker.taken.pop(), 30_000)
        self.successResultOf(self.queues.commit(transaction))
        self.queues.pump(QUEUE)
        assert list(self.queues.resident()) == [QUEUE]
        self.clock.advance(30)
        assert [entry.id for entry in taker.taken] == [1]

    def test_entries_of_the_last_run_find_their_consumer(self) -> None:
        """Those that are due at once, the others in time."""
        self.put(1)
        self.put(2, due=60_000, queue="target:acme later")
        self.begin()
        self.successResultOf(Deferred.fromCoroutine(self.queues.load()))
        first, second = sorted(self.takers, key=lambda taker: len(taker.taken), reverse=True)
        assert [entry.id for entry in first.taken] == [1]
        self.clock.advance(60)
        assert [entry.id for entry in second.taken] == [2]

    def test_others_wait_for_somebody_to_subscribe(self) -> None:
        """A carrier's queue has its links."""
        self.put(1, queue="carrier:north")
        assert self.takers == []
        assert list(self.queues.resident()) == ["carrier:north"]

    def test_asking_for_a_queue_makes_none(self) -> None:
        """Neither does pumping one."""
        assert self.queues.held(1, QUEUE) is None
        self.queues.pump(QUEUE)
        assert self.queues.resident() == {}

    def test_what_is_put_in_the_batch_that_ends_a_queue_is_handed_out(self) -> None:
        """The queue that goes and the one that comes have the same name."""
        self.put(1)
        [taker] = self.takers
        self.journal.waiting = True
        transaction = Transaction()
        transaction.settle(taker.taken.pop())
        done = self.queues.commit(transaction)
        done.addCallback(lambda _: self.queues.pump(QUEUE))
        message = Message("1", "2", parts=[b"x"], id=2, account="acme")
        self.known.known[2] = message
        another = Transaction()
        another.changes.messages.append(records.row(message, None))
        another.put.append(Entry(2, QUEUE, 0, 1, message, expires_at=1 << 40))
        self.queues.commit(another)
        self.journal.release()
        assert [entry.id for taker in self.takers for entry in taker.taken] == [2]


class EmbeddedTests(Attended, TestCase):
    """In the store."""

    def a_home(self) -> EmbeddedQueues:
        return EmbeddedQueues(self.journal, self.known, self.clock, self.clock.seconds)


class BrokerTests(Attended, TestCase):
    """On a broker."""

    wire: MemoryWire | None = None

    def a_home(self) -> BrokerQueues:
        if self.wire is None:
            self.broker = MemoryBroker()
        else:
            self.wire.end()
        self.wire = MemoryWire(self.broker)
        now = self.clock.seconds
        queues = BrokerQueues(
            self.journal, self.known, self.clock, self.wire, Identities().allot, now=now
        )
        self.wire.told = queues
        return queues
