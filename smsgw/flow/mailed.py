"""Mailed: what was refused of a mail of which something was accepted is told to who mailed it.

Comes from: ``email_submission``, with the refusal. Goes on to: ``deliver``, by the queue of
reports, in the transaction of what was accepted (I1).
"""

from collections.abc import Callable

from smsgw.flow.targets import told
from smsgw.message import Message, MessageState
from smsgw.queues import Entry, Kind, Transaction
from smsgw.refusals import Refusal
from smsgw.store import records
from smsgw.store.records import Records


def report_refusal(
    message: Message,
    refusal: Refusal,
    transaction: Transaction,
    known: Records,
    allot: Callable[[], int],
    now: int,
) -> None:
    """Puts the report that ``message`` was refused; a refused one that is not kept anyway is kept
    for it. ``now`` is ms since 1970."""
    if refusal.message is None:
        message.id = allot()
        message.accepted_at = message.done_at = now
        message.state = MessageState.REJECTED
        message.error = refusal.reason.answer.link
        message.refusal = refusal.reason.name
        # What was refused is recorded without its text.
        message.text, message.parts, message.multimedia = None, [], None
        transaction.changes.messages.append(records.row(message, None))
        refusal.message = message
    kept = refusal.message
    known.known[kept.id] = kept
    for queue, lasts in told(kept, None):
        transaction.put.append(
            Entry(allot(), queue, now, Kind.RECEIPT, kept, expires_at=now + lasts)
        )
