"""The response codes: one table for what ends a message, joined with what carriers say of it."""

import re
from collections.abc import Mapping

from attrs import define, frozen

from smsgw.message import MessageState, Receipt

_DELIVERED = MessageState.DELIVERED
_EXPIRED = MessageState.EXPIRED
_DELETED = MessageState.DELETED
_ACCEPTED = MessageState.ACCEPTED
_UNKNOWN = MessageState.UNKNOWN
_REJECTED = MessageState.REJECTED


@frozen
class Code:
    """One response code (L-R28 of ``spec/link-smpp.md``).

    ``final`` is the state that goes with it when it ends a message in the link profile; None if it
    is only informational and never ends one.
    """

    number: int
    text: str
    family: str
    final: MessageState | None


# spec/link-smpp.md section 3, in its order and its words.
_TABLE = (
    Code(0, "OK", "ok", _DELIVERED),
    Code(1, "Service temporary not available", "general", _EXPIRED),
    Code(9, "Illegal error code", "general", _UNKNOWN),
    Code(10, "Network timeout", "general", _EXPIRED),
    Code(11, "No further information available", "general", _UNKNOWN),
    Code(100, "Facility not supported", "network", _REJECTED),
    Code(101, "Unknown subscriber", "network", _REJECTED),
    Code(102, "Facility not provided", "network", _REJECTED),
    Code(103, "Call barred", "network", _REJECTED),
    Code(104, "Operation barred", "network", _REJECTED),
    Code(105, "SC congestion", "network", _EXPIRED),
    Code(107, "Absent subscriber", "network", _EXPIRED),
    Code(108, "Delivery fail", "network", _REJECTED),
    Code(110, "Protocol error", "network", _REJECTED),
    Code(111, "MS not equipped", "network", _REJECTED),
    Code(112, "Unknown SC", "network", _EXPIRED),
    Code(114, "Illegal MS", "network", _REJECTED),
    Code(115, "MS not a subscriber", "network", _REJECTED),
    Code(116, "Error in MS", "network", _REJECTED),
    Code(117, "SMS lower layer not provisioned", "network", _REJECTED),
    Code(118, "System fail", "network", _EXPIRED),
    Code(119, "PLMN system failure", "network", _EXPIRED),
    Code(120, "HLR system failure", "network", _EXPIRED),
    Code(121, "VLR system failure", "network", _EXPIRED),
    Code(122, "Previous VLR system failure", "network", _EXPIRED),
    Code(123, "Controlling MSC system failure", "network", _EXPIRED),
    Code(124, "VMSC system failure", "network", _EXPIRED),
    Code(125, "EIR system failure", "network", _EXPIRED),
    Code(126, "System failure", "network", _EXPIRED),
    Code(127, "Unexpected data value", "network", _REJECTED),
    Code(128, "Insufficient credit in a prepaid case", "policy", _REJECTED),
    Code(129, "Number is blacklisted", "policy", _REJECTED),
    Code(136, "SMS was rejected (landline number)", "policy", _REJECTED),
    Code(137, "SMS was rejected (SPAM)", "policy", _REJECTED),
    Code(200, "Error in address service center", "smsc", _REJECTED),
    Code(201, "Invalid absolute validity period", "smsc", _REJECTED),
    Code(202, "Short Message exceeds maximum", "smsc", _REJECTED),
    Code(203, "Unable to unpack GSM message", "smsc", _REJECTED),
    Code(204, "Unable to convert to IA5 ALPHABET", "smsc", _REJECTED),
    Code(205, "Invalid validity period format", "smsc", _REJECTED),
    Code(206, "Invalid destination address", "smsc", _REJECTED),
    Code(207, "Duplicate message submit", "smsc", _REJECTED),
    Code(208, "Invalid message type indicator", "smsc", _REJECTED),
    Code(220, "Message validity period has expired", "state", _EXPIRED),
    Code(221, "Message has been deleted", "state", _DELETED),
    Code(222, "Message is undeliverable", "state", _REJECTED),
    Code(223, "Message is in accepted state", "state", _ACCEPTED),
    Code(224, "Message state is unknown", "state", _UNKNOWN),
    Code(225, "SMS was rejected", "state", _REJECTED),
    Code(226, "Message buffered", "state", _ACCEPTED),
    Code(230, "Billing ok", "billing", None),
    Code(231, "Timeout while delivering content", "billing", _REJECTED),
    Code(232, "MS not enabled for billing", "billing", _REJECTED),
    Code(233, "Billing Transaction unknown", "billing", _REJECTED),
    Code(234, "Billing Transaction timeouted", "billing", _REJECTED),
    Code(235, "Operator can not process billing", "billing", _REJECTED),
    Code(236, "Configuration problem", "billing", _REJECTED),
    Code(237, "Billing mode not allowed", "billing", _REJECTED),
    Code(238, "Missing parameters", "billing", _REJECTED),
    Code(239, "IMSI not checked: unknown operator", "imsi", None),
    Code(240, "IMSI not checked: system error", "imsi", None),
    Code(241, "IMSI not checked: first request", "imsi", None),
    Code(242, "IMSI changed: SIM or provider changed", "imsi", _REJECTED),
    Code(243, "IMSI changed: SIM, APD or provider changed", "imsi", _REJECTED),
    Code(244, "IMSI changed: network changed", "imsi", _REJECTED),
    Code(245, "IMSI changed: single to multi SIM", "imsi", _REJECTED),
    Code(246, "IMSI not changed", "imsi", None),
    Code(247, "IMSI not changed: multiSIM, possible APDC", "imsi", None),
    Code(248, "IMSI not changed: APD change possible", "imsi", None),
    Code(249, "IMSI not checked: call forward active", "imsi", None),
    Code(250, "IMSI not checked: not requested", "imsi", None),
    Code(252, "Message encoding wrong", "internal", _REJECTED),
    Code(253, "Billing_transaction_id not found", "internal", _REJECTED),
    Code(254, "Internal server error", "internal", _REJECTED),
    Code(255, "Unknown error", "internal", _UNKNOWN),
    Code(901, "Checksum error", "protocol", _REJECTED),
    Code(902, "Syntax error", "protocol", _REJECTED),
    Code(903, "Operation not supported by system", "protocol", _REJECTED),
    Code(904, "Operation not allowed", "protocol", _REJECTED),
    Code(905, "Call barring active", "protocol", _REJECTED),
    Code(906, "AdC invalid", "protocol", _REJECTED),
    Code(907, "Authentication failure", "protocol", _REJECTED),
    Code(908, "Legitimization code fails for call", "protocol", _REJECTED),
    Code(909, "GA not valid", "protocol", _REJECTED),
    Code(910, "Repetition not allowed", "protocol", _REJECTED),
    Code(911, "Legit. code fails for repetition", "protocol", _REJECTED),
    Code(912, "Priority call not allowed", "protocol", _REJECTED),
    Code(913, "Legit. code fails for priority cal", "protocol", _REJECTED),
    Code(914, "Urgent message not allowed", "protocol", _REJECTED),
    Code(915, "Legit. code fails for urgent message", "protocol", _REJECTED),
    Code(916, "Reverse charging not allowed", "protocol", _REJECTED),
    Code(917, "Legit. code fails for rev. charging", "protocol", _REJECTED),
    Code(918, "Deferred delivery not allowed", "protocol", _REJECTED),
    Code(919, "New AC not valid", "protocol", _REJECTED),
    Code(920, "New legitimization code not valid", "protocol", _REJECTED),
    Code(921, "Standard text not valid", "protocol", _REJECTED),
    Code(922, "Time period not valid", "protocol", _REJECTED),
    Code(923, "Message type not supported by system", "protocol", _REJECTED),
    Code(924, "Message length invalid", "protocol", _REJECTED),
    Code(925, "Requested standard text not valid", "protocol", _REJECTED),
    Code(926, "Invalid Message type for pager type", "protocol", _REJECTED),
    Code(927, "Message not found in SMSC", "protocol", _REJECTED),
    Code(930, "Subscriber hang-up", "protocol", _REJECTED),
    Code(931, "Fax group not supported", "protocol", _REJECTED),
    Code(932, "Fax message type not supported", "protocol", _REJECTED),
    Code(933, "Address already in list (60 series)", "protocol", _REJECTED),
    Code(934, "Address not in list (60 series)", "protocol", _REJECTED),
    Code(935, "List full, cannot add address", "protocol", _REJECTED),
    Code(936, "RPID already in use", "protocol", _REJECTED),
    Code(937, "Delivery in progress", "protocol", _ACCEPTED),
    Code(938, "Message forwarded", "protocol", _ACCEPTED),
    Code(939, "Invalid source address", "smpp-submit", _REJECTED),
    Code(940, "Replace SM failed", "smpp-submit", _REJECTED),
    Code(941, "Invalid esm_class field data", "smpp-submit", _REJECTED),
    Code(942, "submit_sm or submit_multi failed", "smpp-submit", _REJECTED),
    Code(943, "Invalid source address TON", "smpp-submit", _REJECTED),
    Code(944, "Invalid source address NPI", "smpp-submit", _REJECTED),
    Code(945, "Invalid destination address TON", "smpp-submit", _REJECTED),
    Code(946, "Invalid destination address NPI", "smpp-submit", _REJECTED),
    Code(947, "Invalid schedule delivery time", "smpp-submit", _REJECTED),
    Code(948, "Invalid message validity period", "smpp-submit", _REJECTED),
    Code(949, "Exceeded allowed message limit", "smpp-submit", _REJECTED),
    Code(998, "Timeout on waiting for concat parts", "platform", _EXPIRED),
    Code(999, "Internal billing not successful", "platform", _REJECTED),
)
CODES: Mapping[int, Code] = {code.number: code for code in _TABLE}

