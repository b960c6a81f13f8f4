"""Messages as rows: how a ``Message`` becomes a row of the store and comes back."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple
from weakref import WeakValueDictionary

import msgspec
from sqlalchemy import Connection, and_, desc, select, text

from smsgw.message import (
    FORMER,
    Acknowledgement,
    Direction,
    MailOrigin,
    Message,
    MessageState,
    Multimedia,
)
from smsgw.store import schema

MESSAGE_COLUMNS = [c.name for c in schema.message.columns]
_CONTENT = MESSAGE_COLUMNS.index("content")
_ENCODE = msgspec.msgpack.Encoder().encode


class _Content(msgspec.Struct, array_like=True):
    """What the ``content`` column holds; new fields go to the end, with a default."""

    parts: list[bytes]
    data_coding: int
    esm_class: int
    source_ton: int
    source_npi: int
    destination_ton: int
    destination_npi: int
    protocol_id: int
    priority: int
    service_type: str
    registered_delivery: int
    schedule_at: int
    expires_at: int
    client_reference: str | None
    tlvs: list[tuple[int, bytes]]
    interface: str
    credential: str
    route: str
    carriers: list[str]
    price: str
    alias: int = 0
    charged: int = 0
    # Seldom set: empty for most messages.
    more: dict[str, Any] = {}


_EMPTY = {
    "tag": "",
    "kind": "sms",
    "costcentre": "",
    "private": False,
    "report_to": "",
    "via": "",
    "queue_ms": 0,
    "payer": "",
    "refusal": "",
    "targets": [],
    "multimedia": None,
    "mailed": None,
    "batch": 0,
    "read_at": 0,
}
_SELDOM = tuple(_EMPTY)
_NOTHING: dict[str, Any] = {}
_DECODE = msgspec.msgpack.Decoder(_Content).decode


def row(m: Message, open_until: int | None) -> tuple[object, ...]:
    """The values of MESSAGE_COLUMNS for a message; ``open_until`` in ms, None if no receipt is
    awaited."""
    content = _ENCODE(
        (
            m.parts,
            m.data_coding,
            m.esm_class,
            m.source_ton,
            m.source_npi,
            m.destination_ton,
            m.destination_npi,
            m.protocol_id,
            m.priority,
            m.service_type,
            m.registered_delivery,
            m.schedule_at,
            m.expires_at,
            m.client_reference,
            m.tlvs,
            m.interface,
            m.credential,
            m.route,
            m.carriers,
            m.price,
            m.alias,
            m.charged,
            _more(m),
        )
    )
    return (
        m.id,
        int(m.direction),
        m.account,
        m.source,
        m.destination,
        len(m.parts),
        content,
        m.accepted_at,
        open_until,
        int(m.state),
        m.error,
        m.network_error,
        m.done_at,
    )


def content_of(m: Message) -> tuple[object, object]:
    """The id and the ``content`` column of a message, for ``Changes.contents``."""
    return m.id, row(m, None)[_CONTENT]


def _more(m: Message) -> dict[str, Any]:
    """The fields that few messages have."""
    if not (
        m.tag
        or m.costcentre
        or m.private
        or m.report_to
        or m.via
        or m.queue_ms
        or m.payer
        or m.refusal
        or m.targets
        or m.batch
        or m.mailed
        or m.kind != "sms"
        or m.multimedia is not None
    ):
        return _NOTHING
    return {name: getattr(m, name) for name in _SELDOM if getattr(m, name) != _EMPTY[name]}


class Billing(NamedTuple):
    """What a statement asks of a message; ``charged`` is for each part, in ten-thousandths."""

    costcentre: str
    private: bool
    charged: int


def billing(content: bytes) -> Billing:
    """What the ``content`` column says of a message's money."""
    c = _DECODE(content)
    return Billing(c.more.get("costcentre", ""), c.more.get("private", False), c.charged)


class Lifetime(NamedTuple):
    """What retention asks of a message; ``alias`` is 0 if it has none, ``batch`` what it then means
    in place of the message."""

    expires_at: int
    alias: int
    batch: int


