"""MM4 answers: what a carrier's MMSC says of messages that it was mailed: responses, delivery
reports, read replies.

Comes from: the SMTP edge with a mail of a carrier that is such a PDU. Goes on to: ``multimedia``
and ``settle``, which move the message on; ``replies`` with the response, if one is asked for.

All that a PDU changes is in one transaction with the response to it, and only then the mail is
answered with 250: what an MMSC has told us is not told twice, and is not lost (I1). A carrier is
heard about its own messages only; about others there is no such message (I6).

Any node is told, whichever mailed the message. Its entry is taken by its row, so the node that has
it postponed finds no row when its time comes, and mails nothing. While another node is mailing it,
or has yet to store that it did, the entry is waited for; after some seconds the MMSC is to say it
again.
"""

import time
from collections.abc import Callable, Mapping

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger

from smsgw import trace
from smsgw.flow import former
from smsgw.flow.exchange import Exchange, carrier_peer
from smsgw.flow.mm4_entries import Mm4Entries
from smsgw.flow.pending import Pending
from smsgw.flow.replies import Replies
from smsgw.flow.route import carrier_queue
from smsgw.flow.settle import Settlement
from smsgw.identities import Identities
from smsgw.message import Acknowledgement, Message, MessageState, Receipt
from smsgw.mm4 import addresses, headers, mails
from smsgw.mm4.addresses import Kind
from smsgw.mm4.pdus import (
    DeliveryReportReq,
    ForwardRes,
    Pdu,
    ReadReplyReq,
    Request,
    answer,
)
from smsgw.mm4.transactions import Event, answered, reported, state_of
from smsgw.mm4.words import ReadStatus, RequestStatus
from smsgw.provisioning import Carrier
from smsgw.queues import Entry, Queues, Transaction
from smsgw.refusals import Reason
from smsgw.store.records import FINAL_STATES

_log = Logger()

