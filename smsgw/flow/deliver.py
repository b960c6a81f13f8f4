"""Deliver: brings MO and receipts to targets that are no sessions: URLs, mailboxes, handsets.

Comes from: the queues of targets, filled by ``inbound`` (MO) and ``settle`` (receipts).
Goes on to: nowhere; an entry ends as its target says, or waits for its next try. What is forwarded
to a handset goes on to ``accept``.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial

from attrs import define, field
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import trace
from smsgw.config import Config
from smsgw.flow import dead, targets
from smsgw.flow.accept import Acceptance
from smsgw.flow.forward import Forwarding, forward, passing
from smsgw.flow.settle import Settlement
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Delivery, Messenger, Told
from smsgw.message import Acknowledgement, Message, MessageState
from smsgw.provisioning import Account
from smsgw.provisioning.targets import MM4, Target, callback_of, mailbox, masked, report_of
from smsgw.provisioning.targets import read as read_target
from smsgw.queues import Consumer, Entry, Kind, Queues, Transaction
from smsgw.refusals import Refusal
from smsgw.rules.filters import text_of
from smsgw.rules.tables import Tables
from smsgw.store.journal import StoreFailed
from smsgw.toml import Wrong

_log = Logger()

WINDOW = 16  # deliveries under way to one target
_EVENTS = {
    Kind.MO: "mo",
    Kind.RECEIPT: "receipt",
    Kind.PROGRESS: "progress",
    Kind.NOTICE: "notice",
    Kind.READ: "read",
}


class TargetOutlet:
    """A target as the consumer of its queue."""

    def __init__(self, deliveries: "Deliveries", queue: str) -> None:
        self._deliveries = deliveries
        self._queue = queue
        # Message -> what is to follow the delivery about it that is under way: nobody is to be told
        # first that it was delivered, and then that a carrier has it (A-D40).
        self._under_way: dict[int, list[Entry]] = {}
        self._outstanding = 0

    @property
    def room(self) -> int:
        """How many more deliveries may be under way."""
        return WINDOW - self._outstanding

    def take(self, entries: list[Entry]) -> None:
        """Begins these deliveries."""
        self._outstanding += len(entries)
        for entry in entries:
            following = self._under_way.get(entry.message.id)
            if following is None:
                self._under_way[entry.message.id] = []
                self._begin(entry)
            else:
                following.append(entry)

    def _begin(self, entry: Entry) -> None:
        maybeDeferred(self._deliveries.deliver, entry).addBoth(self._ended, entry)

    def _ended(self, result: object, entry: Entry) -> None:
        if isinstance(result, Failure):
            _log.failure("queue {queue}", result, queue=masked(self._queue))
            self._deliveries.queues.give_back([entry])
        self._outstanding -= 1
        following = self._under_way[entry.message.id]
        if following:
            self._begin(following.pop(0))
        else:
            del self._under_way[entry.message.id]
        self._deliveries.queues.pump(self._queue)


class Deliveries:
    """Attends the queues of targets."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        queues: Queues,
        settlement: Settlement,
        acceptance: Acceptance,
        forwarding: Forwarding,
        messengers: Mapping[str, Messenger],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``messengers`` by the kind of their targets."""
        self._config = config
        self._tables = tables
        self.queues = queues
        self._settlement = settlement
        self._acceptance = acceptance
        self._forwarding = forwarding
        self._messengers = messengers
        self._now = now
        self._stopping = self._stopped = False
        # For operators: how deliveries went, by kind of target and result.
        self.results: dict[tuple[str, str], int] = {}
        queues.attend = self._attend

    def _attend(self, queue: str) -> Consumer | None:
        return TargetOutlet(self, queue) if targets.is_target_queue(queue) else None

    def stop(self) -> Deferred[None]:
        """Fires when nothing is under way; what comes to no end is delivered again after a
        start."""
        self._stopping = True
        stopping = [messenger.stop() for messenger in self._messengers.values()]

        def stopped(_: object) -> None:
            self._stopped = True

        return gatherResults(stopping, consumeErrors=True).addBoth(stopped)

    def deliver(self, entry: Entry) -> Deferred[None]:
        """Fires when what became of this try is durable."""
        if self._stopping:
            return succeed(None)
        tables = self._tables()
        account = tables.accounts.get(targets.account_of(entry.queue))
        if account is None:
            return self._end(entry, Told(REFUSED, "the account is no more"), None)
        if entry.expires_at <= self._now() * 1000:
            return self._end(entry, Told(FAILED, "it waited too long"), None)
        try:
            target = _target(entry, account)
        except Wrong as wrong:
            return self._end(entry, Told(REFUSED, str(wrong)), None)
        if _is_late(entry, target):
            transaction = Transaction()
            transaction.settle(entry)
            return self._settlement.persist(transaction)
        if target.kind in ("mobile", "sim"):
            return self._forward(entry, target, account, tables)
        messenger = self._messengers.get(target.kind)
        if messenger is None:
            why = f"no {target.kind} targets are served"
            return self._end(entry, Told(REFUSED, why), target)
        number = None
        if entry.kind == Kind.MO:
            message = entry.message
            found = tables.numbers.find(message.destination.lstrip("+"), partial(text_of, message))
            number = found.number if found is not None and found.account is account else None
        delivery = Delivery(
            _EVENTS[Kind(entry.kind)],
            entry.message,
            target,
            account,
            number,
            entry.id,
            entry.attempts,
            entry.part,
        )
        return (
            maybeDeferred(messenger.deliver, delivery)
            .addErrback(_broken)
            .addCallback(lambda told: self._end(entry, told, target))
        )

    def _end(self, entry: Entry, told: Told, target: Target | None) -> Deferred[None]:
        """Settles a try, or gives the entry its next one."""
        if self._stopped or told is targets.STOPPED:
            return succeed(None)
        transaction = Transaction()
        transaction.changes.soon = True
        self._settle(entry, told, target, transaction)
        return self._settlement.persist(transaction)

    def _settle(
        self, entry: Entry, told: Told, target: Target | None, transaction: Transaction
    ) -> None:
        kind = target.kind if target is not None else "none"
        self.results[kind, told.result] = self.results.get((kind, told.result), 0) + 1
        if trace.on:
            trace.say("delivered", entry.message, to=kind, result=told.result, why=told.detail)
        now = int(self._now() * 1000)
        if told.result == DELIVERED:
            dead.end(self._settlement, entry, MessageState.DELIVERED, "", transaction, now)
            return
        if told.result == FAILED and target is not None:
            aerialink = self._config.aerialink
            patience = targets.patience_with(
                target, aerialink.retry_count, aerialink.retry_interval_s
            )
            due = patience.due(entry.attempts + 1, now)
            if due is not None and due < entry.expires_at:
                _log.info(
                    "message {message_id}: {event} for {queue} failed, again in {wait} s: {why}",
                    message_id=str(entry.message.id),
                    event=_EVENTS[Kind(entry.kind)],
                    queue=masked(entry.queue),
                    wait=(due - now) // 1000,
                    why=masked(told.detail),
                )
                transaction.postpone(entry, due)
                return
        refused = told.result == REFUSED
        state = MessageState.REJECTED if refused else MessageState.EXPIRED
        entry.attempts += target is not None
        _log.warn(
            "message {id}: {event} for {queue} given up after {attempts} tries: {why}",
            id=entry.message.id,
            event=_EVENTS[Kind(entry.kind)],
            queue=masked(entry.queue),
            attempts=entry.attempts,
            why=masked(told.detail),
        )
        dead.end(self._settlement, entry, state, told.detail, transaction, now)

    def _forward(
        self, entry: Entry, target: Target, account: Account, tables: Tables
    ) -> Deferred[None]:
        """An MO goes to a handset or a SIM: that it is accepted and that it is handed over is one
        transaction, so that it is neither lost nor sent and charged twice."""
        if entry.message.via and target.kind == "mobile":
            return self._end(entry, Told(REFUSED, "loop"), target)
        before = _Before.of(entry)
        transaction = Transaction()
        outcome = forward(entry.message, target, account, tables, self._acceptance, transaction)
        if isinstance(outcome, Refusal):
            words = outcome.reason.answer.text
            why = f"{words}: {outcome.detail}" if outcome.detail else words
            told = Told(FAILED if passing(outcome.reason) else REFUSED, why)
        else:
            told = Told(DELIVERED)
            self._forwarding.sent(outcome)
        self._settle(entry, told, target, transaction)

        def not_stored(failure: Failure) -> Deferred[None]:
            failure.trap(StoreFailed)
            before.restore(entry)
            return self._end(entry, Told(FAILED, failure.getErrorMessage()), target)

        return self._acceptance.commit(transaction, [outcome]).addErrback(not_stored)


def _broken(failure: Failure) -> Told:
    """A messenger never fails; one that did is at fault, and its target is not."""
    _log.failure("a messenger failed", failure)
    return Told(FAILED, "internal error")


def _target(entry: Entry, account: Account) -> Target:
    """Where an entry goes. Raises ``Wrong``."""
    message = entry.message
    if entry.kind == Kind.MO:
        # Not of the message: one that is brought again may go where it never went before.
        return read_target(targets.target_of(entry.queue))
    if entry.kind == Kind.NOTICE:
        return mailbox(account.email)
    if targets.is_mmsc(entry.queue):
        return MM4
    action = targets.action_of(entry.queue)
    if action:
        return read_target(action)
    if not targets.is_callback(entry.queue):
        return report_of(message.report_to)
    if not account.callback:
        raise Wrong("the account has no callback any more")
    return callback_of(account)


def _is_late(entry: Entry, target: Target) -> bool:
    """True for a report that a carrier has the message, when it is told already what became of it
    (A-D40)."""
    if entry.kind != Kind.PROGRESS or target.dialect != "aaisp":
        return False
    return MessageState(entry.message.state).final or targets.failed_part(entry.message)


@define
class _Before:
    """What the end of an entry changes of its message, to undo it if the store does not take it."""

    message: Message
    attempts: int
    due: int
    fields: tuple[int, int, int, str]
    outcome: Acknowledgement | None = field(default=None)

    @classmethod
    def of(cls, entry: Entry) -> "_Before":
        m = entry.message
        fields = (m.state, m.done_at, m.error, m.network_error)
        return cls(m, entry.attempts, entry.due, fields, m.acknowledged.get(entry.part))

    def restore(self, entry: Entry) -> None:
        m = self.message
        m.state, m.done_at, m.error, m.network_error = self.fields
        entry.attempts, entry.due = self.attempts, self.due
        if self.outcome is not None:
            m.acknowledged[entry.part] = self.outcome
        else:
            m.acknowledged.pop(entry.part, None)
