"""How rows are written in bulk: one contract, in the words of each kind of store."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Table

from smsgw.store import statements
from smsgw.store.statements import Row


class NotCovered(Exception):
    """A balance would fall below what its account may owe."""


class Writer(Protocol):
    """Writes on one connection. The methods but ``write`` are for its transaction, or the
    caller's."""

    def write(self, work: Callable[[], None]) -> None:
        """Calls ``work`` in a transaction, and commits it. Raises ``NotCovered``, ``lines.Lost``,
        and what the driver says; nothing is in effect then, unless it is ``Lost``."""

    def insert(self, table: Table, rows: Sequence[Row], replace: bool = False) -> None:
        """Inserts rows; with ``replace`` one takes the place of what has its key already."""

    def update(
        self,
        table: str,
        key: tuple[str, ...],
        columns: tuple[str, ...],
        rows: Iterable[Row],
        also: str = "",
    ) -> None:
        """Sets ``columns`` of the rows with these keys; each row is its key and the values.
        ``also`` is more of the SET clause, the same for all."""

    def delete(self, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> None:
        """Deletes the rows with these keys."""

    def add_up(self, table: str, key: tuple[str, ...], column: str, rows: Iterable[Row]) -> None:
        """Adds the last value of each row to ``column`` of the row of ``table`` with its key."""

    def add_to_balances(self, amounts: Iterable[tuple[str, int]]) -> None:
        """Adds (account, ten-thousandths) up; ``NotCovered`` if one would then owe more than it
        may, here or when the transaction is committed."""


def of(connection: Connection) -> Writer:
    """The writer for a connection's kind of store."""
    if connection.dialect.name == "sqlite":
        return SqliteWriter(connection)
    # Its driver is an extra, and may not be installed.
    from smsgw.store.postgresql_writer import PostgresqlWriter

    return PostgresqlWriter(connection)


class SqliteWriter:
    """See ``Writer``. It uses the driver's cursor: binding thousands of values through SQLAlchemy
    costs ten times as much."""

    def __init__(self, connection: Connection) -> None:
        driver: Any = connection.connection.dbapi_connection
        self._driver = driver
        self._execute = driver.cursor().execute

    def write(self, work: Callable[[], None]) -> None:
        """See ``Writer``."""
        driver = self._driver
        # Each of these two gives up the GIL once, where ``execute`` does it three times: with a
        # busy reactor every time costs more than the statement.
        driver.executescript("BEGIN IMMEDIATE")
        try:
            work()
            driver.commit()
        except BaseException:
            # On a full disk SQLite may have rolled back by itself already.
            if driver.in_transaction:
                driver.rollback()
            raise

    def insert(self, table: Table, rows: Sequence[Row], replace: bool = False) -> None:
        """See ``Writer``."""
        statements.insert(self._execute, table, rows, replace)

    def update(
        self,
        table: str,
        key: tuple[str, ...],
        columns: tuple[str, ...],
        rows: Iterable[Row],
        also: str = "",
    ) -> None:
        """See ``Writer``."""
        statements.update(self._execute, table, key, columns, rows, also)

    def delete(self, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> None:
        """See ``Writer``."""
        statements.delete(self._execute, table, key, rows)

    def add_up(self, table: str, key: tuple[str, ...], column: str, rows: Iterable[Row]) -> None:
        """See ``Writer``."""
        statements.add_up(self._execute, table, key, column, rows)

    def add_to_balances(self, amounts: Iterable[tuple[str, int]]) -> None:
        """See ``Writer``."""
        if not statements.add_to_balances(self._execute, amounts):
            raise NotCovered
