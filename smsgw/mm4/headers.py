"""PDUs from the header of a mail and back: one table of headers for each PDU, in written order.

Reading is tolerant where nothing is lost by it (``spec/mm4.md`` §3): names and words in any case,
ids in quotes, unknown words of optional headers left out. What is mandatory in a request and
missing, or cannot be read, makes the request corrupt; a response needs its type, transaction id and
status only, since nobody is told what is wrong with a response.
"""

import re
from collections.abc import Callable
from typing import Any

from attrs import define, frozen

from smsgw.mm4 import addresses, fields, words
from smsgw.mm4.fields import Fields
from smsgw.mm4.pdus import (
    CLASSES,
    DeliveryReportReq,
    DeliveryReportRes,
    ForwardReq,
    ForwardRes,
    Pdu,
    ReadReplyReq,
    ReadReplyRes,
    Request,
    Response,
)
from smsgw.mm4.words import MessageType, RequestStatus

EMPTY_BODY = "text/plain; charset=us-ascii"  # Content-Type of every PDU without content
MAX_TEXT = 1_000  # characters of a subject or a status text
_MAX_EXTRA = 500  # characters of a header that is passed on
_MAX_PREVIOUS = 20  # X-Mms-Previously-sent-*

_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){1,2}")
EXTRA = (
    "X-Mms-Applic-ID",
    "X-Mms-Reply-Applic-ID",
    "X-Mms-Aux-Applic-Info",
    "X-Mms-Content-Class",
    "X-Mms-Drm-Content",
    "X-Mms-Adaptation-Allowed",
    "X-Mms-VASP-ID",
    "X-Mms-VAS-ID",
    "X-Mms-Service-Code",
    "X-Mms-Charged-Party-ID",
)


@define
class Corrupt(Exception):
    """A mail that says it is a PDU and is not one that can be served.

    ``request`` holds what could be read of it, so that it can be answered; None if it is no request
    of a known type.
    """

    status: RequestStatus
    detail: str
    request: Request | None = None


@define
class Mail:
    """A mail that was read: its fields, where its body begins, and its PDU.

    ``pdu`` is None for an ordinary e-mail.
    """

    fields: Fields
    body: int
    pdu: Pdu | None

    @property
    def hops(self) -> int:
        """How many systems it came through: its ``Received:`` lines."""
        return len(self.fields.every("Received"))


@frozen
class _Header:
    """One header of a PDU: ``read`` gives None for a value that is none, ``write`` its text."""

    name: str
    attribute: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]
    needed: bool = False
    names: tuple[str, ...] = ()  # others that are read


def _id(text: str) -> str | None:
    plain = fields.unquoted_id(text)
    return plain if fields.is_id(plain) else None


def _version(text: str) -> str | None:
    plain = fields.unquoted_id(text)
    return plain if _VERSION.fullmatch(plain) else None


def _flag(text: str) -> bool | None:
    return {"yes": True, "no": False}.get(text.strip().lower())


def _write_flag(value: bool) -> str:
    return "Yes" if value else "No"


def _word(kind: type[Any]) -> Callable[[str], Any]:
    return lambda text: words.word(kind, text)


def _mailbox(text: str) -> str | None:
    plain = addresses.bare(text)
    legal = plain.isascii() and plain.isprintable() and len(plain) <= addresses.MAX_ADDRESS
    return plain if plain and legal else None


def _mailboxes(text: str) -> list[str] | None:
    found = [m for one in addresses.several(text) if (m := _mailbox(one))]
    return found or None


def _free(text: str) -> str:
    return fields.decoded(text)[:MAX_TEXT]


def _counter(text: str) -> int | None:
    plain = text.strip()
    return int(plain[:9]) if plain.isdigit() and plain.isascii() else None


def _mail_id(text: str) -> str | None:
    plain = fields.unquoted_id(text)
    return plain[:MAX_TEXT] or None if plain.isascii() else None


def _plain(value: Any) -> str:
    return str(value)


def _free_of(name: str) -> Callable[[str], str]:
    return lambda text: fields.encoded(text[:MAX_TEXT], name)


def _list_of(name: str) -> Callable[[list[str]], str]:
    return lambda values: fields.listed(values, name)


def _text(name: str, attribute: str) -> _Header:
    return _Header(name, attribute, _free, _free_of(name))


