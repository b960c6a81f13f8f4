"""Mails to one destination, over a few connections that are used again.

A destination is an MMSC or a relay. Its mails wait in order; a connection that is ready takes the
next one, and more connections are made while mails wait, up to the bound. One that has carried
enough mails, or has been idle for a while, is ended. A mail that an idle connection turns out not
to carry any more, because the server has closed it, goes on another one.
"""

from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.outward import TLS_FAILED, why
from smsgw.smtp.client import (
    ANSWER_S,
    Job,
    Mail,
    Outcome,
    Place,
    Result,
    SmtpLink,
    connect,
    outcome_of,
    temporary,
)
from smsgw.smtp.exchangers import TakesNoMail, exchangers

_log = Logger()

MAILS = 100  # on one connection (spec/mm4.md §7)
IDLE_S = 30.0
CONNECTIONS = 4
CONNECT_S = 60.0

Places = Callable[[], Awaitable[Sequence[Place]]]
_STOPPING = temporary("stopping")


def places_of(domain: str, place: Place, resolver: Any = None) -> Places:
    """The exchangers of a domain, each spoken to as ``place``, or the host that ``place`` names."""

    async def found() -> Sequence[Place]:
        if place.host:
            return [place]
        return [evolve(place, host=host) for host in await exchangers(domain, resolver)]

    return found


