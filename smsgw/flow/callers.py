"""Callers: which carrier an outbind is from.

Comes from: the listeners of ``[smpp] outbind_listen``, with who says that it calls.
Goes on to: the carrier's link in ``send``, which binds on the connection.
"""

from collections.abc import Callable, Mapping
from hmac import compare_digest

from twisted.logger import Logger

from smsgw.flow.carrier import CarrierSide
from smsgw.provisioning import Carrier
from smsgw.rules.tables import AllowList, Tables
from smsgw.smpp.connection import SmppConnection

_log = Logger()


class CarrierCallers:
    """The carriers that call; see ``smpp.outbind.Callers``."""

    def __init__(
        self, tables: Callable[[], Tables], sides: Callable[[], Mapping[str, CarrierSide]]
    ) -> None:
        self._tables = tables
        self._sides = sides
        self._version = -1
        self._carriers: list[tuple[Carrier, AllowList]] = []

    def may_call(self, peer: str) -> bool:
        """See ``Callers``."""
        return any(allow.allows(peer) for _, allow in self._calling())

    def called(
        self, system_id: str, password: str, peer: str
    ) -> Callable[[SmppConnection], bool] | None:
        """See ``Callers``."""
        found = None
        for form, allow in self._calling():
            # All are compared, so that the time tells nothing of what is right.
            named = compare_digest(form.outbind_system_id.encode(), system_id.encode())
            proved = compare_digest(form.outbind_password.encode(), password.encode())
            if named and proved and allow.allows(peer):
                found = form.name
        side = self._sides().get(found) if found is not None else None
        if side is None:
            return None

        def take(connection: SmppConnection) -> bool:
            _log.info("carrier {carrier}: outbind from {peer}", carrier=side.form.name, peer=peer)
            return any(link.adopt(connection) for link in side.links)

        return take

    def _calling(self) -> list[tuple[Carrier, AllowList]]:
        tables = self._tables()
        if tables.version != self._version:
            self._version = tables.version
            self._carriers = [
                (form, AllowList(form.outbind_allow))
                for form in tables.carriers.values()
                if form.outbind
            ]
        return self._carriers
