"""Carrier: an SMSC that messages go to, with its links and what it says by itself.

Comes from: ``carriers``, by the provisioning; its links tell it when they are up and what came.
Goes on to: ``send``, which gives its queue to a link; ``receipts`` and ``inbound`` with what it
delivers.
"""

import time
from collections.abc import Callable, Sequence

from attrs import evolve
from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.awaited import normalise
from smsgw.flow.decide import DEFAULT_VALIDITY_MS
from smsgw.flow.inbound import Inbound
from smsgw.flow.receipts import Receipts
from smsgw.flow.route import carrier_queue
from smsgw.flow.send import Outlet
from smsgw.flow.settle import Settlement
from smsgw.flow.whole import Wholes
from smsgw.message import Message
from smsgw.provisioning import Carrier
from smsgw.queues import Entry, Queues
from smsgw.rules.limits import TokenBucket
from smsgw.smpp import receipt, translate
from smsgw.smpp.client import CarrierLink, Submitted
from smsgw.smpp.constants import ESM_INTERMEDIATE, ESM_RECEIPT, VERSION_34, Status
from smsgw.smpp.line import STOPPED
from smsgw.smpp.pdu import (
    AlertNotification,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    Pdu,
    SubmitSm,
    SubmitSmResp,
)
from smsgw.smpp.rewriting import Rewriting, reading, rewriting
from smsgw.smpp.without_tlvs import as_33

_log = Logger()

_RECEIPT = ESM_RECEIPT | ESM_INTERMEDIATE
# Keys of a carrier's form that say what to rewrite.
REWRITTEN = (
    "sender",
    "source_ton",
    "source_npi",
    "dest_ton",
    "dest_npi",
    "protocol_id",
    "transliterate",
    "alphabet",
    "long",
    "packed",
    "country",
    "send_national",
)


