"""Join: the parts of a long MO become one message, or go on singly when some do not come."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from smsgw import codes
from smsgw.flow import join
from smsgw.identities import Identities
from smsgw.message import UDHI, Message, MessageState
from smsgw.provisioning import Account, Number
from smsgw.queues import Kind, Transaction
from smsgw.smpp.constants import Status, Tag
from smsgw.smpp.pdu import DeliverSm
from smsgw.store import records, schema
from smsgw.text import coding, national, parts, reading
from tests.flow.journey import NOW_MS, SOURCE, JourneyCase

URL = "https://www.example.com/in?"
TEXT = "The quick brown fox jumps over the lazy dog. " * 8


def cut(text: str = TEXT, reference: int = 7, data_coding: int | None = None) -> list[bytes]:
    """The short_message of each part of a text."""
    if data_coding is None:
        data_coding, octets = coding.smallest(text)
    else:
        octets = coding.encode(text, data_coding)
    return parts.split(octets, data_coding, reference)


class JoinCase(JourneyCase):
    def setUp(self) -> None:
        super().setUp()
        self.to(URL)

    def to(self, *targets: str, **fields: Any) -> None:
        number = Number(SOURCE, list(targets), **fields.pop("number", {}))
        accounts = self.journey.provisioning.accounts
        accounts["acme"] = Account("acme", number=[number], **fields)
        self.journey.provision(self.journey.provisioning)

    def part(self, octets: bytes, **fields: Any) -> Status:
        return self.journey.mo(short_message=octets, esm_class=UDHI, **fields)

    def messages(self) -> list[Message]:
        """What accounts have, in order."""
        ids = sorted(row.id for row in self.journey.rows(schema.message))
        read = self.journey.result(self.journey.journal.run(lambda c: records.read(c, ids)))
        return sorted(read, key=lambda one: one.id)

    def waiting(self) -> int:
        held = len(self.journey.rows(schema.segment))
        assert self.journey.inbound.joining.waiting == held
        return held

    def review(self, seconds: float) -> None:
        self.journey.clock.advance(seconds)
        self.successResultOf(self.journey.inbound.review())


class JoiningTests(JoinCase):
    def test_parts_become_one_message(self) -> None:
        """A-D11: it is delivered when all are there, in one, without a concatenation element."""
        pieces = cut()
        assert len(pieces) == 3
        for octets in pieces[:-1]:
            assert self.part(octets) is Status.ESME_ROK
            assert self.journey.entries() == []
        assert self.waiting() == 2
        assert self.part(pieces[-1]) is Status.ESME_ROK
        assert self.waiting() == 0
        [entry] = self.journey.entries()
        assert entry.kind == Kind.MO
        [message] = self.messages()
        told = reading.read(message)
        assert (told.text, told.udh, message.esm_class) == (TEXT, b"", 0)

    def test_in_any_order_and_some_twice(self) -> None:
        """What comes again is answered again and changes nothing."""
        one, two, three = cut()
        for octets in (three, three, one, three, one, two, two, one):
            assert self.part(octets) is Status.ESME_ROK
        assert [reading.read(message).text for message in self.messages()] == [TEXT]
        assert self.waiting() == 0

    def test_messages_of_several_handsets_are_not_mixed(self) -> None:
        """Source, destination and reference are what parts have in common."""
        other = TEXT.upper()
        mixed = zip(cut(), cut(other), cut(TEXT[::-1], reference=8), strict=True)
        for mine, another, third in mixed:
            self.part(mine)
            self.part(another, source_addr=b"447700900777")
            self.part(third)
        texts = [reading.read(message).text for message in self.messages()]
        assert texts == [TEXT, other, TEXT[::-1]]

    def test_sar_tlvs_and_sixteen_bits_join_as_well(self) -> None:
        """Every form in which a carrier says that this is a part."""
        for number in (2, 1):
            tlvs = [
                (int(Tag.SAR_MSG_REF_NUM), b"\x01\x02"),
                (int(Tag.SAR_TOTAL_SEGMENTS), b"\x02"),
                (int(Tag.SAR_SEGMENT_SEQNUM), bytes((number,))),
            ]
            self.journey.mo(short_message=b"part%d " % number, tlvs=tlvs)
        for number in (1, 2):
            self.part(bytes((6, 8, 4, 1, 2, 2, number)) + b"wide%d " % number)
        told = [reading.read(message).text for message in self.messages()]
        assert told == ["part1 part2 ", "wide1 wide2 "]

    def test_other_elements_of_the_header_stay(self) -> None:
        """Ports are part of the message."""
        for octets in parts.split(bytes(200), 4, 7, b"\x06\x05\x04\x23\xf4\x00\x00"):
            self.part(octets, data_coding=4)
        [message] = self.messages()
        assert message.parts == [b"\x06\x05\x04\x23\xf4\x00\x00" + bytes(200)]
        assert message.esm_class == UDHI

    def test_a_session_gets_parts_as_they_come(self) -> None:
        """An ESME joins by itself; nothing waits for the others."""
        self.to("smpp")
        session = self.journey.session()
        for octets in cut():
            self.part(octets)
        assert [pdu.short_message for pdu, _ in session.delivered] == cut()

    def test_beside_another_target_a_session_gets_the_whole(self) -> None:
        """In message_payload."""
        self.to("smpp", URL)
        session = self.journey.session()
        for octets in cut():
            self.part(octets)
        [(pdu, _)] = session.delivered
        assert pdu.tlvs == [(Tag.MESSAGE_PAYLOAD, TEXT.encode())]

    def test_settings_turn_it_off(self) -> None:
        """``join_parts`` of the account: each part by itself, with its header."""
        self.to(URL, settings={"aaisp": {"join_parts": False}})
        for octets in cut():
            self.part(octets)
        assert [message.parts for message in self.messages()] == [[octets] for octets in cut()]

    def test_the_relay_has_a_setting_of_its_own(self) -> None:
        """Q-D20."""
        relay = {"method": "httppost", "detail": "https://www.example.com/in"}
        for joins, count in ((False, 3), (True, 1)):
            before = len(self.messages())
            self.to(number=relay, settings={"aql": {"join_parts": joins}})
            for octets in cut(reference=20 + joins):
                self.part(octets)
            assert len(self.messages()) - before == count

    def test_the_first_word_of_the_whole_says_whose_it_is(self) -> None:
        """A keyword is in the first part only; the others follow it, also to sessions."""
        accounts = self.journey.provisioning.accounts
        accounts["win"] = Account("win", number=[Number(SOURCE, keyword="WIN")])
        accounts["acme"] = Account("acme", number=[Number(SOURCE)])
        self.journey.provision(self.journey.provisioning)
        for octets in reversed(cut("win " + TEXT)):
            self.part(octets)
        assert [entry.queue for entry in self.journey.entries()] == ["account:win"]

    def test_a_number_of_nobody_is_refused_at_the_first_part(self) -> None:
        """Nothing is kept for nobody."""
        status = self.part(cut()[0], destination_addr=b"447700900009")
        assert status is Status.ESME_RINVDSTADR
        assert self.waiting() == 0

    def test_parts_in_different_alphabets_are_joined_as_text(self) -> None:
        """A network may choose the alphabet part by part."""
        self.part(b"\x05\x00\x03\x07\x02\x01abc{".replace(b"{", b"\x1b\x28"))
        self.part(b"\x05\x00\x03\x07\x02\x02" + "жук".encode("utf-16-be"), data_coding=8)
        [message] = self.messages()
        assert (reading.read(message).text, message.data_coding) == ("abc{жук", 8)


class MissingTests(JoinCase):
    def test_after_an_hour_parts_go_on_singly(self) -> None:
        """Each with its header, code 998; the reference is free again."""
        one, _, three = cut()
        self.part(three)
        self.review(1800)
        self.part(one)
        self.review(1799)
        assert self.waiting() == 2
        self.review(1)
        assert self.waiting() == 0
        assert [message.parts for message in self.messages()] == [[one], [three]]
        assert {message.error for message in self.messages()} == {998}
        assert self.journey.inbound.joining.unjoined == 2
        for octets in cut():
            self.part(octets)
        assert reading.read(self.messages()[-1]).text == TEXT

    def test_998_stays_when_a_part_was_delivered(self) -> None:
        """The log tells why it was not whole."""
        self.part(cut()[0])
        self.review(3600)
        self.journey.messengers["http"].tell("delivered")
        [message] = self.messages()
        assert (message.state, message.error) == (MessageState.DELIVERED, 998)

    def test_a_reference_that_begins_anew_lets_the_old_parts_go(self) -> None:
        """A handset that always uses the same one loses nothing."""
        old, new = cut(), cut(TEXT.upper())
        self.part(old[0])
        for octets in new:
            self.part(octets)
        first, second = self.messages()
        assert (first.parts, first.error) == ([old[0]], 998)
        assert reading.read(second).text == TEXT.upper()

    def test_what_comes_again_later_is_another_message(self) -> None:
        """After a minute a carrier has its answer, and an equal text is a new one."""
        for _ in range(2):
            for octets in cut():
                self.part(octets)
            self.review(61)
        assert len(self.messages()) == 2

    def test_there_is_room_for_so_many_parts(self) -> None:
        """Then those that have waited longest go on: memory is bounded (I5)."""
        self.patch(join, "_MOST", 5)
        for reference in range(6):
            self.part(cut(reference=reference)[0])
        assert self.waiting() == 5
        [message] = self.messages()
        assert message.parts == [cut(reference=0)[0]]


class WithdrawnTests(JoinCase):
    def test_parts_of_a_number_that_is_taken_away_are_kept(self) -> None:
        """I1: the carrier thinks them delivered, so they have a final state with a reason."""
        one, two = cut(TEXT)[:2]
        assert self.part(one) is Status.ESME_ROK
        accounts = self.journey.provisioning.accounts
        accounts["acme"] = Account("acme", number=[])
        self.journey.provision(self.journey.provisioning)
        assert self.part(two) is Status.ESME_RINVDSTADR
        self.review(3601)
        assert self.waiting() == 0
        [message] = self.messages()
        assert (message.account, message.state) == ("", MessageState.REJECTED)
        assert message.error == codes.NO_ROUTE
        assert self.journey.entries() == []
        self.journey.check()


class DurableTests(JoinCase):
    def test_a_part_is_answered_when_it_is_durable(self) -> None:
        """Not before its commit (I1)."""
        self.journey.journal.waiting = True
        pdu = DeliverSm(
            source_addr=b"447700900123",
            destination_addr=SOURCE.encode(),
            esm_class=UDHI,
            short_message=cut()[0],
        )
        done = self.journey.inbound.receive("north", [pdu])
        self.assertNoResult(done)
        self.journey.journal.release()
        assert self.successResultOf(done)[0].status == Status.ESME_ROK

    def test_parts_outlive_a_restart(self) -> None:
        """What a carrier was answered for is there, whenever the process ends (I1)."""
        one, two, three = cut()
        self.part(two)
        self.journey.restart()
        self.part(three)
        self.journey.restart()
        assert self.waiting() == 2
        self.part(one)
        [message] = self.messages()
        assert (reading.read(message).text, self.waiting()) == (TEXT, 0)

    def test_they_wait_from_when_they_came(self) -> None:
        """A restart does not begin the hour anew."""
        self.part(cut()[0])
        self.journey.clock.advance(1800)
        self.journey.restart()
        self.review(1800)
        assert self.waiting() == 0
        assert len(self.messages()) == 1

    def test_what_is_not_stored_is_as_if_it_had_not_come(self) -> None:
        """The carrier sends it again; a first part, a last one, and those let go."""
        one, two, three = cut()
        for sent in ((one,), (two, three)):
            for octets in sent:
                self.journey.journal.broken = "disk full"
                assert self.part(octets) is Status.ESME_RX_T_APPN
                self.journey.journal.broken = ""
                assert self.part(octets) is Status.ESME_ROK
        assert [reading.read(message).text for message in self.messages()] == [TEXT]
        self.part(cut(reference=9)[0])
        self.journey.journal.broken = "disk full"
        self.review(3600)
        self.journey.journal.broken = ""
        assert self.waiting() == 1
        self.review(1)
        assert self.waiting() == 0

    def test_its_time_is_that_of_its_last_part(self) -> None:
        """The message came when it was whole."""
        one, two, three = cut()
        for octets in (one, two):
            self.part(octets)
        self.journey.clock.advance(60)
        self.part(three)
        assert self.messages()[0].accepted_at == NOW_MS + 60_000


CODINGS = st.sampled_from([0, 1, 3, 5, 6, 7, 8, 10, 13, 14, 0x10, 0x18, 0xF0, 0xD0, 0xE0])


@given(st.data(), CODINGS, st.text(min_size=1), st.integers(0, 255))
@settings(max_examples=100)
def test_any_text_in_any_coding_survives_split_and_join(
    data: st.DataObject, data_coding: int, text: str, reference: int
) -> None:
    """What was cut by us or a handset is whole again, in whatever order it comes."""
    known = "".join(one for one in text * 40 if _has(one, data_coding)) or "abc" * 100
    pieces = parts.split(coding.encode(known, data_coding), data_coding, reference)
    messages = [
        Message("1", "2", parts=[octets], data_coding=data_coding, esm_class=UDHI)
        for octets in pieces
    ]
    if len(pieces) == 1:
        return
    whole = join.join(messages)
    assert coding.decode(whole.data_coding, whole.parts[0]) == known
    assert not whole.esm_class & UDHI


def _has(character: str, data_coding: int) -> bool:
    try:
        octets = coding.encode(character, data_coding)
    except ValueError:
        return False
    return coding.decode(data_coding, octets) == character


@given(
    st.sampled_from(sorted(national.LANGUAGES.values())),
    st.text(st.sampled_from("ğĞışŞİçêáÁíóúãõâÂ€{}[]abcXYZ @§\n"), min_size=1),
)
def test_national_text_survives_split_and_join(language: int, text: str) -> None:
    """The header of each part names the tables; so does that of the whole."""
    whole_text = "".join(one for one in text * 50 if not national.outside(one, language)) or "abc"
    found = national.encode(whole_text, language)
    if found is None:
        return
    header, octets = found
    pieces = parts.split(octets, 0, 7, header)
    if len(pieces) == 1:
        return
    whole = join.join([Message("1", "2", parts=[one], esm_class=UDHI) for one in pieces])
    assert reading.read(whole).text == whole_text


@given(st.data(), st.lists(st.integers(0, 2), min_size=3, max_size=20))
@settings(max_examples=50, deadline=None)
def test_whatever_comes_in_whatever_order_each_message_is_whole_once(
    data: st.DataObject, order: list[int]
) -> None:
    """Two messages of three parts mixed, parts again and again, stores that fail: every part that
    was answered is in its message, and in one."""
    joining = join.Joining(Identities(0, lambda: NOW_MS / 1000))
    texts = {7: TEXT, 8: TEXT.upper()}
    pieces = {reference: cut(text, reference) for reference, text in texts.items()}
    answered: dict[int, set[int]] = {7: set(), 8: set()}
    whole: list[str] = []
    for number in order:
        reference = data.draw(st.sampled_from((7, 8)))
        octets = pieces[reference][number]
        part = Message("1", "2", parts=[octets], esm_class=UDHI)
        undo: list[join.Undo] = []
        place = parts.concat(octets)
        assert place is not None
        found = joining.add("north", part, place, NOW_MS, Transaction(), undo)
        if data.draw(st.booleans()):
            answered[reference].add(number)
            if found is not None:
                whole.append(reading.read(found).text)
        else:
            for one in reversed(undo):
                one()
    for reference, text in texts.items():
        assert whole.count(text) == (len(answered[reference]) == 3)
    assert joining.waiting == sum(len(one) % 3 for one in answered.values())
