"""The profiles ``link`` and ``websmpp`` on real sockets, octet by octet where the description has
octets."""

import re
import socket
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from smsgw.smpp.codec import encode
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    BroadcastSm,
    CancelSm,
    DataSm,
    DeliverSm,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    ParamRetrieve,
    Pdu,
    QuerySm,
    ReplaceSm,
    SmeAddress,
    SubmitMulti,
    SubmitSm,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.tlv import get
from tests.running import GatewayProcess, free_ports

SILENCE_S = 20
# bind_transceiver as in spec/link-smpp.md §5, and the answer of a gateway named smsgw.
BIND = bytes.fromhex(
    "00000025 00000009 00000000 000000016b756e646531 00   67656865696d3132 00   00   34 00 00 00"
)
BOUND = bytes.fromhex("0000001b 80000009 00000000 00000001 736d736777 00 0210 0001 34")
RECEIPT = (
    r"id:(?P<id>\d{1,20}) sub:001 dlvrd:001 submit date:(?P<submit>%s) done date:(?P<done>%s) "
    r"stat:DELIVRD err:000 text:"
)
LISTENERS = """\
[[smpp.listen]]
endpoint = "tcp:%d:interface=127.0.0.1"
profile = "link"
[[smpp.listen]]
endpoint = "tcp:%d:interface=127.0.0.1"
profile = "websmpp"
"""
PROVISIONING = """\
[[account]]
name = "fuenf"
rate = 5
[[account.credential]]
kind = "smpp"
username = "fuenf"
password = "geheim12"
allow = ["127.0.0.0/8"]
profile = "link"

[[account]]
name = "kunde"
country = "49"
[[account.credential]]
kind = "smpp"
username = "kunde1"
password = "geheim12"
allow = ["127.0.0.0/8"]
profile = "link"

[[account]]
name = "minuten"
[account.settings.link]
dlr_format = "minutes"
[[account.credential]]
kind = "smpp"
username = "minuten"
password = "geheim12"
allow = ["127.0.0.0/8"]
profile = "link"

[[account]]
name = "web"
[[account.credential]]
kind = "smpp"
username = "web"
password = "secret12"
allow = ["127.0.0.0/8"]
binds = 2
profile = "websmpp"
[[account.credential]]
kind = "http"
username = "web"
password = "secret12"
allow = ["127.0.0.0/8"]

[[carrier]]
name = "simulated"
kind = "simulator"

[[route]]
name = "default"
prefixes = [""]
carriers = ["simulated"]
"""


