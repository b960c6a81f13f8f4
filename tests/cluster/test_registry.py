"""The registry of nodes on PostgreSQL, with a clock of the test's own."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.cluster.registry import BEAT_S, DEAD_S, SCHEDULER, Registry
from smsgw.store import lines, nodes, schema
from smsgw.store.database import StoreUnusable, open_store
from smsgw.store.journal import StoreFailed
from smsgw.store.nodes import LinkRow, NodeRow
from smsgw.store.postgresql import lock
from tests import postgresql
from tests.folders import temporary_folder


class Direct:
    """A journal without a thread; ``failing`` is why it fails."""

    def __init__(self, engine: Any) -> None:
        self.engine = engine
        self.failing = ""

    async def run(self, function: Any) -> Any:
        """See ``Journal.run``."""
        if self.failing:
            raise StoreFailed(self.failing)
        with self.engine.connect() as connection, connection.begin():
            return function(connection)


class RegistryTests(TestCase):
    """Two nodes, 0 and 1."""

    async def setUp(self) -> None:
        self.engine = postgresql.a_store(self)
        self.clock = Clock()
        self.taken: list[tuple[int, int]] = []
        self.fenced: list[int] = []
        self.a = await self.node(0)
        self.b = await self.node(1)

    async def node(self, number: int, incarnation: int = 0) -> Registry:
        """A node that has started, and wants to schedule."""
        row = NodeRow(number, f"n{number}", ("smpp",), "1", {}, 0, 0, incarnation or 100 + number)
        journal: Any = Direct(self.engine)

        def take_over(_: Any, dead: int) -> None:
            self.taken.append((number, dead))

        made = Registry(journal, self.clock, row, take_over)
        made.wanted = lambda: {SCHEDULER}
        made.fenced = lambda: self.fenced.append(number)
        await made.start()
        made._looping.stop()
        return made

    def silent(self, number: int) -> None:
        """The last sign of life of a node is older than it may be."""
        with self.engine.connect() as connection, connection.begin():
            c = schema.node.c
            old = c.seen_at - nodes.DEAD_MS - 1
            connection.execute(update(schema.node).where(c.number == number).values(seen_at=old))

    async def die(self, registry: Registry, number: int) -> None:
        """A node sees another one be silent for as long as it takes."""
        self.silent(number)
        for _ in range(round(DEAD_S / BEAT_S) + 1):
            await registry.beat()
            self.clock.advance(BEAT_S)
        await registry.beat()

    async def test_a_silent_node_is_declared_dead_once(self) -> None:
        """One of those who see it takes over what it had; its leases are free (issue 7)."""
        c = await self.node(2)
        assert self.a.held == {SCHEDULER}
        self.silent(0)
        for _ in range(round(DEAD_S / BEAT_S) + 2):
            await self.b.beat()
            await c.beat()
            self.clock.advance(BEAT_S)
        assert self.taken in ([(1, 0)], [(2, 0)])
        await self.b.beat()
        assert 0 not in self.b.alive
        assert len(self.b.held | c.held) == 1

    async def test_nobody_is_dead_for_an_outage_of_the_store(self) -> None:
        """Signs are old after it for everybody; they count from the first beat that succeeds."""
        self.silent(0)
        await self.b.beat()
        self.b._journal.failing = "away"  # type: ignore[attr-defined]
        self.clock.advance(2 * DEAD_S)
        await self.b.beat()
        self.b._journal.failing = ""  # type: ignore[attr-defined]
        await self.b.beat()
        assert self.taken == []

    async def test_who_cannot_beat_has_nothing_for_itself(self) -> None:
        """By then another node may have it: one-bind carriers are unbound."""
        told: list[set[str]] = []
        self.a.on_change(lambda: told.append(set(self.a.held)))
        self.a._journal.failing = "away"  # type: ignore[attr-defined]
        await self.a.beat()
        assert self.a.held == {SCHEDULER}
        self.clock.advance(DEAD_S)
        await self.a.beat()
        assert told == [set()]

    async def test_a_node_that_was_declared_dead_ends(self) -> None:
        """It finds its row gone, and says so once."""
        await self.die(self.b, 0)
        await self.a.beat()
        await self.a.beat()
        assert self.fenced == [0]
        assert self.a.held == set()

    async def test_what_a_node_leaves_is_anothers_at_once(self) -> None:
        """Of one that ended in order; nobody waits for it to be silent."""
        await self.a.stop()
        await self.b.beat()
        assert self.taken == [(1, 0)]
        await self.b.beat()
        assert self.b.held == {SCHEDULER}

    async def test_one_that_starts_in_a_dead_nodes_place_is_not_ended_with_it(self) -> None:
        """Others were about to declare the former one dead when its number was taken again: its
        connection stays, and what the former one had is given out at once."""
        self.silent(0)
        [former, _] = await self.b._journal.run(nodes.read)
        owner = nodes.owner_of(0)
        engine = self.engine.execution_options(owner=owner)
        line = lines.of(engine)
        self.addCleanup(line.close)
        connection = line.open()
        assert not await self.b._journal.run(lambda c: nodes.bury(c, former))
        await self.b.beat()
        assert self.taken == [(1, 0)]
        assert self.b.deaths == 0
        assert connection.execute(select(schema.commit_mark.c.over)).scalars().all() == [False]

    async def test_links_of_other_nodes_are_known(self) -> None:
        """A node without carriers accepts for one that another node is bound to."""
        north, south = (
            LinkRow(name, "1", "transceiver", "192.0.2.1", "up" if up else "waiting", up, 5)
            for name, up in (("north", True), ("south", False))
        )
        self.a.links = lambda: [north, south, north._replace(name="2")]
        await self.a.beat()
        await self.b.beat()
        assert self.b.is_up("north")
        assert not self.b.is_up("south")
        assert not self.a.is_up("north"), "its own are asked of its links"
        [told] = self.b.others()
        assert told.links == (north, south, north._replace(name="2"))
        assert told.carriers == {"north": 2, "south": 0}


class NumberTests(TestCase):
    """Two processes with one node.number."""

    def test_the_second_does_not_start(self) -> None:
        """As long as the first has the store open; the error names the remedy."""
        url = postgresql.a_database(self)
        first = postgresql.opened(self, url, nodes.owner_of(1))
        with first.connect() as connection:
            lock(connection, nodes.owner_of(1))
            with pytest.raises(StoreUnusable) as caught:
                open_store(url, Path(temporary_folder(self)), nodes.owner_of(1))
        assert "node 1 is running on this store" in str(caught.value)
        assert "node.number" in str(caught.value)
