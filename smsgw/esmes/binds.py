"""Which sessions a login may have: how many and of what kind, by profile, and who came back too
soon.

A login that asks for one too many may have lost its old session without our being told: a machine
that was cut off sends no FIN. So the sessions that are in the way are asked first whether they are
still there, and only those that answer keep the new one out (W-D2).
"""

from collections.abc import Callable, Iterable
from itertools import count

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.logger import Logger

from smsgw.config import Config
from smsgw.esmes.spread import Spread
from smsgw.login import Login
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from smsgw.smpp.esme import EsmeSession
from smsgw.store.sessions import SessionRow

_log = Logger()

PROBE_S = 5.0  # in which a session in the way must answer (W-D2)
RECONNECT_S = 30.0  # after a broken connection (L-R5)
_REMEMBERED = 10_000  # accounts that lost a connection lately


class Binds:
    """The bound sessions of all logins, and the rules for one more."""

    def __init__(
        self, config: Config, tables: Callable[[], Tables], now: Callable[[], float]
    ) -> None:
        """``now`` gives seconds since 1970."""
        self._config = config
        self._tables = tables
        self._now = now
        self._sessions: dict[str, set[EsmeSession]] = {}  # by system_id
        self.spread: Spread | None = None  # if sessions at other nodes count as well
        # Where there are no others: the number of each session, and since when (s since 1970).
        self._numbers: dict[EsmeSession, tuple[int, float]] = {}
        self.allot: Callable[[], int] = count(1).__next__  # gives a number, each one once
        self._broken: dict[str, float] = {}  # account -> when it last lost a connection
        self.probed = 0  # sessions that were asked whether they are still there
        self.early = 0  # binds within RECONNECT_S after a broken connection (L-D5)

    def admit(
        self, session: EsmeSession, login: Login, bind_type: str
    ) -> "Deferred[Refusal | None]":
        """See ``Gate``. Whoever is answered with None binds at once, or not at all."""
        refusal = self._too_soon(session, login)
        if refusal is not None:
            return succeed(refusal)
        rivals = self.in_the_way(session, login, bind_type)
        if not rivals:
            return self._elsewhere(session, login, bind_type)
        self.probed += len(rivals)
        waiting = DeferredList([rival.probe(PROBE_S) for rival in rivals])

        def looked(_: object) -> "Deferred[Refusal | None]":
            if self.in_the_way(session, login, bind_type):
                return succeed(Refusal(Reason.TOO_MANY_BINDS))
            return self._elsewhere(session, login, bind_type)

        return waiting.addCallback(looked)

    def _elsewhere(
        self, session: EsmeSession, login: Login, bind_type: str
    ) -> "Deferred[Refusal | None]":
        """What the login's sessions at other nodes say."""
        if self.spread is None:
            return succeed(None)
        return self.spread.enter(session, login, bind_type, self)

    def fits(self, session: EsmeSession, login: Login, bind_type: str, there: list[str]) -> bool:
        """True if the login may have one session more beside those of these types, on all nodes:
        the rules of ``in_the_way``."""
        if session.profile.name != "websmpp":
            return len(there) < login.binds
        senders = there.count("transmitter")
        if bind_type != "transmitter":
            return len(there) == senders
        return senders < self._most_transmitters(login.account)

    def probe(self, credentials: Iterable[str]) -> None:
        """These logins bind at another node: sessions that do not answer end."""
        for credential in credentials:
            for session in [*self._sessions.get(credential, ())]:
                self.probed += 1
                session.probe(PROBE_S)

    def has(self, session: EsmeSession) -> bool:
        """True if the session is bound."""
        return session in self._sessions.get(session.login.credential, ())

    def in_the_way(self, session: EsmeSession, login: Login, bind_type: str) -> list[EsmeSession]:
        """The sessions of which one must go before the login may have one of this type."""
        there = list(self._sessions.get(login.credential, ()))
        if session.profile.name != "websmpp":
            return there if len(there) >= login.binds else []  # of whatever type (L-D7)
        # One that receives beside several that do not (W-R7).
        if bind_type != "transmitter":
            return [one for one in there if one.receives]
        senders = [one for one in there if not one.receives]
        return senders if len(senders) >= self._most_transmitters(login.account) else []

    def bound(self, session: EsmeSession) -> None:
        """A session counts from now on."""
        self._sessions.setdefault(session.login.credential, set()).add(session)
        if self.spread is None:
            self._numbers[session] = self.allot(), self._now()

    def unbound(self, session: EsmeSession) -> None:
        """A session counts no more."""
        login = session.login
        self._numbers.pop(session, None)
        if self.spread is not None:
            self.spread.leave(session)
        sessions = self._sessions.get(login.credential)
        if sessions is not None:
            sessions.discard(session)
            if not sessions:
                del self._sessions[login.credential]
        self._broken.pop(login.account, None)
        if not session.orderly:
            while len(self._broken) >= _REMEMBERED:
                del self._broken[next(iter(self._broken))]
            self._broken[login.account] = self._now()

    def of(self, account: str) -> list[EsmeSession]:
        """The bound sessions of an account."""
        return [one for one in self.all() if one.login.account == account]

    def all(self) -> list[EsmeSession]:
        """All bound sessions."""
        return [one for sessions in self._sessions.values() for one in sessions]

    def rows(self, node: int) -> dict[EsmeSession, SessionRow]:
        """The sessions of this node, as they are shown."""
        if self.spread is not None:
            return self.spread.rows
        return {
            one: SessionRow(
                node,
                number,
                one.login.account,
                one.login.credential,
                one.profile.name,
                one.bind_type,
                one.peer,
                int(since * 1000),
            )
            for one, (number, since) in self._numbers.items()
        }

    def _most_transmitters(self, account: str) -> int:
        form = self._tables().accounts.get(account)
        own = form.settings if form is not None else {}
        return self._config.ams.for_account(own.get("ams", {})).max_tx

    def _too_soon(self, session: EsmeSession, login: Login) -> Refusal | None:
        """L-D5: counted and told, and refused if the operator wants it."""
        broken = self._broken.get(login.account)
        if broken is None or session.profile.name != "link":
            return None
        after = self._now() - broken
        if not 0 <= after < RECONNECT_S:
            return None
        self.early += 1
        _log.info(
            "esme {name} from {peer}: back {after:.0f} s after a broken connection, not {wait:.0f}",
            name=login.credential,
            peer=session.peer,
            after=after,
            wait=RECONNECT_S,
        )
        if self._config.link.enforce_reconnect_wait:
            return Refusal(Reason.TOO_MANY_LOGINS, "reconnected too soon")
        return None
