"""A customer and a carrier with an MMSC each, which mail to one node after the other; both keep
books of what was said by MM4 (I1, I2)."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import cycle
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall, deferLater
from twisted.mail.smtp import SMTPClientError

from smsgw.mm4 import headers, mime
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import DeliveryReportReq, ForwardReq
from smsgw.mm4.words import RequestStatus, Status
from smsgw.testing.mmsc import Mmsc, MmscScript
from tests.integration.books import POLL_S, Books, twice

DOMAIN = "mms.example.com"  # of the gateway
CUSTOMER = "mms.example.org"
CARRIER = "mms.example.net"
SENDER = "447700900999"  # the number of the account that has an MMSC
WINDOW = 4  # mails under way from the gateway to the carrier, of each node
ANSWERS = 16  # mails under way with responses and reports to one MMSC, of each node
EVERY_S = 0.1  # between MMS of the customer
MOST = 8  # of its mails under way
RETRY_S = 0.1  # until an MMSC says again what was not taken
SLOW_S = 0.1  # until the carrier's MMSC responds, and until it reports after that


def provisioning(customer: int, carrier: int) -> str:
    """An account and a carrier with their MMSCs on these ports of 127.0.0.1, and a route."""
    return f"""\
[[account]]
name = "pictures"
[[account.credential]]
kind = "smtp"
username = "pictures"
password = "secret12"
identify = "address"
allow = ["127.0.0.0/8"]
host = "127.0.0.1"
port = {customer}
domain = "{CUSTOMER}"
[[account.number]]
address = "{SENDER}"

[[carrier]]
name = "mmsc"
kind = "mm4"
host = "127.0.0.1"
port = {carrier}
domain = "{CARRIER}"
allow = ["127.0.0.0/8"]
window = {WINDOW}
retry_s = [1]

