"""The simulated carrier on a real socket, and the command line that runs it."""

import pytest
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from smsgw.testing import smsc as simulate
from smsgw.testing.esme import Esme, LostError, connect
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier


class SimulatedCarrierTest(TestCase):
    """It listens on loopback on a free port."""

    async def bound(self, script: SmscScript) -> tuple[SimulatedCarrier, Esme]:
        """A carrier and an ESME bound to it; both end with the test."""
        carrier = SimulatedCarrier(script, reactor, keep=100)
        port = await carrier.start()
        self.addCleanup(carrier.stop)
        esme = await connect(reactor, port)
        self.addCleanup(esme.closed)
        self.addCleanup(esme.close)
        assert (await esme.bind()).status == 0
        return carrier, esme

    async def test_a_message_is_answered_and_receipted(self) -> None:
        """A bind, a submit_sm, its response and its receipt over a socket."""
        carrier, esme = await self.bound(SmscScript())
        response = await esme.submit(registered_delivery=1)
        await esme.delivered(1)
        assert esme.receipts[0].id == response.message_id.decode()  # type: ignore[attr-defined]
        assert carrier.smsc.counts.accepted == 1

    async def test_a_reset_is_one(self) -> None:
        """reset_after ends the connection with RST: the ESME is told that it was not clean."""
        _carrier, esme = await self.bound(SmscScript(reset_after=1))
        with pytest.raises(LostError):
            await esme.submit()
        assert "non-clean" in (esme.ended_why or "")

    async def test_stop_ends_connections_and_frees_the_port(self) -> None:
        """After ``stop`` the same port can be listened on again."""
        carrier, esme = await self.bound(SmscScript())
        port = carrier.port
        await carrier.stop()
        await esme.closed()
        again = SimulatedCarrier(SmscScript(), reactor)
        self.addCleanup(again.stop)
        assert await again.start(port) == port


def test_every_setting_is_an_option() -> None:
    """``smsgw simulate --help`` names each setting."""
    with pytest.raises(SystemExit) as ended:
        simulate.main(["--help"])
    assert ended.value.code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--silence", "2"], "silence: 2 is not allowed"),
        (["--states", "GONE=1"], "states: "),
        (["--refusals", "x=1"], "refusals: "),
        (["--delay-s", "soon"], 'delay_s: "soon" is not allowed'),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], said: str) -> None:
    """A value that does not fit is refused with what would be right, before anything listens."""
    with pytest.raises(SystemExit) as ended, CliRunner().isolation() as streams:
        simulate.main(arguments)
    assert ended.value.code == 1
    assert said in streams[1].getvalue().decode()
