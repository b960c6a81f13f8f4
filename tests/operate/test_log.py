"""The log: from a level up, as text or as JSON, one event a line."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from twisted.logger import ILogObserver, Logger
from twisted.python.failure import Failure

from smsgw import trace
from smsgw.config import Log
from smsgw.message import Message
from smsgw.operate import log


def observed(settings: Log, monkeypatch: pytest.MonkeyPatch, file: Path | None) -> ILogObserver:
    monkeypatch.setattr(trace, "on", False)
    monkeypatch.setattr(log, "chosen", (settings, str(file) if file else None))
    return log.observer()


def a_logger(observer: Any) -> Logger:
    return Logger("smsgw.test", observer=observer)


@pytest.fixture
def lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Logs by a function of a logger, and gives the lines written."""

    def write(settings: Log, speak: Any) -> list[str]:
        file = tmp_path / "smsgw.log"
        speak(a_logger(observed(settings, monkeypatch, file)))
        return file.read_text().splitlines()

    return write


def each_level(logger: Logger) -> None:
    logger.debug("one")
    logger.info("two")
    logger.warn("three")
    logger.error("four")
    logger.critical("five")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    ("level", "written"), [("debug", 5), ("info", 4), ("warn", 3), ("error", 2)]
)
def test_a_level_is_the_least_that_is_written(
    lines: Any, form: str, level: str, written: int
) -> None:
    """In both forms what is below the level is left out."""
    assert len(lines(Log(level=level, format=form), each_level)) == written


def test_text_tells_time_origin_and_words(lines: Any) -> None:
    """As people read it."""
    [line] = lines(Log(), lambda logger: logger.info("link {name} is up", name="north"))
    assert line.endswith("[smsgw.test#info] link north is up")


def test_json_is_an_object_a_line(lines: Any) -> None:
    """Time in UTC, level, origin and text."""
    settings = Log(format="json")
    [line] = lines(settings, lambda logger: logger.warn("link {name} is down", name="nörth"))
    event = json.loads(line)
    assert event.pop("time").endswith("Z")
    assert event.pop("name") == "nörth"
    assert event == {"level": "warn", "from": "smsgw.test", "text": "link nörth is down"}


def test_json_has_what_an_event_is_about_in_fields(lines: Any) -> None:
    """Message, account and carrier can be searched for; long ones are cut, objects left out."""

    def speak(logger: Logger) -> None:
        fields: dict[str, Any] = {"message_id": "7", "account": "a", "carrier": "north"}
        logger.error("lost", **fields, why="x", long="y" * 300, number=3, thing=object(), text=9)

    event = json.loads(lines(Log(format="json"), speak)[0])
    assert (event["message_id"], event["account"], event["carrier"]) == ("7", "a", "north")
    assert (len(event["long"]), event["number"], event["text"]) == (200, 3, "lost")
    assert "thing" not in event


def test_messages_are_traced_at_debug_only(lines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step of a message with its id; at other levels nobody even asks."""

    def speak(logger: Logger) -> None:
        monkeypatch.setattr(trace, "_log", logger)
        if trace.on:
            trace.say("sent", Message("1", "2", id=7, account="acme"), carrier="north", part=1)

    assert lines(Log(format="json"), speak) == []
    event = json.loads(lines(Log(level="debug", format="json"), speak)[0])
    assert event["text"] == "message 7 sent carrier=north part=1"
    assert (event["message_id"], event["account"], event["carrier"]) == ("7", "acme", "north")


def test_json_has_the_traceback_of_a_failure(lines: Any) -> None:
    """In the same line, so that nothing tears it apart."""

    def fail(logger: Logger) -> None:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            logger.failure("settle", Failure())

    [line] = lines(Log(format="json"), fail)
    event = json.loads(line)
    assert (event["level"], event["text"]) == ("critical", "settle")
    assert "ZeroDivisionError" in event["traceback"]


@pytest.mark.parametrize("form", ["text", "json"])
def test_nobody_can_write_a_line_of_their_own(lines: Any, form: str) -> None:
    """A line end in what a peer sent does not begin a new event."""

    def speak(logger: Logger) -> None:
        logger.info("esme {name}", name="x\n2027-01-15T08:00:00+0000 [smsgw#info] forged")

    first, *rest = lines(Log(format=form), speak)
    assert "esme x" in first
    assert all(line.startswith("\t") for line in rest)
    assert form == "text" or not rest


def test_a_log_is_added_to(lines: Any) -> None:
    """A restart keeps what was written before."""
    lines(Log(), each_level)
    assert len(lines(Log(), each_level)) == 8


@pytest.mark.parametrize("file", [None, "-"])
def test_without_a_file_it_is_standard_output(
    file: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "-" and nothing are the same."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(trace, "on", False)
    monkeypatch.setattr(log, "chosen", (Log(format="json"), file))
    a_logger(log.observer()).info("hello")
    assert json.loads(out.getvalue())["text"] == "hello"
