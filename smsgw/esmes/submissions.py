"""What ESMEs submit by other operations than submit_sm: submit_multi and data_sm."""

import time
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.accept import Acceptance
from smsgw.flow.decide import Outcome
from smsgw.flow.handover import Wording
from smsgw.flow.turns import Turn
from smsgw.login import Login
from smsgw.message import Message
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smpp import data_sm, translate
from smsgw.smpp.constants import VERSION_34, Status
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.pdu import (
    DataSm,
    DataSmResp,
    DistributionList,
    Pdu,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    UnsuccessSme,
)
from smsgw.smpp.profile import Profile
from smsgw.smpp.versions import status_for_33
from smsgw.store import batches
from smsgw.text import numbers

_log = Logger()

# Destinations of one submit_multi with the members of its lists, as websmpp has it (W-R12).
MOST_DESTINATIONS = 10_000
_MOST_UNSUCCESSFUL = 255  # no_unsuccess is one octet
# The first numbers of a contact list of an account, None if it has no such list.
Contacts = Callable[[str, str, int], Coroutine[Any, Any, list[str] | None]]


class Submissions:
    """Takes them for one gateway."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        acceptance: Acceptance,
        contacts: Contacts,
        allot: Callable[[], int],
        wordings: Wording,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``tables`` gives the tables in force, ``allot`` ids, ``now`` seconds since 1970."""
        self._tables = tables
        self._acceptance = acceptance
        self._contacts = contacts
        self._allot = allot
        self._wordings = wordings
        self._now = now
        self._alias = 0  # the last that was given
        # Nodes that share a store take turns: of each ``stride`` numbers this one has the one at
        # ``place``.
        self.stride, self.place = 1, 0
        self._turns: dict[str, DeferredLock] = {}  # by account

    def next_alias(self, now_ms: int) -> int:
        """A number of 32 bits that is not given again for seven weeks; also over restarts, as long
        as there are not more than 1,000 a second for long (250 if nodes take turns)."""
        stride = self.stride
        if stride == 1:
            self._alias = max(self._alias + 1, now_ms)
        else:
            first = max(self._alias + 1, now_ms)
            self._alias = first + (self.place - first) % stride
        return self._alias & 0xFFFFFFFF or self.next_alias(now_ms)

    def send(self, session: EsmeSession, pdus: Sequence[SubmitMulti | DataSm]) -> None:
        """See ``smpp.gate.Gate``: each submit_multi is one batch, the data_sm of a read are one."""
        data = [pdu for pdu in pdus if isinstance(pdu, DataSm)]
        if data:
            self._send_data(session, data)
        for pdu in pdus:
            if isinstance(pdu, SubmitMulti):
                self._send_multi(session, pdu)

    # data_sm

    def _send_data(self, session: EsmeSession, pdus: list[DataSm]) -> None:
        now_ms = int(self._now() * 1000)
        refused: list[Pdu] = []
        messages: list[Message] = []
        sequences: list[int] = []
        for pdu in pdus:
            if data_sm.payload_of(pdu) is None:
                message: Message | Refusal = Refusal(Reason.PARAMETER_MISSING, "message_payload")
            else:
                submit = data_sm.submit_of(pdu)
                message = translate.message_of(submit, now_ms, session.profile.any_coding)
                if isinstance(message, Message):
                    message.validity_ms = data_sm.lifetime_ms(pdu)
                    message = within_profile(message, submit, session.profile, now_ms)
            if isinstance(message, Refusal):
                self._acceptance.count(message.reason, 1)
                refused.append(pdu.response(session.profile.status(message.reason)))
            else:
                messages.append(message)
                sequences.append(pdu.sequence)
        if refused:
            session.answer(refused)
        if messages:
            done = self._acceptance.accept(session.login, messages)
            done.addCallback(self._answer_data, session, sequences)

    def _answer_data(
        self, outcomes: list[Outcome], session: EsmeSession, sequences: list[int]
    ) -> None:
        answers = []
        for outcome, sequence in zip(outcomes, sequences, strict=True):
            if isinstance(outcome, Refusal):
                status = session.profile.status(outcome.reason)
                answers.append(DataSmResp(sequence=sequence, status=status))
            else:
                name = self._name(session.login, outcome)
                answers.append(DataSmResp(sequence=sequence, message_id=name))
        session.answer(answers)

    def _name(self, login: Login, message: Message) -> bytes:
        id_format = self._wordings.receipts(login.account, login.profile)[0]
        return translate.id_text(message, id_format).encode()

    # submit_multi

    def _send_multi(self, session: EsmeSession, pdu: SubmitMulti) -> None:
        def failed(failure: Failure) -> Pdu:
            _log.failure("{session}: submit_multi", failure, session=session)
            return pdu.response(Status.ESME_RSYSERR)

        done = Deferred.fromCoroutine(self._in_turn(session, pdu)).addErrback(failed)
        done.addCallback(lambda answer: session.answer([answer]))

    async def _in_turn(self, session: EsmeSession, pdu: SubmitMulti) -> Pdu:
        """The answer to a submit_multi, which may make 10,000 messages of 60 octets: one of an
        account after the other, so that they do not fill the memory (I5)."""
        async with Turn(self._turns.setdefault(session.login.account, DeferredLock())):
            addresses = await self._expand(session, pdu)
            if isinstance(addresses, Refusal):
                return self._refuse(session, pdu, addresses)
            return await self._submit(session, pdu, addresses)

    async def _expand(self, session: EsmeSession, pdu: SubmitMulti) -> list[SmeAddress] | Refusal:
        """The destinations, members of the lists in the lists' places."""
        found: list[SmeAddress] = []
        names: set[bytes] = set()
        for one in pdu.dest_addresses:
            if isinstance(one, SmeAddress):
                found.append(one)
            elif one.dl_name not in names:
                names.add(one.dl_name)
                members = await self._members(session, one)
                if members is None:
                    return Refusal(Reason.UNKNOWN_LIST)
                found += members
            if len(found) > MOST_DESTINATIONS:
                break
        if not 1 <= len(found) <= MOST_DESTINATIONS:
            return Refusal(Reason.TOO_MANY_DESTINATIONS)
        return found

    async def _members(
        self, session: EsmeSession, named: DistributionList
    ) -> list[SmeAddress] | None:
        name = named.dl_name.decode("utf-8", "replace")
        # One more than may be, so that too many are noticed.
        members = await self._contacts(session.login.account, name, MOST_DESTINATIONS + 1)
        if members is None:
            return None
        ton, npi = numbers.INTERNATIONAL, numbers.ISDN
        return [SmeAddress(ton, npi, number.encode("latin-1")) for number in members]

    def _refuse(self, session: EsmeSession, pdu: SubmitMulti, refusal: Refusal) -> Pdu:
        self._acceptance.count(refusal.reason, 1)
        return pdu.response(session.profile.status(refusal.reason))

    async def _submit(
        self, session: EsmeSession, pdu: SubmitMulti, addresses: Sequence[SmeAddress]
    ) -> Pdu:
        login = session.login
        messages = self._messages(session, pdu, addresses)
        if isinstance(messages, Refusal):
            return self._refuse(session, pdu, messages)
        together = [message for _, message in messages]
        batch = self._allot() if len(together) > 1 else 0
        alias = 0
        if session.version < VERSION_34:
            alias = self.next_alias(int(self._now() * 1000))
        for message in together:
            message.batch = batch
            message.alias = alias
        whole = partial(_enter, login.account, batch, alias) if batch else None
        outcomes = await self._acceptance.accept(login, together, whole)
        return self._answer_multi(outcomes, session, pdu, [address for address, _ in messages])

    def _messages(
        self, session: EsmeSession, pdu: SubmitMulti, addresses: Sequence[SmeAddress]
    ) -> list[tuple[SmeAddress, Message]] | Refusal:
        """The message to each of the addresses, of which the same number twice is one; or what is
        wrong with all of them."""
        now_ms = int(self._now() * 1000)
        form = self._tables().accounts.get(session.login.account)
        country = form.country if form is not None else ""
        submit = _common(pdu)
        known: set[str] = set()
        found: list[tuple[SmeAddress, Message]] = []
        for address in addresses:
            text, ton = address.destination_addr.decode("latin-1"), address.dest_addr_ton
            number = numbers.normalise_destination(text, ton, country)
            key = number if isinstance(number, str) else f"{ton} {text}"
            if key in known:
                continue
            known.add(key)
            submit.destination_addr = address.destination_addr
            submit.dest_addr_ton, submit.dest_addr_npi = ton, address.dest_addr_npi
            message = translate.message_of(submit, now_ms, session.profile.any_coding)
            message = within_profile(message, submit, session.profile, now_ms)
            if isinstance(message, Message) and submit.replace_if_present_flag:
                message = Refusal(Reason.REPLACE_NOT_SUPPORTED, "submit_multi")
            if isinstance(message, Refusal):
                return message
            found.append((address, message))
        return found

    def _answer_multi(
        self,
        outcomes: list[Outcome],
        session: EsmeSession,
        pdu: SubmitMulti,
        addresses: list[SmeAddress],
    ) -> Pdu:
        accepted = [one for one in outcomes if isinstance(one, Message)]
        unsuccessful = []
        for outcome, address in zip(outcomes, addresses, strict=True):
            if isinstance(outcome, Refusal):
                status = session.profile.status(outcome.reason)
                if session.version < VERSION_34:
                    status = status_for_33(status)
                unsuccessful.append(
                    UnsuccessSme(
                        address.dest_addr_ton,
                        address.dest_addr_npi,
                        address.destination_addr,
                        status,
                    )
                )
        if not accepted:
            statuses = {one.error_status_code for one in unsuccessful}
            status = statuses.pop() if len(statuses) == 1 else Status.ESME_RSUBMITFAIL
            return pdu.response(status)
        if len(unsuccessful) > _MOST_UNSUCCESSFUL:
            _log.info(
                "{session}: {count} destinations of a submit_multi refused, {most} named",
                session=session,
                count=len(unsuccessful),
                most=_MOST_UNSUCCESSFUL,
            )
        return SubmitMultiResp(
            sequence=pdu.sequence,
            message_id=self._name(session.login, accepted[0]),
            unsuccess_sme=unsuccessful[:_MOST_UNSUCCESSFUL],
        )


