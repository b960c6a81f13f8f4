"""Dead letters: what was given up is kept, can be put back, and goes after thirty days."""

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from smsgw.flow import dead as flow_dead
from smsgw.flow.dead import KEPT_MS, DeadLetters, Which, change_offline
from smsgw.message import Message, MessageState
from smsgw.queues import Entry
from smsgw.smpp.constants import Status
from smsgw.store import schema
from smsgw.store.journal import StoreFailed
from tests.flow.journey import ACME, HOUR_MS, NOW_MS, Journey
from tests.flow.targets import CALLBACK, MAIL, URL, S, TargetCase

QUEUE = f"target:acme {URL}"
ACTION = schema.ActionRow(1, NOW_MS, "jo", "retry", "dead", "all")


class DeadCase(TargetCase):
    def letters(self) -> DeadLetters:
        journey = self.journey
        return DeadLetters(
            journey.journal,
            journey.queues,
            journey.known,
            journey.settlement,
            journey.clock.seconds,
        )

    def put_back(self, which: Which | None = None) -> int:
        done = self.letters().put_back(which or Which(), ACTION._replace(id=self.next_id()))
        return self.journey.result(Deferred.fromCoroutine(done))  # type: ignore[no-any-return]

    def next_id(self) -> int:
        return self.journey.identities.allot()

    def refused(self, *targets: str) -> Message:
        """An MO that all of its targets refused."""
        self.to(*(targets or (URL,)))
        message = self.mo()
        self.http.tell("refused", "HTTP 404")
        self.mail.tell("refused", "550 5.1.1")
        return message


