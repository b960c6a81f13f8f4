"""Money: charged with the message, refused when it is spent, given back by policy; it adds up."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import select
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from smsgw.flow.accept import Acceptance
from smsgw.flow.money import Balances
from smsgw.identities import Identities
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account, Number, Provisioning, Route
from smsgw.provisioning.routing import Network, Price, PriceList
from smsgw.queues import Transaction
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.refusals import Reason, Refusal
from smsgw.rules.money import Entry, shown
from smsgw.smpp.constants import Status
from smsgw.store import ledger, schema
from smsgw.store.journal import Changes, StoreFailed
from smsgw.store.records import Records
from tests.flow.journey import (
    DESTINATION,
    HOUR_MS,
    NOW_MS,
    SOURCE,
    Journey,
    JourneyCase,
    a_message,
    provisioned,
)
from tests.machines import run_machine

PRICE = 100  # ten-thousandths: the route's 0.0100


def prepaid(balance: str | None, **fields: Any) -> Provisioning:
    """The tests' provisioning with an account that has so much."""
    provisioning = provisioned()
    account = Account(name="acme", number=[Number(SOURCE)], balance=balance, **fields)
    provisioning.accounts["acme"] = account
    return provisioning


def put_in_force(journey: Journey, provisioning: Provisioning) -> None:
    """As ``smsgw apply`` does: the store opens the balance, then the tables are exchanged."""
    allot = journey.identities.allot
    for account in provisioning.accounts.values():
        journey.result(
            journey.journal.run(
                lambda c, one=account: ledger.provisioned(c, one, journey.now_ms, allot)
            )
        )
    journey.result(Deferred.fromCoroutine(journey.balances.load(journey.journal)))
    journey.provision(provisioning)


def entries(journey: Journey) -> list[tuple[Entry, int, int | None]]:
    """Reason, amount and message of all entries of the ledger."""
    rows = sorted(schema.LedgerRow(*row) for row in journey.rows(schema.ledger))
    return [(Entry(row.reason), row.amount, row.message) for row in rows]


def stored_balance(journey: Journey, account: str = "acme") -> int:
    """What the store says that the account has."""
    balances = journey.result(journey.journal.run(ledger.balances))
    return int(balances.get(account, 0))


class MoneyCase(JourneyCase):
    def provide(self, balance: str | None = "0.0300", **fields: Any) -> None:
        put_in_force(self.journey, prepaid(balance, **fields))

    def reason(self, **fields: Any) -> Reason:
        """Why a message is refused."""
        [outcome] = self.journey.accept(a_message(**fields))
        assert isinstance(outcome, Refusal)
        return outcome.reason

    def adds_up(self, expected: int) -> None:
        """I8: in the ledger, in the balance and in memory is the same."""
        assert sum(amount for _, amount, _ in entries(self.journey)) == expected
        assert stored_balance(self.journey) == expected
        assert self.journey.balances.of("acme") == expected


