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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that start processes come first: with several workers the longest must not be last."""
    items.sort(key=lambda item: "/integration/" not in str(item.path))
