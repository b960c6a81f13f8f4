"""Between PDUs and ``Message``: the one place where wire fields get the gateway's meaning and
back."""

import re
from collections.abc import Sequence
from zlib import crc32

from attrs import evolve

from smsgw.identities import MESSAGE, from_guid, to_guid, to_hex
from smsgw.message import UDHI, Message, MessageState, Receipt
from smsgw.refusals import Reason, Refusal
from smsgw.smpp import receipt, times
from smsgw.smpp.constants import (
    ESM_DELIVERY_ACK,
    ESM_INTERMEDIATE,
    ESM_RECEIPT,
    ESM_REPLY_PATH,
    ESM_TYPE,
    ESM_USER_ACK,
    MAX_SHORT_MESSAGE,
    REGISTERED_INTERMEDIATE,
    REGISTERED_MASK,
    Tag,
)
from smsgw.smpp.pdu import DeliverSm, SubmitSm
from smsgw.text import coding, parts

_SUBMIT_TYPES = frozenset({0, ESM_DELIVERY_ACK, ESM_USER_ACK})
_MAX_PRIORITY = 4  # of 5.0; 3.4 has 3
_REGISTERED_RESERVED = 0xE0
# Of registered_delivery: acknowledgements of the handset (they come as MO), intermediate states.
_PASSED_ON = 0x0C | REGISTERED_INTERMEDIATE
_NEAR_DEFAULT_MS = 60_000
_HEX = re.compile(r"[0-9A-Fa-f]{1,8}")
_FLASH_SUBUNIT = b"\x01"
_SAR = frozenset(
    int(tag) for tag in (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)
)
# TLVs that say something of the message and so travel with it. Others are the link's own or
# unknown.
_TRAVELLING = frozenset(
    int(tag)
    for tag in (
        Tag.USER_MESSAGE_REFERENCE,
        Tag.SOURCE_PORT,
        Tag.DESTINATION_PORT,
        Tag.SOURCE_SUBADDRESS,
        Tag.DEST_SUBADDRESS,
        Tag.PRIVACY_INDICATOR,
        Tag.LANGUAGE_INDICATOR,
        Tag.CALLBACK_NUM,
        Tag.CALLBACK_NUM_PRES_IND,
        Tag.CALLBACK_NUM_ATAG,
        Tag.PAYLOAD_TYPE,
        Tag.USER_RESPONSE_CODE,
        Tag.DISPLAY_TIME,
        Tag.SMS_SIGNAL,
        Tag.MS_VALIDITY,
        Tag.MS_MSG_WAIT_FACILITIES,
        Tag.NUMBER_OF_MESSAGES,
        Tag.ALERT_ON_MESSAGE_DELIVERY,
        Tag.ITS_REPLY_TYPE,
        Tag.ITS_SESSION_INFO,
        Tag.USSD_SERVICE_OP,
    )
)


