"""The cache directory is on a network that two machines share, or cannot be written: answers stay right."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, cannot_run, need, output
from tests.faults.conftest import images
from tests.mount.conftest import regfs

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]


@pytest.fixture
def shared(tmp_path: Path, fuse: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache directory on a file system that a program serves, as a network's is."""
    place = tmp_path / "shared"
    for path in (place, tmp_path / "server"):
        path.mkdir()
    output(need("bindfs"), tmp_path / "server", place)
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    yield place / "cache"
    output("umount", place)


def test_two_machines_that_share_a_cache_directory_share_no_index(store: StoreBuilder, shared: Path) -> None:
    images(store, 3)
    assert regfs("index", store.root).returncode == 0
    (first,) = (shared / "regfs").glob("graph-*/*")
    before = sorted((path.name, path.stat().st_size) for path in first.iterdir())
    command = [*REGFS, "report", "tags", store.root, "--format", "csv"]
    told = output(
        "unshare", "--uts", "sh", "-c", 'echo other > /proc/sys/kernel/hostname; exec "$@"', "sh", *command
    )
    assert told == output(*command)
    second = set((shared / "regfs").glob("graph-*/*")) - {first}
    assert len(second) == 1
    assert sorted((path.name, path.stat().st_size) for path in first.iterdir()) == before


def test_beside_an_index_that_cannot_be_written_a_mount_and_reports_are_right(
    store: StoreBuilder, mount: Make, cache: Path
) -> None:
    if os.geteuid() != 0:
        cannot_run("only root can mount a directory read-only")
    images(store, 3)
    output(*REGFS, "index", store.root)
    wanted = output(*REGFS, "report", "tags", store.root, "--format", "csv")
    output("mount", "--bind", "-o", "ro", cache, cache)
    output("mount", "-o", "remount,bind,ro", cache)
    try:
        store.image("new", "1.0")
        made = mount(store)
        assert os.listdir(made.path / "new") == ["1.0"]
        done = regfs("report", "tags", store.root, "--format", "csv")
        assert done.returncode == 0, done.stderr
        assert set(done.stdout.splitlines()) > set(wanted.splitlines())
        assert any(line.startswith("new,1.0,") for line in done.stdout.splitlines())
        assert done.stderr.count("no index can be kept") == 1
    finally:
        output("umount", cache)
