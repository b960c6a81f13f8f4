"""What goes over SMPP connections, copied for whoever watches: the wire view.

Nobody watching is the rule, and costs a connection one test of an attribute at each read and each
write. While somebody watches an account or a carrier, its connections have a ``Tap``, which cuts
the octets into PDUs and puts copies into the watcher's buffer. That is bounded: what does not fit
is counted and lost, the session never waits.

A new client has a tap before anybody knows whose it is, because a bind that does not work is what
people most want to see. What it has said is held until a bind tells its account.
"""

from collections import deque
from collections.abc import Callable, Iterable
from struct import Struct
from typing import Protocol

from attrs import define, field, frozen

from smsgw.smpp.constants import HEADER, MAX_PDU, RESPONSE, Command

MOST = 4  # watchers at the same time
FRAMES = 20_000  # that wait for one watcher
OCTETS = 4_000_000
_HELD = 50  # frames of a client that is not known yet
_HELD_OCTETS = 1_000  # of each of them; a bind has less than 120

_header = Struct(">III").unpack_from
_BINDS = {Command.BIND_RECEIVER, Command.BIND_TRANSMITTER, Command.BIND_TRANSCEIVER}
_BOUND = {command | RESPONSE for command in _BINDS}
Subject = tuple[str, str]  # ("account" or "carrier", its name)


@frozen
class Frame:
    """One PDU, or an event of the connection; ``at`` is in seconds since 1970."""

    at: float
    connection: int  # tells connections apart
    peer: str
    serving: bool  # the gateway is the SMSC
    sent: bool  # by the gateway
    octets: bytes = b""
    tlvs: bool = True  # of a peer that speaks 3.4
    event: str = ""  # "connected", "closed: ..."; then there are no octets


class Tapped(Protocol):
    """What a tap needs of a connection."""

    peer: str
    tap: "Tap | None"

    @property
    def serving(self) -> bool:
        """True if it is a client's, False if it is ours to a carrier."""
        ...

    @property
    def unread(self) -> bytes:
        """Octets of a PDU that has not come whole."""
        ...

    @property
    def has_tlvs(self) -> bool:
        """True unless the session is one of 3.3."""
        ...


@define(eq=False)
class Watch:
    """One watcher: the frames that wait for it, and how many were lost."""

    subject: Subject
    dropped: int = 0
    wake: Callable[[], None] | None = None  # called when there is something again
    _frames: deque[Frame] = field(factory=deque)
    _octets: int = 0

    def add(self, frame: Frame) -> None:
        """Keep a frame, or count it."""
        size = len(frame.octets)
        if len(self._frames) >= FRAMES or self._octets + size > OCTETS:
            self.dropped += 1
            return
        self._frames.append(frame)
        self._octets += size
        if self.wake is not None and len(self._frames) == 1:
            self.wake()

    def take(self, most: int) -> tuple[list[Frame], int]:
        """The next frames, and how many were lost since the last call."""
        frames = [self._frames.popleft() for _ in range(min(most, len(self._frames)))]
        self._octets -= sum(len(frame.octets) for frame in frames)
        dropped, self.dropped = self.dropped, 0
        return frames, dropped


class TooManyWatchers(Exception):
    """``MOST`` are watching already."""


