"""Send: gives a carrier's queue to its links, as far as windows and rate allow.

Comes from: the carrier's queue, filled by ``accept`` and ``settle``.
Goes on to: ``settle`` with the carrier's answers.
"""

from typing import TYPE_CHECKING

from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import trace
from smsgw.flow.decide import DEFAULT_VALIDITY_MS
from smsgw.flow.former import ended
from smsgw.queues import Entry
from smsgw.smpp import data_sm, translate
from smsgw.smpp.client import CarrierLink, Submitted
from smsgw.smpp.codec import encode
from smsgw.smpp.constants import VERSION_34, Status
from smsgw.smpp.pdu import DataSm, Pdu, SubmitSm
from smsgw.smpp.without_tlvs import as_33

if TYPE_CHECKING:
    from smsgw.flow.carrier import CarrierSide

_log = Logger()

_SLOW_DOWN = frozenset({int(Status.ESME_RTHROTTLED), int(Status.ESME_RMSGQFUL)})
_PAUSE_S = 1.0  # after a throttled answer nothing is sent for so long
_MAX_PAUSE_S = 30.0


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
        others = [e for e in entries if e.message.kind != "sms"]
        if others:
            # It was an MMSC when they were accepted.
            for entry in others:
                entry.gone = True
            carrier.settlement.unsendable(others, "the carrier takes no MMS")
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
            items = self._without_tlvs(items)
            entries = [entry for _, entry in items if isinstance(entry, Entry)]
            if not entries:
                return
        rewriting = carrier.rewriting
        if rewriting is not None:
            for (pdu, _), entry in zip(items, entries, strict=True):
                if entry in whole:
                    rewriting.whole(pdu, entry.message.parts)
                else:
                    rewriting.apply(pdu, tlvs)
        sent: list[tuple[SubmitSm | DataSm, object]] = [*items]
        if carrier.form.submit == "data_sm" and tlvs:
            sent = [(data_sm.submission_of(pdu), entry) for pdu, entry in items]
        try:
            self.link.submit(sent)
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

    def _without_tlvs(self, items: list[tuple[SubmitSm, object]]) -> list[tuple[SubmitSm, object]]:
        """Those that can be said without TLVs; the others end."""
        good = []
        for pdu, entry in items:
            try:
                as_33(pdu)
            except ValueError as error:
                assert isinstance(entry, Entry)
                self.carrier.settlement.unsendable([entry], str(error))
            else:
                good.append((pdu, entry))
        return good

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

    def answered(self, answers: list[tuple[Entry, Submitted | None]]) -> None:
        """Answers have come, or will not come any more (None)."""
        for _, answer in answers:
            if answer is not None and answer.status:
                self.carrier.refused += 1
                if answer.status in _SLOW_DOWN:
                    self._slow_down()
            elif answer is None:
                self.carrier.unanswered += 1
        if self.carrier.form.asked:
            self.carrier.note_ids(answers)
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
