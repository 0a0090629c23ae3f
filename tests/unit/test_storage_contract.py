"""What every Storage must do, run against each of them."""

from __future__ import annotations

import errno
import os
import resource
import secrets
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import obstore
import pytest
from obstore.store import MemoryStore as MemoryObjects

from regfs.errors import (
    MissingError,
    StoreAwayError,
    StoreError,
    TooLargeError,
    UnreadableError,
    UnsafeError,
)
from regfs.machine import counts_directories
from regfs.storage import Entry, FileStat, FileType, LocalStorage, Storage
from regfs.storage.objects import Address, Bucket, ObjectStorage, RememberedStorage
from regfs.storage.protocol import Leaf
from tests.objects.conftest import seaweed  # noqa: F401
from tests.objects.server import Seaweed
from tests.unit.memory_store import MemoryStore, Stored
from tests.unit.trees import content_bytes

CONTENT = bytes(range(256)) * 40


class Ground(Protocol):
    """A store to read, and ways to put things in it."""

    store: Storage

    def write(self, path: str, content: bytes, mtime_ns: int = 0) -> None: ...
    def mkdir(self, path: str) -> None: ...
    def symlink(self, path: str, target: str) -> None: ...
    def fifo(self, path: str) -> None: ...
    def remove(self, path: str) -> None: ...


class OnDisk:
    def __init__(self, root: Path, *, follow_symlinks: bool = False) -> None:
        self.root = root
        root.mkdir()
        self.store = LocalStorage(str(root), follow_symlinks=follow_symlinks)

    def write(self, path: str, content: bytes, mtime_ns: int = 0) -> None:
        self.mkdir(path.rpartition("/")[0])
        (self.root / path).write_bytes(content)
        os.utime(self.root / path, ns=(0, mtime_ns))

    def mkdir(self, path: str) -> None:
        (self.root / path).mkdir(parents=True, exist_ok=True)

    def symlink(self, path: str, target: str) -> None:
        self.mkdir(path.rpartition("/")[0])
        (self.root / path).symlink_to(self.root / target)

    def fifo(self, path: str) -> None:
        os.mkfifo(self.root / path)

    def remove(self, path: str) -> None:
        (self.root / path).unlink()


class InMemory:
    def __init__(self, *, follow_symlinks: bool = False) -> None:
        self.store = MemoryStore(follow_symlinks=follow_symlinks)
        self.write = self.store.write
        self.mkdir = self.store.mkdir
        self.remove = self.store.remove

    def symlink(self, path: str, target: str) -> None:
        self.store.put(path, Stored(FileType.SYMLINK, target.encode()))

    def fifo(self, path: str) -> None:
        self.store.put(path, Stored(FileType.OTHER))


class InBucket:
    """Below a prefix of an object store: obstore's own in memory, or a real server."""

    def __init__(self, bucket: Bucket) -> None:
        self.whole = ObjectStorage(bucket, bucket.address.prefix)

    @property
    def store(self) -> Storage:
        return self.whole

    def write(self, path: str, content: bytes, mtime_ns: int = 0) -> None:
        try:
            obstore.put(self.whole.bucket.connected(), self.whole.key(path), content)
        except ValueError as error:
            pytest.skip(f"obstore makes no such key: {type(error).__name__}")

    def mkdir(self, path: str) -> None:
        pytest.skip("an object store has no empty directories")

    def symlink(self, path: str, target: str) -> None:
        pytest.skip("an object store has no symlinks")

    def fifo(self, path: str) -> None:
        pytest.skip("an object store has no FIFOs")

    def remove(self, path: str) -> None:
        obstore.delete(self.whole.bucket.connected(), self.whole.key(path))


class InListing(InBucket):
    """The same, as one listing of it tells, which is made anew whenever something is asked."""

    @property
    def store(self) -> Storage:
        return self.whole.listed("")


class InMemoryOfListings(InBucket):
    """The same, remembered until something is written; with `gather`, all of it is listed before the rest."""

    def __init__(self, bucket: Bucket, *, gather: bool) -> None:
        super().__init__(bucket)
        self._gather = gather
        self._now = 0.0
        self._remembered = RememberedStorage(self.whole, 1.0, lambda: self._now)

    @property
    def store(self) -> Storage:
        if self._gather:
            self._remembered.gather("")
        return self._remembered

    def write(self, path: str, content: bytes, mtime_ns: int = 0) -> None:
        super().write(path, content, mtime_ns)
        self._now += 2

    def remove(self, path: str) -> None:
        super().remove(path)
        self._now += 2


