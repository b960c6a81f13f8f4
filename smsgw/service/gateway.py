"""The gateway of one node: starts its parts in the right order, changes what is provisioned while
they run, and stops them."""

import gc
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from attrs import evolve
from sqlalchemy import Engine
from twisted.application.service import Service
from twisted.internet.defer import (
    Deferred,
    TimeoutError,
    gatherResults,
    maybeDeferred,
)
from twisted.internet.task import LoopingCall
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from smsgw import __version__
from smsgw.config import Config
from smsgw.email_submission import EmailSubmission
from smsgw.esmes.outbinds import Outbinds
from smsgw.flow import duplicates
from smsgw.listeners import CannotStart, Listeners
from smsgw.message import Message
from smsgw.mms.messenger import CustomerMmscs
from smsgw.mms.wiring import wire
from smsgw.operate.health import Readiness
from smsgw.operate.live import LiveOperator
from smsgw.operate.metrics import Metrics
from smsgw.operate.sampler import Sampler
from smsgw.operate.sessions import Sessions
from smsgw.provisioning import Change, Provisioning
from smsgw.queues.broker import BrokerQueues
from smsgw.rules.tables import Tables
from smsgw.s3 import Unusable
from smsgw.service.duties import Duties
from smsgw.service.following import Following
from smsgw.service.parts import Parts
from smsgw.smtp.envelope import Receive
from smsgw.smtp.grammar import Recipient
from smsgw.smtp.peers import Peer
from smsgw.smtp.replies import Reply
from smsgw.smtp.reply_address import ReplyAddresses
from smsgw.store import batches, provision, records, schema
from smsgw.store.database import close_store

_log = Logger()

_DRAIN_S = 10.0  # how long answers under way are waited for at a stop
_PART_S = 20.0  # how long a part may take to stop; each has a shorter time of its own
_REVIEW_S = 5.0  # how often sessions and receipts that matched nothing are looked at again


