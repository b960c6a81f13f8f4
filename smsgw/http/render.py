"""Answers of the REST dialect in the format that the client asks for (E-D2, E-D9, E-D10).

Everything else knows only documents: msgspec structs, or dicts and lists.
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

import msgspec
from attrs import frozen

from smsgw.http.site import Request, Response

HeaderList = list[tuple[bytes, bytes]]

_XML_DECLARATION = b'<?xml version="1.0" encoding="UTF-8"?>\n'
# What no XML 1.0 document can hold (XML 1.0 §2.2).
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@frozen
class Format:
    """How a document becomes octets."""

    name: str  # what the suffix of a path calls it
    content_type: str
    encode: Callable[[str, Any], bytes]

    def response(
        self, status: int, root: str, document: Any, headers: HeaderList | None = None
    ) -> Response:
        """``document`` below the element ``root``."""
        return Response(status, self.encode(root, document), self.content_type, headers or [])


_to_json = msgspec.json.Encoder().encode


def _json(root: str, document: Any) -> bytes:
    return _to_json({root: document})


def to_xml(root: str, document: Any) -> bytes:
    """A document as XML: an element for each name, repeated for lists, empty for what is not
    known."""
    pieces = _elements(root, msgspec.to_builtins(document))
    return _XML_DECLARATION + "".join(pieces).encode()


def _elements(name: str, value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for one in value:
            yield from _elements(name, one)
    elif isinstance(value, dict):
        yield f"<{name}>"
        for key, one in value.items():
            yield from _elements(key, one)
        yield f"</{name}>"
    else:
        text = _text(value)
        yield f"<{name}>{text}</{name}>" if text else f"<{name}/>"


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return escape(_NO_XML.sub("\ufffd", str(value)), {"\r": "&#13;"})


JSON = Format("json", "application/json; charset=utf-8", _json)
XML = Format("xml", "application/xml; charset=utf-8", to_xml)

FORMATS: dict[str, Format] = {"json": JSON, "xml": XML}
# Media types of bodies and of Accept.
_MEDIA = {"application/json": JSON, "application/xml": XML, "text/xml": XML}
_ANY = ("*/*", "application/*", "text/*")


def suffixed(path: str) -> tuple[str, Format | None]:
    """A path without the suffix that names a format, and that format."""
    plain, dot, suffix = path.rpartition(".")
    found = FORMATS.get(suffix) if dot else None
    return (plain, found) if found is not None else (path, None)


def wanted(request: Request, suffix: Format | None = None) -> Format:
    """The format to answer in: by the path's suffix, else by Accept, else that of the body, else
    JSON (E-D2). A client that accepts none of them gets that all the same (RFC 9110 §12.5.1)."""
    if suffix is not None:
        return suffix
    accept = request.headers.get(b"accept")
    if accept is not None and accept != b"*/*":
        found = _accepted(accept)
        if found is not None:
            return found
    content_type = request.headers.get(b"content-type")
    return JSON if content_type is None else _of_body(content_type)


@lru_cache(256)
def _of_body(content_type: bytes) -> Format:
    media_type = content_type.partition(b";")[0].strip().lower()
    return _MEDIA.get(media_type.decode("latin-1"), JSON)


@lru_cache(256)
def _accepted(accept: bytes) -> Format | None:
    """What an Accept header prefers, None if nothing of ours, or anything as much."""
    best: Format | None = None
    highest = 0.0
    for item in accept.decode("latin-1").lower().split(","):
        media, *parameters = (one.strip() for one in item.split(";"))
        quality = 1.0
        for one in parameters:
            if one.startswith("q="):
                try:
                    quality = float(one[2:])
                except ValueError:
                    quality = 0.0
        if quality > highest and (media in _MEDIA or media in _ANY):
            best, highest = _MEDIA.get(media), quality
    return best


_last_date = (-1, "")


def iso(ms: int) -> str | None:
    """A time of milliseconds since 1970 in ISO 8601, UTC, to the second; None for 0."""
    global _last_date
    if not ms:
        return None
    second = ms // 1000
    # Messages of one second share the text.
    if second != _last_date[0]:
        text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        _last_date = (second, text)
    return _last_date[1]
