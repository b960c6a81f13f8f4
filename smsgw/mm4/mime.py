"""The content of a multimedia message: parts from a mail's body and back (``spec/mm4.md`` §6).

Parts are cut by one pass over the octets for each level, and there are two levels at most: whatever
comes in, time and memory stay in proportion to its size. Header fields, parameters and encodings
are read by the standard library.
"""

import binascii
import hashlib
import re
from collections.abc import Iterator, Mapping

from attrs import define, field

from smsgw.mm4 import fields, types
from smsgw.mm4.charsets import to_text
from smsgw.mm4.fields import Fields
from smsgw.mm4.words import RequestStatus

MAX_PARTS = 100
SMIL = "application/smil"
_MAX_BOUNDARY = 200  # octets; RFC 2046 §5.1.1 has 70
_MAX_LINE = 998  # octets of a line (RFC 5322 §2.1.1)
_BASE64_LINE = 76
_BLOCK = 57 * 4_096  # octets that are encoded at once, so that few lines are objects; whole lines
_MAX_LOCATION = 1_000  # characters

_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,62}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")
_WAP = "application/vnd.wap.multipart."
_GUESSED = re.compile(rb"^--([!-~](?:[ -~]{0,198}[!-~])?)[ \t]*\r?$", re.MULTILINE)
_BARE_END = re.compile(rb"\r(?!\n)|(?<!\r)\n|\0")
_SAFE = re.compile(r'[^"\\\r\n\0]{1,300}')
_XML_ENCODING = re.compile(r"""\A(<\?xml[^>]*?encoding=)(["'])([A-Za-z0-9._-]+)\2""")


@define
class ContentFault(Exception):
    """A content that is not taken: the status that says so, and why."""

    status: RequestStatus
    detail: str


@define
class Part:
    """One part: its octets decoded, text as UTF-8 (``charset`` then is "utf-8").

    ``name``, ``id`` and ``location`` are as written in the mail when read ("" if missing);
    ``content.admit`` makes them safe.
    """

    type: str
    name: str = ""
    id: str = ""  # Content-ID without <>
    location: str = ""
    content: bytes = b""
    charset: str = ""


@define
class Content:
    """All parts, in the order of the mail; ``start`` is the Content-ID of the SMIL, "" if none is
    named."""

    parts: list[Part] = field(factory=list)
    start: str = ""


@define
class Body:
    """A content as written: the value of ``Content-Type``, and the octets of the body."""

    content_type: str
    octets: bytes


def is_text(kind: str) -> bool:
    """True for types whose octets are text in some charset."""
    return kind.startswith("text/") or kind == SMIL


def parse(mail: bytes, header: Fields, body: int) -> Content:
    """The parts of a mail whose ``header`` ends at ``body``; one part if it is no multipart.

    Multiparts inside are flattened, one level of them. Raises ``ContentFault`` if the body cannot
    be read, or has too many parts or levels.
    """
    content = Content()
    _gather(content, header, mail[body:], 0)
    if not content.parts:
        raise ContentFault(RequestStatus.FORMAT_CORRUPT, "no content")
    return content


def pieces(header: Fields, body: bytes) -> Iterator[tuple[Fields, bytes]]:
    """Header and body of each part of a multipart, as written; for readers with rules of their own.
    Raises ``ContentFault``."""
    boundary = header.structured("Content-Type").parameters.get("boundary", "").encode("utf-8")
    boundary = boundary or _guessed(body)
    if not 0 < len(boundary) <= _MAX_BOUNDARY:
        raise ContentFault(RequestStatus.FORMAT_CORRUPT, "no boundary")
    for octets in _cut(body, boundary):
        try:
            inner, start = fields.read(octets)
        except fields.TooMuch as e:
            raise ContentFault(RequestStatus.FORMAT_CORRUPT, f"a part with {e}") from None
        octets = octets[start:]  # the whole is not held while a part is read
        yield inner, octets


