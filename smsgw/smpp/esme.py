"""One connected ESME, from its bind on: requests go to the Gate, deliveries and answers come from
it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.certificates import names_of
from smsgw.login import Login
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.constants import VERSION_33, VERSION_34, Status, Tag
from smsgw.smpp.data_sm import delivery_of
from smsgw.smpp.events import Answer, MisuseError, Timers
from smsgw.smpp.gate import Asked
from smsgw.smpp.pdu import (
    AlertNotification,
    Bind,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DeliverSm,
    GenericNack,
    Outbind,
    Pdu,
    SubmitMulti,
    SubmitSm,
)
from smsgw.smpp.segments import Segments, Told
from smsgw.smpp.states import Role, State
from smsgw.smpp.versions import answer_with

if TYPE_CHECKING:
    from smsgw.smpp.server import SmppServerFactory

# After these the connection is closed at once; after others the client may try again (L-D7, ruling
# 7).
_CLOSING = frozenset({Reason.TOO_MANY_BINDS, Reason.ADDRESS_NOT_ALLOWED, Reason.TOO_MANY_LOGINS})
# Requests besides submit_sm that the Gate answers.
_SERVED = SubmitMulti | DataSm | Asked
_BIND_TYPES: dict[type[Pdu], str] = {
    BindTransmitter: "transmitter",
    BindReceiver: "receiver",
    BindTransceiver: "transceiver",
}


class EsmeSession:
    """One connected ESME; the Gate sees it once it is bound."""

    log = Logger()

    def __init__(self, factory: "SmppServerFactory") -> None:
        self._factory = factory
        self._gate = factory.gate
        self.profile = factory.profile
        self.login = Login(account="", credential="")
        self.called_as = factory.called  # the login that was called by outbind, "": none was
        self.system_id = ""  # as the client gave it
        self.interface_version = 0  # as the client gave it
        self.version = VERSION_34  # 0x33 or 0x34: the one in use
        self.bind_type = ""  # "transmitter", "receiver", "transceiver"
        self.transmits = False
        self.receives = False
        self.bound_at = 0.0  # reactor seconds
        self.close_reason = ""  # "" while connected
        self._is_bound = False
        self._failed = 0  # binds refused so far
        self._segments: Segments | None = None  # if the session has no TLVs
        self._by_data_sm = False
        self._impossible: list[object] = []  # contexts of deliveries that cannot be sent
        profile = factory.profile
        self.connection = SmppConnection(
            Role.SMSC,
            self,
            factory.clock,
            Timers(
                session_init_s=profile.session_init_s,
                enquire_after_s=profile.enquire_after_s,
                enquire_misses=profile.enquire_misses,
                response_s=profile.response_s,
                idle_s=profile.idle_s,
                idle_unbind=profile.idle_unbind,
                unbind_grace_s=profile.unbind_grace_s,
            ),
            stall_s=profile.stall_s,
        )

    def __repr__(self) -> str:
        return f"<EsmeSession {self.system_id!r} {self.bind_type or 'not bound'} {self.peer}>"

    @property
    def peer(self) -> str:
        """The client's address as text."""
        return self.connection.peer

    @property
    def orderly(self) -> bool:
        """True if the session ended by unbind, whoever began."""
        return self.connection.session.orderly

    @property
    def room(self) -> int:
        """How many more deliveries the window takes now; 0 once the session is ending."""
        if self._segments is None:
            return self.connection.room
        return max(self.connection.room - len(self._segments), 0)

    def deliver(self, items: Sequence[tuple[DeliverSm, object]]) -> None:
        """Send deliver_sm, not more than ``room``, or data_sm if the login wants that;
        ``Gate.delivered`` gives each context back exactly once.

        What is too long for a session without TLVs goes out as segments, and is answered for when
        all of them are. Raises ``MisuseError`` beyond ``room``, ``ValueError`` for a PDU that
        cannot be encoded.
        """
        if self._segments is None:
            if self._by_data_sm:
                self.connection.request([(delivery_of(pdu), context) for pdu, context in items])
            else:
                self.connection.request(items)
            return
        if len(items) > self.room:
            raise MisuseError(f"{len(items)} deliveries, room for {self.room}")
        impossible = self._segments.add(items)
        if impossible:
            self._impossible += impossible
            # Not now: who delivers does not expect its answers meanwhile.
            self._factory.clock.callLater(0, self._tell_impossible)
        self._send_segments()

    @property
    def hears_alerts(self) -> bool:
        """True if it may be told of subscribers that can be reached: 3.4, and no ``link``
        (L-R17)."""
        return self.receives and self._segments is None and not self.profile.nack_unserved

    def alert(self, pdu: AlertNotification) -> None:
        """Tell the client that a subscriber can be reached. Nobody learns whether it was heard: one
        that does not read is not told (SMPP 3.4 §4.12).
        """
        self.connection.notify(pdu)

    def answer(self, pdus: Sequence[Pdu]) -> None:
        """Send responses (their ``sequence`` is the request's); dropped silently if the session has
        ended.

        Raises ``MisuseError`` for a request already answered, ``ValueError`` for a PDU that
        cannot be encoded.
        """
        self.connection.respond(pdus)

    def unbind(self) -> None:
        """End the session in order: outstanding answers, unbind, close; all within bounded time."""
        self.connection.unbind()

    def abort(self, reason: str) -> None:
        """Cut the session off."""
        self.connection.abort(reason)

    def probe(self, within_s: float) -> "Deferred[None]":
        """Ask whether the client is there; see ``SmppConnection.probe``."""
        return self.connection.probe(within_s)

    # What the connection tells

    def bind_requested(self, connection: SmppConnection, pdu: Bind) -> None:
        """Ask the Gate, and answer when it has."""
        if not self._waits():
            return  # its unbind came in the same read
        self.system_id = _text(pdu.system_id)
        self.interface_version = pdu.interface_version
        old = pdu.interface_version < VERSION_34
        self.version = VERSION_33 if old and self.profile.strict_33 else VERSION_34
        if self._factory.draining:
            self._refuse(pdu, Status.ESME_RSYSERR, "shutting down")
        elif self.version < VERSION_34 and isinstance(pdu, BindTransceiver):
            self._refuse(pdu, Status.ESME_RINVCMDID, nack=True)  # 3.3 has none (E-D23)
        elif old and not self.profile.accept_v33:
            self._refuse(pdu, Status.ESME_RBINDFAIL, why="its version is below 3.4")  # L-D13
        elif pdu.system_type and self.profile.strict_system_type:
            self._refuse(pdu, Status.ESME_RINVSYSTYP, why="system_type is not empty")  # W-D3
        elif self.called_as and self.called_as != self.system_id:
            self._refuse(pdu, Status.ESME_RBINDFAIL, why=f"{self.called_as} was called")
        elif self.called_as and isinstance(pdu, BindTransmitter):
            self._refuse(pdu, Status.ESME_RINVBNDSTS, why="it was called to receive")
        else:
            check = self._gate.login_called if self.called_as else self._gate.login
            answer = check(self.system_id, _text(pdu.password), self.peer)
            answer.addCallback(self._logged_in, pdu)
            answer.addErrback(self._login_failed, pdu)

    def called(self, connection: SmppConnection, pdu: Outbind) -> None:
        """An SMSC is not called by outbind."""

    def bound(self, connection: SmppConnection) -> None:
        """An SMSC does not bind."""

    def bind_refused(self, connection: SmppConnection, status: int) -> None:
        """An SMSC does not bind."""

    def requests_received(self, connection: SmppConnection, pdus: list[Pdu]) -> None:
        """Hot path: submits go to the Gate as one batch."""
        submits = [pdu for pdu in pdus if isinstance(pdu, SubmitSm)]
        if len(submits) < len(pdus):
            self._others([pdu for pdu in pdus if not isinstance(pdu, SubmitSm)])
        if self._factory.draining:
            self.answer([pdu.response(Status.ESME_RSYSERR) for pdu in submits])
        elif submits:
            self._gate.submit(self, submits)

    def responses_received(self, connection: SmppConnection, answers: list[Answer]) -> None:
        """Hot path: tell the Gate what became of deliveries."""
        # Those of a lost session come before ``closed``, and the Gate is to know why.
        self.close_reason = connection.session.ended
        told: list[Told] = [
            (context, None if pdu is None else pdu.status) for context, pdu in answers
        ]
        if self._segments is not None:
            told = self._segments.settle(told)
            self._send_segments()
        if told:
            self._gate.delivered(self, told)

    def closed(self, connection: SmppConnection, reason: str) -> None:
        """The connection is gone."""
        self.close_reason = reason
        self.log.debug("{session} closed: {reason}", session=self, reason=reason)
        self._factory.left(self)
        if self._is_bound:
            unsent = self._segments.give_up() if self._segments is not None else []
            if unsent:
                self._gate.delivered(self, unsent)
            self._tell_impossible()
            self._gate.unbound(self)

    # The rest is the session's own

    def _send_segments(self) -> None:
        assert self._segments is not None
        batch = self._segments.take(self.connection.room)
        if batch:
            self.connection.request(batch)

    def _tell_impossible(self) -> None:
        """Refuse for the client what cannot be said to it."""
        contexts, self._impossible = self._impossible, []
        if contexts:
            self.log.warn("{count} MO too long for {session}", count=len(contexts), session=self)
            self._gate.delivered(self, [(each, Status.ESME_RINVMSGLEN) for each in contexts])

    def _others(self, pdus: list[Pdu]) -> None:
        """Requests other than submit_sm."""
        sent: list[SubmitMulti | DataSm] = []
        asked = []
        answers = []
        for pdu in pdus:
            if not isinstance(pdu, _SERVED) or self.profile.nack_unserved:
                answers.append(self._unserved(pdu))
            elif self._factory.draining:
                answers.append(pdu.response(Status.ESME_RSYSERR))
            elif isinstance(pdu, SubmitMulti | DataSm):
                sent.append(pdu)
            else:
                asked.append(pdu)
        if answers:
            self.answer(answers)
        if sent:
            self._gate.send(self, sent)
        if asked:
            self._gate.ask(self, asked)

    def _unserved(self, pdu: Pdu) -> Pdu:
        """The answer to an operation that is legal, but not served in this release."""
        if self.profile.nack_unserved:
            return GenericNack(sequence=pdu.sequence, status=Status.ESME_RINVCMDID)
        return answer_with(pdu, Status.ESME_RINVCMDID)

    def _waits(self) -> bool:
        """True if the bind can still be answered: the client may have gone, or unbound."""
        return self.connection.session.state is State.BINDING

    def _login_failed(self, failure: Failure, pdu: Bind) -> None:
        self.log.failure("login of {session} failed", failure=failure, session=self)
        if self._waits():
            self._refuse(pdu, Status.ESME_RSYSERR, "internal error")

    def _logged_in(self, result: Login | Refusal, pdu: Bind) -> "Deferred[None] | None":
        if not self._waits():
            return None
        if isinstance(result, Login):
            bind_type = _BIND_TYPES[type(pdu)]
            needed = result.certificate
            if needed and needed not in names_of(self.connection.transport):
                result = Refusal(Reason.PERMISSION_DENIED, "it has not shown its certificate")
            elif result.may_bind(bind_type):
                admitted = self._gate.admit(self, result, bind_type)
                return admitted.addCallback(self._looked_at, result, pdu)
            else:
                result = Refusal(Reason.PERMISSION_DENIED)
        self._looked_at(result, None, pdu)
        return None

    def _looked_at(self, refusal: Refusal | None, login: Login | None, pdu: Bind) -> None:
        if not self._waits():
            return
        if refusal is not None:
            reason = refusal.reason
            close = reason.name.lower().replace("_", " ") if reason in _CLOSING else ""
            why = refusal.detail or reason.answer.text
            self._refuse(pdu, self.profile.status(reason), close, why=why)
        elif self._factory.draining:
            self._refuse(pdu, Status.ESME_RSYSERR, "shutting down")
        else:
            assert login is not None
            self._accept(login, pdu)

    def _refuse(
        self, pdu: Bind, status: int, close: str = "", nack: bool = False, why: str = ""
    ) -> None:
        self._failed += 1
        self.log.info(
            "esme {name} from {peer}: bind refused: {why} (0x{status:02x})",
            name=self.system_id,
            peer=self.peer,
            why=why or close or "not in this state or version",
            status=status,
        )
        if self._failed >= self.profile.failed_binds:
            close = close or f"{self._failed} binds refused"
        response = GenericNack(status=status) if nack else answer_with(pdu, status)
        self.connection.refuse(response, close)

    def _accept(self, login: Login, pdu: Bind) -> None:
        if not login.profile:
            login = evolve(login, profile=self.profile.name)
        self.login = login
        self.bind_type = _BIND_TYPES[type(pdu)]
        self.transmits = not isinstance(pdu, BindReceiver)
        self.receives = not isinstance(pdu, BindTransmitter)
        self.bound_at = self._factory.clock.seconds()
        window = min(max(login.window, 1), self.profile.max_window)
        tlvs = self.interface_version >= VERSION_34
        response = pdu.response(system_id=self.profile.system_id)
        if tlvs:
            # Ruling 1: a client below 3.4 must not see it, one from 3.4 on needs it to use TLVs.
            response = pdu.response(
                system_id=self.profile.system_id,
                tlvs=[(Tag.SC_INTERFACE_VERSION, bytes([VERSION_34]))],
            )
        self.connection.accept(
            response, version=self.version, tlvs=tlvs, window_out=window, window_in=window
        )
        self._segments = None if tlvs else Segments()
        self._by_data_sm = login.deliver == "data_sm" and not self.profile.nack_unserved
        self._is_bound = True
        self._factory.joined(self)
        self.log.debug("{session} bound", session=self)
        self._gate.bound(self)


def _text(octets: bytes) -> str:
    """Octets of a bind as text; what is not UTF-8 is read as Latin-1, so that every octet has a
    meaning.
    """
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
