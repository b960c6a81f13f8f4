"""Range requests (RFC 9110 §14)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.http.ranges import Unsatisfiable, asked


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (b"bytes=0-3", (0, 4)),
        (b"bytes=4-", (4, 6)),
        (b"bytes=-3", (7, 3)),
        (b"bytes=-30", (0, 10)),
        (b"bytes=8-30", (8, 2)),
        (None, None),
        (b"bytes=0-1,4-5", None),
        (b"bytes=3-1", None),
        (b"lines=1-2", None),
        (b"bytes=a-b", None),
    ],
)
def test_one_range_is_served(header: "bytes | None", found: object) -> None:
    """What is no range, or several, means the whole."""
    assert asked(header, 10) == found


@pytest.mark.parametrize("header", [b"bytes=10-", b"bytes=10-20", b"bytes=-0"])
def test_range_beyond_the_end_cannot_be_served(header: bytes) -> None:
    """It is 416."""
    with pytest.raises(Unsatisfiable):
        asked(header, 10)


@given(
    st.integers(0, 50), st.one_of(st.binary(max_size=30), st.from_regex(rb"bytes=\d{0,3}-\d{0,3}"))
)
def test_what_is_found_is_within(size: int, header: bytes) -> None:
    """Whatever is asked for."""
    try:
        found = asked(header, size)
    except Unsatisfiable:
        return
    if found is not None:
        start, count = found
        assert 0 <= start < start + count <= size
