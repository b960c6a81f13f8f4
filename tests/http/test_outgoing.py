"""The HTTP client: where it connects to, what it sends, and how it fails."""

import re
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase
from twisted.web.client import URI

from smsgw import signature
from smsgw.http import outgoing
from smsgw.http.outgoing import LONGEST_ANSWER, BadUrl, Outgoing, Unanswered, on_the_wire
from smsgw.http.wording import FORM, Call
from smsgw.testing import sinks
from smsgw.testing.sinks import Answer, HttpSink
from tests.outside import World, certificate, trust

PUBLIC = "203.0.114.7"  # an address of the internet; nothing is ever sent to it


def began_by(began: Deferred[None]) -> Any:
    """A ``connectionMade`` that says so, when all that it belongs to is done."""
    return lambda _: reactor.callLater(0, began.callback, None)  # type: ignore[attr-defined]


@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
class OutgoingCase(TestCase):
    """A sink on loopback, and a client in a world where www.example.com leads to it."""

    timeout = 20

    async def begin(self, *answers: Any, tls: bool = False, **world: Any) -> None:
        """Starts both."""
        world.setdefault("names", {"www.example.com": [[PUBLIC]]})
        self.world = World(all_local=True, **world)
        self.sink = sink = HttpSink(self.world)
        if answers:
            self.sink.answers = answers
        port = await self.sink.start(certificate().options() if tls else None)
        self.addCleanup(lambda: Deferred.fromCoroutine(sink.stop()))
        self.base = f"http{'s' if tls else ''}://www.example.com:{port}"
        self.port = port
        self.client = Outgoing(self.world, trust(), now=lambda: 1_773_483_302)
        self.addCleanup(self.end, self.client)

    def end(self, client: Outgoing) -> Deferred[None]:
        """No connection is left."""
        return Deferred.fromCoroutine(client.stop())

    def ask(self, call: Call, **given: Any) -> Deferred[Any]:
        """Sends it, with ten seconds for the answer."""
        return Deferred.fromCoroutine(self.client.ask(call, 10.0, **given))

    async def why_not(self, call: Call, **given: Any) -> str:
        """Why no answer came."""
        asked = self.ask(call, **given)
        self.world.clock.advance(1)  # after which there is no other address to try
        with pytest.raises(Unanswered) as caught:
            await asked
        return str(caught.value)


class Requests(OutgoingCase):
    """What is on the wire."""

    async def test_get(self) -> None:
        """Request line as the URL says, the host's name, the product's name, and no body."""
        await self.begin()
        answer = await self.ask(Call("GET", self.base + "/in?a=%2f&b=1+2&ud=x%C0%80#part"))
        assert (answer.status, answer.complete) == (200, True)
        [request] = self.sink.requests
        assert request.target == "/in?a=%2f&b=1+2&ud=x%C0%80"
        assert request.headers["host"] == f"www.example.com:{self.port}"
        assert request.headers["user-agent"].startswith("smsgw/")
        assert set(request.headers) == {"host", "user-agent", "connection"} or set(
            request.headers
        ) == {"host", "user-agent"}
        assert self.world.connected == [PUBLIC]

    async def test_post(self) -> None:
        """The body with its type and length."""
        await self.begin()
        await self.ask(Call("POST", self.base + "/in?key=1", b"ud=x", FORM))
        [request] = self.sink.requests
        assert (request.method, request.target, request.body) == ("POST", "/in?key=1", b"ud=x")
        assert request.headers["content-type"] == FORM
        assert request.headers["content-length"] == "4"

    async def test_empty_post(self) -> None:
        """A body of nothing has a length too."""
        await self.begin()
        await self.ask(Call("POST", self.base, b"", FORM))
        assert self.sink.requests[0].headers["content-length"] == "0"
        assert self.sink.requests[0].target == "/"

    async def test_signature_is_of_what_is_sent(self) -> None:
        """The receiver's check holds for the octets that it got."""
        await self.begin()
        for call in (
            Call("GET", self.base + "/in?x=%zz&ü=ü&"),
            Call("POST", self.base + "/in/ü?key", b"ud=x", FORM),
        ):
            await self.ask(call, secret="secret")
            got = self.sink.requests[-1]
            header = got.headers["x-signature"]
            assert signature.verify(
                header, "secret", got.method, got.target, got.body, 1_773_483_302
            )
        await self.ask(Call("GET", self.base))
        assert "x-signature" not in self.sink.requests[-1].headers

    async def test_login_in_the_url_is_basic(self) -> None:
        """It goes into the Authorization header and nowhere else."""
        await self.begin()
        url = self.base.replace("//", "//user:pa%40ss@") + "/in"
        await self.ask(Call("GET", url))
        [request] = self.sink.requests
        assert request.headers["authorization"] == "Basic dXNlcjpwYUBzcw=="
        assert request.headers["host"] == f"www.example.com:{self.port}"
        assert b"pa" not in request.head.replace(b"dXNlcjpwYUBzcw==", b"")

    async def test_connection_is_kept(self) -> None:
        """One after the other over the same connection, which is closed after a while."""
        await self.begin()
        for _ in range(3):
            await self.ask(Call("GET", self.base))
        assert self.sink.connections == 1
        self.world.clock.advance(5)
        await self.sink.when(lambda: not self.sink.open)

    async def test_connection_of_the_allowed_is_not_of_the_others(self) -> None:
        """A connection to a private address, made with permission, serves none without it."""
        await self.begin(names={"www.example.com": [["127.0.0.1"]]})
        await self.ask(Call("GET", self.base), private=True)
        assert await self.why_not(Call("GET", self.base)) == "address not allowed"
        assert len(self.sink.requests) == 1


