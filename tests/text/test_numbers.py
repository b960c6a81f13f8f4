"""Addresses: detection of a source's TON, destinations in digits, numbers as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.refusals import Reason
from smsgw.text import numbers

COUNTRY = "44"
anything = st.one_of(st.text(), st.text(st.sampled_from("+0123456789 -()a\n٣"), max_size=20))
tons = st.integers(0, 255)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Example", ("Example", 5, 0)),  # (a)
        ("4You", ("4You", 5, 0)),
        ("12 34", ("12 34", 5, 0)),
        ("+4917604069001", ("4917604069001", 1, 1)),  # (b)
        ("004917604069001", ("4917604069001", 1, 1)),
        ("80888", ("80888", 3, 0)),  # (c)
        ("123", ("123", 3, 0)),
        ("1234567", ("1234567", 3, 0)),
        ("0123456", ("0123456", 3, 0)),
        ("017604069001", ("4417604069001", 1, 1)),  # (d), ruling 10
        ("12345678", ("12345678", 1, 1)),  # (e)
        ("123456789012345", ("123456789012345", 1, 1)),
    ],
)
def test_ton_is_detected(text, source):
    """L-D16, rules (a) to (e), in their order."""
    assert numbers.detect_source(text, 0, COUNTRY) == source


@pytest.mark.parametrize(
    "text",
    ["", "+", "12", "1234567890123456", "+1234567", "+0123456789", "001234567", "0" * 9]
    + ["Twelve chars", "[€][€]", "Жук", "two\nline", "a\x00", "٣٣٣٣٣٣٣٣"],
)
def test_what_no_rule_takes_is_no_source(text):
    """L-D16 (f): refused, also eleven septets exceeded, and control characters."""
    assert numbers.detect_source(text, 0, COUNTRY) is Reason.BAD_SOURCE


@pytest.mark.parametrize("text", ["Café", "£500", "Ünal", "Ω", "Ñandú", "ACME\u00a0"])
@pytest.mark.parametrize("ton", [0, 5])
def test_an_alphanumeric_source_is_ascii(text, ton):
    """As in SMPP's C-octet strings: another letter would reach the handset as a question mark."""
    assert numbers.detect_source(text, ton, COUNTRY) is Reason.BAD_SOURCE


@pytest.mark.parametrize(
    ("text", "ton", "source"),
    [
        ("447700900123", 1, ("447700900123", 1, 1)),
        ("+447700900123", 1, ("447700900123", 1, 1)),
        ("00447700900123", 1, ("447700900123", 1, 1)),
        ("07700900123", 2, ("447700900123", 1, 1)),
        ("7700900123", 2, ("447700900123", 1, 1)),
        ("80888", 3, ("80888", 3, 0)),
        ("ACME", 5, ("ACME", 5, 0)),
        ("12345", 5, ("12345", 5, 0)),
        ("12345678", 3, Reason.BAD_SOURCE),
        ("ACME", 3, Reason.BAD_SOURCE),
        ("ACME", 1, Reason.BAD_SOURCE),
        ("07700900123", 1, Reason.BAD_SOURCE),
        ("", 2, Reason.BAD_SOURCE),
        ("", 5, Reason.BAD_SOURCE),
        ("1234", 4, Reason.BAD_SOURCE_TON),
        ("447700900123", 6, Reason.BAD_SOURCE_TON),
        ("447700900123", 7, Reason.BAD_SOURCE_TON),
    ],
)
def test_a_given_ton_is_checked(text, ton, source):
    """L-D17 and L-D18: the text must be what the TON says; 4 and 6 are not taken."""
    assert numbers.detect_source(text, ton, COUNTRY) == source


