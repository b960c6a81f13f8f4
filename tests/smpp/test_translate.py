"""Between PDUs and messages: what is kept, what is refused and how, what receipts say."""

from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from smsgw.identities import to_guid, to_hex
from smsgw.message import UDHI, Acknowledgement, Message, MessageState
from smsgw.refusals import Reason, Refusal
from smsgw.smpp import codec, receipt, translate
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import DeliverSm, SubmitSm
from smsgw.smpp.profile import LINK, STANDARD, WEBSMPP
from smsgw.smpp.rewriting import rewriting
from smsgw.testing.strategies import tlvs
from smsgw.text import parts

NOW_MS = 1_800_000_000_000  # 2027-01-15 08:00:00 UTC
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
VALIDITY_MS = 48 * HOUR_MS
UDH = b"\x05\x00\x03\x07\x02\x01"
SAR = (Tag.SAR_MSG_REF_NUM, Tag.SAR_TOTAL_SEGMENTS, Tag.SAR_SEGMENT_SEQNUM)


def submit(**fields: Any) -> SubmitSm:
    given: dict[str, Any] = {
        "source_addr": b"447700900000",
        "destination_addr": b"447700900123",
        "short_message": b"Hello",
    }
    return SubmitSm(**{**given, **fields})


def message(pdu: SubmitSm) -> Message:
    read = translate.message_of(pdu, NOW_MS)
    assert isinstance(read, Message), read
    return read


def refused(pdu: SubmitSm) -> Reason:
    read = translate.message_of(pdu, NOW_MS)
    assert isinstance(read, Refusal), read
    return read.reason


def accepted(message: Message) -> Message:
    """What acceptance adds, without touching what the submitter said."""
    message.accepted_at = NOW_MS
    start = max(message.schedule_at, NOW_MS)
    message.expires_at = start + (message.validity_ms or VALIDITY_MS)
    return message


def sent(message: Message, now_ms: int = NOW_MS) -> SubmitSm:
    return translate.submit_of(message, 0, now_ms, VALIDITY_MS)


@st.composite
def submits(draw: st.DrawFn) -> SubmitSm:
    """Any submit_sm that may be sent on as it is."""
    octet = st.integers(0, 255)
    udhi = draw(st.booleans())
    address = st.binary(min_size=1, max_size=20).filter(lambda octets: b"\0" not in octets)
    return submit(
        service_type=draw(st.sampled_from([b"", b"CMT", b"VMA"])),
        source_addr_ton=draw(octet),
        source_addr_npi=draw(octet),
        source_addr=draw(address),
        dest_addr_ton=draw(octet),
        dest_addr_npi=draw(octet),
        destination_addr=draw(address),
        esm_class=draw(st.sampled_from([0, 0x80])) | (UDHI if udhi else 0),
        protocol_id=draw(octet),
        priority_flag=draw(st.integers(0, 4)),
        registered_delivery=draw(st.integers(0, 1)),
        data_coding=draw(st.sampled_from([0, 1, 3, 4, 8, 0x10, 0x18, 0xF0, 0xF5])),
        short_message=(UDH if udhi else b"") + draw(st.binary(max_size=134)),
        tlvs=draw(
            st.lists(
                st.sampled_from(
                    [
                        (int(Tag.USER_MESSAGE_REFERENCE), b"\x12\x34"),
                        (int(Tag.SOURCE_PORT), b"\x23\xf4"),
                        (int(Tag.CALLBACK_NUM), b"\x01\x01\x00447700900000"),
                        (int(Tag.ITS_SESSION_INFO), b"\x01\x02"),
                    ]
                ),
                max_size=3,
                unique=True,
            )
        ),
    )


@given(submits())
def test_a_submit_is_sent_on_as_it_came(pdu: SubmitSm) -> None:
    """Text, addresses, coding, UDH and travelling TLVs reach the carrier octet by octet."""
    assert sent(accepted(message(pdu))) == pdu


