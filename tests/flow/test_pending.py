"""Pending messages: cancelled and replaced, whole or not at all, and never once they are sent."""

from typing import Any

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from smsgw import codes
from smsgw.flow import cancel, waiting
from smsgw.flow.replace import Change
from smsgw.message import UDHI, Message, MessageState
from smsgw.queues import Kind
from smsgw.refusals import Reason, Refusal
from smsgw.rules.money import Entry
from smsgw.smpp.constants import Status
from smsgw.store import schema
from tests.flow.journey import (
    DESTINATION,
    HOUR_MS,
    NORTH,
    NOW_MS,
    SOURCE,
    Journey,
    JourneyCase,
    a_message,
    provisioned,
)
from tests.flow.test_money import PRICE, entries, prepaid, put_in_force, stored_balance
from tests.machines import run_machine


def anything(message: Message) -> bool:
    """Whichever message."""
    return True


class PendingCase(JourneyCase):
    def provide(self, balance: str | None = "0.0500", **fields: Any) -> None:
        put_in_force(self.journey, prepaid(balance, **fields))

    def cancel(self, id: int, account: str | None = "acme") -> Any:
        """What became of it: the message, or the reason why not."""
        return self.told(self.journey.cancelling.cancel(account, id))

    def replace(self, id: int, account: str = "acme", **change: Any) -> Any:
        """The same of a replacement."""
        return self.told(self.journey.replacing.replace(account, id, Change(**change), anything))

    def submit(self, **fields: Any) -> Any:
        """A submit_sm with replace_if_present_flag."""
        login = self.journey.login()
        return self.told(self.journey.replacing.submit(login, a_message(**fields)))

    def told(self, asked: Any) -> Any:
        outcome = self.journey.result(Deferred.fromCoroutine(asked))
        return outcome.reason if isinstance(outcome, Refusal) else outcome

    def adds_up(self, expected: int) -> None:
        """I8."""
        assert sum(amount for _, amount, _ in entries(self.journey)) == expected
        assert stored_balance(self.journey) == expected
        assert self.journey.balances.of("acme") == expected


