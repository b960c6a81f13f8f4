"""Mails on their way out: what is said, what the answers mean, and connections that are used
again."""

from typing import Any

import pytest
from twisted.internet import reactor as real
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, connectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.protocols.basic import LineReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.smtp.client import Job, Mail, Outcome, Place, Result, SmtpLink
from smsgw.smtp.exchangers import TakesNoMail
from smsgw.smtp.outgoing import Outgoing
from smsgw.testing.peer import Watch
from tests.outside import World, certificate, pem

ALICE, BOB = "alice@mms.example.net", "+447700900123/TYPE=PLMN@mms.example.net"
CONTENT = b"Subject: x\r\n\r\n.dot\r\n"
EHLO = b"250-h\r\n250-SIZE 5000\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n"


def mail(*recipients: str, content: bytes = CONTENT, **more: Any) -> Mail:
    """One from our system address."""
    return Mail("system-user@gateway.example.com", recipients or (ALICE,), content, **more)


class Spoken:
    """A link on a transport in memory, and what it says."""

    def __init__(self, *mails: Mail, **place: Any) -> None:
        self.clock = Clock()
        self.jobs = [Job(one) for one in mails]
        self.told: list[dict[str, Outcome]] = []
        for job in self.jobs:
            job.done.addCallback(self.told.append)
        self.gone: list[tuple[Job | None, str]] = []
        self.link = SmtpLink(
            Place("h", **{"tls": "none", **place}),
            "gateway.example.com",
            self.clock,
            lambda _: self.jobs.pop(0) if self.jobs else None,
            lambda _, job, words: self.gone.append((job, words)),
        )
        self.transport = StringTransport()
        self.link.makeConnection(self.transport)

    def hear(self, octets: bytes) -> bytes:
        """The server's answer, and what is said to it."""
        self.link.dataReceived(octets)
        while self.transport.producer is not None:
            self.transport.producer.resumeProducing()
        said = self.transport.value()
        self.transport.clear()
        return said

    @property
    def outcome(self) -> Outcome:
        """Of the only recipient of the first mail."""
        (found,) = self.told[0].values()
        return found


def ready(*mails: Mail, ehlo: bytes = EHLO, **place: Any) -> Spoken:
    """One that has been greeted."""
    spoken = Spoken(*mails, **place)
    assert spoken.hear(b"220 h\r\n") == b"EHLO gateway.example.com\r\n"
    spoken.first = spoken.hear(ehlo)  # type: ignore[attr-defined]
    return spoken


def test_mail_as_it_is_said() -> None:
    """SIZE as offered, one RCPT each, dots doubled, and the outcome of each recipient."""
    spoken = ready(mail(ALICE, BOB))
    size = len(CONTENT)
    assert spoken.first == (  # type: ignore[attr-defined]
        b"MAIL FROM:<system-user@gateway.example.com> SIZE=%d\r\n" % size
    )
    assert spoken.hear(b"250 ok\r\n") == f"RCPT TO:<{ALICE}>\r\n".encode()
    assert spoken.hear(b"550 5.1.1 no\r\n") == f"RCPT TO:<{BOB}>\r\n".encode()
    assert spoken.hear(b"250 ok\r\n") == b"DATA\r\n"
    assert spoken.hear(b"354 go\r\n") == b"Subject: x\r\n\r\n..dot\r\n.\r\n"
    assert spoken.hear(b"250 2.0.0 9A77\r\n") == b""
    assert spoken.told == [
        {
            ALICE: Outcome(Result.PERMANENT, 550, "5.1.1 no"),
            BOB: Outcome(Result.DELIVERED, 250, "2.0.0 9A77"),
        }
    ]
    assert spoken.link.idle


PIPELINING = b"250-h\r\n250-PIPELINING\r\n250-SIZE 500000\r\n250 8BITMIME\r\n"
RSET = b"RSET\r\n"


def test_commands_are_said_at_once_to_a_server_that_takes_them_so() -> None:
    """MAIL, every RCPT and DATA in one piece (RFC 2920); then the content with its end."""
    spoken = ready(mail(ALICE, BOB), mail(), ehlo=PIPELINING)
    sender = b"MAIL FROM:<system-user@gateway.example.com> SIZE=%d\r\n" % len(CONTENT)
    to = [f"RCPT TO:<{one}>\r\n".encode() for one in (ALICE, BOB)]
    assert spoken.first == sender + b"".join(to) + b"DATA\r\n"  # type: ignore[attr-defined]
    assert spoken.hear(b"250 ok\r\n550 5.1.1 no\r\n250 ok\r\n") == b""
    assert spoken.hear(b"354 go\r\n") == b"Subject: x\r\n\r\n..dot\r\n.\r\n"
    assert spoken.hear(b"250 2.0.0 9A77\r\n") == sender + to[0] + b"DATA\r\n"
    told = spoken.told[0]
    assert (told[ALICE].code, told[BOB].code) == (550, 250)


