"""Wires MM4 into a gateway."""

import time
from typing import TYPE_CHECKING, Any

from smsgw.flow.link import Links
from smsgw.flow.reporting import Reporting
from smsgw.mms.answering import Answering
from smsgw.mms.forwards import Forwards
from smsgw.mms.messenger import CustomerMmscs
from smsgw.mms.receiving import Receiving
from smsgw.mms.reports import CustomerReports

if TYPE_CHECKING:
    from smsgw.service import Gateway


def wire(gateway: "Gateway", messengers: dict[str, Any]) -> Receiving:
    """Has the gateway receive MM4, and bring it to customers' MMSCs; what receives."""
    config, tables = gateway.config, gateway.current
    exchange, domain = gateway.exchange, gateway.exchange.domain
    customers = CustomerMmscs(config, exchange, gateway.media, gateway.reactor, time.time)
    messengers["mm4"] = gateway.customers = customers
    reporting = Reporting(tables, exchange, gateway.replies, gateway.identities)
    gateway.settlement.reports = reporting.ended
    gateway.inbound.reporting = reporting
    gateway.inbound.link = Links(config.http.public_url).url
    gateway.inbound.media_ms = gateway.acceptance.media_ms
    answering = Answering(tables, exchange, gateway.replies, gateway.queues, gateway.identities)

    def drops(account: str) -> bool:
        form = tables().accounts.get(account)
        own = form.settings.get("mm4", {}) if form is not None else {}
        return bool(config.mm4.for_account(own).drop_unaccepted)

    forwards = Forwards(
        tables,
        gateway.journal,
        gateway.media,
        gateway.acceptance,
        gateway.inbound,
        answering,
        domain,
        config.mm4.forward_limit,
        drops,
    )
    reports = CustomerReports(customers, reporting, answering, gateway.journal, gateway.message)
    reports.shared = gateway.shared
    return Receiving(
        tables, gateway.media, answering, forwards, reports, gateway.mm4_answers, domain
    )
