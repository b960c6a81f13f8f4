"""outbind: the session that is called, the listener for carriers, and the link that waits."""

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.smpp.client import CarrierLink
from smsgw.smpp.codec import encode, encode_all
from smsgw.smpp.constants import Status
from smsgw.smpp.events import BindRequested, Called, MisuseError, Timers
from smsgw.smpp.outbind import MOST, OutbindFactory
from smsgw.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DeliverSm,
    EnquireLink,
    GenericNack,
    Outbind,
    Pdu,
    SubmitSm,
)
from smsgw.smpp.session import Session
from smsgw.smpp.states import Role, State
from tests.smpp.test_client import SETTINGS, VERSION, Carrier, Journey
from tests.smpp.wires import TcpTransport

THEIRS = Outbind(sequence=1, system_id=b"theirs", password=b"calling")
ALLOWED = "192.0.2.1"


# The session


def an_smsc() -> Session:
    session = Session(Role.SMSC, Timers(session_init_s=10.0), 0.0)
    session.outbind(Outbind(system_id=b"smsgw", password=b"ours"), 0.0)
    return session


def test_after_outbind_the_smsc_waits_for_a_bind() -> None:
    """State OUTBOUND; a bind leads on as in OPEN (spec/smpp.md §6)."""
    server = an_smsc()
    assert server.state is State.OUTBOUND
    assert server.take() == encode(Outbind(sequence=1, system_id=b"smsgw", password=b"ours"))
    (event,) = server.receive(encode(BindReceiver(sequence=1)), 1.0)
    assert isinstance(event, BindRequested)
    server.accept(event.pdu.response(), 1.0)
    assert server.state is State.BOUND_RX


def test_without_a_bind_it_ends_at_the_session_init_time() -> None:
    """Ten seconds from the connection on."""
    server = an_smsc()
    assert server.deadline() == 10.0
    server.tick(10.0)
    assert server.ended == "no bind within 10 s"


def test_in_outbound_other_requests_are_refused() -> None:
    """ESME_RINVBNDSTS; enquire_link is answered."""
    server = an_smsc()
    server.take()
    server.receive(encode(SubmitSm(sequence=2)), 1.0)
    assert server.take() == encode(SubmitSm(sequence=2).response(Status.ESME_RINVBNDSTS))
    server.receive(encode(EnquireLink(sequence=3)), 1.0)
    assert server.take() == encode(EnquireLink(sequence=3).response())


def test_only_an_unbound_smsc_says_outbind() -> None:
    """Anything else is our own mistake."""
    for session in (an_smsc(), Session(Role.ESME, Timers(), 0.0)):
        with pytest.raises(MisuseError):
            session.outbind(Outbind(), 0.0)


def test_an_esme_that_is_called_binds() -> None:
    """Or it is ended, if outbind does not come in time."""
    client = Session(Role.ESME, Timers(session_init_s=10.0), 0.0)
    client.await_outbind(0.0)
    (event,) = client.receive(encode(THEIRS), 1.0)
    assert event == Called(THEIRS)
    client.adopt(Timers(response_s=3.0), 5, 1.0)
    client.bind(BindReceiver(), 2.0)
    assert (client.state, client.deadline()) == (State.BINDING, 5.0)
    silent = Session(Role.ESME, Timers(session_init_s=10.0), 0.0)
    silent.await_outbind(0.0)
    silent.tick(10.0)
    assert silent.ended == "no outbind within 10 s"


# The listener and the link


