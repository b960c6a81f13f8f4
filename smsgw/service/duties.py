"""Duties: what of the work of all nodes this one does, as nodes come and go.

The scheduler's jobs that are to run once, and carriers that take one bind, are leases of the
registry (``cluster/registry.py``); the binds of other carriers are shared among the nodes.
"""

from collections.abc import Set
from typing import TYPE_CHECKING
from zlib import crc32

from attrs import evolve
from sqlalchemy import Engine
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.cluster.registry import SCHEDULER, Registry, of_carrier
from smsgw.config.sections import ROLES
from smsgw.provisioning import Carrier
from smsgw.queues.broker import BrokerQueues
from smsgw.store.nodes import NodeRow

if TYPE_CHECKING:
    from smsgw.service.gateway import Gateway

_log = Logger()


class Duties:
    """The part that one gateway has in the work of all."""

    def __init__(self, gateway: "Gateway", registry: Registry) -> None:
        """Nothing is done before ``begin``."""
        self._gateway = gateway
        self._registry = registry
        self._roles = frozenset(gateway.config.node.roles)
        self._scheduling = self._running = False
        self._missing: list[str] = []
        registry.links = gateway.sessions.links
        registry.wanted = self._wanted
        registry.buried = self._buried
        registry.fenced = self._fenced
        registry.on_change(self._changed)

    async def start(self, engine: Engine) -> None:
        """The node is known to the others, and knows them."""
        await self._registry.start()
        # From now on the store takes nothing from this process once it is declared dead.
        engine.update_execution_options(incarnation=self._registry.row.incarnation)

    def begin(self) -> None:
        """Everything is there for the work to begin."""
        self._running = True
        self._changed()

    def end(self) -> None:
        """No more work is taken up."""
        self._running = False

    def carriers(self, forms: dict[str, Carrier]) -> dict[str, Carrier]:
        """Those that this node is to connect to, each with the number of its binds here."""
        if "carriers" not in self._roles:
            return {}
        wanted = {of_carrier(n) for n, one in forms.items() if _alone(one)}
        if wanted - self._registry.leases.keys() and self._running:
            # One that is new is bound now, not with the next beat.
            Deferred.fromCoroutine(self._registry.beat())
        found = {}
        for name, form in forms.items():
            binds = self._binds(form)
            if binds:
                found[name] = form if binds == form.binds else evolve(form, binds=binds)
        return found

    def _binds(self, form: Carrier) -> int:
        if form.kind != "smpp":
            return form.binds
        if _alone(form):
            return int(of_carrier(form.name) in self._registry.held)
        nodes = [n for n, row in sorted(self._registry.alive.items()) if "carriers" in row.roles]
        if self._registry.number not in nodes:
            return 0
        each, over = divmod(form.binds, len(nodes))
        # What does not come out even goes to other nodes for other carriers.
        place = nodes.index(self._registry.number) + crc32(form.name.encode())
        return each + (place % len(nodes) < over)

    def _wanted(self) -> Set[str]:
        wanted = {SCHEDULER} if SCHEDULER in self._roles else set()
        if "carriers" in self._roles:
            forms = self._gateway.tables.carriers.values()
            wanted |= {of_carrier(one.name) for one in forms if _alone(one)}
        return wanted

    def _changed(self) -> None:
        if not self._running:
            return
        gateway = self._gateway
        gateway.provision_carriers()
        scheduling = SCHEDULER in self._registry.held
        if scheduling and not self._scheduling:
            _log.info("this node does what one node does for all: expiry, retention, media")
            gateway.expiry.start()
            gateway.collector.start(alone=False)
            gateway.retention.start()
        elif self._scheduling and not scheduling:
            gateway.expiry.stop()
            gateway.collector.stop()
            gateway.retention.stop()
        self._scheduling = scheduling
        there = {role for row in self._registry.alive.values() for role in row.roles}
        missing = [role for role in ROLES[3:] if role not in there]
        if missing != self._missing and missing:
            _log.warn(
                "no node has the roles {roles}: what is theirs waits", roles=", ".join(missing)
            )
        self._missing = missing

    def _buried(self, dead: NodeRow) -> None:
        queues = self._gateway.queues
        if isinstance(queues, BrokerQueues):
            queues.took_over().addErrback(
                lambda failure: _log.failure("node {n}: taking over", failure, n=dead.number)
            )
        Deferred.fromCoroutine(self._gateway.receipts.adopt()).addErrback(
            lambda failure: _log.failure("node {n}: early receipts", failure, n=dead.number)
        )
        Deferred.fromCoroutine(self._gateway.replies.adopt()).addErrback(
            lambda failure: _log.failure("node {n}: its mails", failure, n=dead.number)
        )
        # What it had for itself is free: it need not wait for the next beat.
        Deferred.fromCoroutine(self._registry.beat())

    def _fenced(self) -> None:
        self._gateway.fenced.callback(None)


def _alone(form: Carrier) -> bool:
    """True for a carrier that one node at a time is to be bound to."""
    return form.kind == "smpp" and form.binds == 1
