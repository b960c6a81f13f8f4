"""Token buckets: a rate over any time, a burst at once, and no more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.rules.limits import TokenBucket


def taken(bucket: TokenBucket, now: float, tries: int = 1000) -> int:
    """How many single tokens pass at one moment."""
    return sum(bucket.take(1, now) for _ in range(tries))


def test_a_burst_passes_at_once_and_then_the_rate() -> None:
    """Five a second: five at once, one after a fifth of a second, five after a second (L-D8)."""
    bucket = TokenBucket(5)
    assert taken(bucket, 100.0) == 5
    assert taken(bucket, 100.2) == 1
    assert taken(bucket, 101.2) == 5


def test_what_is_not_used_is_not_saved_beyond_the_burst() -> None:
    """An hour of silence is no credit for an hour of messages."""
    bucket = TokenBucket(5)
    assert taken(bucket, 100.0) == 5
    assert taken(bucket, 3_700.0) == 5


def test_a_rate_of_less_than_one_still_passes_one() -> None:
    """One message in ten seconds is a rate of 0.1."""
    bucket = TokenBucket(0.1)
    assert taken(bucket, 100.0) == 1
    assert taken(bucket, 109.0) == 0
    assert taken(bucket, 110.0) == 1


def test_a_rate_of_zero_is_no_limit() -> None:
    """0 means unlimited, in every question asked."""
    bucket = TokenBucket(0)
    assert taken(bucket, 100.0) == 1000
    assert bucket.available(100.0) > 1_000_000
    assert bucket.wait(100.0) == 0
    bucket.spend(1_000_000, 100.0)
    assert bucket.take(1, 100.0)


def test_more_tokens_than_the_burst_pass_when_it_is_full_and_are_owed() -> None:
    """A long message costs more than the bucket holds: it passes, and the next waits longer."""
    bucket = TokenBucket(2)
    assert bucket.take(6, 100.0)
    assert not bucket.take(1, 102.0)
    assert bucket.take(1, 102.5)


def test_more_tokens_than_the_burst_wait_until_it_is_full() -> None:
    """A long message does not pass with what is left over."""
    bucket = TokenBucket(2)
    assert bucket.take(1, 100.0)
    assert not bucket.take(6, 100.0)
    assert bucket.take(6, 100.5)


def test_what_is_spent_in_any_case_is_owed() -> None:
    """After spending five of two, none is available until three have been paid back."""
    bucket = TokenBucket(2)
    bucket.spend(5, 100.0)
    assert bucket.available(101.0) == 0
    assert bucket.wait(101.0) == pytest.approx(1.0)
    assert bucket.available(102.0) == 1


def test_wait_tells_when_a_token_is_there() -> None:
    """After so many seconds one may be taken, and none has to be waited for when one is there."""
    bucket = TokenBucket(4)
    assert bucket.wait(100.0) == 0
    assert taken(bucket, 100.0) == 4
    wait = bucket.wait(100.0)
    assert wait == pytest.approx(0.25)
    assert bucket.available(100.0 + wait) == 1


def test_a_clock_that_goes_back_gives_nothing_and_takes_nothing() -> None:
    """A step back neither fills the bucket nor stops it for as long as the step was."""
    bucket = TokenBucket(2)
    assert taken(bucket, 1_000.0) == 2
    assert taken(bucket, 400.0) == 0
    assert taken(bucket, 401.0) == 2


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 4)), max_size=60),
)
def test_never_more_than_burst_and_rate_allow(rate: int, steps: list[tuple[float, int]]) -> None:
    """Over any time what passed is at most the burst, and the rate times the time."""
    bucket = TokenBucket(rate)
    start = now = 50.0
    passed = 0
    for pause, tokens in steps:
        now += pause
        allowed = min(tokens, max(1, bucket.burst))
        if bucket.take(int(allowed), now):
            passed += int(allowed)
        assert passed <= bucket.burst + rate * (now - start) + 1e-6
