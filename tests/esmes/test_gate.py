"""Bound ESMEs: batches into the journey and answers out of it, binds counted, ids and words."""

from typing import Any

from attrs import evolve
from twisted.internet.address import IPv4Address
from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from smsgw import doors
from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.esmes.binds import Binds
from smsgw.esmes.gate import Esmes, Wordings
from smsgw.esmes.queries33 import Queries33
from smsgw.esmes.submissions import Submissions
from smsgw.esmes.submitted import Submitted
from smsgw.identities import from_guid, to_hex
from smsgw.login import Login
from smsgw.provisioning import Account, Credential, Provisioning
from smsgw.refusals import Reason
from smsgw.rules.tables import Tables
from smsgw.smpp.codec import encode_all
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import (
    BindReceiver,
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    SubmitSm,
    SubmitSmResp,
    Unbind,
)
from smsgw.smpp.profile import LINK, PROFILES, STANDARD, WEBSMPP
from smsgw.smpp.server import SmppServerFactory
from smsgw.store import schema
from tests.flow.journey import DESTINATION, SOURCE, FakeSession, JourneyCase
from tests.smpp.wires import TcpTransport

ELSEWHERE = b"33123456789"  # no route leads there


def a_submit(sequence: int = 1, **fields: Any) -> SubmitSm:
    given: dict[str, Any] = {
        "source_addr": SOURCE.encode(),
        "destination_addr": DESTINATION.encode(),
        "short_message": b"Hello",
    }
    return SubmitSm(sequence=sequence, **{**given, **fields})