@given(submits())
def test_what_is_sent_on_can_be_encoded(pdu: SubmitSm) -> None:
    """Every submit that was taken fits in a PDU again."""
    codec.encode(sent(accepted(message(pdu))))


@given(
    st.binary(max_size=254),
    st.lists(tlvs((*SAR, Tag.MESSAGE_PAYLOAD, Tag.DEST_ADDR_SUBUNIT)), max_size=5),
    st.data(),
)
def test_any_fields_give_a_message_or_a_refusal(
    octets: bytes, given_tlvs: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    """Whatever a client writes into the fields, nothing is raised (I7)."""
    times = st.sampled_from([b"", b"000001000000000R", b"270115080000000+", b"x", b"9" * 16])
    pdu = submit(
        short_message=octets,
        esm_class=data.draw(st.integers(0, 255)),
        data_coding=data.draw(st.integers(0, 255)),
        registered_delivery=data.draw(st.integers(0, 255)),
        schedule_delivery_time=data.draw(times),
        validity_period=data.draw(times),
        tlvs=given_tlvs,
    )
    assert isinstance(translate.message_of(pdu, NOW_MS), Message | Refusal)


@pytest.mark.parametrize(
    ("fields", "reason", "status"),
    [
        ({"esm_class": 0x04}, Reason.BAD_ESM_CLASS, Status.ESME_RINVESMCLASS),
        ({"esm_class": 0x20}, Reason.BAD_ESM_CLASS, Status.ESME_RINVESMCLASS),
        ({"esm_class": 0x3C}, Reason.BAD_ESM_CLASS, Status.ESME_RINVESMCLASS),
        ({"priority_flag": 5}, Reason.BAD_PRIORITY, Status.ESME_RINVPRTFLG),
        (
            {"registered_delivery": 0x20},
            Reason.BAD_REGISTERED_DELIVERY,
            Status.ESME_RINVREGDLVFLG,
        ),
        ({"replace_if_present_flag": 2}, Reason.BAD_REPLACE_FLAG, Status.ESME_RINVREPFLAG),
        ({"sm_default_msg_id": 1}, Reason.UNKNOWN_DEFAULT_MESSAGE, Status.ESME_RINVDFTMSGID),
        ({"data_coding": 11}, Reason.BAD_CODING, Status.ESME_RSUBMITFAIL),
        ({"data_coding": 0x20}, Reason.BAD_CODING, Status.ESME_RSUBMITFAIL),
        (
            {"tlvs": [(Tag.MESSAGE_PAYLOAD, b"Hello")]},
            Reason.TEXT_TWICE,
            Status.ESME_ROPTPARNOTALLWD,
        ),
        (
            {"data_coding": 3, "tlvs": [(Tag.DEST_ADDR_SUBUNIT, b"\x01")]},
            Reason.BAD_CODING,
            Status.ESME_RSUBMITFAIL,
        ),
        ({"esm_class": UDHI, "short_message": b""}, Reason.BAD_UDH, Status.ESME_RSUBMITFAIL),
        (
            {"esm_class": UDHI, "short_message": b"\x09\x00\x03\x01"},
            Reason.BAD_UDH,
            Status.ESME_RSUBMITFAIL,
        ),
        ({"schedule_delivery_time": b"tomorrow"}, Reason.BAD_SCHEDULE, Status.ESME_RINVSCHED),
        (
            {"schedule_delivery_time": b"271315080000000+"},
            Reason.BAD_SCHEDULE,
            Status.ESME_RINVSCHED,
        ),
        ({"validity_period": b"soon"}, Reason.BAD_VALIDITY, Status.ESME_RINVEXPIRY),
        (
            {"validity_period": b"260115080000000+"},
            Reason.BAD_VALIDITY,
            Status.ESME_RINVEXPIRY,
        ),
        (
            {"validity_period": b"000000000000000R"},
            Reason.BAD_VALIDITY,
            Status.ESME_RINVEXPIRY,
        ),
        (
            {
                "schedule_delivery_time": b"000000020000000R",
                "validity_period": b"000000010000000R",
            },
            Reason.BAD_VALIDITY,
            Status.ESME_RINVEXPIRY,
        ),
    ],
)
def test_what_fields_rule_out_is_refused_exactly(
    fields: dict[str, Any], reason: Reason, status: Status
) -> None:
    """Each fault has one reason, and the reason one status on every profile (I4)."""
    assert refused(submit(**fields)) is reason
    assert {profile.status(reason) for profile in (STANDARD, WEBSMPP, LINK)} == {status}


@pytest.mark.parametrize("reason", list(Reason), ids=lambda reason: reason.name)
def test_without_vendor_statuses_those_are_submit_failures(reason: Reason) -> None:
    """E-D15: 0x45 in the place of 0x400 and above; all others stay, on every profile."""
    plain = evolve(STANDARD, vendor_statuses=False).status(reason)
    usual = STANDARD.status(reason)
    assert plain == (Status.ESME_RSUBMITFAIL if usual >= 0x400 else usual)
    for profile in (WEBSMPP, LINK):
        assert profile.status(reason) == reason.answer.smpp_link < 0x400


@pytest.mark.parametrize("esm_class", [0x00, 0x01, 0x02, 0x03, 0x08, 0x10, 0x83])
def test_modes_and_acknowledgement_types_are_accepted(esm_class: int) -> None:
    """A submitter's message may be an acknowledgement; the mode is the link's own and not kept."""
    assert message(submit(esm_class=esm_class)).esm_class == esm_class & 0xFC


@pytest.mark.parametrize("npi", [0, 1, 3, 9, 18, 255])
def test_any_npi_is_accepted(npi: int) -> None:
    """Ruling 9: 0x49 and 0x51 exist only for carriers' answers."""
    read = message(submit(source_addr_npi=npi, dest_addr_npi=npi))
    assert (read.source_npi, read.destination_npi) == (npi, npi)


def test_a_payload_is_the_text() -> None:
    """With sm_length 0 the text is in message_payload, and is sent as short_message if it fits."""
    read = message(submit(short_message=b"", tlvs=[(Tag.MESSAGE_PAYLOAD, b"Hello")]))
    assert read.parts == [b"Hello"]
    assert sent(accepted(read)).short_message == b"Hello"
    assert sent(read).tlvs == []


def test_sar_tlvs_become_a_user_data_header() -> None:
    """Segments told by TLVs are sent with the UDH that handsets read (spec/smpp.md §12)."""
    values = (b"\x12\x34", b"\x03", b"\x02")
    read = message(submit(tlvs=[(int(t), v) for t, v in zip(SAR, values, strict=True)]))
    assert read.esm_class == UDHI
    assert read.parts == [b"\x05\x00\x03\x34\x03\x02Hello"]
    assert parts.concat(read.parts[0]) == (0x34, 3, 2)
    assert read.tlvs == []


@pytest.mark.parametrize(
    ("data_coding", "size"), [(0, 153), (4, 134), (8, 134)], ids=["septets", "octets", "UCS-2"]
)
def test_sar_segments_of_the_usual_sizes_fit_in_a_part(data_coding: int, size: int) -> None:
    """153 septets, 134 octets, 67 UCS-2 units: what an 8-bit reference leaves (spec/smpp.md
    §12)."""
    values = (b"\x12\x34", b"\x03", b"\x02")
    sar = [(int(t), v) for t, v in zip(SAR, values, strict=True)]
    read = message(submit(data_coding=data_coding, short_message=b"x" * size, tlvs=sar))
    header, text = parts.udh(read.parts[0])
    assert len(text) == size == parts.capacity(data_coding, len(header))


def test_sar_tlvs_of_an_mo_become_a_user_data_header() -> None:
    """A segment from a handset is still one when the account gets it, TLVs or not."""
    values = (b"\x12\x34", b"\x03", b"\x02")
    sar = [(int(t), v) for t, v in zip(SAR, values, strict=True)]
    one = translate.mo_of(DeliverSm(short_message=b"Hello", tlvs=sar))
    pdu = translate.deliver_of(one)
    assert (pdu.esm_class, pdu.tlvs) == (UDHI, [])
    assert pdu.short_message == b"\x05\x00\x03\x34\x03\x02Hello"
    # So is one in message_payload.
    payload = DeliverSm(tlvs=[*sar, (int(Tag.MESSAGE_PAYLOAD), b"Hello")])
    assert translate.deliver_of(translate.mo_of(payload)) == pdu


@pytest.mark.parametrize(
    ("total", "number"), [(0, 0), (3, 0), (3, 4), (1, 1), (0, 1)], ids=lambda n: str(n)
)
def test_sar_numbers_that_make_no_sense_are_ignored(total: int, number: int) -> None:
    """A segment outside of its total, or one of one, is a message of its own (spec/smpp.md §12)."""
    values = (b"\x12\x34", bytes([total]), bytes([number]))
    read = message(submit(tlvs=[(int(t), v) for t, v in zip(SAR, values, strict=True)]))
    assert (read.esm_class, read.parts) == (0, [b"Hello"])


def test_a_user_data_header_wins_over_sar_tlvs() -> None:
    """What has a UDH gets no second one."""
    values = (b"\x12\x34", b"\x03", b"\x02")
    sar = [(int(t), v) for t, v in zip(SAR, values, strict=True)]
    read = message(submit(esm_class=UDHI, short_message=UDH + b"Hello", tlvs=sar))
    assert read.parts == [UDH + b"Hello"]


@pytest.mark.parametrize(("plain", "flash"), [(0, 0x10), (4, 0x14), (8, 0x18), (0xF1, 0x10)])
def test_the_display_as_destination_is_flash(plain: int, flash: int) -> None:
    """dest_addr_subunit 1 is the display: class 0 in the data coding, which carriers understand."""
    pdu = submit(data_coding=plain, tlvs=[(int(Tag.DEST_ADDR_SUBUNIT), b"\x01")])
    assert message(pdu).data_coding == flash
    assert message(submit(tlvs=[(int(Tag.DEST_ADDR_SUBUNIT), b"\x02")])).data_coding == 0


def test_a_tlv_travels_once() -> None:
    """A client cannot fill the memory, or the next PDU, with one that may repeat."""
    given = [(int(Tag.CALLBACK_NUM), bytes((1, 1, 0, n))) for n in range(200)]
    assert message(submit(tlvs=given)).tlvs == given[:1]


def test_tlvs_of_the_link_and_unknown_ones_do_not_travel() -> None:
    """What says nothing of the message stays behind."""
    given = [
        (int(Tag.QOS_TIME_TO_LIVE), b"\0\0\0\1"),
        (0x1400, b"vendor"),
        (int(Tag.USER_MESSAGE_REFERENCE), b"\0\7"),
    ]
    assert message(submit(tlvs=given)).tlvs == [(int(Tag.USER_MESSAGE_REFERENCE), b"\0\7")]


def test_times_are_read_absolutely_and_relatively() -> None:
    """A validity counts from the schedule if there is one, else from now."""
    read = message(submit(validity_period=b"000000003000000R"))
    assert (read.schedule_at, read.validity_ms) == (0, 30 * MINUTE_MS)
    read = message(submit(validity_period=b"270115083000000+"))
    assert read.validity_ms == 30 * MINUTE_MS
    read = message(
        submit(schedule_delivery_time=b"270115090000000+", validity_period=b"000000020000000R")
    )
    assert (read.schedule_at, read.validity_ms) == (NOW_MS + HOUR_MS, HOUR_MS)


def test_a_default_validity_is_left_to_the_carrier() -> None:
    """A message without a wish of its own is sent without a validity_period."""
    assert sent(accepted(message(submit()))).validity_period == b""


def test_what_is_left_of_a_validity_is_sent_on() -> None:
    """Time spent in the queue is not given to the carrier again."""
    read = accepted(message(submit(validity_period=b"000000010000000R")))
    assert sent(read).validity_period == b"000000010000000R"
    assert sent(read, NOW_MS + 10 * MINUTE_MS).validity_period == b"000000005000000R"
    assert sent(read, NOW_MS + 2 * HOUR_MS).validity_period == b"000000000001000R"


def test_a_schedule_is_the_gateways_own() -> None:
    """It is kept until it is due, and sent on without a time."""
    read = accepted(message(submit(schedule_delivery_time=b"270115090000000+")))
    assert sent(read, NOW_MS + HOUR_MS).schedule_delivery_time == b""
    assert sent(read, NOW_MS + HOUR_MS).validity_period == b""


def test_no_more_than_what_is_left_is_sent_on() -> None:
    """Cut to a second; also of a default validity, once the message has waited."""
    read = accepted(message(submit(validity_period=b"000000010000000R")))
    assert sent(read, NOW_MS + 1).validity_period == b"000000005959000R"
    read = accepted(message(submit()))
    assert sent(read, NOW_MS + 59_999).validity_period == b""
    assert sent(read, NOW_MS + 61_000).validity_period == b"000001235859000R"


def test_a_schedule_in_the_past_is_no_validity() -> None:
    """What is sent at once has the default validity, although its schedule was long ago."""
    read = accepted(message(submit(schedule_delivery_time=b"270115070000000+")))
    assert sent(read).validity_period == b""


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [(0, 0), (1, 1), (2, 1), (3, 1), (0x10, 0x10), (0x12, 0x11), (0x04, 0x04), (0x1F, 0x1D)],
)
def test_a_carrier_is_asked_for_every_receipt_that_may_be_needed(asked: int, wanted: int) -> None:
    """The gateway itself decides which ones are handed over; acknowledgements of the handset and
    intermediate states are the carrier's to send."""
    assert sent(accepted(message(submit(registered_delivery=asked)))).registered_delivery == wanted