[[route]]
name = "mms"
prefixes = [""]
kinds = ["mms"]
carriers = ["mmsc"]
price = "0.05"
"""


def _runs() -> dict[str, list[int]]:
    return defaultdict(list)


@define(eq=False)
class MmsBooks:
    """What was said of each MMS, by its subject; a list has the run of each time."""

    acknowledged: set[str] = field(factory=set)
    refused: list[str] = field(factory=list)  # for good
    arrivals: dict[str, list[int]] = field(factory=_runs)
    responses: dict[str, list[int]] = field(factory=_runs)
    reports: dict[str, list[int]] = field(factory=_runs)
    wrong: list[str] = field(factory=list)  # responses and reports that say something else
    # A node that stood still, or was cut off, brings the mails that it had begun to their end in
    # the next run; SMTP takes several turns, other than a PDU.
    finishing: bool = False

    def missing(self) -> list[str]:
        """What breaks I1: answered with 250, and not there at the other end."""
        ends = {"sent": self.arrivals, "responded to": self.responses, "reported": self.reports}
        return [
            f"{subject} was acknowledged and never {word}"
            for word, found in ends.items()
            for subject in sorted(self.acknowledged - found.keys())
        ]

    def forwarded_twice(self, window: int) -> list[str]:
        """What breaks I2 at the carrier; ``window``: of mails under way at a node that ended."""
        return twice(self.arrivals, window, "forwarded", within_a_run=self.finishing)

    def twice(self) -> list[str]:
        """What breaks I2. A request whose 250 was lost is mailed again, and so is the response."""
        return [
            *self.forwarded_twice(WINDOW),
            *twice(self.responses, ANSWERS + MOST, "responded to", within_a_run=True),
            *twice(self.reports, ANSWERS, "reported", within_a_run=self.finishing),
        ]


class BookedMmsc(Mmsc):
    """Mails to one node after the other, and enters what it is brought; Message-IDs begin with the
    subject of their MMS."""

    def __init__(
        self, script: MmscScript, reactor: Any, ports: Sequence[int], mms: MmsBooks, books: Books
    ) -> None:
        """``ports``: where the nodes take mail; ``books`` know the run."""
        super().__init__(script, reactor, ports[0])
        self._ports = cycle(ports)
        self._mms = mms
        self._books = books

    async def mail(self, octets: bytes, recipient: str) -> None:
        """See ``Mmsc``."""
        self.gateway_port = next(self._ports)
        await super().mail(octets, recipient)

    def came(self, octets: bytes, recipient: str) -> None:
        """See ``Mmsc``."""
        before = len(self.received), len(self.answers), len(self.reported)
        super().came(octets, recipient)
        mms, run = self._mms, self._books.run
        for received in self.received[before[0] :]:
            mms.arrivals[received.pdu.subject].append(run)
        for answer in self.answers[before[1] :]:
            if self.script.domain != CUSTOMER:
                continue  # to the carrier's reports
            mms.responses[_subject(answer.message_id)].append(run)
            if answer.status is not RequestStatus.OK:
                mms.wrong.append(f"response {answer}")
        for report in self.reported[before[2] :]:
            assert isinstance(report, DeliveryReportReq), report
            mms.reports[_subject(report.message_id)].append(run)
            if report.status is not Status.RETRIEVED:
                mms.wrong.append(f"report {report}")


class BookedMms:
    """MMS of a customer, one by one; what is not taken is mailed again with its Message-ID to the
    next node until it is, also when no new ones are begun any more."""

    def __init__(self, reactor: Any, books: Books, ports: Sequence[int]) -> None:
        """``ports`` of 127.0.0.1, where the nodes take mail."""
        self.books = MmsBooks()
        self.loading = False
        self.under_way: set[Deferred[None]] = set()
        self.begun = 0
        self._reactor = reactor
        scripts = (
            MmscScript(domain=CUSTOMER, retry_s=RETRY_S),
            MmscScript(domain=CARRIER, retry_s=RETRY_S, response_s=SLOW_S, report_s=SLOW_S),
        )
        self.customer, self.carrier = (
            BookedMmsc(script, reactor, ports, self.books, books) for script in scripts
        )
        self._bringing = LoopingCall(self._bring)
        self._bringing.clock = reactor

    async def start(self) -> str:
        """Listens; what is to be provisioned."""
        await self.customer.start()
        await self.carrier.start()
        self._bringing.start(EVERY_S)
        return provisioning(self.customer.port, self.carrier.port)

    async def stop(self) -> None:
        """Ends all connections, and waits for nothing any more."""
        if self._bringing.running:
            self._bringing.stop()
        for one in list(self.under_way):
            one.cancel()
        await self.customer.stop()
        await self.carrier.stop()

    def at_rest(self) -> bool:
        """Nothing is under way that this side knows of."""
        return not self.under_way and not self.books.missing()

    def broken(self) -> list[str]:
        """The laws that do not hold."""
        books = self.books
        return [*books.missing(), *books.twice(), *books.refused, *books.wrong]

    def _bring(self) -> None:
        if self.loading and len(self.under_way) < MOST:
            self.begun += 1
            done = Deferred.fromCoroutine(self._message(f"mms-{self.begun}"))
            self.under_way.add(done)
            done.addErrback(lambda failure: failure.trap(CancelledError))
            done.addBoth(self._over, done)

    def _over(self, result: Any, done: "Deferred[None]") -> Any:
        self.under_way.discard(done)
        return result

    async def _message(self, subject: str) -> None:
        handset = f"+4477{self.begun:08d}/TYPE=PLMN@{DOMAIN}"
        octets = _mail(subject, handset, self.customer.system)
        while True:
            try:
                await self.customer.mail(octets, handset)
            except CancelledError:
                raise
            except Exception as error:  # of many kinds, for what becomes of connections
                if isinstance(error, SMTPClientError) and 500 <= error.code < 600:
                    self.books.refused.append(f"{subject} was refused: {error}")
                    return
                await deferLater(self._reactor, POLL_S)
            else:
                self.books.acknowledged.add(subject)
                return


def _mail(subject: str, recipient: str, system: str) -> bytes:
    pdu = ForwardReq(
        from_=f"+{SENDER}/TYPE=PLMN@{CUSTOMER}",
        to=[recipient],
        sender=system,
        originator_system=system,
        date=1_800_000_000_000,
        mail_id=f"{subject}@{CUSTOMER}",
        subject=subject,
        transaction_id=subject,
        message_id=f"{subject}@{CUSTOMER}",
        ack_request=True,
        delivery_report=True,
    )
    body = mime.write(
        Content([Part("text/plain", "a.txt", "a", "a.txt", subject.encode(), "utf-8")])
    )
    return headers.write(pdu, body.content_type) + body.octets


def _subject(message_id: str) -> str:
    return message_id.partition("@")[0]
