"""Field tables: every type that RabbitMQ knows, both ways.

Written are ``bool`` (t), ``int`` (I, l or L, as it fits), ``float`` (d), ``Decimal`` (D), ``str``
(S), ``bytes`` (x), ``Timestamp`` or an aware ``datetime`` (T), ``None`` (V), lists and tuples (A),
mappings (F). A long string that is no UTF-8 is read as bytes, as some clients write them so.
"""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from smsgw.amqp.errors import ProtocolFault

SYNTAX_ERROR = 502
_DEPTH = 32  # of tables in tables: more is an attack
_LONG = struct.Struct("!L")
_NUMBERS = {
    0x62: struct.Struct("!b"),  # b
    0x42: struct.Struct("!B"),  # B
    0x73: struct.Struct("!h"),  # s
    0x75: struct.Struct("!H"),  # u
    0x49: struct.Struct("!i"),  # I
    0x69: struct.Struct("!I"),  # i
    0x6C: struct.Struct("!q"),  # l
    0x4C: struct.Struct("!Q"),  # L
    0x66: struct.Struct("!f"),  # f
    0x64: struct.Struct("!d"),  # d
}
_DECIMAL = struct.Struct("!Bi")
_TIMESTAMP = struct.Struct("!Q")


class Timestamp(int):
    """Seconds since 1970 UTC, as a field value; any number of 64 bits, so not always a date."""

    @property
    def when(self) -> datetime:
        """As a date; ``OverflowError`` or ``ValueError`` if there is none."""
        return datetime.fromtimestamp(self, UTC)


def short_string(text: str) -> bytes:
    """A short string with its length; ``ValueError`` beyond 255 octets."""
    raw = text.encode("utf-8", "surrogateescape")
    if len(raw) > 255:
        raise ValueError(f"longer than 255 octets: {text[:40]!r}...")
    return bytes((len(raw),)) + raw


def encode_table(table: Mapping[str, Any]) -> bytes:
    """A table with its length. ``TypeError`` or ``ValueError`` for what has no field type."""
    raw = b"".join([short_string(key) + _encoded(value) for key, value in table.items()])
    return _LONG.pack(len(raw)) + raw


def _encoded(value: Any) -> bytes:
    if value is None:
        return b"V"
    if isinstance(value, bool):
        return b"t\x01" if value else b"t\x00"
    if isinstance(value, Timestamp):
        return b"T" + _fixed(_TIMESTAMP, value)
    if isinstance(value, int):
        return _integer(value)
    if isinstance(value, float):
        return b"d" + struct.pack("!d", value)
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape")
        return b"S" + _LONG.pack(len(raw)) + raw
    if isinstance(value, bytes):
        return b"x" + _LONG.pack(len(value)) + value
    if isinstance(value, Mapping):
        return b"F" + encode_table(value)
    if isinstance(value, list | tuple):
        raw = b"".join([_encoded(item) for item in value])
        return b"A" + _LONG.pack(len(raw)) + raw
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value}: a date without a time zone")
        return b"T" + _fixed(_TIMESTAMP, int(value.timestamp()))
    if isinstance(value, Decimal):
        return _decimal(value)
    raise TypeError(f"no AMQP field type for {type(value).__name__}")


def _integer(value: int) -> bytes:
    if -0x8000_0000 <= value < 0x8000_0000:
        return b"I" + struct.pack("!i", value)
    if -0x8000_0000_0000_0000 <= value < 0x8000_0000_0000_0000:
        return b"l" + struct.pack("!q", value)
    return b"L" + _fixed(_TIMESTAMP, value)


def _decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if isinstance(exponent, int) and exponent <= 0:
        number = int("".join(map(str, digits)) or "0")
        number = -number if sign else number
        if -exponent <= 255 and -0x8000_0000 <= number < 0x8000_0000:
            return b"D" + _DECIMAL.pack(-exponent, number)
    raise ValueError(f"{value}: beyond an AMQP decimal")


def _fixed(form: struct.Struct, value: int) -> bytes:
    try:
        return form.pack(value)
    except struct.error:
        raise ValueError(f"{value}: beyond 64 bits") from None


def decode_table(octets: bytes, at: int = 0) -> tuple[dict[str, Any], int]:
    """The table that begins at ``at``, and where it ends. ``ProtocolFault`` if it is none."""
    try:
        return _table(octets, at, _DEPTH)
    except (struct.error, IndexError):
        raise ProtocolFault(SYNTAX_ERROR, "a field table ends too early") from None


def decode_short_string(octets: bytes, at: int) -> tuple[str, int]:
    """The short string that begins at ``at``, and where it ends."""
    if at >= len(octets):
        raise ProtocolFault(SYNTAX_ERROR, "a short string ends too early")
    end = at + 1 + octets[at]
    if end > len(octets):
        raise ProtocolFault(SYNTAX_ERROR, "a short string ends too early")
    return octets[at + 1 : end].decode("utf-8", "surrogateescape"), end


def _end(octets: bytes, at: int) -> tuple[int, int]:
    """Where the content of a long string, table or array begins and ends."""
    begin = at + 4
    end = begin + int(_LONG.unpack_from(octets, at)[0])
    if end > len(octets):
        raise ProtocolFault(SYNTAX_ERROR, "a field is longer than what it is in")
    return begin, end


def _table(octets: bytes, at: int, depth: int) -> tuple[dict[str, Any], int]:
    at, end = _end(octets, at)
    found: dict[str, Any] = {}
    while at < end:
        key, at = decode_short_string(octets, at)
        found[key], at = _value(octets, at, depth)
    if at != end:
        raise ProtocolFault(SYNTAX_ERROR, "a field table ends within a field")
    return found, at


def _value(octets: bytes, at: int, depth: int) -> tuple[Any, int]:
    kind = octets[at]
    at += 1
    number = _NUMBERS.get(kind)
    if number is not None:
        return number.unpack_from(octets, at)[0], at + number.size
    match kind:
        case 0x53 | 0x78:  # S, x
            begin, end = _end(octets, at)
            raw = octets[begin:end]
            return (raw if kind == 0x78 else _text(raw)), end
        case 0x74:  # t
            return octets[at] != 0, at + 1
        case 0x56:  # V
            return None, at
        case 0x54:  # T
            return Timestamp(_TIMESTAMP.unpack_from(octets, at)[0]), at + 8
        case 0x44:  # D
            scale, value = _DECIMAL.unpack_from(octets, at)
            return Decimal(value).scaleb(-scale), at + 5
        case 0x46 if depth:  # F
            return _table(octets, at, depth - 1)
        case 0x41 if depth:  # A
            at, end = _end(octets, at)
            items = []
            while at < end:
                item, at = _value(octets, at, depth - 1)
                items.append(item)
            if at != end:
                raise ProtocolFault(SYNTAX_ERROR, "a field array ends within a field")
            return items, at
        case 0x46 | 0x41:
            raise ProtocolFault(SYNTAX_ERROR, f"field tables deeper than {_DEPTH}")
    raise ProtocolFault(SYNTAX_ERROR, f"unknown field type 0x{kind:02x}")


def _text(raw: bytes) -> str | bytes:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw
