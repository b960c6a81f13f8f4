"""One class for each PDU of SMPP 3.3, 3.4 and 5.0; together the table of all layouts.

Strings and messages are octets as they are on the wire, without length or terminator. The
layouts and limits are those of 3.4 (spec/smpp.md §3); a 3.3 peer has shorter ids and texts (§4),
which is the session's business.
"""
# ruff: noqa: RUF009 - what is called are makers of attrs fields, whose lists come from factories.

from typing import Any, ClassVar

from attrs import define

from smsgw.smpp.constants import RESPONSE, Command, Status
from smsgw.smpp.fields import (
    coct,
    destinations,
    int1,
    int4,
    message_ids,
    octets,
    time,
    tlvs,
    unsuccessful,
)

Tlv = tuple[int, bytes]


@define
class Pdu:
    """What every PDU has: a sequence number and a status (0 in requests)."""

    sequence: int = 0
    status: int = 0

    COMMAND: ClassVar[int] = 0

    def response(self, status: int = 0, **fields: Any) -> "Pdu":
        """The response to this request, with its sequence number.

        Raises ``TypeError`` for PDUs that have none: responses, outbind, alert_notification.
        """
        cls = CLASSES.get(self.COMMAND | RESPONSE)
        if cls is None or self.COMMAND & RESPONSE:
            raise TypeError(f"{type(self).__name__} has no response")
        return cls(sequence=self.sequence, status=status, **fields)


@define
class SmeAddress:
    """A destination of submit_multi that is one subscriber (dest_flag 1)."""

    dest_addr_ton: int = int1()
    dest_addr_npi: int = int1()
    destination_addr: bytes = coct(21, Status.ESME_RINVDSTADR)


@define
class DistributionList:
    """A destination of submit_multi that is a list kept by the SMSC (dest_flag 2)."""

    dl_name: bytes = coct(21, Status.ESME_RINVDLNAME)


@define
class UnsuccessSme:
    """A destination that submit_multi_resp says was not accepted, and why."""

    dest_addr_ton: int = int1()
    dest_addr_npi: int = int1()
    destination_addr: bytes = coct(21, Status.ESME_RINVDSTADR)
    error_status_code: int = int4()


Destination = SmeAddress | DistributionList


# Session


@define
class Bind(Pdu):
    """Layout of the three bind requests (SMPP 3.4 §4.1)."""

    system_id: bytes = coct(16, Status.ESME_RINVSYSID)
    password: bytes = coct(9, Status.ESME_RINVPASWD)
    system_type: bytes = coct(13, Status.ESME_RINVSYSTYP)
    interface_version: int = int1()
    addr_ton: int = int1()
    addr_npi: int = int1()
    address_range: bytes = coct(41)


@define
class BindResp(Pdu):
    """Layout of the three bind responses."""

    system_id: bytes = coct(16, Status.ESME_RINVSYSID)
    tlvs: list[Tlv] = tlvs()


@define
class BindReceiver(Bind):
    """bind_receiver."""

    COMMAND: ClassVar[int] = Command.BIND_RECEIVER


@define
class BindReceiverResp(BindResp):
    """bind_receiver_resp."""

    COMMAND: ClassVar[int] = Command.BIND_RECEIVER_RESP


@define
class BindTransmitter(Bind):
    """bind_transmitter."""

    COMMAND: ClassVar[int] = Command.BIND_TRANSMITTER


@define
class BindTransmitterResp(BindResp):
    """bind_transmitter_resp."""

    COMMAND: ClassVar[int] = Command.BIND_TRANSMITTER_RESP


@define
class BindTransceiver(Bind):
    """bind_transceiver (3.4)."""

    COMMAND: ClassVar[int] = Command.BIND_TRANSCEIVER


@define
class BindTransceiverResp(BindResp):
    """bind_transceiver_resp (3.4)."""

    COMMAND: ClassVar[int] = Command.BIND_TRANSCEIVER_RESP


@define
class Outbind(Pdu):
    """outbind (3.4), which has no response."""

    COMMAND: ClassVar[int] = Command.OUTBIND

    system_id: bytes = coct(16, Status.ESME_RINVSYSID)
    password: bytes = coct(9, Status.ESME_RINVPASWD)


@define
class Unbind(Pdu):
    """unbind."""

    COMMAND: ClassVar[int] = Command.UNBIND


@define
class UnbindResp(Pdu):
    """unbind_resp."""

    COMMAND: ClassVar[int] = Command.UNBIND_RESP


@define
class EnquireLink(Pdu):
    """enquire_link."""

    COMMAND: ClassVar[int] = Command.ENQUIRE_LINK


@define
class EnquireLinkResp(Pdu):
    """enquire_link_resp."""

    COMMAND: ClassVar[int] = Command.ENQUIRE_LINK_RESP


@define
class GenericNack(Pdu):
    """generic_nack."""

    COMMAND: ClassVar[int] = Command.GENERIC_NACK


