"""kill -9 under load: nothing acknowledged is lost, little is sent twice (I1, I2, I3)."""

import json
import os
import signal
from pathlib import Path
from random import Random, SystemRandom

import pytest
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import LoopingCall, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.identities import from_guid
from smsgw.smpp.constants import Status
from smsgw.store.records import FINAL_STATES
from smsgw.testing.script import SmscScript
from tests.folders import temporary_folder
from tests.integration.books import NUMBER, POLL_S, BookedEsme, BookedSmsc, Books, until
from tests.integration.stores import entries, laws_of_the_store, states
from tests.running import GatewayProcess

SESSIONS = 2
WINDOW = 50  # of a session, both ways
LINKS = 2  # to the first carrier; the second has one
CARRIER_WINDOW = 20  # of a link
RECEIPT_WINDOW = 40  # of a link, the other way
# The first carrier refuses some for good, which go to the second, and some for now.
REFUSALS = {0x45: 0.05, 0x64: 0.02}
MOST = 900  # acknowledged messages of one run, at most
LAST_S = 60.0  # for all that is left after the last start

PROVISIONING = f"""\
[[account]]
name = "acme"
[[account.credential]]
kind = "smpp"
username = "acme"
password = "secret12"
allow = ["127.0.0.0/8"]
binds = {SESSIONS * 2}
window = {WINDOW}
[[account.number]]
address = "{NUMBER}"

[[carrier]]
name = "north"
host = "127.0.0.1"
port = {{north}}
system_id = "smsgw"
password = "secret"
binds = {LINKS}
window = {CARRIER_WINDOW}

[[carrier]]
name = "south"
host = "127.0.0.1"
port = {{south}}
system_id = "smsgw"
password = "secret"
window = {CARRIER_WINDOW}

[[route]]
name = "default"
prefixes = [""]
carriers = ["north", "south"]
price = "0.01"
"""


