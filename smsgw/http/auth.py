"""Who asks: by HTTP Basic authentication (F-6), or user name and password among the parameters.
Both are checked where the logins of all edges are checked.
"""

import binascii
import time
from base64 import b64decode
from collections.abc import Callable
from hashlib import blake2b
from secrets import token_bytes
from typing import Protocol

from twisted.internet.defer import Deferred

from smsgw.http.site import Request
from smsgw.login import FOREVER, Login
from smsgw.refusals import Reason, Refusal

Identity = Login | Refusal
_REMEMBERED = 10_000


class Doors(Protocol):
    """Where logins of every kind are checked, and wrong ones limited by address (E-D4)."""

    def login(
        self, kind: str, username: str, password: str, peer: str
    ) -> "Deferred[Login | Refusal]":
        """Check a login thoroughly, which takes its time, and count it if it is wrong."""
        ...

    def remembered(
        self, kind: str, username: str, password: str, peer: str
    ) -> Login | Refusal | None:
        """The outcome if it is known without that; None if it is not."""
        ...


class _Auth:
    """Checks logins, and knows those again that were good.

    Clients send the same login with every request. What was good is remembered by a keyed hash, for
    the address that it came from, as long as nothing is provisioned anew.
    """

    def __init__(
        self,
        doors: Doors,
        tables: Callable[[], object],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``tables`` gives the tables in force; another object means that logins may differ.

        ``now`` gives seconds since 1970.
        """
        self._now = now
        self._doors = doors
        self._tables = tables
        self._key = token_bytes(32)
        self._good_for: object = None
        # By user name ("" where the secret has it), hash of the secret, and address.
        self._good: dict[tuple[str, bytes, str], Login] = {}

    def _entry(self, username: str, secret: bytes, peer: str) -> tuple[str, bytes, str]:
        return username, blake2b(secret, digest_size=16, key=self._key).digest(), peer

    def _again(self, entry: tuple[str, bytes, str]) -> Login | None:
        """The login of an entry that was good."""
        tables = self._tables()
        if tables is not self._good_for or len(self._good) >= _REMEMBERED:
            self._good_for = tables
            self._good.clear()
        login = self._good.get(entry)
        if login is not None and (login.until == FOREVER or self._now() < login.until):
            return login
        return None

    def _first(
        self, entry: tuple[str, bytes, str], username: str, password: str
    ) -> Identity | Deferred[Identity]:
        """The login of an entry that is not remembered here."""
        peer = entry[2]
        known = self._doors.remembered("http", username, password, peer)
        if type(known) is Login:
            self._good[entry] = known
            return known
        # A refusal that is known goes the same way, so that it is counted.
        return self._doors.login("http", username, password, peer)


class BasicAuth(_Auth):
    """Identifies requests by ``Authorization: Basic``."""

    def identify(self, request: Request) -> Identity | Deferred[Identity]:
        """The login of a request, at once if it is remembered."""
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            return Refusal(Reason.CREDENTIALS_MISSING)
        entry = self._entry("", authorization, request.peer)
        login = self._again(entry)
        if login is not None:
            return login
        parsed = parse(authorization)
        if parsed is None:
            return Refusal(Reason.CREDENTIALS_MISSING, "not in the form of HTTP Basic")
        return self._first(entry, *parsed)


class PasswordAuth(_Auth):
    """Identifies requests by user name and password, wherever a dialect has them."""

    def identify(
        self, username: str, password: str, request: Request
    ) -> Identity | Deferred[Identity]:
        """The login of a request, at once if it is remembered."""
        entry = self._entry(username, password.encode(), request.peer)
        return self._again(entry) or self._first(entry, username, password)


def parse(authorization: bytes) -> tuple[str, str] | None:
    """Key and secret of an Authorization header (RFC 7617); None if it is not of that form."""
    scheme, _, rest = authorization.partition(b" ")
    if scheme != b"Basic" and scheme.lower() != b"basic":
        return None
    try:
        octets = b64decode(rest.strip(), validate=True)
    except binascii.Error:
        return None
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError:
        text = octets.decode("latin-1")
    username, colon, password = text.partition(":")
    return (username, password) if colon else None
