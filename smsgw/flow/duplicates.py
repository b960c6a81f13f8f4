"""Duplicates: after a start, what accounts have sent within their windows is read back.

Comes from: the store.
Goes on to: ``rules/duplicates.py``, which ``accept`` fills from then on.
"""

from functools import partial

from smsgw.identities import first_of
from smsgw.message import Message
from smsgw.rules.duplicates import MOST, Duplicates
from smsgw.rules.tables import Tables
from smsgw.store import records
from smsgw.store.journal import Journal

_PAGE = 2_000
# Messages that are looked at, of all accounts: what bounds how long a start takes.
_LOOKED_AT = 500_000


async def load(duplicates: Duplicates, tables: Tables, journal: Journal, now: float) -> None:
    """Remembers what accounts with a window have sent within it, the newest messages first.

    ``now`` is seconds since 1970.
    """
    windows = {
        name: one.duplicate_window_s
        for name, one in tables.accounts.items()
        if one.duplicate_window_s
    }
    if not windows:
        return
    now_ms = int(now * 1000)
    since = first_of(now_ms - max(windows.values()) * 1000)
    before = (1 << 63) - 1
    found: dict[str, list[Message]] = {name: [] for name in windows}
    for _ in range(0, _LOOKED_AT, _PAGE):
        read = partial(
            records.accepted_by, accounts=windows, since=since, before=before, limit=_PAGE
        )
        messages, before = await journal.run(read)
        for message in messages:
            sent = found[message.account]
            age_ms = now_ms - message.accepted_at
            if len(sent) < MOST and age_ms < windows[message.account] * 1000:
                sent.append(message)
        if before == since:
            break
    for name, sent in found.items():
        for message in reversed(sent):
            duplicates.add(message, windows[name])
