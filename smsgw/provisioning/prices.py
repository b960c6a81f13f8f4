"""Checks networks, price lists, and the accounts that name them, in a provisioning file.

They look at the raw tables, so that these faults are told together with those of single values.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from smsgw.provisioning.forms import Provisioning
from smsgw.toml import Reader, shown, tables_of
from smsgw.toml.lines import Path

_Seen = dict[object, str]


def check(reader: Reader, known: Provisioning) -> None:
    """Keeps the faults of what ``reader`` has read; ``known`` is what the store has and keeps."""
    codes = _networks(reader, known)
    for n, table in tables_of(reader.table, "price_list"):
        _prices(reader, table, ("price_list", n), codes)
    names = _names(reader, "price_list", known.price_lists)
    for n, table in tables_of(reader.table, "account"):
        name = table.get("price_list")
        if isinstance(name, str) and name and name not in names:
            there = f"known are {', '.join(sorted(names))}" if names else "there is none yet"
            said = f"no price list {shown(name)}; add [[price_list]], {there}"
            reader.fault(("account", n, "price_list"), said)


def _names(reader: Reader, kind: str, known: Iterable[str]) -> set[str]:
    here = (table.get("name") for _, table in tables_of(reader.table, kind))
    return {*known, *(name for name in here if isinstance(name, str))}


def _networks(reader: Reader, known: Provisioning) -> set[tuple[str, str]]:
    """The codes of all networks, which may not be twice the same, nor have the same prefixes."""
    here = _names(reader, "network", ())
    codes: _Seen = {}
    prefixes: _Seen = {}
    for network in known.networks.values():
        if network.name not in here:
            where = f'network "{network.name}" in the store'
            codes[network.mcc, network.mnc] = where
            prefixes.update(dict.fromkeys(network.prefixes, where))
    for n, table in tables_of(reader.table, "network"):
        path: Path = ("network", n)
        mcc, mnc = table.get("mcc"), table.get("mnc")
        if isinstance(mcc, str) and isinstance(mnc, str):
            _once(reader, codes, (mcc, mnc), (*path, "mnc"), f"the network {mcc}-{mnc}")
        for m, prefix in _texts(table, "prefixes"):
            what = f"the prefix {shown(prefix)}"
            _once(reader, prefixes, prefix, (*path, "prefixes", m), what)
    return {code for code in codes if isinstance(code, tuple)}


def _texts(table: dict[str, Any], key: str) -> Iterator[tuple[int, str]]:
    value = table.get(key)
    for n, one in enumerate(value if isinstance(value, list) else ()):
        if isinstance(one, str):
            yield n, one


def _once(reader: Reader, seen: _Seen, key: object, path: Path, what: str) -> None:
    if key in seen:
        reader.fault(path, f"{what} is taken at {seen[key]}; it must be unique")
    else:
        seen[key] = reader.where(path)


def _prices(reader: Reader, table: dict[str, Any], path: Path, codes: set[tuple[str, str]]) -> None:
    seen: _Seen = {}
    countries = {mcc for mcc, _ in codes}
    for n, price in tables_of(table, "price"):
        here = (*path, "price", n)
        prefix, mcc, mnc = price.get("prefix"), price.get("mcc"), price.get("mnc")
        if ("prefix" in price) == ("mcc" in price):
            what = "both prefix and mcc are given" if "mcc" in price else "prefix is missing"
            reader.fault(here, f"{what}; a price is either for a prefix or for a mcc")
        elif "mnc" in price and "mcc" not in price:
            reader.fault((*here, "mnc"), "given without mcc; add mcc = ...")
        elif isinstance(prefix, str):
            _once(reader, seen, prefix, (*here, "prefix"), f"the price of prefix {shown(prefix)}")
        elif isinstance(mcc, str) and mnc is None:
            _once(reader, seen, mcc, (*here, "mcc"), f"the price of mcc {shown(mcc)}")
            if mcc not in countries:
                reader.fault((*here, "mcc"), f"no network of mcc {shown(mcc)}; add [[network]]")
        elif isinstance(mcc, str) and isinstance(mnc, str):
            what = f"the price of network {mcc}-{mnc}"
            _once(reader, seen, (mcc, mnc), (*here, "mnc"), what)
            if (mcc, mnc) not in codes:
                here_are = sorted(f"{one}-{other}" for one, other in codes if one == mcc)
                there = f"known of it are {', '.join(here_are)}" if here_are else "of it is none"
                said = f"no network {mcc}-{mnc}; add [[network]], {there}"
                reader.fault((*here, "mnc"), said)
