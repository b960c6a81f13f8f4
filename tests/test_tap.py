"""What ``twistd smsgw`` does to its process before anything starts."""

import resource
from typing import Any

import pytest

from smsgw import tap
from smsgw.config import Config
from smsgw.store.database import StoreUnusable


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


def test_the_reactor_is_prepared_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clock and its way to connections, while nothing is scheduled or listens."""
    prepared: list[str] = []
    for name in ("steady", "direct"):
        monkeypatch.setattr(tap, name, lambda reactor, name=name: prepared.append(name))

    def no_store(*_: object) -> None:
        assert prepared == ["steady", "direct"]
        raise StoreUnusable("on purpose")

    monkeypatch.setattr(tap, "open_store", no_store)
    options: Any = {"configuration": Config(), "demo": False}
    with pytest.raises(SystemExit):
        tap.makeService(options)
    assert prepared


def test_a_limit_that_is_not_granted_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gateway starts all the same."""

    def refused(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refused)
    tap.raise_descriptor_limit()
