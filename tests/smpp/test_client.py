"""A link to a carrier: binding, reconnecting, batches both ways, stopping; over TCP and TLS too."""

import datetime
from typing import Any

import pytest
from attrs import evolve
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as real_reactor
from twisted.internet import ssl
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.error import ConnectionDone, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.login import Login
from smsgw.refusals import Refusal
from smsgw.smpp.client import CarrierLink, LinkSettings
from smsgw.smpp.codec import encode_all
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.events import MisuseError
from smsgw.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    GenericNack,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.profile import STANDARD
from smsgw.smpp.server import EsmeSession, SmppServerFactory
from tests.smpp.wires import TcpTransport

SETTINGS = LinkSettings(
    host="smsc.example.com",
    port=2775,
    system_id="smsgw",
    password="secret",
    window=5,
    enquire_s=0,
)
VERSION = [(Tag.SC_INTERFACE_VERSION, b"\x34")]


class Carrier:
    """What a link connects to, in memory: each attempt is accepted or refused by the test."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Any, Deferred[Any]]] = []
        self.cancelled = 0

    def connect(self, factory: Any) -> "Deferred[Any]":
        attempt: Deferred[Any] = Deferred(self.cancel)
        self.attempts.append((factory, attempt))
        return attempt

    def cancel(self, attempt: "Deferred[Any]") -> None:
        self.cancelled += 1

    def accept(self) -> "Peer":
        factory, attempt = self.attempts.pop(0)
        return Peer(factory, attempt)

    def refuse(self) -> None:
        _, attempt = self.attempts.pop(0)
        attempt.errback(ConnectionRefusedError())


class Peer:
    """The carrier's end of one connection."""

    def __init__(self, factory: Any, attempt: "Deferred[Any]") -> None:
        self.transport = TcpTransport()
        self.protocol = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 2775))
        self.protocol.makeConnection(self.transport)
        attempt.callback(self.protocol)

    def said(self) -> list[Any]:
        return self.transport.said()

    def say(self, *pdus: Pdu) -> None:
        self.protocol.dataReceived(encode_all(pdus))

    def bind(self, status: int = 0, tlvs: list[tuple[int, bytes]] = VERSION) -> Any:
        """Answer the bind; what it was."""
        (request,) = self.said()
        fields = {} if status else {"system_id": b"smsc", "tlvs": tlvs}
        self.say(request.response(status, **fields))
        return request

    def close(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


class Journey:
    """An Upstream that notes everything."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.waits: list[str] = []
        self.answers: list[tuple[object, Any]] = []
        self.batches: list[list[DeliverSm]] = []
        self.alerts: list[AlertNotification] = []
        self.then: Any = None

    def link_up(self, link: CarrierLink) -> None:
        self.events.append("up")

    def link_waits(self, link: CarrierLink, reason: str) -> None:
        self.waits.append(reason)

    def alerted(self, link: CarrierLink, pdu: AlertNotification) -> None:
        self.alerts.append(pdu)

    def link_down(self, link: CarrierLink, reason: str) -> None:
        self.events.append(f"down: {reason}")

    def answered(self, link: CarrierLink, answers: list[tuple[object, Any]]) -> None:
        self.answers += answers
        if self.then:
            self.then(link)

    def received(self, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        self.batches.append(pdus)


class TestCarrierLink(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.carrier = Carrier()
        self.journey = Journey()

    def link(self, settings: LinkSettings = SETTINGS, random: float = 0.0) -> CarrierLink:
        return CarrierLink(
            settings,
            self.journey,
            self.clock,
            random=lambda: random,
            name="north-1",
            endpoint=self.carrier,  # type: ignore[arg-type]
        )

    def up(self, settings: LinkSettings = SETTINGS) -> tuple[CarrierLink, Peer]:
        link = self.link(settings)
        link.start()
        peer = self.carrier.accept()
        peer.bind()
        return link, peer

    def wait_for_attempt(self, least: float, most: float) -> None:
        """The next attempt comes after at least and at most so many seconds."""
        assert self.carrier.attempts == []
        self.clock.advance(least - 0.01)
        assert self.carrier.attempts == []
        self.clock.advance(most - least + 0.02)
        assert len(self.carrier.attempts) == 1

    # Binding

    def test_a_link_connects_binds_and_is_up(self) -> None:
        """With the settings' credentials; its state can be read at each step."""
        link = self.link()
        assert (link.state, link.up, link.room) == ("stopped", False, 0)
        link.start()
        assert link.state == "connecting"
        self.clock.advance(3)
        peer = self.carrier.accept()
        assert (link.state, link.since) == ("binding", 3.0)
        request = peer.bind()
        assert isinstance(request, BindTransceiver)
        assert (request.system_id, request.password) == (b"smsgw", b"secret")
        assert request.interface_version == 0x34
        assert (link.state, link.reason, link.up, link.room) == ("up", "", True, 5)
        assert link.version == 0x34
        assert self.journey.events == ["up"]

    def test_version_33_is_said_in_the_bind(self) -> None:
        """And holds whatever the carrier says."""
        settings = evolve(SETTINGS, version="3.3", bind="transmitter+receiver")
        link = self.link(settings)
        link.start()
        assert link.version == 0x33
        assert self.carrier.accept().bind().interface_version == 0x33
        assert link.version == 0x33

    def test_a_carrier_without_sc_interface_version_gets_no_tlvs(self) -> None:
        """It is taken for 3.3 (spec/smpp.md §5)."""
        link = self.link()
        link.start()
        peer = self.carrier.accept()
        peer.bind(tlvs=[])
        assert (link.up, link.version) == (True, 0x33)

    def test_a_pair_is_up_when_both_are_bound(self) -> None:
        """Submits go by the transmitter, messages come by the receiver, and are answered there."""
        link = self.link(evolve(SETTINGS, bind="transmitter+receiver"))
        link.start()
        transmitter, receiver = self.carrier.accept(), self.carrier.accept()
        assert isinstance(transmitter.bind(), BindTransmitter)
        assert (link.up, link.state, link.room) == (False, "binding", 0)
        assert isinstance(receiver.bind(), BindReceiver)
        assert (link.up, link.room) == (True, 5)
        link.submit([(SubmitSm(), "a")])
        assert [type(pdu) for pdu in transmitter.said()] == [SubmitSm]
        receiver.say(DeliverSm(sequence=7))
        link.respond([DeliverSmResp(sequence=self.journey.batches[0][0].sequence)])
        assert receiver.said() == [DeliverSmResp(sequence=7)]

    def test_half_a_pair_is_down_and_reconnects_alone(self) -> None:
        """The bind that is left stays, and brings its answers."""
        link = self.link(evolve(SETTINGS, bind="transmitter+receiver"))
        link.start()
        transmitter, receiver = self.carrier.accept(), self.carrier.accept()
        transmitter.bind()
        receiver.bind()
        link.submit([(SubmitSm(), "a")])
        (sent,) = transmitter.said()
        receiver.close()
        assert (link.up, link.room, link.state) == (False, 0, "waiting")
        assert link.reason == "closed by the peer"
        transmitter.say(sent.response(message_id=b"1"))
        assert [context for context, _ in self.journey.answers] == ["a"]
        self.clock.advance(1)
        self.carrier.accept().bind()
        assert link.up
        assert self.journey.events == ["up", "down: closed by the peer", "up"]

    # Reconnecting

    def test_attempts_in_vain_come_at_doubling_intervals(self) -> None:
        """From the least to the most, and the reason can be read."""
        link = self.link()
        link.start()
        for delay in (1, 2, 4, 8, 16, 32, 60, 60):
            self.carrier.refuse()
            assert link.state == "waiting"
            assert link.reason.startswith("cannot connect: Connection was refused")
            self.wait_for_attempt(delay, delay)

    def test_chance_lengthens_the_intervals(self) -> None:
        """So that links which were lost together do not come back together."""
        link = self.link(random=1.0)
        link.start()
        for delay in (1.25, 2.5, 5):
            self.carrier.refuse()
            self.wait_for_attempt(delay, delay)

    def test_a_carrier_that_wants_30_s_gets_them(self) -> None:
        """With reconnect_s = 30 never less than that, whatever chance says (L-R5, L-D5)."""
        link = self.link(evolve(SETTINGS, reconnect_min_s=30.0), random=0.0)
        link.start()
        peer = self.carrier.accept()
        peer.bind()
        peer.close()
        self.wait_for_attempt(30, 30)

    def test_a_good_bind_starts_the_intervals_anew(self) -> None:
        """The next loss is followed by the least interval."""
        link = self.link()
        link.start()
        for _ in range(4):
            self.carrier.refuse()
            self.clock.advance(60)
        peer = self.carrier.accept()
        peer.bind()
        peer.close()
        assert link.state == "waiting"
        self.wait_for_attempt(1, 1)

    def test_a_wrong_password_is_tried_rarely_and_said(self) -> None:
        """No waiting mends it, so the longest interval is used at once."""
        link = self.link()
        link.start()
        peer = self.carrier.accept()
        peer.bind(Status.ESME_RINVPASWD)
        assert peer.transport.closed
        peer.close()
        assert link.reason == "bind refused: ESME_RINVPASWD"
        self.wait_for_attempt(60, 60)
        assert self.journey.events == []

    def test_a_passing_refusal_is_tried_again_soon(self) -> None:
        """Too many binds may only mean that the old one is not yet gone."""
        link = self.link()
        link.start()
        peer = self.carrier.accept()
        peer.bind(Status.ESME_RALYBND)
        peer.close()
        assert link.reason == "bind refused: ESME_RALYBND"
        self.wait_for_attempt(1, 1)

    def test_a_bind_that_is_not_answered_is_tried_again(self) -> None:
        """After the response time the connection is given up."""
        link = self.link()
        link.start()
        peer = self.carrier.accept()
        self.clock.advance(30)
        assert peer.transport.closed
        peer.close()
        assert link.reason == "no answer to the bind within 30 s"
        self.wait_for_attempt(1, 1)

    def test_a_connection_lost_before_the_bind_is_tried_again(self) -> None:
        """Even if it is gone before the link hears that it was there."""
        link = self.link()
        link.start()
        factory, attempt = self.carrier.attempts.pop()
        connection = factory.buildProtocol(None)
        connection.makeConnection(TcpTransport())
        connection.connectionLost(Failure(ConnectionDone()))
        attempt.callback(connection)
        assert (link.state, link.reason) == ("waiting", "closed by the peer")
        self.wait_for_attempt(1, 1)

    def test_settings_that_cannot_be_said_are_told(self) -> None:
        """A system_id that is too long is no crash, and the secret is not in the words."""
        link = self.link(evolve(SETTINGS, system_id="x" * 16))
        link.start()
        peer = self.carrier.accept()
        assert peer.transport.aborted
        peer.close()
        assert link.reason.startswith("cannot bind: BindTransceiver.system_id")
        assert "secret" not in link.reason

    # Messages

    def test_submits_are_one_write_and_their_answers_one_call(self) -> None:
        """Each context comes back with its response, in any order."""
        link, peer = self.up()
        link.submit([(SubmitSm(short_message=b"%d" % n), n) for n in range(5)])
        assert (peer.transport.writes, link.room) == (2, 0)
        sent = peer.said()
        peer.say(*[pdu.response(message_id=pdu.short_message) for pdu in reversed(sent)])
        assert [(n, pdu.message_id) for n, pdu in self.journey.answers] == [
            (n, b"%d" % n) for n in reversed(range(5))
        ]
        assert link.room == 5

    def test_a_nack_is_an_answer(self) -> None:
        """It is given to the journey as it is."""
        link, peer = self.up()
        link.submit([(SubmitSm(), "a")])
        nack = GenericNack(sequence=peer.said()[0].sequence, status=Status.ESME_RINVCMDID)
        peer.say(nack)
        assert self.journey.answers == [("a", nack)]

    def test_an_unanswered_submit_is_told(self) -> None:
        """None after the response time; the link stays up."""
        link, _ = self.up()
        link.submit([(SubmitSm(), "a")])
        self.clock.advance(30)
        assert self.journey.answers == [("a", None)]
        assert link.up

    def test_a_lost_link_answers_all_before_it_is_down(self) -> None:
        """Each context once, with no room meanwhile; then link_down."""
        link, peer = self.up()
        link.submit([(SubmitSm(), n) for n in range(3)])
        rooms: list[int] = []
        self.journey.then = lambda link: rooms.append(link.room)
        peer.close()
        assert self.journey.answers == [(0, None), (1, None), (2, None)]
        assert rooms == [0]
        assert self.journey.events == ["up", "down: closed by the peer"]
        assert self.journey.waits == []  # told once
        with pytest.raises(MisuseError):
            link.submit([(SubmitSm(), "b")])

    def test_the_next_submits_can_be_sent_while_answers_are_told(self) -> None:
        """The window is refilled from within the call."""
        link, peer = self.up()
        link.submit([(SubmitSm(), n) for n in range(5)])
        sent = peer.said()
        writes = peer.transport.writes
        self.journey.then = lambda link: link.submit([(SubmitSm(), "next")] * link.room)
        peer.say(*[pdu.response(message_id=b"1") for pdu in sent])
        assert (len(peer.said()), peer.transport.writes) == (5, writes + 1)

    def test_messages_of_the_carrier_are_one_batch_and_answered_later(self) -> None:
        """The answers carry the carrier's own sequence numbers."""
        link, peer = self.up()
        peer.say(DeliverSm(sequence=8), DeliverSm(sequence=9))
        (batch,) = self.journey.batches
        link.respond([DeliverSmResp(sequence=pdu.sequence) for pdu in reversed(batch)])
        assert [pdu.sequence for pdu in peer.said()] == [9, 8]

    def test_an_answer_never_reaches_another_connections_message(self) -> None:
        """After a reconnect its number means another message, not to be acknowledged (I1)."""
        link, peer = self.up()
        peer.say(DeliverSm(sequence=1, short_message=b"old"))
        (old,) = self.journey.batches.pop()
        peer.close()
        link.respond([DeliverSmResp(sequence=old.sequence)])
        self.clock.advance(1)
        peer = self.carrier.accept()
        peer.bind()
        peer.say(DeliverSm(sequence=1, short_message=b"new"))
        (new,) = self.journey.batches.pop()
        link.respond([DeliverSmResp(sequence=old.sequence)])
        assert peer.said() == []
        link.respond([DeliverSmResp(sequence=new.sequence)])
        assert peer.said() == [DeliverSmResp(sequence=1)]

    def test_a_data_sm_is_a_delivery_and_is_answered_in_kind(self) -> None:
        """Among deliver_sm, by its own response; also after a reconnect never by another's."""
        link, peer = self.up()
        data = DataSm(sequence=4, tlvs=[(int(Tag.MESSAGE_PAYLOAD), b"Hi")])
        peer.say(DeliverSm(sequence=3, short_message=b"Ho"), data)
        first, second = self.journey.batches.pop()
        assert [first.short_message, second.short_message] == [b"Ho", b"Hi"]
        link.respond(
            [
                DeliverSmResp(sequence=second.sequence, status=0x64),
                DeliverSmResp(sequence=first.sequence),
            ]
        )
        assert peer.said() == [DataSmResp(sequence=4, status=0x64), DeliverSmResp(sequence=3)]
        peer.say(data)
        (late,) = self.journey.batches.pop()
        peer.close()
        self.clock.advance(1)
        peer = self.carrier.accept()
        peer.bind()
        peer.say(DeliverSm(sequence=4))
        (new,) = self.journey.batches.pop()
        link.respond([DeliverSmResp(sequence=late.sequence), DeliverSmResp(sequence=new.sequence)])
        assert peer.said() == [DeliverSmResp(sequence=4)]

    def test_a_data_sm_that_cannot_be_passed_on_is_refused(self) -> None:
        """Without payload 0xC3, with an address that is too long 0x0A or 0x0B."""
        _, peer = self.up()
        peer.say(DataSm(sequence=4), DataSm(sequence=5, source_addr=b"4" * 21))
        assert [(pdu.sequence, pdu.status) for pdu in peer.said()] == [(4, 0xC3), (5, 0x0A)]
        assert self.journey.batches == []

    def test_an_alert_is_handed_on_and_not_answered(self) -> None:
        """alert_notification has no response (SMPP 3.4 §4.12)."""
        _, peer = self.up()
        peer.say(AlertNotification(sequence=4, source_addr=b"447700900123"))
        assert [pdu.source_addr for pdu in self.journey.alerts] == [b"447700900123"]
        assert peer.said() == []

    def test_an_operation_that_is_no_carriers_is_answered(self) -> None:
        """submit_sm from a carrier gets its response with 0x04."""
        _, peer = self.up()
        peer.say(SubmitSm(sequence=4))
        assert peer.said() == [SubmitSm(sequence=4).response(Status.ESME_RINVBNDSTS)]

    def test_a_silent_carrier_is_asked_and_then_given_up(self) -> None:
        """enquire_link after enquire_s; without an answer the link is lost and comes back."""
        link, peer = self.up(evolve(SETTINGS, enquire_s=30))
        self.clock.advance(30)
        assert len(peer.said()) == 1
        self.clock.advance(30)
        assert peer.transport.closed
        peer.close()
        assert (link.state, link.reason) == ("waiting", "enquire_link unanswered")

    # Stopping

    def test_stopping_waits_for_answers_and_unbinds(self) -> None:
        """What is in flight is answered, then unbind; the link stays down."""
        link, peer = self.up()
        link.submit([(SubmitSm(), "a")])
        (sent,) = peer.said()
        done = link.stop()
        assert (link.state, link.room) == ("stopping", 0)
        peer.say(sent.response(message_id=b"1"))
        (unbind,) = peer.said()
        assert isinstance(unbind, Unbind)
        self.assertNoResult(done)
        peer.say(unbind.response())
        peer.close()
        self.successResultOf(done)
        assert (link.state, link.up) == ("stopped", False)
        assert self.journey.events == ["up", "down: stopped"]
        self.clock.advance(1000)
        assert self.carrier.attempts == []
        assert not self.clock.getDelayedCalls()

    def test_stopping_is_bounded(self) -> None:
        """A carrier that answers nothing is left after the grace times."""
        link, peer = self.up()
        link.submit([(SubmitSm(), "a")])
        done = link.stop()
        self.clock.advance(5)
        self.clock.advance(5)
        assert peer.transport.closed
        peer.close()
        self.successResultOf(done)
        assert self.journey.answers == [("a", None)]

    def test_stopping_while_connecting_or_waiting_is_done_at_once(self) -> None:
        """No attempt follows."""
        link = self.link()
        link.start()
        self.successResultOf(link.stop())
        assert (self.carrier.cancelled, link.state) == (1, "stopped")
        self.carrier.attempts.clear()
        link.start()
        self.carrier.refuse()
        self.successResultOf(link.stop())
        self.clock.advance(1000)
        assert self.carrier.attempts == []

    def test_stopping_while_binding_closes(self) -> None:
        """There is nobody to unbind from."""
        link = self.link()
        link.start()
        peer = self.carrier.accept()
        done = link.stop()
        assert peer.transport.closed
        peer.close()
        self.successResultOf(done)
        assert self.journey.events == []

    def test_a_stopped_link_can_be_started_again(self) -> None:
        """But not before it has stopped."""
        link, peer = self.up()
        link.start()
        assert self.carrier.attempts == []
        link.stop()
        with pytest.raises(MisuseError):
            link.start()
        peer.say(UnbindResp(sequence=peer.said()[0].sequence))
        peer.close()
        link.start()
        self.carrier.accept().bind()
        assert link.up


class Echo:
    """A Gate that lets everybody in, accepts every message, and sends it back."""

    def allowed(self, peer: str) -> bool:
        return True

    def login(self, system_id: str, password: str, peer: str) -> "Deferred[Login | Refusal]":
        return succeed(Login(account=system_id, credential=system_id, window=50))

    def admit(
        self, session: EsmeSession, login: Login, bind_type: str
    ) -> "Deferred[Refusal | None]":
        return succeed(None)

    def bound(self, session: EsmeSession) -> None:
        pass

    def unbound(self, session: EsmeSession) -> None:
        pass

    def submit(self, session: EsmeSession, pdus: list[SubmitSm]) -> None:
        session.answer(
            [SubmitSmResp(sequence=p.sequence, message_id=p.short_message) for p in pdus]
        )
        session.deliver([(DeliverSm(short_message=p.short_message), None) for p in pdus])

    def delivered(self, session: EsmeSession, answers: list[tuple[object, int | None]]) -> None:
        pass


class Traffic(Journey):
    """Sends as many messages as are wanted, and waits for their answers and echoes."""

    def __init__(self, wanted: int) -> None:
        super().__init__()
        self.wanted = wanted
        self.unsent = list(range(wanted))
        self.echoes: list[bytes] = []
        self.failed: Deferred[str] = Deferred()
        self.done: Deferred[None] = Deferred()

    def link_up(self, link: CarrierLink) -> None:
        self.send(link)

    def send(self, link: CarrierLink) -> None:
        batch, self.unsent = self.unsent[: link.room], self.unsent[link.room :]
        if batch:
            link.submit([(SubmitSm(short_message=b"%d" % n), n) for n in batch])

    def answered(self, link: CarrierLink, answers: list[tuple[object, Any]]) -> None:
        self.answers += answers
        self.send(link)
        self.check()

    def received(self, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        self.echoes += [pdu.short_message for pdu in pdus]
        link.respond([DeliverSmResp(sequence=pdu.sequence) for pdu in pdus])
        self.check()

    def check(self) -> None:
        if len(self.answers) == len(self.echoes) == self.wanted:
            self.done.callback(None)


def certificate() -> tuple[ssl.PrivateCertificate, ssl.Certificate]:
    """A certificate for localhost that nobody has signed but itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return ssl.PrivateCertificate.loadPEM(pem + secret), ssl.Certificate.loadPEM(pem)


# Twisted hands pyOpenSSL its own old classes of keys and certificates.
@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
class TestOverSockets(TestCase):
    """Both ends of the gateway joined by the loopback interface."""

    def setUp(self) -> None:
        self.reactor: Any = real_reactor
        self.server = SmppServerFactory(Echo(), STANDARD, self.reactor)

    async def run_traffic(self, link: CarrierLink, traffic: Traffic) -> None:
        link.start()
        await traffic.done
        assert sorted(traffic.answers) == sorted(traffic.answers, key=lambda answer: answer[0])
        for context, response in traffic.answers:
            assert response.message_id == b"%d" % context
        assert sorted(map(int, traffic.echoes)) == list(range(traffic.wanted))
        await link.stop()
        await self.server.drain()
        assert traffic.events == ["down: stopped"]

    async def test_messages_travel_both_ways_over_tcp(self) -> None:
        """Every answer matches its message, every message comes back, and the end is in order."""
        port = self.reactor.listenTCP(0, self.server, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        traffic = Traffic(500)
        settings = evolve(SETTINGS, host="127.0.0.1", port=port.getHost().port, window=20)
        await self.run_traffic(CarrierLink(settings, traffic, self.reactor), traffic)

    async def test_messages_travel_both_ways_over_tls(self) -> None:
        """The same with the certificate verified, orderly end included."""
        ours, trusted = certificate()
        port = self.reactor.listenSSL(0, self.server, ours.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        endpoint = wrapClientTLS(
            ssl.optionsForClientTLS("localhost", trustRoot=trusted),
            HostnameEndpoint(self.reactor, "localhost", port.getHost().port),
        )
        traffic = Traffic(200)
        link = CarrierLink(SETTINGS, traffic, self.reactor, endpoint=endpoint)
        await self.run_traffic(link, traffic)

    async def test_a_carrier_whose_certificate_is_not_trusted_gets_no_password(self) -> None:
        """The link does not come up, and says why."""
        ours, _ = certificate()
        port = self.reactor.listenSSL(0, self.server, ours.options(), interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        settings = evolve(SETTINGS, host="localhost", port=port.getHost().port, tls=True)
        traffic = Traffic(1)
        link = CarrierLink(settings, traffic, self.reactor)
        told: Deferred[None] = Deferred()
        changed = link.line_changed

        def watch(line: Any) -> None:
            changed(line)
            if line.state == "waiting" and not told.called:
                told.callback(None)

        link.line_changed = watch  # type: ignore[method-assign]
        link.start()
        await told
        assert "certificate verify failed" in link.reason
        assert traffic.events == []
        await link.stop()
        await self.server.drain()
