"""An operator to ask the admin API about, and a way to ask."""

from typing import Any

import msgspec
from attrs import define, field
from prometheus_client import CollectorRegistry

from smsgw.http.admin import Access, add
from smsgw.http.site import Request, Response, Site
from smsgw.operate.account_views import AccountView, BalanceView, LedgerView
from smsgw.operate.node_views import CarrierView
from smsgw.operate.operator import (
    Applied,
    AuditView,
    Check,
    Health,
    MessageView,
    QueueView,
    RouteView,
    Sent,
)

NOBODY = BalanceView("x", error="no account x")
MESSAGE = MessageView("7", "g", "MT", "demo", "1", "2", 1, "DELIVRD", True)


@define
class StandIn:
    """An Operator that answers what it was given and keeps what it was asked."""

    applied: Applied = field(factory=lambda: Applied(["+ account a"], [], 3))
    routed: RouteView = field(factory=lambda: RouteView(route="uk", filters=["text"]))
    sent: Sent = field(factory=lambda: Sent("7", "g", 1))
    checks: list[Check] = field(factory=lambda: [Check("store", True)])
    asked: list[tuple[object, ...]] = field(factory=list)
    fault: Exception | None = None

    who: str = ""

    def by(self, who: str) -> "StandIn":
        self.who = who
        return self

    async def accounts(self) -> list[AccountView]:
        if self.fault:
            raise self.fault
        return [AccountView("demo", numbers=["447700900000"])]

    async def carriers(self) -> list[CarrierView]:
        return [CarrierView("north", "smpp", reason="wrong password")]

    async def queues(self) -> list[QueueView]:
        return [QueueView("carrier:north", 2, 1, 5)]

    async def message(self, id_text: str) -> MessageView | None:
        self.asked.append((id_text,))
        return MESSAGE if id_text == "7" else None

    async def apply(self, text: str, file: str, prune: bool, dry_run: bool, who: str) -> Applied:
        self.asked.append((text, file, prune, dry_run, who))
        return self.applied

    async def send(
        self, account: str, source: str, destination: str, text: str, receipt: bool
    ) -> Sent:
        self.asked.append((account, source, destination, text, receipt))
        return self.sent

    async def cancel(self, id_text: str) -> Sent:
        self.asked.append((id_text,))
        return self.sent

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        self.asked.append((account, source, destination, text))
        return self.routed

    async def balance(self, account: str) -> BalanceView:
        return BalanceView("demo", "1.00", "0.00") if account == "demo" else NOBODY

    async def top_up(
        self, account: str, amount: str, text: str, correct: bool = False
    ) -> BalanceView:
        self.asked.append((account, amount, text, correct))
        return await self.balance(account)

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        self.asked.append((account, since, until, after))
        if account != "demo":
            return None
        row = LedgerView(5, 1, "-0.01", "charge", "7", costcentre="sales", messages=1, parts=2)
        return [row] if after < row.id else []

    async def health(self) -> Health:
        return Health(self.checks)

    async def ready(self) -> Health:
        return Health([*self.checks, Check("listeners", True)])

    async def audit(self, since: int, kind: str, name: str, after: str) -> list[AuditView]:
        self.asked.append((since, kind, name, after))
        return [AuditView(5, "me", "topup", "demo", lines=["1.00"], key="5-0-9-0")]


def ask(
    operator: Any,
    method: str,
    path: str,
    body: object = None,
    headers: dict[bytes, bytes] | None = None,
    peer: str = "unix",
    registry: CollectorRegistry | None = None,
    access: Access | None = None,
) -> Response:
    """The answer of the admin API in front of ``operator``, which must not have to wait."""
    site = Site()
    add(site, operator, registry or CollectorRegistry(), access)
    content = b"" if body is None else msgspec.json.encode(body)
    if isinstance(body, bytes):
        content = body
    given = {b"content-type": b"application/json"} if headers is None else headers
    answer = site.answer(Request(method, path.encode(), given, content, peer))
    if not isinstance(answer, Response):
        found: list[Any] = []
        answer.addCallback(found.append)
        (answer,) = found
    return answer


def decoded(response: Response) -> Any:
    assert response.content_type == "application/json"
    return msgspec.json.decode(response.body)
