"""Sessions: bound ESMEs and links to carriers, at whichever node, shown and ended.

Sessions of ESMEs are read from the store where nodes share one, links from the signs of life of
the others (2 s old at most). Who is to end a session of another node tells that node by the store's
news, and watches until it is gone.
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection
from twisted.internet.task import deferLater
from twisted.logger import Logger

from smsgw.operate.looking import look
from smsgw.operate.node_views import SessionView
from smsgw.operate.operator import Unavailable
from smsgw.store import news, nodes, schema, sessions
from smsgw.store.journal import Changes, StoreFailed
from smsgw.store.nodes import LinkRow
from smsgw.store.sessions import SessionRow

if TYPE_CHECKING:
    from smsgw.service import Gateway

_log = Logger()

PAGE = 1_000  # ESMEs at a time
END_S = 15.0  # in which a session must be gone: answers, an unbind, a sign of life
_NOWHERE = -1  # the number of a node that does not run
_DIGITS = 19  # of the largest number in the store
_LOOK_S = 0.25  # between two looks whether it is


class Sessions:
    """The sessions of a gateway, and of the nodes beside it."""

    def __init__(self, gateway: "Gateway", now: Callable[[], float] = time.time) -> None:
        """``now`` gives seconds since 1970."""
        self._gateway = gateway
        self._now = now

    @property
    def _node(self) -> int:
        return self._gateway.config.node.number

    def links(self) -> list[LinkRow]:
        """Those of this node, to MMSCs as well."""
        gateway = self._gateway
        # Links count the reactor's seconds; operators want the time of day.
        offset = self._now() - gateway.reactor.seconds()
        found = [
            LinkRow(
                carrier,
                link.name,
                link.settings.bind,
                link.peer,
                link.state,
                link.up,
                int((link.since + offset) * 1000),
                link.reason,
                side.outstanding_of(link),
                link.bound_ever,
            )
            for carrier, side in gateway.carriers.sides.items()
            for link in side.links
        ]
        for carrier, one in gateway.mmscs.sides.items():
            state, up, since = one.state, one.up, one.since
            row = LinkRow(carrier, "", "", "", state, up, since, one.failing, one.outstanding)
            found.append(row)
        return found

    async def page(self, account: str, carrier: str, after: str) -> list[SessionView]:
        """See ``SessionOperator``."""
        found: list[SessionView] = []
        named = account or carrier
        if not after and (carrier or not named):
            found += [one for one in self._linked() if carrier in ("", one.name)]
        if account or not named:
            found += await self._bound(account, _serial(after) or 0)
        return found

    def _linked(self) -> list[SessionView]:
        gateway = self._gateway
        node = gateway.config.node
        shown = links_of(node.number, node.name, self.links())
        if gateway.registry is not None:
            for row in gateway.registry.others():
                shown += links_of(row.number, row.name, row.links, here=False)
        return sorted(shown, key=lambda one: (one.name, one.node, int(one.id.rpartition("/")[2])))

    async def _bound(self, account: str, after: int) -> list[SessionView]:
        gateway = self._gateway
        if gateway.shared:
            return await look(
                self._gateway.journal, lambda c: read_page(c, account, after, self._node)
            )
        node = gateway.config.node
        rows = sorted(gateway.esmes.binds.rows(node.number).values(), key=lambda row: row.serial)
        wanted = [one for one in rows if one.serial > after and account in ("", one.account)]
        return [session_view(one, node.name) for one in wanted[:PAGE]]

    async def find(self, id: str) -> SessionView | None:
        """The session with this id, None if there is none."""
        if "/" in id:
            return next((one for one in self._linked() if one.id == id), None)
        serial = _serial(id)
        if serial is None:
            return None
        found = await self._bound("", serial - 1)
        return found[0] if found and found[0].id == id else None

    async def end(
        self, id: str, action: Callable[[str, str, str], schema.ActionRow]
    ) -> SessionView | None:
        """See ``SessionOperator``; ``action`` makes what the audit keeps of it."""
        gateway = self._gateway
        found = await self.find(id)
        if found is None or found.state != "up":
            return None
        binds = self._binds(id)
        entry = action("end", found.name, f"{found.kind} {id} {found.login} {found.peer}")

        def tell(connection: Connection) -> None:
            news.tell(connection, [news.of_end(id)])

        try:
            await gateway.journal.commit(Changes(actions=[entry]))
            if found.node == self._node:
                self.end_here(id)
            else:
                await gateway.journal.run(tell)
        except StoreFailed as error:
            raise Unavailable(f"store: {error}; mend that and end it again") from None
        until = gateway.reactor.seconds() + END_S
        while await self._stays(id, binds):
            if gateway.reactor.seconds() >= until:
                raise Unavailable(
                    f"node {found.node} ({found.node_name}) has not ended it within {END_S:g} s; "
                    "see that node's log, and smsgw nodes"
                )
            await deferLater(gateway.reactor, _LOOK_S)
        return found

    def end_here(self, id: str) -> None:
        """Unbinds the session with this id if it is of this node."""
        node, _, link = id.partition("/")
        if not link:
            rows = self._gateway.esmes.binds.rows(self._node)
            for session in [one for one, row in rows.items() if str(row.serial) == id]:
                _log.info("esme {session}: an operator ends it", session=session)
                session.unbind()
        elif node == str(self._node):
            carrier, _, name = link.rpartition("/")
            side = self._gateway.carriers.sides.get(carrier)
            if side is not None and side.rebind(name):
                _log.info("carrier {c}: link {n}: an operator ends it", c=carrier, n=name)

    def _binds(self, id: str) -> int:
        """How often a link was bound so far; 0 for one that there is not."""
        node, _, link = id.partition("/")
        gateway = self._gateway
        rows = {self._node: self.links()}
        if gateway.registry is not None:
            rows |= {row.number: [*row.links] for row in gateway.registry.others()}
        there = rows.get(int(node), []) if node.isdecimal() else []
        return next((one.bound for one in there if f"{one.carrier}/{one.name}" == link), 0)

    async def _stays(self, id: str, binds: int) -> bool:
        """True while a session is the one that it was, to the end of its unbind."""
        found = await self.find(id)
        if found is None or found.state not in ("up", "stopping"):
            return False
        return "/" not in id or self._binds(id) == binds


class LiveSessions:
    """The sessions as an operator has them."""

    def __init__(
        self, sessions: Sessions, action: Callable[[str, str, str], schema.ActionRow]
    ) -> None:
        self._sessions = sessions
        self._action = action

    async def page(self, account: str, carrier: str, after: str) -> list[SessionView]:
        """See ``SessionOperator``."""
        return await self._sessions.page(account, carrier, after)

    async def end(self, id: str) -> SessionView | None:
        """See ``SessionOperator``."""
        return await self._sessions.end(id, self._action)


class OfflineSessions:
    """What other nodes have, while this one does not run."""

    def __init__(self, connect: Callable[[], Connection], why: str) -> None:
        """``why`` is why none can be ended."""
        self._connect = connect
        self._why = why

    async def page(self, account: str, carrier: str, after: str) -> list[SessionView]:
        """See ``SessionOperator``."""
        found: list[SessionView] = []
        named = account or carrier
        with self._connect() as connection:
            if not after and (carrier or not named):
                for row in nodes.read(connection):
                    if row.seen_at != nodes.LEFT:
                        found += links_of(row.number, row.name, row.links, here=False)
            found = [one for one in found if carrier in ("", one.name)]
            if account or not named:
                found += read_page(connection, account, _serial(after) or 0, _NOWHERE)
        return found

    async def end(self, id: str) -> SessionView | None:
        """See ``SessionOperator``: it takes a running gateway."""
        raise Unavailable(self._why)


def _serial(text: str) -> int | None:
    """The number of an ESME's session; None if it is none that the store can hold."""
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        return None
    serial = int(text)
    return serial if serial < 1 << 63 else None


