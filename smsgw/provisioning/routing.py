"""The forms of carriers, routes, networks, price lists and filters; attribute names are the TOML
keys."""

from attrs import define, field

from smsgw.provisioning import conditions
from smsgw.provisioning.values import (
    HOST,
    MAIL_DOMAIN,
    NAME,
    SMPP_PASSWORD,
    SMPP_SYSTEM_ID,
    VISIBLE,
    certificate_name,
    errors,
    network,
    prefix,
    sender,
    states,
)
from smsgw.toml import choice, custom, decimal, flag, forms, integer, list_of, number, secret, text

_PREFIXES = list_of(custom(prefix), least=1, right='a list of one prefix at least; [""] takes all')
_NAMES = list_of(text(64))
_MCC = text(3, r"[0-9]{3}", "the three digits of a mobile country code")
_MNC = text(3, r"[0-9]{1,3}", "one to three digits of a mobile network code")


@define
class Carrier:
    """An upstream SMSC, or one simulated in the gateway.

    ``rate`` is submit_sm a second, 0 = unlimited.
    """

    name: str = field(metadata=NAME)
    kind: str = field(default="smpp", metadata=choice("smpp", "mm4", "simulator"))
    rate: float = field(default=0.0, metadata=number(0, 100_000))
    window: int = field(default=10, metadata=integer(1, 10_000))
    # What it gets in place of what the message has; "" and None leave it as it is.
    sender: str = field(default="", metadata=custom(sender))
    source_ton: int | None = field(default=None, metadata=integer(0, 255))
    source_npi: int | None = field(default=None, metadata=integer(0, 255))
    dest_ton: int | None = field(default=None, metadata=integer(0, 255))
    dest_npi: int | None = field(default=None, metadata=integer(0, 255))
    protocol_id: int | None = field(default=None, metadata=integer(0, 255))
    # Text that is not GSM is written with the nearest GSM characters, where there are such.
    transliterate: bool = field(default=False, metadata=flag())
    # Dial code of the numbers that it gives in national form; and whether destinations of that code
    # are given to it so: as the digits after it, or with the 0 of the trunk before them.
    country: str = field(
        default="", metadata=text(3, r"[1-9][0-9]{0,2}", 'a dial code such as "44"')
    )
    send_national: str = field(default="no", metadata=choice("no", "plain", "trunk"))
    # What data_coding 0 stands for in its PDU, in both directions, and whether septets are packed.
    alphabet: str = field(default="gsm", metadata=choice("gsm", "latin1", "ascii"))
    packed: bool = field(default=False, metadata=flag())
    # How it takes long messages (spec/smpp.md §12): "udh" as they are.
    long: str = field(default="udh", metadata=choice("udh", "udh8", "udh16", "sar", "payload"))
    # Messages that may wait for it; more are refused. None: what the configuration says; 0: any.
    queue_limit: int | None = field(default=None, metadata=integer(0, 1_000_000_000))
    # Its own errors, as its receipts write them or as a command_status in hex -> our response code.
    errors: dict[str, int] = field(factory=dict, metadata=custom(errors))
    # Of kinds smpp and mm4. The defaults of the two differ: 0 and False stand for them, see
    # ``connect_port``, ``starttls``, ``response_s``.
    host: str = field(default="", metadata=HOST)
    port: int = field(default=0, metadata=integer(1, 65_535))
    password: str = field(default="", repr=False, metadata=secret(128))
    tls: bool | str = field(
        default=False, metadata=choice(True, False, "none", "offered", "required")
    )
    response_timeout_s: float = field(default=0.0, metadata=number(1, 86_400))
    # Of kind smpp.
    system_id: str = field(
        default="",
        metadata=text(
            SMPP_SYSTEM_ID, VISIBLE, f"1 to {SMPP_SYSTEM_ID} ASCII characters without blanks"
        ),
    )
    system_type: str = field(default="", metadata=text(12, r"[ -~]+", "1 to 12 ASCII characters"))
    bind: str = field(default="transceiver", metadata=choice("transceiver", "transmitter+receiver"))
    binds: int = field(default=1, metadata=integer(1, 100))
    version: str = field(default="3.4", metadata=choice("3.4", "3.3"))
    enquire_s: float = field(default=30.0, metadata=number(1, 3600))
    # Seconds until a lost link is tried again, and twice as many each time (L-D5: 30).
    reconnect_s: float = field(default=1.0, metadata=number(1, 600))
    # The operation that brings it messages; with version "3.3" it is submit_sm.
    submit: str = field(default="submit_sm", metadata=choice("submit_sm", "data_sm"))
    # It connects to us (``[smpp] outbind_listen``) from one of these addresses, and says outbind
    # with this system_id and password; we bind there as transceiver, or as receiver beside the
    # transmitter that we connect.
    outbind: bool = field(default=False, metadata=flag())
    outbind_system_id: str = field(
        default="",
        metadata=text(
            SMPP_SYSTEM_ID, VISIBLE, f"1 to {SMPP_SYSTEM_ID} ASCII characters without blanks"
        ),
    )
    outbind_password: str = field(default="", repr=False, metadata=secret(SMPP_PASSWORD))
    outbind_allow: list[str] = field(factory=list, metadata=list_of(custom(network)))
    # Who answers query_sm, cancel_sm and replace_sm about a message that it has: the gateway from
    # what it knows, or the carrier.
    query: str = field(default="local", metadata=choice("local", "carrier"))
    cancel: str = field(default="local", metadata=choice("local", "carrier"))
    replace: str = field(default="local", metadata=choice("local", "carrier"))
    # How its message ids are written in submit_sm_resp and in receipts (ruling 13).
    response_id: str = field(default="text", metadata=choice("text", "hex", "decimal"))
    receipt_id: str = field(default="text", metadata=choice("text", "hex", "decimal"))
    # Of kind mm4: the MMSC's domain, the addresses that it connects from, and the login at it,
    # which it may as well use here (ruling 21). Without ``host``: the exchangers of ``domain``.
    domain: str = field(default="", metadata=MAIL_DOMAIN)
    allow: list[str] = field(factory=list, metadata=list_of(custom(network)))
    username: str = field(default="", metadata=text(64, VISIBLE, "1 to 64 ASCII characters"))
    # That it must show where it connects to us, and which is then its login: a common name, or
    # "sha256:" and fingerprint.
    certificate: str = field(default="", metadata=custom(certificate_name))
    # File of the certificates that sign the MMSC's, in PEM form; "": those of the system.
    tls_ca: str = field(default="", metadata=text(1000))
    # Message and transaction ids are written in double quotes; an answer is asked for (ruling 29).
    quote_ids: bool = field(default=False, metadata=flag())
    ack: bool = field(default=True, metadata=flag())
    # Seconds between tries, the last one for all that follow (spec/mm4.md §4).
    retry_s: list[int] = field(
        factory=lambda: [60, 300, 900, 1800, 3600],
        metadata=list_of(integer(1, 604_800), least=1, right="a list such as [60, 300, 900]"),
    )
    # Octets of a whole mail that it takes; what is larger is not sent to it.
    max_size: int = field(default=5_242_880, metadata=integer(10_000, 5_242_880))
    # Pictures are scaled down so that a mail is no larger than that.
    scale: bool = field(default=True, metadata=flag())
    # It sends no delivery reports: its response is taken for one (spec/mm4.md §9).
    res_delivers: bool = field(default=False, metadata=flag())
    # Of kind simulator: seconds from acceptance to receipt, and how often which state comes.
    delay_s: float = field(default=0.0, metadata=number(0, 86_400))
    states: dict[str, int] = field(factory=lambda: {"DELIVRD": 1}, metadata=custom(states))

    @property
    def only_calls(self) -> bool:
        """True if we never connect to it: it connects to us, and we bind there."""
        return self.outbind and self.bind == "transceiver"

    @property
    def connect_port(self) -> int:
        """The port to connect to."""
        return self.port or (25 if self.kind == "mm4" else 2775)

    @property
    def starttls(self) -> str:
        """Of kind mm4: "none", "offered" or "required"."""
        return self.tls if isinstance(self.tls, str) else "offered"

    @property
    def response_s(self) -> float:
        """How long an answer is waited for, in seconds: of SMPP, or an MM4 response."""
        return self.response_timeout_s or (600.0 if self.kind == "mm4" else 30.0)

    @property
    def asked(self) -> bool:
        """True if it is asked about messages that it has."""
        return "carrier" in (self.query, self.cancel, self.replace)