def below_a_bucket(kind: str, bucket: Bucket) -> InBucket:
    if kind == "listed":
        return InListing(bucket)
    if kind in ("remembered", "gathered"):
        return InMemoryOfListings(bucket, gather=kind == "gathered")
    return InBucket(bucket)


#: Object stores: asked each time, by one listing of all, by what is remembered, and by that of all.
_OBJECTS = ("objects", "listed", "remembered", "gathered")


@pytest.fixture(
    params=[
        *("local", "memory", *_OBJECTS),
        *(pytest.param(f"s3 {kind}", marks=pytest.mark.objects) for kind in _OBJECTS),
    ]
)
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    real, _, kind = request.param.rpartition(" ")
    if not real and kind in _OBJECTS:
        yield below_a_bucket(kind, Bucket(Address.parse("s3://memory"), connect=MemoryObjects))
    elif real:
        seaweed: Seaweed = request.getfixturevalue("seaweed")
        with pytest.MonkeyPatch.context() as patch:
            for name, value in seaweed.environment().items():
                patch.setenv(name, value)
            address = Address.parse(f"s3://store/{secrets.token_hex(8)}").reached_by()
            yield below_a_bucket(kind, Bucket(address))
    else:
        yield from grounds(request.param, tmp_path, follow_symlinks=False)


@pytest.fixture(params=["local", "memory"])
def followed(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ground]:
    """A store whose directories may be symlinks."""
    yield from grounds(request.param, tmp_path, follow_symlinks=True)


def grounds(kind: str, tmp_path: Path, *, follow_symlinks: bool) -> Iterator[Ground]:
    if kind == "memory":
        yield InMemory(follow_symlinks=follow_symlinks)
    else:
        on_disk = OnDisk(tmp_path / "store", follow_symlinks=follow_symlinks)
        yield on_disk
        on_disk.store.close()


def test_a_listing_tells_names_and_types_and_follows_no_symlink(ground: Ground) -> None:
    ground.mkdir("d/sub/below")
    ground.write("d/file", b"x")
    ground.symlink("d/link", "d/sub")
    ground.fifo("d/fifo")
    assert sorted(ground.store.list("d")) == [
        Entry("fifo", FileType.OTHER),
        Entry("file", FileType.FILE),
        Entry("link", FileType.SYMLINK),
        Entry("sub", FileType.DIRECTORY),
    ]


def test_the_store_itself_and_an_empty_directory_can_be_listed(ground: Ground) -> None:
    assert ground.store.list("") == []
    ground.mkdir("d")
    assert ground.store.list("") == [Entry("d", FileType.DIRECTORY)]
    assert ground.store.list("d") == []


@pytest.mark.parametrize("name", ["ü", "a\nb", "a\x1b[31m", "a\udcffb", "with space", "x" * 255])
def test_any_name_is_told_and_found_again(ground: Ground, name: str) -> None:
    ground.write(f"d/{name}", b"x")
    assert ground.store.list("d") == [Entry(name, FileType.FILE)]
    assert ground.store.stat(f"d/{name}").size == 1
    assert ground.store.read(f"d/{name}", 1) == b"x"


def test_stat_tells_size_and_time_to_the_nanosecond(ground: Ground) -> None:
    if isinstance(ground, InBucket):
        pytest.skip("nobody can set an object's time")
    ground.write("d/f", CONTENT, mtime_ns=1_700_000_000_123_456_789)
    found = ground.store.stat("d/f")
    assert (found.type, found.size, found.mtime_ns) == (
        FileType.FILE,
        len(CONTENT),
        1_700_000_000_123_456_789,
    )
    assert found.blocks * 512 >= found.size


def test_stat_tells_what_each_thing_is(ground: Ground) -> None:
    ground.mkdir("d")
    ground.symlink("d/link", "d")
    ground.fifo("d/fifo")
    found = {name: ground.store.stat(name).type for name in ("", "d", "d/link", "d/fifo")}
    assert found == {
        "": FileType.DIRECTORY,
        "d": FileType.DIRECTORY,
        "d/link": FileType.SYMLINK,
        "d/fifo": FileType.OTHER,
    }


def test_stat_below_a_known_directory_tells_the_same(ground: Ground) -> None:
    ground.write("a/b/c/f", b"x")
    for below in ("", "a", "a/b", "a/b/c"):
        assert ground.store.stat("a/b/c/f", below) == ground.store.stat("a/b/c/f")


