"""Queues inside the store, dispatched in this process.

Theory of operation. Every entry is a row of the ``queue`` table. Those that a consumer can take
soon are also in memory: after the commit that put it, an entry that is due goes to its queue's
``ready`` line and from there straight to a consumer with room, without being read back. A queue
keeps at most RESIDENT entries ready; what comes when that is full stays in the store only, and the
queue is *behind*: it goes on by reading pages, oldest due first, until a page shows that the store
has no more. So memory is bounded by RESIDENT and the consumers' windows for each queue, however
many entries wait (I5), and the order is first in, first out either way.

``held`` are all entries in memory, ready or taken; a page skips them. An entry that comes to be
stored while a page is being read may be on neither side of it, so it marks the queue *missed*,
which makes it behind again afterwards.

Entries for later (retries, schedules) are in the store only. ``soonest`` is the time at which the
first of them is due; then the queue is behind, and the page brings it.
"""

import time
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any

from attrs import define
from sqlalchemy import Connection, and_, func, select, update
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from smsgw.message import Message
from smsgw.provisioning.targets import masked
from smsgw.queues import Entry, Transaction
from smsgw.queues.dispatch import LOW, RESIDENT, Dispatch, Line
from smsgw.store import records, schema
from smsgw.store.journal import Journal
from smsgw.store.records import Records

_log = Logger()

PAGE = 1_000
_RETRY_PAGE_S = 1.0


@define(eq=False)
class _Queue(Line):
    behind: bool = False
    missed: bool = False
    paging: bool = False
    soonest: int = 0  # 0: nothing is known to wait for a later time

    @property
    def idle(self) -> bool:
        """True if the store has no entry of it, and nothing is going on."""
        return not (
            self.held or self.ready or self.behind or self.soonest or self.paging or self.pumping
        )


