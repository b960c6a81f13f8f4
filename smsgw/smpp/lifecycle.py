"""How an SMPP session begins and ends: the bind or outbind, the version and windows that it agrees
on, the signs of life, the unbind in order, and what ends it otherwise.

``session.py`` is what goes over it in between. What is legal in which state is the table of
``states.py``. Times are seconds of a clock that never goes back.
"""

from math import inf

from smsgw.smpp.codec import encode
from smsgw.smpp.constants import MAX_SEQUENCE, VERSION_34, status_name
from smsgw.smpp.events import BindRefused, Bound, Event, MisuseError, Timers
from smsgw.smpp.framing import Framer
from smsgw.smpp.liveness import Liveness, Verdict
from smsgw.smpp.pdu import (
    AlertNotification,
    Bind,
    BindResp,
    EnquireLink,
    Outbind,
    Pdu,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.states import BOUND, LEAVING, TABLE, Action, Input, Role, State
from smsgw.smpp.versions import BIND_OK, INPUTS, agreed, for_33, known
from smsgw.smpp.windows import Incoming, Outgoing


class Lifecycle:
    """A session from the connection to its end; ``Session`` adds what goes over it."""

    def __init__(
        self, role: Role, timers: Timers, now: float, window_out: int = 1, window_in: int = 0
    ) -> None:
        """``window_in`` bounds the unanswered requests of the peer, 0 = unbounded (the owner must
        then stop reading).
        """
        self.role = role
        self.timers = timers
        self.state = State.OPEN
        self.version = VERSION_34  # whose rules hold
        self.tlvs = True  # whether we send TLVs
        self.ended = ""  # why the connection is to be closed, once what take() returns is written
        self.orderly = False  # ended by unbind
        # Counts for metrics.
        self.faults = 0
        self.strays = 0  # responses that answer nothing
        self.throttled = 0
        self._framer = Framer()
        self._out: list[bytes] = []
        self._sequence = 0
        self._outgoing = Outgoing(window_out)
        self._incoming = Incoming(window_in)
        self._bind: Bind | None = None  # being answered, by either end
        self._unbind = 0  # sequence of our unbind, 0 = not sent
        self._peer_unbind = 0  # sequence of the peer's unbind, which is answered at the end
        self._liveness = Liveness(timers, now)
        timed = role is Role.SMSC and timers.session_init_s
        self._bind_until = now + timers.session_init_s if timed else inf
        self._until = self._bind_until  # when the present state must have ended
        self._served: frozenset[type[Pdu]] = frozenset()

    # What the owner may do

    def bind(self, pdu: Bind, now: float) -> None:
        """Ask to be bound (ESME); ``Bound`` or ``BindRefused`` follows."""
        if self.role is not Role.ESME or self.state not in (State.OPEN, State.OUTBOUND):
            raise MisuseError(f"bind in {self.state.value} as {self.role.value}")
        pdu.sequence = self._next()
        self._out.append(encode(pdu))
        self._bind = pdu
        self._move(Input.BIND)
        self._until = now + self.timers.response_s

    def outbind(self, pdu: Outbind, now: float) -> None:
        """Ask the peer, which we have called, to bind (SMSC); ``BindRequested`` follows, or the
        session-init time ends the session.
        """
        if self.role is not Role.SMSC or self.state is not State.OPEN:
            raise MisuseError(f"outbind in {self.state.value} as {self.role.value}")
        pdu.sequence = self._next()
        self._out.append(encode(pdu))
        self._move(Input.OUTBIND)

    def await_outbind(self, now: float) -> None:
        """The peer has connected (ESME): ``Called`` follows, or the session-init time ends the
        session.
        """
        self._until = now + self.timers.session_init_s

    def adopt(self, timers: Timers, window_out: int, now: float) -> None:
        """Whose session it is has come out, before it is bound: its times and window hold."""
        self.timers = timers
        self._outgoing.size = window_out
        self._liveness = Liveness(timers, now)

    def accept(
        self,
        response: Pdu,
        now: float,
        *,
        version: int = VERSION_34,
        tlvs: bool = True,
        window_out: int = 1,
        window_in: int = 1,
    ) -> None:
        """Answer the peer's bind with ESME_ROK; from here on both windows and the version's rules
        hold.
        """
        bind = self._answer_bind(response)
        self.version = version
        self.tlvs = self._framer.tlvs = tlvs
        self._outgoing.size = window_out
        self._incoming = Incoming(window_in)
        self._liveness.restart(now)
        self._until = inf
        self._move(BIND_OK[type(bind)])

    def refuse(self, response: Pdu) -> None:
        """Answer the peer's bind with an error; it may try again until the session-init time is
        over.
        """
        self._answer_bind(response)
        self._move(Input.BIND_FAILED)
        self._until = self._bind_until

    def unbind(self, now: float) -> None:
        """End the session in order: wait for what is outstanding, unbind, wait for the answer; each
        at most the grace time. Does nothing if it is ending already; before a bind it ends at once.
        """
        step = TABLE.get((self.state, Input.LEAVE))
        if step is None:
            return
        if step.action is Action.CLOSE:
            self.end("closed before a bind")
            return
        self._move(Input.LEAVE)
        self._until = now + self.timers.unbind_grace_s
        self._wind_up(now)

    def end(self, reason: str, orderly: bool = False) -> None:
        """Take and give nothing more; the owner is to close the connection because of
        ``reason``.
        """
        if self.state is State.CLOSED:
            return
        self.ended = reason
        self.orderly = orderly
        self.state = State.CLOSED
        self._until = inf
        self._served = frozenset()
        self._incoming.clear()

    # For the session

    def _next(self) -> int:
        self._sequence = self._sequence + 1 if self._sequence < MAX_SEQUENCE else 1
        return self._sequence

    def _move(self, kind: Input) -> None:
        """Take the table's step, and compute which classes the hot path hands on in the new
        state.
        """
        self.state = TABLE[self.state, kind].state
        self._served = frozenset(
            cls
            for cls, kind in INPUTS[self.role].items()
            if kind in (Input.SUBMIT, Input.DELIVER)
            and (self.state, kind) in TABLE
            and cls is not AlertNotification  # it has no response, so it is in no window
            and self._knows(cls)
        )

    def _knows(self, cls: type[Pdu]) -> bool:
        """True if the operation exists in the session's version.

        Carriers that forget sc_interface_version are taken for 3.3 but speak 3.4, so an ESME serves
        both.
        """
        return self.role is Role.ESME or known(cls, self.version)

    def _answer_bind(self, response: Pdu) -> Bind:
        if self.role is not Role.SMSC or self.state is not State.BINDING or self._bind is None:
            raise MisuseError(f"no bind waits for an answer in {self.state.value}")
        bind = self._bind
        response.sequence = bind.sequence
        self._out.append(encode(response))
        self._bind = None
        return bind

    def _bind_answered(self, bind: Bind, pdu: Pdu, now: float, events: list[Event]) -> None:
        if pdu.status or not isinstance(pdu, BindResp):
            events.append(BindRefused(pdu.status))
            self.end(f"bind refused: {status_name(pdu.status)}")
            return
        self.version = agreed(bind, pdu)
        self.tlvs = self.version >= VERSION_34
        self._liveness.restart(now)
        self._until = inf
        self._move(BIND_OK[type(bind)])
        events.append(Bound(pdu))

    def _say(self, pdu: Pdu) -> None:
        if self.version < VERSION_34:
            pdu.status = for_33(pdu)
        self._out.append(encode(pdu))

    def _wind_up(self, now: float) -> None:
        """In a state that waits for what is outstanding: go on if nothing is, or the grace time is
        over.
        """
        if (self._outgoing.entries or self._incoming.count) and now < self._until:
            return
        if self.state is State.UNBOUND:
            self._out.append(encode(UnbindResp(sequence=self._peer_unbind)))
            self.end("unbound by the peer", orderly=True)
        elif self.state in LEAVING and not self._unbind:
            self._unbind = self._next()
            self._out.append(encode(Unbind(sequence=self._unbind)))
            self._until = now + self.timers.unbind_grace_s

    def _overdue(self) -> None:
        """The present state has lasted as long as it may; the grace of ``_wind_up`` apart."""
        if self.state in (State.OPEN, State.OUTBOUND):
            awaited = "bind" if self.role is Role.SMSC else "outbind"
            self.end(f"no {awaited} within {self.timers.session_init_s:g} s")
        elif self.state is State.BINDING:
            self.end(f"no answer to the bind within {self.timers.response_s:g} s")
        elif self.state in LEAVING and self._unbind:
            self.end("no answer to unbind")

    def enquire(self, now: float) -> None:
        """Ask the peer whether it is there, unless it is being asked; what becomes of it is as with
        the session's own keep-alive.
        """
        if self.state in BOUND and not self._liveness.asked:
            sequence = self._next()
            self._liveness.ask(sequence, now)
            self._out.append(encode(EnquireLink(sequence=sequence)))

    def _keep_alive(self, now: float) -> None:
        verdict = self._liveness.look(now)
        if verdict is Verdict.ASK:
            self.enquire(now)
        elif verdict is Verdict.IDLE and self.timers.idle_unbind:
            self.unbind(now)
        elif verdict is Verdict.IDLE:
            self.end(f"idle for {self.timers.idle_s:g} s", orderly=True)
        elif verdict is Verdict.DEAD:
            self.end("enquire_link unanswered")