def test_a_file_is_read_up_to_the_limit_and_not_beyond(ground: Ground) -> None:
    ground.write("d/f", b"12345")
    assert ground.store.read("d/f", 5) == b"12345"
    assert ground.store.read("d/f", 1 << 40) == b"12345"
    with pytest.raises(TooLargeError) as caught:
        ground.store.read("d/f", 4)
    assert (caught.value.path, caught.value.got, caught.value.limit) == ("d/f", 5, 4)


def test_an_empty_file_is_read_with_any_limit(ground: Ground) -> None:
    ground.write("d/f", b"")
    assert ground.store.read("d/f", 0) == b""
    assert content_bytes(ground.store.open("d/f")) == b""


def test_an_open_file_is_read_at_any_offset(ground: Ground) -> None:
    ground.write("d/f", CONTENT)
    content = ground.store.open("d/f")
    for offset in (0, 1, 255, 4095, 4096, len(CONTENT) - 1, len(CONTENT), len(CONTENT) + 1, 1 << 40):
        for size in (0, 1, 511, 4096, len(CONTENT) + 5):
            buffer = bytearray(b"\xaa" * size)
            got = content.read_into(memoryview(buffer), offset)
            want = CONTENT[offset : offset + size]
            assert (got, bytes(buffer)) == (len(want), want + b"\xaa" * (size - len(want)))
    content.close()


def test_an_open_file_stays_readable_when_it_is_deleted(ground: Ground) -> None:
    if isinstance(ground, InBucket):
        pytest.skip("an object that is deleted cannot be read: test_objects.py tells what is met")
    ground.write("d/f", CONTENT)
    content = ground.store.open("d/f")
    ground.remove("d/f")
    with pytest.raises(MissingError):
        ground.store.stat("d/f")
    assert content_bytes(content) == CONTENT


@pytest.mark.parametrize("path", ["nothing", "d/nothing", "nothing/at/all"])
def test_what_is_not_there_is_missing(ground: Ground, path: str) -> None:
    ground.write("d/f", b"x")
    for ask in (ground.store.list, ground.store.stat, ground.store.open, lambda p: ground.store.read(p, 9)):
        with pytest.raises(MissingError) as caught:
            ask(path)
        assert caught.value.path == path


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_a_symlink_is_followed_at_no_part_of_a_path(ground: Ground, link: str) -> None:
    ground.write(f"real{'/a/b/c'[len(link) + 1 :]}/f", b"secret")
    ground.symlink(link, "real")
    for ask in (ground.store.stat, ground.store.open, lambda p: ground.store.read(p, 9)):
        with pytest.raises(UnsafeError):
            ask("a/b/c/f")
    with pytest.raises(UnsafeError):
        ground.store.list("a/b/c")


def test_a_symlink_to_a_file_is_not_followed(ground: Ground) -> None:
    ground.write("d/f", b"secret")
    ground.symlink("d/link", "d/f")
    for ask in (ground.store.list, ground.store.open, lambda p: ground.store.read(p, 9)):
        with pytest.raises(UnsafeError):
            ask("d/link")


@pytest.mark.parametrize("what", ["fifo", "directory"])
@pytest.mark.timeout(10)  # to open a FIFO for reading waits for a writer
def test_what_is_no_plain_file_is_not_opened(ground: Ground, what: str) -> None:
    ground.write("d/directory/f", b"x")
    if what == "fifo":
        ground.fifo("d/fifo")
    with pytest.raises(UnsafeError, match="not a file"):
        ground.store.open(f"d/{what}")
    with pytest.raises(UnsafeError, match="not a file"):
        ground.store.read(f"d/{what}", 9)


@pytest.mark.parametrize("what", ["fifo", "file"])
def test_what_is_no_directory_is_neither_listed_nor_passed_through(ground: Ground, what: str) -> None:
    ground.write("d/file", b"x")
    if what == "fifo":
        ground.fifo("d/fifo")
    with pytest.raises(UnsafeError):
        ground.store.list(f"d/{what}")
    # Asked for one key, an object store tells of no other.
    told = (UnsafeError, MissingError) if isinstance(ground, InBucket) else UnsafeError
    for ask in (ground.store.list, ground.store.stat, ground.store.open, lambda p: ground.store.read(p, 9)):
        with pytest.raises(told):
            ask(f"d/{what}/below")


def test_a_name_with_a_nul_byte_is_missing(ground: Ground) -> None:
    ground.write("d/f", b"x")
    for ask in (ground.store.list, ground.store.stat, ground.store.open, lambda p: ground.store.read(p, 9)):
        with pytest.raises(MissingError):
            ask("d/a\0b")


def test_space_tells_of_a_file_system(ground: Ground) -> None:
    space = ground.store.space()
    assert space.fragment_size > 0
    assert space.blocks >= space.blocks_free >= space.blocks_available
    assert space.longest_name > 0


