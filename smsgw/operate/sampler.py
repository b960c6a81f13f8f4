"""Figures that nobody counts as they happen: how long queues are, and how late the reactor is."""

import time
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, select
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from smsgw.figures import SECONDS, Histogram
from smsgw.operate import views
from smsgw.operate.operator import QueueView
from smsgw.store import schema

if TYPE_CHECKING:
    from smsgw.service import Gateway

_log = Logger()

QUEUES_S = 15.0  # how often queues are counted
# Counting holds up the journal, so that it takes at most a hundredth of its time: where there is
# much to count it is done less often.
_SHARE = 0.01
LAG_S = 0.25  # how often the reactor's lateness is looked at


class Sampler:
    """Looks at a gateway from time to time."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self.queues: list[QueueView] = []
        self.dead = 0
        self.lag = Histogram(SECONDS)
        self._due = 0.0
        self._looking = LoopingCall(self._look)
        self._next: IDelayedCall | None = None
        self._running = False

    def start(self) -> None:
        """Looks from now on, until ``stop``."""
        reactor = self._gateway.reactor
        self._running = True
        self._due = reactor.seconds() + LAG_S
        self._looking.clock = reactor
        self._looking.start(LAG_S, now=False)
        self._count()

    def stop(self) -> None:
        """Looks no more."""
        self._running = False
        if self._looking.running:
            self._looking.stop()
        if self._next is not None and self._next.active():
            self._next.cancel()

    def _look(self) -> None:
        now = self._gateway.reactor.seconds()
        self.lag.add(max(0.0, now - self._due))
        self._due = now + LAG_S

    def _count(self) -> None:
        now_ms = int(time.time() * 1000)
        done = self._gateway.journal.view(lambda connection: _counted(connection, now_ms))
        done.addCallbacks(self._counted, self._failed).addCallback(self._again)

    def _counted(self, found: tuple[list[QueueView], int, float]) -> float:
        self.queues, self.dead, took = found
        return took

    def _failed(self, failure: object) -> float:
        _log.error("queues: not counted: {why}", why=getattr(failure, "value", failure))
        return 0.0

    def _again(self, took: float) -> None:
        if self._running:
            wait = max(QUEUES_S, took / _SHARE)
            self._next = self._gateway.reactor.callLater(wait, self._count)


def _counted(connection: Connection, now_ms: int) -> tuple[list[QueueView], int, float]:
    started = time.perf_counter()
    queues = views.read_queues(connection, now_ms)
    dead = connection.execute(select(func.count()).select_from(schema.dead)).scalar() or 0
    return queues, dead, time.perf_counter() - started
