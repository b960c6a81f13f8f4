"""SMPP listeners on real sockets: TLS told by the first octet, client certificates, a proxy."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import smpplib.client
import smpplib.exceptions

from tests.running import GatewayProcess, free_ports

PROVISIONING = """\
[[account]]
name = "acme"
[[account.credential]]
kind = "smpp"
username = "acme"
password = "secret12"
allow = ["127.0.0.1"]
binds = 5
[[account.credential]]
kind = "smpp"
username = "strict"
password = "secret12"
allow = ["127.0.0.1"]
certificate = "strict client"
[[account.credential]]
kind = "smpp"
username = "single"
password = "secret12"
allow = ["127.0.0.1"]
[[account.credential]]
kind = "smpp"
username = "away"
password = "secret12"
allow = ["198.51.100.7", "2001:db8::7"]
binds = 5
"""
LISTENERS = """
[[smpp.listen]]
endpoint = "tcp:{auto}:interface=127.0.0.1"
tls = "auto"
certificate = "server.pem"
private_key = "server.key"
client_ca = "ca.pem"
[[smpp.listen]]
endpoint = "tcp:{always}:interface=127.0.0.1"
tls = "always"
certificate = "server.pem"
private_key = "server.key"
client_ca = "ca.pem"
client_certificate = "required"
proxy = true
proxy_from = ["127.0.0.1"]
[[smpp.listen]]
endpoint = "tcp:{proxy}:interface=127.0.0.1"
proxy = true
proxy_from = ["127.0.0.1"]
[[smpp.listen]]
endpoint = "tcp:{websmpp}:interface=127.0.0.1"
profile = "websmpp"
[[smpp.listen]]
endpoint = "tcp:{link}:interface=127.0.0.1"
profile = "link"
[link]
enforce_reconnect_wait = true
[ams]
max_tx = 2
"""


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def signed(folder: Path, name: str, subject: str, by: str = "ca") -> None:
    """A key and a certificate in PEM files, signed by another."""
    request = ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    if name == by:
        request += ["-x509", "-out", f"{name}.pem", "-days", "2"]
    else:
        request += ["-out", f"{name}.csr"]
    openssl(folder, *request, "-keyout", f"{name}.key", "-subj", f"/CN={subject}")
    if name != by:
        sign = ["x509", "-req", "-in", f"{name}.csr", "-CA", f"{by}.pem", "-CAkey", f"{by}.key"]
        openssl(folder, *sign, "-CAcreateserial", "-out", f"{name}.pem", "-days", "2")


class Place:
    """A gateway with three more listeners, and the files of its clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.auto, self.always, self.proxy, self.websmpp, self.link = free_ports(5)
        for name, subject, by in (
            ("ca", "customers", "ca"),
            ("server", "localhost", "ca"),
            ("renewed", "localhost", "ca"),
            ("strict", "strict client", "ca"),
            ("other", "other client", "ca"),
            ("foreign", "foreign", "foreign"),
            ("forged", "strict client", "foreign"),
        ):
            signed(folder, name, subject, by)
        ports = {name: getattr(self, name) for name in ("auto", "always", "proxy")}
        ports |= {name: getattr(self, name) for name in ("websmpp", "link")}
        self.gateway = GatewayProcess(folder, LISTENERS.format(**ports))

    def tls(self, client: str = "") -> ssl.SSLContext:
        """What a client uses; with its certificate."""
        context = ssl.create_default_context(cafile=str(self.folder / "ca.pem"))
        if client:
            context.load_cert_chain(self.folder / f"{client}.pem", self.folder / f"{client}.key")
        return context

    def esme(
        self,
        port: int,
        system_id: str = "acme",
        tls: ssl.SSLContext | None = None,
        first: bytes = b"",
        kind: str = "transceiver",
    ) -> smpplib.client.Client:
        """Bound by smpplib, after the octets of a proxy; raises what it does if it is not."""
        client = smpplib.client.Client("127.0.0.1", port, allow_unknown_opt_params=True, timeout=20)
        plain = socket.create_connection(("127.0.0.1", port), timeout=20)
        plain.sendall(first)
        client._socket = tls.wrap_socket(plain, server_hostname="localhost") if tls else plain
        client.state = smpplib.consts.SMPP_CLIENT_STATE_OPEN
        bind = getattr(client, f"bind_{kind}")
        bind(system_id=system_id, password="secret12")
        return client

    def binds(self, *given: object, **more: object) -> bool:
        """True if it is bound."""
        try:
            client = self.esme(*given, **more)  # type: ignore[arg-type]
        except (
            smpplib.exceptions.PDUError,
            smpplib.exceptions.ConnectionError,
            OSError,
        ):
            return False
        client.unbind()
        client.disconnect()
        return True


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    found = Place(tmp_path_factory.mktemp("gateway"))
    with found.gateway as gateway:
        gateway.apply(PROVISIONING)
        yield found


def test_one_port_serves_with_and_without_tls(place: Place) -> None:
    """By the first octet (L-D1); with TLS it is that of the configured certificate."""
    assert place.binds(place.auto)
    assert place.binds(place.auto, tls=place.tls())