class Answers(OutgoingCase):
    """What is made of answers."""

    async def test_redirect_is_not_followed(self) -> None:
        """It is an answer like others (A-D13)."""
        await self.begin(Answer(302, headers=[("Location", "/elsewhere")]))
        assert (await self.ask(Call("GET", self.base))).status == 302
        assert len(self.sink.requests) == 1

    async def test_cookies_are_not_kept(self) -> None:
        """What a customer's server sets is not shown to the next."""
        await self.begin(Answer(200, headers=[("Set-Cookie", "a=b; Path=/")]))
        for _ in range(2):
            await self.ask(Call("GET", self.base))
        assert "cookie" not in self.sink.requests[1].headers

    async def test_packed_body_is_not_unpacked(self) -> None:
        """No answer can grow; what calls itself gzip is not looked at."""
        await self.begin(Answer(200, b"no gzip", [("Content-Encoding", "gzip")]))
        answer = await self.ask(Call("GET", self.base))
        assert (answer.status, answer.complete) == (200, True)
        assert "accept-encoding" not in self.sink.requests[0].headers

    async def test_long_body_is_left(self) -> None:
        """The status counts, and the connection ends; the rest is not read."""
        await self.begin(Answer(200, b"x" * (LONGEST_ANSWER + 1), stall=True))
        answer = await self.ask(Call("GET", self.base))
        assert (answer.status, answer.complete) == (200, True)
        await self.sink.when(lambda: not self.sink.open)

    async def test_stalled_body_is_not_complete(self) -> None:
        """The time limit is for the whole exchange (Q-D17); the connection ends, over TLS too."""
        for tls in (False, True):
            await self.begin(Answer(200, b"some", stall=True), tls=tls)
            began: Deferred[None] = Deferred()
            with patch.object(outgoing._Discard, "connectionMade", began_by(began)):
                asked = self.ask(Call("GET", self.base))
                await began
            self.world.clock.advance(10)
            answer = await asked
            assert (answer.status, answer.complete) == (200, False)
            await self.sink.when(lambda: not self.sink.open)


class Failures(OutgoingCase):
    """Why no answer came: few words, the same for everybody, and nothing secret."""

    async def test_silence(self) -> None:
        """No answer in the time given."""
        await self.begin(sinks.SILENCE)
        asked = self.ask(Call("GET", self.base + "/?key=s3cret"))
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        self.world.clock.advance(9.9)
        assert not asked.called
        self.world.clock.advance(0.2)
        with pytest.raises(Unanswered, match=r"^no answer in time$"):
            await asked
        await self.sink.when(lambda: not self.sink.open)

    async def test_refused_and_lost(self) -> None:
        """A closed port, and a connection that ends before the answer."""
        await self.begin(sinks.SILENCE)
        asked = self.ask(Call("POST", self.base, b"x", FORM))
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        await self.sink.stop()
        with pytest.raises(Unanswered, match=r"^connection lost$"):
            await asked
        assert await self.why_not(Call("GET", self.base)) == "connection refused"

    async def test_endless_headers(self) -> None:
        """An answer that fills the memory ends with its connection."""
        await self.begin(Answer(200, headers=[(f"X-{n}", "x" * 8000) for n in range(50)]))
        assert (await self.ask(Call("GET", self.base))).status == 200
        with patch.object(outgoing, "_ONE_ANSWER", 100_000):
            assert await self.why_not(Call("POST", self.base, b"x", FORM)) == "connection lost"

    async def test_answers_on_one_connection_are_bounded_one_by_one(self) -> None:
        """Many good ones do not add up to a fault, which would have a delivery made twice."""
        await self.begin(Answer(200, b"x" * 40_000))
        with patch.object(outgoing, "_ONE_ANSWER", 50_000):
            for _ in range(3):
                assert (await self.ask(Call("GET", self.base))).complete
        assert self.sink.connections == 1

    async def test_unknown_host(self) -> None:
        """A name that nobody has."""
        await self.begin()
        assert await self.why_not(Call("GET", "http://nobody.example.com/")) == "host not found"

    async def test_no_http(self) -> None:
        """Octets that are no answer."""
        await self.begin(sinks.NONSENSE)
        assert await self.why_not(Call("GET", self.base)) == "no HTTP"

    async def test_https_is_verified(self) -> None:
        """By a certificate that is trusted and has the host's name; all others are no answer."""
        await self.begin(tls=True)
        assert (await self.ask(Call("GET", self.base))).status == 200
        self.world.nameResolver.table = {"www.example.org": [[PUBLIC]]}
        other = self.base.replace(".com", ".org")
        assert await self.why_not(Call("GET", other)) == "TLS failed"
        self.client = Outgoing(self.world)
        self.addCleanup(self.end, self.client)
        self.world.nameResolver.table = {"www.example.com": [[PUBLIC]]}
        assert await self.why_not(Call("GET", self.base)) == "TLS failed"
        assert len(self.sink.requests) == 1


