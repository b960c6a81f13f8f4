"""submit_multi and data_sm on the journey, from PDU to PDU."""

from typing import Any

from attrs import evolve

from smsgw.esmes.submissions import MOST_DESTINATIONS
from smsgw.message import MessageState
from smsgw.operate import views
from smsgw.provisioning import Account
from smsgw.refusals import Reason
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import (
    CancelSm,
    DataSm,
    DataSmResp,
    DistributionList,
    QuerySm,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    UnsuccessSme,
)
from smsgw.smpp.tlv import put
from smsgw.store import schema
from tests.esmes.test_submitted import SubmittedCase
from tests.flow.journey import ACME, DESTINATION, NORTH, NOW_MS, SOURCE

FROM = SOURCE.encode()
OTHER = "447700900124"
ELSEWHERE = "33123456789"  # no route leads there


def sme(number: str) -> SmeAddress:
    return SmeAddress(1, 1, number.encode())


class SubmissionsCase(SubmittedCase):
    def send(self, session: Any, pdu: SubmitMulti | DataSm) -> Any:
        """The answer to one request."""
        pdu.sequence = 42
        self.esmes.send(session, [pdu])
        [answer], session.answers = session.answers, []
        assert answer.sequence == 42
        return answer

    def multi(self, session: Any, *destinations: Any, **fields: Any) -> SubmitMultiResp:
        """The answer to one submit_multi."""
        given: dict[str, Any] = {
            "source_addr": FROM,
            "short_message": b"Hello",
            "dest_addresses": [sme(one) if isinstance(one, str) else one for one in destinations],
        }
        answer = self.send(session, SubmitMulti(**{**given, **fields}))
        assert isinstance(answer, SubmitMultiResp)
        return answer

    def data(self, session: Any, text: bytes | None = b"Hello", **fields: Any) -> DataSmResp:
        """The answer to one data_sm."""
        given: dict[str, Any] = {
            "source_addr": FROM,
            "destination_addr": DESTINATION.encode(),
            "tlvs": [] if text is None else [put(Tag.MESSAGE_PAYLOAD, text)],
        }
        answer = self.send(session, DataSm(**{**given, **fields}))
        assert isinstance(answer, DataSmResp)
        return answer

    def ended(self, name: str, state: int) -> None:
        """Receipts for all that waited for north, in this state."""
        taker = self.journey.link()
        taker.answer(names=[f"{name}{n}" for n in range(len(taker.submitted))])
        for row in self.journey.rows(schema.part):
            if row.carrier_id.startswith(name):
                self.journey.receive(row.carrier_id, state)


