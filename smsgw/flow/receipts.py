"""Receipts: matches what a carrier says of a message to the message, also when it says so too
early.

Comes from: ``send``'s links with deliver_sm; those that are no receipts go to ``inbound``.
Goes on to: ``settle``, which ends the message, and by its queue entry to ``handover``.
"""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import msgspec
from attrs import asdict, define
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.awaited import Awaited, Part, other_bases
from smsgw.message import FORMER, Acknowledgement, Message, Receipt
from smsgw.queues import Transaction
from smsgw.rules.tables import Tables
from smsgw.store import records
from smsgw.store.journal import Journal, StoreFailed, TakenBefore
from smsgw.store.records import Records

if TYPE_CHECKING:
    from smsgw.flow.settle import Settlement

_log = Logger()

_ENCODE = msgspec.msgpack.Encoder().encode

Found = list[tuple[Receipt, Part | None]]


def _same_id(message: Message, part: int) -> list[int]:
    """The other parts that the carrier knows by the same id: it got the message in one piece."""
    mine = message.acknowledged.get(part)
    if mine is None or not mine.carrier_id:
        return []
    key = mine.carrier, mine.carrier_id
    return [
        number
        for number, one in message.acknowledged.items()
        if number != part and (one.carrier, one.carrier_id) == key
    ]


