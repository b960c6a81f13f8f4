"""Passed on: what submitters ask of messages that a carrier has, asked of that carrier.

Comes from: ``submitted`` (query_sm), ``pending`` (cancel), ``replace``, for carriers whose form
says so. Goes on to: ``settle``, to which what the carrier answers is as good as its receipt.

The store keeps a carrier's ids as they are compared, without case and leading zeros. So a message
that is no longer in memory is asked for under the spellings that its id may have, those first that
look like the last id that the carrier gave.
"""

import time
from collections.abc import Callable, Mapping

from attrs import define
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from smsgw import codes
from smsgw.flow.carrier import CarrierSide
from smsgw.flow.settle import Settlement
from smsgw.message import Acknowledgement, Direction, Message, MessageState, Receipt
from smsgw.queues import Transaction
from smsgw.smpp import times
from smsgw.smpp.constants import VERSION_34, Status, status_name
from smsgw.smpp.pdu import CancelSm, Pdu, QuerySm, QuerySmResp, ReplaceSm, SubmitSm

_log = Logger()

NO_ANSWER = "no answer from the carrier"
_MOST_SPELLINGS = 4
_ID_33 = 8  # hex digits (spec/smpp.md §4)
_ID_DECIMAL = 10  # digits of a receipt's id (spec/smpp.md §11)
# A carrier that does not know the id says one of these.
_UNKNOWN_ID = frozenset(
    {
        int(Status.ESME_RINVMSGID),
        int(Status.ESME_RQUERYFAIL),
        int(Status.ESME_RCANCELFAIL),
        int(Status.ESME_RREPLACEFAIL),
    }
)
_MOVING = frozenset({MessageState.SCHEDULED, MessageState.ENROUTE, MessageState.UNKNOWN})

Asking = Callable[[SubmitSm, bytes], Pdu]


@define
class Held:
    """What a carrier has of a message under one id: the parts, and the carrier's side."""

    side: CarrierSide
    acknowledgement: Acknowledgement
    parts: list[int]


