"""Two nodes with one store on PostgreSQL and one broker: an entry is one node's only, whatever they
do at once (I2, I3)."""

from random import Random

import pytest
from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.queues import Entry, Place, Transaction, rows
from smsgw.queues.broker import BrokerQueues
from smsgw.store import schema
from smsgw.store.journal import Journal
from smsgw.store.records import Records
from tests import postgresql
from tests.flow.journey import Taker
from tests.queues.brokers import MemoryBroker, MemoryWire
from tests.queues.homes import putting

QUEUE = "carrier:north"


class Node:
    """One process: its journal has a connection of its own."""

    def __init__(self, test: "NodeTests", number: int, url: str) -> None:
        self.journal = Journal(postgresql.opened(test, url, f"node {number}"), reactor)
        self.journal.start()
        test.addCleanup(self.journal.stop)
        self.known = Records()
        self.wire = MemoryWire(test.broker)
        self.queues = self.wire.told = BrokerQueues(
            self.journal,
            self.known,
            test.clock,
            self.wire,
            Identities(number).allot,
            number,
            shared=True,
            now=test.clock.seconds,
        )
        test.addCleanup(self.queues.stop)
        self.taker = Taker(1_000)

    def taken(self) -> list[int]:
        return [entry.id for entry in self.taker.taken]

    async def pairs(self) -> list[tuple[schema.QueueRow, Message]]:
        """All rows, as who cancels reads them."""
        query = select(schema.queue).order_by(schema.queue.c.id)
        found = await self.journal.run(lambda c: list(c.execute(query)))
        return [
            (schema.QueueRow(*row), Message("1", "2", parts=[b"x"], id=row.message, account="acme"))
            for row in found
        ]

    async def settle(self, entries: list[Entry]) -> None:
        transaction = Transaction()
        transaction.settled += entries
        await self.queues.commit(transaction)


