"""What is passed on to the carrier that has a message, and what its answers do."""

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from smsgw import codes
from smsgw.flow.carrier import CarrierSide
from smsgw.flow.passed import PassedOn, spellings
from smsgw.flow.replace import Change
from smsgw.message import Acknowledgement, Message, MessageState
from smsgw.provisioning import Carrier
from smsgw.queues import Kind
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import CancelSm, CancelSmResp, QuerySm, QuerySmResp, ReplaceSm, ReplaceSmResp
from smsgw.store import schema
from tests.flow.journey import NOW_MS, SOURCE, FakeLink, JourneyCase, provisioned
from tests.flow.test_money import PRICE, entries, prepaid, put_in_force

ASKED = {"query": "carrier", "cancel": "carrier", "replace": "carrier"}
FINAL_DATE = b"270115080000000+"


class PassedCase(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        self.side: CarrierSide | None = None
        self.provide()

    def provide(self, provisioning: Any = None, **fields: Any) -> None:
        """The carrier north is asked, and has one link up."""
        given = provisioning or provisioned()
        given.carriers["north"] = evolve(given.carriers["north"], **{**ASKED, **fields})
        put_in_force(self.journey, given)
        if self.side is not None:
            self.side.stop()
        self.side = self.journey.side()
        self.side_link.come_up()
        self.passed = PassedOn(
            lambda: {"north": self.side}, self.journey.settlement, self.journey.clock.seconds
        )
        self.journey.pending.passed = self.passed

    @property
    def side_link(self) -> FakeLink:
        assert self.side is not None
        link: Any = self.side.links[0]
        return link  # type: ignore[no-any-return]

    def there(self, *names: str, **fields: Any) -> Message:
        """A message that the carrier has acknowledged under these ids."""
        message = self.journey.accepted(**{"registered_delivery": 1, **fields})
        self.side_link.answer(names=names or ("A7",))
        return message

    def begin(self, coroutine: Any) -> list[Any]:
        """Starts; what comes of it, once that is known."""
        told: list[Any] = []
        Deferred.fromCoroutine(coroutine).addCallback(told.append)
        return told

    def cancel(self, message: Message) -> list[Any]:
        return self.begin(self.journey.cancelling.cancel("acme", message.id))


class QueryTests(PassedCase):
    def query(self, message: Message, state: int, **fields: Any) -> Any:
        """The question, answered with this state."""
        done = self.begin(self.passed.query(message))
        asked = self.side_link.tell(QuerySmResp(message_state=state, **fields))
        assert done == [None]
        return asked

    def test_a_final_state_is_as_good_as_a_receipt(self) -> None:
        """It is stored with the date of the carrier, and the account's receipt is on its way."""
        message = self.there()
        asked = self.query(message, MessageState.UNDELIVERABLE, error_code=7)
        assert asked == QuerySm(
            message_id=b"A7", source_addr_ton=1, source_addr_npi=1, source_addr=SOURCE.encode()
        )
        stored = self.journey.stored(message)
        assert (stored.state, stored.network_error) == (MessageState.UNDELIVERABLE, "007")
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_the_receipt_that_comes_after_it_changes_nothing(self) -> None:
        """It came twice, so to say."""
        message = self.there()
        self.query(message, MessageState.DELIVERED)
        assert self.journey.receive("a7", MessageState.UNDELIVERABLE)
        assert self.journey.stored(message).state == MessageState.DELIVERED
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_states_never_go_back(self) -> None:
        """ENROUTE, SCHEDULED, UNKNOWN and what is no state leave ACCEPTED as it is."""
        message = self.there()
        self.query(message, MessageState.ACCEPTED)
        assert message.state == MessageState.ACCEPTED
        for state in (MessageState.ENROUTE, MessageState.SCHEDULED, MessageState.UNKNOWN, 77):
            self.query(message, state)
            assert message.state == MessageState.ACCEPTED

    def test_an_error_or_no_answer_changes_nothing(self) -> None:
        """Our own state is the answer then."""
        message = self.there()
        for answer in (QuerySmResp(status=Status.ESME_RSYSERR), None):
            done = self.begin(self.passed.query(message))
            self.side_link.tell(answer)
            assert (done, message.state) == ([None], MessageState.ENROUTE)

    def test_nobody_is_asked_about_what_is_over_or_pending(self) -> None:
        """Nor while no link is up."""
        message = self.there()
        self.journey.receive("a7")
        assert self.begin(self.passed.query(message)) == [None]
        self.side_link.lose()
        waiting = self.journey.accepted()
        assert self.begin(self.passed.query(waiting)) == [None]
        assert self.side_link.questions == []

    def test_questions_have_a_quarter_of_the_window_of_the_carrier(self) -> None:
        """What is beyond it is answered from our own state at once: who asks a lot does not hold up
        the messages of others (I5)."""
        for window, most in ((1, 1), (8, 2)):
            self.provide(window=window)
            messages = [self.there(f"{window}{n}") for n in range(4)]
            told = [self.begin(self.passed.query(one)) for one in messages]
            assert told == [[]] * most + [[None]] * (4 - most)
            for _ in range(most):
                self.side_link.tell(None)
            assert told == [[None]] * 4

    def test_questions_have_a_quarter_of_the_rate_of_the_carrier(self) -> None:
        """And count in the rate of what is sent, so that it never gets more than it takes (I5)."""
        self.provide(window=100, rate=8)
        messages = [self.there(f"B{n}") for n in range(2)]
        self.journey.clock.advance(10)
        asked = [self.begin(self.passed.query(messages[n % 2])) for n in range(4)]
        assert asked == [[], [], [None], [None]]
        assert self.side is not None
        assert self.side.bucket.available(self.journey.clock.seconds()) == 0
        self.journey.clock.advance(0.5)
        assert self.begin(self.passed.query(messages[0])) == []

    def test_a_question_waits_until_the_store_has_the_answer(self) -> None:
        """What was told is never taken back (I1)."""
        message = self.there()
        done = self.begin(self.passed.query(message))
        self.journey.journal.broken = "disk full"
        self.side_link.tell(QuerySmResp(message_state=2, final_date=FINAL_DATE))
        assert done == []
        self.journey.journal.broken = ""
        self.journey.clock.advance(1)
        assert done == [None]
        assert self.journey.stored(message).state == MessageState.DELIVERED


class CancelTests(PassedCase):
    def test_what_the_carrier_deletes_is_deleted(self) -> None:
        """State DELETED with code 221, by the carrier's id and the addresses as it was given."""
        message = self.there()
        done = self.cancel(message)
        asked = self.side_link.tell(CancelSmResp())
        assert done == [message]
        assert isinstance(asked, CancelSm)
        assert (asked.message_id, asked.source_addr) == (b"A7", SOURCE.encode())
        assert asked.destination_addr == message.destination.encode()
        stored = self.journey.stored(message)
        assert (stored.state, stored.error) == (MessageState.DELETED, codes.MESSAGE_DELETED)
        assert stored.done_at == NOW_MS
        assert self.journey.cancelling.cancelled == 1

    def test_what_the_carrier_keeps_is_not_deleted(self) -> None:
        """ESME_RCANCELFAIL, or no answer: the receipt will tell."""
        message = self.there()
        for answer in (CancelSmResp(status=Status.ESME_RCANCELFAIL), None):
            done = self.cancel(message)
            self.side_link.tell(answer)
            [refusal] = done
            assert isinstance(refusal, Refusal)
            assert refusal.reason is Reason.CANCEL_FAILED
            assert self.journey.stored(message).state == MessageState.ENROUTE

    def test_a_receipt_that_is_faster_counts(self) -> None:
        """It was delivered before the carrier said yes: that is what has become of it."""
        message = self.there()
        done = self.cancel(message)
        self.journey.receive("a7")
        self.side_link.tell(CancelSmResp())
        assert done[0].reason is Reason.CANCEL_FAILED
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_of_several_parts_each_is_asked_for(self) -> None:
        """One that stays keeps the message; the deleted one is told in its state at the end."""
        message = self.there("A1", "A2", parts=[b"x" * 200])
        done = self.cancel(message)
        self.side_link.tell(CancelSmResp())
        self.side_link.tell(CancelSmResp(status=Status.ESME_RCANCELFAIL))
        assert done[0].reason is Reason.CANCEL_FAILED
        assert self.journey.stored(message).state == MessageState.ENROUTE
        self.journey.receive("a2")
        assert self.journey.stored(message).state == MessageState.DELETED

    def test_a_carrier_that_is_silent_is_asked_once_for_a_request(self) -> None:
        """Each of the thousands of messages that it may have would be waited for as long; what
        waits here is deleted all the same."""
        there = [self.there(f"A{n}") for n in range(3)]
        waiting = self.journey.accepted(schedule_at=NOW_MS + 3_600_000)
        cancelling = self.journey.cancelling.cancel_batch(
            "acme", [*there, waiting], lambda message: True
        )
        done = self.begin(cancelling)
        self.side_link.tell(None)
        assert done == [1]
        assert self.side_link.questions == []
        assert self.journey.stored(waiting).state == MessageState.DELETED

    def test_what_no_carrier_is_asked_about_is_not_looked_for(self) -> None:
        """A request of thousands of messages that carriers have costs one look at each."""
        self.provide(cancel="local")
        there = [self.there(f"A{n}") for n in range(3)]
        self.journey.journal.waiting = True
        done = self.begin(self.journey.cancelling.cancel_batch("acme", there, bool))
        self.journey.journal.release(1)  # the one look at all of them
        assert (done, self.journey.journal.line) == ([0], 0)

    def test_a_part_that_waits_is_not_asked_about(self) -> None:
        """The carrier has one part, the queue the other: nothing is cancelled."""
        message = self.journey.accepted(parts=[b"x" * 200])
        self.side_link.answer(count=1)
        assert self.cancel(message)[0].reason is Reason.CANCEL_FAILED
        assert self.side_link.questions == []

    def test_it_is_given_back_as_undelivered(self) -> None:
        """The carrier had it: ``refused`` alone gives nothing back (I8)."""
        for refund, expected in ((["refused"], 0), (["undelivered"], PRICE)):
            self.provide(prepaid("1.0000", refund=refund))
            before = sum(amount for _, amount, _ in entries(self.journey))
            message = self.there()
            self.cancel(message)
            self.side_link.tell(CancelSmResp())
            after = sum(amount for _, amount, _ in entries(self.journey))
            assert after - before == expected - PRICE

    def test_an_operators_cancel_is_in_the_audit(self) -> None:
        """Whoever deletes it."""
        message = self.there()
        action = schema.ActionRow(1, NOW_MS, "op", "cancel", str(message.id), "")
        done = self.begin(self.journey.cancelling.cancel(None, message.id, action=action))
        assert self.journey.rows(schema.action) == []
        self.side_link.tell(CancelSmResp())
        assert done == [message]
        assert len(self.journey.rows(schema.action)) == 1


class ReplaceTests(PassedCase):
    def replace(self, message: Message, **change: Any) -> list[Any]:
        fits = lambda message: True  # noqa: E731
        return self.begin(
            self.journey.replacing.replace("acme", message.id, Change(**change), fits)
        )

    def test_the_carrier_gets_the_new_text(self) -> None:
        """And once it says yes, the message has it; who it is for and what it cost stay."""
        message = self.there()
        done = self.replace(message, octets=b"Better")
        asked = self.side_link.tell(ReplaceSmResp())
        assert done == [message]
        assert asked == ReplaceSm(
            message_id=b"A7",
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=SOURCE.encode(),
            registered_delivery=1,
            short_message=b"Better",
        )
        stored = self.journey.stored(message)
        assert (stored.parts, stored.state) == ([b"Better"], MessageState.ENROUTE)
        assert self.journey.receive("a7")
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_the_new_end_of_validity_goes_with_it(self) -> None:
        """As a relative time, as with submit_sm."""
        message = self.there()
        self.replace(message, until=NOW_MS + 7200_000)
        asked = self.side_link.tell(ReplaceSmResp())
        assert asked.validity_period == b"000000020000000R"
        assert asked.short_message == b"Hello"
        assert self.journey.stored(message).expires_at == NOW_MS + 7200_000

    def test_what_the_carrier_refuses_stays(self) -> None:
        """ESME_RREPLACEFAIL, no answer: the text is the old one."""
        message = self.there()
        for answer in (ReplaceSmResp(status=Status.ESME_RREPLACEFAIL), None):
            done = self.replace(message, octets=b"Better")
            self.side_link.tell(answer)
            assert done[0].reason is Reason.REPLACE_FAILED
            assert self.journey.stored(message).parts == [b"Hello"]

    def test_what_could_not_be_sent_is_not_asked_for(self) -> None:
        """A text of two parts, or one in another coding for the carrier; a message of two."""
        self.provide(alphabet="latin1")
        message = self.there()
        for octets in (b"x" * 200, b"\x1b\x65 1"):  # the euro sign is in no Latin-1
            assert self.replace(message, octets=octets)[0].reason is Reason.REPLACE_FAILED
        long = self.there("A1", "A2", parts=[b"x" * 200])
        assert self.replace(long, octets=b"x")[0].reason is Reason.REPLACE_FAILED
        assert self.side_link.questions == []

    def test_a_message_that_ends_meanwhile_stays_ended(self) -> None:
        """The receipt comes before the carrier's yes: the new text was delivered."""
        message = self.there()
        done = self.replace(message, octets=b"Better")
        self.journey.receive("a7")
        self.side_link.tell(ReplaceSmResp())
        assert done == [message]
        stored = self.journey.stored(message)
        assert (stored.parts, stored.state) == ([b"Better"], MessageState.DELIVERED)


class SpellingTests(PassedCase):
    def test_after_a_restart_other_spellings_are_tried(self) -> None:
        """The store has the id without leading zeros and case; a wrong one is ESME_RINVMSGID."""
        message = self.there("00000000AB")
        message.acknowledged[0].given = ""
        self.side.last_id = ""
        done = self.begin(self.passed.query(message))
        names = []
        while self.side_link.questions:
            right = self.side_link.questions[0][0].message_id == b"00000000AB"  # type: ignore[attr-defined]
            status = Status.ESME_ROK if right else Status.ESME_RINVMSGID
            names.append(self.side_link.tell(QuerySmResp(status=status)).message_id)
        assert done == [None]
        assert names == [b"ab", b"000000AB", b"00000000ab"]


@pytest.mark.parametrize(
    ("stored", "like", "base", "first"),
    [
        ("bc614e", "00BC614F", "text", "00BC614E"),
        ("12345678", "0012345679", "text", "0012345678"),
        ("12345678", "00BC614F", "hex", "00BC614E"),
        ("a-b", "A-C", "text", "A-B"),
        ("ab12", "", "text", "ab12"),
    ],
)
def test_the_first_spelling_looks_like_the_last_id(
    stored: str, like: str, base: str, first: str
) -> None:
    """Width, case and base are those of the id that the carrier gave last."""

    class Side:
        form = Carrier("north", response_id=base)
        links = (FakeLink(),)
        last_id = like

    found = spellings(Acknowledgement("north", stored, 0), Side())  # type: ignore[arg-type]
    assert found[0] == first
    assert len(found) <= 4
