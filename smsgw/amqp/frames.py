"""Frames from the broker: octets in, events out.

Theory of operation. What was read is walked once, by offset. A delivery is three frames: the
method, the content header with the body's size, the body, which may be any number of frames. Frames
of other channels may stand between, so what is incomplete is kept by channel. Deliveries to one
consumer that follow each other are one event. Only deliveries, returns and confirms are taken
apart here; other methods are passed on as they are, as they are rare.

What is kept is bounded: one incomplete frame of ``max_frame`` octets, and for each open channel a
body of ``max_body`` octets. A longer body is passed over, and its delivery says so.

After a fault nothing more is read; what came before it is still told.
"""

import struct

from attrs import define, field

from smsgw.amqp.errors import ProtocolFault
from smsgw.amqp.properties import Properties, decode_properties
from smsgw.amqp.tables import decode_short_string

FRAME_ERROR = 501
CHANNEL_ERROR = 504
UNEXPECTED_FRAME = 505
MAX_BODY = 16 * 1024 * 1024

_HEADER = struct.Struct("!BHL")
_TAG = struct.Struct("!Q")
_ACK = struct.Struct("!QB")
_CONTENT = struct.Struct("!HHQ")
_METHOD = struct.Struct("!L")
_DELIVER = 60 << 16 | 60
_CONFIRM = 60 << 16 | 80
_NACK = 60 << 16 | 120
_RETURN = 60 << 16 | 50


@define(eq=False)
class Delivery:
    """One message given to a consumer, to be acknowledged by its ``tag`` on the same channel."""

    tag: int
    redelivered: bool
    body: bytes
    # A body beyond the limit was not kept: ``body`` is empty.
    oversized: bool
    _envelope: bytes
    _header: bytes

    @property
    def exchange(self) -> str:
        """To which it was published; "" = straight to a queue."""
        return decode_short_string(self._envelope, 0)[0]

    @property
    def routing_key(self) -> str:
        """With which it was published."""
        at = decode_short_string(self._envelope, 0)[1]
        return decode_short_string(self._envelope, at)[0]

    @property
    def properties(self) -> Properties:
        """Raises ``ProtocolFault`` if the publisher or the broker wrote nonsense."""
        return decode_properties(self._header)


@define(eq=False)
class Deliveries:
    """To one consumer, in their order."""

    channel: int
    consumer: bytes
    batch: list[Delivery]


@define(eq=False)
class Confirm:
    """The broker has (``ack``) or has not taken what was published; ``multiple``: and all before
    it.
    """

    channel: int
    tag: int
    multiple: bool
    ack: bool


@define(eq=False)
class Return:
    """No queue took a message."""

    channel: int
    code: int
    text: str
    properties: Properties


@define(eq=False)
class MethodFrame:
    """Any other method."""

    channel: int
    payload: bytes


Event = Deliveries | Confirm | Return | MethodFrame


@define(eq=False)
class _Content:
    """A delivery or return whose content is still coming."""

    consumer: bytes | None  # None: a return
    tag: int
    redelivered: bool
    envelope: bytes
    header: bytes = b""
    left: int = -1  # octets of the body still to come, -1: the content header is
    parts: list[bytes] = field(factory=list)
    oversized: bool = False


