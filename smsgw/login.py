"""Who is speaking: the result of a successful login at any edge."""

from attrs import frozen


@frozen
class Login:
    """One credential of one account that has proved itself.

    ``binds`` and ``window`` bound SMPP sessions, ``rate`` is the account's message parts a second
    (0 = unlimited).
    """

    account: str
    credential: str
    kind: str = "smpp"
    binds: int = 1
    window: int = 1
    rate: float = 0.0
    profile: str = "standard"
