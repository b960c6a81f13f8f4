"""bench/gateway.py: what the scenario ``rules`` provisions."""

from bench.gateway import provisioning
from smsgw.message import Message
from smsgw.provisioning.parse import parse
from smsgw.rules.tables import Tables


def test_a_message_of_the_bench_passes_all_rules() -> None:
    """It has a price of the list and a route with filters, and is stopped by none."""
    read = parse(provisioning(2775, 50, 4, rules="all"), "rules.toml")
    tables = Tables(read)
    account = tables.accounts["bench"]
    assert account.quota_day
    assert account.quota_month
    assert account.duplicate_window_s
    message = Message(
        "447700900000", "447700900123", parts=[b"r1 00/000001 ".ljust(100, b"x")], account="bench"
    )
    found = tables.routes.match(message.destination, message)
    assert found is not None
    assert found.name == "gold"
    priced = tables.prices["bench"].find(message.destination)
    assert priced is not None
    assert priced.price == "0.0150"
    assert tables.content is not None
    assert tables.content.refuses(message) is None


def test_without_rules_there_are_none() -> None:
    """What the other scenarios run with."""
    tables = Tables(parse(provisioning(2775, 50, 4), "plain.toml"))
    assert tables.content is None
    assert tables.prices == {}
    assert list(tables.provisioning.routes) == ["default"]
