"""A foreign client, Perl's Net::SMPP, against a running gateway: binds, submits, receipts, MO,
questions, and the same as a client of 3.3."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tools import has

CLIENT = Path(__file__).with_name("perl") / "client.pl"
SILENCE_S = 20  # after which what is awaited is missing
RECEIPT = 0x04
SCHEDULED = "000000010000000R"

Scenario = Callable[..., dict]


@pytest.fixture
def play(gateway) -> Scenario:
    """Plays one scenario with the client; what it reports, after it has ended well."""
    if not has("Net::SMPP"):
        reason = "Net::SMPP is not installed (Debian: apt-get install libnet-smpp-perl)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)

    def play(bind: str = "transceiver", *steps: tuple, deliveries: int = 0, **login) -> dict:
        scenario = {
            "port": gateway.smpp_port,
            "bind": bind,
            "login": {"system_id": "acme", "password": "secret12", **login},
            "steps": steps,
            "deliveries": deliveries,
            "silence_s": SILENCE_S,
        }
        perl = shutil.which("perl")
        assert perl is not None
        done = subprocess.run(
            [perl, str(CLIENT), json.dumps(scenario)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SILENCE_S + 20,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return json.loads(done.stdout)

    return play


def submit(text: str, **fields: object) -> tuple[str, dict]:
    """A step: submit_sm with a receipt wanted."""
    return "submit_sm", {
        "source_addr_ton": 5,
        "source_addr": "ACME",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": "447700900123",
        "registered_delivery": 1,
        "short_message": text,
        **fields,
    }


def ask(command: str, of: int | None = 0, **fields: object) -> tuple[str, dict]:
    """A step that asks about the message of the step ``of``."""
    named = {} if of is None else {"of": of}
    return command, {**named, "source_addr_ton": 5, "source_addr": "ACME", **fields}


def receipts(report: dict) -> list[dict]:
    """The receipts among what was delivered."""
    return [one for one in report["deliveries"] if one["esm_class"] & 0x3C == RECEIPT]


@pytest.mark.parametrize("bind", ["transceiver", "transmitter", "receiver"])
def test_each_bind_is_answered_with_the_version(play, bind):
    """W-R3 to W-R6, L-R1: three kinds of bind; the answer names the gateway and says 3.4."""
    report = play(bind)
    command = {"receiver": 1, "transmitter": 2, "transceiver": 9}[bind]
    assert report["bind"] == {
        "cmd": 0x80000000 | command,
        "status": 0,
        "system_id": "smsgw",
        "version": 0x34,
    }
    assert report["unbind"] == 0


@pytest.mark.parametrize(
    ("login", "status"), [({"password": "wrong"}, 0x0E), ({"system_id": "nobody"}, 0x0F)]
)
def test_a_wrong_login_is_refused_with_its_status(play, login, status):
    """L-D14: each mistake has a status of its own."""
    assert play(**login)["bind"]["status"] == status


def test_a_submit_is_answered_and_its_receipt_comes(play):
    """L-R20, L-R21: the receipt has the id of the response, and the addresses swapped."""
    report = play("transceiver", submit("Hello"), deliveries=1)
    (answer,), (receipt,) = report["answers"], receipts(report)
    assert answer["status"] == 0
    assert re.fullmatch("[0-9a-f]{32}", answer["message_id"])
    assert receipt["short_message"].startswith(f"id:{answer['message_id']} sub:001 dlvrd:001 ")
    assert "stat:DELIVRD err:000 text:" in receipt["short_message"]
    assert receipt["receipted_message_id"].rstrip("\0") == answer["message_id"]
    assert (receipt["source_addr"], receipt["destination_addr"]) == ("447700900123", "ACME")


def test_each_bind_may_do_what_it_is_for(play):
    """W-D4, smpp.md §6: a submit on a receiver is ESME_RINVBNDSTS, and the session goes on."""
    report = play("receiver", submit("Hello"), ("enquire_link", {}))
    assert [answer["status"] for answer in report["answers"]] == [0x04, 0]
    report = play("transmitter", submit("Hello", registered_delivery=0))
    assert [answer["status"] for answer in report["answers"]] == [0]


def test_a_text_from_a_handset_arrives(play, mobile):
    """W-R5: an MO waits for a session that receives, and comes with the handset as source."""
    mobile("447700900456", "Hello from Perl")
    report = play("receiver", deliveries=1)
    (text,) = (one for one in report["deliveries"] if not one["esm_class"])
    assert text["short_message"] == "Hello from Perl"
    assert (text["source_addr"], text["destination_addr"]) == ("447700900456", "447700900000")


def test_a_message_is_queried_replaced_and_cancelled(play):
    """W-D4, E-D29: each question has its answer, and what is cancelled is not pending any more."""
    report = play(
        "transceiver",
        submit("Hello", schedule_delivery_time=SCHEDULED),
        ask("query_sm"),
        ask("replace_sm", short_message="Other", schedule_delivery_time=SCHEDULED),
        ask("cancel_sm", destination_addr=""),
        ask("query_sm"),
        ask("cancel_sm", destination_addr=""),
        ask("query_sm", None, message_id="0" * 32),
    )
    assert [one["status"] for one in report["answers"]] == [0, 0, 0, 0, 0, 0x11, 0x0C]
    before, after = report["answers"][1], report["answers"][4]
    assert (before["message_state"], after["message_state"]) == (1, 4)


def test_a_client_of_3_3_is_served_as_one(play):
    """E-D23, ruling 8: no TLVs; 8 hex digits in the response, 10 decimal ones in the receipt."""
    old = {"interface_version": 0x33}
    report = play("transmitter", submit("Hello"), ask("query_sm"), **old)
    assert report["bind"]["version"] is None
    answer, state = report["answers"]
    assert re.fullmatch("[0-9A-F]{8}", answer["message_id"])
    assert state["status"] == 0
    assert state["message_id"] == answer["message_id"]
    receiver = play("receiver", deliveries=1, **old)
    (receipt,) = receipts(receiver)
    assert receipt["short_message"].startswith(f"id:{int(answer['message_id'], 16):010d} ")
    assert receipt["receipted_message_id"] is None


def test_a_client_of_3_3_has_no_transceiver(play):
    """E-D23: bind_transceiver is an operation of 3.4: generic_nack with ESME_RINVCMDID."""
    report = play("transceiver", interface_version=0x33)
    assert (report["bind"]["cmd"], report["bind"]["status"]) == (0x80000000, 0x03)
