"""What has come by MM4 is known again for seven days (ruling 16)."""

from sqlalchemy import Connection
from twisted.trial.unittest import TestCase

from smsgw.mm4.transactions import KEPT_MS, delivery_key
from smsgw.store import seen
from smsgw.store.changes import Changes
from smsgw.store.seen import SeenRow
from tests.journals import a_journal

NOW = 1_800_000_000_000


class SeenTests(TestCase):
    """On a store."""

    def test_is_found_for_seven_days_and_then_removed(self) -> None:
        """By its key, with what was answered; rows that are too old are neither found nor kept."""
        journal = a_journal(self)
        keys = [delivery_key("account:acme", f"m{n}", "447700900123") for n in range(1200)]
        rows = [SeenRow(key, NOW + n, "Ok", "") for n, key in enumerate(keys)]
        self.successResultOf(journal.commit(Changes(seen=list(rows))))

        def work(connection: Connection) -> None:
            assert seen.find(connection, keys, NOW) == {row.key: row for row in rows}
            late = seen.find(connection, keys, NOW + KEPT_MS + 1000)
            assert sorted(row.at for row in late.values()) == [NOW + n for n in range(1001, 1200)]
            assert seen.find(connection, [], NOW) == {}
            assert seen.remove_before(connection, NOW + 1001, 700) == 700
            assert seen.remove_before(connection, NOW + 1001, 700) == 301
            assert len(seen.find(connection, keys, NOW)) == 199

        self.successResultOf(journal.run(work))