class Gateway(Parts, Service):
    """The whole gateway of one node."""

    name = "smsgw"
    customers: CustomerMmscs  # of MM4; ``mms.wiring`` makes it

    def __init__(self, config: Config, engine: Engine, reactor: Any) -> None:
        """``engine`` is an open store (``store.database.open_store``)."""
        super().__init__(config, engine, reactor)
        self.mms = wire(self, self._messengers)
        self.email = EmailSubmission(
            config,
            self.current,
            self.acceptance,
            self.known,
            self.media,
            self.pending.message,
            self.identities.allot,
        )
        self.mms.plain, self.mms.plain_recipient = self.email.receive, self.email.refused_recipient
        # What takes mail that has come whole, and says what is wrong with a recipient.
        self.receive_mail: Receive = self.mms.receive
        self.refused_recipient: Callable[[Peer, Recipient], Reply | None]
        self.refused_recipient = self.mms.refused_recipient
        self.readiness = Readiness(self)
        self.listeners = Listeners(self)
        self.outbinds = Outbinds(
            config,
            self.current,
            self.esmes,
            self.queues,
            self.listeners.profile,
            reactor,
            self.traces,
        )
        self.sampler = Sampler(self)
        self.sessions = Sessions(self)
        self.metrics = Metrics(self)
        self.operator = LiveOperator(self)
        # None if no other node has the store too.
        self.following: Following | None = Following(self, engine) if self.shared else None
        self.duties: Duties | None = None
        if self.registry is not None:
            self.duties = Duties(self, self.registry)
        # Fires if other nodes have declared this one dead: then it is to end.
        self.fenced: Deferred[None] = Deferred()
        self._reviewing = LoopingCall(self._review)
        self.ready: Deferred[None] = Deferred()  # fires when everything listens

    @property
    def outbox_full(self) -> bool:
        """True if so much waits for the broker that no more messages are accepted."""
        return isinstance(self.queues, BrokerQueues) and self.queues.full.everything

    async def start(self) -> None:
        """Starts everything; raises CannotStart."""
        self.journal.start()
        try:
            self.media.start()
        except (OSError, Unusable) as error:
            raise CannotStart(f"media: {error}; mend media.folder or media.url") from error
        try:
            await self.reload()
            await self._serve_replies()
        except Exception as error:
            raise CannotStart(str(error)) from error
        self.identities.allotted_at_least(await self.journal.run(records.highest_id))
        await self.receipts.adopt()
        await self.inbound.joining.load(self.journal)
        await self.lists.load(self.journal)
        await duplicates.load(self.acceptance.duplicates, self.tables, self.journal, time.time())
        if self.duties is not None:
            await self.duties.start(self._engine)
        if self.wire is not None:
            self.wire.start()
        await self.queues.load()
        if self.duties is None:
            self.expiry.start()
            self.collector.start(alone=self.config.store.is_file and not self.config.media.url)
            self.retention.start()
        await self.listeners.start()
        self._names.start()
        _log.info(
            "smsgw {version} is ready: store {store}, {accounts} accounts, {carriers} carriers",
            version=__version__,
            store=self.config.store.shown,
            accounts=len(self.tables.accounts),
            carriers=len(self.tables.carriers),
        )
        # What is here now stays: the collector need not look at it again. And what a burst of
        # messages makes is freed by counting; a cycle is rare, so it looks less often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)
        self.provision_carriers()
        await self.replies.start()
        self._reviewing.clock = self.reactor
        self._reviewing.start(_REVIEW_S, now=False)
        self.sampler.start()
        self.outbinds.start()
        if self.duties is not None:
            self.duties.begin()
        if self.following is not None:
            self.following.start()
        # Carriers may have been removed while the gateway was down.
        for queue in self.queues.resident() if "scheduler" in self.config.node.roles else ():
            kind, _, name = queue.partition(":")
            if kind == "carrier" and name not in self.tables.carriers:
                self._forsake(name)

    async def _serve_replies(self) -> None:
        """Where mail is taken, what is mailed can be answered."""
        smtp = self.config.smtp
        if smtp.domains.sms and smtp.listen and smtp.reply_days:
            key = await self.journal.run(provision.reply_key)
            replying = ReplyAddresses(key, smtp.domains.sms.lower(), smtp.reply_days)
            self._mail.replying = self.email.replying = replying

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
            self.provision_carriers()
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

    def when_answered(self, message: Message) -> Deferred[None]:
        """See ``flow.settle.Settlement.when_answered``."""
        return self.settlement.when_answered(message)

    async def cancel(self, account: str | None, id: int) -> Any:
        """See ``flow.cancel.Cancelling.cancel``."""
        return await self.cancelling.cancel(account, id)

    def provision_carriers(self) -> None:
        """Starts, stops and adjusts those that are to be now."""
        forms = self.tables.carriers
        if self.duties is not None:
            forms = self.duties.carriers(forms)
        self.carriers.provision({n: one for n, one in forms.items() if one.kind != "mm4"})
        self.mmscs.provision(forms)

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
        if self.settlement.others is not None:
            try:
                await self.settlement.others.review()
            except Exception:
                _log.failure("messages of several parts: review")
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
        await self._ended("listeners", self.listeners.close)
        await self._ended("calls to clients", self.outbinds.stop, _DRAIN_S)
        await self._ended("customers' connections", self.listeners.drain, _DRAIN_S)
        await self._ended("carriers", self.carriers.stop)
        if self._reviewing.running:
            self._reviewing.stop()
        self.sampler.stop()
        if self.following is not None:
            stopping = Deferred.fromCoroutine(self.following.stop())
            await self._ended("news of other nodes", lambda: stopping)
        if self.duties is not None:
            self.duties.end()
        self.retention.stop()
        self.queues.stop()
        await self._ended("deliveries", self.deliveries.stop)
        await self._ended("mail", self._stop_mail)
        if self.lookups is not None:
            await self._ended("look-ups", self.lookups.stop)
        self._names.stop()
        self.expiry.stop()
        await self._ended("media", self.collector.stop)
        self.media.stop()
        if self.wire is not None:
            await self._ended("broker", self.wire.stop)
        if self.registry is not None:
            leaving = Deferred.fromCoroutine(self.registry.stop())
            await self._ended("node", lambda: leaving)
        # However long it takes: while its thread writes, no other process may open the store.
        await self.journal.stop()
        close_store(self._engine)

    async def _ended(self, what: str, stop: Callable[..., Any], *arguments: Any) -> None:
        """Stops one part. What fails, or comes to no end, keeps nothing else from ending in order:
        whatever was acknowledged is in the store already (I1)."""
        try:
            await maybeDeferred(stop, *arguments).addTimeout(_PART_S, self.reactor)
        except TimeoutError:
            _log.error("stopping: {what} did not end within {s:g} s", what=what, s=_PART_S)
        except Exception:
            _log.failure("stopping: {what}", what=what)

    async def _stop_mail(self) -> None:
        """Mails to MMSCs that are under way go on for a while; what then has no answer is mailed
        again after a start."""
        self.replies.stop()
        late = self.reactor.callLater(_DRAIN_S, self.exchange.abort)
        await gatherResults([self.mmscs.stop(), self.exchange.stop()])
        if late.active():
            late.cancel()

    def stopService(self) -> Deferred[None]:
        """Twisted: drains. No new submits, answers under way are awaited (bounded), all unbind."""
        super().stopService()  # type: ignore[no-untyped-call]
        return Deferred.fromCoroutine(self._stop())
