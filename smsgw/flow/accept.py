"""Accept: has each message decided, commits all that pass in one transaction, and only then lets
the edge say yes (I1).

Comes from: an edge (``smpp/server.py``, ``http/rest.py``) with a batch of messages of one login.
Goes on to: ``decide``, and what passes to the queue of the carrier that ``route`` chose, from
which ``send`` takes it.
"""

import time
from collections.abc import Callable

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow import route
from smsgw.flow.decide import Decisions, Outcome, throttled
from smsgw.flow.money import Balances
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account
from smsgw.queues import Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.tables import Tables
from smsgw.store import records, schema
from smsgw.store.records import Records

_log = Logger()

RECEIPT_GRACE_MS = 3600_000  # how long after its validity a receipt is still awaited


class Acceptance:
    """Where every edge hands in messages."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        known: Records,
        identities: Identities,
        balances: Balances,
        now: Callable[[], float] = time.time,
        is_up: Callable[[str], bool] = lambda carrier: True,
    ) -> None:
        """``tables`` gives the tables in force; ``now`` seconds since 1970; ``is_up`` whether a
        carrier has a link up."""
        self._tables = tables
        self._queues = queues
        self._known = known
        self._identities = identities
        self._balances = balances
        self._now = now
        self._decisions = Decisions(identities, balances, is_up)
        self.draining = False
        # For operators, by account: messages accepted; by reason: messages refused.
        self.accepted: dict[str, int] = {}
        self.refused: dict[Reason, int] = {}

    def accept(self, login: Login, messages: list[Message]) -> Deferred[list[Outcome]]:
        """Fires with one outcome for each message, in order: the message itself, now durable, or
        its refusal.

        Never fails: what the store does not take is refused with ``Reason.STORE_FAILED``.
        """
        tables = self._tables()
        now = self._now()
        account = tables.accounts.get(login.account)
        blocked = self._blocked(account)
        if blocked is not None or account is None:
            reason = blocked or Reason.ACCOUNT_INACTIVE
            self.count(reason, len(messages))
            return succeed([Refusal(reason) for _ in messages])

        transaction = Transaction()
        transaction.changes.new = True
        outcomes: list[Outcome] = []
        for message in messages:
            message.account = account.name
            message.credential = login.credential
            outcome = self._decisions.decide(message, account, tables, now)
            if isinstance(outcome, Refusal):
                self.count(outcome.reason, 1)
                # REST keeps a transaction of what was processed but not sent (spec/aerialink.md
                # 4.1).
                if outcome.reason.answer.http == 200:
                    # What is kept costs a row, so it counts like what is sent.
                    if self._decisions.within_rate(account, 1, now):
                        self._keep(message, outcome, transaction, now)
                    else:
                        outcome = throttled(account)
            else:
                self._record(message, transaction)
            outcomes.append(outcome)
        if not transaction.changes.messages:
            return succeed(outcomes)
        done: Deferred[None] = self._queues.commit(transaction)
        if transaction.changes.ledger:
            self._await_charges(done, transaction)
        return done.addCallbacks(
            self._stored, self._not_stored, callbackArgs=(outcomes,), errbackArgs=(outcomes,)
        )

    def consider(self, account: Account, message: Message) -> Outcome:
        """What ``accept`` would say now to a message of ``account``, for operators.

        The message is filled in; nothing is kept, charged or counted, and rates do not count.
        """
        blocked = self._blocked(account)
        if blocked is not None:
            return Refusal(blocked)
        message.account = account.name
        return self._decisions.decide(
            message, evolve(account, rate=0.0), self._tables(), self._now()
        )

    def _await_charges(self, done: Deferred[None], transaction: Transaction) -> None:
        """Lets charges stand once they are stored, or undoes them."""
        charges = [(entry.account, -entry.amount) for entry in transaction.changes.ledger]

        def stored(_: None) -> None:
            for account, cost in charges:
                self._balances.stored(account, cost)

        def not_stored(failure: Failure) -> Failure:
            for account, cost in charges:
                self._balances.not_stored(account, cost)
            return failure

        done.addCallbacks(stored, not_stored)

    def _blocked(self, account: Account | None) -> Reason | None:
        if self.draining:
            return Reason.SHUTTING_DOWN
        if account is None or account.suspended:
            return Reason.ACCOUNT_INACTIVE
        return None

    def count(self, reason: Reason, messages: int) -> None:
        """Counts refused messages for operators; an edge tells of those that it does not hand
        in."""
        self.refused[reason] = self.refused.get(reason, 0) + messages

    def _record(self, message: Message, transaction: Transaction) -> None:
        allot = self._identities.allot
        message.id = allot()
        self._known.known[message.id] = message
        awaited = message.expires_at + RECEIPT_GRACE_MS if message.registered_delivery & 3 else None
        transaction.changes.messages.append(records.row(message, awaited))
        if message.charged:
            self._charge(message, transaction)
        due = max(message.schedule_at, message.accepted_at)
        if len(message.parts) == 1:
            transaction.put += route.entries(message, allot(), due)
        else:
            for entry in route.entries(message, 0, due):
                entry.id = allot()
                transaction.put.append(entry)

    def _charge(self, message: Message, transaction: Transaction) -> None:
        """Decided at once, so that the next message finds it spent, and written with the
        message."""
        cost = message.charged * len(message.parts)
        self._balances.charge(message.account, cost)
        transaction.changes.ledger.append(
            schema.LedgerRow(
                self._identities.allot(),
                message.account,
                message.accepted_at,
                -cost,
                money.Entry.CHARGE,
                message.id,
                "",
            )
        )

    def _keep(
        self, message: Message, refusal: Refusal, transaction: Transaction, now: float
    ) -> None:
        message.id = self._identities.allot()
        message.accepted_at = message.done_at = int(now * 1000)
        message.state = MessageState.REJECTED
        message.error = refusal.reason.answer.link
        # What was refused is recorded without its text.
        message.parts = []
        transaction.changes.messages.append(records.row(message, None))
        refusal.message = message

    def _stored(self, _: None, outcomes: list[Outcome]) -> list[Outcome]:
        for outcome in outcomes:
            if isinstance(outcome, Message):
                self.accepted[outcome.account] = self.accepted.get(outcome.account, 0) + 1
        return outcomes

    def _not_stored(self, failure: Failure, outcomes: list[Outcome]) -> list[Outcome]:
        _log.error("accept: not stored: {why}", why=failure.getErrorMessage())
        told: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, Message) or outcome.message is not None:
                self.count(Reason.STORE_FAILED, 1)
                outcome = Refusal(Reason.STORE_FAILED)
            told.append(outcome)
        return told
