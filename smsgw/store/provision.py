"""Provisioning in the store.

Documents with their secrets hashed or encrypted, versioned and audited.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs
import msgspec
from sqlalchemy import Connection, delete, func, insert, select

from smsgw.identities import Identities
from smsgw.provisioning import documents, uses
from smsgw.provisioning.accounts import Account
from smsgw.provisioning.actions import Action
from smsgw.provisioning.diff import SECRET, Change, diff
from smsgw.provisioning.forms import KINDS, Form, Provisioning
from smsgw.provisioning.parse import parse
from smsgw.provisioning.routing import Carrier
from smsgw.store import audit, ledger, news, records, schema
from smsgw.store.secrets import KEY_FILE, SecretsUnusable, Vault, hash_password, verify

T = TypeVar("T")


class VersionMoved(Exception):
    """Somebody else has changed the provisioning since the changes were worked out."""


class Absent(Exception):
    """There is no form of this kind and name."""


def version(connection: Connection) -> int:
    """The version of the whole: 0 while nothing was ever provisioned."""
    return connection.execute(select(func.max(schema.audit.c.version))).scalar() or 0


def load(connection: Connection) -> Provisioning:
    """All that is provisioned, with carrier passwords decrypted and logins as hashes.

    Raises SecretsUnusable.
    """
    vault = Vault(key_path(connection))
    result = Provisioning(version=version(connection))
    rows = connection.execute(select(schema.provision).order_by(schema.provision.c.name))
    for row in rows:
        form: Any = msgspec.json.decode(row.document, type=KINDS[row.kind])
        form = _with_secrets(form, vault.decrypt)
        result.of(row.kind)[row.name] = form
        result.versions[row.kind, row.name] = row.version
    return result


def plan(connection: Connection, new: Provisioning, prune: bool = False) -> list[Change]:
    """What ``apply`` would have to change to have ``new``."""
    return changes_to(load(connection), new, prune)


def changes_to(old: Provisioning, new: Provisioning, prune: bool = False) -> list[Change]:
    """The changes from ``old`` to ``new``.

    Each plain password of a known login costs one argon2 check.
    """
    return diff(old, new, prune, verify=verify)


def prepare(old: Provisioning, text: str, file: str, prune: bool = False) -> list[Change]:
    """The changes from ``old`` to what the TOML ``text`` says, ready for ``apply``.

    Raises ProvisioningError.
    It touches no store and takes about 25 ms for each plain password, so it belongs in a thread of
    its own.
    """
    known = Provisioning(reach=old.reach) if prune else old
    return _ready(old, changes_to(old, parse(text, file, known), prune))


def prepare_document(
    old: Provisioning,
    kind: str,
    name: str,
    given: dict[str, Any] | None,
    merge: bool = False,
    expected: int | None = None,
) -> list[Change]:
    """The same for one form, which is to be as the document ``given`` says, or to go (None).

    ``merge`` changes only the keys that are given. Raises Absent if the form is not there to be
    merged or to go, VersionMoved if it is not at the version ``expected``, and what ``prepare``
    raises.
    """
    known = old.of(kind).get(name)
    if expected is not None and old.versions.get((kind, name), 0) != expected:
        raise VersionMoved
    if known is None and (merge or given is None):
        raise Absent
    if given is None:
        changes = [Change(kind, name, known, None, [f"- {kind} {name}"])]
    else:
        if merge and known is not None:
            given = documents.merged(documents.document(known), given)
        changes = changes_to(old, documents.provisioned(kind, name, given, old))
    return _ready(old, changes)


def prepare_relay(
    old: Provisioning, account: str, address: str, method: str, detail: str
) -> list[Change]:
    """The change that a customer makes of where the messages of its number go
    (``spec/aql.md`` 2.2), checked like a file.

    Raises Absent if the account has no such number, and what ``prepare`` raises.
    """
    known = old.accounts.get(account)
    number = known.relayed(address) if known is not None else None
    if known is None or number is None:
        raise Absent
    document = documents.document(known)
    place = document["number"][known.number.index(number)]
    place["method"] = method
    place["detail"] = detail or None
    return _ready(old, changes_to(old, documents.provisioned("account", account, document, old)))


def _ready(old: Provisioning, changes: list[Change]) -> list[Change]:
    uses.check(old, changes)
    return hashed(changes)


def hashed(changes: Sequence[Change]) -> list[Change]:
    """``changes`` with plain passwords of logins hashed.

    What takes long, so that it need not run in the journal.
    """
    result = []
    for change in changes:
        after = change.after
        if isinstance(after, Account):
            logins = [
                attrs.evolve(one, password="", password_hash=hash_password(one.password))
                if one.password
                else one
                for one in after.credential
            ]
            change = attrs.evolve(change, after=attrs.evolve(after, credential=logins))
        result.append(change)
    return result


def apply(
    connection: Connection,
    changes: Sequence[Change],
    who: str,
    at: int,
    expected: int | None = None,
    allot: Callable[[], int] | None = None,
    action: schema.ActionRow | None = None,
) -> int:
    """Write ``changes`` and their audit in the caller's transaction; the version after that.

    Opens the balances of accounts that are prepaid for the first time. ``allot`` gives an id for
    each of the changes; without it they follow the highest one in the store. ``action`` is entered
    in the audit besides.

    Without changes nothing is written, and the version stays.
    ``at`` is milliseconds since 1970. Raises VersionMoved if the store's version is not
    ``expected``, SecretsUnusable.
    """
    now = version(connection)
    if expected is not None and expected != now:
        raise VersionMoved
    if not changes:
        return now
    new = now + 1
    if action is not None:
        audit.enter(connection, action)
    vault = Vault(key_path(connection))
    if allot is None:
        identities = Identities()
        identities.allotted_at_least(records.highest_id(connection))
        allot = identities.allot
    for number, change in enumerate(hashed(changes)):
        where = (schema.provision.c.kind == change.kind) & (schema.provision.c.name == change.name)
        connection.execute(delete(schema.provision).where(where))
        if change.after is not None:
            document = _document(change.after, vault)
            connection.execute(
                insert(schema.provision).values(
                    kind=change.kind, name=change.name, document=document, version=new
                )
            )
        if isinstance(change.after, Account):
            ledger.provisioned(connection, change.after, at, allot)
        connection.execute(
            insert(schema.audit).values(
                version=new,
                number=number,
                at=at,
                who=who,
                kind=change.kind,
                name=change.name,
                before=_audited(change.before, None),
                after=_audited(change.after, change.before),
            )
        )
    news.tell(connection, [news.PROVISIONED])
    return new


def reply_key(connection: Connection) -> bytes:
    """The key of addresses that replies to mailed messages go to. Raises SecretsUnusable."""
    return Vault(key_path(connection)).derived("replies to mailed messages")


def key_path(connection: Connection) -> Path:
    """The key file beside the store that ``connection`` is of.

    Raises SecretsUnusable for a store without a file.
    """
    folder: Path | None = connection.get_execution_options().get("folder")
    if folder is not None:
        return folder / KEY_FILE
    database = connection.engine.url.database
    if not database or database == ":memory:":
        raise SecretsUnusable("store.url: a store without a file has no place for its key")
    return Path(database).with_name(KEY_FILE)


def _document(form: Form, vault: Vault) -> str:
    form = _with_secrets(form, vault.encrypt)
    return msgspec.json.encode(attrs.asdict(form)).decode()


def _with_secrets(form: Any, change: Callable[[str], str]) -> Any:
    """``form`` with the secrets changed that must be known to be used: passwords at carriers, keys
    of signatures."""
    if isinstance(form, Carrier):
        return _changed(form, ("password", "outbind_password"), change)
    if isinstance(form, Account):
        numbers = [
            attrs.evolve(one, secret=change(one.secret)) if one.secret else one
            for one in form.number
        ]
        logins = [
            _changed(one, ("access_key", "outbind_password"), change) for one in form.credential
        ]
        secret = change(form.callback_secret) if form.callback_secret else ""
        routes = [
            attrs.evolve(one, actions=[_with_keys(action, change) for action in one.actions])
            for one in form.route
        ]
        return attrs.evolve(
            form, number=numbers, credential=logins, callback_secret=secret, route=routes
        )
    return form


def _with_keys(action: Action, change: Callable[[str], str]) -> Action:
    return _changed(action, ("password", "hmac_secret"), change)


def _changed(form: T, names: Sequence[str], change: Callable[[str], str]) -> T:
    """``form`` with those of these secrets changed that are set."""
    kept = {name: getattr(form, name) for name in names}
    changed = {name: change(value) for name, value in kept.items() if value}
    return attrs.evolve(form, **changed) if changed else form  # type: ignore[misc]  # all are attrs


def _audited(form: Form | None, before: Form | None) -> str | None:
    """``form`` for the audit, which tells that a secret was changed but keeps none."""
    if form is None:
        return None
    plain = attrs.asdict(form)
    known = attrs.asdict(before) if before is not None else {}
    _blank(plain, known)
    logins = {(one["kind"], one["username"]): one for one in known.get("credential", ())}
    for one in plain.get("credential", ()):
        _blank(one, logins.get((one["kind"], one["username"]), {}))
    numbers = {(one["address"], one["keyword"]): one for one in known.get("number", ())}
    for one in plain.get("number", ()):
        _blank(one, numbers.get((one["address"], one["keyword"]), {}))
    actions = {
        (route["sequence"], one["type"], one["url"]): one
        for route in known.get("route", ())
        for one in route["actions"]
    }
    for route in plain.get("route", ()):
        for one in route["actions"]:
            _blank(one, actions.get((route["sequence"], one["type"], one["url"]), {}))
    return msgspec.json.encode(plain).decode()


def _blank(plain: dict[str, Any], known: dict[str, Any]) -> None:
    for key in SECRET:
        value = plain.pop(key, "")
        if value:
            changed = key in known and known[key] != value
            name = "password" if key == "password_hash" else key
            plain[name] = "(changed)" if changed else "(set)"
