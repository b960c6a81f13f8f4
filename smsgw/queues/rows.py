"""Rows of the ``queue`` table as the queues on a broker ask for them, in the journal's thread."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from smsgw.message import Message
from smsgw.queues import Place
from smsgw.store import records, schema

# The driver takes an enum's member for an unknown type, which costs 20 times as much.
HANDED, LATER = int(Place.HANDED), int(Place.LATER)
PAGE = 1_000  # entries that are handed over at once


def counts(connection: Connection) -> list[Any]:
    """(queue, number of entries) of all queues that have any."""
    q = schema.queue.c
    return list(connection.execute(select(q.queue, func.count()).group_by(q.queue)))


def taken(connection: Connection, ids: list[int], me: int) -> tuple[list[Any], list[Message]]:
    """The rows with these ids that are handed over and nobody else has, and their messages. With
    ``me`` they are taken."""
    q = schema.queue.c
    free = and_(q.id.in_(ids), q.place == HANDED, q.taken.in_((0, me)))
    if me:
        taking = update(schema.queue).where(free).values(taken=me).returning(*schema.queue.columns)
        rows = list(connection.execute(taking))
    else:
        rows = list(connection.execute(select(schema.queue).where(free)))
    return rows, records.read(connection, list({row.message for row in rows}))


def claim(connection: Connection, attempts: dict[int, int], me: int) -> set[int]:
    """Takes those of the entries, given with their attempts, that no other node has and that are as
    they were; which these are."""
    q = schema.queue.c
    found: set[int] = set()
    for some in _chunks(list(attempts)):
        mine = and_(q.id.in_(some), q.taken.in_((0, me)))
        taking = update(schema.queue).where(mine).values(taken=me).returning(q.id, q.attempts)
        rows = list(connection.execute(taking))
        found |= {row.id for row in rows if row.attempts == attempts[row.id]}
        changed = [row.id for row in rows if row.attempts != attempts[row.id]]
        if changed:
            free(connection, changed, me)
    return found


def silent(connection: Connection, queues: list[str]) -> list[str]:
    """Those of the queues of which something is handed over and nobody has it."""
    q = schema.queue.c
    waiting = and_(q.queue.in_(queues), q.place == HANDED, q.taken == 0)
    return list(connection.execute(select(q.queue).where(waiting).distinct()).scalars())


def due_page(connection: Connection, now: int) -> tuple[list[Any], int]:
    """What is due, the first of it first, and when the next that is not is due, 0 if none."""
    q = schema.queue.c
    due = (
        select(q.id, q.queue, q.due, q.attempts)
        .where(q.place == LATER, q.taken == 0, q.due <= now)
        .order_by(q.due, q.id)
        .limit(PAGE)
    )
    soonest = select(func.min(q.due)).where(q.place == LATER, q.taken == 0, q.due > now)
    return list(connection.execute(due)), connection.execute(soonest).scalar() or 0


def begin(connection: Connection, me: int) -> list[Any]:
    """What this node had when it ended is nobody's, and what queues in the store left is for later;
    then as ``counts``."""
    c = schema.queue.c
    free = update(schema.queue).values(place=LATER, taken=0)
    connection.execute(free.where(c.place == int(Place.STORE)))
    if me:
        connection.execute(free.where(c.taken == me))
    return counts(connection)


def bring_forward(connection: Connection, queue: str, now: int) -> int:
    """What a queue has for later is due; how much that is."""
    c = schema.queue.c
    later = and_(c.queue == queue, c.due > now, c.place == LATER)
    return connection.execute(update(schema.queue).where(later).values(due=now)).rowcount


def lose(connection: Connection, queue: str, unsent: list[int]) -> int:
    """The broker has nothing of the queue: what it had is for later, but for what is ``unsent``;
    how much that is."""
    c = schema.queue.c
    handed = and_(c.queue == queue, c.place == HANDED, c.taken == 0)
    kept: list[int] = []
    for some in _chunks(unsent):
        kept += connection.execute(select(c.id).where(handed, c.id.in_(some))).scalars()
    found = update(schema.queue).where(handed).values(place=LATER)
    count = connection.execute(found).rowcount - len(kept)
    for some in _chunks(kept):
        connection.execute(update(schema.queue).where(c.id.in_(some)).values(place=HANDED))
    return count


def free(connection: Connection, ids: list[int], me: int) -> None:
    """What this node had taken of these is for whoever comes."""
    c = schema.queue.c
    for some in _chunks(ids):
        mine = update(schema.queue).where(c.id.in_(some), c.taken == me)
        connection.execute(mine.values(taken=0, place=LATER))


def take_over(connection: Connection, dead: int, node: int) -> None:
    """What a dead node had taken is for later, and what it had not published is another's."""
    had = update(schema.queue).where(schema.queue.c.taken == dead + 1)
    connection.execute(had.values(place=LATER, taken=0))
    left = update(schema.outbox).where(schema.outbox.c.node == dead)
    connection.execute(left.values(node=node))


def _chunks(ids: list[int]) -> Iterator[list[int]]:
    for start in range(0, len(ids), 500):
        yield ids[start : start + 500]
