"""Send: windows, rates, what slows a carrier down, links that come and go, what carriers send."""

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from smsgw.flow import carrier
from smsgw.flow.carrier import CarrierSide
from smsgw.flow.carriers import Carriers
from smsgw.message import MessageState, Receipt
from smsgw.provisioning import Carrier
from smsgw.queues import Kind
from smsgw.smpp.constants import ESM_RECEIPT, Status, Tag
from smsgw.smpp.pdu import DataSm, DataSmResp, DeliverSm, SubmitSm
from smsgw.smpp.receipt import format_text
from smsgw.store import schema
from tests.flow.journey import (
    DESTINATION,
    HOUR_MS,
    SOURCE,
    FakeLink,
    JourneyCase,
)

THROTTLED = Status.ESME_RTHROTTLED


def receipt_pdu(id: str, state: MessageState = MessageState.DELIVERED, **fields: Any) -> DeliverSm:
    text = format_text(Receipt(id, state), False)
    return DeliverSm(esm_class=ESM_RECEIPT, short_message=text, **fields)


class SendCase(JourneyCase):
    def queue(self, count: int, **fields: Any) -> None:
        """So many messages wait for north."""
        for _ in range(count):
            self.journey.accepted(**fields)

    def advance(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)

    def waiting(self) -> int:
        return len(self.journey.entries("carrier:north"))


class RewritingTests(SendCase):
    def test_a_carrier_gets_what_its_form_says(self) -> None:
        """The message stays as its account gave it, also for the next carrier."""
        self.queue(1)
        link = self.journey.link(sender="ACME", dest_npi=0, protocol_id=64)
        [(pdu, entry)] = link.submitted
        assert (pdu.source_addr, pdu.source_addr_ton) == (b"ACME", 5)
        assert (pdu.dest_addr_npi, pdu.protocol_id) == (0, 64)
        assert (entry.message.source, entry.message.source_ton) == (SOURCE, 1)
        assert entry.message.protocol_id == 0
        link.answer(Status.ESME_RINVSRCADR)
        [(pdu, _)] = self.journey.link("south").submitted
        assert pdu.source_addr == SOURCE.encode()

    def test_a_carrier_that_wants_gsm_gets_gsm(self) -> None:
        """Part by part; the message stays in UCS-2, which the next carrier gets."""
        text = "Łódź " * 20
        message = self.journey.accepted(text=text, parts=[])
        assert message.data_coding == 8
        before = list(message.parts)
        link = self.journey.link(transliterate=True)
        plain = "".join(pdu.short_message[6:].decode() for pdu, _ in link.submitted)
        assert plain == "Lodz " * 20
        assert {(pdu.data_coding, pdu.esm_class) for pdu, _ in link.submitted} == {(0, 0x40)}
        assert (message.data_coding, message.parts) == (8, before)
        link.answer(Status.ESME_RINVSRCADR)
        submitted = self.journey.link("south").submitted
        assert [pdu.short_message for pdu, _ in submitted] == before

    def test_a_carrier_may_be_given_data_sm(self) -> None:
        """With what else its form says; its answer is that of any submit. In 3.3 there is none."""
        self.queue(2)
        link = self.journey.link(submit="data_sm", sender="ACME", window=1)
        [(pdu, _)] = link.submitted
        assert isinstance(pdu, DataSm)
        assert (pdu.source_addr, pdu.tlvs) == (b"ACME", [(Tag.MESSAGE_PAYLOAD, b"Hello")])
        [(_, entry)] = link.submitted
        link.submitted.clear()
        link.side.answered(link, [(entry, DataSmResp(message_id=b"d1"))])
        assert entry.message.acknowledged[0].carrier_id == "d1"
        assert len(link.submitted) == 1
        link.lose()
        link.version = 0x33
        link.come_up()
        assert isinstance(link.submitted[0][0], SubmitSm)

    def test_a_changed_form_takes_effect_at_once(self) -> None:
        """On links that are up."""
        side = self.journey.side()
        link: Any = side.links[0]
        link.come_up()
        side.adjust(evolve(side.form, sender="ACME"))
        self.queue(1)
        [(pdu, _)] = link.submitted
        assert pdu.source_addr == b"ACME"


