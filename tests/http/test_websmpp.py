"""The websmpp dialect over real sockets: each requirement and decision of ``spec/ams-websmpp.md``
that is of HTTP, named by its id."""

import http.client
import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from urllib.parse import urlencode

import pytest
import smpplib.client
import xlrd
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from smsgw import identities
from smsgw.config import Config
from smsgw.dialects import Ams
from smsgw.doors import Doors
from smsgw.flow.money import Balances
from smsgw.http import websmpp
from smsgw.http.site import Request, Response
from smsgw.http.site import Site as HttpSite
from smsgw.http.websmpp import WebSmpp
from smsgw.http.websmpp_answers import TEXTS, word
from smsgw.identities import Identities
from smsgw.login import Login
from smsgw.message import Acknowledgement, Message, MessageState
from smsgw.provisioning import Account, Credential, Provisioning
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.store.journal import StoreFailed
from smsgw.text import gsm
from tests.running import GatewayProcess, SmscProcess, free_ports
from tests.tools import has

NUMBER = "447700900001"
OTHER = "447700900002"
WAITING = "447700800001"  # for a carrier that is not there
LATER = "447700500001"  # and for another
KEY = "A1b2C3d4E5f6G7h"
FORM = "application/x-www-form-urlencoded"
ID = r"[1-9][0-9]{0,18}"


def login(name: str, more: str = "") -> str:
    """An HTTP login of an account; ``more`` may set ``allow`` again."""
    allow = "" if "allow" in more else 'allow = ["127.0.0.0/8"]\n'
    return (
        f'[[account.credential]]\nkind = "http"\nusername = "{name}"\npassword = "12345"\n'
        f"{allow}{more}"
    )


def an_account(name: str, settings: str = "", more: str = "", own: str = "") -> str:
    """An account with a login; ``own`` are settings of the dialect."""
    own = f"[account.settings.ams]\n{own}" if own else ""
    return f'[[account]]\nname = "{name}"\n{settings}{own}{login(name, more)}'


PROVISIONING = "\n".join(
    [
        an_account("testUser", 'balance = "245.3700"\n', f'access_key = "{KEY}"\n'),
        '[[account.credential]]\nkind = "smpp"\nusername = "testUser"\npassword = "12345"\n'
        'allow = ["127.0.0.0/8"]\nprofile = "websmpp"\n',
        '[[account.pool]]\nname = "Pool"\nsenders = ["ACME"]\n',
        an_account("euro", 'balance = "10"\ncurrency = "EUR"\nprice_list = "gold"\n'),
        an_account("below", 'parent = "euro"\n'),
        an_account("poor", 'balance = "0.0100"\nprice_list = "gold"\n'),
        an_account("limited", 'senders = ["Good"]\nmax_parts = 2\n'),
        an_account("suspended", "suspended = true\n"),
        an_account("expired", 'expires = "2020-01-01"\n'),
        an_account("elsewhere", "", 'allow = ["192.0.2.1"]\n'),
        an_account("restonly", "", 'interfaces = ["rest"]\n'),
        an_account("shut", "", "", "enabled = false\n"),
        an_account("strict", "", "", "auto_type = false\nbare_response = true\n"),
        an_account("ampersand", "", "", "allow_amp_hash = true\n"),
        an_account("beirut", "", "", 'default_zone = "Asia/Beirut"\n'),
        an_account("bound", "", "", "require_bound_route = true\n"),
        an_account("waits", "", "", "sync_submit = true\n"),
        an_account("slow", "rate = 5\n"),
        an_account("daily", "quota_day = 3\n"),
        '[[carrier]]\nname = "sim"\nkind = "simulator"\nwindow = 1000\n',
        '[[carrier]]\nname = "fails"\nkind = "simulator"\nstates = { UNDELIV = 1 }\n',
        '[[route]]\nname = "all"\nprefixes = ["44", "961"]\ncarriers = ["sim"]\n',
        '[[route]]\nname = "waiting"\nprefixes = ["4477008"]\ncarriers = ["down"]\n',
        '[[route]]\nname = "failing"\nprefixes = ["4477007"]\ncarriers = ["fails"]\n',
        '[[route]]\nname = "refused"\nprefixes = ["4477006"]\ncarriers = ["refuses"]\n',
        '[[route]]\nname = "later"\nprefixes = ["4477005"]\ncarriers = ["later"]\n',
        '[[filter]]\nname = "bad"\ntext = "forbidden"\n',
        '[[network]]\nname = "em"\nmcc = "999"\nmnc = "01"\nprefixes = ["4477009"]\n'
        'country = "Exampleland"\noperator = "Example Mobile"\n',
        '[[network]]\nname = "other"\nmcc = "999"\nmnc = "02"\nprefixes = ["4477008"]\n'
        'country = "Exampleland"\noperator = "Other"\n',
        '[[price_list]]\nname = "gold"\n'
        '[[price_list.price]]\nmcc = "999"\nmnc = "01"\nprice = "0.0450"\n'
        '[[price_list.price]]\nmcc = "999"\nprice = "0.0600"\n'
        '[[price_list.price]]\nprefix = "961"\nprice = "0.0700"\n'
        'remarks = "=1+1, \\"quoted\\""\n',
    ]
)


