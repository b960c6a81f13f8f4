"""Lists of numbers as operators keep them: the same with a gateway and without one."""

from typing import Any

from sqlalchemy import Engine, select
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw.config import Config, Store
from smsgw.operate.list_views import ListOperator, ListView, NumbersChanged
from smsgw.operate.live import LiveOperator
from smsgw.operate.offline import OfflineOperator
from smsgw.operate.operator import Unavailable
from smsgw.refusals import Reason
from smsgw.store import schema
from smsgw.store.lists import NumberList
from tests.folders import temporary_folder
from tests.operate.gateways import NORTH, a_gateway, provision, result

NUMBER = "447700900123"


class _Cases:
    """What holds for both; ``keeper`` is the operator's lists, ``rows`` those of a table."""

    keeper: ListOperator

    def rows(self, table: Any) -> list[Any]:
        raise NotImplementedError

    def done(self, coroutine: Any) -> Any:
        return result(self, coroutine)  # type: ignore[arg-type]

    def make(self, name: str = "foes", type: str = "block", source: str = "") -> ListView:
        made: ListView = self.done(self.keeper.make("acme", name, type, source))
        assert not made.error, made
        return made

    def fault(self, *given: str) -> str:
        made: ListView = self.done(self.keeper.make(*given))
        assert made.error
        assert not made.id
        return made.error

    def results(self, changed: NumbersChanged) -> list[tuple[str, str]]:
        return [(one.number, one.result) for one in changed.numbers]

    def test_a_list_is_made_shown_renamed_and_deleted(self) -> None:
        """And each of it is in the audit."""
        made = self.make()
        shown = ListView(made.id, "acme", "foes", "block", "", 0, made.created, made.updated)
        assert self.done(self.keeper.all("acme")) == [shown]
        renamed = self.done(self.keeper.rename(made.id, "others"))
        assert (renamed.name, renamed.error) == ("others", "")
        assert self.done(self.keeper.delete(made.id)).name == "others"
        assert self.done(self.keeper.all(None)) == []
        done = [(row.who, row.kind, row.name, row.detail) for row in self.rows(schema.action)]
        assert done == [
            ("olga", "list", "acme/foes", "created"),
            ("olga", "list", "acme/foes", "renamed others"),
            ("olga", "list", "acme/others", "deleted"),
        ]

    def test_what_a_list_cannot_be_is_told(self) -> None:
        """With what would be right."""
        self.make()
        assert "there is no account nobody" in self.fault("nobody", "a", "block", "")
        assert "must be one of contact, optout, block" in self.fault("acme", "a", "x", "")
        assert "there is a list foes" in self.fault("acme", "foes", "contact", "")
        for name in ("", " a", "a\n", "a" * 65):
            assert "1 to 64 printable characters" in self.fault("acme", name, "block", "")
        assert "leave it out" in self.fault("acme", "a", "block", NUMBER)
        assert "name one" in self.fault("", "a", "optout", "")
        assert "built-in list" in self.fault("acme", "optout", "block", "")
        assert "built-in list" in self.fault("acme", "optout 12345", "optout", "54321")

    def test_a_built_in_list_is_kept(self) -> None:
        """It may be made before the first handset opts out, but not renamed or deleted."""
        made = self.make("optout 12345", "optout", "12345")
        assert made.built_in
        assert "is built in" in self.done(self.keeper.rename(made.id, "x")).error
        assert "is built in" in self.done(self.keeper.delete(made.id)).error
        assert [one.name for one in self.done(self.keeper.all(None))] == ["optout 12345"]
        other = self.make()
        assert "built-in" in self.done(self.keeper.rename(other.id, "optout 1")).error

    def test_a_name_that_is_taken_is_not_given_again(self) -> None:
        """Two lists of one name could not be told apart."""
        made = self.make()
        self.make("friends", "contact")
        assert "choose another" in self.done(self.keeper.rename(made.id, "friends")).error

    def test_each_number_has_its_result(self) -> None:
        """Numbers as people write them, in the order in which they were given."""
        made = self.make()
        numbers = ["07700 900123", f"+{NUMBER}", "nonsense", "44900*"]
        changed = self.done(self.keeper.add(made.id, numbers))
        assert self.results(changed) == [
            (NUMBER, "added"),
            (NUMBER, "exists"),
            ("nonsense", "invalid"),
            ("44900*", "added"),
        ]
        assert self.done(self.keeper.all("acme"))[0].size == 2
        members = self.done(self.keeper.members(made.id, ""))
        assert [(one.number, one.origin) for one in members] == [
            ("447700900123", "admin"),
            ("44900*", "admin"),
        ]
        changed = self.done(self.keeper.remove(made.id, ["44900*", "447700900124"]))
        assert self.results(changed) == [("44900*", "removed"), ("447700900124", "unknown")]
        details = [row.detail for row in self.rows(schema.action)]
        assert details == ["created", "added 2 numbers", "removed 1 numbers"]

    def test_what_changes_nothing_is_not_audited(self) -> None:
        """There is nothing to tell."""
        made = self.make()
        self.done(self.keeper.remove(made.id, [NUMBER]))
        self.done(self.keeper.add(made.id, []))
        assert [row.detail for row in self.rows(schema.action)] == ["created"]

    def test_members_come_in_pages(self) -> None:
        """After the last number of the page before."""
        made = self.make()
        numbers = [str(447700900000 + n) for n in range(1_500)]
        for start in (0, 1_000):
            self.done(self.keeper.add(made.id, numbers[start : start + 1_000]))
        first = self.done(self.keeper.members(made.id, ""))
        then = self.done(self.keeper.members(made.id, first[-1].number))
        assert [one.number for one in first + then] == numbers
        changed = self.done(self.keeper.add(made.id, ["1"] * 1_001))
        assert "1000 at most" in changed.error

    def test_an_unknown_list_is_none(self) -> None:
        """Whatever is asked of it, and whatever the id is."""
        for id in ("7", "x", "", "9" * 30, "٣"):
            assert self.done(self.keeper.rename(id, "x")) is None
            assert self.done(self.keeper.delete(id)) is None
            assert self.done(self.keeper.members(id, "")) is None
            assert self.done(self.keeper.add(id, [NUMBER])) is None
            assert self.done(self.keeper.remove(id, [NUMBER])) is None