@pytest.mark.timeout(240)
class KillCase(TestCase):
    """A gateway process, a client with two sessions, a carrier with two links, one store."""

    timeout = 230
    last_s = LAST_S
    mo_refusable: frozenset[int] = frozenset()  # statuses by which carriers may be asked again

    @pytest.fixture(autouse=True)
    def _told_at_the_start(self, capfd: pytest.CaptureFixture[str]) -> None:
        """The seed is shown before anything happens, and again with a failure."""
        given = os.environ.get("SMSGW_KILL_SEED")
        self.seed = int(given) if given else SystemRandom().randrange(1 << 32)
        with capfd.disabled():
            print(f"\n{self._testMethodName}: SMSGW_KILL_SEED={self.seed} ", end="", flush=True)
        print(f"SMSGW_KILL_SEED={self.seed}")

    async def begin(self) -> None:
        """Starts all; the gateway is provisioned and the carrier's links are up."""
        self.random = Random(self.seed)
        self.books = Books()
        self.smsc = self.carrier(REFUSALS)
        self.south = self.carrier({})
        self.carriers = [self.smsc, self.south]
        north, south = (
            reactor.listenTCP(0, carrier, interface="127.0.0.1") for carrier in self.carriers
        )
        self.addCleanup(self.all_closed)
        for port, carrier in ((north, self.smsc), (south, self.south)):
            self.addCleanup(port.stopListening)
            self.addCleanup(carrier.stop)
        self.esmes: list[BookedEsme] = []
        await self.listen()
        self.gateway = self.process(Path(temporary_folder(self)))
        self.addCleanup(self.gateway.kill)
        await deferToThread(self.gateway.start)
        provisioning = self.provisioning(north.getHost().port, south.getHost().port)
        await deferToThread(self.gateway.apply, provisioning)
        await self.smsc.bound(LINKS)
        await self.south.bound()
        self.mo = LoopingCall(self.bring_mo)
        self.mo.start(0.02)
        self.addCleanup(lambda: self.mo.running and self.mo.stop())
        await self.bind()

    async def listen(self) -> None:
        """What the client listens on, besides its sessions."""

    def provisioning(self, north: int, south: int) -> str:
        """What is provisioned, with carriers on these ports."""
        return PROVISIONING.format(north=north, south=south)

    def process(self, folder: Path) -> GatewayProcess:
        """The gateway."""
        return GatewayProcess(folder)

    def store(self) -> "Path | str":
        """Where the gateway's store is, for ``stores``."""
        return self.gateway.directory / "smsgw.db"

    def carrier(self, refusals: dict[int, float]) -> BookedSmsc:
        """A carrier with a fate for each message, and some of its receipts too early."""
        script = SmscScript(
            refusals=refusals,
            states={"DELIVRD": 8, "UNDELIV": 1, "EXPIRED": 1},
            early_receipts=0.1,
            receipt_window=RECEIPT_WINDOW,
            retry_s=0.5,
            seed=self.seed,
        )
        return BookedSmsc(self.books, script, reactor)

    async def all_closed(self) -> None:
        """Every connection here has ended."""
        for carrier in self.carriers:
            await until(reactor, lambda c=carrier: not c.sessions, "the end of the links")
        for esme in self.esmes:
            await esme.closed()

    def bring_mo(self) -> None:
        """A text or two from handsets, while the carrier has somebody to bring them to."""
        if any(session.receives for session in self.smsc.sessions):
            for _ in range(self.random.randint(1, 3)):
                self.smsc.deliver(self.books.next_mo())

    async def bind(self, loading: bool = True) -> None:
        """Binds the sessions of the client, and lets them load the gateway."""
        self.esmes = [BookedEsme(self.books, WINDOW) for _ in range(SESSIONS)]
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.gateway.smpp_port)
        for esme in self.esmes:
            await connectProtocol(endpoint, esme)
            answer = await esme.bind(system_id="acme", password="secret12")
            assert answer.status == 0, answer
            esme.loading = loading
            if loading:
                esme.fill()

    async def load(self) -> None:
        """Loads until a random number of messages more are acknowledged, and a moment longer."""
        # A carrier that is slower than its customers makes the queue long.
        self.smsc.script.answer_delay_s = self.random.choice((0.0, 0.005, 0.03))
        goal = len(self.books.acknowledged) + self.random.randint(1, MOST)
        await until(reactor, lambda: len(self.books.acknowledged) >= goal, "acknowledgements")
        await deferLater(reactor, self.random.uniform(0, 0.02))

    async def dead(self) -> None:
        """The gateway was killed: what it wrote has been read; its store is as it must be."""
        await self.all_closed()
        broken = await deferToThread(laws_of_the_store, self.store())
        assert not broken, self.told(broken)
        self.books.run += 1

    async def start_again(self) -> None:
        """The next run begins, with the client bound."""
        await deferToThread(self.gateway.start)
        await self.bind()

    async def queues(self) -> list[dict[str, object]]:
        """What ``GET /admin/queues`` says."""
        status, body = await deferToThread(self.gateway.admin, "/admin/queues")
        assert status == 200, body
        return json.loads(body)

    def at_rest(self) -> bool:
        """Nothing is under way that this side knows of."""
        books = self.books
        return (
            not any(carrier.waiting for carrier in self.carriers)
            and not any(s.outstanding for carrier in self.carriers for s in carrier.sessions)
            and books.acknowledged.keys() <= books.receipts.keys()
            and books.mo_taken <= books.mo_received.keys()
        )

    async def settle(self) -> None:
        """No more load: all that waits goes out, and everything that was said must hold."""
        books = self.books
        if self.mo.running:
            self.mo.stop()
        self.smsc.script.answer_delay_s = 0.0
        for esme in self.esmes:
            esme.loading = False
        deadline = reactor.seconds() + self.last_s
        while not (self.at_rest() and await self.queues() == []):
            if reactor.seconds() > deadline:
                queues = await self.queues()
                self.fail(self.told([f"queues: {queues}", *books.missing()]))
            await deferLater(reactor, POLL_S)

        code = await deferToThread(self.gateway.stop)
        assert code == 0, code
        await self.all_closed()
        links, sessions = (LINKS + 1) * CARRIER_WINDOW, SESSIONS * WINDOW
        broken = [
            *books.missing(),
            *books.sent_twice(links),
            *books.told_twice(sessions),
            *books.mo_twice(LINKS * RECEIPT_WINDOW + sessions),
            *[f"garbled at the carrier: {pdu}" for pdu in books.garbled],
            *[
                f"an MO was refused with 0x{status:02x}"
                for status in books.mo_refused.keys() - self.mo_refusable
            ],
            *laws_of_the_store(self.store()),
            *self.left_over(),
        ]
        assert not broken, self.told(broken)

    def left_over(self) -> list[str]:
        """What is not at its end in the store, after all is."""
        database = self.store()
        left, ends = entries(database), states(database)
        lines = [f"{left} entries are left in queues"] if left else []
        lines += [
            f"message {id}: {state}" for id, state in ends.items() if state not in FINAL_STATES
        ]
        for handset, name in self.books.acknowledged.items():
            state = ends.get(from_guid(name)[0])
            if state != self.books.receipt_of[handset].state:
                lines.append(f"{name} is {state}, its receipt {self.books.receipt_of[handset]}")
        return lines

    def told(self, lines: list[str]) -> str:
        """A failure: what is wrong, how to have it again, and what the gateway wrote."""
        books = self.books
        counts = (
            f"run {books.run}, {len(books.submitted)} submitted, "
            f"{len(books.acknowledged)} acknowledged, {len(books.arrivals)} arrived, "
            f"{len(books.receipts)} receipted, MO {len(books.mo_taken)} taken, "
            f"{len(books.mo_received)} received"
        )
        shown = lines[:20] + ([f"... {len(lines)} in all"] if len(lines) > 20 else [])
        log = self.gateway.output[-3000:]
        return "\n".join([f"SMSGW_KILL_SEED={self.seed}", counts, *shown, "--- gateway:", log])


