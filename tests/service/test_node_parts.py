"""Two nodes on one store: messages of which the parts, or the receipts, come to both."""

from typing import Any
from unittest import mock

import pytest
from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from smsgw.flow import waiting
from smsgw.flow.others import Others
from smsgw.login import Login
from smsgw.message import Message, MessageState, Receipt
from smsgw.queues import Entry, Kind, Transaction
from smsgw.service import Gateway
from smsgw.smpp.pdu import DeliverSm
from smsgw.store import complete, records, schema
from smsgw.testing.messages import mobile_originated
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, account, carrier, route, until_asked
from tests.running import free_ports
from tests.service.nodes import NodesCase


class SentCase(NodesCase):
    """A message that both nodes know, to a carrier that is told what to say."""

    async def sent(self, *octets: bytes, at: "tuple[Gateway, ...] | None" = None) -> Message:
        """A message, of two parts if nothing else is said, of which each node has sent one."""
        if not self.a.tables.version:
            (nobody,) = free_ports(1)
            self.at(self.a)
            money = account(balance="1.00", refund=["undelivered"])
            await self.apply(money, carrier("south", nobody), route("south"))
            await until(reactor, lambda: self.b.tables.version == 1, "the provisioning")
        long = Message(source=NUMBER, destination=HANDSET, parts=[])
        long.parts, long.registered_delivery, long.interface = [*octets] or [b"x" * 200], 1, "smpp"
        [message] = await self.a.acceptance.accept(Login("acme", "acme", kind="smpp"), [long])
        assert isinstance(message, Message)
        for part, gateway in enumerate(at or (self.a, self.b)):
            entry = await self.claimed(gateway, message.id, part)
            transaction = Transaction()
            gateway.settlement.taken(entry, "south", b"%d" % part, transaction, 1)
            await gateway.settlement.persist(transaction)
        return message

    async def claimed(self, gateway: Gateway, id: int, part: int) -> Entry:
        messages, rows = await gateway.journal.run(lambda c: waiting.near(c, id))
        known = gateway.known.adopt(messages)
        wanted = [(row, known[row.message]) for row in rows if row.part == part]
        [entry] = await gateway.queues.claim(wanted)
        return entry

    async def stored(self, id: int) -> "tuple[int, int, int]":
        """Its state, how many entries hand its receipt over, and how often it was refunded."""
        m, q, c = schema.message.c, schema.queue.c, schema.ledger.c
        return await self.a.journal.run(
            lambda connection: (
                connection.execute(select(m.state).where(m.id == id)).scalar_one(),
                len(connection.execute(select(q.id).where(q.kind == Kind.RECEIPT)).all()),
                len(connection.execute(select(c.id).where(c.amount > 0, c.message == id)).all()),
            )
        )


@pytest.mark.timeout(90)
class PartTests(SentCase):
    """I3, I8: a long message whose parts end at different nodes ends once."""

    async def told(self, state: MessageState) -> None:
        """Each node gets the receipt of what it sent, both at once."""
        waiting = []
        for part, gateway in enumerate((self.a, self.b)):
            receipt = Receipt(id=str(part), state=int(state))
            waiting.append(gateway.receipts.receive("south", [receipt]))
        assert await gatherResults(waiting) == [True, True]

    async def calm(self, message: Message) -> None:
        """Nothing is being looked at any more, at either node."""
        others = [gateway.settlement.others for gateway in (self.a, self.b)]
        await until(
            reactor,
            lambda: all(not (one._busy or one._wanted) for one in others if one is not None),
            "both have looked",
        )

    async def test_it_is_delivered_once(self) -> None:
        """One receipt, whichever of the nodes was the last; both know it then."""
        message = await self.sent()
        await self.told(MessageState.DELIVERED)
        await self.calm(message)
        assert await self.stored(message.id) == (MessageState.DELIVERED, 1, 0)
        for gateway in (self.a, self.b):
            found = await gateway.pending.message("acme", message.id)
            assert found is not None
            assert found.state == MessageState.DELIVERED

    async def test_it_is_given_back_once(self) -> None:
        """I8: neither refund nor receipt is doubled."""
        message = await self.sent()
        await self.told(MessageState.UNDELIVERABLE)
        await self.calm(message)
        state, receipts, refunds = await self.stored(message.id)
        assert (state, receipts, refunds) == (MessageState.UNDELIVERABLE, 1, 1)

    async def test_what_a_killed_node_did_not_come_to_is_ended_by_another(self) -> None:
        """I1: each part's end is durable and acknowledged, and nobody has ended the message."""
        with mock.patch.object(Others, "_go"):
            message = await self.sent()
            await self.told(MessageState.DELIVERED)
        assert await self.stored(message.id) == (MessageState.ENROUTE, 0, 0)
        others = self.a.settlement.others
        assert others is not None
        await others.review()
        assert (await self.stored(message.id))[1] == 0, "its node may be about to end it"
        await others.review()
        assert await self.stored(message.id) == (MessageState.DELIVERED, 1, 0)
        assert await self.a.journal.run(complete.waiting) == set()


