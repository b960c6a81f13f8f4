"""etc/cluster: the worked example of three nodes fits the gateway, and its files one another."""

import json
import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from smsgw.amqp.address import parse_address
from smsgw.config import Config, load
from smsgw.config.sections import ROLES
from tests.outside import certificate, pem

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "etc" / "cluster"
NODES = {"a": "10.0.0.11", "b": "10.0.0.12", "c": "10.0.0.13"}
PROXIES = ["10.0.0.5", "10.0.0.6"]


def text(name: str) -> str:
    """One of its files."""
    return (EXAMPLE / name).read_text("utf-8")


def unit(path: Path) -> ConfigParser:
    """Sections and keys of a unit of systemd."""
    parser = ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(path)
    return parser


@pytest.mark.parametrize(("name", "address"), NODES.items())
def test_each_node_has_a_valid_configuration(name: str, address: str) -> None:
    """It loads without a notice, serves all roles, and trusts the proxies of haproxy.cfg only."""
    config = load(EXAMPLE / f"{name}.toml")
    assert config.notices == []
    assert config.node.name == name
    assert set(config.node.roles) == set(ROLES)
    assert config.store.url.startswith("postgresql+psycopg://")
    broker = parse_address(config.broker.url)
    assert broker.tls
    hosts = [host for host, _ in broker.hosts]
    assert sorted(hosts) == ["mq-a", "mq-b", "mq-c"]
    assert hosts[0] == f"mq-{name}"  # each begins with its own, so that not all are on one
    for listener in (config.smpp.listen[0], config.http, config.smtp):
        assert listener.proxy
        assert listener.proxy_from == PROXIES
    endpoints = [one.endpoint for one in config.smpp.listen]
    endpoints += config.http.listen + config.smtp.listen + config.http.admin[1:]
    for endpoint in endpoints:
        assert endpoint.endswith(f":interface={address}")


def test_nodes_differ_in_name_number_and_addresses_only() -> None:
    """So a change to one file is made to the others by copying it; numbers are unique."""
    numbers = {load(EXAMPLE / f"{name}.toml").node.number for name in NODES}
    assert len(numbers) == len(NODES)

    def common(name: str) -> str:
        own = text(f"{name}.toml").replace(NODES[name], "ADDRESS")
        own = re.sub(r"^number = \d+", "number = N", own, flags=re.MULTILINE)
        own = re.sub(rf'/smsgw/{name}(?=[/".])', "/smsgw/NAME", own)
        own = re.sub(r"@mq-[a-c],mq-[a-c],mq-[a-c]/", "@BROKERS/", own)
        own = own.replace(f'name = "{name}"', "NAME")
        return own.replace(f"Node {name} of", "Node NAME of")

    assert common("a") == common("b") == common("c")


def test_haproxy_leads_to_the_listeners_of_all_nodes() -> None:
    """Every backend has the three nodes, with the ports that these listen on and are checked at."""
    config = load(EXAMPLE / "a.toml")
    admin = config.http.admin[1].split(":")[1]
    ports = {
        "smpp": config.smpp.listen[0].endpoint.split(":")[1],
        "http": config.http.listen[0].split(":")[1],
        "smtp": config.smtp.listen[0].split(":")[1],
    }
    written = text("haproxy.cfg")
    assert f"check port {admin} " in written
    backends = re.findall(r"^backend (\S+)\n((?:    .*\n)+)", written, re.MULTILINE)
    assert {name for name, _ in backends} == {n + end for n in ports for end in ("", "-alive")}
    for name, lines in backends:
        servers = re.findall(r"server (\w) (\S+):(\d+)", lines)
        port = ports[name.removesuffix("-alive")]
        assert servers == [(node, address, port) for node, address in NODES.items()]
        path = "/health" if name.endswith("-alive") else "/health/ready"
        assert f"option httpchk GET {path}\n" in lines


def test_haproxy_waits_longer_than_sessions_are_idle() -> None:
    """Its time is above enquire_link's and that of the profile link: it never ends a bind."""
    [minutes] = re.findall(
        r"^    timeout server (\d+)m$", text("haproxy.cfg").partition("frontend")[0], re.MULTILINE
    )
    assert int(minutes) * 60 > 2 * Config().link.idle_close_s


