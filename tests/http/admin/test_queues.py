"""The admin API's endpoints of what was given up."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert

from smsgw.config import Config, Store
from smsgw.message import Message
from smsgw.operate.offline import OfflineOperator
from smsgw.store import records, schema
from smsgw.store.database import close_store, open_store
from tests.http.admin.stand_in import ask, decoded

URL = "https://u:p@a.example/in?key=1&"
QUEUE = "target:acme https://a.example/in"
ID = 7 << 50


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[OfflineOperator]:
    """An operator on a store with two dead letters."""
    url = f"sqlite:///{tmp_path}/smsgw.db"
    engine = open_store(url)
    message = Message("1", "2", parts=[b"Hi"], id=5, account="acme", direction=1, state=8)
    with engine.begin() as connection:
        row = dict(zip(records.MESSAGE_COLUMNS, records.row(message, None), strict=True))
        connection.execute(insert(schema.message).values(row))
        for id, queue in ((ID, f"target:acme {URL}"), (ID + 1, "account:other")):
            letter = schema.DeadRow(id, queue, 1, 5, 0, 3, 9, "HTTP 404")
            connection.execute(insert(schema.dead).values(letter._asdict()))
    close_store(engine)
    operator = OfflineOperator(Config(store=Store(url)))
    yield operator
    operator.close()


def answer(operator: OfflineOperator, *asked: Any) -> tuple[int, Any]:
    response = ask(operator, *asked)
    return response.status, decoded(response)


def test_dead_letters_are_shown(operator: OfflineOperator) -> None:
    """Those of an account, of a queue, or all; in pages."""
    status, found = answer(operator, "GET", "/admin/dead")
    assert status == 200
    assert found[0] == {
        "id": ID,
        "queue": QUEUE,
        "event": "mo",
        "message": "5",
        "attempts": 3,
        "at": 9,
        "reason": "HTTP 404",
    }
    assert [one["id"] for one in found] == [ID, ID + 1]
    assert answer(operator, "GET", f"/admin/dead?after={ID}") == (200, found[1:])
    assert answer(operator, "GET", "/admin/dead?account=other") == (200, found[1:])
    assert answer(operator, "GET", "/admin/dead?after=-1")[0] == 400


def test_those_that_are_named_are_put_back(operator: OfflineOperator) -> None:
    """How many there were."""
    path = "/admin/dead/retry"
    assert answer(operator, "POST", path, {"queue": QUEUE}) == (200, {"count": 1})
    assert answer(operator, "POST", path, {"queue": QUEUE}) == (200, {"count": 0})
    [queue] = decoded(ask(operator, "GET", "/admin/queues"))
    assert (queue["name"], queue["waiting"]) == (QUEUE, 1)


def test_those_that_are_named_are_dropped(operator: OfflineOperator) -> None:
    """By id, or all."""
    path = "/admin/dead/drop"
    assert answer(operator, "POST", path, {"ids": [ID, 3]}) == (200, {"count": 1})
    assert answer(operator, "POST", path, {"all": True}) == (200, {"count": 1})
    assert answer(operator, "GET", "/admin/dead") == (200, [])


@pytest.mark.parametrize(
    "body", [{}, {"all": True, "account": "acme"}, {"ids": [0]}, {"ids": list(range(1, 502))}]
)
def test_it_must_be_said_which(operator: OfflineOperator, body: Any) -> None:
    """Nothing is put back or dropped by mistake."""
    for what in ("retry", "drop"):
        status, found = answer(operator, "POST", f"/admin/dead/{what}", body)
        assert status == 400
        assert found["error"]
    assert len(decoded(ask(operator, "GET", "/admin/dead"))) == 2
