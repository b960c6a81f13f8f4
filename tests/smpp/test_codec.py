"""What encode and decode promise: round trips, exact faults, and the answers of the spec."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgw.smpp.codec import FramingFault, PduFault, decode, encode, encode_all
from smsgw.smpp.constants import MAX_PDU, RESPONSE, Command, Status, Tag
from smsgw.smpp.framing import Framer
from smsgw.smpp.pdu import (
    CLASSES,
    AlertNotification,
    BindTransceiver,
    BindTransmitterResp,
    DataSm,
    DeliverSm,
    DeliverSmResp,
    DistributionList,
    EnquireLink,
    GenericNack,
    Outbind,
    ParamRetrieve,
    Pdu,
    QueryLastMsgsResp,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    SubmitSm,
    SubmitSmResp,
)
from smsgw.smpp.tlv import SHAPES
from smsgw.testing.strategies import pdus, pdus_of

# A slow machine is no fault of the code.
LAW = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
HEADER = 16


def raw(command: int, body: bytes, status: int = 0, sequence: int = 7) -> bytes:
    """A PDU with any body."""
    words = (HEADER + len(body), command, status, sequence)
    return b"".join(word.to_bytes(4, "big") for word in words) + body


def fault_of(octets: bytes) -> PduFault:
    """The fault that decoding ``octets`` raises."""
    with pytest.raises(PduFault) as caught:
        decode(octets)
    return caught.value


SUBMIT = SubmitSm(
    sequence=7, source_addr=b"Example", destination_addr=b"447700900123", short_message=b"Hi"
)
# Octets of SUBMIT's body before each of its strings.
BODY = encode(SUBMIT)[HEADER:]
SOURCE = BODY.index(b"Example")
DESTINATION = BODY.index(b"4477")
SM_LENGTH = len(BODY) - 3


class TestRoundTrip:
    """decode(encode(x)) == x."""

    @pytest.mark.parametrize("cls", CLASSES.values(), ids=lambda cls: cls.__name__)
    @LAW
    @given(data=st.data())
    def test_every_class(self, cls: type[Pdu], data: st.DataObject) -> None:
        """Every PDU of every class comes back equal."""
        pdu = data.draw(pdus_of(cls))
        octets = encode(pdu)
        assert int.from_bytes(octets[:4], "big") == len(octets)
        assert decode(octets) == pdu

    @LAW
    @given(st.lists(pdus(), max_size=5))
    def test_encode_all_is_encode_of_each(self, items: list[Pdu]) -> None:
        """Several at once are the same octets as one by one."""
        assert encode_all(items) == b"".join(encode(item) for item in items)

    @LAW
    @given(pdus(), st.data())
    def test_spoilt_pdu(self, pdu: Pdu, data: st.DataObject) -> None:
        """A PDU with changed, cut or added octets decodes or raises one of the two faults."""
        octets = bytearray(encode(pdu))
        for _ in range(data.draw(st.integers(1, 3))):
            octets[data.draw(st.integers(4, len(octets) - 1))] = data.draw(st.integers(0, 255))
        octets = octets[: data.draw(st.integers(HEADER, len(octets)))]
        octets += data.draw(st.binary(max_size=5))
        octets[:4] = len(octets).to_bytes(4, "big")
        item = Framer().feed(bytes(octets))[0]
        if isinstance(item, PduFault):
            answer = item.response()
            assert answer is None or decode(encode(answer)) == answer
        else:
            assert isinstance(item, Pdu)
            assert int.from_bytes(octets[4:8], "big") == item.COMMAND

    @LAW
    @given(st.binary(max_size=100))
    def test_arbitrary_octets(self, octets: bytes) -> None:
        """Any octets decode or raise one of the two faults."""
        with suppress(PduFault, FramingFault):
            decode(octets)

    @LAW
    @given(st.sampled_from(sorted(CLASSES)), st.binary(max_size=80), st.booleans())
    def test_arbitrary_body(self, command: int, body: bytes, tlvs: bool) -> None:
        """Any body of a request decodes or is answered; a response is never a fault."""
        item = Framer(tlvs).feed(raw(command, body))[0]
        if isinstance(item, PduFault):
            assert not command & RESPONSE
            assert item.response() is not None
        else:
            assert isinstance(item, CLASSES[command])


class TestFaults:
    """Each fault of a peer has its status."""

    def test_every_cut_of_a_body_is_a_command_length_fault(self) -> None:
        """A body shorter than its fields is answered with ESME_RINVCMDLEN (ruling 5)."""
        octets = encode(SUBMIT)
        for size in range(HEADER, len(octets)):
            fault = fault_of(size.to_bytes(4, "big") + octets[4:size])
            assert fault.status == Status.ESME_RINVCMDLEN
            assert fault.response() == SubmitSm(sequence=7).response(Status.ESME_RINVCMDLEN)

    def test_sm_length_beyond_the_body(self) -> None:
        """An sm_length beyond the PDU's end is a short body, whatever the number (ruling 5)."""
        for length in (3, 254, 255):
            body = BODY[:SM_LENGTH] + bytes([length]) + b"Hi"
            assert fault_of(raw(Command.SUBMIT_SM, body)).status == Status.ESME_RINVCMDLEN

    def test_message_longer_than_its_field(self) -> None:
        """255 octets that are all there are ESME_RINVMSGLEN (ruling 5)."""
        body = BODY[:SM_LENGTH] + b"\xff" + b"x" * 255
        assert fault_of(raw(Command.SUBMIT_SM, body)).status == Status.ESME_RINVMSGLEN

    @pytest.mark.parametrize(
        ("command", "body", "status"),
        [
            (Command.BIND_TRANSCEIVER, b"x" * 16 + b"\0" * 8, Status.ESME_RINVSYSID),
            (Command.BIND_TRANSCEIVER, b"\0" + b"x" * 9 + b"\0" * 8, Status.ESME_RINVPASWD),
            (Command.BIND_TRANSCEIVER, b"\0\0" + b"x" * 13 + b"\0" * 8, Status.ESME_RINVSYSTYP),
            (Command.BIND_TRANSCEIVER, b"\0" * 6 + b"x" * 41 + b"\0", Status.ESME_RINVCMDLEN),
            (Command.SUBMIT_SM, b"123456\0" + b"\0" * 40, Status.ESME_RINVSERTYP),
            (Command.SUBMIT_SM, b"\0" * 3 + b"1" * 21 + b"\0" * 40, Status.ESME_RINVSRCADR),
            (Command.SUBMIT_SM, b"\0" * 6 + b"1" * 21 + b"\0" * 40, Status.ESME_RINVDSTADR),
            (Command.SUBMIT_SM, b"\0" * 10 + b"1" * 17 + b"\0" * 40, Status.ESME_RINVSCHED),
            (Command.SUBMIT_SM, b"\0" * 11 + b"1" * 17 + b"\0" * 40, Status.ESME_RINVEXPIRY),
            (Command.DATA_SM, b"\0" * 3 + b"1" * 65 + b"\0" * 40, Status.ESME_RINVSRCADR),
            (Command.QUERY_SM, b"1" * 65 + b"\0" * 4, Status.ESME_RINVMSGID),
            (Command.CANCEL_SM, b"\0" + b"1" * 65 + b"\0" * 9, Status.ESME_RINVMSGID),
            (Command.PARAM_RETRIEVE, b"p" * 32 + b"\0", Status.ESME_RINVPARAM),
            (Command.SUBMIT_MULTI, b"\0" * 4 + b"\0" + b"\0" * 20, Status.ESME_RINVNUMDESTS),
            (Command.SUBMIT_MULTI, b"\0" * 4 + b"\1\3" + b"\0" * 20, Status.ESME_RINVDESTFLAG),
            (Command.SUBMIT_MULTI, b"\0" * 4 + b"\1\2" + b"l" * 30, Status.ESME_RINVDLNAME),
            (Command.SUBMIT_MULTI, b"\0" * 4 + b"\1\1\0\0" + b"1" * 30, Status.ESME_RINVDSTADR),
        ],
    )
    def test_string_too_long(self, command: Command, body: bytes, status: Status) -> None:
        """A field that does not hold its limit has the status made for it."""
        fault = fault_of(raw(command, body))
        assert fault.status == status
        answer = fault.response()
        assert answer is not None
        assert command | RESPONSE == answer.COMMAND
        assert (answer.sequence, answer.status) == (7, status)

    def test_longest_strings_are_taken(self) -> None:
        """A string may fill its field: the limit counts the terminating 00."""
        pdu = BindTransceiver(
            system_id=b"s" * 15, password=b"p" * 8, system_type=b"t" * 12, address_range=b"a" * 40
        )
        assert decode(encode(pdu)) == pdu

    def test_unknown_command(self) -> None:
        """An unknown command_id is answered by generic_nack with ESME_RINVCMDID."""
        for command in (0, 0x0A, 0x104, 0x00010200):
            fault = fault_of(raw(command, b"whatever"))
            assert fault.response() == GenericNack(sequence=7, status=Status.ESME_RINVCMDID)

    def test_unknown_response_is_not_answered(self) -> None:
        """A response that nobody knows is a fault without an answer (spec/smpp.md §1)."""
        assert fault_of(raw(0x80000104, b"")).response() is None

    def test_request_without_response_is_nacked(self) -> None:
        """outbind and alert_notification have no response, so generic_nack says what was wrong."""
        for cls in (Outbind, AlertNotification):
            answer = fault_of(raw(cls.COMMAND, b"")).response()
            assert answer == GenericNack(sequence=7, status=Status.ESME_RINVCMDLEN)

    def test_surplus_octets_are_ignored_without_tlvs(self) -> None:
        """Octets after the fields of a PDU that has no TLVs are ignored (spec/smpp.md §1)."""
        assert decode(raw(Command.ENQUIRE_LINK, b"xyz")) == EnquireLink(sequence=7)
        body = encode(ParamRetrieve(param_name=b"a"))[HEADER:] + b"xyz"
        assert decode(raw(Command.PARAM_RETRIEVE, body)) == ParamRetrieve(7, param_name=b"a")

    def test_surplus_octets_are_ignored_for_a_33_peer(self) -> None:
        """With ``tlvs`` false what follows the fields is ignored."""
        assert decode(raw(Command.SUBMIT_SM, BODY + b"\0\1"), tlvs=False) == SUBMIT

    def test_framing(self) -> None:
        """A command_length that is not the PDU's size is a framing fault."""
        octets = encode(EnquireLink(sequence=7))
        for length in (0, 15, 17, MAX_PDU + 1, 0xFFFFFFFF):
            with pytest.raises(FramingFault) as caught:
                decode(length.to_bytes(4, "big") + octets[4:])
            assert caught.value.response() == GenericNack(7, Status.ESME_RINVCMDLEN)
        with pytest.raises(FramingFault) as caught:
            decode(octets[:15])
        assert caught.value.response() == GenericNack(0, Status.ESME_RINVCMDLEN)

    def test_largest_pdu(self) -> None:
        """A message_payload of 65,535 octets fits."""
        pdu = DataSm(tlvs=[(Tag.MESSAGE_PAYLOAD, b"x" * 65_535)])
        assert decode(encode(pdu)) == pdu

    def test_fault_says_what_is_wrong(self) -> None:
        """The text of a fault names status, command, sequence and field."""
        fault = fault_of(raw(Command.SUBMIT_SM, b"\0" * 3 + b"1" * 21 + b"\0" * 40))
        assert str(fault) == ("ESME_RINVSRCADR (command 0x00000004, 7): source_addr has 21 octets")


