"""Settle: writes down what became of what was sent, and ends messages.

Comes from: ``send`` with a carrier's answers; ``receipts`` with final states; the clock, when
validity runs out. Goes on to: back to the carrier's queue (retry), the next carrier's (failover),
or ``handover`` with a receipt.
"""

import time
from collections.abc import Callable
from typing import cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import codes
from smsgw.flow import route
from smsgw.flow.money import Balances
from smsgw.flow.receipts import Awaited, normalise
from smsgw.identities import Identities
from smsgw.message import Acknowledgement, Direction, Message, MessageState, Receipt
from smsgw.queues import Entry, Kind, Transaction
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.rules import money
from smsgw.rules.tables import Tables
from smsgw.smpp import translate
from smsgw.smpp.constants import TEMPORARY, status_name
from smsgw.smpp.pdu import Pdu, SubmitSmResp
from smsgw.store import schema
from smsgw.store.journal import StoreFailed
from smsgw.store.records import Records

_log = Logger()

HANDOVER_MS = 72 * 3600_000  # how long a receipt or MO waits for its account (L-D10, L-D29)
RETRY_S = (1, 2, 5, 10, 20, 30, 60)  # after temporary refusals; the last one again and again
_STORE_RETRY_S = 1.0

_UNANSWERED = 5  # sends without an answer before the next carrier gets the message


def account_queue(account: str) -> str:
    """Name of the queue of what waits to be handed over to an account."""
    return "account:" + account