def test_a_file_is_examined_as_it_is_told_and_read(ground: Ground) -> None:
    ground.write("a/b/c/f", b"12345", mtime_ns=1_700_000_000_000_000_001)
    for below in ("", "a", "a/b", "a/b/c"):
        found, content = ground.store.examine("a/b/c/f", 5, below)
        assert (found, content) == (ground.store.stat("a/b/c/f"), b"12345")
    with pytest.raises(TooLargeError) as caught:
        ground.store.examine("a/b/c/f", 4, "a/b")
    assert (caught.value.path, caught.value.got, caught.value.limit) == ("a/b/c/f", 5, 4)


@pytest.mark.parametrize("below", ["", "a", "a/b"])
def test_what_is_not_there_is_not_examined(ground: Ground, below: str) -> None:
    ground.write("a/b/x", b"x")
    for path in ("a/b/f", "a/b/c/f"):
        with pytest.raises(MissingError) as caught:
            ground.store.examine(path, 9, below)
        assert caught.value.path == path


@pytest.mark.parametrize("below", ["", "a", "a/b"])
@pytest.mark.timeout(10)  # to open a FIFO for reading waits for a writer
def test_what_is_no_plain_file_is_not_examined(ground: Ground, below: str) -> None:
    ground.mkdir("a/b/directory")
    ground.fifo("a/b/fifo")
    ground.write("a/b/real/f", b"secret")
    ground.symlink("a/b/link", "a/b/real/f")
    ground.symlink("a/b/linked", "a/b/real")
    for path in ("a/b/directory", "a/b/fifo", "a/b/link", "a/b/linked/f", "a/b/fifo/f"):
        with pytest.raises(UnsafeError):
            ground.store.examine(path, 9, below)


def test_at_a_directory_everything_is_reached_by_shorter_paths(ground: Ground) -> None:
    ground.write("a/b/c/f", CONTENT, mtime_ns=1_700_000_000_000_000_001)
    ground.write("a/b/other/g", b"x")
    for path in ("", "a", "a/b", "a/b/c"):
        rest = "a/b/c/f"[len(path) :].lstrip("/")
        with ground.store.at(path) as below:
            assert sorted(below.list("")) == sorted(ground.store.list(path))
            assert below.stat("") == ground.store.stat(path)
            assert below.stat(rest) == ground.store.stat("a/b/c/f")
            assert below.read(rest, len(CONTENT)) == CONTENT
            assert below.examine(rest, len(CONTENT)) == (ground.store.stat("a/b/c/f"), CONTENT)
            assert content_bytes(below.open(rest)) == CONTENT
            assert below.stamps([rest]) == ground.store.stamps(["a/b/c/f"])
    with ground.store.at("a") as below, below.at("b") as deeper:
        found = deeper.find("", 1, "f")
        assert (len(found), dict(found)) == (2, {"c": deeper.stat("c/f"), "other": None})


def test_at_a_directory_nothing_above_it_is_reached(ground: Ground) -> None:
    ground.write("a/f", b"x")
    ground.write("a/b/g", b"x")
    with ground.store.at("a/b") as below:
        for path in ("f", "a/f", "a/b/g"):
            with pytest.raises(MissingError):
                below.stat(path)
            assert below.stamps([path]) == [0]


def test_nothing_but_a_directory_is_entered(ground: Ground) -> None:
    ground.write("d/f", b"x")
    ground.fifo("d/fifo")
    ground.symlink("d/link", "d")
    for path in ("d/f", "d/fifo", "d/link", "d/link/d", "d/f/below"):
        with pytest.raises(UnsafeError), ground.store.at(path):
            pass
    with pytest.raises(MissingError), ground.store.at("d/nothing"):
        pass


def timeless(stat: FileStat | None) -> FileStat | None:
    """Leave out the time of a directory: an object store has one only for what is in it, if it is told."""
    return stat._replace(mtime_ns=0) if stat and stat.type is FileType.DIRECTORY else stat


def looked_into(leaves: Sequence[Leaf]) -> dict[str, FileStat | None]:
    """Give what was found in directories, each told once; without what is none."""
    found = {name: timeless(stat) for name, stat in leaves if not isinstance(stat, StoreError)}
    assert len({name for name, _ in leaves}) == len(leaves)
    return found


