"""Traffic on both sides of a gateway, and books of it that outlive its crashes (I1, I2)."""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from attrs import define, field
from twisted.internet.task import deferLater

from smsgw.message import UDHI, Receipt
from smsgw.smpp.constants import ESM_RECEIPT, Tag
from smsgw.smpp.pdu import DeliverSm, Pdu, SubmitSm, SubmitSmResp
from smsgw.smpp.receipt import parse
from smsgw.smpp.tlv import put
from smsgw.testing.esme import Esme, submit_sm
from smsgw.testing.messages import mobile_originated
from smsgw.testing.script import Plan, SmscScript
from smsgw.testing.smsc_server import Smsc
from smsgw.testing.smsc_session import Delivery

DEADLINE_S = 30.0
POLL_S = 0.02
NUMBER = "447700900000"  # of the account: the source of what it sends, the destination of MO
LONG_EVERY = 20  # one in so many messages has two parts


async def until(reactor: Any, condition: Callable[[], bool], what: str, seconds: float = 0) -> None:
    """Returns when ``condition`` is true; AssertionError that names ``what`` after the deadline."""
    deadline = reactor.seconds() + (seconds or DEADLINE_S)
    while not condition():
        assert reactor.seconds() < deadline, f"in vain waited for: {what}"
        await deferLater(reactor, POLL_S)


@define
class Books:
    """What was said and heard, by address: each message has a handset's number of its own.

    A *run* is the time from one start of the gateway to its end; lists of runs have one item for
    each time that the thing happened.
    """

    run: int = 0
    submitted: dict[str, bytes] = field(factory=dict)
    acknowledged: dict[str, str] = field(factory=dict)  # -> the message id in submit_sm_resp
    refused: Counter[int] = field(factory=Counter)
    refused_by_carriers: int = 0
    web_answers: Counter[int] = field(factory=Counter)  # by HTTP status
    # (handset, number of the part) -> the runs in which a carrier took it
    arrivals: dict[tuple[str, int], list[int]] = field(factory=lambda: defaultdict(list))
    garbled: list[SubmitSm] = field(factory=list)
    receipts: dict[str, list[int]] = field(factory=lambda: defaultdict(list))
    receipt_of: dict[str, Receipt] = field(factory=dict)
    mo_sent: int = 0
    mo_taken: set[str] = field(factory=set)  # answered with ESME_ROK by the gateway
    mo_refused: Counter[int] = field(factory=Counter)
    mo_received: dict[str, list[int]] = field(factory=lambda: defaultdict(list))

    def next_message(self) -> SubmitSm:
        """A submit_sm that asks for a receipt, to a handset that had none before."""
        number = len(self.submitted)
        handset = f"4477{number:08d}"
        text = f"message {number} ".encode().ljust(40, b".")
        if number % LONG_EVERY:
            pdu = submit_sm(NUMBER, handset, text, registered_delivery=1)
        else:
            text = text.ljust(200, b".")
            payload = [put(Tag.MESSAGE_PAYLOAD, text)]
            pdu = submit_sm(NUMBER, handset, b"", registered_delivery=1, tlvs=payload)
        self.submitted[handset] = text
        return pdu

    def next_mo(self) -> list[DeliverSm]:
        """A text from a handset that sent none before."""
        self.mo_sent += 1
        return mobile_originated(f"4478{self.mo_sent:08d}", NUMBER, f"text {self.mo_sent}", 1)

    def answered(self, handset: str, answer: Pdu) -> None:
        """The gateway has answered a submit_sm."""
        if answer.status == 0 and isinstance(answer, SubmitSmResp):
            self.acknowledged[handset] = answer.message_id.decode()
        else:
            self.refused[answer.status] += 1

    def arrived(self, pdu: SubmitSm) -> None:
        """A carrier has taken a submit_sm."""
        handset = pdu.destination_addr.decode()
        text, part = pdu.short_message, 0
        if pdu.esm_class & UDHI:
            text, part = text[6:], text[5]
        if text not in self.submitted.get(handset, b""):
            self.garbled.append(pdu)
        self.arrivals[handset, part].append(self.run)

    def delivered(self, pdu: DeliverSm) -> None:
        """The account has got a receipt or an MO."""
        handset = pdu.source_addr.decode()
        if not pdu.esm_class & ESM_RECEIPT:
            self.mo_received[handset].append(self.run)
            return
        self.receipts[handset].append(self.run)
        receipt = parse(pdu)
        assert receipt is not None, pdu
        self.receipt_of[handset] = receipt

    # The laws.

    def missing(self) -> list[str]:
        """What breaks I1: acknowledged, and not there at the other end."""
        lines = []
        for handset in self.acknowledged:
            parts = [0] if len(self.submitted[handset]) <= 160 else [1, 2]
            lines += [
                f"part {n} of the message to {handset} was acknowledged and never sent"
                for n in parts
                if (handset, n) not in self.arrivals
            ]
            if handset not in self.receipts:
                lines.append(f"the message to {handset} was acknowledged and has no receipt")
            elif self.receipt_of[handset].id != self.acknowledged[handset]:
                lines.append(f"the receipt of {handset} has another id than its submit_sm_resp")
        lines += [
            f"the MO from {handset} was acknowledged and never handed over"
            for handset in self.mo_taken
            if handset not in self.mo_received
        ]
        return lines

    def sent_twice(self, window: int) -> list[str]:
        """What breaks I2 at the carrier; ``window``: of all its links together."""
        return twice(self.arrivals, window, "sent")

    def told_twice(self, window: int) -> list[str]:
        """What breaks I2 at the account's receipts; ``window``: of all its sessions together."""
        return twice(self.receipts, window, "receipted")

    def mo_twice(self, window: int) -> list[str]:
        """What breaks I2 at the account's MO; ``window``: of the carrier's sessions and its own."""
        return twice(self.mo_received, window, "handed over", within_a_run=True)


