"""Long messages: capacities, cutting, joining, and user data headers of any kind."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.text import coding, gsm, parts

GSM_TEXT = st.text(st.sampled_from("abc@€[]{}~^\\|é\n "), max_size=800)
UCS2_TEXT = st.text(st.sampled_from("aж漢😀🎉"), max_size=400)
PORTS = bytes.fromhex("06050415811581")  # 16-bit port addressing


@pytest.mark.parametrize(
    ("data_coding", "header", "octets"),
    [
        (0, 0, 160),
        (0, 6, 153),
        (0, 7, 152),
        (0x10, 0, 160),
        (4, 0, 140),
        (4, 6, 134),
        (4, 7, 133),
        (3, 0, 140),
        (8, 0, 140),
        (8, 6, 134),
        (8, 7, 132),
        (0, 140, 0),
        (8, 200, 0),
    ],
)
def test_capacities(data_coding, header, octets):
    """A-D23: 160/153 septets, 140/134 octets, 70/67 units, less by the caller's header."""
    assert parts.capacity(data_coding, header) == octets


def test_what_fits_is_one_part_without_header():
    """160 septets are one part as they are, 161 are two."""
    assert parts.split(b"a" * 160, 0, 7) == [b"a" * 160]
    assert parts.split(b"a" * 161, 0, 7) == [
        b"\x05\x00\x03\x07\x02\x01" + b"a" * 153,
        b"\x05\x00\x03\x07\x02\x02" + b"a" * 8,
    ]
    assert parts.split(b"", 0, 7) == [b""]


@given(GSM_TEXT, st.integers(0, 1 << 40))
def test_gsm_parts_join_and_cut_no_escaped_pair(text, reference):
    """Split then join is identity, each part is readable alone and within 153 septets."""
    octets = gsm.encode(text)
    cut = parts.split(octets, coding.GSM, reference)
    assert parts.join(cut, udhi=len(cut) > 1) == octets
    assert parts.count(octets, coding.GSM) == len(cut)
    if len(cut) > 1:
        pieces = [parts.udh(part)[1] for part in cut]
        assert all(len(piece) <= 153 for piece in pieces)
        assert "".join(gsm.decode(piece) for piece in pieces) == text
        assert [parts.concat(part) for part in cut] == [
            (reference & 0xFF, len(cut), number) for number in range(1, len(cut) + 1)
        ]


@given(UCS2_TEXT)
def test_ucs2_parts_join_and_cut_no_surrogate_pair(text):
    """Split then join is identity, each part is readable alone and within 67 units."""
    octets = coding.encode(text, coding.UCS2)
    cut = parts.split(octets, coding.UCS2, 1)
    assert parts.join(cut, udhi=len(cut) > 1) == octets
    assert parts.count(octets, coding.UCS2) == len(cut)
    if len(cut) > 1:
        pieces = [parts.udh(part)[1] for part in cut]
        assert all(len(piece) <= 134 for piece in pieces)
        assert "".join(piece.decode("utf-16-be") for piece in pieces) == text


@given(st.binary(max_size=1000), st.integers(0, 255), st.sampled_from([b"", PORTS]))
def test_any_octets_of_any_coding_are_cut_within_capacity(octets, data_coding, header):
    """No octets crash it; no part is over the capacity; joined again they are the same."""
    cut = parts.split(octets, data_coding, 9, header)
    assert parts.count(octets, data_coding, header) == len(cut)
    if len(cut) == 1:
        assert cut == [header + octets]
    else:
        assert parts.join(cut) == octets
        for part in cut:
            head, piece = parts.udh(part)
            assert len(piece) <= parts.capacity(data_coding, len(head))
            assert head.endswith(header[1:])


@pytest.mark.parametrize(
    ("codec", "data_coding"), [("shift_jis", 5), ("euc_kr", 14), ("euc_jp", 13)]
)
def test_a_character_of_two_octets_is_not_cut(codec, data_coding):
    """Each part of a text of the far East is readable alone."""
    text = ("a" + "漢字" * 60) * 2
    cut = parts.split(text.encode(codec), data_coding, 1)
    assert len(cut) > 1
    assert "".join(parts.udh(part)[1].decode(codec) for part in cut) == text


def test_a_run_of_escapes_is_read_in_pairs():
    """ESC ESC is a pair of its own: only an odd run at the end of a part belongs to the next."""
    octets = b"a" * 151 + b"\x1b\x1b" + b"e" * 20
    assert parts.udh(parts.split(octets, 0, 1)[1])[1] == b"e" * 20
    octets = b"a" * 152 + b"\x1be" * 10
    assert parts.udh(parts.split(octets, 0, 1)[0])[1] == b"a" * 152


def test_255_parts_are_the_most():
    """The element counts to 255; more is refused with the number, and counted all the same."""
    assert len(parts.split(b"a" * 153 * 255, 0, 1)) == 255
    with pytest.raises(ValueError, match="needs 256 parts, 255 are possible"):
        parts.split(b"a" * (153 * 255 + 1), 0, 1)
    assert parts.count(b"a" * (153 * 255 + 1), 0) == 256


