"""The layer and a real RabbitMQ, on sockets."""

from collections.abc import Callable

import pika
import pytest
from twisted.internet import reactor
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.amqp.address import parse_address
from smsgw.amqp.client import BrokerClient
from smsgw.amqp.connection import Connection
from smsgw.amqp.errors import (
    AmqpError,
    ConnectionLost,
    ConsumerCancelled,
    Nacked,
    NoRoom,
    NotFound,
    PreconditionFailed,
    Returned,
    Silent,
)
from smsgw.amqp.properties import Properties, compile_properties
from smsgw.amqp.topology import Binding, Conflict, Exchange, Queue, Topology
from tests.amqp.rabbitmq import RabbitMq

POLL_S = 0.02


async def until(condition: Callable[[], bool]) -> None:
    """Returns when it holds; the test's own time limit ends it otherwise."""
    while not condition():
        await deferLater(reactor, POLL_S)


class Forwarder(Protocol):
    """Passes octets to the broker and back, until it is told to swallow them."""

    def __init__(self, proxy: "Proxy") -> None:
        self.proxy = proxy
        self.peer: Protocol | None = None
        self.early = b""

    def connectionMade(self) -> None:
        """Twisted."""
        other = Backward(self)
        self.proxy.open.append(self)
        reactor.connectTCP("127.0.0.1", self.proxy.port, OneFactory(other))

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        if self.proxy.swallow:
            return
        if self.peer is None:
            self.early += data
        else:
            self.peer.transport.write(data)

    def connectionLost(self, reason=None) -> None:
        """Twisted."""
        if self.peer is not None:
            self.peer.transport.loseConnection()


class Backward(Protocol):
    """The broker's side of it."""

    def __init__(self, front: Forwarder) -> None:
        self.front = front

    def connectionMade(self) -> None:
        """Twisted."""
        self.front.peer = self
        self.transport.write(self.front.early)

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        if not self.front.proxy.swallow:
            self.front.transport.write(data)

    def connectionLost(self, reason=None) -> None:
        """Twisted."""
        self.front.transport.loseConnection()


class OneFactory(Factory):
    """Gives a protocol that is made already."""

    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr):
        """Twisted."""
        return self._protocol

    def startedConnecting(self, connector):
        """Twisted."""

    def clientConnectionFailed(self, connector, reason):
        """Twisted."""

    def clientConnectionLost(self, connector, reason):
        """Twisted."""


class Proxy(Factory):
    """A network between the client and the broker that can stop forwarding."""

    noisy = False

    def __init__(self, port: int) -> None:
        self.port = port
        self.swallow = False
        self.open: list[Forwarder] = []

    def buildProtocol(self, addr):
        """Twisted."""
        return Forwarder(self)


