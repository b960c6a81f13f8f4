"""What the gateway asks of Twisted's reactor, which twistd has chosen by then."""

import errno
import time
from functools import partial
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
    if type(reactor) is EPollReactor and all(hasattr(reactor, name) for name in _NEEDED):
        reactor.doIteration = partial(_poll, reactor)  # type: ignore[method-assign]


def _poll(reactor: Any, timeout: float | None) -> None:
    """See ``EPollReactor.doPoll``."""
    selectables = reactor._selectables
    try:
        events = reactor._poller.poll(-1 if timeout is None else timeout, len(selectables))
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
