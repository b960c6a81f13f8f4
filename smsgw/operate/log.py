"""The log: lines of text or of JSON, from a level up."""

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

from smsgw.config import Log

# Settings and file of ``observer``, which twistd calls without arguments; set by ``tap.Options``.
chosen: tuple[Log, str | None] = (Log(), None)


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
    return FilteringLogObserver(lines, [LogLevelFilterPredicate(defaultLogLevel=level)])


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
        failure = event.get("log_failure")
        if failure is not None:
            line["traceback"] = failure.getTraceback()
        out.write(encode(line).decode() + "\n")
        out.flush()

    return write
