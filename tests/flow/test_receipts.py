"""Receipts: matched however their id is written, whenever they come; answered when durable."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.flow import awaited
from smsgw.flow.awaited import normalise, other_bases
from smsgw.message import Message, MessageState, Receipt
from smsgw.queues import Kind
from smsgw.smpp.pdu import SubmitSmResp
from smsgw.store import schema
from tests.flow.journey import NORTH, NOW_MS, JourneyCase, provisioned

DELIVERED = MessageState.DELIVERED


def candidates(carrier_id: str) -> list[str]:
    plain = normalise(carrier_id)
    return [plain, *other_bases(plain)]


@pytest.mark.parametrize(
    ("response", "receipt"),
    [
        ("a0", "a0"),
        ("A0F3", "a0f3"),
        ("a0f3", "A0F3"),
        ("000123", "123"),
        ("123", "0000000123"),
        ("7B", "123"),
        ("0000007b", "0000000123"),
        ("123", "7b"),
        ("123", "0000007B"),
        ("FFFFFFFF", "4294967295"),
        ("0", "0000000000"),
        (" 42 ", "42"),
        ("1f0c6a52-7d3e-4c3b-9a54-0d2b5a3a9c11", "1F0C6A52-7D3E-4C3B-9A54-0D2B5A3A9C11"),
    ],
)
def test_an_id_is_the_same_in_other_words(response: str, receipt: str) -> None:
    """Case, leading zeros and the base do not matter: hex and decimal crosswise (ruling 13)."""
    assert normalise(response) in candidates(receipt)


@pytest.mark.parametrize(
    ("response", "receipt"), [("a0", "a1"), ("10", "20"), ("7b", "124"), ("abc", "abd")]
)
def test_another_id_is_another(response: str, receipt: str) -> None:
    """What is not the same number in any base is not matched."""
    assert normalise(response) not in candidates(receipt)


def test_an_id_as_it_is_comes_first() -> None:
    """The other base is tried only where the same one has found nothing."""
    assert candidates("0010") == ["10", "a", "16"]


@given(st.integers(0, (1 << 64) - 1), st.booleans(), st.integers(0, 4))
def test_any_number_is_found_in_the_other_base(number: int, hex_first: bool, zeros: int) -> None:
    """Whatever the number, a carrier may write it in hex here and in decimal there."""
    forms = [f"{number:x}", str(number)]
    response, receipt = forms if hex_first else forms[::-1]
    assert normalise(response) in candidates("0" * zeros + receipt)


@given(st.text(max_size=30))
def test_no_id_is_too_strange(text: str) -> None:
    """Anything can be compared, and with itself it is equal."""
    assert normalise(text) in candidates(text)


class MatchingTests(JourneyCase):
    def asked(self, name: str = "a0", **fields: Any) -> Message:
        """A message of which the carrier's receipt is awaited."""
        return self.journey.sent(name, **{"registered_delivery": 1, **fields})

    def test_a_receipt_ends_its_message(self) -> None:
        """State and time of the end are in the store, and the account's receipt in its queue."""
        message = self.asked()
        self.journey.clock.advance(30)
        assert self.journey.receive("a0", done_at=NOW_MS + 20_000)
        stored = self.journey.stored(message)
        assert (stored.state, stored.error) == (DELIVERED, 0)
        assert stored.done_at == message.done_at == NOW_MS + 20_000
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_a_done_date_that_cannot_be_is_not_believed(self) -> None:
        """Before the message was accepted, or after now: the carrier's clock or zone is another."""
        for said in (NOW_MS - 3_600_000, NOW_MS + 3_600_000, 0):
            message = self.asked()
            assert self.journey.receive("a0", done_at=said)
            assert message.done_at == NOW_MS

    def test_response_in_hex_and_receipt_in_decimal(self) -> None:
        """The bases are tried crosswise before a receipt is called unmatched (ruling 13); once that
        has found one, the carrier's receipts need not wait for it any more."""
        message, next_one = self.asked("0000007B"), self.asked("0000007C")
        assert self.journey.receive("0000000123")
        assert message.state == MessageState.ENROUTE
        self.journey.review()
        assert message.state == DELIVERED
        assert self.journey.rows(schema.early_receipt) == []
        assert self.journey.receive("0000000124")
        assert next_one.state == DELIVERED

    def test_response_in_decimal_and_receipt_in_hex(self) -> None:
        """And the other way round."""
        message = self.asked("0000000123")
        assert self.journey.receive("7b")
        self.journey.review()
        assert message.state == DELIVERED

    def test_an_exact_id_goes_before_a_crosswise_one(self) -> None:
        """A receipt that is merely early never ends the message that has its id in another base."""
        other = self.asked("16")
        assert self.journey.receive("10")  # hex 10 is 16
        self.asked("10")
        assert other.state == MessageState.ENROUTE
        assert self.journey.receive("77")  # the carrier is known to write one base by now
        self.journey.review()
        assert other.state == MessageState.ENROUTE

    def test_an_early_receipt_gets_old(self) -> None:
        """An hour later its id may be another message's."""
        assert self.journey.receive("a0")
        self.journey.review(3601)
        assert self.journey.rows(schema.early_receipt) == []
        assert self.journey.awaited.unmatched == 1
        assert self.asked().state == MessageState.ENROUTE

    def test_leading_zeros_do_not_matter(self) -> None:
        """The response with, the receipt without, or the reverse."""
        first, second = self.asked("0042"), self.asked("77")
        assert self.journey.receive("42")
        assert self.journey.receive("000077")
        assert (first.state, second.state) == (DELIVERED, DELIVERED)

    def test_ids_belong_to_their_carrier(self) -> None:
        """Two carriers may give the same id to different messages."""
        north, south = self.asked(), self.accepted_by_south()
        assert self.journey.receive("a0", carrier="south")
        assert (north.state, south.state) == (MessageState.ENROUTE, DELIVERED)

    def accepted_by_south(self) -> Message:
        message = self.journey.accepted(registered_delivery=1)
        north = self.journey.taker(NORTH)
        refusal = SubmitSmResp(status=0x0B)
        self.journey.result(self.journey.settlement.settle("north", [(north.taken.pop(), refusal)]))
        self.journey.queues.unsubscribe(NORTH, north)
        south = self.journey.taker("carrier:south")
        answer = SubmitSmResp(message_id=b"a0")
        self.journey.result(self.journey.settlement.settle("south", [(south.taken.pop(), answer)]))
        return message

    def test_of_an_id_used_twice_the_newest_message_is_meant(self) -> None:
        """Carriers that count to a small number begin again."""
        old, new = self.asked(), self.asked()
        assert self.journey.receive("a0")
        assert (old.state, new.state) == (MessageState.ENROUTE, DELIVERED)

    def test_of_an_id_used_twice_the_newest_is_meant_after_a_restart_too(self) -> None:
        """The store knows which one is newer."""
        old, new = self.asked(), self.asked()
        self.journey.restart()
        assert self.journey.receive("a0")
        assert self.journey.stored(old).state == MessageState.ENROUTE
        assert self.journey.stored(new).state == DELIVERED

    def test_after_a_restart_the_store_is_asked(self) -> None:
        """All receipts of one read in one look."""
        messages = [self.asked(name) for name in ("7b", "0042", "c0ffee")]
        self.journey.restart()
        given = [Receipt(id, DELIVERED) for id in ("7b", "42", "c0ffee", "nobody")]
        assert self.journey.result(self.journey.receipts.receive("north", given))
        assert [self.journey.stored(message).state for message in messages] == [DELIVERED] * 3
        assert len(self.journey.kinds()) == 3
        assert len(self.journey.rows(schema.early_receipt)) == 1

    def test_a_message_long_out_of_memory_is_found_in_the_store(self) -> None:
        """Memory keeps the latest parts only."""
        self.patch(awaited, "_RECENT", 2)
        first = self.asked("b1").id
        for n in range(2, 5):
            self.asked(f"b{n}")
        assert len(self.journey.awaited._recent) == 2
        assert self.journey.receive("b1")
        rows = {row.id: row for row in self.journey.rows(schema.message)}
        assert rows[first].state == DELIVERED

    def test_a_store_that_cannot_be_read_is_no_answer(self) -> None:
        """The carrier is told to try again rather than that its receipt is of nobody."""
        self.asked()
        self.journey.restart()
        self.journey.journal.unreadable = "disk failed"
        assert not self.journey.receive("a0")
        self.journey.journal.unreadable = ""
        assert self.journey.rows(schema.early_receipt) == []
        assert self.journey.receive("a0")

    def test_a_receipt_that_comes_twice_is_told_once(self) -> None:
        """Carriers that had no answer send again: it is answered, and changes nothing."""
        message = self.asked()
        assert self.journey.receive("a0")
        self.journey.clock.advance(10)
        assert self.journey.receive("a0")
        assert self.journey.receive("a0", MessageState.UNDELIVERABLE)
        assert (message.state, message.done_at) == (DELIVERED, NOW_MS)
        assert self.journey.stored(message).state == DELIVERED
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_a_receipt_that_comes_twice_in_one_read_is_told_once(self) -> None:
        """The second of them finds the message at its end."""
        self.asked()
        twice = [Receipt("a0", DELIVERED), Receipt("a0", DELIVERED)]
        assert self.journey.result(self.journey.receipts.receive("north", twice))
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_an_unknown_state_that_comes_twice_is_told_once(self) -> None:
        """UNKNOWN may be followed by something else, but not by itself."""
        message = self.asked()
        assert self.journey.receive("a0", MessageState.UNKNOWN)
        assert self.journey.receive("a0", MessageState.UNKNOWN)
        assert self.journey.kinds() == [Kind.RECEIPT]
        assert self.journey.receive("a0")
        assert MessageState(message.state) is DELIVERED
        assert self.journey.kinds() == [Kind.RECEIPT, Kind.RECEIPT]

    def test_states_and_their_codes(self) -> None:
        """err of the receipt if it is one of our numbers, else the code of the state (L-R28)."""
        cases = (
            (MessageState.EXPIRED, "", 220),
            (MessageState.DELETED, "000", 221),
            (MessageState.UNDELIVERABLE, "xyz", 222),
            (MessageState.UNKNOWN, "", 224),
            (MessageState.REJECTED, "", 225),
            (MessageState.UNDELIVERABLE, "101", 101),
            (MessageState.UNDELIVERABLE, "1234", 222),
            (MessageState.REJECTED, "²", 225),
            (DELIVERED, "000", 0),
        )
        for state, error, code in cases:
            message = self.asked()
            assert self.journey.receive("a0", state, error=error)
            assert (message.state, message.error) == (state, code), (state, error)
            stored = self.journey.stored(message)
            assert stored.network_error == ("" if state is DELIVERED else error)

    def test_a_carriers_own_errors_have_our_codes(self) -> None:
        """By the carrier's table; what it wrote itself is kept beside it."""
        provisioning = provisioned()
        provisioning.carriers["north"].errors = {"045": 103, "ABS": 107}
        self.journey.provision(provisioning)
        for error, code in (("045", 103), ("abs", 107), ("101", 101), ("046", 9)):
            message = self.asked()
            assert self.journey.receive("a0", MessageState.UNDELIVERABLE, error=error)
            assert (message.error, message.network_error) == (code, error)

    def test_an_intermediate_receipt_ends_nothing(self) -> None:
        """ENROUTE, and whatever is marked as intermediate."""
        message = self.asked()
        assert self.journey.receive("a0", MessageState.ENROUTE)
        assert self.journey.receive("a0", MessageState.UNDELIVERABLE, intermediate=True)
        assert message.state == MessageState.ENROUTE
        assert self.journey.kinds() == []
        assert self.journey.receive("a0")
        assert message.state == DELIVERED

    def test_accepted_may_be_followed(self) -> None:
        """ACCEPTD is kept as a state on the way, told if progress was asked for, once."""
        message = self.asked(registered_delivery=0x11)
        assert self.journey.kinds() == [Kind.PROGRESS]
        assert self.journey.receive("a0", MessageState.ACCEPTED)
        assert self.journey.receive("a0", MessageState.ACCEPTED)
        assert self.journey.stored(message).state == MessageState.ACCEPTED
        assert self.journey.kinds() == [Kind.PROGRESS] * 2
        assert self.journey.receive("a0")
        assert self.journey.stored(message).state == DELIVERED

    def test_receipts_of_messages_that_asked_for_none_end_them_too(self) -> None:
        """Some carriers send them anyway; the account gets nothing."""
        message = self.asked(registered_delivery=0)
        self.journey.restart()
        assert self.journey.receive("a0")
        assert self.journey.stored(message).state == DELIVERED
        assert self.journey.kinds() == []


