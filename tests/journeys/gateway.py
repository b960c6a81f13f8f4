"""A gateway on an empty store in the test's own process, for tests of one carrier."""

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred

from smsgw.config import Config, Http, Smpp, SmppListener
from smsgw.dialects import Aerialink
from smsgw.service import Gateway
from smsgw.testing.script import SmscScript
from smsgw.testing.smsc import SimulatedCarrier
from tests.integration.scene import Scene, account, carrier, route, until_asked
from tests.journals import a_store
from tests.running import free_ports


def on_loopback(port: int) -> str:
    """An endpoint."""
    return f"tcp:{port}:interface=127.0.0.1"


class GatewayCase(Scene):
    """Each test provisions what it needs; the gateway stops in order at the end."""

    timeout = 60

    def setUp(self) -> "Deferred[None]":
        self.smpp_port, self.http_port, self.admin_port, self.calls_port = free_ports(4)
        smpp = Smpp(listen=[SmppListener(on_loopback(self.smpp_port))], **self.smpp_settings())
        config = Config(
            smpp=smpp,
            http=Http(listen=[on_loopback(self.http_port)], admin=[on_loopback(self.admin_port)]),
            aerialink=Aerialink(allow_plain_http="loopback"),
        )
        self.gateway = Gateway(config, a_store(self), reactor)
        self.gateway.startService()
        self.addCleanup(self.gateway.stopService)
        return self.gateway.ready

    def smpp_settings(self) -> dict[str, Any]:
        """More keys of ``[smpp]``."""
        return {}

    async def north(self, script: "SmscScript | None" = None, **settings: Any) -> SimulatedCarrier:
        """The only carrier, bound, with a route to all the world; and the account."""
        north = await self.smsc(script)
        await self.apply(account(), carrier("north", north.port, **settings), route("north"))
        await self.is_up()
        return north

    async def is_up(self, name: str = "north") -> None:
        """Returns when the carrier has a link up."""

        async def up() -> bool:
            return self.gateway.is_up(name)

        await until_asked(up, f"carrier {name} up")

    async def shows(self, id: "bytes | str", **fields: object) -> Any:
        """What operators are shown of a message, once these are so."""
        shown: dict[str, Any] = {}

        async def reached() -> bool:
            shown.update(await self.message(id))
            return all(shown[name] == value for name, value in fields.items())

        await until_asked(reached, f"message {id!r} {fields}")
        return shown
