"""Ending: how messages end, and who is told and given back what then.

Comes from: ``settle``, ``receipts``, ``expiry``, ``pending`` with what ended. Goes on to:
``handover`` and ``deliver``, with receipts.
"""

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import codes, trace
from smsgw.flow import former
from smsgw.flow.money import Balances
from smsgw.flow.targets import (
    HANDOVER_MS,
    MO_MS,
    account_queue,
    failed_part,
    failed_parts,
    is_report,
    notice_queue,
    told,
)
from smsgw.identities import Identities
from smsgw.message import FORMER, Acknowledgement, Direction, Message, MessageState
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.rules import money
from smsgw.rules.tables import Tables
from smsgw.smpp import translate
from smsgw.store import records, schema
from smsgw.store.journal import EndedBefore, StoreFailed
from smsgw.store.records import FINAL_STATES, Records
from smsgw.text import reports

if TYPE_CHECKING:
    from smsgw.flow.others import Others

_log = Logger()

_STORE_RETRY_S = 1.0


class Endings:
    """What ends a message, in the transaction of what ended it."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        known: Records,
        identities: Identities,
        balances: Balances,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.tables = tables
        self._queues = queues
        self._known = known
        self._allot = identities.allot
        self._balances = balances
        self.clock = clock
        self._now = now
        # Transactions that wait to be tried again; what follows from them must not overtake them.
        self.unstored = 0
        # Tells the carrier of a multimedia MO that it has ended; nobody does without it.
        self.reports: Callable[[Message, MessageState, Transaction], None] | None = None
        # Where other nodes have parts of the same messages: who looks whether they have all ended.
        self.others: Others | None = None
        # For operators: messages that ended, by the carrier that had or refused them ("": none) and
        # state.
        self.ended: dict[tuple[str, int], int] = {}

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
            self.close(message, state, transaction, now, carrier)
            return
        first = bool(message.report_to) and not failed_part(message)
        message.acknowledged[entry.part] = Acknowledgement(carrier, "", now, state)
        transaction.changes.parts.append((message.id, entry.part, carrier, "", now, int(state)))
        if first:
            self.report_failure(message, transaction)
        self.close_if_complete(message, transaction, now)

    def close_if_complete(self, message: Message, transaction: Transaction, now: int) -> None:
        """Ends a message of several parts once each of them has ended, with the worst of their
        states."""
        if self.others is not None:
            self.others.look(message, transaction)
            return
        state = self.ended_as(message)
        if state is not None:
            self.close(message, state, transaction, now)

    def ended_as(self, message: Message) -> MessageState | None:
        """The state of a message of several parts, each of which has ended; None while one has
        not."""
        states = [MessageState(a.state) for a in message.acknowledged.values()]
        if len(states) < len(message.parts):
            return None
        bad = [s for s in states if s.final and s is not MessageState.DELIVERED]
        unknown = [s for s in states if s is MessageState.UNKNOWN]
        receipts_awaited = message.registered_delivery & 3
        if receipts_awaited and not all(s.final or s is MessageState.UNKNOWN for s in states):
            return None
        if bad or unknown:
            return (bad + unknown)[0]
        return MessageState.DELIVERED if receipts_awaited else None

    def close(
        self,
        message: Message,
        state: int,
        transaction: Transaction,
        done_at: int,
        carrier: str = "",
    ) -> None:
        """The message has reached its last state, by what ``carrier`` said if that is known; its
        receipt is handed over if it was asked for, and what it cost is given back as its account's
        ``refund`` says."""
        # Of what has ended before, a refund was decided then.
        if message.charged and message.state not in FINAL_STATES:
            self._refund(message, MessageState(state), transaction)
        if message.direction == Direction.MT:
            had_it = carrier or next((a.carrier for a in message.acknowledged.values()), "")
            ended = had_it, int(state)
            self.ended[ended] = self.ended.get(ended, 0) + 1
            if trace.on:
                trace.say("ended", message, state=MessageState(state).stat, error=message.error)
        message.state = int(state)
        message.done_at = done_at
        if state == MessageState.DELIVERED and message.error != codes.PARTS_MISSING:
            # It may have been given up as UNKNOWN before.
            message.error, message.network_error = 0, ""
        transaction.changes.closed.append(
            (message.id, int(state), message.error, message.network_error, done_at)
        )
        if message.multimedia is not None and message.direction == Direction.MO:
            if self.reports is not None:
                self.reports(message, MessageState(state), transaction)
        elif message.direction == Direction.MT and translate.wants_receipt(message, state):
            self.hand_over(message, Kind.RECEIPT, transaction, int(self._now() * 1000))

    def _refund(self, message: Message, state: MessageState, transaction: Transaction) -> None:
        """Gives back the charge for the parts that came to nothing in a way that is refunded."""
        accounts = self.tables().accounts
        # Whose account is gone was paid for by one that may not be.
        account = accounts.get(message.account) or accounts.get(message.payer)
        if account is None or not state.final:
            return
        had = {number % FORMER for number in message.former}
        ends = [MessageState(a.state) for a in message.acknowledged.values()]
        taken = [a.taken or part in had for part, a in message.acknowledged.items()]
        if len(message.parts) == 1:
            ends, taken = [state], [bool(message.acknowledged or had)]
        ways = [way_of(*part) for part in zip(ends, taken, strict=True)]
        parts = sum(way in account.refund for way in ways)
        if parts:
            transaction.changes.ledger.append(
                schema.LedgerRow(
                    self._allot(),
                    message.payer or message.account,
                    int(self._now() * 1000),
                    message.charged * parts,
                    money.Entry.REFUND,
                    message.id,
                    "",
                )
            )

    def guard(self, transaction: Transaction) -> None:
        """What ends in this transaction may have ended at another node, of which memory knows
        nothing: then it does not end again."""
        changes = transaction.changes
        if self.others is not None and changes.closed:
            changes.ended += changes.closed
            changes.closed = []

    def commit(self, transaction: Transaction) -> Deferred[None]:
        """Makes it durable, once; fails if that fails."""
        done = self._commit(transaction)
        return done.addCallback(lambda _: self.credit(transaction))

    def _commit(self, transaction: Transaction) -> Deferred[None]:
        done = self._queues.commit(transaction)
        if transaction.changes.ended:
            done.addErrback(self._ended_before, transaction)
        return done

    def _ended_before(self, failure: Failure, transaction: Transaction) -> Deferred[None]:
        failure.trap(EndedBefore)
        transaction.unwritten()
        others = cast("Others", self.others)
        left_out = Deferred.fromCoroutine(others.leave_out(transaction))
        return left_out.addCallback(lambda _: self._commit(transaction))

    def credit(self, transaction: Transaction) -> None:
        """What the transaction refunded is stored, and may be spent."""
        self._balances.credit(transaction.changes)

    def hand_over(
        self, message: Message, kind: Kind, transaction: Transaction, now: int, code: int = 0
    ) -> None:
        """Something goes to the account of the message, if it came by an edge that waits for it.

        ``code`` is that of a report (``Delivery.part``)."""
        if message.interface == "smpp":
            queues: Iterable[tuple[str, int]] = ((account_queue(message.account), HANDOVER_MS),)
        else:
            queues = told(message, self.tables().accounts.get(message.account), kind)
        for queue, lasts in queues:
            if message.report_to and is_report(queue) and failed_part(message):
                continue  # that was told when the first part failed
            transaction.put.append(
                Entry(self._allot(), queue, now, kind, message, code, expires_at=now + lasts)
            )

    def read(self, message: Message, at: int, transaction: Transaction) -> None:
        """The recipient has read the message, at ``at`` (ms); only the first time counts, and what
        else is awaited of the message goes on (ruling 18)."""
        if message.read_at:
            return
        message.read_at = at
        # Another node may have ended it: its state is left alone.
        transaction.changes.contents.append(records.content_of(message))
        if message.interface != "smpp":  # which has no word for it
            self.hand_over(message, Kind.READ, transaction, int(self._now() * 1000))

    def report_failure(self, message: Message, transaction: Transaction) -> None:
        """The first of several parts has come to nothing: whoever is to be told need not wait for
        the others (A-D40)."""
        now = int(self._now() * 1000)
        state = message.acknowledged[failed_parts(message)[0]].state
        code = reports.failure(state, bool(message.carrier))
        for queue, lasts in told(message, None):
            transaction.put.append(
                Entry(
                    self._allot(), queue, now, Kind.RECEIPT, message, code, expires_at=now + lasts
                )
            )

    def notify(self, entry: Entry, transaction: Transaction, now: int) -> None:
        """The contact of the account is told that this MO was given up (Q-D18)."""
        account = self.tables().accounts.get(entry.message.account)
        if account is not None and account.email:
            queue = notice_queue(account.name)
            until = now + MO_MS
            transaction.put.append(
                Entry(
                    self._allot(),
                    queue,
                    now,
                    Kind.NOTICE,
                    entry.message,
                    entry.part,
                    expires_at=until,
                )
            )

    def persist(self, transaction: Transaction) -> Deferred[None]:
        """Commits, and tries again until the store takes it: for what happened outside and cannot
        be undone."""

        def failed(failure: Failure) -> Deferred[None]:
            failure.trap(StoreFailed)
            _log.error("not stored, trying again until it is: {why}", why=failure.getErrorMessage())
            self.unstored += 1
            transaction.unwritten()
            return deferLater(self.clock, _STORE_RETRY_S).addCallback(again)

        def again(_: None) -> Deferred[None]:
            self.unstored -= 1
            # A receipt may have moved a part meanwhile: what is written now is how it stands now.
            rows = transaction.changes.parts
            known = self._known.known
            for n, row in enumerate(rows):
                id, number = cast(tuple[int, int], tuple(row[:2]))
                message = known.get(id)
                if message is not None:
                    rows[n] = former.part_row(message, number)
            return self.persist(transaction)

        done = self._commit(transaction)
        if transaction.changes.ledger:
            done.addCallback(lambda _: self.credit(transaction))
        return done.addErrback(failed)


def way_of(state: MessageState, taken: bool) -> str:
    """How a part came to nothing, in the words of an account's ``refund``; "" if it did not."""
    if state is MessageState.EXPIRED:
        return "expired"
    if not state.final or state is MessageState.DELIVERED:
        return ""
    return "undelivered" if taken else "refused"
