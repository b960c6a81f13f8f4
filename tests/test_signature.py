"""The signature of callbacks: fixed vectors, and what breaks it."""

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from smsgw.signature import sign, verify

TARGET = "/in?key=s3cret"
BODY = b"ud=Gr%C3%BC%C3%9Fe"
NOW = 1_773_483_302
# The values of the vectors are those of "openssl dgst -sha256 -hmac secret".


def test_vectors() -> None:
    """What the manual shows is what is sent."""
    assert sign("secret", "POST", TARGET, BODY, NOW) == (
        "t=1773483302,v1=ec05b21a3f6696c52a9c6417c746d300308b8f41c2622ac3fccff45f30edae2b"
    )
    assert sign("secret", "GET", "/dlr?c=1&to=447700900123", b"", NOW) == (
        "t=1773483302,v1=b2fb4ed60543825a459240ec4b2f82a6467d7ac728a2c5e3437f6b5cede402d6"
    )


@given(st.text(min_size=1), st.text(), st.binary(), st.integers(0, 10**11))
def test_what_is_signed_verifies(secret: str, target: str, body: bytes, now: int) -> None:
    """The receiver's check takes every signature of the gateway."""
    target = target.encode("utf-8", "replace").decode()
    secret = secret.encode("utf-8", "replace").decode()
    header = sign(secret, "POST", target, body, now)
    assert verify(header, secret, "POST", target, body, now)
    assert not verify(header, secret + "x", "POST", target, body, now)
    assert not verify(header, secret, "GET", target, body, now)
    assert not verify(header, secret, "POST", target + "x", body, now)
    assert not verify(header, secret, "POST", target, body + b"x", now)


def test_replay_is_refused() -> None:
    """Outside of the window a right signature is worth nothing."""
    header = sign("secret", "POST", TARGET, BODY, NOW)
    for late in (-300, 300):
        assert verify(header, "secret", "POST", TARGET, BODY, NOW + late)
    for late in (-301, 301):
        assert not verify(header, "secret", "POST", TARGET, BODY, NOW + late)
    assert verify(header, "secret", "POST", TARGET, BODY, NOW + 900, window=900)


def test_time_is_signed() -> None:
    """A new time on an old signature does not help."""
    header = sign("secret", "POST", TARGET, BODY, NOW).replace(str(NOW), str(NOW + 900))
    assert not verify(header, "secret", "POST", TARGET, BODY, NOW + 900)


@given(st.text())
def test_any_header_is_judged(header: str) -> None:
    """What is no signature is refused, not an error."""
    assert not verify(header, "secret", "POST", TARGET, BODY, NOW)


def test_example_of_the_manual_works() -> None:
    """A receiver that pastes it takes what the gateway sends, and nothing else."""
    manual = (Path(__file__).parents[1] / "docs" / "guide" / "callbacks.md").read_text()
    pasted: dict[str, Any] = {}
    exec(manual.partition("```python\n")[2].partition("```")[0], pasted)
    is_genuine = pasted["is_genuine"]
    header = sign("secret", "POST", TARGET, BODY, NOW)
    assert f"X-Signature: {header}\n" in manual
    assert is_genuine(header, "secret", "POST", TARGET, BODY, NOW + 300)
    assert not is_genuine(header, "secret", "POST", TARGET, BODY, NOW + 301)
    assert not is_genuine(header, "other", "POST", TARGET, BODY, NOW)
    assert not is_genuine(header, "secret", "POST", TARGET, BODY + b"x", NOW)
    for broken in ("", "t=1", "v1=x", "t=x,v1=y", "t=1,v1=ü", "t=²,v1=a"):
        assert not is_genuine(broken, "secret", "POST", TARGET, BODY, NOW)
