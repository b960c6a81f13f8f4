"""A request for ten thousand numbers is one transaction: all of it or nothing, whatever ends it."""

import http.client
import json
import os
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.running import GatewayProcess, free_ports

COUNT = 10_000
QUEUE = "carrier:down"

PROVISIONING = """\
[[account]]
name = "acme"
balance = "100000"
[[account.credential]]
kind = "http"
username = "acme"
password = "secret12"
allow = ["127.0.0.0/8"]
[[route]]
name = "all"
prefixes = [""]
carriers = ["down"]
price = "0.01"
[[carrier]]
name = "down"
host = "127.0.0.1"
port = {port}
system_id = "smsgw"
password = "secret"
"""


class Running:
    """A gateway whose only carrier is not there, and one connection to it."""

    def __init__(self, directory: Path) -> None:
        self.gateway = GatewayProcess(directory)
        self.gateway.start()
        self.gateway.apply(PROVISIONING.format(port=free_ports(1)[0]))
        self.connection = http.client.HTTPConnection(
            "127.0.0.1", self.gateway.http_port, timeout=60
        )
        # The first login takes its time.
        self.ask(1)

    def ask(self, count: int) -> None:
        """Sends a request for so many numbers."""
        numbers = ",".join(f"4477009{n:05}" for n in range(count))
        body = urlencode(
            {"user": "acme", "pass": "secret12", "sid": "ACME", "mno": numbers, "text": "Hello"}
        )
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        self.connection.request("POST", "/websmpp/websms", body, form)
        if count == 1:
            assert self.answer().startswith("Response: ")

    def answer(self) -> str:
        """The answer."""
        return self.connection.getresponse().read().decode()

    def waiting(self) -> int:
        """How many messages wait for the carrier, without that of the login."""
        queues = json.loads(self.gateway.cli("queues", "--json"))
        return sum(one["waiting"] for one in queues if one["name"] == QUEUE) - 1

    def grown(self, octets: int) -> None:
        """Returns when the store's log has grown by so many octets."""
        log = self.gateway.directory / "smsgw.db-wal"
        before = os.stat(log).st_size
        while os.stat(log).st_size < before + octets:
            pass


@pytest.mark.parametrize("octets", [1, 200_000, 1_000_000])
def test_killed_while_it_is_written(tmp_path: Path, octets: int) -> None:
    """kill -9 when the first, or more, of it is in the store's log: afterwards all 10,000 wait, or
    none, and the money is charged for what waits (I1, I8)."""
    running = Running(tmp_path)
    try:
        running.ask(COUNT)
        running.grown(octets)
        running.gateway.kill()
        running.gateway.start()
        waiting = running.waiting()
        assert waiting in (0, COUNT)
        balance = running.gateway.cli("balance", "acme").split()[0]
        assert float(balance) == round(100_000 - 0.01 * (waiting + 1), 2)
    finally:
        running.gateway.kill()


def test_killed_once_it_is_answered(tmp_path: Path) -> None:
    """What was answered is there (I1), under its one id."""
    running = Running(tmp_path)
    try:
        running.ask(COUNT)
        id = running.answer().removeprefix("Response: ")
        running.gateway.kill()
        running.gateway.start()
        assert running.waiting() == COUNT
        running.connection.close()
        running.connection.request("GET", f"/websmpp/websmsstatus?respId={id}")
        lines = running.answer().split("\n")
        assert lines == [f"4477009{n:05}:ATES" for n in range(COUNT)]
    finally:
        running.gateway.kill()
