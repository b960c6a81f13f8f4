"""The sinks: what they keep and how they answer, to clients that are not ours."""

import smtplib
import urllib.error
import urllib.request
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from smsgw.testing.sinks import Answer, HttpSink, MailSink


class SinkTest(TestCase):
    """On loopback."""

    timeout = 20

    async def test_http(self) -> None:
        """Answers in their order, the last of them for all that follow."""
        sink = HttpSink(reactor)
        url = f"http://127.0.0.1:{await sink.start()}/in"
        self.addCleanup(lambda: Deferred.fromCoroutine(sink.stop()))
        sink.answers = [503, lambda request: Answer(200, request.body[::-1])]

        def ask(body: bytes) -> tuple[int, bytes]:
            try:
                with urllib.request.urlopen(url, body) as answer:
                    return answer.status, answer.read()
            except urllib.error.HTTPError as error:
                return error.code, error.read()

        assert await deferToThread(ask, b"a=b+c") == (503, b"")
        assert await deferToThread(ask, b"d=e") == (200, b"e=d")
        assert await deferToThread(ask, b"f=g") == (200, b"g=f")
        await sink.when(lambda: len(sink.requests) == 3)
        assert [(one.method, one.target) for one in sink.requests] == [("POST", "/in")] * 3
        assert sink.requests[0].fields == {"a": "b c"}
        assert sink.requests[0].head.startswith(b"POST /in HTTP/1.1\r\n")

    async def test_mail(self) -> None:
        """What smtplib sends is kept as it came, and refused where the test says so."""
        sink = MailSink(reactor)
        port = await sink.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(sink.stop()))

        def send() -> Any:
            with smtplib.SMTP("127.0.0.1", port) as client:
                return client.sendmail("a@example.com", ["b@example.com"], "Subject: x\n\n.\ny\n")

        assert await deferToThread(send) == {}
        [mail] = sink.mails
        assert (mail.sender, mail.recipients) == ("a@example.com", ["b@example.com"])
        assert mail.octets == b"Subject: x\r\n\r\n.\r\ny\r\n"
        sink.refuse = {"RCPT": 550}
        try:
            await deferToThread(send)
        except smtplib.SMTPRecipientsRefused as error:
            refused = error.recipients
        assert refused == {"b@example.com": (550, b"not wanted")}
