"""Targets: where the messages of a number go, as its setting writes it (spec/aaisp.md 4.1)."""

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from attrs import frozen

from smsgw.provisioning.values import email
from smsgw.toml import Wrong, shown

if TYPE_CHECKING:
    from smsgw.provisioning.accounts import Account, Number

MOST = 20  # targets of a number (A-D1)
LONGEST = 500  # characters of one (A-D1)
_PREFIXES = "+*!"
_URL = r"https?://[A-Za-z0-9\[][^\s\x00-\x20\x7f]*"
_TOOT = (
    r"@[A-Za-z0-9_]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9_])?"
    r"@[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
)
_SIM = r"89[0-9]{16,18}"
_MOBILE = r"\+?[0-9]{7,15}"
_RIGHT = (
    "it must be smpp, mm4, null, a URL, an e-mail address, @name@host, a mobile number, or an "
    "ICCID, after at most one of + * !"
)
_URLS = 10  # of one relay (Q-D11)
_STRAY = re.compile("%(?![0-9A-Fa-f]{2}|[odmtxui])")  # Q-D12
_URL_LONGEST = 1024  # characters of one of them (Q-D11)
# Words in front of the address in ``Target.text`` where the grammar of A-D3 says too little.
_RELAY = {"httpget": "GET", "httppost": "POST"}
_ACTION = "action"


@frozen
class Target:
    """One place where messages go.

    ``kind`` is "smpp", "mm4", "http", "email", "toot", "mobile", "sim" or "null". ``text`` says the
    whole target in one string (``read``): as it is written in the setting, or of another dialect
    with a word in front. ``address`` is what of it is a URL, an e-mail address, ``@name@host``,
    digits or an ICCID; for a relay of several URLs, those, separated by commas.
    """

    kind: str
    address: str = ""
    prefix: str = ""  # "", "+", "*", "!" (A-D4)
    # Whose form and schedule: "aaisp", "aql" (relay), "aerialink" (``account.callback``).
    dialect: str = "aaisp"
    method: str = ""  # of kind http: "GET" or "POST"
    text: str = ""
    form: str = ""  # of an action (E-D21): "form", "json" or "xml"


SMPP = Target("smpp", text="smpp")
NULL = Target("null", text="null")
MM4 = Target("mm4", dialect="mm4", text="mm4")  # the account's own MMSC


def parse_target(text: str) -> Target:
    """The target that one item of a number's ``targets`` means (A-D2, A-D3).

    Raises ``Wrong``.
    """
    if text == "smpp":
        return SMPP
    if text == "null":
        return NULL
    if text == "mm4":
        return MM4
    if len(text) > LONGEST:
        raise Wrong(f"{shown(text)} is too long; a target has {LONGEST} characters at most")
    prefix, rest = "", text
    if text[:1] and text[0] in _PREFIXES and not re.fullmatch(r"\+[0-9]{7,15}", text):
        prefix, rest = text[0], text[1:]
    if re.match("https?://", rest):
        if not re.fullmatch(_URL, rest) or not _has_host(rest):
            raise Wrong(f'{shown(text)} is no URL; it must be like "https://www.example.com/in?"')
        method = "GET" if rest.endswith(("?", "&")) else "POST"  # A-R11, A-R12
        return Target("http", rest, prefix, method=method, text=text)
    if re.fullmatch(_TOOT, rest):
        return Target("toot", rest, prefix, text=text)
    if "@" in rest:
        return Target("email", email(rest), prefix, text=text)
    if re.fullmatch(_SIM, rest):
        return Target("sim", rest, prefix, text=text)
    if re.fullmatch(_MOBILE, rest):
        return Target("mobile", rest.removeprefix("+"), prefix, text=text)
    raise Wrong(f"unknown target {shown(text)}; {_RIGHT}")


def target(value: Any) -> str:
    """One item of a number's ``targets``, as provisioning checks it."""
    if not isinstance(value, str):
        raise Wrong(f"{shown(value)} is not allowed; {_RIGHT}")
    parse_target(value)
    return value


