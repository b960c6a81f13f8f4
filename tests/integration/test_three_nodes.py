"""Three nodes on one RabbitMQ and one PostgreSQL, ended in every way under load: nothing
acknowledged is lost, little is sent twice (I1, I2, I3, I8)."""

import pytest
from twisted.internet import reactor

from smsgw.smpp.constants import Status
from tests.integration.books import until
from tests.integration.three_nodes import NODES, ThreeNodes, a_broker

rabbit = pytest.fixture(scope="module")(a_broker)


@pytest.mark.timeout(240)
class ThreeNodesTest(ThreeNodes):
    """Nodes end in every way."""

    async def test_each_node_is_killed_under_load(self) -> None:
        """The first stays dead: the others give out what it had, and one of them binds to the
        carrier that takes one bind. Then each of the others is killed and starts again at once."""
        await self.begin()
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
        await self.settle_all()

    async def test_a_rolling_restart_under_load(self) -> None:
        """SIGTERM to one node after the other: each ends with 0, and nothing is sent twice."""
        await self.begin()
        for number in range(NODES):
            await self.load()
            await self.stop_node(number)
            await self.start_node(number)
        assert self.books.refused.keys() <= {Status.ESME_RSYSERR}, self.told([])
        assert not self.books.sent_twice(0), self.told(self.books.sent_twice(0))
        await self.settle_all()
