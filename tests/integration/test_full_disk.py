"""A store that cannot be written: nothing is acknowledged that is not stored; it mends itself."""

import os
import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread

from smsgw.smpp.constants import Status
from smsgw.testing.script import SmscScript
from tests.folders import temporary_folder
from tests.integration.books import NUMBER, BookedEsme, BookedSmsc, Books, until
from tests.integration.scene import (
    DEADLINE_S,
    HANDSET,
    POLL_S,
    SECRET,
    Scene,
    account,
    carrier,
    route,
)
from tests.integration.stores import entries, laws_of_the_store
from tests.running import GatewayProcess

DISK = "size=8m"
WINDOW = 20
CARRIER_WINDOW = 10
BEFORE = 150  # messages acknowledged before the store fails


class UnwritableStoreTest(Scene):
    """A gateway with a store of its own, loaded before, while and after it cannot be written."""

    async def begin(self, store: Path) -> None:
        """Starts all; the store is in the folder ``store``."""
        self.books = Books()
        # Slow enough that submits are under way whenever the store fails.
        script = SmscScript(answer_delay_s=0.05, delay_s=0.05, retry_s=0.2)
        self.smsc_factory = BookedSmsc(self.books, script, reactor)
        port = reactor.listenTCP(0, self.smsc_factory, interface="127.0.0.1")
        self.addCleanup(
            until, reactor, lambda: not self.smsc_factory.sessions, "the end of the links"
        )
        self.addCleanup(port.stopListening)
        self.addCleanup(self.smsc_factory.stop)

        self.gateway = GatewayProcess(Path(temporary_folder(self)))
        self.database = store / "smsgw.db"
        config = self.gateway.config
        elsewhere = f"sqlite:///{self.gateway.directory}/smsgw.db"
        config.write_text(config.read_text().replace(elsewhere, f"sqlite:///{self.database}"))
        self.addCleanup(self.gateway.kill)
        await deferToThread(self.gateway.start)
        self.smpp_port, self.http_port = self.gateway.smpp_port, self.gateway.http_port
        self.admin_port = self.gateway.admin_port
        north = carrier("north", port.getHost().port, window=CARRIER_WINDOW)
        await self.apply(account(window=WINDOW), north, route("north"))
        await self.smsc_factory.bound()

        await self.bind()

    async def bind(self) -> None:
        """Binds the client."""
        self.loader = BookedEsme(self.books, WINDOW)
        endpoint = HostnameEndpoint(reactor, "127.0.0.1", self.smpp_port)
        await connectProtocol(endpoint, self.loader)
        self.addCleanup(self.loader.closed)
        self.addCleanup(self.loader.close)
        answer = await self.loader.bind(system_id="acme", password=SECRET)
        assert answer.status == 0, answer

    async def one(self) -> int:
        """The status that answers one more message."""
        pdu = self.books.next_message()
        answer = await self.loader.request(pdu)
        self.books.answered(pdu.destination_addr.decode(), answer)
        return answer.status

    async def suffer(self, spoil: Callable[[], object]) -> None:
        """Load, then bad: submits are refused at every edge, what was under way is not given up."""
        books = self.books
        self.loader.loading = True
        self.loader.fill()
        await until(reactor, lambda: len(books.acknowledged) >= BEFORE, "acknowledgements")
        self.loader.loading = False
        await until(reactor, lambda: not self.loader.unanswered, "all answers")
        assert not books.refused

        await deferToThread(spoil)
        while await self.one() == 0:
            assert len(books.acknowledged) < 10 * BEFORE, "the store does not fail"
        assert set(books.refused) == {Status.ESME_RSYSERR}
        hello = {"source": NUMBER, "destination": HANDSET, "messageText": "hello"}
        status, body = await self.rest(hello)
        assert (status, body["code"]) == (503, 1051), body
        assert not (await self.admin("/health"))["ok"]
        assert await self.one() == Status.ESME_RSYSERR
        # A text from a handset is not taken either: the carrier keeps it and tries again.
        self.smsc_factory.deliver(books.next_mo())
        await until(reactor, lambda: bool(books.mo_refused), "the answer to an MO")
        assert set(books.mo_refused) == {Status.ESME_RX_T_APPN}
        self.sent_before = len(books.arrivals)
        assert self.sent_before < len(books.acknowledged), "nothing is left to be sent"

    async def recover(self, crashes: int = 0) -> None:
        """Good again: all that was acknowledged goes its way, and nothing is done twice."""
        books, smsc = self.books, self.smsc_factory
        deadline = reactor.seconds() + DEADLINE_S
        while await self.one() != 0:
            assert reactor.seconds() < deadline, "the gateway does not recover"
            await deferLater(reactor, POLL_S)
        await until(
            reactor,
            lambda: (
                not smsc.waiting
                and not any(session.outstanding for session in smsc.sessions)
                and books.acknowledged.keys() <= books.receipts.keys()
                and len(books.mo_received) == books.mo_sent
            ),
            "the receipts and the MO",
        )
        assert (await self.admin("/health"))["ok"]
        broken = [
            *books.missing(),
            *books.sent_twice(crashes * CARRIER_WINDOW),
            *books.told_twice(crashes * WINDOW),
        ]
        assert not broken, broken[:20]
        assert len(books.arrivals) > self.sent_before
        assert await deferToThread(self.gateway.stop) == 0
        assert laws_of_the_store(self.database) == []
        assert entries(self.database) == 0

    async def test_a_full_disk(self) -> None:
        """No space is left, until somebody deletes a file."""
        disk = temporary_folder(self)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", disk], capture_output=True, check=False
        )
        if mounted.returncode:
            # Only root may mount: without, the limit on the size of files is the next best.
            await self.test_files_that_cannot_grow()
            return
        self.addCleanup(subprocess.run, ["umount", "-l", disk], check=True)
        await self.begin(Path(disk, "store"))
        filler = Path(disk, "filler")

        def fill() -> None:
            with filler.open("wb", buffering=0) as file:
                for size in (1 << 16, 1 << 12, 1):
                    try:
                        while file.write(b"\0" * size):
                            pass
                    except OSError:
                        pass

        await self.suffer(fill)
        filler.unlink()
        await self.recover()

    def limit_files(self, size: int) -> None:
        """From now on the gateway cannot write beyond ``size`` octets of any file."""
        assert self.gateway.pid is not None
        hard = resource.prlimit(self.gateway.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(self.gateway.pid, resource.RLIMIT_FSIZE, (size, hard))

    def limit_to_present(self) -> None:
        """The store's log is as long as it can be."""
        self.limit_files(os.path.getsize(f"{self.database}-wal"))

    async def test_files_that_cannot_grow(self) -> None:
        """Every write beyond the present end of the store's log fails, until it may."""
        await self.begin(Path(temporary_folder(self)))
        await self.suffer(self.limit_to_present)
        self.limit_files(resource.RLIM_INFINITY)
        await self.recover()

    async def test_killed_while_the_store_fails(self) -> None:
        """What was neither stored nor acknowledged is gone; all else goes on after the start."""
        await self.begin(Path(temporary_folder(self)))
        await self.suffer(self.limit_to_present)
        self.gateway.kill()
        await self.loader.closed()
        await until(reactor, lambda: not self.smsc_factory.sessions, "the end of the links")
        assert laws_of_the_store(self.database) == []
        self.books.run += 1
        await deferToThread(self.gateway.start)
        await self.bind()
        await self.recover(crashes=1)
