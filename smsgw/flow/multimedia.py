"""Multimedia: gives a carrier's queue to its MMSC, one mail for each message, and waits for its
responses.

Comes from: the carrier's queue, filled by ``accept`` and ``settle``. Goes on to: ``exchange`` with
the mail, ``settle`` with what became of it, ``mm4_answers`` with what the MMSC says later.

Theory of operation. The entry of a message stays in its queue until the MMSC has accepted the
message: with the SMTP server's 250 if no response is asked for, else with ``MM4_forward.RES``.
Meanwhile it is postponed: to the next try, or to the end of the time in which the response must
come. What it waits for, how often it was tried and repeated is its attempt count
(``mm4.transactions.Sending``), so all of it outlives a crash, and what may be sent twice is what
was being mailed (I2). When a postponed entry comes up that waits for its response, there was none.
A response finds the entry in the store or, because it may overtake the SMTP server's answer, among
those under way; then it settles it, and the answer that comes after it is of no account.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import trace
from smsgw.flow.exchange import carrier_peer
from smsgw.flow.former import ended
from smsgw.flow.mm4_entries import Mm4Entries, Outlets, UnderWay
from smsgw.flow.route import carrier_queue
from smsgw.flow.settle import Settlement
from smsgw.gathering import Gathering
from smsgw.message import Message
from smsgw.mm4 import mails
from smsgw.mm4.mails import To, TooLarge, Written
from smsgw.mm4.transactions import Act, Event, Phase, Sending, Step
from smsgw.mm4.words import RequestStatus
from smsgw.provisioning import Carrier
from smsgw.queues import Entry, Queues, Transaction
from smsgw.rules.limits import TokenBucket
from smsgw.s3 import Missing
from smsgw.smtp.client import Mail, Outcome, Result, temporary

_log = Logger()

WINDOW = 10  # mails under way to one carrier, whatever its form says: each may have 5 MB
_TEMPORARY = "cannot be read now"
_SMALL = 256 * 1024  # octets of media up to which a mail is written together with others


class Media(Protocol):
    """Where the media of messages are (``smsgw.media.MediaStore``)."""

    def get_here(self, digest: str) -> bytes:
        """The octets, on a thread of ``run``: it blocks. Raises ``Missing``, OSError."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Calls what takes CPU on a thread."""


