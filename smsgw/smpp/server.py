"""The gateway as an SMSC: accepts ESMEs, binds them through a Gate, and hands their messages on in
batches.
"""

from collections.abc import Sequence
from typing import Protocol

from twisted.internet import protocol
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress, IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.certificates import names_of
from smsgw.login import Login
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.constants import VERSION_33, VERSION_34, Status, Tag
from smsgw.smpp.events import Answer, MisuseError, Timers
from smsgw.smpp.pdu import (
    Bind,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    CancelSm,
    DeliverSm,
    GenericNack,
    Pdu,
    QuerySm,
    ReplaceSm,
    SubmitSm,
)
from smsgw.smpp.profile import Profile
from smsgw.smpp.segments import Segments, Told
from smsgw.smpp.states import Role, State
from smsgw.smpp.trace import Traces
from smsgw.smpp.versions import answer_with


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

    def ask(self, session: "EsmeSession", pdus: list[QuerySm | CancelSm | ReplaceSm]) -> None:
        """What the client asks of messages it has submitted; ``session.answer`` as for
        ``submit``.
        """
        ...

    def delivered(self, session: "EsmeSession", answers: list[tuple[object, int | None]]) -> None:
        """The command_status of each delivery; None = no answer (timed out, or the session
        ended).
        """
        ...


# After these the connection is closed at once; after others the client may try again (L-D7, ruling
# 7).
_CLOSING = frozenset({Reason.TOO_MANY_BINDS, Reason.ADDRESS_NOT_ALLOWED, Reason.TOO_MANY_LOGINS})
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
        """Send deliver_sm, not more than ``room``; ``Gate.delivered`` gives each context back
        exactly once.

        What is too long for a session without TLVs goes out as segments, and is answered for when
        all of them are. Raises ``MisuseError`` beyond ``room``, ``ValueError`` for a PDU that
        cannot be encoded.
        """
        if self._segments is None:
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
        else:
            answer = self._gate.login(self.system_id, _text(pdu.password), self.peer)
            answer.addCallback(self._logged_in, pdu)
            answer.addErrback(self._login_failed, pdu)

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
        asked = []
        answers = []
        for pdu in pdus:
            if not isinstance(pdu, QuerySm | CancelSm | ReplaceSm) or self.profile.nack_unserved:
                answers.append(self._unserved(pdu))
            elif self._factory.draining:
                answers.append(pdu.response(Status.ESME_RSYSERR))
            else:
                asked.append(pdu)
        if answers:
            self.answer(answers)
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
        self._is_bound = True
        self._factory.joined(self)
        self.log.debug("{session} bound", session=self)
        self._gate.bound(self)


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
        self, gate: Gate, profile: Profile, clock: IReactorTime, traces: Traces | None = None
    ) -> None:
        self.gate = gate
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
        if self.draining or not self.gate.allowed(peer):
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


def _text(octets: bytes) -> str:
    """Octets of a bind as text; what is not UTF-8 is read as Latin-1, so that every octet has a
    meaning.
    """
    try:
        return octets.decode()
    except UnicodeDecodeError:
        return octets.decode("latin-1")