_UNMATCHED = "no such message"
_NUMBERS = (Kind.NUMBER, Kind.SHORT_CODE)
# Between looks for an entry that somebody else has; an answer that overtakes the 250 of its mail
# mostly waits for one commit.
_LOOKS_S = (0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
_WAITING = 100  # answers that wait so at a time


class _Had(Exception):
    """Somebody else has the entry of the message."""


@define
class _Found:
    """A message that a carrier speaks of, and its entry if it still waits for that carrier, which
    nobody else gets from now on."""

    message: Message
    entry: Entry | None


class Mm4Answers:
    """Takes what MMSCs say."""

    def __init__(
        self,
        sides: Callable[[], Mapping[str, Mm4Entries]],
        queues: Queues,
        pending: Pending,
        settlement: Settlement,
        replies: Replies,
        exchange: Exchange,
        identities: Identities,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._sides = sides
        self._queues = queues
        self._pending = pending
        self._settlement = settlement
        self._replies = replies
        self._exchange = exchange
        self._allot = identities.allot
        self._now = now
        # By name, carriers that this node mails nothing to, and is told something by.
        self.elsewhere: dict[str, Mm4Entries] = {}
        # For operators: answers that wait for an entry that somebody else has, and PDUs that no
        # message was found for.
        self.waiting = self.unmatched = 0

    def concerns(self, pdu: Pdu) -> bool:
        """True for what says something of a message that the gateway sent to a carrier."""
        return isinstance(pdu, ForwardRes | DeliveryReportReq | ReadReplyReq)

    def receive(self, carrier: str, pdu: Pdu) -> Deferred[bool]:
        """Fires with True when what a carrier says is durable, and so is our response; False if the
        store does not take it now, so that it must be said again."""
        return Deferred.fromCoroutine(self._receive(carrier, pdu))

    async def _receive(self, carrier: str, pdu: Pdu) -> bool:
        if self._settlement.unstored:
            return False  # what this follows may be among what the store has yet to take
        side = self._side(carrier)
        if side is None:
            return False
        if isinstance(pdu, ForwardRes):
            side.responses += 1
        else:
            side.reports += 1
        # A response is of a transaction; the ids of ours name the message either way.
        id = mails.named(pdu.transaction_id) if isinstance(pdu, ForwardRes) else 0
        try:
            found = await self._sought(carrier, side, id or mails.named(pdu.message_id))
        except _Had:
            return False
        except Exception as error:
            _log.error("MM4 of {carrier}: store not read: {why}", carrier=carrier, why=error)
            return False
        if (
            found is not None
            and isinstance(pdu, Request)
            and not self._is_of(found, pdu, side.form)
        ):
            if found.entry is not None and found.message.id not in side.under_way:
                self._queues.release([found.entry])
            found = None
        transaction = Transaction()
        status, why = self._apply(carrier, side, pdu, found, transaction)
        if isinstance(pdu, Request) and pdu.wants_answer:
            self._answer(carrier, pdu, status, why, transaction)
        await self._settlement.persist(transaction)
        return True

    def refuse(
        self, carrier: str, pdu: Request, status: RequestStatus, why: str, transaction: Transaction
    ) -> None:
        """Adds the response to a request that cannot be served, if one is asked for."""
        if pdu.wants_answer:
            self._answer(carrier, pdu, status, why, transaction)

    def _answer(
        self, carrier: str, pdu: Request, status: RequestStatus, why: str, transaction: Transaction
    ) -> None:
        now = int(self._now() * 1000)
        system, domain = self._exchange.system, self._exchange.domain
        response = answer(
            pdu,
            status,
            sender=system,
            date=now,
            mail_id=f"res.{self._allot():x}@{domain}",
            text=why,
        )
        form = self._settlement.tables().carriers.get(carrier)
        if form is None:
            return  # it is gone, and nothing is mailed to it
        content = headers.write(response, quote_ids=form.quote_ids)
        self._replies.put(transaction, carrier_peer(carrier), pdu.answer_to, content)

    def _side(self, carrier: str) -> Mm4Entries | None:
        """What settles a carrier's entries here; None if there is no such carrier."""
        side = self._sides().get(carrier)
        if side is not None:
            return side
        form = self._settlement.tables().carriers.get(carrier)
        if form is None or form.kind != "mm4":
            return None
        side = self.elsewhere.get(carrier)
        if side is None:
            side = Mm4Entries(form, self._settlement, self._exchange, self._now)
            self.elsewhere[carrier] = side
        side.form = form
        return side

    async def _sought(self, carrier: str, side: Mm4Entries, id: int) -> _Found | None:
        """As ``_find``, waiting for an entry that somebody else has. Raises ``_Had`` if they keep
        it."""
        try:
            return await self._find(carrier, side, id)
        except _Had:
            if self.waiting >= _WAITING:
                raise
        self.waiting += 1
        try:
            for pause in _LOOKS_S:
                await deferLater(self._settlement.clock, pause)
                try:
                    return await self._find(carrier, side, id)
                except _Had:
                    continue
            raise _Had
        finally:
            self.waiting -= 1

    async def _find(self, carrier: str, side: Mm4Entries, id: int) -> _Found | None:
        """The message that the carrier speaks of; None if there is none, or it was never its.
        Raises ``_Had`` if it waits for the carrier, and somebody else has its entry."""
        found = await self._pending.find(None, id) if id else None
        if found is None or found[0].kind != "mms":
            return None
        message, rows = found
        under_way = side.under_way.get(id)
        if under_way is not None:
            return _Found(message, None if under_way.answered else under_way.entry)
        for row in rows:
            if row.queue == carrier_queue(carrier):
                for entry in await self._queues.claim([(row, message)]):
                    return _Found(message, entry)
                raise _Had
        had = [*message.acknowledged.values(), *message.former.values()]
        silent = message.state == MessageState.UNKNOWN and carrier in message.carriers
        if silent or any(one.carrier == carrier for one in had):
            return _Found(message, None)
        return None

    def _is_of(self, found: _Found, pdu: Request, form: Carrier) -> bool:
        """False if a report is about another recipient than the message has: its ``From`` is a
        number, and not that one, written internationally or not."""
        ours = (form.domain.lower(), self._exchange.domain)
        said = addresses.read(pdu.from_, form.country, ours)
        if isinstance(said, Reason) or said.kind not in _NUMBERS:
            return True
        number, other = found.message.destination.removeprefix("+"), said.text.lstrip("0")
        return number.endswith(other) or other.endswith(number)

    def _apply(
        self,
        carrier: str,
        side: Mm4Entries,
        pdu: Pdu,
        found: _Found | None,
        transaction: Transaction,
    ) -> tuple[RequestStatus, str]:
        """Adds what a PDU changes to the transaction; the answer to it."""
        if found is None:
            self.unmatched += 1
            _log.warn(
                "carrier {carrier}: {type} of an unknown message: transaction {id}",
                carrier=carrier,
                type=str(pdu.TYPE),
                id=pdu.transaction_id,
            )
            return RequestStatus.MESSAGE_NOT_FOUND, _UNMATCHED
        if trace.on:
            trace.say("MM4", found.message, carrier=carrier, type=str(pdu.TYPE))
        if isinstance(pdu, ForwardRes):
            self._responded(carrier, side, pdu, found, transaction)
        elif isinstance(pdu, DeliveryReportReq):
            self._reported(carrier, side, pdu, found, transaction)
        elif isinstance(pdu, ReadReplyReq):
            if found.entry is not None:
                # Who read it has it.
                side.responded(found.entry, Event.INTERIM, "read", transaction)
            if pdu.status is ReadStatus.READ:
                at = pdu.date or int(self._now() * 1000)
                self._settlement.read(found.message, at, transaction)
        return RequestStatus.OK, ""

    def _responded(
        self,
        carrier: str,
        side: Mm4Entries,
        pdu: ForwardRes,
        found: _Found,
        transaction: Transaction,
    ) -> None:
        event = answered(pdu)
        why = "" if event is Event.OK else str(pdu.status)
        if why:
            _log.info(
                "message {message_id}: refused by {carrier}: {status} {text}",
                message_id=str(found.message.id),
                carrier=carrier,
                status=why,
                text=pdu.status_text,
            )
        if found.entry is not None:
            side.responded(found.entry, event, why, transaction)
        elif event is Event.OK:
            self._late(carrier, found.message, transaction)
            if side.form.res_delivers:
                self._receipt(carrier, found.message, _delivered(), transaction)

    def _reported(
        self,
        carrier: str,
        side: Mm4Entries,
        pdu: DeliveryReportReq,
        found: _Found,
        transaction: Transaction,
    ) -> None:
        message, event = found.message, reported(pdu)
        if found.entry is not None:
            # It comes before the response, or instead of it.
            side.responded(found.entry, event, "reported", transaction)
        else:
            self._late(carrier, message, transaction)
        state = state_of(pdu.status, pdu.extension)
        said = Receipt(
            "",
            int(state),
            error="" if state is MessageState.DELIVERED else str(pdu.status),
            done_at=pdu.date,
            text=pdu.status_text,
            intermediate=event is Event.INTERIM,
        )
        self._receipt(carrier, message, said, transaction)

    def _receipt(
        self, carrier: str, message: Message, said: Receipt, transaction: Transaction
    ) -> None:
        now = int(self._now() * 1000)
        self._settlement.receipt(carrier, message, 0, said, transaction, now)

    def _late(self, carrier: str, message: Message, transaction: Transaction) -> None:
        """After a long silence the carrier has the message after all."""
        if message.acknowledged or message.former or message.state in FINAL_STATES:
            return
        name = mails.transaction_id(message)
        at = int(self._now() * 1000)
        message.acknowledged[0] = Acknowledgement(carrier, name, at, int(message.state))
        transaction.changes.parts.append(former.part_row(message, 0))


def _delivered() -> Receipt:
    return Receipt("", int(MessageState.DELIVERED))
