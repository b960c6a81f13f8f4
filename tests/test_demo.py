"""The demo: it listens on loopback only, provisions an empty store, and tells how to try it."""

import io
import json
import re
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactor
from twisted.logger import Logger, LoggingFile, LogPublisher
from twisted.trial.unittest import TestCase

from smsgw import demo
from smsgw.config import Config, Http, HttpSite, Smpp, SmppListener
from smsgw.provisioning import parse
from smsgw.store.secrets import verify
from tests.folders import temporary_folder
from tests.operate.gateways import a_gateway, provision, result


def on_loopback(endpoint: str) -> str:
    config = Config(smpp=Smpp([SmppListener(endpoint)]), http=Http([endpoint], [endpoint]))
    demo.on_loopback(config)
    [one] = {config.smpp.listen[0].endpoint, *config.http.listen, *config.http.admin}
    return one


@pytest.mark.parametrize(
    ("endpoint", "interface"),
    [
        ("tcp:2775", "127.0.0.1"),
        ("tcp6:2775", "::1"),
        ("tcp:2775:interface=192.0.2.1", "192.0.2.1"),
        ("tcp:2775:interface=0.0.0.0:backlog=5", "0.0.0.0"),
        ("tcp:2775:backlog=5", "127.0.0.1"),
    ],
)
def test_what_has_no_interface_listens_on_loopback(endpoint: str, interface: str) -> None:
    """An interface that the configuration names is left alone."""
    reactor: Any = MemoryReactor()
    serverFromString(reactor, on_loopback(endpoint)).listen(None)  # type: ignore[arg-type]
    [(port, _, _, where)] = reactor.tcpServers
    assert (port, where) == (2775, interface)


@pytest.mark.parametrize(
    "endpoint", ["unix:var/admin.sock:mode=600", "systemd:domain=INET:index=0"]
)
def test_other_endpoints_are_left_alone(endpoint: str) -> None:
    """A socket file has no interface, and one that is open already keeps its own."""
    assert on_loopback(endpoint) == endpoint


def test_sites_listen_on_loopback_too() -> None:
    """``[[http.site]]``."""
    config = Config(http=Http(site=[HttpSite(["rest"], ["tcp:8088"])]))
    demo.on_loopback(config)
    assert config.http.site[0].listen == ["tcp:8088:interface=127.0.0.1"]


def test_the_default_configuration_listens_on_loopback_only() -> None:
    """Nothing of the demo can be reached from elsewhere."""
    config = Config()
    demo.on_loopback(config)
    endpoints = [one.endpoint for one in config.smpp.listen]
    for endpoint in endpoints + config.http.listen + config.http.admin + config.smtp.listen:
        assert endpoint.startswith("unix:") or ":interface=127.0.0.1" in endpoint


def test_mail_domains_are_those_of_the_configuration() -> None:
    """The demo has some of its own where there are none."""
    config = Config()
    demo.on_loopback(config)
    assert (config.smtp.domains.sms, config.smtp.domains.mm4) == ("sms.localhost", "mms.localhost")
    config = Config()
    config.smtp.domains.sms = "sms.example.com"
    demo.on_loopback(config)
    assert (config.smtp.domains.sms, config.smtp.domains.mm4) == ("sms.example.com", "")


@pytest.mark.parametrize(
    ("listen", "base"),
    [
        (["tcp:8080"], "http://127.0.0.1:8080"),
        (["unix:var/http.sock", "tcp6:8088"], "http://[::1]:8088"),
        (["unix:var/http.sock"], ""),
    ],
)
def test_links_to_mms_lead_to_the_demo(listen: list[str], base: str) -> None:
    """``http.public_url``, unless the configuration has one."""
    config = Config(http=Http(listen))
    demo.on_loopback(config)
    assert config.http.public_url == base
    config = Config(http=Http(listen, public_url="https://sms.example.com"))
    demo.on_loopback(config)
    assert config.http.public_url == "https://sms.example.com"


def test_the_provisioning_of_the_demo_is_right() -> None:
    """It parses, its passwords fit, and every destination goes to the simulator."""
    provisioning = parse(demo.provisioning("secret12", "longer-secret"), "demo")
    assert list(provisioning.accounts) == ["demo"]
    assert provisioning.carriers["simulator"].kind == "simulator"
    assert provisioning.routes["default"].prefixes == [""]
    assert provisioning.routes["default"].mms == "link"
    assert provisioning.carriers["mmsc"].port == demo.MMSC_PORT


