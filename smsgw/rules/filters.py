"""What a route asks for beside the destination: account, sender, text, time of the day."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from smsgw.message import UDHI, Message
from smsgw.provisioning.conditions import SEARCHED, minutes
from smsgw.text import coding
from smsgw.text import parts as of_text


class Filtered(Protocol):
    """What a filter needs to know of a route; an empty value asks for nothing."""

    @property
    def accounts(self) -> Sequence[str]:
        """Names of the accounts that may use it."""

    @property
    def sources(self) -> Sequence[str]:
        """Leading digits of senders, and alphanumeric senders."""

    @property
    def text(self) -> str:
        """A regular expression that is searched in the text."""

    @property
    def hours(self) -> str:
        """A span of the day: ``smsgw.provisioning.conditions.hours``."""

    @property
    def time_zone(self) -> str:
        """The zone of these hours."""


# Says why a message does not pass; "" if it does.
Test = Callable[[Message], str]


def compiled(route: Filtered) -> Test | None:
    """The test for what ``route`` asks for, the cheapest first; None if it takes everything."""
    tests = [
        make(route)
        for asked, make in (
            (route.accounts, _accounts),
            (route.sources, _sources),
            (route.hours, _hours),
            (route.text, _text),
        )
        if asked
    ]
    if len(tests) < 2:
        return tests[0] if tests else None

    def all_of(message: Message) -> str:
        for test in tests:
            why = test(message)
            if why:
                return why
        return ""

    return all_of


def text_of(message: Message) -> str:
    """The first 1,000 characters of a message's text, "" if it is none."""
    if message.text is not None:
        return message.text[:SEARCHED]
    found = ""
    for octets in message.parts:
        if message.esm_class & UDHI:
            try:
                octets = of_text.udh(octets)[1]
            except ValueError:
                return ""
        found += coding.decode(message.data_coding, octets) or ""
        if len(found) >= SEARCHED:
            break
    return found[:SEARCHED]


def _accounts(route: Filtered) -> Test:
    accounts = frozenset(route.accounts)
    return lambda message: "" if message.account in accounts else "account"


def _sources(route: Filtered) -> Test:
    names = frozenset(one for one in route.sources if not one.isdigit())
    prefixes = tuple(one for one in route.sources if one.isdigit())

    def test(message: Message) -> str:
        source = message.source
        passes = source.startswith(prefixes) if source.isdigit() else source in names
        return "" if passes else "source"

    return test


def _text(route: Filtered) -> Test:
    search = re.compile(route.text).search
    return lambda message: "" if search(text_of(message)) else "text"


def _hours(route: Filtered) -> Test:
    begin, end = minutes(route.hours)
    zone = ZoneInfo(route.time_zone)

    def test(message: Message) -> str:
        # When it is to go out, which may be later than now.
        at = max(message.schedule_at, message.accepted_at)
        local = datetime.fromtimestamp(at // 1000, UTC).astimezone(zone)
        now = local.hour * 60 + local.minute
        within = begin <= now < end if begin < end else now >= begin or now < end
        return "" if within else "hours"

    return test
