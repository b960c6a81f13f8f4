"""The command line: on the store alone, and with a gateway behind its admin socket."""

import fcntl
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import StreamRequestHandler, UnixStreamServer
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result
from prometheus_client import CollectorRegistry
from sqlalchemy import insert

from smsgw import cli, demo
from smsgw.commands import provision
from smsgw.config import Config, Store
from smsgw.http.admin import add
from smsgw.http.site import Request, Response, Site
from smsgw.identities import first_of, to_guid, to_hex
from smsgw.message import Acknowledgement, Message, MessageState
from smsgw.operate import statement
from smsgw.operate.node_views import CarrierView
from smsgw.operate.offline import OfflineOperator
from smsgw.operate.operator import Sent
from smsgw.operate.remote import RemoteOperator, admin_endpoint
from smsgw.operate.views import message_view, parse_id
from smsgw.rules import money as money_rules
from smsgw.store import ledger, records, schema
from smsgw.store.database import close_store, open_store
from smsgw.store.secrets import verify

ID = 7_654_321_000_111
TEXT = demo.provisioning("secret12", "http-secret")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a configuration of its own and the demo's provisioning file."""
    (tmp_path / "smsgw.toml").write_text(
        f'[store]\nurl = "sqlite:///{tmp_path}/smsgw.db"\n'
        f'[http]\nadmin = ["unix:{tmp_path}/admin.sock:mode=600"]\n'
    )
    (tmp_path / "p.toml").write_text(TEXT)
    return tmp_path


def run(place: Path, *arguments: str, typed: str | bytes | None = None) -> Result:
    command = ["-c", str(place / "smsgw.toml"), *arguments]
    return CliRunner().invoke(cli.main, command, input=typed)


def fault(place: Path, *arguments: str, typed: str | bytes | None = None) -> str:
    """The one line on stderr of a command that must fail with status 1."""
    result = run(place, *arguments, typed=typed)
    assert result.exit_code == 1, result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.strip()


class Gateway(OfflineOperator):
    """A running gateway's operator, as far as the command line sees it."""

    async def carriers(self) -> list[CarrierView]:
        return [CarrierView("north", "smpp", "127.0.0.1:2776", "up", "", 1000, 1, 1, 100, 3, 4)]

    async def send(
        self, account: str, source: str, destination: str, text: str, receipt: bool
    ) -> Sent:
        if account != "demo":
            return Sent(error=f"no account {account}")
        return Sent(str(ID), to_guid(ID), 1)

    async def cancel(self, id_text: str) -> Sent:
        if id_text == "9":
            return Sent("9", messages=2, left=1)
        return Sent(error="" if id_text == str(ID) else "it is not pending any more")


@pytest.fixture
def gateway(place: Path) -> Iterator[Path]:
    """A directory whose admin socket is answered by the admin API."""
    operator = Gateway(Config(store=Store(f"sqlite:///{place}/smsgw.db")))
    site = Site()
    add(site, operator, CollectorRegistry())

    class Bridge(BaseHTTPRequestHandler):
        def answer(self) -> None:
            size = int(self.headers.get("content-length", 0))
            headers = {key.lower().encode(): value.encode() for key, value in self.headers.items()}
            body = self.rfile.read(size)
            found: Any = site.answer(
                Request(self.command, self.path.encode(), headers, body, "unix")
            )
            if not isinstance(found, Response):
                found = found.result
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(found.body)))
            self.end_headers()
            self.wfile.write(found.body)

        do_GET = do_POST = answer

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def address_string(self) -> str:
            return "unix"

    with UnixStreamServer(str(place / "admin.sock"), Bridge) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield place
        server.shutdown()
        thread.join()
    operator.close()


def put_message(place: Path, **values: Any) -> None:
    message = Message(
        "ACME",
        "447700900001",
        parts=[b"secret text"],
        account="demo",
        id=ID,
        accepted_at=1_700_000_000_000,
        state=MessageState.ENROUTE,
        **values,
    )
    engine = open_store(f"sqlite:///{place}/smsgw.db")
    with engine.begin() as connection:
        connection.execute(insert(schema.message).values(records.row(message, None)))
        connection.execute(insert(schema.queue).values((1, "carrier:north", 5, 0, ID, 0, 0, 0)))
    close_store(engine)


# On the store alone.


