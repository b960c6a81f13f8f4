"""What a broker says nothing about: consumers that are none any more, batches that are not answered
for (I1)."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.watch import LOOK_S
from smsgw.store.records import Records
from tests.flow.journey import Taker
from tests.journals import a_journal
from tests.queues.brokers import MemoryBroker, MemoryWire
from tests.queues.homes import putting

QUEUE = "carrier:north"


class WatchTests(TestCase):
    shared = False

    def setUp(self) -> None:
        self.journal = a_journal(self)
        self.clock = Clock()
        self.clock.rightNow = 1_000.0
        self.broker = MemoryBroker()
        self.known = Records()
        self.wire = MemoryWire(self.broker)
        self.queues = self.wire.told = BrokerQueues(
            self.journal,
            self.known,
            self.clock,
            self.wire,
            Identities().allot,
            shared=self.shared,
            now=self.clock.seconds,
        )
        self.successResultOf(Deferred.fromCoroutine(self.queues.load()))
        self.taker = Taker(100)
        self.queues.subscribe(QUEUE, self.taker)
        self.clock.advance(0)

    def put(self, *ids: int) -> None:
        self.successResultOf(self.queues.commit(putting(self.known, QUEUE, ids)))
        self.clock.advance(0)

    def looks(self, count: int) -> None:
        for _ in range(count * 10):
            self.clock.advance(LOOK_S / 10)

    def taken(self) -> list[int]:
        return [entry.id for entry in self.taker.taken]

    def deaf(self) -> None:
        """The broker forgets the consumer, and does not say so."""
        self.broker.consumers[QUEUE][0].open = False

    def test_a_consumer_that_the_broker_forgot_is_renewed(self) -> None:
        """What waits comes, though nobody was told that nothing would."""
        self.deaf()
        self.put(1, 2)
        assert self.taken() == []
        self.looks(2)
        assert self.taken() == [1, 2]

    def test_a_consumer_whose_queue_has_nothing_for_it_is_left_alone(self) -> None:
        """So is one that is busy."""
        renewed: list[str] = []
        self.wire.renew = renewed.append  # type: ignore[method-assign]
        self.looks(3)
        self.put(1)
        self.looks(3)
        assert self.taken() == [1]
        assert renewed == []

    def test_what_stays_silent_is_renewed_less_and_less_often(self) -> None:
        """Another node may have been given what waits."""
        renewed: list[str] = []
        self.wire.renew = renewed.append  # type: ignore[method-assign]
        self.deaf()
        self.put(1)
        self.looks(100)
        assert 5 <= len(renewed) <= 10

    def test_a_queue_that_does_not_confirm_is_made_anew(self) -> None:
        """What it had comes from the store; what was not confirmed is published again."""
        self.wire.unsure = True
        self.deaf()
        self.put(1)
        self.put(2)
        self.looks(1)
        assert self.wire.mended == []
        self.wire.unsure = False
        self.looks(2)
        assert self.wire.mended == [QUEUE]
        self.looks(2)
        assert sorted(self.taken()) == [1, 2]
        assert self.queues.outbox.idle

    def test_a_broker_that_takes_nothing_at_all_has_no_broken_queue(self) -> None:
        """It is down, or says that it is full: its queues stay as they are."""
        self.wire.unsure = True
        self.put(1)
        self.wire.up = False
        self.looks(4)
        assert self.wire.mended == []


class SharedWatchTests(WatchTests):
    """Where other nodes have the same store."""

    shared = True
