"""Multimedia messages by MM4, in and handed over (the test list of ``spec/mm4.md`` §10)."""

import re
import shutil
import subprocess
import time
from typing import Any

import pytest
from twisted.internet.threads import deferToThread

from smsgw.message import MessageState
from smsgw.mm4.fields import Expiry
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import (
    DeliveryReportReq,
    DeliveryReportRes,
    ForwardReq,
    ForwardRes,
    ReadReplyReq,
    ReadReplyRes,
)
from smsgw.mm4.words import ReadStatus, RequestStatus, Status
from smsgw.queues import Kind
from smsgw.store import schema
from tests.integration.scene import carrier, until_asked
from tests.journeys.mm4_scene import (
    AT,
    CARRIER_DOMAIN,
    CARRIER_SYSTEM,
    CUSTOMER_DOMAIN,
    CUSTOMER_SYSTEM,
    GIF,
    HANDSET,
    NUMBER,
    OTHER,
    OURS,
    SECRET,
    SYSTEM,
    THIRD,
    Mm4Case,
    at,
    content,
    forward,
    written,
)

OK = RequestStatus.OK


def code(outcomes: dict[str, Any]) -> int:
    """The one SMTP code of all recipients."""
    [found] = {one.code for one in outcomes.values()}
    return int(found)


def said(outcomes: dict[str, Any]) -> str:
    """The one SMTP answer of all recipients."""
    [found] = {f"{one.code} {one.text}" for one in outcomes.values()}
    return str(found)


def report(message_id: str, status: Status = Status.RETRIEVED, **fields: Any) -> DeliveryReportReq:
    """What a carrier says became of a message."""
    given: dict[str, Any] = {
        "from_": at(HANDSET, CARRIER_DOMAIN),
        "to": [at(NUMBER, OURS)],
        "sender": CARRIER_SYSTEM,
        "date": AT,
        "mail_id": "dr-1@x.example",
        "transaction_id": "dr-1",
        "message_id": message_id,
        "status": status,
    }
    return DeliveryReportReq(**{**given, **fields})


