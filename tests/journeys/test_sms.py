"""The whole journey of a short message in one process, over real sockets of loopback."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.dialects import Aerialink
from smsgw.flow import awaited
from smsgw.message import MessageState
from smsgw.service import Gateway
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import CancelSm, QuerySm, QuerySmResp, ReplaceSm, SubmitSm
from smsgw.smpp.tlv import get, put
from smsgw.testing.esme import submit_sm
from smsgw.testing.script import Plan, SmscScript
from smsgw.testing.smsc import SimulatedCarrier
from smsgw.text import gsm, parts
from tests.integration.books import until
from tests.integration.scene import (
    HANDSET,
    NUMBER,
    Scene,
    account,
    carrier,
    route,
    until_asked,
)
from tests.journals import a_store
from tests.running import free_ports

NO_ROUTE = 0x432  # E-D15


def on_loopback(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


class SmsTest(Scene):
    """A gateway on an empty store; each test provisions what it needs."""

    timeout = 60

    def setUp(self) -> "Deferred[None]":
        """Starts the gateway, which stops, in order, at the end."""
        self.smpp_port, self.http_port, self.admin_port = free_ports(3)
        config = Config(
            smpp=Smpp(listen=[SmppListener(on_loopback(self.smpp_port))]),
            http=Http(listen=[on_loopback(self.http_port)], admin=[on_loopback(self.admin_port)]),
            aerialink=Aerialink(allow_plain_http="loopback"),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        return self.gateway.ready

    async def north(self, script: "SmscScript | None" = None, **settings: Any) -> SimulatedCarrier:
        """The only carrier, bound, with a route to all the world; and the account."""
        north = await self.smsc(script)
        await self.apply(account(), carrier("north", north.port, **settings), route("north"))
        await north.smsc.bound()
        return north

    async def shows(self, id: "bytes | str", state: str) -> Any:
        """What operators are shown of a message, once it has this state."""
        shown: dict[str, Any] = {}

        async def reached() -> bool:
            shown.update(await self.message(id))
            return shown["state"] == state

        await until_asked(reached, f"message {id!r} {state}")
        return shown

    async def shows_by_rest(self, guid: str, **fields: object) -> Any:
        """The transaction, once it has these fields."""
        shown: dict[str, Any] = {}

        async def reached() -> bool:
            shown.update(await self.transaction(guid))
            return all(shown[name] == value for name, value in fields.items())

        await until_asked(reached, f"transaction {guid} {fields}")
        return shown

    # From the account.

    async def test_by_smpp_to_the_carrier_and_back_with_a_receipt(self) -> None:
        """Submit, response, carrier, receipt: each says what it must."""
        north = await self.north()
        esme = await self.esme()
        reference = put(Tag.USER_MESSAGE_REFERENCE, 4711)
        answer = await esme.submit(
            "ACME", HANDSET, b"Hello \x1b(you\x1b)", registered_delivery=1, tlvs=[reference]
        )
        assert answer.status == Status.ESME_ROK
        await esme.delivered(1)

        (sent,) = north.smsc.submits
        assert (sent.source_addr, sent.source_addr_ton) == (b"ACME", 5)
        assert (sent.destination_addr, sent.dest_addr_ton) == (HANDSET.encode(), 1)
        assert sent.short_message == b"Hello \x1b(you\x1b)"
        assert (sent.data_coding, sent.registered_delivery) == (0, 1)

        (receipt,) = esme.receipts
        assert receipt.id.encode() == answer.message_id
        assert (receipt.state, receipt.error) == (MessageState.DELIVERED, "000")
        pdu = esme.deliveries[0]
        assert (pdu.source_addr, pdu.destination_addr) == (HANDSET.encode(), b"ACME")
        assert get(pdu, Tag.RECEIPTED_MESSAGE_ID) == answer.message_id
        assert get(pdu, Tag.MESSAGE_STATE) == MessageState.DELIVERED
        assert get(pdu, Tag.USER_MESSAGE_REFERENCE) == 4711
        shown = await self.shows(answer.message_id, "DELIVRD")
        assert (shown["carrier"], shown["route"], shown["queued"]) == ("north", "default", [])
        await north.smsc.when(lambda: north.smsc.counts.receipts_answered == 1)

    async def test_by_rest_accepted_completed_delivered(self) -> None:
        """Code 10 while it waits, 20 when the carrier has it, DELIVRD when the handset has."""
        (port,) = free_ports(1)
        await self.apply(account(), carrier("north", port), route("north"))
        status, body = await self.rest(
            {
                "source": NUMBER,
                "destination": f"+{HANDSET}",
                "messageText": "Hello",
                "registeredDelivery": "1",
                "clientReference": "A-17",
            }
        )
        assert (status, body["code"]) == (200, 10), body
        accepted = body["transactions"]["transaction"]
        guid = accepted["transactionGUID"]
        shown = await self.transaction(guid)
        assert (shown["code"], shown["messageState"]) == (10, "ENROUTE")
        assert (shown["destination"], shown["clientReference"]) == (HANDSET, "A-17")

        # The carrier comes, and keeps its receipt until it is told to send it.
        north = await self.smsc(SmscScript(decide=lambda _: Plan(receipts=0)), port)
        shown = await self.shows_by_rest(guid, code=20)
        assert (shown["messageState"], shown["doneDate"]) == ("ENROUTE", None)
        assert shown["carrierDate"]
        (sent,) = north.smsc.submits
        (carrier_id,) = (await self.message(guid))["carrier_ids"]
        receipt = north.smsc.receipt_pdu(sent, Plan(), carrier_id, north.smsc.now())
        north.smsc.deliver([receipt], "receipt")
        shown = await self.shows_by_rest(guid, messageState="DELIVRD")
        assert shown["code"] == 20
        assert shown["doneDate"]

    async def test_a_long_text_goes_in_parts_and_has_one_receipt(self) -> None:
        """message_payload is split; each part has its number; the receipt waits for the last."""
        north = await self.north(SmscScript(receipts="none"))
        esme = await self.esme()
        text = gsm.encode("All this is one text, with {brackets} and more. " * 9)
        assert text is not None
        payload = [put(Tag.MESSAGE_PAYLOAD, text)]
        answer = await esme.submit(text=b"", registered_delivery=1, tlvs=payload)
        assert answer.status == Status.ESME_ROK
        await north.smsc.arrived(3)

        sent = sorted(north.smsc.submits, key=lambda pdu: pdu.short_message[5])
        places = [parts.concat(pdu.short_message) for pdu in sent]
        assert [place[1:] for place in places if place] == [(3, 1), (3, 2), (3, 3)]
        assert len({place[0] for place in places if place}) == 1
        assert all(pdu.esm_class & 0x40 for pdu in sent)
        assert b"".join(parts.udh(pdu.short_message)[1] for pdu in sent) == text

        async def taken() -> bool:
            return len((await self.message(answer.message_id))["carrier_ids"]) == 3

        await until_asked(taken, "three acknowledgements")
        shown = await self.message(answer.message_id)
        for count, (pdu, id) in enumerate(zip(sent, shown["carrier_ids"], strict=True), 1):
            assert esme.delivered_count == 0
            receipt = north.smsc.receipt_pdu(pdu, Plan(), id, north.smsc.now())
            north.smsc.deliver([receipt], "receipt")
            await north.smsc.when(lambda n=count: north.smsc.counts.receipts_answered == n)
        await esme.delivered(1)
        assert [receipt.id.encode() for receipt in esme.receipts] == [answer.message_id]
        await self.shows(answer.message_id, "DELIVRD")
        assert await self.waiting() == {}

    async def test_a_part_that_is_not_delivered_spoils_the_whole(self) -> None:
        """The one receipt says the worst that became of a part."""
        fates = iter([MessageState.DELIVERED, MessageState.UNDELIVERABLE])
        await self.north(SmscScript(decide=lambda _: Plan(state=next(fates))))
        esme = await self.esme()
        payload = [put(Tag.MESSAGE_PAYLOAD, b"x" * 200)]
        await esme.submit(text=b"", registered_delivery=1, tlvs=payload)
        await esme.delivered(1)
        assert [receipt.state for receipt in esme.receipts] == [MessageState.UNDELIVERABLE]

    async def test_a_text_that_gsm_does_not_have_goes_in_ucs2(self) -> None:
        """Surrogates are kept whole, and nothing else is needed of the client."""
        north = await self.north()
        text = "Привет 🎉"
        status, body = await self.rest(
            {"source": NUMBER, "destination": HANDSET, "messageText": text}
        )
        assert (status, body["code"]) == (200, 10), body
        await north.smsc.arrived(1)
        (sent,) = north.smsc.submits
        assert (sent.data_coding, sent.short_message) == (8, text.encode("utf-16-be"))

    async def test_flash(self) -> None:
        """By REST as a wish, by SMPP as a data_coding: class 0 at the carrier."""
        north = await self.north()
        document = {"source": NUMBER, "destination": HANDSET, "messageText": "Now", "flash": "1"}
        status, body = await self.rest(document)
        assert (status, body["code"]) == (200, 10), body
        await north.smsc.arrived(1)
        esme = await self.esme()
        assert (await esme.submit(data_coding=0x10)).status == Status.ESME_ROK
        await north.smsc.arrived(2)
        assert [pdu.data_coding for pdu in north.smsc.submits] == [0x10, 0x10]

    async def test_a_message_for_later_waits(self) -> None:
        """One that is sent at once overtakes it."""
        north = await self.north()
        esme = await self.esme()
        in_two_seconds = b"000000000002000R"
        later = await esme.submit(text=b"later", schedule_delivery_time=in_two_seconds)
        assert later.status == Status.ESME_ROK
        assert (await self.message(later.message_id))["queued"] == ["carrier:north"]
        await esme.submit(text=b"now")
        await north.smsc.arrived(2)
        assert [pdu.short_message for pdu in north.smsc.submits] == [b"now", b"later"]

    async def test_receipts_of_failures_only(self) -> None:
        """registered_delivery 2: no word of what was delivered."""
        fates = iter([MessageState.DELIVERED, MessageState.REJECTED])
        north = await self.north(SmscScript(decide=lambda _: Plan(state=next(fates))))
        esme = await self.esme()
        good = await esme.submit(registered_delivery=2)
        await self.shows(good.message_id, "DELIVRD")
        bad = await esme.submit(registered_delivery=2)
        await esme.delivered(1)
        assert [receipt.id.encode() for receipt in esme.receipts] == [bad.message_id]
        assert await self.waiting() == {}
        assert north.smsc.counts.receipts == 2

    async def test_no_route_is_refused(self) -> None:
        """By SMPP with the status for it; by REST as a transaction with code 50, which is kept."""
        north = await self.smsc()
        abroad = route("north", prefix="33")
        await self.apply(account(), carrier("north", north.port), abroad)
        esme = await self.esme()
        assert (await esme.submit()).status == NO_ROUTE
        status, body = await self.rest(
            {"source": NUMBER, "destination": HANDSET, "messageText": "Hello"}
        )
        assert (status, body["code"]) == (200, 50), body
        guid = body["transactions"]["transaction"]["transactionGUID"]
        shown = await self.transaction(guid)
        assert (shown["code"], shown["messageState"]) == (50, "REJECTD")
        assert await self.waiting() == {}
        assert north.smsc.counts.submits == 0

    async def test_without_credit_a_message_is_refused(self) -> None:
        """The last of it is spent; then SMPP says 0x45 and REST 1031, nothing is kept."""
        north = await self.smsc()
        priced = route("north", price="0.02")
        await self.apply(account(balance="0.03"), carrier("north", north.port), priced)
        esme = await self.esme()
        assert (await esme.submit()).status == Status.ESME_ROK
        assert (await esme.submit()).status == Status.ESME_RSUBMITFAIL
        status, body = await self.rest(
            {"source": NUMBER, "destination": HANDSET, "messageText": "Hello"}
        )
        assert (status, body["code"]) == (402, 1031), body
        assert (await self.admin("/admin/balances/acme"))["balance"] == "0.01"

    # By which carrier.

    async def test_the_longest_prefix_wins(self) -> None:
        """Each destination goes by the route that knows it best."""
        north, south = await self.smsc(), await self.smsc()
        await self.apply(
            account(),
            carrier("north", north.port),
            carrier("south", south.port),
            route("north", prefix="44"),
            route("south", name="mobile", prefix="4477"),
        )
        esme = await self.esme()
        for destination in ("447700900123", "442079460000"):
            assert (await esme.submit(destination=destination)).status == Status.ESME_ROK
        await north.smsc.arrived(1)
        await south.smsc.arrived(1)
        assert north.smsc.submits[0].destination_addr == b"442079460000"
        assert south.smsc.submits[0].destination_addr == b"447700900123"

    async def test_what_a_carrier_refuses_for_good_goes_to_the_next(self) -> None:
        """The second carrier of the route takes it, and its receipt is the message's."""
        refusing = SmscScript(decide=lambda _: Plan(status=Status.ESME_RSUBMITFAIL))
        north, south = await self.smsc(refusing), await self.smsc()
        await self.apply(
            account(),
            carrier("north", north.port),
            carrier("south", south.port),
            route("north", "south"),
        )
        esme = await self.esme()
        answer = await esme.submit(registered_delivery=1)
        await esme.delivered(1)
        assert [receipt.state for receipt in esme.receipts] == [MessageState.DELIVERED]
        shown = await self.shows(answer.message_id, "DELIVRD")
        assert shown["carrier"] == "south"
        assert (north.smsc.counts.submits, south.smsc.counts.submits) == (1, 1)

    async def test_what_all_carriers_refuse_is_undeliverable(self) -> None:
        """The account hears so, with an error that says why."""
        refusing = SmscScript(decide=lambda _: Plan(status=Status.ESME_RINVDSTADR))
        north = await self.north(refusing)
        esme = await self.esme()
        answer = await esme.submit(registered_delivery=1)
        assert answer.status == Status.ESME_ROK
        await esme.delivered(1)
        (receipt,) = esme.receipts
        assert (receipt.state, receipt.error) == (MessageState.UNDELIVERABLE, "206")
        shown = await self.shows(answer.message_id, "UNDELIV")
        assert shown["network_error"] == "ESME_RINVDSTADR"
        assert north.smsc.counts.submits == 1
        assert await self.waiting() == {}

    async def test_a_carrier_that_throttles_is_sent_less(self) -> None:
        """It says that it is too much, the link slows down, and all arrive."""
        north = await self.north(SmscScript(throttle=5), window=20)
        esme = await self.esme()
        pdus = [submit_sm(NUMBER, f"4477009{n:05d}", registered_delivery=1) for n in range(15)]
        for answer in esme.requests(pdus):
            assert (await answer).status == Status.ESME_ROK
        await until(reactor, lambda: len(esme.receipts) == 15, "15 receipts")
        counts = north.smsc.counts
        assert counts.refused > 0
        assert counts.accepted == 15
        assert {receipt.state for receipt in esme.receipts} == {MessageState.DELIVERED}

    async def test_a_carrier_with_two_connections_for_one_link(self) -> None:
        """Transmitter and receiver: submits by the one, receipts and MO by the other."""
        north = await self.north(bind="transmitter+receiver")
        await north.smsc.bound(2)
        assert {type(pdu).__name__ for pdu in north.smsc.binds} == {
            "BindTransmitter",
            "BindReceiver",
        }
        esme = await self.esme()
        await esme.submit(registered_delivery=1)
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hello")
        await esme.delivered(2)
        assert len(esme.receipts) == len(esme.messages) == 1

    async def test_ids_in_hex_in_the_response_and_in_decimal_in_the_receipt(self) -> None:
        """They are the same to the gateway (ruling 13), once it looks again for what a receipt
        means that matched nothing."""
        self.patch(awaited, "_EXCHANGE_MS", 0)
        await self.north(SmscScript(response_id="hex", receipt_id="decimal", receipt_tlvs=False))
        esme = await self.esme()
        answer = await esme.submit(registered_delivery=1)

        async def matched() -> bool:
            await self.gateway.receipts.review()
            return bool(esme.receipts)

        await until_asked(matched, "the receipt")
        assert esme.receipts[0].id.encode() == answer.message_id

    # From handsets.

    async def test_a_text_from_a_handset_reaches_the_account(self) -> None:
        """By the number it was sent to, and the carrier's answer comes after it is stored."""
        north = await self.north()
        esme = await self.esme(kind="receiver")
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hello €, {gateway}")
        await esme.delivered(1)
        (pdu,) = esme.messages
        assert (pdu.source_addr, pdu.destination_addr) == (HANDSET.encode(), NUMBER.encode())
        assert gsm.decode(pdu.short_message) == "Hello €, {gateway}"
        await north.smsc.when(lambda: north.smsc.counts.mo_answered == 1)

        async def at_rest() -> bool:
            return await self.waiting() == {}

        await until_asked(at_rest, "empty queues")

    async def test_a_long_text_from_a_handset_arrives_part_by_part(self) -> None:
        """An ESME gets the parts as the carrier gave them, each with its header."""
        north = await self.north()
        esme = await self.esme()
        text = "ж" * 150
        assert north.smsc.mobile_originated(HANDSET, NUMBER, text) == 3
        await esme.delivered(3)
        got = sorted(esme.messages, key=lambda pdu: pdu.short_message[5])
        assert all(pdu.esm_class & 0x40 and pdu.data_coding == 8 for pdu in got)
        octets = b"".join(parts.udh(pdu.short_message)[1] for pdu in got)
        assert octets.decode("utf-16-be") == text

    async def test_an_answer_from_a_handset_to_a_message(self) -> None:
        """There and back again: what was sent from the account's number can be answered to it."""
        north = await self.north()
        esme = await self.esme()
        await esme.submit(NUMBER, HANDSET, b"Shall we?", registered_delivery=1)
        await north.smsc.arrived(1)
        sent: SubmitSm = north.smsc.submits[0]
        north.smsc.mobile_originated(
            sent.destination_addr.decode(), sent.source_addr.decode(), "We shall."
        )
        await esme.delivered(2)
        assert [pdu.short_message for pdu in esme.messages] == [b"We shall."]
        assert [receipt.state for receipt in esme.receipts] == [MessageState.DELIVERED]

    # Thought again.

    async def test_what_is_cancelled_or_replaced_in_time_is_not_sent(self) -> None:
        """By REST and SMPP, whichever it came by; a refund for the one, one receipt for each."""
        (port,) = free_ports(1)
        await self.apply(account(balance="1.00"), carrier("north", port), route("north"))
        esme = await self.esme()
        texts = (b"first", b"second", b"third")
        answers = [await esme.submit(NUMBER, HANDSET, one, registered_delivery=1) for one in texts]
        first, second, third = (answer.message_id for answer in answers)
        assert (await self.admin("/admin/balances/acme"))["balance"] == "0.97"

        # A cancelled one is gone, also for another protocol.
        status, body = await self.cancel(first.decode())
        assert (status, body["transactions"]["transaction"]["messageState"]) == (200, "DELETED")
        status, body = await self.cancel(first.decode())
        assert (status, body["code"]) == (409, 1043)
        named = {"message_id": first, "source_addr": NUMBER.encode()}
        assert (await esme.request(CancelSm(**named))).status == Status.ESME_RCANCELFAIL
        answer = await esme.request(QuerySm(**named))
        assert isinstance(answer, QuerySmResp)
        assert (answer.message_state, answer.error_code) == (MessageState.DELETED, 221)
        assert (await self.admin("/admin/balances/acme"))["balance"] == "0.98"

        # A replaced one goes out as it is now.
        named["message_id"] = second
        replaced = ReplaceSm(**named, short_message=b"better", registered_delivery=1)
        assert (await esme.request(replaced)).status == Status.ESME_ROK
        north = await self.smsc(port=port)
        await north.smsc.arrived(2)
        assert [pdu.short_message for pdu in north.smsc.submits] == [b"third", b"better"]
        await esme.delivered(3)
        states = {receipt.id.encode(): receipt.state for receipt in esme.receipts}
        delivered = MessageState.DELIVERED
        assert states == {first: MessageState.DELETED, second: delivered, third: delivered}
        status, body = await self.cancel(third.decode())
        assert (status, body["code"]) == (409, 1043)

    # By an old client.

    async def test_a_client_of_version_3_3(self) -> None:
        """Two sessions, ids of eight digits, the receipt's in decimal, and no TLVs (E-D23)."""
        await self.north()
        sender = await self.esme(kind="transmitter", version=0x33)
        receiver = await self.esme(kind="receiver", version=0x33)
        answer = await sender.submit(registered_delivery=1)
        assert len(answer.message_id) == 8
        await receiver.delivered(1)
        (pdu,) = receiver.deliveries
        assert pdu.tlvs == []
        assert int(receiver.receipts[0].id) == int(answer.message_id, 16)
