"""Multimedia messages outward: mailed, answered, repeated, reported (``spec/mm4.md`` §4, §8)."""

from io import BytesIO
from typing import Any
from unittest import mock

from attrs import evolve
from PIL import Image
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from smsgw import codes
from smsgw.flow.replace import Change
from smsgw.message import Message, MessageState, Multimedia
from smsgw.mm4 import headers, mime
from smsgw.mm4.mime import Part
from smsgw.mm4.pdus import DeliveryReportRes, ForwardReq, ReadReplyRes
from smsgw.mm4.words import ReadStatus, RequestStatus, Status
from smsgw.provisioning import Account, Carrier, Number
from smsgw.queues import Kind
from smsgw.refusals import Reason, Refusal
from smsgw.rules.money import Entry
from smsgw.smtp.client import outcome_of
from tests.flow.journey import DESTINATION, NOW_MS, SOURCE, Journey
from tests.flow.mmsc import DOMAIN, MMSC, PICTURE, TEXT, FakeMedia, Scene, provisioned
from tests.flow.test_money import entries, put_in_force, stored_balance

OK = RequestStatus.OK
MINUTE = 60


class Case(TestCase):
    """A test with an MMSC; at its end the store is in order (I3)."""

    def setUp(self) -> None:
        self.scene_with()

    def scene_with(self, routed: tuple[str, ...] = ("mmsc",), **carrier: Any) -> Scene:
        """Begins with such a carrier."""
        provisioning = provisioned(**carrier)
        provisioning.routes["uk"].carriers = list(routed)
        self.journey = Journey(self, provisioning)
        self.scene = Scene(self.journey)
        self.addCleanup(self.journey.check)
        return self.scene

    def stored(self, message: Message) -> Message:
        """The message as the store has it."""
        return self.journey.stored(message)


class MailedTests(Case):
    """The mail itself."""

    def test_it_has_the_message_and_its_media(self) -> None:
        """One mail to the recipient's address at the MMSC, from our system address, with the parts
        as they were handed in."""
        message = self.scene.accepted()
        [(mail, _)] = self.scene.outgoing().under_way
        assert mail.sender == f"system-user@{DOMAIN}"
        assert mail.recipients == [f"+{DESTINATION}/TYPE=PLMN@{MMSC}"]
        read = headers.read(mail.content)
        content = mime.parse(mail.content, read.fields, read.body)
        assert [p.content for p in content.parts] == [PICTURE.content, TEXT.content]
        pdu = read.pdu
        assert isinstance(pdu, ForwardReq)
        assert pdu.transaction_id == f"{message.id:x}"
        assert pdu.message_id == f"{message.id:x}@{DOMAIN}"
        assert pdu.subject == "Holiday"
        assert (pdu.ack_request, pdu.delivery_report) == (True, True)
        assert pdu.forward_counter == 1  # ruling 19
        assert pdu.expiry is not None
        assert pdu.expiry.at == message.expires_at

    def test_a_server_without_8bitmime_gets_seven_bits(self) -> None:
        """Ruling 26: the same mail in quoted-printable and base64."""
        self.scene.accepted()
        [(mail, _)] = self.scene.outgoing().under_way
        assert not mail.content.isascii()
        assert mail.seven_bit is not None
        plain = mail.seven_bit()
        assert plain.isascii()
        read = headers.read(plain)
        parts = mime.parse(plain, read.fields, read.body).parts
        assert parts[1].content == TEXT.content

    def test_a_group_sees_its_recipients(self) -> None:
        """To and Cc are passed on in the peer's form, the recipient among them (ruling 16)."""
        kept = Multimedia(
            media=[self.scene.media.keep(TEXT)], to=[f"447700900999@{DOMAIN}"], cc=["x@ex.org"]
        )
        self.scene.accepted(multimedia=kept)
        pdu = self.scene.request()
        to = [f"+{one}/TYPE=PLMN@{MMSC}" for one in (DESTINATION, "447700900999")]
        assert (pdu.to, pdu.cc) == (to, ["x@ex.org"])

    def test_ids_are_quoted_for_those_who_want_it(self) -> None:
        """The carrier's ``quote_ids``."""
        message = self.scene_with(quote_ids=True).accepted()
        [(mail, _)] = self.scene.outgoing().under_way
        assert b'X-Mms-Transaction-ID: "%x"\r\n' % message.id in mail.content

    def test_no_more_than_the_window_is_under_way(self) -> None:
        """The next one goes when one is answered."""
        scene = self.scene_with(window=2)
        for n in range(3):
            scene.accepted(client_reference=str(n))
        assert len(scene.outgoing().under_way) == 2
        scene.outgoing().say(250)
        assert len(scene.outgoing().under_way) == 1

    def test_the_rate_bounds_mails(self) -> None:
        """So many a second."""
        scene = self.scene_with(rate=1.0)
        scene.accepted()
        scene.accepted()
        assert len(scene.outgoing().sent) == 1
        self.journey.clock.advance(1.0)
        assert len(scene.outgoing().sent) == 2


