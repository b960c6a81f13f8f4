"""The GSM alphabet: against the table of the specification, a foreign codec, and its own laws."""

import gsm0338
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.text import gsm

FOREIGN = gsm0338.Codec()
CHARACTERS = "".join(chr(code) for code in range(0x3000) if not gsm.outside(chr(code)))
gsm_text = st.text(st.sampled_from(CHARACTERS))
septets = st.lists(st.integers(0, 0x7F)).map(bytes)


def test_there_are_127_characters_and_ten_extensions():
    """The base alphabet has 127 characters beside ESC, the extension table ten worth writing."""
    lengths = [len(gsm.encode(character)) for character in CHARACTERS]
    assert (lengths.count(1), lengths.count(2)) == (127, 10)


@pytest.mark.parametrize(
    ("text", "octets"),
    [
        ("@£$¥èéùìòÇ\nØø\rÅå", bytes(range(0x10))),
        ("Δ_ΦΓΛΩΠΨΣΘΞ", bytes(range(0x10, 0x1B))),
        ('ÆæßÉ !"#¤%', bytes(range(0x1C, 0x26))),
        ("¡A", b"\x40A"),
        ("ZÄÖÑÜ§¿a", bytes(range(0x5A, 0x62))),
        ("zäöñüà", bytes(range(0x7A, 0x80))),
        ("€", b"\x1b\x65"),
        (
            "\f^{}\\[~]|",
            b"\x1b\x0a\x1b\x14\x1b\x28\x1b\x29\x1b\x2f\x1b\x3c\x1b\x3d\x1b\x3e\x1b\x40",
        ),
        ("", b""),
    ],
)
def test_the_table_of_the_specification(text, octets):
    """Characters stand where the table of spec/smpp.md §13 has them."""
    assert gsm.encode(text) == octets
    assert gsm.decode(octets) == text


@pytest.mark.parametrize("character", CHARACTERS)
def test_a_foreign_codec_agrees_on_every_character(character):
    """Every character has the octets that an independent codec gives it."""
    assert gsm.encode(character) == FOREIGN.encode(character)[0]


@pytest.mark.parametrize("text", ["ç", "ê", "ж", "😀", "`", "\x1b", "\x00", "\t", "a–b", "\ud800"])
def test_other_characters_are_not_encoded(text):
    """One character outside both tables, and the text is no GSM text."""
    assert gsm.encode(text) is None
    assert gsm.outside(text) in text


@given(gsm_text)
def test_encoded_text_comes_back(text):
    """decode(encode(x)) == x, and the septets counted are the octets made."""
    octets = gsm.encode(text)
    assert gsm.decode(octets) == text
    assert gsm.septets(text) == len(octets)
    assert FOREIGN.decode(octets)[0] == text


@given(st.text())
def test_any_text_is_encoded_whole_or_not_at_all(text):
    """None exactly if a character is outside; what is encoded is septets."""
    octets = gsm.encode(text)
    assert (octets is None) == bool(gsm.outside(text))
    assert octets is None or max(octets, default=0) < 0x80


@given(st.binary())
def test_any_octets_are_decoded(octets):
    """No octets crash the reader, and no escape is left over."""
    assert "\x1b" not in gsm.decode(octets)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"a\x1b", "a"),  # trailing ESC dropped
        (b"\x1bA", "A"),  # unknown extension: the base character
        (b"\x1b\x0d", "\r"),
        (b"\x1b\x1b\x65", " e"),  # a second ESC begins no pair
        (b"\x1b\x00", "@"),
        (b"\x80\xff", "\ufffd\ufffd"),
    ],
)
def test_what_stands_in_no_table_is_read_leniently(octets, text):
    """The rules of spec/smpp.md §13 for codes that mean nothing."""
    assert gsm.decode(octets) == text


def test_septets_of_a_foreign_character_name_it():
    """Counting what cannot be encoded is an error that names the character."""
    with pytest.raises(ValueError, match="'ж' is not in the GSM alphabet"):
        gsm.septets("aж")


def test_packing_of_a_known_text():
    """The well-known packing of ``hellohello``."""
    assert gsm.pack(b"hellohello") == bytes.fromhex("e8329bfd4697d9ec37")
    assert gsm.pack(b"a", fill=1) == bytes([ord("a") << 1])


@given(septets, st.integers(0, 6))
def test_packed_septets_come_back(unpacked, fill):
    """unpack(pack(x), len(x)) == x, with and without fill bits, in the fewest octets."""
    packed = gsm.pack(unpacked, fill)
    assert len(packed) == -(-(fill + 7 * len(unpacked)) // 8)
    assert gsm.unpack(packed, len(unpacked), fill) == unpacked


@given(st.binary(), st.integers(0, 6))
def test_any_octets_are_unpacked(octets, fill):
    """Without a count all septets that fit are given."""
    assert len(gsm.unpack(octets, None, fill)) == max(0, len(octets) * 8 - fill) // 7


def test_packing_checks_what_it_is_given():
    """An octet that is no septet, and a count beyond the octets, are errors."""
    with pytest.raises(ValueError, match="0x80 is no septet"):
        gsm.pack(b"\x80")
    with pytest.raises(ValueError, match="2 septets do not fit in 1 octets"):
        gsm.unpack(b"a", 2)