class CarrierCallsTests(TestCase):
    """A link that waits, and the listener on which its carrier calls."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.carrier = Carrier()
        self.journey = Journey()
        self.factory = OutbindFactory(self, self.clock)
        self.asked: list[tuple[str, str, str]] = []
        self.make()

    def make(self, **settings: Any) -> CarrierLink:
        self.link = CarrierLink(
            evolve(SETTINGS, outbind=True, **settings),
            self.journey,
            self.clock,
            name="1",
            endpoint=self.carrier,  # type: ignore[arg-type]
        )
        self.link.start()
        return self.link

    def may_call(self, peer: str) -> bool:
        return peer == ALLOWED

    def called(self, system_id: str, password: str, peer: str) -> Any:
        self.asked.append((system_id, password, peer))
        return self.link.adopt if (system_id, password) == ("theirs", "calling") else None

    def connect(self, peer: str = ALLOWED) -> tuple[Any, TcpTransport]:
        protocol: Any = self.factory.buildProtocol(IPv4Address("TCP", peer, 4000))
        transport = TcpTransport(peer)
        protocol.makeConnection(transport)
        return protocol, transport

    def call(self, *pdus: Pdu) -> tuple[Any, TcpTransport]:
        protocol, transport = self.connect()
        protocol.dataReceived(encode_all(pdus or (THEIRS,)))
        return protocol, transport

    def up(self) -> tuple[Any, TcpTransport]:
        protocol, transport = self.call()
        (bind,) = transport.said()
        protocol.dataReceived(encode(bind.response(tlvs=VERSION)))
        return protocol, transport

    def test_the_link_binds_on_the_carriers_connection(self) -> None:
        """With its own credentials; it has not connected itself."""
        assert (self.link.state, self.link.up) == ("waiting", False)
        assert self.link.reason == "waits for the carrier's outbind"
        _, transport = self.up()
        assert self.asked == [("theirs", "calling", ALLOWED)]
        assert (self.link.state, self.link.up, self.link.room) == ("up", True, 5)
        assert self.carrier.attempts == []
        assert self.journey.events == ["up"]
        self.link.submit([(SubmitSm(), "context")])
        assert [type(pdu) for pdu in transport.said()] == [SubmitSm]

    def test_what_is_lost_waits_again_and_tells_nobody_that_it_is_tried(self) -> None:
        """The next call is the next link; no timer runs."""
        protocol, _ = self.up()
        protocol.connectionLost(Failure(ConnectionDone()))
        assert self.link.state == "waiting"
        assert self.journey.events == ["up", "down: closed by the peer"]
        assert self.carrier.attempts == []
        assert self.clock.getDelayedCalls() == []
        self.up()
        assert self.link.up

    def test_a_bind_that_is_refused_is_told(self) -> None:
        """By its status, as with other links."""
        protocol, transport = self.call()
        (bind,) = transport.said()
        protocol.dataReceived(encode(bind.response(Status.ESME_RINVPASWD)))
        protocol.connectionLost(Failure(ConnectionDone()))
        assert self.journey.waits == ["bind refused: ESME_RINVPASWD"]
        assert self.link.state == "waiting"

    def test_beside_a_transmitter_the_receiver_is_not_waited_for(self) -> None:
        """Up with the transmitter; the call adds bind_receiver, its loss takes nothing away."""
        link = self.make(bind="transmitter+receiver")
        peer = self.carrier.accept()
        assert isinstance(peer.bind(), BindTransmitter)
        assert link.up
        protocol, transport = self.call()
        (bind,) = transport.said()
        assert isinstance(bind, BindReceiver)
        protocol.dataReceived(encode(bind.response(tlvs=VERSION)))
        protocol.dataReceived(encode(DeliverSm(sequence=7)))
        ((delivery,),) = self.journey.batches
        link.respond([delivery.response()])
        assert transport.said() == [DeliverSm(sequence=7).response()]
        protocol.connectionLost(Failure(ConnectionDone()))
        assert link.up
        assert self.journey.events == ["up"]

    def test_wrong_credentials_are_cut_off_and_counted(self) -> None:
        """Without a bind, so the caller learns nothing."""
        _, transport = self.call(evolve(THEIRS, password=b"guess"))
        assert transport.aborted
        assert transport.said() == []
        assert self.factory.refused == 1

    def test_a_call_too_many_is_cut_off_and_counted(self) -> None:
        """The link that is there is not disturbed."""
        self.up()
        _, second = self.call()
        assert second.aborted
        assert second.said() == []
        assert (self.factory.refused, self.link.up) == (1, True)

    def test_what_is_said_before_outbind_is_refused(self) -> None:
        """A carrier does not bind to us here, nor deliver (0x04); then it may still say outbind."""
        protocol, transport = self.call(BindTransceiver(sequence=9), DeliverSm(sequence=10))
        assert [pdu.status for pdu in transport.said()] == [Status.ESME_RINVBNDSTS] * 2
        protocol.dataReceived(encode(THEIRS))
        assert isinstance(transport.said()[0], BindTransceiver)

    def test_a_second_outbind_is_nacked(self) -> None:
        """The connection is a link's already."""
        protocol, transport = self.call()
        protocol.dataReceived(encode(evolve(THEIRS, sequence=2)))
        bind, nack = transport.said()
        assert isinstance(bind, BindTransceiver)
        assert nack == GenericNack(sequence=2, status=Status.ESME_RINVBNDSTS)

    def test_silence_is_cut_off(self) -> None:
        """Ten seconds after the connection."""
        _, transport = self.connect()
        self.clock.advance(10.01)
        assert transport.closed

    def test_strangers_and_too_many_are_closed_without_an_octet(self) -> None:
        """From no carrier's address, or beyond so many that have not said who they are."""
        _, stranger = self.connect("192.0.2.9")
        assert stranger.disconnecting
        assert stranger.value() == b""
        waiting = [self.connect() for _ in range(MOST)]
        _, one_more = self.connect()
        assert one_more.disconnecting
        waiting[0][0].connectionLost(Failure(ConnectionDone()))
        _, next_one = self.connect()
        assert not next_one.disconnecting

    def test_at_a_stop_those_that_wait_are_cut_off(self) -> None:
        """The links are not the listener's any more."""
        _, mine = self.up()
        _, waiting = self.connect()
        self.factory.stop()
        assert waiting.aborted
        assert not mine.aborted

    def test_any_octets_end_or_wait_but_never_break(self) -> None:
        """A caller may send anything (I7)."""
        for octets in (b"\0" * 16, b"\xff" * 16, b"GET / HTTP/1.0\r\n\r\n", encode(THEIRS)[:-1]):
            protocol, _ = self.connect()
            protocol.dataReceived(octets)
        assert self.asked == []
        assert self.flushLoggedErrors() == []
