"""The gateway as an SMSC: accepts ESMEs, and makes a session of each connection."""

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger

from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.gate import Gate
from smsgw.smpp.profile import Profile
from smsgw.smpp.trace import Traces

__all__ = ["EsmeSession", "Gate", "SmppServerFactory"]


class _Unwelcome(protocol.Protocol):
    """A connection from an address that nobody may use, or one too many: closed without an octet
    (L-D2, ruling 7).
    """

    def connectionMade(self) -> None:
        """Close."""
        assert self.transport is not None
        self.transport.loseConnection()


class SmppServerFactory(protocol.ServerFactory):
    """Makes the sessions of one listener."""

    noisy = False
    log = Logger()

    def __init__(
        self,
        gate: Gate,
        profile: Profile,
        clock: IReactorTime,
        traces: Traces | None = None,
        called: str = "",
    ) -> None:
        """``called``: the login of the client that we connect to, to be bound by it (outbind); "":
        clients connect to us.
        """
        self.gate = gate
        self.called = called
        self._traces = traces
        self.profile = profile
        self.clock = clock
        self.sessions: set[EsmeSession] = set()  # the bound ones
        self.draining = False
        self._connected: set[EsmeSession] = set()
        self._unbound: dict[EsmeSession, str] = {}  # whence they come
        self._unbound_of: dict[str, int] = {}  # how many, by address
        self._drained: list[Deferred[None]] = []
        self._limit: IDelayedCall | None = None

    def buildProtocol(self, addr: IAddress | None) -> protocol.Protocol:
        """A session for a connection from ``addr``, if anybody may come from there."""
        peer = str(getattr(addr, "host", None) or "unix")
        if self.draining or not (self.called or self.gate.allowed(peer)):
            self.log.info("connection from {peer} not allowed", peer=peer)
            return _Unwelcome()
        unbound = self._unbound_of.get(peer, 0)
        if len(self._connected) >= self.profile.connections or unbound >= self.profile.unbound:
            self.log.info("connection from {peer}: there are too many", peer=peer)
            return _Unwelcome()
        session = EsmeSession(self)
        # As the listener knows it, which may have it from a proxy.
        session.connection.peer = peer
        session.connection.factory = self
        self._connected.add(session)
        self._unbound[session] = peer
        self._unbound_of[peer] = unbound + 1
        if self._traces is not None:
            self._traces.meet(session.connection)
        return session.connection

    @property
    def connections(self) -> int:
        """Connections that are open, bound or not."""
        return len(self._connected)

    def joined(self, session: EsmeSession) -> None:
        """A session is bound."""
        self.sessions.add(session)
        self._no_longer_unbound(session)

    def left(self, session: EsmeSession) -> None:
        """A session is gone."""
        self.sessions.discard(session)
        self._connected.discard(session)
        self._no_longer_unbound(session)
        if self.draining and not self._connected:
            self._all_left()

    def _no_longer_unbound(self, session: EsmeSession) -> None:
        peer = self._unbound.pop(session, None)
        if peer is not None:
            self._unbound_of[peer] -= 1
            if not self._unbound_of[peer]:
                del self._unbound_of[peer]

    def drain(self, timeout_s: float = 10.0) -> "Deferred[None]":
        """Take no more binds and no more messages (ESME_RSYSERR), and end all sessions in order.

        Answers that are due still go out, within the profile's grace time. Fires when all
        connections are closed, after ``timeout_s`` at the latest: then the rest is cut off.
        """
        done: Deferred[None] = Deferred()
        self._drained.append(done)
        if not self.draining:
            self.draining = True
            self._limit = self.clock.callLater(timeout_s, self._cut_off)
            for session in list(self._connected):
                session.unbind()
        if not self._connected:
            self._all_left()
        return done

    def _cut_off(self) -> None:
        self._limit = None
        for session in list(self._connected):
            session.abort("shutting down")

    def _all_left(self) -> None:
        if self._limit is not None:
            self._limit.cancel()
            self._limit = None
        waiting, self._drained = self._drained, []
        for done in waiting:
            done.callback(None)
