"""The relay dialect over real sockets: each requirement and decision of ``spec/aql.md`` 2 to 4,
named by its id."""

import json
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed

from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.http import relay
from smsgw.http.relay import DESCRIPTIONS, LEFT_MVNO, Relay
from smsgw.http.site import Request
from smsgw.http.site import Site as HttpSite
from smsgw.provisioning import Account, Credential, Number, Provisioning
from smsgw.rules.tables import Tables
from smsgw.store.journal import StoreFailed
from tests.http.test_websmpp import FORM, Site
from tests.running import GatewayProcess

PATH = "/sms/sms-relay.api.php"
NUMBER = "44113000111"
SECOND = "441134960001"
ICCID = "8944000000000000001"
URL = "http://www.example.com/callback.php?id=%i&orig=%o&msg=%m"
OK = f"200: OK\nnumber: {NUMBER}\n  action-type: {{}}\n  action-detail: {{}}\n"

PROVISIONING = f"""\
[[account]]
name = "acme"
[[account.credential]]
kind = "http"
username = "myusername"
password = "mypassword"
allow = ["127.0.0.0/8"]
[[account.credential]]
kind = "http"
username = "onlysends"
password = "mypassword"
allow = ["127.0.0.0/8"]
resources = ["send"]
[[account.credential]]
kind = "http"
username = "elsewhere"
password = "mypassword"
allow = ["192.0.2.1"]
[[account.number]]
address = "{NUMBER}"
[[account.number]]
address = "{SECOND}"
secret = "s3cret"
[[account.number]]
address = "441134960002"
method = "mvno"
detail = "{ICCID}"

[[account]]
name = "other"
[[account.number]]
address = "441134969999"

[[account]]
name = "mvno"
[account.settings.aql]
leave_mvno = true
[[account.credential]]
kind = "http"
username = "leaver"
password = "mypassword"
allow = ["127.0.0.0/8"]
[[account.number]]
address = "441134960003"
method = "mvno"
detail = "{ICCID[:-1]}9"
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A gateway with accounts that have numbers."""
    with GatewayProcess(tmp_path_factory.mktemp("gateway")) as gateway:
        gateway.apply(PROVISIONING)
        yield Site(gateway)


def usual(**parameters: Any) -> dict[str, str]:
    """Parameters over those of a query of NUMBER; a value None leaves one out, ``_`` is ``-``."""
    all = {"command": "query", "username": "myusername", "password": "mypassword"}
    given = {name.replace("_", "-"): value for name, value in parameters.items()}
    return {k: v for k, v in {**all, "number": NUMBER, **given}.items() if v is not None}


def ask(site: Site, **parameters: Any) -> str:
    """By GET; the answer is 200 in plain text (Q-D6)."""
    text = site.raw("GET", f"{PATH}?{urlencode(usual(**parameters))}").decode()
    assert (site.status, site.headers["Content-Type"]) == (200, "text/plain; charset=utf-8")
    return text


def post(site: Site, **parameters: Any) -> str:
    """By POST."""
    return site.raw("POST", PATH, urlencode(usual(**parameters)).encode()).decode()


def modify(site: Site, method: str, detail: str | None, **parameters: Any) -> str:
    """Sets a number."""
    return ask(site, command="modify", action_type=method, action_detail=detail, **parameters)


def failure(status: int) -> str:
    """The line of a failure (Q-R7)."""
    return f"{status}: {DESCRIPTIONS[status]}\n"


def test_q_r21_q_d7_codes() -> None:
    """The eight codes and their words; there is no 69002."""
    assert DESCRIPTIONS == {
        200: "OK",
        400: "Bad request",
        401: "Authentication error",
        500: "Internal system error",
        600: "Invalid Command",
        69001: "Number not valid",
        69003: "action-type is invalid",
        69004: "action-detail is invalid for the provided action-type",
    }


def test_q_d23_new_numbers_are_null_route(site: Site) -> None:
    """Q-R1, Q-D8: every number is there, with an empty detail, whose label and blank stay."""
    assert ask(site, number=SECOND) == OK.format("null-route", "").replace(NUMBER, SECOND)


