"""The SMTP server's answers, rule by rule of spec/mm4.md section 7, and its bounds."""

import base64
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import ITLSTransport
from twisted.internet.testing import StringTransport
from zope.interface import alsoProvides

from smsgw.smtp.connection import DATA_S, RECIPIENTS
from smsgw.smtp.line import ERRORS, IDLE_S
from smsgw.smtp.replies import Reply
from smsgw.smtp.spool import IN_MEMORY
from tests.smtp.wire import (
    BY_ADDRESS,
    CARRIER,
    CUSTOMER,
    FROM,
    NUMBER,
    PASSWORD,
    STRANGER,
    Client,
    Server,
    provisioned,
)


def plain(username: str, password: str) -> str:
    """AUTH PLAIN with its answer at once."""
    return "AUTH PLAIN " + base64.b64encode(f"\0{username}\0{password}".encode()).decode()


def b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# Greeting, EHLO.


def test_ehlo_offers_exactly_what_is_served() -> None:
    """The list of §7: no AUTH in clear, no STARTTLS without certificate, no SMTPUTF8."""
    client = Server(allow_plain_auth=False).connect()
    assert client.greeting == "220 mms.example.com ESMTP"
    assert client.say("EHLO mms.example.net") == (
        "250-mms.example.com\n250-SIZE 5242880\n250-8BITMIME\n250-PIPELINING\n"
        "250 ENHANCEDSTATUSCODES"
    )
    assert client.say("HELO mms.example.net") == "250 mms.example.com"
    assert client.say("EHLO") == "501 5.5.4 A domain or an address literal must follow"
    assert client.say("EHLO [192.0.2.10]").startswith("250-")


def test_stranger_gets_554_as_banner() -> None:
    """Ruling 21: an address in no list of either kind."""
    client = Server().connect(STRANGER)
    assert client.greeting == "554 5.7.1 Your address is in no allow-list"
    assert client.closed


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("VRFY user", "252 2.5.0"),
        ("EXPN list", "502 5.5.1"),
        ("TURN", "502 5.5.1"),
        ("ETRN x", "502 5.5.1"),
        ("BDAT 5", "502 5.5.1"),
        ("NOOP", "250 2.0.0"),
        ("RSET", "250 2.0.0"),
        ("RSET x", "501 5.5.4"),
        ("XYZZY", "500 5.5.1"),
        ("UNKNOWN", "500 5.5.1"),
        ("", "500 5.5.2"),
        ("MAIL FROM:<\u00e4@b>", "500 5.5.2"),
        ("RCPT TO:<a@mms.example.com>", "503 5.5.1"),
        ("DATA", "503 5.5.1"),
        ("MAIL FROM:x", "501 5.5.4"),
        ("STARTTLS", "454 4.7.0"),
        ("AUTH CRAM-MD5", "504 5.5.4"),
        ("QUIT", "221 2.0.0"),
    ],
)
def test_every_answer_has_its_enhanced_code(line: str, answer: str) -> None:
    """§7: commands, order 503 5.5.1; RFC 2034."""
    client = Server().connect()
    client.say("EHLO x")
    assert client.say(line).startswith(answer)


def test_a_line_of_a_bare_line_feed_is_no_command() -> None:
    """And one that is too long ends the connection."""
    client = Server().connect()
    assert client.send(b"NOOP\n") == "500 5.5.2 Syntax error"
    assert client.send(b"NOOP\rNOOP\r\n") == "500 5.5.2 Syntax error"
    assert client.send(b"NOOP " + b"x" * 5000).startswith("500 5.5.2 Line too long")
    assert client.closed


# A mail.


def test_mail_is_handed_on_whole_and_answered_then() -> None:
    """I1: 250 with the id only after ``receive`` has said so; one Received line is added."""
    server = Server()
    told: Deferred[Reply] = Deferred()
    server.box.answer = lambda: told
    client = server.connect()
    assert client.begin() == "354 End with <CRLF>.<CRLF>"
    assert client.say("Subject: x", "", "..dot", ".", "NOOP") == ""
    [(envelope, content)] = server.box.mails
    assert envelope.peer.carrier == "mmsc"
    assert (envelope.address, envelope.helo, envelope.tls) == (CARRIER, "mms.example.net", False)
    assert envelope.sender.address == FROM
    assert [one.address for one in envelope.recipients] == [NUMBER]
    assert content.endswith(b"\r\nSubject: x\r\n\r\n.dot\r\n")
    head = content[: content.index(b"Subject")]
    assert head.startswith(b"Received: from mms.example.net ([192.0.2.10])\r\n\tby mms.example.com")
    assert head.count(b"Received:") == 1
    told.callback(Reply(250, "2.0.0", "3f0c9b1e"))
    assert client.answer() == "250 2.0.0 3f0c9b1e\n250 2.0.0 Ok"
    assert server.factory.accepted == 1


