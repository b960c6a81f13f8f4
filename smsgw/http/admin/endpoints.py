"""What the admin API is made of: endpoints, each registered with everything there is to know of it.

An endpoint is one line of a list: method, path, role, summary, the shape of its answer, and what
answers it. ``Api`` finds the endpoint of a request, asks ``Access`` who is there, decodes the
query and the body into the registered shapes, and writes the answer as JSON.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from attrs import define, field, frozen
from twisted.internet.defer import Deferred

from smsgw.http.admin.access import Access, NotAllowed
from smsgw.http.site import BODY_LIMIT, Request, Response, Site
from smsgw.operate.operator import RunningOperator, Unavailable

JSON = "application/json"
PROVISIONING_LIMIT = 5_242_880  # octets of a provisioning file or document
DIALECT = "admin"
T = TypeVar("T")


@define
class Fault:
    """The body of an answer that tells why not."""

    error: str


@frozen
class Call:
    """One request on its way to the endpoint that answers it."""

    request: Request
    operator: RunningOperator  # does everything in the name of ``who``
    who: str
    names: dict[str, str]  # the parts of the path in braces
    access: Access
    query: Any = None  # of the endpoint's shape
    body: Any = None


Ask = Callable[[Call], Coroutine[Any, Any, Any]]


@frozen
class Endpoint:
    """One thing that the admin API can be asked.

    ``path`` has the parts that a request fills in in braces, such as ``/admin/messages/{id}``.
    ``role`` is the least that may ask: "viewer", "operator", "admin", or "" for everybody.
    ``answer`` is the type that ``ask`` returns, ``asked`` that of the body, ``query`` an attrs or
    msgspec class of the parameters, each with a default. ``ask`` may return a ``Response`` of its
    own.
    """

    method: str
    path: str
    role: str
    summary: str
    answer: Any
    ask: Ask
    asked: Any = None
    query: Any = None
    shapes: Sequence[type] = ()  # of the body, where ``asked`` is only how it is decoded
    status: int = 200  # of the answer
    # Status -> type of the body, besides the one answer and the faults that any endpoint may have.
    faults: Mapping[int, Any] = field(factory=dict)
    headers: tuple[str, ...] = ()  # that a request may have
    content: str = JSON  # of the answer
    body_limit: int = BODY_LIMIT  # octets


class Refused(Exception):
    """What an endpoint raises to refuse.

    ``said`` is one line, or what is to be the body.
    """

    def __init__(self, status: int, said: Any, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(said)
        self.status = status
        self.body = Fault(said) if isinstance(said, str) else said
        self.headers = headers


def as_json(value: object, status: int = 200) -> Response:
    """An answer of JSON."""
    return Response(status, msgspec.json.encode(value) + b"\n", JSON)


def refusal(status: int, text: str) -> Response:
    """A fault as the admin API says it."""
    return as_json(Fault(text), status)


def accepted(value: T, error: object) -> T:
    """``value``, or a refusal with it (422) if there is an ``error``."""
    if error:
        raise Refused(422, value)
    return value


@define
class Api:
    """Answers the requests of operators."""

    operator: RunningOperator
    access: Access
    _by_segments: dict[int, list[tuple[list[str], dict[str, Endpoint]]]] = field(factory=dict)

    def add(self, site: Site, endpoints: Sequence[Endpoint]) -> None:
        """Let ``site`` answer ``endpoints`` through this."""
        limits: dict[str, int] = {}
        for one in endpoints:
            segments = _segments(one.path)
            table = self._by_segments.setdefault(len(segments), [])
            methods = next((found for known, found in table if known == segments), None)
            if methods is None:
                table.append((segments, methods := {}))
                table.sort(key=_braces)
            methods[one.method] = one
            folder = one.path.partition("{")[0]
            limits[folder] = max(limits.get(folder, 0), one.body_limit)
        limits.setdefault("/admin/", BODY_LIMIT)
        for path, limit in limits.items():
            site.add(path, self.answer, body_limit=limit, refuse=refusal, dialect=DIALECT)

    def find(self, path: str) -> tuple[dict[str, Endpoint], dict[str, str]]:
        """The endpoints of a request's path by their methods, and what fills the braces."""
        given = _segments(path)
        for segments, methods in self._by_segments.get(len(given), ()):
            if all(a == b or a.startswith("{") for a, b in zip(segments, given, strict=True)):
                names = {
                    a[1:-1]: b for a, b in zip(segments, given, strict=True) if a.startswith("{")
                }
                return methods, names
        return {}, {}

    def answer(self, request: Request) -> Response | Deferred[Response]:
        """The answer to ``request``; its faults are answered in JSON as well."""
        methods, names = self.find(request.path)
        endpoint = methods.get(request.method)
        try:
            # Whoever may not come in does not learn which paths there are.
            who = self.access.check(request, endpoint.role if endpoint else "viewer")
        except NotAllowed as error:
            fault = refusal(error.status, str(error))
            fault.headers.extend(error.headers)
            return fault
        if not methods:
            return refusal(404, "there is no such path; see /admin/openapi.json")
        if endpoint is None:
            allowed = ", ".join(sorted(methods))
            fault = refusal(405, f"{request.method} is not allowed here; use {allowed}")
            fault.headers.append((b"Allow", allowed.encode()))
            return fault
        return Deferred.fromCoroutine(self._asked(endpoint, request, who, names))

    async def _asked(
        self, endpoint: Endpoint, request: Request, who: str, names: dict[str, str]
    ) -> Response:
        try:
            if endpoint.method == "POST" or endpoint.asked:
                _must_be_json(request)
            query = _query(request, endpoint.query) if endpoint.query else None
            body = _body(request, endpoint.asked) if endpoint.asked else None
            operator = self.operator.by(who)
            value = await endpoint.ask(
                Call(request, operator, who, names, self.access, query, body)
            )
        except Refused as refused:
            fault = as_json(refused.body, refused.status)
            fault.headers.extend(refused.headers)
            return fault
        except Unavailable as unavailable:
            return refusal(503, str(unavailable))
        return value if isinstance(value, Response) else as_json(value, endpoint.status)


