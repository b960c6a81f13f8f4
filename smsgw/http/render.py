"""Answers of the REST dialect in the format that the client asks for (E-D2, E-D9, E-D10).

A format is one entry of ``_FORMATS``; everything else knows only documents of dicts and lists.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from attrs import frozen

from smsgw.http.site import Request, Response

Document = Mapping[str, Any]
HeaderList = list[tuple[bytes, bytes]]


@frozen
class Format:
    """How a document becomes octets."""

    content_type: str
    encode: Callable[[Any], bytes]

    def response(
        self, status: int, root: str, document: Document, headers: HeaderList | None = None
    ) -> Response:
        """``document`` below the element ``root``."""
        return Response(status, self.encode({root: document}), self.content_type, headers or [])


JSON = Format("application/json; charset=utf-8", msgspec.json.Encoder().encode)

_FORMATS: dict[str, Format] = {"json": JSON}
# What a client may ask for by name, served or not.
SUFFIXES = ("json", "xml")
_ANY = ("*/*", "application/*")


def wanted(request: Request) -> Format | None:
    """The format to answer in: by the path's suffix, else by Accept, else JSON.

    None if it is one that is not served.
    """
    _, dot, suffix = request.path.rstrip("/").rpartition(".")
    if dot and suffix in SUFFIXES:
        return _FORMATS.get(suffix)
    accept = request.headers.get(b"accept")
    if accept is None or accept == b"*/*":
        return JSON
    text = accept.decode("latin-1").lower()
    if any(name in text for name in (*_ANY, *_FORMATS)):
        return JSON
    # A client that accepts neither gets JSON all the same (RFC 9110 §12.5.1).
    return None if any(name in text for name in SUFFIXES) else JSON


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