class CancelTests(PendingCase):
    def test_what_waits_is_deleted_and_never_sent(self) -> None:
        """Its entry is gone, its state is DELETED with our code 221."""
        message = self.journey.accepted()
        assert self.cancel(message.id) is message
        assert self.journey.entries(NORTH) == []
        stored = self.journey.stored(message)
        assert (stored.state, stored.error) == (MessageState.DELETED, codes.MESSAGE_DELETED)
        assert stored.done_at == NOW_MS
        assert self.journey.taker().taken == []

    def test_what_is_scheduled_is_deleted(self) -> None:
        """Its entry is in the store only; its time comes, and nothing happens."""
        message = self.journey.accepted(schedule_at=NOW_MS + HOUR_MS)
        assert self.cancel(message.id) is message
        taker = self.journey.taker()
        self.journey.clock.advance(7200)
        assert taker.taken == []

    def test_all_parts_go_together(self) -> None:
        """Of a long message no part is left."""
        message = self.journey.accepted(parts=[b"x" * 400])
        assert len(self.journey.entries(NORTH)) == 3
        assert self.cancel(message.id) is message
        assert self.journey.entries(NORTH) == []
        assert self.journey.stored(message).state == MessageState.DELETED

    def test_what_a_link_has_is_not_cancelled(self) -> None:
        """Nor once it is acknowledged; it goes its way (ESME_RCANCELFAIL)."""
        message = self.journey.accepted()
        link = self.journey.link()
        assert self.cancel(message.id) is Reason.CANCEL_FAILED
        link.answer()
        assert self.cancel(message.id) is Reason.CANCEL_FAILED
        assert self.journey.stored(message).state == MessageState.ENROUTE

    def test_one_part_with_a_link_keeps_the_others(self) -> None:
        """None of them is cancelled, and those that waited are sent."""
        message = self.journey.accepted(parts=[b"x" * 400])
        taker = self.journey.taker(window=1)
        assert self.cancel(message.id) is Reason.CANCEL_FAILED
        taker.window = 10
        self.journey.queues.pump(NORTH)
        assert sorted(entry.part for entry in taker.taken) == [0, 1, 2]

    def test_what_may_have_arrived_is_not_cancelled(self) -> None:
        """A link had it, and was lost before the answer (I2)."""
        message = self.journey.accepted()
        link = self.journey.link()
        link.lose()
        assert self.cancel(message.id) is Reason.CANCEL_FAILED

    def test_what_is_over_is_not_cancelled(self) -> None:
        """Neither twice, nor what has expired."""
        message = self.journey.accepted()
        self.cancel(message.id)
        assert self.cancel(message.id) is Reason.CANCEL_FAILED

    def test_nobody_cancels_what_is_not_theirs(self) -> None:
        """Another account's message is as unknown as one that does not exist (I6)."""
        message = self.journey.accepted()
        assert self.cancel(message.id, "other") is Reason.UNKNOWN_MESSAGE
        assert self.cancel(message.id + 1) is Reason.UNKNOWN_MESSAGE
        assert self.cancel((1 << 63) - 1) is Reason.UNKNOWN_MESSAGE
        assert self.cancel(message.id, None) is message

    def test_an_mo_is_not_cancelled(self) -> None:
        """It is the account's, but it did not send it."""
        self.journey.mo()
        [row] = self.journey.rows(schema.message)
        assert self.cancel(row.id) is Reason.UNKNOWN_MESSAGE

    def test_its_receipt_is_handed_over_if_it_was_asked_for(self) -> None:
        """stat:DELETED err:221."""
        message = self.journey.accepted(registered_delivery=1)
        self.cancel(message.id)
        session = self.journey.session()
        [text] = session.texts()
        assert "stat:DELETED err:221" in text
        self.journey.respond(session)

    def test_it_is_given_back_as_refused(self) -> None:
        """All parts, in the transaction of the state; not if the policy says otherwise."""
        for refund, left in ((["refused"], 500), (["expired"], 300)):
            self.provide(refund=refund)
            message = self.journey.accepted(parts=[b"x" * 200])
            self.cancel(message.id)
            self.adds_up(left)

    def test_a_store_that_fails_leaves_it_as_it_was(self) -> None:
        """It is refused, pending as before, and goes out."""
        self.provide()
        message = self.journey.accepted(parts=[b"x" * 200])
        self.journey.journal.broken = "disk full"
        assert self.cancel(message.id) is Reason.STORE_FAILED
        self.journey.journal.broken = ""
        self.adds_up(300)
        assert (message.state, message.error, message.acknowledged) == (1, 0, {})
        assert len(self.journey.link().submitted) == 2

    def test_no_link_gets_it_while_it_is_being_cancelled(self) -> None:
        """The store is slow, a link comes up, pages are read: the entry is claimed."""
        message = self.journey.accepted()
        self.journey.journal.waiting = True
        done = Deferred.fromCoroutine(self.journey.cancelling.cancel("acme", message.id))
        self.journey.journal.release(1)
        link = self.journey.link()
        assert link.submitted == []
        self.journey.journal.release()
        assert self.journey.result(done) is message
        assert link.submitted == []

    def test_a_page_that_was_read_before_brings_nothing_back(self) -> None:
        """What the store gave before the entry was claimed is not what is sent."""
        message = self.journey.accepted()
        self.journey.restart()
        self.journey.journal.waiting = True
        taker = self.journey.taker()  # asks for a page
        done = Deferred.fromCoroutine(self.journey.cancelling.cancel("acme", message.id))
        self.journey.journal.release(1)
        assert len(taker.taken) == 1  # the page came first
        self.journey.journal.release()
        assert self.journey.result(done).reason is Reason.CANCEL_FAILED

    def test_after_a_restart_it_is_cancelled_from_the_store(self) -> None:
        """Neither the message nor its entry was in memory."""
        id = self.journey.accepted(parts=[b"x" * 200]).id
        self.journey.restart()
        assert self.cancel(id).state == MessageState.DELETED
        assert self.journey.entries(NORTH) == []

    def test_a_crash_leaves_all_or_nothing(self) -> None:
        """What was not stored never happened."""
        self.provide()
        message = self.journey.accepted(registered_delivery=1)
        self.journey.journal.waiting = True
        Deferred.fromCoroutine(self.journey.cancelling.cancel("acme", message.id))
        self.journey.journal.release(1)
        self.journey.journal.forget()
        self.journey.restart()
        assert self.journey.stored(message).state == MessageState.ENROUTE
        assert len(self.journey.entries(NORTH)) == 1
        self.adds_up(400)

    def test_what_another_carrier_is_to_get_is_found(self) -> None:
        """Its entry has a later id: the queue is searched."""
        message = self.journey.accepted()
        link = self.journey.link()
        link.answer(Status.ESME_RINVDSTADR)
        link.lose()
        assert [entry.queue for entry in self.journey.entries()] == ["carrier:south"]
        assert self.cancel(message.id) is message
        assert self.journey.entries() == []