def test_the_callers_header_stays_behind_the_concatenation_element():
    """A-D24: our element in front, the caller's after it, in every part."""
    first, second = parts.split(b"x" * 140, 4, 5, PORTS)
    assert first[:12] == bytes.fromhex("0b 00 03 05 02 01 05 04 1581 1581")
    assert len(first) == 140
    assert parts.concat(second) == (5, 2, 2)
    assert parts.split(b"x" * 133, 4, 5, PORTS) == [PORTS + b"x" * 133]


@pytest.mark.parametrize(
    ("octets", "header", "reason"),
    [
        (b"x" * 141, bytes.fromhex("050003010101"), "concatenation element"),
        (b"x" * 141, bytes.fromhex("06080400010101"), "concatenation element"),
        (b"x", b"\x05\x00\x03\x01", "header of 6 octets in 4"),
        (b"x", PORTS + b"a", "1 octets more than its length says"),
        (b"x", b"\x03\x00\x03\x01", "do not fill it exactly"),
        (b"x", b"\x01\x00", "do not fill it exactly"),
        (b"x", bytes((140, 0x70, 138)) + bytes(138), "UDH of 141 octets, 140 are possible"),
        (b"xx", bytes((138, 0x70, 136)) + bytes(136), "leaves no room"),
    ],
)
def test_a_header_that_cannot_be_is_refused_with_the_reason(octets, header, reason):
    """A-D24, A-D25: the error says what is wrong with the caller's header."""
    with pytest.raises(ValueError, match=reason):
        parts.split(octets, 4, 1, header)


@pytest.mark.parametrize(
    ("octets", "place"),
    [
        (bytes.fromhex("050003aa0301") + b"text", (0xAA, 3, 1)),
        (bytes.fromhex("060804abcd0302") + b"text", (0xABCD, 3, 2)),
        (bytes.fromhex("0b 05 04 1581 1581 00 03 aa 02 02") + b"text", (0xAA, 2, 2)),
        (bytes.fromhex("0a 00 03 01 02 01 00 03 07 02 02") + b"text", (7, 2, 2)),
        (PORTS + b"text", None),
        (bytes.fromhex("050003aa0001"), None),  # of 0 parts
        (bytes.fromhex("050003aa0300"), None),  # part 0
        (bytes.fromhex("050003aa0304"), None),  # part 4 of 3
        (bytes.fromhex("0a 00 03 07 02 02 00 03 01 00 00"), (7, 2, 2)),
        (bytes.fromhex("0500030101"), None),  # cut off
        (bytes.fromhex("00") + b"text", None),
        (b"", None),
    ],
)
def test_concatenation_elements(octets, place):
    """Both references, anywhere in the header, the last good one; nonsense is ignored."""
    assert parts.concat(octets) == place


@given(st.binary(max_size=40))
def test_any_octets_are_read_as_header_or_refused(octets):
    """Header and rest are the octets; elements rebuild the header; else a ValueError."""
    try:
        header, rest = parts.udh(octets)
    except ValueError:
        assert parts.concat(octets) is None
    else:
        assert header + rest == octets
        listed = parts.elements(octets)
        rebuilt = b"".join(bytes((iei, len(data))) + data for iei, data in listed)
        assert header[1:] == rebuilt


@given(st.permutations(range(5)))
def test_parts_are_joined_in_any_order(order):
    """The order of arrival does not matter."""
    cut = parts.split(bytes(range(256)) * 2 + bytes(100), 4, 1)
    assert len(cut) == 5
    assert parts.join([cut[number] for number in order]) == bytes(range(256)) * 2 + bytes(100)


def test_parts_that_do_not_belong_together_are_not_joined():
    """Missing, double, foreign and headless parts are errors."""
    first, second, third = parts.split(bytes(300), 4, 1)
    foreign = parts.split(bytes(300), 4, 2)[2]
    with pytest.raises(ValueError, match="2 parts of 3"):
        parts.join([first, third])
    with pytest.raises(ValueError, match="3 parts of 3, 2 of them different"):
        parts.join([first, second, second])
    with pytest.raises(ValueError, match="different messages"):
        parts.join([first, second, foreign])
    with pytest.raises(ValueError, match="no concatenation element"):
        parts.join([first, PORTS])


def test_a_single_part_with_a_header_loses_it():
    """A message of one part may have a header of another purpose."""
    assert parts.join([PORTS + b"text"]) == b"text"
    assert parts.join([b"text"], udhi=False) == b"text"


@given(st.text(st.sampled_from("漢字かなカナabc 123"), min_size=1, max_size=600))
def test_parts_with_shift_sequences_can_be_read_by_themselves(text):
    """ISO-2022-JP: no part begins within a shift, and together they are the text."""
    pieces = parts.split(coding.encode(text, 10), 10, 7)
    texts = [one if len(pieces) == 1 else parts.udh(one)[1] for one in pieces]
    assert all(len(one) <= parts.OCTETS for one in pieces)
    assert "".join(coding.decode(10, one) for one in texts) == text
    assert parts.count(coding.encode(text, 10), 10) == len(pieces)