class ChargeTests(MoneyCase):
    def test_each_part_is_charged_with_the_message(self) -> None:
        """One entry for the message, of its parts times the price, in its transaction."""
        self.provide()
        message = self.journey.accepted(parts=[b"x" * 200])
        assert entries(self.journey)[1:] == [(Entry.CHARGE, -2 * PRICE, message.id)]
        assert self.journey.stored(message).charged == PRICE
        self.adds_up(PRICE)

    def test_what_is_spent_is_refused_and_nothing_is_stored(self) -> None:
        """To the last ten-thousandth, and also within one batch."""
        self.provide("0.0299")
        outcomes = self.journey.accept(a_message(), a_message(), a_message())
        assert [isinstance(one, Message) for one in outcomes] == [True, True, False]
        assert isinstance(outcomes[2], Refusal)
        assert outcomes[2].reason is Reason.NO_CREDIT
        assert len(self.journey.rows(schema.message)) == 2
        self.adds_up(99)

    def test_a_message_that_is_too_dear_leaves_the_rest_to_others(self) -> None:
        """Two parts are too many, one is not."""
        self.provide("0.0100")
        assert self.reason(parts=[b"x" * 200]) is Reason.NO_CREDIT
        assert self.journey.accepted().charged == PRICE
        self.adds_up(0)

    def test_a_credit_limit_lets_the_balance_fall_below_nothing(self) -> None:
        """By as much as it says."""
        self.provide("0.0100", credit_limit="0.0150")
        self.journey.accepted()
        self.journey.accepted()
        assert self.reason() is Reason.NO_CREDIT
        self.adds_up(-PRICE)

    def test_a_postpaid_account_is_charged_without_a_check(self) -> None:
        """What it owes is below 0."""
        self.provide(None)
        self.journey.accepted()
        assert [reason for reason, _, _ in entries(self.journey)] == [Entry.CHARGE]
        self.adds_up(-PRICE)

    def test_what_costs_nothing_is_not_in_the_ledger(self) -> None:
        """A route without a price writes no row."""
        provisioning = prepaid("0")
        provisioning.routes["uk"].price = "0"
        put_in_force(self.journey, provisioning)
        assert self.journey.accepted().charged == 0
        assert entries(self.journey) == [(Entry.OPENING, 0, None)]

    def test_of_two_submits_that_race_for_the_last_credit_one_wins(self) -> None:
        """The second is decided before the first is stored."""
        self.provide("0.0100")
        journey = self.journey
        journey.journal.waiting = True
        first = journey.acceptance.accept(journey.login(), [a_message()])
        second = journey.acceptance.accept(journey.login(), [a_message()])
        [refusal] = self.successResultOf(second)
        assert refusal.reason is Reason.NO_CREDIT
        journey.journal.release()
        [accepted] = self.successResultOf(first)
        assert isinstance(accepted, Message)
        self.adds_up(0)

    def test_a_charge_that_is_not_stored_is_undone(self) -> None:
        """The credit is there for the next message."""
        self.provide("0.0100")
        self.journey.journal.broken = "disk full"
        assert self.reason() is Reason.STORE_FAILED
        self.journey.journal.broken = ""
        self.adds_up(PRICE)
        self.journey.accepted()
        self.adds_up(0)

    def test_a_message_over_the_rate_costs_nothing(self) -> None:
        """What is throttled is not charged."""
        self.provide("1.00", rate=1)
        self.journey.accepted()
        assert self.reason() is Reason.THROTTLED
        self.adds_up(10_000 - PRICE)

    def test_tables_put_in_force_keep_what_waits_for_the_store(self) -> None:
        """A charge that waits for the store is not forgotten when balances are read again."""
        self.provide("0.0100")
        journey = self.journey
        journey.journal.waiting = True
        done = journey.acceptance.accept(journey.login(), [a_message()])
        loaded = Deferred.fromCoroutine(journey.balances.load(journey.journal))
        assert journey.balances.of("acme") == 0
        journey.journal.release()
        self.successResultOf(done)
        self.successResultOf(loaded)
        self.adds_up(0)


GOLD = PriceList("gold", [Price("0.0300", "4477"), Price("0.0200", mcc="234", mnc="15")])
VODAFONE = Network("voda", "234", "15", ["44780"])


