"""Bound sessions of customers on all nodes that share a store, so that limits of a login hold over
all of them.

Every function runs in its caller's transaction, which is the journal's. Sessions of a node that has
given no sign of life for ``SILENT_MS`` do not count: their customers are to bind elsewhere at once.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, text

from smsgw.store import news, schema

SILENT_MS = 5_000  # two signs of life are missing


class SessionRow(NamedTuple):
    """A row of ``session``; ``since`` is ms since 1970, ``system`` the profile of the listener."""

    node: int
    serial: int
    account: str
    credential: str
    system: str
    bind: str
    peer: str
    since: int


def enter(connection: Connection, row: SessionRow, fits: Callable[[list[str]], bool]) -> bool:
    """Enters a session if ``fits`` says so of the bind types of the login's other sessions; False,
    and other nodes are asked whether theirs are still there, if it does not.

    Of two nodes at which a login binds at once the second sees the first one's session.
    """
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 7768))")
    connection.execute(lock, {"name": row.credential})
    c, n = schema.session.c, schema.node.c
    now = text("(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT")
    lives = select(n.number).where(n.seen_at > select(now).scalar_subquery() - SILENT_MS)
    there = select(c.bind).where(
        c.credential == row.credential, (c.node == row.node) | c.node.in_(lives)
    )
    if not fits([*connection.execute(there).scalars()]):
        news.tell(connection, [news.of_probe(row.credential)])
        return False
    connection.execute(insert(schema.session).values(row))
    return True


def leave(connection: Connection, node: int, serials: Collection[int]) -> None:
    """These sessions of a node are no more."""
    c = schema.session.c
    connection.execute(delete(schema.session).where(c.node == node, c.serial.in_(serials)))


def reconcile(connection: Connection, node: int, there: Collection[SessionRow]) -> None:
    """Has exactly these of a node, whatever was not written when it should have been."""
    c = schema.session.c
    known = {*connection.execute(select(c.serial).where(c.node == node)).scalars()}
    gone = known - {row.serial for row in there}
    if gone:
        leave(connection, node, gone)
    missing = [row for row in there if row.serial not in known]
    if missing:
        connection.execute(insert(schema.session), [row._asdict() for row in missing])


def page(connection: Connection, account: str, after: int, most: int) -> list[SessionRow]:
    """The first ``most`` of all sessions, or of an account's, with a serial above ``after``, in
    the order in which they were entered."""
    c = schema.session.c
    query = select(*(c[name] for name in SessionRow._fields)).where(c.serial > after)
    if account:
        query = query.where(c.account == account)
    return [SessionRow(*row) for row in connection.execute(query.order_by(c.serial).limit(most))]


def by_account(connection: Connection) -> dict[str, int]:
    """How many sessions each account has on all nodes."""
    c = schema.session.c
    counted = connection.execute(select(c.account, func.count()).group_by(c.account))
    return {row[0]: row[1] for row in counted}