@pytest.mark.parametrize(
    ("asked", "delivered", "failed"),
    [
        (0, False, False),
        (1, True, True),
        (2, False, True),
        (3, True, False),
        (0x10, False, False),
        (0x11, True, True),
        (0x04, False, False),
    ],
)
def test_receipts_are_as_asked(asked: int, delivered: bool, failed: bool) -> None:
    """0 none, 1 always, 2 on failure, 3 on success (L-D23)."""
    one = a_message(registered_delivery=asked)
    assert translate.wants_receipt(one, MessageState.DELIVERED) is delivered
    for state in (
        MessageState.EXPIRED,
        MessageState.UNDELIVERABLE,
        MessageState.REJECTED,
        MessageState.UNKNOWN,
    ):
        assert translate.wants_receipt(one, state) is failed
    assert translate.wants_progress(one) is bool(asked & 0x10)


def a_message(**fields: Any) -> Message:
    given: dict[str, Any] = {
        "source": "ACME",
        "destination": "447700900123",
        "source_ton": 5,
        "destination_ton": 1,
        "destination_npi": 1,
        "parts": [b"Hello"],
        "id": 4_711,
        "accepted_at": NOW_MS,
        "acknowledged": {0: Acknowledgement("north", "a0", NOW_MS + 1000)},
    }
    return Message(**{**given, **fields})


