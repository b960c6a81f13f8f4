"""What the SMPP server asks of the journey: the interface between its sessions and their owner."""

from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import Deferred

from smsgw.login import Login
from smsgw.refusals import Refusal
from smsgw.smpp.pdu import (
    CancelSm,
    DataSm,
    ParamRetrieve,
    QueryLastMsgs,
    QueryMsgDetails,
    QuerySm,
    ReplaceSm,
    SubmitMulti,
    SubmitSm,
)

if TYPE_CHECKING:
    from smsgw.smpp.esme import EsmeSession


# What a client asks of messages it has submitted, and in 3.3 of the gateway.
Asked = QuerySm | CancelSm | ReplaceSm | ParamRetrieve | QueryLastMsgs | QueryMsgDetails


class Gate(Protocol):
    """What the journey decides for the listeners: who may come in, and where messages go."""

    def allowed(self, peer: str) -> bool:
        """True if ``peer`` (an address as text) is in some allow-list; else it is closed without an
        octet.
        """
        ...

    def login(self, system_id: str, password: str, peer: str) -> "Deferred[Login | Refusal]":
        """Check a bind's credential."""
        ...

    def login_called(self, system_id: str, password: str, peer: str) -> "Deferred[Login | Refusal]":
        """The same of a client that we have called: wherever it is, it may bind from there."""
        ...

    def admit(
        self, session: "EsmeSession", login: Login, bind_type: str
    ) -> "Deferred[Refusal | None]":
        """Why the login may not have one more session of this type, None: it may.

        Sessions count from ``bound`` to ``unbound``. What is in the way may be asked first whether
        it is still there, so the answer may take seconds.
        """
        ...

    def bound(self, session: "EsmeSession") -> None:
        """The bind was answered with ESME_ROK; from now on ``session.deliver`` may be used."""
        ...

    def unbound(self, session: "EsmeSession") -> None:
        """A session of which ``bound`` was told has ended; all its deliveries have been answered
        for.
        """
        ...

    def submit(self, session: "EsmeSession", pdus: list[SubmitSm]) -> None:
        """Messages of one read; ``session.answer`` takes the responses later, in any order, in
        batches.
        """
        ...

    def send(self, session: "EsmeSession", pdus: list[SubmitMulti | DataSm]) -> None:
        """Messages that come by other operations; ``session.answer`` as for ``submit``."""
        ...

    def ask(self, session: "EsmeSession", pdus: list[Asked]) -> None:
        """What the client asks of messages it has submitted; ``session.answer`` as for
        ``submit``.
        """
        ...

    def delivered(self, session: "EsmeSession", answers: list[tuple[object, int | None]]) -> None:
        """The command_status of each delivery; None = no answer (timed out, or the session
        ended).
        """
        ...
