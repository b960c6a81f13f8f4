"""Gateways of several nodes in the test's own process, on one store and one broker in memory."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.defer import succeed

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.config.sections import ROLES, Broker, Node, Store
from smsgw.service import Gateway
from smsgw.store.database import close_store, open_store
from smsgw.testing.esme import Esme
from tests import postgresql
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.scene import Scene, account, carrier, route
from tests.journeys.gateway import on_loopback
from tests.queues.brokers import MemoryBroker, MemoryWire
from tests.running import free_ports


class Wire(MemoryWire):
    """As a gateway has it."""

    reason = ""
    blocked = False
    unconfirmed = 0

    def start(self) -> None:
        """It is connected."""
        if self.told is not None:
            self.told.go()

    def stop(self) -> Any:
        """The node lets go of the broker."""
        self.end()
        return succeed(None)


class NodesCase(Scene):
    """Tests of two gateways, ``a`` and ``b``; ``smpp_port`` and the others are of one at a time."""

    timeout = 60

    async def setUp(self) -> None:
        self.url = postgresql.a_database(self)
        self.folder = Path(temporary_folder(self))
        self.broker = MemoryBroker()
        self.ports: dict[Gateway, list[int]] = {}
        self.a = await self.node(0)
        self.b = await self.node(1)
        self.at(self.a)

    async def node(self, number: int, roles: Sequence[str] = ROLES, **more: Any) -> Gateway:
        """A gateway that runs until the test ends."""
        ports = free_ports(3)
        config = Config(
            node=Node(name=f"node{number}", number=number, roles=[*roles]),
            store=Store(url=self.url),
            broker=Broker(url="amqp://127.0.0.1/"),
            smpp=Smpp(listen=[SmppListener(on_loopback(ports[0]))]),
            http=Http(listen=[on_loopback(ports[1])], admin=[on_loopback(ports[2])]),
            **more,
        )
        # The key of secrets and the media are beside the store, the same for all nodes.
        engine = open_store(self.url, self.folder, f"node {number}")
        self.addCleanup(close_store, engine)
        with mock.patch("smsgw.service.parts.BrokerWire", return_value=Wire(self.broker)):
            gateway = Gateway(config, engine, reactor)
        gateway.startService()
        self.addCleanup(gateway.stopService)
        await gateway.ready
        self.ports[gateway] = ports
        return gateway

    def links(self, gateway: Gateway) -> list[bool]:
        """Which links of carrier ``north`` a node has: for each whether it is up."""
        side = gateway.carriers.sides.get("north")
        return [link.up for link in side.links] if side is not None else []

    def at(self, gateway: Gateway) -> None:
        """What the test does next it does at this node."""
        self.smpp_port, self.http_port, self.admin_port = self.ports[gateway]

    async def esme_at(self, gateway: Gateway, kind: str = "transceiver") -> Esme:
        """A bound ESME of acme's."""
        self.at(gateway)
        return await self.esme(kind=kind)

    async def provided(self, *more: str, **settings: Any) -> None:
        """An account, carrier ``north`` and a route, in force at both nodes."""
        north = await self.smsc()
        self.north = north
        # Two binds: each node has one of them.
        parts = [account(**settings), carrier("north", north.port, binds=2), route("north"), *more]
        self.at(self.a)
        await self.apply(*parts)
        await until(reactor, self.linked, "both nodes have a link up")

    def linked(self) -> bool:
        """True if each node has one link to ``north``, and no other one is ending."""
        links = [self.links(one) for one in (self.a, self.b)]
        return links == [[True], [True]] and len(self.north.smsc.sessions) == 2
