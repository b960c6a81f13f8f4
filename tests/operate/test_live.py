"""The operator's view of a running gateway: what is shown, what is applied, what is sent."""

import time
from typing import Any

from attrs import define
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from twisted.internet.defer import Deferred, fail
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from smsgw.flow.dead import Which
from smsgw.identities import to_guid, to_hex
from smsgw.login import Login
from smsgw.message import Message, MessageState
from smsgw.operate.operator import Applied, CarrierTry, Check, RouteView, Sent, Unavailable
from smsgw.queues import Transaction
from smsgw.smtp.outcomes import Outcome, Result
from smsgw.store import batches, schema
from smsgw.store import provision as store
from smsgw.store.journal import Overdrawn
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


MMSC = """\
[[carrier]]
name = "mmsc"
kind = "mm4"
domain = "mmsc.example.net"
"""
CALLING = """\
[[carrier]]
name = "calling"
system_id = "smsgw"
password = "secret"
outbind = true
outbind_system_id = "theirs"
outbind_password = "calling"
outbind_allow = ["192.0.2.0/24", "198.51.100.7"]
"""


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

    def test_accounts_are_shown_with_what_they_have_used(self) -> None:
        """Of their quotas, with what accounts below them sent; and whether they may still send."""
        family = NORTH.replace("rate = 50", "quota_day = 9\nquota_month = 90") + (
            '[[account]]\nname = "child"\nparent = "acme"\nexpires = "2020-01-31"\n'
            '[[account]]\nname = "grandchild"\nparent = "child"\nsuspended = true\n'
        )
        self.apply(family.replace("2020", "2999").replace("true", "false"))
        for account in ("acme", "child", "grandchild"):
            assert not self.send(account=account).error
        self.apply(family)
        acme, child, grandchild = self.ask(self.operator.accounts())
        used = (acme.quota_day, acme.used_day, acme.quota_month, acme.used_month)
        assert used == (9, 3, 90, 3)
        assert (child.parent, child.used_day, child.used_month) == ("acme", 2, 2)
        assert (grandchild.parent, grandchild.used_day) == ("child", 1)
        assert [one.expired for one in (acme, child, grandchild)] == [False, True, True]
        assert [one.suspended for one in (acme, child, grandchild)] == [False, False, True]

    def test_sessions_end_when_their_account_does(self) -> None:
        """Nobody need apply anything: the gateway looks every few seconds."""

        class Session(FakeSession):
            def unbind(self) -> None:
                self.close_reason = "unbound"

        session = Session(Login("acme", "acme"))
        self.gateway.esmes.bound(session)
        for expires, reason in (("2999-12-31", ""), ("2020-01-31", "unbound")):
            self.apply(NORTH.replace("rate = 50", f'expires = "{expires}"'))
            self.ask(self.gateway._review())
            assert session.close_reason == reason

    def test_a_parent_sees_the_messages_of_those_below_it(self) -> None:
        """To the third level; they see neither its nor each other's (I6)."""
        names = ("acme", "child", "grandchild", "other")
        self.apply(
            NORTH
            + '[[account]]\nname = "child"\nparent = "acme"\n'
            + '[[account]]\nname = "grandchild"\nparent = "child"\n'
            + '[[account]]\nname = "other"\nparent = "acme"\n'
        )
        sent = {name: int(self.send(account=name).id) for name in names}
        seen = {
            name: [
                other
                for other, id in sent.items()
                if self.ask(self.gateway.message(name, id)) is not None
            ]
            for name in names
        }
        assert seen == {
            "acme": list(names),
            "child": ["child", "grandchild"],
            "grandchild": ["grandchild"],
            "other": ["other"],
        }

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

    def test_a_message_goes_to_a_carrier_that_is_up(self) -> None:
        """The first of the route is down, so the next one is tried first."""
        south = NORTH[NORTH.index("[[carrier]]") :].replace('"north"', '"south"', 1)
        self.apply(south.replace('["north"]', '["north", "south"]'))
        up = self.a_side(ALink(False, "waiting", "refused", 0.0), ALink(True, "up", "", 0.0))
        self.gateway.carriers.sides["south"] = up
        self.a_side(ALink(False, "waiting", "refused", 0.0))
        sent = self.send()
        assert sent.error == ""
        queues = self.ask(self.operator.queues())
        assert [one.name for one in queues] == ["carrier:south"]

    def test_an_mmsc_that_was_never_tried_is_idle(self) -> None:
        """Then it is up or down by the last mail, of which it is shown what became."""
        assert not self.apply(MMSC).errors
        self.gateway.mmscs.provision(self.gateway.tables.carriers)
        assert self.shown("mmsc") == ("mmsc.example.net:25", "idle", "", "")
        side = self.gateway.mmscs.sides["mmsc"]
        side._reached(Outcome(Result.DELIVERED, 250, "2.0.0 taken"))
        assert self.shown("mmsc")[1:] == ("up", "", "SMTP 250 2.0.0 taken")
        side._reached(Outcome(Result.TEMPORARY, 0, "connection refused"))
        assert self.shown("mmsc")[1:] == ("down", "connection refused", "connection refused")

    def test_a_carrier_that_calls_is_shown_with_where_it_calls_from(self) -> None:
        """It has no address that we connect to; once it has called, that is its peer."""
        assert not self.apply(CALLING).errors
        assert self.shown("calling")[0] == "calls from 192.0.2.0/24, 198.51.100.7"

        @define
        class Called(ALink):
            caller: str

        self.a_side(Called(True, "up", "", 0.0, "192.0.2.9"), name="calling")
        assert self.shown("calling")[:2] == ("called from 192.0.2.9", "up")

    def shown(self, name: str) -> tuple[str, str, str, str]:
        [one] = [one for one in self.ask(self.operator.carriers()) if one.name == name]
        return one.peer, one.state, one.reason, one.last

    def a_side(self, *links: ALink, name: str = "north") -> Any:
        @define
        class ASide:
            links: list[ALink]
            outstanding: int

        side: Any = ASide(list(links), 3)
        self.gateway.carriers.sides[name] = side
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