class PutBackTests(DeadCase):
    def test_a_dead_letter_is_delivered_as_if_it_had_never_been_tried(self) -> None:
        """Under the id that it had, with all of its time; the message is on its way again."""
        message = self.refused()
        [letter] = self.journey.rows(schema.dead)
        assert self.put_back() == 1
        [entry] = self.journey.entries()
        assert (entry.id, entry.queue, entry.attempts) == (letter.id, QUEUE, 0)
        assert (entry.due, entry.expires_at) == (NOW_MS, NOW_MS + 48 * HOUR_MS)
        assert self.dead() == []
        assert self.state(message)[0] is S.ENROUTE
        [delivery] = self.http.tell("delivered")
        assert delivery.message is message
        assert self.state(message) == (S.DELIVERED, 0, "")

    def test_it_may_die_again(self) -> None:
        """And be put back again."""
        message = self.refused()
        for _ in range(2):
            assert self.put_back() == 1
            self.http.tell("refused", "HTTP 410")
            assert self.dead() == [(QUEUE, "HTTP 410")]
        assert self.state(message)[0] is S.REJECTED

    def test_of_several_targets_only_the_dead_one_is_tried(self) -> None:
        """The message ends again with it."""
        self.to(URL, MAIL)
        message = self.mo()
        self.http.tell("refused")
        self.mail.tell("delivered")
        assert self.state(message)[0] is S.DELIVERED
        self.put_back()
        assert self.mail.under_way == []
        assert self.state(message)[0] is S.ENROUTE
        self.journey.restart()
        self.http.tell("refused")
        assert self.state(message)[0] is S.DELIVERED

    def test_it_may_be_put_back_while_other_targets_wait(self) -> None:
        """Nothing has ended before the last has."""
        self.to(URL, MAIL)
        message = self.mo()
        self.http.tell("refused")
        self.put_back()
        self.mail.tell("refused")
        assert self.state(message)[0] is S.ENROUTE
        self.http.tell("delivered")
        assert self.state(message)[0] is S.DELIVERED

    def test_those_that_are_meant_are_put_back(self) -> None:
        """By id, account, queue as operators see it; all that is said must hold."""
        secret = "https://u:p@a.example/in?key=1&"
        self.refused(secret, MAIL)
        letters = self.journey.rows(schema.dead)
        ids = {row.queue: row.id for row in letters}
        for other in ("other", "acm", "ACME", "acme ", "%"):  # (I6)
            assert self.put_back(Which(account=other)) == 0
        assert self.put_back(Which(queue="target:acme https://b.example/")) == 0
        assert self.put_back(Which((1, 2))) == 0
        assert self.put_back(Which((ids[f"target:acme {MAIL}"],), "acme", QUEUE)) == 0
        assert self.put_back(Which(queue=QUEUE)) == 1
        assert self.http.addresses() == [secret]
        self.http.tell("delivered")
        assert self.put_back(Which(account="acme")) == 1
        self.mail.tell("delivered")

    def test_there_may_be_more_than_are_read_at_once(self) -> None:
        """Page by page."""
        self.patch_page(2)
        self.to(URL)
        for _ in range(5):
            self.mo()
        self.http.tell("refused")
        assert self.put_back() == 5
        assert len(self.http.under_way) == 5
        self.http.tell("delivered")
        # The audit has one entry of it.
        assert len(self.journey.rows(schema.action)) == 1

    def patch_page(self, size: int) -> None:
        self.patch(flow_dead, "PAGE", size)

    def test_a_receipt_is_put_back_too(self) -> None:
        """Its message keeps its state."""
        self.to("smpp", callback=CALLBACK)
        message = self.journey.sent(interface="rest", registered_delivery=1)
        self.http.tell("refused")
        self.journey.receive("a0")
        self.http.tell("refused")
        assert [reason for _, reason in self.dead()] == ["", ""]
        assert self.put_back() == 2
        assert self.state(message)[0] is S.DELIVERED
        assert [d.event for d, _ in self.http.under_way] == ["progress"]
        self.http.tell("delivered")
        assert [d.event for d in self.http.tell("delivered")] == ["receipt"]

    def test_what_sessions_refused_or_never_took_is_kept(self) -> None:
        """Receipts and MO alike."""
        session = self.journey.session()
        self.mo()
        self.journey.respond(session, Status.ESME_RX_R_APPN)
        self.journey.sent(registered_delivery=1)
        self.journey.receive("a0")
        self.journey.respond(session, Status.ESME_RINVDSTADR)
        assert self.dead() == [(ACME, "ESME_RX_R_APPN"), (ACME, "ESME_RINVDSTADR")]
        assert self.put_back() == 2
        assert len(self.journey.respond(session)) == 2
        assert self.dead() == []

    def test_what_is_given_up_twice_is_one_letter(self) -> None:
        """A session may find that an entry has expired while the clock has found it too."""
        self.mo()
        [row] = self.journey.entries()
        [message] = self.journey.known.known.values()
        for _ in range(2):
            entry = Entry(row.id, row.queue, row.due, row.kind, message)
            self.successResultOf(self.journey.settlement.expire([entry]))
        assert self.dead() == [(ACME, "it waited too long")]
        assert self.journey.settlement.unstored == 0

    def test_two_at_once_put_back_once(self) -> None:
        """Nothing is delivered twice because two operators want it."""
        self.refused()
        letters = self.letters()
        self.journey.journal.waiting = True
        first = Deferred.fromCoroutine(letters.put_back(Which(), ACTION))
        second = Deferred.fromCoroutine(letters.put_back(Which(), ACTION._replace(id=2)))
        self.journey.journal.release()
        assert sorted((self.successResultOf(first), self.successResultOf(second))) == [0, 1]
        assert len(self.http.under_way) == 1
        self.http.tell("delivered")

    def test_what_is_not_stored_stays_dead(self) -> None:
        """In memory as in the store."""
        message = self.refused(URL, MAIL)
        self.journey.journal.broken = "disk full"
        done = Deferred.fromCoroutine(self.letters().put_back(Which(), ACTION))
        self.failureResultOf(done, StoreFailed)
        self.journey.journal.broken = ""
        assert S(message.state) is S.REJECTED
        assert {S(a.state) for a in message.acknowledged.values()} == {S.REJECTED}
        assert len(self.dead()) == 2
        assert self.http.under_way == []

    def test_what_is_not_stored_takes_nothing_back_of_other_targets(self) -> None:
        """One that had the message meanwhile has it, as soon as the store takes that."""
        self.to(URL, MAIL)
        message = self.mo()
        self.http.tell("refused")
        journal = self.journey.journal
        journal.waiting = True
        done = Deferred.fromCoroutine(self.letters().put_back(Which(), ACTION))
        journal.release(1)  # the letter is read
        self.mail.tell("delivered")
        journal.broken = "disk full"
        journal.release()
        self.failureResultOf(done, StoreFailed)
        journal.broken = ""
        self.later(1)
        outcomes = self.stored(message.id).acknowledged
        assert [S(outcomes[n].state) for n in (0, 1)] == [S.REJECTED, S.DELIVERED]
        # And with that the message has come to its end.
        assert self.state(message)[0] is S.DELIVERED
        assert self.put_back() == 1
        self.http.tell("refused")
        assert self.state(message)[0] is S.DELIVERED


