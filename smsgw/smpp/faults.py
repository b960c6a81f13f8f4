"""What may be wrong with octets from a peer, as exceptions that carry their own answer."""

from smsgw.smpp.constants import RESPONSE, status_name
from smsgw.smpp.pdu import CLASSES, GenericNack, Pdu


class Fault(Exception):
    """A fault of the peer: ``status`` says which, ``sequence`` in which PDU (0: not readable)."""

    def __init__(self, status: int, command_id: int, sequence: int, detail: str = "") -> None:
        super().__init__(status, command_id, sequence, detail)
        self.status = int(status)
        self.command_id = command_id
        self.sequence = sequence
        self.detail = detail

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and isinstance(other, Fault) and other.args == self.args

    def __hash__(self) -> int:
        return hash(self.args)

    def __str__(self) -> str:
        text = f"{status_name(self.status)} (command 0x{self.command_id:08x}, {self.sequence})"
        return f"{text}: {self.detail}" if self.detail else text


class PduFault(Fault):
    """One PDU is faulty; it is answered and the session goes on."""

    def response(self) -> Pdu | None:
        """The PDU to answer with; None for a response (never answered, spec/smpp.md §1)."""
        if self.command_id & RESPONSE:
            return None
        cls = CLASSES.get(self.command_id | RESPONSE)
        if cls is None or self.command_id not in CLASSES:
            cls = GenericNack
        return cls(sequence=self.sequence, status=self.status)


class FramingFault(Fault):
    """The boundary between PDUs is lost; after the answer the connection is closed."""

    def __init__(self, status: int, sequence: int, detail: str = "") -> None:
        super().__init__(status, 0, sequence, detail)

    def response(self) -> Pdu:
        """The generic_nack to send before closing."""
        return GenericNack(sequence=self.sequence, status=self.status)
