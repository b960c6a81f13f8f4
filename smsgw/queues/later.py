"""Entries for later of the queues on a broker: the scheduler hands them over when they are due.

Theory of operation. They are in the store only. ``_soonest`` is the time at which the first of them
is due, as far as is known; then a page of those that are due is read, and one transaction notes
that they are handed over and writes their batches to the outbox. Of two nodes that do so at once
the later one changes nothing of what is handed over or taken already, and the batches that there
are twice do no harm. Where the store is shared others may put entries for later, so it looks once a
second.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from smsgw.queues import rows
from smsgw.queues.outbox import OutboxRow
from smsgw.queues.rows import LATER
from smsgw.store.changes import Changes
from smsgw.store.journal import Journal

_log = Logger()

_AGAIN_S = 1.0  # after what failed
_LOOK_S = 1.0  # where others may put entries for later


class Later:
    """Hands over what is due."""

    def __init__(
        self,
        journal: Journal,
        clock: IReactorTime,
        now: Callable[[], float],
        shared: bool,
        held: Callable[[int, str], object],
        batches: Callable[[dict[str, list[int]]], list[OutboxRow]],
        handed: Callable[[list[str], list[OutboxRow]], None],
    ) -> None:
        """``held`` says whether an entry is in memory; ``batches`` makes the outbox's rows of
        entries by queue; ``handed`` is told of them when they are stored."""
        self._journal = journal
        self._clock = clock
        self._now = now
        self._shared = shared
        self._held = held
        self._batches = batches
        self._handed = handed
        self._soonest: int | None = None  # nothing is known to be for later
        self._timer: IDelayedCall | None = None
        self._again = self._stopped = False
        self.busy = False
        self.does = True  # False where other nodes do it

    def stop(self) -> None:
        """Nothing is handed over any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def at(self, due: int) -> None:
        """Something is due then (ms)."""
        if self._soonest is None or due < self._soonest:
            self._soonest = due
            self._set_timer()

    def at_once(self) -> None:
        """Something is due."""
        self.at(int(self._now() * 1000))

    def soon(self) -> None:
        """Something is to be tried again."""
        self.at(int((self._now() + _AGAIN_S) * 1000))

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._stopped or not self.does or (self._soonest is None and not self._shared):
            return
        # A wall clock that is set forward must not make a retry late: look once a minute.
        delay = 60.0
        if self._soonest is not None:
            delay = min(delay, max(0.0, self._soonest / 1000 - self._now()))
        if self._shared:
            delay = min(delay, _LOOK_S)
        self._timer = self._clock.callLater(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        now = int(self._now() * 1000)
        if not self._shared and (self._soonest is None or self._soonest > now):
            self._set_timer()
        elif self.busy:
            self._again = True
        else:
            self._soonest = None
            self.busy = True
            self._journal.run(lambda connection: rows.due_page(connection, now)).addCallbacks(
                self._hand_over, self._not_done
            )

    def _hand_over(self, page: tuple[list[Any], int]) -> None:
        due, next_due = page
        if next_due:
            self.at(next_due)
        handed: dict[str, list[int]] = {}
        changes = Changes()
        for row in due:
            if self._held(row.id, row.queue) is not None:
                self.soon()  # claimed
                continue
            handed.setdefault(row.queue, []).append(row.id)
            changes.handed.append((row.id, LATER, 0, row.attempts))
        if not handed:
            self._done()
            return
        batches = self._batches(handed)
        changes.outbox += batches

        def stored(_: None) -> None:
            self._handed(list(handed), batches)
            if len(due) == rows.PAGE:
                self.at(due[-1].due)
            self._done()

        self._journal.commit(changes).addCallbacks(stored, self._not_done)

    def _done(self) -> None:
        self.busy = False
        if self._again:
            self._again = False
            self.at_once()
        self._set_timer()

    def _not_done(self, failure: Any) -> None:
        _log.error("entries that are due: not read: {why}", why=failure.getErrorMessage())
        self.soon()
        self._done()