ILLEGAL = 9
NO_ROUTE = 206
VALIDITY_OVER = 220
MESSAGE_DELETED = 221
STATE_UNKNOWN = 224
REJECTED_BY_NEXT_HOP = 225
INTERNAL_ERROR = 254
PARTS_MISSING = 998

# command_status of a carrier's refusal -> our code: spec/link-smpp.md 4.4 read backwards, its codes
# 939 to 949, and the nearest code for the other statuses of spec/smpp.md §15.
BY_STATUS: Mapping[int, int] = {
    0x01: 202,  # RINVMSGLEN
    0x02: 924,  # RINVCMDLEN
    0x03: 903,  # RINVCMDID
    0x04: 904,  # RINVBNDSTS
    0x05: 949,  # RALYBND
    0x06: 902,  # RINVPRTFLG
    0x07: 902,  # RINVREGDLVFLG
    0x08: 254,  # RSYSERR
    0x0A: 939,  # RINVSRCADR
    0x0B: 206,  # RINVDSTADR
    0x0C: 927,  # RINVMSGID
    0x0D: 904,  # RBINDFAIL
    0x0E: 907,  # RINVPASWD
    0x0F: 907,  # RINVSYSID
    0x13: 940,  # RREPLACEFAIL
    0x14: 949,  # RMSGQFUL
    0x15: 923,  # RINVSERTYP
    0x33: 949,  # RINVNUMDESTS
    0x34: 206,  # RINVDLNAME
    0x40: 206,  # RINVDESTFLAG
    0x42: 940,  # RINVSUBREP
    0x43: 941,  # RINVESMCLASS
    0x44: 942,  # RCNTSUBDL
    0x45: 942,  # RSUBMITFAIL
    0x48: 943,  # RINVSRCTON
    0x49: 944,  # RINVSRCNPI
    0x50: 945,  # RINVDSTTON
    0x51: 946,  # RINVDSTNPI
    0x53: 902,  # RINVSYSTYP
    0x54: 902,  # RINVREPFLAG
    0x55: 949,  # RINVNUMMSGS
    0x58: 949,  # RTHROTTLED
    0x59: 904,  # RPROVNOTALLWD
    0x61: 947,  # RINVSCHED
    0x62: 948,  # RINVEXPIRY
    0x63: 921,  # RINVDFTMSGID
    0x64: 1,  # RX_T_APPN
    0xC0: 902,  # RINVOPTPARSTREAM
    0xC1: 904,  # ROPTPARNOTALLWD
    0xC2: 924,  # RINVPARLEN
    0xC3: 902,  # RMISSINGOPTPARAM
    0xC4: 902,  # RINVOPTPARAMVAL
    0xFE: 108,  # RDELIVERYFAILURE
    0xFF: 255,  # RUNKNOWNERR
    0x100: 904,  # RSERTYPUNAUTH
    0x101: 904,  # RPROHIBITED
    0x102: 1,  # RSERTYPUNAVAIL
    0x103: 904,  # RSERTYPDENIED
    0x104: 252,  # RINVDCS
    0x105: 939,  # RINVSRCADDRSUBUNIT
    0x106: 206,  # RINVDSTADDRSUBUNIT
}
# State of a receipt that gives no code -> our code.
_BY_STATE = {
    MessageState.EXPIRED: VALIDITY_OVER,
    MessageState.DELETED: 221,
    MessageState.UNDELIVERABLE: 222,
    MessageState.UNKNOWN: STATE_UNKNOWN,
    MessageState.REJECTED: REJECTED_BY_NEXT_HOP,
}
_STATUS = re.compile(r"0[xX][0-9A-Fa-f]{1,8}")
_ERROR = re.compile(r"[!-~]{1,10}")  # of a receipt no more is read
_FAILED = frozenset({_EXPIRED, _DELETED, _REJECTED})


