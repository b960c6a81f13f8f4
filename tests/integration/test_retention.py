"""Retention in a running gateway: what ended long ago is not found any more, and is counted."""

import time
import urllib.request

from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from smsgw.config import Config, Http, Smpp, Smtp, Store
from smsgw.identities import Identities
from smsgw.message import Message, MessageState
from smsgw.service import Gateway
from smsgw.store import records
from smsgw.store.journal import Changes, write
from tests.integration.scene import HANDSET, NUMBER, Scene, account, ask, until_asked
from tests.journals import a_store
from tests.running import free_ports

DAY_S = 86_400


class RetentionTests(Scene):
    """A store with an old and a young message, and a gateway that is started on it."""

    def ended(self, days: float, node: int) -> int:
        """The id of a message that ended so many days ago."""
        at = time.time() - days * DAY_S
        id = Identities(node, lambda: at).allot()
        message = Message(NUMBER, HANDSET, parts=[b"Hello"], account="acme", id=id)
        message.accepted_at = message.done_at = int(at * 1000)
        message.state = int(MessageState.DELIVERED)
        with self.store.connect() as connection:
            write(connection, [Changes(messages=[records.row(message, None)])])
        self.store.dispose()
        return id

    async def status(self, id: int) -> int:
        """HTTP status of the admin API's answer about a message."""
        url = f"http://127.0.0.1:{self.admin_port}/admin/messages/{id}"
        status, _ = await deferToThread(ask, url)
        return status

    async def removed(self) -> str:
        """The line of ``/metrics``."""

        def read() -> str:
            url = f"http://127.0.0.1:{self.admin_port}/metrics"
            with urllib.request.urlopen(url, timeout=20) as answer:
                return str(answer.read().decode())

        lines = (await deferToThread(read)).splitlines()
        return next(one for one in lines if one.startswith("smsgw_messages_removed_total"))

    async def test_w_d30_states_are_kept_for_thirty_days(self) -> None:
        """W-D30, by ``store.retention_days``: older ones are removed when the gateway starts."""
        self.store = a_store(self)
        old, young = self.ended(30.5, 1), self.ended(29.5, 2)
        self.http_port, self.admin_port = free_ports(2)
        config = Config(
            store=Store(retention_days=30),
            smpp=Smpp(listen=[]),
            smtp=Smtp(listen=[]),
            http=Http(
                listen=[f"tcp:{self.http_port}:interface=127.0.0.1"],
                admin=[f"tcp:{self.admin_port}:interface=127.0.0.1"],
            ),
        )
        self.gateway = Gateway(config, self.store, reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        await self.gateway.ready
        await self.apply(account())

        async def gone() -> bool:
            return await self.status(old) == 404

        await until_asked(gone, "the old message to be removed")
        assert await self.status(young) == 200
        assert await self.removed() == "smsgw_messages_removed_total 1.0"
        url = f"http://127.0.0.1:{self.http_port}/websmpp/websmsstatus?respId="

        def asked(id: int) -> str:
            with urllib.request.urlopen(f"{url}{id}", timeout=20) as answer:
                return str(answer.read().decode())

        assert await deferToThread(asked, old) == "ERROR - HTTP25 --> No Record Found"
        assert await deferToThread(asked, young) == "DELIVRD"
