"""MM4 entries: what becomes of a carrier's entries by what its MMSC does and says.

Comes from: ``multimedia``, which mails them; ``mm4_answers`` with what the MMSC says, at whichever
node it says it. Goes on to: ``settle``.
"""

import time
from collections.abc import Callable
from typing import Any, Protocol

from attrs import define

from smsgw import codes
from smsgw.flow.settle import Settlement
from smsgw.message import MessageState, Receipt
from smsgw.mm4 import mails
from smsgw.mm4.transactions import Act, Event, Phase, Policy, Sending, Step, step
from smsgw.mm4.words import RequestStatus
from smsgw.provisioning import Carrier
from smsgw.queues import Entry, Transaction

# What a carrier's refusal means in our codes, if its form does not say.
_CODES = {
    RequestStatus.SERVICE_DENIED: 104,
    RequestStatus.ADDRESS_UNRESOLVED: 206,
    RequestStatus.MESSAGE_NOT_FOUND: 222,
    RequestStatus.CONTENT_NOT_ACCEPTED: 202,
    RequestStatus.UNSUPPORTED_MESSAGE: 100,
    RequestStatus.FORMAT_CORRUPT: 127,
}


class Outlets(Protocol):
    """Gives the connections to peers (``flow.exchange.Exchange``)."""

    @property
    def domain(self) -> str:
        """Our own MMS domain, "" if there is none."""

    def of(self, peer: str) -> Any:
        """What has ``send``, as ``smtp.outgoing.Outgoing``; None if the peer is gone."""


@define(eq=False)
class UnderWay:
    """An entry that is being mailed; ``answered`` once a response or report has settled it."""

    entry: Entry
    answered: bool = False


class Mm4Entries:
    """The entries of one carrier of kind mm4. A node that mails nothing to it has no more than
    this."""

    def __init__(
        self,
        form: Carrier,
        settlement: Settlement,
        exchange: Outlets,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self.form = form
        self.settlement = settlement
        self._exchange = exchange
        self._now = now
        self.under_way: dict[int, UnderWay] = {}  # by message
        # For operators, since the start of the gateway.
        self.refused = self.responses = self.reports = 0

    @property
    def policy(self) -> Policy:
        """How it is treated. Without a domain of ours no response can come."""
        form = self.form
        return Policy(
            ack=form.ack and bool(self._exchange.domain),
            response_timeout_s=int(form.response_s),
            retry_s=tuple(form.retry_s),
            response_is_delivery=form.res_delivers,
        )

    def taken_step(self, entry: Entry, sending: Sending, event: Event) -> Step:
        """What follows when something happens to an entry, whose ``sending`` moves on."""
        now = int(self._now() * 1000)
        return step(sending, event, now, entry.message.expires_at, self.policy)

    def responded(self, entry: Entry, event: Event, why: str, transaction: Transaction) -> None:
        """A response or a report has come for a message whose entry is still there: under way, or
        claimed from its queue."""
        one = self.under_way.get(entry.message.id)
        if one is not None and one.entry is entry:
            one.answered = True
        sending = Sending.of(entry.attempts)
        if sending.phase is Phase.QUEUED and one is not None:
            # It overtakes the answer of the SMTP server.
            sending.phase = Phase.MAILED
        taken = self.taken_step(entry, sending, event)
        self.settle(entry, sending, taken, why, transaction)

    def settle(
        self, entry: Entry, sending: Sending, taken: Step, why: str, transaction: Transaction
    ) -> None:
        """Adds what is to be done about an entry to the transaction."""
        settlement, carrier, message = self.settlement, self.form.name, entry.message
        now = int(self._now() * 1000)
        act = taken.act
        if act in (Act.AWAIT, Act.RETRY, Act.REPEAT):
            entry.attempts = sending.attempts
            transaction.postpone(entry, taken.due, failed=False)
        elif act in (Act.ACKNOWLEDGE, Act.INTERIM, Act.REPORT):
            name = mails.transaction_id(message).encode()
            settlement.taken(entry, carrier, name, transaction, now)
            if act is Act.REPORT and self.form.res_delivers and not why:
                done = Receipt("", int(MessageState.DELIVERED), done_at=now)
                settlement.receipt(carrier, message, entry.part, done, transaction, now)
        elif act is Act.REJECT:
            self.refused += 1
            self.refuse(entry, why, transaction, now)
        elif act is Act.GIVE_UP:
            settlement.silent(entry, carrier, transaction, now)
        elif act is Act.EXPIRE:
            transaction.settled.append(entry)
            over = codes.VALIDITY_OVER
            settlement.failed(entry, carrier, MessageState.EXPIRED, over, "", transaction, now)
        else:
            # Nothing that changes anything: it waits on.
            transaction.postpone(entry, entry.due, failed=False)

    def refuse(self, entry: Entry, why: str, transaction: Transaction, now: int) -> None:
        """The carrier does not take the message, for good: the next one of the route gets it, or it
        is REJECTED (``spec/mm4.md`` §8)."""
        carrier = self.form.name
        if self.settlement.fail_over(entry, carrier, transaction, now):
            return
        transaction.settled.append(entry)
        own = self.settlement.tables().codes_of(carrier).own
        code = own.get(codes.error_key(why.removeprefix("SMTP ")))
        if code is None:
            standard = {str(word): number for word, number in _CODES.items()}
            code = standard.get(why, codes.REJECTED_BY_NEXT_HOP)
        self.settlement.failed(entry, carrier, MessageState.REJECTED, code, why, transaction, now)
