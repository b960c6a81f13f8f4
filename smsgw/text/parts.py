"""Long messages: capacities, user data headers, cutting into parts, joining (A-D22 to A-D25)."""

import codecs
from collections.abc import Callable, Iterator, Sequence

from smsgw.text.coding import Alphabet, alphabet
from smsgw.text.gsm import ESC

OCTETS = 140  # what one part carries on the air interface
MAX_PARTS = 255

_CONCAT_8 = 0x00
_CONCAT_16 = 0x08
_SEPTETS = frozenset({Alphabet.GSM, Alphabet.ASCII})
_MULTIBYTE = frozenset({Alphabet.JIS, Alphabet.KANJI_JIS, Alphabet.KSC5601})


def capacity(data_coding: int, header: int = 0) -> int:
    """How many octets one part carries after a user data header of ``header`` octets (A-D23).

    160 septets (one in each octet; ASCII counts as septets too), 140 octets, or 70 UCS-2 units of
    two octets.
    """
    form = alphabet(data_coding)
    room = max(0, OCTETS - header)
    if form in _SEPTETS:
        return room * 8 // 7
    return room & ~1 if form is Alphabet.UCS2 else room


def count(octets: bytes, data_coding: int, udh: bytes = b"") -> int:
    """How many parts ``split`` makes of ``octets``, or would (it may exceed ``MAX_PARTS``)."""
    if len(octets) <= capacity(data_coding, len(udh)) and len(udh) <= OCTETS:
        return 1
    return sum(1 for _ in _pieces(octets, data_coding, len(_concat(udh, 0, 0, 0))))


def split(
    octets: bytes, data_coding: int, reference: int, udh: bytes = b"", wide: bool = False
) -> list[bytes]:
    """The parts of ``octets``, each as it goes into short_message.

    What fits in one part is one item, with ``udh`` (the caller's header, its length octet
    included) in front. Otherwise each begins with a header that has the 8-bit concatenation
    element, of the low eight bits of ``reference`` (with ``wide`` that of 16), and then the
    elements of ``udh``. An ESC pair or a surrogate pair is never cut (A-D23). ValueError with
    the reason: malformed ``udh``, more than 255 parts, or a ``udh`` that has a concatenation
    element already or leaves no room.
    """
    if udh:
        _, rest = parse_udh(udh)
        if rest:
            raise ValueError(f"the UDH has {len(rest)} octets more than its length says")
        if len(udh) > OCTETS:
            raise ValueError(f"a UDH of {len(udh)} octets, {OCTETS} are possible")
    if len(octets) <= capacity(data_coding, len(udh)):
        return [udh + octets]
    pieces = list(_pieces(octets, data_coding, len(_concat(udh, 0, 0, 0, wide))))
    if len(pieces) > MAX_PARTS:
        raise ValueError(f"the message needs {len(pieces)} parts, {MAX_PARTS} are possible")
    total = len(pieces)
    return [
        _concat(udh, reference, total, number, wide) + piece
        for number, piece in enumerate(pieces, 1)
    ]


def _concat(udh: bytes, reference: int, total: int, number: int, wide: bool = False) -> bytes:
    """A header with the concatenation element in front of the elements of ``udh`` (A-D24)."""
    if udh and any(iei in (_CONCAT_8, _CONCAT_16) for iei, _ in elements(udh)):
        raise ValueError("the UDH has a concatenation element, so the message must fit in one part")
    if wide:
        element = bytes((_CONCAT_16, 4)) + (reference & 0xFFFF).to_bytes(2)
    else:
        element = bytes((_CONCAT_8, 3, reference & 0xFF))
    all = element + bytes((total, number)) + udh[1:]
    return bytes((len(all),)) + all


def _pieces(octets: bytes, data_coding: int, header: int) -> Iterator[bytes]:
    room = capacity(data_coding, header)
    if alphabet(data_coding) is Alphabet.ISO2022JP:
        try:
            yield from _shifted(octets.decode(Alphabet.ISO2022JP.value), room)
            return
        except UnicodeDecodeError:
            pass  # it is cut as it is
    whole = _WHOLE_CHARACTERS.get(alphabet(data_coding))
    start = 0
    while len(octets) - start > room:
        cut = start + room
        if whole is not None:
            cut = whole(octets, start, cut)
        if cut <= start:
            raise ValueError(f"a UDH of {header} octets leaves no room for text")
        yield octets[start:cut]
        start = cut
    yield octets[start:]


def _shifted(text: str, room: int) -> Iterator[bytes]:
    """Pieces in an alphabet with shift sequences, each of which begins and ends without one in
    force, so that a handset can read it by itself."""
    start = 0
    while True:
        shortest, longest = start + 1, min(len(text), start + room)
        while shortest < longest:
            middle = (shortest + longest + 1) // 2
            if len(text[start:middle].encode(Alphabet.ISO2022JP.value)) <= room:
                shortest = middle
            else:
                longest = middle - 1
        piece = text[start:shortest].encode(Alphabet.ISO2022JP.value)
        if len(piece) > room:
            raise ValueError(f"{room} octets leave no room for text")
        yield piece
        start = shortest
        if start >= len(text):
            return


