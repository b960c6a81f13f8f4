"""Logins: allow-list before password, failures limited by address, good passwords remembered."""

from collections.abc import Callable
from typing import Any

from argon2 import PasswordHasher
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw import doors as doors_module
from smsgw.doors import FAILURES, FAILURES_S, Doors
from smsgw.login import Login
from smsgw.provisioning import Account, Credential, Provisioning
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables

PEER = "192.0.2.10"
# A check is made with the cost that the hash was made with.
hash_cheaply = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash
HASH = hash_cheaply("secret12")


def an_account(**fields: Any) -> Account:
    credential = Credential(
        "smpp", "acme", password_hash=HASH, allow=["192.0.2.0/24"], binds=4, window=50
    )
    return Account(**{"name": "acme", "credential": [credential], "rate": 50.0, **fields})


class DoorsTests(TestCase):
    def setUp(self) -> None:
        self.now = 1_000.0
        self.checks: list[tuple[Callable[[], bool], Deferred[bool]]] = []
        self.provision(an_account())
        self.doors = self.a_house()

    def a_house(self, open_if_empty: bool = False) -> Doors:
        return Doors(lambda: self.tables, open_if_empty, lambda: self.now, self.run_later)

    def provision(self, account: Account) -> None:
        self.tables = Tables(Provisioning(accounts={account.name: account}))

    def run_later(self, check: Callable[[], bool]) -> Deferred[bool]:
        """Where slow checks go instead of to a thread."""
        done: Deferred[bool] = Deferred()
        self.checks.append((check, done))
        return done

    def check(self) -> None:
        """Does the slow checks that wait."""
        checks, self.checks = self.checks, []
        for check, done in checks:
            done.callback(check())

    def login(
        self, password: str = "secret12", username: str = "acme", peer: str = PEER
    ) -> Login | Refusal:
        done = self.doors.login("smpp", username, password, peer)
        self.check()
        result: Login | Refusal = self.successResultOf(done)
        return result

    def refused(self, *given: str, **named: str) -> Reason:
        outcome = self.login(*given, **named)
        assert isinstance(outcome, Refusal), outcome
        return outcome.reason

    def test_a_client_that_we_called_may_be_anywhere(self) -> None:
        """Its allow-list is not asked, everything else is; and it opens no door to others."""
        anywhere = self.doors.login("smpp", "acme", "secret12", "203.0.113.9", called=True)
        self.check()
        assert isinstance(self.successResultOf(anywhere), Login)
        wrong = self.doors.login("smpp", "acme", "guess", "203.0.113.9", called=True)
        self.check()
        assert self.successResultOf(wrong) == Refusal(Reason.WRONG_PASSWORD)
        refused = self.doors.login("smpp", "acme", "secret12", "203.0.113.9")
        assert self.successResultOf(refused) == Refusal(Reason.ADDRESS_NOT_ALLOWED)

    def test_a_good_login_says_what_the_credential_may(self) -> None:
        """Account, binds, window, rate and profile come from the provisioning."""
        expected = Login("acme", "acme", "smpp", binds=4, window=50, rate=50.0, profile="")
        assert self.login() == expected

    def test_a_wrong_password_and_an_unknown_name_are_told_apart(self) -> None:
        """SMPP has a status for each (L-D14)."""
        assert self.refused("wrong") is Reason.WRONG_PASSWORD
        assert self.refused(username="nobody") is Reason.UNKNOWN_LOGIN

    def test_a_name_of_another_kind_is_unknown(self) -> None:
        """A login of SMPP is none of HTTP."""
        outcome = self.successResultOf(self.doors.login("http", "acme", "secret12", PEER))
        assert outcome == Refusal(Reason.UNKNOWN_LOGIN)

    def test_the_allow_list_comes_before_the_password(self) -> None:
        """From elsewhere not even a guess is checked."""
        done = self.doors.login("smpp", "acme", "secret12", "198.51.100.7")
        assert self.successResultOf(done) == Refusal(Reason.ADDRESS_NOT_ALLOWED)
        assert self.checks == []

    def test_an_empty_allow_list_is_nobody_unless_it_is_opened(self) -> None:
        """E-D6: empty means nowhere; ``open_if_empty`` means anywhere."""
        credential = Credential("smpp", "acme", password_hash=HASH)
        self.provision(an_account(credential=[credential]))
        assert self.refused() is Reason.ADDRESS_NOT_ALLOWED
        assert not self.doors.allowed("smpp", PEER)
        self.doors = self.a_house(open_if_empty=True)
        assert isinstance(self.login(), Login)
        assert self.doors.allowed("smpp", PEER)

    def test_an_address_of_no_credential_of_the_kind_is_not_allowed(self) -> None:
        """Ruling 7: it is turned away before it says a word."""
        assert self.doors.allowed("smpp", PEER)
        assert not self.doors.allowed("http", PEER)
        assert not self.doors.allowed("smpp", "198.51.100.7")

    def test_a_suspended_account_is_inactive(self) -> None:
        """Its logins are refused while it is suspended, and good again afterwards."""
        assert isinstance(self.login(), Login)
        self.provision(an_account(suspended=True))
        assert self.refused() is Reason.ACCOUNT_INACTIVE
        self.provision(an_account())
        assert isinstance(self.login(), Login)

    def test_a_good_password_is_remembered(self) -> None:
        """The slow check is done once, and what it found is known at once."""
        assert self.doors.remembered("smpp", "acme", "secret12", PEER) is None
        self.login()
        assert isinstance(self.doors.remembered("smpp", "acme", "secret12", PEER), Login)
        done = self.doors.login("smpp", "acme", "secret12", PEER)
        assert self.checks == []
        assert isinstance(self.successResultOf(done), Login)

    def test_a_remembered_password_is_not_kept_as_such(self) -> None:
        """Memory holds a keyed hash of it."""
        self.login()
        assert "secret12" not in repr(self.doors._good)

    def test_a_wrong_password_is_never_remembered(self) -> None:
        """Each guess costs a check."""
        self.login("wrong")
        assert self.doors.remembered("smpp", "acme", "wrong", PEER) is None

    def test_a_changed_password_forgets_the_old_one(self) -> None:
        """What was good before is checked again, and is wrong."""
        self.login()
        credential = Credential("smpp", "acme", password_hash=hash_cheaply("other"), allow=["*"])
        self.provision(an_account(credential=[credential]))
        assert self.refused() is Reason.WRONG_PASSWORD
        assert isinstance(self.login("other"), Login)

    def test_a_withdrawn_credential_is_refused_although_remembered(self) -> None:
        """What memory says holds only as long as the provisioning does."""
        self.login()
        self.provision(an_account(credential=[]))
        assert self.refused() is Reason.UNKNOWN_LOGIN

    def test_too_many_guesses_of_an_address_are_not_even_tried(self) -> None:
        """After 20 wrong logins within a minute the right one is refused as well (E-D4)."""
        for _ in range(FAILURES // 2):
            self.login("wrong")
            self.login(username="nobody")
        done = self.doors.login("smpp", "acme", "secret12", PEER)
        assert self.successResultOf(done) == Refusal(Reason.TOO_MANY_LOGINS)
        assert self.checks == []

    def test_a_limited_address_harms_no_other(self) -> None:
        """Failures are counted for each address by itself."""
        for _ in range(FAILURES):
            self.login("wrong")
        assert isinstance(self.login(peer="192.0.2.11"), Login)

    def test_after_a_minute_an_address_may_try_again(self) -> None:
        """The limit ends a minute after the first of the wrong logins, and begins anew."""
        for _ in range(FAILURES):
            self.login("wrong")
        self.now += FAILURES_S - 0.1
        assert self.refused() is Reason.TOO_MANY_LOGINS
        self.now += 0.1
        assert self.refused("wrong") is Reason.WRONG_PASSWORD
        assert isinstance(self.login(), Login)

    def test_slow_mistakes_never_add_up(self) -> None:
        """A client that mistypes now and then is not shut out."""
        for _ in range(3 * FAILURES):
            assert self.refused("wrong") is Reason.WRONG_PASSWORD
            self.now += 2 * FAILURES_S / FAILURES
        assert isinstance(self.login(), Login)

    def test_an_account_that_has_expired_is_refused(self) -> None:
        """From the end of its last day on, for remembered logins too; the login says until when."""
        self.provision(an_account(expires="1970-01-01", time_zone="Etc/GMT+1"))
        login = self.login()
        assert isinstance(login, Login)
        assert login.until == 25 * 3600
        self.now = 25 * 3600 - 0.1
        assert isinstance(self.login(), Login)
        self.now += 0.1
        assert self.refused() is Reason.ACCOUNT_EXPIRED

    def test_what_holds_for_a_parent_holds_for_the_login(self) -> None:
        """Suspension and the last day."""
        child = an_account(parent="group")
        for parent, reason in (
            (Account("group", suspended=True), Reason.ACCOUNT_INACTIVE),
            (Account("group", expires="1969-12-31"), Reason.ACCOUNT_EXPIRED),
        ):
            self.tables = Tables(Provisioning(accounts={"acme": child, "group": parent}))
            assert self.refused() is reason

    def test_a_login_has_the_rights_of_its_credential(self) -> None:
        """All if none is named (F-6)."""
        login = self.login()
        assert isinstance(login, Login)
        assert login.may("send", "smpp")
        assert login.may_bind("transceiver")
        credential = Credential(
            "smpp",
            "acme",
            password_hash=HASH,
            allow=["*"],
            interfaces=["smpp"],
            resources=["receive"],
        )
        self.provision(an_account(credential=[credential]))
        login = self.login()
        assert isinstance(login, Login)
        assert login.may("receive", "smpp")
        assert not login.may("send", "smpp")
        assert not login.may("receive", "rest")
        assert login.may_bind("receiver")
        assert not login.may_bind("transmitter")
        assert not login.may_bind("transceiver")

    def test_what_is_no_guess_does_not_count_as_one(self) -> None:
        """A suspended account, or a wrong address, is refused without being counted."""
        self.provision(an_account(suspended=True))
        for _ in range(2 * FAILURES):
            assert self.refused() is Reason.ACCOUNT_INACTIVE
        self.provision(an_account())
        assert isinstance(self.login(), Login)

    def test_guesses_sent_together_are_limited_too(self) -> None:
        """They stand in line, so no more than 20 are tried, however many come at once."""
        guesses = [f"guess{n}" for n in range(FAILURES + 5)]
        waiting = [self.doors.login("smpp", "acme", guess, PEER) for guess in guesses]
        tried = 0
        while self.checks:
            tried += len(self.checks)
            self.check()
        assert FAILURES <= tried < FAILURES + 4
        outcomes = [self.successResultOf(done) for done in waiting]
        assert outcomes.count(Refusal(Reason.WRONG_PASSWORD)) == tried
        assert outcomes.count(Refusal(Reason.TOO_MANY_LOGINS)) == FAILURES + 5 - tried
        assert self.refused("secret12") is Reason.TOO_MANY_LOGINS

    def test_equal_logins_sent_together_are_one_guess(self) -> None:
        """A client that binds all its sessions at once is let in, and costs one check."""
        waiting = [self.doors.login("smpp", "acme", "secret12", PEER) for _ in range(2 * FAILURES)]
        assert len(self.checks) == 1
        self.check()
        assert all(isinstance(self.successResultOf(done), Login) for done in waiting)
        assert self.doors.failed == 0

    def test_a_check_that_breaks_is_told_to_all_who_wait(self) -> None:
        """And the next login is checked anew."""
        waiting = [self.doors.login("smpp", "acme", "secret12", PEER) for _ in range(2)]
        self.checks.pop()[1].errback(ZeroDivisionError())
        for done in waiting:
            self.failureResultOf(done, ZeroDivisionError)
        assert isinstance(self.login(), Login)

    def test_a_good_login_takes_back_its_count(self) -> None:
        """Many good logins of different credentials are no guesses."""
        names = [f"name{n}" for n in range(2 * FAILURES)]
        self.provision(
            an_account(
                credential=[Credential("smpp", n, password_hash=HASH, allow=["*"]) for n in names]
            )
        )
        for name in names:
            assert isinstance(self.login(username=name), Login)

    def test_failed_logins_are_counted_for_operators(self) -> None:
        """Every refusal counts there, whatever its reason."""
        self.login("wrong")
        self.login(username="nobody")
        self.login(peer="198.51.100.7")
        assert self.doors.failed == 3

    def test_memory_of_addresses_is_bounded(self) -> None:
        """Guesses from ever new addresses do not fill the memory."""
        self.patch(doors_module, "_ADDRESSES", 5)
        for n in range(20):
            self.login(username="nobody", peer=f"192.0.2.{n}")
        assert len(self.doors._failures) == 5

    def test_memory_of_passwords_is_bounded(self) -> None:
        """Many logins do not fill the memory; one that was forgotten is checked again."""
        self.patch(doors_module, "_REMEMBERED", 2)
        credentials = [Credential("smpp", name, password_hash=HASH, allow=["*"]) for name in "abc"]
        self.provision(an_account(credential=credentials))
        for name in "abc":
            assert isinstance(self.login(username=name), Login)
        assert len(self.doors._good) == 2
        assert isinstance(self.login(username="a"), Login)

    def test_an_access_key_is_a_login_by_itself(self) -> None:
        """W-D11: with the allow-list and the standing of its account; guesses count like those of
        passwords."""
        key = "A1b2C3d4E5f6G7h"
        login = Credential(
            "http", "acme", password_hash=HASH, access_key=key, allow=["192.0.2.0/24"]
        )
        self.provision(Account("acme", credential=[login]))
        found = self.doors.by_access_key(key, PEER)
        assert isinstance(found, Login)
        assert (found.account, found.credential, found.kind) == ("acme", "acme", "http")
        assert self.doors.by_access_key(key, "198.51.100.1") == Refusal(Reason.ADDRESS_NOT_ALLOWED)
        for _ in range(FAILURES):
            assert self.doors.by_access_key("x" * 15, PEER) == Refusal(Reason.WRONG_PASSWORD)
        assert self.doors.by_access_key("x" * 15, PEER) == Refusal(Reason.TOO_MANY_LOGINS)
        assert isinstance(self.doors.by_access_key(key, PEER), Login)
        self.provision(Account("acme", credential=[login], suspended=True))
        assert self.doors.by_access_key(key, PEER) == Refusal(Reason.ACCOUNT_INACTIVE)
