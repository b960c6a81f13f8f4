"""What comes before the protocol: PROXY headers, TLS told by its first octet, and time limits."""

from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smsgw.preface import TIMEOUT_S, BadHeader, PrefaceFactory, read_header
from tests.outside import certificate

V2 = b"\r\n\r\n\x00\r\nQUIT\n"
PROXY = "192.0.2.9"


def version_2(client: str, command: int = 0x21, more: bytes = b"") -> bytes:
    """A header of version 2 as HAProxy writes it."""
    packed = ip_address(client).packed
    family = 0x11 if len(packed) == 4 else 0x21
    body = packed + bytes(len(packed)) + (40000).to_bytes(2, "big") + b"\x0a\xd7" + more
    return V2 + bytes((command, family)) + len(body).to_bytes(2, "big") + body


def version_1(client: str) -> bytes:
    """A header of version 1."""
    kind, own = ("TCP6", "::1") if ":" in client else ("TCP4", "10.0.0.1")
    return f"PROXY {kind} {client} {own} 40000 2775\r\n".encode()


@given(
    st.ip_addresses().map(str),
    st.sampled_from([version_1, version_2, lambda one: version_2(one, more=b"\x04\x00\x03abc")]),
    st.binary(max_size=30),
)
def test_a_header_is_read_however_it_is_cut(client: str, write: Any, rest: bytes) -> None:
    """Both versions, both families, with TLVs; what follows is not touched."""
    header = write(client)
    for size in range(len(header)):
        assert read_header(header[:size]) == (None, 0)
    address, size = read_header(header + rest)
    assert (address.host, address.port, size) == (client, 40000, len(header))


@given(st.binary(max_size=300), st.sampled_from([b"", b"PROXY ", b"PROXY TCP4 ", V2, V2 + b"\x21"]))
def test_any_octets_are_a_header_or_bad(octets: bytes, begin: bytes) -> None:
    """Nothing else comes of them, and what is awaited is bounded."""
    try:
        _, size = read_header(begin + octets)
    except BadHeader:
        return
    assert size <= len(begin + octets)


@pytest.mark.parametrize(
    "octets",
    [
        b"\0\0\0\x10",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 40000\r\n",
        b"PROXY TCP4 ::1 ::1 40000 2775\r\n",
        b"PROXY TCP6 192.0.2.1 10.0.0.1 40000 2775\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 70000 2775\r\n",
        b"PROXY TCP4 192.0.2.1 10.0.0.1 -1 2775\r\n",
        b"PROXY UDP4 192.0.2.1 10.0.0.1 1 2775\r\n",
        b"PROXY\xff TCP4\r\n",
        b"PROXY TCP4 " + b"1" * 100,
        V2 + b"\x31\x11\0\x0c" + bytes(12),
        V2 + b"\x22\x11\0\x0c" + bytes(12),
        V2 + b"\x21\x11\0\x04" + bytes(12),
        V2 + b"\x21\x11\xff\xff",
    ],
)
def test_a_bad_header_is_told(octets: bytes) -> None:
    """Not mistaken for something else."""
    with pytest.raises(BadHeader):
        read_header(octets)


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::1 1 1\r\n",
        version_2("192.0.2.1", 0x20),
        V2 + b"\x20\x00\0\0",
        V2 + b"\x21\x00\0\0",
        V2 + b"\x21\x31\0\xd8" + bytes(216),
    ],
)
def test_a_proxy_may_speak_for_itself(header: bytes) -> None:
    """LOCAL and UNKNOWN, for its health checks, and clients of a unix socket."""
    assert read_header(header + b"xyz") == (None, len(header))


class Inner(Protocol):
    """The protocol behind."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.heard = b""

    def dataReceived(self, data: bytes) -> None:
        self.heard += data


class Inners(Factory):
    def __init__(self) -> None:
        self.made: list[Inner] = []

    def buildProtocol(self, addr: Any) -> Inner:
        self.made.append(Inner(addr))
        return self.made[-1]


class Transport(StringTransport):
    """As of TCP: its protocol may be another."""

    protocol: Any = None
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class PrefaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inners = Inners()

    def connect(self, host: str = PROXY, **options: Any) -> Transport | None:
        """A connection from there, None if it is closed at once."""
        self.factory = PrefaceFactory(self.inners, self.clock, **options)
        protocol = self.factory.buildProtocol(IPv4Address("TCP", host, 1))
        if protocol is None:
            return None
        transport = Transport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return transport

    def test_the_protocol_has_the_clients_address(self) -> None:
        """And what came with the header; nothing of the preface is left."""
        for header in (version_1("198.51.100.7"), version_2("198.51.100.7")):
            transport = self.connect(proxies=[PROXY])
            for n in range(len(header)):
                transport.protocol.dataReceived(header[n : n + 1])
            inner = self.inners.made.pop()
            assert transport.protocol is inner
            assert inner.address.host == "198.51.100.7"
            transport.protocol.dataReceived(b"more")
            assert inner.heard == b"more"
            assert not self.clock.getDelayedCalls()
            assert not self.factory.waiting

    def test_octets_after_the_header_are_not_lost(self) -> None:
        """They may come in the same read."""
        transport = self.connect(proxies=["192.0.2.0/24"])
        transport.protocol.dataReceived(version_2("198.51.100.7") + b"bind")
        assert self.inners.made[0].heard == b"bind"

    def test_others_than_the_proxies_are_closed_at_once(self) -> None:
        """A header of theirs would be a lie."""
        assert self.connect("198.51.100.7", proxies=[PROXY]) is None
        assert self.connect("::ffff:192.0.2.9", proxies=[PROXY]) is not None
        assert self.connect("198.51.100.7", proxies=["*"]) is not None

    def test_a_bad_header_closes(self) -> None:
        """Without an octet."""
        transport = self.connect(proxies=[PROXY])
        transport.protocol.dataReceived(bytes(16))
        assert transport.aborted
        assert transport.value() == b""
        transport.protocol.connectionLost(Failure(ConnectionDone()))
        assert not self.inners.made
        assert not self.clock.getDelayedCalls()

    def test_who_says_nothing_is_closed(self) -> None:
        """After 10 s, or when the listener is."""
        transport = self.connect(proxies=[PROXY])
        self.clock.advance(TIMEOUT_S)
        assert transport.aborted
        transport = self.connect(proxies=[PROXY])
        self.factory.stopFactory()
        assert transport.aborted

    def test_the_first_octet_tells_tls(self) -> None:
        """0x16 begins a handshake; anything else is plain, or is closed where TLS must be."""
        plain = self.connect(tls=certificate().options())
        plain.protocol.dataReceived(b"\0")
        assert self.inners.made.pop().heard == b"\0"
        refused = self.connect(tls=certificate().options(), plain=False)
        refused.protocol.dataReceived(b"\0")
        assert refused.aborted
        assert not self.inners.made
