"""Responses and reports that wait to be mailed: until they are taken, over restarts, in a line for
each peer."""

from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw.flow.exchange import carrier_peer
from smsgw.flow.replies import LASTS_MS, RESIDENT, WINDOW, Replies, take_over_mails
from smsgw.identities import Identities
from smsgw.provisioning import Carrier, Provisioning
from smsgw.queues import Transaction
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.rules.tables import Tables
from smsgw.smtp.client import Mail, Outcome, outcome_of, temporary
from smsgw.store import schema
from smsgw.store.records import Records
from tests.flow.journey import NOW
from tests.journals import a_journal

PEER = carrier_peer("mmsc")
OTHER = carrier_peer("other")
TO = "system-user@mms.example.net"


@define
class FakeExchange:
    """Peers that take what they are sent when the test says so."""

    system: str = "system-user@mms.example.com"
    under_way: list[tuple[str, Mail, Deferred[dict[str, Outcome]]]] = field(factory=list)
    gone: set[str] = field(factory=set)

    def of(self, peer: str) -> Any:
        """A peer's connections."""
        if peer in self.gone:
            return None
        exchange = self

        class Connections:
            def send(self, mail: Mail) -> Deferred[dict[str, Outcome]]:
                done: Deferred[dict[str, Outcome]] = Deferred()
                exchange.under_way.append((peer, mail, done))
                return done

        return Connections()

    def tell(self, outcome: Outcome) -> Mail:
        """What becomes of the mail that is under way the longest; the mail."""
        _, mail, done = self.under_way.pop(0)
        done.callback({mail.recipients[0]: outcome})
        return mail


def node_row(number: int) -> dict[str, Any]:
    """The row of a node that lives."""
    return {
        "number": number,
        "name": "n",
        "roles": "smtp",
        "version": "1",
        "carriers": "{}",
        "started_at": 1,
        "seen_at": 1,
        "incarnation": 1,
    }


