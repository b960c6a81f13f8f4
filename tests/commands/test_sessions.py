"""``smsgw sessions``: what other nodes have, and what is told where no gateway runs."""

from pathlib import Path
from typing import Any
from unittest import mock

from smsgw.operate.node_views import SessionView
from tests.commands.place import a_place, apply, run

LINK = SessionView("1/north/1", "link", "north", 1, "b", "transceiver", "192.0.2.1:2775", 1_000)
ESME = SessionView("70", "esme", "acme", 0, "a", "receiver", "192.0.2.7", 2_000, "acme1")


class Operator:
    """An operator of a gateway with sessions."""

    def __init__(self) -> None:
        self.sessions = self
        self.ended: list[str] = []

    async def page(self, account: str, carrier: str, after: str) -> list[SessionView]:
        if account:
            return [] if after else [ESME]
        return {"": [LINK, ESME], "1/north/1": [ESME]}.get(after, [])

    async def end(self, id: str) -> SessionView | None:
        self.ended.append(id)
        return ESME if id == ESME.id else None


def asked(*arguments: str) -> tuple[Any, Operator]:
    operator = Operator()
    with mock.patch("smsgw.commands.sessions.operator_of", return_value=operator):
        return run(Path(), "sessions", *arguments), operator


def test_sessions_are_listed() -> None:
    """With node, login, peer; all pages of them."""
    lines = asked()[0].stdout.splitlines()
    assert len(lines) == 3
    assert lines[1].split()[:4] == ["1/north/1", "carrier", "north", "transceiver"]
    assert lines[2].split()[:5] == ["70", "account", "acme", "acme1", "receiver"]
    assert '"node_name": "a"' in asked("--account", "acme", "--json")[0].stdout


def test_sessions_are_ended_by_their_ids() -> None:
    """Up to one that is not there; then the status is 1."""
    result, operator = asked("end", "70", "71", "72")
    assert (result.exit_code, result.stdout) == (1, "70 is ended.\n")
    assert "no session 71 is bound; see: smsgw sessions" in result.stderr
    assert operator.ended == ["70", "71"]


def test_wrong_use_is_told() -> None:
    """Both kinds at once, options before the subcommand, no id."""
    for wrong in (["--account", "a", "--carrier", "b"], ["--json", "end", "70"], ["end"]):
        assert asked(*wrong)[0].exit_code == 2, wrong


def test_without_a_gateway_none_is_bound(tmp_path: Path) -> None:
    """And none can be ended."""
    place = a_place(tmp_path)
    assert apply(place, '[[account]]\nname = "acme"\n').exit_code == 0
    assert run(place, "sessions").stdout == "None.\n"
    result = run(place, "sessions", "end", "70")
    assert (result.exit_code, "the gateway is not running" in result.stderr) == (1, True)
