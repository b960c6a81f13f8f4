"""A foreign client, smpplib, against a running gateway: bind, submit, receipt, MO."""

import re
from collections.abc import Callable, Iterator

import pytest
import smpplib.client
import smpplib.consts
import smpplib.exceptions
import smpplib.gsm
import smpplib.smpp

MESSAGE_TYPE = 0x3C  # bits of esm_class
RECEIPT_TYPE = 0x04
SILENCE_S = 20  # after which a PDU that is awaited is missing
RECEIPT = re.compile(
    rb"id:(\S+) sub:001 dlvrd:001 submit date:\d{10,12} done date:\d{10,12} stat:DELIVRD err:000 "
    rb"text:.*",
    re.IGNORECASE,
)


class Esme(smpplib.client.Client):
    """An smpplib client that keeps what comes in."""

    def __init__(self, port: int) -> None:
        super().__init__("127.0.0.1", port, timeout=SILENCE_S, allow_unknown_opt_params=True)
        self.message_ids: dict[int, bytes] = {}
        self.deliveries: list[object] = []
        self.set_message_sent_handler(self._sent)
        self.set_message_received_handler(self._received)
        self.queried: list[object] = []
        self.set_query_resp_handler(self.queried.append)
        self.connect()

    def _sent(self, pdu) -> None:
        self.message_ids[pdu.sequence] = pdu.message_id

    def _received(self, pdu) -> None:
        self.deliveries.append(pdu)

    def until(self, condition: Callable[[], bool]) -> None:
        """Read PDUs until ``condition`` is true; ``TimeoutError`` if none comes."""
        while not condition():
            self.read_once(auto_send_enquire_link=False)

    def submit(self, text: str, **fields: object) -> list[int]:
        """Submit ``text`` in its parts and wait for the answers; the sequence numbers."""
        parts, data_coding, esm_class = smpplib.gsm.make_parts(text)
        sent = [
            self.send_message(
                source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
                source_addr="ACME",
                dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
                dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
                destination_addr="447700900123",
                short_message=part,
                data_coding=data_coding,
                esm_class=esm_class,
                registered_delivery=True,
                **fields,
            ).sequence
            for part in parts
        ]
        self.until(lambda: set(sent) <= set(self.message_ids))
        return sent

    def receipts(self) -> dict[bytes, object]:
        """The receipts that came, by the id in their text."""
        found = {}
        for pdu in self.deliveries:
            if pdu.esm_class & MESSAGE_TYPE == RECEIPT_TYPE:
                match = RECEIPT.fullmatch(pdu.short_message)
                assert match, pdu.short_message
                found[match[1]] = pdu
        return found

    def texts(self) -> list[object]:
        """What came from handsets."""
        return [pdu for pdu in self.deliveries if not pdu.esm_class & MESSAGE_TYPE]


@pytest.fixture
def connect(gateway) -> Iterator[Callable[[], Esme]]:
    """Makes connected clients, and closes them at the end whatever has become of them."""
    clients: list[Esme] = []

    def connect() -> Esme:
        clients.append(Esme(gateway.smpp_port))
        return clients[-1]

    yield connect
    for client in clients:
        client.disconnect()


@pytest.fixture
def esme(connect) -> Iterator[Esme]:
    """A client bound as transceiver, which unbinds at the end."""
    client = connect()
    client.bind_transceiver(system_id="acme", password="secret12")
    yield client
    client.unbind()


def test_a_transceiver_is_told_the_version(connect):
    """The bind response names the gateway and has sc_interface_version 3.4."""
    client = connect()
    answer = client.bind_transceiver(system_id="acme", password="secret12")
    assert answer.command == "bind_transceiver_resp"
    assert answer.system_id == b"smsgw"
    assert answer.sc_interface_version == 0x34
    assert client.unbind().command == "unbind_resp"


@pytest.mark.parametrize(
    ("system_id", "password", "status"),
    [
        ("acme", "wrong", smpplib.consts.SMPP_ESME_RINVPASWD),
        ("nobody", "secret12", smpplib.consts.SMPP_ESME_RINVSYSID),
    ],
)
def test_a_wrong_login_is_refused_with_its_status(connect, system_id, password, status):
    """L-D14: each mistake has a status of its own."""
    with pytest.raises(smpplib.exceptions.PDUError) as refused:
        connect().bind_transceiver(system_id=system_id, password=password)
    assert refused.value.args[1] == status


def test_a_submit_is_answered_and_its_receipt_comes(esme):
    """The receipt has the id of the response in its text and TLV, and the addresses swapped."""
    (sequence,) = esme.submit("Hello €")
    message_id = esme.message_ids[sequence]
    assert re.fullmatch(rb"[0-9a-f]{32}", message_id)
    esme.until(lambda: message_id in esme.receipts())
    receipt = esme.receipts()[message_id]
    assert (receipt.source_addr, receipt.destination_addr) == (b"447700900123", b"ACME")
    assert receipt.receipted_message_id == message_id
    assert receipt.message_state == smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED


