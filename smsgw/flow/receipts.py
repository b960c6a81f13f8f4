"""Receipts: matches what a carrier says of a message to the message, also when it says so too
early.

Comes from: ``send``'s links with deliver_sm; those that are no receipts go to ``inbound``.
Goes on to: ``settle``, which ends the message, and by its queue entry to ``handover``.
"""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from attrs import asdict, define, evolve
from sqlalchemy import Connection, delete, select
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from smsgw.message import Acknowledgement, Message, Receipt
from smsgw.queues import Queues, Transaction
from smsgw.store import records, schema
from smsgw.store.journal import Journal, StoreFailed
from smsgw.store.records import Records

if TYPE_CHECKING:
    from smsgw.flow.settle import Settlement

_log = Logger()

_RECENT = 20_000  # acknowledged parts kept in memory for the receipt that mostly comes soon
_EARLY = 10_000  # receipts kept that came before their submit_sm_resp
_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Receipt).decode


def normalise(carrier_id: str, base: str = "text") -> str:
    """A carrier's message id as it is compared: without case and leading zeros (ruling 13).

    ``base`` is how the carrier writes it, as far as that is known: ``hex`` becomes decimal.
    """
    plain = carrier_id.strip().lower().lstrip("0") or "0"
    if base == "hex":
        with suppress(ValueError):
            return str(int(plain, 16))
    return plain


def candidates(carrier_id: str) -> list[str]:
    """The forms in which the response may have given the id of a receipt: as it is, then the other
    base."""
    plain = normalise(carrier_id)
    forms = [plain]
    if plain.isascii() and len(plain) <= 20:
        if plain.isdecimal():
            forms.append(f"{int(plain):x}")
        with suppress(ValueError):
            forms.append(str(int(plain, 16)))
    return forms


@define
class _Early:
    at: int
    receipt: Receipt


class Awaited:
    """What receipts are matched with, without asking the store: parts acknowledged lately, receipts
    that came early."""

    def __init__(self) -> None:
        self._recent: dict[tuple[str, str], tuple[Message, int]] = {}
        self._early: dict[tuple[str, str], _Early] = {}
        self.matched = 0
        self.unmatched = 0  # given up: no submit_sm_resp ever named them

    def expect(self, carrier: str, carrier_id: str, message: Message, part: int) -> Receipt | None:
        """The carrier has acknowledged a part; the receipt of it, if that was here before.

        ``receipt.id`` is then the id under which it was kept.
        """
        if self._early:
            for form in candidates(carrier_id):
                early = self._early.pop((carrier, form), None)
                if early is not None:
                    self.matched += 1
                    return evolve(early.receipt, id=form)
        recent = self._recent
        recent[carrier, carrier_id] = (message, part)
        if len(recent) > _RECENT:
            del recent[next(iter(recent))]
        return None

    def match(self, carrier: str, forms: Iterable[str]) -> tuple[Message, int] | None:
        """The part that was acknowledged lately under one of the forms of its id."""
        for form in forms:
            found = self._recent.get((carrier, form))
            if found is not None:
                return found
        return None

    def forget(self, carrier: str, form: str) -> None:
        """No further receipt is looked for in memory."""
        self._recent.pop((carrier, form), None)

    def keep(self, carrier: str, receipt: Receipt, at: int) -> list[tuple[str, str]]:
        """Keeps a receipt of which no part is known yet; gives the keys of those given up for
        it."""
        self._early[carrier, normalise(receipt.id)] = _Early(at, receipt)
        given_up = []
        while len(self._early) > _EARLY:
            oldest = next(iter(self._early))
            del self._early[oldest]
            self.unmatched += 1
            given_up.append(oldest)
        return given_up

    async def load(self, journal: Journal) -> None:
        """Reads the early receipts of the last run."""
        table = schema.early_receipt

        def read(connection: Connection) -> list[tuple[str, str, int, bytes]]:
            newest = select(table).order_by(table.c.at.desc()).limit(_EARLY)
            rows = [tuple(row) for row in connection.execute(newest)]
            if len(rows) == _EARLY:
                connection.execute(delete(table).where(table.c.at < rows[-1][2]))
            return list(reversed(rows))

        for carrier, carrier_id, at, detail in await journal.run(read):
            self._early[carrier, carrier_id] = _Early(at, _DECODE(detail))

    @property
    def early(self) -> int:
        """How many receipts wait for their submit_sm_resp."""
        return len(self._early)