class UnreadableTests(LiveCase):
    def test_what_the_store_cannot_tell_now_is_not_available(self) -> None:
        """One line with why, which the admin API answers with 503."""

        def look(function: Any, done: Any) -> None:
            done.errback(Failure(OperationalError("SELECT", None, Exception("disk I/O error"))))

        self.gateway.journal._look = look
        operator = self.operator
        for asked in (
            operator.accounts(),
            operator.carriers(),
            operator.queues(),
            operator.message("7"),
            operator.balance("acme"),
            operator.statement("acme", 0, 1, 0),
            operator.audit(0, "", "", ""),
            operator.dead.page(Which((), "", ""), 0),
        ):
            failure = self.failureResultOf(Deferred.fromCoroutine(asked), Unavailable)
            assert "disk I/O error" in failure.getErrorMessage()


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

        def racing(*given: Any, **more: Any) -> Any:
            changes = prepare(*given, **more)
            if not raced:
                raced.append(True)
                self.apply('[[account]]\nname = "first"\n')
            return changes

        self.patch(store, "prepare", racing)
        self.apply('[[account]]\nname = "second"\n')
        assert {"first", "second"} <= set(self.gateway.tables.accounts)


class ReloadTests(LiveCase):
    def test_what_is_stored_but_not_in_force_is_taken_over_by_the_next_apply(self) -> None:
        """Although that changes nothing: after the change the store could not be read."""
        text = NORTH.replace("rate = 50", "rate = 60")
        gateway, reload = self.gateway, self.gateway.reload

        async def fails() -> None:
            raise OperationalError("SELECT", None, Exception("disk I/O error"))

        gateway.reload = fails
        applying = self.operator.apply(text, "f.toml", False, False, "me")
        self.failureResultOf(Deferred.fromCoroutine(applying), Unavailable)
        assert gateway.tables.accounts["acme"].rate == 50
        gateway.reload = reload
        assert self.apply(text).changes == []
        assert gateway.tables.accounts["acme"].rate == 60


