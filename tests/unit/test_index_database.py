"""The index's file: kept, shared between processes, thrown away when it is damaged, done without in need."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from regfs.errors import IndexFileError, StoreAwayError, UnreadableError
from regfs.graph.index import Need, ReferenceIndex, State
from regfs.graph.index.database import BELOW_CACHE, Database
from regfs.graph.index.tags import count_tags
from regfs.registry import open_local
from regfs.storage import Entry, FileStat, LocalStorage
from tests.builder import StoreBuilder
from tests.conftest import cannot_run, need, output
from tests.unit.fakes import CountingStore

#: What a process does that has an index of its own: argv is the store, the cache, and where it is to stop.
PROCESS = """
import os, pathlib, sys, time
from regfs.graph.index import ReferenceIndex
from regfs.registry import open_local

def wait():
    print("here", flush=True)
    sys.stdin.readline()

def progress(what, done, total):
    if what == stop:
        wait()

_, path, cache, stop = sys.argv
index = ReferenceIndex(open_local(path), path, pathlib.Path(cache), ttl=0, progress=progress)
if stop == "begin":
    wait()
with index.snapshot() as snapshot:
    print(snapshot.row("SELECT count(*) FROM held")[0])
"""


@pytest.fixture(autouse=True)
def small(store: StoreBuilder) -> None:
    """Two images that share a layer, and an orphan."""
    shared = store.layer({"a": b"shared"})
    store.image("team/app", "1.0", [shared, store.layer({"a": b"1"})])
    store.image("other", "latest", [shared])
    store.blob(b"orphan")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe every stamp: nothing was written to the store within a tick of the clock."""
    monkeypatch.setattr("regfs.graph.index.update._TICK", 0)
    time.sleep(0.02)


@contextmanager
def opened(store: StoreBuilder, cache: Path | None, **more: object) -> Iterator[ReferenceIndex]:
    local = open_local(str(store.v2))
    index = ReferenceIndex(local, str(store.v2), cache, ttl=0, **more)  # type: ignore[arg-type]
    try:
        yield index
    finally:
        index.close()
        local.close()


@contextmanager
def counted(store: StoreBuilder, cache: Path) -> Iterator[tuple[ReferenceIndex, CountingStore]]:
    local = open_local(str(store.v2))
    counting = CountingStore(local)
    index = ReferenceIndex(counting, str(store.v2), cache, ttl=0)
    try:
        yield index, counting
    finally:
        index.close()
        local.close()


def states(index: ReferenceIndex) -> dict[str, State]:
    """Ask the index for the state of each stored blob; the store is looked at before."""
    index.refresh()
    with index.snapshot() as snapshot:
        rows = snapshot.rows(
            "SELECT digest, state FROM blob LEFT JOIN held ON blob = id WHERE size IS NOT NULL"
        )
        return {digest: State(state or State.ORPHANED) for digest, state in rows}


def truth(store: StoreBuilder) -> dict[str, State]:
    """Tell the states in a store of which everything but the orphan is tagged."""
    orphan = store.blob(b"orphan").digest
    digests = [f"sha256:{path.parent.name}" for path in store.v2.glob("blobs/*/*/*/data")]
    return {digest: State.ORPHANED if digest == orphan else State.TAGGED for digest in digests}


def directory(cache: Path) -> Path:
    """Give the directory of the one store's index."""
    (found,) = (cache / BELOW_CACHE).iterdir()
    return found


def index_file(cache: Path) -> Path:
    """Give the one file of an index."""
    (found,) = directory(cache).glob("*.sqlite")
    return found


def only_the_index_remains(cache: Path) -> bool:
    names = sorted(path.name for path in directory(cache).iterdir())
    return names == sorted([index_file(cache).name, "current", "lock"])


# --- read --------------------------------------------------------------------------------------------

