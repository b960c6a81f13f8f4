"""What ESMEs ask of messages they have submitted: query_sm, cancel_sm, replace_sm, and submit_sm
with replace_if_present_flag.
"""

import time
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.esmes.queries33 import Queries33
from smsgw.flow.cancel import Cancelling
from smsgw.flow.decide import Outcome
from smsgw.flow.pending import Pending
from smsgw.flow.replace import Change, Replacing
from smsgw.login import Login
from smsgw.message import Direction, Message, MessageState
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smpp import times, translate
from smsgw.smpp.constants import VERSION_34, Status, Tag
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.gate import Asked
from smsgw.smpp.pdu import (
    CancelSm,
    ParamRetrieve,
    Pdu,
    QueryLastMsgs,
    QueryMsgDetails,
    QuerySm,
    ReplaceSm,
)
from smsgw.smpp.versions import state_for_33
from smsgw.store import batches
from smsgw.text import numbers

_log = Logger()

_REGISTERED_RESERVED = 0xE0
_OTHER_ERROR = 255  # of our codes those of three digits do not fit in an octet
# What a status of submit_sm is in the answer to replace_sm.
_REPLACE_STATUS = {int(Status.ESME_RSUBMITFAIL): int(Status.ESME_RREPLACEFAIL)}


class Submitted:
    """Answers for one gateway."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        pending: Pending,
        cancelling: Cancelling,
        replacing: Replacing,
        queries33: Queries33,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._tables = tables
        self._pending = pending
        self._cancelling = cancelling
        self._replacing = replacing
        self._queries33 = queries33
        self._now = now

    def ask(self, session: EsmeSession, pdus: list[Asked]) -> None:
        """See ``smpp.gate.Gate``; each is answered by itself, as soon as it can be."""
        for pdu in pdus:
            self._do(session, pdu)

    def replacing(self, login: Login, message: Message) -> Deferred[list[Outcome]]:
        """A submit_sm with replace_if_present_flag; fires with its one outcome."""

        def failed(failure: Failure) -> Outcome:
            _log.failure("{account}: submit_sm that replaces", failure, account=login.account)
            return Refusal(Reason.INTERNAL_ERROR)

        done = Deferred.fromCoroutine(self._replacing.submit(login, message))
        return done.addErrback(failed).addCallback(lambda outcome: [outcome])

    def _do(self, session: EsmeSession, pdu: Asked) -> None:
        def failed(failure: Failure) -> Pdu:
            _log.failure("{session}: {pdu}", failure, session=session, pdu=type(pdu).__name__)
            return pdu.response(Status.ESME_RSYSERR)

        done = Deferred.fromCoroutine(self._answer(session, pdu))
        done.addErrback(failed).addCallback(lambda response: session.answer([response]))

    async def _answer(self, session: EsmeSession, pdu: Asked) -> Pdu:
        if isinstance(pdu, QuerySm):
            return await self._query(session, pdu)
        if isinstance(pdu, ParamRetrieve):
            return self._queries33.param(session, pdu)
        if isinstance(pdu, QueryLastMsgs):
            return await self._queries33.last(session, pdu)
        if isinstance(pdu, QueryMsgDetails):
            found = await self._asked_about(session, pdu)
            return found if isinstance(found, Pdu) else self._queries33.details(found, pdu)
        outcome: Outcome | None
        if isinstance(pdu, ReplaceSm):
            outcome = await self._replace(session, pdu)
        elif pdu.message_id:
            outcome = await self._cancel(session, pdu)
        else:
            outcome = await self._cancel_all(session, pdu)
        if isinstance(outcome, Refusal):
            status = session.profile.status(outcome.reason)
            if isinstance(pdu, ReplaceSm):
                status = _REPLACE_STATUS.get(status, status)
            return pdu.response(status)
        return pdu.response()

    async def _id(self, session: EsmeSession, message_id: bytes) -> int:
        """The message that the client names by the id that it was given; 0 if it is none."""
        id, alias = translate.id_of(message_id.decode("latin-1"))
        if alias:
            return await self._pending.by_alias(session.login.account, alias)
        return id

    def _fits(
        self, session: EsmeSession, pdu: QuerySm | CancelSm | ReplaceSm | QueryMsgDetails
    ) -> Callable[[Message], bool]:
        """Whether a message has the addresses that the request gives; a destination may be
        left out."""
        account = session.login.account
        senders = self._pending.senders(
            account, pdu.source_addr.decode("latin-1"), pdu.source_addr_ton
        )
        destination = self._destination(account, pdu) if isinstance(pdu, CancelSm) else ""

        def fits(message: Message) -> bool:
            return message.source in senders and destination in ("", message.destination)

        return fits

    def _destination(self, account: str, pdu: CancelSm) -> str | Reason:
        """In international digits, "" if there is none."""
        text = pdu.destination_addr.decode("latin-1")
        form = self._tables().accounts.get(account)
        if not text or form is None:
            return ""
        return numbers.normalise_destination(text, pdu.dest_addr_ton, form.country)

    async def _asked_about(
        self, session: EsmeSession, pdu: QuerySm | QueryMsgDetails
    ) -> Message | Pdu:
        """The message that is meant, or the answer that there is none or that it is another's."""
        id = await self._id(session, pdu.message_id)
        account = session.login.account
        message = await self._pending.message(account, id) if id else None
        if message is None and id:
            message = batches.spokesman(await self._pending.batch(account, id))
        if message is None or message.direction != Direction.MT:
            return pdu.response(session.profile.status(Reason.UNKNOWN_MESSAGE))
        if not self._fits(session, pdu)(message):
            return pdu.response(session.profile.status(Reason.QUERY_FAILED))
        return message

    async def _query(self, session: EsmeSession, pdu: QuerySm) -> Pdu:
        message = await self._asked_about(session, pdu)
        if isinstance(message, Pdu):
            return message
        if self._pending.passed is not None:
            await self._pending.passed.query(message)
        state = MessageState(message.state)
        if state is MessageState.SCHEDULED or session.version < VERSION_34:
            state = state_for_33(state)  # ruling 12
        return pdu.response(
            message_id=pdu.message_id,
            final_date=times.format_absolute(message.done_at) if state.final else b"",
            message_state=int(state),
            error_code=message.error if message.error < _OTHER_ERROR else _OTHER_ERROR,
        )

    async def _cancel(self, session: EsmeSession, pdu: CancelSm) -> Outcome | None:
        id = await self._id(session, pdu.message_id)
        if not id:
            return Refusal(Reason.UNKNOWN_MESSAGE)
        account, fits = session.login.account, self._fits(session, pdu)
        outcome = await self._cancelling.cancel(account, id, fits)
        if isinstance(outcome, Refusal) and outcome.reason is Reason.UNKNOWN_MESSAGE:
            together = await self._pending.batch(account, id)
            if together:
                return _cancelled(await self._cancelling.cancel_batch(account, together, fits))
        return outcome

    async def _cancel_all(self, session: EsmeSession, pdu: CancelSm) -> Refusal | None:
        account = session.login.account
        senders = self._pending.senders(
            account, pdu.source_addr.decode("latin-1"), pdu.source_addr_ton
        )
        destination = self._destination(account, pdu)
        if not senders:
            return Refusal(Reason.BAD_SOURCE)
        if isinstance(destination, Reason) or not destination:
            return Refusal(destination or Reason.BAD_DESTINATION)
        service_type = pdu.service_type.decode("latin-1")
        return _cancelled(
            await self._cancelling.cancel_all(account, senders, destination, service_type)
        )

    async def _replace(self, session: EsmeSession, pdu: ReplaceSm) -> Outcome:
        change = self._change(session, pdu)
        if isinstance(change, Refusal):
            return change
        id = await self._id(session, pdu.message_id)
        if not id:
            return Refusal(Reason.UNKNOWN_MESSAGE)
        account = session.login.account
        return await self._replacing.replace(account, id, change, self._fits(session, pdu))

    def _change(self, session: EsmeSession, pdu: ReplaceSm) -> Change | Refusal:
        """What the fields ask for, or what is wrong with them."""
        now_ms = int(self._now() * 1000)
        if pdu.registered_delivery & _REGISTERED_RESERVED:
            return Refusal(Reason.BAD_REGISTERED_DELIVERY)
        if pdu.sm_default_msg_id:
            return Refusal(Reason.UNKNOWN_DEFAULT_MESSAGE)
        octets = pdu.short_message
        for tag, value in pdu.tlvs:
            if tag == Tag.MESSAGE_PAYLOAD:
                if octets:
                    return Refusal(Reason.TEXT_TWICE)
                octets = value
        change = Change(octets=octets or None, registered_delivery=pdu.registered_delivery)
        try:
            if pdu.schedule_delivery_time:
                change.schedule_at = times.parse_time(pdu.schedule_delivery_time, now_ms)
        except ValueError as error:
            return Refusal(Reason.BAD_SCHEDULE, str(error))
        try:
            if pdu.validity_period:
                change.until = times.parse_time(pdu.validity_period, now_ms)
        except ValueError as error:
            return Refusal(Reason.BAD_VALIDITY, str(error))
        return change


def _cancelled(done: int | Refusal) -> Refusal | None:
    """What to say of several messages of which ``done`` were cancelled."""
    if isinstance(done, Refusal):
        return done
    return None if done else Refusal(Reason.CANCEL_FAILED)
