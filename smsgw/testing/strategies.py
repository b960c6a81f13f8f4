"""Hypothesis strategies: any valid PDU of any class, any valid TLV, any way to split a stream, any
content of a multimedia message."""

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

from smsgw.mm4.fields import Expiry
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import ForwardReq
from smsgw.mm4.words import Class, Priority, Visibility
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


_SAFE = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
_VISIBLE = "".join(map(chr, range(0x21, 0x7F)))
_BINARY = ("image/jpeg", "image/gif", "audio/amr", "video/3gpp", "application/pdf")


def mm4_ids() -> st.SearchStrategy[str]:
    """Transaction and message ids of MM4, without quotes or brackets around them."""
    return st.text(_VISIBLE.translate({ord(c): None for c in "\"'<>"}), min_size=1, max_size=64)


def mailboxes() -> st.SearchStrategy[str]:
    """Mailboxes of users by number."""
    number = st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True)
    return number.map(lambda digits: f"{digits}/TYPE=PLMN@mms.example.net")


def forward_requests() -> st.SearchStrategy[ForwardReq]:
    """Any ``MM4_forward.REQ`` that a system may write, without its content."""
    flags = st.sampled_from([None, True, False])
    text = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=200)
    expiry = st.one_of(
        st.none(),
        st.integers(0, 10**8).map(lambda seconds: Expiry(seconds=seconds)),
        st.integers(1, 4 * 10**9).map(lambda seconds: Expiry(at=seconds * 1000)),
    )
    system = "system-user@gateway.example.com"
    return st.builds(
        ForwardReq,
        transaction_id=mm4_ids(),
        message_id=mm4_ids(),
        sender=st.just(system),
        date=st.integers(1, 4 * 10**9).map(lambda seconds: seconds * 1000),
        mail_id=mm4_ids(),
        from_=mailboxes(),
        to=st.lists(mailboxes(), min_size=1, max_size=30),
        cc=st.lists(mailboxes(), max_size=3),
        subject=text.map(lambda s: " ".join(s.split())),
        message_class=st.sampled_from(["", *map(str, Class)]),
        priority=st.sampled_from(["", *map(str, Priority)]),
        visibility=st.sampled_from(["", *map(str, Visibility)]),
        expiry=expiry,
        delivery_report=flags,
        relay_report=flags,
        read_reply=flags,
        ack_request=flags,
        forward_counter=st.integers(0, 20),
        originator_system=st.just(system),
    )


@st.composite
def contents(draw: st.DrawFn) -> Content:
    """A content as a system may send it: safe names and ids, none twice; text and octets of any
    kind, with a SMIL named as its start or without."""
    names = draw(
        st.lists(st.text(_SAFE, min_size=1, max_size=20), min_size=1, max_size=5, unique=True)
    )
    parts = []
    for number, unique in enumerate(names):
        if draw(st.booleans()):
            octets = draw(st.text(max_size=3_000)).removeprefix("\ufeff").encode("utf-8", "replace")
            parts.append(Part("text/plain", unique, f"id{number}", unique, octets, "utf-8"))
        else:
            kind = draw(st.sampled_from(_BINARY))
            parts.append(Part(kind, unique, f"id{number}", unique, draw(st.binary(max_size=300))))
    start = ""
    if draw(st.booleans()):
        start = "start"
        smil = Part("application/smil", "s.smil", start, "s.smil", b"<smil/>", "utf-8")
        parts.insert(0, smil)
    return Content(parts, start)
