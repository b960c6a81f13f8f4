"""National language shift tables: what a user data header makes of GSM septets (3GPP TS 23.038
§6.2.1.2, annex A)."""

import codecs
from functools import lru_cache

from smsgw.text import gsm, south_asian
from smsgw.text.gsm import ESC

SINGLE = 0x24  # elements of a user data header: this replaces the extension table
LOCKING = 0x25  # and this the base table
TURKISH, SPANISH, PORTUGUESE = 1, 2, 3
LANGUAGES = {"tr": TURKISH, "es": SPANISH, "pt": PORTUGUESE}  # those that are written, by ISO 639-1

_DIGITS = "0123456789:;<=>?"
_UPPER, _LOWER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz"
# Position = septet; U+FFFE is ESC.
_LOCKING_TABLES = {
    TURKISH: (
        "@£$¥€éùıòÇ\nĞğ\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\ufffeŞşßÉ !\"#¤%&'()*+,-./"
        f"{_DIGITS}İ{_UPPER}ÄÖÑÜ§ç{_LOWER}äöñüà"
    ),
    PORTUGUESE: (
        "@£$¥êéúíóç\nÔô\rÁáΔ_ªÇÀ∞^\\€Ó|\ufffeÂâÊÉ !\"#º%&'()*+,-./"
        f"{_DIGITS}Í{_UPPER}ÃÕÚÜ§~{_LOWER}ãõ`üà"
    ),
    **south_asian.LOCKING,
}
_SINGLE_TABLES = {
    TURKISH: {0x47: "Ğ", 0x49: "İ", 0x53: "Ş", 0x63: "ç", 0x67: "ğ", 0x69: "ı", 0x73: "ş"},
    SPANISH: {
        0x09: "ç", 0x41: "Á", 0x49: "Í", 0x4F: "Ó", 0x55: "Ú", 0x61: "á", 0x69: "í", 0x6F: "ó",
        0x75: "ú",
    },
    PORTUGUESE: {
        0x05: "ê", 0x09: "ç", 0x0B: "Ô", 0x0C: "ô", 0x0E: "Á", 0x0F: "á", 0x12: "Φ", 0x13: "Γ",
        0x15: "Ω", 0x16: "Π", 0x17: "Ψ", 0x18: "Σ", 0x19: "Θ", 0x1F: "Ê", 0x41: "À", 0x49: "Í",
        0x4F: "Ó", 0x55: "Ú", 0x5B: "Ã", 0x5C: "Õ", 0x61: "Â", 0x69: "í", 0x6F: "ó", 0x75: "ú",
        0x7B: "ã", 0x7C: "õ", 0x7F: "â",
    },
    **south_asian.SINGLE,
}  # fmt: skip


def tables(header: bytes) -> tuple[int, int]:
    """The languages of the single and of the locking shift table that a user data header (its
    length octet included) names; 0 is the default alphabet.

    A language that is not known here counts as 0 (3GPP TS 23.040 §9.2.3.24.15).
    """
    single = locking = 0
    at = 1
    while at + 2 < len(header):
        iei, length = header[at], header[at + 1]
        if length == 1 and iei == SINGLE:
            single = header[at + 2] if header[at + 2] in _SINGLE_TABLES else 0
        elif length == 1 and iei == LOCKING:
            locking = header[at + 2] if header[at + 2] in _LOCKING_TABLES else 0
        at += 2 + length
    return single, locking


def without(header: bytes) -> bytes:
    """``header`` without the elements of shift tables; empty if nothing is left."""
    left = bytearray()
    at = 1
    while at + 1 < len(header):
        end = at + 2 + header[at + 1]
        if header[at] not in (SINGLE, LOCKING):
            left += header[at:end]
        at = end
    return bytes((len(left),)) + left if left else b""


def decode(octets: bytes, single: int = 0, locking: int = 0) -> str:
    """The text of unpacked septets by these tables; never fails, as ``gsm.decode``."""
    if not (single or locking):
        return gsm.decode(octets)
    base, after_esc = _decoding(single, locking)
    text = []
    escaped = False
    for octet in octets:
        if octet > 0x7F:
            text.append("\ufffd")
            escaped = False
        elif escaped:
            text.append(after_esc[octet])
            escaped = False
        elif octet == ESC:
            escaped = True
        else:
            text.append(base[octet])
    return "".join(text)


@lru_cache
def _decoding(single: int, locking: int) -> tuple[str, list[str]]:
    """The base table, and what each septet means after ESC."""
    base = _LOCKING_TABLES.get(locking, gsm.BASE)
    extension = {**gsm.EXTENSION, **_SINGLE_TABLES.get(single, {})}
    # An unknown code shows the base table's character, a second ESC a space.
    return base, [
        " " if septet == ESC else extension.get(septet, base[septet]) for septet in range(0x80)
    ]


def encode(text: str, language: int) -> tuple[bytes, bytes] | None:
    """User data header and septets of ``text`` in the tables of ``language``: those that take the
    fewest septets, and of these the fewest tables; None if a character is in none of them."""
    best: tuple[bytes, bytes] | None = None
    for single, locking in ((0, 0), (language, 0), (0, language), (language, language)):
        if locking and locking not in _LOCKING_TABLES:
            continue
        try:
            septets = codecs.charmap_encode(text, "strict", _encoding(single, locking))[0]
        except UnicodeEncodeError:
            continue
        header = _header(single, locking)
        if best is None or len(septets) + len(header) < len(best[1]) + len(best[0]):
            best = header, septets
    return best


def outside(text: str, language: int) -> str:
    """The first character of ``text`` in none of the tables of ``language``; "" if there is
    none."""
    both = _encoding(language, language if language in _LOCKING_TABLES else 0)
    plain = _encoding(language, 0)
    return next((one for one in text if ord(one) not in both and ord(one) not in plain), "")


@lru_cache
def _encoding(single: int, locking: int) -> dict[int, int | bytes]:
    base, after_esc = _decoding(single, locking)
    written: dict[int, int | bytes] = {
        ord(after_esc[septet]): bytes((ESC, septet))
        for septet in sorted({**gsm.EXTENSION, **_SINGLE_TABLES.get(single, {})})
    }
    written.update((ord(one), septet) for septet, one in enumerate(base) if septet != ESC)
    return written


def _header(single: int, locking: int) -> bytes:
    elements = bytes((SINGLE, 1, single)) if single else b""
    if locking:
        elements += bytes((LOCKING, 1, locking))
    return bytes((len(elements),)) + elements if elements else b""