class SizeTests(Case):
    """What a carrier takes."""

    def picture(self) -> Part:
        """One of some 200 kB."""
        octets = BytesIO()
        Image.effect_noise((600, 600), 200).save(octets, "JPEG", quality=95)
        return Part("image/jpeg", "a.jpg", "a", "a.jpg", octets.getvalue())

    def test_pictures_are_scaled_to_the_carriers_limit(self) -> None:
        """The mail is no larger than ``max_size``, and the picture is still one."""
        scene = self.scene_with(max_size=100_000)
        scene.accepted(self.picture())
        [(mail, _)] = scene.outgoing().under_way
        assert len(mail.content) <= 100000
        read = headers.read(mail.content)
        [part] = mime.parse(mail.content, read.fields, read.body).parts
        with Image.open(BytesIO(part.content)) as shown:
            assert shown.format == "JPEG"

    def test_a_server_that_takes_less_than_its_form_says(self) -> None:
        """Its ``SIZE`` counts: the pictures are scaled to that, and it is mailed once more."""
        scene = self.scene_with(max_size=1_000_000)
        scene.accepted(self.picture())
        too_large = evolve(outcome_of(552, "larger"), limit=100_000)
        scene.outgoing().tell(too_large)
        [(mail, _)] = scene.outgoing().under_way
        assert len(mail.content) <= 100_000
        scene.outgoing().say(250)
        assert len(scene.outgoing().sent) == 2

    def test_a_server_that_takes_less_than_can_be_made(self) -> None:
        """Final, as if the form had said it; nothing is tried for ever."""
        scene = self.scene_with(max_size=1_000_000)
        message = scene.accepted(
            Part("audio/amr", "a.amr", "a", "a.amr", b"#!AMR\n" + bytes(9_000))
        )
        scene.outgoing().tell(evolve(outcome_of(552, "larger"), limit=5_000))
        assert message.state == MessageState.REJECTED
        assert message.network_error == "Error-content-not-accepted"

    def test_what_cannot_be_scaled_is_refused(self) -> None:
        """Final, as ``Error-content-not-accepted``, and nothing is mailed."""
        scene = self.scene_with(max_size=100_000, scale=False)
        message = scene.accepted(self.picture())
        assert scene.outgoing().sent == []
        assert message.state == MessageState.REJECTED
        assert message.network_error == "Error-content-not-accepted"

    def test_another_carrier_may_take_it(self) -> None:
        """The next one of the route gets it."""
        scene = self.scene_with(("mmsc", "other"), max_size=100_000, scale=False)
        message = scene.accepted(self.picture())
        assert len(scene.outgoing("other").sent) == 1
        assert message.state == MessageState.ENROUTE

    def test_media_that_are_gone_end_it(self) -> None:
        """Nothing can be sent any more."""
        part = Part("text/plain", "a.txt", "a", "a.txt", b"gone", "utf-8")
        kept = Multimedia(media=[self.scene.media.keep(part)])
        self.scene.media.files.clear()
        message = self.scene.accepted(multimedia=kept)
        assert message.state == MessageState.REJECTED

    def test_a_fault_of_ours_waits_a_minute(self) -> None:
        """It is logged once and the message is tried again later, not at once and for ever; what
        comes behind it is mailed meanwhile (I5)."""
        with mock.patch.object(FakeMedia, "get_here", side_effect=ZeroDivisionError):
            message = self.scene.accepted()
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1
        self.scene.accepted(client_reference="2")
        assert len(self.scene.outgoing().sent) == 1
        self.scene.advance(MINUTE - 1)
        assert len(self.scene.outgoing().sent) == 1
        self.scene.advance(1)
        assert len(self.scene.outgoing().sent) == 2
        assert message.state == MessageState.ENROUTE

    def test_media_that_cannot_be_read_now_are_waited_for(self) -> None:
        """A store that fails is tried again as an MMSC that is not reached."""
        self.scene.media.broken = True
        self.scene.accepted()
        self.scene.media.broken = False
        self.scene.advance(MINUTE)
        assert len(self.scene.outgoing().sent) == 1


