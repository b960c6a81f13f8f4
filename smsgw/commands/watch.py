"""``smsgw health`` and ``audit``: how the gateway is, and who did what to it."""

from datetime import UTC, datetime, timedelta

import click

from smsgw.commands.asking import Silent, ask, operator_of, utf8
from smsgw.commands.showing import json_option, print_json, show_lines, time_of
from smsgw.operate.operator import AuditView
from smsgw.toml import visible


@click.command()
@json_option
@click.pass_context
def health(context: click.Context, as_json: bool) -> None:
    """Show whether the gateway is ready; status 1 if it is not."""
    found = ask(operator_of(context).ready())
    if as_json:
        print_json({"ok": found.ok, "checks": found.checks})
    else:
        show_lines(
            [
                (one.name, f"{'ok' if one.ok else 'FAILED'} {one.detail}".rstrip())
                for one in found.checks
            ]
        )
    if not found.ok:
        raise Silent


_SINCE = click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S"])


@click.command()
@click.option(
    "--since", type=_SINCE, metavar="D", help="Day or time (UTC); the last 30 days by default."
)
@click.option("--kind", default="", metavar="K", help="account, carrier, topup ...", callback=utf8)
@click.option("--name", default="", metavar="N", help="Of what was changed.", callback=utf8)
@json_option
@click.pass_context
def audit(
    context: click.Context, since: datetime | None, kind: str, name: str, as_json: bool
) -> None:
    """Show who changed what, and when."""
    operator = operator_of(context)
    start = since.replace(tzinfo=UTC) if since else datetime.now(UTC) - timedelta(days=30)
    at = max(0, int(start.timestamp() * 1000))
    rows: list[AuditView] = []
    while page := ask(operator.audit(at, kind, name, rows[-1].key if rows else "")):
        rows += page
    if as_json:
        print_json(rows)
        return
    for one in rows:
        version = f" (version {one.version})" if one.version else ""
        what = one.lines if one.version else [" ".join([one.kind, one.name, *one.lines]).rstrip()]
        click.echo(visible(f"{time_of(one.at)} {one.who}{version}"))
        for line in what:
            click.echo(visible(f"  {line}"))
    if not rows:
        click.echo("None.")
