"""Heartbeats: something is sent when nothing else was, and a silent peer is given up."""

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

# A frame without content on channel 0.
FRAME = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_QUARTERS_UNTIL_SILENT = 8  # two intervals
_QUARTERS_UNTIL_SENT = 2  # RabbitMQ sends one every half interval, too


class Heartbeat:
    """Of one connection. Reads and writes only set a mark; one timer looks at it, four times in an
    interval.
    """

    def __init__(
        self, clock: IReactorTime, send: Callable[[], None], silent: Callable[[], None]
    ) -> None:
        """``send`` is to write ``FRAME``; ``silent`` is told once that nothing was heard for two
        intervals, after which the heartbeat has stopped.
        """
        self.heard = False  # set by whoever reads
        self.spoken = False  # set by whoever writes
        self._clock = clock
        self._send = send
        self._silent = silent
        self._timer: IDelayedCall | None = None
        self._quarter = 0.0
        self._unheard = 0
        self._unspoken = 0

    def start(self, interval: float) -> None:
        """Seconds, as both ends have agreed."""
        self._quarter = interval / 4
        self._timer = self._clock.callLater(self._quarter, self._look)

    def stop(self) -> None:
        """Nothing happens any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        self._unheard = 0 if self.heard else self._unheard + 1
        self._unspoken = 0 if self.spoken else self._unspoken + 1
        self.heard = self.spoken = False
        if self._unheard >= _QUARTERS_UNTIL_SILENT:
            self._silent()
            return
        if self._unspoken >= _QUARTERS_UNTIL_SENT:
            self._unspoken = 0
            self._send()
        self._timer = self._clock.callLater(self._quarter, self._look)
