"""Inbound: takes messages from handsets (MO) and finds the account whose number they were sent to.

Comes from: ``send``'s links with deliver_sm that are no receipts; parts of long ones by way of
``join``. Goes on to: ``handover``, by the account's queue, and ``deliver``, by the queues of the
number's targets.
"""

import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw import codes
from smsgw.config import Config
from smsgw.flow.actions import targets_for
from smsgw.flow.forward import Forwarding
from smsgw.flow.join import LARGEST, Joining, Undo
from smsgw.flow.optout import Batch, OptOuts
from smsgw.flow.reporting import Reporting
from smsgw.flow.targets import HANDOVER_MS, MO_MS, mo_queue
from smsgw.identities import Identities
from smsgw.message import UDHI, Direction, Message, MessageState
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.rules.filters import text_of
from smsgw.rules.numbers import Rule
from smsgw.rules.tables import Tables
from smsgw.smpp import translate
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import DeliverSm, DeliverSmResp
from smsgw.store import media, records
from smsgw.store.journal import EndedBefore, Journal
from smsgw.store.records import Records
from smsgw.text import coding, parts

_log = Logger()

ANONYMOUS = "anonymous"  # source of a multimedia MO whose sender hides (ruling 29)
NO_TARGET = "no target"  # in place of a network error: the number of the MO has none


@define
class _Work:
    """What one transaction takes."""

    now: int
    tables: Tables
    transaction: Transaction
    words: Batch | None
    undo: list[Undo] = field(factory=list)
    passed_on: int = 0  # messages


