"""Makes the parts of the gateway, wires them together, and starts and stops them in the right
order."""

import errno
import gc
import time
from functools import partial
from ipaddress import ip_address
from typing import Any

from attrs import evolve
from sqlalchemy import Engine
from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from smsgw import __version__
from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.esmes import Esmes, Wordings
from smsgw.flow.accept import Acceptance
from smsgw.flow.expiry import Expiry
from smsgw.flow.handover import Handover
from smsgw.flow.inbound import Inbound
from smsgw.flow.money import Balances
from smsgw.flow.receipts import Awaited, Receipts
from smsgw.flow.send import Carriers, CarrierSide
from smsgw.flow.settle import Settlement
from smsgw.http import admin, rest
from smsgw.http.server import HttpServerFactory
from smsgw.http.site import Site
from smsgw.identities import Identities
from smsgw.operate.live import LiveOperator
from smsgw.operate.metrics import Metrics
from smsgw.provisioning import Carrier, Provisioning, ProvisioningError
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.rules.tables import Tables
from smsgw.smpp.client import CarrierLink, LinkSettings
from smsgw.smpp.profile import PROFILES
from smsgw.smpp.server import SmppServerFactory
from smsgw.store import provision, records
from smsgw.store.database import close_store
from smsgw.store.journal import Journal
from smsgw.store.records import Records
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier

_log = Logger()

_DRAIN_S = 10.0  # how long answers under way are waited for at a stop
_REVIEW_S = 5.0  # how often receipts that matched nothing are looked at again
_WINDOW = 10_000  # of a link; what may be outstanding is bounded by flow.send.Outlet


