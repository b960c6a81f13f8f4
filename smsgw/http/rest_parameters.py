"""The parameters of POST /v4/messages: read from any body format, checked, made into messages."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from smsgw.http import multipart
from smsgw.http.site import Request
from smsgw.login import Login
from smsgw.message import UDHI, Message
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, numbers, parts

MAX_SOURCE = 15
MAX_REFERENCE = 64
MAX_VALIDITY = 10_080  # minutes
_INTERFACE = "rest"

Parameters = Mapping[str, Any]

_decode_json = msgspec.json.Decoder().decode
_NOT_DIGIT = re.compile(r"\D", re.ASCII)
_INTEGER = re.compile(r"\d{1,9}", re.ASCII)
_PLAIN_DESTINATION = re.compile(r"[1-9]\d{2,14}", re.ASCII)
# Eleven digits and more are in international form already, or do not begin like this.
_INTERNATIONAL = re.compile(r"[1-9]\d{10,14}", re.ASCII)
# JSON's 1 and 0 are equal to its true and false.
_TRUTH: dict[object, bool] = {
    True: True,
    False: False,
    "true": True,
    "false": False,
    "1": True,
    "0": False,
}
# Parameters that make a message an MMS, which is not sold here yet (spec 4.3).
NOT_SOLD = ("file", "mediaUrl", "subject")


class ParameterError(Exception):
    """Raised while parameters are read; ends up as the answer to the request."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        self.refusal = Refusal(reason, detail)


