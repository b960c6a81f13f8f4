"""data_coding: which alphabet, which class, and text through it and back."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.text import coding
from smsgw.text.coding import Alphabet

text_codings = st.sampled_from([c for c in range(256) if coding.alphabet(c).is_text])


@pytest.mark.parametrize(
    ("data_codings", "alphabet"),
    [
        ([0, 0x10, 0x13, 0xC0, 0xD8, 0xF0, 0xF3], Alphabet.GSM),
        ([1], Alphabet.ASCII),
        ([2, 4, 0x14, 0x17, 0xF4, 0xF7, 0x20, 9, 11, 12], Alphabet.BINARY),
        ([3], Alphabet.LATIN1),
        ([5], Alphabet.JIS),
        ([6], Alphabet.CYRILLIC),
        ([7], Alphabet.HEBREW),
        ([8, 0x18, 0x1B, 0xE0, 0xEF], Alphabet.UCS2),
        ([10], Alphabet.ISO2022JP),
        ([13], Alphabet.KANJI_JIS),
        ([14], Alphabet.KSC5601),
    ],
)
def test_alphabets_of_the_table(data_codings, alphabet):
    """The table of spec/smpp.md §9, custom of 0x10 to 0x1F included."""
    assert {coding.alphabet(data_coding) for data_coding in data_codings} == {alphabet}


def test_values_that_a_submitter_may_use():
    """L-D19: 0 to 4, 8 and the message classes; any other value is refused."""
    known = {c for c in range(256) if coding.known(c)}
    assert known == {0, 1, 2, 3, 4, 8, *range(0x10, 0x20), *range(0xF0, 0x100)}


@pytest.mark.parametrize(
    ("data_coding", "message_class"),
    [(0, None), (8, None), (3, None), (0x10, 0), (0x18, 0), (0x15, 1), (0xF0, 0), (0xF6, 2)]
    + [(0xC8, None), (0xE1, None)],
)
def test_message_class(data_coding, message_class):
    """The two lowest bits of the groups that have a class, None elsewhere."""
    assert coding.message_class(data_coding) == message_class


@pytest.mark.parametrize(
    ("data_coding", "flash"), [(0, 0x10), (0xF1, 0x10), (4, 0x14), (8, 0x18), (0x1A, 0x18)]
)
def test_flash_is_class_0_of_the_same_alphabet(data_coding, flash):
    """The class 0 form keeps the octets valid."""
    assert coding.flash(data_coding) == flash
    assert coding.alphabet(flash) is coding.alphabet(data_coding)
    assert coding.message_class(flash) == 0


def test_an_alphabet_without_class_has_no_flash():
    """Latin-1 has no class 0 form; the error says what has."""
    with pytest.raises(ValueError, match="data_coding 3 has no class 0 form: use 0, 4 or 8"):
        coding.flash(3)


@given(st.text())
def test_the_smallest_coding_carries_any_text(text):
    """Whatever the text, it comes back; GSM whenever every character allows it."""
    data_coding, octets = coding.smallest(text)
    assert coding.decode(data_coding, octets) == text
    assert data_coding in (coding.GSM, coding.UCS2)


@pytest.mark.parametrize(
    ("text", "coded"),
    [
        ("Hello €", (0, b"Hello \x1be")),
        ("жук", (8, bytes.fromhex("04360443043a"))),
        ("😀", (8, bytes.fromhex("d83dde00"))),
        ("", (0, b"")),
        ("\ud800ж", (8, b"\x00?\x04\x36")),
    ],
)
def test_smallest_coding_of_known_texts(text, coded):
    """GSM if it can be, else UTF-16BE; a lone surrogate is no character."""
    assert coding.smallest(text) == coded


@given(st.integers(0, 255), st.binary())
def test_any_octets_of_any_coding_are_decoded(data_coding, octets):
    """Nothing crashes the reader; None is for octets that are no text."""
    text = coding.decode(data_coding, octets)
    assert (text is None) == (coding.alphabet(data_coding) is Alphabet.BINARY)


@pytest.mark.parametrize("data_coding", [0, 3, 6, 8, 0x18, 0xF1])
@given(text=st.text(max_size=20))
def test_what_a_coding_can_carry_comes_back(data_coding, text):
    """decode(encode(x)) == x for every alphabet; what it cannot carry is an error, not a loss."""
    octets = None
    with contextlib.suppress(ValueError):
        octets = coding.encode(text, data_coding)
    if octets is not None:
        assert coding.decode(data_coding, octets) == text


@given(text_codings, st.text("ABCabc123 ", max_size=20))
def test_every_alphabet_carries_plain_letters(data_coding, text):
    """Letters and digits go by any data_coding that is text."""
    assert coding.decode(data_coding, coding.encode(text, data_coding)) == text


@pytest.mark.parametrize(
    ("text", "data_coding", "reason"),
    [
        ("aж", 0, "'ж' is not in the GSM alphabet of data_coding 0"),
        ("aж", 3, "'ж' is not in the alphabet of data_coding 3"),
        ("é", 1, "'é' is not in the alphabet of data_coding 1"),
        ("\ud800", 8, "is not in the alphabet of data_coding 8"),
        ("a", 4, "data_coding 4 carries octets, not text"),
    ],
)
def test_text_that_a_coding_cannot_carry_is_refused_with_the_reason(text, data_coding, reason):
    """The error names the character and the data_coding."""
    with pytest.raises(ValueError, match=reason):
        coding.encode(text, data_coding)
