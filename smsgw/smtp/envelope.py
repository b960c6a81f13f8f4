"""A mail as the server hands it on."""

from collections.abc import Callable

from attrs import frozen
from twisted.internet.defer import Deferred

from smsgw.smtp.grammar import Recipient, Sender
from smsgw.smtp.peers import Peer
from smsgw.smtp.replies import Reply
from smsgw.smtp.spool import Spool


@frozen
class Envelope:
    """A mail that has come whole. Its content is there until ``receive`` has answered."""

    id: str  # as in its Received line
    peer: Peer
    address: str  # of the client
    helo: str
    tls: bool
    sender: Sender
    recipients: list[Recipient]
    content: Spool
    received_at: int  # ms


Receive = Callable[[Envelope], Deferred[Reply]]
