"""Route: who takes a message, and who after that."""

from collections import Counter

import pytest
from attrs import evolve

from smsgw.flow import route
from smsgw.provisioning import Provisioning, Route
from smsgw.queues import Kind
from smsgw.refusals import Reason, Refusal
from smsgw.rules.tables import Tables
from tests.flow.journey import NORTH, NOW_MS, JourneyCase, a_message, provisioned


def tables(provisioning: Provisioning | None = None) -> Tables:
    return Tables(provisioning or provisioned())


def test_the_destination_decides_the_route() -> None:
    """A route is chosen by the normalised destination; there may be none."""
    chosen = route.choose(a_message(destination="447700900123"), tables())
    assert chosen is not None
    assert chosen.name == "uk"
    assert route.choose(a_message(destination="33123456789"), tables()) is None


def test_a_route_may_ask_for_more_than_the_destination() -> None:
    """The message is seen as it is accepted: here by its account and text."""
    provisioning = provisioned()
    provisioning.routes["code"] = Route("code", ["44"], ["south"], priority=-1, text="code")
    chosen = route.choose(a_message(parts=[b"code 1"]), tables(provisioning))
    assert chosen is not None
    assert chosen.name == "code"
    chosen = route.choose(a_message(), tables(provisioning))
    assert chosen is not None
    assert chosen.name == "uk"


@pytest.mark.parametrize(
    ("up", "order"),
    [
        ("north east south", "north east south"),
        ("east south", "east north south"),
        ("south", "south north east"),
        ("", "north east south"),
    ],
)
def test_the_first_carrier_with_a_link_up_is_tried_first(up: str, order: str) -> None:
    """The others follow in the order of the route; if none is up, the first one waits for it."""
    chosen = Route("uk", ["44"], ["north", "east", "south"])
    assert route.carriers(chosen, a_message(), up.split().__contains__, tables()) == order.split()
    assert chosen.carriers == ["north", "east", "south"]


def test_a_route_may_wait_for_its_first_carrier() -> None:
    """With failover_down = false, and for what goes out later, it does not matter who is up now."""
    names = ["north", "south"]
    chosen = Route("uk", ["44"], names, failover_down=False)
    assert route.carriers(chosen, a_message(), ["south"].__contains__, tables()) == names
    later = a_message(schedule_at=NOW_MS + 1, accepted_at=NOW_MS)
    chosen = Route("uk", ["44"], names)
    assert route.carriers(chosen, later, ["south"].__contains__, tables()) == names


def test_each_part_has_an_entry_for_the_first_carrier() -> None:
    """Entries have ids in a row, the message's expiry, and the time given."""
    message = a_message(parts=[b"1", b"2", b"3"], carriers=["north", "south"], expires_at=9)
    entries = route.entries(message, 100, NOW_MS)
    assert [(entry.id, entry.part) for entry in entries] == [(100, 0), (101, 1), (102, 2)]
    for entry in entries:
        assert entry.message is message
        assert (entry.queue, entry.due, entry.kind) == (NORTH, NOW_MS, Kind.SEND)
        assert (entry.attempts, entry.expires_at) == (0, 9)


def test_the_next_carrier_is_the_one_after_that_which_refused() -> None:
    """In the order of the route, each once."""
    message = a_message(carriers=["north", "south"])
    assert route.next_carrier(message, "north", tables()) == "south"
    assert route.next_carrier(message, "south", tables()) is None


def test_a_carrier_that_is_no_longer_provisioned_is_passed_over() -> None:
    """The message keeps the route it had; what is gone from it cannot take it."""
    message = a_message(carriers=["north", "east", "south"])
    assert route.next_carrier(message, "north", tables()) == "south"
    provisioning = evolve(provisioned(), carriers={})
    assert route.next_carrier(message, "north", tables(provisioning)) is None


def test_after_a_carrier_that_is_none_of_the_route_comes_nobody() -> None:
    """What the route does not name cannot say where it goes on."""
    assert route.next_carrier(a_message(carriers=["north"]), "east", tables()) is None


def test_before_the_last_carrier_a_message_waits_its_time() -> None:
    """Before the last one, and without a queue time, as long as it is valid."""
    message = a_message(carriers=["north", "south"], expires_at=NOW_MS + 60_000)
    assert route.waits_until(message, "north", NOW_MS) == NOW_MS + 60_000
    message.queue_ms = 5_000
    assert route.waits_until(message, "north", NOW_MS) == NOW_MS + 5_000
    assert route.waits_until(message, "north", NOW_MS + 58_000) == NOW_MS + 60_000
    assert route.waits_until(message, "south", NOW_MS) == NOW_MS + 60_000
    assert route.entries(message, 1, NOW_MS + 1)[0].expires_at == NOW_MS + 5_001


class RoutesTests(JourneyCase):
    """What routes ask for, from the edge on."""

    def test_a_login_marks_what_has_no_mark(self) -> None:
        """The request's own tag goes first; routes ask for either."""
        provisioning = provisioned()
        provisioning.routes["codes"] = Route("codes", ["44"], ["south"], tags=["codes"])
        provisioning.routes["uk"].priority = 1
        self.journey.provision(provisioning)
        login = self.journey.login(tag="codes")
        messages = [a_message(), a_message(tag="bulk")]
        first, second = self.journey.result(self.journey.acceptance.accept(login, messages))
        assert (first.tag, first.route) == ("codes", "codes")
        assert (second.tag, second.route) == ("bulk", "uk")
        assert self.journey.stored(first).tag == "codes"

    def test_a_group_is_of_accounts(self) -> None:
        """Those that say so."""
        provisioning = provisioned()
        provisioning.accounts["acme"].groups = ["gold"]
        provisioning.routes["gold"] = Route("gold", ["447"], ["south"], groups=["gold"])
        provisioning.routes["iron"] = Route("iron", ["4477"], ["south"], groups=["iron"])
        self.journey.provision(provisioning)
        assert self.journey.accepted().route == "gold"

    def test_a_sim_goes_by_a_route_for_sims(self) -> None:
        """In no numbering plan; without such a route it goes nowhere."""
        sim = "8944500102198304826"
        provisioning = provisioned()
        provisioning.routes["all"] = Route("all", [""], ["north"])
        self.journey.provision(provisioning)
        [outcome] = self.journey.accept(a_message(destination=sim))
        assert isinstance(outcome, Refusal)
        assert outcome.reason is Reason.NO_ROUTE
        provisioning.routes["sims"] = Route("sims", ["89"], ["south"], sim=True)
        self.journey.provision(provisioning)
        message = self.journey.accepted(destination=sim, destination_ton=1)
        assert (message.route, message.destination_ton, message.destination_npi) == ("sims", 0, 0)
        [(pdu, _)] = self.journey.link("south").submitted
        assert (pdu.destination_addr, pdu.dest_addr_ton) == (sim.encode(), 0)

    def test_best_rate_is_what_receipts_say(self) -> None:
        """The carrier that delivered gets it, also after other tables came into force."""
        provisioning = provisioned()
        for name in ("north", "south"):
            provisioning.routes[name] = Route(name, ["447"], [name], select="best-rate")
        self.journey.provision(provisioning)
        for carrier, delivered in (("north", False), ("south", True)):
            for _ in range(40):
                self.journey.tables.rates.count(carrier, delivered)
        self.journey.provision(provisioning)
        taken = Counter(self.journey.accepted().route for _ in range(40))
        assert taken["south"] > taken["north"]
