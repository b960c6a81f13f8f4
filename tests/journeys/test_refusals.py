"""Every reason to refuse a submission, met over real sockets by SMPP and by REST (I4)."""

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from attrs import field, frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.threads import deferToThread

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.dialects import Aerialink
from smsgw.doors import FAILURES
from smsgw.refusals import Reason
from smsgw.service import Gateway
from smsgw.smpp.constants import Tag
from smsgw.smpp.pdu import DataSm, DistributionList, Pdu, SubmitMulti
from smsgw.smpp.tlv import put
from smsgw.store.journal import StoreFailed
from smsgw.testing.esme import Esme
from tests.integration.scene import DEADLINE_S, SECRET, Scene, post
from tests.journals import a_store
from tests.running import free_ports

NUMBER = "447700900000"
HANDSET = "447700900123"
BLOCKED = "447700900200"
OPTED_OUT = "447700900201"
GUESSER = "127.0.0.2"  # an address that is locked out
LATER = b"000200000000000R"  # in two months, which no profile takes

PROVISIONING = """
[[carrier]]
name = "sim"
kind = "simulator"
[[route]]
name = "uk"
prefixes = ["44"]
carriers = ["sim"]
price = "0.01"
[[filter]]
name = "pills"
text = "(?i)pills"
"""


def _account(name: str, login: str = "", settings: str = "") -> str:
    rights = f'password = "{SECRET}"\n{login}\n'
    if "allow" not in login:
        rights += 'allow = ["127.0.0.0/8"]\n'
    if "binds" not in login:
        rights += "binds = 9\n"
    return f'[[account]]\nname = "{name}"\n{settings}\n' + "".join(
        f'[[account.credential]]\nkind = "{kind}"\nusername = "{name}"\n{rights}'
        for kind in ("smpp", "http")
    )


# What each account is refused for.
ACCOUNTS = "".join(
    (
        _account("acme", settings="duplicate_window_s = 3600"),
        _account("plain"),
        _account("strict", settings='senders = ["ACME"]'),
        _account("poor", settings='balance = "0.00"'),
        _account("bare", settings="settings.aerialink.mms = false"),
        _account("slow", settings="rate = 0.01"),
        _account("small", settings="quota_day = 1"),
        _account("suspended", settings="suspended = true"),
        _account("below", settings='parent = "suspended"'),
        _account("expired", settings='expires = "2020-01-01"'),
        _account("elsewhere", 'allow = ["192.0.2.0/24"]'),
        _account("reader", 'resources = ["status"]'),
        _account("single", "binds = 1"),
    )
)


@frozen
class Row:
    """A reason, and what it must say: the status of the standard and of the link profile, code and
    HTTP status of REST; None where it cannot be met.

    ``submit`` are fields of the submit_sm, ``rest`` of the document, besides those of a message
    that is accepted; a document of None leaves a field out. ``name`` is the account; with ``bind``
    it is met at the bind already. Of ``times`` submissions the last one counts.
    """

    reason: Reason
    standard: int | None
    link: int | None
    code: int | None
    http: int | None
    submit: dict[str, Any] = field(factory=dict)
    rest: dict[str, Any] = field(factory=dict)
    name: str = "acme"
    secret: str = SECRET
    bind: int = 0  # so many binds; the last one counts
    times: int = 1
    during: str = ""  # what is wrong with the gateway meanwhile
    headers: dict[str, str] = field(factory=dict)
    method: str = "POST"
    body: bytes = b""  # in place of the document
    pdu: Pdu | None = None  # in place of the submit_sm
    peer: str = "127.0.0.1"


