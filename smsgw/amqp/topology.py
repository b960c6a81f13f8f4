"""What is declared on a broker: exchanges, queues, bindings. Declaring it again changes nothing."""

from collections.abc import Mapping
from typing import Any

from attrs import define, field

from smsgw.amqp.connection import Connection
from smsgw.amqp.errors import AmqpError, PreconditionFailed


class Conflict(AmqpError):
    """The broker has a queue or exchange of the name that is another kind; an operator must delete
    one of them.
    """


@define(frozen=True)
class Exchange:
    """``alternate`` is the exchange that gets what no binding takes; "" = it is returned."""

    name: str
    kind: str = "direct"  # fanout, topic, headers
    alternate: str = ""
    internal: bool = False

    @property
    def arguments(self) -> dict[str, Any]:
        """As RabbitMQ has them."""
        return {"alternate-exchange": self.alternate} if self.alternate else {}


@define(frozen=True)
class Queue:
    """A durable queue: ``quorum`` (replicated, every message on disk) or ``classic``.

    ``dead_letters`` is the exchange that gets what is rejected, has expired or was delivered more
    than ``delivery_limit`` times, with ``dead_letter_key`` or the message's own key; without it
    such a message is dropped. With ``single_active`` only one consumer at a time is given messages,
    and another takes over when it goes.
    """

    name: str
    kind: str = "quorum"
    dead_letters: str | None = None  # "" is the default exchange: a queue's name is its key
    dead_letter_key: str = ""
    delivery_limit: int = 0  # 0: none
    single_active: bool = False
    max_length: int = 0  # messages, 0: any number; what is published beyond it is nacked
    expires_ms: int = 0  # an unused queue goes, 0: never
    more: Mapping[str, Any] = field(factory=dict)

    @property
    def arguments(self) -> dict[str, Any]:
        """As RabbitMQ has them."""
        found: dict[str, Any] = {"x-queue-type": self.kind}
        if self.dead_letters is not None:
            found["x-dead-letter-exchange"] = self.dead_letters
            if self.dead_letter_key:
                found["x-dead-letter-routing-key"] = self.dead_letter_key
        if self.delivery_limit:
            found["x-delivery-limit"] = self.delivery_limit
        if self.single_active:
            found["x-single-active-consumer"] = True
        if self.max_length:
            found["x-max-length"] = self.max_length
            found["x-overflow"] = "reject-publish"
        if self.expires_ms:
            found["x-expires"] = self.expires_ms
        return {**found, **self.more}


@define(frozen=True)
class Binding:
    """What is published to the exchange with the key goes to the queue."""

    queue: str
    exchange: str
    key: str = ""


@define(frozen=True)
class Topology:
    """All that is to be there; exchanges before those that name them as alternate."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()

    async def declare(self, connection: Connection) -> None:
        """Makes what is missing. ``Conflict`` names what is there and is another."""
        channel = await connection.channel_for()
        what = ""
        try:
            for exchange in self.exchanges:
                what = f"exchange {exchange.name}"
                await channel.declare_exchange(
                    exchange.name,
                    exchange.kind,
                    internal=exchange.internal,
                    arguments=exchange.arguments,
                )
            for queue in self.queues:
                what = f"queue {queue.name}"
                await channel.declare_queue(queue.name, arguments=queue.arguments)
            for binding in self.bindings:
                what = f"binding of queue {binding.queue} to exchange {binding.exchange}"
                await channel.bind(binding.queue, binding.exchange, binding.key)
        except PreconditionFailed as error:
            raise Conflict(f"{what}: {error.text}") from None
        finally:
            await channel.close()
