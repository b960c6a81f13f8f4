"""Reading what is only shown, in the words of an operator if the store does not answer."""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from smsgw.operate.operator import Unavailable
from smsgw.store.journal import Journal, StoreFailed

T = TypeVar("T")


async def look(journal: Journal, function: Callable[[Connection], T]) -> T:
    """What ``function`` reads. Raises Unavailable."""
    try:
        return await journal.view(function)
    except DBAPIError as error:
        raise Unavailable(f"store: {error.orig}; mend that and ask again") from None
    except StoreFailed as error:
        raise Unavailable(f"store: {error}; mend that and ask again") from None
