"""One SMPP session without socket and clock: octets and time go in, events and octets come out.

Theory of operation. One class serves both roles. The owner calls ``receive`` with what a socket
read, ``tick`` when ``deadline()`` has passed, and ``request``, ``respond``, ``bind``, ``accept``,
``refuse``, ``unbind`` when it wants to say something. Every call gives the time as seconds of a
clock that never goes back. After each call the owner writes what ``take()`` returns, all at once,
and closes the connection once ``ended`` is not empty. ``receive`` and ``tick`` return a few events
that carry lists; requests and answers of one read are one event each, as long as nothing else
stands between them.

How a session begins and ends is in ``lifecycle.py``, and what is legal in the table of
``states.py``. The hot path does not walk it: ``_served``, the set of PDU classes that may be served
now, is computed from the table at every move, and a PDU of such a class, or an answer to one of our
requests, takes a few dict operations. Everything else goes through ``_other``, which reads the
table.

Two windows bound what is in flight (``windows.py``): our requests, each with its context and the
time its answer is due, and the peer's, which wait for ``respond``; what comes beyond the latter is
answered ESME_RTHROTTLED at once. enquire_link, unbind and binds are in neither.

Every request handed out is answered by ``respond`` or dies with the session; every context given to
``request`` comes back exactly once, by a ``Responses`` event or from ``close``.
"""

from collections.abc import Sequence
from math import inf
from typing import Any

from smsgw.smpp.codec import encode, encode_all
from smsgw.smpp.constants import MAX_SEQUENCE, RESPONSE, VERSION_34, Status
from smsgw.smpp.events import (
    Answer,
    BindRequested,
    Called,
    Event,
    MisuseError,
    Requests,
    Responses,
)
from smsgw.smpp.faults import FramingFault, PduFault
from smsgw.smpp.lifecycle import Lifecycle
from smsgw.smpp.pdu import (
    AlertNotification,
    Bind,
    EnquireLinkResp,
    GenericNack,
    Outbind,
    Pdu,
    UnbindResp,
)
from smsgw.smpp.states import BOUND, TABLE, Input, Role, State, refusal
from smsgw.smpp.versions import INPUTS, OWN, RESPONSES, answer_with, for_33, without_tlvs


