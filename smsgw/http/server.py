"""A small HTTP/1.1 server on Twisted: makes the connections, counts their time, and ends them."""

import time
from email.utils import formatdate
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IProtocolNegotiationFactory,
    IReactorTime,
)
from twisted.internet.protocol import Factory, Protocol
from zope.interface import implementer

from smsgw.http.connection import HttpConnection
from smsgw.http.reading import Limits
from smsgw.http.site import BODY_LIMIT, Request, Response, Site, plain_refusal
from smsgw.http.uploads import Uploads
from smsgw.http.wire import host_of

__all__ = [
    "BODY_LIMIT",
    "HttpServerFactory",
    "Limits",
    "Request",
    "Response",
    "Site",
    "Uploads",
    "plain_refusal",
]


class Unwelcome(Protocol):
    """A connection too many: closed without an octet. What wraps protocols, as TLS and the PROXY
    header do, has nothing to wrap in place of one."""

    def connectionMade(self) -> None:
        """Close."""
        transport: Any = self.transport
        transport.abortConnection()


@implementer(IProtocolNegotiationFactory)
class HttpServerFactory(Factory):
    """Makes the connections of one or more listeners that show the same site."""

    noisy = False

    def __init__(
        self,
        site: Site,
        clock: IReactorTime,
        limits: Limits | None = None,
        access: bool = False,
        uploads: Uploads | None = None,
    ) -> None:
        """``access`` writes a line for every answer to the logger ``smsgw.http.access``;
        ``uploads`` is where large bodies go."""
        self.uploads = uploads or Uploads()
        self.site = site
        self.limits = limits or Limits()
        self.access = access
        self.now = clock.seconds()  # seconds, to the second
        self.date = b""  # the Date header, with the line break before it
        self.draining = False
        self._clock = clock
        self._connections: set[HttpConnection] = set()
        self._sweep_call: IDelayedCall | None = None
        self._cut_off_call: IDelayedCall | None = None
        self._drained: list[Deferred[None]] = []

    def buildProtocol(self, addr: IAddress | None) -> Protocol:
        """Twisted: a client connects, or a proxy for one."""
        if self.draining or len(self._connections) >= self.limits.connections:
            return Unwelcome()
        return HttpConnection(self, host_of(addr) if addr is not None else "")

    def acceptableProtocols(self) -> list[bytes]:
        """Twisted: what is spoken over TLS; a client that offers only others gets no handshake."""
        return [b"http/1.1", b"http/1.0"]

    def opened(self, connection: HttpConnection) -> None:
        """A connection says that it is open."""
        self._connections.add(connection)
        if self._sweep_call is None:
            self._sweep()

    def closed(self, connection: HttpConnection) -> None:
        """A connection says that it is closed."""
        self._connections.discard(connection)
        if self._connections:
            return
        if self._sweep_call is not None:
            self._sweep_call.cancel()
            self._sweep_call = None
        if self._cut_off_call is not None and self._cut_off_call.active():
            self._cut_off_call.cancel()
        waiting, self._drained = self._drained, []
        for deferred in waiting:
            deferred.callback(None)

    def _sweep(self) -> None:
        self._sweep_call = self._clock.callLater(1.0, self._sweep)
        self.now = now = self._clock.seconds()
        self.date = b"\r\nDate: " + formatdate(time.time(), usegmt=True).encode()
        for connection in [each for each in self._connections if each.deadline <= now]:
            connection.overdue()

    def drain(self, seconds: float = 10.0) -> Deferred[None]:
        """Take no new connection, answer what is under way, close.

        After ``seconds`` whatever is left is cut off. Fires when no connection is left.
        """
        self.draining = True
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        for connection in list(self._connections):
            connection.wind_up()
        if self._connections:
            self._cut_off_call = self._clock.callLater(seconds, self._cut_off)
        else:
            self._drained.remove(done)
            done.callback(None)
        return done

    def _cut_off(self) -> None:
        for connection in list(self._connections):
            connection.abort()
