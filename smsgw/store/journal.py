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

Each of the changes is applied whole or not at all. If a merged transaction fails, its halves are
tried, and theirs, so that one that cannot be stored harms no other; a full disk fails each of them,
and the journal goes on trying with whatever comes next.

The store has the last word on money: the statement that adds to balances leaves out one that would
fall below what its account may owe, and the transaction that lacks a row of it is taken back. So of
nodes that know nothing of each other only one spends the last credit. The changes that could not be
paid fail with ``Overdrawn``; that is no failure of the store.

Reads (``run``) wait their turn on the same thread between two transactions: SQLite before 3.51.3
can lose committed pages when several connections share a WAL database, so there is only the one
connection.
"""

import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from attrs import define, field
from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.figures import SECONDS, SIZES, Histogram
from smsgw.store import schema, statements
from smsgw.store.statements import Row

T = TypeVar("T")
_log = Logger()

_MAX_CHANGES = 2_000
_SOON_S = 0.005
_SOON_ROWS = 50


class StoreFailed(Exception):
    """Changes were not stored; nothing of them is in effect. The text says why."""


class Overdrawn(StoreFailed):
    """Changes were not stored because a prepaid account has not what they charge."""


@define
class Changes:
    """What one step of the journey writes. Rows are tuples in the order of the table's columns."""

    messages: list[Row] = field(factory=list)
    rewritten: list[Row] = field(factory=list)  # messages that are there, as they are from now on
    # (account, alias, message): the number of 32 bits by which a 3.3 session knows a message.
    aliases: list[Row] = field(factory=list)
    batches: list[Row] = field(factory=list)
    answers: list[Row] = field(factory=list)  # see answers.py
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
    segments: list[Row] = field(factory=list)  # parts of MO that wait, see flow/join.py
    segments_done: list[int] = field(factory=list)
    # Each is added to the balance of its account as well.
    ledger: list[schema.LedgerRow] = field(factory=list)
    # (account, day as YYYYMMDD, parts): added to what the account has used.
    usage: list[tuple[str, int, int]] = field(factory=list)
    lists: list[Row] = field(factory=list)  # of numbers, new or changed
    members: list[Row] = field(factory=list)
    # (list, number)
    members_removed: list[tuple[int, str]] = field(factory=list)
    dead: list[Row] = field(factory=list)
    # Ids of rows of ``dead`` that go back to their queues, or are dropped.
    raised: list[int] = field(factory=list)
    actions: list[schema.ActionRow] = field(factory=list)  # of operators, for the audit
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
        self.sizes = Histogram(SIZES)  # changes of one transaction
        self.durations = Histogram(SECONDS)

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
        failure = self._written(connection, batch)
        if failure is not None and len(batch) > 1:
            middle = len(batch) // 2
            self._commit(connection, batch[:middle])
            self._commit(connection, batch[middle:])
        else:
            self._reactor.callFromThread(self._tell, batch, failure)

    def _written(self, connection: Connection, batch: Batch) -> Failure | None:
        """Writes the batch in one transaction, and counts it; why it was not written, else None."""
        started = time.perf_counter()
        try:
            write(connection, [changes for changes, _ in batch])
        except Overdrawn:
            return Failure()
        except Exception as error:
            self.failures += 1
            self.failing = _why(error)
            return Failure(StoreFailed(self.failing))
        else:
            self.transactions += 1
            self.changes += len(batch)
            self.sizes.add(len(batch))
            self.failing = ""
            return None
        finally:
            took = time.perf_counter() - started
            self.seconds += took
            self.durations.add(took)

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


