"""The broker's queues: what they are called, and what kind they are.

Carriers and accounts have quorum queues, which outlive a node of the broker. Those of targets are
many and seldom used: they go when nobody has used them for an hour, and one node at a time consumes
each, for the order of its entries.
"""

import re
from hashlib import sha256

from smsgw.amqp.topology import Queue

PREFIX = "smsgw."
PARKED = PREFIX + "parked"  # what is no batch
NOBODY = PREFIX + "nobody"  # is never made: what is published there comes back
_UNUSED_MS = 3600_000


def form_of(queue: str, before: str = "") -> Queue:
    """The broker's queue for one of ours; ``before`` is put before its name."""
    kind, _, name = queue.partition(":")
    target = kind == "target"
    if target:
        # Names of targets may be long, and hold what is secret.
        account = name.partition(" ")[0]
        name = f"{account}.{sha256(queue.encode()).hexdigest()[:32]}"
    elif not re.fullmatch(r"[!-~]{1,200}", name):
        name = sha256(queue.encode()).hexdigest()
    return Queue(
        f"{before}{PREFIX}{kind}.{name}",
        dead_letters="",
        dead_letter_key=before + PARKED,
        single_active=target,
        expires_ms=_UNUSED_MS if target else 0,
    )
