"""All parts of the journey on one store and one clock, with doubles of links and sessions."""

from collections.abc import Sequence
from typing import Any

from attrs import define, evolve, field
from sqlalchemy import select
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.config import Config
from smsgw.esmes.gate import Wordings
from smsgw.esmes.submissions import Submissions
from smsgw.flow import duplicates
from smsgw.flow.accept import Acceptance
from smsgw.flow.awaited import Awaited, normalise
from smsgw.flow.cancel import Cancelling
from smsgw.flow.carrier import CarrierSide
from smsgw.flow.decide import Outcome
from smsgw.flow.deliver import Deliveries
from smsgw.flow.expiry import Expiry
from smsgw.flow.forward import Forwarding
from smsgw.flow.handover import Handover
from smsgw.flow.inbound import Inbound
from smsgw.flow.lists import Lists
from smsgw.flow.money import Balances
from smsgw.flow.optout import OptOuts
from smsgw.flow.pending import Pending
from smsgw.flow.quotas import Quotas
from smsgw.flow.receipts import Receipts
from smsgw.flow.replace import Replacing
from smsgw.flow.settle import Settlement
from smsgw.flow.targets import Delivery, Told
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import Direction, Message, MessageState, Receipt
from smsgw.provisioning import Account, Carrier, Number, Provisioning, Route
from smsgw.queues import Entry, Kind
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.rules.delivery_rate import DeliveryRates
from smsgw.rules.tables import Tables
from smsgw.smpp.codec import encode_all
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import DeliverSm, DeliverSmResp, Pdu, SubmitSm, SubmitSmResp
from smsgw.smpp.profile import PROFILES, STANDARD, Profile
from smsgw.store import records, schema
from smsgw.store.records import Records
from tests.journals import a_journal

NOW = 1_800_000_000  # seconds since 1970
NOW_MS = NOW * 1000
HOUR_MS = 3600_000
SOURCE = "447700900000"  # acme's number
DESTINATION = "447700900123"
NORTH = "carrier:north"
SOUTH = "carrier:south"
ACME = "account:acme"


def provisioned() -> Provisioning:
    """An account with a number; two carriers, the second for failover; a route for 44 only."""
    return Provisioning(
        accounts={"acme": Account(name="acme", number=[Number(SOURCE)])},
        carriers={"north": Carrier("north", window=10), "south": Carrier("south", window=10)},
        routes={"uk": Route("uk", ["44"], ["north", "south"], price="0.0100")},
    )


def a_message(**fields: Any) -> Message:
    """A short message as an SMPP edge hands it in."""
    given: dict[str, Any] = {
        "source": SOURCE,
        "destination": DESTINATION,
        "parts": [b"Hello"],
        "interface": "smpp",
    }
    return Message(**{**given, **fields})


@define(eq=False)
class Taker:
    """A consumer with a window, which keeps what it takes until it is told what became of it."""

    window: int = 100
    taken: list[Entry] = field(factory=list)

    @property
    def room(self) -> int:
        return self.window - len(self.taken)

    def take(self, entries: list[Entry]) -> None:
        assert len(entries) <= self.room
        self.taken += entries


@define(eq=False)
class FakeLink:
    """A link to a carrier of which the test is the other end."""

    side: Any = None
    name: str = "1"
    up: bool = False
    free: int = 1000
    version: int = 0x34
    started: int = 0
    stopped: int = 0
    submitted: list[tuple[SubmitSm, Entry]] = field(factory=list)
    writes: int = 0
    responses: list[DeliverSmResp] = field(factory=list)
    questions: list[tuple[Pdu, Deferred[Pdu | None]]] = field(factory=list)

    @property
    def room(self) -> int:
        return self.free if self.up else 0

    def ask(self, pdu: Pdu) -> Deferred[Pdu | None]:
        done: Deferred[Pdu | None] = Deferred()
        self.questions.append((pdu, done))
        return done

    def tell(self, answer: Pdu | None) -> Any:
        """Answers the question asked first; the question."""
        pdu, done = self.questions.pop(0)
        done.callback(answer)
        return pdu

    def start(self) -> None:
        self.started += 1

    def stop(self) -> Deferred[None]:
        self.stopped += 1
        self.up = False
        return succeed(None)

    def submit(self, items: Sequence[tuple[SubmitSm, Entry]]) -> None:
        assert self.up
        encode_all([pdu for pdu, _ in items])  # as a real link: ValueError, and nothing is sent
        self.writes += 1
        self.submitted += items

    def respond(self, pdus: Sequence[DeliverSmResp]) -> None:
        self.responses += pdus

    def come_up(self) -> None:
        """The link is bound."""
        self.up = True
        self.side.link_up(self)

    def lose(self) -> None:
        """The link is lost: what was outstanding has no answer."""
        self.up = False
        lost, self.submitted = self.submitted, []
        if lost:
            self.side.answered(self, [(entry, None) for _, entry in lost])
        self.side.link_down(self, "lost")

    def answer(
        self, status: int = 0, count: int | None = None, names: Sequence[str] = ()
    ) -> list[Entry]:
        """Answers what was submitted first, ``count`` or all, with ``names``, a0, a1 ... as ids."""
        answered, self.submitted = self.submitted[:count], self.submitted[count or 1 << 30 :]
        ids = [*names, *(f"a{n}" for n in range(len(names), len(answered)))]
        answers: list[tuple[Entry, Pdu]] = [
            (entry, SubmitSmResp(status=status, message_id=b"" if status else id.encode()))
            for (_, entry), id in zip(answered, ids, strict=False)
        ]
        self.side.answered(self, answers)
        return [entry for entry, _ in answers]


