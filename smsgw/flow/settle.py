"""Settle: writes down what became of what was sent.

Comes from: ``send`` with a carrier's answers; ``receipts`` with final states; the clock, when
validity runs out. Goes on to: back to the carrier's queue (retry), the next carrier's (failover),
or ``ending``.
"""

import time
from collections.abc import Callable, Iterable

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smsgw import codes, trace
from smsgw.flow import dead, former, route
from smsgw.flow.awaited import Awaited, normalise
from smsgw.flow.ending import Endings
from smsgw.flow.money import Balances
from smsgw.flow.targets import (
    failed_part,
    tells_progress,
)
from smsgw.identities import Identities
from smsgw.message import Acknowledgement, Message, MessageState, Receipt
from smsgw.mm4.transactions import Phase, Sending
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.rules.tables import Tables
from smsgw.smpp.constants import TEMPORARY, status_name
from smsgw.smpp.pdu import DataSmResp, Pdu, SubmitSmResp
from smsgw.store import records
from smsgw.store.journal import Journal
from smsgw.store.records import FINAL_STATES, Records
from smsgw.text import reports

_log = Logger()

RETRY_S = (1, 2, 5, 10, 20, 30, 60)  # after temporary refusals; the last one again and again

# Receipts after which the next carrier may do better, and states in which it still can.
_UNDELIVERED = frozenset({MessageState.UNDELIVERABLE, MessageState.REJECTED, MessageState.EXPIRED})
_UNDER_WAY = frozenset({int(MessageState.ENROUTE), int(MessageState.ACCEPTED)})
_UNANSWERED = 5  # sends without an answer before the next carrier gets the message