def describe(number: int) -> Code:
    """The code of this number; an unknown number is 9, "Illegal error code" (L test 8)."""
    return CODES.get(number) or CODES[ILLEGAL]


def failed_state(number: int) -> MessageState:
    """How the link profile says that a message failed for good with this code: as the table does.

    REJECTED where the table has no failure for the code, since L-D12 says so of what failed.
    """
    state = describe(number).final
    return state if state in _FAILED and state is not None else _REJECTED


def error_key(text: str) -> str:
    """A carrier's error as it is compared: without case, and a number without leading zeros.

    What begins with 0x is a ``command_status`` in hex.
    """
    plain = text.strip().lower()
    if plain[:2] == "0x":
        return "0x" + (plain[2:].lstrip("0") or "0")
    if plain.isascii() and plain.isdigit():
        return plain.lstrip("0") or "0"
    return plain


def error_fault(text: str) -> str:
    """What is wrong with ``text`` as a carrier's error, and what would be right; "" if nothing
    is."""
    if text[:2].lower() == "0x":
        if _STATUS.fullmatch(text):
            return ""
        return "is no command_status; it must be 0x and 1 to 8 hex digits"
    if _ERROR.fullmatch(text):
        return ""
    return "is no error of a carrier; it must be 1 to 10 characters without blanks"