def test_answers_to_commands_that_came_together_go_together() -> None:
    """PIPELINING: one write for all of them, before a step that takes time and after it."""
    server = Server()
    told: Deferred[Reply] = Deferred()
    server.box.answer = lambda: told
    client = server.connect()
    writes: list[bytes] = []
    written = client.transport.write

    def write(octets: bytes) -> None:
        writes.append(octets)
        written(octets)

    client.transport.write = write  # type: ignore[method-assign]
    client.send(
        f"EHLO x\r\nMAIL FROM:<{FROM}>\r\nRCPT TO:<{NUMBER}>\r\nDATA\r\n"
        "Subject: x\r\n\r\nhi\r\n.\r\nNOOP\r\nRSET\r\nQUIT\r\n".encode()
    )
    [first] = writes
    assert first.startswith(b"250-")
    assert first.endswith(b"354 End with <CRLF>.<CRLF>\r\n")
    told.callback(Reply(250, "2.0.0", "kept"))
    codes = [line[:3] for line in b"".join(writes[1:]).split(b"\r\n")]
    assert codes == [b"250", b"250", b"250", b"221", b""]
    assert len(writes) == 3
    assert client.closed


class _Tls(StringTransport):
    """A transport that may become TLS: what had been written by then."""

    before = b""

    def startTLS(self, context: object, normal: bool = True) -> None:
        self.before = self.value()


def test_answers_before_tls_go_out_in_clear() -> None:
    """EHLO and STARTTLS in one write: both are answered before the handshake begins (RFC 3207)."""
    client = Server(tls=object()).connect()
    transport = _Tls(peerAddress=client.transport.getPeer())
    alsoProvides(transport, ITLSTransport)
    client.transport = client.protocol.transport = transport
    client.protocol.dataReceived(b"EHLO x\r\nSTARTTLS\r\n")
    assert transport.before.endswith(b"\r\n220 2.0.0 Ready to start TLS\r\n")
    assert transport.value() == transport.before
    client.answer()
    assert client.say("NOOP").startswith("250")


def test_pipelined_mails_are_answered_in_order() -> None:
    """Two mails and QUIT in one write, however they are cut (PIPELINING)."""
    mail = f"MAIL FROM:<{FROM}>\r\nRCPT TO:<{NUMBER}>\r\nDATA\r\nSubject: x\r\n\r\nhi\r\n.\r\n"
    octets = f"EHLO x\r\n{mail}{mail}QUIT\r\n".encode()
    for step in (1, 3, 1000):
        server = Server()
        client = server.connect()
        for at in range(0, len(octets), step):
            client.protocol.dataReceived(octets[at : at + step])
        codes = [line[:3] for line in client.answer().split("\n") if line[3] == " "]
        assert codes == ["250", *["250", "250", "354", "250"] * 2, "221"]
        assert len(server.box.mails) == 2


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (b"a: b\r\n\r\nx\ny\r\n", "554 5.6.0"),
        (b"a: b\r\n\r\nx\ry\r\n", "554 5.6.0"),
        (b"a: b\r\n\r\nx\0y\r\n", "554 5.6.0"),
        (b"a: b\r\n\r\n" + b"x" * 999 + b"\r\n", "500 5.5.2"),
        (b"a: b\r\n\r\n" + b"x" * 70 + b"\r\n" * 6000, "552 5.3.4"),
    ],
)
def test_content_that_cannot_be_parsed_whole_is_refused(content: bytes, answer: str) -> None:
    """Ruling 22, T8; the session goes on."""
    server = Server(max_size=10_000)
    client = server.connect()
    client.begin()
    assert client.send(content + b".\r\n").startswith(answer)
    assert server.box.mails == []
    assert client.begin().startswith("354")


def test_announced_size_over_the_limit_is_refused_at_once() -> None:
    """T8: 552 5.3.4 at MAIL."""
    client = Server(max_size=10_000).connect()
    client.say("EHLO x")
    assert client.say(f"MAIL FROM:<{FROM}> SIZE=10001") == "552 5.3.4 Message too large"
    assert client.say(f"MAIL FROM:<{FROM}> SIZE=10000").startswith("250 2.1.0")


