"""A mail to be sent, and what became of each recipient, as values."""

from collections.abc import Callable, Sequence
from enum import Enum

from attrs import frozen
from twisted.internet.defer import Deferred

_TEXT = 200  # characters of an answer that are kept


class Result(Enum):
    """How it went."""

    DELIVERED = "delivered"
    TEMPORARY = "temporary"  # it may be tried again
    PERMANENT = "permanent"


@frozen
class Outcome:
    """What became of one recipient; ``code`` is an SMTP one, 0 if it did not come so far.
    ``limit`` is how many octets the server takes, where the mail has more; else 0."""

    result: Result
    code: int
    text: str
    limit: int = 0

    @property
    def words(self) -> str:
        """In short, for logs and reports."""
        return f"SMTP {self.code}" if self.code else self.text


@frozen
class Mail:
    """One mail. ``content`` has lines with CR LF; if it is not ASCII and the server takes no 8-bit
    mail, ``seven_bit`` makes the same without."""

    sender: str
    recipients: Sequence[str]
    content: bytes
    seven_bit: Callable[[], bytes] | None = None


class Job:
    """One mail that is being sent; ``done`` fires with the outcome of each recipient."""

    def __init__(self, mail: Mail) -> None:
        self.mail = mail
        self.answered = False  # the server has said something to it
        self.again = False  # it was given to a second connection, after the first was found dead
        self.done: Deferred[dict[str, Outcome]] = Deferred()

    def end(self, outcomes: dict[str, Outcome]) -> None:
        """Tells what became of it."""
        if not self.done.called:
            self.done.callback(outcomes)

    def end_all(self, outcome: Outcome) -> None:
        """The same for all recipients."""
        self.end(dict.fromkeys(self.mail.recipients, outcome))


def temporary(words: str) -> Outcome:
    """Not so far that there is a code."""
    return Outcome(Result.TEMPORARY, 0, words)


def outcome_of(code: int, text: bytes | str) -> Outcome:
    """What an SMTP answer means."""
    said = text.decode("latin-1") if isinstance(text, bytes) else text
    said = "".join(one if one.isprintable() else " " for one in said[:_TEXT])
    if 200 <= code < 300:
        return Outcome(Result.DELIVERED, code, said)
    return Outcome(Result.PERMANENT if 500 <= code < 600 else Result.TEMPORARY, code, said)
