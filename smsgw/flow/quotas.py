"""Quotas: how many message parts each account has sent today and this month, by its own calendar.

Comes from: ``decide``, which asks whether a message still fits, and ``accept``, which counts it.
Goes on to: the journal, which adds it up in the transaction that accepts the message.

Theory of operation. As with balances (``money.py``), what is decided counts in memory at once and
is undone if it is not stored, so of two messages that race for the last of a quota the second finds
it used. Every account is counted, whether it has a quota or not: so operators see what it sends,
and a quota that is set in the middle of a month holds for the whole of it. What an account sends
counts for those above it too, on the day that it is for them.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen
from sqlalchemy import Connection, delete, select

from smsgw.provisioning import Account
from smsgw.store import schema
from smsgw.store.journal import Journal

KEPT_DAYS = 400  # of usage in the store
_UNLIMITED = 1 << 62

Row = tuple[str, int, int]  # account, day as YYYYMMDD, parts


@frozen
class _Day:
    """A day of one calendar, from ``begin`` until before ``end`` (ms since 1970 UTC)."""

    number: int  # YYYYMMDD
    begin: int
    end: int

    @property
    def month(self) -> int:
        """YYYYMM."""
        return self.number // 100


class Quotas:
    """What all accounts have used, in message parts. Used on the reactor's thread only."""

    def __init__(self) -> None:
        # (account, YYYYMMDD or YYYYMM) -> parts of that day or month
        self._used: dict[tuple[str, int], int] = {}
        self._unstored: dict[tuple[str, int], int] = {}  # of days: decided and not stored yet
        self._days: dict[str, _Day] = {}  # time zone -> its day now
        # True if other nodes count as well: the store has the last word then, and ``asked`` keeps
        # the accounts with a quota that were asked for since it was emptied.
        self.shared = False
        self.asked: set[str] = set()

    async def load(self, journal: Journal, now: float) -> None:
        """Reads what the store has of these months, and has it forget what is too old; ``now`` is
        seconds since 1970. What waits to be stored stays counted (see ``money.Balances.load``)."""
        self.take(await journal.run(lambda connection: _cleared(connection, now)))

    def take(self, rows: Sequence[Row]) -> None:
        """``rows`` are what the store has."""
        self._used = {}
        for account, day, parts in rows:
            self._add(account, day, parts)
        for (account, day), parts in self._unstored.items():
            self._add(account, day, parts)

    def used(self, account: Account, now: float) -> tuple[int, int]:
        """Parts of today and of this month."""
        day = self._day(account.time_zone, int(now * 1000))
        name = account.name
        return self._used.get((name, day.number), 0), self._used.get((name, day.month), 0)

    def exceeded(self, account: Account, parts: int, now_ms: int) -> str:
        """Which limit of the account so many parts more would exceed, in words; "" if none."""
        day = self._day(account.time_zone, now_ms)
        limit = account.quota_day
        if limit and self._used.get((account.name, day.number), 0) + parts > limit:
            return f"{limit} parts a day"
        limit = account.quota_month
        if limit and self._used.get((account.name, day.month), 0) + parts > limit:
            return f"{limit} parts a month"
        return ""

    def room(self, metered: Sequence[Account], now_ms: int) -> int:
        """How many parts more exceed no limit of any of these accounts; less than 0 if some are
        exceeded already, a large number if there is no limit."""
        room = _UNLIMITED
        for account in metered:
            if self.shared:
                self.asked.add(account.name)
            day = self._day(account.time_zone, now_ms)
            for limit, when in (
                (account.quota_day, day.number),
                (account.quota_month, day.month),
            ):
                if limit:
                    room = min(room, limit - self._used.get((account.name, when), 0))
        return room

    def limits(self, metered: Sequence[Account], now_ms: int) -> list[tuple[str, int, int, int]]:
        """What the store is to check when parts of these accounts are written
        (``Changes.metered``)."""
        return [
            (
                account.name,
                self._day(account.time_zone, now_ms).number,
                account.quota_day,
                account.quota_month,
            )
            for account in metered
        ]

    async def read_again(self, journal: Journal, now: float) -> None:
        """Reads what the store has of the accounts in ``asked``, which others may have used; raises
        ``StoreFailed``."""
        wanted, self.asked = self.asked, set()
        rows = await journal.run(lambda connection: read(connection, now, wanted))
        for key in [key for key in self._used if key[0] in wanted]:
            del self._used[key]
        for account, day, parts in rows:
            self._add(account, day, parts)
        for (account, day), parts in self._unstored.items():
            if account in wanted:
                self._add(account, day, parts)

    def charge(self, lineage: Sequence[Account], parts: int, now_ms: int, usage: list[Row]) -> None:
        """Messages of the first account of ``lineage`` are decided: the rows that count them are
        added to ``usage``; ``stored`` or ``not_stored`` follows."""
        for account in lineage:
            name, day = account.name, self._day(account.time_zone, now_ms).number
            self._add(name, day, parts)
            key = name, day
            self._unstored[key] = self._unstored.get(key, 0) + parts
            # Messages of a batch are mostly one account's: one row counts them all.
            if usage and usage[-1][0] == name and usage[-1][1] == day:
                usage[-1] = name, day, usage[-1][2] + parts
            else:
                usage.append((name, day, parts))

    def stored(self, usage: Sequence[Row]) -> None:
        """Rows that ``charge`` made are in the store."""
        for name, day, parts in usage:
            left = self._unstored[name, day] - parts
            if left:
                self._unstored[name, day] = left
            else:
                del self._unstored[name, day]

    def not_stored(self, usage: Sequence[Row]) -> None:
        """They are undone."""
        self.stored(usage)
        for name, day, parts in usage:
            self._add(name, day, -parts)

    def _add(self, account: str, day: int, parts: int) -> None:
        used = self._used
        for key in ((account, day), (account, day // 100)):
            used[key] = used.get(key, 0) + parts

    def _day(self, time_zone: str, now_ms: int) -> _Day:
        day = self._days.get(time_zone)
        if day is None or not day.begin <= now_ms < day.end:
            day = self._days[time_zone] = _day_of(time_zone, now_ms)
            oldest = _oldest(now_ms / 1000)
            self._used = {
                key: parts
                for key, parts in self._used.items()
                if key[1] >= (oldest if key[1] > 1_000_000 else oldest // 100)
            }
        return day


def _day_of(time_zone: str, now_ms: int) -> _Day:
    zone = ZoneInfo(time_zone)
    local = datetime.fromtimestamp(now_ms // 1000, zone)
    first = datetime(local.year, local.month, local.day, tzinfo=zone)
    last = first + timedelta(days=1)
    begin, end = (int(one.timestamp()) * 1000 for one in (first, last))
    return _Day(local.year * 10_000 + local.month * 100 + local.day, begin, end)


def read(connection: Connection, now: float, of: Collection[str] | None = None) -> list[Row]:
    """What the store has of the months that it is now somewhere on earth; of a few accounts with
    ``of``."""
    c = schema.usage.c
    query = select(c.account, c.day, c.parts).where(c.day >= _oldest(now))
    if of is not None:
        query = query.where(c.account.in_(of))
    return [(row.account, row.day, row.parts) for row in connection.execute(query)]


def _cleared(connection: Connection, now: float) -> list[Row]:
    """What ``read`` gives; what is older than KEPT_DAYS is removed."""
    kept = datetime.fromtimestamp(now, UTC) - timedelta(KEPT_DAYS)
    connection.execute(delete(schema.usage).where(schema.usage.c.day < _number(kept)))
    return read(connection, now)


def _oldest(now: float) -> int:
    """The first day of a month that has not ended everywhere."""
    return _number((datetime.fromtimestamp(now, UTC) - timedelta(days=1)).replace(day=1))


def _number(day: datetime) -> int:
    return day.year * 10_000 + day.month * 100 + day.day
