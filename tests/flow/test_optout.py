"""Opting out: what handsets and operators write down is obeyed before anything is charged."""

from functools import partial
from typing import Any

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from smsgw.message import Message, MessageState
from smsgw.provisioning import Account, Number, Provisioning
from smsgw.provisioning.accounts import OptOutWords
from smsgw.provisioning.routing import Filter
from smsgw.queues import Kind
from smsgw.refusals import Reason, Refusal
from smsgw.rules.money import Entry
from smsgw.rules.optout import Keyword
from smsgw.smpp.constants import Status
from smsgw.smpp.pdu import DeliverSm
from smsgw.store import ledger, lists, schema
from smsgw.store.lists import NumberList
from tests.flow.journey import (
    ACME,
    DESTINATION,
    NORTH,
    NOW_MS,
    SOURCE,
    Journey,
    JourneyCase,
    a_message,
    provisioned,
)

OTHER = "447700900001"  # another number of acme
PARENT = Account("parent")


def with_account(**fields: Any) -> Provisioning:
    provisioning = provisioned()
    provisioning.accounts["acme"] = evolve(provisioning.accounts["acme"], **fields)
    return provisioning


class Case(JourneyCase):
    def refused(self, **fields: Any) -> Refusal:
        [outcome] = self.journey.accept(a_message(**fields))
        assert isinstance(outcome, Refusal), outcome
        return outcome

    def says(self, text: str, to: str = SOURCE) -> None:
        """A handset writes."""
        status = self.journey.mo(short_message=text.encode(), destination_addr=to.encode())
        assert status is Status.ESME_ROK

    def sent(self) -> list[Message]:
        """What waits for the carrier, in the order in which it was put."""
        rows = sorted(self.journey.entries(NORTH), key=lambda row: row.id)
        return [self.journey.known.known[row.message] for row in rows]

    def texts(self) -> list[str]:
        return [message.parts[0].decode() for message in self.sent()]

    def opted_out(self) -> list[tuple[str, str, str]]:
        """Account, list and number of the store's members."""
        names = {row.id: (row.account, row.name) for row in self.journey.rows(schema.number_list)}
        rows = self.journey.rows(schema.list_member)
        return sorted((*names[row.list], row.number) for row in rows)

    def made(self, type: str, *numbers: str, account: str = "acme", **fields: Any) -> NumberList:
        """A list, as operators make one."""
        given = {"name": type, **fields}
        made = NumberList(self.journey.identities.allot(), account, type=type, **given)
        self.wait(self.journey.lists.create(self.journey.journal, made))
        self.wait(self.journey.lists.add(self.journey.journal, made, numbers, NOW_MS, "admin"))
        return made

    def wait(self, coroutine: Any) -> Any:
        return self.journey.result(Deferred.fromCoroutine(coroutine))


