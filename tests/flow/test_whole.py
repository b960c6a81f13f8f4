"""Whole: a carrier that takes long messages in message_payload gets them in one submit_sm, and what
it says of that holds for every part."""

from attrs import evolve

from smsgw.message import UDHI, Message, MessageState
from smsgw.smpp.constants import Status, Tag
from tests.flow.journey import NORTH, SOUTH, FakeLink, JourneyCase, a_message

TEXT = "The quick brown fox jumps over the lazy dog. " * 8


class WholeCase(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        self.takes("payload")

    def takes(self, north: str, south: str = "udh") -> None:
        carriers = self.journey.provisioning.carriers
        carriers["north"] = evolve(carriers["north"], long=north)
        carriers["south"] = evolve(carriers["south"], long=south)
        self.journey.provision(self.journey.provisioning)

    def accepted(self, **fields: int) -> Message:
        [message] = self.journey.accept(a_message(parts=[], text=TEXT, **fields))
        assert isinstance(message, Message)
        assert len(message.parts) == 3
        return message

    def payloads(self, link: FakeLink) -> list[bytes]:
        return [dict(pdu.tlvs).get(Tag.MESSAGE_PAYLOAD, b"") for pdu, _ in link.submitted]


class OneSubmitTests(WholeCase):
    def test_it_goes_in_one(self) -> None:
        """One submit_sm, and no entry is left when it is answered."""
        message = self.accepted()
        link = self.journey.link()
        assert self.payloads(link) == [TEXT.encode()]
        assert link.submitted[0][0].esm_class == 0
        link.answer(names=["x1"])
        assert self.journey.entries() == []
        stored = self.journey.stored(message)
        assert [one.carrier_id for one in stored.acknowledged.values()] == ["x1"] * 3

    def test_its_receipt_is_that_of_every_part(self) -> None:
        """The message ends with it."""
        message = self.accepted(registered_delivery=1)
        self.journey.link().answer(names=["x1"])
        assert self.journey.receive("x1")
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_also_when_a_new_process_gets_it(self) -> None:
        """The store knows the parts by that id."""
        message = self.accepted(registered_delivery=1)
        self.journey.link().answer(names=["x1"])
        self.journey.restart()
        assert self.journey.receive("x1")
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_a_receipt_that_comes_first_is_as_well(self) -> None:
        """It waits for the answer."""
        message = self.accepted(registered_delivery=1)
        link = self.journey.link()
        self.journey.receive("x1")
        link.answer(names=["x1"])
        assert self.journey.stored(message).state == MessageState.DELIVERED

    def test_a_window_of_one_is_enough(self) -> None:
        """What comes after its message was sent takes over what was said of it."""
        message = self.accepted()
        link = self.journey.link(window=1)
        assert self.payloads(link) == [TEXT.encode()]
        link.answer(names=["x1"])
        assert self.journey.entries() == []
        assert len(self.journey.stored(message).acknowledged) == 3
        assert link.submitted == []

    def test_what_is_not_answered_goes_again_in_one(self) -> None:
        """A lost link, and a restart."""
        self.accepted()
        link = self.journey.link()
        link.lose()
        link.come_up()
        assert self.payloads(link) == [TEXT.encode()]
        self.journey.restart()
        link = self.journey.link()
        assert self.payloads(link) == [TEXT.encode()]

    def test_a_temporary_refusal_postpones_all_of_it(self) -> None:
        """And it goes again in one."""
        self.accepted()
        link = self.journey.link()
        link.answer(Status.ESME_RTHROTTLED)
        assert link.submitted == []
        self.journey.clock.pump([1.0] * 40)
        assert self.payloads(link) == [TEXT.encode()]

    def test_short_messages_and_an_esme_s_own_parts_go_as_they_are(self) -> None:
        """One of them is all that is known of its message."""
        part = b"\x05\x00\x03\x07\x02\x01first"
        self.journey.accept(a_message(), a_message(parts=[part], esm_class=UDHI))
        link = self.journey.link()
        assert [pdu.short_message for pdu, _ in link.submitted] == [b"Hello", part]

    def test_a_session_without_tlvs_gets_parts(self) -> None:
        """There is no message_payload in 3.3."""
        self.accepted()
        side = self.journey.side()
        [link] = side.links
        link.version = 0x33  # type: ignore[misc]
        link.come_up()  # type: ignore[attr-defined]
        assert [pdu.esm_class for pdu, _ in link.submitted] == [UDHI] * 3  # type: ignore[attr-defined]


class FailoverTests(WholeCase):
    def test_the_next_carrier_gets_parts_if_it_wants_them(self) -> None:
        """Each as that carrier takes it."""
        self.accepted()
        self.journey.link().answer(Status.ESME_RSUBMITFAIL)
        assert len(self.journey.entries(SOUTH)) == 3
        south = self.journey.link("south")
        assert [pdu.short_message[:3] for pdu, _ in south.submitted] == [b"\x05\x00\x03"] * 3

    def test_or_the_whole(self) -> None:
        """If all before it were such."""
        self.takes("payload", "payload")
        self.accepted()
        self.journey.link().answer(Status.ESME_RSUBMITFAIL)
        assert self.payloads(self.journey.link("south")) == [TEXT.encode()]

    def test_after_one_that_took_parts_parts_come(self) -> None:
        """It may have taken some of them."""
        self.takes("udh", "payload")
        self.accepted()
        north = self.journey.link()
        north.answer(Status.ESME_RSUBMITFAIL, 1)
        north.answer()
        south = self.journey.link("south")
        [(pdu, _)] = south.submitted
        assert pdu.short_message.startswith(b"\x05\x00\x03")

    def test_a_final_refusal_ends_the_message(self) -> None:
        """All parts of it."""
        self.journey.provisioning.routes["uk"].carriers[:] = ["north"]
        self.journey.provision(self.journey.provisioning)
        message = self.accepted()
        self.journey.link().answer(Status.ESME_RSUBMITFAIL)
        assert self.journey.stored(message).state == MessageState.UNDELIVERABLE
        assert self.journey.entries(NORTH) == []
