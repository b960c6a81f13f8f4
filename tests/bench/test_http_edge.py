"""bench/http_edge.py: that what it times is accepted by each dialect."""

import pytest

from bench import http_edge


@pytest.mark.parametrize("dialect", http_edge.DIALECTS)
def test_each_dialect_accepts_what_is_timed(dialect: str) -> None:
    """The last answers are read, and a request that is refused ends the bench."""
    edge, ring, yes = http_edge.prepared(dialect, connections=2)
    assert edge.run(ring[:4], yes) > 0


def test_an_answer_that_is_not_the_dialects_yes_ends_the_bench() -> None:
    """A figure of refusals would be no figure."""
    edge, ring, yes = http_edge.prepared("rest", connections=1)
    with pytest.raises(SystemExit, match="not accepted"):
        edge.run([ring[0].replace(b'"destination"', b'"destinatio_"')], yes)
