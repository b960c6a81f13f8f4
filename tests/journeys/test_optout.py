"""Opting out, blocks, content and duplicates over real sockets, as customers see them (I4)."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.dialects import Aerialink
from smsgw.service import Gateway
from smsgw.testing.esme import Esme
from smsgw.testing.smsc import SimulatedCarrier
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, Scene, account, carrier, post, route
from tests.journals import a_store
from tests.running import free_ports

BLOCKED = "447700900200"
PILLS = '[[filter]]\nname = "pills"\ntext = "(?i)pills"\n'


class OptOutTest(Scene):
    """A gateway with a carrier; each test has the statuses of all reasons in one profile."""

    timeout = 60

    def setUp(self) -> "Deferred[None]":
        """Starts the gateway, which stops, in order, at the end."""
        self.smpp_port, self.link_port, self.http_port, self.admin_port = free_ports(4)
        on = "tcp:{}:interface=127.0.0.1".format
        listeners = [
            SmppListener(on(self.smpp_port)),
            SmppListener(on(self.link_port), profile="link"),
        ]
        config = Config(
            smpp=Smpp(listen=listeners),
            http=Http(listen=[on(self.http_port)], admin=[on(self.admin_port)]),
            aerialink=Aerialink(allow_plain_http="loopback"),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        return self.gateway.ready

    async def north(self) -> SimulatedCarrier:
        """A handset has opted out, a number is blocked, pills are filtered, nothing goes twice."""
        north = await self.smsc()
        acme = account(duplicate_window_s=60, balance="1.00")
        await self.apply(acme, carrier("north", north.port), route("north", prefix="44"), PILLS)
        await north.smsc.bound()
        made = await self.posted("/admin/lists", account="acme", name="blocked", type="block")
        await self.posted(f"/admin/lists/{made['id']}/members", numbers=["+44 7700 900200"])
        north.smsc.mobile_originated(HANDSET, NUMBER, "Stop.")
        await until(reactor, lambda: len(north.smsc.submits) == 1, "the confirmation")
        return north

    async def posted(self, path: str, **document: Any) -> Any:
        """What the admin API answers to a POST."""
        url = f"http://127.0.0.1:{self.admin_port}{path}"
        status, body = await deferToThread(post, url, document)
        assert status in (200, 201), body
        return body

    async def statuses(self, esme: Esme) -> list[int]:
        """Of a message that is opted out, blocked, filtered, sent twice, and without a route."""
        found = []
        for destination, text in (
            (HANDSET, b"Hello"),
            (BLOCKED, b"Hello"),
            ("447700900124", b"Free PILLS"),
            ("447700900124", b"Hello"),
            ("447700900124", b"Hello"),
            ("33123456789", b"Hello"),
        ):
            found.append((await esme.submit(NUMBER, destination, text)).status)
        return found

    async def test_by_smpp_with_vendor_statuses(self) -> None:
        """0x400 and the code of REST (E-D15, E-D16); none of it is charged."""
        await self.north()
        esme = await self.esme()
        assert await self.statuses(esme) == [0x434, 0x433, 0x437, 0, 0x437, 0x432]
        # The keyword is handed over all the same.
        await esme.delivered(1)
        assert esme.messages[0].short_message == b"Stop."
        # The confirmation, and the one that was sent.
        assert (await self.admin("/admin/balances/acme"))["balance"] == "0.98"

    async def test_start_opens_again(self) -> None:
        """By SMPP and by REST."""
        north = await self.north()
        north.smsc.mobile_originated(HANDSET, NUMBER, "START")
        await until(reactor, lambda: len(north.smsc.submits) == 2, "the confirmation")
        esme = await self.esme()
        assert (await esme.submit(NUMBER, HANDSET, b"Hello")).status == 0
        asked = {"source": NUMBER, "destination": HANDSET, "messageText": "Hello again"}
        status, body = await self.rest(asked)
        assert (status, body["code"]) == (200, 10)

    async def test_by_smpp_with_statuses_of_link(self) -> None:
        """Those of spec/link-smpp.md 4.4 (ruling 4)."""
        await self.north()
        self.smpp_port = self.link_port
        esme = await self.esme()
        assert await self.statuses(esme) == [0x0B, 0x0B, 0x45, 0, 0x45, 0x0B]

    async def test_by_rest_with_a_transaction_that_is_kept(self) -> None:
        """Codes 52, 51, 55, 50, at the submission and whenever its status is asked for."""
        await self.north()
        for destination, text, code, extended in (
            (HANDSET, "Hello", 52, 30003),
            (BLOCKED, "Hello", 51, 30003),
            ("447700900124", "Free pills", 55, 30004),
            ("447700900124", "Hello", 10, 10000),
            ("447700900124", "Hello", 55, 30004),
            ("33123456789", "Hello", 50, 30003),
        ):
            asked = {"source": NUMBER, "destination": destination, "messageText": text}
            status, body = await self.rest(asked)
            assert (status, body["code"]) == (200, code), body
            transaction = body["transactions"]["transaction"]
            assert transaction["extendedStatusCode"] == extended
            if code != 10:
                found = await self.transaction(transaction["transactionGUID"])
                assert (found["code"], found["messageState"]) == (code, "REJECTD")
                assert found["extendedStatusCode"] == extended
                # It is read back from the store as well.
                self.gateway.known.known.clear()
                found = await self.transaction(transaction["transactionGUID"])
                assert found["code"] == code
