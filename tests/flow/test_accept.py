"""Accept: what is checked, in which order, and that nothing is answered before it is durable."""

from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from smsgw.flow.accept import RECEIPT_GRACE_MS
from smsgw.flow.decide import DEFAULT_VALIDITY_MS, MAX_VALIDITY_MS
from smsgw.message import UDHI, Message, MessageState
from smsgw.provisioning import Account, Provisioning
from smsgw.refusals import Reason, Refusal
from smsgw.store import schema
from smsgw.text import coding, parts
from tests.flow.journey import (
    DESTINATION,
    HOUR_MS,
    NORTH,
    NOW_MS,
    SOURCE,
    JourneyCase,
    a_message,
    provisioned,
)

ELSEWHERE = "33123456789"  # no route leads there
DAY_MS = 24 * HOUR_MS


def with_account(**fields: Any) -> Provisioning:
    provisioning = provisioned()
    provisioning.accounts["acme"] = evolve(provisioning.accounts["acme"], **fields)
    return provisioning


class AcceptTests(JourneyCase):
    def refused(self, **fields: Any) -> Reason:
        [outcome] = self.journey.accept(a_message(**fields))
        assert isinstance(outcome, Refusal), outcome
        return outcome.reason

    def texted(self, text: str, **fields: Any) -> Message:
        return self.journey.accepted(parts=[], text=text, interface="rest", **fields)

    def test_what_is_accepted_is_in_the_store_with_its_entry(self) -> None:
        """Message and queue entry are there when the edge may say yes (I1, I3)."""
        message = self.journey.accepted()
        assert self.journey.stored(message) == message
        [entry] = self.journey.entries(NORTH)
        assert (entry.message, entry.part, entry.due) == (message.id, 0, NOW_MS)
        assert entry.expires_at == message.expires_at

    def test_smart_encoding_makes_a_text_gsm(self) -> None:
        """Typographic characters only cost a part when the account does not want look-alikes."""
        text = "“It’s here…” – 5\u00a0€"
        message = self.texted(text)
        assert (message.data_coding, message.parts) == (8, [text.encode("utf-16-be")])
        self.journey.provision(with_account(smart_encoding=True))
        message = self.texted(text)
        assert (message.data_coding, message.parts) == (
            0,
            [coding.encode('"It\'s here..." - 5 €', 0)],
        )

    def test_smart_encoding_leaves_what_cannot_be_gsm(self) -> None:
        """Nor is a text touched whose coding was asked for."""
        self.journey.provision(with_account(smart_encoding=True))
        message = self.texted("“Привет”")
        assert (message.data_coding, message.parts) == (8, ["“Привет”".encode("utf-16-be")])
        message = self.texted("“Hi”", data_coding=8)
        assert (message.data_coding, message.parts) == (8, ["“Hi”".encode("utf-16-be")])

    def test_nothing_is_answered_before_it_is_durable(self) -> None:
        """The outcome comes after the commit (I1)."""
        self.journey.journal.waiting = True
        done = self.journey.acceptance.accept(self.journey.login(), [a_message()])
        self.assertNoResult(done)
        self.journey.journal.release()
        assert len(self.successResultOf(done)) == 1

    def test_a_batch_is_one_transaction(self) -> None:
        """A hundred messages of one read are one commit."""
        outcomes = self.journey.accept(*[a_message() for _ in range(100)])
        assert len({outcome.id for outcome in outcomes if isinstance(outcome, Message)}) == 100
        assert self.journey.journal.transactions == 1

    def test_outcomes_are_in_order(self) -> None:
        """Each message has its own outcome, at its own place; a refusal harms no other."""
        batch = [a_message(), a_message(destination="abc"), a_message(source=""), a_message()]
        outcomes = self.journey.accept(*batch)
        assert outcomes[0] is batch[0]
        assert outcomes[1] == Refusal(Reason.BAD_DESTINATION, "abc")
        assert outcomes[2] == Refusal(Reason.BAD_SOURCE, "")
        assert outcomes[3] is batch[3]
        assert len(self.journey.entries(NORTH)) == 2

    def test_what_the_gateway_decides_is_filled_in(self) -> None:
        """Id, account, times, route, its carriers and the price of a part."""
        message = self.journey.accepted()
        assert message.id > 0
        assert (message.account, message.credential) == ("acme", "acme")
        assert (message.accepted_at, message.expires_at) == (NOW_MS, NOW_MS + DEFAULT_VALIDITY_MS)
        assert (message.route, message.carriers) == ("uk", ["north", "south"])
        assert message.price == "0.0100"

    def test_addresses_are_normalised(self) -> None:
        """National numbers become international ones of the account's country (ruling 10)."""
        message = self.journey.accepted(source="07700900000", destination="+447700900123")
        assert (message.source, message.source_ton, message.source_npi) == (SOURCE, 1, 1)
        assert (message.destination, message.destination_ton) == (DESTINATION, 1)
        message = self.journey.accepted(source="ACME", destination="07700900123")
        assert (message.source, message.source_ton, message.source_npi) == ("ACME", 5, 0)
        assert message.destination == DESTINATION

    def test_what_is_no_address_is_refused(self) -> None:
        """Each fault of an address has its reason."""
        assert self.refused(destination="12") is Reason.BAD_DESTINATION
        assert self.refused(destination="447700900123", destination_ton=5) is (
            Reason.BAD_DESTINATION_TON
        )
        assert self.refused(source="much too long a name") is Reason.BAD_SOURCE
        assert self.refused(source="ACME", source_ton=6) is Reason.BAD_SOURCE_TON

    def test_a_text_is_coded_in_the_smallest_way(self) -> None:
        """GSM if every character has a septet, else UCS-2."""
        message = self.texted("Grüße")
        assert (message.data_coding, message.parts) == (0, [b"Gr\x7e\x1ee"])
        assert message.text is None
        message = self.texted("Привет")
        assert (message.data_coding, message.parts) == (8, ["Привет".encode("utf-16-be")])

    def test_a_coding_that_is_asked_for_is_used(self) -> None:
        """A text that it cannot carry is refused."""
        message = self.texted("Grüße", data_coding=3)
        assert (message.data_coding, message.parts) == (3, ["Grüße".encode("latin-1")])
        assert self.refused(text="Привет", data_coding=3) is Reason.BAD_CODING

    def test_flash_is_class_0_of_the_coding(self) -> None:
        """0x10 or 0x18 (E-D27); a coding that has no class 0 is refused."""
        assert self.texted("Hello", flash=True).data_coding == 0x10
        assert self.texted("Привет", flash=True).data_coding == 0x18
        assert self.refused(text="Hello", data_coding=3, flash=True) is Reason.BAD_CODING

    def test_a_text_of_160_septets_is_one_part(self) -> None:
        """A-D23: 160 septets or 70 UCS-2 units fit in one part."""
        assert len(self.texted("x" * 160).parts) == 1
        assert len(self.texted("€" * 80).parts) == 1
        assert len(self.texted("Ж" * 70).parts) == 1

    def test_a_longer_text_is_split_with_an_entry_for_each_part(self) -> None:
        """Parts have a UDH with one reference, and each is sent and settled by itself."""
        message = self.texted("x" * 161)
        assert message.esm_class == UDHI
        assert [len(octets) for octets in message.parts] == [159, 14]
        places = [parts.concat(octets) for octets in message.parts]
        assert [place and place[1:] for place in places] == [(2, 1), (2, 2)]
        entries = self.journey.entries(NORTH)
        assert sorted(entry.part for entry in entries) == [0, 1]
        assert len({entry.id for entry in entries}) == 2
        assert self.journey.stored(message).parts == message.parts

    def test_octets_of_a_payload_are_split_too(self) -> None:
        """What an SMPP client gave as message_payload is cut by its data coding."""
        message = self.journey.accepted(parts=[b"x" * 300], data_coding=4)
        assert [len(octets) for octets in message.parts] == [140, 140, 38]

    @settings(max_examples=40, deadline=None)
    @given(st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=500))
    def test_the_parts_of_a_text_are_the_text(self, text: str) -> None:
        """Whatever is split, a handset puts together again."""
        [outcome] = self.journey.accept(a_message(text=text, parts=[]))
        if isinstance(outcome, Refusal):
            assert outcome.reason is Reason.TOO_LONG
            return
        joined = parts.join(outcome.parts, bool(outcome.esm_class & UDHI))
        assert coding.decode(outcome.data_coding, joined) == text

    def test_more_parts_than_the_account_may_are_too_long(self) -> None:
        """max_parts of the account is the limit, at the limit it passes."""
        self.journey.provision(with_account(max_parts=2))
        assert len(self.texted("x" * 306).parts) == 2
        assert self.refused(text="x" * 307) is Reason.TOO_LONG

    def test_no_message_has_more_than_255_parts(self) -> None:
        """The header counts no further, whatever the account may."""
        self.journey.provision(with_account(max_parts=255))
        assert self.refused(text="x" * 153 * 256) is Reason.TOO_LONG

    def test_octets_with_a_header_of_their_own_are_one_part(self) -> None:
        """The client has split already; what does not fit in a part is too long."""
        header = b"\x05\x00\x03\x07\x02\x01"
        fits = self.journey.accepted(parts=[header + b"x" * 153], esm_class=UDHI)
        assert len(fits.parts) == 1
        assert self.refused(parts=[header + b"x" * 154], esm_class=UDHI) is Reason.TOO_LONG
        ucs2 = {"esm_class": UDHI, "data_coding": 8}
        assert len(self.journey.accepted(parts=[header + b"\0x" * 67], **ucs2).parts) == 1
        assert self.refused(parts=[header + b"\0x" * 68], **ucs2) is Reason.TOO_LONG

    def test_a_header_alone_must_fit_in_a_part_too(self) -> None:
        """A UDH of more octets than a part has could never be sent."""
        longest = bytes([139, 0x70, 137]) + b"x" * 137
        assert len(self.journey.accepted(parts=[longest], esm_class=UDHI).parts[0]) == 140
        longer = bytes([200, 0x70, 198]) + b"x" * 198
        assert self.refused(parts=[longer], esm_class=UDHI) is Reason.TOO_LONG

    def test_senders_are_the_provisioned_ones(self) -> None:
        """An account with senders uses these, its own numbers, and no others."""
        self.journey.provision(with_account(senders=["ACME"]))
        assert self.journey.accepted(source="ACME").source == "ACME"
        assert self.journey.accepted(source=SOURCE).source == SOURCE
        assert self.journey.accepted(source="07700900000").source == SOURCE
        assert self.refused(source="acme") is Reason.SOURCE_NOT_PROVISIONED
        assert self.refused(source="447700900001") is Reason.SOURCE_NOT_PROVISIONED

    def test_without_senders_any_source_goes(self) -> None:
        """An empty list is no limit."""
        assert self.journey.accepted(source="Anybody").source == "Anybody"

    def test_a_scheduled_message_waits_for_its_time(self) -> None:
        """Its entry is due then, and its validity begins then."""
        at = NOW_MS + DAY_MS
        message = self.journey.accepted(schedule_at=at, validity_ms=HOUR_MS)
        [entry] = self.journey.entries(NORTH)
        assert (entry.due, entry.expires_at) == (at, at + HOUR_MS)
        assert message.expires_at == at + HOUR_MS
        taker = self.journey.taker()
        assert taker.taken == []
        self.journey.clock.advance(DAY_MS / 1000)
        assert [entry.message for entry in taker.taken] == [message]

    def test_a_schedule_is_thirty_days_ahead_at_most(self) -> None:
        """The 30 days of scheduleTime (spec/aerialink.md 4.3)."""
        self.journey.accepted(schedule_at=NOW_MS + 30 * DAY_MS)
        assert self.refused(schedule_at=NOW_MS + 30 * DAY_MS + 1000) is Reason.BAD_SCHEDULE

    def test_a_schedule_in_the_past_is_now(self) -> None:
        """What should have gone already goes at once, with the whole of its validity."""
        message = self.journey.accepted(schedule_at=NOW_MS - DAY_MS)
        [entry] = self.journey.entries(NORTH)
        assert entry.due == NOW_MS
        assert message.expires_at == NOW_MS + DEFAULT_VALIDITY_MS

    def test_a_validity_is_seven_days_at_most(self) -> None:
        """A longer one is cut down; a shorter one is kept (spec/aerialink.md 4.3, L-D21)."""
        longest = self.journey.accepted(validity_ms=30 * DAY_MS)
        assert longest.expires_at == NOW_MS + MAX_VALIDITY_MS
        assert self.journey.accepted(validity_ms=60_000).expires_at == NOW_MS + 60_000

    def test_a_destination_without_a_route_keeps_a_rejected_transaction(self) -> None:
        """REST shows it with code 50; its text is not kept, and nothing is queued."""
        message = a_message(destination=ELSEWHERE, text="secret", parts=[])
        [outcome] = self.journey.accept(message)
        assert outcome == Refusal(Reason.NO_ROUTE, f"no route for {ELSEWHERE}", message)
        stored = self.journey.stored(message)
        assert (stored.state, stored.error) == (MessageState.REJECTED, 206)
        assert (stored.accepted_at, stored.done_at) == (NOW_MS, NOW_MS)
        assert stored.parts == []
        assert b"secret" not in self.journey.rows(schema.message)[0].content
        assert self.journey.entries() == []

    def test_other_refusals_keep_nothing(self) -> None:
        """Only what was processed but not sent is a transaction."""
        assert self.refused(destination="abc") is Reason.BAD_DESTINATION
        assert self.journey.rows(schema.message) == []

    def test_the_rate_counts_parts(self) -> None:
        """Five parts a second: a message of three and one of two, then no more (L-D8)."""
        self.journey.provision(with_account(rate=5))
        outcomes = self.journey.accept(
            a_message(text="x" * 400, parts=[]),
            a_message(text="x" * 200, parts=[]),
            a_message(),
        )
        assert outcomes[2] == Refusal(Reason.THROTTLED, "5 parts a second")
        assert [len(one.parts) for one in outcomes if isinstance(one, Message)] == [3, 2]
        self.journey.clock.advance(0.2)
        self.journey.accepted()
        assert self.refused() is Reason.THROTTLED

    def test_what_is_refused_for_another_reason_uses_up_nothing(self) -> None:
        """The limit comes last."""
        self.journey.provision(with_account(rate=1))
        assert self.refused(destination="abc") is Reason.BAD_DESTINATION
        self.journey.accepted()

    def test_a_refusal_that_is_kept_counts_like_a_message(self) -> None:
        """It costs a row, so it is no way around the rate."""
        self.journey.provision(with_account(rate=1))
        assert self.refused(destination=ELSEWHERE) is Reason.NO_ROUTE
        assert self.refused(destination=ELSEWHERE) is Reason.THROTTLED
        assert len(self.journey.rows(schema.message)) == 1

    def test_a_throttled_message_is_not_stored(self) -> None:
        """Over the limit nothing is stored (L-D8)."""
        self.journey.provision(with_account(rate=1))
        self.journey.accept(a_message(), a_message())
        assert len(self.journey.rows(schema.message)) == 1

    def test_each_account_has_its_own_rate(self) -> None:
        """One account at its limit slows no other (I5)."""
        provisioning = with_account(rate=1)
        provisioning.accounts["other"] = Account("other", rate=1)
        self.journey.provision(provisioning)
        self.journey.accepted()
        assert self.refused() is Reason.THROTTLED
        [outcome] = self.journey.accept(a_message(), account="other")
        assert isinstance(outcome, Message)

    def test_a_changed_rate_is_in_force_at_once(self) -> None:
        """The tables in force decide."""
        self.journey.provision(with_account(rate=1))
        self.journey.accepted()
        assert self.refused() is Reason.THROTTLED
        self.journey.provision(with_account(rate=3))
        for _ in range(3):
            self.journey.accepted()
        assert self.refused() is Reason.THROTTLED
        self.journey.provision(with_account(rate=0))
        self.journey.accepted()

    def test_while_draining_all_is_refused(self) -> None:
        """A node that stops takes nothing more, and says so."""
        self.journey.acceptance.draining = True
        outcomes = self.journey.accept(a_message(), a_message(destination="abc"))
        assert outcomes == [Refusal(Reason.SHUTTING_DOWN)] * 2
        assert self.journey.rows(schema.message) == []

    def test_a_suspended_account_is_inactive(self) -> None:
        """Also in a session that was bound before."""
        self.journey.provision(with_account(suspended=True))
        assert self.refused() is Reason.ACCOUNT_INACTIVE

    def test_an_account_that_is_gone_is_inactive(self) -> None:
        """A session may outlive the provisioning of its account."""
        [outcome] = self.journey.accept(a_message(), account="withdrawn")
        assert outcome == Refusal(Reason.ACCOUNT_INACTIVE)

    def test_what_the_store_does_not_take_is_refused(self) -> None:
        """All of the batch: what would have been accepted, or have kept a transaction."""
        self.journey.journal.broken = "disk full"
        outcomes = self.journey.accept(
            a_message(), a_message(destination=ELSEWHERE), a_message(destination="abc")
        )
        assert outcomes == [
            Refusal(Reason.STORE_FAILED),
            Refusal(Reason.STORE_FAILED),
            Refusal(Reason.BAD_DESTINATION, "abc"),
        ]
        assert self.journey.taker().taken == []

    def test_after_the_store_has_failed_the_next_is_accepted(self) -> None:
        """A full disk that is emptied is forgotten."""
        self.journey.journal.broken = "disk full"
        assert self.refused() is Reason.STORE_FAILED
        self.journey.journal.broken = ""
        message = self.journey.accepted()
        assert [entry.message for entry in self.journey.taker().taken] == [message]

    def test_a_receipt_is_awaited_only_if_one_was_asked_for(self) -> None:
        """The journey closes by itself only what waits for a receipt (ruling 18)."""
        for asked, awaited in ((0, False), (0x10, False), (1, True), (2, True), (3, True)):
            message = self.journey.accepted(registered_delivery=asked)
            [row] = [row for row in self.journey.rows(schema.message) if row.id == message.id]
            until = message.expires_at + RECEIPT_GRACE_MS if awaited else None
            assert row.open_until == until, asked

    def test_outcomes_are_counted_for_operators(self) -> None:
        """Accepted messages by account, refused ones by reason, also those refused for all."""
        self.journey.accept(a_message(), a_message(), a_message(destination="abc"))
        self.journey.journal.broken = "disk full"
        self.journey.accept(a_message(), a_message(destination=ELSEWHERE))
        self.journey.acceptance.draining = True
        self.journey.accept(a_message(), a_message())
        assert self.journey.acceptance.accepted == {("acme", "smpp"): 2}
        assert self.journey.acceptance.refused == {
            Reason.BAD_DESTINATION: 1,
            Reason.NO_ROUTE: 1,
            Reason.STORE_FAILED: 2,
            Reason.SHUTTING_DOWN: 2,
        }

    def test_ids_rise(self) -> None:
        """Also over a restart: a new process goes on after the highest id in the store."""
        first = self.journey.accepted()
        self.journey.restart()
        second = self.journey.accepted()
        assert second.id > first.id
        assert len({entry.id for entry in self.journey.entries()}) == 2
