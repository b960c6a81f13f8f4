"""Logins at every edge: allow-list before password, failures limited by address, good passwords
remembered (design 10)."""

import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from hmac import compare_digest
from secrets import token_bytes
from typing import Any

from twisted.internet.defer import Deferred, DeferredSemaphore, succeed
from twisted.internet.threads import deferToThread

from smsgw.login import FOREVER, Login
from smsgw.provisioning import Account, Credential
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import AllowList, Tables
from smsgw.rules.tree import NEVER, Standing
from smsgw.store.secrets import verify

FAILURES = 20  # wrong logins of one address in FAILURES_S, then none is tried (E-D4)
FAILURES_S = 60.0
_REMEMBERED = 10_000
_ADDRESSES = 10_000
_AT_ONCE = 4  # slow checks of one address under way

Run = Callable[[Callable[[], bool]], Deferred[bool]]


class Doors:
    """Checks who comes in; one for all edges."""

    def __init__(
        self,
        tables: Callable[[], Tables],
        open_if_empty: bool = False,
        now: Callable[[], float] = time.time,
        run: Run = deferToThread,
    ) -> None:
        """``run`` runs the slow check elsewhere; ``open_if_empty`` is E-D6's setting."""
        self._tables = tables
        self._open_if_empty = open_if_empty
        self._now = now
        self._run = run
        self._key = token_bytes(32)
        # (kind, username, keyed hash of the password) -> the argon2 hash that it matched
        self._good: dict[tuple[str, str, bytes], str] = {}
        self._failures: dict[str, tuple[float, int]] = {}
        # Who waits for a slow check under way, by what is being checked and for which address.
        self._checking: dict[tuple[object, ...], list[Deferred[Login | Refusal]]] = {}
        self._lines: dict[str, DeferredSemaphore] = {}
        self.failed = 0

    def allowed(self, kind: str, peer: str) -> bool:
        """True if some credential of the kind may come from the address."""
        return self._tables().any_allows(kind, peer, self._open_if_empty)

    def proof(self, login: Login) -> str:
        """The password hash of a login's credential now, "" if it is gone."""
        found = self._tables().credentials.get((login.kind, login.credential))
        return found[1].password_hash if found is not None else ""

    def admits(self, allow: AllowList, peer: str) -> bool:
        """True if the allow-list lets the address in."""
        return allow.allows(peer, self._open_if_empty)

    def remembered(
        self, kind: str, username: str, password: str, peer: str, called: bool = False
    ) -> Login | Refusal | None:
        """The outcome when it is known without the slow check, else None: then ask ``login``."""
        found = self._tables().credentials.get((kind, username))
        refusal = self._refused(found, peer, called)
        if found is not None and refusal is None:
            account, credential, _ = found
            if self._good.get(self._entry(kind, username, password)) == credential.password_hash:
                # Not held up by others who guess from the same address.
                return self._login(account, credential)
        return Refusal(Reason.TOO_MANY_LOGINS) if self._guesses(peer) else refusal

    def by_access_key(self, key: str, peer: str) -> Login | Refusal:
        """Checks an access key, of 89 random bits, that comes from the address ``peer``."""
        # The dictionary compares hashes first, and those are of this process only: how long it
        # takes tells nothing about the key.
        found = self._tables().access_keys.get(key)
        if found is None and self._guesses(peer):
            return Refusal(Reason.TOO_MANY_LOGINS)
        refusal = self._refused(found, peer) if found is not None else None
        if found is None or refusal is not None:
            refusal = refusal or Refusal(Reason.WRONG_PASSWORD)
            self._count(refusal, peer)
            return refusal
        account, credential, _ = found
        return self._login(account, credential)

    def by_address(self, kind: str, peer: str, names: Sequence[str] = ()) -> list[Login]:
        """Whom an address tells, alone or with the certificate that goes by ``names`` (ruling 21):
        credentials of the kind that say so."""
        tables = self._tables()
        return [
            self._login(account, credential)
            for (of, _), (account, credential, allow) in tables.credentials.items()
            if of == kind
            and credential.allow  # whatever an empty list means elsewhere
            and (
                credential.identify == "address"
                or (credential.identify == "certificate" and credential.certificate in names)
            )
            and self._refused((account, credential, allow), peer) is None
        ]

    def stands(self, login: Login) -> bool:
        """True if the login's account is there, neither suspended nor expired."""
        place = self._tables().standing.get(login.account)
        return place is not None and not place.suspended and place.expires_at > self._now() * 1000

    def proves(self, expected: str, given: str, peer: str) -> Refusal | None:
        """None if ``given`` is the secret of a peer that is no account; guesses count as those of
        passwords do."""
        if self._guesses(peer):
            return Refusal(Reason.TOO_MANY_LOGINS)
        if expected and compare_digest(expected.encode(), given.encode()):
            return None
        wrong = Refusal(Reason.WRONG_PASSWORD)
        self._count(wrong, peer)
        return wrong

    def _guesses(self, peer: str) -> bool:
        """True if the address has guessed wrong too often within a minute."""
        at, count = self._failures.get(peer, (0.0, 0))
        return count >= FAILURES and self._now() - at < FAILURES_S

    def login(
        self, kind: str, username: str, password: str, peer: str, called: bool = False
    ) -> Deferred[Login | Refusal]:
        """Checks a credential of the kind that comes from the address ``peer`` (text).

        ``called``: it is we who have connected to it, so its allow-list is not asked.
        """
        known = self.remembered(kind, username, password, peer, called)
        if known is not None:
            if isinstance(known, Refusal):
                self._count(known, peer)
            return succeed(known)
        expected = self._tables().credentials[kind, username][1].password_hash

        # A client that binds many sessions at once makes one guess, and costs one check.
        key = (*self._entry(kind, username, password), expected, peer, called)
        if key in self._checking:
            answer: Deferred[Login | Refusal] = Deferred()
            self._checking[key].append(answer)
            return answer
        waiting = self._checking[key] = []

        def told(outcome: Any) -> Any:
            del self._checking[key]
            for answer in waiting:
                answer.callback(outcome)  # a Failure is the errback of each
            return outcome

        # Guesses of one address stand in line, so that those after the last allowed one are refused
        # untried; right logins behind one address translator only wait a little.
        line = self._lines.setdefault(peer, DeferredSemaphore(_AT_ONCE))
        checking = line.run(self._check, kind, username, password, peer, expected, called)
        return checking.addBoth(told).addBoth(self._left, peer, line)

    def _check(
        self, kind: str, username: str, password: str, peer: str, expected: str, called: bool
    ) -> Deferred[Login | Refusal]:
        known = self.remembered(kind, username, password, peer, called)
        if known is not None:
            return succeed(known)
        account, credential, _ = self._tables().credentials[kind, username]

        def checked(good: bool) -> Login | Refusal:
            if not good:
                wrong = Refusal(Reason.WRONG_PASSWORD)
                self._count(wrong, peer)
                return wrong
            while len(self._good) >= _REMEMBERED:
                del self._good[next(iter(self._good))]
            self._good[self._entry(kind, username, password)] = expected
            return self._login(account, credential)

        return self._run(lambda: verify(expected, password)).addCallback(checked)

    def _left(self, outcome: Any, peer: str, line: DeferredSemaphore) -> Any:
        if line.tokens == line.limit and not line.waiting:
            self._lines.pop(peer, None)
        return outcome

    def _refused(
        self, found: tuple[Account, Credential, AllowList] | None, peer: str, called: bool = False
    ) -> Refusal | None:
        if found is None:
            return Refusal(Reason.UNKNOWN_LOGIN)
        account, _, allow = found
        if not called and not allow.allows(peer, self._open_if_empty):
            return Refusal(Reason.ADDRESS_NOT_ALLOWED)
        place = self._tables().standing[account.name]
        if place.suspended:
            return Refusal(Reason.ACCOUNT_INACTIVE)
        if place.expires_at < NEVER and place.expires_at <= self._now() * 1000:
            return Refusal(Reason.ACCOUNT_EXPIRED, "expired")
        return None

    def _login(self, account: Account, credential: Credential) -> Login:
        return login_of(account, credential, self._tables().standing[account.name])

    def _count(self, refusal: Refusal, peer: str) -> None:
        """Counts guesses of one address within a minute; what is no guess does not count."""
        self.failed += 1
        if refusal.reason not in (Reason.UNKNOWN_LOGIN, Reason.WRONG_PASSWORD):
            return
        now = self._now()
        since, count = self._failures.pop(peer, (now, 0))
        if now - since >= FAILURES_S:
            since, count = now, 0
        self._failures[peer] = (since, count + 1)
        while len(self._failures) > _ADDRESSES:
            del self._failures[next(iter(self._failures))]

    def _entry(self, kind: str, username: str, password: str) -> tuple[str, str, bytes]:
        # Memory holds no password; with a key of this process nobody can prepare guesses.
        digest = blake2b(password.encode(), digest_size=16, key=self._key).digest()
        return kind, username, digest


def login_of(account: Account, credential: Credential, place: Standing) -> Login:
    """What a credential that has proved itself may do."""
    return Login(
        account=account.name,
        credential=credential.username,
        kind=credential.kind,
        binds=credential.binds,
        window=credential.window,
        rate=account.rate,
        profile=credential.profile,
        tag=credential.tag,
        interfaces=frozenset(credential.interfaces) or None,
        resources=frozenset(credential.resources) or None,
        until=place.expires_at / 1000 if place.expires_at < NEVER else FOREVER,
        certificate=credential.certificate,
        deliver=credential.deliver,
    )
