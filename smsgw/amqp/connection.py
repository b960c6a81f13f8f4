"""One connection to a broker: txAMQP's client with frames, heartbeats and errors of our own.

Theory of operation. txAMQP's ``AMQClient`` keeps the channels, waits for the answers of methods and
leads through the handshake by its delegate. What goes over the wire is ours: ``Reader`` takes
apart what comes, ``Publisher`` and ``encode_method`` make what goes.

A connection ends once, by ``end``, whoever wanted it: at that moment every Deferred that anybody
waits for fails with the reason, a type of ``errors.py``, consumers are told, and ``when_ended``
fires. What is still to come of the socket is ignored, and it is aborted after ``GRACE_S`` if it
does not close.

While the broker is short of memory or disk it is *blocked*: it does not read any more. Then no
channel has room. As it reads nothing, acknowledgements of consumers on the same connection lie
too: publish and consume on two connections.
"""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from txamqp.client import Closed
from txamqp.message import Message
from txamqp.protocol import AMQChannel, AMQClient
from zope.interface import implementer

from smsgw.amqp.address import Login
from smsgw.amqp.calls import Calls, Outgoing
from smsgw.amqp.channel import Channel
from smsgw.amqp.delegate import ASKED, Delegate
from smsgw.amqp.errors import (
    AmqpError,
    ConnectionLost,
    MisuseError,
    ProtocolFault,
    Silent,
)
from smsgw.amqp.frames import CHANNEL_ERROR, MethodFrame, Reader
from smsgw.amqp.heartbeat import FRAME as HEARTBEAT
from smsgw.amqp.heartbeat import Heartbeat
from smsgw.amqp.methods import COMMAND_INVALID, decode_method, encode_method, specification

GRACE_S = 2.0  # for the last frames to leave
_PROTOCOL = b"AMQP\x00\x00\x09\x01"


