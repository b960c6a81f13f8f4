"""Makes the parts of the gateway, wires them together, and starts and stops them in the right
order."""

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from sqlalchemy import Connection, Engine
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from smsgw import __version__
from smsgw.binds import Binds
from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.esmes import Esmes, Wordings
from smsgw.flow import duplicates
from smsgw.flow.accept import Acceptance
from smsgw.flow.dead import DeadLetters
from smsgw.flow.deliver import Deliveries
from smsgw.flow.expiry import Expiry
from smsgw.flow.forward import Forwarding
from smsgw.flow.handover import Handover
from smsgw.flow.inbound import Inbound
from smsgw.flow.lists import Lists
from smsgw.flow.money import Balances
from smsgw.flow.optout import OptOuts
from smsgw.flow.pending import Pending
from smsgw.flow.quotas import Quotas
from smsgw.flow.receipts import Awaited, Receipts
from smsgw.flow.replace import Replacing
from smsgw.flow.replay import Replays
from smsgw.flow.send import Carriers, CarrierSide
from smsgw.flow.settle import Settlement
from smsgw.http.callbacks import Callbacks
from smsgw.http.fediverse import Fediverse
from smsgw.http.lookup import HttpProvider
from smsgw.identities import Identities
from smsgw.listeners import CannotStart, Listeners
from smsgw.mail import Mail
from smsgw.message import Message
from smsgw.operate.health import Readiness
from smsgw.operate.live import LiveOperator
from smsgw.operate.metrics import Metrics
from smsgw.operate.sampler import Sampler
from smsgw.outward import NameThreads
from smsgw.provisioning import Carrier, Change, Provisioning, ProvisioningError
from smsgw.provisioning.reach import Reach
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.rules.tables import Tables
from smsgw.smpp.client import CarrierLink, LinkSettings
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.trace import Subject, Traces
from smsgw.store import batches, lists, provision, records, schema
from smsgw.store.database import close_store
from smsgw.store.journal import Journal
from smsgw.store.records import Records
from smsgw.submitted import Submitted
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier

_log = Logger()

_DRAIN_S = 10.0  # how long answers under way are waited for at a stop
_REVIEW_S = 5.0  # how often sessions and receipts that matched nothing are looked at again
_RECONNECT_MOST_S = 60.0  # between two tries of a link
_WINDOW = 10_000  # of a link; what may be outstanding is bounded by flow.send.Outlet


