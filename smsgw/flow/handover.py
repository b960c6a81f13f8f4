"""Handover: brings receipts and MO to their account, by any of its SMPP sessions that may receive.

Comes from: the account's queue, filled by ``settle`` (receipts) and ``inbound`` (MO).
Goes on to: nowhere; an entry that the account has answered is settled, and its message is at its
end.
"""

import time
from collections.abc import Callable
from typing import Protocol

from twisted.internet.interfaces import IReactorTime

from smsgw.flow.settle import RETRY_S, Settlement, account_queue
from smsgw.message import MessageState
from smsgw.queues import Entry, Kind, Transaction
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.smpp import translate
from smsgw.smpp.constants import DELIVERY_TEMPORARY
from smsgw.smpp.pdu import DeliverSm
from smsgw.smpp.server import EsmeSession

_TRIES = 10  # unanswered deliveries of one entry before it waits longer (L-D10)
_NEXT_HOP_REFUSED = 225


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
        if entries:
            self.outstanding += len(entries)
            word = self.handover.word
            self.session.deliver([(word(entry, self.session), entry) for entry in entries])


class Handover:
    """Subscribes sessions to the queues of their accounts, and settles what they answer."""

    def __init__(
        self,
        queues: EmbeddedQueues,
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
        self._queues.subscribe(account_queue(session.login.account), outlet)

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
            state = MessageState.REJECTED
        return translate.receipt_of(message, state, message.done_at, id_format, seconds, False)

    def delivered_to(self, session: EsmeSession, answers: list[tuple[object, int | None]]) -> None:
        """What a session answered to deliveries; None if it did not."""
        now = self.now_ms()
        transaction = Transaction()
        transaction.changes.soon = True
        for context, status in answers:
            assert isinstance(context, Entry)
            entry = context
            if status == 0:
                self.delivered += 1
                transaction.settled.append(entry)
                if entry.kind == Kind.MO:
                    self.settlement.close(entry.message, MessageState.DELIVERED, transaction, now)
            elif status is None or status in DELIVERY_TEMPORARY:
                self.unanswered += status is None
                transaction.postpone(entry, now + self._wait_ms(entry, session, status))
            else:
                self.refused += 1
                transaction.settled.append(entry)
                if entry.kind == Kind.MO:
                    entry.message.error = _NEXT_HOP_REFUSED
                    self.settlement.close(entry.message, MessageState.REJECTED, transaction, now)
        self.settlement.persist(transaction).addCallback(
            lambda _: self._settled(session, len(answers))
        )

    def _wait_ms(self, entry: Entry, session: EsmeSession, status: int | None) -> int:
        # Lost with its session: nothing is wrong with the next one, or with the next bind.
        if status is None and session.close_reason:
            return 0
        if entry.attempts >= _TRIES:
            return RETRY_S[-1] * 10_000
        return RETRY_S[min(entry.attempts, len(RETRY_S) - 1)] * 1000

    def _settled(self, session: EsmeSession, count: int) -> None:
        outlet = self._outlets.get(session)
        if outlet is not None:
            outlet.outstanding -= count
            self._queues.pump(account_queue(session.login.account))
