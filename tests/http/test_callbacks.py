"""Callbacks to real servers: what each dialect makes of answers, failover, signatures."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw import signature
from smsgw.config import Config
from smsgw.dialects import Aaisp, Aerialink, Aql
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Told
from smsgw.http.callbacks import Callbacks
from smsgw.message import MessageState
from smsgw.provisioning.targets import Target, callback_of, report_of
from smsgw.testing import sinks
from smsgw.testing.sinks import Answer, HttpSink
from tests.deliveries import delivery, mo, mt
from tests.outside import World

ALLOWED = Config(
    aaisp=Aaisp(allow_private_callbacks=True),
    aql=Aql(allow_private_callbacks=True),
    aerialink=Aerialink(allow_private_callbacks=True),
)


class CallbacksCase(TestCase):
    """Sinks on loopback, and callbacks that may go there."""

    timeout = 20

    def setUp(self) -> None:
        """The callbacks."""
        self.world = World()
        self.callbacks = Callbacks(ALLOWED, self.world)
        self.addCleanup(self.callbacks.stop)

    async def sink(self, *answers: Any) -> tuple[HttpSink, str]:
        """One more, and its address."""
        sink = HttpSink(self.world)
        if answers:
            sink.answers = answers
        port = await sink.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(sink.stop()))
        return sink, f"http://127.0.0.1:{port}"

    async def closed(self) -> str:
        """The address of nobody."""
        sink, url = await self.sink()
        await sink.stop()
        return url

    def tell(self, *given: Any, **account: Any) -> Deferred[Told]:
        """Delivers; a second later there is no other address to try."""
        told = self.callbacks.deliver(delivery(*given, **account))
        self.world.clock.advance(1)
        return told


class Aaisps(CallbacksCase):
    """Targets and reports of the aaisp dialect."""

    async def test_message(self) -> None:
        """It arrives as a form, a query, or an object."""
        sink, url = await self.sink(200, 204, 201)
        for target, detail in (("*" + url, 200), (url + "/in?key=1&", 204), ("!" + url, 201)):
            assert await self.tell(mo(), target) == Told(DELIVERED, f"HTTP {detail}")
        post, get, json = sink.requests
        assert post.fields["ud"] == post.fields["message"] == "Grüße"
        assert get.target.startswith("/in?key=1&scts=2026-03-14T10%3A15%3A02%2B00%3A00&da=")
        assert json.headers["content-type"] == "application/json"

    async def test_what_answers_mean(self) -> None:
        """2xx is delivered; 4xx is for good but for 408 and 429; others are tried again (A-D13,
        ruling 17)."""
        for status, result in (
            (200, DELIVERED),
            (299, DELIVERED),
            (301, FAILED),
            (400, REFUSED),
            (404, REFUSED),
            (410, REFUSED),
            (408, FAILED),
            (429, FAILED),
            (500, FAILED),
            (503, FAILED),
        ):
            _, url = await self.sink(status)
            assert await self.tell(mo(), url) == Told(result, f"HTTP {status}")

    async def test_body_does_not_matter(self) -> None:
        """A status in time is enough, though the body never ends (A-D13)."""
        sink, url = await self.sink(Answer(200, b"x" * 70_000, stall=True))
        assert (await self.tell(mo(), url)).result == DELIVERED
        await sink.when(lambda: not sink.open)

    async def test_silence_is_ten_seconds(self) -> None:
        """Then it has failed, and is tried again."""
        sink, url = await self.sink(sinks.SILENCE)
        told = self.callbacks.deliver(delivery(mo(), url))
        await sink.when(lambda: len(sink.requests) == 1)
        self.world.clock.advance(10)
        assert await told == Told(FAILED, "no answer in time")

    async def test_report(self) -> None:
        """The URL of srr with its placeholders filled."""
        sink, url = await self.sink()
        target = report_of(url + "/dlr?c=%code&to=%da")
        told = [
            await self.tell(mt(MessageState.ENROUTE), target, "progress"),
            await self.tell(mt(), target, "receipt"),
        ]
        assert [one.result for one in told] == [DELIVERED, DELIVERED]
        assert [one.target for one in sink.requests] == [
            "/dlr?c=8&to=447700900123",
            "/dlr?c=1&to=447700900123",
        ]

    async def test_private_address_needs_permission(self) -> None:
        """By default no callback goes into the operator's network (I6)."""
        sink, url = await self.sink()
        callbacks = Callbacks(Config(), self.world)
        self.addCleanup(callbacks.stop)
        for target in (Target("http", url), Target("http", url, dialect="aql", method="GET")):
            told = await callbacks.deliver(delivery(mo(), target))
            assert told == Told(FAILED, "address not allowed")
        assert sink.connections == 0

    async def test_unusable_url_is_refused(self) -> None:
        """A URL of which no request can be made stays one."""
        told = await self.tell(mo(), Target("http", "http://h/\r\nHost: x"))
        assert told == Told(REFUSED, "blank or control character in the URL")


class Signatures(CallbacksCase):
    """Who has a secret gets signed callbacks."""

    async def test_secret_of_the_number_then_of_the_account(self) -> None:
        """The number's own comes first; without any there is no header."""
        sink, url = await self.sink()
        await self.tell(mo(), url, secret="n", callback_secret="a")
        await self.tell(mo(), url + "/x?", callback_secret="a")
        await self.tell(mt(), report_of(url + "/r?"), "receipt", callback_secret="a")
        await self.tell(mo(), url)
        for got, secret in zip(sink.requests, ("n", "a", "a"), strict=False):
            header = got.headers["x-signature"]
            at = int(header[2 : header.index(",")])
            assert signature.verify(header, secret, got.method, got.target, got.body, at)
        assert "x-signature" not in sink.requests[3].headers