@define
class CarrierCodes:
    """What one carrier's errors mean in our codes: its own table first, else the default.

    ``own`` has as keys what ``error_key`` gives.
    """

    own: Mapping[str, int]

    @classmethod
    def of(cls, errors: Mapping[str, int]) -> "CarrierCodes":
        """Those of a carrier provisioned with ``errors``."""
        return cls({error_key(text): code for text, code in errors.items()})

    def of_status(self, status: int) -> int:
        """Our code for the ``command_status`` of a refusal (``spec/link-smpp.md`` 4.4)."""
        if self.own:
            found = self.own.get(f"0x{status:x}")
            # A short number is taken for a receipt's err: 11 is seldom meant as 0x0B.
            if found is None and status > 999:
                found = self.own.get(str(status))
            if found is not None:
                return found
        return BY_STATUS.get(status, REJECTED_BY_NEXT_HOP)

    def of_receipt(self, receipt: Receipt) -> int:
        """Our code for a receipt of a message that failed (L-R26 to L-R28).

        Without an entry in the carrier's own table: the number that its err is, 9 for one that is
        no code; the code of the receipt's state if err is no number or 0.
        """
        key = error_key(receipt.error)
        found = self.own.get(key)
        if found is not None:
            return found
        if key.isascii() and key.isdigit() and len(key) <= 3 and key != "0":
            return describe(int(key)).number
        return _BY_STATE.get(MessageState(receipt.state), 0)


STANDARD = CarrierCodes({})
