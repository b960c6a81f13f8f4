"""What operators may ask and have done: the interface behind the admin API and the commands.

Times are milliseconds since 1970 UTC, 0 where not set. Nothing here holds a secret or a message's
text.
"""

from typing import Protocol

from attrs import define, field


@define
class AccountView:
    """An account as operators see it; ``sessions`` is its bound SMPP sessions now."""

    name: str
    suspended: bool = False
    balance: str | None = None
    rate: float = 0.0
    logins: list[str] = field(factory=list)  # "smpp acme"
    numbers: list[str] = field(factory=list)
    sessions: int = 0
    waiting: int = 0  # receipts and MO to hand over


@define
class CarrierView:
    """A carrier and its links.

    ``state`` is "up", "down", or what a link is doing, ``reason`` why it is not up.
    """

    name: str
    kind: str
    peer: str = ""  # host:port
    state: str = "down"
    reason: str = ""
    since: int = 0
    links_up: int = 0
    links: int = 0
    window: int = 0
    outstanding: int = 0  # submit_sm without answer now
    waiting: int = 0  # entries of its queue


@define
class QueueView:
    """One queue: entries in all, those that are due, and when the oldest one was due."""

    name: str
    waiting: int = 0
    due: int = 0
    oldest: int = 0


@define
class MessageView:
    """A message and where its journey stands; ``state`` is the word of receipts, ``id`` decimal."""

    id: str
    guid: str
    direction: str
    account: str
    source: str
    destination: str
    parts: int
    state: str
    final: bool
    error: int = 0
    network_error: str = ""
    route: str = ""
    carrier: str = ""
    carrier_ids: list[str] = field(factory=list)
    accepted_at: int = 0
    carrier_at: int = 0
    done_at: int = 0
    interface: str = ""
    client_reference: str = ""
    queued: list[str] = field(factory=list)  # names of queues that hold an entry of it


@define
class Applied:
    """What ``apply`` did: lines for people, or the faults for which nothing was done."""

    changes: list[str] = field(factory=list)
    errors: list[str] = field(factory=list)
    version: int = 0


@define
class Sent:
    """What became of a message: accepted with an id, or refused with ``error``."""

    id: str = ""
    guid: str = ""
    parts: int = 0
    error: str = ""


@define
class Check:
    """One thing that must be well for the gateway to do its work."""

    name: str
    ok: bool
    detail: str = ""


@define
class Health:
    """Whether the gateway can do its work."""

    checks: list[Check] = field(factory=list)

    @property
    def ok(self) -> bool:
        """True if every check is."""
        return all(one.ok for one in self.checks)


class Unavailable(Exception):
    """The thing asked for cannot be had now; the text is one line with the remedy."""


class Operator(Protocol):
    """What operators may ask and do.

    Each raises Unavailable where the store or the gateway cannot serve it.
    """

    async def accounts(self) -> list[AccountView]:
        """All accounts, by name."""

    async def carriers(self) -> list[CarrierView]:
        """All carriers, by name."""

    async def queues(self) -> list[QueueView]:
        """All queues that have entries, by name."""

    async def message(self, id_text: str) -> MessageView | None:
        """The message with this id: decimal, UUID form, or 32 hex digits. None if there is none."""

    async def apply(self, text: str, file: str, prune: bool, dry_run: bool, who: str) -> Applied:
        """Provision what the TOML ``text`` says.

        ``file`` is its name for faults, ``who`` goes into the audit.
        """

    async def send(
        self, account: str, source: str, destination: str, text: str, receipt: bool
    ) -> Sent:
        """Accept a message from an account as if it had sent it."""

    async def health(self) -> Health:
        """The checks, each done now."""
