"""PDUs to octets and back: ``encode``, ``decode``, and what they raise."""

from collections.abc import Callable, Iterable
from struct import Struct, error
from typing import Any

from smsgw.smpp import straight
from smsgw.smpp.constants import (
    DEST_LIST,
    DEST_SME,
    HEADER,
    MAX_PDU,
    RESPONSE,
    Status,
)
from smsgw.smpp.faults import Fault, FramingFault, PduFault
from smsgw.smpp.fields import COctets, Int, Many, Octets, Tlvs, Wire, table
from smsgw.smpp.pdu import (
    CLASSES,
    Destination,
    DistributionList,
    Pdu,
    SmeAddress,
    Tlv,
    UnsuccessSme,
)
from smsgw.smpp.tlv import SHAPES

__all__ = ["Fault", "FramingFault", "PduFault", "decode", "encode", "encode_all"]

_header = Struct(">IIII").unpack_from
_tag_length = Struct(">HH")
_unpack_tag_length = _tag_length.unpack_from
_pack_tag_length = _tag_length.pack
_int4 = Struct(">I")

# What the straight-line code raises at something that does not fit.
_MISFIT = (ValueError, IndexError, error, TypeError, OverflowError, AttributeError)
# KeyError: there is no decoder.
DECODE_ERRORS = (*_MISFIT, KeyError)


