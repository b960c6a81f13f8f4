"""Others: ends messages of several parts where their parts may have ended on several nodes.

Comes from: ``ending``, when a part has ended. Goes on to: back to ``ending``, once all have.

Theory of operation. Each node knows the parts that went over its own links, so the store notes in
the transaction of a part that it was the last one (``store/complete.py``). When that is durable,
the message is read and ended in a transaction of its own, which removes the note. A node that is
killed between the two leaves the note, and any node that finds it twice, seconds apart, ends the
message (I1).

What is ended here may have ended at another node, of which the copy in memory knows nothing. So the
statement is guarded (``Changes.ended``): if one has ended, nothing is stored, and what follows from
its end is left out of the transaction. One receipt is handed over, and one refund given, whoever
was first (I3, I8).
"""

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.message import Message
from smsgw.queues import Kind, Transaction
from smsgw.rules import money
from smsgw.store import complete, records
from smsgw.store.journal import Journal
from smsgw.store.records import FINAL_STATES, Records

if TYPE_CHECKING:
    from smsgw.flow.settle import Settlement

_log = Logger()

_AGAIN_S = 1.0


class Others:
    """Looks at messages of which a part has ended here."""

    def __init__(
        self,
        journal: Journal,
        known: Records,
        settlement: "Settlement",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._journal = journal
        self._known = known
        self._settlement = settlement
        self._now = now
        self._wanted: dict[int, Message] = {}  # to be read again
        self._busy = False
        self._seen: set[int] = set()  # to be ended by somebody, at the last review

    def look(self, message: Message, transaction: Transaction) -> None:
        """A part has ended in this transaction: once that is durable, the message is looked at."""
        transaction.changes.partly.append(message.id)

        def durable() -> None:
            self._wanted[message.id] = message
            self._go()

        transaction.after.append(durable)

    def _go(self) -> None:
        if not self._busy and self._wanted:
            self._busy = True
            Deferred.fromCoroutine(self._look()).addErrback(self._failed)

    async def _look(self) -> None:
        """All that were asked for while the last look went on are looked at together."""
        while self._wanted:
            wanted, self._wanted = self._wanted, {}
            try:
                read = partial(complete.among, ids=[*wanted])
                await self._end(await self._journal.run(read))
            except BaseException:
                self._wanted = wanted | self._wanted
                raise
        self._busy = False

    def _failed(self, failure: object) -> None:
        _log.warn("messages of several parts: looked at again: {why}", why=failure)
        self._busy = False
        self._settlement.clock.callLater(_AGAIN_S, self._go)

    async def review(self) -> None:
        """Ends what a node that was killed did not come to any more. Called every few seconds;
        raises ``StoreFailed``."""
        before, self._seen = self._seen, await self._journal.run(complete.waiting)
        late = before & self._seen
        if late:
            await self._end(await self._journal.run(partial(complete.left, ids=late)))

    async def _end(self, stored: Iterable[Message]) -> None:
        settlement = self._settlement
        now = int(self._now() * 1000)
        for one in stored:
            message = self._known.refresh(one)
            state = settlement.ended_as(message)
            if message.state in FINAL_STATES or state is None:
                continue
            transaction = Transaction()
            transaction.changes.completed.append(message.id)
            before = message.state, message.done_at, message.error, message.network_error
            if message.state != state:
                settlement.close(message, state, transaction, now)
                settlement.guard(transaction)
            try:
                await settlement.commit(transaction)
            except BaseException:
                message.state, message.done_at, message.error, message.network_error = before
                raise

    async def leave_out(self, transaction: Transaction) -> None:
        """Another node has ended a message that this transaction would end: what follows from the
        end here goes out of it, and the message is known as it is stored. Raises ``StoreFailed``.
        """
        changes = transaction.changes
        rows = cast(list[tuple[int, int]], changes.ended)
        states = {row[0]: row[1] for row in rows}
        read = partial(records.read, ids=[*states])
        gone = set()
        for one in await self._journal.run(read):
            if one.state in FINAL_STATES or one.state == states[one.id]:
                gone.add(one.id)
                known = self._known.known.get(one.id)
                if known is not None:
                    self._uncount(known, states[one.id])
                    known.state, known.done_at = one.state, one.done_at
                    known.error, known.network_error = one.error, one.network_error
        changes.ended = [row for row in changes.ended if row[0] not in gone]
        changes.ledger = [
            row
            for row in changes.ledger
            if row.message not in gone or row.reason != money.Entry.REFUND
        ]
        transaction.put = [
            entry
            for entry in transaction.put
            if entry.message.id not in gone or entry.kind != Kind.RECEIPT
        ]

    def _uncount(self, message: Message, state: int) -> None:
        """Figures are of what ended here."""
        ended = self._settlement.ended
        had_it = next((a.carrier for a in message.acknowledged.values()), "")
        if ended.get((had_it, state)):
            ended[had_it, state] -= 1