class Outgoing:
    """All mails to one destination."""

    def __init__(
        self,
        reactor: Any,
        places: Places,
        identity: str,
        connections: int = CONNECTIONS,
        mails: int = MAILS,
        idle_s: float = IDLE_S,
        answer_s: float = ANSWER_S,
        results: Counter[Result] | None = None,
    ) -> None:
        """``identity`` is said with EHLO; ``answer_s`` is how long one answer may take.
        ``results`` counts what becomes of recipients, together with other destinations."""
        self._reactor = reactor
        self._places = places
        self._identity = identity
        self._most = connections
        self._mails = mails
        self._idle_s = idle_s
        self._answer_s = answer_s
        self._waiting: deque[Job] = deque()
        self._links: set[SmtpLink] = set()
        self._idle: dict[SmtpLink, Any] = {}  # and the timer that ends it
        self._connecting = 0
        # How to end each connection that takes no mails yet.
        self._making: set[Callable[[], object]] = set()
        self._stopping: Deferred[None] | None = None
        self.results: Counter[Result] = Counter() if results is None else results

    @property
    def waiting(self) -> int:
        """How many mails no connection has taken yet."""
        return len(self._waiting)

    @property
    def states(self) -> dict[str, int]:
        """How many connections there are, by what they do."""
        idle = len(self._idle)
        return {"connecting": self._connecting, "busy": len(self._links) - idle, "idle": idle}

    @property
    def connections(self) -> int:
        """How many there are, those being made included."""
        return len(self._links) + self._connecting

    def send(self, mail: Mail) -> Deferred[dict[str, Outcome]]:
        """Fires with what became of each recipient; it does not fail."""
        job = Job(mail)
        job.done.addCallback(self._count)
        if self._stopping is not None:
            job.end_all(_STOPPING)
            return job.done
        self._give(job)
        return job.done

    def stop(self) -> Deferred[None]:
        """Ends the connections, those that carry a mail after it; fires when there are none."""
        if self._stopping is None:
            self._stopping = Deferred()
            self._fail_waiting(_STOPPING)
            for link in list(self._idle):
                self._end(link)
            # There is nothing that they could carry, and a server may be long silent.
            for end in list(self._making):
                end()
            self._look_if_over()
        return self._stopping

    def abort(self) -> None:
        """Ends all connections at once."""
        for link in list(self._links):
            link.abort()

    def _count(self, outcomes: dict[str, Outcome]) -> dict[str, Outcome]:
        self.results.update(one.result for one in outcomes.values())
        return outcomes

    def _give(self, job: Job) -> None:
        while self._idle:
            link, timer = self._idle.popitem()
            timer.cancel()
            if link.idle:
                link.take(job)
                return
        self._waiting.append(job)
        self._grow()

    def _grow(self) -> None:
        if self._connecting < len(self._waiting) and self.connections < self._most:
            self._connecting += 1
            Deferred.fromCoroutine(self._connect()).addErrback(
                lambda failure: _log.failure("SMTP: connecting", failure)
            )

    async def _connect(self) -> None:
        why_not = temporary("no mail exchanger")
        ready = False
        try:
            for place in await self._places():
                why_not = temporary(await self._ready(place))
                if why_not.text == TLS_FAILED and place.tls == "offered" and not place.username:
                    # In clear is better than not at all, where TLS is only offered.
                    why_not = temporary(await self._ready(evolve(place, tls="none")))
                ready = not why_not.text
                if ready:
                    break
        except TakesNoMail as fault:
            why_not = outcome_of(556, str(fault))
        finally:
            self._connecting -= 1
            if not ready and not self._links:
                self._fail_waiting(why_not)
            # A server that takes no more connections is not asked without pause: what waits goes by
            # those there are, and the next mail, or the end of one of them, tries again.
            if ready:
                self._grow()
            self._look_if_over()

    async def _ready(self, place: Place) -> str:
        """Makes a connection; "" once it takes mails, else why it does not."""
        if self._stopping is not None:
            return _STOPPING.text
        ready: Deferred[str] = Deferred()

        def next_job(link: SmtpLink) -> Job | None:
            if link in self._links:
                return self._next(link)
            self._links.add(link)
            # First: a mail that still waited would have another connection made for it.
            job = self._next(link)
            ready.callback("")
            return job

        def gone(link: SmtpLink, job: Job | None, words: str) -> None:
            if link in self._links:
                self._gone(link, job, words)
            else:
                ready.callback(words)

        try:
            connecting = connect(
                self._reactor,
                place,
                lambda context: SmtpLink(
                    place, self._identity, self._reactor, next_job, gone, self._answer_s, context
                ),
            )
            late = self._reactor.callLater(CONNECT_S, connecting.cancel)
            self._making.add(connecting.cancel)
            try:
                link = await connecting
            finally:
                self._making.discard(connecting.cancel)
                if late.active():
                    late.cancel()
        except Exception as fault:
            words = why(fault) or str(fault) or type(fault).__name__
        else:
            self._making.add(link.abort)
            words = await ready
            self._making.discard(link.abort)
        if words:
            _log.info("SMTP to {host}:{port}: {why}", host=place.host, port=place.port, why=words)
        return words

    def _next(self, link: SmtpLink) -> Job | None:
        """What a connection that is ready is to carry."""
        if link.mails >= self._mails or self._stopping is not None:
            self._reactor.callLater(0, link.quit)
            return None
        if self._waiting:
            return self._waiting.popleft()
        self._idle[link] = self._reactor.callLater(self._idle_s, self._end, link)
        return None

    def _end(self, link: SmtpLink) -> None:
        timer = self._idle.pop(link, None)
        if timer is not None and timer.active():
            timer.cancel()
        link.quit()

    def _gone(self, link: SmtpLink, job: Job | None, words: str) -> None:
        self._links.discard(link)
        timer = self._idle.pop(link, None)
        if timer is not None and timer.active():
            timer.cancel()
        if job is not None and not job.answered and not job.again and self._stopping is None:
            job.again = True
            self._waiting.appendleft(job)
        elif job is not None:
            job.end_all(temporary(words))
        self._grow()
        self._look_if_over()

    def _fail_waiting(self, outcome: Outcome) -> None:
        waiting, self._waiting = self._waiting, deque()
        for job in waiting:
            job.end_all(outcome)

    def _look_if_over(self) -> None:
        if self._stopping is not None and not self.connections and not self._stopping.called:
            self._fail_waiting(_STOPPING)
            self._stopping.callback(None)
