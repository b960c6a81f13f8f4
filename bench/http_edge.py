"""What the HTTP edge alone costs: POST /v4/messages, accepted at once and not kept.

Run as ``python -m bench.http_edge``; needs wrk. The login is
checked by the gateway's own ``Doors``, which remember it, as in a gateway that runs.
"""

import argparse
import base64
import json
import os
import subprocess
import sys
import tempfile
import time
from types import SimpleNamespace

from twisted.internet import epollreactor

from bench.wire import cpu_seconds

_SCRIPT = """\
wrk.method = "POST"
wrk.path = "/v4/messages"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Authorization"] = "Basic %s"
wrk.body = '%s'
"""
_TEXT = "Your parcel is on its way. Code 4711. Thank you."


def body() -> str:
    """A message of about 150 octets."""
    message = {
        "source": "447700900000",
        "destination": "447700900123",
        "messageText": _TEXT,
        "registeredDelivery": True,
    }
    return json.dumps(message, separators=(",", ":"))


def serve() -> None:
    """Serves until the standard input ends, then prints the CPU time that it took."""
    epollreactor.install()
    from twisted.internet import reactor, stdio
    from twisted.internet.defer import Deferred, maybeDeferred, succeed
    from twisted.internet.protocol import Protocol

    from smsgw.config import Config
    from smsgw.doors import Doors
    from smsgw.http import rest
    from smsgw.http.server import HttpServerFactory, Site
    from smsgw.identities import Identities
    from smsgw.login import Login
    from smsgw.message import Message
    from smsgw.provisioning import parse
    from smsgw.rules.tables import Tables
    from smsgw.store.secrets import hash_password

    identities = Identities()

    class AtOnce:
        """Accepts everything and keeps nothing."""

        def accept(
            self, login: Login, messages: list[Message], beside: object = None
        ) -> Deferred[list[Message]]:
            for message in messages:
                message.id = identities.allot()
                message.accepted_at = int(time.time() * 1000)
                message.parts = [b""]
            return succeed(messages)

    class Until(Protocol):
        def connectionLost(self, reason: object = None) -> None:
            reactor.stop()

    provisioning = parse(
        '[[account]]\nname = "bench"\n[[account.credential]]\nkind = "http"\nusername = "bench"\n'
        'password = "secret12"\nallow = ["127.0.0.0/8"]\n',
        "bench",
    )
    credential = provisioning.accounts["bench"].credential[0]
    credential.password_hash, credential.password = hash_password("secret12"), ""
    tables = Tables(provisioning)
    doors = Doors(lambda: tables, run=maybeDeferred)
    site = Site()
    unused = dict.fromkeys(("journal", "lists", "dead_letters", "lookups"))
    replays = SimpleNamespace(replay=None)
    store = SimpleNamespace(identities=identities, replays=replays, **unused)
    rest.add(site, rest.Rest(Config(), lambda: tables, doors, AtOnce(), store))
    port = reactor.listenTCP(0, HttpServerFactory(site, reactor), interface="127.0.0.1")
    print(port.getHost().port, flush=True)
    stdio.StandardIO(Until())
    begun = cpu_seconds()
    reactor.run()
    print(cpu_seconds() - begun, flush=True)


def main() -> None:
    """Measures and prints one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve()
        return
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.http_edge", "--serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdin is not None
    assert server.stdout is not None
    port = int(server.stdout.readline())
    with tempfile.TemporaryDirectory() as folder:
        script = os.path.join(folder, "post.lua")
        with open(script, "w", encoding="ascii") as file:
            file.write(_SCRIPT % (base64.b64encode(b"bench:secret12").decode(), body()))
        wrk = subprocess.run(
            [
                "wrk",
                "-t1",
                f"-c{options.connections}",
                f"-d{options.seconds}s",
                "--latency",
                "-s",
                script,
                f"http://127.0.0.1:{port}",
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    server.stdin.close()
    cpu = float(server.stdout.readline())
    server.wait(10)
    words = wrk.split()
    if "Non-2xx" in wrk:
        raise SystemExit(wrk)
    count = int(words[words.index("requests") - 1])
    found = {
        "connections": options.connections,
        "requests_s": round(float(words[words.index("Requests/sec:") + 1])),
        "cpu_us": round(cpu / count * 1e6, 1),
        "p99": words[words.index("99%") + 1],
        "body": len(body()),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
