"""What operators may ask and have done: the interface behind the admin API and the commands.

Times are milliseconds since 1970 UTC, 0 where not set. Nothing here holds a secret or a message's
text.
"""

from typing import Any, Protocol

from attrs import define, field

from smsgw.operate.account_views import AccountView, BalanceView, LedgerView
from smsgw.operate.dead_views import DeadOperator
from smsgw.operate.list_views import ListOperator
from smsgw.operate.node_views import CarrierView, NodeView, SessionOperator
from smsgw.operate.wire_views import WireTrace
from smsgw.provisioning.uses import Use


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
    # Of an MO with other targets than the account's sessions, those, each with its state.
    targets: list[str] = field(factory=list)
    kind: str = "sms"  # or "mms"
    media: list[str] = field(factory=list)  # of an MMS: "photo.jpg image/jpeg 30000"
    read_at: int = 0
    # Of the id of a request with several messages, those: id, state, destination. The rest is then
    # of the one whose state is that of all of them.
    messages: list[str] = field(factory=list)


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
    # Of the id of a request of several: how many were cancelled, and how many were too late for it.
    messages: int = 0
    left: int = 0


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
    price_from: str = ""  # "route codes", "price list gold, prefix 4477"
    deferred_until: int = 0  # when a send window lets it out, 0: at once
    route: str = ""
    prefix: str = ""  # the one that matched
    priority: int = 0
    filters: list[str] = field(factory=list)  # those of the route: "account", "source" ...
    # Other routes of the same prefix and priority, and how one of them was chosen.
    rivals: list[str] = field(factory=list)
    select: str = ""
    # Where the delivery rate chooses: what the first carrier of each delivers, in per cent.
    rates: dict[str, int] = field(factory=dict)
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


@define
class AuditView:
    """One thing that somebody did.

    ``version`` is the provisioning's after it, 0 where it was something else. ``key`` asks for what
    comes after it.
    """

    at: int  # ms since 1970 UTC
    who: str
    kind: str  # "account", "carrier" ...; "topup", "retry", "cancel", "list" ...
    name: str
    version: int = 0
    lines: list[str] = field(factory=list)  # what changed, without secrets
    key: str = ""


@define
class FormView:
    """A form as a document, and the version of the provisioning that brought it."""

    document: dict[str, Any]
    version: int


@define
class KeyFault:
    """What is wrong with one key of a document."""

    key: str  # such as "number[0].address"
    reason: str


@define
class Changed:
    """What a change of one form did, or why it did nothing.

    One of ``faults``, ``used_by``, ``moved`` (the form is not at the version that was expected) and
    ``absent`` is set if nothing was done.
    """

    changes: list[str] = field(factory=list)
    version: int = 0  # of the provisioning
    faults: list[KeyFault] = field(factory=list)
    used_by: list[Use] = field(factory=list)
    moved: bool = False
    absent: bool = False


class Unavailable(Exception):
    """The thing asked for cannot be had now; the text is one line with the remedy."""


class Unknown(Exception):
    """There is nothing of this name; the text is one line."""


class Operator(Protocol):
    """What operators may ask and do.

    Each raises Unavailable where the store or the gateway cannot serve it.
    """

    def by(self, who: str) -> "Operator":
        """The same, in the name of ``who``: what the audit says of everything that it changes."""

    @property
    def lists(self) -> ListOperator:
        """Lists of numbers."""

    @property
    def dead(self) -> DeadOperator:
        """Deliveries and handovers that were given up."""

    @property
    def sessions(self) -> SessionOperator:
        """Bound ESMEs and links to carriers, of all nodes."""

    async def accounts(self) -> list[AccountView]:
        """All accounts, by name."""

    async def carriers(self) -> list[CarrierView]:
        """All carriers, by name."""

    async def queues(self) -> list[QueueView]:
        """All queues that have entries, by name."""

    async def nodes(self) -> list[NodeView]:
        """The nodes that share the store, by number; none where one process has it for itself."""

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

    async def cancel(self, id_text: str) -> Sent:
        """Cancel a message that no carrier has been given yet, or all those of a request by their
        common id; with ``error`` nothing is changed."""

    async def balance(self, account: str) -> BalanceView:
        """What the account has now; ``error`` if there is no such account."""

    async def top_up(
        self, account: str, amount: str, text: str, correct: bool = False
    ) -> BalanceView:
        """Add to the balance of an account; what it has then, or ``error`` and nothing is done.

        ``amount`` is a decimal above 0, ``text`` is for the statement. With ``correct`` it is taken
        off, never beyond the credit limit, and there must be a text.
        """

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """Entries of the account's ledger with ``since`` <= at < ``until``, the oldest first.

        The first ``statement.PAGE`` of those with an id above ``after``; None if there is no such
        account.
        """

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        """Where this message would go; nothing is sent.

        ``account`` "" is one that may send as anybody and has no filters of its own.
        """

    async def health(self) -> Health:
        """Whether it works: the checks, each done now."""

    async def ready(self) -> Health:
        """Whether messages should be sent to it: the same with listeners and carriers."""

    async def audit(self, since: int, kind: str, name: str, after: str) -> list[AuditView]:
        """Who did what from ``since`` on, the oldest first.

        ``kind`` and ``name`` of what was changed, "" for all; a page, of what comes after the view
        whose key is ``after``.
        """


class RunningOperator(Operator, Protocol):
    """What the admin API of a running gateway asks besides.

    ``kind`` is one of ``provisioning.forms.KINDS``, documents are those of
    ``provisioning.documents``.
    """

    def by(self, who: str) -> "RunningOperator":
        """See Operator."""

    async def trace(self, name: str, kind: str, seconds: int, text: bool) -> WireTrace:
        """Begin to watch the connections of an account or a carrier, so long.

        ``kind`` is "account", "carrier", or "" where the name tells; ``text``: with the texts of
        messages. Raises Unknown for a name that is not provisioned, or is both.
        """

    def forms(self, kind: str, after: str) -> list[dict[str, Any]]:
        """A page of the forms of ``kind``, by name, those after the name ``after``."""

    def form(self, kind: str, name: str) -> FormView | None:
        """One form, None if there is none."""

    async def change_form(
        self,
        kind: str,
        name: str,
        document: dict[str, Any] | None,
        *,
        merge: bool = False,
        expected: int | None = None,
        dry_run: bool = False,
    ) -> Changed:
        """Make, change or delete (``document`` None) one form.

        ``merge`` changes only the keys given; ``expected`` is the version that the form must have.
        """
