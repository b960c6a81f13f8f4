"""Early receipts, and roles, over two nodes on one store."""

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.error import ConnectionRefusedError as Refused

from smsgw.flow import waiting
from smsgw.flow.settle import Settlement
from smsgw.login import Login
from smsgw.message import Message, MessageState, Receipt
from smsgw.queues import Entry, Kind, Transaction
from smsgw.service import Gateway
from smsgw.store import schema
from tests import postgresql
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, account, carrier, route
from tests.queues.brokers import MemoryBroker
from tests.running import free_ports
from tests.service.nodes import NodesCase

UNDELIVERED = Receipt(id="7", state=int(MessageState.UNDELIVERABLE))


@pytest.mark.timeout(90)
class EarlyTests(NodesCase):
    """A carrier's answer comes to one node, and the receipt came to another one before it."""

    async def provided(self, *more: str, **settings: Any) -> None:
        """What south does not deliver goes to west; nobody listens there."""
        ports = free_ports(2)
        self.at(self.a)
        await self.apply(
            account(),
            *[carrier(name, port) for name, port in zip(("south", "west"), ports, strict=True)],
            route("south", "west") + "failover_undelivered = true\n",
        )
        await until(reactor, lambda: self.b.tables.version == 1, "the provisioning")

    async def accepted(self) -> tuple[Message, Entry]:
        """A message, and its entry, which ``a`` has."""
        sms = Message(source=NUMBER, destination=HANDSET, parts=[b"hello"])
        sms.registered_delivery = 1
        login = Login("acme", "acme", kind="smpp")
        [message] = await self.a.acceptance.accept(login, [sms])
        assert isinstance(message, Message)
        messages, rows = await self.a.journal.run(lambda c: waiting.near(c, message.id))
        known = self.a.known.adopt(messages)
        [entry] = await self.a.queues.claim([(row, known[row.message]) for row in rows])
        return message, entry

    async def taken(self, entry: Entry) -> None:
        """South has taken it, under the id of the receipt."""
        transaction = Transaction()
        self.a.settlement.taken(entry, "south", b"7", transaction, 1)
        await self.a.settlement.persist(transaction)

    async def sent_on(self, message: Message) -> list[str]:
        """The queues in which it waits to be sent."""
        q = schema.queue.c
        query = select(q.queue).where(q.message == message.id, q.kind == int(Kind.SEND))
        return await self.b.journal.run(lambda c: list(c.execute(query).scalars()))

    async def early(self) -> list[str]:
        """The ids of early receipts in the store."""
        query = select(schema.early_receipt.c.carrier_id)
        return await self.b.journal.run(lambda c: list(c.execute(query).scalars()))

    async def test_of_two_nodes_that_know_a_receipt_one_matches_it(self) -> None:
        """I2, I3: what follows from it follows once, and both know that it is done."""
        await self.provided()
        message, entry = await self.accepted()
        assert await self.b.receipts.receive("south", [UNDELIVERED])
        with mock.patch.object(self.a.awaited, "expect", return_value=None):
            await self.taken(entry)
        both = (self.a, self.b)
        held = self.gate(both)
        await self.a.receipts.adopt()
        looks = [Deferred.fromCoroutine(one.receipts.look_again()) for one in both]
        await until(reactor, lambda: len(held) == 2, "both have found what it is of")
        for one in held:
            one()
        await gatherResults(looks)
        assert await self.sent_on(message) == ["carrier:west"]
        assert await self.early() == []
        assert [one.awaited.early for one in both] == [0, 0]

    def gate(self, gateways: tuple[Gateway, ...]) -> "list[Any]":
        """What they would store waits until it is called."""
        held: list[Any] = []
        for gateway in gateways:
            settlement: Settlement = gateway.settlement
            commit = settlement.commit

            def later(transaction: Transaction, commit: Any = commit) -> "Deferred[None]":
                done: Deferred[None] = Deferred()
                held.append(lambda: commit(transaction).chainDeferred(done))
                return done

            self.patch(settlement, "commit", later)
        return held

    async def test_those_of_a_node_that_ends_are_known_to_another(self) -> None:
        """At once, not when some node starts: the answer finds them."""
        await self.provided()
        message, entry = await self.accepted()
        assert await self.b.receipts.receive("south", [UNDELIVERED])
        assert self.a.awaited.early == 0
        assert self.a.registry is not None
        assert self.b.registry is not None
        await self.b.registry.stop()
        await until(reactor, lambda: self.a.awaited.early == 1, "the receipt at the other node")
        await self.taken(entry)
        assert await self.sent_on(message) == ["carrier:west"]
        assert await self.early() == []

    async def test_what_another_node_matched_is_forgotten(self) -> None:
        """An id that a carrier gives again later is not taken for it."""
        await self.provided()
        assert await self.b.receipts.receive("south", [UNDELIVERED])
        await self.a.receipts.adopt()
        _, entry = await self.accepted()
        await self.taken(entry)
        await self.b.receipts.review()
        assert self.b.awaited.early == 0


@pytest.mark.timeout(90)
class RolesTests(NodesCase):
    """Issue 7: ``a`` has the edges, ``b`` everything else."""

    async def setUp(self) -> None:
        self.url = postgresql.a_database(self)
        self.folder = Path(temporary_folder(self))
        self.broker = MemoryBroker()
        self.ports = {}
        self.a = await self.node(0, ["smpp", "http"])
        self.b = await self.node(1, ["carriers", "handover", "scheduler"])
        self.at(self.a)

    def linked(self) -> bool:
        """Only one of them connects to carriers."""
        return (self.links(self.a), self.links(self.b)) == ([], [True, True])

    async def test_a_message_goes_from_an_edge_to_a_carrier_and_its_receipt_back(self) -> None:
        """The edge knows that the carrier is up, and has no link of its own."""
        await self.provided()
        registry = self.a.registry
        assert registry is not None
        await until(reactor, lambda: registry.is_up("north"), "the link is told")
        esme = await self.esme_at(self.a)
        answer = await esme.submit(registered_delivery=1)
        assert answer.status == 0
        await esme.delivered(1)
        assert [one.id for one in esme.receipts] == [answer.message_id.decode()]
        with pytest.raises(Refused):
            await self.esme_at(self.b)
