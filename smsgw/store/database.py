"""Opens the store: connects, refuses one of a newer version, migrates an older one."""

import fcntl
import os
import time
from pathlib import Path

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import SingletonThreadPool

from smsgw.store import lines, partitions, schema

# One process at a time: descriptor of the lock by database file.
_locks: dict[str, int] = {}


class StoreUnusable(Exception):
    """The store cannot be opened; the text is one line that says why and what to do."""


def open_store(url: str, folder: Path = Path("var"), owner: str = "embedded") -> Engine:
    """An engine for the store at ``url``, which is made if it is absent and migrated if it is
    older.

    ``url`` is SQLAlchemy's (``sqlite:///var/smsgw.db``, ``postgresql+psycopg://user@host/smsgw``).
    What is beside a store on PostgreSQL, the key of its secrets, is in ``folder``. Of processes
    with the same ``owner`` only one may have it open. Raises ``StoreUnusable``.
    """
    try:
        parsed = make_url(url)
    except Exception:
        raise StoreUnusable(
            f"store.url: {url!r} is no URL; for instance sqlite:///var/smsgw.db"
        ) from None
    if parsed.get_backend_name() == "postgresql":
        return _open_postgresql(parsed, folder, owner)
    if parsed.get_backend_name() != "sqlite":
        raise StoreUnusable(
            f"store.url: {parsed.get_backend_name()} is not served; use sqlite:///PATH or "
            "postgresql+psycopg://USER@HOST/DATABASE"
        )
    if not parsed.database or parsed.database == ":memory:":
        raise StoreUnusable("store.url: a file is needed, for instance sqlite:///var/smsgw.db")
    try:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
        _lock(parsed.database)
        # Texts of messages are in it: only its owner may read it (the WAL gets the same mode).
        os.close(os.open(parsed.database, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        engine = _engine(url)
        with engine.begin() as connection:
            _migrate(connection, url)
        # The journal's thread makes its own connection; there must never be two (see journal.py).
        engine.dispose()
        return engine
    except OSError as error:
        raise StoreUnusable(f"store.url: {parsed.database}: {error.strerror}") from None
    except DBAPIError as error:
        raise StoreUnusable(f"store.url: {parsed.database}: {error.orig}") from None


def place_of(engine: Engine) -> Path:
    """The folder of what is kept beside a store."""
    folder: Path | None = engine.get_execution_options().get("folder")
    return Path(engine.url.database or "").parent if folder is None else folder


def _open_postgresql(url: URL, folder: Path, owner: str) -> Engine:
    shown = url.render_as_string(hide_password=True)
    try:
        from smsgw.store import postgresql
    except ImportError:
        raise StoreUnusable(
            'store.url: PostgreSQL needs its driver; install it with: pip install ".[postgresql]"'
        ) from None
    if url.drivername not in ("postgresql", "postgresql+psycopg"):
        raise StoreUnusable(f"store.url: {url.drivername} is not served; use postgresql+psycopg")
    if not url.database:
        raise StoreUnusable(
            "store.url: a database is needed, for instance postgresql+psycopg://smsgw@host/smsgw"
        )
    folder.mkdir(parents=True, exist_ok=True)
    engine = postgresql.engine_of(
        url.set(drivername="postgresql+psycopg"), folder=folder, owner=owner
    )
    try:
        with engine.connect() as connection:
            postgresql.lock(connection, owner)
            _check_postgresql(connection)
            with connection.begin():
                # Nodes do not migrate at once; the others find it done.
                connection.execute(text("SELECT pg_advisory_xact_lock(7766)"))
                _migrate(connection, shown)
                postgresql.compare_octets(connection)
                partitions.prepare(connection, int(time.time() * 1000))
        # Only the journal has the lock from now on.
        engine.dispose()
        return engine
    except lines.Unreachable as error:
        engine.dispose()
        raise StoreUnusable(f"store.url: {shown}: {error}") from None
    except DBAPIError as error:
        engine.dispose()
        raise StoreUnusable(f"store.url: {shown}: {lines.why(error)}") from None


def _check_postgresql(connection: Connection) -> None:
    with connection.begin():
        version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        encoding = connection.execute(text("SHOW server_encoding")).scalar_one()
    if version < 140_000:
        raise lines.Unreachable(f"PostgreSQL {version // 10_000} is too old; 14 is the oldest")
    if encoding != "UTF8":
        raise lines.Unreachable(
            f"the database is encoded in {encoding}; make it with: createdb -E UTF8 -T template0"
        )


def close_store(engine: Engine) -> None:
    """Lets go of the store, so that another process may open it."""
    engine.dispose()
    descriptor = _locks.pop(str(engine.url.database), None)
    if descriptor is not None:
        os.close(descriptor)


def _lock(database: str) -> None:
    # Two processes would be two connections, which SQLite before 3.51.3 does not survive
    # (journal.py).
    if database in _locks:
        return
    descriptor = os.open(database + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise StoreUnusable(
            f"store.url: {database} is in use by another smsgw; stop that one first"
        ) from None
    _locks[database] = descriptor


def _engine(url: str) -> Engine:
    engine = create_engine(
        url,
        poolclass=SingletonThreadPool,
        # Errors go to the log, and parameters are texts, hashes and encrypted passwords.
        hide_parameters=True,
        # The journal's statements come in some 300 forms; all are to stay prepared.
        connect_args={"cached_statements": 512, "timeout": 5},
    )

    @event.listens_for(engine, "connect")
    def set_up(connection: object, _record: object) -> None:
        # The driver begins transactions by itself, but not before statements that start with WITH.
        connection.isolation_level = None  # type: ignore[attr-defined]
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DBAPI connection has no type
        # One connection only (journal.py): so no locks are taken and released for every
        # transaction.
        cursor.execute("PRAGMA locking_mode = EXCLUSIVE")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute("PRAGMA synchronous = FULL")  # I1: a commit survives a power cut
        cursor.execute("PRAGMA temp_store = MEMORY")
        cursor.execute("PRAGMA cache_size = -65536")  # KiB
        cursor.execute("PRAGMA wal_autocheckpoint = 4000")  # pages; fewer, larger checkpoints
        cursor.execute("PRAGMA journal_size_limit = 67108864")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _migrate(connection: Connection, url: str) -> None:
    scripts = _scripts()
    current = MigrationContext.configure(connection).get_current_revision()
    head = scripts.get_current_head()
    if current == head:
        return
    if current is not None and current not in {r.revision for r in scripts.walk_revisions()}:
        raise StoreUnusable(
            f"store.url: {url} was written by a newer smsgw (revision {current}, this one knows "
            f"{head}); start that version, or use another store"
        )
    config = Config()
    with EnvironmentContext(
        config, scripts, fn=lambda revision, _: scripts._upgrade_revs("head", revision)
    ) as environment:
        environment.configure(connection=connection, target_metadata=schema.metadata)
        environment.run_migrations()
