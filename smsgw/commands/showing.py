"""How commands write what they found: tables, lines, JSON, times."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def show_list(as_json: bool, rows: Sequence[Any], columns: dict[str, Callable[[Any], str]]) -> None:
    """Write ``rows`` as a table: ``columns`` are their titles and what they show of a row."""
    if as_json:
        print_json(rows)
        return
    table = table_of()
    for name in columns:
        table.add_column(name)
    for row in rows:
        # Text, not markup: what peers said may have brackets.
        table.add_row(*(Text(show(row)) for show in columns.values()))
    if rows:
        _console().print(table)
    else:
        click.echo("None.")


def table_of() -> Table:
    """An empty table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def _console() -> Console:
    """Standard output; wide where it is a file or a pipe, so that nothing is folded there."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else 500)


def print_json(value: object) -> None:
    """Write ``value`` as indented JSON."""
    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


def time_of(at_ms: int) -> str:
    """Milliseconds since 1970 as text in UTC, "" for 0."""
    if not at_ms:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def show_lines(lines: list[tuple[str, str]]) -> None:
    """Write a label and its value on each line, without those that have no value."""
    table = table_of()
    table.show_header = False
    for label, value in lines:
        if value:
            table.add_row(Text(label), Text(value))
    _console().print(table)