class Settlement:
    """Keeps states and queue entries in step (I3)."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: EmbeddedQueues,
        known: Records,
        awaited: Awaited,
        identities: Identities,
        balances: Balances,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._queues = queues
        self._known = known
        self._awaited = awaited
        self._allot = identities.allot
        self._balances = balances
        self._clock = clock
        self._now = now
        # Transactions that wait to be tried again; what follows from them must not overtake them.
        self.unstored = 0

    def settle(self, carrier: str, answers: list[tuple[Entry, Pdu | None]]) -> Deferred[None]:
        """Fires when the outcome of these sends is durable; tried again until the store takes it.

        An answer is the carrier's response, or None if none came: then the entry goes back to its
        queue.
        """
        now = int(self._now() * 1000)
        transaction = Transaction()
        transaction.changes.soon = True
        for entry, answer in answers:
            if answer is None:
                self._unanswered(entry, carrier, transaction, now)
            elif answer.status == 0 and isinstance(answer, SubmitSmResp):
                self._taken(entry, carrier, answer.message_id, transaction, now)
            elif answer.status in TEMPORARY:
                wait = RETRY_S[min(entry.attempts, len(RETRY_S) - 1)]
                transaction.postpone(entry, now + wait * 1000)
            else:
                self._refused(entry, carrier, answer.status, transaction, now)
        return self.persist(transaction)

    def _unanswered(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> None:
        """It may have arrived: of all that can be sent twice, these are the only ones (I2).

        Once is mostly the link's fault, so it goes out again at once; what has no answer again and
        again may be what breaks the link, and gives way to others.
        """
        if entry.attempts >= _UNANSWERED and self.fail_over(entry, carrier, transaction, now):
            return
        wait = RETRY_S[min(entry.attempts, len(RETRY_S)) - 1] if entry.attempts else 0
        transaction.postpone(entry, now + wait * 1000)

    def _taken(
        self, entry: Entry, carrier: str, carrier_id: bytes, transaction: Transaction, now: int
    ) -> None:
        message = entry.message
        form = self._tables().carriers.get(carrier)
        base = form.response_id if form is not None else "text"
        name = normalise(carrier_id.decode("latin-1"), base)
        message.acknowledged[entry.part] = Acknowledgement(carrier, name, now)
        transaction.changes.parts.append((message.id, entry.part, carrier, name, now, 1))
        transaction.settled.append(entry)
        if translate.wants_progress(message) and message.carrier_at:
            self.hand_over(message, Kind.PROGRESS, transaction, now)
        # A carrier that gives no id cannot be matched.
        early = self._awaited.expect(carrier, name, message, entry.part, now) if name else None
        if early is not None:
            transaction.changes.early_matched.append((carrier, early.id))
            self.receipt(message, entry.part, early, transaction, now)
        elif len(message.parts) > 1:
            self._close_if_complete(message, transaction, now)

    def _refused(
        self, entry: Entry, carrier: str, status: int, transaction: Transaction, now: int
    ) -> None:
        if self.fail_over(entry, carrier, transaction, now):
            return
        transaction.settled.append(entry)
        error = self._tables().codes_of(carrier).of_status(status)
        self.failed(
            entry, carrier, MessageState.UNDELIVERABLE, error, status_name(status), transaction, now
        )

    def fail_over(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> bool:
        """The entry goes to the route's next carrier; False if there is none."""
        following = route.next_carrier(entry.message, carrier, self._tables())
        if following is None:
            return False
        self.redirect(entry, following, transaction, now)
        return True

    def redirect(self, entry: Entry, carrier: str, transaction: Transaction, now: int) -> None:
        """The entry goes to another carrier, as if it had not been tried before."""
        transaction.settled.append(entry)
        queue = route.carrier_queue(carrier)
        due = max(now, entry.due)
        transaction.put.append(
            Entry(
                self._allot(),
                queue,
                due,
                Kind.SEND,
                entry.message,
                entry.part,
                0,
                entry.expires_at,
            )
        )

    def unsendable(self, entries: list[Entry], why: str) -> None:
        """What cannot even be written to a carrier ends its message."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        for entry in entries:
            _log.error("message {id}: cannot be sent: {why}", id=entry.message.id, why=why)
            transaction.settled.append(entry)
            carrier = entry.queue.partition(":")[2]
            self.failed(
                entry, carrier, MessageState.REJECTED, codes.INTERNAL_ERROR, "", transaction, now
            )
        self.persist(transaction)

    def failed(
        self,
        entry: Entry,
        carrier: str,
        state: MessageState,
        error: int,
        network_error: str,
        transaction: Transaction,
        now: int,
    ) -> None:
        """A part has come to nothing; its message ends if it was the last one."""
        message = entry.message
        message.error = error
        message.network_error = network_error
        if len(message.parts) == 1:
            self.close(message, state, transaction, now)
            return
        message.acknowledged[entry.part] = Acknowledgement(carrier, "", now, state)
        transaction.changes.parts.append((message.id, entry.part, carrier, "", now, int(state)))
        self._close_if_complete(message, transaction, now)

    def receipt(
        self, message: Message, part: int, receipt: Receipt, transaction: Transaction, now: int
    ) -> None:
        """A carrier says what became of one part: the message moves on, and ends when its last part
        has."""
        state = MessageState(receipt.state)
        if MessageState(message.state).final or message.state == state == MessageState.UNKNOWN:
            return  # a receipt that came twice
        if receipt.intermediate or not (state.final or state is MessageState.UNKNOWN):
            # Only on the way: what was given up as UNKNOWN is not awaited any more.
            if message.state == MessageState.ENROUTE and state is MessageState.ACCEPTED:
                message.state = state
                transaction.changes.moved.append((message.id, int(state)))
                if translate.wants_progress(message):
                    self.hand_over(message, Kind.PROGRESS, transaction, now)
            return
        acknowledgement = message.acknowledged.get(part)
        if state is not MessageState.DELIVERED:
            carrier = acknowledgement.carrier if acknowledgement is not None else message.carrier
            message.network_error = receipt.error
            message.error = self._tables().codes_of(carrier).of_receipt(receipt)
        if acknowledgement is not None:
            acknowledgement.state = state
        if len(message.parts) == 1:
            # A date without seconds, or in the carrier's own zone, would end before it began.
            begun = message.carrier_at or message.accepted_at
            credible = begun <= receipt.done_at <= now
            self.close(message, state, transaction, receipt.done_at if credible else now)
        else:
            transaction.changes.parts.append(_part_row(message, part))
            self._close_if_complete(message, transaction, now)

    def _close_if_complete(self, message: Message, transaction: Transaction, now: int) -> None:
        """Ends a message of several parts once each of them has ended, with the worst of their
        states."""
        states = [MessageState(a.state) for a in message.acknowledged.values()]
        if len(states) < len(message.parts):
            return
        bad = [s for s in states if s.final and s is not MessageState.DELIVERED]
        unknown = [s for s in states if s is MessageState.UNKNOWN]
        receipts_awaited = message.registered_delivery & 3
        if receipts_awaited and not all(s.final or s is MessageState.UNKNOWN for s in states):
            return
        if bad or unknown:
            self.close(message, (bad + unknown)[0], transaction, now)
        elif receipts_awaited:
            self.close(message, MessageState.DELIVERED, transaction, now)

    def close(self, message: Message, state: int, transaction: Transaction, done_at: int) -> None:
        """The message has reached its last state; its receipt is handed over if it was asked
        for, and what it cost is given back as its account's ``refund`` says."""
        # Of what has ended before, a refund was decided then.
        if message.charged and not MessageState(message.state).final:
            self._refund(message, MessageState(state), transaction)
        message.state = int(state)
        message.done_at = done_at
        if state == MessageState.DELIVERED:
            # It may have been given up as UNKNOWN before.
            message.error, message.network_error = 0, ""
        transaction.changes.closed.append(
            (message.id, int(state), message.error, message.network_error, done_at)
        )
        if message.direction == Direction.MT and translate.wants_receipt(message, state):
            self.hand_over(message, Kind.RECEIPT, transaction, int(self._now() * 1000))

    def _refund(self, message: Message, state: MessageState, transaction: Transaction) -> None:
        """Gives back the charge for the parts that came to nothing in a way that is refunded."""
        account = self._tables().accounts.get(message.account)
        if account is None or not state.final:
            return
        ends = [MessageState(a.state) for a in message.acknowledged.values()]
        taken = [a.taken for a in message.acknowledged.values()]
        if len(message.parts) == 1:
            ends, taken = [state], [bool(message.acknowledged)]
        ways = [way_of(*part) for part in zip(ends, taken, strict=True)]
        parts = sum(way in account.refund for way in ways)
        if parts:
            transaction.changes.ledger.append(
                schema.LedgerRow(
                    self._allot(),
                    message.account,
                    int(self._now() * 1000),
                    message.charged * parts,
                    money.Entry.REFUND,
                    message.id,
                    "",
                )
            )

    def credit(self, transaction: Transaction) -> None:
        """What the transaction refunded is stored, and may be spent."""
        self._balances.credit(transaction.changes)

    def hand_over(self, message: Message, kind: Kind, transaction: Transaction, now: int) -> None:
        """Something goes to the account of the message, if it came by an edge that waits for it."""
        if message.interface == "smpp":
            queue = account_queue(message.account)
            transaction.put.append(
                Entry(self._allot(), queue, now, kind, message, expires_at=now + HANDOVER_MS)
            )

    def persist(self, transaction: Transaction) -> Deferred[None]:
        """Commits, and tries again until the store takes it: for what happened outside and cannot
        be undone."""

        def failed(failure: Failure) -> Deferred[None]:
            failure.trap(StoreFailed)
            _log.error("not stored, trying again until it is: {why}", why=failure.getErrorMessage())
            self.unstored += 1
            transaction.unwritten()
            return deferLater(self._clock, _STORE_RETRY_S).addCallback(again)

        def again(_: None) -> Deferred[None]:
            self.unstored -= 1
            # A receipt may have moved a part meanwhile: what is written now is how it stands now.
            rows = transaction.changes.parts
            known = self._known.known
            for n, row in enumerate(rows):
                id, number = cast(tuple[int, int], tuple(row[:2]))
                message = known.get(id)
                if message is not None:
                    rows[n] = _part_row(message, number)
            return self.persist(transaction)

        done = self._queues.commit(transaction)
        if transaction.changes.ledger:
            done.addCallback(lambda _: self.credit(transaction))
        return done.addErrback(failed)

    def expire(self, entries: list[Entry]) -> Deferred[None]:
        """Ends entries whose time is over; fires when that is durable."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        for entry in entries:
            entry.gone = True
            transaction.settled.append(entry)
            message = entry.message
            if MessageState(message.state).final:
                continue
            if entry.kind == Kind.SEND:
                carrier = entry.queue.partition(":")[2]
                self.failed(
                    entry, carrier, MessageState.EXPIRED, codes.VALIDITY_OVER, "", transaction, now
                )
            elif entry.kind == Kind.MO:
                message.error = codes.VALIDITY_OVER
                self.close(message, MessageState.EXPIRED, transaction, now)
        return self.persist(transaction)


def way_of(state: MessageState, taken: bool) -> str:
    """How a part came to nothing, in the words of an account's ``refund``; "" if it did not."""
    if state is MessageState.EXPIRED:
        return "expired"
    if not state.final or state is MessageState.DELIVERED:
        return ""
    return "undelivered" if taken else "refused"


def _part_row(message: Message, number: int) -> tuple[object, ...]:
    a = message.acknowledged[number]
    return message.id, number, a.carrier, a.carrier_id, a.at, int(a.state)
