"""A question to a peer whether it is still there, and everybody who waits for the answer."""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime


class Probe:
    """Under way from its making until ``answered``."""

    def __init__(self, clock: IReactorTime, within_s: float, absent: Callable[[], None]) -> None:
        """``absent`` is called if nothing has been heard within these seconds."""
        self._timer = clock.callLater(within_s, absent)
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> "Deferred[None]":
        """Fires at ``answered``."""
        done: Deferred[None] = Deferred()
        self._waiting.append(done)
        return done

    def answered(self) -> None:
        """The peer is there, or known to be gone."""
        if self._timer.active():
            self._timer.cancel()
        for done in self._waiting:
            done.callback(None)