class DroppedTests(DeadCase):
    def test_dead_letters_are_dropped(self) -> None:
        """Those that are meant; the message stays as it is."""
        message = self.refused(URL, MAIL)
        done = self.letters().drop(Which(queue=QUEUE), ACTION)
        assert self.journey.result(Deferred.fromCoroutine(done)) == 1
        assert self.dead() == [(f"target:acme {MAIL}", "550 5.1.1")]
        assert self.state(message)[0] is S.REJECTED

    def test_they_go_after_thirty_days(self) -> None:
        """Not before."""
        self.refused()
        self.journey.expiry.start()
        self.later(KEPT_MS / 1000 - 10)
        assert len(self.dead()) == 1
        self.later(20)
        assert self.dead() == []


class OfflineTests(DeadCase):
    def change(self, drop: bool, which: Which | None = None) -> int:
        connection = self.journey.journal.connection
        action = ACTION._replace(id=self.next_id())
        return change_offline(connection, which or Which(), drop, action, NOW_MS)

    def test_a_gateway_that_does_not_run_delivers_them_when_it_starts(self) -> None:
        """The store is as the running one would leave it."""
        message = self.refused(URL, MAIL)
        assert self.change(False, Which(queue=QUEUE)) == 1
        self.journey.restart()
        assert self.state(message)[0] is S.ENROUTE
        assert self.http.addresses() == [URL]
        self.http.tell("delivered")
        assert self.state(message)[0] is S.DELIVERED
        [action] = self.journey.rows(schema.action)
        assert (action.who, action.kind, action.detail) == ("jo", "retry", "all")

    def test_it_drops_them_too(self) -> None:
        """Without a trace but that of the audit."""
        self.refused(URL, MAIL)
        assert self.change(True) == 2
        assert self.dead() == []
        assert self.journey.entries() == []
        assert self.change(True) == 0


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["mo", "tell", "restart", "later", "retry", "mt"]), st.integers(0, 8)
    ),
    max_size=25,
)
_RESULTS = ("delivered", "refused", "failed")


class InterleavingTests(DeadCase):
    def test_each_delivery_ends_exactly_once(self) -> None:
        """Whatever targets answer, and whenever the gateway dies: delivered or dead, once, and no
        MO is left over (I1, I3)."""
        first = self.journey
        self.addCleanup(setattr, self, "journey", first)

        @settings(max_examples=40, deadline=None)
        @given(_STEPS)
        def run(steps: list[tuple[str, int]]) -> None:
            self.journey = Journey(self)
            self.run_steps(steps)

        run()
        self.journey = first

    def run_steps(self, steps: list[tuple[str, int]]) -> None:
        self.to(URL, MAIL, callback=CALLBACK)
        delivered: Counter[int] = Counter()
        for step, n in steps:
            self.step(step, n, delivered)
            self.journey.check()
        for _ in range(20):
            for messenger in (self.http, self.mail):
                while messenger.under_way:
                    delivered.update(d.entry_id for d in messenger.tell("delivered"))
            self.later(21_600)
        assert self.journey.entries() == []
        assert set(delivered.values()) <= {1}
        dead = {row.id for row in self.journey.rows(schema.dead)}
        assert not dead & set(delivered)
        for id in self.ids():
            assert MessageState(self.stored(id).state).final
        assert self.journey.queues.resident().keys() <= {"carrier:north"}

    def step(self, step: str, n: int, delivered: Counter[int]) -> None:
        journey = self.journey
        if step == "mo":
            assert journey.mo() == Status.ESME_ROK
        elif step == "mt":
            journey.sent(f"a{len(self.ids())}", interface="rest", registered_delivery=1)
        elif step == "restart":
            journey.restart()
        elif step == "later":
            self.later((1, 30, 900)[n % 3])
        elif step == "retry":
            self.put_back()
        else:
            messenger: Any = (self.http, self.mail)[n % 2]
            result = _RESULTS[n % 3]
            told = messenger.tell(result)
            if result == "delivered":
                delivered.update(d.entry_id for d in told)
