"""A broker in memory, and the way to it, as ``smsgw.queues.wire`` has it."""

from collections import deque
from collections.abc import Callable
from functools import partial

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed

from smsgw.amqp.errors import ConnectionLost, Returned
from smsgw.queues.arriving import Batch
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.outbox import unpack


@define(eq=False)
class _Consumer:
    take: Callable[[list[Batch]], None]
    unacknowledged: dict[int, bytes] = field(factory=dict)
    open: bool = True


@define(eq=False)
class MemoryBroker:
    """Queues with one line each; what is not acknowledged goes back to its place."""

    prefetch: int = 500
    lines: dict[str, deque[tuple[int, bytes]]] = field(factory=dict)
    consumers: dict[str, list[_Consumer]] = field(factory=dict)
    tags: int = 0

    def publish(self, queue: str, body: bytes) -> None:
        self.tags += 1
        self.lines[queue].append((self.tags, body))
        self.push(queue)

    def push(self, queue: str) -> None:
        """Gives consumers what they have room for."""
        line = self.lines.get(queue)
        for consumer in list(self.consumers.get(queue, ())):
            batches = []
            while consumer.open and line and len(consumer.unacknowledged) < self.prefetch:
                tag, body = line.popleft()
                consumer.unacknowledged[tag] = body
                ack = partial(self.ack, queue, consumer, tag)
                batches.append(Batch(unpack(body), ack))
            if batches:
                consumer.take(batches)

    def ack(self, queue: str, consumer: _Consumer, tag: int) -> None:
        if consumer.open:
            del consumer.unacknowledged[tag]
            self.push(queue)

    def close(self, queue: str, consumer: _Consumer) -> None:
        """The channel of the consumer ends."""
        consumer.open = False
        self.consumers[queue].remove(consumer)
        back = [*consumer.unacknowledged.items(), *self.lines.get(queue, ())]
        if queue in self.lines:
            self.lines[queue] = deque(sorted(back))
            self.push(queue)

    def forget(self) -> None:
        """Its disk is lost, with all queues."""
        self.lines.clear()


class MemoryWire:
    """One node's way to a broker. ``up`` is False while there is none; while ``unsure``, batches
    arrive and are never confirmed."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.told: BrokerQueues | None = None
        self.up = True
        self.unsure = False
        self.mended: list[str] = []
        self._waiting: list[Deferred[None]] = []
        self._attended: dict[str, Callable[[list[Batch]], None]] = {}
        self._consumers: dict[str, _Consumer] = {}

    @property
    def room(self) -> int:
        return 1_000 - len(self._waiting) if self.up else 0

    @property
    def answers(self) -> bool:
        return self.up

    def publish(self, queue: str, body: bytes) -> Deferred[None]:
        if not self.up:
            return fail(ConnectionLost("down"))
        if queue not in self.broker.lines:
            return fail(Returned(312, "NO_ROUTE"))
        self.broker.publish(queue, body)
        if not self.unsure:
            return succeed(None)
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        return done

    def make(self, queue: str) -> Deferred[None]:
        if queue in self.broker.lines:
            return succeed(None)
        if self.told is None or not self.up:
            return fail(ConnectionLost("down"))
        return self.told.lost(queue).addCallback(self._made, queue)

    def _made(self, _: None, queue: str) -> None:
        self.broker.lines.setdefault(queue, deque())

    def attend(self, queue: str, arrived: Callable[[list[Batch]], None]) -> None:
        self._attended[queue] = arrived
        if self.up and queue not in self._consumers:
            self._consume(queue)

    def _consume(self, queue: str) -> None:
        def made(_: None) -> None:
            if queue in self._attended and queue not in self._consumers and self.up:
                consumer = self._consumers[queue] = _Consumer(
                    lambda batches: self._attended[queue](batches)
                )
                self.broker.consumers.setdefault(queue, []).append(consumer)
                self.broker.push(queue)

        self.make(queue).addCallbacks(made, lambda failure: None)

    def leave(self, queue: str, linger: bool) -> None:
        self._attended.pop(queue, None)
        consumer = self._consumers.pop(queue, None)
        if consumer is not None:
            self.broker.close(queue, consumer)

    def renew(self, queue: str) -> None:
        consumer = self._consumers.pop(queue, None)
        if consumer is not None:
            self.broker.close(queue, consumer)
            self._consume(queue)

    def mend(self, queue: str) -> None:
        """It is deleted, and made anew; what is not confirmed goes back."""
        self.mended.append(queue)
        self.broker.lines.pop(queue, None)
        waiting, self._waiting = self._waiting, []
        for done in waiting:
            done.errback(ConnectionLost("mended"))
        self.make(queue).addErrback(lambda failure: None)

    def lose(self) -> None:
        """The connections are lost, with all that was on its way."""
        self.up = False
        waiting, self._waiting = self._waiting, []
        for queue, consumer in list(self._consumers.items()):
            self.broker.close(queue, consumer)
        self._consumers.clear()
        for done in waiting:
            done.errback(ConnectionLost("lost"))

    def connect(self) -> None:
        """There is a way again."""
        if not self.up:
            self.up = True
            for queue in list(self._attended):
                if queue not in self._consumers:
                    self._consume(queue)
        if self.told is not None:
            self.told.go()

    def end(self) -> None:
        """The process ends."""
        self.told = None
        self.lose()
        self._attended.clear()
