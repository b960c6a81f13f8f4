"""The documents of the REST API's answers; its OpenAPI document is made of these types.

Attributes are named in Python's way and written in the dialect's (``transactionGUID``). What may
be null is not known; ``UNSET`` is left out.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType, field

_GUID = "transactionGUID"


class Fault(Struct, rename="camel"):
    """Why there is no transaction (E-D9, F-8)."""

    code: int
    error_code: str
    detail: str


class Outcome(Struct, rename="camel"):
    """What became of one destination of a submission.

    A transaction if ``transactionGUID`` is set. One that was not made has ``errorCode`` and
    ``detail``. Of a dry run ``coding``, ``route``, ``price``, ``currency`` and ``scheduleTime``
    say what would be done.
    """

    transaction_guid: str | None = field(name=_GUID)
    message_type: str | UnsetType = field(default=UNSET, name="messageType")
    code: int = 0
    code_text: str = ""
    error_code: str | UnsetType = UNSET
    detail: str | UnsetType = UNSET
    extended_status_code: int | UnsetType = UNSET
    message_state: str | UnsetType = UNSET
    source: str | UnsetType = UNSET
    destination: str = ""
    parts: int | UnsetType = UNSET
    client_reference: str | UnsetType | None = UNSET
    submit_date: str | UnsetType | None = UNSET
    coding: str | UnsetType = UNSET
    route: str | UnsetType = UNSET
    price: str | UnsetType = UNSET
    currency: str | UnsetType | None = UNSET
    schedule_time: str | UnsetType | None = UNSET


class Outcomes(Struct):
    """One for one destination, a list for several."""

    transaction: Outcome | list[Outcome]


class Submitted(Struct, rename="camel"):
    """The answer to a submission; ``code`` is 10 if any message was accepted."""

    code: int
    code_text: str
    batch_guid: str | UnsetType = field(default=UNSET, name="batchGUID")
    dry_run: bool | UnsetType = UNSET
    transactions: Outcomes | UnsetType = UNSET


class Media(Struct, rename="camel"):
    """One part of an MMS; ``size`` in octets."""

    name: str
    type: str
    size: int


class Transaction(Struct, rename="camel"):
    """All that is known of a message (4.3).

    ``subject``, ``media`` and ``readDate`` are of an MMS only.
    """

    transaction_guid: str = field(name=_GUID)
    transaction_guid_linked: str | None = field(name="transactionGUIDlinked")
    message_type: str
    code: int
    code_text: str
    extended_status_code: int
    message_state: str
    network_error_code: str | None
    source: str
    destination: str
    parts: int
    dcs: int
    client_reference: str | None
    operator_id: int | None
    submit_date: str | None
    carrier_date: str | None
    done_date: str | None
    retry_count: int
    next_retry_date: str | None
    subject: str | UnsetType = UNSET
    media: list[Media] | UnsetType = UNSET
    read_date: str | UnsetType | None = UNSET


class TransactionsFound(Struct):
    """One, or a page of several."""

    transaction: Transaction | list[Transaction]


class Status(Struct, rename="camel"):
    """Transactions; of a batch there may be more after ``nextCursor``."""

    transactions: TransactionsFound
    batch_guid: str | UnsetType = field(default=UNSET, name="batchGUID")
    next_cursor: str | UnsetType | None = UNSET


class Operator(Struct, rename="camel"):
    """The network of a number; ``operatorType`` is wireless, landline, voip, tollfree or
    unknown."""

    operator_id: int | None = None
    operator_name: str | None = None
    operator_type: str = "unknown"
    mcc: str | None = None
    mnc: str | None = None


class Country(Struct, rename="camel"):
    """The country of a number; ``countryCode`` by ISO 3166-1 alpha-2."""

    country_code: str | None = None
    country_name: str | None = None
    dial_code: str | None = None


class Number(Struct, rename="camel"):
    """What is known of a number (4.4)."""

    number_value: str
    valid_number: bool
    operator: Operator
    country: Country
    ported: bool | None = None
    last_updated: str | None = None


class Lookup(Struct):
    """The transaction of one number that was looked up."""

    transaction_guid: str = field(name=_GUID)
    number: Number


class LookupsFound(Struct):
    """One for one number, a list for several."""

    transaction: Lookup | list[Lookup]


class Lookups(Struct):
    """The answer to a lookup."""

    transactions: LookupsFound


class NumberList(Struct, rename="camel"):
    """A list of numbers."""

    list_id: str
    name: str
    type: str
    source: str | None
    size: int
    created: str | None
    updated: str | None


class OneList(Struct):
    """One of them."""

    one: NumberList = field(name="list")


class ListAnswer(Struct):
    """The answer to a request that makes, changes or shows a list."""

    code: int
    lists: OneList


class SomeLists(Struct):
    """Some of them."""

    some: list[NumberList] = field(name="list")


class ListsAnswer(Struct, rename="camel"):
    """A page of the account's lists; more come after ``nextCursor``."""

    lists: SomeLists
    next_cursor: str | None


class Done(Struct):
    """It was done."""

    code: int


class Member(Struct):
    """A member of a list; ``origin`` is api, keyword, carrier or admin."""

    number: str
    added: str | None
    origin: str


class MembersFound(Struct):
    """Some of them."""

    member: list[Member]


class Members(Struct, rename="camel"):
    """A page of members; more come after ``nextCursor``."""

    members: MembersFound
    next_cursor: str | None


class MemberResult(Struct):
    """What became of one number: added, exists, removed, unknown or invalid."""

    number: str
    result: str


class MemberResults(Struct):
    """One for each number, in order."""

    member: list[MemberResult]


class MembersChanged(Struct):
    """The answer to a change of members."""

    code: int
    members: MemberResults


class Delivery(Struct, rename="camel"):
    """A notification that was given up: what it was about, where it was to go, and why not."""

    delivery_id: str
    transaction_guid: str = field(name=_GUID)
    event: str  # "Deliver", "Receipt", "Acknowledgement", "Notice"
    target: str
    attempts: int
    date: str | None
    reason: str


class DeliveriesFound(Struct):
    """Some of them."""

    delivery: list[Delivery]


class Deliveries(Struct, rename="camel"):
    """A page of notifications that were given up; more come after ``nextCursor``."""

    deliveries: DeliveriesFound
    next_cursor: str | None


class Replayed(Struct):
    """How many notifications are sent again."""

    code: int
    count: int


def schemas(types: list[Any], template: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schema of each type by its name, and those that they refer to."""
    found, components = msgspec.json.schema_components(types, ref_template=template)
    named = {one.__name__: schema for one, schema in zip(types, found, strict=True)}
    return named, components
