"""data_sm and what says the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.smpp import data_sm
from smsgw.smpp.codec import encode
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import DataSm, DeliverSm, SubmitSm
from smsgw.smpp.tlv import get, put
from smsgw.testing.strategies import pdus_of, tlvs

# What data_sm has no field for.
LOST = {
    "protocol_id": st.just(0),
    "priority_flag": st.just(0),
    "schedule_delivery_time": st.just(b""),
    "validity_period": st.just(b""),
    "replace_if_present_flag": st.just(0),
    "sm_default_msg_id": st.just(0),
}
OTHERS = [Tag.USER_MESSAGE_REFERENCE, Tag.SOURCE_PORT, Tag.MESSAGE_STATE]


@given(
    pdus_of(
        DeliverSm,
        registered_delivery=st.just(0),
        tlvs=st.lists(tlvs(OTHERS), max_size=2),
        **LOST,
    )
)
def test_a_deliver_sm_survives_as_data_sm(pdu: DeliverSm) -> None:
    """deliver_of(delivery_of(x)) == x: nothing that both have is lost, and it can be written."""
    data = data_sm.delivery_of(pdu)
    encode(data)
    assert data_sm.deliver_of(data) == pdu


@given(pdus_of(SubmitSm, tlvs=st.lists(tlvs(OTHERS), max_size=2), **LOST))
def test_a_submit_sm_survives_as_data_sm(pdu: SubmitSm) -> None:
    """The text moves into message_payload; all else that both have stays."""
    back = data_sm.submit_of(data_sm.submission_of(pdu))
    assert back.tlvs == [put(Tag.MESSAGE_PAYLOAD, pdu.short_message), *pdu.tlvs]
    back.short_message, back.tlvs = pdu.short_message, pdu.tlvs
    assert back == pdu


def test_a_long_payload_stays_one() -> None:
    """What no short_message holds is not cut, in either direction."""
    long = put(Tag.MESSAGE_PAYLOAD, b"x" * 255)
    deliver = data_sm.deliver_of(DataSm(tlvs=[long]))
    assert (deliver.short_message, deliver.tlvs) == (b"", [long])
    assert data_sm.delivery_of(deliver).tlvs == [long]


def test_a_validity_goes_as_seconds_to_live() -> None:
    """qos_time_to_live is what is left of it (SMPP 3.4 §5.3.2.9)."""
    data = data_sm.submission_of(SubmitSm(validity_period=b"000001020304000R"))
    assert get(data, Tag.QOS_TIME_TO_LIVE) == 26 * 3600 + 3 * 60 + 4
    assert data_sm.lifetime_ms(data) == (26 * 3600 + 3 * 60 + 4) * 1000
    assert data_sm.lifetime_ms(DataSm()) == 0


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"tlvs": [put(Tag.MESSAGE_PAYLOAD, b"")]}, Status.ESME_ROK),
        ({}, Status.ESME_RMISSINGOPTPARAM),
        ({"source_addr": b"4" * 21}, Status.ESME_RINVSRCADR),
        ({"destination_addr": b"4" * 21}, Status.ESME_RINVDSTADR),
        ({"source_addr": b"4" * 64, "esm_class": 0x04}, Status.ESME_ROK),
        ({"esm_class": 0x20}, Status.ESME_ROK),
        # The bit of a receipt in another type of message makes it none.
        (
            {"source_addr": b"1" * 64, "esm_class": 0x0C, "tlvs": [(Tag.MESSAGE_PAYLOAD, b"Hi")]},
            Status.ESME_RINVSRCADR,
        ),
    ],
)
def test_what_no_esme_can_be_brought_is_refused(fields: dict, status: int) -> None:
    """Addresses of 64 octets are for data_sm only; a receipt is read by its TLVs alone."""
    assert data_sm.fault(DataSm(**fields)) == status
