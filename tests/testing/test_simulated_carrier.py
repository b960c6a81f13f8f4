"""The simulated carrier on a real socket, and the command line that runs it."""

from functools import partial
from typing import Any

import pytest
from click.testing import CliRunner
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.trial.unittest import TestCase

from smsgw.testing import smsc as simulate
from smsgw.testing.esme import Esme, LostError, connect
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier, Smsc
from tests.folders import temporary_folder


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


class ListenTest(TestCase):
    """``smsgw simulate`` listens on every kind of endpoint, or says in one line why not."""

    def setUp(self) -> None:
        self.smsc = Smsc(SmscScript(), reactor)
        self.folder = temporary_folder(self)

    async def test_it_tells_where(self) -> None:
        """Address and port, or the socket's path."""
        self.ports: list[Any] = []

        def kept(reactor: Any, endpoint: str) -> Any:
            server = serverFromString(reactor, endpoint)
            self.patch(server, "listen", partial(self.listened, server.listen))
            return server

        self.patch(simulate, "serverFromString", kept)
        where = await simulate.listen(self.smsc, "tcp:0:interface=127.0.0.1", reactor)
        assert where == f"127.0.0.1 port {self.ports[0].getHost().port}"
        path = f"unix:{self.folder}/smsc.sock"
        assert await simulate.listen(self.smsc, path, reactor) == path

    async def listened(self, listen: Any, factory: Any) -> Any:
        """The port, which is closed after the test."""
        port = await listen(factory)
        self.ports.append(port)
        self.addCleanup(port.stopListening)
        return port

    async def test_it_tells_why_not(self) -> None:
        """Whatever the endpoint raises."""
        for endpoint, why in (
            ("unix:/no/such/folder/x", "No such file or directory"),
            ("ssl:0:privateKey=/no/such/file", "No such file or directory"),
            ("tcp:0:interface=192.0.2.1", "Cannot assign requested address"),
            ("tcp:0:wrong=1", "wrong"),
        ):
            with pytest.raises(SystemExit) as ended:
                await simulate.listen(self.smsc, endpoint, reactor)
            said = str(ended.value.code)
            assert said.startswith(f"smsgw simulate: cannot listen on {endpoint}: ")
            assert why in said
            assert said.endswith("; choose another --listen")
            assert said.isprintable()


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
        (["--listen", "tcp"], '--listen: "tcp" is no endpoint'),
        (["--listen", "tcp:99999"], '--listen: "tcp:99999" has no port'),
        (["--listen", "haproxy:tcp:2776"], "the PROXY protocol is a matter of"),
        (["--refusals=-1=1"], 'refusals: "-1" is no status'),
        (["--refusals", "0=1"], 'refusals: "0" is no status'),
        (["--refusals", "0x1ffffffff=1"], 'refusals: "0x1ffffffff" is no status'),
        (["--refusals", "0x14=nan"], 'refusals: "0x14" is no status'),
        (["--refusals", "0x14=0.6,0x45=0.6"], "refusals: these shares do not add up"),
        (["--states", "DELIVRD=nan"], "states: "),
        (["--states", "DELIVRD=inf"], "states: "),
        (["--states", "DELIVRD=1e300,UNDELIV=1e300"], "states: "),
    ],
)
def test_a_wrong_option_is_one_line(arguments: list[str], said: str) -> None:
    """A value that does not fit is refused with what would be right, before anything listens."""
    with pytest.raises(SystemExit) as ended, CliRunner().isolation() as streams:
        simulate.main(arguments)
    assert ended.value.code == 1
    assert said in streams[1].getvalue().decode()
