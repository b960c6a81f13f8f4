"""The parameters of POST /v4/messages: checked, made into messages (``spec`` 4.3)."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from smsgw.http.rest_bodies import (
    Attachment,
    ParameterError,
    Parameters,
    flag,
    hex_digits,
    integer,
    text_of,
)
from smsgw.login import Login
from smsgw.message import UDHI, Message
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, numbers, parts

MAX_SOURCE = 15
MAX_REFERENCE = 64
MAX_TAG = 32
MAX_COSTCENTRE = 10
MAX_VALIDITY = 10_080  # minutes
_INTERFACE = "rest"

_NOT_DIGIT = re.compile(r"\D", re.ASCII)
_PLAIN_DESTINATION = re.compile(r"[1-9]\d{2,14}", re.ASCII)
# Eleven digits and more are in international form already, or do not begin like this.
_INTERNATIONAL = re.compile(r"[1-9]\d{10,14}", re.ASCII)
MAX_SUBJECT = 200
MAX_URL = 2_000
# The + of an offset that a form was not encoded for, and made a blank of.
_LOST_PLUS = re.compile(r"(?<=:\d\d) (?=\d\d:?\d\d$)", re.ASCII)
# Parameters that make a message an MMS (spec 4.3), and those that only an SMS can have.
OF_MMS = ("file", "mediaUrl", "subject")
_OF_SMS = ("flash", "dcs", "udh")


def submission(
    parameters: Parameters,
    login: Login,
    country: str,
    max_destinations: int,
    sender: str = "",
    receipts: bool = False,
    members: Sequence[str] | None = None,
) -> list[Message | Refusal]:
    """One message for each destination, or why that destination is none. Raises ParameterError.

    ``country`` is the dial code of the account's country, ``sender`` its source by default,
    ``receipts`` whether it wants receipts by default. ``members`` are those of the list that is
    named in place of destinations.
    """
    source = _source(text_of(parameters, "source").strip() or sender)
    if members is None:
        destinations: Sequence[str] = _destinations(parameters, max_destinations)
    else:
        destinations = members
    common = _content(parameters, receipts)
    common["interface"] = _INTERFACE
    common["account"] = login.account
    common["credential"] = login.credential
    friendly = flag(parameters, "destinationFormat") is not False
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
    text = text_of(parameters, "destination")
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
    plain = _PLAIN_DESTINATION.fullmatch(text) is not None or numbers.is_iccid(text)
    return text if plain else Reason.BAD_DESTINATION


def list_of(parameters: Parameters) -> str:
    """The list that is to be sent to in place of destinations, "" if none is named."""
    found = text_of(parameters, "listId")
    if found and text_of(parameters, "destination"):
        raise ParameterError(Reason.PARAMETER_INVALID, "destination and listId exclude each other")
    return found


def _content(parameters: Parameters, receipts: bool) -> dict[str, Any]:
    """What the messages to all destinations have in common, as attributes of Message."""
    if is_multimedia(parameters):
        found = _multimedia(parameters)
    else:
        found = _short(parameters)
    asked = flag(parameters, "registeredDelivery")
    if receipts if asked is None else asked:
        found["registered_delivery"] = 1
    validity = integer(parameters, "validityPeriod", 1, MAX_VALIDITY)
    if validity is not None:
        found["validity_ms"] = validity * 60_000
    schedule = text_of(parameters, "scheduleTime")
    if schedule:
        found["schedule_at"] = _time("scheduleTime", schedule)
    reference = text_of(parameters, "clientReference")
    if reference:
        if len(reference) > MAX_REFERENCE:
            raise ParameterError(
                Reason.PARAMETER_INVALID, f"clientReference (at most {MAX_REFERENCE} characters)"
            )
        found["client_reference"] = reference
    tag = text_of(parameters, "tag")
    if tag:
        if len(tag) > MAX_TAG or not tag.isprintable():
            raise ParameterError(
                Reason.PARAMETER_INVALID, f"tag (at most {MAX_TAG} printable characters)"
            )
        found["tag"] = tag
    costcentre = text_of(parameters, "costCentre")
    if costcentre:
        if len(costcentre) > MAX_COSTCENTRE or not costcentre.isprintable():
            raise ParameterError(
                Reason.PARAMETER_INVALID,
                f"costCentre (at most {MAX_COSTCENTRE} printable characters)",
            )
        found["costcentre"] = costcentre
    if flag(parameters, "private"):
        found["private"] = True
    return found


def is_multimedia(parameters: Parameters) -> bool:
    """True if the message is to be an MMS."""
    return any(parameters.get(name) for name in OF_MMS)


def _short(parameters: Parameters) -> dict[str, Any]:
    """The content of an SMS."""
    text = text_of(parameters, "messageText")
    if not text:
        raise ParameterError(Reason.PARAMETER_MISSING, "messageText")
    flash = flag(parameters, "flash")
    data_coding = integer(parameters, "dcs", 0, 255)
    header = hex_digits(parameters, "udh")
    if data_coding is not None or header:
        return _octets(parameters, text, data_coding, header, flash is True)
    return {"text": text, "flash": True} if flash else {"text": text}


def _multimedia(parameters: Parameters) -> dict[str, Any]:
    """The content of an MMS, but for its attachment and the rest of its media."""
    attached = [name for name in ("file", "mediaUrl") if parameters.get(name)]
    if len(attached) > 1:
        raise ParameterError(
            Reason.PARAMETER_INVALID, "one attachment only, file or mediaUrl; several go by MM4"
        )
    if not attached:
        raise ParameterError(Reason.PARAMETER_MISSING, "file or mediaUrl, which an MMS has")
    if attached == ["file"] and not isinstance(parameters["file"], Attachment):
        raise ParameterError(
            Reason.PARAMETER_INVALID, "file is a part of multipart/form-data; or give mediaUrl"
        )
    for name in _OF_SMS:
        if parameters.get(name):
            raise ParameterError(Reason.PARAMETER_INVALID, f"{name} is of no MMS")
    subject = text_of(parameters, "subject")
    if len(subject) > MAX_SUBJECT or not subject.isprintable():
        raise ParameterError(
            Reason.PARAMETER_INVALID, f"subject (at most {MAX_SUBJECT} printable characters)"
        )
    url = text_of(parameters, "mediaUrl")
    if len(url) > MAX_URL:
        raise ParameterError(Reason.PARAMETER_INVALID, f"mediaUrl (at most {MAX_URL} characters)")
    return {"kind": "mms", "parts": [b""]}


def _octets(
    parameters: Parameters, text: str, data_coding: int | None, header: bytes, flash: bool
) -> dict[str, Any]:
    """The content of a message whose coding or header the client decides."""
    if data_coding is None:
        data_coding, octets = coding.smallest(text)
    elif not coding.named(data_coding):
        raise ParameterError(Reason.PARAMETER_INVALID, f"dcs {data_coding} is unknown")
    elif coding.alphabet(data_coding).is_text:
        try:
            octets = coding.encode(text, data_coding)
        except ValueError as error:
            raise ParameterError(Reason.PARAMETER_INVALID, f"dcs: {error}") from None
    else:
        octets = hex_digits(parameters, "messageText")
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
        at = datetime.fromisoformat(_LOST_PLUS.sub("+", text))
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
