"""The time of a session, and the one delayed call that stands at its next deadline.

While reading stands still the session's clock does too: answers that lie in the socket are not
late, and a peer that cannot be heard is not silent. A deadline that moves further away is noticed
when the call comes.
"""

from collections.abc import Callable
from math import inf

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class SessionTimer:
    """The clock and the alarm of one session."""

    def __init__(self, clock: IReactorTime, ring: Callable[[], None]) -> None:
        """``ring`` is called when the deadline has come."""
        self.due = inf  # when it rings, in the session's time
        self._clock = clock
        self._ring = ring
        self._call: IDelayedCall | None = None
        self._stopped_at = -1.0  # when the session's time stopped, -1 = it goes on
        self._lost = 0.0  # how long it has stood still so far

    @property
    def running(self) -> bool:
        """True if the session's time goes on."""
        return self._stopped_at < 0

    def now(self) -> float:
        """The session's time: that of the clock, without the times when it stood still."""
        now = self._clock.seconds() if self._stopped_at < 0 else self._stopped_at
        return now - self._lost

    def stand_still(self) -> None:
        """The session's time stops; nothing rings."""
        self._stopped_at = self._clock.seconds()
        self.clear()

    def go_on(self) -> None:
        """The session's time goes on from where it stopped; ``set`` is the caller's."""
        self._lost += self._clock.seconds() - self._stopped_at
        self._stopped_at = -1.0

    def set(self, due: float) -> None:
        """Rings at the deadline, and at no other time."""
        if due == inf or not self.running:
            return
        # Not less than a millisecond: the sum of two floats may fall just short of the deadline
        # again.
        delay = max(due - self.now(), 0.001)
        self.due = due
        if self._call is None:
            self._call = self._clock.callLater(delay, self._called)
        else:
            self._call.reset(delay)

    def clear(self) -> None:
        """Nothing rings any more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self.due = inf

    def _called(self) -> None:
        self._call = None
        self.due = inf
        self._ring()