class Site:
    """The gateway's websmpp, asked over one connection for each request."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.status = 0
        self.headers: dict[str, str] = {}

    def raw(
        self, method: str, target: str, body: bytes | None = None, content_type: str = FORM
    ) -> bytes:
        """The body of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.gateway.http_port, timeout=60)
        headers = {"Content-Type": content_type} if body is not None else {}
        connection.request(method, target, body, headers)
        answer = connection.getresponse()
        octets = answer.read()
        connection.close()
        self.status, self.headers = answer.status, dict(answer.getheaders())
        return octets

    def get(self, service: str, **parameters: Any) -> str:
        """A GET of a service; a value None leaves a parameter out."""
        query = urlencode({k: v for k, v in parameters.items() if v is not None})
        return self.raw("GET", f"/websmpp/{service}?{query}").decode()

    def post(self, service: str, **parameters: Any) -> str:
        """The same by POST."""
        body = urlencode({k: v for k, v in parameters.items() if v is not None}).encode()
        return self.raw("POST", f"/websmpp/{service}", body).decode()

    def send(self, **parameters: Any) -> str:
        """A submission by GET, of testUser unless said otherwise."""
        return self.get("websms", **submission(**parameters))

    def sent(self, **parameters: Any) -> int:
        """The id of one that must be accepted."""
        return id_of(self.send(**parameters))

    def parts(self, **parameters: Any) -> int:
        """In how many parts it went."""
        text = self.gateway.cli("status", str(self.sent(**parameters)), "--json")
        return int(json.loads(text)["parts"])

    def becomes(self, id: int, *words: str, **parameters: Any) -> str:
        """The answer of websmsstatus once it is one of ``words``."""
        said = ""

        def reached() -> bool:
            nonlocal said
            said = self.get("websmsstatus", respId=id, **parameters)
            return said in words

        self.gateway.wait_until(reached, f"did not come to {words}: {said}")
        return said


def submission(**parameters: Any) -> dict[str, Any]:
    """The parameters of a submission, those given over the usual ones."""
    usual = {"user": "testUser", "pass": "12345", "sid": "Test", "mno": NUMBER, "type": "1"}
    return {**usual, "text": "testing English message", **parameters}


def id_of(answer: str) -> int:
    """The id of a success."""
    found = re.fullmatch(f"Response: ({ID})", answer)
    assert found is not None, answer
    return int(found[1])


def error(code: str) -> str:
    """The line of an error."""
    return f"ERROR - {code} --> {TEXTS[code]}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with simulated carriers, one that is not there, and one that refuses."""
    script = 'refusals = { "0x0B" = 1.0 }\n'
    (nobody,) = free_ports(1)
    with (
        SmscProcess(tmp_path_factory.mktemp("smsc"), script) as smsc,
        GatewayProcess(tmp_path_factory.mktemp("gateway")) as gateway,
    ):
        down = smsc.carrier("down").replace(f"port = {smsc.port}", f"port = {nobody}")
        later = down.replace('"down"', '"later"')
        gateway.apply("\n".join([PROVISIONING, down, later, smsc.carrier("refuses")]))
        for name in ("sim", "fails", "refuses"):
            gateway.wait_until(lambda name=name: gateway.carrier_is_up(name), f"{name} is not up")
        yield Site(gateway)


# Section 5: the worked examples.


def test_worked_submission(site: Site) -> None:
    """W-R13, W-R20, W-D6, W-D25: the first example, with an id of ours, in octets."""
    done = subprocess.run(
        [
            "curl",
            "-sSi",
            f"http://127.0.0.1:{site.gateway.http_port}/websmpp/websms?user=testUser&pass=12345"
            f"&sid=Test&mno={NUMBER},{OTHER}&type=1&text=testing%20English%20message",
        ],
        capture_output=True,
        check=True,
    )
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert "Content-Type: text/plain; charset=utf-8" in lines
    assert f"Content-Length: {len(body)}" in lines
    id = id_of(body.decode())
    first, second = site.becomes(id, f"{NUMBER}:DELIVRD\n{OTHER}:DELIVRD").split("\n")
    assert (first, second) == (f"{NUMBER}:DELIVRD", f"{OTHER}:DELIVRD")
    assert site.get("websmsstatus", respid=id, mno=OTHER) == "DELIVRD"


def test_worked_arabic_post(site: Site) -> None:
    """W-D7, W-D16: the form of the last example is sent as UCS-2."""
    body = (
        b"user=testUser&pass=12345&sid=Test&mno=447700900001&type=4&text=%D8%A7%D8%AE%D8%AA%D8%A8"
        b"%D8%A7%D8%B1+%D8%B1%D8%B3%D8%A7%D9%84%D8%A9"
    )
    id_of(site.raw("POST", "/websmpp/websms", body).decode())


