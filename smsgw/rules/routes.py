"""Which route takes a message: longest prefix whose filters let it pass, then lowest priority
number, then a choice among equals."""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from random import random
from typing import Generic, Protocol, TypeVar

from attrs import define, field

from smsgw.message import Message
from smsgw.rules import filters
from smsgw.rules.filters import Filtered, Test

LEAST_COST = "least-cost"
ROUND_ROBIN = "round-robin"
WEIGHT = "weight"
_SELECTIONS = (LEAST_COST, ROUND_ROBIN, WEIGHT)  # where rivals differ, the first of these


class RouteForm(Filtered, Protocol):
    """What the table needs to know of a route (``smsgw.provisioning.Route``)."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def prefixes(self) -> Sequence[str]:
        """Leading digits of destinations in international form; "" is every destination."""

    @property
    def priority(self) -> int:
        """Of routes with the same prefix the one with the lowest number wins."""

    @property
    def select(self) -> str:
        """How one is chosen of routes of the same prefix and priority."""

    @property
    def weight(self) -> int:
        """Share among routes of the same prefix and priority."""

    @property
    def price(self) -> str:
        """Price of a part."""


R = TypeVar("R", bound=RouteForm)


@define
class Found(Generic[R]):
    """The routes among which the choice is, of one prefix and priority; and what was passed
    over."""

    prefix: str = ""
    rivals: list[R] = field(factory=list)
    # Routes with a matching prefix that did not take it, in the order in which they were asked,
    # each with the filter that did not let it pass.
    passed_over: list[tuple[R, str]] = field(factory=list)


class _Rivals(Generic[R]):
    """Several routes of one prefix, or one that has filters."""

    def __init__(self, routes: list[R], tests: dict[str, Test]) -> None:
        self.priorities = [
            [(one, tests.get(one.name)) for one in routes if one.priority == priority]
            for priority in sorted({one.priority for one in routes})
        ]
        best = self.priorities[0]
        # Nothing to ask: always the same.
        self._all = [one for one, _ in best] if all(test is None for _, test in best) else []
        self._turn = -1

    def passing(
        self, message: Message | None, passed_over: list[tuple[R, str]] | None = None
    ) -> list[R]:
        """Those of the best priority that let the message pass; [] if none does."""
        if self._all:
            return self._all
        for level in self.priorities:
            found = []
            for route, test in level:
                why = "" if test is None else "no message" if message is None else test(message)
                if not why:
                    found.append(route)
                elif passed_over is not None:
                    passed_over.append((route, why))
            if found:
                return found
        return []

    def choose(self, routes: list[R], chance: Callable[[], float]) -> R:
        """One of ``routes``."""
        select = selection(routes)
        if select == LEAST_COST:
            return min(routes, key=_price)
        if select == ROUND_ROBIN:
            self._turn += 1
            return routes[self._turn % len(routes)]
        point = chance() * sum(route.weight for route in routes)
        for route in routes:
            point -= route.weight
            if point < 0:
                return route
        return routes[-1]


def selection(routes: Sequence[RouteForm]) -> str:
    """How one of ``routes`` is chosen."""
    asked = {route.select for route in routes}
    return next((one for one in _SELECTIONS if one in asked), WEIGHT)


def _price(route: RouteForm) -> Decimal:
    return Decimal(route.price)


class RouteTable(Generic[R]):
    """Routes compiled for look-up: one dictionary look-up for each prefix length in use, 16 at
    most."""

    def __init__(self, routes: Iterable[R], chance: Callable[[], float] = random) -> None:
        """``chance`` gives numbers in [0, 1) for the choice by weight."""
        tests: dict[str, Test] = {}
        by_prefix: dict[str, list[R]] = {}
        for route in routes:
            test = filters.compiled(route)
            if test is not None:
                tests[route.name] = test
            for prefix in route.prefixes:
                rivals = by_prefix.setdefault(prefix, [])
                if route not in rivals:
                    rivals.append(route)
        # A route alone and without filters stands for itself.
        self._routes: dict[str, R | _Rivals[R]] = {
            prefix: rivals[0]
            if len(rivals) == 1 and rivals[0].name not in tests
            else _Rivals(rivals, tests)
            for prefix, rivals in by_prefix.items()
        }
        self._lengths = sorted({len(prefix) for prefix in by_prefix}, reverse=True)
        self._chance = chance

    def match(self, destination: str, message: Message | None = None) -> R | None:
        """The route for a destination (digits in international form), None if there is none.

        Without ``message`` routes that have filters take nothing.
        """
        routes = self._routes
        for length in self._lengths:
            found = routes.get(destination[:length])
            if found is None or length > len(destination):
                continue
            if not isinstance(found, _Rivals):
                return found
            rivals = found.passing(message)
            if rivals:
                return rivals[0] if len(rivals) == 1 else found.choose(rivals, self._chance)
        return None

    def explain(self, destination: str, message: Message | None = None) -> Found[R]:
        """What ``match`` has to choose from, and what it passes over."""
        result: Found[R] = Found()
        for length in self._lengths:
            found = self._routes.get(destination[:length])
            if found is None or length > len(destination):
                continue
            if isinstance(found, _Rivals):
                result.rivals = found.passing(message, result.passed_over)
            else:
                result.rivals = [found]
            if result.rivals:
                result.prefix = destination[:length]
                break
        return result
