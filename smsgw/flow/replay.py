"""Replay: tells an account again what it was told of a message (E-D17 of ``spec/aerialink.md``).

Comes from: an account or an operator who asks for it. Goes on to: the queues from which
``deliver`` and ``handover`` take what they bring.
"""

import time
from collections.abc import Callable

from smsgw.flow.actions import targets_for
from smsgw.flow.settle import Settlement
from smsgw.flow.targets import HANDOVER_MS, MO_MS, mo_queue
from smsgw.message import Direction, Message, MessageState
from smsgw.provisioning import Account
from smsgw.provisioning.targets import SMPP, read
from smsgw.queues import Entry, Kind, Queues, Transaction
from smsgw.rules.tables import Tables
from smsgw.store.records import FINAL_STATES


class Replays:
    """Puts new entries for what was brought before."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        queues: Queues,
        settlement: Settlement,
        allot: Callable[[], int],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``allot`` gives ids; ``now`` seconds since 1970."""
        self._tables = tables
        self._queues = queues
        self._settlement = settlement
        self._allot = allot
        self._now = now
        self.reopened = 0  # how often anything was put into queues again

    async def replay(self, message: Message) -> int:
        """Brings again what there is to say of a message; how many notifications that is.

        Raises ``StoreFailed``.
        """
        now = int(self._now() * 1000)
        transaction = Transaction()
        account = self._tables().accounts.get(message.account)
        if message.direction == Direction.MO and account is not None:
            # What is still on its way comes by itself.
            if message.state in FINAL_STATES:
                self._inbound(message, account, transaction, now)
        elif message.direction == Direction.MT:
            state = MessageState(message.state)
            if state.final or state is MessageState.UNKNOWN:
                self._settlement.hand_over(message, Kind.RECEIPT, transaction, now)
            elif message.carrier_at:
                self._settlement.hand_over(message, Kind.PROGRESS, transaction, now)
        if transaction.put:
            self.reopened += 1
            await self._queues.commit(transaction)
        return len(transaction.put)

    def _inbound(
        self, message: Message, account: Account, transaction: Transaction, now: int
    ) -> None:
        """To the targets that it had. What has come to its end stays so."""
        if message.targets:
            targets = [read(one) for one in message.targets]
        else:
            routed = targets_for(message, account, Kind.MO) if account.route else None
            targets = [SMPP] if routed is None else routed
        for part, target in enumerate(targets):
            expires = now + (HANDOVER_MS if target.kind == "smpp" else MO_MS)
            queue = mo_queue(message.account, target)
            transaction.put.append(
                Entry(self._allot(), queue, now, Kind.MO, message, part, expires_at=expires)
            )
