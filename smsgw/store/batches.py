"""Batches: the messages of one request, for which one id stands (``spec/ams-websmpp.md`` W-D27)."""

from collections.abc import Collection, Iterable

import msgspec
from attrs import frozen
from sqlalchemy import Connection, select

from smsgw.message import Message, MessageState
from smsgw.store import records, schema
from smsgw.store.statements import Row

_ENCODE = msgspec.msgpack.Encoder().encode
_DECODE = msgspec.msgpack.Decoder(list[int]).decode


@frozen
class Batch:
    """One request of ``account``; ``messages`` in the order in which it named them."""

    account: str
    accepted_at: int  # ms since 1970 UTC
    messages: list[Message]


def spokesman(messages: Iterable[Message]) -> Message | None:
    """The message whose state is that of all of one request, None without any.

    It is the first that has not ended; then the first that was not delivered; then the one that was
    delivered last.
    """
    messages = list(messages)
    for one in messages:
        if not MessageState(one.state).final:
            return one
    for one in messages:
        if one.state != MessageState.DELIVERED:
            return one
    return max(messages, key=lambda one: one.done_at, default=None)


def row(id: int, account: str, accepted_at: int, messages: Iterable[Message]) -> Row:
    """The row of a batch, for ``Changes.batches``; the messages have their ids."""
    return id, account, accepted_at, _ENCODE([one.id for one in messages])


def read(connection: Connection, id: int) -> Batch | None:
    """The batch with this id, None if there is none."""
    c = schema.batch.c
    found = connection.execute(select(schema.batch).where(c.id == id)).first()
    if found is None:
        return None
    ids = _DECODE(found.messages)
    messages = {one.id: one for one in records.read(connection, ids)}
    known = [messages[one] for one in ids if one in messages]
    return Batch(found.account, found.accepted_at, known)


def sources(connection: Connection, ids: Collection[int]) -> dict[int, str]:
    """Of each of these batches whose first message is kept, the source of that."""
    if not ids:
        return {}
    c, m = schema.batch.c, schema.message.c
    found = connection.execute(select(c.id, c.messages).where(c.id.in_(ids))).all()
    firsts = {row.id: first for row in found for first in _DECODE(row.messages)[:1]}
    query = select(m.id, m.source).where(m.id.in_(firsts.values()))
    known = {row.id: row.source for row in connection.execute(query)}
    return {id: known[first] for id, first in firsts.items() if first in known}


def page(
    connection: Connection, account: str, id: int, start: int, count: int
) -> tuple[list[Message], bool] | None:
    """Messages of the account's batch with this id, from the place ``start`` on, ``count`` at most,
    and whether more follow; None if the account has no such batch."""
    c = schema.batch.c
    found = connection.execute(select(schema.batch).where(c.id == id)).first()
    if found is None or found.account != account:
        return None
    ids = _DECODE(found.messages)
    here = ids[start : start + count]
    messages = {one.id: one for one in records.read(connection, here)}
    return [messages[one] for one in here if one in messages], start + count < len(ids)
