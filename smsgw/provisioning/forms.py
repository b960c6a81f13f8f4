"""The forms of provisioning.

Accounts, carriers and routes, as ``smsgw apply`` takes them; attribute names are the TOML keys.
"""

import re
from ipaddress import ip_network
from typing import Any

from attrs import define, field

from smsgw.provisioning import conditions
from smsgw.toml import (
    Wrong,
    choice,
    custom,
    decimal,
    flag,
    forms,
    integer,
    list_of,
    number,
    secret,
    shown,
    text,
)

SMPP_PASSWORD = 8  # characters that the password field of a bind holds (SMPP 3.4 §5.2.2)
SMPP_SYSTEM_ID = 15  # and those of system_id (SMPP 3.4 §5.2.1)

_NAME = text(64, r"[A-Za-z0-9][A-Za-z0-9._-]*", "1 to 64 letters, digits, dots, - and _")
_VISIBLE = r"[!-~]+"


def _network(value: Any) -> str:
    if value == "*":
        return "*"
    right = (
        'it must be an address or block such as "192.0.2.10", "10.0.0.0/8", "::1", '
        'or "*" for anywhere'
    )
    if not isinstance(value, str):
        raise Wrong(f"{shown(value)} is not allowed; {right}")
    try:
        ip_network(value)
    except ValueError:
        try:
            block = ip_network(value, strict=False)
        except ValueError:
            raise Wrong(f"{shown(value)} is not allowed; {right}") from None
        raise Wrong(f'{shown(value)} has host bits set; it must be "{block}"') from None
    return value


