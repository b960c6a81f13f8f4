"""The journal: the store's only writer. Whatever waits goes into the next transaction (group
commit).

Theory of operation. Everybody who changes state hands ``commit`` a ``Changes`` and gets a Deferred
that fires when that is durable. One thread owns the one connection. It takes *all* changes that
wait, merges them into few statements of many rows, commits once, and tells the reactor once. So an
idle journal commits at once, and a busy one makes larger batches by itself: while one transaction
is being written, the next one's changes gather. There is nothing to tune.

Small transactions are a matter of the GIL: the thread needs it some twenty times for one, and a
busy reactor keeps it. So a few changes are handed in as the last thing before the reactor waits,
once there is nothing else for it to do, and not before the thread has told of what it was given
last: eight clients that each wait for an answer go in step then, with one transaction for all of
them. They are put off for two turns at most, and many changes not at all.

Changes that nobody waits for with an answer (``soon``: that a carrier has taken a message, that an
account has its receipt) gather in the thread: after 2.5 ms they go with the next transaction that
is started, and have one of their own when none was started for 5 ms, which is after 7.5 at most, or
when they are 50 rows. Only ``new`` messages, which depend on nothing, are committed before them;
whatever else is handed in keeps its place, and takes them along.

Each of the changes is applied whole or not at all. If a merged transaction fails, its halves are
tried, and theirs, so that one that cannot be stored harms no other; a full disk fails each of them,
and the journal goes on trying with whatever comes next.

The store has the last word on money: the statement that adds to balances leaves out one that would
fall below what its account may owe, and the transaction that lacks a row of it is taken back. So of
nodes that know nothing of each other only one spends the last credit. The changes that could not be
paid fail with ``Overdrawn``; that is no failure of the store.

Reads (``run``) wait their turn on the same thread between two transactions: SQLite before 3.51.3
can lose committed pages when several connections share a WAL database, so there is only the one
connection. On PostgreSQL it is the same for what depends on the order, which is told of all: what a
read brings is as things were after all that was told before it, and before all that is told after
it. What is only shown to somebody may be read beside it (``view``).

On PostgreSQL the connection may be lost (``lines.py``). The changes that were under way then are
told of when it is there again and can say what became of them; all others fail at once until then.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.figures import SECONDS, SIZES, Histogram
from smsgw.reactor import before_waiting
from smsgw.store import lines
from smsgw.store.changes import (
    Changes,
    EndedBefore,
    Overdrawn,
    OverQuota,
    StoreFailed,
    TakenBefore,
    together,
    write,
)

T = TypeVar("T")
_log = Logger()

_MAX_CHANGES = 2_000
_SOON_S = 0.005
_ALONG_S = 0.0025
_SOON_ROWS = 50
_FEW = 32  # changes that go by themselves only if nothing better can be done
_LOOKS = 2  # turns of the reactor
_LONGEST_S = 60.0  # without anything to do


Batch = list[tuple[Changes, Deferred[None]]]
_READERS = 4  # threads for what is read beside


class _Pending:
    """Changes that wait for a transaction, those marked ``soon`` apart from the others."""

    def __init__(self) -> None:
        self.batch: Batch = []
        self._soon: Batch = []
        self._rows = 0
        # When those marked ``soon`` go with another transaction, and when in one of their own.
        self._due = self._alone = 0.0
        self._overtaken = True  # by nothing but new messages, which cannot depend on what waits

    def add(self, changes: Batch) -> None:
        """In the order in which they were handed in."""
        for pair in changes:
            one = pair[0]
            if one.soon:
                if not self._soon:
                    now = time.monotonic()
                    self._due, self._alone = now + _ALONG_S, now + _SOON_S
                self._soon.append(pair)
                self._rows += len(one.settled)
            else:
                self.batch.append(pair)
                self._overtaken = self._overtaken and one.new

    def wait(self) -> float | None:
        """Seconds until there is something to commit even if nothing more comes; None: never."""
        return max(0.0, self._alone - time.monotonic()) if self._soon else None

    def take(self, all: bool) -> Batch:
        """What the next transaction is to hold: everything, or without what may wait longer."""
        batch = self.batch
        if self._soon:
            now = time.monotonic()
            many = self._rows >= _SOON_ROWS
            due = now >= (self._due if batch else self._alone)
            if all or many or due or not self._overtaken:
                batch = self._soon + batch
                self._soon = []
                self._rows = 0
            elif batch:
                # Others follow, most likely.
                self._alone = now + _SOON_S
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
        self._writing = False  # something was handed in, and nothing was told of since
        self._looks = 0  # turns by which what has gathered was put off
        # False: the reactor has no such place, and a timer hands in.
        self._turns = before_waiting(reactor, self._before_waiting)
        # Lists of changes, reads as (function, Deferred), and None at the end.
        self._work: SimpleQueue[Any] = SimpleQueue()
        self._thread: Thread | None = None
        self._stopped: Deferred[None] = Deferred()
        # Transactions during which the connection was lost.
        self._uncertain: list[tuple[int, Batch]] = []
        # True on PostgreSQL: messages are kept by the day, and reads have connections of their own.
        self.partitioned = engine.dialect.name == "postgresql"
        self._readers: ThreadPoolExecutor | None = None
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
        # Without ``_turns`` too, all that one turn brings goes together.
        if len(self._gathered) == 1 and not self._turns:
            self._reactor.callLater(0, self._hand_in)
        return done

    def _before_waiting(self, nothing_else: bool) -> bool:
        """Hands in what has gathered; a few changes only when the thread has told of something
        since it was last given any, and when the reactor has nothing else to do now, or two turns
        later. True: look for events first."""
        if 0 < len(self._gathered) < _FEW:
            if self._writing:
                return False
            if not nothing_else and self._looks < _LOOKS:
                self._looks += 1
                return True
        self._looks = 0
        self._hand_in()
        return False

    def _hand_in(self) -> None:
        if self._gathered:
            self._writing = self._writing or any(not changes.soon for changes, _ in self._gathered)
            self._work.put(self._gathered)
            self._gathered = []

    def run(self, function: Callable[[Connection], T]) -> Deferred[T]:
        """Calls ``function(connection)`` on the journal's thread in a transaction of its own, after
        all that waits."""
        done: Deferred[T] = Deferred()
        self._hand_in()
        self._work.put((function, done, False))
        return done

    def view(self, function: Callable[[Connection], T]) -> Deferred[T]:
        """``run`` for a function that only reads, and for what is only shown: all that was handed
        in before is in effect, and what is handed in later may be as well. Where the store allows
        it nothing waits for it."""
        if not self.partitioned:
            return self.run(function)
        done: Deferred[T] = Deferred()
        self._hand_in()
        self._work.put((function, done, True))
        return done

    def _serve(self) -> None:
        line = lines.of(self._engine)
        self._open(line)
        pending = _Pending()
        running = True
        while running:
            timeout = pending.wait()
            if line.connection is None:
                timeout = min(line.wait() or 0.0, _LONGEST_S if timeout is None else timeout)
            item = self._next(timeout)
            # Takes all that waits, up to the first read, which keeps its place in the order.
            while isinstance(item, list):
                pending.add(item)
                item = self._next(0) if len(pending.batch) < _MAX_CHANGES else ()
            batch = pending.take(all=item != ())
            connection = line.connection or self._open(line)
            if batch and connection is None:
                self._reactor.callFromThread(self._tell, batch, Failure(StoreFailed(self.failing)))
            elif batch and connection is not None:
                self._commit(connection, batch)
                if self._uncertain:
                    line.check()
            if item is None:
                running = False
            elif item:
                self._look(line, *item)
        self._end(line)

    def _open(self, line: lines.Line) -> Connection | None:
        """The line's connection, None if there is none now; with it, tells what became of what was
        under way when the one before was lost."""
        try:
            connection = line.open()
        except lines.Unreachable as error:
            self.failing = str(error)
            return None
        uncertain, self._uncertain = self._uncertain, []
        for number, batch in uncertain:
            failure = None
            if line.committed(number):
                self.transactions += 1
                self.changes += len(batch)
            else:
                failure = Failure(StoreFailed("the connection to the store was lost"))
            self._reactor.callFromThread(self._tell, batch, failure)
        self.failing = ""
        return connection

    def _look(
        self,
        line: lines.Line,
        function: Callable[[Connection], Any],
        done: Deferred[Any],
        beside: bool,
    ) -> None:
        connection = line.connection or self._open(line)
        if connection is None:
            self._reactor.callFromThread(done.errback, Failure(StoreFailed(self.failing)))
        elif beside:
            if self._readers is None:
                self._readers = ThreadPoolExecutor(_READERS, "reader")
            self._readers.submit(self._read_beside, function, done)
        else:
            self._read(connection, function, done)
            line.check()

    def _read_beside(self, function: Callable[[Connection], Any], done: Deferred[Any]) -> None:
        try:
            with self._engine.connect() as connection:
                # All that one function reads is of one moment.
                snapshot = connection.execution_options(isolation_level="REPEATABLE READ")
                self._read(snapshot, function, done)
        except DBAPIError as error:
            failure = Failure(StoreFailed(lines.why(error)))
            self._reactor.callFromThread(done.errback, failure)

    def _end(self, line: lines.Line) -> None:
        if self._uncertain:
            self._open(line)
        for _, batch in self._uncertain:
            failure = Failure(StoreFailed("the connection to the store was lost"))
            self._reactor.callFromThread(self._tell, batch, failure)
        if self._readers is not None:
            self._readers.shutdown()
        line.close()
        self._reactor.callFromThread(self._stopped.callback, None)

    def _next(self, timeout: float | None) -> Any:
        """What was handed in next; () if nothing was within ``timeout`` seconds (None: ever)."""
        try:
            return self._work.get(timeout=timeout)
        except Empty:
            return ()

    def _commit(self, connection: Connection, batch: Batch) -> None:
        failure = self._written(connection, batch)
        if failure is not None and isinstance(failure.value, lines.Lost):
            self._uncertain.append((failure.value.number, batch))
            self._reactor.callFromThread(self._tell, [], None)  # of nothing yet
        elif failure is not None and len(batch) > 1:
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
        except (Overdrawn, EndedBefore, TakenBefore):
            return Failure()
        except Exception as error:
            self.failures += 1
            self.failing = lines.why(error)
            if isinstance(error, lines.Lost):
                return Failure()
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
        self._writing = False
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
        except DBAPIError as error:
            lost = error.connection_invalidated
            failure = Failure(StoreFailed(lines.why(error))) if lost else Failure()
            self._reactor.callFromThread(done.errback, failure)
        except Exception:
            self._reactor.callFromThread(done.errback, Failure())
        else:
            self._reactor.callFromThread(done.callback, result)


__all__ = [
    "Changes",
    "EndedBefore",
    "Journal",
    "OverQuota",
    "Overdrawn",
    "StoreFailed",
    "TakenBefore",
    "together",
    "write",
]
