"""What the framer promises: the same PDUs however the stream is split, and a clear end."""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgw.smpp.codec import FramingFault, PduFault, encode, encode_all
from smsgw.smpp.constants import MAX_PDU, Status, Tag
from smsgw.smpp.framing import Framer, Item
from smsgw.smpp.pdu import DataSm, EnquireLink, GenericNack, Pdu, SubmitSm
from smsgw.testing.strategies import pdus, splits

# A slow machine is no fault of the code.
LAW = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
ENQUIRE = encode(EnquireLink(sequence=9))


def fed(pieces: list[bytes]) -> list[Item]:
    framer = Framer()
    return [item for piece in pieces for item in framer.feed(piece)]


@LAW
@given(st.lists(pdus(), max_size=6), st.data())
def test_any_split_gives_the_same_pdus(items: list[Pdu], data: st.DataObject) -> None:
    """However TCP cuts the stream, the PDUs are those that were sent."""
    stream = encode_all(items)
    assert fed(data.draw(splits(stream))) == items


@LAW
@given(st.lists(st.one_of(pdus().map(encode), st.binary(max_size=40)), max_size=6), st.data())
def test_any_split_of_any_octets_gives_the_same_items(
    parts: list[bytes], data: st.DataObject
) -> None:
    """Arbitrary octets raise nothing, and give the same PDUs and faults however they are cut."""
    stream = b"".join(parts)
    assert fed(data.draw(splits(stream))) == fed([stream])


def test_octet_by_octet() -> None:
    """One octet at a time does for any PDU."""
    pdu = SubmitSm(sequence=3, short_message=b"x" * 160)
    stream = encode(pdu) * 2
    assert fed([bytes([octet]) for octet in stream]) == [pdu, pdu]


def test_largest_pdu_in_small_pieces() -> None:
    """A PDU of nearly 70,000 octets in pieces of 100 is one PDU."""
    pdu = DataSm(sequence=3, tlvs=[(Tag.MESSAGE_PAYLOAD, b"x" * 65_535), (0x1400, b"y" * 4_000)])
    stream = encode(pdu)
    pieces = [stream[i : i + 100] for i in range(0, len(stream), 100)]
    assert fed(pieces) == [pdu]


def test_pdu_fault_is_an_item_and_the_rest_goes_on() -> None:
    """A faulty PDU stands in its place among the others."""
    bad = (20).to_bytes(4, "big") + (4).to_bytes(4, "big") + bytes(4) + b"\0\0\0\5" + b"junk"
    before, fault, after = Framer().feed(ENQUIRE + bad + ENQUIRE)
    assert before == after == EnquireLink(sequence=9)
    assert isinstance(fault, PduFault)
    assert (fault.status, fault.sequence) == (Status.ESME_RINVCMDLEN, 5)
    assert fault.__traceback__ is None
    assert fault.__context__ is None


def test_lost_boundary_ends_the_stream() -> None:
    """A command_length out of bounds is the last item, and the framer takes no more."""
    for length in (0, 15, MAX_PDU + 1, 0xFFFFFFFF):
        framer = Framer()
        bad = length.to_bytes(4, "big") + ENQUIRE[4:]
        first, fault = framer.feed(ENQUIRE + bad + ENQUIRE)
        assert first == EnquireLink(sequence=9)
        assert isinstance(fault, FramingFault)
        assert fault.response() == GenericNack(9, Status.ESME_RINVCMDLEN)
        assert framer.broken
        assert framer.feed(ENQUIRE) == []


def test_without_tlvs() -> None:
    """For a 3.3 peer what follows the fields is ignored, also when that is found out on the way."""
    stream = encode(SubmitSm(sequence=1, tlvs=[(Tag.SAR_MSG_REF_NUM, b"\0\1")]))
    framer = Framer()
    assert framer.feed(stream) == [SubmitSm(1, tlvs=[(Tag.SAR_MSG_REF_NUM, b"\0\1")])]
    framer.tlvs = False
    assert framer.feed(stream) == [SubmitSm(1)]
