"""Routes: the longest prefix, then the lowest priority number, then a share by weight."""

from collections import Counter
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smsgw.message import Message
from smsgw.provisioning import Route
from smsgw.rules.delivery_rate import DeliveryRates
from smsgw.rules.routes import EXPLORED, RouteTable


def a_route(name: str, *prefixes: str, **fields: Any) -> Route:
    return Route(name, list(prefixes), ["north"], **fields)


def a_message(text: str, **fields: Any) -> Message:
    return Message(source="ACME", destination="447700900123", text=text, **fields)


def named(route: Route | None) -> str | None:
    return route.name if route is not None else None


def matched(routes: list[Route], destination: str, chance: float = 0.0) -> str | None:
    return named(RouteTable(routes, lambda: chance).match(destination))


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


def test_round_robin_takes_turns() -> None:
    """Each route takes the next message, whatever the weights."""
    routes = [
        a_route("a", "44", select="round-robin", weight=9),
        a_route("b", "44", select="round-robin"),
    ]
    table = RouteTable(routes)
    assert [named(table.match("447700900123")) for _ in range(4)] == ["a", "b", "a", "b"]


def test_least_cost_takes_the_lowest_price() -> None:
    """Prices are compared as amounts, not as texts; of the same price the first is taken."""
    routes = [
        a_route("a", "44", price="0.1", select="least-cost"),
        a_route("b", "44", price="0.0900", select="least-cost"),
        a_route("c", "44", price="0.09", select="least-cost"),
    ]
    assert matched(routes, "447700900123", 0.99) == "b"


def test_where_routes_select_differently_the_price_goes_first() -> None:
    """least-cost goes before round-robin before weight."""
    routes = [
        a_route("a", "44", price="2", select="round-robin"),
        a_route("b", "44", price="1", select="least-cost"),
        a_route("c", "44", price="3"),
    ]
    assert matched(routes, "447700900123") == "b"


def rated(rates: dict[str, float], *chances: float, **fields: Any) -> str | None:
    """The route that is chosen by what its first carrier, which has its name, delivers."""
    routes = [
        Route(name, ["44"], [name, "z"], select="best-rate", weight=int(fields.get(name, 1)))
        for name in rates
    ]
    table = RouteTable(routes, iter(chances).__next__, rate=rates.__getitem__)
    return named(table.match("447700900123"))


def test_best_rate_takes_the_carrier_that_delivers_most() -> None:
    """In whole per cent: of what differs by less, weights are shares."""
    assert rated({"a": 0.9, "b": 0.95, "c": 0.2}, 0.99) == "b"
    assert rated({"a": 0.951, "b": 0.949, "c": 0.2}, 0.99, 0.7) == "b"
    assert rated({"a": 0.951, "b": 0.949, "c": 0.2}, 0.99, 0.7, a=3) == "a"
    assert rated({"a": 1.0, "b": 1.0}, 0.0) == "a"


def test_best_rate_tries_another_now_and_then() -> None:
    """One choice in twenty, among the others by their weights."""
    rates = {"a": 0.9, "b": 0.95, "c": 0.2}
    below = EXPLORED - 0.001
    assert [rated(rates, below, 0.4), rated(rates, below, 0.6)] == ["a", "c"]
    assert rated(rates, below, 0.6, a=9) == "a"
    assert rated(rates, EXPLORED) == "b"


def test_least_cost_goes_before_best_rate_and_that_before_turns() -> None:
    """Where rivals name different ways."""
    routes = [
        Route("a", ["44"], ["a"], select="round-robin"),
        Route("b", ["44"], ["b"], select="best-rate"),
    ]
    table = RouteTable(routes, lambda: 0.9, rate={"a": 0.1, "b": 0.9}.__getitem__)
    assert [named(table.match("447700900123")) for _ in range(3)] == ["b", "b", "b"]
    cheap = Route("c", ["44"], ["c"], select="least-cost")
    table = RouteTable([*routes, cheap], lambda: 0.9, rate=lambda carrier: 0.5)
    assert named(table.match("447700900123")) == "a"  # of the same price the first


