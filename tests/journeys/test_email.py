"""E-mail to SMS and MMS and back (aerialink.md 4.8, rulings 21 to 29): real sockets all the way."""

import re
from email.message import EmailMessage

from twisted.internet import reactor
from twisted.internet.defer import fail

from smsgw.email_submission import NO_SENDER
from smsgw.identities import from_guid
from smsgw.message import MessageState
from smsgw.store.changes import StoreFailed
from smsgw.testing.script import SmscScript
from tests.integration.books import until
from tests.integration.scene import HANDSET, NUMBER
from tests.journeys.email_scene import ALICE, MMS, OTHER, OUT, SMS, EmailCase, letter, status
from tests.journeys.mm4_scene import GIF


class ToSms(EmailCase):
    """``number@sms.``."""

    async def test_text_becomes_an_sms_e_d31(self) -> None:
        """E-D31, E-D33: the text up to the signature, without the subject; 250 with GUID and 10."""
        await self.begin()
        guid = await self.accepted(letter("Grüße, €5\n\n-- \nAlice\nACME Ltd"))
        assert await self.text() == ("ACME", HANDSET, "Grüße, €5")
        shown = await self.transaction(guid)
        assert shown["destination"] == HANDSET

    async def test_html_only_mail_is_sent_as_its_text(self) -> None:
        """Ruling 24."""
        await self.begin()
        mail = letter()
        mail.set_content("<p>Hello &amp; <b>welcome</b></p><style>p{}</style>", subtype="html")
        await self.accepted(mail)
        assert (await self.text())[2] == "Hello & welcome"

    async def test_source_by_header_from_and_default_e_d32(self) -> None:
        """E-D32: X-SMS-Source, else From if it is a code of the account, else the default."""
        await self.begin()
        await self.accepted(letter(X_SMS_Source=NUMBER))
        await self.accepted(letter(sender=f"+{NUMBER}@customer.example"))
        await self.accepted(letter(sender="alice@customer.example"))
        sources = [(await self.text(n))[0] for n in range(3)]
        assert sources == [NUMBER, NUMBER, "ACME"]
        _, answer = await self.send(letter(X_SMS_Source="447700900999"))
        assert answer == "553 5.7.1 1022 Source not provisioned: 447700900999"
        form = self.gateway.tables.accounts["acme"]
        self.patch(form, "sender", "")
        _, answer = await self.send(letter(sender="alice@customer.example"))
        assert answer == f"553 5.1.7 1021 Invalid source: {NO_SENDER}"

    async def test_options_e_d32(self) -> None:
        """E-D32: validity in minutes, reference; what is wrong with them is said."""
        await self.begin()
        guid = await self.accepted(letter(X_SMS_Validity="90", X_SMS_Reference="order 7"))
        shown = await self.transaction(guid)
        assert shown["clientReference"] == "order 7"
        found = from_guid(guid)
        assert found is not None
        message = await self.gateway.message("acme", found[0])
        assert message.expires_at - message.accepted_at == 90 * 60_000
        for wrong in ("0", "43201", "1" * 5_000):
            _, answer = await self.send(letter(X_SMS_Validity=wrong))
            assert answer.startswith("501 5.5.4 1012")
        _, answer = await self.send(letter(X_SMS_Validity="soon"))
        assert answer == "501 5.5.4 1012 Parameter invalid: X-SMS-Validity must be minutes"
        _, answer = await self.send(letter(X_SMS_Registered_Delivery="perhaps"))
        assert answer.startswith("501 5.5.4 1012 Parameter invalid: X-SMS-Registered-Delivery")
        _, answer = await self.send(letter(X_SMS_Reference="x" * 65))
        assert answer.startswith("501 5.5.4 1012")

    async def test_subject_in_front_by_setting_e_d31(self) -> None:
        """E-D31: ``aerialink.prepend_subject``."""
        await self.begin(prepend_subject=True)
        await self.accepted(letter("Hello"))
        assert (await self.text())[2] == "A subject\nHello"

    async def test_opted_out_is_550_e_d15(self) -> None:
        """E-D15, test 2 of aerialink.md: the answer says 52; nothing is sent."""
        await self.begin()
        await self.opt_out()
        await self.north.smsc.arrived(1)  # its confirmation
        _, answer = await self.send(letter(X_SMS_Source=NUMBER), f"{OUT}@{SMS}")
        assert answer == "550 5.7.1 52 opted out"
        assert len(self.north.smsc.submits) == 1

    async def test_several_recipients_ruling_23(self) -> None:
        """Ruling 23: GUIDs with commas; what was refused is told by a DSN."""
        await self.begin()
        await self.opt_out()
        mails = len(self.sink.mails)
        to = [f"{one}@{SMS}" for one in (HANDSET, OUT, OTHER)]
        refused, answer = await self.send(letter(X_SMS_Source=NUMBER), *to)
        assert refused == []
        guid = "[0-9a-f-]{36}"
        assert re.fullmatch(rf"250 2\.0\.0 {guid},{guid} 10", answer), answer
        await self.north.smsc.arrived(3)
        [mail] = (await self.mailed(mails + 1))[mails:]
        report, fields = status(mail)
        assert mail.recipients == [ALICE]
        assert (fields["Action"], fields["Status"]) == ("failed", "5.7.1")
        assert fields["Final-Recipient"] == f"rfc822; {OUT}@{SMS}"
        assert fields["Diagnostic-Code"] == "smtp; 550 5.7.1 52 opted out"
        assert report["In-Reply-To"] == "<m1@example.org>"

    async def test_all_guids_of_many_recipients_are_told(self) -> None:
        """RFC 5321 §4.5.3.1.5: the answer has as many lines as it needs."""
        await self.begin()
        to = [f"4477009002{n:02}@{SMS}" for n in range(30)]
        _, answer = await self.send(letter(), *to)
        assert answer.endswith(" 10")
        assert len(set(re.findall("[0-9a-f-]{36}", answer))) == 30

    async def test_automatic_mail_never_becomes_an_sms_ruling_24(self) -> None:
        """Ruling 24: Auto-Submitted other than no, and the empty sender."""
        await self.begin()
        _, answer = await self.send(letter(Auto_Submitted="auto-replied"))
        assert answer.startswith("550 5.7.1 ")
        _, answer = await self.send(letter(), sender="")
        assert answer.startswith("550 5.7.1 ")
        await self.accepted(letter("by hand", Auto_Submitted="no"))
        assert (await self.text())[2] == "by hand"
        assert len(self.north.smsc.submits) == 1

    async def test_refused_at_rcpt_and_data(self) -> None:
        """E-D33: addresses that are none at RCPT, mails without text at the end."""
        await self.begin()
        refused, _ = await self.send(letter(), f"nobody@{SMS}")
        assert refused == ["553 5.1.3 1023 Invalid destination: nobody"]
        _, answer = await self.send(letter(" \n\n-- \nsignature only"))
        assert answer == "501 5.5.4 1011 Parameter missing: text"
        _, answer = await self.send(letter("x" * 60_000))
        assert answer.startswith("552 5.3.4 1014 Message too long")
        _, answer = await self.send(letter(), f"12125550100@{SMS}")
        assert answer.startswith("550 5.4.4 50 not sent")

    async def test_nothing_is_said_yes_to_before_it_is_stored_i1(self) -> None:
        """I1: a store that fails makes 451, and the client keeps the mail; so do media."""
        await self.begin()
        self.patch(self.gateway.journal, "commit", lambda changes: fail(StoreFailed("disk full")))
        _, answer = await self.send(letter())
        assert answer.startswith("451 4.3.0 ")
        self.patch(self.gateway.media, "put", lambda content: fail(OSError("disk full")))
        _, answer = await self.send(letter(), f"{HANDSET}@{MMS}")
        assert answer.startswith("451 4.3.0 ")
        assert not self.north.smsc.submits

    async def test_right_to_send_mail(self) -> None:
        """F-6: a login for MM4 alone sends no e-mail."""
        await self.begin()
        right = 'username = "other"\ninterfaces = ["mm4"]'
        await self.apply(self.provisioned().replace('username = "other"', right))
        _, answer = await self.send(letter(X_SMS_Source="X"), login="other")
        assert answer == "550 5.7.1 1005 Permission denied"

    async def test_content_that_cannot_be_read(self) -> None:
        """I7: the answer says what is wrong with it."""
        await self.begin()
        octets = b"Content-Type: multipart/mixed; boundary=a\r\n\r\nno such line\r\n"
        _, answer = await self.send(octets)
        assert answer.startswith("501 5.5.2 1010 Bad request: the boundary")