class WindowTests(SendCase):
    def test_what_waits_goes_out_when_the_link_is_up(self) -> None:
        """In order, in one write."""
        self.queue(5)
        link = self.journey.link()
        ids = [entry.message.id for _, entry in link.submitted]
        assert len(ids) == 5
        assert ids == sorted(ids)
        assert link.writes == 1

    def test_what_is_accepted_goes_out_at_once(self) -> None:
        """After its commit, to a link that has room."""
        link = self.journey.link()
        message = self.journey.accepted()
        [(pdu, entry)] = link.submitted
        assert entry.message is message
        assert (pdu.source_addr, pdu.destination_addr) == (SOURCE.encode(), DESTINATION.encode())
        assert pdu.short_message == b"Hello"

    def test_each_part_is_a_submit(self) -> None:
        """With its own octets and the UDH bit."""
        link = self.journey.link()
        message = self.journey.accepted(parts=[b"x" * 400])
        assert [pdu.short_message for pdu, _ in link.submitted] == message.parts
        assert {pdu.esm_class for pdu, _ in link.submitted} == {0x40}

    def test_no_more_are_outstanding_than_the_window(self) -> None:
        """The next ones go out as answers are settled."""
        link = self.journey.link(window=3)
        self.queue(8)
        assert len(link.submitted) == 3
        link.answer(count=1)
        assert len(link.submitted) == 3
        link.answer(count=3)
        assert len(link.submitted) == 3
        link.answer(count=3)
        assert len(link.submitted) == 1
        link.answer()
        assert self.waiting() == 0

    def test_a_place_is_free_when_the_answer_is_settled(self) -> None:
        """Not when it is received: no more than a window can be sent twice (I2)."""
        link = self.journey.link(window=2)
        self.queue(4)
        self.journey.journal.waiting = True
        link.answer()
        assert link.submitted == []
        assert link.side.outstanding == 2
        self.journey.journal.release()
        assert len(link.submitted) == 2

    def test_the_links_own_room_bounds_it_too(self) -> None:
        """A link that is ending, or has less room than the window, gets no more than that."""
        link = self.journey.link(window=10)
        link.free = 0
        self.queue(5)
        assert link.submitted == []
        link.free = 100
        link.side.pump()
        assert len(link.submitted) == 5

    def test_several_links_share_a_queue(self) -> None:
        """Each has a window of its own, and no entry goes to two."""
        side = self.journey.side(links=2, window=4)
        links: list[Any] = side.links
        for link in links:
            link.come_up()
        self.queue(10)
        assert [len(link.submitted) for link in links] == [4, 4]
        assert side.outstanding == 8
        ids = {entry.id for link in links for _, entry in link.submitted}
        assert len(ids) == 8

    def test_a_changed_window_is_in_force_at_once(self) -> None:
        """The link stays."""
        link = self.journey.link(window=2)
        self.queue(6)
        link.side.adjust(evolve(link.side.form, window=5))
        assert len(link.submitted) == 5
        link.side.adjust(evolve(link.side.form, window=1))
        assert len(link.submitted) == 5
        link.answer(count=4)
        assert len(link.submitted) == 1

    def test_what_is_late_is_not_sent(self) -> None:
        """It expires where it would have been sent (code 220)."""
        self.queue(1, validity_ms=HOUR_MS, registered_delivery=1)
        later = self.journey.accepted()
        self.advance(3600)
        link = self.journey.link()
        assert [entry.message for _, entry in link.submitted] == [later]
        assert self.journey.kinds() == [Kind.RECEIPT]
        [first, _] = sorted(self.journey.rows(schema.message), key=lambda row: row.id)
        assert (first.state, first.error) == (MessageState.EXPIRED, 220)

    def test_answers_are_counted_for_operators(self) -> None:
        """Sent, refused, without an answer."""
        link = self.journey.link()
        self.queue(6)
        link.answer(count=2)
        link.answer(Status.ESME_RINVDSTADR, count=1)
        side = link.side
        assert (side.sent, side.refused, side.unanswered) == (6, 1, 0)
        assert side.outstanding == 3
        link.lose()
        assert (side.sent, side.refused, side.unanswered) == (6, 1, 3)
        assert side.outstanding == 0


