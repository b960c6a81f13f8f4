"""The requests that only SMPP 3.3 has: param_retrieve, query_last_msgs, query_msg_details
(``spec/smpp.md`` §4).
"""

import time
from collections.abc import Callable

from smsgw.flow.money import Balances
from smsgw.flow.pending import Pending
from smsgw.message import UDHI, Message, MessageState
from smsgw.refusals import Reason
from smsgw.rules import money
from smsgw.rules.tables import Tables
from smsgw.smpp import times
from smsgw.smpp.constants import MAX_SHORT_MESSAGE, Status
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.pdu import (
    ParamRetrieve,
    Pdu,
    QueryLastMsgs,
    QueryMsgDetails,
    SmeAddress,
)
from smsgw.smpp.versions import state_for_33
from smsgw.text import parts

MAX_LENGTH = 140  # octets of short_message (spec/smpp.md §3)
MOST_LAST = 100  # messages that query_last_msgs may ask for


class Queries33:
    """Answers for one gateway."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        pending: Pending,
        balances: Balances,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._tables = tables
        self._pending = pending
        self._balances = balances
        self._now = now

    def param(self, session: EsmeSession, pdu: ParamRetrieve) -> Pdu:
        """param_retrieve_resp: the value of a parameter of the gateway or the account."""
        name = pdu.param_name.decode("latin-1")
        value = self._value(session, name)
        if value is None:
            return pdu.response(Status.ESME_RINVPARAM)
        if not value:
            return pdu.response(Status.ESME_RPARAMRETFAIL)
        return pdu.response(param_value=value.encode("ascii"))

    def _value(self, session: EsmeSession, name: str) -> str | None:
        """None: there is no parameter of this name; "": it has no value for this account."""
        if name == "system_time":
            return times.format_absolute(int(self._now() * 1000)).decode()
        if name == "version":
            return "3.3"
        if name == "max_message_length":
            return str(MAX_LENGTH)
        if name == "session_timeout":
            return f"{session.profile.idle_s:g}"  # seconds, 0 = none
        if name == "window_size":
            return str(min(max(session.login.window, 1), session.profile.max_window))
        if name == "balance":
            return self._balance(session.login.account)
        return None

    def _balance(self, account: str) -> str:
        """What the account may spend of its own or of the account that pays for it, in the
        currency's unit; "" if it is postpaid."""
        tables = self._tables()
        for form in tables.lineage.get(account, ()):
            if form.balance is not None:
                return money.shown(self._balances.of(form.name))
        return ""

    async def last(self, session: EsmeSession, pdu: QueryLastMsgs) -> Pdu:
        """query_last_msgs_resp: the newest messages of one source, the newest first."""
        if not 1 <= pdu.num_messages <= MOST_LAST:
            return pdu.response(Status.ESME_RINVNUMMSGS)
        account = session.login.account
        text = pdu.source_addr.decode("latin-1")
        senders = self._pending.senders(account, text, pdu.source_addr_ton)
        if not senders:
            return pdu.response(session.profile.status(Reason.BAD_SOURCE))
        aliases = await self._pending.last_aliases(account, senders, pdu.num_messages)
        return pdu.response(message_ids=[f"{alias:08X}".encode() for alias in aliases])

    def details(self, message: Message, pdu: QueryMsgDetails) -> Pdu:
        """query_msg_details_resp: all of a message, and as much of its text as is asked for."""
        state = state_for_33(MessageState(message.state))
        return pdu.response(
            service_type=message.service_type.encode("latin-1"),
            source_addr_ton=message.source_ton,
            source_addr_npi=message.source_npi,
            source_addr=message.source.encode("latin-1", "replace"),
            dest_addresses=[
                SmeAddress(
                    dest_addr_ton=message.destination_ton,
                    dest_addr_npi=message.destination_npi,
                    destination_addr=message.destination.encode("latin-1", "replace"),
                )
            ],
            protocol_id=message.protocol_id,
            priority_flag=min(message.priority, 1),
            schedule_delivery_time=times.format_absolute(message.schedule_at),
            validity_period=times.format_absolute(message.expires_at),
            registered_delivery=message.registered_delivery & 1,
            data_coding=message.data_coding,
            short_message=_octets(message)[: min(pdu.sm_length, MAX_SHORT_MESSAGE)],
            message_id=pdu.message_id,
            final_date=times.format_absolute(message.done_at) if state.final else b"",
            message_state=int(state),
            error_code=min(message.error, 255),
        )


def _octets(message: Message) -> bytes:
    """The text as it was submitted: one part as it is, several without what joins them."""
    if len(message.parts) > 1 and message.esm_class & UDHI:
        return parts.join(message.parts)
    return b"".join(message.parts)