class RetryTests(Case):
    """T9: what the SMTP server says."""

    def test_it_is_tried_again_after_451(self) -> None:
        """After 1, 5, 15, 30, 60 minutes, then hourly, with the same ids."""
        message = self.scene.accepted()
        for pause in (1, 5, 15, 30, 60, 60):
            before = len(self.scene.outgoing().sent)
            self.scene.outgoing().say(451)
            self.scene.advance(pause * MINUTE - 1)
            assert len(self.scene.outgoing().sent) == before
            self.journey.clock.advance(1)
            assert len(self.scene.outgoing().sent) == before + 1
        ids = {(p.transaction_id, p.message_id) for p in self.scene.outgoing().pdus()}
        assert ids == {(f"{message.id:x}", f"{message.id:x}@{DOMAIN}")}
        mail_ids = {p.mail_id for p in self.scene.outgoing().pdus()}
        assert len(mail_ids) == 7

    def test_one_that_is_not_reached_is_down(self) -> None:
        """Until it is reached; the message waits."""
        self.scene.accepted()
        side = self.scene.sides["mmsc"]
        assert (side.up, side.state, side.last) == (True, "idle", "")
        self.scene.outgoing().say(0)
        assert (side.up, side.failing) == (False, "connection refused")
        assert (side.state, side.last) == ("down", "connection refused")
        self.scene.advance(MINUTE)
        self.scene.outgoing().say(250)
        assert (side.up, side.state) == (True, "up")
        assert side.last.startswith("SMTP 250")

    def test_it_expires(self) -> None:
        """An MMSC that takes nothing until the message is not valid any more: EXPIRED."""
        message = self.scene.accepted(validity_ms=120_000)
        self.scene.outgoing().say(421)
        self.scene.advance(MINUTE)
        self.scene.outgoing().say(421)
        self.scene.advance(MINUTE + 2)
        assert message.state == MessageState.EXPIRED
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_550_is_final(self) -> None:
        """REJECTED, 50 at REST since no carrier took it, and a receipt to who sent it."""
        message = self.scene.accepted()
        self.scene.outgoing().say(550, "no such user")
        stored = self.stored(message)
        assert stored.state == MessageState.REJECTED
        assert stored.error == codes.REJECTED_BY_NEXT_HOP
        assert (stored.network_error, stored.carrier_at) == ("SMTP 550", 0)
        assert self.journey.kinds() == [Kind.RECEIPT]
        assert self.scene.states() == []

    def test_a_carriers_own_code_is_used(self) -> None:
        """``errors`` of its form, by the SMTP code."""
        message = self.scene_with(errors={"550": 115}).accepted()
        self.scene.outgoing().say(550)
        assert message.error == 115

    def test_the_next_carrier_gets_what_one_refuses(self) -> None:
        """As of short messages."""
        scene = self.scene_with(("mmsc", "other"))
        message = scene.accepted()
        scene.outgoing().say(554)
        assert len(scene.outgoing("other").sent) == 1
        scene.outgoing("other").say(250)
        request = scene.outgoing("other").pdus()[0]
        assert isinstance(request, ForwardReq)
        scene.respond(OK, request, "other")
        assert message.carrier == "other"


