"""Waiting: reads entries that wait to be sent, with their messages.

Comes from: ``pending``, which looks for what it may still cancel or change. Goes on to: back to it.
"""

from collections.abc import Sequence

from sqlalchemy import ColumnElement, Connection, select

from smsgw.message import Message
from smsgw.queues import Kind
from smsgw.store import records, schema

_NEAR = 3 << 21  # ids of three milliseconds: those of one message are allotted in one go
_LATEST = (1 << 63) - 1  # the highest id that the store can hold
_CHUNK = 5_000  # entries of the queue that are searched before the journal does something else

Rows = list[schema.QueueRow]


def near(connection: Connection, id: int) -> tuple[list[Message], Rows]:
    """The message, and its entries to be sent as far as they have the ids that follow its own."""
    q = schema.queue.c
    last = min(id + _NEAR, _LATEST)
    query = select(schema.queue).where(
        q.id > id, q.id <= last, q.message == id, q.kind == Kind.SEND
    )
    rows = [schema.QueueRow(*row) for row in connection.execute(query)]
    return records.read(connection, [id]), rows


def all_near(connection: Connection, ids: Sequence[int]) -> list[tuple[list[Message], Rows]]:
    """``near`` of each."""
    return [near(connection, id) for id in ids]


def piece(
    connection: Connection, after: int, until: int, condition: ColumnElement[bool]
) -> tuple[int, list[tuple[int, int]]]:
    """Searches some entries with ids after ``after``: the last one searched, and ids of those found
    with their message's."""
    q, m = schema.queue.c, schema.message.c
    last = connection.execute(
        select(q.id).where(q.id > after, q.id <= until).order_by(q.id).offset(_CHUNK - 1).limit(1)
    ).scalar()
    upto = until if last is None else last
    query = (
        select(q.id, q.message)
        .join(schema.message, m.id == q.message)
        .where(q.id > after, q.id <= upto, q.kind == Kind.SEND, condition)
        .order_by(q.id)
    )
    return upto, [(row.id, row.message) for row in connection.execute(query)]


def entries(connection: Connection, ids: Sequence[int]) -> tuple[Rows, list[Message]]:
    """Those of these entries that are there, and the messages that they are of."""
    q = schema.queue.c
    rows: Rows = []
    for start in range(0, len(ids), 500):
        query = select(schema.queue).where(q.id.in_(ids[start : start + 500]))
        rows += [schema.QueueRow(*row) for row in connection.execute(query)]
    return rows, records.read(connection, list({row.message for row in rows}))
