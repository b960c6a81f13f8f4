"""What must not go wrong together: retries that overtake, poison, carriers and logins that go."""

from twisted.internet.defer import Deferred

from smsgw.message import MessageState, Receipt
from smsgw.provisioning import Provisioning
from smsgw.queues import Entry, Kind
from smsgw.smpp.pdu import Pdu, SubmitSmResp
from smsgw.store import schema
from tests.flow.journey import NORTH, SOUTH, JourneyCase, Taker

DELIVERED = MessageState.DELIVERED
LONG = [b"\x05\x00\x03\x01\x03" + bytes((n,)) + b"x" for n in (1, 2, 3)]


def taken(entries: list[Entry], *names: str) -> list[tuple[Entry, Pdu | None]]:
    return [
        (entry, SubmitSmResp(message_id=name.encode()))
        for entry, name in zip(entries, names, strict=True)
    ]


class BrokenTaker(Taker):
    """A consumer that fails whenever it gets something."""

    def take(self, entries: list[Entry]) -> None:
        raise ZeroDivisionError


class PoisonTests(JourneyCase):
    """One message that cannot be sent holds up no other."""

    def test_what_no_pdu_holds_ends_and_the_others_are_sent(self) -> None:
        """An address too long for its field is refused by the encoder, not by the carrier."""
        j = self.journey
        good, bad, other = (j.accepted(registered_delivery=1) for _ in range(3))
        bad.destination = "4" * 30
        link = j.link()
        assert [entry.message for _, entry in link.submitted] == [good, other]
        assert bad.state == MessageState.REJECTED
        link.answer()
        assert not j.entries(NORTH)
        assert link.side.outstanding == 0
        assert j.kinds() == [Kind.RECEIPT]

    def test_a_consumer_that_breaks_holds_up_no_other_queue(self) -> None:
        """Its entries are given back and come again; other queues get theirs."""
        j = self.journey
        j.accepted()
        broken = BrokenTaker()
        j.queues.subscribe(NORTH, broken)
        other = j.taker(SOUTH)
        j.accepted()
        j.queues.unsubscribe(NORTH, broken)
        self.flushLoggedErrors(ZeroDivisionError)
        assert not other.taken
        north = j.taker(NORTH)
        j.clock.advance(61)
        assert len(north.taken) == 2


class UnstoredTests(JourneyCase):
    """The store fails for a moment, and takes the next change first."""

    def test_a_receipt_does_not_overtake_its_answer(self) -> None:
        """While an answer waits to be stored, receipts are to come again (I3)."""
        j = self.journey
        link = j.link()
        message = j.accepted(registered_delivery=1)
        j.journal.broken = "disk full"
        link.answer()
        j.journal.broken = ""
        assert not j.receive("a0")
        assert message.state == MessageState.ENROUTE
        j.clock.advance(1)
        assert j.receive("a0")
        assert message.state == DELIVERED
        j.restart()
        assert not j.link().submitted

    def test_an_answer_stored_late_keeps_what_a_receipt_has_moved(self) -> None:
        """The part's row is written as the part stands when it is written."""
        j = self.journey
        message = j.accepted(registered_delivery=1, parts=[b"y" * 300])
        north = j.taker()
        j.journal.waiting = True
        done = j.settlement.settle("north", taken(north.taken, "p0", "p1"))
        receipts = [Receipt("p0", DELIVERED), Receipt("p1", DELIVERED)]
        answered = j.receipts.receive("north", receipts)
        j.journal.broken = "disk full"
        j.journal.release(1)
        j.journal.broken = ""
        j.journal.release()
        assert self.successResultOf(answered)
        self.assertNoResult(done)
        j.clock.advance(1)
        self.successResultOf(done)
        assert j.stored(message).state == DELIVERED
        assert {row.state for row in j.rows(schema.part)} == {DELIVERED}
        assert not j.entries(NORTH)

    def test_undoing_a_receipt_keeps_answers_that_came_meanwhile(self) -> None:
        """What the receipt changed is undone, nothing else."""
        j = self.journey
        message = j.accepted(registered_delivery=1, parts=[b"y" * 400])
        north = j.taker()
        first, *others = north.taken
        j.result(j.settlement.settle("north", taken([first], "p0")))
        j.journal.waiting = True
        failing = j.receipts.receive("north", [Receipt("p0", DELIVERED)])
        done = j.settlement.settle("north", taken(others, "p1", "p2"))
        j.journal.broken = "disk full"
        j.journal.release(1)
        j.journal.broken = ""
        j.journal.release()
        assert self.successResultOf(failing) is False
        self.successResultOf(done)
        assert sorted(message.acknowledged) == [0, 1, 2]
        for name in ("p0", "p1", "p2"):
            assert j.receive(name)
        assert j.stored(message).state == DELIVERED


class UnansweredTests(JourneyCase):
    """A message that has no answer again and again may be what breaks the link."""

    def test_it_waits_longer_and_then_takes_the_next_carrier(self) -> None:
        """At once, after 1, 2, 5, 10 seconds; then another carrier tries."""
        j = self.journey
        j.accepted()
        waits = []
        for _ in range(5):
            north = j.taker()
            j.queues.unsubscribe(NORTH, north)
            [entry] = north.taken
            before = j.now_ms
            j.result(j.settlement.settle("north", [(entry, None)]))
            [row] = j.entries()
            waits.append((row.due - before) // 1000)
            j.clock.advance(max(0.001, waits[-1]))
        assert waits == [0, 1, 2, 5, 10]
        north = j.taker()
        j.result(j.settlement.settle("north", [(north.taken[0], None)]))
        [row] = j.entries()
        assert row.queue == SOUTH


class GoneTests(JourneyCase):
    """A carrier that is no more leaves nothing behind."""

    def without(self, *names: str) -> None:
        old = self.journey.tables.provisioning
        carriers = {name: form for name, form in old.carriers.items() if name not in names}
        routes = {name: form for name, form in old.routes.items() if carriers}
        self.journey.provision(Provisioning(dict(old.accounts), carriers, routes))

    def forsake(self, name: str) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.journey.expiry.forsake(name)))

    def test_what_waits_for_it_goes_to_the_next(self) -> None:
        """In the order of the route, each message once."""
        j = self.journey
        messages = [j.accepted() for _ in range(3)]
        self.without("north")
        self.forsake("north")
        south = j.taker(SOUTH)
        assert [entry.message for entry in south.taken] == messages
        assert not j.entries(NORTH)

    def test_where_there_is_none_the_message_ends(self) -> None:
        """It is told so."""
        j = self.journey
        message = j.accepted(registered_delivery=1)
        self.without("north", "south")
        self.forsake("north")
        assert j.stored(message).state == MessageState.UNDELIVERABLE
        assert j.kinds() == [Kind.RECEIPT]
        assert not j.entries(NORTH)


class HeldTests(JourneyCase):
    """What a session did not answer goes out at the next bind (L-D10)."""

    def test_a_bind_brings_forward_what_waits_for_later(self) -> None:
        """However often it was not answered."""
        j = self.journey
        j.mo()
        session = j.session()
        for _ in range(12):
            j.respond(session, None)
            j.clock.advance(61)
        assert not session.delivered
        j.lose(session)
        again = j.session()
        j.clock.advance(0)
        assert len(again.delivered) == 1

    def test_an_entry_lost_with_its_session_has_not_failed(self) -> None:
        """It counts no attempt."""
        j = self.journey
        j.mo()
        j.lose(j.session())
        again = j.session()
        [(_, entry)] = again.delivered
        assert entry.attempts == 0
