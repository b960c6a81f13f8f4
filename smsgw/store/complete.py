"""Messages of several parts all of which have ended, on a store that several nodes share.

The transaction in which the last part ends makes a row of ``complete`` (``Writer.note_complete``),
whichever nodes the parts were sent by: each holds the message's row before it writes a part, so of
two the second sees what the first has written. The transaction that ends the message removes it.
So what a node did not come to any more can be found (I1).
"""

from collections.abc import Collection

from sqlalchemy import Connection, delete, select

from smsgw.message import Message
from smsgw.store import records, schema

_MOST = 1_000


def among(connection: Connection, ids: Collection[int]) -> list[Message]:
    """Those of the messages with these ids that are to be ended."""
    c = schema.complete.c.message
    return records.read(connection, [*connection.execute(select(c).where(c.in_(ids))).scalars()])


def waiting(connection: Connection) -> set[int]:
    """Ids of messages that are to be ended, the oldest first, no more than 1,000."""
    c = schema.complete.c.message
    return set(connection.execute(select(c).order_by(c).limit(_MOST)).scalars())


def left(connection: Connection, ids: Collection[int]) -> list[Message]:
    """``among``, without those that have ended in another way, of which the rows are removed."""
    found = {one.id: one for one in among(connection, ids)}
    over = {id for id in ids if id not in found or found[id].state in records.FINAL_STATES}
    if over:
        connection.execute(delete(schema.complete).where(schema.complete.c.message.in_(over)))
    return [one for id, one in found.items() if id not in over]
