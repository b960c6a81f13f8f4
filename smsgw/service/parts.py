"""Makes the parts of a gateway, and wires them together."""

import time
from secrets import randbits
from typing import Any

from sqlalchemy import Connection, Engine
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw import __version__
from smsgw.amqp.address import parse_address
from smsgw.cluster import Registry
from smsgw.config import Config
from smsgw.doors import Doors
from smsgw.esmes.binds import Binds
from smsgw.esmes.gate import Esmes, Wordings
from smsgw.esmes.queries33 import Queries33
from smsgw.esmes.spread import Spread
from smsgw.esmes.submissions import Submissions
from smsgw.esmes.submitted import Submitted
from smsgw.flow.accept import Acceptance
from smsgw.flow.alerts import Alerts
from smsgw.flow.awaited import Awaited
from smsgw.flow.cancel import Cancelling
from smsgw.flow.carrier import CarrierSide
from smsgw.flow.carriers import Carriers, Mmscs
from smsgw.flow.dead import DeadLetters
from smsgw.flow.deliver import Deliveries
from smsgw.flow.exchange import Exchange
from smsgw.flow.expiry import Expiry
from smsgw.flow.forward import Forwarding
from smsgw.flow.handover import Handover
from smsgw.flow.inbound import Inbound
from smsgw.flow.link import Links
from smsgw.flow.lists import Lists
from smsgw.flow.mm4_answers import Mm4Answers
from smsgw.flow.money import Balances
from smsgw.flow.multimedia import MultimediaSide
from smsgw.flow.optout import OptOuts
from smsgw.flow.others import Others
from smsgw.flow.passed import PassedOn
from smsgw.flow.pending import Pending
from smsgw.flow.quotas import Quotas
from smsgw.flow.receipts import Receipts
from smsgw.flow.replace import Replacing
from smsgw.flow.replay import Replays
from smsgw.flow.replies import Replies, take_over_mails
from smsgw.flow.retention import Retention
from smsgw.flow.settle import Settlement
from smsgw.flow.targets import Messenger
from smsgw.http import rest_codes
from smsgw.http.callbacks import Callbacks
from smsgw.http.fediverse import Fediverse
from smsgw.http.lookup import HttpProvider
from smsgw.identities import Identities
from smsgw.mail import Mail
from smsgw.media import Collector, open_media
from smsgw.outward import NameThreads
from smsgw.provisioning import Carrier, Provisioning
from smsgw.provisioning.reach import Reach
from smsgw.queues import rows
from smsgw.queues.broker import BrokerQueues
from smsgw.queues.embedded import EmbeddedQueues
from smsgw.queues.wire import BrokerWire
from smsgw.rules.tables import Tables
from smsgw.smpp.client import CarrierLink, LinkSettings
from smsgw.smpp.connection import SmppConnection
from smsgw.smpp.trace import Subject, Traces
from smsgw.store import lists
from smsgw.store.database import place_of
from smsgw.store.journal import Journal
from smsgw.store.nodes import NodeRow
from smsgw.store.records import Records
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier

_log = Logger()

_RECONNECT_MOST_S = 60.0  # between two tries of a link
_WINDOW = 10_000  # of a link; what may be outstanding is bounded by flow.send.Outlet

# Of so many numbers for sessions of 3.3 each node gives one: nodes that serve them have numbers
# that are not alike modulo this.
_STRIDE = 4