class MoneyTests(LiveCase):
    def setUp(self) -> None:
        super().setUp()
        prepaid = NORTH.replace("rate = 50", 'balance = "0.03"\nrefund = []')
        self.priced = prepaid.replace('prefixes = ["44"]', 'prefixes = ["44"]\nprice = "0.02"')
        self.apply(self.priced)

    def has(self) -> str:
        """What the account has, which is shown the same everywhere."""
        balance: str = self.ask(self.operator.balance("acme")).balance
        [account] = self.ask(self.operator.accounts())
        assert account.balance == balance
        return balance

    def test_what_is_provisioned_is_charged_at_once(self) -> None:
        """To the last, and then a message is refused."""
        assert self.send().error == ""
        assert self.has() == "0.01"
        assert self.send().error.startswith("Insufficient credit")
        assert self.has() == "0.01"

    def test_a_top_up_may_be_spent_at_once(self) -> None:
        """And it is in the statement with its text."""
        self.send()
        view = self.ask(self.operator.top_up("acme", "0.01", "Invoice 7"))
        assert (view.error, view.balance) == ("", "0.02")
        sent = self.send()
        assert (sent.error, self.has()) == ("", "0.00")
        rows = self.ask(self.operator.statement("acme", 0, 1 << 62, 0))
        assert [(row.reason, row.amount, row.text) for row in rows] == [
            ("opening", "0.03", ""),
            ("charge", "-0.02", ""),
            ("top-up", "0.01", "Invoice 7"),
            ("charge", "-0.02", ""),
        ]
        assert rows[-1].message == sent.id

    def test_applying_another_balance_gives_nothing(self) -> None:
        """Only a top-up does."""
        self.send()
        self.apply(self.priced.replace('"0.03"', '"5.00"'))
        assert self.has() == "0.01"
        assert self.send().error

    def test_a_top_up_that_is_not_stored_gives_nothing(self) -> None:
        """It is told, and nothing may be spent."""
        self.gateway.journal.broken = "disk full"
        failed = self.failureResultOf(
            Deferred.fromCoroutine(self.operator.top_up("acme", "1", "")), Unavailable
        )
        assert "disk full" in failed.getErrorMessage()
        self.gateway.journal.broken = ""
        assert self.has() == "0.03"
        assert self.gateway.balances.of("acme") == 300

    def test_a_correction_takes_back_what_was_topped_up(self) -> None:
        """An entry of its own kind that says why, audited; never below what the account may owe;
        and what is taken off cannot be spent (I8)."""
        self.ask(self.operator.top_up("acme", "0.05", "Invoice 7"))
        correct = self.operator.top_up
        refused = self.ask(correct("acme", "0.0801", "twice", True))
        assert refused.error == "the account has not so much; at most 0.08 can be taken off"
        assert "says why" in self.ask(correct("acme", "0.01", "", True)).error
        assert self.ask(correct("acme", "0.07", "twice", True)).balance == "0.01"
        assert self.gateway.balances.of("acme") == 100
        assert self.send().error.startswith("Insufficient credit")
        row = self.ask(self.operator.statement("acme", 0, 1 << 62, 0))[-1]
        assert (row.reason, row.amount, row.text) == ("correction", "-0.07", "twice")
        (_, action) = self.ask(self.operator.audit(0, "topup", "acme", ""))
        assert action.lines == ["-0.07 twice"]

    def test_a_correction_that_is_not_stored_takes_nothing(self) -> None:
        """Neither where the store fails nor where another node has spent it meanwhile."""
        self.gateway.journal.broken = "disk full"
        failing = Deferred.fromCoroutine(self.operator.top_up("acme", "0.01", "twice", True))
        self.failureResultOf(failing, Unavailable)
        self.gateway.journal.broken = ""
        assert self.gateway.balances.of("acme") == 300
        commit = self.gateway.journal.commit
        self.patch(self.gateway.journal, "commit", lambda _: fail(Overdrawn("not enough credit")))
        view = self.ask(self.operator.top_up("acme", "0.01", "twice", True))
        assert view.error == "the account has not so much; take less off"
        self.patch(self.gateway.journal, "commit", commit)
        assert (self.has(), self.gateway.balances.of("acme")) == ("0.03", 300)

    def test_what_cannot_be_added_is_told(self) -> None:
        """An account that is not there, no amount, too much, a text that is none."""
        for account, amount, text, why in (
            ("nobody", "1", "", "no account nobody"),
            ("acme", "-1", "", "no amount"),
            ("acme", "0.0000", "", "no amount"),
            ("acme", "1", "a\nb", "must be printable"),
        ):
            assert why in self.ask(self.operator.top_up(account, amount, text)).error
        for _ in range(10):
            self.ask(self.operator.top_up("acme", "9" * 12, ""))
        assert "too large" in self.ask(self.operator.top_up("acme", "9" * 12, "")).error
        assert self.ask(self.operator.statement("nobody", 0, 1, 0)) is None


GOLD = """
[[network]]
name = "o2"
mcc = "234"
mnc = "10"
prefixes = ["4477"]
[[price_list]]
name = "gold"
[[price_list.price]]
mcc = "234"
price = "0.0300"
[[price_list.price]]
prefix = "4478"
price = "0.02"
"""

