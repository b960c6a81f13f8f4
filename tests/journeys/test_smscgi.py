"""``sms.cgi`` on real sockets: curl, a host of its own, TLS, reports to a URL and a mailbox."""

import email
import email.policy
import ssl
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.parse import quote_plus, urlencode

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.internet.utils import getProcessOutputAndValue

from smsgw.config import Config, Http, HttpSite, Smpp, SmppListener, Smtp
from smsgw.dialects import Aaisp, Aerialink
from smsgw.message import MessageState
from smsgw.service import Gateway
from smsgw.testing.script import Plan, SmscScript
from smsgw.testing.sinks import HttpSink, MailSink
from smsgw.testing.smsc import SimulatedCarrier
from tests.integration.scene import HANDSET, Scene, carrier, route
from tests.journals import a_store
from tests.outside import certificate, fresh_certificate, pem
from tests.running import free_ports

NUMBER = "441632960123"
PASSWORD = "123456"
ACCOUNT = (
    '[[account]]\nname = "acme"\n'
    f'[[account.credential]]\nkind = "http"\nusername = "{NUMBER}"\npassword = "{PASSWORD}"\n'
    'allow = ["127.0.0.0/8"]\n'
    f'[[account.number]]\naddress = "{NUMBER}"\n'
)
# The carrier takes everything, and sends receipts when the test says so.
KEPT = SmscScript(decide=lambda _: Plan(receipts=0))
LOGIN = {"username": NUMBER, "password": PASSWORD}


