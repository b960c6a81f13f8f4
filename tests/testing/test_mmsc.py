"""The scriptable MMSC: what it keeps, takes and says again is bounded."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.mail.smtp import SMTPDeliveryError
from twisted.trial.unittest import SynchronousTestCase

from smsgw.mm4 import headers
from smsgw.mm4.pdus import ForwardReq
from smsgw.testing import mmsc
from smsgw.testing.mmsc import Mmsc, MmscScript


def forwarded(name: str) -> ForwardReq:
    """A message that asks for nothing."""
    return ForwardReq(
        from_="a@x.example",
        to=["b@y.example"],
        sender="s@x.example",
        date=1_800_000_000_000,
        mail_id=f"{name}@x.example",
        transaction_id=name,
        message_id=name,
    )


@pytest.mark.parametrize(("keep", "kept"), [(None, 3), (0, 0), (2, 2), (5, 3)])
def test_it_keeps_as_many_messages_as_it_is_to(keep: int | None, kept: int) -> None:
    """The last ones; all of them if nothing is said. The demo and ``smsgw simulate`` keep none."""
    one = Mmsc(MmscScript(), Clock(), keep=keep)
    for name in ("1", "2", "3"):
        one.came(headers.write(forwarded(name)) + b"Hi\r\n", "b@y.example")
    assert [got.pdu.message_id for got in one.received] == ["1", "2", "3"][3 - kept :]
    assert one.mails == 3


class Sessions(SynchronousTestCase):
    """Without sockets."""

    def test_a_mail_of_more_than_size_is_refused(self) -> None:
        """With 552 after its end; nothing of it is kept, and the connection goes on."""
        self.patch(mmsc, "SIZE", 5_000)
        one = Mmsc(MmscScript(), Clock())
        connection, wire = one.buildProtocol(None), StringTransport()
        connection.makeConnection(wire)
        for size, code in ((6_000, b"552 5.3.4"), (10, b"250 ")):
            for line in (b"EHLO g", b"MAIL FROM:<s@x.example>", b"RCPT TO:<b@y.example>", b"DATA"):
                connection.dataReceived(line + b"\r\n")
            wire.clear()
            mail = headers.write(forwarded("1")) + (b"x" * 8 + b"\r\n") * (size // 10)
            connection.dataReceived(mail + b".\r\n")
            assert wire.value().startswith(code), wire.value()
        assert len(one.received) == 1
        connection.setTimeout(None)

    def test_what_is_refused_for_good_is_not_said_again(self) -> None:
        """A 4xx is, until it is taken."""
        clock = Clock()
        one = Mmsc(MmscScript(retry_s=5), clock, gateway_port=1)
        codes = [451, 550]

        async def mail(octets: bytes, recipient: str) -> None:
            raise SMTPDeliveryError(codes.pop(0), b"no", b"", None)

        self.patch(one, "mail", mail)
        saying: Any = Deferred.fromCoroutine(one.say(forwarded("1"), "b@y.example"))
        self.assertNoResult(saying)
        clock.advance(5)
        assert self.failureResultOf(saying, SMTPDeliveryError).value.code == 550
        assert codes == []
