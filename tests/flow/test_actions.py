"""Which of an account's routes is for an event, and where its actions bring it (E-D20, E-D21)."""

from typing import Any

from twisted.internet.defer import Deferred

from smsgw.flow.actions import targets_for
from smsgw.flow.replay import Replays
from smsgw.flow.targets import told
from smsgw.message import Direction, Message
from smsgw.provisioning import Account
from smsgw.provisioning.actions import Action, ActionRoute, action_of
from smsgw.provisioning.targets import MM4, SMPP
from smsgw.queues import Kind
from smsgw.store.outstanding import Outstanding, of_message
from tests.flow.journey import provisioned
from tests.flow.targets import S, TargetCase

CODE = "447700900000"
HANDSET = "447700900123"


def an_mo(text: bytes = b"vote 1", **given: Any) -> Message:
    """A message from a handset."""
    return Message(HANDSET, CODE, parts=[text], direction=Direction.MO, account="acme", **given)


def an_mt() -> Message:
    """A message that asked for a receipt."""
    return Message(CODE, HANDSET, parts=[b"x"], registered_delivery=1, account="acme")


def http(event: str, url: str = "http://h/", **more: Any) -> Action:
    """An action of SMS."""
    return Action(f"SMS-{event}-HTTP", url, **more)


def account(*routes: ActionRoute, **more: Any) -> Account:
    """An account with these routes."""
    return Account("acme", route=list(routes), **more)


def test_the_lowest_sequence_that_fits_is_used() -> None:
    """However they are written down; all of its actions for the event are run."""
    acme = account(
        ActionRoute(2, actions=[http("MO", "http://h/2")]),
        ActionRoute(1, keyword="VOTE", actions=[http("MO", "http://h/1"), Action("SMPP")]),
    )
    found = targets_for(an_mo(), acme, Kind.MO)
    assert found is not None
    assert [one.address for one in found] == ["http://h/1", ""]
    assert found[1] is SMPP
    [other] = targets_for(an_mo(b"hello"), acme, Kind.MO) or []
    assert other.address == "http://h/2"


def test_code_and_kind_are_filters() -> None:
    """The code is the number written to, or of a report the one that it was sent from."""
    acme = account(ActionRoute(1, code=CODE, actions=[http("MO"), http("DLR")]))
    assert targets_for(an_mo(), acme, Kind.MO)
    assert targets_for(an_mt(), acme, Kind.RECEIPT)
    acme.route[0].code = "447700900001"
    assert targets_for(an_mo(), acme, Kind.MO) is None
    assert targets_for(an_mt(), acme, Kind.RECEIPT) is None
    acme.route[0].code, acme.route[0].kind = "", "mms"
    assert targets_for(an_mo(), acme, Kind.MO) is None


def test_a_route_without_an_action_for_the_event_is_not_meant() -> None:
    """So messages and receipts can have routes of their own; a keyword is of no receipt."""
    acme = account(
        ActionRoute(1, actions=[http("MO")]),
        ActionRoute(2, keyword="X", actions=[http("DLR", "http://h/x")]),
        ActionRoute(3, actions=[http("DLR", "http://h/3"), http("CDA", "http://h/c")]),
    )
    [receipt] = targets_for(an_mt(), acme, Kind.RECEIPT) or []
    [progress] = targets_for(an_mt(), acme, Kind.PROGRESS) or []
    assert (receipt.address, progress.address) == ("http://h/3", "http://h/c")


def test_mm4_brings_messages_to_the_accounts_mmsc() -> None:
    """E-D21: those that it receives; reports are for URLs."""
    acme = account(ActionRoute(1, code=CODE, actions=[Action("MM4"), http("MO")]))
    found = targets_for(an_mo(), acme, Kind.MO)
    assert found is not None
    assert found[0] is MM4
    assert targets_for(an_mt(), acme, Kind.RECEIPT) is None


def test_null_brings_it_nowhere() -> None:
    """It is not the same as no route: the callback is not called either."""
    acme = account(ActionRoute(1, actions=[Action("NULL")]), callback="http://h/callback")
    assert targets_for(an_mo(), acme, Kind.MO) == []
    assert list(told(an_mt(), acme, Kind.RECEIPT)) == []
    acme.route = []
    assert [queue for queue, _ in told(an_mt(), acme, Kind.RECEIPT)] == ["target:acme callback"]


def test_each_action_has_a_queue_of_its_own() -> None:
    """A slow one holds up no other (I5); no secret is in its name."""
    acme = account(
        ActionRoute(
            1,
            actions=[
                http("DLR", "http://h/1", username="u", password="p", hmac_secret="s3cret"),
                http("DLR", "http://h/2", method="GET"),
            ],
        )
    )
    queues = [queue for queue, _ in told(an_mt(), acme, Kind.RECEIPT)]
    assert queues == [
        "target:acme action POST form http://h/1",
        "target:acme action GET form http://h/2",
    ]