class Receipts:
    """Takes the receipts of all carriers."""

    def __init__(
        self,
        queues: Queues,
        journal: Journal,
        known: Records,
        awaited: Awaited,
        settlement: "Settlement",
        now: Callable[[], float] = time.time,
    ) -> None:
        self._queues = queues
        self._journal = journal
        self._known = known
        self._awaited = awaited
        self._settlement = settlement
        self._now = now

    def receive(self, carrier: str, receipts: list[Receipt]) -> Deferred[bool]:
        """Fires with True when all receipts are durable and may be answered; False if the store
        failed."""
        if self._settlement.unstored:
            # The answer that this receipt follows may be among what the store has yet to take.
            return succeed(False)
        found: list[tuple[Receipt, tuple[Message, int] | None]] = []
        missing = False
        for receipt in receipts:
            part = self._awaited.match(carrier, candidates(receipt.id))
            missing = missing or part is None
            found.append((receipt, part))
        if not missing:
            return self._settle(carrier, found)
        return Deferred.fromCoroutine(self._look_up(carrier, found))

    async def _look_up(
        self, carrier: str, found: list[tuple[Receipt, tuple[Message, int] | None]]
    ) -> bool:
        """Asks the store for the parts that are not in memory, in one read for all."""
        forms = [form for r, part in found if part is None for form in candidates(r.id)]

        def read(connection: Connection) -> tuple[list[tuple[str, int, int]], list[Message]]:
            parts = records.by_carrier_id(connection, carrier, forms)
            return parts, records.read(connection, list({message for _, message, _ in parts}))

        try:
            parts, messages = await self._journal.run(read)
        except Exception as error:
            _log.error("receipts of {carrier}: store not read: {why}", carrier=carrier, why=error)
            return False
        known = self._known.adopt(messages)
        by_form = {form: (known[id], number) for form, id, number in parts if id in known}
        matched = []
        for receipt, part in found:
            if part is None:
                names = candidates(receipt.id)
                # It may have been acknowledged while the store was asked.
                part = self._awaited.match(carrier, names) or next(
                    (by_form[name] for name in names if name in by_form), None
                )
            matched.append((receipt, part))
        return await self._settle(carrier, matched)

    def _settle(
        self, carrier: str, found: list[tuple[Receipt, tuple[Message, int] | None]]
    ) -> Deferred[bool]:
        now = int(self._now() * 1000)
        transaction = Transaction()
        before: list[tuple[Message, tuple[int, int, int, str], dict[int, Acknowledgement]]] = []
        for receipt, part in found:
            if part is None:
                name = normalise(receipt.id)
                transaction.changes.early_receipts.append(
                    (carrier, name, now, _ENCODE(asdict(receipt)))
                )
                given_up = self._awaited.keep(carrier, receipt, now)
                transaction.changes.early_matched.extend(given_up)
                continue
            message, number = part
            before.append(
                (
                    message,
                    (message.state, message.done_at, message.error, message.network_error),
                    {n: evolve(a) for n, a in message.acknowledged.items()}
                    if len(message.parts) > 1
                    else message.acknowledged,
                )
            )
            self._settlement.receipt(message, number, receipt, transaction, now)
            self._awaited.matched += 1

        def stored(_: None) -> bool:
            return True

        def not_stored(failure: object) -> bool:
            # The carrier is told to try again, so nothing may look as if it had happened.
            failure.trap(StoreFailed)  # type: ignore[attr-defined]
            for message, (state, done_at, error, network_error), acknowledged in reversed(before):
                message.state, message.done_at = state, done_at
                message.error, message.network_error = error, network_error
                message.acknowledged = acknowledged
            return False

        done = self._queues.commit(transaction)
        return done.addCallbacks(stored, not_stored)
