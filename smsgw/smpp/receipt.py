"""Delivery receipts: the text of SMPP 3.4 appendix B, and the TLVs that say the same."""

import re
from typing import Any

from smsgw.message import STATE_BY_STAT, MessageState, Receipt
from smsgw.smpp.constants import (
    ESM_INTERMEDIATE,
    ESM_RECEIPT,
    ESM_TYPE,
    ESM_UDHI,
    MAX_MESSAGE_ID,
    MAX_SHORT_MESSAGE,
    Tag,
)
from smsgw.smpp.pdu import DataSm, DeliverSm
from smsgw.smpp.times import format_date, parse_date
from smsgw.text import gsm

_UCS2 = 8  # data_coding
_MAX_TEXT = MAX_SHORT_MESSAGE  # characters kept of what a receipt quotes; the book has 20

# The text as nearly everybody writes it, all fields in the order of the book.
_STANDARD = re.compile(
    rb"id:([^ ]*) sub:(\d{1,3}) dlvrd:(\d{1,3}) submit date:(\d{10,12}) done date:(\d{10,12})"
    rb" stat:([A-Z]{7}) err:([^ ]{0,10})(?: [Tt]ext:(.*))?",
    re.DOTALL,
)
# One field of a text that has them in another order, in other spelling, or not all.
_LABEL = re.compile(
    rb"(?:\A|(?<=[\s,;]))(id|sub|dlvrd|submit[ _]*date|done[ _]*date|stat|err|text)\s?:",
    re.IGNORECASE,
)

_STATES = {stat.encode(): int(state) for stat, state in STATE_BY_STAT.items()}
# Words seen in the field, by their first seven letters.
_STATES |= {
    b"BUFFERD": int(MessageState.ENROUTE),
    b"BUFFERE": int(MessageState.ENROUTE),
    b"ACKED": int(MessageState.ENROUTE),
    b"DELIVER": int(MessageState.DELIVERED),
    b"UNDELIV": int(MessageState.UNDELIVERABLE),
    b"FAILED": int(MessageState.UNDELIVERABLE),
    b"ACCEPTE": int(MessageState.ACCEPTED),
    b"REJECTE": int(MessageState.REJECTED),
    b"SCHEDUL": int(MessageState.SCHEDULED),
}
_UNKNOWN = int(MessageState.UNKNOWN)


def parse(pdu: DeliverSm | DataSm, by_text: bool = True) -> Receipt | None:
    """The receipt that ``pdu`` is; None if it is none.

    Told by its esm_class; if that names no type, by its text (a 3.3 SMSC may leave esm_class 0)
    unless ``by_text`` is false: then no handset can forge one. TLVs win over the text. What is
    missing is empty or 0, the state then UNKNOWN. Dates are taken as UTC. Of an id 64 characters
    are taken, of the quoted text 254.
    """
    kind = pdu.esm_class & ESM_TYPE
    if kind not in (0, ESM_RECEIPT, ESM_INTERMEDIATE):
        return None
    if kind == 0 and not by_text:
        return None
    text: bytes = pdu.short_message if type(pdu) is DeliverSm else b""
    intermediate = kind == ESM_INTERMEDIATE
    match = _STANDARD.fullmatch(text)
    if match is not None:
        id, sub, dlvrd, submit, done, stat, err, rest = match.groups()
        receipt = Receipt(
            id.decode("latin-1"),
            _STATES.get(stat, _UNKNOWN),
            err.decode("latin-1"),
            int(sub),
            int(dlvrd),
            parse_date(submit),
            parse_date(done),
            _written(pdu, rest) if rest else "",
            intermediate,
        )
    else:
        loose = _parse_loosely(pdu, _plain_text(pdu, text), intermediate, required=kind == 0)
        if loose is None:
            return None
        receipt = loose
    if pdu.tlvs:
        _take_tlvs(receipt, pdu.tlvs)
    # It may be kept for long, and a text in message_payload may be anything. No message has a
    # longer id.
    if len(receipt.id) > MAX_MESSAGE_ID:
        receipt.id = receipt.id[:MAX_MESSAGE_ID]
    if len(receipt.text) > _MAX_TEXT:
        receipt.text = receipt.text[:_MAX_TEXT]
    return receipt


