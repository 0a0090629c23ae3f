"""getattr, readdir, readlink, statfs: what comes out of the C structures."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.builder import Blob, StoreBuilder
from tests.builder.media_types import OCI_INDEX

if TYPE_CHECKING:
    from tests.adapter.calls import Calls

LINUX = {"os": "linux", "architecture": "amd64"}


def push_index(store: StoreBuilder) -> None:
    image = store.image("app", "1.0")
    store.index("app", "multi", [image.descriptor(platform=LINUX)])


def test_a_file_has_the_stored_files_attributes(store: StoreBuilder, calls: Calls) -> None:
    layer = store.layer({"f": b"x" * 10_000}, "none")
    store.image("app", "1.0", [layer])
    os.utime(store.data(layer.digest), ns=(0, 1_700_000_000_123_456_789))
    found, stored = calls.getattr(b"/app/1.0/layers/00.tar"), os.stat(store.data(layer.digest))
    assert found.st_mode == stat.S_IFREG | 0o444
    assert (found.st_ino, found.st_nlink) == (int(layer.digest[7:23], 16), 2)
    assert (found.st_uid, found.st_gid) == (1000, 1001)
    assert (found.st_size, found.st_blocks, found.st_blksize) == (stored.st_size, stored.st_blocks, 4096)
    for moment in (found.st_atimespec, found.st_mtimespec, found.st_ctimespec):
        assert (moment.tv_sec, moment.tv_nsec) == (1_700_000_000, 123_456_789)


def test_what_regfs_does_not_fill_is_zero(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    found = calls.getattr(b"/app/1.0/config.json")
    assert (found.st_dev, found.st_rdev) == (0, 0)


@pytest.mark.parametrize(
    ("mtime_ns", "seconds", "rest"),
    [(0, 0, 0), (-1, -1, 999_999_999), (-86_400 * 10**9, -86_400, 0), (-1_500_000_000, -2, 500_000_000)],
)
def test_a_time_before_1970_is_told_right(
    store: StoreBuilder, calls: Calls, mtime_ns: int, seconds: int, rest: int
) -> None:
    store.image("app", "1.0")
    os.utime(store.tag_link("app", "1.0"), ns=(0, mtime_ns))
    moment = calls.getattr(b"/app/1.0").st_mtimespec
    assert (moment.tv_sec, moment.tv_nsec) == (seconds, rest)


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        (b"/", stat.S_IFDIR | 0o555),
        (b"/app", stat.S_IFDIR | 0o555),
        (b"/app/multi/platforms", stat.S_IFDIR | 0o555),
        (b"/app/multi/manifest.json", stat.S_IFREG | 0o444),
        (b"/app/multi/layers", stat.S_IFLNK | 0o777),
        (b"/app/multi/config.json", stat.S_IFLNK | 0o777),
    ],
)
def test_each_kind_of_node_has_its_mode(store: StoreBuilder, calls: Calls, path: bytes, mode: int) -> None:
    push_index(store)
    assert calls.getattr(path).st_mode == mode


def test_owner_and_umask_are_as_asked_for(store: StoreBuilder, serve: Callable[..., Calls]) -> None:
    from regfs.mount.owner import Owner

    push_index(store)
    calls = serve(owner=Owner(0, (1 << 32) - 2, 0o027))
    modes = [
        calls.getattr(path).st_mode & 0o7777
        for path in (b"/app", b"/app/1.0/config.json", b"/app/multi/layers")
    ]
    assert modes == [0o550, 0o440, 0o777]
    assert calls.getattr(b"/").st_uid == 0
    assert calls.getattr(b"/").st_gid == (1 << 32) - 2
    listed = calls.readdir(b"/app/1.0")
    assert not isinstance(listed, int)
    assert {entry.mode & 0o777 for entry in listed[2:]} == {0o550, 0o440}


def test_a_size_told_by_a_manifest_may_be_the_largest_that_a_file_can_have(
    store: StoreBuilder, calls: Calls
) -> None:
    layer = Blob("sha256:" + "f" * 64, (1 << 63) - 1, "x/y")
    store.image("app", "1.0", [layer])
    found = calls.getattr(b"/app/1.0/layers/00.bin")
    assert (found.st_size, found.st_ino, found.st_blocks) == ((1 << 63) - 1, (1 << 64) - 1, 0)


@pytest.mark.parametrize(
    "path", [b"/nothing", b"/app/nothing", b"/app/1.0/nothing", b"/app/@sha256:x", b"/app/:x"]
)
def test_what_is_not_there_is_enoent(store: StoreBuilder, calls: Calls, path: bytes) -> None:
    store.image("app", "1.0")
    assert calls.getattr(path) == -errno.ENOENT
    assert calls.readdir(path) == -errno.ENOENT
    assert calls.open(path) == -errno.ENOENT


def test_a_name_too_long_or_not_utf_8_is_just_not_there(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    assert calls.getattr(b"/app/\xff\xfe") == -errno.ENOENT
    assert calls.getattr(b"/app/" + b"x" * 1000) in (-errno.ENOENT, -errno.ENAMETOOLONG)


def test_a_file_is_no_directory(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    assert calls.readdir(b"/app/1.0/config.json") == -errno.ENOTDIR
    assert calls.getattr(b"/app/1.0/config.json/x") == -errno.ENOTDIR


def test_fgetattr_tells_what_getattr_tells(store: StoreBuilder, calls: Calls) -> None:
    import fuse

    store.image("app", "1.0")
    path = b"/app/1.0/config.json"
    info = calls.open(path)
    found = fuse.c_stat()
    assert calls.call("fgetattr", path, ctypes.pointer(found), info) == 0
    assert bytes(found) == bytes(calls.getattr(path))
    calls.call("release", path, info)


def test_a_listing_gives_the_dots_and_each_child_with_inode_and_type(
    store: StoreBuilder, calls: Calls
) -> None:
    push_index(store)
    for path in (b"/", b"/app", b"/app/1.0", b"/app/1.0/layers", b"/app/multi", b"/app/multi/platforms"):
        listed = calls.readdir(path)
        assert not isinstance(listed, int)
        assert [entry.name for entry in listed[:2]] == [b".", b".."]
        for name, inode, mode in listed[2:]:
            found = calls.getattr(path.rstrip(b"/") + b"/" + name)
            assert (found.st_ino, stat.S_IFMT(found.st_mode)) == (inode, stat.S_IFMT(mode))
    assert [entry.name for entry in listed[2:]] == [b"linux-amd64"]


def test_a_listing_of_any_name_is_given_in_bytes(store: StoreBuilder, calls: Calls) -> None:
    name = b"odd \xff\n\xc3\xbc"
    os.makedirs(os.fsencode(store.repository("app")) + b"/" + name)
    listed = calls.readdir(b"/app")
    assert not isinstance(listed, int)
    assert listed[2].name == name
    assert calls.getattr(b"/app/" + name).st_ino == listed[2].inode
    assert calls.readdir(b"/app/" + name) == -errno.EIO


def test_a_listing_stops_when_the_buffer_is_full(store: StoreBuilder, calls: Calls) -> None:
    store.image("app", "1.0")
    listed = calls.readdir(b"/app/1.0", room=3)
    assert not isinstance(listed, int)
    assert len(listed) == 3


def test_a_listing_that_fails_gives_nothing(store: StoreBuilder, calls: Calls) -> None:
    from tests.adapter.calls import FILLER

    store.image("app", "1.0")
    store.tag_link("app", "1.0").write_bytes(b"")
    given: list[object] = []
    filler = FILLER(lambda *entry: given.append(entry) or 0)
    answer = calls.call("readdir", b"/app/1.0", None, filler, 0, None)
    assert (answer, given) == (-errno.EIO, [])


def test_readlink_gives_the_target_cut_to_the_buffer(store: StoreBuilder, calls: Calls) -> None:
    push_index(store)
    target = b"platforms/linux-amd64/layers"
    assert calls.readlink(b"/app/multi/layers") == target
    assert calls.getattr(b"/app/multi/layers").st_size == 0
    for size in (1, 2, 10, len(target), len(target) + 1, len(target) + 2):
        assert calls.readlink(b"/app/multi/layers", size) == target[: size - 1]


def test_readlink_of_what_is_no_link_fails(store: StoreBuilder, calls: Calls) -> None:
    push_index(store)
    assert calls.readlink(b"/app/multi/manifest.json") == -errno.EINVAL
    assert calls.readlink(b"/app/nothing") == -errno.ENOENT


def test_an_index_without_the_default_platform_has_no_links(store: StoreBuilder, calls: Calls) -> None:
    store.index("app", "empty", [])
    assert OCI_INDEX.encode() in calls.content(b"/app/empty/manifest.json")
    assert calls.readlink(b"/app/empty/layers") == -errno.ENOENT


def test_statfs_tells_of_the_file_system_that_holds_the_store(store: StoreBuilder, calls: Calls) -> None:
    found, real = calls.statfs(), os.statvfs(store.v2)
    for name in ("f_bsize", "f_frsize", "f_blocks", "f_files", "f_namemax"):
        assert getattr(found, name) == getattr(real, name)
    assert found.f_blocks >= found.f_bfree >= found.f_bavail
    assert found.f_files >= found.f_ffree >= found.f_favail
