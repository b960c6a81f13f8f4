"""Settle: what carriers answer, what runs out of time, and how messages of several parts end."""

from typing import Any

from attrs import evolve

from smsgw.flow import expiry
from smsgw.flow.accept import RECEIPT_GRACE_MS
from smsgw.flow.decide import DEFAULT_VALIDITY_MS
from smsgw.flow.settle import RETRY_S
from smsgw.flow.targets import HANDOVER_MS
from smsgw.message import Message, MessageState
from smsgw.queues import Entry, Kind
from smsgw.smpp.constants import TEMPORARY, Status
from smsgw.smpp.pdu import GenericNack, Pdu, SubmitSmResp
from smsgw.store import schema
from smsgw.store.journal import StoreFailed
from tests.flow.journey import (
    ACME,
    HOUR_MS,
    NORTH,
    NOW_MS,
    SOUTH,
    JourneyCase,
    Taker,
    provisioned,
)

PERMANENT = Status.ESME_RINVDSTADR
CODES = {
    Status.ESME_RINVMSGLEN: 202,
    Status.ESME_RINVSRCADR: 939,
    Status.ESME_RINVDSTADR: 206,
    Status.ESME_RSUBMITFAIL: 942,
    Status.ESME_RINVESMCLASS: 941,
    Status.ESME_RINVSRCTON: 943,
    Status.ESME_RINVSRCNPI: 944,
    Status.ESME_RINVDSTTON: 945,
    Status.ESME_RINVDSTNPI: 946,
    Status.ESME_RINVSCHED: 947,
    Status.ESME_RINVEXPIRY: 948,
    Status.ESME_RPROHIBITED: 904,
    Status.ESME_RX_R_APPN: 225,
    0x0400: 225,
}


