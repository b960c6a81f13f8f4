"""Content rules: which messages are refused for what they say."""

from typing import Any

from smsgw.message import Message
from smsgw.provisioning.routing import Filter
from smsgw.rules.content import compiled


def a_message(**fields: Any) -> Message:
    given: dict[str, Any] = {
        "source": "447700900000",
        "destination": "33123456789",
        "parts": [b"Free pills"],
        "account": "acme",
    }
    return Message(**{**given, **fields})


def stopped(*filters: Filter, **fields: Any) -> str | None:
    rules = compiled(filters, {"gold": {"acme"}})
    assert rules is not None
    return rules.refuses(a_message(**fields))


def test_without_a_filter_there_is_nothing_to_ask() -> None:
    """What nobody uses costs nothing."""
    assert compiled([], {}) is None


def test_a_message_is_stopped_by_its_text() -> None:
    """The first filter that finds its pattern is the one that is told."""
    pills = Filter("pills", "(?i)PILLS")
    assert stopped(Filter("loans", "loan"), pills, Filter("free", "Free")) == "pills"
    assert stopped(pills, parts=[b"Hello"]) is None
    assert stopped(pills, parts=[b"p\x00i\x00l\x00l\x00s"], data_coding=4) is None


def test_all_that_a_filter_names_must_be_so() -> None:
    """Destination, account or its group, and source."""
    assert stopped(Filter("f", "pills", prefixes=["44", "33"])) == "f"
    assert stopped(Filter("f", "pills", prefixes=["44"])) is None
    assert stopped(Filter("f", "pills", accounts=["acme"])) == "f"
    assert stopped(Filter("f", "pills", accounts=["other"])) is None
    assert stopped(Filter("f", "pills", accounts=["other"], groups=["gold"])) == "f"
    assert stopped(Filter("f", "pills", sources=["4477"])) == "f"
    assert stopped(Filter("f", "pills", sources=["ACME"])) is None
