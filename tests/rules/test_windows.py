"""Send windows: hours of the destination, in its own time zone."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.rules import windows
from smsgw.rules.windows import SendHours, next_opening, zones

LONDON = "442079460000"
PARIS = "33612345678"
NEW_YORK = "12125550123"


def ms(text: str, zone: str = "UTC") -> int:
    """A time of the day in a zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()) * 1000


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (LONDON, {"Europe/London"}),
        (PARIS, {"Europe/Paris"}),
        (NEW_YORK, {"America/New_York"}),
        ("447700900123", {"Europe/London", "Europe/Guernsey", "Europe/Isle_of_Man"}),
        ("999", {"UTC"}),
        ("0", {"UTC"}),
    ],
)
def test_a_number_tells_its_time_zone(destination: str, expected: set[str]) -> None:
    """By the numbering plan; those of a country that has several if it could be any of them; UTC
    if nobody knows."""
    assert {zone.key for zone in zones(destination)} == expected


@given(st.from_regex(r"[0-9]{1,20}", fullmatch=True))
def test_any_number_has_a_time_zone(destination: str) -> None:
    """One at least."""
    assert zones(destination)


def test_inside_the_hours_a_message_goes_at_once() -> None:
    """From the first minute to before the last."""
    hours = SendHours({"": "08:00-20:00"})
    for text in ("2026-01-15 08:00", "2026-01-15 12:00", "2026-01-15 19:59:59"):
        assert hours.opening(LONDON, ms(text)) == ms(text)


def test_outside_them_it_goes_when_they_begin() -> None:
    """Today, or tomorrow; in the zone of the destination, which may be on another day."""
    hours = SendHours({"": "08:00-20:00"})
    assert hours.opening(LONDON, ms("2026-01-15 20:00")) == ms("2026-01-16 08:00")
    assert hours.opening(LONDON, ms("2026-01-15 02:00")) == ms("2026-01-15 08:00")
    assert hours.opening(LONDON, ms("2026-07-15 02:00")) == ms("2026-07-15 07:00")
    assert hours.opening(PARIS, ms("2026-01-15 02:00")) == ms("2026-01-15 07:00")
    assert hours.opening(NEW_YORK, ms("2026-01-15 02:00")) == ms("2026-01-15 13:00")


def test_hours_may_span_midnight() -> None:
    """Such as those of a night service."""
    hours = SendHours({"": "22:00-06:00"})
    assert hours.opening(LONDON, ms("2026-01-15 23:00")) == ms("2026-01-15 23:00")
    assert hours.opening(LONDON, ms("2026-01-15 05:59")) == ms("2026-01-15 05:59")
    assert hours.opening(LONDON, ms("2026-01-15 06:00")) == ms("2026-01-15 22:00")


def test_the_longest_leading_digits_hold() -> None:
    """What none of them matches goes at once."""
    hours = SendHours({"44": "08:00-09:00", "4420": "10:00-11:00"})
    at = ms("2026-01-15 07:00")
    assert hours.opening(LONDON, at) == ms("2026-01-15 10:00")
    assert hours.opening("447700900123", at) == ms("2026-01-15 08:00")
    assert hours.opening(PARIS, at) == at


def test_a_short_code_is_at_home() -> None:
    """It has the hours of all destinations in the zone given, not those of digits like its own."""
    hours = SendHours({"7": "01:00-02:00", "": "08:00-20:00"})
    at = ms("2026-01-15 02:00")
    assert hours.opening("70000", at, "Europe/Paris") == ms("2026-01-15 07:00")
    assert SendHours({"7": "01:00-02:00"}).opening("70000", at, "Europe/Paris") == at


def test_a_number_of_several_zones_is_reached_when_all_are_open() -> None:
    """A Russian mobile number may be in Kaliningrad or in Kamchatka."""
    several = zones("79001234567")
    assert len(several) > 5
    opens = SendHours({"": "08:00-20:00"}).opening("79001234567", ms("2026-01-15 12:00"))
    for zone in several:
        assert 8 <= datetime.fromtimestamp(opens / 1000, zone).hour < 20


def test_zones_without_common_hours_are_counted_to_the_first() -> None:
    """A toll-free number of North America, from Guam to Samoa: it is not held back for ever."""
    where = zones("18005551234")
    hours = SendHours({"": "12:00-14:00"})
    at = ms("2026-01-15 09:00")
    for _ in range(2):
        opens = hours.opening("18005551234", at)
        assert datetime.fromtimestamp(opens / 1000, where[0]).hour == 12
        assert at < opens <= at + 24 * 3600_000
    assert hours.opening("18005551234", opens) == opens


ZONES = st.lists(
    st.sampled_from(
        [
            "UTC",
            "Europe/London",
            "America/New_York",
            "America/St_Johns",
            "Asia/Kathmandu",
            "Australia/Lord_Howe",
            "Pacific/Apia",
        ]
    ),
    min_size=1,
    max_size=3,
    unique=True,
)
# Clocks are changed at night: hours that begin in the daytime begin every day.
TIMES = st.integers(4 * 60, 24 * 60 - 1)


@given(ZONES, TIMES, TIMES, st.integers(ms("2026-01-01"), ms("2027-12-31")))
def test_the_opening_is_the_first_minute_that_is_open_everywhere(
    names: list[str], begin: int, end: int, at: int
) -> None:
    """As one finds it who looks at every minute of two days."""
    if begin == end:
        return
    where = tuple(map(ZoneInfo, names))
    span = (begin, end)
    at = at // 60_000 * 60_000
    minutes = range(at + 60_000, at + 48 * 3600_000 + 1, 60_000)
    if windows._open(span, where, at):
        return
    expected = next((one for one in minutes if windows._open(span, where, one)), None)
    found = next_opening(span, where, at)
    assert found == expected or (len(where) == 1 and expected is None)


@given(
    st.lists(st.integers(0, 72 * 60), min_size=1, max_size=20),
    st.sampled_from([LONDON, PARIS, NEW_YORK, "79001234567", "447700900123"]),
)
def test_what_is_remembered_changes_nothing(minutes: list[int], destination: str) -> None:
    """In whatever order the times are asked for."""
    begin = datetime(2026, 3, 27, tzinfo=UTC)
    hours = SendHours({"": "08:30-20:00"})
    for minute in minutes:
        at = int((begin + timedelta(minutes=minute)).timestamp()) * 1000
        assert hours.opening(destination, at) == SendHours({"": "08:30-20:00"}).opening(
            destination, at
        )
