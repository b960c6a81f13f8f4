"""Dead letters as operators see and retry them, with the gateway running and without."""

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from smsgw.flow.dead import Which
from smsgw.flow.targets import Delivery, Told
from smsgw.operate.operator import Unavailable
from smsgw.smpp.pdu import DeliverSm
from tests.operate.gateways import NORTH, a_gateway, provision, result

TARGETS = NORTH.replace(
    'address = "447700900000"',
    'address = "447700900000"\ntargets = ["https://u:p@a.example/in?key=1&", "a@b.example"]',
)
QUEUE = "target:acme https://a.example/in"


class Refusing:
    """A messenger whose targets say what the test says."""

    told = Told("refused", "HTTP 404")

    def deliver(self, delivery: Delivery) -> Deferred[Told]:
        return succeed(self.told)

    def stop(self) -> Deferred[None]:
        return succeed(None)


class DeadTests(TestCase):
    def setUp(self) -> None:
        self.gateway: Any = a_gateway(self)
        self.operator = self.gateway.operator.by("jo")
        provision(self, self.gateway, TARGETS)
        self.messenger = Refusing()
        messengers = {"http": self.messenger, "email": self.messenger}
        self.patch(self.gateway.deliveries, "_messengers", messengers)
        pdu = DeliverSm(
            source_addr=b"447700900123", destination_addr=b"447700900000", short_message=b"Hi"
        )
        self.successResultOf(self.gateway.inbound.receive("north", [pdu]))

    def ask(self, coroutine: Any) -> Any:
        return result(self, coroutine)

    def shown(self, **which: Any) -> list[str]:
        return [one.queue for one in self.ask(self.operator.dead.page(Which(**which), 0))]

    def actions(self) -> list[tuple[str, str, str]]:
        views = self.ask(self.operator.audit(0, "", "dead", ""))
        return [(one.who, one.kind, *one.lines) for one in views]

    def test_they_are_shown_without_secrets(self) -> None:
        """Where each waited, what it was, how often it was tried and why it was given up."""
        first, second = self.ask(self.operator.dead.page(Which(), 0))
        assert (first.queue, first.event, first.attempts) == (QUEUE, "mo", 1)
        assert (second.queue, second.reason) == ("target:acme a@b.example", "HTTP 404")
        message = self.ask(self.operator.message(first.message))
        assert message.targets == ["https://a.example/in REJECTD", "a@b.example REJECTD"]
        assert (message.carrier, message.carrier_ids, message.state) == ("north", [], "REJECTD")
        assert "key" not in repr((first, second, message))
        [rest] = self.ask(self.operator.dead.page(Which(), first.id))
        assert rest == second

    def test_an_account_or_a_queue_can_be_seen_alone(self) -> None:
        """The queue by the name that is shown."""
        assert self.shown(queue=QUEUE) == [QUEUE]
        assert len(self.shown(account="acme")) == 2
        assert self.shown(account="other") == []

    def test_they_are_put_back_in_the_name_of_who_asks(self) -> None:
        """The audit says who did it."""
        self.messenger.told = Told("delivered")
        assert self.ask(self.operator.dead.put_back(Which(queue=QUEUE))) == 1
        assert self.shown() == ["target:acme a@b.example"]
        assert self.ask(self.operator.dead.drop(Which(account="acme"))) == 1
        assert self.shown() == []
        assert self.actions() == [
            ("jo", "retry", f"queue {QUEUE}"),
            ("jo", "drop", "account acme"),
        ]

    def test_what_waits_is_shown_with_its_account(self) -> None:
        """By a name without secrets."""
        self.messenger.told = Told("failed", "HTTP 500")
        self.ask(self.operator.dead.put_back(Which()))
        queues = self.ask(self.operator.queues())
        assert [(one.name, one.waiting) for one in queues] == [
            ("target:acme a@b.example", 1),
            (QUEUE, 1),
        ]
        [account] = self.ask(self.operator.accounts())
        assert account.waiting == 2

    def test_a_store_that_fails_is_told(self) -> None:
        """With the remedy; nothing is put back."""
        self.gateway.journal.broken = "disk full"
        for ask in (self.operator.dead.put_back, self.operator.dead.drop):
            done = Deferred.fromCoroutine(ask(Which()))
            assert "disk full; mend that" in str(self.failureResultOf(done, Unavailable).value)
        self.gateway.journal.broken = ""
        assert len(self.shown()) == 2

    def test_nothing_to_put_back_is_no_action(self) -> None:
        """The audit has what was done only."""
        assert self.ask(self.operator.dead.put_back(Which((1,)))) == 0
        assert self.actions() == []
        assert len(self.shown()) == 2
