"""The fields of a request to ``sms.cgi`` in octets, and the message that they ask for
(``spec/aaisp.md`` 4.3).
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import unquote_to_bytes
from zoneinfo import ZoneInfo

import msgspec
from attrs import define, evolve

from smsgw.addresses import url_fault
from smsgw.dialects import Aaisp
from smsgw.http import multipart, parameters
from smsgw.http.site import Request
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account
from smsgw.provisioning.targets import report_of
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, numbers, parts
from smsgw.toml import Wrong

INTERFACE = "sms.cgi"
MOST_DESTINATIONS = 50  # A-D20
_SRR = 1000  # characters (A-D31)
_COSTCENTRE = 10  # characters (A-D27)
_LEAST_DIGITS = 7  # of a destination (A-D30)
_REPLACE = 0x41  # protocol identifier: replace type 1 (3GPP TS 23.040 §9.2.3.9)
_REPORTS = 0x11  # registered_delivery: receipt, and notifications on the way (SMPP 3.4 §5.2.17)
# Field -> its other names; the first of all that is there counts (A-D18).
_NAMES = {
    "da": ("destination",),
    "oa": ("originator", "origin"),
    "ud": ("message",),
}
_ABSENT = (b"0", b"false", b"no")  # values of a field that is there or not (A-D28)
_SEPARATORS = re.compile("[,;]")
_BLANKS = re.compile(r"\s+")
# What marks a text as data (A-D22): control characters other than LF, FF and CR.
_CONTROL = re.compile("[\x00-\x09\x0b\x0e-\x1f\x7f-\x9f]")

_decode_json = msgspec.json.Decoder().decode

Fields = Mapping[str, bytes]


class Fault(Exception):
    """Raised while fields are read; ends up as the answer to the request."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


# --- Reading.


def fields_of(request: Request) -> dict[str, bytes]:
    """Name and octets of each field of query and body; the body wins (A-D17). Raises Fault.

    Of a name that comes twice in one of them, the last counts.
    """
    found = _form(request.query_text) if request.query_text else {}
    if request.body:
        found.update(_body(request))
    return found


def _body(request: Request) -> dict[str, bytes]:
    kind = parameters.media_type(request)
    if kind in (parameters.FORM, b""):
        return _form(request.body.strip(b"\r\n"))
    if kind == parameters.JSON:
        return _json(request.body)
    if kind == parameters.MULTIPART:
        try:
            return dict(multipart.octets(request.headers[b"content-type"], request.body))
        except multipart.MultipartError as error:
            raise Fault(Reason.BAD_REQUEST, f"multipart: {error}") from None
    raise Fault(Reason.UNSUPPORTED_FORMAT, kind.decode("latin-1")[:60])


def _form(octets: bytes) -> dict[str, bytes]:
    found = {}
    for piece in octets.replace(b"+", b" ").split(b"&"):
        name, _, value = piece.partition(b"=")
        if name:
            if b"%" in piece:
                name, value = unquote_to_bytes(name), unquote_to_bytes(value)
            found[name.decode("utf-8", "replace")] = value
    return found


def _json(octets: bytes) -> dict[str, bytes]:
    try:
        found = _decode_json(octets)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Fault(Reason.BAD_REQUEST, f"JSON: {error}") from None
    if type(found) is not dict:
        raise Fault(Reason.BAD_REQUEST, "JSON: the body is no object")
    return {name: _member(value) for name, value in found.items() if value is not None}


def _member(value: Any) -> bytes:
    if type(value) is str:
        return value.encode()
    if type(value) is bool:
        return b"true" if value else b"false"
    if isinstance(value, (int, float)):
        return str(value).encode()
    raise Fault(Reason.BAD_REQUEST, "JSON: a member that is no text, number or boolean")


def present(fields: Fields, name: str) -> bool:
    """True if a field is there that needs no value, such as ``xml`` (A-D28)."""
    value = fields.get(name)
    return value is not None and value.strip().lower() not in _ABSENT


def text(fields: Fields, name: str) -> str:
    """A field as text without blanks around it, "" if it is missing. Octets that are no UTF-8
    become U+FFFD."""
    value = fields.get(name)
    if value is None and name in _NAMES:
        value = next((fields[other] for other in _NAMES[name] if other in fields), None)
    return value.decode("utf-8", "replace").strip() if value else ""


def number(written: str, country: str) -> str:
    """A number as people write it, in international digits; "" if it is none (A-D19)."""
    plain = written if written.isdigit() else _BLANKS.sub("", written).replace("+", "")
    digits = numbers.normalise_destination(plain, numbers.UNKNOWN, country)
    return "" if isinstance(digits, Reason) else digits


