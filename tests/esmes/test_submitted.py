"""query_sm, cancel_sm, replace_sm and replace_if_present_flag, from PDU to PDU."""

from typing import Any

from twisted.internet.defer import succeed

from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.esmes.binds import Binds
from smsgw.esmes.gate import Esmes
from smsgw.esmes.queries33 import Queries33
from smsgw.esmes.submitted import Submitted
from smsgw.message import MessageState
from smsgw.provisioning import Account, Number
from smsgw.provisioning.accounts import Pool
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import CancelSm, Pdu, QuerySm, ReplaceSm, SubmitSm
from smsgw.smpp.profile import PROFILES
from smsgw.store import schema
from tests.flow.journey import (
    DESTINATION,
    HOUR_MS,
    NORTH,
    NOW_MS,
    SOURCE,
    FakeSession,
    JourneyCase,
    provisioned,
)

FROM = SOURCE.encode()
TO = DESTINATION.encode()
NOBODY = b"0" * 31 + b"1"


class SubmittedCase(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        self.make()

    def make(self) -> None:
        """The edge on the journey as it is now."""
        journey = self.journey
        now = journey.clock.seconds
        self.esmes = Esmes(
            Doors(journey.current, False, now, lambda check: succeed(check())),
            journey.acceptance,
            journey.handover,
            journey.wordings,
            Submitted(
                journey.current,
                journey.pending,
                journey.cancelling,
                journey.replacing,
                Queries33(journey.current, journey.pending, journey.balances, now),
                now,
            ),
            journey.submissions(),
            Binds(Config(), journey.current, now),
            now,
        )

    def a_session(self, profile: str = "standard", account: str = "acme", **fields: Any) -> Any:
        login = self.journey.login(account, profile=profile)
        return FakeSession(login, profile=PROFILES[profile], **fields)

    def submit(self, session: Any, **fields: Any) -> Any:
        """The answer to one submit_sm."""
        given = {"source_addr": FROM, "destination_addr": TO, "short_message": b"Hello"}
        self.esmes.submit(session, [SubmitSm(sequence=1, **{**given, **fields})])
        [answer], session.answers = session.answers, []
        return answer

    def name(self, session: Any, **fields: Any) -> bytes:
        """The id of a message that is accepted."""
        answer = self.submit(session, **fields)
        assert answer.status == 0
        return bytes(answer.message_id)

    def ask(self, session: Any, pdu: Pdu) -> Any:
        """The answer to one request."""
        pdu.sequence = 77
        self.esmes.ask(session, [pdu])  # type: ignore[list-item]
        [answer], session.answers = session.answers, []
        assert answer.sequence == 77
        return answer

    def query(self, session: Any, name: bytes, source: bytes = FROM, **fields: Any) -> Any:
        return self.ask(session, QuerySm(message_id=name, source_addr=source, **fields))

    def cancel(self, session: Any, **fields: Any) -> Status:
        """The status of the answer."""
        return Status(self.ask(session, CancelSm(**{"source_addr": FROM, **fields})).status)

    def replace(self, session: Any, name: bytes, **fields: Any) -> Status:
        """The status of the answer."""
        given = {"message_id": name, "source_addr": FROM, "short_message": b"Other"}
        return Status(self.ask(session, ReplaceSm(**{**given, **fields})).status)

    def queued(self) -> int:
        return len(self.journey.entries(NORTH))


class QueryTests(SubmittedCase):
    def test_what_waits_is_enroute(self) -> None:
        """No date, no error; the id comes back as it was given."""
        for profile in ("standard", "websmpp"):
            session = self.a_session(profile)
            name = self.name(session)
            answer = self.query(session, name)
            assert (answer.status, answer.message_id) == (0, name)
            assert (answer.message_state, answer.final_date, answer.error_code) == (1, b"", 0)

    def test_what_is_scheduled_is_enroute_too(self) -> None:
        """Ruling 12."""
        session = self.a_session()
        name = self.name(session, schedule_delivery_time=b"000000010000000R")
        assert self.query(session, name).message_state == MessageState.ENROUTE

    def test_a_final_state_has_its_date_and_error(self) -> None:
        """Of a message that was cancelled: DELETED, now, 221."""
        session = self.a_session()
        name = self.name(session)
        self.cancel(session, message_id=name)
        answer = self.query(session, name)
        assert (answer.message_state, answer.error_code) == (MessageState.DELETED, 221)
        assert answer.final_date == b"270115080000000+"

    def test_what_is_in_the_store_only_is_found(self) -> None:
        """After a restart, by an id in whatever form."""
        name = self.name(self.a_session())
        self.journey.restart()
        self.make()
        session = self.a_session()
        [row] = self.journey.rows(schema.message)
        for form in (name, name.upper(), str(row.id).encode()):
            assert self.query(session, form).message_state == MessageState.ENROUTE

    def test_a_33_session_asks_by_its_own_numbers(self) -> None:
        """Eight hex digits, also after a restart; a state that 3.3 has not is another there."""
        old = self.a_session(version=0x33)
        name = self.name(old)
        assert len(name) == 8
        assert self.query(old, name).message_state == MessageState.ENROUTE
        link = self.journey.link(window=1)
        link.lose()
        self.journey.restart()
        self.make()
        old = self.a_session(version=0x33)
        assert self.query(old, name).message_state == MessageState.ENROUTE
        assert self.query(old, b"%010d" % int(name, 16)).status == 0
        assert self.query(old, b"12345678").status == Status.ESME_RINVMSGID

    def test_a_33_session_is_told_states_of_33(self) -> None:
        """REJECTED is UNDELIVERABLE (spec/smpp.md §4)."""
        old = self.a_session(version=0x33)
        name = self.name(old)
        [message] = self.journey.known.known.values()
        message.state = MessageState.REJECTED
        assert self.query(old, name).message_state == MessageState.UNDELIVERABLE
        message.state = MessageState.ENROUTE

    def test_nobodys_and_others_messages_are_unknown(self) -> None:
        """ESME_RINVMSGID, which of both it is is not told (I6)."""
        name = self.name(self.a_session())
        other = self.a_session(account="other")
        assert self.query(other, name).status == Status.ESME_RINVMSGID
        for wrong in (NOBODY, b"", b"nonsense", b"\xff" * 64):
            assert self.query(self.a_session(), wrong).status == Status.ESME_RINVMSGID

    def test_the_source_must_be_the_messages(self) -> None:
        """In whatever form it is written; another is ESME_RQUERYFAIL."""
        session = self.a_session()
        name = self.name(session)
        for source in (FROM, b"+" + FROM, b"00" + FROM, b"0" + FROM[2:]):
            assert self.query(session, name, source).status == 0
        for source in (b"ACME", b"447700900001", b""):
            assert self.query(session, name, source).status == Status.ESME_RQUERYFAIL

    def test_a_default_sender_and_a_pool_are_meant_as_in_the_submit(self) -> None:
        """Nothing, or the pool's name, where the submit had that."""
        provisioning = provisioned()
        provisioning.accounts["acme"] = Account(
            name="acme",
            number=[Number(SOURCE)],
            sender="ACME",
            pool=[Pool("team", ["447700900001", "447700900002"])],
        )
        self.journey.provision(provisioning)
        session = self.a_session()
        for source in (b"", b"team"):
            name = self.name(session, source_addr=source)
            assert self.query(session, name, source).status == 0
            assert self.query(session, name, FROM).status == Status.ESME_RQUERYFAIL

    def test_a_store_that_cannot_be_read_is_a_system_error(self) -> None:
        """ESME_RSYSERR: the client may ask again."""
        name = self.name(self.a_session())
        self.journey.restart()
        self.make()
        self.journey.journal.unreadable = "disk gone"
        assert self.query(self.a_session(), name).status == Status.ESME_RSYSERR
        self.journey.journal.unreadable = ""
        assert len(self.flushLoggedErrors()) == 1


class CancelTests(SubmittedCase):
    def test_a_message_is_cancelled_by_its_id(self) -> None:
        """Once; then it is not pending any more."""
        session = self.a_session()
        name = self.name(session)
        assert self.cancel(session, message_id=name) == Status.ESME_ROK
        assert self.queued() == 0
        assert self.cancel(session, message_id=name) == Status.ESME_RCANCELFAIL

    def test_the_addresses_must_be_the_messages(self) -> None:
        """The source always, the destination if it is given."""
        session = self.a_session()
        name = self.name(session)
        refused = Status.ESME_RCANCELFAIL
        assert self.cancel(session, message_id=name, source_addr=b"ACME") == refused
        assert self.cancel(session, message_id=name, destination_addr=b"447700900124") == refused
        assert self.cancel(session, message_id=name, destination_addr=b"+" + TO) == 0

    def test_unknown_ids_are_told(self) -> None:
        """ESME_RINVMSGID, also for another account's."""
        name = self.name(self.a_session())
        other = self.a_session(account="other")
        for session, wrong in ((other, name), (self.a_session(), NOBODY)):
            assert self.cancel(session, message_id=wrong) == Status.ESME_RINVMSGID
        assert self.queued() == 1

    def test_without_an_id_all_of_the_addresses_are_cancelled(self) -> None:
        """If there is none, ESME_RCANCELFAIL (spec/smpp.md §3)."""
        session = self.a_session()
        for _ in range(3):
            self.name(session)
        self.name(session, destination_addr=b"447700900124")
        self.name(session, service_type=b"WAP")
        assert self.cancel(session, destination_addr=TO) == 0
        assert self.queued() == 2
        assert self.cancel(session, destination_addr=TO) == Status.ESME_RCANCELFAIL
        assert self.cancel(session, destination_addr=TO, service_type=b"WAP") == 0

    def test_without_an_id_both_addresses_are_needed(self) -> None:
        """Each has its status."""
        session = self.a_session()
        assert self.cancel(session) == Status.ESME_RINVDSTADR
        assert self.cancel(session, destination_addr=b"12") == Status.ESME_RINVDSTADR
        bad = self.cancel(session, destination_addr=TO, source_addr=b"")
        assert bad == Status.ESME_RINVSRCADR

    def test_a_message_of_a_33_session_is_cancelled(self) -> None:
        """By its eight digits."""
        session = self.a_session(version=0x33)
        assert self.cancel(session, message_id=self.name(session)) == 0
        assert self.queued() == 0

    def test_the_store_failing_is_a_system_error(self) -> None:
        """And the message stays."""
        session = self.a_session()
        name = self.name(session)
        self.journey.journal.broken = "disk full"
        assert self.cancel(session, message_id=name) == Status.ESME_RSYSERR
        assert self.cancel(session, destination_addr=TO) == Status.ESME_RSYSERR
        self.journey.journal.broken = ""
        assert self.queued() == 1


class ReplaceTests(SubmittedCase):
    def sent(self) -> list[bytes]:
        return [pdu.short_message for pdu, _ in self.journey.link().submitted]

    def test_the_text_is_replaced(self) -> None:
        """By that of short_message, or of message_payload."""
        session = self.a_session()
        name = self.name(session)
        assert self.replace(session, name) == 0
        payload = [(int(Tag.MESSAGE_PAYLOAD), b"Payload")]
        other = self.name(session)
        assert self.replace(session, other, short_message=b"", tlvs=payload) == 0
        assert self.sent() == [b"Other", b"Payload"]

    def test_an_empty_text_is_no_change(self) -> None:
        """Only times and the receipt are another."""
        session = self.a_session()
        name = self.name(session)
        changed = self.replace(
            session,
            name,
            short_message=b"",
            schedule_delivery_time=b"000000010000000R",
            validity_period=b"000000030000000R",
            registered_delivery=1,
        )
        assert changed == 0
        [entry] = self.journey.entries(NORTH)
        assert (entry.due, entry.expires_at) == (NOW_MS + HOUR_MS, NOW_MS + 3 * HOUR_MS)
        [message] = self.journey.known.known.values()
        assert (message.parts, message.registered_delivery) == ([b"Hello"], 1)

    def test_each_fault_has_its_status(self) -> None:
        """And changes nothing."""
        session = self.a_session()
        name = self.name(session)
        payload = [(int(Tag.MESSAGE_PAYLOAD), b"Payload")]
        for fields, status in (
            ({"message_id": NOBODY}, Status.ESME_RINVMSGID),
            ({"source_addr": b"ACME"}, Status.ESME_RREPLACEFAIL),
            ({"schedule_delivery_time": b"soon"}, Status.ESME_RINVSCHED),
            ({"schedule_delivery_time": b"000031000000000R"}, Status.ESME_RINVSCHED),
            ({"validity_period": b"soon"}, Status.ESME_RINVEXPIRY),
            ({"validity_period": b"260115080000000+"}, Status.ESME_RINVEXPIRY),
            ({"sm_default_msg_id": 1}, Status.ESME_RINVDFTMSGID),
            ({"registered_delivery": 0x20}, Status.ESME_RINVREGDLVFLG),
            ({"tlvs": payload}, Status.ESME_ROPTPARNOTALLWD),
            (
                {"short_message": b"", "tlvs": [(payload[0][0], b"x" * 2000)]},
                Status.ESME_RINVMSGLEN,
            ),
        ):
            assert self.replace(session, name, **fields) == status, fields
        assert self.sent() == [b"Hello"]
        assert self.replace(session, name) == Status.ESME_RREPLACEFAIL

    def test_without_credit_it_has_failed(self) -> None:
        """ESME_RSUBMITFAIL is no status of replace_sm."""
        session = self.a_session()
        name = self.name(session)
        self.journey.provisioning.accounts["acme"].balance = "0"
        self.journey.provision(self.journey.provisioning)
        failed = self.replace(session, name, short_message=b"x" * 200)
        assert failed == Status.ESME_RREPLACEFAIL

    def test_replace_if_present_takes_the_place_of_what_waits(self) -> None:
        """On standard and websmpp: the answer has the id of what was replaced."""
        session = self.a_session()
        first = self.name(session, replace_if_present_flag=1)
        again = self.name(session, replace_if_present_flag=1, short_message=b"Other")
        assert again == first
        assert self.name(session, short_message=b"Third") != first
        assert self.sent() == [b"Other", b"Third"]

    def test_one_read_is_in_order(self) -> None:
        """What was submitted before in the same read can be replaced."""
        session = self.a_session()
        fields: dict[str, Any] = {"source_addr": FROM, "destination_addr": TO}
        self.esmes.submit(
            session,
            [
                SubmitSm(sequence=1, short_message=b"one", **fields),
                SubmitSm(sequence=2, short_message=b"two", replace_if_present_flag=1, **fields),
            ],
        )
        first, second = session.answers
        assert (first.sequence, second.sequence) == (1, 2)
        assert first.message_id == second.message_id
        assert self.sent() == [b"two"]

    def test_a_33_session_may_replace_what_another_submitted(self) -> None:
        """It is told a number of its own for it."""
        name = self.name(self.a_session())
        old = self.a_session(version=0x33)
        alias = self.name(old, replace_if_present_flag=1, short_message=b"Other")
        assert len(alias) == 8
        assert self.query(old, alias).status == 0
        assert self.query(self.a_session(), name).status == 0
        assert self.queued() == 1

    def test_link_does_not_replace(self) -> None:
        """L-D11: neither replace_sm nor the flag; ESME_RINVSUBREP."""
        session = self.a_session("link")
        answer = self.submit(session, replace_if_present_flag=1)
        assert answer.status == Status.ESME_RINVSUBREP


class TimesTests(SubmittedCase):
    def test_how_far_ahead_a_profile_schedules(self) -> None:
        """Seven days on link (L-D21), 30 elsewhere; ESME_RINVSCHED."""
        for profile, days in (("link", 7), ("standard", 30), ("websmpp", 30)):
            session = self.a_session(profile)
            at = b"0000%02d000000000R" % days
            assert self.submit(session, schedule_delivery_time=at).status == 0
            at = b"0000%02d000001000R" % days
            late = self.submit(session, schedule_delivery_time=at)
            assert late.status == Status.ESME_RINVSCHED

    def test_how_long_a_profile_keeps_a_message(self) -> None:
        """More than seven days: ESME_RINVEXPIRY on link (L-D21), elsewhere cut to seven days."""
        for profile, status in (("link", Status.ESME_RINVEXPIRY), ("standard", 0)):
            session = self.a_session(profile)
            assert self.submit(session, validity_period=b"000007000000000R").status == 0
            longer = self.submit(session, validity_period=b"000007000001000R")
            assert longer.status == status

    def test_times_without_a_zone_are_utc(self) -> None:
        """L-R8."""
        self.submit(self.a_session("link"), schedule_delivery_time=b"270115090000")
        [entry] = self.journey.entries(NORTH)
        assert entry.due == NOW_MS + HOUR_MS

    def test_a_schedule_is_kept_here(self) -> None:
        """The carrier gets the message at its time, without a schedule, with what is left."""
        self.submit(
            self.a_session(),
            schedule_delivery_time=b"000000010000000R",
            validity_period=b"000000030000000R",
        )
        link = self.journey.link()
        assert link.submitted == []
        self.journey.clock.advance(3600)
        [(pdu, _)] = link.submitted
        assert pdu.schedule_delivery_time == b""
        assert pdu.validity_period == b"000000020000000R"