class PriceListTests(MoneyCase):
    def provide(self, balance: str | None = "1.00", **fields: Any) -> None:
        provisioning = prepaid(balance, **{"price_list": "gold", **fields})
        provisioning.price_lists["gold"] = GOLD
        provisioning.networks["voda"] = VODAFONE
        put_in_force(self.journey, provisioning)

    def test_the_account_pays_what_its_list_says(self) -> None:
        """For its destination, each part; the message keeps the price."""
        self.provide()
        message = self.journey.accepted(parts=[b"x" * 200])
        assert (message.price, message.charged) == ("0.0300", 300)
        self.adds_up(10_000 - 600)
        assert self.journey.accepted(destination="447801234567").price == "0.0200"
        self.adds_up(10_000 - 800)

    def test_what_the_list_does_not_have_costs_what_the_route_says(self) -> None:
        """A destination without an entry."""
        self.provide()
        assert self.journey.accepted(destination="442079460000").price == "0.0100"
        self.adds_up(10_000 - 100)

    def test_what_the_list_charges_is_what_is_given_back(self) -> None:
        """Whatever the list says by then."""
        self.provide()
        self.journey.accepted(parts=[b"x" * 200])
        provisioning = prepaid("1.00")
        put_in_force(self.journey, provisioning)
        for name in ("north", "south"):
            link = self.journey.link(name)
            link.answer(Status.ESME_RINVDSTADR)
            link.lose()
        assert entries(self.journey)[-1][:2] == (Entry.REFUND, 600)
        self.adds_up(10_000)

    def test_a_child_has_its_parents_list(self) -> None:
        """And its parent pays."""
        provisioning = prepaid("1.00", price_list="gold")
        provisioning.price_lists["gold"] = GOLD
        provisioning.accounts["child"] = Account("child", parent="acme")
        put_in_force(self.journey, provisioning)
        [message] = self.journey.accept(a_message(), account="child")
        assert isinstance(message, Message)
        assert message.price == "0.0300"
        self.adds_up(10_000 - 300)


class Node:
    """Another process of the gateway on the store of a journey."""

    def __init__(self, journey: Journey, number: int) -> None:
        now = journey.clock.seconds
        self.balances = Balances()
        known = Records()
        self.acceptance = Acceptance(
            journey.current,
            EmbeddedQueues(journey.journal, known, journey.clock, now),
            known,
            Identities(number, now),
            self.balances,
            now,
        )
        self.login = journey.login()
        journey.result(Deferred.fromCoroutine(self.balances.load(journey.journal)))

    def submit(self, *messages: Message) -> Deferred[Any]:
        return self.acceptance.accept(self.login, list(messages))


class SeveralNodesTests(MoneyCase):
    def refusals(self, done: Deferred[Any]) -> list[Reason | None]:
        """The reason of each refusal, None for what was accepted."""
        return [
            one.reason if isinstance(one, Refusal) else None for one in self.successResultOf(done)
        ]

    def test_of_two_nodes_that_race_for_the_last_credit_one_wins(self) -> None:
        """Both have seen it, and the store takes one of the messages."""
        self.provide("0.0100")
        first, second = Node(self.journey, 1), Node(self.journey, 2)
        self.journey.journal.waiting = True
        done = [node.submit(a_message()) for node in (first, second)]
        self.journey.journal.release()
        assert [self.refusals(one) for one in done] == [[None], [Reason.NO_CREDIT]]
        assert stored_balance(self.journey) == 0
        assert len(self.journey.rows(schema.message)) == 1
        # The loser knows now, and asks the store no more.
        assert second.balances.of("acme") == 0
        before = self.journey.journal.changes
        assert self.refusals(second.submit(a_message())) == [Reason.NO_CREDIT]
        assert self.journey.journal.changes == before
        assert second.acceptance.refused == {Reason.NO_CREDIT: 2}

    def test_what_costs_nothing_may_come_again(self) -> None:
        """What was not stored because it came with what could not be paid."""
        provisioning = prepaid("0.0100")
        provisioning.routes["free"] = Route("free", ["33"], ["north"])
        put_in_force(self.journey, provisioning)
        first, second = Node(self.journey, 1), Node(self.journey, 2)
        self.refusals(first.submit(a_message()))
        free = a_message(destination="33612345678")
        reasons = self.refusals(second.submit(a_message(), free))
        assert reasons == [Reason.NO_CREDIT, Reason.STORE_FAILED]
        again = a_message(destination="33612345678")
        assert self.refusals(second.submit(a_message(), again)) == [Reason.NO_CREDIT, None]

    def test_a_charge_that_waits_stays_charged_when_the_balance_is_read_again(self) -> None:
        """What the node has decided meanwhile is not forgotten."""
        self.provide("0.0200")
        journal = self.journey.journal
        first, second = Node(self.journey, 1), Node(self.journey, 2)
        self.refusals(first.submit(a_message()))
        journal.waiting = True
        dear = second.submit(a_message(parts=[b"x" * 200]))
        journal.release(1)
        assert self.refusals(dear) == [Reason.NO_CREDIT]
        other = second.submit(a_message())
        journal.release(1)  # the balance
        assert second.balances.of("acme") == 0
        journal.release()
        assert self.refusals(other) == [None]
        assert stored_balance(self.journey) == 0

    def test_a_balance_that_cannot_be_read_is_read_at_the_next_refusal(self) -> None:
        """Until then the store refuses."""
        self.provide("0.0100")
        first, second = Node(self.journey, 1), Node(self.journey, 2)
        self.refusals(first.submit(a_message()))
        self.journey.journal.unreadable = "disk full"
        assert self.refusals(second.submit(a_message())) == [Reason.NO_CREDIT]
        assert second.balances.of("acme") == PRICE
        self.journey.journal.unreadable = ""
        assert self.refusals(second.submit(a_message())) == [Reason.NO_CREDIT]
        assert second.balances.of("acme") == 0

    def test_whatever_the_order_nobody_spends_what_is_not_there(self) -> None:
        """Of any interleaving of submits and commits: what is accepted is paid, the balance is
        never below its limit, and who is refused finds nothing left."""

        @settings(max_examples=60, deadline=None)
        @given(
            balance=st.integers(0, 6),
            limit=st.integers(0, 3),
            steps=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3)), max_size=25),
        )
        def law(balance: int, limit: int, steps: list[tuple[int, int]]) -> None:
            journey = Journey(self)
            fields = {"credit_limit": shown(limit * PRICE)}
            put_in_force(journey, prepaid(shown(balance * PRICE), **fields))
            nodes = [Node(journey, number) for number in (1, 2, 3)]
            journey.journal.waiting = True
            done = []
            for node, count in steps:
                done.append(nodes[node].submit(a_message()))
                journey.journal.release(count)
                with journey.journal.connection.begin():
                    stored = ledger.balances(journey.journal.connection)["acme"]
                assert stored >= -limit * PRICE
            journey.journal.release()
            reasons = [reason for one in done for reason in self.refusals(one)]
            accepted = reasons.count(None)
            assert accepted == min(len(steps), balance + limit)
            assert set(reasons) <= {None, Reason.NO_CREDIT}
            assert len(journey.rows(schema.message)) == accepted
            assert stored_balance(journey) == (balance - accepted) * PRICE

        law()


