"""The media store: files by digest, durable before a row refers to them, collected when none does;
and the same in a bucket."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.trial.unittest import TestCase

from smsgw import s3
from smsgw.media import GRACE_S, Collector, Folder, MediaStore, Missing, is_digest, open_media
from smsgw.store import media as rows
from smsgw.store.journal import Changes
from tests.folders import temporary_folder
from tests.journals import a_journal
from tests.running import free_ports

HOUR = 3600.0
ABSENT = "0" * 64
_BAD = sha256(b"bad").hexdigest()


def a_folder(path: Path) -> Folder:
    """A folder that is ready."""
    folder = Folder(path)
    folder.prepare()
    return folder


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """An S3 server of moto on a free port."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "bucket"])
def files(request: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Each kind of store, empty."""
    if request.param == "folder":
        return a_folder(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    address = request.getfixturevalue("endpoint")
    name = f"media-{time.monotonic_ns()}"
    bucket = s3.Bucket(f"s3://{name}/a/b?endpoint={address}", tmp_path)
    bucket.prepare()
    bucket._client.create_bucket(Bucket=name)
    return bucket


def test_what_is_put_is_there_by_its_digest(files: Any) -> None:
    """Whole or in chunks, once however often it is put."""
    octets = os.urandom(300_000)
    digest = files.put(octets)
    assert digest == sha256(octets).hexdigest()
    assert files.put(octets[n : n + 1000] for n in range(0, len(octets), 1000)) == digest
    assert (files.get(digest), files.size(digest)) == (octets, len(octets))
    [(found, at)] = files.walk()
    assert found == digest
    assert abs(at - time.time()) < HOUR


def test_what_is_not_there_is_missing(files: Any) -> None:
    """By both questions; removing it is no fault."""
    for ask in (files.get, files.size):
        with pytest.raises(Missing):
            ask(ABSENT)
    assert not files.remove(ABSENT, time.time() + HOUR)


def test_only_what_is_old_is_removed(files: Any) -> None:
    """What was put since stays."""
    digest = files.put(b"x")
    assert not files.remove(digest, time.time() - HOUR)
    assert files.get(digest) == b"x"
    assert files.remove(digest, time.time() + HOUR)
    assert list(files.walk()) == []


@given(st.text(max_size=70))
def test_no_name_leads_out_of_the_folder(name: str) -> None:
    """I6: only digests are names."""
    assert is_digest(name) == (len(name) == 64 and all(one in "0123456789abcdef" for one in name))


def test_a_name_that_is_no_digest_is_missing(tmp_path: Path) -> None:
    """A path is none."""
    folder = a_folder(tmp_path / "media")
    (tmp_path / "secret").write_text("x")
    with pytest.raises(Missing):
        folder.get("../../secret")


def test_folder_is_of_its_owner_only(tmp_path: Path) -> None:
    """Pictures of people are in it."""
    folder = a_folder(tmp_path / "media")
    digest = folder.put(b"x")
    path = tmp_path / "media" / digest[:2] / digest
    assert path.stat().st_mode & 0o077 == 0
    assert path.parent.stat().st_mode & 0o077 == 0


def test_putting_again_makes_it_new(tmp_path: Path) -> None:
    """So the collector leaves what a message is about to refer to."""
    folder = a_folder(tmp_path)
    digest = folder.put(b"x")
    os.utime(tmp_path / digest[:2] / digest, (0, 0))
    assert [at for _, at in folder.walk()] == [0]
    folder.put(b"x")
    assert not folder.remove(digest, time.time() - HOUR)
    assert folder.get(digest) == b"x"


def test_name_that_somebody_else_wrote_is_made_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1: it may have been renamed and not yet synced; once we know it is durable it is not synced
    again, until it has been removed."""
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real(descriptor)

    ours, other = a_folder(tmp_path), a_folder(tmp_path)
    digest = other.put(b"red")
    folder = digest[:2]
    monkeypatch.setattr(os, "fsync", fsync)
    for content in (b"red", b"red", [b"r", b"ed"]):
        assert ours.put(content) == digest
    assert synced == [folder]
    assert ours.remove(digest, time.time() + HOUR)
    assert other.put(b"red") == digest
    synced.clear()
    assert ours.put(b"red") == digest
    assert synced == [folder]


def test_one_that_cannot_be_kept_harms_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1, I5: of several messages whose media are kept at once, each whose file cannot be made
    durable is told, once for each message that has it, and nothing of it stays; the others' are
    there."""
    folder = a_folder(tmp_path)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        ours = os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(folder.spool))
        if ours and os.pread(descriptor, 3, 0) == b"bad":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    good, bad, both = folder.put_each([[b"good", b"too"], [b"bad"], [b"good", b"bad"]])
    assert isinstance(good, list)
    assert [folder.get(digest) for digest in good] == [b"good", b"too"]
    assert isinstance(bad, OSError)
    assert bad.errno == errno.ENOSPC
    assert both is bad
    assert list(folder.spool.iterdir()) == []
    with pytest.raises(Missing):
        folder.get(_BAD)


def test_many_parts_are_not_all_open_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I5: messages of a hundred parts each take no more than some descriptors of the process."""
    folder = a_folder(tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    most = 0
    real = os.fsync

    def fsync(descriptor: int) -> None:
        nonlocal most
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    several = [[b"%d of %d" % (part, n) for part in range(100)] for n in range(4)]
    found = folder.put_each(several)
    assert found == [[sha256(one).hexdigest() for one in contents] for contents in several]
    assert [folder.get(digest) for digest in found[3]] == several[3]  # type: ignore[union-attr]
    assert 0 < most < 80
    assert len(os.listdir("/proc/self/fd")) <= before


def test_folder_that_cannot_be_made_durable_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I1: a file whose name is not durable is not kept."""
    folder = a_folder(tmp_path)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        if os.readlink(f"/proc/self/fd/{descriptor}") == str(folder.spool.parent / _BAD[:2]):
            raise OSError(errno.EIO, "Input/output error")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    bad, good = folder.put_each([[b"bad"], [b"good"]])
    assert isinstance(bad, OSError)
    assert bad.errno == errno.EIO
    assert good == [sha256(b"good").hexdigest()]


def test_collection_that_was_cut_off_loses_nothing(tmp_path: Path) -> None:
    """What it was about to remove is there again at the next start."""
    folder = a_folder(tmp_path)
    digest = folder.put(b"x")
    path = tmp_path / digest[:2] / digest
    path.rename(path.with_suffix(".doomed"))
    assert a_folder(tmp_path).get(digest) == b"x"


_WRITER = """
import sys
from smsgw.media import Folder
folder = Folder(sys.argv[1])
folder.prepare()
def endless():
    yield b"x" * 100_000
    print("writing", flush=True)
    sys.stdin.read()
folder.put(endless())
"""


def test_kill_in_the_middle_of_a_file_leaves_no_orphan(tmp_path: Path) -> None:
    """kill -9: no name leads to half a file, and what is left is tidied away."""
    writer = subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == b"writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    writer.stdin.close()
    writer.stdout.close()
    folder = a_folder(tmp_path)
    assert list(folder.walk()) == []
    assert len(list(folder.spool.iterdir())) == 1
    folder.tidy(time.time() - HOUR)
    assert len(list(folder.spool.iterdir())) == 1  # another node may be writing it
    folder.tidy(time.time() + 1)
    assert list(folder.spool.iterdir()) == []


class Collecting(TestCase):
    """References and files together."""

    def setUp(self) -> None:
        self.journal = a_journal(self)
        self.path = Path(temporary_folder(self))
        self.store = open_media("", self.path, reactor)
        self.store.start()
        self.addCleanup(self.store.stop)
        self.now = time.time()
        self.clock = Clock()
        self.collector = Collector(self.store, self.journal, self.clock, lambda: self.now)

    def refer(self, message: int, digest: str, until: float) -> None:
        """Commits a reference."""
        row = rows.MediaRow(message, digest, 1, int(until * 1000))
        self.successResultOf(self.journal.commit(Changes(media=[row])))

    async def there(self) -> set[str]:
        """All digests in the store."""
        return set(await self.store.old(self.now + 100 * HOUR))

    async def test_unreferenced_files_go_after_the_grace(self) -> None:
        """An hour: before that their message may not be committed yet."""
        kept, orphan = await self.store.put(b"kept"), await self.store.put(b"orphan")
        self.refer(1, kept, self.now + 30 * 24 * HOUR)
        await self.collector.collect()
        assert await self.there() == {kept, orphan}
        self.now += GRACE_S + 1
        await self.collector.collect()
        assert await self.there() == {kept}
        assert await self.store.get(kept) == b"kept"
        assert self.collector.removed == 1

    async def test_references_end_and_their_files_with_the_last(self) -> None:
        """Two messages share a picture; it goes with the second."""
        digest = await self.store.put(b"shared")
        self.refer(1, digest, self.now + 2 * HOUR)
        self.refer(2, digest, self.now + 4 * HOUR)
        self.now += 3 * HOUR
        await self.collector.collect()
        assert await self.there() == {digest}
        assert rows.of_message(self.journal.connection, 1) == []
        assert [one.digest for one in rows.of_message(self.journal.connection, 2)] == [digest]
        self.journal.connection.rollback()
        self.now += 2 * HOUR
        await self.collector.collect()
        assert await self.there() == set()

    async def test_start_collects_what_a_crash_left(self) -> None:
        """Alone in its store, without the grace; what is put from then on stays, and the clock
        collects again."""
        kept, orphan = await self.store.put(b"kept"), await self.store.put(b"orphan")
        self.refer(1, kept, self.now + 30 * 24 * HOUR)
        self.now = time.time() + 10
        self.collector.start()
        await self.collector.stop()
        assert await self.there() == {kept}
        assert orphan not in await self.there()

    async def test_collection_that_fails_is_made_up_for(self) -> None:
        """A store that is not reached is no bug of ours, and an hour later it is there again."""
        orphan = await self.store.put(b"nobody's")
        self.now = time.time() + 3 * HOUR
        old = self.store.old

        def away(before: float) -> Any:
            raise OSError("not reached")

        self.store.old = away  # type: ignore[method-assign]
        self.collector.start()
        await self.collector.stop()
        self.store.old = old  # type: ignore[method-assign]
        assert await self.there() == {orphan}
        self.collector.start()
        await self.collector.stop()
        assert await self.there() == set()

    async def test_reference_is_of_the_transaction_of_its_message(self) -> None:
        """I3: changes that fail leave no row."""
        digest = await self.store.put(b"x")
        row = rows.MediaRow(1, digest, 1, 2)
        bad = Changes(media=[row], entries=[("no", "entry")])
        self.failureResultOf(self.journal.commit(bad))
        assert rows.referenced(self.journal.connection, [digest]) == set()
        self.journal.connection.rollback()

    async def test_many_messages_refer_in_one_transaction(self) -> None:
        """References of merged changes are all there, and asked for in one go."""
        changes = [rows.MediaRow(n, f"{n:064x}", 1, 10**13) for n in range(300)]
        self.successResultOf(self.journal.commit(Changes(media=list(changes))))
        asked = [one.digest for one in changes] + ["f" * 64]
        found = rows.referenced(self.journal.connection, asked[:500])
        assert found == {one.digest for one in changes}
        self.journal.connection.rollback()

    async def test_several_are_put_at_once(self) -> None:
        """Their digests are in their order; one that cannot be kept fails all."""
        contents = [b"red", b"green", b"red"]
        digests = await self.store.put_all(contents)
        assert digests == [sha256(one).hexdigest() for one in contents]
        assert [await self.store.get(one) for one in digests] == contents
        (self.path / sha256(b"blue").hexdigest()[:2]).rmdir()
        with pytest.raises(OSError, match="No such file"):
            await self.store.put_all([b"red", b"blue"])

    def test_store_that_is_not_started_says_so(self) -> None:
        """It is a bug of ours."""
        with pytest.raises(RuntimeError, match="not started"):
            MediaStore(Folder(self.path), reactor).put(b"x")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://bucket/x", "s3://bucket/prefix"),
        ("s3://", "s3://bucket/prefix"),
        ("s3://b?key=1", "key is no option"),
        ("s3://b?endpoint=ftp://x", "must begin with http"),
    ],
)
def test_url_that_names_no_bucket(url: str, why: str) -> None:
    """It is told what is wrong."""
    with pytest.raises(s3.Unusable, match=why):
        s3.parse(url)


def test_store_that_says_no_is_told_as_a_disk_would_be(
    endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Issue 6, a folder or S3 behind one interface: OSError, so that the message waits."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    bucket = s3.Bucket(f"s3://nobody-made-it?endpoint={endpoint}")
    bucket.prepare()
    for ask in (
        lambda: bucket.put(b"x"),
        lambda: bucket.get(ABSENT),
        lambda: bucket.read(ABSENT, 0, 1),
        lambda: list(bucket.walk()),
    ):
        with pytest.raises(OSError, match=r"bucket nobody-made-it: .*NoSuchBucket"):
            ask()


def test_store_that_is_not_reached_is_told_as_a_disk_would_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Issue 6: whatever is asked of it, and never that media are missing."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setattr(s3, "_ATTEMPTS", 1)
    bucket = s3.Bucket(f"s3://away?endpoint=http://127.0.0.1:{free_ports(1)[0]}")
    bucket.prepare()
    for ask in (
        lambda: bucket.put(b"x"),
        lambda: bucket.get(ABSENT),
        lambda: bucket.read(ABSENT, 0, 1),
        lambda: bucket.size(ABSENT),
        lambda: bucket.remove(ABSENT, time.time()),
        lambda: list(bucket.walk()),
    ):
        with pytest.raises(OSError, match="bucket away: "):
            ask()


def test_url_of_a_bucket() -> None:
    """Bucket, prefix, options."""
    assert s3.parse("s3://b/a/c/?region=x") == ("b", "a/c/", {"region": "x"})
    assert s3.parse("s3://b") == ("b", "", {})
