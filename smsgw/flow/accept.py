"""Accept: has each message decided, commits all that pass in one transaction, and only then lets
the edge say yes (I1).

Comes from: an edge (``smpp/esme.py``, ``http/rest.py``) with a batch of messages of one login.
Goes on to: ``decide``, and what passes to the queue of the carrier that ``route`` chose, from
which ``send`` takes it.
"""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import trace
from smsgw.figures import SECONDS, Histogram
from smsgw.flow import route
from smsgw.flow.decide import Decisions, Link, Outcome, Terms
from smsgw.flow.lists import Lists
from smsgw.flow.money import Balances
from smsgw.flow.quotas import Quotas
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.provisioning import Account
from smsgw.queues import Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.duplicates import Duplicates
from smsgw.rules.tables import Tables
from smsgw.rules.tree import NEVER
from smsgw.store import links, media, records, schema
from smsgw.store.journal import Overdrawn, OverQuota
from smsgw.store.records import Records

_log = Logger()

# Looks at what was decided about all messages of a request: adds to the transaction what belongs to
# them together, or says why none of them is to be taken.
Whole = Callable[[list[Outcome], Transaction], Refusal | None]
# Adds to the transaction what belongs to the messages of a request, each of which stands by itself.
Beside = Callable[[list[Outcome], Transaction], None]

