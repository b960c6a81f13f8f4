"""Smart encoding: characters outside the GSM alphabet replaced by look-alikes that are in it."""

import unicodedata
from functools import lru_cache

from smsgw.text import gsm

_ALIKE = {
    "'": "\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02bd\u02c8\u00b4`\uff07",
    '"': "\u201c\u201d\u201e\u201f\u2033\u2036\u02ba\u00ab\u00bb\uff02",
    "<": "\u2039",
    ">": "\u203a",
    "-": "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d",
    "/": "\u2044\u2215",
    "...": "\u2026",
    "..": "\u2025",
    ".": "\u2024",
    " ": "\t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u202f\u205f\u3000",
    "\n": "\u0085\u2028\u2029\v",
    # Zero width space, word joiner, byte order mark, soft hyphen: nobody sees them.
    "": "\u200b\u2060\ufeff\u00ad",
    "ff": "\ufb00",
    "fi": "\ufb01",
    "fl": "\ufb02",
    "ffi": "\ufb03",
    "ffl": "\ufb04",
    "st": "\ufb05\ufb06",
}
_SMART = str.maketrans({one: alike for alike, ones in _ALIKE.items() for one in ones})

# Letters that Unicode does not decompose, and signs.
_LETTERS = {
    "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "ð": "d", "Ð": "D", "ħ": "h", "Ħ": "H",
    "ŧ": "t", "Ŧ": "T", "ŋ": "n", "Ŋ": "N", "ı": "i", "ĸ": "k", "ƒ": "f", "ə": "e", "Ə": "E",
    "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "Th", "ẞ": "SS",
    "©": "(C)", "®": "(R)", "•": "*", "·": ".", "×": "x", "÷": "/", "¢": "c", "≤": "<=",
    "≥": ">=", "≠": "/=", "←": "<-", "→": "->",
    # Greek capitals that look like Latin ones; the others are in the GSM alphabet.
    "Α": "A", "Β": "B", "Ε": "E", "Ζ": "Z", "Η": "H", "Ι": "I", "Κ": "K", "Μ": "M",
    "Ν": "N", "Ο": "O", "Ρ": "P", "Τ": "T", "Υ": "Y", "Χ": "X",
}  # fmt: skip
_INVISIBLE = ("Mn", "Me", "Cf")  # categories: marks on the letter before, format controls


def smart(text: str) -> str:
    """``text`` with typographic characters as the plain ones that say the same.

    Quotes, dashes, ellipsis, spaces, ligatures and letters with a separate accent; everything else
    stays, also what the GSM alphabet does not have.
    """
    if text.isascii() and "`" not in text and "\t" not in text and "\v" not in text:
        return text
    composed = unicodedata.normalize("NFC", text)
    return unicodedata.normalize("NFC", composed.translate(_SMART))


def to_gsm(text: str) -> str:
    """``text`` in the GSM alphabet whatever it loses by that.

    First what ``smart`` does; then letters lose their accents, Greek is written in capitals; what
    has no look-alike becomes "?".
    """
    if gsm.encode(text) is not None:
        return text
    return "".join(["?" if one is None else one for one in map(_nearest, smart(text))])


def if_gsm(text: str) -> str | None:
    """What ``to_gsm`` gives if everything has a look-alike, else None."""
    if gsm.encode(text) is not None:
        return text
    return _joined(smart(text))


def _joined(text: str) -> str | None:
    found = []
    for character in text:
        one = _nearest(character)
        if one is None:
            return None
        found.append(one)
    return "".join(found)


@lru_cache(maxsize=4096)
def _nearest(character: str) -> str | None:
    if gsm.encode(character) is not None:
        return character
    if unicodedata.category(character) in _INVISIBLE:
        return ""
    if character in _LETTERS:
        return _LETTERS[character]
    plain = unicodedata.normalize("NFKD", character).translate(_SMART)
    if plain != character:
        return _joined(plain)
    capital = character.upper()
    if "\u0370" <= character <= "\u03ff" and capital != character:
        return _joined(capital)
    return None