def leaf(header: Fields, body: bytes) -> Part:
    """What is no multipart, as a part. Raises ``ContentFault``."""
    kind, parameters = header.structured("Content-Type")
    return _part(kind, parameters, header, body)


def _gather(content: Content, header: Fields, body: bytes, level: int) -> None:
    kind, parameters = header.structured("Content-Type")
    kind = kind.replace(_WAP, "multipart/", 1)
    if not kind.startswith("multipart/"):
        content.parts.append(_part(kind, parameters, header, body))
        return
    if level == 2:
        raise ContentFault(RequestStatus.CONTENT_NOT_ACCEPTED, "multiparts nested too deep")
    content.start = content.start or fields.unquoted_id(parameters.get("start", ""))
    for inner, octets in pieces(header, body):
        if len(content.parts) >= MAX_PARTS:
            raise ContentFault(RequestStatus.CONTENT_NOT_ACCEPTED, f"more than {MAX_PARTS} parts")
        _gather(content, inner, octets, level + 1)


def _guessed(body: bytes) -> bytes:
    """The boundary of a multipart that names none: the first line that can be a delimiter."""
    found = _GUESSED.search(body)
    return found[1] if found else b""


def _cut(body: bytes, boundary: bytes) -> Iterator[bytes]:
    """The parts between the delimiters; the last delimiter may be missing."""
    start = None
    for found in _delimiters(body, b"--" + boundary):
        if start is not None:
            yield _without_end(body[start : found.start()])
        if found[1]:
            return
        start = found.end() + 1
    if start is None:
        raise ContentFault(RequestStatus.FORMAT_CORRUPT, "the boundary is nowhere in the body")
    if body[start:].strip():
        yield body[start:]


def _delimiters(body: bytes, words: bytes) -> Iterator[re.Match[bytes]]:
    """The lines that are delimiters, searched as octets: a pattern would try every line."""
    delimiter = re.compile(rb"%s(--)?[ \t]*\r?(?=\n|\Z)" % re.escape(words))
    place = 0 if body.startswith(words) else body.find(b"\n" + words) + 1
    while place or body.startswith(words):
        found = delimiter.match(body, place)
        if found:
            yield found
        place = body.find(b"\n" + words, place + 1) + 1
        if not place:
            return


def _without_end(octets: bytes) -> bytes:
    """Without the line end that belongs to the delimiter (RFC 2046 §5.1.1)."""
    return octets[:-2] if octets.endswith(b"\r\n") else octets[:-1]


def _part(kind: str, parameters: Mapping[str, str], header: Fields, body: bytes) -> Part:
    kind = kind or "text/plain"
    if not _TYPE.fullmatch(kind):
        kind = "application/octet-stream"
    octets = _decoded(header.one("Content-Transfer-Encoding"), body)
    charset = ""
    # A picture that is called text is not to be spoilt by reading it as one.
    if is_text(kind) and not types.is_binary(types.of(octets)):
        octets, charset = _as_utf8(octets, kind, parameters.get("charset", "")), "utf-8"
    disposition = header.structured("Content-Disposition").parameters
    return Part(
        kind,
        disposition.get("filename") or parameters.get("name", ""),
        fields.unquoted_id(header.one("Content-ID")),
        fields.unquoted_id(fields.decoded(header.one("Content-Location")[:_MAX_LOCATION])),
        octets,
        charset,
    )


def _decoded(encoding: str, body: bytes) -> bytes:
    plain = fields.unquoted_id(encoding).lower()
    if plain in ("", "7bit", "8bit", "binary"):
        return body
    if plain == "quoted-printable":
        return binascii.a2b_qp(body)
    if plain == "base64":
        try:
            return binascii.a2b_base64(body)
        except binascii.Error:
            pass
        try:
            return binascii.a2b_base64(body + b"==")  # many leave the padding out
        except binascii.Error:
            raise ContentFault(RequestStatus.FORMAT_CORRUPT, "broken base64") from None
    raise ContentFault(
        RequestStatus.CONTENT_NOT_ACCEPTED, f"Content-Transfer-Encoding: {plain[:40]}"
    )