class LinkTests(SendCase):
    def test_what_a_lost_link_had_goes_back_to_the_queue(self) -> None:
        """No answer came: it is sent again when a link is up (I1, I2)."""
        link = self.journey.link(window=3)
        self.queue(5)
        first = [entry.message.id for _, entry in link.submitted]
        self.advance(1)
        link.lose()
        assert self.waiting() == 5
        self.advance(1)
        self.queue(1)
        assert link.submitted == []
        link.come_up()
        again = [entry.message.id for _, entry in link.submitted]
        link.answer()
        again += [entry.message.id for _, entry in link.submitted]
        # First what waited all the time, then what came back, then what came last.
        assert again[2:5] == first
        assert again[:2] == sorted(again[:2])
        assert len(set(again)) == 6

    def test_what_a_lost_link_had_goes_to_another(self) -> None:
        """At once, if that has room."""
        side = self.journey.side(links=2, window=3)
        first, second = side.links
        first.come_up()  # type: ignore[attr-defined]
        self.queue(3)
        second.come_up()  # type: ignore[attr-defined]
        first.lose()  # type: ignore[attr-defined]
        assert len(second.submitted) == 3  # type: ignore[attr-defined]
        assert side.outstanding == 3

    def test_a_link_that_is_down_gets_nothing(self) -> None:
        """Messages wait for it, and no other carrier is tried."""
        link = self.journey.link()
        south = self.journey.link("south")
        link.lose()
        self.queue(2)
        assert link.submitted == south.submitted == []
        assert self.waiting() == 2

    def test_a_link_that_comes_again_has_its_whole_window(self) -> None:
        """What it lost does not take up places."""
        link = self.journey.link(window=3)
        self.queue(6)
        for _ in range(3):
            link.lose()
            link.come_up()
            assert len(link.submitted) == 3

    def test_stop_unbinds_all_links_and_sends_nothing_more(self) -> None:
        """What is outstanding is still settled."""
        side = self.journey.side(links=2, window=2)
        links: list[Any] = side.links
        links[0].come_up()
        self.queue(3)
        self.journey.result(side.stop())
        assert [link.stopped for link in links] == [1, 1]
        links[0].answer()
        assert links[0].submitted == []
        assert self.waiting() == 1

    def test_stop_leaves_no_timer(self) -> None:
        """Also when the rate had made it wait."""
        link = self.journey.link(rate=1)
        self.queue(3)
        self.journey.result(link.side.stop())
        assert self.journey.clock.getDelayedCalls() == []


