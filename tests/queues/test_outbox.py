"""The outbox: bounded memory, back-pressure, and that nothing is published that is not stored."""

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities
from smsgw.queues import outbox
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.outbox import LARGEST, pack, unpack
from smsgw.store.journal import StoreFailed
from smsgw.store.records import Records
from tests.flow.journey import Taker
from tests.journals import a_journal
from tests.queues.brokers import MemoryBroker, MemoryWire
from tests.queues.homes import putting

QUEUE = "carrier:north"


class OutboxTests(TestCase):
    def setUp(self) -> None:
        self.journal = a_journal(self)
        self.clock = Clock()
        self.clock.rightNow = 1_000.0
        self.broker = MemoryBroker()
        self.start()

    def start(self, node: int = 0, broker: MemoryBroker | None = None) -> BrokerQueues:
        """A process on the store."""
        self.known = Records()
        self.wire = MemoryWire(broker or self.broker)
        self.queues = self.wire.told = BrokerQueues(
            self.journal,
            self.known,
            self.clock,
            self.wire,
            Identities(node).allot,
            node,
            shared=node > 0,
            now=self.clock.seconds,
        )
        return self.queues

    def load(self) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.queues.load()))
        self.clock.advance(0)

    def put(self, *ids: int) -> None:
        self.successResultOf(self.queues.commit(putting(self.known, QUEUE, ids)))

    def rows(self) -> int:
        cursor = self.journal.connection.connection.cursor()
        return int(cursor.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def drained(self) -> list[int]:
        """What a consumer gets that settles nothing."""
        taker = Taker(10_000)
        self.queues.subscribe(QUEUE, taker)
        for _ in range(20):
            self.clock.advance(0.1)
        return [entry.id for entry in taker.taken]

    def test_what_is_confirmed_is_removed(self) -> None:
        """And until then it is in the store."""
        self.wire.lose()
        self.put(1, 2)
        self.put(3)
        assert self.rows() == 2
        assert self.queues.outbox.entries == 3
        self.wire.connect()
        self.clock.advance(1)
        assert self.rows() == 0
        assert self.queues.outbox.entries == 0
        assert self.queues.outbox.published == 2

    def test_a_failed_commit_publishes_nothing(self) -> None:
        """I3."""
        self.journal.broken = "disk full"
        self.failureResultOf(self.queues.commit(putting(self.known, QUEUE, [1])), StoreFailed)
        self.journal.broken = ""
        assert self.queues.outbox.idle
        assert not self.broker.lines

    def test_what_was_not_published_goes_out_after_a_restart(self) -> None:
        """I1: the process ends between its commit and the broker's confirm."""
        self.wire.unsure = True
        self.put(1, 2)
        self.queues.stop()
        self.wire.end()
        self.start()
        self.load()
        assert self.drained() == [1, 2]
        assert self.rows() == 0

    def test_memory_is_bounded_while_the_broker_is_away(self) -> None:
        """Beyond that rows are read when there is room, in their order."""
        with patch.multiple(outbox, RESIDENT=10, PAGE=4):
            self.wire.lose()
            for id in range(1, 101):
                self.put(id)
            assert len(self.queues.outbox._waiting) == 10
            self.wire.connect()
            assert self.drained() == list(range(1, 101))
        assert self.rows() == 0

    def test_with_too_much_for_the_broker_every_queue_is_full(self) -> None:
        """So messages are refused (QUEUE_FULL) until the broker takes some."""
        self.queues.outbox_limit = 3
        self.wire.lose()
        self.put(1, 2)
        assert not self.queues.full
        assert "carrier:any" not in self.queues.full
        self.put(3)
        assert self.queues.full
        assert "carrier:any" in self.queues.full
        self.wire.connect()
        self.clock.advance(1)
        assert not self.queues.full
        assert "carrier:any" not in self.queues.full

    def test_what_a_dead_node_had_is_taken_over(self) -> None:
        """What its consumers had, and what it had not published; each goes out once."""
        self.start(node=1)
        self.load()
        taker = Taker(1)
        self.queues.subscribe(QUEUE, taker)
        self.put(1, 2)
        self.clock.advance(0)
        assert [entry.id for entry in taker.taken] == [1]
        self.wire.lose()
        self.put(3)
        self.queues.stop()
        for call in self.clock.getDelayedCalls():
            call.cancel()
        self.start(node=2)
        self.load()
        assert self.drained() == []
        self.queues.unsubscribe(QUEUE, self.queues._queue(QUEUE).consumers[0])
        self.successResultOf(self.queues.take_over(1))
        self.clock.advance(0)
        assert sorted(self.drained()) == [1, 2, 3]

    def test_queues_of_the_store_go_to_the_broker(self) -> None:
        """A gateway that had its queues in the store is given a broker."""
        transaction = putting(self.known, QUEUE, [1, 2])
        transaction.changes.entries.extend([entry.row() for entry in transaction.put])
        self.successResultOf(self.journal.commit(transaction.changes))
        self.load()
        assert self.drained() == [1, 2]


@given(st.lists(st.integers(0, (1 << 63) - 1), min_size=1, max_size=LARGEST))
def test_a_batch_is_read_as_it_was_written(ids: list[int]) -> None:
    """Whatever the ids."""
    assert unpack(pack(ids)) == ids


@given(st.binary(max_size=2_000))
def test_what_is_no_batch_is_found_out(body: bytes) -> None:
    """Any octets are a batch of ids, or a ``ValueError``."""
    try:
        ids = unpack(body)
    except ValueError:
        return
    assert pack(ids) == body
    assert 0 < len(ids) <= LARGEST
    assert all(0 <= id < 1 << 63 for id in ids)  # what the store can be asked for