@pytest.mark.timeout(90)
class RepeatTests(SentCase):
    """I3, I8: what a carrier says of a message to one node, and again, or otherwise, to another
    one whose copy is older."""

    async def heard(self, gateway: Gateway, state: MessageState, **more: Any) -> None:
        """The carrier says this of the message to a node."""
        receipt = Receipt(id="0", state=int(state), **more)
        assert await gateway.receipts.receive("south", [receipt])

    async def test_a_receipt_that_comes_to_both_counts_once(self) -> None:
        """At once or later: one receipt is handed over and one refund given."""
        for wait in (False, True):
            message = await self.sent(b"short", at=(self.b,))
            first = Deferred.fromCoroutine(self.heard(self.a, MessageState.UNDELIVERABLE))
            if wait:
                await first
            await self.heard(self.b, MessageState.UNDELIVERABLE)
            await first
            assert await self.stored(message.id) == (MessageState.UNDELIVERABLE, 1 + wait, 1)
            for gateway in (self.a, self.b):
                assert gateway.known.known[message.id].state == MessageState.UNDELIVERABLE

    async def test_a_final_state_stays(self) -> None:
        """Whatever the carrier says afterwards."""
        message = await self.sent(b"short", at=(self.b,))
        stale = await self.b.pending.message("acme", message.id)
        await self.heard(self.a, MessageState.DELIVERED)
        assert stale.state == MessageState.ENROUTE
        await self.heard(self.b, MessageState.ACCEPTED, intermediate=True)
        await self.heard(self.b, MessageState.UNDELIVERABLE)
        assert await self.stored(message.id) == (MessageState.DELIVERED, 1, 0)
        assert stale.state == MessageState.DELIVERED

    async def test_a_read_reply_to_one_node_leaves_the_state_that_another_gave(self) -> None:
        """At the same moment: what it knows of the message is older."""
        message = await self.sent(b"short", at=(self.b,))
        stale = await self.b.pending.message("acme", message.id)
        await self.heard(self.a, MessageState.DELIVERED)
        assert stale.state == MessageState.ENROUTE
        stale.kind = "mms"  # of no other anybody says that it was read
        transaction = Transaction()
        self.b.settlement.read(stale, 5_000, transaction)
        await self.b.settlement.persist(transaction)
        [stored] = await self.a.journal.run(lambda c: records.read(c, [message.id]))
        assert (stored.state, stored.read_at) == (MessageState.DELIVERED, 5_000)


@pytest.mark.timeout(90)
class JoinTests(NodesCase):
    """A-D11: parts of a long MO that come to different nodes become one message."""

    async def parts(self) -> "list[DeliverSm]":
        """The parts of a text to a number with a keyword."""
        self.at(self.a)
        await self.apply(account() + 'keyword = "INFO"\n')
        await until(reactor, lambda: self.b.tables.version == 1, "the provisioning")
        return mobile_originated(HANDSET, NUMBER, "INFO ".ljust(320, "x"), 7)

    async def takes(self, gateway: Gateway, pdu: DeliverSm) -> None:
        """A node gets a part over its link."""
        [answer] = await gateway.inbound.receive("north", [pdu])
        assert answer.status == 0

    async def received(self) -> "list[int]":
        """The lengths of all MO that are in the store."""
        read = select(schema.message.c.id).where(schema.message.c.direction == 1)
        ids = await self.a.journal.run(lambda c: [*c.execute(read).scalars()])
        stored = await self.a.journal.run(lambda c: records.read(c, ids))
        return [len(one.parts[0]) for one in stored]

    async def settled(self) -> None:
        """No part waits any more, in the store or at a node."""

        async def none() -> bool:
            read = select(schema.segment.c.id)
            if await self.a.journal.run(lambda c: c.execute(read).all()):
                return False
            # Who was second to join them has them back until it is told: each is asked when all
            # that it had under way has ended.
            await self.b.journal.run(lambda c: None)
            return [one.inbound.joining.waiting for one in (self.a, self.b)] == [0, 0]

        await until_asked(none, "all parts are joined")

    async def test_it_is_joined_once(self) -> None:
        """Of three parts each node has one at least; one comes to both of them, and one again, to
        its own node, when all is done."""
        first, second, third = await self.parts()
        await self.takes(self.a, first)
        await self.takes(self.b, first)
        await self.takes(self.b, second)
        await self.takes(self.a, third)
        await self.settled()
        assert await self.received() == [320]
        await self.takes(self.a, third)
        await self.settled()
        assert await self.received() == [320]

    async def test_it_is_joined_once_by_nodes_that_do_it_at_once(self) -> None:
        """Who is second finds the parts gone, and takes what comes again for a repeat."""
        first, second, third = await self.parts()
        await self.takes(self.a, first)
        await self.takes(self.b, second)
        await self.takes(self.a, third)
        nodes = (self.a, self.b)
        await gatherResults([Deferred.fromCoroutine(n.inbound.follow(n.journal)) for n in nodes])
        await self.settled()
        await self.takes(self.a, third)
        await self.takes(self.b, second)
        await self.settled()
        assert await self.received() == [320]
