"""Accept: decides message by message, commits all that pass in one transaction, and only then lets
the edge say yes (I1).

Comes from: an edge (``smpp/server.py``, ``http/rest.py``) with a batch of messages of one login.
Goes on to: the queue of the carrier that ``route`` chose, from which ``send`` takes them.
"""

import time
from collections.abc import Callable

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow import route
from smsgw.flow.money import Balances
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import UDHI, Message, MessageState
from smsgw.provisioning import Account
from smsgw.queues import Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.limits import TokenBucket
from smsgw.rules.tables import Tables
from smsgw.store import records, schema
from smsgw.store.records import Records
from smsgw.text import coding, numbers, parts, transliterate

_log = Logger()

DEFAULT_VALIDITY_MS = 48 * 3600_000  # spec/aerialink.md 4.3, spec/link-smpp.md L-D21
MAX_VALIDITY_MS = 7 * 24 * 3600_000
MAX_SCHEDULE_MS = 30 * 24 * 3600_000  # spec/aerialink.md 4.3 scheduleTime
RECEIPT_GRACE_MS = 3600_000  # how long after its validity a receipt is still awaited

Outcome = Message | Refusal


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
        self._is_up = is_up
        self._buckets: dict[str, TokenBucket] = {}
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
            outcome = self._decide(message, account, tables, now)
            if isinstance(outcome, Refusal):
                self.count(outcome.reason, 1)
                # REST keeps a transaction of what was processed but not sent (spec/aerialink.md
                # 4.1).
                if outcome.reason.answer.http == 200:
                    # What is kept costs a row, so it counts like what is sent.
                    if self._within_rate(account, 1, now):
                        self._keep(message, outcome, transaction, now)
                    else:
                        outcome = self._throttled(account)
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
        return self._decide(message, evolve(account, rate=0.0), self._tables(), self._now())

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

    def _decide(self, message: Message, account: Account, tables: Tables, now: float) -> Outcome:
        """The steps of design section 3.1, in order; fills in what the gateway decides."""
        # Address-normalised.
        destination = numbers.normalise_destination(
            message.destination, message.destination_ton, account.country
        )
        if isinstance(destination, Reason):
            return Refusal(destination, message.destination)
        if message.destination_ton != numbers.SHORT_CODE:
            message.destination_ton = numbers.INTERNATIONAL
            message.destination_npi = numbers.ISDN
        message.destination = destination
        source = numbers.detect_source(message.source, message.source_ton, account.country)
        if isinstance(source, Reason):
            return Refusal(source, message.source)
        message.source, message.source_ton, message.source_npi = source

        # Coded and counted in parts.
        refusal = self._code(message, account)
        if refusal is not None:
            return refusal

        # Checked.
        senders = tables.senders.get(account.name)
        if senders is not None and message.source not in senders:
            return Refusal(Reason.SOURCE_NOT_PROVISIONED, message.source)
        now_ms = int(now * 1000)
        start = now_ms
        if message.schedule_at > now_ms:
            if message.schedule_at > now_ms + MAX_SCHEDULE_MS:
                return Refusal(Reason.BAD_SCHEDULE, "more than 30 days ahead")
            start = message.schedule_at
        message.accepted_at = now_ms
        validity = message.validity_ms or DEFAULT_VALIDITY_MS
        message.expires_at = start + min(validity, MAX_VALIDITY_MS)

        # Routed and priced.
        chosen = route.choose(message, tables)
        if chosen is None:
            return Refusal(Reason.NO_ROUTE, f"no route for {message.destination}")
        message.route = chosen.name
        message.carriers = route.carriers(chosen, message, self._is_up)
        message.price = chosen.price

        message.charged = money.amount(message.price)
        if message.charged:
            cost = message.charged * len(message.parts)
            if not self._balances.covers(account, cost):
                return Refusal(Reason.NO_CREDIT, f"it costs {money.shown(cost)}")

        # Limited: last, so that what is refused for another reason uses up nothing.
        if not self._within_rate(account, len(message.parts), now):
            return self._throttled(account)
        return message

    def _within_rate(self, account: Account, parts: int, now: float) -> bool:
        if not account.rate:
            return True
        bucket = self._buckets.get(account.name)
        if bucket is None or bucket.rate != account.rate:
            bucket = self._buckets[account.name] = TokenBucket(account.rate)
        return bucket.take(parts, now)

    def _throttled(self, account: Account) -> Refusal:
        return Refusal(Reason.THROTTLED, f"{account.rate:g} parts a second")

    def _code(self, message: Message, account: Account) -> Refusal | None:
        """Codes a text in the smallest way that fits, and splits what is too long for one part."""
        if message.text is not None:
            try:
                if message.data_coding:
                    octets = coding.encode(message.text, message.data_coding)
                else:
                    message.data_coding, octets = coding.smallest(message.text)
                    if account.smart_encoding and message.data_coding != coding.GSM:
                        message.data_coding, octets = _smarter(message.text)
                if message.flash:
                    message.data_coding = coding.flash(message.data_coding)
            except ValueError as error:
                return Refusal(Reason.BAD_CODING, str(error))
            message.text = None
            message.parts = [octets]
        octets = message.parts[0]
        if message.esm_class & UDHI:
            header = parts.udh(octets)[0]
            limit = parts.capacity(message.data_coding, len(header)) + len(header)
            if len(octets) > limit or len(header) > parts.OCTETS:
                return Refusal(Reason.TOO_LONG, "more than one part")
            return None
        if len(octets) > 140:
            try:
                message.parts = parts.split(
                    octets, message.data_coding, self._identities.allot() & 0xFF
                )
            except ValueError as error:
                return Refusal(Reason.TOO_LONG, str(error))
            if len(message.parts) > 1:
                message.esm_class |= UDHI
                limit = min(account.max_parts, message.max_parts or account.max_parts)
                if len(message.parts) > limit:
                    detail = f"{len(message.parts)} parts, limit {limit}"
                    return Refusal(Reason.TOO_LONG, detail)
        return None

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


def _smarter(text: str) -> tuple[int, bytes]:
    """Data coding and octets of a text that is not GSM: with look-alikes if these make it GSM, else
    as it is."""
    data_coding, octets = coding.smallest(transliterate.smart(text))
    return (data_coding, octets) if data_coding == coding.GSM else coding.smallest(text)
