"""Notifications of an account: those that were given up, and sending them again (E-D17)."""

import time
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy import Connection

from smsgw import identities
from smsgw.flow.dead import DeadLetters, Which
from smsgw.flow.lists import Runner
from smsgw.flow.targets import account_of
from smsgw.http import rest_codes
from smsgw.http.render import iso
from smsgw.http.rest_bodies import ParameterError, integer, read_query
from smsgw.http.rest_documents import Deliveries as Shown
from smsgw.http.rest_documents import DeliveriesFound, Delivery, Replayed
from smsgw.http.rest_front import Asked, Endpoint, Front
from smsgw.http.rest_messages import CURSOR, MAX_ROWS, MOST_ROWS, ROWS, Records
from smsgw.http.site import Response
from smsgw.message import Message
from smsgw.provisioning.targets import masked
from smsgw.queues import Kind
from smsgw.refusals import Reason
from smsgw.store.schema import ActionRow, DeadRow

_EVENTS = {
    Kind.MO: "Deliver",
    Kind.RECEIPT: "Receipt",
    Kind.PROGRESS: "Acknowledgement",
    Kind.NOTICE: "Notice",
    Kind.READ: "Read",
}

# Puts what an account was told of a message back to its targets; how many notifications.
Replay = Callable[[Message], Awaitable[int]]


class Deliveries:
    """``/v4/deliveries``, and ``/replay`` of a message."""

    def __init__(
        self,
        front: Front,
        runner: Runner,
        letters: DeadLetters,
        records: Records,
        replay: Replay,
        allot: Callable[[], int],
        now: Callable[[], float] = time.time,
    ) -> None:
        """``letters`` are those that were given up; ``now`` gives seconds since 1970."""
        self._front = front
        self._runner = runner
        self._letters = letters
        self._records = records
        self._replay = replay
        self._allot = allot
        self._now = now

    def endpoints(self) -> list[Endpoint]:
        """What can be asked here."""
        return [
            Endpoint(
                "GET",
                "/deliveries",
                "reports",
                "Notifications that were given up, the oldest first",
                self.all,
                Shown,
                (CURSOR, MAX_ROWS),
                faults=[400],
            ),
            Endpoint(
                "POST",
                "/deliveries/retry",
                "reports",
                "Send all notifications again that were given up",
                self.retry_all,
                Replayed,
            ),
            Endpoint(
                "POST",
                "/deliveries/{deliveryId}/retry",
                "reports",
                "Send one notification again that was given up",
                self.retry,
                Replayed,
                faults=[404],
            ),
            Endpoint(
                "POST",
                "/messages/{transactionGUID}/replay",
                "reports",
                "Tell the account again what it was told of a message",
                self.replay,
                Replayed,
                faults=[404],
            ),
        ]

    async def all(self, asked: Asked) -> Response:
        """``GET /v4/deliveries``."""
        parameters = read_query(asked.request)
        rows = integer(parameters, "maxRows", 1, MOST_ROWS) or ROWS
        after = _id(str(parameters.get("cursor") or ""))
        if parameters.get("cursor") and not after:
            raise ParameterError(Reason.PARAMETER_INVALID, "cursor")
        which = Which(account=asked.login.account)
        found = await self._runner.run(partial(_page, which=which, after=after, limit=rows + 1))
        page = found[:rows]
        more = identities.to_guid(page[-1].id) if len(found) > rows else None
        shown = DeliveriesFound([_shown(one) for one in page])
        return self._front.document(asked, Shown(shown, more))

    async def retry_all(self, asked: Asked) -> Response:
        """``POST /v4/deliveries/retry``."""
        return await self._retried(asked, Which(account=asked.login.account))

    async def retry(self, asked: Asked) -> Response:
        """``POST /v4/deliveries/{deliveryId}/retry``."""
        id = _id(asked.names["deliveryId"])
        which = Which(ids=(id,), account=asked.login.account)
        if not id or not await self._runner.run(partial(_page, which=which, after=0, limit=1)):
            return self._front.refused(asked, Reason.UNKNOWN_MESSAGE)
        return await self._retried(asked, which)

    async def _retried(self, asked: Asked, which: Which) -> Response:
        login = asked.login
        ids = ", ".join(str(one) for one in which.ids)
        action = ActionRow(
            self._allot(),
            int(self._now() * 1000),
            f"http {login.credential}",
            "retry",
            "dead",
            f"account {login.account}{', ' if ids else ''}{ids}",
        )
        count = await self._letters.put_back(which, action)
        return self._front.document(asked, Replayed(rest_codes.ACCEPTED, count))

    async def replay(self, asked: Asked) -> Response:
        """``POST /v4/messages/{transactionGUID}/replay``."""
        id, _ = identities.from_guid(asked.names["transactionGUID"]) or (0, 0)
        message = await self._records.message(asked.login.account, id) if id else None
        if message is None or message.account != asked.login.account:
            return self._front.refused(asked, Reason.UNKNOWN_MESSAGE)
        count = await self._replay(message)
        return self._front.document(asked, Replayed(rest_codes.ACCEPTED, count))


def _id(text: str) -> int:
    id, kind = identities.from_guid(text) or (0, identities.RECEIPT)
    return id if kind == identities.MESSAGE else 0


def _page(connection: Connection, which: Which, after: int, limit: int) -> list[DeadRow]:
    return which.read(connection, after, limit)


def _shown(row: DeadRow) -> Delivery:
    target = row.queue.partition(f":{account_of(row.queue)}")[2].strip()
    return Delivery(
        delivery_id=identities.to_guid(row.id),
        transaction_guid=identities.to_guid(row.message),
        event=_EVENTS[Kind(row.kind)],
        target=masked(target) or "smpp",
        attempts=row.attempts,
        date=iso(row.at),
        reason=row.reason,
    )