def test_what_never_ends_is_cut_off() -> None:
    """Content of more than twice the limit."""
    client = Server(max_size=10_000).connect()
    client.begin()
    for _ in range(300):
        client.send(b"x" * 98 + b"\r\n")
    assert client.closed


def test_recipients() -> None:
    """550 5.7.1 no relay, 550 5.1.1 unknown, 452 4.5.3 beyond 100, 503 without a good one."""
    client = Server().connect()
    client.say("EHLO x", f"MAIL FROM:<{FROM}>")
    assert client.say("RCPT TO:<1@example.org>").startswith("550 5.7.1")
    assert client.say("RCPT TO:<nobody@mms.example.com>").startswith("550 5.1.1")
    assert client.say("DATA").startswith("503 5.5.1")
    client.say(*[f"RCPT TO:<{n}@SMS.example.com>" for n in range(RECIPIENTS)])
    assert client.say(f"RCPT TO:<{NUMBER}>").startswith("452 4.5.3")
    assert client.say("DATA").startswith("354")


def test_receive_that_fails_is_a_local_error() -> None:
    """451 4.3.0, and nothing is said to be stored."""
    server = Server()

    def fail() -> Reply:
        raise RuntimeError("broken")

    server.box.answer = fail
    client = server.connect()
    client.begin()
    assert client.say("a: b", ".") == "451 4.3.0 Local error; try again later"
    assert client.say("NOOP") == "250 2.0.0 Ok"


# Who it is.


@pytest.mark.parametrize(
    ("address", "sender", "answer"),
    [
        (CARRIER, FROM, "250 2.1.0"),
        (CARRIER, "", "250 2.1.0"),
        (CARRIER, "a@sub.mms.example.net", "250 2.1.0"),
        (CARRIER, "a@example.net", "553 5.1.8"),
        (CARRIER, "a@xmms.example.net", "553 5.1.8"),
        ("192.0.2.11", "a@mms.example.net", "250 2.1.0"),
        ("192.0.2.11", "a@mms.example.org", "250 2.1.0"),
        ("192.0.2.11", "", "530 5.7.0"),
        ("192.0.2.12", "a@mms.example.edu", "530 5.7.0 Must issue a STARTTLS"),
        (CUSTOMER, "a@anywhere.example", "530 5.7.0 Authentication"),
        (BY_ADDRESS, "a@anywhere.example", "250 2.1.0"),
    ],
)
def test_who_mails_without_login(address: str, sender: str, answer: str) -> None:
    """Ruling 21: carriers by address, as addresses of their domain or <>; where several share an
    address the domain tells; T10: TLS required."""
    client = Server().connect(address)
    client.say("EHLO x")
    assert client.say(f"MAIL FROM:<{sender}>").startswith(answer)


def test_mail_servers_of_the_world() -> None:
    """Ruling 21: those of ``smtp.reply_from`` get a greeting, and are peers of their own; who is a
    carrier or a customer at that address stays one."""
    server = Server(world=(STRANGER, CARRIER))
    client = server.connect(STRANGER)
    client.begin(sender="alice@example.org")
    assert client.say("Hello", ".") == "250 2.0.0 kept"
    assert server.connect(CARRIER).begin().startswith("354")
    other = server.connect(CARRIER)
    other.begin(sender="alice@example.org")
    other.say("Hello", ".")
    peers = [envelope.peer for envelope, _ in server.box.mails]
    assert [(one.world, one.carrier, one.login) for one in peers] == [(True, "", None)] * 2


def test_answer_of_several_lines() -> None:
    """RFC 5321 §4.2.1: all but the last have a hyphen after the code."""
    server = Server()
    server.box.answer = Reply(250, "2.0.0", "c 10", ("a,", "b,"))
    client = server.connect()
    client.begin()
    assert client.say("Hello", ".") == "250-2.0.0 a,\n250-2.0.0 b,\n250 2.0.0 c 10"


