"""Retention: removes messages that ended long ago, with all that is theirs but their money.

Comes from: the clock. Goes on to: nothing; what is removed is answered as what never was.

It works between the commits of the journal and rests after each step for several times as long as
that took, so that most of the journal's time is left to messages. A pass goes through the old
messages by windows. For each it looks once through all queues for what waits there of these
messages, a page at a time, and then removes the others a few at a time. What could come to a queue
meanwhile is only what is brought again, and whoever does that is counted by ``reopened``: then the
queues are looked through anew.
"""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall, deferLater
from twisted.logger import Logger

from smsgw.identities import first_of
from smsgw.store import partitions, retention
from smsgw.store.journal import Journal
from smsgw.store.records import Records

T = TypeVar("T")
_log = Logger()

DAY_MS = 24 * 3600_000
BATCH = 500  # messages that are removed at once
_EVERY_S = 3600.0
_WINDOW = 20_000  # messages for which the queues are looked through once
_ROWS = 2_000  # that are read at once
_BATCHES = 50
_REST = 4  # times as long as a step took
_REST_LEAST_S = 0.01


class Stopped(Exception):
    """The gateway stops."""


class Retention:
    """Removes what is older than it is to be kept."""

    def __init__(
        self,
        days: int,
        journal: Journal,
        known: Records,
        reopened: Callable[[], int],
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``days`` 0: everything is kept. ``reopened`` is how often anything of a message that has
        ended was put into a queue; ``now`` gives seconds since 1970."""
        self._days = days
        self._journal = journal
        self._known = known
        self._reopened = reopened
        self._clock = clock
        self._now = now
        self._passing = LoopingCall(self._pass)
        self._passing.clock = clock
        self.removed = 0  # messages, since the start
        self.batches = 0
        self._running = False
        self._partitioned = journal.partitioned
        self._resting: Deferred[None] | None = None

    def start(self) -> None:
        """Begins."""
        if self._days or self._partitioned:
            self._running = True
            self._passing.start(_EVERY_S)

    def stop(self) -> None:
        """Ends after the step that is under way."""
        self._running = False
        if self._passing.running:
            self._passing.stop()
        if self._resting is not None:
            self._resting.cancel()

    async def _pass(self) -> None:
        before = int(self._now() * 1000) - self._days * DAY_MS
        removed = self.removed
        try:
            if self._partitioned:
                await self._partitions(before)
            if self._days:
                await self._messages(before)
                await self._batches(before)
        except (Stopped, CancelledError):
            return
        except Exception:
            _log.failure("retention: tried again in {seconds} s", seconds=_EVERY_S)
        if self.removed > removed:
            _log.info(
                "retention: {count} messages that ended more than {days} days ago are removed",
                count=self.removed - removed,
                days=self._days,
            )

    async def _partitions(self, before: int) -> None:
        """Makes the tables of the days ahead, and drops those of days that are over. What outlives
        its day's table is treated by ``_messages`` like the rest."""
        now = int(self._now() * 1000)
        await self._step(partial(partitions.prepare, now_ms=now))
        if not self._days:
            return
        below = partitions.day_of(before)
        for day in await self._step(partitions.days):
            if day >= below:
                break
            kept: list[int] = []
            count = await self._beside(partial(partitions.count, day=day))
            after: int | None = -1
            while after is not None:
                read = partial(
                    partitions.unfinished, day=day, before_ms=before, after=after, limit=_ROWS
                )
                ids, after = await self._beside(read)
                kept += ids
            # What somebody holds may be brought again at once.
            low, high = partitions.ids_of(day)
            kept += [id for id in list(self._known.known) if low <= id < high]
            left = await self._step(partial(partitions.drop, day=day, kept=kept))
            self.removed += count - left
            await self._step(partial(partitions.remove_aliases, day=day))

    async def _beside(self, work: Callable[[Connection], T]) -> T:
        """What is only looked at, beside the journal's work."""
        result: T = await self._journal.view(work)
        if not self._running:
            raise Stopped
        return result

    async def _messages(self, before: int) -> None:
        below = first_of(before)
        if self._partitioned:
            # The day that is not over goes as a whole when it is.
            below = partitions.ids_of(partitions.day_of(before))[0]
        after: int | None = -1
        while after is not None:
            ids: list[int] = []
            while after is not None and len(ids) < _WINDOW:
                page = await self._step(
                    partial(
                        retention.ended, after=after, below=below, before_ms=before, limit=_ROWS
                    )
                )
                ids += page.ids
                after = page.last
            await self._remove(ids)

    async def _remove(self, ids: list[int]) -> None:
        """Removes those of a window, in the order of their ids, of which nothing waits."""
        left = ids
        while left:
            seen = self._reopened()
            waiting = await self._waiting(left[0], left[-1])
            left = [id for id in left if id not in waiting]
            while left and self._reopened() == seen:
                # What somebody holds may be brought again at once: it has time until the next pass.
                known = self._known.known
                chunk = [id for id in left[:BATCH] if id not in known]
                left = left[BATCH:]
                self.removed += await self._step(partial(retention.remove, ids=chunk))

    async def _waiting(self, low: int, high: int) -> set[int]:
        """Which messages from ``low`` to ``high`` have entries in a queue."""
        found: set[int] = set()
        after: int | None = -1
        while after is not None:
            page = await self._step(
                partial(retention.waiting, low=low, high=high, after=after, limit=_ROWS)
            )
            found.update(page.ids)
            after = page.last
        return found

    async def _batches(self, before: int) -> None:
        below = first_of(before)
        after: int | None = -1
        while after is not None:
            page = await self._step(
                partial(retention.remove_batches, after=after, below=below, limit=_BATCHES)
            )
            self.batches += len(page.ids)
            after = page.last

    async def _step(self, work: Callable[[Connection], T]) -> T:
        """One piece of work in a transaction of its own, and the rest after it."""
        if not self._running:
            raise Stopped
        took = 0.0

        def measured(connection: Connection) -> T:
            nonlocal took
            began = time.perf_counter()
            result = work(connection)
            took = time.perf_counter() - began
            return result

        run: Awaitable[T] = self._journal.run(measured)
        result = await run
        if not self._running:
            raise Stopped
        self._resting = deferLater(self._clock, max(_REST_LEAST_S, _REST * took))
        await self._resting
        return result
