"""Three gateway processes on one RabbitMQ and one PostgreSQL, a client with a session at each, and
carriers."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests import postgresql
from tests.amqp.rabbitmq import RabbitMq, installed
from tests.folders import temporary_folder
from tests.integration.books import POLL_S, BookedEsme, until
from tests.integration.scene import until_asked
from tests.integration.test_kill import WINDOW, KillCase
from tests.integration.test_kill_broker import on_broker
from tests.running import GatewayProcess

NODES = 3
MOST = 300  # acknowledged messages of one load, at most: three nodes share this machine
MO_S = 0.1  # between texts from handsets


def a_broker() -> Iterator[RabbitMq]:
    """A fixture: a broker for the nodes of a module."""
    if not installed():
        pytest.skip("rabbitmq-server is not installed")
    found = RabbitMq()
    try:
        found.start()
        yield found
    finally:
        found.remove()


class ThreeNodes(KillCase):
    """Nodes 0, 1 and 2, each with a session of the client that loads it."""

    @pytest.fixture(autouse=True)
    def _on_a_broker(self, rabbit: RabbitMq) -> None:
        self.rabbit = rabbit

    async def begin(self) -> None:
        """All nodes are there, and the carrier's links are up."""
        self.url = postgresql.a_database(self)
        self.beside = temporary_folder(self)
        self.broker = on_broker(self.rabbit, "nodes")
        await self.lay_networks()
        self.nodes: list[GatewayProcess] = []
        self.bound: dict[int, BookedEsme] = {}
        await super().begin()
        for _ in range(1, NODES):
            node = self.process(Path(temporary_folder(self)))
            self.addCleanup(node.kill)
            await deferToThread(node.start)
        for number in range(NODES):
            await self.bind_to(number)
        self.mo.interval = MO_S

    async def lay_networks(self) -> None:
        """Nodes reach the store and the broker directly, if nothing else is said."""
        self.urls: dict[int, str] = {}  # of the store, by node
        self.brokers: dict[int, str] = {}  # configuration, by node

    def process(self, folder: Path) -> GatewayProcess:
        """The next node."""
        number = len(self.nodes)
        node = GatewayProcess(folder, self.brokers.get(number, self.broker))
        text = node.config.read_text()
        sqlite = f'url = "sqlite:///{folder}/smsgw.db"'
        here = f'url = "{self.urls.get(number, self.url)}"\nfolder = "{self.beside}"'
        text = text.replace(sqlite, here).replace('"test"', f'"n{number}"\nnumber = {number}')
        node.config.write_text(text)
        self.nodes.append(node)
        return node

    def store(self) -> str:
        """For ``stores``."""
        return self.url

    async def bind(self, loading: bool = True) -> None:
        """Sessions are bound once all nodes are there."""

    async def bind_to(self, number: int) -> None:
        """The client binds at a node, and loads it."""
        esme = BookedEsme(self.books, WINDOW)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.nodes[number].smpp_port)
        await connectProtocol(endpoint, esme)
        self.esmes.append(esme)
        answer = await esme.bind(system_id="acme", password="secret12")
        assert answer.status == 0, answer
        self.bound[number] = esme

    async def ended(self, number: int) -> None:
        """The session of a node that has ended is closed; the next run begins."""
        self.rest()
        await self.bound.pop(number).closed()
        # What it had written to carriers is here, and is read in the same turn, if not before.
        await deferLater(reactor, 0)
        self.books.run += 1

    async def stop_node(self, number: int) -> None:
        """A node ends in order, while the others are loaded some more."""
        stopping = deferToThread(self.nodes[number].stop)
        goal = len(self.books.acknowledged) + MOST
        await until(
            reactor,
            lambda: stopping.called or len(self.books.acknowledged) >= goal,
            "acknowledgements of the other nodes",
        )
        self.rest()
        assert await stopping == 0, self.nodes[number].output
        await self.ended(number)

    def rest(self) -> None:
        """No more load for now: what comes in while others are waited for is to be bounded."""
        self.smsc.script.answer_delay_s = 0.0
        for esme in self.esmes:
            esme.loading = False

    async def load(self) -> None:
        """Every session that is bound loads, until some more messages are acknowledged."""
        self.smsc.script.answer_delay_s = self.random.choice((0.0, 0.005, 0.03))
        goal = len(self.books.acknowledged) + self.random.randint(1, MOST)
        for esme in self.bound.values():
            esme.loading = True
            esme.fill()
        await until(reactor, lambda: len(self.books.acknowledged) >= goal, "acknowledgements")

    async def start_node(self, number: int) -> None:
        """A node starts again, and the client binds to it."""
        await deferToThread(self.nodes[number].start)
        await self.bind_to(number)

    async def nodes_at(self, number: int) -> dict[int, dict[str, object]]:
        """The nodes that live, as one of them knows them."""
        status, body = await deferToThread(self.nodes[number].admin, "/admin/nodes")
        assert status == 200, body
        return {one["number"]: one for one in json.loads(body)}

    async def holder(self) -> int:
        """The node that has the carrier of one bind."""
        found: list[int] = []

        async def told() -> bool:
            nodes = await self.nodes_at(0)
            found[:] = [n for n, one in nodes.items() if "south" in one["links"]]
            return len(found) == 1

        await until_asked(told, "a node with the carrier that takes one bind")
        return found[0]

    async def until_dead(self, number: int, at: int) -> None:
        """A node has been declared dead."""

        async def gone() -> bool:
            return number not in await self.nodes_at(at)

        await until_asked(gone, f"the end of node {number}")

    async def settle_all(self) -> None:
        """The other nodes end in order once nothing waits; what was said must hold."""
        await until(reactor, self.south_is_bound, "a bind of the carrier with one")
        self.rest()
        deadline = reactor.seconds() + self.last_s
        while not self.at_rest():
            if reactor.seconds() > deadline:
                self.fail(self.told([f"queues: {await self.queues()}", *self.books.missing()]))
            await deferLater(reactor, POLL_S)
        for node in self.nodes[1:]:
            assert await deferToThread(node.stop) == 0
        await self.settle()

    def south_is_bound(self) -> bool:
        """The carrier that takes one bind has it."""
        return len(self.south.sessions) == 1

    async def has_ended(self, number: int) -> None:
        """A node that finds out that it was declared dead ends by itself."""
        await self.ended(number)
        code = await deferToThread(self.nodes[number]._wait, 30.0)
        assert code == 1, self.nodes[number].output
        assert "was declared dead by another one" in self.nodes[number].output
        self.nodes[number].kill()
