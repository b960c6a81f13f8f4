"""The words in which each dialect calls a customer's URL: method, URL and body, nothing sent yet.

``aaisp`` tells messages (A-R10 to A-R14, A-D9 to A-D12) and reports (A-D37 to A-D40), ``aql``
messages (Q-D11 to Q-D21), ``aerialink`` messages, acknowledgements and receipts (E-D21, 4.6).
"""

import re
from collections.abc import Iterable
from urllib.parse import quote, quote_plus

import msgspec
from attrs import frozen

from smsgw.http import rest_codes
from smsgw.http.form_data import FormData
from smsgw.http.render import iso, to_xml
from smsgw.identities import RECEIPT, to_guid
from smsgw.message import Message, MessageState
from smsgw.text.reading import Reading, e123

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
XML = "application/xml; charset=utf-8"
# Fields of a push that are numbers in JSON.
_NUMBERS = ("dcs", "code", "extendedStatusCode")

Fields = list[tuple[str, str]]

# extendedStatusCode of a push (F-7); a receipt of what failed has that of a status check.
_CARRIER_HAS_IT = 30000
_RECEIVED = {MessageState.DELIVERED: 40001, MessageState.ACCEPTED: 40000}
# %code, %dest ...: exactly and in lower case, the longest first (A-D37, A-D38).
_REPORT_VARIABLE = re.compile("%(code|dest|da|oa|ud|id)")
# A % before two hex digits is an escape, not the variable %d (Q-D13).
_RELAY_VARIABLE = re.compile(r"%(?![0-9A-Fa-f]{2})([odmtxui])")
_RELAY_NAMES = {
    "o": "originator",
    "d": "destination",
    "m": "message",
    "t": "time",
    "x": "unix_time",
    "u": "udh",
    "i": "id",
}


@frozen
class Call:
    """One request to a customer's URL. ``body`` is empty for GET, and if it is in ``form``."""

    method: str
    url: str
    body: bytes = b""
    content_type: str = ""
    form: FormData | None = None


def _value(text: str) -> str:
    # U+0000 travels as the two octets that mean it in a form (A-D12, mirror of A-R24).
    return quote_plus(text.encode("utf-8", "replace").replace(b"\0", b"\xc0\x80"))


def _form(fields: Iterable[tuple[str, str]]) -> str:
    return "&".join(f"{name}={_value(text)}" for name, text in fields)


def _with_query(url: str, query: str) -> str:
    """``url`` with ``query`` added to it."""
    url = url.partition("#")[0]
    if url.endswith(("?", "&")):
        return url + query
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _called(method: str, url: str, fields: Fields) -> Call:
    if method == "GET":
        return Call("GET", _with_query(url, _form(fields)))
    return Call("POST", url, _form(fields).encode(), FORM)


def aaisp_message(reading: Reading, url: str, prefix: str) -> Call:
    """A message to a target (A-R11 to A-R14): GET if ``url`` ends in ``?`` or ``&``, else POST."""
    own = e123 if prefix == "+" else str
    fields = [
        ("scts", reading.iso),
        ("da", own(reading.da)),
        ("ud", reading.text),
        ("oa", own(reading.oa)),
    ]
    fields += _present(reading, own(reading.via))
    if prefix == "*":
        fields += [
            ("timestamp", reading.plain_time),
            ("originator", reading.oa),
            ("destination", reading.da),
            ("message", reading.text),
        ]
    if url.endswith(("?", "&")):
        return _called("GET", url, fields)
    if prefix == "!":
        return Call("POST", url, msgspec.json.encode(dict(fields)), JSON)
    return _called("POST", url, fields)


def _present(reading: Reading, via: str) -> Fields:
    """The fields that are sent only if there is something to say (A-R13)."""
    fields = [("via", via), ("udh", reading.udh.hex().upper())]
    fields += [("dcs", str(reading.dcs or "")), ("pid", str(reading.pid or ""))]
    return [(name, text) for name, text in fields if text]


def aaisp_report(code: int, message: Message, reading: Reading, url: str) -> Call:
    """A delivery report to the URL that the message named (A-D37 to A-D40)."""
    values = {
        "code": str(code),
        "dest": reading.da,
        "da": reading.da,
        "oa": reading.oa,
        "ud": reading.text,
        "id": str(message.id),
    }
    added = ""
    if "%code" not in url and url.endswith(("?", "&")):
        added = _form([(name, values[name]) for name in ("code", "da", "id")])

    def inserted(found: re.Match[str]) -> str:
        return quote(values[found[1]].encode("utf-8", "replace"), safe="")

    return Call("GET", _REPORT_VARIABLE.sub(inserted, url) + added)


