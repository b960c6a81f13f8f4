"""What both homes of the queues share: lines in memory, and how they are given to consumers.

Theory of operation. Of each queue some entries are in memory, ``held``: those that a consumer has
(*taken*), those that somebody who is no consumer has claimed, and those that are ``ready`` in line.
``_pump`` gives the latter to consumers with room, and lets the home ask for more (``_replenish``).

Most queues wait for somebody to subscribe: a link, a session. Nobody does to those of targets, so
they are *attended*: the first entry, put or found in the store, makes the queue and its consumer,
and both go when nothing waits any more.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Generic, TypeVar

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.message import Message
from smsgw.provisioning.targets import masked
from smsgw.queues import Consumer, Entry, Transaction
from smsgw.store import schema

_log = Logger()

RESIDENT = 2_000  # entries of one queue ready in memory
LOW = 500  # with fewer ready, more are asked for
_BROKEN_MS = 60_000  # what a consumer broke on is given out again after so long


@define(eq=False)
class Line:
    """A queue as this process knows it."""

    name: str
    ready: deque[Entry] = field(factory=deque)
    held: dict[int, Entry] = field(factory=dict)
    consumers: list[Consumer] = field(factory=list)
    pumping: bool = False
    again: bool = False
    attended: bool = False
    size: int = 0  # entries in the store
    limit: int = 0  # 0: it may hold any number

    @property
    def idle(self) -> bool:
        """True if the store has no entry of it, and nothing is going on."""
        raise NotImplementedError


L = TypeVar("L", bound=Line)


class Dispatch(Generic[L]):
    """The lines of all queues."""

    def __init__(self, now: Callable[[], float], make: Callable[[str], L]) -> None:
        """``now`` gives seconds since 1970; ``make`` a queue's line."""
        self._now = now
        self._make = make
        self._queues: dict[str, L] = {}
        self._stopped = False
        self._touched: dict[str, L] = {}
        # Queues with as many entries as they may have; whoever would put more asks first.
        self.full: set[str] = set()
        # How many entries a queue may have, 0: any number.
        self.limit: Callable[[str], int] = lambda queue: 0
        # Gives a queue that comes to be its consumer, None if somebody is to subscribe.
        self.attend: Callable[[str], Consumer | None] = lambda queue: None

    # For the home

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """See ``Queues.commit``."""
        raise NotImplementedError

    def _replenish(self, q: L) -> None:
        """There may be too few ready."""

    def _returned(self, q: L, entry: Entry) -> None:
        """Somebody who had claimed the entry gives it back."""

    # For everybody

    def subscribe(self, queue: str, consumer: Consumer) -> None:
        """See ``Queues.subscribe``."""
        q = self._queue(queue)
        q.consumers.append(consumer)
        self._pump(q)

    def unsubscribe(self, queue: str, consumer: Consumer) -> None:
        """See ``Queues.unsubscribe``."""
        q = self._queue(queue)
        if consumer in q.consumers:
            q.consumers.remove(consumer)

    def pump(self, queue: str) -> None:
        """See ``Queues.pump``."""
        q = self._queues.get(queue)
        if q is not None:
            self._pump(q)

    def held(self, entry_id: int, queue: str) -> Entry | None:
        """The entry in memory with this id, if there is one."""
        q = self._queues.get(queue)
        return q.held.get(entry_id) if q is not None else None

    async def claim(self, wanted: Sequence[tuple[schema.QueueRow, Message]]) -> list[Entry]:
        """See ``Queues.claim``."""
        claimed = []
        for row, message in wanted:
            q = self._queue(row.queue)
            held = q.held.get(row.id)
            if held is not None:
                if held.taken or held.gone:
                    continue
                held.gone = True
            entry = Entry(
                row.id,
                row.queue,
                row.due,
                row.kind,
                message,
                row.part,
                row.attempts,
                row.expires_at,
                taken=True,
            )
            q.held[entry.id] = entry
            claimed.append(entry)
        return claimed

    def release(self, entries: Iterable[Entry]) -> None:
        """What was claimed goes back to its queue as it was."""
        for entry in entries:
            entry.gone = True
            q = self._queue(entry.queue)
            q.held.pop(entry.id, None)
            self._returned(q, entry)
            self._pump(q)

    def waiting(self, queue: str) -> int:
        """How many entries the queue has, due or not."""
        q = self._queues.get(queue)
        return q.size if q is not None else 0

    def give_back(self, batch: list[Entry]) -> None:
        """A consumer broke on these: they are tried again later, and hold up no other."""
        transaction = Transaction()
        due = int(self._now() * 1000) + _BROKEN_MS
        for entry in batch:
            transaction.postpone(entry, due)
        self.commit(transaction).addErrback(
            lambda failure: _log.error("given back, not stored: {why}", why=failure.value)
        )

    def review_limits(self) -> None:
        """The limits may be others now."""
        for q in self._queues.values():
            q.limit = self.limit(q.name)
            self._measure(q)

    # Inside

    def _queue(self, name: str) -> L:
        q = self._queues.get(name)
        if q is None:
            q = self._queues[name] = self._make(name)
            q.limit = self.limit(name)
            consumer = self.attend(name)
            if consumer is not None:
                q.consumers.append(consumer)
                q.attended = True
        return q

    def _measure(self, q: L) -> None:
        if q.limit and q.size >= q.limit:
            self.full.add(q.name)
        else:
            self.full.discard(q.name)

    def _pump_touched(self) -> None:
        """Once for all transactions that were committed together: a write for each link, not for
        each message."""
        touched, self._touched = self._touched, {}
        for q in touched.values():
            self._pump(q)

    def _pump(self, q: L) -> None:
        # A consumer may settle and pump again while it takes: the loop below goes round once more
        # instead.
        if q.pumping:
            q.again = True
            return
        q.pumping = True
        try:
            while self._hand_out(q) or q.again:
                q.again = False
        finally:
            q.pumping = False
        self._replenish(q)
        if q.attended and q.idle and self._queues.get(q.name) is q:
            del self._queues[q.name]
            self._touched.pop(q.name, None)

    def _hand_out(self, q: L) -> bool:
        """Gives ready entries to the consumer with the most room, what is left to the next, and so
        on: few entries are one write, many are work for all. False when there are none, or no room.
        """
        ready = q.ready
        if not ready or self._stopped:
            return False
        given = False
        for room, consumer in sorted(
            ((consumer.room, consumer) for consumer in q.consumers), key=_by_room, reverse=True
        ):
            batch: list[Entry] = []
            while ready and len(batch) < room:
                entry = ready.popleft()
                if not entry.gone:
                    entry.taken = True
                    batch.append(entry)
            if not batch:
                break
            given = True
            try:
                consumer.take(batch)
            except Exception:
                _log.failure("queue {name}: a consumer failed", name=masked(q.name))
                self.give_back(batch)
        return given


def _by_room(pair: tuple[int, Consumer]) -> int:
    return pair[0]