def _yes_no(name: str, attribute: str) -> _Header:
    return _Header(name, attribute, _flag, _write_flag)


def _one_of(name: str, attribute: str, kind: type[Any]) -> _Header:
    return _Header(name, attribute, _word(kind), _plain)


_FROM = _Header("From", "from_", _mailbox, _plain, needed=True)
_TO = _Header("To", "to", _mailboxes, _list_of("To"), needed=True)
_SENDER = _Header("Sender", "sender", _mailbox, _plain, needed=True)
_DATE = _Header("Date", "date", fields.read_date, fields.write_date, needed=True)
_MAIL_ID = _Header("Message-ID", "mail_id", _mail_id, "<{}>".format, needed=True)
_COMMON = (
    _Header("X-Mms-3GPP-MMS-Version", "version", _version, _plain, needed=True),
    _Header("X-Mms-Message-Type", "TYPE", _word(MessageType), _plain),
    _Header("X-Mms-Transaction-ID", "transaction_id", _id, _plain, needed=True),
    _Header("X-Mms-Message-ID", "message_id", _id, _plain, needed=True),
)
_ACK = _yes_no("X-Mms-Ack-Request", "ack_request")
_STATUS_TEXT = _text("X-Mms-Status-Text", "status_text")
_REQUEST = (_FROM, _TO, _SENDER, _DATE, _MAIL_ID)
_RESPONSE = (
    _SENDER,
    _Header("From", "from_", _mailbox, _plain),
    _Header("To", "to", _mailbox, _plain),
    _DATE,
    _MAIL_ID,
    *_COMMON,
)
_ANSWERED = (
    _Header("X-Mms-Request-Status-Code", "status", words.request_status, _plain, needed=True),
    _STATUS_TEXT,
)

HEADERS: dict[type[Pdu], tuple[_Header, ...]] = {
    ForwardReq: (
        _FROM,
        _TO,
        _Header("Cc", "cc", _mailboxes, _list_of("Cc")),
        _SENDER,
        _DATE,
        _MAIL_ID,
        _text("Subject", "subject"),
        *_COMMON,
        _one_of("X-Mms-Message-Class", "message_class", words.Class),
        _Header("X-Mms-Expiry", "expiry", fields.read_expiry, fields.write_expiry),
        _yes_no("X-Mms-Delivery-Report", "delivery_report"),
        _yes_no("X-Mms-Originator-R/S-Delivery-Report", "relay_report"),
        _one_of("X-Mms-Priority", "priority", words.Priority),
        _one_of("X-Mms-Sender-Visibility", "visibility", words.Visibility),
        _yes_no("X-Mms-Read-Reply", "read_reply"),
        _ACK,
        _Header("X-Mms-Forward-Counter", "forward_counter", _counter, _plain),
        _Header("X-Mms-Originator-System", "originator_system", _mailbox, _plain),
    ),
    ForwardRes: (
        *_RESPONSE,
        *_ANSWERED,
        _Header(
            "X-Mms-Request-Recipients",
            "recipients",
            _mailboxes,
            _list_of("X-Mms-Request-Recipients"),
        ),
    ),
    DeliveryReportReq: (
        *_REQUEST,
        *_COMMON,
        _ACK,
        _yes_no("X-Mms-Forward-To-Originator-UA", "forward_to_ua"),
        _Header("X-Mms-MM-Status-Code", "status", words.status, _plain, needed=True),
        _one_of("X-Mms-MM-Status-Extension", "extension", words.Extension),
        _STATUS_TEXT,
    ),
    DeliveryReportRes: (*_RESPONSE, *_ANSWERED),
    ReadReplyReq: (
        *_REQUEST,
        *_COMMON,
        _ACK,
        _Header(
            "X-Mms-Read-Status",
            "status",
            words.read_status,
            _plain,
            needed=True,
            names=("X-Mms-MM-Read-Status",),
        ),
        _STATUS_TEXT,
    ),
    ReadReplyRes: (*_RESPONSE, *_ANSWERED),
}
# Without these a response answers nothing.
_RESPONSE_NEEDS = ("X-Mms-Transaction-ID", "X-Mms-Request-Status-Code")
_IDS = ("transaction_id", "message_id")