class Gateway(Service):
    """The whole gateway of one node."""

    name = "smsgw"

    def __init__(self, config: Config, engine: Engine, reactor: Any) -> None:
        """``engine`` is an open store (``store.database.open_store``)."""
        self.config = config
        self.reactor = reactor
        self._engine = engine
        self.tables = Tables(Provisioning())
        self.journal = Journal(engine, reactor)
        self.known = Records()
        self.identities = Identities(config.node.number)
        self.queues = EmbeddedQueues(self.journal, self.known, reactor)
        self.queues.limit = self._queue_limit
        self.awaited = Awaited()
        self.balances = Balances()
        self.quotas = Quotas()
        self.lists = Lists()
        self.forwarding = Forwarding()
        self.settlement = Settlement(
            self.current,
            self.queues,
            self.known,
            self.awaited,
            self.identities,
            self.balances,
            reactor,
        )
        self.expiry = Expiry(
            self.current, self.queues, self.journal, self.known, self.settlement, reactor
        )
        self.receipts = Receipts(
            self.current, self.queues, self.journal, self.known, self.awaited, self.settlement
        )
        self.acceptance = Acceptance(
            self.current,
            self.queues,
            self.known,
            self.identities,
            self.balances,
            is_up=self.is_up,
            quotas=self.quotas,
            lists=self.lists,
        )
        self.optouts = OptOuts(self.lists, self.acceptance, self.identities)
        self.inbound = Inbound(
            self.current,
            self.queues,
            self.known,
            self.identities,
            optouts=self.optouts,
            forwarding=self.forwarding,
            config=config,
        )
        wordings = Wordings(config, self.current)
        self.handover = Handover(self.queues, self.settlement, wordings, reactor)
        self.deliveries = Deliveries(
            config,
            self.current,
            self.queues,
            self.settlement,
            self.acceptance,
            self.forwarding,
            {
                "http": Callbacks(config, reactor),
                "email": Mail(config, reactor),
                "toot": Fediverse(config, reactor),
            },
        )
        self._names = NameThreads(reactor)
        self._reach = Reach.of(config.aaisp, config.aql, config.aerialink)
        self.dead_letters = DeadLetters(self.journal, self.queues, self.known, self.settlement)
        self.doors = Doors(self.current, config.aerialink.open_if_empty)
        self.pending = Pending(
            self.current,
            self.queues,
            self.journal,
            self.known,
            self.identities,
            self.settlement,
        )
        self.replays = Replays(self.current, self.queues, self.settlement, self.identities.allot)
        self.lookups = (
            HttpProvider(config.aerialink, reactor) if config.aerialink.lookup_url else None
        )
        self.replacing = Replacing(
            self.current,
            self.queues,
            self.identities,
            self.balances,
            self.pending,
            self.acceptance,
        )
        submitted = Submitted(self.current, self.pending, self.replacing)
        binds = Binds(config, self.current, time.time)
        self.traces = Traces(self._connections, self._account_of, time.time)
        self.esmes = Esmes(self.doors, self.acceptance, self.handover, wordings, submitted, binds)
        self.carriers = Carriers(self._make_carrier, self._forsake)
        self.readiness = Readiness(self)
        self.listeners = Listeners(self)
        self.sampler = Sampler(self)
        self.metrics = Metrics(self)
        self.operator = LiveOperator(self)
        self._reviewing = LoopingCall(self._review)
        self.ready: Deferred[None] = Deferred()  # fires when everything listens

    def current(self) -> Tables:
        """The tables in force."""
        return self.tables

    def is_up(self, carrier: str) -> bool:
        """True if the carrier has a link up."""
        side = self.carriers.sides.get(carrier)
        return side is not None and any(link.up for link in side.links)

    def _queue_limit(self, queue: str) -> int:
        """How many entries a queue may have before no more messages are taken for it."""
        kind, _, name = queue.partition(":")
        form = self.tables.carriers.get(name) if kind == "carrier" else None
        if form is None:
            return 0
        return self.config.queues.limit if form.queue_limit is None else form.queue_limit

    async def start(self) -> None:
        """Starts everything; raises CannotStart."""
        self.journal.start()
        try:
            await self.reload()
        except Exception as error:
            raise CannotStart(str(error)) from error
        self.identities.allotted_at_least(await self.journal.run(records.highest_id))
        await self.awaited.load(self.journal)
        await self.inbound.joining.load(self.journal)
        await self.lists.load(self.journal)
        await duplicates.load(self.acceptance.duplicates, self.tables, self.journal, time.time())
        await self.queues.load()
        self.expiry.start()
        await self.listeners.start()
        self._names.start()
        _log.info(
            "smsgw {version} is ready: store {store}, {accounts} accounts, {carriers} carriers",
            version=__version__,
            store=self.config.store.path,
            accounts=len(self.tables.accounts),
            carriers=len(self.tables.carriers),
        )
        # What is here now stays: the collector need not look at it again. And what a burst of
        # messages makes is freed by counting; a cycle is rare, so it looks less often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        self.carriers.provision(self.tables.carriers)
        self._reviewing.clock = self.reactor
        self._reviewing.start(_REVIEW_S, now=False)
        self.sampler.start()
        # Carriers may have been removed while the gateway was down.
        for queue in self.queues.resident():
            kind, _, name = queue.partition(":")
            if kind == "carrier" and name not in self.tables.carriers:
                self._forsake(name)

    async def reload(self) -> None:
        """Takes over what is provisioned now. Sessions and links that need not change stay."""
        provisioning = await self.journal.run(provision.load)
        if provisioning.version < self.tables.version:
            return  # another change was faster
        # Before a prepaid account is in force, its balance is known.
        await self.balances.load(self.journal)
        await self.quotas.load(self.journal, time.time())
        # Compiling takes a moment with many routes, and the reactor is not to wait for it.
        tables = await deferToThread(
            Tables, provisioning, provisioning.version, rates=self.tables.rates
        )
        if tables.version < self.tables.version:
            return
        self.tables = tables
        self.queues.review_limits()
        if self.listeners.open:
            self.carriers.provision(tables.carriers)
            self.esmes.review(tables)

    async def apply(
        self, text: str, file: str, prune: bool, dry_run: bool, who: str
    ) -> tuple[list[str], int]:
        """Provisions what the TOML ``text`` says; the lines that tell what changed, and the version
        now.

        Raises ``ProvisioningError``, ``SecretsUnusable``.
        """
        prepare = partial(provision.prepare, text=text, file=file, prune=prune)
        return await self.change(prepare, dry_run, who)

    async def change(
        self,
        prepare: Callable[[Provisioning], list[Change]],
        dry_run: bool,
        who: str,
        action: schema.ActionRow | None = None,
    ) -> tuple[list[str], int]:
        """Provisions what ``prepare`` makes of what is there; answers as ``apply`` does. ``action``
        is entered in the audit with what is changed.

        Raises what ``prepare`` raises, and ``SecretsUnusable``.
        """
        while True:
            old = await self.journal.run(provision.load)
            old.reach = self._reach
            # Passwords take 25 ms each to check or hash: on a thread, outside of the journal.
            changes = await deferToThread(prepare, old)
            lines = [line for change in changes for line in change.lines]
            if dry_run or not changes:
                if old.version > self.tables.version:
                    await self.reload()  # in the store, but not in force: the last reload failed
                return lines, old.version

            at = int(time.time() * 1000)
            # Allotted here: the journal's thread is not to.
            ids = [self.identities.allot() for _ in changes]
            write = partial(
                provision.apply,
                changes=changes,
                who=who,
                at=at,
                expected=old.version,
                allot=iter(ids).__next__,
                action=action,
            )
            try:
                version = await self.journal.run(write)
            except provision.VersionMoved:
                continue
            await self.reload()
            return lines, version

    async def message(self, account: str | None, id: int) -> Any:
        """The message with this id, None if there is none, or if it is neither the account's nor
        that of an account below it (I6, F-17)."""
        found = await self.pending.message(None, id)
        if found is None or account is None or found.account == account:
            return found
        above = self.tables.lineage.get(found.account, ())
        return found if any(one.name == account for one in above) else None

    async def batch(self, id: int) -> batches.Batch | None:
        """The messages of the request with this id, None if there is none."""
        found = await self.journal.run(lambda connection: batches.read(connection, id))
        if found is None:
            return None
        known = self.known.adopt(found.messages)
        return evolve(found, messages=[known[one.id] for one in found.messages])

    async def contacts(self, account: str, name: str, most: int) -> list[str] | None:
        """The first ``most`` numbers of a list of contacts, None if there is no such list."""

        def read(connection: Connection) -> list[str] | None:
            found = lists.find(connection, account, name)
            if found is None or found.type != "contact":
                return None
            return [number for number, _, _ in lists.page(connection, found.id, limit=most)]

        return await self.journal.run(read)

    def when_answered(self, message: Message) -> Deferred[None]:
        """See ``flow.settle.Settlement.when_answered``."""
        return self.settlement.when_answered(message)

    async def cancel(self, account: str | None, id: int) -> Any:
        """See ``flow.pending.Pending.cancel``."""
        return await self.pending.cancel(account, id)

    def _connections(self, subject: Subject) -> list[SmppConnection]:
        """Of an account or a carrier, those that are there now."""
        kind, name = subject
        if kind == "account":
            return [session.connection for session in self.esmes.binds.of(name)]
        side = self.carriers.sides.get(name)
        return [one for link in side.links for one in link.connections] if side else []

    def _account_of(self, system_id: str) -> str:
        found = self.tables.credentials.get(("smpp", system_id))
        return found[0].name if found is not None else ""

    def _make_carrier(self, form: Carrier) -> Deferred[CarrierSide]:
        return Deferred.fromCoroutine(self._carrier(form))

    async def _carrier(self, form: Carrier) -> CarrierSide:
        host, port = form.host, form.port
        system_id, password = form.system_id, form.password
        if form.kind == "simulator":
            script = SmscScript(delay_s=form.delay_s, states=dict(form.states))
            simulator = SimulatedCarrier(script, self.reactor)
            host, port = "127.0.0.1", await simulator.start()
            system_id, password = "smsgw", ""
        side = CarrierSide(
            form,
            self.queues,
            self.settlement,
            self.receipts,
            self.inbound,
            self.reactor,
        )
        settings = LinkSettings(
            host=host,
            port=port,
            system_id=system_id,
            password=password,
            system_type=form.system_type,
            bind=form.bind,
            window=_WINDOW,
            version=form.version,
            response_s=form.response_timeout_s,
            enquire_s=form.enquire_s,
            reconnect_min_s=form.reconnect_s,
            reconnect_max_s=max(form.reconnect_s, _RECONNECT_MOST_S),
            tls=form.tls,
        )
        if form.kind == "simulator":
            side.afterwards = simulator.stop
        side.links = [
            CarrierLink(settings, side, self.reactor, name=str(n + 1)) for n in range(form.binds)
        ]
        for link in side.links:
            link.traces = self.traces, form.name
        return side

    def _forsake(self, carrier: str) -> None:
        _log.info("carrier {carrier} is no more: what waits for it finds another", carrier=carrier)
        Deferred.fromCoroutine(self.expiry.forsake(carrier)).addErrback(
            lambda failure: _log.failure("carrier {carrier}: forsake", failure, carrier=carrier)
        )

    async def _review(self) -> None:
        """What time alone changes: accounts expire, receipts that matched nothing may match now."""
        try:
            if self.tables.any_expires:
                self.esmes.review(self.tables)
        except Exception:
            _log.failure("sessions: review")
        try:
            await self.receipts.review()
        except Exception:
            _log.failure("receipts: review")
        try:
            await self.inbound.review()
        except Exception:
            _log.failure("parts of MO: review")

    def startService(self) -> None:
        """Twisted: starts; a fault is told in one line and ends the process."""
        super().startService()  # type: ignore[no-untyped-call]
        Deferred.fromCoroutine(self.start()).chainDeferred(self.ready)

    async def _stop(self) -> None:
        self.acceptance.draining = True
        await self.listeners.close()
        await self.listeners.drain(_DRAIN_S)
        await self.carriers.stop()
        if self._reviewing.running:
            self._reviewing.stop()
        self.sampler.stop()
        self.queues.stop()
        await self.deliveries.stop()
        if self.lookups is not None:
            await self.lookups.stop()
        self._names.stop()
        self.expiry.stop()
        await self.journal.stop()
        close_store(self._engine)

    def stopService(self) -> Deferred[None]:
        """Twisted: drains. No new submits, answers under way are awaited (bounded), all unbind."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())


__all__ = ["CannotStart", "Gateway", "ProvisioningError"]
