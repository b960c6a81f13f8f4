"""HTTP listeners behind a proxy, on real sockets: whose address the allow-lists are asked about."""

import base64
import json
import socket

from twisted.internet import reactor
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from smsgw.config import Config, Http, HttpSite, Smpp, Smtp
from smsgw.dialects import Aerialink
from smsgw.service import Gateway
from tests.integration.scene import SECRET, Scene
from tests.journals import a_store
from tests.running import free_ports
from tests.test_preface import version_1, version_2

CLIENT, OTHER = "198.51.100.7", "203.0.113.5"
ACCOUNT = f"""
[[account]]
name = "acme"
[[account.credential]]
kind = "http"
username = "acme"
password = "{SECRET}"
allow = ["{CLIENT}", "2001:db8::7", "127.0.0.1"]
"""


def on_loopback(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


class ProxyTests(Scene):
    """A gateway that is reached through a proxy on this machine, and one that is none."""

    async def begin(self) -> None:
        """``http_port`` is for this machine's proxy, ``site_port`` as well, ``far_port`` not."""
        self.http_port, self.admin_port, self.site_port, self.far_port = free_ports(4)
        config = Config(
            smpp=Smpp(listen=[]),
            smtp=Smtp(listen=[]),
            http=Http(
                listen=[on_loopback(self.http_port)],
                admin=[on_loopback(self.admin_port)],
                proxy=True,
                proxy_from=["127.0.0.1"],
                site=[
                    HttpSite(
                        ["rest"],
                        [on_loopback(self.site_port)],
                        proxy=True,
                        proxy_from=["127.0.0.0/8"],
                    ),
                    HttpSite(
                        ["rest"],
                        [on_loopback(self.far_port)],
                        proxy=True,
                        proxy_from=["192.0.2.1"],
                    ),
                ],
            ),
            aerialink=Aerialink(allow_plain_http=True),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        await self.apply(ACCOUNT)

    async def asked(self, header: bytes, port: int = 0) -> bytes:
        """What comes back to a request of acme's lists after these octets."""

        def ask() -> bytes:
            basic = base64.b64encode(f"acme:{SECRET}".encode())
            request = b"GET /v4/lists HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
            request += b"Authorization: Basic " + basic + b"\r\n\r\n"
            with socket.create_connection(("127.0.0.1", port or self.http_port), 20) as wire:
                received = b""
                try:
                    wire.sendall(header + request)
                    while piece := wire.recv(4096):
                        received += piece
                except ConnectionError:
                    pass  # that, too, is to be closed without an octet
            return received

        return await deferToThread(ask)

    async def test_i6_allow_lists_are_asked_about_the_client(self) -> None:
        """I6: by both versions of the header, for both families; the proxy's own address lets
        nobody in."""
        await self.begin()
        for write in (version_1, version_2):
            for client in (CLIENT, "2001:db8::7"):
                for port in (self.http_port, self.site_port):
                    assert (await self.asked(write(client), port)).startswith(b"HTTP/1.1 200 ")
            answer = await self.asked(write(OTHER))
            assert answer.startswith(b"HTTP/1.1 403 ")
            document = json.loads(answer.partition(b"\r\n\r\n")[2])
            assert document["aerialink"]["code"] == 1004

    async def test_without_a_header_or_from_elsewhere_there_is_no_answer(self) -> None:
        """Not an octet: what speaks is no proxy of ours."""
        await self.begin()
        assert await self.asked(b"") == b""
        assert await self.asked(b"PROXY TCP4 nonsense\r\n") == b""
        assert await self.asked(version_1(CLIENT), self.far_port) == b""

    async def test_curl_as_a_proxy(self) -> None:
        """curl writes a header of version 1; a kept connection has one header."""
        await self.begin()
        url = f"http://127.0.0.1:{self.http_port}/v4/lists"
        given = ["-sS", "--haproxy-protocol", "-u", f"acme:{SECRET}", "-w", "%{num_connects}"]
        out, err, code = await getProcessOutputAndValue("curl", [*given, url, url])
        assert code == 0, err
        assert out.count(b'{"aerialink"') == 2
        assert out.endswith(b"0")
