"""The outbox: what is committed and not yet with the broker.

Theory of operation. The transaction that puts entries also writes a row of ``outbox`` for each
batch of them. After the commit it is published; when the broker has confirmed it, the row is
removed with a transaction to come. So whatever ends before its confirm, this process or the broker,
the row is published again, and what was published twice is skipped by who takes it.

A queue that the broker does not know is made when a batch comes back (``Returned``). Until it is
there, its other batches are held back, so that they keep their order.

At most ``RESIDENT`` rows are in memory; beyond that the outbox is *behind*, and reads them when
there is room again.
"""

import struct
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, func, select
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.amqp.errors import Returned
from smsgw.provisioning.targets import masked
from smsgw.store import schema
from smsgw.store.journal import Changes, Journal

_log = Logger()

LARGEST = 100  # entries of one batch
RESIDENT = 2_000  # rows in memory
PAGE = 1_000
_AGAIN_S = 1.0  # after what failed
_FORM = b"\x01"  # the first octet of a batch: how it is written

OutboxRow = tuple[int, int, str, bytes]
_Batch = tuple[int, str, bytes]  # id, queue, body


def pack(ids: Sequence[int]) -> bytes:
    """A batch of entries as an AMQP message has it."""
    return _FORM + struct.pack(f">{len(ids)}q", *ids)


def unpack(body: bytes) -> list[int]:
    """The ids of a batch's entries. Raises ``ValueError``."""
    if body[:1] == _FORM and len(body) % 8 == 1 and 8 < len(body) <= 1 + 8 * LARGEST:
        ids = list(struct.unpack(f">{len(body) // 8}q", body[1:]))
        if min(ids) >= 0:
            return ids
    raise ValueError("no batch of entries")


class Publisher(Protocol):
    """The way to the broker."""

    @property
    def room(self) -> int:
        """How many batches can be published now; 0 while there is no connection."""

    @property
    def answers(self) -> bool:
        """False while there is no connection, or the broker says that it takes nothing."""

    def publish(self, queue: str, body: bytes) -> "Deferred[None]":
        """Fires when the broker has the batch. Fails with ``Returned`` if it knows no such queue,
        and with others if it may have the batch or not."""

    def make(self, queue: str) -> "Deferred[None]":
        """Fires when the queue is there."""


