"""The whole journey under any order of events, a store that fails, and crashes.

Carriers, handsets, customers and the store do what they like. At every moment the store is in order
(I3) and nothing is sent that a carrier is known to have (I2); in the end nothing is lost (I1).
"""

from typing import Any, ClassVar

from attrs import evolve
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.trial.unittest import SynchronousTestCase

from smsgw.message import Message, MessageState
from smsgw.queues import Entry, Kind
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import DeliverSm, SubmitSmResp
from smsgw.store import schema
from tests.flow.journey import (
    HOUR_MS,
    SOURCE,
    FakeLink,
    FakeSession,
    Journey,
    a_message,
    provisioned,
)
from tests.machines import run_machine

CARRIERS = ("north", "south")
ANSWERS = (
    Status.ESME_ROK,
    Status.ESME_ROK,
    Status.ESME_RTHROTTLED,
    Status.ESME_RSYSERR,
    Status.ESME_RINVDSTADR,
)
STATES = (
    MessageState.DELIVERED,
    MessageState.UNDELIVERABLE,
    MessageState.UNKNOWN,
    MessageState.ACCEPTED,
    MessageState.ENROUTE,
)


class WatchedLink(FakeLink):
    """A link that sees to it that nothing is sent again without need."""

    def submit(self, items: Any) -> None:
        journey = self.side.journey
        taken = {(row.message, row.number) for row in journey.rows(schema.part) if row.carrier_id}
        # Told by an invariant: raised here it would be a link that breaks.
        journey.resent += [e for _, e in items if (e.message.id, e.part) in taken]
        super().submit(items)