def _address(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[1-9][0-9]{2,14}", value):
        raise Wrong(
            f"{shown(value)} is not allowed; it must be 3 to 15 digits in international form "
            'without + or 00, such as "447700900000"'
        )
    return value


def _sender(value: Any) -> str:
    form = r"[0-9]{3,15}|(?=.*[^0-9])(?![+ ])[ -~]{1,11}(?<! )"
    if isinstance(value, str) and re.fullmatch(form, value):
        return value
    raise Wrong(
        f"{shown(value)} is not allowed; it must be 3 to 15 digits without +, "
        "or a name of 1 to 11 characters"
    )


def _target(value: Any) -> str:
    if value == "smpp":
        return "smpp"
    raise Wrong(
        f'{shown(value)} is no target of this release; it must be "smpp" '
        "(to the account's SMPP sessions)"
    )


def _prefix(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{0,15}", value):
        raise Wrong(
            f"{shown(value)} is not allowed; "
            'it must be 0 to 15 digits, such as "4477", or "" for all'
        )
    return value


def _settings(value: Any) -> dict[str, dict[str, Any]]:
    if not isinstance(value, dict):
        raise Wrong(
            f"{shown(value)} is not allowed; it must be tables like [account.settings.link]"
        )
    return value


def _states(value: Any) -> dict[str, int]:
    allowed = ("DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD")
    if (
        not isinstance(value, dict)
        or not value
        or any(key not in allowed for key in value)
        or any(isinstance(n, bool) or not isinstance(n, int) for n in value.values())
        or any(not 0 <= n <= 1_000_000 for n in value.values())
        or not sum(value.values())
    ):
        raise Wrong(
            f"{shown(value)} of wrong content; it must be weights of states such as "
            "{ DELIVRD = 95, UNDELIV = 5 }"
        )
    return value


def _hash(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith("$argon2id$") or value.count("$") != 5:
        raise Wrong('is not an argon2id hash; make one with "smsgw hash-password"')
    return value


def _errors(value: Any) -> dict[str, int]:
    # Its entries are looked at one by one where the file is read, to tell the line of each fault.
    if not isinstance(value, dict):
        raise Wrong(f'{shown(value)} is not allowed; it must be a table such as {{ "045" = 103 }}')
    return value


@define
class Credential:
    """One login of an account: system_id and password of SMPP, or key and secret of HTTP.

    Exactly one of ``password`` and ``password_hash`` is not empty; from the store it is always the
    hash. ``allow`` lists the addresses that may use it: none if empty, any with "*".
    """

    kind: str = field(
        metadata=choice(
            "smpp",
            "http",
            unserved={"smtp": '"smtp" logins are not served by this release'},
        )
    )
    username: str = field(metadata=text(64, _VISIBLE, "1 to 64 ASCII characters without blanks"))
    password: str = field(default="", repr=False, metadata=secret(128))
    password_hash: str = field(default="", repr=False, metadata=custom(_hash))
    allow: list[str] = field(factory=list, metadata=list_of(custom(_network)))
    binds: int = field(default=1, metadata=integer(1, 1000))
    window: int = field(default=1, metadata=integer(1, 100))  # E-D24
    profile: str = field(default="standard", metadata=choice("standard", "websmpp", "link"))


@define
class Number:
    """An address that an account receives on, and where its messages go."""

    address: str = field(metadata=custom(_address))
    targets: list[str] = field(
        factory=lambda: ["smpp"],
        metadata=list_of(custom(_target), least=1, right='a list of one target at least: ["smpp"]'),
    )


@define
class Account:
    """A customer. ``rate`` is message parts a second, 0 = unlimited; ``senders`` empty = any."""

    name: str = field(metadata=_NAME)
    # Opening balance of a prepaid account; None: postpaid.
    balance: str | None = field(default=None, metadata=decimal(4))
    credit_limit: str = field(default="0", metadata=decimal(4))  # of a prepaid account
    # Of which parts the charge is given back: no carrier took them, they ran out of time, or the
    # carrier that took them said that they came to nothing.
    refund: list[str] = field(
        factory=lambda: ["refused"],
        metadata=list_of(choice("refused", "expired", "undelivered")),
    )
    rate: float = field(default=0.0, metadata=number(0, 100_000))
    senders: list[str] = field(factory=list, metadata=list_of(custom(_sender)))
    # Dial code of its country: what makes a national number international (ruling 10).
    country: str = field(
        default="44", metadata=text(3, r"[1-9][0-9]{0,2}", 'a dial code such as "44"')
    )
    max_parts: int = field(default=8, metadata=integer(1, 255))
    # Typographic characters become GSM look-alikes where that makes a text GSM.
    smart_encoding: bool = field(default=False, metadata=flag())
    suspended: bool = field(default=False, metadata=flag())
    # Dialect -> key -> value: this account's own over those of the configuration.
    settings: dict[str, dict[str, Any]] = field(factory=dict, metadata=custom(_settings))
    credential: list[Credential] = field(factory=list, metadata=forms(Credential))
    number: list[Number] = field(factory=list, metadata=forms(Number))


@define
class Carrier:
    """An upstream SMSC, or one simulated in the gateway.

    ``rate`` is submit_sm a second, 0 = unlimited.
    """

    name: str = field(metadata=_NAME)
    kind: str = field(
        default="smpp",
        metadata=choice(
            "smpp",
            "simulator",
            unserved={"mm4": '"mm4" carriers are not served by this release'},
        ),
    )
    rate: float = field(default=0.0, metadata=number(0, 100_000))
    window: int = field(default=10, metadata=integer(1, 10_000))
    # What it gets in place of what the message has; "" and None leave it as it is.
    sender: str = field(default="", metadata=custom(_sender))
    source_ton: int | None = field(default=None, metadata=integer(0, 255))
    source_npi: int | None = field(default=None, metadata=integer(0, 255))
    dest_ton: int | None = field(default=None, metadata=integer(0, 255))
    dest_npi: int | None = field(default=None, metadata=integer(0, 255))
    protocol_id: int | None = field(default=None, metadata=integer(0, 255))
    # Its own errors, as its receipts write them or as a command_status in hex -> our response code.
    errors: dict[str, int] = field(factory=dict, metadata=custom(_errors))
    # Of kind smpp.
    host: str = field(
        default="", metadata=text(255, r"[A-Za-z0-9.:_-]+", "a host name or an address")
    )
    port: int = field(default=2775, metadata=integer(1, 65_535))
    system_id: str = field(
        default="",
        metadata=text(
            SMPP_SYSTEM_ID, _VISIBLE, f"1 to {SMPP_SYSTEM_ID} ASCII characters without blanks"
        ),
    )
    password: str = field(default="", repr=False, metadata=secret(SMPP_PASSWORD))
    system_type: str = field(default="", metadata=text(12, r"[ -~]+", "1 to 12 ASCII characters"))
    bind: str = field(default="transceiver", metadata=choice("transceiver", "transmitter+receiver"))
    binds: int = field(default=1, metadata=integer(1, 100))
    version: str = field(default="3.4", metadata=choice("3.4", "3.3"))
    tls: bool = field(default=False, metadata=flag())
    response_timeout_s: float = field(default=30.0, metadata=number(1, 600))
    enquire_s: float = field(default=30.0, metadata=number(1, 3600))
    # How its message ids are written in submit_sm_resp and in receipts (ruling 13).
    response_id: str = field(default="text", metadata=choice("text", "hex", "decimal"))
    receipt_id: str = field(default="text", metadata=choice("text", "hex", "decimal"))
    # Of kind simulator: seconds from acceptance to receipt, and how often which state comes.
    delay_s: float = field(default=0.0, metadata=number(0, 86_400))
    states: dict[str, int] = field(factory=lambda: {"DELIVRD": 1}, metadata=custom(_states))


@define
class Route:
    """Which carriers take which destinations.

    Longest prefix whose filters let the message pass wins, then lowest priority number, then what
    ``select`` says.
    """

    name: str = field(metadata=_NAME)
    prefixes: list[str] = field(
        metadata=list_of(
            custom(_prefix), least=1, right='a list of one prefix at least; [""] takes all'
        )
    )
    # In order: the next one is tried when one fails.
    carriers: list[str] = field(
        metadata=list_of(text(64), least=1, right="a list of the name of one carrier at least")
    )
    price: str = field(default="0", metadata=decimal(4))  # of a part
    priority: int = field(default=0, metadata=integer(-1000, 1000))
    weight: int = field(default=1, metadata=integer(1, 1000))
    # A message goes to the first carrier that has a link up when it is accepted.
    failover_down: bool = field(default=True, metadata=flag())
    # How one is chosen of routes of the same prefix and priority.
    select: str = field(default="weight", metadata=choice("weight", "round-robin", "least-cost"))
    # Filters: what else a message must have; empty = anything.
    accounts: list[str] = field(factory=list, metadata=list_of(text(64)))
    sources: list[str] = field(factory=list, metadata=list_of(custom(conditions.source)))
    text: str = field(default="", metadata=custom(conditions.pattern))
    hours: str = field(default="", metadata=custom(conditions.hours))
    time_zone: str = field(default="UTC", metadata=custom(conditions.time_zone))


SMPP_ONLY = (
    "host",
    "port",
    "system_id",
    "password",
    "system_type",
    "bind",
    "binds",
    "version",
    "tls",
    "response_timeout_s",
    "enquire_s",
    "response_id",
    "receipt_id",
)
SIMULATOR_ONLY = ("delay_s", "states")

Form = Account | Carrier | Route
KINDS: dict[str, type[Account] | type[Carrier] | type[Route]] = {
    "account": Account,
    "carrier": Carrier,
    "route": Route,
}


@define
class Provisioning:
    """All that is provisioned, by name."""

    accounts: dict[str, Account] = field(factory=dict)
    carriers: dict[str, Carrier] = field(factory=dict)
    routes: dict[str, Route] = field(factory=dict)
    version: int = field(default=0, eq=False)

    def of(self, kind: str) -> dict[str, Any]:
        """The dictionary of ``kind``: "account", "carrier" or "route"."""
        every: dict[str, dict[str, Any]] = {
            "account": self.accounts,
            "carrier": self.carriers,
            "route": self.routes,
        }
        return every[kind]
