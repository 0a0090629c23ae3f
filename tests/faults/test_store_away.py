"""The file system of the store is unmounted under the mount, or its server dies, and it comes back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, cannot_run, need, output, run
from tests.faults.conftest import answer, blobs_told, images, is_error, listed, stored
from tests.mount.conftest import clear, processes_with, until

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]

TTL = 0.5


class Disk(NamedTuple):
    """A file system that can be taken away and brought back: its place, and the commands for that."""

    path: Path
    bring: tuple[str | Path, ...]

    def back(self) -> None:
        output(*self.bring, self.path)


def loop(top: Path) -> Disk:
    """An ext4 in an image file."""
    image = top / "image"
    with image.open("wb") as file:
        file.truncate(32 << 20)
    output(need("mkfs.ext4"), "-q", image)
    return Disk(top / "disk", ("mount", "-o", "loop", image))


def bind(top: Path) -> Disk:
    """A bind mount of another directory."""
    (top / "elsewhere").mkdir()
    return Disk(top / "disk", ("mount", "--bind", top / "elsewhere"))


def server(top: Path) -> Disk:
    """A file system that a process serves, as sshfs is."""
    (top / "elsewhere").mkdir()
    return Disk(top / "disk", (need("bindfs"), top / "elsewhere"))


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path, as_root: None) -> Iterator[Disk]:
    """The disk that a test is parametrized with, mounted."""
    made: Disk = request.param(tmp_path)
    made.path.mkdir()
    done = run(*made.bring, made.path)
    if done.returncode != 0:
        cannot_run(f"it cannot be mounted: {done.stderr}")
    yield made
    clear(made.path)


every_disk = pytest.mark.parametrize("disk", [loop, bind, server], indirect=True)
by_server = pytest.mark.parametrize("disk", [server], indirect=True)


@every_disk
def test_the_stores_file_system_is_busy_until_regfs_lets_go(disk: Disk, mount: Make) -> None:
    store = StoreBuilder(disk.path / "registry")
    images(store, 2)
    made = mount(store)
    done = run("umount", disk.path)
    assert done.returncode != 0
    assert "busy" in done.stderr
    assert listed(made.path / "app") == ["v0", "v1"]
    assert made.end() == 0
    output("umount", disk.path)


@every_disk
def test_a_store_that_is_unmounted_lazily_is_read_on_and_followed_when_it_is_back(
    disk: Disk, mount: Make
) -> None:
    store = StoreBuilder(disk.path / "registry")
    blobs = images(store, 3)
    made = mount(store, f"ttl={TTL}")
    assert listed(made.path / "app") == ["v0", "v1", "v2"]
    output("umount", "-l", disk.path)
    until(lambda: not os.path.ismount(disk.path), "it is gone from its place")
    assert listed(disk.path) == []
    assert blobs_told(made.path) == blobs
    assert (made.path / "app/v2/layers/00.tar.gz").read_bytes()
    disk.back()
    store.image("app", "new", [store.layer({"new": b"new"})])
    until(lambda: "new" in listed(made.path / "app"), "what was pushed since shows", 10)
    until(lambda: blobs_told(made.path) == stored(store), "the report has it", 10)
    assert made.log.read_text().count("\n") == 2, "nothing is wrong"


class Dead(NamedTuple):
    """A mount whose store's file system died; what was stored, and the disk."""

    mount: Mount
    store: StoreBuilder
    blobs: list[str]
    disk: Disk


@pytest.fixture
def dead(disk: Disk, mount: Make) -> Dead:
    store = StoreBuilder(disk.path / "registry")
    blobs = images(store, 3)
    made = mount(store, f"ttl={TTL}")
    assert blobs_told(made.path) == blobs
    (process,) = processes_with(disk.path)
    os.kill(process, signal.SIGKILL)
    until(lambda: not processes_with(disk.path), "the server is gone")
    clear(disk.path)
    return Dead(made, store, blobs, disk)


def questions(top: Path) -> dict[str, Callable[[], object]]:
    """Ask for what was there; never for what nobody asked before, which may be cached."""
    return {
        "the top": lambda: listed(top),
        "a repository": lambda: listed(top / "app"),
        "a manifest": lambda: (top / "app/v1/manifest.json").read_bytes(),
        "a layer": lambda: (top / "app/v1/layers/00.tar.gz").read_bytes(),
        "@blobs": lambda: listed(top / "@blobs/sha256"),
        "df": lambda: os.statvfs(top).f_blocks,
    }


@by_server
def test_while_the_store_is_dead_every_question_is_an_error_with_its_reason_in_the_log(dead: Dead) -> None:
    top = dead.mount.path
    for name, ask in questions(top).items():
        until(lambda ask=ask: is_error(answer(ask)), f"{name} is an error", 5)  # type: ignore[misc]
    log = dead.mount.log.read_text()
    assert "Transport endpoint is not connected" in log
    assert "Traceback" not in log


@by_server
def test_while_the_store_is_dead_no_report_says_that_it_is_empty(dead: Dead) -> None:
    def told() -> bool:
        given = answer(lambda: blobs_told(dead.mount.path))
        assert is_error(given) or given == dead.blobs, "a report says that blobs are gone"
        return is_error(given)

    until(told, "the report is an error", 8)


@by_server
def test_a_mount_recovers_when_its_dead_store_is_back(dead: Dead) -> None:
    dead.disk.back()
    until(lambda: answer(lambda: listed(dead.mount.path / "app")) == ["v0", "v1", "v2"], "recovered", 5)


@by_server
def test_a_new_mount_is_right_after_the_store_was_dead(dead: Dead, mount: Make) -> None:
    until(lambda: answer(lambda: blobs_told(dead.mount.path)) != dead.blobs, "the old one met it", 10)
    dead.mount.end()
    dead.disk.back()
    made = mount(dead.store)
    assert listed(made.path / "app") == ["v0", "v1", "v2"]
    assert blobs_told(made.path) == dead.blobs
