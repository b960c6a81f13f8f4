"""Addresses: a source's TON, a destination in international digits, the forms people write."""

import re

from smsgw.refusals import Reason
from smsgw.text import gsm

UNKNOWN = 0
INTERNATIONAL = 1
NATIONAL = 2
SHORT_CODE = 3  # "network specific" in SMPP, a short code here (L-D17)
SUBSCRIBER = 4
ALPHANUMERIC = 5
ABBREVIATED = 6

ISDN = 1  # NPI

_MIN_DIGITS = 3
MAX_DIGITS = 15  # E.164
_MAX_ALPHANUMERIC = 11  # septets that fit in an originating address (3GPP TS 23.040 §9.1.2.5)
# North America dials 011 where others dial 00. Elsewhere it begins national numbers too (0113 is
# Leeds), which are not longer than this.
_LONGEST_NATIONAL = 11

_ICCID = re.compile(r"89[0-9]{16,18}")
_PUNCTUATION = re.compile(r"[^\w+]|_")

Source = tuple[str, int, int]


def detect_source(text: str, ton: int, country: str) -> Source | Reason:
    """Source address, TON and NPI as they go on; or the reason why the source cannot be.

    ``ton`` 0 is detected by the rules of L-D16 (``spec/link-smpp.md``); any other is checked
    against the text. National numbers are converted with ``country`` (digits, "44") and end as
    international (ruling 10), international ones lose ``+`` and ``00``.
    """
    if (
        text.isdigit()
        and text.isascii()
        and ton <= INTERNATIONAL
        and 8 <= len(text) <= MAX_DIGITS
        and text[0] != "0"
    ):
        return text, INTERNATIONAL, ISDN
    if ton == UNKNOWN:
        return _detected(text, country)
    if ton == ALPHANUMERIC:
        return _alphanumeric(text)
    if ton == SHORT_CODE:
        return (text, SHORT_CODE, 0) if _is_short_code(text) else Reason.BAD_SOURCE
    if ton == INTERNATIONAL:
        return _international(_without_prefix(text))
    if ton == NATIONAL:
        return _international(country + text.removeprefix("0")) if text else Reason.BAD_SOURCE
    return Reason.BAD_SOURCE_TON


def long_source(text: str) -> Source | Reason:
    """A sender of 16 digits, which no numbering plan has: two dialects take them (W-D20, section 7
    of ``spec/aql.md``), and carriers as they are."""
    if len(text) == MAX_DIGITS + 1 and text.isascii() and text.isdigit():
        return text, UNKNOWN, ISDN
    return Reason.BAD_SOURCE


def _detected(text: str, country: str) -> Source | Reason:
    if not _all_digits(text.removeprefix("+")):
        return _alphanumeric(text) if text != "+" else Reason.BAD_SOURCE
    if text.startswith(("+", "00")):
        digits = _without_prefix(text)
        if 8 <= len(digits) <= MAX_DIGITS and digits[0] != "0":
            return digits, INTERNATIONAL, ISDN
    if _is_short_code(text):
        return text, SHORT_CODE, 0
    if text.startswith("0") and not text.startswith("00"):
        digits = country + text[1:]
        if 8 <= len(digits) <= MAX_DIGITS:
            return digits, INTERNATIONAL, ISDN
    return Reason.BAD_SOURCE


def _alphanumeric(text: str) -> Source | Reason:
    # An address is ASCII on the wire (SMPP 3.4 §3.1). A line end is in nobody's name, and would be
    # harm in a header made of it.
    septets = gsm.encode(text) if text.isascii() and text.isprintable() else None
    if septets is None or not 1 <= len(septets) <= _MAX_ALPHANUMERIC:
        return Reason.BAD_SOURCE
    return text, ALPHANUMERIC, 0


def _international(digits: str) -> Source | Reason:
    return (digits, INTERNATIONAL, ISDN) if _is_number(digits) else Reason.BAD_SOURCE


def normalise_destination(text: str, ton: int, country: str) -> str | Reason:
    """A destination in digits, without ``+`` and ``00``; or the reason why it is none.

    With TON 0 a single leading 0, and with TON 2 any number, is national and converted with
    ``country``. 3 to 15 digits; TON 3 is a short code of 3 to 7. The ICCID of a SIM stays as it is.
    """
    if text.isdigit() and text.isascii() and ton <= INTERNATIONAL and text[0] != "0":
        if _MIN_DIGITS <= len(text) <= MAX_DIGITS or is_iccid(text):
            return text
        return Reason.BAD_DESTINATION
    if ton == SHORT_CODE:
        return text if _is_short_code(text) else Reason.BAD_DESTINATION
    if ton == NATIONAL:
        digits = country + text.removeprefix("0") if text else ""
    elif ton > NATIONAL:
        return Reason.BAD_DESTINATION_TON
    elif ton == UNKNOWN and text.startswith("0") and not text.startswith("00"):
        digits = country + text[1:]
    else:
        digits = _without_prefix(text)
    return digits if _is_number(digits) else Reason.BAD_DESTINATION


def friendly(text: str, country: str) -> str | Reason:
    """A destination as people write it, in international digits (``spec/aerialink.md`` 4.3).

    By ``destinationFormat=1``: punctuation, blanks, ``+``, ``00`` and ``011`` are removed; ten
    digits get ``country`` in front, and a single leading 0 is replaced by it. The ``(0)`` of
    ``+44 (0)7700 900123`` is left out. The ICCID of a SIM loses its punctuation only.
    """
    plain = _PUNCTUATION.sub("", text)
    if plain.startswith(("+", "00")):
        digits = _without_prefix(_PUNCTUATION.sub("", text.replace("(0)", "", 1)))
    elif plain.startswith("011") and (country == "1" or len(plain) > _LONGEST_NATIONAL):
        digits = plain[3:]
    elif plain.startswith("0"):
        digits = country + plain[1:]
    elif len(plain) == 10:
        digits = country + plain
    else:
        digits = plain
    return digits if _is_number(digits) or is_iccid(digits) else Reason.BAD_DESTINATION


def is_iccid(text: str) -> bool:
    """True for the 18 to 20 digits, beginning with 89, that name a SIM (A-D3).

    The last of them is a check digit, or it is left out, or another is added: it is not checked.
    """
    return _ICCID.fullmatch(text) is not None


def _without_prefix(text: str) -> str:
    return text[1:] if text.startswith("+") else text.removeprefix("00")


def _all_digits(text: str) -> bool:
    return text.isdigit() and text.isascii()


def _is_short_code(text: str) -> bool:
    return 3 <= len(text) <= 7 and _all_digits(text)


def _is_number(digits: str) -> bool:
    return _MIN_DIGITS <= len(digits) <= MAX_DIGITS and _all_digits(digits) and digits[0] != "0"