CODES = """
[[route]]
name = "codes"
prefixes = ["447"]
carriers = ["north"]
text = "code"
[[route]]
name = "more-uk"
prefixes = ["44"]
carriers = ["north"]
price = "0.0250"
select = "least-cost"
"""


class RouteTests(LiveCase):
    def route(self, text: str = "Hello", account: str = "acme", **fields: str) -> RouteView:
        given = {"source": "ACME", "destination": "07700900123", **fields}
        found: RouteView = self.ask(self.operator.route(account, text=text, **given))
        return found

    def test_a_route_is_told_with_its_reasons(self) -> None:
        """Prefix, filters, what was passed over, carriers with their links, parts and price."""
        self.apply(CODES)
        found = self.route("Your code")
        assert (found.route, found.prefix, found.filters) == ("codes", "447", ["text"])
        assert (found.rivals, found.passed_over, found.error) == ([], [], "")
        assert (found.destination, found.parts, found.coding) == ("447700900123", 1, "GSM")
        assert found.carriers == [CarrierTry("north", False)]
        found = self.route("\u0416" * 71)
        assert (found.route, found.prefix, found.select) == ("uk", "44", "least-cost")
        assert (found.rivals, found.passed_over) == (["more-uk"], ["codes: text"])
        assert (found.parts, found.coding) == (2, "UCS2")

    def test_delivery_rates_are_told_where_they_choose(self) -> None:
        """In whole per cent, of the first carrier of each rival."""
        assert self.route().rates == {}
        self.apply(CODES.replace("least-cost", "best-rate"))
        for n in range(100):
            self.gateway.tables.rates.count("north", n % 4 > 0)
        found = self.route()
        assert found.select == "best-rate"
        assert found.rates == {"uk": 75, "more-uk": 75}

    def test_the_price_is_that_of_all_parts(self) -> None:
        """As an exact decimal."""
        self.apply(NORTH.replace('prefixes = ["44"]', 'prefixes = ["44"]\nprice = "0.0250"'))
        assert self.route("x" * 161).price == "0.0500"

    def test_it_is_told_where_the_price_comes_from(self) -> None:
        """The route, or the prefix or network of the account's price list."""
        self.apply(GOLD + NORTH.replace("rate = 50", 'price_list = "gold"\ncurrency = "GBP"'))
        found = self.route()
        assert (found.price, found.price_from) == ("0.0300", "price list gold, network 234-10")
        found = self.route("x" * 161, destination="+447800000001")
        assert (found.price, found.price_from) == ("0.04", "price list gold, prefix 4478")
        found = self.route(destination="+442079460000")
        assert (found.price, found.price_from) == ("0", "route uk")
        [shown] = self.ask(self.operator.accounts())
        assert (shown.currency, self.ask(self.operator.balance("acme")).currency) == ("GBP", "GBP")

    def test_what_would_be_refused_is_told_with_the_reason(self) -> None:
        """Also when there is a route, and when the account cannot send at all."""
        assert "no route for 33123456789" in self.route(destination="+33123456789").error
        assert self.route("x" * 2000).error
        assert "no account nobody" in self.route(account="nobody").error
        self.apply(
            NORTH.replace("rate = 50", 'balance = "0"').replace(
                'prefixes = ["44"]', 'prefixes = ["44"]\nprice = "1"'
            )
        )
        found = self.route()
        assert (found.route, found.price) == ("uk", "1")
        assert found.error
        self.apply(NORTH.replace("rate = 50", "suspended = true"))
        found = self.route()
        assert (found.route, found.carriers, bool(found.error)) == ("", [], True)

    def test_operators_are_told_which_filter_stops_a_message(self) -> None:
        """Who sent it is not."""
        self.apply(NORTH + '[[filter]]\nname = "pills"\ntext = "pills"\n')
        assert self.route("Free pills").error == "Filtered: by the filter pills"
        assert self.route("Hello").error == ""

    def test_nothing_is_kept_or_counted(self) -> None:
        """Nor does it use up the account's rate."""
        for _ in range(200):
            assert self.route().error == ""
        assert self.ask(self.operator.queues()) == []
        assert self.gateway.acceptance.accepted == {}
        assert self.gateway.acceptance.refused == {}
        assert self.gateway.known.known == {}

    def test_without_an_account_anybody_sends(self) -> None:
        """But not by a route of certain accounts."""
        assert self.route(account="").route == "uk"
        self.apply(NORTH.replace('prefixes = ["44"]', 'prefixes = ["44"]\naccounts = ["acme"]'))
        assert self.route(account="").passed_over == ["uk: account"]
        assert self.route().route == "uk"


