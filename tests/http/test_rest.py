"""The REST API: parameters in, messages to acceptance, and answers in the shapes of the dialect."""

import json
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import StaticPool, create_engine, insert
from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from smsgw.config import Config
from smsgw.dialects import Aerialink
from smsgw.doors import Doors
from smsgw.flow.lists import Lists
from smsgw.http import rest, rest_codes, rest_parameters
from smsgw.http.rest_bodies import ParameterError, read_body
from smsgw.http.server import HttpServerFactory, Site
from smsgw.http.site import Request
from smsgw.identities import RECEIPT, Identities, to_guid, to_hex
from smsgw.login import Login
from smsgw.message import UDHI, Acknowledgement, Direction, Message, MessageState
from smsgw.provisioning import Account, Credential, Provisioning
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.store import schema

SUBMITTED = 1_773_483_302_000  # 2026-03-14T10:15:02Z
ID = 0x0123456789ABCDEF
GUID = to_guid(ID)
KEY = b"Basic a2V5MTpzZWNyZXQx"  # key1:secret1
MESSAGE = {"source": "12025550100", "destination": "12025550123", "messageText": "Hello world"}
Outcome = Message | Refusal


class Intake:
    """Accepts all messages, or decides as the test says; keeps what it was handed."""

    def __init__(self) -> None:
        self.handed: list[list[Message]] = []
        self.decide: Callable[[Message], Outcome] | None = None

    def accept(
        self, login: Login, messages: list[Message], *, beside: Any = None
    ) -> Deferred[list[Outcome]]:
        """As ``flow.accept`` does it."""
        self.handed.append(messages)
        outcomes = [self._outcome(number, m) for number, m in enumerate(messages)]
        if beside is not None and any(isinstance(one, Message) for one in outcomes):
            transaction = Transaction()
            beside(outcomes, transaction)
            with _engine.begin() as connection:
                for row in transaction.changes.answers:
                    connection.execute(insert(schema.answer).values(row))
        return succeed(outcomes)

    def consider(self, account: Account, message: Message, *, limited: Any = None) -> Outcome:
        """The same."""
        return self._outcome(0, message)

    def _outcome(self, number: int, message: Message) -> Outcome:
        message.id = ID + number
        message.accepted_at = SUBMITTED
        message.parts = message.parts or [b""]
        return self.decide(message) if self.decide else message


_engine = create_engine("sqlite://", poolclass=StaticPool)
schema.metadata.create_all(_engine)


class Store:
    """Runs at once what reads and writes the store."""

    def run(self, function: Callable[..., Any]) -> Deferred[Any]:
        """As the journal does it."""
        with _engine.begin() as connection:
            return succeed(function(connection))


class Known:
    """The messages that can be looked up, and an empty store."""

    lookups = None

    def __init__(self) -> None:
        self.journal = Store()
        self.lists = Lists()
        self.identities = Identities(now=lambda: SUBMITTED / 1000)
        self.dead_letters: Any = None
        self.replays: Any = SimpleNamespace(replay=None)
        self.messages: dict[tuple[str | None, int], Message] = {}
        self.sent = False

    async def cancel(self, account: str | None, id: int) -> Message | Refusal:
        """As the journey does it."""
        message = self.messages.get((account, id))
        if message is None:
            return Refusal(Reason.UNKNOWN_MESSAGE)
        if self.sent:
            return Refusal(Reason.CANCEL_FAILED, "it is not pending any more")
        message.state, message.done_at = MessageState.DELETED, message.accepted_at + 1000
        return message

    async def message(self, account: str | None, id: int) -> Message | None:
        """By account and id."""
        return self.messages.get((account, id))


class Api:
    """The REST API behind its server, spoken to in octets."""

    def __init__(
        self,
        account: dict[str, Any] | None = None,
        rights: dict[str, Any] | None = None,
        **settings: Any,
    ) -> None:
        self.account = Account("acme", country="1", **account or {})
        self.account.credential = [
            Credential(
                kind="http",
                username="key1",
                password_hash="secret1",
                allow=["192.168.1.1"],
                **rights or {},
            )
        ]
        self.provision()
        doors = Doors(
            lambda: self.tables, run=lambda _: succeed(self.secret == "secret1"), now=lambda: 0.0
        )
        settings.setdefault("allow_plain_http", True)
        config = Config(aerialink=Aerialink(**settings))
        self.secret = "secret1"
        self.intake = Intake()
        self.known = Known()
        self.site = Site()
        rest.add(self.site, rest.Rest(config, lambda: self.tables, doors, self.intake, self.known))
        self.server = HttpServerFactory(self.site, Clock())
        self.headers: dict[str, str] = {}
        self.text = b""

    def provision(self) -> None:
        """Puts the account as it is now in force."""
        self.tables = Tables(Provisioning(accounts={"acme": self.account}))

    def ask(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        content_type: str | None = None,
        authorization: bytes | None = KEY,
        **more: str,
    ) -> tuple[int, Any]:
        """Status and document of the answer; ``headers`` and ``text`` have the rest of it."""
        lines = [f"{method} {target} HTTP/1.1", "Host: h", f"Content-Length: {len(body)}"]
        if content_type is not None:
            lines.append(f"Content-Type: {content_type}")
        if authorization is not None:
            lines.append(f"Authorization: {authorization.decode()}")
        lines += [f"{name}: {value}" for name, value in more.items()]
        connection = self.server.buildProtocol(None)
        assert connection is not None
        wire = StringTransport()
        wire.abortConnection = lambda: None  # type: ignore[method-assign]
        connection.makeConnection(wire)
        connection.dataReceived("\r\n".join([*lines, "", ""]).encode() + body)
        head, _, self.text = wire.value().partition(b"\r\n\r\n")
        connection.connectionLost()
        first, *rest_lines = head.decode().split("\r\n")
        self.headers = dict(line.split(": ", 1) for line in rest_lines)
        return int(first.split(" ")[1]), self._read()

    def _read(self) -> Any:
        if not self.text or "json" not in self.headers["Content-Type"]:
            return None
        return json.loads(self.text)

    def post(self, *, target: str = "/v4/messages", **parameters: Any) -> tuple[int, Any]:
        """A submission in JSON; ``parameters`` over those of MESSAGE, None leaves one out."""
        body = {k: v for k, v in (MESSAGE | parameters).items() if v is not None}
        return self.ask("POST", target, json.dumps(body).encode(), "application/json")

    def form(self, **parameters: Any) -> tuple[int, Any]:
        """The same as a form."""
        body = {k: v for k, v in (MESSAGE | parameters).items() if v is not None}
        return self.ask(
            "POST", "/v4/messages", urlencode(body).encode(), "application/x-www-form-urlencoded"
        )

    def sent(self, **parameters: Any) -> Message:
        """The message that acceptance is handed, which must be the same by form and JSON."""
        for say in (self.form, self.post):
            status, document = say(**parameters)
            assert (status, document["aerialink"]["code"]) == (200, 10), document
        by_form, by_json = self.intake.handed[-2:]
        assert by_form == by_json
        return by_json[0]

    def error(self, **parameters: Any) -> tuple[int, int, str]:
        """Status, code and detail of a submission that is refused, by form and JSON alike."""
        answers = [self.form(**parameters), self.post(**parameters)]
        assert answers[0] == answers[1]
        return problem(answers[0])


