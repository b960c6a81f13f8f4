"""Answers that are kept for requests that are repeated with their Idempotency-Key (E-D11 of
``spec/aerialink.md``)."""

from attrs import frozen
from sqlalchemy import Connection, and_, delete, select

from smsgw.store import schema
from smsgw.store.statements import Row

KEPT_MS = 24 * 3600_000


@frozen
class Kept:
    """An answer; ``asked`` is a digest of what was asked, ``at`` in ms since 1970 UTC."""

    asked: bytes
    at: int
    status: int
    content_type: str
    body: bytes


def row(account: str, credential: str, key: str, kept: Kept) -> Row:
    """The row of an answer, for ``Changes.answers``."""
    return account, credential, key, kept.at, kept.asked, kept.status, kept.content_type, kept.body


def find(connection: Connection, account: str, credential: str, key: str, now: int) -> Kept | None:
    """The answer that a login got with this key in the last 24 hours, None if it got none."""
    c = schema.answer.c
    mine = and_(c.account == account, c.credential == credential, c.key == key)
    found = connection.execute(select(schema.answer).where(mine)).first()
    if found is None:
        return None
    if found.at <= now - KEPT_MS:
        # Nothing is to stand where the next answer with this key goes.
        connection.execute(delete(schema.answer).where(mine))
        return None
    return Kept(found.asked, found.at, found.status, found.content_type, found.body)


def remove_before(connection: Connection, at: int, limit: int) -> int:
    """Removes answers from before ``at`` (ms); how many there were, ``limit`` at most."""
    a = schema.answer.c
    query = select(a.account, a.credential, a.key).where(a.at < at).limit(limit)
    rows = connection.execute(query).all()
    for one in rows:
        mine = and_(a.account == one.account, a.credential == one.credential, a.key == one.key)
        connection.execute(delete(schema.answer).where(mine))
    return len(rows)