class SendTests(LiveCase):
    def test_a_message_is_accepted_as_if_the_account_had_sent_it(self) -> None:
        """Its id in both forms, and how many parts it has."""
        sent = self.send(text="x" * 200)
        assert sent.error == ""
        assert sent.guid == to_guid(int(sent.id))
        assert sent.parts == 2

    def test_the_audit_keeps_who_sent_in_the_name_of_an_account(self) -> None:
        """With the id of the message, in its transaction; nothing of what was refused."""
        sending = self.operator.by("alice").send("acme", "1234", "447700900123", "Hi", False)
        sent = self.ask(sending)
        assert self.send(to="33123456789").error
        [kept] = [one for one in self.ask(self.operator.audit(0, "send", "", "")) if one.kind]
        assert (kept.who, kept.name, kept.lines) == ("alice", "acme", [sent.id])
        self.gateway.journal.broken = "disk full"
        assert self.send().error.startswith("Temporarily unavailable")
        assert len(self.ask(self.operator.audit(0, "send", "", ""))) == 1

    def test_a_refusal_is_told_in_words(self) -> None:
        """With what a person needs to mend it."""
        assert self.send(to="33123456789").error == "Not Sent: no route for 33123456789"
        assert self.send(to="abc").error == "Invalid destination: abc"

    def test_an_unknown_account_is_told_with_the_remedy(self) -> None:
        """Where to find the right name."""
        assert self.send(account="nobody").error == (
            "there is no account nobody; see: smsgw accounts"
        )


class CancelTests(LiveCase):
    def test_what_waits_is_cancelled_and_the_audit_keeps_who_did(self) -> None:
        """By any form of its id; the second time there is nothing to cancel."""
        sent = self.send()
        operator = self.operator.by("ann")
        for form in (sent.id, sent.guid):
            done: Sent = self.ask(operator.cancel(form))
            assert done.error == ("" if form == sent.id else "it is not pending any more")
        view = self.ask(self.operator.message(sent.id))
        assert (view.state, view.error, view.queued) == ("DELETED", 221, [])
        reading = self.gateway.journal.run(lambda c: list(c.execute(select(schema.action))))
        actions = self.successResultOf(reading)
        cancelled = [(row.who, row.kind, row.name) for row in actions if row.kind != "send"]
        assert cancelled == [("ann", "cancel", sent.id)]

    def test_what_is_unknown_is_told(self) -> None:
        """Also what is no id."""
        for form in ("7", "nonsense", to_guid(7)):
            done: Sent = self.ask(self.operator.cancel(form))
            assert "no such message" in done.error

    def test_the_common_id_of_a_request_cancels_all_of_its_messages(self) -> None:
        """Those that still wait; the audit keeps it once, with the common id."""
        messages = [
            Message("447700900000", f"44770090012{n}", parts=[b"Hi"], interface="smpp")
            for n in range(3)
        ]
        batch = self.gateway.identities.allot()

        def together(outcomes: list[Any], transaction: Transaction) -> None:
            transaction.changes.batches = [batches.row(batch, "acme", 1, outcomes)]

        accepting = self.gateway.acceptance.accept(
            Login("acme", "acme", kind="smpp"), messages, beside=together
        )
        self.successResultOf(accepting)
        self.ask(self.operator.cancel(str(messages[1].id)))
        done: Sent = self.ask(self.operator.cancel(to_guid(batch)))
        assert (done.id, done.error, done.messages, done.left) == (str(batch), "", 2, 1)
        assert [one.state for one in messages] == [MessageState.DELETED] * 3
        again: Sent = self.ask(self.operator.cancel(str(batch)))
        assert again.error == "none of its 3 messages is pending any more"
        kept = self.ask(self.operator.audit(0, "cancel", "", ""))
        assert [one.name for one in kept] == [str(messages[1].id), str(batch)]

    def test_a_store_that_fails_is_told(self) -> None:
        """As unavailable; the message stays."""
        sent = self.send()
        self.gateway.journal.broken = "disk full"
        cancelling = Deferred.fromCoroutine(self.operator.cancel(sent.id))
        self.failureResultOf(cancelling, Unavailable)
        self.gateway.journal.broken = ""
        assert self.ask(self.operator.message(sent.id)).state == "ENROUTE"