def test_ids_are_written_as_the_dialect_does() -> None:
    """32 hex digits, the UUID form or decimal digits (design section 9)."""
    one = a_message()
    assert translate.id_text(one, "hex") == to_hex(4_711)
    assert translate.id_text(one, "uuid") == to_guid(4_711)
    assert translate.id_text(one, "decimal") == "4711"


def test_a_33_session_has_eight_hex_digits_and_ten_decimal_ones_in_its_receipt() -> None:
    """Ruling 8: the same 32-bit number, in hex in the response and in decimal in the receipt."""
    one = a_message(alias=0x0000ABCD)
    assert translate.id_text(one, "hex") == "0000ABCD"
    pdu = translate.receipt_of(one, MessageState.DELIVERED, NOW_MS, "hex", False, False)
    assert pdu.short_message.startswith(b"id:0000043981 ")


@pytest.mark.parametrize("alias", [0, 1, 0xABCD, 0xFFFFFFFF])
@pytest.mark.parametrize("id_format", ["hex", "uuid", "decimal"])
def test_an_id_is_read_in_every_form_that_was_written(alias: int, id_format: str) -> None:
    """That of the response, in whatever case, and that of the receipt."""
    one = a_message(id=447_711_000_000_000_000, alias=alias)
    known = (0, alias) if alias else (one.id, 0)
    name = translate.id_text(one, id_format)
    assert translate.id_of(name) == translate.id_of(name.lower()) == known
    pdu = translate.receipt_of(one, MessageState.DELIVERED, NOW_MS, id_format, False, False)
    assert translate.id_of(pdu.short_message.split()[0][3:].decode()) == known


