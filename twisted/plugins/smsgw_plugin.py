"""Lets twistd find the gateway."""

from twisted.application.service import ServiceMaker

smsgw = ServiceMaker(
    "smsgw", "smsgw.tap", "A carrier-grade messaging gateway: SMPP, HTTP, MM4, SMTP", "smsgw"
)
