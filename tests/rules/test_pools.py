"""Pools of senders: the same one for each recipient, whatever happens to the others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from smsgw.rules.pools import Pool

SENDERS = st.lists(
    st.from_regex(r"[0-9]{3,15}", fullmatch=True), min_size=1, max_size=12, unique=True
)
RECIPIENTS = st.lists(st.from_regex(r"[1-9][0-9]{2,14}", fullmatch=True), max_size=50)


@given(SENDERS, RECIPIENTS, st.randoms())
def test_a_recipient_always_gets_the_same_sender(senders, recipients, random) -> None:
    """In whatever order they are listed, and also after a restart."""
    pool = Pool(senders)
    before = [pool.choose(one) for one in recipients]
    shuffled = list(senders)
    random.shuffle(shuffled)
    again = Pool(shuffled)
    assert [again.choose(one) for one in recipients] == before
    assert set(before) <= set(senders)


@given(SENDERS, RECIPIENTS, st.data())
def test_when_a_sender_leaves_only_its_recipients_move(senders, recipients, data) -> None:
    """And back when it returns: a sender that comes takes its share and moves nobody else."""
    gone = data.draw(st.sampled_from(senders))
    rest = [one for one in senders if one != gone]
    if not rest:
        return
    whole, smaller = Pool(senders), Pool(rest)
    for recipient in recipients:
        before = whole.choose(recipient)
        if before != gone:
            assert smaller.choose(recipient) == before


def test_the_work_is_shared() -> None:
    """Of 1,000 recipients each of four senders gets about a quarter."""
    pool = Pool(["447700900001", "447700900002", "447700900003", "ACME"])
    shares = Counter(pool.choose(f"4479{n:08d}") for n in range(1_000))
    assert len(shares) == 4
    assert all(200 < share < 300 for share in shares.values())


def test_the_choice_is_that_of_earlier_releases() -> None:
    """An update moves nobody: these are pinned."""
    pool = Pool(["447700900001", "447700900002", "447700900003"])
    chosen = [pool.choose(f"44790000000{n}")[-1] for n in range(8)]
    assert "".join(chosen) == "31233232"
