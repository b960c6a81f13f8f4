"""Answers that go on as long as there is something to tell."""

from collections.abc import Callable
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smsgw.http.server import HttpServerFactory
from smsgw.http.site import Response, Site

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


class Pieces:
    """A stream that the test feeds."""

    def __init__(self) -> None:
        self.due: list[bytes | None] = []
        self.wake: Callable[[], None] = lambda: None
        self.stops = 0

    def pull(self, wake: Callable[[], None]) -> bytes | None:
        self.wake = wake
        return self.due.pop(0) if self.due else b""

    def stop(self) -> None:
        self.stops += 1

    def tell(self, *pieces: bytes | None) -> None:
        self.due += pieces
        self.wake()


class StreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.pieces = Pieces()
        site = Site()
        site.add("", lambda _: Response(200, content_type="text/x", stream=self.pieces))
        site.add("/after", lambda _: Response(200, b"no"))
        self.clock = Clock()
        self.server = HttpServerFactory(site, self.clock)
        self.wire = StringTransport()
        self.connection: Any = self.server.buildProtocol(None)
        self.connection.makeConnection(self.wire)

    def asked(self, request: bytes = GET) -> bytes:
        """The head of the answer."""
        self.connection.dataReceived(request)
        return self.said()

    def said(self) -> bytes:
        octets = self.wire.value()
        self.wire.clear()
        return octets

    def end(self) -> None:
        self.connection.connectionLost(Failure(ConnectionDone()))
        assert self.pieces.stops == 1

    def test_each_piece_is_a_chunk(self) -> None:
        """The head goes out before there is any; None is the end, and closes."""
        head = self.asked()
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Content-Type: text/x\r\nTransfer-Encoding: chunked\r\n" in head
        assert b"\r\nConnection: close\r\n\r\n" in head
        self.pieces.tell(b"one")
        assert self.said() == b"3\r\none\r\n"
        self.pieces.tell(b"x" * 20, b"three", None)
        assert self.said() == b"14\r\n" + b"x" * 20 + b"\r\n5\r\nthree\r\n0\r\n\r\n"
        assert self.wire.disconnecting
        self.end()

    def test_http_1_0_has_no_chunks(self) -> None:
        """The end of the connection is that of the body."""
        assert b"chunked" not in self.asked(b"GET / HTTP/1.0\r\n\r\n")
        self.pieces.tell(b"one", None)
        assert self.said() == b"one"
        self.end()

    def test_head_has_no_body(self) -> None:
        """And nothing is watched for it."""
        assert self.asked(b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").endswith(b"\r\n\r\n")
        assert self.wire.disconnecting
        self.end()

    def test_a_client_that_does_not_read_is_not_written_to(self) -> None:
        """What there is then is the stream's to keep; it is cut off after a while."""
        self.asked()
        self.connection.pauseProducing()
        self.pieces.tell(b"one")
        assert self.said() == b""
        self.connection.resumeProducing()
        assert self.said() == b"3\r\none\r\n"
        self.end()

    def test_a_client_that_goes_ends_it(self) -> None:
        """The stream is told, once."""
        self.asked()
        self.end()
        self.pieces.tell(b"late")
        assert self.said() == b""

    def test_a_server_that_stops_ends_it_in_order(self) -> None:
        """With the last chunk."""
        self.asked()
        drained = self.server.drain()
        assert self.said() == b"0\r\n\r\n"
        self.end()
        self.successResultOf(drained)

    def test_nothing_is_answered_after_it(self) -> None:
        """Requests that follow are not read."""
        self.asked(GET + b"GET /after HTTP/1.1\r\nHost: h\r\n\r\n")
        self.pieces.tell(None)
        assert self.said() == b"0\r\n\r\n"
        self.end()

    def test_it_goes_on_for_long(self) -> None:
        """No time limit of a request holds."""
        self.asked()
        self.clock.pump([1.0] * 600)
        assert not self.wire.disconnecting
        self.end()