def problem(answer: tuple[int, Any]) -> tuple[int, int, str]:
    """Status, code and detail of an error."""
    status, document = answer
    root = document["aerialink"]
    assert list(root) == ["code", "errorCode", "detail"]
    return status, root["code"], root["detail"]


class WorkedExamples(SynchronousTestCase):
    """Section 5 of the specification, byte for byte where it gives bytes."""

    def setUp(self) -> None:
        """An API for an account in North America."""
        self.api = Api()

    def test_submission_by_form(self) -> None:
        """The first example, with a GUID of ours."""
        body = (
            b"source=12025550100&destination=%28202%29+555-0123&messageText=Hello+world"
            b"&registeredDelivery=1&clientReference=A-17"
        )
        status, _ = self.api.ask("POST", "/v4/messages", body, "application/x-www-form-urlencoded")
        assert status == 200
        assert self.api.headers["Content-Type"] == "application/json; charset=utf-8"
        assert (
            self.api.text.decode()
            == '{"aerialink":{"code":10,"codeText":"Accepted","transactions":{"transaction":{'
            f'"transactionGUID":"{GUID}","messageType":"Submit","code":10,"codeText":"Accepted",'
            '"extendedStatusCode":10000,"messageState":"ENROUTE","source":"12025550100",'
            '"destination":"12025550123","parts":1,"clientReference":"A-17",'
            '"submitDate":"2026-03-14T10:15:02Z"}}}}'
        )
        (message,) = self.api.intake.handed[0]
        assert (message.text, message.registered_delivery) == ("Hello world", 1)
        assert (message.account, message.credential) == ("acme", "key1")
        assert message.interface == "rest"

    def test_submission_by_json(self) -> None:
        """The same effect."""
        body = (
            b'{"source":"12025550100","destination":"12025550123","messageText":"Hello world",'
            b'"registeredDelivery":true}'
        )
        self.api.ask("POST", "/v4/messages", body, "application/json; charset=utf-8")
        self.api.form(registeredDelivery="1")
        assert self.api.intake.handed[0] == self.api.intake.handed[1]

    def test_opted_out_is_200_with_a_transaction(self) -> None:
        """The second example, in JSON."""

        def opted_out(message: Message) -> Outcome:
            kept = attrs.evolve(message, parts=[], state=8)
            return Refusal(Reason.OPTED_OUT, message=kept)

        self.api.intake.decide = opted_out
        status, _ = self.api.post(destination="12025550199")
        assert status == 200
        assert (
            self.api.text.decode()
            == '{"aerialink":{"code":52,"codeText":"Opted Out","transactions":{"transaction":{'
            f'"transactionGUID":"{GUID}","messageType":"Submit","code":52,"codeText":"Opted Out",'
            '"extendedStatusCode":30003,"messageState":"REJECTD","source":"12025550100",'
            '"destination":"12025550199","parts":0,"clientReference":null,'
            '"submitDate":"2026-03-14T10:15:02Z"}}}}'
        )

    def test_errors(self) -> None:
        """Those of the specification."""
        self.api.ask("POST", "/v4/messages", authorization=None)
        assert (
            self.api.text
            == b'{"aerialink":{"code":1001,"errorCode":"E100001","detail":"Credentials missing"}}'
        )
        assert self.api.headers["WWW-Authenticate"] == 'Basic realm="smsgw", charset="UTF-8"'
        self.api.post(destination=None)
        assert (
            self.api.text == b'{"aerialink":{"code":1011,"errorCode":"E200001",'
            b'"detail":"Parameter missing: destination"}}'
        )
        self.api.intake.decide = lambda m: Refusal(Reason.SOURCE_NOT_PROVISIONED, m.source)
        self.api.post(source="12025550177")
        assert (
            self.api.text == b'{"aerialink":{"code":1022,"errorCode":"E200002",'
            b'"detail":"Source not provisioned: 12025550177"}}'
        )
        self.api.ask("GET", f"/v4/messages/{GUID}")
        assert (
            self.api.text
            == b'{"aerialink":{"code":1041,"errorCode":"E500001","detail":"Unknown transaction"}}'
        )


