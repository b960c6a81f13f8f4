"""swaks and a private Postfix as mail programs of a customer, and as the world's mail server."""

import mailbox
import os
import shutil
import smtplib
import subprocess
from email.message import Message
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests import postfix
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER, SECRET
from tests.journeys.email_scene import ALICE, MMS, SMS, EmailCase, letter
from tests.journeys.mm4_scene import GIF


def run(*command: str) -> "Deferred[subprocess.CompletedProcess[bytes]]":
    """Runs a program on a thread."""
    return deferToThread(
        subprocess.run, command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=40
    )


@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
class Swaks(EmailCase):
    """The Swiss Army knife of SMTP."""

    async def swaks(self, *options: str) -> str:
        """What it said and heard."""
        server = ["--server", "127.0.0.1", "--port", str(self.mail_port)]
        login = ["--auth", "PLAIN", "--auth-user", "acme", "--auth-password", SECRET]
        done = await run("swaks", *server, *login, "--from", ALICE, *options)
        return done.stdout.decode()

    async def test_sms_and_its_report(self) -> None:
        """E-D31, E-D33: a text goes out, and its report comes back."""
        await self.begin()
        said = await self.swaks(
            *("--to", f"{HANDSET}@{SMS}", "--body", "Hello from swaks"),
            *("--header", "X-SMS-Registered-Delivery: yes"),
        )
        assert " 10\n" in said, said
        assert (await self.text())[2] == "Hello from swaks"
        [report] = await self.mailed()
        assert b"\r\nAction: delivered\r\n" in report.octets

    async def test_mms_with_an_attachment(self) -> None:
        """E-D31: what is attached is in the MMS."""
        await self.begin()
        picture = Path(temporary_folder(self)) / "sea.gif"
        picture.write_bytes(GIF)
        attached = ["--attach-type", "image/gif", "--attach", f"@{picture}"]
        said = await self.swaks("--to", f"{HANDSET}@{MMS}", "--body", "Look", *attached)
        assert " 10\n" in said, said
        await self.mmsc.watch.when(lambda: bool(self.mmsc.mails))
        parts = {part.type: part.content for part in self.mmsc.mails[0].parts}
        assert parts["image/gif"] == GIF
        assert parts["text/plain"].strip() == b"Look"


@pytest.mark.skipif(
    shutil.which("postfix") is None or os.geteuid() != 0, reason="Postfix is not installed"
)
class Postfix(EmailCase):
    """The mail server of alice@example.org: the gateway relays to it, and it brings her replies."""

    world = ("127.0.0.1",)

    async def relay(self) -> int:
        """Starts it, and waits for its greeting."""
        self.folder = Path(temporary_folder(self))
        self.port = await postfix.start(self, self.folder, "example.org", SMS, self.mail_port)
        return self.port

    def box(self) -> list[Message]:
        """Alice's mails."""
        file = self.folder / "mail" / "box"
        return list(mailbox.mbox(file)) if file.exists() else []

    async def arrived(self, count: int) -> Message:
        """The last of so many mails."""
        await until(reactor, lambda: len(self.box()) >= count, f"{count} mails")
        return self.box()[count - 1]

    def alice_sends(self, mail: Any, to: str) -> "Deferred[None]":
        """By her mail server."""

        def send() -> None:
            with smtplib.SMTP("127.0.0.1", self.port) as client:
                client.sendmail(ALICE, [to], mail.as_bytes(policy=SMTP))

        return deferToThread(send)

    async def test_mo_reply_and_bounce(self) -> None:
        """An MO reaches a mailbox, its reply the handset; what is refused bounces with the code."""
        await self.begin()
        self.north.smsc.mobile_originated(HANDSET, NUMBER, "Are you there?")
        mo = await self.arrived(1)
        assert mo["Subject"] == f"SMS from {HANDSET}"
        to = str(mo["Reply-To"]).rpartition("<")[2].strip(" >")
        await self.alice_sends(letter("Yes!\n\nAm 14.3. schrieb 447:\n> Are you there?"), to)
        assert await self.text() == (NUMBER, HANDSET, "Yes!")

        self.north.smsc.mobile_originated(HANDSET, NUMBER, "STOP")
        stop = await self.arrived(2)
        to = str(stop["Reply-To"]).rpartition("<")[2].strip(" >")
        await self.alice_sends(letter("Why?"), to)
        bounce = await self.arrived(3)
        assert "550 5.7.1 52 opted out" in bounce.as_string().replace("\n    ", " ")

    async def test_report_reaches_the_mailbox(self) -> None:
        """A DSN of ours goes through another mail server as it is."""
        await self.begin()
        await self.accepted(letter(), options=" NOTIFY=SUCCESS ORCPT=rfc822;bob@example.org")
        report = await self.arrived(1)
        assert report.get_content_type() == "multipart/report"
        assert report["Return-Path"] == "<>"
        assert "Action: delivered" in report.as_string()
