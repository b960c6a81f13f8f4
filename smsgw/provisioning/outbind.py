"""What the keys of outbind need: of a client that is called, and of a carrier that calls."""

import re
from typing import Any

from smsgw.toml import Reader, Wrong, shown
from smsgw.toml.lines import Path

_ADDRESS = re.compile(
    r"([A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]):(?P<port>\d{1,5})", re.ASCII
)


def address(value: Any) -> str:
    """Host and port that a client is called at, as one text."""
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or not 0 < int(found["port"]) <= 65_535:
        raise Wrong(
            f"{shown(value)} is not allowed; it must be host and port, such as "
            '"esme.example.com:2775"'
        )
    return str(value)


def split(called_at: str) -> tuple[str, int]:
    """Host and port of what ``address`` has checked."""
    host, _, port = called_at.rpartition(":")
    return host.strip("[]"), int(port)


def check_login(reader: Reader, table: dict[str, Any], path: Path) -> None:
    """Keeps the faults of a login that is called."""
    for key in ("outbind", "outbind_system_id", "outbind_password"):
        if key not in table:
            continue
        if table.get("kind") != "smpp":
            reader.fault((*path, key), "only a login of kind smpp has one; leave it out")
        elif table.get("profile") == "link":
            reader.fault((*path, key), "the link profile has no outbind; leave it out")
        elif "outbind" not in table:
            reader.fault((*path, key), "given without outbind; add outbind = ...")
    _ascii(reader, table, path)


def check_carrier(reader: Reader, table: dict[str, Any], path: Path) -> None:
    """Keeps the faults of a carrier of kind smpp."""
    calls = table.get("outbind") is True
    for key in ("outbind_system_id", "outbind_password", "outbind_allow"):
        if calls and not table.get(key):
            reader.fault(path, f"{key} is missing; a carrier with outbind needs it")
        elif key in table and not calls:
            reader.fault((*path, key), "given without outbind; add outbind = true")
    if calls and table.get("version") == "3.3":
        reader.fault((*path, "outbind"), "SMPP 3.3 has no outbind; leave it out")
    _ascii(reader, table, path)


def only_called(table: dict[str, Any]) -> bool:
    """True if a carrier is never connected to: it calls for all that it is bound for."""
    return table.get("outbind") is True and table.get("bind") != "transmitter+receiver"


def _ascii(reader: Reader, table: dict[str, Any], path: Path) -> None:
    password = table.get("outbind_password")
    if isinstance(password, str) and not password.isascii():
        reader.fault(
            (*path, "outbind_password"), "has characters beyond ASCII; an SMPP password is ASCII"
        )
