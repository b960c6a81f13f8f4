"""The factory of a scriptable SMSC's connections: what they share, and what tests ask of it."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from random import Random

from attrs import define
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import ServerFactory

from smsgw.smpp.constants import TEMPORARY
from smsgw.smpp.pdu import Bind, DataSm, DeliverSm, Outbind, SubmitSm
from smsgw.testing.messages import mobile_originated, receipt
from smsgw.testing.peer import Agenda, Watch
from smsgw.testing.script import THROTTLED, Plan, SmscScript
from smsgw.testing.smsc_asked import Asked
from smsgw.testing.smsc_session import Delivery, SmscSession

_MO_TICK_S = 0.01  # MO of a high rate go out in batches, this far apart


@define
class Counts:
    """What has happened at a simulated SMSC so far."""

    connections: int = 0
    binds: int = 0
    binds_refused: int = 0
    submits: int = 0  # submit_sm that arrived, whatever became of them
    accepted: int = 0
    refused: int = 0
    tlvs_in_33: int = 0  # submits of a client that sent TLVs to an SMSC of 3.3
    silenced: int = 0
    responses_lost: int = 0
    receipts: int = 0  # sent, a second time too
    receipts_answered: int = 0
    mo: int = 0
    mo_answered: int = 0
    deliveries_refused: int = 0  # for good
    deliveries_retried: int = 0
    resets: int = 0


class Smsc(ServerFactory):
    """The factory of one simulated SMSC's connections, and all that they share.

    ``submits`` are the submit_sm that arrived, a data_sm as the submit_sm that says the same;
    ``data`` are the data_sm, ``binds`` the bind requests; all keep the last
    ``keep``.
    """

    noisy = False

    def __init__(
        self,
        script: SmscScript,
        clock: IReactorTime,
        keep: int = 10_000,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970 for the dates of receipts; ``clock`` runs timers."""
        self.script = script
        self.clock = clock
        self.now = now
        self.counts = Counts()
        self.submits: deque[SubmitSm] = deque(maxlen=keep)
        self.data: deque[DataSm] = deque(maxlen=keep)
        self.binds: deque[Bind] = deque(maxlen=keep)
        self.sessions: list[SmscSession] = []  # open connections, bound or not
        self.asked = Asked(keep)
        self.agenda = Agenda(clock, self.flush)
        self.waiting: deque[Delivery] = deque()  # for a session that has room
        self._watch = Watch()
        self._chance = Random(script.seed or None)
        # Unique also over restarts: microseconds since 1970, plus one each.
        self._id = int(now() * 1_000_000)
        self._tokens = (script.throttle, clock.seconds())
        self._receipt_at = 0.0
        self._reference = 0
        self._traffic_on = False

    # What tests ask and do.

    def when(self, condition: Callable[[], bool]) -> "Deferred[None]":
        """Fires when ``condition``, looked at after every event here, is true."""
        return self._watch.when(condition)

    def arrived(self, count: int) -> "Deferred[None]":
        """Fires when ``count`` submit_sm have arrived since the start."""
        return self.when(lambda: self.counts.submits >= count)

    def bound(self, count: int = 1) -> "Deferred[None]":
        """Fires when ``count`` sessions are bound at the same time."""
        return self.when(lambda: sum(s.bound for s in self.sessions) >= count)

    def mobile_originated(self, source: str, destination: str, text: str) -> int:
        """Bring a text from a handset to the other end; the number of its parts."""
        self._reference = self._reference % 255 + 1
        pdus = mobile_originated(source, destination, text, self._reference)
        self.deliver(pdus, "mo")
        return len(pdus)

    def deliver(self, pdus: "Sequence[DeliverSm | DataSm]", kind: str = "mo") -> None:
        """Send any deliver_sm or data_sm as soon as a session that receives has room."""
        self.waiting.extend([Delivery(pdu, kind) for pdu in pdus])
        self.flush()

    def alert(self, source: str, esme: str, *tlvs: tuple[int, bytes]) -> None:
        """Tell every session that receives that a subscriber can be reached."""
        for session in list(self.sessions):
            session.alert(source, esme, *tlvs)

    async def outbind(
        self, reactor: object, port: int, system_id: str, password: str, host: str = "127.0.0.1"
    ) -> SmscSession:
        """Call a client, to be bound by it; the connection."""
        session = SmscSession(self)
        await connectProtocol(HostnameEndpoint(reactor, host, port), session)
        pdu = Outbind(system_id=system_id.encode(), password=password.encode())
        pdu.sequence = session.next_sequence()
        session.send([pdu])
        return session

    def send_raw(self, octets: bytes) -> None:
        """Send any octets on every open connection."""
        for session in list(self.sessions):
            session.send_raw(octets)

    def drop(self, reset: bool = False) -> None:
        """End every connection without unbind; ``reset``: with RST, unwritten octets are lost."""
        for session in list(self.sessions):
            if reset:
                session.reset()
            else:
                session.close()

    def unbind(self) -> None:
        """Ask every bound session to end, in order."""
        for session in list(self.sessions):
            session.unbind()

    def stop(self) -> None:
        """Forget all timers and end every connection."""
        self.agenda.cancel()
        self.drop()

    # What sessions ask and tell.

    def buildProtocol(self, addr: IAddress | None) -> SmscSession:
        """One more connection."""
        return SmscSession(self)

    def changed(self) -> None:
        """Something has happened: look at the conditions that are waited for."""
        self._watch.check()

    def plan(self, pdu: SubmitSm) -> Plan:
        """What becomes of ``pdu``."""
        if self.script.throttle and not self._token():
            return THROTTLED
        return self.script.plan(pdu, self._chance)

    def allot(self, digits8: bool) -> tuple[str, str]:
        """The next id as response and receipt write it; ``digits8``: the 32 bits of 3.3."""
        self._id += 1
        number = self._id & 0xFFFFFFFF if digits8 else self._id
        script = self.script
        response = f"{number:08X}" if digits8 or script.response_id == "hex" else f"{number:010d}"
        return response, f"{number:08X}" if script.receipt_id == "hex" else f"{number:010d}"

    def receipt(self, pdu: SubmitSm, plan: Plan, id: str, delay: float) -> None:
        """Send the receipts of ``plan`` after ``delay`` seconds, or later by receipt_rate."""
        for _ in range(plan.receipts):
            if self.script.receipt_rate:
                now = self.clock.seconds()
                self._receipt_at = max(now + delay, self._receipt_at + 1 / self.script.receipt_rate)
                delay = self._receipt_at - now
            self.agenda.add(delay, self._receipt_due, pdu, plan, id, self.now())

    def receipt_pdu(self, pdu: SubmitSm, plan: Plan, id: str, submitted: float) -> DeliverSm:
        """The receipt of ``pdu``; ``submitted`` is in seconds since 1970."""
        times = (int(submitted * 1000), int(self.now() * 1000))
        tlvs = self.script.receipt_tlvs and self.script.version != "3.3"
        made = receipt(pdu, id, plan.state, times, tlvs)
        if not self.script.receipt_marks:
            made.esm_class = 0
        return made

    def flush(self) -> None:
        """Give what waits to the sessions that receive and have room, in turns."""
        while self.waiting:
            free = [s for s in self.sessions if s.room > 0]
            if not free:
                break
            share = -(-len(self.waiting) // len(free))
            for session in free:
                count = min(share, session.room, len(self.waiting))
                if count:
                    session.deliver([self.waiting.popleft() for _ in range(count)])
        self.changed()

    def again(self, deliveries: list[Delivery]) -> None:
        """What a session did not bring over goes out again, before anything else."""
        if deliveries:
            self.counts.deliveries_retried += len(deliveries)
            self.waiting.extendleft(reversed(deliveries))
            self.flush()

    def answered(self, delivery: Delivery, status: int) -> None:
        """The other end has answered a deliver_sm."""
        if status in TEMPORARY:
            self.agenda.add(self.script.retry_s, self.again, [delivery])
        elif status:
            self.counts.deliveries_refused += 1
        elif delivery.kind == "mo":
            self.counts.mo_answered += 1
        else:
            self.counts.receipts_answered += 1

    def traffic(self) -> None:
        """Start the MO traffic, if the script has some and it is not running."""
        if self.script.mo_rate and not self._traffic_on:
            self._traffic_on = True
            self._traffic(self.clock.seconds(), 0)

    # Within.

    def _traffic(self, start: float, sent: int) -> None:
        script = self.script
        left = script.mo_count - self.counts.mo if script.mo_count else 1
        if not script.mo_rate or left <= 0 or not any(s.receives for s in self.sessions):
            self._traffic_on = False
            return
        due = int((self.clock.seconds() - start) * script.mo_rate + 1e-6) - sent
        if script.mo_count:
            due = min(due, left)
        for n in range(due):
            text = script.mo_text.replace("{n}", str(self.counts.mo + n + 1))
            self._reference = self._reference % 255 + 1
            pdus = mobile_originated(script.mo_from, script.mo_to, text, self._reference)
            self.waiting.extend([Delivery(pdu, "mo") for pdu in pdus])
        self.agenda.add(max(1 / script.mo_rate, _MO_TICK_S), self._traffic, start, sent + due)

    def _receipt_due(self, pdu: SubmitSm, plan: Plan, id: str, submitted: float) -> None:
        plan = self.asked.plan(pdu, plan)
        self.waiting.append(Delivery(self.receipt_pdu(pdu, plan, id, submitted), "receipt"))

    def _token(self) -> bool:
        """Take one of the tokens of ``throttle``, a second's worth at most."""
        tokens, since = self._tokens
        now = self.clock.seconds()
        rate = self.script.throttle
        tokens = min(max(rate, 1.0), tokens + (now - since) * rate)
        enough = tokens >= 1
        self._tokens = (tokens - 1 if enough else tokens, now)
        return enough
