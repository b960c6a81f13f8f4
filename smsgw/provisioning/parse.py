"""Reads a provisioning file.

All faults are collected, each with file, line, key and what would be right.
"""

from collections.abc import Sequence
from typing import Any

from attrs import define, field

from smsgw.codes import CODES, error_fault, error_key
from smsgw.dialects import DIALECTS, account_keys
from smsgw.provisioning import actions, mail, outbind, parents, prices, reach, targets
from smsgw.provisioning.accounts import Account
from smsgw.provisioning.forms import KINDS, Provisioning
from smsgw.provisioning.operators import Operator
from smsgw.provisioning.routing import (
    CONNECTED_ONLY,
    MM4_ONLY,
    SIMULATOR_ONLY,
    SMPP_ONLY,
    Carrier,
    Filter,
    Network,
    PriceList,
    Route,
)
from smsgw.provisioning.values import SMPP_PASSWORD, SMPP_SYSTEM_ID
from smsgw.toml import Reader, Wrong, forms, shown, tables_of
from smsgw.toml.lines import Path

# Message parts a second of an account that binds by the link profile, if it sets none (L-R10).
_LINK_RATE = 5.0


class ProvisioningError(Exception):
    """Provisioning that cannot be applied.

    ``lines`` has one line for each fault, ``faults`` the paths and what is wrong there.
    """

    def __init__(self, lines: list[str], faults: Sequence[tuple[Path, str]] = ()) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines
        self.faults = faults


@define
class _File:
    account: list[Account] = field(factory=list, metadata=forms(Account))
    carrier: list[Carrier] = field(factory=list, metadata=forms(Carrier))
    route: list[Route] = field(factory=list, metadata=forms(Route))
    network: list[Network] = field(factory=list, metadata=forms(Network))
    price_list: list[PriceList] = field(factory=list, metadata=forms(PriceList))
    filter: list[Filter] = field(factory=list, metadata=forms(Filter))
    operator: list[Operator] = field(factory=list, metadata=forms(Operator))


def parse(text: str, file: str, known: Provisioning | None = None) -> Provisioning:
    """What ``text`` provisions; ``file`` is the name that faults show.

    ``known`` is what the store has and keeps (nothing when the rest is to be pruned): routes may
    name its carriers, and its logins and numbers are taken. Raises ProvisioningError with all
    faults.
    """
    return _parsed(Reader(text, file), known or Provisioning())


def parse_tables(tables: dict[str, Any], known: Provisioning) -> Provisioning:
    """The same of tables as TOML would give them: kind -> list of tables."""
    return _parsed(Reader.of(tables), known)


def _parsed(reader: Reader, known: Provisioning) -> Provisioning:
    reader.build(_File, reader.table)
    _Checks(reader, known).all()
    if reader.faults:
        raise ProvisioningError(reader.lines, reader.faults)
    result = Provisioning()
    read = reader.build(_File, reader.table) or _File()
    for kind in KINDS:
        result.of(kind).update({one.name: one for one in getattr(read, kind)})
    for _, table in tables_of(reader.table, "account"):
        account = result.accounts[table["name"]]
        if "rate" not in table and any(one.profile == "link" for one in account.credential):
            account.rate = _LINK_RATE
    return result


