"""A channel: publishing with confirms, consuming by batches, and what is declared on the broker."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import define
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import Logger
from txamqp.protocol import AMQChannel

from smsgw.amqp.errors import (
    AmqpError,
    ChannelGone,
    ConsumerCancelled,
    MisuseError,
    Nacked,
    NoRoom,
    Returned,
)
from smsgw.amqp.frames import Confirm, Deliveries, Delivery, Return
from smsgw.amqp.properties import PERSISTENT, Compiled
from smsgw.amqp.publishing import Confirms, Publisher
from smsgw.amqp.settling import ack_frame, nack_frame, reject_frame

if TYPE_CHECKING:
    from smsgw.amqp.connection import Connection


@define(eq=False)
class Consumer:
    """Somebody who takes the messages of a queue.

    ``take`` gets the deliveries of one read, and acknowledges each some time later. A ``take`` that
    raises loses its channel, so that the broker gives what was not acknowledged to another.
    ``cancelled`` is told, once, that nothing comes any more, and why.
    """

    queue: str
    take: Callable[[list[Delivery]], None]
    cancelled: Callable[[AmqpError], None]
    tag: str = ""
    active: bool = True


class Channel:
    """One channel of an open connection; made by ``Connection.channel_for``."""

    log = Logger()

    def __init__(
        self, connection: "Connection", raw: AMQChannel, number: int, max_frame: int, window: int
    ) -> None:
        self.number = number
        self.window = window
        self.reason: AmqpError | None = None  # why it is closed
        self._connection = connection
        self._raw = raw
        self._confirming = False
        self._flowing = True
        self._confirms = Confirms()
        self._publisher = Publisher(number, max_frame)
        self._consumers: dict[bytes, Consumer] = {}
        self._made = 0  # consumers so far
        self._room_wanted: list[Deferred[None]] = []

    # Publishing

    @property
    def room(self) -> int:
        """How many messages can be published now, one after the other.

        0 while the socket does not take what is written already: only the first publish of a
        series need ask.
        """
        if self.reason is not None or not self._connection.writable or not self._flowing:
            return 0
        return max(0, self.window - len(self._confirms.waiting))

    @property
    def unconfirmed(self) -> int:
        """How many messages the broker has not answered for."""
        return len(self._confirms.waiting)

    def when_room(self) -> "Deferred[None]":
        """Fires when there is room; fails with the reason if the channel closes before."""
        if self.reason is not None:
            return fail(self.reason)
        if self.room:
            return succeed(None)
        wanted: Deferred[None] = Deferred()
        self._room_wanted.append(wanted)
        self._connection.wants_room(self)
        return wanted

    def publish(
        self,
        exchange: str,
        key: str,
        body: bytes,
        properties: Compiled = PERSISTENT,
        mandatory: bool = True,
    ) -> "Deferred[None]":
        """Fires when the broker has the message: for a durable queue that is on disk.

        Fails with ``NoRoom`` (nothing was sent), ``Nacked``, ``Returned`` (no queue takes it; told
        only if ``mandatory``), or the reason for which the channel closed: then the broker may have
        it or not. Raises ``ValueError`` for a name beyond 255 octets.
        """
        confirms = self._confirms
        connection = self._connection
        if self.reason is not None:
            return fail(self.reason)
        if connection.blocked or not self._flowing or len(confirms.waiting) >= self.window:
            return fail(NoRoom(connection.blocked or "too many messages are unconfirmed"))
        if not self._confirming:
            raise MisuseError("the channel was opened without confirms")
        connection.write(
            self._publisher.frames(exchange, key, mandatory, properties, confirms.next, body)
        )
        return confirms.add()

    # Consuming

    async def consume(
        self,
        queue: str,
        take: Callable[[list[Delivery]], None],
        cancelled: Callable[[AmqpError], None] = lambda reason: None,
        *,
        exclusive: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> Consumer:
        """From now on ``take`` gets the queue's messages; see ``Consumer``."""
        self._made += 1
        consumer = Consumer(queue, take, cancelled, f"smsgw.{self.number}.{self._made}")
        key = consumer.tag.encode()
        self._consumers[key] = consumer
        try:
            await self._call(
                "basic_consume",
                queue=queue,
                consumer_tag=consumer.tag,
                exclusive=exclusive,
                arguments=dict(arguments or {}),
            )
        except BaseException:
            self._consumers.pop(key, None)
            raise
        return consumer

    async def cancel(self, consumer: Consumer) -> None:
        """The consumer gets no more; what it has is still to be acknowledged."""
        if consumer.active:
            consumer.active = False
            await self._call("basic_cancel", consumer_tag=consumer.tag)
            self._consumers.pop(consumer.tag.encode(), None)

    def ack(self, tag: int, multiple: bool = False) -> None:
        """A delivery is done; with ``multiple`` all up to it are. Nothing on a closed channel,
        whose deliveries the broker gives out again.
        """
        if self.reason is None:
            self._connection.write(ack_frame(self.number, tag, multiple))

    def nack(self, tag: int, multiple: bool = False, requeue: bool = True) -> None:
        """A delivery is not done: it goes back to the queue, or where its dead letters go."""
        if self.reason is None:
            self._connection.write(nack_frame(self.number, tag, multiple, requeue))

    def reject(self, tag: int, requeue: bool = False) -> None:
        """``nack`` of one delivery, as AMQP without extensions has it."""
        if self.reason is None:
            self._connection.write(reject_frame(self.number, tag, requeue))

    async def qos(self, prefetch: int) -> None:
        """Unacknowledged messages that each consumer made from now on may have; 0 = any number."""
        await self._call("basic_qos", prefetch_count=prefetch)

    # On the broker

    async def declare_queue(
        self,
        queue: str,
        *,
        durable: bool = True,
        exclusive: bool = False,
        auto_delete: bool = False,
        passive: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> tuple[str, int, int]:
        """The queue's name (the broker makes one for ""), messages and consumers.

        Fails with ``PreconditionFailed`` if there is another of the name, and with ``NotFound`` if
        there is none and ``passive`` asks for it; the channel is closed then.
        """
        answer = await self._call(
            "queue_declare",
            queue=queue,
            durable=durable,
            exclusive=exclusive,
            auto_delete=auto_delete,
            passive=passive,
            arguments=dict(arguments or {}),
        )
        return answer.queue, answer.message_count, answer.consumer_count

    async def declare_exchange(
        self,
        exchange: str,
        kind: str = "direct",
        *,
        durable: bool = True,
        internal: bool = False,
        arguments: Mapping[str, Any] | None = None,
    ) -> None:
        """Fails with ``PreconditionFailed`` if there is another of the name."""
        await self._call(
            "exchange_declare",
            exchange=exchange,
            type=kind,
            durable=durable,
            internal=internal,
            arguments=dict(arguments or {}),
        )

    async def bind(
        self, queue: str, exchange: str, key: str = "", arguments: Mapping[str, Any] | None = None
    ) -> None:
        """What is published to the exchange with the key goes to the queue."""
        await self._call(
            "queue_bind",
            queue=queue,
            exchange=exchange,
            routing_key=key,
            arguments=dict(arguments or {}),
        )

    async def unbind(self, queue: str, exchange: str, key: str = "") -> None:
        """It does no more."""
        await self._call("queue_unbind", queue=queue, exchange=exchange, routing_key=key)

    async def delete_queue(
        self, queue: str, *, if_unused: bool = False, if_empty: bool = False
    ) -> int:
        """How many messages went with it."""
        answer = await self._call(
            "queue_delete", queue=queue, if_unused=if_unused, if_empty=if_empty
        )
        return int(answer.message_count)

    async def delete_exchange(self, exchange: str, *, if_unused: bool = False) -> None:
        """Nothing if there is none."""
        await self._call("exchange_delete", exchange=exchange, if_unused=if_unused)

    async def purge(self, queue: str) -> int:
        """Empties the queue of what nobody has; how many messages that were."""
        answer = await self._call("queue_purge", queue=queue)
        return int(answer.message_count)

    async def close(self) -> None:
        """Unconfirmed messages fail, unacknowledged deliveries go back to their queues."""
        if self.reason is None:
            self._connection.leave(self, ChannelGone("the channel was closed by this end"))
            # txAMQP's channel is still open: it waits for the answer.
            await self._raw.channel_close(reply_code=200)
            self._connection.drop(self, ChannelGone("the channel was closed by this end"))

    # For the connection

    async def begin(self, prefetch: int, confirms: bool) -> None:
        """The first methods of a new channel."""
        await self._call("channel_open")
        if prefetch:
            await self.qos(prefetch)
        if confirms:
            await self._call("confirm_select")
            self._confirming = True

    def received(self, event: Deliveries | Confirm | Return) -> None:
        """Of this channel. ``ProtocolFault`` for a confirm of nothing."""
        if isinstance(event, Confirm):
            error = None if event.ack else Nacked("the broker could not store it")
            self._confirms.settle(event.tag, event.multiple, error)
        elif isinstance(event, Return):
            number = event.properties.message_id or ""
            if number.isascii() and number.isdigit():
                self._confirms.returned(int(number), Returned(event.code, event.text))
        else:
            self._deliver(event)

    def cancelled(self, tag: str) -> None:
        """The broker has ended a consumer."""
        consumer = self._consumers.pop(tag.encode(), None)
        if consumer is not None and consumer.active:
            consumer.active = False
            self._tell_cancelled(consumer, ConsumerCancelled(f"queue {consumer.queue} is gone"))

    def flow(self, active: bool) -> None:
        """The broker asks to stop publishing, or to go on."""
        self._flowing = active

    def tell_room(self) -> None:
        """There is room again."""
        wanted, self._room_wanted = self._room_wanted, []
        for one in wanted:
            one.callback(None)

    def end(self, reason: AmqpError) -> None:
        """The channel is closed: whoever waits for something is told."""
        if self.reason is not None:
            return
        self.reason = reason
        if not isinstance(reason, ChannelGone):
            self._raw.close(reason)
        self._confirms.fail(reason)
        wanted, self._room_wanted = self._room_wanted, []
        for one in wanted:
            one.errback(reason)
        consumers, self._consumers = self._consumers, {}
        for consumer in consumers.values():
            if consumer.active:
                consumer.active = False
                self._tell_cancelled(consumer, reason)

    # Inside

    async def _call(self, method: str, **fields: Any) -> Any:
        if self.reason is not None:
            raise self.reason
        return await getattr(self._raw, method)(**fields)

    def _deliver(self, event: Deliveries) -> None:
        consumer = self._consumers.get(event.consumer)
        batch = event.batch
        if consumer is None or not consumer.active:
            # It was cancelled while these were on their way.
            for delivery in batch:
                self.nack(delivery.tag)
            return
        if any(delivery.oversized for delivery in batch):
            batch = self._without_oversized(batch)
            if not batch:
                return
        try:
            consumer.take(batch)
        except Exception:
            self.log.failure("queue {queue}: a consumer failed", queue=consumer.queue)
            Deferred.fromCoroutine(self.close()).addErrback(lambda failure: None)

    def _without_oversized(self, batch: list[Delivery]) -> list[Delivery]:
        kept = []
        for delivery in batch:
            if delivery.oversized:
                self.log.error("a message beyond the limit of size is rejected")
                self.reject(delivery.tag)
            else:
                kept.append(delivery)
        return kept

    def _tell_cancelled(self, consumer: Consumer, reason: AmqpError) -> None:
        try:
            consumer.cancelled(reason)
        except Exception:
            self.log.failure("queue {queue}: a consumer failed", queue=consumer.queue)
