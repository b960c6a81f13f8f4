"""submit_multi, data_sm and alert_notification in one gateway, over real sockets of loopback."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.message import MessageState
from smsgw.service import Gateway
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import (
    CancelSm,
    DataSm,
    DataSmResp,
    DistributionList,
    GenericNack,
    QuerySm,
    SmeAddress,
    SubmitMulti,
    SubmitMultiResp,
    UnsuccessSme,
)
from smsgw.smpp.tlv import get, put
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier
from tests.integration.books import until
from tests.integration.scene import (
    HANDSET,
    NUMBER,
    Scene,
    account,
    carrier,
    post,
    route,
)
from tests.journals import a_store
from tests.running import free_ports

NOWHERE = "33123456789"  # no route leads there
NO_ROUTE = 0x432  # E-D15
OTHERS = ["447700900124", "447700900125"]


def on_loopback(port: int) -> str:
    return f"tcp:{port}:interface=127.0.0.1"


def sme(number: str) -> SmeAddress:
    return SmeAddress(1, 1, number.encode())


def a_multi(*destinations: str | SmeAddress | DistributionList, **fields: Any) -> SubmitMulti:
    """A submit_multi from ACME with receipts wanted."""
    given: dict[str, Any] = {
        "source_addr_ton": 5,
        "source_addr": b"ACME",
        "dest_addresses": [sme(one) if isinstance(one, str) else one for one in destinations],
        "short_message": b"Hello",
        "registered_delivery": 1,
    }
    return SubmitMulti(**{**given, **fields})


def a_data(text: bytes = b"Hello", **fields: Any) -> DataSm:
    """A data_sm from ACME with a receipt wanted."""
    given: dict[str, Any] = {
        "source_addr_ton": 5,
        "source_addr": b"ACME",
        "dest_addr_ton": 1,
        "dest_addr_npi": 1,
        "destination_addr": HANDSET.encode(),
        "registered_delivery": 1,
        "tlvs": [put(Tag.MESSAGE_PAYLOAD, text)],
    }
    return DataSm(**{**given, **fields})


class OperationsTest(Scene):
    """A gateway with a listener of each profile; one account, one carrier."""

    timeout = 60

    def setUp(self) -> "Deferred[None]":
        """Starts the gateway, which stops, in order, at the end."""
        self.smpp_port, self.link_port, self.websmpp_port, self.http_port, self.admin_port = (
            free_ports(5)
        )
        listeners = [
            SmppListener(on_loopback(self.smpp_port)),
            SmppListener(on_loopback(self.link_port), profile="link"),
            SmppListener(on_loopback(self.websmpp_port), profile="websmpp"),
        ]
        config = Config(
            smpp=Smpp(listen=listeners),
            http=Http(listen=[on_loopback(self.http_port)], admin=[on_loopback(self.admin_port)]),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        return self.gateway.ready

    async def north(
        self, script: "SmscScript | None" = None, login: str = "", **settings: Any
    ) -> SimulatedCarrier:
        """The only carrier, bound, which takes all of 44; and the account, with ``login`` among the
        lines of its SMPP login."""
        north = await self.smsc(script)
        customer = account().replace('kind = "smpp"\n', f'kind = "smpp"\n{login}')
        link = carrier("north", north.port, **settings)
        await self.apply(customer, link, route("north", prefix="44"))
        await north.smsc.bound()
        return north

    async def contacts(self, name: str, numbers: list[str]) -> None:
        """A list of contacts of the account."""
        url = f"http://127.0.0.1:{self.admin_port}/admin/lists"
        document = {"account": "acme", "name": name, "type": "contact"}
        status, made = await deferToThread(post, url, document)
        assert status == 201, made
        if numbers:
            status, _ = await deferToThread(
                post, f"{url}/{made['id']}/members", {"numbers": numbers}
            )
            assert status == 200

    # submit_multi

    async def test_a_submit_multi_reaches_every_destination_under_one_id(self) -> None:
        """E-D29: each gets the text once; each receipt has the common id, and its own source."""
        north = await self.north()
        esme = await self.esme()
        answer = await esme.request(a_multi(HANDSET, *OTHERS, OTHERS[0]))
        assert isinstance(answer, SubmitMultiResp)
        assert (answer.status, answer.unsuccess_sme) == (0, [])
        await esme.delivered(3)
        reached = sorted(pdu.destination_addr.decode() for pdu in north.smsc.submits)
        assert reached == sorted([HANDSET, *OTHERS])
        assert {one.id.encode() for one in esme.receipts} == {answer.message_id}
        assert {pdu.source_addr.decode() for pdu in esme.deliveries} == {HANDSET, *OTHERS}

    async def test_what_is_refused_is_named_with_its_status(self) -> None:
        """The others go on; the id is still that of the whole request."""
        north = await self.north()
        esme = await self.esme()
        answer: Any = await esme.request(a_multi(HANDSET, NOWHERE, SmeAddress(1, 1, b"12")))
        assert answer.status == Status.ESME_ROK
        assert answer.unsuccess_sme == [
            UnsuccessSme(1, 1, NOWHERE.encode(), NO_ROUTE),
            UnsuccessSme(1, 1, b"12", Status.ESME_RINVDSTADR),
        ]
        await esme.delivered(1)
        assert esme.receipts[0].id.encode() == answer.message_id
        assert len(north.smsc.submits) == 1

    async def test_if_all_are_refused_so_is_the_request(self) -> None:
        """By their common status, or ESME_RSUBMITFAIL; without a body (ruling 2)."""
        await self.north()
        esme = await self.esme()
        both: Any = await esme.request(a_multi(NOWHERE, "33123456780"))
        assert (both.status, both.message_id, both.unsuccess_sme) == (NO_ROUTE, b"", [])
        mixed = await esme.request(a_multi(NOWHERE, SmeAddress(1, 1, b"12")))
        assert mixed.status == Status.ESME_RSUBMITFAIL

    async def test_a_distribution_list_is_a_list_of_contacts(self) -> None:
        """Its members get the text, in the same request as other destinations, each once."""
        north = await self.north()
        await self.contacts("staff", OTHERS)
        esme = await self.esme()
        answer: Any = await esme.request(
            a_multi(DistributionList(b"staff"), OTHERS[1], HANDSET, registered_delivery=0)
        )
        assert (answer.status, answer.unsuccess_sme) == (0, [])
        await north.smsc.arrived(3)
        reached = sorted(pdu.destination_addr.decode() for pdu in north.smsc.submits)
        assert reached == sorted([HANDSET, *OTHERS])

    async def test_a_list_that_is_not_there_or_empty_refuses_the_request(self) -> None:
        """ESME_RINVDLNAME; ESME_RINVNUMDESTS if nobody is left. Nothing is sent."""
        north = await self.north()
        await self.contacts("empty", [])
        esme = await self.esme()
        unknown = await esme.request(a_multi(HANDSET, DistributionList(b"nobody")))
        assert unknown.status == Status.ESME_RINVDLNAME
        empty = await esme.request(a_multi(DistributionList(b"empty")))
        assert empty.status == Status.ESME_RINVNUMDESTS
        assert not north.smsc.submits

    async def test_a_request_is_queried_and_cancelled_as_a_whole(self) -> None:
        """query_sm and cancel_sm by the common id; one destination alone can be cancelled."""
        await self.north()
        esme = await self.esme()
        later = b"000000010000000R"
        answer: Any = await esme.request(a_multi(HANDSET, *OTHERS, schedule_delivery_time=later))
        name = {"message_id": answer.message_id, "source_addr": b"ACME", "source_addr_ton": 5}
        state: Any = await esme.request(QuerySm(**name))
        assert (state.status, state.message_state) == (0, MessageState.ENROUTE)
        to_one = {"dest_addr_ton": 1, "destination_addr": HANDSET.encode()}
        assert (await esme.request(CancelSm(**name, **to_one))).status == Status.ESME_ROK
        assert (await esme.request(CancelSm(**name, **to_one))).status == Status.ESME_RCANCELFAIL
        assert (await esme.request(CancelSm(**name))).status == Status.ESME_ROK
        assert (await esme.request(CancelSm(**name))).status == Status.ESME_RCANCELFAIL
        await esme.delivered(3)
        assert {one.id.encode() for one in esme.receipts} == {answer.message_id}
        state = await esme.request(QuerySm(**name))
        assert (state.message_state, bool(state.final_date)) == (MessageState.DELETED, True)

    async def test_a_3_3_session_submits_to_many_by_eight_digits(self) -> None:
        """The id is a number of 32 bits, in ten decimal digits in each receipt (ruling 8); statuses
        above 0xBF are not for it."""
        await self.north()
        sender = await self.esme(kind="transmitter", version=0x33)
        receiver = await self.esme(kind="receiver", version=0x33)
        answer: Any = await sender.request(a_multi(HANDSET, OTHERS[0], NOWHERE))
        assert len(answer.message_id) == 8
        assert [one.error_status_code for one in answer.unsuccess_sme] == [Status.ESME_RSUBMITFAIL]
        await receiver.delivered(2)
        number = f"{int(answer.message_id, 16):010d}"
        assert {one.id for one in receiver.receipts} == {number}
        by_id = QuerySm(message_id=answer.message_id, source_addr=b"ACME", source_addr_ton=5)
        state: Any = await sender.request(by_id)
        assert (state.status, state.message_state) == (0, MessageState.DELIVERED)

    async def test_without_a_profile_of_its_own_a_login_has_the_listeners(self) -> None:
        """Decimal ids on link and websmpp, 32 hex digits on standard; a profile that the login has
        counts on every listener."""
        await self.north()
        for port, decimal in (
            (self.smpp_port, False),
            (self.link_port, True),
            (self.websmpp_port, True),
        ):
            self.smpp_port = port
            esme = await self.esme()
            name = (await esme.submit("ACME", HANDSET, b"Hi")).message_id
            assert (len(name) == 32) is not decimal
            assert name.isdigit() is decimal
            await esme.unbind()
        await self.north(login='profile = "standard"\n')
        esme = await self.esme()
        assert len((await esme.submit("ACME", HANDSET, b"Hi")).message_id) == 32

    async def test_on_link_neither_is_served(self) -> None:
        """L-D11: generic_nack with ESME_RINVCMDID; on websmpp both are (W-D4)."""
        await self.north()
        self.smpp_port = self.link_port
        esme = await self.esme()
        for pdu in (a_multi(HANDSET), a_data()):
            answer = await esme.request(pdu)
            assert isinstance(answer, GenericNack)
            assert answer.status == Status.ESME_RINVCMDID
        await esme.unbind()
        self.smpp_port = self.websmpp_port
        other = await self.esme()
        assert (await other.request(a_multi(HANDSET))).status == Status.ESME_ROK
        assert (await other.request(a_data())).status == Status.ESME_ROK

    # data_sm

    async def test_a_data_sm_is_a_submit(self) -> None:
        """Its payload is the text; the answer has the id that the receipt has."""
        north = await self.north()
        esme = await self.esme()
        answer: Any = await esme.request(a_data(b"Hello \x1be"))
        assert isinstance(answer, DataSmResp)
        await esme.delivered(1)
        (sent,) = north.smsc.submits
        assert (sent.short_message, sent.destination_addr) == (b"Hello \x1be", HANDSET.encode())
        assert esme.receipts[0].id.encode() == answer.message_id
        assert not esme.data

    async def test_faults_of_a_data_sm_have_their_statuses(self) -> None:
        """No payload, addresses that are longer than numbers can be, no route."""
        await self.north()
        esme = await self.esme()
        faults: dict[int, dict[str, Any]] = {
            Status.ESME_RMISSINGOPTPARAM: {"tlvs": []},
            Status.ESME_RINVDSTADR: {"destination_addr": b"4" * 64},
            Status.ESME_RINVSRCADR: {"source_addr": b"4" * 64, "source_addr_ton": 1},
            Status.ESME_RINVESMCLASS: {"esm_class": 0x04},
            NO_ROUTE: {"destination_addr": NOWHERE.encode()},
        }
        for status, fields in faults.items():
            answer: Any = await esme.request(a_data(**fields))
            assert (answer.status, answer.message_id) == (status, b"")

    async def test_a_receiver_may_not_submit_by_any_operation(self) -> None:
        """ESME_RINVBNDSTS; in 3.3 data_sm is no operation at all."""
        await self.north()
        receiver = await self.esme(kind="receiver")
        for pdu in (a_multi(HANDSET), a_data()):
            assert (await receiver.request(pdu)).status == Status.ESME_RINVBNDSTS
        old = await self.esme(kind="transmitter", version=0x33)
        assert (await old.request(a_data())).status == Status.ESME_RINVCMDID

    async def test_a_login_may_be_brought_all_by_data_sm(self) -> None:
        """``deliver``: receipts and MO, a long one too; a 3.3 session still gets deliver_sm."""
        north = await self.north(login='deliver = "data_sm"\n')
        esme = await self.esme()
        answer = await esme.submit(registered_delivery=1)
        await esme.delivered(1)
        (receipt,) = esme.receipts
        assert receipt.id.encode() == answer.message_id
        assert get(esme.data[0], Tag.RECEIPTED_MESSAGE_ID) == answer.message_id
        long = a_data(b"x" * 300, source_addr=HANDSET.encode(), destination_addr=NUMBER.encode())
        north.smsc.deliver([long])
        await esme.delivered(2)
        assert get(esme.data[1], Tag.MESSAGE_PAYLOAD) == b"x" * 300
        esme.close()
        await esme.closed()
        old = await self.esme(kind="receiver", version=0x33)
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await old.delivered(1)
        assert not old.data
        await until(reactor, lambda: north.smsc.counts.mo_answered == 2, "answers to the MO")

    async def test_a_carrier_may_bring_mo_and_receipts_by_data_sm(self) -> None:
        """Each is answered by data_sm_resp; one with an address that no ESME can be brought is
        refused."""
        north = await self.north(SmscScript(deliver="data_sm"))
        esme = await self.esme()
        answer = await esme.submit(registered_delivery=1)
        await esme.delivered(1)
        assert esme.receipts[0].id.encode() == answer.message_id
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        endless = a_data(source_addr=b"4" * 64, destination_addr=NUMBER.encode())
        north.smsc.deliver([endless])
        await esme.delivered(2)
        assert [pdu.short_message for pdu in esme.messages] == [b"Hi"]
        assert not esme.data
        counts = north.smsc.counts
        await north.smsc.when(lambda: counts.mo_answered == 1 and counts.deliveries_refused == 1)
        assert counts.receipts_answered == 1

    async def test_a_carrier_may_be_given_messages_by_data_sm(self) -> None:
        """``submit``: text in the payload, validity as qos_time_to_live; receipts match as ever."""
        north = await self.north(submit="data_sm", long="payload")
        esme = await self.esme()
        short = await esme.submit(registered_delivery=1, validity_period=b"000000010000000R")
        text = b"long text " * 40
        tlvs = [put(Tag.MESSAGE_PAYLOAD, text)]
        long = await esme.submit(text=b"", registered_delivery=1, tlvs=tlvs)
        await esme.delivered(2)
        first, second = north.smsc.data
        assert get(first, Tag.MESSAGE_PAYLOAD) == b"hello"
        assert 3590 <= get(first, Tag.QOS_TIME_TO_LIVE) <= 3600
        assert get(second, Tag.MESSAGE_PAYLOAD) == text
        ids = {one.id.encode() for one in esme.receipts}
        assert ids == {short.message_id, long.message_id}

    # alert_notification

    async def test_an_alert_reaches_the_sessions_of_the_number(self) -> None:
        """Those of 3.4 that receive; nobody answers it, and it disturbs nothing."""
        north = await self.north()
        esme = await self.esme()
        sender = await self.esme(kind="transmitter")
        old = await self.esme(kind="receiver", version=0x33)
        available = put(Tag.MS_AVAILABILITY_STATUS, 0)
        north.smsc.alert(HANDSET, "447700900999", available)  # nobody's
        north.smsc.alert(HANDSET, NUMBER, available)
        await esme.when(lambda: bool(esme.alerts))
        (alert,) = esme.alerts
        assert (alert.source_addr, alert.esme_addr) == (HANDSET.encode(), NUMBER.encode())
        assert get(alert, Tag.MS_AVAILABILITY_STATUS) == 0
        # What comes after it comes after it on all sessions.
        for session in (sender, old):
            assert (await session.unbind()).status == 0
            assert not session.alerts
            assert not session.other
        alerts = self.gateway.alerts
        assert (alerts.received, alerts.passed_on, alerts.nobodys) == (2, 1, 1)
        assert (await esme.submit()).status == Status.ESME_ROK
