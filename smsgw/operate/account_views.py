"""How accounts and their money are shown to operators."""

from attrs import define, field


@define
class AccountView:
    """An account as operators see it; ``sessions`` is its bound SMPP sessions now.

    ``suspended`` and ``expired`` are so because of itself or of an account above it.
    """

    name: str
    parent: str = ""
    suspended: bool = False
    expires: str = ""  # the last day of its own
    expired: bool = False
    balance: str | None = None
    currency: str = ""
    rate: float = 0.0
    quota_day: int = 0  # message parts, 0 = unlimited; with those of accounts below it
    quota_month: int = 0
    used_day: int = 0  # of them today and in this month, by its own calendar
    used_month: int = 0
    logins: list[str] = field(factory=list)  # "smpp acme"
    numbers: list[str] = field(factory=list)
    sessions: int = 0
    waiting: int = 0  # receipts and MO to hand over
    outbind: str = ""  # how calling its client stands: "connecting", "outbound", "waiting: why"


@define
class BalanceView:
    """What an account has, as decimals; ``credit_limit`` None: postpaid. Or why it is not told."""

    account: str = ""
    balance: str = ""
    credit_limit: str | None = None
    error: str = ""
    currency: str = ""


@define
class LedgerView:
    """One entry of the ledger; ``amount`` is a decimal, negative if it was spent.

    With the reason "private" it stands for a day's private messages (``statement.py``).
    """

    id: int
    at: int
    amount: str
    reason: str  # "opening", "top-up", "charge", "refund", "private"
    message: str = ""  # its id, decimal
    text: str = ""
    currency: str = ""
    account: str = ""  # that sent the message: the one that pays may be its parent
    destination: str = ""
    costcentre: str = ""
    messages: int = 0  # that are charged by it
    parts: int = 0  # that are charged by it; negative: given back


@define
class CostView:
    """What messages of one cost centre cost, "" being that of messages without one."""

    costcentre: str
    currency: str = ""
    messages: int = 0
    parts: int = 0
    amount: str = ""  # decimal, negative: it was spent
