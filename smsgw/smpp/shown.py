"""A PDU as the wire view shows it: names and values for people, octets for Wireshark.

Passwords are masked always, texts unless they are asked for; receipts keep all but what they quote.
"""

import re
from typing import Any

from attrs import define, field

from smsgw.smpp.codec import decode, encode
from smsgw.smpp.constants import (
    ESM_INTERMEDIATE,
    ESM_RECEIPT,
    ESM_TYPE,
    ESM_UDHI,
    HEADER,
    RESPONSE,
    Command,
    Tag,
    status_name,
)
from smsgw.smpp.faults import Fault
from smsgw.smpp.fields import table
from smsgw.smpp.pdu import Bind, Outbind
from smsgw.smpp.tlv import value

_MASK = b"********"
_STAR = b"*"
_QUOTED = re.compile(rb"\btext\s?:", re.IGNORECASE)
_RECEIPTS = (ESM_RECEIPT, ESM_INTERMEDIATE)
_PRINTABLE = re.compile(rb"[ -~]*")


@define
class Shown:
    """One PDU. ``octets`` are whole and valid, with what is masked in its place."""

    pdu: str  # "submit_sm"
    status: str = ""  # of a response: "ESME_ROK"
    sequence: int = 0
    fields: dict[str, Any] = field(factory=dict)
    octets: bytes = b""
    fault: str = ""  # why it could not be read; then there are no fields


def shown(octets: bytes, tlvs: bool = True, text: bool = False) -> Shown:
    """The octets of one PDU, as they were on the wire; ``tlvs`` False: of a 3.3 session.

    Never fails: what cannot be read has its header, and stars for the rest.
    """
    command = int.from_bytes(octets[4:8], "big")
    status = int.from_bytes(octets[8:12], "big")
    told = Shown(
        _name(command),
        status_name(status) if command & RESPONSE or status else "",
        int.from_bytes(octets[12:16], "big"),
    )
    try:
        pdu: Any = decode(octets, tlvs)
        secret = _masked(pdu, text)
        told.octets = encode(pdu) if secret else octets
    except (Fault, ValueError) as wrong:
        told.fault = str(wrong)
        told.octets = octets[:HEADER] + _STAR * (len(octets) - HEADER)
        return told
    for name, _ in table(type(pdu)):
        found = getattr(pdu, name)
        if name == "tlvs":
            for tag, raw in found:
                told.fields[_tag(tag)] = _readable(value(tag, raw))
        else:
            told.fields[name] = _readable(found)
    return told


def _masked(pdu: Any, text: bool) -> bool:
    """Mask what nobody is to see; True if there was such."""
    if isinstance(pdu, Bind | Outbind):
        pdu.password = _MASK if pdu.password else b""
        return True
    if text:
        return False
    kind = getattr(pdu, "esm_class", 0)
    secret = False
    if getattr(pdu, "short_message", b""):
        pdu.short_message = _hidden(pdu.short_message, kind)
        secret = True
    found = getattr(pdu, "tlvs", ())
    if any(tag == Tag.MESSAGE_PAYLOAD for tag, _ in found):
        pdu.tlvs = [
            (tag, _hidden(raw, kind) if tag == Tag.MESSAGE_PAYLOAD else raw) for tag, raw in found
        ]
        secret = True
    return secret


def _hidden(text: bytes, esm_class: int) -> bytes:
    """As many octets, of which a header and a receipt's own words stay."""
    keep = 0
    if esm_class & ESM_UDHI and text:
        keep = min(text[0] + 1, len(text))
    elif esm_class & ESM_TYPE in _RECEIPTS:
        quoted = _QUOTED.search(text)
        keep = quoted.end() if quoted else len(text)
    return text[:keep] + _STAR * (len(text) - keep)


def _name(command: int) -> str:
    try:
        return Command(command).name.lower()
    except ValueError:
        return f"0x{command:08x}"


def _tag(tag: int) -> str:
    try:
        return Tag(tag).name.lower()
    except ValueError:
        return f"0x{tag:04x}"


def _readable(found: Any) -> Any:
    """A value as JSON can say it: octets as text where they are some, else in hex."""
    if isinstance(found, bytes):
        return found.decode() if _PRINTABLE.fullmatch(found) else f"0x{found.hex()}"
    if isinstance(found, list):
        return [_readable(one) for one in found]
    if isinstance(found, int | str):
        return found
    return {name: _readable(getattr(found, name)) for name, _ in table(type(found))}
