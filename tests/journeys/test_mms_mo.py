"""MMS from handsets to URLs and mailboxes on real sockets (``spec/aerialink.md`` 4.6; rulings 20,
27, 29)."""

from typing import Any

from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw import signature
from smsgw.config import Config, Smtp
from smsgw.dialects import Aaisp, Aerialink, Aql
from smsgw.http import multipart
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import DeliveryReportReq
from smsgw.mm4.words import Status
from smsgw.s3 import Missing
from smsgw.testing.sinks import HttpSink, MailSink, Received
from tests.deliveries import opened
from tests.integration.scene import until_asked
from tests.journeys.mm4_scene import CARRIER_DOMAIN, GIF, HANDSET, NUMBER, Mm4Case, forward

VCARD = b"BEGIN:VCARD\r\nN:A\r\nEND:VCARD\r\n"


def parts(got: Received) -> dict[str, multipart.Field]:
    """The parts of a push, by name."""
    kind = got.headers["content-type"].encode()
    assert kind.startswith(b"multipart/form-data; boundary=")
    found = {one.name: one for one in multipart.fields(kind, got.body)}
    assert got.headers["content-length"] == str(len(got.body))
    return found


class Brought(Mm4Case):
    """A carrier brings MMS; servers of the customer take them."""

    async def begun(self, targets: str, account: str = "", number: str = "") -> None:
        """Starts all; ``targets`` and the other keys have URL for the customer's server."""
        self.sink = HttpSink(reactor)
        url = f"http://127.0.0.1:{await self.sink.start()}"
        self.addCleanup(lambda: Deferred.fromCoroutine(self.sink.stop()))
        self.post = MailSink(reactor)
        self.relay = await self.post.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.post.stop()))
        self.own = targets.replace("URL", url)
        self.keys = account.replace("URL", url)
        await self.begin(number.replace("URL", url))

    def configured(self, config: Config) -> Config:
        """Callbacks may go to this machine, and mail goes to the sink."""
        smtp: Smtp = evolve(config.smtp, relay=f"127.0.0.1:{self.relay}")
        private: dict[str, Any] = {"allow_private_callbacks": True}
        return evolve(
            config,
            smtp=smtp,
            aaisp=Aaisp(**private),
            aerialink=Aerialink(**private, retry_interval_s=1),
            aql=Aql(**private),
        )

    def targets(self) -> str:
        """Of the number."""
        return self.own

    def of_account(self) -> str:
        """Of the account."""
        return self.keys

    async def bring_one(self, parts: Content | None = None, **fields: Any) -> None:
        """One MMS from the handset."""
        await self.bring(forward(HANDSET, CARRIER_DOMAIN, NUMBER, **fields), parts)

    async def test_plain_url_gets_the_form_of_4_6(self) -> None:
        """Ruling 20: fields, and one file for each attachment, whatever the URL ends with; it is
        signed as every callback, and the carrier hears of the handover (ruling 17)."""
        await self.begun('["URL/in?"]', 'callback_secret = "key"')
        await self.bring_one(delivery_report=True)
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        [got] = self.sink.requests
        found = parts(got)
        assert (got.method, got.target) == ("POST", "/in")
        told = {name: one.octets.decode() for name, one in found.items() if name != "media1"}
        told.pop("transactionGUID")
        told.pop("receivedDate")
        assert told == {
            "messageType": "Deliver",
            "source": HANDSET,
            "destination": NUMBER,
            "subject": "Holiday",
            "messageText": "Greetings",
        }
        assert (found["media1"].octets, found["media1"].type) == (GIF, "image/gif")
        assert found["media1"].filename.endswith(".gif")
        header = got.headers["x-signature"]
        at = int(header[2 : header.index(",")])
        assert signature.verify(header, "key", "POST", got.target, got.body, at)
        [report] = await self.carrier.until(DeliveryReportReq)
        assert report.pdu.status is Status.RETRIEVED

    async def test_route_action_gets_every_attachment(self) -> None:
        """E-D21 MMS-MO-HTTP, with its own key and login; also what is no picture, and a text that
        is longer than what is kept of it in the record."""
        action = '{ type = "MMS-MO-HTTP", url = "URL/mms", hmac_secret = "k", username = "u" }'
        await self.begun(
            '["null"]', number=f"[[account.route]]\nsequence = 1\nactions = [{action}]\n"
        )
        text = "Grüße " * 400
        media = [
            Part("text/plain", "a.txt", content=text.encode(), charset="utf-8"),
            Part("image/gif", "one.gif", content=GIF),
            Part("text/x-vcard", "me.vcf", content=VCARD, charset="utf-8"),
            Part("image/gif", "two.gif", content=GIF),
        ]
        await self.bring_one(Content(media))
        await self.sink.when(lambda: len(self.sink.requests) == 1)
        [got] = self.sink.requests
        found = parts(got)
        assert found["messageText"].octets.decode() == text
        files = [found[f"media{n}"] for n in (1, 2, 3)]
        assert [(one.filename, one.octets) for one in files] == [
            ("one.gif", GIF),
            ("me.vcf", VCARD),
            ("two.gif", GIF),
        ]
        assert "media4" not in found
        assert got.headers["authorization"] == "Basic dTo="
        at = int(got.headers["x-signature"][2:].partition(",")[0])
        assert signature.verify(got.headers["x-signature"], "k", "POST", got.target, got.body, at)

    async def test_failed_push_is_tried_again_whole(self) -> None:
        """E-D17: the same form once more."""
        action = '{ type = "MMS-MO-HTTP", url = "URL/mms" }'
        await self.begun(
            '["null"]', number=f"[[account.route]]\nsequence = 1\nactions = [{action}]\n"
        )
        self.sink.answers = [503, 200]
        await self.bring_one()
        await self.sink.when(lambda: len(self.sink.requests) == 2)
        first, second = (parts(got) for got in self.sink.requests)
        assert first == second

    async def test_mailbox_gets_attachments(self) -> None:
        """Subject and text of the message, its media attached, to a plain target (ruling 27)."""
        await self.begun('["alice@example.com"]')
        await self.bring_one(subject="Grüße", delivery_report=True)
        await self.post.when(lambda: len(self.post.mails) == 1)
        [got] = self.post.mails
        mail = opened(got.octets)
        assert mail["Subject"] == "Grüße"
        assert mail["X-MMS-OA"] == HANDSET
        body = mail.get_body()
        assert body is not None
        assert body.get_content().strip() == "Greetings"
        [file] = mail.iter_attachments()
        assert (file.get_content_type(), file.get_content()) == ("image/gif", GIF)
        assert got.octets.isascii()
        [report] = await self.carrier.until(DeliveryReportReq)
        assert report.pdu.status is Status.RETRIEVED

    async def test_media_that_are_over_end_the_delivery(self) -> None:
        """It is given up, not tried for days."""
        await self.begun('["URL/in?", "alice@example.com"]')
        self.sink.answers = [503]
        media = self.gateway.media

        def missing(digest: str) -> bytes:
            raise Missing(digest)

        media.get_here = missing  # type: ignore[method-assign]
        await self.bring_one()

        async def given_up() -> bool:
            results = self.gateway.deliveries.results
            return results.get(("http", "refused")) == results.get(("email", "refused")) == 1

        await until_asked(given_up, "both given up")

    async def test_media_that_cannot_be_read_now_are_read_later(self) -> None:
        """A disk or bucket that fails delays the delivery; it does not end it (I1)."""
        await self.begun('["URL/in?", "alice@example.com"]')
        media = self.gateway.media

        def broken(digest: str) -> bytes:
            raise OSError(5, "Input/output error")

        media.get_here = broken  # type: ignore[method-assign]
        await self.bring_one()

        async def put_off() -> bool:
            results = self.gateway.deliveries.results
            return results.get(("http", "failed")) == results.get(("email", "failed")) == 1

        await until_asked(put_off, "both put off")
        assert not self.sink.requests
        assert not self.post.mails
