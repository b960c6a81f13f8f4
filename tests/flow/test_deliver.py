"""Deliver: each target gets its message for itself, until it has it or is given up."""

from typing import Any
from unittest.mock import patch

from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from smsgw import codes
from smsgw.flow import deliver
from smsgw.flow.deliver import WINDOW
from smsgw.flow.targets import Told
from smsgw.message import Message
from smsgw.provisioning import Account, Number
from smsgw.queues import Kind
from smsgw.smpp.constants import Status
from smsgw.store import schema
from tests.flow.journey import HOUR_MS, NOW, NOW_MS, SOURCE, provisioned
from tests.flow.targets import CALLBACK, MAIL, URL, S, TargetCase


class OneTargetTests(TargetCase):
    def test_an_mo_goes_to_its_url(self) -> None:
        """The messenger of the target's kind gets what there is to know of it."""
        self.to(URL)
        message = self.mo()
        [(delivery, _)] = self.http.under_way
        assert delivery.event == "mo"
        assert delivery.message is message
        assert delivery.target.address == URL
        assert delivery.account.name == "acme"
        assert delivery.number.address == SOURCE
        assert delivery.attempts == 0
        self.http.tell("delivered")
        assert self.state(message) == (S.DELIVERED, 0, "")
        assert self.journey.entries() == []
        assert self.dead() == []

    def test_it_is_durable_before_it_is_delivered(self) -> None:
        """Nothing goes out that the carrier would send again (I1)."""
        self.to(URL)
        self.journey.journal.waiting = True
        self.journey.inbound.receive("north", [])
        assert self.http.under_way == []
        self.journey.journal.release()

    def test_what_fails_is_tried_by_the_schedule(self) -> None:
        """A-D13, under the same id; the attempts are counted."""
        self.to(URL)
        self.mo()
        [first] = self.http.tell("failed", "HTTP 500")
        self.later(29)
        assert self.http.under_way == []
        for attempts, wait in enumerate((1, 120, 600, 3600, 21_600), 1):
            self.later(wait)
            [delivery] = self.http.tell("failed", "HTTP 500")
            assert (delivery.entry_id, delivery.attempts) == (first.entry_id, attempts)
        self.later(21_600)
        self.http.tell("delivered")
        assert self.journey.entries() == []

    def test_what_fails_for_two_days_is_given_up(self) -> None:
        """It expires, with a dead letter that says why (ruling 17)."""
        self.to(URL)
        message = self.mo()
        for tries, wait in enumerate((30, 120, 600, 3600, *([21_600] * 8))):
            self.http.tell("failed", f"try {tries}")
            self.later(wait)
        assert self.journey.clock.seconds() < NOW + 48 * 3600 + 7200
        assert self.state(message) == (S.EXPIRED, codes.VALIDITY_OVER, "")
        assert self.dead() == [(f"target:acme {URL}", "try 11")]
        [row] = self.journey.rows(schema.dead)
        assert (row.message, row.attempts, row.kind) == (message.id, 12, Kind.MO)

    def test_what_is_refused_for_good_is_not_tried_again(self) -> None:
        """It is rejected, and a dead letter."""
        self.to(URL)
        message = self.mo()
        self.http.tell("refused", "HTTP 404 at https://u:p@a.example/in?key=1")
        assert self.state(message) == (S.REJECTED, codes.REJECTED_BY_NEXT_HOP, "")
        # Without what may be secret.
        assert self.dead() == [(f"target:acme {URL}", "HTTP 404 at https://a.example/in")]

    def test_a_relay_has_its_own_schedule_and_lasts_as_long(self) -> None:
        """Q-D18."""
        self.to(method="httpget", detail="https://a.example/%m,https://b.example/%m")
        self.mo()
        [(delivery, _)] = self.http.under_way
        assert (delivery.target.dialect, delivery.target.method) == ("aql", "GET")
        for minutes in (1, 5, 15, 60, 180, 360, 360):
            self.http.tell("failed")
            self.later(minutes * 60 - 1)
            assert self.http.under_way == []
            self.later(1)
            assert len(self.http.under_way) == 1
        self.http.tell("delivered")

    def test_a_number_without_target_uses_the_mailbox_of_its_account(self) -> None:
        """A-D6."""
        self.to(email=MAIL)
        self.mo()
        assert self.mail.addresses() == [MAIL]
        self.mail.tell("delivered")

    def test_without_any_target_it_is_only_logged(self) -> None:
        """A-D6: the carrier is rid of it, and nobody thinks that somebody has it."""
        for setting in ({}, {"method": "null-route"}):
            self.to(*(["null"] if setting else []), **setting)
            message = self.mo()
            assert self.state(message) == (S.REJECTED, codes.REJECTED_BY_NEXT_HOP, "no target")
            assert self.stored(message.id).done_at == NOW_MS
        assert self.journey.entries() == []
        assert self.journey.inbound.received == 2

    def test_an_account_that_is_gone_gets_nothing(self) -> None:
        """What waits for it becomes a dead letter."""
        self.to(URL)
        message = self.mo()
        self.http.tell("failed")
        others = provisioned()
        others.accounts.clear()
        self.journey.provision(others)
        self.later(30)
        assert self.dead() == [(f"target:acme {URL}", "the account is no more")]
        assert self.state(message)[0] is S.REJECTED

    def test_a_kind_that_nobody_serves_is_refused(self) -> None:
        """Rather than waiting for two days."""
        del self.journey.messengers["toot"]
        self.to("@a@b.example")
        message = self.mo()
        assert self.dead() == [("target:acme @a@b.example", "no toot targets are served")]
        assert self.state(message)[0] is S.REJECTED

    def test_a_messenger_that_breaks_is_not_its_target_s_fault(self) -> None:
        """It is logged, and the delivery tried again."""
        self.to(URL)

        def broken(delivery: Any) -> Deferred[Any]:
            raise ZeroDivisionError

        self.patch(self.http, "deliver", broken)
        self.mo()
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        [entry] = self.journey.entries()
        assert (entry.due, entry.attempts) == (NOW_MS + 30_000, 1)

    def test_what_breaks_before_its_messenger_is_asked_is_tried_again(self) -> None:
        """A fault of ours holds up nobody: later it has another try, or is given up."""
        self.to(URL)
        with patch.object(deliver, "_target", side_effect=IndexError):
            self.mo()
            assert len(self.flushLoggedErrors(IndexError)) == 1
        assert self.http.under_way == []
        self.later(60)
        assert len(self.http.tell("delivered")) == 1
        assert self.journey.entries() == []

    def test_an_entry_has_its_way_of_writing_numbers(self) -> None:
        """A plus before the number does not matter for whose it is."""
        self.to(URL)
        assert self.journey.mo(destination_addr=b"+" + SOURCE.encode()) == Status.ESME_ROK
        assert self.http.under_way[0][0].number.address == SOURCE
        self.http.tell("delivered")