#: Has a store read by so many processes with so many threads; prints the states of its blobs.
READERS = """
import pathlib, sys
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.readers import Readers
from regfs.registry import open_local

_, path, cache, processes, threads = sys.argv
ReferenceIndex._readers = lambda self, much: Readers(int(processes), int(threads))
index = ReferenceIndex(open_local(path), path, pathlib.Path(cache), ttl=60)
index.refresh(thorough=True)
with index.snapshot() as snapshot:
    for digest, state in snapshot.rows(
        "SELECT digest, coalesce(state, 3) FROM blob LEFT JOIN held ON blob = id WHERE size IS NOT NULL"
    ):
        print(digest, state)
    print(snapshot.row("SELECT count(*) FROM finding")[0])
"""


@pytest.mark.parametrize(("processes", "threads"), [(1, 1), (3, 1), (1, 8), (3, 4)])
def test_whoever_reads_the_index_says_the_same(
    store: StoreBuilder, cache: Path, processes: int, threads: int
) -> None:
    for number in range(40):
        store.image(f"many/{number % 3}", f"v{number}", [store.layer({"number": b"%d" % number})])
    command = (sys.executable, "-c", READERS, store.v2, cache, str(processes), str(threads))
    *told, findings = output(*command).splitlines()
    assert {line.split()[0]: State(int(line.split()[1])) for line in told} == truth(store)
    assert len(told) > 80
    assert findings == "0"


class Dying(LocalStorage):
    """A store whose files can no more be read, one by one and all together."""

    dead = False

    def list(self, path: str) -> list[Entry]:
        self._live(path)
        return super().list(path)

    def stat(self, path: str, below: str = "") -> FileStat:
        self._live(path)
        return super().stat(path, below)

    def stamps(self, paths: Iterable[str]) -> Sequence[int]:
        return [0 for _ in paths] if self.dead else super().stamps(paths)

    def _live(self, path: str) -> None:
        if self.dead:
            raise UnreadableError(path, "Input/output error", errno.EIO, denied=False)


def test_a_pass_over_a_store_that_died_changes_nothing(
    store: StoreBuilder, cache: Path, settled: None
) -> None:
    local = Dying(str(store.v2))
    with closing(local), closing(ReferenceIndex(local, str(store.v2), cache, ttl=0)) as index:
        want = truth(store)
        assert states(index) == want
        when = index.changed()
        local.dead = True
        for thorough in (False, True):
            with pytest.raises(StoreAwayError, match="cannot be read any more"):
                index.refresh(thorough=thorough)
        local.dead = False
        assert states(index) == want
        assert index.changed() == when


# --- kept --------------------------------------------------------------------------------------------


def test_a_second_index_reads_nothing_again(store: StoreBuilder, cache: Path, settled: None) -> None:
    with opened(store, cache) as index:
        assert index.refresh().first
        first = states(index)
    with counted(store, cache) as (index, counting):
        done = index.refresh()
        assert (done.first, done.changed) == (False, False)
        assert states(index) == first == truth(store)
        assert [counting.count(call) for call in ("read", "examine", "open", "find")] == [0, 0, 0, 0]
        assert {path for call, path in counting.calls if call == "list"} == {"", "blobs", "blobs/sha256"}


def test_what_is_read_again_because_it_is_young_is_no_change(store: StoreBuilder, cache: Path) -> None:
    store.image("team/app", "sha512", [store.sha512_layer("team/app", b"layer", "x/y")])
    store.upload("team/app", b"cut short")
    with opened(store, cache) as index:
        assert index.refresh().changed
        assert not index.refresh().changed


@pytest.mark.parametrize("way", ["a manifest named as a layer", "a layer that is referred to", "sha512"])
def test_what_a_tag_leads_to_is_tagged_whatever_stands_on_the_way(
    store: StoreBuilder, cache: Path, way: str
) -> None:
    if way == "sha512":
        layer = store.sha512_layer("team/outer", b"stored by sha256", "application/octet-stream")
    elif way == "a manifest named as a layer":
        layer = store.image("team/inner")
    else:
        layer = store.layer({"subject": b""})
        store.image("team/outer", None, [store.layer({"signature": b""})], subject=layer.descriptor())
    store.image("team/outer", "1.0", [layer])
    with opened(store, cache) as index:
        assert states(index) == truth(store)


