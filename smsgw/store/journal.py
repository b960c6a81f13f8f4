"""The journal: the store's only writer. Whatever waits goes into the next transaction (group
commit).

Theory of operation. Everybody who changes state hands ``commit`` a ``Changes`` and gets a Deferred
that fires when that is durable. One thread owns the one connection. It takes *all* changes that
wait, merges them into few statements of many rows, commits once, and tells the reactor once. So an
idle journal commits at once, and a busy one makes larger batches by itself: while one transaction
is being written, the next one's changes gather. There is no timer and no batch size to tune.

Changes that nobody waits for with an answer (``soon``: that a carrier has taken a message, that an
account has its receipt) gather for up to 5 ms before they start a transaction of their own, and go
with the next one that is started. Only ``new`` messages, which depend on nothing, are committed
before them; whatever else is handed in keeps its place.

Each of the changes is applied whole or not at all. If a merged transaction fails, the
changes are tried again one by one, so that one that cannot be stored harms no other; a full disk
fails each of them, and the journal goes on trying with whatever comes next.

Reads (``run``) wait their turn on the same thread between two transactions: SQLite before 3.51.3
can lose committed pages when several connections share a WAL database, so there is only the one
connection.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from attrs import define, field
from sqlalchemy import Connection, Engine, Table
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.store import schema

T = TypeVar("T")
Row = Sequence[object]
_log = Logger()

# Rows of one statement: many enough that the GIL is given up and taken back seldom
# (``executemany`` does that for every row), few enough that statements stay cached.
# Fewer than _SMALL have a statement of their own number of rows.
_LARGE = 200
_SMALL = 20
_MAX_CHANGES = 2_000
_SOON_S = 0.005
_SOON_ROWS = 50


class StoreFailed(Exception):
    """Changes were not stored; nothing of them is in effect. The text says why."""


@define
class Changes:
    """What one step of the journey writes. Rows are tuples in the order of the table's columns."""

    messages: list[Row] = field(factory=list)
    # (message id, state, error, network_error, done_at): the message has reached this state, no
    # receipt is awaited.
    closed: list[Row] = field(factory=list)
    # (message id, state): the message goes on.
    moved: list[Row] = field(factory=list)
    entries: list[Row] = field(factory=list)
    # (entry id, due, attempts)
    postponed: list[Row] = field(factory=list)
    settled: list[int] = field(factory=list)
    parts: list[Row] = field(factory=list)
    early_receipts: list[Row] = field(factory=list)
    # (carrier, carrier id)
    early_matched: list[tuple[str, str]] = field(factory=list)
    # Each is added to the balance of its account as well.
    ledger: list[schema.LedgerRow] = field(factory=list)
    # (account, day as YYYYMMDD, parts): added to what the account has used.
    usage: list[tuple[str, int, int]] = field(factory=list)
    members: list[Row] = field(factory=list)  # of lists of numbers
    # (list, number)
    members_removed: list[tuple[int, str]] = field(factory=list)
    dead: list[Row] = field(factory=list)
    # It may wait a few milliseconds for a transaction to go with.
    soon: bool = False
    # It inserts new messages and their entries, and so depends on nothing that waits.
    new: bool = False


Batch = list[tuple[Changes, Deferred[None]]]


class _Pending:
    """Changes that wait for a transaction, those marked ``soon`` apart from the others."""

    def __init__(self) -> None:
        self.batch: Batch = []
        self._soon: Batch = []
        self._rows = 0
        self._until = 0.0
        self._overtaken = True  # by nothing but new messages, which cannot depend on what waits

    def add(self, changes: Batch) -> None:
        """In the order in which they were handed in."""
        for pair in changes:
            one = pair[0]
            if one.soon:
                if not self._soon:
                    self._until = time.monotonic() + _SOON_S
                self._soon.append(pair)
                self._rows += len(one.settled)
            else:
                self.batch.append(pair)
                self._overtaken = self._overtaken and one.new

    def wait(self) -> float | None:
        """Seconds until there is something to commit even if nothing more comes; None: never."""
        return max(0.0, self._until - time.monotonic()) if self._soon else None

    def take(self, all: bool) -> Batch:
        """What the next transaction is to hold: everything, or without what may wait longer."""
        batch = self.batch
        many = self._rows >= _SOON_ROWS
        if self._soon and (all or many or not self._overtaken or time.monotonic() >= self._until):
            batch = self._soon + batch
            self._soon = []
            self._rows = 0
        self.batch = []
        self._overtaken = True
        return batch


