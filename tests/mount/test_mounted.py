"""How a mount shows in /proc/mounts and df, whatever the store's path and the options are."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, output
from tests.mount.conftest import mount_entry, regfs

pytestmark = pytest.mark.fuse


def unescaped(field: str) -> str:
    """Undo the escapes of /proc/mounts (fstab(5))."""
    return field.encode().decode("unicode_escape").encode("latin-1").decode()


@pytest.mark.parametrize(
    "options", ["", "rw,suid,dev", "rw", "allow_other", "defaults", "ttl=inf", "exec,async"]
)
def test_every_mount_is_ro_nosuid_nodev_of_the_type_fuse_regfs(
    store: StoreBuilder, mount: Callable[..., Mount], options: str
) -> None:
    path = mount(store, options).path
    source, _, kind, found, *_ = mount_entry(path) or []
    assert (source, kind) == (str(store.root), "fuse.regfs")
    assert {"ro", "nosuid", "nodev"} <= set(found.split(","))
    assert not {"rw", "suid", "dev"} & set(found.split(","))


@pytest.mark.parametrize(
    "name",
    [
        "a,b",
        "a b",
        "a\\b",
        "a\\,b",
        "a,fsname=x,rw",
        "a\\054b",
        "tab\there",
        "a#b",
        "übung",
        "a\\",
        "a'b\"c",
        "-o",
    ],
)
def test_the_source_is_the_store_whatever_characters_its_path_has(
    tmp_path: Path, mount: Callable[..., Mount], name: str
) -> None:
    store = StoreBuilder(tmp_path / name / "registry")
    store.image("team/app", "1.0")
    path = mount(store).path
    source, _, kind, found, *_ = mount_entry(path) or []
    assert unescaped(source) == str(store.root)
    assert kind == "fuse.regfs"
    assert "ro" in found.split(",")
    assert output("ls", path) == "team\n"


@pytest.mark.parametrize("name", ["a,b", "a b", "a\\b", "tab\there", "new\nline", "übung"])
def test_a_mountpoint_may_have_any_characters_too(
    store: StoreBuilder, tmp_path: Path, fuse: None, name: str
) -> None:
    store.image("team/app", "1.0")
    path = tmp_path / name
    path.mkdir()
    try:
        done = regfs("mount", store.root, path)
        assert done.returncode == 0, done.stderr
        assert output("ls", path) == "team\n"
        assert "is already a mount" in regfs("mount", store.root, path).stderr
        done = regfs("umount", path)
        assert done.returncode == 0, done.stderr
        assert not list(path.iterdir())
    finally:
        if path.is_mount():
            output("umount", "-l", path)


@pytest.mark.parametrize("below", ["", "docker", "docker/registry", "docker/registry/v2"])
def test_the_store_is_found_from_any_directory_above_it(
    store: StoreBuilder, mount: Callable[..., Mount], below: str
) -> None:
    store.image("team/app", "1.0")
    path = mount(store.root / below).path
    assert (mount_entry(path) or [])[0] == str(store.root / below)
    assert output("ls", path) == "team\n"


def test_a_store_given_by_a_relative_path_and_a_symlink_shows_as_it_was_given_but_absolute(
    store: StoreBuilder, tmp_path: Path, fuse: None, mountpoint: Path
) -> None:
    (tmp_path / "short").symlink_to(store.root)
    done = regfs("short", "./mnt", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (mount_entry(mountpoint) or [])[0] == str(tmp_path / "short")
