"""MMS to a carrier's MMSC on real sockets: mail, response, report, read reply (issue 6)."""

from pathlib import Path
from typing import Any

from twisted.internet import reactor

from smsgw.config import Config, Domains, Http, Media, Smpp, Smtp
from smsgw.dialects import Aerialink
from smsgw.login import Login
from smsgw.message import Message, Multimedia
from smsgw.mm4.content import media
from smsgw.mm4.mime import Part
from smsgw.mm4.pdus import DeliveryReportRes, ReadReplyRes
from smsgw.mm4.words import RequestStatus, Status
from smsgw.service import Gateway
from smsgw.testing.mmsc import Mmsc, MmscScript
from smsgw.testing.sinks import HttpSink
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, Scene, account, until_asked
from tests.journals import a_store
from tests.running import free_ports

DOMAIN = "mms.example.com"
PICTURE = Part("image/gif", "photo.gif", "photo", "photo.gif", b"GIF89a" + bytes(range(256)))
TEXT = Part("text/plain", "text.txt", "text", "text.txt", "Grüße\r\n.\r\nEnde".encode(), "utf-8")


def loopback(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


class MmsScene(Scene):
    """A gateway in this process with an MMSC as its only carrier."""

    async def begin(self, script: MmscScript | None = None, keys: str = "") -> None:
        """Starts all; ``keys`` are more lines of the carrier."""
        self.http_port, self.admin_port, self.mail_port = free_ports(3)
        self.sink = HttpSink(reactor)
        self.url = f"http://127.0.0.1:{await self.sink.start()}"
        self.addCleanup(self.sink.stop)
        config = Config(
            smpp=Smpp(listen=[]),
            http=Http(listen=[loopback(self.http_port)], admin=[loopback(self.admin_port)]),
            smtp=Smtp(listen=[loopback(self.mail_port)], domains=Domains(mm4=DOMAIN)),
            media=Media(folder=str(Path(temporary_folder(self)) / "media")),
            aerialink=Aerialink(allow_private_callbacks=True, allow_plain_http="loopback"),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        self.mmsc = Mmsc(script or MmscScript(), reactor, self.mail_port)
        await self.mmsc.start()
        self.addCleanup(self.mmsc.stop)
        await self.apply(
            account(callback=self.url),
            f'[[carrier]]\nname = "mmsc"\nkind = "mm4"\nhost = "127.0.0.1"\n'
            f'port = {self.mmsc.port}\ndomain = "{self.mmsc.script.domain}"\n'
            f'allow = ["127.0.0.1"]\n{keys}',
            '[[route]]\nname = "mms"\nprefixes = [""]\ncarriers = ["mmsc"]\nprice = "0.05"\n',
        )

    async def submit(self, *parts: Part, **fields: Any) -> Message:
        """One that has been accepted, as an edge submits it: first the media, then the message."""
        kept = [media(part) for part in parts or (PICTURE, TEXT)]
        for part in parts or (PICTURE, TEXT):
            await self.gateway.media.put(part.content)
        message = Message(
            NUMBER,
            HANDSET,
            kind="mms",
            parts=[b""],
            multimedia=Multimedia(media=kept, subject="Holiday", read_reply=True),
            registered_delivery=1,
            interface="rest",
            **fields,
        )
        login = Login("acme", "acme", window=10)
        [outcome] = await self.gateway.acceptance.accept(login, [message])
        assert isinstance(outcome, Message), outcome
        return outcome

    async def reached(self, message: Message, **fields: object) -> Any:
        """What operators are shown of a message, once these are so."""
        shown: dict[str, Any] = {}

        async def looked() -> bool:
            shown.update(await self.message(str(message.id)))
            return all(shown[name] == value for name, value in fields.items())

        await until_asked(looked, f"{fields} of {shown}")
        return shown


class MmsTests(MmsScene):
    """One message each."""

    async def test_it_is_mailed_answered_reported_and_read(self) -> None:
        """The MMSC gets the parts as they were handed in; response, report and read reply move the
        message on, and our responses to them are theirs."""
        await self.begin(MmscScript(read=True))
        message = await self.submit()
        shown = await self.reached(message, state="DELIVRD", carrier="mmsc")
        await self.mmsc.until(lambda: len(self.mmsc.answers) == 2)
        [received] = self.mmsc.received
        self.assert_same(received.content.parts, [PICTURE, TEXT])
        assert received.recipient == f"+{HANDSET}/TYPE=PLMN@mms.example.net"
        report, read = self.mmsc.answers
        assert isinstance(report, DeliveryReportRes)
        assert isinstance(read, ReadReplyRes)
        assert {report.status, read.status} == {RequestStatus.OK}
        assert shown["media"] == ["photo.gif image/gif 262", "text.txt text/plain 16"]
        await until(reactor, lambda: len(self.sink.requests) >= 3, "three pushes")
        said = [one.body.decode() for one in self.sink.requests]
        assert any("messageType=Read" in one and "readDate=" in one for one in said), said
        assert any("messageState=DELIVRD" in one for one in said), said

    def assert_same(self, found: list[Part], wanted: list[Part]) -> None:
        assert [(p.type, p.name, p.content) for p in found] == [
            (p.type, p.name, p.content) for p in wanted
        ]

    async def test_a_server_without_8bitmime_gets_the_same_text(self) -> None:
        """Ruling 26."""
        await self.begin(MmscScript(eight_bit=False, reports=[]))
        message = await self.submit()
        await self.reached(message, carrier="mmsc")
        [received] = self.mmsc.received
        assert received.mail.isascii()
        self.assert_same(received.content.parts, [PICTURE, TEXT])

    async def test_a_refusal_is_final(self) -> None:
        """T9: 550 to its content: REJECTED, and it is not mailed again."""
        await self.begin(MmscScript(codes=[550]))
        message = await self.submit()
        await self.reached(message, state="REJECTD", network_error="SMTP 550")
        assert self.mmsc.mails == 1
        await until(reactor, lambda: bool(self.sink.requests), "a push")
        assert "code=50" in self.sink.requests[0].body.decode()

    async def test_it_is_mailed_again_after_451(self) -> None:
        """T9: with the same ids, and then taken."""
        await self.begin(MmscScript(codes=[451, 421]), keys="retry_s = [1]\n")
        message = await self.submit()
        await self.reached(message, state="DELIVRD")
        assert self.mmsc.mails >= 3
        assert len(self.mmsc.received) == 1

    async def test_silence_ends_as_unknown(self) -> None:
        """T9: three repeats after the first, then Indeterminate."""
        await self.begin(MmscScript(response=None, reports=[]), keys="response_timeout_s = 1\n")
        message = await self.submit()
        await self.reached(message, state="UNKNOWN", carrier_at=0)
        ids = {(one.pdu.transaction_id, one.pdu.message_id) for one in self.mmsc.received}
        assert (len(self.mmsc.received), len(ids)) == (4, 1)

    async def test_each_status_is_told(self) -> None:
        """T7: reports of the MMSC that are not final, then one that is."""
        reports = [Status.DEFERRED, Status.FORWARDED, Status.EXPIRED]
        await self.begin(MmscScript(reports=reports))
        message = await self.submit()
        await self.reached(message, state="EXPIRED")
        await self.mmsc.until(lambda: len(self.mmsc.answers) == 3)

    async def test_operators_see_the_mmsc(self) -> None:
        """``smsgw carriers``: idle before the first mail, down if it cannot be reached, and why."""
        await self.begin()
        [before] = await self.admin("/admin/carriers")
        assert (before["state"], before["reason"]) == ("idle", "")
        await self.mmsc.stop()
        await self.submit()

        async def down() -> bool:
            [shown] = await self.admin("/admin/carriers")
            return bool(shown["state"] == "down" and shown["reason"] and shown["waiting"] == 1)

        await until_asked(down, "the carrier is down")