class StopTests(Case):
    def test_after_stop_nothing_is_sent_or_charged(self) -> None:
        """Reason 52, before routing and charging (E-D15); other numbers are reached as before."""
        self.says("Stop!")
        before = self.journey.balances.of("acme")
        rows = len(self.journey.rows(schema.ledger))
        refusal = self.refused()
        assert refusal.reason is Reason.OPTED_OUT
        assert self.refused(destination="07700900123").reason is Reason.OPTED_OUT
        assert self.journey.balances.of("acme") == before
        assert len(self.journey.rows(schema.ledger)) == rows
        self.journey.accepted(destination="447700900124")
        assert self.opted_out() == [("acme", f"optout {SOURCE}", DESTINATION)]
        [row] = self.journey.rows(schema.list_member)
        assert (row.added, row.origin) == (NOW_MS, "keyword")

    def test_the_refused_message_is_kept_with_its_reason(self) -> None:
        """So a status enquiry tells 52 and not 51, which have one LINK code."""
        self.says("STOP")
        refusal = self.refused()
        assert refusal.message is not None
        kept = self.journey.stored(refusal.message)
        assert (kept.state, kept.refusal, kept.parts) == (MessageState.REJECTED, "OPTED_OUT", [])

    def test_start_opens_again(self) -> None:
        """And tells so once."""
        self.says("STOP")
        self.says("start")
        assert self.opted_out() == []
        self.journey.accepted()
        assert "again. Reply STOP" in self.texts()[1]

    def test_the_keyword_reaches_the_account_all_the_same(self) -> None:
        """E-D14, as every other MO."""
        self.says("STOP")
        assert self.journey.kinds(ACME) == [Kind.MO]

    def test_it_is_confirmed_once(self) -> None:
        """From the number to the handset, though it has opted out; and charged like any."""
        self.says("STOP")
        self.says("Stop")
        self.says("UNSUBSCRIBE")
        [answer] = self.sent()
        assert answer.parts[0].startswith(b"You will receive no more messages")
        assert (answer.source, answer.destination) == (SOURCE, DESTINATION)
        assert (answer.account, answer.interface) == ("acme", "optout")
        assert [row.amount for row in self.journey.rows(schema.ledger)] == [-100]
        assert self.journey.optouts.obeyed[Keyword.STOP] == 1

    def test_a_list_tells_when_it_changed(self) -> None:
        """By the last word that was obeyed."""
        self.says("STOP")
        self.journey.clock.advance(5)
        self.says("START")
        [row] = self.journey.rows(schema.number_list)
        assert (row.created, row.updated) == (NOW_MS, NOW_MS + 5_000)

    def test_start_without_stop_is_silent(self) -> None:
        """There is nothing to confirm."""
        self.says("START")
        assert self.sent() == []

    def test_help_is_answered_each_time(self) -> None:
        """Also to who has opted out; it changes nothing."""
        self.says("STOP")
        self.says("help")
        self.says("HELP")
        assert len(self.sent()) == 3
        assert self.sent()[1].parts[0].startswith(b"Reply STOP")
        assert len(self.opted_out()) == 1

    def test_words_of_one_read_are_obeyed_in_order(self) -> None:
        """What was said last holds, in memory and in the store."""

        def pdu(text: str) -> DeliverSm:
            return DeliverSm(
                source_addr=DESTINATION.encode(),
                destination_addr=SOURCE.encode(),
                short_message=text.encode(),
            )

        for words, left in (("stop start", 0), ("stop start stop", 1), ("start", 0)):
            pdus = [pdu(word) for word in words.split()]
            self.journey.result(self.journey.inbound.receive("north", pdus))
            assert len(self.opted_out()) == left
            self.journey.restart()
            assert len(self.opted_out()) == left
            if left:
                assert self.refused().reason is Reason.OPTED_OUT
            else:
                self.journey.accepted()

    def test_other_texts_are_no_words(self) -> None:
        """Nor are parts of long ones."""
        self.says("please stop")
        self.journey.mo(short_message=b"\x05\x00\x03\x01\x02\x01STOP", esm_class=0x40)
        assert self.opted_out() == []
        assert self.sent() == []

    def test_who_cannot_be_sent_to_cannot_opt_out(self) -> None:
        """A name as the sender; the message is handed over all the same."""
        status = self.journey.mo(short_message=b"STOP", source_addr=b"ACME", source_addr_ton=5)
        assert status is Status.ESME_ROK
        assert self.opted_out() == []
        assert self.journey.kinds(ACME) == [Kind.MO]

    def test_it_is_remembered_over_a_restart(self) -> None:
        """The store has it."""
        self.says("STOP")
        self.journey.restart()
        assert self.refused().reason is Reason.OPTED_OUT
        self.says("STOP")
        assert len([m for m in self.journey.rows(schema.message) if m.direction == 0]) == 2

    def test_what_is_not_stored_is_not_in_force(self) -> None:
        """All or nothing: the carrier sends the word again."""
        self.journey.journal.broken = "disk full"
        assert self.journey.mo(short_message=b"STOP") is Status.ESME_RX_T_APPN
        self.journey.journal.broken = ""
        self.journey.accepted()
        assert self.opted_out() == []
        assert [m.interface for m in self.sent()] == ["smpp"]
        self.says("STOP")
        assert self.refused().reason is Reason.OPTED_OUT
        assert len(self.sent()) == 2

    def test_a_crash_before_the_commit_leaves_nothing(self) -> None:
        """Neither the MO, nor the opt-out, nor its confirmation."""
        self.journey.journal.waiting = True
        done = self.journey.inbound.receive(
            "north",
            [
                DeliverSm(
                    source_addr=DESTINATION.encode(),
                    destination_addr=SOURCE.encode(),
                    short_message=b"STOP",
                )
            ],
        )
        self.assertNoResult(done)
        # It counts already, for what comes before the store has it.
        assert self.journey.lists.refuses(
            [self.journey.tables.accounts["acme"]], SOURCE, DESTINATION
        )
        self.journey.journal.forget()
        self.journey.restart()
        assert self.journey.rows(schema.message) == []
        assert self.opted_out() == []
        self.journey.accepted()


