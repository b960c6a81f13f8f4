"""``smsgw lists`` and ``smsgw list``: contacts, opt-outs and blocks."""

import csv
import itertools
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TextIO, TypeVar

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from smsgw.commands.asking import Fault, Silent, ask, displayed, operator_of, say_all, utf8
from smsgw.commands.provision import interactive
from smsgw.commands.showing import json_option, print_json, show_lines, show_list, time_of
from smsgw.operate.list_views import PAGE, ListOperator, ListView, NumbersChanged
from smsgw.store.lists import OPERATOR, TYPES

T = TypeVar("T")
OWN = "-"  # in place of an account: the operator's own lists
_TOLD = 10  # lines of an import that are told to be no numbers, at most

_account = click.argument("account", callback=utf8)
_name = click.argument("name", callback=utf8)


@click.command()
@json_option
@click.argument("account", default="", callback=utf8)
@click.pass_context
def lists(context: click.Context, as_json: bool, account: str) -> None:
    """Show the lists of numbers of ACCOUNT ("-": the operator's own), or all."""
    whose = _owner(account) if account else None
    show_list(
        as_json,
        ask(operator_of(context).lists.all(whose)),
        {
            "account": lambda one: one.account or OWN,
            "list": lambda one: one.name,
            "type": lambda one: one.type,
            "source": lambda one: one.source,
            "size": lambda one: str(one.size),
            "updated": lambda one: time_of(one.updated),
        },
    )


@click.group("list")
def list_group() -> None:
    """Work on a list of numbers of ACCOUNT, "-" being the operator."""


@list_group.command("create")
@click.option("--type", "type", required=True, type=click.Choice(TYPES), help="What it is for.")
@click.option("--source", default="", metavar="N", help="Of an opt-out list: number it is for.")
@_account
@_name
@click.pass_context
def create(context: click.Context, type: str, source: str, account: str, name: str) -> None:
    """Make a list."""
    _done(ask(operator_of(context).lists.make(_owner(account), name, type, source)))


@list_group.command("rename")
@_account
@_name
@click.argument("new", callback=utf8)
@click.pass_context
def rename(context: click.Context, account: str, name: str, new: str) -> None:
    """Give a list the name NEW."""
    keeper = operator_of(context).lists
    _done(ask(keeper.rename(_found(keeper, account, name).id, new)))


@list_group.command("delete")
@click.option("--yes", is_flag=True, help="Delete it without asking.")
@_account
@_name
@click.pass_context
def delete(context: click.Context, yes: bool, account: str, name: str) -> None:
    """Delete a list with its members."""
    keeper = operator_of(context).lists
    found = _found(keeper, account, name)
    if not yes:
        if not interactive():
            raise Fault("nothing deleted: nobody to ask; run it again with --yes")
        if not click.confirm(f"Delete {found.name} with {found.size} numbers?"):
            raise Fault("nothing deleted: you said no")
    _done(ask(keeper.delete(found.id)))


@list_group.command("show")
@json_option
@_account
@_name
@click.pass_context
def show(context: click.Context, as_json: bool, account: str, name: str) -> None:
    """Show a list and its first 1,000 members; "export" writes all."""
    keeper = operator_of(context).lists
    found = _found(keeper, account, name)
    members = ask(keeper.members(found.id, "")) or []
    if as_json:
        print_json({"list": found, "members": members})
        return
    show_lines(
        [
            ("account", found.account or OWN),
            ("list", found.name),
            ("type", found.type),
            ("source", found.source),
            ("size", str(found.size)),
            ("created", time_of(found.created)),
            ("updated", time_of(found.updated)),
        ]
    )
    columns = {
        "number": lambda one: one.number,
        "added": lambda one: time_of(one.added),
        "origin": lambda one: one.origin,
    }
    show_list(False, members, columns)
    if found.size > len(members):
        click.echo(f"and {found.size - len(members)} more")


@list_group.command("add")
@_account
@_name
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@click.pass_context
def add(context: click.Context, account: str, name: str, numbers: tuple[str, ...]) -> None:
    """Add numbers."""
    keeper = operator_of(context).lists
    id = _found(keeper, account, name).id
    for batch in _batches(map(displayed, numbers)):
        _told(ask(keeper.add(id, batch)))