class BeginTests(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        demo.on_loopback(self.gateway.config)
        self.file = Path(temporary_folder(self)) / "demo.json"

    def begin(self) -> str:
        """What it prints."""
        out = io.StringIO()
        with redirect_stdout(out):
            result(self, demo.begin(self.gateway, self.file))
        return out.getvalue()

    def test_an_empty_store_is_provisioned(self) -> None:
        """With an account whose passwords are new and random."""
        words = self.begin()
        passwords = json.loads(self.file.read_text())
        credentials = {one.kind: one for one in self.gateway.tables.accounts["demo"].credential}
        for kind in ("smpp", "http"):
            assert verify(credentials[kind].password_hash, passwords[kind])
            assert passwords[kind] in words
        assert passwords["smpp"] != passwords["http"]
        assert len(passwords["smpp"]) == 8

    def test_the_passwords_are_for_their_owner_only(self) -> None:
        """The file that keeps them has mode 600."""
        self.begin()
        assert self.file.stat().st_mode & 0o777 == 0o600

    def test_the_next_start_shows_the_same(self) -> None:
        """The account stays as it is, and its passwords are shown again."""
        first = self.begin()
        version = self.gateway.tables.version
        assert self.begin() == first
        assert self.gateway.tables.version == version

    def test_what_is_provisioned_already_is_left_alone(self) -> None:
        """The demo adds nothing to a store in use, and has no passwords to show."""
        provision(self, self.gateway)
        words = self.begin()
        assert list(self.gateway.tables.accounts) == ["acme"]
        assert not self.file.exists()
        assert "Send a message" not in words
        assert "smsgw is running" in words

    def test_the_words_name_every_listener(self) -> None:
        """With ports that can be copied."""
        words = self.begin()
        assert re.search(r"SMPP +127\.0\.0\.1:2775\n", words)
        assert re.search(r"REST +http://127\.0\.0\.1:8080/v4\n", words)
        assert re.search(r"mail +127\.0\.0\.1:2525\n", words)
        assert "curl -sv --crlf smtp://127.0.0.1:2525" in words
        assert "host 127.0.0.1 port 2775 system_id demo" in words

    def test_the_words_can_be_pasted(self) -> None:
        """They go to standard output itself, where twistd would log each line with the time."""
        out, log = io.StringIO(), LogPublisher()
        self.patch(sys, "__stdout__", out)
        with redirect_stdout(LoggingFile(Logger(observer=log))):  # type: ignore[type-var]
            result(self, demo.begin(self.gateway, self.file))
        assert "\n  curl -s -u demo:" in out.getvalue()

    def test_what_does_not_listen_cannot_be_tried(self) -> None:
        """An empty list in the configuration, or a listener that is no TCP port."""
        self.gateway.config.http.listen = []
        self.gateway.config.smtp.listen = []
        words = self.begin()
        assert re.search(r"mail +nowhere\n", words)
        assert re.search(r"REST +nowhere\n", words)
        assert "curl" not in words
        assert "Connect an ESME" in words
        self.gateway.config.http.listen = ["unix:var/rest.sock", "tcp:8080"]
        self.gateway.config.smpp.listen = []
        self.gateway.config.http.admin = []
        words = self.begin()
        assert re.search(r"SMPP +nowhere\n", words)
        assert re.search(r"REST +unix:var/rest\.sock http://127\.0\.0\.1:8080/v4\n", words)
        assert re.search(r"admin +nowhere\n", words)
        assert "Connect an ESME" not in words
        assert "http://127.0.0.1:8080/v4/messages" in words
        assert "The passwords are kept in" in words

    def test_a_tls_listener_is_an_https_url(self) -> None:
        """As curl takes it."""
        self.gateway.config.http.listen = ["ssl:8443:privateKey=key.pem"]
        assert "curl -s -u demo:" in self.begin()
        assert "https://127.0.0.1:8443/v4/messages" in self.begin()

    def test_an_ipv6_listener_is_shown_as_in_urls(self) -> None:
        """In brackets, without the escapes of endpoints."""
        self.gateway.config.smpp.listen[0].endpoint = r"tcp6:2775:interface=\:\:1"
        self.gateway.config.http.listen = [r"tcp6:8080:interface=\:\:1"]
        words = self.begin()
        assert "[::1]:2775" in words
        assert "http://[::1]:8080/v4" in words

    def test_the_mmsc_of_the_demo_runs_beside_the_gateway(self) -> None:
        """On loopback, until the gateway stops; none in a store of somebody else's, and one that
        cannot listen is told."""
        reactor: Any = MemoryReactor()
        self.gateway.reactor = reactor
        demo.start_mmsc(self.gateway)
        assert reactor.tcpServers == []
        self.begin()
        demo.start_mmsc(self.gateway)
        [(port, _, _, where)] = reactor.tcpServers
        assert (port, where) == (demo.MMSC_PORT, "127.0.0.1")
        assert len(reactor.triggers["before"]["shutdown"]) == 1

        def taken(*_: Any, **__: Any) -> None:
            raise CannotListenError("127.0.0.1", demo.MMSC_PORT, OSError("in use"))

        warned: list[str] = []
        self.patch(demo._log, "warn", lambda text, why: warned.append(why))
        self.patch(reactor, "listenTCP", taken)
        demo.start_mmsc(self.gateway)
        assert "in use" in warned[0]