class ResponseTests(Case):
    """``MM4_forward.RES``."""

    def test_without_ack_the_250_is_enough(self) -> None:
        """It counts as accepted: a carrier has it (20)."""
        message = self.scene_with(ack=False).mailed()
        assert self.scene.request().ack_request is False
        assert message.carrier == "mmsc"
        assert self.stored(message).carrier_at == NOW_MS
        assert self.scene.states() == []

    def test_without_a_domain_of_ours_nobody_could_answer(self) -> None:
        """So no response is asked for."""
        self.scene.exchange.domain = ""
        message = self.scene.mailed()
        assert self.scene.request().ack_request is False
        assert message.carrier == "mmsc"

    def test_a_mailed_one_waits_for_its_response(self) -> None:
        """No carrier has acknowledged it until that comes."""
        message = self.scene.mailed()
        assert self.stored(message).carrier == ""
        [(due, _)] = self.scene.states()
        assert due == NOW_MS + 600000
        assert self.scene.respond()
        assert self.stored(message).carrier == "mmsc"
        assert self.scene.states() == []

    def test_it_may_overtake_the_250(self) -> None:
        """What the SMTP server says afterwards is of no account."""
        message = self.scene.accepted()
        assert self.scene.respond()
        assert self.stored(message).carrier == "mmsc"
        self.scene.outgoing().say(451)
        assert self.scene.states() == []
        self.scene.advance(20 * MINUTE)
        assert len(self.scene.outgoing().sent) == 1

    def test_a_retry_may_overtake_the_250(self) -> None:
        """The response asks for another try, whose time comes while the SMTP server has yet to
        answer the first: each is one mail, and none is under way for ever."""
        message = self.scene.accepted()
        assert self.scene.respond(RequestStatus.NETWORK_PROBLEM)
        self.scene.advance(2 * MINUTE)
        assert len(self.scene.outgoing().under_way) == 2
        self.scene.outgoing().say(250)
        assert self.scene.sides["mmsc"].outstanding == 0
        assert self.scene.respond()
        assert self.stored(message).carrier == "mmsc"
        self.successResultOf(self.scene.sides["mmsc"].stop())

    def test_a_response_is_found_after_a_restart(self) -> None:
        """What waits for it is in the store (I1)."""
        message = self.scene.mailed()
        request = self.scene.request()
        self.scene.restart()
        assert self.scene.respond(OK, request)
        assert self.stored(message).carrier == "mmsc"
        assert self.scene.outgoing().sent == []  # I2: not mailed again

    def test_silence_is_followed_by_three_repeats_and_unknown(self) -> None:
        """T9: ten minutes apart, with the same ids, over a restart too; then Indeterminate, which
        no carrier has acknowledged (ruling 18)."""
        message = self.scene.mailed()
        ids = {self.scene.request().transaction_id}
        for n in range(3):
            if n == 1:
                self.scene.restart()
                self.journey.expiry.start()
            before = len(self.scene.outgoing().sent)
            self.scene.advance(10 * MINUTE)
            assert len(self.scene.outgoing().sent) == before + 1
            ids.add(self.scene.request().transaction_id)
            self.scene.outgoing().say(250)
        assert len(ids) == 1
        assert self.stored(message).state == MessageState.ENROUTE
        self.scene.advance(10 * MINUTE)
        self.journey.expiry.stop()
        stored = self.stored(message)
        assert (stored.state, stored.carrier_at) == (MessageState.UNKNOWN, 0)
        assert self.scene.states() == []
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_what_comes_after_the_silence_counts(self) -> None:
        """UNKNOWN is not final: a late response acknowledges it, a late report ends it."""
        message = self.scene.mailed()
        for _ in range(4):
            self.scene.advance(10 * MINUTE)
            self.scene.outgoing().say(250)
        assert message.state == MessageState.UNKNOWN
        self.scene.respond()
        assert self.stored(message).carrier == "mmsc"
        self.scene.report(message, Status.RETRIEVED)
        assert self.stored(message).state == MessageState.DELIVERED

    def test_an_mms_that_expires_while_it_waits_is_unknown(self) -> None:
        """The MMSC may have it, so it is not EXPIRED."""
        message = self.scene.mailed(validity_ms=60_000)
        self.journey.expiry.start()
        self.scene.advance(2 * MINUTE)
        self.journey.expiry.stop()
        assert self.stored(message).state == MessageState.UNKNOWN

    def test_a_temporary_error_is_tried_again(self) -> None:
        """``Error-network-problem`` and ``Error-unspecified`` are as 4xx."""
        message = self.scene.mailed()
        self.scene.respond(RequestStatus.NETWORK_PROBLEM)
        assert message.state == MessageState.ENROUTE
        self.scene.advance(MINUTE)
        assert len(self.scene.outgoing().sent) == 2
        self.scene.outgoing().say(250)
        self.scene.respond()
        assert message.carrier == "mmsc"

    def test_another_error_is_final(self) -> None:
        """REJECTED with the word of the MMSC, and our nearest code."""
        for status, code in (
            (RequestStatus.SERVICE_DENIED, 104),
            (RequestStatus.CONTENT_NOT_ACCEPTED, 202),
            (RequestStatus.ADDRESS_UNRESOLVED, 206),
        ):
            message = self.scene.mailed()
            self.scene.respond(status)
            stored = self.stored(message)
            assert (stored.state, stored.error) == (MessageState.REJECTED, code)
            assert (stored.network_error, stored.carrier_at) == (str(status), 0)

    def test_nobody_is_heard_about_messages_of_others(self) -> None:
        """I6: another carrier's response changes nothing."""
        message = self.scene.mailed()
        assert self.scene.respond(carrier="other")
        assert message.carrier == ""
        assert len(self.scene.states()) == 1
        assert self.scene.answers.unmatched == 1

    def test_a_response_counts_as_delivery_where_the_carrier_says_so(self) -> None:
        """``res_delivers`` (spec/mm4.md §9)."""
        message = self.scene_with(res_delivers=True).mailed()
        self.scene.respond()
        stored = self.stored(message)
        assert (stored.state, stored.carrier) == (MessageState.DELIVERED, "mmsc")

    def test_while_the_store_fails_the_mmsc_is_to_say_it_again(self) -> None:
        """What is not durable is not answered (I1)."""
        message = self.scene.mailed()
        self.journey.settlement.unstored += 1
        assert not self.scene.respond()
        self.journey.settlement.unstored -= 1
        assert self.scene.respond()
        assert message.carrier == "mmsc"