class OpeningTests(MoneyCase):
    def test_a_balance_is_opened_once(self) -> None:
        """Applying again, with the same or another balance, changes nothing."""
        self.provide("5.00")
        self.journey.accepted()
        self.provide("7.00")
        self.adds_up(50_000 - PRICE)

    def test_a_postpaid_account_is_opened_when_it_becomes_prepaid(self) -> None:
        """What it owes counts."""
        self.provide(None)
        self.journey.accepted()
        self.provide("1.00")
        self.adds_up(10_000 - PRICE)


class RefundTests(MoneyCase):
    def refuse(self, message: Message, status: int = Status.ESME_RINVDSTADR) -> None:
        """Both carriers refuse all parts for good."""
        for name in ("north", "south"):
            link = self.journey.link(name)
            link.answer(status)
            link.lose()
        assert MessageState(message.state).final

    def test_what_carriers_refuse_is_given_back(self) -> None:
        """By default, in the transaction of the state."""
        self.provide()
        message = self.journey.accepted(parts=[b"x" * 200])
        self.refuse(message)
        assert entries(self.journey)[-1] == (Entry.REFUND, 2 * PRICE, message.id)
        self.adds_up(3 * PRICE)

    def test_what_is_not_in_the_policy_is_not_given_back(self) -> None:
        """An empty policy gives nothing back."""
        self.provide(refund=[])
        self.refuse(self.journey.accepted())
        self.adds_up(2 * PRICE)

    def test_what_ran_out_of_time_is_given_back_if_so_agreed(self) -> None:
        """Of ``expired`` only."""
        for refund, expected in ((["refused"], 2 * PRICE), (["expired"], 2 * PRICE)):
            self.provide(refund=refund)
            self.journey.accepted(validity_ms=HOUR_MS)
            self.journey.expiry.start()
            self.journey.clock.advance(3601 * 1.0)
            self.journey.clock.advance(10)
            self.journey.expiry.stop()
            self.adds_up(expected)

    def test_what_was_not_delivered_is_given_back_if_so_agreed(self) -> None:
        """Once, whatever the carrier says afterwards."""
        self.provide(refund=["undelivered"])
        message = self.journey.sent(registered_delivery=1)
        self.adds_up(2 * PRICE)
        for _ in range(2):
            self.journey.receive("a0", MessageState.UNDELIVERABLE)
        assert entries(self.journey)[-1] == (Entry.REFUND, PRICE, message.id)
        self.adds_up(3 * PRICE)

    def test_what_was_delivered_is_not_given_back(self) -> None:
        """Whatever the policy is."""
        self.provide(refund=["refused", "expired", "undelivered"])
        self.journey.sent(registered_delivery=1)
        self.journey.receive("a0")
        self.adds_up(2 * PRICE)

    def test_a_receipt_that_is_not_stored_refunds_nothing_yet(self) -> None:
        """It comes again, and then it does, once."""
        self.provide(refund=["undelivered"])
        self.journey.sent(registered_delivery=1)
        self.journey.journal.broken = "disk full"
        assert not self.journey.receive("a0", MessageState.UNDELIVERABLE)
        self.journey.journal.broken = ""
        self.adds_up(2 * PRICE)
        assert self.journey.receive("a0", MessageState.UNDELIVERABLE)
        self.adds_up(3 * PRICE)

    def test_only_the_parts_that_came_to_nothing_are_given_back(self) -> None:
        """Of a message of two parts the one that was not delivered."""
        self.provide(refund=["undelivered"])
        self.journey.sent(parts=[b"x" * 200], registered_delivery=1)
        self.journey.receive("a0.0")
        self.journey.receive("a0.1", MessageState.UNDELIVERABLE)
        self.adds_up(2 * PRICE)

    def test_a_message_that_ends_twice_is_given_back_once(self) -> None:
        """The second end changes nothing of the money."""
        self.provide(refund=["expired", "refused"])
        message = self.journey.accepted()
        for state in (MessageState.EXPIRED, MessageState.UNDELIVERABLE):
            transaction = Transaction()
            self.journey.settlement.close(message, state, transaction, NOW_MS)
            transaction.settled += self.journey.taker().taken
            self.journey.result(self.journey.settlement.persist(transaction))
        self.adds_up(3 * PRICE)

    def test_a_message_of_before_prices_counted_is_not_refunded(self) -> None:
        """What was never charged is never given back."""
        self.provide()
        message = self.journey.accepted()
        message.charged = 0
        self.refuse(message)
        self.adds_up(2 * PRICE)


