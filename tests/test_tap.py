"""What ``twistd smsgw`` does to its process before anything starts."""

import resource

import pytest

from smsgw import tap


def test_as_many_descriptors_as_the_hard_limit_allows() -> None:
    """The soft limit is raised: each connection takes a descriptor."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft, hard = before
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
        tap.raise_descriptor_limit()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_limit_that_is_not_granted_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway starts all the same."""

    def refused(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refused)
    tap.raise_descriptor_limit()