class ReportTests(Case):
    """``MM4_delivery_report.REQ`` and ``MM4_read_reply_report.REQ``."""

    def acknowledged(self, **fields: Any) -> Message:
        """A message that the MMSC has accepted."""
        message = self.scene.mailed(**fields)
        self.scene.respond()
        return message

    def test_each_status_gives_its_state(self) -> None:
        """T7: the states of section 8, final ones with a receipt to the customer."""
        for status, extension, state in (
            (Status.RETRIEVED, "", MessageState.DELIVERED),
            (Status.EXPIRED, "", MessageState.EXPIRED),
            (Status.REJECTED, "", MessageState.REJECTED),
            (Status.REJECTED, "Rejection-by-Other-RS", MessageState.UNDELIVERABLE),
            (Status.INDETERMINATE, "", MessageState.UNKNOWN),
            (Status.UNRECOGNISED, "", MessageState.UNKNOWN),
            (Status.UNREACHABLE, "", MessageState.UNDELIVERABLE),
        ):
            self.scene_with()
            message = self.acknowledged()
            assert self.scene.report(message, status, extension=extension)
            assert self.stored(message).state == state
            assert self.journey.kinds() == [Kind.RECEIPT]

    def test_deferred_and_forwarded_are_on_the_way(self) -> None:
        """T7: not final; who asked for intermediate receipts gets one, and the end still comes."""
        for status in (Status.DEFERRED, Status.FORWARDED):
            self.scene_with()
            message = self.acknowledged(registered_delivery=0x11)
            self.scene.report(message, status)
            assert not MessageState(message.state).final
            assert Kind.PROGRESS in self.journey.kinds()
            self.scene.report(message, Status.RETRIEVED)
            assert self.stored(message).state == MessageState.DELIVERED

    def test_it_is_answered_if_it_asks(self) -> None:
        """T2: to its Sender, with its ids, and only then; in the transaction of what it says."""
        message = self.acknowledged()
        self.scene.report(message, Status.DEFERRED)
        sent = len(self.scene.outgoing().sent)
        self.scene.report(message, Status.RETRIEVED, ack_request=True)
        answer = self.scene.outgoing().pdus()[sent]
        assert isinstance(answer, DeliveryReportRes)
        assert (answer.transaction_id, answer.status) == ("dr-1", OK)
        assert self.scene.outgoing().sent[-1].recipients == [f"system-user@{MMSC}"]
        assert len(self.scene.outgoing().sent) == sent + 1

    def test_an_unknown_message_is_said_to_be_unknown(self) -> None:
        """``Error-message-not-found``."""
        message = evolve(self.acknowledged(), id=7)
        sent = len(self.scene.outgoing().sent)
        assert self.scene.report(message, Status.RETRIEVED, ack_request=True)
        answer = self.scene.outgoing().pdus()[sent]
        assert isinstance(answer, DeliveryReportRes)
        assert answer.status == RequestStatus.MESSAGE_NOT_FOUND

    def test_one_about_another_recipient_is_about_no_message(self) -> None:
        """``From`` is compared with the recipient, in whatever form the number is; the message
        waits on."""
        message = self.scene.mailed()
        before = self.scene.states()
        assert self.scene.report(message, Status.RETRIEVED, from_=f"+447700900999@{MMSC}")
        assert message.state == MessageState.ENROUTE
        assert self.scene.states() == before
        assert self.scene.answers.unmatched == 1
        self.scene.report(message, Status.RETRIEVED, from_=f"0{DESTINATION[2:]}@{MMSC}")
        assert self.stored(message).state == MessageState.DELIVERED

    def test_it_may_come_before_the_response(self) -> None:
        """It says that the MMSC has the message, too."""
        message = self.scene.mailed()
        self.scene.report(message, Status.RETRIEVED)
        stored = self.stored(message)
        assert (stored.state, stored.carrier) == (MessageState.DELIVERED, "mmsc")
        assert self.scene.states() == []
        assert self.scene.respond()
        assert self.stored(message).state == MessageState.DELIVERED

    def test_twice_is_once(self) -> None:
        """A report that comes again is answered again, and told once."""
        message = self.acknowledged()
        for _ in range(2):
            assert self.scene.report(message, Status.RETRIEVED, ack_request=True)
        assert self.journey.kinds() == [Kind.RECEIPT]

    def test_a_read_reply_is_an_event_of_its_own(self) -> None:
        """Ruling 18: when it was read is kept and told once, the delivery goes on as it was; ESMEs
        have no word for it."""
        self.journey.provisioning.accounts["acme"].callback = "https://example.com/in?"
        message = self.acknowledged(interface="rest")
        self.scene.read(message, date=NOW_MS + 1000, ack_request=True)
        self.scene.read(message, date=NOW_MS + 9000)
        stored = self.stored(message)
        assert (stored.read_at, stored.state) == (NOW_MS + 1000, MessageState.ENROUTE)
        events = [delivery.event for delivery, _ in self.journey.messengers["http"].under_way]
        assert events.count("progress") == 1
        self.journey.messengers["http"].tell("delivered")
        events = [delivery.event for delivery, _ in self.journey.messengers["http"].under_way]
        assert events == ["read"]
        assert isinstance(self.scene.outgoing().pdus()[-1], ReadReplyRes)
        self.scene.report(message, Status.RETRIEVED)
        stored = self.stored(message)
        assert (stored.read_at, stored.state) == (NOW_MS + 1000, MessageState.DELIVERED)

    def test_esmes_are_told_of_no_read(self) -> None:
        """SMPP has no such receipt."""
        message = self.acknowledged()
        self.scene.read(message)
        assert self.journey.kinds() == []
        assert self.stored(message).read_at > 0

    def test_deleted_without_being_read_is_no_read(self) -> None:
        """It is answered, and nothing is told."""
        message = self.acknowledged(interface="rest")
        self.scene.read(message, ReadStatus.DELETED)
        assert self.stored(message).read_at == 0


