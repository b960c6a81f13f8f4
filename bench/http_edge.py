"""What each HTTP dialect alone costs: octets of a request in, octets of its answer out.

Run as ``python -m bench.http_edge``: real connections of the server, the site, the logins and the
dialect, on transports in memory and before an acceptance that takes everything and keeps nothing.
So what is left out is the reactor, the socket, ``flow/accept.py`` and the store, which all dialects
have in common. Prints the CPU time of one request. It is measured in slices of some milliseconds,
of which the quick ones count: the slow ones shared their core with others.
"""

import argparse
import gc
import json
import time
from types import SimpleNamespace
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import Clock

from bench import http_load
from smsgw.config import Config
from smsgw.dialects import Aerialink
from smsgw.doors import Doors
from smsgw.flow.money import Balances
from smsgw.http import relay_sending, rest, smscgi, websmpp
from smsgw.http.server import HttpServerFactory, Site
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import Message
from smsgw.provisioning import parse
from smsgw.queues import Transaction
from smsgw.refusals import Reason
from smsgw.rules.tables import Tables
from smsgw.store.secrets import hash_password

SLICE = 256  # requests
DIALECTS = ("rest", "websmpp", "smscgi", "relay")
# The number is the login of sms.cgi, and the sender of all.
_PROVISIONING = """\
[[account]]
name = "bench"
[[account.credential]]
kind = "http"
username = "bench"
password = "bench"
allow = ["127.0.0.0/8"]
[[account.credential]]
kind = "http"
username = "447700900000"
password = "bench"
allow = ["127.0.0.0/8"]
[[account.number]]
address = "447700900000"
targets = ["smpp"]
"""


class Taking:
    """Accepts everything when ``commit`` is called, as if it were durable then."""

    draining = False

    def __init__(self, identities: Identities) -> None:
        self._identities = identities
        self._transaction = Transaction()
        self._waiting: list[tuple[Deferred[Any], list[Message]]] = []

    def accept(
        self, login: Login, messages: list[Message], whole: Any = None, beside: Any = None
    ) -> Deferred[Any]:
        """See ``flow/accept.py``."""
        for message in messages:
            message.account = login.account
            message.id = self._identities.allot(2)
            message.accepted_at = int(time.time() * 1000)
            message.parts = [b""]
        if whole is not None:
            whole(messages, self._transaction)
        done: Deferred[Any] = Deferred()
        self._waiting.append((done, messages))
        return done

    def commit(self) -> None:
        """All that waits is durable."""
        waiting, self._waiting = self._waiting, []
        for done, messages in waiting:
            done.callback(messages)

    def count(self, reason: Reason, messages: int) -> None:
        """Nothing is refused here."""
        raise AssertionError(reason)


class Wire:
    """A transport in memory."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, octets: bytes) -> None:
        """Keeps the last answer."""
        self.written = octets

    def getPeer(self) -> IPv4Address:
        """Where the client is."""
        return IPv4Address("TCP", "127.0.0.1", 40000)

    def registerProducer(self, producer: object, streaming: bool) -> None:
        """Nothing is ever held up."""


class Edge:
    """A site with every dialect, and connections to it."""

    def __init__(self, connections: int) -> None:
        provisioning = parse(_PROVISIONING, "bench")
        for credential in provisioning.accounts["bench"].credential:
            credential.password_hash = hash_password(credential.password)
            credential.password = ""
        tables = Tables(provisioning)
        identities = Identities()
        self.acceptance: Any = Taking(identities)
        doors = Doors(lambda: tables, run=maybeDeferred)
        config = Config(aerialink=Aerialink(allow_plain_http=True))
        site, clock = Site(), Clock()
        nothing: Any = SimpleNamespace()
        unused = dict.fromkeys(("journal", "lists", "dead_letters", "lookups"))
        store: Any = SimpleNamespace(
            identities=identities, replays=SimpleNamespace(replay=None), **unused
        )
        balances = Balances()
        both = (config, lambda: tables, doors, self.acceptance)
        rest.add(site, rest.Rest(*both, store))
        smscgi.add(site, smscgi.SmsCgi(*both, nothing))
        relay_sending.add(site, relay_sending.RelaySending(*both, balances))
        websmpp.add(
            site,
            websmpp.WebSmpp(
                *both, nothing, nothing, balances, identities.allot, clock, run=maybeDeferred
            ),
        )
        factory = HttpServerFactory(site, clock)
        self.connections = []
        for _ in range(connections):
            connection = factory.buildProtocol(None)
            assert connection is not None
            connection.makeConnection(Wire())  # type: ignore[arg-type]  # as much as is asked of it
            self.connections.append(connection)

    def run(self, ring: list[bytes], yes: bytes) -> float:
        """CPU seconds of one request of ``ring``; the last ones must be answered with ``yes``."""
        connections, commit = self.connections, self.acceptance.commit
        begun = time.process_time()
        for start in range(0, len(ring), len(connections)):
            for connection, octets in zip(connections, ring[start:], strict=False):
                connection.dataReceived(octets)
            commit()
        used = time.process_time() - begun
        for connection in connections:
            answer = connection.transport.written  # type: ignore[union-attr]
            if not answer.startswith(b"HTTP/1.1 200 ") or yes not in answer:
                raise SystemExit(f"not accepted: {answer!r}")
        return used / len(ring)


def prepared(dialect: str, connections: int) -> tuple[Edge, list[bytes], bytes]:
    """An edge, requests of the dialect, and what an answer has that says yes."""
    asked = {"host": "127.0.0.1", "port": 8080, "path": "/v4/messages", "numbers": 1, "length": 100}
    login = {"username": "bench", "password": "bench", "source": "447700900000"}
    options = argparse.Namespace(dialect=dialect, receipts=False, **asked, **login)
    return Edge(connections), http_load.requests(options), b"\r\n\r\n" + http_load.YES[dialect]


def measure(dialect: str, rounds: int, connections: int) -> float:
    """Microseconds of CPU of one request."""
    edge, ring, yes = prepared(dialect, connections)
    # As in a gateway that runs (``service.py``).
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    slices = [ring[start : start + SLICE] for start in range(0, len(ring), SLICE)]
    taken = [edge.run(one, yes) for _ in range(rounds) for one in slices]
    return sorted(taken)[len(taken) // 10] * 1e6


def main() -> None:
    """Measures and prints a line for each dialect."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dialect", nargs="*")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    for dialect in options.dialect or DIALECTS:
        us = measure(dialect, options.rounds, options.connections)
        print(json.dumps({"dialect": dialect, "cpu_us": round(us, 1)}))


if __name__ == "__main__":
    main()