class Parameters(SynchronousTestCase):
    """Section 4.3: what each parameter does to the message."""

    def setUp(self) -> None:
        """An API for an account in North America."""
        self.api = Api()

    def test_source_loses_its_punctuation(self) -> None:
        """A number as people write it; a name stays as it is."""
        cases = {
            "+1 (202) 555-0100": "12025550100",
            " ACME ": "ACME",
            "My Shop.": "My Shop.",
            "12345": "12345",
        }
        for given_source, source in cases.items():
            assert self.api.sent(source=given_source).source == source
        self.api.post(source=12025550100, destination=12025550123)
        (message,) = self.api.intake.handed[-1]
        assert (message.source, message.destination) == ("12025550100", "12025550123")

    def test_friendly_destinations(self) -> None:
        """Test list 6; ten digits get the account's country code."""
        for text in ("(202) 555-0123", "+1 202 555 0123", "12025550123", " 0012025550123 "):
            assert self.api.sent(destination=text).destination == "12025550123", text
        assert self.api.sent(destination="011 44 7700 900123").destination == "447700900123"
        assert self.api.error(destination="nobody")[:2] == (400, 1023)

    def test_destination_format_0_takes_digits_only(self) -> None:
        """Otherwise 1023."""
        assert self.api.sent(destinationFormat="0").destination == "12025550123"
        for text in ("+12025550123", "(202) 555-0123", "02025550123", "12", "1" * 16):
            assert self.api.error(destination=text, destinationFormat="0") == (
                400,
                1023,
                f"Invalid destination: {text}",
            )

    def test_text_is_passed_on_as_it_is(self) -> None:
        """UTF-8; acceptance codes it."""
        for text in ("Grüße", "日本", "a\nb", " x ", "😀", "x" * 5000):
            message = self.api.sent(messageText=text)
            assert (message.text, message.parts) == (text, [b""])

    def test_dcs_codes_the_text(self) -> None:
        """The client's coding, or 1012 if the text does not fit it."""
        message = self.api.sent(messageText="é", dcs=3)
        assert (message.data_coding, message.parts, message.text) == (3, [b"\xe9"], None)
        message = self.api.sent(messageText="é", dcs=0)
        assert (message.data_coding, message.parts) == (0, [b"\x05"])
        message = self.api.sent(messageText="00ff", dcs=4)
        assert (message.data_coding, message.parts) == (4, [b"\x00\xff"])
        assert self.api.error(messageText="日", dcs=0)[:2] == (400, 1012)
        assert self.api.error(messageText="no hex", dcs=4)[:2] == (400, 1012)
        for dcs in (-1, 256, "x", 0x0F):
            assert self.api.error(dcs=dcs)[:2] == (400, 1012), dcs

    def test_flash_is_class_0(self) -> None:
        """By the text's coding, or the client's."""
        assert self.api.sent(flash="1").flash
        assert not self.api.sent(flash="0").flash
        assert self.api.sent(flash="true", dcs=8).data_coding == 24
        assert self.api.error(flash=1, dcs=3)[:2] == (400, 1012)

    def test_dcs_is_any_that_smpp_has_a_meaning_for(self) -> None:
        """spec/smpp.md §9; others, and a text that it cannot carry, are 1012."""
        for data_coding, text, octets in (
            (6, "Привет", "Привет".encode("iso8859-5")),
            (7, "שלום", "שלום".encode("iso8859-8")),
            (14, "안녕", "안녕".encode("euc_kr")),
            (0xE0, "Hi", "Hi".encode("utf-16-be")),
        ):
            message = self.api.sent(dcs=data_coding, messageText=text)
            assert (message.data_coding, message.parts) == (data_coding, [octets])
        for wrong in ({"dcs": 11}, {"dcs": 0x20}, {"dcs": 7, "messageText": "Ж"}):
            assert self.api.error(**wrong)[:2] == (400, 1012), wrong

    def test_udh_goes_in_front(self) -> None:
        """The text is hex if the coding is 8-bit."""
        message = self.api.sent(udh="050003cc0201", messageText="Hi")
        assert message.parts == [b"\x05\x00\x03\xcc\x02\x01Hi"]
        assert (message.esm_class, message.data_coding) == (UDHI, 0)
        message = self.api.sent(udh="06 05 04 0b84 23f0", dcs=4, messageText="00FF")
        assert message.parts == [bytes.fromhex("0605040b8423f000ff")]
        for udh in ("xy", "05", "0500", "050003cc020199"):
            assert self.api.error(udh=udh)[:2] == (400, 1012), udh

    def test_registered_delivery_asks_for_a_receipt(self) -> None:
        """0/1 and true/false in any format; off by default."""
        for yes in ("1", "true", 1):
            assert self.api.sent(registeredDelivery=yes).registered_delivery == 1
        for no in ("0", "false", 0, None, ""):
            assert self.api.sent(registeredDelivery=no).registered_delivery == 0
        assert self.api.error(registeredDelivery="2")[:2] == (400, 1012)

    def test_validity_is_minutes(self) -> None:
        """1 to 10080."""
        assert self.api.sent(validityPeriod=1).validity_ms == 60000
        assert self.api.sent(validityPeriod="10080").validity_ms == 604800000
        for wrong in (0, 10081, "soon", "-1", "1.5", "٣"):
            assert self.api.error(validityPeriod=wrong) == (
                400,
                1012,
                "Parameter invalid: validityPeriod (1 to 10080)",
            )

    def test_schedule_is_iso_8601(self) -> None:
        """UTC unless it says otherwise; a + that a form made a blank of is one."""
        for text in (
            "2026-03-14T10:15:02Z",
            "2026-03-14T10:15:02",
            "2026-03-14T11:15:02+01:00",
            "2026-03-14T11:15:02 01:00",
            "2026-03-14 10:15:02",
            "20260314T101502Z",
        ):
            assert self.api.sent(scheduleTime=text).schedule_at == SUBMITTED, text
        for wrong in ("tomorrow", "2026-13-14", "0001-01-01T00:00:00+23:00"):
            assert self.api.error(scheduleTime=wrong)[:2] == (400, 1012), wrong

    def test_client_reference_is_kept(self) -> None:
        """Up to 64 characters."""
        assert self.api.sent(clientReference="é" * 64).client_reference == "é" * 64
        assert self.api.sent().client_reference is None
        assert self.api.error(clientReference="x" * 65)[:2] == (400, 1012)

    def test_a_tag_is_kept(self) -> None:
        """Up to 32 printable characters, for the routes' ``tags``."""
        assert self.api.sent(tag="é" * 32).tag == "é" * 32
        assert self.api.sent().tag == ""
        for wrong in ("x" * 33, "a\nb"):
            assert self.api.error(tag=wrong)[:2] == (400, 1012)

    def test_a_sim_is_a_destination(self) -> None:
        """Its ICCID, in either destination format."""
        for text in ("8944500102198304826", "8944 5001 0219 8304 826"):
            assert self.api.sent(destination=text).destination == "8944500102198304826"
        message = self.api.sent(destination="894450010219830482", destinationFormat="0")
        assert message.destination == "894450010219830482"

    def test_a_cost_centre_is_kept(self) -> None:
        """1 to 10 printable characters (A-D27)."""
        assert self.api.sent(costCentre="sales 2026").costcentre == "sales 2026"
        assert self.api.sent(costCentre="").costcentre == ""
        for wrong in ("x" * 11, "a\nb"):
            code, number, *_ = self.api.error(costCentre=wrong)
            assert (code, number) == (400, 1012)

    def test_a_message_may_be_private(self) -> None:
        """By a flag (A-R20)."""
        assert self.api.sent(private="1").private
        assert not self.api.sent(private="0").private
        assert not self.api.sent().private
        assert self.api.error(private="maybe")[:2] == (400, 1012)

    def test_missing_parameters_are_named(self) -> None:
        """1011, in the order of the specification."""
        for name in ("source", "destination", "messageText"):
            for empty in (None, ""):
                assert self.api.error(**{name: empty}) == (400, 1011, f"Parameter missing: {name}")
        assert problem(self.api.ask("POST", "/v4/messages")) == (
            400,
            1011,
            "Parameter missing: source",
        )

    def test_what_is_not_sold_is_1033(self) -> None:
        """MMS and lists, if they are no part of the contract."""
        found = self.api.error(mediaUrl="https://www.example.com/a.jpg")
        assert found == (403, 1033, "Service not enabled: MMS")
        assert self.api.error(listId="x", destination=None)[:2] == (404, 1042)
        assert self.api.error(listId="x")[:2] == (400, 1012)
        self.api.account.settings = {"aerialink": {"lists": False}}
        self.api.provision()
        assert self.api.error(listId="x", destination=None) == (
            403,
            1033,
            "Service not enabled: lists",
        )

    def test_parameters_of_the_wrong_type_are_1012(self) -> None:
        """Only JSON has types."""
        for name in ("source", "destination", "messageText", "dcs", "flash", "clientReference"):
            for value in ([1], {"a": 1}, 1.5):
                assert problem(self.api.post(**{name: value}))[:2] == (400, 1012), name


