"""`regfs umount`, and what is left behind by a regfs that was killed."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import Mount, need, output, run
from tests.mount.conftest import clear, mount_entry, processes_with, regfs, until

pytestmark = pytest.mark.fuse


@pytest.fixture
def mounted(store: StoreBuilder, mountpoint: Path) -> Path:
    """A background mount."""
    store.image("team/app", "1.0")
    done = regfs("mount", store.root, mountpoint)
    assert done.returncode == 0, done.stderr
    return mountpoint


@pytest.fixture
def killed(mounted: Path) -> Path:
    """The mountpoint of a regfs that was killed."""
    (process,) = processes_with(mounted)
    os.kill(process, signal.SIGKILL)
    # A process whose first thread has ended looks gone while others still hold the descriptor.
    until(lambda: "not connected" in run("ls", mounted).stderr, "the process is gone")
    return mounted


def test_umount_takes_the_mount_away(mounted: Path) -> None:
    done = regfs("umount", mounted)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert mount_entry(mounted) is None
    done = regfs("umount", mounted)
    assert done.returncode != 0
    assert "not mounted" in done.stderr
    assert str(mounted) in done.stderr


@pytest.mark.parametrize("name", ["nothing", "file", "directory"])
def test_umount_of_what_is_not_mounted_says_so(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "directory").mkdir()
    done = regfs("umount", tmp_path / name)
    assert done.returncode != 0
    assert done.stderr.startswith(f"regfs: mountpoint {tmp_path / name}: ")
    assert len(done.stderr.splitlines()) == 1


def test_umount_of_a_busy_mount_says_what_to_do_and_lazy_does_it(mounted: Path) -> None:
    path = mounted / "team/app/1.0/manifest.json"
    with path.open("rb") as held:
        done = regfs("umount", mounted)
        assert done.returncode != 0
        assert "busy" in done.stderr
        assert "regfs umount --lazy" in done.stderr
        assert path.exists()
        done = regfs("umount", "--lazy", mounted)
        assert done.returncode == 0, done.stderr
        assert os.listdir(mounted) == []
        assert processes_with(mounted)  # it serves the file that is still open
        assert held.read().startswith(b'{"schemaVersion"')
    until(lambda: not processes_with(mounted), "the process ends with the last open file")


def test_a_mount_whose_process_was_killed_can_be_unmounted(killed: Path) -> None:
    done = regfs("umount", killed)
    assert done.returncode == 0, done.stderr
    assert mount_entry(killed) is None


def test_after_kill_9_the_next_mount_clears_what_is_left(killed: Path, store: StoreBuilder) -> None:
    done = regfs("mount", store.root, killed)
    assert done.returncode == 0, done.stderr
    assert os.listdir(killed) == ["team"]
    output("umount", killed)
    assert mount_entry(killed) is None  # the dead mount does not lie below it


def test_after_kill_9_with_a_file_open_the_next_mount_works(mounted: Path, store: StoreBuilder) -> None:
    (process,) = processes_with(mounted)
    held = os.open(mounted / "team/app/1.0/manifest.json", os.O_RDONLY)
    try:
        os.kill(process, signal.SIGKILL)
        until(lambda: not processes_with(mounted), "the process is gone")
        done = regfs("mount", store.root, mounted)
        assert done.returncode == 0, done.stderr
        assert os.listdir(mounted) == ["team"]
    finally:
        with suppress(OSError):  # its file system is gone
            os.close(held)


@pytest.fixture
def dead_bindfs(tmp_path: Path, mountpoint: Path) -> Iterator[Path]:
    """The mountpoint of a bindfs that was killed."""
    (tmp_path / "other").mkdir()
    output(need("bindfs"), tmp_path / "other", mountpoint)
    (process,) = processes_with(mountpoint)
    os.kill(process, signal.SIGKILL)
    until(lambda: not processes_with(mountpoint), "the process is gone")
    yield mountpoint
    clear(mountpoint)


def test_a_dead_mount_of_another_program_is_not_touched(dead_bindfs: Path, store: StoreBuilder) -> None:
    done = regfs("mount", store.root, dead_bindfs)
    assert done.returncode != 0
    assert "dead mount" in done.stderr
    assert f"umount -l {dead_bindfs}" in done.stderr
    source, _, kind, *_ = mount_entry(dead_bindfs) or ["", "", ""]
    assert kind != "fuse.regfs"
    assert source


def test_umount_of_anothers_mount_is_refused(store: StoreBuilder, mountpoint: Path, as_root: None) -> None:
    output("mount", "-t", "tmpfs", "tmpfs", mountpoint)
    done = regfs("umount", mountpoint)
    assert done.returncode != 0
    assert "tmpfs" in done.stderr
    assert (mount_entry(mountpoint) or [])[2] == "tmpfs"


def test_mounts_of_one_store_do_not_disturb_each_other(
    store: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    store.image("team/app", "1.0")
    one, other = mount(store), mount(store)
    assert one.end() == 0
    assert os.listdir(other.path) == ["team"]


def test_a_mount_that_died_in_a_test_is_cleared_away(
    store: StoreBuilder, mount: Callable[..., Mount]
) -> None:
    """stat(2) of it fails, so os.path.ismount says that there is none."""
    made = mount(store)
    made.process.kill()
    made.process.wait()
    until(lambda: not os.path.ismount(made.path), "it is dead")
    assert mount_entry(made.path) is not None
    made.end()
    assert mount_entry(made.path) is None
    assert os.listdir(made.path) == []
