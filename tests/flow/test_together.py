"""Messages of one request that are taken or refused together (``Acceptance.accept`` with
``whole``)."""

from collections.abc import Sequence

from attrs import evolve

from smsgw.flow.decide import Outcome
from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account, Number, Provisioning
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.store import batches
from tests.flow.journey import JourneyCase, a_message, provisioned


def with_account(**fields: object) -> Provisioning:
    provisioning = provisioned()
    provisioning.accounts["acme"] = evolve(provisioning.accounts["acme"], **fields)
    return provisioning


class TogetherTests(JourneyCase):
    batch = 0

    def accept(self, *messages: Message, refusal: Refusal | None = None) -> list[Outcome]:
        """Hands them in; ``refusal`` is what is said to all of them."""

        def whole(outcomes: Sequence[Outcome], transaction: Transaction) -> Refusal | None:
            self.seen = list(outcomes)
            accepted = [one for one in outcomes if isinstance(one, Message)]
            at = self.journey.clock.seconds()
            self.batch += 1
            row = batches.row(self.batch, "acme", int(at * 1000), accepted)
            transaction.changes.batches.append(row)
            return refusal

        done = self.journey.acceptance.accept(Login("acme", "acme"), [*messages], whole)
        return self.successResultOf(done)

    def read(self) -> batches.Batch | None:
        """The batch, as the store has it."""
        reading = self.journey.journal.run(lambda connection: batches.read(connection, 1))
        return self.successResultOf(reading)

    def three(self) -> list[Message]:
        return [a_message(destination=f"44770090012{n}") for n in range(3)]

    def test_what_belongs_to_all_is_in_their_transaction(self) -> None:
        """The batch is there with its messages."""
        outcomes = self.accept(*self.three())
        found = self.read()
        assert found is not None
        assert found.messages == outcomes
        self.journey.check()

    def test_what_is_refused_together_leaves_nothing(self) -> None:
        """No message, no entry, no charge, no parts of a quota, and the same texts may come
        again (I3, I8)."""
        prepaid = with_account(balance="1.00", quota_day=3, duplicate_window_s=60)
        self.journey.provision(prepaid)
        self.journey.balances.charge("acme", -10_000)
        self.journey.balances.stored("acme", -10_000)
        outcomes = self.accept(*self.three(), refusal=Refusal(Reason.NO_CREDIT, "why"))
        assert outcomes == [Refusal(Reason.NO_CREDIT, "why")] * 3
        assert self.journey.balances.of("acme") == 10_000
        assert self.journey.acceptance.refused == {Reason.NO_CREDIT: 3}
        assert self.read() is None
        assert self.journey.entries() == []
        again = self.accept(*self.three(), refusal=Refusal(Reason.NO_ROUTE))
        assert all(isinstance(one, Message) for one in self.seen)  # neither quota nor duplicate
        assert len(again) == 3

    def test_rates_count_once_for_all(self) -> None:
        """A request larger than the rate passes when nothing is owed, and is owed then."""
        self.journey.provision(with_account(rate=2))
        assert all(isinstance(one, Message) for one in self.accept(*self.three()))
        outcomes = self.accept(a_message())
        assert [one.reason for one in outcomes if isinstance(one, Refusal)] == [Reason.THROTTLED]
        self.journey.clock.advance(1)
        [now] = self.accept(a_message())
        assert isinstance(now, Message)
        [late] = self.accept(a_message())  # one of the two of this second was owed
        assert isinstance(late, Refusal)

    def test_what_is_kept_of_a_refused_one_counts(self) -> None:
        """A record costs a row."""
        self.journey.provision(with_account(rate=2))
        elsewhere = [a_message(destination=f"3312345678{n}") for n in range(2)]
        outcomes = self.accept(*elsewhere)
        kept = [one.message for one in outcomes if isinstance(one, Refusal)]
        assert [one.state for one in kept if one is not None] == [MessageState.REJECTED] * 2
        [late] = self.accept(a_message())
        assert isinstance(late, Refusal)
        assert late.reason is Reason.THROTTLED

    def test_waiting_for_a_carrier(self) -> None:
        """``when_answered`` fires when the carrier has the message, or refuses it for good; it can
        be given up."""
        self.journey.provision(with_account())
        link = self.journey.link("north")
        [taken] = self.accept(a_message())
        assert isinstance(taken, Message)
        done = self.journey.settlement.when_answered(taken)
        other = self.journey.settlement.when_answered(taken)
        given_up = self.journey.settlement.when_answered(taken)
        given_up.cancel()
        self.failureResultOf(given_up)
        self.assertNoResult(done)
        link.answer()
        self.successResultOf(done)
        self.successResultOf(other)
        self.successResultOf(self.journey.settlement.when_answered(taken))
        assert self.journey.settlement._watched == {}


def test_an_account_has_one_number_of_an_address() -> None:
    """Of several rules with keywords the relay dialect means the one without."""
    numbers = [Number("60777", keyword="WIN"), Number("60777"), Number("44770090*")]
    account = Account("acme", number=numbers)
    assert account.relayed("60777") is numbers[1]
    assert account.relayed("447700900123") is None
