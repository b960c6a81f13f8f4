"""Handover: receipts and MO go to any session of the account that may receive."""

from typing import Any

from smsgw.flow.settle import RETRY_S
from smsgw.flow.targets import HANDOVER_MS
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account
from smsgw.queues import Kind
from smsgw.smpp import receipt
from smsgw.smpp.constants import DELIVERY_TEMPORARY, Status, Tag
from smsgw.smpp.pdu import SubmitSmResp
from smsgw.store import schema
from tests.flow.journey import DESTINATION, NOW_MS, SOURCE, FakeSession, JourneyCase


class HandoverCase(JourneyCase):
    def delivered_message(self, name: str = "a0", **fields: Any) -> Message:
        """A message of which a receipt is to be handed over."""
        message = self.journey.sent(name, **{"registered_delivery": 1, **fields})
        assert self.journey.receive(name)
        return message

    def mo_row(self) -> Any:
        [row] = [row for row in self.journey.rows(schema.message) if row.direction == 1]
        return row

    def advance(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)


class DeliveryTests(HandoverCase):
    def test_what_waited_comes_at_the_bind(self) -> None:
        """With no session bound it waits (L-D29); the first that may receive gets all."""
        self.delivered_message()
        self.journey.mo()
        session = self.journey.session()
        assert [entry.kind for _, entry in session.delivered] == [Kind.RECEIPT, Kind.MO]

    def test_what_comes_while_bound_comes_at_once(self) -> None:
        """After the commit it goes to the session without a look into the store."""
        session = self.journey.session()
        self.journey.mo()
        assert session.texts() == ["Hi"]

    def test_what_is_answered_is_done(self) -> None:
        """The entry is gone with the commit of the answer."""
        session = self.journey.session()
        self.delivered_message()
        self.journey.respond(session)
        assert self.journey.entries() == []
        assert self.journey.handover.delivered == 1

    def test_an_mo_that_is_answered_is_delivered(self) -> None:
        """That is its final state."""
        session = self.journey.session()
        self.journey.mo()
        self.advance(2)
        self.journey.respond(session)
        row = self.mo_row()
        assert (row.state, row.done_at) == (MessageState.DELIVERED, NOW_MS + 2000)
        assert self.journey.entries() == []

    def test_an_mo_is_handed_over_as_it_came(self) -> None:
        """Addresses, coding and octets of the handset."""
        session = self.journey.session()
        self.journey.mo(data_coding=8, short_message="Жук".encode("utf-16-be"), esm_class=0x80)
        [(pdu, _)] = session.delivered
        assert (pdu.source_addr, pdu.destination_addr) == (DESTINATION.encode(), SOURCE.encode())
        assert (pdu.data_coding, pdu.esm_class) == (8, 0x80)
        assert pdu.short_message.decode("utf-16-be") == "Жук"

    def test_no_other_account_gets_anything(self) -> None:
        """A session is given what is its account's (I6)."""
        self.journey.provisioning.accounts["other"] = Account("other")
        self.journey.provision(self.journey.provisioning)
        other = FakeSession(self.journey.login("other"))
        self.journey.handover.bound(other)  # type: ignore[arg-type]
        self.journey.mo()
        assert other.delivered == []
        assert len(self.journey.session().delivered) == 1

    def test_two_sessions_share_and_neither_gets_twice(self) -> None:
        """Any session of the account may have it, one of them does."""
        sessions = [self.journey.session(), self.journey.session()]
        for _ in range(10):
            self.journey.mo()
        got = [entry.id for session in sessions for _, entry in session.delivered]
        assert len(got) == len(set(got)) == 10

    def test_no_more_are_outstanding_than_the_window(self) -> None:
        """The next one is delivered after the answer (L-D10)."""
        session = self.journey.session(window=1)
        for text in (b"1", b"2", b"3"):
            self.journey.mo(short_message=text)
        for text in ("1", "2", "3"):
            assert session.texts() == [text]
            self.journey.respond(session)
        assert session.texts() == []

    def test_a_place_is_free_when_the_answer_is_settled(self) -> None:
        """No more than a window can be delivered twice after a crash (I2)."""
        session = self.journey.session(window=1)
        self.journey.mo()
        self.journey.mo()
        self.journey.journal.waiting = True
        self.journey.respond(session)
        assert session.delivered == []
        self.journey.journal.release()
        assert len(session.delivered) == 1

    def test_a_session_without_room_gets_nothing(self) -> None:
        """While it is ending, or its peer does not read."""
        session = self.journey.session(room=0)
        self.journey.mo()
        assert session.delivered == []

    def test_after_an_unbind_entries_wait_for_the_next_bind(self) -> None:
        """What was delivered and not answered comes again, once."""
        session = self.journey.session()
        self.journey.mo()
        self.journey.lose(session)
        self.journey.mo(short_message=b"later")
        assert session.delivered == []
        assert self.journey.session().texts() == ["Hi", "later"]

    def test_an_unbind_of_a_session_that_never_received_is_nothing(self) -> None:
        """A transmitter ends like any other."""
        self.journey.handover.unbound(FakeSession(self.journey.login()))  # type: ignore[arg-type]

    def test_after_a_restart_what_was_not_answered_is_delivered_again(self) -> None:
        """The entry lives until the account has answered (I1)."""
        self.delivered_message()
        self.journey.mo()
        session = self.journey.session(window=1)
        self.journey.respond(session)
        self.journey.restart()
        again = self.journey.session()
        self.advance(0)
        assert [entry.kind for _, entry in again.delivered] == [Kind.MO]


