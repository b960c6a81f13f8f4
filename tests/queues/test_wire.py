"""The way to a real RabbitMQ: what is no batch, queues that are gone, queues that are broken."""

from collections.abc import Callable
from uuid import uuid4

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import TestCase

from smsgw.amqp.address import parse_address
from smsgw.amqp.errors import (
    AccessRefused,
    AmqpError,
    ChannelGone,
    ConnectionClosed,
    ConnectionLost,
    PreconditionFailed,
)
from smsgw.queues import Transaction
from smsgw.queues.forms import PARKED, form_of
from smsgw.queues.suspects import SOON_S
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

    async def test_a_missing_right_is_told_and_what_waits_goes_when_it_is_there(self) -> None:
        """Who may not publish counts as away from the broker, with its words; nothing is lost."""
        # Not the user of every other test.
        user = uuid4().hex
        await deferToThread(self.rabbit.user, user)
        self.home = Home(self, self.rabbit, user)
        await self.begin()
        wire = self.home.wire

        def may_write(pattern: str) -> Deferred[str]:
            rights = (user, ".*", pattern, ".*")
            return deferToThread(self.rabbit.control, "set_permissions", *rights)

        await may_write("^nothing$")
        connection = await wire.publishing.when_connected()
        connection.end(ConnectionLost("rights are asked for anew"))
        await self.until(lambda: "amq.default" in wire.reason and "refused" in wire.reason)
        await self.home.put(QUEUE, 3)
        await may_write(".*")
        await self.until(lambda: self.taken() == [1, 2, 3])
        assert wire.reason == ""

    async def test_a_channel_that_the_broker_closes_alone_is_not_kept(self) -> None:
        """A right that is revoked while batches go: another connection is made, and they go on."""
        await self.begin()
        wire = self.home.wire
        connection = await wire.publishing.when_connected()
        assert wire._channel is not None
        # What a broker does that refuses a publish: the channel is closed, not the connection.
        wire._channel.publish("there.is.no.such.exchange", "", b"").addErrback(lambda failure: None)
        await self.until(lambda: wire._channel is not None and wire._channel.reason is not None)
        await self.home.put(QUEUE, 3)
        await self.until(lambda: self.taken() == [1, 2, 3])
        assert connection.reason is not None

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

    async def test_what_is_held_too_long_for_the_broker_is_not_sent_twice(self) -> None:
        """RabbitMQ closes the channel with 406 when a batch is held beyond ``consumer_timeout``, as
        it does for a wrong tag: who has the entry keeps it, and what is next comes (I2)."""
        await self.begin()
        one = self.home.wire._attended[QUEUE]
        first = one.channel
        assert first is not None
        first.ack(999_999)
        await self.until(lambda: first.reason is not None)
        assert isinstance(first.reason, PreconditionFailed)
        await self.until(lambda: one.channel not in (None, first))
        await self.home.put(QUEUE, 3)
        await self.until(lambda: 3 in self.taken())
        assert self.taken() == [1, 2, 3]
        await self.home.queues.commit(Transaction(settled=list(self.taker.taken)))
        assert not self.home.queues._queues[QUEUE].batches
        self.home.queues.unsubscribe(QUEUE, self.taker)
        await self.home.put(QUEUE, 4)
        other = Taker()
        self.home.queues.subscribe(QUEUE, other)
        await self.until(lambda: len(other.taken) >= 1)
        assert [entry.id for entry in other.taken] == [4]


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


def test_a_queue_that_may_not_be_read_is_told_once() -> None:
    """It is asked for each second; the log has one line, another one when it is refused anew after
    it was consumed. To operators the broker does not work meanwhile: what is there stays there."""
    clock = MemoryReactorClock()  # type: ignore[no-untyped-call]
    wire = BrokerWire(parse_address("amqp://guest:guest@127.0.0.1/"), clock)
    wire.consuming.connection = connection = _Broken()  # type: ignore[assignment]
    connection.refused = AccessRefused(403, "ACCESS_REFUSED")
    with capturedLogs() as lines:
        wire.attend(QUEUE, lambda batches: None)
        clock.pump([1.0] * 5)
        assert len(connection.consumed) == 6
        assert [formatEvent(line) for line in lines] == [f"queue {QUEUE}: {connection.refused}"]
        wire.publishing.reason = wire.consuming.reason = ""
        assert wire.reason == f"queue {QUEUE}: {connection.refused}"
        connection.refused = None
        clock.advance(1.0)
        assert wire.reason == ""
        connection.refused = AccessRefused(403, "ACCESS_REFUSED")
        wire.renew(QUEUE)
        clock.advance(1.0)
        assert len(lines) == 2


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


