"""Connections to places that customers name: only to addresses that they may name.

A name is resolved once, each address that comes of it is checked, and exactly those that passed are
connected to. A name whose address changes between a check and the connection gains nothing.
"""

import socket
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error
from twisted.internet._resolver import GAIResolver
from twisted.internet.defer import CancelledError, Deferred, DeferredSemaphore, succeed
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import (
    IHostnameResolver,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
    IStreamClientEndpoint,
)
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from zope.interface import implementer

from smsgw.addresses import is_public

T = TypeVar("T")
TLS_FAILED = "TLS failed"
_LOOK_UPS = 64  # that may be under way at once, each of another name
_DRAIN_S = 10.0  # what is under way at a stop may take so long


class AddressRefused(Exception):
    """The host has no address that may be connected to."""


@implementer(IResolutionReceiver)
class _Checked:
    """Passes on the addresses that are public."""

    def __init__(self, receiver: Any, endpoint: "PublicEndpoint") -> None:
        self._receiver = receiver
        self._endpoint = endpoint

    def resolutionBegan(self, resolution: Any) -> None:
        """Twisted."""
        self._receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:
        """Twisted."""
        if is_public(address.host):
            self._receiver.addressResolved(address)
        else:
            self._endpoint.refused = True

    def resolutionComplete(self) -> None:
        """Twisted."""
        self._receiver.resolutionComplete()


@implementer(IHostnameResolver)
class _CheckingResolver:
    def __init__(self, resolver: Any, endpoint: "PublicEndpoint") -> None:
        self._resolver = resolver
        self._endpoint = endpoint

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Twisted."""
        checked = _Checked(resolutionReceiver, self._endpoint)
        return self._resolver.resolveHostName(
            checked, hostName, portNumber, addressTypes, transportSemantics
        )


@implementer(IReactorPluggableNameResolver)
class _CheckingReactor:
    """The reactor, with another resolver of names."""

    def __init__(self, reactor: Any, endpoint: "PublicEndpoint") -> None:
        self._reactor = reactor
        self.nameResolver = _CheckingResolver(reactor.nameResolver, endpoint)

    def installNameResolver(self, resolver: Any) -> Any:
        """Twisted."""
        return self._reactor.installNameResolver(resolver)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


@implementer(IStreamClientEndpoint)
class PublicEndpoint:
    """Connects to ``host`` at its public addresses, the fastest of them.

    ``connect`` fails with ``AddressRefused`` if it has others only.
    """

    def __init__(self, reactor: Any, host: bytes | str, port: int) -> None:
        self.refused = False  # an address was left out
        self._endpoint = HostnameEndpoint(_CheckingReactor(reactor, self), host, port)

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Twisted."""
        return self._endpoint.connect(protocolFactory).addErrback(self._no_connection)

    def _no_connection(self, failure: Failure) -> Any:
        if self.refused and failure.check(error.DNSLookupError):
            raise AddressRefused
        return failure


def endpoint_to(reactor: Any, host: bytes | str, port: int, private: bool) -> Any:
    """An endpoint that connects to ``host``; to an address that is not public only if
    ``private``."""
    return (HostnameEndpoint if private else PublicEndpoint)(reactor, host, port)


def why(fault: BaseException) -> str:
    """Why a connection failed or ended, in few words; "" for a fault of another kind."""
    for kinds, words in _FAULTS:
        if isinstance(fault, kinds):
            return words
    return ""


_FAULTS: tuple[tuple[Any, str], ...] = (
    (CancelledError, "no answer in time"),
    (AddressRefused, "address not allowed"),
    (error.DNSLookupError, "host not found"),
    (error.ConnectionRefusedError, "connection refused"),
    ((error.TimeoutError, error.ConnectingCancelledError), "no connection in time"),
    ((VerificationError, SSL.Error), TLS_FAILED),
    (error.ConnectError, "no connection"),
    ((error.ConnectionLost, error.ConnectionDone), "connection lost"),
)


