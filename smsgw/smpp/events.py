"""What a session tells its owner, and what it is told at its start."""

from attrs import define, frozen

from smsgw.smpp.pdu import Bind, BindResp, Outbind, Pdu


class MisuseError(Exception):
    """The owner of a session asked for what is not possible; always a bug of ours, never the peer's
    fault.
    """


@frozen
class Timers:
    """Times of one session in seconds, 0 = off (``spec/smpp.md`` §7)."""

    # Connection to complete bind, of an SMSC; to outbind, of an ESME that is called.
    session_init_s: float = 10.0
    enquire_after_s: float = 60.0  # silence of the peer before our enquire_link
    enquire_misses: int = 1  # unanswered in a row that end the session
    response_s: float = 30.0  # our request to its response
    idle_s: float = 0.0  # time without activity after which we unbind
    idle_unbind: bool = True  # False: close without a word
    unbind_grace_s: float = 5.0  # how long each step of the end may take


# An answer to one of our requests: (context, response); None = there is and will be none.
Answer = tuple[object, Pdu | None]


@define
class Requests:
    """Requests of the peer, to be answered by ``respond`` (but alert_notification, which has no
    response).
    """

    pdus: list[Pdu]


@define
class Responses:
    """Answers to our requests."""

    answers: list[Answer]


@define
class BindRequested:
    """The peer wants to bind: answer by ``accept`` or ``refuse``."""

    pdu: Bind


@define
class Called:
    """The peer has called and wants us to bind (ESME): ``bind``, or end the session."""

    pdu: Outbind


@define
class Bound:
    """Our bind was accepted."""

    pdu: BindResp


@define
class BindRefused:
    """Our bind was refused with this command_status; the session has ended."""

    status: int


Event = Requests | Responses | BindRequested | Called | Bound | BindRefused
