"""Starting, being told otherwise while running, and stopping: in order, or with one clear line."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.threads import deferToThread

from smsgw.smpp.constants import Status
from smsgw.testing.esme import submit_sm
from smsgw.testing.script import SmscScript
from tests.folders import temporary_folder
from tests.integration.books import BookedEsme, BookedSmsc, Books, until
from tests.integration.scene import (
    DEADLINE_S,
    HANDSET,
    NUMBER,
    SECRET,
    Scene,
    account,
    carrier,
    route,
    until_asked,
)
from tests.integration.stores import laws_of_the_store
from tests.running import GatewayProcess, environment, free_ports

WINDOW = 50
CARRIER_WINDOW = 20


def run(gateway: GatewayProcess, *command: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end in the gateway's folder."""
    return subprocess.run(
        command or gateway.command(),
        cwd=gateway.directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def refused(gateway: GatewayProcess) -> "subprocess.CompletedProcess[str]":
    """A start that must fail, and does so without a traceback."""
    ended = run(gateway)
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stdout + ended.stderr
    return ended


@pytest.fixture
def stopped(tmp_path: Path) -> GatewayProcess:
    """A gateway that was never started."""
    return GatewayProcess(tmp_path)


@pytest.fixture
def taken(stopped: GatewayProcess, request: pytest.FixtureRequest) -> Iterator[int]:
    """One of its ports, on which somebody else listens."""
    port = getattr(stopped, request.param)
    with socket.create_server(("127.0.0.1", port)):
        yield port


@pytest.mark.parametrize(
    ("taken", "key"),
    [("smpp_port", "smpp.listen"), ("http_port", "http.listen"), ("admin_port", "http.admin")],
    indirect=["taken"],
)
def test_a_port_in_use_is_named(stopped: GatewayProcess, taken: int, key: str) -> None:
    """One line that names the key and the port, in the log where there is one already; code 1."""
    ended = refused(stopped)
    (line,) = (one for one in (ended.stdout + ended.stderr).splitlines() if "cannot" in one)
    assert f"{key}: cannot listen on tcp:{taken}:" in line
    assert "in use" in line


def test_a_bad_configuration_is_refused(stopped: GatewayProcess) -> None:
    """A line for each fault, with file, line and key; nothing is started, not even the store."""
    text = stopped.config.read_text().replace('name = "test"', 'nmae = "test"')
    stopped.config.write_text(text + '[log]\nlevel = "loud"\n')
    lines = refused(stopped).stderr.splitlines()
    last = text.count("\n") + 2
    assert [line.partition(": ")[0] for line in lines] == [
        f"{stopped.config}:2",
        f"{stopped.config}:{last}",
    ]
    assert "node.nmae" in lines[0]
    assert "name" in lines[0]
    assert "log.level" in lines[1]
    assert not (stopped.directory / "smsgw.db").exists()


def test_a_store_of_a_newer_version_is_refused(stopped: GatewayProcess) -> None:
    """One line that says so; the store is left as it is."""
    stopped.start()
    stopped.stop()
    database = stopped.directory / "smsgw.db"
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = database.read_bytes()
    (line,) = refused(stopped).stderr.splitlines()
    assert "newer smsgw" in line
    assert "9999" in line
    assert database.read_bytes() == before


def test_a_second_gateway_on_the_same_store_is_refused(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    """One line that names the store; the first one goes on."""
    second = GatewayProcess(tmp_path)
    text = second.config.read_text()
    second.config.write_text(
        text.replace(f"sqlite:///{second.directory}/", f"sqlite:///{gateway.directory}/")
    )
    (line,) = refused(second).stderr.splitlines()
    assert "in use by another smsgw" in line
    assert gateway.admin("/health")[0] == 200


def test_bad_provisioning_is_refused(gateway: GatewayProcess) -> None:
    """A line for each fault, with file, line and key; nothing of the file is applied."""
    gateway.apply(account(), "--prune")
    before = gateway.cli("accounts", "--json"), gateway.cli("carriers", "--json")
    file = gateway.directory / "bad.toml"
    file.write_text(
        account("other").replace(NUMBER, "44-77") + carrier("north", 2776, windw=5) + route("south")
    )
    smsgw = [sys.executable, "-m", "smsgw.cli", "-c", str(gateway.config)]
    ended = run(gateway, *smsgw, "apply", "--yes", str(file))
    assert ended.returncode == 1, ended
    lines = ended.stderr.splitlines()
    for line, word in zip(lines, ("address", "windw", "south"), strict=True):
        assert line.startswith(f"{file}:"), line
        assert word in line
    assert (gateway.cli("accounts", "--json"), gateway.cli("carriers", "--json")) == before


class AppliedWhileBoundTest(Scene):
    """``apply`` in a running gateway is in effect when it answers, and no bind is lost."""

    @pytest.fixture(autouse=True)
    def _with_gateway(self, gateway: GatewayProcess) -> None:
        self.smpp_port, self.http_port = gateway.smpp_port, gateway.http_port
        self.admin_port = gateway.admin_port

    async def test_the_rate_of_an_account(self) -> None:
        """The next burst is limited by the new rate."""
        north = await self.smsc()
        rest = carrier("north", north.port), route("north")
        await self.apply(account(), *rest)
        esme = await self.esme()
        burst = [await answer for answer in esme.requests([submit_sm() for _ in range(10)])]
        assert {answer.status for answer in burst} == {Status.ESME_ROK}
        changes = await self.apply(account(rate=3), *rest)
        assert len(changes) == 1, changes
        burst = [await answer for answer in esme.requests([submit_sm() for _ in range(10)])]
        statuses = [answer.status for answer in burst]
        assert statuses[:3] == [Status.ESME_ROK] * 3
        assert Status.ESME_RTHROTTLED in statuses
        assert esme.open

    async def test_a_carrier_and_its_route(self) -> None:
        """What had no route goes by the new one; session and link of before stay as they are."""
        north, south = await self.smsc(), await self.smsc()
        before = account(), carrier("north", north.port), route("north", prefix="44")
        await self.apply(*before)
        await north.smsc.bound()
        esme = await self.esme()
        there = "33700900123"
        answer = await esme.submit(destination=there)
        assert answer.status == 0x432  # no route
        changes = await self.apply(
            *before, carrier("south", south.port), route("south", name="france", prefix="33")
        )
        assert len(changes) == 2, changes
        answer = await esme.submit(destination=there, registered_delivery=1)
        assert answer.status == Status.ESME_ROK
        await esme.delivered(1)
        assert [pdu.destination_addr.decode() for pdu in south.smsc.submits] == [there]
        assert north.smsc.counts.connections == 1
        assert esme.open

    async def test_rate_and_window_of_a_carrier(self) -> None:
        """They change without a new bind."""
        north = await self.smsc()
        await self.apply(account(), carrier("north", north.port), route("north"))
        await north.smsc.bound()
        changes = await self.apply(
            account(), carrier("north", north.port, rate=50, window=7), route("north")
        )
        assert "window: 10 -> 7" in "\n".join(changes)
        (shown,) = await self.admin("/admin/carriers")
        assert (shown["window"], shown["state"]) == (7, "up")
        assert north.smsc.counts.connections == 1

    async def test_a_carrier_that_is_taken_away(self) -> None:
        """It is unbound in order; messages for it have no route."""
        north = await self.smsc()
        await self.apply(account(), carrier("north", north.port), route("north"))
        await north.smsc.bound()
        esme = await self.esme()
        await self.apply(account())
        assert (await esme.submit()).status == 0x432
        await north.smsc.when(lambda: not north.smsc.sessions)
        assert esme.open

    async def test_the_same_again_changes_nothing(self) -> None:
        """``apply`` is idempotent."""
        north = await self.smsc()
        everything = account(), carrier("north", north.port), route("north")
        await self.apply(*everything)
        assert await self.apply(*everything) == []

    async def test_a_suspended_account(self) -> None:
        """Its session is unbound, and it cannot bind again; other accounts' stay."""
        north = await self.smsc()
        rest = carrier("north", north.port), route("north")
        other = account("other").replace(NUMBER, "447700900001")
        await self.apply(account(), other, *rest)
        esme, stays = await self.esme(), await self.esme("other")
        await self.apply(account(suspended=True), other, *rest)
        await esme.closed()
        assert (await stays.submit()).status == Status.ESME_ROK

    async def test_a_login_that_is_changed(self) -> None:
        """Who came in by the old password does not stay in."""
        north = await self.smsc()
        rest = carrier("north", north.port), route("north")
        await self.apply(account(), *rest)
        esme = await self.esme()
        await self.apply(account().replace(SECRET, "changed1"), *rest)
        await esme.closed()

    async def test_what_waits_for_a_carrier_that_is_taken_away(self) -> None:
        """It goes to the next carrier of its route."""
        south = await self.smsc()
        down = carrier("north", free_ports(1)[0])
        await self.apply(account(), down, carrier("south", south.port), route("north", "south"))
        esme = await self.esme()
        assert (await esme.submit(registered_delivery=1)).status == Status.ESME_ROK
        await self.apply(account(), carrier("south", south.port), route("south"))
        await esme.delivered(1)
        assert south.smsc.counts.submits == 1


class DrainTest(Scene):
    """SIGTERM: answers that are due go out, everything is unbound, and the exit code is 0."""

    async def test_a_stop_under_load_loses_nothing_and_repeats_nothing(self) -> None:
        """What was acknowledged is sent or in the store; after the next start each arrives once."""
        books = Books()
        smsc = BookedSmsc(books, SmscScript(answer_delay_s=0.01), reactor)
        port = reactor.listenTCP(0, smsc, interface="127.0.0.1")
        self.addCleanup(until, reactor, lambda: not smsc.sessions, "the end of the links")
        self.addCleanup(port.stopListening)
        self.addCleanup(smsc.stop)
        gateway = GatewayProcess(Path(temporary_folder(self)))
        self.addCleanup(gateway.kill)
        await deferToThread(gateway.start)
        self.smpp_port, self.admin_port = gateway.smpp_port, gateway.admin_port
        north = carrier("north", port.getHost().port, window=CARRIER_WINDOW)
        await self.apply(account(window=WINDOW), north, route("north"))
        await smsc.bound()
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.smpp_port)

        for _ in range(3):
            esme = BookedEsme(books, WINDOW)
            await connectProtocol(endpoint, esme)
            assert (await esme.bind(system_id="acme", password=SECRET)).status == 0
            esme.loading = True
            esme.fill()
            goal = len(books.acknowledged) + 300
            await until(reactor, lambda n=goal: len(books.acknowledged) >= n, "acknowledgements")
            assert gateway.pid is not None
            os.kill(gateway.pid, signal.SIGTERM)
            await esme.closed()
            # It was asked to unbind, not cut off.
            assert [type(pdu).__name__ for pdu in esme.other] == ["Unbind"]
            assert await deferToThread(gateway.stop) == 0
            await until(reactor, lambda: not smsc.sessions, "the end of the links")
            assert laws_of_the_store(gateway.directory / "smsgw.db") == []
            books.run += 1
            await deferToThread(gateway.start)
            await smsc.bound()

        assert books.refused.keys() <= {Status.ESME_RSYSERR}
        esme = BookedEsme(books, WINDOW)
        await connectProtocol(endpoint, esme)
        self.addCleanup(esme.closed)
        self.addCleanup(esme.close)
        assert (await esme.bind(system_id="acme", password=SECRET)).status == 0

        async def at_rest() -> bool:
            all_told = books.acknowledged.keys() <= books.receipts.keys()
            return all_told and not smsc.waiting and await self.waiting() == {}

        await until_asked(at_rest, "empty queues and all receipts")
        broken = [*books.missing(), *books.sent_twice(0), *books.told_twice(0)]
        assert not broken, broken[:20]

    async def test_a_stop_with_nothing_to_do(self) -> None:
        """It ends with 0 too, on a store that is empty."""
        gateway = GatewayProcess(Path(temporary_folder(self)))
        self.addCleanup(gateway.kill)
        await deferToThread(gateway.start)
        assert await deferToThread(gateway.stop) == 0

    async def test_a_stop_refuses_nobody_in_the_middle(self) -> None:
        """A request whose answer is under way is answered before its connection ends."""
        north = await self.smsc(SmscScript(answer_delay_s=0.2))
        gateway = GatewayProcess(Path(temporary_folder(self)))
        self.addCleanup(gateway.kill)
        await deferToThread(gateway.start)
        self.smpp_port, self.admin_port = gateway.smpp_port, gateway.admin_port
        await self.apply(account(), carrier("north", north.port), route("north"))
        await north.smsc.bound()
        esme = await self.esme()
        answers = esme.requests([submit_sm(NUMBER, HANDSET) for _ in range(10)])
        await north.smsc.arrived(1)
        os.kill(gateway.pid, signal.SIGTERM)
        assert {(await answer).status for answer in answers} == {Status.ESME_ROK}
        assert await deferToThread(gateway.stop) == 0
        # The carrier's answers were waited for: nothing is left that would be sent again.
        assert north.smsc.counts.submits == 10
        await deferToThread(gateway.start)
        await north.smsc.bound()
        assert await self.waiting() == {}