@pytest.mark.usefixtures("_broker")
class RabbitTests(TestCase):
    """Each test has connections of its own to the worker's broker."""

    broker: RabbitMq
    timeout = 90

    @pytest.fixture
    def _broker(self, broker: RabbitMq) -> None:
        self.broker = broker

    def url(self, more: str = "") -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.broker.port}{more}"

    async def connect(self, url: str = "", **options: object) -> Connection:
        found, _ = await self.client(url, **options)
        return found

    async def client(self, url: str = "", prepare=None, lost=None):
        async def nothing(connection: Connection) -> None:
            pass

        service = BrokerClient(
            parse_address(url or self.url()),
            reactor,
            prepare or nothing,
            lost or (lambda reason: None),
        )
        service.startService()
        self.addCleanup(service.stopService)
        return await service.when_connected(), service

    async def queue(self, connection: Connection, name: str, **more: object) -> None:
        channel = await connection.channel_for()
        await channel.delete_queue(name)
        await channel.close()
        await Topology(queues=(Queue(name, **more),)).declare(connection)

    async def test_a_confirmed_message_is_consumed_with_all_its_parts(self) -> None:
        """Bodies that are no text, empty, or of many frames, and properties, come as they went."""
        connection = await self.connect()
        await self.queue(connection, "parts")
        channel = await connection.channel_for(confirms=True)
        bodies = [b"", b"plain", "naïve €".encode(), b"a" * 140_000 + bytes(range(256)) * 100]
        made = compile_properties(
            Properties(
                content_type="x/y",
                headers={"é": [1, -(2**40), {"n": None}], "raw": b"\xff"},
                delivery_mode=2,
                priority=3,
            )
        )
        for body in bodies:
            await channel.publish("", "parts", body, made)
        got = []
        consumer = await connection.channel_for(prefetch=10)
        await consumer.consume("parts", got.extend)
        await until(lambda: len(got) == len(bodies))
        assert [one.body for one in got] == bodies
        assert got[0].properties.headers == {"é": [1, -(2**40), {"n": None}], "raw": b"\xff"}
        assert got[0].properties.priority == 3
        consumer.ack(got[-1].tag, multiple=True)

    async def test_pika_reads_and_writes_the_same(self) -> None:
        """Another client is the oracle: it sees what we publish, and we see what it publishes."""
        connection = await self.connect()
        await self.queue(connection, "oracle", kind="classic")
        channel = await connection.channel_for(confirms=True)
        headers = {"text": "ü", "n": -5, "big": 2**40, "yes": True, "none": None, "list": ["a", 1]}
        made = compile_properties(Properties(headers=headers, delivery_mode=2, app_id="smsgw"))
        await channel.publish("", "oracle", b"\x00\xff", made)

        def ask():
            parameters = pika.URLParameters(self.url("/%2F"))
            with pika.BlockingConnection(parameters) as other:
                theirs = other.channel()
                theirs.confirm_delivery()
                method, properties, body = theirs.basic_get("oracle")
                theirs.basic_ack(method.delivery_tag)
                theirs.basic_publish("", "oracle", b"\xfe\x00", properties)
                return properties.headers, properties.app_id, body

        assert await deferToThread(ask) == (headers, "smsgw", b"\x00\xff")
        got = []
        consumer = await connection.channel_for(prefetch=1)
        await consumer.consume("oracle", got.extend)
        await until(lambda: bool(got))
        assert got[0].body == b"\xfe\x00"
        assert got[0].properties.headers == headers
        consumer.ack(got[0].tag)

    async def test_a_message_for_no_queue_is_returned(self) -> None:
        """Among others that are taken, only that one fails."""
        connection = await self.connect()
        await self.queue(connection, "there")
        channel = await connection.channel_for(confirms=True)
        keys = ["there", "nowhere", "there"]
        told = []
        for key in keys:
            done = channel.publish("", key, b"x")
            done.addErrback(lambda failure: failure.value)
            told.append(done)
        results = [await one for one in told]
        assert results[0] is results[2] is None
        assert isinstance(results[1], Returned)
        assert await channel.purge("there") == 2

    async def test_a_full_queue_nacks(self) -> None:
        """What does not fit is not lost without a word."""
        connection = await self.connect()
        await self.queue(connection, "full", max_length=1)
        channel = await connection.channel_for(confirms=True)
        refused = 0
        for _ in range(20):
            try:
                await channel.publish("", "full", b"x")
            except Nacked:
                refused += 1
        assert refused > 0

    async def test_a_broker_short_of_memory_blocks_and_goes_on(self) -> None:
        """connection.blocked under a real memory alarm: what is written waits, the rest finds no
        room, and all is confirmed when the alarm is over.
        """
        connection = await self.connect()
        await self.queue(connection, "alarm")
        channel = await connection.channel_for(confirms=True)
        control = self.broker.control
        await deferToThread(control, "set_vm_memory_high_watermark", "absolute", "1MB")
        try:
            first = channel.publish("", "alarm", b"x")
            await until(lambda: bool(connection.blocked))
            assert channel.room == 0
            with pytest.raises(NoRoom):
                await channel.publish("", "alarm", b"x")
            assert not first.called
        finally:
            await deferToThread(control, "set_vm_memory_high_watermark", "absolute", "1GB")
        await first
        await channel.when_room()
        await channel.publish("", "alarm", b"x")

    async def test_a_deleted_queue_cancels_its_consumers(self) -> None:
        """The consumer is told by the broker, the channel goes on."""
        connection = await self.connect()
        await self.queue(connection, "doomed")
        channel = await connection.channel_for()
        reasons: list[AmqpError] = []
        await channel.consume("doomed", lambda batch: None, reasons.append)
        other = await connection.channel_for()
        await other.delete_queue("doomed")
        await until(lambda: bool(reasons))
        assert isinstance(reasons[0], ConsumerCancelled)
        assert channel.reason is None

    async def test_the_topology_is_declared_again_and_again(self) -> None:
        """Declaring changes nothing the second time; another kind of the same name is a conflict
        that names it. Dead letters, the alternate exchange and a single active consumer work.
        """
        connection = await self.connect()
        topology = Topology(
            (
                Exchange("t.dead", "fanout"),
                Exchange("t.else", "fanout"),
                Exchange("t.in", alternate="t.else"),
            ),
            (
                Queue("t.q", dead_letters="t.dead", delivery_limit=3, single_active=True),
                Queue("t.dead"),
                Queue("t.else"),
            ),
            (
                Binding("t.q", "t.in", "key"),
                Binding("t.dead", "t.dead"),
                Binding("t.else", "t.else"),
            ),
        )
        await topology.declare(connection)
        await topology.declare(connection)
        with pytest.raises(Conflict, match=r"queue t\.q: .*inequivalent arg"):
            await Topology(queues=(Queue("t.q", kind="classic"),)).declare(connection)
        channel = await connection.channel_for(confirms=True)
        await channel.publish("t.in", "key", b"one")
        await channel.publish("t.in", "unknown", b"two")
        got: dict[str, list] = {"first": [], "second": [], "dead": [], "else": []}
        first = await connection.channel_for(prefetch=1)
        second = await connection.channel_for(prefetch=1)
        await first.consume("t.q", got["first"].extend)
        await second.consume("t.q", got["second"].extend)
        await channel.consume("t.dead", got["dead"].extend)
        await channel.consume("t.else", got["else"].extend)
        await until(lambda: bool(got["first"] and got["else"]))
        assert got["else"][0].body == b"two"
        first.nack(got["first"][0].tag, requeue=False)
        await until(lambda: bool(got["dead"]))
        death = got["dead"][0].properties.headers["x-death"][0]
        assert (death["queue"], death["reason"]) == ("t.q", "rejected")
        assert got["second"] == []
        await first.close()
        await channel.publish("t.in", "key", b"three")
        await until(lambda: bool(got["second"]))
        second.ack(got["second"][0].tag)
        channel.ack(0, multiple=True)

    async def test_a_channel_error_is_typed(self) -> None:
        """404 and 406 close the channel only."""
        connection = await self.connect()
        channel = await connection.channel_for()
        with pytest.raises(NotFound):
            await channel.declare_queue("no.such", passive=True)
        channel = await connection.channel_for()
        await channel.declare_queue("mine", exclusive=True, durable=False)
        with pytest.raises(PreconditionFailed):
            await channel.declare_queue("mine", exclusive=True, auto_delete=True, durable=False)
        assert connection.reason is None

    async def test_a_wrong_password_is_refused(self) -> None:
        """The service says so, and keeps trying."""

        async def nothing(connection: Connection) -> None:
            pass

        url = f"amqp://guest:wrong@127.0.0.1:{self.broker.port}"
        service = BrokerClient(parse_address(url), reactor, nothing)
        service.startService()
        self.addCleanup(service.stopService)
        await until(lambda: "ACCESS_REFUSED" in service.reason)
        assert service.connection is None
        assert "wrong" not in service.reason

    async def test_tls_verifies_the_broker(self) -> None:
        """amqps with the right authority and name works, by certificate too; without it fails."""
        ca = f"cacertfile={self.broker.ca}&server_name_indication=www.example.com"
        where = f"127.0.0.1:{self.broker.tls_port}"
        connection = await self.connect(f"amqps://guest:guest@{where}?{ca}")
        channel = await connection.channel_for()
        await channel.declare_queue("tls", exclusive=True, durable=False)

        async def nothing(connection: Connection) -> None:
            pass

        for more in ("", f"?cacertfile={self.broker.ca}"):
            service = BrokerClient(
                parse_address(f"amqps://guest:guest@{where}{more}"), reactor, nothing
            )
            service.startService()
            self.addCleanup(service.stopService)
            await until(lambda: service.reason not in ("connecting", ""))
            assert service.connection is None
            assert "certificate" in service.reason or "Verif" in service.reason, service.reason

    async def test_a_network_that_swallows_is_noticed(self) -> None:
        """Heartbeats really close: what waits fails with Silent, and a connection is made anew."""
        proxy = Proxy(self.broker.port)
        port = reactor.listenTCP(0, proxy, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        reasons: list[AmqpError] = []
        url = f"amqp://guest:guest@127.0.0.1:{port.getHost().port}?heartbeat=1"
        connection, service = await self.client(url, lost=reasons.append)
        await self.queue(connection, "swallowed")
        channel = await connection.channel_for(confirms=True)
        proxy.swallow = True
        with pytest.raises(Silent):
            await channel.publish("", "swallowed", b"x")
        await until(lambda: bool(reasons))
        assert isinstance(reasons[0], Silent)
        proxy.swallow = False
        again = await service.when_connected()
        assert again is not connection
        for one in proxy.open:
            one.transport.loseConnection()

    async def test_a_killed_broker_loses_nothing_that_was_confirmed(self) -> None:
        """I1: kill -9 in the midst of publishing; the client connects again by itself, and every
        confirmed message is there.
        """
        confirmed: set[bytes] = set()
        reasons: list[AmqpError] = []
        connection, service = await self.client(lost=reasons.append)
        # A quorum queue made just before a kill cannot be consumed after it (541, seen on 3.10.8).
        await self.queue(connection, "killed", kind="classic")
        channel = await connection.channel_for(confirms=True)
        failed: list[BaseException] = []
        sent = 0
        while len(confirmed) < 300:
            await channel.when_room()
            for _ in range(100):
                body = b"%d" % sent
                sent += 1
                done = channel.publish("", "killed", body)
                done.addCallback(lambda _, body=body: confirmed.add(body))
                done.addErrback(lambda failure: failed.append(failure.value))
            await until(lambda: channel.unconfirmed < 100)
        for _ in range(200):
            done = channel.publish("", "killed", b"%d" % sent)
            done.addCallback(lambda _, body=b"%d" % sent: confirmed.add(body))
            done.addErrback(lambda failure: failed.append(failure.value))
            sent += 1
        await deferToThread(self.broker.kill)
        await until(lambda: service.connection is None)
        assert channel.unconfirmed == 0
        assert len(confirmed) + len(failed) == sent
        assert all(isinstance(one, ConnectionLost) for one in failed)
        assert len(reasons) == 1
        await deferToThread(self.broker.start)
        again = await service.when_connected()
        assert again is not connection
        got: set[bytes] = set()
        consumer = await again.channel_for(prefetch=100)

        def take(batch) -> None:
            got.update(one.body for one in batch)
            consumer.ack(batch[-1].tag, multiple=True)

        await consumer.consume("killed", take)
        await until(lambda: confirmed <= got)

    async def test_what_is_not_acknowledged_comes_again(self) -> None:
        """A consumer whose channel closes gives back what it had."""
        connection = await self.connect()
        await self.queue(connection, "again")
        channel = await connection.channel_for(confirms=True)
        await channel.publish("", "again", b"x")
        got: list = []
        first = await connection.channel_for(prefetch=1)
        await first.consume("again", got.extend)
        await until(lambda: len(got) == 1)
        await first.close()
        second = await connection.channel_for(prefetch=1)
        await second.consume("again", got.extend)
        await until(lambda: len(got) == 2)
        assert [one.redelivered for one in got] == [False, True]
        second.ack(got[1].tag)

    async def test_the_next_host_is_tried(self) -> None:
        """A node that is down is passed over."""
        url = f"amqp://guest:guest@127.0.0.1:1,127.0.0.1:{self.broker.port}"
        connection = await self.connect(url)
        assert connection.reason is None