def twice(
    happened: "dict[Any, list[int]]", window: int, word: str, within_a_run: bool = False
) -> list[str]:
    """Each time but the last of one thing is put down to the crash that ended its run.

    ``within_a_run``: the other end may say again what had no answer, so both may come in one run.
    """
    by_crash: Counter[int] = Counter()
    lines = []
    for what, runs in happened.items():
        for run, following in pairwise(runs):
            if run == following and not within_a_run:
                lines.append(f"{what} was {word} twice within run {run}")
            by_crash[run] += 1
    lines += [
        f"{count} things were {word} twice because of the end of run {run}, window {window}"
        for run, count in by_crash.items()
        if count > window
    ]
    return lines


class BookedSmsc(Smsc):
    """A simulated SMSC that keeps books."""

    def __init__(self, books: Books, script: SmscScript, clock: Any) -> None:
        super().__init__(script, clock, keep=0)
        self.books = books

    def plan(self, pdu: SubmitSm) -> Plan:
        """Asked once for every submit_sm that arrives; what is refused has not been taken."""
        plan = super().plan(pdu)
        if plan.status:
            self.books.refused_by_carriers += 1
        else:
            self.books.arrived(pdu)
        return plan

    def answered(self, delivery: Delivery, status: int) -> None:
        """The gateway has answered."""
        if delivery.kind == "mo":
            if status:
                self.books.mo_refused[status] += 1
            else:
                self.books.mo_taken.add(delivery.pdu.source_addr.decode())
        super().answered(delivery, status)


class BookedEsme(Esme):
    """An ESME that keeps books, and its window full of submit_sm while ``loading``."""

    def __init__(self, books: Books, window: int) -> None:
        super().__init__(keep=0)
        self.books = books
        self.window = window
        self.loading = False

    def pdus_received(self, pdus: Sequence[Pdu]) -> None:
        """One read: its answers make room for the next submits, in one write."""
        for pdu in pdus:
            if isinstance(pdu, DeliverSm):
                self.books.delivered(pdu)
        super().pdus_received(pdus)
        if self.loading:
            self.fill()

    def fill(self) -> None:
        """Submits as many as the window takes."""
        count = self.window - self.unanswered
        if count <= 0 or not self.open:
            return
        pdus = [self.books.next_message() for _ in range(count)]
        for pdu, answer in zip(pdus, self.requests(pdus), strict=True):
            handset = pdu.destination_addr.decode()
            # A lost answer says nothing: the message may be there or not.
            answer.addCallbacks(lambda r, h=handset: self.books.answered(h, r), lambda _: None)