class _Answering:
    """A channel, on which a queue that is in ``broken`` gives a consumer no answer."""

    def __init__(self, connection: "_Broken") -> None:
        self.connection = connection
        self.reason: AmqpError | None = None
        self.unconfirmed = 0

    async def declare_queue(self, queue: str, **options: object) -> tuple[str, int, int]:
        return queue, 0, 0

    async def delete_queue(self, queue: str) -> int:
        self.connection.deleted.append(queue)
        self.connection.broken.discard(queue)
        return 0

    async def consume(self, queue: str, take: object, cancelled: object) -> None:
        self.connection.consumed.append(queue)
        if self.connection.refused is not None:
            raise self.connection.refused
        if queue in self.connection.broken:
            waiting: Deferred[None] = Deferred()
            self.connection.waiting.append(waiting)
            await waiting

    async def close(self) -> None:
        self.reason = ChannelGone("closed")


class _Broken:
    """A connection to a broker with queues that are broken."""

    def __init__(self, *broken: str) -> None:
        self.broken = {f"smsgw.{name.replace(':', '.')}" for name in broken}
        self.reason: AmqpError | None = None
        self.refused: AmqpError | None = None  # what every consumer is told
        self.blocked = ""
        self.deleted: list[str] = []
        self.consumed: list[str] = []
        self.waiting: list[Deferred[None]] = []

    async def channel_for(self, **options: object) -> _Answering:
        return _Answering(self)

    def end(self, reason: AmqpError) -> None:
        self.reason = reason
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if not one.called:
                one.errback(reason)


NAMES = ["carrier:a", "carrier:b", "carrier:c"]


class BrokenTests(TestCase):
    """Which queue it is that a broker broke."""

    def setUp(self) -> None:
        self.clock = MemoryReactorClock()  # type: ignore[no-untyped-call]
        self.wire = BrokerWire(parse_address("amqp://guest:guest@127.0.0.1/"), self.clock)

    def connect(self, *broken: str) -> _Broken:
        """A new connection that consumes."""
        connection = _Broken(*broken)
        self.wire.consuming.connection = connection  # type: ignore[assignment]
        begun = self.wire._begin_consuming(connection)  # type: ignore[arg-type]
        self.successResultOf(Deferred.fromCoroutine(begun))
        self.clock.advance(0)
        return connection

    def attend(self) -> None:
        for name in NAMES:
            self.wire.attend(name, lambda batches: None)

    def made_young(self, *names: str) -> None:
        """They were made right before the broker was lost."""
        for name in names:
            self.wire._suspects.made(name)
        self.wire._unconsuming()

    def fault(self, connection: _Broken) -> None:
        connection.end(ConnectionClosed(541, "INTERNAL_ERROR"))
        self.wire._unconsuming()

    def test_broken_queues_are_given_up_together(self) -> None:
        """However many they are, it takes the time of one answer; the others flow meanwhile."""
        self.attend()
        self.made_young(*NAMES)
        connection = self.connect(*NAMES[:2])
        assert len(connection.consumed) == 3
        self.clock.advance(SOON_S + 0.1)
        self.clock.advance(2)
        assert sorted(connection.deleted) == ["smsgw.carrier.a", "smsgw.carrier.b"]
        assert len(connection.consumed) == 5
        assert not connection.broken

    def test_an_old_queue_has_longer_to_answer(self) -> None:
        """Only what was made shortly before the loss is given up soon."""
        self.attend()
        connection = self.connect(NAMES[0])
        self.clock.advance(SOON_S + 0.1)
        self.clock.advance(2)
        assert connection.deleted == []
        self.clock.advance(ANSWER_S)
        self.clock.advance(2)
        assert connection.deleted == ["smsgw.carrier.a"]

    def test_a_fault_is_the_young_ones(self) -> None:
        """Those that answered, and those that are old, stay as they are."""
        self.attend()
        self.made_young("carrier:a", "carrier:b")
        self.fault(self.connect("carrier:a", "carrier:c"))
        connection = self.connect()
        assert connection.deleted == ["smsgw.carrier.a"]

    def test_a_fault_among_old_queues_is_looked_for_one_by_one(self) -> None:
        """None is deleted before it is known to be the one."""
        self.attend()
        self.fault(self.connect("carrier:a", "carrier:b"))
        connection = self.connect("carrier:a")
        assert connection.deleted == []
        assert connection.consumed == ["smsgw.carrier.a", "smsgw.carrier.c"]
        self.fault(connection)
        connection = self.connect()
        assert connection.deleted == ["smsgw.carrier.a"]
        assert len(connection.consumed) == 3
