"""The queues in both their homes: order, bounded memory, retries, and that nothing is lost or
doubled."""

from uuid import uuid4

import pytest
from attrs import define, field
from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.queues import Entry, Transaction, embedded
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.store import records, schema
from smsgw.store.database import close_store, open_store
from smsgw.store.journal import Journal, StoreFailed
from smsgw.store.records import Records
from tests.amqp.rabbitmq import RabbitMq
from tests.folders import temporary_folder
from tests.queues.brokers import MemoryBroker, MemoryWire
from tests.queues.rabbits import a_wire, quiet

QUEUE = "carrier:north"


@define(eq=False)
class Taker:
    """A consumer with a window."""

    window: int
    taken: list[Entry] = field(factory=list)
    seen: list[int] = field(factory=list)

    @property
    def room(self) -> int:
        return self.window - len(self.taken)

    def take(self, entries: list[Entry]) -> None:
        assert len(entries) <= self.room
        self.taken += entries
        self.seen += [entry.message.id for entry in entries]


class Contract:
    """What holds of the queues wherever they are."""

    def setUp(self) -> None:
        self.url = f"sqlite:///{temporary_folder(self)}/store.db"
        self.engine = open_store(self.url)
        self.addCleanup(close_store, self.engine)
        self.journal = Journal(self.engine, reactor)  # type: ignore[arg-type]
        self.journal.start()
        self.addCleanup(self.journal.stop)
        self.clock = Clock()
        self.known = Records()
        self.queues = self.a_gateway()

    def a_gateway(self) -> EmbeddedQueues | BrokerQueues:
        """A process on the store."""
        raise NotImplementedError

    async def leave(self) -> None:
        """The process ends."""
        self.queues.stop()

    def putting(self, *ids: int, due: int = 0, queue: str = QUEUE) -> Transaction:
        transaction = Transaction()
        for id in ids:
            message = Message(
                source="1", destination="2", parts=[b"x"], id=id, account="a", carriers=["north"]
            )
            self.known.known[id] = message
            transaction.changes.messages.append(records.row(message, None))
            transaction.put.append(Entry(10_000 + id, queue, due, 0, message, expires_at=1 << 40))
        return transaction

    async def commit(self, transaction: Transaction) -> None:
        """What is due has been handed out too."""
        await self.queues.commit(transaction)
        await self.quiet()

    async def settle(self, taker: Taker, count: int | None = None) -> None:
        done, taker.taken = taker.taken[:count], taker.taken[count or len(taker.taken) :]
        transaction = Transaction()
        for entry in done:
            transaction.settle(entry)
        await self.queues.commit(transaction)
        self.queues.pump(QUEUE)
        await self.quiet()

    async def quiet(self) -> None:
        """Everything handed to the journal so far has been done, and what follows from it."""
        for _ in range(3):
            await self.journal.run(lambda _: None)

    async def test_an_entry_goes_to_its_consumer_after_the_commit(self) -> None:
        """Nothing is handed out before it is durable."""
        taker = Taker(10)
        self.queues.subscribe(QUEUE, taker)
        done = self.queues.commit(self.putting(1))
        assert taker.seen == []
        await done
        await self.quiet()
        assert taker.seen == [1]

    async def test_entries_wait_for_a_consumer_and_for_room(self) -> None:
        """A window of two takes two at a time, first in, first out."""
        await self.commit(self.putting(1, 2, 3, 4, 5))
        taker = Taker(2)
        self.queues.subscribe(QUEUE, taker)
        await self.quiet()
        assert taker.seen == [1, 2]
        await self.settle(taker)
        await self.settle(taker)
        assert taker.seen == [1, 2, 3, 4, 5]

    async def test_memory_is_bounded_and_order_kept_when_much_waits(self) -> None:
        """What does not fit in memory is read back in order, each entry once."""
        total = 5 * embedded.RESIDENT // 2
        for start in range(1, total, 500):
            await self.commit(self.putting(*range(start, start + 500)))
        ready, _, behind = self.queues.resident()[QUEUE]
        assert ready <= embedded.RESIDENT
        assert behind
        taker = Taker(700)
        self.queues.subscribe(QUEUE, taker)
        await self.quiet()
        more = 0
        while taker.taken:
            assert self.queues.resident()[QUEUE][0] <= embedded.RESIDENT
            if more < 3:
                more += 1
                await self.commit(self.putting(100_000 + more))
            await self.settle(taker)
        assert taker.seen == [*range(1, total + 1), 100001, 100002, 100003]
        assert not self.queues.resident()[QUEUE][2]

    async def test_an_entry_stored_while_a_page_is_read_is_not_missed(self) -> None:
        """A commit that falls between a page's read and its arrival leaves the queue behind."""
        for start in range(1, embedded.RESIDENT + 1, 500):
            await self.commit(self.putting(*range(start, start + 500)))
        await self.commit(self.putting(5_000))
        taker = Taker(embedded.RESIDENT)
        self.queues.subscribe(QUEUE, taker)  # the page is asked for here
        await self.queues.commit(self.putting(5_001))
        await self.quiet()
        await self.settle(taker)
        assert taker.seen[-2:] == [5000, 5001]

    async def test_entries_go_to_the_consumer_with_the_most_room_first(self) -> None:
        """Few entries are one batch for one consumer; what it has no room for goes to the next."""
        first, second = Taker(30), Taker(10)
        self.queues.subscribe(QUEUE, second)
        self.queues.subscribe(QUEUE, first)
        await self.commit(self.putting(*range(1, 26)))
        assert (len(first.taken), len(second.taken)) == (25, 0)
        await self.commit(self.putting(*range(26, 46)))
        assert (len(first.taken), len(second.taken)) == (30, 10)

    async def test_a_postponed_entry_comes_again_when_it_is_due(self) -> None:
        """A retry is a due time, and counts its attempts."""
        taker = Taker(1)
        self.queues.subscribe(QUEUE, taker)
        await self.commit(self.putting(1))
        transaction = Transaction()
        transaction.postpone(taker.taken.pop(), 5_000)
        await self.commit(transaction)
        self.clock.advance(4.9)
        await self.quiet()
        assert taker.seen == [1]
        self.clock.advance(0.2)
        await self.quiet()
        assert taker.seen == [1, 1]
        assert taker.taken[0].attempts == 1
        assert taker.taken[0].message is self.known.known[1]

    async def test_a_scheduled_entry_waits_in_the_store(self) -> None:
        """An entry for later takes no memory and no place of those that are due."""
        taker = Taker(5)
        self.queues.subscribe(QUEUE, taker)
        await self.commit(self.putting(1, due=60_000))
        await self.commit(self.putting(2))
        assert taker.seen == [2]
        assert self.queues.resident()[QUEUE][0] == 0
        self.clock.advance(61)
        await self.quiet()
        assert taker.seen == [2, 1]

    async def test_what_was_not_settled_comes_again_after_a_restart(self) -> None:
        """A new process finds every entry that the last one did not settle, and no other."""
        taker = Taker(2)
        self.queues.subscribe(QUEUE, taker)
        await self.commit(self.putting(1, 2, 3, 4))
        await self.settle(taker, 1)
        await self.leave()
        self.queues = self.a_gateway()
        await self.queues.load()
        again = Taker(10)
        self.queues.subscribe(QUEUE, again)
        self.clock.advance(0.001)
        await self.quiet()
        assert again.seen == [2, 3, 4]

    async def test_a_failed_commit_hands_out_nothing(self) -> None:
        """An entry that was not stored is never sent (I1, I3)."""
        taker = Taker(5)
        self.queues.subscribe(QUEUE, taker)
        await self.commit(self.putting(1))
        with pytest.raises(StoreFailed):
            await self.queues.commit(self.putting(1))
        assert taker.seen == [1]

    async def test_an_unsubscribed_consumer_gets_nothing_more(self) -> None:
        """After unbind entries wait for the next bind."""
        taker = Taker(5)
        self.queues.subscribe(QUEUE, taker)
        self.queues.unsubscribe(QUEUE, taker)
        await self.commit(self.putting(1))
        assert taker.seen == []

    async def test_one_full_queue_holds_up_no_other(self) -> None:
        """A carrier that is down with much waiting does not slow another (I5)."""
        for start in range(1, 3_001, 500):
            await self.commit(self.putting(*range(start, start + 500)))
        taker = Taker(5)
        self.queues.subscribe("carrier:south", taker)
        await self.commit(self.putting(9_000, queue="carrier:south"))
        assert taker.seen == [9000]

    async def claimed(self, *ids: int) -> list[Entry | None]:
        """Claims the entries of these messages as the store has them."""
        query = select(schema.queue).order_by(schema.queue.c.id)
        rows = await self.journal.run(lambda c: list(c.execute(query)))
        wanted = [schema.QueueRow(*row) for row in rows if row.message in ids]
        pairs = [(row, self.known.known[row.message]) for row in wanted]
        claimed = {entry.id: entry for entry in await self.queues.claim(pairs)}
        return [claimed.get(row.id) for row in wanted]

    async def test_what_is_claimed_goes_to_nobody_else(self) -> None:
        """Neither from memory nor from the store, until it is released; then it goes out again."""
        messages = [self.putting(1, 2), self.putting(3, due=5_000)]
        for transaction in messages:
            await self.commit(transaction)
        claimed = await self.claimed(1, 3)
        assert [entry and entry.message.id for entry in claimed] == [1, 3]
        assert await self.claimed(1, 3) == [None, None]
        taker = Taker(5)
        self.queues.subscribe(QUEUE, taker)
        self.clock.advance(10)
        await self.quiet()
        assert taker.seen == [2]
        self.queues.release([entry for entry in claimed if entry])
        await self.quiet()
        assert taker.seen == [2, 1, 3]

    async def test_what_a_consumer_has_cannot_be_claimed(self) -> None:
        """It is settled by its answer."""
        taker = Taker(1)
        self.queues.subscribe(QUEUE, taker)
        await self.commit(self.putting(1, 2))
        first, second = await self.claimed(1, 2)
        assert first is None
        assert second is not None
        transaction = Transaction()
        transaction.settle(second)
        await self.commit(transaction)
        await self.settle(taker)
        assert taker.seen == [1]
        assert self.queues.resident()[QUEUE][:2] == (0, 0)


