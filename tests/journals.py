"""A journal without a thread: it works at once on a real store, fails, or waits, as a test says."""

import os
import shutil
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from sqlalchemy import Engine
from twisted.internet.defer import Deferred, succeed
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.store.database import close_store, open_store
from smsgw.store.journal import Changes, Journal, StoreFailed
from tests import postgresql
from tests.folders import temporary_folder

T = TypeVar("T")


class _AtOnce:
    """As much of a reactor as the journal uses."""

    def callFromThread(self, function: Callable[..., object], *arguments: object) -> None:
        function(*arguments)


class SynchronousJournal(Journal):
    """What it gives back has fired already, unless ``waiting``.

    ``broken`` is why commits fail with ``StoreFailed``, ``unreadable`` why reads do, "" while they
    do not. While ``waiting`` is true, commits and reads stand in line until ``release``.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, _AtOnce())  # type: ignore[arg-type]
        self.broken = ""
        self.unreadable = ""
        self.waiting = False
        self._line: deque[Callable[[], None]] = deque()
        self.connection = engine.connect()
        # Power cuts are what the real journal's tests are about.
        driver: Any = self.connection.connection.dbapi_connection
        if engine.dialect.name == "sqlite":
            driver.execute("PRAGMA synchronous = OFF")

    def start(self) -> None:
        """There is no thread."""

    def stop(self) -> Deferred[None]:
        """Closes the connection."""
        self.connection.close()
        return succeed(None)

    def commit(self, changes: Changes) -> Deferred[None]:
        """See ``Journal``."""
        done: Deferred[None] = Deferred()
        self._do(lambda: self._write(changes, done))
        return done

    def run(self, function: Callable[..., T]) -> Deferred[T]:
        """See ``Journal``."""
        done: Deferred[T] = Deferred()
        self._do(lambda: self._look(function, done))
        return done

    def view(self, function: Callable[..., T]) -> Deferred[T]:
        """See ``Journal``: there is the one connection."""
        return self.run(function)

    @property
    def line(self) -> int:
        """How many commits and reads wait."""
        return len(self._line)

    def release(self, count: int | None = None) -> None:
        """Does ``count`` of what waits, all and no longer waiting without it."""
        if count is None:
            self.waiting = False
            count = len(self._line)
        for _ in range(min(count, len(self._line))):
            self._line.popleft()()

    def _do(self, action: Callable[[], None]) -> None:
        if self.waiting:
            self._line.append(action)
        else:
            action()

    def forget(self) -> None:
        """The process dies: what waits is never done."""
        self._line.clear()
        self.waiting = False

    def _look(self, function: Callable[..., Any], done: Deferred[Any]) -> None:
        if self.unreadable:
            done.errback(Failure(StoreFailed(self.unreadable)))
        else:
            self._read(self.connection, function, done)

    def _write(self, changes: Changes, done: Deferred[None]) -> None:
        if self.broken:
            self.failures += 1
            self.failing = self.broken
            self._tell([(changes, done)], Failure(StoreFailed(self.broken)))
        else:
            self._commit(self.connection, [(changes, done)])


@lru_cache
def _empty_store() -> tuple[TemporaryDirectory[str], Path]:
    """An empty store that is made once, since a copy is made faster than all its tables."""
    folder: TemporaryDirectory[str] = TemporaryDirectory(prefix="smsgw-test-")
    file = Path(folder.name) / "empty.db"
    close_store(open_store(f"sqlite:///{file}"))
    return folder, file


def a_store(test: TestCase) -> Engine:
    """An open, empty store in a folder of its own, closed and gone after the test.

    With SMSGW_TEST_STORE=postgresql in the environment it is on PostgreSQL.
    """
    if os.environ.get("SMSGW_TEST_STORE") == "postgresql":
        return postgresql.a_store(test)
    file = Path(temporary_folder(test)) / "store.db"
    shutil.copy(_empty_store()[1], file)
    engine = open_store(f"sqlite:///{file}")
    test.addCleanup(close_store, engine)
    return engine


def a_journal(test: TestCase) -> SynchronousJournal:
    """A journal on an empty store of its own."""
    journal = SynchronousJournal(a_store(test))
    test.addCleanup(journal.stop)
    return journal
