"""Whether the gateway is ready for work, each check with the reason if it fails."""

from contextlib import suppress
from typing import TYPE_CHECKING

from smsgw.operate.operator import Check, Health
from smsgw.store.journal import Changes, StoreFailed

if TYPE_CHECKING:
    from smsgw.service import Gateway

PROBE_S = 5.0  # the store is written to for a check at most so often

_NO_ROW = ("", "", 0, b"")  # of early_receipt: no carrier has an empty name


class Readiness:
    """The checks of one gateway."""

    def __init__(self, gateway: "Gateway") -> None:
        self._gateway = gateway
        self._probed = -PROBE_S

    async def health(self) -> Health:
        """Whether it works: the store takes what is written, and messages are accepted."""
        if self._gateway.journal.failing:
            # Whether it still does is known when something is written.
            await self._probe()
        return Health([self._store(), self._accepting()])

    async def ready(self) -> Health:
        """Whether messages should be sent to it: besides that, it listens and has a way out."""
        now = self._gateway.reactor.seconds()
        if now - self._probed >= PROBE_S:
            self._probed = now
            await self._probe()
        checks = [self._store(), self._accepting(), self._listeners(), self._carriers()]
        if self._gateway.wire is not None:
            why = self._gateway.wire.reason
            checks.insert(1, Check("broker", not why, why))
        return Health(checks)

    async def _probe(self) -> None:
        probe = Changes(early_receipts=[_NO_ROW], early_matched=[_NO_ROW[:2]])
        with suppress(StoreFailed):
            await self._gateway.journal.commit(probe)

    def _store(self) -> Check:
        failing = self._gateway.journal.failing
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
        up = sum(self._gateway.is_up(name) for name in provisioned)
        return Check("carriers", up > 0, f"{up} of {len(provisioned)} are up")