@pytest.mark.parametrize(
    ("answers", "code", "said"),
    [
        (b"553 no\r\n503 5.5.1\r\n503 5.5.1\r\n", 553, RSET),
        (b"250 ok\r\n450 later\r\n554 5.5.1\r\n", 450, RSET),
        (b"250 ok\r\n450-later\r\n450 on\r\n354 go\r\n", 450, b".\r\n"),
        (b"250 ok\r\n250 ok\r\n451 no\r\n", 451, RSET),
    ],
)
def test_answers_to_what_was_said_ahead_are_not_those_of_the_next_mail(
    answers: bytes, code: int, said: bytes
) -> None:
    """A refusal is told at once; what was said after it is answered before another mail begins, and
    a content that the server waits for although there is no recipient is empty (RFC 2920 §3.1)."""
    spoken = ready(mail(), mail(BOB), ehlo=PIPELINING)
    assert spoken.hear(answers) == said
    assert spoken.outcome.code == code
    if said != RSET:
        assert spoken.hear(b"554 5.5.1 no valid recipients\r\n") == RSET
    assert spoken.hear(b"250 ok\r\n").startswith(b"MAIL FROM:")
    for one in (b"250 ok\r\n250 ok\r\n354 go\r\n", b"250 2.0.0 ok\r\n"):
        spoken.hear(one)
    assert spoken.told[1][BOB].result is Result.DELIVERED
    assert spoken.link.idle


def test_connection_that_ends_amid_answers_to_what_was_said_ahead() -> None:
    """The mail that was refused before has its outcome, and is not told twice."""
    spoken = ready(mail(), ehlo=PIPELINING)
    spoken.hear(b"553 no\r\n")
    spoken.link.connectionLost(Failure(connectionDone.value))
    assert [one[ALICE].code for one in spoken.told] == [553]
    assert [job for job, _ in spoken.gone] == [None]


def test_large_content_is_written_piece_by_piece() -> None:
    """So that no copy of it waits in the transport; it ends in a dot all the same."""
    large = b"Subject: x\r\n\r\n" + b"0123456789abcdef0123456789abcd\r\n" * 5_000
    spoken = ready(mail(content=large), ehlo=PIPELINING)
    spoken.hear(b"250 ok\r\n250 ok\r\n")
    spoken.link.dataReceived(b"354 go\r\n")
    assert spoken.transport.producer is not None
    spoken.transport.producer.resumeProducing()
    assert 0 < len(spoken.transport.value()) < len(large) / 2
    rest = spoken.hear(b"")
    assert rest.endswith(large[-1_000:] + b".\r\n")
    assert spoken.hear(b"250 2.0.0 ok\r\n") == b""
    assert (spoken.outcome.result, spoken.link.idle) == (Result.DELIVERED, True)