# Messages


@define
class ShortMessage(Pdu):
    """The layout that submit_sm and deliver_sm share (SMPP 3.4 §4.4, §4.6)."""

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    dest_addr_ton: int = int1()
    dest_addr_npi: int = int1()
    destination_addr: bytes = coct(21, Status.ESME_RINVDSTADR)
    esm_class: int = int1()
    protocol_id: int = int1()
    priority_flag: int = int1()
    schedule_delivery_time: bytes = time(Status.ESME_RINVSCHED)
    validity_period: bytes = time(Status.ESME_RINVEXPIRY)
    registered_delivery: int = int1()
    replace_if_present_flag: int = int1()
    data_coding: int = int1()
    sm_default_msg_id: int = int1()
    short_message: bytes = octets()
    tlvs: list[Tlv] = tlvs()


@define
class SubmitSm(ShortMessage):
    """submit_sm."""

    COMMAND: ClassVar[int] = Command.SUBMIT_SM


@define
class SubmitSmResp(Pdu):
    """submit_sm_resp."""

    COMMAND: ClassVar[int] = Command.SUBMIT_SM_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    tlvs: list[Tlv] = tlvs()


@define
class DeliverSm(ShortMessage):
    """deliver_sm."""

    COMMAND: ClassVar[int] = Command.DELIVER_SM


@define
class DeliverSmResp(Pdu):
    """deliver_sm_resp; ``message_id`` is written empty, but some peers fill it."""

    COMMAND: ClassVar[int] = Command.DELIVER_SM_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    tlvs: list[Tlv] = tlvs()


@define
class SubmitMulti(Pdu):
    """submit_multi."""

    COMMAND: ClassVar[int] = Command.SUBMIT_MULTI

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    dest_addresses: list[Destination] = destinations()
    esm_class: int = int1()
    protocol_id: int = int1()
    priority_flag: int = int1()
    schedule_delivery_time: bytes = time(Status.ESME_RINVSCHED)
    validity_period: bytes = time(Status.ESME_RINVEXPIRY)
    registered_delivery: int = int1()
    replace_if_present_flag: int = int1()
    data_coding: int = int1()
    sm_default_msg_id: int = int1()
    short_message: bytes = octets()
    tlvs: list[Tlv] = tlvs()


@define
class SubmitMultiResp(Pdu):
    """submit_multi_resp."""

    COMMAND: ClassVar[int] = Command.SUBMIT_MULTI_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    unsuccess_sme: list[UnsuccessSme] = unsuccessful()
    tlvs: list[Tlv] = tlvs()


@define
class DataSm(Pdu):
    """data_sm (3.4); its text is in the TLV message_payload."""

    COMMAND: ClassVar[int] = Command.DATA_SM

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(65, Status.ESME_RINVSRCADR)
    dest_addr_ton: int = int1()
    dest_addr_npi: int = int1()
    destination_addr: bytes = coct(65, Status.ESME_RINVDSTADR)
    esm_class: int = int1()
    registered_delivery: int = int1()
    data_coding: int = int1()
    tlvs: list[Tlv] = tlvs()


@define
class DataSmResp(Pdu):
    """data_sm_resp (3.4)."""

    COMMAND: ClassVar[int] = Command.DATA_SM_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    tlvs: list[Tlv] = tlvs()


@define
class QuerySm(Pdu):
    """query_sm."""

    COMMAND: ClassVar[int] = Command.QUERY_SM

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)


@define
class QuerySmResp(Pdu):
    """query_sm_resp."""

    COMMAND: ClassVar[int] = Command.QUERY_SM_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    final_date: bytes = time(Status.ESME_RINVCMDLEN)
    message_state: int = int1()
    error_code: int = int1()
    tlvs: list[Tlv] = tlvs()


@define
class CancelSm(Pdu):
    """cancel_sm."""

    COMMAND: ClassVar[int] = Command.CANCEL_SM

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    dest_addr_ton: int = int1()
    dest_addr_npi: int = int1()
    destination_addr: bytes = coct(21, Status.ESME_RINVDSTADR)


@define
class CancelSmResp(Pdu):
    """cancel_sm_resp."""

    COMMAND: ClassVar[int] = Command.CANCEL_SM_RESP

    tlvs: list[Tlv] = tlvs()


@define
class ReplaceSm(Pdu):
    """replace_sm; 5.0 allows the TLV message_payload."""

    COMMAND: ClassVar[int] = Command.REPLACE_SM

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    schedule_delivery_time: bytes = time(Status.ESME_RINVSCHED)
    validity_period: bytes = time(Status.ESME_RINVEXPIRY)
    registered_delivery: int = int1()
    sm_default_msg_id: int = int1()
    short_message: bytes = octets()
    tlvs: list[Tlv] = tlvs()


@define
class ReplaceSmResp(Pdu):
    """replace_sm_resp."""

    COMMAND: ClassVar[int] = Command.REPLACE_SM_RESP

    tlvs: list[Tlv] = tlvs()