def _plain_text(pdu: DeliverSm | DataSm, text: bytes) -> bytes:
    """The text as one octet a character, wherever and however it stands in the PDU."""
    if not text:
        text = next((value for tag, value in pdu.tlvs if tag == Tag.MESSAGE_PAYLOAD), b"")
    if pdu.esm_class & ESM_UDHI and text:
        text = text[text[0] + 1 :]
    if pdu.data_coding == _UCS2:
        text = text.decode("utf-16-be", "replace").encode("latin-1", "replace")
    return text


def _written(pdu: DeliverSm | DataSm, octets: bytes) -> str:
    """What ``text:`` quotes of the message, as text."""
    return octets.decode("latin-1") if pdu.data_coding else gsm.decode(octets)


def _parse_loosely(
    pdu: DeliverSm | DataSm, text: bytes, intermediate: bool, required: bool
) -> Receipt | None:
    """Fields in any order; ``required``: None unless they make a receipt."""
    fields: dict[bytes, bytes] = {}
    labels = list(_LABEL.finditer(text))
    for number, label in enumerate(labels):
        name = label[1].lower().replace(b" ", b"").replace(b"_", b"")
        if name == b"text":  # the rest is text, whatever it looks like
            fields[name] = text[label.end() :]
            break
        end = labels[number + 1].start() if number + 1 < len(labels) else len(text)
        fields.setdefault(name, text[label.end() : end].strip(b" \t\r\n,;\0"))
    if required:
        known = fields.get(b"stat", b"").upper()[:7] in _STATES
        begins = bool(fields.get(b"id")) and not text[: labels[0].start()].strip()
        if not (known and begins and len(fields) > 2):
            return None
    return Receipt(
        id=fields.get(b"id", b"").decode("latin-1"),
        state=_state(fields.get(b"stat", b"")),
        error=fields.get(b"err", b"")[:10].decode("latin-1"),
        submitted=_number(fields.get(b"sub"), 1),
        delivered=_number(fields.get(b"dlvrd"), 0),
        submit_at=parse_date(fields.get(b"submitdate", b"")),
        done_at=parse_date(fields.get(b"donedate", b"")),
        text=_written(pdu, fields.get(b"text", b"")),
        intermediate=intermediate,
    )


def _state(word: bytes) -> int:
    return _STATES.get(word.upper()[:7], _UNKNOWN)


def _number(octets: bytes | None, default: int) -> int:
    return int(octets) if octets and octets.isdigit() and len(octets) < 10 else default


def _take_tlvs(receipt: Receipt, tlvs: list[tuple[int, Any]]) -> None:
    """Let the TLVs say what they know better than the text."""
    for tag, value in tlvs:
        if tag == Tag.RECEIPTED_MESSAGE_ID:
            id = value.split(b"\0", 1)[0]
            if id:
                receipt.id = id.decode("latin-1")
        elif tag == Tag.MESSAGE_STATE:
            # A state beyond those of 5.0 says nothing.
            if len(value) == 1 and value[0] <= MessageState.SKIPPED:
                receipt.state = value[0]
        elif tag == Tag.NETWORK_ERROR_CODE and len(value) == 3:
            receipt.error = f"{int.from_bytes(value[1:], 'big'):03d}"


def format_text(receipt: Receipt, seconds: bool, label_text: str = "text:") -> bytes:
    """The text of a receipt, for data_coding 0: unpacked septets.

    ``seconds``: dates of twelve digits, else of ten. After ``label_text`` come 20 characters of the
    message at most, with ``?`` for those that the GSM alphabet has not.
    """
    submit = format_date(receipt.submit_at, seconds)
    done = format_date(receipt.done_at, seconds)
    octets = (
        f"id:{receipt.id} sub:{receipt.submitted:03d} dlvrd:{receipt.delivered:03d}"
        f" submit date:{submit} done date:{done} stat:{MessageState(receipt.state).stat}"
        f" err:{receipt.error or '000'} {label_text}"
    ).encode("ascii", "replace")
    return octets + _quoted(receipt.text[:20]) if receipt.text else octets


def _quoted(text: str) -> bytes:
    octets = gsm.encode(text)
    if octets is None:
        octets = b"".join(gsm.encode(character) or b"?" for character in text)
    return octets
