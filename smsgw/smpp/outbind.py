"""Carriers that call: a listener on which an SMSC says by outbind that it wants to be bound to.

Theory of operation. Who calls is known only by its outbind, so a connection begins without a link.
``Callers`` says which link the outbind is for; that link then binds on the connection, which is its
own from there on. Whoever says nothing, or names no carrier, is closed; the address must be in some
carrier's list, else it is closed without an octet.
"""

from collections.abc import Callable
from typing import Protocol

from twisted.internet import protocol
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.logger import Logger

from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.events import Answer, Timers
from smsgw.smpp.pdu import Bind, Outbind, Pdu
from smsgw.smpp.states import Role

_log = Logger()

SESSION_INIT_S = 10.0  # from the connection to the outbind (spec/smpp.md §7)
MOST = 100  # connections that have not said who they are


class Callers(Protocol):
    """Who knows the carriers that may call."""

    def may_call(self, peer: str) -> bool:
        """True if some carrier calls from the address ``peer`` (text)."""
        ...

    def called(
        self, system_id: str, password: str, peer: str
    ) -> "Callable[[SmppConnection], bool] | None":
        """What takes the connection of the carrier that these are of, and says whether it could:
        it may have all that it is to have. None if they are no carrier's.
        """
        ...


class Call:
    """A connection of somebody who has not said yet who it is (``Owner`` of it so far)."""

    def __init__(self, factory: "OutbindFactory", peer: str) -> None:
        self._factory = factory
        self.connection = SmppConnection(
            Role.ESME, self, factory.clock, Timers(session_init_s=factory.session_init_s)
        )
        self.connection.peer = peer

    def called(self, connection: SmppConnection, pdu: Outbind) -> None:
        """Find out whose it is, and give it away."""
        factory = self._factory
        system_id = pdu.system_id.decode("latin-1")
        password = pdu.password.decode("latin-1")
        take = factory.callers.called(system_id, password, connection.peer)
        if take is None:
            factory.refused += 1
            why = "wrong system_id, password or address"
        elif take(connection):
            factory.left(self)
            return
        else:
            factory.refused += 1
            why = "its links are there already"
        _log.warn(
            "outbind of {name} from {peer} refused: {why}",
            name=system_id,
            peer=connection.peer,
            why=why,
        )
        connection.abort(f"outbind refused: {why}")

    def bind_requested(self, connection: SmppConnection, pdu: Bind) -> None:
        """An ESME is not bound to."""

    def bound(self, connection: SmppConnection) -> None:
        """It has not bound: then it is a link's."""

    def bind_refused(self, connection: SmppConnection, status: int) -> None:
        """It has not bound."""

    def requests_received(self, connection: SmppConnection, pdus: list[Pdu]) -> None:
        """Nothing is served before a bind."""

    def responses_received(self, connection: SmppConnection, answers: list[Answer]) -> None:
        """Nothing was asked."""

    def closed(self, connection: SmppConnection, reason: str) -> None:
        """It has gone without becoming a link."""
        self._factory.left(self)


class _Unwelcome(protocol.Protocol):
    """A connection from an address that no carrier calls from, or one too many."""

    def connectionMade(self) -> None:
        """Close without an octet."""
        assert self.transport is not None
        self.transport.loseConnection()


class OutbindFactory(protocol.ServerFactory):
    """Makes the connections of one listener for outbind."""

    noisy = False

    def __init__(
        self, callers: Callers, clock: IReactorTime, session_init_s: float = SESSION_INIT_S
    ) -> None:
        self.callers = callers
        self.clock = clock
        self.session_init_s = session_init_s
        self.refused = 0  # outbinds, since the start
        self._calls: set[Call] = set()

    def buildProtocol(self, addr: IAddress | None) -> protocol.Protocol:
        """A connection from ``addr``, if a carrier may call from there."""
        peer = str(getattr(addr, "host", None) or "unix")
        if not self.callers.may_call(peer) or len(self._calls) >= MOST:
            _log.info("outbind connection from {peer} not allowed", peer=peer)
            return _Unwelcome()
        call = Call(self, peer)
        self._calls.add(call)
        call.connection.factory = self
        call.connection.await_outbind()
        return call.connection

    def left(self, call: Call) -> None:
        """The connection is a link's, or gone."""
        self._calls.discard(call)

    def stop(self) -> None:
        """End the connections that are no link's."""
        for call in list(self._calls):
            call.connection.abort("shutting down")
