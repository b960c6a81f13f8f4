"""What a provisioning file says of mail, beyond single values: carriers of kind mm4 and logins of
kind smtp."""

from typing import Any

from smsgw.provisioning.values import SMPP_PASSWORD
from smsgw.toml import Reader, shown, tables_of
from smsgw.toml.lines import Path

_LOGIN_ONLY = ("identify", "host", "port", "domain")
_WORDS = ("none", "offered", "required")
_SMPP_RESPONSE_S = 600


def check_carrier(reader: Reader, table: dict[str, Any], path: Path) -> None:
    """Of kind mm4."""
    if "domain" not in table:
        reader.fault(path, "domain is missing; a carrier of kind mm4 needs it")
    if isinstance(table.get("tls"), bool):
        reader.fault(
            (*path, "tls"),
            f'{shown(table["tls"])} is for kind smpp; it must be "none", "offered" or "required"',
        )
    if "tls_ca" in table and table.get("tls") != "required":
        reader.fault((*path, "tls_ca"), 'has no effect without tls = "required"')
    if "certificate" in table and not table.get("allow"):
        reader.fault(
            (*path, "certificate"),
            'given without allow; add the addresses it connects from, or allow = ["*"]',
        )
    for key, other in (("username", "password"), ("password", "username")):
        if key in table and other not in table:
            reader.fault((*path, key), f"given without {other}; add {other} = ...")


def check_smpp_carrier(reader: Reader, table: dict[str, Any], path: Path) -> None:
    """Of kind smpp, where kind mm4 has other bounds."""
    password, tls, seconds = (table.get(key) for key in ("password", "tls", "response_timeout_s"))
    if isinstance(password, str) and len(password) > SMPP_PASSWORD:
        reader.fault(
            (*path, "password"),
            f"has {len(password)} characters; at most {SMPP_PASSWORD} are allowed",
        )
    if tls in _WORDS:
        reader.fault((*path, "tls"), f"{shown(tls)} is for kind mm4; it must be true or false")
    if isinstance(seconds, int | float) and 1 <= _SMPP_RESPONSE_S < seconds:
        reader.fault(
            (*path, "response_timeout_s"),
            f"{shown(seconds)} is not allowed; it must be a number from 1 to {_SMPP_RESPONSE_S}",
        )


def check_targets(reader: Reader, account: dict[str, Any], path: Path) -> None:
    """That an account whose numbers or routes bring messages to its MMSC has one."""
    logins = account.get("credential")
    named = any(
        isinstance(one, dict) and one.get("kind") == "smtp" and one.get("domain")
        for one in (logins if isinstance(logins, list) else [])
    )
    numbers = account.get("number")
    for n, one in enumerate(numbers if isinstance(numbers, list) else []):
        given = one.get("targets") if isinstance(one, dict) else None
        words = given.split() if isinstance(given, str) else given
        if isinstance(words, list) and "mm4" in words and not named:
            reader.fault(
                (*path, "number", n, "targets"),
                '"mm4" needs an MMSC; add domain (and host) to a [[account.credential]] of kind '
                "smtp",
            )
    for n, route in tables_of(account, "route"):
        for k, action in tables_of(route, "actions"):
            if action.get("type") == "MM4" and not named:
                reader.fault(
                    (*path, "route", n, "actions", k, "type"),
                    '"MM4" needs an MMSC; add domain (and host) to a [[account.credential]] of '
                    "kind smtp",
                )


def check_login(reader: Reader, table: dict[str, Any], path: Path) -> None:
    """Of any kind."""
    if table.get("kind") != "smtp":
        for key in _LOGIN_ONLY:
            if key in table:
                reader.fault((*path, key), "only a login of kind smtp has one; leave it out")
        return
    allow = table.get("allow")
    if table.get("identify") == "address" and (not allow or "*" in allow):
        reader.fault(
            (*path, "identify"),
            '"address" needs allow, with the addresses that tell who it is, and without "*"',
        )
    if table.get("identify") == "certificate" and "certificate" not in table:
        reader.fault((*path, "identify"), '"certificate" needs certificate; add certificate = ...')
    if table.get("identify") == "address" and "certificate" in table:
        reader.fault(
            (*path, "identify"),
            '"address" is not enough where there is a certificate; it must be "certificate" or '
            '"auth"',
        )
    if "host" in table and "domain" not in table:
        reader.fault((*path, "host"), "given without domain; add domain = ...")
    if "port" in table and "host" not in table:
        reader.fault((*path, "port"), "given without host; add host = ...")
