"""`smsgw trace`: how a line reads, and what is said without a gateway."""

from pathlib import Path

from smsgw.commands.trace import line_of
from smsgw.operate.wire_views import WireView
from tests.commands.place import a_place, run


def test_a_line_has_who_what_and_why() -> None:
    """Time, connection, other end, direction, operation, number, status, what is not empty."""
    at = 1_767_225_600_123
    one = WireView(at, 3, "192.0.2.7", pdu="submit_sm", sequence=7)
    one.fields = {"service_type": "", "source_addr": "ACME", "esm_class": 0}
    assert line_of(one) == (
        '00:00:00.123 #3 192.0.2.7 -> submit_sm 7 source_addr="ACME" esm_class=0'
    )
    answer = WireView(at, 3, "192.0.2.7", sent=True, pdu="submit_sm_resp", sequence=7)
    answer.status = "ESME_RTHROTTLED"
    assert line_of(answer).endswith("<- submit_sm_resp 7 ESME_RTHROTTLED")
    assert line_of(WireView(at, 3, "x", event="closed: unbound")).endswith("x closed: unbound")
    assert line_of(WireView(at, 3, "x", pdu="0x1", fault="too short")).endswith(
        "cannot be read: too short"
    )
    assert line_of(WireView(at, lost=5)) == "... 5 lost"


def test_it_needs_a_gateway(tmp_path: Path) -> None:
    """Nothing passes without one: one line, and status 1."""
    result = run(a_place(tmp_path), "trace", "acme")
    assert result.exit_code == 1
    assert result.stderr == "smsgw: the gateway is not running; start it with: twistd -n smsgw\n"