class Reports(EmailCase):
    """RFC 3461, RFC 3464."""

    async def test_success_as_notify_asks_e_d33(self) -> None:
        """E-D33: what NOTIFY, ENVID and ORCPT said is in the report."""
        await self.begin()
        guid = await self.accepted(
            letter(X_SMS_Reference="order 7"),
            options=" NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob+2Bsms@example.org",
            ret=" RET=HDRS ENVID=QQ314159",
        )
        [mail] = await self.mailed()
        report, fields = status(mail)
        assert mail.recipients == [ALICE]
        assert (fields["Action"], fields["Status"]) == ("delivered", "2.0.0")
        assert fields["Original-Envelope-Id"] == "QQ314159"
        assert fields["Original-Recipient"] == "rfc822;bob+sms@example.org"
        assert fields["Final-Recipient"] == f"rfc822; {HANDSET}@{SMS}"
        assert fields["Reporting-MTA"] == f"dns; {SMS}"
        assert (fields["X-SMS-Transaction"], fields["X-SMS-Reference"]) == (guid, "order 7")
        first, _, third = report.iter_parts()
        assert "was delivered" in first.get_content()
        assert third.get_content_type() == "text/rfc822-headers"
        assert "Subject: A subject" in third.get_payload()

    async def test_failure_is_told_unless_never(self) -> None:
        """RFC 3461 §4.1: failure is reported if nothing is said, and RET=FULL returns the text."""
        await self.begin(SmscScript(states={"UNDELIV": 1}))
        await self.accepted(letter("never"), options=" NOTIFY=NEVER")
        await self.accepted(letter("success only"), options=" NOTIFY=SUCCESS")
        await self.accepted(letter("said nothing"), ret=" RET=FULL")
        [mail] = await self.mailed()
        report, fields = status(mail)
        assert (fields["Action"], fields["Status"]) == ("failed", "5.1.1")
        assert fields["Diagnostic-Code"].startswith("X-SMS; UNDELIV")
        _, _, third = report.iter_parts()
        [returned] = third.iter_parts()
        assert returned.get_content() == "said nothing"
        assert returned["Message-ID"] == "<m1@example.org>"

    async def test_header_asks_for_both_e_d32(self) -> None:
        """E-D32: X-SMS-Registered-Delivery does what NOTIFY=SUCCESS,FAILURE does."""
        await self.begin()
        await self.accepted(letter(X_SMS_Registered_Delivery="yes"))
        [mail] = await self.mailed()
        assert status(mail)[1]["X-SMS-State"] == MessageState.DELIVERED.stat

    async def test_reports_survive_a_mail_server_that_is_down(self) -> None:
        """They are queued, and due again after a failure."""
        await self.begin()
        self.sink.refuse = {"DATA": 451}
        await self.accepted(letter(), options=" NOTIFY=SUCCESS")
        results = self.gateway.deliveries.results
        await until(reactor, lambda: results.get(("email", "failed")) == 1, "a failure")
        assert self.sink.mails == []
        queue = f"target:acme report {ALICE.partition('@')[2]}"
        assert (await self.waiting())[queue] == 1