@pytest.mark.timeout(90)
class NodeTests(TestCase):
    timeout = 80

    async def setUp(self) -> None:
        self.clock = Clock()
        self.clock.rightNow = 1_000.0
        self.broker = MemoryBroker()
        url = postgresql.a_database(self)
        self.a, self.b = Node(self, 0, url), Node(self, 1, url)
        for node in (self.a, self.b):
            await node.queues.load()

    async def calm(self) -> None:
        """What is on its way arrives."""
        for _ in range(6):
            self.clock.advance(0.01)
            for node in (self.a, self.b):
                await node.journal.run(lambda c: None)
            await deferLater(reactor, 0)

    async def stored(self) -> dict[int, tuple[int, int]]:
        """Place and taker of all entries."""
        return {row.id: (row.place, row.taken) for row, _ in await self.a.pairs()}

    async def put(self, *ids: int, due: int = 0) -> None:
        await self.a.queues.commit(putting(self.a.known, QUEUE, ids, due))
        await self.calm()

    async def test_what_one_node_has_the_other_does_not_claim(self) -> None:
        """The rows were read before it was taken, as a cancel does it: the store has the last
        word."""
        await self.put(1, 2)
        pairs = await self.a.pairs()
        self.b.queues.subscribe(QUEUE, self.b.taker)
        await self.calm()
        assert self.b.taken() == [1, 2]
        assert await self.a.queues.claim(pairs) == []

    async def test_what_one_node_has_claimed_the_other_does_not_get(self) -> None:
        """Until it is released; then it goes out, once."""
        await self.put(1, 2)
        claimed = await self.a.queues.claim((await self.a.pairs())[:1])
        assert [entry.id for entry in claimed] == [1]
        self.b.queues.subscribe(QUEUE, self.b.taker)
        await self.calm()
        assert self.b.taken() == [2]
        self.a.queues.release(claimed)
        await self.calm()
        assert self.b.taken() == [2, 1]

    async def test_what_was_postponed_meanwhile_is_not_claimed(self) -> None:
        """It may have been sent: it is not what the rows say any more."""
        await self.put(1)
        pairs = await self.a.pairs()
        self.b.queues.subscribe(QUEUE, self.b.taker)
        await self.calm()
        transaction = Transaction()
        transaction.postpone(self.b.taker.taken[0], 2_000_000)
        await self.b.queues.commit(transaction)
        assert await self.a.queues.claim(pairs) == []
        assert await self.stored() == {1: (Place.LATER, 0)}

    async def test_of_cancelling_and_taking_at_once_one_has_each_entry(self) -> None:
        """Both nodes claim while both take: none is had twice, none is forgotten."""
        random = Random(7)
        for round in range(15):
            ids = range(round * 100 + 1, round * 100 + 41)
            await self.a.queues.commit(putting(self.a.known, QUEUE, ids))
            await self.b.journal.run(lambda c: None)
            pairs = await self.b.pairs()
            self.clock.advance(0.01)
            claims = []
            nodes = [self.a, self.b]
            random.shuffle(nodes)
            for node in nodes:
                if random.random() < 0.7:
                    node.queues.subscribe(QUEUE, node.taker)
                some = random.sample(pairs, 25)
                claims.append(Deferred.fromCoroutine(node.queues.claim(some)))
            claimed = await gatherResults(claims)
            await self.calm()
            had = [entry.id for some in claimed for entry in some]
            had += self.a.taken() + self.b.taken()
            assert len(had) == len(set(had)), "two have the same"
            for node, some in zip(nodes, claimed, strict=True):
                await node.settle(some + node.taker.taken)
                node.taker.taken = []
                node.queues.unsubscribe(QUEUE, node.taker)
            await self.calm()
            # What nobody had goes out to whoever comes.
            self.a.queues.subscribe(QUEUE, self.a.taker)
            await self.calm()
            assert set(had) | set(self.a.taken()) == set(ids)
            await self.a.settle(self.a.taker.taken)
            self.a.taker.taken = []
            self.a.queues.unsubscribe(QUEUE, self.a.taker)
            assert await self.stored() == {}

    async def test_what_both_hand_over_goes_out_once(self) -> None:
        """Two schedulers find the same entry due; the later of them takes it from nobody."""
        await self.put(1, due=1_001_000)
        self.b.queues.subscribe(QUEUE, self.b.taker)
        page = await self.a.journal.run(lambda c: rows.due_page(c, 2_000_000))
        self.clock.advance(1.0)
        await self.calm()
        assert self.b.taken() == [1]
        later = self.a.queues._later
        later.busy = True
        later._hand_over(page)
        await self.calm()
        assert (await self.stored())[1] == (Place.HANDED, 2)
        self.a.queues.subscribe(QUEUE, self.a.taker)
        await self.calm()
        assert self.a.taken() == []

    async def test_a_taking_that_was_not_answered_is_done_again(self) -> None:
        """The connection to the store was lost after the rows were marked as taken."""
        await self.put(1)
        await self.a.journal.run(lambda c: rows.taken(c, [1], 1))
        self.a.queues.subscribe(QUEUE, self.a.taker)
        await self.calm()
        assert self.a.taken() == [1]

    async def test_a_claim_that_the_store_does_not_answer_claims_nothing(self) -> None:
        """It fails, and the entries go out."""
        await self.put(1)
        pairs = await self.a.pairs()
        run = self.a.journal.run
        self.a.journal.run = lambda function: run(lambda c: 1 // 0)  # type: ignore[assignment,method-assign]
        claim = Deferred.fromCoroutine(self.a.queues.claim(pairs))
        [(succeeded, _)] = await DeferredList([claim], consumeErrors=True)
        assert not succeeded
        self.a.journal.run = run  # type: ignore[method-assign]
        self.clock.advance(1.0)
        self.b.queues.subscribe(QUEUE, self.b.taker)
        await self.calm()
        assert self.b.taken() == [1]
