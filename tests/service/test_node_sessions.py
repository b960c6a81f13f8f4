"""Sessions of two nodes on one store, as an operator sees and ends them at one of them."""

from typing import Any
from unittest import mock

import pytest
from twisted.internet import reactor
from twisted.internet.threads import deferToThread

from smsgw.store import nodes, sessions
from tests.integration.books import until
from tests.integration.scene import post, until_asked
from tests.service.nodes import NodesCase


@pytest.mark.timeout(90)
class SessionTests(NodesCase):
    """Issue 7: every state an operator might ask about is visible, at whichever node."""

    async def setUp(self) -> None:
        # Signs of life bring links to other nodes.
        beating = mock.patch("smsgw.cluster.registry.BEAT_S", 0.3)
        beating.start()
        self.addCleanup(beating.stop)
        await super().setUp()

    async def end(self, id: str) -> tuple[int, Any]:
        """How the asked node answers the request to end a session."""
        url = f"http://127.0.0.1:{self.admin_port}/admin/sessions/end"
        status, body = await deferToThread(post, url, {"id": id})
        return int(status), body

    async def shown(self, **which: str) -> list[Any]:
        """Sessions that the asked node shows."""
        asked = "&".join(f"{name}={value}" for name, value in which.items())
        found: list[Any] = await self.admin(f"/admin/sessions?{asked}")
        return found

    async def test_an_esme_at_another_node_is_seen_and_unbound(self) -> None:
        """When the answer comes it is gone; others of the account stay, and the audit knows it."""
        await self.provided()
        mine, theirs = await self.esme_at(self.a), await self.esme_at(self.b)
        self.at(self.a)
        found = {one["node_name"]: one for one in await self.shown(account="acme")}
        assert {name: one["here"] for name, one in found.items()} == {"node0": True, "node1": False}
        assert found["node1"]["login"] == "acme"
        status, ended = await self.end(found["node1"]["id"])
        assert (status, ended["node_name"]) == (200, "node1")
        await until(reactor, lambda: theirs.ended_why is not None, "the unbind")
        assert mine.ended_why is None
        assert [one["node_name"] for one in await self.shown(account="acme")] == ["node0"]
        assert (await self.end(found["node1"]["id"]))[0] == 404
        [entry] = await self.admin("/admin/audit?kind=end")
        assert entry["name"] == "acme"

    async def test_a_link_of_another_node_is_seen_and_binds_again(self) -> None:
        """It is another bind when the answer comes, and messages go over it again; one of this
        node likewise."""
        await self.provided()
        self.at(self.a)

        async def both() -> bool:
            return len(await self.shown(carrier="north")) == 2

        await until_asked(both, "the links of both nodes")
        before = [*self.north.smsc.sessions]
        for one in await self.shown(carrier="north"):
            assert (one["kind"], one["state"]) == ("link", "up")
            assert (await self.end(one["id"]))[0] == 200
        await until(reactor, self.linked, "both links")
        assert not {*before} & {*self.north.smsc.sessions}
        [carrier] = await self.admin("/admin/carriers")
        assert carrier["state"] == "up"

    async def test_a_node_that_does_not_obey_is_named(self) -> None:
        """It is dead, but not declared so yet: the answer comes in time and says which it is."""
        await self.provided()
        row = sessions.SessionRow(7, 70, "acme", "acme", "standard", "transceiver", "::1", 1)
        node = nodes.NodeRow(7, "node7", ("smpp",), "1", {}, 0, 0, 7)
        await self.a.journal.run(lambda c: nodes.register(c, node))
        await self.a.journal.run(lambda c: sessions.reconcile(c, 7, [row]))
        with mock.patch("smsgw.operate.sessions.END_S", 0.5):
            status, body = await self.end("70")
        assert status == 503
        assert "node 7 (node7) has not ended it" in body["error"]

    async def test_a_node_without_carriers_shows_them_and_is_ready(self) -> None:
        """Others have them up: a load balancer is to use it, and an operator sees the links."""
        await self.provided()
        edge = await self.node(2, ["smpp", "http", "smtp"])
        self.at(edge)

        async def ready() -> bool:
            [carrier] = await self.admin("/admin/carriers")
            return bool(carrier["links_up"] == 2)

        await until_asked(ready, "the links of the other nodes")
        assert (await self.admin("/health/ready"))["ok"]
        [carrier] = await self.admin("/admin/carriers")
        assert (carrier["state"], carrier["links"]) == ("up", 2)