class _Checks:
    """What one value alone does not tell: duplicates, references, keys that exclude each other.

    It looks at the raw tables, so that these faults are told together with those of single values.
    """

    def __init__(self, reader: Reader, known: Provisioning) -> None:
        self._reader = reader
        self._known = known
        self._table = reader.table

    def all(self) -> None:
        for kind in KINDS:
            self._names(kind)
        self._logins_and_numbers()
        prices.check(self._reader, self._known)
        parents.check(self._reader, self._known)
        reach.check(self._reader, self._known.reach)
        actions.check(self._reader)
        for n, account in tables_of(self._table, "account"):
            self._settings(account, ("account", n, "settings"))
            pools: dict[Any, str] = {}
            for m, pool in tables_of(account, "pool"):
                name, path = pool.get("name"), ("account", n, "pool", m, "name")
                if isinstance(name, str):
                    self._taken(pools, name, path, shown(name))
        for n, carrier in tables_of(self._table, "carrier"):
            self._carrier(carrier, ("carrier", n))
        for n, route in tables_of(self._table, "route"):
            self._route(route, ("route", n))
        for n, filter in tables_of(self._table, "filter"):
            self._accounts_named(filter, ("filter", n))

    def _taken(self, seen: dict[Any, str], key: Any, path: Path, what: str) -> None:
        if key in seen:
            self._reader.fault(path, f"{what} is taken at {seen[key]}; it must be unique")
        else:
            seen[key] = self._reader.where(path)

    def _names(self, kind: str) -> None:
        seen: dict[Any, str] = {}
        for n, table in tables_of(self._table, kind):
            name = table.get("name")
            if isinstance(name, str):
                self._taken(seen, name, (kind, n, "name"), shown(name))

    def _logins_and_numbers(self) -> None:
        here = [table.get("name") for _, table in tables_of(self._table, "account")]
        logins: dict[Any, str] = {}
        numbers: dict[Any, str] = {}
        access: dict[Any, str] = {}
        for account in self._known.accounts.values():
            if account.name not in here:
                where = f'account "{account.name}" in the store'
                logins.update({(one.kind, one.username): where for one in account.credential})
                access.update({one.access_key: where for one in account.credential})
                numbers.update({(one.address, one.keyword): where for one in account.number})
        for n, table in tables_of(self._table, "account"):
            mail.check_targets(self._reader, table, ("account", n))
            for m, login in tables_of(table, "credential"):
                path: Path = ("account", n, "credential", m)
                self._credential(login, path)
                access_key = login.get("access_key")
                if isinstance(access_key, str):
                    self._taken(access, access_key, (*path, "access_key"), "this key")
                kind, username = login.get("kind"), login.get("username")
                if isinstance(kind, str) and isinstance(username, str):
                    what = f"{shown(username)} of kind {kind}"
                    self._taken(logins, (kind, username), (*path, "username"), what)
            for m, one in tables_of(table, "number"):
                address, keyword = one.get("address"), one.get("keyword", "")
                if isinstance(address, str) and isinstance(keyword, str):
                    path = ("account", n, "number", m, "address")
                    what = f"{shown(address)} with keyword {shown(keyword)}" if keyword else ""
                    key = (address, keyword.upper())
                    self._taken(numbers, key, path, what or shown(address))
                self._targets(one, ("account", n, "number", m))

    def _targets(self, table: dict[str, Any], path: Path) -> None:
        given, method, detail = table.get("targets"), table.get("method"), table.get("detail", "")
        if isinstance(given, str):  # separated by blanks (A-D1)
            given = given.split()
        if isinstance(given, list) and len(given) > targets.MOST:
            self._reader.fault(
                (*path, "targets"), f"has {len(given)} targets; {targets.MOST} at most are allowed"
            )
        if detail and not method:
            self._reader.fault((*path, "detail"), "given without method; add method = ...")
        if isinstance(method, str) and isinstance(detail, str):
            try:
                targets.check_detail(method, detail)
            except Wrong as wrong:
                self._reader.fault((*path, "detail") if detail else (*path, "method"), str(wrong))

    def _credential(self, table: dict[str, Any], path: Path) -> None:
        given = [key for key in ("password", "password_hash") if key in table]
        if not given:
            self._reader.fault(path, "password is missing; add password or password_hash")
        if len(given) == 2:
            self._reader.fault(
                (*path, "password_hash"), "given beside password; only one of the two is right"
            )
        if "access_key" in table and table.get("kind") != "http":
            self._reader.fault(
                (*path, "access_key"), "only a login of kind http has one; leave it out"
            )
        if "certificate" in table and table.get("kind") == "http":
            self._reader.fault(
                (*path, "certificate"), "only a login of kind smpp or smtp has one; leave it out"
            )
        mail.check_login(self._reader, table, path)
        outbind.check_login(self._reader, table, path)
        username, password = table.get("username"), table.get("password")
        if table.get("kind") == "http" and isinstance(username, str) and ":" in username:
            self._reader.fault(
                (*path, "username"), "has a colon; HTTP Basic allows none in a username"
            )
        if table.get("kind") != "smpp":
            return
        if isinstance(username, str) and len(username) > SMPP_SYSTEM_ID:
            self._reader.fault(
                (*path, "username"),
                f"has {len(username)} characters; an SMPP system_id has {SMPP_SYSTEM_ID} at most",
            )
        if isinstance(password, str) and len(password) > SMPP_PASSWORD:
            self._reader.fault(
                (*path, "password"),
                f"has {len(password)} characters; an SMPP password has {SMPP_PASSWORD} at most",
            )
        self._ascii(password, path)

    def _ascii(self, password: object, path: Path) -> None:
        if isinstance(password, str) and not password.isascii():
            self._reader.fault(
                (*path, "password"), "has characters beyond ASCII; an SMPP password is ASCII"
            )

    def _settings(self, account: dict[str, Any], path: Path) -> None:
        settings = account.get("settings")
        if not isinstance(settings, dict):
            return
        for dialect, table in settings.items():
            here = (*path, dialect)
            if dialect not in DIALECTS:
                self._reader.unknown(here, list(DIALECTS))
            elif not isinstance(table, dict):
                self._reader.fault(here, f"{shown(table)} is not allowed; it must be a table")
            else:
                self._dialect(account_keys(dialect), table, here)

    def _dialect(self, keys: dict[str, Any], table: dict[str, Any], path: Path) -> None:
        for key, value in table.items():
            if key not in keys:
                self._reader.unknown((*path, key), list(keys))
                continue
            try:
                keys[key]["check"](value)
            except Wrong as wrong:
                self._reader.fault((*path, key), str(wrong))

    def _carrier(self, table: dict[str, Any], path: Path) -> None:
        kind = table.get("kind", "smpp")
        if kind == "smpp":
            for key in ("host", "system_id", "password"):
                if key not in table and not (key == "host" and outbind.only_called(table)):
                    self._reader.fault(path, f"{key} is missing; a carrier of kind smpp needs it")
            self._ascii(table.get("password"), path)
            mail.check_smpp_carrier(self._reader, table, path)
            outbind.check_carrier(self._reader, table, path)
        elif kind == "mm4":
            mail.check_carrier(self._reader, table, path)
        foreign = {
            "smpp": (*SIMULATOR_ONLY, *MM4_ONLY),
            "mm4": (*SIMULATOR_ONLY, *SMPP_ONLY),
            "simulator": (*CONNECTED_ONLY, *SMPP_ONLY, *MM4_ONLY),
        }.get(str(kind), ())
        for key in foreign:
            if key in table:
                self._reader.fault(
                    (*path, key), f"a carrier of kind {kind} has no such key; leave it out"
                )

        errors = table.get("errors")
        if isinstance(errors, dict):
            self._errors(errors, (*path, "errors"))

    def _errors(self, table: dict[str, Any], path: Path) -> None:
        seen: dict[Any, str] = {}
        for text, code in table.items():
            here = (*path, text)
            fault = error_fault(text)
            if fault:
                self._reader.fault(here, fault)
            else:
                self._taken(seen, error_key(text), here, shown(text))
            if isinstance(code, bool) or not isinstance(code, int) or code not in CODES:
                self._reader.fault(
                    here,
                    f"{shown(code)} is no response code; it must be one of the codes in "
                    "docs/operate/provisioning.md, such as 206",
                )

    def _route(self, table: dict[str, Any], path: Path) -> None:
        self._accounts_named(table, path)
        if "time_zone" in table and "hours" not in table:
            self._reader.fault((*path, "time_zone"), "given without hours; add hours = ...")
        if table.get("sim") is True:
            self._sim_prefixes(table, path)
        carriers = table.get("carriers")
        if not isinstance(carriers, list):
            return
        for key in ("queue_time_s", "failover_undelivered"):
            if table.get(key) and len(carriers) == 1:
                self._reader.fault(
                    (*path, key), "given with one carrier; add the next one to carriers"
                )
        here = [one.get("name") for _, one in tables_of(self._table, "carrier")]
        names = [one for one in here if isinstance(one, str)] + list(self._known.carriers)
        for n, name in enumerate(carriers):
            if name in carriers[:n]:
                self._reader.fault(
                    (*path, "carriers", n),
                    f"{shown(name)} is named twice; each carrier may be tried once",
                )
            if isinstance(name, str) and name and name not in names:
                known = (
                    f"known are {', '.join(sorted(set(names)))}" if names else "there is none yet"
                )
                self._reader.fault(
                    (*path, "carriers", n), f"no carrier {shown(name)}; add [[carrier]], {known}"
                )

    def _sim_prefixes(self, table: dict[str, Any], path: Path) -> None:
        prefixes = table.get("prefixes")
        for n, one in enumerate(prefixes if isinstance(prefixes, list) else []):
            if isinstance(one, str) and one[:2] != "89"[: len(one)]:
                self._reader.fault(
                    (*path, "prefixes", n),
                    f'{shown(one)} begins no ICCID; it must begin with 89, or be "" for all SIMs',
                )

    def _accounts_named(self, table: dict[str, Any], path: Path) -> None:
        accounts = table.get("accounts")
        if not isinstance(accounts, list):
            return
        here = [one.get("name") for _, one in tables_of(self._table, "account")]
        for n, name in enumerate(accounts):
            if isinstance(name, str) and name not in here and name not in self._known.accounts:
                self._reader.fault(
                    (*path, "accounts", n), f"no account {shown(name)}; add [[account]]"
                )
