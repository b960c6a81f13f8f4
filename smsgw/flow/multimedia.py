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

from attrs import define
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import codes, trace
from smsgw.flow.exchange import carrier_peer
from smsgw.flow.former import ended
from smsgw.flow.route import carrier_queue
from smsgw.flow.settle import Settlement
from smsgw.gathering import Gathering
from smsgw.message import Message, MessageState, Receipt
from smsgw.mm4 import mails
from smsgw.mm4.mails import To, TooLarge, Written
from smsgw.mm4.transactions import Act, Event, Phase, Policy, Sending, Step, step
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
# What a carrier's refusal means in our codes, if its form does not say.
_CODES = {
    RequestStatus.SERVICE_DENIED: 104,
    RequestStatus.ADDRESS_UNRESOLVED: 206,
    RequestStatus.MESSAGE_NOT_FOUND: 222,
    RequestStatus.CONTENT_NOT_ACCEPTED: 202,
    RequestStatus.UNSUPPORTED_MESSAGE: 100,
    RequestStatus.FORMAT_CORRUPT: 127,
}


class Outlets(Protocol):
    """Gives the connections to peers (``flow.exchange.Exchange``)."""

    @property
    def domain(self) -> str:
        """Our own MMS domain, "" if there is none."""

    def of(self, peer: str) -> Any:
        """What has ``send``, as ``smtp.outgoing.Outgoing``; None if the peer is gone."""


class Media(Protocol):
    """Where the media of messages are (``smsgw.media.MediaStore``)."""

    def get_here(self, digest: str) -> bytes:
        """The octets, on a thread of ``run``: it blocks. Raises ``Missing``, OSError."""

    def run(self, function: Callable[..., Any], *arguments: Any) -> Deferred[Any]:
        """Calls what takes CPU on a thread."""


@define(eq=False)
class _UnderWay:
    """An entry that is being mailed; ``answered`` once a response or report has settled it."""

    entry: Entry
    answered: bool = False


