"""Messages that change carriers, in one process over real sockets of loopback."""

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.message import MessageState
from smsgw.service import Gateway
from smsgw.testing.script import Plan, SmscScript
from smsgw.testing.smsc import SimulatedCarrier
from tests.integration.scene import HANDSET, Scene, account, carrier, route
from tests.journals import a_store
from tests.running import free_ports

UNDELIVERED = Plan(state=MessageState.UNDELIVERABLE)


class RoutesTest(Scene):
    """A gateway on an empty store, with two carriers and a route by both."""

    timeout = 60

    def setUp(self) -> "Deferred[None]":
        """Starts the gateway, which stops, in order, at the end."""
        self.smpp_port, self.http_port, self.admin_port = free_ports(3)
        local = [f"tcp:{port}:interface=127.0.0.1" for port in (self.smpp_port, self.http_port)]
        admin = f"tcp:{self.admin_port}:interface=127.0.0.1"
        config = Config(
            smpp=Smpp(listen=[SmppListener(local[0])]), http=Http(listen=[local[1]], admin=[admin])
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        return self.gateway.ready

    async def carriers(self, plan: Plan, routed: str) -> tuple[SimulatedCarrier, SimulatedCarrier]:
        """North, which does with messages as planned, and south, which delivers them; bound."""
        north = await self.smsc(SmscScript(decide=lambda _: plan))
        south = await self.smsc()
        await self.apply(
            account(),
            carrier("north", north.port),
            carrier("south", south.port, transliterate=True),
            route("north", "south") + routed,
        )
        await north.smsc.bound()
        await south.smsc.bound()
        return north, south

    async def test_what_one_carrier_cannot_deliver_the_next_one_does(self) -> None:
        """The ESME hears of it once: that it was delivered; the next carrier got it as it likes."""
        north, south = await self.carriers(UNDELIVERED, "failover_undelivered = true\n")
        esme = await self.esme()
        text = "Łódź".encode("utf-16-be")
        answer = await esme.submit("ACME", HANDSET, text, data_coding=8, registered_delivery=1)
        await esme.delivered(1)
        (receipt,) = esme.receipts
        assert receipt.id.encode() == answer.message_id
        assert receipt.state == MessageState.DELIVERED
        (first,) = north.smsc.submits
        assert (first.short_message, first.data_coding) == (text, 8)
        (second,) = south.smsc.submits
        assert (second.short_message, second.data_coding) == (b"Lodz", 0)
        shown = await self.message(answer.message_id)
        assert (shown["carrier"], shown["state"], shown["queued"]) == ("south", "DELIVRD", [])

    async def test_what_waits_too_long_for_one_carrier_the_next_one_gets(self) -> None:
        """While the first one, whose window is full, does not answer."""
        north, south = await self.carriers(Plan(taken=False), "queue_time_s = 1\n")
        esme = await self.esme()
        for n in range(12):  # two more than the window
            await esme.submit("ACME", HANDSET, b"Hello %d" % n, registered_delivery=1)
        await esme.delivered(2)
        assert len(north.smsc.submits) == 10
        texts = [pdu.short_message for pdu in south.smsc.submits]
        assert texts == [b"Hello 10", b"Hello 11"]