class Several(SynchronousTestCase):
    """Several destinations in one submission."""

    def setUp(self) -> None:
        """An API for an account in North America."""
        self.api = Api()

    def test_each_has_a_transaction(self) -> None:
        """One batch GUID; acceptance gets one batch."""
        status, document = self.api.post(destination="12025550123, (202) 555-0124,12025550125")
        root = document["aerialink"]
        assert (status, list(root)) == (200, ["code", "codeText", "batchGUID", "transactions"])
        assert (root["code"], root["codeText"]) == (10, "Accepted")
        assert len(root["batchGUID"]) == 36
        found = root["transactions"]["transaction"]
        numbers = ["12025550123", "12025550124", "12025550125"]
        assert [one["destination"] for one in found] == numbers
        guids = [to_guid(ID + number) for number in range(3)]
        assert [one["transactionGUID"] for one in found] == guids
        assert [len(batch) for batch in self.api.intake.handed] == [3]

    def test_parts_are_not_shared(self) -> None:
        """Acceptance may cut each message up."""
        self.api.post(destination="12025550123,12025550124", dcs=4, messageText="00")
        first, second = self.api.intake.handed[0]
        first.parts.append(b"")
        assert second.parts == [b"\x00"]

    def test_each_has_its_own_code(self) -> None:
        """What is no destination, or refused, stands in its place."""

        def decide(message: Message) -> Outcome:
            if message.destination == "12025550124":
                return Refusal(Reason.OPTED_OUT, message=message)
            if message.destination == "12025550125":
                return Refusal(Reason.THROTTLED)
            return message

        self.api.intake.decide = decide
        status, document = self.api.post(destination="12025550125,12025550124,nobody,12025550123")
        root = document["aerialink"]
        assert (status, root["code"]) == (200, 10)
        found = root["transactions"]["transaction"]
        assert [one["code"] for one in found] == [1032, 52, 1023, 10]
        assert found[2] == {
            "transactionGUID": None,
            "code": 1023,
            "codeText": "Invalid destination",
            "errorCode": "E200002",
            "detail": "Invalid destination: nobody",
            "destination": "nobody",
        }

    def test_no_transaction_at_all_is_the_error_of_the_first(self) -> None:
        """HTTP 200 only if there is a transaction."""
        self.api.intake.decide = lambda _: Refusal(Reason.THROTTLED)
        assert problem(self.api.post(destination="12025550123,12025550124"))[:2] == (429, 1032)
        assert problem(self.api.post(destination="no,body"))[:2] == (400, 1023)

    def test_without_an_accepted_one_the_code_is_the_first(self) -> None:
        """52 and 52."""
        self.api.intake.decide = lambda m: Refusal(Reason.OPTED_OUT, message=m)
        status, document = self.api.post(destination="12025550123,12025550124")
        assert (status, document["aerialink"]["code"]) == (200, 52)

    def test_the_code_of_the_whole_is_that_of_a_transaction(self) -> None:
        """E-R23: HTTP 200 does not come with the code of a destination that is none."""
        self.api.intake.decide = lambda m: Refusal(Reason.NO_ROUTE, message=m)
        status, document = self.api.post(destination="nobody,12025550123,12025550124")
        root = document["aerialink"]
        assert (status, root["code"], root["codeText"]) == (200, 50, rest_codes.TEXTS[50])
        assert [one["code"] for one in root["transactions"]["transaction"]] == [1023, 50, 50]

    def test_too_many_are_1024(self) -> None:
        """By the setting of the dialect, or the account's own."""
        many = ",".join(["12025550123"] * 101)
        assert self.api.error(destination=many) == (
            400,
            1024,
            "Too many destinations: 101, limit 100",
        )
        api = Api({"settings": {"aerialink": {"max_destinations": 2}}})
        assert api.error(destination="1,2,3")[:2] == (400, 1024)


