"""The broker's side of the queues: two connections, a channel for each queue that is attended here.

Theory of operation. One connection publishes, the other consumes: a broker that is short of memory
stops reading from those that publish, and acknowledgements are to go on. Queues are made when they
are met: a batch that no queue takes comes back, and who consumes asks first.

A queue that is not there has lost what it had; ``lost`` is told before it is made. Neither has
anything one that cannot be used: RabbitMQ forgets a quorum queue that was made within the last
second before it was killed, yet still lists it; a consumer gets no answer, or a closed connection
(541), and a batch is never confirmed. Such a one is deleted and made anew; what was published and
not answered for is published again.

Which queue is such a one, and how long it has to answer, is said by ``suspects``.

Whatever is asked is answered within ``answer_s``, or taken for failed. A connection on which no
channel is opened in that time answers nothing else either, and is made anew.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, DeferredLock, TimeoutError, fail, gatherResults
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from smsgw.amqp.address import Address
from smsgw.amqp.channel import Channel
from smsgw.amqp.client import BrokerClient
from smsgw.amqp.connection import Connection
from smsgw.amqp.errors import (
    AccessRefused,
    AmqpError,
    ChannelClosed,
    ConnectionLost,
    NoRoom,
    NotFound,
    Returned,
)
from smsgw.amqp.frames import Delivery
from smsgw.amqp.topology import Conflict, Queue, Topology
from smsgw.provisioning.targets import masked
from smsgw.queues.arriving import Batch
from smsgw.queues.forms import NOBODY, PARKED, form_of
from smsgw.queues.outbox import unpack
from smsgw.queues.suspects import Suspects

_log = Logger()

PREFETCH = 500  # batches of one queue under way here
WINDOW = 1_000  # batches unconfirmed
ANSWER_S = 10.0  # for what is asked about a queue
LINGER_S = 60.0
_AGAIN_S = 1.0
_MAY_S = 2.0


class Told(Protocol):
    """Who is told of what becomes of the broker (``BrokerQueues``)."""

    def go(self) -> None:
        """There is room for batches."""

    def lost(self, queue: str) -> "Deferred[None]":
        """The broker has no entries of the queue."""


@define(eq=False)
class _Attended:
    """A queue that is consumed here."""

    queue: str
    arrived: Callable[[list[Batch]], None]
    channel: Channel | None = None
    lingering: IDelayedCall | None = None
    again: IDelayedCall | None = None  # it is begun then
    broken: bool = False  # see ``suspects.Asked``
    alone: bool = False
    refused: AmqpError | None = None  # why it is not consumed, as the log knows it
    asking: DeferredLock = field(factory=DeferredLock)


class BrokerWire:
    """See ``arriving.Wire``."""

    def __init__(self, address: Address, reactor: Any, prefix: str = "") -> None:
        """``prefix`` is put before the names of all queues: several gateways on one broker."""
        self._reactor = reactor
        self._prefix = prefix
        self.told: Told | None = None
        self.answer_s = ANSWER_S
        self.publishing = BrokerClient(
            address, reactor, self._begin_publishing, lost=lambda reason: self._unpublishing()
        )
        self.consuming = BrokerClient(
            address, reactor, self._begin_consuming, lost=lambda reason: self._unconsuming()
        )
        self._channel: Channel | None = None
        self._room_asked = False
        self._attended: dict[str, _Attended] = {}
        self._making: dict[str, DeferredLock] = {}
        self._mending: set[str] = set()
        self._suspects = Suspects(reactor, self._unconfirmed)
        # For operators, since the start.
        self.parked = 0

    def start(self) -> None:
        """Begins to connect."""
        self.publishing.startService()
        self.consuming.startService()

    def stop(self) -> "Deferred[Any]":
        """Fires when both connections are closed."""
        for one in self._attended.values():
            for call in (one.lingering, one.again):
                if call is not None and call.active():
                    call.cancel()
        self._attended.clear()
        self._suspects.expect_nothing()
        return gatherResults([self.publishing.stopService(), self.consuming.stopService()])

    @property
    def reason(self) -> str:
        """Why it does not work, "" if it does."""
        connection = self.publishing.connection
        blocked = connection.blocked if connection is not None else ""
        return self.publishing.reason or self.consuming.reason or blocked or self._unread()

    def _unread(self) -> str:
        """Why a queue is not read that this user has no right to read, "" if there is none. One
        that is of another kind is not told here: it is no fault of all of them."""
        for one in self._attended.values():
            if isinstance(one.refused, AccessRefused):
                return f"queue {masked(one.queue)}: {one.refused}"
        return ""

    @property
    def blocked(self) -> bool:
        """True if the broker takes nothing."""
        connection = self.publishing.connection
        return connection is not None and bool(connection.blocked)

    @property
    def unconfirmed(self) -> int:
        """Batches that the broker has not answered for."""
        return self._channel.unconfirmed if self._channel is not None else 0

    def name(self, queue: str) -> str:
        """What the queue is called on the broker."""
        return form_of(queue, self._prefix).name

    # Publishing

    async def _begin_publishing(self, connection: Connection) -> None:
        await Topology(queues=(Queue(self._prefix + PARKED),)).declare(connection)
        channel = await self._open(connection, confirms=True, window=WINDOW)
        # To a queue that nobody has: so a user without the right to publish is told of here, where
        # the broker counts as away and says why. One that is blocked reads nothing, so no answer
        # in time is none against it.
        with suppress(Returned, NoRoom, TimeoutError):
            await self._answer(channel.publish("", self._prefix + NOBODY, b""), _MAY_S)
        self._channel = channel
        self._room_asked = False
        # Not before it counts as connected.
        self._reactor.callLater(0, self._go)

    def _unpublishing(self) -> None:
        self._channel = None
        self._suspects.expect_nothing()
        self._suspects.broker_lost()

    def _go(self) -> None:
        if self.told is not None:
            self.told.go()

    @property
    def room(self) -> int:
        """See ``outbox.Publisher``."""
        channel = self._channel
        if channel is None or self.publishing.connection is None:
            return 0
        room = channel.room
        if not room and not self._room_asked:
            self._room_asked = True
            channel.when_room().addCallbacks(self._has_room, self._has_none, errbackArgs=(channel,))
        return room

    @property
    def answers(self) -> bool:
        """See ``outbox.Publisher``."""
        connection = self.publishing.connection
        return connection is not None and self._channel is not None and not connection.blocked

    def _has_room(self, _: None) -> None:
        self._room_asked = False
        self._go()

    def _has_none(self, failure: Any, channel: Channel) -> None:
        """The broker may close a channel alone (a right was revoked): nothing goes there now."""
        connection = self.publishing.connection
        if self._channel is channel and connection is not None and failure.check(ChannelClosed):
            connection.end(ConnectionLost(str(failure.value)))

    def publish(self, queue: str, body: bytes) -> "Deferred[None]":
        """See ``outbox.Publisher``."""
        channel = self._channel
        if channel is None:
            return fail(ConnectionLost("there is no connection"))
        done = channel.publish("", self.name(queue), body)
        if queue in self._suspects:
            self._suspects.expect(queue, done)
        return done

    def _unconfirmed(self, queue: str) -> None:
        if not self.blocked:
            self.mend(queue)

    def make(self, queue: str) -> "Deferred[None]":
        """See ``outbox.Publisher``."""
        connection = self.publishing.connection
        if connection is None:
            return fail(ConnectionLost("there is no connection"))
        return Deferred.fromCoroutine(self._make(connection, queue))

    def mend(self, queue: str) -> None:
        """See ``arriving.Wire``."""
        # The broker does not read the other one while a batch there goes nowhere.
        connection = self.consuming.connection
        if connection is not None and queue not in self._mending:
            self._mending.add(queue)
            made = Deferred.fromCoroutine(self._make(connection, queue, broken=True))
            made.addErrback(lambda failure: _log.warn("not made anew: {why}", why=failure.value))
            made.addCallback(lambda _: self._mending.discard(queue))

    # What is there

    async def _open(self, connection: Connection, **options: Any) -> Channel:
        """A new channel."""
        try:
            channel: Channel = await self._answer(connection.channel_for(**options))
        except TimeoutError:
            connection.end(ConnectionLost("no channel is opened"))
            raise
        return channel

    def _close(self, channel: Channel) -> None:
        """Whether it is answered is of no interest."""
        Deferred.fromCoroutine(self._answer(channel.close())).addErrback(lambda failure: None)

    async def _make(self, connection: Connection, queue: str, broken: bool = False) -> None:
        """Sees to it that the queue is there."""
        lock = self._making.setdefault(queue, DeferredLock())
        async with lock:
            form = form_of(queue, self._prefix)
            if broken:
                _log.warn("queue {name} cannot be used: it is made anew", name=masked(queue))
                channel = await self._open(connection)
                await self._answer(channel.delete_queue(form.name))
                self._close(channel)
                publishing = self.publishing.connection
                if self.unconfirmed and publishing is not None:
                    # Nothing more is read there: a new one takes what goes back to the outbox.
                    publishing.end(ConnectionLost("batches for a broken queue"))
            elif await self._is_there(connection, form.name):
                return
            if self.told is not None:
                await self.told.lost(queue)
            await self._answer(Topology(queues=(form,)).declare(connection))
            self._suspects.made(queue)
        one = self._attended.get(queue)
        if one is not None:
            one.broken = False
        if one is not None and one.channel is not None and self.consuming.connection is not None:
            # RabbitMQ does not always tell the consumer of a queue that is made anew at once.
            self._renew(one, self.consuming.connection)
        self._go()

    async def _is_there(self, connection: Connection, name: str) -> bool:
        channel = await self._open(connection)
        try:
            await self._answer(channel.declare_queue(name, passive=True))
        except NotFound:
            return False
        self._close(channel)
        return True

    async def _answer(self, asked: Awaitable[Any], within: float | None = None) -> Any:
        done = Deferred.fromCoroutine(_awaited(asked))
        return await done.addTimeout(within or self.answer_s, self._reactor)

    # Consuming

    async def _begin_consuming(self, connection: Connection) -> None:
        for one in self._attended.values():
            one.channel = None
        self._reactor.callLater(0, self._attend_all, connection)

    def _unconsuming(self) -> None:
        self._suspects.broker_lost()
        for one in self._attended.values():
            one.channel = None

    def _attend_all(self, connection: Connection) -> None:
        for one in list(self._attended.values()):
            self._begin(one, connection)

    def attend(self, queue: str, arrived: Callable[[list[Batch]], None]) -> None:
        """See ``arriving.Wire``."""
        found = self._attended.get(queue)
        if found is not None:
            found.arrived = arrived
            if found.lingering is not None:
                found.lingering.cancel()
                found.lingering = None
            return
        one = self._attended[queue] = _Attended(queue, arrived)
        if self.consuming.connection is not None:
            self._begin(one, self.consuming.connection)

    def leave(self, queue: str, linger: bool) -> None:
        """See ``arriving.Wire``."""
        one = self._attended.get(queue)
        if one is None:
            return
        if linger:
            if one.lingering is None:
                one.lingering = self._reactor.callLater(LINGER_S, self._end_linger, one)
            return
        if one.lingering is not None:
            one.lingering.cancel()
            one.lingering = None
        self._end(one)

    def _end_linger(self, one: _Attended) -> None:
        one.lingering = None
        self._end(one)

    def _end(self, one: _Attended) -> None:
        if self._attended.get(one.queue) is one:
            del self._attended[one.queue]
        if one.again is not None and one.again.active():
            one.again.cancel()
        channel, one.channel = one.channel, None
        if channel is not None:
            self._close(channel)

    def renew(self, queue: str) -> None:
        """See ``arriving.Wire``."""
        one = self._attended.get(queue)
        if one is not None and one.channel is not None and self.consuming.connection is not None:
            self._renew(one, self.consuming.connection)

    def _renew(self, one: _Attended, connection: Connection) -> None:
        channel, one.channel = one.channel, None
        if channel is not None:
            self._close(channel)
        self._begin(one, connection)

    def _begin(self, one: _Attended, connection: Connection) -> None:
        if self._attended.get(one.queue) is one and connection.reason is None:
            Deferred.fromCoroutine(self._consume(one, connection)).addErrback(
                self._not_begun, one, connection
            )

    async def _consume(self, one: _Attended, connection: Connection) -> None:
        async with one.asking:
            if one.channel is not None or self._attended.get(one.queue) is not one:
                return
            await self._make(connection, one.queue, one.broken)
            if one.alone:
                async with self._suspects.one_by_one:
                    await self._ask(one, connection)
            else:
                await self._ask(one, connection)

    async def _ask(self, one: _Attended, connection: Connection) -> None:
        within = self._suspects.within(one.queue, self.answer_s)
        channel = await self._open(connection, prefetch=PREFETCH)
        one.channel = channel
        asked = channel.consume(
            self.name(one.queue),
            partial(self._take, one, channel),
            lambda reason: self._cancelled(one, channel, reason),
        )
        try:
            with self._suspects.asking(one, connection):
                await self._answer(asked, within)
        except TimeoutError:
            if one.channel is channel:  # not made anew meanwhile
                one.channel = None
                one.broken = True
            self._close(channel)
            raise
        except AmqpError:
            if one.channel is channel:
                one.channel = None
            raise
        one.refused = None
        if self._attended.get(one.queue) is not one:  # left while it was begun
            self._close(channel)

    def _not_begun(self, failure: Any, one: _Attended, connection: Connection) -> None:
        if failure.check(Conflict, AccessRefused):
            # It is asked for each second: one line for each reason.
            if str(one.refused) != str(failure.value):
                _log.error("queue {name}: {why}", name=masked(one.queue), why=failure.value)
            one.refused = failure.value
        elif not failure.check(AmqpError, TimeoutError):
            _log.failure("queue {name}: not consumed", failure, name=masked(one.queue))
        self._begin_again(one, connection)

    def _begin_again(self, one: _Attended, connection: Connection) -> None:
        """In a while, if it is still wanted, and there is the connection."""
        if self._attended.get(one.queue) is not one or connection.reason is not None:
            return
        if one.again is None or not one.again.active():
            one.again = self._reactor.callLater(_AGAIN_S, self._begin, one, connection)

    def _cancelled(self, one: _Attended, channel: Channel, reason: AmqpError) -> None:
        """Its queue was deleted, or the channel has ended: for a batch that was unacknowledged for
        too long (``consumer_timeout``), for one. What is held here belongs to the batches that come
        again, and goes on."""
        if one.channel is not channel:
            return
        if isinstance(reason, ChannelClosed):
            _log.warn("queue {name}: subscribed anew: {why}", name=masked(one.queue), why=reason)
        one.channel = None
        connection = self.consuming.connection
        if connection is not None:
            self._begin_again(one, connection)

    def _take(self, one: _Attended, channel: Channel, deliveries: list[Delivery]) -> None:
        if one.channel is not channel:
            return  # left: it is closed, and they go back
        batches = []
        for delivery in deliveries:
            try:
                ids = unpack(delivery.body)
            except ValueError:
                self.parked += 1
                _log.error(
                    "queue {name}: what came is no batch of entries; see the queue {parked}",
                    name=masked(one.queue),
                    parked=self._prefix + PARKED,
                )
                channel.reject(delivery.tag)
            else:
                batches.append(Batch(ids, partial(channel.ack, delivery.tag)))
        if batches:
            one.arrived(batches)


async def _awaited(asked: Awaitable[Any]) -> Any:
    return await asked
