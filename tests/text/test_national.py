"""National shift tables: read as 3GPP TS 23.038 annex A has them, and written where they help."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI, Message
from smsgw.text import coding, gsm, national, reading

TR, ES, PT = national.TURKISH, national.SPANISH, national.PORTUGUESE


@pytest.mark.parametrize(
    ("language", "octets", "text"),
    [
        (TR, b"\x1bG\x1bI\x1bS\x1bc\x1be\x1bg\x1bi\x1bs", "ĞİŞç€ğış"),
        (ES, b"\x1b\x09\x1bA\x1bI\x1bO\x1bU\x1ba\x1be\x1bi\x1bo\x1bu", "çÁÍÓÚá€íóú"),
        (
            PT,
            b"\x1b\x05\x1b\x09\x1b\x0b\x1b\x0c\x1b\x0e\x1b\x0f\x1b\x1f\x1bA\x1bI\x1bO\x1bU\x1b[\x1b\\",
            "êçÔôÁáÊÀÍÓÚÃÕ",
        ),
        (PT, b"\x1ba\x1be\x1bi\x1bo\x1bu\x1b{\x1b|\x1b\x7f\x1b\x12\x1b\x19", "Â€íóúãõâΦΘ"),
    ],
)
def test_single_shift_tables(language: int, octets: bytes, text: str) -> None:
    """What ESC means; the brackets are where they always are."""
    assert national.decode(octets, single=language) == text
    brackets = b"\x1b\x14\x1b(\x1b)\x1b/\x1b<\x1b=\x1b>\x1b@"
    assert national.decode(brackets, single=language) == "^{}\\[~]|"


@pytest.mark.parametrize(
    ("language", "octets", "text"),
    [
        (TR, b"\x04\x07\x0b\x0c\x1c\x1d@`", "€ıĞğŞşİç"),
        (PT, b"\x04\x06\x07\x08\x09\x0b\x0c\x0e\x0f", "êúíóçÔôÁá"),
        (PT, b"\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1c\x1d\x1e", "ªÇÀ∞^\\€Ó|ÂâÊ"),
        (PT, b"\x24@[\\]^`{|}~", "ºÍÃÕÚÜ~ãõ`ü"),
    ],
)
def test_locking_shift_tables(language: int, octets: bytes, text: str) -> None:
    """They take the place of the base table."""
    assert national.decode(octets, locking=language) == text


def test_letters_and_digits_are_where_they_always_are() -> None:
    """In every table."""
    plain = b"ABCXYZ abcxyz 0123456789:;<=>?!\"#%&'()*+,-./".replace(b"#", b"")
    for language in (TR, PT):
        assert national.decode(plain, language, language) == plain.decode()


@pytest.mark.parametrize(
    ("header", "tables"),
    [
        (b"\x03\x24\x01\x01", (TR, 0)),
        (b"\x06\x24\x01\x01\x25\x01\x01", (TR, TR)),
        (b"\x03\x25\x01\x03", (0, PT)),
        (b"\x08\x00\x03\x07\x02\x01\x24\x01\x02", (ES, 0)),
        (b"\x03\x25\x01\x02", (0, 0)),  # Spanish has no locking table
        (b"\x03\x24\x01\x63", (0, 0)),
        (b"\x04\x24\x02\x01\x01", (0, 0)),
        (b"", (0, 0)),
    ],
)
def test_a_header_names_them(header: bytes, tables: tuple[int, int]) -> None:
    """spec/smpp.md §13; what is unknown is the default alphabet."""
    assert national.tables(header) == tables


def test_a_message_is_read_by_its_header() -> None:
    """Wherever its text is told."""
    message = Message("1", "2", parts=[b"\x03\x24\x01\x01Te\x1bsekk\x7fr"], esm_class=UDHI)
    assert reading.read(message).text == "Teşekkàr"


@given(st.binary(), st.integers(0, 15), st.integers(0, 15))
def test_reading_never_fails(octets: bytes, single: int, locking: int) -> None:
    """Whatever comes."""
    header = bytes((6, 0x24, 1, single, 0x25, 1, locking))
    assert isinstance(coding.decode(0, octets, header), str)


def _characters(language: int) -> str:
    return "".join(chr(code) for code in range(0x2300) if not national.outside(chr(code), language))


@pytest.mark.parametrize("language", [TR, ES, PT])
def test_what_is_written_is_read(language: int) -> None:
    """By the tables that the header names, in no more septets than necessary."""
    characters = _characters(language)
    assert len(characters) > 137

    @given(st.text(st.sampled_from(characters)))
    def law(text: str) -> None:
        found = national.encode(text, language)
        if found is None:  # some characters are in one base table only
            assert language in (PT, TR)
            return
        header, octets = found
        assert national.decode(octets, *national.tables(header)) == text
        plain = gsm.encode(text)
        if plain is not None:
            assert len(header) + len(octets) <= len(plain)

    law()


def test_the_smallest_tables_are_taken() -> None:
    """Whichever leaves the most room."""
    assert national.encode("plain", TR) == (b"", b"plain")
    assert national.encode("mañana á", ES) == (b"\x03\x24\x01\x02", b"ma\x7dana \x1ba")
    header, octets = national.encode("ğışğışğışğış", TR) or (b"", b"")
    assert (header, len(octets)) == (b"\x03\x25\x01\x01", 12)
    assert national.encode("ж", TR) is None


def test_elements_of_tables_can_be_taken_off() -> None:
    """Others stay."""
    assert national.without(b"\x03\x24\x01\x01") == b""
    assert national.without(b"\x08\x24\x01\x01\x00\x03\x07\x02\x01") == b"\x05\x00\x03\x07\x02\x01"