def check_detail(method: str, detail: str) -> None:
    """Raises ``Wrong`` for what a relay of ``method`` cannot be told by (Q-R15, Q-D11, Q-D15)."""
    if method in _RELAY:
        urls = detail.split(",")
        if len(urls) > _URLS:
            raise Wrong(f"has {len(urls)} URLs; {_URLS} at most are tried")
        for url in urls:
            if len(url) > _URL_LONGEST or not re.fullmatch(_URL, url) or not _has_host(url):
                raise Wrong(
                    f'{shown(url)} is no URL; it must be like "https://www.example.com/in", of '
                    f"{_URL_LONGEST} characters at most, several of them separated by commas"
                )
            if _STRAY.search(url):
                raise Wrong(
                    f"{shown(url)} has a % that begins neither a variable (%o %d %m %t %x %u %i) "
                    "nor an escape; write it as %25"
                )
    elif method == "email":
        addresses = _addresses(detail)
        if not 1 <= len(addresses) <= MOST:
            raise Wrong(f"must be 1 to {MOST} e-mail addresses separated by commas")
        for address in addresses:
            email(address)
    elif method == "mvno" and detail and not re.fullmatch(_SIM, detail):
        raise Wrong(f"{shown(detail)} is no ICCID; it must be 18 to 20 digits that begin with 89")
    elif method == "null-route" and detail:
        raise Wrong("null-route has no detail; leave it out")


def _addresses(detail: str) -> list[str]:
    return [one for one in re.split(r"[,;\s]+", detail) if one]


def _has_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018  # ValueError for one that is none
        return bool(parts.hostname)
    except ValueError:
        return False


def read(text: str) -> Target:
    """The target that a ``Target.text`` means. Raises ``Wrong``."""
    word, blank, rest = text.partition(" ")
    if not blank:
        return parse_target(text)
    if word in _RELAY:
        return Target("http", rest, dialect="aql", method=_RELAY[word], text=text)
    if word == "email":
        return Target("email", email(rest), dialect="aql", text=text)
    if word == _ACTION:
        method, form, url = rest.split(" ", 2)
        return Target("http", url, dialect="aerialink", method=method, text=text, form=form)
    raise Wrong(f"unknown target {shown(text)}")


def is_relay(text: str) -> bool:
    """True if a ``Target.text`` is of the relay dialect."""
    word, blank, _ = text.partition(" ")
    return bool(blank) and (word in _RELAY or word == "email")


def targets_of(number: "Number", account: "Account") -> list[Target]:
    """Where messages of ``number`` go; none if they are only logged (A-D6, Q-R10).

    What was valid when it was saved is: raises ``Wrong`` for a setting that never was.
    """
    if number.method in _RELAY:
        return [read(f"{number.method} {number.detail}")]
    if number.method == "email":
        return [read(f"email {one}") for one in _addresses(number.detail)]
    if number.method == "mvno":
        # Not to any outside destination (Q-R11): to its SIM, if the detail says which.
        return [parse_target(number.detail)] if number.detail else []
    if number.method:
        return []
    # The same target twice is one delivery.
    found = list(dict.fromkeys(parse_target(one) for one in number.targets))
    found = [one for one in found if one.kind != "null"]
    if not number.targets and account.email:
        return [mailbox(account.email)]
    return found


def mailbox(address: str) -> Target:
    """The target of a plain e-mail address. Raises ``Wrong`` for what is none."""
    email(address)
    # One that begins with a prefix is written with * (A-R4).
    return parse_target("*" + address if address[:1] in _PREFIXES else address)


def callback_of(account: "Account") -> Target:
    """Where receipts go of messages that came by an edge without a session."""
    url = account.callback
    return Target("http", url, dialect="aerialink", method="POST", text=url)


def action_target(method: str, form: str, url: str) -> Target:
    """The target of an action of a route (E-D21)."""
    return read(f"{_ACTION} {method} {form} {url}")


def is_action(text: str) -> bool:
    """True if ``Target.text`` is that of an action."""
    return text.startswith(_ACTION + " ")


def report_of(address: str) -> Target:
    """Where the reports go that a message asks for with ``srr``: a URL or an e-mail address.

    Raises ``Wrong``.
    """
    if re.match("https?://", address):
        # Placeholders may be anywhere in it (A-D37), so that of its form only this is checked.
        if not re.fullmatch(_URL, address):
            raise Wrong(f"{shown(address)} is no URL")
        return Target("http", address, method="GET", text=address)
    return mailbox(address)


def masked(text: str) -> str:
    """``text`` without what may be secret in its URLs: login, query and fragment."""
    return re.sub(r"(https?://)([^\s,]+)", _masked_url, text)


def _masked_url(found: re.Match[str]) -> str:
    place = re.split(r"[?#]", found[2], maxsplit=1)[0]
    host, slash, path = place.partition("/")
    return f"{found[1]}{host.rpartition('@')[2]}{slash}{path}"