def message_of(pdu: SubmitSm, now_ms: int, any_coding: bool = True) -> Message | Refusal:
    """The message of a submit_sm, its octets as one part; or what is wrong with its fields.

    ``now_ms`` (since 1970) is what relative times count from. Without ``any_coding`` only those of
    L-D19 (``spec/link-smpp.md``) are taken.
    """
    esm_class = pdu.esm_class
    data_coding = pdu.data_coding
    if esm_class & ESM_TYPE not in _SUBMIT_TYPES:
        return Refusal(Reason.BAD_ESM_CLASS, f"esm_class 0x{esm_class:02x}")
    if pdu.priority_flag > _MAX_PRIORITY:
        return Refusal(Reason.BAD_PRIORITY, f"priority_flag {pdu.priority_flag}")
    if pdu.registered_delivery & _REGISTERED_RESERVED:
        return Refusal(
            Reason.BAD_REGISTERED_DELIVERY, f"registered_delivery {pdu.registered_delivery}"
        )
    if pdu.replace_if_present_flag > 1:
        return Refusal(
            Reason.BAD_REPLACE_FLAG, f"replace_if_present_flag {pdu.replace_if_present_flag}"
        )
    if pdu.sm_default_msg_id:
        return Refusal(Reason.UNKNOWN_DEFAULT_MESSAGE, f"sm_default_msg_id {pdu.sm_default_msg_id}")
    if not (coding.named(data_coding) if any_coding else coding.known(data_coding)):
        return Refusal(Reason.BAD_CODING, f"data_coding 0x{data_coding:02x}")

    octets = pdu.short_message
    kept: list[tuple[int, bytes]] = []
    if pdu.tlvs:
        read = _read_tlvs(pdu, kept)
        if isinstance(read, Refusal):
            return read
        octets, data_coding, sar = read
        esm_class, octets = _concatenated(esm_class, octets, sar)
    if esm_class & UDHI:
        try:
            parts.udh(octets)
        except ValueError as error:
            return Refusal(Reason.BAD_UDH, str(error))
    schedule_at = validity_ms = 0
    if pdu.schedule_delivery_time:
        try:
            schedule_at = times.parse_time(pdu.schedule_delivery_time, now_ms)
        except ValueError as error:
            return Refusal(Reason.BAD_SCHEDULE, str(error))
    if pdu.validity_period:
        try:
            until = times.parse_time(pdu.validity_period, now_ms)
        except ValueError as error:
            return Refusal(Reason.BAD_VALIDITY, str(error))
        validity_ms = until - max(now_ms, schedule_at)
        if validity_ms <= 0:
            return Refusal(Reason.BAD_VALIDITY, "in the past")
    return Message(
        source=pdu.source_addr.decode("latin-1"),
        destination=pdu.destination_addr.decode("latin-1"),
        parts=[octets],
        data_coding=data_coding,
        esm_class=esm_class & (UDHI | ESM_REPLY_PATH | ESM_TYPE),
        source_ton=pdu.source_addr_ton,
        source_npi=pdu.source_addr_npi,
        destination_ton=pdu.dest_addr_ton,
        destination_npi=pdu.dest_addr_npi,
        protocol_id=pdu.protocol_id,
        priority=pdu.priority_flag,
        service_type=pdu.service_type.decode("latin-1"),
        registered_delivery=pdu.registered_delivery,
        validity_ms=validity_ms,
        schedule_at=schedule_at,
        tlvs=kept,
        interface="smpp",
    )


def _read_tlvs(
    pdu: SubmitSm, kept: list[tuple[int, bytes]]
) -> tuple[bytes, int, dict[int, int]] | Refusal:
    """Octets of the message, its data_coding, and its SAR TLVs; fills ``kept``."""
    octets = pdu.short_message
    data_coding = pdu.data_coding
    sar: dict[int, int] = {}
    for tag, value in pdu.tlvs:
        if tag == Tag.MESSAGE_PAYLOAD:
            if pdu.short_message:
                return Refusal(Reason.TEXT_TWICE, "short_message and message_payload")
            octets = value
        elif tag in _SAR:
            sar[tag] = int.from_bytes(value)
        elif tag == Tag.DEST_ADDR_SUBUNIT and value == _FLASH_SUBUNIT:
            try:
                data_coding = coding.flash(data_coding)
            except ValueError as error:
                return Refusal(Reason.BAD_CODING, str(error))
    kept += _travelling(pdu.tlvs)
    return octets, data_coding, sar