def _gsm_cut(octets: bytes, start: int, cut: int) -> int:
    """``cut``, or one less if it parts an ESC from its code: then an odd run of ESCs ends there."""
    run = cut
    while run > start and octets[run - 1] == ESC:
        run -= 1
    return cut - (cut - run & 1)


def _ucs2_cut(octets: bytes, start: int, cut: int) -> int:
    """``cut``, or a unit less if it parts a surrogate pair."""
    if octets[cut - 2] & 0xFC == 0xD8 and octets[cut] & 0xFC == 0xDC and cut - 2 >= start:
        return cut - 2
    return cut


def _multibyte_cut(codec: str) -> Callable[[bytes, int, int], int]:
    def cut_before(octets: bytes, start: int, cut: int) -> int:
        decoder = codecs.getincrementaldecoder(codec)("replace")
        decoder.decode(octets[start:cut])
        return cut - len(decoder.getstate()[0])

    return cut_before


_WHOLE_CHARACTERS: dict[Alphabet, Callable[[bytes, int, int], int]] = {
    Alphabet.GSM: _gsm_cut,
    Alphabet.UCS2: _ucs2_cut,
    **{form: _multibyte_cut(form.value) for form in _MULTIBYTE},
}


def udh(octets: bytes) -> tuple[bytes, bytes]:
    """User data header (its length octet included) and what follows it.

    ``octets`` are the short_message of a PDU with UDHI. ValueError if the header is longer than
    they are, or its elements do not fill it exactly (A-D25).
    """
    if not octets:
        raise ValueError("no user data header: there are no octets")
    end = 1 + octets[0]
    if end > len(octets):
        raise ValueError(f"a user data header of {end} octets in {len(octets)} octets")
    header = octets[:end]
    at = 1
    while at < end:
        at = at + 2 + header[at + 1] if at + 1 < end else end + 1
    if at != end:
        raise ValueError("the elements of the user data header do not fill it exactly")
    return header, octets[end:]


parse_udh = udh  # ``split`` has a parameter of the shorter name


def elements(octets: bytes) -> list[tuple[int, bytes]]:
    """The elements (IEI, data) of the header that ``octets`` begin with; ValueError as ``udh``."""
    header, _ = parse_udh(octets)
    found = []
    at = 1
    while at < len(header):
        end = at + 2 + header[at + 1]
        found.append((header[at], header[at + 2 : end]))
        at = end
    return found


def concat(octets: bytes) -> tuple[int, int, int] | None:
    """Reference, number of parts, and number of this part (from 1), of a short_message with UDHI.

    None if it has no concatenation element. One that counts no parts, or stands outside of them,
    is ignored (``spec/smpp.md`` §12); so is a malformed header. The last one counts (3GPP TS
    23.040 §9.2.3.24).
    """
    if not octets:
        return None
    # Nearly every header is this one element.
    if octets[:3] == b"\x05\x00\x03" and len(octets) >= 6:
        reference, total, number = octets[3:6]
        return (reference, total, number) if 0 < number <= total else None
    try:
        listed = elements(octets)
    except ValueError:
        return None
    found = None
    for iei, data in listed:
        if (iei == _CONCAT_8 and len(data) == 3) or (iei == _CONCAT_16 and len(data) == 4):
            total, number = data[-2:]
            if 0 < number <= total:
                found = (int.from_bytes(data[:-2], "big"), total, number)
    return found


def without_concatenation(octets: bytes) -> bytes:
    """The header that ``octets`` begin with, without what only joins parts; empty if nothing is
    left. ValueError as ``udh``."""
    left = b"".join(
        bytes((iei, len(data))) + data
        for iei, data in elements(octets)
        if iei not in (_CONCAT_8, _CONCAT_16)
    )
    return bytes((len(left),)) + left if left else b""


def join(parts: Sequence[bytes], udhi: bool = True) -> bytes:
    """The octets of a message from its ``parts``, their headers taken off.

    The parts may come in any order, which their concatenation elements tell; a single part needs
    none. Without ``udhi`` they have no headers and stand in order. ValueError if parts are missing,
    double, or of different messages.
    """
    if not udhi:
        return b"".join(parts)
    if len(parts) == 1 and concat(parts[0]) is None:
        return parse_udh(parts[0])[1]
    placed: dict[int, bytes] = {}
    messages = set()
    for part in parts:
        place = concat(part)
        if place is None:
            raise ValueError("a part has no concatenation element")
        messages.add(place[:2])
        placed[place[2]] = parse_udh(part)[1]
    if len(messages) != 1:
        raise ValueError("the parts are of different messages")
    total = messages.pop()[1]
    if len(placed) != total or len(parts) != total:
        raise ValueError(f"{len(parts)} parts of {total}, {len(placed)} of them different")
    return b"".join(placed[number] for number in range(1, total + 1))
