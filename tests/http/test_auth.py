"""Basic authentication: what the header says, what is remembered, and what is counted."""

from base64 import b64encode

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from smsgw.doors import FAILURES, Doors
from smsgw.http.auth import BasicAuth, PasswordAuth, parse
from smsgw.http.site import Request
from smsgw.login import Login
from smsgw.provisioning import Account, Credential, Provisioning
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables

LOGIN = Login("acme", "key1", kind="http")


def basic(username: str, password: str) -> bytes:
    """An Authorization header."""
    return b"Basic " + b64encode(f"{username}:{password}".encode())


def request(authorization: bytes | None, peer: str = "192.0.2.1") -> Request:
    """A request that has only a login."""
    headers = {} if authorization is None else {b"authorization": authorization}
    return Request("GET", b"/", headers, peer=peer)


class SlowDoors:
    """Doors whose checks end when the test says so."""

    def __init__(self) -> None:
        self.checks: list[tuple[str, str, str, str]] = []
        self.due: list[Deferred[Login | Refusal]] = []
        self.known: Login | Refusal | None = None

    def remembered(self, kind: str, username: str, password: str, peer: str) -> object:
        """What the test says."""
        return self.known

    def login(self, kind: str, username: str, password: str, peer: str) -> object:
        """A check under way."""
        self.checks.append((kind, username, password, peer))
        self.due.append(Deferred())
        return self.due[-1]


class Identifying(SynchronousTestCase):
    """From a request to a login."""

    def setUp(self) -> None:
        """Authentication at slow doors."""
        self.doors = SlowDoors()
        self.tables = object()
        self.auth = BasicAuth(self.doors, lambda: self.tables)

    def test_no_header_is_credentials_missing(self) -> None:
        """1001; nothing is checked."""
        found = self.auth.identify(request(None))
        assert found == Refusal(Reason.CREDENTIALS_MISSING)
        assert self.doors.checks == []

    def test_a_login_is_remembered_until_it_expires(self) -> None:
        """Then the doors say what became of it."""
        now = [10.0]
        auth = BasicAuth(self.doors, lambda: self.tables, lambda: now[0])
        asked = request(basic("key1", "secret1"))
        login = evolve(LOGIN, until=20.0)
        self.doors.known = login
        assert auth.identify(asked) == login
        self.doors.known = None
        now[0] = 19.9
        assert auth.identify(asked) == login
        now[0] = 20.0
        expired = Refusal(Reason.ACCOUNT_EXPIRED)
        waiting = auth.identify(asked)
        assert isinstance(waiting, Deferred)
        self.doors.due[-1].callback(expired)
        assert self.successResultOf(waiting) == expired

    def test_other_schemes_are_credentials_missing(self) -> None:
        """Only Basic is spoken."""
        for header in (b"Bearer abc", b"Basic", b"Basic %%%", b"Basic " + b64encode(b"no colon")):
            found = self.auth.identify(request(header))
            assert isinstance(found, Refusal)
            assert found.reason == Reason.CREDENTIALS_MISSING, header

    def test_remembered_login_is_known_at_once(self) -> None:
        """No check, no Deferred."""
        self.doors.known = LOGIN
        assert self.auth.identify(request(basic("key1", "secret1"))) is LOGIN
        assert self.doors.checks == []

    def test_unknown_login_is_checked_with_the_address(self) -> None:
        """What Doors decide by."""
        found = self.auth.identify(request(basic("key1", "a:b é")))
        assert isinstance(found, Deferred)
        assert self.doors.checks == [("http", "key1", "a:b é", "192.0.2.1")]
        self.doors.due[0].callback(LOGIN)
        assert self.successResultOf(found) is LOGIN

    def test_a_good_header_is_known_until_something_is_provisioned(self) -> None:
        """Keep-alive clients send it with every request; a revoked login ends with its tables."""
        self.doors.known = LOGIN
        assert self.auth.identify(request(basic("key1", "secret1"))) is LOGIN
        self.doors.known = None
        assert self.auth.identify(request(basic("key1", "secret1"))) is LOGIN
        for other in (
            request(basic("key1", "secret2")),
            request(basic("key1", "secret1"), "192.0.2.2"),
        ):
            assert isinstance(self.auth.identify(other), Deferred)
        self.tables = object()
        assert isinstance(self.auth.identify(request(basic("key1", "secret1"))), Deferred)


