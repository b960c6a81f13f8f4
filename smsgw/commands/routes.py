"""``smsgw route``: where messages go."""

import click

from smsgw.commands.asking import Fault, Silent, ask, operator_of, utf8
from smsgw.commands.showing import json_option, print_json, show_lines, time_of
from smsgw.operate.operator import RouteView


@click.group()
def route() -> None:
    """See where messages go."""


@route.command("test")
@json_option
@click.option("--account", default="", metavar="NAME", help="Account that sends.", callback=utf8)
@click.argument("source", metavar="FROM", callback=utf8)
@click.argument("destination", metavar="TO", callback=utf8)
@click.argument("text", callback=utf8)
@click.pass_context
def route_test(
    context: click.Context, as_json: bool, account: str, source: str, destination: str, text: str
) -> None:
    """Show which route TEXT would take and why; nothing is sent."""
    found = ask(operator_of(context).route(account, source, destination, text))
    if as_json:
        print_json(found)
    elif found.route or found.passed_over or not found.error:
        show_lines(_route_lines(found))
    if found.error:
        if as_json:
            raise Silent
        raise Fault(f"it would be refused: {found.error}")


def _route_lines(found: RouteView) -> list[tuple[str, str]]:
    why = [f'prefix "{found.prefix}", priority {found.priority}']
    if found.filters:
        why.append(f"filters {', '.join(found.filters)}")
    if found.rivals:
        rivals = [found.route, *found.rivals]
        rated = [f"{one} ({found.rates[one]} %)" if one in found.rates else one for one in rivals]
        why.append(f"{found.select} among {', '.join(rated)}")
    links = {True: " (up)", False: " (down)", None: ""}
    return [
        ("route", found.route),
        ("because of", "; ".join(why) if found.route else ""),
        ("passed over", ", ".join(found.passed_over)),
        ("carriers", ", ".join(f"{one.name}{links[one.up]}" for one in found.carriers)),
        ("from", found.source),
        ("to", found.destination),
        ("parts", f"{found.parts} {found.coding}"),
        ("price", found.price),
        ("price from", found.price_from),
        ("goes out at", time_of(found.deferred_until)),
    ]
