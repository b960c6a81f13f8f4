"""Rewriting: what a carrier wants otherwise says the same, and comes back as it was."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smsgw.message import UDHI
from smsgw.smpp.constants import Tag
from smsgw.smpp.pdu import DeliverSm, SubmitSm
from smsgw.smpp.rewriting import Rewriting, reading, rewriting
from smsgw.text import coding, gsm, parts

SAR = (int(Tag.SAR_MSG_REF_NUM), int(Tag.SAR_TOTAL_SEGMENTS), int(Tag.SAR_SEGMENT_SEQNUM))
NARROW = b"\x05\x00\x03\x5a\x03\x02"
WIDE = b"\x06\x08\x04\x12\x34\x03\x02"
PORTS = b"\x05\x04\x23\xf4\x00\x00"

gsm_text = st.text(
    st.sampled_from("".join(chr(code) for code in range(0x3000) if not gsm.outside(chr(code))))
)


def made(**values: Any) -> Rewriting:
    found = rewriting(**values)
    assert found is not None
    return found


def written(octets: bytes, esm_class: int = UDHI, tlvs: bool = True, **values: Any) -> SubmitSm:
    pdu = SubmitSm(short_message=octets, esm_class=esm_class)
    pdu.data_coding = values.pop("data_coding", 0)
    made(**values).apply(pdu, tlvs)
    return pdu


class TestLong:
    def test_headers_are_left_as_they_are(self) -> None:
        """``udh``: what an ESME wrote is what the handset reads."""
        assert rewriting(long="udh") is None

    def test_a_wide_reference_becomes_narrow(self) -> None:
        """``udh8`` keeps the low octet."""
        assert written(WIDE + b"text", long="udh8").short_message == (
            b"\x05\x00\x03\x34\x03\x02text"
        )

    def test_a_narrow_reference_becomes_wide_where_it_fits(self) -> None:
        """``udh16``: a part that is full with the shorter header keeps it."""
        assert written(NARROW + b"text", long="udh16").short_message == (
            b"\x06\x08\x04\x00\x5a\x03\x02text"
        )
        full = NARROW + b"x" * 153
        assert written(full, long="udh16").short_message == full

    def test_sar_tlvs_take_the_place_of_the_element(self) -> None:
        """``sar``: the carrier builds the header."""
        pdu = written(WIDE + b"text", long="sar")
        assert (pdu.short_message, pdu.esm_class) == (b"text", 0)
        assert pdu.tlvs == list(zip(SAR, (b"\x12\x34", b"\x03", b"\x02"), strict=True))

    def test_other_elements_stay_in_the_header(self) -> None:
        """Ports are not what SAR can say."""
        octets = bytes((11,)) + NARROW[1:] + PORTS + b"text"
        pdu = written(octets, long="sar")
        assert (pdu.short_message, pdu.esm_class) == (b"\x06" + PORTS + b"text", UDHI)
        assert written(octets, long="udh16").short_message == (
            b"\x0c\x08\x04\x00\x5a\x03\x02" + PORTS + b"text"
        )

    def test_a_session_without_tlvs_gets_headers(self) -> None:
        """3.3 has no SAR."""
        pdu = written(WIDE + b"text", tlvs=False, long="sar")
        assert (pdu.short_message, pdu.tlvs) == (b"\x05\x00\x03\x34\x03\x02text", [])

    def test_what_is_no_part_is_left_alone(self) -> None:
        """A header with other elements only, or a malformed one."""
        for octets in (b"\x06" + PORTS + b"text", b"\x09\x00", b"\x05\x00\x03\x01\x00\x00x"):
            assert written(octets, long="sar").short_message == octets

    def test_the_message_s_own_tlvs_are_not_touched(self) -> None:
        """They are shared with the next try."""
        tlvs = [(int(Tag.SOURCE_PORT), b"\0\1")]
        pdu = SubmitSm(short_message=NARROW + b"x", esm_class=UDHI, tlvs=tlvs)
        made(long="sar").apply(pdu)
        assert (len(pdu.tlvs), len(tlvs)) == (4, 1)

    @given(st.binary(max_size=134), st.sampled_from(["udh8", "udh16", "sar"]))
    def test_every_form_says_the_same(self, text: bytes, form: str) -> None:
        """Reference, total, number and text, whatever they are written as."""
        pdu = written(NARROW + text, data_coding=4, long=form)
        if form == "sar":
            said = tuple(int.from_bytes(value) for _, value in pdu.tlvs)
            assert (said, pdu.short_message) == ((0x5A, 3, 2), text)
        else:
            assert parts.concat(pdu.short_message) == (0x5A, 3, 2)
            assert parts.udh(pdu.short_message)[1] == text

    def test_a_whole_message_is_a_payload(self) -> None:
        """``payload``: without headers, sm_length 0."""
        text = "The quick brown fox {jumps} " * 20
        octets = gsm.encode(text)
        assert octets is not None
        pieces = parts.split(octets, 0, 7)
        pdu = SubmitSm(short_message=pieces[0], esm_class=UDHI)
        made(long="payload").whole(pdu, pieces)
        assert (pdu.short_message, pdu.esm_class) == (b"", 0)
        assert pdu.tlvs == [(Tag.MESSAGE_PAYLOAD, octets)]


class TestAlphabet:
    @pytest.mark.parametrize(("alphabet", "octets"), [("latin1", "Déjà_@£"), ("ascii", "a_b@c")])
    def test_data_coding_0_is_written_in_it(self, alphabet: str, octets: str) -> None:
        """The same characters, other octets."""
        septets = gsm.encode(octets)
        assert septets is not None
        pdu = written(septets, 0, alphabet=alphabet)
        assert (pdu.data_coding, pdu.short_message) == (0, octets.encode("latin-1"))

    def test_what_it_has_not_is_ucs2_if_that_fits(self) -> None:
        """A text is not damaged where there is another way."""
        pdu = written(b"5 \x1be \x10", 0, alphabet="latin1")
        assert (pdu.data_coding, pdu.short_message) == (8, "5 € Δ".encode("utf-16-be"))

    def test_what_does_not_fit_becomes_something_like_it(self) -> None:
        """A full part of septets has no room as UCS-2."""
        pdu = written(b"x" * 150 + b"\x15\x1be", 0, alphabet="ascii")
        assert pdu.data_coding == 0
        assert pdu.short_message[:150] == b"x" * 150
        assert len(pdu.short_message) == 152

    def test_headers_stay_and_shift_tables_go(self) -> None:
        """They are of the GSM alphabet only."""
        assert written(NARROW + b"\x11", alphabet="latin1").short_message == NARROW + b"_"
        pdu = written(b"\x03\x24\x01\x01" + b"\x1b\x63", alphabet="latin1")
        assert (pdu.short_message, pdu.esm_class) == ("ç".encode("latin-1"), 0)

    def test_other_data_codings_stay(self) -> None:
        """Only 0 is the carrier's own."""
        for data_coding in (1, 3, 4, 8, 0x10, 0xF0):
            pdu = written(b"\x11x", 0, alphabet="latin1", data_coding=data_coding)
            assert (pdu.short_message, pdu.data_coding) == (b"\x11x", data_coding)

    @given(st.text(st.characters(max_codepoint=0xFF), max_size=140))
    def test_an_mo_is_read_in_it(self, text: str) -> None:
        """As GSM if it can be, else as Latin-1."""
        read = reading("latin1")
        assert read is not None
        pdu = DeliverSm(short_message=text.encode("latin-1"))
        read.apply(pdu)
        assert coding.decode(pdu.data_coding, pdu.short_message) == text

    def test_a_payload_is_read_as_well(self) -> None:
        """Wherever the text stands."""
        read = reading("ascii")
        assert read is not None
        pdu = DeliverSm(tlvs=[(int(Tag.MESSAGE_PAYLOAD), b"a_b")])
        read.apply(pdu)
        assert pdu.tlvs == [(Tag.MESSAGE_PAYLOAD, b"a\x11b")]


