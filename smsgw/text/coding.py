"""What data_coding says of the octets of a message, and text to octets and back by it."""

from enum import Enum

from smsgw.text import gsm, national


class Alphabet(Enum):
    """The form of a message's octets; the value is Python's codec where one applies."""

    GSM = ""
    ASCII = "ascii"
    LATIN1 = "latin-1"
    CYRILLIC = "iso8859-5"
    HEBREW = "iso8859-8"
    UCS2 = "utf-16-be"
    JIS = "shift_jis"
    ISO2022JP = "iso2022_jp"
    KANJI_JIS = "euc_jp"
    KSC5601 = "euc_kr"
    BINARY = "binary"

    @property
    def is_text(self) -> bool:
        """False for octets that are no text."""
        return self is not Alphabet.BINARY


GSM = 0
LATIN1 = 3
BINARY = 4
UCS2 = 8

_SMPP = {
    0: Alphabet.GSM,
    1: Alphabet.ASCII,
    2: Alphabet.BINARY,
    3: Alphabet.LATIN1,
    4: Alphabet.BINARY,
    5: Alphabet.JIS,
    6: Alphabet.CYRILLIC,
    7: Alphabet.HEBREW,
    8: Alphabet.UCS2,
    9: Alphabet.BINARY,  # pictogram
    10: Alphabet.ISO2022JP,
    11: Alphabet.BINARY,  # reserved: shown to nobody as text
    12: Alphabet.BINARY,
    13: Alphabet.KANJI_JIS,
    14: Alphabet.KSC5601,
}
# Bits 3 and 2 of a GSM data coding scheme; a reserved value is the default alphabet (3GPP TS
# 23.038 §4).
_GSM_BITS = (Alphabet.GSM, Alphabet.BINARY, Alphabet.UCS2, Alphabet.GSM)


def _alphabet(data_coding: int) -> Alphabet:
    if data_coding in _SMPP:
        return _SMPP[data_coding]
    group = data_coding >> 4
    if group == 0xF:
        return Alphabet.BINARY if data_coding & 4 else Alphabet.GSM
    if group == 0xE:
        return Alphabet.UCS2
    if group >= 8:
        return Alphabet.GSM
    # Bit 5 says that the text is compressed, which nobody here can read.
    return Alphabet.BINARY if data_coding & 0x20 else _GSM_BITS[data_coding >> 2 & 3]


_ALPHABETS = tuple(_alphabet(data_coding) for data_coding in range(256))
# To look a member up in its class costs as much as to decode a text.
_GSM_ALPHABET = Alphabet.GSM
_NAMED = frozenset({*range(11), 13, 14, *range(0x10, 0x20), *range(0xC0, 0x100)})
_KNOWN = frozenset({0, 1, 2, 3, 4, 8, *range(0x10, 0x20), *range(0xF0, 0x100)})


def alphabet(data_coding: int) -> Alphabet:
    """The alphabet that ``data_coding`` (0 to 255) names (``spec/smpp.md`` §9)."""
    return _ALPHABETS[data_coding]


def named(data_coding: int) -> bool:
    """True for a ``data_coding`` that ``spec/smpp.md`` §9 has a meaning for."""
    return data_coding in _NAMED


def known(data_coding: int) -> bool:
    """True if a submitter may use ``data_coding`` (L-D19 of ``spec/link-smpp.md``)."""
    return data_coding in _KNOWN


def message_class(data_coding: int) -> int | None:
    """The message class, 0 to 3 (0 = flash); None if ``data_coding`` has none."""
    group = data_coding >> 4
    if group == 0xF or (group < 8 and group & 1):
        return data_coding & 3
    return None


def flash(data_coding: int) -> int:
    """The class 0 form of ``data_coding``: 0x10 GSM, 0x14 octets, 0x18 UCS-2 (E-D27).

    ValueError for an alphabet that has none, Latin-1 for instance.
    """
    form = _FLASH.get(_ALPHABETS[data_coding])
    if form is None:
        raise ValueError(f"data_coding {data_coding} has no class 0 form: use 0, 4 or 8")
    return form


_FLASH = {Alphabet.GSM: 0x10, Alphabet.BINARY: 0x14, Alphabet.UCS2: 0x18}


def decode(data_coding: int, octets: bytes, header: bytes = b"") -> str | None:
    """The text of ``octets``, which follow the user data ``header``; None if they are no text.

    Septets are read by the shift tables that the header names. Never fails: what the alphabet does
    not know becomes U+FFFD.
    """
    form = _ALPHABETS[data_coding]
    if form is _GSM_ALPHABET:
        return national.decode(octets, *national.tables(header)) if header else gsm.decode(octets)
    if form is Alphabet.BINARY:
        return None
    return octets.decode(form.value, "replace")


def encode(text: str, data_coding: int) -> bytes:
    """The octets of ``text``; ValueError with the reason if ``data_coding`` cannot carry it."""
    form = _ALPHABETS[data_coding]
    if form is Alphabet.GSM:
        octets = gsm.encode(text)
        if octets is None:
            raise ValueError(
                f"{gsm.outside(text)!r} is not in the GSM alphabet of data_coding {data_coding}"
            )
        return octets
    if form is Alphabet.BINARY:
        raise ValueError(f"data_coding {data_coding} carries octets, not text")
    try:
        return text.encode(form.value)
    except UnicodeEncodeError as fault:
        character = text[fault.start]
        raise ValueError(
            f"{character!r} is not in the alphabet of data_coding {data_coding}"
        ) from None


def smallest(text: str) -> tuple[int, bytes]:
    """Data coding and octets of ``text``: 0 (GSM) if it can be, else 8 (UTF-16BE).

    A lone surrogate, which is no character, becomes a question mark.
    """
    octets = gsm.encode(text)
    if octets is not None:
        return GSM, octets
    return UCS2, text.encode("utf-16-be", "replace")
