"""Failover: what has waited too long for a carrier, and what a carrier could not deliver, goes to
the route's next one."""

from typing import Any, ClassVar

from attrs import evolve
from twisted.internet.defer import Deferred

from smsgw.message import FORMER, Message, MessageState, Receipt
from smsgw.provisioning import Carrier, Provisioning
from smsgw.queues import Kind
from smsgw.smpp.constants import Status
from smsgw.store import schema
from tests.flow.journey import (
    ACME,
    HOUR_MS,
    NORTH,
    NOW_MS,
    SOUTH,
    JourneyCase,
    provisioned,
)

EAST = "carrier:east"
PERMANENT = Status.ESME_RINVDSTADR
UNDELIVERABLE = MessageState.UNDELIVERABLE
DELIVERED = MessageState.DELIVERED


def with_route(carriers: str = "north south", **fields: Any) -> Provisioning:
    """Carriers by name, and what else the one route has."""
    provisioning = provisioned()
    provisioning.carriers["east"] = Carrier("east")
    route = evolve(provisioning.routes["uk"], carriers=carriers.split(), **fields)
    provisioning.routes["uk"] = route
    return provisioning


class FailoverCase(JourneyCase):
    route: ClassVar[dict[str, Any]] = {}

    def setUp(self) -> None:
        super().setUp()
        self.journey.provision(with_route(**self.route))

    def advance(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)

    def queued(self) -> list[str]:
        """The queues of all that waits to be sent, in order."""
        rows = sorted(self.journey.entries(), key=lambda row: row.part)
        return [row.queue for row in rows if row.kind == Kind.SEND]

    def assert_ended(self, message: Message, state: MessageState, error: int = 0) -> None:
        """In memory and in the store, with nothing left to send."""
        for one in (message, self.journey.stored(message)):
            assert (MessageState(one.state), one.error) == (state, error)
        assert self.queued() == []

    def crash(self) -> None:
        """A new process on the same store."""
        self.journey.expiry.stop()
        self.journey.restart()
        self.journey.expiry.start()


class QueueTimeTests(FailoverCase):
    """A route with 30 seconds for each carrier but the last."""

    route: ClassVar[dict[str, Any]] = {"carriers": "north east south", "queue_time_s": 30}

    def setUp(self) -> None:
        super().setUp()
        self.journey.expiry.start()

    def test_what_has_waited_its_time_goes_to_the_next_carrier(self) -> None:
        """Not before; and there it has its time again."""
        self.journey.accepted()
        self.advance(29)
        assert self.queued() == [NORTH]
        self.advance(6)
        assert self.queued() == [EAST]
        self.advance(24)
        assert self.queued() == [EAST]

    def test_the_last_carrier_keeps_it(self) -> None:
        """As long as it is valid; then it has expired."""
        message = self.journey.accepted(validity_ms=HOUR_MS, registered_delivery=1)
        for _ in range(14):
            self.advance(5)
        assert self.queued() == [SOUTH]
        [entry] = self.journey.entries()
        assert entry.expires_at == message.expires_at
        self.advance(3400)
        assert self.queued() == [SOUTH]
        self.advance(200)
        self.assert_ended(message, MessageState.EXPIRED, 220)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_validity_goes_first(self) -> None:
        """What is not valid as long as it may wait expires where it waits."""
        message = self.journey.accepted(validity_ms=20_000)
        self.advance(25)
        self.assert_ended(message, MessageState.EXPIRED, 220)

    def test_attempts_are_counted_anew(self) -> None:
        """Temporary refusals of one carrier are nothing to the next; back-off counts as waiting."""
        self.journey.accepted()
        link = self.journey.link()
        for _ in range(12):
            link.answer(Status.ESME_RMSGQFUL)
            self.advance(3)
        [entry] = self.journey.entries()
        assert (entry.queue, entry.attempts) == (EAST, 0)

    def test_what_a_link_has_been_given_is_left_alone(self) -> None:
        """Its answer settles it, or else it might be sent twice (I2)."""
        message = self.journey.accepted()
        link = self.journey.link()
        self.advance(60)
        assert self.queued() == [NORTH]
        link.answer()
        assert self.queued() == []
        assert message.carrier == "north"

    def test_what_comes_up_too_late_is_not_sent(self) -> None:
        """A carrier that has room again finds only what has not waited too long."""
        late = self.journey.accepted()
        self.advance(4)
        self.journey.expiry.stop()
        self.advance(25)
        in_time = self.journey.accepted()
        self.advance(5)
        link = self.journey.link()
        assert [entry.message for _, entry in link.submitted] == [in_time]
        [entry] = self.journey.entries(EAST)
        assert entry.message == late.id

    def test_what_is_for_later_waits_from_then_on(self) -> None:
        """The time begins when it is due."""
        self.journey.accepted(schedule_at=NOW_MS + HOUR_MS)
        self.advance(3629)
        assert self.queued() == [NORTH]
        self.advance(6)
        assert self.queued() == [EAST]

    def test_each_part_waits_by_itself(self) -> None:
        """What the first carrier has taken stays with it."""
        message = self.journey.accepted(parts=[b"x" * 400])
        link = self.journey.link(window=1)
        link.free = 0
        link.answer()
        self.advance(35)
        assert self.queued() == [EAST, EAST]
        assert message.acknowledged[0].carrier == "north"

    def test_without_a_carrier_after_it_it_stays(self) -> None:
        """The next ones were removed meanwhile."""
        message = self.journey.accepted()
        provisioning = with_route(**self.route)
        del provisioning.carriers["east"], provisioning.carriers["south"]
        self.journey.provision(provisioning)
        self.advance(35)
        [entry] = self.journey.entries()
        assert (entry.queue, entry.expires_at) == (NORTH, message.expires_at)
        link = self.journey.link()
        assert len(link.submitted) == 1
        link.answer()

    def test_after_a_crash_it_has_waited_as_long(self) -> None:
        """The time is the entry's own."""
        self.journey.accepted()
        self.advance(20)
        self.crash()
        self.advance(15)
        assert self.queued() == [EAST]
        self.crash()
        self.advance(35)
        assert self.queued() == [SOUTH]

    def test_what_is_moved_is_moved_once(self) -> None:
        """In one transaction: a crash before it leaves all with the first carrier (I3)."""
        self.journey.accepted()
        self.journey.expiry.stop()
        self.advance(31)
        self.journey.journal.waiting = True
        self.journey.expiry.start()
        self.journey.journal.release(1)  # what has expired is read, and its commit waits
        self.journey.journal.forget()
        assert self.queued() == [NORTH]
        self.crash()
        assert self.queued() == [EAST]

    def test_a_route_without_it_waits_for_ever(self) -> None:
        """The default."""
        self.journey.provision(with_route("north south"))
        message = self.journey.accepted()
        self.advance(HOUR_MS / 1000)
        [entry] = self.journey.entries()
        assert (entry.queue, entry.expires_at) == (NORTH, message.expires_at)