class Reader:
    """Takes apart what one connection brings."""

    def __init__(self, max_frame: int = 131_072, max_body: int = MAX_BODY) -> None:
        """Bounds in octets: of a whole frame, of a message's body."""
        self.max_frame = max_frame
        self.max_body = max_body
        # Channels on which content may come.
        self.open: set[int] = set()
        # Why nothing more is read.
        self.fault: ProtocolFault | None = None
        self._chunks: list[bytes] = []
        self._held = 0
        self._needed = 0
        self._content: dict[int, _Content] = {}

    def forget(self, channel: int) -> None:
        """The channel is closed."""
        self.open.discard(channel)
        self._content.pop(channel, None)

    def receive(self, octets: bytes) -> list[Event]:
        """What the octets complete; see ``fault`` afterwards."""
        events: list[Event] = []
        if self.fault is not None:
            return events
        if self._chunks:
            self._chunks.append(octets)
            self._held += len(octets)
            if self._held < self._needed:
                return events
            octets = b"".join(self._chunks)
            self._chunks.clear()
        try:
            at = self._walk(octets, events)
        except ProtocolFault as fault:
            self.fault = fault
            self._content.clear()
            return events
        if at < len(octets):
            self._chunks.append(octets[at:] if at else octets)
            self._held = len(octets) - at
        return events

    def _walk(self, buffer: bytes, events: list[Event]) -> int:
        """Reads the whole frames, and returns where the first incomplete one begins."""
        at, size, limit = 0, len(buffer), self.max_frame - 8
        unpack = _HEADER.unpack_from
        content = self._content
        last: Deliveries | None = None  # the last event, if more can be added to it
        while size - at >= 7:
            kind, channel, length = unpack(buffer, at)
            if length > limit or not 0 < kind < 4:
                _check(kind, channel, length, limit, buffer, at)
            start = at + 7
            end = start + length
            if end >= size:
                self._needed = end + 1 - at
                return at
            if buffer[end] != 0xCE:
                raise ProtocolFault(FRAME_ERROR, "a frame without its end")
            at = end + 1
            if kind == 8:
                continue
            partial = content.get(channel)
            if kind == 1:
                if partial is not None:
                    raise ProtocolFault(UNEXPECTED_FRAME, "a method where content was due")
                event = self._method(buffer, start, end, channel)
                if event is not None:
                    events.append(event)
                    last = None
                continue
            if partial is None:
                raise ProtocolFault(UNEXPECTED_FRAME, "content that belongs to no method")
            if kind == 2:
                if partial.left >= 0 or length < 14:
                    raise ProtocolFault(UNEXPECTED_FRAME, "a content header that is none")
                class_id, _weight, left = _CONTENT.unpack_from(buffer, start)
                if class_id != 60:
                    raise ProtocolFault(FRAME_ERROR, f"content of class {class_id}")
                partial.header = buffer[start + 12 : end]
                partial.left = left
                if left:
                    partial.oversized = left > self.max_body
                    continue
                body = b""
            else:
                partial.left -= length
                if partial.left < 0:
                    raise ProtocolFault(UNEXPECTED_FRAME, "a body longer than it should be")
                body = buffer[start:end]
                if partial.oversized:
                    body = b""
                if partial.left:
                    if body:
                        partial.parts.append(body)
                    continue
                if partial.parts:
                    partial.parts.append(body)
                    body = b"".join(partial.parts)
            del content[channel]
            consumer = partial.consumer
            if consumer is None:
                events.append(_returned(channel, partial))
                last = None
                continue
            delivery = Delivery(
                partial.tag,
                partial.redelivered,
                body,
                partial.oversized,
                partial.envelope,
                partial.header,
            )
            if last is not None and last.channel == channel and last.consumer == consumer:
                last.batch.append(delivery)
            else:
                last = Deliveries(channel, consumer, [delivery])
                events.append(last)
        self._needed = 8
        return at

    def _method(self, buffer: bytes, start: int, end: int, channel: int) -> Event | None:
        """Begins content, or tells of any other method."""
        if end - start < 4:
            raise ProtocolFault(FRAME_ERROR, "a method frame without a method")
        (method,) = _METHOD.unpack_from(buffer, start)
        if method == _DELIVER:
            tag_end = start + 5 + buffer[start + 4]
            if tag_end + 9 > end:
                raise ProtocolFault(FRAME_ERROR, "basic.deliver ends too early")
            (tag,) = _TAG.unpack_from(buffer, tag_end)
            self._begin(
                channel,
                _Content(
                    buffer[start + 5 : tag_end],
                    tag,
                    buffer[tag_end + 8] & 1 == 1,
                    buffer[tag_end + 9 : end],
                ),
            )
            return None
        if method in (_CONFIRM, _NACK):
            if end - start != 13:
                raise ProtocolFault(FRAME_ERROR, "a confirm that is none")
            tag, bits = _ACK.unpack_from(buffer, start + 4)
            return Confirm(channel, tag, bits & 1 == 1, method == _CONFIRM)
        if method == _RETURN:
            self._begin(channel, _Content(None, 0, False, buffer[start + 4 : end]))
            return None
        return MethodFrame(channel, buffer[start:end])

    def _begin(self, channel: int, content: _Content) -> None:
        if channel not in self.open:
            raise ProtocolFault(CHANNEL_ERROR, f"a message on channel {channel}, which is not open")
        self._content[channel] = content


def _check(kind: int, channel: int, length: int, limit: int, buffer: bytes, at: int) -> None:
    """Raises what is wrong with a frame's header, if anything is."""
    if kind == 8 and length <= limit:
        if channel or length:
            raise ProtocolFault(FRAME_ERROR, "a heartbeat that is none")
        return
    if kind == 0x41 and buffer[at : at + 4] == b"AMQP":
        version = ".".join(map(str, buffer[at + 5 : at + 8]))
        raise ProtocolFault(FRAME_ERROR, f"the broker speaks AMQP {version}, not 0.9.1")
    if not 0 < kind < 4 and kind != 8:
        raise ProtocolFault(FRAME_ERROR, f"no AMQP: {bytes(buffer[at : at + 16])!r}")
    raise ProtocolFault(FRAME_ERROR, f"a frame of {length} octets, {limit} are allowed")


def _returned(channel: int, content: _Content) -> Return:
    octets = content.envelope
    if len(octets) < 3:
        raise ProtocolFault(FRAME_ERROR, "basic.return ends too early")
    text = decode_short_string(octets, 2)[0]
    code = int.from_bytes(octets[:2], "big")
    return Return(channel, code, text, decode_properties(content.header))