class SeveralTargetsTests(TargetCase):
    def test_every_target_gets_the_message(self) -> None:
        """A-R1, each by its own queue (I5)."""
        self.to("smpp", URL, MAIL)
        session = self.journey.session()
        message = self.mo()
        assert session.texts() == ["Hi"]
        assert self.http.addresses() == [URL]
        assert self.mail.addresses() == [MAIL]
        queues = [entry.queue for entry in self.journey.entries()]
        assert queues == ["account:acme", f"target:acme {URL}", f"target:acme {MAIL}"]
        self.journey.respond(session)
        self.http.tell("delivered")
        assert self.state(message)[0] is S.ENROUTE
        self.mail.tell("delivered")
        assert self.state(message)[0] is S.DELIVERED

    def test_one_that_fails_does_not_stop_the_others(self) -> None:
        """A-D5: it is tried again alone."""
        self.to(URL, MAIL)
        message = self.mo()
        self.http.tell("failed")
        self.mail.tell("delivered")
        assert self.state(message)[0] is S.ENROUTE
        self.later(30)
        assert self.http.addresses() == [URL]
        assert self.mail.under_way == []
        self.http.tell("refused", "HTTP 410")
        # One of them has it.
        assert self.state(message) == (S.DELIVERED, 0, "")
        assert self.dead() == [(f"target:acme {URL}", "HTTP 410")]

    def test_it_comes_to_nothing_if_none_has_it(self) -> None:
        """EXPIRED if one was given up, else REJECTED (ruling 17)."""
        self.to(URL, MAIL)
        message = self.mo()
        self.http.tell("refused")
        self.mail.tell("refused")
        assert self.state(message)[0] is S.REJECTED
        message = self.mo()
        self.http.tell("refused")
        while self.mail.under_way:
            self.mail.tell("failed")
            self.later(21_600)
        assert self.state(message) == (S.EXPIRED, codes.VALIDITY_OVER, "")

    def test_outcomes_survive_a_restart(self) -> None:
        """What has been delivered is not delivered again, and what has not, is."""
        self.to(URL, MAIL)
        message = self.mo()
        self.http.tell("delivered")
        self.journey.restart()
        assert self.http.under_way == []
        assert self.mail.addresses() == [MAIL]
        self.mail.tell("refused")
        assert self.state(message)[0] is S.DELIVERED
        assert {n: S(a.state) for n, a in self.stored(message.id).acknowledged.items()} == {
            0: S.DELIVERED,
            1: S.REJECTED,
        }

    def test_a_slow_target_holds_up_no_other(self) -> None:
        """I5: its window is full, the others go on."""
        self.to(URL, MAIL)
        for _ in range(WINDOW + 5):
            self.mo()
            self.mail.tell("delivered")
        assert len(self.http.under_way) == WINDOW
        self.http.tell("delivered")
        assert len(self.http.under_way) == 5
        self.http.tell("delivered")
        assert self.journey.queues.resident() == {}

    def test_what_sessions_do_not_take_expires_for_them_alone(self) -> None:
        """A session's part has its 72 hours (L-D29)."""
        self.to("smpp", URL)
        message = self.mo()
        self.http.tell("delivered")
        self.journey.expiry.start()
        self.later(72 * 3600)
        assert self.state(message)[0] is S.DELIVERED
        assert self.dead() == [("account:acme", "it waited too long")]

    def test_the_target_named_null_is_none(self) -> None:
        """Beside others it does nothing."""
        self.to("null", URL)
        message = self.mo()
        self.http.tell("delivered")
        assert self.state(message)[0] is S.DELIVERED