class RefusalTests(HandoverCase):
    def setUp(self) -> None:
        super().setUp()
        self.session = self.journey.session()

    def test_no_answer_backs_off(self) -> None:
        """A session that is bound and does not answer gets it again, later each time (L-D10)."""
        self.journey.mo()
        for wait in RETRY_S:
            self.journey.respond(self.session, None)
            self.advance(wait - 0.1)
            assert self.session.delivered == []
            self.advance(0.2)
            assert len(self.session.delivered) == 1
        assert self.journey.handover.unanswered == len(RETRY_S)

    def test_after_ten_tries_it_waits_longer(self) -> None:
        """Ten minutes, until the next one or until it expires."""
        self.journey.mo()
        for _ in range(10):
            self.journey.respond(self.session, None)
            self.advance(RETRY_S[-1])
        self.journey.respond(self.session, None)
        self.advance(599)
        assert self.session.delivered == []
        self.advance(2)
        assert len(self.session.delivered) == 1

    def test_a_lost_session_is_no_reason_to_wait(self) -> None:
        """Nothing is wrong with the next session: it gets at once what the lost one had."""
        self.journey.mo()
        other = self.journey.session()
        self.journey.lose(self.session)
        assert other.texts() + self.session.texts() == ["Hi"]

    def test_every_temporary_status_backs_off(self) -> None:
        """The client may take it later (spec/smpp.md §15)."""
        for status in sorted(DELIVERY_TEMPORARY):
            self.journey.mo()
            self.journey.respond(self.session, status)
        assert len(self.journey.entries()) == len(DELIVERY_TEMPORARY)
        assert self.journey.handover.refused == 0
        self.advance(1.1)
        assert len(self.session.delivered) == len(DELIVERY_TEMPORARY)

    def test_an_mo_that_is_refused_for_good_is_rejected(self) -> None:
        """It is not tried again (ruling 17), code 225."""
        self.journey.mo()
        self.journey.respond(self.session, Status.ESME_RX_P_APPN)
        row = self.mo_row()
        assert (row.state, row.error) == (MessageState.REJECTED, 225)
        assert self.journey.entries() == []
        assert self.journey.handover.refused == 1

    def test_a_receipt_that_is_refused_for_good_is_dropped(self) -> None:
        """Its message is what it was."""
        message = self.delivered_message()
        self.journey.respond(self.session, Status.ESME_RX_P_APPN)
        assert self.journey.entries() == []
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_an_answer_is_settled_when_the_store_takes_it(self) -> None:
        """Until then it is tried again, and the place in the window is not free."""
        self.journey.mo()
        self.journey.journal.broken = "disk full"
        self.journey.respond(self.session)
        assert len(self.journey.entries()) == 1
        self.journey.journal.broken = ""
        self.advance(1)
        assert self.journey.entries() == []
        assert self.mo_row().state == MessageState.DELIVERED

    def test_what_is_late_is_not_delivered(self) -> None:
        """After 72 hours in the queue a session that binds finds nothing (L-D29)."""
        self.journey.handover.unbound(self.session)  # type: ignore[arg-type]
        self.delivered_message()
        self.journey.mo()
        self.advance(HANDOVER_MS / 1000)
        session = self.journey.session()
        assert session.delivered == []
        assert self.journey.entries() == []
        assert self.mo_row().state == MessageState.EXPIRED


