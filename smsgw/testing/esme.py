"""A scriptable ESME for tests: binds, submits, receives, and answers what it gets as it is told."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol

from smsgw.message import Receipt
from smsgw.smpp.constants import ESM_INTERMEDIATE, ESM_RECEIPT, RESPONSE
from smsgw.smpp.data_sm import deliver_of
from smsgw.smpp.pdu import (
    AlertNotification,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    DataSm,
    DeliverSm,
    EnquireLink,
    Pdu,
    SubmitSm,
    Unbind,
)
from smsgw.smpp.receipt import parse
from smsgw.testing.peer import Peer, Watch

_BINDS = {
    "receiver": BindReceiver,
    "transmitter": BindTransmitter,
    "transceiver": BindTransceiver,
}


class LostError(Exception):
    """The connection ended before the answer came."""


class Esme(Peer):
    """One connection of an ESME.

    ``answer`` gives the command_status for a deliver_sm, or None to leave it without an answer;
    it may be replaced. ``deliveries`` are the deliver_sm that came, receipts among them, a data_sm
    as the deliver_sm that says the same; ``data`` are the data_sm, ``alerts`` the
    alert_notification. ``other`` is everything else that is no answer.
    """

    def __init__(self, keep: int = 100_000) -> None:
        super().__init__()
        self.answer: Callable[[DeliverSm], int | None] = lambda pdu: 0
        self.answers_enquiries = True
        self.answers_unbind = True
        self.deliveries: deque[DeliverSm] = deque(maxlen=keep)
        self.delivered_count = 0
        self.data: deque[DataSm] = deque(maxlen=keep)
        self.alerts: list[AlertNotification] = []
        self.other: list[Pdu] = []
        self.ended_why: str | None = None
        self._asked: dict[int, Deferred[Pdu]] = {}
        self._watch = Watch()

    # Asking.

    def request(self, pdu: Pdu) -> "Deferred[Pdu]":
        """Send a request with the next sequence number; fires with the response, or LostError."""
        return self.requests([pdu])[0]

    def requests(self, pdus: Sequence[Pdu]) -> "list[Deferred[Pdu]]":
        """Send requests in one write; a Deferred of its response for each."""
        if not self.open:
            return [fail(LostError("the connection is closed")) for _ in pdus]
        waiting = []
        for pdu in pdus:
            pdu.sequence = self.next_sequence()
            answer: Deferred[Pdu] = Deferred()
            self._asked[pdu.sequence] = answer
            waiting.append(answer)
        self.send(pdus)
        return waiting

    def bind(
        self,
        kind: str = "transceiver",
        system_id: str = "test",
        password: str = "secret",  # noqa: S107 - what test accounts have
        version: int = 0x34,
        **fields: Any,
    ) -> "Deferred[Pdu]":
        """Bind as "receiver", "transmitter" or "transceiver"; fires with any response."""
        return self.request(
            _BINDS[kind](
                system_id=system_id.encode(),
                password=password.encode(),
                interface_version=version,
                **fields,
            )
        )

    def submit(
        self,
        source: str = "447700900000",
        destination: str = "447700900123",
        text: bytes = b"hello",
        **fields: Any,
    ) -> "Deferred[Pdu]":
        """Send a short message; fires with the response, whatever its status."""
        return self.request(submit_sm(source, destination, text, **fields))

    def unbind(self) -> "Deferred[Pdu]":
        """Ask for the end of the session; fires with unbind_resp, after which this end closes."""
        answered = self.request(Unbind())

        def close(pdu: Pdu) -> Pdu:
            self.close()
            return pdu

        return answered.addCallback(close)

    @property
    def unanswered(self) -> int:
        """Requests without a response yet."""
        return len(self._asked)

    # Watching.

    def when(self, condition: Callable[[], bool]) -> "Deferred[None]":
        """Fires when ``condition``, looked at after every read here, is true."""
        return self._watch.when(condition)

    def delivered(self, count: int) -> "Deferred[None]":
        """Fires when ``count`` deliver_sm or data_sm have come since the start."""
        return self.when(lambda: self.delivered_count >= count)

    def closed(self) -> "Deferred[None]":
        """Fires when the connection has ended."""
        return self.when(lambda: self.ended_why is not None)

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts among ``deliveries``, read."""
        read = [parse(pdu) for pdu in self.deliveries]
        return [receipt for receipt in read if receipt is not None]

    @property
    def messages(self) -> list[DeliverSm]:
        """The mobile-originated ones among ``deliveries``."""
        marks = ESM_RECEIPT | ESM_INTERMEDIATE
        return [pdu for pdu in self.deliveries if not pdu.esm_class & marks]

    # What comes in.

    def pdus_received(self, pdus: Sequence[Pdu]) -> None:
        """Take answers, answer requests."""
        out: list[Pdu] = []
        answers = []
        for pdu in pdus:
            if pdu.COMMAND & RESPONSE:
                waiting = self._asked.pop(pdu.sequence, None)
                if waiting is None:
                    self.other.append(pdu)
                else:
                    answers.append((waiting, pdu))
            elif isinstance(pdu, DeliverSm | DataSm):
                if isinstance(pdu, DataSm):
                    self.data.append(pdu)
                delivery = deliver_of(pdu) if isinstance(pdu, DataSm) else pdu
                self.deliveries.append(delivery)
                self.delivered_count += 1
                status = self.answer(delivery)
                if status is not None:
                    out.append(pdu.response(status))
            elif isinstance(pdu, AlertNotification):
                self.alerts.append(pdu)
            elif isinstance(pdu, EnquireLink) and self.answers_enquiries:
                out.append(pdu.response())
            elif isinstance(pdu, Unbind) and self.answers_unbind:
                out.append(pdu.response())
                self.other.append(pdu)
            else:
                self.other.append(pdu)
        if out:
            self.send(out)
        for waiting, pdu in answers:
            waiting.callback(pdu)
        self._watch.check()

    def ended(self, why: str) -> None:
        """Fail what is not answered."""
        self.ended_why = why
        asked, self._asked = self._asked, {}
        for waiting in asked.values():
            waiting.errback(LostError(why))
        self._watch.check()


def submit_sm(
    source: str = "447700900000",
    destination: str = "447700900123",
    text: bytes = b"hello",
    **fields: Any,
) -> SubmitSm:
    """A submit_sm from a number (or a name) to an international number."""
    alphanumeric = not source.isdigit()
    pdu = SubmitSm(
        source_addr_ton=5 if alphanumeric else 1,
        source_addr_npi=0 if alphanumeric else 1,
        source_addr=source.encode(),
        dest_addr_ton=1,
        dest_addr_npi=1,
        destination_addr=destination.encode(),
        short_message=text,
    )
    return evolve(pdu, **fields) if fields else pdu


async def connect(reactor: Any, port: int, host: str = "127.0.0.1") -> Esme:
    """An ``Esme`` connected to an SMPP server; not yet bound."""
    esme = Esme()
    endpoint = HostnameEndpoint(reactor, host, port)
    await connectProtocol(endpoint, esme)
    return esme
