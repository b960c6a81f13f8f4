"""The HTTP server: requests in any cut, answers in order, limits, timeouts, and bad input."""

import itertools
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, succeed
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    connectProtocol,
    wrapClientTLS,
)
from twisted.internet.protocol import Protocol
from twisted.internet.ssl import CertificateOptions, PrivateCertificate
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smsgw.http.server import HttpServerFactory, Limits, Request, Response, Site, plain_refusal
from smsgw.http.site import misdirected
from smsgw.http.wire import host_of
from smsgw.preface import PrefaceFactory

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


def post(body: bytes, *headers: bytes, path: bytes = b"/echo") -> bytes:
    """A POST with its length."""
    lines = [b"POST " + path + b" HTTP/1.1", b"Host: h", b"Content-Length: %d" % len(body)]
    return b"\r\n".join([*lines, *headers]) + b"\r\n\r\n" + body


class Wire(StringTransport):
    """A transport that counts writes and remembers how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.aborted = False

    def write(self, data: bytes) -> None:
        """Count it."""
        self.writes += 1
        super().write(data)

    def abortConnection(self) -> None:
        """Remember it."""
        self.aborted = True

    def pauseProducing(self) -> None:
        """The protocol wants no input; said once only."""
        assert self.producerState == "producing"
        super().pauseProducing()


class HostTests(SynchronousTestCase):
    """Sites under hosts of their own."""

    def setUp(self) -> None:
        self.bench = Bench(head=1000)
        own = Site()
        own.add("", lambda _: Response(200, b"root"), body_limit=9_000, refuse=self.refuse)
        self.bench.site.hosts["sms.example.com"] = own
        self.bench.site.hosts["[::1]"] = own

    def refuse(self, status: int, _: str) -> Response:
        """In words of its own."""
        return Response(200, b"ERR")

    def ask(self, host: str, path: str = "/", body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of the answer."""
        connection, wire = self.bench.connect()
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.dataReceived(head.encode() + body)
        [(status, _, said)] = answers(wire.value())
        return status, said

    def test_the_host_says_which_site_is_shown(self) -> None:
        """In any case, with and without port; all other hosts have the listener's own."""
        for host in ("sms.example.com", "SMS.example.COM", "sms.example.com:8080", "[::1]:80"):
            assert self.ask(host) == (200, b"root")
        assert self.ask("sms.example.com.") == (200, b"root")
        assert self.ask("[::1]") == (200, b"root")
        assert self.ask("sms.example.com", "/later")[0] == 404
        for host in ("h", "www.sms.example.com", "", "sms.example.com:x:y"):
            assert self.ask(host) == (200, b"seen")

    def test_the_host_of_an_absolute_target_goes_before(self) -> None:
        """RFC 9112 §3.2.2: whatever the header says."""
        assert self.ask("h", "http://sms.example.com/") == (200, b"root")
        assert self.ask("sms.example.com", "http://h/") == (200, b"seen")

    def test_limit_and_words_are_of_the_host_s_site(self) -> None:
        """Also where a request is refused before it is whole."""
        assert self.ask("sms.example.com", body=b"x" * 8_500) == (200, b"root")
        assert self.ask("sms.example.com", body=b"x" * 9_001) == (200, b"ERR")
        assert self.ask("h", body=b"x" * 9_001) == (200, b"seen")

    def test_another_host_may_be_misdirected(self) -> None:
        """421 (RFC 9110 §15.5.20)."""
        self.bench.server.site = site = Site(misdirected)
        site.hosts.update(self.bench.site.hosts)
        assert self.ask("sms.example.com") == (200, b"root")
        assert self.ask("h", "/x") == (421, b"Misdirected Request\n")


