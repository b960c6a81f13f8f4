"""What the PDU classes promise: one for each command, and a response to each request."""

import pytest

from smsgw.smpp.constants import RESPONSE, Command, Status, status_name
from smsgw.smpp.pdu import (
    CLASSES,
    AlertNotification,
    GenericNack,
    Outbind,
    Pdu,
    SubmitSm,
    SubmitSmResp,
)

WITHOUT_RESPONSE = {Command.OUTBIND, Command.ALERT_NOTIFICATION}


def test_every_command_has_a_class() -> None:
    """There is one class for each command, named as the specification names it."""
    assert set(CLASSES) == set(Command)
    for command, cls in CLASSES.items():
        words = Command(command).name.split("_")
        assert cls.__name__ == "".join(word.capitalize() for word in words)


def test_requests_come_with_responses() -> None:
    """A request has a response with the same number and bit 31, but for the two that have none."""
    requests = {command for command in CLASSES if not command & RESPONSE}
    responses = {command for command in CLASSES if command & RESPONSE} - {Command.GENERIC_NACK}
    assert {command & ~RESPONSE for command in responses} == requests - WITHOUT_RESPONSE


def test_response_repeats_the_sequence_number() -> None:
    """The response to a request has its sequence number, and the status and fields asked for."""
    request = SubmitSm(sequence=77)
    assert request.response(message_id=b"1") == SubmitSmResp(sequence=77, message_id=b"1")
    refused = request.response(Status.ESME_RTHROTTLED)
    assert refused == SubmitSmResp(sequence=77, status=Status.ESME_RTHROTTLED)


@pytest.mark.parametrize("pdu", [SubmitSmResp(), GenericNack(), Outbind(), AlertNotification()])
def test_no_response_to_a_response(pdu: Pdu) -> None:
    """Responses, outbind and alert_notification have no response."""
    with pytest.raises(TypeError, match="has no response"):
        pdu.response()


def test_lists_are_not_shared() -> None:
    """Two PDUs have two lists of TLVs."""
    assert SubmitSm().tlvs is not SubmitSm().tlvs


def test_status_names() -> None:
    """A status is named; a vendor's is shown as a number."""
    assert status_name(0x58) == "ESME_RTHROTTLED"
    assert status_name(0x434) == "0x00000434"