class EmbeddedTests(Contract, TestCase):
    """In the store."""

    def a_gateway(self) -> EmbeddedQueues:
        return EmbeddedQueues(self.journal, self.known, self.clock, self.clock.seconds)


class BrokerTests(Contract, TestCase):
    """On a broker in memory, whose queues are shared by nodes or not."""

    shared = False

    def setUp(self) -> None:
        self.broker = MemoryBroker()
        super().setUp()

    def a_gateway(self) -> BrokerQueues:
        self.wire = MemoryWire(self.broker)
        queues = BrokerQueues(
            self.journal,
            self.known,
            self.clock,
            self.wire,
            Identities().allot,
            shared=self.shared,
            now=self.clock.seconds,
        )
        self.wire.told = queues
        return queues

    async def leave(self) -> None:
        await super().leave()
        self.wire.end()

    async def quiet(self) -> None:
        for _ in range(8):
            self.clock.advance(0)
            await super().quiet()


class SharedBrokerTests(BrokerTests):
    """Where the store marks what a node has."""

    shared = True


class RabbitMqTests(Contract, TestCase):
    """On a RabbitMQ."""

    @pytest.fixture(autouse=True)
    def _started(self, broker: RabbitMq) -> None:
        self.rabbit = broker

    def setUp(self) -> None:
        self.prefix = f"{uuid4().hex}."
        super().setUp()

    def a_gateway(self) -> BrokerQueues:
        self.wire = a_wire(self.rabbit, self.prefix)
        queues = BrokerQueues(
            self.journal,
            self.known,
            self.clock,
            self.wire,
            Identities().allot,
            now=self.clock.seconds,
        )
        self.wire.told = queues
        self.wire.start()
        self.addCleanup(self.leave)
        return queues

    async def leave(self) -> None:
        await super().leave()
        await self.wire.stop()

    async def quiet(self) -> None:
        await quiet(self.queues, self.journal, self.clock, super().quiet)