R = Reason
_LONG = b"x" * 1_300  # of nine parts
_TWO_PARTS = b"x" * 161
ROWS = [
    # Processed but not sent.
    Row(
        *(R.NO_ROUTE, 0x432, 0x0B, 50, 200),
        {"destination": "33123456789"},
        {"destination": "33123456789"},
    ),
    Row(*(R.BLOCKED, 0x433, 0x0B, 51, 200), {"destination": BLOCKED}, {"destination": BLOCKED}),
    Row(
        *(R.OPTED_OUT, 0x434, 0x0B, 52, 200),
        {"destination": OPTED_OUT},
        {"destination": OPTED_OUT},
    ),
    Row(*(R.FILTERED, 0x437, 0x45, 55, 200), {"text": b"Pills!"}, {"messageText": "Pills!"}),
    Row(*(R.DUPLICATE, 0x437, 0x45, 55, 200), times=2),
    # Who asks.
    Row(*(R.CREDENTIALS_MISSING, None, None, 1001, 401), name=""),
    Row(*(R.UNKNOWN_LOGIN, 0x0F, 0x0F, 1002, 401), name="nobody", bind=1),
    Row(*(R.WRONG_PASSWORD, 0x0E, 0x0E, 1002, 401), secret="wrong", bind=1),
    Row(*(R.ACCOUNT_INACTIVE, 0x0D, 0x0D, 1003, 403), name="suspended", bind=1),
    Row(*(R.ACCOUNT_INACTIVE, 0x0D, 0x0D, 1003, 403), name="below", bind=1),
    Row(*(R.ACCOUNT_EXPIRED, 0x0D, 0x0D, 1003, 403), name="expired", bind=1),
    Row(*(R.ADDRESS_NOT_ALLOWED, 0x0D, 0x0D, 1004, 403), name="elsewhere", bind=1),
    Row(*(R.PERMISSION_DENIED, 0x0D, 0x0D, 1005, 403), name="reader", bind=1),
    Row(*(R.TOO_MANY_BINDS, 0x05, 0x05, None, None), name="single", bind=2),
    Row(*(R.TOO_MANY_LOGINS, 0x0D, 0x0D, 1032, 429), name="nobody", bind=1, peer=GUESSER),
    # What is asked.
    Row(*(R.BAD_REQUEST, None, None, 1010, 400), body=b'{"source": '),
    Row(
        *(R.PARAMETER_MISSING, 0xC3, None, 1011, 400),
        rest={"messageText": None},
        pdu=DataSm(source_addr=b"ACME", destination_addr=HANDSET.encode()),
    ),
    Row(*(R.PARAMETER_INVALID, None, None, 1012, 400), rest={"dcs": "300"}),
    Row(
        *(R.UNSUPPORTED_FORMAT, None, None, 1013, 415),
        headers={"Content-Type": "application/pdf"},
    ),
    Row(
        *(R.TOO_LONG, 0x01, 0x01, 1014, 400),
        {"text": b"", "tlvs": [put(Tag.MESSAGE_PAYLOAD, _LONG)]},
        {"messageText": _LONG.decode()},
    ),
    Row(*(R.TOO_LARGE, None, None, 1014, 413), rest={"messageText": "x" * 70_000}),
    Row(*(R.METHOD_NOT_ALLOWED, None, None, 1015, 405), method="PUT"),
    Row(*(R.BAD_CODING, 0x45, 0x45, 1012, 400), {"data_coding": 0x0B}, {"dcs": "11"}),
    Row(*(R.BAD_ESM_CLASS, 0x43, 0x43, None, None), {"esm_class": 0x04}),
    Row(*(R.BAD_PRIORITY, 0x06, 0x06, None, None), {"priority_flag": 5}),
    Row(*(R.BAD_REGISTERED_DELIVERY, 0x07, 0x07, None, None), {"registered_delivery": 0x20}),
    Row(*(R.BAD_REPLACE_FLAG, 0x54, 0x54, None, None), {"replace_if_present_flag": 2}),
    Row(*(R.REPLACE_NOT_SUPPORTED, None, 0x42, None, None), {"replace_if_present_flag": 1}),
    Row(*(R.UNKNOWN_DEFAULT_MESSAGE, 0x63, 0x63, None, None), {"sm_default_msg_id": 1}),
    Row(
        *(R.TEXT_TWICE, 0xC1, 0xC1, None, None),
        {"tlvs": [put(Tag.MESSAGE_PAYLOAD, b"twice")]},
    ),
    Row(
        *(R.BAD_UDH, 0x45, 0x45, 1012, 400),
        {"esm_class": 0x40, "text": b"\x09\x00\x03\x01\x01\x01"},
        {"udh": "0900030101"},
    ),
    Row(
        *(R.BAD_SCHEDULE, 0x61, 0x61, 1012, 400),
        {"schedule_delivery_time": LATER},
        {"scheduleTime": "2099-01-01T00:00:00Z"},
    ),
    Row(
        *(R.BAD_VALIDITY, 0x62, 0x62, 1012, 400),
        {"validity_period": b"200101000000000+"},
        {"validityPeriod": "0"},
    ),
    Row(*(R.BAD_VALIDITY, None, 0x62, None, None), {"validity_period": LATER}),
    Row(
        *(R.BAD_SOURCE, 0x0A, 0x0A, 1021, 400),
        {"source_addr": b"TWELVELETTER"},
        {"source": "TWELVELETTER"},
    ),
    Row(*(R.BAD_SOURCE_TON, 0x48, 0x48, None, None), {"source_addr_ton": 6}),
    Row(
        *(R.SOURCE_NOT_PROVISIONED, 0x0A, 0x0A, 1022, 400),
        {"source": "OTHER"},
        {"source": "OTHER"},
        "strict",
    ),
    Row(*(R.BAD_DESTINATION, 0x0B, 0x0B, 1023, 400), {"destination": "44"}, {"destination": "44"}),
    Row(*(R.BAD_DESTINATION_TON, 0x50, 0x50, None, None), {"dest_addr_ton": 5}),
    Row(
        *(R.TOO_MANY_DESTINATIONS, None, None, 1024, 400),
        rest={"destination": ",".join(str(447700900000 + n) for n in range(101))},
    ),
    Row(
        *(R.UNKNOWN_LIST, 0x34, None, 1042, 404),
        pdu=SubmitMulti(source_addr=b"ACME", dest_addresses=[DistributionList(b"nobody")]),
        rest={"destination": None, "listId": "6f1c1d8e-0000-7000-8000-000000000000"},
    ),
    # What the account may do.
    Row(
        *(R.NOT_ENABLED, None, None, 1033, 403),
        name="bare",
        rest={"mediaUrl": "https://www.example.com/picture.jpg"},
    ),
    Row(*(R.NO_CREDIT, 0x45, 0x45, 1031, 402), name="poor"),
    Row(
        *(R.QUOTA_EXCEEDED, 0x45, 0x45, 1030, 403),
        {"text": _TWO_PARTS},
        {"messageText": _TWO_PARTS.decode()},
        "small",
    ),
    Row(*(R.THROTTLED, 0x58, 0x58, 1032, 429), name="slow", times=2),
    # What went wrong on our side.
    Row(*(R.STORE_FAILED, 0x08, 0x08, 1051, 503), name="plain", during="no store"),
    Row(*(R.SHUTTING_DOWN, 0x08, 0x08, 1051, 503), name="plain", during="draining"),
]

