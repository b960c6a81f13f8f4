"""The admin API: JSON over the operators' listeners, with ``/health`` and ``/metrics``.

Whoever reaches these listeners may do everything, so they belong on a unix socket or a loopback
port. Against web pages in an operator's browser, a POST must carry JSON and ``/admin`` must be
asked by address or as localhost.
"""

from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any, TypeVar

import msgspec
from attrs import define
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from twisted.internet.defer import Deferred

from smsgw.http.site import Request, Response, Site
from smsgw.operate.operator import Operator, Unavailable

JSON = "application/json"
APPLY_LIMIT = 5_242_880  # octets of a provisioning file
_LATEST = (1 << 63) - 1  # what the store holds
T = TypeVar("T")
Asked = Callable[[Request], Coroutine[Any, Any, Response]]


class _Apply(msgspec.Struct):
    text: str
    file: str = "provisioning.toml"
    prune: bool = False
    dry_run: bool = False
    who: str = ""


class _Send(msgspec.Struct):
    account: str
    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    text: str
    receipt: bool = False


class _Route(msgspec.Struct):
    source: str = msgspec.field(name="from")
    destination: str = msgspec.field(name="to")
    text: str = ""
    account: str = ""


class _TopUp(msgspec.Struct):
    account: str
    amount: str
    text: str = ""


class _Refused(Exception):
    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refusal(status: int, text: str) -> Response:
    """A fault as the admin API says it."""
    return _json({"error": text}, status)


def _json(value: object, status: int = 200) -> Response:
    return Response(status, msgspec.json.encode(value) + b"\n", JSON)


def add(site: Site, operator: Operator, registry: CollectorRegistry = REGISTRY) -> None:
    """Let ``site`` answer the admin API from ``operator`` and ``/metrics`` from ``registry``."""
    api = _Api(operator, registry)
    site.add("/admin/accounts", _guarded("GET", api.accounts), refuse=refusal)
    site.add("/admin/carriers", _guarded("GET", api.carriers), refuse=refusal)
    site.add("/admin/queues", _guarded("GET", api.queues), refuse=refusal)
    site.add("/admin/messages", _guarded("POST", api.send), refuse=refusal)
    site.add("/admin/messages/", _guarded("GET", api.message), refuse=refusal)
    site.add("/admin/apply", _guarded("POST", api.apply), refuse=refusal, body_limit=APPLY_LIMIT)
    site.add("/admin/route", _guarded("POST", api.route), refuse=refusal)
    site.add("/admin/balances/", _guarded("GET", api.balance), refuse=refusal)
    site.add("/admin/topups", _guarded("POST", api.top_up), refuse=refusal)
    site.add("/admin/statements/", _guarded("GET", api.statement), refuse=refusal)
    site.add("/health", api.health, refuse=refusal)
    site.add("/metrics", api.metrics)


def _guarded(method: str, ask: Asked) -> Callable[[Request], Response | Deferred[Response]]:
    async def answer(request: Request) -> Response:
        try:
            return await ask(request)
        except _Refused as refused:
            return refusal(refused.status, str(refused))
        except Unavailable as unavailable:
            return refusal(503, str(unavailable))

    def resource(request: Request) -> Response | Deferred[Response]:
        if not _addressed_plainly(request):
            return refusal(421, "ask the admin API by address or as localhost, not by another name")
        if request.method != method:
            fault = refusal(405, f"{request.method} is not allowed here; use {method}")
            fault.headers.append((b"Allow", method.encode()))
            return fault
        kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        if method == "POST" and kind != JSON.encode():
            return refusal(415, f"the body must be JSON, with Content-Type: {JSON}")
        return Deferred.fromCoroutine(answer(request))

    return resource


def _addressed_plainly(request: Request) -> bool:
    """False for a name that a foreign web page may have pointed to this machine (DNS rebinding)."""
    if request.peer == "unix":
        return True
    host = request.headers.get(b"host", b"localhost").decode("latin-1")
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    try:
        ip_address(name)
    except ValueError:
        return name.lower() in ("localhost", "")
    return True


def _body(request: Request, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(request.body, type=shape)
    except msgspec.ValidationError as error:
        raise _Refused(400, str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Refused(400, f"not JSON: {error}") from None


def _last_of(request: Request, folder: str) -> str:
    return request.path.rstrip("/").removeprefix(folder)


def _number(request: Request, name: str, default: int) -> int:
    """A parameter of the query as a number."""
    text = request.query.get(name, [str(default)])[-1]
    if not text.isascii() or not text.isdecimal() or len(text) > 19 or int(text) > _LATEST:
        raise _Refused(400, f"{name}: not a whole number from 0 to {_LATEST}")
    return int(text)


@define
class _Api:
    operator: Operator
    registry: CollectorRegistry

    async def accounts(self, _: Request) -> Response:
        return _json(await self.operator.accounts())

    async def carriers(self, _: Request) -> Response:
        return _json(await self.operator.carriers())

    async def queues(self, _: Request) -> Response:
        return _json(await self.operator.queues())

    async def message(self, request: Request) -> Response:
        id_text = request.path.rstrip("/").removeprefix("/admin/messages/")
        found = await self.operator.message(id_text)
        if found is None:
            raise _Refused(404, f"no message {id_text[:40]}")
        return _json(found)

    async def apply(self, request: Request) -> Response:
        asked = _body(request, _Apply)
        applied = await self.operator.apply(
            asked.text, asked.file, asked.prune, asked.dry_run, asked.who or request.peer
        )
        return _json(applied, 422 if applied.errors else 200)

    async def send(self, request: Request) -> Response:
        asked = _body(request, _Send)
        sent = await self.operator.send(
            asked.account, asked.source, asked.destination, asked.text, asked.receipt
        )
        return _json(sent, 422 if sent.error else 201)

    async def route(self, request: Request) -> Response:
        asked = _body(request, _Route)
        found = await self.operator.route(
            asked.account, asked.source, asked.destination, asked.text
        )
        return _json(found, 422 if found.error else 200)

    async def balance(self, request: Request) -> Response:
        found = await self.operator.balance(_last_of(request, "/admin/balances/"))
        if found.error:
            raise _Refused(404, found.error)
        return _json(found)

    async def top_up(self, request: Request) -> Response:
        asked = _body(request, _TopUp)
        found = await self.operator.top_up(asked.account, asked.amount, asked.text)
        return _json(found, 422 if found.error else 201)

    async def statement(self, request: Request) -> Response:
        account = _last_of(request, "/admin/statements/")
        since, until, after = (
            _number(request, name, default)
            for name, default in (("since", 0), ("until", _LATEST), ("after", 0))
        )
        entries = await self.operator.statement(account, since, until, after)
        if entries is None:
            raise _Refused(404, f"no account {account[:40]}")
        return _json(entries)

    async def health(self, _: Request) -> Response:
        health = await self.operator.health()
        return _json({"ok": health.ok, "checks": health.checks}, 200 if health.ok else 503)

    def metrics(self, _: Request) -> Response:
        return Response(200, generate_latest(self.registry), CONTENT_TYPE_LATEST)
