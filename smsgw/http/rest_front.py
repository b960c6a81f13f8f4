"""The front of the REST API: finds the endpoint of a request, asks who is there, and says faults
in the words of the dialect (``spec/aerialink.md`` 4.1, 4.2).

An endpoint is one entry of a list, with everything that there is to know of it: the OpenAPI
document is made of the same list (``rest_openapi.py``).
"""

import re
import secrets
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import Any

from attrs import define, evolve, field, frozen
from sqlalchemy.exc import DBAPIError
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.config import Config
from smsgw.dialects import Aerialink
from smsgw.http import rest_codes
from smsgw.http.auth import BasicAuth, Doors, Identity
from smsgw.http.render import FORMATS, JSON, Format, HeaderList, suffixed, wanted
from smsgw.http.rest_bodies import ParameterError
from smsgw.http.rest_documents import Fault
from smsgw.http.site import UNIX, Answer, Request, Response, Site
from smsgw.login import Login
from smsgw.operate.operator import Unavailable
from smsgw.provisioning import Account
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.store.journal import StoreFailed

_log = Logger("smsgw.http")

BASE = "/v4"
UPLOAD_LIMIT = 5_242_880  # octets of a body with a file (E-D7)
REPORT = "/20100101/sms/report"
_AUTHENTICATE = (b"WWW-Authenticate", b'Basic realm="smsgw", charset="UTF-8"')
_DIALECT = "aerialink"
_INTERFACE = "rest"
_REQUEST_ID = b"X-Request-Id"
_CLIENTS_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_FAULT_ID = re.compile("request id ([0-9a-f]+)")
_EXPOSED = (b"Access-Control-Expose-Headers", b"X-Request-Id, Retry-After")
_MAY_COME = Response(100)
_PREFLIGHT = (
    (b"Access-Control-Allow-Methods", b"GET, POST, DELETE"),
    (
        b"Access-Control-Allow-Headers",
        b"Authorization, Content-Type, Idempotency-Key, X-Request-Id",
    ),
    (b"Access-Control-Max-Age", b"3600"),
)


@frozen
class Customer:
    """What an account's requests are read with."""

    account: Account | None  # None: it went between login and now; acceptance says so
    country: str
    settings: Aerialink
    sender: str


@define(eq=False)
class Asked:
    """One request whose sender is known, on its way to the endpoint that answers it."""

    request: Request
    login: Login
    form: Format  # of the answer
    names: dict[str, str]  # the parts of the path in braces

    @property
    def path(self) -> str:
        """Without the base and the suffix, for what may be asked there."""
        return suffixed(self.request.path.rstrip("/"))[0]


@frozen
class Parameter:
    """A parameter of a query or a header, for the OpenAPI document."""

    name: str
    schema: dict[str, Any]
    meaning: str
    required: bool = False
    place: str = "query"


@frozen
class Endpoint:
    """One thing that the API can be asked.

    ``path`` is below the base, with the parts in braces that a request fills in. ``right`` is what
    the login needs, "" for everybody. ``answer`` is the type of the document, ``body`` names the
    schema of what the body holds (``rest_openapi.BODIES``); ``faults`` are the statuses that it may
    have besides those that all have.
    """

    method: str
    path: str
    right: str
    summary: str
    ask: Callable[[Asked], Answer]
    answer: Any = None
    parameters: Sequence[Parameter] = ()
    body: str = ""
    faults: Sequence[int] = ()


@define
class _Place:
    """One path with its endpoints by method."""

    segments: list[str]
    methods: dict[str, Endpoint] = field(factory=dict)

    def names(self, given: list[str]) -> dict[str, str] | None:
        """What fills the braces, None if it is another path."""
        names = {}
        for own, one in zip(self.segments, given, strict=True):
            if own.startswith("{"):
                names[own[1:-1]] = one
            elif own != one:
                return None
        return names

    @property
    def uploads(self) -> bool:
        """Whether bodies with a file are sent there."""
        return any(one.body == "message" for one in self.methods.values())

    @property
    def allowed(self) -> bytes:
        """The value of an Allow header."""
        heads = ["HEAD"] if "GET" in self.methods else []
        return ", ".join(sorted([*self.methods, *heads])).encode()


