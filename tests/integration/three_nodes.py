"""Three gateway processes on one RabbitMQ and one PostgreSQL, a client with a session at each that
sends by REST too, a customer with an MMSC, and carriers."""

import json
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from tests import postgresql
from tests.amqp.rabbitmq import RabbitMq
from tests.folders import temporary_folder
from tests.integration.books import POLL_S, BookedEsme, until
from tests.integration.mms import DOMAIN, BookedMms
from tests.integration.scene import until_asked
from tests.integration.test_kill import WINDOW, KillCase
from tests.integration.test_kill_broker import on_broker
from tests.integration.web import BookedCallbacks, BookedWeb
from tests.running import GatewayProcess, free_ports

NODES = 3
MOST = 300  # acknowledged messages of one load, at most: three nodes share this machine
MO_S = 0.1  # between texts from handsets
REQUESTS = 6  # by REST at a time
TURNS = 5  # of the reactor, in which all that a node wrote before it ended is read
HTTP_LOGIN = """\
[[account.credential]]
kind = "http"
username = "acme"
password = "secret12"
allow = ["127.0.0.0/8"]
"""
MAIL = f"""\
[smtp]
listen = ["tcp:{{port}}:interface=127.0.0.1"]
domains = {{{{ mm4 = "{DOMAIN}" }}}}
peer_connections = 500
"""


class ThreeNodes(KillCase):
    """Nodes 0, 1 and 2, each with a session of the client that loads it."""

    @pytest.fixture(autouse=True)
    def _on_a_broker(self, rabbit: RabbitMq) -> None:
        self.rabbit = rabbit

    async def begin(self) -> None:
        """All nodes are there, and the carrier's links are up."""
        self.url = self.database()
        self.beside = temporary_folder(self)
        self.broker = on_broker(self.rabbit, "nodes")
        await self.lay_networks()
        self.nodes: list[GatewayProcess] = []
        self.bound: dict[int, BookedEsme] = {}
        await super().begin()
        others = [self.process(Path(temporary_folder(self))) for _ in range(1, NODES)]
        for node in others:
            self.addCleanup(node.kill)
        await gatherResults([deferToThread(node.start) for node in others])
        ports = [node.http_port for node in self.nodes]
        self.web = BookedWeb(reactor, self.books, ports, REQUESTS)
        self.addCleanup(self.web.stop)
        for number in range(NODES):
            await self.bind_to(number)
        self.mo.interval = MO_S

    def database(self) -> str:
        """The URL of the store."""
        return postgresql.a_database(self)

    async def listen(self) -> None:
        """The client listens for callbacks."""
        self.callbacks = BookedCallbacks(reactor, self.books)
        self.callback_port = await self.callbacks.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.callbacks.stop()))
        self.mail_ports = free_ports(NODES)
        self.mms = BookedMms(reactor, self.books, self.mail_ports)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.mms.stop()))
        self.mms_provisioning = await self.mms.start()

    def provisioning(self, north: int, south: int) -> str:
        """See ``KillCase``."""
        named = '[[account]]\nname = "acme"\n'
        callback = f'callback = "http://127.0.0.1:{self.callback_port}/receipts"\n'
        text = super().provisioning(north, south)
        return text.replace(named, f"{named}{callback}{HTTP_LOGIN}") + self.mms_provisioning

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
        private = "[aerialink]\nallow_private_callbacks = true\n"
        text = text.replace("[aerialink]\n", private)
        text += MAIL.format(port=self.mail_ports[number])
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
        await self.all_read()
        self.books.run += 1

    async def all_read(self) -> None:
        """What was written to carriers and callbacks is here, and is read within a few turns."""
        for _ in range(TURNS):
            await deferLater(reactor, 0)

    async def stop_node(self, number: int) -> None:
        """A node ends in order, while the others are loaded some more."""
        code = await self.under_load(deferToThread(self.nodes[number].stop))
        assert code == 0, self.nodes[number].output
        await self.ended(number)

    async def under_load(self, work: "Deferred[Any]") -> Any:
        """Waits for something, and no more than so many messages are acknowledged meanwhile."""
        goal = len(self.books.acknowledged) + MOST
        await until(
            reactor,
            lambda: work.called or len(self.books.acknowledged) >= goal,
            "acknowledgements of the other nodes",
        )
        self.rest()
        return await work

    def rest(self) -> None:
        """No more load for now: what comes in while others are waited for is to be bounded."""
        self.smsc.script.answer_delay_s = 0.0
        for esme in self.esmes:
            esme.loading = False
        self.web.loading = self.mms.loading = False

    async def load(self) -> None:
        """Every session that is bound loads, until some more messages are acknowledged."""
        self.smsc.script.answer_delay_s = self.random.choice((0.0, 0.005, 0.03))
        goal = len(self.books.acknowledged) + self.random.randint(1, MOST)
        for esme in self.bound.values():
            esme.loading = True
            esme.fill()
        self.web.loading = self.mms.loading = True
        self.web.fill()
        by_web = sum(self.books.web_answers.values()) + REQUESTS
        await until(
            reactor,
            lambda: (
                len(self.books.acknowledged) >= goal
                and sum(self.books.web_answers.values()) >= by_web
            ),
            "acknowledgements",
        )

    async def start_node(self, number: int) -> None:
        """A node starts again, while the others may be loaded some more; the client binds to it."""
        await self.under_load(deferToThread(self.nodes[number].start))
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

    def at_rest(self) -> bool:
        """See ``KillCase``."""
        return super().at_rest() and not self.web.under_way and self.mms.at_rest()

    async def settle_all(self) -> None:
        """The other nodes end in order once nothing waits; what was said must hold."""
        await until(reactor, self.south_is_bound, "a bind of the carrier with one")
        self.rest()
        deadline = reactor.seconds() + self.last_s
        while not self.at_rest():
            if reactor.seconds() > deadline:
                self.fail(
                    self.told(
                        [
                            f"queues: {await self.queues()}",
                            *self.mms.broken(),
                            *self.books.missing(),
                        ]
                    )
                )
            await deferLater(reactor, POLL_S)
        for node in self.nodes[1:]:
            assert await deferToThread(node.stop) == 0
        await self.settle()
        assert set(self.books.web_answers) == {200}, self.books.web_answers
        assert self.mms.books.acknowledged
        assert not self.mms.broken(), self.told(self.mms.broken())

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
