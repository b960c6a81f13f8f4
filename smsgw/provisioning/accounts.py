"""The form of an account with its logins and numbers; attribute names are the TOML keys."""

from typing import Any

from attrs import define, field

from smsgw.provisioning import conditions
from smsgw.provisioning.actions import ActionRoute
from smsgw.provisioning.outbind import address as called_at
from smsgw.provisioning.targets import target
from smsgw.provisioning.values import (
    HOST,
    MAIL_DOMAIN,
    NAME,
    SMPP_PASSWORD,
    SMPP_SYSTEM_ID,
    VISIBLE,
    access_key,
    certificate_name,
    day,
    email,
    hash,
    hours_by_prefix,
    inbound_address,
    keyword,
    network,
    sender,
    settings,
    url,
)
from smsgw.toml import (
    choice,
    custom,
    decimal,
    flag,
    form,
    forms,
    integer,
    list_of,
    secret,
    text,
)
from smsgw.toml import number as a_number

INTERFACES = ("smpp", "rest", "websmpp", "sms.cgi", "relay", "smtp", "mm4")
RESOURCES = ("send", "receive", "status", "numbers", "lists", "reports", "balance")
LANGUAGES = ("en", "fr", "de", "es")

_TAG = text(32, r"[A-Za-z0-9][A-Za-z0-9._-]*", "1 to 32 letters, digits, dots, - and _")
_KEYWORD = custom(keyword)


@define
class Credential:
    """One login of an account: system_id and password of SMPP, or key and secret of HTTP.

    Exactly one of ``password`` and ``password_hash`` is not empty; from the store it is always the
    hash. ``allow`` lists the addresses that may use it: none if empty, any with "*".
    """

    kind: str = field(metadata=choice("smpp", "http", "smtp"))
    username: str = field(metadata=text(64, VISIBLE, "1 to 64 ASCII characters without blanks"))
    password: str = field(default="", repr=False, metadata=secret(128))
    password_hash: str = field(default="", repr=False, metadata=custom(hash))
    # What may stand for username and password in requests of the websmpp dialect (W-D11).
    access_key: str = field(default="", repr=False, metadata=custom(access_key))
    allow: list[str] = field(factory=list, metadata=list_of(custom(network)))
    binds: int = field(default=1, metadata=integer(1, 1000))
    window: int = field(default=1, metadata=integer(1, 100))  # E-D24
    # How ids and receipts are written for it; "": as its listener's profile has it.
    profile: str = field(default="", metadata=choice("standard", "websmpp", "link"))
    # Of a client of SMPP or mail, which must show it besides: its common name, or "sha256:" and
    # fingerprint.
    certificate: str = field(default="", metadata=custom(certificate_name))
    # What brings an SMPP client MO and receipts.
    deliver: str = field(default="deliver_sm", metadata=choice("deliver_sm", "data_sm"))
    # Where an SMPP client is called when something waits and it is not bound ("host:port"), and
    # what the outbind says; "": the system_id of [smpp].
    outbind: str = field(default="", metadata=custom(called_at))
    outbind_system_id: str = field(
        default="",
        metadata=text(
            SMPP_SYSTEM_ID, VISIBLE, f"1 to {SMPP_SYSTEM_ID} ASCII characters without blanks"
        ),
    )
    outbind_password: str = field(default="", repr=False, metadata=secret(SMPP_PASSWORD))
    # Of kind smtp: "address" if coming from ``allow`` is enough (ruling 21), "certificate" if it
    # shows ``certificate`` too; and the customer's own MMSC, which MMS for its numbers go to:
    # ``host`` "" is the exchangers of ``domain``.
    identify: str = field(default="auth", metadata=choice("auth", "address", "certificate"))
    host: str = field(default="", metadata=HOST)
    port: int = field(default=25, metadata=integer(1, 65_535))
    domain: str = field(default="", metadata=MAIL_DOMAIN)
    # Its rights; an empty list is all of them (F-6).
    interfaces: list[str] = field(factory=list, metadata=list_of(choice(*INTERFACES)))
    resources: list[str] = field(factory=list, metadata=list_of(choice(*RESOURCES)))
    # Senders and numbers of the account that it may send from and receive for.
    numbers: list[str] = field(factory=list, metadata=list_of(custom(sender)))
    # What its messages are marked with, for routes.
    tag: str = field(default="", metadata=_TAG)


@define
class OptOutWords:
    """What a number understands as opting out and in, and what it answers (E-D13, E-D14).

    An empty list or text is the default of the number's language; "-" as an answer is none.
    """

    stop: list[str] = field(factory=list, metadata=list_of(_KEYWORD))
    start: list[str] = field(factory=list, metadata=list_of(_KEYWORD))
    help: list[str] = field(factory=list, metadata=list_of(_KEYWORD))
    stopped: str = field(default="", metadata=text(459))
    started: str = field(default="", metadata=text(459))
    helped: str = field(default="", metadata=text(459))


