"""From a handset to what a customer set by the relay API, over real sockets (``spec/aql.md`` 4)."""

import re
from typing import Any
from urllib.parse import urlencode

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.config import Config, Domains, Http, Smpp, Smtp
from smsgw.dialects import Aql
from smsgw.service import Gateway
from smsgw.testing.sinks import Answer, HttpSink, MailSink
from tests.http.test_websmpp import Site
from tests.integration.scene import HANDSET, NUMBER, SECRET, Scene, account, carrier, route
from tests.journals import a_store
from tests.running import free_ports

PATH = "/sms/sms-relay.api.php"


class Served:
    """What ``Site`` asks of a gateway: its port."""

    def __init__(self, http_port: int) -> None:
        self.http_port = http_port


class RelayCase(Scene):
    """A gateway that may call this machine, with two servers for callbacks and one for mail."""

    async def begin(self, private: bool = True, number: str = "") -> None:
        """Starts all of it; ``number`` is what else is provisioned of the number."""
        self.http_port, self.admin_port = free_ports(2)
        self.sinks, self.mailbox = [HttpSink(reactor), HttpSink(reactor)], MailSink(reactor)
        self.urls = [f"http://127.0.0.1:{await sink.start()}" for sink in self.sinks]
        relay = f"127.0.0.1:{await self.mailbox.start()}"
        for one in (*self.sinks, self.mailbox):
            self.addCleanup(lambda one=one: Deferred.fromCoroutine(one.stop()))
        config = Config(
            smpp=Smpp(listen=[]),
            http=Http(
                listen=[f"tcp:{self.http_port}:interface=127.0.0.1"],
                admin=[f"tcp:{self.admin_port}:interface=127.0.0.1"],
            ),
            smtp=Smtp(relay=relay, domains=Domains(sms="sms.example.com")),
            aql=Aql(allow_private_callbacks=private),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        self.north = await self.smsc()
        await self.apply(
            account(email="ops@example.com") + number,
            carrier("north", self.north.port),
            route("north"),
        )
        await self.north.smsc.bound()

        self.site: Any = Site(Served(self.http_port))  # type: ignore[arg-type]

    async def set(self, method: str, detail: str) -> str:
        """Sets the number by the API."""
        query = {
            "command": "modify",
            "username": "acme",
            "password": SECRET,
            "number": NUMBER,
            "action-type": method,
            "action-detail": detail,
        }
        return (await deferToThread(self.site.raw, "GET", f"{PATH}?{urlencode(query)}")).decode()

    def arrives(self, text: str = "Hello & bye") -> None:
        """A handset sends to the number."""
        self.north.smsc.mobile_originated(HANDSET, NUMBER, text)

    async def called(self, sink: HttpSink, count: int = 1) -> Any:
        """The last request, once so many have come."""
        await sink.when(lambda: len(sink.requests) >= count)
        return sink.requests[-1]


class RelayTests(RelayCase):
    """Callbacks, mail, and what is given up."""

    async def test_q_r16_q_r19_q_d14_variables(self) -> None:
        """The worked callbacks: a URL with variables by GET and by POST, and one without."""
        await self.begin()
        await self.set("httpget", self.urls[0] + "/callback.php?id=%i&orig=%o&msg=%m")
        self.arrives()
        request = await self.called(self.sinks[0])
        id = request.fields["id"]
        assert re.fullmatch("[1-9][0-9]*", id)  # Q-D21
        assert (request.method, request.body) == ("GET", b"")
        assert request.target == f"/callback.php?id={id}&orig={HANDSET}&msg=Hello+%26+bye"
        assert request.headers["user-agent"].startswith("smsgw/")  # Q-D19

        await self.set("httppost", self.urls[0] + "/in?id=%i&orig=%o")
        self.arrives()
        request = await self.called(self.sinks[0], 2)
        assert (request.method, request.target) == ("POST", "/in")
        assert list(request.fields) == ["id", "orig"]

        await self.set("httppost", self.urls[0] + "/in")
        self.arrives()
        request = await self.called(self.sinks[0], 3)
        names = ["originator", "destination", "message", "time", "unix_time", "udh", "id"]
        assert list(request.fields) == names
        assert request.headers["content-type"] == "application/x-www-form-urlencoded"
        assert request.fields["message"] == "Hello & bye"
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", request.fields["time"])

    async def test_q_r18_q_d17_next_url_only_if_not_contacted(self) -> None:
        """A closed port and a 503 lead to the next URL; a 500 does not, and is tried again later
        (Q-D18)."""
        await self.begin()
        (nobody,) = free_ports(1)
        await self.set("httpget", f"http://127.0.0.1:{nobody}/a,{self.urls[1]}/b")
        self.arrives()
        assert (await self.called(self.sinks[1])).target.startswith("/b?originator=")

        await self.set("httpget", f"{self.urls[0]}/a,{self.urls[1]}/b")
        self.sinks[0].answers = [503, 500, 200]
        self.arrives()
        await self.called(self.sinks[0])
        await self.called(self.sinks[1], 2)

        self.arrives()
        await self.called(self.sinks[0], 2)
        [waiting] = (await self.waiting()).items()
        assert waiting[1] == 1
        assert len(self.sinks[1].requests) == 2

    async def test_q_d19_redirects_are_not_followed(self) -> None:
        """They are an answer, so the number's message waits for the next try."""
        await self.begin()
        self.sinks[0].answers = [Answer(302, headers=[("Location", self.urls[1] + "/")])]
        await self.set("httpget", f"{self.urls[0]}/a,{self.urls[1]}/b")
        self.arrives()
        await self.called(self.sinks[0])
        assert list((await self.waiting()).values()) == [1]
        assert self.sinks[1].requests == []

    async def test_q_r20_q_d22_each_mailbox_gets_a_copy(self) -> None:
        """Three addresses, three mails, in the form of the relay."""
        await self.begin()
        addresses = ["a@example.com", "b@example.com", "c@example.org"]
        await self.set("email", ",".join(addresses))
        self.arrives("Grüße")
        await self.mailbox.when(lambda: len(self.mailbox.mails) == 3)
        assert sorted(one.recipients[0] for one in self.mailbox.mails) == addresses
        mail = self.mailbox.mails[0].octets.decode()
        assert "\r\nFrom: sms@sms.example.com\r\n" in f"\r\n{mail}"
        assert f"Subject: SMS from {HANDSET} to {NUMBER}\r\n" in mail
        assert f"X-SMS-Originator: {HANDSET}\r\n" in mail
        assert f"X-SMS-Destination: {NUMBER}\r\n" in mail

    async def test_q_d20_parts_are_joined(self) -> None:
        """A long message comes in one, without header."""
        await self.begin()
        await self.set("httppost", self.urls[0] + "/in")
        text = "long " * 60
        self.arrives(text)
        request = await self.called(self.sinks[0])
        assert (request.fields["message"], request.fields["udh"]) == (text, "")

    async def test_q_r10_null_route_is_only_logged(self) -> None:
        """Nothing waits and nobody is called."""
        await self.begin()
        await self.set("httpget", self.urls[0] + "/in")
        await self.set("null-route", "")
        self.arrives()
        await self.north.smsc.when(lambda: self.north.smsc.counts.mo_answered == 1)
        assert await self.waiting() == {}
        assert self.sinks[0].requests == []

    async def test_q_r11_q_r12_mvno_until_it_is_left(self) -> None:
        """Its messages go to no outside destination; once it is left they do, and not to the
        SIM."""
        leave = "[account.settings.aql]\nleave_mvno = true\n"
        await self.begin(number=f'method = "mvno"\n{leave}')
        self.arrives()
        await self.north.smsc.when(lambda: self.north.smsc.counts.mo_answered == 1)
        assert await self.waiting() == {}
        assert (await self.set("httpget", self.urls[0] + "/in?m=%m")).startswith("200: OK")
        self.arrives()
        assert (await self.called(self.sinks[0])).fields == {"m": "Hello & bye"}
        assert not self.mailbox.mails

    async def test_q_d11_private_addresses_are_refused(self) -> None:
        """69004 unless ``aql.allow_private_callbacks``."""
        await self.begin(private=False)
        assert (await self.set("httpget", self.urls[0])).startswith("69004: ")

    async def test_q_d18_contact_is_told_of_what_is_given_up(self) -> None:
        """One mail, with the message and where it could not go."""
        await self.begin()
        self.mailbox.refuse = {"RCPT": 550}
        await self.set("email", "nobody@example.com")
        self.arrives()
        await self.mailbox.when(lambda: self.mailbox.connections >= 2)
        self.mailbox.refuse = {}
        await self.mailbox.when(lambda: len(self.mailbox.mails) == 1)
        [mail] = self.mailbox.mails
        assert mail.recipients == ["ops@example.com"]
        assert "Undelivered to: email nobody@example.com" in mail.octets.decode()