def read_body(request: Request) -> Parameters:
    """The parameters in the body of a request (E-D3). Raises ParameterError."""
    body = request.body
    content_type = request.headers.get(b"content-type", b"")
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type == b"application/json":
        try:
            found = _decode_json(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise ParameterError(Reason.BAD_REQUEST, f"JSON: {error}") from None
        if type(found) is not dict:
            raise ParameterError(Reason.BAD_REQUEST, "JSON: the body is no object")
        return found
    if media_type == b"application/x-www-form-urlencoded":
        return _form(body)
    if media_type == b"multipart/form-data":
        return _multipart(content_type, body)
    if not body:
        return {}
    raise ParameterError(
        Reason.UNSUPPORTED_FORMAT, media_type.decode("latin-1") or "no Content-Type"
    )


def _form(octets: bytes) -> Parameters:
    try:
        pairs = parse_qsl(octets.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise ParameterError(Reason.BAD_REQUEST, "the form is not UTF-8, URL-encoded") from None
    return _once(pairs)


def _once(pairs: Sequence[tuple[str, Any]]) -> Parameters:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise ParameterError(Reason.PARAMETER_INVALID, f"{name} is given more than once")
            seen.add(name)
    return found


def _multipart(content_type: bytes, body: bytes) -> Parameters:
    try:
        return _once(multipart.pairs(content_type, body))
    except multipart.MultipartError as error:
        raise ParameterError(Reason.BAD_REQUEST, f"multipart: {error}") from None


def _text(parameters: Parameters, name: str) -> str:
    """A parameter as text, "" if it is missing. JSON may give a number."""
    value = parameters.get(name)
    if type(value) is str:
        return value
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    raise ParameterError(Reason.PARAMETER_INVALID, name)


def _flag(parameters: Parameters, name: str) -> bool | None:
    value = parameters.get(name)
    if value is None or value == "":
        return None
    try:
        return _TRUTH[value.lower() if type(value) is str else value]
    except (KeyError, TypeError):
        raise ParameterError(Reason.PARAMETER_INVALID, name) from None


def _integer(parameters: Parameters, name: str, least: int, most: int) -> int | None:
    text = _text(parameters, name)
    if not text:
        return None
    if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
        raise ParameterError(Reason.PARAMETER_INVALID, f"{name} ({least} to {most})")
    return int(text)


def _hex(parameters: Parameters, name: str) -> bytes:
    try:
        return bytes.fromhex(_text(parameters, name))
    except ValueError:
        raise ParameterError(Reason.PARAMETER_INVALID, f"{name} (hex digits)") from None


def submission(
    parameters: Parameters, login: Login, country: str, max_destinations: int
) -> list[Message | Refusal]:
    """One message for each destination, or why that destination is none. Raises ParameterError.

    ``country`` is the dial code of the account's country.
    """
    source = _source(_text(parameters, "source"))
    destinations = _destinations(parameters, max_destinations)
    common = _content(parameters)
    common["interface"] = _INTERFACE
    common["account"] = login.account
    common["credential"] = login.credential
    friendly = _flag(parameters, "destinationFormat") is not False
    found: list[Message | Refusal] = []
    for text in destinations:
        destination = _destination(text, friendly, country)
        if type(destination) is str:
            found.append(Message(source, destination, **common))
        else:
            found.append(Refusal(Reason.BAD_DESTINATION, text))
    octets = common.get("parts")
    if octets is not None:
        for one in found:
            if type(one) is Message:
                one.parts = list(octets)  # each its own: acceptance cuts them up
    return found


def _source(text: str) -> str:
    text = text.strip()
    if not text:
        raise ParameterError(Reason.PARAMETER_MISSING, "source")
    # A name keeps its blanks and dots, a number loses them.
    if not text.isdigit() and not any(character.isalpha() for character in text):
        text = _NOT_DIGIT.sub("", text) or text
    if len(text) > MAX_SOURCE:
        raise ParameterError(Reason.BAD_SOURCE, text[:40])
    return text


def _destinations(parameters: Parameters, most: int) -> list[str]:
    text = _text(parameters, "destination")
    if parameters.get("listId"):
        if text:
            raise ParameterError(
                Reason.PARAMETER_INVALID, "destination and listId exclude each other"
            )
        raise ParameterError(Reason.NOT_ENABLED, "lists")
    if "," not in text:
        destinations = [text.strip()]
    else:
        destinations = [one for item in text.split(",") if (one := item.strip())]
    if not destinations or not destinations[0]:
        raise ParameterError(Reason.PARAMETER_MISSING, "destination")
    if len(destinations) > most:
        raise ParameterError(Reason.TOO_MANY_DESTINATIONS, f"{len(destinations)}, limit {most}")
    return destinations


def _destination(text: str, friendly: bool, country: str) -> str | Reason:
    if _INTERNATIONAL.fullmatch(text):
        return text
    if friendly:
        return numbers.friendly(text, country)
    return text if _PLAIN_DESTINATION.fullmatch(text) else Reason.BAD_DESTINATION


def _content(parameters: Parameters) -> dict[str, Any]:
    """What the messages to all destinations have in common, as attributes of Message."""
    for name in NOT_SOLD:
        if parameters.get(name):
            raise ParameterError(Reason.NOT_ENABLED, f"MMS ({name})")
    text = _text(parameters, "messageText")
    if not text:
        raise ParameterError(Reason.PARAMETER_MISSING, "messageText")
    found: dict[str, Any] = {"text": text}
    flash = _flag(parameters, "flash")
    data_coding = _integer(parameters, "dcs", 0, 255)
    header = _hex(parameters, "udh")
    if data_coding is not None or header:
        found = _octets(parameters, text, data_coding, header, flash is True)
    elif flash:
        found["flash"] = True
    if _flag(parameters, "registeredDelivery"):
        found["registered_delivery"] = 1
    validity = _integer(parameters, "validityPeriod", 1, MAX_VALIDITY)
    if validity is not None:
        found["validity_ms"] = validity * 60_000
    schedule = _text(parameters, "scheduleTime")
    if schedule:
        found["schedule_at"] = _time("scheduleTime", schedule)
    reference = _text(parameters, "clientReference")
    if reference:
        if len(reference) > MAX_REFERENCE:
            raise ParameterError(
                Reason.PARAMETER_INVALID, f"clientReference (at most {MAX_REFERENCE} characters)"
            )
        found["client_reference"] = reference
    return found


def _octets(
    parameters: Parameters, text: str, data_coding: int | None, header: bytes, flash: bool
) -> dict[str, Any]:
    """The content of a message whose coding or header the client decides."""
    if data_coding is None:
        data_coding, octets = coding.smallest(text)
    elif not coding.known(data_coding):
        raise ParameterError(Reason.PARAMETER_INVALID, f"dcs {data_coding} is unknown")
    elif coding.alphabet(data_coding).is_text:
        try:
            octets = coding.encode(text, data_coding)
        except ValueError as error:
            raise ParameterError(Reason.PARAMETER_INVALID, f"dcs: {error}") from None
    else:
        octets = _hex(parameters, "messageText")
    if flash:
        try:
            data_coding = coding.flash(data_coding)
        except ValueError as error:
            raise ParameterError(Reason.PARAMETER_INVALID, f"flash: {error}") from None
    found: dict[str, Any] = {"parts": [header + octets], "data_coding": data_coding}
    if header:
        try:
            rest = parts.udh(header)[1]
        except ValueError as error:
            raise ParameterError(Reason.PARAMETER_INVALID, f"udh: {error}") from None
        if rest:
            raise ParameterError(Reason.PARAMETER_INVALID, "udh: more octets than its length says")
        found["esm_class"] = UDHI
    return found


def _time(name: str, text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 time, UTC unless it says otherwise."""
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        ms = int(at.timestamp() * 1000)
    except (ValueError, OverflowError):
        ms = 0
    if ms <= 0:
        raise ParameterError(
            Reason.PARAMETER_INVALID, f"{name} (ISO 8601, such as 2026-03-14T10:15:00Z)"
        )
    return ms
