"""A TCP connection in memory that notes what it is told, for tests of one end."""

from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ITCPTransport
from twisted.internet.testing import StringTransport
from zope.interface import implementer

from smsgw.smpp.framing import Framer


@implementer(ITCPTransport)
class TcpTransport(StringTransport):
    """What is written to it can be read as PDUs; how it is closed can be seen."""

    def __init__(self, host: str = "192.0.2.7") -> None:
        super().__init__(peerAddress=IPv4Address("TCP", host, 40000))
        self.no_delay = False
        self.half_closed = False
        self.aborted = False
        self.writes = 0

    @property
    def closed(self) -> bool:
        """True if our side has closed in any way."""
        return self.disconnecting or self.half_closed or self.aborted

    def write(self, data: bytes) -> None:
        self.writes += 1
        super().write(data)

    def setTcpNoDelay(self, enabled: bool) -> None:
        self.no_delay = enabled

    def loseWriteConnection(self) -> None:
        self.half_closed = True

    def abortConnection(self) -> None:
        self.aborted = True

    def said(self) -> list[Any]:
        """The PDUs written since the last call."""
        octets = self.value()
        self.clear()
        return Framer().feed(octets)
