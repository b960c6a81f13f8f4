"""Delivery receipts as text and TLVs."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgw.message import MessageState, Receipt
from smsgw.smpp.constants import ESM_INTERMEDIATE, ESM_RECEIPT, ESM_UDHI, Tag
from smsgw.smpp.pdu import DataSm, DeliverSm
from smsgw.smpp.receipt import format_text, parse
from smsgw.smpp.tlv import put

# A slow machine is no fault of the code.
LAW = settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
TEXT = (
    b"id:0012345678 sub:001 dlvrd:001 submit date:2603141015 done date:2603141016"
    b" stat:DELIVRD err:000 text:Hi"
)
SUBMITTED = int(datetime(2026, 3, 14, 10, 15, tzinfo=UTC).timestamp()) * 1000
RECEIPT = Receipt(
    id="0012345678",
    state=MessageState.DELIVERED,
    error="000",
    submitted=1,
    delivered=1,
    submit_at=SUBMITTED,
    done_at=SUBMITTED + 60_000,
    text="Hi",
)


def read(text: bytes, esm_class: int = ESM_RECEIPT, **fields: object) -> Receipt | None:
    return parse(DeliverSm(esm_class=esm_class, short_message=text, **fields))  # type: ignore[arg-type]


def test_standard_text() -> None:
    """The text of SMPP 3.4 appendix B is read whole."""
    assert read(TEXT) == RECEIPT


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace(b"text:", b"Text:"),
        TEXT.replace(b"2603141015", b"260314101500").replace(b"2603141016", b"260314101600"),
        TEXT.upper().replace(b"TEXT:HI", b"TEXT:Hi"),
        TEXT.title().replace(b"Delivrd", b"DELIVRD"),
        TEXT.replace(b" ", b"  "),
        TEXT.replace(b"submit date", b"submit_date").replace(b"done date", b"done_date"),
        b"stat:DELIVRD done date:2603141016 err:000 submit date:2603141015 dlvrd:001 sub:001"
        b" id:0012345678 text:Hi",
        b"id:0012345678,sub:1,dlvrd:1,submit date:2603141015,done date:2603141016,"
        b"stat:DELIVERED,err:000,text:Hi",
    ],
)
def test_other_spellings(text: bytes) -> None:
    """Labels in any case and order, dates with seconds, other separators (spec/smpp.md §11)."""
    assert read(text) == RECEIPT


def test_missing_fields() -> None:
    """What is missing is empty, and an unknown state word is UNKNOWN."""
    assert read(b"id:1a2B stat:DELIVRD") == Receipt(id="1a2B", state=MessageState.DELIVERED)
    assert read(b"id:7 stat:WHATEVR") == Receipt(id="7", state=MessageState.UNKNOWN)
    assert read(b"something else") == Receipt(id="", state=MessageState.UNKNOWN)
    no_text = read(TEXT.removesuffix(b" text:Hi"))
    assert no_text is not None
    assert (no_text.id, no_text.text) == ("0012345678", "")


@pytest.mark.parametrize("state", MessageState)
def test_state_words(state: MessageState) -> None:
    """Each state's word is read back as the state."""
    receipt = read(TEXT.replace(b"DELIVRD", state.stat.encode()))
    assert receipt is not None
    assert receipt.state == state


@pytest.mark.parametrize(
    ("word", "state"),
    [
        (b"DELIVERED", MessageState.DELIVERED),
        (b"undeliverable", MessageState.UNDELIVERABLE),
        (b"BUFFERED", MessageState.ENROUTE),
        (b"REJECTED", MessageState.REJECTED),
        (b"ACCEPTED", MessageState.ACCEPTED),
        (b"FAILED", MessageState.UNDELIVERABLE),
    ],
)
def test_words_of_others(word: bytes, state: MessageState) -> None:
    """Words written out, as some carriers do."""
    receipt = read(TEXT.replace(b"DELIVRD", word))
    assert receipt is not None
    assert receipt.state == state


def test_text_may_look_like_a_field() -> None:
    """What follows ``text:`` is text, even if it has labels."""
    for text in (TEXT, TEXT.replace(b"id:", b"ID:")):
        receipt = read(text.replace(b"Hi", b"stat:EXPIRED id:9"))
        assert receipt is not None
        assert (receipt.id, receipt.state) == ("0012345678", MessageState.DELIVERED)
        assert receipt.text == "stat:EXPIRED id:9"


def test_tlvs_win() -> None:
    """receipted_message_id, message_state and network_error_code win over the text."""
    tlvs = [
        put(Tag.RECEIPTED_MESSAGE_ID, b"BC614E"),
        put(Tag.MESSAGE_STATE, MessageState.EXPIRED),
        put(Tag.NETWORK_ERROR_CODE, b"\3\0\x21"),
    ]
    receipt = read(TEXT, tlvs=tlvs)
    assert receipt is not None
    assert (receipt.id, receipt.state, receipt.error) == ("BC614E", MessageState.EXPIRED, "033")
    assert receipt.submit_at == SUBMITTED


def test_tlvs_alone() -> None:
    """A receipt may be nothing but TLVs, in data_sm too."""
    tlvs = [put(Tag.RECEIPTED_MESSAGE_ID, b"1"), put(Tag.MESSAGE_STATE, MessageState.DELIVERED)]
    expected = Receipt(id="1", state=MessageState.DELIVERED)
    assert read(b"", tlvs=tlvs) == expected
    assert parse(DataSm(esm_class=ESM_RECEIPT, tlvs=tlvs)) == expected