PRICES = {DESTINATION: PRICE, "447801234567": 250}  # of the route, and of a price list


class MoneyMachine(RuleBasedStateMachine):
    """Accepts, refusals, refunds, top-ups, a store that fails, and crashes, in any order."""

    test: Any

    @initialize(
        balance=st.sampled_from(["0.0500", "0.1999", "1.0000"]),
        limit=st.sampled_from(["0", "0.0200"]),
        refund=st.sets(st.sampled_from(["refused", "expired", "undelivered"])),
    )
    def begin(self, balance: str, limit: str, refund: set[str]) -> None:
        self.journey: Any = Journey(self.test)
        self.limit = ledger.amount(limit)
        fields: dict[str, Any] = {"credit_limit": limit, "refund": sorted(refund)}
        provisioning = prepaid(balance, price_list="gold", **fields)
        provisioning.price_lists["gold"] = PriceList("gold", [Price("0.0250", "4478")])
        put_in_force(self.journey, provisioning)
        self.journey.expiry.start()
        self.counter = 0
        self.names: list[str] = []

    @rule(
        sizes=st.lists(st.sampled_from([5, 5, 200, 400]), min_size=1, max_size=4),
        destination=st.sampled_from(sorted(PRICES)),
    )
    def submit(self, sizes: list[int], destination: str = DESTINATION) -> None:
        messages = [
            a_message(
                destination=destination,
                parts=[b"x" * size],
                registered_delivery=1,
                validity_ms=HOUR_MS,
            )
            for size in sizes
        ]
        self.journey.acceptance.accept(self.journey.login(), messages)

    @rule(amount=st.sampled_from([1, PRICE, 450]))
    def top_up(self, amount: int) -> None:
        row = (self.journey.identities.allot(), "acme", NOW_MS, amount, Entry.TOP_UP, None, "")
        entry = schema.LedgerRow(*row)
        changes = Changes(ledger=[entry])
        balances = self.journey.balances
        done = self.journal.commit(changes)
        done.addCallbacks(lambda _: balances.credit(changes), lambda why: why.trap(StoreFailed))

    @property
    def journal(self) -> Any:
        return self.journey.journal

    @rule(name=st.sampled_from(["north", "south"]), refused=st.sampled_from([True, False, None]))
    def answer(self, name: str, refused: bool | None) -> None:
        if refused is None:
            self.submit([5, 200])
        link = self.journey.link(name)
        names = [f"{name}-{self.counter + n}" for n in range(len(link.submitted))]
        self.counter += len(names)
        self.names += [] if refused else names
        link.answer(Status.ESME_RINVDSTADR if refused else 0, names=names)
        link.lose()

    @rule(
        state=st.sampled_from(
            [MessageState.DELIVERED, MessageState.UNDELIVERABLE, MessageState.EXPIRED]
        ),
        data=st.data(),
    )
    def receipt(self, state: MessageState, data: st.DataObject) -> None:
        if self.names and not self.journal.waiting:
            name = data.draw(st.sampled_from(self.names))
            self.journey.receive(name, state, carrier=name.partition("-")[0])

    @rule(seconds=st.sampled_from([2.0, 2.0, 4_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)

    @rule(how=st.sampled_from(["works", "works", "works", "fails", "is slow"]))
    def store(self, how: str) -> None:
        if how == "is slow":
            self.journal.waiting = True
        elif how == "fails":
            self.journal.broken = "disk full"
        else:
            self.store_works()

    def store_works(self) -> None:
        """It has done all that waited."""
        self.journal.broken = ""
        self.journal.release()
        self.journey.clock.advance(1.01)

    @rule()
    def crash(self) -> None:
        """A new process: what was not stored never happened."""
        for call in list(self.journey.clock.getDelayedCalls()):
            call.cancel()
        self.journey.queues._timer = None
        self.journey.expiry._expiring = None
        self.journal.broken = ""
        self.journal.forget()
        self.journey.restart()
        self.journey.expiry.start()

    @invariant()
    def money_adds_up(self) -> None:
        if not hasattr(self, "journey"):
            return
        connection = self.journal.connection
        with connection.begin():
            rows = [schema.LedgerRow(*row) for row in connection.execute(select(schema.ledger))]
            stored = ledger.balances(connection)["acme"]
            accepted = list(connection.execute(select(schema.message)))
        assert sum(row.amount for row in rows) == stored
        # Nobody spends what is not there, and what is in memory is never more than the store has.
        assert stored >= -self.limit
        assert self.journey.balances.of("acme") >= -self.limit
        if not self.journal.waiting:
            assert self.journey.balances.of("acme") == stored
        charges = {row.message: -row.amount for row in rows if row.reason == Entry.CHARGE}
        assert charges == {row.id: row.parts * PRICES[row.destination] for row in accepted}
        refunds = [row for row in rows if row.reason == Entry.REFUND]
        assert len({row.message for row in refunds}) == len(refunds)
        assert all(0 < row.amount <= charges[row.message] for row in refunds)

    def teardown(self) -> None:
        if hasattr(self, "journey"):
            self.journal.release()
            self.store_works()
            self.money_adds_up()
            for call in list(self.journey.clock.getDelayedCalls()):
                call.cancel()


class MoneyMachineTests(SynchronousTestCase):
    def test_money_adds_up_whatever_happens(self) -> None:
        """I8."""
        MoneyMachine.test = self
        run_machine(MoneyMachine)
