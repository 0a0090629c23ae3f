"""Where a mount may go. What is mounted really is tested in tests/mount."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regfs.errors import MountpointError
from regfs.mount.mountpoint import check_mountpoint, mounted_at
from regfs.mount.programs import unmount


def refused(path: Path | str, store: Path, *, nonempty: bool = False) -> str:
    with pytest.raises(MountpointError) as caught:
        check_mountpoint(str(path), str(store), source="proc", nonempty=nonempty, uid=os.geteuid())
    assert str(caught.value).startswith(f"mountpoint {path}: ")
    return str(caught.value)


@pytest.fixture
def registry(tmp_path: Path) -> Path:
    store = tmp_path / "registry/docker/registry/v2"
    (store / "repositories").mkdir(parents=True)
    return store


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "mnt").mkdir()
    return tmp_path / "mnt"


def test_an_empty_directory_is_given_back_as_an_absolute_path(
    registry: Path, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place.parent)
    (place.parent / "link").symlink_to("mnt")
    for way in ("mnt", "./mnt/", "link", str(place)):
        assert check_mountpoint(way, str(registry), source="proc", nonempty=False, uid=0) == str(place)


def test_one_that_does_not_exist_is_refused_with_what_to_do(registry: Path, tmp_path: Path) -> None:
    assert "does not exist; make it with mkdir" in refused(tmp_path / "nothing", registry)


def test_a_file_is_refused(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert "not a directory" in refused(tmp_path / "file", registry)
    assert "ot a directory" in refused(tmp_path / "file/below", registry)


def test_a_circle_of_symlinks_is_refused(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "circle").symlink_to("circle")
    assert "symbolic links" in refused(tmp_path / "circle", registry)


def test_one_that_holds_files_is_refused_unless_asked_for(registry: Path, place: Path) -> None:
    (place / "file").write_bytes(b"")
    assert "-o nonempty" in refused(place, registry)
    assert check_mountpoint(str(place), str(registry), source="proc", nonempty=True, uid=0) == str(place)


@pytest.mark.parametrize("where", [".", "repositories", "repositories/mnt", "..", "../../..", "../../../.."])
@pytest.mark.parametrize("nonempty", [False, True])
def test_one_that_overlaps_the_store_is_refused(registry: Path, where: str, nonempty: bool) -> None:
    """A lookup below such a mountpoint would wait for itself."""
    (registry / "repositories/mnt").mkdir()
    assert "overlaps the store" in refused(registry / where, registry, nonempty=nonempty)


def test_one_that_overlaps_the_store_through_a_symlink_is_refused(registry: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").symlink_to(registry / "repositories")
    assert "overlaps the store" in refused(tmp_path / "elsewhere", registry)


def test_a_name_that_begins_as_the_stores_does_not_overlap(registry: Path) -> None:
    beside = registry.with_name("v2-mounted")
    beside.mkdir()
    assert check_mountpoint(str(beside), str(registry), source="proc", nonempty=False, uid=0) == str(beside)


def test_one_where_the_same_is_mounted_is_refused_by_name(registry: Path) -> None:
    assert "is already a mount" in refused("/proc", registry)
    assert "proc" in refused("/proc", registry)


def test_what_is_mounted_at_a_path_is_told() -> None:
    mounted = mounted_at("/proc")
    assert mounted is not None
    assert (mounted.mountpoint, mounted.type) == ("/proc", "proc")
    assert mounted_at("/proc/self") is None
    assert mounted_at("/no/such/path") is None


def test_to_unmount_what_is_no_mount_is_an_error_with_its_reason(place: Path) -> None:
    with pytest.raises(MountpointError, match=r"not mounted|not found|Invalid argument"):
        unmount(str(place))


def test_a_mountpoint_that_looks_like_an_option_is_taken_for_a_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "-a").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MountpointError, match="-a") as caught:
        unmount("-a")
    assert "option" not in str(caught.value)
