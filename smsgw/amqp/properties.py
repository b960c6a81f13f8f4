"""Properties of a message: the content header after the body's size.

Those that a publisher uses again and again are compiled once. The message id is the layer's: it
holds the number of the publish on its channel, by which a returned message is found.
"""

import struct
from collections.abc import Mapping
from typing import Any, Final

from attrs import Factory, define, field, fields

from smsgw.amqp.errors import ProtocolFault
from smsgw.amqp.tables import (
    SYNTAX_ERROR,
    Timestamp,
    decode_short_string,
    decode_table,
    encode_table,
    short_string,
)

_FLAGS = struct.Struct("!H")
_STAMP = struct.Struct("!Q")
_MESSAGE_ID = 0x0080


def _property(kind: str, bit: int, default: Any = None) -> Any:
    return field(default=default, metadata={"kind": kind, "bit": bit})


@define(frozen=True)
class Properties:
    """Of one message; None = absent. ``expiration`` is milliseconds in decimal digits."""

    content_type: str | None = _property("text", 15)
    content_encoding: str | None = _property("text", 14)
    headers: Mapping[str, Any] | None = _property("table", 13)
    delivery_mode: int | None = _property("octet", 12)  # 2: kept over a restart
    priority: int | None = _property("octet", 11)
    correlation_id: str | None = _property("text", 10)
    reply_to: str | None = _property("text", 9)
    expiration: str | None = _property("text", 8)
    message_id: str | None = _property("text", 7)
    timestamp: int | None = _property("stamp", 6)
    type: str | None = _property("text", 5)
    user_id: str | None = _property("text", 4)
    app_id: str | None = _property("text", 3)
    cluster_id: str | None = _property("text", 2)


_KINDS = [(one.name, one.metadata["kind"], one.metadata["bit"]) for one in fields(Properties)]


@define(frozen=True)
class Compiled:
    """Properties on the wire, with a gap for the message id."""

    head: bytes
    tail: bytes
    size: int = field(
        init=False, default=Factory(lambda self: len(self.head) + len(self.tail), takes_self=True)
    )


def compile_properties(properties: Properties) -> Compiled:
    """What ``Channel.publish`` takes. ``ValueError`` for what does not fit, and for a message id,
    which is the layer's.
    """
    if properties.message_id is not None:
        raise ValueError("the message id is set when the message is published")
    flags = _MESSAGE_ID
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for name, kind, bit in _KINDS:
        value = getattr(properties, name)
        if value is None:
            continue
        flags |= 1 << bit
        parts[bit < 7].append(_encoded(name, kind, value))
    return Compiled(_FLAGS.pack(flags) + b"".join(parts[0]), b"".join(parts[1]))


def _encoded(name: str, kind: str, value: Any) -> bytes:
    try:
        match kind:
            case "text":
                return short_string(value)
            case "table":
                return encode_table(value)
            case "octet":
                return bytes((value,))
        return _STAMP.pack(value)
    except (struct.error, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None


def decode_properties(octets: bytes) -> Properties:
    """Of flags and values, as they are in a content header. ``ProtocolFault`` if they are not."""
    try:
        (flags,) = _FLAGS.unpack_from(octets)
        at = 2
        if flags & 1:
            raise ProtocolFault(SYNTAX_ERROR, "properties beyond those of AMQP 0-9-1")
        found: dict[str, Any] = {}
        for name, kind, bit in _KINDS:
            if not flags >> bit & 1:
                continue
            if kind == "text":
                found[name], at = decode_short_string(octets, at)
            elif kind == "table":
                found[name], at = decode_table(octets, at)
            elif kind == "octet":
                found[name] = octets[at]
                at += 1
            else:
                found[name] = Timestamp(_STAMP.unpack_from(octets, at)[0])
                at += 8
    except (struct.error, IndexError):
        raise ProtocolFault(SYNTAX_ERROR, "a content header ends too early") from None
    return Properties(**found)


PERSISTENT: Final = compile_properties(Properties(delivery_mode=2))