class TestPacked:
    def test_septets_are_packed(self) -> None:
        """Seven octets for eight characters."""
        assert written(b"hellohello", 0, packed=True).short_message == bytes.fromhex(
            "e8329bfd4697d9ec37"
        )

    def test_an_octet_that_is_no_septet_is_a_question_mark(self) -> None:
        """Clients that take data_coding 0 for Latin-1 hold up nobody (I5, I7)."""
        packed = written(b"caf\xe9", 0, packed=True).short_message
        assert packed == written(b"caf?", 0, packed=True).short_message

    def test_a_full_part_fills_its_octets(self) -> None:
        """160 septets, or 153 after a header and a fill bit, are 140 octets."""
        assert len(written(b"x" * 160, 0, packed=True).short_message) == 140
        assert len(written(NARROW + b"x" * 153, packed=True).short_message) == 140

    def test_only_septets_are(self) -> None:
        """UCS-2 and octets go as they are."""
        for data_coding in (1, 3, 4, 8, 0x18):
            assert written(b"hello!", 0, packed=True, data_coding=data_coding).short_message == (
                b"hello!"
            )

    @given(gsm_text, st.booleans())
    def test_what_was_packed_comes_back(self, text: str, udhi: bool) -> None:
        """Only an @ or a line end where seven bits are spare cannot be told from nothing."""
        septets = gsm.encode(text)
        assert septets is not None
        header = NARROW if udhi else b""
        packed = written(header + septets, UDHI if udhi else 0, packed=True)
        pdu = DeliverSm(short_message=packed.short_message, esm_class=packed.esm_class)
        read = reading(packed=True)
        assert read is not None
        read.apply(pdu)
        assert pdu.short_message[: len(header)] == header
        back = pdu.short_message[len(header) :]
        assert back in (septets, septets[:-1])
        if back != septets:
            assert septets[-1:] in (b"\0", b"\r")

    def test_a_receipt_is_read_packed_or_not(self) -> None:
        """Its text is never broken."""
        text = b"id:1 sub:001 dlvrd:001 stat:DELIVRD err:000 text:"
        read = reading(packed=True)
        assert read is not None
        for octets in (text, gsm.pack(text)):
            pdu = DeliverSm(short_message=octets, esm_class=4)
            read.unpack(pdu)
            assert pdu.short_message == text