def destinations(fields: Fields, settings: Aaisp) -> list[str]:
    """``da`` as it is written: one, or up to 50 where the setting allows it (A-D20). Raises
    Fault."""
    written = text(fields, "da") or (text(fields, "iccid") if settings.legacy else "")
    if not written:
        raise Fault(Reason.PARAMETER_MISSING, "da")
    if written.isdigit() or not _SEPARATORS.search(written):
        return [written]
    if not settings.multi_da:
        raise Fault(Reason.TOO_MANY_DESTINATIONS)
    found = [one.strip() for one in _SEPARATORS.split(written) if one.strip()]
    if not found:
        raise Fault(Reason.PARAMETER_MISSING, "da")
    if len(found) > MOST_DESTINATIONS:
        raise Fault(Reason.TOO_MANY_DESTINATIONS, str(MOST_DESTINATIONS))
    return found


# --- Making.


@define
class Maker:
    """Makes the messages of one request. ``number`` is that of its login (A-D29)."""

    account: Account
    settings: Aaisp
    number: str
    # Of the parts of a message with a header of its own.
    reference: Callable[[], int]

    def messages(self, fields: Fields) -> list[Message | Refusal]:
        """One message for each destination, or why that destination is none. Raises Fault."""
        written = destinations(fields, self.settings)
        message = self._content(fields)
        message.source = self._source(fields)
        message.costcentre = _costcentre(fields)
        message.private = present(fields, "private")
        message.report_to = self._report_to(fields)
        if message.report_to:
            message.registered_delivery = _REPORTS
        message.schedule_at = self._schedule(fields)
        found: list[Message | Refusal] = []
        for one in written:
            digits = self._destination(one)
            if type(digits) is not str:
                found.append(Refusal(Reason.BAD_DESTINATION, one))
            elif len(written) == 1:
                message.destination = digits
                found.append(message)
            else:
                # Each has a list of its own: acceptance cuts it up.
                found.append(evolve(message, destination=digits, parts=list(message.parts)))
        return found

    def _destination(self, written: str) -> str | Reason:
        """A-D30."""
        plain = written if written.isdigit() else _BLANKS.sub("", written)
        digits = numbers.normalise_destination(plain, numbers.UNKNOWN, self.account.country)
        if isinstance(digits, Reason) or len(digits) < _LEAST_DIGITS:
            return Reason.BAD_DESTINATION
        if len(digits) > numbers.MAX_DIGITS and self.settings.check_iccid and not luhn(digits):
            return Reason.BAD_DESTINATION
        return digits

    def _source(self, fields: Fields) -> str:
        """A name has a letter at least (A-D29); a number may have blanks in it."""
        source = text(fields, "oa")
        if not source:
            return self.number
        if any(character.isalpha() for character in source):
            return source
        source = _BLANKS.sub("", source)
        if not source.removeprefix("+").isdigit():
            raise Fault(Reason.BAD_SOURCE, source[:40])
        return source

    def _content(self, fields: Fields) -> Message:
        """The text, or the octets, in as many parts as it may have (A-D21 to A-D26)."""
        limit = min(_limit(fields, self.settings.default_limit), self.account.max_parts)
        header = _header(fields)
        said = _said(fields)
        if not said and not header:
            raise Fault(Reason.PARAMETER_MISSING, "ud")
        data_coding = _octet(fields, "dcs")
        message = Message("", "", interface=INTERFACE, max_parts=limit)
        message.protocol_id = _octet(fields, "pid") or 0
        legacy = self.settings.legacy
        if legacy and not message.protocol_id and present(fields, "replace"):
            message.protocol_id = _REPLACE
        flash = legacy and present(fields, "flash")
        data = data_coding is None and is_data(said)
        if data_coding is None and not header and not data:
            message.text, message.flash = said, flash
            return message
        message.data_coding, octets = _coded(said, coding.BINARY if data else data_coding)
        if flash:
            try:
                message.data_coding = coding.flash(message.data_coding)
            except ValueError as error:
                raise Fault(Reason.PARAMETER_INVALID, "dcs") from error
        if header:
            message.esm_class = UDHI
            message.parts = self._parts(octets, message.data_coding, header, limit)
        else:
            message.parts = [octets]
        return message

    def _parts(self, octets: bytes, data_coding: int, header: bytes, limit: int) -> list[bytes]:
        """With the sender's header in each (A-D24)."""
        try:
            needed = parts.count(octets, data_coding, header)
            if needed <= limit:
                return parts.split(octets, data_coding, self.reference(), header)
        except ValueError as error:
            raise Fault(Reason.TOO_LONG) from error
        raise Fault(Reason.TOO_LONG, f"{needed} parts, limit {limit}")

    def _report_to(self, fields: Fields) -> str:
        """A-D31; ``report`` may be a mere 1, which asks nobody to be told (A-D32)."""
        address = text(fields, "srr")
        if not address and self.settings.legacy:
            report = text(fields, "report")
            address = report if "@" in report or "://" in report else ""
        if not address:
            return ""
        try:
            target = report_of(address)
        except Wrong as wrong:
            raise Fault(Reason.PARAMETER_INVALID, "srr") from wrong
        barred = (
            target.kind == "http"
            and not self.settings.allow_private_callbacks
            and url_fault(target.address)
        )
        if barred or len(address) > _SRR:
            raise Fault(Reason.PARAMETER_INVALID, "srr")
        return address

    def _schedule(self, fields: Fields) -> int:
        """Of the older ``sendtime``, in the account's time zone (A-D32); 0 without it."""
        written = text(fields, "sendtime") if self.settings.legacy else ""
        if not written:
            return 0
        zone = ZoneInfo(self.account.time_zone)
        try:
            at = datetime.strptime(written, "%Y-%m-%d %H:%M:%S").replace(tzinfo=zone)
            return max(0, int(at.timestamp() * 1000))
        except (ValueError, OverflowError) as error:
            raise Fault(Reason.BAD_SCHEDULE) from error


