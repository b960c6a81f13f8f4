"""Carriers: starts, changes and stops them, SMSCs and MMSCs, as the provisioning says, without
dropping a bind that need not change.

Comes from: ``service``, when the provisioning has changed.
Goes on to: ``carrier`` and ``multimedia``; ``settle`` for what waits for one that is no more.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from smsgw.flow.carrier import REWRITTEN, CarrierSide
from smsgw.flow.multimedia import MultimediaSide
from smsgw.provisioning import Carrier

_log = Logger()


@define
class Carriers:
    """All carriers of SMPP, kept as the provisioning says."""

    make: Callable[[Carrier], "Deferred[CarrierSide]"]
    # What waits for a carrier that is no more finds another way (``Settlement.forsake``).
    forsake: Callable[[str], object]
    sides: dict[str, CarrierSide] = field(factory=dict)
    _wanted: dict[str, Carrier] = field(factory=dict)
    _leaving: list[Deferred[None]] = field(factory=list)

    def provision(self, forms: dict[str, Carrier]) -> None:
        """Starts, stops and adjusts so that there is one side for each form; binds that need not
        change stay."""
        for name in list(self._wanted):
            new = forms.get(name)
            if new is None or not _same_links(self._wanted[name], new):
                del self._wanted[name]
                side = self.sides.pop(name, None)
                if side is not None:
                    self._leave(side, gone=new is None)
        for name, form in forms.items():
            old = self._wanted.get(name)
            self._wanted[name] = form
            if old is None:
                self.make(form).addCallbacks(self._made, self._not_made, errbackArgs=(name,))
            elif old != form and name in self.sides:
                self.sides[name].adjust(form)

    def _leave(self, side: CarrierSide, gone: bool) -> None:
        stopped = side.stop()
        self._leaving.append(stopped)

        def left(_: object) -> None:
            self._leaving.remove(stopped)
            if gone:
                self.forsake(side.form.name)

        stopped.addBoth(left)

    def _made(self, side: CarrierSide) -> None:
        name = side.form.name
        wanted = self._wanted.get(name)
        if wanted is None or name in self.sides or not _same_links(wanted, side.form):
            return  # changed again meanwhile
        self.sides[name] = side
        for link in side.links:
            link.start()
        if wanted != side.form:
            side.adjust(wanted)

    def _not_made(self, failure: Failure, name: str) -> None:
        self._wanted.pop(name, None)
        _log.failure("carrier {carrier}: not started", failure, carrier=name)

    def stop(self) -> Deferred[None]:
        """Unbinds all; fires when all links are closed, those of sides just replaced too."""
        stopping = [side.stop() for side in self.sides.values()] + list(self._leaving)
        return DeferredList(stopping, consumeErrors=True).addCallback(lambda _: None)


@define
class Mmscs:
    """All carriers of kind mm4, kept as the provisioning says."""

    make: Callable[[Carrier], MultimediaSide]
    # What waits for a carrier that is no more finds another way.
    forsake: Callable[[str], object]
    sides: dict[str, MultimediaSide] = field(factory=dict)
    _leaving: list[Deferred[None]] = field(factory=list)

    def provision(self, forms: dict[str, Carrier]) -> None:
        """Starts, stops and adjusts so that there is one side for each form of kind mm4."""
        wanted = {name: form for name, form in forms.items() if form.kind == "mm4"}
        for name in [one for one in self.sides if one not in wanted]:
            self._leave(self.sides.pop(name))
        for name, form in wanted.items():
            side = self.sides.get(name)
            if side is None:
                side = self.sides[name] = self.make(form)
                side.start()
            elif side.form != form:
                side.adjust(form)

    def _leave(self, side: MultimediaSide) -> None:
        stopped = side.stop()
        self._leaving.append(stopped)

        def left(_: object) -> None:
            self._leaving.remove(stopped)
            self.forsake(side.form.name)

        stopped.addBoth(left)

    def stop(self) -> Deferred[Any]:
        """Takes no message any more; fires when nothing is under way."""
        stopping = [side.stop() for side in self.sides.values()]
        return gatherResults([*stopping, *self._leaving], consumeErrors=True)


def _same_links(old: Carrier, new: Carrier) -> bool:
    """True if the links need not be made anew."""
    same = evolve(
        old,
        rate=new.rate,
        binds=new.binds,
        window=new.window,
        response_id=new.response_id,
        receipt_id=new.receipt_id,
        errors=new.errors,
        queue_limit=new.queue_limit,
        submit=new.submit,
        query=new.query,
        cancel=new.cancel,
        replace=new.replace,
        **{name: getattr(new, name) for name in REWRITTEN},
    )
    return same == new