class Parts:
    """What a gateway consists of, but for what takes from all of it."""

    def __init__(self, config: Config, engine: Engine, reactor: Any) -> None:
        """``engine`` is an open store (``store.database.open_store``)."""
        self.config = config
        self.reactor = reactor
        self._engine = engine
        self.tables = Tables(Provisioning())
        self.journal = Journal(engine, reactor)
        self.known = Records()
        self.identities = Identities(config.node.number)
        # The way to the broker, None if the queues are in the store.
        self.wire: BrokerWire | None = None
        self.queues: EmbeddedQueues | BrokerQueues
        if config.broker.embedded:
            self.queues = EmbeddedQueues(self.journal, self.known, reactor)
        else:
            self.wire = BrokerWire(parse_address(config.broker.url), reactor)
            self.queues = self.wire.told = BrokerQueues(
                self.journal,
                self.known,
                reactor,
                self.wire,
                self.identities.allot,
                config.node.number,
                shared=engine.dialect.name != "sqlite",
            )
            self.queues.outbox_limit = config.broker.outbox_limit
        self.queues.limit = self._queue_limit
        # The nodes of the store, None if this process has it for itself.
        self.registry: Registry | None = None
        if config.shared and isinstance(self.queues, BrokerQueues):
            row = NodeRow(
                config.node.number,
                config.node.name,
                tuple(config.node.roles),
                __version__,
                {},
                0,
                0,
                randbits(62),
            )
            self.registry = Registry(self.journal, reactor, row, self._take_over)
            self.queues.schedules("scheduler" in config.node.roles)
        self.awaited = Awaited()
        self.balances = Balances()
        self.quotas = Quotas()
        # True if other nodes may have the same store: what is decided in memory is then one node's
        # view only.
        self.shared = self.wire is not None and engine.dialect.name != "sqlite"
        self.balances.shared = self.quotas.shared = self.shared
        self.known.shared = self.shared
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
        if self.shared:
            self.settlement.others = Others(self.journal, self.known, self.settlement)
        self.expiry = Expiry(
            self.current, self.queues, self.journal, self.known, self.settlement, reactor
        )
        self.receipts = Receipts(
            self.current, self.journal, self.known, self.awaited, self.settlement
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
        self.acceptance.link_by(Links(config.http.public_url))
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
        self.inbound.joining.shared = self.shared
        wordings = Wordings(config, self.current)
        rest_codes.reword(config.aerialink.codes)
        self.handover = Handover(self.queues, self.settlement, wordings, reactor)
        beside = place_of(engine) / "media"
        self.media = open_media(config.media.url, config.media.folder or beside, reactor)
        self._mail = Mail(config, reactor, media=self.media)
        self._messengers: dict[str, Messenger] = {
            "http": Callbacks(config, reactor, media=self.media),
            "email": self._mail,
            "toot": Fediverse(config, reactor),
        }
        self.deliveries = Deliveries(
            config,
            self.current,
            self.queues,
            self.settlement,
            self.acceptance,
            self.forwarding,
            self._messengers,
        )
        if self.registry is not None and "handover" not in config.node.roles:
            self.queues.attend = lambda queue: None
        self._names = NameThreads(reactor)
        self._reach = Reach.of(
            config.aaisp, config.aql, config.aerialink, config.smpp.outbind_private
        )
        self.dead_letters = DeadLetters(self.journal, self.queues, self.known, self.settlement)
        self.doors = Doors(self.current, config.aerialink.open_if_empty)
        self.pending = Pending(self.current, self.queues, self.journal, self.known, self.identities)
        self.pending.shared = self.shared
        self.cancelling = Cancelling(
            self.pending, self.queues, self.journal, self.known, self.settlement
        )
        self.replays = Replays(self.current, self.queues, self.settlement, self.identities.allot)
        self.retention = Retention(
            config.store.retention_days,
            self.journal,
            self.known,
            lambda: self.dead_letters.reopened + self.replays.reopened,
            reactor,
        )
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
            self.settlement,
        )
        queries33 = Queries33(self.current, self.pending, self.balances)
        submitted = Submitted(
            self.current, self.pending, self.cancelling, self.replacing, queries33
        )
        submissions = Submissions(
            self.current, self.acceptance, self.contacts, self.identities.allot, wordings
        )
        if self.shared:
            submissions.stride, submissions.place = _STRIDE, config.node.number % _STRIDE
        binds = Binds(config, self.current, time.time)
        binds.allot = self.identities.allot
        if self.shared:
            number, allot = config.node.number, self.identities.allot
            binds.spread = Spread(self.journal, reactor, number, allot, time.time)
        self.traces = Traces(self._connections, self._account_of, time.time)
        self.esmes = Esmes(
            self.doors, self.acceptance, self.handover, wordings, submitted, submissions, binds
        )
        self.alerts = Alerts(self.current, binds.of)
        self.carriers = Carriers(self._make_carrier, self._forsake)
        self.pending.passed = PassedOn(lambda: self.carriers.sides, self.settlement)
        self.acceptance.media_ms = config.media.days * 24 * 3600_000
        self.collector = Collector(self.media, self.journal, reactor)
        self.exchange = Exchange(config, self.current, reactor)
        self.replies = Replies(
            self.current,
            self.exchange,
            self.journal,
            self.identities,
            reactor,
            node=config.node.number,
            shared=self.registry is not None,
        )
        self.mmscs = Mmscs(self._mmsc, self._forsake)
        self.mm4_answers = Mm4Answers(
            lambda: self.mmscs.sides,
            self.queues,
            self.pending,
            self.settlement,
            self.replies,
            self.exchange,
            self.identities,
        )

    def _take_over(self, connection: Connection, dead: int) -> None:
        rows.take_over(connection, dead, self.config.node.number)
        take_over_mails(connection, dead, self.config.node.number)

    def current(self) -> Tables:
        """The tables in force."""
        return self.tables

    def is_up(self, carrier: str) -> bool:
        """True if the carrier has a link up, here or on another node."""
        return self._is_up_here(carrier) or (
            self.registry is not None and self.registry.is_up(carrier)
        )

    def _is_up_here(self, carrier: str) -> bool:
        mmsc = self.mmscs.sides.get(carrier)
        if mmsc is not None:
            return mmsc.up
        side = self.carriers.sides.get(carrier)
        return side is not None and any(link.up for link in side.links)

    def _queue_limit(self, queue: str) -> int:
        """How many entries a queue may have before no more messages are taken for it."""
        kind, _, name = queue.partition(":")
        form = self.tables.carriers.get(name) if kind == "carrier" else None
        if form is None:
            return 0
        return self.config.queues.limit if form.queue_limit is None else form.queue_limit

    async def contacts(self, account: str, name: str, most: int) -> list[str] | None:
        """The first ``most`` numbers of a list of contacts, None if there is no such list."""

        def read(connection: Connection) -> list[str] | None:
            found = lists.find(connection, account, name)
            if found is None or found.type != "contact":
                return None
            return [number for number, _, _ in lists.page(connection, found.id, limit=most)]

        return await self.journal.run(read)

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

    def _mmsc(self, form: Carrier) -> MultimediaSide:
        return MultimediaSide(
            form, self.queues, self.settlement, self.exchange, self.media, self.reactor
        )

    def _make_carrier(self, form: Carrier) -> Deferred[CarrierSide]:
        return Deferred.fromCoroutine(self._carrier(form))

    async def _carrier(self, form: Carrier) -> CarrierSide:
        host, port = form.host, form.connect_port
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
            response_s=form.response_s,
            enquire_s=form.enquire_s,
            reconnect_min_s=form.reconnect_s,
            reconnect_max_s=max(form.reconnect_s, _RECONNECT_MOST_S),
            tls=form.tls is True,
            outbind=form.outbind,
        )
        side.alerts = self.alerts.receive
        if form.kind == "simulator":
            side.afterwards = simulator.stop

        def link(number: int) -> CarrierLink:
            made = CarrierLink(settings, side, self.reactor, name=str(number))
            made.traces = self.traces, form.name
            return made

        side.make_link = link
        side.links = [link(n + 1) for n in range(form.binds)]
        return side

    def _forsake(self, carrier: str) -> None:
        _log.info("carrier {carrier} is no more: what waits for it finds another", carrier=carrier)
        Deferred.fromCoroutine(self.expiry.forsake(carrier)).addErrback(
            lambda failure: _log.failure("carrier {carrier}: forsake", failure, carrier=carrier)
        )
