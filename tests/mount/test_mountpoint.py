"""Mountpoints that are refused, each by name, and the ones that only look wrong."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, need, output
from tests.mount.conftest import mount_entry, processes_with, regfs, until

pytestmark = pytest.mark.fuse


@pytest.fixture
def image(store: StoreBuilder) -> StoreBuilder:
    store.image("team/app", "1.0")
    return store


def refused(store: Path, mountpoint: Path, *more: str) -> str:
    """Try to mount; give the one line that says why not."""
    done = regfs("mount", store, mountpoint, *more)
    assert done.returncode != 0
    assert mount_entry(os.path.realpath(mountpoint)) is None
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"regfs: mountpoint {mountpoint}: ")
    return line


def test_a_missing_mountpoint(image: StoreBuilder, tmp_path: Path, fuse: None) -> None:
    assert "does not exist; make it with mkdir" in refused(image.root, tmp_path / "nothing")


def test_a_file(image: StoreBuilder, tmp_path: Path, fuse: None) -> None:
    (tmp_path / "file").write_text("x")
    assert "is not a directory" in refused(image.root, tmp_path / "file")


def test_a_path_through_a_file(image: StoreBuilder, tmp_path: Path, fuse: None) -> None:
    (tmp_path / "file").write_text("x")
    assert "ot a directory" in refused(image.root, tmp_path / "file" / "x")


def test_a_directory_with_files_unless_nonempty(image: StoreBuilder, mountpoint: Path) -> None:
    (mountpoint / "mine").write_text("x")
    assert "is not empty" in refused(image.root, mountpoint)
    done = regfs("mount", image.root, mountpoint, "-o", "nonempty")
    assert done.returncode == 0, done.stderr
    assert os.listdir(mountpoint) == ["team"]
    output("umount", mountpoint)
    assert os.listdir(mountpoint) == ["mine"]


@pytest.mark.parametrize("options", ["ttl=1", "nonempty"])
def test_a_mountpoint_in_use_is_named_with_what_is_there(
    image: StoreBuilder, mountpoint: Path, options: str
) -> None:
    assert regfs("mount", image.root, mountpoint).returncode == 0
    done = regfs("mount", image.root, mountpoint, "-o", options)
    assert done.returncode != 0
    assert f"is already a mount, of {image.root} (fuse.regfs)" in done.stderr
    assert f"regfs umount {mountpoint}" in done.stderr
    output("umount", mountpoint)
    assert mount_entry(mountpoint) is None


def test_a_mount_of_a_mount_of_ours(image: StoreBuilder, mountpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "bound").mkdir()
    assert regfs("mount", image.root, mountpoint).returncode == 0
    output("mount", "--bind", mountpoint, tmp_path / "bound")
    try:
        done = regfs("mount", image.root, tmp_path / "bound", "-o", "nonempty")
        assert f"is already a mount, of {image.root} (fuse.regfs)" in done.stderr
    finally:
        output("umount", tmp_path / "bound")


def test_another_mount_of_the_same_store(image: StoreBuilder, mountpoint: Path) -> None:
    output(need("bindfs"), "-o", f"fsname={image.root}", image.root, mountpoint)
    done = regfs("mount", image.root, mountpoint, "-o", "nonempty")
    assert done.returncode != 0
    assert f"is already a mount, of {image.root} (fuse" in done.stderr


def test_an_empty_tmpfs_is_a_place_to_mount_on(image: StoreBuilder, mountpoint: Path, as_root: None) -> None:
    output("mount", "-t", "tmpfs", "tmpfs", mountpoint)
    done = regfs("mount", image.root, mountpoint)
    assert done.returncode == 0, done.stderr
    assert os.listdir(mountpoint) == ["team"]
    done = regfs("umount", mountpoint)
    assert done.returncode == 0, done.stderr
    assert (mount_entry(mountpoint) or [])[2] == "tmpfs"


def test_a_bind_mount_with_files_is_one_with_nonempty_as_for_bindfs(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path, as_root: None
) -> None:
    """As docker makes it by `-v /mnt/reg:/mnt/reg:rshared`."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/mine").touch()
    output("mount", "--bind", "--make-rshared", tmp_path / "outside", mountpoint)
    assert "is not empty" in regfs("mount", image.root, mountpoint).stderr
    for program in ([need("bindfs")], [*REGFS, "mount"]):
        output(*program, "-o", "nonempty", image.root, mountpoint)
        assert (mount_entry(mountpoint) or [])[0] == str(image.root)
        output("umount", mountpoint)
        assert os.listdir(mountpoint) == ["mine"]


def test_a_dead_mount_of_ours_is_cleared_and_what_lies_below_it_serves_again(
    image: StoreBuilder, mountpoint: Path, as_root: None
) -> None:
    output("mount", "-t", "tmpfs", "tmpfs", mountpoint)
    assert regfs("mount", image.root, mountpoint).returncode == 0
    (process,) = processes_with(mountpoint)
    os.kill(process, signal.SIGKILL)
    until(lambda: not processes_with(mountpoint), "the process is gone")
    assert regfs("mount", image.root, mountpoint).returncode == 0
    assert regfs("umount", mountpoint).returncode == 0
    assert (mount_entry(mountpoint) or [])[2] == "tmpfs"


@pytest.mark.parametrize("below", ["blobs", "repositories", "repositories/team/app", "empty", "."])
@pytest.mark.parametrize("options", [(), ("-o", "nonempty")], ids=["plain", "nonempty"])
def test_the_store_and_what_lies_in_it(
    image: StoreBuilder, fuse: None, below: str, options: tuple[str, ...]
) -> None:
    (image.v2 / "empty").mkdir()
    assert "overlaps the store" in refused(image.root, image.v2 / below, *options)


@pytest.mark.parametrize("above", [".", "..", "../..", "../../.."])
def test_a_directory_that_holds_the_store(image: StoreBuilder, fuse: None, above: str) -> None:
    line = refused(image.root, Path(os.path.normpath(image.v2 / above)), "-o", "nonempty")
    assert "overlaps the store" in line
    assert str(image.v2) in line


def test_a_symlink_into_the_store_is_seen_through(image: StoreBuilder, tmp_path: Path, fuse: None) -> None:
    (image.v2 / "empty").mkdir()
    (tmp_path / "elsewhere").symlink_to(image.v2 / "empty")
    assert "overlaps the store" in refused(image.root, tmp_path / "elsewhere")


def test_a_directory_with_the_stores_name_and_more_is_not_in_it(image: StoreBuilder, fuse: None) -> None:
    beside = image.v2.with_name("v2-mount")
    beside.mkdir()
    done = regfs("mount", image.root, beside)
    try:
        assert done.returncode == 0, done.stderr
        assert os.listdir(beside) == ["team"]
    finally:
        output("umount", beside)


def test_a_symlink_to_a_directory_mounts_at_its_target(
    image: StoreBuilder, mountpoint: Path, tmp_path: Path
) -> None:
    (tmp_path / "short").symlink_to(mountpoint)
    done = regfs("mount", image.root, tmp_path / "short")
    assert done.returncode == 0, done.stderr
    assert os.listdir(mountpoint) == ["team"]
    done = regfs("umount", tmp_path / "short")
    assert done.returncode == 0, done.stderr
    assert os.listdir(mountpoint) == []
