"""Duplicates: the same message within the window, and no more of them than memory allows."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI, Message
from smsgw.rules import duplicates
from smsgw.rules.duplicates import Duplicates, digest
from smsgw.text import parts


def a_message(at: int = 0, **fields: Any) -> Message:
    given: dict[str, Any] = {
        "source": "ACME",
        "destination": "447700900123",
        "parts": [b"Hello"],
        "account": "acme",
        "accepted_at": at,
    }
    return Message(**{**given, **fields})


@pytest.mark.parametrize(
    "fields",
    [
        {"source": "OTHER"},
        {"destination": "447700900124"},
        {"parts": [b"Hello!"]},
        {"data_coding": 8},
        {"account": "other"},
    ],
)
def test_what_differs_in_anything_is_no_duplicate(fields: dict[str, Any]) -> None:
    """Account, source, destination and content are all compared."""
    sent = Duplicates()
    sent.add(a_message(), 60)
    assert sent.has(a_message(), 60, 59_999)
    assert not sent.has(a_message(**fields), 60, 59_999)


def test_the_window_ends() -> None:
    """And it begins anew with what was accepted after it."""
    sent = Duplicates()
    sent.add(a_message(0), 60)
    assert not sent.has(a_message(), 60, 60_000)
    sent.add(a_message(60_000), 60)
    assert sent.has(a_message(), 60, 119_999)


def test_the_parts_of_a_long_text_are_one_content() -> None:
    """The reference number that each splitting has of its own does not matter."""
    text = b"x" * 300
    one, other = (a_message(parts=parts.split(text, 0, n), esm_class=UDHI) for n in (1, 2))
    assert one.parts != other.parts
    assert digest(one) == digest(other)


def test_a_part_with_a_header_counts_with_it() -> None:
    """So the parts that a client has split are never duplicates of each other."""
    first, second = parts.split(b"x" * 306, 0, 1)
    one, other = (a_message(parts=[part], esm_class=UDHI) for part in (first, second))
    assert digest(one) != digest(other)


def test_what_was_not_stored_is_forgotten() -> None:
    """It may be sent again; what was accepted later is not forgotten with it."""
    sent = Duplicates()
    sent.add(a_message(0), 60)
    sent.forget(a_message(0))
    assert not sent.has(a_message(), 60, 1)
    sent.add(a_message(1), 60)
    sent.forget(a_message(0))
    assert sent.has(a_message(), 60, 2)


def test_the_oldest_make_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded for each account; the newest half of it is always there."""
    monkeypatch.setattr(duplicates, "MOST", 6)
    sent = Duplicates()
    for n in range(1, 50):
        sent.add(a_message(n, parts=[b"%d" % n]), 60)
        known = [sent.has(a_message(parts=[b"%d" % m]), 60, n) for m in range(1, n + 1)]
        assert all(known[-3:])
        assert sum(known) <= 6


def test_who_has_the_most_makes_room_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound over all accounts costs the busiest its oldest ones, and nobody else anything."""
    monkeypatch.setattr(duplicates, "IN_ALL", 20)
    sent = Duplicates()
    sent._room = 20
    sent.add(a_message(1, account="quiet"), 60)
    for n in range(200):
        sent.add(a_message(2, source=str(n)), 60)
        assert sum(map(len, sent._sent.values())) <= 20
    assert sent.has(a_message(account="quiet"), 60, 3)
    assert sent.has(a_message(source="199"), 60, 3)
    assert not sent.has(a_message(source="0"), 60, 3)


def test_what_was_forgotten_and_sent_again_stays() -> None:
    """What was not stored takes nothing with it that was."""
    sent = Duplicates()
    sent.add(a_message(1), 60)
    sent.forget(a_message(1))
    sent.add(a_message(2), 60)
    sent.forget(a_message(1))
    assert sent.has(a_message(), 60, 3)


@given(st.lists(st.tuples(st.integers(0, 20_000), st.sampled_from("abc"))), st.integers(1, 10))
def test_it_is_what_a_search_through_all_would_find(
    steps: list[tuple[int, str]], window_s: int
) -> None:
    """Whatever is sent, and whenever."""
    sent, all, now = Duplicates(), [], 0
    for wait, text in steps:
        now += wait
        message = a_message(now, parts=[text.encode()])
        expected = any(one == text and now - at < window_s * 1000 for at, one in all)
        assert sent.has(message, window_s, now) is expected
        if not expected:
            sent.add(message, window_s)
            all.append((now, text))
