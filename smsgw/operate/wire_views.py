"""The wire view for operators: PDUs of live sessions as lines of JSON."""

from collections.abc import Callable
from typing import Any

import msgspec
from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smsgw.smpp.shown import shown
from smsgw.smpp.trace import Frame, Subject, Traces, Watch

SECONDS = 60  # how long a trace lasts by default
LONGEST_S = 3600
_GATHER_S = 0.05  # how long frames are gathered for one line after the other
_QUIET_S = 15.0  # after which an empty line says that the trace goes on
_MOST = 200  # frames at a time, so that a busy trace does not hold up the sessions


@define
class WireView:
    """One line: a PDU, an ``event`` of a connection, or ``lost`` frames that did not fit.

    ``peer`` is the other end of the connection, ``serving`` says that it is a client of ours.
    ``octets`` are hex, with what is masked in its place.
    """

    at: int = 0  # ms since 1970 UTC
    connection: int = 0
    peer: str = ""
    serving: bool = True
    sent: bool = False  # by the gateway
    pdu: str = ""  # "submit_sm"
    status: str = ""
    sequence: int = 0
    fields: dict[str, Any] = field(factory=dict)
    fault: str = ""
    octets: str = ""
    event: str = ""
    lost: int = 0


def view(frame: Frame, text: bool) -> WireView:
    """A frame as it is shown; ``text``: with the texts of messages."""
    one = WireView(
        round(frame.at * 1000),
        frame.connection,
        frame.peer,
        frame.serving,
        frame.sent,
        event=frame.event,
    )
    if frame.event:
        return one
    pdu = shown(frame.octets, frame.tlvs, text)
    one.pdu, one.status, one.sequence = pdu.pdu, pdu.status, pdu.sequence
    one.fields, one.fault, one.octets = pdu.fields, pdu.fault, pdu.octets.hex()
    return one


class WireTrace:
    """One trace under way: a body for the admin API to stream (``http.site.Stream``)."""

    def __init__(
        self, traces: Traces, subject: Subject, seconds: float, text: bool, clock: IReactorTime
    ) -> None:
        """Begins. Raises ``TooManyWatchers``."""
        self._traces = traces
        self._watch: Watch | None = traces.start(subject)
        self._text = text
        self._clock = clock
        self._wake: Callable[[], None] = lambda: None
        self._calls: dict[str, IDelayedCall] = {}
        self._quiet = False
        self._watch.wake = self._something
        self._later("end", seconds, self._over)
        self._later("quiet", _QUIET_S, self._still_here)

    def pull(self, wake: Callable[[], None]) -> bytes | None:
        """See ``Stream``."""
        self._wake = wake
        watch = self._watch
        if watch is None:
            return None
        quiet, self._quiet = self._quiet, False
        if "gather" in self._calls:
            return b"\n" if quiet else b""
        frames, lost = watch.take(_MOST)
        views = [view(frame, self._text) for frame in frames]
        if lost:
            views.append(WireView(round(self._traces.now() * 1000), lost=lost))
        if len(frames) == _MOST:
            # The rest waits for its turn, and the sessions come first.
            self._later("gather", 0, self._gathered)
        lines = b"".join([msgspec.json.encode(one) + b"\n" for one in views])
        return lines or (b"\n" if quiet else b"")

    def stop(self) -> None:
        """See ``Stream``."""
        watch, self._watch = self._watch, None
        if watch is not None:
            self._traces.stop(watch)
        for call in self._calls.values():
            call.cancel()
        self._calls.clear()

    def _later(self, name: str, seconds: float, function: Callable[[], None]) -> None:
        def now() -> None:
            del self._calls[name]
            function()

        self._calls[name] = self._clock.callLater(seconds, now)

    def _something(self) -> None:
        if "gather" not in self._calls:
            self._later("gather", _GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._wake()

    def _still_here(self) -> None:
        self._later("quiet", _QUIET_S, self._still_here)
        self._quiet = True
        self._wake()

    def _over(self) -> None:
        """What has been gathered is still told."""
        if (gather := self._calls.pop("gather", None)) is not None:
            gather.cancel()
        self._wake()
        wake = self._wake
        self.stop()
        wake()
