"""Dead letters on a running gateway, and in a store that none has open."""

import time
from collections.abc import Callable

from sqlalchemy import Connection

from smsgw.flow.dead import DeadLetters, Which, change_offline
from smsgw.operate.dead_views import PAGE, DeadView
from smsgw.operate.looking import look
from smsgw.operate.operator import Unavailable
from smsgw.provisioning.targets import masked
from smsgw.queues import Kind
from smsgw.store import schema
from smsgw.store.journal import Journal, StoreFailed

_EVENTS = {
    Kind.MO: "mo",
    Kind.RECEIPT: "receipt",
    Kind.PROGRESS: "progress",
    Kind.NOTICE: "notice",
    Kind.READ: "read",
}


def read(connection: Connection, which: Which, after: int) -> list[DeadView]:
    """A page of dead letters as they are shown."""
    return [_view(row) for row in which.read(connection, after, PAGE)]


def _view(row: schema.DeadRow) -> DeadView:
    return DeadView(
        row.id,
        masked(row.queue),
        _EVENTS.get(Kind(row.kind), ""),
        str(row.message),
        row.attempts,
        row.at,
        row.reason,
    )


def _detail(which: Which) -> str:
    """What the audit says of which they were."""
    said = [f"account {which.account}"] if which.account else []
    said += [f"queue {masked(which.queue)}"] if which.queue else []
    said += [str(id) for id in which.ids]
    return ", ".join(said)[:500] or "all"


Act = Callable[[str, str, str], schema.ActionRow]


class LiveDead:
    """A ``DeadOperator`` on a running gateway."""

    def __init__(self, journal: Journal, letters: DeadLetters, act: Act) -> None:
        """``act`` makes what the audit keeps, of kind, name and detail."""
        self._journal = journal
        self._letters = letters
        self._act = act

    async def page(self, which: Which, after: int) -> list[DeadView]:
        """See DeadOperator."""
        return await look(self._journal, lambda c: read(c, which, after))

    async def put_back(self, which: Which) -> int:
        """See DeadOperator."""
        try:
            return await self._letters.put_back(which, self._act("retry", "dead", _detail(which)))
        except StoreFailed as error:
            raise Unavailable(f"store: {error}; mend that and retry again") from None

    async def drop(self, which: Which) -> int:
        """See DeadOperator."""
        try:
            return await self._letters.drop(which, self._act("drop", "dead", _detail(which)))
        except StoreFailed as error:
            raise Unavailable(f"store: {error}; mend that and drop them again") from None


class OfflineDead:
    """A ``DeadOperator`` on a store that no gateway has open."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        act: Act,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._connect = connect
        self._act = act
        self._now = now

    async def page(self, which: Which, after: int) -> list[DeadView]:
        """See DeadOperator."""
        with self._connect() as connection:
            return read(connection, which, after)

    async def put_back(self, which: Which) -> int:
        """See DeadOperator. The gateway delivers them when it starts."""
        return self._change(which, "retry")

    async def drop(self, which: Which) -> int:
        """See DeadOperator."""
        return self._change(which, "drop")

    def _change(self, which: Which, what: str) -> int:
        action = self._act(what, "dead", _detail(which))
        with self._connect() as connection:
            now = int(self._now() * 1000)
            return change_offline(connection, which, what == "drop", action, now)
