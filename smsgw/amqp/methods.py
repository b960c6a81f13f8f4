"""Methods on the wire: txAMQP's tables say which fields there are, this module reads and writes
them.

txAMQP's own codec takes the length of a text before it encodes it, makes bytes of strings or
strings of bytes as the data happen to be, and knows four types of fields in tables.
"""

import struct
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

from txamqp import spec
from txamqp.codec import EOF, Codec

from smsgw.amqp.errors import ProtocolFault
from smsgw.amqp.tables import SYNTAX_ERROR, decode_table, encode_table, short_string

COMMAND_INVALID = 503
_IDS = struct.Struct("!HH")
_HEADER = struct.Struct("!BHL")


@cache
def specification() -> spec.Spec:
    """AMQP 0-9-1 as txAMQP reads it from ``amqp091.xml``."""
    text = files("smsgw.amqp").joinpath("amqp091.xml").read_bytes()
    return spec.load_string(text, "amqp091.xml")


class WireCodec(Codec):
    """Short strings are ``str``, long strings ``bytes``, tables have all types."""

    def read(self, n: int) -> bytes:
        """Exactly so many octets; ``ProtocolFault`` if there are fewer."""
        found: bytes = self.stream.read(n)
        if len(found) < n:
            raise EOF
        self.nread += n
        return found

    def encode_shortstr(self, s: str) -> None:
        """txAMQP."""
        self.write(short_string(s))

    def decode_shortstr(self) -> str:
        """txAMQP."""
        return self.read(self.decode_octet()).decode("utf-8", "surrogateescape")

    def encode_longstr(self, s: str | bytes) -> None:
        """txAMQP."""
        raw = s.encode() if isinstance(s, str) else s
        self.pack("!L", len(raw))
        self.write(raw)

    def decode_longstr(self) -> bytes:
        """txAMQP."""
        return self.read(self.decode_long())

    def encode_table(self, tbl: dict[str, Any]) -> None:
        """txAMQP."""
        self.write(encode_table(tbl))

    def decode_table(self) -> dict[str, Any]:
        """txAMQP."""
        size = self.decode_long()
        return decode_table(struct.pack("!L", size) + self.read(size))[0]


def encode_method(channel: int, method: spec.Method, arguments: tuple[Any, ...]) -> bytes:
    """A whole frame. ``ValueError`` or ``TypeError`` for what does not go into a field."""
    codec = WireCodec(BytesIO())
    for item, value in zip(method.fields, arguments, strict=True):
        try:
            codec.encode(item.type, value)
        except struct.error:
            raise ValueError(f"{method.klass.name}.{method.name} {item.name}: {value!r}") from None
    codec.flush()
    payload = _IDS.pack(method.klass.id, method.id) + codec.stream.getvalue()
    return _HEADER.pack(1, channel, len(payload)) + payload + b"\xce"


def decode_method(payload: bytes) -> tuple[spec.Method, tuple[Any, ...]]:
    """The method that a frame's payload holds, and its fields. ``ProtocolFault`` if it is none."""
    classes = specification().classes.byid
    try:
        class_id, method_id = _IDS.unpack_from(payload)
        method = classes[class_id].methods.byid[method_id]
    except struct.error:
        raise ProtocolFault(SYNTAX_ERROR, "a method frame without a method") from None
    except KeyError:
        text = f"there is no method {class_id}.{method_id}"
        raise ProtocolFault(COMMAND_INVALID, text) from None
    codec = WireCodec(BytesIO(payload[4:]))
    try:
        values = tuple([codec.decode(item.type) for item in method.fields])
    except EOF:
        text = f"{method.klass.name}.{method.name} ends too early"
        raise ProtocolFault(SYNTAX_ERROR, text) from None
    if codec.nread != len(payload) - 4:
        text = f"{method.klass.name}.{method.name} has octets too many"
        raise ProtocolFault(SYNTAX_ERROR, text)
    return method, values
