"""What the journal writes in a second on SQLite and on PostgreSQL: transactions as a busy gateway
makes them, by the number of messages in each.

    python -m bench.journal sqlite:////tmp/bench.db [postgresql+psycopg://smsgw@127.0.0.1/bench ...]

A message is four rows over its life: itself, its queue entry, what the carrier acknowledged, and
its end. Stores that are named must be empty or absent.
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.rules.money import Entry
from smsgw.store import lines, records, schema
from smsgw.store.changes import Changes, write
from smsgw.store.database import close_store, open_store

SIZES = (1, 10, 50, 200, 1_000)
SECONDS = 3.0


def accepted(identities: Identities, count: int) -> Changes:
    """New messages with their entries and charges."""
    changes = Changes()
    now = int(time.time() * 1000)
    for _ in range(count):
        id = identities.allot()
        message = Message(
            source="447700900000",
            destination="447700900123",
            parts=[b"A text of some hundred characters, as most of them are " * 2],
            account="acme",
            id=id,
            accepted_at=now,
            expires_at=now + 86_400_000,
            carriers=["north"],
        )
        changes.messages.append(records.row(message, now))
        changes.entries.append((identities.allot(), "carrier:north", now, 0, id, 0, 0, now))
        changes.ledger.append(
            schema.LedgerRow(identities.allot(), "acme", now, -100, Entry.CHARGE, id, "")
        )
    return changes


def ended(of: Changes) -> Changes:
    """The same messages, sent and delivered."""
    changes = Changes()
    for message, entry in zip(of.messages, of.entries, strict=True):
        changes.settled.append(int(str(entry[0])))
        changes.parts.append((message[0], 0, "north", f"{message[0]:x}", 1, 2))
        changes.closed.append((message[0], 2, 0, "", 1))
    return changes


def measure(url: str, size: int) -> tuple[float, float, float]:
    """Messages, transactions, and seconds of this process's CPU, all for one second."""
    identities = Identities()
    with TemporaryDirectory() as folder:
        engine = open_store(url, Path(folder))
        line = lines.of(engine)
        connection = line.open()
        began, used = time.perf_counter(), time.process_time()
        messages = transactions = 0
        making = 0.0
        while (took := time.perf_counter() - began - making) < SECONDS:
            started = time.perf_counter()
            new = accepted(identities, size)
            old = ended(new)
            making += time.perf_counter() - started
            write(connection, [new])
            write(connection, [old])
            messages += size
            transactions += 2
        cpu = time.process_time() - used - making
        line.close()
        close_store(engine)
    return messages / took, transactions / took, cpu / took


def main() -> None:
    """Prints a table."""
    for url in sys.argv[1:]:
        print(url.partition(":")[0])
        print("messages a transaction | transactions/s | messages/s | rows/s | us CPU a message")
        for size in SIZES:
            messages, transactions, cpu = measure(url, size)
            print(
                f"{size:>6} | {transactions:>8.0f} | {messages:>8.0f} | {messages * 6:>8.0f} "
                f"| {cpu / messages * 1e6:6.1f}"
            )


if __name__ == "__main__":
    main()