def links_of(node: int, name: str, rows: Sequence[LinkRow], here: bool = True) -> list[SessionView]:
    """The links of a node, without MMSCs: these have connections only while they mail."""
    return [
        SessionView(
            id=f"{node}/{one.carrier}/{one.name}",
            kind="link",
            name=one.carrier,
            node=node,
            node_name=name,
            bind=one.bind,
            peer=one.peer,
            since=one.since,
            state=one.state,
            reason=one.reason,
            outstanding=one.outstanding,
            here=here,
        )
        for one in rows
        if one.name
    ]


def read_page(connection: Connection, account: str, after: int, here: int) -> list[SessionView]:
    """Sessions of ESMEs that the store knows of, with the names of their nodes; ``here`` is the
    number of the node that asks."""
    names = {one.number: one.name for one in nodes.read(connection)}
    rows = sessions.page(connection, account, after, PAGE)
    return [session_view(one, names.get(one.node, ""), one.node == here) for one in rows]


def session_view(row: SessionRow, node_name: str, here: bool = True) -> SessionView:
    """A session of an ESME."""
    return SessionView(
        id=str(row.serial),
        kind="esme",
        name=row.account,
        node=row.node,
        node_name=node_name,
        bind=row.bind,
        peer=row.peer,
        since=row.since,
        login=row.credential,
        profile=row.system,
        here=here,
    )
