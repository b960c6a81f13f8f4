"""Questions that cost as much for many as for one, asked together."""

from collections.abc import Callable
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

A = TypeVar("A")
R = TypeVar("R")
_log = Logger()


class Gathering(Generic[A, R]):
    """What is asked while an answer is awaited waits for it, and then goes with all that waits.

    One that asks alone waits for nobody.
    """

    def __init__(
        self,
        ask: Callable[[list[A]], Deferred[list[R | Exception]]],
        most: int,
        under_way: int = 1,
    ) -> None:
        """``ask`` answers a list in its order, an exception for what fails alone; it gets ``most``
        at a time, and is called ``under_way`` times at once at most."""
        self._ask = ask
        self._most = most
        self._free = under_way
        self._waiting: list[tuple[A, Deferred[R]]] = []

    def __call__(self, question: A) -> Deferred[R]:
        """Fires with the answer to this one, or fails."""
        answer: Deferred[R] = Deferred()
        self._waiting.append((question, answer))
        self._go()
        return answer

    def _go(self) -> None:
        while self._free and self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._free -= 1
            asked = maybeDeferred(self._ask, [question for question, _ in batch])
            asked.addBoth(self._answered, batch).addErrback(
                lambda failure: _log.failure("asking for several", failure)
            )

    def _answered(
        self, answers: list[R | Exception] | Failure, batch: list[tuple[A, Deferred[R]]]
    ) -> None:
        self._free += 1
        self._go()
        if isinstance(answers, Failure):
            for _, waiting in batch:
                waiting.errback(answers)
            return
        for answer, (_, waiting) in zip(answers, batch, strict=True):
            if isinstance(answer, Exception):
                waiting.errback(answer)
            else:
                waiting.callback(answer)
