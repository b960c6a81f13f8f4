"""The gateway as an SMSC: who is let in, how binds are answered, batches to and from the Gate."""

from typing import Any

import pytest
from attrs import evolve
from twisted.internet import protocol
from twisted.internet import reactor as real_reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.login import Login
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.codec import encode, encode_all
from smsgw.smpp.constants import Command, Status, Tag
from smsgw.smpp.events import MisuseError
from smsgw.smpp.pdu import (
    AlertNotification,
    Bind,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    CancelSm,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Pdu,
    QuerySm,
    QuerySmResp,
    ReplaceSm,
    SmeAddress,
    SubmitMulti,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.profile import LINK, STANDARD, WEBSMPP, Profile
from smsgw.smpp.server import EsmeSession, SmppServerFactory
from smsgw.text import parts
from tests.smpp.wires import TcpTransport


class Doorkeeper:
    """A Gate that notes everything, and answers as it is told."""

    def __init__(self) -> None:
        self.welcome = True
        self.full = False
        self.answer: Any = Login(account="acme", credential="acme", window=3)
        self.asked: list[tuple[str, str, str]] = []
        self.events: list[tuple[str, EsmeSession]] = []
        self.batches: list[list[SubmitSm]] = []
        self.others: list[list[SubmitMulti | DataSm]] = []
        self.questions: list[QuerySm | CancelSm | ReplaceSm] = []
        self.deliveries: list[tuple[object, int | None]] = []
        self.then: Any = None

    def allowed(self, peer: str) -> bool:
        return self.welcome

    def login(self, system_id: str, password: str, peer: str) -> "Deferred[Login | Refusal]":
        self.asked.append((system_id, password, peer))
        return self.answer if isinstance(self.answer, Deferred) else succeed(self.answer)

    def admit(
        self, session: EsmeSession, login: Login, bind_type: str
    ) -> "Deferred[Refusal | None]":
        return succeed(Refusal(Reason.TOO_MANY_BINDS) if self.full else None)

    def bound(self, session: EsmeSession) -> None:
        self.events.append(("bound", session))

    def unbound(self, session: EsmeSession) -> None:
        self.events.append(("unbound", session))

    def submit(self, session: EsmeSession, pdus: list[SubmitSm]) -> None:
        self.batches.append(pdus)
        if self.then:
            self.then(session, pdus)

    def send(self, session: EsmeSession, pdus: list[SubmitMulti | DataSm]) -> None:
        self.others.append(pdus)

    def ask(self, session: EsmeSession, pdus: list[QuerySm | CancelSm | ReplaceSm]) -> None:
        self.questions += pdus

    def delivered(self, session: EsmeSession, answers: list[tuple[object, int | None]]) -> None:
        self.deliveries += answers


class Client:
    """The other end of a connection to the factory."""

    def __init__(self, factory: SmppServerFactory, host: str = "192.0.2.7") -> None:
        self.transport = TcpTransport(host)
        self.protocol: Any = factory.buildProtocol(IPv4Address("TCP", host, 40000))
        self.protocol.makeConnection(self.transport)

    @property
    def session(self) -> EsmeSession:
        return self.protocol.owner

    def say(self, *pdus: Pdu) -> list[Any]:
        """Send PDUs in one piece; what comes back at once."""
        self.protocol.dataReceived(encode_all(pdus))
        return self.transport.said()

    def close(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))


def bind(cls: type[Bind] = BindTransceiver, version: int = 0x34, sequence: int = 1) -> Bind:
    return cls(
        sequence=sequence, system_id=b"acme", password=b"secret12", interface_version=version
    )