class Client:
    """A socket of an ESME, blocking, on which PDUs are said and awaited."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=SILENCE_S)
        self._framer = Framer()
        self._heard: list[Any] = []
        self._delivered: list[DeliverSm] = []

    def write(self, octets: bytes) -> None:
        self._socket.sendall(octets)

    def read(self, size: int) -> bytes:
        """So many octets."""
        found = b""
        while len(found) < size:
            found += self._socket.recv(size - len(found))
        return found

    def say(self, *pdus: Pdu) -> None:
        self.write(b"".join(encode(pdu) for pdu in pdus))

    def hear(self) -> Any:
        """The next PDU; None when the gateway has closed."""
        while not self._heard:
            octets = self._socket.recv(65_536)
            if not octets:
                return None
            self._heard += self._framer.feed(octets)
        return self._heard.pop(0)

    def ask(self, pdu: Pdu) -> Any:
        """Say it, and hear the answer; what is delivered before it is kept."""
        self.say(pdu)
        while isinstance(answer := self.hear(), DeliverSm):
            self._delivered.append(answer)
        assert answer.sequence == pdu.sequence
        return answer

    def delivery(self) -> DeliverSm:
        """The next deliver_sm, not yet answered."""
        found = self._delivered.pop(0) if self._delivered else self.hear()
        assert isinstance(found, DeliverSm)
        return found

    def held(self) -> int:
        """How many deliver_sm were kept."""
        return len(self._delivered)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def profiles(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GatewayProcess, int, int]]:
    """A gateway, its port of profile ``link``, and that of profile ``websmpp``. The machine's time
    zone is far from UTC."""
    link, websmpp = free_ports(2)
    directory = tmp_path_factory.mktemp("profiles")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        with GatewayProcess(directory, LISTENERS % (link, websmpp)) as running:
            running.apply(PROVISIONING)
            yield running, link, websmpp


@pytest.fixture
def connect() -> Iterator[Callable[[int], Client]]:
    """Makes clients, and closes them at the end."""
    clients: list[Client] = []

    def connect(port: int) -> Client:
        clients.append(Client(port))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


def submit(sequence: int, **fields: Any) -> SubmitSm:
    """The submit_sm of the worked exchange."""
    return SubmitSm(
        sequence=sequence,
        source_addr_ton=5,
        source_addr=b"Example",
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=b"4917604069001",
        registered_delivery=1,
        short_message=b"Hallo",
        **fields,
    )


def bind(client: Client, system_id: bytes = b"minuten", **fields: Any) -> Any:
    """Bind as transceiver; the answer."""
    return client.ask(
        BindTransceiver(
            sequence=1, system_id=system_id, password=b"geheim12", interface_version=0x34, **fields
        )
    )


def test_the_worked_exchange(profiles, connect):
    """L-R1, L-R4, L-R20, L-R21, L-R23, L-R25: spec/link-smpp.md §5, from the bind to the end."""
    client = connect(profiles[1])
    client.write(BIND)
    assert client.read(len(BOUND)) == BOUND
    answer = client.ask(submit(2))
    assert answer.status == 0
    assert re.fullmatch(rb"[1-9]\d{0,19}", answer.message_id)
    receipt = client.delivery()
    assert (receipt.source_addr_ton, receipt.source_addr_npi) == (1, 1)
    assert (receipt.source_addr, receipt.dest_addr_ton) == (b"4917604069001", 5)
    assert (receipt.destination_addr, receipt.esm_class, receipt.data_coding) == (b"Example", 4, 0)
    told = re.fullmatch(RECEIPT % (r"\d{12}", r"\d{12}"), receipt.short_message.decode())
    assert told is not None
    assert told["id"].encode() == answer.message_id
    assert get(receipt, Tag.RECEIPTED_MESSAGE_ID) == answer.message_id
    assert get(receipt, Tag.MESSAGE_STATE) == 2
    client.say(receipt.response())
    assert client.ask(EnquireLink(sequence=3)) == EnquireLinkResp(sequence=3)
    nack = GenericNack(sequence=4, status=Status.ESME_RINVCMDID)
    assert client.ask(QuerySm(sequence=4, message_id=answer.message_id)) == nack
    assert client.ask(Unbind(sequence=5)) == UnbindResp(sequence=5)
    assert client.hear() is None


def test_dates_of_receipts_are_utc_whatever_the_zone_of_the_machine(profiles, connect):
    """L-R8, L-D27: the machine is in Nepal, 5 h 45 min ahead."""
    client = connect(profiles[1])
    assert bind(client, b"kunde1").status == 0
    before = datetime.now(UTC).replace(microsecond=0)
    client.ask(submit(2))
    receipt = client.delivery()
    after = datetime.now(UTC)
    told = re.fullmatch(RECEIPT % (r"\d{12}", r"\d{12}"), receipt.short_message.decode())
    assert told is not None
    for date in ("submit", "done"):
        when = datetime.strptime(told[date] + "+0000", "%y%m%d%H%M%S%z")
        assert before <= when <= after
    client.say(receipt.response())
    client.ask(Unbind(sequence=3))


def test_the_alternative_format_has_dates_without_seconds(profiles, connect):
    """L-R24, L-D22: an account's ``dlr_format = "minutes"``."""
    client = connect(profiles[1])
    assert bind(client).status == 0
    client.ask(submit(2))
    receipt = client.delivery()
    assert re.fullmatch(RECEIPT % (r"\d{10}", r"\d{10}"), receipt.short_message.decode())
    client.say(receipt.response())
    client.ask(Unbind(sequence=3))


