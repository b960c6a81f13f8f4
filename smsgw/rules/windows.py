"""Send windows: when the hours begin in which a destination may get messages, in its own time."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo

from smsgw.provisioning.conditions import minutes

_HOUR_MS = 3600_000
_AHEAD_MS = 48 * _HOUR_MS  # in which hours common to all zones of a number are looked for
_LEADING = 8  # digits of a number that its time zones are told by
_REMEMBERED = 10_000

Span = tuple[int, int]  # minutes from midnight
Zones = tuple[ZoneInfo, ...]
Key = TypeVar("Key")
Value = TypeVar("Value")


class SendHours:
    """An account's hours by leading digits of destinations; the longest that match hold."""

    def __init__(self, hours: Mapping[str, str]) -> None:
        """``hours``: leading digits -> a span of the day (``provisioning.conditions.hours``)."""
        self._spans = {prefix: minutes(span) for prefix, span in hours.items()}
        self._lengths = sorted({len(prefix) for prefix in hours}, reverse=True)
        # What was found out last: between these two times all is closed, and then it opens. So
        # what is handed in at night is looked up once.
        self._closed: dict[tuple[Span, Zones], tuple[int, int]] = {}
        # Until when the zones are known to have no hours in common.
        self._apart: dict[tuple[Span, Zones], int] = {}
        # The numbering plan takes a moment to load, and here nobody waits for it.
        zones("1")

    def opening(self, destination: str, at_ms: int, home: str = "") -> int:
        """``at_ms`` if the destination may get a message then, else when it may next; both are ms
        since 1970 UTC.

        ``destination`` is in international digits. A short code or SIM tells no time zone:
        ``home`` is the zone that it is counted to, and only the hours of all destinations hold.
        """
        span = self._span("" if home else destination)
        if span is None:
            return at_ms
        where = (ZoneInfo(home),) if home else zones(destination)
        if len(where) > 1 and self._apart.get((span, where), 0) > at_ms:
            where = where[:1]
        if _open(span, where, at_ms):
            return at_ms
        begun, opens = self._closed.get((span, where), (0, 0))
        if begun <= at_ms < opens:
            return opens
        return self._look_up(span, where, at_ms)

    def _look_up(self, span: Span, where: Zones, at_ms: int) -> int:
        opens = next_opening(span, where, at_ms)
        if opens is None:
            # Not asked again for a day; the first of the zones stands for all.
            _remember(self._apart, (span, where), at_ms + _AHEAD_MS // 2)
            if _open(span, where[:1], at_ms):
                return at_ms
            return self._look_up(span, where[:1], at_ms)
        _remember(self._closed, (span, where), (at_ms, opens))
        return opens

    def _span(self, destination: str) -> Span | None:
        for length in self._lengths:
            if length <= len(destination):
                span = self._spans.get(destination[:length])
                if span is not None:
                    return span
        return None


def next_opening(span: Span, where: Zones, at_ms: int) -> int | None:
    """When the hours begin next in all zones at once, in ms since 1970 UTC; None if not within 48
    hours (for one zone: never None)."""
    # Zones that have the same time then are as good as one.
    apart = {_offsets(zone, at_ms): zone for zone in reversed(where)}
    kept = tuple(apart.values())
    begin = timedelta(minutes=span[0])
    # Common hours begin where those of one of the zones do.
    candidates = set()
    for zone in kept:
        today = datetime.fromtimestamp(at_ms // 1000, zone).replace(tzinfo=None)
        midnight = today.replace(hour=0, minute=0, second=0)
        for days in range(4):
            for fold in (0, 1):  # where clocks go back the hours may begin twice
                local = (midnight + timedelta(days=days) + begin).replace(tzinfo=zone, fold=fold)
                candidates.add(int(local.timestamp()) * 1000)
    limit = at_ms + (_AHEAD_MS if len(kept) > 1 else 2 * _AHEAD_MS)
    return next(
        (one for one in sorted(candidates) if at_ms < one <= limit and _open(span, kept, one)), None
    )


def zones(destination: str) -> Zones:
    """The time zones that a number may be in; UTC if nobody knows."""
    return _zones(destination[:_LEADING], len(destination))


@lru_cache(_REMEMBERED)
def _zones(leading: str, length: int) -> Zones:
    # Only accounts with send windows need it, and it is large.
    from phonenumbers import NumberParseException, parse, timezone

    try:
        # Digits beyond the leading ones tell subscribers apart, not places.
        number = parse(f"+{leading.ljust(length, '5')}")
    except NumberParseException:
        return (ZoneInfo("UTC"),)
    found = timezone.time_zones_for_number(number)
    if timezone.UNKNOWN_TIMEZONE in found:  # not in use: where its leading digits lead
        found = timezone.time_zones_for_geographical_number(number)
    return tuple(zone for name in found if (zone := _zone(name))) or (ZoneInfo("UTC"),)


@lru_cache(1_000)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # this machine does not know it
        return None


def _remember(memory: dict[Key, Value], key: Key, value: Value) -> None:
    if len(memory) >= _REMEMBERED:
        memory.clear()
    memory[key] = value


def _offsets(zone: ZoneInfo, at_ms: int) -> tuple[timedelta | None, timedelta | None]:
    first = datetime.fromtimestamp(at_ms // 1000, zone)
    last = datetime.fromtimestamp((at_ms + 2 * _AHEAD_MS) // 1000, zone)
    return first.utcoffset(), last.utcoffset()


def _open(span: Span, where: Zones, at_ms: int) -> bool:
    begin, end = span
    for zone in where:
        local = datetime.fromtimestamp(at_ms // 1000, zone)
        now = local.hour * 60 + local.minute
        if not (begin <= now < end if begin < end else now >= begin or now < end):
            return False
    return True
