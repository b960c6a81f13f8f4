"""Which route takes a destination: longest prefix, then lowest priority number, then weight."""

from collections.abc import Callable, Iterable, Sequence
from random import random
from typing import Generic, Protocol, TypeVar


class RouteForm(Protocol):
    """What the table needs to know of a route (``smsgw.provisioning.Route``)."""

    @property
    def prefixes(self) -> Sequence[str]:
        """Leading digits of destinations in international form; "" is every destination."""

    @property
    def priority(self) -> int:
        """Of routes with the same prefix the one with the lowest number wins."""

    @property
    def weight(self) -> int:
        """Share among routes of the same prefix and priority."""


R = TypeVar("R", bound=RouteForm)


class RouteTable(Generic[R]):
    """Routes compiled for look-up: one dictionary look-up for each prefix length in use, 16 at
    most."""

    def __init__(self, routes: Iterable[R], chance: Callable[[], float] = random) -> None:
        """``chance`` gives numbers in [0, 1) for the choice by weight."""
        best: dict[str, list[R]] = {}
        for route in routes:
            for prefix in route.prefixes:
                rivals = best.setdefault(prefix, [])
                if rivals and route.priority < rivals[0].priority:
                    rivals.clear()
                if not rivals or route.priority == rivals[0].priority:
                    rivals.append(route)
        self._routes = best
        self._lengths = sorted({len(prefix) for prefix in best}, reverse=True)
        self._chance = chance

    def match(self, destination: str) -> R | None:
        """The route for a destination (digits in international form), None if there is none."""
        routes = self._routes
        for length in self._lengths:
            rivals = routes.get(destination[:length])
            if rivals is not None and length <= len(destination):
                return rivals[0] if len(rivals) == 1 else self._choose(rivals)
        return None

    def _choose(self, rivals: list[R]) -> R:
        point = self._chance() * sum(route.weight for route in rivals)
        for route in rivals:
            point -= route.weight
            if point < 0:
                return route
        return rivals[-1]
