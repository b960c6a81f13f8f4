"""A session on a Twisted transport: timers, one write for each batch, and bounds on what a slow end
can cost.

Theory of operation. Whatever the session has to say is collected while its owner is being told of
what arrived, and is written once at the end. One delayed call stands at the session's next
deadline (``timer.py``).

Two things stop the reading. The owner's backlog: requests of the peer without an answer, above
``intake_mark``. And the transport's: if the peer does not read what we write, it is not read
either, so that it cannot make us write more; after ``stall_s`` it is cut off. While reading stands
still the session's clock does too.
"""

from collections.abc import Sequence
from typing import Any

from twisted.internet import protocol
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IDelayedCall,
    IHandshakeListener,
    INegotiated,
    IPushProducer,
    IReactorTime,
    ITCPTransport,
)
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from smsgw.smpp.constants import VERSION_34
from smsgw.smpp.events import Event, Responses, Timers
from smsgw.smpp.owner import Owner, tell
from smsgw.smpp.pdu import Bind, Outbind, Pdu
from smsgw.smpp.probe import Probe
from smsgw.smpp.session import Session
from smsgw.smpp.states import BOUND, Role
from smsgw.smpp.timer import SessionTimer
from smsgw.smpp.trace import Tap
from smsgw.transport import write

INTAKE_MARK = 1000  # unanswered requests of the peer above which it is not read


