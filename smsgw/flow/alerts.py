"""Alerts: tells ESMEs that a subscriber can be reached again (SMPP 3.4 §4.12).

Comes from: ``send``'s links with alert_notification. Goes on to: nowhere; it has no answer, so who
is not bound now is not told.
"""

from collections.abc import Callable, Iterable

from twisted.logger import Logger

from smsgw.rules.tables import Tables
from smsgw.smpp.constants import Tag
from smsgw.smpp.data_sm import MAX_ADDRESS
from smsgw.smpp.esme import EsmeSession
from smsgw.smpp.pdu import AlertNotification

_log = Logger()


class Alerts:
    """Passes alert_notification on to the accounts that they are for."""

    def __init__(
        self, tables: Callable[[], Tables], sessions: Callable[[str], Iterable[EsmeSession]]
    ) -> None:
        """``sessions`` gives the bound sessions of an account."""
        self._tables = tables
        self._sessions = sessions
        # For operators: alerts that came, those passed on to a session at least, and those that
        # were for a number that no account has.
        self.received = 0
        self.passed_on = 0
        self.nobodys = 0

    def receive(self, carrier: str, pdu: AlertNotification) -> None:
        """An alert for whoever has the number ``esme_addr``: each of its accounts, if several share
        a short code."""
        self.received += 1
        address = pdu.esme_addr.decode("latin-1").removeprefix("+")
        accounts = {rule.account.name for rule in self._tables().numbers.meant_by(address)}
        if not accounts:
            self.nobodys += 1
            _log.info(
                "alert from carrier {carrier} for {number}: no account has this number",
                carrier=carrier,
                number=address[:MAX_ADDRESS],
            )
            return
        told = 0
        for account in accounts:
            for session in self._sessions(account):
                if session.hears_alerts:
                    session.alert(_copy(pdu))
                    told += 1
        if told:
            self.passed_on += 1


def _copy(pdu: AlertNotification) -> AlertNotification:
    """What is passed on, with a sequence number of its own to come."""
    return AlertNotification(
        source_addr_ton=pdu.source_addr_ton,
        source_addr_npi=pdu.source_addr_npi,
        source_addr=pdu.source_addr,
        esme_addr_ton=pdu.esme_addr_ton,
        esme_addr_npi=pdu.esme_addr_npi,
        esme_addr=pdu.esme_addr,
        tlvs=[one for one in pdu.tlvs if one[0] == Tag.MS_AVAILABILITY_STATUS],
    )
