"""The disk with the cache directory is full: the mount goes on, and says so once.

Beside these: tests/unit/test_index_database.py and test_layers.py fill the disk at each step of the index and
of a layer; tests/mount/test_inside_adversity.py has a layer's index for which a mount has no room.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output
from tests.faults.conftest import answer, blobs_told, images, listed, stored
from tests.inside import Item, image, push, tar_of
from tests.mount.conftest import regfs, until

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]
Disk = Callable[[str, str], Path]


@pytest.fixture
def disk(small_disk: Disk, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache directory, on a disk of 64 KiB."""
    path = small_disk("small", "64k")
    monkeypatch.setenv("XDG_CACHE_HOME", str(path))
    return path


def test_the_views_and_reports_are_right_without_room_for_an_index(
    store: StoreBuilder, mount: Make, disk: Path
) -> None:
    blobs = images(store, 150)
    orphan = store.blob(b"nobody's", "x/y")
    made = mount(store, "ttl=0.1")
    for _ in range(3):
        assert blobs_told(made.path) == sorted([*blobs, orphan.digest])
        assert listed(made.path / "@orphans/sha256") == [f"{orphan.digest.partition(':')[2]}.bin"]
    log = made.log.read_text()
    assert log.count("no index can be kept") == log.count(str(disk)) == 1
    assert "Traceback" not in log


def test_commands_are_right_without_room_for_an_index_and_say_so(store: StoreBuilder, disk: Path) -> None:
    blobs = images(store, 150)
    for command in (("index",), ("report", "blobs", "--format", "csv")):
        done = regfs(*command, store.root)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("no index can be kept") == 1
        assert "Traceback" not in done.stderr
    assert sorted(line.partition(",")[0] for line in done.stdout.splitlines()[1:]) == blobs


def test_a_mount_goes_on_when_the_disk_fills_up_under_its_index(
    store: StoreBuilder, mount: Make, small_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk("small", "2m")
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
    blobs = images(store, 20)
    made = mount(store, "ttl=0.1")
    assert blobs_told(made.path) == blobs
    (disk / "filler").write_bytes(b"x" * (output_free(disk)))
    blobs = images(store, 400)
    until(lambda: blobs_told(made.path) == blobs, "the report has what was pushed since", 10)
    assert "Traceback" not in made.log.read_text()


def output_free(disk: Path) -> int:
    """Tell how many bytes are free."""
    return int(output("stat", "-f", "-c", "%a", disk)) * int(output("stat", "-f", "-c", "%S", disk))


def test_a_seekable_copy_without_room_is_enospc_until_there_is_some(
    store: StoreBuilder, mount: Make, small_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """zstd in one frame is read through a copy, some as large as the layer is uncompressed."""
    disk = small_disk("small", "2m")
    monkeypatch.setenv("XDG_CACHE_HOME", str(disk))
    noise = random.Random(5).randbytes(20 << 20)
    layer = push(store, tar_of([Item("first", b"1"), Item("noise", noise), Item("end", b"end\n")]), "zstd")
    image(store, "app", "1.0", [layer])
    made = mount(store)
    top = made.path / "app/1.0"
    assert listed(top / "rootfs") == ["end", "first", "noise"]
    for name in ("rootfs/end", "layers/00.tar"):
        assert answer((top / name).read_bytes) == errno.ENOSPC
    assert (top / "layers/00.tar.zst").read_bytes() == store.data(layer.blob.digest).read_bytes()
    output("mount", "-o", "remount,size=64m", disk)
    assert (top / "rootfs/end").read_bytes() == b"end\n"
    assert (top / "layers/00.tar").read_bytes() == layer.tar
    assert "Traceback" not in made.log.read_text()


def test_a_long_report_without_room_for_a_temporary_file_is_enospc_until_there_is_some(
    store: StoreBuilder, mount: Make, small_disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A report of more than 1 MB is kept in a file in TMPDIR."""
    disk = small_disk("temporary", "64k")
    monkeypatch.setenv("TMPDIR", str(disk))
    # A row of the report for each, which has the repository's name.
    layers = [store.blob(b"%d" % number, "x/y") for number in range(3000)]
    store.image("/".join(["a-long-name"] * 20), "1.0", layers)
    made = mount(store)
    report = made.path / "@reports/blobs.csv"
    assert answer(report.read_bytes) == errno.ENOSPC
    output("mount", "-o", "remount,size=64m", disk)
    assert blobs_told(made.path) == stored(store)
    assert report.stat().st_size > 1 << 20, "it would have fitted into memory"
    assert "Traceback" not in made.log.read_text()
