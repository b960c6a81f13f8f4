"""The HTTP client: requests to URLs that customers named, on pooled connections to allowed
addresses.

Every request has one time limit from the look-up of the name to the end of the answer. HTTPS is
verified, redirects are not followed, cookies are not kept, and of an answer only the status counts:
its body is read to the end for the connection's sake, and left there if it is long.
"""

import base64
import re
import time
from collections.abc import Callable
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from attrs import frozen
from hyperlink import EncodedURL
from treq.client import HTTPClient
from treq.cookies import IndexableCookieJar
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import (
    URI,
    Agent,
    BrowserLikePolicyForHTTPS,
    FileBodyProducer,
    HTTPConnectionPool,
    ResponseDone,
)
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer

from smsgw import __version__, signature
from smsgw.http.wording import Call
from smsgw.outward import endpoint_to, why
from smsgw.smtp.spool import Spool

LONGEST_ANSWER = 65_536  # octets of a body that are read
_ONE_ANSWER = 1 << 24  # octets that may come before the next request; Twisted bounds no headers
_IDLE_CONNECTIONS = 8  # kept for one host
# Common servers (Apache, Node.js) close after 5 s; a request that crosses the close is lost.
_IDLE_S = 4
_AGENT = f"smsgw/{__version__}"
_UNSAFE = re.compile(r"[\x00-\x20\x7f]")
# What a path or query may hold as it is; the rest is escaped (RFC 3986 §3.3, §3.4).
_SAFE = "/?:@!$&'()*+,;=-._~%"


class BadUrl(Exception):
    """A URL that no request can be made of."""


class Unanswered(Exception):
    """No complete answer came; the text says why, in few words and without secrets."""


@frozen
class Answer:
    """The status of an answer. ``complete``: its body came to its end too, or was too long."""

    status: int
    complete: bool
    body: bytes = b""  # as far as it was asked for
    content_type: str = ""


class _AsItIs(EncodedURL):
    """A URL that is sent as it stands."""

    def to_uri(self) -> "_AsItIs":
        """Treq asks for it."""
        return self


@implementer(IAgentEndpointFactory)
class _Endpoints:
    def __init__(self, reactor: Any, private: bool, policy: BrowserLikePolicyForHTTPS) -> None:
        self._reactor = reactor
        self._private = private
        self._policy = policy

    def endpointForURI(self, uri: URI) -> Any:
        """Twisted."""
        endpoint = endpoint_to(self._reactor, uri.host, uri.port, self._private)
        if uri.scheme == b"https":
            creator = self._policy.creatorForNetloc(uri.host, uri.port)
            endpoint = wrapClientTLS(creator, endpoint)
        return _Bounded(endpoint)


@implementer(IStreamClientEndpoint)
class _Bounded:
    """Connections that are ended when too much has come."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        """Twisted."""
        connecting: Deferred[Any] = self._endpoint.connect(protocolFactory)
        return connecting.addCallback(_counted)


def _counted(protocol: Any) -> Any:
    received, request, total = protocol.dataReceived, protocol.request, 0

    def counted(data: bytes) -> None:
        nonlocal total
        total += len(data)
        if total > _ONE_ANSWER:
            protocol.transport.abortConnection()
        else:
            received(data)

    def asked(again: Any) -> Any:
        # A connection that is kept brings many answers, and none of them pays for the others.
        nonlocal total
        total = 0
        return request(again)

    protocol.dataReceived, protocol.request = counted, asked
    return protocol


@implementer(IAgent)
class _Plain:
    """An agent that lets no answer be unpacked: a small one may unpack to gigabytes."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent

    def request(
        self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None
    ) -> Any:
        """Twisted."""
        headers.removeHeader(b"accept-encoding")

        def as_sent(response: Any) -> Any:
            response.headers.removeHeader(b"content-encoding")
            return response

        return self._agent.request(method, uri, headers, bodyProducer).addCallback(as_sent)


class _Discard(Protocol):
    """Takes the body of an answer, and forgets it unless it is to be kept; ``done`` fires with
    whether it came to its end."""

    def __init__(self, keep: bool, into: "Into | None" = None) -> None:
        self.kept = b""
        self._keep = keep
        self._into = into
        self._left = into.limit if into is not None else LONGEST_ANSWER
        self.done: Deferred[bool] = Deferred(lambda _: self._leave(False))

    def _leave(self, complete: bool) -> None:
        # What Twisted gives as transport can only lose the connection, and over TLS that waits for
        # the peer, who need not ever answer.
        transport: Any = self.transport
        connection = getattr(transport, "_producer", None)
        end = getattr(connection, "abortConnection", None) or transport.loseConnection
        self._tell(complete)
        end()

    def dataReceived(self, data: bytes) -> None:
        """Twisted."""
        self._left -= len(data)
        if self._keep:
            self.kept += data
        if self._into is not None and self._into.spool.add(data):
            self._flush(self._into)
        if self._left < 0:
            self._leave(True)

    def _flush(self, into: "Into") -> None:
        transport: Any = self.transport
        transport.pauseProducing()

        def flushed(result: object) -> None:
            if isinstance(result, Failure):
                self._leave(False)
            else:
                transport.resumeProducing()

        into.run(into.spool.flush).addBoth(flushed)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        self._tell(reason.check(ResponseDone) is not None)

    def _tell(self, complete: bool) -> None:
        if not self.done.called:
            self.done.callback(complete)


