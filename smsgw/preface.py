"""What comes on a connection before its protocol: a proxy's PROXY header, and TLS that is told by
its first octet.

A connection begins with a protocol that reads just that. Then the transport is handed to the
protocol that the listener's factory makes, with the address that the proxy told, as if nothing had
been before it. So whoever is in no allow-list is closed without an octet behind a proxy, too.
"""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.internet.protocol import Factory, Protocol, ServerFactory, connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure

_log = Logger()

TIMEOUT_S = 10.0  # for all of it
_MOST = 5_000  # connections that have not said it yet
_HANDSHAKE = 0x16  # first octet of TLS; of SMPP it is 0, the highest of command_length
_V1 = b"PROXY "
_V1_MOST = 107  # octets of the line with its end
_V2 = b"\r\n\r\n\x00\r\nQUIT\n"
_V2_HEAD = 16
_V2_MOST = 4_096  # octets of addresses and TLVs
_PORTS = 65_535


class BadHeader(Exception):
    """Not a PROXY header."""


class _More(Exception):
    """It has not come whole."""


def read_header(data: bytes) -> tuple[IAddress | None, int]:
    """The client's address in a PROXY header (versions 1 and 2), and the header's length.

    The address is None where the proxy speaks for itself, or for a client without one. Length 0:
    more octets are needed. Raises ``BadHeader``.
    """
    try:
        if data[: len(_V1)] == _V1[: len(data)]:
            return _version_1(data)
        if data[: len(_V2)] == _V2[: len(data)]:
            return _version_2(data)
    except _More:
        return None, 0
    except ValueError as error:
        raise BadHeader(str(error)) from None
    raise BadHeader("no PROXY header")


def _version_1(data: bytes) -> tuple[IAddress | None, int]:
    line, end, _ = data[:_V1_MOST].partition(b"\r\n")
    if not end:
        if len(data) >= _V1_MOST:
            raise ValueError("a line that does not end")
        raise _More
    words = line.decode("ascii").split(" ")
    if words[1] == "UNKNOWN":
        return None, len(line) + 2
    _, family, source, destination, port, other = words
    version = {"TCP4": 4, "TCP6": 6}[family] if family in ("TCP4", "TCP6") else 0
    found = ip_address(source)
    if {found.version, ip_address(destination).version} != {version}:
        raise ValueError(f"{family} with other addresses")
    if not all(one.isdecimal() and int(one) <= _PORTS for one in (port, other)):
        raise ValueError("no port")
    return _address(found.packed, int(port)), len(line) + 2


def _version_2(data: bytes) -> tuple[IAddress | None, int]:
    if len(data) < _V2_HEAD:
        raise _More
    command, family = data[12], data[13]
    size = int.from_bytes(data[14:16], "big")
    if command not in (0x20, 0x21):
        raise ValueError("version or command unknown")
    if size > _V2_MOST:
        raise ValueError("too long")
    whole = _V2_HEAD + size
    if len(data) < whole:
        raise _More
    octets = {0x11: 4, 0x21: 16}.get(family, 0)  # of an address of TCP over IPv4, IPv6
    if command == 0x20 or not octets:
        return None, whole
    body = data[_V2_HEAD:whole]
    if size < 2 * octets + 4:
        raise ValueError("addresses are missing")
    return _address(body[:octets], int.from_bytes(body[2 * octets : 2 * octets + 2], "big")), whole


def _address(packed: bytes, port: int) -> IAddress:
    found = ip_address(packed)
    kind = IPv4Address if found.version == 4 else IPv6Address
    return kind("TCP", str(found), port)


class PrefaceFactory(ServerFactory):
    """Before the protocols of another factory, on one listener."""

    noisy = False

    def __init__(
        self,
        factory: Factory,
        clock: IReactorTime,
        *,
        proxies: Sequence[str] | None = None,
        tls: Any = None,
        plain: bool = True,
    ) -> None:
        """``proxies`` are the addresses and networks of proxies, of which each connection must
        come; None: there are none. ``tls`` is what makes TLS connections, ``plain`` says that a
        connection may be without.
        """
        self.clock = clock
        self.factory = factory
        self.with_tls = TLSMemoryBIOFactory(tls, False, factory) if tls is not None else None
        self.plain = plain
        self.by_proxy = proxies is not None
        self._anywhere = "*" in (proxies or ())
        self._proxies = [ip_network(one, strict=False) for one in proxies or () if one != "*"]
        self.waiting: set[_Preface] = set()

    def buildProtocol(self, addr: IAddress | None) -> Protocol | None:
        """Twisted. None closes the connection without an octet."""
        host = getattr(addr, "host", None)
        if len(self.waiting) >= _MOST or (self.by_proxy and not self._is_proxy(host)):
            _log.info("connection from {peer} not allowed", peer=host or "unix")
            return None
        return _Preface(self, addr)

    def stopFactory(self) -> None:
        """Twisted: the listener is closed."""
        for one in list(self.waiting):
            one.cut_off()

    def _is_proxy(self, host: str | None) -> bool:
        if host is None or self._anywhere:
            return True  # a unix socket has a mode
        found = ip_address(host.partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        return any(found.version == one.version and found in one for one in self._proxies)


class _Preface(Protocol):
    """Reads the preface of one connection."""

    def __init__(self, factory: PrefaceFactory, address: IAddress | None) -> None:
        self.factory: PrefaceFactory = factory
        self._address = address
        self._header_due = factory.by_proxy
        self._data = b""
        self._timer: IDelayedCall | None = None

    def connectionMade(self) -> None:
        """Twisted."""
        self.factory.waiting.add(self)
        self._timer = self.factory.clock.callLater(TIMEOUT_S, self._overdue)

    def dataReceived(self, data: bytes) -> None:
        """Twisted: read on, and hand over when all is there."""
        self._data += data
        if self._header_due:
            try:
                address, size = read_header(self._data)
            except BadHeader as error:
                peer = getattr(self._address, "host", "unix")
                _log.info("proxy {peer}: bad PROXY header: {why}", peer=peer, why=str(error))
                self.cut_off()
                return
            if not size:
                return
            self._header_due = False
            self._address = address or self._address
            self._data = self._data[size:]
            # The client's turn; but one that may not come is not waited for, so without TLS its
            # protocol begins at once.
        with_tls = self.factory.with_tls
        if with_tls is None:
            self._hand_over(self.factory.factory)
        elif self._data:
            if self._data[0] == _HANDSHAKE:
                self._hand_over(with_tls)
            elif self.factory.plain:
                self._hand_over(self.factory.factory)
            else:
                self.cut_off()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted: it ended before it began."""
        self._done()

    def cut_off(self) -> None:
        """Close without an octet."""
        transport: Any = self.transport
        transport.abortConnection()

    def _hand_over(self, factory: Any) -> None:
        self._done()
        transport: Any = self.transport
        protocol = factory.buildProtocol(self._address)
        transport.protocol = protocol
        protocol.makeConnection(transport)
        data, self._data = self._data, b""
        if data:
            protocol.dataReceived(data)

    def _overdue(self) -> None:
        self._timer = None
        self.cut_off()

    def _done(self) -> None:
        self.factory.waiting.discard(self)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
