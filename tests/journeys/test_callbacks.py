"""From a handset to a URL and a mailbox, and from REST to its receipt, over real sockets."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw import signature
from smsgw.config import Config, Domains, Http, Smpp, Smtp
from smsgw.dialects import Aaisp, Aerialink
from smsgw.service import Gateway
from smsgw.testing.sinks import HttpSink, MailSink
from tests.integration.scene import HANDSET, NUMBER, Scene, account, carrier, route
from tests.journals import a_store
from tests.running import free_ports


class CallbacksTest(Scene):
    """A gateway that may call this machine, with a server for callbacks and one for mail."""

    async def begin(self, **settings: Any) -> None:
        """Starts all of it; ``settings`` are of the account."""
        self.http_port, self.admin_port = free_ports(2)
        self.sink, self.mailbox = HttpSink(reactor), MailSink(reactor)
        url = f"http://127.0.0.1:{await self.sink.start()}"
        relay = f"127.0.0.1:{await self.mailbox.start()}"
        for one in (self.sink, self.mailbox):
            self.addCleanup(lambda one=one: Deferred.fromCoroutine(one.stop()))
        config = Config(
            smpp=Smpp(listen=[]),
            http=Http(
                listen=[f"tcp:{self.http_port}:interface=127.0.0.1"],
                admin=[f"tcp:{self.admin_port}:interface=127.0.0.1"],
            ),
            smtp=Smtp(relay=relay, domains=Domains(sms="sms.example.com")),
            aaisp=Aaisp(allow_private_callbacks=True),
            aerialink=Aerialink(allow_private_callbacks=True, allow_plain_http="loopback"),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        self.north = await self.smsc()
        targets = f'targets = ["{url}/in?", "alice@example.com"]\nsecret = "s3cret"\n'
        await self.apply(
            account(callback=f"{url}/dlr", **settings) + targets,
            carrier("north", self.north.port),
            route("north"),
        )
        await self.north.smsc.bound()

    async def test_message_goes_to_every_target(self) -> None:
        """By HTTP, signed, and by e-mail (A-R1); then nothing waits any more."""
        await self.begin()
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Grüße")
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        await self.mailbox.when(lambda: len(self.mailbox.mails) == 1)
        [got] = self.sink.requests
        fields = got.fields
        assert (fields["oa"], fields["da"], fields["ud"]) == (HANDSET, NUMBER, "Grüße")
        header = got.headers["x-signature"]
        at = int(header[2 : header.index(",")])
        assert signature.verify(header, "s3cret", "GET", got.target, b"", at)
        assert self.mailbox.mails[0].recipients == ["alice@example.com"]

    async def test_rest_message_has_its_receipt(self) -> None:
        """The callback is told of the message by its GUID."""
        await self.begin()
        _, answer = await self.rest(
            {
                "source": NUMBER,
                "destination": HANDSET,
                "messageText": "Hello",
                "registeredDelivery": 1,
                "clientReference": "A-17",
            }
        )
        guid = answer["transactions"]["transaction"]["transactionGUID"]
        requests = self.sink.requests
        await self.sink.when(lambda: any("Receipt" in r.body.decode() for r in requests))
        receipt = requests[-1].fields
        assert requests[-1].target == "/dlr"
        assert (receipt["transactionGUIDlinked"], receipt["messageState"]) == (guid, "DELIVRD")
        assert (receipt["extendedStatusCode"], receipt["clientReference"]) == ("40001", "A-17")
