"""The documents in which the REST API tells of messages (``spec/aerialink.md`` 4.3)."""

from typing import TypeGuard

from smsgw import identities
from smsgw.http import rest_codes
from smsgw.http.render import iso
from smsgw.http.rest_documents import Media, Outcome, Outcomes, Submitted, Transaction
from smsgw.message import Direction, Message, MessageState
from smsgw.refusals import Refusal
from smsgw.rules import money
from smsgw.store.outstanding import Outstanding
from smsgw.text import coding

Result = Message | Refusal


def is_error(result: Result) -> TypeGuard[Refusal]:
    """True if there is no transaction: what was processed but not sent has one (E-R23)."""
    return isinstance(result, Refusal) and result.reason.answer.http != 200


def submitted(result: Result, message: Message) -> Outcome:
    """The transaction of a message that was accepted, or refused with a code of its own."""
    if isinstance(result, Message):
        code, state, count = rest_codes.ACCEPTED, "ENROUTE", len(result.parts)
    else:
        code, state, count = result.reason.answer.rest, "REJECTD", 0
        message = result.message or message
    return Outcome(
        transaction_guid=identities.to_guid(message.id) if message.id else None,
        message_type="Submit",
        code=code,
        code_text=rest_codes.TEXTS[code],
        extended_status_code=rest_codes.extended_code(message, code),
        message_state=state,
        source=message.source,
        destination=message.destination,
        parts=count,
        client_reference=message.client_reference,
        submit_date=iso(message.accepted_at),
    )


def refused(refusal: Refusal, destination: str) -> Outcome:
    """What stands in an answer for several in place of a transaction that does not exist."""
    code = refusal.reason.answer.rest
    return Outcome(
        transaction_guid=None,
        code=code,
        code_text=rest_codes.TEXTS[code],
        error_code=rest_codes.error_code(code),
        detail=rest_codes.detail(refusal),
        destination=destination,
    )


def considered(result: Result, message: Message, currency: str) -> Outcome:
    """What would become of a message that was not sent (``dryRun``)."""
    if isinstance(result, Refusal):
        found = submitted(result, message)
        found.transaction_guid = None
        found.detail = rest_codes.detail(result)
        return found
    found = submitted(result, result)
    scheduled = result.schedule_at if result.schedule_at > result.accepted_at else 0
    found.transaction_guid = None
    found.coding = coding.alphabet(result.data_coding).name
    found.route = result.route
    found.price = money.shown(result.charged * len(result.parts))
    found.currency = currency or None
    found.schedule_time = iso(scheduled)
    return found


def together(outcomes: list[Outcome], batch: int) -> Submitted:
    """The answer for several destinations, one of which has a transaction at least."""
    # Of the transactions that exist: 200 does not come with the code of an error (E-R23).
    codes = [one.code for one in outcomes if one.code < rest_codes.AUTHENTICATION]
    code = rest_codes.ACCEPTED if rest_codes.ACCEPTED in codes else codes[0]
    return Submitted(
        code=code,
        code_text=rest_codes.TEXTS[code],
        batch_guid=identities.to_guid(batch),
        transactions=Outcomes(outcomes),
    )


def alone(outcome: Outcome) -> Submitted:
    """The answer for one destination."""
    return Submitted(code=outcome.code, code_text=outcome.code_text, transactions=Outcomes(outcome))


def has_receipt(message: Message) -> bool:
    """Whether a carrier's final receipt came for it, which is a transaction of its own (F-5)."""
    return bool(message.carrier_at) and MessageState(message.state).final


def transaction(
    message: Message,
    kind: int = identities.MESSAGE,
    outstanding: Outstanding | None = None,
    operator_id: int | None = None,
) -> Transaction:
    """All that is known of a message; of its receipt if ``kind`` is that."""
    guid, receipt = identities.to_guid(message.id), None
    message_type = "Deliver" if message.direction == Direction.MO else "Submit"
    if has_receipt(message):
        receipt = identities.to_guid(message.id, identities.RECEIPT)
    linked = receipt
    if kind == identities.RECEIPT:
        guid, linked, message_type = str(receipt), guid, "Receipt"
    code = rest_codes.code_of(message)
    outstanding = outstanding or Outstanding()
    found = Transaction(
        transaction_guid=guid,
        transaction_guid_linked=linked,
        message_type=message_type,
        code=code,
        code_text=rest_codes.TEXTS[code],
        extended_status_code=rest_codes.extended_code(message, code),
        message_state=rest_codes.state_name(message),
        network_error_code=message.network_error or None,
        source=message.source,
        destination=message.destination,
        parts=len(message.parts),
        dcs=message.data_coding,
        client_reference=message.client_reference,
        operator_id=operator_id,
        submit_date=iso(message.accepted_at),
        carrier_date=iso(message.carrier_at),
        done_date=iso(message.done_at),
        retry_count=outstanding.tries,
        next_retry_date=iso(outstanding.next_at),
    )
    multimedia = message.multimedia
    if multimedia is not None:
        found.subject = multimedia.subject
        found.media = [Media(one.name, one.type, one.size) for one in multimedia.media]
        found.read_date = iso(message.read_at)
    return found
