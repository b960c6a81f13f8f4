"""kill -9 of the gateway and of PostgreSQL under load: nothing acknowledged is lost, little is sent
twice (I1, I2, I3, I8)."""

from pathlib import Path
from unittest import SkipTest

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.threads import deferToThread

from smsgw.smpp.constants import Status
from tests.integration.books import BookedEsme, until
from tests.integration.test_kill import WINDOW, KillCase
from tests.postgresql import Postgresql, installed
from tests.running import GatewayProcess


@pytest.mark.timeout(240)
class PostgresqlKillTest(KillCase):
    """A gateway whose store is on a server of its own, which writes to the disk in earnest."""

    def setUp(self) -> None:
        if not installed():
            raise SkipTest("postgresql or psycopg is not installed")
        self.server = Postgresql(fsync=True)
        self.addCleanup(self.server.remove)
        self.server.start()
        self.url = self.server.url("smsgw")
        self.server.sql("CREATE DATABASE smsgw")

    def process(self, folder: Path) -> GatewayProcess:
        """The gateway, with a store on PostgreSQL."""
        gateway = GatewayProcess(folder)
        text = gateway.config.read_text()
        sqlite = f'url = "sqlite:///{folder}/smsgw.db"'
        assert sqlite in text
        here = f'url = "{self.url}"\nfolder = "{folder}"'
        gateway.config.write_text(text.replace(sqlite, here))
        return gateway

    def store(self) -> str:
        """For ``stores``."""
        return self.url

    async def test_the_gateway_is_killed_under_load(self) -> None:
        """Two runs end by kill -9 while messages, receipts and MO go both ways."""
        await self.begin()
        for _ in range(2):
            await self.load()
            self.gateway.kill()
            await self.dead()
            await self.start_again()
        assert not self.books.refused, self.told([f"refused: {self.books.refused}"])
        await self.settle()

    async def test_postgresql_is_killed_under_load(self) -> None:
        """Twice the server is killed and started again; meanwhile submits are refused with a
        status that asks to try again, health tells it, and the gateway goes on by itself."""
        # Carriers are asked to bring theirs again.
        self.mo_refusable = frozenset({Status.ESME_RX_T_APPN})
        await self.begin()
        other = await self.another()
        for _ in range(2):
            await self.load()
            self.server.kill()
            await self.refusal(other)
            status, _ = await deferToThread(self.gateway.admin, "/health")
            assert status == 503, status
            await deferToThread(self.server.start)
        assert self.books.refused.keys() <= {Status.ESME_RSYSERR}, self.told([])
        await self.settle()

    async def refusal(self, other: BookedEsme) -> None:
        """A submit is refused. What the store was writing when it was killed is answered when it is
        there again, and that may be all that fits the windows of the sessions that load: so another
        session asks, more than once."""
        before = sum(self.books.refused.values())

        def refused() -> bool:
            other.window = min(other.unanswered + 1, WINDOW)
            other.fill()
            return sum(self.books.refused.values()) > before

        await until(reactor, refused, "a refusal")
        print(f"unanswered when it was refused: {[esme.unanswered for esme in self.esmes]}")

    async def another(self) -> BookedEsme:
        """A session more, which submits what it is told to."""
        esme = BookedEsme(self.books, 0)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.gateway.smpp_port)
        await connectProtocol(endpoint, esme)
        answer = await esme.bind("transmitter", "acme", "secret12")
        assert answer.status == 0, answer
        self.esmes.append(esme)
        return esme