class SubmitMultiTests(SubmissionsCase):
    def test_all_are_accepted_in_one_transaction(self) -> None:
        """Nothing is answered before the commit (I1), which is one for all."""
        session = self.a_session()
        self.journey.journal.waiting = True
        self.esmes.send(
            session,
            [SubmitMulti(source_addr=FROM, dest_addresses=[sme(DESTINATION), sme(OTHER)])],
        )
        assert session.answers == []
        assert self.journey.journal.line == 1
        self.journey.journal.release()
        assert len(session.answers) == 1
        assert len(self.journey.rows(schema.batch)) == 1
        assert self.queued() == 2

    def test_one_request_of_an_account_is_made_after_the_other(self) -> None:
        """A few octets may name 10,000 members: what waits is PDUs, not messages (I5)."""
        session = self.a_session()
        self.journey.journal.waiting = True
        pdus: list[Any] = [
            SubmitMulti(sequence=n, source_addr=FROM, dest_addresses=[sme(DESTINATION), sme(OTHER)])
            for n in (1, 2)
        ]
        self.esmes.send(session, pdus)
        assert self.journey.journal.line == 1
        self.journey.journal.release()
        assert sorted(pdu.sequence for pdu in session.answers) == [1, 2]
        assert self.queued() == 4

    def test_the_same_number_twice_is_one_message(self) -> None:
        """In whatever form it is written."""
        session = self.a_session()
        national = SmeAddress(2, 1, b"07700900123")
        answer = self.multi(
            session, DESTINATION, national, SmeAddress(0, 0, b"+" + b"447700900123")
        )
        assert (answer.status, answer.unsuccess_sme) == (0, [])
        assert self.queued() == 1

    def test_one_destination_has_the_id_of_its_message(self) -> None:
        """No batch is made for it."""
        self.multi(self.a_session(), DESTINATION)
        assert self.journey.rows(schema.batch) == []

    def test_faults_of_the_fields_refuse_the_request(self) -> None:
        """Each with its own status, before any destination is looked at."""
        session = self.a_session()
        faults: dict[int, dict[str, Any]] = {
            Status.ESME_RINVESMCLASS: {"esm_class": 0x04},
            Status.ESME_RINVPRTFLG: {"priority_flag": 9},
            Status.ESME_RINVSCHED: {"schedule_delivery_time": b"x"},
            Status.ESME_RINVEXPIRY: {"validity_period": b"x"},
            Status.ESME_RINVREPFLAG: {"replace_if_present_flag": 2},
            Status.ESME_RINVSUBREP: {"replace_if_present_flag": 1},
            Status.ESME_ROPTPARNOTALLWD: {"tlvs": [put(Tag.MESSAGE_PAYLOAD, b"twice")]},
        }
        for status, fields in faults.items():
            assert self.multi(session, DESTINATION, OTHER, **fields).status == status
        assert self.queued() == 0

    def test_each_refusal_is_named_as_the_client_wrote_it(self) -> None:
        """With its own status; on websmpp with that of its table (ruling 4)."""
        for profile, status in (("standard", 0x432), ("websmpp", Status.ESME_RINVDSTADR)):
            answer = self.multi(self.a_session(profile), DESTINATION, ELSEWHERE)
            assert answer.unsuccess_sme == [UnsuccessSme(1, 1, ELSEWHERE.encode(), status)]

    def test_a_rate_counts_parts_of_the_request_together(self) -> None:
        """All of it passes, or ESME_RTHROTTLED says that none of it did (L-D8)."""
        self.journey.provisioning.accounts["acme"].rate = 5
        self.journey.provision(self.journey.provisioning)
        session = self.a_session()
        numbers = [f"4477009001{n:02}" for n in range(6)]
        assert self.multi(session, *numbers).status == Status.ESME_ROK
        assert self.multi(session, DESTINATION, OTHER).status == Status.ESME_RTHROTTLED
        assert self.queued() == 6

    def test_credit_reaches_as_far_as_it_does(self) -> None:
        """The rest is named with ESME_RSUBMITFAIL; the sum is charged with the messages (I8)."""
        journey = self.journey
        journey.provision(
            evolve(
                journey.provisioning,
                accounts={"acme": Account("acme", balance="0", credit_limit="0.0150")},
            )
        )
        answer = self.multi(self.a_session(), DESTINATION, OTHER)
        assert [one.error_status_code for one in answer.unsuccess_sme] == [0x45]
        assert self.queued() == 1

    def test_the_store_failing_is_a_system_error(self) -> None:
        """ESME_RSYSERR for the whole request: the client may try again."""
        self.journey.journal.broken = "disk full"
        assert self.multi(self.a_session(), DESTINATION, OTHER).status == Status.ESME_RSYSERR

    def test_lists_are_bounded(self) -> None:
        """ESME_RINVNUMDESTS beyond 10,000 members; and no list is read twice."""
        lists = self.journey.contact_lists
        lists["acme", "all"] = [str(447700000000 + n) for n in range(MOST_DESTINATIONS)]
        session = self.a_session()
        all = DistributionList(b"all")
        assert self.multi(session, all, OTHER).status == Status.ESME_RINVNUMDESTS
        lists["acme", "all"] = [DESTINATION, OTHER]
        assert self.multi(session, *[all] * 254).status == Status.ESME_ROK
        assert self.queued() == 2

    def test_a_list_of_another_account_is_unknown(self) -> None:
        """I6: ESME_RINVDLNAME, as for a list that nobody has."""
        self.journey.contact_lists["other", "staff"] = [DESTINATION]
        answer = self.multi(self.a_session(), DistributionList(b"staff"))
        assert answer.status == Status.ESME_RINVDLNAME
        assert self.journey.acceptance.refused == {Reason.UNKNOWN_LIST: 1}

    def test_more_than_255_refusals_are_not_all_named(self) -> None:
        """no_unsuccess is one octet; the answer can be written."""
        numbers = [str(33100000000 + n) for n in range(300)]
        self.journey.contact_lists["acme", "many"] = numbers
        answer = self.multi(self.a_session(), DESTINATION, DistributionList(b"many"))
        assert len(answer.unsuccess_sme) == 255

    def test_the_id_survives_a_restart(self) -> None:
        """Receipts that come later have it too."""
        session = self.a_session()
        name = self.multi(session, DESTINATION, OTHER, registered_delivery=1).message_id
        self.journey.restart()
        self.make()
        self.ended("m", MessageState.DELIVERED)
        receiver = self.journey.session()
        texts = receiver.texts()
        assert len(texts) == 2
        assert all(text.startswith(f"id:{name.decode()} ") for text in texts)
        self.journey.respond(receiver)
        assert self.journey.entries(ACME) == []


