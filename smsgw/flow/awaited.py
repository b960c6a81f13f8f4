"""Awaited: what receipts are matched with in memory, and how a carrier's message ids are compared.

Comes from: ``settle``, which tells what a carrier has acknowledged; ``receipts``, which matches.
Goes on to: the store's early receipts, which outlive this process.
"""

from collections import OrderedDict
from collections.abc import Iterable
from contextlib import suppress

import msgspec
from attrs import define, evolve
from sqlalchemy import Connection, delete, select

from smsgw.message import Message, Receipt
from smsgw.store import schema
from smsgw.store.journal import Journal

_RECENT = 20_000  # acknowledged parts kept in memory for the receipt that mostly comes soon
EARLY_MS = 3600_000  # how long a receipt waits for its submit_sm_resp
_EXCHANGE_MS = 10_000  # and how long before its id is read in another base
_ELSEWHERE_MS = 60_000  # how long its submit_sm_resp may take to be settled by another node
_EARLY = 10_000  # receipts kept that came before their submit_sm_resp
_TOGETHER = 1_000  # ids that are asked for at once
_DECODE = msgspec.msgpack.Decoder(Receipt).decode


def normalise(carrier_id: str, base: str = "text") -> str:
    """A carrier's message id as it is compared: without case and leading zeros (ruling 13).

    ``base`` is how the carrier writes it, as far as that is known: ``hex`` becomes decimal.
    """
    plain = carrier_id.strip().lower()
    plain = plain.lstrip("0") or plain[:1]  # an id of nothing stays nothing, and matches nothing
    if base == "hex":
        with suppress(ValueError):
            return str(int(plain, 16))
    return plain


def other_bases(carrier_id: str) -> list[str]:
    """A normalised id read as decimal and written in hex, and the other way round (ruling 13)."""
    forms = []
    if carrier_id.isascii() and len(carrier_id) <= 20:
        if carrier_id.isdecimal():
            forms.append(f"{int(carrier_id):x}")
        with suppress(ValueError):
            forms.append(str(int(carrier_id, 16)))
    return [form for form in forms if form != carrier_id]


Part = tuple[Message, int]


@define
class _Early:
    at: int
    receipt: Receipt
    since: int  # it is known to this node
    tried: bool = False  # with its base exchanged, in vain


