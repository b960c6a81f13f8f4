"""Queues on a broker: RabbitMQ says which entries are to be done next, and by whom.

Theory of operation. Every entry is a row of the ``queue`` table until it is settled, as in the
store's own queues, and whatever is decided about it is decided on the row. The broker carries ids
only, in *batches*: those of one queue that one transaction put. An entry that is due is HANDED: the
transaction that puts it also writes its batch to the outbox (``outbox.py``). One for later waits in
the store (LATER); when it is due, the scheduler hands it over in the same way.

What the broker delivers is taken by its rows (``arriving.py``), and whether it still delivers is
looked at now and then (``watch.py``).

The broker may lose a queue: its disk, or all that it has. Whoever finds no queue of the name, or
one that does not answer, first has all its HANDED entries set LATER (``lost``), and then makes it
anew; the scheduler hands them over again.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smsgw.provisioning.targets import masked
from smsgw.queues import Entry, Transaction, rows
from smsgw.queues.arriving import Arriving, BrokerLine, Wire
from smsgw.queues.later import Later
from smsgw.queues.outbox import LARGEST, Outbox, OutboxRow, pack
from smsgw.queues.rows import HANDED, LATER
from smsgw.queues.watch import Watch
from smsgw.store.journal import Journal
from smsgw.store.records import Records

_log = Logger()

OUTBOX_LIMIT = 200_000  # entries that the broker has not got, before no more messages are taken


class Full(set[str]):
    """Names of queues that are full; ``everything`` says that all are."""

    everything = False

    def __contains__(self, name: object) -> bool:
        return self.everything or super().__contains__(name)

    def __bool__(self) -> bool:
        return self.everything or len(self) > 0


class BrokerQueues(Arriving):
    """The contract of ``smsgw.queues`` with a broker."""

    def __init__(
        self,
        journal: Journal,
        known: Records,
        clock: IReactorTime,
        wire: Wire,
        allot: Callable[[], int],
        node: int = 0,
        shared: bool = False,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``allot`` gives ids; ``shared`` if other nodes have the same store; ``now`` gives seconds
        since 1970, ``clock`` runs the timers."""
        super().__init__(now, BrokerLine)
        self._journal = journal
        self._known = known
        self._clock = clock
        self._wire = wire
        self._allot = allot
        self._node = node
        self._me = node + 1
        self._shared = shared
        self.full: Full = Full()
        self.outbox_limit = OUTBOX_LIMIT
        self.outbox = Outbox(journal, clock, wire, node)
        self.outbox.changed = self._measure_outbox
        self._later = Later(
            journal, clock, now, shared, self.held, self._batches, self._handed_over
        )
        self._watch = Watch(journal, clock, shared, self._counted, self._silent, self._look)
        journal.after_batch = self._after_batch

    # The contract

    async def load(self) -> None:
        """See ``Queues.load``."""
        me = self._me if self._shared else 0
        counts = await self._journal.run(lambda connection: rows.begin(connection, me))
        for name, size in counts:
            q = self._queue(name)
            q.size = size
            self._measure(q)
            if q.attended:
                self._pump(q)
        await self.outbox.load()
        self._later.at_once()
        self._watch.start()

    def stop(self) -> None:
        """See ``Queues.stop``."""
        self._stopped = True
        self.outbox.stop()
        self._later.stop()
        self._watch.stop()

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """See ``Queues.commit``."""
        changes = transaction.changes
        now = int(self._now() * 1000)
        handed: dict[str, list[int]] = {}
        for entry in transaction.put:
            place = HANDED if entry.due <= now else LATER
            changes.placed.append((*entry.row(), place, 0))
            if place == HANDED:
                handed.setdefault(entry.queue, []).append(entry.id)
        for entry in transaction.postponed:
            place = HANDED if entry.due <= now else LATER
            changes.replaced.append((entry.id, entry.due, entry.attempts, place, 0))
            if place == HANDED:
                handed.setdefault(entry.queue, []).append(entry.id)
        changes.settled.extend([entry.id for entry in transaction.settled])
        batches = self._batches(handed)
        changes.outbox += batches
        done = self._journal.commit(changes)
        committed_at_once = done.called  # by a journal without a thread
        done.addCallback(self._committed, transaction, batches, now)
        if committed_at_once:
            self._after_batch()
        return done

    def unsubscribe(self, queue: str, consumer: Any) -> None:
        """See ``Queues.unsubscribe``."""
        super().unsubscribe(queue, consumer)
        self._leaving(self._queues[queue])

    def resident(self) -> dict[str, tuple[int, int, bool]]:
        """See ``Queues.resident``."""
        return {
            q.name: (
                len(q.ready),
                sum(entry.taken for entry in q.held.values()),
                q.size > len(q.held),
            )
            for q in self._queues.values()
        }

    def hurry(self, queue: str) -> None:
        """See ``Queues.hurry``."""
        if self._stopped:
            return
        now = int(self._now() * 1000)

        def done(count: int) -> None:
            if count:
                self._later.at(now)

        self._journal.run(lambda c: rows.bring_forward(c, queue, now)).addCallbacks(
            done, lambda failure: _log.error("queue {name}: {why}", name=queue, why=failure.value)
        )

    # For the wire

    def go(self) -> None:
        """There is a way to the broker again, or room on it."""
        self.outbox.go()

    def lost(self, queue: str) -> "Deferred[None]":
        """The broker has no entries of the queue; when this fires, it may be made anew."""
        unsent = self.outbox.unsent(queue)  # these go there once it is made

        def done(count: int) -> None:
            if count:
                _log.warn(
                    "queue {name} is new to the broker: {count} entries are handed over again",
                    name=masked(queue),
                    count=count,
                )
                self._later.at_once()

        return self._journal.run(lambda c: rows.lose(c, queue, unsent)).addCallback(done)

    def take_over(self, node: int) -> "Deferred[None]":
        """A node is dead: what it had, and what it had not published, is this one's to give out."""
        taking = self._journal.run(lambda c: rows.take_over(c, node, self._node))
        return taking.addCallback(lambda _: self.took_over())

    def took_over(self) -> "Deferred[None]":
        """The rows of a dead node have become this one's (``rows.take_over``)."""
        self._later.at_once()
        return Deferred.fromCoroutine(self.outbox.load())

    def schedules(self, does: bool) -> None:
        """Whether this node hands over what is due; of several, others may do it."""
        self._later.does = does

    # After a commit

    def _committed(
        self, _: None, transaction: Transaction, batches: list[OutboxRow], now: int
    ) -> None:
        """``now`` is when it was decided which entries are for later."""
        for entry in transaction.settled:
            q = self._let_go(entry)
            q.size -= q.size > 0  # an entry may be settled twice
            if self.full:
                self._measure(q)
        for entry in transaction.postponed:
            # Later it is read back as a new Entry; what is left of this one in a line is skipped.
            self._let_go(entry)
            if entry.due > now:
                self._later.at(entry.due)
        touched = self._touched
        for entry in transaction.put:
            name = entry.queue
            q = touched.get(name) or touched.setdefault(name, self._queue(name))
            q.size += 1
            if q.size == q.limit:
                self.full.add(name)
            if entry.due > now:
                self._later.at(entry.due)
        if batches:
            self.outbox.add(batches)
        for follow in transaction.after:
            follow()

    def _let_go(self, entry: Entry) -> BrokerLine:
        entry.gone = True
        q = self._touched.get(entry.queue) or self._queue(entry.queue)
        self._touched[q.name] = q
        q.held.pop(entry.id, None)
        batch = q.batches.pop(entry.id, None)
        if batch is not None:
            batch.done()
        return q

    def _after_batch(self) -> None:
        self.outbox.go()
        self._pump_touched()

    def _batches(self, handed: dict[str, list[int]]) -> list[OutboxRow]:
        return [
            (self._allot(), self._node, queue, pack(ids[start : start + LARGEST]))
            for queue, ids in handed.items()
            for start in range(0, len(ids), LARGEST)
        ]

    def _measure_outbox(self) -> None:
        everything = self.outbox.entries >= self.outbox_limit
        if everything != self.full.everything:
            self.full.everything = everything
            if everything:
                _log.error("the broker takes too little: no more messages are accepted")

    def _handed_over(self, names: list[str], batches: list[OutboxRow]) -> None:
        """What was for later is stored as handed over."""
        for name in names:
            self._touched[name] = self._queue(name)
        self.outbox.add(batches)
        self.outbox.go()

    # For the watch

    def _counted(self, counts: Iterable[tuple[str, int]]) -> None:
        """Sizes of the queues, and those of targets that nobody has met here."""
        sizes = dict(counts)
        for name in (*sizes, *[one for one in self._queues if one not in sizes]):
            q = self._queue(name)
            q.size = sizes.get(name, 0)
            self._measure(q)
            if q.attended:
                self._pump(q)

    def _silent(self) -> list[str]:
        """Queues that have entries, and brought none of them to those who want them here."""
        return [
            q.name
            for q in self._queues.values()
            if q.size > 0 and q.attending and q.consumers
            if not (q.held or q.arrived or q.reading)
        ]

    def _look(self, silent: list[str]) -> None:
        """What may be amiss: queues that are silent, and those that take nothing."""
        for name in silent:
            self._wire.renew(name)
        for name in self.outbox.stuck():
            self._wire.mend(name)
