"""The operator's view of a running gateway: what is shown, what is applied, what is sent."""

import time
from typing import Any

from attrs import define
from sqlalchemy import select
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw.identities import to_guid, to_hex
from smsgw.login import Login
from smsgw.operate.operator import Applied, Check, Sent, Unavailable
from smsgw.store import provision as store
from smsgw.store import schema
from smsgw.store.secrets import SecretsUnusable
from tests.flow.journey import FakeSession
from tests.operate.gateways import NORTH, a_gateway, provision, result


@define
class ALink:
    """What is seen of a link."""

    up: bool
    state: str
    reason: str
    since: float


class LiveCase(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        self.operator = self.gateway.operator
        provision(self, self.gateway)

    def ask(self, coroutine: Any) -> Any:
        return result(self, coroutine)

    def apply(self, text: str, prune: bool = False, dry_run: bool = False) -> Applied:
        applied: Applied = self.ask(self.operator.apply(text, "f.toml", prune, dry_run, "me"))
        return applied

    def send(self, to: str = "447700900123", text: str = "Hello", account: str = "acme") -> Sent:
        sent: Sent = self.ask(self.operator.send(account, "447700900000", to, text, True))
        return sent


class ShownTests(LiveCase):
    def test_accounts_are_shown_with_what_waits_for_them(self) -> None:
        """By name, with their sessions now and no secret."""
        self.apply(NORTH.replace("acme", "aaa").replace("447700900000", "447700900001"))
        self.gateway.esmes.bound(FakeSession(Login("acme", "acme"), receives=False))
        [first, account] = self.ask(self.operator.accounts())
        assert (first.name, account.name) == ("aaa", "acme")
        assert (account.logins, account.numbers) == (["smpp acme"], ["447700900000"])
        assert (account.sessions, account.waiting, account.rate) == (1, 0, 50.0)
        assert "argon2" not in repr(account)

    def test_carriers_are_shown_with_what_waits_for_them(self) -> None:
        """A carrier whose links are not made yet is down."""
        self.send()
        [carrier] = self.ask(self.operator.carriers())
        assert (carrier.name, carrier.kind, carrier.peer) == ("north", "smpp", "192.0.2.1:2775")
        assert (carrier.state, carrier.links_up, carrier.links) == ("down", 0, 2)
        assert (carrier.waiting, carrier.window) == (1, 10)

    def test_a_carrier_with_a_link_up_is_up(self) -> None:
        """How many of its links are, and why the others are not."""
        side = self.a_side(ALink(True, "up", "", 5.0), ALink(False, "waiting", "ESME_RALYBND", 7.0))
        [carrier] = self.ask(self.operator.carriers())
        assert (carrier.state, carrier.links_up, carrier.links) == ("up", 1, 2)
        assert carrier.reason == "ESME_RALYBND"
        assert carrier.outstanding == side.outstanding

    def test_a_carrier_without_a_link_up_says_why(self) -> None:
        """What the link is doing, since when, and what was wrong."""
        self.gateway.reactor.advance(100)
        self.a_side(ALink(False, "waiting", "wrong password", 40.0))
        before = int((time.time() - 60) * 1000)
        [carrier] = self.ask(self.operator.carriers())
        assert (carrier.state, carrier.reason) == ("waiting", "wrong password")
        assert before <= carrier.since <= int((time.time() - 60) * 1000)

    def a_side(self, *links: ALink) -> Any:
        @define
        class ASide:
            links: list[ALink]
            outstanding: int

        side: Any = ASide(list(links), 3)
        self.gateway.carriers.sides["north"] = side
        return side

    def test_queues_are_shown_by_name(self) -> None:
        """How many wait, how many of them are due, and since when."""
        assert self.ask(self.operator.queues()) == []
        self.send()
        self.send()
        [queue] = self.ask(self.operator.queues())
        assert (queue.name, queue.waiting, queue.due) == ("carrier:north", 2, 2)
        assert queue.oldest > 0

    def test_a_message_is_found_in_every_form_of_its_id(self) -> None:
        """Decimal, UUID form, 32 hex digits; where it waits is shown, its text is not."""
        sent = self.send(text="secret")
        id = int(sent.id)
        for form in (sent.id, sent.guid, to_hex(id), to_guid(id).upper(), f" {id} "):
            message = self.ask(self.operator.message(form))
            assert message.id == sent.id, form
        assert (message.state, message.final, message.queued) == (
            "ENROUTE",
            False,
            ["carrier:north"],
        )
        assert (message.account, message.interface, message.route) == ("acme", "cli", "uk")
        assert "secret" not in repr(message)

    def test_what_is_no_id_finds_nothing(self) -> None:
        """Neither does an id of no message."""
        for form in ("", "abc", "0", "12345", "9" * 30, "-1", "²", to_guid(7)):
            assert self.ask(self.operator.message(form)) is None

    def test_a_healthy_gateway_says_so(self) -> None:
        """Each check is well."""
        health = self.ask(self.operator.health())
        assert health.ok
        assert [check.name for check in health.checks] == ["store", "accepting"]

    def test_a_failing_store_is_no_health(self) -> None:
        """It tells why the last commit failed, until one works."""
        self.gateway.journal.broken = "disk full"
        assert self.send().error == "Temporarily unavailable"
        health = self.ask(self.operator.health())
        assert not health.ok
        assert Check("store", False, "disk full") in health.checks
        self.gateway.journal.broken = ""
        self.send()
        assert self.ask(self.operator.health()).ok

    def test_a_gateway_that_stops_is_no_health(self) -> None:
        """So that a load balancer sends nothing more."""
        self.gateway.acceptance.draining = True
        assert not self.ask(self.operator.health()).ok


class ApplyTests(LiveCase):
    def test_what_is_applied_is_in_force_at_once(self) -> None:
        """The tables are the new ones, of the next version."""
        version = self.gateway.tables.version
        applied = self.apply(NORTH.replace("rate = 50", "rate = 5"))
        assert applied.changes == ["~ account acme: rate: 50 -> 5"]
        assert applied.version == self.gateway.tables.version == version + 1
        assert self.gateway.tables.accounts["acme"].rate == 5

    def test_the_same_again_changes_nothing(self) -> None:
        """No line, no version."""
        version = self.gateway.tables.version
        assert self.apply(NORTH) == Applied([], [], version)

    def test_a_dry_run_shows_and_does_nothing(self) -> None:
        """The lines are those of the real one."""
        tables = self.gateway.tables
        applied = self.apply(NORTH.replace("rate = 50", "rate = 5"), dry_run=True)
        assert applied.changes == ["~ account acme: rate: 50 -> 5"]
        assert applied.version == tables.version
        assert self.gateway.tables is tables
        assert self.ask(self.operator.accounts())[0].rate == 50

    def test_faults_are_told_and_nothing_is_done(self) -> None:
        """Each with its file and line; the version stays."""
        applied = self.apply('[[account]]\nname = "x"\nrate = "fast"\n')
        assert applied.changes == []
        assert applied.errors[0].startswith("f.toml:3: ")
        assert applied.version == self.gateway.tables.version
        assert list(self.gateway.tables.accounts) == ["acme"]

    def test_prune_deletes_what_the_file_has_not(self) -> None:
        """Without it nothing is deleted."""
        text = '[[account]]\nname = "other"\n'
        assert len(self.apply(text).changes) == 1
        assert set(self.gateway.tables.accounts) == {"acme", "other"}
        self.apply(text, prune=True)
        assert set(self.gateway.tables.accounts) == {"other"}
        assert self.gateway.tables.carriers == {}

    def test_who_changed_what_is_audited(self) -> None:
        """Without the secrets."""
        self.apply(NORTH.replace('"secret"', '"other"'))
        rows = self.ask(self.audit())
        assert [row.who for row in rows if row.version > 1] == ["me"]
        assert all("argon2" not in f"{row}" and '"other"' not in f"{row}" for row in rows)

    async def audit(self) -> Any:
        return await self.gateway.journal.run(lambda c: list(c.execute(select(schema.audit))))

    def test_a_missing_key_is_told_with_its_remedy(self) -> None:
        """The store's carrier passwords cannot be read without it."""

        def unusable(*_: object) -> None:
            raise SecretsUnusable("smsgw.key: missing; restore it")

        self.patch(store, "load", unusable)
        asked = self.operator.apply(NORTH, "f.toml", False, False, "me")
        failure = self.failureResultOf(Deferred.fromCoroutine(asked), Unavailable)
        assert failure.getErrorMessage() == "smsgw.key: missing; restore it"

    def test_two_at_once_do_not_overwrite_each_other(self) -> None:
        """The second one works out its changes again from what the first one left."""
        prepare = store.prepare
        raced = []

        def racing(*given: Any) -> Any:
            changes = prepare(*given)
            if not raced:
                raced.append(True)
                self.apply('[[account]]\nname = "first"\n')
            return changes

        self.patch(store, "prepare", racing)
        self.apply('[[account]]\nname = "second"\n')
        assert {"first", "second"} <= set(self.gateway.tables.accounts)


class SendTests(LiveCase):
    def test_a_message_is_accepted_as_if_the_account_had_sent_it(self) -> None:
        """Its id in both forms, and how many parts it has."""
        sent = self.send(text="x" * 200)
        assert sent.error == ""
        assert sent.guid == to_guid(int(sent.id))
        assert sent.parts == 2

    def test_a_refusal_is_told_in_words(self) -> None:
        """With what a person needs to mend it."""
        assert self.send(to="33123456789").error == "Not Sent: no route for 33123456789"
        assert self.send(to="abc").error == "Invalid destination: abc"

    def test_an_unknown_account_is_told_with_the_remedy(self) -> None:
        """Where to find the right name."""
        assert self.send(account="nobody").error == (
            "there is no account nobody; see: smsgw accounts"
        )
