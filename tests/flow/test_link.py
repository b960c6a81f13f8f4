"""MMS that go as an SMS with a link."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smsgw.flow.link import MOST_PARTS, Links, with_link
from smsgw.message import Message, Multimedia
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, parts

URL = "https://sms.example.com/m/AAAAAAAAAAAAAAAAAAAAAA"


def mms(text: str = "Hello", subject: str = "", **given: Any) -> Message:
    """An MMS with this text."""
    kept = Multimedia(text=text, subject=subject)
    return Message(
        "447700900000", "447700900123", parts=[b""], kind="mms", multimedia=kept, **given
    )  # type: ignore[arg-type]


def linked(message: Message, **account: Any) -> str:
    """The text that it becomes."""
    refusal = Links("https://sms.example.com")(message, Account("acme", **account))
    assert refusal is None
    assert message.text is not None
    return message.text


def test_text_and_link_make_the_sms() -> None:
    """The link has a token of 128 random bits, which the message keeps (ruling 30)."""
    one, other = mms(), mms()
    text = linked(one)
    assert re.fullmatch(r"Hello https://sms\.example\.com/m/[A-Za-z0-9]{22}", text)
    assert (one.kind, one.parts) == ("sms", [])
    assert one.multimedia is not None
    assert text.endswith(one.multimedia.link)
    assert linked(other) != text


def test_subject_stands_for_a_text_that_is_missing() -> None:
    """Whoever gets the link sees what it is about."""
    assert linked(mms("", "Summer")).startswith("Summer https://")
    assert linked(mms("")).startswith("https://")


def test_messages_that_shared_their_media_have_links_of_their_own() -> None:
    """Each recipient has another token."""
    one = mms()
    two = mms()
    two.multimedia = one.multimedia
    assert linked(one) != linked(two)


def test_without_a_public_url_there_is_no_route() -> None:
    """The refusal says what to set."""
    refusal = Links("")(mms(), Account("acme"))
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.NO_ROUTE
    assert "http.public_url" in refusal.detail


def test_long_text_is_cut_to_the_parts_that_there_may_be() -> None:
    """The account's limit, the message's, and three parts: the page shows the whole."""
    for limits, most in (({"max_parts": 1}, 1), ({"max_parts": 2}, 2), ({}, MOST_PARTS)):
        text = linked(mms("word " * 200), **limits)
        assert re.search(r"w[ord ]*\.\.\. https://", text)
        octets = coding.smallest(text)
        assert parts.count(octets[1], octets[0]) == most
    assert 155 <= len(linked(mms("word " * 200, max_parts=1))) <= 160


@given(st.text(max_size=900), st.integers(1, 3))
def test_link_is_whole_whatever_the_text(text: str, most: int) -> None:
    """And what stands before it is the text's beginning, within the parts."""
    made = with_link(text, URL, most)
    assert made.endswith(URL)
    shown = made.removesuffix(URL).strip().removesuffix("...")
    assert text.strip().startswith(shown.strip())
    data_coding, octets = coding.smallest(made)
    assert parts.count(octets, data_coding) <= most