@pytest.mark.parametrize(
    ("answers", "result", "code"),
    [
        ([b"451 later\r\n"], Result.TEMPORARY, 451),
        ([b"553 no\r\n"], Result.PERMANENT, 553),
        ([b"250 ok\r\n", b"450 later\r\n"], Result.TEMPORARY, 450),
        ([b"250 ok\r\n", b"250 ok\r\n", b"451 no\r\n"], Result.TEMPORARY, 451),
        ([b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"552 big\r\n"], Result.PERMANENT, 552),
        ([b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n"], Result.DELIVERED, 250),
    ],
)
def test_what_answers_mean(answers: list[bytes], result: Result, code: int) -> None:
    """2yz delivered, 4yz again, 5yz for good, whichever command gets them; the link goes on."""
    spoken = ready(mail())
    for one in answers:
        spoken.hear(one)
    assert (spoken.outcome.result, spoken.outcome.code) == (result, code)
    if result is not Result.DELIVERED:
        assert not spoken.link.idle
        spoken.hear(b"250 ok\r\n")
    assert (spoken.link.idle, spoken.gone) == (True, [])


def test_second_mail_goes_on_the_same_connection() -> None:
    """At once when the first is taken; and a third one when the link was idle."""
    spoken = ready(mail(), mail(BOB))
    for one in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        spoken.hear(one)
    assert spoken.hear(b"250 ok\r\n").startswith(b"MAIL FROM:")
    for one in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", b"250 ok\r\n"):
        spoken.hear(one)
    assert (len(spoken.told), spoken.link.mails, spoken.link.idle) == (2, 2, True)
    spoken.link.take(Job(mail()))
    assert spoken.transport.value().startswith(b"MAIL FROM:")


@pytest.mark.parametrize(
    ("given", "ehlo", "code"),
    [
        (mail(content=b"x" * 4999 + b"\r\n"), EHLO, 552),
        (mail(content="ä\r\n".encode()), b"250 h\r\n", 554),
        (mail("a b@c"), EHLO, 553),
        (mail("a@c\r\nRCPT TO:<d@e"), EHLO, 553),
        (mail("ä@c"), EHLO, 553),
    ],
)
def test_what_the_server_would_not_take_is_not_sent(given: Mail, ehlo: bytes, code: int) -> None:
    """Larger than its SIZE, 8-bit without 8BITMIME, addresses that would be commands."""
    spoken = ready(given, ehlo=ehlo)
    assert spoken.first == b""  # type: ignore[attr-defined]
    assert (spoken.outcome.result, spoken.outcome.code) == (Result.PERMANENT, code)
    assert spoken.link.idle


def test_eight_bit_mail() -> None:
    """BODY=8BITMIME where it is offered, the 7-bit form where it is not (ruling 26)."""
    eight = mail(content="ä\r\n".encode(), seven_bit=lambda: b"=C3=A4\r\n")
    assert b" BODY=8BITMIME\r\n" in ready(eight).first  # type: ignore[attr-defined]
    spoken = ready(eight, ehlo=b"250 h\r\n")
    assert spoken.first == b"MAIL FROM:<system-user@gateway.example.com>\r\n"  # type: ignore[attr-defined]
    spoken.hear(b"250 ok\r\n")
    spoken.hear(b"250 ok\r\n")
    assert spoken.hear(b"354 go\r\n") == b"=C3=A4\r\n.\r\n"


def test_password_goes_over_tls_only() -> None:
    """Unless the operator says that there is none and it may."""
    spoken = ready(mail(), username="u", password="p")
    assert spoken.gone[0][1] == "the relay offers no TLS, which the login needs"
    spoken = ready(mail(), username="u", password="p", plain_login=True)
    assert spoken.first == b"AUTH PLAIN dQB1AHA=\r\n"  # type: ignore[attr-defined]
    assert spoken.hear(b"235 ok\r\n").startswith(b"MAIL FROM:")


@pytest.mark.parametrize(
    ("place", "ehlo", "words"),
    [
        ({"tls": "required"}, EHLO, "the relay offers no TLS"),
        ({}, b"554 go away\r\n", "SMTP 554"),
        ({"username": "u", "plain_login": True}, b"250 h\r\n", "SMTP 502"),
    ],
)
def test_what_goes_wrong_before_a_mail_is_no_refusal_of_it(
    place: dict[str, Any], ehlo: bytes, words: str
) -> None:
    """The mail waits for a better connection."""
    spoken = Spoken(mail(), **place)
    spoken.hear(b"220 h\r\n")
    spoken.hear(ehlo)
    if not spoken.gone:
        spoken.hear(ehlo)  # HELO
    assert spoken.gone == [(None, words)]
    assert (spoken.told, len(spoken.jobs)) == ([], 1)


def test_silence_ends_a_connection() -> None:
    """Five minutes for an answer, ten for the one to the content."""
    spoken = ready(mail())
    spoken.clock.advance(300)
    assert spoken.gone[0][1] == "no SMTP"
    spoken = ready(mail())
    for one in (b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n"):
        spoken.hear(one)
    spoken.clock.advance(599)
    assert spoken.gone == []
    spoken.clock.advance(1)
    assert spoken.gone[0][0] is not None


class Answering(LineReceiver):
    """A server that takes everything; ``hosts`` decides what else it does."""

    def __init__(self, host: "Host") -> None:
        self.host = host
        self.content = False
        self.mails = 0

    def connectionMade(self) -> None:
        """Twisted."""
        self.host.open.add(self)
        self.host.connections += 1
        self.host.watch.check()
        if self.host.greeting:
            self.say(self.host.greeting)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Twisted."""
        self.host.open.discard(self)
        self.host.watch.check()

    def say(self, text: str) -> None:
        """Answers."""
        self.sendLine(text.encode())

    def lineReceived(self, line: bytes) -> None:
        """Twisted."""
        transport: Any = self.transport
        if self.content:
            if line == b".":
                self.content = False
                self.mails += 1
                self.host.mails.append(self.mails)
                self.host.watch.check()
                if self.host.held is not None:
                    self.host.held.addCallback(lambda _: self.say("250 kept"))
                else:
                    self.say("250 kept")
            return
        verb = line[:4].upper()
        if verb == b"DATA":
            self.content = True
            self.say("354 go")
        elif verb == b"MAIL" and self.host.closes and self.mails >= self.host.closes:
            transport.loseConnection()
        elif verb == b"QUIT":
            self.say("221 bye")
            transport.loseConnection()
        else:
            self.say("250 ok")


class Host:
    """The server of a test and what it has seen."""

    def __init__(self) -> None:
        self.mails: list[int] = []
        self.connections = 0
        self.open: set[Answering] = set()
        self.watch = Watch()
        self.greeting = "220 h"
        self.closes = 0
        self.held: Deferred[None] | None = None

    async def start(self, test: TestCase) -> int:
        """Listens on loopback until the test is over."""
        factory = Factory.forProtocol(lambda: Answering(self))
        factory.noisy = False
        listening = await TCP4ServerEndpoint(real, 0, interface="127.0.0.1").listen(factory)
        test.addCleanup(listening.stopListening)
        return int(listening.getHost().port)


class Pool(TestCase):
    """Connections to one destination, on loopback; time is the test's."""

    timeout = 20

    async def begin(self, **more: Any) -> Outgoing:
        """A destination and its server."""
        self.world = World()
        self.host = Host()
        port = await self.host.start(self)
        self.places = [Place("127.0.0.1", port, tls="none", private=True)]
        self.pool = Outgoing(self.world, self.found, "gateway.example.com", **more)
        self.addCleanup(self.end)
        return self.pool

    async def found(self) -> list[Place]:
        """See ``Outgoing``."""
        return self.places

    async def passing(self, asked: Deferred[Any]) -> Any:
        """Its result, while time passes."""
        while not asked.called:
            # Far less than any timer has while octets are on their way.
            self.world.clock.advance(0.005)
            await tick()
        return await asked

    def end(self) -> Deferred[None]:
        """Closes all."""
        stopped = self.pool.stop()
        self.pool.abort()
        for one in list(self.host.open):
            transport: Any = one.transport
            transport.abortConnection()
        return stopped.addCallback(lambda _: self.host.watch.when(lambda: not self.host.open))

    async def test_one_connection_carries_many(self) -> None:
        """And ends after its idle time."""
        pool = await self.begin(connections=1)
        for _ in range(5):
            told = await pool.send(mail())
            assert told[ALICE].result == Result.DELIVERED
        assert (self.host.connections, self.host.mails) == (1, [1, 2, 3, 4, 5])
        await self.host.watch.when(lambda: True)
        while not pool._idle:
            await tick()
        self.world.clock.advance(30)
        await self.host.watch.when(lambda: not self.host.open)

    async def test_one_mail_makes_one_connection(self) -> None:
        """However many there may be: the mail that made it is on it once it is ready."""
        pool = await self.begin()
        assert (await pool.send(mail()))[ALICE].result == Result.DELIVERED
        assert (pool.connections, self.host.connections) == (1, 1)

    async def test_connection_ends_after_its_number_of_mails(self) -> None:
        """mm4.md §7: 100; here 2. What waits gets another connection."""
        pool = await self.begin(connections=1, mails=2)
        sent = [pool.send(mail()) for _ in range(5)]
        while not all(one.called for one in sent):
            self.world.clock.advance(0)
            await tick()
        assert self.host.mails == [1, 2, 1, 2, 1]
        assert self.host.connections == 3

    async def test_connections_are_bounded(self) -> None:
        """As many as wait, and no more than may be."""
        pool = await self.begin(connections=2)
        self.host.held = Deferred()
        sent = [pool.send(mail()) for _ in range(6)]
        await self.host.watch.when(lambda: len(self.host.mails) == 2)
        assert (self.host.connections, pool.connections) == (2, 2)
        self.host.held.callback(None)
        for one in sent:
            assert (await one)[ALICE].result == Result.DELIVERED
        assert self.host.connections == 2

    async def test_mail_given_to_a_dead_connection_goes_on_another(self) -> None:
        """The server closed it while it was idle: nothing of the mail had been taken."""
        pool = await self.begin(connections=1)
        self.host.closes = 1
        assert (await pool.send(mail()))[ALICE].result == Result.DELIVERED
        assert (await pool.send(mail()))[ALICE].result == Result.DELIVERED
        assert self.host.connections == 2

    async def test_no_connection_fails_all_that_wait(self) -> None:
        """Temporarily, with the reason; the next mail tries again."""
        pool = await self.begin(connections=1)
        good, self.places = self.places, [Place("127.0.0.1", 1, tls="none", private=True)]
        sent = [pool.send(mail()) for _ in range(3)]
        for one in sent:
            assert (await self.passing(one))[ALICE] == Outcome(
                Result.TEMPORARY, 0, "connection refused"
            )
        self.places = [*self.places, *good]  # the second place is tried after the first
        assert (await self.passing(pool.send(mail())))[ALICE].result == Result.DELIVERED

    async def test_greeting_that_refuses(self) -> None:
        """It is not the mail that is refused."""
        pool = await self.begin()
        self.host.greeting = "554 no"
        assert (await pool.send(mail()))[ALICE] == Outcome(Result.TEMPORARY, 0, "SMTP 554")

    async def test_domain_that_takes_no_mail(self) -> None:
        """RFC 7505: for good."""
        pool = await self.begin()

        async def none() -> list[Place]:
            raise TakesNoMail("the domain takes no mail")

        pool._places = none
        told = await pool.send(mail())
        assert (told[ALICE].result, told[ALICE].code) == (Result.PERMANENT, 556)

    async def test_stop_lets_the_mail_under_way_end(self) -> None:
        """And takes no other."""
        pool = await self.begin(connections=1)
        self.host.held = Deferred()
        under_way, waiting = pool.send(mail()), pool.send(mail())
        await self.host.watch.when(lambda: len(self.host.mails) == 1)
        stopped = pool.stop()
        assert (await waiting)[ALICE].text == "stopping"
        assert (await pool.send(mail()))[ALICE].text == "stopping"
        self.host.held.callback(None)
        assert (await under_way)[ALICE].result == Result.DELIVERED
        while not stopped.called:
            self.world.clock.advance(0)
            await tick()

    async def test_a_connection_that_breaks_while_others_end_has_no_other_made(self) -> None:
        """Its mail is told of, and the places are not asked for again."""
        pool = await self.begin(connections=2)
        self.host.held = Deferred()
        sent = [pool.send(mail()) for _ in range(2)]
        await self.host.watch.when(lambda: len(self.host.mails) == 2)
        self.host.held.callback(None)
        for one in sent:
            await one
        self.host.held = Deferred()
        busy = pool.send(mail())
        await self.host.watch.when(lambda: len(self.host.mails) == 3)
        asked: list[bool] = []

        async def found() -> list[Place]:
            asked.append(True)
            return self.places

        pool._places = found
        self.host.closes = 1
        broken = pool.send(mail())
        stopped = pool.stop()
        assert (await broken)[ALICE].result == Result.TEMPORARY
        self.host.held.callback(None)
        assert (await busy)[ALICE].result == Result.DELIVERED
        while not stopped.called:
            self.world.clock.advance(0)
            await tick()
        assert (asked, self.host.connections) == ([], 2)

    async def test_a_server_that_takes_no_more_connections_is_not_pressed(self) -> None:
        """What waits goes by the connection that there is; each mail tries once for another."""
        pool = await self.begin(connections=3)
        self.host.held = Deferred()
        sent = [pool.send(mail())]
        await self.host.watch.when(lambda: len(self.host.mails) == 1)
        self.host.greeting = "421 too many of you"
        sent += [pool.send(mail()) for _ in range(2)]
        await self.host.watch.when(lambda: self.host.connections == 3)
        while pool.states["connecting"]:
            await tick()
        for _ in range(50):
            await tick()
        assert (self.host.connections, pool.waiting) == (3, 2)
        self.host.held.callback(None)
        for one in sent:
            assert (await one)[ALICE].result == Result.DELIVERED
        assert self.host.connections == 3

    async def test_stop_awaits_no_server_that_does_not_greet(self) -> None:
        """Its connection has nothing to carry any more, and the other places are not tried."""
        pool = await self.begin()
        self.places *= 2
        self.host.greeting = ""
        sent = pool.send(mail())
        await self.host.watch.when(lambda: self.host.connections == 1)
        while not pool._making:
            await tick()
        stopped = pool.stop()
        assert (await sent)[ALICE].text == "stopping"
        await stopped
        assert (pool.connections, self.host.connections) == (0, 1)


def tick() -> Deferred[None]:
    """One turn of the reactor."""
    done: Deferred[None] = Deferred()
    reactor: Any = real
    reactor.callLater(0, done.callback, None)
    return done


def test_required_tls_trusts_what_it_is_told(tmp_path: Any) -> None:
    """A file of certificates in place of the system's; "offered" asks nothing, "none" has none."""
    file = tmp_path / "ca.pem"
    file.write_bytes(pem(certificate()))
    place = Place("www.example.com", tls="required", tls_ca=str(file))
    assert place.context() is not None
    assert Place("h").context() is not None
    assert Place("h", tls="none").context() is None
