"""The six worked examples of spec/mm4.md section 5, octet for octet."""

from smsgw.mm4 import words
from smsgw.mm4.fields import Expiry, read_date
from smsgw.mm4.mime import Content, Part
from smsgw.mm4.pdus import (
    DeliveryReportReq,
    DeliveryReportRes,
    ForwardReq,
    ForwardRes,
    ReadReplyReq,
    ReadReplyRes,
)

OURS = "system-user@gateway.example.com"
THEIRS = "system-user@mms.example.net"
ALICE = "+447700900456/TYPE=PLMN@gateway.example.com"
BOB = "+447700900123/TYPE=PLMN@mms.example.net"


def crlf(text):
    """Text as it travels."""
    return text.replace("\n", "\r\n").encode()


def at(time):
    """Milliseconds of a time on the day of the examples."""
    return read_date(f"Sat, 14 Mar 2026 {time} +0000")


SMIL = (
    b'<smil><head><layout><root-layout width="320" height="480"/>'
    b'<region id="Image" left="0" top="0" width="320" height="320" fit="meet"/>'
    b'<region id="Text" left="0" top="320" width="320" height="160"/></layout></head>'
    b'<body><par dur="5000ms"><img src="photo.gif" region="Image"/>'
    b'<text src="text.txt" region="Text"/></par></body></smil>\r\n'
)
GIF = bytes.fromhex(
    "47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002014400 3b"
)
BOUNDARY = "=_mm17"


def content():
    """The content of example 5.1."""
    return Content(
        [
            Part("application/smil", "smil.xml", "smil", "smil.xml", SMIL, "utf-8"),
            Part("image/gif", "photo.gif", "photo", "photo.gif", GIF),
            Part(
                "text/plain",
                "text.txt",
                "text",
                "text.txt",
                b"Greetings from the seaside!",
                "utf-8",
            ),
        ],
        "smil",
    )


def forward_req(**changes):
    """Example 5.1, with changes."""
    values = {
        "from_": ALICE,
        "to": [BOB],
        "sender": OURS,
        "date": at("10:15:02"),
        "mail_id": "20260314101502.000017@gateway.example.com",
        "subject": "Holiday",
        "transaction_id": "7f3a0c21",
        "message_id": "mm-000017@gateway.example.com",
        "message_class": "Personal",
        "expiry": Expiry(seconds=259200),
        "delivery_report": True,
        "relay_report": False,
        "priority": "Normal",
        "visibility": "Show",
        "read_reply": True,
        "ack_request": True,
        "forward_counter": 1,
        "originator_system": OURS,
    }
    return ForwardReq(**{**values, **changes})


FORWARD_REQ = (
    crlf(f"""From: {ALICE}
To: {BOB}
Sender: {OURS}
Date: Sat, 14 Mar 2026 10:15:02 +0000
Message-ID: <20260314101502.000017@gateway.example.com>
Subject: Holiday
X-Mms-3GPP-MMS-Version: 6.3.0
X-Mms-Message-Type: MM4_forward.REQ
X-Mms-Transaction-ID: 7f3a0c21
X-Mms-Message-ID: mm-000017@gateway.example.com
X-Mms-Message-Class: Personal
X-Mms-Expiry: 259200
X-Mms-Delivery-Report: Yes
X-Mms-Originator-R/S-Delivery-Report: No
X-Mms-Priority: Normal
X-Mms-Sender-Visibility: Show
X-Mms-Read-Reply: Yes
X-Mms-Ack-Request: Yes
X-Mms-Forward-Counter: 1
X-Mms-Originator-System: {OURS}
MIME-Version: 1.0
Content-Type: multipart/related; type="application/smil"; start="<smil>"; boundary="=_mm17"

--=_mm17
Content-Type: application/smil; charset=utf-8; name="smil.xml"
Content-ID: <smil>
Content-Location: smil.xml
Content-Transfer-Encoding: 8bit

""")
    + SMIL
    + crlf("""
--=_mm17
Content-Type: image/gif; name="photo.gif"
Content-ID: <photo>
Content-Location: photo.gif
Content-Transfer-Encoding: base64

R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7

--=_mm17
Content-Type: text/plain; charset=utf-8; name="text.txt"
Content-ID: <text>
Content-Location: text.txt
Content-Transfer-Encoding: 8bit

Greetings from the seaside!
--=_mm17--
""")
)


def head(octets=FORWARD_REQ):
    """The header of a mail, with the empty line that ends it."""
    return octets[: octets.index(b"\r\n\r\n") + 4]


_END = "MIME-Version: 1.0\nContent-Type: text/plain; charset=us-ascii\n\n"
_REPORT_IDS = {"message_id": "mm-000017@gateway.example.com"}