def test_operations_that_link_has_not_are_nacked(profiles, connect):
    """L-R17, L-D11: generic_nack with 0x03 and the sequence number; the session survives."""
    client = connect(profiles[1])
    assert bind(client).status == 0
    others = [
        QuerySm(message_id=b"1"),
        CancelSm(message_id=b"1"),
        ReplaceSm(message_id=b"1", short_message=b"x"),
        SubmitMulti(dest_addresses=[SmeAddress(1, 1, b"4917604069001")], short_message=b"x"),
        DataSm(destination_addr=b"4917604069001", tlvs=[(Tag.MESSAGE_PAYLOAD, b"x")]),
        BroadcastSm(),
        AlertNotification(),
        Outbind(system_id=b"x"),
        ParamRetrieve(param_name=b"version"),
    ]
    for sequence, pdu in enumerate(others, 2):
        pdu.sequence = sequence
        nack = GenericNack(sequence=sequence, status=Status.ESME_RINVCMDID)
        assert client.ask(pdu) == nack, pdu
    assert client.ask(EnquireLink(sequence=99)) == EnquireLinkResp(sequence=99)
    client.ask(Unbind(sequence=100))


def test_system_type_and_address_range_are_ignored(profiles, connect):
    """L-D15: whatever they are, the bind succeeds."""
    client = connect(profiles[1])
    assert bind(client, system_type=b"OTA", address_range=b"^49").status == 0
    client.ask(Unbind(sequence=2))


def test_the_sixth_submit_of_a_second_is_throttled(profiles, connect):
    """L-R10, L-D8: an account of five a second; a second later it is accepted."""
    client = connect(profiles[1])
    assert bind(client, b"fuenf").status == 0
    statuses: list[int] = []
    while Status.ESME_RTHROTTLED not in statuses and len(statuses) < 200:
        statuses.append(client.ask(_silent(len(statuses) + 2)).status)
    # A slow machine lets more than five pass, as a second goes by meanwhile.
    assert len(statuses) > 5
    assert set(statuses) == {0, Status.ESME_RTHROTTLED}
    sequence = 1000
    while client.ask(_silent(sequence)).status:
        sequence += 1
    client.ask(Unbind(sequence=sequence + 1))


def _silent(sequence: int) -> SubmitSm:
    """A submit without a receipt."""
    pdu = submit(sequence)
    pdu.registered_delivery = 0
    return pdu


def test_a_login_has_one_bind_and_a_window_of_one(profiles, connect):
    """L-R11 to L-R13, L-D7, L-D10: defaults; the second bind is 0x05, and of two receipts the
    second comes after the answer to the first."""
    client, second = connect(profiles[1]), connect(profiles[1])
    assert bind(client).status == 0
    second.say(BindReceiver(sequence=1, system_id=b"minuten", password=b"geheim12"))
    asked = client.hear()  # the one that is there has to show life
    assert isinstance(asked, EnquireLink)
    client.say(asked.response())
    assert second.hear().status == Status.ESME_RALYBND
    assert second.hear() is None
    client.ask(submit(2))
    first = client.delivery()
    assert client.ask(submit(3)).status == 0
    assert client.ask(EnquireLink(sequence=4)) == EnquireLinkResp(sequence=4)
    assert client.held() == 0
    client.say(first.response())
    other = client.delivery()
    assert other.short_message != first.short_message
    client.say(other.response())
    client.ask(Unbind(sequence=5))


def test_a_websmpp_session_and_its_ids(profiles, connect):
    """W-R1, W-R8, W-D5: decimal ids, dates of ten digits; websmsstatus knows what came by SMPP."""
    gateway, _, port = profiles
    client = connect(port)
    login = {"system_id": b"web", "password": b"secret12", "interface_version": 0x34}
    assert client.ask(BindTransceiver(sequence=1, **login)).status == 0
    answer = client.ask(submit(2))
    assert re.fullmatch(rb"[1-9]\d{0,18}", answer.message_id)
    receipt = client.delivery()
    assert re.fullmatch(RECEIPT % (r"\d{10}", r"\d{10}"), receipt.short_message.decode())
    client.say(receipt.response())
    transmitter = connect(port)
    assert transmitter.ask(BindTransmitter(sequence=1, **login)).status == 0
    status = f"http://127.0.0.1:{gateway.http_port}/websmpp/websmsstatus?respId="
    with urllib.request.urlopen(status + answer.message_id.decode(), timeout=SILENCE_S) as told:
        assert told.read() == b"DELIVRD"
    for one in (client, transmitter):
        one.ask(Unbind(sequence=3))
