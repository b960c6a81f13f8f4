"""The settings of the dialects.

Key of ``[dialect]`` in the configuration, of ``[account.settings.dialect]`` for one account.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Self
from zoneinfo import ZoneInfo

import attrs
from attrs import field, frozen

from smsgw.toml import Wrong, choice, custom, flag, integer, list_of, secret, shown, text

_ROOT = text(40, r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and _")
_ID_FORMAT = choice("decimal", "hex", "uuid")
_DLR_FORMAT = choice("seconds", "minutes")
_COUNTRY = text(3, r"[1-9][0-9]{0,2}", 'a dial code such as "44"')
_BASE_URL = text(
    255,
    r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[!-~]*[!-.0-~])?",
    'like "https://social.example.com", without a slash at the end',
)
_LOOKUP_URL = text(
    500,
    r"https?://[A-Za-z0-9\[][!-~]*\{number\}[!-~]*",
    'like "https://hlr.example.com/lookup?number={number}"',
)
_ORIGIN = text(
    255,
    r"\*|https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?",
    'like "https://app.example.com", or "*" for all',
)


def _zone(value: Any) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, TypeError, AttributeError, OSError):
        raise Wrong(
            f'{shown(value)} is no time zone; it must be a name such as "Asia/Beirut" or "UTC"'
        ) from None
    return str(value)


@frozen
class CodeWords:
    """How REST says one of its codes: "" and 0 leave what ``smsgw.refusals`` has."""

    text: str = ""
    http: int = 0


def _codes(value: Any) -> dict[int, CodeWords]:
    """Code -> its words. Codes below 1000 are answers of 200, whatever comes of them."""
    if not isinstance(value, dict):
        raise Wrong(f"{shown(value)} is not allowed; it must be like {{ 1022 = {{ http = 422 }} }}")
    found = {}
    for code, words in value.items():
        if not re.fullmatch(r"10|20|5[0-9]|10[0-5][0-9]", code):
            raise Wrong(f"{shown(code)} is no code; it must be one of the REST guide's, like 1022")
        least = 400 if len(code) == 4 else 0
        keys = {"text", "http"} if least else {"text"}
        if not isinstance(words, dict) or not words or set(words) - keys:
            raise Wrong(
                f"{code}: {shown(words)} is not allowed; it must have "
                + ("text, http or both" if least else "a text and nothing else")
            )
        text, http = words.get("text", ""), words.get("http", 0)
        if not isinstance(text, str) or not text.isprintable() or len(text) > 200:
            raise Wrong(f"{code}: text must be at most 200 printable characters")
        if isinstance(http, bool) or not isinstance(http, int) or (http and not 400 <= http <= 599):
            raise Wrong(f"{code}: http must be a status from 400 to 599")
        found[int(code)] = CodeWords(text, http)
    return found


def _per_account(metadata: dict[str, Any]) -> dict[str, Any]:
    return {**metadata, "per_account": True}


@frozen
class Dialect:
    """What every dialect's settings can do."""

    def for_account(self, settings: Mapping[str, Any]) -> Self:
        """These settings with those of one account (``account.settings[dialect]``) over them."""
        return attrs.evolve(self, **settings) if settings else self


