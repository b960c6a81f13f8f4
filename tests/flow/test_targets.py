"""Targets: queues are named by what is provisioned, and each dialect has its schedule."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.flow import targets
from smsgw.flow.targets import (
    HANDOVER_MS,
    MO_MS,
    REPORT_MS,
    account_of,
    is_callback,
    is_target_queue,
    mo_queue,
    patience_with,
    told,
)
from smsgw.message import Message
from smsgw.provisioning import Account
from smsgw.provisioning.targets import SMPP, callback_of, parse_target, read

HOUR = 3600


def tries(waits: list[int], lasts_s: int) -> list[int]:
    """Seconds after arrival of each try of an entry that fails again and again."""
    at, result = 0, [0]
    for wait in waits:
        at += wait
        if at >= lasts_s:
            break
        result.append(at)
    return result


def waits(target: str, count: int = 20) -> list[int]:
    patience = patience_with(read(target), 10, 900)
    return [((patience.due(n, 0)) or 0) // 1000 for n in range(1, count + 1)]


def test_a_target_is_tried_again_ever_more_seldom() -> None:
    """A-D13: 30 s, 2 min, 10 min, 1 h, 6 h, then every 6 h until 48 h after arrival."""
    assert waits("a@b.example")[:7] == [30, 120, 600, HOUR, 6 * HOUR, 6 * HOUR, 6 * HOUR]
    assert tries(waits("https://a.example"), MO_MS // 1000)[-1] <= 48 * HOUR
    assert len(tries(waits("https://a.example"), MO_MS // 1000)) == 12


def test_a_relay_has_a_schedule_of_its_own() -> None:
    """Q-D18: 1, 5, 15, 60, 180 min, then every 6 h."""
    minutes = [wait // 60 for wait in waits("httpget https://a.example")]
    assert minutes[:7] == [1, 5, 15, 60, 180, 360, 360]


def test_a_callback_is_tried_so_often_so_far_apart() -> None:
    """E-D17: at once, then 10 times, 15 minutes apart; both are settings."""
    target = callback_of(Account("a", callback="https://a.example"))
    patience = patience_with(target, 10, 900)
    assert [patience.due(n, 0) for n in range(1, 12)] == [900_000] * 10 + [None]
    assert patience_with(target, 0, 900).due(1, 0) is None


@given(st.integers(1, 1000), st.integers(0, 10**13))
def test_the_next_try_is_always_later(attempts: int, now: int) -> None:
    """Nothing is tried again at once."""
    for target in ("a@b.example", "httpget https://a.example"):
        due = patience_with(read(target), 1, 1).due(attempts, now)
        assert due is not None
        assert due >= now + 30_000


def test_each_target_of_an_account_has_its_own_queue() -> None:
    """I5; what is for sessions waits with their receipts."""
    assert mo_queue("acme", SMPP) == "account:acme"
    first = mo_queue("acme", parse_target("https://a.example/x"))
    assert first == "target:acme https://a.example/x"
    assert mo_queue("acme", parse_target("*https://a.example/x")) != first
    assert mo_queue("other", parse_target("https://a.example/x")) != first


@pytest.mark.parametrize(
    ("queue", "account", "target"),
    [
        ("account:acme", "acme", False),
        ("target:acme https://a.example/x", "acme", True),
        ("target:acme callback", "acme", True),
        ("carrier:north", "", False),
    ],
)
def test_a_queue_s_name_tells_whose_it_is(queue: str, account: str, target: bool) -> None:
    """For what is delivered, and for operators."""
    assert (account_of(queue), is_target_queue(queue)) == (account, target)
    assert is_callback(queue) == queue.endswith(" callback")


def message(**fields: object) -> Message:
    return Message("ACME", "447700900123", account="acme", **fields)  # type: ignore[arg-type]


def test_a_receipt_is_told_to_the_callback_if_it_was_asked_for() -> None:
    """Both are needed: who asks, and where to."""
    account = Account("acme", callback="https://a.example")
    queues = [("target:acme callback", HANDOVER_MS)]
    assert list(told(message(registered_delivery=1), account)) == queues
    assert list(told(message(), account)) == []
    assert list(told(message(registered_delivery=1), Account("acme"))) == []
    assert list(told(message(registered_delivery=1), None)) == []


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://u:p@a.example:81/x?id=%id", "a.example"),
        ("https://a.example/y", "a.example"),
        ("https://[::1", ""),
        ("ops@b.example", "b.example"),
    ],
)
def test_reports_of_messages_wait_by_host(address: str, host: str) -> None:
    """Each message may name its own URL, and not each of them may have a queue."""
    found = list(told(message(report_to=address), None))
    assert found == [(f"target:acme report {host}", REPORT_MS)]


def test_progress_is_told_to_those_who_asked() -> None:
    """By SMPP with bit 0x10 of registered_delivery, else with the receipt."""
    assert not targets.tells_progress(message(interface="smpp", registered_delivery=1))
    assert targets.tells_progress(message(interface="smpp", registered_delivery=0x10))
    assert targets.tells_progress(message(interface="rest", registered_delivery=1))
    assert not targets.tells_progress(message(interface="rest"))