class RateTests(SendCase):
    def test_a_carriers_rate_is_kept(self) -> None:
        """Twenty a second: two at once, a tenth of a second's worth, then one each 50 ms."""
        link = self.journey.link(window=100, rate=20)
        self.queue(40)
        assert len(link.submitted) == 2
        self.advance(0.06)
        assert len(link.submitted) == 3
        for _ in range(10):
            self.advance(0.05)
        assert len(link.submitted) == 13

    def test_a_rate_holds_for_all_links_together(self) -> None:
        """It is the carrier's, however many links there are."""
        side = self.journey.side(links=3, window=100, rate=10)
        links: list[Any] = side.links
        for link in links:
            link.come_up()
        self.queue(200)
        for _ in range(100):
            self.advance(0.05)
        sent = sum(len(link.submitted) for link in links)
        assert 5 * 10 - 3 <= sent <= 5 * 10 + 3

    def test_a_wide_window_is_no_way_around_the_rate(self) -> None:
        """Over a minute no more than the rate, and nearly as much."""
        link = self.journey.link(window=5, rate=4)
        self.queue(300)
        for _ in range(600):
            self.advance(0.1)
            if link.submitted:
                link.answer()
        assert 4 * 60 - 4 <= link.side.sent <= 4 * 60 + 4

    def test_a_changed_rate_is_in_force_at_once(self) -> None:
        """What waited for the old one goes out."""
        link = self.journey.link(window=100, rate=1)
        self.queue(30)
        assert len(link.submitted) == 1
        link.side.adjust(evolve(link.side.form, rate=0))
        assert len(link.submitted) == 30

    def test_a_link_that_waits_longer_delays_no_other(self) -> None:
        """One is paused for a second, the other waits for its next token only."""
        side = self.journey.side(links=2, window=1, rate=20)
        slow, quick = side.links
        slow.come_up()  # type: ignore[attr-defined]
        self.queue(60)
        slow.answer(THROTTLED)  # type: ignore[attr-defined]
        quick.come_up()  # type: ignore[attr-defined]
        for _ in range(15):
            quick.answer()  # type: ignore[attr-defined]
            self.advance(0.05)
        assert side.sent >= 15


class ThrottlingTests(SendCase):
    def test_throttled_a_link_pauses(self) -> None:
        """A second, in which nothing is sent; then it goes on by itself."""
        link = self.journey.link(window=4)
        self.queue(20)
        link.answer(THROTTLED, count=1)
        link.answer()
        assert link.submitted == []
        self.advance(0.9)
        assert link.submitted == []
        self.advance(0.2)
        assert link.submitted != []
        assert link.side.throttled == 1

    def test_a_full_queue_at_the_carrier_is_the_same(self) -> None:
        """ESME_RMSGQFUL says that it is too much, too."""
        link = self.journey.link(window=4)
        self.queue(20)
        link.answer(Status.ESME_RMSGQFUL)
        assert link.submitted == []
        assert link.side.throttled == 1

    def test_another_temporary_refusal_does_not_pause(self) -> None:
        """A system error is about the message."""
        link = self.journey.link(window=4)
        self.queue(20)
        link.answer(Status.ESME_RSYSERR, count=1)
        assert len(link.submitted) == 4
        assert link.side.throttled == 0

    def test_throttled_a_link_halves_what_is_outstanding(self) -> None:
        """Four, then two, then one, and never none."""
        link = self.journey.link(window=4)
        self.queue(20)
        outstanding = []
        for pause in (1, 2, 4, 8):
            link.answer(THROTTLED)
            self.advance(pause + 0.1)
            outstanding.append(len(link.submitted))
        assert outstanding == [2, 1, 1, 1]

    def test_the_pause_doubles_up_to_half_a_minute(self) -> None:
        """A carrier that goes on refusing is asked seldom."""
        link = self.journey.link(window=1)
        self.queue(50)
        for pause in (1, 2, 4, 8, 16, 30, 30):
            link.answer(THROTTLED)
            self.advance(pause - 0.1)
            assert link.submitted == [], pause
            self.advance(0.2)
            assert len(link.submitted) == 1, pause

    def test_a_burst_of_throttled_answers_counts_once(self) -> None:
        """Many answers of one window say the same thing."""
        link = self.journey.link(window=8)
        self.queue(20)
        for _ in range(8):
            link.answer(THROTTLED, count=1)
        self.advance(1.1)
        assert len(link.submitted) == 4
        assert link.side.throttled == 1

    def test_with_good_answers_it_recovers(self) -> None:
        """One more for each window that goes well, up to the whole window."""
        link = self.journey.link(window=8)
        self.queue(200)
        link.answer(THROTTLED)
        self.advance(1.1)
        sizes = [len(link.submitted)]
        while sizes[-1] < 8:
            link.answer()
            sizes.append(len(link.submitted))
            assert len(sizes) < 20
        assert sizes[0] == 4
        assert sizes == sorted(sizes)
        assert set(sizes) == {4, 5, 6, 7, 8}

    def test_recovered_it_pauses_briefly_again(self) -> None:
        """Good answers make the next pause as short as the first."""
        link = self.journey.link(window=2)
        self.queue(50)
        for pause in (1, 2, 4):
            link.answer(THROTTLED)
            self.advance(pause + 0.1)
        link.answer()
        link.answer()
        link.answer(THROTTLED)
        self.advance(1.1)
        assert link.submitted != []

    def test_throttled_messages_are_not_lost(self) -> None:
        """Each comes again after its own wait, and none goes to the next carrier."""
        link = self.journey.link(window=4)
        south = self.journey.link("south")
        self.queue(4)
        link.answer(THROTTLED)
        for _ in range(10):
            self.advance(1)
            if link.submitted:
                link.answer()
        assert self.journey.entries() == []
        assert south.submitted == []
        assert {row.carrier for row in self.journey.rows(schema.part)} == {"north"}

    def test_one_links_pause_is_its_own(self) -> None:
        """Another link of the carrier goes on."""
        side = self.journey.side(links=2, window=2)
        links: list[Any] = side.links
        links[0].come_up()
        self.queue(2)
        links[0].answer(THROTTLED)
        links[1].come_up()
        self.queue(2)
        assert [len(link.submitted) for link in links] == [0, 2]


