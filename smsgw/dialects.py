"""The settings of the dialects.

Key of ``[dialect]`` in the configuration, of ``[account.settings.dialect]`` for one account.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Self

import attrs
from attrs import field, frozen

from smsgw.toml import choice, flag, integer, text

_ROOT = text(40, r"[A-Za-z_][A-Za-z0-9_]*", "a name of letters, digits and _")
_ID_FORMAT = choice("decimal", "hex", "uuid")
_DLR_FORMAT = choice("seconds", "minutes")


def _per_account(metadata: dict[str, Any]) -> dict[str, Any]:
    return {**metadata, "per_account": True}


@frozen
class Dialect:
    """What every dialect's settings can do."""

    def for_account(self, settings: Mapping[str, Any]) -> Self:
        """These settings with those of one account (``account.settings[dialect]``) over them."""
        return attrs.evolve(self, **settings) if settings else self


@frozen
class Aerialink(Dialect):
    """REST and the standard SMPP profile (``spec/aerialink.md``)."""

    # Whether REST is served without TLS: never, always, or to clients of this machine only (E-D5).
    allow_plain_http: bool | str = field(
        default="loopback", metadata=choice(True, False, "loopback")
    )
    # Destinations of one POST /v4/messages.
    max_destinations: int = field(default=100, metadata=_per_account(integer(1, 1000)))
    # Parts of one message; the account's own max_parts bounds it as well.
    max_parts: int = field(default=8, metadata=integer(1, 255))
    # One code for "unknown key" and "wrong secret", and for the other faults of a login.
    fold_auth_errors: bool = field(default=False, metadata=flag())
    # Vendor statuses 0x432 to 0x437 in submit_sm_resp; false: ESME_RSUBMITFAIL (E-D15, E-D16).
    smpp_vendor_status: bool = field(default=True, metadata=flag())
    # Name of the outermost element of answers (E-D9).
    root: str = field(default="aerialink", metadata=_ROOT)
    # A login whose allow-list is empty may come from anywhere instead of nowhere (E-D6).
    open_if_empty: bool = field(default=False, metadata=flag())
    # message_id of SMPP 3.4 sessions: 32 hex digits (E-D28), the UUID form, or decimal.
    id_format: str = field(default="hex", metadata=_per_account(_ID_FORMAT))
    # Dates of receipts: 12 or 10 digits.
    dlr_format: str = field(default="minutes", metadata=_per_account(_DLR_FORMAT))

    def plain_allowed(self, peer: str) -> bool:
        """Whether a client at address ``peer`` may use REST without TLS.

        ``peer`` is "unix" on a unix socket.
        """
        if isinstance(self.allow_plain_http, bool):
            return self.allow_plain_http
        try:
            return ip_address(peer).is_loopback
        except ValueError:
            return peer == "unix"


@frozen
class Link(Dialect):
    """The link SMPP profile (``spec/link-smpp.md``)."""

    # Seconds without traffic after which a session is closed, 0 = never (L-R6, L-D3).
    idle_close_s: int = field(default=300, metadata=integer(0, 86_400))
    # Seconds of silence after which the gateway sends enquire_link, 0 = never (ruling 3).
    enquire_after_s: int = field(default=0, metadata=integer(0, 86_400))
    # message_id of its sessions (L-D24).
    id_format: str = field(default="decimal", metadata=_per_account(_ID_FORMAT))
    # Dates of receipts: 12 digits (L-R23) or 10 (L-R24).
    dlr_format: str = field(default="seconds", metadata=_per_account(_DLR_FORMAT))


DIALECTS: dict[str, type[Dialect]] = {"aerialink": Aerialink, "link": Link}
# Known to the configuration's form, served by a later release: their tables are kept, without
# effect.
UNSERVED = ("ams", "aql", "aaisp", "mm4")


def account_keys(dialect: str) -> dict[str, Any]:
    """Key -> metadata of the settings of ``dialect`` that one account may have of its own."""
    fields = attrs.fields(DIALECTS[dialect])
    return {one.name: one.metadata for one in fields if one.metadata.get("per_account")}
