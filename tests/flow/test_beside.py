"""What is written beside the messages of a request: with them, or not at all (I1, E-D11)."""

from sqlalchemy import select
from twisted.internet.defer import Deferred

from smsgw.flow.decide import Outcome
from smsgw.message import Message
from smsgw.queues import Transaction
from smsgw.store import answers, schema
from smsgw.store.answers import KEPT_MS, Kept
from smsgw.store.changes import Changes
from smsgw.store.seen import SeenRow
from tests.flow.journey import NOW_MS, JourneyCase, a_message


class BesideTests(JourneyCase):
    """An answer that is kept with the message that it tells of."""

    def accept(self, **fields: object) -> Outcome:
        """One message of REST, beside which its answer is kept."""

        def beside(outcomes: list[Outcome], transaction: Transaction) -> None:
            [outcome] = outcomes
            assert isinstance(outcome, Message)
            assert outcome.id
            kept = Kept(b"digest", NOW_MS, 200, "application/json", b"%d" % outcome.id)
            transaction.changes.answers.append(answers.row("acme", "key1", "k", kept))

        message = a_message(interface="rest", **fields)
        accepting = self.journey.acceptance.accept(self.journey.login(), [message], beside=beside)
        [outcome] = self.journey.result(accepting)
        return outcome

    def kept(self) -> list[bytes]:
        """The bodies that the store has."""
        query = select(schema.answer.c.body)
        return self.journey.result(self.journey.journal.run(lambda c: list(c.scalars(query))))

    def test_both_are_stored(self) -> None:
        """With the id that the message was given; and both outlive the process."""
        outcome = self.accept()
        assert isinstance(outcome, Message)
        self.journey.restart()
        assert self.kept() == [b"%d" % outcome.id]
        assert self.journey.stored(outcome) is not None

    def test_neither_is_stored(self) -> None:
        """When the store does not take it the client may try again with its key."""
        self.journey.journal.broken = "disk full"
        assert not isinstance(self.accept(), Message)
        self.journey.journal.broken = ""
        assert self.kept() == []

    def test_nothing_is_kept_of_what_was_refused(self) -> None:
        """There is no transaction that it could be written with."""
        assert not isinstance(self.accept(destination="12"), Message)
        assert self.kept() == []

    def test_a_day_later_it_is_cleared_away(self) -> None:
        """By the same round that ends what has expired."""
        self.accept()
        self.journey.clock.advance(KEPT_MS / 1000 + 1)
        self.journey.result(Deferred.fromCoroutine(self.journey.expiry._expire()))
        assert self.kept() == []

    def test_all_that_is_over_goes_in_one_round(self) -> None:
        """However much came within seven days: what is kept to know repeats by never grows."""
        journal = self.journey.journal
        rows = [SeenRow(n.to_bytes(16, "big"), NOW_MS, "Ok", "") for n in range(1_300)]
        self.journey.result(journal.commit(Changes(seen=rows)))
        self.journey.clock.advance(7 * 86_400 + 1)
        self.journey.result(Deferred.fromCoroutine(self.journey.expiry._expire()))
        assert self.journey.rows(schema.mm4_seen) == []