# Reasons that no submission by SMPP or REST meets, and who does.
ELSEWHERE = {
    R.BAD_DATA_CODING: "websmpp",
    R.BAD_LENGTH: "websmpp",
    R.BAD_MESSAGE_ID: "websmpp",
    R.NOT_CONNECTED: "websmpp, which waits for a carrier",
    R.REFUSED_BY_CARRIER: "websmpp, which waits for a carrier",
    R.NOT_READABLE: "websmpp",
    R.UNKNOWN_MESSAGE: "what is asked of a message",
    R.CANCEL_FAILED: "what is asked of a message",
    R.REPLACE_FAILED: "what is asked of a message",
    R.QUERY_FAILED: "what is asked of a message",
    R.NOT_FOUND: "another path",
    R.CONFLICT: "what was sent before, and changes of lists",
    R.QUEUE_FULL: "nobody: what waits is on disk",
    R.INTERNAL_ERROR: "a fault of the gateway's own",
}


class RefusalTest(Scene):
    """One gateway with a simulator of a carrier, and an account for each kind of refusal."""

    timeout = 60

    def setUp(self) -> "Deferred[None]":
        """Starts the gateway, which stops, in order, at the end."""
        self.standard_port, self.link_port, self.http_port, self.admin_port = free_ports(4)
        on = "tcp:{}:interface=127.0.0.1".format
        listeners = [
            SmppListener(on(self.standard_port)),
            SmppListener(on(self.link_port), profile="link"),
        ]
        config = Config(
            smpp=Smpp(listen=listeners),
            http=Http(listen=[on(self.http_port)], admin=[on(self.admin_port)]),
            aerialink=Aerialink(allow_plain_http="loopback"),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        self.sessions: dict[tuple[int, str], Esme] = {}
        return self.gateway.ready

    async def provision(self) -> None:
        """All accounts, a blocked number, and one that has opted out."""
        await self.apply(PROVISIONING, ACCOUNTS)
        for type, number in (("block", BLOCKED), ("optout", OPTED_OUT)):
            url = f"http://127.0.0.1:{self.admin_port}/admin/lists"
            document = {"account": "acme", "name": type + "ed", "type": type}
            status, made = await deferToThread(post, url, document)
            assert status == 201, made
            url = f"{url}/{made['id']}/members"
            status, changed = await deferToThread(post, url, {"numbers": [number]})
            assert status == 200, changed
        for _ in range(FAILURES):
            await self.http(Row(R.UNKNOWN_LOGIN, None, None, 1002, 401, name="no", peer=GUESSER))

    # By SMPP.

    async def connected(self, port: int, peer: str) -> Esme:
        esme = Esme()
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", port, bindAddress=(peer, 0))
        await connectProtocol(endpoint, esme)
        self.addCleanup(esme.closed)
        self.addCleanup(esme.close)
        return esme

    async def bound(self, port: int, name: str) -> Esme:
        """The session of the account, which is bound once."""
        esme = self.sessions.get((port, name))
        if esme is None:
            esme = self.sessions[port, name] = await self.connected(port, "127.0.0.1")
            assert (await esme.bind("transceiver", name, SECRET)).status == 0, name
        return esme

    async def status(self, row: Row, port: int) -> int:
        """What the last bind or submission of the row is answered."""
        status = 0
        for _ in range(row.bind):
            esme = await self.connected(port, row.peer)
            kind = "transceiver" if row.reason is R.TOO_MANY_BINDS else "transmitter"
            answer = await esme.bind(kind, row.name, row.secret)
            status = answer.status
        if not row.bind:
            esme = await self.bound(port, row.name)
            with self.during(row.during):
                for _ in range(row.times):
                    if row.pdu is not None:
                        answer = await esme.request(row.pdu)
                    else:
                        answer = await esme.submit(**row.submit)
                    status = answer.status
        return status

    # By REST.

    async def http(self, row: Row) -> tuple[int, int]:
        """Code and HTTP status of the last submission of the row."""

        def ask() -> tuple[int, int]:
            connection = HTTPConnection(
                "127.0.0.1", self.http_port, DEADLINE_S, source_address=(row.peer, 0)
            )
            try:
                for _ in range(row.times):
                    connection.request(row.method, "/v4/messages", body, headers)
                    answer = connection.getresponse()
                    document = json.loads(answer.read())
                return document["aerialink"]["code"], answer.status
            finally:
                connection.close()

        message = {"source": NUMBER, "destination": HANDSET, "messageText": "hello", **row.rest}
        message = {key: value for key, value in message.items() if value is not None}
        body = row.body or json.dumps(message).encode()
        headers = {"Content-Type": "application/json", **row.headers}
        if row.name:
            login = base64.b64encode(f"{row.name}:{row.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {login}"
        with self.during(row.during):
            return await deferToThread(ask)

    @contextmanager
    def during(self, what: str) -> Iterator[None]:
        """Something is wrong with the gateway."""
        journal, acceptance = self.gateway.journal, self.gateway.acceptance
        if what == "no store":
            fault = StoreFailed("disk full")
            journal.commit = lambda changes: fail(fault)  # type: ignore[method-assign]
        acceptance.draining = what == "draining"
        try:
            yield
        finally:
            acceptance.draining = False
            journal.__dict__.pop("commit", None)

    async def test_each_reason_says_the_same_to_everybody_who_meets_it(self) -> None:
        """What the table has, what the reason has, and what comes over the wire are one."""
        await self.provision()
        for row in ROWS:
            expected = (row.standard, row.link, row.code, row.http)
            answer = row.reason.answer
            own = (answer.smpp, answer.smpp_link, answer.rest, answer.http)
            assert all(one in (None, of) for one, of in zip(expected, own, strict=True)), row
            standard = link = code = http = None
            if row.standard is not None:
                standard = await self.status(row, self.standard_port)
            if row.link is not None:
                link = await self.status(row, self.link_port)
            if row.code is not None:
                code, http = await self.http(row)
            assert (standard, link, code, http) == expected, row

    async def test_what_is_refused_costs_nothing_and_waits_nowhere(self) -> None:
        """Not even a quota; and what passes afterwards is taken as ever."""
        await self.provision()
        for row in ROWS:
            if row.code is not None and row.times == 1:
                await self.http(row)
        assert await self.waiting() == {}
        used = {one["name"]: one["used_day"] for one in await self.admin("/admin/accounts")}
        assert set(used.values()) == {0}, used
        assert (await self.admin("/admin/statements/acme")) == []
        assert (await self.admin("/admin/balances/poor"))["balance"] == "0.00"
        assert (await self.rest({"source": NUMBER, "destination": HANDSET, "messageText": "x"}))[1][
            "code"
        ] == 10

    def test_no_reason_is_left_out(self) -> None:
        """Whoever adds one says here who meets it, or who does not."""
        assert {row.reason for row in ROWS} | set(ELSEWHERE) == set(Reason)
        assert not {row.reason for row in ROWS} & set(ELSEWHERE)