@pytest.mark.parametrize(
    ("text", "ton", "destination"),
    [
        ("447700900123", 1, "447700900123"),
        ("447700900123", 0, "447700900123"),
        ("+447700900123", 0, "447700900123"),
        ("00447700900123", 0, "447700900123"),
        ("07700900123", 0, "447700900123"),
        ("07700900123", 2, "447700900123"),
        ("7700900123", 2, "447700900123"),
        ("123", 0, "123"),
        ("80888", 3, "80888"),
        ("123456789012345", 1, "123456789012345"),
        ("80888888", 3, Reason.BAD_DESTINATION),
        ("", 0, Reason.BAD_DESTINATION),
        ("", 2, Reason.BAD_DESTINATION),
        ("12", 0, Reason.BAD_DESTINATION),
        ("1234567890123456", 0, Reason.BAD_DESTINATION),
        ("+0123456", 0, Reason.BAD_DESTINATION),
        ("07700900123", 1, Reason.BAD_DESTINATION),
        ("44 7700 900123", 1, Reason.BAD_DESTINATION),
        ("ACME", 0, Reason.BAD_DESTINATION),
        ("٤٤٧٧٠٠٩٠٠١٢٣", 0, Reason.BAD_DESTINATION),
        ("1234", 4, Reason.BAD_DESTINATION_TON),
        ("ACME", 5, Reason.BAD_DESTINATION_TON),
        ("447700900123", 6, Reason.BAD_DESTINATION_TON),
    ],
)
def test_destinations(text, ton, destination):
    """Digits without prefix, national ones converted, 3 to 15 of them, or the reason."""
    assert numbers.normalise_destination(text, ton, COUNTRY) == destination


@pytest.mark.parametrize(
    ("text", "country", "destination"),
    [
        ("+44 7700 900123", "44", "447700900123"),
        ("+44 (0)7700 900123", "44", "447700900123"),
        ("(+44) 7700/900-123", "44", "447700900123"),
        ("0044 7700 900123", "44", "447700900123"),
        ("07700 900123", "44", "447700900123"),
        ("7700 900123", "44", "447700900123"),
        ("447700900123", "44", "447700900123"),
        ("(555) 010-1234", "1", "15550101234"),
        ("1-555-010-1234", "1", "15550101234"),
        ("011 44 7700 900123", "1", "447700900123"),
        ("011 44 7700 900123", "44", "447700900123"),
        ("0113 496 0000", "44", "441134960000"),  # Leeds
        ("80888", "44", "80888"),
        ("", "44", Reason.BAD_DESTINATION),
        ("+", "44", Reason.BAD_DESTINATION),
        ("12", "44", Reason.BAD_DESTINATION),
        ("44+7700900123", "44", Reason.BAD_DESTINATION),
        ("0800 FLOWERS", "44", Reason.BAD_DESTINATION),
    ],
)
def test_numbers_as_people_write_them(text, country, destination):
    """destinationFormat 1 of spec/aerialink.md 4.3."""
    assert numbers.friendly(text, country) == destination


def test_a_sim_is_named_by_its_iccid():
    """18 to 20 digits that begin with 89, as a destination; whatever its check digit (A-D3)."""
    for text in ("894450010219830482", "8944500102198304826", "89445001021983048260"):
        assert numbers.normalise_destination(text, 0, COUNTRY) == text
        assert numbers.normalise_destination(text, 1, COUNTRY) == text
        assert numbers.friendly(f"{text[:4]} {text[4:]}", COUNTRY) == text
        assert numbers.is_iccid(text)
    for text in ("89445001021983048", "894450010219830482600", "884450010219830482"):
        assert numbers.normalise_destination(text, 0, COUNTRY) is Reason.BAD_DESTINATION
        assert numbers.friendly(text, COUNTRY) is Reason.BAD_DESTINATION
    assert numbers.detect_source("8944500102198304826", 1, COUNTRY) is Reason.BAD_SOURCE


@given(anything, tons, st.sampled_from(["44", "1", "372"]))
def test_any_source_is_taken_or_refused_with_a_reason(text, ton, country):
    """Values, never an exception; what is taken is taken again unchanged."""
    source = numbers.detect_source(text, ton, country)
    if isinstance(source, Reason):
        assert source in (Reason.BAD_SOURCE, Reason.BAD_SOURCE_TON)
    else:
        assert numbers.detect_source(source[0], source[1], country) == source
        assert source[0].isprintable()


@given(anything, tons, st.sampled_from(["44", "1", "372"]))
def test_any_destination_is_taken_or_refused_with_a_reason(text, ton, country):
    """Values, never an exception; what is taken is 3 to 15 plain digits, or an ICCID."""
    for destination in (
        numbers.normalise_destination(text, ton, country),
        numbers.friendly(text, country),
    ):
        if isinstance(destination, Reason):
            assert destination in (Reason.BAD_DESTINATION, Reason.BAD_DESTINATION_TON)
        else:
            assert 3 <= len(destination) <= 15 or numbers.is_iccid(destination)
            assert set(destination) <= set("0123456789")
