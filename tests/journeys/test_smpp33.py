"""SMPP 3.3 over real sockets: its own requests, and carriers that speak it (spec/smpp.md §4)."""

from typing import Any

from smsgw.message import MessageState
from smsgw.smpp.constants import ESM_UDHI, Status, Tag
from smsgw.smpp.pdu import (
    BindReceiver,
    BindTransmitter,
    DeliverSm,
    ParamRetrieve,
    QueryLastMsgs,
    QueryMsgDetails,
    SmeAddress,
    SubmitMulti,
)
from smsgw.smpp.tlv import put
from smsgw.testing.esme import Esme
from smsgw.testing.script import SmscScript
from smsgw.text import gsm
from tests.integration.scene import HANDSET, NUMBER
from tests.journeys.gateway import GatewayCase

ACME: dict[str, Any] = {"source_addr_ton": 5, "source_addr": b"ACME"}
SMSC_33 = SmscScript(version="3.3", delay_s=0.05)
OF_33 = {"version": "3.3", "bind": "transmitter+receiver", "response_id": "hex"}


class ClientOf33Test(GatewayCase):
    """What a client of 3.3 asks, and no other."""

    async def client(self) -> Esme:
        await self.north(SmscScript(delay_s=3000.0))
        return await self.esme(kind="transmitter", version=0x33)

    async def value(self, esme: Esme, name: str) -> Any:
        answer: Any = await esme.request(ParamRetrieve(param_name=name.encode()))
        return answer.param_value.decode() if not answer.status else answer.status

    async def test_param_retrieve_names_what_there_is(self) -> None:
        """The names of section 4; an unknown one is 0x32, one without a value 0x31."""
        esme = await self.client()
        assert await self.value(esme, "version") == "3.3"
        assert await self.value(esme, "max_message_length") == "140"
        assert await self.value(esme, "session_timeout") == "0"
        assert await self.value(esme, "window_size") == "50"
        assert len(await self.value(esme, "system_time")) == 16
        assert await self.value(esme, "balance") == Status.ESME_RPARAMRETFAIL  # postpaid
        assert await self.value(esme, "colour") == Status.ESME_RINVPARAM
        assert await self.value(esme, "") == Status.ESME_RINVPARAM

    async def test_query_last_msgs_gives_the_newest_first(self) -> None:
        """Of one source, as many as asked for, by the ids that the responses gave."""
        esme = await self.client()
        ids = [
            (await esme.submit(source, HANDSET, b"Hi")).message_id
            for source in ("ACME", "ACME", "OTHER", "ACME")
        ]
        answer: Any = await esme.request(QueryLastMsgs(**ACME, num_messages=2))
        assert answer.message_ids == [ids[3], ids[1]]
        answer = await esme.request(QueryLastMsgs(**ACME, num_messages=100))
        assert answer.message_ids == [ids[3], ids[1], ids[0]]
        nobody = QueryLastMsgs(source_addr_ton=5, source_addr=b"NOBODY", num_messages=1)
        answer = await esme.request(nobody)
        assert (answer.status, answer.message_ids) == (0, [])

    async def test_query_last_msgs_names_a_submit_multi_by_its_common_id(self) -> None:
        """Once, among the others, and for its own source only."""
        esme = await self.client()
        first = (await esme.submit("ACME", HANDSET, b"Hi")).message_id
        several = SubmitMulti(
            **ACME,
            dest_addresses=[
                SmeAddress(dest_addr_ton=1, dest_addr_npi=1, destination_addr=number.encode())
                for number in (HANDSET, HANDSET[:-1] + "9")
            ],
            short_message=b"Hi",
        )
        common: Any = await esme.request(several)
        assert (common.status, common.unsuccess_sme) == (0, [])
        answer: Any = await esme.request(QueryLastMsgs(**ACME, num_messages=10))
        assert answer.message_ids == [common.message_id, first]
        other = QueryLastMsgs(source_addr_ton=5, source_addr=b"OTHER", num_messages=10)
        answer = await esme.request(other)
        assert answer.message_ids == []

    async def test_query_last_msgs_takes_1_to_100(self) -> None:
        """Others get ESME_RINVNUMMSGS (0x55)."""
        esme = await self.client()
        for number in (0, 101, 255):
            answer = await esme.request(QueryLastMsgs(**ACME, num_messages=number))
            assert answer.status == Status.ESME_RINVNUMMSGS

    async def test_messages_without_an_alias_are_left_out(self) -> None:
        """What came by 3.4 has no id that fits in eight digits."""
        esme = await self.client()
        other = await self.esme()
        assert (await other.submit("ACME", HANDSET, b"Hi")).status == 0
        answer: Any = await esme.request(QueryLastMsgs(**ACME, num_messages=10))
        assert answer.message_ids == []

    async def test_query_msg_details_shows_all_of_a_message(self) -> None:
        """And as many octets of its text as were asked for."""
        esme = await self.client()
        answer = await esme.submit("ACME", HANDSET, b"Hello", registered_delivery=1)
        id = answer.message_id
        assert len(id) == 8
        details: Any = await esme.request(QueryMsgDetails(message_id=id, **ACME, sm_length=3))
        assert details.status == 0
        assert (details.source_addr, details.short_message) == (b"ACME", b"Hel")
        assert details.dest_addresses == [
            SmeAddress(dest_addr_ton=1, dest_addr_npi=1, destination_addr=HANDSET.encode())
        ]
        assert (details.message_id, details.registered_delivery) == (id, 1)
        assert details.message_state == MessageState.ENROUTE
        assert details.final_date == b""
        assert len(details.validity_period) == 16

    async def test_query_msg_details_of_what_is_not_the_clients(self) -> None:
        """No such id 0x0C, another source 0x67."""
        esme = await self.client()
        id = (await esme.submit("ACME", HANDSET, b"Hello")).message_id
        unknown = QueryMsgDetails(message_id=b"00000001", **ACME, sm_length=9)
        assert (await esme.request(unknown)).status == Status.ESME_RINVMSGID
        other = QueryMsgDetails(message_id=id, source_addr=b"OTHER", source_addr_ton=5)
        assert (await esme.request(other)).status == Status.ESME_RQUERYFAIL

    async def test_a_session_of_34_has_none_of_them(self) -> None:
        """They are unknown commands there: generic_nack with ESME_RINVCMDID."""
        await self.north()
        esme = await self.esme()
        for pdu in (ParamRetrieve(param_name=b"version"), QueryLastMsgs(), QueryMsgDetails()):
            answer = await esme.request(pdu)
            assert (type(answer).__name__, answer.status) == ("GenericNack", 3)


