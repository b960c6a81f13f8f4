"""The gateway as an ESME: one link to a carrier's SMSC that keeps itself bound."""

from collections.abc import Callable, Sequence
from random import random as unseeded
from typing import Any, Protocol, cast

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS

from smsgw.smpp import data_sm
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.constants import MAX_SEQUENCE, VERSION_33, VERSION_34, Status
from smsgw.smpp.events import Answer, MisuseError
from smsgw.smpp.line import AWAITED, Line, LinkSettings
from smsgw.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DataSmResp,
    DeliverSm,
    GenericNack,
    Pdu,
    SubmitSm,
    SubmitSmResp,
)
from smsgw.smpp.trace import Traces
from smsgw.smpp.versions import RESPONSES, answer_with

__all__ = ["CarrierLink", "LinkSettings", "Upstream"]

# What may answer a submit.
Submitted = SubmitSmResp | DataSmResp | GenericNack
_EPOCH_BITS = MAX_SEQUENCE.bit_length() + 1  # of a sequence number; above them: which connection


class Upstream(Protocol):
    """Who uses a link: the carrier's side of the journey."""

    def link_up(self, link: "CarrierLink") -> None:
        """All binds of the link are bound: ``submit`` may be used."""
        ...

    def link_down(self, link: "CarrierLink", reason: str) -> None:
        """The link is no longer up; told after the last of its ``answered``.

        Of a pair, the bind that is left may still bring answers later.
        """
        ...

    def link_waits(self, link: "CarrierLink", reason: str) -> None:
        """The link could not be brought up, and is tried again after a while."""
        ...

    def answered(self, link: "CarrierLink", answers: list[tuple[object, Submitted | None]]) -> None:
        """Answers to submits; None = no answer: timed out, or the link was lost."""
        ...

    def alerted(self, link: "CarrierLink", pdu: AlertNotification) -> None:
        """A subscriber can be reached; there is no answer."""
        ...

    def received(self, link: "CarrierLink", pdus: list[DeliverSm]) -> None:
        """MO messages and receipts, by whichever operation they came; answer each later by
        ``link.respond``, with the pdu's ``sequence``.

        The sequence is the link's own (it tells connections apart), so an answer that comes after
        its connection was lost is dropped and never mistaken for another's.
        """
        ...