class _MisfitError(ValueError):
    """A field that does not fit: the status to answer, and its name."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


# Lists and TLVs


def _text(value: bytes, limit: int) -> bytes:
    if len(value) >= limit or 0 in value:
        raise ValueError
    return value


def _write_destination(items: list[Destination]) -> bytes:
    parts = []
    for item in items:
        if isinstance(item, SmeAddress):
            address = _text(item.destination_addr, 21)
            flag = DEST_SME
            parts.append(b"%c%c%c%b\0" % (flag, item.dest_addr_ton, item.dest_addr_npi, address))
        else:
            parts.append(b"%c%b\0" % (DEST_LIST, _text(item.dl_name, 21)))
    return b"".join(parts)


def _write_unsuccess(items: list[UnsuccessSme]) -> bytes:
    parts = []
    for item in items:
        address = _text(item.destination_addr, 21)
        parts.append(b"%c%c%b\0" % (item.dest_addr_ton, item.dest_addr_npi, address))
        parts.append(_int4.pack(item.error_status_code))
    return b"".join(parts)


def _write_message_id(items: list[bytes]) -> bytes:
    return b"".join([b"%b\0" % _text(item, 9) for item in items])


def _write_tlvs(tlvs: list[Tlv]) -> bytes:
    parts = []
    for tag, value in tlvs:
        shape = SHAPES.get(tag)
        if shape is not None and not shape.fits(len(value)):
            raise ValueError
        parts.append(_pack_tag_length(tag, len(value)))
        parts.append(value)
    return b"".join(parts)


def _read_text(
    data: bytes, i: int, end: int, limit: int, status: int, name: str
) -> tuple[bytes, int]:
    e = data.find(b"\0", i, end)
    if e < 0:
        # What could still have ended in time is a short body; else it is a bad value.
        late = end - i >= limit
        raise _MisfitError(status if late else Status.ESME_RINVCMDLEN, f"{name} does not end")
    if e - i >= limit:
        raise _MisfitError(status, f"{name} has {e - i} octets")
    return data[i:e], e + 1


def _read_ints(data: bytes, i: int, end: int, count: int, name: str) -> tuple[bytes, int]:
    if i + count > end:
        raise _MisfitError(Status.ESME_RINVCMDLEN, f"the body ends in {name}")
    return data[i : i + count], i + count


def _read_destination(data: bytes, i: int, end: int, count: int) -> tuple[list[Destination], int]:
    items: list[Destination] = []
    for _ in range(count):
        (flag,), i = _read_ints(data, i, end, 1, "dest_flag")
        if flag == DEST_SME:
            (ton, npi), i = _read_ints(data, i, end, 2, "dest_addr_ton")
            text, i = _read_text(data, i, end, 21, Status.ESME_RINVDSTADR, "destination_addr")
            items.append(SmeAddress(ton, npi, text))
        elif flag == DEST_LIST:
            text, i = _read_text(data, i, end, 21, Status.ESME_RINVDLNAME, "dl_name")
            items.append(DistributionList(text))
        else:
            raise _MisfitError(Status.ESME_RINVDESTFLAG, f"dest_flag is {flag}")
    return items, i


def _read_unsuccess(data: bytes, i: int, end: int, count: int) -> tuple[list[UnsuccessSme], int]:
    items = []
    for _ in range(count):
        (ton, npi), i = _read_ints(data, i, end, 2, "dest_addr_ton")
        text, i = _read_text(data, i, end, 21, Status.ESME_RINVDSTADR, "destination_addr")
        octets, i = _read_ints(data, i, end, 4, "error_status_code")
        items.append(UnsuccessSme(ton, npi, text, int.from_bytes(octets, "big")))
    return items, i


def _read_message_id(data: bytes, i: int, end: int, count: int) -> tuple[list[bytes], int]:
    items = []
    for _ in range(count):
        text, i = _read_text(data, i, end, 9, Status.ESME_RINVMSGID, "message_id")
        items.append(text)
    return items, i


def _read_tlvs(data: bytes, i: int, end: int) -> list[Tlv]:
    tlvs = []
    while i < end:
        if i + 4 > end:
            raise _MisfitError(Status.ESME_RINVOPTPARSTREAM, "octets after the last TLV")
        tag, length = _unpack_tag_length(data, i)
        i += 4
        value = data[i : i + length]
        i += length
        if i > end:
            raise _MisfitError(
                Status.ESME_RINVOPTPARSTREAM, f"TLV 0x{tag:04x} is longer than the PDU"
            )
        shape = SHAPES.get(tag)
        if shape is not None and not shape.fits(length):
            raise _MisfitError(Status.ESME_RINVPARLEN, f"TLV 0x{tag:04x} has {length} octets")
        tlvs.append((tag, value))
    return tlvs


def _read_tlvs_leniently(data: bytes, i: int, end: int) -> list[Tlv]:
    """The TLVs of a response, up to the first that is broken.

    Nobody can be told of a fault in a response, and to lose the message id in it would be worse.
    """
    tlvs = []
    while i + 4 <= end:
        tag, length = _unpack_tag_length(data, i)
        i += 4 + length
        if i > end:
            break
        shape = SHAPES.get(tag)
        if shape is None or shape.fits(length):
            tlvs.append((tag, data[i - length : i]))
    return tlvs


_NAMES: dict[str, Any] = {
    "write_destination": _write_destination,
    "write_unsuccess": _write_unsuccess,
    "write_message_id": _write_message_id,
    "write_tlvs": _write_tlvs,
    "read_destination": _read_destination,
    "read_unsuccess": _read_unsuccess,
    "read_message_id": _read_message_id,
    "read_tlvs": _read_tlvs,
    "read_tlvs_leniently": _read_tlvs_leniently,
}
_ENCODERS: dict[type[Pdu], Callable[[Any], bytes]] = {
    cls: straight.encoder(cls, _NAMES) for cls in CLASSES.values()
}
# command_id -> decode(data, start of body, end, status, sequence, tlvs); raises DECODE_ERRORS.
DECODERS: dict[int, Callable[..., Pdu]] = {
    command: straight.decoder(cls, _NAMES) for command, cls in CLASSES.items()
}


# Encoding


def encode(pdu: Pdu) -> bytes:
    """The whole PDU with its header.

    A response with an error status is the header alone, but for deliver_sm_resp and for one that
    has TLVs (``spec/README.md`` ruling 2). Raises ``ValueError`` naming the PDU and the field that
    does not fit.
    """
    try:
        return _ENCODERS[pdu.__class__](pdu)
    except _MISFIT as wrong:
        raise _misuse(pdu, wrong) from None


def encode_all(pdus: Iterable[Pdu]) -> bytes:
    """Several PDUs after one another, for one write. Raises as ``encode`` does."""
    encoders = _ENCODERS
    pdu = None
    try:
        return b"".join([encoders[(pdu := each).__class__](each) for each in pdus])
    except _MISFIT as wrong:
        if pdu is None:
            raise
        raise _misuse(pdu, wrong) from None


def _misuse(pdu: Pdu, wrong: Exception) -> Exception:
    """What to raise for a PDU that could not be encoded."""
    name = type(pdu).__name__
    for field, value in (("status", pdu.status), ("sequence", pdu.sequence)):
        if not isinstance(value, int) or not 0 <= value <= 0xFFFFFFFF:
            return ValueError(f"{name}.{field}: {value!r} does not fit in 4 octets")
    for field, wire in table(type(pdu)):
        fault = _unfit(getattr(pdu, field), wire)
        if fault:
            return ValueError(f"{name}.{field}: {fault}")
    return ValueError(f"{name}: {wrong}")


def _unfit(value: Any, wire: Wire) -> str | None:
    """What is wrong with a value of a field, if anything is."""
    if isinstance(wire, Int):
        if not isinstance(value, int) or not 0 <= value < 1 << 8 * wire.size:
            return f"{value!r} does not fit in {wire.size} octet{'s' if wire.size > 1 else ''}"
    elif isinstance(wire, COctets):
        if not isinstance(value, bytes):
            return f"octets are needed, not {type(value).__name__}"
        if len(value) >= wire.limit:
            return f"{len(value)} octets, at most {wire.limit - 1} fit"
        if 0 in value:
            return "there is a 00 within"
    elif isinstance(wire, Octets):
        if not isinstance(value, bytes):
            return f"octets are needed, not {type(value).__name__}"
        if len(value) > wire.limit:
            return f"{len(value)} octets, at most {wire.limit} fit"
    elif isinstance(wire, Tlvs):
        return _unfit_tlvs(value)
    else:
        return _unfit_list(value, wire)
    return None


def _unfit_list(value: Any, wire: Many) -> str | None:
    if not wire.least <= len(value) <= wire.most:
        return f"{len(value)} items, {wire.least} to {wire.most} are possible"
    for number, item in enumerate(value):
        if wire.kind == "message_id":
            faults = [_unfit(item, COctets(9, Status.ESME_RINVMSGID))]
        else:
            faults = [_unfit(getattr(item, name), kind) for name, kind in table(type(item))]
        for fault in faults:
            if fault:
                return f"item {number}: {fault}"
    return None


def _unfit_tlvs(value: Any) -> str | None:
    for tag, octets in value:
        if not isinstance(tag, int) or not 0 <= tag <= 0xFFFF:
            return f"tag {tag!r} does not fit in 2 octets"
        if not isinstance(octets, bytes):
            return f"tag 0x{tag:04x}: octets are needed, not {type(octets).__name__}"
        shape = SHAPES.get(tag)
        if len(octets) > 0xFFFF or (shape is not None and not shape.fits(len(octets))):
            return f"tag 0x{tag:04x} cannot have {len(octets)} octets"
    return None


# Decoding


def decode(octets: bytes, tlvs: bool = True) -> Pdu:
    """The PDU that ``octets`` are, header included.

    ``tlvs`` false: octets after the mandatory fields are ignored, as for a 3.3 peer
    (``spec/smpp.md`` §1). A response whose body is absent or cannot be read has its fields empty.
    Raises ``PduFault`` for a faulty request or an unknown command, ``FramingFault`` if ``octets``
    are not one whole PDU or its command_length is out of bounds.
    """
    size = len(octets)
    if size < HEADER:
        raise FramingFault(Status.ESME_RINVCMDLEN, 0, f"{size} octets")
    length, command, status, sequence = _header(octets)
    if length != size or length > MAX_PDU:
        detail = f"command_length {length} in {size} octets"
        raise FramingFault(Status.ESME_RINVCMDLEN, sequence, detail)
    try:
        return DECODERS[command](octets, HEADER, size, status, sequence, tlvs)
    except DECODE_ERRORS as wrong:
        return mend(octets, 0, size, tlvs, wrong)


def mend(data: bytes, start: int, end: int, tlvs: bool, wrong: Exception) -> Pdu:
    """What to make of the PDU from ``start`` to ``end`` that a decoder has raised ``wrong`` at.

    A response is taken at its header's word, and has its fields empty; else raises ``PduFault``.
    """
    _, command, status, sequence = _header(data, start)
    cls = CLASSES.get(command)
    if cls is None:
        raise PduFault(Status.ESME_RINVCMDID, command, sequence, "unknown command") from None
    if command & RESPONSE:
        pdu = cls(sequence=sequence, status=status)
        _salvage(pdu, data[start + HEADER : end])
        return pdu
    fault = _diagnose(data, start + HEADER, end, cls, tlvs)
    if fault is None:
        raise wrong  # the walk and the straight-line code differ: a bug
    raise PduFault(fault.status, command, sequence, fault.detail) from None


def _salvage(pdu: Pdu, body: bytes) -> None:
    """Take the string that a response begins with, its message id or system id, from a body that
    cannot be read: what lacks is mostly the 00.

    A submit that was answered must not be sent again because of the answer's form (I2).
    """
    for name, wire in table(type(pdu))[:1]:
        text = body.split(b"\0", 1)[0]
        if isinstance(wire, COctets) and len(text) < wire.limit:
            setattr(pdu, name, text)


_READERS: dict[str, Callable[[bytes, int, int, int], tuple[list[Any], int]]] = {
    "destination": _read_destination,
    "unsuccess": _read_unsuccess,
    "message_id": _read_message_id,
}


def _diagnose(data: bytes, i: int, end: int, cls: type[Pdu], tlvs: bool) -> _MisfitError | None:
    """The first fault of a body."""
    try:
        for name, wire in table(cls):
            if isinstance(wire, Int):
                _, i = _read_ints(data, i, end, wire.size, name)
            elif isinstance(wire, COctets):
                _, i = _read_text(data, i, end, wire.limit, wire.status, name)
            elif isinstance(wire, Octets):
                (length,), i = _read_ints(data, i, end, 1, "sm_length")
                _, i = _read_ints(data, i, end, length, name)
                if length > wire.limit:
                    raise _MisfitError(wire.status, f"{name} has {length} octets")
            elif isinstance(wire, Many):
                (count,), i = _read_ints(data, i, end, 1, f"the count of {name}")
                if not wire.least <= count <= wire.most:
                    raise _MisfitError(wire.status, f"{count} {name}")
                _, i = _READERS[wire.kind](data, i, end, count)
            elif tlvs:
                _read_tlvs(data, i, end)
    except _MisfitError as fault:
        return fault
    return None