class CarrierOf33Test(GatewayCase):
    """A carrier with ``version = "3.3"``."""

    async def test_it_is_bound_by_two_connections_without_tlvs(self) -> None:
        """What a 3.4 client says goes there in 3.3's terms, and its receipt comes back."""
        north = await self.north(SMSC_33, **OF_33)
        assert {type(bind) for bind in north.smsc.binds} == {BindTransmitter, BindReceiver}
        assert {bind.interface_version for bind in north.smsc.binds} == {0x33}
        esme = await self.esme()
        tlvs = [put(Tag.USER_MESSAGE_REFERENCE, 7), put(Tag.LANGUAGE_INDICATOR, 1)]
        answer = await esme.submit(
            "ACME", HANDSET, b"Hello", registered_delivery=3, priority_flag=3, tlvs=tlvs
        )
        await esme.delivered(1)
        (sent,) = north.smsc.submits
        assert (sent.registered_delivery, sent.priority_flag, sent.tlvs) == (1, 1, [])
        (receipt,) = esme.receipts
        assert (receipt.id.encode(), receipt.state) == (answer.message_id, MessageState.DELIVERED)
        await north.smsc.when(lambda: north.smsc.counts.receipts_answered == 1)

    async def test_a_receipt_is_known_by_its_text(self) -> None:
        """Decimal where the response had hex, esm_class 0, no TLVs (spec/smpp.md §4)."""
        script = SmscScript(version="3.3", delay_s=0.05, receipt_marks=False)
        north = await self.north(script, **OF_33)
        esme = await self.esme()
        answer = await esme.submit("ACME", HANDSET, b"Hello", registered_delivery=1)
        await esme.delivered(1)
        assert esme.receipts[0].id.encode() == answer.message_id
        assert esme.messages == []
        assert north.smsc.counts.receipts == 1

    async def test_a_packed_receipt_is_read_marked_or_not(self) -> None:
        """Seven bits packed into octets, from a carrier with ``packed = true``."""
        silent = SmscScript(version="3.3", receipts="none")
        north = await self.north(silent, packed=True, **OF_33)
        esme = await self.esme()
        for marked in (0x04, 0):
            answer = await esme.submit("ACME", HANDSET, b"Hello", registered_delivery=1)
            await self.shows(answer.message_id, carrier="north")
            number = north.smsc._id & 0xFFFFFFFF
            text = (
                f"id:{number:010d} sub:001 dlvrd:001 submit date:2603141015 "
                "done date:2603141016 stat:DELIVRD err:000 text:"
            )
            pdu = DeliverSm(
                source_addr=HANDSET.encode(),
                destination_addr=b"ACME",
                esm_class=marked,
                short_message=gsm.pack(text.encode()),
            )
            north.smsc.deliver([pdu], "receipt")
            await self.shows(answer.message_id, state="DELIVRD")

    async def test_a_packed_mo_of_such_a_carrier_is_an_mo(self) -> None:
        """Looking for a receipt in it leaves it as it came."""
        north = await self.north(SmscScript(version="3.3"), packed=True, **OF_33)
        esme = await self.esme()
        pdu = DeliverSm(
            source_addr=HANDSET.encode(),
            source_addr_ton=1,
            destination_addr=NUMBER.encode(),
            dest_addr_ton=1,
            short_message=gsm.pack(b"Hello from a handset"),
        )
        north.smsc.deliver([pdu])
        await esme.delivered(1)
        assert [one.short_message for one in esme.messages] == [b"Hello from a handset"]

    async def test_ports_go_into_a_user_data_header(self) -> None:
        """TLVs that say the ports become ``05 04`` (spec/smpp.md §12)."""
        north = await self.north(SMSC_33, **OF_33)
        esme = await self.esme()
        ports = [put(Tag.SOURCE_PORT, 9200), put(Tag.DESTINATION_PORT, 2948)]
        answer = await esme.submit("ACME", HANDSET, b"\x01\x02", data_coding=4, tlvs=ports)
        assert answer.status == 0
        await north.smsc.arrived(1)
        (sent,) = north.smsc.submits
        assert sent.esm_class & ESM_UDHI
        assert sent.short_message == bytes.fromhex("06 0504 0b84 23f0 0102")
        assert sent.tlvs == []

    async def test_ports_that_do_not_fit_end_the_message(self) -> None:
        """Without them it would be a text on the handset's screen."""
        north = await self.north(SMSC_33, **OF_33)
        esme = await self.esme()
        ports = [put(Tag.DESTINATION_PORT, 2948)]
        answer = await esme.submit(
            "ACME", HANDSET, b"\x01" * 140, data_coding=4, tlvs=ports, registered_delivery=1
        )
        assert answer.status == 0
        await esme.delivered(1)
        assert esme.receipts[0].state == MessageState.REJECTED
        assert north.smsc.counts.submits == 0

    async def test_a_long_message_goes_there_in_140_octets_each(self) -> None:
        """Parts in UCS-2 have their header in the 140 octets of 3.3."""
        north = await self.north(SMSC_33, **OF_33)
        esme = await self.esme()
        text = ("\u043f\u0440\u0438\u0432\u0435\u0442 " * 20).encode("utf-16-be")
        payload = [(int(Tag.MESSAGE_PAYLOAD), text)]
        answer = await esme.submit("ACME", HANDSET, b"", data_coding=8, tlvs=payload)
        assert answer.status == 0
        await north.smsc.arrived(3)
        assert all(len(pdu.short_message) <= 140 for pdu in north.smsc.submits)
        assert all(pdu.short_message[:3] == b"\x05\x00\x03" for pdu in north.smsc.submits)
        assert north.smsc.counts.tlvs_in_33 == 0
