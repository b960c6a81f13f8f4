"""What requests of the REST API bring: parameters in any format of body, or in the query (E-D3)."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl
from xml.etree.ElementTree import Element, ParseError

import msgspec
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from smsgw.http import multipart
from smsgw.http.site import Request
from smsgw.refusals import Reason, Refusal
from smsgw.smtp.spool import Spool

Parameters = Mapping[str, Any]

_decode_json = msgspec.json.Decoder().decode
_INTEGER = re.compile(r"\d{1,9}", re.ASCII)
# JSON's 1 and 0 are equal to its true and false.
_TRUTH: dict[object, bool] = {
    True: True,
    False: False,
    "true": True,
    "false": False,
    "1": True,
    "0": False,
}


# Types of files that are meant to be shown or heard.
_MEDIA = ("image/", "audio/", "video/")


class Attachment:
    """The file of a multipart body."""

    def __init__(self, name: str, type: str, digest: str, read: Callable[[], bytes]) -> None:
        """``type`` as it is labelled, "" if it is not. ``digest`` stands for the octets, which
        ``read`` gives; it may block."""
        self.name = name
        self.type = type
        self.digest = digest
        self.read = read


class ParameterError(Exception):
    """Raised while a request is read; ends up as the answer to it."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


def read_body(request: Request) -> Parameters:
    """The parameters in the body of a request; blocks if that is in a file. Raises
    ParameterError."""
    body = request.body if request.spool is None else request.spool.read()
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
        return _multipart(content_type, body, request)
    if media_type in (b"application/xml", b"text/xml"):
        return _xml(body)
    if not body:
        return {}
    raise ParameterError(
        Reason.UNSUPPORTED_FORMAT, media_type.decode("latin-1") or "no Content-Type"
    )


def read_query(request: Request) -> Parameters:
    """The parameters in the query of a request. Raises ParameterError."""
    return _form(request.query_text) if request.query_text else {}


def _form(octets: bytes) -> Parameters:
    try:
        pairs = parse_qsl(octets.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise ParameterError(Reason.BAD_REQUEST, "the form is not UTF-8, URL-encoded") from None
    return _once(pairs)


def _xml(octets: bytes) -> Parameters:
    """Root ``request``, one element for each name; an empty one is a parameter that is missing."""
    try:
        root: Element = fromstring(octets, forbid_dtd=True)
    except DefusedXmlException:
        raise ParameterError(Reason.BAD_REQUEST, "XML: a DTD is not allowed") from None
    except (ParseError, ValueError, LookupError) as error:
        raise ParameterError(Reason.BAD_REQUEST, f"XML: {error}") from None
    if root.tag != "request":
        raise ParameterError(Reason.BAD_REQUEST, "XML: the root element is not request")
    pairs = []
    for one in root:
        if len(one):
            raise ParameterError(Reason.PARAMETER_INVALID, f"{one.tag[:40]} has elements in it")
        if one.text:
            pairs.append((one.tag, one.text))
    return _once(pairs)


def _once(pairs: Sequence[tuple[str, Any]]) -> Parameters:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                why = f"{name} is given more than once"
                if name == "file":
                    why = "one attachment only; several go by MM4"
                raise ParameterError(Reason.PARAMETER_INVALID, why)
            seen.add(name)
    return found


def _multipart(content_type: bytes, body: bytes, request: Request) -> Parameters:
    try:
        found: list[tuple[str, Any]] = []
        for one in multipart.fields(content_type, body):
            if one.name == "file":
                if one.octets or one.filename:  # else a form in which no file was chosen
                    found.append((one.name, _attachment(one, content_type, request)))
            elif one.file and one.type.startswith(_MEDIA):
                raise ParameterError(
                    Reason.PARAMETER_INVALID, f"{one.name[:40]}: an attachment is called file"
                )
            else:
                found.append((one.name, multipart.decoded(one)))
        return _once(found)
    except multipart.MultipartError as error:
        raise ParameterError(Reason.BAD_REQUEST, f"multipart: {error}") from None


def _attachment(field: multipart.Field, content_type: bytes, request: Request) -> Attachment:
    digest = sha256(field.octets).hexdigest()
    spool = request.spool
    # Of a body that is too large for memory nothing is kept there.
    read = partial(_again, spool, content_type, field.name) if spool else partial(_octets, field)
    return Attachment(field.filename, field.type, digest, read)


def _octets(field: multipart.Field) -> bytes:
    return field.octets


def _again(spool: Spool, content_type: bytes, name: str) -> bytes:
    fields = multipart.fields(content_type, spool.read())
    return next(one.octets for one in fields if one.name == name)


def text_of(parameters: Parameters, name: str) -> str:
    """A parameter as text, "" if it is missing. JSON may give a number."""
    value = parameters.get(name)
    if type(value) is str:
        return value
    if value is None:
        return ""
    if type(value) is int:
        return str(value)
    raise ParameterError(Reason.PARAMETER_INVALID, name)


def needed(parameters: Parameters, name: str) -> str:
    """The same of one that must be there."""
    found = text_of(parameters, name).strip()
    if not found:
        raise ParameterError(Reason.PARAMETER_MISSING, name)
    return found


def flag(parameters: Parameters, name: str) -> bool | None:
    """A parameter that is true or false, None if it is missing (E-D10)."""
    value = parameters.get(name)
    if value is None or value == "":
        return None
    try:
        return _TRUTH[value.lower() if type(value) is str else value]
    except (KeyError, TypeError):
        raise ParameterError(Reason.PARAMETER_INVALID, name) from None


def integer(parameters: Parameters, name: str, least: int, most: int) -> int | None:
    """A parameter that is a whole number, None if it is missing."""
    found = text_of(parameters, name)
    if not found:
        return None
    if not _INTEGER.fullmatch(found) or not least <= int(found) <= most:
        raise ParameterError(Reason.PARAMETER_INVALID, f"{name} ({least} to {most})")
    return int(found)


def hex_digits(parameters: Parameters, name: str) -> bytes:
    """A parameter of hex digits as octets, none if it is missing."""
    try:
        return bytes.fromhex(text_of(parameters, name))
    except ValueError:
        raise ParameterError(Reason.PARAMETER_INVALID, f"{name} (hex digits)") from None
