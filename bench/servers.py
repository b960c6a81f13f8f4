"""A PostgreSQL and a RabbitMQ of the bench's own, as the tests start them, and the CPU they use."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from attrs import define

from bench.gateway import Failed
from tests import postgresql
from tests.amqp import rabbitmq

_TICK = os.sysconf("SC_CLK_TCK")


@define
class Servers:
    """Where they are. One node of each, on the disk, writing durably."""

    store: str
    broker: str
    folders: dict[str, int]  # name -> process id of the server

    def written(self) -> tuple[int, int]:
        """Octets that PostgreSQL has written to its log since it was made, and those of what is
        kept of messages (tables ``message`` and ``part`` with their indexes)."""
        import psycopg

        query = """
            SELECT pg_current_wal_lsn() - '0/0'::pg_lsn, (
                SELECT sum(pg_total_relation_size(c.oid)) FROM pg_class c
                WHERE c.relkind = 'r' AND (c.relname LIKE 'message_%' OR c.relname LIKE 'part_%')
            )"""
        with psycopg.connect(self.store.replace("+psycopg", "")) as connection:
            [(log, kept)] = connection.execute(query).fetchall()
        return int(log), int(kept)

    def cpu_seconds(self) -> dict[str, float]:
        """User and system time of each with all its processes, ended ones too."""
        parents: dict[int, int] = {}
        used: dict[int, float] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                with contextlib.suppress(OSError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    parents[int(entry.name)] = int(fields[1])
                    used[int(entry.name)] = sum(map(int, fields[11:15])) / _TICK
        found = dict.fromkeys(self.folders, 0.0)
        for pid, seconds in used.items():
            above: int | None = pid
            while above:
                for name, server in self.folders.items():
                    if above == server:
                        found[name] += seconds
                above = parents.get(above)
        return found


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """Both, until the block ends."""
    if not (postgresql.installed() and rabbitmq.installed()):
        raise Failed("postgresql, psycopg or rabbitmq-server is not installed")
    with contextlib.ExitStack() as stack:
        store = postgresql.Postgresql(fsync=True)
        stack.callback(store.remove)
        store.start()
        broker = rabbitmq.RabbitMq()
        stack.callback(broker.remove)
        broker.start()
        store.sql("CREATE DATABASE smsgw")
        yield Servers(
            store.url("smsgw"),
            f"amqp://guest:guest@127.0.0.1:{broker.port}/",
            {"postgresql": store.pid or 0, "rabbitmq": broker.pid or 0},
        )
