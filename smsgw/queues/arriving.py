"""What a broker delivers: batches that arrive, what of them is taken, and what is let go of.

Theory of operation. A batch that is delivered waits in ``arrived`` until there are few entries
ready. Then its rows are read with their messages. What has no row is settled, and is skipped; so is
what is not HANDED any more, and what another node has. The rest is ready for consumers with room.

Where several nodes share the store, its rows say who has what: one statement takes those that
nobody has for this node, and tells which these were. Whatever is had without a consumer (a claim)
is taken in the same way, so of two nodes only one gets an entry, whatever they do with it. A
statement whose end is unknown, for a connection that was lost, is done again: what is marked as
this node's, and not in its memory, is nobody else's.

A batch is acknowledged when each of its entries is settled, postponed or skipped, and that is
durable. Acknowledgements may be lost, and batches come twice or more: an entry that is held
belongs to the batch that came last (``batches``), and one that is done has no row.

With the last consumer of a queue its channel is closed: all that it had comes again to whoever
subscribes, here or on another node, in its order; what was ready is let go of.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smsgw.message import Message
from smsgw.provisioning.targets import masked
from smsgw.queues import Entry, rows
from smsgw.queues.dispatch import LOW, Dispatch, Line
from smsgw.queues.later import Later
from smsgw.queues.outbox import Publisher
from smsgw.store import schema
from smsgw.store.journal import Journal
from smsgw.store.records import Records

_log = Logger()

TOGETHER = 500  # entries that are read at once
_AGAIN_S = 1.0  # after what failed


@define(eq=False)
class Batch:
    """A delivery of the broker: ids of entries. ``ack`` is called once all are done."""

    ids: list[int]
    ack: Callable[[], None]
    left: int = 0

    def done(self, count: int = 1) -> None:
        """So many of its entries need it no more."""
        self.left -= count
        if not self.left:
            self.ack()


class Wire(Publisher, Protocol):
    """The way to the broker and from it (``wire.py``)."""

    def attend(self, queue: str, arrived: Callable[[list[Batch]], None]) -> None:
        """``arrived`` is given the queue's batches, those under way bounded, until ``leave``."""

    def leave(self, queue: str, linger: bool) -> None:
        """No more batches; what was not acknowledged goes back. With ``linger`` that may be some
        time later, and ``attend`` before that finds it as it was."""

    def renew(self, queue: str) -> None:
        """The queue is attended anew: nothing comes, and there is something."""

    def mend(self, queue: str) -> None:
        """The queue is made anew: it takes nothing."""


@define(eq=False)
class BrokerLine(Line):
    """A queue on a broker as this process knows it."""

    arrived: deque[Batch] = field(factory=deque)
    batches: dict[int, Batch] = field(factory=dict)  # of what is held
    reading: bool = False
    asked: Collection[int] = ()  # what is being read
    attending: bool = False

    @property
    def idle(self) -> bool:
        """See ``Line``."""
        return not (self.held or self.arrived or self.reading or self.pumping or self.size > 0)