class Aqls(CallbacksCase):
    """Relays: several URLs, in order."""

    def relay(self, *urls: str, method: str = "GET") -> Target:
        """One target of ``urls``."""
        return Target("http", ",".join(urls), dialect="aql", method=method)

    async def test_worked_examples(self) -> None:
        """The requests of spec/aql.md section 5, byte for byte."""
        sink, url = await self.sink()
        message = mo("Hello & bye", destination="441134960001")
        variables = url + "/callback.php?id=%i&orig=%o&msg=%m"
        await self.tell(message, self.relay(variables))
        await self.tell(message, self.relay(url + "/in", method="POST"))
        get, post = sink.requests
        assert get.head.startswith(
            b"GET /callback.php?id=9000017&orig=447700900123&msg=Hello+%26+bye HTTP/1.1\r\n"
        )
        assert post.head.startswith(b"POST /in HTTP/1.1\r\n")
        assert post.headers["content-type"] == "application/x-www-form-urlencoded"
        assert post.body == (
            b"originator=447700900123&destination=441134960001&message=Hello+%26+bye"
            b"&time=2026-03-14+10%3A15%3A02&unix_time=1773483302&udh=&id=9000017"
        )

    async def test_next_url_if_one_cannot_be_contacted(self) -> None:
        """Refused connections, unknown hosts, 502, 503 and 504 (Q-R18, Q-D17)."""
        for status in (502, 503, 504):
            first, one = await self.sink(status)
            second, two = await self.sink()
            told = self.tell(mo(), self.relay(await self.closed(), "http://nowhere/", one, two))
            while not told.called:
                self.world.clock.advance(0.4)
                await self.turn()
            assert await told == Told(DELIVERED, "HTTP 200")
            assert (len(first.requests), len(second.requests)) == (1, 1)

    async def turn(self) -> None:
        """The reactor does what is due."""
        turned: Deferred[None] = Deferred()
        self.world.__getattr__("callLater")(0, turned.callback, None)
        await turned

    async def test_contacted_ends_it(self) -> None:
        """Any other answer is the end of this attempt, which is made again (Q-D17, Q-D18)."""
        for status in (301, 400, 404, 500):
            first, one = await self.sink(status)
            second, two = await self.sink()
            assert await self.tell(mo(), self.relay(one, two)) == Told(FAILED, f"HTTP {status}")
            assert (len(first.requests), len(second.requests)) == (1, 0)

    async def test_no_whole_answer_is_not_contacted(self) -> None:
        """A body that does not end is no complete response (Q-D17)."""
        first, one = await self.sink(Answer(200, b"x", stall=True))
        second, two = await self.sink()
        told = self.callbacks.deliver(delivery(mo(), self.relay(one, two)))
        await first.when(lambda: len(first.requests) == 1)
        self.world.clock.advance(10)
        assert await told == Told(DELIVERED, "HTTP 200")
        assert len(second.requests) == 1

    async def test_all_fail(self) -> None:
        """The last reason is told."""
        _, one = await self.sink(503)
        told = await self.tell(mo(), self.relay(one))
        assert told == Told(FAILED, "HTTP 503")


class Aerialinks(CallbacksCase):
    """Receipts of REST messages, to the account's callback."""

    async def test_receipt_and_acknowledgement(self) -> None:
        """A form each, to which 2xx within 15 s is the success (E-D19)."""
        sink, url = await self.sink(200, 200, sinks.SILENCE)
        account = delivery(mt(), "null", callback=url + "/dlr").account
        target = callback_of(account)
        assert (await self.tell(mt(MessageState.ENROUTE), target, "progress")).result == DELIVERED
        assert (await self.tell(mt(), target, "receipt")).result == DELIVERED
        first, second = sink.requests
        assert first.fields["messageType"] == "Acknowledgement"
        assert second.fields["messageType"] == "Receipt"
        assert second.fields["extendedStatusCode"] == "40001"

        told = self.callbacks.deliver(delivery(mt(), target, "receipt"))
        await sink.when(lambda: len(sink.requests) == 3)
        self.world.clock.advance(14)
        assert not told.called
        self.world.clock.advance(1)
        assert await told == Told(FAILED, "no answer in time")

    async def test_whatever_is_no_success_is_tried_again(self) -> None:
        """E-R28 knows no refusal for good."""
        for status in (302, 400, 404, 410, 500):
            _, url = await self.sink(status)
            target = Target("http", url, dialect="aerialink", method="POST")
            told = await self.tell(mt(), target, "receipt")
            assert told == Told(FAILED, f"HTTP {status}")


class Stops(CallbacksCase):
    """The end of the gateway."""

    async def test_stop_waits_for_what_is_under_way(self) -> None:
        """Ten seconds, after which it is given up; the entry is still in the queue."""
        sink, url = await self.sink(sinks.SILENCE)
        target = Target("http", url, dialect="aerialink", method="POST")
        told = self.callbacks.deliver(delivery(mt(), target, "receipt"))
        await sink.when(lambda: len(sink.requests) == 1)
        stopped = self.callbacks.stop()
        assert not stopped.called
        self.world.clock.advance(10)
        await stopped
        assert await told == Told(FAILED, "no answer in time")

    async def test_nothing_under_way(self) -> None:
        """It stops at once."""
        await self.callbacks.stop()
