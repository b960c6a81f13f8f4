"""The tree of accounts: what an account's place in it makes of the account (F-17 of
``spec/aerialink.md``)."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen

from smsgw.provisioning import Account
from smsgw.provisioning.parents import LEVELS

NEVER = 1 << 62  # ms since 1970 of what does not come


@frozen
class Standing:
    """What holds for an account because of itself and of those above it.

    ``lineage`` is the account, its parent, and so on; ``rated`` and ``metered`` are those of it
    that have a rate, or a quota. ``payer`` is who is charged for its messages. ``expires_at`` is
    when the first of the lineage has had its last day, in ms since 1970 UTC.
    """

    lineage: tuple[Account, ...]
    suspended: bool
    expires_at: int
    rated: tuple[Account, ...]
    metered: tuple[Account, ...]
    payer: Account

    @property
    def currency(self) -> str:
        """Of the account, or of the nearest one above it that has one; "" if there is none."""
        return next((one.currency for one in self.lineage if one.currency), "")


def lineage(account: Account, accounts: Mapping[str, Account]) -> tuple[Account, ...]:
    """The account, its parent, and so on up, as far as they are known."""
    found = [account]
    while len(found) < LEVELS:
        above = accounts.get(found[-1].parent)
        if above is None or above in found:
            break
        found.append(above)
    return tuple(found)


def standing(account: Account, accounts: Mapping[str, Account]) -> Standing:
    """What the account's place among ``accounts`` makes of it."""
    line = lineage(account, accounts)
    return Standing(
        lineage=line,
        suspended=any(one.suspended for one in line),
        expires_at=min(end_of(one.expires, one.time_zone) for one in line),
        rated=tuple(one for one in line if one.rate),
        metered=tuple(one for one in line if one.quota_day or one.quota_month),
        payer=next((one for one in line if one.balance is not None), account),
    )


def end_of(day: str, time_zone: str) -> int:
    """When ``day`` ("2026-12-31") is over in the zone, in ms since 1970 UTC; NEVER for ""."""
    if not day:
        return NEVER
    try:
        after = date.fromisoformat(day) + timedelta(days=1)
    except OverflowError:  # the last day of the calendar
        return NEVER
    midnight = datetime(after.year, after.month, after.day, tzinfo=ZoneInfo(time_zone))
    return int(midnight.timestamp()) * 1000