def _as_utf8(octets: bytes, kind: str, charset: str) -> bytes:
    if kind == SMIL:
        # Without a charset XML says itself what it is in, and must go on saying the truth.
        text = to_text(octets, charset)
        said = _XML_ENCODING.match(text)
        if said and not charset:
            text = to_text(octets, said[3])
        octets = _XML_ENCODING.sub(r"\1\2utf-8\2", text).encode("utf-8", "replace")
        return octets
    return to_text(octets, charset).encode("utf-8", "replace")


def write(content: Content, boundary: str = "", eight_bit: bool = True) -> Body:
    """A content as ``multipart/related`` with its SMIL first, or ``multipart/mixed`` without one.

    Without ``eight_bit`` (the peer does not offer 8BITMIME) every octet is 7-bit (ruling 26).
    ``boundary`` is made from the content if it is not given. Raises ``ValueError`` for a name or id
    that can be in no header.
    """
    first = next((p for p in content.parts if p.id and p.id == content.start), None)
    parts = [*([first] if first else ()), *(p for p in content.parts if p is not first)]
    boundary = boundary or _boundary(parts)
    pieces = []
    for part in parts:
        encoding, octets = _encoded(part, eight_bit)
        pieces += [b"--", boundary.encode("ascii"), b"\r\n"]
        pieces += [_part_header(part, encoding).encode("ascii"), b"\r\n", octets, b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode("ascii"))
    if first:
        kind = f'multipart/related; type="{first.type}"; start="<{_safe(first.id)}>"'
    else:
        kind = "multipart/mixed"
    return Body(f'{kind}; boundary="{boundary}"', b"".join(pieces))


def _boundary(parts: list[Part]) -> str:
    """A delimiter that is in no part; the same for the same content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part.content)
    while True:
        # "=_" is in no base64 and no quoted-printable (RFC 2045 §6.7).
        boundary = f"=_{digest.hexdigest()[:24]}"
        if not any(boundary.encode() in part.content for part in parts):
            return boundary
        digest.update(b"again")


def _part_header(part: Part, encoding: str) -> str:
    kind = part.type
    if part.charset:
        kind += f"; charset={part.charset}"
    if part.name:
        kind += f'; name="{_safe(part.name)}"'
    lines = fields.line("Content-Type", kind)
    if part.id:
        lines += fields.line("Content-ID", f"<{_safe(part.id)}>")
    location = part.location or part.name
    if location:
        lines += fields.line("Content-Location", _safe(location))
    return lines + fields.line("Content-Transfer-Encoding", encoding)


def _safe(text: str) -> str:
    if not _SAFE.fullmatch(text):
        raise ValueError("a name or id that can be in no header")
    return text


def _encoded(part: Part, eight_bit: bool) -> tuple[str, bytes]:
    """The transfer encoding of a part, and its octets in it. Text that would be changed as text
    (its lines end in LF, or are too long) is base64 too."""
    if is_text(part.type) and not _BARE_END.search(part.content):
        short = all(len(line) < _MAX_LINE for line in part.content.split(b"\n"))
        if eight_bit and short:
            return "8bit", part.content
        if short and part.content.isascii():
            return "7bit", part.content
        if not eight_bit:
            quoted = binascii.b2a_qp(part.content)
            # The library ends a soft line break as the first line of the text ends.
            return "quoted-printable", re.sub(rb"(?<!\r)\n", b"\r\n", quoted)
    return "base64", base64_lines(part.content)


def base64_lines(octets: bytes) -> bytes:
    """In base64, in lines of 76 characters that end with CR LF."""
    blocks = (octets[n : n + _BLOCK] for n in range(0, len(octets), _BLOCK))
    return b"".join([_lines(binascii.b2a_base64(one, newline=False)) for one in blocks])


def _lines(encoded: bytes) -> bytes:
    lines = [encoded[n : n + _BASE64_LINE] for n in range(0, len(encoded), _BASE64_LINE)]
    lines.append(b"")
    return b"\r\n".join(lines)
