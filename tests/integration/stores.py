"""Reads the store of a gateway that does not run: state and queue must be in step (I3),
and money must add up (I8)."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from smsgw.store.records import FINAL_STATES


@contextmanager
def _opened(database: Path | str) -> Iterator[Any]:
    """A connection of the driver's to a file of SQLite, or a database of PostgreSQL by its URL."""
    if isinstance(database, Path):
        with closing(sqlite3.connect(database)) as connection:
            yield connection
    else:
        import psycopg

        with psycopg.connect(database.replace("+psycopg", "")) as connection:
            yield connection


def laws_of_the_store(database: Path | str) -> list[str]:
    """What breaks I3 or I8 in the store, which is left as it is."""
    if isinstance(database, str):
        with _opened(database) as connection:
            return _laws(connection)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy.db")
        for suffix in ("", "-wal"):
            if Path(f"{database}{suffix}").exists():
                shutil.copy(f"{database}{suffix}", f"{copy}{suffix}")
        connection = sqlite3.connect(copy)
        try:
            if connection.execute("PRAGMA integrity_check").fetchall() != [("ok",)]:
                return ["the store is corrupt"]
            return _laws(connection)
        finally:
            connection.close()


def _laws(connection: Any) -> list[str]:
    messages = {
        row[0]: row[1:]
        for row in connection.execute("SELECT id, direction, state, parts FROM message")
    }
    sums = "SELECT account, sum(amount) FROM ledger GROUP BY account"
    balances = dict(connection.execute("SELECT account, amount FROM balance").fetchall())
    if dict.fromkeys(balances, 0) | dict(connection.execute(sums).fetchall()) != balances:
        return ["the ledger does not add up to the balances (I8)"]
    entries: dict[int, list[tuple[int, int]]] = {}
    for message, kind, part in connection.execute("SELECT message, kind, part FROM queue"):
        entries.setdefault(message, []).append((kind, part))
    taken: dict[int, set[int]] = {}
    for message, number in connection.execute("SELECT message, number FROM part"):
        taken.setdefault(message, set()).add(number)
    lines = [f"an entry of message {id}, which there is not" for id in entries.keys() - messages]
    for id, (direction, state, parts) in messages.items():
        waiting = [part for kind, part in entries.get(id, ()) if kind in (0, 1)]
        if state in FINAL_STATES:
            if waiting:
                lines.append(f"message {id} has the final state {state} and waits to be sent")
        elif direction:
            if len(waiting) != 1:
                lines.append(f"MO {id} has the state {state} and {len(waiting)} entries")
        elif sorted(waiting + list(taken.get(id, ()))) != list(range(parts)):
            lines.append(
                f"message {id} of {parts} parts has the state {state}: parts {waiting} wait, "
                f"parts {sorted(taken.get(id, ()))} were taken by the carrier"
            )
    return lines


def states(database: Path | str) -> dict[int, int]:
    """State of each message by id."""
    with _opened(database) as connection:
        return {row[0]: row[1] for row in connection.execute("SELECT id, state FROM message")}


def entries(database: Path | str) -> int:
    """How many queue entries there are."""
    with _opened(database) as connection:
        return int(connection.execute("SELECT count(*) FROM queue").fetchone()[0])
