"""kill -9 while MMS go from a customer by MM4 to a carrier's MMSC (I1, I2, I3)."""

import contextlib
import smtplib
import sqlite3
from collections import Counter
from itertools import count
from pathlib import Path
from random import Random

import pytest
from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.message import MessageState
from smsgw.mm4 import headers, mime
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq
from smsgw.testing.mmsc import Mmsc, MmscScript
from tests.folders import temporary_folder
from tests.integration.books import until
from tests.integration.stores import laws_of_the_store, states
from tests.running import GatewayProcess, free_ports

DOMAIN = "mms.example.com"
CUSTOMER = "mms.example.org"
NUMBER = "447700900000"
WINDOW = 4
RUNS = 2
PICTURE = b"GIF89a" + bytes(range(256)) * 40

PROVISIONING = f"""\
[[account]]
name = "acme"
[[account.credential]]
kind = "smtp"
username = "acme"
password = "secret12"
identify = "address"
allow = ["127.0.0.0/8"]
host = "127.0.0.1"
port = {{port}}
domain = "{CUSTOMER}"
[[account.number]]
address = "{NUMBER}"

[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = {{port}}
domain = "mms.example.net"
allow = ["127.0.0.0/8"]
window = {WINDOW}
retry_s = [1]

[[route]]
name = "mms"
prefixes = [""]
carriers = ["mmsc"]
"""


class Customer:
    """Mails MMS to the gateway as fast as it takes them; ``acknowledged`` are the subjects of those
    that were answered with 250. All of it blocks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.acknowledged: list[str] = []
        self.loading = True
        self._names = count(1)

    def load(self) -> None:
        """Mails until it is told to stop."""
        while self.loading:
            with contextlib.suppress(OSError, smtplib.SMTPException):
                self._session()

    def _session(self) -> None:
        with smtplib.SMTP("127.0.0.1", self.port, CUSTOMER, timeout=10) as client:
            client.ehlo()
            while self.loading:
                name = f"mms {next(self._names)}"
                recipient = f"+447700900123/TYPE=PLMN@{DOMAIN}"
                client.sendmail(
                    f"system-user@{CUSTOMER}",
                    [recipient],
                    self._mail(name, recipient),
                    ["BODY=8BITMIME"],
                )
                self.acknowledged.append(name)

    def _mail(self, name: str, recipient: str) -> bytes:
        pdu = ForwardReq(
            from_=f"+{NUMBER}/TYPE=PLMN@{CUSTOMER}",
            to=[recipient],
            sender=f"system-user@{CUSTOMER}",
            originator_system=f"system-user@{CUSTOMER}",
            date=1_800_000_000_000,
            mail_id=f"{name.replace(' ', '.')}@{CUSTOMER}",
            subject=name,
            transaction_id=name.replace(" ", "-"),
            message_id=f"{name.replace(' ', '-')}@{CUSTOMER}",
            delivery_report=True,
        )
        picture = Part("image/gif", "a.gif", "a", "a.gif", PICTURE)
        text = Part("text/plain", "a.txt", "t", "a.txt", name.encode(), "utf-8")
        body = mime.write(Content([picture, text]))
        return headers.write(pdu, body.content_type) + body.octets


@pytest.mark.timeout(120)
class MmsKillTest(TestCase):
    """A gateway process, a customer and an MMSC, which is the customer's too."""

    timeout = 110

    async def test_what_was_acknowledged_arrives(self) -> None:
        """Runs end by kill -9 while messages are mailed in and out and reported; then each message
        that was answered with 250 is at the MMSC, no more of them twice than were under way, and
        each is reported to the customer."""
        random = Random(7)
        (mail_port,) = free_ports(1)
        folder = Path(temporary_folder(self))
        config = (
            f'[smtp]\nlisten = ["tcp:{mail_port}:interface=127.0.0.1"]\n'
            f'domains = {{ mm4 = "{DOMAIN}" }}\npeer_connections = 500\n'
        )
        self.mmsc = Mmsc(MmscScript(report_s=0.02, retry_s=0.2), reactor, mail_port)
        await self.mmsc.start()
        self.addCleanup(self.mmsc.stop)
        self.gateway = GatewayProcess(folder, config)
        self.addCleanup(self.gateway.kill)
        await deferToThread(self.gateway.start)
        await deferToThread(self.gateway.apply, PROVISIONING.format(port=self.mmsc.port))
        customer = Customer(mail_port)
        loading = deferToThread(customer.load)

        for _ in range(RUNS):
            goal = len(customer.acknowledged) + random.randint(5, 25)
            await until(
                reactor, lambda most=goal: len(customer.acknowledged) >= most, "acknowledgements"
            )
            await deferLater(reactor, random.uniform(0, 0.05))
            self.gateway.kill()
            broken = await deferToThread(laws_of_the_store, folder / "smsgw.db")
            assert not broken, broken
            await deferToThread(self.gateway.start)

        customer.loading = False
        await loading
        wanted = set(customer.acknowledged)
        await self.mmsc.until(lambda: wanted <= self.arrived().keys())
        await self.mmsc.until(lambda: wanted <= self.reported())
        code = await deferToThread(self.gateway.stop)
        assert code == 0, self.gateway.output[-3000:]
        assert not laws_of_the_store(folder / "smsgw.db")
        twice = sum(n - 1 for n in self.arrived().values())
        # Of what was mailed and not acknowledged the customer mailed none again.
        assert twice <= RUNS * WINDOW, twice
        ended = Counter(states(folder / "smsgw.db").values())
        assert set(ended) <= {MessageState.DELIVERED, MessageState.ENROUTE}, ended
        assert ended[MessageState.DELIVERED] >= len(wanted), ended
        self.media_are_there(folder)

    def arrived(self) -> Counter[str]:
        """How often each subject came to the MMSC."""
        return Counter(one.pdu.subject for one in self.mmsc.received)

    def reported(self) -> set[str]:
        """The subjects of which the customer has a report."""
        ids = {one.message_id for one in self.mmsc.reported if isinstance(one, DeliveryReportReq)}
        return {one.partition("@")[0].replace("-", " ") for one in ids}

    def media_are_there(self, folder: Path) -> None:
        """No row without its file."""
        connection = sqlite3.connect(folder / "smsgw.db")
        try:
            rows = connection.execute("SELECT DISTINCT digest FROM media").fetchall()
        finally:
            connection.close()
        assert rows
        for (digest,) in rows:
            assert (folder / "media" / digest[:2] / digest).exists(), digest
