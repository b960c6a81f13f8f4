"""A TCP relay in the test's own process that can lose what passes, for tests of lost
connections."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, connectProtocol
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater


class _Out(Protocol):
    """Towards the server."""

    def __init__(self, inner: "_In") -> None:
        self.inner = inner
        self.lost: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        relay = self.inner.relay
        if relay.mode in ("swallow answers", "silent") and self.inner.transport is not None:
            relay.noticed()
        elif self.inner.transport is not None:
            self.inner.transport.write(data)

    def connectionLost(self, reason: object = None) -> None:
        self.lost.callback(None)
        self.inner.transport.abortConnection()


class _In(Protocol):
    """From the client."""

    def __init__(self, relay: "Passing") -> None:
        self.relay = relay
        self.out: _Out | None = None
        self.held: list[bytes] = []
        self._early: list[bytes] = []
        self.late = False

    def connectionMade(self) -> None:
        if self.relay.mode == "refuse":
            self.transport.abortConnection()
            return
        self.relay.pairs.append(self)
        connecting = connectProtocol(
            TCP4ClientEndpoint(reactor, "127.0.0.1", self.relay.to), _Out(self)
        )
        connecting.addCallbacks(self._connected, lambda _: self.transport.abortConnection())

    def _connected(self, out: _Out) -> None:
        self.out = out
        for data in self._early:
            out.transport.write(data)
        self._early = []

    def dataReceived(self, data: bytes) -> None:
        if self.out is None:
            self._early.append(data)
        elif self.relay.mode in ("swallow requests", "silent"):
            self.relay.noticed()
        elif self.relay.mode == "hold requests":
            self.held.append(data)
            self.relay.noticed()
        else:
            self.out.transport.write(data)

    def connectionLost(self, reason: object = None) -> None:
        if self in self.relay.pairs and not self.late:
            self.relay.pairs.remove(self)
            if self.out is not None:
                self.out.transport.abortConnection()


class Passing(Factory):
    """Relays what comes to ``port`` to the port ``to`` of 127.0.0.1, as it is told."""

    noisy = False

    def __init__(self) -> None:
        self.to = 0
        self.mode = "serve"
        self.pairs: list[_In] = []
        self.swallowed: Deferred[None] = Deferred()
        self._listening: IListeningPort | None = None
        self._late: list[_In] = []

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._listening is not None
        return int(self._listening.getHost().port)

    async def start(self) -> None:
        """Listens."""
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        self._listening = await endpoint.listen(self)

    def buildProtocol(self, address: object) -> _In:
        return _In(self)

    async def stop(self) -> None:
        """Ends all that it has."""
        self.mode = "refuse"
        self.cut()
        for one in self._late:
            if one.out is not None:
                one.out.transport.abortConnection()
        if self._listening is not None:
            await self._listening.stopListening()

    async def turn(self) -> None:
        """Returns after a turn of the reactor and a little."""
        await deferLater(reactor, 0.01)

    def noticed(self) -> None:
        """Something was held back."""
        if not self.swallowed.called:
            self.swallowed.callback(None)

    def serve(self) -> None:
        """Everything passes."""
        self.mode = "serve"

    def swallow_answers(self) -> None:
        """What the server answers is lost from now on."""
        self.mode = "swallow answers"

    def swallow_requests(self) -> None:
        """What the client asks is lost from now on."""
        self.mode = "swallow requests"

    def part(self) -> None:
        """Nothing passes from now on, either way, and neither side is told."""
        self.mode = "silent"

    def join(self) -> None:
        """Everything passes again, by new connections: of the old ones something is lost."""
        self.cut()
        self.mode = "serve"

    def hold_requests(self) -> None:
        """What the client asks is kept back from now on."""
        self.mode = "hold requests"

    def refuse(self) -> None:
        """Ends all connections, and those that are tried."""
        self.mode = "refuse"
        self.cut()

    def cut(self) -> None:
        """Ends all connections, on both sides."""
        for one in list(self.pairs):
            one.transport.abortConnection()

    def cut_here(self) -> None:
        """Ends all connections to the client; the server knows nothing of it."""
        for one in list(self.pairs):
            one.late = True
            self._late.append(one)
            one.transport.abortConnection()

    async def deliver_late(self) -> None:
        """What was kept back arrives; returns when the server has ended the connection."""
        for one in self._late:
            for data in one.held:
                if one.out is not None:
                    one.out.transport.write(data)
            if one.out is not None:
                await one.out.lost