class TestTlvs:
    """TLVs of requests are checked, those of responses taken as far as they go."""

    def with_tail(self, tail: bytes) -> bytes:
        return raw(Command.SUBMIT_SM, BODY + tail)

    def test_unknown_tags_are_kept(self) -> None:
        """Unknown and repeated tags are kept in their order (spec/smpp.md §1)."""
        tlvs = [(0x1401, b""), (Tag.CALLBACK_NUM, b"1234"), (0x1401, b"x"), (0x3FFF, b"y" * 300)]
        pdu = SubmitSm(tlvs=[*tlvs, (Tag.CALLBACK_NUM, b"5678")])
        assert decode(encode(pdu)) == pdu

    @pytest.mark.parametrize("tag", sorted(SHAPES), ids=lambda tag: Tag(tag).name)
    def test_wrong_length(self, tag: int) -> None:
        """A length that the type does not allow is ESME_RINVPARLEN (spec/smpp.md §14)."""
        shape = SHAPES[tag]
        wrong = [n for n in (shape.least - 1, shape.most + 1) if 0 <= n <= 0xFFFF]
        for length in wrong:
            tail = tag.to_bytes(2, "big") + length.to_bytes(2, "big") + b"x" * length
            fault = fault_of(self.with_tail(tail))
            assert fault.status == Status.ESME_RINVPARLEN
            with pytest.raises(ValueError, match=r"SubmitSm\.tlvs: tag"):
                encode(SubmitSm(tlvs=[(tag, b"x" * length)]))

    @pytest.mark.parametrize(
        "tail", [b"\2", b"\2\4\0", b"\2\4\0\2", b"\2\4\0\2\0", b"\x14\1\xff\xff"]
    )
    def test_cut_tlv(self, tail: bytes) -> None:
        """A TLV that does not fit in its PDU is ESME_RINVOPTPARSTREAM (spec/smpp.md §15)."""
        assert fault_of(self.with_tail(tail)).status == Status.ESME_RINVOPTPARSTREAM

    def test_response_keeps_what_can_be_read(self) -> None:
        """A response's message id is not lost by a broken TLV behind it."""
        tail = b"\x04\x28\0\1\5" + b"\2\x04\0\1x" + b"\x14\1\0\x09cut"
        pdu = decode(raw(Command.SUBMIT_SM_RESP, b"id\0" + tail))
        assert pdu == SubmitSmResp(7, message_id=b"id", tlvs=[(Tag.CONGESTION_STATE, b"\5")])

    def test_too_many(self) -> None:
        """TLVs that make the PDU too long are refused when encoding."""
        tlvs = [(Tag.MESSAGE_PAYLOAD, b"x" * 65_535), (0x1401, b"x" * 4_450)]
        with pytest.raises(ValueError, match="longer than a PDU may be"):
            encode(SubmitSm(tlvs=tlvs))
        with pytest.raises(ValueError, match="DataSm"):
            encode(DataSm(tlvs=[(0x1401, b"x" * 34_990), (0x1402, b"x" * 34_990)]))


