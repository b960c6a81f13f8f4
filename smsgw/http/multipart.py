"""Reads ``multipart/form-data`` (RFC 7578), in a time that grows with the body's length only.

The standard library's parser is for mail: nested parts, folded comments and long headers make it
recurse and run in squares, which is no way to treat what anybody may send.
"""

import re

from attrs import frozen

HEAD_LIMIT = 1024  # octets of a part's header, and of the Content-Type of the whole

_BOUNDARY = re.compile(rb';\s*boundary=(?:"([^"]{1,70})"|([^\s;"]{1,70}))', re.IGNORECASE)
_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')
_FOLD = re.compile(r"\r\n[ \t]+")
# RFC 7578 §4.7 deprecates the header; these change nothing.
_PLAIN = ("", "7bit", "8bit", "binary")


class MultipartError(Exception):
    """A body that is no multipart/form-data; the text says why."""


@frozen
class Field:
    """One part. ``file``: it has a file name, which may be empty."""

    name: str
    octets: bytes
    file: bool
    filename: str
    type: str  # its Content-Type in lower case, without parameters


def fields(content_type: bytes, body: bytes) -> list[Field]:
    """All parts, in order. Raises MultipartError."""
    return _parts(content_type, body)


def pairs(content_type: bytes, body: bytes) -> list[tuple[str, str | bytes]]:
    """Name and value of each part, in order.

    The value is text, or octets if it is a file's and no UTF-8. Raises MultipartError.
    """
    return [(one.name, decoded(one)) for one in _parts(content_type, body)]


def octets(content_type: bytes, body: bytes) -> list[tuple[str, bytes]]:
    """Name and octets of each part, in order. Raises MultipartError."""
    return [(one.name, one.octets) for one in _parts(content_type, body)]


def _parts(content_type: bytes, body: bytes) -> list[Field]:
    found = _BOUNDARY.search(content_type) if len(content_type) <= HEAD_LIMIT else None
    if found is None:
        raise MultipartError("no boundary in Content-Type")
    delimiter = b"\r\n--" + (found[1] or found[2])
    # What is before the first delimiter is no part, nor is what follows the last.
    sections = (b"\r\n" + body).split(delimiter)[1:]
    values: list[Field] = []
    for section in sections:
        if section.startswith(b"--"):
            return values
        values.append(_part(section.lstrip(b" \t")))
    raise MultipartError("no parts" if not sections else "no end")


def _part(section: bytes) -> Field:
    # The line break of the delimiter is also that before the first header.
    head, blank, content = section.partition(b"\r\n\r\n")
    if not head.startswith(b"\r\n") or not blank or len(head) > HEAD_LIMIT:
        raise MultipartError(f"a part without a header of {HEAD_LIMIT} octets at most")
    try:
        lines = _FOLD.sub(" ", head.decode("utf-8")).split("\r\n")
    except UnicodeDecodeError:
        raise MultipartError("a header that is not UTF-8") from None
    headers = {
        key.strip().lower(): value.strip()
        for key, _, value in (one.partition(":") for one in lines)
    }
    encoding = headers.get("content-transfer-encoding", "").lower()
    if encoding not in _PLAIN:
        raise MultipartError(f"Content-Transfer-Encoding {encoding[:40]} is not served")
    parameters = {
        key.lower(): quoted or plain
        for key, quoted, plain in _PARAMETER.findall(headers.get("content-disposition", ""))
    }
    name = parameters.get("name", "")
    if not name:
        raise MultipartError("a part without a name")
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return Field(name, content, "filename" in parameters, parameters.get("filename", ""), kind)


def decoded(field: Field) -> str | bytes:
    """The value of a part: text, or octets if it is a file's and no UTF-8. Raises
    MultipartError."""
    try:
        return field.octets.decode("utf-8")
    except UnicodeDecodeError:
        if not field.file:
            raise MultipartError(f"{field.name[:40]} is not UTF-8") from None
        return field.octets
