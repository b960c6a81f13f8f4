"""How rows are written in bulk: one contract, in the words of each kind of store."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from sqlalchemy import Connection, Table

from smsgw.store import statements
from smsgw.store.statements import Row


class NotCovered(Exception):
    """A balance would fall below what its account may owe."""


class EndedBefore(Exception):
    """A message that was to end has ended already."""


class TakenBefore(Exception):
    """An early receipt that was to be matched is gone."""


class OverQuota(Exception):
    """An account would have sent more than its quota."""


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

    def check_quotas(self, metered: Iterable[tuple[str, int, int, int]]) -> None:
        """``OverQuota`` if an account has used more than its limits (account, day as YYYYMMDD,
        parts a day, parts a month; 0: unlimited), here or when the transaction is committed. Only
        for a store that several nodes share: one process knows itself."""

    def advance(self, moved: Iterable[Row]) -> None:
        """Moves messages (id, state) that have not ended."""

    def end(self, ended: Sequence[Row]) -> None:
        """Ends messages (id, state, error, network error, done at); ``EndedBefore`` if one has
        ended, here or when the transaction is committed. Only for a store that several nodes
        share."""

    def take_segments(self, ids: Sequence[int]) -> None:
        """Removes parts of MO that wait; ``EndedBefore`` if one is gone. Only for a store that
        several nodes share."""

    def take_early(self, keys: Sequence[tuple[str, str]]) -> None:
        """Removes early receipts (carrier, carrier id); ``TakenBefore`` if one is gone. Only for a
        store that several nodes share."""

    def hold(self, messages: Iterable[int]) -> None:
        """Until the end of the transaction no other node notes ends of parts of these messages.
        Only for a store that several nodes share, as the next."""

    def note_complete(self, messages: Iterable[int]) -> None:
        """Makes a row of ``complete`` for those of which each part has ended."""

    def tell(self, payloads: Sequence[str]) -> None:
        """Tells other nodes (``news.py``) when the transaction is committed."""


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

    def check_quotas(self, metered: Iterable[tuple[str, int, int, int]]) -> None:
        """See ``Writer``."""

    def advance(self, moved: Iterable[Row]) -> None:
        """See ``Writer``; what has ended is known to the one process that there is."""
        self.update("message", ("id",), ("state",), moved)

    def end(self, ended: Sequence[Row]) -> None:
        """See ``Writer``."""
        columns = ("state", "error", "network_error", "done_at")
        self.update("message", ("id",), columns, ended, also=", open_until = NULL")

    def take_segments(self, ids: Sequence[int]) -> None:
        """See ``Writer``; nobody else takes any."""
        self.delete("segment", ("id",), [(id,) for id in ids])

    def take_early(self, keys: Sequence[tuple[str, str]]) -> None:
        """See ``Writer``; nobody else matches any."""
        self.delete("early_receipt", ("carrier", "carrier_id"), keys)

    def hold(self, messages: Iterable[int]) -> None:
        """See ``Writer``; there is nobody else."""

    def note_complete(self, messages: Iterable[int]) -> None:
        """See ``Writer``; a message ends in the transaction of its last part."""

    def tell(self, payloads: Sequence[str]) -> None:
        """See ``Writer``; there is nobody to be told."""