def test_q_r23_q_r24_worked_example_by_curl(site: Site) -> None:
    """Q-R2, Q-R6, Q-R8: the GET of the reference to the letter; the answer shows the detail as set,
    and so does a query."""
    query = (
        "username=myusername&password=mypassword&command=modify&number=44113000111"
        "&action-type=httpget&action-detail=http%3A%2F%2Fwww.example.com%2Fcallback.php"
        "%3Fid%3D%25i%26orig%3D%25o%26msg%3D%25m"
    )
    url = f"http://127.0.0.1:{site.gateway.http_port}{PATH}?{query}"
    done = subprocess.run(["curl", "-sS", url], capture_output=True, check=True)
    assert done.stdout.decode() == OK.format("httpget", URL)
    assert ask(site) == OK.format("httpget", URL)


def test_q_r3_q_r20_worked_post(site: Site) -> None:
    """Q-R5, Q-R22: the POST of section 5, and its query in both return modes."""
    body = (
        b"command=modify&username=myusername&password=mypassword&number=441134960001"
        b"&action-type=email&action-detail=alice%40example.com%2Cbob%40example.org"
    )
    said = site.raw("POST", PATH, body, FORM).decode()
    assert said == (
        "200: OK\nnumber: 441134960001\n  action-type: email\n"
        "  action-detail: alice@example.com,bob@example.org\n"
    )
    assert ask(site, number=SECOND, return_mode="url") == (
        "status=200&desc=OK&number=441134960001&action-type=email"
        "&action-detail=alice%40example.com%2Cbob%40example.org"
    )
    template = "%status%|%number%|%action-type%"
    said = ask(site, number=SECOND, return_mode="plain", return_format=template)
    assert said == "200|441134960001|email"


def test_q_r4_q_r15_null_route_needs_no_detail(site: Site) -> None:
    """With or without one it is empty afterwards."""
    for detail in (None, "", "x"):
        assert modify(site, "null-route", detail) == OK.format("null-route", "")


def test_q_r17_several_urls_are_shown_as_set(site: Site) -> None:
    """Separated by commas."""
    urls = f"{URL},http://backup.example.net/callback.php?id=%i&orig=%o&msg=%m"
    assert modify(site, "httppost", urls) == OK.format("httppost", urls)
    assert post(site) == OK.format("httppost", urls)


def test_q_d1_names_and_values_without_regard_to_case(site: Site) -> None:
    """And with _ in place of -."""
    query = urlencode(
        {
            "Command": "MODIFY",
            "UserName": "myusername",
            "PASSWORD": "mypassword",
            "Number": NUMBER,
            "Action_Type": "Email",
            "ACTION-DETAIL": "a@example.com",
        }
    )
    assert site.raw("GET", f"{PATH}?{query}").decode() == OK.format("email", "a@example.com")


def test_q_d2_body_wins_over_the_query(site: Site) -> None:
    """Both count; multipart is understood too."""
    body = urlencode({"number": NUMBER, "password": "mypassword"}).encode()
    target = f"{PATH}?command=query&username=myusername&number=1"
    assert site.raw("POST", target, body).decode().startswith("200: OK")
    pieces = "".join(
        f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in usual().items()
    )
    octets = f"{pieces}--b--\r\n".encode()
    said = site.raw("POST", PATH, octets, "multipart/form-data; boundary=b").decode()
    assert said.startswith("200: OK")


def test_q_d3_numbers_as_people_write_them(site: Site) -> None:
    """The answer has the number as it is."""
    for number in ("+44 (113) 000-111", "0044113000111", "0113000111"):
        assert ask(site, number=number).split("\n")[1] == f"number: {NUMBER}"


CODES: list[tuple[int, dict[str, Any]]] = [
    (400, {"username": None}),
    (400, {"password": None}),
    (400, {"number": None}),
    (400, {"command": "modify"}),
    (400, {"return_mode": "xml"}),
    (400, {"return_format": "x" * 1025}),
    (401, {"password": "wrong"}),
    (401, {"username": "nobody"}),
    (401, {"username": "elsewhere"}),
    (401, {"username": "onlysends"}),
    (600, {"command": "delete"}),
    (600, {"command": None}),
    (69001, {"number": "441134969999"}),
    (69001, {"number": "449999999999"}),
    (69001, {"number": "x"}),
    (69003, {"command": "modify", "action_type": "mvno", "action_detail": "x"}),
    (69003, {"command": "modify", "action_type": "fax", "action_detail": "x"}),
    (69004, {"command": "modify", "action_type": "httpget"}),
    (69004, {"command": "modify", "action_type": "email", "action_detail": "nobody"}),
]


@pytest.mark.parametrize(("status", "parameters"), CODES)
def test_q_d4_codes_by_get_and_post(site: Site, status: int, parameters: dict[str, Any]) -> None:
    """Each code with its words, in one line (Q-R7, Q-R9, Q-R25), and HTTP 200."""
    assert ask(site, **parameters) == failure(status)
    assert post(site, **parameters) == failure(status)
    assert site.status == 200