@pytest.mark.parametrize("what", ["file", "symlink", "fifo"])
@pytest.mark.parametrize("depth", [1, 2])
def test_what_stands_in_a_directorys_place_is_told_with_its_error(
    ground: Ground, what: str, depth: int
) -> None:
    above = "d/1" if depth == 2 else "d"
    ground.write("d/1/x/leaf", b"1")
    if what == "file":
        ground.write(f"{above}/odd", b"x")
    elif what == "fifo":
        ground.fifo(f"{above}/odd")
    else:
        ground.symlink(f"{above}/odd", "d/1")
    error = dict(ground.store.find("d", depth, "leaf"))[f"{above}/odd".removeprefix("d/")]
    assert isinstance(error, UnsafeError)
    kinds = {"file": FileType.FILE, "symlink": FileType.SYMLINK, "fifo": FileType.OTHER}
    assert (error.want, error.got) == (FileType.DIRECTORY.value, kinds[what].value)


def test_a_leaf_is_looked_for_in_every_directory_so_far_below(ground: Ground) -> None:
    ground.write("d/1/x/leaf", b"12", mtime_ns=5)
    ground.write("d/1/y/other", b"1")
    ground.write("d/2/z/leaf", b"1")
    ground.write("d/2/w/leaf/below", b"1")
    ground.write("d/3/v/other", b"1")
    ground.write("d/file", b"1")
    ground.write("d/leaf", b"1")
    ground.write("d/1/leaf", b"1")
    want = {
        "1/x": ground.store.stat("d/1/x/leaf"),
        "1/y": None,
        "2/z": ground.store.stat("d/2/z/leaf"),
        "2/w": timeless(ground.store.stat("d/2/w/leaf")),
        "3/v": None,
    }
    assert looked_into(ground.store.find("d", 2, "leaf")) == want
    found = ground.store.find("d", 1, "leaf")
    assert looked_into(found) == {"1": ground.store.stat("d/1/leaf"), "2": None, "3": None}
    assert sorted(name for name, _ in ground.store.find("", 1, "leaf")) == ["d"]


def test_nothing_is_looked_for_through_a_symlink(ground: Ground) -> None:
    ground.write("real/x/leaf", b"secret")
    ground.write("d/1/x/leaf", b"1")
    ground.symlink("d/2", "real")
    ground.symlink("d/1/y", "real/x")
    ground.mkdir("d/1/z")
    ground.symlink("d/1/z/leaf", "real/x/leaf")
    ground.symlink("link", "real")
    found = looked_into(ground.store.find("d", 2, "leaf"))
    assert found == {"1/x": ground.store.stat("d/1/x/leaf"), "1/z": ground.store.stat("d/1/z/leaf")}
    assert found["1/z"].type is FileType.SYMLINK
    with pytest.raises(UnsafeError):
        ground.store.find("link", 1, "leaf")


@pytest.mark.parametrize("likely", ["1/x", "1/y", "2/x", "1/nothing", "nothing/x", "1/f"])
def test_what_is_likely_the_only_directory_changes_nothing(ground: Ground, likely: str) -> None:
    def same() -> bool:
        there, whole = (looked_into(ground.store.find("d", 2, "leaf", way)) for way in (likely, ""))
        return there == whole

    ground.mkdir("d/1/x")
    assert same()
    with pytest.raises(MissingError):
        ground.store.find("a\0b", 2, "leaf", likely)
    ground.write("d/1/x/leaf", b"1")
    ground.write("d/1/f", b"1")
    ground.write("d/f", b"1")
    assert same()
    ground.mkdir("elsewhere/leaf")
    ground.symlink("d/1/y", "elsewhere")
    ground.symlink("d/2", "d/1")
    assert same()
    ground.mkdir("d/1/z")
    assert same()
    ground.remove("d/1/x/leaf")
    ground.write("d/3/x/leaf", b"1")
    assert same()


@pytest.mark.parametrize("path", ["nothing", "d/nothing", "d/f", "d/fifo", "d/f/below", "d/a\0b"])
def test_nothing_is_looked_for_where_there_is_no_directory(ground: Ground, path: str) -> None:
    ground.write("d/f", b"x")
    if "fifo" in path:
        ground.fifo("d/fifo")
    for depth in (1, 2):
        with pytest.raises((MissingError, UnsafeError)):
            ground.store.find(path, depth, "leaf")


def test_stamps_tell_when_each_path_changed_and_zero_for_what_is_not_there(ground: Ground) -> None:
    ground.write("d/f", b"x", mtime_ns=1_700_000_000_000_000_001)
    paths = ["d/f", "d/nothing", "d", "no/such", "d/a\0b", "d/f/below"]
    want = [ground.store.stat(path).changed_ns if path in ("d/f", "d") else 0 for path in paths]
    assert ground.store.stamps(iter(paths)) == want
    assert want[0] > 0
    assert ground.store.stamps([]) == []