def _said(fields: Fields) -> str:
    """``ud``: C0 80 is U+0000, all else UTF-8 (A-D21)."""
    octets = fields.get("ud")
    if octets is None:
        octets = fields.get("message", b"")
    if b"\xc0\x80" in octets:
        octets = octets.replace(b"\xc0\x80", b"\0")
    try:
        said = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Fault(Reason.BAD_CODING) from error
    return said.replace("\r\n", "\n") if "\r" in said else said


def is_data(said: str) -> bool:
    """True for a text that is octets rather than characters (A-D22)."""
    return not said.isprintable() and _CONTROL.search(said) is not None and max(said) <= "\xff"


def _coded(said: str, data_coding: int | None) -> tuple[int, bytes]:
    """Data coding and octets of a text; in an 8-bit coding each character is an octet."""
    if data_coding is None:
        return coding.smallest(said)
    try:
        if not coding.named(data_coding):
            raise ValueError
        if coding.alphabet(data_coding).is_text:
            return data_coding, coding.encode(said, data_coding)
        return data_coding, said.encode("latin-1")
    except ValueError as error:
        raise Fault(Reason.PARAMETER_INVALID, "dcs") from error


def _header(fields: Fields) -> bytes:
    """``udh``, with its length octet (A-D25); empty if there is none."""
    digits = fields.get("udh", b"").strip()
    if not digits:
        return b""
    try:
        header = bytes.fromhex(digits.decode("ascii"))
        rest = parts.udh(header)[1]
    except ValueError as error:
        raise Fault(Reason.BAD_UDH) from error
    if rest or len(header) > parts.OCTETS:
        raise Fault(Reason.BAD_UDH)
    return header


def _integer(fields: Fields, name: str, least: int, most: int) -> int | None:
    written = text(fields, name)
    if not written:
        return None
    if not written.isascii() or not written.isdigit() or len(written) > 3:
        raise Fault(Reason.PARAMETER_INVALID, name)
    value = int(written)
    if not least <= value <= most:
        raise Fault(Reason.PARAMETER_INVALID, name)
    return value


def _octet(fields: Fields, name: str) -> int | None:
    return _integer(fields, name, 0, 255)


def _limit(fields: Fields, default: int) -> int:
    """A-D26."""
    return _integer(fields, "limit", 1, 255) or default


def _costcentre(fields: Fields) -> str:
    """A-D27."""
    name = text(fields, "costcentre")
    if len(name) > _COSTCENTRE or not name.isprintable() or "\ufffd" in name:
        raise Fault(Reason.PARAMETER_INVALID, "costcentre")
    return name


def luhn(digits: str) -> bool:
    """True if the last digit is the check digit of the others (ISO/IEC 7812-1 annex B)."""
    odd = sum(int(digit) for digit in digits[-1::-2])
    doubled = (int(digit) * 2 for digit in digits[-2::-2])
    return (odd + sum(d - 9 if d > 9 else d for d in doubled)) % 10 == 0