def test_q_d4_method_and_repeated_parameters_are_400(site: Site) -> None:
    """Also a HEAD that would change something."""
    assert site.raw("PUT", PATH, b"").decode() == failure(400)
    query = urlencode(usual())
    assert site.raw("GET", f"{PATH}?{query}&number={NUMBER}").decode() == failure(400)
    assert site.raw("GET", f"{PATH}?%ff=1").decode() == failure(400)
    before = ask(site)
    change = urlencode(usual(command="modify", action_type="null-route"))
    assert site.raw("HEAD", f"{PATH}?{change}") == b""
    assert ask(site) == before


def test_q_d4_order(site: Site) -> None:
    """What is wrong first in the order is told."""
    wrong: dict[str, Any] = {
        "command": "delete",
        "password": "wrong",
        "number": "1",
        "action_type": "mvno",
        "action_detail": "x",
    }
    for status, mend in (
        (600, {}),
        (401, {"command": "modify"}),
        (69001, {"password": "mypassword"}),
        (69003, {"number": NUMBER}),
        (69004, {"action_type": "httpget"}),
    ):
        wrong |= mend
        assert ask(site, **wrong) == failure(status)


def test_q_d5_q_d9_q_d10_return_modes(site: Site) -> None:
    """``url`` for success and failure; a template for success only, and only without ``url``."""
    modify(site, "email", "a@example.com")
    assert ask(site, return_mode="url", number="1") == "status=69001&desc=Number+not+valid"
    template = r"%desc%/%description%/%command%/%unknown%/100%%\t%action-detail%\n"
    said = ask(site, return_format=template)
    assert said == "OK/OK/query/%unknown%/100%\ta@example.com\n"
    assert ask(site, return_format=template, number="1") == failure(69001)
    assert ask(site, return_format=template, return_mode="URL").startswith("status=200&desc=OK&")


@pytest.mark.parametrize(
    ("method", "detail"),
    [
        ("httpget", "ftp://www.example.com/"),
        ("httpget", "http:///in"),
        ("httpget", "http://www.example.com/a b"),
        ("httpget", ",".join(["http://www.example.com/"] * 11)),
        ("httpget", "http://www.example.com/" + "x" * 1024),
        ("httpget", "http://127.0.0.1/in"),
        ("httpget", "http://localhost/in"),
        ("httpget", "http://10.0.0.1/in"),
        ("httppost", "http://169.254.169.254/latest"),
        ("httppost", "http://[::1]/in"),
        ("httppost", "http://www.example.com/,http://192.168.0.1/"),
        ("httpget", "http://www.example.com/?x=%z"),
        ("httpget", "http://www.example.com/?x=%"),
        ("email", ""),
        ("email", ",".join(f"a{n}@example.com" for n in range(21))),
        ("email", "a@example.com,b"),
    ],
)
def test_q_d11_q_d12_q_d15_details_that_are_refused(site: Site, method: str, detail: str) -> None:
    """69004, and the setting stays."""
    before = ask(site)
    assert modify(site, method, detail) == failure(69004)
    assert ask(site) == before


def test_q_d13_q_d15_details_that_are_taken(site: Site) -> None:
    """Escapes and variables side by side, and addresses with any separator."""
    url = "http://www.example.com/?d=%d&a=%d0%2C&t=%t&x=%x&u=%u"
    assert modify(site, "httpget", url) == OK.format("httpget", url)
    for detail in ("a@example.com;b@example.com", "a@example.com b@example.com"):
        assert modify(site, "email", detail) == OK.format("email", detail)


def test_q_r10_q_r13_mvno_is_read_and_not_set(site: Site) -> None:
    """Its number cannot leave it without the right either (Q-D16)."""
    number = "441134960002"
    said = ask(site, number=number)
    assert said == f"200: OK\nnumber: {number}\n  action-type: mvno\n  action-detail: {ICCID}\n"
    assert modify(site, "httpget", URL, number=number) == failure(69003)


