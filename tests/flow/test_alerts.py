"""Alerts: who is told that a subscriber can be reached."""

from typing import Any

from attrs import define, field

from smsgw.flow.alerts import Alerts
from smsgw.provisioning import Account, Number, Provisioning
from smsgw.rules.tables import Tables
from smsgw.smpp.constants import Tag
from smsgw.smpp.pdu import AlertNotification
from smsgw.smpp.tlv import put

STATUS = put(Tag.MS_AVAILABILITY_STATUS, 1)


@define(eq=False)
class Session:
    """What an alert asks of a session."""

    hears_alerts: bool = True
    told: list[AlertNotification] = field(factory=list)

    def alert(self, pdu: AlertNotification) -> None:
        self.told.append(pdu)


class Scene:
    """Two accounts that share a short code, one of which has a number of its own."""

    def __init__(self) -> None:
        accounts = {
            "acme": Account("acme", number=[Number("447700900000"), Number("60300", keyword="A")]),
            "other": Account("other", number=[Number("60300", keyword="B")]),
        }
        tables = Tables(Provisioning(accounts=accounts), 1)
        self.sessions: dict[str, list[Any]] = {
            "acme": [Session(), Session(), Session(hears_alerts=False)],
            "other": [Session()],
        }
        self.alerts = Alerts(lambda: tables, lambda account: self.sessions[account])

    def receive(self, esme: bytes, **fields: Any) -> dict[str, list[int]]:
        """How often each session has been told, after an alert for ``esme``."""
        self.alerts.receive("north", AlertNotification(sequence=7, esme_addr=esme, **fields))
        return {
            name: [len(session.told) for session in sessions]
            for name, sessions in self.sessions.items()
        }


def test_an_alert_is_for_whose_number_it_names() -> None:
    """Each session of that account that may hear it, and of no other (I6)."""
    scene = Scene()
    assert scene.receive(b"447700900000") == {"acme": [1, 1, 0], "other": [0]}
    assert scene.receive(b"+447700900000") == {"acme": [2, 2, 0], "other": [0]}
    assert (scene.alerts.passed_on, scene.alerts.nobodys) == (2, 0)


def test_who_shares_a_short_code_is_told_alike() -> None:
    """No text says which keyword is meant."""
    assert Scene().receive(b"60300") == {"acme": [1, 1, 0], "other": [1]}


def test_a_number_that_nobody_has_is_counted() -> None:
    """Nobody is told."""
    scene = Scene()
    assert scene.receive(b"447700900999") == {"acme": [0, 0, 0], "other": [0]}
    assert (scene.alerts.received, scene.alerts.passed_on, scene.alerts.nobodys) == (1, 0, 1)


def test_what_is_passed_on_is_a_copy_of_what_the_protocol_knows() -> None:
    """Addresses and ms_availability_status; each session numbers its own."""
    scene = Scene()
    scene.receive(
        b"447700900000",
        source_addr=b"447700900123",
        source_addr_ton=1,
        tlvs=[STATUS, (0x1400, b"x")],
    )
    (one,), (other,), _ = (session.told for session in scene.sessions["acme"])
    assert one is not other
    assert (one.source_addr, one.source_addr_ton, one.tlvs) == (b"447700900123", 1, [STATUS])