class PassedOn:
    """Asks the carriers that are to be asked."""

    def __init__(
        self,
        sides: Callable[[], Mapping[str, CarrierSide]],
        settlement: Settlement,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._sides = sides
        self._settlement = settlement
        self._now = now

    async def query(self, message: Message) -> None:
        """Learns from the carriers how far the message is; returns when what they say is stored,
        or there is no answer."""
        held = self._held(message, "query")
        if held:
            await gatherResults([Deferred.fromCoroutine(self._query(message, h)) for h in held])

    async def cancel(self, message: Message) -> str | None:
        """Has the carriers that have the message delete it: "" if they have, else why not; None if
        they are not to be asked."""
        held = self._all_held(message, "cancel")
        if not held:
            return None
        asked = [Deferred.fromCoroutine(self._cancel(message, one)) for one in held]
        why = next((one for one in await gatherResults(asked) if one), "")
        if not why and message.state != MessageState.DELETED:
            why = "it has ended otherwise"  # a receipt was faster
        return why

    def cancels(self, message: Message) -> bool:
        """True if carriers have all of the message and are asked to delete it."""
        return bool(self._all_held(message, "cancel"))

    def replaceable(self, message: Message) -> Held | None:
        """The carrier that may replace the message, None if none is to be asked; a message of
        several parts is not replaced."""
        held = self._all_held(message, "replace")
        return held[0] if len(message.parts) == 1 and held else None

    async def replace(
        self, held: Held, old: Message, new: Message, schedule_at: int, validity: bool
    ) -> str:
        """Has the carrier put the text of ``new`` in place of that of ``old``; "" if it has, else
        why not.

        ``schedule_at`` (ms, 0 = none) and, if ``validity``, the end of ``new`` go with it.
        """
        try:
            before, after = held.side.written(old, 0), held.side.written(new, 0)
        except ValueError as error:
            return f"it cannot be said to the carrier: {error}"
        if before.data_coding != after.data_coding:
            return "the text is in another data_coding for the carrier"
        now_ms = int(self._now() * 1000)
        left = max(1000, new.expires_at - now_ms)

        def request(_: SubmitSm, id: bytes) -> Pdu:
            return ReplaceSm(
                message_id=id,
                source_addr_ton=before.source_addr_ton,
                source_addr_npi=before.source_addr_npi,
                source_addr=before.source_addr,
                schedule_delivery_time=times.format_absolute(schedule_at),
                validity_period=times.format_relative(left - left % 1000) if validity else b"",
                registered_delivery=after.registered_delivery,
                short_message=after.short_message,
            )

        return _why(await self._ask(old, held, request))

    # Which carriers

    def _held(self, message: Message, operation: str) -> list[Held]:
        """What carriers have of the message that are to be asked by this operation."""
        if message.direction != Direction.MT or MessageState(message.state).final:
            return []
        sides = self._sides()
        found: dict[tuple[str, str], Held] = {}
        for part, one in message.acknowledged.items():
            side = sides.get(one.carrier)
            asked = side is not None and getattr(side.form, operation) == "carrier"
            if side is None or not asked or not one.carrier_id or MessageState(one.state).final:
                continue
            found.setdefault((one.carrier, one.carrier_id), Held(side, one, [])).parts.append(part)
        return list(found.values())

    def _all_held(self, message: Message, operation: str) -> list[Held]:
        """The same if that is all of the message, else nothing."""
        held = self._held(message, operation)
        parts = sum(len(one.parts) for one in held)
        return held if parts == len(message.parts) else []

    # Asking

    async def _ask(self, message: Message, held: Held, request: Asking) -> Pdu | None:
        """The carrier's answer, None if there is none in time."""
        answer: Pdu | None = None
        for id in spellings(held.acknowledgement, held.side):
            try:
                written = held.side.written(message, held.parts[0])
                answer = await held.side.ask(request(written, id.encode("latin-1")))
            except ValueError as error:
                _log.error("carrier {name}: not asked: {why}", name=held.side.form.name, why=error)
                return None
            if answer is None or answer.status not in _UNKNOWN_ID:
                return answer
        return answer

    async def _query(self, message: Message, held: Held) -> None:
        def request(pdu: SubmitSm, id: bytes) -> Pdu:
            return QuerySm(
                message_id=id,
                source_addr_ton=pdu.source_addr_ton,
                source_addr_npi=pdu.source_addr_npi,
                source_addr=pdu.source_addr,
            )

        answer = await self._ask(message, held, request)
        if not isinstance(answer, QuerySmResp) or answer.status:
            return
        try:
            state = MessageState(answer.message_state)
        except ValueError:
            return  # none of SMPP
        if state in _MOVING:
            return  # no more than is known here: of two states the later one counts
        now = int(self._now() * 1000)
        try:
            done_at = times.parse_time(answer.final_date, now)
        except ValueError:
            done_at = 0
        error = f"{answer.error_code:03d}" if answer.error_code else ""
        await self._told(message, held, Receipt("", int(state), error, done_at=done_at))

    async def _cancel(self, message: Message, held: Held) -> str:
        def request(pdu: SubmitSm, id: bytes) -> Pdu:
            return CancelSm(
                service_type=pdu.service_type,
                message_id=id,
                source_addr_ton=pdu.source_addr_ton,
                source_addr_npi=pdu.source_addr_npi,
                source_addr=pdu.source_addr,
                dest_addr_ton=pdu.dest_addr_ton,
                dest_addr_npi=pdu.dest_addr_npi,
                destination_addr=pdu.destination_addr,
            )

        why = _why(await self._ask(message, held, request))
        if not why:
            error = f"{codes.MESSAGE_DELETED:03d}"
            await self._told(message, held, Receipt("", int(MessageState.DELETED), error))
        return why

    async def _told(self, message: Message, held: Held, receipt: Receipt) -> None:
        """The carrier has said what became of these parts: stored as a receipt would be, and like
        what was sent it cannot be undone."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        carrier = held.side.form.name
        for part in held.parts:
            one = message.acknowledged.get(part)
            # Meanwhile another carrier may have got it.
            if one is not None and one.carrier == carrier and not MessageState(one.state).final:
                self._settlement.receipt(carrier, message, part, receipt, transaction, now)
        await self._settlement.persist(transaction)


def _why(answer: Pdu | None) -> str:
    """Why a carrier did not do what it was asked, "" if it did."""
    if answer is None:
        return NO_ANSWER
    return f"the carrier answered {status_name(answer.status)}" if answer.status else ""


def spellings(acknowledgement: Acknowledgement, side: CarrierSide) -> list[str]:
    """How the carrier may write the id of what it acknowledged, the likeliest first."""
    if acknowledgement.given:
        return [acknowledgement.given]
    plain, like = acknowledgement.carrier_id, side.last_id
    if side.form.response_id == "hex" and plain.isascii() and plain.isdecimal():
        plain = f"{int(plain):x}"
    of_33 = all(link.version < VERSION_34 for link in side.links)
    width = len(like) if like else _ID_33 * of_33
    upper = like != like.lower() if like else of_33
    first = plain.zfill(width)
    found = [
        first.upper() if upper else first,
        plain,
        plain.zfill(_ID_33).upper(),
        plain.zfill(_ID_DECIMAL),
    ]
    return list(dict.fromkeys(found))[:_MOST_SPELLINGS]