class ScopeTests(Case):
    def test_an_opt_out_is_from_the_number_it_was_sent_to(self) -> None:
        """E-D12: other numbers of the account may go on."""
        self.journey.provision(with_account(number=[Number(SOURCE), Number(OTHER)]))
        self.says("STOP")
        assert self.refused().reason is Reason.OPTED_OUT
        self.journey.accepted(source=OTHER)

    def test_the_scope_may_be_the_account(self) -> None:
        """Then any of its numbers opts out of all, and in again."""
        provisioning = with_account(number=[Number(SOURCE), Number(OTHER)], optout_scope="account")
        self.journey.provision(provisioning)
        self.says("STOP")
        assert self.opted_out() == [("acme", "optout", DESTINATION)]
        assert self.refused(source=OTHER).reason is Reason.OPTED_OUT
        self.says("STOP", OTHER)
        assert len(self.sent()) == 1
        self.says("START", OTHER)
        self.journey.accepted()

    def test_opt_outs_outlive_a_change_of_scope(self) -> None:
        """What the handset has said is never forgotten."""
        self.says("STOP")
        self.journey.provision(with_account(optout_scope="account"))
        assert self.refused(source="ACME").reason is Reason.OPTED_OUT
        self.says("START")
        self.says("STOP")
        self.journey.provision(with_account(optout_scope="number"))
        assert self.refused(source="ACME").reason is Reason.OPTED_OUT

    def test_another_account_may_go_on(self) -> None:
        """It was not asked to stop (I6)."""
        provisioning = provisioned()
        provisioning.accounts["other"] = Account("other")
        self.journey.provision(provisioning)
        self.says("STOP")
        [outcome] = self.journey.accept(a_message(), account="other")
        assert isinstance(outcome, Message)

    def share(self, *numbers: tuple[str, str]) -> None:
        provisioning = provisioned()
        for account, keyword in numbers:
            number = Number("12345", keyword=keyword)
            provisioning.accounts[account] = Account(account, number=[number])
        self.journey.provision(provisioning)

    def test_on_a_shared_code_it_is_from_the_account_without_keyword(self) -> None:
        """Which is the one that has the address."""
        self.share(("one", "WIN"), ("two", ""))
        self.says("STOP", "12345")
        assert self.opted_out() == [("two", "optout 12345", DESTINATION)]

    def test_on_a_code_of_keywords_it_is_from_all(self) -> None:
        """Nobody can tell which is meant; and the handset is told once."""
        self.share(("one", "WIN"), ("two", "PLAY"), ("three", "STOP"))
        self.says("STOP", "12345")
        assert [one[0] for one in self.opted_out()] == ["one", "three", "two"]
        assert len(self.sent()) == 1