def test_login_and_key_are_those_of_the_action_now() -> None:
    """Of the action for this event; none once it is gone."""
    acme = account(ActionRoute(1, actions=[http("MO", username="mo"), http("DLR", username="dlr")]))
    [target] = targets_for(an_mt(), acme, Kind.RECEIPT) or []
    found = action_of(acme, target, "receipt")
    assert found is not None
    assert found.username == "dlr"
    acme.route = []
    assert action_of(acme, target, "receipt") is None


class ActionTests(TargetCase):
    """Actions on their journey."""

    def begin(self, *actions: Action) -> None:
        """acme has one route."""
        provisioning = provisioned()
        acme = provisioning.accounts["acme"]
        acme.route = [ActionRoute(1, actions=list(actions))]
        self.journey.provision(provisioning)

    def reports(self, message: Message) -> Outstanding:
        """What a status check tells of the tries."""
        done = self.journey.journal.run(lambda c: of_message(c, message.id))
        return self.journey.result(done)

    def test_a_failing_action_is_tried_eleven_times(self) -> None:
        """E-R28, E-D17, E-D18: at 0, 15, ... 150 minutes, and the status tells it all along."""
        self.begin(http("DLR"))
        message = self.journey.sent(interface="rest", registered_delivery=1)
        self.journey.receive("a0")
        assert self.reports(message) == Outstanding()
        for tries in range(1, 11):
            [delivery] = self.http.tell("failed", "HTTP 500")
            assert (delivery.event, delivery.target.form) == ("receipt", "form")
            due = self.journey.now_ms + 900_000
            assert self.reports(message) == Outstanding(tries, due)
            self.journey.clock.advance(900)
        self.http.tell("failed", "HTTP 500")
        assert self.dead() == [("target:acme action POST form http://h/", "HTTP 500")]
        assert self.reports(message) == Outstanding(11, 0)
        assert self.journey.entries() == []

    def test_a_success_at_the_eleventh_try_is_one(self) -> None:
        """Test list 4."""
        self.begin(http("DLR"))
        message = self.journey.sent(interface="rest", registered_delivery=1)
        self.journey.receive("a0")
        for _ in range(10):
            self.http.tell("failed", "HTTP 500")
            self.journey.clock.advance(900)
        self.http.tell("delivered")
        assert self.dead() == []
        assert self.reports(message) == Outstanding()

    def test_an_mo_takes_the_route_before_the_targets_of_its_number(self) -> None:
        """And ends when its actions have it."""
        self.begin(http("MO", "http://h/1"), http("MO", "http://h/2", method="GET"))
        message = self.mo()
        assert self.http.addresses() == ["http://h/1", "http://h/2"]
        self.http.tell("delivered")
        assert self.state(message)[0] is S.DELIVERED

    def test_an_email_action_is_a_mail(self) -> None:
        """In the form of targets, whose sender is the handset's number (E-D33)."""
        self.begin(Action("EMAIL", to="alice@example.com"))
        self.mo()
        [delivery] = self.mail.tell("delivered")
        assert (delivery.target.kind, delivery.target.address) == ("email", "alice@example.com")

    def test_what_was_told_can_be_told_again(self) -> None:
        """A receipt, and an MO, to where they went."""
        self.begin(http("DLR"), http("MO", "http://h/mo"))
        message = self.journey.sent(interface="rest", registered_delivery=1)
        self.journey.receive("a0")
        inbound = self.mo()
        self.http.tell("delivered")
        journey = self.journey
        replays = Replays(
            journey.current,
            journey.queues,
            journey.settlement,
            journey.identities.allot,
            journey.clock.seconds,
        )
        for one, address in ((message, "http://h/"), (inbound, "http://h/mo")):
            assert journey.result(Deferred.fromCoroutine(replays.replay(one))) == 1
            assert self.http.addresses() == [address]
            self.http.tell("delivered")
        assert journey.entries() == []

    def test_what_went_to_sessions_can_be_brought_to_an_action(self) -> None:
        """An MO from before the route was there is brought again to where it would go now."""
        inbound = self.mo()
        assert inbound.targets == []
        journey = self.journey
        journey.expiry.start()
        self.later(72 * 3600)
        assert self.state(inbound)[0] is S.EXPIRED
        self.begin(http("MO", "http://h/mo"))
        replays = Replays(
            journey.current,
            journey.queues,
            journey.settlement,
            journey.identities.allot,
            journey.clock.seconds,
        )
        assert journey.result(Deferred.fromCoroutine(replays.replay(inbound))) == 1
        assert self.http.addresses() == ["http://h/mo"]
        self.http.tell("delivered")
        assert journey.entries() == []
