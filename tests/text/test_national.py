"""National shift tables: read as 3GPP TS 23.038 annex A has them, and written where they help."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI, Message
from smsgw.text import coding, gsm, national, reading, south_asian

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


@pytest.mark.parametrize(
    ("language", "locked", "text"),
    [
        (south_asian.BENGALI, b"\x40\x50\x01\x46\x50", "বাংলা"),
        (south_asian.GUJARATI, b"\x17\x53\x1d\x44\x50\x27\x52", "ગુજરાતી"),
        (south_asian.HINDI, b"\x2f\x42\x4c\x5f\x27\x59 1:30", "नमस्ते 1:30"),
        (south_asian.KANNADA, b"\x15\x2f\x5f\x2f\x24", "ಕನ್ನಡ"),
        (south_asian.MALAYALAM, b"\x42\x46\x43\x50\x47\x01.", "മലയാളം."),
        (south_asian.ORIYA, b"\x13\x24\x4e\x51\x03", "ଓଡ଼ିଅ"),
        (south_asian.PUNJABI, b"\x3d\x7b\x1d\x50\x40\x52", "ਪੰਜਾਬੀ"),
        (south_asian.TAMIL, b"\x27\x42\x51\x48\x5f", "தமிழ்"),
        (south_asian.TELUGU, b"\x27\x58\x46\x53\x17\x53", "తెలుగు"),
        (south_asian.URDU, b"\x00\x25\x1a\x53", "اردو"),
    ],
)
def test_tables_of_south_asia_are_read(language: int, locked: bytes, text: str) -> None:
    """spec/smpp.md §13: each language's name in its own letters, by its locking table; a message
    whose header names both tables; capital letters and the euro sign by the single one."""
    assert coding.decode(0, locked, bytes((3, 0x25, 1, language))) == text
    header = bytes((6, 0x24, 1, language, 0x25, 1, language))
    assert coding.decode(0, locked + b"\x1bA\x1be", header) == text + "A€"


@pytest.mark.parametrize(
    ("language", "octets", "text"),
    [
        (south_asian.BENGALI, b"\x1b\x19\x1b\x1a\x1b\x1c\x1b\x23\x1b\x24\x1b\x34", "০১২৯\u09df৺"),
        (south_asian.GUJARATI, b"\x1b\x19\x1b\x1c\x1b\x25", "।૦૯"),
        (
            south_asian.HINDI,
            b"\x1b\x1c\x1b\x26\x1b\x27\x1b\x2c\x1b\x38\x1b\x3a",
            "०\u0951\u0952\u0958ॣॱ",
        ),
        (south_asian.KANNADA, b"\x1b\x1c\x1b\x26\x1b\x27\x1b\x2a\x1b<\x1b>", "೦ೞೱೲ[]"),
        (south_asian.MALAYALAM, b"\x1b\x1c\x1b\x27\x1b\x2d\x1b\x2e\x1b\x34", "൦൱൵ൺൿ"),
        (south_asian.ORIYA, b"\x1b\x1c\x1b\x26\x1b\x2a\x1b\x2c", "୦\u0b5cୟୱ"),
        (south_asian.PUNJABI, b"\x1b\x1c\x1b\x26\x1b\x2b\x1b\x2d", "੦\u0a59ੜੵ"),
        (south_asian.TAMIL, b"\x1b\x1c\x1b\x26\x1b\x2d\x1b\x2e", "௦௳௸௺"),
        (south_asian.TELUGU, b"\x1b\x1c\x1b\x26\x1b\x2e\x1b\x32", "౦ౘ౼౿"),
        (south_asian.URDU, b"\x1b\x1c\x1b\x26\x1b\x2e\x1b\x33\x1b\x3b\x1b\x3f", "۰،ؒ؟ۍ۔"),
    ],
)
def test_single_tables_of_south_asia(language: int, octets: bytes, text: str) -> None:
    """Digits and signs after ESC; the brackets are where they always are."""
    assert national.decode(octets, single=language) == text
    brackets = b"\x1b\x14\x1b(\x1b)\x1b/\x1b<\x1b=\x1b>\x1b@"
    assert national.decode(brackets, single=language) == "^{}\\[~]|"


SCRIPTS = {
    south_asian.BENGALI: "BENGALI",
    south_asian.GUJARATI: "GUJARATI",
    south_asian.HINDI: "DEVANAGARI",
    south_asian.KANNADA: "KANNADA",
    south_asian.MALAYALAM: "MALAYALAM",
    south_asian.ORIYA: "ORIYA",
    south_asian.PUNJABI: "GURMUKHI",
    south_asian.TAMIL: "TAMIL",
    south_asian.TELUGU: "TELUGU",
    south_asian.URDU: "ARABIC",
}


@pytest.mark.parametrize(("language", "script"), SCRIPTS.items())
def test_tables_of_south_asia_are_whole(language: int, script: str) -> None:
    """128 places, no letter twice, every letter one of the language's script."""
    table = south_asian.LOCKING[language]
    assert len(table) == 0x80
    assert table[0x1B] == "\ufffe"
    letters = [one for one in table if ord(one) > 0x7F and one != "\ufffe"]
    letters += [one for one in south_asian.SINGLE[language].values() if ord(one) > 0xFF]
    assert len(set(letters)) == len(letters)
    others = {"€", "।", "॥"}  # the last two are of all scripts of India
    assert [
        one for one in letters if one not in others and script not in unicodedata.name(one)
    ] == []


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
        (b"\x06\x24\x01\x0d\x25\x01\x06", (south_asian.URDU, south_asian.HINDI)),
        (b"\x03\x25\x01\x0e", (0, 0)),
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