class ReceivedTests(SendCase):
    def setUp(self) -> None:
        super().setUp()
        self.link = self.journey.link()

    def answers(self) -> list[tuple[int, Status]]:
        answered = [(pdu.sequence, Status(pdu.status)) for pdu in self.link.responses]
        self.link.responses.clear()
        return answered

    def receive(self, *pdus: DeliverSm) -> None:
        self.link.side.received(self.link, list(pdus))

    def test_receipts_and_mo_of_one_read_are_told_apart(self) -> None:
        """Each kind is stored in one transaction, and each PDU answered."""
        self.queue(2, registered_delivery=1)
        self.link.answer(names=["x1", "x2"])
        mo = DeliverSm(sequence=2, destination_addr=SOURCE.encode(), short_message=b"Hi")
        self.receive(receipt_pdu("x1", sequence=1), mo, receipt_pdu("x2", sequence=3))
        assert sorted(self.answers()) == [
            (1, Status.ESME_ROK),
            (2, Status.ESME_ROK),
            (3, Status.ESME_ROK),
        ]
        assert sorted(self.journey.kinds()) == [Kind.MO, Kind.RECEIPT, Kind.RECEIPT]
        assert (self.link.side.receipts_received, self.link.side.mo_received) == (2, 1)

    def test_a_receipt_is_answered_when_it_is_durable(self) -> None:
        """Not before (I1)."""
        self.queue(1, registered_delivery=1)
        self.link.answer(names=["x1"])
        self.journey.journal.waiting = True
        self.receive(receipt_pdu("x1", sequence=5))
        assert self.answers() == []
        self.journey.journal.release()
        assert self.answers() == [(5, Status.ESME_ROK)]

    def test_a_receipt_that_is_not_stored_is_sent_again(self) -> None:
        """ESME_RX_T_APPN asks the carrier for that, and then it works."""
        self.queue(1, registered_delivery=1)
        self.link.answer(names=["x1"])
        self.journey.journal.broken = "disk full"
        self.receive(receipt_pdu("x1", sequence=5))
        assert self.answers() == [(5, Status.ESME_RX_T_APPN)]
        self.journey.journal.broken = ""
        self.receive(receipt_pdu("x1", sequence=6))
        assert self.answers() == [(6, Status.ESME_ROK)]
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_an_mo_that_is_not_stored_is_sent_again(self) -> None:
        """The same for messages from handsets."""
        mo = DeliverSm(sequence=2, destination_addr=SOURCE.encode(), short_message=b"Hi")
        self.journey.journal.broken = "disk full"
        self.receive(mo)
        assert self.answers() == [(2, Status.ESME_RX_T_APPN)]

    def test_a_receipt_of_nobody_is_answered(self) -> None:
        """It is kept for a response that may still come."""
        self.receive(receipt_pdu("nobody", sequence=5))
        assert self.answers() == [(5, Status.ESME_ROK)]

    def test_a_fault_of_ours_costs_an_answer_only(self) -> None:
        """The carrier is told to try again, and the fault is logged."""
        self.patch(self.journey.receipts, "receive", lambda *_: failed(ZeroDivisionError()))
        self.patch(self.journey.inbound, "receive", lambda *_: failed(ZeroDivisionError()))
        mo = DeliverSm(sequence=2, destination_addr=SOURCE.encode(), short_message=b"Hi")
        self.receive(receipt_pdu("x1", sequence=5), mo)
        assert self.answers() == [(5, Status.ESME_RX_T_APPN), (2, Status.ESME_RX_T_APPN)]
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2


