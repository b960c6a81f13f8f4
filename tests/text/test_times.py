"""The times that websmpp writes."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.refusals import Reason, Refusal
from smsgw.text.times import LATEST_MS, SOONEST_MS, parse_schtime

NOW = datetime(2016, 5, 10, 0, 0, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
SCHTIME = "201605101422"


def ms(*fields: int, ahead: timedelta = timedelta(0)) -> int:
    """A local time at so much ahead of UTC."""
    return int(datetime(*fields, tzinfo=timezone(ahead)).timestamp() * 1000)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize("gmt", ["+0530", " 0530", "0530", "+05:30", "05:30"])
def test_a_plus_may_have_become_a_blank(gmt):
    """Test 7 of spec/ams-websmpp.md: all of them are the same time."""
    found = parse_schtime(SCHTIME, gmt, NOW_MS)
    assert found == ms(2016, 5, 10, 14, 22, ahead=timedelta(hours=5, minutes=30))


@pytest.mark.parametrize(
    ("gmt", "hours"), [("-0300", -3), ("-3", -3), ("+2", 2), ("2", 2), ("+0000", 0), ("-00", 0)]
)
def test_an_offset_may_be_short(gmt, hours):
    """W-D22: one or two digits are hours."""
    found = parse_schtime(SCHTIME, gmt, NOW_MS)
    assert found == ms(2016, 5, 10, 14, 22, ahead=timedelta(hours=hours))


def test_without_gmt_it_is_in_the_default_zone():
    """UTC, or the zone that the setting names."""
    assert parse_schtime(SCHTIME, "", NOW_MS) == ms(2016, 5, 10, 14, 22)
    found = parse_schtime(SCHTIME, " ", NOW_MS, ZoneInfo("Asia/Beirut"))
    assert found == ms(2016, 5, 10, 14, 22, ahead=timedelta(hours=3))


def test_gmt_without_schtime_is_ignored():
    """W-D23."""
    assert parse_schtime("", "nonsense", NOW_MS) == 0


@pytest.mark.parametrize(
    "schtime",
    ["20160510142", "2016051014222", "2016-05-10 14:22", "201613101422", "201602301422",
     "201605102422", "201605101460", "٢٠١٦٠٥١٠١٤٢٢", "000001010000", "999912312359"],
)  # fmt: skip
def test_what_is_no_date_is_refused(schtime):
    """Test 7: HTTP22."""
    found = parse_schtime(schtime, "", NOW_MS)
    assert isinstance(found, Refusal)
    assert found.reason is Reason.BAD_SCHEDULE
    assert found.reason.answer.websmpp == "HTTP22"


@pytest.mark.parametrize("gmt", ["+", "UTC", "+5x", "+053", "+1500", "+0560", "++0530", "+05:3"])
def test_what_is_no_offset_is_refused(gmt):
    """It is not guessed at."""
    assert isinstance(parse_schtime(SCHTIME, gmt, NOW_MS), Refusal)


def test_it_must_be_a_minute_ahead_and_not_more_than_30_days():
    """W-D23; both ends are allowed."""
    at = ms(2016, 5, 10, 14, 22)
    assert parse_schtime(SCHTIME, "", at - SOONEST_MS) == at
    assert isinstance(parse_schtime(SCHTIME, "", at - SOONEST_MS + 1), Refusal)
    assert parse_schtime(SCHTIME, "", at - LATEST_MS) == at
    assert isinstance(parse_schtime(SCHTIME, "", at - LATEST_MS - 1), Refusal)


@given(schtime=st.text(max_size=14), gmt=st.text(max_size=6))
def test_no_text_breaks_it(schtime, gmt):
    """Any two texts are a time, none, or a refusal."""
    found = parse_schtime(schtime, gmt, NOW_MS)
    assert isinstance(found, (int, Refusal))


@given(
    minutes=st.integers(1, 30 * 24 * 60),
    offset=st.integers(-14 * 60, 14 * 60),
)
def test_what_is_written_is_read(minutes, offset):
    """Every minute within the limits, at every offset."""
    local = (NOW + timedelta(minutes=minutes)).astimezone(timezone(timedelta(minutes=offset)))
    sign = "-" if offset < 0 else "+"
    gmt = f"{sign}{abs(offset) // 60:02d}{abs(offset) % 60:02d}"
    assert parse_schtime(f"{local:%Y%m%d%H%M}", gmt, NOW_MS) == NOW_MS + minutes * 60_000
