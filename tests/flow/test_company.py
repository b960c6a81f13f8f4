"""Company: the parts of a long message that its sender cut go by the same carrier; and what the
form of long messages at a carrier does at acceptance."""

from typing import Any

from attrs import evolve

from smsgw.flow import company
from smsgw.message import UDHI, Message
from smsgw.provisioning import Carrier, Route
from smsgw.refusals import Reason, Refusal
from smsgw.text import parts
from tests.flow.journey import DESTINATION, NORTH, JourneyCase, a_message

TEXT = "The quick brown fox jumps over the lazy dog. " * 8


class CompanyCase(JourneyCase):
    """Two routes of which one is chosen by turns."""

    def setUp(self) -> None:
        super().setUp()
        self.journey.provisioning.routes = {
            name: Route(name, ["44"], [carrier], select="round-robin")
            for name, carrier in (("one", "north"), ("two", "south"))
        }
        self.journey.provision(self.journey.provisioning)

    def part(self, number: int, reference: int = 7, total: int = 3, **fields: Any) -> str:
        """The carrier of a part."""
        octets = bytes((5, 0, 3, reference, total, number)) + b"text"
        given: dict[str, Any] = {"parts": [octets], "esm_class": UDHI}
        return self.journey.accepted(**{**given, **fields}).carriers[0]


class CompanyTests(CompanyCase):
    def test_parts_of_a_message_take_one_way(self) -> None:
        """Whatever lies between them."""
        first = self.part(1)
        others = [self.journey.accepted().carriers[0] for _ in range(3)]
        assert set(others) == {"north", "south"}
        assert [self.part(n) for n in (2, 3)] == [first, first]

    def test_reference_addresses_and_number_of_parts_tell_messages_apart(self) -> None:
        """Each finds a way of its own, by turns."""
        ways = [
            self.part(1),
            self.part(1, reference=8),
            self.part(1, total=4),
            self.part(1, source="447700900111"),
            self.part(1, destination="447700900222"),
        ]
        assert ways == [ways[0], ways[1]] * 2 + [ways[0]]
        assert ways[0] != ways[1]

    def test_wide_references_and_sar_count_as_well(self) -> None:
        """Every form of a part."""
        wide = [bytes((6, 8, 4, 1, 2, 2, n)) + b"x" for n in (1, 2)]
        ways = {
            self.journey.accepted(parts=[octets], esm_class=UDHI).carriers[0] for octets in wide
        }
        assert len(ways) == 1

    def test_after_an_hour_it_is_forgotten(self) -> None:
        """A reference comes again with another message."""
        first = self.part(1)
        self.journey.clock.advance(3599)
        assert self.part(2) == first
        self.journey.clock.advance(3600)
        assert self.part(1) != first

    def test_a_way_that_is_no_more_is_not_taken(self) -> None:
        """The provisioning that is in force decides."""
        first = self.part(1)
        routes = self.journey.provisioning.routes
        gone = next(name for name, one in routes.items() if one.carriers == [first])
        del routes[gone]
        self.journey.provision(self.journey.provisioning)
        assert self.part(2) != first

    def test_so_many_are_remembered(self) -> None:
        """Memory is bounded (I5)."""
        self.patch(company, "_MOST", 2)
        for reference in range(4):
            self.part(1, reference=reference)
        assert len(self.journey.acceptance._decisions._company._ways) == 2

    def test_a_failed_link_does_not_part_them(self) -> None:
        """They keep the order of carriers of the first."""
        routes = self.journey.provisioning.routes
        routes.clear()
        routes["all"] = Route("all", ["44"], ["north", "south"])
        self.journey.provision(self.journey.provisioning)
        decisions = self.journey.acceptance._decisions
        decisions._is_up = lambda carrier: carrier == "south"
        assert self.part(1) == "south"
        decisions._is_up = lambda carrier: True
        assert self.part(2) == "south"


class WideTests(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        carriers = self.journey.provisioning.carriers
        carriers["north"] = evolve(carriers["north"], long="udh16")
        self.journey.provision(self.journey.provisioning)

    def test_a_text_is_cut_for_references_of_sixteen_bits(self) -> None:
        """152 septets a part, so that they reach the carrier with such a header."""
        [message] = self.journey.accept(a_message(parts=[], text="x" * 305))
        assert isinstance(message, Message)
        assert [len(octets) - 7 for octets in message.parts] == [152, 152, 1]
        assert [parts.concat(octets)[1:] for octets in message.parts] == [(3, 1), (3, 2), (3, 3)]  # type: ignore[index]
        link = self.journey.link()
        assert [pdu.short_message for pdu, _ in link.submitted] == message.parts

    def test_its_parts_are_counted_so(self) -> None:
        """What is over the limit only because of it is refused."""
        account = self.journey.provisioning.accounts["acme"]
        self.journey.provisioning.accounts["acme"] = evolve(account, max_parts=2)
        self.journey.provision(self.journey.provisioning)
        [refused] = self.journey.accept(a_message(parts=[], text="x" * 306))
        assert isinstance(refused, Refusal)
        assert refused.reason is Reason.TOO_LONG


class QueueLimitTests(JourneyCase):
    def limit(self, limit: int) -> None:
        self.journey.queues.limit = lambda queue: limit if queue == NORTH else 0
        self.journey.queues.review_limits()

    def test_a_full_queue_takes_no_more(self) -> None:
        """ESME_RMSGQFUL, and nothing is stored; when there is room, more is taken."""
        self.limit(2)
        self.journey.accepted()
        self.journey.accepted()
        [refused] = self.journey.accept(a_message())
        assert isinstance(refused, Refusal)
        assert (refused.reason, refused.reason.answer.smpp) == (Reason.QUEUE_FULL, 0x14)
        assert len(self.journey.entries(NORTH)) == 2
        self.journey.link().answer(count=1)
        self.journey.accepted()

    def test_it_is_counted_in_the_store(self) -> None:
        """A restart knows it, and so does a change of the limit."""
        for _ in range(3):
            self.journey.accepted()
        self.journey.restart()
        assert self.journey.queues.full == set()
        self.limit(3)
        assert self.journey.queues.full == {NORTH}
        self.limit(4)
        assert self.journey.queues.full == set()

    def test_another_carrier_s_queue_is_not_meant(self) -> None:
        """I5."""
        self.journey.provisioning.carriers["other"] = Carrier("other")
        self.journey.provisioning.routes["fr"] = Route("fr", ["33"], ["other"])
        self.journey.provision(self.journey.provisioning)
        self.limit(1)
        self.journey.accepted()
        assert self.journey.accepted(destination="33611111111").carriers == ["other"]
        [refused] = self.journey.accept(a_message(destination=DESTINATION))
        assert isinstance(refused, Refusal)