class StoreTests(TargetCase):
    def test_an_outcome_that_is_not_stored_is_kept(self) -> None:
        """It happened, so it is written when the store can."""
        self.to(URL)
        message = self.mo()
        self.journey.journal.broken = "disk full"
        self.http.tell("delivered")
        self.journey.journal.broken = ""
        self.later(1)
        assert self.state(message)[0] is S.DELIVERED

    def test_a_delivery_that_was_under_way_at_a_crash_is_made_again(self) -> None:
        """At most those (I2)."""
        self.to(URL)
        self.mo()
        [(before, _)] = self.http.under_way
        self.journey.restart()
        [(after, _)] = self.http.under_way
        assert after.entry_id == before.entry_id
        self.http.tell("delivered")

    def test_what_ends_while_it_stops_is_settled(self) -> None:
        """What does not, is delivered after the next start."""
        self.to(URL)
        self.mo()
        self.mo()
        [_, (_, second)] = self.http.under_way

        def stop() -> Deferred[None]:
            self.http.under_way[0][1].callback(Told("delivered"))
            return succeed(None)

        self.patch(self.http, "stop", stop)
        self.journey.queues.stop()
        self.successResultOf(self.journey.deliveries.stop())
        second.callback(Told("failed"))
        [entry] = self.journey.entries()
        assert (entry.attempts, entry.due) == (0, NOW_MS)


