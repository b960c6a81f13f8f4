"""Spread: the sessions of this node among those of all nodes, in the store.

A session is entered before its bind is answered, so a limit holds whichever nodes a login binds at.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.login import Login
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.esme import EsmeSession
from smsgw.store import sessions
from smsgw.store.journal import Journal
from smsgw.store.sessions import SessionRow

if TYPE_CHECKING:
    from smsgw.esmes.binds import Binds

_log = Logger()

_PROBED_S = 6.0  # in which other nodes have found out which of theirs are still there
_REVIEW_S = 5.0


class Spread:
    """Enters sessions in the store, and takes them out again."""

    def __init__(
        self,
        journal: Journal,
        clock: IReactorTime,
        node: int,
        allot: Callable[[], int],
        now: Callable[[], float],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._node = node
        self._allot = allot
        self._now = now
        self.rows: dict[EsmeSession, SessionRow] = {}  # of this node
        self._reviewed = 0.0

    def enter(
        self, session: EsmeSession, login: Login, bind_type: str, binds: "Binds"
    ) -> "Deferred[Refusal | None]":
        """Fires with None once the session is entered; it binds at once then, or not at all."""
        return Deferred.fromCoroutine(self._enter(session, login, bind_type, binds))

    async def _enter(
        self, session: EsmeSession, login: Login, bind_type: str, binds: "Binds"
    ) -> Refusal | None:
        row = SessionRow(
            self._node,
            self._allot(),
            login.account,
            login.credential,
            session.profile.name,
            bind_type,
            session.peer,
            int(self._now() * 1000),
        )

        def fits(there: list[str]) -> bool:
            return binds.fits(session, login, bind_type, there)

        for left in (1, 0):
            try:
                entered = await self._journal.run(lambda c: sessions.enter(c, row, fits))
            except Exception as error:
                _log.error("esme {name}: not entered: {why}", name=login.credential, why=error)
                return Refusal(Reason.STORE_FAILED)
            if entered:
                self.rows[session] = row
                # Its client may have gone meanwhile: then nobody says that it is unbound.
                self._clock.callLater(0, self._bound_or_not, session, binds)
                return None
            if left:
                await deferLater(self._clock, _PROBED_S)
        return Refusal(Reason.TOO_MANY_BINDS)

    def _bound_or_not(self, session: EsmeSession, binds: "Binds") -> None:
        if not binds.has(session):
            self.leave(session)

    def leave(self, session: EsmeSession) -> None:
        """The session is no more."""
        row = self.rows.pop(session, None)
        if row is not None:
            done = self._journal.run(lambda c: sessions.leave(c, row.node, [row.serial]))
            done.addErrback(self._not_told)

    def _not_told(self, failure: Failure) -> None:
        # The next review does it.
        _log.warn("sessions: not told to other nodes: {why}", why=failure.getErrorMessage())

    async def review(self) -> None:
        """Mends what could not be written; does nothing if it has not been long since the last
        time. Raises ``StoreFailed``."""
        if self._clock.seconds() - self._reviewed >= _REVIEW_S:
            self._reviewed = self._clock.seconds()
            rows = [*self.rows.values()]
            await self._journal.run(lambda c: sessions.reconcile(c, self._node, rows))