@define
class Route:
    """Which carriers take which destinations.

    Longest prefix whose filters let the message pass wins, then lowest priority number, then what
    ``select`` says.
    """

    name: str = field(metadata=NAME)
    prefixes: list[str] = field(metadata=_PREFIXES)
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
    select: str = field(
        default="weight", metadata=choice("weight", "round-robin", "least-cost", "best-rate")
    )
    # The next carrier gets what has waited so many seconds for this one, 0 = never.
    queue_time_s: int = field(default=0, metadata=integer(0, 604_800))
    # The next carrier gets what this one took and then could not deliver, while it is valid.
    failover_undelivered: bool = field(default=False, metadata=flag())
    # Senders that are not of the account may go out here (A-D8).
    foreign_senders: bool = field(default=False, metadata=flag())
    # Filters: what else a message must have; empty = anything.
    accounts: list[str] = field(factory=list, metadata=_NAMES)
    groups: list[str] = field(factory=list, metadata=_NAMES)
    tags: list[str] = field(factory=list, metadata=_NAMES)
    kinds: list[str] = field(factory=list, metadata=list_of(choice("sms", "mms")))
    # "link": an MMS that its carrier cannot take goes as an SMS with a link to a page.
    mms: str = field(default="no", metadata=choice("no", "link"))
    # It takes messages to SIMs (their ICCID), and no others (A-D16).
    sim: bool = field(default=False, metadata=flag())
    sources: list[str] = field(factory=list, metadata=list_of(custom(conditions.source)))
    text: str = field(default="", metadata=custom(conditions.pattern))
    hours: str = field(default="", metadata=custom(conditions.hours))
    time_zone: str = field(default="UTC", metadata=custom(conditions.time_zone))