class EsmesCase(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        now = self.journey.clock.seconds
        self.doors = Doors(self.journey.current, False, now, lambda check: succeed(check()))
        self.submitted = Submitted(
            self.journey.current,
            self.journey.pending,
            self.journey.cancelling,
            self.journey.replacing,
            Queries33(self.journey.current, self.journey.pending, self.journey.balances, now),
            now,
        )
        self.submissions = self.a_submissions()
        self.esmes = Esmes(
            self.doors,
            self.journey.acceptance,
            self.journey.handover,
            self.journey.wordings,
            self.submitted,
            self.submissions,
            Binds(Config(), self.journey.current, now),
            now,
        )

    def a_submissions(self) -> Submissions:
        return self.journey.submissions()

    def a_session(self, profile: str = "standard", **fields: Any) -> Any:
        """A session that is not bound yet."""
        given = {"profile": profile, **fields.pop("login", {})}
        login = self.journey.login(**given)
        return FakeSession(login, profile=PROFILES[profile], **fields)

    def submit(self, session: Any, *pdus: SubmitSm) -> list[SubmitSmResp]:
        self.esmes.submit(session, list(pdus))
        answers, session.answers = session.answers, []
        return sorted(answers, key=lambda pdu: pdu.sequence)


class SubmitTests(EsmesCase):
    def test_what_is_accepted_is_answered_with_its_id(self) -> None:
        """Each response has its request's sequence, and the id of its own message."""
        session = self.a_session()
        answers = self.submit(session, a_submit(7), a_submit(8))
        assert [(pdu.sequence, pdu.status) for pdu in answers] == [(7, 0), (8, 0)]
        stored = {to_hex(row.id).encode() for row in self.journey.rows(schema.message)}
        assert {pdu.message_id for pdu in answers} == stored
        assert len(stored) == 2

    def test_it_is_answered_when_it_is_durable(self) -> None:
        """Not before the commit (I1); a batch is one commit."""
        session = self.a_session()
        self.journey.journal.waiting = True
        assert self.submit(session, a_submit(1), a_submit(2)) == []
        assert self.journey.journal.line == 1
        self.journey.journal.release()
        assert len(session.answers) == 2

    def test_each_refusal_has_the_status_of_its_reason(self) -> None:
        """Those of the fields and those of the journey; the good ones of the batch go on."""
        answers = self.submit(
            self.a_session(),
            a_submit(1, esm_class=0x04),
            a_submit(2),
            a_submit(3, destination_addr=b"12"),
            a_submit(4, destination_addr=ELSEWHERE),
        )
        assert [pdu.status for pdu in answers] == [
            Status.ESME_RINVESMCLASS,
            Status.ESME_ROK,
            Status.ESME_RINVDSTADR,
            0x432,
        ]
        assert [bool(pdu.message_id) for pdu in answers] == [False, True, False, False]

    def test_a_profile_has_statuses_of_its_own(self) -> None:
        """No route: vendor status on standard, ESME_RINVDSTADR on link and websmpp (ruling 4)."""
        for profile in (LINK, WEBSMPP):
            session = self.a_session(profile.name)
            [answer] = self.submit(session, a_submit(destination_addr=ELSEWHERE))
            assert answer.status == Status.ESME_RINVDSTADR

    def test_data_codings_are_those_of_the_profile(self) -> None:
        """L-D19 for ``link``; the others take all that have a meaning."""
        for profile, status in (("link", 0x45), ("standard", 0), ("websmpp", 0)):
            session = self.a_session(profile)
            codings = (5, 6, 14, 0xC8)
            answers = self.submit(session, *(a_submit(data_coding=each) for each in codings))
            assert {pdu.status for pdu in answers} == {status}, profile
            [plain] = self.submit(session, a_submit(data_coding=0xF0))
            assert plain.status == 0

    def test_the_store_failing_is_a_system_error(self) -> None:
        """ESME_RSYSERR: the client may try again."""
        self.journey.journal.broken = "disk full"
        answers = self.submit(self.a_session(), a_submit(1), a_submit(2))
        assert [pdu.status for pdu in answers] == [Status.ESME_RSYSERR] * 2

    def test_over_the_rate_it_is_throttled(self) -> None:
        """Six submits in one second of five: the sixth is 0x58 (L-D8)."""
        self.journey.provisioning.accounts["acme"].rate = 5
        self.journey.provision(self.journey.provisioning)
        answers = self.submit(self.a_session(), *[a_submit(n) for n in range(1, 7)])
        assert [pdu.status for pdu in answers] == [0] * 5 + [Status.ESME_RTHROTTLED]

    def test_what_is_refused_is_counted(self) -> None:
        """By its reason, whether the fields or the journey ruled it out (I7)."""
        self.submit(self.a_session(), a_submit(1, esm_class=4), a_submit(2, source_addr=b""))
        assert self.journey.acceptance.refused == {
            Reason.BAD_ESM_CLASS: 1,
            Reason.BAD_SOURCE: 1,
        }

    def test_messages_are_of_the_sessions_account(self) -> None:
        """Whatever the client writes (I6)."""
        self.submit(self.a_session(), a_submit())
        [row] = self.journey.rows(schema.message)
        assert row.account == "acme"

    def test_ids_are_written_as_the_profile_does(self) -> None:
        """32 hex digits on standard (E-D28), decimal digits on link (L-D24) and websmpp."""
        [answer] = self.submit(self.a_session("standard"), a_submit())
        assert from_guid(answer.message_id.decode()) is not None
        for profile in ("link", "websmpp"):
            [answer] = self.submit(self.a_session(profile), a_submit())
            assert answer.message_id.isdigit()
            assert 1 <= len(answer.message_id) <= 20

    def test_a_33_session_gets_eight_hex_digits(self) -> None:
        """Each message another, and other ones after a restart (spec/smpp.md §4)."""
        session = self.a_session(version=0x33)
        answers = self.submit(session, *[a_submit(n) for n in range(1, 101)])
        names = {pdu.message_id for pdu in answers}
        assert len(names) == 100
        assert all(len(name) == 8 and int(name, 16) for name in names)
        self.journey.clock.advance(1)
        again = Esmes(
            self.doors,
            self.journey.acceptance,
            self.journey.handover,
            self.journey.wordings,
            self.submitted,
            self.a_submissions(),
            Binds(Config(), self.journey.current, self.journey.clock.seconds),
            self.journey.clock.seconds,
        )
        again.submit(session, [a_submit()])
        assert session.answers[0].message_id not in names

    def test_no_message_has_the_number_0(self) -> None:
        """0 means that a message has no such number."""
        self.journey.clock.rightNow = (0x0170 << 32) / 1000  # its low 32 bits are 0
        [answer] = self.submit(self.a_session(version=0x33), a_submit())
        assert int(answer.message_id, 16) != 0


class BindTests(EsmesCase):
    def test_a_receiver_gets_what_waits(self) -> None:
        """From the moment it is bound until it is unbound."""
        self.journey.mo()
        session = self.a_session()
        self.esmes.bound(session)
        assert session.texts() == ["Hi"]
        self.esmes.delivered(session, [(session.delivered.pop()[1], 0)])
        assert self.journey.entries() == []
        self.esmes.unbound(session)
        self.journey.mo()
        assert session.delivered == []

    def test_a_transmitter_gets_nothing(self) -> None:
        """It cannot receive."""
        self.journey.mo()
        session = self.a_session(receives=False)
        self.esmes.bound(session)
        assert session.delivered == []

    def test_sessions_are_shown_by_account(self) -> None:
        """All that are bound, of all its credentials."""
        sessions = [FakeSession(Login("acme", name)) for name in ("one", "one", "two")]
        sessions.append(FakeSession(Login("other", "three")))
        for session in sessions:
            self.esmes.bound(session)  # type: ignore[arg-type]
        assert self.esmes.sessions() == {"acme": 3, "other": 1}
        for session in sessions:
            self.esmes.unbound(session)  # type: ignore[arg-type]
        assert self.esmes.sessions() == {}


class WordingsTests(JourneyCase):
    def wordings(self, **settings: dict[str, Any]) -> Wordings:
        provisioning = Provisioning(accounts={"acme": Account("acme", settings=settings)})
        self.tables = Tables(provisioning, 1)
        return Wordings(Config(), lambda: self.tables)

    def test_defaults_are_those_of_the_dialects(self) -> None:
        """Id format, dates with seconds, and REJECTD for UNDELIV on link only."""
        wordings = self.wordings()
        assert wordings.receipts("acme", "standard") == ("hex", False, False)
        assert wordings.receipts("acme", "websmpp") == ("decimal", False, False)
        assert wordings.receipts("acme", "link") == ("decimal", True, True)

    def test_an_account_may_have_its_own(self) -> None:
        """[account.settings.link] and [account.settings.aerialink] (rulings 13 and 28)."""
        wordings = self.wordings(
            link={"dlr_format": "minutes", "id_format": "uuid"}, aerialink={"id_format": "decimal"}
        )
        assert wordings.receipts("acme", "link") == ("uuid", False, True)
        assert wordings.receipts("acme", "standard") == ("decimal", False, False)
        assert wordings.receipts("withdrawn", "link") == ("decimal", True, True)

    def test_a_change_is_in_force_with_the_next_version(self) -> None:
        """What was read of the last one is forgotten."""
        wordings = self.wordings()
        assert wordings.receipts("acme", "standard")[0] == "hex"
        account = Account("acme", settings={"aerialink": {"id_format": "uuid"}})
        self.tables = Tables(Provisioning(accounts={"acme": account}), 2)
        assert wordings.receipts("acme", "standard")[0] == "uuid"


class ListenerTests(EsmesCase):
    """The same behind the real listener, with a connection in memory."""

    def setUp(self) -> None:
        super().setUp()
        credential = Credential(
            "smpp", "acme", password_hash="x", allow=["192.0.2.0/24"], binds=2, window=5
        )
        self.journey.provisioning.accounts["acme"].credential = [credential]
        self.journey.provision(self.journey.provisioning)
        self.patch(doors, "verify", lambda _, given: given == "secret")
        self.factory = SmppServerFactory(self.esmes, STANDARD, self.journey.clock)

    def connect(self, host: str = "192.0.2.7") -> tuple[Any, TcpTransport]:
        connection: Any = self.factory.buildProtocol(IPv4Address("TCP", host, 40000))
        transport = TcpTransport(host)
        connection.makeConnection(transport)
        return connection, transport

    def a_bind(
        self, kind: type[Pdu] = BindTransceiver, password: bytes = b"secret", version: int = 0x34
    ) -> Pdu:
        return kind(
            sequence=1,
            system_id=b"acme",  # type: ignore[call-arg]
            password=password,
            interface_version=version,
        )

    def bind(self, *given: Any, **fields: Any) -> tuple[Any, TcpTransport, Pdu]:
        connection, transport = self.connect()
        pdu = self.a_bind(*given, **fields)
        answer, *self.after_bind = self.say(connection, transport, pdu)
        return connection, transport, answer

    def say(self, connection: Any, transport: TcpTransport, *pdus: Pdu) -> list[Any]:
        connection.dataReceived(encode_all(list(pdus)))
        return transport.said()

    def test_a_submit_is_answered(self) -> None:
        """Bind, submit, response with the id of the message in the store."""
        connection, transport, answer = self.bind()
        assert isinstance(answer, BindTransceiverResp)
        assert answer.status == 0
        [response] = self.say(connection, transport, a_submit(2))
        [row] = self.journey.rows(schema.message)
        assert (response.sequence, response.message_id) == (2, to_hex(row.id).encode())

    def test_a_wrong_password_is_refused(self) -> None:
        """ESME_RINVPASWD, and nothing is bound."""
        _, _, answer = self.bind(password=b"wrong")
        assert answer.status == Status.ESME_RINVPASWD
        assert self.esmes.sessions() == {}

    def rights(self, **fields: Any) -> None:
        """The account's login has these rights from now on, as after ``smsgw apply``."""
        account = self.journey.provisioning.accounts["acme"]
        account.credential = [evolve(account.credential[0], **fields)]
        self.journey.provision(self.journey.provisioning)
        self.esmes.review(self.journey.tables)

    def test_a_bind_needs_the_rights_of_its_type(self) -> None:
        """To send as transmitter, to receive as receiver, both as transceiver (F-6)."""
        kinds = (BindTransmitter, BindReceiver, BindTransceiver)
        for resources, expected in (
            ([], [0, 0, 0]),
            (["send", "status"], [0, 0x0D, 0x0D]),
            (["receive"], [0x0D, 0, 0x0D]),
            (["receive", "send"], [0, 0, 0]),
            (["status"], [0x0D, 0x0D, 0x0D]),
        ):
            self.rights(resources=resources, binds=20)
            assert [self.bind(kind)[2].status for kind in kinds] == expected

    def test_a_login_of_other_interfaces_does_not_bind(self) -> None:
        """Whatever it may do there."""
        self.rights(interfaces=["rest"])
        assert self.bind()[2].status == 0x0D
        self.rights(interfaces=["rest", "smpp"])
        assert self.bind()[2].status == 0

    def test_whose_right_is_revoked_is_unbound(self) -> None:
        """Those that could bind as they did stay."""
        _, receiver, _ = self.bind(BindReceiver)
        _, transmitter, _ = self.bind(BindTransmitter)
        self.rights(resources=["receive"])
        assert [type(pdu) for pdu in transmitter.said()] == [Unbind]
        assert receiver.said() == []
        self.rights(interfaces=["rest"])
        assert [type(pdu) for pdu in receiver.said()] == [Unbind]

    def test_an_account_that_expires_is_refused_and_unbound(self) -> None:
        """Submits from the end of its last day, sessions when they are reviewed, binds for good."""
        account = self.journey.provisioning.accounts["acme"]
        account.expires = "2027-01-15"
        self.rights()
        connection, transport, answer = self.bind()
        assert answer.status == 0
        self.journey.clock.rightNow += 16 * 3600
        assert self.bind()[2].status == 0x0D
        [refused] = self.say(connection, transport, a_submit(2))
        assert refused.status == 0x0D
        self.esmes.review(self.journey.tables)
        assert [type(pdu) for pdu in transport.said()] == [Unbind]

    def test_whose_parent_is_suspended_is_unbound(self) -> None:
        """Suspension holds for all below."""
        accounts = self.journey.provisioning.accounts
        accounts["group"] = Account("group")
        accounts["acme"].parent = "group"
        self.rights()
        _, transport, answer = self.bind()
        assert answer.status == 0
        accounts["group"].suspended = True
        self.rights()
        assert [type(pdu) for pdu in transport.said()] == [Unbind]
        assert self.bind()[2].status == 0x0D

    def test_more_binds_than_allowed_are_refused(self) -> None:
        """0x05 on every profile (ruling 7); the others are unharmed, once they have shown life."""
        others = [self.bind() for _ in range(2)]
        connection, transport = self.connect()
        assert self.say(connection, transport, self.a_bind()) == []
        for other, heard, _ in others:
            [ask] = heard.said()
            assert self.say(other, heard, ask.response()) == []
        [answer] = transport.said()
        assert answer.status == Status.ESME_RALYBND
        assert transport.closed
        assert self.esmes.sessions() == {"acme": 2}

    def test_the_place_of_a_dead_session_is_free(self) -> None:
        """It answers no enquire_link for 5 s and is cut off: the new one is bound (W-D2)."""
        (dead, silent, _), (other, heard, _) = self.bind(), self.bind()
        connection, transport = self.connect()
        self.say(connection, transport, self.a_bind())
        self.say(other, heard, *(ask.response() for ask in heard.said()))
        self.journey.clock.advance(5)
        assert silent.aborted
        dead.connectionLost(Failure(ConnectionDone()))
        [answer] = transport.said()
        assert answer.status == 0
        assert self.esmes.sessions() == {"acme": 2}

    def test_an_address_of_nobody_is_closed_without_an_octet(self) -> None:
        """Ruling 7."""
        _, transport = self.connect("198.51.100.7")
        assert transport.disconnecting
        assert transport.value() == b""

    def test_bad_fields_harm_nobody(self) -> None:
        """A coding that cannot be flash is refused, and the session goes on (I7)."""
        connection, transport, _ = self.bind()
        bad = a_submit(2, data_coding=3, tlvs=[(0x0005, b"\x01")])
        answers = self.say(connection, transport, bad, a_submit(3))
        statuses = {pdu.sequence: pdu.status for pdu in answers}
        assert statuses == {2: Status.ESME_RSUBMITFAIL, 3: Status.ESME_ROK}
        assert not transport.closed

    def test_a_receipt_comes_after_the_response(self) -> None:
        """Also when the carrier's receipt is quicker than everything."""
        connection, transport, _ = self.bind()
        link = self.journey.link()
        [response] = self.say(connection, transport, a_submit(2, registered_delivery=1))
        assert isinstance(response, SubmitSmResp)
        link.answer(names=["a0"])
        assert transport.said() == []
        assert self.journey.receive("a0")
        [pdu] = transport.said()
        assert isinstance(pdu, DeliverSm)
        assert pdu.short_message.startswith(b"id:" + response.message_id + b" ")
        assert b" stat:DELIVRD " in pdu.short_message
        assert self.say(connection, transport, DeliverSmResp(sequence=pdu.sequence)) == []
        assert self.journey.entries() == []

    def test_what_a_lost_session_had_is_not_held_back(self) -> None:
        """The next bind gets it at once; L-D10 is for those who do not answer."""
        connection, transport, _ = self.bind()
        self.journey.mo()
        assert len(transport.said()) == 1
        connection.connectionLost(Failure(ConnectionDone()))
        self.bind()
        [pdu] = self.after_bind
        assert isinstance(pdu, DeliverSm)
        assert pdu.short_message == b"Hi"

    def test_a_session_that_does_not_answer_gets_it_later(self) -> None:
        """After the response timer, and then a second."""
        _, transport, _ = self.bind()
        self.journey.mo()
        transport.said()
        self.journey.clock.advance(30.1)
        assert not [pdu for pdu in transport.said() if isinstance(pdu, DeliverSm)]
        self.journey.clock.advance(1.1)
        assert [pdu for pdu in transport.said() if isinstance(pdu, DeliverSm)]

    def test_a_transmitter_submits_and_receives_nothing(self) -> None:
        """MO wait for a receiver."""
        connection, transport, _ = self.bind(BindTransmitter)
        self.journey.mo()
        [answer] = self.say(connection, transport, a_submit(2))
        assert isinstance(answer, SubmitSmResp)
        assert transport.said() == []

    def test_an_answer_for_a_client_that_has_gone_is_dropped(self) -> None:
        """The message is accepted all the same."""
        connection, transport, _ = self.bind()
        self.journey.journal.waiting = True
        assert self.say(connection, transport, a_submit(2)) == []
        connection.connectionLost(Failure(ConnectionDone()))
        self.journey.journal.release()
        assert len(self.journey.entries("carrier:north")) == 1
