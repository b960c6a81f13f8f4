"""Retention on PostgreSQL: whole days of messages are dropped, and what must stay outlives its
day."""

import os

from sqlalchemy import Connection

from smsgw.store import partitions, schema
from tests.flow.journey import NOW_MS
from tests.flow.test_retention import RetentionCase


class DayTests(RetentionCase):
    """Messages are kept by the day."""

    def setUp(self) -> None:
        """On PostgreSQL."""
        before = os.environ.get("SMSGW_TEST_STORE")
        os.environ["SMSGW_TEST_STORE"] = "postgresql"
        try:
            super().setUp()
        finally:
            os.environ.pop("SMSGW_TEST_STORE")
            if before is not None:
                os.environ["SMSGW_TEST_STORE"] = before

    def tables(self) -> list[int]:
        """The days that have tables."""
        return self.journey.result(self.journey.journal.run(partitions.days))

    def test_w_d30_a_day_goes_as_a_whole_when_it_is_over(self) -> None:
        """W-D30: its table is dropped with that of its parts; what came later stays."""
        self.passes()
        today = partitions.day_of(NOW_MS)
        self.delivered()
        self.days(3)
        young = self.delivered("b0")
        self.journey.awaited._recent.clear()
        self.days(29)
        self.passes()
        assert self.left() == {young}
        assert {row.message for row in self.journey.rows(schema.part)} == {young}
        assert self.job.removed == 1
        assert today not in self.tables()
        assert today + 3 in self.tables()

    def test_tables_are_made_ahead(self) -> None:
        """A week of them, so that a gateway whose clock is ahead finds one too; days go by, and
        there is always one for today."""
        for _ in range(3):
            self.passes()
            today = partitions.day_of(int(self.journey.clock.seconds() * 1000))
            assert set(range(today, today + partitions.AHEAD_DAYS + 1)) <= set(self.tables())
            self.days(5)

    def test_what_has_not_ended_outlives_its_day(self) -> None:
        """However old it is, a message that waits is there with its entry, and is sent; one that a
        receipt is awaited of is found by it."""
        awaited = self.journey.sent("a0")
        waiting = self.journey.accepted().id
        self.journey.queues.stop()
        today = partitions.day_of(NOW_MS)
        self.passes()
        self.days(40)
        self.passes()
        assert today not in self.tables()
        assert self.left() == {awaited.id, waiting}
        assert {row.message for row in self.journey.entries()} == {waiting}
        self.journey.receive("a0")
        assert {row.id: row.state for row in self.journey.rows(schema.message)}[awaited.id] == 2

    def test_what_belongs_to_no_table_gets_into_its_own(self) -> None:
        """Messages that came before their day's table was made are moved to it."""
        id = self.delivered()
        self.passes()
        day = partitions.day_of(NOW_MS)

        def count(connection: Connection) -> int:
            return partitions.count(connection, day)

        assert self.journey.result(self.journey.journal.run(count)) == 1
        assert self.left() == {id}