class CannotStart(Exception):
    """The gateway cannot start; the text is one line that says why and what to do."""


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
        self.awaited = Awaited()
        self.balances = Balances()
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
        self.inbound = Inbound(self.current, self.queues, self.known, self.identities)
        self.acceptance = Acceptance(
            self.current,
            self.queues,
            self.known,
            self.identities,
            self.balances,
            is_up=self.is_up,
        )
        wordings = Wordings(config, self.current)
        self.handover = Handover(self.queues, self.settlement, wordings, reactor)
        self.doors = Doors(self.current, config.aerialink.open_if_empty)
        self.esmes = Esmes(self.doors, self.acceptance, self.handover, wordings)
        self.carriers = Carriers(self._make_carrier, self._forsake)
        self.operator = LiveOperator(self)
        self._reviewing = LoopingCall(self._review_receipts)
        self._ports: list[IListeningPort] = []
        self._smpp: list[SmppServerFactory] = []
        self._http: list[HttpServerFactory] = []
        self.ready: Deferred[None] = Deferred()  # fires when everything listens

    def current(self) -> Tables:
        """The tables in force."""
        return self.tables

    def is_up(self, carrier: str) -> bool:
        """True if the carrier has a link up."""
        side = self.carriers.sides.get(carrier)
        return side is not None and any(link.up for link in side.links)

    async def start(self) -> None:
        """Starts everything; raises CannotStart."""
        self.journal.start()
        try:
            await self.reload()
        except Exception as error:
            raise CannotStart(str(error)) from error
        self.identities.allotted_at_least(await self.journal.run(records.highest_id))
        await self.awaited.load(self.journal)
        await self.queues.load()
        self.expiry.start()
        await self._listen()
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
        # Compiling takes a moment with many routes, and the reactor is not to wait for it.
        tables = await deferToThread(Tables, provisioning, provisioning.version)
        if tables.version < self.tables.version:
            return
        self.tables = tables
        if self._ports:
            self.carriers.provision(tables.carriers)
            self.esmes.review(tables)

    async def apply(
        self, text: str, file: str, prune: bool, dry_run: bool, who: str
    ) -> tuple[list[str], int]:
        """Provisions what the TOML ``text`` says; the lines that tell what changed, and the version
        now.

        Raises ``ProvisioningError``, ``SecretsUnusable``.
        """
        while True:
            old = await self.journal.run(provision.load)
            # Passwords take 25 ms each to check or hash: on a thread, outside of the journal.
            changes = await deferToThread(provision.prepare, old, text, file, prune)
            lines = [line for change in changes for line in change.lines]
            if dry_run or not changes:
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
            )
            try:
                version = await self.journal.run(write)
            except provision.VersionMoved:
                continue
            await self.reload()
            return lines, version

    async def _listen(self) -> None:
        config = self.config
        for listener in config.smpp.listen:
            profile = evolve(
                PROFILES[listener.profile],
                system_id=config.smpp.system_id.encode(),
                **self._profile_settings(listener.profile),
            )
            factory = SmppServerFactory(self.esmes, profile, self.reactor)
            await self._open(listener.endpoint, factory, "smpp.listen")
            self._smpp.append(factory)
        customers = Site()
        rest.add(customers, rest.Rest(config, self.current, self.doors, self.acceptance, self))
        operators = Site()
        metrics = Metrics(self)
        admin.add(operators, self.operator, metrics.registry)
        for endpoints, site, key in (
            (config.http.listen, customers, "http.listen"),
            (config.http.admin, operators, "http.admin"),
        ):
            server = HttpServerFactory(site, self.reactor)
            self._http.append(server)
            for endpoint in endpoints:
                await self._open(endpoint, server, key)

    def _profile_settings(self, profile: str) -> dict[str, Any]:
        if profile == "link":
            link = self.config.link
            return {"idle_s": float(link.idle_close_s), "enquire_after_s": link.enquire_after_s}
        if profile == "standard":
            return {"vendor_statuses": self.config.aerialink.smpp_vendor_status}
        return {}

    async def _open(self, endpoint: str, factory: Any, key: str) -> None:
        try:
            port = await serverFromString(self.reactor, endpoint).listen(factory)
        except Exception as error:
            why = getattr(error, "socketError", None) or error
            taken = getattr(why, "errno", 0) == errno.EADDRINUSE
            remedy = "stop what uses it, or change the endpoint" if taken else "mend the endpoint"
            raise CannotStart(f"{key}: cannot listen on {endpoint}: {why}; {remedy}") from error
        self._ports.append(port)
        host = getattr(port.getHost(), "host", "")
        _log.info("{key}: listening on {endpoint}", key=key, endpoint=endpoint)
        if key == "http.admin" and host and not ip_address(host).is_loopback:
            _log.warn(
                "{key}: {endpoint} is open to other machines, and it asks for no login; "
                "add :interface=127.0.0.1",
                key=key,
                endpoint=endpoint,
            )

    async def message(self, account: str | None, id: int) -> Any:
        """The message with this id, None if there is none or it is not the account's (I6)."""
        found = self.known.known.get(id)
        if found is None:
            read = await self.journal.run(lambda c: records.read(c, [id]))
            found = self.known.adopt(read).get(id)
        if found is None or (account is not None and found.account != account):
            return None
        return found

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
            tls=form.tls,
        )
        if form.kind == "simulator":
            side.afterwards = simulator.stop
        side.links = [
            CarrierLink(settings, side, self.reactor, name=str(n + 1)) for n in range(form.binds)
        ]
        return side

    def _forsake(self, carrier: str) -> None:
        _log.info("carrier {name} is no more: what waits for it finds another", name=carrier)
        Deferred.fromCoroutine(self.expiry.forsake(carrier)).addErrback(
            lambda failure: _log.failure("carrier {name}: forsake", failure, name=carrier)
        )

    async def _review_receipts(self) -> None:
        try:
            await self.receipts.review()
        except Exception:
            _log.failure("receipts: review")

    def startService(self) -> None:
        """Twisted: starts; a fault is told in one line and ends the process."""
        super().startService()  # type: ignore[no-untyped-call]
        Deferred.fromCoroutine(self.start()).chainDeferred(self.ready)

    async def _stop(self) -> None:
        self.acceptance.draining = True
        closing = [port.stopListening() for port in self._ports]
        await DeferredList([d for d in closing if d is not None], consumeErrors=True)
        await gatherResults([factory.drain(_DRAIN_S) for factory in self._smpp])
        await gatherResults([server.drain(_DRAIN_S) for server in self._http])
        await self.carriers.stop()
        if self._reviewing.running:
            self._reviewing.stop()
        self.queues.stop()
        self.expiry.stop()
        await self.journal.stop()
        close_store(self._engine)

    def stopService(self) -> Deferred[None]:
        """Twisted: drains. No new submits, answers under way are awaited (bounded), all unbind."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())


__all__ = ["CannotStart", "Gateway", "ProvisioningError"]
