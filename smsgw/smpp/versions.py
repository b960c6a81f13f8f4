"""Which PDUs belong to which version and side, and what must be changed in a PDU for a 3.3 peer."""

from smsgw.message import MessageState
from smsgw.smpp.constants import RESPONSE, VERSION_33, VERSION_34, Status, Tag
from smsgw.smpp.pdu import (
    CLASSES,
    AlertNotification,
    Bind,
    BindReceiver,
    BindResp,
    BindTransceiver,
    BindTransmitter,
    BroadcastSm,
    CancelBroadcastSm,
    CancelSm,
    DataSm,
    DeliverSm,
    EnquireLink,
    GenericNack,
    Outbind,
    ParamRetrieve,
    Pdu,
    QueryBroadcastSm,
    QueryLastMsgs,
    QueryMsgDetails,
    QuerySm,
    ReplaceSm,
    SubmitMulti,
    SubmitSm,
    Unbind,
)
from smsgw.smpp.states import Input, Role

# What a request of the peer is to us, by our role (spec/smpp.md §2, §6). What is in no entry is a
# stray.
INPUTS: dict[Role, dict[type[Pdu], Input]] = {
    Role.SMSC: {
        BindTransmitter: Input.BIND,
        BindReceiver: Input.BIND,
        BindTransceiver: Input.BIND,
        EnquireLink: Input.ENQUIRE,
        Unbind: Input.UNBIND,
        **dict.fromkeys(
            (
                SubmitSm,
                SubmitMulti,
                DataSm,
                QuerySm,
                CancelSm,
                ReplaceSm,
                ParamRetrieve,
                QueryLastMsgs,
                QueryMsgDetails,
                BroadcastSm,
                QueryBroadcastSm,
                CancelBroadcastSm,
            ),
            Input.SUBMIT,
        ),
    },
    Role.ESME: {
        Outbind: Input.OUTBIND,
        EnquireLink: Input.ENQUIRE,
        Unbind: Input.UNBIND,
        DeliverSm: Input.DELIVER,
        DataSm: Input.DELIVER,
        AlertNotification: Input.DELIVER,
    },
}
# What we send, by our role.
OWN = {Role.SMSC: Input.DELIVER, Role.ESME: Input.SUBMIT}

BIND_OK: dict[type[Pdu], Input] = {
    BindTransmitter: Input.BIND_OK_TX,
    BindReceiver: Input.BIND_OK_RX,
    BindTransceiver: Input.BIND_OK_TRX,
}

# Request class -> class of its response.
RESPONSES: dict[type[Pdu], type[Pdu]] = {
    cls: CLASSES[command | RESPONSE]
    for command, cls in CLASSES.items()
    if not command & RESPONSE and command | RESPONSE in CLASSES
}

_ONLY_33 = frozenset({ParamRetrieve, QueryLastMsgs, QueryMsgDetails})
_FROM_34 = frozenset({BindTransceiver, Outbind, DataSm, AlertNotification})
_FROM_50 = frozenset({BroadcastSm, QueryBroadcastSm, CancelBroadcastSm})


def known(cls: type[Pdu], version: int) -> bool:
    """True if a request of class ``cls`` exists in ``version`` (0x33 or 0x34; ``spec/smpp.md``
    §2).
    """
    if version < VERSION_34:
        return cls not in _FROM_34 and cls not in _FROM_50
    return cls not in _ONLY_33 and cls not in _FROM_50


def agreed(bind: Bind, response: BindResp) -> int:
    """The version an ESME uses after this exchange: 0x33 or 0x34.

    Without sc_interface_version the SMSC is taken for 3.3 and is sent no TLVs (``spec/smpp.md``
    §5).
    """
    theirs = VERSION_33
    for tag, value in response.tlvs:
        if tag == Tag.SC_INTERFACE_VERSION and value:
            theirs = value[0]
    return VERSION_34 if min(bind.interface_version, theirs) >= VERSION_34 else VERSION_33


def answer_with(pdu: Pdu, status: int) -> Pdu:
    """The response to a request, without content; generic_nack for the operations that have
    none.
    """
    if type(pdu) not in RESPONSES:
        return GenericNack(sequence=pdu.sequence, status=status)
    return pdu.response(status)


def without_tlvs(pdu: Pdu) -> None:
    """Take the TLVs off a PDU of a session that has none (E-D23).

    Raises ``ValueError`` for message_payload: that is the message itself.
    """
    tlvs = getattr(pdu, "tlvs", None)
    if tlvs:
        if any(tag == Tag.MESSAGE_PAYLOAD for tag, _ in tlvs):
            name = type(pdu).__name__
            raise ValueError(f"{name}.tlvs: message_payload in a session without TLVs")
        pdu.tlvs = []  # type: ignore[attr-defined]  # a class that has them


def for_33(pdu: Pdu) -> int:
    """The status of a response as a 3.3 peer may see it: nothing from 0xC0 on (``spec/smpp.md``
    §4).
    """
    return status_for_33(pdu.status, pdu.COMMAND in _SUBMITS)


def status_for_33(status: int, of_submit: bool = True) -> int:
    """A status as a 3.3 peer may see it; ``of_submit``: of a submit_sm or submit_multi."""
    if status < Status.ESME_RINVOPTPARSTREAM:
        return status
    return Status.ESME_RSUBMITFAIL if of_submit else Status.ESME_RSYSERR


def state_for_33(state: MessageState) -> MessageState:
    """A message's state as a 3.3 client may see it: 3.3 ends with 7 (``spec/smpp.md`` §4)."""
    return _STATES_33.get(state, state)


_STATES_33 = {
    MessageState.SCHEDULED: MessageState.ENROUTE,
    MessageState.REJECTED: MessageState.UNDELIVERABLE,
    MessageState.SKIPPED: MessageState.DELETED,
}
_SUBMITS = frozenset({SubmitSm.COMMAND | RESPONSE, SubmitMulti.COMMAND | RESPONSE})