@pytest.mark.parametrize("text", ["long text " * 40, "ж" * 200])
def test_every_part_of_a_long_message_has_its_receipt(esme, text):
    """Parts with UDH, GSM and UCS-2, are taken one by one."""
    sent = esme.submit(text)
    assert len(sent) > 1
    wanted = {esme.message_ids[sequence] for sequence in sent}
    assert len(wanted) == len(sent)
    esme.until(lambda: wanted <= set(esme.receipts()))


def test_many_submits_in_flight_are_all_answered(esme):
    """Within the window of 50 nothing is throttled, and every receipt comes."""
    sent = [
        esme.send_message(
            source_addr="447700900000",
            destination_addr="447700900123",
            short_message=b"Hello",
            registered_delivery=True,
        ).sequence
        for _ in range(50)
    ]
    esme.until(lambda: set(sent) <= set(esme.message_ids))
    wanted = {esme.message_ids[sequence] for sequence in sent}
    assert len(wanted) == 50
    esme.until(lambda: wanted <= set(esme.receipts()))


def test_a_refused_submit_has_its_status(esme):
    """A malformed destination is ESME_RINVDSTADR, and the session goes on."""
    refused = []
    esme.set_error_pdu_handler(lambda pdu: refused.append(pdu.status))
    esme.send_message(source_addr="ACME", destination_addr="nobody", short_message=b"Hello")
    esme.until(lambda: bool(refused))
    assert refused == [smpplib.consts.SMPP_ESME_RINVDSTADR]
    assert len(esme.submit("Hello")) == 1


@pytest.mark.parametrize(
    ("text", "data_coding", "octets"),
    [
        ("Hello {from} €", 0, b"Hello \x1b(from\x1b) \x1be"),
        ("Привет", 8, "Привет".encode("utf-16-be")),
    ],
)
def test_a_text_from_a_handset_arrives(esme, mobile, text, data_coding, octets):
    """An MO comes as deliver_sm with the handset as source, coded as the carrier gave it."""
    mobile("447700900456", text)
    esme.until(lambda: octets in [pdu.short_message for pdu in esme.texts()])
    (pdu,) = (pdu for pdu in esme.texts() if pdu.short_message == octets)
    assert (pdu.source_addr, pdu.destination_addr) == (b"447700900456", b"447700900000")
    assert pdu.data_coding == data_coding


def test_two_sessions_share_the_work(connect):
    """What a transmitter submits is receipted on the receiver."""
    sender, receiver = connect(), connect()
    sender.bind_transmitter(system_id="acme", password="secret12")
    receiver.bind_receiver(system_id="acme", password="secret12")
    (sequence,) = sender.submit("Hello")
    message_id = sender.message_ids[sequence]
    receiver.until(lambda: message_id in receiver.receipts())
    assert sender.deliveries == []
    for client in (sender, receiver):
        assert client.unbind().command == "unbind_resp"


def test_a_message_is_queried(esme):
    """query_sm_resp has the state; a final one its date; an unknown id ESME_RINVMSGID."""

    def query(message_id: bytes) -> object:
        esme.query_message(
            message_id=message_id.decode(),
            source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
            source_addr="ACME",
        )
        answers = len(esme.queried)
        esme.until(lambda: len(esme.queried) > answers)
        return esme.queried[-1]

    (sequence,) = esme.submit("Hello", schedule_delivery_time="000000010000000R")
    scheduled = query(esme.message_ids[sequence])
    assert scheduled.message_state == smpplib.consts.SMPP_MESSAGE_STATE_ENROUTE
    assert not scheduled.final_date
    (sequence,) = esme.submit("Hello")
    message_id = esme.message_ids[sequence]
    esme.until(lambda: message_id in esme.receipts())
    delivered = query(message_id)
    assert delivered.message_id == message_id
    assert delivered.message_state == smpplib.consts.SMPP_MESSAGE_STATE_DELIVERED
    assert re.fullmatch(rb"\d{13}00\+", delivered.final_date)
    refused = []
    esme.set_error_pdu_handler(lambda pdu: refused.append((pdu.command, pdu.status)))
    esme.query_message(message_id="0" * 32, source_addr="ACME")
    esme.until(lambda: bool(refused))
    assert refused == [("query_sm_resp", smpplib.consts.SMPP_ESME_RINVMSGID)]


def test_a_data_sm_is_answered_and_its_receipt_comes(esme):
    """E-D29: the text is in message_payload, the id in data_sm_resp and in the receipt."""
    pdu = smpplib.smpp.make_pdu(
        "data_sm",
        client=esme,
        source_addr_ton=smpplib.consts.SMPP_TON_ALNUM,
        source_addr="ACME",
        dest_addr_ton=smpplib.consts.SMPP_TON_INTL,
        dest_addr_npi=smpplib.consts.SMPP_NPI_ISDN,
        destination_addr="447700900123",
        registered_delivery=True,
        message_payload=b"Hello",
    )
    esme.send_pdu(pdu)
    answer = esme.read_pdu()
    assert (answer.command, answer.sequence, answer.status) == ("data_sm_resp", pdu.sequence, 0)
    esme.until(lambda: esme.deliveries)
    assert list(esme.receipts()) == [answer.message_id]
