"""Looks now and then whether the broker still does what was asked of it.

Theory of operation. RabbitMQ may be silent about what it lost: a consumer of a queue that another
node had to make anew is not always told that it is none any more, and a batch for a queue that lost
its inside is never answered for. So every ``LOOK_S``, queues are looked at that have entries and
brought nothing since the time before: where the store says that nobody has them, the consumer is
renewed, which costs nothing where nothing is under way. It is done less and less often, since
another node may have been given what waits. What becomes of queues that take nothing is the same
call's.

Where others use the store as well, the queues are counted, as they put and settle too.
"""

from collections.abc import Callable, Iterable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from smsgw.queues import rows
from smsgw.store.journal import Journal

_log = Logger()

LOOK_S = 10.0
_SELDOM = 32  # looks between two times that a queue is renewed, at most


class Watch:
    """Looks after the queues of a node."""

    def __init__(
        self,
        journal: Journal,
        clock: IReactorTime,
        shared: bool,
        counted: Callable[[Iterable[tuple[str, int]]], None],
        silent: Callable[[], list[str]],
        look: Callable[[list[str]], None],
    ) -> None:
        """``counted`` is given the size of each queue, ``look`` the silent ones that have entries
        nobody has; ``silent`` says which may be such."""
        self._journal = journal
        self._clock = clock
        self._shared = shared
        self._counted = counted
        self._silent = silent
        self._look = look
        self._timer: IDelayedCall | None = None
        # Looks at which a queue was found silent, one after the other.
        self._found: dict[str, int] = {}

    def start(self) -> None:
        """Begins to look."""
        self._timer = self._clock.callLater(LOOK_S, self._now)

    def stop(self) -> None:
        """Looks no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> None:
        self._timer = self._clock.callLater(LOOK_S, self._now)
        if self._shared:
            self._journal.run(rows.counts).addCallbacks(
                self._counted,
                lambda failure: _log.error("queues: not counted: {why}", why=failure.value),
            )
        self._found = {name: self._found.get(name, -1) + 1 for name in self._silent()}
        due = [name for name, times in self._found.items() if _is_due(times)]
        if not due:
            self._look([])
            return
        self._journal.run(lambda c: rows.silent(c, due)).addCallbacks(
            self._have_nobody,
            lambda failure: _log.error("queues: not looked at: {why}", why=failure.value),
        )

    def _have_nobody(self, names: list[str]) -> None:
        if self._timer is not None:
            still = set(self._silent())
            self._look([name for name in names if name in still])


def _is_due(times: int) -> bool:
    """True for 1, 2, 4, 8, ..., and then every so often."""
    return times > 0 and (times & (times - 1) == 0 or times % _SELDOM == 0)
