"""Callbacks: brings messages, receipts and progress to the URLs of customers."""

import base64
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred

from smsgw.config import Config
from smsgw.flow import attached
from smsgw.flow.targets import DELIVERED, FAILED, REFUSED, Delivery, Told
from smsgw.http import form_data, wording
from smsgw.http.form_data import FormData
from smsgw.http.outgoing import BadUrl, Outgoing, Unanswered
from smsgw.http.wording import Call
from smsgw.media import MediaStore, Missing
from smsgw.message import Multimedia
from smsgw.outward import UnderWay
from smsgw.provisioning.actions import action_of
from smsgw.text import reports
from smsgw.text.reading import read

# How long one call may take, in seconds (A-D13, Q-D17, E-D19).
_TIMEOUT_S = {"aaisp": 10.0, "aql": 10.0, "aerialink": 15.0}
# Answers of what stands in front of a customer's program, which was not reached (Q-D17).
_NOT_CONTACTED = (502, 503, 504)
# Of the 4xx those that may be another at the next try (ruling 17).
_TRY_AGAIN = (408, 429)


Tell = Callable[[Delivery, FormData | None], Coroutine[Any, Any, Told]]


class Callbacks:
    """The messenger of targets of kind "http"."""

    def __init__(
        self, config: Config, reactor: Any, trust: Any = None, media: MediaStore | None = None
    ) -> None:
        """``trust`` is whose certificates are taken, None: the platform's. ``media`` has those of
        multimedia messages."""
        self._media = media
        self._private = {
            "aaisp": config.aaisp.allow_private_callbacks,
            "aql": config.aql.allow_private_callbacks,
            "aerialink": config.aerialink.allow_private_callbacks,
        }
        self._root = config.aerialink.root
        self._outgoing = Outgoing(reactor, trust)
        self._under_way = UnderWay(reactor)

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        """Fires with how it went; the detail is an HTTP status or a few words."""
        relay = delivery.target.dialect == "aql"
        return self._under_way.run(self._told(delivery, self._relay if relay else self._call))

    async def _told(self, delivery: Delivery, tell: Tell) -> Told:
        """A multimedia message is a form with its media in it (4.6, ruling 20)."""
        if delivery.event != "mo" or delivery.message.kind != "mms" or self._media is None:
            return await tell(delivery, None)
        try:
            form = await self._media.run(self._form, delivery, self._media)
        except Missing:
            return Told(REFUSED, "its media are over")
        except OSError as error:
            return Told(FAILED, f"its media: {error}")
        try:
            return await tell(delivery, form)
        finally:
            form.close()

    def _form(self, delivery: Delivery, media: MediaStore) -> FormData:
        """Blocks. Raises ``Missing``, OSError."""
        message = delivery.message
        multimedia = message.multimedia or Multimedia()
        text = attached.text_of(multimedia, media.get_here)
        reading = read(message, delivery.account.time_zone)
        fields = wording.multimedia_fields(message, reading, text)
        others = attached.attached(multimedia)
        return form_data.composed(fields, others, media.get_here, media.run, media.spool)

    async def _call(self, delivery: Delivery, form: FormData | None) -> Told:
        try:
            if form is not None:
                call = Call("POST", delivery.target.address, form=form)
            else:
                call = self._call_of(delivery)
            status = (await self._ask(delivery, call)).status
        except BadUrl as fault:
            return Told(REFUSED, str(fault))
        except Unanswered as fault:
            return Told(FAILED, str(fault))
        if 200 <= status < 300:
            return Told(DELIVERED, f"HTTP {status}")
        for_good = 400 <= status < 500 and status not in _TRY_AGAIN
        if delivery.target.dialect == "aerialink":
            for_good = False  # whatever fails is tried ten times again (E-R28)
        return Told(REFUSED if for_good else FAILED, f"HTTP {status}")

    def _call_of(self, delivery: Delivery) -> Call:
        message, target = delivery.message, delivery.target
        reading = read(message, delivery.account.time_zone)
        if target.dialect == "aerialink":
            return wording.aerialink_push(
                delivery.event,
                message,
                reading,
                delivery.entry_id,
                target.address,
                target.method,
                target.form,
                self._root,
            )
        if delivery.event == "mo":
            return wording.aaisp_message(reading, target.address, target.prefix)
        code = delivery.part or reports.code_of(delivery.event, message)
        return wording.aaisp_report(code, message, reading, target.address)

    async def _relay(self, delivery: Delivery, form: FormData | None) -> Told:
        """The first URL that can be contacted decides (Q-R18, Q-D17)."""
        detail = ""
        reading = read(delivery.message, delivery.account.time_zone)
        for url in delivery.target.address.split(","):
            call = wording.aql_message(
                reading, delivery.message.id, url.strip(), delivery.target.method
            )
            if form is not None:
                said = wording.aql_message(reading, delivery.message.id, url.strip(), "GET")
                call = Call("POST", said.url, form=form)
            try:
                answer = await self._ask(delivery, call)
            except (BadUrl, Unanswered) as fault:
                detail = str(fault)
                continue
            detail = f"HTTP {answer.status}"
            if not answer.complete:
                detail = "no whole answer in time"
            elif 200 <= answer.status < 300:
                return Told(DELIVERED, detail)
            elif answer.status not in _NOT_CONTACTED:
                break
        return Told(FAILED, detail)

    def _ask(self, delivery: Delivery, call: Call) -> Any:
        dialect = delivery.target.dialect
        secret = delivery.number.secret if delivery.number is not None else ""
        headers = None
        if delivery.target.form:
            action = action_of(delivery.account, delivery.target, delivery.event)
            if action is not None:
                secret = action.hmac_secret or secret
                if action.username:
                    login = f"{action.username}:{action.password}".encode()
                    headers = {"Authorization": f"Basic {base64.b64encode(login).decode()}"}
        return self._outgoing.ask(
            call,
            _TIMEOUT_S[dialect],
            self._private[dialect],
            secret or delivery.account.callback_secret,
            headers,
        )

    def stop(self) -> Deferred[None]:
        """Fires when the calls under way have ended and no connection is kept."""
        return self._under_way.stop().addCallback(
            lambda _: Deferred.fromCoroutine(self._outgoing.stop())
        )