class Awaited:
    """What receipts are matched with, without asking the store: parts acknowledged lately, receipts
    that came early."""

    def __init__(self) -> None:
        # An ordered one: a plain dictionary looks for its oldest key among those deleted before.
        self._recent: OrderedDict[tuple[str, str], Part] = OrderedDict()
        self._early: dict[tuple[str, str], _Early] = {}
        # Carriers of which a match has shown whether receipts write the id in another base.
        self._exchanged: dict[str, bool] = {}
        self.matched = 0
        self.unmatched = 0  # given up: no submit_sm_resp ever named them

    def expect(
        self, carrier: str, carrier_id: str, message: Message, part: int, now: int
    ) -> Receipt | None:
        """The carrier has acknowledged a part; the receipt of it, if that was here before.

        ``receipt.id`` is then the id under which it was kept.
        """
        if self._early:
            for form in self.forms(carrier, carrier_id):
                early = self._early.pop((carrier, form), None)
                if early is not None and now - early.at < EARLY_MS:
                    self.matched += 1
                    return evolve(early.receipt, id=form)
        if message.registered_delivery & 3:
            recent = self._recent
            recent[carrier, carrier_id] = (message, part)
            if len(recent) > _RECENT:
                recent.popitem(last=False)
        return None

    def forms(self, carrier: str, carrier_id: str) -> list[str]:
        """The forms of an id to look for, the likeliest first."""
        if not carrier_id:
            return []  # parts that were acknowledged without an id are not meant
        if self._exchanged.get(carrier):
            return [*other_bases(carrier_id), carrier_id]
        return [carrier_id]

    def match(self, carrier: str, forms: Iterable[str]) -> Part | None:
        """The part that was acknowledged lately under one of the forms of its id."""
        for form in forms:
            found = self._recent.get((carrier, form))
            if found is not None:
                return found
        return None

    def learn(self, carrier: str, carrier_id: str, exchanged: bool) -> None:
        """A receipt with this id was matched, as it is or with its base exchanged."""
        if carrier not in self._exchanged and other_bases(carrier_id):
            self._exchanged[carrier] = exchanged

    def learnt(self, carrier: str) -> bool:
        """True if it is known in which base the carrier's receipts write ids."""
        return carrier in self._exchanged

    def keep(self, carrier: str, receipt: Receipt, at: int) -> list[tuple[str, str]]:
        """Keeps a receipt of which no part is known yet; gives the keys of those given up for
        it."""
        self._early[carrier, receipt.id] = _Early(at, receipt, at)
        given_up = []
        while len(self._early) > _EARLY:
            oldest = next(iter(self._early))
            del self._early[oldest]
            self.unmatched += 1
            given_up.append(oldest)
        return given_up

    def aged(self, now: int) -> list[tuple[str, str]]:
        """Gives up receipts that have waited too long; their keys."""
        keys = [key for key, early in self._early.items() if now - early.at >= EARLY_MS]
        for key in keys:
            del self._early[key]
        self.unmatched += len(keys)
        return keys

    def untried(self, now: int) -> list[tuple[str, Receipt]]:
        """Carriers and receipts to look up with the base exchanged; each is given once."""
        found = []
        for (carrier, _), early in self._early.items():
            if not early.tried and now - early.at >= _EXCHANGE_MS:
                early.tried = True
                found.append((carrier, early.receipt))
        return found

    def lately(self, now: int) -> dict[str, list[Receipt]]:
        """By carrier, receipts that wait here since less than a minute: the answer that they follow
        may have come to another node."""
        found: dict[str, list[Receipt]] = {}
        for (carrier, _), early in self._early.items():
            if now - early.since < _ELSEWHERE_MS:
                found.setdefault(carrier, []).append(early.receipt)
        return found

    def remove(self, carrier: str, receipt_id: str) -> None:
        """An early receipt has been matched after all."""
        self._early.pop((carrier, receipt_id), None)

    async def load(self, journal: Journal, now: int) -> None:
        """Reads the early receipts of the last run, and of others."""
        table = schema.early_receipt

        def read(connection: Connection) -> list[tuple[str, str, int, bytes]]:
            newest = select(table).order_by(table.c.at.desc()).limit(_EARLY)
            rows = [tuple(row) for row in connection.execute(newest)]
            if len(rows) == _EARLY:
                connection.execute(delete(table).where(table.c.at < rows[-1][2]))
            return list(reversed(rows))

        for carrier, carrier_id, at, detail in await journal.run(read):
            self._early.setdefault((carrier, carrier_id), _Early(at, _DECODE(detail), now))

    async def drop_matched(self, journal: Journal) -> None:
        """Forgets receipts that other nodes have matched or given up: they have no row any more."""
        kept = dict(self._early)
        names = list({carrier_id for _, carrier_id in kept})
        if not names:
            return

        def read(connection: Connection) -> set[tuple[str, str]]:
            c = schema.early_receipt.c
            found: set[tuple[str, str]] = set()
            for start in range(0, len(names), _TOGETHER):
                some = c.carrier_id.in_(names[start : start + _TOGETHER])
                rows = connection.execute(select(c.carrier, c.carrier_id).where(some))
                found |= {(row.carrier, row.carrier_id) for row in rows}
            return found

        there = await journal.run(read)
        for key, early in kept.items():
            if key not in there and self._early.get(key) is early:
                del self._early[key]

    @property
    def early(self) -> int:
        """How many receipts wait for their submit_sm_resp."""
        return len(self._early)
