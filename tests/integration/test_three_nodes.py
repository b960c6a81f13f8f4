"""Three nodes on one RabbitMQ and one PostgreSQL, ended in every way under load: nothing
acknowledged is lost, little is sent twice (I1, I2, I3, I8)."""

from unittest import SkipTest

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from smsgw.smpp.constants import Status
from tests.amqp.rabbitmq import a_broker
from tests.integration.books import until
from tests.integration.scene import until_asked
from tests.integration.three_nodes import NODES, ThreeNodes
from tests.postgresql import Postgresql, installed

rabbit = pytest.fixture(scope="module")(a_broker)


@pytest.mark.timeout(240)
class KillsTest(ThreeNodes):
    """Everything is killed, with a PostgreSQL of their own that writes to the disk in earnest."""

    # Carriers are asked to bring theirs again.
    mo_refusable = frozenset({int(Status.ESME_RX_T_APPN)})

    def database(self) -> str:
        """See ``ThreeNodes``."""
        if not installed():
            raise SkipTest("postgresql or psycopg is not installed")
        self.server = Postgresql(fsync=True)
        self.addCleanup(self.server.remove)
        self.server.start()
        self.server.sql("CREATE DATABASE smsgw")
        return self.server.url("smsgw")

    async def test_each_node_and_what_they_share_are_killed_under_load(self) -> None:
        """First the nodes, then the broker, then PostgreSQL; all of it starts again."""
        await self.begin()
        await self.nodes_are_killed()
        await self.broker_is_killed()
        await self.postgresql_is_killed()
        await self.settle_all()

    async def nodes_are_killed(self) -> None:
        """The first stays dead: the others give out what it had, and one of them binds to the
        carrier that takes one bind. Then each of the others is killed and starts again at once."""
        holder = await self.holder()
        other = (holder + 1) % NODES
        await self.load()
        self.nodes[holder].kill()
        await self.ended(holder)
        await self.until_dead(holder, other)
        await until(reactor, self.south_is_bound, "the bind of another node")
        await self.load()
        await self.start_node(holder)
        for number in (other, (holder + 2) % NODES):
            await self.load()
            self.nodes[number].kill()
            await self.ended(number)
            await self.start_node(number)
        assert not self.books.mo_refused, self.told([f"refused: {self.books.mo_refused}"])

    async def broker_is_killed(self) -> None:
        """Messages are accepted without it, and nothing is sent twice."""
        await self.load()
        await deferToThread(self.rabbit.kill)
        await self.load()
        self.rest()
        await deferToThread(self.rabbit.start)
        await self.load()
        assert not self.books.refused, self.told([f"refused: {self.books.refused}"])

    async def postgresql_is_killed(self) -> None:
        """No node ends, and nothing is sent twice."""
        run = self.books.run
        self.server.kill()
        self.rest()
        for number in range(NODES):
            await until_asked(lambda n=number: self.is_ill(n), f"node {number} to tell it")
        await deferToThread(self.server.start)
        await self.load()
        assert self.books.refused.keys() <= {Status.ESME_RSYSERR}, self.told([])
        assert self.books.run == run

    async def is_ill(self, number: int) -> bool:
        """True once a node's health is bad."""
        status, _ = await deferToThread(self.nodes[number].admin, "/health")
        return status == 503


@pytest.mark.timeout(240)
class RestartTest(ThreeNodes):
    """Nodes end in order."""

    async def test_a_rolling_restart_under_load(self) -> None:
        """SIGTERM to one node after the other: each ends with 0, and nothing is sent twice."""
        await self.begin()
        for number in range(NODES):
            await self.load()
            await self.stop_node(number)
            await self.start_node(number)
        assert self.books.refused.keys() <= {Status.ESME_RSYSERR}, self.told([])
        await self.settle_all()
        assert not self.books.sent_twice(0), self.told(self.books.sent_twice(0))
        assert not self.mms.books.forwarded_twice(0), self.told(self.mms.books.forwarded_twice(0))
