"""Who is speaking: the result of a successful login at any edge."""

from attrs import frozen

FOREVER = float("inf")
_NEEDS = {
    "transmitter": ("send",),
    "receiver": ("receive",),
    "transceiver": ("send", "receive"),
}


@frozen
class Login:
    """One credential of one account that has proved itself.

    ``binds`` and ``window`` bound SMPP sessions, ``rate`` is the account's message parts a second
    (0 = unlimited). ``interfaces`` and ``resources`` are its rights (F-6), None being all; they end
    at ``until`` (seconds since 1970), when the account expires.
    """

    account: str
    credential: str
    kind: str = "smpp"
    binds: int = 1
    window: int = 1
    rate: float = 0.0
    profile: str = "standard"
    tag: str = ""  # mark of its messages that have none of their own
    interfaces: frozenset[str] | None = None
    resources: frozenset[str] | None = None
    until: float = FOREVER
    certificate: str = ""  # that the client must show besides; see ``certificates.names_of``
    deliver: str = "deliver_sm"  # or "data_sm": what brings it MO and receipts

    def may(self, resource: str, interface: str) -> bool:
        """True if it may use the resource ("send", "status" ...) by the interface ("rest" ...)."""
        return (self.interfaces is None or interface in self.interfaces) and (
            self.resources is None or resource in self.resources
        )

    def may_bind(self, bind_type: str) -> bool:
        """True if it may have an SMPP session: "transmitter", "receiver" or "transceiver"."""
        return all(self.may(resource, "smpp") for resource in _NEEDS[bind_type])