def test_the_stamp_of_a_symlink_is_its_own(ground: Ground) -> None:
    ground.write("d/f", b"x")
    ground.symlink("d/link", "d/f")
    assert ground.store.stamps(["d/link"]) == [ground.store.stat("d/link").changed_ns]


def test_the_store_itself_has_a_stamp(ground: Ground) -> None:
    assert ground.store.stamps([""]) == [ground.store.stat("").changed_ns]


# --- where directories may be symlinks --------------------------------------------------------------


def test_a_symlink_to_a_directory_is_told_as_that(followed: Ground) -> None:
    followed.write("real/f", b"x")
    followed.symlink("d/directory", "real")
    followed.symlink("d/twice", "d/directory")
    followed.symlink("d/file", "real/f")
    followed.symlink("d/dangling", "nothing")
    followed.symlink("d/itself", "d/itself")
    kinds = dict(followed.store.list("d"))
    assert kinds.pop("directory") is FileType.DIRECTORY
    assert kinds.pop("twice") is (FileType.DIRECTORY if isinstance(followed, OnDisk) else FileType.SYMLINK)
    assert set(kinds.values()) == {FileType.SYMLINK}
    for name, kind in followed.store.list("d"):
        assert followed.store.stat(f"d/{name}").type is kind


@pytest.mark.parametrize("link", ["a", "a/b", "a/b/c"])
def test_a_symlink_is_passed_through_at_any_part_of_a_path(followed: Ground, link: str) -> None:
    real = f"real{'/a/b/c'[len(link) + 1 :]}"
    followed.write(f"{real}/f", CONTENT, mtime_ns=1_700_000_000_000_000_001)
    followed.symlink(link, "real")
    store = followed.store
    want = store.stat(f"{real}/f")
    assert store.list("a/b/c") == [Entry("f", FileType.FILE)]
    assert store.read("a/b/c/f", len(CONTENT)) == CONTENT
    assert content_bytes(store.open("a/b/c/f")) == CONTENT
    assert store.stamps(["a/b/c/f"]) == [want.changed_ns]
    assert dict(store.find("a/b", 1, "f")) == {"c": want}
    assert dict(store.find("a", 2, "f")) == {"b/c": want}
    assert dict(store.find("", 3, "f"))["a/b/c"] == want
    for below in ("", "a", "a/b", "a/b/c"):
        assert store.stat("a/b/c/f", below) == want
        assert store.examine("a/b/c/f", len(CONTENT), below) == (want, CONTENT)
        with store.at(below) as opened:
            rest = "a/b/c/f"[len(below) :].lstrip("/")
            assert opened.follow_symlinks
            assert opened.read(rest, len(CONTENT)) == CONTENT


def test_a_symlink_to_a_file_is_followed_by_no_store(followed: Ground) -> None:
    followed.write("real/f", b"secret")
    followed.symlink("linked", "real")
    followed.symlink("real/link", "real/f")
    for path in ("real/link", "linked/link"):
        assert followed.store.stat(path).type is FileType.SYMLINK
        for ask in (
            followed.store.list,
            followed.store.open,
            lambda p: followed.store.read(p, 9),
            lambda p: followed.store.examine(p, 9),
            lambda p: followed.store.find(p, 1, "f"),
            lambda p: followed.store.at(p).__enter__(),
        ):
            with pytest.raises(UnsafeError):
                ask(path)
    (leaf,) = [stat for name, stat in followed.store.find("", 1, "link") if name == "linked"]
    assert isinstance(leaf, FileStat)
    assert leaf.type is FileType.SYMLINK


@pytest.mark.parametrize("target", ["nothing", "real/f", "d/link"])
def test_behind_a_symlink_that_leads_to_no_directory_nothing_is_called_missing(
    followed: Ground, target: str
) -> None:
    followed.write("real/f", b"x")
    followed.symlink("d/link", target)
    for path in ("d/link/f", "d/link/e/f"):
        for ask in (
            followed.store.stat,
            followed.store.open,
            lambda p: followed.store.read(p, 9),
            lambda p: followed.store.examine(p, 9, "d"),
        ):
            with pytest.raises(UnsafeError):
                ask(path)
    for path in ("d/link", "d/link/e"):
        with pytest.raises(UnsafeError):
            followed.store.list(path)
    error = dict(followed.store.find("d", 1, "f"))["link"]
    assert isinstance(error, UnsafeError)
    assert error.got == FileType.SYMLINK.value


