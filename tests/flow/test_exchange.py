"""The connections to peers, and their end."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from smsgw.config import Config
from smsgw.flow.exchange import Exchange, carrier_peer
from smsgw.provisioning import Carrier, Provisioning
from smsgw.rules.tables import Tables
from smsgw.smtp.client import Mail

TO = "+447700900123/TYPE=PLMN@mms.example.net"
MAIL = Mail("system-user@mms.example.com", [TO], b"Subject: x\r\n\r\n")


class ExchangeTests(SynchronousTestCase):
    """Two carriers with an MMSC each; nothing is really connected to."""

    def setUp(self) -> None:
        forms = [
            Carrier(name=name, kind="mm4", host="192.0.2.1", domain=f"{name}.example.net")
            for name in ("north", "south")
        ]
        tables = Tables(Provisioning(carriers={one.name: one for one in forms}))
        self.clock = Clock()
        self.exchange = Exchange(Config(), lambda: tables, self.clock)

    def send(self, name: str) -> str:
        """What a mail to a carrier is told at once."""
        outgoing = self.exchange.of(carrier_peer(name))
        assert outgoing is not None
        return self.successResultOf(outgoing.send(MAIL))[TO].text

    def test_no_connection_is_made_after_a_stop(self) -> None:
        """Whatever was being written for a peer meanwhile is refused for now, whether that peer had
        connections before or not; no connection outlives the gateway's stop."""
        self.exchange.of(carrier_peer("north"))
        self.successResultOf(self.exchange.stop())
        assert [self.send("north"), self.send("south")] == ["stopping", "stopping"]
        assert self.exchange.states.total() == 0
        assert self.clock.getDelayedCalls() == []
