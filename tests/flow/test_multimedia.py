"""Multimedia messages at acceptance: they pass what short messages pass, as one part, and go only
to carriers that take them."""

from typing import Any

from attrs import evolve
from twisted.trial.unittest import TestCase

from smsgw.flow.decide import MMS_VALIDITY_MS
from smsgw.message import Media, Message, Multimedia
from smsgw.provisioning import Account, Carrier, Number, Provisioning, Route
from smsgw.provisioning.routing import Filter
from smsgw.refusals import Reason, Refusal
from smsgw.smpp.pdu import DeliverSm
from smsgw.store import schema
from tests.flow.journey import DESTINATION, NOW_MS, SOURCE, Journey, a_message

PICTURE = Media("image/jpeg", "photo.jpg", "photo", "a1" * 32, 30_000)
TEXT = Media("text/plain", "text.txt", "text", "b2" * 32, 12, "utf-8")


def provisioned(**route: Any) -> Provisioning:
    """A route with a carrier for multimedia messages and two for short ones."""
    return Provisioning(
        accounts={"acme": Account(name="acme", number=[Number(SOURCE)])},
        carriers={
            "north": Carrier("north"),
            "mmsc": Carrier("mmsc", kind="mm4", domain="mms.example.net"),
            "other": Carrier("other", kind="mm4", domain="mms.example.org"),
        },
        routes={
            "uk": Route(
                "uk", **{"prefixes": ["44"], "carriers": ["north", "mmsc", "other"], **route}
            )
        },
    )


def an_mms(**fields: Any) -> Message:
    """A multimedia message as an edge hands it in."""
    multimedia = Multimedia(media=[PICTURE, TEXT], subject="Holiday", text="Greetings")
    given = {"kind": "mms", "parts": [b""], "multimedia": multimedia, "interface": "mm4"}
    return a_message(**{**given, **fields})


class AcceptedTests(TestCase):
    """What passes."""

    def setUp(self) -> None:
        self.journey = Journey(self, provisioned(price="0.0500"))

    def refused(self, message: Message) -> Refusal:
        """Why it is."""
        [outcome] = self.journey.accept(message)
        assert isinstance(outcome, Refusal), outcome
        return outcome

    def test_an_mms_is_one_part_for_its_carrier(self) -> None:
        """One entry, priced as one part, in the queue of the first carrier of kind mm4; failover is
        to others of that kind."""
        [message] = self.journey.accept(an_mms())
        assert isinstance(message, Message)
        assert message.carriers == ["mmsc", "other"]
        assert (len(message.parts), message.charged) == (1, 500)
        [entry] = self.journey.taker("carrier:mmsc").taken
        assert entry.message is message

    def test_its_media_are_referred_to_in_its_transaction(self) -> None:
        """Each file once, until the media of messages are over (I1)."""
        twice = Multimedia(media=[PICTURE, TEXT, evolve(PICTURE, name="again.jpg", id="again")])
        [message] = self.journey.accept(an_mms(multimedia=twice))
        assert isinstance(message, Message)
        rows = sorted(self.journey.rows(schema.media))
        until = NOW_MS + self.journey.acceptance.media_ms
        assert [tuple(row) for row in rows] == [
            (message.id, "a1" * 32, 30000, until),
            (message.id, "b2" * 32, 12, until),
        ]

    def test_it_is_valid_for_72_hours(self) -> None:
        """Without an expiry of its own (spec/mm4.md §4); with one, until that."""
        [plain, short] = self.journey.accept(an_mms(), an_mms(validity_ms=60_000))
        assert isinstance(plain, Message)
        assert isinstance(short, Message)
        assert plain.expires_at == NOW_MS + MMS_VALIDITY_MS
        assert short.expires_at == NOW_MS + 60000

    def test_a_short_message_passes_by_the_mmscs(self) -> None:
        """It goes to the carriers of the route that take it."""
        message = self.journey.accepted()
        assert message.carriers == ["north"]

    def test_its_subject_and_text_are_filtered(self) -> None:
        """A filter finds words in either; what is refused keeps no content."""
        for word in ("Holiday", "Greetings"):
            provisioning = provisioned()
            provisioning.filters["words"] = Filter("words", word)
            self.journey.provision(provisioning)
            refusal = self.refused(an_mms())
            assert refusal.reason == Reason.FILTERED
            assert refusal.message is not None
            assert refusal.message.multimedia == Multimedia()
        assert self.journey.rows(schema.media) == []

    def test_the_same_media_again_are_a_duplicate(self) -> None:
        """Within the account's window, by the digests of the media and the subject."""
        provisioning = provisioned()
        provisioning.accounts["acme"].duplicate_window_s = 60
        self.journey.provision(provisioning)
        other = Multimedia(media=[TEXT])
        outcomes = self.journey.accept(an_mms(), an_mms(), an_mms(multimedia=other), a_message())
        assert [isinstance(one, Refusal) for one in outcomes] == [0, 1, 0, 0]
        assert self.refused(an_mms()).reason == Reason.DUPLICATE

    def test_numbers_that_opted_out_get_none(self) -> None:
        """As of short messages: 52."""
        stop = [DeliverSm(source_addr=DESTINATION.encode(), destination_addr=SOURCE.encode())]
        stop[0].short_message = b"STOP"
        self.journey.result(self.journey.inbound.receive("north", stop))
        assert self.refused(an_mms()).reason == Reason.OPTED_OUT


class RoutedTests(TestCase):
    """Which routes take which kind."""

    def outcome(self, message: Message, **route: Any) -> Any:
        """What becomes of it."""
        self.journey = Journey(self, provisioned(**route))
        [outcome] = self.journey.accept(message)
        return outcome

    def test_no_mmsc_takes_a_short_message(self) -> None:
        """A route of MMSCs only is none for it."""
        outcome = self.outcome(a_message(), carriers=["mmsc"])
        assert outcome.reason == Reason.NO_ROUTE

    def test_no_smsc_takes_an_mms(self) -> None:
        """A route of SMSCs only is none for it."""
        outcome = self.outcome(an_mms(), carriers=["north"])
        assert outcome.reason == Reason.NO_ROUTE

    def test_a_route_may_be_for_one_kind(self) -> None:
        """The filter ``kinds``."""
        outcome = self.outcome(an_mms(), kinds=["sms"])
        assert outcome.reason == Reason.NO_ROUTE
        assert isinstance(self.outcome(an_mms(), kinds=["mms"]), Message)
        outcome = self.outcome(a_message(), kinds=["mms"])
        assert outcome.reason == Reason.NO_ROUTE

    def test_a_route_may_make_a_link_of_it(self) -> None:
        """With ``mms = "link"`` and no carrier of kind mm4 it becomes the SMS that ``link`` makes
        of it, is counted in parts, and still keeps its media."""

        def link(message: Message, account: Account) -> None:
            message.kind, message.text, message.parts = "sms", "x" * 200, []

        self.journey = Journey(self, provisioned(carriers=["north"], mms="link"))
        self.journey.acceptance.link_by(link)
        [message] = self.journey.accept(an_mms())
        assert isinstance(message, Message)
        assert (message.carriers, len(message.parts)) == (["north"], 2)
        assert len(self.journey.rows(schema.media)) == 2

    def test_a_link_is_for_carriers_that_take_no_mms(self) -> None:
        """With a carrier of kind mm4 on the route it goes as it is."""
        message = self.outcome(an_mms(), mms="link")
        assert (message.kind, message.carriers) == ("mms", ["mmsc", "other"])