@given(st.text(max_size=70))
def test_what_is_no_id_is_none(text: str) -> None:
    """No text breaks it, and nothing but an id is one."""
    id, alias = translate.id_of(text)
    assert not (id and alias)
    assert 0 <= alias <= 9_999_999_999
    for wrong in ("", "-1", " 12345", "1_000", "0x12", "x" * 32, "1" * 20, "9" * 19, "١٢٣٤٥٦٧٨٩"):
        assert translate.id_of(wrong) == (0, 0)


@pytest.mark.parametrize("seconds", [False, True])
def test_a_receipt_reads_as_it_was_meant(seconds: bool) -> None:
    """Text and TLVs say the same, addresses are swapped, no text is echoed (L-R25)."""
    one = a_message(error=101, tlvs=[(int(Tag.USER_MESSAGE_REFERENCE), b"\0\7")])
    pdu = translate.receipt_of(
        one, MessageState.UNDELIVERABLE, NOW_MS + MINUTE_MS, "decimal", seconds, False
    )
    date = ("270115080000", "270115080100") if seconds else ("2701150800", "2701150801")
    assert pdu.short_message.decode() == (
        f"id:4711 sub:001 dlvrd:000 submit date:{date[0]} done date:{date[1]}"
        " stat:UNDELIV err:101 text:"
    )
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (b"447700900123", 1, 1)
    assert (pdu.destination_addr, pdu.dest_addr_ton, pdu.dest_addr_npi) == (b"ACME", 5, 0)
    assert (pdu.esm_class, pdu.data_coding) == (0x04, 0)
    assert pdu.tlvs == [
        (Tag.RECEIPTED_MESSAGE_ID, b"4711\0"),
        (Tag.MESSAGE_STATE, b"\5"),
        (Tag.NETWORK_ERROR_CODE, b"\x08\x00\x65"),
        (Tag.USER_MESSAGE_REFERENCE, b"\0\7"),
    ]


