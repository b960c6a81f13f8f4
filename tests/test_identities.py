"""Message ids: order, uniqueness, and the forms in which they are printed."""

import uuid
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.identities import (
    EPOCH_MS,
    MESSAGE,
    RECEIPT,
    Identities,
    first_of,
    from_guid,
    to_guid,
    to_hex,
)

ids = st.integers(0, (1 << 63) - 1)
kinds = st.sampled_from([MESSAGE, RECEIPT])
seconds = st.floats(EPOCH_MS / 1000 + 1, EPOCH_MS / 1000 + 4_000_000_000, allow_nan=False)


class Times:
    """A clock that says what it is told, and then the last of that for ever."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)

    def __call__(self) -> float:
        return self.times.pop(0) if len(self.times) > 1 else self.times[0]


@given(st.lists(seconds, min_size=1, max_size=200), st.integers(0, 63))
def test_ids_rise_whatever_the_clock_does(times, node):
    """Strictly rising and positive 63-bit ids of this node, also when the clock goes back."""
    identities = Identities(node, Times(*times))
    allotted = [identities.allot() for _ in times]
    assert all(before < after for before, after in pairwise(allotted))
    assert all(0 < id < 1 << 63 for id in allotted)
    assert {id >> 15 & 63 for id in allotted} == {node}


def test_a_millisecond_used_up_runs_ahead_of_the_clock():
    """The 32,769th id of a millisecond takes the next one, and the order holds when it comes."""
    start = EPOCH_MS / 1000 + 1000
    identities = Identities(now=Times(*[start] * 32_769, start + 0.001))
    allotted = [identities.allot() for _ in range(32_771)]
    assert len(set(allotted)) == len(allotted)
    assert allotted == sorted(allotted)
    assert allotted[32_767] >> 21 == 1_000_000
    assert allotted[32_768] >> 21 == 1_000_001


def test_several_ids_at_once_follow_each_other():
    """None of them is allotted again, also where they do not fit in what is left of the
    millisecond."""
    identities = Identities(now=lambda: EPOCH_MS / 1000)
    allotted = []
    for count in (1, 3, 32_760, 10, 32_768, 1):
        first = identities.allot(count)
        allotted += range(first, first + count)
    assert allotted == sorted(set(allotted))


def test_nodes_never_share_an_id():
    """Two nodes at the same time allot different ids."""
    start = EPOCH_MS / 1000 + 1000
    nodes = [Identities(node, lambda: start) for node in (0, 1, 63)]
    allotted = [identities.allot() for identities in nodes for _ in range(1000)]
    assert len(set(allotted)) == 3000


def test_ids_are_in_order_of_time():
    """The time part is milliseconds since 2020, so a later id is a larger one."""
    id = Identities(now=lambda: EPOCH_MS / 1000 + 1.5).allot()
    assert id >> 21 == 1500


@given(ids, seconds)
def test_after_a_restart_ids_go_on_behind_the_highest_stored(highest, now):
    """A clock set back while the gateway was down allots no id twice."""
    highest &= ~(63 << 15)
    highest = min(highest, ((1 << 42) - 2) << 21)
    identities = Identities(0, lambda: now)
    identities.allotted_at_least(highest)
    assert identities.allot() > highest


def test_a_lower_stored_id_changes_nothing():
    """Going on after an old id does not turn the ids back."""
    identities = Identities(now=lambda: EPOCH_MS / 1000 + 5)
    first = identities.allot()
    identities.allotted_at_least(1)
    assert identities.allot() == first + 1


@pytest.mark.parametrize("node", [-1, 64])
def test_a_node_number_out_of_range_is_our_own_mistake(node):
    """Six bits hold a node number."""
    with pytest.raises(ValueError, match="node must be 0 to 63"):
        Identities(node)


@given(ids, kinds)
def test_a_guid_comes_back_as_its_id_and_kind(id, kind):
    """from_guid(to_guid(x)) == x, with and without hyphens, in either case."""
    assert from_guid(to_guid(id, kind)) == (id, kind)
    assert from_guid(to_hex(id, kind).upper()) == (id, kind)


@given(ids, kinds)
def test_a_guid_is_a_version_8_uuid(id, kind):
    """RFC 9562: 36 characters, version 8, its variant."""
    parsed = uuid.UUID(to_guid(id, kind))
    assert str(parsed) == to_guid(id, kind)
    assert parsed.hex == to_hex(id, kind)
    assert (parsed.version, parsed.variant) == (8, uuid.RFC_4122)


@given(st.lists(st.tuples(ids, kinds), unique=True, min_size=2, max_size=2))
def test_different_ids_have_different_guids(pair):
    """Nor does a receipt's GUID equal its message's."""
    assert to_guid(*pair[0]) != to_guid(*pair[1])


@given(ids, kinds, st.integers(0, 31), st.sampled_from("0123456789abcdef"))
def test_a_mistyped_digit_is_noticed(id, kind, place, digit):
    """A GUID with one digit changed is none of ours."""
    plain = to_hex(id, kind)
    mistyped = plain[:place] + digit + plain[place + 1 :]
    assert mistyped == plain or from_guid(mistyped) is None


@given(st.one_of(st.text(), st.uuids().map(str), st.text("0123456789abcdefx_- ", max_size=40)))
def test_any_text_is_read_or_refused(text):
    """No text crashes the reader; what it reads prints as what was read."""
    found = from_guid(text)
    assert found is None or to_hex(*found) == text.replace("-", "").lower()


@pytest.mark.parametrize("text", ["", "0" * 32, "g" * 32, "1" * 31, str(uuid.NAMESPACE_DNS)])
def test_foreign_texts_are_none_of_ours(text):
    """Short, malformed and foreign UUIDs give None."""
    assert from_guid(text) is None


def test_rows_of_a_time_are_found_by_their_ids() -> None:
    """The first id of a millisecond is not above what any node allots in it, nor below it."""
    at_ms = 1_800_000_000_123
    for node in (0, 63):
        allotted = Identities(node, lambda: at_ms / 1000).allot()
        assert first_of(at_ms) <= allotted < first_of(at_ms + 1)
    assert first_of(0) == 0
    assert first_of(253_402_300_799_000) == (1 << 63) - 1  # the year 9999: what the store can hold