class Receipts:
    """Takes the receipts of all carriers."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        journal: Journal,
        known: Records,
        awaited: Awaited,
        settlement: "Settlement",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._journal = journal
        self._known = known
        self._awaited = awaited
        self._settlement = settlement
        self._now = now

    def receive(self, carrier: str, receipts: list[Receipt]) -> Deferred[bool]:
        """Fires with True when all receipts are durable and may be answered; False if the store
        failed. Their ids are normalised (``normalise``)."""
        if self._settlement.unstored:
            # The answer that this receipt follows may be among what the store has yet to take.
            return succeed(False)
        awaited = self._awaited
        found: Found = [(r, awaited.match(carrier, awaited.forms(carrier, r.id))) for r in receipts]
        if all(part is not None for _, part in found):
            return self._settle(carrier, found)
        return Deferred.fromCoroutine(self._look_up(carrier, found))

    async def _look_up(self, carrier: str, found: Found) -> bool:
        """Asks the store for the parts that are not in memory, in one read for all."""
        awaited = self._awaited
        missing = [r for r, part in found if part is None]
        try:
            stored = await self._stored(
                carrier, [f for r in missing for f in self._forms(carrier, r)]
            )
        except Exception as error:
            _log.error("receipts of {carrier}: store not read: {why}", carrier=carrier, why=error)
            return False
        matched: Found = []
        for receipt, part in found:
            if part is None:
                forms = self._forms(carrier, receipt)
                # It may have been acknowledged while the store was asked.
                part = awaited.match(carrier, forms) or _first(stored, forms)
            matched.append((receipt, part))
        return await self._settle(carrier, matched)

    def _forms(self, carrier: str, receipt: Receipt) -> list[str]:
        return self._awaited.forms(carrier, receipt.id)

    async def _stored(self, carrier: str, forms: list[str]) -> dict[str, Part]:
        def read(connection: Connection) -> tuple[list[tuple[str, int, int]], list[Message]]:
            parts = records.by_carrier_id(connection, carrier, forms)
            return parts, records.read(connection, list({message for _, message, _ in parts}))

        parts, messages = await self._journal.run(read)
        known = self._known.adopt(messages)
        return {form: (known[id], number % FORMER) for form, id, number in parts if id in known}

    def _settle(self, carrier: str, found: Found, kept: bool = False) -> Deferred[bool]:
        """Fires with True when these are durable; ``kept`` if they were kept as early ones, which
        one node matches: also with True if another one has."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        if kept:
            transaction.changes.early_taken.extend((carrier, receipt.id) for receipt, _ in found)
        before = []
        for receipt, part in found:
            if part is None:
                transaction.changes.early_receipts.append(
                    (carrier, receipt.id, now, _ENCODE(asdict(receipt)))
                )
                given_up = self._awaited.keep(carrier, receipt, now)
                transaction.changes.early_matched.extend(given_up)
                continue
            message, number = part
            before.append(_Before.of(message, number))
            others = _same_id(message, number) if len(message.parts) > 1 else ()
            self._settlement.receipt(carrier, message, number, receipt, transaction, now)
            for other in others:
                before.append(_Before.of(message, other))
                self._settlement.receipt(carrier, message, other, receipt, transaction, now)
            self._awaited.matched += 1
            acknowledged = message.acknowledged.get(number)
            if acknowledged is not None and acknowledged.carrier == carrier:
                exchanged = acknowledged.carrier_id != receipt.id
                self._awaited.learn(carrier, receipt.id, exchanged)

        def stored(_: None) -> bool:
            return True

        def not_stored(failure: Failure) -> bool:
            # The carrier is told to try again, so nothing may look as if it had happened.
            failure.trap(StoreFailed)
            for one in reversed(before):
                one.restore()
            return failure.check(TakenBefore) is not None

        return self._settlement.commit(transaction).addCallbacks(stored, not_stored)

    async def review(self) -> None:
        """Looks once more at receipts that no part has been found for: first with the base of their
        id exchanged, at last no more. Called every few seconds."""
        now = int(self._now() * 1000)
        for carrier, receipt in self._awaited.untried(now):
            if self._fixed(carrier) or self._awaited.learnt(carrier):
                continue
            forms = other_bases(receipt.id)
            part = self._awaited.match(carrier, forms) or _first(
                await self._stored(carrier, forms), forms
            )
            if part is not None:
                await self._match(carrier, receipt, part)
        await self._forget(self._awaited.aged(now))
        if self._settlement.others is not None:
            await self._awaited.drop_matched(self._journal)

    async def look_again(self) -> None:
        """Asks the store for the parts of receipts that came lately, which other nodes may have
        settled meanwhile. Called every second where there are such."""
        for carrier, receipts in self._awaited.lately(int(self._now() * 1000)).items():
            forms = {form for one in receipts for form in self._forms(carrier, one)}
            stored = await self._stored(carrier, [*forms])
            for receipt in receipts:
                part = _first(stored, self._forms(carrier, receipt))
                if part is not None:
                    await self._match(carrier, receipt, part)

    async def adopt(self) -> None:
        """Takes over the early receipts that a dead node has answered: what they are of is looked
        for here from now on. Raises ``StoreFailed``."""
        await self._awaited.load(self._journal, int(self._now() * 1000))

    async def _match(self, carrier: str, receipt: Receipt, part: Part) -> None:
        """An early receipt is of this part: one node says so, in the transaction that removes it.
        If the store fails it is looked at again."""
        if await self._settle(carrier, [(receipt, part)], kept=True):
            self._awaited.remove(carrier, receipt.id)

    async def _forget(self, keys: list[tuple[str, str]]) -> None:
        if keys:
            transaction = Transaction()
            transaction.changes.early_matched.extend(keys)
            await self._settlement.persist(transaction)

    def _fixed(self, carrier: str) -> bool:
        """True if the operator has said in which base the carrier writes its ids."""
        form = self._tables().carriers.get(carrier)
        return form is not None and "text" not in (form.response_id, form.receipt_id)


def _first(stored: dict[str, Part], forms: list[str]) -> Part | None:
    return next((stored[form] for form in forms if form in stored), None)


@define
class _Before:
    """What a receipt may change of a message, to undo it if the store does not take it.

    Only that: answers to other parts may have come meanwhile.
    """

    message: Message
    number: int
    fields: tuple[int, int, int, str]
    part: Acknowledgement | None
    part_state: int
    former: Mapping[int, Acknowledgement]

    @classmethod
    def of(cls, message: Message, number: int) -> "_Before":
        part = message.acknowledged.get(number)
        fields = (message.state, message.done_at, message.error, message.network_error)
        state = part.state if part is not None else 0
        return cls(message, number, fields, part, state, message.former)

    def restore(self) -> None:
        m = self.message
        m.state, m.done_at, m.error, m.network_error = self.fields
        if m.former is not self.former:
            kept = {n: a for n, a in m.former.items() if n % FORMER != self.number}
            mine = {n: a for n, a in self.former.items() if n % FORMER == self.number}
            m.former = {**kept, **mine}
        if self.part is not None:
            self.part.state = self.part_state
            m.acknowledged[self.number] = self.part
