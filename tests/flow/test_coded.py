"""Coded: what acceptance makes of a text, and of octets with a header of their own."""

from typing import Any

from attrs import evolve

from smsgw.message import UDHI, Message
from smsgw.refusals import Reason, Refusal
from smsgw.text import coding, parts
from tests.flow.journey import JourneyCase, a_message

TURKISH = "Şişli'de ağır ışık "


class CodedCase(JourneyCase):
    def account(self, **fields: Any) -> None:
        accounts = self.journey.provisioning.accounts
        accounts["acme"] = evolve(accounts["acme"], **fields)
        self.journey.provision(self.journey.provisioning)

    def text(self, text: str, **fields: Any) -> Message:
        [message] = self.journey.accept(a_message(parts=[], text=text, **fields))
        assert isinstance(message, Message), message
        return message

    def read(self, message: Message) -> str:
        whole = ""
        for octets in message.parts:
            header = b""
            if message.esm_class & UDHI:
                header, octets = parts.udh(octets)
            whole += coding.decode(message.data_coding, octets, header) or ""
        return whole


class NationalTests(CodedCase):
    def test_without_the_setting_it_is_ucs2(self) -> None:
        """Many networks drop national tables."""
        assert self.text(TURKISH).data_coding == 8

    def test_with_it_the_tables_are_named_in_the_header(self) -> None:
        """Twice as much fits."""
        self.account(national="tr")
        message = self.text(TURKISH * 7)
        assert (message.data_coding, len(message.parts), message.esm_class) == (0, 1, UDHI)
        assert self.read(message) == TURKISH * 7

    def test_each_part_names_them(self) -> None:
        """A handset reads parts by themselves."""
        self.account(national="tr")
        message = self.text(TURKISH * 20)
        assert len(message.parts) == 3
        assert all(parts.elements(octets)[1] == (0x25, b"\x01") for octets in message.parts)
        assert self.read(message) == TURKISH * 20

    def test_what_needs_none_has_none(self) -> None:
        """GSM stays GSM, and what the tables have not is UCS-2."""
        self.account(national="es")
        assert self.text("plain {}").esm_class == 0
        assert self.text("ж").data_coding == 8

    def test_flash_stays_flash(self) -> None:
        """The class is in the data coding."""
        self.account(national="pt")
        message = self.text("São João", flash=True)
        assert (message.data_coding, message.esm_class) == (0x10, UDHI)

    def test_look_alikes_go_before(self) -> None:
        """Smart encoding alone may do, and helps the tables where it does not."""
        self.account(national="tr", smart_encoding=True)
        assert self.text("“plain”").esm_class == 0
        message = self.text("“ışık”")
        assert (message.data_coding, self.read(message)) == (0, '"ışık"')


class HeaderTests(CodedCase):
    def test_what_is_too_long_is_cut_with_its_header_in_each_part(self) -> None:
        """Ports, of a message that came in message_payload."""
        header = b"\x06\x05\x04\x23\xf4\x00\x00"
        octets = header + bytes(range(256))
        message = self.journey.accepted(parts=[octets], esm_class=UDHI, data_coding=4)
        assert len(message.parts) == 2
        assert {parts.elements(one)[1] for one in message.parts} == {(5, b"\x23\xf4\x00\x00")}
        assert parts.join(message.parts) == octets[7:]

    def test_a_part_that_is_too_long_is_refused(self) -> None:
        """It cannot be a part of a part."""
        octets = b"\x05\x00\x03\x07\x02\x01" + b"x" * 154
        [refused] = self.journey.accept(a_message(parts=[octets], esm_class=UDHI))
        assert isinstance(refused, Refusal)
        assert refused.reason is Reason.TOO_LONG
