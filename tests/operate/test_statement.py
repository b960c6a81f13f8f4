"""Statements: pages of the ledger, private messages that are folded, sums by cost centre."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from smsgw.identities import Identities
from smsgw.message import Message
from smsgw.operate import statement
from smsgw.operate.account_views import CostView, LedgerView
from smsgw.rules.money import Entry
from smsgw.store import ledger, provision, records, schema
from tests.journals import a_store

DAY_MS = 24 * 3600_000
DAY = 20_000 * DAY_MS  # the beginning of a day in UTC
ACCOUNT = """
[[account]]
name = "acme"
currency = "GBP"
"""


class Books:
    """A store with an account, and the operator who reads its ledger."""

    def __init__(self, test: SynchronousTestCase) -> None:
        self.test = test
        self.connection = a_store(test).connect()
        test.addCleanup(self.connection.close)
        self.now = DAY
        self.identities = Identities(0, lambda: self.now / 1000)
        changes = provision.prepare(provision.load(self.connection), ACCOUNT, "p.toml")
        provision.apply(self.connection, changes, "tester", DAY)

    def enter(self, amount: int, reason: Entry, message: int | None = None, text: str = "") -> None:
        row = schema.LedgerRow(
            self.identities.allot(), "acme", self.now, amount, reason, message, text
        )
        ledger.enter(self.connection, [row])

    def message(self, at: int = 0, parts: int = 1, **of: Any) -> int:
        """A message at 0.0100 a part, charged ``at`` ms of the first day."""
        self.now = DAY + at
        message = Message(
            source="ACME",
            destination="447700900123",
            parts=[b"x"] * parts,
            account="acme",
            id=self.identities.allot(),
            accepted_at=self.now,
            charged=100,
            **of,
        )
        row = dict(zip(records.MESSAGE_COLUMNS, records.row(message, None), strict=True))
        self.connection.execute(insert(schema.message).values(row))
        self.enter(-100 * parts, Entry.CHARGE, message.id)
        return message.id

    async def statement(
        self, account: str, since: int, until: int, after: int
    ) -> list[LedgerView] | None:
        """As an operator."""
        return statement.read(self.connection, account, since, until, after)

    def pages(self, account: str = "acme") -> list[LedgerView]:
        """All rows of the statement."""

        async def all() -> list[LedgerView]:
            found: list[LedgerView] = []
            async for page in statement.pages(self, account, 0, 1 << 62):  # type: ignore[arg-type]
                found += page
            return found

        return self.test.successResultOf(Deferred.fromCoroutine(all()))

    def sums(self) -> list[CostView]:
        """By cost centre."""
        asked = statement.by_costcentre(self, "acme", 0, 1 << 62)  # type: ignore[arg-type]
        return self.test.successResultOf(Deferred.fromCoroutine(asked))


class StatementTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.books = Books(self)

    def test_a_row_tells_of_its_message(self) -> None:
        """Who sent it, where to, for which cost centre, in how many parts, in which currency."""
        id = self.books.message(5, parts=2, costcentre="sales")
        self.books.enter(100, Entry.REFUND, id)
        self.books.enter(500, Entry.TOP_UP, text="Invoice 7")
        charge, refund, top_up = self.books.pages()
        assert (charge.at, charge.reason, charge.amount) == (DAY + 5, "charge", "-0.02")
        assert (charge.account, charge.destination) == ("acme", "447700900123")
        assert (charge.message, charge.costcentre, charge.currency) == (str(id), "sales", "GBP")
        assert (charge.messages, charge.parts) == (1, 2)
        assert (refund.messages, refund.parts, refund.amount) == (0, -1, "0.01")
        assert (top_up.text, top_up.parts, top_up.messages) == ("Invoice 7", 0, 0)

    def test_private_messages_of_a_day_are_one_row_without_details(self) -> None:
        """At the day's end, with their number and sum; each cost centre has its own."""
        first = self.books.message(1, private=True)
        self.books.message(2, costcentre="sales", private=True)
        self.books.message(3)
        self.books.message(4, parts=2, private=True)
        self.books.enter(100, Entry.REFUND, first)
        self.books.message(DAY_MS, private=True)
        rows = self.books.pages()
        shown = [(r.at - DAY, r.reason, r.amount, r.messages, r.parts, r.costcentre) for r in rows]
        assert shown == [
            (3, "charge", "-0.01", 1, 1, ""),
            (0, "private", "-0.01", 1, 1, "sales"),
            (0, "private", "-0.02", 2, 2, ""),
            (DAY_MS, "private", "-0.01", 1, 1, ""),
        ]
        for row in rows[1:]:
            assert (row.message, row.destination, row.account, row.text) == ("", "", "", "")

    def test_sums_by_cost_centre_leave_out_what_is_of_no_message(self) -> None:
        """Charges less refunds, private ones as well."""
        id = self.books.message(1, parts=2, costcentre="sales")
        self.books.message(2, costcentre="sales", private=True)
        self.books.message(3)
        self.books.enter(100, Entry.REFUND, id)
        self.books.enter(500, Entry.TOP_UP)
        assert self.books.sums() == [
            CostView("", "GBP", 1, 1, "-0.01"),
            CostView("sales", "GBP", 2, 2, "-0.02"),
        ]

    def test_an_account_without_entries_has_an_empty_statement(self) -> None:
        """And one that is not there is told."""
        assert self.books.pages() == []
        assert self.books.sums() == []
        with pytest.raises(statement.NoAccount):
            raise self.failureResultOf(
                Deferred.fromCoroutine(self.books_of_nobody()), statement.NoAccount
            ).value

    async def books_of_nobody(self) -> None:
        async for _ in statement.pages(self.books, "nobody", 0, 1):  # type: ignore[arg-type]
            pass

    def test_a_statement_is_the_same_whatever_the_size_of_its_pages(self) -> None:
        """The rows, and what they add up to."""

        @settings(max_examples=40, deadline=None)
        @given(
            messages=st.lists(
                st.tuples(
                    st.integers(0, 2), st.sampled_from(["", "a"]), st.booleans(), st.booleans()
                ),
                max_size=12,
            ),
            page=st.integers(1, 5),
        )
        def law(messages: list[tuple[int, str, bool, bool]], page: int) -> None:
            books = Books(self)
            for n, (day, costcentre, private, refunded) in enumerate(sorted(messages)):
                id = books.message(day * DAY_MS + n, costcentre=costcentre, private=private)
                if refunded:
                    books.enter(100, Entry.REFUND, id)
            rows, sums = books.pages(), books.sums()
            self.patch(statement, "PAGE", page)
            try:
                # The id of a row for several messages is that of the last one.
                assert books.pages() == rows
                assert books.sums() == sums
            finally:
                self.patch(statement, "PAGE", 1_000)
            spent = sum(statement.money.amount(row.amount) for row in rows)
            assert spent == ledger.balances(books.connection)["acme"]
            assert spent == sum(statement.money.amount(one.amount) for one in sums)
            assert sum(row.messages for row in rows) == len(messages)

        law()
