"""A PostgreSQL of the tests' own: private folder, port and socket, stopped by process id."""

import atexit
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from unittest import SkipTest

from sqlalchemy import Engine
from twisted.trial.unittest import TestCase

from smsgw.store.database import close_store, open_store
from tests.folders import temporary_folder
from tests.running import Running, free_ports

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
_USER = "postgres"  # of the system: PostgreSQL does not run as root


def installed() -> bool:
    """True if this machine has PostgreSQL and its driver, as ``make test`` installs it where it
    can."""
    try:
        import psycopg  # noqa: F401  # only whether it is there
    except ImportError:
        return False
    return (PROGRAMS / "postgres").exists() and (os.geteuid() != 0 or _is_user())


def _is_user() -> bool:
    try:
        pwd.getpwnam(_USER)
    except KeyError:
        return False
    return True


class Postgresql(Running):
    """One server on 127.0.0.1, for user ``smsgw`` without password."""

    name = "postgresql"

    def __init__(self, fsync: bool = False) -> None:
        """``fsync`` False is quick, and enough unless the power is cut."""
        super().__init__(Path(tempfile.mkdtemp(prefix="smsgw-postgresql-")))
        (self.port,) = free_ports(1)
        self._data = self.directory / "data"
        self._fsync = fsync
        os.chmod(self.directory, 0o755)
        self.log.touch()
        if os.geteuid() == 0:
            shutil.chown(self.directory, _USER)
        command = [
            PROGRAMS / "initdb",
            "-D",
            self._data,
            "-U",
            "smsgw",
            "-A",
            "trust",
            "-E",
            "UTF8",
        ]
        subprocess.run(
            [*self._as_user(), *map(str, command), "--locale=C.UTF-8", "--no-sync"],
            cwd=self.directory,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _as_user(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        return ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--"]

    def command(self) -> list[str]:
        """The server in the foreground."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "fsync": "on" if self._fsync else "off",
            "full_page_writes": "on" if self._fsync else "off",
            "max_connections": 100,
            "shared_buffers": "64MB",
        }
        options = [f"-c{key}={value}" for key, value in settings.items()]
        return [*self._as_user(), str(PROGRAMS / "postgres"), "-D", str(self._data), *options]

    def ready(self) -> bool:
        """True once it accepts connections."""
        command = [PROGRAMS / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command).returncode == 0

    def kill(self) -> None:
        """As a power cut would: the server and its processes."""
        process, self._process = self._process, None
        if process is not None:
            # In this order: the server would make a recovery of the death of one of its processes.
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            for child in self._children():
                _kill(child)
            (self._data / "postmaster.pid").unlink(missing_ok=True)

    def _children(self) -> list[int]:
        """The processes of the server that was killed: they are in sessions of their own, and work
        in its folder."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    if os.readlink(entry / "cwd") == str(self._data):
                        found.append(int(entry.name))
                except OSError:
                    continue
        return found

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[object, ...]]:
        """The rows of a statement, outside of any transaction."""
        import psycopg

        with psycopg.connect(self._dsn(database), autocommit=True) as connection:
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return cursor.fetchall() if cursor.description else []

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user=smsgw dbname={database}"

    def url(self, database: str) -> str:
        """The ``store.url`` of a database."""
        return f"postgresql+psycopg://smsgw@127.0.0.1:{self.port}/{database}"

    @lru_cache  # there is one server, which lasts as long as the tests
    def _template(self) -> str:
        self.sql("DROP DATABASE IF EXISTS empty")  # of a call that failed
        self.sql("CREATE DATABASE empty")
        close_store(open_store(self.url("empty"), self.directory))
        return "empty"

    def a_database(self) -> str:
        """The URL of an empty store of its own."""
        name = f"test_{uuid.uuid4().hex[:12]}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {self._template()}")
        return self.url(name)

    def drop(self, url: str) -> None:
        """Removes a database."""
        self.sql(f"DROP DATABASE IF EXISTS {url.rpartition('/')[2]} WITH (FORCE)")

    def remove(self) -> None:
        """End it, and take its folder away."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


def _kill(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


@lru_cache
def server() -> Postgresql:
    """The server that the tests of one process share; it ends with that."""
    found = Postgresql()
    atexit.register(found.remove)
    found.start()
    return found


def a_database(test: TestCase) -> str:
    """The URL of an empty store, which is gone after the test."""
    if not installed():
        raise SkipTest("postgresql or psycopg is not installed")
    url = server().a_database()
    test.addCleanup(server().drop, url)
    return url


def a_store(test: TestCase) -> Engine:
    """An open, empty store of its own, closed and gone after the test."""
    return opened(test, a_database(test))


def opened(test: TestCase, url: str, owner: str = "embedded") -> Engine:
    """The store at a URL, closed after the test."""
    engine = open_store(url, Path(temporary_folder(test)), owner)
    test.addCleanup(close_store, engine)
    return engine
