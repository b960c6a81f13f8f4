"""Nodes that share a store: who lives, what each has for itself, and the end of one that is dead.

All times are those of the store's own clock (ms since 1970), so the clocks of nodes need not agree.
Every function runs in its caller's transaction, which is the journal's.
"""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert

from smsgw.store import schema

DEAD_MS = 10_000  # without a sign of life
LEFT = 0  # ``seen_at`` of a node that ended in order
FENCED = "this node was declared dead by another one"


class LinkRow(NamedTuple):
    """A link of a node to a carrier, as operators see it; ``since`` is ms since 1970."""

    carrier: str
    name: str  # "1", "2" ...; "" of an MMSC, which has no link
    bind: str
    peer: str
    state: str  # "up", "waiting" ...; of an MMSC also "idle"
    up: bool  # True also of an idle MMSC
    since: int
    reason: str = ""  # why it is not up
    outstanding: int = 0
    bound: int = 0  # how often it was bound, which tells one bind from the next


class NodeRow(NamedTuple):
    """A row of ``node``."""

    number: int
    name: str
    roles: tuple[str, ...]
    version: str
    carriers: Mapping[str, int]  # how many links of each are up
    started_at: int
    seen_at: int
    incarnation: int
    links: tuple[LinkRow, ...] = ()


class Beat(NamedTuple):
    """What a sign of life tells the node that gives it."""

    nodes: list[NodeRow]  # all that have a row, this one too
    leases: dict[str, int]  # name -> number of the node that has it


class Fenced(Exception):
    """The node was declared dead: what it had is another's."""

    def __init__(self) -> None:
        super().__init__(FENCED)


def owner_of(number: int) -> str:
    """Under which name the store knows the journal of a node (``store.postgresql.lock``)."""
    return f"node {number}"


def superseded(connection: Connection, owner: str) -> None:
    """The lock of this owner was free, so the node that had it has ended: others need not end its
    connection, which could be that of the one that starts now."""
    if owner.startswith(owner_of(0)[:-1]):
        mine = update(schema.node).where(schema.node.c.number == int(owner.split()[-1]))
        connection.execute(mine.values(seen_at=LEFT))


def register(connection: Connection, row: NodeRow) -> None:
    """A node starts; what a former one of its number left in these tables is gone. Times and
    incarnation are those of the row, but for ``seen_at`` and ``started_at``, which are now."""
    at = _now(connection)
    values: dict[str, Any] = {
        **row._asdict(),
        "roles": ",".join(row.roles),
        "carriers": _written(row.carriers),
        "links": msgspec.json.encode(row.links).decode(),
        "started_at": at,
        "seen_at": at,
    }
    changed = {key: value for key, value in values.items() if key != "number"}
    putting = insert(schema.node).values(values)
    connection.execute(putting.on_conflict_do_update(index_elements=["number"], set_=changed))
    _let_go(connection, row.number)


def beat(
    connection: Connection,
    number: int,
    incarnation: int,
    links: Collection[LinkRow],
    wanted: Collection[str],
) -> Beat:
    """A sign of life of a node, with the links that it has, and the leases that it wants: it
    gets those of them that nobody has, and lets go of others. Raises ``Fenced``."""
    c, had = schema.node.c, schema.lease.c
    mine = update(schema.node).where(c.number == number, c.incarnation == incarnation)
    carriers = {one.carrier: 0 for one in links}
    for one in links:
        carriers[one.carrier] += one.up
    alive = mine.values(
        seen_at=_now(connection),
        carriers=_written(carriers),
        links=msgspec.json.encode(links).decode(),
    )
    if not connection.execute(alive).rowcount:
        raise Fenced
    had_by = leases(connection)
    unwanted = [name for name, node in had_by.items() if node == number and name not in wanted]
    if unwanted:
        connection.execute(delete(schema.lease).where(had.name.in_(unwanted), had.node == number))
    free = sorted(set(wanted) - had_by.keys())
    if free:
        taking = insert(schema.lease).values([{"name": name, "node": number} for name in free])
        connection.execute(taking.on_conflict_do_nothing())
    return Beat(read(connection), leases(connection) if free or unwanted else had_by)


def bury(connection: Connection, dead: NodeRow) -> bool:
    """Ends a node that gave no sign of life for ``DEAD_MS``, or that has left: True for the one
    that does it. Nothing that a dead one still writes is taken from now on."""
    c = schema.node.c
    found = delete(schema.node).where(
        c.number == dead.number,
        c.incarnation == dead.incarnation,
        c.seen_at == dead.seen_at,
        c.seen_at <= _now(connection) - DEAD_MS,
    )
    if not connection.execute(found).rowcount:
        return False
    _let_go(connection, dead.number)
    if dead.seen_at == LEFT:
        return True  # it writes nothing more; one of its number that starts now is to do so
    # Its connection, if it is there still, is ended, with the transaction that it may be in.
    connection.execute(
        text(
            "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity a JOIN commit_mark m "
            "ON a.application_name = 'smsgw ' || m.session WHERE m.owner = :owner AND NOT m.over"
        ),
        {"owner": owner_of(dead.number)},
    )
    m = schema.commit_mark
    over = update(m).where(m.c.owner == owner_of(dead.number), ~m.c.over)
    connection.execute(over.values(over=True))
    return True


def leave(connection: Connection, number: int, incarnation: int) -> None:
    """A node ends in order; what it may have left is another's at once."""
    c = schema.node.c
    mine = update(schema.node).where(c.number == number, c.incarnation == incarnation)
    if connection.execute(mine.values(seen_at=LEFT)).rowcount:
        _let_go(connection, number)


def lives(connection: Connection, incarnation: int) -> bool:
    """True unless the node of this incarnation was declared dead."""
    query = select(schema.node.c.number).where(schema.node.c.incarnation == incarnation)
    return connection.execute(query).first() is not None


def read(connection: Connection) -> list[NodeRow]:
    """All nodes that have a row, by number."""
    return [
        NodeRow(
            row.number,
            row.name,
            tuple(row.roles.split(",")),
            row.version,
            msgspec.json.decode(row.carriers, type=dict[str, int]),
            row.started_at,
            row.seen_at,
            row.incarnation,
            tuple(msgspec.json.decode(row.links, type=list[LinkRow])),
        )
        for row in connection.execute(select(schema.node).order_by(schema.node.c.number))
    ]


def sessions(connection: Connection) -> dict[int, int]:
    """How many sessions are bound to each node."""
    c = schema.session.c
    counted = connection.execute(select(c.node, func.count()).group_by(c.node))
    return {row[0]: row[1] for row in counted}


def leases(connection: Connection) -> dict[str, int]:
    """Which node has what for itself."""
    c = schema.lease.c
    return {row[0]: row[1] for row in connection.execute(select(c.name, c.node))}


def _let_go(connection: Connection, number: int) -> None:
    connection.execute(delete(schema.lease).where(schema.lease.c.node == number))
    connection.execute(delete(schema.session).where(schema.session.c.node == number))


def _written(carriers: Mapping[str, int]) -> str:
    return msgspec.json.encode(dict(carriers)).decode()


def _now(connection: Connection) -> int:
    clock = text("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::BIGINT")
    return int(connection.execute(clock).scalar_one())