class Journal:
    """Owns the connection of a store and its thread."""

    def __init__(self, engine: Engine, reactor: Any) -> None:
        """``reactor`` has callFromThread and callLater."""
        self._engine = engine
        self._reactor = reactor
        self._gathered: Batch = []
        # Lists of changes, reads as (function, Deferred), and None at the end.
        self._work: SimpleQueue[Any] = SimpleQueue()
        self._thread: Thread | None = None
        self._stopped: Deferred[None] = Deferred()
        # Called after the Deferreds of one transaction have fired: to do once what each of them
        # asks for.
        self.after_batch: Callable[[], None] = lambda: None
        # For operators: what the journal did since it was started.
        self.transactions = 0
        self.changes = 0
        self.failures = 0
        self.failing = ""  # why the last transaction failed, "" if it did not
        self.seconds = 0.0

    def start(self) -> None:
        """Starts the thread."""
        self._thread = Thread(target=self._serve, name="journal", daemon=True)
        self._thread.start()

    def stop(self) -> Deferred[None]:
        """Commits what waits and ends the thread; nothing may be handed in afterwards."""
        self._hand_in()
        self._work.put(None)
        return self._stopped

    def commit(self, changes: Changes) -> Deferred[None]:
        """Makes changes durable. Fires on the reactor's thread; fails with ``StoreFailed``."""
        done: Deferred[None] = Deferred()
        self._gathered.append((changes, done))
        if len(self._gathered) == 1:
            # All that one turn of the reactor brings goes together, or the first would be committed
            # alone.
            self._reactor.callLater(0, self._hand_in)
        return done

    def _hand_in(self) -> None:
        if self._gathered:
            self._work.put(self._gathered)
            self._gathered = []

    def run(self, function: Callable[[Connection], T]) -> Deferred[T]:
        """Calls ``function(connection)`` on the journal's thread in a transaction of its own, after
        all that waits."""
        done: Deferred[T] = Deferred()
        self._hand_in()
        self._work.put((function, done))
        return done

    def _serve(self) -> None:
        connection = self._engine.connect()
        pending = _Pending()
        running = True
        while running:
            item = self._next(pending.wait())
            # Takes all that waits, up to the first read, which keeps its place in the order.
            while isinstance(item, list):
                pending.add(item)
                item = self._next(0) if len(pending.batch) < _MAX_CHANGES else ()
            batch = pending.take(all=item != ())
            if batch:
                self._commit(connection, batch)
            if item is None:
                running = False
            elif item:
                self._read(connection, *item)
        connection.close()
        self._reactor.callFromThread(self._stopped.callback, None)

    def _next(self, timeout: float | None) -> Any:
        """What was handed in next; () if nothing was within ``timeout`` seconds (None: ever)."""
        try:
            return self._work.get(timeout=timeout)
        except Empty:
            return ()

    def _commit(self, connection: Connection, batch: Batch) -> None:
        started = time.perf_counter()
        try:
            _store(connection, [changes for changes, _ in batch])
        except Exception as error:
            self.failures += 1
            self.failing = _why(error)
            if len(batch) > 1:
                for one in batch:
                    self._commit(connection, [one])
                return
            failure = Failure(StoreFailed(self.failing))
            self._reactor.callFromThread(self._tell, batch, failure)
        else:
            self.transactions += 1
            self.changes += len(batch)
            self.failing = ""
            self._reactor.callFromThread(self._tell, batch, None)
        finally:
            self.seconds += time.perf_counter() - started

    def _tell(self, batch: Batch, failure: Failure | None) -> None:
        for _, done in batch:
            if failure is None:
                done.callback(None)
            else:
                done.errback(failure)
        self.after_batch()

    def _read(
        self, connection: Connection, function: Callable[[Connection], Any], done: Deferred[Any]
    ) -> None:
        try:
            with connection.begin():
                result = function(connection)
        except Exception:
            self._reactor.callFromThread(done.errback, Failure())
        else:
            self._reactor.callFromThread(done.callback, result)


def _why(error: Exception) -> str:
    # SQLAlchemy's own text carries the whole statement with its parameters, so texts of messages.
    return str(getattr(error, "orig", None) or error).splitlines()[0][:200]


def _store(connection: Connection, batch: list[Changes]) -> None:
    """Writes all changes of the batch in one transaction.

    The order of the statements lets one batch put an entry and settle it, or insert a message and
    close it.
    """
    merged = batch[0] if len(batch) == 1 else _merged(batch)
    # The driver's cursor: binding thousands of values through SQLAlchemy costs ten times as much.
    cursor = connection.connection.cursor()
    execute = cursor.execute
    driver: Any = connection.connection.dbapi_connection
    # Each of these two gives up the GIL once, where ``execute`` does it three times: with a busy
    # reactor every time costs more than the statement.
    driver.executescript("BEGIN IMMEDIATE")
    try:
        if merged.messages:
            _insert(execute, schema.message, merged.messages)
        if merged.parts:
            _insert(execute, schema.part, merged.parts, replace=True)
        if merged.entries:
            _insert(execute, schema.queue, merged.entries)
        if merged.moved:
            _update(execute, "message", ("id",), ("state",), merged.moved)
        if merged.closed:
            columns = ("state", "error", "network_error", "done_at")
            _update(execute, "message", ("id",), columns, merged.closed, also=", open_until = NULL")
        if merged.postponed:
            _update(execute, "queue", ("id",), ("due", "attempts"), merged.postponed)
        if merged.settled:
            _delete(execute, "queue", ("id",), [(id,) for id in merged.settled])
        if merged.early_receipts:
            _insert(execute, schema.early_receipt, merged.early_receipts, replace=True)
        if merged.early_matched:
            _delete(execute, "early_receipt", ("carrier", "carrier_id"), merged.early_matched)
        if merged.ledger:
            _insert(execute, schema.ledger, merged.ledger)
            _add_up(execute, "balance", ("account",), "amount", _sums(merged.ledger))
        if merged.usage:
            _add_up(execute, "usage", ("account", "day"), "parts", merged.usage)
        if merged.members_removed:
            _delete(execute, "list_member", ("list", "number"), merged.members_removed)
        if merged.members:
            _insert(execute, schema.list_member, merged.members, replace=True)
        if merged.dead:
            _insert(execute, schema.dead, merged.dead)
        driver.commit()
    except BaseException:
        # On a full disk SQLite may have rolled back by itself already.
        if driver.in_transaction:
            driver.rollback()
        raise
    finally:
        cursor.close()