ROUTES = """
[[carrier]]
name = "a"
kind = "simulator"
[[carrier]]
name = "b"
kind = "simulator"
[[account]]
name = "acme"
senders = ["ACME"]
[[route]]
name = "uk"
prefixes = ["44"]
carriers = ["a", "b"]
price = "0.0100"
[[route]]
name = "codes"
prefixes = ["447"]
carriers = ["b"]
text = "code"
priority = -1
"""


def routed(place: Path) -> None:
    """Provisions ROUTES alone."""
    (place / "r.toml").write_text(ROUTES)
    assert run(place, "apply", "--yes", "--prune", str(place / "r.toml")).exit_code == 0


def lines(result: Result) -> dict[str, str]:
    """What a command shows, by label."""
    assert result.exit_code == 0, result.output
    rows = [re.split(" {2,}", line.rstrip(), maxsplit=1) for line in result.stdout.splitlines()]
    return {row[0]: row[1] for row in rows}


def test_route_test_shows_the_route_and_why(place: Path) -> None:
    """Carriers in order, parts, price, and which other routes were passed over."""
    routed(place)
    asked = ("route", "test", "--account", "acme", "ACME", "07700900123")
    assert lines(run(place, *asked, "x" * 161)) == {
        "route": "uk",
        "because of": 'prefix "44", priority 0',
        "passed over": "codes: text",
        "carriers": "a, b",
        "from": "ACME",
        "to": "447700900123",
        "parts": "2 GSM",
        "price": "0.0200",
        "price from": "route uk",
    }
    shown = lines(run(place, *asked, "code"))
    assert shown["because of"] == 'prefix "447", priority -1; filters text'


def test_route_test_shows_when_a_message_goes_out(place: Path) -> None:
    """If a send window holds it back."""
    at = datetime.now(UTC)
    begin, end = (f"{(at + timedelta(hours=hours)):%H}:00" for hours in (6, 8))
    hours = f'send_hours = {{ "44" = "{begin}-{end}" }}'
    text = ROUTES.replace('senders = ["ACME"]', hours)
    (place / "r.toml").write_text(text)
    assert run(place, "apply", "--yes", "--prune", str(place / "r.toml")).exit_code == 0
    asked = ("route", "test", "--account", "acme", "ACME", "07700900123", "Hello")
    shown = lines(run(place, *asked))["goes out at"]
    assert re.fullmatch(r"[0-9-]{10} [0-9]{2}:00:00Z", shown)
    told = msgspec.json.decode(run(place, *asked[:2], "--json", *asked[2:]).stdout)
    assert told["deferred_until"] > at.timestamp() * 1000


def test_accounts_are_listed_with_their_parents(place: Path) -> None:
    """And whether they may send, for themselves or because of one above them."""
    (place / "a.toml").write_text(
        '[[account]]\nname = "top"\nexpires = "2020-01-31"\n'
        '[[account]]\nname = "child"\nparent = "top"\n'
        '[[account]]\nname = "held"\nsuspended = true\n'
    )
    assert run(place, "apply", "--yes", "--prune", str(place / "a.toml")).exit_code == 0
    shown = [line.split() for line in run(place, "accounts").stdout.splitlines()[1:]]
    assert sorted(shown) == [
        ["child", "top", "expired", "0.00", "unlimited", "0", "0"],
        ["held", "suspended", "0.00", "unlimited", "0", "0"],
        ["top", "expired", "0.00", "unlimited", "0", "0"],
    ]


def test_route_test_says_why_a_message_would_be_refused(place: Path) -> None:
    """With status 1; as JSON too."""
    routed(place)
    said = fault(place, "route", "test", "ACME", "33123456789", "x")
    assert "it would be refused" in said
    assert "no route for 33123456789" in said
    assert "OTHER" in fault(place, "route", "test", "--account", "acme", "OTHER", "441", "x")
    assert "no account x" in fault(place, "route", "test", "--account", "x", "A", "441", "x")
    result = run(place, "route", "test", "--json", "ACME", "33123456789", "x")
    assert result.exit_code == 1
    assert "no route" in msgspec.json.decode(result.stdout)["error"]


def test_route_test_asks_the_gateway(gateway: Path) -> None:
    """Over the admin API, as JSON if that is asked for."""
    routed(gateway)
    result = run(gateway, "route", "test", "--json", "ACME", "447700900123", "code")
    found = msgspec.json.decode(result.stdout)
    assert (found["route"], found["filters"], found["coding"]) == ("codes", ["text"], "GSM")
    assert found["carriers"] == [{"name": "b", "up": None}]
    assert "no route" in fault(gateway, "route", "test", "ACME", "33123456789", "x")