class Passwords(SynchronousTestCase):
    """Dialects that have user name and password among the parameters."""

    def setUp(self) -> None:
        """Authentication at slow doors, which know one login."""
        self.doors = SlowDoors()
        self.tables = object()
        self.now = 10.0
        self.auth = PasswordAuth(self.doors, lambda: self.tables, lambda: self.now)

    def good(self, login: Login = LOGIN) -> None:
        """``key1`` with ``secret1`` has been good once, and the doors are asked no more."""
        self.doors.known = login
        assert self.auth.identify("key1", "secret1", request(None)) is login
        self.doors.known = None

    def test_a_good_password_is_known_until_something_is_provisioned(self) -> None:
        """A login a request costs no check; a revoked one ends with its tables."""
        self.good()
        assert self.auth.identify("key1", "secret1", request(None)) is LOGIN
        self.tables = object()
        assert isinstance(self.auth.identify("key1", "secret1", request(None)), Deferred)

    def test_only_the_same_user_password_and_address_is_known_again(self) -> None:
        """Whatever differs is checked by the doors, with its address."""
        self.good()
        for username, password, peer in (
            ("key2", "secret1", "192.0.2.1"),
            ("key1", "secret2", "192.0.2.1"),
            ("key1", "secret1", "192.0.2.2"),
            ("key1secret1", "", "192.0.2.1"),
            ("", "secret1", "192.0.2.1"),
        ):
            found = self.auth.identify(username, password, request(None, peer))
            assert isinstance(found, Deferred)
            assert self.doors.checks[-1] == ("http", username, password, peer)

    def test_a_password_is_known_until_its_account_expires(self) -> None:
        """Then the doors say what became of it."""
        login = evolve(LOGIN, until=20.0)
        self.good(login)
        self.now = 19.9
        assert self.auth.identify("key1", "secret1", request(None)) is login
        self.now = 20.0
        assert isinstance(self.auth.identify("key1", "secret1", request(None)), Deferred)

    def test_what_was_refused_is_asked_again(self) -> None:
        """So that each guess is counted by the doors."""
        self.doors.known = Refusal(Reason.WRONG_PASSWORD)
        for _ in range(2):
            assert isinstance(self.auth.identify("key1", "wrong", request(None)), Deferred)
        assert len(self.doors.checks) == 2


class Guessing(SynchronousTestCase):
    """E-D4, with the gateway's own doors."""

    def test_address_that_guesses_is_stopped(self) -> None:
        """20 wrong logins a minute, of known keys or not; then 1032, whatever is sent."""
        now = 0.0
        credential = Credential(
            kind="http", username="key1", password_hash="secret1", allow=["192.0.2.0/24"]
        )
        tables = Tables(Provisioning(accounts={"acme": Account("acme", credential=[credential])}))
        doors = Doors(lambda: tables, now=lambda: now, run=lambda check: succeed(False))
        auth = BasicAuth(doors, lambda: tables)

        def reason(username: str, password: str, peer: str = "192.0.2.1") -> Reason:
            found = auth.identify(request(basic(username, password), peer))
            outcome = self.successResultOf(found) if isinstance(found, Deferred) else found
            assert isinstance(outcome, Refusal)
            return outcome.reason

        for number in range(FAILURES // 2):
            assert reason("key1", str(number)) == Reason.WRONG_PASSWORD
            assert reason(str(number), "secret1") == Reason.UNKNOWN_LOGIN
        assert reason("key1", "secret1") == Reason.TOO_MANY_LOGINS
        assert reason("key1", "x", "192.0.2.2") == Reason.WRONG_PASSWORD
        now = 61.0
        assert reason("key1", "x") == Reason.WRONG_PASSWORD


class Header(SynchronousTestCase):
    """RFC 7617."""

    def test_scheme_is_case_insensitive_and_latin_1_is_understood(self) -> None:
        """What clients send in the field."""
        assert parse(b"basic  " + b64encode(b"a:b")) == ("a", "b")
        assert parse(b"Basic " + b64encode("é:b".encode("latin-1"))) == ("é", "b")

    @given(st.text(st.characters(exclude_characters=":", codec="utf-8")), st.text())
    def test_any_key_and_secret_come_back(self, username: str, password: str) -> None:
        """Everything but a colon may be in a key."""
        try:
            password.encode()
        except UnicodeEncodeError:
            return
        assert parse(basic(username, password)) == (username, password)

    @given(st.binary())
    def test_any_octets_are_a_login_or_none(self, octets: bytes) -> None:
        """Never an exception."""
        for header in (octets, b"Basic " + octets, b"Basic " + b64encode(octets)):
            found = parse(header)
            assert found is None or len(found) == 2