def test_only_what_changed_is_read_again(store: StoreBuilder, cache: Path, settled: None) -> None:
    with opened(store, cache) as index:
        index.refresh()
    time.sleep(0.02)
    manifest = store.image("other", "new", [store.layer({"a": b"new"})])
    with counted(store, cache) as (index, counting):
        assert states(index) == truth(store)
        assert {path for call, path in counting.calls if call == "examine" and "blobs/" in path} == {
            str(store.data(manifest.digest).relative_to(store.v2))
        }
        for call in ("read", "examine", "find", "list"):
            assert counting.count(call, "team") == 0


def test_a_manifest_is_read_once_even_if_no_stamp_is_believed_yet(store: StoreBuilder, cache: Path) -> None:
    with counted(store, cache) as (index, counting):
        index.refresh()
        assert counting.count("examine", "blobs/") == 2
        index.refresh()
        assert counting.count("examine", "blobs/") == 2


def test_a_thorough_refresh_looks_at_every_blob_and_reads_no_manifest_again(
    store: StoreBuilder, cache: Path, settled: None
) -> None:
    with opened(store, cache) as index:
        index.refresh()
    with counted(store, cache) as (index, counting):
        index.refresh(thorough=True)
        shards = {path.parent.parent for path in store.v2.glob("blobs/*/*/*/data")}
        assert counting.count("find", "blobs/") == len(shards)
        assert counting.count("examine", "blobs/") == 0


def test_the_indexes_of_two_stores_lie_side_by_side(store: StoreBuilder, cache: Path, tmp_path: Path) -> None:
    another = StoreBuilder(tmp_path / "another")
    another.image("app", "1.0")
    with opened(store, cache) as index, opened(another, cache) as other:
        assert states(index) == truth(store)
        assert set(states(other).values()) == {State.TAGGED}
        assert states(index) == truth(store)
    assert len(list((cache / BELOW_CACHE).iterdir())) == 2