def test_a_receipt_of_a_delivered_message_has_no_error() -> None:
    """dlvrd is 001, err 000, and network_error_code is left out (L-D25, L-D26)."""
    pdu = translate.receipt_of(a_message(), MessageState.DELIVERED, NOW_MS, "decimal", True, False)
    assert b"dlvrd:001" in pdu.short_message
    assert b"stat:DELIVRD err:000 text:" in pdu.short_message
    assert Tag.NETWORK_ERROR_CODE not in dict(pdu.tlvs)


def test_an_intermediate_receipt_is_marked_as_such() -> None:
    """esm_class 0x20 (ruling 11)."""
    pdu = translate.receipt_of(a_message(), MessageState.ACCEPTED, NOW_MS, "hex", True, True)
    assert pdu.esm_class == 0x20
    assert b"stat:ACCEPTD" in pdu.short_message


@given(
    st.sampled_from([s for s in MessageState if s is not MessageState.SCHEDULED]),
    st.integers(0, 999),
    st.sampled_from(["hex", "uuid", "decimal"]),
    st.booleans(),
)
def test_a_receipt_that_we_write_we_can_read(
    state: MessageState, error: int, id_format: str, seconds: bool
) -> None:
    """parse(receipt_of(message)) has the message's id, state, error and dates."""
    one = a_message(error=error)
    pdu = translate.receipt_of(one, state, NOW_MS + MINUTE_MS, id_format, seconds, False)
    read = receipt.parse(codec.decode(codec.encode(evolve(pdu, sequence=1))))  # type: ignore[arg-type]
    assert read is not None
    assert (read.id, read.state) == (translate.id_text(one, id_format), state)
    assert (read.submit_at, read.done_at) == (NOW_MS, NOW_MS + MINUTE_MS)
    assert read.error == f"{error:03d}"