class ToMms(EmailCase):
    """``number@mms.``."""

    def picture(self) -> EmailMessage:
        """As mail programs write it: alternatives of the text, and a picture."""
        mail = letter("Look at this\n\n-- \nAlice")
        mail.add_alternative("<p>Look at <i>this</i></p>", subtype="html")
        mail.add_attachment(GIF, maintype="image", subtype="gif", filename="sea.gif")
        return mail

    async def test_subject_text_and_attachments_e_d31(self) -> None:
        """E-D31, test 10 of aerialink.md: the MMS has them, and a SMIL that shows them."""
        await self.begin()
        guid = await self.accepted(self.picture(), f"{HANDSET}@{MMS}")
        await self.mmsc.watch.when(lambda: bool(self.mmsc.mails))
        [got] = self.mmsc.mails
        assert got.recipients == [f"+{HANDSET}/TYPE=PLMN@mms.example.net"]
        assert got.pdu.subject == "A subject"
        parts = {part.type: part.content for part in got.parts}
        assert set(parts) == {"application/smil", "text/plain", "image/gif"}
        assert (parts["text/plain"], parts["image/gif"]) == (b"Look at this", GIF)
        assert b"sea.gif" in parts["application/smil"]
        assert (await self.transaction(guid))["destination"] == HANDSET

    async def test_mms_of_nothing(self) -> None:
        """There must be something to send."""
        await self.begin()
        mail = letter("")
        del mail["Subject"]
        _, answer = await self.send(mail, f"{HANDSET}@{MMS}")
        assert answer == "501 5.5.4 1011 Parameter missing: text or attachment"

    async def test_type_that_is_not_accepted(self) -> None:
        """Ruling 25: the answer names it."""
        await self.begin()
        mail = self.picture()
        mail.add_attachment(b"MZ\x90\0", maintype="image", subtype="png", filename="x.png")
        _, answer = await self.send(mail, f"{HANDSET}@{MMS}")
        assert answer.startswith("554 5.6.1 1013 Unsupported format: image/png"), answer


