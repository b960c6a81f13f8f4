"""outbind both ways over real sockets: carriers that call us, and clients that we call."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import ServerFactory

from smsgw.message import MessageState
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import BindReceiver, BindTransceiver, BindTransmitter, Outbind
from smsgw.testing.esme import Esme
from smsgw.testing.peer import Watch
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, SECRET, account, carrier, route
from tests.journeys.gateway import GatewayCase, on_loopback

CALLS = {
    "outbind": True,
    "outbind_system_id": "theirs",
    "outbind_password": "calling",
    "outbind_allow": ["127.0.0.1"],
}


class CarrierCallsTest(GatewayCase):
    """A carrier form with ``outbind = true``."""

    def smpp_settings(self) -> dict[str, Any]:
        return {"outbind_listen": [on_loopback(self.calls_port)]}

    async def provided(self, **settings: Any) -> Any:
        """A carrier that may call; not bound yet."""
        north = await self.smsc()
        form = carrier("north", north.port, **CALLS, **settings)
        await self.apply(account(), form, route("north"))
        await until(reactor, lambda: "north" in self.gateway.carriers.sides, "the carrier")
        return north

    async def call(self, north: Any, system_id: str = "theirs", password: str = "calling") -> Any:
        return await north.smsc.outbind(reactor, self.calls_port, system_id, password)

    async def test_we_bind_on_the_connection_of_a_carrier_that_calls(self) -> None:
        """As transceiver with its credentials: MT goes out and MO comes in on that link."""
        north = await self.provided()
        assert not self.gateway.is_up("north")
        session = await self.call(north)
        await north.smsc.bound()
        assert north.smsc.counts.connections == 1  # its own
        (bind,) = north.smsc.binds
        assert isinstance(bind, BindTransceiver)
        assert (bind.system_id, bind.password) == (b"smsgw", b"secret")
        await until(reactor, lambda: self.gateway.is_up("north"), "the link")
        (shown,) = await self.gateway.operator.carriers()
        assert (shown.peer, shown.state) == ("called from 127.0.0.1", "up")
        esme = await self.esme()
        answer = await esme.submit("ACME", HANDSET, b"Hello", registered_delivery=1)
        assert answer.status == 0
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await esme.delivered(2)
        assert [pdu.short_message for pdu in esme.messages] == [b"Hi"]
        assert [receipt.state for receipt in esme.receipts] == [MessageState.DELIVERED]
        assert session.submits == 1

    async def test_when_the_link_is_lost_it_waits_for_the_next_call(self) -> None:
        """It does not connect by itself; what was accepted meanwhile goes out then (I1)."""
        north = await self.provided()
        session = await self.call(north)
        await self.is_up()
        session.close()
        await until(reactor, lambda: not self.gateway.is_up("north"), "the end of the link")
        (shown,) = await self.admin("/admin/carriers")
        assert (shown["state"], shown["links_up"]) == ("waiting", 0)
        esme = await self.esme()
        assert (await esme.submit("ACME", HANDSET, b"Hello")).status == 0
        await self.call(north)
        await north.smsc.arrived(1)
        assert north.smsc.counts.connections == 2

    async def test_beside_our_transmitter_it_is_the_receiver(self) -> None:
        """MT goes out before the carrier calls; MO come on the connection that it makes."""
        north = await self.provided(bind="transmitter+receiver")
        await self.is_up()
        esme = await self.esme()
        assert (await esme.submit("ACME", HANDSET, b"Hello")).status == 0
        await north.smsc.arrived(1)
        await self.call(north)
        await north.smsc.bound(2)
        assert [type(bind) for bind in north.smsc.binds] == [BindTransmitter, BindReceiver]
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await esme.delivered(1)

    async def test_wrong_credentials_are_closed_and_counted(self) -> None:
        """Neither a wrong password nor a wrong name is bound to; the right call still works."""
        north = await self.provided()
        for wrong in ({"password": "wrong"}, {"system_id": "other"}):
            session = await self.call(north, **wrong)
            await north.smsc.when(lambda session=session: not session.open)
        assert not north.smsc.binds
        assert self.gateway.listeners.calls[0].refused == 2
        await self.call(north)
        await north.smsc.bound()

    async def test_a_second_call_is_closed_while_the_links_are_there(self) -> None:
        """``binds`` links are as many as there are."""
        north = await self.provided()
        await self.call(north)
        await self.is_up()
        second = await self.call(north)
        await north.smsc.when(lambda: not second.open)
        assert self.gateway.is_up("north")
        assert self.gateway.listeners.calls[0].refused == 1

    async def test_an_address_that_no_carrier_calls_from_is_closed_without_an_octet(self) -> None:
        """Ruling 7 holds here too."""
        north = await self.smsc()
        calls = {**CALLS, "outbind_allow": ["192.0.2.1"]}
        await self.apply(carrier("north", north.port, **calls))
        stranger = Esme()
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.calls_port)
        await connectProtocol(endpoint, stranger)
        await stranger.closed()
        assert stranger.other == []


class Client(ServerFactory):
    """A client that waits to be called: each call is an ``Esme``."""

    def __init__(self) -> None:
        self.calls: list[Esme] = []
        self._watch = Watch()

    def buildProtocol(self, addr: object) -> Esme:
        esme = Esme()
        self.calls.append(esme)
        self._watch.check()
        return esme

    async def called(self, count: int = 1) -> Esme:
        """The call number ``count``, once its outbind has come."""
        await self._watch.when(lambda: len(self.calls) >= count)
        esme = self.calls[count - 1]
        await esme.when(lambda: bool(esme.other))
        return esme


class ClientIsCalledTest(GatewayCase):
    """A login with ``outbind = "host:port"``."""

    def smpp_settings(self) -> dict[str, Any]:
        return {"outbind_private": True}

    async def provided(self, allow: str = "127.0.0.0/8") -> tuple[Any, Client]:
        """A carrier that is up, an account whose client listens."""
        client = Client()
        port = reactor.listenTCP(0, client, interface="127.0.0.1")

        async def end() -> None:
            for call in client.calls:
                call.close()
            await maybeDeferred(port.stopListening)
            await until(reactor, lambda: not any(c.open for c in client.calls), "the calls")

        self.addCleanup(lambda: Deferred.fromCoroutine(end()))
        north = await self.smsc()
        login = (
            f'outbind = "127.0.0.1:{port.getHost().port}"\noutbind_password = "ours"\n'
            f'kind = "smpp"\nbinds = 4\nwindow = 50\nusername = "acme"\npassword = "{SECRET}"\n'
            f'allow = ["{allow}"]\n'
        )
        form = (
            f'[[account]]\nname = "acme"\n[[account.credential]]\n{login}'
            f'[[account.number]]\naddress = "{NUMBER}"\n'
        )
        await self.apply(form, carrier("north", north.port), route("north"))
        await self.is_up()
        return north, client

    async def test_a_client_is_called_when_an_mo_waits(self) -> None:
        """It gets outbind, binds as receiver on that connection, and is handed the MO."""
        north, client = await self.provided()
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        esme = await client.called()
        (pdu,) = esme.other
        assert isinstance(pdu, Outbind)
        assert (pdu.system_id, pdu.password) == (b"smsgw", b"ours")
        answer = await esme.bind("receiver", "acme", SECRET)
        assert answer.status == 0
        await esme.delivered(1)
        assert [one.short_message for one in esme.messages] == [b"Hi"]
        (shown,) = await self.admin("/admin/accounts")
        assert shown["sessions"] == 1

    async def test_it_may_bind_from_wherever_it_was_called(self) -> None:
        """The allow-list is for those who call us; everything else is checked."""
        north, client = await self.provided(allow="192.0.2.1")
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        esme = await client.called()
        wrong = await esme.bind("transceiver", "acme", "guess")
        assert wrong.status == Status.ESME_RINVPASWD
        answer = await esme.bind("transceiver", "acme", SECRET)
        assert answer.status == 0
        await esme.delivered(1)

    async def test_only_the_login_that_was_called_may_bind_there_and_receive(self) -> None:
        """Another system_id gets 0x0D, a transmitter 0x04."""
        north, client = await self.provided()
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        esme = await client.called()
        other = await esme.bind("receiver", "other", SECRET)
        assert other.status == Status.ESME_RBINDFAIL
        sending = await esme.bind("transmitter", "acme", SECRET)
        assert sending.status == Status.ESME_RINVBNDSTS

    async def test_nobody_is_called_who_is_bound(self) -> None:
        """A session that receives gets the MO; there is no call."""
        north, client = await self.provided()
        esme = await self.esme()
        north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await esme.delivered(1)
        self.gateway.outbinds.review()
        assert client.calls == []