RECEIPT_GRACE_MS = 3600_000  # how long after its validity a receipt is still awaited
_CHARGE = int(money.Entry.CHARGE)
_ledger_row = partial(tuple.__new__, schema.LedgerRow)


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
        lists: Lists | None = None,
        quotas: Quotas | None = None,
    ) -> None:
        """``tables`` gives the tables in force; ``now`` seconds since 1970; ``is_up`` whether a
        carrier has a link up; ``lists`` the lists of numbers, none if left out; ``quotas`` what
        accounts have used."""
        self._tables = tables
        self._queues = queues
        self._known = known
        self._identities = identities
        self._balances = balances
        self._now = now
        self.duplicates = Duplicates()
        self.quotas = quotas or Quotas()
        self._decisions = Decisions(
            identities, balances, is_up, lists, self.duplicates, self.quotas
        )
        self._decisions.full = queues.full
        self.draining = False
        # How long the media of a message are kept, in ms.
        self.media_ms = 30 * 24 * 3600_000
        # For operators. By account and interface: messages accepted; by account: their parts; by
        # reason: messages refused. And how many seconds batches waited to be durable.
        self.accepted: dict[tuple[str, str], int] = {}
        self.parts: dict[str, int] = {}
        self.waited = Histogram(SECONDS)
        self.refused: dict[Reason, int] = {}

    def accept(
        self,
        login: Login,
        messages: list[Message],
        whole: Whole | None = None,
        beside: Beside | None = None,
    ) -> Deferred[list[Outcome]]:
        """Fires with one outcome for each message, in order: the message itself, now durable, or
        its refusal.

        With ``whole`` the messages are one: rates count once for all of them, and it may refuse
        them together. ``beside`` is written in the same transaction as they are, if any is.

        Never fails: what the store does not take is refused with ``Reason.STORE_FAILED``.
        """
        tables = self._tables()
        now = self._now()
        account = tables.accounts.get(login.account)
        blocked = self._blocked(account)
        if blocked is not None or account is None:
            refusal = blocked or Refusal(Reason.ACCOUNT_INACTIVE)
            self.count(refusal.reason, len(messages))
            return succeed([Refusal(refusal.reason, refusal.detail) for _ in messages])

        transaction = Transaction()
        transaction.changes.new = True
        outcomes: list[Outcome] = []
        tag = login.tag
        limited = tables.limited.get((login.kind, login.credential)) if tables.limited else None
        terms = self._decisions.terms(account, tables, now, limited, trial=whole is not None)
        for message in messages:
            message.credential = login.credential
            if tag and not message.tag:
                message.tag = tag
            outcomes.append(self._add(message, terms, transaction))
        self._charge(terms, transaction)
        if whole is not None:
            none = self._together(terms, outcomes, transaction, whole)
            if none is not None:
                self._undo(transaction, outcomes)
                self.count(none.reason, sum(isinstance(one, Message) for one in outcomes))
                return succeed([Refusal(none.reason, none.detail) for _ in outcomes])
        if not transaction.changes.messages:
            return succeed(outcomes)
        if beside is not None:
            beside(outcomes, transaction)
        return self._commit(transaction, outcomes, self._refused)

    def add(self, account: Account, message: Message, transaction: Transaction) -> Outcome:
        """Decides about one message that the gateway itself sends for ``account``, and adds what it
        changes to ``transaction``, which is then handed to ``commit``."""
        blocked = self._blocked(account)
        if blocked is not None:
            self.count(blocked.reason, 1)
            return blocked
        terms = self._decisions.terms(account, self._tables(), self._now())
        outcome = self._add(message, terms, transaction)
        self._charge(terms, transaction)
        return outcome

    def commit(self, transaction: Transaction, outcomes: list[Outcome]) -> Deferred[None]:
        """Makes durable what ``add`` gave, with whatever else is in the transaction.

        What was reserved when the messages were decided stands once they are stored, and is undone
        if they are not.
        """
        return self._commit(transaction, outcomes, self._undone)

    def _commit(
        self,
        transaction: Transaction,
        outcomes: list[Outcome],
        not_stored: Callable[[Failure, Transaction, list[Outcome]], Failure | list[Outcome]],
    ) -> Deferred[Any]:
        handed_in = time.perf_counter()
        return self._queues.commit(transaction).addCallbacks(
            self._stored,
            not_stored,
            callbackArgs=(transaction, outcomes, handed_in),
            errbackArgs=(transaction, outcomes),
        )

    def _add(self, message: Message, terms: Terms, transaction: Transaction) -> Outcome:
        """Decides about one message; ``_charge`` follows once all of the terms are decided."""
        message.account = terms.account.name
        outcome = self._decisions.decide(message, terms)
        if isinstance(outcome, Refusal):
            self.count(outcome.reason, 1)
            # REST keeps a transaction of what was processed but not sent (spec/aerialink.md
            # 4.1).
            if outcome.reason.answer.http == 200:
                # What is kept costs a row, so it counts like what is sent.
                throttled = None
                if not terms.trial:
                    throttled = self._decisions.over_rate(terms.place, 1, terms.now)
                if throttled is None:
                    self._keep(message, outcome, transaction, terms.now)
                else:
                    outcome = throttled
        else:
            self._record(message, terms, transaction)
            window_s = terms.account.duplicate_window_s
            if window_s:
                self.duplicates.add(message, window_s)
        return outcome

    def _together(
        self, terms: Terms, outcomes: list[Outcome], transaction: Transaction, whole: Whole
    ) -> Refusal | None:
        """Why none of the messages is taken, None if those are that were accepted one by one."""
        refusal = whole(outcomes, transaction)
        if refusal is not None or not terms.place.rated:
            return refusal
        # What is kept of a refused one costs a row, so it counts too.
        parts = 0
        for one in outcomes:
            if isinstance(one, Message):
                parts += len(one.parts)
            elif one.message is not None:
                parts += 1
        return self._decisions.over_rate(terms.place, parts, terms.now)

    def _undo(self, transaction: Transaction, outcomes: list[Outcome]) -> None:
        """The transaction is not stored: what was reserved for its messages is free again."""
        for account, cost in _charges(transaction).items():
            self._balances.not_stored(account, cost)
        if transaction.changes.usage:
            self.quotas.not_stored(transaction.changes.usage)
        if self.duplicates.any:
            for outcome in outcomes:
                if isinstance(outcome, Message):
                    self.duplicates.forget(outcome)

    def consider(
        self,
        account: Account,
        message: Message,
        credit: bool = True,
        limited: frozenset[str] | None = None,
    ) -> Outcome:
        """What ``accept`` would say now to a message of ``account``, for operators.

        The message is filled in; nothing is kept, charged or counted, and rates do not count.
        Without ``credit`` it does not matter who can pay; ``limited``: senders and
        pools that a login may use, None if all of the account's.
        """
        blocked = self._blocked(account)
        if blocked is not None:
            return blocked
        message.account = account.name
        terms = self._decisions.terms(
            account, self._tables(), self._now(), limited, trial=True, credit=credit
        )
        return self._decisions.decide(message, terms)

    def _charge(self, terms: Terms, transaction: Transaction) -> None:
        """Counts and charges what was accepted, at once in memory, so that the next message finds
        it spent; it is written with its messages."""
        if terms.parts:
            usage = transaction.changes.usage
            place = terms.place
            self.quotas.charge(place.lineage, terms.parts, terms.now_ms, usage)
            if place.metered and self.quotas.shared:
                transaction.changes.metered += self.quotas.limits(place.metered, terms.now_ms)
        if terms.cost:
            self._balances.charge(terms.place.payer.name, terms.cost)

    def _blocked(self, account: Account | None) -> Refusal | None:
        if self.draining:
            return Refusal(Reason.SHUTTING_DOWN)
        if account is None:
            return Refusal(Reason.ACCOUNT_INACTIVE)
        place = self._tables().standing.get(account.name)
        if place is None:  # an account that is made up for a try
            return None
        if place.suspended:
            return Refusal(Reason.ACCOUNT_INACTIVE)
        if place.expires_at < NEVER and place.expires_at <= self._now() * 1000:
            return Refusal(Reason.ACCOUNT_EXPIRED, "expired")
        return None

    def share_rates(self, share: float) -> None:
        """This node lets this part (0 to 1) of each account's rate pass."""
        self._decisions.share = share

    def link_by(self, link: Link) -> None:
        """An MMS that its carriers cannot take, on a route with ``mms = "link"``, becomes the SMS
        that ``link`` makes of it."""
        self._decisions.link = link

    def count(self, reason: Reason, messages: int) -> None:
        """Counts refused messages for operators; an edge tells of those that it does not hand
        in."""
        self.refused[reason] = self.refused.get(reason, 0) + messages

    def _record(self, message: Message, terms: Terms, transaction: Transaction) -> None:
        parts = len(message.parts)
        # Its own id, those of its parts' entries, and of what it costs.
        id = message.id = self._identities.allot(parts + 2 if message.charged else parts + 1)
        self._known.known[id] = message
        awaited = message.expires_at + RECEIPT_GRACE_MS if message.registered_delivery & 3 else None
        changes = transaction.changes
        changes.messages.append(records.row(message, awaited))
        if message.alias:
            changes.aliases.append((message.account, message.alias, id))
        terms.parts += parts
        if message.charged:
            cost = message.charged * parts
            terms.cost += cost
            payer = message.payer or message.account
            changes.ledger.append(
                # As LedgerRow(...), which a function in Python would make.
                _ledger_row((id + parts + 1, payer, message.accepted_at, -cost, _CHARGE, id, ""))
            )
        if message.multimedia is not None:
            rows = media.rows_of(message, self.media_ms)
            changes.media += rows
            if message.multimedia.link:
                until = max(row.until for row in rows)
                changes.links.append(links.LinkRow(message.multimedia.link, id, until))
        due = max(message.schedule_at, message.accepted_at)
        transaction.put += route.entries(message, id + 1, due)

    def _keep(
        self, message: Message, refusal: Refusal, transaction: Transaction, now: float
    ) -> None:
        message.id = self._identities.allot()
        message.accepted_at = message.done_at = int(now * 1000)
        message.state = MessageState.REJECTED
        message.error = refusal.reason.answer.link
        message.refusal = refusal.reason.name
        # What was refused is recorded without its text.
        message.parts = []
        if message.multimedia is not None:
            message.multimedia = evolve(message.multimedia, media=[], text="", subject="")
        transaction.changes.messages.append(records.row(message, None))
        refusal.message = message

    def _stored(
        self, _: None, transaction: Transaction, outcomes: list[Outcome], handed_in: float
    ) -> list[Outcome]:
        """What was charged and counted stands; whatever happens to that, they are stored."""
        try:
            self._count_stored(transaction, outcomes)
        except Exception:
            _log.failure("accept: not counted")
        self.waited.add(time.perf_counter() - handed_in)
        return outcomes

    def _count_stored(self, transaction: Transaction, outcomes: list[Outcome]) -> None:
        if transaction.changes.ledger:
            for account, cost in _charges(transaction).items():
                self._balances.stored(account, cost)
        if transaction.changes.usage:
            self.quotas.stored(transaction.changes.usage)
        accepted, parts = self.accepted, self.parts
        for outcome in outcomes:
            if isinstance(outcome, Message):
                account = outcome.account
                by = account, outcome.interface
                accepted[by] = accepted.get(by, 0) + 1
                parts[account] = parts.get(account, 0) + len(outcome.parts)
                if trace.on:
                    trace.say("accepted", outcome, by=outcome.interface, route=outcome.route)

    def _undone(
        self, failure: Failure, transaction: Transaction, outcomes: list[Outcome]
    ) -> Failure:
        self._undo(transaction, outcomes)
        if failure.check(Overdrawn):
            self._balances.read_again(_charges(transaction))
        return failure

    def _refused(
        self, failure: Failure, transaction: Transaction, outcomes: list[Outcome]
    ) -> list[Outcome]:
        """Why none of them is taken."""
        try:
            self._undone(failure, transaction, outcomes)
        except Exception:
            _log.failure("accept: not undone")
        overdrawn = failure.check(Overdrawn)
        if not overdrawn:
            _log.error("accept: not stored: {why}", why=failure.getErrorMessage())
        told: list[Outcome] = []
        for outcome in outcomes:
            if isinstance(outcome, Message) or outcome.message is not None:
                # Of what is not stored only because it came together with what could not be paid,
                # the sender may try again.
                reason = Reason.STORE_FAILED
                if overdrawn and isinstance(outcome, Message):
                    if failure.check(OverQuota):
                        reason = Reason.QUOTA_EXCEEDED
                    elif outcome.charged:
                        reason = Reason.NO_CREDIT
                self.count(reason, 1)
                outcome = Refusal(reason)
            told.append(outcome)
        return told


def _charges(transaction: Transaction) -> dict[str, int]:
    """What the transaction charges to each account."""
    charges: dict[str, int] = {}
    for entry in transaction.changes.ledger:
        charges[entry.account] = charges.get(entry.account, 0) - entry.amount
    return charges