@pytest.mark.timeout(240)
class KillTest(KillCase):
    """The gateway is killed."""

    async def test_killed_under_load(self) -> None:
        """Five runs end by kill -9 while messages, receipts and MO go both ways."""
        await self.begin()
        for _ in range(5):
            await self.load()
            self.gateway.kill()
            await self.dead()
            await self.start_again()
        assert not self.books.refused, self.told([f"refused: {self.books.refused}"])
        await self.settle()

    async def test_killed_while_it_drains(self) -> None:
        """Three runs end by SIGTERM under load and, before that is done, kill -9."""
        await self.begin()
        for _ in range(3):
            await self.load()
            assert self.gateway.pid is not None
            os.kill(self.gateway.pid, signal.SIGTERM)
            await deferLater(reactor, self.random.uniform(0, 0.15))
            self.gateway.kill()
            await self.dead()
            await self.start_again()
        assert self.books.refused.keys() <= {Status.ESME_RSYSERR}, self.told([])
        await self.settle()

    async def test_killed_while_it_starts(self) -> None:
        """Four starts on a store with work to do end by kill -9, before or soon after."""
        await self.begin()
        await self.load()
        for _ in range(4):
            self.gateway.kill()
            await self.dead()
            starting = deferToThread(self.gateway.start)
            starting.addErrback(lambda failure: failure.trap(AssertionError))
            await until(reactor, lambda: self.gateway.pid is not None, "a process")
            links = self.random.randint(0, LINKS)
            if links:
                # Late: links are up, and what was left is on its way to the carrier.
                await self.smsc.bound(links)
                await deferLater(reactor, self.random.uniform(0, 0.05))
            else:
                await deferLater(reactor, self.random.uniform(0, 1.2))
            if self.gateway.pid is not None:
                os.kill(self.gateway.pid, signal.SIGKILL)
            await starting
        self.gateway.kill()
        await self.dead()
        await self.start_again()
        await self.load()
        assert not self.books.refused, self.told([f"refused: {self.books.refused}"])
        await self.settle()

    async def test_killed_while_it_hands_over(self) -> None:
        """Three runs end by kill -9 while only MO that waited for the client go out."""
        await self.begin()
        self.mo.stop()
        books = self.books
        for _ in range(3):
            self.gateway.kill()
            await self.dead()
            await deferToThread(self.gateway.start)
            await self.smsc.bound(LINKS)
            self.smsc.deliver([pdu for _ in range(400) for pdu in books.next_mo()])
            await until(reactor, lambda: len(books.mo_taken) == books.mo_sent, "answers to MO")
            goal = len(books.mo_received) + self.random.randint(1, 400)
            await self.bind(loading=False)
            await until(reactor, lambda n=goal: len(books.mo_received) >= n, "MO")
            await deferLater(reactor, self.random.uniform(0, 0.005))
        self.gateway.kill()
        await self.dead()
        await self.start_again()
        await self.load()
        await self.settle()
