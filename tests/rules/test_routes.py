"""Routes: the longest prefix, then the lowest priority number, then a share by weight."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.provisioning import Route
from smsgw.rules.routes import RouteTable


def a_route(name: str, *prefixes: str, priority: int = 0, weight: int = 1) -> Route:
    return Route(name, list(prefixes), ["north"], priority=priority, weight=weight)


def matched(routes: list[Route], destination: str, chance: float = 0.0) -> str | None:
    route = RouteTable(routes, lambda: chance).match(destination)
    return route.name if route is not None else None


def test_the_longest_prefix_wins() -> None:
    """A route for a network is taken before that of its country and that of everything."""
    routes = [a_route("all", ""), a_route("uk", "44"), a_route("mobile", "447")]
    assert matched(routes, "447700900123") == "mobile"
    assert matched(routes, "442079460000") == "uk"
    assert matched(routes, "33123456789") == "all"


def test_the_longest_prefix_wins_whatever_the_priorities() -> None:
    """Priorities are compared among routes of the same prefix only."""
    routes = [a_route("uk", "44", priority=-5), a_route("mobile", "447", priority=5)]
    assert matched(routes, "447700900123") == "mobile"


@pytest.mark.parametrize("turned", [False, True])
def test_of_the_same_prefix_the_lowest_priority_number_wins(turned: bool) -> None:
    """The order in which routes are provisioned does not matter."""
    routes = [a_route("second", "44", priority=2), a_route("first", "44", priority=1)]
    assert matched(routes[::-1] if turned else routes, "447700900123") == "first"


def test_without_a_matching_prefix_there_is_no_route() -> None:
    """A destination that no prefix begins is not sent anywhere."""
    assert matched([a_route("uk", "44")], "33123456789") is None
    assert matched([], "33123456789") is None


def test_a_prefix_longer_than_the_destination_does_not_match() -> None:
    """A short destination is no beginning of a prefix."""
    assert matched([a_route("uk", "4477"), a_route("short", "447")], "447") == "short"
    assert matched([a_route("uk", "4477")], "447") is None


def test_a_route_has_several_prefixes() -> None:
    """Each prefix of a route is one by itself."""
    routes = [a_route("islands", "441481", "441534"), a_route("uk", "44")]
    assert matched(routes, "441534123456") == "islands"
    assert matched(routes, "441481123456") == "islands"
    assert matched(routes, "441624123456") == "uk"


def test_of_the_same_priority_weights_are_shares() -> None:
    """A route of weight 3 takes three times what a route of weight 1 takes."""
    routes = [a_route("big", "44", weight=3), a_route("small", "44", weight=1)]
    chosen = Counter(matched(routes, "447700900123", n / 100) for n in range(100))
    assert chosen == {"big": 75, "small": 25}


def test_a_worse_priority_has_no_share() -> None:
    """A weight counts among routes of the best priority only."""
    routes = [a_route("good", "44", priority=1), a_route("bad", "44", priority=2, weight=1000)]
    assert {matched(routes, "447700900123", n / 10) for n in range(10)} == {"good"}


@given(
    st.lists(
        st.tuples(st.text("1234", max_size=4), st.integers(0, 2), st.integers(1, 3)), max_size=12
    ),
    st.text("1234", min_size=3, max_size=6),
    st.floats(0, 1, exclude_max=True),
)
def test_the_table_finds_what_a_search_finds(
    forms: list[tuple[str, int, int]], destination: str, chance: float
) -> None:
    """Whatever is provisioned, the route is one of the best there are."""
    routes = [
        a_route(str(n), prefix, priority=priority, weight=weight)
        for n, (prefix, priority, weight) in enumerate(forms)
    ]
    matching = [route for route in routes if destination.startswith(route.prefixes[0])]
    found = RouteTable(routes, lambda: chance).match(destination)
    if not matching:
        assert found is None
        return
    best = max((len(r.prefixes[0]), -r.priority) for r in matching)
    assert found is not None
    assert (len(found.prefixes[0]), -found.priority) == best
