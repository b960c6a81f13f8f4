"""Two nodes on one store: what one changes holds at the other (design sections 7 and 8)."""

from typing import Any
from unittest import mock

import pytest
from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.refusals import Reason, Refusal
from smsgw.service import Gateway
from smsgw.smpp.constants import Status
from smsgw.store import lists, nodes, schema, sessions
from smsgw.testing.esme import connect
from tests.integration.books import until
from tests.integration.scene import (
    HANDSET,
    NUMBER,
    SECRET,
    account,
    carrier,
    route,
    until_asked,
)
from tests.service.nodes import NodesCase


def a_message(destination: str = HANDSET) -> Message:
    return Message(source=NUMBER, destination=destination, parts=[b"hello"])


@pytest.mark.timeout(90)
class ProvisioningTests(NodesCase):
    """What is provisioned at one node is in force at all of them in a second."""

    async def test_a_new_account_binds_at_the_other_node(self) -> None:
        """It, its carrier and its route are there without a restart."""
        await self.provided()
        await self.esme_at(self.b)
        assert self.b.tables.version == self.a.tables.version == 1

    async def test_a_login_that_is_revoked_is_unbound_everywhere(self) -> None:
        """Also at the node that the operator did not speak to; other sessions stay."""
        await self.provided(account("other").replace(NUMBER, "447700900001"))
        mine = await self.esme_at(self.b)
        others = await self.esme("other")
        self.at(self.a)
        other = account("other").replace(NUMBER, "447700900001")
        await self.apply(other, carrier("north", self.north.port, binds=2), route("north"))
        await until(reactor, lambda: mine.ended_why is not None, "the unbind")
        assert others.ended_why is None

    async def test_what_was_not_heard_is_read_with_the_next_connection(self) -> None:
        """The connection that listens is cut off, and meanwhile everything changes."""
        await self.provided()
        listening = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE query LIKE 'SELECT max(version)%%' AND datname = current_database()"
        )
        await self.a.journal.run(lambda c: c.exec_driver_sql(listening).all())
        made = lists.NumberList(self.a.identities.allot(), "acme", "no", "block")
        assert await self.a.lists.create(self.a.journal, made)
        await self.a.lists.add(self.a.journal, made, [HANDSET], 1, "api")
        await self.apply(account(), carrier("north", self.north.port, binds=2), route("north"), "")
        lineage = self.b.tables.lineage["acme"]
        await until(
            reactor,
            lambda: self.b.lists.refuses(lineage, NUMBER, HANDSET) is Reason.BLOCKED,
            "the list at the other node",
        )


@pytest.mark.timeout(90)
class ListTests(NodesCase):
    """E-D12: who has opted out at one node gets nothing from the other."""

    def refused(self, gateway: Gateway) -> "Reason | None":
        lineage = gateway.tables.lineage["acme"]
        return gateway.lists.refuses(lineage, NUMBER, HANDSET)

    async def reaches(self, gateway: Gateway, reason: "Reason | None") -> None:
        await until(reactor, lambda: self.refused(gateway) is reason, f"{reason} is known")

    async def test_a_handset_that_opts_out_at_one_node_is_left_alone_by_both(self) -> None:
        """By a word that came over a link of one of them; and opted in again over the other's."""
        await self.provided()
        first, second = self.north.smsc.sessions
        for only, word, reason in (
            (first, "STOP", Reason.OPTED_OUT),
            (second, "START", None),
        ):
            first.receives, second.receives = only is first, only is second
            self.north.smsc.mobile_originated(HANDSET, NUMBER, word)
            for gateway in (self.a, self.b):
                await self.reaches(gateway, reason)
        assert [self.a.inbound.received, self.b.inbound.received] == [1, 1]

    async def test_what_an_operator_changes_of_a_list_holds_at_both(self) -> None:
        """Made, filled, emptied, renamed, deleted."""
        await self.provided()
        a, b = self.a, self.b
        made = lists.NumberList(a.identities.allot(), "acme", "no", "block")
        assert await a.lists.create(a.journal, made)
        await a.lists.add(a.journal, made, [HANDSET], 1, "api")
        await self.reaches(b, Reason.BLOCKED)
        await b.lists.remove(b.journal, made, [HANDSET], 2)
        await self.reaches(a, None)
        await a.lists.rename(a.journal, made, "never", 3)
        await until(reactor, lambda: b.lists._lists[made.id].name == "never", "the name")
        await b.lists.add(b.journal, made, [HANDSET], 4, "api")
        await self.reaches(a, Reason.BLOCKED)
        await b.lists.delete(b.journal, made)
        await self.reaches(a, None)
        assert made.id not in a.lists._lists