class CancelByAddressTests(PendingCase):
    def cancel_all(self, source: str = SOURCE, service_type: str = "") -> Any:
        asked = self.journey.cancelling.cancel_all("acme", {source}, DESTINATION, service_type)
        return self.told(asked)

    def test_all_that_fit_are_cancelled(self) -> None:
        """The same source, destination and service_type, and still pending."""
        gone = [self.journey.accepted(), self.journey.accepted(schedule_at=NOW_MS + HOUR_MS)]
        kept = [
            self.journey.accepted(source="ACME"),
            self.journey.accepted(destination="447700900124"),
            self.journey.accepted(service_type="WAP"),
        ]
        assert self.cancel_all() == 2
        assert {self.journey.stored(one).state for one in gone} == {MessageState.DELETED}
        assert {self.journey.stored(one).state for one in kept} == {MessageState.ENROUTE}
        assert self.cancel_all(service_type="WAP") == 1

    def test_what_a_link_has_is_left_out(self) -> None:
        """The others go."""
        self.journey.accepted()
        taker = self.journey.taker(window=1)
        self.journey.accepted()
        assert self.cancel_all() == 1
        assert len(taker.taken) == 1
        assert self.cancel_all() == 0

    def test_another_accounts_are_not_touched(self) -> None:
        """I6."""
        self.journey.accepted()
        asked = self.journey.cancelling.cancel_all("other", {SOURCE}, DESTINATION, "")
        assert self.told(asked) == 0

    def test_many_are_searched_in_pieces(self) -> None:
        """More than one piece of the queue, and more than one transaction."""
        self.patch(waiting, "_CHUNK", 3)
        self.patch(cancel, "_TOGETHER", 4)
        for n in range(20):
            self.journey.accepted(source=SOURCE if n % 2 else "ACME")
        assert self.cancel_all() == 10
        assert len(self.journey.entries(NORTH)) == 10


