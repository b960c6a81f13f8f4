"""What the retention reads and removes: messages that ended long ago, with all that is theirs.

Message ids rise with time, so that the primary key finds the old ones. Every statement looks at a
bounded number of rows. The ledger is never touched (I8).
"""

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection, and_, delete, select, tuple_

from smsgw.message import MessageState
from smsgw.store import records, schema

# UNKNOWN is where a message ends of which no receipt came (ruling 18).
_ENDED = records.FINAL_STATES | {int(MessageState.UNKNOWN)}
_DECODE = msgspec.msgpack.Decoder(list[int]).decode
_CHUNK = 500  # ids of one statement


class Page(NamedTuple):
    """What was found among some rows; ``last`` is the id of the last row that was looked at, None
    if there are no more."""

    ids: list[int]
    last: int | None


def ended(connection: Connection, after: int, below: int, before_ms: int, limit: int) -> Page:
    """Of the first ``limit`` messages with ids above ``after`` and below ``below``, those that
    ended before ``before_ms``: a message may have been scheduled long ahead.

    One that a carrier took and of which no receipt is awaited has no other end than that it is not
    valid any more, and that nothing of it waits.
    """
    c = schema.message.c
    query = (
        select(c.id, c.state, c.done_at, c.open_until)
        .where(c.id > after, c.id < below)
        .order_by(c.id)
        .limit(limit)
    )
    rows = connection.execute(query).all()
    quiet = [row for row in rows if row.open_until is None and row.done_at < before_ms]
    ids = {row.id for row in quiet if row.state in _ENDED}
    others = [row.id for row in quiet if row.state not in _ENDED]
    for start in range(0, len(others), _CHUNK):
        chunk = select(c.id, c.content).where(c.id.in_(others[start : start + _CHUNK]))
        ids |= {
            row.id
            for row in connection.execute(chunk)
            if records.lifetime(row.content).expires_at < before_ms
        }
    return Page(sorted(ids), rows[-1].id if len(rows) == limit else None)


def waiting(connection: Connection, low: int, high: int, after: int, limit: int) -> Page:
    """Among the first ``limit`` entries of all queues with ids above ``after``, the messages from
    ``low`` to ``high`` that they are of."""
    c = schema.queue.c
    query = select(c.id, c.message).where(c.id > after).order_by(c.id).limit(limit)
    rows = connection.execute(query).all()
    ids = [row.message for row in rows if low <= row.message <= high]
    return Page(ids, rows[-1].id if len(rows) == limit else None)


def remove(connection: Connection, ids: Sequence[int]) -> int:
    """Removes those of these messages that await nothing and have no dead letters, with their parts
    and aliases; how many."""
    c, d = schema.message.c, schema.dead.c
    removed = 0
    for start in range(0, len(ids), _CHUNK):
        chunk = ids[start : start + _CHUNK]
        dead = set(connection.execute(select(d.message).where(d.message.in_(chunk))).scalars())
        rows = connection.execute(
            select(c.id, c.account, c.content).where(
                c.id.in_([id for id in chunk if id not in dead]), c.open_until.is_(None)
            )
        ).all()
        if rows:
            gone = [row.id for row in rows]
            lifetimes = [records.lifetime(row.content) for row in rows]
            named = {
                (row.account, one.alias)
                for row, one in zip(rows, lifetimes, strict=True)
                if one.alias
            }
            meant = {one.batch or id for id, one in zip(gone, lifetimes, strict=True)}
            _remove_aliases(connection, named, meant)
            # Its media go when nothing refers to them.
            for table in (schema.part, schema.media, schema.link):
                connection.execute(delete(table).where(table.c.message.in_(gone)))
            connection.execute(delete(schema.message).where(c.id.in_(gone)))
            removed += len(gone)
    return removed


def _remove_aliases(
    connection: Connection, named: Collection[tuple[str, int]], meant: Collection[int]
) -> None:
    a = schema.alias.c
    if named:
        # A number that came again is of a newer message.
        mine = and_(tuple_(a.account, a.alias).in_(named), a.message.in_(meant))
        connection.execute(delete(schema.alias).where(mine))


def remove_batches(connection: Connection, after: int, below: int, limit: int) -> Page:
    """Removes those of the first ``limit`` batches with ids above ``after`` and below ``below`` of
    which no message is left; which."""
    b = schema.batch.c
    query = select(b.id, b.messages).where(b.id > after, b.id < below).order_by(b.id).limit(limit)
    rows = connection.execute(query).all()
    gone = [row.id for row in rows if not _any_left(connection, _DECODE(row.messages))]
    if gone:
        connection.execute(delete(schema.batch).where(b.id.in_(gone)))
    return Page(gone, rows[-1].id if len(rows) == limit else None)


def _any_left(connection: Connection, ids: Sequence[int]) -> bool:
    c = schema.message.c
    for start in range(0, len(ids), _CHUNK):
        query = select(c.id).where(c.id.in_(ids[start : start + _CHUNK])).limit(1)
        if connection.execute(query).first() is not None:
            return True
    return False
