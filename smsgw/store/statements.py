"""The statements of the journal: few, each of many rows, written for the driver's cursor.

SQLAlchemy would bind the thousands of values of a transaction ten times as slowly.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Protocol

from sqlalchemy import Table

Row = Sequence[object]

# Rows of one statement: many enough that the GIL is given up and taken back seldom
# (``executemany`` does that for every row), few enough that statements stay cached.
# Fewer than _SMALL have a statement of their own number of rows.
_LARGE = 200
_SMALL = 20


class _Cursor(Protocol):
    """As much of what the driver's ``execute`` returns as is looked at."""

    @property
    def rowcount(self) -> int:
        """How many rows the statement wrote."""


Execute = Callable[[str, Sequence[Any]], _Cursor]


def _many(execute: Execute, sql: Callable[[int], str], rows: Sequence[Row]) -> int:
    """Runs the statement of ``sql(number of rows)`` over all rows, in a few sizes so that it stays
    cached; how many rows it wrote."""
    start = written = 0
    left = len(rows)
    while left:
        # Whole twenties: otherwise 150 rows would be eight statements.
        size = _LARGE if left >= _LARGE else left - left % _SMALL or left
        values = [value for row in rows[start : start + size] for value in row]
        written += execute(sql(size), values).rowcount
        start += size
        left -= size
    return written


def latest(rows: Iterable[Row], width: int) -> list[Row]:
    """Of several rows for one key, which are the first ``width`` values, the last one: a statement
    must not meet a row twice."""
    return list({tuple(row[:width]): row for row in rows}.values())


def added_up(rows: Iterable[Row]) -> list[Row]:
    """One row for each key, which are all values but the last, with the sum of those."""
    sums: dict[tuple[object, ...], Any] = {}
    for row in rows:
        key = tuple(row[:-1])
        sums[key] = sums.get(key, 0) + row[-1]
    return [(*key, amount) for key, amount in sums.items()]


def sums_of(amounts: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """``added_up`` for what comes with every message."""
    sums: dict[str, int] = {}
    for account, amount in amounts:
        sums[account] = sums.get(account, 0) + amount
    return list(sums.items())


def insert(execute: Execute, table: Table, rows: Sequence[Row], replace: bool = False) -> None:
    """Inserts rows; with ``replace`` one takes the place of what has its key already."""
    if replace:
        rows = latest(rows, len(table.primary_key.columns))
    _many(execute, lambda n: _insert_sql(table, n, replace), rows)


@lru_cache(512)
def _insert_sql(table: Table, rows: int, replace: bool) -> str:
    columns = [c.name for c in table.columns]
    sql = f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES {_marks(len(columns), rows)}"
    if replace:
        key = [c.name for c in table.primary_key.columns]
        values = ", ".join(f"{c} = excluded.{c}" for c in columns if c not in key)
        sql += f" ON CONFLICT ({', '.join(key)}) DO UPDATE SET {values}"
    return sql


def add_to_balances(execute: Execute, amounts: Iterable[tuple[str, int]]) -> bool:
    """Adds (account, ten-thousandths) up; False if one would then owe more than it may.

    Then some of them are written, and the transaction must be taken back.
    """
    sums = sums_of(amounts)
    return _many(execute, _balance_sql, sums) == len(sums)


@lru_cache(512)
def _balance_sql(rows: int) -> str:
    # A row that the last condition leaves out is not counted as written.
    return (
        f"INSERT INTO balance (account, amount) VALUES {_marks(2, rows)} "
        "ON CONFLICT (account) DO UPDATE SET amount = balance.amount + excluded.amount "
        "WHERE excluded.amount >= 0 OR balance.credit_limit IS NULL "
        "OR balance.amount + excluded.amount >= -balance.credit_limit"
    )


def add_up(
    execute: Execute, table: str, key: tuple[str, ...], column: str, rows: Iterable[Row]
) -> None:
    """Adds the last value of each row to ``column`` of the row of ``table`` with its key."""
    _many(execute, lambda n: _add_up_sql(table, key, column, n), added_up(rows))


@lru_cache(512)
def _add_up_sql(table: str, key: tuple[str, ...], column: str, rows: int) -> str:
    names = ", ".join((*key, column))
    return (
        f"INSERT INTO {table} ({names}) VALUES {_marks(len(key) + 1, rows)} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE "
        f"SET {column} = {table}.{column} + excluded.{column}"
    )


def update(
    execute: Execute,
    table: str,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    rows: Iterable[Row],
    also: str = "",
) -> None:
    """Sets ``columns`` of the rows with these keys; each row is its key and the values.

    ``also`` is more of the SET clause, the same for all.
    """
    found = latest(rows, len(key))
    _many(execute, lambda n: _update_sql(table, key, columns, n, also), found)


@lru_cache(512)
def _update_sql(
    table: str, key: tuple[str, ...], columns: tuple[str, ...], rows: int, also: str
) -> str:
    names = key + columns
    values = ", ".join(f"{c} = new.{c}" for c in columns)
    where = " AND ".join(f"{table}.{k} = new.{k}" for k in key)
    return (
        f"WITH new ({', '.join(names)}) AS (VALUES {_marks(len(names), rows)}) "
        f"UPDATE {table} SET {values}{also} FROM new WHERE {where}"
    )


def delete(execute: Execute, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> None:
    """Deletes the rows with these keys."""
    _many(execute, lambda n: _delete_sql(table, key, n), rows)


@lru_cache(512)
def _delete_sql(table: str, key: tuple[str, ...], rows: int) -> str:
    if len(key) == 1:
        return f"DELETE FROM {table} WHERE {key[0]} IN ({', '.join('?' * rows)})"
    return f"DELETE FROM {table} WHERE ({', '.join(key)}) IN (VALUES {_marks(len(key), rows)})"


def _marks(columns: int, rows: int) -> str:
    return ", ".join(["(" + ", ".join("?" * columns) + ")"] * rows)
