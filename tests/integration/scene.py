"""A gateway's surroundings in the test's own process: carriers, ESMEs, provisioning."""

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.testing.esme import Esme
from smsgw.testing.smsc import SimulatedCarrier, SmscScript
from tests.integration.books import POLL_S, until

NUMBER = "447700900000"
HANDSET = "447700900123"
SECRET = "secret12"
DEADLINE_S = 30.0


def account(name: str = "acme", window: int = 50, **settings: Any) -> str:
    """Provisioning of an account with an SMPP and an HTTP login of its name, and a number."""
    credential = f'username = "{name}"\npassword = "{SECRET}"\nallow = ["127.0.0.0/8"]\n'
    return (
        f'[[account]]\nname = "{name}"\n{_lines(settings)}'
        f'[[account.credential]]\nkind = "smpp"\nbinds = 4\nwindow = {window}\n{credential}'
        f'[[account.credential]]\nkind = "http"\n{credential}'
        f'[[account.number]]\naddress = "{NUMBER}"\n'
    )


def carrier(name: str, port: int, **settings: Any) -> str:
    """Provisioning of an SMSC on a port of loopback."""
    return (
        f'[[carrier]]\nname = "{name}"\nhost = "127.0.0.1"\nport = {port}\n'
        f'system_id = "smsgw"\npassword = "secret"\n{_lines(settings)}'
    )


def route(*carriers: str, name: str = "default", prefix: str = "", price: str = "0.01") -> str:
    """Provisioning of a route."""
    return (
        f'[[route]]\nname = "{name}"\nprefixes = ["{prefix}"]\n'
        f'carriers = {json.dumps(list(carriers))}\nprice = "{price}"\n'
    )


def _lines(settings: dict[str, Any]) -> str:
    return "".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items())


def post(url: str, document: Any, login: str = "") -> tuple[int, Any]:
    """Status and JSON body of a POST of JSON; ``login`` is the name of an account. It blocks."""
    return ask(url, json.dumps(document).encode(), login)


def ask(
    url: str, body: "bytes | None" = None, login: str = "", method: "str | None" = None
) -> tuple[int, Any]:
    """Status and JSON body of a GET, or of a POST of ``body``, or of ``method``. It blocks."""
    headers = {"Content-Type": "application/json"}
    if login:
        basic = base64.b64encode(f"{login}:{SECRET}".encode()).decode()
        headers["Authorization"] = f"Basic {basic}"
    request = urllib.request.Request(url, body, headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=DEADLINE_S) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as answer:
        return answer.code, json.loads(answer.read())


async def until_asked(question: "Callable[[], Coroutine[Any, Any, bool]]", what: str) -> None:
    """Returns when the answer to ``question``, asked again and again, is True."""
    deadline = reactor.seconds() + DEADLINE_S
    while not await question():
        assert reactor.seconds() < deadline, f"in vain waited for: {what}"
        await deferLater(reactor, POLL_S)


class Scene(TestCase):
    """What a test of a gateway has around it; all of it ends with the test."""

    timeout = 90
    smpp_port = 0
    http_port = 0
    admin_port = 0

    async def smsc(self, script: "SmscScript | None" = None, port: int = 0) -> SimulatedCarrier:
        """A carrier that listens on loopback."""
        carrier = SimulatedCarrier(script or SmscScript(), reactor, keep=10_000)
        await carrier.start(port)

        async def end() -> None:
            carrier.smsc.script = SmscScript()
            await carrier.stop()
            await until(reactor, lambda: not carrier.smsc.sessions, "the end of the links")

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        return carrier

    async def esme(
        self, name: str = "acme", kind: str = "transceiver", version: int = 0x34
    ) -> Esme:
        """A bound ESME of an account."""
        esme = Esme()
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.smpp_port)
        await connectProtocol(endpoint, esme)
        self.addCleanup(esme.closed)
        self.addCleanup(esme.close)
        answer = await esme.bind(kind, name, SECRET, version)
        assert answer.status == 0, answer
        return esme

    async def apply(self, *provisioning: str, prune: bool = True) -> list[str]:
        """Provisions exactly this; the lines that say what changed."""
        document = {"text": "\n".join(provisioning), "prune": prune, "who": "test"}
        url = f"http://127.0.0.1:{self.admin_port}/admin/apply"
        status, applied = await deferToThread(post, url, document)
        assert status == 200, applied
        return applied["changes"]

    async def admin(self, path: str) -> Any:
        """What the admin API says."""
        status, body = await deferToThread(ask, f"http://127.0.0.1:{self.admin_port}{path}")
        assert status == 200 or path == "/health", body
        return body

    async def message(self, id: "bytes | str") -> Any:
        """What the admin API says of a message."""
        return await self.admin(f"/admin/messages/{id if isinstance(id, str) else id.decode()}")

    async def waiting(self) -> dict[str, int]:
        """How many entries each queue has."""
        return {one["name"]: one["waiting"] for one in await self.admin("/admin/queues")}

    async def rest(self, document: Any, name: str = "acme") -> tuple[int, Any]:
        """What ``POST /v4/messages`` answers, without its root."""
        url = f"http://127.0.0.1:{self.http_port}/v4/messages"
        status, body = await deferToThread(post, url, document, name)
        return status, body["aerialink"]

    async def cancel(self, guid: str, name: str = "acme") -> tuple[int, Any]:
        """What ``DELETE /v4/messages/{guid}`` answers, without its root."""
        url = f"http://127.0.0.1:{self.http_port}/v4/messages/{guid}"
        status, body = await deferToThread(ask, url, None, name, "DELETE")
        return status, body["aerialink"]

    async def transaction(self, guid: str, name: str = "acme") -> Any:
        """The transaction that ``GET /v4/messages/{guid}`` shows."""
        url = f"http://127.0.0.1:{self.http_port}/v4/messages/{guid}"
        status, body = await deferToThread(ask, url, None, name)
        assert status == 200, body
        return body["aerialink"]["transactions"]["transaction"]
