"""A gateway with REST, a carrier, and a server for what it pushes, spoken to with curl."""

import json
from typing import Any
from urllib.parse import urlencode

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.utils import getProcessOutputAndValue

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.dialects import Aerialink
from smsgw.service import Gateway
from smsgw.testing.script import SmscScript
from smsgw.testing.sinks import HttpSink
from tests.integration.scene import HANDSET, NUMBER, SECRET, Scene, account, carrier, route
from tests.journals import a_store
from tests.running import free_ports

OTHER = "447700900124"
NETWORK = (
    '[[network]]\nname = "example"\nmcc = "234"\nmnc = "99"\nprefixes = ["4477009"]\n'
    'country = "United Kingdom"\noperator = "Example Wireless"\n'
)


class RestScene(Scene):
    """A gateway with REST, a carrier, and a server for what it pushes."""

    async def begin(
        self,
        routes: str = "",
        script: SmscScript | None = None,
        own: Any = None,
        listen: Any = (),
        public_url: str = "",
        **aerialink: Any,
    ) -> None:
        """Starts all of it; ``routes`` and ``own`` keys are of the account, ``listen`` more
        endpoints."""
        self.smpp_port, self.http_port, self.admin_port = free_ports(3)
        self.sink = HttpSink(reactor)
        self.url = f"http://127.0.0.1:{await self.sink.start()}"
        self.addCleanup(lambda: Deferred.fromCoroutine(self.sink.stop()))
        config = Config(
            smpp=Smpp(listen=[SmppListener(f"tcp:{self.smpp_port}:interface=127.0.0.1")]),
            http=Http(
                listen=[f"tcp:{self.http_port}:interface=127.0.0.1", *listen],
                admin=[f"tcp:{self.admin_port}:interface=127.0.0.1"],
                public_url=public_url,
            ),
            aerialink=Aerialink(
                **{"allow_private_callbacks": True, "allow_plain_http": "loopback", **aerialink}
            ),
        )
        self.store = a_store(self)
        self.gateway = Gateway(config, self.store, reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        self.north = await self.smsc(script)
        await self.apply(
            account(country="44", **own or {}) + routes.replace("URL", self.url),
            account("rival").replace(NUMBER, "447700900009"),
            NETWORK,
            carrier("north", self.north.port),
            route("north"),
        )
        await self.north.smsc.bound()

    async def curl(self, path: str, *arguments: str, login: str = "acme") -> tuple[int, str]:
        """Status and body of what curl gets."""
        given = ["-sS", "-u", f"{login}:{SECRET}", "-w", "\n%{http_code}", *arguments]
        url = path if "://" in path else f"http://127.0.0.1:{self.http_port}{path}"
        out, err, code = await getProcessOutputAndValue("curl", [*given, url])
        assert code == 0, err
        body, _, status = out.decode().rpartition("\n")
        return int(status), body

    async def get(self, path: str, *arguments: str, login: str = "acme") -> Any:
        """The document of an answer, without its root."""
        status, body = await self.curl(path, *arguments, login=login)
        assert status == 200, body
        return json.loads(body)["aerialink"]

    async def refused(self, path: str, *arguments: str, login: str = "acme") -> tuple[int, int]:
        """HTTP status and code of an error."""
        status, body = await self.curl(path, *arguments, login=login)
        return status, json.loads(body)["aerialink"]["code"]

    async def send(self, *arguments: str, **parameters: Any) -> Any:
        """The document of a submission by form."""
        given = {"source": NUMBER, "destination": HANDSET, "messageText": "Hello", **parameters}
        form = urlencode({k: v for k, v in given.items() if v is not None})
        return await self.get("/v4/messages", "-d", form, *arguments)
