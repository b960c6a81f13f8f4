"""``smsgw lists`` and ``smsgw list``: on the store alone, and with a gateway that runs."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from smsgw import cli, demo
from tests.running import GatewayProcess

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a command on a store that has the demo's account."""
    config = tmp_path / "smsgw.toml"
    config.write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/smsgw.db"\n'
        f'[http]\nadmin = ["unix:{tmp_path}/admin.sock:mode=600"]\n'
    )
    (tmp_path / "p.toml").write_text(demo.provisioning("secret12", "http-secret"))

    def run(*arguments: str, typed: str | bytes | None = None) -> Result:
        return CliRunner().invoke(cli.main, ["-c", str(config), *arguments], input=typed)

    assert run("apply", "--yes", str(tmp_path / "p.toml")).exit_code == 0
    return run


def well(result: Result) -> str:
    assert result.exit_code == 0, result.output
    return result.output


def fault(result: Result) -> str:
    assert result.exit_code == 1, result.output
    return result.stderr.strip()


def test_lists_are_made_and_shown(run: Run) -> None:
    """Those of an account, the operator's own under "-", and all."""
    assert well(run("lists")) == "None.\n"
    well(run("list", "create", "--type", "block", "demo", "foes"))
    well(run("list", "create", "--type", "block", "-", "nobody"))
    well(run("list", "create", "--type", "optout", "--source", "12345", "demo", "old"))
    rows = [line.split() for line in well(run("lists")).splitlines()]
    assert rows[0] == ["account", "list", "type", "source", "size", "updated"]
    assert [row[:3] for row in rows[1:]] == [
        ["-", "nobody", "block"],
        ["demo", "foes", "block"],
        ["demo", "old", "optout"],
    ]
    assert [one["name"] for one in json.loads(well(run("lists", "--json", "-")))] == ["nobody"]
    assert "no account x" in fault(run("list", "create", "--type", "block", "x", "a"))


def test_numbers_are_added_and_removed(run: Run) -> None:
    """Each with its result; what is no number ends with status 1."""
    well(run("list", "create", "--type", "contact", "demo", "friends"))
    out = well(run("list", "add", "demo", "friends", "+44 7700 900123", "447700900124"))
    assert out == "447700900123: added\n447700900124: added\n"
    result = run("list", "add", "demo", "friends", "447700900123", "x\udce9")
    assert (result.exit_code, result.stdout.splitlines()[0]) == (1, "447700900123: exists")
    shown = well(run("list", "show", "demo", "friends"))
    assert "447700900123  " in shown
    out = well(run("list", "remove", "demo", "friends", "447700900123", "1234"))
    assert out == "447700900123: removed\n1234: unknown\n"
    shown = well(run("list", "show", "--json", "demo", "friends"))
    assert [one["number"] for one in json.loads(shown)["members"]] == ["447700900124"]
    assert "demo has no list foes; see: smsgw lists demo" in fault(
        run("list", "add", "demo", "foes", "1234")
    )


def test_a_list_is_imported_and_exported(run: Run, tmp_path: Path) -> None:
    """A CSV with a heading goes in; what comes out can go in again."""
    well(run("list", "create", "--type", "optout", "demo", "optout"))
    numbers = [str(447700900000 + n) for n in range(2_500)]
    rows = "".join(f'"{one}",2026-01-31,STOP\n' for one in numbers)
    (tmp_path / "in.csv").write_text(f"\ufeffNumber,Day,Why\n\n{rows}{numbers[0]}\n", "utf-8")
    out = well(run("list", "import", "demo", "optout", str(tmp_path / "in.csv")))
    assert out == "2500 added, 1 exists, 0 invalid\n"
    exported = well(run("list", "export", "demo", "optout"))
    lines = exported.splitlines()
    assert lines[0] == "number,added,origin"
    assert [line.split(",")[0] for line in lines[1:]] == numbers
    well(run("list", "create", "--type", "optout", "demo", "copy"))
    out = well(run("list", "import", "demo", "copy", "-", typed=exported))
    assert out == "2500 added, 0 exists, 0 invalid\n"


def test_a_route_is_tried_with_the_lists(run: Run) -> None:
    """Also where no gateway runs."""
    send = ("route", "test", "--account", "demo", "447700900000", "447700900123", "Hi")
    well(run(*send))
    well(run("list", "create", "--type", "block", "-", "nobody"))
    well(run("list", "add", "-", "nobody", "447700900123"))
    assert "Destination Blocked" in fault(run(*send))


def test_what_is_no_number_is_told_with_its_line(run: Run) -> None:
    """The others are imported; the status is 1."""
    well(run("list", "create", "--type", "block", "demo", "foes"))
    result = run("list", "import", "demo", "foes", "-", typed=b"447700900123\nACME\n44*\n\xe9\n")
    assert result.stdout == "2 added, 0 exists, 2 invalid\n"
    assert fault(result).splitlines() == [
        "smsgw: line 2: 'ACME' is no number",
        "smsgw: line 4: '\ufffd' is no number",
    ]


def test_a_list_is_deleted_when_somebody_says_so(run: Run) -> None:
    """Nobody to ask needs --yes; a built-in list stays."""
    well(run("list", "create", "--type", "block", "demo", "foes"))
    assert "--yes" in fault(run("list", "delete", "demo", "foes"))
    well(run("list", "rename", "demo", "foes", "others"))
    well(run("list", "delete", "--yes", "demo", "others"))
    assert well(run("lists")) == "None.\n"
    well(run("list", "create", "--type", "optout", "demo", "optout"))
    assert "built in" in fault(run("list", "delete", "--yes", "demo", "optout"))
    assert "built in" in fault(run("list", "rename", "demo", "optout", "x"))


def test_a_running_gateway_is_asked(tmp_path: Path) -> None:
    """All of it over the admin socket, and in force at once."""
    with GatewayProcess(tmp_path) as gateway:
        gateway.apply(demo.provisioning("secret12", "http-secret"))
        send = ("route", "test", "--account", "demo", "447700900000", "447700900123", "Hi")
        gateway.cli(*send)
        gateway.cli("list", "create", "--type", "block", "demo", "foes")
        numbers = "".join(f"{447700900000 + n}\n" for n in range(1_500))
        (tmp_path / "numbers.txt").write_text(numbers)
        out = gateway.cli("list", "import", "demo", "foes", str(tmp_path / "numbers.txt"))
        assert out == "1500 added, 0 exists, 0 invalid\n"
        with pytest.raises(AssertionError, match="Destination Blocked"):
            gateway.cli(*send)
        assert len(gateway.cli("list", "export", "demo", "foes").splitlines()) == 1_501
        gateway.cli("list", "remove", "demo", "foes", "447700900123")
        gateway.cli(*send)
        gateway.cli("list", "add", "demo", "foes", "447700900123")
        gateway.cli("list", "rename", "demo", "foes", "others")
        gateway.restart()
        with pytest.raises(AssertionError, match="Destination Blocked"):
            gateway.cli(*send)
        assert json.loads(gateway.cli("lists", "--json"))[0]["size"] == 1_500
        gateway.cli("list", "delete", "--yes", "demo", "others")
        gateway.cli(*send)
        gateway.stop()
        assert gateway.cli("lists") == "None.\n"
        gateway.start()
