"""The store on PostgreSQL: its engine, and the line that the journal keeps to it.

Theory of operation. A connection that is lost leaves the fate of the transaction under way unknown.
So each counts up a number in the row that its connection has in ``commit_mark``
(``postgresql_writer.py``). The next connection first marks that row as over: it waits for the lock
of a transaction that still goes on, and one whose statements arrive even later fails. Then the
number tells what was committed.
"""

import logging
import time
import uuid
from typing import Any

import psycopg
from sqlalchemy import URL, Connection, Engine, create_engine, event, text
from sqlalchemy.exc import SQLAlchemyError

from smsgw.store import lines, nodes, schema
from smsgw.store.lines import Line, Unreachable
from smsgw.store.postgresql_writer import Mark

READERS = 4  # connections for reads beside the journal's
_LEAST_S, _MOST_S = 0.1, 5.0  # between two tries to connect
_LOCK_TRIES = 20
_LOCK_S = 0.1
_FORGOTTEN_MS = 7 * 24 * 3600_000
# It writes to stderr that a pipeline ended with its connection, which is told of here.
logging.getLogger("psycopg").setLevel(logging.ERROR)

# What a connection that nobody answers costs at most, seen from either side.
_CONNECT = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "options": "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=3 "
    "-c tcp_user_timeout=10000 -c idle_in_transaction_session_timeout=30000 -c timezone=UTC",
    "application_name": "smsgw",
}


def engine_of(url: URL, **options: object) -> Engine:
    """An engine for the journal's connection, with a pool for what reads beside it."""
    engine = create_engine(
        url,
        hide_parameters=True,  # errors go to the log, and parameters are texts and hashes
        pool_size=READERS + 1,
        max_overflow=1,
        pool_pre_ping=True,
        connect_args=dict(_CONNECT),
        execution_options=options,
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: Any, _record: object) -> None:
        # I1: a commit survives a power cut, whatever the server's default is.
        connection.execute(
            "SELECT set_config('synchronous_commit', 'on', false) "
            "WHERE current_setting('synchronous_commit') = 'off'"
        )
        connection.commit()
        connection.prepare_threshold = 2

    return engine


class PostgresqlLine(Line):
    """See ``Line``; it holds the lock of its owner, so that two gateways never do the same."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._owner: str = engine.get_execution_options().get("owner", "embedded")
        self._last = ""  # the session before
        self._committed = 0  # the last transaction of that one
        self._delay = _LEAST_S
        self._due = 0.0
        self._why = ""

    def open(self) -> Connection:
        """See ``Line``. While nobody answers it tries again after a while only."""
        if self.connection is not None:
            return self.connection
        if time.monotonic() < self._due:
            raise Unreachable(self._why)
        connection = None
        try:
            connection = self._engine.connect()
            self._take_over(connection)
        # Whatever it is, the journal's thread goes on.
        except (SQLAlchemyError, psycopg.Error, Unreachable) as error:
            if connection is not None:
                connection.invalidate()
                connection.close()
            self._why = lines.why(error)
            self._due = time.monotonic() + self._delay
            self._delay = min(2 * self._delay, _MOST_S)
            raise Unreachable(self._why) from error
        self._delay = _LEAST_S
        self.connection = connection
        return connection

    def _take_over(self, connection: Connection) -> None:
        session = uuid.uuid4().hex
        at = int(time.time() * 1000)
        incarnation = self._engine.get_execution_options().get("incarnation")
        with connection.begin():
            if incarnation is not None and not nodes.lives(connection, incarnation):
                raise Unreachable(nodes.FENCED)
            if self._last:
                # It may be there still, for a network that is cut; nobody else has its name.
                connection.execute(
                    text(
                        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                        "WHERE application_name = :name"
                    ),
                    {"name": f"smsgw {self._last}"},
                )
            connection.execute(
                text("SELECT set_config('application_name', :name, false)"),
                {"name": f"smsgw {session}"},
            )
        lock(connection, self._owner)
        with connection.begin():
            if incarnation is None and not self._last:
                nodes.superseded(connection, self._owner)
            committed = 0
            if self._last:
                committed = connection.execute(
                    text(
                        "UPDATE commit_mark SET over = true WHERE session = :session "
                        "RETURNING number"
                    ),
                    {"session": self._last},
                ).scalar_one()
            connection.execute(
                text("UPDATE commit_mark SET over = true WHERE owner = :owner AND NOT over"),
                {"owner": self._owner},
            )
            connection.execute(
                text("DELETE FROM commit_mark WHERE over AND at < :at"), {"at": at - _FORGOTTEN_MS}
            )
            connection.execute(
                text(
                    "INSERT INTO commit_mark (session, owner, at, number, over) "
                    "VALUES (:session, :owner, :at, 0, false)"
                ),
                {"session": session, "owner": self._owner, "at": at},
            )
        self._committed = committed
        self._last = session
        connection.info["mark"] = Mark(session)

    def check(self) -> None:
        """See ``Line``."""
        connection = self.connection
        if connection is None:
            return
        if connection.invalidated or connection.connection.dbapi_connection.closed:  # type: ignore[union-attr]
            self.connection = None
            self._due = 0.0
            connection.invalidate()
            connection.close()

    def wait(self) -> float | None:
        """See ``Line``."""
        return max(0.0, self._due - time.monotonic()) if self.connection is None else None

    def committed(self, number: int) -> bool:
        """See ``Line``."""
        return number <= self._committed


def compare_octets(connection: Connection) -> None:
    """Has texts compared by their octets, as SQLite does it and as pages of them are read, however
    the database was made; in the caller's transaction."""
    query = text(
        "SELECT table_name, column_name FROM information_schema.columns "
        "WHERE table_schema = current_schema() AND data_type IN ('text', 'character varying') "
        "AND collation_name IS DISTINCT FROM 'C' AND table_name IN "
        "(SELECT relname FROM pg_class WHERE NOT relispartition)"
    )
    for table, column in connection.execute(query).all():
        if table in schema.metadata.tables:
            connection.execute(
                text(f'ALTER TABLE "{table}" ALTER "{column}" TYPE varchar COLLATE "C"')
            )


def lock(connection: Connection, owner: str) -> None:
    """Takes the lock of an owner for as long as the connection lasts. Raises ``Unreachable`` if
    another process has it."""
    for _ in range(_LOCK_TRIES):
        with connection.begin():
            query = text("SELECT pg_try_advisory_lock(hashtextextended(:owner, 7767))")
            if connection.execute(query, {"owner": owner}).scalar():
                return
        time.sleep(_LOCK_S)
    if owner.startswith("node "):
        raise Unreachable(
            f"{owner} is running on this store; stop that one first, or give this one another "
            "node.number"
        )
    raise Unreachable("the store is in use by another smsgw; stop that one first")