class WordsTests(HandoverCase):
    """What a receipt says depends on the profile of the session that gets it, and its account."""

    def told(self, profile: str = "standard") -> Any:
        session = self.journey.session(profile)
        [(pdu, _)] = session.delivered
        self.journey.respond(session)
        self.journey.handover.unbound(session)  # type: ignore[arg-type]
        read = receipt.parse(pdu)
        assert read is not None
        return read, pdu

    def undeliverable(self, error: str = "101") -> Message:
        message = self.journey.sent(registered_delivery=1)
        self.advance(90)
        assert self.journey.receive("a0", MessageState.UNDELIVERABLE, error=error)
        return message

    def test_on_standard_and_websmpp_undeliverable_is_undeliv(self) -> None:
        """Ruling 14, with dates of ten digits."""
        for profile in ("standard", "websmpp"):
            self.undeliverable()
            read, pdu = self.told(profile)
            assert (read.state, read.error) == (MessageState.UNDELIVERABLE, "101")
            assert b" done date:2701150801 " in pdu.short_message or profile == "websmpp"

    def test_on_link_undeliverable_is_rejectd(self) -> None:
        """L-D12 and ruling 14, with dates of twelve digits (L-R23)."""
        message = self.undeliverable()
        read, pdu = self.told("link")
        assert (read.state, read.error) == (MessageState.REJECTED, "101")
        assert b" done date:270115080130 stat:REJECTD " in pdu.short_message
        assert message.state == MessageState.UNDELIVERABLE

    def test_on_link_a_failed_message_has_the_state_of_its_code(self) -> None:
        """The last column of spec/link-smpp.md section 3; never what is no failure (L-D12)."""
        for error, state in (
            ("107", MessageState.EXPIRED),
            ("221", MessageState.DELETED),
            ("255", MessageState.REJECTED),
            ("000", MessageState.REJECTED),
        ):
            self.undeliverable(error)
            read, _ = self.told("link")
            assert read.state == state, error

    def test_ids_are_those_of_the_response(self) -> None:
        """32 hex digits on standard, decimal on websmpp and link."""
        for profile, length in (("standard", 32), ("websmpp", 19), ("link", 19)):
            message = self.delivered_message()
            read, _ = self.told(profile)
            assert len(read.id) <= length
            assert (read.id == str(message.id)) is (profile != "standard")

    def test_an_accounts_own_settings_win(self) -> None:
        """id_format and dlr_format of [account.settings.aerialink] (ruling 13)."""
        settings = {"aerialink": {"id_format": "decimal", "dlr_format": "seconds"}}
        self.journey.provisioning.accounts["acme"].settings = settings
        self.journey.provision(self.journey.provisioning)
        message = self.delivered_message()
        read, pdu = self.told()
        assert read.id == str(message.id)
        assert b" submit date:270115080000 " in pdu.short_message

    def test_progress_says_accepted_at_the_acknowledgement(self) -> None:
        """esm_class 0x20, stat ACCEPTD, the time when the carrier had it (ruling 11)."""
        message = self.journey.accepted(registered_delivery=0x10)
        taker = self.journey.taker()
        self.advance(75)
        [entry] = taker.taken
        answer = SubmitSmResp(message_id=b"a0")
        self.journey.result(self.journey.settlement.settle("north", [(entry, answer)]))
        read, pdu = self.told()
        assert pdu.esm_class == 0x20
        assert (read.state, read.intermediate) == (MessageState.ACCEPTED, True)
        assert read.done_at == NOW_MS + 60_000
        assert message.state == MessageState.ENROUTE

    def test_a_receipt_goes_back_to_who_sent(self) -> None:
        """Addresses are swapped (L-D28)."""
        self.delivered_message(source="ACME")
        _, pdu = self.told()
        assert (pdu.source_addr, pdu.destination_addr) == (DESTINATION.encode(), b"ACME")
        assert (pdu.dest_addr_ton, pdu.source_addr_ton) == (5, 1)

    def test_a_33_client_is_told_only_states_that_it_knows(self) -> None:
        """REJECTD is UNDELIV to it (spec/smpp.md §4); the message is what it is."""
        for version, stat, value in ((0x33, "UNDELIV", b"\5"), (0x34, "REJECTD", b"\10")):
            with self.subTest(version=version):
                session = self.journey.session(version=version)
                message = self.journey.sent(f"a{version}", registered_delivery=1)
                self.journey.receive(f"a{version}", MessageState.REJECTED)
                [(pdu, _)] = session.delivered
                assert f"stat:{stat}" in pdu.short_message.decode()
                assert (Tag.MESSAGE_STATE, value) in pdu.tlvs
                assert message.state == MessageState.REJECTED
                self.journey.respond(session)
                self.journey.handover.unbound(session)  # type: ignore[arg-type]

    def test_a_33_client_is_told_its_own_number(self) -> None:
        """The alias in ten decimal digits, also after a restart (ruling 8)."""
        self.delivered_message(alias=0xABCD)
        self.journey.restart()
        self.journey.clock.advance(0)
        read, _ = self.told()
        assert read.id == "0000043981"
