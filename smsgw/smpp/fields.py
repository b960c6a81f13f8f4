"""Wire types: what an attribute of a PDU class is on the wire, as its metadata.

The classes in ``pdu`` say each of their attributes with one of the functions here, so they are the
one table from which ``codec`` writes its code. A function returns an ``attrs`` field; what it is on
the wire is its metadata under ``WIRE``.
"""

from typing import Any

import attrs
from attrs import frozen

from smsgw.smpp.constants import MAX_DESTINATIONS, MAX_SHORT_MESSAGE, Status

WIRE = "wire"


@frozen
class Int:
    """An unsigned integer of ``size`` octets, most significant first."""

    size: int


@frozen
class COctets:
    """A C-octet string of at most ``limit`` octets with its 00; ``status`` answers a bad one."""

    limit: int
    status: int


@frozen
class Octets:
    """An Int1 length, then as many octets; more than ``limit`` is answered with ``status``."""

    limit: int
    status: int


@frozen
class Many:
    """An Int1 count, then as many items of ``kind``; ``status`` answers a bad count."""

    kind: str  # "destination", "unsuccess" or "message_id"
    least: int
    most: int
    status: int


@frozen
class Tlvs:
    """TLVs up to the end of the PDU."""


Wire = Int | COctets | Octets | Many | Tlvs


def int1() -> Any:
    """Int1, 0 by default."""
    return attrs.field(default=0, metadata={WIRE: Int(1)})


def int4() -> Any:
    """Int4, 0 by default."""
    return attrs.field(default=0, metadata={WIRE: Int(4)})


def coct(limit: int, status: int = Status.ESME_RINVCMDLEN) -> Any:
    """COct ``limit``, empty by default.

    ``status`` is the answer to one that is too long or does not end.
    """
    return attrs.field(default=b"", metadata={WIRE: COctets(limit, status)})


def time(status: int) -> Any:
    """COct 1|17: a time of ``times``, empty by default. Its form is not looked at here."""
    return coct(17, status)


def octets(limit: int = MAX_SHORT_MESSAGE, status: int = Status.ESME_RINVMSGLEN) -> Any:
    """``sm_length`` and ``short_message`` as one attribute."""
    return attrs.field(default=b"", metadata={WIRE: Octets(limit, status)})


def destinations(least: int = 1) -> Any:
    """``number_of_dests`` and as many ``SmeAddress`` or ``DistributionList``."""
    wire = Many("destination", least, MAX_DESTINATIONS, Status.ESME_RINVNUMDESTS)
    return attrs.field(factory=list, metadata={WIRE: wire})


def unsuccessful() -> Any:
    """``no_unsuccess`` and as many ``UnsuccessSme``."""
    wire = Many("unsuccess", 0, 255, Status.ESME_RINVNUMDESTS)
    return attrs.field(factory=list, metadata={WIRE: wire})


def message_ids() -> Any:
    """``num_messages`` and as many message ids of COct 9 (3.3)."""
    wire = Many("message_id", 0, 255, Status.ESME_RINVNUMMSGS)
    return attrs.field(factory=list, metadata={WIRE: wire})


def tlvs() -> Any:
    """TLVs as (tag, value octets) in the order of the wire; a tag may repeat."""
    return attrs.field(factory=list, metadata={WIRE: Tlvs()})


def table(cls: type) -> list[tuple[str, Wire]]:
    """Name and wire type of each attribute of a PDU class that is part of its body, in order."""
    fields = attrs.fields(cls)
    return [(field.name, field.metadata[WIRE]) for field in fields if WIRE in field.metadata]
