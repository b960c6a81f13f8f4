"""Targets with real sockets: an MO reaches its URLs through kill -9, and dead letters are put
back."""

import json
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from smsgw.message import UDHI
from smsgw.smpp.pdu import DeliverSm
from smsgw.testing.sinks import SILENCE, HttpSink
from smsgw.text import parts
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, Scene, carrier, route, until_asked
from tests.running import GatewayProcess

CONFIG = """
[aaisp]
allow_private_callbacks = true
"""


class TargetTests(Scene):
    async def setUp(self) -> None:
        self.sinks = [HttpSink(reactor), HttpSink(reactor)]
        ports = []
        for sink in self.sinks:
            ports.append(await sink.start())
            self.addCleanup(sink.stop)
        self.north = await self.smsc()
        self.gateway = GatewayProcess(Path(temporary_folder(self)), CONFIG)
        await deferToThread(self.gateway.start)
        self.addCleanup(self.gateway.stop)
        self.admin_port = self.gateway.admin_port
        self.urls = [f"http://127.0.0.1:{port}/in?key=s3cret&" for port in ports]
        number = f'[[account.number]]\naddress = "{NUMBER}"\ntargets = {json.dumps(self.urls)}\n'
        await self.apply(
            f'[[account]]\nname = "acme"\n{number}',
            carrier("north", self.north.port),
            route("north"),
        )
        await self.north.smsc.bound()

    async def came(self, sink: HttpSink, count: int) -> list[dict[str, str]]:
        """The fields of the requests, once so many have come."""
        await until(reactor, lambda: len(sink.requests) >= count, f"{count} requests")
        return [request.fields for request in sink.requests]

    async def at_rest(self) -> None:
        async def nothing() -> bool:
            return await self.waiting() == {}

        await until_asked(nothing, "empty queues")

    async def cli(self, *arguments: str) -> Any:
        return json.loads(await deferToThread(self.gateway.cli, *arguments, "--json"))

    async def test_each_url_gets_it_and_a_kill_loses_nothing(self) -> None:
        """I1, I2: what was delivered is not delivered again, what was under way is."""
        good, slow = self.sinks
        slow.answers = [SILENCE, 200]
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Grüße")
        for sink in self.sinks:
            [fields] = await self.came(sink, 1)
            assert (fields["oa"], fields["da"], fields["ud"]) == (HANDSET, NUMBER, "Grüße")
            assert fields["key"] == "s3cret"

        async def one_waits() -> bool:
            return list((await self.waiting()).values()) == [1]

        await until_asked(one_waits, "the other is settled")
        await deferToThread(self.gateway.kill)
        await deferToThread(self.gateway.start)
        first, second = await self.came(slow, 2)
        assert first == second
        await self.at_rest()
        assert len(good.requests) == 1

    async def test_parts_that_were_acknowledged_outlive_a_kill(self) -> None:
        """I1: a long message is whole when its last part comes to the next process."""
        text = "The quick brown fox jumps over the lazy dog. " * 8
        first, *others = (
            DeliverSm(
                source_addr=HANDSET.encode(),
                destination_addr=NUMBER.encode(),
                esm_class=UDHI,
                short_message=octets,
            )
            for octets in parts.split(text.encode(), 0, 7)
        )
        smsc = self.north.smsc
        smsc.deliver(list(others))
        await smsc.when(lambda: smsc.counts.mo_answered == len(others))
        await deferToThread(self.gateway.kill)
        await until(reactor, lambda: not smsc.sessions, "the end of the link")
        await deferToThread(self.gateway.start)
        await smsc.bound()
        smsc.deliver([first])
        for sink in self.sinks:
            [fields] = await self.came(sink, 1)
            assert (fields["ud"], fields.get("udh", "")) == (text, "")
        await self.at_rest()

    async def test_dead_letters_are_put_back(self) -> None:
        """By the command line, while the gateway runs."""
        good, bad = self.sinks
        bad.answers = [404, 200]
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Hi")
        await self.came(bad, 1)
        await self.at_rest()
        [letter] = await self.cli("queues", "dead", "--account", "acme")
        assert (letter["event"], letter["reason"]) == ("mo", "HTTP 404")
        assert "s3cret" not in letter["queue"]
        message = await self.message(letter["message"])
        assert (message["state"], len(message["targets"])) == ("DELIVRD", 2)
        assert await self.cli("queues", "retry", "--queue", letter["queue"]) == {"count": 1}
        await self.came(bad, 2)
        await self.at_rest()
        assert await self.cli("queues", "dead") == []
        assert len(good.requests) == 1
        assert (await self.message(letter["message"]))["state"] == "DELIVRD"