class Bench:
    """A server with a few resources, on a Clock."""

    def __init__(self, **limits: Any) -> None:
        self.clock = Clock()
        self.site = Site()
        self.requests: list[Request] = []
        self.due: list[Deferred[Response]] = []
        self.site.add("/", self.seen)
        self.site.add("/echo", lambda request: Response(200, request.body))
        self.site.add("/large/", lambda request: Response(200, request.body), body_limit=200_000)
        self.site.add("/later", self.later)
        self.site.add("/raises", self.raises)
        self.site.add("/fails", lambda _: Deferred.fromCoroutine(self.coroutine(True)))
        self.site.add("/coroutine", lambda _: self.coroutine(False))
        self.server = HttpServerFactory(self.site, self.clock, Limits(**limits))

    def seen(self, request: Request) -> Response:
        """Answers at once."""
        self.requests.append(request)
        return Response(200, b"seen")

    def later(self, request: Request) -> Deferred[Response]:
        """Answers when the test says so."""
        self.requests.append(request)
        self.due.append(Deferred())
        return self.due[-1]

    def raises(self, request: Request) -> Response:
        """A resource with a bug."""
        raise ZeroDivisionError(request.path)

    async def coroutine(self, fail: bool) -> Response:
        """An ``async def`` resource."""
        if fail:
            raise ZeroDivisionError
        return await succeed(Response(200, b"awaited"))

    def connect(self) -> tuple[Any, Wire]:
        """A new client: what it sends to, and what it is sent."""
        connection = self.server.buildProtocol(None)
        wire = Wire()
        assert connection is not None
        connection.makeConnection(wire)
        return connection, wire

    def pass_time(self, seconds: int) -> None:
        """Second by second, as a reactor does."""
        self.clock.pump([1.0] * seconds)