@define
class AlertNotification(Pdu):
    """alert_notification (3.4), which has no response."""

    COMMAND: ClassVar[int] = Command.ALERT_NOTIFICATION

    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(65, Status.ESME_RINVSRCADR)
    esme_addr_ton: int = int1()
    esme_addr_npi: int = int1()
    esme_addr: bytes = coct(65, Status.ESME_RINVDSTADR)
    tlvs: list[Tlv] = tlvs()


# 3.3 only


@define
class ParamRetrieve(Pdu):
    """param_retrieve (3.3)."""

    COMMAND: ClassVar[int] = Command.PARAM_RETRIEVE

    param_name: bytes = coct(32, Status.ESME_RINVPARAM)


@define
class ParamRetrieveResp(Pdu):
    """param_retrieve_resp (3.3)."""

    COMMAND: ClassVar[int] = Command.PARAM_RETRIEVE_RESP

    param_value: bytes = coct(101, Status.ESME_RINVPARAM)


@define
class QueryLastMsgs(Pdu):
    """query_last_msgs (3.3)."""

    COMMAND: ClassVar[int] = Command.QUERY_LAST_MSGS

    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    num_messages: int = int1()


@define
class QueryLastMsgsResp(Pdu):
    """query_last_msgs_resp (3.3)."""

    COMMAND: ClassVar[int] = Command.QUERY_LAST_MSGS_RESP

    message_ids: list[bytes] = message_ids()


@define
class QueryMsgDetails(Pdu):
    """query_msg_details (3.3); ``sm_length`` is how many octets of text are wanted."""

    COMMAND: ClassVar[int] = Command.QUERY_MSG_DETAILS

    message_id: bytes = coct(9, Status.ESME_RINVMSGID)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    sm_length: int = int1()


@define
class QueryMsgDetailsResp(Pdu):
    """query_msg_details_resp (3.3)."""

    COMMAND: ClassVar[int] = Command.QUERY_MSG_DETAILS_RESP

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    dest_addresses: list[Destination] = destinations(least=0)
    protocol_id: int = int1()
    priority_flag: int = int1()
    schedule_delivery_time: bytes = time(Status.ESME_RINVSCHED)
    validity_period: bytes = time(Status.ESME_RINVEXPIRY)
    registered_delivery: int = int1()
    data_coding: int = int1()
    short_message: bytes = octets()
    message_id: bytes = coct(9, Status.ESME_RINVMSGID)
    final_date: bytes = time(Status.ESME_RINVCMDLEN)
    message_state: int = int1()
    error_code: int = int1()


# 5.0 only


@define
class BroadcastSm(Pdu):
    """broadcast_sm (5.0)."""

    COMMAND: ClassVar[int] = Command.BROADCAST_SM

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    priority_flag: int = int1()
    schedule_delivery_time: bytes = time(Status.ESME_RINVSCHED)
    validity_period: bytes = time(Status.ESME_RINVEXPIRY)
    replace_if_present_flag: int = int1()
    data_coding: int = int1()
    sm_default_msg_id: int = int1()
    tlvs: list[Tlv] = tlvs()


@define
class BroadcastSmResp(Pdu):
    """broadcast_sm_resp (5.0)."""

    COMMAND: ClassVar[int] = Command.BROADCAST_SM_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    tlvs: list[Tlv] = tlvs()


@define
class QueryBroadcastSm(Pdu):
    """query_broadcast_sm (5.0)."""

    COMMAND: ClassVar[int] = Command.QUERY_BROADCAST_SM

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    tlvs: list[Tlv] = tlvs()


@define
class QueryBroadcastSmResp(Pdu):
    """query_broadcast_sm_resp (5.0)."""

    COMMAND: ClassVar[int] = Command.QUERY_BROADCAST_SM_RESP

    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    tlvs: list[Tlv] = tlvs()


@define
class CancelBroadcastSm(Pdu):
    """cancel_broadcast_sm (5.0)."""

    COMMAND: ClassVar[int] = Command.CANCEL_BROADCAST_SM

    service_type: bytes = coct(6, Status.ESME_RINVSERTYP)
    message_id: bytes = coct(65, Status.ESME_RINVMSGID)
    source_addr_ton: int = int1()
    source_addr_npi: int = int1()
    source_addr: bytes = coct(21, Status.ESME_RINVSRCADR)
    tlvs: list[Tlv] = tlvs()


@define
class CancelBroadcastSmResp(Pdu):
    """cancel_broadcast_sm_resp (5.0)."""

    COMMAND: ClassVar[int] = Command.CANCEL_BROADCAST_SM_RESP

    tlvs: list[Tlv] = tlvs()


# command_id -> class
CLASSES: dict[int, type[Pdu]] = {
    int(cls.COMMAND): cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, Pdu) and cls.COMMAND
}
