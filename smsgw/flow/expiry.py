"""Expiry: ends what has waited too long, and moves what waits for a carrier that is no more.

Comes from: the clock; ``service`` when a carrier was removed. Goes on to: ``settle``, which ends
the message or gives it to another carrier.
"""

import time
from collections.abc import Callable

from sqlalchemy import Connection, select
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from smsgw import codes
from smsgw.flow import dead, route
from smsgw.flow.former import ended
from smsgw.flow.settle import Settlement
from smsgw.message import Message, MessageState
from smsgw.mm4.transactions import KEPT_MS, Phase, Sending
from smsgw.queues import Entry, Queues, Transaction
from smsgw.rules.tables import Tables
from smsgw.store import answers, records, schema, seen
from smsgw.store.journal import Journal
from smsgw.store.records import Records

_log = Logger()

_EXPIRE_S = 5.0
_EXPIRE_BATCH = 500


class Expiry:
    """Looks for what has expired."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        journal: Journal,
        known: Records,
        settlement: Settlement,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._queues = queues
        self._journal = journal
        self._known = known
        self._settlement = settlement
        self._clock = clock
        self._now = now
        self._expiring: LoopingCall | None = None

    def start(self) -> None:
        """Begins to look for what has expired."""
        self._expiring = LoopingCall(self._expire)
        self._expiring.clock = self._clock
        self._expiring.start(_EXPIRE_S)

    def stop(self) -> None:
        """Stops looking."""
        if self._expiring is not None and self._expiring.running:
            self._expiring.stop()

    async def _expire(self) -> None:
        """Ends what has waited too long: in queues, and for receipts."""
        try:
            while await self._expire_entries() + await self._close_overdue() >= _EXPIRE_BATCH:
                pass
            await self._remove_older(dead.KEPT_MS, dead.remove_before)
            await self._remove_older(KEPT_MS, seen.remove_before)
            await self._remove_older(answers.KEPT_MS, answers.remove_before)
        except Exception:
            _log.failure("expiry: tried again in {seconds} s", seconds=_EXPIRE_S)

    async def _remove_older(
        self, kept_ms: int, remove: Callable[[Connection, int, int], int]
    ) -> None:
        """Removes all whose time is over, in small transactions: as fast as it can come, so that
        it never grows."""
        at = int(self._now() * 1000) - kept_ms
        while await self._journal.run(lambda c: remove(c, at, _EXPIRE_BATCH)) >= _EXPIRE_BATCH:
            pass

    async def _expire_entries(self) -> int:
        now = int(self._now() * 1000)
        q = schema.queue.c

        def read(connection: Connection) -> tuple[list[schema.QueueRow], list[Message]]:
            query = (
                select(schema.queue)
                .where(q.expires_at <= now)
                .order_by(q.expires_at)
                .limit(_EXPIRE_BATCH)
            )
            rows = [schema.QueueRow(*row) for row in connection.execute(query)]
            return rows, records.read(connection, list({row.message for row in rows}))

        entries = await self._untaken(*await self._journal.run(read))
        if entries:
            await self._settlement.expire(entries)
        return len(entries)

    async def _waiting(self, queue: str) -> list[Entry]:
        """Some entries of a queue that nobody has taken."""
        q = schema.queue.c

        def read(connection: Connection) -> tuple[list[schema.QueueRow], list[Message]]:
            query = select(schema.queue).where(q.queue == queue).limit(_EXPIRE_BATCH)
            rows = [schema.QueueRow(*row) for row in connection.execute(query)]
            return rows, records.read(connection, list({row.message for row in rows}))

        return await self._untaken(*await self._journal.run(read))

    async def _untaken(self, rows: list[schema.QueueRow], messages: list[Message]) -> list[Entry]:
        known = self._known.adopt(messages)
        # What a carrier or session has just been given is settled by its answer.
        return await self._queues.claim(
            [(row, known[row.message]) for row in rows if row.message in known]
        )

    async def _close_overdue(self) -> int:
        """Messages of which no receipt came until long after their validity are UNKNOWN (ruling
        18)."""
        now = int(self._now() * 1000)
        messages = await self._journal.run(lambda c: records.overdue(c, now, _EXPIRE_BATCH))
        transaction = Transaction()
        for message in self._known.adopt(messages).values():
            if not MessageState(message.state).final:
                message.error = codes.STATE_UNKNOWN
                self._settlement.close(message, MessageState.UNKNOWN, transaction, now)
        ended = len(transaction.changes.closed)
        if ended:
            self._settlement.guard(transaction)
            await self._settlement.persist(transaction)
        return ended

    async def forsake(self, carrier: str) -> None:
        """Of a carrier that is no more: what waits for it goes to the route's next one, or by the
        route that is in force now; where there is none the message ends."""
        queue = route.carrier_queue(carrier)
        tables = self._tables()
        while carrier not in tables.carriers:
            entries = await self._waiting(queue)
            if not entries:
                return
            now = int(self._now() * 1000)
            transaction = Transaction()
            for entry in entries:
                entry.gone = True
                message = entry.message
                if ended(entry):
                    self._settlement.let_go(entry, transaction, now)
                elif message.kind == "mms" and Sending.of(entry.attempts).phase is Phase.MAILED:
                    # It may have it; what it says of it nobody will hear.
                    self._settlement.silent(entry, carrier, transaction, now)
                elif not self._settlement.fail_over(entry, carrier, transaction, now):
                    chosen = route.choose(message, tables)
                    if chosen is not None:
                        message.carriers = route.able(chosen, message, tables)
                        message.queue_ms = chosen.queue_time_s * 1000
                        # As if a carrier before the first had refused.
                        self._settlement.redirect(entry, message.carriers[0], transaction, now)
                    else:
                        transaction.settled.append(entry)
                        self._settlement.failed(
                            entry,
                            carrier,
                            MessageState.UNDELIVERABLE,
                            codes.NO_ROUTE,
                            "",
                            transaction,
                            now,
                        )
            await self._settlement.persist(transaction)
            tables = self._tables()
