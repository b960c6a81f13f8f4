"""Following: keeps what this node has in memory in step with what other nodes write.

The news come from the store (``store/news.py``); without several nodes there are none. See
``docs/design/nodes.md`` for what a node keeps in memory.
"""

import time
from typing import TYPE_CHECKING

from sqlalchemy import Engine
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from smsgw.store.news import Listener, News

if TYPE_CHECKING:
    from smsgw.service.gateway import Gateway

_log = Logger()

_EDGES = frozenset({"smpp", "http", "smtp"})


class Following:
    """Reads again what others have changed, once it is told of it and once a second."""

    def __init__(self, gateway: "Gateway", engine: Engine) -> None:
        """Nothing is read before ``start``."""
        self._gateway = gateway
        self._engine = engine
        self._listener: Listener | None = None
        self._news = News()
        self._failing = False
        self.busy: Deferred[None] | None = None  # fires when nothing is being read any more

    def start(self) -> None:
        """Others are heard from now on, and what they did since the start is read."""
        self._listener = Listener(self._engine, self._gateway.reactor, self.told)
        self._listener.start()

    async def stop(self) -> None:
        """Nothing more is read once this returns."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
        if self.busy is not None:
            await self.busy

    def told(self, news: News) -> None:
        """Something was heard; what comes while something is read is read afterwards."""
        for response in news.responses:
            self._gateway.customers.told(*response)
        news.responses = []
        self._news.merge(news)
        if self.busy is None and self._listener is not None:
            self.busy = Deferred.fromCoroutine(self._follow())
            self.busy.addBoth(self._done)

    def _done(self, _: object) -> None:
        self.busy = None

    async def _follow(self) -> None:
        while True:
            news, self._news = self._news, News()
            try:
                await self._take(news)
            except Exception as error:
                # It is tried again with the news of the next second.
                news.merge(self._news)
                self._news = news
                if not self._failing:
                    _log.warn("what other nodes changed is not read: {why}", why=error)
                self._failing = True
                return
            self._failing = False
            later = self._news
            urgent = later.lists or later.members or later.balances or later.ends
            if self._listener is None or not urgent:
                return

    async def _take(self, news: News) -> None:
        gateway = self._gateway
        journal = gateway.journal
        while news.ends:
            gateway.sessions.end_here(news.ends.pop())
        if news.everything or news.version > gateway.tables.version:
            await gateway.reload()
        if news.everything:
            await gateway.lists.read_all_again(journal)
        elif news.lists or news.members:
            await gateway.lists.read_again(journal, news.lists, news.members)
        balances, quotas = gateway.balances, gateway.quotas
        asked, balances.asked = balances.asked, set()
        if asked or news.balances:
            balances.read_again(asked | news.balances)
        if quotas.asked:
            await quotas.read_again(journal, time.time())
        await gateway.settlement.look_for_answers(journal)
        await gateway.receipts.look_again()
        await gateway.inbound.follow(journal)
        self._share_rates()
        binds = gateway.esmes.binds
        binds.probe(news.probes)
        if binds.spread is not None:
            await binds.spread.review()

    def _share_rates(self) -> None:
        """Of what an account may send each node with an edge lets an equal part pass; of what a
        carrier takes each node sends as much as it has of the links that are up; to an MMSC
        each node that has carriers mails an equal part."""
        gateway = self._gateway
        registry = gateway.registry
        if registry is None:
            return
        others = [row for row in registry.alive.values() if row.number != registry.number]
        edges = sum(not _EDGES.isdisjoint(row.roles) for row in others)
        gateway.acceptance.share_rates(1 / (1 + edges))
        for name, side in gateway.carriers.sides.items():
            mine = sum(link.up for link in side.links)
            theirs = sum(row.carriers.get(name, 0) for row in others)
            side.share_rate(mine / (mine + theirs) if mine else 1.0)
        mailing = 1 + sum("carriers" in row.roles for row in others)
        for mmsc in gateway.mmscs.sides.values():
            mmsc.share_rate(1 / mailing)
