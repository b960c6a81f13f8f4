"""What one step of the journey writes, and how many of them are written in one transaction."""

from attrs import define, field
from sqlalchemy import Connection

from smsgw.store import news, schema, writers
from smsgw.store.statements import Row


class StoreFailed(Exception):
    """Changes were not stored; nothing of them is in effect. The text says why."""


class Overdrawn(StoreFailed):
    """Changes were not stored because a prepaid account has not what they charge."""


class EndedBefore(StoreFailed):
    """Changes were not stored because a message that they end had ended, or parts that they join
    are joined."""


class TakenBefore(StoreFailed):
    """Changes were not stored because another node has matched an early receipt of theirs."""


class OverQuota(Overdrawn):
    """Changes were not stored because an account has used its quota up."""


@define
class Changes:
    """What one step of the journey writes. Rows are tuples in the order of the table's columns."""

    messages: list[Row] = field(factory=list)
    rewritten: list[Row] = field(factory=list)  # messages that are there, as they are from now on
    # (account, alias, message): the number of 32 bits by which a 3.3 session knows a message.
    aliases: list[Row] = field(factory=list)
    batches: list[Row] = field(factory=list)
    answers: list[Row] = field(factory=list)  # see answers.py
    # (message id, state, error, network_error, done_at): the message has reached this state, no
    # receipt is awaited.
    closed: list[Row] = field(factory=list)
    # The same for messages that another node may have ended: then nothing is stored.
    ended: list[Row] = field(factory=list)
    # Messages of several parts of which a part has ended, on a store that several nodes share: see
    # complete.py. Ids.
    partly: list[int] = field(factory=list)
    completed: list[int] = field(factory=list)  # of these, what is not to be looked at any more
    # (message id, state): the message goes on.
    moved: list[Row] = field(factory=list)
    # The same for messages that another node may have ended: those stay as they are.
    advanced: list[Row] = field(factory=list)
    entries: list[Row] = field(factory=list)
    # (entry id, due, attempts)
    postponed: list[Row] = field(factory=list)
    # Of queues on a broker, see queues/broker.py: entries with all columns; (entry id, due,
    # attempts, place, taken); batches to publish; ids of those that the broker has.
    placed: list[Row] = field(factory=list)
    replaced: list[Row] = field(factory=list)
    # (entry id, place, taken, attempts): handed over, if these are as they were.
    handed: list[Row] = field(factory=list)
    outbox: list[Row] = field(factory=list)
    published: list[int] = field(factory=list)
    settled: list[int] = field(factory=list)
    parts: list[Row] = field(factory=list)
    early_receipts: list[Row] = field(factory=list)
    # (carrier, carrier id)
    early_matched: list[tuple[str, str]] = field(factory=list)
    # The same of those that another node may have matched: then nothing is stored.
    early_taken: list[tuple[str, str]] = field(factory=list)
    segments: list[Row] = field(factory=list)  # parts of MO that wait, see flow/join.py
    segments_done: list[int] = field(factory=list)
    # The same of parts that another node may have taken: then nothing is stored.
    segments_taken: list[int] = field(factory=list)
    # Each is added to the balance of its account as well.
    ledger: list[schema.LedgerRow] = field(factory=list)
    # (account, day as YYYYMMDD, parts): added to what the account has used.
    usage: list[tuple[str, int, int]] = field(factory=list)
    # (account, day, parts a day, parts a month): what must not be exceeded then, on a store that
    # several nodes share; 0 = unlimited.
    metered: list[tuple[str, int, int, int]] = field(factory=list)
    lists: list[Row] = field(factory=list)  # of numbers, new or changed
    members: list[Row] = field(factory=list)
    # (list, number)
    members_removed: list[tuple[int, str]] = field(factory=list)
    dead: list[Row] = field(factory=list)
    # (message, digest, size, until): files that are in the media store already; see media.py.
    media: list[Row] = field(factory=list)
    links: list[Row] = field(factory=list)  # to pages of multimedia messages, see links.py
    seen: list[Row] = field(factory=list)  # of MM4, see seen.py
    # Mails of MM4 that wait to be sent, see flow/replies.py; (id, due, attempts); ids.
    mails: list[Row] = field(factory=list)
    mails_postponed: list[Row] = field(factory=list)
    mails_done: list[int] = field(factory=list)
    # Ids of rows of ``dead`` that go back to their queues, or are dropped.
    raised: list[int] = field(factory=list)
    actions: list[schema.ActionRow] = field(factory=list)  # of operators, for the audit
    # It may wait a few milliseconds for a transaction to go with.
    soon: bool = False
    # It inserts new messages and their entries, and so depends on nothing that waits.
    new: bool = False


