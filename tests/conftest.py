"""What all tests share."""

import pytest
from hypothesis import HealthCheck, settings

# A slow machine is not a failure: no test judges the time that it takes. Forty examples of each law
# at each run add up; "make fuzz" looks for longer.
settings.register_profile(
    "smsgw",
    deadline=None,
    max_examples=40,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("smsgw")


# The files that take longest, most of it waiting.
LONGEST = (
    "integration/test_kill_broker.py",
    "integration/test_kill.py",
    "integration/test_kill_postgresql.py",
    "integration/",
    "flow/test_journey_machine.py",
    "queues/",
    "amqp/test_rabbitmq.py",
    "test_media_machine.py",
    "journeys/",
)


def _place(item: pytest.Item) -> int:
    path = item.path.as_posix()
    found = (place for place, name in enumerate(LONGEST) if f"/tests/{name}" in path)
    return next(found, len(LONGEST))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files come first: with several workers none of them must be last."""
    items.sort(key=_place)
