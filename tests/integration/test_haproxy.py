"""Two gateways behind a real HAProxy, both with the configuration of etc/cluster."""

import base64
import contextlib
import http.client
import os
import shutil
import socket
import ssl
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import define

from tests.outside import certificate, pem
from tests.running import ROOT, TWISTD, GatewayProcess, Running, free_ports

EXAMPLE = ROOT / "etc" / "cluster"
CLIENT, OTHER = "127.0.0.77", "127.0.0.78"
ACCOUNT = f"""
[[account]]
name = "acme"
[[account.credential]]
kind = "smpp"
username = "acme"
password = "secret12"
allow = ["{CLIENT}"]
binds = 20
[[account.credential]]
kind = "http"
username = "acme"
password = "secret12"
allow = ["{CLIENT}"]
"""
DEAD_CARRIER = """
[[carrier]]
name = "down"
host = "127.0.0.1"
port = 9
system_id = "smsgw"
password = "secret"
"""
ESME_ROK = 0


@define
class Ports:
    """Of all machines, which are addresses of loopback here."""

    smpp: int
    http: int
    smtp: int
    admin: int
    smpp_in: int
    http_in: int
    smtp_in: int

    def here(self, text: str) -> str:
        """A file of the example with these ports and with addresses of this machine."""
        for old, new in (
            ("tcp:2775:", f"tcp:{self.smpp}:"),
            ("tcp:8080:", f"tcp:{self.http}:"),
            ("tcp:2525:", f"tcp:{self.smtp}:"),
            ("tcp:8081:", f"tcp:{self.admin}:"),
            ("check port 8081 ", f"check port {self.admin} "),
            ("bind :2775", f"bind 127.0.0.5:{self.smpp_in}"),
            ("bind :443 ", f"bind 127.0.0.5:{self.http_in} "),
            ("bind :25\n", f"bind 127.0.0.5:{self.smtp_in}\n"),
            (":2775\n", f":{self.smpp}\n"),
            (":8080\n", f":{self.http}\n"),
            (":2525\n", f":{self.smtp}\n"),
            # The address that HAProxy connects from is the one that the system gives it here.
            ('"10.0.0.5"', '"127.0.0.1"'),
            ("10.0.0.", "127.0.0."),
        ):
            text = text.replace(old, new)
        return text


class Node(GatewayProcess):
    """A node of the example, with a store and media in its own folder."""

    def __init__(self, directory: Path, name: str, ports: Ports) -> None:
        Running.__init__(self, directory)
        self.name = f"node {name}"
        self.address = {"a": "127.0.0.11", "b": "127.0.0.12"}[name]
        self.admin_port = ports.admin
        (directory / "pair.pem").write_bytes(pem(certificate()))
        text = ports.here((EXAMPLE / f"{name}.toml").read_text("utf-8"))
        lines = []
        for line in text.splitlines():
            if line.startswith('url = "postgresql'):
                line = f'url = "sqlite:///{directory}/smsgw.db"'
            elif line.startswith('url = "amqps'):
                line = 'url = "embedded:"'
            elif line.startswith('url = "s3'):
                line = f'folder = "{directory}/media"'
            lines.append(line)
        text = "\n".join(lines)
        for old in (f"/var/lib/smsgw/{name}", f"/run/smsgw/{name}"):
            text = text.replace(old, str(directory))
        for old in ("fullchain.pem", "key.pem"):
            text = text.replace(f"/etc/smsgw/{old}", f"{directory}/pair.pem")
        self.config = directory / "smsgw.toml"
        self.config.write_text(text)

    def command(self) -> list[str]:
        """As the unit of the example runs it."""
        return [str(TWISTD), "--nodaemon", "--pidfile=", "smsgw", "-c", str(self.config)]

    def get(self, path: str) -> tuple[int, str]:
        """Status and body of its admin listener."""
        wire = http.client.HTTPConnection(self.address, self.admin_port, timeout=10)
        with contextlib.closing(wire):
            wire.request("GET", path)
            answer = wire.getresponse()
            return answer.status, answer.read().decode()

    def ready(self) -> bool:
        """True once it is ready for messages."""
        try:
            return self.get("/health/ready")[0] == 200
        except OSError:
            return False

    def sessions(self) -> int:
        """How many sessions are bound here."""
        for line in self.get("/metrics")[1].splitlines():
            if line.startswith('smsgw_sessions{account="acme"'):
                return int(float(line.split()[-1]))
        return 0


class Haproxy(Running):
    """HAProxy with the configuration of the example, in the foreground."""

    name = "haproxy"

    def __init__(self, directory: Path, ports: Ports) -> None:
        super().__init__(directory)
        (directory / "chain.pem").write_bytes(pem(certificate()))
        self.control = directory / "haproxy.sock"
        text = ports.here((EXAMPLE / "haproxy.cfg").read_text("utf-8"))
        text = text.replace("/etc/haproxy/sms.example.com.pem", str(directory / "chain.pem"))
        text = text.replace("/run/haproxy/admin.sock", str(self.control))
        # Each takes two descriptors, of which this machine may allow less.
        text = text.replace("maxconn 40000", "maxconn 1000")
        (figures,) = free_ports(1)
        text = text.replace("bind 127.0.0.1:8404", f"bind 127.0.0.1:{figures}")
        self.file = directory / "haproxy.cfg"
        self.file.write_text(text)

    def command(self) -> list[str]:
        """One process, which ends with SIGTERM."""
        return ["haproxy", "-db", "-f", str(self.file)]

    def ready(self) -> bool:
        """True once it answers at its socket."""
        try:
            return bool(self.up("smpp") is not None)
        except OSError:
            return False

    def up(self, backend: str) -> set[str]:
        """The servers of a backend that take connections."""
        found = set()
        for line in self.asked("show stat").splitlines():
            cells = line.split(",")
            if cells[0] == backend and cells[1] != "BACKEND" and cells[17].startswith("UP"):
                found.add(cells[1])
        return found

    def asked(self, command: str) -> str:
        """What it says at its socket."""
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(10)
            wire.connect(str(self.control))
            wire.sendall(command.encode() + b"\n")
            said = b""
            while piece := wire.recv(65_536):
                said += piece
        return said.decode()


