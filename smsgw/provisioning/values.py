"""Checks of single values of provisioning that more than one form has."""

import re
from datetime import date
from ipaddress import ip_network
from typing import Any

from smsgw.provisioning import conditions
from smsgw.toml import Wrong, shown, text

SMPP_PASSWORD = 8  # characters that the password field of a bind holds (SMPP 3.4 §5.2.2)
SMPP_SYSTEM_ID = 15  # and those of system_id (SMPP 3.4 §5.2.1)

NAME = text(64, r"[A-Za-z0-9][A-Za-z0-9._-]*", "1 to 64 letters, digits, dots, - and _")
VISIBLE = r"[!-~]+"
HOST = text(255, r"[A-Za-z0-9.:_-]+", "a host name or an address")
MAIL_DOMAIN = text(
    253, r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", 'a domain such as "mms.example.com"'
)
_EMAIL = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_URL = r"https?://[A-Za-z0-9\[][^\s\x00-\x20\x7f]*"


def network(value: Any) -> str:
    """An address or block of addresses, or "*"."""
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


def inbound_address(value: Any) -> str:
    """An address to receive on: number, short code, alphanumeric source, ICCID, or a wildcard."""
    form = r"[1-9][0-9]{2,14}|89[0-9]{16,18}|[0-9]{1,14}\*|(?=.*[A-Za-z])(?![+ ])[ -~]{1,11}(?<! )"
    if isinstance(value, str) and re.fullmatch(form, value):
        return value
    raise Wrong(
        f"{shown(value)} is not allowed; it must be 3 to 15 digits in international form "
        'without + or 00, such as "447700900000", leading digits with "*" such as "44770090*", '
        "a name of 1 to 11 characters with a letter, or an ICCID"
    )


def sender(value: Any) -> str:
    """A source: 3 to 15 digits, or an alphanumeric one."""
    form = r"[0-9]{3,15}|(?=.*[^0-9])(?![+ ])[ -~]{1,11}(?<! )"
    if isinstance(value, str) and re.fullmatch(form, value):
        return value
    raise Wrong(
        f"{shown(value)} is not allowed; it must be 3 to 15 digits without +, "
        "or a name of 1 to 11 characters"
    )


def prefix(value: Any) -> str:
    """Leading digits of destinations, "" for all."""
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{0,15}", value):
        raise Wrong(
            f"{shown(value)} is not allowed; "
            'it must be 0 to 15 digits, such as "4477", or "" for all'
        )
    return value


def settings(value: Any) -> dict[str, dict[str, Any]]:
    """Tables of dialects' settings."""
    if not isinstance(value, dict):
        raise Wrong(
            f"{shown(value)} is not allowed; it must be tables like [account.settings.link]"
        )
    return value


def states(value: Any) -> dict[str, int]:
    """Weights of final states."""
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


def hash(value: Any) -> str:
    """An argon2id hash."""
    if not isinstance(value, str) or not value.startswith("$argon2id$") or value.count("$") != 5:
        raise Wrong('is not an argon2id hash; make one with "smsgw hash-password"')
    return value


def access_key(value: Any) -> str:
    """What stands for a login in the websmpp dialect (W-D11 of spec/ams-websmpp.md)."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z0-9]{15}", value):
        raise Wrong("is no access key; it must be 15 letters and digits")
    return value


def certificate_name(value: Any) -> str:
    """What a client's certificate goes by, see ``certificates.names_of``."""
    form = ".{1,64}"
    if isinstance(value, str) and value.lower().startswith("sha256:"):
        # As openssl prints it, with a colon between octets.
        value = f"sha256:{value[7:].replace(':', '').lower()}"
        form = "sha256:[0-9a-f]{64}"
    if not isinstance(value, str) or not value.isprintable() or not re.fullmatch(form, value):
        raise Wrong(
            f'{shown(value)} is not allowed; it must be a common name, or "sha256:" and 64 hex '
            "digits"
        )
    return value


def errors(value: Any) -> dict[str, int]:
    """A table of a carrier's errors."""
    # Its entries are looked at one by one where the file is read, to tell the line of each fault.
    if not isinstance(value, dict):
        raise Wrong(f'{shown(value)} is not allowed; it must be a table such as {{ "045" = 103 }}')
    return value


def keyword(value: Any) -> str:
    """One word of letters and digits, in capitals."""
    if isinstance(value, str) and 1 <= len(value) <= 50 and value.isalnum():
        return value.upper()
    raise Wrong(f"{shown(value)} is not allowed; it must be one word of 1 to 50 letters and digits")


def day(value: Any) -> str:
    """A day such as "2026-12-31"."""
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise Wrong(f'{shown(value)} is no day; it must be like "2026-12-31"') from None


def email(value: Any) -> str:
    """An e-mail address."""
    if isinstance(value, str) and len(value) <= 254 and re.fullmatch(_EMAIL, value):
        return value
    raise Wrong(f'{shown(value)} is no e-mail address; it must be like "ops@example.com"')


def url(value: Any) -> str:
    """An http or https URL with a host."""
    if isinstance(value, str) and len(value) <= 1024 and re.fullmatch(_URL, value):
        return value
    raise Wrong(f'{shown(value)} is no URL; it must be like "https://www.example.com/in"')


def hours_by_prefix(value: Any) -> dict[str, str]:
    """Leading digits of destinations -> hours of the day."""
    if not isinstance(value, dict):
        raise Wrong(
            f"{shown(value)} is not allowed; "
            'it must be a table such as { "" = "08:00-20:00", "33" = "08:00-22:00" }'
        )
    return {prefix(key): conditions.hours(hours) for key, hours in value.items()}
