"""Response codes: the table of spec/link-smpp.md section 3, and what carriers say in its terms."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.codes import (
    BY_STATUS,
    CODES,
    STANDARD,
    CarrierCodes,
    describe,
    error_fault,
    error_key,
    failed_state,
)
from smsgw.message import MessageState, Receipt
from smsgw.refusals import Reason
from smsgw.smpp.constants import Status

FAMILIES = {
    "ok": range(0, 1),
    "general": range(1, 12),
    "network": range(100, 128),
    "policy": range(128, 138),
    "smsc": range(200, 209),
    "state": range(220, 227),
    "billing": range(230, 239),
    "imsi": range(239, 251),
    "internal": range(252, 256),
    "protocol": range(901, 939),
    "smpp-submit": range(939, 950),
    "platform": range(998, 1000),
}
ABSENT = {
    *range(2, 9), 106, 109, 113, *range(130, 136), 928, 929,
}  # fmt: skip


def receipt(state: MessageState, error: str = "") -> Receipt:
    return Receipt("1", state, error)


def test_every_code_of_the_table_is_known() -> None:
    """L test 8: numbers without gaps but those of the table, each with its family and a text."""
    expected = {n: family for family, numbers in FAMILIES.items() for n in numbers}
    assert {n: c.family for n, c in CODES.items()} == {
        n: family for n, family in expected.items() if n not in ABSENT
    }
    assert all(c.number == n and c.text for n, c in CODES.items())


@pytest.mark.parametrize(
    ("number", "text", "final"),
    [
        (0, "OK", MessageState.DELIVERED),
        (101, "Unknown subscriber", MessageState.REJECTED),
        (107, "Absent subscriber", MessageState.EXPIRED),
        (206, "Invalid destination address", MessageState.REJECTED),
        (221, "Message has been deleted", MessageState.DELETED),
        (226, "Message buffered", MessageState.ACCEPTED),
        (230, "Billing ok", None),
        (255, "Unknown error", MessageState.UNKNOWN),
        (949, "Exceeded allowed message limit", MessageState.REJECTED),
        (998, "Timeout on waiting for concat parts", MessageState.EXPIRED),
    ],
)
def test_a_code_has_the_words_of_the_table(
    number: int, text: str, final: MessageState | None
) -> None:
    """L-R28: with these numbers and meanings."""
    code = describe(number)
    assert (code.number, code.text, code.final) == (number, text, final)


@given(st.integers().filter(lambda number: number not in CODES))
def test_an_unknown_number_is_an_illegal_error_code(number: int) -> None:
    """L test 8."""
    assert (describe(number).number, describe(number).text) == (9, "Illegal error code")


def test_every_reason_of_refusal_has_a_known_code() -> None:
    """I4: what the gateway itself refuses is in the table."""
    assert {reason.answer.link for reason in Reason} <= set(CODES)


def test_statuses_are_those_of_smpp_and_mean_known_codes() -> None:
    """4.4: no number on either side is made up."""
    assert set(BY_STATUS) <= {int(status) for status in Status} - {0}
    assert set(BY_STATUS.values()) <= set(CODES)


def test_all_submit_codes_are_reached() -> None:
    """939 to 949 restate errors of submit_sm."""
    assert set(range(939, 950)) <= set(BY_STATUS.values())


@given(st.integers(0, 0xFFFFFFFF).filter(lambda status: status not in BY_STATUS))
def test_another_status_is_a_rejection_by_the_next_hop(status: int) -> None:
    """4.4: rejected without reason."""
    assert STANDARD.of_status(status) == 225


@pytest.mark.parametrize(
    ("state", "error", "code"),
    [
        (MessageState.UNDELIVERABLE, "101", 101),
        (MessageState.UNDELIVERABLE, "010", 10),
        (MessageState.UNDELIVERABLE, "106", 9),
        (MessageState.REJECTED, "045", 9),
        (MessageState.UNDELIVERABLE, "000", 222),
        (MessageState.UNDELIVERABLE, "1234", 222),
        (MessageState.UNDELIVERABLE, "xyz", 222),
        (MessageState.REJECTED, "²", 225),
        (MessageState.EXPIRED, "", 220),
        (MessageState.DELETED, "", 221),
        (MessageState.UNKNOWN, "", 224),
        (MessageState.REJECTED, "", 225),
        (MessageState.SKIPPED, "", 0),
    ],
)
def test_a_receipts_err_goes_before_its_state(state: MessageState, error: str, code: int) -> None:
    """L-R26 to L-R28, without a table of the carrier's own."""
    assert STANDARD.of_receipt(receipt(state, error)) == code


OWN = CarrierCodes.of({"045": 103, "Abs": 107, "0x0401": 128, "1026": 137, "11": 105, "0xb": 101})


@pytest.mark.parametrize(
    ("error", "code"),
    [("45", 103), ("045", 103), ("ABS", 107), (" abs", 107), ("011", 105), ("101", 101)],
)
def test_a_carriers_own_table_reads_its_receipts(error: str, code: int) -> None:
    """Case and leading zeros do not matter; what it does not have means what it does by default."""
    assert OWN.of_receipt(receipt(MessageState.UNDELIVERABLE, error)) == code


@pytest.mark.parametrize(
    ("status", "code"), [(0x401, 128), (1026, 137), (0x0B, 101), (11 + 0x22, 225), (0x0A, 939)]
)
def test_a_carriers_own_table_reads_its_refusals(status: int, code: int) -> None:
    """In hex, or as a decimal number of four digits or more; 45 is no command_status."""
    assert OWN.of_status(status) == code


def test_err_text_that_looks_like_a_short_number_is_no_status() -> None:
    """An err of receipts 011 does not change what 0x0B means."""
    assert CarrierCodes.of({"11": 105}).of_status(0x0B) == 206


@pytest.mark.parametrize("text", ["045", "ABS", "0x401", "0XFFFFFFFF", "a:b", "1234567890"])
def test_an_error_of_a_carrier_is_short_and_visible(text: str) -> None:
    """What a receipt or a status can be."""
    assert error_fault(text) == ""


@pytest.mark.parametrize("text", ["", "a b", "0x", "0xG1", "0x123456789", "12345678901", "é"])
def test_what_no_carrier_can_say_is_a_fault(text: str) -> None:
    """Each told in one line with what would be right."""
    assert "; it must be " in error_fault(text)


@given(st.text())
def test_a_key_compared_again_is_the_same(text: str) -> None:
    """The compared form stands for itself."""
    assert error_key(error_key(text)) == error_key(text)


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (107, MessageState.EXPIRED),
        (221, MessageState.DELETED),
        (206, MessageState.REJECTED),
        (9, MessageState.REJECTED),
        (0, MessageState.REJECTED),
        (226, MessageState.REJECTED),
        (230, MessageState.REJECTED),
    ],
)
def test_what_failed_is_never_said_to_be_anything_else(number: int, state: MessageState) -> None:
    """L-D12: the state of its code where that is a failure, else REJECTD."""
    assert failed_state(number) is state


def test_the_manual_names_every_code() -> None:
    """docs/operate/provisioning.md lists what a carrier's errors can be mapped to."""
    manual = (Path(__file__).parents[1] / "docs" / "operate" / "provisioning.md").read_text()
    for code in CODES.values():
        assert f" {code.number} {code.text}" in manual
