"""The header of a mail as fields: read from any octets, bounded; written so that nobody can add
one."""

import email.errors
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.header import Header, decode_header
from email.message import Message
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from attrs import define, field, frozen

from smsgw.mm4.charsets import to_text

MAX_HEADER = 65_536  # octets of all fields of one header
MAX_FIELD = 16_384  # octets of one field, unfolded
MAX_FIELDS = 500
# The library's readers of parameters and encoded words take quadratic time for hostile values.
_MAX_STRUCTURED = 1_000
_MAX_ENCODED = 8_000
_KEPT_VALUES = 500  # that are kept as they were read
_MAX_LINE = 900  # octets of a field that is written on one line (RFC 5322 §2.1.1 allows 998)
_FOLD_AT = 78

_END = re.compile(rb"\r?\n\r?\n")
_FIELD = re.compile(rb"([!-9;-~]+)[ \t]*:(.*)", re.DOTALL)
# Line ends of every kind, and what some reader may take for one.
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_ENCODED = re.compile(r"=\?[^?\s]+\?[bBqQ]\?")
_ID = re.compile(r"[!-~]{1,256}")


class TooMuch(Exception):
    """A header has more octets or fields than a reader takes."""


class Parameters(NamedTuple):
    """A structured value, in lower case, and its parameters by lower-case name."""

    value: str
    parameters: Mapping[str, str]


@define
class Fields:
    """Header fields in their order, found by name whatever its case."""

    items: list[tuple[str, str]]
    _by_name: dict[str, list[str]] = field(init=False, factory=dict)

    def __attrs_post_init__(self) -> None:
        for name, value in self.items:
            self._by_name.setdefault(name.lower(), []).append(value)

    def every(self, name: str) -> list[str]:
        """The values of all fields of this name, none of them empty."""
        return [value for value in self._by_name.get(name.lower(), ()) if value]

    def one(self, name: str) -> str:
        """The value of the first field of this name that has one, "" if there is none."""
        return next(iter(self.every(name)), "")

    def structured(self, name: str) -> Parameters:
        """The value with its parameters, as of ``Content-Type``; ("", {}) if there is none."""
        return structured(self.one(name))


def read(octets: bytes) -> tuple[Fields, int]:
    """The fields at the beginning of ``octets``, and where the body starts.

    A line that is no field is passed over. Octets above 0x7F are UTF-8, or else Latin-1. Raises
    ``TooMuch`` if the header is too large.
    """
    if octets.startswith((b"\r\n", b"\n")):
        return Fields([]), 2 if octets.startswith(b"\r\n") else 1
    end = _END.search(octets, 0, MAX_HEADER)
    if end is None and len(octets) > MAX_HEADER:
        raise TooMuch(f"a header of more than {MAX_HEADER} octets")
    block = octets[: end.start()] if end else octets
    items = []
    for line in _unfolded(block):
        if len(line) > MAX_FIELD:
            raise TooMuch(f"a header field of more than {MAX_FIELD} octets")
        found = _FIELD.fullmatch(line)
        if found:
            items.append((found[1].decode("ascii"), _text(found[2])))
    if len(items) > MAX_FIELDS:
        raise TooMuch(f"more than {MAX_FIELDS} header fields")
    return Fields(items), end.end() if end else len(octets)


def _unfolded(block: bytes) -> Iterator[bytes]:
    gathered: list[bytes] = []
    for line in block.split(b"\n"):
        if line[:1] in (b" ", b"\t") and gathered:
            gathered.append(line.rstrip(b"\r"))
            continue
        if gathered:
            yield b"".join(gathered)
        gathered = [line.rstrip(b"\r")]
    yield b"".join(gathered)


def _text(octets: bytes) -> str:
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    return clean(text)


def clean(text: str) -> str:
    """``text`` on one line: line ends and control characters are blanks, none at either end."""
    return _CONTROL.sub(" ", text).strip()


def structured(value: str) -> Parameters:
    """A value with parameters, of any quoting, RFC 2231 continuations and charsets resolved."""
    return _structured(value[:_MAX_STRUCTURED]) if value else Parameters("", {})


