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

    def __init__(self, ask: Callable[[list[A]], Deferred[list[R | Exception]]], most: int) -> None:
        """``ask`` answers a list in its order, an exception for what fails alone; it gets ``most``
        at a time."""
        self._ask = ask
        self._most = most
        self._asking = False
        self._waiting: list[tuple[A, Deferred[R]]] = []

    def __call__(self, question: A) -> Deferred[R]:
        """Fires with the answer to this one, or fails."""
        answer: Deferred[R] = Deferred()
        self._waiting.append((question, answer))
        self._go()
        return answer

    def _go(self) -> None:
        while self._waiting and not self._asking:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            self._asking = True
            asked = maybeDeferred(self._ask, [question for question, _ in batch])
            asked.addBoth(self._answered, batch).addErrback(
                lambda failure: _log.failure("asking for several", failure)
            )

    def _answered(
        self, answers: list[R | Exception] | Failure, batch: list[tuple[A, Deferred[R]]]
    ) -> None:
        self._asking = False
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