class DurabilityTests(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        self.message = self.journey.sent("a0", registered_delivery=1)

    def test_a_receipt_is_answered_when_it_is_durable(self) -> None:
        """Not before its commit (I1)."""
        self.journey.journal.waiting = True
        done = self.journey.receipts.receive("north", [Receipt("a0", DELIVERED)])
        self.assertNoResult(done)
        self.journey.journal.release()
        assert self.successResultOf(done) is True

    def test_a_receipt_that_is_not_stored_has_not_happened(self) -> None:
        """The carrier is told to try again, and the message stands as before."""
        before = self.journey.stored(self.message)
        self.journey.journal.broken = "disk full"
        assert self.journey.receive("a0", MessageState.UNDELIVERABLE, error="101") is False
        assert self.message.state == MessageState.ENROUTE
        assert (self.message.error, self.message.network_error) == (0, "")
        assert self.message.done_at == 0
        assert self.journey.stored(self.message) == before
        assert self.journey.kinds() == []

    def test_the_retry_of_a_receipt_that_was_not_stored_works(self) -> None:
        """The carrier sends it again, and it counts as the first."""
        self.journey.journal.broken = "disk full"
        assert self.journey.receive("a0") is False
        self.journey.journal.broken = ""
        assert self.journey.receive("a0") is True
        assert self.journey.stored(self.message).state == DELIVERED
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_of_several_parts_what_was_not_stored_has_not_happened(self) -> None:
        """The states of its parts are as before, so that the last receipt still ends it."""
        message = self.journey.sent("b", parts=[b"x" * 200], registered_delivery=1)
        assert self.journey.receive("b.0")
        self.journey.journal.broken = "disk full"
        assert self.journey.receive("b.1", MessageState.EXPIRED) is False
        assert message.state == MessageState.ENROUTE
        assert [a.state for _, a in sorted(message.acknowledged.items())] == [DELIVERED, 1]
        self.journey.journal.broken = ""
        assert self.journey.receive("b.1")
        assert self.journey.stored(message).state == DELIVERED

    def test_of_a_read_all_or_nothing_is_stored(self) -> None:
        """Also those that came twice in it, and those of nobody, are as before."""
        other = self.journey.sent("c0", registered_delivery=1)
        self.journey.journal.broken = "disk full"
        given = [Receipt(id, DELIVERED) for id in ("a0", "a0", "c0", "nobody")]
        assert self.journey.result(self.journey.receipts.receive("north", given)) is False
        assert (self.message.state, other.state) == (MessageState.ENROUTE, MessageState.ENROUTE)
        self.journey.journal.broken = ""
        assert self.journey.result(self.journey.receipts.receive("north", given)) is True
        assert (self.message.state, other.state) == (DELIVERED, DELIVERED)
        assert len(self.journey.kinds()) == 2
        assert len(self.journey.rows(schema.early_receipt)) == 1


class EarlyTests(JourneyCase):
    """A receipt may overtake the response that gives the id."""

    def sending(self, **fields: Any) -> Message:
        message = self.journey.accepted(**{"registered_delivery": 1, **fields})
        self.north = self.journey.taker(NORTH)
        return message

    def respond(self, *names: str) -> None:
        taken, self.north.taken = self.north.taken, []
        self.journey.queues.unsubscribe(NORTH, self.north)
        answers = [
            (entry, SubmitSmResp(message_id=name.encode()))
            for entry, name in zip(taken, names, strict=True)
        ]
        self.journey.result(self.journey.settlement.settle("north", answers))  # type: ignore

    def test_a_receipt_before_its_response_is_matched_by_it(self) -> None:
        """It is answered and kept; the response then ends the message."""
        message = self.sending()
        assert self.journey.receive("a0")
        assert message.state == MessageState.ENROUTE
        assert self.journey.awaited.early == 1
        self.respond("a0")
        assert self.journey.stored(message).state == DELIVERED
        assert self.journey.kinds() == [Kind.RECEIPT]
        assert self.journey.awaited.early == 0
        assert self.journey.rows(schema.early_receipt) == []

    def test_it_is_matched_crosswise_too(self) -> None:
        """The receipt's id in decimal, the response's in hex with zeros."""
        message = self.sending()
        assert self.journey.receive("0000000123")
        self.respond("0000007B")
        self.journey.review()
        assert message.state == DELIVERED
        assert self.journey.rows(schema.early_receipt) == []

    def test_it_outlives_a_restart(self) -> None:
        """What was answered is not lost (I1)."""
        message = self.sending()
        assert self.journey.receive("a0", MessageState.EXPIRED, error="107", done_at=NOW_MS)
        self.journey.restart()
        self.north = self.journey.taker(NORTH)
        self.journey.clock.advance(0)
        self.respond("a0")
        stored = self.journey.stored(message)
        assert (stored.state, stored.error, stored.network_error) == (
            MessageState.EXPIRED,
            107,
            "107",
        )
        assert self.journey.rows(schema.early_receipt) == []

    def test_it_does_not_outlive_its_match(self) -> None:
        """The next message that gets the same id waits for its own receipt."""
        self.sending()
        assert self.journey.receive("a0")
        self.respond("a0")
        message = self.journey.sent("a0", registered_delivery=1)
        assert message.state == MessageState.ENROUTE
        assert self.journey.receive("a0")
        assert message.state == DELIVERED

    def test_an_early_receipt_is_the_carriers_own(self) -> None:
        """One of another carrier is not taken for it."""
        message = self.sending()
        assert self.journey.receive("a0", carrier="south")
        self.respond("a0")
        assert message.state == MessageState.ENROUTE

    def test_an_intermediate_one_leaves_the_final_one_to_come(self) -> None:
        """What overtook the response was not the last word."""
        message = self.sending()
        assert self.journey.receive("a0", MessageState.ACCEPTED)
        self.respond("a0")
        assert message.state == MessageState.ACCEPTED
        assert self.journey.receive("a0")
        assert message.state == DELIVERED

    def test_of_several_parts_each_may_be_early(self) -> None:
        """Those that came before the response and those that come after make the message."""
        message = self.sending(parts=[b"x" * 400])
        assert self.journey.receive("p1")
        self.respond("p0", "p1", "p2")
        assert self.journey.receive("p0")
        assert message.state == MessageState.ENROUTE
        assert self.journey.receive("p2")
        assert self.journey.stored(message).state == DELIVERED

    def test_a_receipt_of_nobody_is_answered_all_the_same(self) -> None:
        """It may be of a response still to come, and a carrier that is refused sends for ever."""
        assert self.journey.receive("nobody") is True
        assert self.journey.receive("nobody") is True
        assert len(self.journey.rows(schema.early_receipt)) == 1

    def test_an_early_receipt_that_is_not_stored_is_not_answered(self) -> None:
        """The carrier sends it again, and then it is kept."""
        message = self.sending()
        self.journey.journal.broken = "disk full"
        assert self.journey.receive("a0") is False
        self.journey.journal.broken = ""
        assert self.journey.receive("a0") is True
        self.respond("a0")
        assert self.journey.stored(message).state == DELIVERED

    def test_what_waits_for_a_response_is_bounded(self) -> None:
        """The oldest are given up, in memory and in the store, and counted."""
        self.patch(awaited, "_EARLY", 3)
        for n in range(5):
            assert self.journey.receive(f"n{n}")
        assert self.journey.awaited.early == 3
        assert self.journey.awaited.unmatched == 2
        kept = {row.carrier_id for row in self.journey.rows(schema.early_receipt)}
        assert kept == {"n2", "n3", "n4"}

    def test_a_start_reads_no_more_than_may_wait(self) -> None:
        """What a larger gateway left behind is cut down to the newest."""
        for n in range(5):
            assert self.journey.receive(f"n{n}")
            self.journey.clock.advance(1)
        self.patch(awaited, "_EARLY", 3)
        self.journey.restart()
        assert self.journey.awaited.early == 3
        kept = {row.carrier_id for row in self.journey.rows(schema.early_receipt)}
        assert kept == {"n2", "n3", "n4"}

    def test_a_response_while_the_store_is_asked_is_not_missed(self) -> None:
        """The part may be acknowledged between the question and its answer."""
        message = self.sending()
        self.journey.journal.waiting = True
        received = self.journey.receipts.receive("north", [Receipt("a0", DELIVERED)])
        [entry] = self.north.taken
        response = SubmitSmResp(message_id=b"a0")
        settled = self.journey.settlement.settle("north", [(entry, response)])
        self.journey.journal.release()
        self.successResultOf(settled)
        assert self.successResultOf(received) is True
        assert self.journey.stored(message).state == DELIVERED
        assert self.journey.kinds() == [Kind.RECEIPT]
