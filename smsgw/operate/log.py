"""The log: lines of text or of JSON, from a level up.

In JSON what an event is about is in fields of its own beside the text: ``message_id``, ``account``,
``carrier`` and whatever else it names.
"""

import sys
import time
from collections.abc import Callable
from typing import TextIO

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    formatEvent,
    textFileLogObserver,
)

from smsgw import trace
from smsgw.config import Log

# Settings and file of ``observer``, which twistd calls without arguments; set by ``tap.Options``.
chosen: tuple[Log, str | None] = (Log(), None)


_FIELD = 200  # characters of a field; the text has the whole of it
# What Twisted adds to events for its older log.
_NO_FIELDS = frozenset({"time", "message", "isError", "system", "format", "why", "traceback"})


def observer() -> ILogObserver:
    """An observer as ``chosen`` says; the file None or "-" is standard output."""
    settings, file = chosen
    # The file stays open as long as the process.
    out = sys.stdout if file in (None, "", "-") else open(str(file), "a")  # noqa: SIM115
    lines: ILogObserver = (
        _json_observer(out)  # type: ignore[assignment]
        if settings.format == "json"
        else textFileLogObserver(out)
    )
    level = LogLevel.lookupByName(settings.level)
    trace.on = level is LogLevel.debug
    predicate = LogLevelFilterPredicate(defaultLogLevel=level)
    if level is LogLevel.info:
        # A connection and a look-up for each callback are told at debug only.
        for noisy in ("twisted.web.client", "twisted.names", "twisted.mail"):
            predicate.setLogLevelForNamespace(noisy, LogLevel.warn)
    return FilteringLogObserver(lines, [predicate])


def _json_observer(out: TextIO) -> Callable[[LogEvent], None]:
    encode = msgspec.json.Encoder().encode

    def write(event: LogEvent) -> None:
        level = event.get("log_level")
        line: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(event.get("log_time", 0))),
            "level": level.name if level is not None else "info",
            "from": event.get("log_namespace", ""),
            "text": formatEvent(event),
        }
        for key, value in event.items():
            if key not in line and key not in _NO_FIELDS and not key.startswith("log_"):
                if isinstance(value, str):
                    line[key] = value[:_FIELD]
                elif value is None or isinstance(value, int | float):
                    line[key] = value
        failure = event.get("log_failure")
        if failure is not None:
            line["traceback"] = failure.getTraceback()
        out.write(encode(line).decode() + "\n")
        out.flush()

    return write
