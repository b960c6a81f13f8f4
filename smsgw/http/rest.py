"""The REST API of the aerialink dialect: its resources, wired together (``spec/aerialink.md``)."""

import time
from collections.abc import Callable
from typing import Protocol

from twisted.internet.defer import Deferred

from smsgw.config import Config
from smsgw.flow.dead import DeadLetters
from smsgw.flow.lists import Lists as ListsInForce
from smsgw.flow.lists import Runner
from smsgw.flow.replay import Replays
from smsgw.http import rest_openapi
from smsgw.http.auth import Doors
from smsgw.http.lookup import HttpProvider, Lookup
from smsgw.http.rest_deliveries import Deliveries
from smsgw.http.rest_front import BASE, REPORT, Front
from smsgw.http.rest_lists import Lists
from smsgw.http.rest_media import Attachments
from smsgw.http.rest_messages import Messages, Records
from smsgw.http.rest_numbers import Numbers
from smsgw.http.rest_report import Report
from smsgw.http.rest_sending import Acceptance
from smsgw.http.site import Request, Response, Site
from smsgw.identities import Identities
from smsgw.rules.tables import Tables

__all__ = ["BASE", "Rest", "add"]


class Store(Records, Protocol):
    """What the API asks of a gateway besides sending: its records, and who keeps them."""

    @property
    def journal(self) -> Runner:
        """What reads the store."""

    @property
    def lists(self) -> ListsInForce:
        """Lists of numbers."""

    @property
    def identities(self) -> Identities:
        """What allots ids."""

    @property
    def dead_letters(self) -> DeadLetters:
        """Notifications that were given up."""

    @property
    def replays(self) -> Replays:
        """What tells accounts again."""

    @property
    def lookups(self) -> HttpProvider | None:
        """Who is asked about numbers, None: the number plan alone."""


def add(site: Site, rest: "Rest") -> None:
    """Add the API's resources to a site."""
    rest.front.serve(site)
    for path in (REPORT, REPORT + ".csv"):
        site.add(path, rest.report, refuse=rest.front.refuse, dialect="rest")


class Rest:
    """The resources below ``/v4``, and the message report."""

    def __init__(
        self,
        config: Config,
        tables: Callable[[], Tables],
        doors: Doors,
        acceptance: Acceptance,
        store: Store,
        now: Callable[[], float] = time.time,
        attachments: Attachments | None = None,
    ) -> None:
        """``tables`` gives the tables in force; ``now`` seconds since 1970; ``attachments`` makes
        the content of MMS."""
        self.front = front = Front(config, tables, doors)
        runner, allot = store.journal, store.identities.allot
        lookup = Lookup(tables, store.lookups)
        messages = Messages(
            front, acceptance, store, runner, allot, lookup.operator_id, now, attachments
        )
        front.add(messages.endpoints())
        front.add(Numbers(front, lookup, allot).endpoints())
        front.add(Lists(front, runner, store.lists, allot, now).endpoints())
        deliveries = Deliveries(
            front, runner, store.dead_letters, store, store.replays.replay, allot, now
        )
        front.add(deliveries.endpoints())
        self._report = Report(front, runner, now).endpoint()
        front.add([self._report])
        front.add([rest_openapi.endpoint(front)])

    def report(self, request: Request) -> Response | Deferred[Response]:
        """``GET /20100101/sms/report/``."""
        request.path = BASE + self._report.path
        return self.front.answer(request)