@lru_cache(_KEPT_VALUES)
def _structured(value: str) -> Parameters:
    # Most mails of a peer say the same of their parts, and the library takes its time.
    message = Message()
    message["Content-Type"] = value
    try:
        pairs = message.get_params(failobj=[])
    except (ValueError, LookupError, TypeError):  # the library's, for broken RFC 2231 values
        pairs = [(value.partition(";")[0], "")]
    if not pairs:
        return Parameters("", {})
    parameters: dict[str, str] = {}
    for name, parameter in pairs[1:]:
        parameters.setdefault(name.lower(), clean(_resolved(parameter)))
    return Parameters(pairs[0][0].strip().lower(), MappingProxyType(parameters))


def _resolved(value: str | tuple[str | None, str | None, str]) -> str:
    """A parameter as text; RFC 2231 gives (charset, language, octets as Latin-1)."""
    if isinstance(value, str):
        return decoded(value)
    charset, _, octets = value
    return to_text(octets.encode("latin-1", "replace"), charset or "us-ascii")


def decoded(text: str) -> str:
    """``text`` with its encoded words (RFC 2047) read; what cannot be read stays as it is."""
    if len(text) > _MAX_ENCODED or not _ENCODED.search(text):
        return text
    try:
        pieces = decode_header(text)
    except (email.errors.HeaderParseError, ValueError):
        return text
    return clean(
        "".join(
            piece if isinstance(piece, str) else to_text(piece, charset or "latin-1")
            for piece, charset in pieces
        )
    )


def unquoted_id(text: str) -> str:
    """An id without the quotes or brackets around it (``spec/mm4.md`` §3)."""
    plain = text.strip()
    for opening, closing in ('""', "''", "<>"):
        if len(plain) >= 2 and plain[0] == opening and plain[-1] == closing:
            plain = plain[1:-1].strip()
    return plain


def is_id(text: str) -> bool:
    """True for 1 to 256 printable ASCII characters without blanks: what may be an id."""
    return _ID.fullmatch(text) is not None


def read_date(text: str) -> int | None:
    """An RFC 5322 date in milliseconds since 1970 UTC, None if it is none."""
    try:
        when = parsedate_to_datetime(text)
        when = when if when.tzinfo else when.replace(tzinfo=UTC)
        return int(when.timestamp()) * 1000
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def write_date(ms: int) -> str:
    """Milliseconds since 1970 as an RFC 5322 date in UTC."""
    return format_datetime(datetime.fromtimestamp(ms // 1000, UTC))


@frozen
class Expiry:
    """``X-Mms-Expiry``: a number of seconds from reception, or a date (milliseconds since 1970)."""

    seconds: int | None = None
    at: int = 0

    def until(self, received: int) -> int:
        """When the message expires, in milliseconds, if it was received at ``received`` (ruling
        19)."""
        return self.at if self.seconds is None else received + self.seconds * 1000


_MAX_SECONDS = 10 * 366 * 86_400


def read_expiry(text: str) -> Expiry | None:
    """An expiry; None if it is neither a number nor a date. Ten years are as long as it gets."""
    plain = text.strip()
    if plain.isdigit() and plain.isascii():
        return Expiry(seconds=min(int(plain[:12]), _MAX_SECONDS))
    at = read_date(plain)
    return None if at is None else Expiry(at=at)


def write_expiry(expiry: Expiry) -> str:
    """An expiry as it was: seconds or a date."""
    return write_date(expiry.at) if expiry.seconds is None else str(expiry.seconds)


def encoded(text: str, name: str) -> str:
    """Free text as the value of field ``name``: as it is if that is ASCII on one line, else in
    encoded words (RFC 2047)."""
    plain = clean(text)
    if plain.isascii() and len(plain) <= _MAX_LINE and "=?" not in plain:
        return plain
    header = Header(plain, "utf-8", maxlinelen=75, header_name=name)
    return header.encode(linesep="\r\n")


def line(name: str, value: str) -> str:
    """One field with its line end. Raises ``ValueError`` if it would be more than one, or longer
    than a line may be: whoever calls has made the value fit."""
    for piece in value.split("\r\n "):
        if _CONTROL.search(piece) or not piece.isascii() or len(piece) > 990:
            raise ValueError(f"{name}: not the value of a header field")
    return f"{name}: {value}\r\n"


def listed(values: list[str], name: str) -> str:
    """Mailboxes separated by commas, on as many lines as they need."""
    lines = [""]
    length = len(name) + 2
    for value in values:
        if lines[-1] and length + len(value) + 2 > _FOLD_AT and len(values) > 1:
            lines[-1] += ","
            lines.append(value)
            length = len(value) + 1
        else:
            lines[-1] += f", {value}" if lines[-1] else value
            length += len(value) + 2
    return "\r\n ".join(lines)
