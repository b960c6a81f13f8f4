"""The tables of the store, the same on SQLite and PostgreSQL; ``migrations/`` brings a store to
this shape.

Times are milliseconds since 1970 UTC.
"""

from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    text,
)

metadata = MetaData()

# On SQLite only "INTEGER PRIMARY KEY" is the row's own key; BIGINT would get an index beside it.
Id = BigInteger().with_variant(Integer(), "sqlite")

# One row for each message ever accepted, MT and MO, and for each refused one that keeps a
# transaction. What nobody searches by is in ``content`` (see records.py), so that a row costs one
# short insert.
message = Table(
    "message",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("direction", SmallInteger, nullable=False),
    Column("account", String, nullable=False),
    Column("source", String, nullable=False),
    Column("destination", String, nullable=False),
    Column("parts", SmallInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    # When the journey closes the message by itself for want of a receipt; NULL if none is awaited.
    Column("open_until", BigInteger),
    Column("state", SmallInteger, nullable=False),
    Column("error", SmallInteger, nullable=False),
    Column("network_error", String, nullable=False),
    Column("done_at", BigInteger, nullable=False),
    postgresql_partition_by="RANGE (id)",  # by the day, see partitions.py
)
Index(
    "message_open",
    message.c.open_until,
    sqlite_where=text("open_until IS NOT NULL"),
    postgresql_where=text("open_until IS NOT NULL"),
)

# What accounts received, which a program of theirs may fetch (spec/aaisp.md A-D36).
Index(
    "message_received",
    message.c.account,
    message.c.id,
    sqlite_where=text("direction = 1"),
    postgresql_where=text("direction = 1"),
)

# The numbers by which 3.3 sessions know their messages (spec/smpp.md §4). They come again after
# seven weeks; then the newest message has it.
alias = Table(
    "alias",
    metadata,
    Column("account", String, primary_key=True),
    Column("alias", BigInteger, primary_key=True, autoincrement=False),
    Column("message", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Messages that one request brought and one id stands for (spec/ams-websmpp.md W-D27).
batch = Table(
    "batch",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("account", String, nullable=False),
    Column("accepted_at", BigInteger, nullable=False),
    Column("messages", LargeBinary, nullable=False),  # their ids, see batches.py
)

# What requests with an Idempotency-Key were answered, for those that repeat them within 24 hours
# (spec/aerialink.md E-D11).
answer = Table(
    "answer",
    metadata,
    Column("account", String, primary_key=True),
    Column("credential", String, primary_key=True),
    Column("key", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("asked", LargeBinary, nullable=False),  # a digest of the request
    Column("status", SmallInteger, nullable=False),
    Column("content_type", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)
Index("answer_at", answer.c.at)

# What waits to be sent or handed over. A row lives from the transaction of the state it follows
# from to the transaction that settles it (I3).
queue = Table(
    "queue",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("queue", String, nullable=False),  # "carrier:NAME", "account:NAME", "target:NAME TARGET"
    Column("due", BigInteger, nullable=False),
    Column("kind", SmallInteger, nullable=False),  # queues.Kind
    Column("message", BigInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    # For queues on a broker (queues/broker.py): queues.Place, and the number of the node that has
    # it taken, plus one; 0 = nobody.
    Column("place", SmallInteger, nullable=False, server_default=text("0")),
    Column("taken", SmallInteger, nullable=False, server_default=text("0")),
)
# The same without what only a broker's queues need, for those in the store: a value more for each
# row is time on the hot path.
entry = Table("queue", MetaData(), *(Column(c.name, c.type) for c in list(queue.columns)[:8]))
Index(
    "queue_later",
    queue.c.due,
    sqlite_where=text("place = 1"),
    postgresql_where=text("place = 1"),
)
Index("queue_due", queue.c.queue, queue.c.due, queue.c.id)
Index("queue_expires", queue.c.expires_at)
# Reports about a message that wait for a target, for its status (E-D18 of spec/aerialink.md).
Index(
    "queue_told",
    queue.c.message,
    sqlite_where=text("queue >= 'target:' AND queue < 'target;'"),
    postgresql_where=text("queue >= 'target:' AND queue < 'target;'"),
)

# What a carrier acknowledged: its id for one part of a message, by which receipts are matched.
# Clustered by message, which rises with time, so that inserts touch few pages. A part that waits
# for another carrier after one could not deliver it has an empty carrier; what that one had is kept
# under a number of its own (``message.FORMER``), for what it may yet say.
part = Table(
    "part",
    metadata,
    Column("message", BigInteger, primary_key=True, autoincrement=False),
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("carrier", String, nullable=False),
    Column("carrier_id", String, nullable=False),  # normalised, see flow/awaited.py
    Column("at", BigInteger, nullable=False),
    Column("state", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
    postgresql_partition_by="RANGE (message)",
)
Index("part_carrier_id", part.c.carrier_id, part.c.carrier)

# Messages of several parts all of which have ended, on a store that nodes share: from the
# transaction of the last part to the one that ends the message (flow/others.py).
complete = Table(
    "complete",
    metadata,
    Column("message", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

# Receipts that came before the submit_sm_resp that tells which message they are of.
early_receipt = Table(
    "early_receipt",
    metadata,
    Column("carrier", String, primary_key=True),
    Column("carrier_id", String, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("detail", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# Parts of long messages from handsets that wait for each other: taken from the carrier, not yet
# anybody's message (flow/join.py).
segment = Table(
    "segment",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("carrier", String, nullable=False),
    Column("detail", LargeBinary, nullable=False),
)

# Accounts, carriers and routes, each a document as smsgw apply takes it, with secrets hashed or
# encrypted.
provision = Table(
    "provision",
    metadata,
    Column("kind", String, primary_key=True),
    Column("name", String, primary_key=True),
    Column("document", String, nullable=False),  # JSON
    Column("version", BigInteger, nullable=False),
)

# Who changed what and when in ``provision``; the highest version is the version of the whole.
audit = Table(
    "audit",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),
    Column("before", String),  # JSON, secrets left out
    Column("after", String),
)


# What each account has: the sum of its entries in ``ledger``, in ten-thousandths of the currency's
# unit (rules/money.py). Below 0 for a postpaid account, whose credit limit is NULL.
balance = Table(
    "balance",
    metadata,
    Column("account", String, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Column("credit_limit", BigInteger),
    sqlite_with_rowid=False,
)

# Every amount that was ever added to a balance, in the transaction of what caused it (I8).
ledger = Table(
    "ledger",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("account", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("reason", SmallInteger, nullable=False),  # rules.money.Entry
    Column("message", BigInteger),
    Column("text", String, nullable=False),
)
Index("ledger_account", ledger.c.account, ledger.c.id)
# An account is opened once.
Index(
    "ledger_opening",
    ledger.c.account,
    unique=True,
    sqlite_where=text("reason = 0"),
    postgresql_where=text("reason = 0"),
)


# How many message parts each account has sent on each day of its own calendar (YYYYMMDD), for its
# quotas: counted in the transaction that accepts them.
usage = Table(
    "usage",
    metadata,
    Column("account", String, primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("parts", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("usage_day", usage.c.day)

# Lists of numbers of an account (spec/aerialink.md 4.4), or of the operator (account "").
number_list = Table(
    "number_list",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("account", String, nullable=False),
    Column("name", String, nullable=False),
    Column("type", String, nullable=False),  # "contact", "optout", "block"
    # Of an opt-out list, the number that it is for; "": all of the account's (E-D12).
    Column("source", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("updated", BigInteger, nullable=False),
)
Index("number_list_name", number_list.c.account, number_list.c.name, unique=True)

list_member = Table(
    "list_member",
    metadata,
    Column("list", BigInteger, primary_key=True, autoincrement=False),
    Column("number", String, primary_key=True),  # digits in international form
    Column("added", BigInteger, nullable=False),
    Column("origin", String, nullable=False),  # "api", "keyword", "carrier", "admin"
    sqlite_with_rowid=False,
)

# Handovers that were given up: what ``queue`` held, when it was given up, and why. They can be
# looked at and put back.
dead = Table(
    "dead",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("queue", String, nullable=False),
    Column("kind", SmallInteger, nullable=False),
    Column("message", BigInteger, nullable=False),
    Column("part", SmallInteger, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
)
Index("dead_queue", dead.c.queue, dead.c.id)
Index("dead_at", dead.c.at)
Index("dead_message", dead.c.message)


# Which messages keep which media, and until when (store/media.py); the files are in the media store
# (smsgw/media.py).
media = Table(
    "media",
    metadata,
    Column("message", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", String, primary_key=True),  # SHA-256 in hex
    Column("size", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("media_digest", media.c.digest)
Index("media_until", media.c.until)

# Which page shows which multimedia message, and until when (store/links.py).
link = Table(
    "link",
    metadata,
    Column("token", String, primary_key=True),
    Column("message", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("link_message", link.c.message)
Index("link_until", link.c.until)

# Which multimedia messages have come by MM4, and what was answered (store/seen.py): kept for seven
# days, so that a repeat is not delivered again.
mm4_seen = Table(
    "mm4_seen",
    metadata,
    Column("key", LargeBinary, primary_key=True),
    Column("at", BigInteger, nullable=False),
    Column("status", String, nullable=False),
    Column("text", String, nullable=False),
    sqlite_with_rowid=False,
)
Index("mm4_seen_at", mm4_seen.c.at)

# Responses and reports by MM4 that wait to be mailed (flow/replies.py): put by the transaction of
# what they tell.
mm4_mail = Table(
    "mm4_mail",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("peer", String, nullable=False),  # "carrier:NAME", "customer:ACCOUNT LOGIN DOMAIN"
    Column("due", BigInteger, nullable=False),
    Column("attempts", SmallInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
    Column("recipient", String, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("node", SmallInteger, nullable=False, server_default="0"),  # which mails it
    sqlite_with_rowid=False,
)
Index("mm4_mail_due", mm4_mail.c.peer, mm4_mail.c.due, mm4_mail.c.id)


# Batches of entries that are to be published to the broker (queues/outbox.py): put by the
# transaction of their entries, removed when the broker has them.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("node", SmallInteger, nullable=False),
    Column("queue", String, nullable=False),
    Column("body", LargeBinary, nullable=False),
    sqlite_with_rowid=False,
)

# What operators did besides provisioning, which has its own table: top-ups, dead letters sent
# again, messages cancelled, lists changed.
action = Table(
    "action",
    metadata,
    Column("id", Id, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("who", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("name", String, nullable=False),  # of the account, list, queue or message
    Column("detail", String, nullable=False),
)
Index("action_at", action.c.at)

# One row for each connection of a journal to PostgreSQL: how many transactions it has committed,
# and whether it is over (postgresql.py).
commit_mark = Table(
    "commit_mark",
    metadata,
    Column("session", String, primary_key=True),
    Column("owner", String, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("over", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

# Nodes that share the store (store/nodes.py). A node that died has no row; one that ended in order
# and left something has the time 0 in ``seen_at``, otherwise that is the store's (ms).
node = Table(
    "node",
    metadata,
    Column("number", SmallInteger, primary_key=True, autoincrement=False),
    Column("name", String, nullable=False),
    Column("roles", String, nullable=False),  # with commas between
    Column("version", String, nullable=False),
    Column("carriers", String, nullable=False),  # JSON: name -> links that are up
    Column("started_at", BigInteger, nullable=False),
    Column("seen_at", BigInteger, nullable=False),
    Column("incarnation", BigInteger, nullable=False),
    # JSON: nodes.LinkRow of each, up or not
    Column("links", String, nullable=False, server_default=text("'[]'")),
    sqlite_with_rowid=False,
)

# What one node at a time has for itself: "scheduler", "carrier:NAME" of carriers with one bind.
lease = Table(
    "lease",
    metadata,
    Column("name", String, primary_key=True),
    Column("node", SmallInteger, nullable=False),
    sqlite_with_rowid=False,
)

# Bound sessions of customers on all nodes; the rows of a node go with it.
session = Table(
    "session",
    metadata,
    Column("node", SmallInteger, primary_key=True, autoincrement=False),
    Column("serial", BigInteger, primary_key=True, autoincrement=False),
    Column("account", String, nullable=False),
    Column("credential", String, nullable=False),
    Column("system", String, nullable=False),
    Column("bind", String, nullable=False),
    Column("peer", String, nullable=False),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
Index("session_account", session.c.account)


class ActionRow(NamedTuple):
    """A row of ``action``."""

    id: int
    at: int
    who: str
    kind: str
    name: str
    detail: str


class LedgerRow(NamedTuple):
    """A row of ``ledger``."""

    id: int
    account: str
    at: int
    amount: int
    reason: int
    message: int | None
    text: str


class DeadRow(NamedTuple):
    """A row of ``dead``."""

    id: int
    queue: str
    kind: int
    message: int
    part: int
    attempts: int
    at: int
    reason: str


class QueueRow(NamedTuple):
    """A row of ``queue``."""

    id: int
    queue: str
    due: int
    kind: int
    message: int
    part: int
    attempts: int
    expires_at: int
    place: int = 0
    taken: int = 0
