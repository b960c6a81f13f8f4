"""Which messages refer to which media: rows that come with the message and go when its media are
over."""

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection, delete, select

from smsgw.message import Message
from smsgw.store import schema


class MediaRow(NamedTuple):
    """A row of ``media``: the message keeps the file with this digest until ``until`` (ms)."""

    message: int
    digest: str
    size: int
    until: int


def rows_of(message: Message, kept_ms: int) -> list[MediaRow]:
    """What a multimedia message refers to, for ``kept_ms`` after its acceptance, and for as long
    as it is valid in any case."""
    if message.multimedia is None:
        return []
    until = max(message.accepted_at + kept_ms, message.expires_at)
    sizes = {one.digest: one.size for one in message.multimedia.media}
    return [MediaRow(message.id, digest, size, until) for digest, size in sizes.items()]


def referenced(connection: Connection, digests: Sequence[str]) -> set[str]:
    """Those of the digests that some message refers to; at most 500 are asked about."""
    c = schema.media.c
    query = select(c.digest).where(c.digest.in_(digests)).distinct()
    return set(connection.execute(query).scalars())


def expire(connection: Connection, now_ms: int) -> int:
    """Removes the references whose time is over; how many there were."""
    return connection.execute(delete(schema.media).where(schema.media.c.until <= now_ms)).rowcount


def of_message(connection: Connection, message: int) -> list[MediaRow]:
    """What a message refers to; nothing once that is over."""
    c = schema.media.c
    query = select(c.message, c.digest, c.size, c.until).where(c.message == message)
    return [MediaRow(*row) for row in connection.execute(query.order_by(c.digest))]