@given(submits())
def test_an_mo_is_handed_over_as_it_came(pdu: SubmitSm) -> None:
    """What a handset sent reaches the account octet by octet."""
    names = (
        "service_type source_addr_ton source_addr_npi source_addr dest_addr_ton dest_addr_npi "
        "destination_addr esm_class protocol_id priority_flag data_coding short_message tlvs"
    )
    received = DeliverSm(**{name: getattr(pdu, name) for name in names.split()})
    one = translate.mo_of(received)
    assert one.direction == 1
    assert translate.deliver_of(one) == received


def test_a_long_mo_is_handed_over_as_payload() -> None:
    """What does not fit in short_message goes into message_payload, as it came."""
    pdu = DeliverSm(tlvs=[(int(Tag.MESSAGE_PAYLOAD), b"x" * 300)])
    assert translate.deliver_of(translate.mo_of(pdu)) == pdu


@pytest.mark.parametrize("data_coding", [0, 4, 8])
@pytest.mark.parametrize("udh", [b"", b"\x06\x05\x04\x15\x81\x15\x81"])
def test_a_long_mo_is_cut_for_a_session_without_tlvs(data_coding: int, udh: bytes) -> None:
    """Its segments fit in short_message, and are the message when they are joined."""
    text = bytes(range(0x20, 0x70)) * 10
    payload = (int(Tag.MESSAGE_PAYLOAD), udh + text)
    tlvs = [payload, (int(Tag.USER_MESSAGE_REFERENCE), b"\0\1")]
    pdu = DeliverSm(data_coding=data_coding, esm_class=UDHI if udh else 0, tlvs=tlvs)
    segments = translate.segments_of(pdu)
    assert parts.join([each.short_message for each in segments]) == text
    for each in segments:
        assert (each.esm_class, each.data_coding, each.tlvs) == (UDHI, data_coding, [])
        assert len(each.short_message) <= 160
        assert udh[1:] in each.short_message
        codec.encode(each)
    # Tried again it has the same reference, so a client can join the old with the new.
    assert translate.segments_of(pdu) == segments


def test_what_fits_in_one_pdu_is_not_cut() -> None:
    """A short MO goes out as it is."""
    pdu = DeliverSm(short_message=b"x" * 254)
    assert translate.segments_of(pdu) == [pdu]


@pytest.mark.parametrize(
    ("esm_class", "payload"), [(0, b"x" * 65_535), (UDHI, UDH + b"x" * 300), (UDHI, b"\xff" * 255)]
)
def test_what_cannot_be_cut_is_a_value_error(esm_class: int, payload: bytes) -> None:
    """More than 255 segments, a segment already, a header that is none."""
    pdu = DeliverSm(esm_class=esm_class, tlvs=[(int(Tag.MESSAGE_PAYLOAD), payload)])
    with pytest.raises(ValueError, match=r"parts|concatenation|header"):
        translate.segments_of(pdu)