@define
class Network:
    """A mobile network: what joins its MCC and MNC with the prefixes of its numbers."""

    name: str = field(metadata=NAME)
    mcc: str = field(metadata=_MCC)
    mnc: str = field(metadata=_MNC)
    prefixes: list[str] = field(metadata=_PREFIXES)
    country: str = field(default="", metadata=text(64))  # its name, for the coverage list
    operator: str = field(default="", metadata=text(64))


@define
class Price:
    """A price of a part, for leading digits of destinations or for networks.

    Either ``prefix`` or ``mcc`` is given; without ``mnc`` it holds for the country's other
    networks.
    """

    price: str = field(metadata=decimal(4))
    prefix: str | None = field(default=None, metadata=custom(prefix))
    mcc: str = field(default="", metadata=_MCC)
    mnc: str = field(default="", metadata=_MNC)
    remarks: str = field(default="", metadata=text(200))


@define
class PriceList:
    """Prices of an account: of those that fit a destination the one of the longest prefix holds."""

    name: str = field(metadata=NAME)
    price: list[Price] = field(factory=list, metadata=forms(Price))


@define
class Filter:
    """Messages that are refused for their content (reason 55); what is empty asks for nothing."""

    name: str = field(metadata=NAME)
    text: str = field(metadata=custom(conditions.pattern))
    prefixes: list[str] = field(factory=lambda: [""], metadata=_PREFIXES)
    accounts: list[str] = field(factory=list, metadata=_NAMES)
    groups: list[str] = field(factory=list, metadata=_NAMES)
    sources: list[str] = field(factory=list, metadata=list_of(custom(conditions.source)))


SMPP_ONLY = (
    "system_id",
    "system_type",
    "bind",
    "binds",
    "version",
    "enquire_s",
    "reconnect_s",
    "submit",
    "outbind",
    "outbind_system_id",
    "outbind_password",
    "outbind_allow",
    "query",
    "cancel",
    "replace",
    "response_id",
    "receipt_id",
)
MM4_ONLY = (
    "domain",
    "allow",
    "username",
    "certificate",
    "tls_ca",
    "quote_ids",
    "ack",
    "retry_s",
    "max_size",
    "scale",
    "res_delivers",
)
# Of carriers that are connected to, whatever they speak.
CONNECTED_ONLY = ("host", "port", "password", "tls", "response_timeout_s")
SIMULATOR_ONLY = ("delay_s", "states")
