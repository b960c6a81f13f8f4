"""Queues on a real RabbitMQ, and how to wait for them."""

from collections.abc import Awaitable, Callable

from sqlalchemy import select
from twisted.internet import reactor
from twisted.internet.task import Clock, deferLater

from smsgw.amqp.address import parse_address
from smsgw.queues import Place
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.dispatch import LOW
from smsgw.queues.wire import BrokerWire
from smsgw.store import schema
from smsgw.store.journal import Journal
from tests.amqp.rabbitmq import RabbitMq

_TRIES = 2_000


def a_wire(rabbit: RabbitMq, prefix: str, user: str = "guest") -> BrokerWire:
    """A way to it, not started; ``prefix`` keeps the queues of one test apart, ``user`` is his own
    password."""
    return BrokerWire(
        parse_address(f"amqp://{user}:{user}@127.0.0.1:{rabbit.port}/"), reactor, prefix
    )


async def quiet(
    queues: BrokerQueues, journal: Journal, clock: Clock, stored: Callable[[], Awaitable[None]]
) -> None:
    """Everything put so far is where it is to be; ``stored`` waits for the journal."""
    calm = 0
    for _ in range(_TRIES):
        clock.advance(0)
        await stored()
        calm = calm + 1 if await _still(queues, journal, int(clock.seconds() * 1000)) else 0
        if calm == 2:
            return
        await deferLater(reactor, 0.005)
    raise AssertionError("the queues come to no rest")


async def _still(queues: BrokerQueues, journal: Journal, now: int) -> bool:
    """True if nothing more is to come: consumers have what is due, or enough of it is ready."""
    if not queues.outbox.idle or queues._later.busy:
        return False
    c = schema.queue.c
    query = select(c.id, c.queue, c.place, c.due)
    rows = await journal.run(lambda connection: list(connection.execute(query)))
    for row in rows:
        q = queues._queues.get(row.queue)
        if q is None or row.id in q.held:
            continue
        if row.place == Place.LATER and row.due <= now:
            return False
        if row.place == Place.HANDED and q.consumers and len(q.ready) < LOW:
            return False
    return True
