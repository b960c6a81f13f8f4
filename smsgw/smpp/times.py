"""Times of SMPP: absolute and relative (spec/smpp.md §10), and the dates of receipts (§11).

Milliseconds since 1970 UTC outside, octets inside. Relative times are counted by the calendar: a
month from 31 January is the last day of February.
"""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_FORM = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(?:(\d)(\d\d)([-+R]))?", re.ASCII)
_DATE = re.compile(rb"(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)?", re.ASCII)
_MAX_QUARTERS = 48  # twelve hours ahead or behind
DAY_MS = 86_400_000


def _year(two_digits: int) -> int:
    return two_digits + (2000 if two_digits <= 37 else 1900)


def _ms(when: datetime) -> int:
    return (when - _EPOCH) // _MS


def _at(ms: int) -> datetime:
    """The UTC time of ``ms``; ``ValueError`` if two digits cannot say its year."""
    try:
        when = _EPOCH + ms * _MS
    except OverflowError:
        raise ValueError(f"{ms} ms is no date") from None
    if not 1938 <= when.year <= 2037:
        raise ValueError(f"the year {when.year} does not fit in two digits")
    return when


def parse_time(octets: bytes, now_ms: int) -> int:
    """When a schedule_delivery_time, validity_period or final_date is; 0 if it is empty.

    Twelve digits alone are taken as UTC, as some clients send them. Raises ``ValueError`` for
    anything else.
    """
    if not octets:
        return 0
    match = _FORM.fullmatch(octets)
    if match is None:
        raise ValueError(f"{octets!r} is not YYMMDDhhmmsstnnp")
    years, months, days, hours, minutes, seconds = (int(group) for group in match.groups()[:6])
    tenths, quarters, sign = match.groups()[6:]
    if sign == b"R":
        if tenths != b"0" or quarters != b"00":
            raise ValueError(f"{octets!r}: a relative time ends in 000R")
        span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return _later(now_ms, 12 * years + months, span)
    try:
        when = datetime(_year(years), months, days, hours, minutes, seconds, tzinfo=UTC)
    except ValueError as wrong:
        raise ValueError(f"{octets!r}: {wrong}") from None
    if sign is None:
        return _ms(when)
    if int(quarters) > _MAX_QUARTERS:
        raise ValueError(f"{octets!r}: more than {_MAX_QUARTERS} quarters of an hour from UTC")
    ahead = int(quarters) * 900_000
    return _ms(when) + int(tenths) * 100 - (ahead if sign == b"+" else -ahead)


def _later(now_ms: int, months: int, span: timedelta) -> int:
    now = _EPOCH + now_ms * _MS
    year, month = divmod(now.year * 12 + now.month - 1 + months, 12)
    day = min(now.day, monthrange(year, month + 1)[1])
    return _ms(now.replace(year=year, month=month + 1, day=day) + span)


def format_absolute(ms: int) -> bytes:
    """16 octets in UTC, to a tenth of a second; empty for 0.

    Raises ``ValueError`` for years that two digits cannot say (before 1938, after 2037).
    """
    if not ms:
        return b""
    when = _at(ms)
    return f"{when:%y%m%d%H%M%S}{when.microsecond // 100_000}00+".encode()


def format_relative(ms: int) -> bytes:
    """16 octets for a span of ``ms``, rounded up to a second; empty for 0.

    Days go up to 99, so that what calendars differ in does not matter; longer spans are said in
    months of 30 days. Raises ``ValueError`` for a negative span and for one of more than 99 years.
    """
    if ms < 0:
        raise ValueError(f"{ms} ms is no span")
    if not ms:
        return b""
    rest, seconds = divmod(-(-ms // 1000), 60)
    rest, minutes = divmod(rest, 60)
    days, hours = divmod(rest, 24)
    years = months = 0
    if days > 99:
        years, days = divmod(days, 365)
        months, days = divmod(days, 30)
    if years > 99:
        raise ValueError(f"{ms} ms is more than 99 years")
    parts = (years, months, days, hours, minutes, seconds)
    return ("".join(f"{part:02d}" for part in parts) + "000R").encode()


def parse_date(octets: bytes) -> int:
    """A date of a receipt, ten digits or twelve, as UTC; 0 if it is none."""
    # What cannot be a date must not fill the cache with octets of any length.
    return _parse_date(octets) if len(octets) <= 12 else 0


@lru_cache(4096)
def _parse_date(octets: bytes) -> int:
    match = _DATE.fullmatch(octets)
    if match is None:
        return 0
    year, month, day, hour, minute, second = (int(group or 0) for group in match.groups())
    try:
        return _ms(datetime(_year(year), month, day, hour, minute, second, tzinfo=UTC))
    except ValueError:
        return 0


@lru_cache(4096)
def _date(seconds: int) -> str:
    return f"{_at(seconds * 1000):%y%m%d%H%M%S}"


def format_date(ms: int, seconds: bool) -> str:
    """A date of a receipt in UTC: twelve digits with seconds, ten without; zeros for 0."""
    text = _date(ms // 1000) if ms else "000000000000"
    return text if seconds else text[:10]
