"""Programs that build on a mount: overlays, containers' namespaces, databases, odd ways to read, backups."""

from __future__ import annotations

import json
import mmap
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, need, output, run
from tests.inside import image, push
from tests.mount.conftest import clear, processes_with, regfs

pytestmark = pytest.mark.fuse

DATABASE = "srv/notes.sqlite"
NOISE = bytes(range(256)) * 8192  # 2 MiB


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> StoreBuilder:
    """An image that can be entered: /bin/cat with its libraries, a database, and bytes."""
    tree = tmp_path_factory.mktemp("tree")
    programs = [need("cat"), need("touch")]
    libraries = [word for word in output("ldd", *programs).split() if word.startswith("/")]
    for path in {*programs, *(word for word in libraries if not word.endswith(":"))}:
        target = tree / os.path.realpath(path).lstrip("/")
        for place in (target, tree / path.lstrip("/")):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(Path(path).read_bytes())
            place.chmod(0o755)
    (tree / "srv").mkdir()
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/os-release").write_text("ID=regfs\n")
    (tree / "srv/noise").write_bytes(NOISE)
    with sqlite3.connect(tree / DATABASE) as connection:
        connection.execute("CREATE TABLE note AS SELECT 'kept' AS text")
    connection.close()
    tar = tree.with_suffix(".tar")
    output("tar", "cf", tar, "-C", tree, ".")
    store = StoreBuilder(tmp_path_factory.mktemp("store") / "registry")
    image(store, "team/app", "1.0", [push(store, tar.read_bytes())])
    return store


@pytest.fixture(scope="module")
def top(library: StoreBuilder, mount_module: Callable[..., Mount]) -> Path:
    return mount_module(library.root, "allow_other").path


@pytest.fixture
def rootfs(top: Path) -> Path:
    return top / "team/app/1.0/rootfs"


@pytest.fixture
def merged(tmp_path: Path) -> Iterator[Path]:
    """A place for an overlay; `upper` and `work` lie beside it."""
    for name in ("merged", "upper", "work"):
        (tmp_path / name).mkdir()
    yield tmp_path / "merged"
    clear(tmp_path / "merged")


# --- overlays and namespaces ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["overlay", "fuse-overlayfs"])
def test_an_overlay_over_rootfs_can_be_entered_and_written_in(
    rootfs: Path, merged: Path, as_root: None, kind: str
) -> None:
    options = f"lowerdir={rootfs},upperdir={merged.parent}/upper,workdir={merged.parent}/work"
    command = ["mount", "-t", "overlay", "overlay"] if kind == "overlay" else [need("fuse-overlayfs")]
    output(*command, "-o", options, merged)
    assert output("chroot", merged, need("cat"), "/etc/os-release") == "ID=regfs\n"
    output("chroot", merged, need("touch"), "/etc/new")
    assert (merged.parent / "upper/etc/new").exists()
    assert not (rootfs / "etc/new").exists()


def test_chroot_into_rootfs_itself_and_from_a_users_namespace(rootfs: Path) -> None:
    for before in ([], [need("unshare"), "-rm"]):
        assert output(*before, "chroot", rootfs, need("cat"), "/etc/os-release") == "ID=regfs\n"
        done = run(*before, "chroot", rootfs, need("touch"), "/etc/new")
        assert "Read-only file system" in done.stderr


# --- ways to read --------------------------------------------------------------------------------------


def test_sqlite_reads_a_database_in_an_image(rootfs: Path) -> None:
    asked = output(need("sqlite3"), f"file:{rootfs / DATABASE}?mode=ro", "SELECT text FROM note")
    assert asked == "kept\n"


def test_mmap_sendfile_and_o_direct_give_the_same_bytes(rootfs: Path, tmp_path: Path) -> None:
    descriptor = os.open(rootfs / "srv/noise", os.O_RDONLY)
    with mmap.mmap(descriptor, 0, prot=mmap.PROT_READ) as mapped:
        assert mapped[:] == NOISE
    with (tmp_path / "sent").open("wb") as target:
        sent = 0
        while done := os.sendfile(target.fileno(), descriptor, sent, len(NOISE)):
            sent += done
    os.close(descriptor)
    assert (tmp_path / "sent").read_bytes() == NOISE
    output("dd", f"if={rootfs}/srv/noise", f"of={tmp_path}/direct", "iflag=direct", "bs=64k")
    assert (tmp_path / "direct").read_bytes() == NOISE


@pytest.mark.parametrize("engine", ["io_uring", "libaio", "mmap", "splice"])
def test_fio_reads_with_each_engine(rootfs: Path, engine: str) -> None:
    job = ("--name=read", f"--filename={rootfs}/srv/noise", "--readonly", "--rw=randread", "--iodepth=8")
    done = run(need("fio"), *job, f"--ioengine={engine}", f"--size={len(NOISE)}", "--output-format=json")
    assert done.returncode == 0, done.stderr
    (read,) = json.loads(done.stdout[done.stdout.index("{") :])["jobs"]
    assert (read["error"], read["read"]["io_bytes"]) == (0, len(NOISE))


# --- copies and backups --------------------------------------------------------------------------------


def test_rsync_with_links_acls_and_attributes_copies_once_and_then_nothing(top: Path, tmp_path: Path) -> None:
    command = (need("rsync"), "-aHAX", "--itemize-changes", f"{top}/", tmp_path / "copy")
    assert "manifest.json" in output(*command)
    assert output(*command) == ""


def test_backups_after_a_remount_find_nothing_changed(
    library: StoreBuilder, mountpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (
        ("REPOSITORY", tmp_path / "restic"),
        ("PASSWORD", "x"),
        ("CACHE_DIR", tmp_path / "c"),
    ):
        monkeypatch.setenv(f"RESTIC_{name}", str(value))
    output(need("restic"), "init")
    seen = []
    for number in range(2):
        assert regfs("mount", library.root, mountpoint).returncode == 0
        said = output("restic", "backup", "--json", mountpoint).splitlines()
        archive = tmp_path / f"{number}.tar"
        output("tar", "cf", archive, "-g", tmp_path / "snapshot", "--no-check-device", "-C", mountpoint, ".")
        files = [name for name in output("tar", "tf", archive).split() if not name.endswith("/")]
        seen.append((json.loads(said[-1])["files_new"] + json.loads(said[-1])["files_changed"], len(files)))
        assert regfs("umount", mountpoint).returncode == 0
    assert seen[0] == (3, 3)
    assert seen[1] == (0, 0)


# --- many at once --------------------------------------------------------------------------------------


def test_many_mounts_at_once(library: StoreBuilder, tmp_path: Path, fuse: None) -> None:
    places = [tmp_path / f"mnt{number}" for number in range(16)]
    try:
        for place in places:
            place.mkdir()
            done = regfs("mount", library.root, place)
            assert done.returncode == 0, done.stderr
        assert {tuple(os.listdir(place / "team/app")) for place in places} == {("1.0",)}
        for place in places:
            assert regfs("umount", place).returncode == 0
            assert not processes_with(place)
    finally:
        for place in places:
            clear(place)