class SubmittedTests(Mm4Case):
    """MT: a customer's ``MM4_forward.REQ``."""

    def to(self, *numbers: str, **fields: Any) -> ForwardReq:
        """A request of the customer."""
        return forward(NUMBER, CUSTOMER_DOMAIN, *numbers, **fields)

    async def test_goes_to_the_carrier_and_is_answered(self) -> None:
        """T2: 250, a response by mail to the originator system, the message at the carrier with its
        content under our ids, and the report back under the customer's."""
        await self.begin()
        request = self.to(HANDSET, delivery_report=True, originator_system="mm@mms.example.org")
        assert re.fullmatch(r"250 2\.0\.0 [0-9a-f-]{36}", said(await self.submit(request)))
        [got] = await self.carrier.until(ForwardReq)
        assert got.recipients == [at(HANDSET, CARRIER_DOMAIN)]
        assert (got.pdu.subject, got.pdu.forward_counter) == ("Holiday", 2)
        assert GIF in [part.content for part in got.parts]
        [res] = await self.customer.until(ForwardRes)
        assert res.recipients == ["mm@mms.example.org"]
        assert (res.pdu.status, res.pdu.transaction_id) == (OK, "tr-1")
        assert res.pdu.message_id == request.message_id
        await self.carrier_says(report(got.pdu.message_id), at(NUMBER, OURS))
        [told] = await self.customer.until(DeliveryReportReq)
        assert told.recipients == [at(NUMBER, CUSTOMER_DOMAIN)]
        assert told.pdu.status is Status.RETRIEVED
        assert told.pdu.message_id == request.message_id
        assert told.pdu.from_ == at(HANDSET, OURS)

    async def test_no_response_unless_asked_for(self) -> None:
        """T2: with X-Mms-Ack-Request: No, or without it, only SMTP answers."""
        await self.begin()
        for n, ack in enumerate((False, None)):
            request = self.to(HANDSET, ack_request=ack, message_id=f"m{n}", transaction_id=f"t{n}")
            assert code(await self.submit(request)) == 250
        await self.carrier.until(ForwardReq, 2)
        asked = self.to(HANDSET, message_id="m9", transaction_id="t9")
        assert code(await self.submit(asked)) == 250
        [res] = await self.customer.until(ForwardRes)
        assert res.pdu.transaction_id == "t9"

    async def test_response_goes_to_sender_without_originator_system(self) -> None:
        """T2, ruling 15: where X-Mms-Originator-System is missing, Sender stands for it."""
        await self.begin()
        octets = written(self.to(HANDSET))
        octets = re.sub(rb"Sender: .*\r\n", b"Sender: relay@mms.example.org\r\n", octets, count=1)
        octets = re.sub(rb"X-Mms-Originator-System:.*\r\n", b"", octets)
        await self.mail(octets, at(HANDSET, OURS), sender=CUSTOMER_SYSTEM, login="acme")
        [res] = await self.customer.until(ForwardRes)
        assert res.recipients == ["relay@mms.example.org"]

    async def test_ids_names_and_addresses_of_every_form(self) -> None:
        """T3: quoted ids, odd case of names and words, numbers with and without plus and type,
        display names, national numbers."""
        await self.begin()
        octets = written(self.to(HANDSET, transaction_id="tr-q", message_id="mm-q"))
        octets = octets.replace(b"tr-q", b'"tr-q"').replace(b"mm-q", b'"mm-q"')
        octets = octets.replace(
            b"X-Mms-Message-Type: MM4_forward.REQ", b"x-mms-MESSAGE-type: mm4_FORWARD.req"
        )
        octets = octets.replace(
            f"From: {at(NUMBER, CUSTOMER_DOMAIN)}".encode(),
            f'From: "Me" <{NUMBER}@{CUSTOMER_DOMAIN}>'.encode(),
        )
        to = [f"{HANDSET}@{OURS}", f"0{OTHER[2:]}@{OURS}", f"00{THIRD}/type=plmn@{OURS.upper()}"]
        assert code(await self.mail(octets, *to, sender=CUSTOMER_SYSTEM, login="acme")) == 250
        gots = await self.carrier.until(ForwardReq, 3)
        assert {one.recipients[0] for one in gots} == {
            at(number, CARRIER_DOMAIN) for number in (HANDSET, OTHER, THIRD)
        }
        assert {one.pdu.from_ for one in gots} == {at(NUMBER, OURS)}
        [res] = await self.customer.until(ForwardRes)
        assert (res.pdu.transaction_id, res.pdu.message_id) == ("tr-q", "mm-q")

    async def test_a_repeat_is_answered_again_and_delivered_once(self) -> None:
        """T4, ruling 16: the same message for the same recipient twice, also at the same time, is
        one delivery and two responses; a further recipient of it is new."""
        await self.begin()
        request = self.to(HANDSET)
        first, second = self.submit(request), self.submit(request)
        assert (code(await first), code(await second)) == (250, 250)
        assert [one.pdu.status for one in await self.customer.until(ForwardRes, 2)] == [OK, OK]
        again = self.to(HANDSET, OTHER, transaction_id="tr-2")
        assert code(await self.submit(again)) == 250
        [*_, res] = await self.customer.until(ForwardRes, 3)
        assert (res.pdu.status, res.pdu.transaction_id) == (OK, "tr-2")
        gots = await self.carrier.until(ForwardReq, 2)
        await self.quiet()
        assert [one.recipients[0] for one in self.carrier.of(ForwardReq)] == [
            at(HANDSET, CARRIER_DOMAIN),
            at(OTHER, CARRIER_DOMAIN),
        ]
        assert len(gots) == 2

    async def test_a_refused_recipient_is_refused_again(self) -> None:
        """T4: the stored result of a repeat is that of its recipient, a refusal too."""
        await self.begin()
        request = self.to(HANDSET, from_=at("447700900999", CUSTOMER_DOMAIN))
        for count in (1, 2):
            await self.submit(request)
            res = (await self.customer.until(ForwardRes, count))[-1]
            assert res.pdu.status is RequestStatus.SERVICE_DENIED
            assert res.pdu.status_text.startswith("1022 Source not provisioned")
        assert self.gateway.mms.forwards.repeated == 1

    async def test_missing_headers(self) -> None:
        """T5: each mandatory header that is missing makes the request corrupt; 250 and a response
        if it can be given, else 554."""
        await self.begin()
        names = {
            "From": "response",
            "X-Mms-3GPP-MMS-Version": "response",
            "X-Mms-Transaction-ID": "response",
            "X-Mms-Message-ID": "response",
            "Date": "response",
            "Message-ID": "response",
            "Content-Type": "response",
            "To": "response",
        }
        whole = written(self.to(HANDSET))
        for n, name in enumerate(names, 1):
            head, body = whole.split(b"\r\n\r\n", 1)
            lines = [one for one in head.split(b"\r\n") if not one.startswith(f"{name}:".encode())]
            octets = b"\r\n".join(lines) + b"\r\n\r\n" + body
            sent = self.mail(octets, at(HANDSET, OURS), sender=CUSTOMER_SYSTEM, login="acme")
            assert code(await sent) == 250, name
            res = (await self.customer.until(ForwardRes, n))[-1]
            assert res.pdu.status is RequestStatus.FORMAT_CORRUPT
            assert f"missing {name}" in res.pdu.status_text
        quiet = whole.replace(b"X-Mms-Ack-Request: Yes", b"X-Mms-Ack-Request: No")
        quiet = quiet.replace(b"X-Mms-Message-ID", b"X-Nothing")
        sent = self.mail(quiet, at(HANDSET, OURS), sender=CUSTOMER_SYSTEM, login="acme")
        assert said(await sent) == (
            "554 5.6.0 Error-message-format-corrupt: missing X-Mms-Message-ID"
        )
        assert self.carrier.mails == []

    async def test_one_of_three_recipients_opted_out(self) -> None:
        """T6: two are delivered; the responses name who was refused and who was not; a repeat is
        answered the same."""
        await self.begin()
        await self.optout(OTHER)
        request = self.to(HANDSET, OTHER, THIRD)
        for count in (2, 4):
            assert code(await self.submit(request)) == 250
            found = (await self.customer.until(ForwardRes, count))[-2:]
            told = {one.pdu.status: one.pdu for one in found}
            assert told[RequestStatus.SERVICE_DENIED].recipients == [at(OTHER, OURS)]
            assert told[RequestStatus.SERVICE_DENIED].status_text.startswith("52 Opted Out")
            assert told[OK].recipients == [at(HANDSET, OURS), at(THIRD, OURS)]
        await self.carrier.until(ForwardReq, 2)
        await self.quiet()
        assert len(self.carrier.of(ForwardReq)) == 2

    async def test_refused_in_part_and_nobody_asked_for_a_response(self) -> None:
        """Of a request without ack request SMTP says 250 if one recipient is served; the others are
        reported as Rejected if reports were asked for."""
        await self.begin()
        await self.optout(OTHER)
        request = self.to(HANDSET, OTHER, ack_request=False, delivery_report=True)
        assert code(await self.submit(request)) == 250
        [told] = await self.customer.until(DeliveryReportReq)
        assert (told.pdu.status, told.pdu.from_) == (Status.REJECTED, at(OTHER, OURS))
        assert told.pdu.status_text.startswith("52 Opted Out")

    async def test_refused_without_ack_is_refused_by_smtp(self) -> None:
        """§7: with the code of the reason and its text."""
        await self.begin()
        await self.optout(HANDSET)
        request = self.to(HANDSET, ack_request=False)
        assert said(await self.submit(request)) == f"550 5.7.1 52 Opted Out: {HANDSET}"
        bad = Content([Part("application/x-msdownload", "a.exe", content=b"MZ\x90\x00\x03" * 9)])
        request = self.to(OTHER, ack_request=False, message_id="m2")
        assert said(await self.submit(request, bad)).startswith(
            "554 5.6.0 Error-content-not-accepted: 1013 Unsupported format: "
        )

    async def test_loops(self) -> None:
        """§4: more than 30 Received lines, or a forward counter above the limit."""
        await self.begin(forward_limit=4)
        await self.submit(self.to(HANDSET, forward_counter=5))
        [res] = await self.customer.until(ForwardRes)
        assert res.pdu.status is RequestStatus.SERVICE_DENIED
        assert "forwarded more than 4 times" in res.pdu.status_text
        octets = b"Received: from a by b\r\n" * 30 + written(self.to(HANDSET))
        await self.mail(octets, at(HANDSET, OURS), sender=CUSTOMER_SYSTEM, login="acme")
        [_, res] = await self.customer.until(ForwardRes, 2)
        assert "more than 30 Received lines" in res.pdu.status_text
        assert self.carrier.mails == []

    async def test_reports_of_every_status(self) -> None:
        """T7: each status word reaches the customer with the state of §8."""
        await self.begin()
        expected = {
            Status.RETRIEVED: (MessageState.DELIVERED, Status.RETRIEVED),
            Status.EXPIRED: (MessageState.EXPIRED, Status.EXPIRED),
            Status.REJECTED: (MessageState.REJECTED, Status.REJECTED),
            Status.INDETERMINATE: (MessageState.UNKNOWN, Status.INDETERMINATE),
            Status.UNRECOGNISED: (MessageState.UNKNOWN, Status.INDETERMINATE),
            Status.UNREACHABLE: (MessageState.UNDELIVERABLE, Status.REJECTED),
        }
        for n, (status, (state, word)) in enumerate(expected.items(), 1):
            request = self.to(HANDSET, delivery_report=True, message_id=f"m{n}@x")
            await self.submit(request)
            got = (await self.carrier.until(ForwardReq, n))[-1]
            interim = report(got.pdu.message_id, Status.DEFERRED, ack_request=True)
            await self.carrier_says(interim, at(NUMBER, OURS))
            await self.carrier_says(report(got.pdu.message_id, status), at(NUMBER, OURS))
            told = (await self.customer.until(DeliveryReportReq, n))[-1]
            assert (told.pdu.status, told.pdu.message_id) == (word, f"m{n}@x")
            id = int(got.pdu.message_id.partition("@")[0], 16)
            found = await self.gateway.message("acme", id)
            assert found.state == state, status
            answered = await self.carrier.until(DeliveryReportRes, n)
            assert answered[-1].pdu.status is OK

    async def test_read_reply_reaches_the_customer(self) -> None:
        """A carrier's read reply goes to the customer's MMSC if the request asked for it."""
        await self.begin()
        await self.submit(self.to(HANDSET, read_reply=True))
        [got] = await self.carrier.until(ForwardReq)
        assert got.pdu.read_reply is True
        fields = {
            name: getattr(report(got.pdu.message_id), name) for name in ("from_", "to", "date")
        }
        read = ReadReplyReq(
            **fields,
            sender=CARRIER_SYSTEM,
            mail_id="rr-1@x.example",
            transaction_id="rr-1",
            message_id=got.pdu.message_id,
            status=ReadStatus.READ,
        )
        await self.carrier_says(read, at(NUMBER, OURS))
        [told] = await self.customer.until(ReadReplyReq)
        assert told.pdu.status is ReadStatus.READ
        assert told.pdu.message_id == f"mm-1@{CUSTOMER_DOMAIN}"

    async def test_smtp_refusals(self) -> None:
        """T8: oversize by SIZE 552, unknown domain 550, wrong order 503, strangers' numbers 550."""
        await self.begin()
        mail = f"MAIL FROM:<{CUSTOMER_SYSTEM}>"
        assert await self.talk("DATA", f"{mail} SIZE=9999999", "RCPT TO:<a@b.c>", login=True) == [
            503,
            552,
            503,
        ]
        to = [f"RCPT TO:<{one}>" for one in (f"+1@{OURS}", "x@gmail.example", at(HANDSET, OURS))]
        assert await self.talk(mail, *to, f"RCPT TO:<{SYSTEM}>", login=True) == [
            250,
            550,
            550,
            250,
            250,
        ]
        # A carrier reaches numbers and senders of accounts only (ruling 23).
        carrier = f"MAIL FROM:<{CARRIER_SYSTEM}>"
        to = [f"RCPT TO:<{one}@{OURS}>" for one in (f"+{HANDSET}", f"+{NUMBER}", "ACME", "OTHER")]
        assert await self.talk(carrier, *to) == [250, 550, 250, 250, 550]

    async def test_oversize_by_data(self) -> None:
        """T8: 552 5.3.4 where SIZE was not said; a content of nearly 5 MB is taken."""
        await self.begin()
        large = GIF + bytes(3_600_000)
        assert code(await self.submit(self.to(HANDSET), content(picture=large))) == 250
        [got] = await self.carrier.until(ForwardReq)
        assert large in [part.content for part in got.parts]
        larger = GIF + bytes(3_900_000)
        outcome = await self.submit(self.to(OTHER), content(picture=larger))
        assert said(outcome).startswith("552 ")

    async def test_expiry(self) -> None:
        """Seconds become a date at reception (ruling 19); what is over is refused."""
        await self.begin()
        octets = written(self.to(HANDSET)).replace(
            b"X-Mms-Ack-Request", b"X-Mms-Expiry: 3600\r\nX-Mms-Ack-Request"
        )
        await self.mail(octets, at(HANDSET, OURS), sender=CUSTOMER_SYSTEM, login="acme")
        [got] = await self.carrier.until(ForwardReq)
        assert got.pdu.expiry.at - got.pdu.date in range(3_598_000, 3_602_000)
        octets = octets.replace(
            b"X-Mms-Expiry: 3600", b"X-Mms-Expiry: Sat, 14 Mar 2020 10:15:02 +0000"
        )
        octets = octets.replace(b"Message-ID: mm-1", b"Message-ID: mm-2")
        await self.mail(octets, at(HANDSET, OURS), sender=CUSTOMER_SYSTEM, login="acme")
        res = (await self.customer.until(ForwardRes, 2))[-1]
        assert res.pdu.status is not OK

    async def optout(self, number: str) -> None:
        """The number opts out of the account's."""
        await self.bring(
            forward(number, CARRIER_DOMAIN, NUMBER, message_id=f"stop-{number}", ack_request=False),
            content("STOP"),
        )
        assert self.gateway.inbound.received

    async def quiet(self) -> None:
        """Returns when nothing is under way: what a later message brings has come."""
        count = len(self.carrier.of(ForwardReq))
        await self.submit(self.to(HANDSET, message_id="last@x", ack_request=False))
        await self.carrier.until(ForwardReq, count + 1)
        self.carrier.mails.remove(self.carrier.of(ForwardReq)[-1])


