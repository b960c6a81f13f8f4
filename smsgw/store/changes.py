"""What one step of the journey writes, and how many of them are written in one transaction."""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Table

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


class _Rows:
    """A list of ``Changes`` that is made when it is first asked for: one step of the journey fills
    three of more than forty."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, changes: object, owner: type) -> list[Any]:
        rows: list[Any] = []
        vars(changes)[self._name] = rows  # which is found before this from now on
        return rows


def _rows() -> Any:
    return _Rows()


class Changes:
    """What one step of the journey writes. Rows are tuples in the order of the table's columns."""

    messages: list[Row] = _rows()
    rewritten: list[Row] = _rows()  # messages that are there, as they are from now on
    # (message id, content): the same of what the journey does not change, see records.py.
    contents: list[Row] = _rows()
    # (account, alias, message): the number of 32 bits by which a 3.3 session knows a message.
    aliases: list[Row] = _rows()
    batches: list[Row] = _rows()
    answers: list[Row] = _rows()  # see answers.py
    # (message id, state, error, network_error, done_at): the message has reached this state, no
    # receipt is awaited.
    closed: list[Row] = _rows()
    # The same for messages that another node may have ended: then nothing is stored.
    ended: list[Row] = _rows()
    # Messages of several parts of which a part has ended, on a store that several nodes share: see
    # complete.py. Ids.
    partly: list[int] = _rows()
    completed: list[int] = _rows()  # of these, what is not to be looked at any more
    # (message id, state): the message goes on.
    moved: list[Row] = _rows()
    # The same for messages that another node may have ended: those stay as they are.
    advanced: list[Row] = _rows()
    entries: list[Row] = _rows()
    # (entry id, due, attempts)
    postponed: list[Row] = _rows()
    # Of queues on a broker, see queues/broker.py: entries with all columns; (entry id, due,
    # attempts, place, taken); batches to publish; ids of those that the broker has.
    placed: list[Row] = _rows()
    replaced: list[Row] = _rows()
    # (entry id, place, taken, attempts): handed over, if these are as they were.
    handed: list[Row] = _rows()
    outbox: list[Row] = _rows()
    published: list[int] = _rows()
    settled: list[int] = _rows()
    parts: list[Row] = _rows()
    early_receipts: list[Row] = _rows()
    # (carrier, carrier id)
    early_matched: list[tuple[str, str]] = _rows()
    # The same of those that another node may have matched: then nothing is stored. The others may
    # have no row: given up on several nodes, or kept while the store failed.
    early_taken: list[tuple[str, str]] = _rows()
    segments: list[Row] = _rows()  # parts of MO that wait, see flow/join.py
    segments_done: list[int] = _rows()
    # The same of parts that another node may have taken: then nothing is stored. A node alone does
    # not read again what the store has: a part without a row would hold the others up for good.
    segments_taken: list[int] = _rows()
    # Each is added to the balance of its account as well.
    ledger: list[schema.LedgerRow] = _rows()
    # (account, day as YYYYMMDD, parts): added to what the account has used.
    usage: list[tuple[str, int, int]] = _rows()
    # (account, day, parts a day, parts a month): what must not be exceeded then, on a store that
    # several nodes share; 0 = unlimited.
    metered: list[tuple[str, int, int, int]] = _rows()
    lists: list[Row] = _rows()  # of numbers, new or changed
    members: list[Row] = _rows()
    # (list, number)
    members_removed: list[tuple[int, str]] = _rows()
    dead: list[Row] = _rows()
    # (message, digest, size, until): files that are in the media store already; see media.py.
    media: list[Row] = _rows()
    links: list[Row] = _rows()  # to pages of multimedia messages, see links.py
    seen: list[Row] = _rows()  # of MM4, see seen.py
    # Mails of MM4 that wait to be sent, see flow/replies.py; (id, due, attempts); ids.
    mails: list[Row] = _rows()
    mails_postponed: list[Row] = _rows()
    mails_done: list[int] = _rows()
    # Ids of rows of ``dead`` that go back to their queues, or are dropped.
    raised: list[int] = _rows()
    actions: list[schema.ActionRow] = _rows()  # of operators, for the audit

    __slots__ = ("__dict__", "new", "soon")

    def __init__(self, *, soon: bool = False, new: bool = False, **rows: list[Any]) -> None:
        """``soon``: it may wait a few milliseconds for a transaction to go with. ``new``: it
        inserts new messages and their entries, and so depends on nothing that waits. ``rows`` by
        the names above; raises TypeError for another."""
        self.soon = soon
        self.new = new
        if rows:
            if not rows.keys() <= _NAMES:
                raise TypeError(f"no such rows: {', '.join(rows.keys() - _NAMES)}")
            vars(self).update(rows)


_NAMES = {name for name, rows in vars(Changes).items() if isinstance(rows, _Rows)}


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
    """What ``merged`` holds, in the order of ``_STATEMENTS``."""
    held = vars(merged)
    for name, statement in _STATEMENTS:
        rows = held.get(name)
        if rows:
            statement(to, rows)


_Statement = Callable[[writers.Writer, list[Any]], None]


