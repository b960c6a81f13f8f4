"""Who asks: HTTP Basic authentication (F-6), checked where the logins of all edges are checked."""

import binascii
from base64 import b64decode
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from smsgw.http.site import Request
from smsgw.login import Login
from smsgw.refusals import Reason, Refusal

Identity = Login | Refusal


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


class BasicAuth:
    """Identifies requests by ``Authorization: Basic``.

    Equal logins that come while the first is being checked wait for its outcome: a client that
    opens many connections at once costs one check of its secret.
    """

    def __init__(self, doors: Doors) -> None:
        self._doors = doors
        self._under_way: dict[tuple[str, str, str], list[Deferred[Identity]]] = {}

    def identify(self, request: Request) -> Identity | Deferred[Identity]:
        """The login of a request, at once if it is remembered."""
        authorization = request.headers.get(b"authorization")
        if authorization is None:
            return Refusal(Reason.CREDENTIALS_MISSING)
        parsed = parse(authorization)
        if parsed is None:
            return Refusal(Reason.CREDENTIALS_MISSING, "not in the form of HTTP Basic")
        username, password = parsed
        known = self._doors.remembered("http", username, password, request.peer)
        if type(known) is Login:
            return known
        # A refusal that is known goes the same way, so that it is counted.
        return self._check(username, password, request.peer)

    def _check(self, username: str, password: str, peer: str) -> Deferred[Identity]:
        answer: Deferred[Identity] = Deferred()
        key = (username, password, peer)
        waiting = self._under_way.get(key)
        if waiting is not None:
            waiting.append(answer)
            return answer
        self._under_way[key] = [answer]
        self._doors.login("http", username, password, peer).addBoth(self._checked, key)
        return answer

    def _checked(self, outcome: Identity | Failure, key: tuple[str, str, str]) -> None:
        for answer in self._under_way.pop(key):
            answer.callback(outcome)  # a Failure is the errback of each


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
