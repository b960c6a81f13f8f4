"""Send: gives a carrier's queue to its links, as far as windows and rate allow, and keeps the links
up.

Comes from: the carrier's queue, filled by ``accept`` and ``settle``.
Goes on to: ``settle`` with the carrier's answers, ``receipts`` and ``inbound`` with what it sends
by itself.
"""

import time
from collections.abc import Callable

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import trace
from smsgw.flow.decide import DEFAULT_VALIDITY_MS
from smsgw.flow.former import ended
from smsgw.flow.inbound import Inbound
from smsgw.flow.receipts import Receipts, normalise
from smsgw.flow.route import carrier_queue
from smsgw.flow.settle import Settlement
from smsgw.flow.whole import Wholes
from smsgw.provisioning import Carrier
from smsgw.queues import Entry
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.rules.limits import TokenBucket
from smsgw.smpp import receipt, translate
from smsgw.smpp.client import CarrierLink
from smsgw.smpp.codec import encode
from smsgw.smpp.constants import ESM_INTERMEDIATE, ESM_RECEIPT, VERSION_34, Status
from smsgw.smpp.pdu import (
    DeliverSm,
    DeliverSmResp,
    GenericNack,
    Pdu,
    SubmitSm,
    SubmitSmResp,
)
from smsgw.smpp.rewriting import Rewriting, reading, rewriting

_log = Logger()