def test_login_by_plain_and_login() -> None:
    """With the answer at once or after the prompt; then DSN is offered and AUTH is not."""
    server = Server()
    for lines in (
        [plain("acme", PASSWORD)],
        ["AUTH PLAIN", b64(f"acme\0acme\0{PASSWORD}")],
        ["AUTH LOGIN", b64("acme"), b64(PASSWORD)],
        [f"auth login {b64('acme')}", b64(PASSWORD)],
    ):
        client = server.connect(CUSTOMER)
        client.say("EHLO x")
        assert client.say(*lines).endswith("235 2.7.0 Logged in")
        assert client.say("EHLO x").endswith("250 DSN")
        assert client.say(plain("acme", PASSWORD)).startswith("503 5.5.1")
        assert client.say("MAIL FROM:<a@b.example>").startswith("250 2.1.0")
        client.say(f"RCPT TO:<{NUMBER}>", "DATA", "a: b", ".")
        assert server.box.mails[-1][0].peer.login.account == "acme"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("lines", "answer"),
    [
        ([plain("acme", "wrong")], "535 5.7.8"),
        ([plain("nobody", PASSWORD)], "535 5.7.8"),
        ([plain("", "")], "535 5.7.8"),
        (["AUTH PLAIN " + b64(f"else\0acme\0{PASSWORD}")], "535 5.7.8"),
        (["AUTH PLAIN " + b64("acme")], "535 5.7.8"),
        (["AUTH PLAIN x"], "501 5.5.2"),
        (["AUTH PLAIN /w=="], "501 5.5.2"),
        (["AUTH LOGIN", "*"], "334 VXNlcm5hbWU6\n501 5.7.0"),
        (["AUTH LOGIN ="], "535 5.7.8"),
    ],
)
def test_login_that_is_none(lines: list[str], answer: str) -> None:
    """535 5.7.8 for all that a guess could be, 501 for what is no answer."""
    client = Server().connect(CUSTOMER)
    client.say("EHLO x")
    assert client.say(*lines).startswith(answer)


def test_no_login_in_clear_and_none_before_ehlo() -> None:
    """538 unless mm4.allow_plain_auth; AUTH is of EHLO."""
    client = Server(allow_plain_auth=False).connect(CUSTOMER)
    client.say("EHLO x")
    assert client.say(plain("acme", PASSWORD)).startswith("538 5.7.11")
    client = Server().connect(CUSTOMER)
    assert client.say(plain("acme", PASSWORD)).startswith("503 5.5.1")


def test_carrier_logs_in_with_the_login_it_gave() -> None:
    """Then it is the one, whoever shares its address, and still mails as its domain only."""
    client = Server().connect("192.0.2.11")
    client.say("EHLO x")
    assert client.say(plain("mmsc", "wrong")).startswith("535 5.7.8")
    assert client.say(plain("mmsc", "carrier-word")).startswith("235")
    assert client.say("MAIL FROM:<a@mms.example.org>").startswith("553 5.1.8")
    assert client.say("MAIL FROM:<>").startswith("250")
    outside = Server().connect(CUSTOMER)
    outside.say("EHLO x")
    assert outside.say(plain("mmsc", "carrier-word")).startswith("535 5.7.8")


def test_guessing_ends() -> None:
    """After 20 wrong logins of an address none is tried."""
    server = Server()
    for _ in range(4):
        client = server.connect(CUSTOMER)
        client.say("EHLO x")
        for _ in range(6):
            said = client.say(plain("acme", "wrong"))
    assert said.startswith("454 4.7.0")
    assert server.factory.failed_logins >= 20


def test_login_ends_with_the_account() -> None:
    """A session whose password is taken back must log in again."""
    server = Server()
    client = server.connect(CUSTOMER)
    client.say("EHLO x", plain("acme", PASSWORD))
    server.tables = provisioned("")
    assert client.say("MAIL FROM:<a@b.example>").startswith("530 5.7.0")


# Bounds.


def test_idle_connection_is_closed() -> None:
    """After five minutes: 421 4.4.2; and aborted if even that is not taken."""
    server = Server()
    client = server.connect()
    server.clock.advance(IDLE_S - 1)
    client.say("NOOP")
    server.clock.advance(IDLE_S - 1)
    assert not client.closed
    server.clock.advance(1)
    assert client.answer() == "421 4.4.2 Timed out"
    assert client.closed


def test_slow_content_is_closed() -> None:
    """Ten minutes from 354 to the end, however busy it looks."""
    server = Server()
    client = server.connect()
    client.begin()
    for _ in range(int(DATA_S / 100) - 1):
        server.clock.advance(100)
        client.send(b"x\r\n")
        assert not client.closed
    server.clock.advance(100)
    assert client.answer() == "421 4.4.2 Timed out"


