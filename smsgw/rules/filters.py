"""What routes and content rules ask for beside the destination: account, sender, text, mark, kind,
time of the day."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from smsgw.message import UDHI, Message
from smsgw.provisioning.conditions import SEARCHED, minutes
from smsgw.rules.words import needed
from smsgw.text import coding, gsm
from smsgw.text import parts as of_text


class Filtered(Protocol):
    """What a filter needs to know of a route; an empty value asks for nothing."""

    @property
    def accounts(self) -> Sequence[str]:
        """Names of the accounts that may use it."""

    @property
    def groups(self) -> Sequence[str]:
        """Groups of accounts that may use it beside ``accounts``."""

    @property
    def sources(self) -> Sequence[str]:
        """Leading digits of senders, and alphanumeric senders."""

    @property
    def text(self) -> str:
        """A regular expression that is searched in the text."""

    @property
    def tags(self) -> Sequence[str]:
        """Marks of messages."""

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of messages: "sms", "mms"."""

    @property
    def hours(self) -> str:
        """A span of the day: ``smsgw.provisioning.conditions.hours``."""

    @property
    def time_zone(self) -> str:
        """The zone of these hours."""


# Says why a message does not pass; "" if it does.
Test = Callable[[Message], str]


# Group -> the accounts that are in it.
Members = Mapping[str, Collection[str]]


def compiled(route: Filtered, members: Members | None = None) -> Test | None:
    """The test for what ``route`` asks for, the cheapest first; None if it takes everything."""
    tests = []
    if route.accounts or route.groups:
        tests.append(by_account(route.accounts, route.groups, members or {}))
    if route.tags:
        tests.append(by_tag(route.tags))
    if route.kinds:
        tests.append(by_kind(route.kinds))
    if route.sources:
        tests.append(by_source(route.sources))
    if route.hours:
        tests.append(by_hours(route.hours, route.time_zone))
    if route.text:
        tests.append(by_text(route.text))
    return all_of(tests)


def all_of(tests: Sequence[Test]) -> Test | None:
    """The test that passes what passes each of ``tests``; None if there is none."""
    if len(tests) < 2:
        return tests[0] if tests else None
    first, others = tests[0], all_of(tests[1:])
    assert others is not None
    return lambda message: first(message) or others(message)


# What is the same octet in GSM 03.38 and in ASCII; no other character of GSM is, without regard to
# case, one of these.
_SAME = frozenset("abcdefghijklmnopqrstuvwxyz0123456789 !\"#%&'()*+,-./:;<=>?\r\n")

# What was asked for last: several rules ask for the text of the same message.
_last: tuple[tuple[object, ...], str] = ((), "")
_lowered: tuple[bytes, str] = (b"", "")


def text_of(message: Message) -> str:
    """The first 1,000 characters of a message's text, "" if it is none. Of a multimedia message
    the subject is the first line of it."""
    global _last
    if message.multimedia is not None:
        return f"{message.multimedia.subject}\n{message.multimedia.text}"[:SEARCHED].strip()
    if message.text is not None:
        return message.text[:SEARCHED]
    key = (message.data_coding, message.esm_class & UDHI, *message.parts)
    known, text = _last
    if key != known:
        text = _decoded(message)
        _last = key, text
    return text


def lowered(message: Message) -> str | None:
    """A text in lower case, as far as ``words_of`` a pattern may be in it; None if it has to be
    searched for the pattern itself. Most texts need not be decoded for it."""
    global _lowered
    if (
        message.text is None
        and message.multimedia is None
        and message.data_coding == coding.GSM
        and len(message.parts) == 1
        and not message.esm_class & UDHI
        and gsm.ESC not in message.parts[0]
    ):
        octets = message.parts[0]
        known, lower = _lowered
        if octets is not known:
            lower = octets.lower().decode("latin-1")
            _lowered = octets, lower
        return lower
    text = text_of(message)
    return text.lower() if text.isascii() else None


def words_of(pattern: str) -> tuple[str, ...]:
    """Words of which ``lowered`` has one where the pattern is found; () if none are known."""
    words = needed(pattern) or ()
    return tuple(words) if all(_SAME.issuperset(one) for one in words) else ()


def _decoded(message: Message) -> str:
    data_coding, udhi = message.data_coding, message.esm_class & UDHI
    if not udhi and len(message.parts) == 1:
        return (coding.decode(data_coding, message.parts[0]) or "")[:SEARCHED]
    found = ""
    for octets in message.parts:
        found += _text_of_part(octets, data_coding, udhi)
        if len(found) >= SEARCHED:
            break
    return found[:SEARCHED]


def _text_of_part(octets: bytes, data_coding: int, udhi: int) -> str:
    header = b""
    if udhi:
        try:
            header, octets = of_text.udh(octets)
        except ValueError:
            return ""
    return coding.decode(data_coding, octets, header) or ""


def by_account(names: Sequence[str], groups: Sequence[str], members: Members) -> Test:
    """Messages of the accounts that are named, or are in one of the groups."""
    accounts = frozenset(names).union(*(members.get(group, ()) for group in groups))
    return lambda message: "" if message.account in accounts else "account"


def by_tag(tags: Sequence[str]) -> Test:
    """Messages that are marked with one of ``tags``."""
    marks = frozenset(tags)
    return lambda message: "" if message.tag in marks else "tag"


def by_kind(kinds: Sequence[str]) -> Test:
    """Messages of these kinds."""
    taken = frozenset(kinds)
    return lambda message: "" if message.kind in taken else "kind"


def by_source(sources: Sequence[str]) -> Test:
    """Messages whose source is a number that begins so, or is a name of the list."""
    names = frozenset(one for one in sources if not one.isdigit())
    prefixes = tuple(one for one in sources if one.isdigit())

    def test(message: Message) -> str:
        source = message.source
        passes = source.startswith(prefixes) if source.isdigit() else source in names
        return "" if passes else "source"

    return test


def by_text(pattern: str) -> Test:
    """Messages in whose text the pattern is found."""
    search = re.compile(pattern).search
    words = words_of(pattern)

    def test(message: Message) -> str:
        if words:
            lower = lowered(message)
            if lower is not None:
                for word in words:
                    if word in lower:
                        break
                else:
                    return "text"
        return "" if search(text_of(message)) else "text"

    return test


def by_hours(hours: str, time_zone: str) -> Test:
    """Messages that go out within a span of the day (``smsgw.provisioning.conditions.hours``)."""
    begin, end = minutes(hours)
    zone = ZoneInfo(time_zone)

    def test(message: Message) -> str:
        # When it is to go out, which may be later than now.
        at = max(message.schedule_at, message.accepted_at)
        local = datetime.fromtimestamp(at // 1000, UTC).astimezone(zone)
        now = local.hour * 60 + local.minute
        within = begin <= now < end if begin < end else now >= begin or now < end
        return "" if within else "hours"

    return test