def failed(error: Exception) -> Deferred[Any]:
    done: Deferred[Any] = Deferred()
    done.errback(error)
    return done


class FakeSide:
    """As much of a carrier's side as the list of all carriers uses."""

    def __init__(self, form: Carrier) -> None:
        self.form = form
        self.links = [FakeLink()]
        self.stopped = 0
        self.adjusted: list[Carrier] = []

    def adjust(self, form: Carrier) -> None:
        self.form = form
        self.adjusted.append(form)

    def stop(self) -> Deferred[None]:
        self.stopped += 1
        return succeed(None)


class CarriersTests(TestCase):
    """All carriers are kept as the provisioning says."""

    def setUp(self) -> None:
        self.made: list[FakeSide] = []
        self.later: list[Deferred[Any]] | None = None
        self.forsaken: list[str] = []
        self.carriers = Carriers(self.make, self.forsaken.append)
        self.north = Carrier("north", host="192.0.2.1", window=10)

    def make(self, form: Carrier) -> "Deferred[CarrierSide]":
        side: Any = FakeSide(form)
        self.made.append(side)
        if self.later is None:
            return succeed(side)
        done: Deferred[Any] = Deferred()
        done.side = side  # type: ignore[attr-defined]
        self.later.append(done)
        return done

    def provision(self, *forms: Carrier) -> None:
        self.carriers.provision({form.name: form for form in forms})

    def finish(self) -> None:
        """What was being made is made."""
        waiting, self.later = self.later or [], []
        for done in waiting:
            done.callback(done.side)  # type: ignore[attr-defined]

    def test_a_new_carrier_is_made_and_its_links_start(self) -> None:
        """Once, however often it is provisioned in the same way."""
        self.provision(self.north)
        self.provision(evolve(self.north))
        [side] = self.made
        assert side.links[0].started == 1
        assert self.carriers.sides == {"north": side}
        assert (side.stopped, side.adjusted) == (0, [])

    def test_a_carrier_that_is_gone_is_stopped(self) -> None:
        """Its links are unbound."""
        self.provision(self.north)
        self.provision()
        assert self.made[0].stopped == 1
        assert self.carriers.sides == {}

    def test_window_and_rate_are_adjusted_without_new_links(self) -> None:
        """A change drops no bind that need not change."""
        self.provision(self.north)
        changed = evolve(
            self.north, window=50, rate=100, sender="ACME", submit="data_sm", errors={"9": 1}
        )
        self.provision(changed)
        [side] = self.made
        assert (side.stopped, side.adjusted) == (0, [changed])

    def test_another_host_needs_new_links(self) -> None:
        """The old ones are unbound, the new ones started."""
        self.provision(self.north)
        self.provision(evolve(self.north, host="192.0.2.2"))
        old, new = self.made
        assert (old.stopped, new.links[0].started) == (1, 1)
        assert self.carriers.sides == {"north": new}

    def test_other_carriers_stay_as_they_are(self) -> None:
        """A change of one is no matter of the others."""
        south = Carrier("south", host="192.0.2.9")
        self.provision(self.north, south)
        self.provision(evolve(self.north, port=2776), south)
        assert [side.form.name for side in self.made] == ["north", "south", "north"]
        assert [side.stopped for side in self.made] == [1, 0, 0]

    def test_a_reload_while_a_carrier_is_being_made_does_not_lose_it(self) -> None:
        """Equal forms are equal, whichever reading of the store they are of."""
        self.later = []
        self.provision(self.north)
        self.provision(evolve(self.north))
        self.finish()
        assert list(self.carriers.sides) == ["north"]
        assert self.made[0].links[0].started == 1

    def test_a_change_while_a_carrier_is_being_made_is_taken_over(self) -> None:
        """Its window is the new one when it starts."""
        self.later = []
        self.provision(self.north)
        changed = evolve(self.north, window=50)
        self.provision(changed)
        self.finish()
        [side] = self.made
        assert side.form is changed
        assert self.carriers.sides == {"north": side}

    def test_of_two_that_were_being_made_the_right_one_starts(self) -> None:
        """What was made for another host is left alone."""
        self.later = []
        self.provision(self.north)
        self.provision(evolve(self.north, host="192.0.2.2"))
        self.finish()
        old, new = self.made
        assert (old.links[0].started, new.links[0].started) == (0, 1)
        assert self.carriers.sides == {"north": new}

    def test_one_that_was_withdrawn_while_being_made_does_not_start(self) -> None:
        """It is in nobody's way any more."""
        self.later = []
        self.provision(self.north)
        self.provision()
        self.finish()
        assert self.made[0].links[0].started == 0
        assert self.carriers.sides == {}

    def test_one_that_cannot_be_made_is_tried_again_at_the_next_change(self) -> None:
        """It is logged, and harms no other."""
        self.later = []
        self.provision(self.north)
        self.later.pop().errback(ZeroDivisionError())
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.provision(self.north)
        self.finish()
        assert list(self.carriers.sides) == ["north"]

    def test_stop_stops_all(self) -> None:
        """And fires when they are."""
        self.provision(self.north, Carrier("south", host="192.0.2.9"))
        self.successResultOf(self.carriers.stop())
        assert [side.stopped for side in self.made] == [1, 1]