class MultimediaSide:
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
        self.form = form
        self._queue = carrier_queue(form.name)
        self._queues = queues
        self.settlement = settlement
        self._exchange = exchange
        self._media = media
        self.clock = clock
        self._now = now
        self._writing: Gathering[Callable[[], Written], Written] = Gathering(
            lambda several: media.run(_each, several), WINDOW
        )
        self.bucket = TokenBucket(form.rate, max(1.0, form.rate / 10))
        self.under_way: dict[int, _UnderWay] = {}  # by message
        self._wake: IDelayedCall | None = None
        self._stopping: Deferred[None] | None = None
        # Why the MMSC was not reached when it was tried last, "" if it was; and since when it is so
        # (ms, 0: never tried).
        self.failing = ""
        self.since = 0
        self.last = ""  # what the last mail came to, "" before the first
        # For operators, since the start of the gateway.
        self.sent = self.refused = self.unanswered = 0
        self.responses = self.reports = 0

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

    @property
    def policy(self) -> Policy:
        """How it is treated. Without a domain of ours no response can come."""
        form = self.form
        return Policy(
            ack=form.ack and bool(self._exchange.domain),
            response_timeout_s=int(form.response_s),
            retry_s=tuple(form.retry_s),
            response_is_delivery=form.res_delivers,
        )

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
            one = self.under_way[entry.message.id] = _UnderWay(entry)
            Deferred.fromCoroutine(self._handle(one)).addErrback(self._broken, one).addCallback(
                self._done, one
            )

    def start(self) -> None:
        """Begins."""
        self._queues.subscribe(self._queue, self)

    def adjust(self, form: Carrier) -> None:
        """Takes over a changed form."""
        if form.rate != self.bucket.rate:
            self.bucket = TokenBucket(form.rate, max(1.0, form.rate / 10))
        self.form = form
        self._queues.pump(self._queue)

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

    def _broken(self, failure: Failure, one: _UnderWay) -> None:
        _log.failure("carrier {carrier}: mailing", failure, carrier=self.form.name)
        if not one.answered:
            self._queues.give_back([one.entry])

    def _done(self, _: object, one: _UnderWay) -> None:
        # A response that asks for another try may have had it taken again before this one ended.
        if self.under_way.get(one.entry.message.id) is one:
            del self.under_way[one.entry.message.id]
        if self._stopping is None:
            self._queues.pump(self._queue)
        elif not self.under_way and not self._stopping.called:
            self._stopping.callback(None)

    # One message

    async def _handle(self, one: _UnderWay) -> None:
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
            taken = self._taken_step(entry, sending, Event.SILENCE)
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

    def _taken_step(self, entry: Entry, sending: Sending, event: Event) -> Step:
        now = int(self._now() * 1000)
        return step(sending, event, now, entry.message.expires_at, self.policy)

    async def _step(self, one: _UnderWay, sending: Sending, event: Event, why: str) -> None:
        if not one.answered:
            taken = self._taken_step(one.entry, sending, event)
            await self._write(one, sending, taken, why)

    async def _write(self, one: _UnderWay, sending: Sending, taken: Step, why: str) -> None:
        transaction = Transaction()
        transaction.changes.soon = True
        self.settle(one.entry, sending, taken, why, transaction)
        await self.settlement.persist(transaction)

    def responded(self, entry: Entry, event: Event, why: str, transaction: Transaction) -> None:
        """A response or a report has come for a message whose entry is still there: under way, or
        claimed from its queue."""
        one = self.under_way.get(entry.message.id)
        if one is not None and one.entry is entry:
            one.answered = True
        sending = Sending.of(entry.attempts)
        if sending.phase is Phase.QUEUED and one is not None:
            # It overtakes the answer of the SMTP server.
            sending.phase = Phase.MAILED
        taken = self._taken_step(entry, sending, event)
        self.settle(entry, sending, taken, why, transaction)

    def settle(
        self, entry: Entry, sending: Sending, taken: Step, why: str, transaction: Transaction
    ) -> None:
        """Adds what is to be done about an entry to the transaction."""
        settlement, carrier, message = self.settlement, self.form.name, entry.message
        now = int(self._now() * 1000)
        act = taken.act
        if act in (Act.AWAIT, Act.RETRY, Act.REPEAT):
            entry.attempts = sending.attempts
            transaction.postpone(entry, taken.due, failed=False)
        elif act in (Act.ACKNOWLEDGE, Act.INTERIM, Act.REPORT):
            name = mails.transaction_id(message).encode()
            settlement.taken(entry, carrier, name, transaction, now)
            if act is Act.REPORT and self.form.res_delivers and not why:
                done = Receipt("", int(MessageState.DELIVERED), done_at=now)
                settlement.receipt(carrier, message, entry.part, done, transaction, now)
        elif act is Act.REJECT:
            self.refused += 1
            self.refuse(entry, why, transaction, now)
        elif act is Act.GIVE_UP:
            settlement.silent(entry, carrier, transaction, now)
        elif act is Act.EXPIRE:
            transaction.settled.append(entry)
            over = codes.VALIDITY_OVER
            settlement.failed(entry, carrier, MessageState.EXPIRED, over, "", transaction, now)
        else:
            # Nothing that changes anything: it waits on.
            transaction.postpone(entry, entry.due, failed=False)

    def refuse(self, entry: Entry, why: str, transaction: Transaction, now: int) -> None:
        """The carrier does not take the message, for good: the next one of the route gets it, or it
        is REJECTED (``spec/mm4.md`` §8)."""
        carrier = self.form.name
        if self.settlement.fail_over(entry, carrier, transaction, now):
            return
        transaction.settled.append(entry)
        own = self.settlement.tables().codes_of(carrier).own
        code = own.get(codes.error_key(why.removeprefix("SMTP ")))
        if code is None:
            standard = {str(word): number for word, number in _CODES.items()}
            code = standard.get(why, codes.REJECTED_BY_NEXT_HOP)
        self.settlement.failed(entry, carrier, MessageState.REJECTED, code, why, transaction, now)


def _each(several: list[Callable[[], Written]]) -> list[Written | Exception]:
    """What each of these gives or raises."""
    found: list[Written | Exception] = []
    for write in several:
        try:
            found.append(write())
        except Exception as error:
            found.append(error)
    return found
