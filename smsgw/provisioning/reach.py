"""Where customers may have the gateway connect to, as their settings are saved (design section 10).

The configuration says it. What a name means is looked at only when it is connected to.
"""

from typing import Any

from attrs import frozen

from smsgw.addresses import host_fault, url_fault
from smsgw.dialects import Aaisp, Aerialink, Aql
from smsgw.provisioning.targets import parse_target
from smsgw.toml import Reader, Wrong, shown, tables_of
from smsgw.toml.lines import Path


@frozen
class Reach:
    """``private``: the dialects whose callbacks may go to addresses that are not public; ``toots``:
    there is an account to post with."""

    private: frozenset[str]
    toots: bool

    @classmethod
    def of(
        cls, aaisp: Aaisp, aql: Aql, aerialink: Aerialink, outbind_private: bool = False
    ) -> "Reach":
        """What the settings of the dialects and of ``[smpp]`` say."""
        dialects: dict[str, Aaisp | Aql | Aerialink]
        dialects = {"aaisp": aaisp, "aql": aql, "aerialink": aerialink}
        private = {name for name, one in dialects.items() if one.allow_private_callbacks}
        return cls(frozenset(private | ({"smpp"} if outbind_private else set())), aaisp.toots)

    def url_fault(self, dialect: str, url: str) -> str:
        """Why ``url`` may not be called, and what would be right; "" if it may."""
        fault = "" if dialect in self.private else url_fault(url)
        if not fault:
            return ""
        return (
            f"{shown(url)} {fault}; it must be a public address, unless the configuration has "
            f"allow_private_callbacks in [{dialect}]"
        )

    def target_fault(self, text: str) -> str:
        """The same of a target as it is written; what is none is a fault found elsewhere."""
        try:
            target = parse_target(text)
        except Wrong:
            return ""
        if target.kind == "http":
            return self.url_fault("aaisp", target.address)
        if target.kind == "toot" and not self.toots:
            return (
                f"{shown(text)} cannot be posted to; the configuration needs fediverse_base_url "
                "and fediverse_token in [aaisp]"
            )
        return ""


EVERYWHERE = Reach(frozenset({"aaisp", "aql", "aerialink", "smpp"}), toots=True)


def check(reader: Reader, reach: Reach) -> None:
    """Keeps the faults of the targets and callbacks of accounts."""
    for n, account in tables_of(reader.table, "account"):
        _said(reader, ("account", n, "callback"), account.get("callback"), reach, "aerialink")
        for m, login in tables_of(account, "credential"):
            _called(reader, ("account", n, "credential", m, "outbind"), login.get("outbind"), reach)
        for m, route in tables_of(account, "route"):
            for k, action in tables_of(route, "actions"):
                path: Path = ("account", n, "route", m, "actions", k, "url")
                _said(reader, path, action.get("url"), reach, "aerialink")
        for m, number in tables_of(account, "number"):
            path = ("account", n, "number", m)
            targets = number.get("targets")
            for k, text in enumerate(targets if isinstance(targets, list) else []):
                fault = reach.target_fault(text) if isinstance(text, str) else ""
                if fault:
                    reader.fault((*path, "targets", k), fault)
            detail = number.get("detail")
            if number.get("method") in ("httpget", "httppost") and isinstance(detail, str):
                for url in detail.split(","):
                    _said(reader, (*path, "detail"), url, reach, "aql")


def _called(reader: Reader, path: Path, called_at: Any, reach: Reach) -> None:
    """A client that is to be called by outbind."""
    if not isinstance(called_at, str) or "smpp" in reach.private:
        return
    fault = host_fault(called_at.rpartition(":")[0])
    if fault:
        reader.fault(
            path,
            f"{shown(called_at)} {fault}; it must be a public address, unless the configuration "
            "has outbind_private in [smpp]",
        )


def _said(reader: Reader, path: Path, url: Any, reach: Reach, dialect: str) -> None:
    fault = reach.url_fault(dialect, url) if isinstance(url, str) else ""
    if fault:
        reader.fault(path, fault)