def on_loopback(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


class SmsCgiTest(Scene):
    """A gateway on an empty store, a carrier, and sinks for reports."""

    timeout = 30

    async def start(self) -> None:
        """Starts everything; the SMS host is ``sms.example.com``, and it has a TLS listener."""
        folder = Path(mkdtemp())
        self.addCleanup(lambda: [*map(Path.unlink, folder.iterdir()), folder.rmdir()])
        self.pem = folder / "own.pem"
        self.pem.write_bytes(pem(certificate()))
        self.smpp_port, self.http_port, self.admin_port, self.tls_port = free_ports(4)
        self.mail = MailSink(reactor)
        relay = await self.mail.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.mail.stop()))
        self.sink = HttpSink(reactor)
        self.sink_port = await self.sink.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.sink.stop()))
        tls = f"ssl:{self.tls_port}:privateKey={self.pem}:interface=127.0.0.1"
        config = Config(
            smpp=Smpp(listen=[SmppListener(on_loopback(self.smpp_port))]),
            http=Http(
                listen=[on_loopback(self.http_port)],
                admin=[on_loopback(self.admin_port)],
                dialects=["rest", "sms.cgi"],
                site=[
                    HttpSite(["sms.cgi"], hosts=["sms.example.com"]),
                    HttpSite(["sms.cgi"], [tls], ["sms.example.com"]),
                ],
            ),
            smtp=Smtp(relay=f"127.0.0.1:{relay}", relay_tls="none"),
            aerialink=Aerialink(allow_plain_http="loopback"),
            aaisp=Aaisp(
                allow_private_callbacks=True,
                mail_progress=True,
                fediverse_base_url=f"http://127.0.0.1:{self.sink_port}",
                fediverse_token="token",
            ),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready

    async def north(self, script: "SmscScript | None" = None) -> SimulatedCarrier:
        """The carrier, bound; the account."""
        await self.start()
        north = await self.smsc(script)
        await self.apply(ACCOUNT, carrier("north", north.port), route("north"))
        await north.smsc.bound()
        return north

    async def curl(self, *arguments: str, url: str = "") -> str:
        """What curl prints."""
        url = url or f"http://127.0.0.1:{self.http_port}/sms.cgi"
        given = ["--silent", "--show-error", *arguments, url]
        out, err, code = await getProcessOutputAndValue("curl", given)
        assert code == 0, err
        return out.decode()

    async def ask(self, **fields: object) -> str:
        """The answer to a GET."""
        query = urlencode({**LOGIN, "da": HANDSET, **fields})
        return await self.curl(url=f"http://127.0.0.1:{self.http_port}/sms.cgi?{query}")

    async def test_A_R29_the_example_of_the_reference(self) -> None:
        """curl with ``--form-string``, a GET, a form, JSON: each sends the message."""
        north = await self.north()
        form = []
        for name, value in {**LOGIN, "da": HANDSET, "ud": "Hello world"}.items():
            form += ["--form-string", f"{name}={value}"]
        query = urlencode({**LOGIN, "da": HANDSET, "ud": "Hello world"})
        body = (
            f'{{"username":"{NUMBER}","password":"{PASSWORD}","da":"07700900123",'
            '"ud":"Price: 5 €","srr":"alice@example.com"}'
        )
        json = ("--header", "Content-Type: application/json", "--data-binary", body)
        for count, arguments in enumerate((form, ["--data", query], ["--get", "-d", query], json)):
            answer = await self.curl(*arguments)
            assert answer.startswith("OK: Queued "), answer
            assert answer.endswith(" 1 part(s)\n")
            await north.smsc.arrived(count + 1)
        assert [pdu.short_message for pdu in north.smsc.submits] == [
            *([b"Hello world"] * 3),
            b"Price: 5 \x1be",
        ]
        await self.mail.when(lambda: bool(self.mail.mails))

    async def test_errors_are_answered_with_200_and_sent_nowhere(self) -> None:
        """A-D33, as curl sees it."""
        north = await self.north()
        shown = ["--write-out", "%{http_code} %{content_type}"]
        query = urlencode({**LOGIN, "password": "bad", "da": HANDSET, "ud": "x"})
        answer = await self.curl(*shown, "--data", query)
        assert answer == "ERR: Authentication failed\n200 text/plain; charset=utf-8"
        answer = await self.curl(*shown, "--data", query + "&xml")
        assert answer.endswith("</response>401 text/xml; charset=utf-8")
        assert not north.smsc.submits

    async def test_A_D17_the_root_of_the_SMS_host(self) -> None:
        """Under its name it is the only dialect; on the shared listener it is one of them."""
        north = await self.north()
        query = urlencode({**LOGIN, "da": HANDSET, "ud": "x"})
        base = f"http://127.0.0.1:{self.http_port}"
        named = ("--header", "Host: SMS.example.com:8080")
        assert (await self.curl(*named, url=f"{base}/?{query}")).startswith("OK: ")
        assert (await self.curl(*named, url=f"{base}/v4/messages")) == "Not Found\n"
        assert "1001" in await self.curl(url=f"{base}/v4/messages")
        assert (await self.curl(url=f"{base}/sms.cgi?{query}")).startswith("OK: ")
        await north.smsc.arrived(2)

    async def test_a_dialect_has_a_tls_listener_of_its_own(self) -> None:
        """With its host; others are misdirected there (421)."""
        north = await self.north()
        query = urlencode({**LOGIN, "da": HANDSET, "ud": "x"})
        base = f"https://sms.example.com:{self.tls_port}"
        to = ("--insecure", "--resolve", f"sms.example.com:{self.tls_port}:127.0.0.1")
        assert (await self.curl(*to, url=f"{base}/?{query}")).startswith("OK: ")
        await north.smsc.arrived(1)
        other = f"https://127.0.0.1:{self.tls_port}/sms.cgi?{query}"
        assert await self.curl("--insecure", url=other) == "Misdirected Request\n"

    async def test_a_renewed_certificate_is_taken_without_a_restart(self) -> None:
        """The next connection has it; files that do not fit together change nothing."""
        await self.start()

        def shown() -> bytes:
            return ssl.get_server_certificate(("127.0.0.1", self.tls_port)).encode()

        first = await deferToThread(shown)
        own = self.pem.read_bytes()
        assert first.strip() in own
        self.pem.write_bytes(b"half a file")
        assert await deferToThread(shown) == first
        self.pem.write_bytes(pem(fresh_certificate()))
        second = await deferToThread(shown)
        assert second != first
        assert second.strip() in self.pem.read_bytes()

    async def reported(self, *targets: str) -> None:
        """The sink is called with these, one after the other, and with nothing else."""
        await self.sink.when(lambda: len(self.sink.requests) >= len(targets))
        assert tuple(one.target for one in self.sink.requests) == targets
        assert {one.method for one in self.sink.requests} == {"GET"}

    def url(self, query: str) -> str:
        """Of the sink."""
        return f"http://127.0.0.1:{self.sink_port}/dlr?{query}"

    async def receipt(
        self, north: SimulatedCarrier, answer: str, state: int = 2, esm_class: int = 4
    ) -> None:
        """The carrier says what became of the first part of the message of ``answer``."""
        shown = await self.message(answer.split()[2])
        plan = Plan(state=MessageState(state))
        pdu = north.smsc.receipt_pdu(
            north.smsc.submits[-1], plan, shown["carrier_ids"][0], north.smsc.now()
        )
        pdu.esm_class = esm_class
        north.smsc.deliver([pdu], "receipt")

    async def test_A_R32_the_worked_example_of_a_report(self) -> None:
        """8, later 1 (A-D40), byte for byte."""
        north = await self.north(KEPT)
        answer = await self.ask(ud="Price: 5 €", srr=self.url("c=%code&to=%da"))
        first = f"/dlr?c=8&to={HANDSET}"
        await self.reported(first)
        await self.receipt(north, answer)
        await self.reported(first, f"/dlr?c=1&to={HANDSET}")

    async def test_A_R33_all_placeholders(self) -> None:
        """Percent-encoded, in lower case only (A-D37, A-D38)."""
        await self.north(KEPT)
        answer = await self.ask(
            ud="100% & more", srr=self.url("%code/%dest/%da/%oa/%ud/%id/%DA/%3D")
        )
        id = answer.split()[2]
        rest = f"{HANDSET}/{HANDSET}/{NUMBER}/100%25%20%26%20more/{id}/%DA/%3D"
        await self.reported(f"/dlr?8/{rest}")

    async def test_A_D37_a_url_without_code(self) -> None:
        """It is called as it is, or gets ``code``, ``da``, ``id`` if it ends with ? or &."""
        await self.north(KEPT)
        await self.ask(ud="x", srr=self.url("me=1"))
        await self.reported("/dlr?me=1")
        id = (await self.ask(ud="x", srr=self.url("me=1&"))).split()[2]
        await self.reported("/dlr?me=1", f"/dlr?me=1&code=8&da={HANDSET}&id={id}")

    async def test_A_D40_on_the_way_and_delivered(self) -> None:
        """8, 4 and 1, each once (A-R30, A-R31); what comes twice is told once."""
        north = await self.north(KEPT)
        answer = await self.ask(ud="x", srr=self.url("%code"))
        await self.reported("/dlr?8")
        for _ in range(2):
            await self.receipt(north, answer, MessageState.ENROUTE, 0x20)
        await self.reported("/dlr?8", "/dlr?4")
        for _ in range(2):
            await self.receipt(north, answer)
        await self.reported("/dlr?8", "/dlr?4", "/dlr?1")
        await north.smsc.when(lambda: north.smsc.counts.receipts_answered == 4)
        await self.reported("/dlr?8", "/dlr?4", "/dlr?1")

    async def test_A_D40_what_fails(self) -> None:
        """8 and 2 if the carrier could not deliver it, 16 if it did not take it."""
        plans = iter([Plan(receipts=0), Plan(status=0x0B)])
        north = await self.north(SmscScript(decide=lambda _: next(plans)))
        answer = await self.ask(ud="x", srr=self.url("%code"))
        await self.reported("/dlr?8")
        await self.receipt(north, answer, MessageState.UNDELIVERABLE)
        await self.reported("/dlr?8", "/dlr?2")
        await self.ask(ud="x", srr=self.url("%code"))
        await self.reported("/dlr?8", "/dlr?2", "/dlr?16")

    async def test_A_D40_the_first_part_that_fails_is_told(self) -> None:
        """Without waiting for the others."""
        north = await self.north(KEPT)
        answer = await self.ask(ud="x" * 161, srr=self.url("%code"))
        await self.reported("/dlr?8")
        await self.receipt(north, answer, MessageState.UNDELIVERABLE)
        await self.reported("/dlr?8", "/dlr?2")

    async def test_A_D41_reports_by_mail(self) -> None:
        """Subject with the word, body with code, times, id and text."""
        north = await self.north(KEPT)
        answer = await self.ask(ud="Grüße", srr="alice@example.com")
        id = answer.split()[2]
        await self.mail.when(lambda: len(self.mail.mails) == 1)
        await self.receipt(north, answer)
        await self.mail.when(lambda: len(self.mail.mails) == 2)
        words = []
        for mail in self.mail.mails:
            letter: Any = email.message_from_bytes(mail.octets, policy=email.policy.default)
            assert mail.recipients == ["alice@example.com"]
            words.append(letter["Subject"])
            body = letter.get_content()
            assert f"Id: {id}" in body
            assert "Grüße" in body
        assert words == [f"SMS to {HANDSET}: Accepted by SMSC", f"SMS to {HANDSET}: Delivered"]

    async def test_inbound_targets_as_the_worked_example_has_them(self) -> None:
        """Mail, POST with the older names, GET (A-R1, A-R11 to A-R14), byte for byte."""
        north = await self.north(KEPT)
        base = f"http://127.0.0.1:{self.sink_port}"
        targets = f'["alice@example.com", "*{base}/sms.php", "{base}/in?key=s3cret&"]'
        number = f'address = "{NUMBER}"\n'
        await self.apply(
            ACCOUNT.replace(number, f"{number}targets = {targets}\n"),
            carrier("north", north.port),
            route("north"),
        )
        north.smsc.mobile_originated(HANDSET, NUMBER, "Grüße")
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        await self.mail.when(lambda: len(self.mail.mails) == 1)
        post, get = sorted(self.sink.requests, key=lambda one: one.method == "GET")
        time = post.fields["scts"]
        scts = quote_plus(time)
        plain = quote_plus(time[:19].replace("T", " "))
        fields = f"scts={scts}&da={NUMBER}&ud=Gr%C3%BC%C3%9Fe&oa={HANDSET}"
        assert (get.method, get.target) == ("GET", f"/in?key=s3cret&{fields}")
        assert (post.method, post.target) == ("POST", "/sms.php")
        assert post.headers["content-type"] == "application/x-www-form-urlencoded"
        assert post.body.decode() == (
            f"{fields}&timestamp={plain}&originator={HANDSET}&destination={NUMBER}"
            "&message=Gr%C3%BC%C3%9Fe"
        )
        assert time.endswith("+00:00")
        assert self.mail.mails[0].recipients == ["alice@example.com"]

    async def test_A_R5_A_R8_A_R9_A_R10_A_R15_each_kind_of_target(self) -> None:
        """A-R5, A-R7 to A-R10, A-R15: one message to a mailbox, a person of the fediverse, a
        mobile, a URL and a SIM, all of them at once."""
        north = await self.north()
        sims = await self.smsc()
        sim = "8944000000000000001"
        url = f"http://127.0.0.1:{self.sink_port}/in"
        targets = f"bob@example.com +@alice@social.example 447700900555 {sim} {url}"
        number = f'address = "{NUMBER}"\n'
        await self.apply(
            ACCOUNT.replace(number, f'{number}targets = "{targets}"\n'),
            carrier("north", north.port),
            carrier("sims", sims.port),
            route("north"),
            route("sims", name="sims") + "sim = true\n",
        )
        await sims.smsc.bound()
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi all")
        await self.mail.when(lambda: len(self.mail.mails) == 1)
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        await north.smsc.arrived(1)
        await sims.smsc.arrived(1)
        assert self.mail.mails[0].recipients == ["bob@example.com"]
        post, toot = sorted(self.sink.requests, key=lambda one: one.target != "/in")
        assert post.fields["ud"] == "Hi all"
        assert toot.fields["status"] == f"@alice@social.example SMS from +{HANDSET}: Hi all"
        assert [pdu.destination_addr for pdu in north.smsc.submits] == [b"447700900555"]
        assert [pdu.destination_addr for pdu in sims.smsc.submits] == [sim.encode()]

    async def test_a_connection_is_kept(self) -> None:
        """Two requests by one connection, as curl counts them."""
        await self.north(KEPT)
        query = urlencode({**LOGIN, "da": HANDSET, "ud": "x"})
        url = f"http://127.0.0.1:{self.http_port}/sms.cgi?{query}"
        said = await self.curl("--write-out", "%{num_connects}\n", url, url=url)
        lines = said.split("\n")
        assert [line for line in lines if not line.startswith("OK: ")] == ["1", "0", ""]

    async def test_A_D36_a_softphone_fetches_what_came(self) -> None:
        """Sent by the carrier, fetched by number and password."""
        north = await self.north()
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi there")
        await north.smsc.when(lambda: north.smsc.counts.mo_answered == 1)
        query = "fetch&" + urlencode(LOGIN)
        answer = await self.curl(url=f"http://127.0.0.1:{self.http_port}/sms.cgi?{query}")
        assert f"<sender>{HANDSET}</sender><sms_text>Hi there</sms_text>" in answer
