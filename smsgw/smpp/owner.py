"""Who uses a connection: the interface between ``SmppConnection`` and the two ends built on it."""

from typing import TYPE_CHECKING, Protocol

from smsgw.smpp.events import (
    Answer,
    BindRefused,
    BindRequested,
    Bound,
    Called,
    Event,
    Requests,
    Responses,
)
from smsgw.smpp.pdu import Bind, Outbind, Pdu

if TYPE_CHECKING:
    from smsgw.smpp.connection import SmppConnection


class Owner(Protocol):
    """Who uses a connection."""

    def bind_requested(self, connection: "SmppConnection", pdu: Bind) -> None:
        """The peer wants to bind (SMSC): ``connection.accept`` or ``refuse``, now or later."""
        ...

    def called(self, connection: "SmppConnection", pdu: Outbind) -> None:
        """The peer has called and wants us to bind (ESME)."""
        ...

    def bound(self, connection: "SmppConnection") -> None:
        """Our bind was accepted (ESME)."""
        ...

    def bind_refused(self, connection: "SmppConnection", status: int) -> None:
        """Our bind was refused (ESME); ``closed`` follows."""
        ...

    def requests_received(self, connection: "SmppConnection", pdus: list[Pdu]) -> None:
        """Requests of one read: ``connection.respond``, now or later, in any order."""
        ...

    def responses_received(self, connection: "SmppConnection", answers: list[Answer]) -> None:
        """Answers to what ``connection.request`` sent; None = timed out, or the connection was
        lost.
        """
        ...

    def closed(self, connection: "SmppConnection", reason: str) -> None:
        """The connection is gone; told once, last."""
        ...


def tell(owner: Owner, connection: "SmppConnection", event: Event) -> None:
    """Hands an event of the session to the owner of its connection."""
    if isinstance(event, Requests):
        owner.requests_received(connection, event.pdus)
    elif isinstance(event, Responses):
        owner.responses_received(connection, event.answers)
    elif isinstance(event, BindRequested):
        owner.bind_requested(connection, event.pdu)
    elif isinstance(event, Called):
        owner.called(connection, event.pdu)
    elif isinstance(event, Bound):
        owner.bound(connection)
    elif isinstance(event, BindRefused):
        owner.bind_refused(connection, event.status)