@define
class Scene:
    """All of them."""

    a: Node
    b: Node
    proxy: Haproxy
    ports: Ports

    def until_up(self, backend: str, names: set[str]) -> None:
        """Returns when exactly these servers of a backend are up."""
        self.proxy.wait_until(
            lambda: self.proxy.up(backend) == names, f"does not have {names} in {backend}"
        )


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    """Both nodes are up and in HAProxy's eyes ready."""
    if shutil.which("haproxy") is None:
        pytest.skip("haproxy is not installed")
    folder = Path(tempfile.mkdtemp(prefix="smsgw-haproxy-"))
    ports = Ports(*free_ports(7))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for name in ("a", "b", "proxy"):
            os.mkdir(folder / name)
        a, b = (Node(folder / name, name, ports) for name in ("a", "b"))
        proxy = Haproxy(folder / "proxy", ports)
        for one in (a, b, proxy):
            stack.callback(one.kill)
            one.start()
        for node in (a, b):
            node.apply(ACCOUNT)
        found = Scene(a, b, proxy, ports)
        found.until_up("smpp", {"a", "b"})
        yield found


def bind(scene: Scene, source: str, held: contextlib.ExitStack) -> int | None:
    """The status of bind_transceiver from an address, None where the connection is closed without
    an answer; it lasts as long as ``held``."""
    wire = held.enter_context(
        socket.create_connection(("127.0.0.5", scene.ports.smpp_in), 20, (source, 0))
    )
    body = b"acme\0secret12\0\0\x34\0\0\0"
    wire.sendall(struct.pack(">IIII", 16 + len(body), 9, 0, 1) + body)
    header = b""
    while len(header) < 16:
        piece = wire.recv(16 - len(header))
        if not piece:
            return None
        header += piece
    _, command, status, number = struct.unpack(">IIII", header)
    assert (command, number) == (0x80000009, 1)
    return int(status)


def lists(scene: Scene, source: str) -> int:
    """The status of a request of REST over TLS, from an address."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    wire = http.client.HTTPSConnection(
        "127.0.0.5",
        scene.ports.http_in,
        timeout=20,
        context=context,
        source_address=(source, 0),
    )
    with contextlib.closing(wire):
        basic = base64.b64encode(b"acme:secret12").decode()
        wire.request("GET", "/v4/lists", headers={"Authorization": f"Basic {basic}"})
        return wire.getresponse().status


def test_i6_allow_lists_see_the_address_of_the_client(scene: Scene) -> None:
    """I6: by SMPP and by HTTP over TLS; one that is in no list is closed."""
    with contextlib.ExitStack() as held:
        assert bind(scene, CLIENT, held) == ESME_ROK
        assert bind(scene, OTHER, held) is None
    assert lists(scene, CLIENT) == 200
    assert lists(scene, OTHER) == 403


def test_mail_comes_to_a_node_too(scene: Scene) -> None:
    """The banner is a gateway's: 220, or 554 for an address in no list."""
    with socket.create_connection(("127.0.0.5", scene.ports.smtp_in), 20, (CLIENT, 0)) as wire:
        assert wire.recv(512)[:4] in (b"220 ", b"554 ")


def test_binds_are_spread_and_go_to_the_other_node_when_one_stops(scene: Scene) -> None:
    """A node that is stopped gets no bind from that moment on, and no client is refused for it."""
    with contextlib.ExitStack() as held:
        assert [bind(scene, CLIENT, held) for _ in range(4)] == [ESME_ROK] * 4
        scene.proxy.wait_until(
            lambda: (scene.a.sessions(), scene.b.sessions()) == (2, 2), "does not spread binds"
        )
        assert scene.a.stop() == 0
        assert [bind(scene, CLIENT, held) for _ in range(4)] == [ESME_ROK] * 4
        assert scene.b.sessions() == 6
        assert lists(scene, CLIENT) == 200
        scene.a.start()
        scene.until_up("smpp", {"a", "b"})
        assert bind(scene, CLIENT, held) == ESME_ROK
        assert scene.a.sessions() == 1


def test_a_node_that_is_drained_by_hand_gets_no_new_bind(scene: Scene) -> None:
    """``set server ... state drain``, as the example tells; what is bound stays."""
    with contextlib.ExitStack() as held:
        scene.proxy.wait_until(
            lambda: scene.a.sessions() + scene.b.sessions() == 0, "has old sessions"
        )
        assert [bind(scene, CLIENT, held) for _ in range(2)] == [ESME_ROK] * 2
        scene.proxy.asked("set server smpp/a state drain")
        assert [bind(scene, CLIENT, held) for _ in range(2)] == [ESME_ROK] * 2
        assert (scene.a.sessions(), scene.b.sessions()) == (1, 3)
        scene.proxy.asked("set server smpp/a state ready")


def test_messages_are_taken_while_every_carrier_is_down(scene: Scene) -> None:
    """No node is ready then, but both accept; so clients are let in all the same."""
    for node in (scene.a, scene.b):
        node.apply(DEAD_CARRIER)
    scene.until_up("smpp", set())
    scene.until_up("smpp-alive", {"a", "b"})
    with contextlib.ExitStack() as held:
        assert bind(scene, CLIENT, held) == ESME_ROK