class Replies(EmailCase):
    """From MO to mailbox and back (rulings 24 and 29)."""

    async def test_reply_by_login_and_in_reply_to_ruling_29(self) -> None:
        """Ruling 29: a reply to From, matched by In-Reply-To, leaves from the number."""
        await self.begin()
        mo = await self.mo()
        assert mo["From"] == f"{HANDSET}@{SMS}"
        text = "Yes!\n\nOn 14 March 2026, 447700900123 wrote:\n> Are you there?\n"
        await self.accepted(letter(text, In_Reply_To=mo["Message-ID"]))
        assert await self.text() == (NUMBER, HANDSET, "Yes!")

    async def test_in_reply_to_of_another_accounts_message_is_nothing(self) -> None:
        """I6: it neither gives the sender nor tells that there is such a message."""
        await self.begin()
        mo = await self.mo()
        await self.accepted(
            letter("Hi", In_Reply_To=mo["Message-ID"], X_SMS_Source="X"), login="other"
        )
        assert await self.text() == ("X", HANDSET, "Hi")

    async def test_reply_address_by_login(self) -> None:
        """I6: it serves the account's own logins whatever their From, and no other account's."""
        await self.begin()
        to = (await self.mo())["Reply-To"].addresses[0].addr_spec
        colleague = letter("Yes!", sender="bob@example.org")
        await self.accepted(colleague, to, sender="bob@example.org")
        assert await self.text() == (NUMBER, HANDSET, "Yes!")
        _, answer = await self.send(letter(), to, login="other")
        assert answer == "550 5.1.1 No such recipient here"

    async def test_stranger_gets_no_greeting(self) -> None:
        """Ruling 21: whoever is in no list may say nothing; reply_from is empty by default."""
        await self.begin()
        mo = await self.mo()
        refused, _ = await self.send(letter(), mo["Reply-To"].addresses[0].addr_spec, login="")
        assert refused == ["530 5.7.0 Authentication required"] or refused[0].startswith("503")


class RepliesOfTheWorld(EmailCase):
    """By a mail server of ``smtp.reply_from``."""

    world = ("127.0.0.1",)

    async def test_reply_becomes_an_sms_ruling_24(self) -> None:
        """Ruling 24: Reply-To carries both numbers; a reply to it from the mailbox is sent on."""
        await self.begin()
        mo = await self.mo()
        [address] = mo["Reply-To"].addresses
        assert (address.display_name, address.username.partition("+")[0]) == (NUMBER, HANDSET)
        mail = letter("Yes!\n\n-----Original Message-----\nFrom: x\nAre you there?")
        await self.accepted(mail, address.addr_spec, login="")
        assert await self.text() == (NUMBER, HANDSET, "Yes!")

    async def test_only_from_the_mailbox_that_got_it(self) -> None:
        """Whoever the mail was passed on to cannot answer in its name; nor can a machine."""
        await self.begin()
        to = (await self.mo())["Reply-To"].addresses[0].addr_spec
        mallory = "mallory@example.org"
        _, answer = await self.send(letter(sender=mallory), to, login="", sender=mallory)
        assert answer.startswith("550 5.7.1 Reply from the mailbox")
        for field in ({"Auto_Submitted": "auto-replied"}, {"Precedence": "bulk"}):
            _, answer = await self.send(letter(**field), to, login="")
            assert answer.startswith("550 5.7.1 Automatic")
        assert not self.north.smsc.submits

    async def test_guessed_addresses_and_others_are_refused_at_rcpt(self) -> None:
        """The address is the only right: nothing else may be mailed to, MM4 included."""
        await self.begin()
        to = (await self.mo())["Reply-To"].addresses[0].addr_spec
        local, _, domain = to.partition("@")
        forged = local[:-3] + ("aaa" if not local.endswith("aaa") else "bbb")
        for one in (
            f"{forged}@{domain}",
            f"{OTHER}{local[12:]}@{domain}",
            f"{HANDSET}@{SMS}",
            f"{HANDSET}@{MMS}",
            f"system-user@{MMS}",
        ):
            refused, _ = await self.send(letter(), one, login="")
            assert refused == ["550 5.1.1 No such recipient here"], one

    async def test_email_route_action_e_d33(self) -> None:
        """E-D33: what an EMAIL action brings can be answered as well."""
        await self.begin()
        action = f'actions = [{{ type = "EMAIL", to = "{ALICE}" }}]'
        before = '[[account.credential]]\nkind = "smtp"\nusername = "acme"'
        routed = f"[[account.route]]\nsequence = 1\n{action}\n{before}"
        await self.apply(self.provisioned().replace(before, routed))
        to = (await self.mo())["Reply-To"].addresses[0].addr_spec
        await self.accepted(letter("Yes!"), to, login="")
        assert await self.text() == (NUMBER, HANDSET, "Yes!")

    async def test_opted_out_and_case(self) -> None:
        """A reply passes the same checks; mail servers may change the case of the address."""
        await self.begin()
        mo = await self.mo("STOP")
        to = mo["Reply-To"].addresses[0].addr_spec.upper()
        _, answer = await self.send(letter(), to, login="")
        assert answer == "550 5.7.1 52 opted out"
