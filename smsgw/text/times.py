"""Times as websmpp writes them: ``schtime`` with its ``gmt`` (``spec/ams-websmpp.md`` W-R16)."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from smsgw.refusals import Reason, Refusal

_SCHTIME = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)", re.ASCII)
_GMT = re.compile(r"([+-])(?:(\d\d)(\d\d)|(\d\d?)(?::(\d\d))?)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)
_FARTHEST = timedelta(hours=14)  # no place on earth is farther from UTC
SOONEST_MS = 60_000  # W-D23
LATEST_MS = 30 * 24 * 3600_000


def parse_schtime(schtime: str, gmt: str, now_ms: int, zone: tzinfo = UTC) -> int | Refusal:
    """When a message is to go out, in milliseconds since 1970 UTC; 0 without ``schtime``.

    ``schtime`` is ``yyyyMMddHHmm``, at the offset ``gmt`` if that is given, else in ``zone``
    (W-D22). It must be at least a minute and at most 30 days after ``now_ms`` (W-D23); what is not,
    or cannot be read, is refused with ``Reason.BAD_SCHEDULE``.
    """
    if not schtime.strip():
        return 0
    match = _SCHTIME.fullmatch(schtime.strip())
    if match is None:
        return Refusal(Reason.BAD_SCHEDULE, "schtime is not yyyyMMddHHmm")
    if gmt.strip():
        offset = _offset(gmt)
        if offset is None:
            return Refusal(Reason.BAD_SCHEDULE, "gmt is no offset such as +0530")
        zone = timezone(offset)
    year, month, day, hour, minute = (int(group) for group in match.groups())
    try:
        at = (datetime(year, month, day, hour, minute, tzinfo=zone) - _EPOCH) // _MS
    except (ValueError, OverflowError):
        return Refusal(Reason.BAD_SCHEDULE, "schtime is no date")
    if at < now_ms + SOONEST_MS:
        return Refusal(Reason.BAD_SCHEDULE, "less than a minute ahead")
    if at > now_ms + LATEST_MS:
        return Refusal(Reason.BAD_SCHEDULE, "more than 30 days ahead")
    return at


def _offset(gmt: str) -> timedelta | None:
    """``+HHMM``, ``+HH:MM`` or ``+H``; without a sign it is ahead of UTC, since the decoding of a
    URL makes a blank of a plus (F-6)."""
    text = gmt.strip()
    match = _GMT.fullmatch(text if text[0] in "+-" else f"+{text}")
    if match is None:
        return None
    hours, minutes = int(match[2] or match[4]), int(match[3] or match[5] or 0)
    if minutes > 59:
        return None
    offset = timedelta(hours=hours, minutes=minutes)
    if offset > _FARTHEST:
        return None
    return -offset if match[1] == "-" else offset