class EmbeddedQueues(Dispatch[_Queue]):
    """The contract of ``smsgw.queues`` on the store."""

    def __init__(
        self,
        journal: Journal,
        known: Records,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970; ``clock`` runs the timer of entries for later."""
        super().__init__(now, _Queue)
        self._journal = journal
        self._known = known
        self._clock = clock
        self._later: list[tuple[int, str]] = []
        self._timer: IDelayedCall | None = None
        journal.after_batch = self._pump_touched

    async def load(self) -> None:
        """Learns what the store holds: every queue with entries is behind, or waits for its
        soonest."""
        q = schema.queue.c

        def read(connection: Connection) -> list[Any]:
            found = select(q.queue, func.min(q.due), func.count()).group_by(q.queue)
            return list(connection.execute(found))

        for name, due, size in await self._journal.run(read):
            found = self._queue(name)
            found.size = size
            self._measure(found)
            self._await(found, due)
            if found.attended:
                self._pump(found)

    def stop(self) -> None:
        """No entry is given out any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """See ``Queues.commit``."""
        changes = transaction.changes
        # Mostly it is one of these, and of one entry.
        if transaction.put:
            changes.entries.extend([entry.row() for entry in transaction.put])
        if transaction.settled:
            changes.settled.extend([entry.id for entry in transaction.settled])
        if transaction.postponed:
            changes.postponed.extend([(e.id, e.due, e.attempts) for e in transaction.postponed])
        done = self._journal.commit(changes)
        committed_at_once = done.called  # by a journal without a thread
        done.addCallback(self._committed, transaction)
        if committed_at_once:
            self._pump_touched()
        return done

    def resident(self) -> dict[str, tuple[int, int, bool]]:
        """For operators, by queue: entries ready, entries taken by consumers, whether more are in
        the store."""
        return {
            q.name: (len(q.ready), sum(entry.taken for entry in q.held.values()), q.behind)
            for q in self._queues.values()
        }

    def _committed(self, _: None, transaction: Transaction) -> None:
        touched = self._touched
        for entry in transaction.settled:
            entry.gone = True
            q = self._queue(entry.queue)
            q.held.pop(entry.id, None)
            q.size -= q.size > 0  # an entry may be settled twice
            if self.full:
                self._measure(q)
        now = int(self._now() * 1000)
        for entry in transaction.postponed:
            # Later it is read back as a new Entry; what is left of this one in a line is skipped.
            entry.gone = True
            q = self._queue(entry.queue)
            q.held.pop(entry.id, None)
            if entry.due > now:
                self._await(q, entry.due)
            else:
                self._fall_behind(q)
                touched[q.name] = q
        for entry in transaction.put:
            name = entry.queue
            q = touched.get(name) or touched.setdefault(name, self._queue(name))
            q.size += 1
            if q.size == q.limit:
                self.full.add(name)
            if entry.due > now:
                self._await(q, entry.due)
            elif q.behind or len(q.ready) >= RESIDENT:
                self._fall_behind(q)
            else:
                q.held[entry.id] = entry
                q.ready.append(entry)
        for follow in transaction.after:
            follow()

    def hurry(self, queue: str) -> None:
        """What waits in a queue for a later time is due now."""
        q = self._queue(queue)
        if not q.soonest or self._stopped:
            return
        now = int(self._now() * 1000)
        c = schema.queue.c

        def bring_forward(connection: Connection) -> None:
            later = and_(c.queue == queue, c.due > now)
            connection.execute(update(schema.queue).where(later).values(due=now))

        def done(_: None) -> None:
            q.soonest = 0
            self._fall_behind(q)
            self._pump(q)

        self._journal.run(bring_forward).addCallbacks(
            done, lambda failure: _log.error("queue {name}: {why}", name=queue, why=failure.value)
        )

    def _fall_behind(self, q: _Queue) -> None:
        q.behind = True
        if q.paging:
            q.missed = True

    def _await(self, q: _Queue, due: int) -> None:
        if due <= self._now() * 1000:
            self._fall_behind(
                q
            )  # it became due while it was read, and comes before what is put now
        elif not q.soonest or due < q.soonest:
            q.soonest = due
            heappush(self._later, (due, q.name))
            self._set_timer()

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._later and not self._stopped:
            # A wall clock that is set forward must not make a retry late: look once a minute.
            delay = min(60.0, max(0.0, self._later[0][0] / 1000 - self._now()))
            self._timer = self._clock.callLater(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        now = int(self._now() * 1000)
        while self._later and self._later[0][0] <= now:
            due, name = heappop(self._later)
            q = self._queues.get(name)
            if q is not None and q.soonest == due:
                q.soonest = 0
                self._fall_behind(q)
                self._pump(q)
        self._set_timer()

    def _replenish(self, q: _Queue) -> None:
        wanted = q.behind and q.consumers and len(q.ready) < LOW
        if wanted and not q.paging and not self._stopped:
            self._page(q)

    def _returned(self, q: _Queue, entry: Entry) -> None:
        self._await(q, entry.due)

    def _page(self, q: _Queue) -> None:
        q.paging = True
        q.missed = False
        now = int(self._now() * 1000)
        limit = len(q.held) + PAGE
        held = set(q.held)
        done = self._journal.run(
            lambda connection: _read_page(connection, q.name, now, limit, held)
        )
        done.addCallbacks(self._paged, self._page_failed, callbackArgs=(q, limit), errbackArgs=(q,))

    def _paged(
        self, page: tuple[int, list[Any], list[Message], int], q: _Queue, limit: int
    ) -> None:
        rows, fresh, messages, soonest = page
        q.paging = False
        known = self._known.adopt(messages)
        for r in fresh:
            message = known.get(r.message)
            if message is None or r.id in q.held:
                continue
            entry = Entry(r.id, q.name, r.due, r.kind, message, r.part, r.attempts, r.expires_at)
            q.held[entry.id] = entry
            q.ready.append(entry)
        q.behind = q.missed or rows >= limit
        if soonest:
            self._await(q, soonest)
        self._pump(q)

    def _page_failed(self, failure: Any, q: _Queue) -> None:
        why = failure.getErrorMessage()
        _log.error("queue {queue}: not read: {why}", queue=masked(q.name), why=why)

        def again() -> None:
            q.paging = False
            self._pump(q)

        self._clock.callLater(_RETRY_PAGE_S, again)


def _read_page(
    connection: Connection, name: str, now: int, limit: int, held: set[int]
) -> tuple[int, list[Any], list[Message], int]:
    """How many rows there were, the rows not held with their messages, and when the next later one
    is due."""
    q = schema.queue.c
    mine = q.queue == name
    due = select(schema.queue).where(and_(mine, q.due <= now)).order_by(q.due, q.id).limit(limit)
    rows = list(connection.execute(due))
    fresh = [r for r in rows if r.id not in held]
    messages = records.read(connection, list({r.message for r in fresh}))
    soonest = connection.execute(select(func.min(q.due)).where(and_(mine, q.due > now))).scalar()
    return len(rows), fresh, messages, soonest or 0