class Front:
    """What all resources share."""

    def __init__(self, config: Config, tables: Callable[[], Tables], doors: Doors) -> None:
        """``tables`` gives the tables in force; an account's country and settings are in them."""
        self._auth = BasicAuth(doors, tables)
        self.tables = tables
        self.settings = config.aerialink
        self._root = self.settings.root
        self._origins = frozenset(self.settings.cors_origins)
        self._plain_allowed = lru_cache(1000)(self.settings.plain_allowed)
        # Of the tables that they were made of.
        self._customers: dict[str, Customer] = {}
        self._customers_of: Tables | None = None
        # By the paths without braces, with every suffix: those found without a search.
        self._exact: dict[str, tuple[_Place, Format | None]] = {}
        self._places: dict[int, list[_Place]] = {}
        self._numbers = count(1)
        self._prefix = secrets.token_hex(4).encode()

    def add(self, endpoints: Iterable[Endpoint]) -> None:
        """Answer these from now on."""
        for one in endpoints:
            segments = one.path.split("/")[1:]
            places = self._places.setdefault(len(segments), [])
            place = next((p for p in places if p.segments == segments), None)
            if place is None:
                place = _Place(segments)
                places.append(place)
                # A path that is written out goes before one that braces could make of it.
                places.sort(key=lambda p: sum(s.startswith("{") for s in p.segments))
                if "{" not in one.path:
                    self._exact[BASE + one.path] = (place, None)
                    for name, form in FORMATS.items():
                        self._exact[f"{BASE}{one.path}.{name}"] = (place, form)
            place.methods[one.method] = one

    def endpoints(self) -> list[Endpoint]:
        """All that are answered, by path."""
        places = [place for _, some in sorted(self._places.items()) for place in some]
        return [one for place in places for one in place.methods.values()]

    def serve(self, site: Site) -> None:
        """Let ``site`` answer everything below the base."""
        site.add(BASE + "/", self.answer, refuse=self.refuse, dialect=_INTERFACE)
        for path, (place, _) in self._exact.items():
            if path.startswith(f"{BASE}/messages"):
                site.add(
                    path,
                    self.answer,
                    refuse=self.refuse,
                    dialect=_INTERFACE,
                    upload_limit=UPLOAD_LIMIT if place.uploads else 0,
                    admit=self.admit if place.uploads else None,
                )

    # --- A request.

    def answer(self, request: Request) -> Response | Deferred[Response]:
        """The answer to a request, with its id; never fails."""
        try:
            found = self._find(request)
            if type(found) is Response:
                return self._finished(found, request)
            if not isinstance(found, Deferred):
                found = Deferred.fromCoroutine(found)
        except ParameterError as error:
            form = wanted(request, suffixed(request.path.rstrip("/"))[1])
            return self._finished(self.refusal(error.refusal, form), request)
        both = (request,)
        return found.addCallbacks(self._finished, self._failed, both, errbackArgs=both)

    def _failed(self, failure: Failure, request: Request) -> Response:
        return self._finished(self._wrong(failure, request), request)

    def _wrong(self, failure: Failure, request: Request) -> Response:
        """A parameter that was found wrong only later, or a store, disk or bucket that does not
        do what it is asked; whatever else is our own fault."""
        error = failure.value
        form = wanted(request, suffixed(request.path.rstrip("/"))[1])
        if isinstance(error, ParameterError):
            return self.refusal(error.refusal, form)
        if not isinstance(error, (StoreFailed, Unavailable, DBAPIError, OSError)):
            failure.raiseException()
        why = str(getattr(error, "orig", None) or error).partition("\n")[0]
        _log.error(
            "{method} {path}: store: {why}", method=request.method, path=request.path, why=why
        )
        return self.refusal(Refusal(Reason.STORE_FAILED), form)

    def _find(self, request: Request) -> Answer:
        exact = self._exact.get(request.path)
        names: dict[str, str] = {}
        if exact is not None:
            place, suffix = exact
        else:
            path, suffix = suffixed(request.path.rstrip("/"))
            given = path[len(BASE) :].split("/")[1:]
            for place in self._places.get(len(given), ()):
                filled = place.names(given)
                if filled is not None:
                    names = filled
                    break
            else:
                form = wanted(request, suffix)
                return self.refusal(Refusal(Reason.NOT_FOUND, request.path), form)
        endpoint = place.methods.get(request.method)
        if endpoint is None:
            if request.method == "OPTIONS":
                return self._preflight(request, place)
            refusal = Refusal(Reason.METHOD_NOT_ALLOWED)
            form = wanted(request, suffix)
            return self.refusal(refusal, form, [(b"Allow", place.allowed)])
        return self.identified(request, endpoint, wanted(request, suffix), names)

    def admit(self, request: Request) -> Response | Deferred[Response | None] | None:
        """The refusal of an upload whose head shows that it would be refused: there is no such
        thing to ask, or nobody who may. None if it may come."""
        place, suffix = self._exact[request.path.rstrip("/")]
        endpoint = place.methods.get(request.method)
        if endpoint is None:
            return None  # it needs no credentials to be told so, when it has come

        def told(answer: Response) -> Response | None:
            return None if answer is _MAY_COME else self._finished(answer, request)

        coming = evolve(endpoint, ask=lambda asked: _MAY_COME)
        answer = self.identified(request, coming, wanted(request, suffix), {})
        if isinstance(answer, Response):
            return told(answer)
        assert isinstance(answer, Deferred)
        return answer.addCallback(told)

    def identified(
        self, request: Request, endpoint: Endpoint, form: Format, names: dict[str, str]
    ) -> Answer:
        """The endpoint's answer if the sender is known and has the right to it, else the refusal of
        the login."""
        if not endpoint.right:
            return endpoint.ask(Asked(request, Login("", ""), form, names))
        if not (request.secure or request.peer == UNIX or self._plain_allowed(request.peer)):
            return self.refusal(Refusal(Reason.PERMISSION_DENIED, "HTTPS is needed"), form)
        identity = self._auth.identify(request)
        if isinstance(identity, (Login, Refusal)):
            return self._admitted(identity, request, endpoint, form, names)
        return identity.addCallback(self._checked, request, endpoint, form, names)

    def _checked(
        self,
        identity: Identity,
        request: Request,
        endpoint: Endpoint,
        form: Format,
        names: dict[str, str],
    ) -> Response | Deferred[Response]:
        found = self._admitted(identity, request, endpoint, form, names)
        if isinstance(found, (Response, Deferred)):
            return found
        return Deferred.fromCoroutine(found)

    def _admitted(
        self,
        identity: Identity,
        request: Request,
        endpoint: Endpoint,
        form: Format,
        names: dict[str, str],
    ) -> Answer:
        if not isinstance(identity, Login):
            return self._unidentified(identity, form)
        if not identity.may(endpoint.right, _INTERFACE):
            return self._unidentified(Refusal(Reason.PERMISSION_DENIED, endpoint.right), form)
        return endpoint.ask(Asked(request, identity, form, names))

    def _unidentified(self, refusal: Refusal, form: Format) -> Response:
        code = refusal.reason.answer.rest
        if self.settings.fold_auth_errors and 1001 <= code <= 1005:
            return self._error(401, rest_codes.AUTHENTICATION, "", form, [_AUTHENTICATE])
        return self.refusal(refusal, form)

    def customer(self, name: str) -> Customer:
        """What is provisioned for an account."""
        tables = self.tables()
        if tables is not self._customers_of:
            self._customers_of = tables
            self._customers = {}
        found = self._customers.get(name)
        if found is None:
            account = tables.accounts.get(name)
            if account is None:
                return Customer(None, "44", self.settings, "")
            settings = self.settings.for_account(account.settings.get(_DIALECT, {}))
            found = Customer(account, account.country, settings, account.sender)
            self._customers[name] = found
        return found

    # --- Answers.

    def document(self, asked: Asked, document: Any, status: int = 200) -> Response:
        """A document below the root, in the format that is wanted."""
        return asked.form.response(status, self._root, document)

    def refused(self, asked: Asked, reason: Reason, detail: str = "") -> Response:
        """The refusal of a request, with what is needed to mend it."""
        return self.refusal(Refusal(reason, detail), asked.form)

    def refusal(
        self, refusal: Refusal, form: Format, headers: HeaderList | None = None
    ) -> Response:
        """The error that a refusal is (4.1)."""
        answer = refusal.reason.answer
        headers = headers or []
        if answer.http == 401:
            headers.append(_AUTHENTICATE)
        wait = rest_codes.RETRY_AFTER.get(refusal.reason)
        if wait is not None:
            headers.append((b"Retry-After", wait))
        return self._error(answer.http, answer.rest, rest_codes.detail(refusal), form, headers)

    def _error(
        self, status: int, code: int, detail: str, form: Format, headers: HeaderList
    ) -> Response:
        fault = Fault(code, rest_codes.error_code(code), detail or rest_codes.TEXTS[code])
        status = rest_codes.STATUSES.get(code, status)
        return form.response(status, self._root, fault, headers)

    def refuse(self, status: int, text: str) -> Response:
        """A fault that the server found before a resource was asked, in the words of this API."""
        reason = rest_codes.SERVER_FAULTS.get(status, Reason.BAD_REQUEST)
        # The server's texts begin with the HTTP phrase; what follows it is the detail.
        detail = text.partition(", " if status == 500 else ": ")[2]
        response = self.refusal(Refusal(reason, detail), JSON)
        response.status = status
        number = _FAULT_ID.search(text)
        if number:
            response.headers.append((_REQUEST_ID, number[1].encode()))
        return response

    def _finished(self, response: Response, request: Request) -> Response:
        """With the id of the request, and leave for the web page that asks if it has that."""
        own = request.headers.get(b"x-request-id")
        if own is None or not _CLIENTS_ID.fullmatch(own):
            own = b"%s-%x" % (self._prefix, next(self._numbers))
        response.headers.append((_REQUEST_ID, own))
        if self._origins:
            self._lets_in(response, request)
        return response

    def _lets_in(self, response: Response, request: Request) -> None:
        response.headers.append((b"Vary", b"Origin"))
        origin = request.headers.get(b"origin")
        if origin is not None and self._may_call(origin):
            response.headers += [(b"Access-Control-Allow-Origin", origin), _EXPOSED]

    def _may_call(self, origin: bytes) -> bool:
        return "*" in self._origins or origin.decode("latin-1") in self._origins

    def _preflight(self, request: Request, place: _Place) -> Response:
        """What a browser asks before it lets a page of another origin call (CORS)."""
        headers = [(b"Allow", place.allowed)]
        origin = request.headers.get(b"origin")
        if origin is not None and self._may_call(origin):
            headers += _PREFLIGHT
        elif not self._origins:
            refusal = Refusal(Reason.METHOD_NOT_ALLOWED)
            return self.refusal(refusal, wanted(request), headers)
        return Response(204, b"", JSON.content_type, headers)