def test_without_a_cache_directory_nothing_is_kept(store: StoreBuilder, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    with opened(store, None) as index:
        assert states(index) == truth(store)
        store.image("other", "new", [store.layer({"a": b"new"})])
        assert states(index) == truth(store)
    with opened(store, None) as index:
        assert index.refresh().first
    assert {path for path in tmp_path.rglob("*") if "registry" not in path.parts} <= set(before)


def test_nobody_else_may_enter_what_is_made_for_the_index(store: StoreBuilder, cache: Path) -> None:
    before = os.umask(0)
    try:
        with opened(store, cache) as index:
            states(index)
    finally:
        os.umask(before)
    made = [cache, cache / BELOW_CACHE, directory(cache)]
    assert [oct(path.stat().st_mode & 0o777) for path in made] == [oct(0o700)] * 3


def test_many_threads_may_ask_one_index(store: StoreBuilder, cache: Path) -> None:
    found: list[object] = []
    with opened(store, cache) as index:
        threads = [threading.Thread(target=lambda: found.append(states(index))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [truth(store)] * 8


def delete_and_fail(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM blob")
    raise RuntimeError


def test_what_was_written_before_a_failure_is_not_kept(store: StoreBuilder, cache: Path) -> None:
    with opened(store, cache) as index:
        index.refresh()
        with suppress(RuntimeError):
            index.write(delete_and_fail)
        assert states(index) == truth(store)


def test_a_pass_that_was_broken_off_leaves_nothing(store: StoreBuilder, cache: Path) -> None:
    broken_off = True

    def progress(what: str, done: int, total: int) -> None:
        if broken_off and what == "manifests":
            raise KeyboardInterrupt

    with opened(store, cache, progress=progress) as index:
        with pytest.raises(KeyboardInterrupt):
            index.refresh()
        assert [path.name for path in directory(cache).iterdir()] == ["lock"]
        broken_off = False
        assert states(index) == truth(store)


# --- read while it is written ------------------------------------------------------------------------

COUNT = "SELECT count(*) FROM place"


def test_a_reader_sees_what_was_there_when_it_began_and_writes_nothing(tmp_path: Path) -> None:
    with closing(Database(tmp_path, "store")) as database:
        with database.reader() as reader:
            assert reader is None
        with database.changing() as writer:
            writer.execute("INSERT INTO place VALUES ('a', 1)")
            with database.reader() as reader:
                assert reader is None, "the index is not whole yet"
        with database.reader() as first:
            assert first
            with database.changing() as writer:
                writer.execute("INSERT INTO place VALUES ('b', 1)")
                with database.reader() as second:
                    assert second
                    assert second.execute(COUNT).fetchone() == (1,)
            with database.reader() as third:
                assert third
                assert (first.execute(COUNT).fetchone(), third.execute(COUNT).fetchone()) == ((1,), (2,))
            first.execute("CREATE TEMP TABLE mine AS SELECT * FROM place")
            with pytest.raises(sqlite3.OperationalError, match="readonly"):
                first.execute("DELETE FROM place")
        with database.reader() as again:
            assert again
            assert again.execute("SELECT name FROM temp.sqlite_master").fetchall() == []


@pytest.mark.parametrize("gone", ["file", "directory", "version", "machine"])
def test_a_reader_takes_no_file_that_is_gone_or_that_nobody_vouches_for(tmp_path: Path, gone: str) -> None:
    with closing(Database(tmp_path, "store")) as database:
        with database.changing() as writer:
            writer.execute("INSERT INTO place VALUES ('a', 1)")
        if gone == "file":
            index_file(tmp_path).unlink()
        elif gone == "directory":
            output("rm", "-r", tmp_path / BELOW_CACHE)
        else:
            with database.changing() as writer:
                writer.execute(
                    "PRAGMA user_version = 99"
                    if gone == "version"
                    else "UPDATE meta SET value = 'another run'"
                )
        with database.reader() as reader:
            assert reader is None


# --- damaged -----------------------------------------------------------------------------------------


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def overwrite(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def overwrite_all_but_the_first_page(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xa5" * (len(content) - 4096))


def overwrite_the_second_half(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\xa5" * (len(content) - len(content) // 2))


def make_of_another_version(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("DELETE FROM blob")
    connection.commit()
    connection.close()


def make_another_database(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (text)")
    connection.commit()
    connection.close()


def remove(path: Path) -> None:
    path.unlink()


def put_a_directory_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


def name_another(path: Path) -> None:
    (path.parent / "current").write_text("0123456789abcdef.sqlite")


def name_what_lies_elsewhere(path: Path) -> None:
    (path.parent / "current").write_text(f"../{path.parent.name}/{path.name}")


def name_nothing(path: Path) -> None:
    (path.parent / "current").write_bytes(b"\xff\0\n")


DAMAGES = [
    cut,
    empty,
    overwrite,
    overwrite_all_but_the_first_page,
    make_of_another_version,
    make_another_database,
    remove,
    put_a_directory_in_its_place,
    name_another,
    name_what_lies_elsewhere,
    name_nothing,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_index_is_thrown_away_and_built_anew(
    store: StoreBuilder, cache: Path, damage: Callable[[Path], None], settled: None
) -> None:
    with opened(store, cache) as index:
        states(index)
    damage(index_file(cache))
    with opened(store, cache) as index:
        assert states(index) == truth(store)
    assert only_the_index_remains(cache)
    with opened(store, cache) as index:
        assert not index.refresh().first


def test_damage_in_the_middle_is_met_once(store: StoreBuilder, cache: Path, settled: None) -> None:
    """Nobody looks for it; who meets it has it thrown away."""
    with opened(store, cache) as index:
        states(index)
    overwrite_the_second_half(index_file(cache))
    with opened(store, cache) as index:
        with suppress(IndexFileError):
            assert states(index) == truth(store)
        assert states(index) == truth(store)
    with opened(store, cache) as index:
        assert states(index) == truth(store)
    assert only_the_index_remains(cache)


@pytest.mark.parametrize(
    "damage", [cut, empty, overwrite, overwrite_the_second_half, remove], ids=lambda d: d.__name__
)
def test_an_index_that_is_damaged_while_it_is_open_is_built_anew(
    store: StoreBuilder, cache: Path, damage: Callable[[Path], None], settled: None
) -> None:
    with opened(store, cache) as index:
        states(index)
        damage(index_file(cache))
        time.sleep(0.02)
        for number in range(3):
            store.image("other", f"new{number}", [store.layer({"a": b"%d" % number})])
            assert states(index) == truth(store)
    with opened(store, cache) as index:
        assert states(index) == truth(store)
    assert only_the_index_remains(cache)


def test_a_cache_directory_that_goes_away_is_made_again(store: StoreBuilder, cache: Path) -> None:
    with opened(store, cache) as index:
        states(index)
        output("rm", "-r", cache)
        assert states(index) == truth(store)
    assert only_the_index_remains(cache)


def test_a_log_that_belongs_to_another_index_is_passed_over(store: StoreBuilder, cache: Path) -> None:
    with opened(store, cache) as index:
        states(index)
    path = index_file(cache)
    path.with_name(f"{path.name}-wal").write_bytes(os.urandom(40_000))
    with opened(store, cache) as index:
        assert states(index) == truth(store)


# --- nowhere to keep it ------------------------------------------------------------------------------


@pytest.mark.parametrize("below", ["", BELOW_CACHE])
def test_with_a_file_in_the_directorys_place_the_index_is_made_anew_each_time(
    store: StoreBuilder, cache: Path, below: str, caplog: pytest.LogCaptureFixture
) -> None:
    place = cache / below
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("mine")
    for _ in range(2):
        with opened(store, cache) as index:
            assert index.refresh().first
            assert states(index) == truth(store)
            assert not index.refresh().first
    assert place.read_text() == "mine"
    assert "no index can be kept" in caplog.text


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Give a function that mounts a file system of its own: `small_disk("64k")`."""
    if os.geteuid() != 0:
        cannot_run("only root can mount a tmpfs")
    mount, umount = need("mount"), need("umount")
    mounted: list[Path] = []

    def make(size: str) -> Path:
        path = tmp_path / f"disk{len(mounted)}"
        path.mkdir()
        done = subprocess.run(
            [mount, "-t", "tmpfs", "-o", f"size={size}", "none", path],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            cannot_run(f"no tmpfs can be mounted: {done.stderr}")
        mounted.append(path)
        return path

    yield make
    for path in mounted:
        output(umount, "-l", path)


def fill(disk: Path) -> None:
    """Take all room that is left."""
    with (disk / "filler").open("ab", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue


@pytest.fixture
def tagged(store: StoreBuilder) -> None:
    """A hundred images more, for an index of some size."""
    layer = store.blob(b"layer", "x/y")
    for number in range(100):
        store.image("many", f"v{number}", [layer], store.blob(b'{"number": %d}' % number, "x/y"))


@pytest.mark.parametrize("kibibytes", [4, 16, 64])
def test_on_a_disk_that_is_too_small_the_index_is_made_elsewhere(
    store: StoreBuilder, small_disk: Callable[[str], Path], tagged: None, kibibytes: int
) -> None:
    disk = small_disk(f"{kibibytes}k")
    with opened(store, disk / "cache") as index:
        for _ in range(2):
            assert states(index) == truth(store)
            assert not index.refresh().first
    assert list(disk.rglob("*.sqlite*")) == []


@pytest.mark.long
def test_on_a_disk_of_just_the_indexs_size_it_is_made_elsewhere(
    store: StoreBuilder, small_disk: Callable[[str], Path], tagged: None, tmp_path: Path
) -> None:
    """From too small for what is read, over too small for what follows from it, to large enough."""
    with opened(store, tmp_path / "roomy") as index:
        index.refresh()
    pages = index_file(tmp_path / "roomy").stat().st_size >> 12
    kept = []
    for more in range(-4, 40, 2):
        disk = small_disk(f"{(pages + more) * 4}k")
        with opened(store, disk / "cache") as index:
            assert states(index) == truth(store), f"{pages + more} pages"
        kept.append(len(list(disk.rglob("*.sqlite"))))
    assert (kept[0], kept[-1]) == (0, 1)


def test_when_the_disk_fills_up_later_the_index_goes_on(
    store: StoreBuilder, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("2m")
    with opened(store, disk / "cache") as index:
        assert states(index) == truth(store)
        fill(disk)
        for number in range(200):
            store.image("many", f"v{number}", [store.blob(b"layer %d" % number, "x/y")], mtime=number)
        assert states(index) == truth(store)
    (disk / "filler").unlink()
    with opened(store, disk / "cache") as index:
        assert states(index) == truth(store)


def test_when_the_disk_fills_up_between_reading_the_store_and_asking_the_index_is_right(
    store: StoreBuilder, small_disk: Callable[[str], Path], tagged: None
) -> None:
    disk = small_disk("2m")
    with opened(store, disk / "cache") as index:
        index.refresh()
        fill(disk)
        with index.snapshot() as snapshot:
            held = snapshot.row("SELECT count(*) FROM held WHERE state = ?", (State.TAGGED,))
            assert held == (len(truth(store)) - 1,)


def test_on_a_disk_that_became_read_only_the_index_is_made_anew(
    store: StoreBuilder, small_disk: Callable[[str], Path]
) -> None:
    disk = small_disk("2m")
    with opened(store, disk / "cache") as index:
        states(index)
    output(need("mount"), "-o", "remount,ro", disk)
    with opened(store, disk / "cache") as index:
        assert states(index) == truth(store)


# --- several processes -------------------------------------------------------------------------------


def process(store: StoreBuilder, cache: Path, stop: str) -> subprocess.Popen[str]:
    """Start a process that builds or refreshes the index, and wait until it is at `stop`."""
    started = subprocess.Popen(
        [sys.executable, "-c", PROCESS, str(store.v2), str(cache), stop],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout
    assert started.stdout.readline() == "here\n"
    return started


def kill(started: subprocess.Popen[str]) -> None:
    started.send_signal(signal.SIGKILL)
    with started:
        assert started.wait(20) == -signal.SIGKILL


@pytest.fixture
def large(store: StoreBuilder) -> None:
    """Some thousand blobs more, of some hundred images."""
    for number in range(300):
        layers = [store.blob(b"layer %d of %d" % (part, number), "x/y") for part in range(8)]
        config = store.blob(b'{"number": %d}' % number, "application/vnd.oci.image.config.v1+json")
        store.image(f"many/{number % 7}", f"v{number}", layers, config)


@pytest.mark.long
@pytest.mark.parametrize("stop", ["blobs", "manifests", "repositories"])
def test_what_a_killed_first_pass_left_is_swept_away(
    store: StoreBuilder, cache: Path, large: None, stop: str
) -> None:
    kill(process(store, cache, stop))
    left = index_file(cache)
    assert not (directory(cache) / "current").exists()
    with opened(store, cache) as index:
        assert index.refresh().first
        assert states(index) == truth(store)
    assert not left.exists()
    assert only_the_index_remains(cache)


@pytest.mark.long
def test_a_later_pass_that_is_killed_leaves_the_index_as_it_was(
    store: StoreBuilder, cache: Path, large: None
) -> None:
    with opened(store, cache) as index:
        before = states(index)
    kept = index_file(cache)
    for number in range(100):
        store.image("new", f"v{number}", [store.blob(b"new %d" % number, "x/y")], mtime=number)
    kill(process(store, cache, "manifests"))
    connection = sqlite3.connect(kept)
    try:
        assert connection.execute("SELECT count(*) FROM blob WHERE size IS NOT NULL").fetchone() == (
            len(before),
        )
    finally:
        connection.close()
    with opened(store, cache) as index:
        assert not index.refresh().first
        assert states(index) == truth(store)
    assert index_file(cache) == kept


@pytest.mark.long
def test_two_processes_may_build_at_once(store: StoreBuilder, cache: Path, large: None) -> None:
    started = [process(store, cache, "begin") for _ in range(2)]
    for one in started:
        assert one.stdin
        one.stdin.write("go\n")
        one.stdin.flush()
    held = sum(state is State.TAGGED for state in truth(store).values())
    for one in started:
        with one:
            assert one.stdout
            assert (one.stdout.read(), one.wait(60)) == (f"{held}\n", 0)
    # Two that close in the same moment each leave SQLite's log to the other; who comes next removes it.
    with opened(store, cache) as index:
        assert states(index) == truth(store)
    assert only_the_index_remains(cache)


#: What a process does that takes a snapshot each time it is told to; argv is the store and the cache.
READER = """
import pathlib, sys, time
from regfs.graph.index import Need, ReferenceIndex
from regfs.graph.index.tags import count_tags
from regfs.registry import open_local

_, path, cache = sys.argv
index = ReferenceIndex(open_local(path), path, pathlib.Path(cache), ttl=float("inf"))
while True:
    began = time.monotonic()
    with index.snapshot(*Need) as snapshot:
        print(count_tags(snapshot), time.monotonic() - began, flush=True)
    if not sys.stdin.readline():
        break
index.close()
"""


def test_readers_answer_at_once_with_the_state_before_while_a_pass_is_at_work(
    store: StoreBuilder, cache: Path, large: None
) -> None:
    command = [sys.executable, "-c", READER, str(store.v2), str(cache)]
    readers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]

    def answers() -> list[tuple[int, float]]:
        found = []
        for reader in readers:
            assert reader.stdout
            tags, seconds = reader.stdout.readline().split()
            found.append((int(tags), float(seconds)))
        return found

    before = 302
    assert [tags for tags, _ in answers()] == [before, before]
    for number in range(10):
        store.image("new", f"v{number}", [store.blob(b"new %d" % number, "x/y")], mtime=number)
    writer = process(store, cache, "manifests")
    for reader in readers:
        assert reader.stdin
        reader.stdin.write("again\n")
        reader.stdin.flush()
    # The writer holds its lock until it is told to go on: one who waited for it would wait for ever.
    for tags, seconds in answers():
        assert tags == before
        assert seconds < 5
    assert writer.stdin
    writer.stdin.write("go\n" * 20)
    writer.stdin.flush()
    writer.stdin.close()
    with writer:
        assert writer.wait(60) == 0
    for reader in readers:
        assert reader.stdin
        reader.stdin.close()
        with reader:
            assert reader.wait(60) == 0
    with opened(store, cache) as index, index.snapshot() as snapshot:
        assert count_tags(snapshot) == before + 10
    assert only_the_index_remains(cache)


def test_a_snapshot_that_somebody_keeps_holds_up_nobody(store: StoreBuilder, cache: Path) -> None:
    with opened(store, cache) as index, index.snapshot(*Need) as kept:
        store.image("other", "new", [store.layer({"a": b"new"})])
        done: list[dict[str, State]] = []
        thread = threading.Thread(target=lambda: done.append(states(index)))
        thread.start()
        thread.join(60)
        assert done == [truth(store)]
        assert count_tags(kept) == 2
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            kept.connection.execute("DELETE FROM tag")


def test_what_is_costly_is_made_once_for_each_state_of_the_facts(
    store: StoreBuilder, cache: Path, settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    steps = {need: (lambda connection, need=need: made.append(need.value)) for need in Need}
    monkeypatch.setattr("regfs.graph.index.derived._MAKE", steps)
    with opened(store, cache) as index, opened(store, cache) as other:
        for one in (index, other, index):
            with one.snapshot(Need.WEIGHTS, Need.LINKS):
                pass
        assert made == ["weights", "links"]
        store.image("other", "new", [store.layer({"a": b"new"})])
        index.refresh()
        with other.snapshot(Need.LINKS):
            pass
        assert made == ["weights", "links", "links"]


def test_where_nothing_is_kept_many_threads_may_ask(store: StoreBuilder) -> None:
    found: list[object] = []
    with opened(store, None) as index:
        threads = [threading.Thread(target=lambda: found.append(states(index))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [truth(store)] * 4


def test_where_nothing_is_kept_one_thread_may_ask_within_its_own_question(store: StoreBuilder) -> None:
    with opened(store, None) as index, index.snapshot() as outer, index.snapshot(*Need) as inner:
        index.refresh()
        assert count_tags(outer) == count_tags(inner) == 2


@pytest.mark.parametrize("gone", ["directory", "file", "replaced"])
def test_an_index_that_goes_away_while_it_is_believed_is_never_an_empty_one(
    store: StoreBuilder, cache: Path, gone: str
) -> None:
    local = open_local(str(store.v2))
    with closing(local), closing(ReferenceIndex(local, str(store.v2), cache, ttl=float("inf"))) as index:
        with index.snapshot() as snapshot:
            assert count_tags(snapshot) == 2
        if gone == "directory":
            output("rm", "-r", cache)
        elif gone == "file":
            index_file(cache).unlink()
        else:
            (directory(cache) / "current").unlink()
            with closing(Database(cache, str(store.v2))) as empty, empty.changing():
                pass
        with index.snapshot(*Need) as snapshot:
            assert count_tags(snapshot) == 2
    assert only_the_index_remains(cache)


def test_an_index_that_another_process_throws_away_is_opened_anew(store: StoreBuilder, cache: Path) -> None:
    """As a newer regfs does with an older one's, while the older one has it open."""
    with opened(store, cache) as index:
        states(index)
        first = index_file(cache)
        (directory(cache) / "current").unlink()
        with opened(store, cache) as other:
            assert states(other) == truth(store)
        assert index_file(cache) != first
        store.image("other", "new", [store.layer({"a": b"new"})])
        assert states(index) == truth(store)
    assert only_the_index_remains(cache)


def test_what_a_check_hashed_is_carried_over_from_another_version_which_is_left(
    store: StoreBuilder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first design's index lay in `graph`, without a version."""
    store.image("app", "1.0")
    caplog.set_level("INFO")
    with closing(open_local(str(store.v2))) as local:
        with closing(ReferenceIndex(local, local.root, tmp_path, ttl=0.0)) as index:
            index.refresh()
            index.write(lambda db: db.execute("INSERT INTO hashed VALUES ('sha256:00', 1, 2, 'found')"))
        (tmp_path / BELOW_CACHE).rename(tmp_path / "graph")
        before = sorted(path.read_bytes() for path in (tmp_path / "graph").rglob("*.sqlite"))
        with closing(ReferenceIndex(local, local.root, tmp_path, ttl=0.0)) as index:
            assert index.refresh().first
            with index.snapshot() as snapshot:
                assert snapshot.rows("SELECT * FROM hashed") == [("sha256:00", 1, 2, "found")]
    assert sorted(path.read_bytes() for path in (tmp_path / "graph").rglob("*.sqlite")) == before
    assert "the index of another regfs is left" in caplog.text
