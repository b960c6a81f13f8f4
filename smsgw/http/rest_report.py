"""The message report of the REST API as CSV (``spec`` F-11, F-15)."""

import csv
import io
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from smsgw import identities
from smsgw.flow.lists import Runner
from smsgw.http import rest_codes
from smsgw.http.render import iso
from smsgw.http.rest_bodies import ParameterError, integer, read_query, text_of
from smsgw.http.rest_front import REPORT, Asked, Endpoint, Front, Parameter
from smsgw.http.rest_messages import MOST_ROWS, ROWS
from smsgw.http.site import Response
from smsgw.message import Direction, Message, MessageState
from smsgw.refusals import Reason
from smsgw.store import outstanding, records
from smsgw.text import numbers
from smsgw.text.reading import read

DAYS = 30  # of a report that names no startDate
_CONTENT_TYPE = "text/csv; charset=utf-8"
COLUMNS = (
    "transactionGUID",
    "messageType",
    "source",
    "destination",
    "date",
    "status",
    "code",
    "messageState",
    "networkErrorCode",
    "parts",
    "clientReference",
    "doneDate",
    "statusUpdate",
    "messageText",
    "kind",
    "media",
)
# What a spreadsheet would take for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
# What readers of CSV stop at; messages of octets have it.
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_BLOCKED = (51, 52, 55)


class Report:
    """``/20100101/sms/report/``, also as ``/v4/report``."""

    def __init__(self, front: Front, runner: Runner, now: Callable[[], float] = time.time) -> None:
        """``now`` gives seconds since 1970."""
        self._front = front
        self._runner = runner
        self._now = now

    def endpoint(self) -> Endpoint:
        """What can be asked here."""
        day = {"type": "string", "description": "ISO 8601: a day or a time, UTC"}
        address = {"type": "string", "maxLength": 20}
        row = {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1}
        rows = {"type": "integer", "minimum": 1, "maximum": MOST_ROWS, "default": ROWS}
        return Endpoint(
            "GET",
            "/report",
            "reports",
            f"Messages as CSV, the newest first; the same as {REPORT}/",
            self.report,
            None,
            (
                Parameter("startDate", day, f"From when on; default {DAYS} days ago."),
                Parameter("endDate", day, "Until when; a day is included."),
                Parameter("sourceAddress", address, "Only from this address."),
                Parameter("destinationAddress", address, "Only to this address."),
                Parameter("startRow", row, "The first row."),
                Parameter("maxRows", rows, "How many rows at most."),
                Parameter("messageType", {"enum": ["MO", "MT"], "default": "MO"}, "Which way."),
                Parameter("reportFormat", {"enum": ["CSV"], "default": "CSV"}, "The form."),
            ),
            faults=[400],
        )

    async def report(self, asked: Asked) -> Response:
        """The report."""
        parameters = read_query(asked.request)
        kind = (text_of(parameters, "messageType") or "MO").upper()
        if kind not in ("MO", "MT"):
            raise ParameterError(Reason.PARAMETER_INVALID, "messageType (MO or MT)")
        if (text_of(parameters, "reportFormat") or "CSV").upper() != "CSV":
            raise ParameterError(Reason.PARAMETER_INVALID, "reportFormat (CSV)")
        start = integer(parameters, "startRow", 1, 1_000_000) or 1
        rows = integer(parameters, "maxRows", 1, MOST_ROWS) or ROWS
        now = datetime.fromtimestamp(self._now(), UTC)
        since = _time(parameters.get("startDate"), "startDate", 0) or now - timedelta(days=DAYS)
        until = _time(parameters.get("endDate"), "endDate", 1) or now + timedelta(seconds=1)
        country = self._front.customer(asked.login.account).country
        ids = await self._ids(
            asked.login.account,
            Direction.MO if kind == "MO" else Direction.MT,
            (_first(since), _first(until)),
            _address(text_of(parameters, "sourceAddress"), country),
            _address(text_of(parameters, "destinationAddress"), country),
            start - 1 + rows,
        )
        wanted = ids[start - 1 :]
        messages = await self._runner.run(lambda c: records.read(c, wanted))
        failed = await self._runner.run(lambda c: outstanding.given_up(c, wanted))
        messages.sort(key=lambda one: -one.id)
        lines = io.StringIO()
        writer = csv.writer(lines)
        writer.writerow(COLUMNS)
        for one in messages:
            writer.writerow([_cell(value) for value in _row(one, one.id in failed)])
        return Response(200, lines.getvalue().encode(), _CONTENT_TYPE)

    async def _ids(
        self,
        account: str,
        direction: Direction,
        span: tuple[int, int],
        source: str,
        destination: str,
        count: int,
    ) -> list[int]:
        """The newest ``count`` that are meant, looked for piece by piece: others' turns at the
        store come in between."""
        since, before = span
        found: list[int] = []
        while before > since and len(found) < count:
            read_piece = partial(
                records.between,
                account=account,
                direction=direction,
                since=since,
                before=before,
                source=source,
                destination=destination,
            )
            piece, before = await self._runner.run(read_piece)
            found += piece
        return found[:count]


def _first(at: datetime) -> int:
    return identities.first_of(int(at.timestamp() * 1000))


def _time(text: object, name: str, days: int) -> datetime | None:
    """A time; of a day the beginning, and with ``days`` 1 the end."""
    if not text:
        return None
    try:
        at = datetime.fromisoformat(str(text))
        if len(str(text)) <= len("2026-03-14"):
            at += timedelta(days=days)
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        at.timestamp()
    except (ValueError, OverflowError):
        raise ParameterError(
            Reason.PARAMETER_INVALID, f"{name} (ISO 8601, such as 2026-03-14)"
        ) from None
    return at


def _address(text: str, country: str) -> str:
    """An address as messages have it."""
    found = numbers.friendly(text, country) if text else ""
    return text.strip() if isinstance(found, Reason) else found


def _row(message: Message, failed: bool) -> list[object]:
    code = rest_codes.code_of(message)
    text = "" if message.private or not message.parts else read(message).text
    multimedia = message.multimedia
    media = multimedia.media if multimedia is not None else []
    return [
        identities.to_guid(message.id),
        "MO" if message.direction == Direction.MO else "MT",
        message.source,
        message.destination,
        iso(message.accepted_at),
        status_of(message, code),
        code,
        rest_codes.state_name(message),
        message.network_error,
        len(message.parts),
        message.client_reference or "",
        iso(message.done_at) or "",
        "failed" if failed else "",
        text,
        "SMS" if multimedia is None else "MMS",
        "; ".join(f"{one.name} ({one.type}, {one.size})" for one in media),
    ]


def status_of(message: Message, code: int) -> str:
    """The word of F-15: MT SUCCESS, FAIL, BLOCKED, QUEUED, PROCESSING; MO SUCCESS, PENDING,
    FAIL."""
    state = MessageState(message.state)
    if message.direction == Direction.MO:
        if state is MessageState.DELIVERED:
            return "SUCCESS"
        return "FAIL" if state.final else "PENDING"
    if code in _BLOCKED:
        return "BLOCKED"
    if state is MessageState.DELIVERED:
        return "SUCCESS"
    if state.final:
        return "FAIL"
    if code == rest_codes.ACCEPTED:
        return "QUEUED"
    # Without a receipt nothing more will be heard: the carrier has it.
    return "PROCESSING" if message.registered_delivery else "SUCCESS"


def _cell(value: object) -> object:
    if not isinstance(value, str):
        return value
    shown = _CONTROLS.sub("\ufffd", value)
    return "'" + shown if shown.startswith(_FORMULA) else shown