def test_tlvs_that_say_nothing() -> None:
    """An empty id and a state beyond those of 5.0 leave the text's."""
    tlvs = [(Tag.RECEIPTED_MESSAGE_ID, b"\0"), (Tag.MESSAGE_STATE, b"\x63")]
    assert read(TEXT, tlvs=tlvs) == RECEIPT


def test_text_elsewhere() -> None:
    """The text may be in message_payload, behind a UDH, or in UCS-2."""
    payload = [put(Tag.MESSAGE_PAYLOAD, TEXT)]
    assert read(b"", tlvs=payload) == RECEIPT
    assert parse(DataSm(esm_class=ESM_RECEIPT, tlvs=payload)) == RECEIPT
    assert read(b"\5\0\3\1\1\1" + TEXT, esm_class=ESM_RECEIPT | ESM_UDHI) == RECEIPT
    assert read(TEXT.decode().encode("utf-16-be"), data_coding=8) == RECEIPT


def test_intermediate() -> None:
    """esm_class 0x20 is an intermediate notification (spec/smpp.md §8)."""
    receipt = read(TEXT.replace(b"DELIVRD", b"ACCEPTD"), esm_class=ESM_INTERMEDIATE)
    assert receipt is not None
    assert receipt.intermediate
    assert receipt.state == MessageState.ACCEPTED


def test_messages_are_no_receipts() -> None:
    """A plain message and the acknowledgements of handsets are no receipts."""
    assert read(b"Hello", esm_class=0) is None
    assert read(b"", esm_class=0) is None
    assert read(b"id:5 is my stat:", esm_class=0) is None
    for esm_class in (0x08, 0x10, 0x18):
        assert read(TEXT, esm_class=esm_class) is None


def test_receipt_told_by_its_text() -> None:
    """With esm_class 0, as of a 3.3 SMSC, the text tells, unless that is switched off."""
    assert read(TEXT, esm_class=0) == RECEIPT
    assert read(TEXT.lower(), esm_class=0) is not None
    assert parse(DeliverSm(short_message=TEXT), by_text=False) is None
    assert read(b"Look: " + TEXT, esm_class=0) is None


@LAW
@given(st.binary(max_size=200), st.sampled_from([0, 4, 0x20, 0x44]), st.sampled_from([0, 3, 8]))
def test_any_text(text: bytes, esm_class: int, data_coding: int) -> None:
    """Any text gives a receipt or none, never an error."""
    read(text, esm_class=esm_class, data_coding=data_coding)


LABELS = [
    b"id:",
    b" sub:",
    b" dlvrd:",
    b" submit date:",
    b" done date:",
    b" stat:",
    b" text:",
    b"9",
]


@LAW
@given(
    st.lists(st.one_of(st.sampled_from(LABELS), st.binary(max_size=12)), max_size=12).map(b"".join)
)
def test_any_fields(text: bytes) -> None:
    """Any mixture of labels and octets gives a receipt, never an error."""
    assert read(text) is not None


@LAW
@given(
    st.builds(
        Receipt,
        id=st.text("0123456789abcdefABCDEF-", min_size=1, max_size=64),
        state=st.sampled_from(MessageState).map(int),
        error=st.text("0123456789", min_size=3, max_size=3),
        submitted=st.integers(0, 999),
        delivered=st.integers(0, 999),
        submit_at=st.integers(SUBMITTED // 60_000, SUBMITTED // 60_000 + 10_000).map(
            lambda n: n * 60_000
        ),
        done_at=st.integers(SUBMITTED // 60_000, SUBMITTED // 60_000 + 10_000).map(
            lambda n: n * 60_000
        ),
        text=st.text("Hello, @£$ {wörld}", max_size=20),
    ),
    st.booleans(),
)
def test_text_there_and_back(receipt: Receipt, seconds: bool) -> None:
    """What is written is read back."""
    assert read(format_text(receipt, seconds)) == receipt


def test_written_text() -> None:
    """The two date forms, and the default error (spec/smpp.md §11)."""
    assert format_text(RECEIPT, False) == TEXT
    form = rb"^id:\S+ sub:\d{3} dlvrd:\d{3} submit date:\d{12} done date:\d{12} "
    form += rb"stat:\w{7} err:\d{3} Text:$"
    assert re.match(form, format_text(Receipt("a", 2), True, "Text:"))


def test_written_text_is_gsm() -> None:
    """At most 20 characters of the message, in the GSM alphabet, ``?`` for what is not in it."""
    receipt = Receipt("1", 2, text="@ї€ 7890123456789012345")
    assert format_text(receipt, True).partition(b"text:")[2] == b"\0?\x1b\x65 7890123456789012"


def test_what_a_receipt_costs_is_bounded() -> None:
    """Of an id 64 octets are kept, as many as a message can have; of the quoted text 254."""
    text = b"id:" + b"7" * 60_000 + b" stat:DELIVRD err:000 text:" + b"x" * 5_000
    payload = DeliverSm(esm_class=ESM_RECEIPT, tlvs=[(Tag.MESSAGE_PAYLOAD, text)])
    short = DeliverSm(
        esm_class=ESM_RECEIPT, short_message=TEXT.replace(RECEIPT.id.encode(), b"7" * 100)
    )
    for pdu in (payload, short):
        receipt = parse(pdu)
        assert receipt is not None
        assert (receipt.id, receipt.state) == ("7" * 64, MessageState.DELIVERED)
        assert len(receipt.text) <= 254