class UndeliveredTests(FailoverCase):
    """A route that goes on to the next carrier when one could not deliver."""

    route: ClassVar[dict[str, Any]] = {"carriers": "north south", "failover_undelivered": True}

    def setUp(self) -> None:
        super().setUp()
        self.north = self.journey.link("north")

    def taken(self, **fields: Any) -> Message:
        """A message that north has taken as a0 (a1, a2 ...)."""
        message = self.journey.accepted(**{"registered_delivery": 1, **fields})
        self.north.answer()
        return message

    def test_what_could_not_be_delivered_goes_to_the_next_carrier(self) -> None:
        """The account hears nothing of it, until that one has delivered it."""
        for state in (UNDELIVERABLE, MessageState.REJECTED, MessageState.EXPIRED):
            message = self.taken()
            assert self.journey.receive("a0", state, error="101")
            assert (message.state, message.error) == (MessageState.ENROUTE, 0)
            [entry] = self.journey.entries(SOUTH)
            assert (entry.queue, entry.message, entry.attempts) == (SOUTH, message.id, 0)
            assert entry.expires_at == message.expires_at
            south = self.journey.link("south")
            south.answer(names=["b0"])
            assert message.carrier == "south"
            assert self.journey.receive("b0", carrier="south")
            self.assert_ended(message, DELIVERED)
            south.lose()
        assert self.journey.kinds() == [Kind.RECEIPT] * 3

    def test_the_last_carrier_has_the_last_word(self) -> None:
        """Each carrier gets it once."""
        message = self.taken()
        self.journey.receive("a0", UNDELIVERABLE, error="101")
        self.journey.link("south").answer(names=["b0"])
        self.journey.receive("b0", UNDELIVERABLE, error="103", carrier="south")
        self.assert_ended(message, UNDELIVERABLE, 103)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_other_final_states_are_final(self) -> None:
        """DELETED is what somebody wanted, UNKNOWN may be followed."""
        for state, error in ((MessageState.DELETED, 221), (MessageState.UNKNOWN, 224)):
            message = self.taken()
            self.journey.receive("a0", state)
            self.assert_ended(message, state, error)

    def test_without_the_setting_it_ends(self) -> None:
        """As it does when the route is no more, or the message not valid any more."""
        provisioning = with_route("north south")
        self.journey.provision(provisioning)
        message = self.taken()
        self.journey.receive("a0", UNDELIVERABLE, error="101")
        self.assert_ended(message, UNDELIVERABLE, 101)
        self.journey.provision(with_route(**self.route))
        message = self.taken()
        self.journey.provision(evolve(with_route(**self.route), routes={}))
        self.journey.receive("a0", UNDELIVERABLE, error="101")
        self.assert_ended(message, UNDELIVERABLE, 101)
        self.journey.provision(with_route(**self.route))
        message = self.taken(validity_ms=HOUR_MS)
        self.advance(3600)
        self.journey.receive("a0", UNDELIVERABLE, error="101")
        self.assert_ended(message, UNDELIVERABLE, 101)

    def test_it_is_one_transaction(self) -> None:
        """The entry, and that nobody has the part (I3)."""
        message = self.taken()
        before = self.journey.journal.transactions
        self.journey.receive("a0", UNDELIVERABLE)
        assert self.journey.journal.transactions == before + 1
        assert self.journey.stored(message).acknowledged == {}
        assert self.journey.stored(message) == message

    def test_what_the_store_does_not_take_has_not_happened(self) -> None:
        """The carrier is told to send the receipt again, and then it goes on."""
        message = self.taken()
        kept = evolve(message, acknowledged=dict(message.acknowledged))
        self.journey.journal.broken = "disk full"
        assert not self.journey.receive("a0", UNDELIVERABLE)
        assert message == kept
        self.journey.journal.broken = ""
        assert self.journey.receive("a0", UNDELIVERABLE)
        assert self.queued() == [SOUTH]

    def test_a_crash_loses_nothing(self) -> None:
        """Neither before the next carrier gets it, nor when that one has it."""
        id = self.taken().id
        self.journey.receive("a0", UNDELIVERABLE)
        self.crash()
        [[_, entry]] = self.journey.link("south").submitted
        assert entry.message.id == id
        self.crash()
        self.journey.link("south").answer(names=["b0"])
        self.crash()
        assert self.queued() == []
        assert self.journey.receive("a0", UNDELIVERABLE)  # once more, of the one before
        assert self.journey.receive("b0", carrier="south")
        [row] = self.journey.rows(schema.message)
        assert (row.id, row.state) == (id, DELIVERED)

    def test_a_crash_before_the_commit_leaves_it_with_the_first(self) -> None:
        """Whose receipt, which was not answered, comes again."""
        message = self.taken()
        self.journey.journal.waiting = True
        failed = Receipt(id="a0", state=int(UNDELIVERABLE))
        answered = self.journey.receipts.receive("north", [failed])
        self.assertNoResult(answered)
        self.journey.journal.forget()
        self.crash()
        assert self.journey.stored(message).carrier == "north"
        assert self.queued() == []
        assert self.journey.receive("a0", UNDELIVERABLE)
        assert self.queued() == [SOUTH]

    def test_the_same_receipt_again_changes_nothing(self) -> None:
        """Wherever the message is by then."""
        message = self.taken()
        for _ in range(2):
            self.journey.receive("a0", UNDELIVERABLE)
            assert self.queued() == [SOUTH]
        south = self.journey.link("south")
        self.journey.receive("a0", UNDELIVERABLE)
        south.answer(names=["b0"])
        self.journey.receive("a0", UNDELIVERABLE)
        assert message.state == MessageState.ENROUTE
        assert message.carrier == "south"

    def test_delivered_after_all_is_delivered(self) -> None:
        """A receipt of the first carrier that comes when the next one has taken it counts."""
        message = self.taken()
        self.journey.receive("a0", UNDELIVERABLE)
        self.journey.link("south").answer(names=["b0"])
        self.journey.receive("a0", DELIVERED)
        self.assert_ended(message, DELIVERED)
        self.journey.receive("b0", UNDELIVERABLE, carrier="south")
        self.assert_ended(message, DELIVERED)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_delivered_after_all_while_it_waits_is_not_sent(self) -> None:
        """It ends when its turn comes, also after a crash; an entry never outlives its message
        (I3)."""
        for crash in (False, True):
            message = self.taken()
            self.journey.receive("a0", UNDELIVERABLE)
            self.journey.receive("a0", DELIVERED)
            assert message.state == MessageState.ENROUTE
            self.journey.check()
            if crash:
                self.crash()
            south = self.journey.link("south")
            assert south.submitted == []
            assert self.journey.stored(message).state == DELIVERED
            assert self.queued() == []
            south.lose()

    def test_delivered_after_all_while_it_is_sent_ends_with_the_answer(self) -> None:
        """Whatever that is."""
        for status in (0, PERMANENT, Status.ESME_RTHROTTLED):
            message = self.taken()
            self.journey.receive("a0", UNDELIVERABLE)
            south = self.journey.link("south")
            self.journey.receive("a0", DELIVERED)
            self.journey.check()
            south.answer(status, names=["b0"])
            self.assert_ended(message, DELIVERED)
            south.lose()

    def test_delivered_after_all_it_does_not_expire(self) -> None:
        """Though its turn never came."""
        message = self.taken(validity_ms=HOUR_MS)
        self.journey.receive("a0", UNDELIVERABLE)
        self.journey.receive("a0", DELIVERED)
        self.journey.expiry.start()
        self.advance(3605)
        self.assert_ended(message, DELIVERED)

    def test_a_carrier_that_is_removed_keeps_nothing_from_its_end(self) -> None:
        """What was delivered after all does not look for another carrier."""
        message = self.taken()
        self.journey.receive("a0", UNDELIVERABLE)
        self.journey.receive("a0", DELIVERED)
        provisioning = with_route(**self.route)
        del provisioning.carriers["south"]
        self.journey.provision(provisioning)
        self.journey.result(Deferred.fromCoroutine(self.journey.expiry.forsake("south")))
        self.assert_ended(message, DELIVERED)

    def test_a_receipt_that_is_there_before_the_answer_counts_too(self) -> None:
        """The answer then sends it on, in the same transaction."""
        message = self.journey.accepted(registered_delivery=1)
        self.journey.receive("a0", UNDELIVERABLE)
        self.north.answer()
        assert self.queued() == [SOUTH]
        assert message.acknowledged == {}

    def test_a_part_goes_on_by_itself(self) -> None:
        """The message ends when all parts have, wherever."""
        message = self.taken(parts=[b"x" * 400])
        self.journey.receive("a0")
        self.journey.receive("a1", UNDELIVERABLE)
        self.journey.receive("a2")
        assert self.queued() == [SOUTH]
        assert message.state == MessageState.ENROUTE
        self.journey.check()
        self.journey.link("south").answer(names=["b1"])
        numbers = {row.number for row in self.journey.rows(schema.part)}
        assert numbers == {0, 1, 2, 1 + FORMER}
        self.journey.receive("b1", carrier="south")
        self.assert_ended(message, DELIVERED)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_a_part_that_is_delivered_after_all_ends_its_message(self) -> None:
        """Not before its entry has come up, though all parts are known by then."""
        message = self.taken(parts=[b"x" * 400])
        for name, state in (("a0", DELIVERED), ("a1", UNDELIVERABLE), ("a1", DELIVERED)):
            self.journey.receive(name, state)
        self.journey.receive("a2")
        assert message.state == MessageState.ENROUTE
        self.journey.check()
        self.crash()
        south = self.journey.link("south")
        assert south.submitted == []
        assert self.journey.stored(message).state == DELIVERED
        assert self.queued() == []

    def test_a_delivered_part_stays_delivered(self) -> None:
        """Also when the next carrier, which got it too, fails."""
        message = self.taken(parts=[b"x" * 400])
        self.journey.receive("a1", UNDELIVERABLE)
        self.journey.link("south").answer(names=["b1"])
        self.journey.receive("a1", DELIVERED)
        self.journey.receive("b1", UNDELIVERABLE, carrier="south")
        self.journey.receive("a0")
        self.journey.receive("a2")
        self.assert_ended(message, DELIVERED)

    def test_what_a_carrier_took_is_not_refunded_as_refused(self) -> None:
        """Though the next one refused it."""
        provisioning = with_route(**self.route)
        account = evolve(provisioning.accounts["acme"], refund=["refused"])
        provisioning.accounts["acme"] = account
        self.journey.provision(provisioning)
        message = self.taken()
        self.journey.receive("a0", UNDELIVERABLE, error="101")
        self.journey.link("south").answer(PERMANENT)
        self.assert_ended(message, UNDELIVERABLE, 206)
        assert [row.amount for row in self.journey.rows(schema.ledger)] == [-100]

    def test_progress_is_told_once(self) -> None:
        """When the first carrier has it."""
        self.journey.accepted(registered_delivery=0x11)
        self.north.answer()
        self.journey.receive("a0", UNDELIVERABLE)
        self.journey.link("south").answer(names=["b0"])
        assert self.journey.kinds() == [Kind.PROGRESS]

    def test_receipts_tell_what_carriers_deliver(self) -> None:
        """Of each carrier by itself, for the choice by delivery rate."""
        for _ in range(20):
            self.taken()
            self.journey.receive("a0", UNDELIVERABLE)
        self.journey.link("south", window=20).answer()
        for n in range(20):
            self.journey.receive(f"a{n}", carrier="south")
        rates = self.journey.tables.rates
        assert (rates.of("north"), rates.of("south")) == (0.0, 1.0)
        assert len(self.journey.entries(ACME)) == 20
