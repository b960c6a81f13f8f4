"""``smsgw queues``: dead letters, on the store alone and with a gateway that runs."""

from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from smsgw.message import Message
from smsgw.store import records, schema
from smsgw.store.database import close_store, open_store
from tests.commands.place import a_place, apply, run

QUEUE = "target:acme https://a.example/in"
PROVISIONING = """\
[[account]]
name = "acme"
[[account.number]]
address = "447700900000"
targets = ["https://a.example/in?key=1&"]
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder whose store has two dead letters."""
    place = a_place(tmp_path)
    assert apply(place, PROVISIONING).exit_code == 0
    engine = open_store(f"sqlite:///{tmp_path}/smsgw.db")
    message = Message("1", "2", parts=[b"Hi"], id=5, account="acme", direction=1, state=8)
    message.targets = ["https://a.example/in?key=1&"]
    with engine.begin() as connection:
        row = dict(zip(records.MESSAGE_COLUMNS, records.row(message, None), strict=True))
        connection.execute(insert(schema.message).values(row))
        for id, queue in ((11, f"{QUEUE}?key=1&"), (12, "account:other")):
            letter = schema.DeadRow(id, queue, 1, 5, 0, 3, 1_700_000_000_000, "HTTP 404")
            connection.execute(insert(schema.dead).values(letter._asdict()))
    close_store(engine)
    return place


def test_dead_letters_are_listed(place: Path) -> None:
    """Without what may be secret; JSON has the same."""
    said = run(place, "queues", "dead").stdout
    assert "HTTP 404" in said
    assert "2023-11-14 22:13:20Z" in said
    assert "key=1" not in said
    found = msgspec.json.decode(run(place, "queues", "dead", "--json").stdout)
    assert [(one["id"], one["queue"]) for one in found] == [(11, QUEUE), (12, "account:other")]
    for option in (["--account", "acme"], ["--queue", QUEUE]):
        found = msgspec.json.decode(run(place, "queues", "dead", "--json", *option).stdout)
        assert [one["id"] for one in found] == [11]
    assert run(place, "queues", "dead", "--account", "x").stdout == "None.\n"


def test_they_are_put_back(place: Path) -> None:
    """They wait again, and the message is on its way."""
    assert run(place, "queues", "retry", "11").stdout == "1 put back.\n"
    assert QUEUE in run(place, "queues").stdout
    assert "ENROUTE" in run(place, "status", "5").stdout
    result = run(place, "queues", "retry", "11")
    assert (result.exit_code, "no such dead letter" in result.stderr) == (1, True)
    said = run(place, "queues", "retry", "--json", "--all").stdout
    assert msgspec.json.decode(said) == {"count": 1}
    assert run(place, "queues", "dead").stdout == "None.\n"


def test_they_are_dropped(place: Path) -> None:
    """Those that are meant."""
    assert run(place, "queues", "drop", "--account", "other").stdout == "1 removed.\n"
    assert run(place, "queues", "drop", "11", "11").stdout == "1 removed.\n"
    assert run(place, "queues").stdout == "None.\n"


@pytest.mark.parametrize(
    "arguments", [[], ["--all", "11"], ["--all", "--queue", "x"], ["x"], ["0"]]
)
def test_it_must_be_said_which(place: Path, arguments: list[str]) -> None:
    """A wrong use changes nothing."""
    assert run(place, "queues", "retry", *arguments).exit_code == 2
    assert len(msgspec.json.decode(run(place, "queues", "dead", "--json").stdout)) == 2


def test_queues_alone_lists_what_waits(place: Path) -> None:
    """As before there were subcommands."""
    assert run(place, "queues", "--json").stdout == "[]\n"
    assert run(place, "queues", "--json", "dead").exit_code == 2