@frozen
class Aerialink(Dialect):
    """REST and the standard SMPP profile (``spec/aerialink.md``)."""

    # Whether REST is served without TLS: never, always, or to clients of this machine only (E-D5).
    allow_plain_http: bool | str = field(default=False, metadata=choice(True, False, "loopback"))
    # Destinations of one POST /v4/messages.
    max_destinations: int = field(default=100, metadata=_per_account(integer(1, 1000)))
    # Parts of one message; the account's own max_parts bounds it as well.
    max_parts: int = field(default=8, metadata=integer(1, 255))
    # One code for "unknown key" and "wrong secret", and for the other faults of a login.
    fold_auth_errors: bool = field(default=False, metadata=flag())
    # Vendor statuses 0x432 to 0x437 in submit_sm_resp; false: ESME_RSUBMITFAIL (E-D15, E-D16).
    smpp_vendor_status: bool = field(default=True, metadata=flag())
    # Name of the outermost element of answers (E-D9).
    root: str = field(default="aerialink", metadata=_ROOT)
    # A login whose allow-list is empty may come from anywhere instead of nowhere (E-D6).
    open_if_empty: bool = field(default=False, metadata=flag())
    # message_id of SMPP 3.4 sessions: 32 hex digits (E-D28), the UUID form, or decimal.
    id_format: str = field(default="hex", metadata=_per_account(_ID_FORMAT))
    # Dates of receipts: 12 or 10 digits.
    dlr_format: str = field(default="minutes", metadata=_per_account(_DLR_FORMAT))
    # Callbacks to addresses that are not of the public internet.
    allow_private_callbacks: bool = field(default=False, metadata=flag())
    # How often a callback is tried again, and how many seconds apart (E-D17).
    retry_count: int = field(default=10, metadata=integer(0, 100))
    retry_interval_s: int = field(default=900, metadata=integer(1, 86_400))
    # Members of a list that one POST /v4/messages with listId may send to.
    max_list: int = field(default=10_000, metadata=_per_account(integer(1, 100_000)))
    # A message may be sent by GET /v4/messages/send (E-D8).
    allow_get_submit: bool = field(default=False, metadata=_per_account(flag()))
    # Messages that do not say so ask for a receipt (4.3).
    registered_delivery: bool = field(default=False, metadata=_per_account(flag()))
    # What is part of the contract; without it the resource answers 1033.
    lists: bool = field(default=True, metadata=_per_account(flag()))
    lookup: bool = field(default=True, metadata=_per_account(flag()))
    mms: bool = field(default=True, metadata=_per_account(flag()))
    # Who is asked about numbers (F-10): a URL with {number} in it, "": the number plan alone.
    lookup_url: str = field(default="", metadata=_LOOKUP_URL)
    lookup_username: str = field(default="", metadata=text(64))
    lookup_password: str = field(default="", repr=False, metadata=secret(200))
    lookup_timeout_s: int = field(default=5, metadata=integer(1, 60))
    lookup_cache_s: int = field(default=86_400, metadata=integer(0, 2_592_000))
    # An e-mail's subject is the first line of its SMS; false: it is left out (E-D31).
    prepend_subject: bool = field(default=False, metadata=_per_account(flag()))
    # Other texts and HTTP statuses of codes (4.1).
    codes: dict[int, CodeWords] = field(factory=dict, metadata=custom(_codes))
    # Origins of web pages that may call the API with a key ("*": all of them).
    cors_origins: list[str] = field(factory=list, metadata=list_of(_ORIGIN))

    def plain_allowed(self, peer: str) -> bool:
        """Whether a client at address ``peer`` may use REST without TLS.

        ``peer`` is "unix" on a unix socket.
        """
        if isinstance(self.allow_plain_http, bool):
            return self.allow_plain_http
        try:
            return ip_address(peer).is_loopback
        except ValueError:
            return peer == "unix"


@frozen
class Link(Dialect):
    """The link SMPP profile (``spec/link-smpp.md``)."""

    # Seconds without traffic after which a session is closed, 0 = never (L-R6, L-D3).
    idle_close_s: int = field(default=300, metadata=integer(0, 86_400))
    # Seconds of silence after which the gateway sends enquire_link, 0 = never (ruling 3).
    enquire_after_s: int = field(default=0, metadata=integer(0, 86_400))
    # An idle session is closed by unbind; false: without a word (L-D3).
    idle_unbind: bool = field(default=True, metadata=flag())
    # A bind within 30 s after a broken connection is refused (L-R5, L-D5).
    enforce_reconnect_wait: bool = field(default=False, metadata=flag())
    # Clients below 3.4 are taken, without TLVs; false: their binds are refused (L-D13).
    accept_v33: bool = field(default=True, metadata=flag())
    # The first refused bind closes the connection; false: the third (L-D14).
    close_on_auth_fail: bool = field(default=False, metadata=flag())
    # message_id of its sessions (L-D24).
    id_format: str = field(default="decimal", metadata=_per_account(_ID_FORMAT))
    # Dates of receipts: 12 digits (L-R23) or 10 (L-R24).
    dlr_format: str = field(default="seconds", metadata=_per_account(_DLR_FORMAT))


@frozen
class Ams(Dialect):
    """The websmpp dialect (``spec/ams-websmpp.md``): its HTTP part, and its sessions' receipts."""

    # False: every request gets HTTP11 (maintenance, or this account's service is switched off).
    enabled: bool = field(default=True, metadata=_per_account(flag()))
    # Transmitters of one login beside the one session that receives (W-R7, W-D2).
    max_tx: int = field(default=10, metadata=_per_account(integer(1, 1000)))
    # A bind with a system_type is refused (W-D3).
    strict_system_type: bool = field(default=False, metadata=flag())
    # Errors come with a status of 4xx or 5xx, not with 200 (W-D6).
    http_status_errors: bool = field(default=False, metadata=flag())
    # An unknown user is told the same as a wrong password (W-D12).
    hide_unknown_user: bool = field(default=False, metadata=flag())
    # A message without type has one found for it; false: HTTP07 (W-D17).
    auto_type: bool = field(default=True, metadata=_per_account(flag()))
    # A text may have & and # in it (W-D18).
    allow_amp_hash: bool = field(default=False, metadata=_per_account(flag()))
    # Parts of one message (W-D19); the account's own max_parts bounds it as well.
    max_parts: int = field(default=6, metadata=_per_account(integer(1, 255)))
    # Of schtime without gmt (W-D22).
    default_zone: str = field(default="UTC", metadata=_per_account(custom(_zone)))
    # The answer to a submission is the id alone (W-D25).
    bare_response: bool = field(default=False, metadata=_per_account(flag()))
    # websmsstatus asks for user and password, and tells only who sent the message (W-D30).
    status_auth: bool = field(default=False, metadata=flag())
    # The answer waits until a carrier has answered, so many seconds at most (HTTP12).
    sync_submit: bool = field(default=False, metadata=_per_account(flag()))
    sync_timeout_s: int = field(default=10, metadata=integer(1, 60))
    # A message is refused if no carrier of its route has a link up (HTTP14).
    require_bound_route: bool = field(default=False, metadata=_per_account(flag()))
    # message_id of its sessions, which is an id of websmsstatus too (W-D5).
    id_format: str = field(default="decimal", metadata=_per_account(_ID_FORMAT))
    # Dates of receipts: 10 digits (W-D5) or 12.
    dlr_format: str = field(default="minutes", metadata=_per_account(_DLR_FORMAT))