def test_worked_errors(site: Site) -> None:
    """A wrong password, and a balance without one, to the letter."""
    assert site.send(**{"pass": "wrong"}) == "ERROR - HTTP04 --> Invalid Password"
    said = site.get("balanceReport", userid="testUser")
    assert said == "ERROR - HTTP02 --> Invalid query string"
    assert (site.status, site.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")


def test_reference_examples(site: Site) -> None:
    """W-R13 to W-R17: the five submissions of the reference."""
    for kind, text in (
        ("1", "testing English message"),
        ("2", "testing unicode message".encode("utf-16-be").hex().upper()),
        ("3", "testing $@ Character"),
        ("4", "اختبار رسالة عربية"),
    ):
        site.sent(mno="9613123456", type=kind, text=text)
    later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y%m%d%H%M")
    id = site.sent(mno="9613123456", text="testing Schedule ", gmt="+0530", schtime=later)
    assert site.get("websmsstatus", respId=id) == "ATES"


# Section 2.6: all 26 errors.

ERRORS: list[tuple[str, str, dict[str, Any]]] = [
    ("HTTP02", "user and pass missing", {"user": None, "pass": None}),
    ("HTTP02", "W-R19: an ampersand in text", {"text": "a&b"}),
    ("HTTP02", "W-R19: a hash in text", {"text": "a#b"}),
    ("HTTP02", "W-D18: the same in hex", {"type": "2", "text": "0026"}),
    ("HTTP03", "what the gateway does not send", {"text": "forbidden"}),
    ("HTTP04", "wrong password", {"pass": "x"}),
    ("HTTP05", "unknown user", {"user": "nobody"}),
    ("HTTP06", "no sender", {"sid": None}),
    ("HTTP06", "W-D20: too long", {"sid": "TwelveLetter"}),
    ("HTTP06", "W-D20: other characters", {"sid": "A*B"}),
    ("HTTP06", "not the account's", {"user": "limited", "sid": "Bad"}),
    ("HTTP07", "no such type", {"type": "5"}),
    ("HTTP07", "W-D13: not GSM", {"type": "1", "text": "Привет"}),
    ("HTTP07", "W-D13: nor by type 3", {"type": "3", "text": "Привет"}),
    ("HTTP07", "W-D15: no hex", {"type": "2", "text": "00zz"}),
    ("HTTP07", "W-D15: half of a pair", {"type": "2", "text": "D83D"}),
    ("HTTP07", "W-D17: strict", {"user": "strict", "type": None}),
    ("HTTP09", "no number", {"mno": None}),
    ("HTTP09", "not one that is valid", {"mno": "abc,12"}),
    ("HTTP10", "W-D19: more than six parts", {"text": "x" * (153 * 6 + 1)}),
    ("HTTP10", "more than the account may", {"user": "limited", "sid": "Good", "text": "x" * 307}),
    ("HTTP11", "account suspended", {"user": "suspended"}),
    ("HTTP11", "service switched off for it", {"user": "shut"}),
    ("HTTP12", "the carrier refuses", {"user": "waits", "mno": "447700600001"}),
    ("HTTP14", "no carrier is bound", {"user": "bound", "mno": WAITING}),
    ("HTTP15", "address not in the list", {"user": "elsewhere"}),
    ("HTTP15", "no right to websmpp", {"user": "restonly"}),
    ("HTTP17", "empty text", {"text": ""}),
    ("HTTP17", "W-D15: 278 digits", {"type": "2", "text": "0041" * 69 + "00"}),
    ("HTTP18", "not enough for all", {"user": "poor"}),
    ("HTTP19", "dcs is no number", {"dcs": "x"}),
    ("HTTP19", "dcs not for the type", {"dcs": "8"}),
    ("HTTP20", "esm is no number", {"esm": "256"}),
    ("HTTP20", "esm not allowed", {"esm": "4"}),
    ("HTTP21", "header is no hex", {"header": "0x"}),
    ("HTTP21", "its length is wrong", {"header": "0600030A0201"}),
    ("HTTP22", "no twelve digits", {"schtime": "2030"}),
    ("HTTP22", "no date", {"schtime": "203013011200"}),
    ("HTTP22", "in the past", {"schtime": "202001011200"}),
    ("HTTP22", "W-D23: too far ahead", {"schtime": "209901011200"}),
    ("HTTP22", "gmt malformed", {"schtime": "203001011200", "gmt": "x"}),
    ("HTTP23", "no route", {"mno": "12025550123"}),
    ("HTTP24", "W-R11: 101 by GET", {"mno": ",".join(f"4477009{n:05}" for n in range(101))}),
    ("HTTP26", "account expired", {"user": "expired"}),
]


@pytest.mark.parametrize(
    ("code", "why", "parameters"), ERRORS, ids=[f"{c} {w}" for c, w, _ in ERRORS]
)
def test_errors_of_submission(site: Site, code: str, why: str, parameters: dict[str, Any]) -> None:
    """W-R19, W-R21, W-R30, W-D19, W-D23: each has its code and its text to the letter, and is 200
    in plain text."""
    assert site.send(**parameters) == error(code)
    assert (site.status, site.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")


def test_errors_of_shape(site: Site) -> None:
    """W-R9, W-R30: there are four services. HTTP01 for a path or query that is none, HTTP16 for a
    method or body that is none."""
    assert site.get("nothing") == error("HTTP01")
    assert site.raw("GET", "/websmpp/websms?user=a&b").decode() == error("HTTP01")
    assert site.raw("GET", "/websmpp/websms?user=%ff").decode() == error("HTTP01")
    assert site.raw("PUT", "/websmpp/websms", b"").decode() == error("HTTP16")
    assert site.raw("POST", "/websmpp/websms", b"{", "application/json").decode() == error("HTTP16")
    assert site.raw("POST", "/websmpp/websms", b"x", "text/xml").decode() == error("HTTP16")
    assert site.raw("HEAD", "/websmpp/websms?" + urlencode(submission())) == b""
    assert site.status == 200


def test_errors_of_status(site: Site) -> None:
    """W-R30: HTTP08 for what is no id, HTTP25 for an unknown one."""
    assert site.get("websmsstatus") == error("HTTP08")
    assert site.get("websmsstatus", respId="abc") == error("HTTP08")
    assert site.get("websmsstatus", respId="1") == error("HTTP25")
    assert site.get("websmsstatus", respId="9" * 19) == error("HTTP25")  # no id of any store
    id = site.sent(mno=WAITING)
    assert site.get("websmsstatus", respId=id, mno=OTHER) == error("HTTP25")


def test_w_r30_texts_are_those_of_the_table() -> None:
    """All 26 are there, in order and without gaps."""
    assert list(TEXTS) == [f"HTTP{n:02}" for n in range(1, 27)]


def test_w_d12_order_of_checks(site: Site) -> None:
    """The first fault in the order decides, whatever else is wrong."""
    wrong: dict[str, Any] = {
        "user": "suspended",
        "pass": None,
        "sid": "A*B",
        "type": "5",
        "text": "",
        "dcs": "x",
        "esm": "x",
        "header": "x",
        "mno": "abc",
        "schtime": "x",
    }
    mended: list[tuple[str, dict[str, Any]]] = [
        ("HTTP11", {}),
        ("HTTP02", {"user": "nobody"}),
        ("HTTP05", {"pass": "x"}),
        ("HTTP04", {"user": "poor"}),
        ("HTTP06", {"pass": "12345"}),
        ("HTTP07", {"sid": "Test"}),
        ("HTTP17", {"type": "1"}),
        ("HTTP19", {"text": "x" * 1000}),
        ("HTTP20", {"dcs": "0"}),
        ("HTTP21", {"esm": "0"}),
        ("HTTP09", {"header": None}),
        ("HTTP24", {"mno": ",".join(f"1202555{n:04}" for n in range(101))}),
        ("HTTP10", {"mno": "12025550123"}),
        ("HTTP22", {"text": "x"}),
        ("HTTP23", {"schtime": None}),
        ("HTTP18", {"mno": NUMBER}),
    ]
    for code, mend in mended:
        wrong |= mend
        assert site.send(**wrong) == error(code), wrong


# How it is asked.


def test_w_r10_w_d7_get_post_multipart_and_both(site: Site) -> None:
    """A form, a multipart form, and a query beside a body; two values of one name are HTTP02."""
    id_of(site.post("websms", **submission()))
    pieces = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in submission().items()
    )
    octets = f"{pieces}--b--\r\n".encode()
    id_of(site.raw("POST", "/websmpp/websms", octets, "multipart/form-data; boundary=b").decode())
    body = urlencode(submission(sid=None) | {"sid": "Test"}).encode()
    id_of(site.raw("POST", "/websmpp/websms?sid=Test", body).decode())
    assert site.raw("POST", "/websmpp/websms?sid=Other", body).decode() == error("HTTP02")


def test_w_d8_names_without_regard_to_case_and_blanks(site: Site) -> None:
    """The reference prints them so; what is unknown does not matter."""
    query = f"%20user=testUser&PASS=12345&Sid=Test&MNO={NUMBER}&type%20=1&Text=x&foo=bar&foo=baz"
    # Even an unknown name has one value only.
    assert site.raw("GET", f"/websmpp/websms?{query}").decode() == error("HTTP02")
    id_of(site.raw("GET", f"/websmpp/websms?{query.replace('&foo=baz', '')}").decode())


def test_w_d9_numbers(site: Site) -> None:
    """Separators and marks are understood, duplicates sent once, what is no number is skipped."""
    mno = f"+{NUMBER[:4]} {NUMBER[4:]}; 00{OTHER},{NUMBER}, 4477-0090-0003,nonsense"
    said = json.loads(site.send(mno=mno, respformat="json"))
    assert said["accepted"] == 3
    assert said["rejected"] == ["nonsense"]
    lines = site.get("websmsstatus", respId=said["respId"]).split("\n")
    assert [line.partition(":")[0] for line in lines] == [NUMBER, OTHER, "447700900003"]


def test_w_r11_hundred_by_get(site: Site) -> None:
    """100 pass; 101 entries do not, though all are the same number."""
    id_of(site.send(mno=",".join(f"4477009{n:05}" for n in range(100))))
    assert site.send(mno=",".join([NUMBER] * 101)) == error("HTTP24")


def test_w_r12_ten_thousand_by_post(site: Site) -> None:
    """10,000 pass and have one id; 10,001 do not."""
    numbers = [f"4477008{n:05}" for n in range(10_001)]
    assert site.post("websms", **submission(mno=",".join(numbers))) == error("HTTP24")
    id = id_of(site.post("websms", **submission(mno=",".join(numbers[:-1]))))
    lines = site.get("websmsstatus", respId=id).split("\n")
    assert lines == [f"{number}:ATES" for number in numbers[:-1]]


def test_w_d10_limits(site: Site) -> None:
    """A body above 2 MB is 413, a URL above 16 kB is refused, one of 15 kB is not."""
    said = site.raw("POST", "/websmpp/websms", b"text=" + b"x" * (2 * 1024 * 1024))
    assert (site.status, said.decode()) == (413, error("HTTP16"))
    site.raw("GET", "/websmpp/websms?text=" + "x" * 17_000)
    assert site.status in (414, 431)
    assert site.raw("GET", "/websmpp/websms?text=" + "x" * 15_000).decode() == error("HTTP02")


def test_w_d11_access_key(site: Site) -> None:
    """It stands for user and password everywhere; a wrong one is a wrong password."""
    site.sent(user=None, accesskey=KEY, **{"pass": None})
    assert site.get("balanceReport", accesskey=KEY) == "245.3700"
    assert site.get("balanceReport", accesskey="A" * 15) == error("HTTP04")


# Text, types, length.


def test_w_r18_w_d14_septets(site: Site) -> None:
    """160 letters are one part; characters of the extension table count twice, the euro too."""
    assert site.parts(mno=WAITING, text="x" * 160) == 1
    for twice in "[]{}|\\~^€\f":
        assert site.parts(mno=WAITING, text="x" * 159 + twice) == 2, twice
    assert gsm.septets("[]{}|\\~^") == 16


def test_w_r17_w_d15_unicode(site: Site) -> None:
    """280 digits are one part, 284 are two, in either case."""
    assert site.parts(mno=WAITING, type="2", text="0041" * 70) == 1
    assert site.parts(mno=WAITING, type="2", text="00e9" * 71) == 2
    assert site.parts(mno=WAITING, type="2", text="d83dDE00") == 1


def test_w_r17_w_d16_arabic(site: Site) -> None:
    """70 characters are one part, 71 are two."""
    assert site.parts(mno=WAITING, type="4", text="ا" * 70) == 1
    assert site.parts(mno=WAITING, type="4", text="ا" * 71) == 2


def test_w_d17_type_is_found(site: Site) -> None:
    """Not GSM is 4, hex digits are 2, anything else is 1 (F-5)."""
    for text in ("Привет", "0041", "plain"):
        site.sent(type=None, text=text, mno=WAITING)
        site.sent(type="0", text=text, mno=WAITING)


def test_w_d18_setting_allows_amp_and_hash(site: Site) -> None:
    """``ams.allow_amp_hash`` of the account."""
    site.sent(user="ampersand", text="R&D #1")


def test_w_d20_senders(site: Site) -> None:
    """Digits, names with blank and marks, and a pool of the account."""
    for sid in ("447700900000", "1234567890123456", "12345", "A.B-C_D&E 1", "Pool"):
        site.sent(sid=sid)
    for sid in ("12345678901234567", "ABCDEFGHIJKL", "A*B", ""):
        assert site.get("websms", **submission(sid=sid)) == error("HTTP06")
    site.sent(user="limited", sid="Good")


def test_w_d21_header_dcs_and_esm(site: Site) -> None:
    """A header makes the hex of type 2 raw user data; flash and reply path may be asked for."""
    site.sent(type="2", header="06050415820000", text="414243", dcs="4", mno=WAITING)
    site.sent(type="1", header="0500030a0201", text="first of two", mno=WAITING)
    site.sent(dcs="16", esm="128", mno=WAITING)
    site.sent(type="2", esm="64", dcs="4", text="0605041582000041", mno=WAITING)
    assert site.send(type="2", header="0605041582000", text="41") == error("HTTP21")
    assert site.send(type="2", header="06050415820000", text="414", dcs="4") == error("HTTP17")


# Scheduling.


def test_w_r14_w_r16_w_d22_schedule(site: Site) -> None:
    """The offset may have lost its plus, and come in four forms; all are the same time."""
    day = datetime.now(UTC).date() + timedelta(days=20)
    for gmt in ("%2B0530", "+0530", "%200530", "%2B05:30"):
        query = urlencode(submission(schtime=f"{day:%Y%m%d}1422", mno=LATER)) + f"&gmt={gmt}"
        id = id_of(site.raw("GET", f"/websmpp/websms?{query}").decode())
        assert site.get("websmsstatus", respId=id) == "ATES"  # W-D24
    due = datetime(day.year, day.month, day.day, 8, 52, tzinfo=UTC)
    assert _queue(site, "carrier:later") == (4, due)
    # An hour earlier than all of these, but only in the zone of its account; later by UTC.
    id_of(site.send(user="beirut", schtime=f"{day:%Y%m%d}1030", mno=LATER))
    count, first = _queue(site, "carrier:later")
    assert (count, first.hour) in ((5, 7), (5, 8))
    id_of(site.send(gmt="+0530"))  # W-D23: without schtime it is ignored


def _queue(site: Site, name: str) -> tuple[int, datetime]:
    """How many entries a queue has, and when the first of them is due."""
    for one in json.loads(site.gateway.cli("queues", "--json")):
        if one["name"] == name:
            return one["waiting"], datetime.fromtimestamp(one["oldest"] / 1000, UTC)
    raise AssertionError(f"nothing in {name}")


# Answers.


def test_w_d25_bare_response(site: Site) -> None:
    """With ``ams.bare_response`` of the account the id is all."""
    assert re.fullmatch(ID, site.send(user="strict"))


def test_w_d26_json(site: Site) -> None:
    """``respformat=json`` for success and for errors."""
    said = json.loads(site.send(mno=f"{NUMBER},abc", respformat="json"))
    assert site.headers["Content-Type"] == "application/json"
    assert re.fullmatch(ID, said.pop("respId"))
    assert said == {"status": "OK", "accepted": 1, "rejected": ["abc"]}
    said = json.loads(site.send(respformat="json", **{"pass": "x"}))
    assert said == {"status": "ERROR", "code": "HTTP04", "message": "Invalid Password"}


def test_f4_campaign(site: Site) -> None:
    """The JSON of F-4: one text to many, a text for each, a list of contacts, and an error."""
    common = {
        "username": "testUser",
        "password": "12345",
        "sender": "Test",
        "type": 1,
        "format": 1,
        "gsm": [int(NUMBER), OTHER],
        "text": "Hello",
    }
    id = _campaign(site, common)["batch_id"]
    site.becomes(id, f"{NUMBER}:DELIVRD\n{OTHER}:DELIVRD")

    each = {**common, "format": 2, "type": 0}
    each["custom"] = [{"gsm": NUMBER, "text": "Hello"}, {"gsm": OTHER, "text": "Привет"}]
    assert _campaign(site, each)["accepted"] == 2

    site.gateway.cli("list", "create", "--type", "contact", "testUser", "friends")
    site.gateway.cli("list", "add", "testUser", "friends", NUMBER, OTHER)
    group = {k: v for k, v in common.items() if k != "gsm"} | {"group": "friends"}
    assert _campaign(site, group)["accepted"] == 2
    assert _campaign(site, group | {"group": "none"})["code"] == "HTTP09"

    assert _campaign(site, common | {"password": "x"}) == {
        "status": "ERROR",
        "code": "HTTP04",
        "message": "Invalid Password",
    }


def _campaign(site: Site, campaign: dict[str, Any]) -> dict[str, Any]:
    body = json.dumps({"campaign": campaign}).encode()
    said = json.loads(site.raw("POST", "/websmpp/websms", body, "application/json"))
    response: dict[str, Any] = said["response"]
    return response


def test_w_r22_w_r23_w_d29_states(site: Site) -> None:
    """Where a message stands, in the words of the table."""
    assert site.get("websmsstatus", respId=site.sent(mno=WAITING)) == "ATES"
    assert site.becomes(site.sent(), "DELIVRD")
    assert site.becomes(site.sent(mno="447700700001"), "UNDELIV")
    assert site.becomes(site.sent(mno="447700600001"), "REJECTD")
    cancelled = site.sent(mno=WAITING)
    site.gateway.cli("cancel", str(cancelled))
    assert site.get("websmsstatus", respId=cancelled) == "DELETED"


def test_w_d5_a_message_of_smpp_is_visible(site: Site) -> None:
    """Its message_id is an id of websmsstatus."""
    client = smpplib.client.Client(
        "127.0.0.1", site.gateway.smpp_port, allow_unknown_opt_params=True
    )
    client.connect()
    client.bind_transceiver(system_id="testUser", password="12345")
    client.send_message(
        source_addr="ACME", source_addr_ton=5, destination_addr=WAITING, short_message=b"Hello"
    )
    answer = client.read_pdu()
    client.unbind()
    client.disconnect()
    # The standard listener of the test writes ids in hex.
    text = answer.message_id.decode()
    found = identities.from_guid(text)
    id = int(text) if text.isdigit() and len(text) < 20 else (found or (0, 0))[0]
    assert site.get("websmsstatus", respId=id) == "ATES"


def test_w_d27_refused_destinations_of_a_request(site: Site) -> None:
    """One id for all; those without a route are there as rejected."""
    id = site.sent(mno=f"{NUMBER},12025550123")
    site.becomes(id, f"{NUMBER}:DELIVRD\n12025550123:REJECTD")


def test_w_d30_who_may_ask(site: Site) -> None:
    """Any caller whose address is in a list; with a login only of its own (I6)."""
    id = site.sent(mno=WAITING)
    assert site.post("websmsstatus", RESPID=id) == "ATES"
    own = {"user": "testUser", "pass": "12345"}
    assert site.get("websmsstatus", respId=id, **own) == "ATES"
    other = {"userid": "euro", "password": "12345"}
    assert site.get("websmsstatus", respId=id, **other) == error("HTTP15")


def test_w_r24_w_d31_balance(site: Site) -> None:
    """The number first; the currency after it if the account has one."""
    assert site.get("balanceReport", userid="testUser", password="12345") == "245.3700"
    assert site.get("balanceReport", userid="euro", password="12345") == "10.0000 EUR"
    assert site.get("balanceReport", userid="below", password="12345") == "10.0000 EUR"
    assert site.post("balanceReport", userid="testUser", password="12345") == "245.3700"
    assert site.get("balanceReport", password="12345") == error("HTTP02")


def test_w_d24_credit_is_reserved_at_acceptance(site: Site) -> None:
    """A scheduled message is paid when it is accepted, and a request that cannot be paid as a whole
    costs nothing (HTTP18)."""
    before = float(site.get("balanceReport", userid="euro", password="12345").split()[0])
    later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y%m%d%H%M")
    site.sent(user="euro", schtime=later)
    after = float(site.get("balanceReport", userid="euro", password="12345").split()[0])
    assert round(before - after, 4) == 0.045
    # The list has 444 parts for this money, and 500 are asked for.
    numbers = ",".join(f"4477009{n:05}" for n in range(500))
    assert site.post("websms", **submission(user="euro", mno=numbers)) == error("HTTP18")
    said = site.get("balanceReport", userid="euro", password="12345")
    assert float(said.split()[0]) == after


def test_rates_and_quotas_hold_for_the_whole_request(site: Site) -> None:
    """A request larger than the rate passes when nothing was sent before, and then its parts are
    owed; one above the quota is refused whole."""
    numbers = ",".join(f"4477009{n:05}" for n in range(20))
    site.sent(user="slow", mno=numbers)
    assert site.send(user="slow") == error("HTTP03")
    assert site.send(user="daily", mno=",".join(numbers.split(",")[:4])) == error("HTTP18")
    site.sent(user="daily", mno=",".join(numbers.split(",")[:3]))


# Coverage.


def _coverage(site: Site, **parameters: Any) -> bytes:
    query = urlencode({"userid": "euro", "password": "12345", **parameters})
    return site.raw("GET", f"/websmpp/downloadcoverage?{query}")


def test_w_r26_w_d32_csv(site: Site) -> None:
    """The worked example, quoted, and with no cell that a spreadsheet would compute."""
    text = _coverage(site, format=3).decode()
    assert site.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert site.headers["Content-Disposition"] == 'attachment; filename="euro_coverage.csv"'
    assert text == (
        "Country,Operator,MCC,MNC,Cost,Currency,Remarks\r\n"
        ',\'+961,, ,0.0700,EUR,"\'=1+1, ""quoted"""\r\n'
        "Exampleland,Example Mobile,999,01,0.0450,EUR,\r\n"
        "Exampleland,Rest,999, ,0.0600,EUR,\r\n"
    )


def test_w_r28_w_d32_xls_is_the_default(site: Site) -> None:
    """A real BIFF file that a reader opens without a word; codes keep their zeros."""
    octets = _coverage(site)
    assert site.headers["Content-Type"] == "application/vnd.ms-excel"
    assert site.headers["Content-Disposition"] == 'attachment; filename="euro_coverage.xls"'
    said = BytesIO()
    log = open_log = _Words()
    book = xlrd.open_workbook(file_contents=octets, logfile=log)
    assert (open_log.text, said.getvalue()) == ("", b"")
    assert book.biff_version == 80
    [sheet] = book.sheets()
    assert sheet.name == "euro(0)"
    rows = [sheet.row_values(n) for n in range(sheet.nrows)]
    assert rows[0] == ["Country", "Operator", "MCC", "MNC", "Cost", "Currency", "Remarks"]
    assert rows[2][:6] == ["Exampleland", "Example Mobile", "999", "01", "0.0450", "EUR"]
    assert rows[3][3] == " "


class _Words:
    """Where a reader complains."""

    text = ""

    def write(self, text: str) -> None:
        """One more complaint."""
        self.text += text


@pytest.mark.skipif(not has("pdftotext"), reason="needs poppler-utils")
def test_w_r29_w_d32_pdf(site: Site) -> None:
    """What pdftotext reads has the columns with a serial number in front, and the lines."""
    octets = _coverage(site, format=2)
    assert _coverage(site, format=2) == octets
    assert site.headers["Content-Type"] == "application/pdf"
    done = subprocess.run(
        ["pdftotext", "-layout", "-", "-"], input=octets, capture_output=True, check=True
    )
    assert not done.stderr
    lines = [line.split() for line in done.stdout.decode().splitlines() if line.strip()]
    assert lines[0] == ["S.No", "Country", "Operator", "MCC", "MNC", "Cost", "Currency", "Remarks"]
    assert ["2", "Exampleland", "Example", "Mobile", "999", "01", "0.0450", "EUR"] in lines


def test_w_r25_w_r27_coverage_errors(site: Site) -> None:
    """Other formats are HTTP16, no login is HTTP02, no price list is HTTP25."""
    assert _coverage(site, format=4).decode() == error("HTTP16")
    assert site.get("downloadcoverage", userid="euro") == error("HTTP02")
    said = site.get("downloadcoverage", userid="testUser", password="12345")
    assert said == error("HTTP25")


# With other settings.


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with the settings that are of all accounts the other way round."""
    config = "[ams]\nhttp_status_errors = true\nhide_unknown_user = true\nstatus_auth = true\n"
    with GatewayProcess(tmp_path_factory.mktemp("other"), config) as gateway:
        gateway.apply(
            an_account("testUser")
            + '[[carrier]]\nname = "sim"\nkind = "simulator"\ndelay_s = 3600\n'
            + '[[route]]\nname = "all"\nprefixes = [""]\ncarriers = ["sim"]\n'
            + an_account("euro")
        )
        gateway.wait_until(lambda: gateway.carrier_is_up("sim"), "the carrier is not up")
        yield Site(gateway)


def test_w_d6_http_status_errors(other: Site) -> None:
    """``ams.http_status_errors``: 4xx with the same text."""
    assert (other.send(text=""), other.status) == (error("HTTP17"), 400)
    assert (other.send(**{"pass": "x"}), other.status) == (error("HTTP04"), 401)
    assert (other.send(mno="abc"), other.status) == (error("HTTP09"), 400)
    id_of(other.send())
    assert other.status == 200


def test_w_d12_hide_unknown_user(other: Site) -> None:
    """``ams.hide_unknown_user``: told like a wrong password."""
    assert other.send(user="nobody") == error("HTTP04")


def test_w_d30_status_auth(other: Site) -> None:
    """``ams.status_auth``: a login is needed, and the message must be its own."""
    id = other.sent()
    assert other.get("websmsstatus", respId=id) == error("HTTP02")
    assert other.get("websmsstatus", respId=id, userid="euro", password="12345") == error("HTTP15")
    # Taken by the carrier, whose receipt is far away: ACCEPTD.
    other.becomes(id, "ACCEPTD", userid="testUser", password="12345")


def test_w_d6_paths_outside_are_404(other: Site) -> None:
    """Only below /websmpp/ it is 200."""
    other.raw("GET", "/nothing/websmpp")
    assert other.status == 404


# Any text.


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
@settings(max_examples=60)
def test_any_text_arrives_or_is_refused(site: Site, text: str) -> None:
    """What is accepted by type 4 is that text at the carrier's side of the gateway; what is not is
    refused with its reason."""
    said = site.send(type="4", text=text, mno=WAITING)
    if "&" in text or "#" in text:
        assert said == error("HTTP02")
    elif not text.strip(" "):
        assert said == error("HTTP17") or said.startswith("Response: ")
    else:
        assert said.startswith("Response: ") or said == error("HTTP03")


# A store that fails, and a gateway that stops.


class Failing:
    """A gateway of which nothing works but the login."""

    draining = False

    def accept(self, login: Login, messages: list[Message], whole: Any = None) -> Any:
        """As acceptance answers when the store takes nothing."""
        return succeed([Refusal(Reason.STORE_FAILED) for _ in messages])

    def count(self, reason: Reason, messages: int) -> None:
        """Nobody looks."""

    async def message(self, account: str | None, id: int) -> Message | None:
        """As a store that cannot be read."""
        raise StoreFailed("disk I/O error")

    async def batch(self, id: int) -> None:
        """The same."""
        raise StoreFailed("disk I/O error")

    async def contacts(self, account: str, name: str, most: int) -> list[str] | None:
        """The same."""
        raise StoreFailed("disk I/O error")

    def when_answered(self, message: Message) -> Any:
        """Nobody answers."""
        return Deferred()

    def is_up(self, carrier: str) -> bool:
        """Nothing is."""
        return False


def asked_of(
    gateway: Failing,
    target: str | bytes,
    config: Config | None = None,
    clock: Clock | None = None,
    peer: str = "127.0.0.1",
    request: Request | None = None,
) -> Any:
    """What such a gateway answers, now or later; its accounts let in 192.0.2.1, or everybody."""
    logins = {"acme": ["192.0.2.1"], "open": ["*"]}
    accounts = {
        name: Account(
            name,
            credential=[
                Credential(
                    "http",
                    "testUser" if name == "open" else name,
                    password_hash="x",
                    allow=allow,
                )
            ],
        )
        for name, allow in logins.items()
    }
    tables = Tables(Provisioning(accounts=accounts))
    doors = Doors(lambda: tables, run=lambda _: succeed(True))
    services = WebSmpp(
        config or Config(),
        lambda: tables,
        doors,
        gateway,
        gateway,
        gateway,
        Balances(),
        Identities(0).allot,
        clock or Clock(),
    )
    site = HttpSite()
    websmpp.add(site, services)
    octets = target.encode() if isinstance(target, str) else target
    return site.answer(request or Request("GET", octets, {}, b"", peer))


def of_failing(target: str, gateway: Failing | None = None) -> Response:
    """What a gateway that fails answers."""
    answer = asked_of(gateway or Failing(), target, Config(), Clock())
    while isinstance(answer, Deferred):
        answer = answer.result
    assert isinstance(answer, Response)
    return answer


def test_sync_submit_waits_only_so_long() -> None:
    """``ams.sync_timeout_s``: then the answer is the id; and at once where nothing is sent yet."""

    class Silent(Failing):
        """One whose carriers say nothing."""

        def accept(self, login: Login, messages: list[Message], whole: Any = None) -> Any:
            """Takes them."""
            for number, message in enumerate(messages, 1):
                message.id = number
            assert whole(messages, Transaction()) is None
            return succeed(messages)

    query = urlencode(submission())
    clock = Clock()
    config = Config(ams=Ams(sync_submit=True, sync_timeout_s=7))
    answers: list[Response] = []
    asked_of(Silent(), f"/websmpp/websms?{query}", config, clock).addCallback(answers.append)
    clock.advance(6.9)
    assert answers == []
    clock.advance(0.1)
    assert [one.body for one in answers] == [b"Response: 1"]
    later = (datetime.now(UTC) + timedelta(days=2)).strftime("%Y%m%d%H%M")
    scheduled = asked_of(Silent(), f"/websmpp/websms?{query}&schtime={later}", config, clock)
    scheduled.addCallback(answers.append)
    assert len(answers) == 2
    assert not clock.getDelayedCalls()


def test_http03_and_http13_when_the_store_fails() -> None:
    """W-R30: a submission that is not stored, and a status that cannot be read."""
    said = of_failing("/websmpp/websms?" + urlencode(submission()))
    assert (said.status, said.body.decode()) == (200, error("HTTP03"))
    said = of_failing("/websmpp/websmsstatus?respId=1")
    assert (said.status, said.body.decode()) == (200, error("HTTP13"))


def test_w_d6_shutting_down_is_503() -> None:
    """With the text of HTTP11."""
    gateway = Failing()
    gateway.draining = True
    for service in ("websms", "websmsstatus", "balanceReport", "downloadcoverage"):
        said = of_failing(f"/websmpp/{service}?user=testUser&pass=12345&respId=1", gateway)
        assert (said.status, said.body.decode()) == (503, error("HTTP11"))


def test_words_of_parts() -> None:
    """W-D28: of several parts one that failed decides at once, and all must be there to be
    delivered."""
    message = Message("ACME", NUMBER, parts=[b"1", b"2"], id=1)
    assert word(message) == "ATES"
    message.acknowledged = {0: Acknowledgement("north", "a", 1)}
    assert word(message) == "ATES"
    message.acknowledged[1] = Acknowledgement("north", "b", 2, MessageState.DELIVERED)
    assert word(message) == "ACCEPTD"
    message.acknowledged[0] = Acknowledgement("north", "a", 1, MessageState.EXPIRED)
    assert word(message) == "EXPIRED"
    for state, said in (
        (MessageState.DELIVERED, "DELIVRD"),
        (MessageState.UNDELIVERABLE, "UNDELIV"),
        (MessageState.EXPIRED, "EXPIRED"),
        (MessageState.REJECTED, "REJECTD"),
        (MessageState.DELETED, "DELETED"),
        (MessageState.UNKNOWN, "UNKNOWN"),
        (MessageState.ACCEPTED, "ACCEPTD"),
    ):
        one = Message("ACME", NUMBER, parts=[b"1"], id=1, state=state)
        one.acknowledged = {0: Acknowledgement("north", "a", 1, state)}
        assert word(one) == said


class Keeping(Failing):
    """A gateway that has one message of each account."""

    accounts = ("acme", "open")
    age_ms = 0
    ahead_ms = 0  # after its acceptance, when it was scheduled for

    async def message(self, account: str | None, id: int) -> Message | None:
        """1 is of acme, 2 of open."""
        at = int(datetime.now(UTC).timestamp() * 1000) - self.age_ms
        owner = dict(enumerate(self.accounts, 1)).get(id)
        if owner is None:
            return None
        later = at + self.ahead_ms if self.ahead_ms else 0
        found = Message("ACME", NUMBER, parts=[b""], id=id, account=owner, accepted_at=at)
        found.schedule_at = later
        return found

    async def batch(self, id: int) -> None:
        """There is none."""


@pytest.mark.parametrize(
    ("peer", "id", "said"),
    [
        ("192.0.2.1", 1, "ATES"),
        ("192.0.2.1", 2, "ATES"),
        ("198.51.100.1", 1, error("HTTP15")),
        ("198.51.100.1", 2, "ATES"),
        ("198.51.100.1", 3, error("HTTP25")),
    ],
)
def test_w_d30_addresses(peer: str, id: int, said: str) -> None:
    """An address that some list names may ask about any id; another one only about those of an
    account that lets everybody in (I6)."""
    answer = asked_of(Keeping(), f"/websmpp/websmsstatus?respId={id}", peer=peer)
    assert answer.result.body.decode() == said


def test_w_d30_states_are_kept_for_30_days() -> None:
    """Afterwards there is no record; one that was scheduled is kept as long after it was sent."""
    gateway = Keeping()
    day_ms = 24 * 3600_000
    for days, ahead, said in (
        (29, 0, "ATES"),
        (31, 0, error("HTTP25")),
        (31, 30, "ATES"),
        (61, 30, error("HTTP25")),
    ):
        gateway.age_ms, gateway.ahead_ms = days * day_ms, ahead * day_ms
        answer = asked_of(gateway, "/websmpp/websmsstatus?respId=1", peer="192.0.2.1")
        assert answer.result.body.decode() == said


@given(
    st.sampled_from(["websms", "websmsstatus", "balanceReport", "downloadcoverage", "x"]),
    st.binary(max_size=60),
    st.binary(max_size=60),
    st.sampled_from([FORM, "application/json", "multipart/form-data; boundary=b", "text/xml"]),
)
def test_any_request_has_an_answer_of_the_dialect(
    service: str, query: bytes, body: bytes, content_type: str
) -> None:
    """I7: whatever is asked, the answer is one of the 26 lines."""
    target = f"/websmpp/{service}?".encode() + query.replace(b" ", b"")
    headers = {b"content-type": content_type.encode()}
    answer = asked_of(Keeping(), target, request=Request("POST", target, headers, body))
    while isinstance(answer, Deferred):
        answer = answer.result
    assert answer.status == 200
    assert re.fullmatch(r"ERROR - HTTP[0-2][0-9] --> [A-Za-z /]+", answer.body.decode())
