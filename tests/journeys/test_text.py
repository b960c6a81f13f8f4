"""Texts and long messages over real sockets: every form in which an ESME may give them and a
carrier take them."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.dialects import Aerialink
from smsgw.message import UDHI
from smsgw.service import Gateway
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import DeliverSm, SubmitSm
from smsgw.testing.smsc import SimulatedCarrier
from smsgw.text import coding, gsm, parts
from tests.integration.scene import HANDSET, NUMBER, Scene, account, carrier, route
from tests.journals import a_store
from tests.running import free_ports


def on_loopback(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


LONG = "Grüße aus dem {Süden}. " * 15


class TextTests(Scene):
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

    async def north(self, **settings: Any) -> SimulatedCarrier:
        """The only carrier, bound, with a route to all the world; and the account."""
        north = await self.smsc()
        await self.apply(account(), carrier("north", north.port, **settings), route("north"))
        await north.smsc.bound()
        return north

    async def sent(self, north: SimulatedCarrier, count: int) -> list[SubmitSm]:
        """What the carrier has got."""
        await north.smsc.arrived(count)
        return list(north.smsc.submits)[-count:]

    async def test_every_data_coding_reaches_the_carrier(self) -> None:
        """Section 9 of spec/smpp.md: text in each alphabet, classes, message waiting, octets."""
        north = await self.north()
        esme = await self.esme()
        taken = [*range(11), 13, 14, *range(0x10, 0x20), *range(0xC0, 0x100)]
        for data_coding in taken:
            answer = await esme.submit("ACME", HANDSET, b"Hi", data_coding=data_coding)
            assert answer.status == Status.ESME_ROK, hex(data_coding)
        sent = await self.sent(north, len(taken))
        assert [(pdu.data_coding, pdu.short_message) for pdu in sent] == [
            (data_coding, b"Hi") for data_coding in taken
        ]
        for data_coding in (11, 12, 0x20, 0xBF):
            answer = await esme.submit("ACME", HANDSET, b"Hi", data_coding=data_coding)
            assert answer.status == Status.ESME_RSUBMITFAIL

    async def test_every_data_coding_comes_from_the_carrier(self) -> None:
        """An MO is handed over as it came."""
        north = await self.north()
        esme = await self.esme()
        codings = [*range(16), *range(0x10, 0x20), *range(0xC0, 0x100)]
        north.smsc.deliver(
            [
                DeliverSm(
                    source_addr=HANDSET.encode(),
                    destination_addr=NUMBER.encode(),
                    data_coding=data_coding,
                    short_message=b"Hi",
                )
                for data_coding in codings
            ]
        )
        await esme.delivered(len(codings))
        assert sorted(pdu.data_coding for pdu in esme.messages) == codings

    async def test_binary_with_ports(self) -> None:
        """A header of the ESME's own, also where its message is too long for one part."""
        north = await self.north()
        esme = await self.esme()
        ports = b"\x06\x05\x04\x23\xf4\x00\x00"
        await esme.submit("ACME", HANDSET, ports + b"\x01\x02", data_coding=4, esm_class=UDHI)
        payload = [(int(Tag.MESSAGE_PAYLOAD), ports + bytes(200))]
        await esme.submit("ACME", HANDSET, b"", data_coding=4, esm_class=UDHI, tlvs=payload)
        one, first, second = await self.sent(north, 3)
        assert (one.short_message, one.esm_class) == (ports + b"\x01\x02", UDHI)
        for number, pdu in enumerate((first, second), 1):
            assert parts.elements(pdu.short_message)[1] == (5, b"\x23\xf4\x00\x00")
            assert (parts.concat(pdu.short_message) or ())[1:] == (2, number)
        assert parts.join([first.short_message, second.short_message]) == bytes(200)

    async def test_long_messages_in_every_form_in_and_out(self) -> None:
        """UDH of 8 and 16 bits, SAR, message_payload: each to a carrier of each form."""
        north = await self.north()
        esme = await self.esme()
        octets = gsm.encode(LONG)
        assert octets is not None
        pieces = parts.split(octets, 0, 0x55)
        count = len(pieces)
        for form in ("udh", "udh8", "udh16", "sar", "payload"):
            await self.apply(account(), carrier("north", north.port, long=form), route("north"))
            before = len(north.smsc.submits)
            await esme.submit("ACME", HANDSET, b"", tlvs=[(int(Tag.MESSAGE_PAYLOAD), octets)])
            whole = await self.sent(north, before + (1 if form == "payload" else count))
            assert self.text_of(whole[before:]) == LONG, form
            for given in (pieces, parts.split(octets, 0, 0x1234, wide=True)):
                before = len(north.smsc.submits)
                for piece in given:
                    answer = await esme.submit("ACME", HANDSET, piece, esm_class=UDHI)
                    assert answer.status == Status.ESME_ROK
                assert self.text_of((await self.sent(north, before + count))[before:]) == LONG
            before = len(north.smsc.submits)
            for number, piece in enumerate(pieces, 1):
                sar = [
                    (int(Tag.SAR_MSG_REF_NUM), b"\x01\x02"),
                    (int(Tag.SAR_TOTAL_SEGMENTS), bytes((count,))),
                    (int(Tag.SAR_SEGMENT_SEQNUM), bytes((number,))),
                ]
                await esme.submit("ACME", HANDSET, parts.udh(piece)[1], tlvs=sar)
            assert self.text_of((await self.sent(north, before + count))[before:]) == LONG

    def text_of(self, pdus: list[SubmitSm]) -> str:
        """What a handset shows of these."""
        placed: dict[int, str] = {}
        for number, pdu in enumerate(pdus):
            tlvs: dict[int, Any] = dict(pdu.tlvs)
            octets = pdu.short_message or tlvs.get(Tag.MESSAGE_PAYLOAD, b"")
            place = tlvs.get(Tag.SAR_SEGMENT_SEQNUM)
            at = place[0] if place is not None else number
            if pdu.esm_class & UDHI:
                _, _, at = parts.concat(octets) or (0, 0, number)
                octets = parts.udh(octets)[1]
            placed[at] = coding.decode(pdu.data_coding, octets) or ""
        return "".join(text for _, text in sorted(placed.items()))

    async def test_a_carrier_s_own_alphabet(self) -> None:
        """data_coding 0 as Latin-1, both ways; receipts are matched all the same."""
        north = await self.north(alphabet="latin1")
        esme = await self.esme()
        septets = gsm.encode("Déjà_vu @ £5")
        assert septets is not None
        await esme.submit("ACME", HANDSET, septets, registered_delivery=1)
        [sent] = await self.sent(north, 1)
        assert (sent.data_coding, sent.short_message) == (0, "Déjà_vu @ £5".encode("latin-1"))
        await esme.delivered(1)
        north.smsc.deliver(
            [
                DeliverSm(
                    source_addr=HANDSET.encode(),
                    destination_addr=NUMBER.encode(),
                    short_message="Señor_é".encode("latin-1"),
                )
            ]
        )
        await esme.delivered(2)
        [mo] = esme.messages
        assert (mo.data_coding, gsm.decode(mo.short_message)) == (0, "Señor_é")

    async def test_a_carrier_that_packs(self) -> None:
        """Septets are packed on its side only."""
        north = await self.north(packed=True)
        esme = await self.esme()
        await esme.submit("ACME", HANDSET, b"hellohello", registered_delivery=1)
        [sent] = await self.sent(north, 1)
        assert sent.short_message == gsm.pack(b"hellohello")
        await esme.delivered(1)
        north.smsc.deliver(
            [
                DeliverSm(
                    source_addr=HANDSET.encode(),
                    destination_addr=NUMBER.encode(),
                    short_message=gsm.pack(b"good morning"),
                )
            ]
        )
        await esme.delivered(2)
        [mo] = esme.messages
        assert mo.short_message == b"good morning"

    async def test_national_shift_tables_on_request(self) -> None:
        """A Turkish text by HTTP goes in one part."""
        north = await self.smsc()
        text = "Şişli'de ağır ışık " * 7
        await self.apply(account(national="tr"), carrier("north", north.port), route("north"))
        await north.smsc.bound()
        status, body = await self.rest(
            {"source": NUMBER, "destination": f"+{HANDSET}", "messageText": text}
        )
        assert status == 200, body
        [sent] = await self.sent(north, 1)
        header, octets = parts.udh(sent.short_message)
        assert (sent.data_coding, header) == (0, b"\x03\x25\x01\x01")
        assert coding.decode(0, octets, header) == text

    async def test_parts_of_an_mo_are_kept_for_keywords(self) -> None:
        """They come in any order, and the whole goes to whose keyword it begins with."""
        north = await self.north()
        number = '[[account.number]]\naddress = "447700900999"\nkeyword = "WIN"\n'
        await self.apply(account() + number, carrier("north", north.port), route("north"))
        esme = await self.esme()
        pieces = parts.split(("win " + "x" * 300).encode(), 0, 9)
        for piece in (*reversed(pieces), pieces[0]):
            north.smsc.deliver(
                [
                    DeliverSm(
                        source_addr=HANDSET.encode(),
                        destination_addr=b"447700900999",
                        esm_class=UDHI,
                        short_message=piece,
                    )
                ]
            )
        await esme.delivered(1)
        [mo] = esme.messages
        assert mo.tlvs == [(Tag.MESSAGE_PAYLOAD, b"win " + b"x" * 300)]
        assert self.gateway.inbound.joining.waiting == 0

    async def test_a_full_queue_pushes_back(self) -> None:
        """ESME_RMSGQFUL, until the carrier has taken some."""
        north = await self.smsc()
        await self.apply(
            account(), carrier("north", north.port, queue_limit=1, rate=0.001), route("north")
        )
        await north.smsc.bound()
        esme = await self.esme()
        statuses = [(await esme.submit("ACME", HANDSET, b"Hi")).status for _ in range(5)]
        assert Status.ESME_RMSGQFUL in statuses
        assert statuses[0] == Status.ESME_ROK

    async def test_parts_of_an_esme_go_by_one_carrier(self) -> None:
        """Whatever the routes would say of each."""
        carriers = [await self.smsc(), await self.smsc()]
        routes = ""
        for name, one in zip(("north", "south"), carriers, strict=True):
            routes += carrier(name, one.port) + route(name, name=name) + 'select = "round-robin"\n'
        await self.apply(account(), routes)
        for one in carriers:
            await one.smsc.bound()
        esme = await self.esme()
        for reference in range(4):
            for piece in parts.split(b"x" * 400, 0, reference):
                answer = await esme.submit("ACME", HANDSET, piece, esm_class=UDHI)
                assert answer.status == Status.ESME_ROK
        for one in carriers:
            await one.smsc.arrived(6)
        ways = [
            {(parts.concat(pdu.short_message) or ())[0] for pdu in one.smsc.submits}
            for one in carriers
        ]
        assert sorted(map(len, ways)) == [2, 2]
        assert not ways[0] & ways[1]

    async def test_sources_without_a_type_are_told_one(self) -> None:
        """L-D16: letters, short codes, international and national numbers."""
        north = await self.north()
        esme = await self.esme()
        given = (b"Example", b"80888", b"+4917604069001", b"07700900456", b"004917604069001")
        for source in given:
            answer = await esme.request(
                SubmitSm(source_addr=source, destination_addr=HANDSET.encode(), short_message=b"Hi")
            )
            assert answer.status == Status.ESME_ROK
        assert [
            (pdu.source_addr, pdu.source_addr_ton) for pdu in await self.sent(north, len(given))
        ] == [
            (b"Example", 5),
            (b"80888", 3),
            (b"4917604069001", 1),
            (b"447700900456", 1),
            (b"4917604069001", 1),
        ]

    async def test_numbers_in_a_carrier_s_national_form(self) -> None:
        """Both ways; receipts are matched all the same."""
        north = await self.north(country="44", send_national="trunk")
        esme = await self.esme()
        await esme.submit("ACME", HANDSET, b"Hi", registered_delivery=1)
        [sent] = await self.sent(north, 1)
        assert (sent.destination_addr, sent.dest_addr_ton) == (b"0" + HANDSET[2:].encode(), 2)
        await esme.delivered(1)
        assert esme.deliveries[0].source_addr == HANDSET.encode()
        north.smsc.deliver(
            [
                DeliverSm(
                    source_addr=HANDSET[2:].encode(),
                    source_addr_ton=2,
                    destination_addr=b"0" + NUMBER[2:].encode(),
                    short_message=b"Hello",
                )
            ]
        )
        await esme.delivered(2)
        [mo] = esme.messages
        assert (mo.source_addr, mo.destination_addr) == (HANDSET.encode(), NUMBER.encode())
