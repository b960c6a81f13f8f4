"""Which sessions a login may have: by number, type and profile, and after a broken connection."""

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smsgw.config import Config
from smsgw.esmes.binds import RECONNECT_S, Binds
from smsgw.login import Login
from smsgw.provisioning import Account, Provisioning
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smpp.profile import PROFILES
from tests.flow.journey import FakeSession

ACCOUNT = Account(name="acme", settings={"ams": {"max_tx": 2}})


def session(bind_type: str = "transceiver", profile: str = "standard", **fields: Any) -> Any:
    """A session of the login acme."""
    login = fields.pop("login", Login("acme", "acme", binds=2))
    return FakeSession(
        login,
        receives=bind_type != "transmitter",
        bind_type=bind_type,
        profile=PROFILES[profile],
        **fields,
    )


class BindsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.config = Config()
        self.tables = Tables(Provisioning(accounts={"acme": ACCOUNT}))
        self.binds = Binds(self.config, lambda: self.tables, self.clock.seconds)

    def bound(self, *given: Any, **fields: Any) -> Any:
        """A session that counts."""
        one = session(*given, **fields)
        self.binds.bound(one)
        return one

    def asks(self, *given: Any, **fields: Any) -> "Deferred[Refusal | None]":
        """Another session asks to be let in."""
        one = session(*given, **fields)
        return self.binds.admit(one, one.login, one.bind_type)

    def let_in(self, *given: Any, **fields: Any) -> bool:
        """True if it is, at once."""
        return self.successResultOf(self.asks(*given, **fields)) is None

    def refused(self, *rivals: Any, after: Any) -> bool:
        """True if it is kept out, once those in the way have given a sign of life."""
        self.assertNoResult(after)
        for one in rivals:
            one.probes.pop().callback(None)
        refusal = self.successResultOf(after)
        return refusal is not None and refusal.reason is Reason.TOO_MANY_BINDS

    def test_binds_of_a_credential_are_counted(self) -> None:
        """From bound to unbound, whatever their types (L-D7)."""
        for profile in ("standard", "link"):
            assert self.let_in(profile=profile)
            first = self.bound(profile=profile)
            assert self.let_in("transmitter", profile)
            second = self.bound("transmitter", profile)
            assert self.refused(first, second, after=self.asks("receiver", profile))
            self.binds.unbound(first)
            assert self.let_in(profile=profile)
            self.binds.unbound(second)

    def test_credentials_are_counted_each_by_itself(self) -> None:
        """One at its limit keeps no other of the account out."""
        one, other = Login("acme", "one"), Login("acme", "other")
        there = self.bound(login=one)
        assert self.refused(there, after=self.asks(login=one))
        assert self.let_in(login=other)

    def test_a_dead_session_makes_room(self) -> None:
        """It is asked, does not answer, is cut off, and then the new one comes in (W-D2)."""
        one = Login("acme", "acme", binds=1)
        there = self.bound(login=one)
        asks = self.asks(login=one)
        self.assertNoResult(asks)
        self.binds.unbound(there)  # what ``probe`` does to it
        there.probes.pop().callback(None)
        assert self.successResultOf(asks) is None

    def test_of_two_that_wait_for_one_place_one_comes_in(self) -> None:
        """The second finds the first there."""
        one = Login("acme", "acme", binds=1)
        there = self.bound(login=one)
        asks = [self.asks(login=one).addCallback(self.take, one) for _ in range(2)]
        self.binds.unbound(there)
        for probe in there.probes:
            probe.callback(None)
        told = [self.successResultOf(each) for each in asks]
        assert [refusal is None for refusal in told] == [True, False]

    def take(self, refusal: Any, login: Login) -> Any:
        if refusal is None:
            self.bound(login=login)
        return refusal

    def test_websmpp_has_one_session_that_receives(self) -> None:
        """A transceiver or a receiver, beside transmitters up to max_tx (W-R7, W-D2)."""
        for first in ("receiver", "transceiver"):
            there = self.bound(first, "websmpp")
            for second in ("receiver", "transceiver"):
                assert self.refused(there, after=self.asks(second, "websmpp"))
            senders = [self.bound("transmitter", "websmpp")]
            assert self.let_in("transmitter", "websmpp")
            senders.append(self.bound("transmitter", "websmpp"))
            assert self.refused(*senders, after=self.asks("transmitter", "websmpp"))
            assert there.probes == []
            self.binds.unbound(there)
            assert self.let_in(first, "websmpp")  # always, beside transmitters
            for sender in senders:
                self.binds.unbound(sender)

    def test_a_client_that_is_back_too_soon_is_counted(self) -> None:
        """Less than 30 s after its account's last session broke, on the link profile (L-D5)."""
        self.binds.unbound(self.bound(profile="link", orderly=False))
        assert self.let_in(profile="link")
        assert self.let_in(profile="standard")
        assert self.binds.early == 1
        self.clock.advance(RECONNECT_S)
        assert self.let_in(profile="link")
        assert self.binds.early == 1

    def test_it_is_refused_if_the_operator_wants_it(self) -> None:
        """With ESME_RBINDFAIL and a close; after an unbind nobody has to wait (L-D5)."""
        self.config.link = evolve(self.config.link, enforce_reconnect_wait=True)
        self.binds.unbound(self.bound(profile="link", orderly=False))
        refusal = self.successResultOf(self.asks(profile="link"))
        assert refusal is not None
        assert PROFILES["link"].status(refusal.reason) == 0x0D
        self.binds.unbound(self.bound(profile="link"))
        assert self.let_in(profile="link")
