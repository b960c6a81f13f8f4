"""The media store under any order of puts, commits that fail, collections and crashes, with other
nodes acting in the middle of each step on the folder."""

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from smsgw.media import Folder

CONTENTS = (b"red", b"green")
DIGESTS = {content: sha256(content).hexdigest() for content in CONTENTS}
OLD = 1_000_000.0  # long before the grace
OTHERS = ("kill", "put", "message", "collect", "start")
STEPS = ("rename", "unlink", "utime", "stat", "fsync", "link", "open")  # of os, on the folder
MOST = 12  # steps of one operation


class Killed(BaseException):
    """kill -9: not even ``finally`` does anything to the folder any more."""


class Steps:
    """Lets something happen before the nth step that an operation makes on the folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._real = {name: getattr(os, name) for name in STEPS}
        self._left = -1
        self._happens: Callable[[], None] | None = None
        self._dead = False

    @contextlib.contextmanager
    def before(self, nth: int, happens: Callable[[], None] | None) -> Iterator[None]:
        """``happens`` None kills."""
        self._left, self._happens, self._dead = nth, happens, False
        for name, real in self._real.items():
            setattr(os, name, self._stepping(real))
        try:
            yield
        except Killed:
            pass
        finally:
            self._left = -1
            for name, real in self._real.items():
                setattr(os, name, real)

    def _stepping(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*given: Any, **more: Any) -> Any:
            ours = isinstance(given[0], int) or str(given[0]).startswith(self._folder)
            if self._dead and ours:
                raise Killed
            if self._left >= 0 and ours:
                self._left -= 1
                if self._left < 0:
                    if self._happens is None:
                        self._dead = True
                        raise Killed
                    self._happens()
            return real(*given, **more)

        return step


class MediaMachine(RuleBasedStateMachine):
    """``rows`` are what is committed, ``fresh`` what was put within the grace."""

    def __init__(self) -> None:
        super().__init__()
        memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # fsync costs nothing there
        self.path = Path(mkdtemp(prefix="smsgw-media-", dir=memory))
        self.rows: dict[int, str] = {}  # message -> digest
        self.fresh: set[str] = set()
        self.messages = 0
        self.steps = Steps(self.path)
        self.folder = Folder(self.path)

    @initialize()
    def begin(self) -> None:
        """The first start."""
        self.folder.prepare()

    def teardown(self) -> None:
        shutil.rmtree(self.path)

    def put(self, content: bytes) -> None:
        """Any node's."""
        digest = Folder(self.path).put(content)
        assert digest == DIGESTS[content]
        self.fresh.add(digest)

    def put_together(self) -> None:
        """Those of several messages at once, one of them twice."""
        several = [[CONTENTS[0]], list(CONTENTS)]
        digests = Folder(self.path).put_each(several)
        assert digests == [[DIGESTS[one] for one in contents] for contents in several]
        self.fresh.update(DIGESTS.values())

    def commit(self, digest: str) -> None:
        """A message that refers to it: only what was just put."""
        if digest in self.fresh:
            self.messages += 1
            self.rows[self.messages] = digest

    def put_and_commit(self, content: bytes) -> None:
        """A message from beginning to end; its media can be read at once."""
        self.put(content)
        self.commit(DIGESTS[content])
        assert Folder(self.path).get(DIGESTS[content]) == content

    def meanwhile(self, other: str, content: bytes) -> Callable[[], None] | None:
        """What happens in the middle of an operation; None: it is killed."""
        acts: dict[str, Callable[[], None] | None] = {
            "kill": None,
            "put": lambda: self.put(content),
            "message": lambda: self.put_and_commit(content),
            "collect": self.collect_all,
            "start": lambda: Folder(self.path).prepare(),
        }
        return acts[other]

    others = st.sampled_from(OTHERS)
    contents = st.sampled_from(CONTENTS)
    places = st.integers(0, MOST)

    def collect_all(self) -> None:
        """As ``Collector.collect`` does: asks which are old, which of these are referenced, and
        removes the others."""
        folder = Folder(self.path)
        before = time.time() - 1_800
        old = [digest for digest, at in folder.walk() if at < before]
        free = [digest for digest in old if digest not in self.rows.values()]
        for digest in free:
            folder.remove(digest, before)

    @rule(content=contents, other=others, among=contents, nth=places)
    def a_message_puts(self, content: bytes, other: str, among: bytes, nth: int) -> None:
        """Its media, which are fresh if it was not killed."""
        with self.steps.before(nth, self.meanwhile(other, among)):
            self.put(content)

    @rule(other=others, among=contents, nth=places)
    def messages_put(self, other: str, among: bytes, nth: int) -> None:
        """Theirs at once, which are fresh if it was not killed."""
        with self.steps.before(nth, self.meanwhile(other, among)):
            self.put_together()

    @rule()
    def all_is_committed(self) -> None:
        """The rows of all that was put."""
        for digest in sorted(self.fresh):
            self.commit(digest)

    @rule()
    def an_hour_passes(self) -> None:
        """What is not committed by now never will be: commits have failed, or nodes crashed."""
        self.fresh.clear()
        for file in self.path.glob("*/*"):
            if file.is_file():
                os.utime(file, (OLD, OLD))

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def a_reference_expires(self, data: st.DataObject) -> None:
        """Its time is over."""
        del self.rows[data.draw(st.sampled_from(sorted(self.rows)))]

    @rule(other=others, among=contents, nth=places, later=st.booleans())
    def it_collects(self, other: str, among: bytes, nth: int, later: bool) -> None:
        """While others act, or until it is killed; an hour after what was before, or at once."""
        if later:
            self.an_hour_passes()
        with self.steps.before(nth, self.meanwhile(other, among)):
            self.collect_all()

    @rule(other=others, among=contents, nth=places)
    def a_node_starts(self, other: str, among: bytes, nth: int) -> None:
        """After a crash, or beside others."""
        with self.steps.before(nth, self.meanwhile(other, among)):
            Folder(self.path).prepare()

    @rule()
    def all_is_collected(self) -> None:
        """No file without a row: after a start, an hour, and a collection."""
        self.folder.prepare()
        self.an_hour_passes()
        self.folder.tidy(time.time() - 1_800)
        self.collect_all()
        left = {file.name for file in self.path.glob("*/*")}
        assert left == set(self.rows.values())

    @invariant()
    def no_row_without_its_file(self) -> None:
        """I1: every reference can be read, whatever has happened."""
        for digest in set(self.rows.values()):
            assert sha256(Folder(self.path).get(digest)).hexdigest() == digest


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("operation", ["put", "put together", "collect", "start"])
@pytest.mark.parametrize("before", ["absent", "orphan", "doomed", "referenced"])
def test_nothing_in_between_breaks_a_law(operation: str, other: str, before: str) -> None:
    """The same one by one: each operation on one file, whatever happens before each of its steps;
    then its message is committed."""
    [content, *_] = CONTENTS
    machine = MediaMachine()
    machine.begin()
    operate: dict[str, Callable[[int], None]] = {
        "put": lambda nth: machine.a_message_puts(content, other, content, nth),
        "put together": lambda nth: machine.messages_put(other, content, nth),
        "collect": lambda nth: machine.it_collects(other, content, nth, False),
        "start": lambda nth: machine.a_node_starts(other, content, nth),
    }
    try:
        for nth in range(MOST):
            if before != "absent":
                machine.put(content)
                if before == "referenced":
                    machine.commit(DIGESTS[content])
                machine.an_hour_passes()
            if before == "doomed":
                with machine.steps.before(3, None):
                    machine.collect_all()
            operate[operation](nth)
            machine.no_row_without_its_file()
            machine.collect_all()
            machine.all_is_committed()
            machine.no_row_without_its_file()
            machine.all_is_collected()
            machine.no_row_without_its_file()
            machine.rows.clear()
            machine.all_is_collected()
    finally:
        machine.teardown()


TestMediaMachine = MediaMachine.TestCase
TestMediaMachine.settings = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
