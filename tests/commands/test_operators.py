"""smsgw token: tokens of the admin API."""

import tomllib
from hashlib import sha256
from pathlib import Path

import pytest

from tests.commands.place import a_place, apply, run


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return a_place(tmp_path)


def test_a_token_is_printed_with_its_provisioning(place: Path) -> None:
    """Of the token only the hash is in it; it can be applied as it is."""
    result = run(place, "token", "ops", "--role", "operator")
    token, lines = result.stdout.split("\n\n", 1)
    [form] = tomllib.loads(lines)["operator"]
    digest = sha256(token.encode()).hexdigest()
    assert form == {"name": "ops", "role": "operator", "token_hash": digest}
    assert apply(place, lines).exit_code == 0
    assert len(token) >= 43  # 256 bits


def test_a_token_is_applied_at_once(place: Path) -> None:
    """Then the token alone is on standard output; again, and it is another one."""
    first = run(place, "token", "ops", "--apply")
    assert first.exit_code == 0
    assert first.stdout.count("\n") == 1
    second = run(place, "token", "ops", "--role", "admin", "--apply")
    assert second.stdout != first.stdout
    rows = run(place, "audit", "--kind", "operator").stdout
    assert "+ operator ops" in rows
    assert '~ operator ops: role: "viewer" -> "admin"' in rows
    assert "~ operator ops: token_hash (changed)" in rows
    assert sha256(second.stdout.strip().encode()).hexdigest() not in rows


@pytest.mark.parametrize("name", ["", "a b", 'a"\n[[account]]', "x" * 65])
def test_a_name_that_is_none_is_refused(place: Path, name: str) -> None:
    """In one line, and nothing is applied."""
    result = run(place, "token", name, "--apply")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert not result.stdout