def test_apply_then_list_without_a_gateway(place: Path) -> None:
    """With no gateway running the store is opened directly, and made by the first apply."""
    result = run(place, "apply", "--yes", str(place / "p.toml"))
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "+ carrier simulator",
        "+ carrier mmsc",
        "+ account demo",
        "+ route mms",
        "+ route default",
        "Applied: version 1.",
    ]
    again = run(place, "apply", str(place / "p.toml"))
    assert (again.exit_code, again.stdout) == (0, "No changes.\n")
    assert "smpp demo, http demo" in run(place, "accounts").stdout
    assert "the gateway is not running" in run(place, "carriers").stdout


def test_apply_shows_and_refuses_without_a_terminal(place: Path) -> None:
    """With nobody to ask, the changes are shown and nothing is done."""
    result = run(place, "apply", str(place / "p.toml"))
    assert result.exit_code == 1
    assert "+ account demo" in result.stdout
    assert "run it again with --yes" in result.stderr
    assert "there is no store yet" in fault(place, "accounts")


@pytest.mark.parametrize(("typed", "code"), [("y\n", 0), ("n\n", 1)])
def test_apply_asks_on_a_terminal(
    place: Path, typed: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a terminal the changes are shown and done only after a yes."""
    monkeypatch.setattr(provision, "interactive", lambda: True)
    result = run(place, "apply", str(place / "p.toml"), typed=typed)
    assert result.exit_code == code
    assert "+ account demo" in result.stdout
    assert "Apply these changes?" in result.output
    assert ("demo" in run(place, "accounts").stdout) is (code == 0)


def test_apply_dry_run_changes_nothing(place: Path) -> None:
    """--dry-run shows the changes, ends well, and makes no store."""
    before = sorted(place.iterdir())
    result = run(place, "apply", "--dry-run", str(place / "p.toml"))
    assert (result.exit_code, "+ account demo" in result.stdout) == (0, True)
    assert sorted(place.iterdir()) == before
    run(place, "apply", "--yes", "-", typed='[[account]]\nname = "other"\n')
    result = run(place, "apply", "--dry-run", str(place / "p.toml"))
    assert "+ account demo" in result.stdout
    assert "demo" not in run(place, "accounts").stdout


def test_apply_prune_deletes(place: Path) -> None:
    """--prune deletes what the file does not have."""
    run(place, "apply", "--yes", str(place / "p.toml"))
    result = run(place, "apply", "--yes", "--prune", "-", typed='[[account]]\nname = "other"\n')
    assert result.stdout.splitlines() == [
        "+ account other",
        "- route default",
        "- route mms",
        "- account demo",
        "- carrier mmsc",
        "- carrier simulator",
        "Applied: version 2.",
    ]


def test_apply_tells_every_fault(place: Path) -> None:
    """Each fault is one line with file, line, key and remedy, and nothing is applied."""
    bad = place / "bad.toml"
    bad.write_text('[[account]]\nname = "a"\nrates = 1\n[[route]]\nname = "r"\n')
    result = run(place, "apply", "--yes", str(bad))
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0] == f'{bad}:3: account.rates: unknown key; did you mean "rate"?'
    assert len(lines) == 3
    assert "there is no store yet" in fault(place, "accounts")


def test_queues_and_messages_are_read_from_the_store(place: Path) -> None:
    """A message is found by any form of its id; its text is never shown."""
    put_message(place)
    assert "carrier:north" in run(place, "queues").stdout
    for form in (str(ID), to_guid(ID), to_hex(ID)):
        result = run(place, "status", form)
        assert result.exit_code == 0
        assert "ENROUTE" in result.stdout
        assert "secret text" not in result.stdout
    found = msgspec.json.decode(run(place, "status", "--json", str(ID)).stdout)
    assert found["id"] == str(ID)
    assert found["queued"] == ["carrier:north"]
    queues = msgspec.json.decode(run(place, "queues", "--json").stdout)
    assert queues == [{"name": "carrier:north", "waiting": 1, "due": 1, "oldest": 5}]


def test_status_says_what_an_error_means(place: Path) -> None:
    """The number with the words of its code; in JSON the number alone."""
    put_message(place, error=206)
    assert "206 (Invalid destination address)" in run(place, "status", str(ID)).stdout
    assert msgspec.json.decode(run(place, "status", "--json", str(ID)).stdout)["error"] == 206


# With a gateway.


def test_commands_talk_to_the_gateway(gateway: Path) -> None:
    """With a gateway behind the admin socket its answers are shown."""
    result = run(gateway, "apply", "--yes", str(gateway / "p.toml"))
    assert result.stdout.endswith("Applied: version 1.\n")
    assert "447700900000" in run(gateway, "accounts").stdout
    assert "3/100" in run(gateway, "carriers").stdout
    assert run(gateway, "queues").stdout == "None.\n"
    assert run(gateway, "queues", "--json").stdout == "[]\n"


def test_apply_tells_the_gateways_faults(gateway: Path) -> None:
    """Faults come through the admin API as they are."""
    bad = gateway / "bad.toml"
    bad.write_text("[[accounts]]\n")
    assert fault(gateway, "apply", "--yes", str(bad)) == (
        f'{bad}:1: accounts: unknown key; did you mean "account"?'
    )


def test_send_prints_the_id(gateway: Path) -> None:
    """An accepted message prints its id alone, so that a script can take it."""
    result = run(gateway, "send", "--account", "demo", "ACME", "447700900001", "Hello")
    assert (result.exit_code, result.stdout) == (0, f"{ID}\n")
    said = fault(gateway, "send", "--account", "nobody", "ACME", "447700900001", "Hello")
    assert said == "smsgw: not accepted: no account nobody"


def test_cancel_asks_the_gateway(gateway: Path) -> None:
    """For each message; one that is not cancelled is told, and the status is 1."""
    assert run(gateway, "cancel", str(ID)).stdout == f"{ID}\n"
    result = run(gateway, "cancel", "7", str(ID), "nonsense")
    assert (result.exit_code, result.stdout) == (1, f"{ID}\n")
    first, second = result.stderr.splitlines()
    assert first == "smsgw: 7: not cancelled: it is not pending any more"
    assert second.startswith("smsgw: nonsense: not cancelled: no such message")


def test_cancel_of_a_common_id_tells_what_was_too_late(gateway: Path) -> None:
    """Its id is printed, since some are cancelled, and the status is 1, since some are not."""
    result = run(gateway, "cancel", "9")
    assert (result.stdout, result.exit_code) == ("9\n", 1)
    assert result.stderr == "smsgw: 9: not cancelled: 1 of its 3 messages are not pending\n"


def test_cancel_takes_a_running_gateway(place: Path) -> None:
    """As send does."""
    assert "not running" in fault(place, "cancel", str(ID))


def test_status_asks_the_gateway(gateway: Path) -> None:
    """A message is found through the admin API; one that is not there is a fault."""
    put_message(gateway, route="default")
    assert "default" in run(gateway, "status", to_guid(ID)).stdout
    assert fault(gateway, "status", "5").startswith("smsgw: no message 5; ")
    assert fault(gateway, "status", "a/b?c").startswith("smsgw: no message a/b?c; ")


# Faults.


def test_faults_name_the_remedy(place: Path) -> None:
    """Each thing that stops a command is one line that says what to do."""
    assert "start the gateway" in fault(place, "accounts")
    run(place, "apply", "--yes", str(place / "p.toml"))
    assert fault(place, "status", "5").endswith("as decimal, GUID or 32 hex digits")
    assert "twistd -n smsgw" in fault(place, "send", "--account", "demo", "1", "2", "t")
    assert "name a file that can be read" in fault(place, "apply", str(place / "absent"))
    (place / "latin.toml").write_bytes(b"\xe4")
    assert "save the file as UTF-8" in fault(place, "apply", str(place / "latin.toml"))
    carrier = '[[carrier]]\nname="c"\nhost="h"\nsystem_id="s"\npassword="p"\n'
    (place / "c.toml").write_text(carrier)
    run(place, "apply", "--yes", str(place / "c.toml"))
    (place / "smsgw.key").unlink()
    assert "restore it" in fault(place, "carriers")


def test_looking_makes_no_store(place: Path) -> None:
    """A command that only reads, or is refused, leaves no file behind."""
    before = sorted(place.iterdir())
    for command in (["accounts"], ["carriers"], ["queues"], ["status", "5"]):
        assert "there is no store yet" in fault(place, *command)
    (place / "bad.toml").write_text("[[accounts]]\n")
    assert "unknown key" in fault(place, "apply", "--yes", str(place / "bad.toml"))
    (place / "bad.toml").unlink()
    assert sorted(place.iterdir()) == before


def test_a_store_that_cannot_be_opened_is_one_line(place: Path) -> None:
    """One that another process has, that is no database, or that cannot be looked up."""
    run(place, "apply", "--yes", str(place / "p.toml"))
    with open(place / "smsgw.db.lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert fault(place, "accounts").endswith(
            "smsgw.db is in use by another smsgw; stop that one first"
        )
    (place / "smsgw.db").write_bytes(b"no database at all")
    assert "not a database" in fault(place, "accounts")
    config = (place / "smsgw.toml").read_text()
    (place / "smsgw.toml").write_text(config.replace("smsgw.db", "p.toml/smsgw.db"))
    assert fault(place, "accounts").endswith(
        "p.toml/smsgw.db: Not a directory; run this command as the gateway's user"
    )


NOT_UTF_8 = b"\xff".decode("utf-8", "surrogateescape")  # as Python has it from the command line


@pytest.mark.parametrize("name", ["gateway", "place"])
def test_what_is_not_utf_8_is_one_line(name: str, request: pytest.FixtureRequest) -> None:
    """An argument in another encoding is refused, with a gateway and without one."""
    place = request.getfixturevalue(name)
    for position in range(4):
        arguments = ["demo", "ACME", "447700900001", "Hello"]
        arguments[position] = NOT_UTF_8
        assert "is not UTF-8" in fault(place, "send", "--account", *arguments)
    assert fault(place, "status", NOT_UTF_8) == (
        "smsgw: no message \\udcff; give the id as decimal, GUID or 32 hex digits"
    )
    assert "name a file that can be read" in fault(place, "apply", NOT_UTF_8)
    file = place / f"{NOT_UTF_8}.toml"
    file.write_text(TEXT)
    assert run(place, "apply", "--yes", str(file)).exit_code == 0
    file.write_text("[[accounts]]\n")
    assert fault(place, "apply", "--yes", str(file)).startswith(f"{place}/\\udcff.toml:1: accounts")


def test_an_id_of_no_form_is_not_asked_for(gateway: Path) -> None:
    """It is named in the fault, on one line also if it would not show."""
    assert fault(gateway, "status", "").startswith('smsgw: no message ""; ')
    assert fault(gateway, "status", "5\n6").startswith("smsgw: no message 5\\n6; ")


def test_bad_configuration_is_told_by_line(place: Path) -> None:
    """A configuration that cannot be used, or is not there, is told and nothing is done."""
    (place / "smsgw.toml").write_text("[stor]\n")
    assert fault(place, "accounts").endswith(':1: stor: unknown key; did you mean "store"?')
    (place / "smsgw.toml").unlink()
    assert fault(place, "accounts").endswith("no such file; name an existing one with -c")
    result = CliRunner().invoke(cli.main, ["-c", "x" * 300, "accounts"])
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.endswith("File name too long; make it readable\n")


def test_wrong_use_ends_with_2(place: Path) -> None:
    """Wrong arguments are told by click, with status 2."""
    for arguments in (["bogus"], ["send", "1", "2", "t"], ["apply"], ["status"]):
        assert run(place, *arguments).exit_code == 2


def test_socket_that_does_not_answer_is_told(place: Path) -> None:
    """Something else behind the admin socket is a fault, not an empty list."""

    class Deaf(StreamRequestHandler):
        def handle(self) -> None:
            # The first connection only looks whether anybody is there.
            if self.rfile.readline():
                self.wfile.write(b"220 hello\r\n")

    with UnixStreamServer(str(place / "admin.sock"), Deaf) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        said = fault(place, "accounts")
        server.shutdown()
        thread.join()
    assert said.endswith("; see the gateway's log")


# Money.


def money(place: Path) -> None:
    """What balance, topup and statement do with a prepaid account."""
    text = TEXT.replace('name = "demo"', 'name = "demo"\ncurrency = "EUR"\nbalance = "1.50"', 1)
    (place / "p.toml").write_text(text)
    assert run(place, "apply", "--yes", str(place / "p.toml")).exit_code == 0
    assert run(place, "balance", "demo").stdout == "1.50 EUR\n"
    topped = run(place, "topup", "demo", "0.0050", "--text", "Invoice 7")
    assert (topped.exit_code, topped.stdout) == (0, "1.505 EUR\n")
    assert run(place, "topup", "demo", "2").stdout == "3.505 EUR\n"
    assert msgspec.json.decode(run(place, "balance", "--json", "demo").stdout) == {
        "account": "demo",
        "balance": "3.505",
        "credit_limit": "0.00",
        "error": "",
        "currency": "EUR",
    }
    assert "3.505 EUR" in run(place, "accounts").stdout
    # The opening balance is no more than that: applied again it changes nothing.
    (place / "p.toml").write_text(text.replace("1.50", "9.00"))
    assert run(place, "apply", "--yes", str(place / "p.toml")).exit_code == 0
    assert run(place, "balance", "demo").stdout == "3.505 EUR\n"
    lines = run(place, "statement", "demo").stdout.splitlines()
    assert lines[0] == (
        "time,reason,amount,message,text,currency,account,destination,costcentre,parts"
    )
    assert [line.split(",", 1)[1] for line in lines[1:3]] == [
        "opening,1.50,,,EUR,,,,",
        "top-up,0.005,,Invoice 7,EUR,,,,",
    ]
    summed = run(place, "statement", "--by", "costcentre", "demo")
    assert summed.stdout == "costcentre,currency,messages,parts,amount\n"
    assert lines[3].split(",")[1:3] == ["top-up", "2.00"]
    assert run(place, "statement", "demo", "--to", "2020-01-01").stdout == f"{lines[0]}\n"
    assert len(run(place, "statement", "demo", "--from", "2020-01-01").stdout.splitlines()) == 4
    summing = ["statement", "x", "--by", "costcentre"]
    for command in (["balance", "x"], ["topup", "x", "1"], ["statement", "x"], summing):
        assert "there is no account x" in fault(place, *command)
    for wrong in ("0", "1.00001", "1e3", "x"):
        assert "is no amount" in fault(place, "topup", "demo", wrong)
    assert "says why" in fault(place, "topup", "--correct", "demo", "1")
    correct = ["topup", "--correct", "--text", "Invoice 7 twice", "demo"]
    assert "at most 3.505 can be taken off" in fault(place, *correct, "3.5051")
    assert run(place, *correct, "3.505").stdout == "0.00 EUR\n"
    last = run(place, "statement", "demo").stdout.splitlines()[-1]
    assert last.split(",", 1)[1] == "correction,-3.505,,Invoice 7 twice,EUR,,,,"
    assert run(place, "topup", "demo", "3.505").stdout == "3.505 EUR\n"
    assert run(place, "balance", "demo").stdout == "3.505 EUR\n"


def test_money_without_a_gateway(place: Path) -> None:
    """The store is opened directly."""
    money(place)


def test_money_with_a_gateway(gateway: Path) -> None:
    """The same over the admin API."""
    money(gateway)


def test_a_statement_tells_of_messages_but_not_of_private_ones(place: Path) -> None:
    """One by one, and by cost centre."""
    assert run(place, "apply", "--yes", str(place / "p.toml")).exit_code == 0
    at = 1_700_000_000_000  # 2023-11-14
    engine = open_store(f"sqlite:///{place}/smsgw.db")
    with engine.begin() as connection:
        for n, private in enumerate((False, True, True)):
            id = first_of(at) + 2 * n
            message = Message(
                source="1",
                destination="447700900123",
                parts=[b"x"],
                account="demo",
                id=id,
                charged=100,
                costcentre="sales",
                private=private,
            )
            connection.execute(insert(schema.message).values(records.row(message, None)))
            row = schema.LedgerRow(id + 1, "demo", at, -100, money_rules.Entry.CHARGE, id, "")
            ledger.enter(connection, [row])
    close_store(engine)
    lines = run(place, "statement", "demo").stdout.splitlines()
    assert lines[1:] == [
        f"2023-11-14 22:13:20Z,charge,-0.01,{first_of(at)},,,demo,447700900123,sales,1",
        "2023-11-14,private,-0.02,,messages: 2,,,,sales,2",
    ]
    lines = run(place, "statement", "--by", "costcentre", "demo").stdout.splitlines()
    assert lines[1:] == ["sales,,3,3,-0.03"]


def test_a_statement_has_no_formula_of_a_customer(place: Path) -> None:
    """A spreadsheet takes what somebody wrote for text; amounts stay numbers (W-D32)."""
    assert run(place, "apply", "--yes", str(place / "p.toml")).exit_code == 0
    for text in ("=1+1", "plain"):
        run(place, "topup", "demo", "1", "--text", text)
    at = 1_700_000_000_000
    id = first_of(at)
    engine = open_store(f"sqlite:///{place}/smsgw.db")
    with engine.begin() as connection:
        message = Message("1", "447700900123", parts=[b"x"], account="demo", id=id, charged=100)
        message.costcentre = "@sales"
        connection.execute(insert(schema.message).values(records.row(message, None)))
        row = schema.LedgerRow(id + 1, "demo", at, -100, money_rules.Entry.CHARGE, id, "")
        ledger.enter(connection, [row])
    close_store(engine)
    lines = run(place, "statement", "demo").stdout.splitlines()
    assert [line.split(",")[4] for line in lines[1:]] == ["", "'=1+1", "plain"]
    assert lines[1].endswith(f",-0.01,{id},,,demo,447700900123,'@sales,1")
    lines = run(place, "statement", "--by", "costcentre", "demo").stdout.splitlines()
    assert lines[1:] == ["'@sales,,1,1,-0.01"]


def test_a_long_statement_is_read_page_by_page(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All entries, each once, in order."""
    monkeypatch.setattr(statement, "PAGE", 2)
    assert run(place, "apply", "--yes", str(place / "p.toml")).exit_code == 0
    for amount in range(1, 6):
        assert run(place, "topup", "demo", str(amount)).exit_code == 0
    lines = run(place, "statement", "demo").stdout.splitlines()
    assert [line.split(",")[2] for line in lines[1:]] == [f"{n}.00" for n in range(1, 6)]


# The pieces.


def test_hash_password_reads_standard_input(place: Path) -> None:
    """The hash fits the password, and can stand in a provisioning file."""
    result = run(place, "hash-password", typed="secret12\n")
    assert verify(result.stdout.strip(), "secret12")
    assert run(place, "hash-password", typed="").exit_code == 1
    assert fault(place, "hash-password", typed=b"\xff\n").startswith("smsgw: the password is not")


@pytest.mark.parametrize(
    ("endpoints", "chosen"),
    [
        (["tcp:8081", "unix:var/admin.sock:mode=600"], "unix:var/admin.sock:mode=600"),
        (["ssl:1", "tcp:8081:interface=127.0.0.1"], "tcp:8081:interface=127.0.0.1"),
        (["tcp:0"], None),
        ([], None),
    ],
)
def test_admin_endpoint_is_the_unix_socket_first(endpoints: list[str], chosen: str | None) -> None:
    """The unix socket is preferred; a port that is not known cannot be used."""
    assert admin_endpoint(endpoints) == chosen


def test_tcp_endpoint_is_taken_apart() -> None:
    """Port and interface of an endpoint; all interfaces means this machine."""
    for endpoint, host in (
        ("tcp:8081:interface=192.0.2.1", "192.0.2.1"),
        ("tcp:8081:interface=\\:\\:1", "::1"),
        ("tcp:8081", "127.0.0.1"),
        ("tcp:8081:interface=0.0.0.0", "127.0.0.1"),
    ):
        remote = RemoteOperator(endpoint)
        assert remote.address == (host, 8081)


def test_ids_of_every_form_are_understood() -> None:
    """Decimal, UUID form and 32 hex digits; all else is none."""
    assert parse_id(f" {ID} ") == parse_id(to_guid(ID)) == parse_id(to_hex(ID).upper()) == ID
    for wrong in ("", "0", "-1", "x", "9" * 19, "9" * 32, to_guid(ID)[:-1], "١٢"):
        assert parse_id(wrong) is None


def test_message_view_has_no_text() -> None:
    """What operators see of a message is where it stands, not what it says."""
    message = Message("A", "1", text="secret text", parts=[b"secret text"], id=ID, state=2)
    message.acknowledged[0] = Acknowledgement("north", "abc", 5)
    view = message_view(message)
    assert "secret" not in str(view)
    assert (view.state, view.final, view.carrier, view.carrier_ids) == (
        "DELIVRD",
        True,
        "north",
        ["abc"],
    )
