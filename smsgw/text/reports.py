"""The five codes of delivery reports, and what they are called (A-R32, A-D40, A-D41)."""

from smsgw.message import Message, MessageState

DELIVERED = 1
REJECTED = 2
BUFFERED = 4
ACCEPTED = 8
REFUSED = 16

WORDS = {
    DELIVERED: "Delivered",
    REJECTED: "Rejected",
    BUFFERED: "Buffered",
    ACCEPTED: "Accepted by SMSC",
    REFUSED: "Rejected by SMSC",
}
# Of a message that no carrier took; one that ran out of time or was cancelled was not refused.
_REFUSALS = frozenset({MessageState.REJECTED, MessageState.UNDELIVERABLE})


def code_of(event: str, message: Message) -> int:
    """The code of a report of ``message``; ``event`` is "receipt" or "progress".

    On the way: 4 if the carrier gave a reason why it is not there yet, else 8. At the end: 1, 2 or
    16. A state that something may follow (ACCEPTED, UNKNOWN) is 4 too, since 1, 2 and 16 are final.
    """
    state = MessageState(message.state)
    if event == "progress":
        return BUFFERED if message.error or message.network_error else ACCEPTED
    if state is MessageState.DELIVERED:
        return DELIVERED
    if not state.final:
        return BUFFERED
    return failure(state, bool(message.carrier))


def failure(state: int, taken: bool) -> int:
    """2 or 16, of a message or part that ended so; ``taken`` if some carrier had it."""
    return REFUSED if state in _REFUSALS and not taken else REJECTED
