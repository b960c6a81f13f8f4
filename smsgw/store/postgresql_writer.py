"""Writes the journal's transactions to PostgreSQL.

Theory of operation. All statements of a transaction, its COMMIT included, go to the server in one
pipeline, so that a transaction costs one round trip. Each statement has one array for each of its
columns, whatever the number of rows; the arrays are written as text, which Python does quickest.
Rows are sorted by their keys and tables always come in the same order, so of several nodes none
waits for a row of another that waits for it; should the server find such a circle all the same, it
takes one of the transactions back, and that is done again.

What must hold for a transaction is checked by the server, since nobody waits for its answers: a
statement fails, and with it all, where a balance would fall too low, or where the connection has
been given up for lost.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

from psycopg import errors
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql.schema import Table

from smsgw.message import FORMER, MessageState
from smsgw.store import lines, schema
from smsgw.store.lines import Lost
from smsgw.store.news import CHANNEL
from smsgw.store.statements import Row, added_up, latest, sums_of
from smsgw.store.writers import EndedBefore, NotCovered, OverQuota, TakenBefore

_TRIES = 5  # of a transaction that the server took back because of others
_DIALECT: Any = postgresql.dialect()  # type: ignore[no-untyped-call]  # of SQLAlchemy


class Mark:
    """The row of a connection in ``commit_mark``, kept with the connection (``info``)."""

    def __init__(self, session: str) -> None:
        self.session = session
        self.number = 0


_MARK = (
    "WITH marked AS (UPDATE commit_mark SET number = %s WHERE session = %s AND NOT over "
    # No row: the square root of -1, an error of its own.
    "RETURNING 1) SELECT sqrt(count(*) - 1) FROM marked"
)


class PostgresqlWriter:
    """See ``writers.Writer``."""

    def __init__(self, connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        self._driver = driver
        self._cursor = driver.cursor()
        self._mark: Mark | None = connection.info.get("mark")

    def write(self, work: Callable[[], None]) -> None:
        """See ``writers.Writer``."""
        driver = self._driver
        number = 0
        if self._mark is not None:
            self._mark.number += 1
            number = self._mark.number
        execute = self._cursor.execute
        for left in reversed(range(_TRIES)):
            try:
                # The driver would wait for the answer to a BEGIN of its own.
                driver.autocommit = True
                with driver.pipeline():
                    execute("BEGIN", prepare=False)
                    if self._mark is not None:
                        execute(_MARK, (number, self._mark.session))
                    work()
                    execute("COMMIT", prepare=False)
                driver.autocommit = False
                return
            except errors.DivisionByZero:
                self._roll_back()
                raise NotCovered from None
            except errors.InvalidArgumentForWidthBucketFunction:
                self._roll_back()
                raise EndedBefore from None
            except errors.InvalidArgumentForNtileFunction:
                self._roll_back()
                raise TakenBefore from None
            except errors.InvalidArgumentForLogarithm:
                self._roll_back()
                raise OverQuota from None
            except (errors.DeadlockDetected, errors.SerializationFailure):
                driver.rollback()
                if not left:
                    driver.autocommit = False
                    raise
            except errors.InvalidArgumentForPowerFunction:
                driver.close()
                raise Lost(number, "another gateway has taken the store over") from None
            except Exception as error:
                if driver.closed:
                    raise Lost(number, lines.why(error)) from error
                self._roll_back()
                raise

    def _roll_back(self) -> None:
        self._driver.rollback()
        self._driver.autocommit = False

    def insert(self, table: Table, rows: Sequence[Row], replace: bool = False) -> None:
        """See ``writers.Writer``."""
        if replace:
            width = len(table.primary_key.columns)
            rows = sorted(latest(rows, width), key=lambda row: tuple(row[:width]))
        if rows:
            sql = _insert_sql(table, replace)
            self._cursor.execute(sql, _arrays(_types(table.name, _names(table)), rows))

    def update(
        self,
        table: str,
        key: tuple[str, ...],
        columns: tuple[str, ...],
        rows: Iterable[Row],
        also: str = "",
    ) -> None:
        """See ``writers.Writer``."""
        found: Any = latest(rows, len(key))
        if found:
            found.sort()
            values = _arrays(_types(table, key + columns), found)
            bounds = _bounds(table, key, found)
            self._cursor.execute(_update_sql(table, key, columns, also), values + bounds)

    def delete(self, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> None:
        """See ``writers.Writer``."""
        if rows:
            keys: Any = rows
            found = sorted(keys)
            values = _arrays(_types(table, key), found)
            self._cursor.execute(_delete_sql(table, key), values)

    def add_up(self, table: str, key: tuple[str, ...], column: str, rows: Iterable[Row]) -> None:
        """See ``writers.Writer``."""
        found: Any = sorted(added_up(rows))
        if found:
            values = _arrays(_types(table, (*key, column)), found)
            self._cursor.execute(_add_up_sql(table, key, column), values)

    def add_to_balances(self, amounts: Iterable[tuple[str, int]]) -> None:
        """See ``writers.Writer``."""
        found = sorted(sums_of(amounts))
        if found:
            values = _arrays(["TEXT", "BIGINT"], found)
            self._cursor.execute(_BALANCES, [*values, len(found)])

    def check_quotas(self, metered: Iterable[tuple[str, int, int, int]]) -> None:
        """See ``writers.Writer``."""
        found = sorted(set(metered))
        if found:
            values = _arrays(["TEXT", "INTEGER", "BIGINT", "BIGINT"], found)
            self._cursor.execute(_QUOTAS, values)

    def advance(self, moved: Iterable[Row]) -> None:
        """See ``writers.Writer``."""
        found: Any = latest(moved, 1)
        found.sort()
        bounds = _bounds("message", ("id",), found)
        self._cursor.execute(_ADVANCE, [*_arrays(["BIGINT", "SMALLINT"], found), *bounds])

    def end(self, ended: Sequence[Row]) -> None:
        """See ``writers.Writer``."""
        found: Any = sorted(latest(ended, 1))
        types = ["BIGINT", "SMALLINT", "SMALLINT", "TEXT", "BIGINT"]
        bounds = _bounds("message", ("id",), found)
        self._cursor.execute(_END, [*_arrays(types, found), *bounds, len(found)])

    def take_segments(self, ids: Sequence[int]) -> None:
        """See ``writers.Writer``."""
        found = sorted(set(ids))
        self._cursor.execute(_TAKE_SEGMENTS, [_integers(found), len(found)])

    def take_early(self, keys: Sequence[tuple[str, str]]) -> None:
        """See ``writers.Writer``."""
        found = sorted(set(keys))
        self._cursor.execute(_TAKE_EARLY, [*_arrays(["TEXT", "TEXT"], found), len(found)])

    def hold(self, messages: Iterable[int]) -> None:
        """See ``writers.Writer``."""
        found = sorted(set(messages))
        self._cursor.execute(_HOLD, [_integers(found), found[0], found[-1]])

    def note_complete(self, messages: Iterable[int]) -> None:
        """See ``writers.Writer``."""
        found = sorted(set(messages))
        self._cursor.execute(_COMPLETE, [_integers(found), found[0], found[-1]])

    def tell(self, payloads: Sequence[str]) -> None:
        """See ``writers.Writer``."""
        if payloads:
            self._cursor.execute(_TELL, [CHANNEL, _texts(payloads)])


# A row that the last condition leaves out is not counted as written, and without it the division is
# by zero.
_BALANCES = (
    "WITH written AS (INSERT INTO balance (account, amount) "
    "SELECT * FROM unnest(%s::TEXT[], %s::BIGINT[]) "
    "ON CONFLICT (account) DO UPDATE SET amount = balance.amount + excluded.amount "
    "WHERE excluded.amount >= 0 OR balance.credit_limit IS NULL "
    "OR balance.amount + excluded.amount >= -balance.credit_limit RETURNING 1) "
    "SELECT 1 / CASE WHEN count(*) = %s THEN 1 ELSE 0 END FROM written"
)

# The rows of these days are locked by what was added to them before, so of two nodes the second
# sees what the first has sent. If there is a row here, the logarithm of 0, an error of its own.
_QUOTAS = (
    "SELECT ln(1 - least(count(*), 1)) FROM "
    "unnest(%s::TEXT[], %s::INTEGER[], %s::BIGINT[], %s::BIGINT[]) "
    "AS q (account, day, days, months) "
    "WHERE (q.days > 0 AND q.days < "
    "(SELECT u.parts FROM usage u WHERE u.account = q.account AND u.day = q.day)) "
    "OR (q.months > 0 AND q.months < (SELECT sum(u.parts) FROM usage u "
    "WHERE u.account = q.account AND u.day BETWEEN q.day / 100 * 100 AND q.day / 100 * 100 + 99))"
)
_FINAL = ", ".join(str(int(s)) for s in MessageState if s.final)
_ADVANCE = (
    "UPDATE message SET state = new.state FROM unnest(%s::BIGINT[], %s::SMALLINT[]) "
    "AS new (id, state) WHERE message.id = new.id AND message.id >= %s AND message.id <= %s "
    f"AND message.state NOT IN ({_FINAL})"
)
# A row that has ended is not written; then the number of buckets is 0, an error of its own.
_END = (
    "WITH written AS (UPDATE message SET state = new.state, error = new.error, "
    "network_error = new.network_error, done_at = new.done_at, open_until = NULL "
    "FROM unnest(%s::BIGINT[], %s::SMALLINT[], %s::SMALLINT[], %s::TEXT[], %s::BIGINT[]) "
    "AS new (id, state, error, network_error, done_at) WHERE message.id = new.id "
    "AND message.id >= %s AND message.id <= %s AND message.state <> new.state "
    f"AND message.state NOT IN ({_FINAL}) "
    "RETURNING 1) SELECT width_bucket(0, 0, 1, CASE WHEN count(*) = %s THEN 1 ELSE 0 END) "
    "FROM written"
)
_TAKE_SEGMENTS = (
    "WITH gone AS (DELETE FROM segment WHERE id = ANY(%s::BIGINT[]) RETURNING 1) "
    "SELECT width_bucket(0, 0, 1, CASE WHEN count(*) = %s THEN 1 ELSE 0 END) FROM gone"
)
_TAKE_EARLY = (
    "WITH gone AS (DELETE FROM early_receipt e USING unnest(%s::TEXT[], %s::TEXT[]) "
    "AS k (carrier, carrier_id) WHERE e.carrier = k.carrier AND e.carrier_id = k.carrier_id "
    "RETURNING 1) SELECT ntile(CASE WHEN count(*) = %s THEN 1 ELSE 0 END) OVER () FROM gone"
)
_HOLD = (
    "SELECT 1 FROM message WHERE id = ANY(%s::BIGINT[]) AND id >= %s AND id <= %s "
    "ORDER BY id FOR NO KEY UPDATE"
)
_UNKNOWN = int(MessageState.UNKNOWN)
# As ``flow.ending.Endings.ended_as``: each part has ended; or, where no receipts are awaited, each
# is acknowledged and one has failed.
_COMPLETE = (
    "INSERT INTO complete SELECT m.id FROM message m CROSS JOIN LATERAL (SELECT count(*) AS taken, "
    f"count(*) FILTER (WHERE p.state IN ({_FINAL}, {_UNKNOWN})) AS ended, count(*) FILTER "
    f"(WHERE p.state IN ({_FINAL}, {_UNKNOWN}) AND p.state <> {int(MessageState.DELIVERED)}) "
    f"AS failed FROM part p WHERE p.message = m.id AND p.number < {FORMER} AND p.carrier <> '') "
    "AS s WHERE m.id = ANY(%s::BIGINT[]) AND m.id >= %s AND m.id <= %s "
    f"AND m.state NOT IN ({_FINAL}) AND s.taken = m.parts "
    "AND (s.ended = m.parts OR (m.open_until IS NULL AND s.failed > 0)) ON CONFLICT DO NOTHING"
)
_TELL = "SELECT pg_notify(%s, payload) FROM unnest(%s::TEXT[]) AS payload"


@lru_cache(256)
def _names(table: Table) -> tuple[str, ...]:
    return tuple(c.name for c in table.columns)


@lru_cache(256)
def _types(table: str, names: tuple[str, ...]) -> list[str]:
    columns = schema.metadata.tables[table].columns
    return [
        columns[name].type.compile(dialect=_DIALECT).replace("VARCHAR", "TEXT") for name in names
    ]


def _unnested(table: str, names: tuple[str, ...]) -> str:
    return f"unnest({', '.join(f'%s::{one}[]' for one in _types(table, names))})"


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


@lru_cache(256)
def _insert_sql(table: Table, replace: bool) -> str:
    names = _names(table)
    rows = _unnested(table.name, names)
    sql = f'INSERT INTO "{table.name}" ({_quoted(names)}) SELECT * FROM {rows}'
    if replace:
        key = [c.name for c in table.primary_key.columns]
        values = ", ".join(f'"{c}" = excluded."{c}"' for c in names if c not in key)
        sql += f" ON CONFLICT ({_quoted(key)}) DO UPDATE SET {values}"
    return sql


@lru_cache(256)
def _update_sql(table: str, key: tuple[str, ...], columns: tuple[str, ...], also: str) -> str:
    names = key + columns
    values = ", ".join(f'"{c}" = new."{c}"' for c in columns)
    where = " AND ".join(f'"{table}"."{k}" = new."{k}"' for k in key)
    if _partitioned(table):
        # So that the server looks at the partitions of these rows only.
        where += f' AND "{table}"."{key[0]}" >= %s AND "{table}"."{key[0]}" <= %s'
    return (
        f'UPDATE "{table}" SET {values}{also} FROM {_unnested(table, names)} '
        f"AS new ({_quoted(names)}) WHERE {where}"
    )


def _bounds(table: str, key: tuple[str, ...], rows: Sequence[Row]) -> list[object]:
    """The least and the greatest key of rows in the order of their keys."""
    return [rows[0][0], rows[-1][0]] if _partitioned(table) else []


def _partitioned(table: str) -> bool:
    return table in ("message", "part")


@lru_cache(256)
def _delete_sql(table: str, key: tuple[str, ...]) -> str:
    if len(key) == 1:
        type = _types(table, key)[0]
        return f'DELETE FROM "{table}" WHERE "{key[0]}" = ANY(%s::{type}[])'
    where = " AND ".join(f'"{table}"."{k}" = gone."{k}"' for k in key)
    rows = f"{_unnested(table, key)} AS gone ({_quoted(key)})"
    return f'DELETE FROM "{table}" USING {rows} WHERE {where}'


@lru_cache(256)
def _add_up_sql(table: str, key: tuple[str, ...], column: str) -> str:
    names = (*key, column)
    return (
        f'INSERT INTO "{table}" ({_quoted(names)}) SELECT * FROM {_unnested(table, names)} '
        f"ON CONFLICT ({_quoted(key)}) DO UPDATE "
        f'SET "{column}" = "{table}"."{column}" + excluded."{column}"'
    )


def _arrays(types: Sequence[str], rows: Sequence[Row]) -> list[object]:
    """A literal of an array for each column."""
    columns: Any = zip(*rows, strict=True)
    return [_WRITTEN[type](values) for type, values in zip(types, columns, strict=True)]


def _integers(values: Sequence[int | None]) -> str:
    try:
        # Not of the value: a bool or an enum's member has its own.
        return "{" + ",".join(map(int.__repr__, values)) + "}"
    except TypeError:
        return "{" + ",".join(["NULL" if v is None else f"{int(v)}" for v in values]) + "}"


def _texts(values: Sequence[str | None]) -> str:
    try:
        whole = '","'.join(values)  # type: ignore[arg-type]
        plain = "\\" not in whole and whole.count('"') == 2 * (len(values) - 1)
    except TypeError:
        plain = False
    if plain:
        written = '{"' + whole + '"}'
    else:
        written = "{" + ",".join(map(_text, values)) + "}"
    # PostgreSQL has no NUL in a text; what a peer wrote is not to stop the journal.
    return written.replace("\0", "\ufffd") if "\0" in written else written


def _text(value: str | None) -> str:
    if value is None:
        return "NULL"
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _octets(values: Sequence[bytes | None]) -> str:
    return "{" + ",".join(["NULL" if v is None else f'"\\\\x{v.hex()}"' for v in values]) + "}"


_WRITTEN: dict[str, Callable[[Any], str]] = {
    "BIGINT": _integers,
    "INTEGER": _integers,
    "SMALLINT": _integers,
    "TEXT": _texts,
    "BYTEA": _octets,
}