def _merged(batch: list[Changes]) -> Changes:
    all = Changes()
    for c in batch:
        all.messages += c.messages
        all.closed += c.closed
        all.moved += c.moved
        all.entries += c.entries
        all.postponed += c.postponed
        all.settled += c.settled
        all.parts += c.parts
        all.early_receipts += c.early_receipts
        all.early_matched += c.early_matched
        all.ledger += c.ledger
        all.usage += c.usage
        if c.members or c.members_removed:
            _merge_members(all, c)
        all.dead += c.dead
    return all


def _merge_members(all: Changes, later: Changes) -> None:
    """Of what happens to one member, the last holds: the statements do not run in that order."""
    removed = set(later.members_removed)
    all.members = [row for row in all.members if (row[0], row[1]) not in removed]
    added = {(row[0], row[1]) for row in later.members}
    all.members_removed = [key for key in all.members_removed if key not in added]
    all.members += later.members
    all.members_removed += later.members_removed


Execute = Callable[[str, Sequence[Any]], object]


def _many(execute: Execute, sql: Callable[[int], str], rows: Sequence[Row]) -> None:
    """Runs the statement of ``sql(number of rows)`` over all rows, in a few sizes so that it stays
    cached."""
    start = 0
    left = len(rows)
    while left:
        size = _LARGE if left >= _LARGE else _SMALL if left >= _SMALL else left
        values = [value for row in rows[start : start + size] for value in row]
        execute(sql(size), values)
        start += size
        left -= size


def _insert(execute: Execute, table: Table, rows: Sequence[Row], replace: bool = False) -> None:
    if replace:
        # Of several rows for one key the last one holds (the key's columns come first).
        width = len(table.primary_key.columns)
        rows = list({tuple(row[:width]): row for row in rows}.values())
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


def _sums(entries: Iterable[schema.LedgerRow]) -> list[tuple[str, int]]:
    return [(entry.account, entry.amount) for entry in entries]


def _add_up(
    execute: Execute, table: str, key: tuple[str, ...], column: str, rows: Iterable[Row]
) -> None:
    """Adds the last value of each row to ``column`` of the row of ``table`` with its key."""
    sums: dict[tuple[object, ...], Any] = {}
    for row in rows:
        sums[tuple(row[:-1])] = sums.get(tuple(row[:-1]), 0) + row[-1]
    added = [(*where, amount) for where, amount in sums.items()]
    _many(execute, lambda n: _add_up_sql(table, key, column, n), added)


@lru_cache(512)
def _add_up_sql(table: str, key: tuple[str, ...], column: str, rows: int) -> str:
    names = ", ".join((*key, column))
    return (
        f"INSERT INTO {table} ({names}) VALUES {_marks(len(key) + 1, rows)} "
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE "
        f"SET {column} = {table}.{column} + excluded.{column}"
    )


def _update(
    execute: Execute,
    table: str,
    key: tuple[str, ...],
    columns: tuple[str, ...],
    rows: Iterable[Row],
    also: str = "",
) -> None:
    # Of several rows for one key the last one holds: a statement must not meet a row twice.
    width = len(key)
    latest = list({tuple(row[:width]): row for row in rows}.values())
    _many(execute, lambda n: _update_sql(table, key, columns, n, also), latest)


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


def _delete(execute: Execute, table: str, key: tuple[str, ...], rows: Sequence[Row]) -> None:
    _many(execute, lambda n: _delete_sql(table, key, n), rows)


@lru_cache(512)
def _delete_sql(table: str, key: tuple[str, ...], rows: int) -> str:
    if len(key) == 1:
        return f"DELETE FROM {table} WHERE {key[0]} IN ({', '.join('?' * rows)})"
    return f"DELETE FROM {table} WHERE ({', '.join(key)}) IN (VALUES {_marks(len(key), rows)})"


def _marks(columns: int, rows: int) -> str:
    return ", ".join(["(" + ", ".join("?" * columns) + ")"] * rows)