def _common(pdu: SubmitMulti) -> SubmitSm:
    """The submit_sm of a submit_multi, without destination."""
    return SubmitSm(
        service_type=pdu.service_type,
        source_addr_ton=pdu.source_addr_ton,
        source_addr_npi=pdu.source_addr_npi,
        source_addr=pdu.source_addr,
        esm_class=pdu.esm_class,
        protocol_id=pdu.protocol_id,
        priority_flag=pdu.priority_flag,
        schedule_delivery_time=pdu.schedule_delivery_time,
        validity_period=pdu.validity_period,
        registered_delivery=pdu.registered_delivery,
        replace_if_present_flag=pdu.replace_if_present_flag,
        data_coding=pdu.data_coding,
        sm_default_msg_id=pdu.sm_default_msg_id,
        short_message=pdu.short_message,
        tlvs=pdu.tlvs,
    )


def _enter(
    account: str, batch: int, alias: int, outcomes: Sequence[Outcome], transaction: Transaction
) -> None:
    """Writes what was accepted as one batch, which the client's id means."""
    accepted = [one for one in outcomes if isinstance(one, Message)]
    if accepted:
        at = accepted[0].accepted_at
        transaction.changes.batches.append(batches.row(batch, account, at, accepted))
        if alias:
            transaction.changes.aliases = [(account, alias, batch)]


def within_profile(
    message: Message | Refusal, pdu: SubmitSm, profile: Profile, now_ms: int
) -> Message | Refusal:
    """The message, unless it asks for what the profile does not offer."""
    if isinstance(message, Refusal):
        return message
    if message.schedule_at > now_ms + profile.max_schedule_s * 1000:
        days = profile.max_schedule_s // 86_400
        return Refusal(Reason.BAD_SCHEDULE, f"more than {days} days ahead")
    if profile.max_validity_s and message.validity_ms > profile.max_validity_s * 1000:
        return Refusal(Reason.BAD_VALIDITY, f"more than {profile.max_validity_s // 86_400} days")
    if pdu.replace_if_present_flag and profile.nack_unserved:
        return Refusal(Reason.REPLACE_NOT_SUPPORTED)
    return message
