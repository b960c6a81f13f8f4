"""Answers that are kept for 24 hours (E-D11)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert

from smsgw.store import answers, schema
from smsgw.store.answers import KEPT_MS, Kept
from smsgw.store.database import close_store, open_store

AT = 1_800_000_000_000
KEPT = Kept(b"digest", AT, 200, "application/json", b"{}")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Connection]:
    """A store with one answer."""
    engine = open_store(f"sqlite:///{tmp_path}/smsgw.db")
    with engine.connect() as connection:
        connection.execute(insert(schema.answer).values(answers.row("acme", "key1", "k", KEPT)))
        yield connection
    close_store(engine)


def test_it_is_found_by_who_got_it(store: Connection) -> None:
    """Another account, login or key has none."""
    assert answers.find(store, "acme", "key1", "k", AT) == KEPT
    for name in (("other", "key1", "k"), ("acme", "key2", "k"), ("acme", "key1", "x")):
        assert answers.find(store, *name, AT) is None


def test_after_a_day_it_is_gone(store: Connection) -> None:
    """The key may be used again at once, whether or not the row was cleared away before."""
    assert answers.find(store, "acme", "key1", "k", AT + KEPT_MS - 1) == KEPT
    assert answers.find(store, "acme", "key1", "k", AT + KEPT_MS) is None
    store.execute(insert(schema.answer).values(answers.row("acme", "key1", "k", KEPT)))


def test_old_ones_are_cleared_away(store: Connection) -> None:
    """So many at a time."""
    assert answers.remove_before(store, AT, 10) == 0
    assert answers.remove_before(store, AT + 1, 10) == 1
    assert answers.find(store, "acme", "key1", "k", AT) is None
