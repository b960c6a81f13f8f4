"""The SMPP session's state machine as a table, for both roles, and the picture that is drawn from
it.

Theory of operation. An ``Input`` is a kind of PDU that the peer may send, or an act of our own. A
pair (state, input) that is in ``TABLE`` is legal, and its ``Step`` says which state follows and
what is done. A pair that is missing *is* the protocol error; ``refusal`` says which command_status
answers it (``spec/smpp.md`` §6). Which commands are which input depends on the role: ``submit_sm``
is SUBMIT to an SMSC and a stray to an ESME. What may travel in a state may travel from the side
whose business it is: an ESME sends SUBMIT exactly where an SMSC serves it.
"""

from enum import Enum

from attrs import frozen

from smsgw.smpp.constants import Status


class _Quick(Enum):
    """Its members are found in tables by what they are: the hash of ``Enum`` is a function in
    Python."""

    __hash__ = object.__hash__


class Role(_Quick):
    """Which end of the session we are."""

    SMSC = "smsc"
    ESME = "esme"


class State(_Quick):
    """Where a session stands (SMPP 3.4 §2.2; UNBOUND is 5.0's name)."""

    OPEN = "OPEN"
    OUTBOUND = "OUTBOUND"  # the SMSC has called and said outbind (5.0's name); the bind is to come
    BINDING = "BINDING"  # a bind request is on its way to an answer
    BOUND_TX = "BOUND_TX"
    BOUND_RX = "BOUND_RX"
    BOUND_TRX = "BOUND_TRX"
    LEAVING_TX = "LEAVING_TX"  # we are unbinding: nothing new from us, the peer is still served
    LEAVING_RX = "LEAVING_RX"
    LEAVING_TRX = "LEAVING_TRX"
    UNBOUND = "UNBOUND"  # the peer has unbound: only outstanding answers travel
    CLOSED = "CLOSED"


class Input(_Quick):
    """What may happen to a session."""

    OUTBIND = "outbind"
    BIND = "bind request"
    BIND_OK_TX = "bind_transmitter accepted"
    BIND_OK_RX = "bind_receiver accepted"
    BIND_OK_TRX = "bind_transceiver accepted"
    BIND_FAILED = "bind refused"
    SUBMIT = "an ESME's request"
    DELIVER = "an SMSC's request"
    ENQUIRE = "enquire_link"
    UNBIND = "unbind received"
    LEAVE = "we unbind"
    LEFT = "unbind_resp or grace over"
    DONE = "all answered or grace over"
    LOST = "connection lost or broken"


class Action(Enum):
    """What a step does besides moving."""

    SERVE = "serve"  # hand the request to the owner
    ANSWER = "answer"  # the session answers by itself
    MOVE = "move"
    WIND_UP = "wait for what is outstanding"  # bounded by the grace time
    CLOSE = "close"


@frozen
class Step:
    """One legal move."""

    state: State
    action: Action


def _table() -> dict[tuple[State, Input], Step]:
    table = {
        (State.OPEN, Input.BIND): Step(State.BINDING, Action.SERVE),
        (State.OPEN, Input.ENQUIRE): Step(State.OPEN, Action.ANSWER),
        (State.OPEN, Input.UNBIND): Step(State.UNBOUND, Action.WIND_UP),
        (State.OPEN, Input.LEAVE): Step(State.CLOSED, Action.CLOSE),
        (State.OPEN, Input.LOST): Step(State.CLOSED, Action.CLOSE),
        (State.OPEN, Input.OUTBIND): Step(State.OUTBOUND, Action.SERVE),
        (State.OUTBOUND, Input.BIND): Step(State.BINDING, Action.SERVE),
        (State.OUTBOUND, Input.ENQUIRE): Step(State.OUTBOUND, Action.ANSWER),
        (State.OUTBOUND, Input.UNBIND): Step(State.UNBOUND, Action.WIND_UP),
        (State.OUTBOUND, Input.LEAVE): Step(State.CLOSED, Action.CLOSE),
        (State.OUTBOUND, Input.LOST): Step(State.CLOSED, Action.CLOSE),
        (State.BINDING, Input.BIND_OK_TX): Step(State.BOUND_TX, Action.MOVE),
        (State.BINDING, Input.BIND_OK_RX): Step(State.BOUND_RX, Action.MOVE),
        (State.BINDING, Input.BIND_OK_TRX): Step(State.BOUND_TRX, Action.MOVE),
        (State.BINDING, Input.BIND_FAILED): Step(State.OPEN, Action.MOVE),
        (State.BINDING, Input.ENQUIRE): Step(State.BINDING, Action.ANSWER),
        (State.BINDING, Input.UNBIND): Step(State.UNBOUND, Action.WIND_UP),
        (State.BINDING, Input.LEAVE): Step(State.CLOSED, Action.CLOSE),
        (State.BINDING, Input.LOST): Step(State.CLOSED, Action.CLOSE),
        (State.UNBOUND, Input.ENQUIRE): Step(State.UNBOUND, Action.ANSWER),
        (State.UNBOUND, Input.DONE): Step(State.CLOSED, Action.CLOSE),
        (State.UNBOUND, Input.LOST): Step(State.CLOSED, Action.CLOSE),
    }
    kinds = (
        (State.BOUND_TX, State.LEAVING_TX, (Input.SUBMIT,)),
        (State.BOUND_RX, State.LEAVING_RX, (Input.DELIVER,)),
        (State.BOUND_TRX, State.LEAVING_TRX, (Input.SUBMIT, Input.DELIVER)),
    )
    for bound, leaving, served in kinds:
        for state in (bound, leaving):
            for kind in served:
                table[state, kind] = Step(state, Action.SERVE)
            table[state, Input.ENQUIRE] = Step(state, Action.ANSWER)
            table[state, Input.UNBIND] = Step(State.UNBOUND, Action.WIND_UP)
            table[state, Input.LOST] = Step(State.CLOSED, Action.CLOSE)
        table[bound, Input.LEAVE] = Step(leaving, Action.WIND_UP)
        table[leaving, Input.LEFT] = Step(State.CLOSED, Action.CLOSE)
    return table


TABLE = _table()
BOUND = frozenset({State.BOUND_TX, State.BOUND_RX, State.BOUND_TRX})
LEAVING = frozenset({State.LEAVING_TX, State.LEAVING_RX, State.LEAVING_TRX})


def refusal(state: State, kind: Input | None) -> Status:
    """The status that answers a request for which ``TABLE`` has no step (``spec/smpp.md`` §6)."""
    if kind is Input.BIND and state is not State.UNBOUND:
        return Status.ESME_RALYBND
    return Status.ESME_RINVBNDSTS


def picture() -> str:
    """The table as a Mermaid state diagram, and as a list of what each state serves and answers."""
    lines = ["```mermaid", "stateDiagram-v2", "    [*] --> OPEN"]
    moves: dict[tuple[State, State], list[str]] = {}
    stays: dict[State, list[str]] = {}
    for (state, kind), step in TABLE.items():
        if step.state is state:
            stays.setdefault(state, []).append(f"{kind.value}: {step.action.value}")
        else:
            moves.setdefault((state, step.state), []).append(kind.value)
    for (state, after), kinds in moves.items():
        lines.append(f"    {state.value} --> {after.value}: {', '.join(kinds)}")
    lines += ["    CLOSED --> [*]", "```", "", "| state | stays, and does |", "|---|---|"]
    lines += [f"| {state.value} | {'; '.join(kinds)} |" for state, kinds in stays.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(picture(), end="")
