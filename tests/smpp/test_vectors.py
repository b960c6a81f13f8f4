"""The test vectors of spec/smpp.md §16, octet for octet, both ways."""

import pytest

from smsgw.smpp.codec import decode, encode
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import (
    BindTransceiver,
    BindTransceiverResp,
    BindTransmitter,
    BindTransmitterResp,
    CancelSm,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    DistributionList,
    EnquireLink,
    EnquireLinkResp,
    GenericNack,
    ParamRetrieve,
    ParamRetrieveResp,
    Pdu,
    QueryLastMsgs,
    QueryLastMsgsResp,
    QuerySm,
    QuerySmResp,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
    Unbind,
    UnbindResp,
    UnsuccessSme,
)

VECTORS: dict[str, tuple[str, Pdu]] = {
    "bind_transmitter 3.3": (
        """
        00000023 00000002 00000000 00000001
        64656d6f333300736563726574000033000000
        """,
        BindTransmitter(
            sequence=1, system_id=b"demo33", password=b"secret", interface_version=0x33
        ),
    ),
    "bind_transmitter_resp to 3.3 (no TLV)": (
        """
        00000018 80000002 00000000 00000001
        6761746577617900
        """,
        BindTransmitterResp(sequence=1, system_id=b"gateway"),
    ),
    "bind_transceiver 3.4": (
        """
        00000027 00000009 00000000 00000001
        64656d6f33340073656372657400534d50500034010100
        """,
        BindTransceiver(
            sequence=1,
            system_id=b"demo34",
            password=b"secret",
            system_type=b"SMPP",
            interface_version=0x34,
            addr_ton=1,
            addr_npi=1,
        ),
    ),
    "bind_transceiver_resp 3.4 with sc_interface_version": (
        """
        0000001d 80000009 00000000 00000001
        67617465776179000210000134
        """,
        BindTransceiverResp(
            sequence=1, system_id=b"gateway", tlvs=[(Tag.SC_INTERFACE_VERSION, b"4")]
        ),
    ),
    "bind_transceiver_resp, wrong password (no body)": (
        """
        00000010 80000009 0000000e 00000001
        """,
        BindTransceiverResp(sequence=1, status=Status.ESME_RINVPASWD),
    ),
    "enquire_link": (
        """
        00000010 00000015 00000000 00000002
        """,
        EnquireLink(sequence=2),
    ),
    "enquire_link_resp": (
        """
        00000010 80000015 00000000 00000002
        """,
        EnquireLinkResp(sequence=2),
    ),
    "submit_sm, GSM text 'Hi @ £5 {ok}', receipt wanted": (
        """
        00000042 00000004 00000000 00000003
        0005004578616d706c6500010134343737303039303031323300000000000001
        0000000e48692000200135201b286f6b1b29
        """,
        SubmitSm(
            sequence=3,
            source_addr_ton=5,
            source_addr=b"Example",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"447700900123",
            registered_delivery=1,
            short_message=b"Hi \x00 \x015 \x1b(ok\x1b)",
        ),
    ),
    "submit_sm_resp 3.4": (
        """
        00000031 80000004 00000000 00000003
        3366306339623165376135323463316439653535306438633266366134623130
        00
        """,
        SubmitSmResp(sequence=3, message_id=b"3f0c9b1e7a524c1d9e550d8c2f6a4b10"),
    ),
    "submit_sm_resp 3.3 (hex, 8 digits)": (
        """
        00000019 80000004 00000000 00000003
        303042433631344500
        """,
        SubmitSmResp(sequence=3, message_id=b"00BC614E"),
    ),
    "submit_sm_resp throttled": (
        """
        00000010 80000004 00000058 00000004
        """,
        SubmitSmResp(sequence=4, status=Status.ESME_RTHROTTLED),
    ),
    "submit_sm, UCS-2 'Zażółć', validity 1 day relative": (
        """
        00000055 00000004 00000000 00000005
        0001013434373730303930303435360001013434373730303930303132330000
        0000003030303030313030303030303030305200000008000c005a0061017c00
        f301420107
        """,
        SubmitSm(
            sequence=5,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b"447700900456",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"447700900123",
            validity_period=b"000001000000000R",
            data_coding=8,
            short_message=b"\x00Z\x00a\x01|\x00\xf3\x01B\x01\x07",
        ),
    ),
    "submit_sm, part 2 of 3, UDH 8-bit reference 0x5A": (
        """
        00000047 00000004 00000000 00000006
        0001013434373730303930303435360001013434373730303930303132330040
        00000000000000000e0500035a0302706172742074776f
        """,
        SubmitSm(
            sequence=6,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b"447700900456",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"447700900123",
            esm_class=0x40,
            short_message=b"\x05\x00\x03Z\x03\x02part two",
        ),
    ),
    "submit_sm with message_payload and SAR none": (
        """
        0000004a 00000004 00000000 00000007
        0001013434373730303930303435360001013434373730303930303132330000
        0000000000000000000424000d41206c6f6e6765722074657874
        """,
        SubmitSm(
            sequence=7,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b"447700900456",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"447700900123",
            tlvs=[(Tag.MESSAGE_PAYLOAD, b"A longer text")],
        ),
    ),
    "submit_sm, SAR TLVs: ref 0x0102, 2 parts, number 1": (
        """
        0000004f 00000004 00000000 00000008
        0001013434373730303930303435360001013434373730303930303132330000
        000000000000000006666972737420020c00020102020e000102020f000101
        """,
        SubmitSm(
            sequence=8,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b"447700900456",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"447700900123",
            short_message=b"first ",
            tlvs=[
                (Tag.SAR_MSG_REF_NUM, b"\x01\x02"),
                (Tag.SAR_TOTAL_SEGMENTS, b"\x02"),
                (Tag.SAR_SEGMENT_SEQNUM, b"\x01"),
            ],
        ),
    ),
    "deliver_sm, delivery receipt with TLVs": (
        """
        000000ae 00000005 00000000 00000001
        0001013434373730303930303132330005004578616d706c6500040000000000
        0000006869643a30303132333435363738207375623a30303120646c7672643a
        303031207375626d697420646174653a3236303331343130313520646f6e6520
        646174653a3236303331343130313620737461743a44454c4956524420657272
        3a30303020746578743a4869001e00093132333435363738000427000102
        """,
        DeliverSm(
            sequence=1,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b"447700900123",
            dest_addr_ton=5,
            destination_addr=b"Example",
            esm_class=4,
            short_message=b"id:0012345678 sub:001 dlvrd:001 submit date:2603141015 "
            b"done date:2603141016 stat:DELIVRD err:000 text:Hi",
            tlvs=[(Tag.RECEIPTED_MESSAGE_ID, b"12345678\x00"), (Tag.MESSAGE_STATE, b"\x02")],
        ),
    ),
    "deliver_sm_resp": (
        """
        00000011 80000005 00000000 00000001
        00
        """,
        DeliverSmResp(sequence=1),
    ),
    "query_sm": (
        """
        00000023 00000003 00000000 00000009
        31323334353637380005004578616d706c6500
        """,
        QuerySm(sequence=9, message_id=b"12345678", source_addr_ton=5, source_addr=b"Example"),
    ),
    "query_sm_resp: delivered": (
        """
        0000002c 80000003 00000000 00000009
        3132333435363738003236303331343130313630303030302b000200
        """,
        QuerySmResp(
            sequence=9, message_id=b"12345678", final_date=b"260314101600000+", message_state=2
        ),
    ),
    "cancel_sm by id": (
        """
        00000027 00000008 00000000 0000000a
        0031323334353637380005004578616d706c6500000000
        """,
        CancelSm(sequence=10, message_id=b"12345678", source_addr_ton=5, source_addr=b"Example"),
    ),
    "submit_multi: one SME, one list": (
        """
        0000003f 00000021 00000000 0000000b
        0005004578616d706c6500020101013434373730303930303132330002737461
        666600000000000000000000024869
        """,
        SubmitMulti(
            sequence=11,
            source_addr_ton=5,
            source_addr=b"Example",
            dest_addresses=[
                SmeAddress(dest_addr_ton=1, dest_addr_npi=1, destination_addr=b"447700900123"),
                DistributionList(dl_name=b"staff"),
            ],
            short_message=b"Hi",
        ),
    ),
    "submit_multi_resp: one failed": (
        """
        0000002d 80000021 00000000 0000000b
        313233343536373900010101343437373030393030313233000000000b
        """,
        SubmitMultiResp(
            sequence=11,
            message_id=b"12345679",
            unsuccess_sme=[
                UnsuccessSme(
                    dest_addr_ton=1,
                    dest_addr_npi=1,
                    destination_addr=b"447700900123",
                    error_status_code=Status.ESME_RINVDSTADR,
                )
            ],
        ),
    ),
    "data_sm with payload": (
        """
        00000033 00000103 00000000 0000000c
        0005004578616d706c6500010134343737303039303031323300000100042400
        024869
        """,
        DataSm(
            sequence=12,
            source_addr_ton=5,
            source_addr=b"Example",
            dest_addr_ton=1,
            dest_addr_npi=1,
            destination_addr=b"447700900123",
            registered_delivery=1,
            tlvs=[(Tag.MESSAGE_PAYLOAD, b"Hi")],
        ),
    ),
    "3.3 query_last_msgs (last 5)": (
        """
        00000020 00000023 00000000 0000000d
        01013434373730303930303435360005
        """,
        QueryLastMsgs(
            sequence=13,
            source_addr_ton=1,
            source_addr_npi=1,
            source_addr=b"447700900456",
            num_messages=5,
        ),
    ),
    "3.3 query_last_msgs_resp (2 ids)": (
        """
        00000023 80000023 00000000 0000000d
        02303042433631344500303042433631344600
        """,
        QueryLastMsgsResp(sequence=13, message_ids=[b"00BC614E", b"00BC614F"]),
    ),
    "3.3 param_retrieve": (
        """
        00000020 00000022 00000000 0000000e
        73657373696f6e5f74696d656f757400
        """,
        ParamRetrieve(sequence=14, param_name=b"session_timeout"),
    ),
    "3.3 param_retrieve_resp": (
        """
        00000014 80000022 00000000 0000000e
        33303000
        """,
        ParamRetrieveResp(sequence=14, param_value=b"300"),
    ),
    "generic_nack, unknown command": (
        """
        00000010 80000000 00000003 0000000f
        """,
        GenericNack(sequence=15, status=Status.ESME_RINVCMDID),
    ),
    "unbind": (
        """
        00000010 00000006 00000000 00000010
        """,
        Unbind(sequence=16),
    ),
    "unbind_resp": (
        """
        00000010 80000006 00000000 00000010
        """,
        UnbindResp(sequence=16),
    ),
}


def octets_of(text: str) -> bytes:
    return bytes.fromhex("".join(text.split()))


@pytest.mark.parametrize("name", VECTORS)
def test_vector_decodes(name: str) -> None:
    """The octets mean the PDU."""
    text, pdu = VECTORS[name]
    assert decode(octets_of(text)) == pdu


@pytest.mark.parametrize("name", VECTORS)
def test_vector_encodes(name: str) -> None:
    """The PDU is written as the octets."""
    text, pdu = VECTORS[name]
    assert encode(pdu).hex() == octets_of(text).hex()


def test_all_vectors_in_one_stream() -> None:
    """All of them after one another are cut into the same PDUs."""
    stream = b"".join(octets_of(text) for text, _ in VECTORS.values())
    assert Framer().feed(stream) == [pdu for _, pdu in VECTORS.values()]