def test_ten_errors_close() -> None:
    """§7; a mail that is taken begins anew."""
    client = Server().connect()
    client.say("EHLO x", *["XYZZY"] * (ERRORS - 1))
    client.begin()
    client.say("a: b", ".")
    client.say(*["XYZZY"] * (ERRORS - 1))
    assert not client.closed
    assert client.say("XYZZY").endswith("421 4.7.0 Too many errors")
    assert client.closed


def test_connections_of_one_address_and_in_all() -> None:
    """10 per peer: 421 4.7.0; and of all: 421 4.3.2. One that ends makes room."""
    server = Server(connections=12)
    clients = [server.connect() for _ in range(10)]
    assert all(one.greeting.startswith("220") for one in clients)
    more = server.connect()
    assert more.greeting.startswith("421 4.7.0")
    lose(more)
    assert server.connect("192.0.2.11").greeting.startswith("220")
    assert server.connect("192.0.2.11").greeting.startswith("220")
    assert server.connect("192.0.2.11").greeting.startswith("421 4.3.2")
    lose(clients[0])
    assert len(server.factory.connections) == 12


def lose(client: Client) -> None:
    """The connection is over."""
    from twisted.internet.error import ConnectionDone
    from twisted.python.failure import Failure

    client.protocol.connectionLost(Failure(ConnectionDone()))


def test_overload_pushes_back() -> None:
    """421 4.3.2 at connect, 451 4.3.0 at DATA."""
    busy = [False]
    server = Server(overloaded=lambda: busy[0])
    client = server.connect()
    client.say("EHLO x", f"MAIL FROM:<{FROM}>", f"RCPT TO:<{NUMBER}>")
    busy[0] = True
    assert client.say("DATA").startswith("451 4.3.0")
    assert server.connect().greeting.startswith("421 4.3.2")


def test_content_is_in_memory_up_to_a_bound() -> None:
    """Beyond it goes to a file, and nothing more is read until that is written."""
    writes: list[tuple[Any, Deferred[Any]]] = []

    def later(function: Any) -> Deferred[Any]:
        writes.append((function, Deferred()))
        return writes[-1][1]

    server = Server(run=later)
    client = server.connect()
    client.begin()
    line = b"x" * 998 + b"\r\n"
    client.send(line * 200)
    [(flush, done)] = writes
    assert client.transport.producerState == "paused"
    client.send(line * 200 + b".\r\n")
    assert len(writes) == 1
    flush()
    done.callback(None)
    assert client.protocol._spool is not None
    assert client.protocol._spool._held <= IN_MEMORY + len(line) * 200
    flush, done = writes[1]
    flush()
    done.callback(None)
    assert client.answer() == "250 2.0.0 kept"
    assert server.box.mails[0][1].endswith(line * 400)


def test_client_that_reads_no_answers_is_not_read_from() -> None:
    """Its commands would become answers in memory without end."""
    client = Server().connect()
    client.protocol.pauseProducing()
    assert client.say(*["NOOP"] * 3_000) == ""
    assert client.transport.producerState == "paused"
    client.protocol.resumeProducing()
    assert client.transport.producerState == "producing"
    assert client.answer() == "\n".join(["250 2.0.0 Ok"] * 3_000)


def test_connection_lost_in_the_middle_leaves_nothing() -> None:
    """No mail, no open spool, no timer."""
    server = Server()
    client = server.connect()
    client.begin()
    client.send(b"a: b\r\n")
    spool = client.protocol._spool
    lose(client)
    assert spool is not None
    with pytest.raises(ValueError, match="closed"):
        spool.read()
    assert server.box.mails == []
    assert server.clock.getDelayedCalls() == []


def test_drain_lets_the_mail_under_way_end() -> None:
    """Idle ones get 421 4.3.2 at once, others after their answer; no new one is greeted."""
    server = Server()
    told: Deferred[Reply] = Deferred()
    server.box.answer = lambda: told
    idle, busy = server.connect(), server.connect()
    busy.begin()
    busy.say("a: b", ".")
    drained = Deferred.fromCoroutine(server.factory.drain(10))
    assert idle.answer() == "421 4.3.2 The service is shutting down"
    assert server.connect("192.0.2.11").greeting.startswith("421 4.3.2")
    told.callback(Reply(250, "2.0.0", "x"))
    assert busy.answer() == "250 2.0.0 x\n421 4.3.2 The service is shutting down"
    for one in list(server.factory.connections):
        server.factory.closed(one)
    assert drained.called
