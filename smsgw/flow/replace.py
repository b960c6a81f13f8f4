"""Replace: makes another message of one that is pending.

Comes from: an edge (``submitted`` for SMPP). Goes on to: the queue of the carrier that the new
message is for; the old entries are settled in the same transaction.
"""

import time
from collections.abc import Callable

from attrs import define, evolve
from twisted.logger import Logger

from smsgw.flow import route
from smsgw.flow.accept import RECEIPT_GRACE_MS, Acceptance
from smsgw.flow.decide import Outcome
from smsgw.flow.money import Balances
from smsgw.flow.pending import FIELDS, Before, Pending
from smsgw.flow.settle import Settlement
from smsgw.flow.waiting import Rows
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account
from smsgw.queues import Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules import money
from smsgw.rules.tables import Tables
from smsgw.store import records, schema
from smsgw.store.journal import Changes, Overdrawn, OverQuota, StoreFailed
from smsgw.text import numbers, parts

_log = Logger()


# What of a message another one in its place changes at the carrier that has it.
_REPLACED_THERE = (
    "parts",
    "data_coding",
    "registered_delivery",
    "schedule_at",
    "validity_ms",
    "expires_at",
)


@define
class Change:
    """What becomes of a pending message; None leaves it as it is. Times are ms, as in
    ``Message``."""

    octets: bytes | None = None  # of short_message, in the message's own data_coding
    schedule_at: int | None = None  # 0: now
    until: int | None = None  # the end of its validity
    registered_delivery: int | None = None


