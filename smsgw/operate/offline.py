"""The operator's view of a gateway that is not running.

It opens the store itself. For the command line; it blocks.
"""

import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar, cast

from sqlalchemy import Connection, Engine

from smsgw.config import Config
from smsgw.flow.accept import Acceptance
from smsgw.flow.lists import Lists
from smsgw.flow.money import Balances
from smsgw.flow.quotas import Quotas
from smsgw.flow.quotas import read as read_usage
from smsgw.flow.targets import account_queue
from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.operate import audit, statement, views
from smsgw.operate.account_views import AccountView, BalanceView, LedgerView
from smsgw.operate.dead import OfflineDead
from smsgw.operate.lists import Keeping
from smsgw.operate.node_views import CarrierView, NodeView
from smsgw.operate.operator import (
    Applied,
    AuditView,
    Check,
    Health,
    MessageView,
    QueueView,
    RouteView,
    Sent,
    Unavailable,
)
from smsgw.operate.routing import tried
from smsgw.operate.sessions import OfflineSessions
from smsgw.provisioning import Account, Change, Provisioning, ProvisioningError
from smsgw.provisioning.reach import Reach
from smsgw.queues import Queues
from smsgw.rules.tables import Tables
from smsgw.store import audit as audit_store
from smsgw.store import ledger, provision, records, schema
from smsgw.store.database import StoreUnusable, close_store, open_store
from smsgw.store.records import Records
from smsgw.store.secrets import SecretsUnusable

T = TypeVar("T")
_NOT_RUNNING = "the gateway is not running; start it with: twistd -n smsgw"


class _NoQueues:
    """What waits is not looked at while no gateway runs."""

    full: frozenset[str] = frozenset()