@frozen
class Into:
    """A file that the body of an answer goes to, as far as ``limit`` octets and a bit more; ``run``
    calls on a thread."""

    spool: Spool
    limit: int
    run: Callable[[Callable[[], None]], Deferred[None]]


class Outgoing:
    """The client. It keeps connections that were allowed to any address apart from the others."""

    def __init__(
        self, reactor: Any, trust: Any = None, now: Callable[[], float] = time.time
    ) -> None:
        """``trust`` is whose certificates are taken (a Twisted trust root); None: the
        platform's."""
        self._reactor = reactor
        self._now = now
        self._pools: list[HTTPConnectionPool] = []
        policy = BrowserLikePolicyForHTTPS(trust) if trust else BrowserLikePolicyForHTTPS()
        self._clients = {private: self._client(private, policy) for private in (False, True)}

    def _client(self, private: bool, policy: BrowserLikePolicyForHTTPS) -> HTTPClient:
        pool = HTTPConnectionPool(self._reactor)
        pool.maxPersistentPerHost = _IDLE_CONNECTIONS
        pool.cachedConnectionTimeout = _IDLE_S
        self._pools.append(pool)
        endpoints = _Endpoints(self._reactor, private, policy)
        agent = Agent.usingEndpointFactory(self._reactor, endpoints, pool)
        # Customers share hosts: what one's server sets is not shown to another's.
        none = IndexableCookieJar(DefaultCookiePolicy(allowed_domains=[]))
        return HTTPClient(_Plain(agent), none)

    async def ask(
        self,
        call: Call,
        timeout_s: float,
        private: bool = False,
        secret: str = "",
        headers: dict[str, str] | None = None,
        keep: bool = False,
        into: Into | None = None,
    ) -> Answer:
        """Sends ``call`` and waits for the answer, ``timeout_s`` seconds at most for all of it.

        ``private``: addresses that are not public are allowed. ``secret`` signs the request;
        ``keep`` keeps the body of the answer, ``into`` is a file for a large one.
        Raises ``Unanswered``, ``BadUrl``.
        """
        url, login = on_the_wire(call.url)
        sent = Headers({"User-Agent": [_AGENT], **{k: [v] for k, v in (headers or {}).items()}})
        content_type = call.form.content_type if call.form is not None else call.content_type
        if content_type:
            sent.setRawHeaders("Content-Type", [content_type])
        if login:
            sent.setRawHeaders("Authorization", [login])
        if secret:
            target = URI.fromBytes(url.encode()).originForm.decode()
            now = int(self._now())
            if call.form is None:
                signed = signature.sign(secret, call.method, target, call.body, now)
            else:
                signed = await call.form.signed(secret, call.method, target, now)
            sent.setRawHeaders(signature.HEADER, [signed])
        rest = _Discard(keep, into)
        asked = Deferred.fromCoroutine(self._exchange(call, url, sent, private, rest))
        late = self._reactor.callLater(timeout_s, asked.cancel)
        try:
            return await asked
        finally:
            if late.active():
                late.cancel()

    async def _exchange(
        self, call: Call, url: str, headers: Headers, private: bool, rest: _Discard
    ) -> Answer:
        data: Any = call.body if call.method == "POST" else None
        if call.form is not None:
            data = FileBodyProducer(call.form.opened())
        try:
            response = await self._clients[private].request(
                call.method,
                _AsItIs.from_text(url),
                headers=headers,
                data=data,
                allow_redirects=False,
                unbuffered=True,
                reactor=self._reactor,
            )
        except Exception as fault:
            words = _why(fault)
            if not words:
                raise
            raise Unanswered(words) from None
        response.deliverBody(rest)
        complete = await rest.done
        kinds = response.headers.getRawHeaders("content-type", [""])
        return Answer(response.code, complete, rest.kept, str(kinds[0]))

    async def stop(self) -> None:
        """Closes the connections that are kept."""
        for pool in self._pools:
            await pool.closeCachedConnections()


def on_the_wire(url: str) -> tuple[str, str]:
    """``url`` in the ASCII in which it is sent, without fragment and login, and the login as the
    value of an Authorization header ("" if there is none).

    What is escaped in it stays as it is. Raises ``BadUrl``.
    """
    if _UNSAFE.search(url):
        raise BadUrl("blank or control character in the URL")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if ":" in host:
            host = f"[{host}]"
        elif not host.isascii():
            host = EncodedURL(host=host).to_uri().host
    except (ValueError, UnicodeError):
        raise BadUrl("no usable host in the URL") from None
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[!-~]+", host):
        raise BadUrl("no usable host in the URL")
    path = quote(parts.path, _SAFE) or "/"
    query = f"?{quote(parts.query, _SAFE)}" if parts.query else ""
    login = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        login = f"Basic {base64.b64encode(pair).decode()}"
    return f"{parts.scheme}://{host}{f':{port}' if port else ''}{path}{query}", login


def _why(fault: BaseException) -> str:
    """Why no answer came, "" if that is no matter of the peer or the network."""
    wrapped = False
    while reasons := getattr(fault, "reasons", None):
        fault = reasons[0].value  # twisted.web wraps what happened in lists
        wrapped = True
    return why(fault) or ("no HTTP" if wrapped else "")
