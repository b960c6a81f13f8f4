"""A foreign client, node-smpp, against a running gateway: bind, submit, receipt, MO."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

NODE = Path(__file__).with_name("node")
SILENCE_S = 20  # after which what is awaited is missing
RECEIPT = re.compile(
    r"id:(?P<id>\S+) sub:001 dlvrd:001 submit date:\d{10,12} done date:\d{10,12} stat:DELIVRD "
    r"err:000 text:.*",
    re.IGNORECASE,
)

Scenario = Callable[..., dict]


@pytest.fixture(scope="session")
def client() -> Path:
    """The client's program, its packages installed as the lock file has them."""
    if not (NODE / "node_modules" / "smpp").is_dir():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=NODE, check=True, timeout=300)
    return NODE / "client.js"


@pytest.fixture
def play(client, gateway) -> Scenario:
    """Plays one scenario with the client; what it reports, after it has ended well."""

    def play(
        bind: str = "transceiver",
        submits: tuple[dict, ...] = (),
        receipts: int = 0,
        texts: int = 0,
        asks: tuple[dict, ...] = (),
        **login: object,
    ) -> dict:
        scenario = {
            "port": gateway.smpp_port,
            "bind": bind,
            "login": {"system_id": "acme", "password": "secret12", **login},
            "submits": submits,
            "receipts": receipts,
            "texts": texts,
            "asks": asks,
            "silence_s": SILENCE_S,
        }
        done = subprocess.run(
            ["node", str(client), json.dumps(scenario)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SILENCE_S + 20,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    return play


def submit(text: str, **fields: object) -> dict:
    """The fields of one submit_sm with a receipt wanted."""
    return {
        "source_addr_ton": 5,
        "source_addr": "ACME",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": "447700900123",
        "registered_delivery": 1,
        "short_message": text,
        **fields,
    }


def receipted(report: dict) -> list[str]:
    """The ids of the receipts, each a whole receipt text of a delivered message."""
    matches = [RECEIPT.fullmatch(receipt["text"]) for receipt in report["receipts"]]
    assert all(matches), report["receipts"]
    return sorted(match["id"] for match in matches)


def test_a_transceiver_binds_and_unbinds(play):
    """The bind response names the gateway and has sc_interface_version 3.4."""
    report = play()
    assert report["bind"] == {"status": 0, "system_id": "smsgw", "version": 0x34}
    assert report["unbind"] == 0


@pytest.mark.parametrize(
    ("login", "status"), [({"password": "wrong"}, 0x0E), ({"system_id": "nobody"}, 0x0F)]
)
def test_a_wrong_login_is_refused_with_its_status(play, login, status):
    """L-D14: each mistake has a status of its own."""
    assert play(**login)["bind"]["status"] == status


def test_a_submit_is_answered_and_its_receipt_comes(play):
    """The receipt has the id of the response in its text and TLV, and the addresses swapped."""
    report = play(submits=(submit("Hello €"),), receipts=1)
    (response,), (receipt,) = report["responses"], report["receipts"]
    assert response["status"] == 0
    assert re.fullmatch("[0-9a-f]{32}", response["message_id"])
    assert receipted(report) == [response["message_id"]]
    assert (receipt["source"], receipt["destination"]) == ("447700900123", "ACME")
    assert receipt["receipted_message_id"] == response["message_id"]
    assert receipt["message_state"] == 2


def test_many_submits_in_flight_are_all_answered(play):
    """Within the window of 50 nothing is throttled, and every receipt comes."""
    texts = ["Hello", "Grüße", "Привет", "漢字", "€uro"] * 10
    report = play(submits=tuple(submit(text) for text in texts), receipts=50)
    assert {response["status"] for response in report["responses"]} == {0}
    ids = sorted(response["message_id"] for response in report["responses"])
    assert len(set(ids)) == 50
    assert receipted(report) == ids


def test_a_payload_longer_than_a_part_is_taken(play):
    """message_payload of any length is one message with one id and one receipt."""
    payload = submit("", message_payload="long text " * 40)
    del payload["short_message"]
    report = play(submits=(payload,), receipts=1)
    assert report["responses"][0]["status"] == 0
    ids = re.findall(r"id:(\S+)", report["receipts"][0]["text"])
    assert ids == [report["responses"][0]["message_id"]]


def test_a_refused_submit_has_its_status(play):
    """A malformed destination is ESME_RINVDSTADR, and the session goes on."""
    report = play(submits=(submit("Hello", destination_addr="nobody"), submit("Hello")), receipts=1)
    statuses = {response["number"]: response["status"] for response in report["responses"]}
    assert statuses == {0: 0x0B, 1: 0}


@pytest.mark.parametrize(("text", "data_coding"), [("Hello {from} €", 0), ("Привет", 8)])
def test_a_text_from_a_handset_arrives(play, mobile, text, data_coding):
    """An MO waits for a session that receives, and comes with the handset as source."""
    mobile("447700900456", text)
    (received,) = play(bind="receiver", texts=1)["texts"]
    assert (received["source"], received["destination"]) == ("447700900456", "447700900000")
    assert (received["text"], received["data_coding"]) == (text, data_coding)


def test_a_client_of_3_3_sends_on_one_session_and_receives_on_another(play):
    """E-D23, ruling 8: no TLVs; 8 hex digits in the response, 10 decimal ones in the receipt."""
    sent = play(bind="transmitter", interface_version=0x33, submits=(submit("Hello"),))
    assert sent["bind"] == {"status": 0, "system_id": "smsgw"}
    message_id = sent["responses"][0]["message_id"]
    assert re.fullmatch("[0-9A-Fa-f]{8}", message_id)
    received = play(bind="receiver", interface_version=0x33, receipts=1)
    assert receipted(received) == [f"{int(message_id, 16):010d}"]
    assert "receipted_message_id" not in received["receipts"][0]


SCHEDULED = {"schedule_delivery_time": "000000010000"}  # in an hour, as node-smpp writes it
BY_ACME = {"source_addr_ton": 5, "source_addr": "ACME"}


def ask(command: str, of: int | None = 0, **fields: object) -> dict:
    """One further request, about the message that submit number ``of`` was answered with."""
    return {"command": command, "of": of, "fields": {**BY_ACME, **fields}}


def test_a_scheduled_message_is_queried_replaced_and_cancelled(play):
    """query_sm tells each state; what is cancelled has its receipt, and cannot be touched again."""
    report = play(
        submits=(submit("Hello", **SCHEDULED),),
        asks=(
            ask("query_sm"),
            ask("replace_sm", short_message="Other", registered_delivery=1, **SCHEDULED),
            ask("cancel_sm"),
            ask("query_sm"),
            ask("cancel_sm"),
            ask("replace_sm", short_message="Third"),
        ),
        receipts=1,
    )
    (response,), (receipt,) = report["responses"], report["receipts"]
    statuses = [answer["status"] for answer in report["asks"]]
    assert statuses == [0, 0, 0, 0, 0x11, 0x13]
    before, after = report["asks"][0], report["asks"][3]
    assert before["command"] == "query_sm_resp"
    assert (before["message_id"], before["message_state"]) == (response["message_id"], 1)
    assert not before["final"]
    assert (after["message_state"], after["error_code"], after["final"]) == (4, 221, True)
    assert "stat:DELETED err:221" in receipt["text"]


def test_questions_that_cannot_be_answered_have_their_statuses(play):
    """Unknown ids and other sources."""
    report = play(
        submits=(submit("Hello", **SCHEDULED),),
        asks=(
            ask("query_sm", None, message_id="0" * 32),
            ask("query_sm", source_addr="OTHER"),
            ask("cancel_sm", None, message_id="0" * 32),
            ask("cancel_sm", source_addr="OTHER"),
            ask("replace_sm", None, message_id="0" * 32, short_message="Other"),
            ask("cancel_sm"),
        ),
        receipts=1,
    )
    statuses = [answer["status"] for answer in report["asks"]]
    assert statuses == [0x0C, 0x67, 0x0C, 0x11, 0x0C, 0]


def test_all_messages_to_an_address_are_cancelled(play):
    """cancel_sm without an id; then there is nothing left to cancel."""
    addressed = {"dest_addr_ton": 1, "destination_addr": "447700900124"}
    report = play(
        submits=tuple(submit("Hello", **SCHEDULED, **addressed) for _ in range(3)),
        asks=(ask("cancel_sm", None, **addressed), ask("cancel_sm", None, **addressed)),
        receipts=3,
    )
    assert [answer["status"] for answer in report["asks"]] == [0, 0x11]
    assert all("stat:DELETED" in receipt["text"] for receipt in report["receipts"])


def test_a_submit_replaces_what_is_pending(play):
    """replace_if_present_flag: one message is left, with the id that it had."""
    addressed = {"dest_addr_ton": 1, "destination_addr": "447700900125", **SCHEDULED}
    report = play(
        submits=(
            submit("Hello", **addressed),
            submit("Other", replace_if_present_flag=1, **addressed),
        ),
        asks=(ask("cancel_sm", None, dest_addr_ton=1, destination_addr="447700900125"),),
        receipts=1,
    )
    first, second = report["responses"]
    assert (first["status"], second["status"]) == (0, 0)
    assert first["message_id"] == second["message_id"]
    assert [answer["status"] for answer in report["asks"]] == [0]


def sme(number: str) -> dict:
    """A destination of submit_multi."""
    return {"dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": number}


def test_one_request_submits_to_many(play, gateway):
    """E-D29: submit_multi to numbers and a list; its id is that of receipts and of query_sm."""
    gateway.cli("list", "create", "--type", "contact", "acme", "staff")
    gateway.cli("list", "add", "acme", "staff", "447700900126", "447700900127")
    many = {
        **BY_ACME,
        "dest_address": [sme("447700900123"), {"dl_name": "staff"}, sme("12")],
        "registered_delivery": 1,
        "short_message": "Hello all",
    }
    report = play(asks=(ask("submit_multi", None, **many), ask("query_sm", "ask")), receipts=3)
    answer, state = report["asks"]
    assert (answer["command"], answer["status"]) == ("submit_multi_resp", 0)
    assert answer["unsuccess"] == [{**sme("12"), "error_status_code": 0x0B}]
    assert receipted(report) == [answer["message_id"]] * 3
    sources = {receipt["source"] for receipt in report["receipts"]}
    assert sources == {"447700900123", "447700900126", "447700900127"}
    assert (state["status"], state["message_id"]) == (0, answer["message_id"])


def test_requests_to_many_that_cannot_be_have_their_statuses(play):
    """Unknown lists, no destination left, all of them refused."""
    fields = {**BY_ACME, "short_message": "Hello"}
    report = play(
        asks=tuple(
            ask("submit_multi", None, dest_address=addresses, **fields)
            for addresses in ([{"dl_name": "nobody"}], [], [sme("12"), sme("13")])
        )
    )
    assert [answer["status"] for answer in report["asks"]] == [0x34, 0x33, 0x0B]


def test_a_data_sm_is_answered_and_its_receipt_comes(play):
    """E-D29: by data_sm as well, to a login that says so; without a payload it is refused."""
    data = {**BY_ACME, **sme("447700900123"), "registered_delivery": 1}
    report = play(
        asks=(
            ask("data_sm", None, message_payload="Hello " * 60, **data),
            ask("data_sm", None, **data),
        ),
        receipts=1,
        system_id="acmedata",
    )
    answer, refused = report["asks"]
    assert (answer["command"], answer["status"], refused["status"]) == ("data_sm_resp", 0, 0xC3)
    assert receipted(report) == [answer["message_id"]]
    assert report["receipts"][0]["command"] == "data_sm"
    assert report["receipts"][0]["receipted_message_id"] == answer["message_id"]