class KindTests(Case):
    """A carrier that becomes one of another kind."""

    def test_an_mms_is_not_sent_as_a_short_message(self) -> None:
        """What waited for an MMSC that is an SMSC now is REJECTED, and the handset gets nothing."""
        message = self.scene.accepted()
        self.scene.outgoing().say(451)
        self.scene.sides.pop("mmsc").stop()
        provisioning = provisioned()
        provisioning.carriers["mmsc"] = Carrier("mmsc")
        self.journey.provision(provisioning)
        link = self.journey.link("mmsc")
        self.scene.advance(MINUTE)
        assert link.submitted == []
        assert self.stored(message).state == MessageState.REJECTED

    def test_a_short_message_is_not_mailed(self) -> None:
        """And the other way round."""
        provisioning = provisioned()
        provisioning.carriers["mmsc"] = Carrier("mmsc")
        self.journey = Journey(self, provisioning)
        message = self.journey.accepted()
        self.journey.provision(provisioned())
        self.scene = Scene(self.journey)
        assert self.scene.outgoing().sent == []
        assert self.stored(message).state == MessageState.REJECTED


class ChangeTests(Case):
    """A customer who thinks again."""

    def ask(self, asked: Any) -> Any:
        """What becomes of it."""
        return self.journey.result(Deferred.fromCoroutine(asked))

    def test_one_that_waits_may_be_cancelled(self) -> None:
        """Before anything was mailed; afterwards the MMSC may have it."""
        later = self.scene.accepted(schedule_at=NOW_MS + 3600_000)
        assert self.ask(self.journey.cancelling.cancel("acme", later.id)) is later
        assert self.stored(later).state == MessageState.DELETED
        mailed = self.scene.mailed()
        assert isinstance(self.ask(self.journey.cancelling.cancel("acme", mailed.id)), Refusal)
        assert self.stored(mailed).state == MessageState.ENROUTE

    def test_it_is_not_replaced_by_a_text(self) -> None:
        """replace_sm knows short messages only."""
        later = self.scene.accepted(schedule_at=NOW_MS + 3600_000)
        change = Change(octets=b"Other")
        replacing = self.journey.replacing.replace("acme", later.id, change, lambda _: True)
        outcome = self.ask(replacing)
        assert outcome.reason is Reason.REPLACE_FAILED
        assert self.stored(later).kind == "mms"