class SettleCase(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        self.north = self.journey.taker(NORTH)
        self.south = self.journey.taker(SOUTH)

    def settle(
        self, *answers: Pdu | int | None, taker: Taker | None = None, count: int | None = None
    ) -> list[Entry]:
        """The carrier answers what it was given: an error, no answer, a PDU, or ids a0, a1 ..."""
        taker = taker or self.north
        carrier = "north" if taker is self.north else "south"
        entries, taker.taken = taker.taken[:count], taker.taken[count or 1 << 30 :]
        given: list[tuple[Entry, Pdu | None]] = []
        for n, entry in enumerate(entries):
            answer: Any = answers[n] if n < len(answers) else 0
            if isinstance(answer, int):
                status = int(answer)
                answer = SubmitSmResp(status=status, message_id=b"" if status else b"a%d" % n)
            given.append((entry, answer))
        self.journey.result(self.journey.settlement.settle(carrier, given))
        return entries

    def advance(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)

    def assert_closed(self, message: Message, state: MessageState, error: int = 0) -> None:
        """The message has ended so, in memory and in the store, and no receipt is awaited."""
        assert (MessageState(message.state), message.error) == (state, error)
        stored = self.journey.stored(message)
        assert (stored.state, stored.error, stored.done_at) == (state, error, message.done_at)
        [row] = [row for row in self.journey.rows(schema.message) if row.id == message.id]
        assert row.open_until is None


class AnswersTests(SettleCase):
    def test_what_a_carrier_takes_is_out_of_the_queue_and_its_id_is_kept(self) -> None:
        """The carrier's id, when it came, and the part it is of."""
        message = self.journey.accepted()
        self.advance(2)
        self.settle(SubmitSmResp(message_id=b"00C0FFEE"))
        assert self.journey.entries() == []
        assert (message.carrier, message.carrier_at) == ("north", NOW_MS + 2000)
        [part] = self.journey.rows(schema.part)
        assert (part.message, part.number, part.carrier) == (message.id, 0, "north")
        assert (part.carrier_id, part.at) == ("c0ffee", NOW_MS + 2000)
        assert self.journey.stored(message).acknowledged == message.acknowledged

    def test_what_a_carrier_takes_goes_on(self) -> None:
        """A message is under way until its receipt, or for ever if none was asked for."""
        message = self.journey.accepted()
        self.settle()
        assert message.state == MessageState.ENROUTE
        assert self.journey.entries() == []

    def test_without_an_answer_the_entry_goes_back_to_its_queue(self) -> None:
        """It may have arrived, so this is the only thing that can be sent twice (I2)."""
        message = self.journey.accepted()
        self.settle(None)
        [entry] = self.north.taken
        assert (entry.message, entry.attempts) == (message, 1)
        assert message.state == MessageState.ENROUTE

    def test_no_answer_is_no_reason_to_fail_over(self) -> None:
        """A link that is lost says nothing about the message."""
        self.journey.accepted()
        self.settle(None)
        assert self.south.taken == []

    def test_temporary_refusals_back_off(self) -> None:
        """1, 2, 5, 10, 20, 30, 60, 60 ... seconds, by the same carrier."""
        self.journey.accepted()
        for wait in (*RETRY_S, RETRY_S[-1], RETRY_S[-1]):
            self.settle(Status.ESME_RMSGQFUL)
            self.advance(wait - 0.1)
            assert self.north.taken == []
            self.advance(0.2)
            assert len(self.north.taken) == 1
        assert self.south.taken == []
        assert self.north.taken[0].attempts == len(RETRY_S) + 2

    def test_every_temporary_status_is_one(self) -> None:
        """Those after which the same submit may succeed (spec/smpp.md §15)."""
        for status in sorted(TEMPORARY):
            self.journey.accepted()
            self.settle(status)
        assert len(self.journey.entries(NORTH)) == len(TEMPORARY)
        assert self.journey.entries(SOUTH) == []

    def test_a_permanent_refusal_fails_over_to_the_next_carrier(self) -> None:
        """At once, with a count of attempts of its own, and with what is left of the validity."""
        message = self.journey.accepted()
        self.settle(Status.ESME_RTHROTTLED)
        self.advance(2)
        self.settle(PERMANENT)
        [entry] = self.south.taken
        assert (entry.message, entry.attempts) == (message, 0)
        assert entry.expires_at == message.expires_at
        assert len(self.journey.entries()) == 1
        assert message.state == MessageState.ENROUTE

    def test_a_generic_nack_is_a_refusal(self) -> None:
        """A carrier that does not understand the submit does not take it."""
        self.journey.accepted()
        self.settle(GenericNack(status=Status.ESME_RINVCMDID))
        assert len(self.south.taken) == 1

    def test_the_next_carrier_takes_it(self) -> None:
        """Then it is that carrier's, and its receipt is awaited from there."""
        message = self.journey.accepted(registered_delivery=1)
        self.settle(PERMANENT)
        self.settle(taker=self.south)
        assert message.carrier == "south"
        assert self.journey.receive("a0", carrier="south")
        self.assert_closed(message, MessageState.DELIVERED)

    def test_refused_by_all_a_message_is_undeliverable(self) -> None:
        """It ends with our code for the last carrier's status, and the status by its name."""
        message = self.journey.accepted()
        self.settle(PERMANENT)
        self.advance(3)
        self.settle(PERMANENT, taker=self.south)
        assert self.journey.entries() == []
        self.assert_closed(message, MessageState.UNDELIVERABLE, 206)
        assert self.journey.stored(message).network_error == "ESME_RINVDSTADR"
        assert message.done_at == NOW_MS + 3000

    def test_refused_by_all_a_message_has_its_receipt(self) -> None:
        """The account is told what became of what we accepted."""
        self.journey.accepted(registered_delivery=1)
        self.settle(PERMANENT)
        self.settle(PERMANENT, taker=self.south)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_a_carrier_that_is_gone_is_passed_over(self) -> None:
        """A route may name what is no longer provisioned."""
        message = self.journey.accepted()
        provisioning = evolve(self.journey.provisioning, carriers={})
        self.journey.provision(provisioning)
        self.settle(PERMANENT)
        self.assert_closed(message, MessageState.UNDELIVERABLE, 206)

    def test_a_carriers_status_has_a_code(self) -> None:
        """Ours for what carriers refuse with; 225 for what has none (spec/link-smpp.md 4.4)."""
        for status, code in CODES.items():
            message = self.journey.accepted()
            self.settle(status)
            self.settle(status, taker=self.south)
            assert message.error == code, status

    def test_a_carriers_own_table_goes_before_the_default(self) -> None:
        """The table of the carrier that refused last says what its statuses mean."""
        provisioning = provisioned()
        provisioning.carriers["south"].errors = {"0x0401": 128, "0x0B": 101}
        self.journey.provision(provisioning)
        for status, code in ((0x401, 128), (0x0B, 101), (0x0A, 939)):
            message = self.journey.accepted()
            self.settle(status)
            self.settle(status, taker=self.south)
            assert message.error == code, status

    def test_answers_of_one_read_are_one_transaction(self) -> None:
        """A batch of answers is a single commit, whatever each of them says."""
        for _ in range(4):
            self.journey.accepted()
        before = self.journey.journal.transactions
        self.settle(0, PERMANENT, None, Status.ESME_RTHROTTLED)
        assert self.journey.journal.transactions == before + 1

    def test_until_the_store_takes_it_an_outcome_is_tried_again(self) -> None:
        """What happened outside cannot be undone: the answer is not forgotten."""
        message = self.journey.accepted()
        self.journey.journal.broken = "disk full"
        [entry] = self.north.taken
        response = SubmitSmResp(message_id=b"a0")
        done = self.journey.settlement.settle("north", [(entry, response)])
        self.advance(5)
        self.assertNoResult(done)
        assert len(self.journey.entries()) == 1
        self.journey.journal.broken = ""
        self.advance(1)
        self.successResultOf(done)
        assert self.journey.entries() == []
        assert self.journey.stored(message).carrier == "north"

    def test_a_retry_that_the_store_did_not_take_at_first_is_counted_once(self) -> None:
        """Trying the commit again is not trying the message again."""
        self.journey.accepted()
        self.journey.journal.broken = "disk full"
        [entry] = self.north.taken
        done = self.journey.settlement.settle("north", [(entry, None)])
        self.advance(3)
        self.journey.journal.broken = ""
        self.advance(1)
        self.successResultOf(done)
        [row] = self.journey.entries()
        assert row.attempts == 1

    def test_after_a_restart_what_was_not_settled_is_sent_again(self) -> None:
        """The entry is in the store until the answer is (I1, I2)."""
        first = self.journey.accepted()
        second = self.journey.accepted()
        self.settle(count=1)
        self.journey.restart()
        again = self.journey.taker(NORTH)
        self.advance(0)
        assert [entry.message.id for entry in again.taken] == [second.id]
        assert self.journey.stored(first).carrier == "north"


class ProgressTests(SettleCase):
    def test_progress_is_told_when_the_carrier_has_it(self) -> None:
        """registered_delivery 0x10: an intermediate receipt at the acknowledgement (ruling 11)."""
        self.journey.accepted(registered_delivery=0x10)
        assert self.journey.kinds() == []
        self.settle()
        assert self.journey.kinds() == [Kind.PROGRESS]

    def test_progress_is_not_told_unasked(self) -> None:
        """Bits 0 and 1 ask for final receipts only."""
        self.journey.accepted(registered_delivery=1)
        self.settle()
        assert self.journey.kinds() == []

    def test_progress_of_several_parts_is_told_once(self) -> None:
        """When the carrier has the last of them."""
        self.journey.accepted(registered_delivery=0x10, parts=[b"x" * 400])
        self.settle(count=1)
        self.settle(count=1)
        assert self.journey.kinds() == []
        self.settle()
        assert self.journey.kinds() == [Kind.PROGRESS]

    def test_only_who_waits_for_it_is_handed_anything(self) -> None:
        """A message that came by REST is asked for, so nothing is queued for it."""
        message = self.journey.accepted(registered_delivery=0x11, interface="rest")
        self.settle()
        assert self.journey.receive("a0")
        self.assert_closed(message, MessageState.DELIVERED)
        assert self.journey.entries() == []


class PartsTests(SettleCase):
    """A message of three parts."""

    def three(self, **fields: Any) -> Message:
        return self.journey.accepted(parts=[b"x" * 400], **{"registered_delivery": 1, **fields})

    def test_it_is_delivered_when_each_part_is(self) -> None:
        """Not before the last one."""
        message = self.three()
        self.settle()
        self.journey.receive("a2")
        self.journey.receive("a0")
        assert message.state == MessageState.ENROUTE
        assert self.journey.kinds() == []
        self.journey.receive("a1")
        self.assert_closed(message, MessageState.DELIVERED)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_one_part_that_fails_fails_the_message_when_all_have_ended(self) -> None:
        """The worst state of the parts is the message's."""
        message = self.three()
        self.settle()
        self.journey.receive("a0", MessageState.UNDELIVERABLE, error="101")
        self.journey.receive("a1")
        assert message.state == MessageState.ENROUTE
        self.journey.receive("a2")
        self.assert_closed(message, MessageState.UNDELIVERABLE, 101)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_an_unknown_part_makes_the_message_unknown(self) -> None:
        """Worse than delivered, better than failed."""
        message = self.three()
        self.settle()
        self.journey.receive("a0", MessageState.UNKNOWN)
        self.journey.receive("a1")
        self.journey.receive("a2")
        self.assert_closed(message, MessageState.UNKNOWN, 224)

    def test_a_failed_part_is_worse_than_an_unknown_one(self) -> None:
        """Whichever of them came first."""
        message = self.three()
        self.settle()
        self.journey.receive("a0", MessageState.UNKNOWN)
        self.journey.receive("a1", MessageState.EXPIRED)
        self.journey.receive("a2")
        assert message.state == MessageState.EXPIRED

    def test_a_part_refused_by_all_carriers_waits_for_the_others(self) -> None:
        """The message ends when the receipts of the parts that were taken have come."""
        message = self.three()
        self.settle(0, PERMANENT, 0)
        self.settle(PERMANENT, taker=self.south)
        assert message.state == MessageState.ENROUTE
        assert self.journey.entries() == []
        self.journey.receive("a0")
        self.journey.receive("a2")
        self.assert_closed(message, MessageState.UNDELIVERABLE, 206)

    def test_without_receipts_a_refused_part_ends_it_at_the_last_answer(self) -> None:
        """There is nothing more to wait for."""
        message = self.three(registered_delivery=0)
        self.settle(PERMANENT, 0, 0)
        self.settle(PERMANENT, taker=self.south)
        self.assert_closed(message, MessageState.UNDELIVERABLE, 206)

    def test_without_receipts_parts_that_were_taken_go_on(self) -> None:
        """As a message of one part does."""
        message = self.three(registered_delivery=0)
        self.settle()
        assert message.state == MessageState.ENROUTE

    def test_parts_may_go_by_different_carriers(self) -> None:
        """A part that fails over is receipted by the carrier that took it."""
        message = self.three()
        self.settle(0, PERMANENT, 0)
        self.settle(taker=self.south)
        for id, carrier in (("a0", "north"), ("a2", "north"), ("a0", "south")):
            assert message.state == MessageState.ENROUTE
            self.journey.receive(id, carrier=carrier)
        self.assert_closed(message, MessageState.DELIVERED)

    def test_its_parts_are_known_after_a_restart(self) -> None:
        """What became of each is in the store, so the last receipt ends the message."""
        message = self.three()
        self.settle()
        self.journey.receive("a0", MessageState.EXPIRED)
        self.journey.receive("a1")
        self.journey.restart()
        self.journey.receive("a2")
        assert self.journey.stored(message).state == MessageState.EXPIRED

    def test_parts_that_expire_end_it_when_the_last_has(self) -> None:
        """One part was taken, two were not in time."""
        message = self.three(registered_delivery=0, validity_ms=HOUR_MS)
        self.settle(0, Status.ESME_RTHROTTLED, Status.ESME_RTHROTTLED)
        self.journey.queues.unsubscribe(NORTH, self.north)
        self.journey.expiry.start()
        self.advance(3601)
        self.advance(5)
        self.assert_closed(message, MessageState.EXPIRED, 220)
        assert self.journey.entries() == []


class ExpiryTests(SettleCase):
    def setUp(self) -> None:
        super().setUp()
        self.journey.queues.unsubscribe(NORTH, self.north)
        self.journey.expiry.start()
        self.addCleanup(self.journey.expiry.stop)

    def test_what_waits_longer_than_its_validity_expires(self) -> None:
        """In the queue, with code 220, with a receipt if one was asked for."""
        message = self.journey.accepted(registered_delivery=1, validity_ms=HOUR_MS)
        self.advance(3590)
        assert message.state == MessageState.ENROUTE
        self.advance(20)
        self.assert_closed(message, MessageState.EXPIRED, 220)
        assert self.journey.entries(NORTH) == []
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_what_expired_is_not_sent(self) -> None:
        """A link that comes up later finds nothing of it."""
        self.journey.accepted(validity_ms=HOUR_MS)
        later = self.journey.accepted()
        self.advance(3610)
        self.journey.queues.subscribe(NORTH, self.north)
        assert [entry.message for entry in self.north.taken] == [later]

    def test_what_is_expiring_is_not_sent_meanwhile(self) -> None:
        """From the moment when it is decided, also if the store takes its time."""
        self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.expiry.stop()
        self.advance(3610)
        self.journey.expiry.start()
        self.journey.journal.waiting = True
        self.advance(5)
        self.journey.journal.release(1)  # the look into the queue; the commit is still to come
        self.journey.journal.waiting = True
        self.journey.queues.subscribe(NORTH, self.north)
        assert self.north.taken == []
        self.journey.journal.release()
        assert self.journey.entries() == []

    def test_what_was_scheduled_expires_after_its_time(self) -> None:
        """Its validity begins when it is due."""
        at = NOW_MS + HOUR_MS
        message = self.journey.accepted(schedule_at=at, validity_ms=HOUR_MS)
        self.advance(2 * 3600 - 10)
        assert message.state == MessageState.ENROUTE
        self.advance(20)
        assert message.state == MessageState.EXPIRED

    def test_what_a_carrier_has_been_given_is_settled_by_its_answer(self) -> None:
        """It may be delivered just now: the answer decides, not the clock."""
        message = self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.queues.subscribe(NORTH, self.north)
        self.advance(3610)
        assert message.state == MessageState.ENROUTE
        self.settle()
        assert message.carrier == "north"
        assert self.journey.entries() == []

    def test_without_an_answer_what_is_late_expires(self) -> None:
        """Back in its queue it is found at the next look."""
        message = self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.queues.subscribe(NORTH, self.north)
        self.journey.queues.unsubscribe(NORTH, self.north)
        self.advance(3610)
        self.settle(None)
        self.advance(5)
        self.assert_closed(message, MessageState.EXPIRED, 220)
        assert self.journey.entries() == []

    def test_what_expired_while_the_gateway_was_down_is_found(self) -> None:
        """From the store, with nothing of it in memory."""
        message = self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.restart()
        self.advance(3610)
        self.journey.expiry.start()
        self.addCleanup(self.journey.expiry.stop)
        stored = self.journey.stored(message)
        assert (stored.state, stored.error) == (MessageState.EXPIRED, 220)
        assert self.journey.entries() == []

    def test_more_than_a_batch_expires_at_once(self) -> None:
        """However many there are, one look finds them all."""
        self.patch(expiry, "_EXPIRE_BATCH", 5)
        messages = [self.journey.accepted(validity_ms=HOUR_MS) for _ in range(23)]
        self.advance(3610)
        assert {message.state for message in messages} == {MessageState.EXPIRED}
        assert self.journey.entries() == []

    def test_an_mo_that_nobody_fetches_expires(self) -> None:
        """After 72 hours it is given up (L-D29)."""
        assert self.journey.mo() == Status.ESME_ROK
        self.advance(HANDOVER_MS / 1000 - 10)
        assert self.journey.kinds() == [Kind.MO]
        self.advance(20)
        assert self.journey.entries() == []
        [row] = self.journey.rows(schema.message)
        assert (row.state, row.error) == (MessageState.EXPIRED, 220)

    def test_a_receipt_that_nobody_fetches_is_dropped(self) -> None:
        """After 72 hours (L-D10); its message is what it was."""
        message = self.journey.accepted(registered_delivery=1)
        self.journey.queues.subscribe(NORTH, self.north)
        self.settle()
        self.journey.receive("a0")
        self.advance(HANDOVER_MS / 1000 - 10)
        assert self.journey.kinds() == [Kind.RECEIPT]
        self.advance(20)
        assert self.journey.entries() == []
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_without_a_receipt_a_message_ends_as_unknown(self) -> None:
        """An hour after its validity (ruling 18), with code 224 and a receipt."""
        message = self.journey.accepted(registered_delivery=1)
        self.journey.queues.subscribe(NORTH, self.north)
        self.settle()
        self.advance((DEFAULT_VALIDITY_MS + RECEIPT_GRACE_MS) / 1000 - 10)
        assert message.state == MessageState.ENROUTE
        self.advance(20)
        self.assert_closed(message, MessageState.UNKNOWN, 224)
        assert self.journey.kinds() == [Kind.RECEIPT]
        self.advance(20)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_a_receipt_that_comes_after_all_is_told(self) -> None:
        """UNKNOWN is not the end: the account gets what the carrier said at last."""
        message = self.journey.accepted(registered_delivery=1)
        self.journey.queues.subscribe(NORTH, self.north)
        self.settle()
        self.advance((DEFAULT_VALIDITY_MS + RECEIPT_GRACE_MS) / 1000 + 10)
        assert self.journey.receive("a0")
        self.assert_closed(message, MessageState.DELIVERED, 0)
        assert self.journey.kinds() == [Kind.RECEIPT, Kind.RECEIPT]

    def test_what_was_given_up_is_not_awaited_again(self) -> None:
        """An intermediate state that comes after UNKNOWN changes nothing."""
        message = self.journey.accepted(registered_delivery=0x11)
        self.journey.queues.subscribe(NORTH, self.north)
        self.settle()
        self.advance((DEFAULT_VALIDITY_MS + RECEIPT_GRACE_MS) / 1000 + 10)
        told = self.journey.kinds()
        assert self.journey.receive("a0", MessageState.ACCEPTED)
        self.assert_closed(message, MessageState.UNKNOWN, 224)
        assert self.journey.kinds() == told

    def test_a_store_that_fails_delays_an_expiry(self) -> None:
        """The look at what has expired goes on when the store does."""
        message = self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.journal.broken = "disk full"
        self.advance(3610)
        assert len(self.journey.entries()) == 1
        self.journey.journal.broken = ""
        self.advance(10)
        self.assert_closed(message, MessageState.EXPIRED, 220)

    def test_a_read_that_fails_is_tried_again(self) -> None:
        """A fault of the look does not end the looking."""

        message = self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.journal.unreadable = "disk failed"
        self.advance(3610)
        assert len(self.flushLoggedErrors(StoreFailed)) >= 1
        self.journey.journal.unreadable = ""
        self.advance(5)
        self.assert_closed(message, MessageState.EXPIRED, 220)

    def test_it_can_stop_before_it_has_started(self) -> None:
        """A start that failed halfway is stopped like any other."""
        self.journey.begin()
        self.journey.expiry.stop()

    def test_after_stop_nothing_expires(self) -> None:
        """A gateway that stops leaves it to the next start."""
        self.journey.accepted(validity_ms=HOUR_MS)
        self.journey.expiry.stop()
        self.advance(3610)
        assert len(self.journey.entries()) == 1


class ReceiptRequestTests(SettleCase):
    """``registered_delivery`` decides what is handed over at the end."""

    def handed(self, asked: int, state: MessageState) -> list[Kind]:
        self.journey.accepted(registered_delivery=asked)
        self.settle()
        assert self.journey.receive("a0", state)
        kinds = self.journey.kinds()
        taker = self.journey.taker(ACME)
        self.settle_handover(taker)
        return kinds

    def settle_handover(self, taker: Taker) -> None:
        self.journey.queues.unsubscribe(ACME, taker)
        self.journey.result(self.journey.settlement.expire(taker.taken))

    def test_none(self) -> None:
        """0: no receipt, whatever happens."""
        assert self.handed(0, MessageState.DELIVERED) == []
        assert self.handed(0, MessageState.UNDELIVERABLE) == []

    def test_always(self) -> None:
        """1: a receipt of success and of failure."""
        assert self.handed(1, MessageState.DELIVERED) == [Kind.RECEIPT]
        assert self.handed(1, MessageState.UNDELIVERABLE) == [Kind.RECEIPT]

    def test_on_failure(self) -> None:
        """2: a receipt of failure only."""
        assert self.handed(2, MessageState.DELIVERED) == []
        assert self.handed(2, MessageState.EXPIRED) == [Kind.RECEIPT]

    def test_on_success(self) -> None:
        """3: a receipt of success only (L-D23)."""
        assert self.handed(3, MessageState.DELIVERED) == [Kind.RECEIPT]
        assert self.handed(3, MessageState.UNDELIVERABLE) == []

    def test_progress_and_success(self) -> None:
        """0x11: both the intermediate and the final receipt, in this order."""
        assert self.handed(0x11, MessageState.DELIVERED) == [Kind.PROGRESS, Kind.RECEIPT]

    def test_progress_only(self) -> None:
        """0x10: the intermediate receipt alone."""
        assert self.handed(0x10, MessageState.DELIVERED) == [Kind.PROGRESS]
