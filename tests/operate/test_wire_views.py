"""A trace as operators get it: lines of JSON, gathered, bounded in time, kept in the audit."""

from typing import Any

import msgspec
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from smsgw.operate.operator import Unavailable, Unknown
from smsgw.operate.wire_views import WireTrace, WireView
from smsgw.smpp import trace
from smsgw.smpp.codec import encode
from smsgw.smpp.pdu import EnquireLink, SubmitSm
from smsgw.smpp.trace import Frame, Traces
from tests.operate.gateways import a_gateway, provision, result

ACME = ("account", "acme")


class WireTraceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.traces = Traces(lambda _: [], lambda _: "", self.clock.seconds)
        self.trace = WireTrace(self.traces, ACME, 60, False, self.clock)
        self.woken = 0
        assert self.pull() == []

    def wake(self) -> None:
        self.woken += 1

    def pull(self) -> list[WireView] | None:
        """What there is to write now; None at the end."""
        octets = self.trace.pull(self.wake)
        if octets is None:
            return None
        lines = octets.splitlines()
        return [msgspec.json.decode(line, type=WireView) for line in lines if line]

    def happens(self, *octets: bytes, event: str = "") -> None:
        for one in octets:
            self.traces.watches[0].add(Frame(1.5, 1, "192.0.2.7", True, False, one))
        if event:
            self.traces.watches[0].add(Frame(2.0, 1, "192.0.2.7", True, False, event=event))

    def test_what_happens_is_gathered_for_a_moment(self) -> None:
        """Not a write for each PDU."""
        self.happens(encode(EnquireLink(sequence=7)), encode(SubmitSm(short_message=b"secret")))
        self.happens(event="closed: unbound")
        assert self.woken == 0
        self.clock.advance(0.05)
        assert self.woken == 1
        first, second, third = self.pull() or []
        assert (first.at, first.pdu, first.sequence) == (1500, "enquire_link", 7)
        assert second.fields["short_message"] == "******"
        assert (third.event, third.octets) == ("closed: unbound", "")

    def test_a_busy_trace_takes_turns_with_the_sessions(self) -> None:
        """A bounded number of PDUs at a time."""
        self.happens(*[encode(EnquireLink(sequence=n + 1)) for n in range(450)])
        self.clock.advance(0.05)
        sizes = []
        for _ in range(3):
            sizes.append(len(self.pull() or []))
            assert self.pull() == []
            self.clock.advance(0)
        assert sizes == [200, 200, 50]

    def test_what_was_lost_is_told(self) -> None:
        """After what was there before it."""
        for _ in range(trace.FRAMES + 3):
            self.happens(encode(EnquireLink(sequence=1)))
        self.clock.advance(0.05)
        assert (self.pull() or [])[-1].lost == 3

    def test_in_quiet_times_it_says_that_it_goes_on(self) -> None:
        """By an empty line each 15 s."""
        self.clock.advance(15)
        assert self.woken == 1
        assert self.trace.pull(self.wake) == b"\n"
        assert self.trace.pull(self.wake) == b""

    def test_it_ends_by_itself(self) -> None:
        """Nothing is copied any more, and no call is left."""
        self.clock.advance(60)
        assert self.pull() is None
        assert self.traces.watches == []
        assert not self.clock.getDelayedCalls()

    def test_it_may_be_stopped(self) -> None:
        """When nobody looks any more; twice does no harm."""
        self.happens(encode(EnquireLink(sequence=1)))
        self.trace.stop()
        self.trace.stop()
        assert self.traces.watches == []
        assert not self.clock.getDelayedCalls()


class LiveTraceTests(TestCase):
    def setUp(self) -> None:
        self.gateway = a_gateway(self)
        provision(self, self.gateway)

    def begun(self, name: str, kind: str = "") -> Any:
        return result(self, self.gateway.operator.by("eve").trace(name, kind, 60, False))

    def test_the_name_tells_what_it_is(self) -> None:
        """An account or a carrier; one that is both needs its kind."""
        self.begun("acme").stop()
        self.begun("north").stop()
        provision(self, self.gateway, '[[account]]\nname = "north"\n')
        for name, kind, words in (
            ("north", "", "say which kind"),
            ("acme", "carrier", "no carrier acme"),
            ("nobody", "", "no account or carrier nobody"),
        ):
            failed = self.failureResultOf(_deferred(self.gateway, name, kind), Unknown)
            assert words in failed.getErrorMessage()
        self.begun("north", "carrier").stop()

    def test_too_many_at_a_time_are_told_to_wait(self) -> None:
        """And each that began is in the audit, with who it was."""
        traces = [self.begun("acme") for _ in range(trace.MOST)]
        self.failureResultOf(_deferred(self.gateway, "acme", ""), Unavailable)
        for one in traces:
            one.stop()
        rows = result(self, self.gateway.operator.audit(0, "trace", "", ""))
        assert {(row.who, row.name) for row in rows} == {("eve", "acme")}


def _deferred(gateway: Any, name: str, kind: str) -> Any:
    return Deferred.fromCoroutine(gateway.operator.by("eve").trace(name, kind, 60, False))