def test_tls_is_1_2_at_least(place: Place) -> None:
    """Older handshakes fail; 1.2 and 1.3 do not."""
    for version, well in (("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)):
        done = subprocess.run(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{place.auto}", version]
            + ["-cipher", "DEFAULT@SECLEVEL=0"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert (b"BEGIN CERTIFICATE" in done.stdout) is well


def test_a_login_may_need_a_certificate(place: Place) -> None:
    """The one that it names, signed by the CA; others and none get ESME_RBINDFAIL."""
    assert place.binds(place.auto, "strict", place.tls("strict"))
    assert not place.binds(place.auto, "strict", place.tls("other"))
    assert not place.binds(place.auto, "strict", place.tls())
    assert not place.binds(place.auto, "strict")
    assert not place.binds(place.gateway.smpp_port, "strict")
    assert place.binds(place.auto, "acme", place.tls("other"))


def test_a_certificate_of_another_authority_ends_the_handshake(place: Place) -> None:
    """Whatever name it has."""
    assert not place.binds(place.auto, "strict", place.tls("forged"))


def test_a_listener_may_need_one_of_everybody(place: Place) -> None:
    """With TLS only, here behind a proxy that passes TLS on."""
    header = b"PROXY TCP4 127.0.0.1 127.0.0.1 40000 2775\r\n"
    assert place.binds(place.always, "acme", place.tls("other"), header)
    assert not place.binds(place.always, "acme", place.tls(), header)
    assert not place.binds(place.always, "acme", None, header)


def v2(client: str) -> bytes:
    packed = socket.inet_pton(socket.AF_INET6, client)
    body = packed + bytes(16) + bytes(4)
    return b"\r\n\r\n\x00\r\nQUIT\n\x21\x21" + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize(
    "header",
    [lambda: b"PROXY TCP4 198.51.100.7 10.0.0.1 40000 2775\r\n", lambda: v2("2001:db8::7")],
    ids=["version 1", "version 2"],
)
def test_allow_lists_see_the_client_behind_a_proxy(
    place: Place, header: Callable[[], bytes]
) -> None:
    """Not the proxy: who may come from there is bound, who may come from the proxy is not."""
    assert place.binds(place.proxy, "away", None, header())
    assert not place.binds(place.proxy, "acme", None, header())
    assert not place.binds(place.gateway.smpp_port, "away")


def test_who_is_in_no_list_is_closed_without_an_octet_behind_a_proxy(place: Place) -> None:
    """As without one (ruling 7); and nobody is let in without a header."""
    for first in (b"PROXY TCP4 203.0.113.9 10.0.0.1 40000 2775\r\n", bytes(16)):
        with socket.create_connection(("127.0.0.1", place.proxy), timeout=20) as wire:
            wire.sendall(first)
            with suppress(ConnectionResetError):
                assert wire.recv(100) == b""


def test_a_renewed_certificate_is_taken_over_while_it_runs(place: Place) -> None:
    """By the next connection; sessions that are there stay."""

    def serial() -> object:
        with (
            socket.create_connection(("127.0.0.1", place.auto), timeout=20) as plain,
            place.tls().wrap_socket(plain, server_hostname="localhost") as wire,
        ):
            return wire.getpeercert()["serialNumber"]  # type: ignore[index]

    stays = place.esme(place.auto, tls=place.tls())
    before = serial()
    for suffix in ("key", "pem"):
        shutil.copy(place.folder / f"renewed.{suffix}", place.folder / f"server.{suffix}")
    assert serial() != before
    stays.send_pdu(smpplib.smpp.make_pdu("enquire_link", client=stays))
    assert stays.read_pdu().command == "enquire_link_resp"
    stays.unbind()
    stays.disconnect()


def closed(*clients: smpplib.client.Client) -> None:
    """In order, one after the other."""
    for client in clients:
        client.unbind()
        client.disconnect()


def test_websmpp_has_one_receiver_and_many_transmitters(place: Place) -> None:
    """Up to max_tx, though the login has one bind elsewhere (W-R7, W-D2); the place of one that
    does not answer within 5 s is taken."""
    there = place.esme(place.websmpp, "single")
    senders = [place.esme(place.websmpp, "single", kind="transmitter") for _ in range(2)]
    # Nobody reads on these three, so the first is dead for the gateway, and the new one is bound.
    second = place.esme(place.websmpp, "single", kind="receiver")
    assert there._socket.recv(16)[4:8] == b"\0\0\0\x15"
    with suppress(ConnectionResetError):
        assert there._socket.recv(16) == b""
    there.disconnect()
    closed(*senders, second)


def test_one_that_is_there_keeps_the_new_one_out(place: Place) -> None:
    """It answers the enquire_link, and nothing happens to it (L-D7, W-D2)."""
    for port in (place.websmpp, place.gateway.smpp_port):
        there = place.esme(port, "single")
        answers = threading.Thread(target=there.read_once)
        answers.start()
        with pytest.raises(smpplib.exceptions.PDUError) as refused:
            place.esme(port, "single")
        assert refused.value.args[1] == 5
        answers.join()
        closed(there)


def test_who_broke_off_waits_on_the_link_profile(place: Place) -> None:
    """With ESME_RBINDFAIL, as the configuration has it; after an unbind nobody waits (L-D5)."""
    closed(place.esme(place.link, "single"))
    gone = place.gateway.output.count("is gone: closed by the peer")
    place.esme(place.link, "single").disconnect()
    place.gateway.wait_until(
        lambda: place.gateway.output.count("is gone: closed by the peer") > gone, "know of it"
    )
    with pytest.raises(smpplib.exceptions.PDUError) as refused:
        place.esme(place.link, "single")
    assert refused.value.args[1] == 0x0D
    assert "back 0 s after a broken connection" in place.gateway.output
