"""Dead letters as operators see them, and what operators may ask of them."""

from typing import Protocol

from attrs import define

from smsgw.flow.dead import Which

PAGE = 1_000  # dead letters that are shown at once
IDS = 500  # ids that one request may name


@define
class DeadView:
    """A dead letter. ``queue`` is where it waited, without what may be secret in its URL."""

    id: int
    queue: str
    event: str  # "mo", "receipt", "progress"
    message: str  # its id, decimal
    attempts: int
    at: int  # when it was given up, ms since 1970 UTC
    reason: str


class DeadOperator(Protocol):
    """What operators may ask of dead letters."""

    async def page(self, which: Which, after: int) -> list[DeadView]:
        """The first PAGE with an id above ``after``, the oldest first."""

    async def put_back(self, which: Which) -> int:
        """Puts them back to their queues, as if they had never been tried; how many."""

    async def drop(self, which: Which) -> int:
        """Removes them; how many."""
