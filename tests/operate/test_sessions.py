"""Sessions as operators see and end them, of one gateway that has its store for itself."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw.login import Login
from smsgw.operate import sessions
from smsgw.operate.node_views import CarrierView
from smsgw.operate.operator import Unavailable
from smsgw.operate.sessions import END_S, OfflineSessions
from smsgw.operate.views import with_others
from smsgw.store.nodes import LinkRow, NodeRow
from tests.flow.journey import FakeSession
from tests.operate.gateways import a_gateway, provision, result


class Session(FakeSession):
    """An ESME that is gone when it is unbound, unless it is ``stuck``."""

    stuck = False
    binds: Any = None

    def unbind(self) -> None:
        if not self.stuck:
            self.binds.unbound(self)


class SessionsTests(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        provision(self, self.gateway)
        self.operator = self.gateway.operator.by("me").sessions

    def bound(self, account: str = "acme") -> Any:
        """A session that counts."""
        one = Session(Login(account, f"{account}1"))
        one.binds = self.gateway.esmes.binds
        one.binds.bound(one)
        return one

    def page(self, account: str = "", carrier: str = "", after: str = "") -> list[Any]:
        return result(self, self.operator.page(account, carrier, after))

    def ended(self, id: str) -> Any:
        return result(self, self.operator.end(id))

    def test_bound_esmes_are_shown_one_by_one(self) -> None:
        """Account, login, bind, peer, node, and since when; those of an account, or all."""
        self.bound()
        self.bound("other")
        [one, other] = self.page()
        assert (one.kind, one.name, one.login, one.bind) == ("esme", "acme", "acme1", "transceiver")
        assert (one.peer, one.profile, one.here) == ("192.0.2.7", "standard", True)
        assert one.since > 0
        assert self.page("other") == [other]
        assert self.page(carrier="north") == []

    def test_they_come_in_pages(self) -> None:
        """Each goes on after the id of the last one; what has gone meanwhile makes no gap."""
        self.patch(sessions, "PAGE", 2)
        first, *_ = [self.bound() for _ in range(5)]
        page = self.page()
        found = [*page]
        first.unbind()
        while page := self.page(after=page[-1].id):
            found += page
        assert len({one.id for one in found}) == len(found) == 5

    def test_whatever_a_page_is_asked_after_there_is_an_answer(self) -> None:
        """I7: what is no session's number is as nothing, however long, here and in the store."""
        self.bound()
        shown = self.page()
        engine = self.gateway.journal._engine
        offline = OfflineSessions(engine.connect, "the gateway is not running")
        for asked in ("9" * 5000, str(1 << 63), "x", "-1", "\u0663", "\u00b2", "0/north/1"):
            assert self.page("acme", after=asked) == shown, asked
            assert result(self, offline.page("", "", asked)) == [], asked
        assert self.page("acme", after=str((1 << 63) - 1)) == []

    def test_a_link_is_gone_when_its_unbind_is_over(self) -> None:
        """While it is stopping the carrier still has it; then it may connect as it likes."""
        links = [link("up")]
        self.patch(self.gateway.sessions, "links", lambda: links)
        asked = Deferred.fromCoroutine(self.operator.end("0/north/1"))
        links[:] = [link("stopping")]
        self.gateway.reactor.advance(1)
        self.assertNoResult(asked)
        links[:] = [link("connecting")]
        self.gateway.reactor.advance(1)
        assert self.successResultOf(asked).id == "0/north/1"

    def test_an_esme_is_unbound(self) -> None:
        """That one, and the audit keeps who did it."""
        self.bound()
        kept = self.bound()
        id = self.page()[0].id
        assert self.ended(id).id == id
        assert [*self.gateway.esmes.binds.all()] == [kept]
        [entry] = result(self, self.gateway.operator.audit(0, "end", "acme", ""))
        assert (entry.who, entry.lines) == ("me", [f"esme {id} acme1 192.0.2.7"])

    def test_what_is_not_there_is_told(self) -> None:
        """An id of one that has gone, of nothing, of no kind."""
        one = self.bound()
        id = self.page()[0].id
        one.unbind()
        for asked in (id, "0", "", "x", "9" * 30, "0/north/7", "x/north/1", "0/north/", "/", "-1"):
            assert self.ended(asked) is None, asked

    def test_one_that_does_not_go_is_told(self) -> None:
        """After END_S, with where to look; the request waits no longer."""
        self.bound().stuck = True
        asked = Deferred.fromCoroutine(self.operator.end(self.page()[0].id))
        for _ in range(int(END_S * 4)):
            self.assertNoResult(asked)
            self.gateway.reactor.advance(0.25)
        failure = self.failureResultOf(asked, Unavailable)
        assert "has not ended it within 15 s" in failure.getErrorMessage()

    def test_a_store_that_fails_ends_nothing(self) -> None:
        """What is not in the audit is not done."""
        one = self.bound()
        id = self.page()[0].id
        self.gateway.journal.broken = "disk full"
        asked = Deferred.fromCoroutine(self.operator.end(id))
        assert "disk full" in self.failureResultOf(asked, Unavailable).getErrorMessage()
        assert self.gateway.esmes.binds.has(one)


def link(state: str, since: int = 5, reason: str = "", name: str = "1") -> LinkRow:
    up = state in ("up", "idle")
    return LinkRow("north", name, "transceiver", "192.0.2.1:2775", state, up, since, reason, 3)


def seen(view: CarrierView, here: bool, *links: LinkRow) -> CarrierView:
    """``view`` with the links of another node."""
    with_others(view, here, [NodeRow(1, "b", ("carriers",), "1", {}, 0, 1, 1, links)])
    return view


def test_a_carrier_is_up_if_another_node_has_it_up() -> None:
    """However it is here; what is wrong at the other node has that one's name in front."""
    there = link("up"), link("waiting", 9, "refused", "2")
    view = seen(CarrierView("north", "smpp", links=2), False, *there)
    assert (view.state, view.since, view.links_up, view.links) == ("up", 5, 1, 2)
    assert (view.reason, view.outstanding) == ("b: refused", 6)
    mine = CarrierView("north", "smpp", state="waiting", reason="busy", since=7, links=1)
    assert seen(mine, True, *there).reason == "busy"
    assert (mine.state, mine.since, mine.links_up, mine.links) == ("up", 5, 1, 3)


def test_a_carrier_that_is_up_here_stays_so() -> None:
    """With the time of this node's link."""
    mine = CarrierView("north", "smpp", state="up", since=7, links=1, links_up=1)
    seen(mine, True, link("waiting", 9, "refused"))
    assert (mine.state, mine.since, mine.links_up, mine.links) == ("up", 7, 1, 2)
    assert mine.reason == "b: refused"


def test_an_mmsc_is_as_the_node_says_that_mailed_to_it() -> None:
    """It has no links; a node that has not mailed to it yet says nothing."""
    view = seen(CarrierView("north", "mm4", state="idle"), False, link("idle", 0, name=""))
    assert (view.state, view.links) == ("idle", 0)
    assert seen(view, False, link("up", 8, name="")).state == "up"
