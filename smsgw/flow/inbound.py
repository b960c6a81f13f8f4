"""Inbound: takes messages from handsets (MO) and finds the account whose number they were sent to.

Comes from: ``send``'s links with deliver_sm that are no receipts.
Goes on to: ``handover``, by the account's queue.
"""

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.settle import HANDOVER_MS, account_queue
from smsgw.identities import Identities
from smsgw.message import Direction, Message
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.rules.tables import Tables
from smsgw.smpp import translate
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import DeliverSm, DeliverSmResp
from smsgw.store import records
from smsgw.store.records import Records

_log = Logger()


class Inbound:
    """Takes the MO of all carriers."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        known: Records,
        identities: Identities,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._queues = queues
        self._known = known
        self._allot = identities.allot
        self._now = now
        self.received = 0
        self.nobodys = 0  # refused: no account has the number

    def receive(self, carrier: str, pdus: list[DeliverSm]) -> Deferred[list[DeliverSmResp]]:
        """Fires with an answer for each, once all that is taken is durable.

        For a number that nobody has the carrier gets ESME_RINVDSTADR, so it never thinks it was
        delivered.
        """
        now = int(self._now() * 1000)
        numbers = self._tables().numbers
        transaction = Transaction()
        answers: list[DeliverSmResp] = []
        for pdu in pdus:
            message = translate.mo_of(pdu)
            owner = numbers.get(message.destination.removeprefix("+"))
            status = Status.ESME_ROK
            if owner is None:
                self.nobodys += 1
                _log.warn(
                    "MO from carrier {carrier} to {number}: no account has this number",
                    carrier=carrier,
                    number=message.destination,
                )
                status = Status.ESME_RINVDSTADR
            else:
                message.account = owner[0].name
                self._record(message, carrier, now, transaction)
            answers.append(DeliverSmResp(sequence=pdu.sequence, status=status))
        if not transaction.put:
            return succeed(answers)

        def stored(_: None) -> list[DeliverSmResp]:
            self.received += len(transaction.put)
            return answers

        def not_stored(failure: Failure) -> list[DeliverSmResp]:
            _log.error("inbound: not stored: {why}", why=failure.getErrorMessage())
            for answer in answers:
                if answer.status == Status.ESME_ROK:
                    answer.status = Status.ESME_RX_T_APPN
            return answers

        return self._queues.commit(transaction).addCallbacks(stored, not_stored)

    def _record(self, message: Message, carrier: str, now: int, transaction: Transaction) -> None:
        message.id = self._allot()
        message.direction = Direction.MO
        message.accepted_at = now
        message.expires_at = now + HANDOVER_MS
        message.carriers = [carrier]
        self._known.known[message.id] = message
        transaction.changes.messages.append(records.row(message, None))
        queue = account_queue(message.account)
        transaction.put.append(
            Entry(self._allot(), queue, now, Kind.MO, message, expires_at=message.expires_at)
        )
