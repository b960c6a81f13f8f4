"""One bind to a carrier's SMSC on one connection, renewed whenever it is lost."""

from collections.abc import Callable
from typing import Any, Protocol

from attrs import frozen
from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IStreamClientEndpoint
from twisted.python.failure import Failure

from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.constants import VERSION_33, VERSION_34, Status, status_name
from smsgw.smpp.events import Answer, MisuseError, Timers
from smsgw.smpp.pdu import Bind, Outbind, Pdu
from smsgw.smpp.states import Role


@frozen
class LinkSettings:
    """How to reach and bind to a carrier; times in seconds."""

    host: str
    port: int
    system_id: str
    password: str = ""
    system_type: str = ""
    bind: str = "transceiver"  # or "transmitter+receiver"
    window: int = 10
    version: str = "3.4"  # or "3.3"
    response_s: float = 30.0
    enquire_s: float = 30.0
    connect_timeout_s: float = 10.0
    reconnect_min_s: float = 1.0
    reconnect_max_s: float = 60.0
    unbind_grace_s: float = 5.0
    stall_s: float = 30.0  # how long the carrier may leave our octets unread
    tls: bool = False
    # The carrier calls us to be bound to (outbind): as transceiver, or as the receiver of a pair.
    outbind: bool = False


STOPPED = "stopped"  # the reason of a line that is to be down
AWAITED = "waits for the carrier's outbind"

# Bind refusals that no waiting mends (spec/smpp.md §15); only provisioning does.
PERMANENT = frozenset(
    {
        Status.ESME_RINVCMDID,
        Status.ESME_RINVPASWD,
        Status.ESME_RINVSYSID,
        Status.ESME_RINVSYSTYP,
    }
)


class Link(Protocol):
    """Whose line it is."""

    def line_bound(self, line: "Line") -> None:
        """The line is bound."""
        ...

    def line_changed(self, line: "Line") -> None:
        """``line.state`` or ``line.reason`` is another."""
        ...

    def line_lost(self, line: "Line") -> None:
        """The line was bound and is not any more; its requests are answered for."""
        ...

    def line_connects(self, connection: SmppConnection) -> None:
        """A connection of a line is being made."""
        ...

    def line_requests(self, line: "Line", pdus: list[Pdu]) -> None:
        """Requests of the carrier."""
        ...

    def line_responses(self, line: "Line", answers: list[Answer]) -> None:
        """Answers to our requests."""
        ...


