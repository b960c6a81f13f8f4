"""Letters as they are read at the other end."""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI
from smsgw.text.letters import Letter, message_letter, relay_letter
from smsgw.text.reading import read
from tests.deliveries import ALICE, body, mo, opened

DOMAIN = "sms.example.com"


def letter(message: Any, prefix: str = "") -> Letter:
    """The letter of an MO to alice."""
    return message_letter(read(message), ALICE, prefix, "mo.1.2", DOMAIN)


def test_message_of_a_target() -> None:
    """Sender, subject, headers and the text below its own head (A-D14)."""
    sent = letter(mo())
    read_back = opened(sent.octets)
    assert read_back["From"] == "447700900123@sms.example.com"
    assert read_back["To"] == ALICE
    assert read_back["Subject"] == "SMS from 447700900123"
    assert read_back["Message-ID"] == "<mo.1.2@sms.example.com>"
    assert read_back["Auto-Submitted"] == "auto-generated"
    assert read_back["X-SMS-OA"] == "447700900123"
    assert read_back["X-SMS-DA"] == "441632960123"
    assert read_back["X-SMS-SCTS"] == "2026-03-14T10:15:02+00:00"
    assert [one for one in read_back if one.startswith("X-SMS")] == [
        "X-SMS-OA",
        "X-SMS-DA",
        "X-SMS-SCTS",
    ]
    assert read_back.get_content_type() == "text/plain"
    assert body(sent.octets) == (
        "From: 447700900123\nTo: 441632960123\nTime: 2026-03-14 10:15:02\n\nGrüße\n"
    )
    assert (sent.sender, sent.recipient) == ("sms@sms.example.com", ALICE)


def test_prefixes() -> None:
    """+ gives E.123 and ISO 8601, * nothing, ! the text alone (A-R4, A-R6, A-D4)."""
    assert body(letter(mo(via="447700900999"), "+").octets) == (
        "From: +447700900123\nTo: +441632960123\nVia: +447700900999\n"
        "Time: 2026-03-14T10:15:02+00:00\n\nGrüße\n"
    )
    assert body(letter(mo(), "*").octets) == body(letter(mo()).octets)
    assert body(letter(mo(), "!").octets) == "Grüße\n"


def test_headers_of_what_is_special() -> None:
    """UDH, DCS, PID and Via where there are such (A-D14)."""
    header = bytes.fromhex("0605040B8423F0")
    message = mo(
        parts=[header + b"\x00\xff"],
        esm_class=UDHI,
        data_coding=4,
        protocol_id=65,
        via="447700900999",
    )
    sent = opened(letter(message, "!").octets)
    assert sent["X-SMS-UDH"] == "0605040B8423F0"
    assert (sent["X-SMS-DCS"], sent["X-SMS-PID"]) == ("4", "65")
    assert sent["X-SMS-Via"] == "447700900999"
    assert sent.get_content() == "\x00ÿ\n"


def test_sender_that_is_a_name() -> None:
    """It is quoted where a local part needs that."""
    assert opened(letter(mo(source="Ac me")).octets)["From"] == '"Ac me"@sms.example.com'
    assert opened(letter(mo(source="")).octets)["From"] == "unknown@sms.example.com"


def test_message_of_a_relay() -> None:
    """The text alone, from sms@, with headers of its own (Q-D22)."""
    message = mo("Hello & bye", destination="441134960001")
    sent = relay_letter(read(message), ALICE, message.id, "mo.1.2", DOMAIN)
    read_back = opened(sent.octets)
    assert read_back["From"] == "sms@sms.example.com"
    assert read_back["Subject"] == "SMS from 447700900123 to 441134960001"
    assert {name: value for name, value in read_back.items() if name.startswith("X-SMS")} == {
        "X-SMS-Id": "9000017",
        "X-SMS-Originator": "447700900123",
        "X-SMS-Destination": "441134960001",
        "X-SMS-Time": "2026-03-14 10:15:02",
    }
    assert read_back.get_content() == "Hello & bye\n"


ANY = st.text(max_size=300)


@given(ANY, st.text(max_size=30), st.text(max_size=30), st.sampled_from(["", "+", "*", "!"]))
def test_any_message_is_one_plain_letter(
    text: str, source: str, destination: str, prefix: str
) -> None:
    """No text or address makes a header, ends the mail, or leaves seven bits; the text comes
    back, but for its kind of line breaks."""
    message = mo(text=text, source=source, destination=destination)
    plain = opened(letter(mo(), prefix).octets)
    for sent in (
        letter(message, prefix),
        relay_letter(read(message), ALICE, 1, "mo.1.2", DOMAIN),
    ):
        assert re.fullmatch(rb"([\x20-\x7e]{0,998}\n)+", sent.octets)
        read_back = opened(sent.octets)
        assert read_back["To"] == ALICE
        known = {
            *plain.keys(),
            "X-SMS-Id",
            "X-SMS-Originator",
            "X-SMS-Destination",
            "X-SMS-Time",
            "X-SMS-DCS",
        }
        assert set(read_back.keys()) <= known
        lines = text.encode("utf-8", "replace").decode().replace("\r\n", "\n").replace("\r", "\n")
        said = read_back.get_content()
        assert said.rstrip("\n").endswith(lines.rstrip("\n"))