def test_q_d16_q_r14_leaving_mvno_is_audited(site: Site) -> None:
    """With the right it goes, and the audit has the change and the warning."""
    number = "441134960003"
    said = modify(site, "email", "a@example.com", number=number, username="leaver")
    assert said.startswith("200: OK")
    rows = json.loads(site.gateway.cli("audit", "--json"))
    [warning] = [one for one in rows if one["kind"] == "relay"]
    assert (warning["name"], warning["lines"]) == (number, [LEFT_MVNO.format(method="email")])
    assert warning["who"] == "mvno by relay, login leaver"
    changes = [one for one in rows if one["who"] == warning["who"] and one["kind"] == "account"]
    assert any("method" in line for line in changes[-1]["lines"])
    assert modify(site, "httpget", URL, number=number, username="leaver").startswith("200: OK")


def test_change_is_versioned_and_keeps_what_it_does_not_name(site: Site) -> None:
    """A change by the customer is one of the provisioning: versioned, in force at once, and the
    number's secret, and the account's logins, stay as they are."""
    before = json.loads(site.gateway.cli("audit", "--json"))
    assert modify(site, "httpget", URL, number=SECOND).startswith("200: OK")
    after = json.loads(site.gateway.cli("audit", "--json"))
    assert after[-1]["version"] > before[-1]["version"]
    assert modify(site, "httpget", URL, number=SECOND).startswith("200: OK")
    assert len(json.loads(site.gateway.cli("audit", "--json"))) == len(after)  # no change, no row
    text = "\n".join(line for one in after for line in one["lines"])
    assert "s3cret" not in text
    assert "secret (changed)" not in text
    assert ask(site, number=SECOND).startswith("200: OK")


def test_q_d4_store_failure_is_500() -> None:
    """The last of the codes, when a change cannot be written."""

    class Broken:
        """A gateway whose store takes nothing."""

        async def change(self, prepare: Any, dry_run: bool, who: str, action: Any = None) -> Any:
            """As the store does it."""
            raise StoreFailed("disk I/O error")

    login = Credential("http", "myusername", password_hash="x", allow=["*"])
    account = Account("acme", credential=[login], number=[Number(NUMBER)])
    tables = Tables(Provisioning(accounts={"acme": account}))
    doors = Doors(lambda: tables, run=lambda _: succeed(True))
    broken = Relay(Config(), lambda: tables, doors, Broken(), lambda: 1)
    http_site = HttpSite()
    relay.add(http_site, broken)
    query = urlencode(usual(command="modify", action_type="null-route"))
    request = Request("GET", f"{PATH}?{query}".encode(), {}, b"", "127.0.0.1")
    answer = http_site.answer(request)
    while isinstance(answer, Deferred):
        answer = answer.result
    assert (answer.status, answer.body.decode()) == (200, failure(500))


def test_q_d6_shutting_down_is_503() -> None:
    """The one time that the status is not 200; in the words of the API, with when to ask again."""
    tables = Tables(Provisioning())
    doors = Doors(lambda: tables)
    asked = Relay(Config(), lambda: tables, doors, Nobody(), lambda: 1, draining=lambda: True)
    for mode, said in (("", "500: Internal system error\n"), ("url", "status=500&desc=Internal")):
        query = urlencode(usual(return_mode=mode))
        answer: Any = asked.relay(Request("GET", f"{PATH}?{query}".encode(), {}, b"", "127.0.0.1"))
        assert (answer.status, answer.headers) == (503, [(b"Retry-After", b"5")])
        assert answer.body.decode().startswith(said)


@given(st.text(max_size=40))
@settings(max_examples=60)
def test_template_never_fails(template: str) -> None:
    """Q-D10: what is no placeholder stays; without any the text is itself."""
    filled = relay._filled(template, {"status": "200"})
    if not re.search(r"%%|%[A-Za-z_-]+%|\\n|\\t", template):
        assert filled == template


@given(st.sampled_from(["GET", "POST"]), st.binary(max_size=60), st.binary(max_size=60))
def test_any_request_has_an_answer_of_the_dialect(method: str, query: bytes, body: bytes) -> None:
    """I7: one of the codes, and HTTP 200 (Q-D6)."""
    tables = Tables(Provisioning())
    asked: Any = Relay(Config(), lambda: tables, Doors(lambda: tables), Nobody(), lambda: 1)
    target = f"{PATH}?".encode() + query
    headers = {b"content-type": FORM.encode()}
    answer = asked.relay(Request(method, target, headers, body, "127.0.0.1"))
    while isinstance(answer, Deferred):
        answer = answer.result
    assert answer.status == 200
    assert answer.body.decode() in (failure(400), failure(401), failure(600))


class Nobody:
    """Who provisions nothing."""

    async def change(self, prepare: Any, dry_run: bool, who: str, action: Any = None) -> Any:
        """It is never asked."""
        raise AssertionError
