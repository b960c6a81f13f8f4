"""Publishing: a message's frames, and what the broker has not confirmed yet."""

import struct

from twisted.internet.defer import Deferred

from smsgw.amqp.errors import NotPublished, ProtocolFault
from smsgw.amqp.properties import Compiled
from smsgw.amqp.tables import short_string

_HEADER = struct.Struct("!BHL")
_SIZE = struct.Struct("!Q")
_PREFIXES = 4096  # destinations whose frames are kept ready; beyond that all are built anew


class Publisher:
    """Builds the frames of messages on one channel."""

    def __init__(self, channel: int, max_frame: int) -> None:
        self._channel = channel
        self._chunk = max_frame - 8
        self._prefixes: dict[tuple[str, str, bool], bytes] = {}

    def frames(
        self, exchange: str, key: str, mandatory: bool, properties: Compiled, tag: int, body: bytes
    ) -> bytes:
        """``basic.publish``, content header, body. ``ValueError`` for a name beyond 255 octets."""
        prefix = self._prefixes.get((exchange, key, mandatory))
        if prefix is None:
            prefix = self._prefix(exchange, key, mandatory)
        message_id = b"%d" % tag
        size, digits = len(body), len(message_id)
        channel = self._channel
        head = (
            prefix
            + _HEADER.pack(2, channel, 13 + properties.size + digits)
            + b"\x00\x3c\x00\x00"
            + _SIZE.pack(size)
            + properties.head
            + bytes((digits,))
            + message_id
            + properties.tail
        )
        if size <= self._chunk:
            if not size:
                return head + b"\xce"
            return b"".join((head, b"\xce", _HEADER.pack(3, channel, size), body, b"\xce"))
        pieces = [head, b"\xce"]
        for at in range(0, size, self._chunk):
            piece = body[at : at + self._chunk]
            pieces += (_HEADER.pack(3, channel, len(piece)), piece, b"\xce")
        return b"".join(pieces)

    def _prefix(self, exchange: str, key: str, mandatory: bool) -> bytes:
        """The method's frame."""
        payload = b"".join(
            (
                b"\x00\x3c\x00\x28\x00\x00",
                short_string(exchange),
                short_string(key),
                b"\x01" if mandatory else b"\x00",
            )
        )
        prefix = _HEADER.pack(1, self._channel, len(payload)) + payload + b"\xce"
        if len(self._prefixes) >= _PREFIXES:
            self._prefixes.clear()
        self._prefixes[exchange, key, mandatory] = prefix
        return prefix


class Confirms:
    """Messages that the broker has not answered for, by their number on the channel."""

    def __init__(self) -> None:
        self.waiting: dict[int, Deferred[None]] = {}
        self.next = 1
        self._oldest = 1  # no number below it waits

    def add(self) -> "Deferred[None]":
        """The message ``next`` was sent: fires when the broker has it."""
        done = self.waiting[self.next] = Deferred()
        self.next += 1
        return done

    def settle(self, tag: int, multiple: bool, error: NotPublished | None = None) -> None:
        """The broker's answer; 0 with ``multiple`` means all. ``ProtocolFault`` for a number that
        was never sent.
        """
        if tag >= self.next or not (tag or multiple):
            raise ProtocolFault(503, f"a confirm of message {tag}, which was not sent")
        if not multiple:
            self._tell(tag, error)
            return
        last = tag or self.next - 1
        while self._oldest <= last:
            number = self._oldest
            self._oldest += 1
            self._tell(number, error)

    def returned(self, tag: int, error: NotPublished) -> None:
        """No queue took it; its confirm, which follows, finds nobody."""
        self._tell(tag, error)

    def fail(self, error: Exception) -> None:
        """None of them will be answered."""
        waiting, self.waiting = self.waiting, {}
        for done in waiting.values():
            done.errback(error)

    def _tell(self, number: int, error: NotPublished | None) -> None:
        done = self.waiting.pop(number, None)
        if done is None:
            return
        if error is None:
            done.callback(None)
        else:
            done.errback(error)