@pytest.mark.skipif(shutil.which("swaks") is None, reason="swaks is not installed")
class SwaksTests(Mm4Case):
    """A foreign client."""

    async def test_submits_by_login(self) -> None:
        """The Swiss Army knife of SMTP logs in and mails a request from a file, as the guide
        shows."""
        await self.begin()
        request = forward(NUMBER, CUSTOMER_DOMAIN, HANDSET)
        (self.folder / "request.eml").write_bytes(written(request))
        command = ["swaks", "--server", f"127.0.0.1:{self.mail_port}", "-au", "acme", "-ap", SECRET]
        command += ["--from", CUSTOMER_SYSTEM, "--to", f"{HANDSET}@{OURS}"]
        command += ["--data", f"@{self.folder}/request.eml"]
        done = await deferToThread(subprocess.run, command, capture_output=True, text=True)
        assert "250 2.0.0 " in done.stdout, done.stdout
        [got] = await self.carrier.until(ForwardReq)
        assert GIF in [part.content for part in got.parts]
        [res] = await self.customer.until(ForwardRes)
        assert res.pdu.status is OK


class BroughtTests(Mm4Case):
    """MO: a carrier's ``MM4_forward.REQ``."""

    def mo(self, **fields: Any) -> ForwardReq:
        """A request of the carrier."""
        return forward(HANDSET, CARRIER_DOMAIN, NUMBER, **fields)

    async def test_goes_to_the_customers_mmsc(self) -> None:
        """The customer's MMSC gets it under our ids, the counter one higher; the carrier gets its
        response, and the report once the customer has answered (ruling 17)."""
        await self.begin()
        request = self.mo(delivery_report=True, cc=[at(OTHER, OURS)])
        assert code(await self.bring(request)) == 250
        [got] = await self.customer.until(ForwardReq)
        assert got.recipients == [at(NUMBER, CUSTOMER_DOMAIN)]
        assert (got.pdu.from_, got.pdu.forward_counter) == (at(HANDSET, OURS), 2)
        assert (got.pdu.to, got.pdu.cc) == ([at(NUMBER, OURS)], [at(OTHER, OURS)])
        assert GIF in [part.content for part in got.parts]
        [res] = await self.carrier.until(ForwardRes)
        assert (res.pdu.status, res.pdu.transaction_id) == (OK, "tr-1")
        [told] = await self.carrier.until(DeliveryReportReq)
        assert told.pdu.status is Status.RETRIEVED
        assert told.pdu.message_id == request.message_id
        assert told.pdu.from_ == at(NUMBER, OURS)
        assert told.recipients == [at(HANDSET, CARRIER_DOMAIN)]

    async def test_its_expiry_holds(self) -> None:
        """Ruling 19: seconds go on as a date, and until then it is tried, no longer; one without
        goes on without."""
        await self.begin()
        self.customer.answers = lambda got: None
        expires = time.time() + 3_600
        await self.bring(self.mo(expiry=Expiry(seconds=3_600)))
        await self.bring(self.mo(message_id="other"))
        first, second = await self.customer.until(ForwardReq, 2)
        assert abs(first.pdu.expiry.at / 1000 - expires) < 60
        assert second.pdu.expiry is None
        rows = await self.gateway.journal.run(lambda c: list(c.execute(schema.queue.select())))
        waits = sorted(row.expires_at / 1000 - expires for row in rows if row.kind == Kind.MO)
        assert abs(waits[0]) < 60
        assert waits[1] > 40 * 3_600

    async def test_many_that_are_not_answered(self) -> None:
        """What waits for its response holds up no other: all are mailed, though few are in memory
        at a time."""
        await self.begin()
        self.customer.answers = lambda got: None
        for n in range(5):
            await self.bring(self.mo(message_id=f"m-{n}"))
        assert len(await self.customer.until(ForwardReq, 5)) == 5

    async def test_a_repeat_is_delivered_once(self) -> None:
        """T4 for carriers."""
        await self.begin()
        for _ in range(2):
            await self.bring(self.mo())
        await self.carrier.until(ForwardRes, 2)
        await self.bring(self.mo(message_id="other"))
        gots = await self.customer.until(ForwardReq, 2)
        assert len({one.pdu.message_id for one in gots}) == 2

    async def test_a_number_that_is_withdrawn(self) -> None:
        """Ruling 16: a sender that RCPT knows and no number is Error-sending-address-unresolved."""
        await self.begin()
        await self.bring(self.mo(), None, f"ACME@{OURS}")
        [res] = await self.carrier.until(ForwardRes)
        assert res.pdu.status is RequestStatus.ADDRESS_UNRESOLVED

    async def test_hidden_sender(self) -> None:
        """Ruling 29: visibility Hide gives the source as anonymous; reports work all the same."""
        await self.begin()
        await self.bring(self.mo(visibility="Hide", relay_report=True))
        [got] = await self.customer.until(ForwardReq)
        assert got.pdu.from_ == f"anonymous@{OURS}"
        assert HANDSET.encode() not in got.octets
        [told] = await self.carrier.until(DeliveryReportReq)
        assert told.recipients == [at(HANDSET, CARRIER_DOMAIN)]

    async def test_what_the_customer_refuses(self) -> None:
        """Ruling 17: an error that does not pass is Rejected to the carrier, and a dead letter."""
        await self.begin()
        self.customer.answers = lambda got: RequestStatus.CONTENT_NOT_ACCEPTED
        await self.bring(self.mo(delivery_report=True))
        [told] = await self.carrier.until(DeliveryReportReq)
        assert told.pdu.status is Status.REJECTED
        dead = await self.gateway.journal.run(lambda c: list(c.execute(schema.dead.select())))
        assert [one.reason for one in dead] == ["Error-content-not-accepted refused here"]

    async def test_silence_of_the_customer(self) -> None:
        """§4, T9: three repeats with the same ids, then the handover is given up: Expired."""
        await self.begin(response_timeout_s=1)
        self.customer.answers = lambda got: None
        await self.bring(self.mo(delivery_report=True))
        [told] = await self.carrier.until(DeliveryReportReq)
        assert told.pdu.status is Status.EXPIRED
        gots = self.customer.of(ForwardReq)
        assert len(gots) == 4
        assert len({(one.pdu.transaction_id, one.pdu.message_id) for one in gots}) == 1

    async def test_what_the_customer_reports_goes_on(self) -> None:
        """A read reply goes to the carrier if it asked; a delivery report if it says something
        else than the response did. Both are answered; about strangers' messages there is none."""
        await self.begin()
        await self.bring(self.mo(read_reply=True, delivery_report=True))
        [got] = await self.customer.until(ForwardReq)
        await self.carrier.until(DeliveryReportReq)
        common: dict[str, Any] = {
            "from_": at(NUMBER, CUSTOMER_DOMAIN),
            "to": [at(HANDSET, OURS)],
            "sender": CUSTOMER_SYSTEM,
            "date": AT,
            "mail_id": "x-1@x.example",
            "transaction_id": "x-1",
            "message_id": got.pdu.message_id,
            "ack_request": True,
        }
        await self.customer_says(DeliveryReportReq(**common, status=Status.RETRIEVED), SYSTEM)
        for _ in range(2):  # a repeat is answered again, and told once
            await self.customer_says(DeliveryReportReq(**common, status=Status.EXPIRED), SYSTEM)
            await self.customer_says(ReadReplyReq(**common), SYSTEM)
        [read] = await self.carrier.until(ReadReplyReq)
        assert read.pdu.message_id == f"mm-1@{CARRIER_DOMAIN}"
        told = [one.pdu.status for one in await self.carrier.until(DeliveryReportReq, 2)]
        assert told == [Status.RETRIEVED, Status.EXPIRED]
        res = [
            *await self.customer.until(DeliveryReportRes, 3),
            *await self.customer.until(ReadReplyRes, 2),
        ]
        assert {one.pdu.status for one in res} == {OK}
        await self.customer_says(ReadReplyReq(**{**common, "message_id": f"1@{OURS}"}), SYSTEM)
        [*_, unknown] = await self.customer.until(ReadReplyRes, 3)
        assert unknown.pdu.status is RequestStatus.MESSAGE_NOT_FOUND
        assert len(self.carrier.of(DeliveryReportReq)) == 2
        assert len(self.carrier.of(ReadReplyReq)) == 1

    async def test_stop_by_mms(self) -> None:
        """An opt-out word in the text of an MMS is obeyed, and goes on to the customer."""
        await self.begin()
        await self.bring(self.mo(), content("Stop!"))
        await self.customer.until(ForwardReq)
        request = forward(NUMBER, CUSTOMER_DOMAIN, HANDSET)
        await self.submit(request)
        [res] = await self.customer.until(ForwardRes)
        assert res.pdu.status_text.startswith("52 Opted Out")

    async def test_an_sms_for_the_customers_mmsc(self) -> None:
        """A short message to a number whose messages go to an MMSC arrives there as a text."""
        await self.begin()
        north = await self.smsc()
        await self.apply(self.provisioned(), carrier("north", north.port))
        await until_asked(self.bound, "carrier north up")
        north.smsc.mobile_originated(HANDSET, NUMBER, "Grüße")
        [got] = await self.customer.until(ForwardReq)
        assert [part.content.decode() for part in got.parts] == ["Grüße"]

    async def test_tls_required(self) -> None:
        """T10: a carrier that must use TLS and does not is told 530 at MAIL."""
        await self.begin(
            '[[carrier]]\nname = "strict"\nkind = "mm4"\ndomain = "mms.example.edu"\n'
            'allow = ["127.0.0.1"]\ntls = "required"\n'
        )
        assert await self.talk("MAIL FROM:<system-user@mms.example.edu>") == [530]

    async def bound(self) -> bool:
        """True if the carrier of short messages has a link up."""
        return self.gateway.is_up("north")