@define(eq=False)
class FakeSession:
    """A bound ESME of which the test is the client."""

    login: Login
    receives: bool = True
    version: int = 0x34
    peer: str = "192.0.2.7"
    called_as: str = ""
    bind_type: str = "transceiver"
    profile: Profile = STANDARD
    room: int = 100
    close_reason: str = ""
    orderly: bool = True
    probes: list[Deferred[None]] = field(factory=list)
    delivered: list[tuple[DeliverSm, Entry]] = field(factory=list)
    answers: list[Pdu] = field(factory=list)

    def deliver(self, items: Sequence[tuple[DeliverSm, Entry]]) -> None:
        assert len(items) <= self.room
        self.delivered += items

    def answer(self, pdus: Sequence[Pdu]) -> None:
        self.answers += pdus

    def probe(self, within_s: float) -> Deferred[None]:
        self.probes.append(done := Deferred())
        return done

    def texts(self) -> list[str]:
        """The texts of what was delivered and not yet answered."""
        return [pdu.short_message.decode() for pdu, _ in self.delivered]


@define(eq=False, slots=False)
class FakeMessenger:
    """Targets of one kind of which the test is the other end: it says how each delivery went."""

    under_way: list[tuple[Delivery, Deferred[Told]]] = field(factory=list)
    stopped: int = 0

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        done: Deferred[Told] = Deferred()
        self.under_way.append((delivery, done))
        return done

    def stop(self) -> Deferred[None]:
        self.stopped += 1
        return succeed(None)

    def addresses(self) -> list[str]:
        """Where what is under way goes."""
        return [delivery.target.address for delivery, _ in self.under_way]

    def tell(self, result: str, detail: str = "", address: str = "") -> list[Delivery]:
        """So went what is under way, to ``address`` or to all; each of those deliveries."""
        told = [one for one in self.under_way if address in ("", one[0].target.address)]
        self.under_way = [one for one in self.under_way if one not in told]
        for _, done in told:
            done.callback(Told(result, detail))
        return [delivery for delivery, _ in told]


