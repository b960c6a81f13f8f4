"""Join: keeps the parts of long messages from handsets until all of them have come.

Comes from: ``inbound``, part by part, in any order, some of them twice.
Goes on to: back to ``inbound``: the whole message, or what there is of it, part by part, when the
rest does not come (code 998).

Theory of operation. Where several nodes share the store, each reads what parts have come to the
others once a second, while it has some of its own that wait. Who has all of them first joins them:
the statement that removes their rows fails with the whole transaction if one is gone, and what is
gone from the store is forgotten with the next read.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from attrs import define, evolve, field
from sqlalchemy import Connection, select

from smsgw.identities import Identities
from smsgw.message import UDHI, Message
from smsgw.queues import Transaction
from smsgw.store import schema
from smsgw.store.journal import Journal
from smsgw.text import coding, national, parts

WAIT_MS = 60 * 60_000  # how long parts wait for each other (A-D11, Q-D20)
LARGEST = 255  # octets of a part; a longer one is no part, whatever its header says
_MOST = 10_000  # parts that wait; then those that have waited longest go on by themselves
_AGAIN_MS = 60_000  # how long after it came a part may come again, because its answer was lost
_REMEMBERED = 10_000  # parts of whole messages that are known when they come again

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(Message).decode


class Key(NamedTuple):
    """What the parts of one message have in common (3GPP TS 23.040 §9.2.3.24.1)."""

    carrier: str
    source: str
    destination: str
    reference: int
    total: int


@define(eq=False)
class _Group:
    """The parts of one message that have come."""

    since: int  # ms
    parts: dict[int, tuple[int, Message]] = field(factory=dict)  # number -> row id, part
    again: list[int] = field(factory=list)  # rows of parts that came to another node as well


# Puts back what a transaction that was not stored has changed.
Undo = Callable[[], None]


class Joining:
    """The parts that wait, in memory and in the store."""

    def __init__(self, identities: Identities) -> None:
        self._allot = identities.allot
        # The group that has waited longest first.
        self._groups: OrderedDict[Key, _Group] = OrderedDict()
        # Parts of messages that are whole: when they were.
        self._whole: OrderedDict[tuple[Key, int, bytes], int] = OrderedDict()
        self.waiting = 0
        # True if other nodes have parts in the store too.
        self.shared = False
        # For operators: messages joined, parts that went on without the rest.
        self.joined = 0
        self.unjoined = 0

    async def load(self, journal: Journal) -> None:
        """Reads the parts of the last run."""
        table = schema.segment

        def read(connection: Connection) -> list[tuple[int, str, bytes]]:
            return [tuple(row) for row in connection.execute(select(table).order_by(table.c.id))]

        for id, carrier, detail in await journal.run(read):
            self._read(id, carrier, _DECODE(detail))

    def _read(self, id: int, carrier: str, message: Message) -> None:
        """A part is in the store."""
        place = parts.concat(message.parts[0])
        if place is None:
            return
        key, number = _key(carrier, message, place), place[2]
        group = self._groups.setdefault(key, _Group(message.accepted_at))
        held = group.parts.get(number)
        if held is None:
            self.waiting += 1
            group.parts[number] = (id, message)
        elif held[1].parts == message.parts:
            group.again.append(id)
        # Else its sender has begun anew with the reference, at another node.

    async def follow(self, journal: Journal) -> list[Key]:
        """Reads which parts have come to other nodes, and which they have taken; the keys of
        messages that are whole now. Raises ``StoreFailed``."""
        if not self.waiting:
            return []
        before = self._ids()
        table = schema.segment

        def read(connection: Connection) -> tuple[set[int], list[tuple[int, str, bytes]]]:
            ids = set(connection.execute(select(table.c.id)).scalars())
            new = select(table).where(table.c.id.in_(ids - before.keys())).order_by(table.c.id)
            rows = connection.execute(new) if ids - before.keys() else ()
            return ids, [tuple(row) for row in rows]

        stored, new = await journal.run(read)
        now = self._ids()
        for id in before.keys() - stored:
            if id in now:
                self._taken_elsewhere(now[id], id)
        for id, carrier, detail in new:
            if id not in now:
                self._read(id, carrier, _DECODE(detail))
        return [key for key, group in self._groups.items() if len(group.parts) == key.total]

    def _ids(self) -> dict[int, Key]:
        """The rows of all parts that wait."""
        found = {}
        for key, group in self._groups.items():
            for id, _ in group.parts.values():
                found[id] = key
            for id in group.again:
                found[id] = key
        return found

    def _taken_elsewhere(self, key: Key, id: int) -> None:
        group = self._groups.get(key)
        if group is None:
            return
        if id in group.again:
            group.again.remove(id)
        for number, (row, message) in [*group.parts.items()]:
            if row == id:
                # It may come again, to this node.
                self._remember(key, [(number, (id, message))], message.accepted_at)
                self._take_back(key, number, id)

    def complete(
        self, key: Key, now: int, transaction: Transaction, undo: list[Undo]
    ) -> Message | None:
        """The message of which parts have come to several nodes (``follow``); None if it is not
        whole any more. Otherwise as ``add``."""
        group = self._groups.get(key)
        if group is None or len(group.parts) < key.total:
            return None
        return self._join(key, group, [*group.parts.items()], now, transaction, undo)

    def add(
        self,
        carrier: str,
        message: Message,
        place: tuple[int, int, int],
        now: int,
        transaction: Transaction,
        undo: list[Undo],
    ) -> Message | None:
        """Takes a part, of which ``place`` is the concatenation element; the whole message once
        this was the last of it, None while others are missing.

        What it changes is in ``transaction``; if that is not stored, ``undo`` is to be called, the
        last one first.
        """
        key = _key(carrier, message, place)
        number, octets = place[2], message.parts[0]
        group = self._groups.get(key)
        if group is None or number not in group.parts:
            known = self._whole.get((key, number, octets))
            if known is not None and now - known < _AGAIN_MS:
                return None
        if group is None:
            group = self._groups[key] = _Group(now)
        message.accepted_at = now
        id = group.parts[number][0] if number in group.parts else self._allot()
        if len(group.parts) + (number not in group.parts) < place[1]:
            if number not in group.parts:
                self.waiting += 1
                group.parts[number] = (id, message)
                undo.append(lambda: self._take_back(key, number, id))
            # One that comes again is written again: it must be durable when this one is answered.
            transaction.changes.segments.append((id, carrier, _ENCODE(message)))
            return None
        items = [(n, held) for n, held in group.parts.items() if n != number]
        items.append((number, (id, message)))
        return self._join(key, group, items, now, transaction, undo)

    def _join(
        self,
        key: Key,
        group: _Group,
        items: list[tuple[int, tuple[int, Message]]],
        now: int,
        transaction: Transaction,
        undo: list[Undo],
    ) -> Message:
        whole = join([one for _, (_, one) in sorted(items, key=_number)])
        self._forget(key, group, transaction)
        self._remember(key, items, now)
        self.joined += 1

        def put_back() -> None:
            self._put_back(key, group)
            self.joined -= 1
            for n, (_, one) in items:
                self._whole.pop((key, n, one.parts[0]), None)

        undo.append(put_back)
        return whole

    def conflicts(self, carrier: str, message: Message, place: tuple[int, int, int]) -> bool:
        """True if another text waits in the place of this part: its sender has begun anew with the
        reference."""
        group = self._groups.get(_key(carrier, message, place))
        held = group.parts.get(place[2]) if group is not None else None
        return held is not None and held[1].parts != message.parts

    def release(
        self,
        carrier: str,
        message: Message,
        place: tuple[int, int, int],
        transaction: Transaction,
        undo: list[Undo],
    ) -> list[Message]:
        """The parts of a message that is not awaited any more, in order."""
        return self._let_go(_key(carrier, message, place), transaction, undo)

    def overdue(
        self, now: int, transaction: Transaction, undo: list[Undo]
    ) -> list[tuple[str, Message]]:
        """Carriers and parts that have waited for the others too long, or that there is no room
        for."""
        found: list[tuple[str, Message]] = []
        while self._groups:
            key, group = next(iter(self._groups.items()))
            if self.waiting <= _MOST and now - group.since < WAIT_MS:
                break
            found += [(key.carrier, one) for one in self._let_go(key, transaction, undo)]
        return found

    @property
    def crowded(self) -> bool:
        """True if more parts wait than there is room for."""
        return self.waiting > _MOST

    def _let_go(self, key: Key, transaction: Transaction, undo: list[Undo]) -> list[Message]:
        group = self._groups[key]
        self._forget(key, group, transaction)
        self.unjoined += len(group.parts)

        def put_back() -> None:
            self.unjoined -= len(group.parts)
            self._put_back(key, group)

        undo.append(put_back)
        return [message for _, (_, message) in sorted(group.parts.items(), key=_number)]

    def _forget(self, key: Key, group: _Group, transaction: Transaction) -> None:
        del self._groups[key]
        self.waiting -= len(group.parts)
        changes = transaction.changes
        gone = changes.segments_taken if self.shared else changes.segments_done
        gone += [id for id, _ in group.parts.values()]
        gone += group.again

    def _put_back(self, key: Key, group: _Group) -> None:
        """As if it had not been let go; it has waited longer than the others."""
        self.waiting += len(group.parts)
        self._groups[key] = group
        self._groups.move_to_end(key, last=False)

    def _take_back(self, key: Key, number: int, id: int) -> None:
        group = self._groups.get(key)
        if group is not None and group.parts.get(number, (0,))[0] == id:
            del group.parts[number]
            self.waiting -= 1
            if not group.parts:
                del self._groups[key]

    def _remember(self, key: Key, items: list[tuple[int, tuple[int, Message]]], now: int) -> None:
        for number, (_, message) in items:
            self._whole[key, number, message.parts[0]] = now
        while len(self._whole) > _REMEMBERED:
            self._whole.popitem(last=False)


def _number(item: tuple[int, tuple[int, Message]]) -> int:
    return item[0]


def _key(carrier: str, message: Message, place: tuple[int, int, int]) -> Key:
    return Key(carrier, message.source, message.destination, place[0], place[1])


def join(pieces: list[Message]) -> Message:
    """One message of its parts, in order; its header has what the first one's had beside the
    concatenation (A-D11).

    Parts in different alphabets, or with different shift tables, are joined as text.
    """
    first = pieces[0]
    headers = [parts.without_concatenation(one.parts[0]) for one in pieces]
    texts = [parts.udh(one.parts[0])[1] for one in pieces]
    data_coding, header = first.data_coding, headers[0]
    tables = [national.tables(each) for each in headers]
    if all(one.data_coding == data_coding for one in pieces) and len(set(tables)) == 1:
        octets = b"".join(texts)
    else:
        read = [
            coding.decode(one.data_coding, text, each)
            for one, text, each in zip(pieces, texts, headers, strict=True)
        ]
        # Octets that are no text have no alphabet to differ in.
        whole = "".join(
            text if text is not None else octets.decode("latin-1")
            for text, octets in zip(read, texts, strict=True)
        )
        data_coding, octets = coding.smallest(whole)
        header = national.without(header)
    esm_class = first.esm_class if header else first.esm_class & ~UDHI
    return evolve(first, parts=[header + octets], data_coding=data_coding, esm_class=esm_class)
