"""What the gateway asks of Twisted's reactor, which twistd has chosen by then."""

import errno
import time
from collections.abc import Callable
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.logger import Logger

_log = Logger()

_NEEDED = ("_selectables", "_poller", "_doReadOrWrite")


def steady(reactor: Any) -> None:
    """Let the reactor count time by a clock that never steps.

    Twisted's is the wall clock: at a step forward by half a minute every submit under way would be
    given up, and sent twice (I2); after one backward nothing would be due. Nothing has been
    scheduled yet, so no call is left with a time of the old clock.
    """
    reactor.seconds = time.monotonic


def direct(reactor: Any) -> None:
    """Let what epoll tells of go to its connection directly.

    Twisted makes a context of its old log for each event, so that a line says which protocol it is
    of. The gateway's own lines say it themselves, and it is a twentieth of what a small request
    costs. Any other reactor stays as it is.
    """
    # No subclass, which may have its own way, and no version of Twisted that is made otherwise.
    known = type(reactor) is EPollReactor and all(hasattr(reactor, name) for name in _NEEDED)
    if known and _of(reactor) is None:
        reactor.doIteration = _Direct(reactor).turn


# Called with False before the reactor waits for events. If one says True, that is to look for
# events without waiting first, and each is called with True when there are none, and no timer is
# due: there is nothing else to do.
BeforeWaiting = Callable[[bool], bool]


def before_waiting(reactor: Any, call: BeforeWaiting) -> bool:
    """Calls ``call`` in each turn of a reactor that is ``direct``, as the last thing before it
    waits. What hands work to a thread there does not hold that thread up: it needs the GIL, which
    the reactor gives up now and would otherwise keep for a while.

    False: any other reactor has no such place, and ``call`` is never called.
    """
    direct = _of(reactor)
    if direct is None:
        return False
    direct.calls.append(call)
    return True


def _of(reactor: Any) -> "_Direct | None":
    """What was made of a reactor that is ``direct``."""
    found = getattr(getattr(reactor, "doIteration", None), "__self__", None)
    return found if isinstance(found, _Direct) else None


class _Direct:
    """The turns of an epoll reactor."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self.calls: list[BeforeWaiting] = []

    def turn(self, timeout: float | None) -> None:
        """See ``EPollReactor.doPoll``."""
        reactor = self._reactor
        selectables = reactor._selectables
        try:
            events = self._wait(-1 if timeout is None else timeout, len(selectables))
        except OSError as error:
            if error.errno == errno.EINTR:
                return
            raise
        do = reactor._doReadOrWrite  # which logs what reading raises, and ends that connection
        for descriptor, event in events:
            selectable = selectables.get(descriptor)
            # One that was told of before may have ended it.
            if selectable is not None:
                try:
                    do(selectable, descriptor, event)
                except KeyboardInterrupt:
                    raise
                except BaseException:  # of the end of a connection; the others have their turn
                    _log.failure("{connection}: an event failed", connection=selectable)

    def _wait(self, timeout: float, most: int) -> list[tuple[int, int]]:
        """What epoll tells of within ``timeout`` seconds (-1: ever), ``most`` events."""
        poll: Callable[[float, int], list[tuple[int, int]]] = self._reactor._poller.poll
        if self._call(False):
            events = poll(0, most)
            if events or not timeout:
                return events
            self._call(True)
        return poll(timeout, most)

    def _call(self, nothing_else: bool) -> bool:
        again = False
        for call in self.calls:
            try:
                again = call(nothing_else) or again
            except Exception:
                _log.failure("before waiting: failed")
        return again
