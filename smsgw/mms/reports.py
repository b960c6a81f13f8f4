"""Reports and responses of customers' MMSCs: their answers to what was handed over to them, and
what they say became of it."""

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from sqlalchemy import Connection, select
from twisted.logger import Logger

from smsgw.flow.reporting import Reporting
from smsgw.message import Direction, Message, MessageState
from smsgw.mm4 import mails, transactions
from smsgw.mm4.pdus import (
    DeliveryReportReq,
    ForwardRes,
    Pdu,
    ReadReplyReq,
    Request,
)
from smsgw.mm4.words import RequestStatus
from smsgw.mms.answering import OK, Answering, refused
from smsgw.mms.messenger import CustomerMmscs
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.smtp.envelope import Envelope
from smsgw.smtp.replies import LOCAL_ERROR, Reply
from smsgw.store import news, schema, seen
from smsgw.store.changes import StoreFailed
from smsgw.store.journal import Journal

_log = Logger()

_ENROUTE = int(MessageState.ENROUTE)


class CustomerReports:
    """Takes them."""

    def __init__(
        self,
        mmscs: CustomerMmscs,
        reporting: Reporting,
        answering: Answering,
        journal: Journal,
        message: Callable[[str | None, int], Awaitable[Any]],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``message`` gives the message of an account with an id, None if there is none."""
        self._mmscs = mmscs
        self._reporting = reporting
        self._answering = answering
        self._journal = journal
        self._message = message
        self._now = now
        # True if other nodes may be who awaits a response.
        self.shared = False

    async def receive(self, envelope: Envelope, pdu: Pdu | None) -> Reply:
        """Fires with what SMTP says, when what follows is durable."""
        login = envelope.peer.login
        if login is None:
            raise ValueError("not of a customer")
        if isinstance(pdu, ForwardRes):
            if not self._mmscs.responded(login.account, pdu):
                return await self._told(envelope, pdu, login.account)
        elif isinstance(pdu, DeliveryReportReq | ReadReplyReq):
            return await self._reported(envelope, pdu, login.account)
        # Responses to reports are not awaited.
        return Reply(250, "2.0.0", envelope.id)

    async def _told(self, envelope: Envelope, pdu: ForwardRes, account: str) -> Reply:
        """Nobody here awaits a response; if its request is still being handed over, another node
        is told of it. One that is not told asks again in time."""
        entry = self._mmscs.entry_of(pdu.transaction_id)
        if self.shared and entry:
            payload = news.of_response(
                account, pdu.transaction_id, pdu.status.value, pdu.status_text
            )
            q = schema.queue.c
            waits = select(q.id).where(q.id == entry, q.taken != 0)

            def tell(connection: Connection) -> None:
                if connection.execute(waits).first() is not None:
                    news.tell(connection, [payload])

            try:
                await self._journal.run(tell)
            except StoreFailed as failed:
                _log.error("MM4: response not told to other nodes: {why}", why=str(failed))
                return LOCAL_ERROR
        return Reply(250, "2.0.0", envelope.id)

    async def _reported(
        self, envelope: Envelope, pdu: DeliveryReportReq | ReadReplyReq, account: str
    ) -> Reply:
        crowded = self._answering.crowded(envelope, pdu)
        if crowded is not None:
            return crowded
        message = await self._of(pdu, account)
        if message is None:
            unknown = refused(Refusal(Reason.UNKNOWN_MESSAGE, pdu.message_id))
            return await self._answering.whole(envelope, pdu, unknown)
        transaction = Transaction()
        if await self._repeated(pdu, message, account, transaction):
            pass  # it is answered again, and told once
        elif isinstance(pdu, ReadReplyReq):
            if message.multimedia is not None and message.multimedia.read_reply:
                self._reporting.read(message, pdu.status, pdu.status_text, transaction)
        elif self._is_news(message, pdu):
            self._reporting.status(message, pdu.status, pdu.extension, pdu.status_text, transaction)
        self._answering.put(envelope, pdu, {pdu.from_: OK}, transaction)
        return await self._answering.commit(envelope, transaction)

    async def _repeated(
        self,
        pdu: DeliveryReportReq | ReadReplyReq,
        message: Message,
        account: str,
        transaction: Transaction,
    ) -> bool:
        """True if the same was said of the message before; it is so from now on."""
        what = f"{pdu.TYPE} {pdu.status} {getattr(pdu, 'extension', '')}"
        key = transactions.delivery_key(f"account:{account}", f"{message.id:x}", what)
        now = int(self._now() * 1000)
        if await self._journal.run(partial(seen.find, keys=[key], now=now)):
            return True
        transaction.changes.seen.append(seen.SeenRow(key, now, RequestStatus.OK.value, ""))
        return False

    async def _of(self, pdu: Request, account: str) -> Message | None:
        """The MO that it is about, if it was this account's."""
        id = mails.named(pdu.message_id)
        found = await self._message(account, id) if id else None
        if isinstance(found, Message) and found.direction == Direction.MO:
            return found
        return None

    def _is_news(self, message: Message, pdu: DeliveryReportReq) -> bool:
        """True if the carrier asked, and has not been told the same already: when the MMSC
        answered, that was ``Retrieved`` (ruling 17)."""
        kept = message.multimedia
        if kept is None or not (kept.delivery_report or kept.relay_report):
            return False
        state = transactions.state_of(pdu.status, pdu.extension)
        return state != message.state and not (state == _ENROUTE and message.state != _ENROUTE)
