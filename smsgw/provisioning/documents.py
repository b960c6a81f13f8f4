"""Forms as JSON documents: the keys of the TOML forms, and secrets that only go in."""

from typing import Any

import attrs

from smsgw.provisioning.diff import SECRET
from smsgw.provisioning.forms import Form, Provisioning
from smsgw.provisioning.parse import ProvisioningError, parse_tables
from smsgw.toml import spelled
from smsgw.toml.lines import Path

# What stands for a secret that is set. Sent back, it keeps the secret as it is.
SET = "(set)"
# By what an item of a list is known again: where its secret is kept.
_KEYS = {
    "credential": ("kind", "username"),
    "number": ("address", "keyword"),
    "route": ("sequence",),
    "actions": ("type", "url"),
}


def document(form: Form) -> dict[str, Any]:
    """``form`` as a document: what is not at its default, with secrets as ``SET``."""
    found: dict[str, Any] = _document(form)
    return found


def _document(value: Any) -> Any:
    if isinstance(value, list):
        return [_document(one) for one in value]
    if not attrs.has(type(value)):
        return value
    found = {}
    for one in attrs.fields(type(value)):
        held = getattr(value, one.name)
        if held == _default(one):
            continue
        if one.name in SECRET:
            name = "password" if one.name == "password_hash" else one.name
            found[name] = SET
        else:
            found[one.name] = _document(held)
    return found


def _default(one: Any) -> Any:
    return one.default.factory() if isinstance(one.default, attrs.Factory) else one.default  # type: ignore[arg-type]


def merged(known: Any, change: Any) -> Any:
    """``known`` with ``change`` merged into it (RFC 7396): null removes a key, a list is replaced
    as a whole."""
    if not isinstance(change, dict):
        return change
    result = dict(known) if isinstance(known, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def provisioned(kind: str, name: str, given: dict[str, Any], known: Provisioning) -> Provisioning:
    """What the document ``given`` provisions under this name, checked like a file.

    Keys that are null are at their default. Raises ProvisioningError, whose faults have paths in
    the document.
    """
    table = {key: value for key, value in given.items() if value is not None}
    faults: list[tuple[Path, str]] = []
    if table.setdefault("name", name) != name:
        faults.append((("name",), f'must be "{name}", as in the path'))
    _keep_secrets(table, known.of(kind).get(name), (), faults)
    try:
        found = parse_tables({kind: [table]}, known)
    except ProvisioningError as error:
        # The first two parts of a path are the kind and the index of the only table.
        faults += [(path[2:], said) for path, said in error.faults]
    if faults:
        raise ProvisioningError([f"{spelled(path)}: {said}" for path, said in faults], faults)
    return found


def _keep_secrets(
    table: dict[str, Any], known: Any, path: Path, faults: list[tuple[Path, str]]
) -> None:
    """Puts known secrets in the place of ``SET``."""
    for name in [key for key, value in table.items() if value == SET and key in SECRET]:
        kept = name
        if name == "password" and hasattr(known, "password_hash"):
            kept = "password_hash"
        held = getattr(known, kept, "")
        del table[name]
        if held:
            table[kept] = held
        else:
            faults.append(((*path, name), f'"{SET}" keeps a secret, and there is none'))
    for name, by in _KEYS.items():
        items = table.get(name)
        if not isinstance(items, list):
            continue
        held = getattr(known, name, ())
        before = {tuple(str(getattr(one, key)) for key in by): one for one in held}
        table[name] = [
            {key: value for key, value in one.items() if value is not None}
            if isinstance(one, dict)
            else one
            for one in items
        ]
        for n, one in enumerate(table[name]):
            if isinstance(one, dict):
                same = tuple(str(one.get(key, "")) for key in by)
                _keep_secrets(one, before.get(same), (*path, name, n), faults)