class WordTests(Case):
    def number(self, **fields: Any) -> None:
        self.journey.provision(with_account(number=[Number(SOURCE, **fields)]))

    def test_a_number_may_have_no_words(self) -> None:
        """Then they are texts like others."""
        self.number(optout=False)
        self.says("STOP")
        self.journey.accepted()

    def test_a_number_may_have_other_words_and_answers(self) -> None:
        """And none at all in answer."""
        self.number(words=OptOutWords(stop=["HALT"], stopped="Bye", started="-"))
        self.says("STOP")
        self.journey.accepted()
        self.says("halt")
        assert self.texts()[1:] == ["Bye"]
        self.says("START")
        assert len(self.sent()) == 2

    def test_a_number_has_a_language(self) -> None:
        """Its words are understood, and it answers in it."""
        self.number(language="de")
        self.says("Abmelden")
        assert self.texts()[0].startswith("Sie erhalten keine Nachrichten mehr")

    def test_words_may_come_in_any_coding(self) -> None:
        """Here in UCS-2."""
        self.journey.mo(short_message="Arrêt".encode("utf-16-be"), data_coding=8)
        assert len(self.opted_out()) == 1

    def test_a_wildcard_number_answers_from_the_number_that_was_meant(self) -> None:
        """Also if the account may send from some senders only."""
        number = Number("44770090*")
        self.journey.provision(with_account(number=[number], senders=["ACME"]))
        self.says("STOP")
        [answer] = self.sent()
        assert answer.source == SOURCE
        assert self.opted_out() == [("acme", f"optout {SOURCE}", DESTINATION)]

    def test_the_opt_out_stands_if_its_answer_is_refused(self) -> None:
        """No route, no credit, a suspended account: the handset is left alone all the same."""
        for provisioning in (
            with_account(balance="0"),
            with_account(suspended=True),
            evolve(provisioned(), routes={}),
        ):
            self.journey.provision(provisioning)
            self.says("STOP")
            assert len(self.opted_out()) == 1
            assert self.journey.entries(NORTH) == []
            self.journey.provision(provisioned())
            assert self.refused().reason is Reason.OPTED_OUT
            made = self.journey.lists._lists
            for one in list(made.values()):
                self.wait(
                    self.journey.lists.remove(self.journey.journal, one, [DESTINATION], NOW_MS)
                )


class BlockTests(Case):
    def test_a_block_list_holds_for_its_account(self) -> None:
        """Reason 51; leading digits stand for all that begins with them."""
        self.made("block", DESTINATION, "4479*")
        assert self.refused().reason is Reason.BLOCKED
        assert self.refused(destination="447900000001").reason is Reason.BLOCKED
        self.journey.accepted(destination="447700900124")

    def test_a_block_of_the_operator_holds_for_all(self) -> None:
        """Whoever sends."""
        self.made("block", DESTINATION, account="")
        assert self.refused().reason is Reason.BLOCKED

    def test_a_block_of_a_parent_holds_below_it(self) -> None:
        """But its opt-outs are its own."""
        provisioning = with_account(parent="parent")
        provisioning.accounts["parent"] = PARENT
        self.journey.provision(provisioning)
        self.made("block", DESTINATION, account="parent")
        assert self.refused().reason is Reason.BLOCKED
        self.made("optout", "447700900124", account="parent", name="optout")
        self.journey.accepted(destination="447700900124")

    def test_an_answer_to_an_opt_out_word_is_blocked_as_well(self) -> None:
        """It is exempt from opt-outs only (E-D14)."""
        self.made("block", DESTINATION)
        self.says("STOP")
        assert self.sent() == []

    def test_contacts_block_nobody(self) -> None:
        """They are not even in memory."""
        self.made("contact", DESTINATION)
        self.journey.accepted()

    def test_lists_are_in_force_again_after_a_restart(self) -> None:
        """All their members are read."""
        self.made("block", DESTINATION)
        self.journey.restart()
        assert self.refused().reason is Reason.BLOCKED


