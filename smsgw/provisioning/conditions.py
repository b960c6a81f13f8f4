"""Checks of what a route asks for beside the destination: senders, a text, hours of the day."""

import re
from re import _constants, _parser  # type: ignore[attr-defined]  # what a pattern is made of
from typing import Any
from zoneinfo import ZoneInfo

from smsgw.toml import Wrong, shown

MAX_PATTERN = 200  # characters of a regular expression
# How many ways a pattern may have to match at one place of a text: what bounds its cost, as the
# matcher tries all of them before it gives up.
MAX_WAYS = 10_000
SEARCHED = 1_000  # characters of a text that a pattern is searched in
MINUTES = 24 * 60
_HOURS = re.compile(r"([01][0-9]|2[0-4]):([0-5][0-9])-([01][0-9]|2[0-4]):([0-5][0-9])")
_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT, _constants.POSSESSIVE_REPEAT)


def pattern(value: Any) -> str:
    """A regular expression that cannot take long; ``Wrong`` otherwise."""
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_PATTERN:
        raise Wrong(
            f"{shown(value)} is not allowed; "
            f"it must be a regular expression of 1 to {MAX_PATTERN} characters"
        )
    try:
        re.compile(value)
        ways = _ways(_parser.parse(value))
    except (re.error, OverflowError, RecursionError) as error:
        raise Wrong(f"{shown(value)} is no regular expression: {error}; mend it") from None
    if ways > MAX_WAYS:
        raise Wrong(
            f"{shown(value)} may take too long; it must have no repeat within a repeat, "
            "and one * or + only"
        )
    return value


def _ways(items: Any) -> int:
    """In how many ways a parsed pattern can match at one place of a text, at most; counted up to
    just above MAX_WAYS."""
    ways = 1
    for operation, argument in items:
        ways = min(MAX_WAYS + 1, ways * _ways_of(operation, argument))
    return ways


def _ways_of(operation: Any, argument: Any) -> int:
    if operation in _REPEATS:
        least, most, items = argument
        most = min(int(most), SEARCHED)
        each = _ways(items)
        if each == 1:
            return max(1, most - int(least) + 1)
        # Each repetition chooses anew, and costs more than what one character takes.
        repeated: int = most * each ** min(most, MAX_WAYS.bit_length())
        return min(MAX_WAYS + 1, repeated + most - int(least))
    if operation is _constants.BRANCH:
        return sum(_ways(items) for items in argument[1])
    if operation is _constants.GROUPREF_EXISTS:
        return sum(_ways(items) for items in argument[1:] if items)
    if operation is _constants.SUBPATTERN:
        return _ways(argument[-1])
    if operation in (_constants.ASSERT, _constants.ASSERT_NOT):
        return _ways(argument[1])
    if operation is _constants.ATOMIC_GROUP:
        return _ways(argument)
    return 1


def hours(value: Any) -> str:
    """A span of the day such as "08:00-20:00"; one that ends before it begins spans midnight."""
    found = _HOURS.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        begin, end = minutes(value)
        if begin < MINUTES and end <= MINUTES and begin != end:
            return str(value)
    raise Wrong(
        f"{shown(value)} is not allowed; it must be two times of the day such as "
        '"08:00-20:00", or "22:00-06:00" over midnight'
    )


def minutes(span: str) -> tuple[int, int]:
    """Begin and end of a span of the day that ``hours`` let pass, in minutes from midnight."""
    begin, _, end = span.partition("-")
    return int(begin[:2]) * 60 + int(begin[3:]), int(end[:2]) * 60 + int(end[3:])


def time_zone(value: Any) -> str:
    """The name of a time zone."""
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        raise Wrong(
            f'{shown(value)} is no time zone; it must be a name such as "Europe/London" or "UTC"'
        ) from None
    return str(value)


def source(value: Any) -> str:
    """Leading digits of a sender, or a whole alphanumeric one."""
    form = r"[0-9]{1,15}|(?=.*[^0-9])(?![+ ])[ -~]{1,11}(?<! )"
    if isinstance(value, str) and re.fullmatch(form, value):
        return value
    raise Wrong(
        f"{shown(value)} is not allowed; it must be 1 to 15 leading digits without +, "
        "or a name of 1 to 11 characters"
    )
