"""The admin API's endpoint of the audit."""

import msgspec

from smsgw.http.admin.endpoints import Call, Endpoint, Refused
from smsgw.operate.audit import key_of
from smsgw.operate.operator import AuditView


class Asked(msgspec.Struct):
    """A page: from ``since`` on (ms since 1970 UTC), of one kind and name, after the entry with
    the key ``after``."""

    since: int = 0
    kind: str = ""
    name: str = ""
    after: str = ""


async def _audit(call: Call) -> list[AuditView]:
    asked: Asked = call.query
    if asked.after and key_of(asked.after) is None:
        raise Refused(400, "after: it must be the key of an entry")
    if not 0 <= asked.since < 1 << 63:
        raise Refused(400, "since: it must be milliseconds since 1970")
    return await call.operator.audit(asked.since, asked.kind, asked.name, asked.after)


ENDPOINTS = [
    Endpoint(
        "GET",
        "/admin/audit",
        "viewer",
        "A page of who did what, the oldest entries first",
        list[AuditView],
        _audit,
        query=Asked,
    ),
]