def _travelling(tlvs: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """The TLVs that travel with a message, each tag once.

    The protocol lets callback numbers repeat, in a PDU of up to 70,000 octets: kept as they come
    they would fill the memory, and the PDU that goes on might not hold them.
    """
    found: dict[int, bytes] = {}
    for tag, value in tlvs:
        if tag in _TRAVELLING:
            found.setdefault(tag, value)
    return list(found.items())


def _concatenated(esm_class: int, octets: bytes, sar: dict[int, int]) -> tuple[int, bytes]:
    """esm_class and octets of a segment with the UDH that says the same as its SAR TLVs.

    The reference keeps its low octet: a header with all of it would be longer, and segments of the
    usual 153 septets, 134 octets, 67 UCS-2 units would not fit in a part any more (``spec/smpp.md``
    §12).
    """
    total = sar.get(Tag.SAR_TOTAL_SEGMENTS, 0)
    number = sar.get(Tag.SAR_SEGMENT_SEQNUM, 0)
    # Numbers that make no sense are ignored, as in a UDH (spec/smpp.md §12).
    if total < 2 or not 1 <= number <= total or esm_class & UDHI:
        return esm_class, octets
    reference = sar.get(Tag.SAR_MSG_REF_NUM, 0) & 0xFF
    return esm_class | UDHI, bytes((5, 0, 3, reference, total, number)) + octets


def submit_of(message: Message, part: int, now_ms: int, default_validity_ms: int) -> SubmitSm:
    """The submit_sm that sends one part to a carrier.

    What is left of the validity goes with it, cut to a second, unless that is the default to a
    minute.
    """
    left = message.expires_at - now_ms
    validity = b""
    if not -_NEAR_DEFAULT_MS < left - default_validity_ms < _NEAR_DEFAULT_MS:
        validity = times.format_relative(max(1000, left - left % 1000))
    return SubmitSm(
        service_type=message.service_type.encode("latin-1"),
        source_addr_ton=message.source_ton,
        source_addr_npi=message.source_npi,
        source_addr=message.source.encode("latin-1", "replace"),
        dest_addr_ton=message.destination_ton,
        dest_addr_npi=message.destination_npi,
        destination_addr=message.destination.encode("latin-1", "replace"),
        esm_class=message.esm_class,
        protocol_id=message.protocol_id,
        priority_flag=message.priority,
        validity_period=validity,
        # The gateway hears of success and failure alike, and tells what was asked for.
        registered_delivery=(1 if message.registered_delivery & REGISTERED_MASK else 0)
        | message.registered_delivery & _PASSED_ON,
        data_coding=message.data_coding,
        short_message=message.parts[part],
        tlvs=message.tlvs,
    )


def mo_of(pdu: DeliverSm) -> Message:
    """The message of a deliver_sm that is no receipt; not yet anybody's."""
    octets = pdu.short_message
    esm_class = pdu.esm_class
    if pdu.tlvs:
        octets = octets or next((v for tag, v in pdu.tlvs if tag == Tag.MESSAGE_PAYLOAD), b"")
        sar = {tag: int.from_bytes(value) for tag, value in pdu.tlvs if tag in _SAR}
        esm_class, octets = _concatenated(esm_class, octets, sar)
    return Message(
        source=pdu.source_addr.decode("latin-1"),
        destination=pdu.destination_addr.decode("latin-1"),
        parts=[octets],
        data_coding=pdu.data_coding,
        esm_class=esm_class & (UDHI | ESM_REPLY_PATH | ESM_TYPE),
        source_ton=pdu.source_addr_ton,
        source_npi=pdu.source_addr_npi,
        destination_ton=pdu.dest_addr_ton,
        destination_npi=pdu.dest_addr_npi,
        protocol_id=pdu.protocol_id,
        priority=pdu.priority_flag,
        service_type=pdu.service_type.decode("latin-1"),
        tlvs=_travelling(pdu.tlvs),
        interface="smpp",
        direction=1,
    )


def deliver_of(message: Message) -> DeliverSm:
    """The deliver_sm that hands an MO over to an ESME; ``segments_of`` cuts it if it is too long
    for one without TLVs.
    """
    octets = message.parts[0]
    long = len(octets) > MAX_SHORT_MESSAGE
    payload = [(int(Tag.MESSAGE_PAYLOAD), octets)] if long else []
    return DeliverSm(
        service_type=message.service_type.encode("latin-1"),
        source_addr_ton=message.source_ton,
        source_addr_npi=message.source_npi,
        source_addr=message.source.encode("latin-1", "replace"),
        dest_addr_ton=message.destination_ton,
        dest_addr_npi=message.destination_npi,
        destination_addr=message.destination.encode("latin-1", "replace"),
        esm_class=message.esm_class,
        protocol_id=message.protocol_id,
        priority_flag=message.priority,
        data_coding=message.data_coding,
        short_message=b"" if long else octets,
        tlvs=payload + message.tlvs,
    )


def segments_of(pdu: DeliverSm) -> list[DeliverSm]:
    """What a session without TLVs is sent for ``pdu``: itself, or its message_payload cut into
    segments with a UDH.

    Raises ``ValueError`` if it cannot be cut: it needs more than 255, or its UDH is malformed or
    calls it a segment already.
    """
    payload = next((value for tag, value in pdu.tlvs if tag == Tag.MESSAGE_PAYLOAD), b"")
    if not payload:
        return [pdu]
    header, octets = parts.udh(payload) if pdu.esm_class & UDHI else (b"", payload)
    # The same at every try, so that a client can join segments of the first and the second.
    reference = crc32(payload)
    pieces = parts.split(octets, pdu.data_coding, reference, header)
    esm_class = pdu.esm_class | UDHI if len(pieces) > 1 else pdu.esm_class
    return [evolve(pdu, esm_class=esm_class, short_message=each, tlvs=[]) for each in pieces]


def id_text(message: Message, id_format: str) -> str:
    """A message's id as submit_sm_resp gives it: ``hex`` (E-D28), ``uuid``, ``decimal`` (L-D24).

    Messages of a submit_multi have the request's (``spec/smpp.md`` §3); one of a 3.3 session has
    eight hex digits (§4).
    """
    if message.alias:
        return f"{message.alias:08X}"
    id = message.batch or message.id
    if id_format == "decimal":
        return str(id)
    return to_guid(id) if id_format == "uuid" else to_hex(id)


def id_of(text: str) -> tuple[int, int]:
    """The id, or the 3.3 alias, of a message that a client names in whatever form it was told; 0
    for what is none.

    An alias is eight hex digits, as in the response, or ten decimal ones, as in the receipt.
    """
    if len(text) <= 8:
        return 0, int(text, 16) if _HEX.fullmatch(text) else 0
    if text.isascii() and text.isdecimal() and len(text) <= 19:
        number = int(text)
        return (0, number) if len(text) == 10 else (number if number < 1 << 63 else 0, 0)
    found = from_guid(text)
    return (found[0], 0) if found is not None and found[1] == MESSAGE else (0, 0)


def receipt_of(
    message: Message, state: int, done_at: int, id_format: str, seconds: bool, intermediate: bool
) -> DeliverSm:
    """The deliver_sm that tells an ESME what became of its message (``spec/smpp.md`` §11,
    L-D28)."""
    # Ruling 8: to 3.3 clients the same number, in ten decimal digits.
    name = f"{message.alias:010d}" if message.alias else id_text(message, id_format)
    delivered = state == MessageState.DELIVERED
    text = receipt.format_text(
        Receipt(
            id=name,
            state=state,
            error=f"{message.error:03d}",
            submitted=1,
            delivered=1 if delivered else 0,
            submit_at=message.accepted_at,
            done_at=done_at,
        ),
        seconds,
    )
    tlvs = [
        (int(Tag.RECEIPTED_MESSAGE_ID), name.encode() + b"\0"),
        (int(Tag.MESSAGE_STATE), bytes((state,))),
    ]
    if message.error:
        # 8: specific to the message centre, with our code (L-D28).
        tlvs.append((int(Tag.NETWORK_ERROR_CODE), b"\x08" + message.error.to_bytes(2)))
    # The client's own reference comes back in receipts (SMPP 3.4 §5.3.2.17).
    tlvs += [(tag, value) for tag, value in message.tlvs if tag == Tag.USER_MESSAGE_REFERENCE]
    return DeliverSm(
        source_addr_ton=message.destination_ton,
        source_addr_npi=message.destination_npi,
        source_addr=message.destination.encode("latin-1", "replace"),
        dest_addr_ton=message.source_ton,
        dest_addr_npi=message.source_npi,
        destination_addr=message.source.encode("latin-1", "replace"),
        esm_class=ESM_INTERMEDIATE if intermediate else ESM_RECEIPT,
        short_message=text,
        tlvs=tlvs,
    )


def wants_receipt(message: Message, state: int) -> bool:
    """True if ``registered_delivery`` asks for a receipt of this final state (L-D23)."""
    asked = message.registered_delivery & REGISTERED_MASK
    if asked == 1:
        return True
    delivered = state == MessageState.DELIVERED
    return delivered if asked == 3 else bool(asked) and not delivered


def wants_progress(message: Message) -> bool:
    """True if ``registered_delivery`` asks for intermediate notifications."""
    return bool(message.registered_delivery & REGISTERED_INTERMEDIATE)
