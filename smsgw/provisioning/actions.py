"""The forms of an account's routes for what it receives, and the targets that their actions mean
(``spec/aerialink.md`` E-D20, E-D21)."""

from typing import TYPE_CHECKING, Any

from attrs import define, field

from smsgw.provisioning.targets import MM4, NULL, SMPP, Target, action_target, mailbox
from smsgw.provisioning.values import VISIBLE, email, keyword, sender, url
from smsgw.toml import Reader, choice, custom, forms, integer, secret, tables_of, text
from smsgw.toml.lines import Path

if TYPE_CHECKING:
    from smsgw.provisioning.accounts import Account

_HTTP = ("SMS-MO-HTTP", "SMS-DLR-HTTP", "SMS-CDA-HTTP", "MMS-MO-HTTP", "MMS-DLR-HTTP")
TYPES = (*_HTTP, "SMPP", "MM4", "EMAIL", "NULL")
MOST = 20  # actions of a route
_ENDINGS = {"mo": "-MO-HTTP", "receipt": "-DLR-HTTP", "progress": "-CDA-HTTP"}


@define
class Action:
    """One thing that is done with an MO or a report."""

    type: str = field(metadata=choice(*TYPES))
    url: str = field(default="", metadata=custom(url))  # of the types with HTTP
    method: str = field(default="POST", metadata=choice("GET", "POST"))
    format: str = field(default="form", metadata=choice("form", "json", "xml"))
    username: str = field(default="", metadata=text(64, VISIBLE, "1 to 64 ASCII characters"))
    password: str = field(default="", repr=False, metadata=secret(128))
    # Key of the signature; "": the account's callback_secret.
    hmac_secret: str = field(default="", repr=False, metadata=secret(128))
    to: str = field(default="", metadata=custom(email))  # of type EMAIL


@define
class ActionRoute:
    """What is done with the MO and reports that it lets pass; an empty filter lets all pass."""

    sequence: int = field(metadata=integer(0, 1_000_000))  # the lowest is looked at first
    code: str = field(default="", metadata=custom(sender))
    keyword: str = field(default="", metadata=custom(keyword))
    kind: str = field(default="", metadata=choice("sms", "mms"))
    actions: list[Action] = field(factory=list, metadata=forms(Action))


def target_of(action: Action, event: str, kind: str) -> Target | None:
    """Where an action brings the event ("MO", "DLR", "CDA") of an "sms" or "mms"; None if it is for
    another one."""
    if action.type == "NULL":
        return NULL
    if action.type == f"{kind.upper()}-{event}-HTTP":
        return action_target(action.method, action.format, action.url)
    if event != "MO":
        return None
    if action.type == "SMPP":
        return SMPP
    if action.type == "MM4":
        return MM4
    return mailbox(action.to) if action.type == "EMAIL" else None


def action_of(account: "Account", target: Target, event: str) -> Action | None:
    """The action that a target is of, for its login and key; None if it is no more.

    ``event`` is that of the delivery: "mo", "receipt" or "progress".
    """
    ending = _ENDINGS.get(event, "")
    for route in sorted(account.route, key=lambda one: one.sequence):
        for one in route.actions:
            mine = one.method, one.format, one.url
            if one.type.endswith(ending) and mine == (target.method, target.form, target.address):
                return one
    return None


def check(reader: Reader) -> None:
    """Keeps the faults of routes that no single value shows."""
    for n, account in tables_of(reader.table, "account"):
        seen: dict[Any, str] = {}
        for m, route in tables_of(account, "route"):
            path: Path = ("account", n, "route", m)
            sequence = route.get("sequence")
            if not isinstance(sequence, int):
                pass  # that is a fault of the value
            elif sequence in seen:
                said = f"{sequence} is taken at {seen[sequence]}; it must be unique"
                reader.fault((*path, "sequence"), said)
            else:
                seen[sequence] = reader.where((*path, "sequence"))
            actions = tables_of(route, "actions")
            if not actions:
                reader.fault(path, "actions is missing; add actions = [{ type = ... }]")
            if len(actions) > MOST:
                reader.fault((*path, "actions"), f"has {len(actions)}; {MOST} at most are allowed")
            for k, action in actions:
                _check(reader, action, (*path, "actions", k))


def _check(reader: Reader, action: dict[str, Any], path: Path) -> None:
    kind = action.get("type")
    if kind in _HTTP:
        if "url" not in action:
            reader.fault(path, f"url is missing; an action of type {kind} needs it")
        if "password" in action and "username" not in action:
            reader.fault((*path, "password"), "given without username; add username = ...")
    elif kind in TYPES:
        for key in ("url", "method", "format", "username", "password", "hmac_secret"):
            if key in action:
                said = f"an action of type {kind} has no such key; leave it out"
                reader.fault((*path, key), said)
    if kind == "EMAIL" and "to" not in action:
        reader.fault(path, "to is missing; an action of type EMAIL needs an address")
    if kind != "EMAIL" and "to" in action:
        reader.fault((*path, "to"), "only an action of type EMAIL has one; leave it out")
