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
class BalanceView:
    """What an account has, as decimals; ``credit_limit`` None: postpaid. Or why it is not told."""

    account: str = ""
    balance: str = ""
    credit_limit: str | None = None
    error: str = ""


@define
class LedgerView:
    """One entry of the ledger; ``amount`` is a decimal, negative if it was spent."""

    id: int
    at: int
    amount: str
    reason: str  # "opening", "top-up", "charge", "refund"
    message: str = ""  # its id, decimal
    text: str = ""


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
class CarrierTry:
    """A carrier that a message would be given to, in turn; ``up`` None: not known."""

    name: str
    up: bool | None = None


@define
class RouteView:
    """Where a message would go and why, or with ``error`` why it would be refused."""

    account: str = ""  # "": any
    source: str = ""  # as they would go on
    destination: str = ""
    parts: int = 0
    coding: str = ""  # "GSM", "UCS2" ...
    price: str = ""  # in all
    route: str = ""
    prefix: str = ""  # the one that matched
    priority: int = 0
    filters: list[str] = field(factory=list)  # those of the route: "account", "source" ...
    # Other routes of the same prefix and priority, and how one of them was chosen.
    rivals: list[str] = field(factory=list)
    select: str = ""
    carriers: list[CarrierTry] = field(factory=list)  # in the order in which they are tried
    # Routes with a matching prefix whose filter did not let it pass: "codes: text".
    passed_over: list[str] = field(factory=list)
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

    async def balance(self, account: str) -> BalanceView:
        """What the account has now; ``error`` if there is no such account."""

    async def top_up(self, account: str, amount: str, text: str) -> BalanceView:
        """Add to the balance of an account; what it has then, or ``error`` and nothing is done.

        ``amount`` is a decimal above 0, ``text`` is for the statement.
        """

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """Entries of the account's ledger with ``since`` <= at < ``until``, the oldest first.

        The first ``views.PAGE`` of those with an id above ``after``; None if there is no such
        account.
        """

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        """Where this message would go; nothing is sent.

        ``account`` "" is one that may send as anybody and has no filters of its own.
        """

    async def health(self) -> Health:
        """The checks, each done now."""