class Inbound:
    """Takes the MO of all carriers."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        known: Records,
        identities: Identities,
        now: Callable[[], float] = time.time,
        optouts: OptOuts | None = None,
        forwarding: Forwarding | None = None,
        config: Config | None = None,
    ) -> None:
        """``optouts`` obeys opt-out words, ``forwarding`` knows what was forwarded before; nothing
        does without them. ``config`` says which dialects want long messages whole."""
        self._forwarding = forwarding
        self._config = config or Config()
        self.joining = Joining(identities)
        self._tables = tables
        self._queues = queues
        self._known = known
        self._allot = identities.allot
        self._now = now
        self._optouts = optouts
        # Tells carriers of multimedia MO what became of them; nobody does without it.
        self.reporting: Reporting | None = None
        # The link to the page of a multimedia MO, for sessions, which take no media; "": none.
        self.link: Callable[[Message], str] = lambda message: ""
        self.media_ms = 30 * 24 * 3600_000  # how long media of messages are kept
        self.received = 0
        self.nobodys = 0  # refused: no account has the number

    def receive(self, carrier: str, pdus: list[DeliverSm]) -> Deferred[list[DeliverSmResp]]:
        """Fires with an answer for each, once all that is taken is durable.

        For a number that nobody has the carrier gets ESME_RINVDSTADR, so it never thinks it was
        delivered.
        """
        work = self._begin()
        answers: list[DeliverSmResp] = []
        taken = 0
        for pdu in pdus:
            status = self._take(carrier, translate.mo_of(pdu), work)
            taken += status == Status.ESME_ROK
            answers.append(DeliverSmResp(sequence=pdu.sequence, status=status))
        if not taken and not work.undo:
            return succeed(answers)

        def stored(_: None) -> list[DeliverSmResp]:
            return answers

        def not_stored(failure: Failure) -> list[DeliverSmResp]:
            for answer in answers:
                if answer.status == Status.ESME_ROK:
                    answer.status = Status.ESME_RX_T_APPN
            return answers

        return self._commit(work).addCallbacks(stored, not_stored)

    def multimedia(
        self,
        carrier: str,
        messages: list[Message],
        beside: Callable[[list[Message | Refusal], Transaction], None],
    ) -> Deferred[list[Message | Refusal]]:
        """Takes multimedia messages of one request, whose media are in the media store already;
        fires with each, now durable, or why it is not taken. Fails if nothing was stored.

        ``beside`` adds to the transaction what belongs to them.
        """
        work = self._begin()
        outcomes = [self._multimedia(carrier, message, work) for message in messages]
        beside(outcomes, work.transaction)
        return self._commit(work).addCallback(lambda _: outcomes)

    def _multimedia(self, carrier: str, message: Message, work: _Work) -> Message | Refusal:
        address = message.destination.removeprefix("+")
        rule = work.tables.numbers.find(address, partial(text_of, message))
        kept = message.multimedia
        if rule is None or kept is None:
            self.nobodys += 1
            return Refusal(Reason.NO_ROUTE, message.destination)
        message.account = rule.account.name
        work.passed_on += 1
        if work.words is not None:
            work.words.obey(message, rule.account, rule.number, work.now)
        if kept.visibility == "Hide":
            message.source, message.source_ton = ANONYMOUS, 0
        self._record(message, carrier, rule, work.now, work.transaction)
        work.transaction.changes.media += media.rows_of(message, self.media_ms)
        state = MessageState(message.state)
        if state.final and self.reporting is not None:
            self.reporting.ended(message, state, work.transaction)
        return message

    def _note(self, message: Message) -> None:
        """What a session gets of a multimedia message: its subject and text, and the link."""
        text = "\n".join(one for one in (text_of(message), self.link(message)) if one)
        message.data_coding, octets = coding.smallest(text)
        message.parts = [octets]

    def review(self) -> Deferred[None]:
        """Parts of which the rest does not come go on by themselves (998); fires when that is
        durable."""
        work = self._begin()
        self._let_go(work)
        if not work.undo:
            return succeed(None)
        return self._commit(work).addErrback(lambda _: None)

    async def follow(self, journal: Journal) -> None:
        """Joins messages of which parts have come to other nodes. Called every second where there
        are such; raises ``StoreFailed``."""
        for key in await self.joining.follow(journal):
            work = self._begin()
            whole = self.joining.complete(key, work.now, work.transaction, work.undo)
            if whole is not None:
                self._pass_on(key.carrier, whole, work, joined=True)
                with suppress(EndedBefore):
                    await self._commit(work)

    def _begin(self) -> _Work:
        tables, transaction = self._tables(), Transaction()
        words = self._optouts.batch(tables, transaction) if self._optouts else None
        return _Work(int(self._now() * 1000), tables, transaction, words)

    def _commit(self, work: _Work) -> Deferred[None]:
        """Makes it durable, or undoes what it changed in memory and fails."""

        def stored(_: None) -> None:
            self.received += work.passed_on

        def not_stored(failure: Failure) -> Failure:
            if failure.check(EndedBefore) is None:
                _log.error("inbound: not stored: {why}", why=failure.getErrorMessage())
            for undo in reversed(work.undo):
                undo()
            return failure

        words = work.words
        done = words.commit() if words is not None else self._queues.commit(work.transaction)
        return done.addCallbacks(stored, not_stored)

    def _take(self, carrier: str, message: Message, work: _Work) -> Status:
        """Takes what a carrier brings; what it is to be answered if that is stored."""
        place = None
        if message.esm_class & UDHI and len(message.parts[0]) <= LARGEST:
            place = parts.concat(message.parts[0])
        if place is None or place[1] < 2 or not self._joins(message, work.tables):
            return self._pass_on(carrier, message, work)
        joining = self.joining
        if joining.conflicts(carrier, message, place):
            for one in joining.release(carrier, message, place, work.transaction, work.undo):
                self._pass_on(carrier, one, work, codes.PARTS_MISSING)
        whole = joining.add(carrier, message, place, work.now, work.transaction, work.undo)
        if joining.crowded:
            self._let_go(work)
        if whole is not None:
            self._pass_on(carrier, whole, work, joined=True)
        return Status.ESME_ROK

    def _let_go(self, work: _Work) -> None:
        for carrier, one in self.joining.overdue(work.now, work.transaction, work.undo):
            self._pass_on(carrier, one, work, codes.PARTS_MISSING)

    def _joins(self, message: Message, tables: Tables) -> bool:
        """True if somebody who may be meant wants the whole message: it is the text of its first
        part that says which rule it is for, and the others are for the same."""
        return any(
            rule.number.keyword or self._wants_whole(rule)
            for rule in tables.numbers.meant_by(message.destination.removeprefix("+"))
        )

    def _wants_whole(self, rule: Rule) -> bool:
        """True if one of the places where the messages of a number go takes no parts: all but
        sessions, unless ``join_parts`` of their dialect says otherwise (A-D11, Q-D20)."""
        own = rule.account.settings
        actions = [action for one in rule.account.route for action in one.actions]
        if any(one.type == "EMAIL" or one.type.endswith("MO-HTTP") for one in actions):
            return True
        for target in rule.targets:
            if target.kind in ("smpp", "null"):
                continue
            if target.dialect == "aaisp":
                joins = self._config.aaisp.for_account(own.get("aaisp", {})).join_parts
            elif target.dialect == "aql":
                joins = self._config.aql.for_account(own.get("aql", {})).join_parts
            else:
                joins = True
            if joins:
                return True
        return False

    def _pass_on(
        self, carrier: str, message: Message, work: _Work, error: int = 0, joined: bool = False
    ) -> Status:
        """A message goes on to whose number it is for; ``error`` is why it is not whole, ``joined``
        says that it was made of parts."""
        address = message.destination.removeprefix("+")
        rule = work.tables.numbers.find(address, partial(text_of, message))
        if rule is None:
            self.nobodys += 1
            _log.warn(
                "MO from carrier {carrier} to {number}: no account has this number",
                carrier=carrier,
                number=message.destination,
            )
            if error or joined:
                self._keep_nobodys(carrier, message, work)
            return Status.ESME_RINVDSTADR
        message.account = rule.account.name
        message.error = error
        work.passed_on += 1
        self._record(message, carrier, rule, work.now, work.transaction)
        if work.words is not None:
            work.words.obey(message, rule.account, rule.number, work.now)
        return Status.ESME_ROK

    def _keep_nobodys(self, carrier: str, message: Message, work: _Work) -> None:
        """The number was taken away while parts waited that the carrier thinks delivered: they are
        kept as a refused message of no account (I1)."""
        message.id = self._allot()
        message.direction = Direction.MO
        message.accepted_at = message.done_at = work.now
        message.carriers = [carrier]
        message.state = MessageState.REJECTED
        message.error = codes.NO_ROUTE
        work.transaction.changes.messages.append(records.row(message, None))

    def _record(
        self, message: Message, carrier: str, rule: Rule, now: int, transaction: Transaction
    ) -> None:
        message.id = self._allot()
        message.direction = Direction.MO
        message.accepted_at = now
        message.carriers = [carrier]
        if self._forwarding is not None:
            message.via = self._forwarding.via(message)
        self._known.known[message.id] = message
        targets = rule.targets
        if rule.account.route:
            routed = targets_for(message, rule.account, Kind.MO)
            targets = rule.targets if routed is None else routed
        if message.multimedia is not None and any(one.kind == "smpp" for one in targets):
            self._note(message)
        # That it goes to the sessions only is not written down.
        if [target.kind for target in targets] != ["smpp"]:
            message.targets = [target.text for target in targets]
        until = message.multimedia.expires_at if message.multimedia is not None else 0
        for part, target in enumerate(targets):
            expires = now + (HANDOVER_MS if target.kind == "smpp" else MO_MS)
            expires = min(expires, until) if until else expires
            message.expires_at = max(message.expires_at, expires)
            queue = mo_queue(message.account, target)
            transaction.put.append(
                Entry(self._allot(), queue, now, Kind.MO, message, part, expires_at=expires)
            )
        if not targets:
            # It goes nowhere (A-D6), and is not to look as if somebody had it.
            _log.info("MO {id} to {number}: no target", id=message.id, number=message.destination)
            message.state = MessageState.REJECTED
            message.error, message.network_error = codes.REJECTED_BY_NEXT_HOP, NO_TARGET
            message.done_at = now
        transaction.changes.messages.append(records.row(message, None))