class StopTests(Case):
    """A gateway that stops, a carrier that goes."""

    def test_what_is_cut_off_is_mailed_again(self) -> None:
        """A stop ends the mails under way; they are no failed tries."""
        self.scene.accepted()
        stopped = self.scene.sides["mmsc"].stop()
        self.assertNoResult(stopped)
        self.scene.outgoing().say(0, "stopping")
        self.successResultOf(stopped)
        assert self.scene.states() == [(NOW_MS, 0)]
        self.scene.restart()
        assert len(self.scene.outgoing().sent) == 1

    def test_an_mms_of_a_carrier_that_is_gone_goes_to_the_next(self) -> None:
        """What was mailed to it and is not answered stays with it, as UNKNOWN."""
        scene = self.scene_with(("mmsc", "other"))
        mailed = scene.mailed()
        waiting = scene.accepted()
        scene.outgoing().say(451)
        scene.sides.pop("mmsc").stop()
        provisioning = provisioned()
        del provisioning.carriers["mmsc"]
        provisioning.routes["uk"].carriers = ["other"]
        self.journey.provision(provisioning)
        self.journey.result(Deferred.fromCoroutine(self.journey.expiry.forsake("mmsc")))
        assert mailed.state == MessageState.UNKNOWN
        scene.advance(MINUTE)
        [request] = scene.outgoing("other").pdus()
        assert request.transaction_id == f"{waiting.id:x}"


class MoneyTests(Case):
    """Prices and refunds as for SMS (issue 6; I8)."""

    def prepaid(self, balance: str, **fields: Any) -> None:
        """The account has so much; an MMS costs 0.05."""
        provisioning = provisioned()
        provisioning.routes["uk"].carriers = ["mmsc"]
        provisioning.accounts["acme"] = Account(
            name="acme", number=[Number(SOURCE)], balance=balance, **fields
        )
        put_in_force(self.journey, provisioning)

    def adds_up(self, *expected: tuple[Entry, int]) -> None:
        """The ledger has these entries, and its sum is the balance."""
        found = [(reason, amount) for reason, amount, _ in entries(self.journey)]
        assert found == list(expected)
        total = sum(amount for _, amount in expected)
        assert stored_balance(self.journey) == self.journey.balances.of("acme") == total

    def test_what_the_mmsc_refuses_is_given_back(self) -> None:
        """By SMTP, or by its response: where the account's refunds say so."""
        self.prepaid("0.1000", refund=["refused"])
        message = self.scene.accepted()
        assert message.charged == 500
        self.scene.outgoing().say(550)
        self.adds_up((Entry.OPENING, 1000), (Entry.CHARGE, -500), (Entry.REFUND, 500))
        self.scene.accepted()
        self.scene.outgoing().say(250)
        self.scene.respond(RequestStatus.SERVICE_DENIED)
        assert stored_balance(self.journey) == self.journey.balances.of("acme") == 1000

    def test_what_is_spent_sends_no_mms(self) -> None:
        """It is refused with the reason that an SMS has, and nothing is mailed."""
        self.prepaid("0.0600")
        self.scene.accepted()
        [outcome] = self.journey.accept(self.scene.an_mms())
        assert isinstance(outcome, Refusal)
        assert outcome.reason == Reason.NO_CREDIT
        assert len(self.scene.outgoing().sent) == 1
