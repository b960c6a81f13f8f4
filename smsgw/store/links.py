"""Which page shows which multimedia message: rows that come with the message, and go when its media
are over."""

from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from smsgw.store import schema


class LinkRow(NamedTuple):
    """A row of ``link``: until ``until`` (ms) the page of ``token`` shows the message."""

    token: str
    message: int
    until: int


def find(connection: Connection, token: str, now_ms: int) -> LinkRow | None:
    """What the page of ``token`` shows, None if that is nothing, or not any more."""
    c = schema.link.c
    query = select(c.token, c.message, c.until).where(c.token == token, c.until > now_ms)
    row = connection.execute(query).first()
    return LinkRow(*row) if row is not None else None


def expire(connection: Connection, now_ms: int) -> int:
    """Removes the links whose time is over; how many there were."""
    return connection.execute(delete(schema.link).where(schema.link.c.until <= now_ms)).rowcount
