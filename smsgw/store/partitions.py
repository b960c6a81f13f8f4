"""Messages and their parts by the day, on PostgreSQL: a table for each day of message ids, made
ahead, and dropped as a whole when its messages are to go.

Ids rise with time, so a day (UTC) is a range of ids. What belongs to a day that has no table, for a
clock that is wrong or because it outlived its day's table, is in a table for all others.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, text

from smsgw.identities import EPOCH_MS, first_of
from smsgw.message import MessageState
from smsgw.store import records

AHEAD_DAYS = 7
_DAY_MS = 24 * 3600_000
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)
# Table -> the column that is a message's id.
_TABLES = {"message": "id", "part": "message"}
_ENDED = sorted(records.FINAL_STATES | {int(MessageState.UNKNOWN)})
_LOCK_WAIT = "SET LOCAL lock_timeout = '2s'"


def partitioned(connection: Connection) -> bool:
    """True if the store keeps messages by the day."""
    return connection.dialect.name == "postgresql"


def day_of(at_ms: int) -> int:
    """The day (since 2020-01-01 UTC) of a time (ms since 1970)."""
    return max(0, at_ms - EPOCH_MS) // _DAY_MS


def ids_of(day: int) -> tuple[int, int]:
    """The lowest id of a day, and that of the next one."""
    return first_of(EPOCH_MS + day * _DAY_MS), first_of(EPOCH_MS + (day + 1) * _DAY_MS)


def _name(table: str, day: int) -> str:
    return f"{table}_{_EPOCH + timedelta(days=day):%Y%m%d}"


def days(connection: Connection) -> list[int]:
    """The days that have tables, the oldest first."""
    query = text(
        "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
        "WHERE inhparent = 'message'::regclass"
    )
    found = []
    for name in connection.execute(query).scalars():
        digits = name.removeprefix("message_")
        if digits.isdecimal():
            at = datetime.strptime(digits, "%Y%m%d").replace(tzinfo=UTC)
            found.append((at - _EPOCH).days)
    return sorted(found)


def prepare(connection: Connection, now_ms: int) -> None:
    """Makes the tables of today and the days ahead that are not there yet, in the caller's
    transaction."""
    if not partitioned(connection):
        return
    today = day_of(now_ms)
    there = set(days(connection))
    wanted = [day for day in range(today, today + AHEAD_DAYS + 1) if day not in there]
    if wanted:
        make(connection, wanted)


def make(connection: Connection, wanted: Iterable[int]) -> None:
    """Makes the tables of these days; what the table for all others has of them goes there."""
    # Nodes do not make the same at once.
    connection.execute(text("SELECT pg_advisory_xact_lock(7767)"))
    connection.execute(text(_LOCK_WAIT))
    there = set(days(connection))
    for day in sorted(set(wanted) - there):
        low, high = ids_of(day)
        for table, column in _TABLES.items():
            name = _name(table, day)
            new = f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            moved = (
                f"WITH moved AS (DELETE FROM {table}_other WHERE {column} >= {low} "
                f"AND {column} < {high} RETURNING *) INSERT INTO {name} SELECT * FROM moved"
            )
            # Attached when it is full of what is there: so the others wait for a moment only.
            attached = (
                f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})"
            )
            for statement in (new, moved, attached):
                connection.execute(text(statement))


def count(connection: Connection, day: int) -> int:
    """How many messages a day's table has."""
    query = text(f"SELECT count(*) FROM {_name('message', day)}")
    return int(connection.execute(query).scalar_one())


def unfinished(
    connection: Connection, day: int, before_ms: int, after: int, limit: int
) -> tuple[list[int], int | None]:
    """Of the first ``limit`` messages of a day with ids above ``after`` that did not plainly end
    before ``before_ms``, those that did not end at all, and the last id that was looked at, None if
    there are no more (see ``retention.ended``)."""
    query = text(
        f"SELECT id, content, open_until, done_at, state FROM {_name('message', day)} "
        "WHERE id > :after AND NOT (open_until IS NULL AND done_at < :before "
        "AND state = ANY(:ended)) ORDER BY id LIMIT :limit"
    )
    values = {"after": after, "before": before_ms, "ended": _ENDED, "limit": limit}
    rows = connection.execute(query, values).all()
    found = [
        row.id
        for row in rows
        if row.open_until is not None
        or row.done_at >= before_ms
        or records.lifetime(row.content).expires_at >= before_ms
    ]
    return found, rows[-1].id if len(rows) == limit else None


def drop(connection: Connection, day: int, kept: Sequence[int]) -> int:
    """Drops a day's tables, in the caller's transaction; how many messages are kept.

    Kept are those of ``kept``, and all of which something waits or was given up.
    """
    low, high = ids_of(day)
    connection.execute(text(_LOCK_WAIT))
    for table in _TABLES:
        connection.execute(text(f"ALTER TABLE {table} DETACH PARTITION {_name(table, day)}"))
    between = {"low": low, "high": high}
    staying = set(kept)
    for table in ("queue", "dead"):
        query = text(
            f"SELECT DISTINCT message FROM {table} WHERE message >= :low AND message < :high"
        )
        staying.update(connection.execute(query, between).scalars())
    for table, column in _TABLES.items():
        query = text(
            f"INSERT INTO {table} SELECT * FROM {_name(table, day)} WHERE {column} = ANY(:ids)"
        )
        connection.execute(query, {"ids": sorted(staying)})
        connection.execute(text(f"DROP TABLE {_name(table, day)}"))
    return len(staying)


def remove_aliases(connection: Connection, day: int) -> None:
    """Removes the numbers of 3.3 sessions for messages and batches of a day that are gone."""
    low, high = ids_of(day)
    query = text(
        "DELETE FROM alias WHERE message >= :low AND message < :high "
        "AND NOT EXISTS (SELECT 1 FROM message WHERE message.id = alias.message) "
        "AND NOT EXISTS (SELECT 1 FROM batch WHERE batch.id = alias.message)"
    )
    connection.execute(query, {"low": low, "high": high})
