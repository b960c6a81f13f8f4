"""kill -9 of the gateway and of RabbitMQ under load, with queues on the broker: nothing
acknowledged is lost, little is sent twice (I1, I2, I3, I8)."""

from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from tests.amqp.rabbitmq import RabbitMq, a_broker
from tests.integration import test_kill_postgresql
from tests.integration.books import until
from tests.integration.test_kill import KillCase
from tests.running import GatewayProcess

rabbit = pytest.fixture(scope="module")(a_broker)


def on_broker(rabbit: RabbitMq, vhost: str) -> str:
    """Configuration of a gateway with a new virtual host."""
    rabbit.virtual_host(vhost)
    return f'[broker]\nurl = "amqp://guest:guest@127.0.0.1:{rabbit.port}/{vhost}"\n'


@pytest.mark.timeout(240)
class BrokerKillTest(KillCase):
    """A gateway whose queues are on a RabbitMQ."""

    # RabbitMQ may forget the inside of queues when it is killed: those are given up, all at once,
    # when it has not answered for a while.
    last_s = 60.0

    @pytest.fixture(autouse=True)
    def _on_a_broker(self, rabbit: RabbitMq) -> None:
        self.rabbit = rabbit

    def process(self, folder: Path) -> GatewayProcess:
        """The gateway, with a virtual host of its own."""
        return GatewayProcess(folder, on_broker(self.rabbit, folder.name))

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

    async def test_rabbitmq_is_killed_under_load(self) -> None:
        """Twice the broker is killed; meanwhile messages are still accepted, and health tells it;
        the gateway goes on by itself when it is there again."""
        await self.begin()
        for _ in range(2):
            await self.load()
            await deferToThread(self.rabbit.kill)
            await self.more(1_000)
            status, body = await deferToThread(self.gateway.admin, "/health/ready")
            assert status == 503, (status, body)
            assert b"broker" in body
            await deferToThread(self.rabbit.start)
            self.go_on()
        await self.load()
        assert not self.books.refused, self.told([f"refused: {self.books.refused}"])
        await self.settle()

    async def test_a_broker_that_has_lost_everything_is_filled_again(self) -> None:
        """Its queues are deleted under load: what waited is handed over again from the store."""
        await self.begin()
        await self.load()
        vhost = self.gateway.directory.name
        renewing = deferToThread(self.rabbit.virtual_host, vhost)
        await self.more(1_000)
        await renewing
        self.go_on()
        await self.load()
        await self.settle()

    async def more(self, count: int) -> None:
        """Loads until so many messages more are acknowledged, which waits for no broker; and no
        more, however long that is away."""
        goal = len(self.books.acknowledged) + count
        await until(reactor, lambda: len(self.books.acknowledged) >= goal, "more")
        for esme in self.esmes:
            esme.loading = False

    def go_on(self) -> None:
        """Loads again."""
        for esme in self.esmes:
            esme.loading = True
            esme.fill()


@pytest.mark.timeout(240)
class BrokerPostgresqlKillTest(test_kill_postgresql.PostgresqlKillTest):
    """A gateway whose queues are on a RabbitMQ, and whose store is on a PostgreSQL."""

    @pytest.fixture(autouse=True)
    def _on_a_broker(self, rabbit: RabbitMq) -> None:
        self.rabbit = rabbit

    def process(self, folder: Path) -> GatewayProcess:
        """The gateway, with a virtual host of its own."""
        gateway = super().process(folder)
        gateway.config.write_text(gateway.config.read_text() + on_broker(self.rabbit, folder.name))
        return gateway
