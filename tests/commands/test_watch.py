"""smsgw health and audit."""

import json
from pathlib import Path

import pytest

from tests.commands.place import a_place, apply, run

ACCOUNT = '[[account]]\nname = "acme"\nbalance = "1.00"\nrate = 50\n'


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return a_place(tmp_path)


def test_a_gateway_that_does_not_run_is_not_healthy(place: Path) -> None:
    """Status 1 and why, for scripts; as JSON as well."""
    result = run(place, "health")
    assert result.exit_code == 1
    assert "the gateway is not running" in result.stdout
    result = run(place, "health", "--json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["ok"] is False


def test_the_audit_tells_who_did_what(place: Path) -> None:
    """Changes in the lines of apply, other actions in one of their own."""
    assert apply(place, ACCOUNT).exit_code == 0
    apply(place, ACCOUNT.replace("50", "60"))
    run(place, "topup", "acme", "25.00", "--text", "invoice 7")
    lines = run(place, "audit").stdout.splitlines()
    assert [line for line in lines if line.startswith("  ")] == [
        "  + account acme",
        "  ~ account acme: rate: 50 -> 60",
        "  topup acme 25.00 invoice 7",
    ]
    assert lines[0].endswith(" (version 1)")
    assert lines[2].endswith(" (version 2)")


def test_the_audit_is_filtered(place: Path) -> None:
    """By kind, by name, by time; as JSON as well."""
    apply(place, ACCOUNT + ACCOUNT.replace("acme", "other"))
    run(place, "topup", "acme", "1")
    names = [one["name"] for one in json.loads(run(place, "audit", "--json").stdout)]
    assert names == ["acme", "other", "acme"]
    [row] = json.loads(run(place, "audit", "--kind", "topup", "--json").stdout)
    assert (row["kind"], row["version"]) == ("topup", 0)
    [row] = json.loads(run(place, "audit", "--name", "other", "--json").stdout)
    assert row["lines"] == ["+ account other"]
    assert run(place, "audit", "--since", "2999-01-01").stdout == "None.\n"
    assert run(place, "audit", "--since", "yesterday").exit_code == 2


def test_the_audit_of_a_store_is_read_to_its_end(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Page by page."""
    monkeypatch.setattr("smsgw.store.audit.PAGE", 2)
    apply(place, "".join(ACCOUNT.replace("acme", f"a{n}") for n in range(5)))
    assert len(json.loads(run(place, "audit", "--json").stdout)) == 5