class Bodies(SynchronousTestCase):
    """Formats of requests and answers (E-D2, E-D3)."""

    def setUp(self) -> None:
        """An API for an account in North America."""
        self.api = Api()

    def test_multipart_is_a_form(self) -> None:
        """As browsers and curl -F send it; a file makes an MMS."""
        parts = [
            f'--b\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in (MESSAGE | {"messageText": "Grüße"}).items()
        ]
        body = "".join(parts).encode()
        content_type = 'multipart/form-data; boundary="b"'
        status, _ = self.api.ask("POST", "/v4/messages", body + b"--b--\r\n", content_type)
        assert status == 200
        assert self.api.intake.handed[0][0].text == "Grüße"
        file = (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
            b"Content-Type: image/jpeg\r\n\r\n\xff\xd8\r\n--b--\r\n"
        )
        answer = self.api.ask("POST", "/v4/messages", body + file, content_type)
        assert problem(answer)[:2] == (403, 1033)

    def test_unreadable_bodies_are_1010(self) -> None:
        """With what is wrong."""
        cases = [
            (b"{", "application/json"),
            (b"[]", "application/json"),
            (b'"x"', "application/json"),
            (b'{"source":"\xff"}', "application/json"),
            (b"[" * 60_000, "application/json"),
            (b"source=%FF", "application/x-www-form-urlencoded"),
            (b"source=\xc3\xa9", "application/x-www-form-urlencoded"),
            (b"x", "multipart/form-data"),
            (b"--b\r\n\r\nx\r\n--b--\r\n", "multipart/form-data; boundary=b"),
        ]
        for body, content_type in cases:
            answer = self.api.ask("POST", "/v4/messages", body, content_type)
            assert problem(answer)[:2] == (400, 1010), body[:20]

    def test_repeated_parameter_is_1012(self) -> None:
        """A form that says two things says nothing."""
        body = urlencode(MESSAGE).encode() + b"&source=2"
        answer = self.api.ask("POST", "/v4/messages", body, "application/x-www-form-urlencoded")
        expected = (400, 1012, "Parameter invalid: source is given more than once")
        assert problem(answer) == expected

    def test_a_repeated_parameter_is_found_in_one_pass(self) -> None:
        """However many names come before it: in squares this many would take hours."""
        names = "&".join(f"n{number}" for number in range(300_000))
        request = Request(
            "POST",
            b"/",
            {b"content-type": b"application/x-www-form-urlencoded"},
            f"{names}&last&last".encode(),
        )
        with pytest.raises(ParameterError) as caught:
            read_body(request)
        assert caught.value.refusal.detail == "last is given more than once"

    def test_hostile_multipart_is_1010(self) -> None:
        """What makes a parser of mail recurse or run in squares is refused as unreadable."""
        part = b"--b\r\nContent-Disposition: form-data; name=source"
        nested = b"".join(
            b"--%d\r\nContent-Type: multipart/mixed; boundary=%d\r\n\r\n" % (n, n + 1)
            for n in range(1000)
        )
        cases = [
            (part + b"(" * 10_000 + b"\r\n\r\nx\r\n--b--\r\n", "b"),
            (part + b"; a=b" * 12_000 + b"\r\n\r\nx\r\n--b--\r\n", "b"),
            (part + b"\r\nX: y" * 10_000 + b"\r\n\r\nx\r\n--b--\r\n", "b"),
            (nested, "0"),
            (b"--b\r\nContent-Type: message/rfc822\r\n\r\n" * 1500, "b"),
            (part + b"\r\n\r\nx\r\n--b--\r\n", "c" + "; a=b" * 3000),
            (part + b"\r\n\r\nx", "b"),
            (part + b"\r\nContent-Transfer-Encoding: base64\r\n\r\neA==\r\n--b--\r\n", "b"),
            (b"--b\r\nContent-Disposition: form-data; name=\xff\r\n\r\nx\r\n--b--\r\n", "b"),
        ]
        for body, boundary in cases:
            content_type = f"multipart/form-data; boundary={boundary}"
            answer = self.api.ask("POST", "/v4/messages", body, content_type)
            assert problem(answer)[:2] == (400, 1010), body[:60]

    def test_multipart_may_be_written_in_several_ways(self) -> None:
        """RFC 7578: quotes, blanks after a boundary, a text before the first, more headers."""
        body = (
            b"ignored\r\n--b-1 \r\n"
            b"content-disposition:form-data; NAME=source\r\n\r\n12025550100\r\n--b-1\r\n"
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n"
            b'Content-Disposition: form-data;\r\n name="destination"\r\n\r\n'
            b"12025550123\r\n--b-1\r\n"
            b'Content-Disposition: form-data; name="messageText"\r\n\r\n'
            b"a\r\n\r\n--b\r\n--b-1--ignored"
        )
        content_type = 'multipart/form-data; charset=utf-8; Boundary="b-1"'
        assert self.api.ask("POST", "/v4/messages", body, content_type)[0] == 200
        assert self.api.intake.handed[0][0].text == "a\r\n\r\n--b"

    def test_unknown_formats_are_1013(self) -> None:
        """Of the body."""
        for content_type in ("text/plain", "application/yaml", None):
            answer = self.api.ask("POST", "/v4/messages", b"x", content_type)
            assert problem(answer)[:2] == (415, 1013), content_type

    def known_message(self) -> None:
        """A message that can be asked for."""
        message = Message("1", "2", id=ID, parts=[b""], accepted_at=SUBMITTED)
        self.api.known.messages["acme", ID] = message

    def test_json_is_asked_for_in_many_ways(self) -> None:
        """By suffix, by Accept, by nothing; a slash at the end is ignored."""
        self.known_message()
        for target in (
            "/v4/messages.json",
            "/v4/messages/",
            "/v4/messages",
        ):
            assert self.api.post(target=target)[0] == 200, target
        for target in (f"/v4/messages/{GUID}.json", f"/v4/messages/{GUID}/"):
            assert self.api.ask("GET", target)[0] == 200, target
        for accept in ("*/*", "application/json", "text/html, */*;q=0.1", "image/png"):
            status, _ = self.api.ask("GET", f"/v4/messages/{GUID}", Accept=accept)
            assert status == 200, accept


