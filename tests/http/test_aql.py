"""The outbound API of the relay family over real sockets (``spec/aql.md`` 7), and the Perl client
that is in use."""

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.flow.money import Balances
from smsgw.http import relay_sending
from smsgw.http.relay_sending import DESCRIPTIONS, RelaySending
from smsgw.http.site import Request
from smsgw.http.site import Site as HttpSite
from smsgw.provisioning import Provisioning
from smsgw.rules.tables import Tables
from smsgw.testing.script import SmscScript
from smsgw.testing.sinks import HttpSink
from tests.folders import temporary_folder
from tests.http.test_websmpp import Site
from tests.integration.scene import Scene, carrier, route
from tests.running import GatewayProcess
from tests.tools import has

HANDSET = "447700900123"
OTHER = "447700900124"

LOGIN = """
[[account.credential]]
kind = "http"
username = "{name}"
password = "mypassword"
allow = ["127.0.0.0/8"]
"""
PROVISIONING = "".join(
    [
        '[[account]]\nname = "acme"\nbalance = "12.5000"\nsender = "ACME"\n',
        LOGIN.format(name="myusername"),
        LOGIN.format(name="onlynumbers") + 'resources = ["numbers"]\n',
        '[[account]]\nname = "poor"\nbalance = "0.0100"\nsender = "ACME"\n',
        LOGIN.format(name="poor"),
        '[[account]]\nname = "few"\nsender = "ACME"\n',
        "[account.settings.aql]\nmax_destinations = 2\n",
        LOGIN.format(name="few"),
        '[[carrier]]\nname = "sim"\nkind = "simulator"\n',
        '[[route]]\nname = "all"\nprefixes = ["44"]\ncarriers = ["sim"]\nprice = "0.1"\n',
    ]
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with a prepaid account."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as gateway:
        gateway.apply(PROVISIONING)
        yield Site(gateway)


def send(site: Site, path: str = "sms_gw.php", **parameters: Any) -> str:
    """A message to HANDSET by POST, with these parameters over the usual; None leaves one out."""
    names = ("destination", "message") if path == "sms_gw.php" else ("to_num", "message")
    usual = {"username": "myusername", "password": "mypassword"}
    usual |= dict(zip(names, (HANDSET, "Hello"), strict=True))
    given = {k: v for k, v in {**usual, **parameters}.items() if v is not None}
    return site.raw("POST", f"/sms/{path}", urlencode(given).encode()).decode()


def said(status: int, credits: int = 0) -> str:
    """An answer of sms_gw.php."""
    return f"{status}:{credits} {DESCRIPTIONS[status]}"


def test_queued_by_get_and_post(site: Site) -> None:
    """Status 0 and the parts as credits, with one id for each destination."""
    assert send(site) == said(0, 1)
    assert send(site, message="x" * 161, destination=f"+{HANDSET},{OTHER}") == said(0, 4)
    query = urlencode({"username": "myusername", "password": "mypassword", "message": "Hi"})
    url = f"http://127.0.0.1:{site.gateway.http_port}/sms/sms_gw.php?{query}&destination={HANDSET}"
    done = subprocess.run(["curl", "-sS", url], capture_output=True, check=True)
    assert done.stdout.decode() == "0:1 Queued"


def test_status_of_each_fault(site: Site) -> None:
    """The example of the reference, and every other status."""
    assert send(site, password="wrong") == "2:0 Authentication error"
    assert send(site, username=None) == said(2)
    assert send(site, username="onlynumbers") == said(2)
    assert send(site, destination=f"{HANDSET},12025550123") == said(1, 1)
    assert send(site, destination="abc") == said(3)
    # Not the number that is left when the letter is taken out.
    assert send(site, destination=HANDSET[:5] + "x" + HANDSET[5:]) == said(3)
    assert send(site, destination=HANDSET[:5] + "\u0664" + HANDSET[5:]) == said(3)
    assert send(
        site, destination=f"+{HANDSET[:2]} ({HANDSET[2:6]}) {HANDSET[6:9]}-{HANDSET[9:]}"
    ) == said(0, 1)
    assert send(site, destination="12025550123") == said(3)
    assert send(site, destination=None) == said(3)
    assert send(site, sendtime="tomorrow") == said(4)
    assert send(site, sendtime="2020-01-01 10:00:00") == said(4)
    assert send(site, unix_sendtime="99999999999") == said(4)
    assert send(site, username="poor") == said(5)
    assert send(site, message="x" * 161, max_concat="1") == said(5)
    assert send(site, max_concat="0") == said(5)
    assert send(site, username="few", destination=f"{HANDSET},{OTHER},447700900125") == said(5)
    assert send(site, message=None) == said(9)
    assert send(site, originator="TwelveLetter") == said(9)
    assert send(site, dlr_url="http://127.0.0.1/dlr") == said(9)
    assert send(site, dlr_url="http://a.example/" + "x" * 984) == said(9)  # each message keeps it
    assert site.raw("PUT", "/sms/sms_gw.php", b"").decode() == said(9)


def test_send_time(site: Site) -> None:
    """A time ahead is kept, unix_sendtime before sendtime; one that is just over is now."""
    later = datetime.now(UTC) + timedelta(days=2)
    assert send(site, sendtime=f"{later:%Y-%m-%d %H:%M:%S}") == said(0, 1)
    assert send(site, unix_sendtime=str(int(later.timestamp())), sendtime="x") == said(0, 1)
    now = int(datetime.now(UTC).timestamp())
    assert send(site, unix_sendtime=str(now - 10)) == said(0, 1)


def test_unicode_only_if_it_is_allowed(site: Site) -> None:
    """Else it is written in GSM, and stays one part of 160."""
    assert send(site, message="Привет" * 15, allow_unicode="1") == said(0, 2)
    assert send(site, message="Привет" * 15) == said(0, 1)
    assert send(site, message="“Łódź”…", flash="1", replace_sms="1") == said(0, 1)


def test_q_d6_shutting_down_is_503() -> None:
    """In the words of each resource, with when to ask again."""

    class Draining:
        """As much as is looked at of what takes messages."""

        draining = True

    tables = Tables(Provisioning())
    given: Any = (Config(), lambda: tables, Doors(lambda: tables), Draining(), Balances())
    http_site = HttpSite()
    relay_sending.add(http_site, RelaySending(*given))
    for path, words in (("sms_gw.php", said(9)), ("postmsg.php", "AQSMS-ERROR")):
        answer: Any = http_site.answer(Request("GET", f"/sms/{path}?cmd=credit".encode(), {}))
        assert (answer.status, answer.body.decode()) == (503, words)
        assert (b"Retry-After", b"5") in answer.headers


def test_older_resources(site: Site) -> None:
    """Their words, and a login by HTTP Basic."""
    for path in ("postmsg.php", "postmsg-concat.php"):
        assert send(site, path, orig="ACME", flash="0") == "AQSMS-OK:1"
        assert send(site, path, password="x") == "AQSMS-AUTHERROR"
        assert send(site, path, username="poor") == "AQSMS-NOCREDIT"
        assert send(site, path, message=None) == "AQSMS-NOMSG"
        assert send(site, path, to_num=None) == "AQSMS-NOMSG"
        assert send(site, path, to_num="1202") == "AQSMS-INVALID_DESTINATION"
    done = subprocess.run(
        [
            "curl",
            "-sS",
            "-u",
            "myusername:mypassword",
            f"http://127.0.0.1:{site.gateway.http_port}/sms/postmsg.php",
            "-d",
            f"to_num={HANDSET}",
            "-d",
            "message=Hello",
        ],
        capture_output=True,
        check=True,
    )
    assert done.stdout.decode() == "AQSMS-OK:1"


def test_credit(site: Site) -> None:
    """Whole units of what the account may spend."""
    query = {"username": "poor", "password": "mypassword", "cmd": "credit"}
    asked = site.raw("GET", f"/sms/postmsg.php?{urlencode(query)}").decode()
    assert asked == "AQSMS-CREDIT=0"
    query["password"] = "wrong"
    assert site.raw("GET", f"/sms/postmsg.php?{urlencode(query)}").decode() == "AQSMS-AUTHERROR"


PERL = """
use SMS::AQL;
my $sms = SMS::AQL->new({
    username => 'myusername',
    password => $ARGV[1],
    options => { sender => 'ACME', proxy => "http://127.0.0.1:$ARGV[0]/" },
});
my ($ok, $why) = $sms->send_sms('+447700900123', 'Hello from Perl');
print "$ok|$why|", $sms->last_response, "|", ($sms->credit // 'none'), "\\n";
"""


@pytest.mark.skipif(not has("SMS::AQL"), reason="needs libsms-aql-perl")
def test_perl_client_sends_and_reads_its_credit(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """SMS::AQL of Debian, pointed here by its own ``proxy`` option."""
    with GatewayProcess(tmp_path_factory.mktemp("perl")) as gateway:
        gateway.apply(PROVISIONING)

        def perl(password: str) -> str:
            done = subprocess.run(
                ["perl", "-e", PERL, str(gateway.http_port), password],
                capture_output=True,
                check=True,
                text=True,
            )
            assert not done.stderr
            return done.stdout

        assert perl("mypassword") == "1|OK|AQSMS-OK:1|12\n"
        why = "The username and password supplied were incorrect"
        assert perl("wrong") == f"0|{why}|AQSMS-AUTHERROR|none\n"
        [account] = [
            one for one in json.loads(gateway.cli("accounts", "--json")) if one["name"] == "acme"
        ]
        assert account["balance"] == "12.40"


class Reports(Scene):
    """``dlr_url`` up to a server that is called."""

    async def test_dlr_url_is_called_with_code_and_dest(self) -> None:
        """8 when the carrier has it and 1 when the handset has; 16 if the carrier refuses."""
        sink = HttpSink(reactor)
        url = f"http://127.0.0.1:{await sink.start()}/dlr?code=%code&dest=%dest"
        self.addCleanup(sink.stop)
        north = await self.smsc()
        refusing = await self.smsc(SmscScript(refusals={0x0B: 1.0}))
        config = "[aaisp]\nallow_private_callbacks = true\n"
        gateway = GatewayProcess(Path(temporary_folder(self)), config)
        await deferToThread(gateway.start)
        self.addCleanup(gateway.stop)
        self.admin_port = gateway.admin_port
        await self.apply(
            f'[[account]]\nname = "acme"\nsender = "ACME"\n{LOGIN.format(name="myusername")}',
            carrier("north", north.port),
            carrier("east", refusing.port),
            route("north"),
            route("east", name="east", prefix="4479"),
        )
        await north.smsc.bound()
        await refusing.smsc.bound()
        site = Site(gateway)
        assert await deferToThread(send, site, dlr_url=url) == said(0, 1)
        await sink.when(lambda: any("code=1&" in one.target for one in sink.requests))
        codes = [one.fields["code"] for one in sink.requests]
        assert codes in (["8", "1"], ["1"])
        assert sink.requests[-1].target == f"/dlr?code=1&dest={HANDSET}"
        assert await deferToThread(send, site, dlr_url=url, destination="447900900123") == said(
            0, 1
        )
        await sink.when(lambda: any("code=16&" in one.target for one in sink.requests))
        assert sink.requests[-1].target == "/dlr?code=16&dest=447900900123"
