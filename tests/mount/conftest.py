"""What the tests of real mounts share: commands, deadlines, background mounts, directories for all users."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, cannot_run, clear, mount_entry, need, run

__all__ = ["clear", "mount_entry"]  # for the tests of mounts

#: The user whom nothing belongs to.
NOBODY = 65534


def regfs(*arguments: str | Path, **keywords: object) -> subprocess.CompletedProcess[str]:
    """Run the command `regfs`."""
    return run(*REGFS, *arguments, **keywords)


def as_nobody(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Run a program as another user, who is in no group of ours."""
    ids = (f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    return run(need("setpriv"), *ids, "--", *command, cwd="/")


def until(condition: Callable[[], object], what: str, seconds: float = 20) -> None:
    """Wait until a condition holds; fail if it does not within the deadline."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)


def lines(text: str) -> list[str]:
    return [line for line in text.split("\n") if line]


def mounts_below(path: Path) -> list[Path]:
    """List the mountpoints below a directory."""
    entries = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    return [Path(entry[1]) for entry in entries if Path(entry[1]).is_relative_to(path)]


def processes_with(argument: Path | str) -> set[int]:
    """Find the processes that have an argument in their command line."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (directory / "cmdline").read_bytes().split(b"\0")
            state = (directory / "stat").read_text().rpartition(") ")[2][:1]
        except OSError:  # it has ended meanwhile
            continue
        if os.fsencode(argument) in arguments and state != "Z":
            found.add(int(directory.name))
    return found


def snapshot(top: Path) -> Mapping[str, bytes]:
    """Read every plain file below a directory, without following symlinks."""
    found = {}
    for directory, _, names in os.walk(top):
        for name in names:
            path = Path(directory, name)
            if not path.is_symlink():
                found[str(path.relative_to(top))] = path.read_bytes()
    return found


@pytest.fixture
def as_root() -> None:
    """Skip where the tests do not run as root."""
    if os.geteuid() != 0:
        cannot_run("only root can do this")


@pytest.fixture
def mountpoint(tmp_path: Path, fuse: None) -> Iterator[Path]:
    """An empty directory to mount at; whatever is mounted there after the test is unmounted."""
    path = tmp_path / "mnt"
    path.mkdir()
    yield path
    clear(path)


@pytest.fixture
def public(as_root: None) -> Iterator[Path]:
    """A directory that every user can enter; pytest's own is for its user alone."""
    path = Path(tempfile.mkdtemp(prefix="regfs-test-", dir="/var/tmp"))
    path.chmod(0o755)
    yield path
    for entry in mounts_below(path):
        clear(entry)
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def mount_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Mount]]:
    """As `mount`, for all tests of a file."""
    if not os.path.exists("/dev/fuse"):
        cannot_run("there is no /dev/fuse")
    need("fusermount")
    mounts: list[Mount] = []

    def make(store: Path, options: str = "") -> Mount:
        mounts.append(Mount(store, tmp_path_factory.mktemp("mnt"), options))
        return mounts[-1]

    yield make
    for made in mounts:
        made.end()


@pytest.fixture
def library(public: Path) -> StoreBuilder:
    """A store that every user can read."""
    store = StoreBuilder(public / "registry")
    store.image("team/app", "1.0")
    return store