class MultimediaSide(Mm4Entries):
    """A carrier of kind mm4: the consumer of its queue."""

    def __init__(
        self,
        form: Carrier,
        queues: Queues,
        settlement: Settlement,
        exchange: Outlets,
        media: Media,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(form, settlement, exchange, now)
        self._queue = carrier_queue(form.name)
        self._queues = queues
        self._media = media
        self.clock = clock
        self._writing: Gathering[Callable[[], Written], Written] = Gathering(
            lambda several: media.run(_each, several), WINDOW
        )
        self._share = 1.0
        self.bucket = _bucket(form.rate)
        self._wake: IDelayedCall | None = None
        self._stopping: Deferred[None] | None = None
        # Why the MMSC was not reached when it was tried last, "" if it was; and since when it is so
        # (ms, 0: never tried).
        self.failing = ""
        self.since = 0
        self.last = ""  # what the last mail came to, "" before the first
        # For operators, since the start of the gateway.
        self.sent = self.unanswered = 0

    @property
    def up(self) -> bool:
        """False if it could not be reached when it was tried last."""
        return not self.failing

    @property
    def state(self) -> str:
        """For operators: "idle" before the first mail, "up" or "down" by the last one."""
        if not self.since:
            return "idle"
        return "up" if self.up else "down"

    @property
    def window(self) -> int:
        """How many mails may be under way."""
        return min(self.form.window, WINDOW)

    @property
    def outstanding(self) -> int:
        """Mails under way."""
        return len(self.under_way)

    # What the queue sees

    @property
    def room(self) -> int:
        """How many more mails may be under way."""
        free = self.window - len(self.under_way)
        if self.bucket.rate and free > 0:
            now = self.clock.seconds()
            free = min(free, self.bucket.available(now))
            if free <= 0:
                self._wake_in(self.bucket.wait(now))
        return max(0, free)

    def take(self, entries: list[Entry]) -> None:
        """Begins to mail these."""
        self.bucket.spend(len(entries), self.clock.seconds())
        for entry in entries:
            one = self.under_way[entry.message.id] = UnderWay(entry)
            Deferred.fromCoroutine(self._handle(one)).addErrback(self._broken, one).addCallback(
                self._done, one
            )

    def start(self) -> None:
        """Begins."""
        self._queues.subscribe(self._queue, self)

    def adjust(self, form: Carrier) -> None:
        """Takes over a changed form."""
        self.form = form
        self._limit()
        self._queues.pump(self._queue)

    def share_rate(self, share: float) -> None:
        """This node mails this part (0 to 1) of what the carrier takes."""
        self._share = share
        self._limit()

    def _limit(self) -> None:
        rate = self.form.rate * self._share
        if rate != self.bucket.rate:
            self.bucket = _bucket(rate)

    def stop(self) -> Deferred[None]:
        """Takes nothing more; fires when nothing is under way."""
        self._queues.unsubscribe(self._queue, self)
        if self._wake is not None and self._wake.active():
            self._wake.cancel()
        self._wake = None
        if not self.under_way:
            return succeed(None)
        self._stopping = Deferred()
        return self._stopping

    def _wake_in(self, delay: float) -> None:
        if self._wake is None or not self._wake.active():
            self._wake = self.clock.callLater(max(0.005, delay), self._queues.pump, self._queue)

    def _broken(self, failure: Failure, one: UnderWay) -> None:
        _log.failure("carrier {carrier}: mailing", failure, carrier=self.form.name)
        if not one.answered:
            self._queues.give_back([one.entry])

    def _done(self, _: object, one: UnderWay) -> None:
        # A response that asks for another try may have had it taken again before this one ended.
        if self.under_way.get(one.entry.message.id) is one:
            del self.under_way[one.entry.message.id]
        if self._stopping is None:
            self._queues.pump(self._queue)
        elif not self.under_way and not self._stopping.called:
            self._stopping.callback(None)

    # One message

    async def _handle(self, one: UnderWay) -> None:
        """Mails the message of an entry, or ends it; fires when what became of it is durable."""
        entry = one.entry
        sending = Sending.of(entry.attempts)
        if entry.message.kind != "mms":
            await self._step(one, sending, Event.PERMANENT, RequestStatus.UNSUPPORTED_MESSAGE)
            return
        if ended(entry) or entry.part in entry.message.acknowledged:
            transaction = Transaction()
            self.settlement.let_go(entry, transaction, int(self._now() * 1000))
            await self.settlement.persist(transaction)
            return
        if sending.phase is not Phase.MAILED and entry.expires_at <= self._now() * 1000:
            await self.settlement.expire([entry])
            return
        if sending.phase is Phase.MAILED:
            self.unanswered += 1
            taken = self.taken_step(entry, sending, Event.SILENCE)
            if taken.act is not Act.REPEAT:
                await self._write(one, sending, taken, "no response")
                return
        event, why = await self._mail(entry.message)
        if self._stopping is not None and event is Event.TEMPORARY:
            return  # it is mailed again after a start
        await self._step(one, sending, event, why)

    async def _mail(self, message: Message) -> tuple[Event, str]:
        """Mails it once: what happened, and the words for it."""
        try:
            outcome = await self._sent(message, self.form.max_size)
            if 0 < outcome.limit < self.form.max_size and self.form.scale:
                # Its server takes less than its form says.
                outcome = await self._sent(message, outcome.limit)
        except TooLarge as error:
            self._say(message, str(error))
            return Event.PERMANENT, RequestStatus.CONTENT_NOT_ACCEPTED
        except Missing:
            # Its time is over, or a disk was lost; it will not come back.
            self._say(message, "its media are no more")
            return Event.PERMANENT, RequestStatus.CONTENT_NOT_ACCEPTED
        except OSError as error:
            self._say(message, f"its media: {error}")
            return Event.TEMPORARY, _TEMPORARY
        if outcome.result is Result.DELIVERED:
            return Event.TAKEN, ""
        self._say(message, f"{outcome.words} {outcome.text}" if outcome.code else outcome.words)
        if outcome.result is Result.PERMANENT:
            return Event.PERMANENT, outcome.words
        return Event.TEMPORARY, outcome.words

    async def _sent(self, message: Message, most: int) -> Outcome:
        """Mails it in ``most`` octets; what became of that. Raises ``TooLarge``, ``Missing``,
        OSError."""
        written = await self._written(message, most)
        outgoing = self._exchange.of(carrier_peer(self.form.name))
        if outgoing is None:
            return temporary("the carrier is no more")
        self.sent += 1
        if trace.on:
            trace.say("sent", message, carrier=self.form.name, part=0)
        mail = Mail(
            f"system-user@{self._domain}",
            [written.recipient],
            written.content,
            written.seven_bit,
        )
        outcomes: dict[str, Outcome] = await outgoing.send(mail)
        outcome = outcomes[written.recipient]
        self._reached(outcome)
        if trace.on:
            trace.say("answered", message, carrier=self.form.name, status=outcome.words)
        return outcome

    @property
    def _domain(self) -> str:
        return self._exchange.domain or "localhost"

    async def _written(self, message: Message, most: int) -> Written:
        kept = message.multimedia
        media = kept.media if kept else []
        form = self.form
        to = To(
            form.domain,
            form.country,
            form.sender,
            self.policy.ack,
            form.quote_ids,
            most,
            form.scale,
        )
        # Every mail has a name of its own, a repeat too.
        name = f"{message.id:x}.{int(self._now() * 1000):x}"

        def write() -> Written:
            octets = [self._media.get_here(one.digest) for one in media]
            return mails.forward(message, octets, to, self._domain, name)

        if sum(one.size for one in media) <= _SMALL:
            return await self._writing(write)
        written: Written = await self._media.run(write)
        return written

    def _reached(self, outcome: Outcome) -> None:
        self.last = f"{outcome.words} {outcome.text}" if outcome.code else outcome.text
        failing = "" if outcome.code else outcome.text
        if failing == self.failing and self.since:
            return
        if failing:
            _log.warn(
                "carrier {carrier}: not reached: {why}; tried again until it is",
                carrier=self.form.name,
                why=failing,
            )
        elif self.failing:
            _log.info("carrier {carrier}: reached again", carrier=self.form.name)
        self.failing = failing
        self.since = int(self._now() * 1000)

    def _say(self, message: Message, why: str) -> None:
        _log.info(
            "message {message_id}: not taken by {carrier}: {why}",
            message_id=str(message.id),
            carrier=self.form.name,
            why=why,
        )

    # What became of it

    async def _step(self, one: UnderWay, sending: Sending, event: Event, why: str) -> None:
        if not one.answered:
            taken = self.taken_step(one.entry, sending, event)
            await self._write(one, sending, taken, why)

    async def _write(self, one: UnderWay, sending: Sending, taken: Step, why: str) -> None:
        transaction = Transaction()
        transaction.changes.soon = True
        self.settle(one.entry, sending, taken, why, transaction)
        await self.settlement.persist(transaction)


def _bucket(rate: float) -> TokenBucket:
    return TokenBucket(rate, max(1.0, rate / 10))


def _each(several: list[Callable[[], Written]]) -> list[Written | Exception]:
    """What each of these gives or raises."""
    found: list[Written | Exception] = []
    for write in several:
        try:
            found.append(write())
        except Exception as error:
            found.append(error)
    return found
