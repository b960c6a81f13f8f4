"""Message ids: 63-bit, time-ordered, unique over nodes, and the forms in which dialects print them
(design section 9)."""

import time
from collections.abc import Callable

EPOCH_MS = 1_577_836_800_000  # 2020-01-01T00:00:00Z
_NODE_BITS = 6
_COUNTER_BITS = 15
_TAIL = (1 << 58) - 1
_MIX = 0x2545F4914F6CDD1D  # odd, so that multiplying by it loses nothing

MESSAGE = 0
RECEIPT = 1  # the same message's receipt, which REST shows as a transaction of its own


class Identities:
    """Allots message ids: 42 bits of milliseconds since 2020, 6 of node, 15 of counter.

    Ids rise strictly for one node, also when the clock goes back or a millisecond's 32,768 are used
    up: then the time part runs ahead of the clock until that has caught up.
    """

    def __init__(self, node: int = 0, now: Callable[[], float] = time.time) -> None:
        """``node`` is 0 to 63; ``now`` gives seconds since 1970."""
        if not 0 <= node < 1 << _NODE_BITS:
            raise ValueError(f"node must be 0 to {(1 << _NODE_BITS) - 1}, not {node}")
        self._node = node << _COUNTER_BITS
        self._now = now
        self._ms = 0
        self._counter = 0

    def allot(self, count: int = 1) -> int:
        """The next id; the first of ``count``, 32,768 at most, that follow each other."""
        ms = int(self._now() * 1000) - EPOCH_MS
        first = self._counter + 1
        if ms > self._ms:
            self._ms = ms
            first = 0
        elif first + count > 1 << _COUNTER_BITS:
            self._ms += 1
            first = 0
        self._counter = first + count - 1
        return self._ms << (_NODE_BITS + _COUNTER_BITS) | self._node | first

    def allotted_at_least(self, id: int) -> None:
        """Go on after ``id``: the highest one in the store, so that a clock set back at a restart
        harms nothing."""
        ms = id >> (_NODE_BITS + _COUNTER_BITS)
        if ms >= self._ms:
            self._ms = ms
            self._counter = (1 << _COUNTER_BITS) - 1


def first_of(at_ms: int) -> int:
    """The lowest id that is allotted at a time (ms since 1970), to find rows of about that time;
    the highest that there is for a time that is after all ids."""
    return min(max(0, at_ms - EPOCH_MS) << (_NODE_BITS + _COUNTER_BITS), (1 << 63) - 1)


def time_of(id: int) -> int:
    """When an id was allotted (ms since 1970)."""
    return (id >> (_NODE_BITS + _COUNTER_BITS)) + EPOCH_MS


def to_hex(id: int, kind: int = MESSAGE) -> str:
    """32 hex digits: the id in the form of an RFC 9562 version 8 UUID without hyphens.

    48 + 12 bits hold the upper 60 bits of the id, the tail its other three, the kind, and a mix of
    both that makes a mistyped GUID be noticed.
    """
    high = id >> 3
    tail = (id & 7) << 1 | kind
    check = (id << 1 | kind) * _MIX >> 30 & _TAIL
    value = (high >> 12) << 80 | 8 << 76 | (high & 0xFFF) << 64 | 2 << 62 | tail << 58 | check
    return f"{value:032x}"


def to_guid(id: int, kind: int = MESSAGE) -> str:
    """The UUID form, 36 characters."""
    h = to_hex(id, kind)
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def from_guid(text: str) -> tuple[int, int] | None:
    """Id and kind from either form; None if it is none of ours."""
    plain = text.replace("-", "").lower()
    if len(plain) != 32:
        return None
    try:
        value = int(plain, 16)
    except ValueError:
        return None
    high = value >> 80 << 12 | value >> 64 & 0xFFF
    tail = value >> 58 & 0xF
    id = high << 3 | tail >> 1
    kind = tail & 1
    return (id, kind) if to_hex(id, kind) == plain else None