def _segments(path: str) -> list[str]:
    return path.rstrip("/").split("/")[1:]


def _braces(known: tuple[list[str], object]) -> int:
    """A path that is written out goes before one that braces could make of it."""
    return sum(one.startswith("{") for one in known[0])


def _query(request: Request, shape: Any) -> Any:
    given = {name: values[-1] for name, values in request.query.items()}
    known = sorted(query_fields(shape))
    unknown = [name for name in given if name not in known]
    if unknown:
        raise Refused(400, f"{unknown[0][:40]}: unknown parameter; known are {', '.join(known)}")
    try:
        return msgspec.convert(given, shape, strict=False)
    except msgspec.ValidationError as error:
        raise Refused(400, _said(error)) from None


def query_fields(shape: Any) -> dict[str, Any]:
    """The parameters that a class of them has: name -> msgspec's description of it."""
    described: Any = msgspec.inspect.type_info(shape)
    return {one.encode_name: one for one in described.fields}


def _must_be_json(request: Request) -> None:
    """A web page of somebody else's can post forms and plain text without asking, but no JSON."""
    kind = request.headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if kind != JSON.encode():
        raise Refused(415, f"the body must be JSON, with Content-Type: {JSON}")


def _body(request: Request, shape: Any) -> Any:
    try:
        return msgspec.json.decode(request.body, type=shape)
    except msgspec.ValidationError as error:
        raise Refused(400, _said(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(400, f"not JSON: {error}") from None


def _said(error: msgspec.ValidationError) -> str:
    """msgspec's fault, with the key in front: ``since: Expected `int`, got `str```."""
    words, _, where = str(error).partition(" - at `$.")
    return f"{where.rstrip('`')}: {words}" if where else words