class Arriving(Dispatch[BrokerLine]):
    """The lines of queues on a broker."""

    _journal: Journal
    _known: Records
    _clock: IReactorTime
    _wire: Wire
    _later: Later
    _me: int  # this node's mark in ``taken``
    _shared: bool  # whether other nodes have the same store

    def _leaving(self, q: BrokerLine) -> None:
        if q.attending and not q.consumers:
            self._leave(q)

    # What the broker delivers

    def _replenish(self, q: BrokerLine) -> None:
        if self._stopped:
            return
        if q.consumers and not q.attending:
            q.attending = True
            self._wire.attend(q.name, lambda batches: self._arrived(q.name, batches))
        elif q.attended and q.idle and q.attending:
            q.attending = False
            self._wire.leave(q.name, linger=True)
        if q.arrived and q.consumers and not q.reading and len(q.ready) < LOW:
            self._read(q)

    def _arrived(self, name: str, batches: list[Batch]) -> None:
        q = self._queue(name)
        q.attending = True
        for batch in batches:
            batch.left = len(batch.ids)
        q.arrived.extend(batches)
        self._pump(q)

    def _read(self, q: BrokerLine) -> None:
        """Entries of the batches that came first."""
        batches: list[Batch] = []
        wanted: dict[int, Batch] = {}
        while q.arrived and len(wanted) < TOGETHER:
            batch = q.arrived.popleft()
            batches.append(batch)
            for id in batch.ids:
                if id in q.held:
                    self._attach(q, id, batch)
                elif id in wanted:
                    wanted[id].done()  # it came again before it was read
                    wanted[id] = batch
                else:
                    wanted[id] = batch
        if not wanted:
            self._again_pump(q)
            return
        q.reading = True
        q.asked = wanted
        ids = list(wanted)
        me = self._me if self._shared else 0
        self._journal.run(lambda connection: rows.taken(connection, ids, me)).addCallbacks(
            self._found,
            self._unreadable,
            callbackArgs=(q, wanted),
            errbackArgs=(q, batches, wanted),
        )

    def _again_pump(self, q: BrokerLine) -> None:
        if q.arrived:
            self._clock.callLater(0, self._pump, q)

    def _attach(self, q: BrokerLine, id: int, batch: Batch) -> None:
        """The entry, which is held, belongs to this batch from now on."""
        before = q.batches.get(id)
        q.batches[id] = batch
        if before is not None:
            before.done()

    def _found(
        self, found: tuple[list[Any], list[Message]], q: BrokerLine, wanted: dict[int, Batch]
    ) -> None:
        read, messages = found
        q.reading = False
        q.asked = ()
        known = self._known.adopt(messages)
        by_id = {row.id: row for row in read}
        for id, batch in wanted.items():
            if id in q.held:  # claimed in the meantime
                self._attach(q, id, batch)
                continue
            row = by_id.get(id)
            message = known.get(row.message) if row is not None else None
            if row is None or message is None or not q.consumers:
                # Settled, or somebody else's. Without a consumer the channel is closed: what it had
                # comes again.
                batch.done()
                continue
            entry = Entry(
                id, q.name, row.due, row.kind, message, row.part, row.attempts, row.expires_at
            )
            q.held[id] = entry
            q.batches[id] = batch
            q.ready.append(entry)
        if not q.consumers and self._shared:
            self._free([id for id in by_id if id not in q.held])
        self._pump(q)

    def _unreadable(
        self, failure: Any, q: BrokerLine, batches: list[Batch], wanted: dict[int, Batch]
    ) -> None:
        why = failure.getErrorMessage()
        _log.error("queue {queue}: not read: {why}", queue=masked(q.name), why=why)

        def again() -> None:
            q.reading = False
            for batch in reversed(batches):
                batch.ids = [id for id in batch.ids if wanted.get(id) is batch]
                if batch.ids:
                    q.arrived.appendleft(batch)
            self._pump(q)

        self._clock.callLater(_AGAIN_S, again)

    def _leave(self, q: BrokerLine) -> None:
        """Nobody is here for the queue any more."""
        q.attending = False
        self._wire.leave(q.name, linger=False)
        q.arrived.clear()
        let_go = []
        for entry in q.ready:
            if not entry.gone:
                entry.gone = True
                let_go.append(entry.id)
                q.held.pop(entry.id, None)
                q.batches.pop(entry.id, None)
        q.ready.clear()
        if self._shared and let_go:
            self._free(let_go)

    def _free(self, ids: list[int]) -> None:
        """Whoever comes may have these."""

        def failed(failure: Any) -> None:
            _log.error("entries: not let go: {why}", why=failure.value)
            if not self._stopped:
                self._clock.callLater(_AGAIN_S, again)

        def again() -> None:
            # What has come again meanwhile is had.
            had = {id for q in self._queues.values() for id in (*q.held, *q.asked)}
            self._free([id for id in ids if id not in had])

        self._journal.run(lambda c: rows.free(c, ids, self._me)).addCallbacks(
            lambda _: self._later.at_once(), failed
        )

    # What is had without a consumer

    async def claim(self, wanted: Sequence[tuple[schema.QueueRow, Message]]) -> list[Entry]:
        """See ``Queues.claim``."""
        mine = [pair for pair in wanted if pair[0].taken in (0, self._me)]
        claimed = await super().claim(mine)
        if not (self._shared and claimed):
            return claimed
        attempts = {entry.id: entry.attempts for entry in claimed}
        try:
            taken = await self._journal.run(lambda c: rows.claim(c, attempts, self._me))
        except Exception:
            self.release(claimed)
            raise
        elsewhere = [entry for entry in claimed if entry.id not in taken]
        self._unclaim(elsewhere)
        return [entry for entry in claimed if entry.id in taken]

    def release(self, entries: Iterable[Entry]) -> None:
        """See ``Queues.release``."""
        if not self._shared:
            super().release(entries)
        elif released := list(entries):
            self._unclaim(released)
            self._free([entry.id for entry in released])

    def _unclaim(self, entries: list[Entry]) -> None:
        """They are nobody's here."""
        for entry in entries:
            entry.gone = True
            q = self._queue(entry.queue)
            q.held.pop(entry.id, None)
            batch = q.batches.pop(entry.id, None)
            if batch is not None:
                batch.done()
            self._pump(q)

    def _returned(self, q: BrokerLine, entry: Entry) -> None:
        batch = q.batches.pop(entry.id, None)
        if batch is not None:
            # It was delivered while it was claimed.
            q.arrived.append(Batch([entry.id], batch.done, 1))
        elif entry.due <= self._now() * 1000:
            self._later.at(entry.due)