class Session(Lifecycle):
    """One end of one SMPP session."""

    # What the owner may ask

    @property
    def room(self) -> int:
        """How many more requests ``request`` takes now."""
        if self.state in BOUND and (self.state, OWN[self.role]) in TABLE:
            return max(self._outgoing.size - len(self._outgoing.entries), 0)
        return 0

    @property
    def unanswered(self) -> int:
        """Requests of the peer that wait for ``respond``."""
        return self._incoming.count

    @property
    def outstanding(self) -> int:
        """Our requests that wait for an answer."""
        return len(self._outgoing.entries)

    @property
    def unread(self) -> bytes:
        """Octets of a PDU of the peer that has not come whole."""
        return self._framer.rest

    def take(self) -> bytes:
        """The octets to write now; each is given once."""
        out = self._out
        if not out:
            return b""
        octets = out[0] if len(out) == 1 else b"".join(out)
        out.clear()
        return octets

    def deadline(self) -> float:
        """When ``tick`` is due; it may be called earlier without harm. Infinite if nothing is
        awaited.
        """
        if self.state is State.CLOSED:
            return inf
        due = min(self._until, self._outgoing.due())
        if self.state in BOUND:
            due = min(due, self._liveness.due())
        return due

    # What the owner may do

    def request(self, items: Sequence[tuple[Pdu, object]], now: float) -> None:
        """Send requests, each with the context that its answer will be given back with.

        Gives them their sequence numbers. Raises ``MisuseError`` beyond ``room``, ``ValueError``
        for a PDU that cannot be encoded; then nothing of the batch is sent.
        """
        if len(items) > self.room:
            raise MisuseError(f"{len(items)} requests, room for {self.room}")
        deadline = now + self.timers.response_s
        sequence = self._sequence
        entries = {}
        for pdu, context in items:
            sequence = sequence + 1 if sequence < MAX_SEQUENCE else 1
            pdu.sequence = sequence
            entries[sequence] = (context, RESPONSES[pdu.__class__], deadline)
        if not self.tlvs:
            for pdu, _ in items:
                without_tlvs(pdu)
        self._out.append(encode_all([pdu for pdu, _ in items]))
        self._sequence = sequence
        self._outgoing.entries.update(entries)
        self._liveness.active = now

    def notify(self, pdu: Pdu, now: float) -> None:
        """Send a PDU that has no response; nothing happens where we may send no request now.

        Raises ``ValueError`` if it cannot be encoded.
        """
        if self.state not in BOUND or (self.state, OWN[self.role]) not in TABLE:
            return
        pdu.sequence = self._next()
        self._out.append(encode(pdu))
        self._liveness.active = now

    def respond(self, pdus: Sequence[Pdu], now: float) -> None:
        """Answer requests of the peer; nothing happens if the session has ended meanwhile.

        Raises ``MisuseError`` if a sequence number waits for no answer, ``ValueError`` for a PDU
        that cannot be encoded; then nothing of the batch is sent.
        """
        if self.state is State.CLOSED:
            return
        if not self.tlvs:
            for pdu in pdus:
                without_tlvs(pdu)
        if self.version < VERSION_34:
            for pdu in pdus:
                pdu.status = for_33(pdu)
        octets = encode_all(pdus)
        self._incoming.settle(pdus)
        self._out.append(octets)
        self._liveness.active = now
        if self.state not in BOUND:
            self._wind_up(now)

    def close(self) -> list[Answer]:
        """The connection is gone: the contexts that will have no answer."""
        self.end("connection lost")
        return self._outgoing.give_up()

    # What happens to it

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take what the peer sent."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        items: list[Any] = self._framer.feed(data)
        if not items:
            return events
        self._liveness.heard = now
        requests: list[Pdu] = []
        answers: list[Answer] = []
        served = self._served
        pending = self._outgoing.entries
        incoming = self._incoming
        owed = incoming.owed
        room = incoming.size - incoming.count
        for item in items:
            cls = item.__class__
            if cls in served and room > 0:
                sequence = item.sequence
                owed[sequence] = owed[sequence] + 1 if sequence in owed else 1
                room -= 1
                requests.append(item)
                continue
            found = pending.get(item.sequence)
            if found is not None and (found[1] is cls or cls is GenericNack):
                del pending[item.sequence]
                answers.append((found[0], item))
                continue
            # The rare rest may move the state and adds events: what came before it goes first.
            incoming.count = incoming.size - room
            self._gather(events, requests, answers, now)
            requests, answers = [], []
            if isinstance(item, Pdu):
                self._other(item, now, events)
            else:
                self._fault(item)
            if self.ended:
                return events
            served = self._served
            room = incoming.size - incoming.count
        incoming.count = incoming.size - room
        self._gather(events, requests, answers, now)
        if self.state not in BOUND:
            self._wind_up(now)
        return events

    def tick(self, now: float) -> list[Event]:
        """Do what is due at ``now``."""
        events: list[Event] = []
        if self.state is State.CLOSED:
            return events
        late = self._outgoing.expire(now)
        if late:
            events.append(Responses(late))
        if self.state in BOUND:
            self._keep_alive(now)
            return events
        if now >= self._until:
            self._overdue()
        self._wind_up(now)
        return events

    # The rest is the session's own

    def _gather(
        self, events: list[Event], requests: list[Pdu], answers: list[Answer], now: float
    ) -> None:
        """Add to the events; a run of requests stays one event whatever small things stand between
        them.
        """
        if requests:
            self._liveness.active = now
            if events and isinstance(events[-1], Requests):
                events[-1].pdus += requests
            else:
                events.append(Requests(requests))
        if answers:
            self._liveness.active = now
            events.append(Responses(answers))

    def _other(self, pdu: Pdu, now: float, events: list[Event]) -> None:
        """A PDU that the hot path does not know: by the table."""
        if pdu.COMMAND & RESPONSE:
            self._response(pdu, now, events)
            return
        self._liveness.active = now
        cls = pdu.__class__
        kind = INPUTS[self.role].get(cls)
        step = TABLE.get((self.state, kind)) if kind else None
        if not self._knows(cls) and self.state not in (State.OPEN, State.BINDING):
            self._say(GenericNack(sequence=pdu.sequence, status=Status.ESME_RINVCMDID))
        elif step is None:
            answer = answer_with(pdu, refusal(self.state, kind))
            if kind is None and isinstance(answer, GenericNack) and self.state in BOUND:
                # outbind and alert_notification are no operations of an ESME's (L-D11).
                answer.status = Status.ESME_RINVCMDID
            self._say(answer)
        elif kind is Input.ENQUIRE:
            self._say(EnquireLinkResp(sequence=pdu.sequence))
        elif kind is Input.UNBIND:
            self._peer_unbind = pdu.sequence
            self._bind = None
            self._move(Input.UNBIND)
            self._until = now + self.timers.unbind_grace_s
        elif isinstance(pdu, Bind):
            self._bind = pdu
            self._move(Input.BIND)
            self._until = inf
            events.append(BindRequested(pdu))
        elif isinstance(pdu, Outbind):
            self._move(Input.OUTBIND)
            events.append(Called(pdu))
        elif cls is AlertNotification:
            self._gather(events, [pdu], [], now)
        else:
            # Served, but not by the hot path: the window is full.
            self.throttled += 1
            self._say(answer_with(pdu, Status.ESME_RTHROTTLED))

    def _response(self, pdu: Pdu, now: float, events: list[Event]) -> None:
        """A response that answers none of the owner's requests: one of the session's own, or a
        stray.
        """
        sequence = pdu.sequence
        nack = isinstance(pdu, GenericNack)
        bind = self._bind
        if not sequence:
            self.strays += 1
        elif sequence == self._liveness.asked and (nack or isinstance(pdu, EnquireLinkResp)):
            self._liveness.answered()  # a nack shows life too
        elif sequence == self._unbind and (nack or isinstance(pdu, UnbindResp)):
            # In UNBOUND the peer's own unbind is still to be answered.
            if self.state is not State.UNBOUND:
                self.end("unbound", orderly=True)
        elif (
            self.role is Role.ESME
            and bind is not None
            and sequence == bind.sequence
            and (nack or isinstance(pdu, RESPONSES[type(bind)]))
        ):
            self._bind = None
            self._bind_answered(bind, pdu, now, events)
        else:
            self.strays += 1

    def _fault(self, fault: PduFault | FramingFault) -> None:
        self.faults += 1
        answer = fault.response()
        if answer is not None:
            self._say(answer)
        if isinstance(fault, FramingFault):
            self.end(f"framing lost: {fault}")
