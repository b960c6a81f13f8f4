"""Clients that are called: when, how often, and what makes of the connection a session."""

from typing import Any

from attrs import evolve
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from smsgw.config import Config
from smsgw.esmes import outbinds
from smsgw.esmes.outbinds import MOST_WAIT_S, WAIT_S, Outbinds
from smsgw.outward import AddressRefused
from smsgw.provisioning import Account, Credential, Number
from smsgw.smpp.pdu import BindReceiver, DeliverSm, Outbind
from smsgw.smpp.profile import STANDARD
from tests.esmes.test_submitted import SubmittedCase
from tests.flow.journey import ACME, SOURCE, provisioned
from tests.smpp.test_client import Carrier, Peer
from tests.test_doors import HASH

LOGIN = Credential(
    "smpp",
    "acme",
    password_hash=HASH,
    allow=["198.51.100.1"],
    outbind="esme.example.com:2775",
    outbind_password="ours",
)
BIND = BindReceiver(sequence=1, system_id=b"acme", password=b"secret12", interface_version=0x34)


class OutbindsTests(SubmittedCase):
    def setUp(self) -> None:
        super().setUp()
        self.client = Carrier()
        self.asked: list[tuple[Any, ...]] = []
        self.patch(outbinds, "endpoint_to", self.endpoint)
        self.provide()
        self.outbinds = Outbinds(
            Config(),
            self.journey.current,
            self.esmes,
            self.journey.queues,
            lambda name: STANDARD,
            self.journey.clock,
        )

    def endpoint(self, reactor: Any, *where: Any) -> Any:
        self.asked.append(where)
        return self.client

    def provide(self, **fields: Any) -> None:
        provisioning = provisioned()
        account = Account(name="acme", number=[Number(SOURCE)], credential=[LOGIN])
        provisioning.accounts["acme"] = evolve(account, **fields)
        self.journey.provision(provisioning)

    def calls(self) -> int:
        """How many attempts there are after one more look."""
        self.outbinds.review()
        return len(self.client.attempts)

    def called(self) -> Peer:
        assert self.calls() == 1
        return self.client.accept()

    def after(self, seconds: float) -> int:
        """The same when so many seconds have gone by, looked at every one of them."""
        for _ in range(int(seconds)):
            self.journey.clock.advance(1)
            self.outbinds.review()
        return len(self.client.attempts)

    def test_nobody_is_called_while_nothing_waits(self) -> None:
        """And the client is, once an MO does; not twice at a time."""
        assert self.calls() == 0
        self.journey.mo()
        assert (self.calls(), self.calls()) == (1, 1)
        assert self.asked == [("esme.example.com", 2775, False)]

    def test_outbind_says_who_we_are_and_the_client_is_served(self) -> None:
        """It binds on that connection, from wherever it is, and gets what waits."""
        self.journey.mo()
        peer = self.called()
        assert peer.said() == [Outbind(sequence=1, system_id=b"smsgw", password=b"ours")]
        peer.say(BIND)
        _, delivery = peer.said()
        assert isinstance(delivery, DeliverSm)
        assert delivery.short_message == b"Hi"
        self.esmes.review(self.journey.current())
        assert not peer.transport.closed  # its address is in no list, and need not be
        peer.say(delivery.response())
        assert self.journey.entries(ACME) == []
        assert self.calls() == 0
        peer.close()

    def test_calls_in_vain_are_repeated_later_each_time(self) -> None:
        """After 5 s, 10 s, 20 s ... up to 5 minutes, as long as something waits."""
        self.journey.mo()
        wait = WAIT_S
        for _ in range(9):
            assert self.calls() == 1
            self.client.refuse()
            assert self.calls() == 0
            assert self.after(wait - 1) == 0
            assert self.after(1) == 1
            wait = min(MOST_WAIT_S, wait * 2)
        assert wait == MOST_WAIT_S
        assert self.outbinds.shown("acme") == "connecting: connection refused"
        self.client.refuse()
        assert self.outbinds.shown("acme") == "waiting: connection refused"
        assert self.outbinds.shown("other") == ""

    def test_a_client_that_does_not_bind_was_called_in_vain(self) -> None:
        """Ten seconds it has; and one that closes at once is called again later, too."""
        self.journey.mo()
        self.called()
        assert self.after(9) == 0
        assert self.outbinds.calls["acme"].state == "outbound"
        assert self.after(1) == 0
        call = self.outbinds.calls["acme"]
        assert (call.state, call.reason) == ("waiting", "no bind within 10 s")
        assert self.after(WAIT_S) == 1
        self.client.accept().close()
        assert self.calls() == 0
        assert call.reason == "closed by the peer"
        assert self.after(2 * WAIT_S) == 1

    def test_an_address_that_is_not_public_is_not_called(self) -> None:
        """What the name means is looked at each time (I6)."""
        self.journey.mo()
        self.calls()
        _, attempt = self.client.attempts.pop()
        attempt.errback(Failure(AddressRefused()))
        assert self.outbinds.calls["acme"].reason == "address not allowed"

    def test_whoever_went_is_called_again_when_something_waits(self) -> None:
        """Not at once: between two calls there are five seconds."""
        self.journey.mo()
        peer = self.called()
        peer.say(BIND)
        peer.close()
        assert self.calls() == 0
        assert self.after(WAIT_S) == 1

    def test_an_account_that_is_suspended_is_not_called(self) -> None:
        """Its logins would not be let in."""
        self.journey.mo()
        self.provide(suspended=True)
        assert self.calls() == 0

    def test_a_login_that_is_changed_or_gone_is_not_called(self) -> None:
        """As soon as the provisioning says so."""
        self.journey.mo()
        self.provide(credential=[evolve(LOGIN, outbind="")])
        assert self.calls() == 0
        assert self.outbinds.calls == {}

    def test_at_a_stop_calls_are_given_up_and_sessions_end_in_order(self) -> None:
        """The connection that is being made is, too."""
        self.journey.mo()
        self.calls()
        stopped = self.outbinds.stop(10.0)
        assert self.client.cancelled == 1
        self.successResultOf(stopped)
        assert self.outbinds.in_vain == 0

    def test_at_a_stop_a_session_is_unbound(self) -> None:
        """Within the time that it is given."""
        self.journey.mo()
        peer = self.called()
        peer.say(BIND)
        stopped = self.outbinds.stop(10.0)
        self.assertNoResult(stopped)
        self.journey.clock.advance(10)
        peer.protocol.connectionLost(Failure(ConnectionDone()))
        self.successResultOf(stopped)