class OfflineOperator:
    """An Operator on the store alone.

    Its connection must be the only one: no gateway may be running.
    """

    def __init__(self, config: Config, now: Callable[[], float] = time.time) -> None:
        """``now`` gives seconds since 1970."""
        self._config = config
        self._reach = Reach.of(
            config.aaisp, config.aql, config.aerialink, config.smpp.outbind_private
        )
        self._now = now
        self._who = ""

    def by(self, who: str) -> "OfflineOperator":
        """See Operator. It has one connection, so it is asked in one name at a time."""
        self._who = who
        return self

    @cached_property
    def _engine(self) -> Engine:
        try:
            return open_store(self._config.store.url, Path(self._config.store.folder))
        except StoreUnusable as error:
            raise Unavailable(str(error)) from None

    def _connect(self, make: bool = False) -> Connection:
        """A connection; a store that is not there yet is made only if ``make``."""
        if not make and not self._there():
            raise Unavailable(
                f"{self._config.store.path}: there is no store yet; start the gateway or apply a "
                "provisioning file, or name the right configuration with -c"
            )
        return self._engine.connect()

    def _there(self) -> bool:
        if not self._config.store.is_file:
            return True  # a server is there, or says that it is not
        path = self._config.store.path
        try:
            path.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Unavailable(
                f"{path}: {error.strerror}; run this command as the gateway's user"
            ) from None
        return True

    def close(self) -> None:
        """Let go of the store, if it was opened."""
        engine = self.__dict__.pop("_engine", None)
        if engine is not None:
            close_store(engine)

    @property
    def lists(self) -> Keeping:
        """See Operator. The gateway finds what is changed when it starts."""
        return Keeping(
            self, Lists(), lambda: self._accounts, self._identities.allot, self._who, self._now
        )

    @property
    def dead(self) -> OfflineDead:
        """See Operator."""
        return OfflineDead(self._connect, self._action, self._now)

    def _action(self, kind: str, name: str, detail: str) -> schema.ActionRow:
        """What the audit is to keep of something done now."""
        id = self._identities.allot()
        return schema.ActionRow(id, self._now_ms(), self._who, kind, name, detail)

    async def run(self, function: Callable[[Connection], T]) -> T:
        """What ``function`` gives in a transaction of its own."""
        with self._connect() as connection, connection.begin():
            return function(connection)

    @cached_property
    def _accounts(self) -> dict[str, Account]:
        with self._connect() as connection:
            return _load(connection).accounts

    @cached_property
    def _identities(self) -> Identities:
        identities = Identities(self._config.node.number, self._now)
        with self._connect() as connection:
            identities.allotted_at_least(records.highest_id(connection))
        return identities

    @property
    def sessions(self) -> OfflineSessions:
        """See Operator."""
        return OfflineSessions(self._connect, _NOT_RUNNING)

    async def accounts(self) -> list[AccountView]:
        """See Operator."""
        quotas = Quotas()
        with self._connect() as connection:
            found = _load(connection).accounts
            waiting = self._waiting(connection)
            balances = ledger.balances(connection)
            quotas.take(read_usage(connection, self._now()))
        shown = [views.account_view(one) for one in found.values()]
        for one in shown:
            one.waiting = waiting.get(account_queue(one.name), 0)
        views.with_standing(shown, found, quotas, self._now())
        views.with_balances(shown, balances)
        return shown

    async def carriers(self) -> list[CarrierView]:
        """See Operator."""
        with self._connect() as connection:
            found = _load(connection).carriers
            waiting = self._waiting(connection)
        shown = [views.carrier_view(one) for one in found.values()]
        for one in shown:
            one.reason = "the gateway is not running"
            one.waiting = waiting.get(f"carrier:{one.name}", 0)
        return shown

    def _waiting(self, connection: Connection) -> dict[str, int]:
        return views.waiting(views.read_queues(connection, self._now_ms()))

    async def queues(self) -> list[QueueView]:
        """See Operator."""
        with self._connect() as connection:
            return views.read_queues(connection, self._now_ms())

    async def nodes(self) -> list[NodeView]:
        """See Operator."""
        with self._connect() as connection:
            return views.read_nodes(connection)

    async def message(self, id_text: str) -> MessageView | None:
        """See Operator."""
        id = views.parse_id(id_text)
        if id is None:
            return None
        with self._connect() as connection:
            return views.read_message(connection, id)

    async def apply(self, text: str, file: str, prune: bool, dry_run: bool, who: str) -> Applied:
        """See Operator. The gateway finds the change when it starts.

        A dry run makes no store: one that is not there has nothing provisioned.
        """
        if dry_run and not self._there():
            return _prepared(Provisioning(reach=self._reach), text, file, prune)[0]
        with self._connect(make=True) as connection, connection.begin():
            old = _load(connection)
            old.reach = self._reach
            applied, changes = _prepared(old, text, file, prune)
            if not dry_run and not applied.errors:
                try:
                    applied.version = provision.apply(connection, changes, who, self._now_ms())
                except SecretsUnusable as error:
                    raise Unavailable(str(error)) from None
        return applied

    async def send(
        self, account: str, source: str, destination: str, text: str, receipt: bool
    ) -> Sent:
        """See Operator: it takes a running gateway."""
        raise Unavailable(_NOT_RUNNING)

    async def cancel(self, id_text: str) -> Sent:
        """See Operator: it takes a running gateway."""
        raise Unavailable(_NOT_RUNNING)

    async def route(self, account: str, source: str, destination: str, text: str) -> RouteView:
        """See Operator. Links and balances are not known."""
        quotas, lists = Quotas(), Lists()
        await lists.load(self)
        with self._connect() as connection:
            tables = Tables(_load(connection))
            quotas.take(read_usage(connection, self._now()))
        acceptance = Acceptance(
            lambda: tables,
            cast(Queues, _NoQueues()),  # nothing is accepted
            Records(),
            Identities(self._config.node.number, self._now),
            Balances(),
            self._now,
            lists=lists,
            quotas=quotas,
        )
        message = Message(source=source, destination=destination, text=text, interface="cli")
        return tried(acceptance, tables, account, message, None)

    async def balance(self, account: str) -> BalanceView:
        """See Operator."""
        with self._connect() as connection:
            return views.read_balance(connection, account)

    async def top_up(
        self, account: str, amount: str, text: str, correct: bool = False
    ) -> BalanceView:
        """See Operator. The gateway finds it when it starts."""
        with self._connect() as connection, connection.begin():
            identities = Identities(self._config.node.number, self._now)
            identities.allotted_at_least(records.highest_id(connection))
            view = views.read_balance(connection, account)
            id, now = identities.allot(), self._now_ms()
            entry = views.top_up_entry(view, amount, text, correct, id, now)
            if isinstance(entry, str):
                return BalanceView(account, error=entry)
            ledger.enter(connection, [entry])
            action = schema.ActionRow(
                identities.allot(),
                self._now_ms(),
                self._who,
                "topup",
                account,
                f"{'-' if correct else ''}{amount} {text}".rstrip(),
            )
            audit_store.enter(connection, action)
            return views.read_balance(connection, account)

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """See Operator."""
        with self._connect() as connection:
            return statement.read(connection, account, since, until, after)

    async def health(self) -> Health:
        """See Operator."""
        return Health([Check("gateway", False, _NOT_RUNNING)])

    async def ready(self) -> Health:
        """See Operator."""
        return await self.health()

    async def audit(self, since: int, kind: str, name: str, after: str) -> list[AuditView]:
        """See Operator."""
        with self._connect() as connection:
            return audit.read(connection, since, kind, name, after)

    def _now_ms(self) -> int:
        return int(self._now() * 1000)


def _prepared(old: Provisioning, text: str, file: str, prune: bool) -> tuple[Applied, list[Change]]:
    """What applying ``text`` over ``old`` would answer, and its changes."""
    try:
        changes = provision.prepare(old, text, file, prune)
    except ProvisioningError as error:
        return Applied(errors=error.lines, version=old.version), []
    return Applied([line for one in changes for line in one.lines], version=old.version), changes


def _load(connection: Connection) -> Provisioning:
    try:
        return provision.load(connection)
    except SecretsUnusable as error:
        raise Unavailable(str(error)) from None