@pytest.mark.parametrize("target", ["a", "a/b", "a/b/c", ""])
def test_a_symlink_that_leads_back_is_not_entered(followed: Ground, target: str) -> None:
    followed.write("a/b/c/f", b"x")
    followed.symlink("a/b/c/back", target)
    assert Entry("back", FileType.DIRECTORY) in followed.store.list("a/b/c")
    for ask in (followed.store.list, followed.store.stat, lambda p: followed.store.at(p).__enter__()):
        with pytest.raises(UnsafeError, match="leads back"):
            ask("a/b/c/back")
    with pytest.raises(UnsafeError, match="leads back"):
        followed.store.read("a/b/c/back/f", 9)


@pytest.mark.long
def test_a_walk_ends_whatever_leads_to_what(followed: Ground) -> None:
    names = [f"d{number}" for number in range(6)]
    for name in names:
        followed.write(f"{name}/f", b"x")
        for other in names:
            followed.symlink(f"{name}/{other}", other)
    waiting, met = [""], 0
    while waiting:
        path = waiting.pop()
        met += 1
        with suppress(UnsafeError):
            waiting += [
                f"{path}/{name}".lstrip("/")
                for name, kind in followed.store.list(path)
                if kind is FileType.DIRECTORY
            ]
    assert met < 10_000


def test_what_is_likely_the_only_directory_is_not_believed_where_symlinks_are_followed(
    followed: Ground,
) -> None:
    followed.write("d/1/x/leaf", b"1")
    followed.write("elsewhere/y/leaf", b"1")
    assert dict(followed.store.find("d", 2, "leaf", "1/x")).keys() == {"1/x"}
    followed.symlink("d/2", "elsewhere")
    followed.symlink("d/1/z", "elsewhere/y")
    assert dict(followed.store.find("d", 2, "leaf", "1/x")).keys() == {"1/x", "1/z", "2/y"}


# --- what only a real directory can meet ------------------------------------------------------------


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[OnDisk]:
    on_disk = OnDisk(tmp_path / "store")
    yield on_disk
    on_disk.store.close()