@implementer(IPushProducer, IHandshakeListener)
class SmppConnection(protocol.Protocol):
    """One SMPP session on one connection."""

    log = Logger()

    def __init__(
        self,
        role: Role,
        owner: Owner,
        clock: IReactorTime,
        timers: Timers,
        *,
        window_out: int = 1,
        window_in: int = 0,
        intake_mark: int = INTAKE_MARK,
        stall_s: float = 30.0,
    ) -> None:
        self.owner = owner
        self.peer = ""  # address text
        self.intake_mark = intake_mark
        self.stall_s = stall_s
        self._clock = clock
        self.session = Session(role, timers, clock.seconds(), window_out, window_in)
        self._timer = SessionTimer(clock, self._tick)
        self._now = self._timer.now
        self._stall: IDelayedCall | None = None
        self._corked = False
        self._finishing = False
        self._watching = False  # registered as the producer of the transport's output
        self._intake_full = False
        self._output_full = False
        self.tap: Tap | None = None  # while somebody watches (``trace.py``)
        self._probe: Probe | None = None  # while a sign of life is waited for

    # What the owner may do

    @property
    def room(self) -> int:
        """Free places of the outgoing window; 0 when not bound or ending."""
        return self.session.room

    @property
    def serving(self) -> bool:
        """True if we are the SMSC."""
        return self.session.role is Role.SMSC

    @property
    def unread(self) -> bytes:
        """See ``trace.Tapped``."""
        return self.session.unread

    @property
    def has_tlvs(self) -> bool:
        """See ``trace.Tapped``."""
        return self.session.tlvs

    def bind(self, pdu: Bind) -> None:
        """Ask to be bound (ESME)."""
        self.session.bind(pdu, self._now())
        self._flush()

    def outbind(self, pdu: Outbind) -> None:
        """Ask the peer, which we have called, to bind (SMSC)."""
        self.session.outbind(pdu, self._now())
        self._flush()

    def await_outbind(self) -> None:
        """The peer has called (ESME); ``Owner.called`` tells when it has said who it is."""
        self.session.await_outbind(self._now())

    def adopt(self, owner: Owner, timers: Timers, window_out: int, stall_s: float) -> None:
        """It is ``owner``'s from now on (ESME), with its times and its window; not bound yet."""
        self.owner = owner
        self.stall_s = stall_s
        self.session.adopt(timers, window_out, self._now())

    def accept(
        self,
        response: Pdu,
        *,
        version: int = VERSION_34,
        tlvs: bool = True,
        window_out: int = 1,
        window_in: int = 1,
    ) -> None:
        """Answer the peer's bind with ESME_ROK (SMSC)."""
        self.session.accept(
            response,
            self._now(),
            version=version,
            tlvs=tlvs,
            window_out=window_out,
            window_in=window_in,
        )
        self._flush()

    def refuse(self, response: Pdu, close: str = "") -> None:
        """Answer the peer's bind with an error (SMSC), and close the connection if ``close`` gives
        a reason.
        """
        self.session.refuse(response)
        if close:
            self.session.end(close)
        self._flush()

    def request(self, items: Sequence[tuple[Pdu, object]]) -> None:
        """Send requests, not more than ``room``, with one write; each context comes back exactly
        once.

        Gives the PDUs their sequence numbers. Raises ``MisuseError`` or ``ValueError`` (a PDU
        that cannot be encoded); then nothing is sent.
        """
        self.session.request(items, self._now())
        self._flush()

    def notify(self, pdu: Pdu) -> None:
        """Send a PDU that has no response, unless the peer does not read what was sent before."""
        if not self._output_full:
            self.session.notify(pdu, self._now())
            self._flush()

    def respond(self, pdus: Sequence[Pdu]) -> None:
        """Send responses with one write; nothing happens after the end of the session.

        Raises ``MisuseError`` or ``ValueError`` (a PDU that cannot be encoded); then nothing is
        sent.
        """
        self.session.respond(pdus, self._now())
        self._flush()

    def unbind(self) -> None:
        """End the session in order, within bounded time; ``Owner.closed`` tells when."""
        self.session.unbind(self._now())
        self._flush()

    def probe(self, within_s: float) -> "Deferred[None]":
        """Ask the peer for a sign of life, and cut it off if none comes within these seconds.

        Fires when one has come, or when the connection is gone and ``Owner.closed`` was told.
        """
        # Where we do not read it is not to blame. One that does not read us has no such excuse.
        if self._intake_full:
            return succeed(None)
        if self._probe is not None:
            return self._probe.wait()
        why = f"no answer to enquire_link within {within_s:g} s"
        self._probe = Probe(self._clock, within_s, lambda: self.abort(why))
        done = self._probe.wait()
        self.session.enquire(self._now())
        self._flush()
        return done

    def abort(self, reason: str) -> None:
        """Cut the connection off."""
        self.session.end(reason)
        self._finishing = True
        self._timer.clear()
        self._transport.abortConnection()

    # What Twisted tells

    def connectionMade(self) -> None:
        """Begin."""
        transport = self._transport
        if not self.peer:
            address = transport.getPeer()
            self.peer = str(getattr(address, "host", None) or "unix")
        if ITCPTransport.providedBy(transport):
            # Nagle with the peer's delayed acknowledgement would cost 40 ms a batch (design §6).
            transport.setTcpNoDelay(True)
        if not INegotiated.providedBy(transport):
            self._watch_output()
        self._timer.set(self.session.deadline())

    def handshakeCompleted(self) -> None:
        """TLS is ready. Before, its output waits for its input, which must then not be stopped."""
        if not self._finishing:
            self._watch_output()

    def dataReceived(self, data: bytes) -> None:
        """Hot path: one read in, at most one write out."""
        if self._probe is not None:
            self._present()
        if self.tap is not None:
            self.tap.received(data)
        self._corked = True
        try:
            self._tell(self.session.receive(data, self._now()))
        finally:
            self._corked = False
        self._flush()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        """The end, whoever brought it about."""
        self._timer.clear()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None
        self._finishing = True
        if not self.session.ended:
            self.session.end(_words(reason))
        lost = self.session.close()
        if self.tap is not None:
            self.tap.closed(self.session.ended)
        self._sum_up()
        try:
            if lost:
                self.owner.responses_received(self, lost)
        finally:
            self.owner.closed(self, self.session.ended)
            self._present()

    # What the transport asks of us as the producer of its output

    def pauseProducing(self) -> None:
        """The peer does not read fast enough."""
        self._output_full = True
        if self._stall is None:
            self._stall = self._clock.callLater(self.stall_s, self._stalled)
        self._regulate()

    def resumeProducing(self) -> None:
        """What was written has gone out."""
        self._output_full = False
        if self._stall is not None and not self._finishing:
            self._stall.cancel()
            self._stall = None
        self._regulate()

    def stopProducing(self) -> None:
        """The transport is done; ``connectionLost`` says the rest."""

    # The rest is the connection's own

    def _sum_up(self) -> None:
        """One line on what the peer did wrong, however often it did."""
        session = self.session
        if session.faults or session.strays or session.throttled:
            self.log.info(
                "{peer}: {faults} faulty PDUs, {strays} stray responses, {throttled} throttled",
                peer=self.peer,
                faults=session.faults,
                strays=session.strays,
                throttled=session.throttled,
            )

    def _present(self) -> None:
        """The peer is there, or known to be gone."""
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.answered()

    def _watch_output(self) -> None:
        self._transport.registerProducer(self, True)
        self._watching = True

    @property
    def _transport(self) -> Any:  # ITransport and what the kinds of it add
        return self.transport

    def _tell(self, events: list[Event]) -> None:
        """Hand events to the owner. What goes wrong there is a bug, and costs this connection
        only.
        """
        failed = False
        for event in events:
            # Once it has failed, it is still given the contexts of its requests.
            if failed and not isinstance(event, Responses):
                continue
            try:
                tell(self.owner, self, event)
            except Exception:
                self.log.failure("the owner of the session with {peer} failed", peer=self.peer)
                failed = True
                self.session.end("internal error")

    def _flush(self) -> None:
        if self._corked or self._finishing:
            return
        session = self.session
        octets = session.take()
        if octets:
            if self.tap is not None:
                self.tap.sent(octets)
            write(self._transport, octets)
        if session.ended:
            self._finish()
            return
        if self._intake_full or session.unanswered > self.intake_mark:
            self._regulate()
        due = session.deadline()
        if due < self._timer.due:
            self._timer.set(due)

    def _tick(self) -> None:
        self._corked = True
        try:
            self._tell(self.session.tick(self._now()))
        finally:
            self._corked = False
        self._flush()

    def _regulate(self) -> None:
        """Read, or do not."""
        if self._finishing:
            return
        session = self.session
        mark = self.intake_mark // 2 if self._intake_full else self.intake_mark
        # A session that is ending is read to its end: the peer's last answers are what it waits
        # for.
        self._intake_full = session.unanswered > mark and session.state in BOUND
        pause = self._intake_full or self._output_full
        timer = self._timer
        if pause and timer.running:
            timer.stand_still()
            self._transport.pauseProducing()
        elif not pause and not timer.running:
            timer.go_on()
            self._transport.resumeProducing()
            if not self._finishing:  # by what was read at once
                timer.set(session.deadline())

    def _stalled(self) -> None:
        self._stall = None
        if not self._finishing:
            self.session.end(f"the peer has not read for {self.stall_s:g} s")
            self._finishing = True
        self._transport.abortConnection()

    def _finish(self) -> None:
        """Close, once what is written has gone out; what has not within the grace time never
        will.
        """
        self._finishing = True
        self._timer.clear()
        transport = self._transport
        if self._watching:
            transport.unregisterProducer()
        if self._stall is None:
            grace = self.session.timers.unbind_grace_s
            self._stall = self._clock.callLater(grace, self._stalled)
        if self.session.orderly and _half_closes(transport):
            # The peer reads the last answer and closes; closing first could destroy it on the way.
            if not self._timer.running:
                transport.resumeProducing()
            transport.loseWriteConnection()
        else:
            transport.loseConnection()


def _half_closes(transport: object) -> bool:
    return ITCPTransport.providedBy(transport) and not INegotiated.providedBy(transport)


def _words(reason: Failure) -> str:
    """Why a connection was lost, for people."""
    if isinstance(reason.value, ConnectionDone):
        return "closed by the peer"
    return reason.getErrorMessage().rstrip(".") or "connection lost"
