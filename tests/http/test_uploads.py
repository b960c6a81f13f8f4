"""Uploads: multipart bodies that are too large for memory (E-D7)."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from smsgw.http.server import HttpServerFactory, Request, Response, Site, Uploads
from smsgw.http.site import BODY_LIMIT
from smsgw.smtp.spool import IN_MEMORY
from tests.folders import temporary_folder

LIMIT = 1_000_000
BODY = bytes(range(256)) * 2_000  # half of it
FORM = b"multipart/form-data; boundary=b"


def post(body: bytes, kind: bytes = FORM, path: bytes = b"/up") -> bytes:
    """A POST with its length."""
    head = b"POST %b HTTP/1.1\r\nHost: h\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
    return head % (path, kind, len(body)) + body


class Disk:
    """Runs what it is given at once, or when it is told to."""

    def __init__(self) -> None:
        self.held: list[tuple[Callable[[], None], Deferred[None]]] = []
        self.hold = False
        self.broken = False

    def run(self, function: Callable[[], None]) -> Deferred[None]:
        """As a thread would."""
        if self.broken:
            return fail(OSError(28, "No space left on device"))
        if not self.hold:
            return succeed(function())
        done: Deferred[None] = Deferred()
        self.held.append((function, done))
        return done

    def go(self) -> None:
        """What waits is written."""
        held, self.held = self.held, []
        for function, done in held:
            done.callback(function())


class UploadTests(SynchronousTestCase):
    """A server that keeps what its resource was given."""

    def setUp(self) -> None:
        self.found: list[Request] = []
        self.bodies: list[bytes] = []
        self.answers: list[Deferred[Response]] = []
        self.wait = False
        site = Site()
        site.add("/up", self.answer, upload_limit=LIMIT)
        site.add("/small", self.answer)
        site.add("/door", self.answer, upload_limit=LIMIT, admit=self.admit, dialect="d")
        self.site = site
        self.asked: list[Request] = []
        self.admission: Any = None
        self.disk = Disk()
        folder = Path(temporary_folder(self))
        self.folder = folder
        self.uploads = Uploads(folder, self.disk.run, most=3, peer_most=2)
        self.server = HttpServerFactory(site, Clock(), uploads=self.uploads)

    def answer(self, request: Request) -> Any:
        """Reads it all."""
        self.found.append(request)
        self.bodies.append(request.body if request.spool is None else request.spool.read())
        if self.wait:
            answer: Deferred[Response] = Deferred()
            self.answers.append(answer)
            return answer
        return Response(200, b"read")

    def admit(self, request: Request) -> Any:
        """What is told of an upload before it comes."""
        self.asked.append(request)
        if isinstance(self.admission, Exception):
            raise self.admission
        return self.admission

    def connect(self, peer: str = "192.0.2.1") -> tuple[Any, StringTransport]:
        """A client's connection."""
        wire = StringTransport()
        connection: Any = self.server.buildProtocol(None)
        connection._peer = peer
        connection.makeConnection(wire)
        return connection, wire

    def status(self, wire: StringTransport) -> bytes:
        """Of the first answer."""
        return wire.value()[9:12]

    def held(self) -> int:
        """Uploads that are kept."""
        return self.uploads._of.total()

    def test_large_body_is_in_a_file_and_whole(self) -> None:
        """In any cut; the file is gone when it is answered, and never had a name."""
        for size in (7, 8192, 100_000, 10**7):
            connection, wire = self.connect()
            octets = post(BODY)
            for start in range(0, len(octets), size):
                connection.dataReceived(octets[start : start + size])
            assert self.status(wire) == b"200", size
            request = self.found[-1]
            assert self.bodies[-1] == BODY
            assert request.body == b""
            assert self.held() == 0
            assert not list(self.folder.iterdir())

    def test_an_upload_is_refused_by_its_head(self) -> None:
        """Before any of its body is read; the connection ends with that answer."""
        self.admission = Response(401, b"who?")
        connection, wire = self.connect()
        octets = post(BODY, path=b"/door")
        connection.dataReceived(octets[: octets.index(b"\r\n\r\n") + 4])
        assert self.status(wire) == b"401"
        assert wire.disconnecting
        connection.dataReceived(BODY)
        assert (self.found, self.held()) == ([], 0)
        assert self.asked[0].headers[b"content-type"] == FORM

    def test_nothing_is_read_until_an_upload_may_come(self) -> None:
        """The client is stopped meanwhile, and only then asked to go on (100)."""
        for refused in (False, True):
            self.admission = Deferred()
            connection, wire = self.connect()
            head, _, body = post(BODY, path=b"/door").partition(b"\r\n\r\n")
            connection.dataReceived(head + b"\r\nExpect: 100-continue\r\n\r\n")
            assert wire.value() == b""
            connection.dataReceived(body[:100])
            assert wire.producerState == "paused"
            self.admission.callback(Response(401) if refused else None)
            assert self.status(wire) == (b"401" if refused else b"100")
            if not refused:
                assert wire.producerState == "producing"
                connection.dataReceived(body[100:])
                assert self.bodies == [BODY]
            connection.connectionLost(Failure(ConnectionDone()))
            assert self.held() == 0

    def test_a_client_that_leaves_before_it_is_let_in_leaves_nothing(self) -> None:
        """And a check that fails is 500."""
        self.admission = Deferred()
        connection, wire = self.connect()
        connection.dataReceived(post(BODY, path=b"/door")[:300])
        connection.connectionLost(Failure(ConnectionDone()))
        self.admission.callback(None)
        assert (wire.value(), self.held()) == (b"", 0)
        self.admission = Deferred()
        connection, wire = self.connect()
        connection.dataReceived(post(BODY, path=b"/door")[:300])
        self.admission.errback(ZeroDivisionError())
        assert self.status(wire) == b"500"
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_a_check_that_cannot_be_made_is_500(self) -> None:
        """And not a connection that breaks without a word; the next one is served."""
        self.admission = ZeroDivisionError()
        connection, wire = self.connect()
        connection.dataReceived(post(BODY, path=b"/door")[:300])
        assert self.status(wire) == b"500"
        assert wire.disconnecting
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        assert (self.found, self.held()) == ([], 0)

    def test_who_is_turned_away_is_counted_and_logged(self) -> None:
        """Under the dialect of the path, as if the upload had come: guesses of a password show."""
        server = HttpServerFactory(self.site, Clock(), uploads=self.uploads, access=True)
        self.server = server
        self.admission = Response(401, b"who?")
        with self.assertLogs("smsgw.http.access", "INFO") as logged:
            for octets in (post(BODY, path=b"/door"), post(bytes(LIMIT + 1), path=b"/door")):
                connection, _ = self.connect()
                connection.dataReceived(octets[:300])
        assert dict(self.site.answered) == {("d", 401): 1, ("d", 413): 1}
        lines = [one.getMessage() for one in logged.records]
        assert [line.split()[:4] for line in lines] == [
            ["192.0.2.1", "POST", "/door", "401"],
            ["192.0.2.1", "POST", "/door", "413"],
        ]

    def test_small_bodies_ask_nobody(self) -> None:
        """Their resource does, as of any request."""
        self.admission = Response(401)
        connection, wire = self.connect()
        connection.dataReceived(post(BODY[:1000], path=b"/door"))
        assert self.status(wire) == b"200"
        assert self.asked == []

    def test_small_body_stays_in_memory(self) -> None:
        """No file is made for a picture of 100 kB."""
        connection, wire = self.connect()
        for size in (10, BODY_LIMIT + 1, IN_MEMORY - 10):
            connection.dataReceived(post(BODY[:size]))
            assert self.found[-1].spool is None
            assert self.found[-1].body == BODY[:size]
        assert wire.value().count(b"HTTP/1.1 200") == 3
        assert self.held() == 0

    def test_memory_is_bounded_while_it_comes(self) -> None:
        """Nothing is parsed while the file is written, so at most a slice more is held."""
        self.disk.hold = True
        connection, wire = self.connect()
        octets = post(BODY)
        held = 0
        for start in range(0, len(octets), 8192):
            connection.dataReceived(octets[start : start + 8192])
            if connection._reader.spool is not None:
                held = max(held, connection._reader.spool._held)
            if self.disk.held:
                assert wire.producerState == "paused"
                self.disk.go()
                assert wire.producerState == "producing"
        assert IN_MEMORY < held <= IN_MEMORY + 8192
        assert self.bodies == [BODY]

    def test_only_multipart_may_be_large(self) -> None:
        """And only where the path says so; it is refused before it comes."""
        for request in (
            post(BODY, b"application/json"),
            post(BODY, path=b"/small"),
            post(bytes(LIMIT + 1)),
        ):
            connection, wire = self.connect()
            connection.dataReceived(request[:200])
            assert self.status(wire) == b"413", request[:60]
        assert not self.found

    def test_chunked_body_is_bounded_too(self) -> None:
        """Its length is known only when it has come."""
        connection, wire = self.connect()
        head = b"POST /up HTTP/1.1\r\nHost: h\r\nContent-Type: " + FORM
        connection.dataReceived(head + b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(30):
            connection.dataReceived(b"a000\r\n" + bytes(0xA000) + b"\r\n")
        assert self.status(wire) == b"413"
        assert self.held() == 0

    def test_too_many_uploads_are_503(self) -> None:
        """Of one address, and of all; each that ends makes room."""
        connections = [self.connect("192.0.2.1") for _ in range(3)]
        for connection, _ in connections:
            connection.dataReceived(post(BODY)[:70_000])
        assert self.held() == 2
        assert self.status(connections[2][1]) == b"503"
        third, _ = self.connect("192.0.2.2")
        third.dataReceived(post(BODY)[:70_000])
        fourth, wire = self.connect("192.0.2.3")
        fourth.dataReceived(post(BODY)[:70_000])
        assert self.status(wire) == b"503"
        third.connectionLost(Failure(ConnectionDone()))
        fifth, wire = self.connect("192.0.2.3")
        fifth.dataReceived(post(BODY))
        assert self.status(wire) == b"200"

    def test_full_disk_is_503(self) -> None:
        """In the words of the path's dialect, and nothing is kept."""
        self.disk.broken = True
        connection, wire = self.connect()
        connection.dataReceived(post(BODY))
        assert self.status(wire) == b"503"
        assert not self.found
        assert self.held() == 0

    def test_client_that_goes_leaves_nothing(self) -> None:
        """While it sends, while the file is written, and while its answer is awaited."""
        connection, _ = self.connect()
        connection.dataReceived(post(BODY)[:200_000])
        connection.connectionLost(Failure(ConnectionDone()))
        assert self.held() == 0
        self.disk.hold = True
        connection, _ = self.connect()
        connection.dataReceived(post(BODY)[:200_000])
        connection.connectionLost(Failure(ConnectionDone()))
        self.disk.go()
        assert self.held() == 0
        self.disk.hold = False
        self.wait = True
        connection, _ = self.connect()
        connection.dataReceived(post(BODY))
        connection.connectionLost(Failure(ConnectionDone()))
        assert self.held() == 1
        self.answers[0].callback(Response())
        assert self.held() == 0