class Traces:
    """Who watches what on this node."""

    def __init__(
        self,
        connections: Callable[[Subject], Iterable[Tapped]],
        account_of: Callable[[str], str],
        now: Callable[[], float],
    ) -> None:
        """``connections`` gives those of a subject that are there now, ``account_of`` the account
        of a system_id, "" if there is none; ``now`` seconds since 1970.
        """
        self.watches: list[Watch] = []
        self.account_of = account_of
        self.now = now
        self._connections = connections
        self._taps: set[Tap] = set()
        self._number = 0

    def start(self, subject: Subject) -> Watch:
        """Begin to copy. Raises ``TooManyWatchers``."""
        if len(self.watches) >= MOST:
            raise TooManyWatchers
        watch = Watch(subject)
        self.watches.append(watch)
        for connection in self._connections(subject):
            if connection.tap is None:
                self._put_on(connection, subject)
        return watch

    def stop(self, watch: Watch) -> None:
        """Copy no more for it; does nothing the second time."""
        if watch not in self.watches:
            return
        self.watches.remove(watch)
        watch.wake = None
        for tap in list(self._taps):
            if not self.watches or (tap.subject and not self.wanted(tap.subject)):
                tap.take_off()

    def meet(self, connection: Tapped, carrier: str = "") -> None:
        """A new connection: to a carrier, or of a client whose account is not known yet."""
        if not self.watches:
            return
        subject = ("carrier", carrier) if carrier else None
        if subject is None or self.wanted(subject):
            self._put_on(connection, subject).event("connected")

    def wanted(self, subject: Subject) -> bool:
        """True if somebody watches it."""
        return any(watch.subject == subject for watch in self.watches)

    def _put_on(self, connection: Tapped, subject: Subject | None) -> "Tap":
        self._number += 1
        connection.tap = tap = Tap(self, connection, subject, self._number)
        self._taps.add(tap)
        return tap

    def gone(self, tap: "Tap") -> None:
        """It is no longer on a connection."""
        self._taps.discard(tap)


class Tap:
    """On one connection: cuts what is read and written into frames."""

    def __init__(
        self, traces: Traces, connection: Tapped, subject: Subject | None, number: int
    ) -> None:
        self.subject = subject
        self._traces = traces
        self._connection = connection
        self._number = number
        self._rest = connection.unread
        self._lost = False  # the boundaries of what is read
        self._held: deque[Frame] = deque(maxlen=_HELD)

    def received(self, data: bytes) -> None:
        """Octets of the peer."""
        data = self._rest + data
        start, size = 0, len(data)
        while start + HEADER <= size and not self._lost:
            length, command, _ = _header(data, start)
            if not HEADER <= length <= MAX_PDU:
                self._lost = True
                self._tell(data[start : start + HEADER], False)
                break
            if start + length > size:
                break
            pdu = data[start : start + length]
            start += length
            self._tell(pdu, False)
            if command in _BINDS and self._connection.serving:
                self._identify(pdu)
        self._rest = b"" if self._lost else data[start:]

    def sent(self, data: bytes) -> None:
        """Whole PDUs of ours."""
        start = 0
        while start < len(data):
            length, command, status = _header(data, start)
            self._tell(data[start : start + length], True)
            start += length
            if command in _BOUND and not status and self.subject is None:
                self.take_off()  # somebody's whom nobody watches
                return

    def closed(self, reason: str) -> None:
        """The connection is gone."""
        self.event(f"closed: {reason}")
        self.take_off()

    def event(self, what: str) -> None:
        """Something happened to the connection."""
        self._put(self._frame(b"", False, what))

    def take_off(self) -> None:
        """Copy no more."""
        self._connection.tap = None
        self._traces.gone(self)

    def _identify(self, bind: bytes) -> None:
        """From the bind on it is known whose the client is, or says that it is."""
        system_id = bind[HEADER:].partition(b"\0")[0].decode("latin-1")
        account = self._traces.account_of(system_id)
        subject = ("account", account) if account else None
        if subject is None or not self._traces.wanted(subject):
            self.subject = None
            return
        self.subject = subject
        held = list(self._held)
        self._held.clear()
        for frame in held:
            self._put(frame)

    def _tell(self, octets: bytes, sent: bool) -> None:
        if self.subject is None:
            octets = octets[:_HELD_OCTETS]
        self._put(self._frame(octets, sent, ""))

    def _frame(self, octets: bytes, sent: bool, event: str) -> Frame:
        connection = self._connection
        return Frame(
            self._traces.now(),
            self._number,
            connection.peer,
            connection.serving,
            sent,
            octets,
            connection.has_tlvs,
            event,
        )

    def _put(self, frame: Frame) -> None:
        if self.subject is None:
            self._held.append(frame)
            return
        for watch in self._traces.watches:
            if watch.subject == self.subject:
                watch.add(frame)
