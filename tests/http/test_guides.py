"""The pages for integrators: every command in them works against what the demo provisions."""

import re
import subprocess
from collections.abc import Iterator

import pytest

from smsgw.demo import provisioning
from smsgw.http.relay import DESCRIPTIONS
from smsgw.http.relay_sending import DESCRIPTIONS as STATUSES
from smsgw.http.rest_codes import error_code
from smsgw.http.websmpp_answers import TEXTS
from smsgw.refusals import Reason
from tests.running import ROOT, GatewayProcess

GUIDES = ROOT / "docs" / "guide"
PASSWORD = "secretpassword"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway with the demo's accounts and carrier."""
    gateway = GatewayProcess(tmp_path_factory.mktemp("demo"))
    url = f'[http]\npublic_url = "http://127.0.0.1:{gateway.http_port}"\n'
    gateway.config.write_text(gateway.config.read_text().replace("[http]\n", url))
    with gateway:
        gateway.apply(provisioning("secret12", PASSWORD))
        gateway.wait_until(lambda: gateway.carrier_is_up("simulator"), "has no carrier")
        yield gateway


def page(name: str) -> str:
    """A page as it is written."""
    return (GUIDES / name).read_text("utf-8")


def pasted(demo: GatewayProcess, name: str) -> list[str]:
    """What each block of commands of a page writes, pasted in order into one shell."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page(name), re.MULTILINE | re.DOTALL)
    script = "".join(f"{block}\necho; echo -----\n" for block in blocks)
    script = script.replace("127.0.0.1:8080", f"127.0.0.1:{demo.http_port}")
    script = script.replace("THE-HTTP-PASSWORD", PASSWORD).replace(":PASSWORD", f":{PASSWORD}")
    done = subprocess.run(
        ["bash", "-ec", script], capture_output=True, check=True, text=True, cwd=demo.directory
    )
    assert not done.stderr
    return [one.strip() for one in done.stdout.split("-----")[:-1]]


def test_websmpp_can_be_pasted(demo: GatewayProcess) -> None:
    """Each command has the answer that stands below it, or one like it."""
    _, one, several, later, status, balance, campaign = pasted(demo, "websmpp.md")
    for answer in (one, several, later):
        assert re.fullmatch("Response: [0-9]+", answer)
    assert status == "DELIVRD"
    assert balance == "0.0000"
    assert re.fullmatch(
        r'\{"response":\{"status":"OK","batch_id":"[0-9]+","accepted":2,"rejected":\[\]\}\}',
        campaign,
    )


def test_rest_can_be_pasted(demo: GatewayProcess) -> None:
    """Each command is answered as the page says, the picture too."""
    (
        *_,
        one,
        form,
        status,
        cancelled,
        flash,
        picture,
        several,
        trial,
        twice,
        lists,
        numbers,
        report,
        xml,
        fault,
    ) = pasted(demo, "rest.md")
    for answer in (one, form, flash, picture, several, trial):
        assert answer.startswith('{"aerialink":{"code":10,"codeText":"Accepted"'), answer
    assert '"messageState":"DELIVRD"' in status
    assert '"messageState":"DELETED"' in cancelled
    assert several.count('"code":10,') == 3
    assert '"coding":"UCS2"' in trial
    first, again = twice.split("}{")
    assert first + "}" == "{" + again
    assert lists.count('"result":"added"') == 2
    assert '"countryCode":"GB"' in numbers
    assert sum(",MMS," in row and "photo.gif" in row for row in report.splitlines()) == 1
    assert "<codeText>Accepted</codeText>" in xml
    assert fault == (
        '{"aerialink":{"code":1011,"errorCode":"E200001",'
        '"detail":"Parameter missing: destination"}}'
    )


def test_rest_page_has_every_error() -> None:
    """E-R24, F-8: each code of the series 1000 to 1050 with its HTTP status and its errorCode, and
    no other."""
    found: dict[int, tuple[str, set[int]]] = {}
    for reason in Reason:
        answer = reason.answer
        if answer.rest >= 1000:
            found.setdefault(answer.rest, (answer.text, set()))[1].add(answer.http)
    rows = [
        f"| {code} | {text} | {', '.join(map(str, sorted(statuses)))} | {error_code(code)} |"
        for code, (text, statuses) in sorted(found.items())
    ]
    written = re.findall(r"^\| 1\d{3} \|.*$", page("rest.md"), re.MULTILINE)
    assert written == rows


def test_websmpp_page_has_every_error() -> None:
    """With its text."""
    table = page("websmpp.md").partition("## Errors")[2].partition("## JSON")[0]
    for code, text in TEXTS.items():
        assert code in table
        assert text in table


def test_relay_can_be_pasted(demo: GatewayProcess) -> None:
    """The same."""
    _, query, change, modes, sending = pasted(demo, "relay.md")
    assert query.startswith("200: OK\nnumber: 447700900000\n  action-type: null-route")
    assert change.endswith("http://www.example.com/callback.php?id=%i&orig=%o&msg=%m")
    url, template = modes.split("\n")[0], modes.split("\n")[-1]
    assert url.startswith("status=200&desc=OK&number=447700900000&action-type=httpget")
    assert (url + template).endswith("200|httpget")
    assert sending == "0:1 Queued"


def test_relay_page_has_every_code() -> None:
    """With its words, and the states of sending."""
    text = page("relay.md")
    for code, words in DESCRIPTIONS.items():
        assert f"`{code}: {words}`" in text
    for status in STATUSES:
        assert f"{status} " in text.partition("The answer is status")[2]


def test_sms_cgi_can_be_pasted(demo: GatewayProcess) -> None:
    """The same."""
    _, one, several, data, wrong, xml, fetched, report = pasted(demo, "smscgi.md")
    queued = r"OK: Queued [0-9]+ 1 part\(s\)"
    for answer in (one, *several.split("\n"), data, report):
        assert re.fullmatch(queued, answer)
    assert len(several.split("\n")) == 3
    assert wrong == "ERR: Authentication failed"
    begins = '<?xml version="1.0" encoding="UTF-8"?><response>'
    assert xml.startswith(begins + "<status>OK</status>")
    assert fetched.startswith(begins + "<date>")


def test_sms_cgi_page_has_every_error() -> None:
    """Those of A-D34, and what else the table of reasons says."""
    table = page("smscgi.md").partition("## Errors")[2].partition("## XML")[0]
    for words in {reason.answer.smscgi for reason in Reason} - {"Unknown message"}:
        assert f"`{words}`" in table
