"""A connection without a socket, and what a broker would write."""

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from smsgw.amqp.address import Login
from smsgw.amqp.channel import Channel
from smsgw.amqp.connection import Connection
from smsgw.amqp.frames import MethodFrame, Reader
from smsgw.amqp.methods import decode_method, encode_method, specification
from tests.amqp.recorded import RECORDED


def frame(channel: int, name: str, *values: object) -> bytes:
    """A method such as ``basic.ack`` on the wire."""
    class_name, _, method_name = name.partition(".")
    method = specification().classes.byname[class_name].methods.byname[method_name]
    return encode_method(channel, method, values)


def content(channel: int, body: bytes, header: bytes = b"\x00\x00") -> bytes:
    """Content header and body, in one frame each."""
    head = b"\x00\x3c\x00\x00" + len(body).to_bytes(8, "big") + header
    found = raw_frame(2, channel, head)
    return found + raw_frame(3, channel, body) if body else found


def raw_frame(kind: int, channel: int, payload: bytes) -> bytes:
    """Any frame."""
    head = bytes((kind,)) + channel.to_bytes(2, "big") + len(payload).to_bytes(4, "big")
    return head + payload + b"\xce"


def deliver(tag: int, body: bytes, consumer: str = "smsgw.1.1", channel: int = 1) -> bytes:
    """A whole delivery."""
    return frame(channel, "basic.deliver", consumer, tag, False, "", "q") + content(channel, body)


class Transport(StringTransportWithDisconnection):
    """Remembers that it was aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        if self.connected:
            self.loseConnection()


class Wire:
    """A connection, the clock that it lives by, and the broker's side of it."""

    def __init__(self, **login: object) -> None:
        self.clock = Clock()
        self.connection = Connection(Login(**login), self.clock)  # type: ignore[arg-type]
        self.transport = Transport()
        self.transport.protocol = self.connection
        self.connection.makeConnection(self.transport)

    def send(self, octets: bytes) -> None:
        """The broker writes."""
        self.connection.dataReceived(octets)

    def asked(self) -> list[str]:
        """Names of the methods that the connection has written since the last time; what is
        published is "basic.publish", its content is left out.
        """
        octets = self.transport.value().removeprefix(b"AMQP\x00\x00\x09\x01")
        self.transport.clear()
        reader = Reader()
        reader.open.add(1)
        found = []
        for event in reader.receive(_without_content(octets)):
            payload = event.payload if isinstance(event, MethodFrame) else None
            if payload is None:
                found.append("basic.ack")
                continue
            method = decode_method(payload)[0]
            found.append(f"{method.klass.name}.{method.name}")
        assert reader.fault is None
        return found

    def open(self) -> None:
        """The handshake, as RabbitMQ does it."""
        done = Deferred.fromCoroutine(self.connection.open())
        self.send(RECORDED["handshake"])
        assert done.called

    def channel(self, window: int = 1000) -> Channel:
        """A channel with confirms and a prefetch of 10."""
        found: list[Channel] = []
        opening = self.connection.channel_for(confirms=True, prefetch=10, window=window)
        Deferred.fromCoroutine(opening).addCallback(found.append)
        self.send(RECORDED["channel"])
        return found[0]


def _without_content(octets: bytes) -> bytes:
    kept, at = [], 0
    while at < len(octets):
        end = at + 8 + int.from_bytes(octets[at + 3 : at + 7], "big")
        if octets[at] in (1, 8):
            kept.append(octets[at:end])
        at = end
    return b"".join(kept)


def ready() -> tuple[Wire, Channel]:
    """A connection with a channel, nothing of whose making is left to look at."""
    wire = Wire()
    wire.open()
    channel = wire.channel()
    wire.transport.clear()
    return wire, channel


def outcome(deferred: "Deferred[object]") -> list[object]:
    """Fills with the result or the error, once there is one."""
    found: list[object] = []
    deferred.addCallbacks(found.append, lambda failure: found.append(failure.value))
    return found