def _insert(table: Table, replace: bool = False) -> _Statement:
    return lambda to, rows: to.insert(table, rows, replace=replace)


def _update(
    table: str, key: tuple[str, ...], columns: tuple[str, ...], also: str = ""
) -> _Statement:
    return lambda to, rows: to.update(table, key, columns, rows, also=also)


def _delete(table: str, *key: str) -> _Statement:
    """Rows by their key: tuples, or plain values if it is of one column."""
    if len(key) > 1:
        return lambda to, rows: to.delete(table, key, rows)
    return lambda to, rows: to.delete(table, key, [(value,) for value in rows])


def _book(to: writers.Writer, rows: list[schema.LedgerRow]) -> None:
    to.insert(schema.ledger, rows)
    to.add_to_balances([(row[1], row[3]) for row in rows])  # account, amount
    # Only what an operator enters has no message.
    topped_up = {row[1] for row in rows if row[5] is None}
    if topped_up:
        to.tell([news.of_balance(account) for account in topped_up])


def _remove_members(to: writers.Writer, rows: list[tuple[int, str]]) -> None:
    to.delete("list_member", ("list", "number"), rows)
    to.tell(news.of_members(rows))


def _put_members(to: writers.Writer, rows: list[Any]) -> None:
    to.insert(schema.list_member, rows, replace=True)
    to.tell(news.of_members([(row[0], row[1]) for row in rows]))


# The order lets one batch put an entry and settle it, or insert a message and close it.
_STATEMENTS: tuple[tuple[str, _Statement], ...] = (
    ("messages", _insert(schema.message)),
    ("rewritten", _insert(schema.message, replace=True)),
    ("contents", _update("message", ("id",), ("content",))),
    ("aliases", _insert(schema.alias, replace=True)),
    ("batches", _insert(schema.batch)),
    ("answers", _insert(schema.answer)),
    ("partly", lambda to, rows: to.hold(rows)),
    ("parts", _insert(schema.part, replace=True)),
    ("entries", _insert(schema.entry)),
    ("placed", _insert(schema.queue)),
    ("moved", _update("message", ("id",), ("state",))),
    ("advanced", lambda to, rows: to.advance(rows)),
    (
        "closed",
        _update(
            "message",
            ("id",),
            ("state", "error", "network_error", "done_at"),
            also=", open_until = NULL",
        ),
    ),
    ("ended", lambda to, rows: to.end(rows)),
    ("completed", _delete("complete", "message")),
    ("partly", lambda to, rows: to.note_complete(rows)),
    ("postponed", _update("queue", ("id",), ("due", "attempts"))),
    ("replaced", _update("queue", ("id",), ("due", "attempts", "place", "taken"))),
    ("handed", _update("queue", ("id", "place", "taken"), ("attempts",), also=", place = 2")),
    ("settled", _delete("queue", "id")),
    ("outbox", _insert(schema.outbox)),
    ("published", _delete("outbox", "id")),
    ("early_receipts", _insert(schema.early_receipt, replace=True)),
    ("early_matched", _delete("early_receipt", "carrier", "carrier_id")),
    ("early_taken", lambda to, rows: to.take_early(rows)),
    ("segments", _insert(schema.segment, replace=True)),
    ("segments_done", _delete("segment", "id")),
    ("segments_taken", lambda to, rows: to.take_segments(rows)),
    ("ledger", _book),
    ("usage", lambda to, rows: to.add_up("usage", ("account", "day"), "parts", rows)),
    ("metered", lambda to, rows: to.check_quotas(rows)),
    ("lists", _insert(schema.number_list, replace=True)),
    ("members_removed", _remove_members),
    ("members", _put_members),
    ("raised", _delete("dead", "id")),
    # An entry may be found to have expired by its consumer and by the clock at once.
    ("dead", _insert(schema.dead, replace=True)),
    ("media", _insert(schema.media, replace=True)),
    ("links", _insert(schema.link, replace=True)),
    ("seen", _insert(schema.mm4_seen, replace=True)),
    ("mails", _insert(schema.mm4_mail)),
    ("mails_postponed", _update("mm4_mail", ("id",), ("due", "attempts"))),
    ("mails_done", _delete("mm4_mail", "id")),
    ("actions", _insert(schema.action)),
)


def together(batch: list[Changes]) -> Changes:
    """Changes that do what all of these do, one after the other."""
    all = Changes()
    for one in batch:
        for name, rows in vars(one).items():
            if rows:
                if name in _OF_MEMBERS:
                    _forget_members(all, name, rows)
                elif name == "rewritten" and all.contents:
                    # It is newer, and written before them.
                    ids = {row[0] for row in rows}
                    all.contents = [row for row in all.contents if row[0] not in ids]
                getattr(all, name).extend(rows)
    return all


_OF_MEMBERS = {"members", "members_removed"}


def _forget_members(all: Changes, later: str, rows: list[Row]) -> None:
    """Of what happens to one member, the last holds: the statements do not run in that order."""
    keys = {(row[0], row[1]) for row in rows}
    if later == "members_removed":
        all.members = [row for row in all.members if (row[0], row[1]) not in keys]
    else:
        all.members_removed = [key for key in all.members_removed if key not in keys]