@implementer(IPushProducer)
class Connection(AMQClient):
    """See the module. Made by a factory, opened by ``open``."""

    log = Logger()
    transport: Any  # of TCP or TLS
    channelClass = Calls  # noqa: N815 - txAMQP's name

    def __init__(self, login: Login, clock: IReactorTime) -> None:
        self.login = login
        self.server: dict[str, Any] = {}  # its properties: product, version, ...
        self.max_channel = 2047
        self.max_frame = login.max_frame
        self.heartbeat = login.heartbeat
        self.blocked = ""  # why the broker takes no messages now
        self.opened = False
        self.writable = False  # open, not blocked, and the socket takes octets
        self.reason: AmqpError | None = None  # why it is closed
        self._ended: list[Deferred[AmqpError]] = []
        AMQClient.__init__(self, Delegate(), login.vhost, specification(), clock=clock)
        self.outgoing = Outgoing(self)
        self._clock = clock
        self._reader = Reader(login.max_frame, login.max_body)
        self._heartbeat = Heartbeat(clock, self._send_heartbeat, self._silent)
        self._open: dict[int, Channel] = {}
        self._numbers: set[int] = set()  # of channels in use, those being closed too
        self._output_full = False
        self._timer: IDelayedCall | None = None
        self._waiting_room: set[Channel] = set()

    # For its user

    async def open(self) -> None:
        """Log in, once connected. Fails with an ``AmqpError``."""
        self._timer = self._clock.callLater(self.login.handshake_s, self._handshake_late)
        self.mechanism, self.response = self.login.mechanism, self.login.response
        self.locale = "en_US"
        if self.reason is not None:
            raise self.reason
        try:
            await self.started.wait()
        except Closed as closed:
            raise closed.args[0] from None
        await self.channels[0].connection_open(self.vhost)
        self._stop_timer()
        self.opened = True
        self._review()
        if self.heartbeat:
            self._heartbeat.start(self.heartbeat)

    async def channel_for(
        self, *, prefetch: int = 0, confirms: bool = False, window: int = 1000
    ) -> Channel:
        """Opens a channel. ``prefetch`` bounds what a consumer has unacknowledged (0 = nothing
        does); with ``confirms`` it can publish, ``window`` messages unconfirmed at most.
        """
        if self.reason is not None:
            raise self.reason
        if not self.opened:
            raise MisuseError("the connection is not open")
        number = next(
            (one for one in range(1, self.max_channel + 1) if one not in self._numbers), 0
        )
        if not number:
            raise MisuseError(f"all {self.max_channel} channels are in use")
        self._numbers.add(number)
        raw = self._add_channel(number)
        found = Channel(self, raw, number, self.max_frame, window)
        self._open[number] = found
        self._reader.open.add(number)
        await found.begin(prefetch, confirms)
        return found

    async def close(self, within: float = GRACE_S) -> None:
        """Say goodbye, and be closed after ``within`` seconds at most."""
        if self.reason is None and self.opened:
            self.writable = False
            self._timer = self._clock.callLater(
                within, self.end, ConnectionLost("closed by this end, without an answer")
            )
            try:
                await self.channels[0].connection_close(reply_code=200, reply_text="goodbye")
            except AmqpError:
                return
        self.end(ConnectionLost("closed by this end"))

    def when_ended(self) -> "Deferred[AmqpError]":
        """Fires with the reason when the connection is closed, now or later; never fails."""
        if self.reason is not None:
            return succeed(self.reason)
        ended: Deferred[AmqpError] = Deferred()
        self._ended.append(ended)
        return ended

    def write(self, octets: bytes) -> None:
        """To the broker; nothing once closed."""
        if self.reason is None:
            self._heartbeat.spoken = True
            self.transport.write(octets)

    def wants_room(self, channel: Channel) -> None:
        """The channel is to be told when it has room."""
        self._waiting_room.add(channel)

    # For the delegate and the channels

    def tuned(self, channels: int, frame: int, heartbeat: int) -> None:
        """What the broker proposes; 0 = it does not mind."""
        self.max_channel = min(self.max_channel, channels) if channels else self.max_channel
        self.max_frame = min(self.max_frame, frame) if frame else self.max_frame
        if self.max_frame < 4096:
            raise ProtocolFault(COMMAND_INVALID, f"frames of {frame} octets are too small")
        if heartbeat:
            self.heartbeat = min(self.heartbeat, heartbeat) if self.heartbeat else heartbeat
        self._reader.max_frame = self.max_frame

    def set_blocked(self, why: str) -> None:
        """The broker takes no messages now, or does again ("")."""
        self.blocked = why
        if why:
            self.log.warn("the broker takes no messages: {why}", why=why)
        else:
            self.log.info("the broker takes messages again")
        self._review()

    def channel_of(self, raw: AMQChannel) -> Channel:
        """Ours around txAMQP's. ``ProtocolFault`` if it is not open."""
        found = self._open.get(raw.id)
        if found is None:
            raise ProtocolFault(CHANNEL_ERROR, f"channel {raw.id} is not open")
        return found

    def drop(self, channel: Channel, reason: AmqpError) -> None:
        """The channel is closed, the other end knows."""
        self.leave(channel, reason)
        self._reader.forget(channel.number)
        self.channels.pop(channel.number, None)
        self._numbers.discard(channel.number)

    def leave(self, channel: Channel, reason: AmqpError) -> None:
        """Nothing of the channel is heard any more but the answer to its close."""
        self._open.pop(channel.number, None)
        self._waiting_room.discard(channel)
        channel.end(reason)

    def end(self, reason: AmqpError) -> None:
        """The connection is over: see the module."""
        if self.reason is not None:
            return
        self.reason = reason
        self.closed = True
        self.writable = False
        self._heartbeat.stop()
        self._stop_timer()
        if self.transport is not None:
            # Some transports tell connectionLost, which stops the timer, from within.
            self._timer = self._clock.callLater(GRACE_S, self._abort)
            self.transport.loseConnection()
        for channel in list(self._open.values()):
            self.leave(channel, reason)
        for raw in list(self.channels.values()):
            raw.close(reason)
        self.started.fail_if_not_fired(Closed(reason))
        ended, self._ended = self._ended, []
        for one in ended:
            one.callback(reason)

    # Twisted

    def connectionMade(self) -> None:
        """Twisted."""
        if ITCPTransport.providedBy(self.transport):
            self.transport.setTcpNoDelay(True)
        self.transport.registerProducer(self, True)
        self._add_channel(0)
        self.transport.write(_PROTOCOL)

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        if self.reason is not None:
            return
        self._heartbeat.heard = True
        reader = self._reader
        channels = self._open
        try:
            for event in reader.receive(data):
                if isinstance(event, MethodFrame):
                    self._method(event.channel, event.payload)
                else:
                    channel = channels.get(event.channel)
                    if channel is not None:
                        channel.received(event)
                    elif event.channel not in self._numbers:
                        raise ProtocolFault(CHANNEL_ERROR, f"channel {event.channel} is not open")
                if self.reason is not None:
                    return
        except ProtocolFault as fault:
            self._fault(fault)
            return
        if reader.fault is not None:
            self._fault(reader.fault)
        elif self._waiting_room:
            self._tell_room()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        clean = reason.check(ConnectionDone)
        text = "closed by the broker without a word" if clean else reason.getErrorMessage()
        self.end(ConnectionLost(text))
        self._stop_timer()
        if self.disconnected._result is None:
            self.disconnected.fire()

    def pauseProducing(self) -> None:
        """Twisted: the broker does not read as fast as we write."""
        self._output_full = True
        self._review()

    def resumeProducing(self) -> None:
        """Twisted: it does again."""
        self._output_full = False
        self._review()

    def stopProducing(self) -> None:
        """Twisted: the transport is closing."""

    # Inside

    def _add_channel(self, number: int) -> Calls:
        found: Calls = self.channelFactory(number, self.outgoing, self)
        self.channels[number] = found
        return found

    def _method(self, number: int, payload: bytes) -> None:
        method, values = decode_method(payload)
        name = f"{method.klass.name}.{method.name}"
        raw = self.channels.get(number)
        if raw is None:
            raise ProtocolFault(CHANNEL_ERROR, f"{name} on channel {number}, which is not open")
        if (method.klass.name == "connection") != (number == 0):
            raise ProtocolFault(COMMAND_INVALID, f"{name} on channel {number}")
        if method.response:
            raw.answered(method, values)
            return
        if number and number not in self._open:
            # It is being closed by this end: all but a close that crossed ours is late.
            if name == "channel.close":
                raw.channel_close_ok()
            return
        if method in _EARLY and self.started._result is not None:
            raise ProtocolFault(COMMAND_INVALID, f"{name} a second time")
        if name.replace(".", "_") not in ASKED:
            raise ProtocolFault(COMMAND_INVALID, f"{name} is not for a client")
        self.delegate.dispatch(raw, Message(method, values, None))

    def _fault(self, fault: ProtocolFault) -> None:
        """The broker broke the protocol: it is told, and left."""
        if self.reason is not None:
            return
        self.log.error("the broker broke the protocol: {why}", why=fault)
        if self.opened or self.started._result is not None:
            close = self.spec.classes.byname["connection"].methods.byname["close"]
            text = fault.text.encode("ascii", "replace")[:200].decode()
            self.write(encode_method(0, close, (fault.code, text, 0, 0)))
        self.end(fault)

    def _review(self) -> None:
        self.writable = (
            self.opened and self.reason is None and not self.blocked and not self._output_full
        )
        if self.writable and self._waiting_room:
            self._tell_room()

    def _tell_room(self) -> None:
        for channel in [one for one in self._waiting_room if one.room > 0]:
            self._waiting_room.discard(channel)
            channel.tell_room()

    def _send_heartbeat(self) -> None:
        self.transport.write(HEARTBEAT)

    def _silent(self) -> None:
        self.end(Silent(f"nothing heard for {2 * self.heartbeat} s"))
        self._abort()

    def _handshake_late(self) -> None:
        self._timer = None
        self.end(Silent(f"no login within {self.login.handshake_s:g} s"))
        self._abort()

    def _abort(self) -> None:
        self._stop_timer()
        if self.transport is not None:
            self.transport.abortConnection()

    def _stop_timer(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None and timer.active():
            timer.cancel()


_connection = specification().classes.byname["connection"].methods.byname
_EARLY = {_connection["start"], _connection["tune"]}