def write(connection: Connection, batch: list[Changes]) -> None:
    """Writes all changes of the batch in one transaction.

    The order of the statements lets one batch put an entry and settle it, or insert a message and
    close it.
    """
    merged = batch[0] if len(batch) == 1 else together(batch)
    # The driver's cursor: binding thousands of values through SQLAlchemy costs ten times as much.
    cursor = connection.connection.cursor()
    execute = cursor.execute
    driver: Any = connection.connection.dbapi_connection
    # Each of these two gives up the GIL once, where ``execute`` does it three times: with a busy
    # reactor every time costs more than the statement.
    driver.executescript("BEGIN IMMEDIATE")
    try:
        if merged.messages:
            statements.insert(execute, schema.message, merged.messages)
        if merged.rewritten:
            statements.insert(execute, schema.message, merged.rewritten, replace=True)
        if merged.aliases:
            statements.insert(execute, schema.alias, merged.aliases, replace=True)
        if merged.batches:
            statements.insert(execute, schema.batch, merged.batches)
        if merged.answers:
            statements.insert(execute, schema.answer, merged.answers)
        if merged.parts:
            statements.insert(execute, schema.part, merged.parts, replace=True)
        if merged.entries:
            statements.insert(execute, schema.queue, merged.entries)
        if merged.moved:
            statements.update(execute, "message", ("id",), ("state",), merged.moved)
        if merged.closed:
            columns = ("state", "error", "network_error", "done_at")
            statements.update(
                execute, "message", ("id",), columns, merged.closed, also=", open_until = NULL"
            )
        if merged.postponed:
            statements.update(execute, "queue", ("id",), ("due", "attempts"), merged.postponed)
        if merged.settled:
            statements.delete(execute, "queue", ("id",), [(id,) for id in merged.settled])
        if merged.early_receipts:
            statements.insert(execute, schema.early_receipt, merged.early_receipts, replace=True)
        if merged.early_matched:
            statements.delete(
                execute, "early_receipt", ("carrier", "carrier_id"), merged.early_matched
            )
        if merged.segments:
            statements.insert(execute, schema.segment, merged.segments, replace=True)
        if merged.segments_done:
            statements.delete(execute, "segment", ("id",), [(id,) for id in merged.segments_done])
        if merged.ledger:
            statements.insert(execute, schema.ledger, merged.ledger)
            sums = [(row[1], row[3]) for row in merged.ledger]  # account, amount
            if not statements.add_to_balances(execute, sums):
                raise Overdrawn("not enough credit")
        if merged.usage:
            statements.add_up(execute, "usage", ("account", "day"), "parts", merged.usage)
        if merged.lists:
            statements.insert(execute, schema.number_list, merged.lists, replace=True)
        if merged.members_removed:
            statements.delete(execute, "list_member", ("list", "number"), merged.members_removed)
        if merged.members:
            statements.insert(execute, schema.list_member, merged.members, replace=True)
        if merged.raised:
            statements.delete(execute, "dead", ("id",), [(id,) for id in merged.raised])
        if merged.dead:
            # An entry may be found to have expired by its consumer and by the clock at once.
            statements.insert(execute, schema.dead, merged.dead, replace=True)
        if merged.actions:
            statements.insert(execute, schema.action, merged.actions)
        driver.commit()
    except BaseException:
        # On a full disk SQLite may have rolled back by itself already.
        if driver.in_transaction:
            driver.rollback()
        raise
    finally:
        cursor.close()


def together(batch: list[Changes]) -> Changes:
    """Changes that do what all of these do, one after the other."""
    all = Changes()
    for c in batch:
        all.messages += c.messages
        all.rewritten += c.rewritten
        all.aliases += c.aliases
        all.batches += c.batches
        all.answers += c.answers
        all.closed += c.closed
        all.moved += c.moved
        all.entries += c.entries
        all.postponed += c.postponed
        all.settled += c.settled
        all.parts += c.parts
        all.early_receipts += c.early_receipts
        all.early_matched += c.early_matched
        all.segments += c.segments
        all.segments_done += c.segments_done
        all.ledger += c.ledger
        all.usage += c.usage
        all.lists += c.lists
        if c.members or c.members_removed:
            _merge_members(all, c)
        all.dead += c.dead
        all.raised += c.raised
        all.actions += c.actions
    return all


def _merge_members(all: Changes, later: Changes) -> None:
    """Of what happens to one member, the last holds: the statements do not run in that order."""
    removed = set(later.members_removed)
    all.members = [row for row in all.members if (row[0], row[1]) not in removed]
    added = {(row[0], row[1]) for row in later.members}
    all.members_removed = [key for key in all.members_removed if key not in added]
    all.members += later.members
    all.members_removed += later.members_removed