class ListTests(Case):
    def test_changes_are_in_force_at_once(self) -> None:
        """Of a list for one source, and of one for all."""
        made = self.made("optout", DESTINATION, name="imported", source=SOURCE)
        assert self.refused().reason is Reason.OPTED_OUT
        self.journey.accepted(source="ACME")
        self.wait(self.journey.lists.remove(self.journey.journal, made, [DESTINATION], NOW_MS))
        self.journey.accepted()
        made = self.made("optout", DESTINATION, name="all")
        assert self.refused(source="ACME").reason is Reason.OPTED_OUT
        self.wait(self.journey.lists.delete(self.journey.journal, made))
        self.journey.accepted()

    def test_start_takes_a_number_off_every_list_in_the_way(self) -> None:
        """Or it would not open again."""
        self.made("optout", DESTINATION, name="imported", source=SOURCE)
        self.made("optout", DESTINATION, name="all")
        self.says("START")
        self.journey.accepted()
        assert self.opted_out() == []

    def test_a_change_that_is_not_stored_is_not_in_force(self) -> None:
        """Memory is what the store has."""
        made = self.made("optout", DESTINATION, name="all")
        lists_, journal = self.journey.lists, self.journey.journal
        journal.unreadable = "disk full"
        for change in (
            lists_.remove(journal, made, [DESTINATION], NOW_MS),
            lists_.add(journal, made, ["447700900124"], NOW_MS, "admin"),
            lists_.create(journal, NumberList(1, "acme", "more", "block")),
        ):
            self.failureResultOf(Deferred.fromCoroutine(change))
        journal.unreadable = ""
        assert self.refused().reason is Reason.OPTED_OUT
        self.journey.accepted(destination="447700900124")
        assert self.wait(lists_.create(journal, NumberList(1, "acme", "more", "block")))
        assert not self.wait(lists_.create(journal, NumberList(2, "acme", "more", "block")))

    def test_a_list_that_is_gone_takes_no_members(self) -> None:
        """Neither in the store nor in memory."""
        made = self.made("block")
        self.wait(self.journey.lists.delete(self.journey.journal, made))
        change = self.journey.lists.add(self.journey.journal, made, [DESTINATION], NOW_MS, "admin")
        assert self.wait(change) is None
        self.journey.accepted()


