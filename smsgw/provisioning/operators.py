"""The form of an operator: who may use the admin API without the unix socket, and for what."""

from attrs import define, field

from smsgw.provisioning.values import NAME
from smsgw.toml import choice, text

ROLES = ("viewer", "operator", "admin")


@define
class Operator:
    """A token of the admin API. Of the token only the SHA-256 is kept: it is 256 random bits.

    A viewer sees, an operator also sends, cancels, retries and tops up, an admin also provisions.
    """

    name: str = field(metadata=NAME)
    token_hash: str = field(
        repr=False,
        metadata=text(64, r"[0-9a-f]{64}", 'what "smsgw token" prints: 64 hex digits'),
    )
    role: str = field(default="viewer", metadata=choice(*ROLES))
