"""The audit as operators read it: who did what, and what that changed."""

import re

import msgspec
from sqlalchemy import Connection

from smsgw.operate.operator import AuditView
from smsgw.provisioning.diff import told
from smsgw.store import audit


def key_of(text: str) -> tuple[int, int, int, int] | None:
    """What the ``key`` of a view means; None if it is none."""
    if not re.fullmatch(r"[0-9]{1,18}(-[0-9]{1,19}){3}", text):
        return None
    at, version, id, number = (min(int(one), (1 << 63) - 1) for one in text.split("-"))
    return at, version, id, number


def read(
    connection: Connection, since: int, kind: str, name: str, after: str = ""
) -> list[AuditView]:
    """A page of the audit, see ``store.audit.read``; ``after`` is a view's ``key``."""
    return [_view(row) for row in audit.read(connection, since, kind, name, key_of(after))]


def _view(row: audit.Row) -> AuditView:
    if row.version:
        before, after = (
            None if one is None else msgspec.json.decode(one) for one in (row.before, row.after)
        )
        lines = told(row.kind, row.name, before, after)
    else:
        lines = [row.detail] if row.detail else []
    key = "-".join(str(one) for one in row[:4])
    return AuditView(row.at, row.who, row.kind, row.name, row.version, lines, key)