_SLOW_DOWN = frozenset({int(Status.ESME_RTHROTTLED), int(Status.ESME_RMSGQFUL)})
_RECEIPT = ESM_RECEIPT | ESM_INTERMEDIATE
_PAUSE_S = 1.0  # after a throttled answer nothing is sent for so long
_MAX_PAUSE_S = 30.0
# Keys of a carrier's form that say what to rewrite.
_REWRITTEN = (
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


class Outlet:
    """One link as a consumer of its carrier's queue.

    A place in the window is free again only when the answer is settled, not when it is received: so
    no more than a window can be sent twice after a crash (I2). When the carrier says that it is too
    much, the link pauses and halves what it has outstanding, and takes one more for each window
    that goes well.
    """

    def __init__(self, carrier: "CarrierSide", link: CarrierLink) -> None:
        self.carrier = carrier
        self.link = link
        self.outstanding = 0
        self._allowed = float(carrier.form.window)
        self._paused_until = 0.0
        self._pause_s = _PAUSE_S

    @property
    def room(self) -> int:
        """How many more submits may go out now."""
        carrier = self.carrier
        now = carrier.clock.seconds()
        if now < self._paused_until:
            carrier.wake(self._paused_until - now)
            return 0
        window = min(carrier.form.window, int(self._allowed))
        free = min(window - self.outstanding, self.link.room)
        if carrier.bucket.rate and free > 0:
            free = min(free, carrier.bucket.available(now))
            if free <= 0:
                carrier.wake(carrier.bucket.wait(now))
        return free

    def take(self, entries: list[Entry]) -> None:
        """Sends the entries, one submit_sm each, in one write."""
        carrier = self.carrier
        now_ms = int(carrier.now() * 1000)
        over = [e for e in entries if e.expires_at <= now_ms or ended(e)]
        if over:
            carrier.settlement.expire(over)
            entries = [entry for entry in entries if not entry.gone]
        if not entries:
            return
        whole: list[Entry] = []
        tlvs = self.link.version >= VERSION_34
        if carrier.form.long == "payload" and tlvs:
            entries, whole = carrier.wholes.board(entries, carrier.form)
            if not entries:
                return
        submit_of = translate.submit_of
        items: list[tuple[SubmitSm, object]] = [
            (submit_of(e.message, e.part, now_ms, DEFAULT_VALIDITY_MS), e) for e in entries
        ]
        if not tlvs:
            for pdu, _ in items:
                # SMPP 3.3 has one bit of each (spec/smpp.md §3).
                pdu.registered_delivery &= 1
                pdu.priority_flag = min(pdu.priority_flag, 1)
        rewriting = carrier.rewriting
        if rewriting is not None:
            for (pdu, _), entry in zip(items, entries, strict=True):
                if entry in whole:
                    rewriting.whole(pdu, entry.message.parts)
                else:
                    rewriting.apply(pdu, tlvs)
        try:
            self.link.submit(items)
        except ValueError:
            # One that no PDU can hold must not hold up the others.
            self._without_unsendable(items)
            return
        # Links that were asked for their room together saw the same tokens: what is too much is
        # owed.
        carrier.bucket.spend(len(entries), carrier.clock.seconds())
        self.outstanding += len(entries)
        carrier.sent += len(entries)
        if trace.on:
            for entry in entries:
                trace.say("sent", entry.message, carrier=carrier.form.name, part=entry.part)

    def _without_unsendable(self, items: list[tuple[SubmitSm, object]]) -> None:
        good: list[Entry] = []
        for pdu, entry in items:
            assert isinstance(entry, Entry)
            try:
                encode(pdu)
            except ValueError as error:
                with_it = self.carrier.wholes.alight(entry)
                self.carrier.settlement.unsendable([entry, *with_it], str(error))
            else:
                good.append(entry)
        if good and len(good) < len(items):
            self.take(good)

    def answered(self, answers: list[tuple[Entry, SubmitSmResp | GenericNack | None]]) -> None:
        """Answers have come, or will not come any more (None)."""
        for _, answer in answers:
            if answer is not None and answer.status:
                self.carrier.refused += 1
                if answer.status in _SLOW_DOWN:
                    self._slow_down()
            elif answer is None:
                self.carrier.unanswered += 1
        if self._allowed < self.carrier.form.window:
            good = sum(1 for _, a in answers if a is not None and a.status not in _SLOW_DOWN)
            self._allowed = min(self.carrier.form.window, self._allowed + good / self._allowed)
            if good:
                self._pause_s = _PAUSE_S
        told: list[tuple[Entry, Pdu | None]] = list(answers)
        if self.carrier.wholes.any:
            for entry, answer in answers:
                told += [(other, answer) for other in self.carrier.wholes.alight(entry)]
        done = self.carrier.settlement.settle(self.carrier.form.name, told)
        done.addCallbacks(self._settled, self._broken, callbackArgs=(len(answers),))

    def _settled(self, _: None, count: int) -> None:
        self.outstanding -= count
        self.carrier.pump()

    def _broken(self, failure: Failure) -> None:
        _log.failure("carrier {carrier}: settle", failure, carrier=self.carrier.form.name)

    def resize(self, old: int, new: int) -> None:
        """The window is another; a link that has been slowed down goes on from where it is."""
        if self._allowed >= old:
            self._allowed = float(new)

    def _slow_down(self) -> None:
        now = self.carrier.clock.seconds()
        # Many answers of one burst say the same thing once.
        if now >= self._paused_until:
            self._paused_until = now + self._pause_s
            self._pause_s = min(_MAX_PAUSE_S, self._pause_s * 2)
            self._allowed = max(1.0, self._allowed / 2)
            _log.info(
                "carrier {carrier}: link {link} is throttled: paused, {window} outstanding at most",
                carrier=self.carrier.form.name,
                link=self.link.name,
                window=int(self._allowed),
            )
            self.carrier.throttled += 1


class CarrierSide:
    """A carrier with its links; it is what they report to (``smpp.client.Upstream``)."""

    def __init__(
        self,
        form: Carrier,
        queues: EmbeddedQueues,
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
        self.links: list[CarrierLink] = []
        self._queue = carrier_queue(form.name)
        self._queues = queues
        self._receipts = receipts
        self._inbound = inbound
        self._outlets: dict[CarrierLink, Outlet] = {}
        self._wake: IDelayedCall | None = None
        self._told: dict[str, str] = {}  # link -> why it is not up, as the log knows it
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

    def adjust(self, form: Carrier) -> None:
        """Takes over a changed form that does not need new links (rate, window, rewriting)."""
        for outlet in self._outlets.values():
            outlet.resize(self.form.window, form.window)
        self.form = form
        self.rewriting = _rewriting(form)
        self._reading = reading(form.alphabet, form.packed, form.country)
        if form.rate != self.bucket.rate:
            self.bucket = TokenBucket(form.rate, _burst(form.rate))
        self.pump()

    def stop(self) -> Deferred[None]:
        """Unbinds all links in order; fires when they are closed."""
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        for link, outlet in self._outlets.items():
            if link.up:
                self._queues.unsubscribe(self._queue, outlet)
        stopped = DeferredList([link.stop() for link in self.links], consumeErrors=True)
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
                "carrier {carrier}: link {link} is not up: {reason}; tried again until it is",
                carrier=self.form.name,
                link=link.name,
                reason=reason,
            )

    def link_down(self, link: CarrierLink, reason: str) -> None:
        """See ``Upstream``."""
        _log.info(
            "carrier {carrier}: link {link} is down: {reason}",
            carrier=self.form.name,
            link=link.name,
            reason=reason,
        )
        outlet = self._outlets.get(link)
        if outlet is not None:
            self._queues.unsubscribe(self._queue, outlet)

    def answered(
        self,
        link: CarrierLink,
        answers: list[tuple[object, SubmitSmResp | GenericNack | None]],
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
            if read is not None and pdu.esm_class & _RECEIPT:
                read.unpack(pdu)
            report = receipt.parse(pdu, by_text=by_text)
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

    def _answer(self, stored: bool, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        status = Status.ESME_ROK if stored else Status.ESME_RX_T_APPN
        link.respond([DeliverSmResp(sequence=pdu.sequence, status=status) for pdu in pdus])

    def _failed(self, failure: Failure, link: CarrierLink, pdus: list[DeliverSm]) -> None:
        _log.failure("carrier {carrier}: received", failure, carrier=self.form.name)
        self._answer(False, link, pdus)


@define
class Carriers:
    """All carriers, kept as the provisioning says."""

    make: Callable[[Carrier], "Deferred[CarrierSide]"]
    # What waits for a carrier that is no more finds another way (``Settlement.forsake``).
    forsake: Callable[[str], object]
    sides: dict[str, CarrierSide] = field(factory=dict)
    _wanted: dict[str, Carrier] = field(factory=dict)
    _leaving: list[Deferred[None]] = field(factory=list)

    def provision(self, forms: dict[str, Carrier]) -> None:
        """Starts, stops and adjusts so that there is one side for each form; binds that need not
        change stay."""
        for name in list(self._wanted):
            new = forms.get(name)
            if new is None or not _same_links(self._wanted[name], new):
                del self._wanted[name]
                side = self.sides.pop(name, None)
                if side is not None:
                    self._leave(side, gone=new is None)
        for name, form in forms.items():
            old = self._wanted.get(name)
            self._wanted[name] = form
            if old is None:
                self.make(form).addCallbacks(self._made, self._not_made, errbackArgs=(name,))
            elif old != form and name in self.sides:
                self.sides[name].adjust(form)

    def _leave(self, side: CarrierSide, gone: bool) -> None:
        stopped = side.stop()
        self._leaving.append(stopped)

        def left(_: object) -> None:
            self._leaving.remove(stopped)
            if gone:
                self.forsake(side.form.name)

        stopped.addBoth(left)

    def _made(self, side: CarrierSide) -> None:
        name = side.form.name
        wanted = self._wanted.get(name)
        if wanted is None or name in self.sides or not _same_links(wanted, side.form):
            return  # changed again meanwhile
        self.sides[name] = side
        if wanted != side.form:
            side.adjust(wanted)
        for link in side.links:
            link.start()

    def _not_made(self, failure: Failure, name: str) -> None:
        self._wanted.pop(name, None)
        _log.failure("carrier {carrier}: not started", failure, carrier=name)

    def stop(self) -> Deferred[None]:
        """Unbinds all; fires when all links are closed, those of sides just replaced too."""
        stopping = [side.stop() for side in self.sides.values()] + list(self._leaving)
        return DeferredList(stopping, consumeErrors=True).addCallback(lambda _: None)


def _rewriting(form: Carrier) -> Rewriting | None:
    return rewriting(**{name: getattr(form, name) for name in _REWRITTEN})


def _burst(rate: float) -> float:
    """A tenth of a second's worth: strict carriers count over less than a second. But two, where
    the rate has them, so that a timer that comes late loses nothing."""
    return max(1.0, min(2.0, rate), rate / 10)


def _same_links(old: Carrier, new: Carrier) -> bool:
    """True if the links need not be made anew."""
    same = evolve(
        old,
        rate=new.rate,
        window=new.window,
        response_id=new.response_id,
        receipt_id=new.receipt_id,
        errors=new.errors,
        queue_limit=new.queue_limit,
        **{name: getattr(new, name) for name in _REWRITTEN},
    )
    return same == new