class LiveListTests(_Cases, TestCase):
    def setUp(self) -> None:
        self.gateway = a_gateway(self)
        provision(self, self.gateway)
        self.keeper = LiveOperator(self.gateway, who="olga").lists

    def rows(self, table: Any) -> list[Any]:
        found: list[Any] = self.successResultOf(
            self.gateway.journal.run(lambda c: list(c.execute(select(table))))
        )
        return found

    def test_a_change_is_in_force_at_once(self) -> None:
        """Without a reload."""
        made = self.make()
        account = [self.gateway.tables.accounts["acme"]]
        refuses = self.gateway.lists.refuses
        assert refuses(account, "ACME", NUMBER) is None
        self.done(self.keeper.add(made.id, [NUMBER]))
        assert refuses(account, "ACME", NUMBER) is Reason.BLOCKED
        self.done(self.keeper.delete(made.id))
        assert refuses(account, "ACME", NUMBER) is None

    def test_long_lists_are_not_counted_in_the_store(self) -> None:
        """Those in memory, which may be long, have their sizes from there; contacts do not."""
        made, contacts = self.make(), self.make("friends", "contact")
        for one in (made, contacts):
            self.done(self.keeper.add(one.id, [NUMBER, "447700900124"]))
        with self.gateway._engine.connect() as connection:
            connection.exec_driver_sql("DELETE FROM list_member")
            connection.commit()
        found = {one.name: one.size for one in self.done(self.keeper.all("acme"))}
        assert found == {"foes": 2, "friends": 0}

    def test_a_store_that_fails_is_told(self) -> None:
        """In one line with the remedy; and nothing has changed."""
        made = self.make()
        engine: Engine = self.gateway._engine
        with engine.connect() as connection:
            connection.exec_driver_sql("DROP TABLE list_member")
            connection.commit()
        adding = Deferred.fromCoroutine(self.keeper.add(made.id, [NUMBER]))
        failure = self.failureResultOf(adding, Unavailable)
        assert "mend that and try again" in failure.getErrorMessage()
        account = [self.gateway.tables.accounts["acme"]]
        assert self.gateway.lists.refuses(account, "ACME", NUMBER) is None


class OfflineListTests(_Cases, TestCase):
    def setUp(self) -> None:
        config = Config(store=Store(f"sqlite:///{temporary_folder(self)}/smsgw.db"))
        self.operator = OfflineOperator(config).by("olga")
        self.addCleanup(self.operator.close)
        applied = result(self, self.operator.apply(NORTH, "p.toml", False, False, "test"))
        assert not applied.errors
        self.keeper = self.operator.lists

    def rows(self, table: Any) -> list[Any]:
        found: list[Any] = result(self, self.operator.run(lambda c: list(c.execute(select(table)))))
        return found


def test_a_row_is_what_the_table_has() -> None:
    """In the order of its columns."""
    row = NumberList(1, "acme", "foes", "block", "", 2, 3).row()
    assert len(row) == len(schema.number_list.columns)
