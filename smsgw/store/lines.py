"""The journal's connection to its store, which may be lost and made again."""

from typing import Any

from sqlalchemy import Connection, Engine


class Unreachable(Exception):
    """There is no connection now; the text says why."""


class Lost(Exception):
    """The connection was lost while a transaction was under way: whether it was committed, the
    store says once it can be asked (``Line.committed``)."""

    def __init__(self, number: int, why: str) -> None:
        """``number`` is the transaction's."""
        super().__init__(why)
        self.number = number


class Line:
    """The one connection to a store of this process's own, which is there until it is closed."""

    def __init__(self, engine: Engine) -> None:
        """It is opened by ``open``, on the thread that uses it."""
        self._engine = engine
        self.connection: Connection | None = None

    def open(self) -> Connection:
        """Connects, unless it is. Raises ``Unreachable``."""
        if self.connection is None:
            self.connection = self._engine.connect()
        return self.connection

    def check(self) -> None:
        """Notices that the connection is lost: ``connection`` is None then."""

    def wait(self) -> float | None:
        """Seconds until it is worth while to try ``open`` again, None if there is no need to."""
        return None

    def committed(self, number: int) -> bool:
        """True if the transaction of this number, at which the connection before was lost, was
        committed."""
        return False

    def close(self) -> None:
        """Closes the connection."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def of(engine: Engine) -> Line:
    """The line for an engine's kind of store."""
    if engine.dialect.name == "sqlite":
        return Line(engine)
    # Its driver is an extra, and may not be installed.
    from smsgw.store.postgresql import PostgresqlLine

    return PostgresqlLine(engine)


def why(error: BaseException) -> str:
    """One line about an error of the store, without the statement and its parameters, so without
    texts of messages."""
    cause: Any = getattr(error, "orig", None) or error
    return (str(cause).splitlines() or [type(cause).__name__])[0][:200]