class AtOnceTests(Case):
    """What handsets and operators change of the same list before the store has any of it."""

    def says_while(self, text: str, changing: Any) -> None:
        """A handset writes while an operator's change is under way, which fails in the store."""
        journal = self.journey.journal
        journal.waiting = True
        changed = Deferred.fromCoroutine(changing)
        pdu = DeliverSm(
            source_addr=DESTINATION.encode(),
            destination_addr=SOURCE.encode(),
            short_message=text.encode(),
        )
        done = self.journey.inbound.receive("north", [pdu])
        journal.unreadable = "disk full"
        journal.release(1)
        journal.unreadable = ""
        self.failureResultOf(changed)
        journal.release()
        [answer] = self.successResultOf(done)
        assert answer.status == Status.ESME_ROK

    def add(self, made: NumberList) -> Any:
        return self.journey.lists.add(self.journey.journal, made, [DESTINATION], NOW_MS, "admin")

    def test_stop_holds_though_the_same_of_an_operator_fails(self) -> None:
        """It was not known before it was stored; on a list of the operator's and on its own."""
        made = self.made("optout", name="imported", source=SOURCE)
        self.says_while("STOP", self.add(made))
        assert self.refused().reason is Reason.OPTED_OUT
        self.journey.restart()
        assert self.refused().reason is Reason.OPTED_OUT
        self.says("START")
        self.journey.accepted()
        [own] = [
            one
            for one in (NumberList(*row) for row in self.journey.rows(schema.number_list))
            if one.built_in
        ]
        self.says_while("STOP", self.add(own))
        assert self.refused().reason is Reason.OPTED_OUT

    def test_start_holds_though_the_same_of_an_operator_fails(self) -> None:
        """The number is off the list."""
        made = self.made("optout", DESTINATION, name="imported", source=SOURCE)
        lists_, journal = self.journey.lists, self.journey.journal
        self.says_while("START", lists_.remove(journal, made, [DESTINATION], NOW_MS))
        self.journey.accepted()
        assert self.opted_out() == []

    def test_stop_holds_though_its_list_is_not_made(self) -> None:
        """By an operator; the word makes it."""
        made = NumberList(self.journey.identities.allot(), "acme", f"optout {SOURCE}", "optout")
        made.source = SOURCE
        self.says_while("STOP", self.journey.lists.create(self.journey.journal, made))
        assert self.refused().reason is Reason.OPTED_OUT
        self.says("START")
        self.journey.accepted()

    def test_stop_outlives_a_list_of_an_operator(self) -> None:
        """Who was on it has said so as well; there was nothing to confirm."""
        made = self.made("optout", DESTINATION, name="imported", source=SOURCE)
        self.says("STOP")
        assert self.sent() == []
        self.wait(self.journey.lists.delete(self.journey.journal, made))
        assert self.refused().reason is Reason.OPTED_OUT
        assert self.opted_out() == [("acme", f"optout {SOURCE}", DESTINATION)]

    def test_an_answer_that_another_node_left_no_money_for_is_not_sent(self) -> None:
        """The message and the opt-out are stored all the same, and nothing is charged (I1, I8)."""
        self.journey.provision(with_account(balance="0.01"))
        acme = self.journey.tables.accounts["acme"]
        allot, run = self.journey.identities.allot, self.journey.journal.run
        self.journey.result(run(lambda c: ledger.provisioned(c, acme, NOW_MS, allot)))
        self.wait(self.journey.balances.load(self.journey.journal))
        spent = schema.LedgerRow(allot(), "acme", NOW_MS, -100, Entry.CHARGE, None, "")
        self.journey.result(run(lambda c: ledger.enter(c, [spent])))
        self.says("STOP")
        assert self.refused().reason is Reason.OPTED_OUT
        assert self.opted_out() == [("acme", f"optout {SOURCE}", DESTINATION)]
        assert self.journey.kinds(ACME) == [Kind.MO]
        assert self.sent() == []
        assert self.journey.balances.of("acme") == 0
        assert self.journey.result(run(ledger.balances)) == {"acme": 0}
        assert self.journey.lists._unsettled == {}
        self.journey.check()


class FilterTests(Case):
    def test_a_filter_stops_a_message(self) -> None:
        """Reason 55; who sent it is not told by which."""
        provisioning = provisioned()
        provisioning.filters["pills"] = Filter("pills", "(?i)pills")
        self.journey.provision(provisioning)
        refusal = self.refused(parts=[b"Free PILLS"])
        assert (refusal.reason, refusal.detail) == (Reason.FILTERED, "")
        assert self.journey.rows(schema.ledger) == []
        self.journey.accepted()