class Line:
    """Connects, binds, and after a loss does so again, later each time in vain."""

    def __init__(
        self,
        link: Link,
        settings: LinkSettings,
        bind: type[Bind],
        endpoint: IStreamClientEndpoint,
        clock: Any,
        random: Callable[[], float],
        passive: bool = False,
    ) -> None:
        """``passive``: it never connects, and binds on what ``adopt`` brings."""
        self.state = "stopped"
        self._passive = passive
        self.reason = ""
        self.bound_ever = 0  # connections that were bound so far: tells one from the next
        self.connection: SmppConnection | None = None  # while bound
        self._link = link
        self._settings = settings
        self._bind = bind
        self._endpoint = endpoint
        self._clock = clock
        self._random = random
        self._attempts = 0  # in vain, since the last good bind
        self._permanent = False  # the last refusal was
        self._connecting: Deferred[Any] | None = None
        self.current: SmppConnection | None = None  # connected, bound or not
        self._retry: IDelayedCall | None = None
        self._stopped: list[Deferred[None]] = []

    def start(self) -> None:
        """Begin, and keep at it until stop()."""
        if self.state == "stopping":
            raise MisuseError("start of a line that is still stopping")
        if self.state == "stopped":
            self._attempts = 0
            self._permanent = False
            self._connect()

    def stop(self) -> "Deferred[None]":
        """End in order and stay so; fires when the connection is closed (bounded by the grace
        times).
        """
        done: Deferred[None] = Deferred()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
        if self.current is None:
            self._set("stopped", STOPPED)
            if self._connecting is not None:
                self._connecting.cancel()
            done.callback(None)
        else:
            self._stopped.append(done)
            self._set("stopping", STOPPED)
            self.current.unbind()
        return done

    # Connecting

    def _set(self, state: str, reason: str) -> None:
        self.state = state
        self.reason = reason
        self._link.line_changed(self)

    def _connect(self) -> None:
        self._retry = None
        if self._passive:
            self._set("waiting", AWAITED)
            return
        self._set("connecting", self.reason)
        self._connecting = self._endpoint.connect(_Factory(self._make))
        self._connecting.addCallbacks(self._connected, self._failed)

    def adopt(self, connection: SmppConnection) -> bool:
        """Bind on a connection that the carrier has made; False if none is awaited."""
        if not self._passive or self.state != "waiting":
            return False
        settings = self._settings
        connection.adopt(self, self._timers(), max(settings.window, 1), settings.stall_s)
        self._link.line_connects(connection)
        self._begin(connection)
        return True

    def _timers(self) -> Timers:
        settings = self._settings
        return Timers(
            enquire_after_s=settings.enquire_s,
            response_s=settings.response_s,
            unbind_grace_s=settings.unbind_grace_s,
        )

    def _make(self, peer: str) -> SmppConnection:
        settings = self._settings
        connection = SmppConnection(
            Role.ESME,
            self,
            self._clock,
            self._timers(),
            window_out=max(settings.window, 1),
            stall_s=settings.stall_s,
        )
        connection.peer = peer
        self._link.line_connects(connection)
        return connection

    def _connected(self, connection: SmppConnection) -> None:
        self._connecting = None
        if self.state != "connecting":
            connection.abort("stopped")  # stop() came too late to cancel
            return
        if connection.session.ended:
            self._again(connection.session.ended)  # lost before we were told of it
            return
        self._begin(connection)

    def _begin(self, connection: SmppConnection) -> None:
        """Bind."""
        self.current = connection
        self._set("binding", self.reason)
        settings = self._settings
        bind = self._bind(
            system_id=settings.system_id.encode(),
            password=settings.password.encode(),
            system_type=settings.system_type.encode(),
            interface_version=VERSION_33 if settings.version == "3.3" else VERSION_34,
        )
        try:
            connection.bind(bind)
        except ValueError as wrong:
            self._permanent = True
            connection.abort(f"cannot bind: {wrong}")

    def _failed(self, failure: Failure) -> None:
        self._connecting = None
        if self.state == "connecting":
            self._again(f"cannot connect: {failure.getErrorMessage().rstrip('.')}")

    def _again(self, reason: str) -> None:
        """Try again after a while: doubled each time, and a little more at random so that links do
        not march in step. Not earlier than the settings say: a carrier may demand the wait (L-D5).
        """
        if self._passive:
            self._set("waiting", reason)
            return
        settings = self._settings
        longest = settings.reconnect_max_s
        if not self._permanent:
            # The exponent is bounded: nobody waits for 2 ** 1000 to be cut to a minute.
            longest = min(longest, settings.reconnect_min_s * 2.0 ** min(self._attempts, 20))
        self._attempts += 1
        delay = longest * (1.0 + 0.25 * self._random())
        self._retry = self._clock.callLater(delay, self._connect)
        self._set("waiting", reason)

    # What the connection tells

    def bind_requested(self, connection: SmppConnection, pdu: Bind) -> None:
        """An ESME is not bound to."""

    def called(self, connection: SmppConnection, pdu: Outbind) -> None:
        """The carrier has called before it became this line's."""

    def bound(self, connection: SmppConnection) -> None:
        """The line is there."""
        if self.state != "binding":
            return  # stop() came meanwhile and is unbinding
        self._attempts = 0
        self._permanent = False
        self.bound_ever += 1
        self.connection = connection
        self._set("up", "")
        self._link.line_bound(self)

    def bind_refused(self, connection: SmppConnection, status: int) -> None:
        """Remember whether waiting helps; ``closed`` says the rest."""
        self._permanent = status in PERMANENT
        self.reason = f"bind refused: {status_name(status)}"

    def requests_received(self, connection: SmppConnection, pdus: list[Pdu]) -> None:
        """Hot path."""
        self._link.line_requests(self, pdus)

    def responses_received(self, connection: SmppConnection, answers: list[Answer]) -> None:
        """Hot path."""
        self._link.line_responses(self, answers)

    def closed(self, connection: SmppConnection, reason: str) -> None:
        """Go on: try again, or be stopped."""
        if connection is not self.current:
            return
        was_up, self.connection = self.connection is not None, None
        self.current = None
        if self._stopped:
            waiting, self._stopped = self._stopped, []
            self._set("stopped", STOPPED)
            if was_up:
                self._link.line_lost(self)
            for done in waiting:
                done.callback(None)
            return
        self._again(reason)
        if was_up:
            self._link.line_lost(self)


class _Factory(protocol.ClientFactory):
    noisy = False

    def __init__(self, make: Callable[[str], SmppConnection]) -> None:
        self._make = make

    def buildProtocol(self, addr: IAddress | None) -> SmppConnection:
        connection = self._make(str(getattr(addr, "host", None) or "unix"))
        connection.factory = self
        return connection