class Who(SynchronousTestCase):
    """1001 to 1005, and their folding into 1000."""

    def test_wrong_logins(self) -> None:
        """Each has its code."""
        api = Api()
        target = "/v4/messages?transactionGUID=x"
        wrong = b"Basic " + b64encode(b"key2:secret1")
        assert problem(api.ask("GET", target, authorization=wrong)) == (
            401,
            1002,
            "Credentials invalid",
        )
        api.secret = "another"
        assert problem(api.ask("GET", target))[:2] == (401, 1002)
        api.account.suspended = True
        api.provision()
        assert problem(api.ask("GET", target))[:2] == (403, 1003)
        assert api.intake.handed == []

    def test_a_right_that_a_login_lacks_is_1005(self) -> None:
        """F-6: sending and asking for a status are rights of their own; so is the interface."""
        target = f"/v4/messages/{GUID}"
        api = Api(rights={"resources": ["send"]})
        assert api.post()[0] == 200
        assert problem(api.ask("GET", target)) == (403, 1005, "Permission denied: status")
        api = Api(rights={"resources": ["status"]})
        assert problem(api.post()) == (403, 1005, "Permission denied: send")
        assert problem(api.post()) == (403, 1005, "Permission denied: send")
        assert api.intake.handed == []
        api = Api(rights={"interfaces": ["rest"]})
        assert api.post()[0] == 200
        api = Api(rights={"interfaces": ["websmpp"]})
        assert problem(api.post())[:2] == (403, 1005)

    def test_an_account_that_has_expired_is_1003(self) -> None:
        """From the end of its last day in its own time zone, also for logins known before."""
        api = Api()
        assert api.post()[0] == 200
        api.account.expires = "1969-12-31"
        api.provision()
        assert problem(api.post()) == (403, 1003, "Account inactive: expired")

    def test_a_default_sender_stands_for_a_source_that_is_missing(self) -> None:
        """Without one it is 1011."""
        body = b"destination=12025550123&messageText=Hi"
        form = "application/x-www-form-urlencoded"
        api = Api()
        assert problem(api.ask("POST", "/v4/messages", body, form))[:2] == (400, 1011)
        api = Api(account={"sender": "ACME"})
        assert api.ask("POST", "/v4/messages", body, form)[0] == 200
        [[message]] = api.intake.handed
        assert message.source == "ACME"

    def test_address_outside_the_allow_list_is_1004(self) -> None:
        """E-D6."""
        api = Api()
        api.account.credential[0].allow = []
        tables = Tables(Provisioning(accounts={"acme": api.account}))
        doors = Doors(lambda: tables)
        site = Site()
        rest.add(site, rest.Rest(Config(), lambda: tables, doors, api.intake, api.known))
        api.server = HttpServerFactory(site, Clock())
        # Plain HTTP is for this machine only by default, so this comes first (E-D5).
        assert problem(api.ask("GET", "/v4/messages")) == (
            403,
            1005,
            "Permission denied: HTTPS is needed",
        )
        config = Config(aerialink=Aerialink(allow_plain_http=True))
        rest.add(site, rest.Rest(config, lambda: tables, doors, api.intake, api.known))
        assert problem(api.ask("GET", "/v4/messages")) == (403, 1004, "Address not allowed")

    def test_guessing_is_1032(self) -> None:
        """E-D4, with the time to wait."""
        api = Api()
        for number in range(20):
            header = b"Basic " + b64encode(b"key1:%d" % number)
            api.secret = "no"
            assert problem(api.ask("GET", "/v4/messages", authorization=header))[1] == 1002
        assert problem(api.ask("GET", "/v4/messages"))[:2] == (429, 1032)
        assert api.headers["Retry-After"] == "60"

    def test_faults_of_a_login_may_be_folded(self) -> None:
        """1000 for all of them."""
        api = Api(fold_auth_errors=True)
        expected = (401, 1000, "Authentication error")
        assert problem(api.ask("GET", "/v4/messages", authorization=None)) == expected
        assert "WWW-Authenticate" in api.headers
        api.account.suspended = True
        api.provision()
        assert problem(api.ask("GET", "/v4/messages")) == expected

    def test_name_of_the_root_is_a_setting(self) -> None:
        """E-D9."""
        api = Api(root="gateway")
        assert list(api.post()[1]) == ["gateway"]


class Paths(SynchronousTestCase):
    """Methods, paths, and faults that the server finds."""

    def setUp(self) -> None:
        """An API for an account in North America."""
        self.api = Api()

    def test_other_methods_are_1015(self) -> None:
        """With what is allowed; sending by GET is not."""
        cases = [
            ("PUT", "/v4/messages", "GET, HEAD, POST"),
            ("PUT", f"/v4/messages/{GUID}", "DELETE, GET, HEAD"),
            ("GET", f"/v4/messages/{GUID}/cancel", "POST"),
            ("GET", "/v4/messages/send?source=1&destination=2", ""),
        ]
        for method, target, allowed in cases:
            assert problem(self.api.ask(method, target))[:2] == (405, 1015)
            assert self.api.headers["Allow"] == allowed

    def test_other_paths_are_1040(self) -> None:
        """Paths are case-sensitive (E-D1)."""
        for target in ("/v4", "/v4/", "/v4/Messages", "/v4/x/y", f"/v4/messages/{GUID}/x"):
            assert problem(self.api.ask("GET", target))[:2] == (404, 1040), target

    def test_faults_of_the_server_are_told_in_codes(self) -> None:
        """A body that is too large, chunks that are none."""
        large = self.api.ask("POST", "/v4/messages", b"x" * 65_537, "application/json")
        assert problem(large)[:2] == (413, 1014)
        assert self.api.headers["Content-Type"] == "application/json; charset=utf-8"

    def test_bug_is_1050(self) -> None:
        """With the number that is in the log."""
        self.api.intake.decide = lambda _: [][0]
        status, code, detail = problem(self.api.post())
        assert (status, code) == (500, 1050)
        assert re.search("^System error: request id [0-9a-f]{12}$", detail)
        assert len(self.flushLoggedErrors(IndexError)) == 1

    def test_a_store_that_does_not_answer_is_1051(self) -> None:
        """With the time to wait, by every resource."""

        def broken(_: Any) -> Deferred[Any]:
            return fail(OperationalError("SELECT", None, Exception("disk I/O error")))

        self.api.known.journal.run = broken  # type: ignore[method-assign]
        for target in ("/v4/lists", f"/v4/messages?batchGUID={GUID}", "/v4/report"):
            assert problem(self.api.ask("GET", target))[:2] == (503, 1051), target
            assert self.api.headers["Retry-After"] == "5"

    def test_requests_have_ids(self) -> None:
        """The client's own if it is harmless, else one of ours; also errors have."""
        self.api.post()
        first = self.api.headers["X-Request-Id"]
        self.api.ask("GET", "/v4/x", **{"X-Request-Id": "a.b_c-1"})
        assert self.api.headers["X-Request-Id"] == "a.b_c-1"
        self.api.ask("GET", "/v4/x", **{"X-Request-Id": "a b"})
        assert self.api.headers["X-Request-Id"] not in ("a b", first)

    def test_head_of_a_status_has_no_body(self) -> None:
        """HEAD is GET without the body."""
        self.api.known.messages["acme", ID] = Message("1", "2", id=ID, parts=[b""])
        assert self.api.ask("HEAD", f"/v4/messages/{GUID}") == (200, None)