class Journey:
    """The gateway without its edges."""

    def __init__(self, test: TestCase, provisioning: Provisioning | None = None) -> None:
        self.test = test
        self.journal = a_journal(test)
        self.clock = Clock()
        self.clock.rightNow = float(NOW)
        self.config = Config()
        self.contact_lists: dict[tuple[str, str], list[str]] = {}
        self.provision(provisioning or provisioned())
        self.begin()

    def provision(self, provisioning: Provisioning) -> None:
        """Puts other tables in force."""
        self.provisioning = provisioning
        version = self.tables.version + 1 if hasattr(self, "tables") else 1
        rates = self.tables.rates if version > 1 else DeliveryRates(self.clock.seconds)
        self.tables = Tables(provisioning, version, rates=rates)

    def begin(self) -> None:
        """Makes all parts: at first, and after ``restart``."""
        now = self.clock.seconds
        self.known = Records()
        self.identities = Identities(0, now)
        self.queues = EmbeddedQueues(self.journal, self.known, self.clock, now)
        self.awaited = Awaited()
        self.balances = Balances()
        self.quotas = Quotas()
        self.lists = Lists()
        self.forwarding = Forwarding(now)
        self.settlement = Settlement(
            self.current,
            self.queues,
            self.known,
            self.awaited,
            self.identities,
            self.balances,
            self.clock,
            now,
        )
        self.expiry = Expiry(
            self.current,
            self.queues,
            self.journal,
            self.known,
            self.settlement,
            self.clock,
            now,
        )
        self.receipts = Receipts(
            self.current, self.journal, self.known, self.awaited, self.settlement, now
        )
        self.acceptance = Acceptance(
            self.current,
            self.queues,
            self.known,
            self.identities,
            self.balances,
            now,
            quotas=self.quotas,
            lists=self.lists,
        )
        self.pending = Pending(
            self.current, self.queues, self.journal, self.known, self.identities, now
        )
        self.cancelling = Cancelling(
            self.pending, self.queues, self.journal, self.known, self.settlement, now
        )
        self.replacing = Replacing(
            self.current,
            self.queues,
            self.identities,
            self.balances,
            self.pending,
            self.acceptance,
            self.settlement,
            now,
        )
        self.optouts = OptOuts(self.lists, self.acceptance, self.identities)
        self.inbound = Inbound(
            self.current,
            self.queues,
            self.known,
            self.identities,
            now,
            self.optouts,
            self.forwarding,
            self.config,
        )
        self.wordings = Wordings(self.config, self.current)
        self.handover = Handover(self.queues, self.settlement, self.wordings, self.clock, now)
        self.messengers = {kind: FakeMessenger() for kind in ("http", "email", "toot")}
        self.deliveries = Deliveries(
            self.config,
            self.current,
            self.queues,
            self.settlement,
            self.acceptance,
            self.forwarding,
            self.messengers,
            now,
        )

    def restart(self) -> None:
        """A new process on the same store: nothing is left of what was in memory only."""
        self.queues.stop()
        self.expiry.stop()
        self.begin()
        self.result(self.journal.run(records.highest_id), self.identities.allotted_at_least)
        self.result(Deferred.fromCoroutine(self.balances.load(self.journal)))
        self.result(Deferred.fromCoroutine(self.quotas.load(self.journal, self.clock.seconds())))
        self.result(Deferred.fromCoroutine(self.receipts.adopt()))
        self.result(Deferred.fromCoroutine(self.inbound.joining.load(self.journal)))
        self.result(Deferred.fromCoroutine(self.lists.load(self.journal)))
        loading = duplicates.load(
            self.acceptance.duplicates, self.tables, self.journal, self.clock.seconds()
        )
        self.result(Deferred.fromCoroutine(loading))
        self.result(Deferred.fromCoroutine(self.queues.load()))

    def current(self) -> Tables:
        """The tables in force."""
        return self.tables

    def result(self, done: Deferred[Any], then: Any = lambda result: result) -> Any:
        """What a Deferred that has fired holds."""
        return then(self.test.successResultOf(done))

    @property
    def now_ms(self) -> int:
        """Milliseconds since 1970."""
        return int(self.clock.seconds() * 1000)

    # What goes in

    def login(self, account: str = "acme", **fields: Any) -> Login:
        """A login of the account."""
        return Login(account, account, **{"window": 10, **fields})

    def accept(self, *messages: Message, account: str = "acme") -> list[Outcome]:
        """The outcomes of one batch."""
        outcomes: list[Outcome] = self.result(
            self.acceptance.accept(self.login(account), list(messages))
        )
        return outcomes

    def accepted(self, **fields: Any) -> Message:
        """One message that has been accepted."""
        [outcome] = self.accept(a_message(**fields))
        assert isinstance(outcome, Message), outcome
        return outcome

    def taker(self, queue: str = NORTH, window: int = 100) -> Taker:
        """A consumer of the queue."""
        taker = Taker(window)
        self.queues.subscribe(queue, taker)
        return taker

    def submissions(self) -> Submissions:
        """What takes submit_multi and data_sm."""
        return Submissions(
            self.current,
            self.acceptance,
            self.contacts,
            self.identities.allot,
            self.wordings,
            self.clock.seconds,
        )

    async def contacts(self, account: str, name: str, most: int) -> list[str] | None:
        """The numbers of a list of contacts (``contact_lists``)."""
        found = self.contact_lists.get((account, name))
        return None if found is None else found[:most]

    def side(self, name: str = "north", links: int = 1, **fields: Any) -> CarrierSide:
        """A carrier with links that are not up yet; ``fields`` are of its form."""
        form = evolve(self.tables.carriers[name], **fields)
        side = CarrierSide(
            form,
            self.queues,
            self.settlement,
            self.receipts,
            self.inbound,
            self.clock,
            self.clock.seconds,
        )
        side.links = [FakeLink(side, str(n + 1)) for n in range(links)]  # type: ignore[misc]
        return side

    def link(self, name: str = "north", **fields: Any) -> FakeLink:
        """The one link of a carrier, up."""
        link: Any = self.side(name, **fields).links[0]
        link.come_up()
        return link  # type: ignore[no-any-return]

    def session(self, profile: str = "standard", **fields: Any) -> FakeSession:
        """A bound session of acme."""
        login = self.login(profile=profile, window=fields.pop("window", 10))
        session = FakeSession(login, profile=PROFILES[profile], **fields)
        self.handover.bound(session)  # type: ignore[arg-type]
        return session

    def respond(self, session: FakeSession, status: int | None = 0) -> list[Entry]:
        """The session's client answers all that it was given."""
        answered, session.delivered = session.delivered, []
        answers: list[tuple[object, int | None]] = [(entry, status) for _, entry in answered]
        self.handover.delivered_to(session, answers)  # type: ignore[arg-type]
        return [entry for _, entry in answered]

    def lose(self, session: FakeSession) -> None:
        """The session is lost: its deliveries have no answer, and then it is unbound."""
        session.close_reason = "closed by the peer"
        session.room = 0
        if session.delivered:
            self.respond(session, None)
        self.handover.unbound(session)  # type: ignore[arg-type]

    def sent(self, name: str = "a0", carrier: str = "north", **fields: Any) -> Message:
        """A message that the carrier has acknowledged: ``name``, or its parts ``name``.0, .1 ..."""
        message = self.accepted(**fields)
        taker = self.taker(f"carrier:{carrier}")
        answers: list[tuple[Entry, Pdu | None]] = []
        for entry in taker.taken:
            id = name if len(message.parts) == 1 else f"{name}.{entry.part}"
            answers.append((entry, SubmitSmResp(message_id=id.encode())))
        self.result(self.settlement.settle(carrier, answers))
        self.queues.unsubscribe(f"carrier:{carrier}", taker)
        return message

    def receive(
        self, id: str, state: int = MessageState.DELIVERED, carrier: str = "north", **fields: Any
    ) -> bool:
        """A receipt arrives; True if it may be answered with ESME_ROK."""
        stored: bool = self.result(
            self.receipts.receive(carrier, [Receipt(id=normalise(id), state=int(state), **fields)])
        )
        return stored

    def review(self, seconds: float = 10.0) -> None:
        """Time goes by, and receipts that matched nothing are looked at again."""
        self.clock.advance(seconds)
        self.result(Deferred.fromCoroutine(self.receipts.review()))

    def mo(self, **fields: Any) -> Status:
        """An MO arrives; what it is answered with."""
        given: dict[str, Any] = {
            "source_addr": DESTINATION.encode(),
            "destination_addr": SOURCE.encode(),
            "short_message": b"Hi",
            "sequence": 7,
        }
        pdu = DeliverSm(**{**given, **fields})
        [answer] = self.result(self.inbound.receive("north", [pdu]))
        assert answer.sequence == 7
        return Status(answer.status)

    # What is in the store

    def rows(self, table: Any) -> list[Any]:
        """All rows of a table."""
        rows: list[Any] = self.result(self.journal.run(lambda c: list(c.execute(select(table)))))
        return rows

    def entries(self, queue: str | None = None) -> list[schema.QueueRow]:
        """The entries in the store."""
        rows = [schema.QueueRow(*row) for row in self.rows(schema.queue)]
        return [row for row in rows if queue is None or row.queue == queue]

    def kinds(self, queue: str = ACME) -> list[Kind]:
        """What waits in a queue."""
        return [Kind(row.kind) for row in sorted(self.entries(queue), key=lambda row: row.id)]

    def stored(self, message: Message) -> Message:
        """The message as the store has it."""
        [read] = self.result(self.journal.run(lambda c: records.read(c, [message.id])))
        return read  # type: ignore[no-any-return]

    def check(self) -> None:
        """I3: what is not at its end has something to bring it there, and nothing else has."""
        entries = self.entries()
        ids = {row.id for row in self.rows(schema.message)}
        messages = {
            m.id: m for m in self.result(self.journal.run(lambda c: records.read(c, list(ids))))
        }
        waiting = {(row.message, row.part) for row in entries if row.kind == Kind.SEND}
        handed = {(row.message, row.part) for row in entries if row.kind == Kind.MO}
        dead = {row.id for row in self.rows(schema.dead)}
        assert not dead & {row.id for row in entries}
        for row in entries:
            final = MessageState(messages[row.message].state).final
            assert not (final and row.kind in (Kind.SEND, Kind.MO)), row
        for message in messages.values():
            if MessageState(message.state).final:
                continue
            if message.direction == Direction.MO:
                for part in range(max(1, len(message.targets))):
                    outcome = message.acknowledged.get(part)
                    ended = outcome is not None and MessageState(outcome.state).final
                    assert ended != ((message.id, part) in handed), message
                continue
            if message.kind == "mms" and message.state == MessageState.UNKNOWN:
                continue  # its carrier never said that it has it (ruling 18)
            for part in range(len(message.parts)):
                known = part in message.acknowledged
                assert known != ((message.id, part) in waiting), message


class JourneyCase(TestCase):
    """A test of the journey; at its end the store is in order (I3)."""

    def setUp(self) -> None:
        self.journey = Journey(self)
        self.addCleanup(self.at_the_end)

    def at_the_end(self) -> None:
        self.journey.journal.broken = ""
        self.journey.journal.release()
        self.journey.check()