class BatchTests(SubmissionsCase):
    def test_the_state_of_a_request_is_that_of_the_worst(self) -> None:
        """ENROUTE until all have ended; then the first that was not delivered; else DELIVERED."""
        session = self.a_session()
        name = self.multi(session, DESTINATION, OTHER, registered_delivery=1).message_id
        assert self.query(session, name).message_state == MessageState.ENROUTE
        link = self.journey.link()
        link.answer()
        self.journey.receive("a0", MessageState.DELIVERED)
        assert self.query(session, name).message_state == MessageState.ENROUTE
        self.journey.receive("a1", MessageState.EXPIRED)
        answer = self.query(session, name)
        assert answer.message_state == MessageState.EXPIRED
        assert answer.final_date
        assert answer.message_id == name

    def test_all_delivered_is_delivered(self) -> None:
        """With the date of the last."""
        session = self.a_session()
        name = self.multi(session, DESTINATION, OTHER, registered_delivery=1).message_id
        self.ended("m", MessageState.DELIVERED)
        assert self.query(session, name).message_state == MessageState.DELIVERED

    def test_another_source_or_account_may_not_ask(self) -> None:
        """ESME_RQUERYFAIL for another source; of others' requests nobody knows (I6)."""
        session = self.a_session()
        name = self.multi(session, DESTINATION, OTHER).message_id
        assert self.query(session, name, b"447700900001").status == Status.ESME_RQUERYFAIL
        other = self.a_session(account="other")
        asked = QuerySm(message_id=name, source_addr=FROM)
        assert self.ask(other, asked).status == Status.ESME_RINVMSGID
        cancel = CancelSm(message_id=name, source_addr=FROM)
        assert self.ask(other, cancel).status == Status.ESME_RINVMSGID
        assert self.queued() == 2

    def test_cancelling_takes_what_is_still_pending(self) -> None:
        """What a carrier has goes on; a second time there is nothing left."""
        session = self.a_session()
        name = self.multi(session, DESTINATION, OTHER).message_id
        taker = self.journey.taker(NORTH, window=1)
        assert self.cancel(session, message_id=name) == Status.ESME_ROK
        assert self.queued() == 1
        assert [entry.message.destination for entry in taker.taken] == [DESTINATION]
        assert self.cancel(session, message_id=name) == Status.ESME_RCANCELFAIL

    def test_cancelling_what_the_store_does_not_take_is_a_system_error(self) -> None:
        """And all of it is still pending."""
        session = self.a_session()
        name = self.multi(session, DESTINATION, OTHER).message_id
        self.journey.journal.broken = "disk full"
        assert self.cancel(session, message_id=name) == Status.ESME_RSYSERR
        self.journey.journal.broken = ""
        assert self.cancel(session, message_id=name) == Status.ESME_ROK
        assert self.queued() == 0

    def test_a_33_session_names_a_request_by_its_eight_digits(self) -> None:
        """One row of the alias table is for all its messages."""
        session = self.a_session(version=0x33)
        name = self.multi(session, DESTINATION, OTHER).message_id
        [row] = self.journey.rows(schema.alias)
        assert f"{row.alias:08X}".encode() == name
        assert self.query(session, name).message_state == MessageState.ENROUTE
        assert self.cancel(session, message_id=name) == Status.ESME_ROK
        assert self.queued() == 0

    def test_what_is_replaced_leaves_the_number_of_the_request(self) -> None:
        """The eight digits mean all its messages still, and the new one has its own."""
        session = self.a_session(version=0x33)
        name = self.multi(session, DESTINATION, OTHER).message_id
        again = self.name(session, replace_if_present_flag=1, short_message=b"Other")
        assert again != name
        assert self.cancel(session, message_id=again) == Status.ESME_ROK
        assert self.query(session, again).message_state == MessageState.DELETED
        assert self.query(session, name).message_state == MessageState.ENROUTE
        assert self.queued() == 1

    def test_an_operator_finds_the_messages_of_a_request(self) -> None:
        """By the common id: the state is that of all, with a line for each."""
        session = self.a_session()
        id = views.parse_id(self.multi(session, DESTINATION, OTHER).message_id.decode())
        assert id is not None
        reading = self.journey.journal.run(lambda c: views.read_message(c, id))
        view: Any = self.successResultOf(reading)
        assert (view.state, view.account) == ("ENROUTE", "acme")
        assert [line.split()[1:] for line in view.messages] == [
            ["ENROUTE", DESTINATION],
            ["ENROUTE", OTHER],
        ]
        assert view.id == view.messages[0].split()[0]