@list_group.command("remove")
@_account
@_name
@click.argument("numbers", nargs=-1, required=True, metavar="NUMBER...")
@click.pass_context
def remove(context: click.Context, account: str, name: str, numbers: tuple[str, ...]) -> None:
    """Remove numbers."""
    keeper = operator_of(context).lists
    id = _found(keeper, account, name).id
    for batch in _batches(map(displayed, numbers)):
        _told(ask(keeper.remove(id, batch)))


@list_group.command("import")
@_account
@_name
@click.argument("file", type=click.File("r", encoding="utf-8-sig", errors="replace"))
@click.pass_context
def import_command(context: click.Context, account: str, name: str, file: TextIO) -> None:
    """Add the numbers of FILE ("-" is standard input): the first column of a CSV, or one a line."""
    keeper = operator_of(context).lists
    id = _found(keeper, account, name).id
    counts = {"added": 0, "exists": 0, "invalid": 0}
    wrong: list[str] = []

    async def add_all(lines: Iterable[str]) -> None:
        for batch in _batches(_numbers(lines)):
            changed = await keeper.add(id, [number for _, number in batch])
            for (line, number), one in zip(batch, _result(changed).numbers, strict=True):
                counts[one.result] += 1
                if one.result == "invalid" and len(wrong) < _TOLD:
                    wrong.append(f"smsgw: line {line}: {number[:40]!r} is no number")

    with _progress(file) as lines:
        ask(add_all(lines))
    click.echo(", ".join(f"{count} {result}" for result, count in counts.items()))
    say_all(wrong)
    if wrong:
        raise Silent


@list_group.command("export")
@_account
@_name
@click.pass_context
def export(context: click.Context, account: str, name: str) -> None:
    """Write all members as CSV: number, when it was added, by which way."""
    keeper = operator_of(context).lists
    id = _found(keeper, account, name).id
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(["number", "added", "origin"])

    async def write_all() -> None:
        after = ""
        while True:
            page = await keeper.members(id, after)
            if page is None:
                raise Fault(f"the list {name} was deleted meanwhile")
            out.writerows((one.number, time_of(one.added), one.origin) for one in page)
            if len(page) < PAGE:
                return
            after = page[-1].number

    ask(write_all())


def _owner(account: str) -> str:
    return OPERATOR if account == OWN else account


def _found(keeper: ListOperator, account: str, name: str) -> ListView:
    for one in ask(keeper.all(_owner(account))):
        if one.name == name:
            return one
    raise Fault(f"{account} has no list {name}; see: smsgw lists {account}")


def _done(view: ListView | None) -> None:
    if view is None:
        raise Fault("the list was deleted meanwhile")
    if view.error:
        raise Fault(view.error)


def _result(changed: NumbersChanged | None) -> NumbersChanged:
    if changed is None:
        raise Fault("the list was deleted meanwhile")
    if changed.error:
        raise Fault(changed.error)
    return changed


def _told(changed: NumbersChanged | None) -> None:
    results = _result(changed).numbers
    for one in results:
        click.echo(f"{one.number}: {one.result}")
    if any(one.result == "invalid" for one in results):
        raise Silent


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := [*itertools.islice(iterator, PAGE)]:
        yield batch


def _numbers(lines: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Line and first column of each row; what comes first and has no digit is a heading."""
    rows = csv.reader(lines)
    try:
        for count, row in enumerate(rows, 1):
            number = row[0].strip() if row else ""
            if number and (count > 1 or any(one.isdigit() for one in number)):
                yield rows.line_num, number
    except csv.Error as error:
        raise Fault(f"line {rows.line_num}: {error}; give one number a line") from None


@contextmanager
def _progress(file: TextIO) -> Iterator[Iterator[str]]:
    """The lines of ``file``; on a terminal a bar shows how far it is read."""
    if not sys.stderr.isatty():
        yield iter(file)
        return
    columns = (TextColumn("importing"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("import", total=_size(file))

        def lines() -> Iterator[str]:
            for line in file:
                progress.advance(task, len(line.encode("utf-8", "replace")))
                yield line

        yield lines()


def _size(file: TextIO) -> int | None:
    """Octets of a file, None for a pipe."""
    try:
        return os.fstat(file.fileno()).st_size if file.seekable() else None
    except OSError:
        return None
