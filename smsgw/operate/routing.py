"""Tries a route: what acceptance would decide about a message, and why it would go that way."""

from collections.abc import Callable
from decimal import Decimal

from smsgw.flow.accept import Acceptance
from smsgw.message import Message
from smsgw.operate.operator import CarrierTry, RouteView
from smsgw.provisioning import Account, Route
from smsgw.refusals import Reason, Refusal
from smsgw.rules.routes import BEST_RATE, Found, percent, selection
from smsgw.rules.tables import Tables
from smsgw.text import coding

# Filters by the words of ``smsgw.rules.filters``.
_FILTERS = {
    "accounts": "account",
    "groups": "account",
    "tags": "tag",
    "kinds": "kind",
    "sources": "source",
    "hours": "hours",
    "text": "text",
    "sim": "sim",
}


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
    # Who does not know the links does not know either what the account has.
    outcome = acceptance.consider(account, message, credit=is_up is not None)
    view = RouteView(
        account=name,
        source=message.source,
        destination=message.destination,
        parts=len(message.parts),
        coding=coding.alphabet(message.data_coding).name if message.parts else "",
    )
    if isinstance(outcome, Refusal):
        words = outcome.reason.answer.text
        detail = outcome.detail
        if outcome.reason is Reason.FILTERED and tables.content is not None:
            detail = f"by the filter {tables.content.refuses(message)}"
        elif outcome.reason is Reason.DUPLICATE:
            within = account.duplicate_window_s
            detail = f"a duplicate, the same was sent within {within} s (duplicate_window_s)"
        view.error = f"{words}: {detail}" if detail else words
    if message.schedule_at > message.accepted_at:
        view.deferred_until = message.schedule_at
    if not message.parts:
        return view
    routes = tables.routes if message.kind == "sms" else tables.mms_routes
    found = routes.explain(message.destination, message)
    view.passed_over = [f"{route.name}: {why}" for route, why in found.passed_over]
    if message.route:
        _explained(view, message, tables, found, live=is_up is not None)
        view.carriers = [
            CarrierTry(one, None if is_up is None else is_up(one)) for one in message.carriers
        ]
    return view


def _explained(
    view: RouteView, message: Message, tables: Tables, found: Found[Route], live: bool
) -> None:
    route = tables.provisioning.routes[message.route]
    view.route = route.name
    view.prefix = found.prefix
    view.priority = route.priority
    words = [word for key, word in _FILTERS.items() if getattr(route, key)]
    view.filters = list(dict.fromkeys(words))
    if len(found.rivals) > 1:
        view.select = selection(found.rivals)
        view.rivals = [one.name for one in found.rivals if one.name != route.name]
        if live and view.select == BEST_RATE:
            view.rates = {
                one.name: percent(tables.rates.of(one.carriers[0])) for one in found.rivals
            }
    view.price = format(Decimal(message.price) * len(message.parts), "f")
    prices = tables.prices.get(message.account)
    priced = prices.find(message.destination) if prices is not None else None
    view.price_from = f"route {route.name}"
    if prices is not None and priced is not None:
        view.price_from = f"price list {prices.name}, {priced.why}"