class JourneyMachine(RuleBasedStateMachine):
    """Everything that may happen to a gateway with two carriers and one account."""

    test: Any
    route: ClassVar[dict[str, Any]] = {}  # what the route has beside its carriers

    @initialize()
    def begin(self) -> None:
        provisioning = provisioned()
        provisioning.routes["uk"] = evolve(provisioning.routes["uk"], **self.route)
        self.journey: Any = Journey(self.test, provisioning)
        self.journey.resent = []
        self.accepted: list[Message] = []  # what an edge said yes to
        self.mos = 0  # what a carrier was told that we have
        self.told: dict[int, list[Kind]] = {}  # what the account has taken, by message
        self.names: dict[tuple[int, int, str], str] = {}  # the ids that carriers give
        self.counter = 0
        self.troubled = False  # commits are tried again, so the store is behind
        self.start()

    def start(self) -> None:
        self.sessions: list[FakeSession] = []
        self.links: dict[str, WatchedLink] = {}
        self.journey.expiry.start()
        for name in CARRIERS:
            side: Any = self.journey.side(name, window=4)
            side.journey = self.journey
            self.links[name] = side.links[0] = WatchedLink(side)

    # The customer

    @rule(
        asked=st.sampled_from([0, 1, 2, 0x11]),
        size=st.sampled_from([5, 5, 5, 400]),
        validity=st.sampled_from([0, HOUR_MS]),
        schedule=st.sampled_from([0, 0, 30_000]),
    )
    def submit(self, asked: int, size: int, validity: int, schedule: int) -> None:
        schedule_at = self.journey.now_ms + schedule if schedule else 0
        message = a_message(
            parts=[b"x" * size],
            registered_delivery=asked,
            validity_ms=validity,
            schedule_at=schedule_at,
        )
        [outcome] = self.journey.accept(message)
        if isinstance(outcome, Message):
            # A copy: what the gateway does to its own is no matter of the customer.
            self.accepted.append(evolve(outcome))

    @rule(window=st.integers(1, 5))
    def bind(self, window: int) -> None:
        if len(self.sessions) < 3:
            self.sessions.append(self.journey.session(window=window))

    @precondition(lambda self: self.sessions)
    @rule(data=st.data(), status=st.sampled_from([0, 0, 0, None, 0x64, 0x65]))
    def take(self, data: st.DataObject, status: int | None) -> None:
        session = data.draw(st.sampled_from(self.sessions))
        self.answer_deliveries(session, status)

    def answer_deliveries(self, session: FakeSession, status: int | None) -> None:
        for _, entry in session.delivered:
            if status in (0, 0x65):
                self.told.setdefault(entry.message.id, []).append(Kind(entry.kind))
        self.journey.respond(session, status)

    @precondition(lambda self: self.sessions)
    @rule()
    def lose_session(self) -> None:
        self.journey.lose(self.sessions.pop())

    # The carriers

    @rule(name=st.sampled_from(CARRIERS))
    def link_comes_or_goes(self, name: str) -> None:
        link = self.links[name]
        if link.up:
            link.lose()
        else:
            link.come_up()

    @rule(name=st.sampled_from(CARRIERS), status=st.sampled_from(ANSWERS), count=st.integers(1, 4))
    def answer(self, name: str, status: int, count: int) -> None:
        link = self.links[name]
        answered, link.submitted = link.submitted[:count], link.submitted[count:]
        answers: list[Any] = []
        for _, entry in answered:
            id = b"" if status else self.name_of(name, entry).encode()
            answers.append((entry, SubmitSmResp(status=status, message_id=id)))
        if answers:
            link.side.answered(link, answers)

    def name_of(self, carrier: str, entry: Entry) -> str:
        key = (entry.message.id, entry.part, carrier)
        if key not in self.names:
            self.counter += 1
            self.names[key] = f"{carrier}-{self.counter}"
        return self.names[key]

    @rule(
        name=st.sampled_from(CARRIERS),
        state=st.sampled_from(STATES),
        early=st.booleans(),
        data=st.data(),
    )
    def receipt(self, name: str, state: MessageState, early: bool, data: st.DataObject) -> None:
        """Of what it has been given, or has acknowledged, or of what nobody knows."""
        if early and self.links[name].submitted:
            id = self.name_of(name, self.links[name].submitted[0][1])
        else:
            known = [id for id in self.names.values() if id.startswith(name)]
            id = data.draw(st.sampled_from([*known, "nobody"]))
        self.journey.receive(id, state, carrier=name)

    @rule()
    def mo(self) -> None:
        pdu = DeliverSm(sequence=1, destination_addr=SOURCE.encode(), short_message=b"Hi")
        [answer] = self.journey.result(self.journey.inbound.receive("north", [pdu]))
        self.mos += answer.status == Status.ESME_ROK

    # The world

    @rule(seconds=st.sampled_from([0.5, 2.0, 40.0, 4_000.0]))
    def time_passes(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)
        if not self.journey.journal.broken:
            self.settle_down()

    @rule()
    def store_fails(self) -> None:
        self.journey.journal.broken = "disk full"
        self.troubled = True

    @rule()
    def store_works(self) -> None:
        self.journey.journal.broken = ""
        self.settle_down()

    def settle_down(self) -> None:
        """What is tried every second has worked."""
        self.journey.clock.advance(1.01)
        self.troubled = False

    @rule()
    def crash(self) -> None:
        """A new process on the same store: connections are gone, and what was not stored."""
        for call in list(self.journey.clock.getDelayedCalls()):
            call.cancel()
        self.journey.queues._timer = None
        self.journey.expiry._expiring = None
        self.journey.journal.broken = ""
        self.journey.restart()
        self.start()
        self.settle_down()

    # What always holds

    @invariant()
    def the_store_is_in_order(self) -> None:
        if hasattr(self, "journey") and not self.troubled:
            self.journey.check()

    @invariant()
    def nothing_is_sent_that_a_carrier_has(self) -> None:
        if hasattr(self, "journey"):
            assert self.journey.resent == []

    @invariant()
    def windows_are_kept(self) -> None:
        if hasattr(self, "journey"):
            for link in self.links.values():
                assert len(link.submitted) <= link.side.outstanding <= 4
            for session in self.sessions:
                assert len(session.delivered) <= session.login.window

    def teardown(self) -> None:
        """All are well again: in the end each message has been taken, or ended with a reason."""
        if not hasattr(self, "journey"):
            return
        journey = self.journey
        self.store_works()
        self.bind(5)
        for link in self.links.values():
            if not link.up:
                link.come_up()
        for _ in range(300):
            for name in CARRIERS:
                self.answer(name, Status.ESME_ROK, 10)
            for session in self.sessions:
                self.answer_deliveries(session, 0)
            journey.clock.advance(10)
            if not journey.entries():
                break
        self.nothing_is_sent_that_a_carrier_has()
        assert journey.entries() == []
        journey.clock.advance(14 * 24 * 3600)
        while any(session.delivered for session in self.sessions):
            for session in self.sessions:
                self.answer_deliveries(session, 0)
        rows = {row.id: row for row in journey.rows(schema.message)}
        parts = {(row.message, row.number) for row in journey.rows(schema.part)}
        for message in self.accepted:
            state = MessageState(rows[message.id].state)
            ended = state.final or state is MessageState.UNKNOWN
            kinds = self.told.get(message.id, [])
            if message.registered_delivery & 3:
                assert ended, "its receipt is awaited for ever"
                if message.registered_delivery & 3 == 1:
                    assert Kind.RECEIPT in kinds, "its receipt is lost"
            elif not ended:
                assert all((message.id, n) in parts for n in range(len(message.parts))), "lost"
            if not message.registered_delivery:
                assert kinds == [], "told unasked"
        mos = [row for row in rows.values() if row.direction == 1]
        assert len(mos) == self.mos
        assert all(MessageState(row.state).final for row in mos)


class JourneyMachineTests(SynchronousTestCase):
    def test_nothing_is_lost_and_the_store_is_in_order(self) -> None:
        """I1, I2, I3, whatever happens."""
        self.run_with({})

    def test_the_same_where_messages_change_carriers(self) -> None:
        """After a wait, and after a receipt that says it was not delivered."""
        self.run_with({"queue_time_s": 30, "failover_undelivered": True})

    def run_with(self, route: dict[str, Any]) -> None:
        JourneyMachine.test = self
        JourneyMachine.route = route
        run_machine(JourneyMachine)