class ReceiptTests(TargetCase):
    def rest(self, **fields: Any) -> Message:
        given = {"interface": "rest", "registered_delivery": 1, **fields}
        return self.journey.sent(**given)

    def events(self) -> list[str]:
        return [delivery.event for delivery, _ in self.http.under_way]

    def test_a_receipt_goes_to_the_callback(self) -> None:
        """After the carrier's acknowledgement; as aerialink pushes them."""
        self.to("smpp", callback=CALLBACK)
        message = self.rest()
        assert self.events() == ["progress"]
        [progress] = self.http.tell("delivered")
        assert (progress.target.dialect, progress.target.method) == ("aerialink", "POST")
        assert progress.number is None
        self.journey.receive("a0")
        assert self.events() == ["receipt"]
        [receipt] = self.http.tell("delivered")
        assert receipt.message is message
        assert self.journey.entries() == []

    def test_nothing_is_told_that_nobody_asked_for(self) -> None:
        """No receipt wanted, or no callback: no entry."""
        self.to("smpp", callback=CALLBACK)
        self.rest(registered_delivery=0)
        self.to("smpp")
        self.rest(name="b0")
        self.journey.receive("b0")
        assert self.journey.entries() == []

    def test_a_callback_is_tried_eleven_times(self) -> None:
        """E-D17: 15 minutes apart, then it is a dead letter; the message has its state."""
        self.to("smpp", callback=CALLBACK)
        message = self.rest()
        self.http.tell("delivered")
        self.journey.receive("a0")
        for _ in range(10):
            self.http.tell("failed", "HTTP 500")
            assert self.dead() == []
            self.later(900)
        self.http.tell("failed", "HTTP 500")
        assert self.dead() == [("target:acme callback", "HTTP 500")]
        assert self.state(message)[0] is S.DELIVERED

    def test_a_callback_that_was_mended_gets_what_waits(self) -> None:
        """The account's callback at the time of the try; without one it is given up."""
        self.to("smpp", callback=CALLBACK)
        self.rest()
        self.http.tell("failed")
        self.to("smpp", callback="https://b.example/")
        self.later(900)
        assert self.http.addresses() == ["https://b.example/"]
        self.http.tell("failed")
        self.to("smpp")
        self.later(900)
        assert self.dead() == [("target:acme callback", "the account has no callback any more")]

    def test_receipts_of_one_message_keep_their_order(self) -> None:
        """What became of it is told after that a carrier has it."""
        self.to("smpp", callback=CALLBACK)
        self.rest()
        self.journey.receive("a0")
        self.rest(name="b0")
        assert self.events() == ["progress", "progress"]
        self.http.tell("delivered")
        assert self.events() == ["receipt"]
        self.http.tell("delivered")

    def test_a_report_goes_where_the_message_says(self) -> None:
        """``srr``: 8 at the acknowledgement, 1 or 2 at the end (A-D40)."""
        report = "https://r.example/?code=%code"
        self.rest(report_to=report)
        [progress] = self.http.tell("delivered")
        assert (progress.event, progress.target.address) == ("progress", report)
        assert (progress.target.dialect, progress.target.method) == ("aaisp", "GET")
        self.journey.receive("a0")
        [receipt] = self.http.tell("delivered")
        assert receipt.event == "receipt"

    def test_a_report_by_mail(self) -> None:
        """A-R31."""
        self.rest(report_to=MAIL)
        assert self.mail.addresses() == [MAIL]
        self.mail.tell("delivered")

    def test_nothing_follows_a_final_report(self) -> None:
        """A-D40: that a carrier has it is not told after it was delivered."""
        self.rest(report_to="https://r.example/")
        self.http.tell("failed")
        self.journey.receive("a0")
        [receipt] = self.http.tell("delivered")
        assert receipt.event == "receipt"
        self.later(30)
        assert self.http.under_way == []
        assert self.journey.entries() == []
        assert self.dead() == []

    def test_reports_are_tried_for_a_day(self) -> None:
        """A-D39."""
        self.rest(report_to="https://r.example/")
        [entry] = self.journey.entries()
        assert entry.expires_at == NOW_MS + 24 * HOUR_MS
        assert entry.queue == "target:acme report r.example"
        self.http.tell("delivered")

    def test_both_are_told(self) -> None:
        """Callback of the account and report of the message."""
        self.to("smpp", callback=CALLBACK)
        self.rest(report_to="https://r.example/")
        assert sorted(self.http.addresses()) == [CALLBACK, "https://r.example/"]
        self.http.tell("delivered")

    def test_an_intermediate_receipt_is_progress(self) -> None:
        """4, buffered, by what the carrier says on the way."""
        self.rest(report_to="https://r.example/")
        self.http.tell("delivered")
        self.journey.receive("a0", S.ACCEPTED)
        assert self.events() == ["progress"]
        self.http.tell("delivered")

    def test_an_address_that_is_none_is_given_up_at_once(self) -> None:
        """An edge has let it pass."""
        self.rest(report_to="nobody")
        [(queue, reason)] = self.dead()
        assert queue == "target:acme report nobody"
        assert "e-mail address" in reason


class SecretTests(TargetCase):
    def test_two_targets_that_differ_in_their_secrets_are_two(self) -> None:
        """The queue's name has the whole target; what is shown has not."""
        first, second = "https://a.example/?key=1&", "https://a.example/?key=2&"
        self.to(first, second)
        message = self.mo()
        assert self.http.addresses() == [first, second]
        self.http.tell("delivered", address=first)
        self.http.tell("refused", address=second)
        assert self.state(message)[0] is S.DELIVERED
        names = [a.carrier for a in self.stored(message.id).acknowledged.values()]
        assert names == ["https://a.example/", "https://a.example/"]

    def test_a_number_that_was_given_away_gets_what_it_was_sent(self) -> None:
        """Where a message goes is decided when it comes."""
        self.to(URL)
        self.mo()
        self.http.tell("failed")
        account = evolve(self.journey.tables.accounts["acme"], number=[])
        changed = provisioned()
        changed.accounts = {"acme": account, "other": Account("other", number=[Number(SOURCE)])}
        self.journey.provision(changed)
        self.later(30)
        [(delivery, _)] = self.http.under_way
        assert (delivery.target.address, delivery.number) == (URL, None)
        self.http.tell("delivered")