@pytest.mark.parametrize(
    ("sender", "ton", "npi"), [("ACME", 5, 0), ("447700900999", 1, 1), ("88811", 3, 0)]
)
def test_a_sender_is_rewritten_with_the_ton_of_its_form(sender: str, ton: int, npi: int) -> None:
    """Only in the PDU: the message stays as it was."""
    of = accepted(message(submit(source_addr_ton=1, source_addr_npi=1)))
    before = evolve(of)
    pdu = sent(of)
    made = rewriting(sender=sender)
    assert made is not None
    made.apply(pdu)
    written = (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi)
    assert written == (sender.encode(), ton, npi)
    assert of == before
    assert evolve(pdu, source_addr=b"", source_addr_ton=0, source_addr_npi=0) == evolve(
        sent(of), source_addr=b"", source_addr_ton=0, source_addr_npi=0
    )


def test_types_of_numbers_and_the_protocol_are_rewritten_as_given() -> None:
    """Also to 0, and over what the sender's form says."""
    pdu = sent(accepted(message(submit(protocol_id=7))))
    made = rewriting("ACME", 0, 8, 2, 0, 0)
    assert made is not None
    made.apply(pdu)
    assert (pdu.source_addr, pdu.source_addr_ton, pdu.source_addr_npi) == (b"ACME", 0, 8)
    assert (pdu.dest_addr_ton, pdu.dest_addr_npi, pdu.protocol_id) == (2, 0, 0)
    assert pdu.destination_addr == b"447700900123"


def test_without_anything_to_rewrite_there_is_no_rewriting() -> None:
    """So it costs nothing."""
    assert rewriting() is None


def transliterated(text: str, header: bytes = b"", data_coding: int = 8) -> SubmitSm:
    """The submit_sm of a part in UCS-2 for a carrier that wants GSM."""
    octets = header + text.encode("utf-16-be")
    pdu = SubmitSm(short_message=octets, data_coding=data_coding, esm_class=UDHI if header else 0)
    made = rewriting(transliterate=True)
    assert made is not None
    made.apply(pdu)
    return pdu


def test_ucs2_is_written_in_gsm_where_it_can_be() -> None:
    """With look-alikes; the header and the class stay."""
    pdu = transliterated("Łódź “{2}”")
    assert (pdu.data_coding, pdu.short_message) == (0, b'Lodz "\x1b(2\x1b)"')
    pdu = transliterated("Łódź", UDH)
    assert (pdu.data_coding, pdu.short_message, pdu.esm_class) == (0, UDH + b"Lodz", UDHI)
    assert transliterated("Łódź", data_coding=0x18).data_coding == 0x10
    assert transliterated("Łódź", data_coding=0x19).data_coding == 0x11


@pytest.mark.parametrize(
    ("text", "header"), [("日本", b""), ("Łódź 😀", b""), ("½" * 67, UDH), ("Łódź", b"\xff")]
)
def test_what_is_not_gsm_stays_as_it_is(text: str, header: bytes) -> None:
    """A sign without a look-alike, look-alikes that need too many septets, a header that is
    none."""
    pdu = transliterated(text, header)
    assert (pdu.data_coding, pdu.short_message) == (8, header + text.encode("utf-16-be"))


@given(st.text(max_size=70))
def test_a_part_in_gsm_fits(text: str) -> None:
    """Whatever becomes of its characters."""
    pdu = transliterated(text.encode("utf-16-be", "replace").decode("utf-16-be")[:70])
    if pdu.data_coding == 0:
        assert len(pdu.short_message) <= 160


def test_only_ucs2_is_transliterated() -> None:
    """Octets and other alphabets are left alone."""
    made = rewriting(transliterate=True)
    assert made is not None
    for data_coding in (0, 3, 4, 0xF5):
        pdu = SubmitSm(short_message=b"\x01\x41", data_coding=data_coding)
        made.apply(pdu)
        assert (pdu.data_coding, pdu.short_message) == (data_coding, b"\x01\x41")
