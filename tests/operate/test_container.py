"""Dockerfile and compose.yaml: they start what the tests start, from files that there are."""

import json
import re
from configparser import ConfigParser
from pathlib import Path

import yaml
from click.testing import CliRunner

from smsgw import cli
from smsgw.amqp.address import parse_address
from smsgw.config import load

ROOT = Path(__file__).parents[2]


def test_it_is_started_as_the_unit_of_systemd_starts_it() -> None:
    """The same command line, in exec form, so that SIGTERM comes to the gateway itself."""
    written = (ROOT / "Dockerfile").read_text()
    [entry] = re.findall(r"^ENTRYPOINT (\[.*\])$", written, re.MULTILINE)
    unit = ConfigParser(interpolation=None)
    unit.read(ROOT / "etc" / "smsgw.service")
    program, *options = unit["Service"]["ExecStart"].split()
    assert json.loads(entry) == [Path(program).name, *options]


def test_what_it_copies_and_asks_for_is_there() -> None:
    """Files of the source tree, extras of the package, a command of ``smsgw``."""
    written = (ROOT / "Dockerfile").read_text()
    for source, _ in re.findall(r"^COPY (\S+) (\S+)$", written, re.MULTILINE):
        assert (ROOT / source).exists()
    metadata = ConfigParser(interpolation=None)
    metadata.read(ROOT / "setup.cfg")
    [extras] = re.findall(r'"/src\[([\w,]+)\]"', written)
    assert set(extras.split(",")) <= set(metadata["options.extras_require"])
    [check] = re.findall(r"CMD (\[.*\])$", written, re.MULTILINE)
    program, c, _file, command = json.loads(check)
    assert (program, c) == ("smsgw", "-c")
    assert CliRunner().invoke(cli.main, [command, "--help"]).exit_code == 0


def test_compose_fits_the_configuration_that_it_mounts() -> None:
    """Hosts, users, passwords and names are those of etc/container.toml; ports are its own."""
    document = yaml.safe_load((ROOT / "compose.yaml").read_text())
    services = document["services"]
    gateway = services["gateway"]
    file, inside, _ = gateway["volumes"][0].split(":")
    assert inside in (ROOT / "Dockerfile").read_text()
    config = load(ROOT / file)
    assert config.notices == []
    database = services["postgresql"]["environment"]
    assert config.store.url == (
        f"postgresql+psycopg://{database['POSTGRES_USER']}:{database['POSTGRES_PASSWORD']}"
        f"@postgresql/{database['POSTGRES_DB']}"
    )
    broker = parse_address(config.broker.url)
    given = services["rabbitmq"]["environment"]
    assert [host for host, _ in broker.hosts] == ["rabbitmq"]
    assert broker.login.user == given["RABBITMQ_DEFAULT_USER"]
    assert broker.login.password == given["RABBITMQ_DEFAULT_PASS"]
    assert broker.login.vhost == given["RABBITMQ_DEFAULT_VHOST"]
    endpoints = [config.smpp.listen[0].endpoint, *config.http.listen, *config.smtp.listen]
    assert gateway["ports"] == [f"{port}:{port}" for port in (e.split(":")[1] for e in endpoints)]
    assert set(gateway["depends_on"]) == {"postgresql", "rabbitmq"}
    named = {v.split(":")[0] for s in services.values() for v in s["volumes"]}
    assert named - {file} == set(document["volumes"])
