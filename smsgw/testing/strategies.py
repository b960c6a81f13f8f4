"""Hypothesis strategies: any valid PDU of any class, any valid TLV, any way to split a stream."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from smsgw.smpp.constants import RESPONSE, Command
from smsgw.smpp.fields import COctets, Int, Many, Octets, Tlvs, Wire, table
from smsgw.smpp.pdu import CLASSES, DistributionList, Pdu, SmeAddress, UnsuccessSme
from smsgw.smpp.tlv import SHAPES

_MAX_TLV = 300  # octets of one value; longer ones are rare in life and slow in tests


def sequences() -> st.SearchStrategy[int]:
    """Sequence numbers of requests: 1 to 0x7FFFFFFF."""
    return st.integers(1, 0x7FFFFFFF)


def c_octets(limit: int) -> st.SearchStrategy[bytes]:
    """What fits in a COct ``limit``, without its terminator."""
    return st.one_of(
        st.just(b""),
        st.text("0123456789", max_size=limit - 1).map(str.encode),
        st.binary(max_size=limit - 1).map(lambda octets: octets.replace(b"\0", b"0")),
    )


@st.composite
def tlvs(draw: st.DrawFn, tags: Sequence[int] | None = None) -> tuple[int, bytes]:
    """One TLV whose length fits its tag; of any tag, known or not, if ``tags`` is not given."""
    if tags is not None:
        tag = draw(st.sampled_from(tags))
    else:
        tag = draw(st.one_of(st.sampled_from(sorted(SHAPES)), st.integers(0, 0xFFFF)))
    shape = SHAPES.get(tag)
    if shape is None:
        return int(tag), draw(st.binary(max_size=20))
    most = min(shape.most, _MAX_TLV)
    lengths = [n for n in range(shape.least, most + 1) if shape.fits(n)]
    length = draw(st.sampled_from(lengths))
    return int(tag), draw(st.binary(min_size=length, max_size=length))


def _many(wire: Many) -> st.SearchStrategy[list[Any]]:
    most = min(wire.most, wire.least + 3)
    items: st.SearchStrategy[Any] = c_octets(9)
    if wire.kind == "destination":
        items = st.one_of(_built(SmeAddress), _built(DistributionList))
    elif wire.kind == "unsuccess":
        items = _built(UnsuccessSme)
    return st.lists(items, min_size=wire.least, max_size=most)


def _value(wire: Wire) -> st.SearchStrategy[Any]:
    if isinstance(wire, Int):
        return st.integers(0, (1 << 8 * wire.size) - 1)
    if isinstance(wire, COctets):
        return c_octets(wire.limit)
    if isinstance(wire, Octets):
        return st.binary(max_size=wire.limit)
    if isinstance(wire, Many):
        return _many(wire)
    return st.lists(tlvs(), max_size=3)


def _built(cls: type) -> st.SearchStrategy[Any]:
    return st.builds(cls, **{name: _value(wire) for name, wire in table(cls)})


def pdus_of(cls: type[Pdu], status: int | None = None, **fields: Any) -> st.SearchStrategy[Any]:
    """Any PDU of one class; ``fields`` replaces the strategy of some fields.

    Without ``status``, a response has any status; its fields are empty where an error leaves the
    body out.
    """
    values = {name: fields.get(name, _value(wire)) for name, wire in table(cls)}
    good = st.builds(cls, sequence=sequences(), status=st.just(status or 0), **values)
    if status is not None or not cls.COMMAND & RESPONSE:
        return good
    errors = st.integers(1, 0xFFFFFFFF)
    if cls.COMMAND == Command.DELIVER_SM_RESP:
        bad = st.builds(cls, sequence=sequences(), status=errors, **values)
    else:
        with_tlvs = any(isinstance(wire, Tlvs) for _, wire in table(cls))
        bare = st.builds(cls, sequence=sequences(), status=errors)
        full = (
            st.builds(
                cls,
                sequence=sequences(),
                status=errors,
                **{**values, "tlvs": st.lists(tlvs(), min_size=1, max_size=2)},
            )
            if with_tlvs
            else bare
        )
        bad = st.one_of(bare, full)
    return st.one_of(good, bad)


def pdus(classes: Sequence[type[Pdu]] | None = None) -> st.SearchStrategy[Pdu]:
    """Any PDU of any class, or of some."""
    chosen = list(classes or CLASSES.values())
    return st.sampled_from(chosen).flatmap(pdus_of)


@st.composite
def splits(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """``stream`` cut into pieces as TCP may deliver it."""
    places = draw(st.lists(st.integers(0, len(stream)), max_size=20).map(sorted))
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]
