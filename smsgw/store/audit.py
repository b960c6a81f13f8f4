"""The audit: who changed what and when, from the provisioning's own table and that of actions."""

from typing import Any, NamedTuple

from sqlalchemy import Connection, String, cast, insert, literal, null, select, tuple_, union_all

from smsgw.store import schema

PAGE = 1_000  # rows that are read at once


class Row(NamedTuple):
    """One change of the provisioning (``version``, ``before`` and ``after`` as JSON), or one action
    (``version`` 0, ``detail``). The first four are the order of all."""

    at: int  # ms since 1970 UTC
    version: int
    id: int
    number: int
    who: str
    kind: str
    name: str
    before: str | None
    after: str | None
    detail: str


def enter(connection: Connection, row: schema.ActionRow) -> None:
    """Keeps an action, in the caller's transaction."""
    connection.execute(insert(schema.action).values(row._asdict()))


def read(
    connection: Connection,
    since: int = 0,
    kind: str = "",
    name: str = "",
    after: tuple[int, int, int, int] | None = None,
) -> list[Row]:
    """A page of the audit from the time ``since`` on, the oldest rows first.

    ``kind`` and ``name`` leave out what is of others, ``after`` is the start of the last row of the
    page before.
    """
    zero: Any = literal(0)
    changes, actions = schema.audit.c, schema.action.c
    nothing = cast(null(), String)
    both = union_all(
        select(
            changes.at,
            changes.version,
            zero.label("id"),
            changes.number,
            changes.who,
            changes.kind,
            changes.name,
            changes.before,
            changes.after,
            literal("").label("detail"),
        ),
        select(
            actions.at,
            zero.label("version"),
            actions.id,
            zero.label("number"),
            actions.who,
            actions.kind,
            actions.name,
            nothing.label("before"),
            nothing.label("after"),
            actions.detail,
        ),
    ).subquery()
    c = both.c
    order = (c.at, c.version, c.id, c.number)
    query = select(both).where(c.at >= since).order_by(*order).limit(PAGE)
    if kind:
        query = query.where(c.kind == kind)
    if name:
        query = query.where(c.name == name)
    if after is not None:
        query = query.where(tuple_(*order) > after)
    return [Row(*row) for row in connection.execute(query)]
