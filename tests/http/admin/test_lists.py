"""The admin API's endpoints of lists of numbers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from smsgw.config import Config, Store
from smsgw.operate.offline import OfflineOperator
from smsgw.store.database import close_store, open_store
from tests.http.admin.stand_in import ask, decoded

MISSING = {"error": "no list 7"}


@pytest.fixture
def operator(tmp_path: Path) -> Iterator[OfflineOperator]:
    """An operator on an empty store."""
    url = f"sqlite:///{tmp_path}/smsgw.db"
    close_store(open_store(url))
    operator = OfflineOperator(Config(store=Store(url)))
    yield operator
    operator.close()


def answer(operator: OfflineOperator, *asked: Any) -> tuple[int, Any]:
    response = ask(operator, *asked)
    return response.status, decoded(response)


def made(operator: OfflineOperator) -> str:
    """The path of a new list."""
    status, found = answer(operator, "POST", "/admin/lists", {"name": "foes", "type": "block"})
    assert status == 201
    return f"/admin/lists/{found['id']}"


def test_a_list_from_its_making_to_its_end(operator: OfflineOperator) -> None:
    """Made with 201, shown with its size, renamed, deleted."""
    path = made(operator)
    answer(operator, "POST", f"{path}/members", {"numbers": ["447700900123"]})
    for query in ("", "?account="):
        status, found = answer(operator, "GET", f"/admin/lists{query}")
        assert status == 200
        assert [(one["name"], one["account"], one["size"]) for one in found] == [("foes", "", 1)]
    assert answer(operator, "GET", "/admin/lists?account=acme") == (200, [])
    status, found = answer(operator, "POST", path, {"name": "others"})
    assert (status, found["name"], found["error"]) == (200, "others", "")
    status, found = answer(operator, "DELETE", path)
    assert (status, found["name"]) == (200, "others")
    assert answer(operator, "GET", "/admin/lists") == (200, [])


def test_members_are_added_shown_and_removed(operator: OfflineOperator) -> None:
    """Each number with its result."""
    path = made(operator)
    numbers = {"numbers": ["+447700900123", "4477*", "x"]}
    status, found = answer(operator, "POST", f"{path}/members", numbers)
    assert (status, [one["result"] for one in found["numbers"]]) == (
        200,
        ["added", "added", "invalid"],
    )
    status, found = answer(operator, "GET", f"{path}/members?after=4477*")
    assert (status, [one["number"] for one in found]) == (200, ["447700900123"])
    removed = {"numbers": ["4477*"]}
    status, found = answer(operator, "POST", f"{path}/members/delete", removed)
    assert (status, found["numbers"]) == (200, [{"number": "4477*", "result": "removed"}])


def test_what_is_not_done_is_422(operator: OfflineOperator) -> None:
    """With the reason in the shape of the answer."""
    path = made(operator)
    status, found = answer(operator, "POST", "/admin/lists", {"name": "foes", "type": "block"})
    assert status == 422
    assert "choose another name" in found["error"]
    status, found = answer(operator, "POST", path, {"name": "optout"})
    assert (status, "built-in" in found["error"]) == (422, True)
    status, found = answer(operator, "POST", f"{path}/members", {"numbers": ["1"] * 1_001})
    assert (status, "1000 at most" in found["error"]) == (422, True)
    status, found = answer(operator, "POST", f"{path}/members", {"numbers": 7})
    assert status == 400


def test_an_unknown_list_is_404(operator: OfflineOperator) -> None:
    """Whatever is asked of it."""
    path = "/admin/lists/7"
    numbers = {"numbers": ["447700900123"]}
    assert answer(operator, "POST", path, {"name": "x"}) == (404, MISSING)
    assert answer(operator, "DELETE", path) == (404, MISSING)
    assert answer(operator, "GET", f"{path}/members") == (404, MISSING)
    assert answer(operator, "POST", f"{path}/members", numbers) == (404, MISSING)
    assert answer(operator, "POST", f"{path}/members/delete", numbers) == (404, MISSING)
