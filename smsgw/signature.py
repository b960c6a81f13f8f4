"""The signature of callbacks: made by the gateway, checked by who receives them (E-D21).

A signed request has the header ``X-Signature: t=<seconds since 1970>,v1=<hex HMAC-SHA256>``. The
HMAC is taken over ``<t>.<METHOD>.<request target>.`` and the octets of the body; the request target
is what stands between method and version in the request line, query included.

A receiver in Python can use ``verify`` as it is; docs/guide/callbacks.md says it for others.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

HEADER = "X-Signature"
WINDOW_S = 300  # how far the times of both ends may be apart
_FORM = re.compile(r"t=([0-9]{1,12}),v1=([0-9a-f]{64})")


def sign(secret: str, method: str, target: str, body: bytes, now: int) -> str:
    """The value of the header for a request sent at ``now`` (seconds since 1970 UTC)."""
    return f"t={now},v1={_mac(secret, method, target, body, str(now))}"


def sign_pieces(secret: str, method: str, target: str, pieces: Iterable[bytes], now: int) -> str:
    """The same, of a body that comes in pieces."""
    mac = hmac.new(secret.encode(), f"{now}.{method}.{target}.".encode(), hashlib.sha256)
    for piece in pieces:
        mac.update(piece)
    return f"t={now},v1={mac.hexdigest()}"


def verify(
    header: str,
    secret: str,
    method: str,
    target: str,
    body: bytes,
    now: float,
    window: int = WINDOW_S,
) -> bool:
    """Whether ``header`` proves that who knows ``secret`` sent this request just now.

    ``now`` is the receiver's time in seconds since 1970 UTC. A request that is older or newer than
    ``window`` seconds is refused: somebody may have kept it to send it again. Within the window the
    receiver drops what it has seen. The comparison takes the same time for every wrong value.
    """
    found = _FORM.fullmatch(header.strip())
    if found is None:
        return False
    at, mac = found.groups()
    right = hmac.compare_digest(mac, _mac(secret, method, target, body, at))
    return right and abs(now - int(at)) <= window


def _mac(secret: str, method: str, target: str, body: bytes, at: str) -> str:
    signed = f"{at}.{method}.{target}.".encode() + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