class Places(OutgoingCase):
    """Whom it connects to (design section 10, I6)."""

    async def test_private_addresses_are_refused_when_connecting(self) -> None:
        """A public name of a private address; nothing is connected to."""
        for address in ("127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:10.0.0.1"):
            await self.begin(names={"www.example.com": [[address]]})
            assert await self.why_not(Call("GET", self.base)) == "address not allowed"
            assert self.world.connected == []

    async def test_address_in_a_url_is_checked_too(self) -> None:
        """In each way to write it; the resolver of the system reads it."""
        await self.begin()
        self.world.nameResolver = self.world.__getattr__("nameResolver")
        for host in ("127.0.0.1", "2130706433", "0x7f000001", "127.1", "[::1]", "localhost"):
            call = Call("GET", f"http://{host}:{self.port}/")
            assert await self.why_not(call) in ("address not allowed", "host not found")
        assert self.sink.connections == 0

    async def test_only_public_ones_of_several_are_used(self) -> None:
        """A name with both kinds is reached at those that are allowed."""
        await self.begin(names={"www.example.com": [["10.0.0.1", PUBLIC, "::1"]]})
        assert (await self.ask(Call("GET", self.base))).status == 200
        assert self.world.connected == [PUBLIC]

    async def test_a_name_is_resolved_once(self) -> None:
        """Another address at a second look-up is not looked up (DNS rebinding)."""
        await self.begin(names={"www.example.com": [[PUBLIC], ["127.0.0.1"]]})
        await self.ask(Call("GET", self.base))
        assert self.world.nameResolver.asked == ["www.example.com"]
        assert self.world.connected == [PUBLIC]

    async def test_redirect_into_the_network_is_none(self) -> None:
        """A public server cannot send the gateway inside."""
        await self.begin(Answer(307, headers=[("Location", "http://127.0.0.1/")]))
        assert (await self.ask(Call("POST", self.base, b"x", FORM))).status == 307
        assert self.world.connected == [PUBLIC]

    async def test_permission(self) -> None:
        """allow_private_callbacks takes the check away."""
        await self.begin(names={"www.example.com": [["127.0.0.1"]]})
        assert (await self.ask(Call("GET", self.base), private=True)).status == 200


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("http://h", "http://h/"),
        ("http://h/in?", "http://h/in"),
        ("HTTP://WWW.Example.com/A?b=C", "http://www.example.com/A?b=C"),
        ("http://h/a%2Fb/../c;d?e;f=1&&g=%zz#h", "http://h/a%2Fb/../c;d?e;f=1&&g=%zz"),
        (
            'http://münchen.example/ü?q=ü|"<>',
            "http://xn--mnchen-3ya.example/%C3%BC?q=%C3%BC%7C%22%3C%3E",
        ),
        ("https://[2606:4700::1]:8443/", "https://[2606:4700::1]:8443/"),
    ],
)
def test_url_on_the_wire(url: str, sent: str) -> None:
    """What is escaped stays; what may not be in a URL is escaped; the fragment is not sent."""
    assert on_the_wire(url) == (sent, "")


@pytest.mark.parametrize(
    "url",
    [
        "http://h/a b",
        "http://h/\r\nX: y",
        "http://h\x00/",
        "http:///",
        "http://h:99999/",
        "http://[::1/",
        "ftp://h/",
        "/in",
        "",
    ],
)
def test_unusable_url(url: str) -> None:
    """No request is made of it."""
    with pytest.raises(BadUrl):
        on_the_wire(url)


@given(st.text(max_size=50), st.text(max_size=50))
def test_no_url_breaks_a_request_line(host: str, rest: str) -> None:
    """Any text is refused, or is a URL in visible ASCII that stays the same at a second look."""
    for url in (f"http://{host}/{rest}", f"http://h/{rest}", f"http://{host}@h/{rest}"):
        try:
            sent, login = on_the_wire(url)
        except BadUrl:
            continue
        assert re.fullmatch(r"https?://[!-~]+", sent)
        assert re.fullmatch(r"(Basic [A-Za-z0-9+/=]+)?", login)
        assert on_the_wire(sent) == (sent, "")
        assert re.fullmatch(rb"/[!-~]*", URI.fromBytes(sent.encode()).originForm)
