"""Tells what a provisioning changes, as lines for people and as changes for the store."""

from collections.abc import Callable
from typing import Any

import attrs
from attrs import define, field

from smsgw.provisioning.accounts import Account, Credential
from smsgw.provisioning.forms import KINDS, Form, Provisioning
from smsgw.provisioning.targets import masked
from smsgw.toml import shown

SECRET = (
    "password",
    "password_hash",
    "secret",
    "callback_secret",
    "token_hash",
    "access_key",
    "hmac_secret",
    "outbind_password",
)
# Routes go before the carriers that they name, and come after them.
_ADDING = tuple(KINDS)
_REMOVING = _ADDING[::-1]


@define
class Change:
    """One form made (``before`` None), changed, or deleted (``after`` None).

    ``lines`` tell it to people, without secrets.
    """

    kind: str
    name: str
    before: Form | None
    after: Form | None
    lines: list[str] = field(factory=list)


def diff(
    old: Provisioning,
    new: Provisioning,
    prune: bool = False,
    *,
    verify: Callable[[str, str], bool],
) -> list[Change]:
    """The changes that turn ``old`` into ``new``, none if there is nothing to do.

    What only ``old`` has is deleted with ``prune``, else kept; so are operators where ``new`` has
    none. ``verify(password_hash, password)``
    tells whether a password is the one already known: then its hash is kept, and it is no change.
    """
    changes: list[Change] = []
    for kind in _ADDING:
        before_all = old.of(kind)
        for name, after in new.of(kind).items():
            before = before_all.get(name)
            if isinstance(after, Account) and isinstance(before, Account):
                after = _with_known_hashes(before, after, verify)
            if before is None:
                changes.append(Change(kind, name, None, after, [f"+ {kind} {name}"]))
            elif before != after:
                changes.append(
                    Change(kind, name, before, after, _changed(kind, name, before, after))
                )
    if prune:
        for kind in _REMOVING:
            if kind == "operator" and not new.operators:
                continue  # a file of customers and carriers must not open the admin API to all
            for name, before in old.of(kind).items():
                if name not in new.of(kind):
                    changes.append(Change(kind, name, before, None, [f"- {kind} {name}"]))
    return changes


def _with_known_hashes(
    before: Account, after: Account, verify: Callable[[str, str], bool]
) -> Account:
    known = {(one.kind, one.username): one.password_hash for one in before.credential}

    def settled(login: Credential) -> Credential:
        kept = known.get((login.kind, login.username))
        if login.password and kept and verify(kept, login.password):
            return attrs.evolve(login, password="", password_hash=kept)
        return login

    return attrs.evolve(after, credential=[settled(one) for one in after.credential])


def _changed(kind: str, name: str, before: Form, after: Form) -> list[str]:
    return told(kind, name, attrs.asdict(before), attrs.asdict(after))


def told(
    kind: str, name: str, before: dict[str, Any] | None, after: dict[str, Any] | None
) -> list[str]:
    """The lines that tell people of a change, of forms as dictionaries; None: there was none."""
    if before is None or after is None:
        return [f"{'+' if before is None else '-'} {kind} {name}"]
    lines: list[str] = []
    _compare(_by_keys(before), _by_keys(after), f"~ {kind} {name}:", "", lines)
    return lines


def _by_keys(plain: dict[str, Any]) -> dict[str, Any]:
    """Lists of credentials and numbers by what identifies their items."""
    for login in plain.get("credential", ()):
        login["password"] = login.pop("password_hash", "") or login.get("password", "")
    if "credential" in plain:
        plain["credential"] = {
            f"{one['kind']} {one['username']}": one for one in plain["credential"]
        }
    if "number" in plain:
        plain["number"] = {
            f"{one['address']} {one['keyword']}".rstrip(): one for one in plain["number"]
        }
    return plain


def _compare(
    before: dict[str, Any], after: dict[str, Any], head: str, within: str, lines: list[str]
) -> None:
    for key in [*before, *(key for key in after if key not in before)]:
        was, now = before.get(key), after.get(key)
        label = f"{within}{key}"
        if was == now:
            continue
        if key in SECRET:
            lines.append(f"{head} {label} (changed)")
        elif isinstance(was, dict) and isinstance(now, dict):
            _compare(was, now, head, f"{label} ", lines)
        elif isinstance(was, list) and isinstance(now, list):
            lines.append(_line(f"{head} {label}", _listed(was), _listed(now)))
        elif within and was is None:
            lines.append(f"{head} + {label}{_value(now)}")
        elif within and now is None:
            lines.append(f"{head} - {label}")
        else:
            lines.append(_line(f"{head} {label}", _one(was), _one(now)))


def _line(head: str, was: str, now: str) -> str:
    # They may differ in what is not shown.
    return f"{head} (changed)" if was == now else f"{head}: {was} -> {now}"


def _value(value: Any) -> str:
    return "" if isinstance(value, dict) else f": {_one(value)}"


def _listed(values: list[Any]) -> str:
    return "[" + ", ".join(_one(one) for one in values) + "]"


def _one(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, float):
        return f"{value:g}"
    return shown(masked(value) if isinstance(value, str) else value)