def read(octets: bytes) -> Mail:
    """The PDU that a mail is; ``pdu`` is None if it has no ``X-Mms-Message-Type``.

    Raises ``Corrupt`` for a PDU that lacks what is mandatory, or has a type that is none.
    """
    try:
        found, body = fields.read(octets)
    except fields.TooMuch as e:
        raise Corrupt(RequestStatus.FORMAT_CORRUPT, str(e)) from None
    said = found.one("X-Mms-Message-Type")
    if not said:
        return Mail(found, body, None)
    kind = words.word(MessageType, fields.unquoted_id(said))
    if kind is None:
        raise Corrupt(RequestStatus.UNSUPPORTED_MESSAGE, f"X-Mms-Message-Type: {said[:60]}")
    return Mail(found, body, _read(CLASSES[MessageType(kind)], found))


def _read(cls: type[Pdu], found: Fields) -> Pdu:
    values: dict[str, Any] = {}
    missing: list[str] = []
    for header in HEADERS[cls]:
        if header.attribute == "TYPE":
            continue
        text = _found(header, found)
        value = header.read(text) if text else None
        if value is not None:
            values[header.attribute] = value
        elif header.needed:
            missing.append(f"{header.name}{' (unreadable)' if text else ''}")
    pdu = cls(**values)
    if isinstance(pdu, Request):
        pdu.extra = {
            name: fields.decoded(value)[:_MAX_EXTRA] for name in EXTRA if (value := found.one(name))
        }
    if isinstance(pdu, ForwardReq):
        _finish(pdu, found, missing)
    if isinstance(pdu, Response):
        missing = [name for name in missing if name.partition(" ")[0] in _RESPONSE_NEEDS]
    if missing:
        detail = f"missing {', '.join(missing)}"
        request = pdu if isinstance(pdu, Request) else None
        raise Corrupt(RequestStatus.FORMAT_CORRUPT, detail, request)
    return pdu


def _found(header: _Header, found: Fields) -> str:
    if header.read is _mailboxes:
        # RFC 5322 has one To; several are one list all the same.
        return ", ".join(found.every(header.name))
    return next((text for name in (header.name, *header.names) if (text := found.one(name))), "")


def _finish(pdu: ForwardReq, found: Fields, missing: list[str]) -> None:
    """What a forward has beside its table: a Cc may stand for To, and the content has a type."""
    if pdu.cc and "To" in missing:
        missing.remove("To")
    if not found.one("Content-Type"):
        missing.append("Content-Type")
    pdu.originator_system = pdu.originator_system or pdu.sender
    pdu.previously_sent_by = found.every("X-Mms-Previously-sent-by")[:_MAX_PREVIOUS]
    pdu.previously_sent_at = found.every("X-Mms-Previously-sent-date-and-time")[:_MAX_PREVIOUS]


def write(pdu: Pdu, content_type: str = EMPTY_BODY, quote_ids: bool = False) -> bytes:
    """The header of a mail that is this PDU, with the empty line that ends it.

    ``content_type`` is the whole value. ``quote_ids`` puts transaction and message id into double
    quotes. Raises ``ValueError`` for a value that can be in no header.
    """
    lines: list[str] = []
    for header in HEADERS[type(pdu)]:
        value = getattr(pdu, header.attribute)
        if value is None or value == "" or value == [] or (value == 0 and value is not False):
            continue
        text = header.write(value)
        if quote_ids and header.attribute in _IDS:
            text = f'"{text}"'
        if header.attribute == "originator_system" and isinstance(pdu, ForwardReq):
            lines += _previous(pdu)
        lines.append(fields.line(header.name, text))
    if isinstance(pdu, Request):
        lines += [
            fields.line(name, fields.encoded(pdu.extra[name][:_MAX_EXTRA], name))
            for name in EXTRA
            if pdu.extra.get(name)
        ]
    lines.append(fields.line("MIME-Version", "1.0"))
    lines.append(fields.line("Content-Type", content_type))
    return ("".join(lines) + "\r\n").encode("ascii")


def _previous(pdu: ForwardReq) -> list[str]:
    names = ("X-Mms-Previously-sent-by", "X-Mms-Previously-sent-date-and-time")
    return [
        fields.line(name, fields.encoded(value[:_MAX_EXTRA], name))
        for name, values in zip(
            names, (pdu.previously_sent_by, pdu.previously_sent_at), strict=True
        )
        for value in values
    ]
