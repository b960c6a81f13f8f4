"""Registry: the nodes that share a store, as one of them knows them.

Theory of operation. Every ``BEAT_S`` a node writes a sign of life into its row, by the store's
clock, and reads the rows of the others. Who sees that another one's sign has not changed for
``DEAD_S``, through as many beats of its own, declares it dead: one guarded statement, so one node
does it, and in the same transaction what the dead one had is given out again. A beat that fails
starts that time anew: after an outage of the store all signs are old, and nobody is dead for it.

A node that could not beat for ``DEAD_S`` has nothing for itself any more (``held`` is empty): by
then another one may have it. Once it finds its row gone it was declared dead. Then nothing that it
writes is taken (``store.nodes.bury``, ``store.postgresql``), so it ends.
"""

from collections.abc import Callable, Sequence, Set
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from smsgw.store import nodes
from smsgw.store.journal import Journal, StoreFailed
from smsgw.store.nodes import Fenced, LinkRow, NodeRow

_log = Logger()

BEAT_S = 2.0
DEAD_S = nodes.DEAD_MS / 1000
SCHEDULER = "scheduler"  # the lease of what one node does for all


def of_carrier(name: str) -> str:
    """The lease of a carrier that takes one bind."""
    return f"carrier:{name}"


class Registry:
    """The nodes of one store."""

    def __init__(
        self,
        journal: Journal,
        clock: IReactorTime,
        row: NodeRow,
        take_over: Callable[[Any, int], object],
    ) -> None:
        """``row`` is this node's; ``take_over(connection, number)`` gives out what a dead node had,
        in the transaction that declares it dead."""
        self.number = row.number
        self.row = row
        # By number, this one too.
        self.alive: dict[int, NodeRow] = {row.number: row}
        self.leases: dict[str, int] = {}  # name -> number of the node that has it
        self._journal = journal
        self._clock = clock
        self._take_over = take_over
        self._callbacks: list[Callable[[], object]] = []
        # Called with each node whose end this one has declared.
        self.buried: Callable[[NodeRow], object] = lambda row: None
        self.fenced: Callable[[], object] = lambda: None
        # What the beat tells and asks for.
        self.links: Callable[[], Sequence[LinkRow]] = tuple
        self.wanted: Callable[[], Set[str]] = set
        self._signs: dict[int, tuple[int, int, float]] = {}  # incarnation, seen_at, since when
        self._seen = 0.0  # the last beat of this node
        self._missed = False
        self._stopped = False
        self._looping = LoopingCall(self.beat)
        self._looping.clock = clock
        self.deaths = 0  # declared by this node, for operators

    @property
    def held(self) -> Set[str]:
        """The leases that this node has."""
        return {name for name, node in self.leases.items() if node == self.number}

    def is_up(self, carrier: str) -> bool:
        """True if another living node has a link of the carrier up."""
        return any(row.carriers.get(carrier) for n, row in self.alive.items() if n != self.number)

    def others(self) -> list[NodeRow]:
        """The other living nodes, by number."""
        return [row for n, row in sorted(self.alive.items()) if n != self.number]

    def on_change(self, callback: Callable[[], object]) -> None:
        """``callback`` is called when nodes came or went, or leases moved."""
        self._callbacks.append(callback)

    async def start(self) -> None:
        """This node is there; returns when it knows the others."""
        row = self.row
        await self._journal.run(lambda connection: nodes.register(connection, row))
        self._seen = self._clock.seconds()
        await self.beat()
        self._looping.start(BEAT_S, now=False)

    async def stop(self) -> None:
        """This node ends in order."""
        self._stopped = True
        if self._looping.running:
            self._looping.stop()
        row = self.row
        try:
            await self._journal.run(lambda c: nodes.leave(c, row.number, row.incarnation))
        except StoreFailed as error:
            _log.warn(
                "node {number}: others find out that it ended: {why}", number=row.number, why=error
            )

    async def beat(self) -> None:
        """Gives a sign of life, and looks for those of the others."""
        links, wanted, row = [*self.links()], set(self.wanted()), self.row
        try:
            told = await self._journal.run(
                lambda c: nodes.beat(c, row.number, row.incarnation, links, wanted)
            )
        except Fenced:
            self._end()
        except StoreFailed as error:
            if str(error) == nodes.FENCED:
                self._end()
            else:
                self._miss(str(error))
        except Exception:
            _log.failure("node {number}: no sign of life", number=row.number)
            self._miss("see above")
        else:
            self._heard(told)
            for one in self._dead(told.nodes):
                await self._bury(one)

    def _heard(self, told: nodes.Beat) -> None:
        now = self._clock.seconds()
        if self._missed:
            # Others could not beat either, perhaps: they have their time from now on.
            self._signs.clear()
            _log.info("node {number}: the store answers again", number=self.number)
        self._missed = False
        self._seen = now
        self._become({one.number: one for one in told.nodes if one.seen_at}, told.leases)

    def _miss(self, why: str) -> None:
        if not self._missed:
            _log.warn("node {number}: no sign of life: {why}", number=self.number, why=why)
        self._missed = True
        if self._clock.seconds() - self._seen >= DEAD_S:
            self._become(self.alive, {n: o for n, o in self.leases.items() if o != self.number})

    def _become(self, alive: dict[int, NodeRow], leases: dict[str, int]) -> None:
        before = self._picture()
        self.alive, self.leases = alive, leases
        if before != self._picture():
            for callback in self._callbacks:
                callback()

    def _picture(self) -> object:
        return {n: row.incarnation for n, row in self.alive.items()}, self.leases

    def _dead(self, rows: list[NodeRow]) -> list[NodeRow]:
        now = self._clock.seconds()
        signs = {}
        found = []
        for row in rows:
            incarnation, seen_at, since = self._signs.get(row.number, (0, 0, now))
            if (incarnation, seen_at) != (row.incarnation, row.seen_at):
                since = now
            signs[row.number] = row.incarnation, row.seen_at, since
            silent = row.seen_at == nodes.LEFT or now - since >= DEAD_S
            if silent and row.number != self.number:
                found.append(row)
        self._signs = signs
        return found

    async def _bury(self, dead: NodeRow) -> None:
        def end(connection: Any) -> bool:
            won = nodes.bury(connection, dead)
            if won:
                self._take_over(connection, dead.number)
            return won

        try:
            won = await self._journal.run(end)
        except Exception as error:
            _log.warn(
                "node {number} is dead, what it had is not given out yet: {why}",
                number=dead.number,
                why=error,
            )
            return
        if not won:
            return
        self.deaths += dead.seen_at != nodes.LEFT
        if dead.seen_at == nodes.LEFT:
            _log.info("node {number} ({name}) has ended", number=dead.number, name=dead.name)
        else:
            _log.warn(
                "node {number} ({name}) gave no sign of life for {seconds:g} s: it is declared "
                "dead, and what it had is given out again",
                number=dead.number,
                name=dead.name,
                seconds=DEAD_S,
            )
        alive = {n: one for n, one in self.alive.items() if n != dead.number}
        self._become(alive, {n: o for n, o in self.leases.items() if o != dead.number})
        self.buried(dead)

    def _end(self) -> None:
        if self._stopped:
            return
        self._stopped = True
        if self._looping.running:
            self._looping.stop()
        _log.critical(
            "node {number}: {why}, since it gave no sign of life for {seconds:g} s: it ends, start "
            "it again",
            number=self.number,
            why=nodes.FENCED,
            seconds=DEAD_S,
        )
        self._become({}, {})
        self.fenced()