@define
class Number:
    """An address that an account receives on, and where its messages go.

    ``address`` is a number in international form, a short code, an alphanumeric source, the ICCID
    of a SIM, or leading digits followed by ``*``. Several accounts may have one short code, each
    with other keywords.
    """

    address: str = field(metadata=custom(inbound_address))
    targets: list[str] = field(
        factory=lambda: ["smpp"],
        metadata=list_of(custom(target), right='a list of targets such as ["smpp"]', words=True),
    )
    # First word of the messages that are meant, "": all that no other keyword claims.
    keyword: str = field(default="", metadata=_KEYWORD)
    # Of the relay dialect (spec/aql.md 2.4): what ``targets`` is to it. "": ``targets`` count.
    method: str = field(
        default="",
        metadata=choice("httpget", "httppost", "email", "null-route", "mvno"),
    )
    detail: str = field(default="", metadata=text(11_000))
    # Key of the signature of its callbacks; "": the account's ``callback_secret``.
    secret: str = field(default="", repr=False, metadata=secret(128))
    language: str = field(default="en", metadata=choice(*LANGUAGES))
    # Whether keywords are obeyed here at all.
    optout: bool = field(default=True, metadata=flag())
    words: OptOutWords = field(factory=OptOutWords, metadata=form(OptOutWords))


@define
class Pool:
    """Senders of which each recipient always gets the same; its name stands for them as source."""

    name: str = field(metadata=text(11, r"[A-Za-z][A-Za-z0-9._-]*", "a name of 1 to 11 characters"))
    senders: list[str] = field(
        metadata=list_of(custom(sender), least=1, right="a list of one sender at least")
    )


@define
class Account:
    """A customer. ``rate`` is message parts a second, 0 = unlimited; ``senders`` empty = any."""

    name: str = field(metadata=NAME)
    # The account that it is a part of: its limits hold for both together (F-17).
    parent: str = field(default="", metadata=text(64))
    # Names under which routes and filters may mean several accounts.
    groups: list[str] = field(factory=list, metadata=list_of(_TAG))
    # Opening balance of a prepaid account; None: postpaid.
    balance: str | None = field(default=None, metadata=decimal(4))
    credit_limit: str = field(default="0", metadata=decimal(4))  # of a prepaid account
    currency: str = field(
        default="", metadata=text(3, r"[A-Z]{3}", 'a code of ISO 4217 such as "EUR"')
    )
    # Prices of its own, over those of the routes.
    price_list: str = field(default="", metadata=text(64))
    # Of which parts the charge is given back: no carrier took them, they ran out of time, or the
    # carrier that took them said that they came to nothing.
    refund: list[str] = field(
        factory=lambda: ["refused"],
        metadata=list_of(choice("refused", "expired", "undelivered")),
    )
    # The last day on which it may be used, in its time zone; "": for ever.
    expires: str = field(default="", metadata=custom(day))
    suspended: bool = field(default=False, metadata=flag())
    rate: float = field(default=0.0, metadata=a_number(0, 100_000))
    # Message parts of one day and of one calendar month in its time zone, 0 = unlimited.
    quota_day: int = field(default=0, metadata=integer(0, 10**12))
    quota_month: int = field(default=0, metadata=integer(0, 10**12))
    senders: list[str] = field(factory=list, metadata=list_of(custom(sender)))
    # What a message without a source is sent from.
    sender: str = field(default="", metadata=custom(sender))
    pool: list[Pool] = field(factory=list, metadata=forms(Pool))
    # Minutes that a message may take if it does not say so itself.
    validity: int = field(default=2880, metadata=integer(1, 10_080))
    # Leading digits of destinations -> hours in which they get messages, in their own time zone.
    send_hours: dict[str, str] = field(factory=dict, metadata=custom(hours_by_prefix))
    # The same text from the same source to the same destination within so many seconds is refused.
    duplicate_window_s: int = field(default=0, metadata=integer(0, 86_400))
    # What an opt-out from one of its numbers is for.
    optout_scope: str = field(default="number", metadata=choice("number", "account"))
    # Dial code of its country: what makes a national number international (ruling 10).
    country: str = field(
        default="44", metadata=text(3, r"[1-9][0-9]{0,2}", 'a dial code such as "44"')
    )
    time_zone: str = field(default="UTC", metadata=custom(conditions.time_zone))
    max_parts: int = field(default=8, metadata=integer(1, 255))
    # Typographic characters become GSM look-alikes where that makes a text GSM.
    smart_encoding: bool = field(default=False, metadata=flag())
    # Language whose shift tables make more texts GSM, "": none (spec/smpp.md §13).
    national: str = field(default="", metadata=choice("", "tr", "es", "pt"))
    # Where receipts of messages go that came by an edge without a session, and what signs them.
    callback: str = field(default="", metadata=custom(url))
    callback_secret: str = field(default="", repr=False, metadata=secret(128))
    # Who is told what concerns the account; the target of numbers without any.
    email: str = field(default="", metadata=custom(email))
    # Dialect -> key -> value: this account's own over those of the configuration.
    settings: dict[str, dict[str, Any]] = field(factory=dict, metadata=custom(settings))
    credential: list[Credential] = field(factory=list, metadata=forms(Credential))
    number: list[Number] = field(factory=list, metadata=forms(Number))
    # What is done with MO and reports, before numbers' targets and ``callback`` (E-D20).
    route: list[ActionRoute] = field(factory=list, metadata=forms(ActionRoute))

    def relayed(self, address: str) -> Number | None:
        """The number that the relay dialect means by ``address``: of several with keywords, the one
        without; None if the account has none."""
        found = [one for one in self.number if one.address == address]
        return min(found, key=lambda one: one.keyword, default=None)