def answers(octets: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
    """Responses as (status, headers, body), for responses that have a length."""
    found = []
    while octets:
        head, _, octets = octets.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        headers = dict(line.split(b": ", 1) for line in lines)
        size = int(headers.get(b"Content-Length", 0))
        found.append((int(first.split(b" ")[1]), headers, octets[:size]))
        octets = octets[size:]
    return found


class Requests(SynchronousTestCase):
    """What comes of well-formed requests."""

    def setUp(self) -> None:
        """A client of a new server."""
        self.bench = Bench()
        self.connection, self.wire = self.bench.connect()

    def exchange(self, octets: bytes) -> list[tuple[int, dict[bytes, bytes], bytes]]:
        """Send, and take what was answered."""
        self.wire.clear()
        self.connection.dataReceived(octets)
        return answers(self.wire.value())

    def test_answer_has_length_type_and_date(self) -> None:
        """A response carries what a client needs to read it and keep the connection."""
        ((status, headers, body),) = self.exchange(GET)
        assert (status, body) == (200, b"seen")
        assert headers[b"Content-Type"] == b"text/plain; charset=utf-8"
        assert re.search(rb"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$", headers[b"Date"])
        assert b"Connection" not in headers

    def test_answers_are_counted_by_dialect_and_status(self) -> None:
        """A path's dialect counts its answers; what named no path counts for none."""
        self.bench.site.add("/rest/", lambda _: Response(404), dialect="rest")
        self.exchange(GET.replace(b"GET / ", b"GET /rest/x ") * 2)
        self.exchange(GET)
        self.exchange(b"NONSENSE\r\n\r\n")
        assert dict(self.bench.site.answered) == {
            ("rest", 404): 2,
            ("", 200): 1,
            ("", 501): 1,
        }

    def test_connection_is_kept_and_each_answer_is_one_write(self) -> None:
        """Requests follow each other on one connection."""
        for number in range(3):
            ((_, _, body),) = self.exchange(post(b"%d" % number))
            assert body == b"%d" % number
        assert self.wire.writes == 3
        assert not self.wire.disconnecting

    def test_request_tells_what_the_client_said(self) -> None:
        """Path, query, headers, body, and the peer reach the resource decoded."""
        target = b"/a%20b?x=1&y=%C3%A9&x=2&z="
        self.exchange(b"PUT " + target + b" HTTP/1.1\r\nHOST: h\r\nA: 1\r\na: 2\r\n\r\n")
        (request,) = self.bench.requests
        assert (request.method, request.path) == ("PUT", "/a b")
        assert request.query == {"x": ["1", "2"], "y": ["é"], "z": [""]}
        assert request.headers == {b"host": b"h", b"a": b"1, 2"}
        assert (request.peer, request.secure) == ("192.168.1.1", False)

    def test_absolute_target_is_understood(self) -> None:
        """RFC 9112 §3.2.2: a server accepts the absolute form."""
        self.exchange(b"GET http://h:80/x/y?z=1 HTTP/1.1\r\nHost: h\r\n\r\n")
        (request,) = self.bench.requests
        assert (request.path, request.query) == ("/x/y", {"z": ["1"]})

    def test_chunked_body_is_joined_and_trailers_are_dropped(self) -> None:
        """RFC 9112 §7.1."""
        head = b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        ((status, _, body),) = self.exchange(
            head + b"3;x=1\r\nabc\r\n4\r\ndefg\r\n1\r\nh\r\n0\r\nHost: evil\r\n\r\n"
        )
        assert (status, body) == (200, b"abcdefgh")

    def test_head_has_the_length_and_no_body(self) -> None:
        """RFC 9110 §9.3.2."""
        self.connection.dataReceived(GET.replace(b"GET", b"HEAD"))
        assert b"\r\nContent-Length: 4\r\n" in self.wire.value()
        assert self.wire.value().endswith(b"\r\n\r\n")

    def test_204_has_neither_length_nor_type(self) -> None:
        """RFC 9110 §8.6."""
        self.bench.site.add("/none", lambda _: Response(204))
        ((status, headers, _),) = self.exchange(GET.replace(b"/ ", b"/none "))
        assert (status, set(headers)) == (204, {b"Date"})

    def test_client_may_ask_to_close(self) -> None:
        """Connection: close is obeyed, and what follows is not served."""
        head = GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        ((_, headers, _),) = self.exchange(head + GET)
        assert headers[b"Connection"] == b"close"
        assert self.wire.disconnecting
        assert len(self.bench.requests) == 1

    def test_http_1_0_closes_unless_asked(self) -> None:
        """An HTTP/1.0 client is told if the connection stays."""
        keep = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
        ((_, headers, _),) = self.exchange(keep)
        assert headers[b"Connection"] == b"keep-alive"
        ((_, headers, _),) = self.exchange(b"GET / HTTP/1.0\r\n\r\n")
        assert headers[b"Connection"] == b"close"
        assert self.wire.disconnecting

    def test_offer_of_another_protocol_is_ignored(self) -> None:
        """RFC 9110 §7.8: Upgrade may be ignored; the connection goes on."""
        offer = GET.replace(b"\r\n\r\n", b"\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n")
        assert [a[0] for a in self.exchange(offer + offer + GET)] == [200, 200, 200]
        assert [a[0] for a in self.exchange(GET)] == [200]

    def test_expect_continue_is_answered_before_the_body(self) -> None:
        """RFC 9110 §10.1.1: and not if the body is there already."""
        octets = post(b"body", b"Expect: 100-continue")
        self.connection.dataReceived(octets[:-4])
        assert self.wire.value() == b"HTTP/1.1 100 Continue\r\n\r\n"
        ((_, _, body),) = self.exchange(octets[-4:])
        assert body == b"body"
        ((status, _, _),) = self.exchange(octets)
        assert status == 200

    def test_expect_continue_waits_for_its_turn(self) -> None:
        """A 100 does not overtake the answer to an earlier request."""
        octets = post(b"body", b"Expect: 100-continue")
        self.connection.dataReceived(GET.replace(b"/ ", b"/later ") + octets[:-4])
        assert self.wire.value() == b""
        self.bench.due[0].callback(Response(200, b"first"))
        assert self.wire.value().endswith(b"firstHTTP/1.1 100 Continue\r\n\r\n")

    def test_async_def_and_deferred_are_awaited(self) -> None:
        """A resource is any of three kinds."""
        ((_, _, body),) = self.exchange(GET.replace(b"/ ", b"/coroutine "))
        assert body == b"awaited"

    def test_failing_resource_is_500_with_a_number_that_is_in_the_log(self) -> None:
        """A bug is answered, logged, and the connection goes on."""
        for path in (b"/raises ", b"/fails "):
            ((status, _, body),) = self.exchange(GET.replace(b"/ ", path))
            assert status == 500
            assert re.search(rb"^Internal Server Error, request id [0-9a-f]{12}\n$", body)
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 2
        assert [a[0] for a in self.exchange(GET)] == [200]

    def test_line_breaks_in_headers_are_our_misuse(self) -> None:
        """Nothing that a client said can add a header of its own."""
        with pytest.raises(ValueError, match="line break"):
            Response(200, headers=[(b"X", b"a\r\nSet-Cookie: b")])


class Order(SynchronousTestCase):
    """Pipelined requests."""

    def test_second_request_waits_for_the_first_answer(self) -> None:
        """Answers are in order, and a request is served when it is its turn."""
        bench = Bench()
        connection, wire = bench.connect()
        connection.dataReceived(GET.replace(b"/ ", b"/later ") * 2 + GET)
        assert len(bench.requests) == 1
        bench.due[0].callback(Response(200, b"first"))
        assert len(bench.requests) == 2
        bench.due[1].callback(Response(200, b"second"))
        bodies = [body for _, _, body in answers(wire.value())]
        assert bodies == [b"first", b"second", b"seen"]

    def test_fault_is_answered_after_what_came_before_it(self) -> None:
        """The last word comes last."""
        bench = Bench()
        connection, wire = bench.connect()
        connection.dataReceived(GET.replace(b"/ ", b"/later ") + b"rubbish\r\n\r\n")
        assert wire.value() == b""
        bench.due[0].callback(Response(200, b"first"))
        assert [status for status, _, _ in answers(wire.value())] == [200, 501]

    def test_long_pipeline_is_answered_without_deep_recursion(self) -> None:
        """Deferreds that have fired already do not pile up on the stack."""
        bench = Bench()
        bench.site.add("/now", lambda _: succeed(Response(200, b"x")))
        connection, wire = bench.connect()
        connection.dataReceived(GET.replace(b"/ ", b"/now ") * 2000)
        assert len(answers(wire.value())) == 2000

    def test_reading_pauses_while_many_wait(self) -> None:
        """What a client may have us keep is bounded; reading resumes when it is answered."""
        bench = Bench()
        connection, wire = bench.connect()
        connection.dataReceived(GET.replace(b"/ ", b"/later ") + GET * 5000)
        assert wire.producerState == "paused"
        assert len(connection._waiting) < 500
        bench.due[0].callback(Response())
        assert len(answers(wire.value())) == 5001
        assert wire.producerState == "producing"

    def test_nothing_is_served_to_a_client_that_does_not_read(self) -> None:
        """Answers are not piled up in memory; after a while the client is cut off."""
        bench = Bench(unread_s=30)
        connection, wire = bench.connect()
        connection.pauseProducing()
        connection.dataReceived(GET * 20)
        assert wire.value() == b""
        assert wire.producerState == "paused"
        bench.pass_time(10)
        connection.resumeProducing()
        assert len(answers(wire.value())) == 20
        assert wire.producerState == "producing"
        connection.pauseProducing()
        bench.pass_time(31)
        assert wire.aborted

    def test_answer_after_the_client_left_is_thrown_away(self) -> None:
        """A connection that is gone is not written to."""
        bench = Bench()
        connection, wire = bench.connect()
        connection.dataReceived(GET.replace(b"/ ", b"/later ") * 2)
        connection.connectionLost()
        bench.due[0].callback(Response())
        assert (wire.value(), len(bench.requests)) == (b"", 1)


class Faults(SynchronousTestCase):
    """What cannot be read gets an exact answer, then the connection ends."""

    def refused(self, octets: bytes, *more: bytes) -> int:
        """The status of the one answer; nothing more is read after it."""
        bench = Bench()
        connection, wire = bench.connect()
        for piece in (octets, *more):
            connection.dataReceived(piece)
        ((status, headers, _),) = answers(wire.value())
        assert headers[b"Connection"] == b"close"
        connection.dataReceived(GET)
        assert len(answers(wire.value())) == 1
        assert bench.requests == []
        return status

    def test_each_fault_has_its_status(self) -> None:
        """RFC 9110 §15.5 and §15.6."""
        chunked = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
        cases = [
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
            (chunked + b"Content-Length: 3\r\n\r\n", 400),
            (chunked + b"\r\nxyz\r\n", 400),
            (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n", 413),
            (b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"9" * 18 + b"\r\n\r\n", 413),
            (b"GET /" + b"a" * 16_400 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
            (post(b"b", b"Expect: a miracle"), 417),
            (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 4000 + b"\r\n", 431),
            (b"BREW / HTTP/1.1\r\nHost: h\r\n\r\n", 501),
            (b"CONNECT h:1 HTTP/1.1\r\nHost: h\r\n\r\n", 501),
            (post(b"b", b"Connection: upgrade", b"Upgrade: h2c"), 501),
            (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
            (b"GET / HTTP/3.7\r\nHost: h\r\n\r\n", 505),
            (b"GET /\r\n\r\n", 505),
        ]
        for octets, status in cases:
            assert self.refused(octets) == status, octets[:80]

    def test_header_without_end_is_431(self) -> None:
        """A header that never ends is not collected without bound, however it is cut."""
        assert self.refused(b"GET / HTTP/1.1\r\nA: ", *([b"b" * 4000] * 12)) == 431

    def test_trailer_without_end_is_refused(self) -> None:
        """The same after a chunked body."""
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nA: "
        assert self.refused(head, *([b"b" * 4000] * 12)) == 400

    def test_chunked_body_is_bounded(self) -> None:
        """413 when the chunks together pass the limit."""
        head = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        assert self.refused(head, *([b"1000\r\n" + b"b" * 4096 + b"\r\n"] * 17)) == 413

    def test_path_may_take_larger_bodies(self) -> None:
        """A limit belongs to a path."""
        bench = Bench()
        connection, wire = bench.connect()
        connection.dataReceived(post(b"b" * 200_000, path=b"/large/x"))
        ((status, _, body),) = answers(wire.value())
        assert (status, len(body)) == (200, 200000)

    def test_path_says_it_in_its_own_words(self) -> None:
        """A fault that is found before the resource is asked is told in the dialect of the path."""
        bench = Bench()
        bench.site.add("/rest", bench.seen, refuse=lambda status, _: Response(status, b"{}"))
        connection, wire = bench.connect()
        connection.dataReceived(post(b"b" * 65_537, path=b"/rest"))
        ((status, _, body),) = answers(wire.value())
        assert (status, body) == (413, b"{}")

    def test_head_of_the_allowed_size_passes_in_any_cut(self) -> None:
        """The limit does not count what is fed in pieces twice."""
        bench = Bench()
        connection, wire = bench.connect()
        octets = b"GET / HTTP/1.1\r\nHost: h\r\nA: " + b"b" * 16_000 + b"\r\n\r\n"
        for start in range(0, len(octets), 100):
            connection.dataReceived(octets[start : start + 100])
        assert [a[0] for a in answers(wire.value())] == [200]


class Time(SynchronousTestCase):
    """Slow clients, on a Clock."""

    def setUp(self) -> None:
        """A client of a new server."""
        self.bench = Bench()
        self.connection, self.wire = self.bench.connect()

    def test_idle_connection_is_closed_without_a_word(self) -> None:
        """60 s after the last answer."""
        self.bench.pass_time(50)
        self.connection.dataReceived(GET)
        self.wire.clear()
        self.bench.pass_time(59)
        assert not self.wire.disconnecting
        self.bench.pass_time(2)
        assert self.wire.disconnecting
        assert self.wire.value() == b""

    def test_slow_head_is_408(self) -> None:
        """A head has 30 s in all, however it drips."""
        for octet in GET[:20] + b"o" * 20:
            self.connection.dataReceived(bytes([octet]))
            self.bench.pass_time(1)
        assert [a[0] for a in answers(self.wire.value())] == [408]
        self.bench.pass_time(10)
        assert self.wire.aborted

    def test_slow_body_is_408(self) -> None:
        """A body that drips wins no time."""
        self.connection.dataReceived(post(b"b" * 60_000)[:-59_000])
        for _ in range(32):
            self.connection.dataReceived(b"b")
            self.bench.pass_time(1)
        assert [a[0] for a in answers(self.wire.value())] == [408]

    def test_large_body_may_take_longer_than_its_head(self) -> None:
        """What comes at the speed asked for is never late."""
        octets = post(b"b" * 200_000, path=b"/large/")
        for start in range(0, len(octets), 4096):
            self.connection.dataReceived(octets[start : start + 4096])
            if start % 16_384 == 0:
                self.bench.pass_time(3)
        assert [a[0] for a in answers(self.wire.value())] == [200]

    def test_client_is_not_hurried_while_it_waits_for_us(self) -> None:
        """A slow resource is our time, not the client's."""
        self.connection.dataReceived(GET.replace(b"/ ", b"/later ") + b"GET")
        self.bench.pass_time(300)
        self.bench.due[0].callback(Response(200, b"late"))
        assert [a[2] for a in answers(self.wire.value())] == [b"late"]
        self.bench.pass_time(31)
        assert [a[0] for a in answers(self.wire.value())] == [200, 408]

    def test_no_timer_is_left_behind(self) -> None:
        """With the last connection the sweep ends."""
        self.connection.connectionLost()
        assert self.bench.clock.getDelayedCalls() == []


class Draining(SynchronousTestCase):
    """The end of the service."""

    def test_what_is_under_way_is_answered(self) -> None:
        """Idle connections close at once, the others after their answer; new ones are not taken."""
        bench = Bench()
        idle, idle_wire = bench.connect()
        busy, busy_wire = bench.connect()
        half, half_wire = bench.connect()
        busy.dataReceived(GET.replace(b"/ ", b"/later "))
        half.dataReceived(GET[:10])
        done = bench.server.drain()
        assert bench.connect()[1].aborted
        assert idle_wire.disconnecting
        assert not busy_wire.disconnecting
        bench.due[0].callback(Response(200, b"done"))
        half.dataReceived(GET[10:])
        for wire in (busy_wire, half_wire):
            ((status, headers, _),) = answers(wire.value())
            assert (status, headers[b"Connection"]) == (200, b"close")
            assert wire.disconnecting
        self.assertNoResult(done)
        for connection in (idle, busy, half):
            connection.connectionLost()
        self.successResultOf(done)
        assert bench.clock.getDelayedCalls() == []

    def test_what_takes_too_long_is_cut_off(self) -> None:
        """The wait is bounded."""
        bench = Bench()
        connection, wire = bench.connect()
        connection.dataReceived(GET.replace(b"/ ", b"/later "))
        done = bench.server.drain(5)
        bench.pass_time(6)
        assert wire.aborted
        connection.connectionLost()
        self.successResultOf(done)

    def test_nothing_to_drain(self) -> None:
        """Without connections it is done at once."""
        self.successResultOf(Bench().server.drain())

    def test_connections_are_bounded(self) -> None:
        """One beyond the limit is closed right after accept."""
        bench = Bench(connections=1)
        connection, _ = bench.connect()
        _, one_too_many = bench.connect()
        assert one_too_many.aborted
        assert one_too_many.value() == b""
        connection.connectionLost()
        assert not bench.connect()[1].aborted

    def test_connections_are_bounded_behind_a_proxy_and_by_tls(self) -> None:
        """What wraps a protocol has one to wrap, or it would fail with a traceback and leave the
        client waiting."""
        bench = Bench(connections=0)
        tls = TLSMemoryBIOFactory(CertificateOptions(), False, bench.server)
        proxied = PrefaceFactory(bench.server, bench.clock, proxies=["*"])
        for factory, octets in (tls, b""), (proxied, b"PROXY UNKNOWN\r\n"):
            protocol: Any = factory.buildProtocol(IPv4Address("TCP", "192.0.2.1", 1))
            wire = Wire()
            protocol.makeConnection(wire)
            if octets:
                protocol.dataReceived(octets)
            assert wire.aborted
            assert wire.value() == b""


class Routing(SynchronousTestCase):
    """The table of paths."""

    def test_nearest_route_answers(self) -> None:
        """Exact before folder, deeper folder before shallower, a slash at the end is ignored."""
        site = Site()
        for path in ("/a", "/a/", "/a/b/", "/a/b/c"):
            site.add(path, lambda _, path=path: Response(200, path.encode()))
        cases = {
            "/a": b"/a",
            "/a/": b"/a",
            "/a/x": b"/a/",
            "/a/x/y": b"/a/",
            "/a/b": b"/a/b/",
            "/a/x/": b"/a/",
            "/a/b/x": b"/a/b/",
            "/a/b/c": b"/a/b/c",
            "/a/b/c/": b"/a/b/c",
            "/A": b"Not Found\n",
            "": b"Not Found\n",
            "*": b"Not Found\n",
            "/": b"Not Found\n",
            "//": b"Not Found\n",
        }
        for path, name in cases.items():
            answer = site.answer(Request("GET", path.encode(), {}))
            assert isinstance(answer, Response)
            assert answer.body == name, path


STREAM = (
    post(b"one")
    + GET
    + b"POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"3\r\ntwo\r\n10\r\n0123456789abcdef\r\n0\r\n\r\n"
    + GET.replace(b"GET", b"HEAD")
    + post(b"", path=b"/")
    + b"BREW / HTTP/1.1\r\n\r\n"
)


def cut(octets: bytes, places: list[int]) -> list[bytes]:
    """``octets`` in pieces."""
    edges = [0, *sorted(place % (len(octets) + 1) for place in places), len(octets)]
    return [octets[a:b] for a, b in itertools.pairwise(edges) if a < b]


def spoken(pieces: list[bytes]) -> bytes:
    """What a server answers to octets that arrive so, without the dates."""
    connection, wire = Bench().connect()
    for piece in pieces:
        connection.dataReceived(piece)
    lines = wire.value().split(b"\r\n")
    return b"\r\n".join(line for line in lines if not line.startswith(b"Date: "))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_answers_do_not_depend_on_how_the_octets_arrive(places: list[int]) -> None:
    """The same stream in any cut gets the same answers."""
    assert spoken(cut(STREAM, places)) == spoken([STREAM])


FRAGMENTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\n",
        b"POST /echo HTTP/1.1\r\n",
        b"Host: h\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"Connection: Upgrade\r\nUpgrade: x\r\n",
        b"Connection: close\r\n",
        b"\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"hello",
    ]
)


@settings(deadline=None, max_examples=100)
@given(
    st.lists(FRAGMENTS | st.binary(max_size=40), max_size=20).map(b"".join),
    st.lists(st.integers(0, 1000), max_size=6),
)
def test_arbitrary_octets_never_raise(octets: bytes, places: list[int]) -> None:
    """Whatever comes is answered or waited for; time ends what is incomplete."""
    bench = Bench()
    connection, wire = bench.connect()
    for piece in cut(octets, places):
        connection.dataReceived(piece)
    bench.pass_time(70)
    assert wire.value() == b"" or wire.value().startswith(b"HTTP/1.1 ")
    assert wire.disconnecting or wire.aborted
    connection.connectionLost()
    assert bench.clock.getDelayedCalls() == []


def certificate() -> PrivateCertificate:
    """A self-signed one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(Encoding.PEM) + key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    return PrivateCertificate.loadPEM(pem)


class Client(Protocol):
    """Sends what it is told and collects what comes until the end."""

    def __init__(self, octets: bytes) -> None:
        self.octets = octets
        self.answer = b""
        self.done: Deferred[bytes] = Deferred()

    def connectionMade(self) -> None:
        """Send."""
        assert self.transport is not None
        self.transport.write(self.octets)

    def dataReceived(self, data: bytes) -> None:
        """Collect."""
        self.answer += data

    def connectionLost(self, reason: Any = None) -> None:
        """The end."""
        self.done.callback(self.answer)


# Twisted itself still uses pyOpenSSL's certificates.
@pytest.mark.filterwarnings("ignore:Passing pyOpenSSL:DeprecationWarning")
class Sockets(TestCase):
    """Over real sockets."""

    async def serve(self, octets: bytes, tls: bool = False) -> bytes:
        """What a client that sends ``octets`` is answered until the server closes."""
        bench = Bench()
        bench.site.add("/secure", lambda request: Response(200, b"%r" % request.secure))
        server = HttpServerFactory(bench.site, reactor)
        listen: Any = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        if tls:
            listen = SSL4ServerEndpoint(reactor, 0, certificate().options(), interface="127.0.0.1")
        port = await listen.listen(server)
        try:
            connect: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
            if tls:
                offer = CertificateOptions(acceptableProtocols=[b"h2", b"http/1.1"])
                connect = wrapClientTLS(offer, connect)
            client = Client(octets)
            await connectProtocol(connect, client)
            return await client.done
        finally:
            await server.drain(1)
            await port.stopListening()

    async def test_request_is_answered_and_the_connection_closed(self) -> None:
        """One exchange over TCP."""
        answer = await self.serve(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"seen")

    async def test_refusal_reaches_a_client_that_is_still_sending(self) -> None:
        """A large body that is not wanted does not reset the connection under its answer."""
        answer = await self.serve(post(b"b" * 4_000_000))
        assert answer.startswith(b"HTTP/1.1 413 ")

    async def test_tls_clients_offer_other_protocols_too(self) -> None:
        """HTTP/1.1 is chosen by ALPN (RFC 7301), and the request counts as secure."""
        ask = b"GET /secure HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        assert (await self.serve(ask, tls=True)).endswith(b"\r\n\r\nTrue")

    async def test_refusal_over_tls_reaches_its_client(self) -> None:
        """Also when it is still sending."""
        answer = await self.serve(post(b"b" * 4_000_000), tls=True)
        assert answer.startswith(b"HTTP/1.1 413 ")


def test_access_log_is_off_unless_asked_for(caplog: Any) -> None:
    """A line for each answer, on request."""
    bench = Bench()
    connection, _ = bench.connect()
    with caplog.at_level("INFO", "smsgw.http.access"):
        connection.dataReceived(GET)
        assert caplog.messages == []
        bench.server.access = True
        connection.dataReceived(GET)
    assert caplog.messages == ["192.168.1.1 GET / 200 4"]


def test_peer_is_an_address_in_its_plain_form() -> None:
    """What allow-lists are asked: IPv4 in IPv6 is IPv4; a unix socket has a name of its own."""
    cases = {
        IPv4Address("TCP", "192.0.2.1", 1): "192.0.2.1",
        IPv6Address("TCP", "::ffff:192.0.2.1", 1): "192.0.2.1",
        IPv6Address("TCP", "2001:db8:0:0::1", 1): "2001:db8::1",
        IPv6Address("TCP", "fe80::1%eth0", 1): "fe80::1",
        UNIXAddress(None): "unix",
    }
    for address, peer in cases.items():
        assert host_of(address) == peer


def test_plain_refusal_is_text() -> None:
    """What a path without a dialect says."""
    assert plain_refusal(404, "Not Found").body == b"Not Found\n"


def test_date_is_the_present() -> None:
    """The Date header follows the clock of the wall."""
    bench = Bench()
    bench.connect()
    assert time.strftime("%Y", time.gmtime()).encode() in bench.server.date
