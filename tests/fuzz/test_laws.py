"""The laws of ``laws.py`` hold for any octets, for what once broke them, and for broken PDUs."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smsgw.smpp.codec import encode
from smsgw.testing.strategies import pdus
from tests.fuzz.laws import LAWS

CORPUS = Path(__file__).with_name("corpus")
KEPT = sorted(path for path in CORPUS.rglob("*") if path.is_file())
STREAMS = ("framing", "smsc_session", "esme_session")


@pytest.mark.parametrize("path", KEPT, ids=lambda path: f"{path.parent.name}-{path.name}")
def test_what_once_broke_a_law_does_not(path: Path) -> None:
    """I7: an input that the fuzzer found, or one worth beginning with, keeps its law."""
    LAWS[path.parent.name](path.read_bytes())


def test_every_law_has_inputs_to_begin_with() -> None:
    """The corpus has a folder for each law, and no other."""
    assert {path.parent.name for path in KEPT} == set(LAWS)


@pytest.mark.parametrize("law", LAWS)
def test_any_octets_keep_the_law(law: str) -> None:
    """I7: whatever comes, there is an exact answer or none, and memory is bounded."""

    @given(st.binary(max_size=300))
    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    def hold(octets: bytes) -> None:
        LAWS[law](octets)

    hold()


@st.composite
def spoilt_streams(draw: st.DrawFn) -> bytes:
    """PDUs one after the other, some with an octet that is another, after the octet of the cut."""
    stream = bytearray(b"".join(encode(pdu) for pdu in draw(st.lists(pdus(), max_size=6))))
    for _ in range(draw(st.integers(0, 3)) if stream else 0):
        stream[draw(st.integers(0, len(stream) - 1))] = draw(st.integers(0, 255))
    return bytes((draw(st.integers(0, 255)),)) + bytes(stream)


@pytest.mark.parametrize("law", STREAMS)
def test_any_pdus_keep_the_law(law: str) -> None:
    """I7: any operations in any order, whole and spoilt, however they are cut."""

    @given(spoilt_streams())
    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    def hold(octets: bytes) -> None:
        LAWS[law](octets)

    hold()