def aql_message(reading: Reading, id: int, url: str, method: str) -> Call:
    """A message to one URL of a relay (Q-D12 to Q-D14, Q-D20, Q-D21); ``id`` is the message's."""
    values = {
        "o": reading.oa,
        "d": reading.da,
        "m": reading.text,
        "t": reading.plain_time,
        "x": str(int(reading.at.timestamp())),
        "u": reading.udh.hex().upper(),
        "i": str(id),
    }
    if not _RELAY_VARIABLE.search(url):
        query = "&".join(f"{_RELAY_NAMES[v]}={quote_plus(text)}" for v, text in values.items())
        if method == "GET":
            return Call("GET", _with_query(url, query))
        return Call("POST", url, query.encode(), FORM)

    said = _RELAY_VARIABLE.sub(lambda found: quote_plus(values[found[1]]), url)
    if method == "GET":
        return Call("GET", said)
    path, _, query = said.partition("#")[0].partition("?")
    return Call("POST", path, query.encode(), FORM)


def aerialink_push(
    event: str,
    message: Message,
    reading: Reading,
    entry_id: int,
    url: str,
    method: str,
    form: str = "",
    root: str = "aerialink",
) -> Call:
    """A push of the REST dialect (4.6): message, acknowledgement (CDA) or receipt.

    Or that the recipient has read it. ``entry_id`` is the delivery's; the GUID of an
    acknowledgement, or of what says that it was read, is made of it. ``form`` "json"
    and "xml" are bodies of POST (E-D21), XML below the element ``root``; GET is a query always.
    """
    if event == "mo":
        fields = _inbound(message, reading)
    else:
        fields = _notification(event, message, entry_id)
    known = [(name, text) for name, text in fields if text or name == "messageText"]
    if url.endswith(("?", "&")):
        method = "GET"
    if method == "POST" and form in ("json", "xml"):
        document = {name: int(text) if name in _NUMBERS else text for name, text in known}
        if form == "json":
            return Call("POST", url, msgspec.json.encode(document), JSON)
        return Call("POST", url, to_xml(root, document), XML)
    return _called(method, url, known)


def _inbound(message: Message, reading: Reading) -> Fields:
    return [
        ("transactionGUID", to_guid(message.id)),
        ("messageType", "Deliver"),
        ("source", reading.oa),
        ("destination", reading.da),
        ("messageText", reading.text),
        ("dcs", str(reading.dcs)),
        ("udh", reading.udh.hex().upper()),
        ("receivedDate", iso(message.accepted_at) or ""),
    ]


def _notification(event: str, message: Message, entry_id: int) -> Fields:
    """Of a message that the account submitted: what stands in 4.6 for CDA and DLR, and that it was
    read (ruling 18)."""
    if event == "read":
        return [
            ("transactionGUID", to_guid(entry_id)),
            ("transactionGUIDlinked", to_guid(message.id)),
            ("messageType", "Read"),
            ("source", message.source),
            ("destination", message.destination),
            ("clientReference", message.client_reference or ""),
            ("submitDate", iso(message.accepted_at) or ""),
            ("readDate", iso(message.read_at) or ""),
        ]
    receipt = event == "receipt"
    code, extended = rest_codes.COMPLETED, _CARRIER_HAS_IT
    state = MessageState.ENROUTE.stat
    if receipt:
        code = rest_codes.code_of(message)
        extended = _RECEIVED.get(MessageState(message.state)) or rest_codes.extended_code(
            message, code
        )
        state = rest_codes.state_name(message)
    done = message.done_at if receipt else message.carrier_at
    return [
        ("transactionGUID", to_guid(message.id, RECEIPT) if receipt else to_guid(entry_id)),
        ("transactionGUIDlinked", to_guid(message.id)),
        ("messageType", "Receipt" if receipt else "Acknowledgement"),
        ("source", message.source),
        ("destination", message.destination),
        ("code", str(code)),
        ("extendedStatusCode", str(extended)),
        ("messageState", state),
        ("networkErrorCode", message.network_error if receipt else ""),
        ("clientReference", message.client_reference or ""),
        ("submitDate", iso(message.accepted_at) or ""),
        ("doneDate", iso(done) or ""),
    ]


def multimedia_fields(message: Message, reading: Reading, text: str) -> Fields:
    """The fields of an MMS from a handset, beside its media (4.6; ruling 20)."""
    multimedia = message.multimedia
    assert multimedia is not None
    return [
        ("transactionGUID", to_guid(message.id)),
        ("messageType", "Deliver"),
        ("source", reading.oa),
        ("destination", reading.da),
        ("subject", multimedia.subject),
        ("messageText", text),
        ("receivedDate", iso(message.accepted_at) or ""),
    ]
