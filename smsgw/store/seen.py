"""Which multimedia messages have come for which recipient, and what was answered: a repeat gets the
same answer, and is not delivered again (ruling 16).

Keys are ``mm4.transactions.delivery_key``: peer, message id and recipient.
"""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, delete, select

from smsgw.mm4.transactions import KEPT_MS
from smsgw.store import schema

_CHUNK = 500  # keys of one statement
_FIND = select(schema.mm4_seen).where(
    schema.mm4_seen.c.key.in_(bindparam("keys", expanding=True)),
    schema.mm4_seen.c.at > bindparam("since"),
)


class SeenRow(NamedTuple):
    """A row of ``mm4_seen``: at ``at`` (ms) the recipient was answered ``status`` and ``text``."""

    key: bytes
    at: int
    status: str  # a ``mm4.words.RequestStatus``
    text: str


def find(connection: Connection, keys: Sequence[bytes], now: int) -> dict[bytes, SeenRow]:
    """By key, those that came within seven days."""
    found: dict[bytes, SeenRow] = {}
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        for row in connection.execute(_FIND, {"keys": chunk, "since": now - KEPT_MS}):
            found[row.key] = SeenRow(*row)
    return found


def remove_before(connection: Connection, at: int, limit: int) -> int:
    """Removes those from before ``at`` (ms); how many, ``limit`` at most."""
    c = schema.mm4_seen.c
    query = select(c.key).where(c.at < at).limit(limit)
    keys = list(connection.execute(query).scalars())
    for start in range(0, len(keys), _CHUNK):
        connection.execute(delete(schema.mm4_seen).where(c.key.in_(keys[start : start + _CHUNK])))
    return len(keys)
