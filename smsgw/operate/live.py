"""The operator's view of the running gateway."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from sqlalchemy.exc import DBAPIError

from smsgw.identities import to_guid
from smsgw.login import Login
from smsgw.message import Message
from smsgw.operate import views
from smsgw.operate.operator import (
    AccountView,
    Applied,
    BalanceView,
    CarrierView,
    Check,
    Health,
    LedgerView,
    MessageView,
    QueueView,
    RouteView,
    Sent,
    Unavailable,
)
from smsgw.operate.routing import tried
from smsgw.provisioning import ProvisioningError
from smsgw.refusals import Refusal
from smsgw.store import ledger
from smsgw.store.journal import Changes, StoreFailed
from smsgw.store.secrets import SecretsUnusable

if TYPE_CHECKING:
    from smsgw.service import Gateway


class LiveOperator:
    """An ``Operator`` on the parts of a ``Gateway``."""

    def __init__(self, gateway: "Gateway", now: Callable[[], float] = time.time) -> None:
        self._gateway = gateway
        self._now = now

    async def accounts(self) -> list[AccountView]:
        """See Operator."""
        waiting = await self._waiting()
        sessions = self._gateway.esmes.sessions()
        shown = [views.account_view(one) for one in self._gateway.tables.accounts.values()]
        for one in shown:
            one.sessions = sessions.get(one.name, 0)
            one.waiting = waiting.get(f"account:{one.name}", 0)
        views.with_balances(shown, await self._gateway.journal.run(ledger.balances))
        return sorted(shown, key=lambda one: one.name)

    async def carriers(self) -> list[CarrierView]:
        """See Operator."""
        waiting = await self._waiting()
        shown = []
        for form in self._gateway.tables.carriers.values():
            view = views.carrier_view(form)
            side = self._gateway.carriers.sides.get(form.name)
            if side is not None:
                links = side.links
                up = [link for link in links if link.up]
                shown_link = (up or links)[0]
                view.links, view.links_up = len(links), len(up)
                view.state = "up" if up else shown_link.state
                down = [link for link in links if not link.up]
                view.reason = down[0].reason if down else ""
                # Links count the reactor's seconds; operators want the time of day.
                ago = self._gateway.reactor.seconds() - shown_link.since
                view.since = int((self._now() - ago) * 1000)
                view.outstanding = side.outstanding
            view.waiting = waiting.get(f"carrier:{form.name}", 0)
            shown.append(view)
        return sorted(shown, key=lambda one: one.name)

    async def queues(self) -> list[QueueView]:
        """See Operator."""
        now_ms = int(self._now() * 1000)
        return await self._gateway.journal.run(lambda c: views.read_queues(c, now_ms))

    async def _waiting(self) -> dict[str, int]:
        return {one.name: one.waiting for one in await self.queues()}

    async def message(self, id_text: str) -> MessageView | None:
        """See Operator."""
        id = views.parse_id(id_text)
        if id is None:
            return None
        return await self._gateway.journal.run(lambda c: views.read_message(c, id))

    async def apply(self, text: str, file: str, prune: bool, dry_run: bool, who: str) -> Applied:
        """See Operator."""
        try:
            lines, version = await self._gateway.apply(text, file, prune, dry_run, who)
        except ProvisioningError as error:
            return Applied(errors=error.lines, version=self._gateway.tables.version)
        except SecretsUnusable as error:
            raise Unavailable(str(error)) from None
        except DBAPIError as error:
            raise Unavailable(f"store: {error.orig}; mend that and apply again") from None
        return Applied(lines, version=version)

    async def send(
        self, account: str, source: str, destination: str, text: str, receipt: bool
    ) -> Sent:
        """See Operator."""
        if account not in self._gateway.tables.accounts:
            return Sent(error=f"there is no account {account}; see: smsgw accounts")
        message = Message(
            source=source,
            destination=destination,
            text=text,
            registered_delivery=1 if receipt else 0,
            interface="cli",
        )
        login = Login(account, "", kind="operator")
        outcome = (await self._gateway.acceptance.accept(login, [message]))[0]
        if isinstance(outcome, Refusal):
            words = outcome.reason.answer.text
            return Sent(error=f"{words}: {outcome.detail}" if outcome.detail else words)
        return Sent(str(outcome.id), to_guid(outcome.id), len(outcome.parts))

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        """See Operator."""
        gateway = self._gateway
        message = Message(source=source, destination=destination, text=text, interface="cli")
        return tried(gateway.acceptance, gateway.tables, account, message, gateway.is_up)

    async def balance(self, account: str) -> BalanceView:
        """See Operator."""
        return await self._gateway.journal.run(lambda c: views.read_balance(c, account))

    async def top_up(self, account: str, amount: str, text: str) -> BalanceView:
        """See Operator."""
        gateway = self._gateway
        view = await self.balance(account)
        id, at = gateway.identities.allot(), int(self._now() * 1000)
        entry = views.top_up_entry(view, amount, text, id, at)
        if isinstance(entry, str):
            return BalanceView(account, error=entry)
        changes = Changes(ledger=[entry])
        try:
            await gateway.journal.commit(changes)
        except StoreFailed as error:
            raise Unavailable(f"store: {error}; mend that and top up again") from None
        gateway.balances.credit(changes)
        return await self.balance(account)

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """See Operator."""
        return await self._gateway.journal.run(
            lambda c: views.read_statement(c, account, since, until, after)
        )

    async def health(self) -> Health:
        """See Operator."""
        gateway = self._gateway
        journal = gateway.journal
        if journal.failing:
            # Whether it still does is known when something is written.
            row = ("", "", 0, b"")
            probe = Changes(early_receipts=[row], early_matched=[("", "")])
            with suppress(StoreFailed):
                await journal.commit(probe)
        checks = [
            Check("store", not journal.failing, journal.failing),
            Check(
                "accepting",
                not gateway.acceptance.draining,
                "shutting down" if gateway.acceptance.draining else "",
            ),
        ]
        return Health(checks)