def lifetime(content: bytes) -> Lifetime:
    """What the ``content`` column says of how long a message is needed."""
    c = _DECODE(content)
    return Lifetime(c.expires_at, c.alias, c.more.get("batch", 0))


def _message(r: Any) -> Message:
    c = _DECODE(r.content)
    if "multimedia" in c.more:
        c.more["multimedia"] = msgspec.convert(c.more["multimedia"], Multimedia)
    if "mailed" in c.more:
        c.more["mailed"] = msgspec.convert(c.more["mailed"], MailOrigin)
    return Message(
        source=r.source,
        destination=r.destination,
        parts=c.parts,
        data_coding=c.data_coding,
        esm_class=c.esm_class,
        source_ton=c.source_ton,
        source_npi=c.source_npi,
        destination_ton=c.destination_ton,
        destination_npi=c.destination_npi,
        protocol_id=c.protocol_id,
        priority=c.priority,
        service_type=c.service_type,
        registered_delivery=c.registered_delivery,
        schedule_at=c.schedule_at,
        expires_at=c.expires_at,
        client_reference=c.client_reference,
        tlvs=c.tlvs,
        interface=c.interface,
        credential=c.credential,
        account=r.account,
        direction=r.direction,
        id=r.id,
        accepted_at=r.accepted_at,
        route=c.route,
        carriers=c.carriers,
        price=c.price,
        alias=c.alias,
        charged=c.charged,
        **c.more,
        state=r.state,
        error=r.error,
        network_error=r.network_error,
        done_at=r.done_at,
    )


class Records:
    """Reads messages, and sees to it that one message is one object for as long as anybody holds
    it.

    The journey changes the object and commits what it changed, so there must never be two of them.
    ``known`` is used on the reactor's thread only; reading runs on the journal's, and what it read
    is exchanged for the known object by ``adopt``.
    """

    def __init__(self) -> None:
        self.known: WeakValueDictionary[int, Message] = WeakValueDictionary()
        # True if other nodes may have brought a known message further than it is known here.
        self.shared = False

    def adopt(self, messages: Iterable[Message]) -> dict[int, Message]:
        """By id, the known object of each message that was read, or the given one, which is known
        from now on."""
        if self.shared:
            return {m.id: self.refresh(m) for m in messages}
        known = self.known
        return {m.id: known.setdefault(m.id, m) for m in messages}

    def refresh(self, stored: Message) -> Message:
        """The known object of a message that other nodes may have brought further, as it was read:
        what has ended there has ended here as well. What is further here is not stored yet, and
        stays."""
        message = self.known.setdefault(stored.id, stored)
        if message is stored:
            return message
        if stored.state in FINAL_STATES and message.state not in FINAL_STATES:
            message.state, message.done_at = stored.state, stored.done_at
            message.error, message.network_error = stored.error, stored.network_error
        message.read_at = message.read_at or stored.read_at
        for number, told in stored.acknowledged.items():
            mine = message.acknowledged.get(number)
            if mine is None or (
                mine.carrier == told.carrier
                and told.state in FINAL_STATES
                and mine.state not in FINAL_STATES
            ):
                message.acknowledged[number] = told
        if stored.former:
            message.former = {**stored.former, **message.former}
        return message


def read(connection: Connection, ids: Sequence[int]) -> list[Message]:
    """The messages with these ids, with their acknowledgements, in no particular order."""
    found: dict[int, Message] = {}
    for start in range(0, len(ids), 500):
        chunk = ids[start : start + 500]
        for r in connection.execute(select(schema.message).where(schema.message.c.id.in_(chunk))):
            found[r.id] = _message(r)
        for p in connection.execute(select(schema.part).where(schema.part.c.message.in_(chunk))):
            m = found.get(p.message)
            if m is not None and p.number >= FORMER:
                former = Acknowledgement(p.carrier, p.carrier_id, p.at, p.state)
                m.former = {**m.former, p.number: former}
            # Without a carrier it waits for one again.
            elif m is not None and p.carrier:
                # The state of the only part is that of its message, and is kept there only.
                # Those of an MO are of its targets.
                mt = m.direction == Direction.MT
                state = m.state if mt and len(m.parts) == 1 else p.state
                m.acknowledged[p.number] = Acknowledgement(p.carrier, p.carrier_id, p.at, state)
    return list(found.values())