class Settlement(Endings):
    """Keeps states and queue entries in step (I3)."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        known: Records,
        awaited: Awaited,
        identities: Identities,
        balances: Balances,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(tables, queues, known, identities, balances, clock, now)
        self._awaited = awaited
        # Message -> who waits for a carrier's answer to it.
        self._watched: dict[int, list[Deferred[None]]] = {}

    def settle(self, carrier: str, answers: list[tuple[Entry, Pdu | None]]) -> Deferred[None]:
        """Fires when the outcome of these sends is durable; tried again until the store takes it.

        An answer is the carrier's response, or None if none came: then the entry goes back to its
        queue.
        """
        now = int(self._now() * 1000)
        transaction = Transaction()
        transaction.changes.soon = True
        for entry, answer in answers:
            if trace.on:
                status = "none" if answer is None else status_name(answer.status)
                trace.say("answered", entry.message, carrier=carrier, status=status)
            if entry.message.former and former.ended(entry):
                self.let_go(entry, transaction, now)
            elif answer is None:
                self._unanswered(entry, carrier, transaction, now)
            elif answer.status == 0 and isinstance(answer, SubmitSmResp | DataSmResp):
                self.taken(entry, carrier, answer.message_id, transaction, now)
            elif answer.status in TEMPORARY:
                wait = RETRY_S[min(entry.attempts, len(RETRY_S) - 1)]
                transaction.postpone(entry, now + wait * 1000)
            else:
                self._refused(entry, carrier, answer.status, transaction, now)
        done = self.persist(transaction)
        if self._watched:
            done.addCallback(lambda _: self._answered(entry.message for entry, _ in answers))
        return done

    def when_answered(self, message: Message) -> Deferred[None]:
        """Fires once a carrier has taken a part of the message, or no carrier does any more; an
        edge that cannot wait for ever cancels it."""
        if message.acknowledged or message.state in FINAL_STATES:
            return succeed(None)
        waiting = self._watched.setdefault(message.id, [])

        def left(cancelled: Deferred[None]) -> None:
            waiting.remove(cancelled)
            if not waiting:
                self._watched.pop(message.id, None)

        waiting.append(Deferred(left))
        return waiting[-1]

    async def look_for_answers(self, journal: Journal) -> None:
        """Carriers may have answered other nodes: who waits here is told of what the store has.
        Raises ``StoreFailed``."""
        wanted = [*self._watched]
        if wanted:
            found = await journal.run(lambda connection: records.read(connection, wanted))
            self._answered(map(self._known.refresh, found))

    def _answered(self, messages: Iterable[Message]) -> None:
        """Carriers have answered for parts of these messages."""
        for message in messages:
            if message.acknowledged or message.state in FINAL_STATES:
                for waiting in self._watched.pop(message.id, ()):
                    waiting.callback(None)

    def _unanswered(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> None:
        """It may have arrived: of all that can be sent twice, these are the only ones (I2).

        Once is mostly the link's fault, so it goes out again at once; what has no answer again and
        again may be what breaks the link, and gives way to others.
        """
        if entry.attempts >= _UNANSWERED and self.fail_over(entry, carrier, transaction, now):
            transaction.put[-1].attempts = 1  # what may have arrived is not cancelled any more
            return
        wait = RETRY_S[min(entry.attempts, len(RETRY_S)) - 1] if entry.attempts else 0
        transaction.postpone(entry, now + wait * 1000)

    def taken(
        self, entry: Entry, carrier: str, carrier_id: bytes, transaction: Transaction, now: int
    ) -> None:
        """The carrier has taken a part, under this id."""
        message = entry.message
        form = self.tables().carriers.get(carrier)
        base = form.response_id if form is not None else "text"
        name = normalise(carrier_id.decode("latin-1"), base)
        acknowledgement = message.acknowledged[entry.part] = Acknowledgement(carrier, name, now)
        if form is not None and form.asked:
            acknowledgement.given = carrier_id.decode("latin-1")
        transaction.changes.parts.append((message.id, entry.part, carrier, name, now, 1))
        transaction.settled.append(entry)
        if tells_progress(message) and message.carrier_at and not message.former:
            self.hand_over(message, Kind.PROGRESS, transaction, now)
        # A carrier that gives no id cannot be matched.
        early = self._awaited.expect(carrier, name, message, entry.part, now) if name else None
        if early is not None:
            transaction.changes.early_matched.append((carrier, early.id))
            self.receipt(carrier, message, entry.part, early, transaction, now)
        elif len(message.parts) > 1:
            told = self._told_before(message, entry.part)
            if told is not None:
                message.acknowledged[entry.part].state = told
                transaction.changes.parts.append(former.part_row(message, entry.part))
            self.close_if_complete(message, transaction, now)

    def _told_before(self, message: Message, part: int) -> int | None:
        """The final state that the carrier has told already of what it knows by the same id: the
        receipt of a message that went in one piece is that of all its parts."""
        mine = message.acknowledged[part]
        for number, one in message.acknowledged.items():
            same = number != part and one.carrier == mine.carrier and mine.carrier_id
            if same and one.carrier_id == mine.carrier_id and MessageState(one.state).final:
                return one.state
        return None

    def ride(self, late: list[tuple[Entry, Acknowledgement]]) -> Deferred[None]:
        """Parts that came when the first one had brought their whole message already: what the
        carrier said of that holds for them."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        for entry, said in late:
            message = entry.message
            message.acknowledged[entry.part] = evolve(said)
            transaction.changes.parts.append(former.part_row(message, entry.part))
            transaction.settled.append(entry)
            self.close_if_complete(message, transaction, now)
        return self.persist(transaction)

    def _refused(
        self, entry: Entry, carrier: str, status: int, transaction: Transaction, now: int
    ) -> None:
        if self.fail_over(entry, carrier, transaction, now):
            return
        transaction.settled.append(entry)
        error = self.tables().codes_of(carrier).of_status(status)
        self.failed(
            entry, carrier, MessageState.UNDELIVERABLE, error, status_name(status), transaction, now
        )

    def silent(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> None:
        """A carrier was mailed a message again and again and never said that it has it: UNKNOWN,
        and no carrier acknowledged it (ruling 18)."""
        transaction.settled.append(entry)
        entry.message.error = codes.STATE_UNKNOWN
        self.close(entry.message, MessageState.UNKNOWN, transaction, now, carrier)

    def fail_over(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> bool:
        """The entry goes to the route's next carrier; False if there is none."""
        following = route.next_carrier(entry.message, carrier, self.tables())
        if following is None:
            return False
        self.redirect(entry, following, transaction, now)
        return True

    def redirect(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> None:
        """The entry goes to another carrier, as if it had not been tried before."""
        transaction.settled.append(entry)
        due = max(now, entry.due)
        until = route.waits_until(entry.message, carrier, due)
        self._send(entry.message, entry.part, carrier, due, until, transaction)

    def _send(
        self,
        message: Message,
        part: int,
        carrier: str,
        due: int,
        until: int,
        transaction: Transaction,
    ) -> None:
        queue = route.carrier_queue(carrier)
        transaction.put.append(Entry(self._allot(), queue, due, Kind.SEND, message, part, 0, until))

    def unsendable(self, entries: list[Entry], why: str) -> None:
        """What cannot even be written to a carrier ends its message."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        for entry in entries:
            _log.error(
                "message {message_id}: cannot be sent: {why}",
                message_id=str(entry.message.id),
                account=entry.message.account,
                why=why,
            )
            transaction.settled.append(entry)
            carrier = entry.queue.partition(":")[2]
            self.failed(
                entry, carrier, MessageState.REJECTED, codes.INTERNAL_ERROR, "", transaction, now
            )
        self.persist(transaction)

    def receipt(
        self,
        carrier: str,
        message: Message,
        part: int,
        receipt: Receipt,
        transaction: Transaction,
        now: int,
    ) -> None:
        """A carrier says what became of one part: the message moves on, and ends when its last part
        has."""
        state = MessageState(receipt.state)
        if trace.on:
            trace.say("receipt", message, carrier=carrier, part=part, state=state.stat)
        if message.state in FINAL_STATES or message.state == state == MessageState.UNKNOWN:
            return  # a receipt that came twice
        if receipt.intermediate or not (state.final or state is MessageState.UNKNOWN):
            # Only on the way: what was given up as UNKNOWN is not awaited any more. Told once
            # (ruling 11, A-D40), whichever state the carrier calls it.
            on_its_way = state is MessageState.ACCEPTED or (
                receipt.intermediate and not state.final
            )
            if message.state == MessageState.ENROUTE and on_its_way:
                message.state = int(MessageState.ACCEPTED)
                transaction.changes.advanced.append((message.id, message.state))
                if tells_progress(message):
                    self.hand_over(message, Kind.PROGRESS, transaction, now, reports.BUFFERED)
            return
        tables = self.tables()
        if state.final:
            tables.rates.count(carrier, state is MessageState.DELIVERED)
        acknowledgement = message.acknowledged.get(part)
        if message.former:
            # Of a carrier that had it before, only that it delivered it after all counts.
            earlier = acknowledgement is None or acknowledgement.carrier != carrier
            if earlier and state is not MessageState.DELIVERED:
                return
            if acknowledgement is None:
                # It waits for the next one, and ends when its entry comes up (I3).
                transaction.changes.parts += former.delivered_late(message, part, carrier)
                return
            if acknowledgement.state == MessageState.DELIVERED:
                return
        if state in _UNDELIVERED and self._send_again(message, part, transaction, now):
            return
        if state is not MessageState.DELIVERED:
            message.network_error = receipt.error
            message.error = tables.codes_of(carrier).of_receipt(receipt)
        first = bool(message.report_to) and not failed_part(message)
        if acknowledgement is not None:
            acknowledgement.state = state
        if first and failed_part(message):
            self.report_failure(message, transaction)
        if len(message.parts) == 1:
            # A date without seconds, or in the carrier's own zone, would end before it began.
            begun = message.carrier_at or message.accepted_at
            credible = begun <= receipt.done_at <= now
            done_at = receipt.done_at if credible else now
            self.close(message, state, transaction, done_at, carrier)
            self.guard(transaction)
        else:
            transaction.changes.parts.append(former.part_row(message, part))
            self.close_if_complete(message, transaction, now)

    def _send_again(self, message: Message, part: int, transaction: Transaction, now: int) -> bool:
        """The carrier could not deliver a part: the next one gets it, if the route says so and the
        message is still valid. Each carrier gets it once."""
        acknowledgement = message.acknowledged.get(part)
        if message.state not in _UNDER_WAY or now >= message.expires_at or acknowledgement is None:
            return False
        tables = self.tables()
        chosen = tables.provisioning.routes.get(message.route)
        if chosen is None or not chosen.failover_undelivered:
            return False
        following = route.next_carrier(message, acknowledgement.carrier, tables)
        had_it = {one.carrier for one in former.of_part(message, part).values()}
        if following is None or following in had_it:
            return False
        transaction.changes.parts += former.put_aside(message, part)
        if message.state != MessageState.ENROUTE:
            # What that carrier said of the message holds no longer.
            message.state = int(MessageState.ENROUTE)
            transaction.changes.advanced.append((message.id, message.state))
        until = route.waits_until(message, following, now)
        self._send(message, part, following, now, until, transaction)
        return True

    def let_go(self, entry: Entry, transaction: Transaction, now: int) -> None:
        """Nothing more is to be sent (``ended``); if that is because a former carrier has delivered
        the part after all, the part ends so."""
        transaction.settled.append(entry)
        message = entry.message
        delivered = former.delivered_before(entry)
        if delivered is None or message.state in FINAL_STATES:
            return
        message.acknowledged[entry.part] = delivered
        transaction.changes.parts.append(former.part_row(message, entry.part))
        if len(message.parts) == 1:
            self.close(message, MessageState.DELIVERED, transaction, now)
            self.guard(transaction)
        else:
            self.close_if_complete(message, transaction, now)

    def expire(self, entries: list[Entry]) -> Deferred[None]:
        """Ends entries whose time is over; fires when that is durable."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        for entry in entries:
            entry.gone = True
            if entry.kind == Kind.SEND:
                self._overdue(entry, transaction, now)
                continue
            why = "it waited too long"
            dead.end(self, entry, MessageState.EXPIRED, why, transaction, now)
        return self.persist(transaction)

    def _overdue(self, entry: Entry, transaction: Transaction, now: int) -> None:
        """A part has waited too long for its carrier; or there is nothing to send any more."""
        message = entry.message
        carrier = entry.queue.partition(":")[2]
        mailed = message.kind == "mms" and Sending.of(entry.attempts).phase is Phase.MAILED
        if former.ended(entry):
            self.let_go(entry, transaction, now)
        elif mailed and now >= message.expires_at:
            self.silent(entry, carrier, transaction, now)
        elif mailed:
            # The carrier has it, and has yet to say so.
            transaction.settled.append(entry)
            until = message.expires_at
            self._send(message, entry.part, carrier, entry.due, until, transaction)
            transaction.put[-1].attempts = entry.attempts
        elif now < message.expires_at:
            # The route's ``queue_time_s`` is over. With no carrier after it, this one keeps it.
            if not self.fail_over(entry, carrier, transaction, now):
                transaction.settled.append(entry)
                until = message.expires_at
                self._send(message, entry.part, carrier, max(now, entry.due), until, transaction)
        else:
            transaction.settled.append(entry)
            self.failed(
                entry, carrier, MessageState.EXPIRED, codes.VALIDITY_OVER, "", transaction, now
            )
