"""Nodes that stand still, or are cut off from the store or the broker, under load: nothing
acknowledged is lost, little is sent twice (I1, I2, I3, I8)."""

import os
import signal

import pytest
from sqlalchemy import make_url
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.smpp.constants import Status
from tests.amqp.rabbitmq import a_broker
from tests.integration.scene import until_asked
from tests.integration.three_nodes import ThreeNodes
from tests.passing import Passing

rabbit = pytest.fixture(scope="module")(a_broker)


@pytest.mark.timeout(240)
class PauseTest(ThreeNodes):
    """Node 2 stands still."""

    # The store takes nothing from a node that is declared dead: what it brings is tried again.
    mo_refusable = frozenset({int(Status.ESME_RX_T_APPN)})

    async def test_a_node_that_is_paused_is_declared_dead_and_ends(self) -> None:
        """What it held is another's by the time it goes on: it writes nothing more, and ends."""
        await self.begin()
        await self.load()
        pid = self.nodes[2].pid
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        self.rest()
        await self.all_read()
        self.books.run += 1  # what had no answer is sent twice (I2)
        self.mms.books.finishing = True
        await self.until_dead(2, at=0)
        os.kill(pid, signal.SIGCONT)
        await self.has_ended(2)
        await self.start_node(2)
        await self.load()
        await self.settle_all()


@pytest.mark.timeout(240)
class PartitionTest(ThreeNodes):
    """Node 1 reaches PostgreSQL, and node 2 RabbitMQ, through networks that can be cut."""

    mo_refusable = PauseTest.mo_refusable

    async def lay_networks(self) -> None:
        """See ``ThreeNodes``."""
        await super().lay_networks()
        self.to_store, self.to_broker = Passing(), Passing()
        for network, port in (
            (self.to_store, make_url(self.url).port),
            (self.to_broker, self.rabbit.port),
        ):
            assert port is not None
            network.to = port
            await network.start()
            self.addCleanup(lambda n=network: Deferred.fromCoroutine(n.stop()))
        store = make_url(self.url).set(port=self.to_store.port)
        self.urls[1] = store.render_as_string(hide_password=False)
        self.brokers[2] = self.broker.replace(f":{self.rabbit.port}/", f":{self.to_broker.port}/")

    async def test_nodes_are_cut_off_from_the_store_and_the_broker_under_load(self) -> None:
        """Nothing passes for a while, and nobody is told. The one without the store is declared
        dead, and ends when it finds that out; the one without the broker goes on afterwards."""
        await self.begin()
        await self.load()
        self.to_store.part()
        await self.to_store.swallowed
        self.to_broker.part()
        self.rest()
        # It has been round once more since the store answered it the last time: it sends nothing
        # from now on, as it settles nothing, and what had no answer is sent twice (I2).
        await deferToThread(self.nodes[1].admin, "/health")
        await self.all_read()
        self.books.run += 1
        self.mms.books.finishing = True
        await self.until_dead(1, at=0)

        async def missed() -> bool:
            status, _ = await deferToThread(self.nodes[2].admin, "/health/ready")
            return status == 503

        await until_asked(missed, "the second knows that the broker is away")
        cut_off = self.bound.pop(1)
        await self.load()
        self.rest()
        self.bound[1] = cut_off
        self.to_store.join()
        self.to_broker.join()
        await self.has_ended(1)
        await self.start_node(1)
        await self.load()
        await self.settle_all()
