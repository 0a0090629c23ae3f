"""A mount beside an index: what it opens, what it waits for, and what it shows of what has changed since."""

from __future__ import annotations

import fcntl
import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.builder import StoreBuilder
from tests.conftest import REGFS, Mount, need, output
from tests.mount.conftest import until

pytestmark = pytest.mark.fuse

Make = Callable[..., Mount]

#: Seconds after which the index believes the stamps of what was just made.
SETTLED = 3.0


@pytest.fixture
def indexed(store: StoreBuilder) -> StoreBuilder:
    """A store with some images, and its index; all of it some seconds old."""
    for number in range(5):
        store.image("team/app", f"v{number}", config=store.config(n=number))
    store.index("team/app", "all", [store.image("team/app").descriptor(platform={"os": "linux"})])
    time.sleep(SETTLED)
    output(*REGFS, "index", store.root)
    return store


def index_file() -> Path:
    (found,) = (Path(os.environ["XDG_CACHE_HOME"]) / "regfs").glob("graph-*/*/*.sqlite")
    return found


def test_to_list_and_look_at_images_opens_no_file_of_the_store(
    indexed: StoreBuilder, mount: Make, tmp_path: Path
) -> None:
    made = mount(indexed)
    log = tmp_path / "calls"
    with watching(need("strace"), "-f", "-o", log, "-e", "trace=openat,open", "-p", str(made.process.pid)):
        assert len(output("find", made.path, "-ls").splitlines()) > 5 * 5
        made.path.joinpath("team/app/v0/manifest.json").read_bytes()
    opened = re.findall(r'"([^"]*(?:data|link))"', log.read_text())
    assert opened == ["data"], "the manifest that was read, and nothing else"


@contextmanager
def watching(*command: str | Path) -> Iterator[None]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as watcher:
        assert watcher.stderr is not None
        assert "attached" in watcher.stderr.readline()
        yield
        watcher.terminate()


def test_what_has_changed_since_the_index_was_made_shows(indexed: StoreBuilder, mount: Make) -> None:
    moved = indexed.image("team/app", "v1", layers=[])
    indexed.image("team/new", "1.0")
    made = mount(indexed, "ttl=1")
    assert (made.path / "team/app/v1/manifest.json").read_bytes() == indexed.data(moved.digest).read_bytes()
    assert (made.path / "team/new/1.0/config.json").exists()
    indexed.image("team/app", "later")
    until(lambda: (made.path / "team/app/later/manifest.json").exists(), "a push")
    indexed.data(moved.digest).parent.rename(indexed.root / "collected")
    until(lambda: not listable(made.path / "team/app/v1"), "a collection")


def listable(directory: Path) -> bool:
    try:
        return bool(os.listdir(directory))
    except OSError:
        return False


def test_nothing_waits_for_who_writes_into_the_index(indexed: StoreBuilder, mount: Make) -> None:
    """As a `regfs index` from cron does, for as long as it takes."""
    made = mount(indexed)
    file = index_file()
    writing = closing(sqlite3.connect(file, isolation_level=None))
    with writing as writer, (file.parent / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("DELETE FROM tag")
        indexed.image("team/app", "meanwhile")
        assert len(output("timeout", "20", "find", made.path, "-name", "manifest.json").split()) >= 7
        writer.execute("ROLLBACK")


def test_an_index_that_is_deleted_under_the_mount_is_done_without(indexed: StoreBuilder, mount: Make) -> None:
    made = mount(indexed, "ttl=1")
    before = output("find", made.path, "-ls")
    for path in sorted(index_file().parent.parent.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    time.sleep(2.5)
    assert output("find", made.path, "-ls").split() == before.split()
