"""Whether the gateway is ready for work, each check with the reason if it fails."""

from contextlib import suppress
from typing import TYPE_CHECKING

from twisted.internet.defer import Deferred, TimeoutError

from smsgw.operate.operator import Check, Health
from smsgw.store.journal import Changes

if TYPE_CHECKING:
    from smsgw.service import Gateway

PROBE_S = 5.0  # the store is written to for a check at most so often
# In which it must have answered: less than load balancers wait for a check (3 s in etc/cluster).
ANSWER_S = 2.0

_NO_ROW = ("", "", 0, b"")  # of early_receipt: no carrier has an empty name


class Readiness:
    """The checks of one gateway."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._probed = -PROBE_S  # when the store was written to last, reactor seconds
        # Who waits for the store's answer to that; None once it has answered.
        self._waiting: list[Deferred[None]] | None = None

    async def health(self) -> Health:
        """Whether it works: the store takes what is written, and messages are accepted."""
        # Whether a store that failed still does is known when something is written.
        await self._probe(at_once=bool(self._gateway.journal.failing))
        return Health([self._store(), self._accepting()])

    async def ready(self) -> Health:
        """Whether messages should be sent to it: besides that, it listens, and there is a way out,
        from this node or another one."""
        await self._probe()
        checks = [self._store(), self._accepting(), self._listeners(), self._carriers()]
        if self._gateway.wire is not None:
            why = self._gateway.wire.reason
            checks.insert(1, Check("broker", not why, why))
        return Health(checks)

    async def _probe(self, at_once: bool = False) -> None:
        """Writes to the store if that is due, or has to be ``at_once``; returns when it has
        answered, or has not for ``ANSWER_S``. While it has not, nothing more is written for it."""
        gateway = self._gateway
        now = gateway.reactor.seconds()
        if self._waiting is None and (at_once or now - self._probed >= PROBE_S):
            self._probed, self._waiting = now, []
            probe = Changes(early_receipts=[_NO_ROW], early_matched=[_NO_ROW[:2]])
            gateway.journal.commit(probe).addBoth(self._answered)
        left = self._probed + ANSWER_S - now
        if self._waiting is not None and left > 0:
            answer: Deferred[None] = Deferred()
            self._waiting.append(answer)
            with suppress(TimeoutError):
                await answer.addTimeout(left, gateway.reactor)

    def _answered(self, _: object) -> None:
        # The journal says what went wrong.
        waiting, self._waiting = self._waiting or [], None
        for answer in waiting:
            answer.callback(None)

    def _store(self) -> Check:
        failing = self._gateway.journal.failing
        asked_for = self._gateway.reactor.seconds() - self._probed
        if not failing and self._waiting is not None and asked_for >= ANSWER_S:
            failing = "the store does not answer"
        return Check("store", not failing, failing)

    def _accepting(self) -> Check:
        if self._gateway.acceptance.draining:
            return Check("accepting", False, "shutting down")
        outbox = self._gateway.outbox_full
        return Check("accepting", not outbox, "the broker takes too little" if outbox else "")

    def _listeners(self) -> Check:
        listening = self._gateway.listeners.open
        return Check("listeners", listening, "" if listening else "not all listen")

    def _carriers(self) -> Check:
        provisioned = self._gateway.tables.carriers
        if not provisioned:
            return Check("carriers", True, "none is provisioned")
        # At whichever node: what is accepted here goes out there.
        up = sum(self._gateway.is_up(name) for name in provisioned)
        return Check("carriers", up > 0, f"{up} of {len(provisioned)} are up")