@frozen
class Aaisp(Dialect):
    """Targets of numbers, ``sms.cgi`` and its delivery reports (``spec/aaisp.md``)."""

    # Callbacks to, and mail exchangers at, addresses that are not of the public internet (A-D13).
    allow_private_callbacks: bool = field(default=False, metadata=flag())
    # A long message is delivered in one when all its parts have come (A-D11).
    join_parts: bool = field(default=True, metadata=_per_account(flag()))
    # The operator's account that posts to fediverse targets, and its access token (A-D15).
    fediverse_base_url: str = field(default="", metadata=_BASE_URL)
    fediverse_token: str = field(default="", repr=False, metadata=secret(500))
    # Reports 4 and 8 are mailed as well (A-D41).
    mail_progress: bool = field(default=False, metadata=_per_account(flag()))
    # Of sms.cgi: the home country of user names in national form (A-D19).
    country: str = field(default="44", metadata=_COUNTRY)
    # Parts of a message without limit (A-D26); the account's own max_parts bounds it as well.
    default_limit: int = field(default=10, metadata=_per_account(integer(1, 255)))
    # da may name up to 50 destinations (A-D20).
    multi_da: bool = field(default=False, metadata=_per_account(flag()))
    # A line with the destination comes before each answer (A-D33).
    preamble: bool = field(default=False, metadata=_per_account(flag()))
    # The older fields are obeyed: iccid, sendtime, flash, replace, report (A-D32).
    legacy: bool = field(default=True, metadata=_per_account(flag()))
    # The last digit of an ICCID is checked (A-D30).
    check_iccid: bool = field(default=True, metadata=_per_account(flag()))

    @property
    def toots(self) -> bool:
        """Whether there is an account to post with."""
        return bool(self.fediverse_base_url and self.fediverse_token)


@frozen
class Aql(Dialect):
    """Relay of a number's messages, and the outbound API of its family (``spec/aql.md``)."""

    # Callbacks to addresses that are not of the public internet (Q-D11).
    allow_private_callbacks: bool = field(default=False, metadata=flag())
    # A long message is delivered in one when all its parts have come (Q-D20).
    join_parts: bool = field(default=True, metadata=_per_account(flag()))
    # A number may be taken away from an MVNO offering by the API (right relay.leave_mvno, Q-D16).
    leave_mvno: bool = field(default=False, metadata=_per_account(flag()))
    # Destinations of one request to the outbound API.
    max_destinations: int = field(default=1000, metadata=_per_account(integer(1, 10_000)))


@frozen
class Mm4(Dialect):
    """MM4 and mail (``spec/mm4.md``)."""

    # AUTH is offered to clients without TLS as well, whose passwords cross the network in clear.
    allow_plain_auth: bool = field(default=False, metadata=flag())
    # Mail exchangers of customers' domains may have addresses that are not of the public internet.
    allow_private_callbacks: bool = field(default=False, metadata=flag())
    # X-Mms-Forward-Counter above which a message goes round in circles (spec/mm4.md §3.1).
    forward_limit: int = field(default=10, metadata=integer(1, 1000))
    # Parts of types that are not accepted are left out, in place of the message being refused.
    drop_unaccepted: bool = field(default=False, metadata=_per_account(flag()))
    # Seconds until a customer's MMSC that has taken a message and not answered it is asked again.
    response_timeout_s: int = field(default=600, metadata=integer(1, 86_400))


DIALECTS: dict[str, type[Dialect]] = {
    "aerialink": Aerialink,
    "link": Link,
    "ams": Ams,
    "aaisp": Aaisp,
    "aql": Aql,
    "mm4": Mm4,
}


def account_keys(dialect: str) -> dict[str, Any]:
    """Key -> metadata of the settings of ``dialect`` that one account may have of its own."""
    fields = attrs.fields(DIALECTS[dialect])
    return {one.name: one.metadata for one in fields if one.metadata.get("per_account")}
