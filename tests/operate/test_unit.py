"""etc/smsgw.service: the gateway under systemd."""

import shlex
from configparser import ConfigParser
from pathlib import Path

import pytest
from twisted.scripts.twistd import ServerOptions

from smsgw.operate import log
from smsgw.service import gateway

ROOT = Path(__file__).parents[2]


@pytest.fixture
def unit() -> ConfigParser:
    """Its sections and keys."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(ROOT / "etc" / "smsgw.service")
    return parser


def test_it_runs_twistd_in_the_foreground_without_a_pid_file(
    unit: ConfigParser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a configuration of its own; a pid file left by a crash would keep it from starting."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(log, "chosen", log.chosen)
    program, *command = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name == "twistd"
    named = command.index("-c")
    assert command[named + 1] == "/etc/smsgw/smsgw.toml"
    # That file is not here, so the rest is read without it.
    options = ServerOptions()
    options.parseOptions(command[:named])
    assert options.subCommand == "smsgw"
    assert options["nodaemon"]
    assert options["pidfile"] == ""
    assert log.chosen[1] is None


def test_a_stop_has_the_time_that_it_needs(unit: ConfigParser) -> None:
    """SIGTERM drains: ESMEs, HTTP and carriers one after the other."""
    section = unit["Service"]
    assert section["KillSignal"] == "SIGTERM"
    assert int(section["TimeoutStopSec"]) > 3 * gateway._DRAIN_S
    assert section["Restart"] == "always"
    assert int(section["LimitNOFILE"]) >= 65_536


def test_the_manual_says_how_to_install_it() -> None:
    """docs/operate/run.md names the unit and the folders that it makes."""
    manual = (ROOT / "docs" / "operate" / "run.md").read_text()
    for name in ("etc/smsgw.service", "/var/lib/smsgw", "/run/smsgw", "/etc/smsgw/smsgw.toml"):
        assert name in manual