class ActionTests(Mm4Case):
    """A route of the account in place of its number's targets."""

    def targets(self) -> str:
        """Nowhere, were it not for the route."""
        return '["null"]'

    def of_account(self) -> str:
        """The route."""
        return f'[[account.route]]\nsequence = 1\ncode = "{NUMBER}"\nactions = [{{ type = "MM4" }}]'

    async def test_e_d21_mm4_action(self) -> None:
        """E-D21: brings what is sent to the number to the account's own MMSC."""
        await self.begin()
        assert code(await self.bring(forward(HANDSET, CARRIER_DOMAIN, NUMBER))) == 250
        [got] = await self.customer.until(ForwardReq)
        assert got.recipients == [at(NUMBER, CUSTOMER_DOMAIN)]
        assert GIF in [part.content for part in got.parts]


class SessionTests(Mm4Case):
    """A number whose messages go to SMPP sessions."""

    def targets(self) -> str:
        return '["smpp"]'

    async def test_a_session_gets_a_note(self) -> None:
        """SMPP takes no media: a session gets the subject and the text."""
        await self.begin()
        esme = await self.esme("acme")
        await self.bring(forward(HANDSET, CARRIER_DOMAIN, NUMBER, delivery_report=True))
        await esme.delivered(1)
        [pdu] = esme.messages
        assert pdu.short_message.decode() == "Holiday\nGreetings"
        [told] = await self.carrier.until(DeliveryReportReq)
        assert told.pdu.status is Status.RETRIEVED