class TestResponses:
    """Bodies that are absent, and bodies beside an error (spec/smpp.md §1)."""

    @pytest.mark.parametrize(
        "cls",
        [cls for cls in CLASSES.values() if cls.COMMAND & RESPONSE],
        ids=lambda cls: cls.__name__,
    )
    def test_absent_body(self, cls: type[Pdu]) -> None:
        """A response of 16 octets is read with empty fields, whatever its status."""
        assert decode(raw(cls.COMMAND, b"")) == cls(7)
        assert decode(raw(cls.COMMAND, b"", status=8)) == cls(7, 8)

    def test_error_has_no_body(self) -> None:
        """A response with an error is written as 16 octets (ruling 2)."""
        for pdu in (
            BindTransmitterResp(1, Status.ESME_RINVPASWD, system_id=b"gateway"),
            SubmitSmResp(1, Status.ESME_RTHROTTLED, message_id=b"id"),
            SubmitMultiResp(1, Status.ESME_RSUBMITFAIL),
            QueryLastMsgsResp(1, Status.ESME_RQUERYFAIL),
        ):
            assert len(encode(pdu)) == HEADER

    def test_error_with_tlvs_has_a_body(self) -> None:
        """TLVs beside an error are written, so a body is: congestion_state (5.0) says why."""
        pdu = SubmitSmResp(1, Status.ESME_RTHROTTLED, tlvs=[(Tag.CONGESTION_STATE, b"\x63")])
        assert decode(encode(pdu)) == pdu

    def test_deliver_sm_resp_always_has_its_octet(self) -> None:
        """deliver_sm_resp is 17 octets, error or not (spec/smpp.md §3)."""
        assert encode(DeliverSmResp(1)).endswith(b"\0")
        assert len(encode(DeliverSmResp(1, Status.ESME_RX_T_APPN))) == HEADER + 1

    def test_body_beside_an_error_is_read(self) -> None:
        """A body that comes with an error is read if it can be, and ignored if not."""
        octets = raw(Command.SUBMIT_SM_RESP, b"id\0", status=8)
        assert decode(octets) == SubmitSmResp(7, 8, message_id=b"id")
        assert decode(raw(Command.SUBMIT_MULTI_RESP, b"\0", status=8)) == SubmitMultiResp(7, 8)

    def test_response_that_cannot_be_read_keeps_its_status(self) -> None:
        """Whatever its body is like, a response says what its header says (I2)."""
        too_long = raw(Command.SUBMIT_SM_RESP, b"x" * 65 + b"\0")
        assert decode(too_long) == SubmitSmResp(7)
        assert decode(raw(Command.SUBMIT_SM_RESP, b"x" * 65)) == SubmitSmResp(7)
        assert decode(raw(Command.SUBMIT_SM_RESP, b"x" * 65, status=8)) == SubmitSmResp(7, 8)
        assert decode(raw(Command.QUERY_LAST_MSGS_RESP, b"\2abc")) == QueryLastMsgsResp(7)
        following = encode(EnquireLink(8))
        assert Framer().feed(too_long + following) == [SubmitSmResp(7), EnquireLink(8)]

    @pytest.mark.parametrize("id", [b"a", b"0cab7c1d", b"x" * 64])
    def test_id_without_its_00_is_taken(self, id: bytes) -> None:
        """A message id that ends with its PDU, where the 00 is missing, is the id."""
        assert decode(raw(Command.SUBMIT_SM_RESP, id)) == SubmitSmResp(7, message_id=id)
        assert decode(raw(Command.DELIVER_SM_RESP, id)) == DeliverSmResp(7, message_id=id)
        # So is one behind which the rest of the body is missing.
        assert decode(raw(Command.SUBMIT_MULTI_RESP, id + b"\0")) == SubmitMultiResp(
            7, message_id=id
        )

    def test_message_id_in_deliver_sm_resp(self) -> None:
        """A message id that a client puts there is read."""
        octets = raw(Command.DELIVER_SM_RESP, b"abc\0")
        assert decode(octets) == DeliverSmResp(7, message_id=b"abc")


