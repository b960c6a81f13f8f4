"""Which queues of the broker are not trusted, and what is done to find out about them.

Theory of operation. RabbitMQ forgets a quorum queue that was made shortly before it was killed, yet
still lists it (see ``wire``). Nothing tells such a queue from one that is slow, so it is judged by
what was made when, and by what has no answer:

- A queue is *young* for ``YOUNG_S`` after it was made here. When the broker is lost, all that are
  young become *suspects*. One is cleared of it by any answer: a batch is confirmed, a consumer is
  begun, or it is made anew.
- A suspect has ``SOON_S`` to answer, others have what the wire gives them: a healthy one answers in
  milliseconds, and what waits for a broken one would wait for long. A batch that is not confirmed
  in that time is told to the wire, which makes the queue anew.
- Queues are asked for all at once. When the broker closes the connection meanwhile for a fault of
  its own (541), it does not say over which of those that have no answer: the suspects among them,
  or the only one there is, are *broken* then; of several others each is asked for *alone* from then
  on, so that the next end names it. One end is judged once, and an end of a connection on which an
  answer was late accuses nobody: the late one is known to be broken already.

A broken one is deleted and made anew by the wire before it is asked for again.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from twisted.internet.defer import Deferred, DeferredLock, TimeoutError
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from smsgw.amqp.connection import Connection
from smsgw.amqp.errors import ConnectionClosed

SOON_S = 4.0  # for what is asked about a suspect
YOUNG_S = 30.0  # a queue is, when it was made; a loss may be noticed two heartbeats late
_INTERNAL_ERROR = 541


class Asked(Protocol):
    """A queue that is asked for, to consume it. Compared by identity."""

    queue: str
    broken: bool  # it gave no answer, or was asked for as the broker closed the connection
    alone: bool  # it may have been the cause: it is asked for with no other of these


class Suspects:
    """The queues that may have been forgotten by the broker."""

    def __init__(self, reactor: IReactorTime, unconfirmed: Callable[[str], None]) -> None:
        """``unconfirmed`` is told of a suspect that has not answered for a batch in time."""
        self._reactor = reactor
        self._unconfirmed = unconfirmed
        self._young: deque[tuple[float, str]] = deque()  # when they were made
        self._queues: set[str] = set()  # young when the broker was lost, and not heard of since
        self._doubted: dict[str, IDelayedCall] = {}  # of those, what a batch is on its way to
        self._asked: set[Asked] = set()  # without an answer yet
        self._late: Connection | None = None  # on which an answer did not come in time
        self._blamed: Connection | None = None  # for whose end it is settled who may have caused it
        self.one_by_one = DeferredLock()  # held to ask for one that is to be alone

    def __contains__(self, queue: str) -> bool:
        return queue in self._queues

    # What becomes of them

    def made(self, queue: str) -> None:
        """It was not there, or is made anew: it works, but is young."""
        self._forget_old()
        self._young.append((self._reactor.seconds(), queue))
        self._works(queue)

    def broker_lost(self) -> None:
        """A connection to the broker has ended: what was made shortly before may be broken."""
        self._forget_old()
        self._queues.update(queue for _, queue in self._young)
        self._young.clear()

    def _forget_old(self) -> None:
        before = self._reactor.seconds() - YOUNG_S
        while self._young and self._young[0][0] < before:
            self._young.popleft()

    def _works(self, queue: str) -> None:
        """It has answered, or is new."""
        self._queues.discard(queue)
        call = self._doubted.pop(queue, None)
        if call is not None:
            call.cancel()

    # Batches

    def expect(self, queue: str, confirmed: "Deferred[None]") -> None:
        """A batch is on its way to this suspect."""
        if queue not in self._doubted:
            self._doubted[queue] = self._reactor.callLater(SOON_S, self._silent, queue)
        confirmed.addCallback(lambda _: self._works(queue))

    def _silent(self, queue: str) -> None:
        del self._doubted[queue]
        if queue in self._queues:
            self._unconfirmed(queue)

    def expect_nothing(self) -> None:
        """What was on its way has no answer any more."""
        for call in self._doubted.values():
            call.cancel()
        self._doubted.clear()

    # Consumers

    def within(self, queue: str, answer_s: float) -> float:
        """How long the queue has to answer, in seconds; ``answer_s`` is what a trusted one has."""
        return min(SOON_S, answer_s) if queue in self._queues else answer_s

    @contextmanager
    def asking(self, one: Asked, connection: Connection) -> Iterator[None]:
        """While it is asked for: learns from how that ends, and lets errors pass."""
        self._asked.add(one)
        try:
            yield
        except TimeoutError:
            self._late = connection
            raise
        except ConnectionClosed as error:
            if error.code == _INTERNAL_ERROR:
                self._blame(connection)
            raise
        finally:
            self._asked.discard(one)
        one.alone = False
        self._works(one.queue)

    def _blame(self, connection: Connection) -> None:
        """The broker closed the connection for a fault of its own: which queue was it?"""
        if self._blamed is connection:
            return
        self._blamed = connection
        asked = list(self._asked)
        suspects = [one for one in asked if one.queue in self._queues]
        # What did not answer in time is known already, and may end the connection still.
        if self._late is not connection and (suspects or len(asked) == 1):
            for one in suspects or asked:
                one.broken = True
        else:
            for one in asked:
                one.alone = True
