"""Reporting: tells the MMSC that brought a multimedia message what became of it (ruling 17), and
what its customer says of it.

Comes from: ``ending`` and ``inbound``, when such an MO ends; the edge, with what a customer's own
MMSC reports. Goes on to: ``replies``, with the report in the same transaction.
"""

import time
from collections.abc import Callable

from smsgw.flow.exchange import Exchange, carrier_peer
from smsgw.flow.replies import Replies
from smsgw.identities import Identities
from smsgw.message import Message, MessageState
from smsgw.mm4 import addresses, headers, transactions
from smsgw.mm4.pdus import DeliveryReportReq, ReadReplyReq
from smsgw.mm4.words import ReadStatus, Status
from smsgw.queues import Transaction
from smsgw.rules.tables import Tables


class Reporting:
    """Writes the reports of MO."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        exchange: Exchange,
        replies: Replies,
        identities: Identities,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._tables = tables
        self._exchange = exchange
        self._replies = replies
        self._allot = identities.allot
        self._now = now

    def ended(self, message: Message, state: MessageState, transaction: Transaction) -> None:
        """A multimedia MO has ended: its carrier is told if it asked."""
        kept = message.multimedia
        if kept is None or not transactions.report_wanted(kept, state):
            return
        outcome = transactions.outcome_of(state)
        self.status(message, outcome.status, outcome.extension, message.network_error, transaction)

    def status(
        self,
        message: Message,
        status: Status,
        extension: str,
        text: str,
        transaction: Transaction,
    ) -> None:
        """Tells the carrier of an MO this status of it."""
        assert message.multimedia is not None
        report = DeliveryReportReq(
            status=status,
            extension=extension,
            status_text=text,
            # That the relay asked is not for the sender's handset to know.
            forward_to_ua=message.multimedia.delivery_report,
        )
        self._put(message, report, "dr", transaction)

    def read(
        self, message: Message, status: ReadStatus, text: str, transaction: Transaction
    ) -> None:
        """Tells the carrier of an MO that it was read, or was not."""
        self._put(message, ReadReplyReq(status=status, status_text=text), "rr", transaction)

    def _put(
        self,
        message: Message,
        report: DeliveryReportReq | ReadReplyReq,
        kind: str,
        transaction: Transaction,
    ) -> None:
        kept, exchange = message.multimedia, self._exchange
        form = self._tables().carriers.get(message.carriers[0]) if message.carriers else None
        if kept is None or form is None or not message.report_to:
            return
        name = f"{kind}-{self._allot()}"
        to = addresses.of_source(message.destination.removeprefix("+"), message.destination_ton)
        report.from_ = addresses.write(to, exchange.domain)
        report.to = [message.report_to]
        report.sender = exchange.system
        report.date = int(self._now() * 1000)
        report.mail_id = f"{name}@{exchange.domain}"
        report.transaction_id = name
        report.message_id = kept.message_id
        report.ack_request = False  # it is sent until it is taken
        octets = headers.write(report, quote_ids=form.quote_ids)
        self._replies.put(transaction, carrier_peer(form.name), message.report_to, octets)
