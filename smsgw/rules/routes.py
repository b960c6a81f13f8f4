"""Which route takes a message: longest prefix whose filters let it pass, then lowest priority
number, then a choice among equals.

Messages to SIMs, whose ICCID is longer than any number, are taken by the routes for SIMs and by no
others.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from random import random
from typing import Generic, Protocol, TypeVar

from attrs import define, field

from smsgw.message import Message
from smsgw.rules import filters
from smsgw.rules.filters import Filtered, Members, Test
from smsgw.text.numbers import MAX_DIGITS

LEAST_COST = "least-cost"
BEST_RATE = "best-rate"
ROUND_ROBIN = "round-robin"
WEIGHT = "weight"
# Where rivals differ, the first of these.
_SELECTIONS = (LEAST_COST, BEST_RATE, ROUND_ROBIN, WEIGHT)
# So many of the choices by delivery rate try another route, so that a carrier that has become
# better is found.
EXPLORED = 0.05


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

    @property
    def carriers(self) -> Sequence[str]:
        """Who takes its messages, the first one first."""

    @property
    def sim(self) -> bool:
        """True if it takes messages to SIMs, and no others."""


R = TypeVar("R", bound=RouteForm)
# The share of its messages that a carrier delivers, 0 to 1.
Rate = Callable[[str], float]


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
        self.first = routes[0]
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

    def take(self, message: Message | None, chance: Callable[[], float], rate: Rate) -> R | None:
        """The one that takes the message, None if none does."""
        if self._all:
            found = self._all
            return found[0] if len(found) == 1 else self.choose(found, chance, rate)
        if message is None:
            found = self.passing(None)
            return self.choose(found, chance, rate) if found else None
        for level in self.priorities:
            if len(level) == 1:
                route, test = level[0]
                if test is None or not test(message):
                    return route
                continue
            found = [route for route, test in level if test is None or not test(message)]
            if found:
                return found[0] if len(found) == 1 else self.choose(found, chance, rate)
        return None

    def choose(self, routes: list[R], chance: Callable[[], float], rate: Rate) -> R:
        """One of ``routes``."""
        select = selection(routes)
        if select == LEAST_COST:
            return min(routes, key=_price)
        if select == BEST_RATE:
            return _best(routes, chance, rate)
        if select == ROUND_ROBIN:
            self._turn += 1
            return routes[self._turn % len(routes)]
        return _by_weight(routes, chance())


def _by_weight(routes: Sequence[R], chance: float) -> R:
    point = chance * sum(route.weight for route in routes)
    for route in routes:
        point -= route.weight
        if point < 0:
            return route
    return routes[-1]


def _best(routes: Sequence[R], chance: Callable[[], float], rate: Rate) -> R:
    """The route whose first carrier delivers best, in whole per cent; now and then another."""
    rates = [percent(rate(route.carriers[0])) for route in routes]
    most = max(rates)
    best = [route for route, one in zip(routes, rates, strict=True) if one == most]
    others = [route for route, one in zip(routes, rates, strict=True) if one < most]
    if others and chance() < EXPLORED:
        best = others
    return best[0] if len(best) == 1 else _by_weight(best, chance())


def selection(routes: Sequence[RouteForm]) -> str:
    """How one of ``routes`` is chosen."""
    asked = {route.select for route in routes}
    return next((one for one in _SELECTIONS if one in asked), WEIGHT)


def percent(rate: float) -> int:
    """A rate in whole per cent; what differs by less is as likely to be luck."""
    return round(rate * 100)


def _price(route: RouteForm) -> Decimal:
    return Decimal(route.price)


class _Prefixes(Generic[R]):
    """Routes by prefix.

    Made of few objects, however many the prefixes are: the garbage collector would go through them
    all, and the whole process wait for it.
    """

    def __init__(self, routes: Iterable[R], members: Members) -> None:
        tests: dict[str, Test] = {}
        # A route alone and without filters stands for itself.
        self.routes: dict[str, R | _Rivals[R]] = {}
        several: dict[str, list[R]] = {}
        for route in routes:
            test = filters.compiled(route, members)
            if test is not None:
                tests[route.name] = test
            alone = route if test is None else _Rivals([route], tests)
            for prefix in dict.fromkeys(route.prefixes):
                first = self.routes.setdefault(prefix, alone)
                if first is not alone:
                    rival = first.first if isinstance(first, _Rivals) else first
                    several.setdefault(prefix, [rival]).append(route)
        for prefix, rivals in several.items():
            self.routes[prefix] = _Rivals(rivals, tests)
        self.lengths = sorted({len(prefix) for prefix in self.routes}, reverse=True)


class RouteTable(Generic[R]):
    """Routes compiled for look-up: one dictionary look-up for each prefix length in use, 16 at
    most."""

    def __init__(
        self,
        routes: Iterable[R],
        chance: Callable[[], float] = random,
        members: Members | None = None,
        rate: Rate = lambda carrier: 1.0,
    ) -> None:
        """``chance`` gives numbers in [0, 1) for choices by weight; ``members`` are the accounts of
        groups; ``rate`` tells what carriers deliver."""
        routes = list(routes)
        self._numbers = _Prefixes((one for one in routes if not one.sim), members or {})
        self._sims = _Prefixes((one for one in routes if one.sim), members or {})
        self._chance = chance
        self._rate = rate

    def match(self, destination: str, message: Message | None = None) -> R | None:
        """The route for a destination (digits in international form, or an ICCID), None if there is
        none.

        Without ``message`` routes that have filters take nothing.
        """
        table = self._numbers if len(destination) <= MAX_DIGITS else self._sims
        routes = table.routes
        for length in table.lengths:
            found = routes.get(destination[:length])
            if found is None or length > len(destination):
                continue
            if not isinstance(found, _Rivals):
                return found
            taking = found.take(message, self._chance, self._rate)
            if taking is not None:
                return taking
        return None

    def explain(self, destination: str, message: Message | None = None) -> Found[R]:
        """What ``match`` has to choose from, and what it passes over."""
        table = self._numbers if len(destination) <= MAX_DIGITS else self._sims
        result: Found[R] = Found()
        for length in table.lengths:
            found = table.routes.get(destination[:length])
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
