"""bench/routes.py: that its figures are of what they say."""

from random import Random

from bench import routes
from smsgw.rules.routes import RouteTable


def test_every_message_has_a_route_when_nothing_is_filtered() -> None:
    """What is timed finds something each time, and many different routes."""
    random = Random(1)
    every = routes.prefixes(500, random)
    assert len(set(every)) == 500
    table = RouteTable(routes.routes(every, False))
    matched = [table.match(one.destination, one) for one in routes.messages(every, random)]
    found = {route.name for route in matched if route is not None}
    assert None not in matched
    assert len(found) > 100


def test_figures_are_rates_and_times() -> None:
    """One for each kind of table."""
    figures = routes.measured(500, 1)
    assert set(figures) == {
        "prefixes",
        "plain_load_s",
        "plain_per_s",
        "filtered_load_s",
        "filtered_per_s",
        "stall_ms",
        "naive_per_s",
    }
    assert figures["plain_per_s"] > 0