def write(connection: Connection, batch: list[Changes]) -> None:
    """Writes all changes of the batch in one transaction. Raises ``Overdrawn``, and what the store
    says."""
    merged = batch[0] if len(batch) == 1 else together(batch)
    writer = writers.of(connection)
    try:
        writer.write(lambda: _statements(writer, merged))
    except writers.NotCovered:
        raise Overdrawn("not enough credit") from None
    except writers.EndedBefore:
        raise EndedBefore("another node has ended or joined the message") from None
    except writers.TakenBefore:
        raise TakenBefore("another node has matched the receipt") from None
    except writers.OverQuota:
        raise OverQuota("the quota is used up") from None


def _statements(to: writers.Writer, merged: Changes) -> None:
    """The order of the statements lets one batch put an entry and settle it, or insert a message
    and close it."""
    if merged.messages:
        to.insert(schema.message, merged.messages)
    if merged.rewritten:
        to.insert(schema.message, merged.rewritten, replace=True)
    if merged.aliases:
        to.insert(schema.alias, merged.aliases, replace=True)
    if merged.batches:
        to.insert(schema.batch, merged.batches)
    if merged.answers:
        to.insert(schema.answer, merged.answers)
    if merged.partly:
        to.hold(merged.partly)
    if merged.parts:
        to.insert(schema.part, merged.parts, replace=True)
    if merged.entries:
        to.insert(schema.entry, merged.entries)
    if merged.placed:
        to.insert(schema.queue, merged.placed)
    if merged.moved:
        to.update("message", ("id",), ("state",), merged.moved)
    if merged.advanced:
        to.advance(merged.advanced)
    if merged.closed:
        columns = ("state", "error", "network_error", "done_at")
        to.update("message", ("id",), columns, merged.closed, also=", open_until = NULL")
    if merged.ended:
        to.end(merged.ended)
    if merged.completed:
        to.delete("complete", ("message",), [(id,) for id in merged.completed])
    if merged.partly:
        to.note_complete(merged.partly)
    if merged.postponed:
        to.update("queue", ("id",), ("due", "attempts"), merged.postponed)
    if merged.replaced:
        columns = ("due", "attempts", "place", "taken")
        to.update("queue", ("id",), columns, merged.replaced)
    if merged.handed:
        key = ("id", "place", "taken")
        to.update("queue", key, ("attempts",), merged.handed, also=", place = 2")
    if merged.settled:
        to.delete("queue", ("id",), [(id,) for id in merged.settled])
    if merged.outbox:
        to.insert(schema.outbox, merged.outbox)
    if merged.published:
        to.delete("outbox", ("id",), [(id,) for id in merged.published])
    if merged.early_receipts:
        to.insert(schema.early_receipt, merged.early_receipts, replace=True)
    if merged.early_matched:
        to.delete("early_receipt", ("carrier", "carrier_id"), merged.early_matched)
    if merged.early_taken:
        to.take_early(merged.early_taken)
    if merged.segments:
        to.insert(schema.segment, merged.segments, replace=True)
    if merged.segments_done:
        to.delete("segment", ("id",), [(id,) for id in merged.segments_done])
    if merged.segments_taken:
        to.take_segments(merged.segments_taken)
    if merged.ledger:
        to.insert(schema.ledger, merged.ledger)
        sums = [(row[1], row[3]) for row in merged.ledger]  # account, amount
        to.add_to_balances(sums)
        # Only what an operator enters has no message.
        topped_up = {row[1] for row in merged.ledger if row[5] is None}
        if topped_up:
            to.tell([news.of_balance(account) for account in topped_up])
    if merged.usage:
        to.add_up("usage", ("account", "day"), "parts", merged.usage)
    if merged.metered:
        to.check_quotas(merged.metered)
    if merged.lists:
        to.insert(schema.number_list, merged.lists, replace=True)
    if merged.members_removed:
        to.delete("list_member", ("list", "number"), merged.members_removed)
    if merged.members:
        to.insert(schema.list_member, merged.members, replace=True)
    if merged.members or merged.members_removed:
        changed = [(row[0], row[1]) for row in merged.members]
        to.tell(news.of_members([*changed, *merged.members_removed]))  # type: ignore[list-item]
    if merged.raised:
        to.delete("dead", ("id",), [(id,) for id in merged.raised])
    if merged.dead:
        # An entry may be found to have expired by its consumer and by the clock at once.
        to.insert(schema.dead, merged.dead, replace=True)
    if merged.media:
        to.insert(schema.media, merged.media, replace=True)
    if merged.links:
        to.insert(schema.link, merged.links, replace=True)
    if merged.seen:
        to.insert(schema.mm4_seen, merged.seen, replace=True)
    if merged.mails:
        to.insert(schema.mm4_mail, merged.mails)
    if merged.mails_postponed:
        to.update("mm4_mail", ("id",), ("due", "attempts"), merged.mails_postponed)
    if merged.mails_done:
        to.delete("mm4_mail", ("id",), [(id,) for id in merged.mails_done])
    if merged.actions:
        to.insert(schema.action, merged.actions)