class Cancelling(SynchronousTestCase):
    """What is pending is cancelled by two requests that do the same."""

    def setUp(self) -> None:
        """An API that knows one message."""
        self.api = Api()
        message = Message("1", "2", id=ID, parts=[b"x"], accepted_at=1_800_000_000_000)
        self.api.known.messages["acme", ID] = message

    def test_both_requests_answer_with_the_transaction(self) -> None:
        """200, DELETED, and when."""
        asked = (("DELETE", GUID), ("POST", f"{GUID}/cancel"), ("DELETE", to_hex(ID)))
        for method, target in asked:
            status, document = self.api.ask(method, f"/v4/messages/{target}")
            transaction = document["aerialink"]["transactions"]["transaction"]
            assert (status, transaction["transactionGUID"]) == (200, GUID)
            assert (transaction["messageState"], transaction["code"]) == ("DELETED", 50)
            assert transaction["doneDate"] == "2027-01-15T08:00:01Z"

    def test_what_is_not_pending_is_a_conflict(self) -> None:
        """409 with 1043."""
        self.api.known.sent = True
        answer = problem(self.api.ask("DELETE", f"/v4/messages/{GUID}"))
        assert answer == (409, 1043, "Conflict: it is not pending any more")

    def test_what_is_unknown_is_1041(self) -> None:
        """Nobody's, another's, a receipt's, or no GUID at all."""
        self.api.known.messages["other", ID + 8] = Message("1", "2", id=ID + 8, parts=[b"x"])
        receipt = to_guid(ID, RECEIPT)
        for name in (to_guid(ID + 8), to_guid(ID + 16), receipt, "nonsense"):
            for method, target in (("DELETE", name), ("POST", f"{name}/cancel")):
                answer = problem(self.api.ask(method, f"/v4/messages/{target}"))
                assert answer[:2] == (404, 1041), (method, target)

    def test_it_takes_the_right_to_send(self) -> None:
        """1005 without it."""
        api = Api(rights={"resources": ["status"]})
        assert problem(api.ask("DELETE", f"/v4/messages/{GUID}"))[:2] == (403, 1005)


class Status(SynchronousTestCase):
    """GET of a transaction over its life."""

    def setUp(self) -> None:
        """A message that was just accepted."""
        self.api = Api()
        self.message = Message(
            "12025550100",
            "12025550123",
            parts=[b"Hello world"],
            registered_delivery=1,
            client_reference="A-17",
            account="acme",
            id=ID,
            accepted_at=SUBMITTED,
        )
        self.api.known.messages["acme", ID] = self.message

    def transaction(self, target: str = f"/v4/messages/{GUID}") -> dict[str, Any]:
        """The transaction in the answer."""
        status, document = self.api.ask("GET", target)
        assert (status, list(document["aerialink"])) == (200, ["transactions"])
        found: dict[str, Any] = document["aerialink"]["transactions"]["transaction"]
        return found

    def acknowledge(self, state: MessageState = MessageState.ENROUTE) -> None:
        """The carrier took it two seconds later, and its receipt says ``state``."""
        self.message.acknowledged[0] = Acknowledgement("north", "1", SUBMITTED + 2000)
        self.message.state = state
        if state.final:
            self.message.done_at = SUBMITTED + 7000

    def test_before_the_carrier_acknowledged(self) -> None:
        """Code 10, and every property is there."""
        assert self.transaction() == {
            "transactionGUID": GUID,
            "transactionGUIDlinked": None,
            "messageType": "Submit",
            "code": 10,
            "codeText": "Accepted",
            "extendedStatusCode": 10000,
            "messageState": "ENROUTE",
            "networkErrorCode": None,
            "source": "12025550100",
            "destination": "12025550123",
            "parts": 1,
            "dcs": 0,
            "clientReference": "A-17",
            "operatorId": None,
            "submitDate": "2026-03-14T10:15:02Z",
            "carrierDate": None,
            "doneDate": None,
            "retryCount": 0,
            "nextRetryDate": None,
        }

    def test_after_the_carrier_acknowledged(self) -> None:
        """Code 20 (E-R27)."""
        self.acknowledge()
        found = self.transaction()
        assert (found["code"], found["codeText"]) == (20, "Request Completed")
        assert (found["extendedStatusCode"], found["messageState"]) == (30000, "ENROUTE")
        assert found["carrierDate"] == "2026-03-14T10:15:04Z"
        assert found["transactionGUIDlinked"] is None

    def test_after_the_receipt(self) -> None:
        """Code 20 stays; state, date and the receipt's own GUID are added."""
        self.acknowledge(MessageState.DELIVERED)
        found = self.transaction()
        assert (found["code"], found["extendedStatusCode"]) == (20, 40001)
        assert found["messageState"] == "DELIVRD"
        assert found["doneDate"] == "2026-03-14T10:15:09Z"
        assert found["transactionGUIDlinked"] == to_guid(ID, RECEIPT)

    def test_receipt_is_a_transaction_too(self) -> None:
        """Linked to the submission; unknown before it came."""
        target = f"/v4/messages/{to_guid(ID, RECEIPT)}"
        assert problem(self.api.ask("GET", target))[:2] == (404, 1041)
        self.acknowledge(MessageState.UNDELIVERABLE)
        self.message.network_error = "008"
        found = self.transaction(target)
        assert found["messageType"] == "Receipt"
        assert found["transactionGUID"] == to_guid(ID, RECEIPT)
        assert found["transactionGUIDlinked"] == GUID
        assert (found["code"], found["extendedStatusCode"]) == (20, 30003)
        assert (found["messageState"], found["networkErrorCode"]) == ("UNDELIV", "008")

    def test_codes_of_every_state(self) -> None:
        """4.1 and rulings 12 and 18; before and after a carrier took it."""
        before = {
            MessageState.SCHEDULED: (10, 10000, "ENROUTE"),
            MessageState.ENROUTE: (10, 10000, "ENROUTE"),
            MessageState.UNKNOWN: (10, 10000, "UNKNOWN"),
            MessageState.EXPIRED: (50, 30003, "EXPIRED"),
            MessageState.DELETED: (50, 30003, "DELETED"),
            MessageState.UNDELIVERABLE: (50, 30003, "UNDELIV"),
            MessageState.REJECTED: (50, 30003, "REJECTD"),
        }
        after = {
            MessageState.ENROUTE: (20, 30000, "ENROUTE"),
            MessageState.ACCEPTED: (20, 40000, "ACCEPTD"),
            MessageState.DELIVERED: (20, 40001, "DELIVRD"),
            MessageState.UNKNOWN: (20, 30000, "UNKNOWN"),
            MessageState.EXPIRED: (20, 30003, "EXPIRED"),
            MessageState.REJECTED: (20, 30003, "REJECTD"),
        }
        names = ("code", "extendedStatusCode", "messageState")
        for state, expected in before.items():
            self.message.state = state
            found = self.transaction()
            assert tuple(found[name] for name in names) == expected
        for state, expected in after.items():
            self.acknowledge(state)
            found = self.transaction()
            assert tuple(found[name] for name in names) == expected
        self.message.registered_delivery = 0
        self.acknowledge(MessageState.DELIVERED)
        assert self.transaction()["extendedStatusCode"] == 30000

    def test_refused_at_submission_keeps_its_code(self) -> None:
        """50 and 55 never change (4.3)."""
        for reason, code, extended in (
            (Reason.NO_ROUTE, 50, 30003),
            (Reason.FILTERED, 55, 30004),
            (Reason.DUPLICATE, 55, 30004),
        ):
            self.message.parts = []
            self.message.state = MessageState.REJECTED
            self.message.error = reason.answer.link
            found = self.transaction()
            assert (found["code"], found["extendedStatusCode"]) == (code, extended)
            assert (found["messageState"], found["parts"]) == ("REJECTD", 0)

    def test_inbound_message_is_a_deliver(self) -> None:
        """20 when the account has it."""
        self.message.direction = Direction.MO
        found = self.transaction()
        assert (found["messageType"], found["code"]) == ("Deliver", 10)
        self.message.state = MessageState.DELIVERED
        assert self.transaction()["code"] == 20

    def test_guid_may_be_written_in_several_ways(self) -> None:
        """In the path or the query, with hyphens or without, in either case."""
        for target in (
            f"/v4/messages?transactionGUID={GUID}",
            f"/v4/messages.json?transactionGUID={GUID}",
            f"/v4/messages/{to_hex(ID)}.json",
            f"/v4/messages/{GUID.upper()}",
        ):
            assert self.transaction(target)["transactionGUID"] == GUID, target

    def test_what_is_not_there_is_1041(self) -> None:
        """Nor is what belongs to another account (I6)."""
        self.api.known.messages["other", ID + 1] = self.message
        for name in (to_guid(ID + 1), "x", GUID[:-1], GUID + "0", "%00"):
            answer = self.api.ask("GET", f"/v4/messages/{name}")
            assert problem(answer) == (404, 1041, "Unknown transaction"), name
        assert problem(self.api.ask("GET", "/v4/messages")) == (
            400,
            1011,
            "Parameter missing: transactionGUID",
        )