class Outbox:
    """What is to be published by this node."""

    def __init__(
        self, journal: Journal, clock: IReactorTime, publisher: Publisher, node: int
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._publisher = publisher
        self._node = node
        self._waiting: deque[_Batch] = deque()
        self._under_way: dict[int, str] = {}
        self._looked_at: set[int] = set()  # of those, the last time that ``stuck`` was asked
        self._held_back: dict[str, list[_Batch]] = {}  # of queues that are being made
        self._made: set[str] = set()  # those of them that are asked for
        self._behind = False
        self._reading = self._missed = self._going = False
        self._confirmed: list[int] = []  # to be removed
        self._removing: set[int] = set()
        self._timer: IDelayedCall | None = None
        self._stopped = False
        self.entries = 0  # not confirmed yet
        self.changed: Callable[[], None] = lambda: None  # told when ``entries`` is another
        # For operators, since the start.
        self.published = 0
        self.failures = 0

    @property
    def idle(self) -> bool:
        """True if the broker has everything, and nothing is left to be removed."""
        return not (
            self._waiting
            or self._under_way
            or self._held_back
            or self._behind
            or self._reading
            or self._confirmed
            or self._removing
        )

    async def load(self) -> None:
        """What the last run has left is published."""
        c = schema.outbox.c
        query = select(func.coalesce(func.sum((func.length(c.body) - 1) / 8), 0)).where(
            c.node == self._node
        )
        left = await self._journal.run(lambda connection: connection.execute(query).scalar())
        self.entries = int(left or 0)
        self._behind = self._missed = True
        self.changed()
        self.go()

    def stop(self) -> None:
        """Nothing is published any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def add(self, rows: Sequence[OutboxRow]) -> None:
        """These have been committed; ``go`` publishes them."""
        for id, _, queue, body in rows:
            self.entries += len(body) // 8
            if self._behind or len(self._waiting) >= RESIDENT:
                self._behind = True
                self._missed = True
            else:
                self._waiting.append((id, queue, body))
        self.changed()

    def go(self) -> None:
        """Publishes what there is room for."""
        if self._stopped or self._going:
            return
        self._going = True
        while self._waiting and (room := self._publisher.room) > 0:
            for _ in range(min(room, len(self._waiting))):
                row = self._waiting.popleft()
                if row[1] in self._held_back:
                    self._held_back[row[1]].append(row)
                    continue
                self._under_way[row[0]] = row[1]
                self._publisher.publish(row[1], row[2]).addCallbacks(
                    self._has, self._has_not, callbackArgs=(row,), errbackArgs=(row,)
                )
                if not self._waiting:
                    break
            if self._timer is not None:
                break  # something failed
        self._going = False
        if self._behind and not self._waiting and not self._reading:
            self._read()

    def _has(self, _: None, row: _Batch) -> None:
        del self._under_way[row[0]]
        self.published += 1
        self.entries -= len(row[2]) // 8
        self.changed()
        self._confirmed.append(row[0])
        if not self._removing:
            self._remove()
        if self._held_back:
            self._make(row[1])
        if self._waiting or self._behind:
            self.go()

    def _has_not(self, failure: Any, row: _Batch) -> None:
        del self._under_way[row[0]]
        self.failures += 1
        if self._stopped:
            return
        if failure.check(Returned):
            self._held_back.setdefault(row[1], []).append(row)
        else:
            _log.debug("batch {id}: not published: {why}", id=row[0], why=failure.value)
            # Several fail together, in any order: they go again in theirs.
            self._put_back([row])
            self._later()
        if self._held_back:
            self._make(row[1])

    def _put_back(self, rows: list[_Batch]) -> None:
        waiting = self._waiting
        waiting.extendleft(reversed(rows))
        if len(waiting) > len(rows) and waiting[len(rows) - 1][0] > waiting[len(rows)][0]:
            self._waiting = deque(sorted(waiting))

    def _make(self, queue: str) -> None:
        """Once no batch of it is under way: then all of them are known to come."""
        if (
            queue in self._held_back
            and queue not in self._made
            and queue not in self._under_way.values()
        ):
            self._made.add(queue)
            self._publisher.make(queue).addBoth(self._has_made, queue)

    def _has_made(self, result: Any, queue: str) -> None:
        self._made.discard(queue)
        self._put_back(sorted(self._held_back.pop(queue)))
        if isinstance(result, Failure):
            _log.warn("queue {name}: not made: {why}", name=masked(queue), why=result.value)
            self._later()
        else:
            self.go()

    def unsent(self, queue: str) -> list[int]:
        """Entries of the queue that are still to be published, as far as they are in memory."""
        rows = [*self._waiting, *self._held_back.get(queue, ())]
        return [id for row in rows if row[1] == queue for id in unpack(row[2])]

    def stuck(self) -> list[str]:
        """Queues with batches that were under way already when this was asked before, unless the
        broker takes nothing at all now."""
        if not self._publisher.answers:
            self._looked_at = set()
            return []
        queues = {queue for id, queue in self._under_way.items() if id in self._looked_at}
        self._looked_at = set(self._under_way)
        return sorted(queues)

    def _later(self) -> None:
        if self._timer is None and not self._stopped:
            self._timer = self._clock.callLater(_AGAIN_S, self._again)

    def _again(self) -> None:
        self._timer = None
        self.go()

    def _remove(self) -> None:
        ids, self._confirmed = self._confirmed, []
        self._removing = set(ids)
        done = self._journal.commit(Changes(published=ids, soon=True))
        done.addCallbacks(self._removed, self._not_removed, errbackArgs=(ids,))

    def _removed(self, _: None) -> None:
        self._removing = set()
        if self._confirmed:
            self._remove()

    def _not_removed(self, failure: Any, ids: list[int]) -> None:
        # The broker has them: to publish them again would do no harm, and no good.
        self._confirmed += ids
        if not self._stopped:
            self._clock.callLater(_AGAIN_S, self._removed, None)

    def _read(self) -> None:
        self._reading = True
        self._missed = False
        known = {*self._under_way, *self._confirmed, *self._removing}
        limit = PAGE + len(known)
        node = self._node

        def read(connection: Connection) -> list[Any]:
            o = schema.outbox
            query = select(o).where(o.c.node == node).order_by(o.c.id).limit(limit)
            return list(connection.execute(query))

        self._journal.run(read).addCallbacks(
            self._found, self._unreadable, callbackArgs=(known, limit)
        )

    def _found(self, rows: list[Any], known: set[int], limit: int) -> None:
        self._reading = False
        known |= {*self._under_way, *self._confirmed, *self._removing}
        known |= {row[0] for row in self._waiting}
        known |= {row[0] for rows in self._held_back.values() for row in rows}
        self._waiting.extend((r.id, r.queue, r.body) for r in rows if r.id not in known)
        self._behind = self._missed or len(rows) == limit
        if self._waiting:
            self.go()
        elif self._behind:
            self._later()

    def _unreadable(self, failure: Any) -> None:
        self._reading = False
        _log.error("outbox: not read: {why}", why=failure.getErrorMessage())
        self._later()