class RepliesTests(TestCase):
    """On one store and one clock."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.journal = a_journal(self)
        form = Carrier("mmsc", kind="mm4", domain="mms.example.net", retry_s=[5, 50])
        self.tables = Tables(Provisioning(carriers={"mmsc": form}))
        self.queues = EmbeddedQueues(self.journal, Records(), self.clock, self.clock.seconds)
        self.begin()

    def begin(self) -> None:
        """A gateway starts."""
        self.exchange = FakeExchange()
        exchange: Any = self.exchange
        ids = Identities(now=self.clock.seconds)
        ids.allotted_at_least(max((row.id for row in self.rows()), default=0))
        self.replies = Replies(
            lambda: self.tables, exchange, self.journal, ids, self.clock, self.clock.seconds
        )
        self.successResultOf(Deferred.fromCoroutine(self.replies.start()))

    def rows(self) -> list[Any]:
        """What is stored."""
        done = self.journal.run(lambda c: list(c.execute(schema.mm4_mail.select())))
        return list(self.successResultOf(done))

    def put(self, *contents: bytes, peer: str = PEER) -> Deferred[None]:
        """Commits mails."""
        transaction = Transaction()
        for content in contents:
            self.replies.put(transaction, peer, TO, content)
        return self.queues.commit(transaction)

    def test_is_mailed_once_it_is_durable(self) -> None:
        """I3: not before the commit of what it tells, and never if that fails."""
        self.journal.broken = "disk full"
        self.failureResultOf(self.put(b"lost"))
        assert self.exchange.under_way == []
        self.journal.broken = ""
        self.put(b"kept")
        assert self.exchange.tell(outcome_of(250, "ok")) == Mail(
            self.exchange.system, [TO], b"kept"
        )
        assert self.rows() == []
        assert (self.replies.sent, self.replies.waiting()) == (1, {})

    def another(self) -> tuple[FakeExchange, Replies]:
        """Those of node 1, which starts."""
        exchange = FakeExchange()
        there: Any = exchange
        ids = Identities(1, self.clock.seconds)
        other = Replies(
            lambda: self.tables, there, self.journal, ids, self.clock, self.clock.seconds, 1, True
        )
        self.successResultOf(Deferred.fromCoroutine(other.start()))
        return exchange, other

    def test_of_two_nodes_each_mails_its_own_and_what_a_dead_one_had(self) -> None:
        """I2: a node that starts leaves alone what another one mails. I1: it mails that when the
        other one is dead."""
        self.journal.run(lambda c: c.execute(schema.node.insert().values(node_row(0))))
        self.put(b"one")
        exchange, other = self.another()
        assert exchange.under_way == []
        self.journal.run(lambda c: take_over_mails(c, 0, 1))
        self.successResultOf(Deferred.fromCoroutine(other.adopt()))
        assert exchange.tell(outcome_of(250, "ok")).content == b"one"
        assert self.rows() == []

    def test_what_a_node_had_that_is_unknown_is_mailed_by_the_first_that_starts(self) -> None:
        """I1: also after a node got another number, or a store was moved."""
        self.put(b"one")
        exchange, _ = self.another()
        assert exchange.tell(outcome_of(250, "ok")).content == b"one"

    def test_is_tried_again_by_the_carriers_pauses(self) -> None:
        """§4: after the pauses of ``retry_s``, the last one again and again."""
        self.put(b"one")
        for pause in (5, 50, 50):
            self.exchange.tell(temporary("connection refused"))
            self.clock.advance(pause - 1)
            assert self.exchange.under_way == []
            self.clock.advance(1)
            assert len(self.exchange.under_way) == 1
        assert [row.attempts for row in self.rows()] == [3]
        self.exchange.tell(outcome_of(250, "ok"))
        assert self.rows() == []

    def test_is_given_up_in_the_end(self) -> None:
        """When it is refused for good, when its peer is gone, and after 72 hours."""
        self.put(b"refused")
        self.exchange.tell(outcome_of(550, "no"))
        self.exchange.gone.add(OTHER)
        self.put(b"nobody", peer=OTHER)
        assert (self.rows(), self.replies.given_up) == ([], 2)
        self.put(b"late")
        self.exchange.tell(outcome_of(451, "later"))
        self.replies.stop()
        self.clock.advance(LASTS_MS / 1000)
        self.begin()
        assert (self.rows(), self.exchange.under_way) == ([], [])

    def test_survives_a_crash(self) -> None:
        """I1: what was not taken is mailed by the next start, in its order."""
        self.put(b"one", b"two")
        self.replies.stop()
        self.begin()
        assert [mail.content for _, mail, _ in self.exchange.under_way] == [b"one", b"two"]

    def test_a_slow_peer_holds_up_no_other(self) -> None:
        """I5: a bounded number is under way and in memory, the rest waits in the store; another
        peer's mails go out meanwhile; all come in their order."""
        count = RESIDENT + 2 * WINDOW
        self.put(*(b"%d" % n for n in range(count)))
        self.put(b"quick", peer=OTHER)
        assert [peer for peer, *_ in self.exchange.under_way] == [PEER] * WINDOW + [OTHER]
        assert self.replies.waiting()[PEER] == RESIDENT
        order = []
        while self.exchange.under_way:
            order.append(self.exchange.tell(outcome_of(250, "ok")).content)
        order.remove(b"quick")
        assert order == [b"%d" % n for n in range(count)]
        assert (self.rows(), self.replies.waiting()) == ([], {})

    def test_a_store_that_fails_afterwards(self) -> None:
        """What was taken is removed once the store works again, and is not mailed meanwhile."""
        self.put(b"one")
        self.journal.broken = "disk full"
        self.exchange.tell(outcome_of(250, "ok"))
        self.clock.advance(1)
        assert self.exchange.under_way == []
        self.journal.broken = ""
        self.clock.advance(1)
        assert (self.rows(), self.exchange.under_way) == ([], [])