@pytest.mark.timeout(90)
class MoneyTests(NodesCase):
    """I8: of what an account may spend, and may send, over both nodes."""

    async def accept(self, gateway: Gateway, *messages: Message) -> list[Any]:
        return await gateway.acceptance.accept(Login("acme", "acme", kind="smpp"), [*messages])

    async def test_a_top_up_at_one_node_is_spent_at_the_other(self) -> None:
        """Without a start, without a refusal before, and though nobody asks for its balance there:
        the store tells it."""
        await self.provided(balance="0.01")
        [spent] = await self.accept(self.a, a_message())
        assert isinstance(spent, Message)
        await until(reactor, lambda: not self.b.balances.of("acme") or self.asked(), "it is known")
        # What was asked for is read each second, and would bring the top-up as well.
        balances = self.b.balances
        await until(
            reactor,
            lambda: not (balances.asked or balances._reading or self.b.following.busy),
            "nothing is asked for any more",
        )
        view = await self.a.operator.by("test").top_up("acme", "0.01", "")
        assert not view.error
        await until(reactor, lambda: self.b.balances.of("acme") == 100, "the top-up")
        [outcome] = await self.accept(self.b, a_message("447700900124"))
        assert isinstance(outcome, Message)

    def asked(self) -> bool:
        """Asks what the account has at the other node, as a message does."""
        self.b.balances.funds(self.b.tables.accounts["acme"])
        return False

    async def test_two_nodes_do_not_exceed_a_quota(self) -> None:
        """Both take messages at once: what is accepted is the quota, to the part; the others get
        the quota's refusal."""
        await self.provided(quota_day=50)
        batches = []
        for round in range(20):
            for gateway in (self.a, self.b):
                numbers = range(4479 * 10**8 + round * 10, 4479 * 10**8 + round * 10 + 2)
                batches.append(self.accept(gateway, *(a_message(str(one)) for one in numbers)))
        told = await gatherResults([Deferred.fromCoroutine(one) for one in batches])
        outcomes = [one for batch in told for one in batch]
        accepted = [one for one in outcomes if isinstance(one, Message)]
        refused = {one.reason for one in outcomes if isinstance(one, Refusal)}
        parts = await self.a.journal.run(lambda c: c.execute(select(schema.usage.c.parts)).scalar())
        assert len(accepted) == parts == 50
        assert refused == {Reason.QUOTA_EXCEEDED}


@pytest.mark.timeout(90)
class ElsewhereTests(NodesCase):
    """What a customer does at one node with what it did at the other."""

    async def test_receipts_reach_a_session_at_the_other_node(self) -> None:
        """Design section 7: an ESME bound on node B gets receipts of what it sent on node A."""
        await self.provided()
        sender = await self.esme_at(self.a, "transmitter")
        receiver = await self.esme_at(self.b, "receiver")
        answers = await gatherResults([sender.submit(registered_delivery=1) for _ in range(5)])
        await receiver.delivered(5)
        assert {one.id for one in receiver.receipts} == {
            answer.message_id.decode() for answer in answers
        }

    async def test_a_message_is_asked_for_and_cancelled_at_the_other_node(self) -> None:
        """As it is now, also where it is known as it was."""
        await self.provided()
        login = Login("acme", "acme", kind="smpp")
        later = a_message()
        later.schedule_at = int(self.a.acceptance._now() * 1000) + 3600_000
        [message] = await self.a.acceptance.accept(login, [later])
        assert isinstance(message, Message)
        asked = await self.b.pending.message("acme", message.id)
        assert asked is not None
        assert asked.state == MessageState.ENROUTE
        assert isinstance(await self.b.cancel("acme", message.id), Message)
        known = await self.a.pending.message("acme", message.id)
        assert known is message, "one message is one object"
        assert message.state == MessageState.DELETED
        assert await self.b.pending.message("other", message.id) is None, "I6"

    async def test_who_waits_for_the_carrier_is_told_of_another_nodes_answer(self) -> None:
        """A request that is answered when a carrier has the message, whichever node sends it."""
        await self.provided()
        await self.a.carriers.sides["north"].stop()
        login = Login("acme", "acme", kind="smpp")
        [message] = await self.a.acceptance.accept(login, [a_message()])
        assert isinstance(message, Message)
        await self.a.when_answered(message)
        assert message.acknowledged[0].carrier == "north"

    async def test_numbers_of_sessions_of_33_differ_between_nodes(self) -> None:
        """Two nodes that number messages of one account in the same millisecond."""
        given = [
            one.esmes._submissions.next_alias(1_000_000)
            for one in (self.a, self.b)
            for _ in range(50)
        ]
        assert len(set(given)) == 100