class ReplaceTests(PendingCase):
    def sent(self) -> list[bytes]:
        """The texts that go out now."""
        return [pdu.short_message for pdu, _ in self.journey.link().submitted]

    def test_the_new_text_is_sent_in_place_of_the_old(self) -> None:
        """Once, under the same id."""
        message = self.journey.accepted()
        assert self.replace(message.id, octets=b"Other") is message
        assert self.journey.stored(message).parts == [b"Other"]
        assert self.sent() == [b"Other"]

    def test_what_is_not_said_stays(self) -> None:
        """Times, coding, reference, date of acceptance."""
        given: dict[str, Any] = {
            "data_coding": 8,
            "parts": ["Łódź".encode("utf-16-be")],
            "schedule_at": NOW_MS + HOUR_MS,
            "validity_ms": 2 * HOUR_MS,
            "registered_delivery": 1,
            "client_reference": "A-17",
        }
        message = self.journey.accepted(**given)
        before = evolve(message, validity_ms=0)  # which is not stored
        self.journey.clock.advance(60)
        self.replace(message.id, octets="Gdańsk".encode("utf-16-be"))
        stored = self.journey.stored(message)
        assert evolve(stored, parts=before.parts) == before
        [entry] = self.journey.entries(NORTH)
        assert (entry.due, entry.expires_at) == (NOW_MS + HOUR_MS, NOW_MS + 3 * HOUR_MS)

    def test_without_a_text_only_times_change(self) -> None:
        """A new schedule keeps how long the message is valid; a new validity is taken as it is."""
        message = self.journey.accepted(validity_ms=HOUR_MS)
        self.replace(message.id, schedule_at=NOW_MS + HOUR_MS)
        [entry] = self.journey.entries(NORTH)
        assert (entry.due, entry.expires_at) == (NOW_MS + HOUR_MS, NOW_MS + 2 * HOUR_MS)
        self.replace(message.id, until=NOW_MS + 5 * HOUR_MS, registered_delivery=2)
        stored = self.journey.stored(message)
        assert (stored.expires_at, stored.registered_delivery) == (NOW_MS + 5 * HOUR_MS, 2)
        assert stored.parts == [b"Hello"]

    def test_bad_times_change_nothing(self) -> None:
        """Each has its reason."""
        message = self.journey.accepted()
        far = NOW_MS + 31 * 24 * HOUR_MS
        assert self.replace(message.id, schedule_at=far) is Reason.BAD_SCHEDULE
        assert self.replace(message.id, until=NOW_MS) is Reason.BAD_VALIDITY
        assert self.sent() == [b"Hello"]

    def test_a_longer_text_is_coded_in_parts_and_the_difference_charged(self) -> None:
        """And a shorter one given back; the split of the old one leaves no trace."""
        self.provide()
        message = self.journey.accepted()
        self.replace(message.id, octets=b"x" * 400)
        assert (len(message.parts), message.esm_class & UDHI) == (3, UDHI)
        self.adds_up(200)
        self.replace(message.id, octets=b"short")
        assert (message.parts, message.esm_class & UDHI) == ([b"short"], 0)
        self.adds_up(400)
        assert [kind for kind, _, _ in entries(self.journey)[1:]] == [
            Entry.CHARGE,
            Entry.CHARGE,
            Entry.REFUND,
        ]
        assert self.sent() == [b"short"]

    def test_without_credit_for_more_it_stays(self) -> None:
        """The same number of parts costs nothing, though nothing is left."""
        self.provide("0.0100")
        message = self.journey.accepted()
        assert self.replace(message.id, octets=b"x" * 200) is Reason.NO_CREDIT
        assert self.replace(message.id, octets=b"Other") is message
        self.adds_up(0)
        assert self.sent() == [b"Other"]

    def test_what_is_cancelled_afterwards_gives_back_what_was_paid(self) -> None:
        """All of it."""
        self.provide()
        message = self.journey.accepted()
        self.replace(message.id, octets=b"x" * 400)
        assert self.cancel(message.id) is message
        self.adds_up(500)

    def test_quotas_count_the_difference(self) -> None:
        """What a message counts already, it may count again."""
        self.provide(quota_day=2)
        message = self.journey.accepted()
        assert self.replace(message.id, octets=b"x" * 400) is Reason.QUOTA_EXCEEDED
        self.replace(message.id, octets=b"x" * 200)
        assert self.replace(message.id, octets=b"y" * 200) is message
        assert sum(row.parts for row in self.journey.rows(schema.usage)) == 2
        used = self.journey.quotas.used(self.journey.tables.accounts["acme"], NOW_MS // 1000)
        assert used == (2, 2)

    def test_what_a_link_has_is_not_replaced(self) -> None:
        """ESME_RREPLACEFAIL."""
        message = self.journey.accepted()
        assert self.sent() == [b"Hello"]
        assert self.replace(message.id, octets=b"Other") is Reason.REPLACE_FAILED
        assert message.parts == [b"Hello"]

    def test_a_store_that_fails_leaves_it_as_it_was(self) -> None:
        """In memory too: text, price, entries, credit."""
        self.provide()
        message = self.journey.accepted()
        before = evolve(message)
        self.journey.journal.broken = "disk full"
        assert self.replace(message.id, octets=b"x" * 400) is Reason.STORE_FAILED
        self.journey.journal.broken = ""
        assert message == before
        self.adds_up(400)
        assert self.sent() == [b"Hello"]

    def test_a_receipt_asked_for_later_is_awaited(self) -> None:
        """And one no longer asked for is not."""
        message = self.journey.accepted()
        for asked, awaited in ((1, True), (0, False)):
            self.replace(message.id, registered_delivery=asked)
            [row] = self.journey.rows(schema.message)
            assert (row.open_until is not None) == awaited

    def test_it_goes_by_the_route_that_is_in_force(self) -> None:
        """The old carrier's queue no longer has it."""
        message = self.journey.accepted()
        provisioning = provisioned()
        provisioning.routes["uk"].carriers = ["south"]
        self.journey.provision(provisioning)
        self.replace(message.id, octets=b"Other")
        assert [entry.queue for entry in self.journey.entries()] == ["carrier:south"]


class ReplaceIfPresentTests(PendingCase):
    def test_the_newest_that_fits_is_replaced(self) -> None:
        """It keeps its id; there is no second message."""
        old = self.journey.accepted(parts=[b"old"])
        newest = self.journey.accepted(parts=[b"newer"])
        assert self.submit(parts=[b"new"], registered_delivery=1) is newest
        assert self.journey.stored(newest).parts == [b"new"]
        assert self.journey.stored(newest).registered_delivery == 1
        assert self.journey.stored(old).parts == [b"old"]

    def test_without_one_it_is_accepted_as_any(self) -> None:
        """Another address, another service_type, or sent already."""
        self.journey.accepted(destination="447700900124")
        self.journey.accepted(service_type="WAP")
        first = self.submit()
        assert isinstance(first, Message)
        self.journey.link()
        second = self.submit()
        assert len({first.id, second.id}) == 2
        assert len(self.journey.rows(schema.message)) == 4

    def test_two_at_once_are_one_after_the_other(self) -> None:
        """The second replaces what the first was."""
        login = self.journey.login()
        self.journey.journal.waiting = True
        done = [
            Deferred.fromCoroutine(self.journey.replacing.submit(login, a_message(parts=[text])))
            for text in (b"one", b"two")
        ]
        self.journey.journal.release()
        first, second = (self.journey.result(one) for one in done)
        assert first is second
        assert self.journey.stored(first).parts == [b"two"]

    def test_a_wrong_address_is_refused_as_ever(self) -> None:
        """And counted."""
        assert self.submit(destination="12") is Reason.BAD_DESTINATION
        assert self.submit(source="") is Reason.BAD_SOURCE
        self.journey.accepted()
        self.provide("0")
        assert self.submit(parts=[b"x" * 400]) is Reason.NO_CREDIT
        assert self.journey.acceptance.refused[Reason.NO_CREDIT] == 1


class ExpiryTests(PendingCase):
    def expires(self, after_s: float, **fields: Any) -> None:
        """It is there a minute before, and then ends with stat:EXPIRED err:220."""
        journey = self.journey
        message = journey.accepted(validity_ms=HOUR_MS, registered_delivery=1, **fields)
        journey.expiry.start()
        journey.clock.advance(after_s - 60)
        assert journey.stored(message).state == MessageState.ENROUTE
        journey.clock.advance(70)
        journey.expiry.stop()
        assert journey.stored(message).state == MessageState.EXPIRED
        assert journey.kinds() == [Kind.RECEIPT]
        session = journey.session()
        assert "stat:EXPIRED err:220" in session.texts()[0]
        journey.respond(session)

    def test_what_expires_ends_with_a_receipt(self) -> None:
        """When its validity is over."""
        self.expires(3600)

    def test_what_expires_in_parts_has_one_receipt(self) -> None:
        """For all of them."""
        self.expires(3600, parts=[b"x" * 400])

    def test_what_is_scheduled_is_valid_from_its_time_on(self) -> None:
        """An hour from the hour in which it is to go out."""
        self.expires(7200, schedule_at=NOW_MS + HOUR_MS)

    def test_what_expires_at_the_link_ends_with_a_receipt(self) -> None:
        """Parts in several turns: the one that was sent in time does not keep the others."""
        message = self.journey.accepted(
            validity_ms=HOUR_MS, registered_delivery=1, parts=[b"x" * 400]
        )
        link = self.journey.link(window=1)
        link.answer(names=["a0"])
        self.journey.clock.advance(3601)
        link.answer(names=["a1"])
        assert link.submitted == []
        stored = self.journey.stored(message)
        states = [stored.acknowledged[n].state for n in range(3)]
        assert states == [MessageState.ENROUTE, MessageState.ENROUTE, MessageState.EXPIRED]
        self.journey.receive("a0")
        assert self.journey.stored(message).state == MessageState.ENROUTE


class PendingMachine(RuleBasedStateMachine):
    """Accepts, takes, answers, cancels, replaces, a store that fails or is slow, and crashes."""

    test: Any

    @initialize()
    def begin(self) -> None:
        self.journey: Any = Journey(self.test)
        put_in_force(self.journey, prepaid("1.0000"))
        self.sent: set[int] = set()
        self.ids: list[int] = []
        self.links: list[Any] = []

    @property
    def journal(self) -> Any:
        return self.journey.journal

    @rule(size=st.sampled_from([5, 200]), later=st.booleans())
    def submit(self, size: int, later: bool) -> None:
        message = a_message(
            parts=[b"x" * size],
            registered_delivery=1,
            schedule_at=self.journey.now_ms + 2_000 if later else 0,
        )
        self.journey.acceptance.accept(self.journey.login(), [message])
        if message.id:
            self.ids.append(message.id)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        if self.ids:
            id = data.draw(st.sampled_from(self.ids))
            Deferred.fromCoroutine(self.journey.cancelling.cancel("acme", id))

    @rule()
    def cancel_by_address(self) -> None:
        asked = self.journey.cancelling.cancel_all("acme", {SOURCE}, DESTINATION, "")
        Deferred.fromCoroutine(asked)

    @rule(data=st.data(), size=st.sampled_from([None, 6, 200, 400]), later=st.booleans())
    def replace(self, data: st.DataObject, size: int | None, later: bool) -> None:
        if self.ids:
            id = data.draw(st.sampled_from(self.ids))
            change = Change(
                octets=b"y" * size if size else None,
                schedule_at=self.journey.now_ms + 2_000 if later else None,
            )
            Deferred.fromCoroutine(self.journey.replacing.replace("acme", id, change, anything))

    @rule(size=st.sampled_from([7, 200]))
    def submit_replacing(self, size: int) -> None:
        login = self.journey.login()
        message = a_message(parts=[b"z" * size], registered_delivery=1)
        Deferred.fromCoroutine(self.journey.replacing.submit(login, message))

    @rule(window=st.sampled_from([1, 2, 100]))
    def take(self, window: int) -> None:
        if not self.links:
            link = self.journey.link(window=window)
            self.links.append(link)
        self.note()

    def note(self) -> None:
        """What has been written to a carrier is sent for good."""
        for link in self.links:
            self.sent |= {entry.message.id for _, entry in link.submitted}

    @rule(status=st.sampled_from([0, 0, Status.ESME_RTHROTTLED, None]))
    def answer(self, status: int | None) -> None:
        for link in self.links:
            if status is None:
                link.lose()
            elif link.submitted:
                names = [f"c{id(pdu)}" for pdu, _ in link.submitted]
                link.answer(status, names=names)
        if status is None:
            self.links.clear()
        self.note()

    @rule(seconds=st.sampled_from([1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)
        self.note()

    @rule(how=st.sampled_from(["works", "works", "fails", "is slow", "does one thing"]))
    def store(self, how: str) -> None:
        if how == "is slow":
            self.journal.waiting = True
        elif how == "fails":
            self.journal.broken = "disk full"
        elif how == "does one thing":
            self.journal.release(1)
        else:
            self.store_works()
        self.note()

    def store_works(self) -> None:
        self.journal.broken = ""
        self.journal.release()
        self.journey.clock.advance(1.01)

    @rule()
    def crash(self) -> None:
        """A new process. What was written and not answered may go out again, or be cancelled: that
        nobody can know (I2)."""
        for call in list(self.journey.clock.getDelayedCalls()):
            call.cancel()
        self.journey.queues._timer = None
        for link in self.links:
            self.sent -= {entry.message.id for _, entry in link.submitted}
        self.links.clear()
        self.journal.broken = ""
        self.journal.forget()
        self.journey.restart()
        self.sent &= self.acknowledged()

    def acknowledged(self) -> set[int]:
        connection = self.journal.connection
        with connection.begin():
            rows = list(connection.execute(schema.part.select()))
        return {row.message for row in rows if row.carrier_id}

    @invariant()
    def nothing_is_both_sent_and_deleted(self) -> None:
        if not hasattr(self, "journey"):
            return
        connection = self.journal.connection
        with connection.begin():
            messages = list(connection.execute(schema.message.select()))
            queue = list(connection.execute(schema.queue.select()))
            rows = [schema.LedgerRow(*row) for row in connection.execute(schema.ledger.select())]
            balance = list(connection.execute(schema.balance.select()))
        deleted = {row.id for row in messages if row.state == MessageState.DELETED}
        assert not deleted & self.sent
        # I3.
        assert not {row.message for row in queue if row.kind == Kind.SEND} & deleted
        # I8: what was deleted was given back, what was not is paid.
        assert sum(row.amount for row in rows) == next(iter(balance)).amount
        for message in messages:
            paid = -sum(row.amount for row in rows if row.message == message.id)
            assert paid == (0 if message.id in deleted else message.parts * PRICE)

    def teardown(self) -> None:
        if hasattr(self, "journey"):
            self.store_works()
            self.nothing_is_both_sent_and_deleted()
            self.journey.check()
            for call in list(self.journey.clock.getDelayedCalls()):
                call.cancel()


class PendingMachineTests(SynchronousTestCase):
    def test_never_both_sent_and_deleted_whatever_happens(self) -> None:
        """Any interleaving of takes, answers, cancels, replacements, failures and crashes."""
        PendingMachine.test = self
        run_machine(PendingMachine)