class DataSmTests(SubmissionsCase):
    def test_those_of_one_read_are_one_commit(self) -> None:
        """Answers in their order, each with its own id."""
        session = self.a_session()
        pdus: list[Any] = [
            DataSm(
                sequence=n,
                source_addr=FROM,
                destination_addr=DESTINATION.encode(),
                tlvs=[put(Tag.MESSAGE_PAYLOAD, b"Hello")],
            )
            for n in (1, 2)
        ]
        self.journey.journal.waiting = True
        self.esmes.send(session, pdus)
        assert self.journey.journal.line == 1
        self.journey.journal.release()
        assert [pdu.sequence for pdu in session.answers] == [1, 2]
        assert len({pdu.message_id for pdu in session.answers}) == 2

    def test_a_long_payload_is_split(self) -> None:
        """As that of a submit_sm."""
        assert self.data(self.a_session(), b"x" * 161).status == 0
        assert self.queued() == 2

    def test_sar_makes_a_segment(self) -> None:
        """SAR TLVs become a UDH (spec/smpp.md §12)."""
        tlvs = [
            put(Tag.MESSAGE_PAYLOAD, b"part"),
            put(Tag.SAR_MSG_REF_NUM, 7),
            put(Tag.SAR_TOTAL_SEGMENTS, 2),
            put(Tag.SAR_SEGMENT_SEQNUM, 1),
        ]
        self.data(self.a_session(), tlvs=tlvs)
        link = self.journey.link()
        [(pdu, _)] = link.submitted
        assert (pdu.esm_class, pdu.short_message) == (0x40, b"\5\0\3\7\2\1part")
        link.answer()

    def test_the_time_to_live_is_its_validity(self) -> None:
        """qos_time_to_live in seconds."""
        ttl = put(Tag.QOS_TIME_TO_LIVE, 600)
        self.data(self.a_session(), tlvs=[put(Tag.MESSAGE_PAYLOAD, b"Hello"), ttl])
        [row] = self.journey.entries(NORTH)
        assert row.expires_at == NOW_MS + 600_000

    def test_without_a_payload_there_is_no_message(self) -> None:
        """ESME_RMISSINGOPTPARAM, and it is counted (I7)."""
        assert self.data(self.a_session(), None).status == Status.ESME_RMISSINGOPTPARAM
        assert self.journey.acceptance.refused == {Reason.PARAMETER_MISSING: 1}

    def test_refusals_are_those_of_a_submit(self) -> None:
        """By field and by journey."""
        session = self.a_session()
        assert self.data(session, esm_class=0x04).status == Status.ESME_RINVESMCLASS
        assert self.data(session, destination_addr=b"4" * 21).status == Status.ESME_RINVDSTADR
        assert self.data(session, destination_addr=ELSEWHERE.encode()).status == 0x432
