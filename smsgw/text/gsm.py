"""The GSM 03.38 alphabet: characters to septets and back, unpacked and packed."""

import codecs
import re

ESC = 0x1B

# Position = septet (spec/smpp.md §13); U+FFFE marks a position that stands for no character.
BASE = (
    "@£$¥èéùìòÇ\nØø\rÅå"
    "Δ_ΦΓΛΩΠΨΣΘΞ\ufffeÆæßÉ"
    " !\"#¤%&'()*+,-./"
    "0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNO"
    "PQRSTUVWXYZÄÖÑÜ§"
    "¿abcdefghijklmno"
    "pqrstuvwxyzäöñüà"
)
EXTENSION = {
    0x0A: "\f",
    0x14: "^",
    0x28: "{",
    0x29: "}",
    0x2F: "\\",
    0x3C: "[",
    0x3D: "~",
    0x3E: "]",
    0x40: "|",
    0x65: "€",
}

# An octet above 0x7F is no septet: it is shown as U+FFFD rather than guessed.
_DECODING = BASE.replace("\ufffe", "\x1b") + "\ufffd" * 128
_WHOLE: dict[int, int | bytes] = {
    **{ord(character): septet for septet, character in enumerate(BASE) if septet != ESC},
    **{ord(character): bytes((ESC, code)) for code, character in EXTENSION.items()},
}
# Most texts are Latin-1, for which one table of octets does; 0xFF sends a text to the whole table.
_BY_LATIN1 = bytes(
    septet if isinstance(septet := _WHOLE.get(code), int) else 0xFF for code in range(256)
)
_AFTER_ESC = {
    # ESC ESC is reserved for one more table; 3GPP TS 23.038 §6.2.1.1 lets a reader show a space.
    "\x1b": " ",
    **{BASE[code]: character for code, character in EXTENSION.items()},
}
_PAIR = re.compile("\x1b(.?)", re.DOTALL)


def encode(text: str) -> bytes | None:
    """The septets of ``text``, one in each octet; None if a character is in neither table.

    A character of the extension table becomes two septets, ESC and its code (``spec/smpp.md`` §13).
    """
    try:
        octets = text.encode("latin-1").translate(_BY_LATIN1)
    except UnicodeEncodeError:
        octets = b"\xff"
    if 0xFF not in octets:
        return octets
    try:
        return codecs.charmap_encode(text, "strict", _WHOLE)[0]
    except UnicodeEncodeError:
        return None


def decode(octets: bytes) -> str:
    """The text of unpacked septets; never fails (``spec/smpp.md`` §13).

    An unknown code after ESC shows the base table's character, a trailing ESC is dropped,
    an octet above 0x7F becomes U+FFFD.
    """
    text = codecs.charmap_decode(octets, "strict", _DECODING)[0]
    return _PAIR.sub(_after_esc, text) if ESC in octets else text


def _after_esc(pair: re.Match[str]) -> str:
    character = pair.group(1)
    return _AFTER_ESC.get(character, character)


def outside(text: str) -> str:
    """The first character of ``text`` in neither table; an empty string if there is none."""
    return next((character for character in text if ord(character) not in _WHOLE), "")


def septets(text: str) -> int:
    """How many septets ``text`` takes; ValueError if a character is in neither table."""
    octets = encode(text)
    if octets is None:
        raise ValueError(f"{outside(text)!r} is not in the GSM alphabet")
    return len(octets)


def pack(octets: bytes, fill: int = 0) -> bytes:
    """Septets packed into octets, as on the air interface (``spec/smpp.md`` §13).

    Septet i begins at bit ``fill`` + 7 i, least significant bit first; ``fill`` (0 to 6) bits of
    zero come first, which is what puts text after a user data header on a septet boundary.
    ValueError for an octet above 0x7F.
    """
    packed = bytearray()
    bits, held = 0, fill
    for octet in octets:
        if octet > 0x7F:
            raise ValueError(f"0x{octet:02X} is no septet")
        bits |= octet << held
        held += 7
        while held >= 8:
            packed.append(bits & 0xFF)
            bits >>= 8
            held -= 8
    if held:
        packed.append(bits)
    return bytes(packed)


def unpack(octets: bytes, count: int | None = None, fill: int = 0) -> bytes:
    """The septets of packed octets, one in each octet; the inverse of ``pack``.

    ``count`` is how many there are: seven spare bits at the end look like one more ``@``, so only
    the length that travels with the octets can tell. None takes all that fit. ValueError if
    ``octets`` are fewer than ``count`` needs.
    """
    room = max(0, len(octets) * 8 - fill) // 7
    wanted = room if count is None else count
    if wanted > room:
        raise ValueError(f"{wanted} septets do not fit in {len(octets)} octets")
    septets_ = bytearray()
    bits, held = 0, -fill
    for octet in octets:
        # Fill bits make ``held`` negative at first: they are shifted out, not kept.
        bits |= octet << held if held >= 0 else octet >> -held
        held += 8
        while held >= 7 and len(septets_) < wanted:
            septets_.append(bits & 0x7F)
            bits >>= 7
            held -= 7
    return bytes(septets_)
