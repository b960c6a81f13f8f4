"""The way to a real RabbitMQ: what is no batch, queues that are gone, queues that are broken."""

from collections.abc import Callable

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.amqp.address import parse_address
from smsgw.amqp.errors import AmqpError, ConnectionLost
from smsgw.queues.forms import PARKED, form_of
from smsgw.queues.wire import ANSWER_S, BrokerWire
from tests.amqp.rabbitmq import RabbitMq
from tests.flow.journey import Taker
from tests.queues.homes import Home

QUEUE = "carrier:north"


class WireTests(TestCase):
    timeout = 90

    @pytest.fixture(autouse=True)
    def _started(self, broker: RabbitMq) -> None:
        self.rabbit = broker

    def setUp(self) -> None:
        self.home = Home(self, self.rabbit)
        self.taker = Taker()

    async def until(self, condition: Callable[[], bool], step: float = 0.01) -> None:
        """``step``: how far the gateway's clock goes in a hundredth of a second."""
        while not condition():
            self.home.clock.advance(step)
            await deferLater(reactor, 0.01)

    def taken(self) -> list[int]:
        return [entry.id for entry in self.taker.taken]

    async def begin(self) -> None:
        """A consumer has the first entries."""
        await self.home.queues.load()
        self.home.queues.subscribe(QUEUE, self.taker)
        await self.home.put(QUEUE, 1, 2)
        await self.until(lambda: self.taken() == [1, 2])

    async def test_what_is_no_batch_is_parked(self) -> None:
        """It holds up no other, and an operator finds it in a queue of its own."""
        await self.begin()
        wire = self.home.wire
        connection = await wire.publishing.when_connected()
        channel = await connection.channel_for(confirms=True, prefetch=10)
        await channel.publish("", wire.name(QUEUE), b"no batch")
        await self.home.put(QUEUE, 3)
        await self.until(lambda: self.taken() == [1, 2, 3])
        parked = []
        await channel.consume(wire._prefix + PARKED, parked.extend)
        await self.until(lambda: len(parked) == 1)
        assert parked[0].body == b"no batch"
        assert wire.parked == 1

    async def test_a_queue_that_an_operator_deletes_is_made_anew(self) -> None:
        """What it had is handed over again from the store; what a consumer has is left to it."""
        await self.begin()
        wire = self.home.wire
        self.home.queues.unsubscribe(QUEUE, self.taker)
        await self.home.put(QUEUE, 3, 4)
        await self.until(lambda: self.home.queues.outbox.idle)
        connection = await wire.publishing.when_connected()
        channel = await connection.channel_for()
        await channel.delete_queue(wire.name(QUEUE))
        other = Taker()
        self.home.queues.subscribe(QUEUE, other)
        await self.until(lambda: len(other.taken) >= 2)
        assert [entry.id for entry in other.taken] == [3, 4]
        assert self.taken() == [1, 2]

    async def test_a_queue_that_goes_under_its_consumer_is_made_anew(self) -> None:
        """The broker ends the consumer; the next entries reach it all the same."""
        await self.begin()
        wire = self.home.wire
        connection = await wire.publishing.when_connected()
        channel = await connection.channel_for()
        await channel.delete_queue(wire.name(QUEUE))
        await self.home.put(QUEUE, 3)
        await self.until(lambda: self.taken() == [1, 2, 3])

    async def test_a_queue_that_cannot_be_consumed_after_a_kill_is_made_anew(self) -> None:
        """RabbitMQ forgets the inside of a quorum queue that was made right before kill -9 (seen on
        3.10.8); whatever it forgets, every entry comes from the store."""
        self.home.wire.answer_s = 2.0
        await self.begin()
        self.home.queues.unsubscribe(QUEUE, self.taker)
        await self.home.put("carrier:south", 3, 4)
        await self.until(lambda: self.home.queues.outbox.idle)
        await deferToThread(self.rabbit.kill)
        await self.home.put("carrier:south", 5)
        await deferToThread(self.rabbit.start)
        other = Taker()
        self.home.queues.subscribe("carrier:south", other)
        await self.until(lambda: len(other.taken) >= 3)
        assert sorted(entry.id for entry in other.taken) == [3, 4, 5]

    async def test_a_queue_that_takes_nothing_after_a_kill_is_made_anew(self) -> None:
        """Nobody consumes it, so nobody but the publisher can tell; what was put before and after
        comes from the store, and other queues get theirs."""
        await self.begin()
        await self.home.put("carrier:south", 3, 4)
        await self.until(lambda: self.home.queues.outbox.idle)
        await deferToThread(self.rabbit.kill)
        await self.home.put("carrier:south", 5)
        await deferToThread(self.rabbit.start)
        await self.home.put(QUEUE, 6)
        await self.until(lambda: self.home.queues.outbox.idle, step=0.1)
        await self.until(lambda: self.taken() == [1, 2, 6])
        other = Taker()
        self.home.queues.subscribe("carrier:south", other)
        await self.until(lambda: len(other.taken) >= 3, step=0.1)
        assert sorted(entry.id for entry in other.taken) == [3, 4, 5]


class _Deaf:
    """A connection whose broker answers nothing that is asked about channels."""

    def __init__(self) -> None:
        self.reason: AmqpError | None = None
        self.blocked = ""
        self.asked = 0

    async def channel_for(self, **options: object) -> None:
        self.asked += 1
        await Deferred()

    def end(self, reason: AmqpError) -> None:
        self.reason = reason


def test_a_connection_on_which_no_channel_is_opened_is_ended() -> None:
    """Its heartbeats may go on; nobody waits for it longer than for any other answer."""
    clock = MemoryReactorClock()  # type: ignore[no-untyped-call]
    wire = BrokerWire(parse_address("amqp://guest:guest@127.0.0.1/"), clock)
    deaf = _Deaf()
    wire.consuming.connection = deaf  # type: ignore[assignment]
    wire.attend(QUEUE, lambda batches: None)
    assert deaf.asked == 1
    clock.advance(ANSWER_S - 0.1)
    assert deaf.reason is None
    clock.advance(0.2)
    assert isinstance(deaf.reason, ConnectionLost)
    clock.advance(60)
    assert deaf.asked == 1


def test_making_a_queue_on_a_deaf_connection_fails() -> None:
    """The outbox tries it again."""
    clock = MemoryReactorClock()  # type: ignore[no-untyped-call]
    wire = BrokerWire(parse_address("amqp://guest:guest@127.0.0.1/"), clock)
    wire.publishing.connection = deaf = _Deaf()  # type: ignore[assignment]
    failed: list[object] = []
    wire.make(QUEUE).addErrback(failed.append)
    clock.advance(ANSWER_S + 0.1)
    assert len(failed) == 1
    assert isinstance(deaf.reason, ConnectionLost)


def test_names_of_queues_tell_no_secrets() -> None:
    """A target's URL may hold a password and be long; a broker's names have 255 octets at most."""
    queue = "target:acme https://user:secret@example.com/" + "x" * 3_000
    form = form_of(queue)
    assert form.name.startswith("smsgw.target.acme.")
    assert "secret" not in form.name
    assert len(form.name) < 200
    assert form_of(queue + "y").name != form.name
    assert form_of("carrier:north").name == "smsgw.carrier.north"
    assert form_of("account:" + "é" * 300).name.isascii()
