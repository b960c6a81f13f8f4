"""RabbitMQ and PostgreSQL take the settings of etc/cluster, and have what these promise."""

import contextlib
import os
from pathlib import Path
from unittest import SkipTest

import pytest

from smsgw.store.database import close_store, open_store
from tests import postgresql
from tests.amqp import rabbitmq
from tests.outside import certificate, pem
from tests.running import ROOT, free_ports

EXAMPLE = ROOT / "etc" / "cluster"


class ExampleBroker(rabbitmq.RabbitMq):
    """One node with the example's configuration: other ports, files and a cluster of itself."""

    def __init__(self) -> None:
        super().__init__()
        text = (EXAMPLE / "rabbitmq.conf").read_text("utf-8")
        for old, new in (
            ("listeners.tcp = none", f"listeners.tcp.1 = 127.0.0.1:{self.port}"),
            ("listeners.ssl.default = 5671", f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}"),
            ("/etc/rabbitmq/definitions.json", str(EXAMPLE / "definitions.json")),
            ("/etc/rabbitmq/fullchain.pem", str(self.directory / "server.pem")),
            ("/etc/rabbitmq/key.pem", str(self.directory / "server.pem")),
            ("/etc/rabbitmq/ca.pem", str(self.ca)),
            ("rabbit@mq-a", self._node),
            ("disk_free_limit.absolute = 5GB", "disk_free_limit.absolute = 1MB"),
        ):
            assert old in text, old
            text = text.replace(old, new)
        lines = [one for one in text.splitlines() if "@mq-" not in one]
        (self.directory / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.directory / "enabled_plugins").write_text("[].")


def test_rabbitmq_starts_with_the_example() -> None:
    """It takes every line, and has the virtual host and the policy of definitions.json."""
    if not rabbitmq.installed():
        raise SkipTest("rabbitmq-server is not installed")
    broker = ExampleBroker()
    with contextlib.ExitStack() as stack:
        stack.callback(broker.remove)
        broker.start()
        # In one call: each starts an Erlang of its own, which takes seconds.
        said = broker.control(
            "eval",
            'io:format("~p ~p ~p ~p~n", ['
            "rabbit_vhost:list_names(), "
            '[proplists:get_value(definition, P) || P <- rabbit_policy:list(<<"smsgw">>)], '
            "application:get_env(rabbit, consumer_timeout), "
            "application:get_env(rabbit, cluster_partition_handling)]).",
        )
        words = " ".join(said.split())
        assert words.startswith('[<<"smsgw">>] ')
        assert '{<<"queue-leader-locator">>,<<"balanced">>}' in words
        assert "{ok,604800000} {ok,pause_minority}" in words.replace("{ok, ", "{ok,")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder that has what postgresql.conf names."""
    (tmp_path / "pair.pem").write_bytes(pem(certificate()))
    return tmp_path


def test_postgresql_takes_the_example(files: Path) -> None:
    """It starts with every line of postgresql.conf and pg_hba.conf, and none has a fault."""
    if not postgresql.installed():
        raise SkipTest("postgresql or psycopg is not installed")
    server = postgresql.Postgresql()
    with contextlib.ExitStack() as stack:
        stack.callback(server.remove)
        data = server.directory / "data"
        pair = data / "pair.pem"
        pair.write_bytes((files / "pair.pem").read_bytes())
        owner = data.stat()
        pair.chmod(0o600)
        os.chown(pair, owner.st_uid, owner.st_gid)
        text = (EXAMPLE / "postgresql.conf").read_text("utf-8")
        for name in ("fullchain", "key"):
            text = text.replace(f"/etc/postgresql/{name}.pem", str(pair))
        with (data / "postgresql.conf").open("a") as file:
            file.write(text)
        with (data / "pg_hba.conf").open("a") as file:
            file.write((EXAMPLE / "pg_hba.conf").read_text("utf-8"))
        server.start()
        # What the tests set on the command line as well goes before, and "could not be applied".
        faults = (
            "SELECT name, error FROM pg_file_settings f WHERE error IS NOT NULL AND NOT EXISTS "
            "(SELECT FROM pg_settings s WHERE s.name = f.name AND s.source = 'command line')"
        )
        assert server.sql(faults) == []
        assert server.sql("SELECT error FROM pg_hba_file_rules WHERE error IS NOT NULL") == []
        ours = server.sql("SELECT count(*) FROM pg_hba_file_rules WHERE type = 'hostssl'")
        assert ours == [(3,)]
        assert server.sql("SHOW synchronous_standby_names") == [("ANY 1 (db_a, db_b, db_c)",)]
        assert server.sql("SHOW ssl") == [("on",)]


def test_the_tables_of_the_queues_take_their_settings(files: Path) -> None:
    """tables.sql fits the tables of a store, twice too, and a store opens with them."""
    if not postgresql.installed():
        raise SkipTest("postgresql or psycopg is not installed")
    import psycopg

    url = postgresql.server().a_database()
    try:
        with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
            statements = (EXAMPLE / "tables.sql").read_bytes()
            for _ in range(2):
                connection.execute(statements)
            query = (
                "SELECT relname FROM pg_class WHERE reloptions IS NOT NULL "
                "AND relnamespace = 'public'::regnamespace ORDER BY relname"
            )
            named = [row[0] for row in connection.execute(query).fetchall()]
        assert named == ["balance", "commit_mark", "outbox", "queue", "usage"]
        close_store(open_store(url, files))
    finally:
        postgresql.server().drop(url)


def test_the_first_database_of_a_url_may_be_away(files: Path) -> None:
    """Several hosts in store.url: the one that answers, and may be written to, is taken."""
    if not postgresql.installed():
        raise SkipTest("postgresql or psycopg is not installed")
    (nobody,) = free_ports(1)
    url = postgresql.server().a_database()
    try:
        place, _, name = url.partition("@")[2].partition("/")
        hosts = f"host=127.0.0.1:{nobody}&host={place}&target_session_attrs=read-write"
        close_store(open_store(f"postgresql+psycopg://smsgw@/{name}?{hosts}", files))
    finally:
        postgresql.server().drop(url)
