"""A disk that is full while a mail is being received: 452 4.3.1, and nobody else is harmed."""

import errno
import os
import resource
import smtplib
import subprocess
from pathlib import Path
from typing import Any

from twisted.internet import reactor as real
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.doors import Doors
from smsgw.media import Folder
from smsgw.smtp.peers import Peers
from smsgw.smtp.server import SmtpServerFactory
from smsgw.smtp.spool import IN_MEMORY
from tests.folders import temporary_folder
from tests.smtp.test_real_peers import PROVISIONED, Box
from tests.smtp.wire import NUMBER, Server, at_once, provisioned, refused

FULL = "452 4.3.1 Insufficient system storage; try again later"
DISK = "size=1m"
LINE = b"x" * 76 + b"\r\n"
# What would be commands if a server lost its place in the content.
SMUGGLED = b"NOOP\r\nRSET\r\nMAIL FROM:<evil@mms.example.net>\r\nQUIT\r\n"


def no_space(function: Any) -> Deferred[Any]:
    """What a thread says that cannot write."""
    return fail(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))


def test_content_that_cannot_be_spooled_is_read_to_its_end() -> None:
    """It stays content: no line of it is taken for a command; the next mail is taken."""
    server = Server()
    client = server.connect()
    assert client.begin().startswith("354")
    server.factory.run = no_space
    assert client.send(LINE * (IN_MEMORY // len(LINE) + 10)) == ""
    assert client.send(SMUGGLED) == ""
    assert client.send(LINE * (IN_MEMORY // len(LINE) + 10)) == ""
    assert client.send(b".\r\n") == FULL
    assert server.factory.refusals == {452: 1}
    server.factory.run = at_once
    assert client.begin().startswith("354")
    assert client.send(b"small\r\n.\r\n") == "250 2.0.0 kept"
    assert [content.endswith(b"small\r\n") for _, content in server.box.mails] == [True]


def test_whole_mail_in_one_read_that_cannot_be_spooled() -> None:
    """What comes after its end are commands again."""
    server = Server()
    client = server.connect()
    client.begin()
    server.factory.run = no_space
    content = LINE * (IN_MEMORY // len(LINE) + 10)
    assert client.send(content + b".\r\nNOOP\r\n") == f"{FULL}\n250 2.0.0 Ok"


def test_mail_whose_media_have_no_room_is_refused_for_now() -> None:
    """452, not 451: the client's operator may know what it means; other faults stay 451."""
    server = Server()
    for fault, answer in (
        (OSError(errno.ENOSPC, "full"), FULL),
        (OSError(errno.EDQUOT, "quota"), FULL),
        (OSError(errno.EIO, "broken"), "451 4.3.0 Local error; try again later"),
    ):
        server.box.answer = lambda fault=fault: fail(fault)
        client = server.connect()
        client.begin()
        assert client.send(b"x\r\n.\r\n") == answer


class FullDisk(TestCase):
    """On loopback, with a spool on a disk of 1 MB where the test may mount one."""

    timeout = 60

    async def begin(self) -> None:
        """Starts the server."""
        disk = temporary_folder(self)
        mounting = ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", disk]
        if subprocess.run(mounting, capture_output=True, check=False).returncode:
            # Only root may mount: without, the limit on the size of files is the next best.
            soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
            self.addCleanup(resource.setrlimit, resource.RLIMIT_FSIZE, (soft, hard))
        else:
            self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        folder = Folder(Path(disk, "media"))
        folder.prepare()
        self.spool = folder.spool
        tables = provisioned(PROVISIONED)
        self.box = Box()
        self.factory = SmtpServerFactory(
            Peers(lambda: tables, Doors(lambda: tables, run=at_once)),
            self.box.receive,
            refused,
            host="mms.example.com",
            domains={"mms.example.com"},
            clock=real,
            spool=self.spool,
        )
        endpoint = TCP4ServerEndpoint(real, 0, interface="127.0.0.1")
        listening = await endpoint.listen(self.factory)
        self.addCleanup(listening.stopListening)
        self.addCleanup(lambda: Deferred.fromCoroutine(self.factory.drain(5)))
        self.port = listening.getHost().port

    def connect(self) -> smtplib.SMTP:
        """A client that is ready for DATA's content."""
        client = smtplib.SMTP("127.0.0.1", self.port, "mms.example.net", timeout=30)
        client.ehlo()
        return client

    async def test_full_disk_refuses_the_large_mail_only(self) -> None:
        """A mail that needs the disk gets 452; a small one beside it, and the next on the same
        connection, are taken; nothing is left on the disk."""
        await self.begin()

        def talk() -> list[tuple[int, bytes]]:
            answers = []
            with self.connect() as large, self.connect() as small:
                large.mail("a@mms.example.net")
                large.rcpt(NUMBER)
                large.docmd("DATA")
                half = LINE * 15_000 + SMUGGLED
                large.send(half)
                small.mail("b@mms.example.net")
                small.rcpt(NUMBER)
                answers.append(small.data(b"small\r\n"))
                large.send(half + b".\r\n")
                answers.append(large.getreply())
                large.mail("a@mms.example.net")
                large.rcpt(NUMBER)
                answers.append(large.data(LINE * 5_000))
            return answers

        answers = await deferToThread(talk)
        assert [code for code, _ in answers] == [250, 452, 250]
        assert answers[1][1] == FULL.partition(" ")[2].encode()
        assert [envelope.sender.address[0] for envelope, _ in self.box.mails] == ["b", "a"]
        assert list(self.spool.iterdir()) == []
