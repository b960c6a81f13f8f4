"""Inbound: an MO is for the account that has the number, and is answered when it is durable."""

from smsgw.message import Direction, MessageState
from smsgw.provisioning import Account, Number
from smsgw.queues import Kind
from smsgw.refusals import Refusal
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import DeliverSm
from smsgw.store import schema
from tests.flow.journey import DESTINATION, HOUR_MS, NOW_MS, SOURCE, JourneyCase, a_message


def an_mo(sequence: int = 1, to: str = SOURCE, text: bytes = b"Hi") -> DeliverSm:
    return DeliverSm(
        sequence=sequence,
        source_addr_ton=1,
        source_addr_npi=1,
        source_addr=DESTINATION.encode(),
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=to.encode(),
        short_message=text,
    )


class InboundTests(JourneyCase):
    def received(self, *pdus: DeliverSm) -> list[tuple[int, Status]]:
        answers = self.journey.result(self.journey.inbound.receive("north", list(pdus)))
        return [(answer.sequence, Status(answer.status)) for answer in answers]

    def test_an_mo_waits_for_its_account(self) -> None:
        """Message and entry are in the store when the carrier is answered (I1, I3)."""
        assert self.received(an_mo(7)) == [(7, Status.ESME_ROK)]
        [entry] = self.journey.entries()
        assert (entry.queue, entry.kind, entry.due) == ("account:acme", Kind.MO, NOW_MS)
        assert entry.expires_at == NOW_MS + 72 * HOUR_MS
        [row] = self.journey.rows(schema.message)
        assert (row.id, row.direction, row.account) == (entry.message, Direction.MO, "acme")
        assert (row.source, row.destination) == (DESTINATION, SOURCE)
        assert (row.state, row.open_until) == (MessageState.ENROUTE, None)
        assert self.journey.inbound.received == 1

    def test_it_is_answered_when_it_is_durable(self) -> None:
        """Not before its commit (I1)."""
        self.journey.journal.waiting = True
        done = self.journey.inbound.receive("north", [an_mo()])
        self.assertNoResult(done)
        self.journey.journal.release()
        assert len(self.successResultOf(done)) == 1

    def test_the_account_is_that_which_has_the_number(self) -> None:
        """Each account gets what is for its own numbers (I6)."""
        other = Account("other", number=[Number("447700900001")])
        self.journey.provisioning.accounts["other"] = other
        self.journey.provision(self.journey.provisioning)
        self.received(an_mo(1), an_mo(2, "447700900001"))
        assert [entry.queue for entry in self.journey.entries()] == [
            "account:acme",
            "account:other",
        ]

    def test_a_plus_before_the_number_does_not_matter(self) -> None:
        """Some carriers write it."""
        assert self.received(an_mo(1, "+" + SOURCE)) == [(1, Status.ESME_ROK)]

    def test_a_number_of_nobody_is_refused(self) -> None:
        """ESME_RINVDSTADR, so that the carrier never thinks it was delivered; it is counted."""
        assert self.received(an_mo(1, "447700900009")) == [(1, Status.ESME_RINVDSTADR)]
        assert self.journey.rows(schema.message) == []
        assert self.journey.inbound.nobodys == 1

    def test_each_of_a_read_has_its_own_answer(self) -> None:
        """One that is refused harms no other; all are one commit."""
        before = self.journey.journal.transactions
        answers = self.received(an_mo(1), an_mo(2, "447700900009"), an_mo(3))
        assert answers == [
            (1, Status.ESME_ROK),
            (2, Status.ESME_RINVDSTADR),
            (3, Status.ESME_ROK),
        ]
        assert self.journey.journal.transactions == before + 1
        assert len(self.journey.entries()) == 2

    def test_what_is_not_stored_is_tried_again_by_the_carrier(self) -> None:
        """ESME_RX_T_APPN for what could have been taken; what could not is refused for good."""
        self.journey.journal.broken = "disk full"
        assert self.received(an_mo(1), an_mo(2, "447700900009")) == [
            (1, Status.ESME_RX_T_APPN),
            (2, Status.ESME_RINVDSTADR),
        ]
        self.journey.journal.broken = ""
        assert self.journey.rows(schema.message) == []
        assert self.journey.inbound.received == 0
        assert self.received(an_mo(3)) == [(3, Status.ESME_ROK)]

    def test_what_is_not_stored_is_not_handed_over(self) -> None:
        """A session that is bound gets only what is durable."""
        session = self.journey.session()
        self.journey.journal.broken = "disk full"
        self.received(an_mo())
        assert session.delivered == []

    def test_octets_that_are_no_text_are_taken(self) -> None:
        """Whatever a handset sends reaches the account."""
        assert self.received(an_mo(1, text=bytes(range(140)))) == [(1, Status.ESME_ROK)]
        assert self.received(an_mo(2, text=b"")) == [(2, Status.ESME_ROK)]

    def test_each_mo_has_an_id_of_its_own(self) -> None:
        """Two texts that are equal are two messages."""
        self.received(an_mo(1), an_mo(2))
        assert len({row.id for row in self.journey.rows(schema.message)}) == 2

    def test_wildcards_and_keywords_say_whose_it_is(self) -> None:
        """The address before a wildcard, and the first word among those who share an address."""
        accounts = self.journey.provisioning.accounts
        accounts["wide"] = Account("wide", number=[Number("4477009*")])
        accounts["win"] = Account("win", number=[Number(SOURCE, keyword="WIN")])
        self.journey.provision(self.journey.provisioning)
        self.received(
            an_mo(1), an_mo(2, text=b"win!"), an_mo(3, "447700900777"), an_mo(4, "447711111111")
        )
        assert [entry.queue for entry in self.journey.entries()] == [
            "account:acme",
            "account:win",
            "account:wide",
        ]

    def test_an_account_may_send_from_its_wildcard(self) -> None:
        """Its own numbers are always allowed."""
        accounts = self.journey.provisioning.accounts
        numbers = [Number("4477008*")]
        accounts["acme"] = Account("acme", senders=["ACME"], number=numbers)
        self.journey.provision(self.journey.provisioning)
        assert self.journey.accepted(source="447700800123").source == "447700800123"
        [refused] = self.journey.accept(a_message(source="447700900123"))
        assert isinstance(refused, Refusal)