class Market:
    """Two carriers that deliver as they do, and the choice between them."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 1_800_000_000.0
        self.rates = DeliveryRates(lambda: self.now)
        routes = [Route(name, ["44"], [name], select="best-rate") for name in ("a", "b")]
        self.table = RouteTable(routes, self.random.random, rate=self.rates.of)

    def send(self, messages: int, **delivers: float) -> Counter[str]:
        """Sends so many, four a second, each with its receipt; who took the last half of them."""
        taken: list[str] = []
        for _ in range(messages):
            name = named(self.table.match("447700900123"))
            assert name is not None
            self.rates.count(name, self.random.random() < delivers[name])
            self.now += 0.25
            taken.append(name)
        return Counter(taken[messages // 2 :])


# The same chances each time: that of a false alarm is small, but not none.
AT_CHANCE = settings(derandomize=True, max_examples=15)


@AT_CHANCE
@given(st.integers(), st.floats(0, 0.7), st.floats(0.2, 0.3))
def test_the_carrier_that_delivers_better_gets_most(seed: int, worse: float, by: float) -> None:
    """Whatever the rates are and chance does; the other one is tried now and then."""
    taken = Market(seed).send(2_000, a=worse, b=worse + by)
    assert taken["b"] > 850
    assert taken["a"] > 0


@AT_CHANCE
@given(st.integers())
def test_a_carrier_that_has_recovered_is_found(seed: int) -> None:
    """Also after it delivered nothing for long."""
    market = Market(seed)
    assert market.send(1_000, a=0.8, b=0.0)["a"] > 400
    assert market.send(12_000, a=0.8, b=0.99)["b"] > 4_000


SIM = "8944500102198304826"  # 19 digits


def test_a_route_for_sims_takes_iccids_only() -> None:
    """And they take no other: an ICCID is no number, whatever prefixes fit."""
    routes = [
        a_route("all", "", priority=-1),
        a_route("eight", "8"),
        a_route("sims", "", sim=True),
        a_route("ours", "894450", sim=True),
    ]
    assert matched(routes, SIM) == "ours"
    assert matched(routes, "89445001021983048") == "ours"  # longer than any number
    assert matched(routes, "8931" + SIM[4:]) == "sims"
    assert matched(routes, "894450010219830") == "eight"
    assert matched(routes, "447700900123") == "all"
    assert matched(routes[:2], SIM) is None
    assert matched(routes[2:], "894450010219830") is None
    found = RouteTable(routes).explain(SIM)
    assert (found.prefix, [one.name for one in found.rivals]) == ("894450", ["ours"])


def test_a_route_whose_filters_do_not_match_is_passed_over() -> None:
    """Then the next priority is asked, and then the next shorter prefix."""
    filtered = a_route("mobile", "447", text="code")
    table = RouteTable([a_route("uk", "44"), filtered])
    code, other = a_message("Your code"), a_message("Hello")
    assert named(table.match("447700900123", code)) == "mobile"
    assert named(table.match("447700900123", other)) == "uk"
    second = a_route("second", "447", priority=1)
    table = RouteTable([a_route("uk", "44"), second, filtered])
    assert named(table.match("447700900123", code)) == "mobile"
    assert named(table.match("447700900123", other)) == "second"


def test_without_a_message_filters_do_not_match() -> None:
    """Of a destination alone nothing else is known."""
    assert matched([a_route("mobile", "447", text="code")], "447700900123") is None


def test_the_explanation_has_the_choice_and_what_was_passed_over() -> None:
    """The rivals of one prefix and priority, and the filter that did not let the message pass."""
    routes = [
        a_route("uk", "44"),
        a_route("also-uk", "44"),
        a_route("worse", "44", priority=1),
        a_route("codes", "447", text="code"),
        a_route("nights", "447", hours="22:00-06:00", text="code"),
    ]
    message = a_message("Hello", accepted_at=1_800_000_000_000)  # 08:00
    found = RouteTable(routes).explain("447700900123", message)
    assert found.prefix == "44"
    assert [one.name for one in found.rivals] == ["uk", "also-uk"]
    passed_over = [(one.name, why) for one, why in found.passed_over]
    assert passed_over == [("codes", "text"), ("nights", "hours")]
    assert RouteTable(routes).explain("33123456789", message).rivals == []


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


@given(
    st.lists(
        st.tuples(
            st.lists(st.text("12", max_size=4), min_size=1, max_size=3),
            st.integers(0, 2),
            st.sampled_from(["", "a", "b"]),
            st.sampled_from([[], ["ACME"], ["44"]]),
        ),
        max_size=12,
    ),
    st.text("12", min_size=3, max_size=6),
    st.sampled_from(["a", "b", "ab", ""]),
    st.floats(0, 1, exclude_max=True),
)
def test_with_filters_the_table_finds_what_a_search_finds(
    forms: list[tuple[list[str], int, str, list[str]]],
    destination: str,
    text: str,
    chance: float,
) -> None:
    """The route is one of the best that let the message pass, and the explanation has it."""
    routes = [
        a_route(str(n), *prefixes, priority=priority, text=pattern, sources=sources)
        for n, (prefixes, priority, pattern, sources) in enumerate(forms)
    ]
    ranks = {
        (route.name, prefix): (len(prefix), -route.priority)
        for route in routes
        for prefix in route.prefixes
        if destination.startswith(prefix)
        and route.text in text
        and (not route.sources or "ACME" in route.sources)
    }
    best = {name for (name, _), rank in ranks.items() if rank == max(ranks.values())}
    table = RouteTable(routes, lambda: chance)
    message = a_message(text)
    found = named(table.match(destination, message))
    assert found in best if best else found is None
    assert {one.name for one in table.explain(destination, message).rivals} == best