class LoggedTests(SendCase):
    def test_why_a_link_is_not_up_is_told_once(self) -> None:
        """One line for each reason, however often it is tried; after it was up, anew."""
        lines: list[str] = []
        self.patch(carrier._log, "warn", lambda text, **fields: lines.append(fields["reason"]))
        side = self.journey.side()
        link: Any = side.links[0]
        for reason in ("refused", "refused", "bind refused", "bind refused"):
            side.link_waits(link, reason)
        link.come_up()
        side.link_waits(link, "bind refused")
        assert lines == ["refused", "bind refused", "bind refused"]

    def test_a_lost_link_is_told_once(self) -> None:
        """By one warning that says what comes next, and not again while it stays so; a link that
        is stopped is no warning."""
        warned: list[str] = []
        informed: list[str] = []
        self.patch(
            carrier._log, "warn", lambda text, **fields: warned.append(text.format(**fields))
        )
        self.patch(carrier._log, "info", lambda text, **fields: informed.append(text))
        side = self.journey.side()
        link: Any = side.links[0]
        link.come_up()
        link.lose()
        side.link_waits(link, "lost")
        assert warned == [
            f"carrier {side.form.name}: link 1 is not up any more: lost; tried again until it is"
        ]
        link.come_up()
        side.link_down(link, "stopped")
        assert len(warned) == 1
        assert len(informed) == 3
