"""What happens to each message, for the log at its level debug.

Whoever tells asks ``on`` first, so that it costs one test where nobody listens.
"""

from typing import Any

from twisted.logger import Logger

_log = Logger("smsgw.trace")

on = False


def say(what: str, message: Any, **more: object) -> None:
    """A line about ``message``: ``what`` happened, such as "sent"; ``more`` are fields of it."""
    words = " ".join([what, *(f"{name}={value}" for name, value in more.items())])
    _log.debug(
        "message {message_id} {words}",
        message_id=str(message.id),
        account=message.account,
        words=words,
        what=what,
        **more,
    )