@pytest.mark.timeout(90)
class BindTests(NodesCase):
    """The binds of a login are counted over all nodes (design section 7)."""

    async def status(self, gateway: Gateway, kind: str = "transceiver") -> int:
        """How a bind at this node is answered."""
        esme = await connect(reactor, self.ports[gateway][0])
        self.addCleanup(esme.closed)
        self.addCleanup(esme.close)
        return (await esme.bind(kind, "acme", SECRET)).status

    async def shown(self) -> int:
        """How many sessions operators see, whichever node they ask."""
        self.at(self.b)
        [found] = await self.admin("/admin/accounts")
        return int(found["sessions"])

    async def until_shown(self, count: int) -> None:
        async def reached() -> bool:
            return await self.shown() == count

        await until_asked(reached, f"{count} sessions")

    async def test_a_login_has_as_many_sessions_as_it_may_over_both_nodes(self) -> None:
        """Also if it binds everywhere at once; one that goes makes room, and operators see all."""
        await self.provided()
        first = await self.esme_at(self.a)
        with mock.patch("smsgw.esmes.spread._PROBED_S", 0.0):
            statuses = await gatherResults(
                [
                    Deferred.fromCoroutine(self.status(gateway))
                    for _ in range(3)
                    for gateway in (self.a, self.b)
                ]
            )
        assert sorted(statuses) == [0] * 3 + [Status.ESME_RALYBND] * 3
        assert await self.shown() == 4
        await first.unbind()
        await self.until_shown(3)
        assert await self.status(self.b) == 0

    async def test_a_dead_nodes_sessions_do_not_count(self) -> None:
        """They do while it gives signs of life, and no more once it has been silent for 5 s, long
        before it is declared dead."""
        await self.provided()
        rows = [
            sessions.SessionRow(7, n, "acme", "acme", "standard", "transceiver", "::1", 1)
            for n in range(4)
        ]
        node = nodes.NodeRow(7, "node7", ("smpp",), "1", {}, 0, 0, 7)
        await self.a.journal.run(lambda c: nodes.register(c, node))
        await self.a.journal.run(lambda c: sessions.reconcile(c, 7, rows))
        with mock.patch("smsgw.esmes.spread._PROBED_S", 0.0):
            assert await self.status(self.a) == Status.ESME_RALYBND
            silent = "UPDATE node SET seen_at = seen_at - 5000 WHERE number = 7"
            await self.a.journal.run(lambda c: c.exec_driver_sql(silent))
            assert await self.status(self.a) == 0
        assert 7 in {one.number for one in await self.a.journal.run(nodes.read)}

    async def test_one_that_does_not_answer_makes_room_for_one_at_the_other_node(self) -> None:
        """W-D2: a machine that was cut off sends no FIN; its session is asked, and gone."""
        await self.provided()
        silent = [await self.esme_at(self.a) for _ in range(4)]
        silent[0].answers_enquiries = False
        with (
            mock.patch("smsgw.esmes.binds.PROBE_S", 0.2),
            mock.patch("smsgw.esmes.spread._PROBED_S", 1.5),
        ):
            assert await self.status(self.b) == 0
        assert silent[0].ended_why is not None
        assert silent[1].ended_why is None


@pytest.mark.timeout(90)
class RateTests(NodesCase):
    """What passes in a second is shared among the nodes."""

    async def test_each_node_lets_its_part_of_an_accounts_rate_pass(self) -> None:
        """All of them together as much as the account may send."""
        await self.provided(rate=20)
        both = [one.acceptance for one in (self.a, self.b)]
        await until(reactor, lambda: [x._decisions.share for x in both] == [0.5, 0.5], "halves")
        login = Login("acme", "acme", kind="smpp")
        for acceptance in both:
            acceptance._now = lambda: 1_000_000_000.0
            numbers = [a_message(str(447700900200 + n)) for n in range(20)]
            outcomes = await acceptance.accept(login, numbers)
            assert sum(isinstance(one, Message) for one in outcomes) == 10
            reasons = {one.reason for one in outcomes if isinstance(one, Refusal)}
            assert reasons == {Reason.THROTTLED}

    async def test_a_carriers_rate_goes_with_its_links(self) -> None:
        """As much as a node has of the links that are up."""
        self.north = north = await self.smsc()
        self.at(self.a)
        await self.apply(account(), carrier("north", north.port, binds=2, rate=10), route("north"))
        await until(reactor, self.linked, "both nodes have a link up")
        sides = [one.carriers.sides["north"] for one in (self.a, self.b)]
        await until(reactor, lambda: [one.bucket.rate for one in sides] == [5, 5], "halves")