class TestNational:
    @pytest.mark.parametrize(
        ("form", "number"), [("plain", b"7700900123"), ("trunk", b"07700900123")]
    )
    def test_numbers_of_a_country_are_given_in_national_form(
        self, form: str, number: bytes
    ) -> None:
        """TON 2; others stay international."""
        change = made(country="44", send_national=form)
        pdu = SubmitSm(destination_addr=b"447700900123", dest_addr_ton=1, dest_addr_npi=1)
        change.apply(pdu)
        assert (pdu.destination_addr, pdu.dest_addr_ton) == (number, 2)
        for address, ton in ((b"33611111111", 1), (b"44777", 3), (b"8944100000000000001", 0)):
            pdu = SubmitSm(destination_addr=address, dest_addr_ton=ton)
            change.apply(pdu)
            assert (pdu.destination_addr, pdu.dest_addr_ton) == (address, ton)

    def test_a_ton_of_its_own_goes_before(self) -> None:
        """Some carriers want the dialled form without a type."""
        change = made(country="44", send_national="trunk", dest_ton=0)
        pdu = SubmitSm(destination_addr=b"447700900123", dest_addr_ton=1)
        change.apply(pdu)
        assert (pdu.destination_addr, pdu.dest_addr_ton) == (b"07700900123", 0)

    @pytest.mark.parametrize(
        ("address", "ton", "expected"),
        [
            (b"7700900123", 2, (b"447700900123", 1)),
            (b"07700900123", 2, (b"447700900123", 1)),
            (b"07700900123", 0, (b"447700900123", 1)),
            (b"00447700900123", 0, (b"00447700900123", 0)),
            (b"447700900123", 1, (b"447700900123", 1)),
            (b"447700900123", 0, (b"447700900123", 0)),
            (b"0ACME", 0, (b"0ACME", 0)),
            (b"80888", 3, (b"80888", 3)),
            (b"0" * 20, 2, (b"0" * 20, 2)),  # longer than any number can be
            (b"7" * 13, 2, (b"44" + b"7" * 13, 1)),
            (b"7" * 14, 2, (b"7" * 14, 2)),
        ],
    )
    def test_national_numbers_are_read(
        self, address: bytes, ton: int, expected: tuple[bytes, int]
    ) -> None:
        """Source and destination of what a handset sent."""
        read = reading(country="44")
        assert read is not None
        pdu = DeliverSm(
            source_addr=address, source_addr_ton=ton, destination_addr=address, dest_addr_ton=ton
        )
        read.apply(pdu)
        assert (pdu.source_addr, pdu.source_addr_ton) == expected
        assert (pdu.destination_addr, pdu.dest_addr_ton) == expected