class Replacing:
    """Changes pending messages, as their submitters ask."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        identities: Identities,
        balances: Balances,
        pending: Pending,
        acceptance: Acceptance,
        settlement: Settlement,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._tables = tables
        self._queues = queues
        self._allot = identities.allot
        self._balances = balances
        self._pending = pending
        self._acceptance = acceptance
        self._settlement = settlement
        self._now = now
        self.replaced = 0  # for operators, since the start

    async def replace(
        self, account: str, id: int, change: Change, fits: Callable[[Message], bool]
    ) -> Outcome:
        """Changes a pending message, which keeps its id; the message, or why it stays as it is.

        It is coded, checked, routed and priced as if it came now, and the difference in price is
        charged or given back. ``fits`` as for ``Cancelling.cancel``; ``REPLACE_FAILED`` if it is
        not pending.
        """
        found = await self._pending.find(account, id)
        if found is None:
            return Refusal(Reason.UNKNOWN_MESSAGE)
        message, rows = found
        if not fits(message):
            return Refusal(Reason.REPLACE_FAILED, "another source")
        if message.multimedia is not None:
            return Refusal(Reason.REPLACE_FAILED, "an MMS")
        new = self._changed(message, change)
        if isinstance(new, Refusal):
            return new
        outcome = await self._put_in_place(message, rows, new)
        if isinstance(outcome, Refusal) and outcome.reason is Reason.REPLACE_FAILED:
            return await self._replace_there(message, new, change) or outcome
        return outcome

    async def submit(self, login: Login, message: Message) -> Outcome:
        """Accepts a message; if one of the same source, destination and service_type is pending, it
        takes the place of the newest of them, with its id (SMPP 3.4 §5.2.18)."""
        tables = self._tables()
        account = tables.accounts.get(login.account)
        sources = self._pending.senders(login.account, message.source, message.source_ton)
        limited = tables.limited.get((login.kind, login.credential), sources)
        destination: str | Reason = Reason.ACCOUNT_INACTIVE
        if account is not None:
            destination = numbers.normalise_destination(
                message.destination, message.destination_ton, account.country
            )
        if not sources or not sources <= limited or isinstance(destination, Reason):
            # It takes nothing's place; acceptance says what is wrong with it.
            return await self._accept(login, message)
        pending = self._pending
        async with pending.turn(login.account):
            found = await pending.addressed(login.account, sources, destination)
            read = await pending.fresh([id for one in found for id in one])
            fitting = [
                (old, rows)
                for old, rows in read
                if old.service_type == message.service_type
                and old.multimedia is None
                and pending.whole(old, rows)
            ]
            if fitting:
                old, rows = max(fitting, key=lambda one: one[0].id)
                message.account, message.credential = login.account, login.credential
                message.tag = message.tag or login.tag
                outcome = await self._put_in_place(old, rows, message)
                if isinstance(outcome, Message):
                    return outcome
                if outcome.reason is not Reason.REPLACE_FAILED:
                    self._acceptance.count(outcome.reason, 1)
                    return outcome
                # A carrier has it by now.
            return await self._accept(login, message)

    async def _accept(self, login: Login, message: Message) -> Outcome:
        [outcome] = await self._acceptance.accept(login, [message])
        return outcome

    def _changed(self, message: Message, change: Change) -> Message | Refusal:
        """A new message: the old one as the change makes it, not decided yet."""
        new = evolve(message, parts=list(message.parts), acknowledged={})
        if change.octets is not None:
            if len(message.parts) > 1:
                new.esm_class &= ~UDHI  # it was split here
            if new.esm_class & UDHI:
                try:
                    parts.udh(change.octets)
                except ValueError as error:
                    return Refusal(Reason.BAD_UDH, str(error))
            new.parts = [change.octets]
        now_ms = int(self._now() * 1000)
        until = message.expires_at
        if change.schedule_at is not None:
            new.schedule_at = change.schedule_at
            # Unless it gets another one, it keeps the time that it had, from its new begin on.
            until += max(now_ms, new.schedule_at) - max(message.accepted_at, message.schedule_at)
        if change.until is not None:
            until = change.until
        new.validity_ms = until - max(now_ms, new.schedule_at)
        if new.validity_ms <= 0:
            return Refusal(Reason.BAD_VALIDITY, "in the past")
        if change.registered_delivery is not None:
            new.registered_delivery = change.registered_delivery
        return new

    async def _replace_there(self, old: Message, new: Message, change: Change) -> Outcome | None:
        """The same of a message that is not pending any more: the carrier that has it is asked, if
        it is to be; None if not.

        What is checked is the same, but the message stays with its carrier, and costs what it cost.
        """
        passed = self._pending.passed
        held = passed.replaceable(old) if passed is not None else None
        if passed is None or held is None:
            return None
        refusal = self._consider(old, new)
        if refusal is not None:
            return refusal
        if len(new.parts) > 1 or (new.esm_class ^ old.esm_class) & UDHI:
            return Refusal(Reason.REPLACE_FAILED, "a carrier replaces one part by one part")
        validity = change.until is not None or change.schedule_at is not None
        why = await passed.replace(held, old, new, change.schedule_at or 0, validity)
        if why:
            return Refusal(Reason.REPLACE_FAILED, why)
        for name in _REPLACED_THERE:
            setattr(old, name, getattr(new, name))
        ended = old.state in records.FINAL_STATES
        awaited = None if ended or not old.registered_delivery & 3 else old.expires_at
        transaction = Transaction()
        transaction.changes.rewritten.append(
            records.row(old, awaited and awaited + RECEIPT_GRACE_MS)
        )
        await self._settlement.persist(transaction)
        self.replaced += 1
        return old

    async def _put_in_place(self, message: Message, rows: Rows, new: Message) -> Outcome:
        """Decides about ``new``, and makes a pending message of it in one transaction. The rows
        are fresh: nothing has been awaited since they were read."""
        entries = await self._pending.claim(message, rows)
        if entries is None:
            return Refusal(Reason.REPLACE_FAILED, "it is not pending any more")
        transaction = Transaction()
        try:
            refusal = self._decide(message, new, transaction)
        except Exception:
            self._queues.release(entries)
            raise
        if refusal is not None:
            self._queues.release(entries)
            return refusal
        before = Before(message)
        for name in FIELDS:
            setattr(message, name, getattr(new, name))
        changes = transaction.changes
        awaited = message.expires_at + RECEIPT_GRACE_MS if message.registered_delivery & 3 else None
        changes.rewritten.append(records.row(message, awaited))
        if message.alias and not message.batch:
            changes.aliases.append((message.account, message.alias, message.id))
        transaction.settled += entries
        due = max(message.schedule_at, int(self._now() * 1000))
        for entry in route.entries(message, 0, due):
            entry.id = self._allot()
            transaction.put.append(entry)
        try:
            await self._queues.commit(transaction)
        except StoreFailed as error:
            self._pending.undo([before], transaction)
            self._uncharged(changes)
            if isinstance(error, Overdrawn):
                self._balances.read_again(row.account for row in changes.ledger)
                over = isinstance(error, OverQuota)
                return Refusal(Reason.QUOTA_EXCEEDED if over else Reason.NO_CREDIT)
            _log.error("replace: not stored: {why}", why=error)
            return Refusal(Reason.STORE_FAILED)
        self._charged(changes)
        self.replaced += 1
        return message

    def _decide(self, old: Message, new: Message, transaction: Transaction) -> Refusal | None:
        """Fills ``new`` in as acceptance would, with what of ``old`` stays, and charges what it
        costs more; or says why not."""
        refusal = self._consider(old, new)
        if refusal is not None:
            return refusal
        tables = self._tables()
        account = tables.accounts[old.account]
        now_ms = int(self._now() * 1000)
        more = len(new.parts) - len(old.parts)
        refusal = self._charge(old, new, account, transaction, now_ms)
        if refusal is None and more > 0:
            lineage = tables.lineage[account.name]
            quotas = self._acceptance.quotas
            quotas.charge(lineage, more, now_ms, transaction.changes.usage)
            if quotas.shared:
                metered = tables.standing[account.name].metered
                transaction.changes.metered += quotas.limits(metered, now_ms)
        return refusal

    def _consider(self, old: Message, new: Message) -> Refusal | None:
        """Fills ``new`` in as acceptance would, with what of ``old`` stays; or says why not."""
        tables = self._tables()
        account = tables.accounts.get(old.account)
        if account is None:
            return Refusal(Reason.ACCOUNT_INACTIVE)
        now_ms = int(self._now() * 1000)
        new.payer = ""
        quotas = self._acceptance.quotas
        lineage = tables.lineage[account.name]
        # What it counts already, it may count again.
        counted: list[tuple[str, int, int]] = []
        quotas.charge(lineage, -len(old.parts), now_ms, counted)
        try:
            outcome = self._acceptance.consider(
                evolve(account, duplicate_window_s=0), new, credit=False
            )
        finally:
            quotas.not_stored(counted)
        if isinstance(outcome, Refusal):
            return outcome
        new.id = old.id
        if not old.batch:  # else that is the number of all of its request
            new.alias = old.alias or new.alias
        new.accepted_at = old.accepted_at
        return None

    def _charge(
        self, old: Message, new: Message, account: Account, transaction: Transaction, now_ms: int
    ) -> Refusal | None:
        """Ledger entries for the difference in price, charged already; or why it cannot be."""
        owed: dict[str, int] = {}
        for message, sign in ((new, 1), (old, -1)):
            if message.charged:
                payer = message.payer or message.account
                owed[payer] = owed.get(payer, 0) + sign * message.charged * len(message.parts)
        for payer, cost in owed.items():
            form = self._tables().accounts.get(payer, account)
            if cost > 0 and not self._balances.covers(form, cost):
                return Refusal(Reason.NO_CREDIT, f"it costs {money.shown(cost)} more")
        for payer, cost in owed.items():
            if cost:
                entry = money.Entry.CHARGE if cost > 0 else money.Entry.REFUND
                transaction.changes.ledger.append(
                    schema.LedgerRow(self._allot(), payer, now_ms, -cost, entry, old.id, "replaced")
                )
            if cost > 0:
                self._balances.charge(payer, cost)
        return None

    def _charged(self, changes: Changes) -> None:
        """What was charged stands, and what was given back may be spent."""
        for row in changes.ledger:
            if row.amount < 0:
                self._balances.stored(row.account, -row.amount)
            else:
                self._balances.credit(Changes(ledger=[row]))
        if changes.usage:
            self._acceptance.quotas.stored(changes.usage)

    def _uncharged(self, changes: Changes) -> None:
        for row in changes.ledger:
            if row.amount < 0:
                self._balances.not_stored(row.account, -row.amount)
        if changes.usage:
            self._acceptance.quotas.not_stored(changes.usage)
