"""Who uses a connection: the interface between ``SmppConnection`` and the two ends built on it."""

from typing import TYPE_CHECKING, Protocol

from smsgw.smpp.events import Answer
from smsgw.smpp.pdu import Bind, Pdu

if TYPE_CHECKING:
    from smsgw.smpp.connection import SmppConnection


class Owner(Protocol):
    """Who uses a connection."""

    def bind_requested(self, connection: "SmppConnection", pdu: Bind) -> None:
        """The peer wants to bind (SMSC): ``connection.accept`` or ``refuse``, now or later."""
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
