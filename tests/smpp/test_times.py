"""Times of SMPP and dates of receipts."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgw.smpp import times
from smsgw.smpp.times import (
    DAY_MS,
    format_absolute,
    format_date,
    format_relative,
    parse_date,
    parse_time,
)

# A slow machine is no fault of the code.
LAW = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])


def ms(*when: int) -> int:
    return int(datetime(*when, tzinfo=UTC).timestamp()) * 1000  # type: ignore[misc,arg-type]


NOW = ms(2026, 1, 31, 12)
SPAN = st.integers(ms(1970, 1, 2) // 100, ms(2037, 12, 31) // 100)


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (b"", 0),
        (b"260314101502004+", ms(2026, 3, 14, 9, 15, 2)),  # the example of spec/smpp.md §10
        (b"260314101502004-", ms(2026, 3, 14, 11, 15, 2)),
        (b"260314101502500+", ms(2026, 3, 14, 10, 15, 2) + 500),
        (b"260314101502048+", ms(2026, 3, 13, 22, 15, 2)),
        (b"260314101502", ms(2026, 3, 14, 10, 15, 2)),
        (b"371231235959000+", ms(2037, 12, 31, 23, 59, 59)),
        (b"380101000000000+", ms(1938, 1, 1)),
        (b"000001000000000R", NOW + DAY_MS),
        (b"000000003000000R", NOW + 30 * 60_000),
        (b"000000480000000R", NOW + 2 * DAY_MS),
        (b"000100000000000R", ms(2026, 2, 28, 12)),  # calendar arithmetic
        (b"010100000000000R", ms(2027, 2, 28, 12)),
        (b"020100000000000R", ms(2028, 2, 29, 12)),
        (b"001101000000000R", ms(2027, 1, 1, 12)),
        (b"000000000000000R", NOW),
    ],
)
def test_time_is_read(octets: bytes, expected: int) -> None:
    """Absolute, relative and twelve-digit times (spec/smpp.md §10)."""
    assert parse_time(octets, NOW) == expected


@pytest.mark.parametrize(
    "octets",
    [
        b"0",
        b"2603141015",
        b"261301000000000+",
        b"260230000000000+",
        b"260314240000000+",
        b"260314101502049+",
        b"260314101502004*",
        b"260314101502 04+",
        b"000001000000100R",
        b"000001000000001R",
        b"260314101502004+0",
        b"\xd9\xa1" * 8,
    ],
)
def test_no_time(octets: bytes) -> None:
    """Anything else is refused, naming the octets."""
    with pytest.raises(ValueError, match="b'"):
        parse_time(octets, NOW)


@LAW
@given(SPAN)
def test_absolute_there_and_back(tenths: int) -> None:
    """An absolute time is kept to a tenth of a second."""
    octets = format_absolute(tenths * 100)
    assert len(octets) == 16
    assert parse_time(octets, NOW) == tenths * 100


@LAW
@given(st.integers(1, 99 * DAY_MS))
def test_relative_there_and_back(span: int) -> None:
    """A span up to 99 days is kept, rounded up to a second, wherever the calendar stands."""
    octets = format_relative(span)
    assert len(octets) == 16
    assert parse_time(octets, NOW) - NOW == -(-span // 1000) * 1000


@LAW
@given(st.integers(100 * DAY_MS, 36_000 * DAY_MS))
def test_long_relative_is_near(span: int) -> None:
    """A longer span is said in months and years, and is right to what calendars differ in."""
    read = parse_time(format_relative(span), NOW) - NOW
    assert abs(read - span) <= 12 * DAY_MS + span // 100


@LAW
@given(st.binary(max_size=17))
def test_any_octets(octets: bytes) -> None:
    """Any octets are a time or a ValueError."""
    with suppress(ValueError):
        parse_time(octets, NOW)


def test_formatting_limits() -> None:
    """Nothing stays nothing; what cannot be said in the form is refused."""
    assert format_absolute(0) == format_relative(0) == b""
    for year in (1937, 2038):
        with pytest.raises(ValueError, match="two digits"):
            format_absolute(ms(year, 6, 1))
    with pytest.raises(ValueError, match="is no date"):
        format_absolute(1 << 70)
    with pytest.raises(ValueError, match="no span"):
        format_relative(-1)
    with pytest.raises(ValueError, match="more than 99 years"):
        format_relative(100 * 365 * DAY_MS)


@LAW
@given(SPAN)
def test_date_there_and_back(tenths: int) -> None:
    """Dates of receipts in twelve digits keep the second, in ten the minute; both are UTC."""
    when = tenths * 100
    assert parse_date(format_date(when, True).encode()) == when // 1000 * 1000
    assert parse_date(format_date(when, False).encode()) == when // 60_000 * 60_000


@pytest.mark.parametrize(
    "octets", [b"", b"0000000000", b"000000000000", b"26031410", b"soon", b"2602301015"]
)
def test_no_date(octets: bytes) -> None:
    """What is no date is 0: a receipt is not lost for it."""
    assert parse_date(octets) == 0


def test_octets_of_any_length_are_not_kept() -> None:
    """What is too long for a date is none, and does not stay in memory."""
    before = times._parse_date.cache_info().currsize
    assert parse_date(b"2" * 60_000) == 0
    assert times._parse_date.cache_info().currsize == before


def test_missing_date_is_zeros() -> None:
    """A missing date is written as zeros."""
    assert format_date(0, True) == "000000000000"
    assert format_date(0, False) == "0000000000"
