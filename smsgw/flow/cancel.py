"""Cancel: ends messages that no carrier has been given yet, as their submitters ask.

Comes from: an edge (``submitted`` for SMPP, ``http/rest.py``), or an operator.
Goes on to: ``settle``, which ends what is cancelled; ``passed`` for what a carrier has already.
"""

import time
from collections.abc import Callable, Collection, Sequence
from functools import partial

from twisted.logger import Logger

from smsgw import codes
from smsgw.flow import waiting
from smsgw.flow.decide import Outcome
from smsgw.flow.passed import NO_ANSWER
from smsgw.flow.pending import Before, Pending
from smsgw.flow.settle import Settlement
from smsgw.flow.waiting import Rows
from smsgw.message import Message, MessageState
from smsgw.queues import Entry, Queues, Transaction
from smsgw.refusals import Reason, Refusal
from smsgw.store import schema
from smsgw.store.journal import Journal, StoreFailed
from smsgw.store.records import Records

_log = Logger()

_TOGETHER = 500  # messages cancelled in one transaction


class Cancelling:
    """Ends pending messages."""

    def __init__(
        self,
        pending: Pending,
        queues: Queues,
        journal: Journal,
        known: Records,
        settlement: Settlement,
        now: Callable[[], float] = time.time,
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._pending = pending
        self._queues = queues
        self._journal = journal
        self._known = known
        self._settlement = settlement
        self._now = now
        self.cancelled = 0  # for operators, since the start

    async def cancel(
        self,
        account: str | None,
        id: int,
        fits: Callable[[Message], bool] = lambda message: True,
        action: schema.ActionRow | None = None,
    ) -> Outcome:
        """Ends a pending message as DELETED, or one that a carrier deletes that has it; the
        message, or why it stays as it is.

        ``fits`` says whether the message is the one that is meant, ``action`` what the audit keeps
        of it. The refusal is ``UNKNOWN_MESSAGE``, ``CANCEL_FAILED`` or ``STORE_FAILED``.
        """
        found = await self._pending.find(account, id)
        if found is None:
            return Refusal(Reason.UNKNOWN_MESSAGE)
        message, rows = found
        if not fits(message):
            return Refusal(Reason.CANCEL_FAILED, "another source or destination")
        entries = await self._pending.claim(message, rows)
        if entries is None:
            return await self._cancel_there(message, action)
        stored = await self._delete([(message, entries)], [action] if action else [])
        return Refusal(Reason.STORE_FAILED) if not stored else message

    async def _cancel_there(self, message: Message, action: schema.ActionRow | None) -> Outcome:
        """The same of a message that is not pending any more: its carriers are asked, if they are
        to be."""
        passed = self._pending.passed
        why = await passed.cancel(message) if passed is not None else None
        if why is None:
            return Refusal(Reason.CANCEL_FAILED, "it is not pending any more")
        if why:
            return Refusal(Reason.CANCEL_FAILED, why)
        if action is not None:
            transaction = Transaction()
            transaction.changes.actions.append(action)
            await self._settlement.persist(transaction)
        self.cancelled += 1
        return message

    async def cancel_batch(
        self,
        account: str | None,
        messages: Sequence[Message],
        fits: Callable[[Message], bool],
        action: schema.ActionRow | None = None,
    ) -> int | Refusal:
        """Cancels those of the messages that are pending and meant; how many there were. ``action``
        is what the audit keeps if there is one."""
        actions = [action] if action else []
        meant = [one.id for one in messages if fits(one) and not MessageState(one.state).final]
        done = 0
        silent = False
        for start in range(0, len(meant), _TOGETHER):
            ids = meant[start : start + _TOGETHER]
            read = await self._journal.run(partial(waiting.all_near, ids=ids))
            claimed: list[tuple[Message, list[Entry]]] = []
            elsewhere = []
            for found, rows in read:
                for message in self._known.adopt(found).values():
                    if await self._claim(message, rows, claimed):
                        continue
                    if self._elsewhere(message, rows):
                        elsewhere.append(message.id)
            if claimed and not await self._delete(claimed, actions):
                return Refusal(Reason.STORE_FAILED)
            if claimed:
                done += len(claimed)
                actions = []
            # In another carrier's queue, or with a carrier that can be asked: one by one.
            for id in elsewhere:
                if silent:
                    break
                one = actions[0] if actions else None
                outcome = await self.cancel(account, id, fits, one)
                if isinstance(outcome, Message):
                    done += 1
                    actions = []
                # Each of thousands would be waited for as long.
                silent = isinstance(outcome, Refusal) and outcome.detail == NO_ANSWER
        return done

    def _elsewhere(self, message: Message, rows: Rows) -> bool:
        """True if a message that is not pending here may be so in another carrier's queue, or with
        a carrier that deletes it."""
        if message.acknowledged:
            return self._pending.passed is not None and self._pending.passed.cancels(message)
        return len(rows) < len(message.parts)

    async def cancel_all(
        self, account: str, sources: Collection[str], destination: str, service_type: str
    ) -> int | Refusal:
        """Cancels all pending messages of the account from one of ``sources`` to ``destination``;
        how many there were."""
        async with self._pending.turn(account):
            found = await self._pending.addressed(account, sources, destination)
            done = 0
            for start in range(0, len(found), _TOGETHER):
                ids = [id for one in found[start : start + _TOGETHER] for id in one]
                claimed: list[tuple[Message, list[Entry]]] = []
                for message, rows in await self._pending.fresh(ids):
                    if message.service_type == service_type:
                        await self._claim(message, rows, claimed)
                if claimed and not await self._delete(claimed):
                    return Refusal(Reason.STORE_FAILED)
                done += len(claimed)
        return done

    async def _claim(
        self, message: Message, rows: Rows, claimed: list[tuple[Message, list[Entry]]]
    ) -> bool:
        """Adds the message to those that are claimed, if it is pending; all of them are let go of
        if the store cannot tell."""
        try:
            entries = await self._pending.claim(message, rows)
        except Exception:
            for _, others in claimed:
                self._queues.release(others)
            raise
        if entries is not None:
            claimed.append((message, entries))
        return entries is not None

    async def _delete(
        self,
        claimed: Sequence[tuple[Message, list[Entry]]],
        actions: Sequence[schema.ActionRow] = (),
    ) -> bool:
        """Ends messages of which all entries are claimed; False if the store does not take it."""
        now = int(self._now() * 1000)
        transaction = Transaction()
        before = [Before(message) for message, _ in claimed]
        transaction.changes.actions += actions
        transaction.settled = [entry for _, entries in claimed for entry in entries]
        state, error = MessageState.DELETED, codes.MESSAGE_DELETED
        try:
            for entry in transaction.settled:
                carrier = entry.queue.partition(":")[2]
                self._settlement.failed(entry, carrier, state, error, "", transaction, now)
            await self._queues.commit(transaction)
        except Exception as failed:
            self._pending.undo(before, transaction)
            if not isinstance(failed, StoreFailed):
                raise
            _log.error("cancel: not stored: {why}", why=failed)
            return False
        self._settlement.credit(transaction)
        self.cancelled += len(claimed)
        return True
