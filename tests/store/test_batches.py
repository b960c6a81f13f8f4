"""Batches in the store: one id for the messages of a request."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from smsgw.message import Message
from smsgw.store import batches, records
from smsgw.store.database import close_store, open_store
from smsgw.store.journal import Changes, write

AT = 1_800_000_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Connection]:
    """An empty store."""
    engine = open_store(f"sqlite:///{tmp_path}/smsgw.db")
    with engine.connect() as connection:
        yield connection
    close_store(engine)


def messages(count: int) -> list[Message]:
    """As many, to different numbers, with descending ids."""
    return [
        Message(
            "ACME", f"4477009{n:05}", parts=[b"Hello"], account="acme", id=5000 - n, accepted_at=AT
        )
        for n in range(count)
    ]


def test_a_batch_is_read_in_the_order_of_its_request(store: Connection) -> None:
    """Whatever the order of the ids, and more of them than one query reads."""
    sent = messages(1200)
    rows = [records.row(one, None) for one in sent]
    write(store, [Changes(messages=rows, batches=[batches.row(9000, "acme", AT, sent)])])
    found = batches.read(store, 9000)
    assert found is not None
    assert (found.account, found.accepted_at) == ("acme", AT)
    assert found.messages == sent


def test_there_is_no_other(store: Connection) -> None:
    """The id of a message is not one of a batch."""
    [sent] = messages(1)
    write(store, [Changes(messages=[records.row(sent, None)])])
    assert batches.read(store, sent.id) is None


def test_ids_go_on_after_those_of_batches(store: Connection) -> None:
    """So that no message gets the id of a batch after a restart."""
    write(store, [Changes(batches=[batches.row(9000, "acme", AT, [])])])
    assert records.highest_id(store) == 9000
