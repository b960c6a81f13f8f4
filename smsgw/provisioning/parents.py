"""Checks the tree of accounts in a provisioning file: who is part of whom (F-17 of
``spec/aerialink.md``).

It looks at the raw tables, so that these faults are told together with those of single values.
"""

from collections.abc import Mapping

from smsgw.provisioning.forms import Provisioning
from smsgw.toml import Reader, shown, tables_of
from smsgw.toml.lines import Path

LEVELS = 3  # parent, sub-account, grandchild


def check(reader: Reader, known: Provisioning) -> None:
    """Keeps the faults of what ``reader`` has read; ``known`` is what the store has and keeps."""
    parents = {name: account.parent for name, account in known.accounts.items()}
    currencies = {name: account.currency for name, account in known.accounts.items()}
    here: dict[str, int] = {}
    for n, table in tables_of(reader.table, "account"):
        name, parent, currency = table.get("name"), table.get("parent"), table.get("currency")
        if isinstance(name, str):
            here[name] = n
            parents[name] = parent if isinstance(parent, str) else ""
            currencies[name] = currency if isinstance(currency, str) else ""
    for name, n in here.items():
        parent, path = parents[name], ("account", n, "parent")
        if not parent:
            continue
        if parent not in parents:
            others = sorted(set(parents) - {name})
            there = f"known are {', '.join(others)}" if others else "there is none yet"
            reader.fault(path, f"no account {shown(parent)}; add [[account]], {there}")
            continue
        above = _above(name, parents)
        if name in above:
            reader.fault(path, f"it is part of itself by {' of '.join(above)}; break the circle")
    _levels(reader, here, parents)
    _currencies(reader, here, parents, currencies)


def _levels(reader: Reader, here: dict[str, int], parents: Mapping[str, str]) -> None:
    told = set()
    for name in parents:
        line = [name, *_above(name, parents)]
        if len(line) <= LEVELS or parents.get(line[-1], "") in line:  # a circle is told already
            continue
        # What is in the store is in order, so one of these in the file makes it too deep.
        changed = next((one for one in line if one in here and parents[one]), None)
        if changed is not None and changed not in told:
            told.add(changed)
            said = f"the tree would have more than {LEVELS} levels; choose an account further up"
            reader.fault(("account", here[changed], "parent"), said)


def _currencies(
    reader: Reader, here: dict[str, int], parents: Mapping[str, str], given: Mapping[str, str]
) -> None:
    """That of an account is that of the nearest one above it that has one."""
    for child in parents:
        line = [child, *_above(child, parents)]
        above = next((one for one in line[1:] if given.get(one)), None)
        if not given.get(child) or above is None or given[child] == given[above]:
            continue
        between = line[: line.index(above) + 1]
        changed = next((one for one in between if one in here), None)
        if changed is None:
            continue
        if changed == above:
            key, wrong, right, whose = above, above, child, f"of {shown(child)}, a part of it"
        else:
            key, wrong, right, whose = changed, child, above, f"of {shown(above)} above it"
        path: Path = ("account", here[key], "currency")
        said = f"{shown(given[wrong])} is not that {whose}; it must be {shown(given[right])}"
        reader.fault(path, said)


def _above(name: str, parents: Mapping[str, str]) -> list[str]:
    """Those above an account, the nearest first, up to one that is met again."""
    found: list[str] = []
    above = parents.get(name, "")
    while above and above not in found:
        found.append(above)
        above = parents.get(above, "")
    return found