@implementer(IResolutionReceiver)
class _Several:
    """All who wait for one look-up: each is told what is found."""

    def __init__(self, over: Callable[[], object]) -> None:
        """``over`` is called when it has ended, before they are told."""
        self._over = over
        self._receivers: list[Any] = []
        self.resolution: Any = None

    def add(self, receiver: Any) -> None:
        """One more; a look-up tells all that it finds in one turn of the reactor, so nobody comes
        between."""
        self._receivers.append(receiver)
        if self.resolution is not None:
            receiver.resolutionBegan(self.resolution)

    def resolutionBegan(self, resolution: Any) -> None:
        """Twisted."""
        self.resolution = resolution
        for receiver in self._receivers:
            receiver.resolutionBegan(resolution)

    def addressResolved(self, address: Any) -> None:
        """Twisted."""
        for receiver in self._receivers:
            receiver.addressResolved(address)

    def resolutionComplete(self) -> None:
        """Twisted."""
        self._over()
        for receiver in self._receivers:
            receiver.resolutionComplete()


@implementer(IHostnameResolver)
class _Joined:
    """Looks up each name once at a time: whoever asks meanwhile gets the same answer, so one name
    with a slow server takes one thread, however many connect to it (I5)."""

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver
        self._under_way: dict[Any, _Several] = {}

    def resolveHostName(
        self,
        resolutionReceiver: Any,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Any = None,
        transportSemantics: str = "TCP",
    ) -> Any:
        """Twisted."""
        types = None if addressTypes is None else tuple(addressTypes)
        key = hostName, portNumber, types, transportSemantics
        several = self._under_way.get(key)
        if several is not None:
            several.add(resolutionReceiver)
            return several.resolution
        several = self._under_way[key] = _Several(partial(self._under_way.pop, key))
        several.add(resolutionReceiver)
        return self._resolver.resolveHostName(several, *key)


class NameThreads:
    """Threads on which names are looked up.

    On the reactor's, where they are without this, look-ups at slow name servers of customers would
    keep logins waiting, whose passwords are checked there (I5).
    """

    def __init__(self, reactor: Any, getaddrinfo: Any = socket.getaddrinfo) -> None:
        self._reactor = reactor
        self._getaddrinfo = getaddrinfo
        self._pool = ThreadPool(0, _LOOK_UPS, "names")
        self._before: Any = None

    def start(self) -> None:
        """From now on the reactor resolves on these threads."""
        if not IReactorPluggableNameResolver.providedBy(self._reactor):
            return  # a clock of tests
        self._pool.start()
        reactor: Any = self._reactor
        resolver = GAIResolver(reactor, lambda: self._pool, self._getaddrinfo)
        self._before = reactor.installNameResolver(_Joined(resolver))

    def stop(self) -> None:
        """As it was before."""
        if self._before is not None:
            self._reactor.installNameResolver(self._before)
            self._before = None
            self._pool.stop()


class Turns:
    """Lets a number of pieces of work be under way at a time, in all and of one customer, so that
    the slow server of one delays the fewest others (I5)."""

    def __init__(self, most: int, of_one: int) -> None:
        self._all = DeferredSemaphore(most)
        self._of_one = of_one
        self._each: dict[str, DeferredSemaphore] = {}

    async def run(self, name: str, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of ``work``, begun when it is its turn; ``name`` is the customer's."""
        each = self._each.setdefault(name, DeferredSemaphore(self._of_one))
        try:
            result: T = await each.run(
                lambda: self._all.run(lambda: Deferred.fromCoroutine(work()))
            )
            return result
        finally:
            if each.tokens == each.limit:
                self._each.pop(name, None)


class UnderWay:
    """What is under way and awaited at a stop."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._all: set[Deferred[Any]] = set()
        self._over: Deferred[Any] | None = None  # once it stops

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> Deferred[Any]:
        """The result of ``coroutine``."""
        deferred: Deferred[Any] = Deferred.fromCoroutine(coroutine)
        self._all.add(deferred)

        def ended(result: Any) -> Any:
            self._all.discard(deferred)
            if self._over is not None and not self._all:
                self._over.callback(None)
            return result

        return deferred.addBoth(ended)

    def stop(self) -> Deferred[None]:
        """Fires when all is over, or has had its time and is cancelled."""
        if not self._all:
            return succeed(None)
        late = self._reactor.callLater(_DRAIN_S, self._cancel)
        self._over = Deferred()
        return self._over.addCallback(lambda _: late.active() and late.cancel())

    def _cancel(self) -> None:
        for one in list(self._all):
            one.cancel()
