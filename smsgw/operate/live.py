"""The operator's view of the running gateway."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from smsgw.flow.decide import Outcome
from smsgw.flow.targets import account_queue
from smsgw.identities import to_guid
from smsgw.login import Login
from smsgw.message import Message
from smsgw.operate import audit, forms, statement, views
from smsgw.operate.account_views import AccountView, BalanceView, LedgerView
from smsgw.operate.dead import LiveDead
from smsgw.operate.lists import Keeping
from smsgw.operate.looking import look
from smsgw.operate.node_views import CarrierView, NodeView
from smsgw.operate.operator import (
    Applied,
    AuditView,
    Changed,
    FormView,
    Health,
    MessageView,
    QueueView,
    RouteView,
    Sent,
    Unavailable,
    Unknown,
)
from smsgw.operate.routing import tried
from smsgw.operate.sessions import LiveSessions
from smsgw.operate.wire_views import WireTrace
from smsgw.provisioning import ProvisioningError
from smsgw.queues import Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.trace import MOST, TooManyWatchers
from smsgw.store import ledger, schema
from smsgw.store import sessions as every_session
from smsgw.store.journal import Changes, Overdrawn, StoreFailed
from smsgw.store.secrets import SecretsUnusable

if TYPE_CHECKING:
    from smsgw.service import Gateway

T = TypeVar("T")
_NOT_CANCELLED = "store: not cancelled; see the gateway's log, and cancel again"


class LiveOperator:
    """An ``Operator`` on the parts of a ``Gateway``."""

    def __init__(
        self, gateway: "Gateway", now: Callable[[], float] = time.time, who: str = ""
    ) -> None:
        self._gateway = gateway
        self._now = now
        self._who = who

    def by(self, who: str) -> "LiveOperator":
        """See Operator."""
        return LiveOperator(self._gateway, self._now, who)

    @property
    def lists(self) -> Keeping:
        """See Operator."""
        gateway = self._gateway
        return Keeping(
            gateway.journal,
            gateway.lists,
            lambda: gateway.tables.accounts,
            gateway.identities.allot,
            self._who,
            self._now,
        )

    @property
    def dead(self) -> LiveDead:
        """See Operator."""
        return LiveDead(self._gateway.journal, self._gateway.dead_letters, self._action)

    @property
    def sessions(self) -> LiveSessions:
        """See Operator."""
        return LiveSessions(self._gateway.sessions, self._action)

    async def accounts(self) -> list[AccountView]:
        """See Operator."""
        waiting = await self._waiting()
        sessions = self._gateway.esmes.sessions()
        if self._gateway.shared:
            sessions = await self._read(every_session.by_account)
        shown = [views.account_view(one) for one in self._gateway.tables.accounts.values()]
        for one in shown:
            one.sessions = sessions.get(one.name, 0)
            one.waiting = waiting.get(account_queue(one.name), 0)
            one.outbind = self._gateway.outbinds.shown(one.name)
        accounts, quotas = self._gateway.tables.accounts, self._gateway.quotas
        views.with_standing(shown, accounts, quotas, self._now())
        views.with_balances(shown, await self._read(ledger.balances))
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
                if form.only_calls:
                    callers = {link.caller for link in links if link.caller}
                    if callers:
                        view.peer = f"called from {', '.join(sorted(callers))}"
            mmsc = self._gateway.mmscs.sides.get(form.name)
            if mmsc is not None:
                # It is connected when there is something to mail.
                view.state, view.reason, view.last = mmsc.state, mmsc.failing, mmsc.last
                view.since, view.outstanding = mmsc.since, mmsc.outstanding
                view.window = mmsc.window
            if self._gateway.registry is not None:
                views.with_others(view, side is not None, self._gateway.registry.others())
            view.waiting = waiting.get(f"carrier:{form.name}", 0)
            shown.append(view)
        return sorted(shown, key=lambda one: one.name)

    async def queues(self) -> list[QueueView]:
        """See Operator."""
        now_ms = int(self._now() * 1000)
        return await self._read(lambda c: views.read_queues(c, now_ms))

    async def nodes(self) -> list[NodeView]:
        """See Operator."""
        if self._gateway.registry is None:
            return []
        return await self._read(views.read_nodes)

    async def _read(self, function: Callable[[Connection], T]) -> T:
        return await look(self._gateway.journal, function)

    async def _waiting(self) -> dict[str, int]:
        return views.waiting(await self.queues())

    async def message(self, id_text: str) -> MessageView | None:
        """See Operator."""
        id = views.parse_id(id_text)
        if id is None:
            return None
        return await self._read(lambda c: views.read_message(c, id))

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

        def keep_who(outcomes: list[Outcome], transaction: Transaction) -> None:
            if outcomes[0] is message:
                action = self._action("send", account, str(message.id))
                transaction.changes.actions.append(action)

        accepting = self._gateway.acceptance.accept(login, [message], beside=keep_who)
        [outcome] = await accepting
        if isinstance(outcome, Refusal):
            words = outcome.reason.answer.text
            return Sent(error=f"{words}: {outcome.detail}" if outcome.detail else words)
        return Sent(str(outcome.id), to_guid(outcome.id), len(outcome.parts))

    async def cancel(self, id_text: str) -> Sent:
        """See Operator."""
        id = views.parse_id(id_text)
        action = self._action("cancel", str(id), "")
        outcome: Message | Refusal = Refusal(Reason.UNKNOWN_MESSAGE)
        if id is not None:
            outcome = await self._gateway.cancelling.cancel(None, id, action=action)
            if isinstance(outcome, Refusal) and outcome.reason is Reason.UNKNOWN_MESSAGE:
                together = await self._gateway.pending.batch(None, id)
                if together:
                    return await self._cancel_all(id, together, action)
        if isinstance(outcome, Refusal):
            if outcome.reason is Reason.UNKNOWN_MESSAGE:
                return Sent(error="there is no such message to send; see: smsgw status")
            if outcome.reason is Reason.STORE_FAILED:
                raise Unavailable(_NOT_CANCELLED)
            return Sent(error=outcome.detail)
        return Sent(str(outcome.id), to_guid(outcome.id), len(outcome.parts))

    async def _cancel_all(self, id: int, together: list[Message], action: schema.ActionRow) -> Sent:
        """Cancels the messages that the id of a request stands for."""
        cancelling = self._gateway.cancelling
        done = await cancelling.cancel_batch(None, together, lambda message: True, action)
        if isinstance(done, Refusal):
            raise Unavailable(_NOT_CANCELLED)
        if not done:
            return Sent(error=f"none of its {len(together)} messages is pending any more")
        return Sent(str(id), to_guid(id), messages=done, left=len(together) - done)

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        """See Operator."""
        gateway = self._gateway
        message = Message(source=source, destination=destination, text=text, interface="cli")
        return tried(gateway.acceptance, gateway.tables, account, message, gateway.is_up)

    async def balance(self, account: str) -> BalanceView:
        """See Operator."""
        return await self._read(lambda c: views.read_balance(c, account))

    async def top_up(
        self, account: str, amount: str, text: str, correct: bool = False
    ) -> BalanceView:
        """See Operator."""
        gateway, balances = self._gateway, self._gateway.balances
        view = await self.balance(account)
        id, at = gateway.identities.allot(), int(self._now() * 1000)
        entry = views.top_up_entry(view, amount, text, correct, id, at)
        if isinstance(entry, str):
            return BalanceView(account, error=entry)
        # What is taken off is charged, so that no message spends it meanwhile.
        taken = max(0, -entry.amount)
        form = gateway.tables.accounts.get(account)
        if taken and form is not None and not balances.covers(form, taken):
            return BalanceView(account, error=views.not_covered(max(0, balances.funds(form) or 0)))
        sign = "-" if correct else ""
        action = self._action("topup", account, f"{sign}{amount} {text}".rstrip())
        changes = Changes(ledger=[entry], actions=[action])
        if taken:
            balances.charge(account, taken)
        try:
            await gateway.journal.commit(changes)
        except StoreFailed as error:
            if taken:
                balances.not_stored(account, taken)
            if isinstance(error, Overdrawn):
                balances.read_again([account])
                return BalanceView(account, error="the account has not so much; take less off")
            raise Unavailable(f"store: {error}; mend that and top up again") from None
        if taken:
            balances.stored(account, taken)
        else:
            balances.credit(changes)
        return await self.balance(account)

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """See Operator."""
        return await self._read(lambda c: statement.read(c, account, since, until, after))

    async def health(self) -> Health:
        """See Operator."""
        return await self._gateway.readiness.health()

    async def ready(self) -> Health:
        """See Operator."""
        return await self._gateway.readiness.ready()

    async def audit(self, since: int, kind: str, name: str, after: str) -> list[AuditView]:
        """See Operator."""
        return await self._read(lambda c: audit.read(c, since, kind, name, after))

    async def trace(self, name: str, kind: str, seconds: int, text: bool) -> WireTrace:
        """See RunningOperator."""
        gateway = self._gateway
        tables = gateway.tables
        known: dict[str, Mapping[str, object]] = {
            "account": tables.accounts,
            "carrier": tables.carriers,
        }
        kinds = [one for one, names in known.items() if name in names and kind in ("", one)]
        if len(kinds) > 1:
            raise Unknown(f"{name} is an account and a carrier; say which kind")
        if not kinds:
            raise Unknown(
                f"there is no {kind or 'account or carrier'} {name}; see: smsgw accounts, carriers"
            )
        if kinds[0] == "carrier" and name in tables.mm4:
            raise Unknown(f"carrier {name} is of kind mm4; a trace shows SMPP. See: smsgw carriers")
        subject = kinds[0], name
        # The audit knows who looked, before there is anything to see.
        detail = f"{kinds[0]}, {seconds} s{', with texts' if text else ''}"
        try:
            await gateway.journal.commit(Changes(actions=[self._action("trace", name, detail)]))
        except StoreFailed as error:
            raise Unavailable(f"store: {error}; mend that and trace again") from None
        try:
            return WireTrace(gateway.traces, subject, seconds, text, gateway.reactor)
        except TooManyWatchers:
            raise Unavailable(
                f"{MOST} traces are under way; wait until one of them has ended"
            ) from None

    def forms(self, kind: str, after: str) -> list[dict[str, Any]]:
        """See RunningOperator."""
        return forms.shown(self._gateway.tables.provisioning, kind, after)

    def form(self, kind: str, name: str) -> FormView | None:
        """See RunningOperator."""
        return forms.found(self._gateway.tables.provisioning, kind, name)

    async def change_form(
        self,
        kind: str,
        name: str,
        document: dict[str, Any] | None,
        *,
        merge: bool = False,
        expected: int | None = None,
        dry_run: bool = False,
    ) -> Changed:
        """See RunningOperator."""
        return await forms.change(
            self._gateway, self._who, kind, name, document, merge, expected, dry_run
        )

    def _action(self, kind: str, name: str, detail: str) -> schema.ActionRow:
        """What the audit is to keep of something done now."""
        id, at = self._gateway.identities.allot(), int(self._now() * 1000)
        return schema.ActionRow(id, at, self._who, kind, name, detail)
