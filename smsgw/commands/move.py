"""``smsgw migrate-store``: moves a store to another one, from SQLite to PostgreSQL."""

import shutil
from pathlib import Path

import click
from sqlalchemy.exc import DBAPIError

from smsgw.commands.asking import Fault
from smsgw.store import lines
from smsgw.store.database import StoreUnusable, close_store, open_store, place_of
from smsgw.store.moving import CannotMove, Moved, move
from smsgw.store.secrets import KEY_FILE

_EVERY = 100_000  # rows between two lines of progress


@click.command("migrate-store")
@click.argument("source", metavar="FROM")
@click.argument("target", metavar="TO")
@click.option(
    "--folder",
    default="var",
    metavar="FOLDER",
    show_default=True,
    help="The store.folder of TO, which gets the key of the secrets.",
)
def migrate_store(source: str, target: str, folder: str) -> None:
    """Move all that the store FROM has to the empty store TO; both are URLs as in store.url.

    No gateway may run. FROM stays as it is, but for being brought to this version.
    """
    if source == target:
        raise Fault("FROM and TO are the same store")
    try:
        old = open_store(source, Path(folder))
        try:
            new = open_store(target, Path(folder))
            try:
                _keep_key(place_of(old) / KEY_FILE, place_of(new) / KEY_FILE)
                moved = move(old, new, _told)
            finally:
                close_store(new)
        finally:
            close_store(old)
    except (StoreUnusable, CannotMove) as error:
        raise Fault(str(error)) from None
    except DBAPIError as error:
        raise Fault(f"nothing is moved: {lines.why(error)}") from None
    _say(moved)


def _told(table: str, moved: int, total: int) -> None:
    if moved == total or moved // _EVERY > (moved - 1) // _EVERY:
        click.echo(f"{table}: {moved} of {total}", err=True)


def _keep_key(old: Path, new: Path) -> None:
    """Takes the key along; one that is there already must be the same."""
    if not old.exists() or old == new:
        return
    if not new.exists():
        new.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(old, new)
    elif new.read_bytes() != old.read_bytes():
        raise Fault(f"{new} is another key than {old}; nothing is moved: name another --folder")


def _say(moved: Moved) -> None:
    rows = sum(moved.rows.values())
    click.echo(
        f"moved {rows} rows: {moved.rows['message']} messages, {moved.rows['queue']} queue "
        f"entries, {moved.rows['ledger']} ledger entries; balances add up to "
        f"{moved.money / 10_000:.4f}"
    )
