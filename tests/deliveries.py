"""Deliveries for the tests of messengers: a message, its account and its target; mail as it is
read."""

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from smsgw.flow.targets import Delivery
from smsgw.message import Acknowledgement, Direction, Message, MessageState
from smsgw.provisioning import Account, Number
from smsgw.provisioning.targets import Target, parse_target
from smsgw.text.coding import smallest

ALICE = "alice@example.com"
AT = 1_773_483_302_000  # 2026-03-14T10:15:02Z, of the specifications' worked examples


def mo(text: str = "Grüße", **given: Any) -> Message:
    """A message from 447700900123 to 441632960123, as a carrier brings it."""
    data_coding, octets = smallest(text)
    values: dict[str, Any] = {
        "source": "447700900123",
        "destination": "441632960123",
        "parts": [octets],
        "data_coding": data_coding,
        "direction": Direction.MO,
        "id": 9000017,
        "accepted_at": AT,
    }
    return Message(**{**values, **given})


def mt(state: MessageState = MessageState.DELIVERED, taken: bool = True, **given: Any) -> Message:
    """A message that an account submitted and what became of it."""
    data_coding, octets = smallest("Hello world")
    values: dict[str, Any] = {
        "source": "441632960123",
        "destination": "447700900123",
        "parts": [octets],
        "data_coding": data_coding,
        "id": 7300113,
        "accepted_at": AT,
        "done_at": AT + 7000 if state.final else 0,
        "state": int(state),
    }
    if taken:
        values["acknowledged"] = {0: Acknowledgement("north", "1", AT + 2000)}
    return Message(**{**values, **given})


def delivery(message: Message, target: Target | str, event: str = "mo", **account: Any) -> Delivery:
    """A first attempt; ``account`` are keys of the account, ``secret`` is of the number."""
    if isinstance(target, str):
        target = parse_target(target)
    secret = account.pop("secret", "")
    number = Number("441632960123", secret=secret) if event == "mo" else None
    return Delivery(event, message, target, Account("acme", **account), number, 555, 0)


def opened(octets: bytes) -> EmailMessage:
    """A mail as a reader has it."""
    parsed = message_from_bytes(octets, policy=default)
    assert isinstance(parsed, EmailMessage)
    assert not parsed.defects
    return parsed


def body(octets: bytes) -> str:
    """Its text."""
    return str(opened(octets).get_content())
