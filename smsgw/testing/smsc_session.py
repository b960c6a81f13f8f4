"""One connection to the scriptable SMSC: binds, answers, brings deliveries over, well or badly."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from attrs import define
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure

from smsgw.smpp.constants import RESPONSE, Status, Tag
from smsgw.smpp.data_sm import delivery_of, submit_of
from smsgw.smpp.faults import FramingFault
from smsgw.smpp.pdu import (
    AlertNotification,
    Bind,
    BindReceiver,
    BindTransceiver,
    BindTransmitter,
    CancelSm,
    DataSm,
    DataSmResp,
    DeliverSm,
    DeliverSmResp,
    EnquireLink,
    GenericNack,
    Pdu,
    QuerySm,
    ReplaceSm,
    SubmitSm,
    Unbind,
    UnbindResp,
)
from smsgw.smpp.tlv import put
from smsgw.testing.peer import Peer

if TYPE_CHECKING:
    from smsgw.testing.smsc import Smsc


@define
class Delivery:
    """A deliver_sm or data_sm on its way, and what it is: "receipt" or "mo"."""

    pdu: DeliverSm | DataSm
    kind: str


class SmscSession(Peer):
    """One connection, bound or not."""

    def __init__(self, smsc: "Smsc") -> None:
        super().__init__()
        self.smsc = smsc
        self.bound = False
        self.receives = False
        self.transmits = False
        self.version = 0x34
        self.system_id = b""
        self.submits = 0
        self.outstanding: dict[int, tuple[Delivery, float]] = {}

    @property
    def room(self) -> int:
        """How many more deliver_sm may go out now."""
        if not self.receives or not self.open:
            return 0
        return self.smsc.script.receipt_window - len(self.outstanding)

    # The connection.

    def connectionMade(self) -> None:
        """Join the others."""
        super().connectionMade()
        self.smsc.sessions.append(self)
        self.smsc.counts.connections += 1
        self.smsc.changed()

    def dataReceived(self, data: bytes) -> None:
        """Take octets, and rest after them if the script reads slowly."""
        super().dataReceived(data)
        for fault in self.faults:
            response = fault.response()
            if response is not None:
                self.send([response])
            if isinstance(fault, FramingFault):
                self.close()
        self.faults.clear()
        rate = self.smsc.script.read_rate
        if rate and self.open and self.transport is not None:
            self.transport.pauseProducing()  # type: ignore[attr-defined]
            self.smsc.agenda.add(len(data) / rate, self._read_on)

    def _read_on(self) -> None:
        if self.open and self.transport is not None:
            self.transport.resumeProducing()  # type: ignore[attr-defined]

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Leave the others; what was not answered goes out again on another session."""
        self.smsc.sessions.remove(self)
        self.bound = self.receives = self.transmits = False
        super().connectionLost(reason)
        unanswered = [delivery for delivery, _at in self.outstanding.values()]
        self.outstanding.clear()
        self.smsc.again(unanswered)
        self.smsc.changed()

    # What comes in.

    def pdus_received(self, pdus: Sequence[Pdu]) -> None:
        """Answer all PDUs of one read in one write."""
        out: list[Pdu] = []
        for pdu in pdus:
            if not self.open:
                break
            if isinstance(pdu, SubmitSm):
                self._submit(pdu, out, pdu)
            elif isinstance(pdu, DataSm):
                self.smsc.data.append(pdu)
                self._submit(submit_of(pdu), out, pdu)
            elif isinstance(pdu, DeliverSmResp | DataSmResp | GenericNack):
                self._answered(pdu)
            elif self.smsc.script.deaf:
                continue
            elif isinstance(pdu, EnquireLink):
                out.append(pdu.response())
            elif isinstance(pdu, Bind):
                self._bind(pdu, out)
            elif isinstance(pdu, QuerySm | CancelSm | ReplaceSm) and self.smsc.script.asks:
                out.append(self.smsc.asked.answer(pdu, self.smsc.now()))
            elif isinstance(pdu, Unbind):
                self.receives = self.transmits = False
                out.append(pdu.response())
                self.send(out)
                self.close()
                return
            elif isinstance(pdu, UnbindResp):
                self.close()
            elif not pdu.COMMAND & RESPONSE:
                out.append(pdu.response(Status.ESME_RINVCMDID))
        if out:
            self.send(out)
        if self.smsc.waiting:
            self.smsc.flush()
        self.smsc.changed()

    def _bind(self, pdu: Bind, out: list[Pdu]) -> None:
        smsc, script = self.smsc, self.smsc.script
        smsc.binds.append(pdu)
        if script.version == "3.3" and isinstance(pdu, BindTransceiver):
            smsc.counts.binds_refused += 1
            out.append(GenericNack(sequence=pdu.sequence, status=Status.ESME_RINVCMDID))
            return
        status = script.bind_status
        if self.bound or (
            script.max_binds and sum(s.bound for s in smsc.sessions) >= script.max_binds
        ):
            status = status or Status.ESME_RALYBND
        elif script.system_id and pdu.system_id != script.system_id.encode():
            status = status or Status.ESME_RINVSYSID
        elif script.password and pdu.password != script.password.encode():
            status = status or Status.ESME_RINVPASWD
        if status:
            smsc.counts.binds_refused += 1
            out.append(pdu.response(status))
            return
        smsc.counts.binds += 1
        self.version = 0x33 if script.version == "3.3" else pdu.interface_version
        self.system_id = pdu.system_id
        # A client before 3.4 knows no TLVs (spec/smpp.md §5).
        tlvs = [put(Tag.SC_INTERFACE_VERSION, 0x34)] if self.version >= 0x34 else []
        self.send([*out, pdu.response(system_id=b"smsc", tlvs=tlvs)])
        out.clear()
        self.bound = True
        self.receives = not isinstance(pdu, BindTransmitter)
        self.transmits = not isinstance(pdu, BindReceiver)
        if script.disconnect_after_s:
            smsc.agenda.add(script.disconnect_after_s, self.close)
        if self.receives:
            self._sweep()
            smsc.traffic()
            smsc.flush()

    def _submit(self, pdu: SubmitSm, out: list[Pdu], came: SubmitSm | DataSm) -> None:
        """Take a message, which came as ``came``."""
        smsc, script = self.smsc, self.smsc.script
        if not self.transmits:
            if not script.deaf:
                out.append(came.response(Status.ESME_RINVBNDSTS))
            return
        smsc.counts.submits += 1
        smsc.submits.append(pdu)
        self.submits += 1
        if script.reset_after and self.submits >= script.reset_after:
            smsc.counts.resets += 1
            out.clear()
            self.reset()
            return
        plan = smsc.plan(pdu)
        if script.deaf or not plan.taken:
            smsc.counts.silenced += 1
            return
        if plan.status:
            smsc.counts.refused += 1
            self._answer([came.response(plan.status)] * plan.responses, out)
            return
        smsc.counts.accepted += 1
        smsc.counts.tlvs_in_33 += bool(self.version < 0x34 and came.tlvs)
        response_id, receipt_id = smsc.allot(self.version < 0x34)
        if plan.early and plan.receipts:
            self._early([Delivery(smsc.receipt_pdu(pdu, plan, receipt_id, smsc.now()), "receipt")])
        elif plan.receipts:
            smsc.receipt(pdu, plan, receipt_id, script.answer_delay_s + script.delay_s)
        if not plan.responses:
            smsc.counts.responses_lost += 1
        response = came.response(message_id=response_id.encode())
        if script.asks:
            smsc.asked.keep(response_id.encode(), pdu, plan, smsc.now() + script.delay_s)
        self._answer([response] * plan.responses, out)

    def _answer(self, responses: list[Pdu], out: list[Pdu]) -> None:
        delay = self.smsc.script.answer_delay_s
        if delay:
            self.smsc.agenda.add(delay, self.send, responses)
        else:
            out.extend(responses)

    def _early(self, deliveries: list[Delivery]) -> None:
        """Write receipts now, window or not: the responses of this read are written after them."""
        receiver = (
            self if self.receives else next((s for s in self.smsc.sessions if s.receives), None)
        )
        if receiver is not None:
            receiver.deliver(deliveries)

    def _answered(self, pdu: DeliverSmResp | DataSmResp | GenericNack) -> None:
        found = self.outstanding.pop(pdu.sequence, None)
        if found is not None:
            self.smsc.answered(found[0], pdu.status)

    # What goes out.

    def deliver(self, deliveries: Sequence[Delivery]) -> None:
        """Send ``deliveries`` in one write."""
        now = self.smsc.clock.seconds()
        counts = self.smsc.counts
        by_data = self.smsc.script.deliver == "data_sm" and self.version >= 0x34
        for delivery in deliveries:
            if by_data and isinstance(delivery.pdu, DeliverSm):
                delivery.pdu = delivery_of(delivery.pdu)
            delivery.pdu.sequence = self.next_sequence()
            self.outstanding[delivery.pdu.sequence] = (delivery, now)
            if delivery.kind == "mo":
                counts.mo += 1
            else:
                counts.receipts += 1
        self.send([delivery.pdu for delivery in deliveries])

    def alert(self, source: str, esme: str, *tlvs: tuple[int, bytes]) -> None:
        """Tell the other end, at the address ``esme``, that a subscriber can be reached."""
        if self.receives:
            pdu = AlertNotification(
                sequence=self.next_sequence(),
                source_addr_ton=1,
                source_addr_npi=1,
                source_addr=source.encode(),
                esme_addr_ton=1,
                esme_addr_npi=1,
                esme_addr=esme.encode(),
                tlvs=list(tlvs),
            )
            self.send([pdu])

    def unbind(self) -> None:
        """Ask the other end to end the session."""
        if self.bound:
            self.send([Unbind(sequence=self.next_sequence())])

    def _sweep(self) -> None:
        """Send again what has waited for its answer too long."""
        if not self.receives:
            return
        timeout = self.smsc.script.deliver_timeout_s
        oldest = self.smsc.clock.seconds() - timeout
        late = [n for n, (_delivery, at) in self.outstanding.items() if at <= oldest]
        self.smsc.again([self.outstanding.pop(n)[0] for n in late])
        self.smsc.agenda.add(timeout / 4, self._sweep)
