"""How carriers, nodes and sessions are shown to operators."""

from typing import Protocol

from attrs import define


@define
class CarrierView:
    """A carrier and its links.

    ``state`` is "up", "down", or what a link is doing, ``reason`` why it is not up. An MMSC is
    connected only to mail: it is "idle" before the first mail, then "up" or "down" by the last one,
    of which ``last`` tells what became.
    """

    name: str
    kind: str
    peer: str = ""  # host:port; of one that calls us (outbind), from where
    state: str = "down"
    reason: str = ""
    since: int = 0
    links_up: int = 0
    links: int = 0
    window: int = 0
    outstanding: int = 0  # submit_sm without answer now
    waiting: int = 0  # entries of its queue
    last: str = ""  # of an MMSC: what its server said to the last mail, or why there was none


@define
class NodeView:
    """A node of those that share the store: roles, links that it has up by carrier, how many
    sessions are bound to it; times are the store's (ms). ``scheduler`` says that it does what one
    node does for all."""

    number: int
    name: str
    roles: list[str]
    version: str
    links: dict[str, int]
    sessions: int
    started: int
    seen: int
    scheduler: bool = False


@define
class SessionView:
    """A bound ESME, or a link to a carrier.

    ``id`` names it over all nodes; of an ESME it is a decimal, of a link NODE/CARRIER/NUMBER.
    """

    id: str
    kind: str  # "esme" or "link"
    name: str  # the account, or the carrier
    node: int
    node_name: str
    bind: str  # "transmitter", "receiver", "transceiver", "transmitter+receiver"
    peer: str
    since: int  # ms since 1970 UTC
    login: str = ""  # of an ESME: the login, and the profile of the listener that it came to
    profile: str = ""
    state: str = "up"  # of a link: what it is doing
    reason: str = ""  # of a link: why it is not up
    outstanding: int = 0  # of a link: submit_sm without answer
    here: bool = True  # at the node that was asked


class SessionOperator(Protocol):
    """Sessions of all nodes."""

    async def page(self, account: str, carrier: str, after: str) -> list[SessionView]:
        """A page of those of an account, of a carrier, or of all where neither is named: links
        first, then ESMEs in the order of their ids, those after the one with the id ``after``."""

    async def end(self, id: str) -> SessionView | None:
        """Unbinds this one, at whichever node, and returns when it is gone: what it was, None if
        there is no such session. A link binds again by itself, an ESME if its client does.

        Raises Unavailable if it is still there after ``sessions.END_S``.
        """
