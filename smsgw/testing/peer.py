"""What the doubles share: an end of a connection without rules, an agenda, waiting for a condition.

The doubles speak by the codec alone, not by the gateway's session: they may say what a session
forbids, and a fault in the session does not hide behind the same fault at the other end.
"""

import heapq
import struct
from collections.abc import Callable, Sequence
from itertools import count
from socket import SO_LINGER, SOL_SOCKET
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from smsgw.smpp.codec import encode
from smsgw.smpp.faults import FramingFault, PduFault
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import Pdu

_NO_LINGER = struct.pack("ii", 1, 0)  # closing sends RST and drops what is not yet sent


class Watch:
    """Deferreds that fire when a condition comes true."""

    def __init__(self) -> None:
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def when(self, condition: Callable[[], bool]) -> "Deferred[None]":
        """Fires as soon as ``condition`` is true, at once if it is now."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append((condition, waiting))
        self.check()
        return waiting

    def check(self) -> None:
        """Look again: something has happened."""
        if not self._waiting:
            return
        fired = [(c, d) for c, d in self._waiting if c()]
        self._waiting = [pair for pair in self._waiting if pair not in fired]
        for _condition, waiting in fired:
            waiting.callback(None)


class Agenda:
    """Calls due at a time, with one timer for all of them."""

    def __init__(self, clock: IReactorTime, after: Callable[[], None]) -> None:
        """``after`` is called once whenever calls have been made."""
        self._clock = clock
        self._after = after
        self._calls: list[tuple[float, int, Callable[..., object], tuple[Any, ...]]] = []
        self._order = count()
        self._timer: IDelayedCall | None = None
        self._timer_at = 0.0

    def add(self, delay: float, call: Callable[..., object], *arguments: Any) -> None:
        """Make ``call`` after ``delay`` seconds."""
        at = self._clock.seconds() + delay
        heapq.heappush(self._calls, (at, next(self._order), call, arguments))
        if self._timer is None or at < self._timer_at:
            self._set()

    def cancel(self) -> None:
        """Forget everything."""
        self._calls.clear()
        self._set()

    def _set(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._calls:
            self._timer_at = self._calls[0][0]
            delay = max(0.0, self._timer_at - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._run)

    def _run(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._calls and self._calls[0][0] <= now:
            _at, _order, call, arguments = heapq.heappop(self._calls)
            call(*arguments)
        self._after()
        if self._timer is None:
            self._set()


class Peer(Protocol):
    """One end of a connection: PDUs in, PDUs or any octets out."""

    def __init__(self) -> None:
        self.framer = Framer()
        self.open = False
        self.faults: list[PduFault | FramingFault] = []
        self._sequence = 0

    def connectionMade(self) -> None:
        """The connection is there."""
        self.open = True
        no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if no_delay is not None:
            no_delay(True)

    def dataReceived(self, data: bytes) -> None:
        """Octets of the other end."""
        pdus = []
        for item in self.framer.feed(data):
            if isinstance(item, Pdu):
                pdus.append(item)
            else:
                self.faults.append(item)
        if pdus:
            self.pdus_received(pdus)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """The connection is gone."""
        self.open = False
        self.ended(reason.getErrorMessage())

    def pdus_received(self, pdus: Sequence[Pdu]) -> None:
        """PDUs of one read; for the subclass."""

    def ended(self, why: str) -> None:
        """The connection has ended; for the subclass."""

    def next_sequence(self) -> int:
        """The sequence number of the next request (1 to 0x7FFFFFFF, spec/smpp.md §1)."""
        self._sequence = self._sequence % 0x7FFFFFFF + 1
        return self._sequence

    def send(self, pdus: Sequence[Pdu]) -> None:
        """Write ``pdus`` as they are, in one write."""
        self.send_raw(b"".join([encode(pdu) for pdu in pdus]))

    def send_raw(self, octets: bytes) -> None:
        """Write any octets."""
        if self.open and self.transport is not None:
            self.transport.write(octets)

    def close(self) -> None:
        """End the connection once everything is written, without an unbind."""
        if self.open and self.transport is not None:
            self.transport.loseConnection()

    def reset(self) -> None:
        """End the connection at once, on TCP with RST."""
        if not self.open:
            return
        handle = getattr(self.transport, "getHandle", None)
        if handle is not None:
            handle().setsockopt(SOL_SOCKET, SO_LINGER, _NO_LINGER)
        abort = getattr(self.transport, "abortConnection", self.close)
        abort()
