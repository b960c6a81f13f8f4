"""Tries a route: what acceptance would decide about a message, and why it would go that way."""

from collections.abc import Callable
from decimal import Decimal

from attrs import evolve

from smsgw.flow.accept import Acceptance
from smsgw.message import Message
from smsgw.operate.operator import CarrierTry, RouteView
from smsgw.provisioning import Account, Route
from smsgw.refusals import Refusal
from smsgw.rules.routes import Found, selection
from smsgw.rules.tables import Tables
from smsgw.text import coding

# Filters by the words of ``smsgw.rules.filters``.
_FILTERS = {"accounts": "account", "sources": "source", "hours": "hours", "text": "text"}


def tried(
    acceptance: Acceptance,
    tables: Tables,
    name: str,
    message: Message,
    is_up: Callable[[str], bool] | None,
) -> RouteView:
    """What would become of ``message``; nothing is kept, charged or counted.

    ``name`` is the account, "" for one that may do everything; ``is_up`` whether a carrier has a
    link up, None if nobody knows.
    """
    account = tables.accounts.get(name) if name else Account("")
    if account is None:
        return RouteView(error=f"there is no account {name}; see: smsgw accounts")
    if is_up is None:
        account = evolve(account, balance=None)  # nor what it has
    outcome = acceptance.consider(account, message)
    view = RouteView(
        account=name,
        source=message.source,
        destination=message.destination,
        parts=len(message.parts),
        coding=coding.alphabet(message.data_coding).name if message.parts else "",
    )
    if isinstance(outcome, Refusal):
        words = outcome.reason.answer.text
        view.error = f"{words}: {outcome.detail}" if outcome.detail else words
    if not message.parts:
        return view
    found = tables.routes.explain(message.destination, message)
    view.passed_over = [f"{route.name}: {why}" for route, why in found.passed_over]
    if message.route:
        _explained(view, message, tables, found)
        view.carriers = [
            CarrierTry(one, None if is_up is None else is_up(one)) for one in message.carriers
        ]
    return view


def _explained(view: RouteView, message: Message, tables: Tables, found: Found[Route]) -> None:
    route = tables.provisioning.routes[message.route]
    view.route = route.name
    view.prefix = found.prefix
    view.priority = route.priority
    view.filters = [word for key, word in _FILTERS.items() if getattr(route, key)]
    if len(found.rivals) > 1:
        view.select = selection(found.rivals)
        view.rivals = [one.name for one in found.rivals if one.name != route.name]
    view.price = format(Decimal(route.price) * len(message.parts), "f")
