"""data_sm and the PDUs that say the same: submit_sm towards an SMSC, deliver_sm towards an ESME
(SMPP 3.4 §4.7).

data_sm has its text in message_payload only, and neither protocol_id, priority nor times; what is
left of a validity is qos_time_to_live.
"""

from smsgw.smpp import times
from smsgw.smpp.constants import (
    ESM_INTERMEDIATE,
    ESM_RECEIPT,
    ESM_TYPE,
    MAX_SHORT_MESSAGE,
    Status,
    Tag,
)
from smsgw.smpp.pdu import DataSm, DeliverSm, ShortMessage, SubmitSm, Tlv

MAX_ADDRESS = 20  # octets of a submit_sm's or a deliver_sm's; data_sm has 64


def payload_of(pdu: DataSm) -> bytes | None:
    """The text of a data_sm, None if it has no message_payload."""
    return next((value for tag, value in pdu.tlvs if tag == Tag.MESSAGE_PAYLOAD), None)


def submit_of(pdu: DataSm) -> SubmitSm:
    """The submit_sm that says what a data_sm of an ESME says; its addresses may be longer than one
    can be written with."""
    submit = SubmitSm(sequence=pdu.sequence, tlvs=pdu.tlvs)
    _copy(pdu, submit)
    submit.registered_delivery = pdu.registered_delivery
    return submit


def lifetime_ms(pdu: DataSm) -> int:
    """How long a data_sm may take by its qos_time_to_live, in milliseconds; 0 if it says
    nothing."""
    seconds = (int.from_bytes(value) for tag, value in pdu.tlvs if tag == Tag.QOS_TIME_TO_LIVE)
    return next(seconds, 0) * 1000


def fault(pdu: DataSm) -> int:
    """The status of a data_sm of an SMSC that cannot be passed on, 0 if it can: an ESME is brought
    addresses of 20 octets at most. A receipt may say all in other TLVs, and its addresses mean
    nothing."""
    if pdu.esm_class & ESM_TYPE in (ESM_RECEIPT, ESM_INTERMEDIATE):
        return Status.ESME_ROK
    if len(pdu.source_addr) > MAX_ADDRESS:
        return Status.ESME_RINVSRCADR
    if len(pdu.destination_addr) > MAX_ADDRESS:
        return Status.ESME_RINVDSTADR
    return Status.ESME_RMISSINGOPTPARAM if payload_of(pdu) is None else Status.ESME_ROK


def deliver_of(pdu: DataSm) -> DeliverSm:
    """The deliver_sm that says what a data_sm of an SMSC says."""
    deliver = DeliverSm(sequence=pdu.sequence)
    _copy(pdu, deliver)
    payload = payload_of(pdu) or b""
    if len(payload) <= MAX_SHORT_MESSAGE:
        deliver.short_message = payload
        deliver.tlvs = [one for one in pdu.tlvs if one[0] != Tag.MESSAGE_PAYLOAD]
    else:
        deliver.tlvs = pdu.tlvs
    return deliver


def delivery_of(pdu: DeliverSm) -> DataSm:
    """The data_sm that brings an ESME what the deliver_sm would."""
    return _data_of(pdu, pdu.tlvs)


def submission_of(pdu: SubmitSm) -> DataSm:
    """The data_sm that brings a carrier what the submit_sm would; a validity must be relative."""
    tlvs = pdu.tlvs
    if pdu.validity_period:
        seconds = times.parse_time(pdu.validity_period, 0) // 1000
        tlvs = [*tlvs, (int(Tag.QOS_TIME_TO_LIVE), min(seconds, 0xFFFFFFFF).to_bytes(4))]
    data = _data_of(pdu, tlvs)
    data.registered_delivery = pdu.registered_delivery
    return data


def _data_of(pdu: ShortMessage, tlvs: list[Tlv]) -> DataSm:
    data = DataSm(sequence=pdu.sequence, tlvs=tlvs)
    _copy(pdu, data)
    if pdu.short_message or payload_of(data) is None:
        data.tlvs = [(int(Tag.MESSAGE_PAYLOAD), pdu.short_message), *tlvs]
    return data


def _copy(one: ShortMessage | DataSm, other: ShortMessage | DataSm) -> None:
    """What both kinds have."""
    other.service_type = one.service_type
    other.source_addr_ton = one.source_addr_ton
    other.source_addr_npi = one.source_addr_npi
    other.source_addr = one.source_addr
    other.dest_addr_ton = one.dest_addr_ton
    other.dest_addr_npi = one.dest_addr_npi
    other.destination_addr = one.destination_addr
    other.esm_class = one.esm_class
    other.data_coding = one.data_coding
