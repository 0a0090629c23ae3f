"""Another process replaces the index under a mount, and SQLite gives its row numbers to other things.

What the kernel holds (a number of a file or directory, an open file, a page, a listing) stands for the same
content all the same.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder
from tests.conftest import REGFS, Mount, output
from tests.mount.conftest import until
from tests.mount.handles import FileHandle, handle_of, open_by_handle

#: Alone: it has the kernel forget what it knows of all mounts.
pytestmark = [pytest.mark.fuse, pytest.mark.alone]

#: Tags, and bytes of each layer: many pages, of which some are read only after the index was replaced.
TAGS = 12
LAYER = 1 << 20

#: Seconds after which the index believes the stamps of what was just made.
SETTLED = 3.0
TTL = 0.5


class Pushed(NamedTuple):
    """What one tag named in one round: the bytes of its manifest, its config and its layer."""

    manifest: bytes
    config: bytes
    layer: bytes


def push_all(store: StoreBuilder, round_: int) -> dict[str, Pushed]:
    """Move each tag to another image; the repositories come in another order each time."""
    found = {}
    for number in sorted(range(TAGS), reverse=round_ % 2 == 1):
        seed = hashlib.sha256(f"{round_} {number}".encode()).digest()
        layer = store.blob(seed * (LAYER // len(seed)), "x/y")
        config = store.config(round=round_, number=number)
        name = f"team{number % 3}/app"
        manifest = store.image(name, f"v{number}", [layer], config)
        found[f"{name}/v{number}"] = Pushed(*(content(store, blob) for blob in (manifest, config, layer)))
    return found


def content(store: StoreBuilder, blob: Blob) -> bytes:
    return store.data(blob.digest).read_bytes()


def rows() -> dict[int, str]:
    """Tell which blob has which row of the index."""
    (below,) = (Path(os.environ["XDG_CACHE_HOME"]) / "regfs").glob("graph-*/*")
    file = below / (below / "current").read_text()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as index:
        return dict(index.execute("SELECT id, digest FROM blob"))


def build_index(store: StoreBuilder) -> None:
    """Have another process build the index, in place of the one that there is."""
    time.sleep(SETTLED)
    shutil.rmtree(Path(os.environ["XDG_CACHE_HOME"]) / "regfs", ignore_errors=True)
    output(*REGFS, "index", store.root)


class Held:
    """A tag's directory and files as somebody holds them open, half of the layer read."""

    def __init__(self, place: Path) -> None:
        self.directory = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        names = ("manifest.json", "config.json", "layers/00.bin")
        self.files = [os.open(name, os.O_RDONLY, dir_fd=self.directory) for name in names]
        os.pread(self.files[2], LAYER // 2, 0)

    def close(self) -> None:
        for descriptor in (*self.files, self.directory):
            os.close(descriptor)

    def read(self) -> Pushed:
        """Read the open files, some of it from memory, some not."""
        for descriptor in self.files[:2]:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        return Pushed(*(os.pread(descriptor, 2 * LAYER, 0) for descriptor in self.files))

    def read_by_name(self) -> Pushed:
        """Open the files anew, by their names in the directory that is open."""
        assert set(os.listdir(self.directory)) == {"manifest.json", "config.json", "layers"}
        found = []
        for name in ("manifest.json", "config.json", "layers/00.bin"):
            descriptor = os.open(name, os.O_RDONLY, dir_fd=self.directory)
            found.append(os.pread(descriptor, 2 * LAYER, 0))
            os.close(descriptor)
        return Pushed(*found)


@contextmanager
def holding(top: Path, names: Iterable[str]) -> Iterator[dict[str, Held]]:
    held = {name: Held(top / name) for name in names}
    try:
        yield held
    finally:
        for each in held.values():
            each.close()


def read_by_handle(top: Path, handle: FileHandle) -> bytes | None:
    """Read the file that the kernel has under a number; None where it has forgotten it."""
    try:
        descriptor = open_by_handle(top, handle)
    except OSError as error:
        if error.errno != errno.ESTALE:
            raise
        return None
    try:
        return os.pread(descriptor, 2 * LAYER, 0)
    finally:
        os.close(descriptor)


def read(place: Path) -> Pushed:
    return Pushed(
        *((place / name).read_bytes() for name in ("manifest.json", "config.json", "layers/00.bin"))
    )


def test_row_numbers_that_are_used_again_stand_for_nothing_else(
    store: StoreBuilder, mount: Callable[..., Mount], as_root: None
) -> None:
    first = push_all(store, 0)
    build_index(store)
    before = rows()
    top = mount(store, f"ttl={TTL}").path
    output("find", top, "-ls")
    told = [(handle_of(top / name / "config.json"), pushed.config) for name, pushed in first.items()]
    assert all(read_by_handle(top, handle) == config for handle, config in told)
    with holding(top, first) as held:
        for round_ in (1, 2):
            gone = [Path(path) for path in store.v2.glob("repositories/*/app/_manifests/tags/v0")]
            for path in gone:
                shutil.rmtree(path)
            now = push_all(store, round_)
            build_index(store)
            until(lambda now=now: all(read(top / name) == now[name] for name in now), "all has moved")  # type: ignore[misc]
            output("find", top, "-ls")
            assert {name: each.read() for name, each in held.items()} == first
            assert {name: each.read_by_name() for name, each in held.items()} == first
            assert {name: read(top / name) for name in now} == now
            assert all(read_by_handle(top, handle) == config for handle, config in told), "held open"
        reused = [number for number, digest in rows().items() if before.get(number, digest) != digest]
        assert len(reused) > TAGS, "rows that were given to other blobs"
    Path("/proc/sys/vm/drop_caches").write_text("2")
    assert all(read_by_handle(top, handle) in (None, config) for handle, config in told), "or forgotten"
