"""Typed reading and writing of TLVs."""

import pytest

from smsgw.smpp.constants import Tag
from smsgw.smpp.pdu import DeliverSm
from smsgw.smpp.tlv import SHAPES, get, put


def test_every_tag_has_a_shape() -> None:
    """No known tag is without type and limits."""
    assert set(SHAPES) == set(Tag)


@pytest.mark.parametrize(
    ("tag", "value", "octets"),
    [
        (Tag.SAR_MSG_REF_NUM, 0x0102, b"\1\2"),
        (Tag.SAR_TOTAL_SEGMENTS, 2, b"\2"),
        (Tag.QOS_TIME_TO_LIVE, 86_400, b"\0\1\x51\x80"),
        (Tag.RECEIPTED_MESSAGE_ID, b"12345678", b"12345678\0"),
        (Tag.MESSAGE_PAYLOAD, b"text", b"text"),
        (Tag.NETWORK_ERROR_CODE, b"\3\0\1", b"\3\0\1"),
        (Tag.ALERT_ON_MESSAGE_DELIVERY, b"", b""),
        (Tag.ALERT_ON_MESSAGE_DELIVERY, 1, b"\1"),
        (Tag.MS_VALIDITY, 0, b"\0"),
        (Tag.MS_VALIDITY, b"\1\2\0\3", b"\1\2\0\3"),
        (Tag.SOURCE_TELEMATICS_ID, b"\0\1", b"\0\1"),
        (0x1401, b"vendor", b"vendor"),
    ],
)
def test_values_there_and_back(tag: int, value: int | bytes, octets: bytes) -> None:
    """``get`` gives what was put; the octets are those of the specification."""
    tlv = put(tag, value)
    assert tlv == (tag, octets)
    assert get(DeliverSm(tlvs=[(0x0005, b"\0"), tlv]), tag) == value


def test_get_finds_the_first_or_none() -> None:
    """Of a repeated tag the first is given; of an absent one None."""
    pdu = DeliverSm(tlvs=[put(Tag.CALLBACK_NUM, b"1234"), put(Tag.CALLBACK_NUM, b"5678")])
    assert get(pdu, Tag.CALLBACK_NUM) == b"1234"
    assert get(pdu, Tag.SOURCE_PORT) is None


def test_text_without_its_terminator_is_read() -> None:
    """Some peers leave the 00 of a C-octet string away."""
    assert (
        get(DeliverSm(tlvs=[(Tag.RECEIPTED_MESSAGE_ID, b"abc")]), Tag.RECEIPTED_MESSAGE_ID)
        == b"abc"
    )


@pytest.mark.parametrize(
    ("tag", "value", "words"),
    [
        (Tag.SAR_TOTAL_SEGMENTS, 256, "takes 1 octets, 256 does not fit"),
        (Tag.SAR_TOTAL_SEGMENTS, -1, "does not fit"),
        (Tag.SAR_MSG_REF_NUM, b"\1", "cannot have 1 octets"),
        (Tag.MESSAGE_PAYLOAD, 5, "takes octets, not the integer 5"),
        (Tag.RECEIPTED_MESSAGE_ID, b"1" * 65, "cannot have 66 octets"),
        (Tag.RECEIPTED_MESSAGE_ID, b"1\0002", "has a 00 within"),
        (Tag.MS_VALIDITY, b"\0\0", "cannot have 2 octets"),
        (0x1401, 5, "TLV 0x1401 takes octets"),
        (0x1401, b"x" * 65_536, "cannot have 65536 octets"),
    ],
)
def test_value_that_does_not_fit(tag: int, value: int | bytes, words: str) -> None:
    """A value that does not fit its tag is our own mistake."""
    with pytest.raises(ValueError, match=words):
        put(tag, value)