class TestServer(TestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.gate = Doorkeeper()

    def listener(self, profile: Profile = STANDARD) -> SmppServerFactory:
        return SmppServerFactory(self.gate, profile, self.clock)

    def client(self, profile: Profile = STANDARD) -> Client:
        return Client(self.listener(profile))

    def bound_client(self, profile: Profile = STANDARD, pdu: Bind | None = None) -> Client:
        client = self.client(profile)
        (answer,) = client.say(pdu or bind())
        assert answer.status == 0
        return client

    # Who is let in

    def test_an_address_in_no_list_is_closed_without_an_octet(self) -> None:
        """Right after accept, and the Gate is asked nothing more (L-D2, ruling 7)."""
        self.gate.welcome = False
        client = self.client()
        assert client.transport.closed
        assert client.transport.value() == b""
        assert self.gate.asked == []

    def test_a_connection_that_says_nothing_is_closed(self) -> None:
        """After the session-init time (L-D6)."""
        client = self.client()
        self.clock.advance(10)
        assert client.transport.closed
        client.close()
        assert self.gate.events == []

    def test_connections_that_have_not_bound_are_bounded_for_each_address(self) -> None:
        """One address cannot take all descriptors; bound ones do not count, and others go on."""
        listener = self.listener(evolve(STANDARD, unbound=2))
        bound, first, second = (Client(listener) for _ in range(3))
        assert second.transport.closed
        bound.say(bind())
        third = Client(listener)
        assert not third.transport.closed
        refused = Client(listener)
        assert refused.transport.closed
        assert refused.transport.value() == b""
        assert not Client(listener, "192.0.2.8").transport.closed
        first.close()
        assert not Client(listener).transport.closed

    def test_connections_of_a_listener_are_bounded(self) -> None:
        """Bound or not; each that ends makes room for another."""
        listener = self.listener(evolve(STANDARD, connections=2))
        first, second = Client(listener), Client(listener, "192.0.2.8")
        first.say(bind())
        assert Client(listener, "192.0.2.9").transport.closed
        first.close()
        assert not Client(listener, "192.0.2.9").transport.closed
        assert not second.transport.closed

    def test_a_bind_and_an_unbind_in_one_read_are_no_bug(self) -> None:
        """The client has gone before its bind can be answered; only its unbind is."""
        for listener, version in ((self.listener(), 0x33), (self.listener(), 0x34)):
            client = Client(listener)
            assert client.say(bind(version=version), Unbind(sequence=2)) == [UnbindResp(sequence=2)]
            assert client.transport.closed
            client.close()
        assert self.gate.asked == self.gate.events == []

    def test_a_bind_and_an_unbind_in_one_read_while_draining_are_no_bug(self) -> None:
        """As before, though such a bind would be refused."""
        listener = self.listener()
        client = Client(listener)
        listener.draining = True
        assert client.say(bind(), Unbind(sequence=2)) == [UnbindResp(sequence=2)]
        client.close()

    def test_a_bind_is_checked_by_system_id_password_and_address(self) -> None:
        """The Gate gets them as text."""
        self.bound_client()
        assert self.gate.asked == [("acme", "secret12", "192.0.2.7")]

    def test_octets_that_are_no_utf8_are_read_as_latin1(self) -> None:
        """A password of any octets can be checked."""
        pdu = bind()
        pdu.password = b"p\xe4ss"
        self.bound_client(pdu=pdu)
        assert self.gate.asked[0][1] == "päss"

    def test_the_bind_type_says_what_a_session_may(self) -> None:
        """Transmitters submit, receivers receive, transceivers do both."""
        for cls, kind, transmits, receives in (
            (BindTransmitter, "transmitter", True, False),
            (BindReceiver, "receiver", False, True),
            (BindTransceiver, "transceiver", True, True),
        ):
            session = self.bound_client(pdu=bind(cls)).session
            assert session.bind_type == kind
            assert (session.transmits, session.receives) == (transmits, receives)
            assert session.room == (3 if receives else 0)
            assert session.login.account == "acme"
        assert [event for event, _ in self.gate.events] == ["bound"] * 3

    # Versions (E-D23, ruling 1)

    def test_sc_interface_version_goes_to_34_and_later_only(self) -> None:
        """0x34 in the answer to 3.4 and 5.0 clients; none to older ones, on every profile."""
        for profile in (STANDARD, WEBSMPP, LINK):
            for version, tlvs, used in (
                (0x00, [], 0x33),
                (0x33, [], 0x33),
                (0x34, [(Tag.SC_INTERFACE_VERSION, b"\x34")], 0x34),
                (0x50, [(Tag.SC_INTERFACE_VERSION, b"\x34")], 0x34),
            ):
                client = self.client(profile)
                (answer,) = client.say(bind(BindTransmitter, version))
                assert (answer.status, answer.system_id) == (0, b"smsgw")
                assert answer.tlvs == tlvs
                if profile.strict_33:
                    assert client.session.version == used
                assert client.session.interface_version == version

    def test_a_33_client_cannot_bind_as_transceiver(self) -> None:
        """3.3 has no such operation: generic_nack with 0x03."""
        client = self.client()
        assert client.say(bind(version=0x33)) == [
            GenericNack(sequence=1, status=Status.ESME_RINVCMDID)
        ]
        assert not client.transport.closed
        (answer,) = client.say(bind(BindTransmitter, 0x33, sequence=2))
        assert answer.status == 0

    def test_on_link_an_old_client_is_a_34_client_without_tlvs(self) -> None:
        """L-D13: bind_transceiver is accepted, TLVs are not sent."""
        client = self.bound_client(LINK, bind(version=0x33))
        client.session.deliver([(DeliverSm(tlvs=[(Tag.MESSAGE_STATE, b"\2")]), 1)])
        assert client.transport.said()[0].tlvs == []

    # Refusals

    def test_each_refusal_has_its_status(self) -> None:
        """The one table of reasons says which (I4); the client may try again."""
        for reason, status in (
            (Reason.UNKNOWN_LOGIN, 0x0F),
            (Reason.WRONG_PASSWORD, 0x0E),
            (Reason.ACCOUNT_INACTIVE, 0x0D),
        ):
            self.gate.answer = Refusal(reason)
            client = self.client()
            assert client.say(bind()) == [bind().response(status)]
            assert not client.transport.closed
        assert self.gate.events == []

    def test_three_refused_binds_close_the_connection(self) -> None:
        """L-D14; before that a right password still helps."""
        self.gate.answer = Refusal(Reason.WRONG_PASSWORD)
        client = self.client()
        for number in (1, 2, 3):
            assert not client.transport.closed
            assert len(client.say(bind(sequence=number))) == 1
        assert client.transport.closed
        client.close()
        assert client.session.close_reason == "3 binds refused"

    def test_a_right_bind_after_a_wrong_one_is_accepted(self) -> None:
        """A refusal leaves the session open."""
        self.gate.answer = Refusal(Reason.WRONG_PASSWORD)
        client = self.client()
        client.say(bind())
        self.gate.answer = Login(account="acme", credential="acme")
        (answer,) = client.say(bind(sequence=2))
        assert answer.status == 0

    def test_too_many_binds_close_the_new_connection_only(self) -> None:
        """0x05 on every profile (ruling 7, L-D7)."""
        for profile in (STANDARD, WEBSMPP, LINK):
            listener = self.listener(profile)
            self.gate.full = False
            first = Client(listener)
            first.say(bind())
            self.gate.full = True
            second = Client(listener)
            assert second.say(bind()) == [bind().response(Status.ESME_RALYBND)]
            assert second.transport.closed
            assert not first.transport.closed

    def test_an_address_that_is_not_the_credentials_is_refused_and_closed(self) -> None:
        """0x0D, then close (L-D2)."""
        self.gate.answer = Refusal(Reason.ADDRESS_NOT_ALLOWED)
        client = self.client()
        assert client.say(bind()) == [bind().response(Status.ESME_RBINDFAIL)]
        assert client.transport.closed

    def test_a_login_that_fails_on_our_side_is_a_system_error(self) -> None:
        """0x08 and close; the fault is logged."""
        self.gate.answer = Deferred()
        client = self.client()
        client.say(bind())
        self.gate.answer.errback(RuntimeError("store is gone"))
        assert client.transport.said() == [bind().response(Status.ESME_RSYSERR)]
        assert client.transport.closed
        assert len(self.flushLoggedErrors(RuntimeError)) == 1

    def test_a_client_that_goes_during_its_login_is_not_bound(self) -> None:
        """Neither closing nor unbinding meanwhile leads to a session."""
        for leave in ("close", "unbind"):
            self.gate.answer = Deferred()
            client = self.client()
            client.say(bind())
            if leave == "close":
                client.close()
            else:
                assert client.say(Unbind(sequence=2)) == [UnbindResp(sequence=2)]
            self.gate.answer.callback(Login(account="acme", credential="acme"))
            assert client.transport.said() == []
        assert self.gate.events == []

    def test_what_comes_during_a_login_is_refused(self) -> None:
        """A second bind 0x05, a submit 0x04; an enquire_link is answered."""
        self.gate.answer = Deferred()
        client = self.client()
        client.say(bind())
        answers = client.say(bind(sequence=2), SubmitSm(sequence=3), EnquireLink(sequence=4))
        assert answers == [
            bind(sequence=2).response(Status.ESME_RALYBND),
            SubmitSmResp(sequence=3, status=Status.ESME_RINVBNDSTS),
            EnquireLinkResp(sequence=4),
        ]
        self.gate.answer.callback(Login(account="acme", credential="acme"))
        (answer,) = client.transport.said()
        assert (answer.sequence, answer.status) == (1, 0)

    # Messages

    def test_submits_of_one_read_are_one_batch(self) -> None:
        """And the answers of one call one write."""
        client = self.bound_client()
        assert client.say(SubmitSm(sequence=2), SubmitSm(sequence=3)) == []
        (batch,) = self.gate.batches
        assert [pdu.sequence for pdu in batch] == [2, 3]
        writes = client.transport.writes
        client.session.answer([SubmitSmResp(sequence=n, message_id=b"%d" % n) for n in (3, 2)])
        assert client.transport.writes == writes + 1
        assert [pdu.message_id for pdu in client.transport.said()] == [b"3", b"2"]

    def test_the_credentials_window_bounds_both_directions(self) -> None:
        """Beyond it submits are throttled (E-D24), and room is 0."""
        client = self.bound_client()
        answers = client.say(*[SubmitSm(sequence=n) for n in range(2, 7)])
        assert [(pdu.sequence, pdu.status) for pdu in answers] == [(5, 0x58), (6, 0x58)]
        client.session.deliver([(DeliverSm(), n) for n in range(3)])
        assert client.session.room == 0

    def test_no_window_is_larger_than_the_profile_has(self) -> None:
        """A connection may have up to 100 (E-D24), and has at least 1."""
        for window, room in ((5000, 100), (0, 1)):
            self.gate.answer = Login(account="acme", credential="acme", window=window)
            assert self.bound_client().session.room == room

    def test_messages_by_other_operations_are_one_batch_of_their_own(self) -> None:
        """data_sm and submit_multi of one read; each has one place in the window."""
        client = self.bound_client()
        multi = SubmitMulti(sequence=4, dest_addresses=[SmeAddress(1, 1, b"44"), SmeAddress()])
        [late] = client.say(DataSm(sequence=2), SubmitSm(sequence=3), multi, DataSm(sequence=5))
        assert [pdu.sequence for pdu in self.gate.batches[0]] == [3]
        assert [pdu.sequence for pdu in self.gate.others[0]] == [2, 4]
        assert (late.COMMAND, late.sequence, late.status) == (Command.DATA_SM_RESP, 5, 0x58)

    def test_an_illegal_submit_multi_says_what_is_wrong_with_it(self) -> None:
        """No destination 0x33, a dest_flag that is none 0x40, in its own response."""
        client = self.bound_client()
        good = encode(SubmitMulti(sequence=2, dest_addresses=[SmeAddress(1, 1, b"44")]))
        for at, octet, status in ((20, b"\0", 0x33), (20, b"\xff", 0x33), (21, b"\3", 0x40)):
            client.protocol.dataReceived(good[:at] + octet + good[at + 1 :])
            [answer] = client.transport.said()
            assert (answer.COMMAND, answer.status) == (Command.SUBMIT_MULTI_RESP, status)
        assert self.gate.others == []

    def test_a_login_may_want_data_sm(self) -> None:
        """In place of deliver_sm, answered alike; not without TLVs, and not on link (L-R17)."""
        self.gate.answer = evolve(self.gate.answer, deliver="data_sm")
        client = self.bound_client()
        client.session.deliver([(DeliverSm(short_message=b"Hi"), "a")])
        [sent] = client.transport.said()
        assert sent.tlvs == [(Tag.MESSAGE_PAYLOAD, b"Hi")]
        client.say(sent.response(0x64))
        assert self.gate.deliveries == [("a", 0x64)]
        for other in (
            self.bound_client(pdu=bind(BindReceiver, version=0x33)),
            self.bound_client(LINK),
        ):
            other.session.deliver([(DeliverSm(short_message=b"Hi"), "b")])
            [sent] = other.transport.said()
            assert isinstance(sent, DeliverSm)

    def test_an_alert_is_told_beside_the_window(self) -> None:
        """alert_notification has no response; it is for sessions of 3.4 that receive."""
        self.gate.answer = evolve(self.gate.answer, window=1)
        client = self.bound_client()
        client.session.deliver([(DeliverSm(), "a")])
        client.transport.said()
        assert client.session.hears_alerts
        client.session.alert(AlertNotification(source_addr=b"447700900123"))
        [alert] = client.transport.said()
        assert (alert.source_addr, client.session.room) == (b"447700900123", 0)
        for profile, cls, version in (
            (STANDARD, BindTransmitter, 0x34),
            (STANDARD, BindReceiver, 0x33),
            (LINK, BindTransceiver, 0x34),
        ):
            other = self.bound_client(profile, bind(cls, version))
            assert not other.session.hears_alerts

    def test_questions_about_messages_are_handed_on(self) -> None:
        """query_sm, cancel_sm and replace_sm; they have places in the window as submits do."""
        client = self.bound_client()
        assert client.say(QuerySm(sequence=2), CancelSm(sequence=3), ReplaceSm(sequence=4)) == []
        assert [pdu.sequence for pdu in self.gate.questions] == [2, 3, 4]
        [late] = client.say(QuerySm(sequence=5))
        assert (late.sequence, late.status) == (5, 0x58)
        client.session.answer([QuerySmResp(sequence=2)])
        assert [pdu.sequence for pdu in client.transport.said()] == [2]

    def test_questions_are_not_answered_while_shutting_down(self) -> None:
        """ESME_RSYSERR."""
        listener = self.listener()
        client = Client(listener)
        client.say(bind())
        client.say(SubmitSm(sequence=2))
        done = listener.drain()
        answers = client.say(QuerySm(sequence=3), DataSm(sequence=4))
        assert [(pdu.COMMAND, pdu.status) for pdu in answers] == [
            (Command.QUERY_SM_RESP, 0x08),
            (Command.DATA_SM_RESP, 0x08),
        ]
        client.session.abort("over")
        client.close()
        self.successResultOf(done)

    def test_on_link_operations_not_served_are_nacked(self) -> None:
        """L-D11: generic_nack with 0x03, and the session stays."""
        client = self.bound_client(LINK)
        multi = SubmitMulti(sequence=4, dest_addresses=[SmeAddress(1, 1, b"44")])
        answers = client.say(QuerySm(sequence=2), DataSm(sequence=3), multi)
        assert answers == [GenericNack(sequence=n, status=0x03) for n in (2, 3, 4)]
        assert self.gate.others == []
        assert not client.transport.closed

    def test_the_status_of_each_delivery_is_told(self) -> None:
        """As the client said it; a nack counts too."""
        client = self.bound_client()
        client.session.deliver([(DeliverSm(), "a"), (DeliverSm(), "b"), (DeliverSm(), "c")])
        sent = client.transport.said()
        client.say(
            DeliverSmResp(sequence=sent[1].sequence, status=0x64),
            DeliverSmResp(sequence=sent[0].sequence),
            GenericNack(sequence=sent[2].sequence, status=0x03),
        )
        assert self.gate.deliveries == [("b", 0x64), ("a", 0), ("c", 0x03)]

    def test_deliveries_without_an_answer_are_told_before_the_end(self) -> None:
        """After a lost connection each is None, and then the session is unbound, once."""
        client = self.bound_client()
        client.session.deliver([(DeliverSm(), "a")])
        client.close()
        assert self.gate.deliveries == [("a", None)]
        assert [event for event, _ in self.gate.events] == ["bound", "unbound"]
        assert client.session.close_reason == "closed by the peer"
        assert client.session.room == 0
        client.session.answer([SubmitSmResp(sequence=2, message_id=b"1")])

    def test_an_unanswered_delivery_is_given_up(self) -> None:
        """After the profile's response time."""
        client = self.bound_client(evolve(LINK, response_s=30))
        client.session.deliver([(DeliverSm(), "a")])
        self.clock.advance(30)
        assert self.gate.deliveries == [("a", None)]

    def test_a_33_session_gets_no_tlvs_and_only_its_statuses(self) -> None:
        """Vendor statuses are said as 0x45 (spec/smpp.md §4)."""
        client = self.bound_client(pdu=bind(BindTransmitter, 0x33))
        client.say(SubmitSm(sequence=2))
        client.session.answer([SubmitSmResp(sequence=2, status=0x434)])
        assert client.transport.said() == [SubmitSmResp(sequence=2, status=0x45)]

    def long_mo(self) -> DeliverSm:
        return DeliverSm(tlvs=[(Tag.MESSAGE_PAYLOAD, b"x" * 400)])  # three segments

    def old_client(self, window: int) -> Client:
        self.gate.answer = Login(account="acme", credential="acme", window=window)
        return self.bound_client(pdu=bind(BindReceiver, 0x33))

    def test_a_long_delivery_reaches_a_session_without_tlvs_in_segments(self) -> None:
        """All of the text, and one answer when all segments have theirs."""
        client = self.old_client(window=5)
        client.session.deliver([(self.long_mo(), "a"), (DeliverSm(short_message=b"Hi"), "b")])
        *segments, short = client.transport.said()
        assert parts.join([pdu.short_message for pdu in segments]) == b"x" * 400
        assert short.short_message == b"Hi"
        assert client.session.room == 1
        client.say(*(pdu.response() for pdu in (*segments[:2], short)))
        assert self.gate.deliveries == [("b", 0)]
        client.say(segments[2].response())
        assert self.gate.deliveries == [("b", 0), ("a", 0)]
        assert client.session.room == 5

    def test_segments_keep_to_the_window(self) -> None:
        """A client with a window of one gets one after the other; the window is full meanwhile."""
        client = self.old_client(window=1)
        client.session.deliver([(self.long_mo(), "a")])
        texts = []
        for _ in range(3):
            assert client.session.room == 0
            (pdu,) = client.transport.said()
            texts.append(pdu.short_message)
            assert self.gate.deliveries == []
            client.protocol.dataReceived(encode_all([pdu.response()]))
        assert parts.join(texts) == b"x" * 400
        assert self.gate.deliveries == [("a", 0)]
        assert client.session.room == 1

    def test_a_refused_segment_is_the_answer_to_the_whole(self) -> None:
        """What still waits of it is not sent, and others are."""
        client = self.old_client(window=2)
        client.session.deliver([(self.long_mo(), "a"), (DeliverSm(short_message=b"Hi"), "b")])
        first, second = client.transport.said()
        (short,) = client.say(first.response(Status.ESME_RMSGQFUL))
        assert short.short_message == b"Hi"
        assert self.gate.deliveries == []
        client.say(second.response(), short.response())
        assert self.gate.deliveries == [("a", Status.ESME_RMSGQFUL), ("b", 0)]

    def test_segments_that_were_not_sent_are_told_at_the_end(self) -> None:
        """Each delivery once, before the session is unbound."""
        client = self.old_client(window=2)
        client.session.deliver([(self.long_mo(), "a"), (self.long_mo(), "b")])
        client.close()
        assert self.gate.deliveries == [("a", None), ("b", None)]
        assert [event for event, _ in self.gate.events] == ["bound", "unbound"]

    def test_a_delivery_that_cannot_be_cut_is_refused_and_never_sent_empty(self) -> None:
        """More than 255 segments: ESME_RINVMSGLEN in the client's place, not in the same call."""
        client = self.old_client(window=2)
        huge = DeliverSm(tlvs=[(Tag.MESSAGE_PAYLOAD, b"x" * 65_535)])
        client.session.deliver([(huge, "a"), (DeliverSm(short_message=b"Hi"), "b")])
        assert self.gate.deliveries == []
        (short,) = client.transport.said()
        assert short.short_message == b"Hi"
        self.clock.advance(0)
        assert self.gate.deliveries == [("a", Status.ESME_RINVMSGLEN)]
        client.session.deliver([(huge, "c")])
        client.close()
        self.clock.advance(0)
        assert self.gate.deliveries[1:] == [("b", None), ("c", Status.ESME_RINVMSGLEN)]

    def test_no_batch_is_sent_in_part_to_a_session_without_tlvs(self) -> None:
        """More than there is room for, or what cannot be encoded, is a bug; nothing goes out."""
        client = self.old_client(window=2)
        with pytest.raises(MisuseError, match="room for 2"):
            client.session.deliver([(DeliverSm(), n) for n in range(3)])
        with pytest.raises(ValueError, match="source_addr"):
            client.session.deliver([(self.long_mo(), "a"), (DeliverSm(source_addr=b"x" * 30), "b")])
        assert client.transport.said() == []
        assert client.session.room == 2

    def test_a_gate_that_fails_costs_one_session(self) -> None:
        """The others go on, and it is still told that the session is gone."""
        listener = self.listener()
        first, second = Client(listener), Client(listener)
        first.say(bind())
        second.say(bind())

        def fail(session: EsmeSession, pdus: list[SubmitSm]) -> None:
            raise RuntimeError("bug")

        self.gate.then = fail
        first.say(SubmitSm(sequence=2))
        first.close()
        self.gate.then = None
        assert len(self.flushLoggedErrors(RuntimeError)) == 1
        assert self.gate.events[-1] == ("unbound", first.session)
        assert second.say(EnquireLink(sequence=2)) == [EnquireLinkResp(sequence=2)]

    def test_one_sessions_garbage_harms_no_other(self) -> None:
        """The boundary is lost for one; the other is answered as before (I7)."""
        listener = self.listener()
        first, second = Client(listener), Client(listener)
        first.say(bind())
        second.say(bind())
        first.protocol.dataReceived(b"\xff" * 70_001)
        assert first.transport.closed
        first.close()
        assert second.say(SubmitSm(sequence=2)) == []
        assert len(self.gate.batches) == 1
        assert listener.sessions == {second.session}

    # Idleness of the profiles

    def test_a_standard_session_is_kept_alive_for_ever(self) -> None:
        """As long as enquire_link is answered (E-D25)."""
        client = self.bound_client()
        for _ in range(20):
            self.clock.advance(60)
            (ask,) = client.transport.said()
            client.say(ask.response())
        assert not client.transport.closed

    def test_a_silent_link_session_is_unbound_after_five_minutes(self) -> None:
        """L-R6, ruling 3; an enquire_link of the client prevents it (L-R7)."""
        client = self.bound_client(LINK)
        self.clock.advance(200)
        client.say(EnquireLink(sequence=2))
        self.clock.advance(299)
        assert client.transport.said() == []
        self.clock.advance(1)
        (pdu,) = client.transport.said()
        assert isinstance(pdu, Unbind)
        self.clock.advance(5)
        assert client.transport.closed

    def test_a_profile_may_refuse_old_versions_and_system_types(self) -> None:
        """L-D13, W-D3; the client may try again."""
        client = self.client(evolve(LINK, accept_v33=False))
        assert client.say(bind(version=0x33))[0].status == Status.ESME_RBINDFAIL
        assert client.say(bind(version=0x34))[0].status == 0
        client = self.client(evolve(WEBSMPP, strict_system_type=True))
        typed = evolve(bind(), system_type=b"SMPP")
        assert client.say(typed)[0].status == Status.ESME_RINVSYSTYP
        assert client.say(bind())[0].status == 0
        assert self.bound_client(WEBSMPP, typed)

    def test_a_profile_may_close_after_the_first_refused_bind(self) -> None:
        """L-D14, link.close_on_auth_fail."""
        self.gate.answer = Refusal(Reason.WRONG_PASSWORD)
        client = self.client(evolve(LINK, failed_binds=1))
        assert client.say(bind())[0].status == Status.ESME_RINVPASWD
        assert client.transport.closed

    def test_a_login_may_need_a_certificate(self) -> None:
        """Without TLS there is none to show."""
        self.gate.answer = Login(account="acme", credential="acme", certificate="acme client")
        client = self.client()
        assert client.say(bind())[0].status == Status.ESME_RBINDFAIL
        assert not self.gate.events

    # The end

    def test_draining_ends_every_session_in_order(self) -> None:
        """Answers that are due go out, new submits get 0x08, new connections nothing."""
        listener = self.listener()
        client, waiting = Client(listener), Client(listener)
        client.say(bind())
        client.say(SubmitSm(sequence=2))
        done = listener.drain()
        assert waiting.transport.closed
        waiting.close()
        assert client.say(SubmitSm(sequence=3)) == [
            SubmitSmResp(sequence=3, status=Status.ESME_RSYSERR)
        ]
        newcomer = Client(listener)
        assert newcomer.transport.closed
        client.session.answer([SubmitSmResp(sequence=2, message_id=b"1")])
        answer, unbind = client.transport.said()
        assert (answer.sequence, type(unbind)) == (2, Unbind)
        self.assertNoResult(done)
        client.say(unbind.response())
        client.close()
        self.successResultOf(done)
        assert self.gate.events[-1] == ("unbound", client.session)
        assert not self.clock.getDelayedCalls()

    def test_draining_is_bounded(self) -> None:
        """A client that does not answer is cut off."""
        listener = self.listener()
        client = Client(listener)
        client.say(bind())
        done = listener.drain(timeout_s=3)
        self.clock.advance(3)
        assert client.transport.aborted
        client.close()
        self.successResultOf(done)

    def test_draining_without_sessions_is_done(self) -> None:
        """At once, however often it is asked."""
        listener = self.listener()
        self.successResultOf(listener.drain())
        self.successResultOf(listener.drain())
        assert not self.clock.getDelayedCalls()

    def test_a_bind_whose_login_ends_during_draining_is_refused(self) -> None:
        """Nobody is bound any more."""
        self.gate.answer = Deferred()
        listener = self.listener()
        client = Client(listener)
        client.say(bind())
        listener.drain()
        self.gate.answer.callback(Login(account="acme", credential="acme"))
        client.close()
        assert self.gate.events == []


class Flooder(protocol.Protocol):
    """Binds, then asks without end and reads nothing."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.stream: Any = self.transport
        self.stream.pauseProducing()
        self.stream.write(encode_all([bind()]))
        self.stream.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Called whenever there is room for more."""
        self.stream.write(encode_all([EnquireLink(sequence=n) for n in range(2, 2002)]))

    def stopProducing(self) -> None:
        pass

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:
        self.lost.callback(None)


class TestPeerThatDoesNotRead(TestCase):
    async def test_it_is_read_no_more_and_then_cut_off(self) -> None:
        """What it costs is bounded by the sockets' buffers, and it harms no other session."""
        reactor: Any = real_reactor
        clock = Clock()
        gate = Doorkeeper()
        listener = SmppServerFactory(gate, STANDARD, clock)
        full: Deferred[None] = Deferred()
        build = listener.buildProtocol

        def watched(addr: Any) -> Any:
            connection: Any = build(addr)
            pause = connection.pauseProducing

            def paused() -> None:
                pause()
                if not full.called:
                    full.callback(None)

            connection.pauseProducing = paused
            return connection

        listener.buildProtocol = watched  # type: ignore[method-assign]
        port = reactor.listenTCP(0, listener, interface="127.0.0.1")
        flooder = Flooder()
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        await connectProtocol(endpoint, flooder)
        await full
        (session,) = listener.sessions
        other = Client(listener)
        other.say(bind())
        assert other.say(EnquireLink(sequence=2)) == [EnquireLinkResp(sequence=2)]
        clock.advance(30)
        await flooder.lost
        await port.stopListening()
        assert session.close_reason == "the peer has not read for 30 s"
        assert other.say(EnquireLink(sequence=3)) == [EnquireLinkResp(sequence=3)]