def test_the_guide_names_what_makes_an_mms() -> None:
    """Not every parameter that it does not explain is ignored."""
    guide = (Path(__file__).parents[2] / "docs" / "guide" / "rest.md").read_text()
    section = guide.partition("## Parameters of a message")[2].partition("\n## ")[0]
    for name in (*rest_parameters.OF_MMS, "listId"):
        assert f"`{name}`" in section


@pytest.mark.parametrize("reason", list(Reason))
def test_every_refusal_has_its_code_and_status(reason: Reason) -> None:
    """I4: the one table decides; 50, 51, 52 and 55 come with 200 and a transaction (E-R23)."""
    api = Api()
    api.intake.decide = lambda m: Refusal(reason, "what", m if reason.answer.rest < 100 else None)
    status, document = api.post()
    root = document["aerialink"]
    assert (status, root["code"]) == (reason.answer.http, reason.answer.rest)
    if reason.answer.http == 200:
        assert root["transactions"]["transaction"]["transactionGUID"] == GUID
        assert root["codeText"] == reason.answer.text
    else:
        assert root["detail"] == f"{reason.answer.text}: what"
        assert root["errorCode"] == rest_codes.error_code(root["code"])
    assert ("Retry-After" in api.headers) == (status in (429, 503))
    assert ("WWW-Authenticate" in api.headers) == (status == 401)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
NAMES = st.sampled_from(
    [*MESSAGE, "destinationFormat", "registeredDelivery", "dcs", "flash", "udh", "validityPeriod"]
    + ["scheduleTime", "clientReference", "listId", "subject"]
)
LIKELY = st.sampled_from(["", "0", "1", 0, 8, 240, True, "12025550123", "0500", "2026-03-14", "é"])


@settings(deadline=None, max_examples=100)
@given(st.dictionaries(NAMES, LIKELY | JSON_VALUES, max_size=8), st.booleans())
def test_any_parameters_get_an_answer(parameters: dict[str, Any], complete: bool) -> None:
    """A client's fault is a 4xx, never a 500."""
    body = json.dumps(MESSAGE | parameters if complete else parameters).encode()
    status, document = Api().ask("POST", "/v4/messages", body, "application/json")
    assert status in (200, 400, 403, 404), document


@settings(deadline=None, max_examples=100)
@given(
    st.binary(max_size=200),
    st.sampled_from(
        [
            "application/json",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=b",
            "multipart/form-data",
            "application/xml",
            "text/xml; charset=utf-16",
        ]
    ),
    st.binary(max_size=20),
)
def test_any_body_gets_an_answer(body: bytes, content_type: str, tail: bytes) -> None:
    """The same for octets."""
    head = b'--b\r\nContent-Disposition: form-data; name="' + tail + b"\r\n\r\n"
    for octets in (body, head + body):
        status, document = Api().ask("POST", "/v4/messages", octets, content_type)
        assert status in (200, 400, 403, 404), document