class CarrierSide:
    """A carrier with its links; it is what they report to (``smpp.client.Upstream``)."""

    def __init__(
        self,
        form: Carrier,
        queues: Queues,
        settlement: Settlement,
        receipts: Receipts,
        inbound: Inbound,
        clock: IReactorTime,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.form = form
        self.rewriting = _rewriting(form)
        self._reading = reading(form.alphabet, form.packed, form.country)
        self.wholes = Wholes(settlement)
        self.clock = clock
        self.now = now
        self.settlement = settlement
        self.bucket = TokenBucket(form.rate, _burst(form.rate))
        self._share = 1.0  # of its rate, that is this node's
        self.links: list[CarrierLink] = []
        # Makes one more; nobody's links are to be changed without it.
        self.make_link: Callable[[int], CarrierLink] | None = None
        self._closing: list[Deferred[None]] = []  # links that are no more wanted, or bind anew
        self._ending = False
        self._queue = carrier_queue(form.name)
        self._queues = queues
        self._receipts = receipts
        self._inbound = inbound
        self._outlets: dict[CarrierLink, Outlet] = {}
        self._wake: IDelayedCall | None = None
        self._asked = 0  # questions that wait for an answer
        self._questions = TokenBucket(form.rate / 4)
        self.last_id = ""  # that it gave a message, for how its ids look; see ``passed``
        self._told: dict[str, str] = {}  # link -> why it is not up, as the log knows it
        # Told of each alert_notification; nobody is without it.
        self.alerts: Callable[[str, AlertNotification], object] | None = None
        # Called when the links are closed: to stop what else is the carrier's own (its simulator).
        self.afterwards: Callable[[], Deferred[None]] | None = None
        # For operators, since the start of the gateway.
        self.sent = 0
        self.refused = 0
        self.unanswered = 0
        self.throttled = 0
        self.receipts_received = 0
        self.mo_received = 0

    @property
    def outstanding(self) -> int:
        """Submits not settled yet, on all links."""
        return sum(outlet.outstanding for outlet in self._outlets.values())

    def ask(self, pdu: Pdu) -> "Deferred[Pdu | None]":
        """Asks the carrier something on one of its links; fires with the answer, None if there is
        none in time, no link is up, or questions have a quarter of its window or rate already.

        Raises ``ValueError`` for a PDU that cannot be encoded.
        """
        link = next((one for one in self.links if one.up and one.room > 0), None)
        # Not more than a quarter of what it takes: who asks a lot must not hold up messages (I5).
        if link is None or self._asked >= max(1, self.form.window // 4):
            return succeed(None)
        now = self.clock.seconds()
        if not self._questions.take(1, now):
            return succeed(None)
        asked = link.ask(pdu)
        self.bucket.spend(1, now)
        self._asked += 1

        def answered(answer: Pdu | None) -> Pdu | None:
            self._asked -= 1
            return answer

        return asked.addCallback(answered)

    def note_ids(self, answers: Sequence[tuple[Entry, Submitted | None]]) -> None:
        """How the carrier's ids look now."""
        for _, answer in answers:
            if isinstance(answer, SubmitSmResp | DataSmResp) and answer.message_id:
                self.last_id = answer.message_id.decode("latin-1")

    def written(self, message: Message, part: int) -> SubmitSm:
        """A part as the carrier is, or was, given it."""
        now_ms = int(self.now() * 1000)
        pdu = translate.submit_of(message, part, now_ms, DEFAULT_VALIDITY_MS)
        tlvs = all(link.version >= VERSION_34 for link in self.links)
        if not tlvs:
            as_33(pdu)
        if self.rewriting is not None:
            self.rewriting.apply(pdu, tlvs)
        return pdu

    def adjust(self, form: Carrier) -> None:
        """Takes over a changed form that does not need new links (rate, window, rewriting)."""
        for outlet in self._outlets.values():
            outlet.resize(self.form.window, form.window)
        self.form = form
        self.rewriting = _rewriting(form)
        self._reading = reading(form.alphabet, form.packed, form.country)
        self._limit()
        self._resize(form.binds)
        self.pump()

    def share_rate(self, share: float) -> None:
        """This node sends this part (0 to 1) of what the carrier takes."""
        self._share = share
        self._limit()

    def _limit(self) -> None:
        rate = self.form.rate * self._share
        if rate != self.bucket.rate:
            self.bucket = TokenBucket(rate, _burst(rate))
            self._questions = TokenBucket(rate / 4)

    def _resize(self, binds: int) -> None:
        """Starts links that are missing, and unbinds the last ones that are too many."""
        while len(self.links) > binds:
            link = self.links.pop()
            outlet = self._outlets.get(link)
            if link.up and outlet is not None:
                self._queues.unsubscribe(self._queue, outlet)
            closing = link.stop()
            self._closing.append(closing)
            closing.addBoth(self._closed, link, closing)
        while len(self.links) < binds and self.make_link is not None:
            link = self.make_link(len(self.links) + 1)
            self.links.append(link)
            link.start()

    def _closed(self, _: object, link: CarrierLink, closing: Deferred[None]) -> None:
        self._closing.remove(closing)
        self._outlets.pop(link, None)

    def outstanding_of(self, link: CarrierLink) -> int:
        """Submits not settled yet on one link."""
        outlet = self._outlets.get(link)
        return outlet.outstanding if outlet is not None else 0

    def rebind(self, name: str) -> bool:
        """Unbinds the link of this name in order, and then binds it again; False if there is none,
        or it is not up."""
        link = next((one for one in self.links if one.name == name and one.up), None)
        outlet = self._outlets.get(link) if link is not None else None
        if link is None or outlet is None:
            return False
        self._queues.unsubscribe(self._queue, outlet)
        closing = link.stop()
        self._closing.append(closing)

        def again(_: object) -> None:
            self._closing.remove(closing)
            if link in self.links and not self._ending:
                link.start()

        closing.addBoth(again)
        return True

    def stop(self) -> Deferred[None]:
        """Unbinds all links in order; fires when they are closed."""
        self._ending = True
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        for link, outlet in self._outlets.items():
            if link.up:
                self._queues.unsubscribe(self._queue, outlet)
        stopping = [link.stop() for link in self.links] + list(self._closing)
        stopped = DeferredList(stopping, consumeErrors=True)
        afterwards = self.afterwards
        return stopped.addCallback(lambda _: afterwards() if afterwards is not None else None)

    def pump(self) -> None:
        """There may be room."""
        self._queues.pump(self._queue)

    def wake(self, delay: float) -> None:
        """There will be room in ``delay`` seconds."""
        # A few milliseconds of tokens at once: a timer for each token would cost more than it
        # sends.
        delay = max(0.005, delay)
        if self._wake is None:
            self._wake = self.clock.callLater(delay, self._woken)
        elif self._wake.getTime() > self.clock.seconds() + delay:
            self._wake.reset(delay)  # another link waits for something later

    def _woken(self) -> None:
        self._wake = None
        self.pump()

    def link_up(self, link: CarrierLink) -> None:
        """See ``Upstream``."""
        _log.info("carrier {carrier}: link {link} is up", carrier=self.form.name, link=link.name)
        self._told.pop(link.name, None)
        outlet = self._outlets.get(link)
        if outlet is None:
            outlet = self._outlets[link] = Outlet(self, link)
        self._queues.subscribe(self._queue, outlet)

    def link_waits(self, link: CarrierLink, reason: str) -> None:
        """See ``Upstream``; one line for each reason, however often it is tried."""
        if self._told.get(link.name) != reason:
            self._told[link.name] = reason
            _log.warn(
                "carrier {carrier}: link {link} is not up: {reason}; {next}",
                carrier=self.form.name,
                link=link.name,
                reason=reason,
                next=self._next,
            )

    @property
    def _next(self) -> str:
        """What brings a link up again, for the log."""
        return "it is to call again" if self.form.only_calls else "tried again until it is"

    def link_down(self, link: CarrierLink, reason: str) -> None:
        """See ``Upstream``; the one line of a loss."""
        self._told[link.name] = reason
        if reason == STOPPED:
            _log.info(
                "carrier {carrier}: link {link} is down: {reason}",
                carrier=self.form.name,
                link=link.name,
                reason=reason,
            )
        else:
            _log.warn(
                "carrier {carrier}: link {link} is not up any more: {reason}; {next}",
                carrier=self.form.name,
                link=link.name,
                reason=reason,
                next=self._next,
            )
        outlet = self._outlets.get(link)
        if outlet is not None:
            self._queues.unsubscribe(self._queue, outlet)

    def answered(
        self,
        link: CarrierLink,
        answers: list[tuple[object, Submitted | None]],
    ) -> None:
        """See ``Upstream``."""
        self._outlets[link].answered(answers)  # type: ignore[arg-type]  # contexts are our entries

    def received(self, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        """See ``Upstream``: receipts and MO of one read, each kind stored in one transaction."""
        reports = []
        of_reports = []
        mos = []
        # A handset could write a text like a receipt's; only 3.3 carriers may mark none (§4).
        by_text = self.form.version == "3.3"
        read = self._reading
        for pdu in pdus:
            told = pdu
            if read is not None and pdu.esm_class & _RECEIPT:
                read.unpack(pdu)
            elif read is not None and by_text:
                # What turns out to be no receipt is still as it came.
                told = evolve(pdu)
                read.unpack(told)
            report = receipt.parse(told, by_text=by_text)
            if report is None:
                if read is not None:
                    read.apply(pdu)
                mos.append(pdu)
            else:
                report.id = normalise(report.id, self.form.receipt_id)
                reports.append(report)
                of_reports.append(pdu)
        if reports:
            self.receipts_received += len(reports)
            done = self._receipts.receive(self.form.name, reports)
            done.addCallbacks(
                self._answer,
                self._failed,
                callbackArgs=(link, of_reports),
                errbackArgs=(link, of_reports),
            )
        if mos:
            self.mo_received += len(mos)
            self._inbound.receive(self.form.name, mos).addCallbacks(
                link.respond, self._failed, errbackArgs=(link, mos)
            )

    def alerted(self, link: CarrierLink, pdu: AlertNotification) -> None:
        """See ``Upstream``."""
        if self.alerts is not None:
            self.alerts(self.form.name, pdu)

    def _answer(self, stored: bool, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        status = Status.ESME_ROK if stored else Status.ESME_RX_T_APPN
        link.respond([DeliverSmResp(sequence=pdu.sequence, status=status) for pdu in pdus])

    def _failed(self, failure: Failure, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        _log.failure("carrier {carrier}: received", failure, carrier=self.form.name)
        self._answer(False, link, pdus)


def _rewriting(form: Carrier) -> Rewriting | None:
    return rewriting(**{name: getattr(form, name) for name in REWRITTEN})


def _burst(rate: float) -> float:
    """A tenth of a second's worth: strict carriers count over less than a second. But two, where
    the rate has them, so that a timer that comes late loses nothing."""
    return max(1.0, min(2.0, rate), rate / 10)