class DuplicateTests(Case):
    def setUp(self) -> None:
        super().setUp()
        self.journey.provision(with_account(duplicate_window_s=60))

    def test_the_same_again_is_refused_within_the_window(self) -> None:
        """Reason 55; and not charged again."""
        self.journey.accepted()
        assert self.refused().reason is Reason.DUPLICATE
        assert len(self.journey.rows(schema.ledger)) == 1
        self.journey.clock.advance(60)
        self.journey.accepted()

    def test_twice_in_one_batch_is_a_duplicate_too(self) -> None:
        """The second finds the first."""
        one, other = self.journey.accept(a_message(), a_message())
        assert isinstance(one, Message)
        assert isinstance(other, Refusal)
        assert other.reason is Reason.DUPLICATE

    def test_long_texts_are_compared_as_texts(self) -> None:
        """Though each has another reference number in its parts."""
        long = {"parts": [], "text": "long " * 60, "interface": "rest"}
        self.journey.accepted(**long)
        assert self.refused(**long).reason is Reason.DUPLICATE

    def test_what_was_refused_does_not_count(self) -> None:
        """Once it can go, it goes."""
        provisioning = with_account(duplicate_window_s=60)
        self.journey.provision(evolve(provisioning, routes={}))
        assert self.refused().reason is Reason.NO_ROUTE
        self.journey.provision(provisioning)
        self.journey.accepted()

    def test_what_was_not_stored_does_not_count(self) -> None:
        """The sender may try again."""
        self.journey.journal.broken = "disk full"
        assert self.refused().reason is Reason.STORE_FAILED
        self.journey.journal.broken = ""
        self.journey.accepted()

    def test_the_window_is_remembered_over_a_restart(self) -> None:
        """What was accepted within it, and nothing else."""
        self.journey.accepted(parts=[b"old"])
        self.journey.clock.advance(30)
        self.journey.accepted()
        assert self.refused().reason is Reason.DUPLICATE
        self.journey.restart()
        assert self.refused().reason is Reason.DUPLICATE
        self.journey.clock.advance(30)
        self.journey.accepted(parts=[b"old"])
        self.journey.restart()
        assert self.refused().reason is Reason.DUPLICATE

    def test_routes_are_tried_without_being_counted(self) -> None:
        """What operators try is sent by nobody."""
        account = self.journey.tables.accounts["acme"]
        for _ in range(2):
            assert isinstance(self.journey.acceptance.consider(account, a_message()), Message)
        self.journey.accepted()


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["STOP", "START", "add", "remove"]),
        st.booleans(),  # whether it is stored
        st.integers(0, 3),  # how much of what waits is stored then
    ),
    max_size=12,
)


class InterleavingTests(Case):
    def test_memory_ends_as_the_store_does(self) -> None:
        """Whatever handsets and operators change at once, and whichever of it fails."""

        first = self.journey

        @given(_STEPS)
        @settings(max_examples=60, deadline=None)
        def run(steps: list[tuple[str, bool, int]]) -> None:
            self.journey = journey = Journey(self)
            made = self.made("optout", name="all")
            failing: list[bool] = []
            journal = journey.journal
            write, look = journal._write, journal._look

            def fail(attribute: str, step: Any) -> Any:
                def do(*given: Any) -> None:
                    setattr(journal, attribute, "disk full" if failing.pop(0) else "")
                    step(*given)
                    setattr(journal, attribute, "")

                return do

            journal._write = fail("broken", write)  # type: ignore[method-assign]
            journal._look = fail("unreadable", look)  # type: ignore[method-assign]
            journal.waiting = True
            for what, stored, released in steps:
                failing.append(not stored)
                if what in ("add", "remove"):
                    change = getattr(journey.lists, what)
                    given = (journal, made, [DESTINATION], NOW_MS)
                    origin = ("admin",) if what == "add" else ()
                    changing = Deferred.fromCoroutine(change(*given, *origin))
                    changing.addErrback(lambda _: None)
                else:
                    journey.inbound.receive(
                        "north",
                        [
                            DeliverSm(
                                source_addr=DESTINATION.encode(),
                                destination_addr=SOURCE.encode(),
                                short_message=what.encode(),
                            )
                        ],
                    )
                journal.release(released)
            journal.release(len(steps))
            journal._write, journal._look = write, look  # type: ignore[method-assign]
            journal.release()
            assert not journey.lists._unsettled
            acme = [journey.tables.accounts["acme"]]
            refused = journey.lists.refuses(acme, SOURCE, DESTINATION)
            assert (refused is Reason.OPTED_OUT) is bool(self.opted_out())
            # What a handset said last, and was told to be taken, holds; after START an operator may
            # put it on a list.
            for what, stored, _ in reversed(steps):
                if stored and what == "STOP":
                    assert refused is Reason.OPTED_OUT
                if stored and what == "START":
                    assert refused is None
                if stored and what != "remove":
                    break
            before = {
                id: self.journey.result(journal.run(partial(lists.numbers, list=id)))
                for id in journey.lists._lists
            }
            for id, numbers in before.items():
                members = journey.lists._members[id]
                assert len(members) == len(numbers)
                assert all(number in members for number in numbers)
            journey.check()
            self.journey = first  # the others are closed before the end of the test

        run()