class TestMisuse:
    """What does not fit is our own mistake: ValueError naming PDU and field."""

    @pytest.mark.parametrize(
        ("pdu", "words"),
        [
            (SubmitSm(source_addr=b"1" * 21), "SubmitSm.source_addr: 21 octets, at most 20 fit"),
            (SubmitSm(source_addr=b"1\0"), "SubmitSm.source_addr: there is a 00 within"),
            (SubmitSm(source_addr="1"), "SubmitSm.source_addr: octets are needed, not str"),  # type: ignore[arg-type]
            (SubmitSm(esm_class=256), "SubmitSm.esm_class: 256 does not fit in 1 octet"),
            (SubmitSm(data_coding=-1), "SubmitSm.data_coding: -1 does not fit"),
            (SubmitSm(short_message=b"x" * 255), "SubmitSm.short_message: 255 octets"),
            (DeliverSm(short_message="x"), "DeliverSm.short_message: octets are needed"),  # type: ignore[arg-type]
            (SubmitSm(validity_period=b"1" * 17), "SubmitSm.validity_period: 17 octets"),
            (SubmitSm(sequence=1 << 32), "SubmitSm.sequence: 4294967296 does not fit"),
            (SubmitSmResp(status=-1), "SubmitSmResp.status: -1 does not fit"),
            (SubmitSm(tlvs=[(1 << 16, b"")]), "SubmitSm.tlvs: tag 65536 does not fit"),
            (SubmitSm(tlvs=[(0x1401, "x")]), "SubmitSm.tlvs: tag 0x1401: octets are needed"),  # type: ignore[list-item]
            (SubmitMulti(), "SubmitMulti.dest_addresses: 0 items"),
            (
                SubmitMulti(dest_addresses=[DistributionList(b"x")] * 255),
                "SubmitMulti.dest_addresses: 255 items",
            ),
            (
                SubmitMulti(dest_addresses=[SmeAddress(), SmeAddress(destination_addr=b"1" * 21)]),
                "SubmitMulti.dest_addresses: item 1: 21 octets",
            ),
            (QueryLastMsgsResp(message_ids=[b"123456789"]), "message_ids: item 0: 9 octets"),
        ],
    )
    def test_value_does_not_fit(self, pdu: Pdu, words: str) -> None:
        """The error names the PDU, the field and what is wrong."""
        with pytest.raises(ValueError, match=words):
            encode(pdu)
        with pytest.raises(ValueError, match=words):
            encode_all([EnquireLink(), pdu])

    def test_limits_hold_when_lengths_repeat(self) -> None:
        """A length that has been refused is refused again, one that was taken is taken again."""
        for _ in range(2):
            assert encode(SubmitSm(source_addr=b"1" * 20))
            with pytest.raises(ValueError, match="source_addr"):
                encode(SubmitSm(source_addr=b"1" * 21))