def test_the_only_directory_is_found_without_listing_where_directories_are_counted(
    disk: OnDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk.write("d/1/x/leaf", b"1")
    listed: list[object] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
    found = disk.store.find("d", 2, "leaf", "1/x")
    assert (found, bool(listed)) == ([("1/x", disk.store.stat("d/1/x/leaf"))], not counts(disk.root))
    with disk.store.at("d") as below:
        listed.clear()
        assert (below.find("", 2, "leaf", "1/x"), bool(listed)) == (found, not counts(disk.root))


def counts(path: Path) -> bool:
    return counts_directories(path.stat().st_dev)


def test_a_device_and_a_socket_are_not_opened(disk: OnDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(disk.root)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(UnsafeError):
            disk.store.open("socket")
    if os.geteuid() == 0:
        os.mknod("null", 0o20666, os.makedev(1, 3))
        with pytest.raises(UnsafeError):
            disk.store.open("null")


def test_the_file_named_tells_how_much_it_holds_even_if_it_is_sparse_and_huge(disk: OnDisk) -> None:
    disk.write("f", b"")
    os.truncate(disk.root / "f", 1 << 40)
    with pytest.raises(TooLargeError):
        disk.store.read("f", 1 << 20)


def test_a_name_too_long_for_the_file_system_is_not_in_the_store(disk: OnDisk) -> None:
    with pytest.raises(MissingError):
        disk.store.stat("x" * 300)


def test_a_refusal_tells_that_permission_lacks(disk: OnDisk) -> None:
    disk.write("d/f", b"x")
    (disk.root / "d/f").chmod(0)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)  # root may read everything
    try:
        with pytest.raises(UnreadableError, match="d/f: Permission denied") as caught:
            disk.store.read("d/f", 9)
    finally:
        os.seteuid(user)
    assert (caught.value.denied, caught.value.errno) == (True, errno.EACCES)


def test_what_this_process_lacks_is_no_fault_of_what_it_would_read(disk: OnDisk) -> None:
    disk.write("d/1/f", b"x")
    disk.write("d/2/f", b"x")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with (disk.root / "d/1/f").open("rb") as last:
        resource.setrlimit(resource.RLIMIT_NOFILE, (last.fileno() + 1, limits[1]))
        held = []
        try:
            with suppress(OSError):
                while True:
                    held.append(os.open("/dev/null", os.O_RDONLY))
            for ask in (
                lambda: disk.store.list("d"),
                lambda: disk.store.read("d/1/f", 9),
                lambda: disk.store.open("d/1/f"),
                lambda: disk.store.find("d", 1, "f"),
                lambda: disk.store.find("d", 2, "f"),
                lambda: disk.store.at("d").__enter__(),
            ):
                with pytest.raises(StoreAwayError, match="Too many open files") as caught:
                    ask()
                assert caught.value.errno == errno.EMFILE
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            for descriptor in held:
                os.close(descriptor)
    assert dict(disk.store.find("d", 1, "f")).keys() == {"1", "2"}


def test_a_root_that_is_missing_or_no_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    for name in ("nothing", "file"):
        with pytest.raises(StoreError):
            LocalStorage(str(tmp_path / name))


def test_examining_tells_of_the_file_that_was_read_whatever_takes_its_place(disk: OnDisk) -> None:
    disk.write("d/f", b"old", mtime_ns=5)
    before, content = disk.store.examine("d/f", 9)
    disk.write("d/new", b"newer", mtime_ns=6)
    (disk.root / "d/new").rename(disk.root / "d/f")
    after, newer = disk.store.examine("d/f", 9)
    assert (content, before.size, before.mtime_ns) == (b"old", 3, 5)
    assert (newer, after.size, after.mtime_ns) == (b"newer", 5, 6)


def test_a_directory_that_was_entered_stays_the_same_when_it_is_moved(disk: OnDisk) -> None:
    disk.write("a/d/f", b"old")
    with disk.store.at("a/d") as below:
        (disk.root / "a/d").rename(disk.root / "a/e")
        disk.write("a/d/f", b"new")
        assert below.read("f", 9) == b"old"
    assert disk.store.read("a/d/f", 9) == b"new"


def test_the_stamp_changes_with_the_file_whatever_time_it_is_given(disk: OnDisk) -> None:
    disk.write("d/f", b"x", mtime_ns=5)
    before = disk.store.stamps(["d/f"])
    time.sleep(0.02)
    disk.write("d/f", b"y", mtime_ns=5)
    assert disk.store.stat("d/f").mtime_ns == 5
    assert disk.store.stamps(["d/f"]) > before


def test_no_descriptor_is_left_open_by_any_call(disk: OnDisk) -> None:
    disk.write("a/b/f", b"x")
    disk.symlink("a/link", "a/b")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a/b/f", "a/b", "a/link", "a/link/f", "a/b/f/x", "no/such"):
        for ask in (
            disk.store.list,
            disk.store.stat,
            lambda p: disk.store.read(p, 9),
            lambda p: disk.store.read(p, 0),
            lambda p: disk.store.examine(p, 0, "a"),
            lambda p: disk.store.find(p, 1, "f"),
            lambda p: disk.store.find(p, 2, "f"),
            lambda p: disk.store.find(p, 2, "f", "a/b"),
            lambda p: disk.store.stamps([p]),
        ):
            with suppress(StoreError):
                ask(path)
        with suppress(StoreError):
            disk.store.open(path).close()
        with suppress(StoreError), disk.store.at(path) as below:
            below.list("no/such")
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_stamp_of_a_symlink_changes_with_its_directory_and_with_itself(tmp_path: Path) -> None:
    disk = OnDisk(tmp_path / "store", follow_symlinks=True)
    disk.mkdir("real")
    disk.mkdir("other")
    time.sleep(0.02)
    disk.symlink("d/link", "real")

    def stamp() -> int:
        (found,) = disk.store.stamps(["d/link"])
        assert found == disk.store.stat("d/link").changed_ns
        return found

    first = stamp()
    time.sleep(0.02)
    disk.mkdir("real/new")
    second = stamp()
    time.sleep(0.02)
    disk.remove("d/link")
    disk.symlink("d/link", "other")
    assert first < second < stamp()
    disk.store.close()


def test_no_descriptor_is_left_open_where_symlinks_are_followed(tmp_path: Path) -> None:
    disk = OnDisk(tmp_path / "store", follow_symlinks=True)
    disk.write("a/b/f", b"x")
    disk.symlink("a/link", "a/b")
    disk.symlink("a/b/back", "a")
    disk.symlink("a/dangling", "nothing")
    before = len(os.listdir("/proc/self/fd"))
    for path in ("a/link/f", "a/link", "a/b/back", "a/b/back/b/f", "a/dangling", "a/dangling/f"):
        for ask in (
            disk.store.list,
            lambda p: disk.store.examine(p, 1, "a"),
            lambda p: disk.store.find(p, 2, "f"),
        ):
            with suppress(StoreError):
                ask(path)
        with suppress(StoreError), disk.store.at(path) as below:
            below.list("back")
    assert len(os.listdir("/proc/self/fd")) == before
    disk.store.close()