class CarrierLink:
    """One link to a carrier: a transceiver, or a transmitter and a receiver that are up
    together.
    """

    def __init__(
        self,
        settings: LinkSettings,
        upstream: Upstream,
        reactor: Any,
        random: Callable[[], float] = unseeded,
        name: str = "",
        endpoint: IStreamClientEndpoint | None = None,
    ) -> None:
        """``reactor`` gives time and connections; ``random`` numbers from 0 to 1; ``endpoint`` is
        what to connect to instead of the settings' host and port.
        """
        self.settings = settings
        self.upstream = upstream
        self.name = name
        self.up = False
        self.traces: tuple[Traces, str] | None = None  # and the carrier, for them
        self.since: float = reactor.seconds()  # when ``state`` last changed, reactor seconds
        self._clock = reactor
        self._asked = 0  # questions that wait for an answer
        self._by_data_sm: set[int] = set()  # what came by data_sm, and waits to be answered
        self._state = "stopped"
        where = endpoint or _endpoint(settings, reactor)
        if settings.bind == "transceiver":
            self._lines = [
                Line(self, settings, BindTransceiver, where, reactor, random, settings.outbind)
            ]
        else:
            self._lines = [
                Line(self, settings, BindTransmitter, where, reactor, random),
                Line(self, settings, BindReceiver, where, reactor, random, settings.outbind),
            ]
        self._out, self._in = self._lines[0], self._lines[-1]
        # A carrier that calls does so when it has something: its receiver is not waited for.
        self._needed = self._lines[:1] if settings.outbind else self._lines

    @property
    def state(self) -> str:
        """Where the link stands: "stopped", "connecting", "binding", "up", "waiting", "stopping".

        Of a pair, the line that is further from being up.
        """
        return min((line.state for line in self._needed), key=_ORDER.index)

    @property
    def reason(self) -> str:
        """Why the link is not up, for operators; "" if it is."""
        return next((line.reason for line in self._needed if line.state != "up"), "")

    @property
    def caller(self) -> str:
        """The address that the carrier has called from (outbind), "" while it has not."""
        called = self._in.current if self.settings.outbind else None
        return called.peer if called is not None else ""

    @property
    def peer(self) -> str:
        """The other end, an address or host:port."""
        if self.settings.outbind:
            return self.caller
        return f"{self.settings.host}:{self.settings.port}"

    @property
    def bound_ever(self) -> int:
        """How often it was bound so far."""
        return self._out.bound_ever

    @property
    def room(self) -> int:
        """How many more submits the window takes now; 0 unless up."""
        connection = self._out.connection
        return connection.room if self.up and connection is not None else 0

    @property
    def version(self) -> int:
        """0x33 or 0x34: the version in use (that of the settings while not up); at 0x33 no TLVs are
        sent.
        """
        connection = self._out.connection
        if connection is not None:
            return connection.session.version
        return VERSION_33 if self.settings.version == "3.3" else VERSION_34

    def adopt(self, connection: SmppConnection) -> bool:
        """Bind on a connection that the carrier has made (outbind); False if none is awaited."""
        return self._in.adopt(connection)

    def start(self) -> None:
        """Begin connecting, and keep at it until stop()."""
        for line in self._lines:
            line.start()

    def stop(self) -> "Deferred[None]":
        """Unbind in order and stay down; fires when all is closed (bounded by grace times)."""
        done = DeferredList([line.stop() for line in self._lines])
        return cast("Deferred[None]", done.addCallback(lambda _: None))

    def submit(self, items: Sequence[tuple[SubmitSm | DataSm, object]]) -> None:
        """Send submits, not more than ``room``; each context comes back by ``answered`` exactly
        once.

        Raises ``MisuseError`` beyond ``room``, ``ValueError`` for a PDU that cannot be encoded;
        then nothing is sent.
        """
        connection = self._out.connection
        if connection is None or not self.up:
            raise MisuseError("submit on a link that is not up")
        connection.request(items)

    def ask(self, pdu: Pdu) -> "Deferred[Pdu | None]":
        """Send a request other than a submit; fires with the response, or None: there is none in
        time, the link is lost or not up, or its window is full.

        Raises ``ValueError`` for a PDU that cannot be encoded.
        """
        connection = self._out.connection
        if connection is None or not self.up or connection.room <= 0:
            return succeed(None)
        question = _Question()
        self._asked += 1
        try:
            connection.request([(pdu, question)])
        except ValueError:
            self._asked -= 1
            raise
        return question.answered

    def respond(self, pdus: Sequence[Pdu]) -> None:
        """Answer what was received; an answer whose connection was lost meanwhile is dropped."""
        connection = self._in.connection
        if connection is None:
            self._by_data_sm.clear()
            return
        epoch = self._in.bound_ever
        live: list[Pdu] = []
        for pdu in pdus:
            if self._by_data_sm and pdu.sequence in self._by_data_sm:
                self._by_data_sm.discard(pdu.sequence)
                pdu = DataSmResp(sequence=pdu.sequence, status=pdu.status)
            if pdu.sequence >> _EPOCH_BITS == epoch:
                pdu.sequence &= (1 << _EPOCH_BITS) - 1
                live.append(pdu)
        if live:
            connection.respond(live)

    @property
    def connections(self) -> list[SmppConnection]:
        """Those that are connected, bound or not."""
        return [line.current for line in self._lines if line.current is not None]

    # What the lines tell

    def line_connects(self, connection: SmppConnection) -> None:
        """Somebody may be watching."""
        if self.traces is not None:
            traces, carrier = self.traces
            traces.meet(connection, carrier)

    def line_bound(self, line: Line) -> None:
        """Up, if it was the last that was missing."""
        if not self.up and all(each.connection is not None for each in self._needed):
            self.up = True
            self.upstream.link_up(self)

    def line_changed(self, line: Line) -> None:
        """Note when the link's state began."""
        state = self.state
        if state != self._state:
            self._state = state
            self.since = self._clock.seconds()
        lost = self.up and line in self._needed  # ``line_lost`` is to come, and says it
        if line.state == "waiting" and line.reason != AWAITED and not lost:
            self.upstream.link_waits(self, line.reason)

    def line_lost(self, line: Line) -> None:
        """Down, unless it was so already."""
        if self.up and line in self._needed:
            self.up = False
            self.upstream.link_down(self, line.reason)

    def line_requests(self, line: Line, pdus: list[Pdu]) -> None:
        """Hot path: number the carrier's messages so that an answer finds its connection, and hand
        them on.
        """
        epoch = line.bound_ever << _EPOCH_BITS
        messages = []
        others: list[Pdu] = []
        for pdu in pdus:
            if isinstance(pdu, DeliverSm):
                pdu.sequence |= epoch
                messages.append(pdu)
            elif isinstance(pdu, DataSm):
                wrong = data_sm.fault(pdu)
                if wrong:
                    others.append(pdu.response(wrong))
                    continue
                pdu.sequence |= epoch
                self._by_data_sm.add(pdu.sequence)
                messages.append(data_sm.deliver_of(pdu))
            elif isinstance(pdu, AlertNotification):
                self.upstream.alerted(self, pdu)
            elif type(pdu) in RESPONSES:
                others.append(answer_with(pdu, Status.ESME_RINVCMDID))
        if others and line.connection is not None:
            line.connection.respond(others)
        if messages:
            self.upstream.received(self, messages)

    def line_responses(self, line: Line, answers: list[Answer]) -> None:
        """Hot path."""
        if self._asked:
            told = [one for one in answers if isinstance(one[0], _Question)]
            if told:
                answers = [one for one in answers if not isinstance(one[0], _Question)]
                self._asked -= len(told)
                for question, answer in told:
                    cast(_Question, question).answered.callback(answer)
                if not answers:
                    return
        self.upstream.answered(self, cast("list[tuple[object, Submitted | None]]", answers))


class _Question:
    """What is asked of a carrier, as the context of its answer."""

    def __init__(self) -> None:
        self.answered: Deferred[Pdu | None] = Deferred()


# From the state furthest from up.
_ORDER = ("stopped", "stopping", "waiting", "connecting", "binding", "up")


def _endpoint(settings: LinkSettings, reactor: Any) -> IStreamClientEndpoint:
    plain = HostnameEndpoint(
        reactor, settings.host, settings.port, timeout=settings.connect_timeout_s
    )
    if not settings.tls:
        return plain
    return wrapClientTLS(optionsForClientTLS(settings.host), plain)
