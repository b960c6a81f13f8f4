"""Requests, responses, and the table that says which resource answers which path."""

import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Any, Protocol, final
from urllib.parse import parse_qs, unquote

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.smtp.spool import Spool

BODY_LIMIT = 65_536  # octets (E-D7)
UNIX = "unix"  # the peer at the other end of a unix socket
PLAIN_TEXT = "text/plain; charset=utf-8"

log = Logger("smsgw.http")
access_log = logging.getLogger("smsgw.http.access")


@define(eq=False)
class Request:
    """One request, read to its end.

    ``method`` is GET for a HEAD request too: the server leaves the body of the answer away by
    itself. Header names are in lower case; a header that came several times is joined with a comma
    (RFC 9110 §5.3). ``peer`` is the client's address as text, or ``UNIX``. A ``body`` that is too
    large for memory is in ``spool``, as long as the request is not answered.
    """

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes = b""
    peer: str = ""
    secure: bool = False
    head_only: bool = False
    spool: Spool | None = None
    dialect: str = field(init=False, default="")  # of the route that answers it
    path: str = field(init=False)  # decoded, without the query
    query_text: bytes = field(init=False)  # what follows the question mark, as it came
    _query: dict[str, list[str]] | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        path, _, self.query_text = self.target.partition(b"?")
        if not path.startswith(b"/") and b"://" in path:  # absolute form (RFC 9112 §3.2.2)
            path = b"/" + path.partition(b"://")[2].partition(b"/")[2]
        text = path.decode("latin-1")
        self.path = unquote(text, errors="replace") if "%" in text else text

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters of the query string; octets that are not UTF-8 become U+FFFD."""
        if self._query is None:
            text = self.query_text.decode("latin-1")
            self._query = parse_qs(text, keep_blank_values=True, errors="replace")
        return self._query


class Stream(Protocol):
    """A body that comes piece by piece, as long as there is something to tell."""

    def pull(self, wake: Callable[[], None]) -> bytes | None:
        """What there is now; empty: nothing yet, and ``wake`` is called when there is. None: the
        end.
        """
        ...

    def stop(self) -> None:
        """The client is gone, or the server stops; also called at the end."""
        ...


@final
@define(eq=False)
class Response:
    """An answer; with a ``stream`` that is the body, and the connection is closed after it.

    ``headers`` are those besides Content-Type, Content-Length, Date and Connection.

    A header with a line break in it is our own misuse: ValueError.
    """

    status: int = 200
    body: bytes = b""
    content_type: str = PLAIN_TEXT
    headers: list[tuple[bytes, bytes]] = field(factory=list)
    stream: Stream | None = None
    length: int | None = None  # octets of the stream, if that is known

    def __attrs_post_init__(self) -> None:
        for name, value in self.headers:
            if b"\n" in value or b"\r" in value or b"\n" in name or b"\r" in name:
                raise ValueError(f"line break in the header {name!r}")


Answer = Response | Deferred[Response] | Coroutine[Any, Any, Response]
Resource = Callable[[Request], Answer]
# What a path says of a fault that the server or the site finds: (status, text) to a response in
# the words of the dialect.
Refuse = Callable[[int, str], Response]


# Asked with the head of a request whose large body is to come: None lets it come, a response is
# the answer instead.
Admit = Callable[[Request], Response | Deferred[Response | None] | None]


def plain_refusal(status: int, text: str) -> Response:
    """A fault in plain text."""
    return Response(status, f"{text}\n".encode())


@frozen
class Route:
    """A resource with what the server must know before it has the whole request."""

    resource: Resource
    body_limit: int = BODY_LIMIT  # octets
    refuse: Refuse = plain_refusal
    dialect: str = ""  # under which its answers are counted
    upload_limit: int = 0  # octets of a multipart body, which goes to a file; 0: as any body
    admit: Admit | None = None  # asked before an upload is read


def misdirected(_: Request) -> Response:
    """To requests for a host that is not shown here (RFC 9110 §15.5.20)."""
    return plain_refusal(421, "Misdirected Request")


def _unknown_path(_: Request) -> Response:
    return plain_refusal(404, "Not Found")


class Site:
    """The paths of one listener.

    ``add("/a/b", ...)`` is that path alone, ``add("/a/", ...)`` it and everything below that
    has no nearer route; ``add("", ...)`` is the root alone. A slash at the end of a request's path
    is ignored (E-D1).
    """

    def __init__(self, unknown: Resource | None = None) -> None:
        """``unknown`` answers the paths that are not added; with 404 if it is left out."""
        self._exact: dict[str, Route] = {}
        # (dialect, status) -> answers written; "" where a request had no path that is known.
        self.answered: defaultdict[tuple[str, int], int] = defaultdict(int)
        self._below: dict[str, Route] = {"/": Route(unknown or _unknown_path)}
        # Host in lower case, without port -> what is shown under it instead.
        self.hosts: dict[str, Site] = {}

    def add(
        self,
        path: str,
        resource: Resource,
        *,
        body_limit: int = BODY_LIMIT,
        refuse: Refuse = plain_refusal,
        dialect: str = "",
        upload_limit: int = 0,
        admit: Admit | None = None,
    ) -> None:
        """Let ``resource`` answer ``path``, instead of what answered it before.

        ``body_limit`` in octets, 8,192 or more; ``upload_limit`` that of multipart bodies, if it is
        another, and ``admit`` what is asked before they are read; ``dialect`` is what its answers
        are counted under.
        """
        table = self._below if path.endswith("/") else self._exact
        table[path] = Route(resource, body_limit, refuse, dialect, upload_limit, admit)

    def under(self, headers: dict[bytes, bytes]) -> "Site":
        """What is shown to a request with these headers."""
        if not self.hosts:
            return self
        name = headers.get(b"host", b"").decode("latin-1").lower()
        if not name.endswith("]"):  # an IPv6 address without port
            name = name.rpartition(":")[0] or name
        return self.hosts.get(name.rstrip("."), self)

    def find(self, path: str) -> Route:
        """The route of ``path``; one that answers 404 where there is none."""
        route = self._exact.get(path)
        if route is not None:
            return route
        path = path.rstrip("/")
        route = self._exact.get(path)
        while route is None:
            # From the nearest folder upwards; "/" is always there.
            route = self._below.get(path + "/")
            path = path.rpartition("/")[0]
        return route

    def answer(self, request: Request) -> Response | Deferred[Response]:
        """The resource's answer. Never fails: a resource's failure is logged and answered 500."""
        site = self if not self.hosts else self.under(request.headers)
        route = site.find(request.path)
        request.dialect = route.dialect
        try:
            result = route.resource(request)
            if type(result) is Response:
                return result
            if not isinstance(result, Deferred):
                result = Deferred.fromCoroutine(result)
        except Exception:  # whatever a resource raises is answered with 500
            return _failed(Failure(), route, request)
        return result.addErrback(_failed, route, request)


def _failed(failure: Failure, route: Route, request: Request) -> Response:
    number = secrets.token_hex(6)
    log.failure(
        "{method} {path} failed, request id {number}",
        failure,
        method=request.method,
        path=request.path,
        number=number,
    )
    return route.refuse(500, f"{HTTPStatus.INTERNAL_SERVER_ERROR.phrase}, request id {number}")