def together(batch: list[Changes]) -> Changes:
    """Changes that do what all of these do, one after the other."""
    all = Changes()
    for c in batch:
        all.messages += c.messages
        all.rewritten += c.rewritten
        all.aliases += c.aliases
        all.batches += c.batches
        all.answers += c.answers
        all.closed += c.closed
        all.ended += c.ended
        if c.partly or c.completed:
            all.partly += c.partly
            all.completed += c.completed
        all.moved += c.moved
        all.advanced += c.advanced
        all.entries += c.entries
        all.postponed += c.postponed
        all.settled += c.settled
        if c.placed or c.replaced or c.outbox or c.published:
            all.placed += c.placed
            all.replaced += c.replaced
            all.handed += c.handed
            all.outbox += c.outbox
            all.published += c.published
        all.parts += c.parts
        all.early_receipts += c.early_receipts
        all.early_matched += c.early_matched
        all.early_taken += c.early_taken
        all.segments += c.segments
        all.segments_done += c.segments_done
        all.segments_taken += c.segments_taken
        all.ledger += c.ledger
        all.usage += c.usage
        all.metered += c.metered
        all.lists += c.lists
        if c.members or c.members_removed:
            _merge_members(all, c)
        all.dead += c.dead
        all.raised += c.raised
        all.actions += c.actions
        all.media += c.media
        all.links += c.links
        all.seen += c.seen
        all.mails += c.mails
        all.mails_postponed += c.mails_postponed
        all.mails_done += c.mails_done
    return all


def _merge_members(all: Changes, later: Changes) -> None:
    """Of what happens to one member, the last holds: the statements do not run in that order."""
    removed = set(later.members_removed)
    all.members = [row for row in all.members if (row[0], row[1]) not in removed]
    added = {(row[0], row[1]) for row in later.members}
    all.members_removed = [key for key in all.members_removed if key not in added]
    all.members += later.members
    all.members_removed += later.members_removed
