"""What all tests share."""

from hypothesis import HealthCheck, settings

# A slow machine is not a failure: no test judges the time that it takes.
settings.register_profile(
    "smsgw", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("smsgw")