def accepted_by(
    connection: Connection, accounts: Collection[str], since: int, before: int, limit: int
) -> tuple[list[Message], int]:
    """Accepted MT of these accounts among the newest ``limit`` messages with an id from ``since``
    to below ``before``, the newest first, without acknowledgements; and the id to go on below,
    ``since`` if there are no more."""
    c = schema.message.c
    query = (
        select(schema.message).where(c.id >= since, c.id < before).order_by(desc(c.id)).limit(limit)
    )
    rows = list(connection.execute(query))
    found = [
        _message(r)
        for r in rows
        if r.account in accounts and r.direction == Direction.MT and r.parts
    ]
    return found, rows[-1].id if len(rows) == limit else since


def received(
    connection: Connection, account: str, number: str, after: int, limit: int
) -> list[Message]:
    """MO of the account to ``number`` (digits) with ids above ``after``, the first of them first,
    without acknowledgements."""
    c = schema.message.c
    query = (
        select(schema.message)
        .where(
            text("direction = 1"),  # as the index says it
            c.account == account,
            c.id > after,
            c.destination.in_([number, "+" + number]),
        )
        .order_by(c.id)
        .limit(limit)
    )
    return [_message(r) for r in connection.execute(query)]


def between(
    connection: Connection,
    account: str,
    direction: int,
    since: int,
    before: int,
    source: str = "",
    destination: str = "",
    limit: int = 10_000,
) -> tuple[list[int], int]:
    """Ids of an account's messages among the newest ``limit`` of all with an id from ``since`` to
    below ``before``, the newest first; and the id to go on below, ``since`` if there are no
    more. ``source`` and ``destination`` "" are any."""
    c = schema.message.c
    last = connection.execute(
        select(c.id)
        .where(c.id >= since, c.id < before)
        .order_by(desc(c.id))
        .offset(limit - 1)
        .limit(1)
    ).scalar()
    below = since if last is None else last
    query = select(c.id).where(
        c.id >= below, c.id < before, c.account == account, c.direction == direction
    )
    if source:
        query = query.where(c.source == source)
    if destination:
        query = query.where(c.destination == destination)
    return list(connection.execute(query.order_by(desc(c.id))).scalars()), below


def by_carrier_id(
    connection: Connection, carrier: str, carrier_ids: Sequence[str]
) -> list[tuple[str, int, int]]:
    """(carrier id, message id, part number) of the newest part for each id that the carrier has
    acknowledged."""
    p = schema.part.c
    newest: dict[str, tuple[str, int, int]] = {}
    for start in range(0, len(carrier_ids), 500):
        chunk = carrier_ids[start : start + 500]
        query = (
            select(p.carrier_id, p.message, p.number)
            .where(and_(p.carrier_id.in_(chunk), p.carrier == carrier))
            .order_by(p.message)
        )
        for r in connection.execute(query):
            newest[r.carrier_id] = (r.carrier_id, r.message, r.number)
    return list(newest.values())


def overdue(connection: Connection, now_ms: int, limit: int) -> list[Message]:
    """Messages whose receipt has not come in time, the most overdue first."""
    c = schema.message.c
    ids = connection.execute(
        select(c.id).where(c.open_until <= now_ms).order_by(c.open_until).limit(limit)
    ).scalars()
    return read(connection, list(ids))


def highest_id(connection: Connection) -> int:
    """The highest id allotted to a message or a part of one, a batch, a queue or a ledger entry,
    a list, a mail, or an action of the audit so far, 0 if none."""
    highest = 0
    tables = (schema.message, schema.segment, schema.batch, schema.queue, schema.ledger)
    others = (schema.number_list, schema.dead, schema.action, schema.mm4_mail, schema.outbox)
    for table in (*tables, *others):
        newest = connection.execute(select(table.c.id).order_by(desc(table.c.id)).limit(1)).scalar()
        highest = max(highest, newest or 0)
    return highest


FINAL_STATES = frozenset(int(s) for s in MessageState if s.final)
