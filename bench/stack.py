"""Measures the SMPP stack alone: submit_sm round trips a second between two processes.

A client and a server ``SmppConnection`` on the loopback interface, one connection, no journey
behind: what is measured is codec, session and Twisted. The median of several runs is printed.
"""

import argparse
import json
import statistics
import subprocess
import sys
from typing import Any

from twisted.internet import protocol, reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.stdio import StandardIO

from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.events import Answer, Timers
from smsgw.smpp.pdu import Bind, BindTransceiver, Pdu, SubmitSm, SubmitSmResp
from smsgw.smpp.states import Role

_reactor: Any = reactor
TEXT = b"x" * 160


class Side:
    """What both owners have."""

    def bound(self, connection: SmppConnection) -> None: ...

    def bind_requested(self, connection: SmppConnection, pdu: Bind) -> None: ...

    def bind_refused(self, connection: SmppConnection, status: int) -> None: ...

    def requests_received(self, connection: SmppConnection, pdus: list[Pdu]) -> None: ...

    def responses_received(self, connection: SmppConnection, answers: list[Answer]) -> None: ...

    def closed(self, connection: SmppConnection, reason: str) -> None: ...


class Server(Side):
    """Accepts any bind and answers every submit_sm at once."""

    def __init__(self, window: int) -> None:
        self.window = window

    def bind_requested(self, connection: SmppConnection, pdu: Bind) -> None:
        response = pdu.response(system_id=b"bench", tlvs=[(0x0210, b"\x34")])
        connection.accept(response, window_out=self.window, window_in=self.window)

    def requests_received(self, connection: SmppConnection, pdus: list[Pdu]) -> None:
        connection.respond(
            [
                SubmitSmResp(sequence=pdu.sequence, message_id=b"3f0c9b1e7a524c1d9e550d8c2f6a4b10")
                for pdu in pdus
            ]
        )


class Client(Side):
    """Keeps the window full until ``count`` messages are answered."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.unsent = count
        self.answered = 0
        self.began = 0.0
        self.took: Deferred[float] = Deferred()

    def bound(self, connection: SmppConnection) -> None:
        self.began = _reactor.seconds()
        self.send(connection, connection.room)

    def send(self, connection: SmppConnection, room: int) -> None:
        number = min(room, self.unsent)
        if number:
            self.unsent -= number
            connection.request([(message(), None) for _ in range(number)])

    def responses_received(self, connection: SmppConnection, answers: list[Answer]) -> None:
        self.answered += len(answers)
        if self.answered == self.count:
            self.took.callback(_reactor.seconds() - self.began)
            connection.unbind()
        else:
            self.send(connection, connection.room)


def message() -> SubmitSm:
    return SubmitSm(
        source_addr_ton=5,
        source_addr=b"Example",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=b"447700900123",
        registered_delivery=1,
        short_message=TEXT,
    )


def serve(window: int) -> None:
    """The server's process: prints its port number and runs until its standard input ends."""
    factory = protocol.ServerFactory()
    factory.buildProtocol = lambda addr: SmppConnection(  # type: ignore[method-assign]
        Role.SMSC, Server(window), _reactor, Timers()
    )

    def listening(port: Any) -> None:
        print(port.getHost().port, flush=True)
        StandardIO(parent)

    parent = protocol.Protocol()
    parent.connectionLost = lambda reason=None: _reactor.stop()  # type: ignore[method-assign]
    endpoint = TCP4ServerEndpoint(_reactor, 0, interface="127.0.0.1")
    endpoint.listen(factory).addCallback(listening)
    _reactor.run()


@inlineCallbacks
def measure(port: int, options: argparse.Namespace) -> Any:
    rates = []
    try:
        for _ in range(options.runs):
            client = Client(options.messages)
            connection = SmppConnection(
                Role.ESME, client, _reactor, Timers(), window_out=options.window
            )
            endpoint = TCP4ClientEndpoint(_reactor, "127.0.0.1", port)
            yield connectProtocol(endpoint, connection)
            connection.bind(BindTransceiver(system_id=b"bench", interface_version=0x34))
            took = yield client.took
            rates.append(options.messages / took)
    finally:
        _reactor.stop()
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=50)
    parser.add_argument("--messages", type=int, default=100_000, help="in each run")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.window)
        return
    command = [sys.executable, __file__, "--serve", "--window", str(options.window)]
    rates: list[float] = []
    # A process of its own, not a fork: two processes must not share one reactor's epoll object.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        port = int(server.stdout.readline())
        measure(port, options).addCallback(rates.extend)
        _reactor.run()
    if not rates:
        sys.exit("the run failed")
    result = {
        "bench": "stack",
        "window": options.window,
        "messages": options.messages,
        "round_trips_per_second": round(statistics.median(rates)),
        "runs": [round(rate) for rate in rates],
    }
    if options.json:
        print(json.dumps(result))
    else:
        print(f"{result['round_trips_per_second']:,} submit_sm round trips/s", end="")
        print(f" (window {options.window}, median of {result['runs']})")


if __name__ == "__main__":
    main()