# (name, octets, PDU) of the five without content.
OTHERS = [
    (
        "5.2",
        crlf(f"""Sender: {THEIRS}
From: {THEIRS}
To: {OURS}
Date: Sat, 14 Mar 2026 10:15:04 +0000
Message-ID: <res-44810@mms.example.net>
X-Mms-3GPP-MMS-Version: 6.3.0
X-Mms-Message-Type: MM4_forward.RES
X-Mms-Transaction-ID: 7f3a0c21
X-Mms-Message-ID: mm-000017@gateway.example.com
X-Mms-Request-Status-Code: Ok
X-Mms-Status-Text: Ok
{_END}"""),
        ForwardRes(
            sender=THEIRS,
            from_=THEIRS,
            to=OURS,
            date=at("10:15:04"),
            mail_id="res-44810@mms.example.net",
            transaction_id="7f3a0c21",
            status=words.RequestStatus.OK,
            status_text="Ok",
            **_REPORT_IDS,
        ),
    ),
    (
        "5.3",
        crlf(f"""From: {BOB}
To: {ALICE}
Sender: {THEIRS}
Date: Sat, 14 Mar 2026 10:15:41 +0000
Message-ID: <dr-44811@mms.example.net>
X-Mms-3GPP-MMS-Version: 6.3.0
X-Mms-Message-Type: MM4_delivery_report.REQ
X-Mms-Transaction-ID: dr-90021
X-Mms-Message-ID: mm-000017@gateway.example.com
X-Mms-Ack-Request: Yes
X-Mms-Forward-To-Originator-UA: Yes
X-Mms-MM-Status-Code: Retrieved
X-Mms-Status-Text: retrieved by handset
{_END}"""),
        DeliveryReportReq(
            from_=BOB,
            to=[ALICE],
            sender=THEIRS,
            date=at("10:15:41"),
            mail_id="dr-44811@mms.example.net",
            transaction_id="dr-90021",
            ack_request=True,
            forward_to_ua=True,
            status=words.Status.RETRIEVED,
            status_text="retrieved by handset",
            **_REPORT_IDS,
        ),
    ),
    (
        "5.4",
        crlf(f"""Sender: {OURS}
From: {OURS}
To: {THEIRS}
Date: Sat, 14 Mar 2026 10:15:42 +0000
Message-ID: <20260314101542.000018@gateway.example.com>
X-Mms-3GPP-MMS-Version: 6.3.0
X-Mms-Message-Type: MM4_delivery_report.RES
X-Mms-Transaction-ID: dr-90021
X-Mms-Message-ID: mm-000017@gateway.example.com
X-Mms-Request-Status-Code: Ok
{_END}"""),
        DeliveryReportRes(
            sender=OURS,
            from_=OURS,
            to=THEIRS,
            date=at("10:15:42"),
            mail_id="20260314101542.000018@gateway.example.com",
            transaction_id="dr-90021",
            **_REPORT_IDS,
        ),
    ),
    (
        "5.5",
        crlf(f"""From: {BOB}
To: {ALICE}
Sender: {THEIRS}
Date: Sat, 14 Mar 2026 10:20:00 +0000
Message-ID: <rr-44812@mms.example.net>
X-Mms-3GPP-MMS-Version: 6.3.0
X-Mms-Message-Type: MM4_read_reply_report.REQ
X-Mms-Transaction-ID: rr-90022
X-Mms-Message-ID: mm-000017@gateway.example.com
X-Mms-Ack-Request: Yes
X-Mms-Read-Status: Read
{_END}"""),
        ReadReplyReq(
            from_=BOB,
            to=[ALICE],
            sender=THEIRS,
            date=at("10:20:00"),
            mail_id="rr-44812@mms.example.net",
            transaction_id="rr-90022",
            ack_request=True,
            status=words.ReadStatus.READ,
            **_REPORT_IDS,
        ),
    ),
    (
        "5.6",
        crlf(f"""Sender: {OURS}
From: {OURS}
To: {THEIRS}
Date: Sat, 14 Mar 2026 10:20:01 +0000
Message-ID: <20260314102001.000019@gateway.example.com>
X-Mms-3GPP-MMS-Version: 6.3.0
X-Mms-Message-Type: MM4_read_reply_report.RES
X-Mms-Transaction-ID: rr-90022
X-Mms-Message-ID: mm-000017@gateway.example.com
X-Mms-Request-Status-Code: Ok
{_END}"""),
        ReadReplyRes(
            sender=OURS,
            from_=OURS,
            to=THEIRS,
            date=at("10:20:01"),
            mail_id="20260314102001.000019@gateway.example.com",
            transaction_id="rr-90022",
            **_REPORT_IDS,
        ),
    ),
]