def test_haproxy_takes_its_configuration(tmp_path: Path) -> None:
    """``haproxy -c`` has neither an error nor a warning."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    chain = tmp_path / "chain.pem"
    chain.write_bytes(pem(certificate()))
    file = tmp_path / "haproxy.cfg"
    file.write_text(text("haproxy.cfg").replace("/etc/haproxy/sms.example.com.pem", str(chain)))
    done = subprocess.run(
        ["haproxy", "-c", "-f", str(file)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert "ALERT" not in done.stderr
    assert "WARNING" not in done.stderr


def test_the_unit_is_that_of_one_gateway_with_folders_of_its_own() -> None:
    """smsgw@.service differs from etc/smsgw.service in what an instance must have for itself."""
    one, many = unit(ROOT / "etc" / "smsgw.service"), unit(EXAMPLE / "smsgw@.service")
    own = {
        "Description": " messaging gateway, node %i",
        "ExecStart": "/etc/smsgw/%i.toml",
        "EnvironmentFile": "-/etc/smsgw/environment",
        "StateDirectory": "smsgw/%i",
        "RuntimeDirectory": "smsgw/%i",
        "WorkingDirectory": "/var/lib/smsgw/%i",
    }
    assert one.sections() == many.sections()
    for section in many.sections():
        for key, value in many[section].items():
            if key in own:
                assert value.endswith(own[key])
            else:
                assert value == one[section][key]
        assert set(one[section]) <= set(many[section])
    for name in NODES:
        config = load(EXAMPLE / f"{name}.toml")
        assert config.store.folder == many["Service"]["WorkingDirectory"].replace("%i", name)
        assert (
            f"/run/{many['Service']['RuntimeDirectory']}/".replace("%i", name)
            in (config.http.admin[0])
        )


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """``systemd-analyze verify`` of an instance; every line is known to it."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    file = tmp_path / "smsgw@.service"
    written = text("smsgw@.service").replace("/opt/smsgw/bin/twistd", shutil.which("true") or "")
    file.write_text(written)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "smsgw@a.service")],
        capture_output=True,
        text=True,
        timeout=30,
    )
    told = [line for line in done.stderr.splitlines() if "smsgw@" in line]
    assert told == []


def test_the_firewall_knows_every_port_and_every_machine() -> None:
    """nftables.conf opens what the nodes and their brokers listen on, and for whom."""
    written = text("nftables.conf")
    for address in (*NODES.values(), *PROXIES):
        assert address in written
    config = load(EXAMPLE / "a.toml")
    ports = [one.endpoint.split(":")[1] for one in config.smpp.listen]
    ports += [one.split(":")[1] for one in config.http.listen + config.smtp.listen]
    opened = re.findall(r"@proxies tcp dport \{ ([\d, ]+) \}", written)[0].split(", ")
    assert sorted(opened) == sorted(ports)
    brokers = re.findall(r"@nodes tcp dport \{ ([\d, ]+) \}", written)[0].split(", ")
    assert {str(port) for _, port in parse_address(config.broker.url).hosts} <= set(brokers)


def test_definitions_are_of_the_virtual_host_that_gateways_use() -> None:
    """definitions.json makes what broker.url names, without a user or a password."""
    document = json.loads(text("definitions.json"))
    vhost = parse_address(load(EXAMPLE / "a.toml").broker.url).login.vhost
    assert document["vhosts"] == [{"name": vhost}]
    assert [one["vhost"] for one in document["policies"]] == [vhost]
    assert "users" not in document


def test_standbys_go_by_the_names_that_commits_wait_for() -> None:
    """cluster_name, which is a standby's name to the primary, is told for each of those in
    synchronous_standby_names: with another one, every commit would wait for ever."""
    written = text("postgresql.conf")
    awaited = re.findall(r"^synchronous_standby_names = 'ANY 1 \((.*)\)'$", written, re.MULTILINE)
    names = awaited[0].split(", ")
    hosts = re.findall(r"^primary_conninfo = 'host=(\S+) ", written, re.MULTILINE)
    assert hosts[0].replace("-", "_").split(",") == names
    for name in names:
        assert f"'{name}'" in written.replace(awaited[0], "")


def test_the_manual_names_every_file_of_the_example() -> None:
    """docs/operate/scale.md says what each is for."""
    manual = (ROOT / "docs" / "operate" / "scale.md").read_text()
    for file in EXAMPLE.iterdir():
        assert file.name in manual, file.name
