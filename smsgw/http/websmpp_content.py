"""What a websmpp submission says, made into messages (``spec/ams-websmpp.md`` 4.2 to 4.4).

The checks of one request stand in the order of W-D12; the first that hits decides.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from attrs import define

from smsgw.dialects import Ams
from smsgw.message import UDHI, Message
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, gsm, numbers, parts

MOST_BY_GET = 100  # W-R11
MOST_BY_POST = 10_000  # W-R12
_INTERFACE = "websmpp"

ENGLISH, UNICODE, SPECIAL, ARABIC = "1", "2", "3", "4"
_GSM_TYPES = (ENGLISH, SPECIAL)
_TYPES = (ENGLISH, UNICODE, SPECIAL, ARABIC)
_HEX = re.compile(r"[0-9A-Fa-f]*")
_NUMERIC_SENDER = re.compile(r"[0-9]{1,16}")
_ALPHANUMERIC_SENDER = re.compile(r"[A-Za-z0-9 ._&-]{1,11}")
_AROUND_NUMBERS = re.compile(r"[\s-]+")
_OCTET = re.compile(r"[0-9]{1,3}")
_SELDOM = frozenset({"dcs", "esm", "header"})
_ALLOWED_ESM = 0xC3  # UDHI, reply path and the messaging mode: what a submitter may ask for


class Refused(Exception):
    """The request as a whole is refused."""

    def __init__(self, reason: Reason, detail: str = "") -> None:
        super().__init__(detail)
        self.refusal = Refusal(reason, detail)


class Content(NamedTuple):
    """What goes to every destination of a request: the octets of short_message before it is split,
    with their user data header if ``esm_class`` has UDHI."""

    octets: bytes
    data_coding: int
    esm_class: int
    header: int = 0  # octets of it

    @property
    def parts(self) -> int:
        """In how many parts it goes; 256 stands for more, and for a header that leaves no room."""
        if not self.header and len(self.octets) <= parts.OCTETS:
            return 1
        if self.header:
            room = parts.capacity(self.data_coding, self.header) + self.header
            return 1 if len(self.octets) <= room else 256
        return parts.count(self.octets, self.data_coding)


def content(given: Mapping[str, str], settings: Ams) -> Content:
    """The content that ``type``, ``text``, ``dcs``, ``esm`` and ``header`` say. Raises Refused:
    HTTP07, 17, 02, 19, 20, 21."""
    text = given.get("text", "")
    kind = _type(given.get("type", "").strip(), text, settings)
    if kind == UNICODE and not _HEX.fullmatch(text):
        raise Refused(Reason.BAD_CODING, "type 2 takes hex digits")
    septets = gsm.encode(text) if kind in _GSM_TYPES else None
    if septets is None and kind in _GSM_TYPES:
        raise Refused(Reason.BAD_CODING, f"{gsm.outside(text)!r} is not in the GSM alphabet")
    raw = kind == UNICODE and (bool(given.get("header")) or _says_header(given.get("esm", "")))
    if not text or (kind == UNICODE and len(text) % (2 if raw else 4)):
        raise Refused(Reason.BAD_LENGTH)
    if not raw:
        said = _decoded(text) if kind == UNICODE else text
        if not settings.allow_amp_hash and ("&" in said or "#" in said):
            raise Refused(Reason.PARAMETER_INVALID, "& and # are not allowed in text")
    if septets is not None and not _SELDOM & given.keys():
        return Content(septets, coding.GSM, 0)
    data_coding = _data_coding(given.get("dcs", "").strip(), kind, raw)
    esm_class = _esm_class(given.get("esm", "").strip())
    octets = bytes.fromhex(text) if kind == UNICODE else coding.encode(text, data_coding)
    header = _header(given.get("header", "").strip())
    if header:
        return Content(header + octets, data_coding, esm_class | UDHI, len(header))
    if esm_class & UDHI:
        if kind != UNICODE:
            raise Refused(Reason.BAD_ESM_CLASS, "it says that a header comes, and none does")
        header = _own_header(octets)
    return Content(octets, data_coding, esm_class, len(header))


def _type(text: str, content: str, settings: Ams) -> str:
    if text in _TYPES:
        return text
    if text not in ("", "0") or not settings.auto_type:
        raise Refused(Reason.BAD_CODING, "type is not 1, 2, 3 or 4")
    # F-5.
    if gsm.encode(content) is None:
        return ARABIC
    if content and len(content) % 4 == 0 and _HEX.fullmatch(content):
        return UNICODE
    return ENGLISH


def _decoded(digits: str) -> str:
    try:
        return bytes.fromhex(digits).decode("utf-16-be")
    except UnicodeDecodeError:
        raise Refused(Reason.BAD_CODING, "half of a surrogate pair") from None


def _number(text: str) -> int | None:
    """0 to 255; None for what is none."""
    value = int(text) if _OCTET.fullmatch(text) else 256
    return value if value < 256 else None


def _data_coding(text: str, kind: str, raw: bool) -> int:
    """``dcs``; without it, and for the 0 that clients always send, that of the type (W-D21)."""
    by_type = coding.GSM if kind in _GSM_TYPES else coding.UCS2
    if not text:
        return by_type
    value = _number(text)
    if value is None or not coding.named(value):
        raise Refused(Reason.BAD_DATA_CODING, "dcs is no data coding that may be used")
    if raw:
        return value
    if value == coding.GSM:
        return by_type
    form = coding.alphabet(value)
    if form is not coding.alphabet(by_type):
        raise Refused(Reason.BAD_DATA_CODING, f"dcs {value} is not for type {kind}")
    return value


def _says_header(esm: str) -> bool:
    return bool((_number(esm.strip()) or 0) & UDHI)


def _esm_class(text: str) -> int:
    if not text:
        return 0
    value = _number(text)
    if value is None or value & ~_ALLOWED_ESM:
        raise Refused(Reason.BAD_ESM_CLASS, "esm is no esm_class that may be used")
    return value


def _header(text: str) -> bytes:
    if not text:
        return b""
    try:
        header = bytes.fromhex(text) if _HEX.fullmatch(text) else b""
    except ValueError:
        header = b""
    if not header or _own_header(header) != header:
        raise Refused(Reason.BAD_UDH, "header is no user data header in hex")
    return header


def _own_header(octets: bytes) -> bytes:
    try:
        return parts.udh(octets)[0]
    except ValueError as error:
        raise Refused(Reason.BAD_UDH, str(error)) from None


def sender(
    sid: str, account: Account, allowed: Iterable[frozenset[str] | None], pools: Iterable[str]
) -> None:
    """Raises Refused (HTTP06) if ``sid`` is none, or not one of ``allowed``: what the account may
    send from and what the login may (None: anything)."""
    if not (_NUMERIC_SENDER.fullmatch(sid) or _ALPHANUMERIC_SENDER.fullmatch(sid)):
        raise Refused(Reason.BAD_SOURCE, sid[:40])
    if sid in pools:
        return
    source = numbers.detect_source(sid, numbers.UNKNOWN, account.country)
    if isinstance(source, Reason):
        source = numbers.long_source(sid)
    if isinstance(source, Reason):
        raise Refused(source, sid)
    for one in allowed:
        if one is not None and source[0] not in one and sid not in one:
            raise Refused(Reason.SOURCE_NOT_PROVISIONED, sid)


@define
class Destinations:
    """The numbers of a request: those that are numbers, once each and in order, and the entries
    that are none."""

    numbers: list[str]
    rejected: list[str]


def split(mno: str) -> list[str]:
    """The entries of ``mno`` (W-D9)."""
    if mno.isdigit():
        return [mno]
    return [one for entry in mno.replace(";", ",").split(",") if (one := entry.strip())]


def destinations(entries: Sequence[str], country: str) -> Destinations:
    """Looks at each entry. Raises Refused (HTTP09) if none is a number."""
    if len(entries) == 1:
        only = destination(entries[0], country)
        if isinstance(only, Reason):
            raise Refused(Reason.BAD_DESTINATION)
        return Destinations([only], [])
    found: dict[str, None] = {}
    rejected: list[str] = []
    for entry in entries:
        number = destination(entry, country)
        if isinstance(number, Reason):
            rejected.append(entry)
        else:
            found[number] = None
    if not found:
        raise Refused(Reason.BAD_DESTINATION)
    return Destinations(list(found), rejected)


def destination(entry: str, country: str) -> str | Reason:
    """The number that one entry is."""
    if not entry.isdigit():
        # Everything up to a plus goes as well (F-5).
        entry = _AROUND_NUMBERS.sub("", entry).rpartition("+")[2]
    return numbers.normalise_destination(entry.removeprefix("00"), numbers.UNKNOWN, country)


def message(
    source: str, destination: str, content: Content, schedule_at: int, max_parts: int
) -> Message:
    """One message, as acceptance takes it. Its end is always awaited: websmsstatus tells of it."""
    return Message(
        source=source,
        destination=destination,
        parts=[content.octets],
        data_coding=content.data_coding,
        esm_class=content.esm_class,
        registered_delivery=1,
        schedule_at=schedule_at,
        max_parts=max_parts,
        interface=_INTERFACE,
    )


def check_parts(contents: Iterable[Content], most: int) -> None:
    """Raises Refused (HTTP10) for a content of more than ``most`` parts."""
    for one in contents:
        if one.parts > most:
            raise Refused(Reason.TOO_LONG, f"more than {most} parts")
