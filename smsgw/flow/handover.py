"""Handover: brings receipts and MO to their account, by any of its SMPP sessions that may receive.

Comes from: the account's queue, filled by ``settle`` (receipts) and ``inbound`` (MO).
Goes on to: nowhere; an entry that the account has answered is settled, and its message is at its
end.
"""

import time
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from smsgw import codes, trace
from smsgw.flow import dead
from smsgw.flow.settle import RETRY_S, Settlement
from smsgw.flow.targets import account_queue
from smsgw.message import MessageState
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.smpp import translate
from smsgw.smpp.codec import encode
from smsgw.smpp.constants import DELIVERY_TEMPORARY, VERSION_34, status_name
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.pdu import DeliverSm
from smsgw.smpp.versions import state_for_33

_log = Logger()

_TRIES = 10  # unanswered deliveries of one entry before it waits longer (L-D10)


class Wording(Protocol):
    """How an account wants its receipts (``id_format``, ``dlr_format`` of its dialect)."""

    def receipts(self, account: str, profile: str) -> tuple[str, bool, bool]:
        """The id format; whether dates have seconds; whether UNDELIV is said as REJECTD (ruling
        14)."""


class SessionOutlet:
    """A bound session as a consumer of its account's queue."""

    def __init__(self, handover: "Handover", session: EsmeSession) -> None:
        self.handover = handover
        self.session = session
        self.outstanding = 0

    @property
    def room(self) -> int:
        """How many more deliver_sm may go out; a place is free again when the answer is settled
        (I2)."""
        return min(self.session.room, self.session.login.window - self.outstanding)

    def take(self, entries: list[Entry]) -> None:
        """Delivers the entries in one write."""
        now_ms = self.handover.now_ms()
        late = [entry for entry in entries if entry.expires_at <= now_ms]
        if late:
            self.handover.settlement.expire(late)
            entries = [entry for entry in entries if entry.expires_at > now_ms]
        word = self.handover.word
        items: list[tuple[DeliverSm, object]] = [(word(e, self.session), e) for e in entries]
        try:
            if items:
                self.session.deliver(items)
        except ValueError:
            # One that no PDU can hold must not hold up the others.
            items = [item for item in items if self.handover.can_be_written(*item)]
            if len(items) < len(entries):
                self.take([e for _, e in items if isinstance(e, Entry)])
                return
            raise
        self.outstanding += len(items)


class Handover:
    """Subscribes sessions to the queues of their accounts, and settles what they answer."""

    def __init__(
        self,
        queues: Queues,
        settlement: Settlement,
        wording: Wording,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._queues = queues
        self.settlement = settlement
        self._wording = wording
        self._clock = clock
        self._now = now
        self._outlets: dict[EsmeSession, SessionOutlet] = {}
        self.delivered = 0
        self.refused = 0
        self.unanswered = 0

    def now_ms(self) -> int:
        """Milliseconds since 1970 UTC."""
        return int(self._now() * 1000)

    def bound(self, session: EsmeSession) -> None:
        """From now on the session gets what waits for its account."""
        outlet = self._outlets[session] = SessionOutlet(self, session)
        queue = account_queue(session.login.account)
        self._queues.subscribe(queue, outlet)
        # What an earlier session did not answer was held for this (L-D10).
        self._queues.hurry(queue)

    def unbound(self, session: EsmeSession) -> None:
        """The session gets nothing more."""
        outlet = self._outlets.pop(session, None)
        if outlet is not None:
            self._queues.unsubscribe(account_queue(session.login.account), outlet)

    def word(self, entry: Entry, session: EsmeSession) -> DeliverSm:
        """The deliver_sm that says what the entry is about."""
        message = entry.message
        if entry.kind == Kind.MO:
            return translate.deliver_of(message)
        login = session.login
        id_format, seconds, strict = self._wording.receipts(login.account, login.profile)
        if entry.kind == Kind.PROGRESS:
            # Ruling 11: after the carrier's acknowledgement.
            at = message.carrier_at or message.accepted_at
            state = MessageState.ACCEPTED
            return translate.receipt_of(message, state, at, id_format, seconds, True)
        state = MessageState(message.state)
        if strict and state is MessageState.UNDELIVERABLE:
            state = codes.failed_state(message.error)
        if session.version < VERSION_34:
            state = state_for_33(state)
        return translate.receipt_of(message, state, message.done_at, id_format, seconds, False)

    def can_be_written(self, pdu: DeliverSm, context: object) -> bool:
        """True if the PDU can be encoded; else its entry ends here."""
        try:
            encode(pdu)
        except ValueError as error:
            assert isinstance(context, Entry)
            _log.error(
                "message {message_id}: no PDU holds it: {why}",
                message_id=str(context.message.id),
                account=context.message.account,
                why=error,
            )
            transaction = Transaction()
            self._refuse(context, "no PDU holds it", transaction, codes.INTERNAL_ERROR)
            self.settlement.persist(transaction)
            return False
        return True

    def _refuse(self, entry: Entry, why: str, transaction: Transaction, error: int = 0) -> None:
        self.refused += 1
        state = MessageState.REJECTED
        dead.end(self.settlement, entry, state, why, transaction, self.now_ms(), error)

    def delivered_to(self, session: EsmeSession, answers: list[tuple[object, int | None]]) -> None:
        """What a session answered to deliveries; None if it did not."""
        now = self.now_ms()
        transaction = Transaction()
        transaction.changes.soon = True
        for context, status in answers:
            assert isinstance(context, Entry)
            entry = context
            if trace.on:
                trace.say("delivered", entry.message, to="session", status=status)
            if status == 0:
                self.delivered += 1
                dead.end(self.settlement, entry, MessageState.DELIVERED, "", transaction, now)
            elif status is None and session.close_reason:
                # Lost with its session: nothing is wrong with it, nor with the next one.
                self.unanswered += 1
                transaction.postpone(entry, now, failed=False)
            elif status is None or status in DELIVERY_TEMPORARY:
                self.unanswered += status is None
                transaction.postpone(entry, now + self._wait_ms(entry))
            else:
                self._refuse(entry, status_name(status), transaction)
        self.settlement.persist(transaction).addCallback(
            lambda _: self._settled(session, len(answers))
        )

    def _wait_ms(self, entry: Entry) -> int:
        if entry.attempts >= _TRIES:
            return RETRY_S[-1] * 10_000
        return RETRY_S[min(entry.attempts, len(RETRY_S) - 1)] * 1000

    def _settled(self, session: EsmeSession, count: int) -> None:
        outlet = self._outlets.get(session)
        if outlet is not None:
            outlet.outstanding -= count
            self._queues.pump(account_queue(session.login.account))
