"""Filters: what a route asks for beside the destination."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI, Message
from smsgw.provisioning import Route
from smsgw.rules import filters
from smsgw.text import gsm

AT_8 = 1_800_000_000_000  # 2027-01-15 08:00 UTC
HOUR = 3600_000


def why(message: Message, **asked: Any) -> str:
    """The filter that a message does not pass, "" if it passes."""
    test = filters.compiled(Route("r", [""], ["north"], **asked))
    assert test is not None
    return test(message)


def a_message(**fields: Any) -> Message:
    given: dict[str, Any] = {"source": "447700900000", "destination": "33123456789"}
    return Message(**{**given, "account": "acme", "accepted_at": AT_8, **fields})


def test_a_route_that_asks_for_nothing_has_no_test() -> None:
    """Such routes cost nothing; a zone alone asks for nothing."""
    assert filters.compiled(Route("r", [""], ["north"], time_zone="Europe/London")) is None


def test_accounts_are_named() -> None:
    """Only the accounts of the list may use the route."""
    assert why(a_message(), accounts=["other", "acme"]) == ""
    assert why(a_message(), accounts=["other"]) == "account"


def test_groups_stand_for_their_accounts() -> None:
    """Beside those that are named; a group that nobody is in lets nobody pass."""
    members = {"gold": {"acme", "best"}, "test": {"try"}}

    def why_of(account: str, **asked: Any) -> str:
        test = filters.compiled(Route("r", [""], ["north"], **asked), members)
        assert test is not None
        return test(a_message(account=account))

    assert why_of("acme", groups=["test", "gold"]) == ""
    assert why_of("acme", groups=["test"]) == "account"
    assert why_of("acme", groups=["test"], accounts=["acme"]) == ""
    assert why_of("acme", groups=["nobodys"]) == "account"


def test_tags_are_the_marks_of_messages() -> None:
    """A message without a mark has none of them."""
    assert why(a_message(tag="bulk"), tags=["codes", "bulk"]) == ""
    assert why(a_message(tag="bulk"), tags=["codes"]) == "tag"
    assert why(a_message(), tags=["codes"]) == "tag"


def test_kinds_are_sms_and_mms() -> None:
    """A route may take one of them only."""
    assert why(a_message(), kinds=["sms"]) == ""
    assert why(a_message(), kinds=["mms"]) == "kind"
    assert why(a_message(kind="mms"), kinds=["sms", "mms"]) == ""


@pytest.mark.parametrize(
    ("source", "passes"),
    [("447700900000", True), ("44", True), ("4", False), ("ACME", True), ("ACME 2", False)],
)
def test_sources_are_leading_digits_or_whole_names(source: str, passes: bool) -> None:
    """A name is no beginning of other names."""
    assert (why(a_message(source=source), sources=["44", "ACME"]) == "") is passes


def test_a_text_is_searched_in_what_the_parts_say() -> None:
    """Whether the text was given, or octets with headers in any coding."""
    assert why(a_message(text="Your code: 1234"), text=r"code.{0,3}\d{4}") == ""
    assert why(a_message(text="Hello"), text="code") == "text"
    ucs2 = a_message(parts=["\u0436code".encode("utf-16-be")], data_coding=8)
    assert why(ucs2, text="\u0436c") == ""
    halves = [b"\5\0\3\1\2\1Your co", b"\5\0\3\1\2\2de: 1234"]
    assert why(a_message(parts=halves, esm_class=UDHI), text="^Your code: 1234$") == ""


def test_a_text_is_searched_whatever_its_case() -> None:
    """As the pattern says, in ASCII and beyond."""
    for text in ("Your CODE: 12", "your code: 12", "your code: 12 \u0436", "\u0130 Code: 12"):
        assert why(a_message(text=text), text="(?i)code: [0-9]") == "", text
    assert why(a_message(text="your CODE: 12"), text="code: [0-9]") == "text"
    assert why(a_message(text="your code: x"), text="(?i)code: [0-9]") == "text"
    assert why(a_message(text="a \u212aey"), text="(?i)key") == ""  # the sign for kelvin


def test_what_is_no_text_has_none() -> None:
    """Binary octets, and a header that is none, match no word."""
    assert why(a_message(parts=[b"code"], data_coding=4), text="code") == "text"
    assert why(a_message(parts=[b"\xffcode"], esm_class=UDHI), text="code") == "text"


def test_only_the_first_thousand_characters_are_searched() -> None:
    """What a pattern costs is bounded, also when a message has many parts."""
    assert why(a_message(text="x" * 996 + "code"), text="code") == ""
    assert why(a_message(text="x" * 997 + "code"), text="code") == "text"
    assert why(a_message(parts=[b"x" * 100] * 10 + [b"code"]), text="code") == "text"


_PATTERNS = (
    "(?i)ab",
    "(?i)(sk|ks)[0-9]?",
    "a[bk]",
    "(?i)a@b",
    "a.b",
    "{ab}",
    "(?i)free (code|pin)",
)


@given(
    st.lists(st.sampled_from([*b"aAbBkKsS @1", 0x00, 0x05, 0x1B, 0x28, 0x29, 0x40, 0x65, 0xFF])),
    st.sampled_from(_PATTERNS),
)
def test_septets_are_searched_as_the_text_that_they_are(octets: list[int], pattern: str) -> None:
    """Though most of them are not decoded for it: characters beyond ASCII, after an escape and of
    no meaning change nothing."""
    message = a_message(parts=[bytes(octets)])
    found = re.search(pattern, gsm.decode(bytes(octets)))
    assert (why(message, text=pattern) == "") is (found is not None)


@pytest.mark.parametrize(
    ("hours", "zone", "passes"),
    [
        ("08:00-20:00", "UTC", True),
        ("00:00-08:00", "UTC", False),
        ("09:00-24:00", "Europe/Berlin", True),
        ("08:00-09:00", "Europe/Berlin", False),
        ("22:00-06:00", "UTC", False),
        ("22:00-08:01", "UTC", True),
        ("16:00-02:00", "Asia/Tokyo", True),
    ],
)
def test_hours_are_those_of_a_zone(hours: str, zone: str, passes: bool) -> None:
    """The begin is in the span, the end is not; it may go over midnight."""
    assert (why(a_message(), hours=hours, time_zone=zone) == "") is passes


def test_hours_follow_summer_time() -> None:
    """In July London is an hour ahead of UTC."""
    july = AT_8 + 180 * 24 * HOUR
    asked = {"hours": "08:00-09:00", "time_zone": "Europe/London"}
    assert why(a_message(), **asked) == ""
    assert why(a_message(accepted_at=july), **asked) == "hours"
    assert why(a_message(accepted_at=july - HOUR), **asked) == ""


def test_the_hours_of_a_scheduled_message_are_when_it_goes_out() -> None:
    """A message accepted in the morning for the night goes the way of the night."""
    assert why(a_message(schedule_at=AT_8 + 15 * HOUR), hours="22:00-06:00") == ""


def test_all_filters_must_pass() -> None:
    """The first one that does not is told."""
    asked: dict[str, Any] = {"accounts": ["acme"], "sources": ["44"], "text": "code"}
    assert why(a_message(text="code"), **asked) == ""
    assert why(a_message(text="Hello"), **asked) == "text"
    assert why(a_message(source="33", text="Hello"), **asked) == "source"
