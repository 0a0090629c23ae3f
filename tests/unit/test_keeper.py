"""What a mount keeps of what it read: there for the next one, and never waited for."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from regfs.errors import DamageError
from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.keeper import Keeper
from regfs.graph.index.known import Known
from regfs.registry import Contents, open_local
from tests.builder import StoreBuilder
from tests.unit.fakes import CountingStore


class Mounts:
    """One graph after the other over a store, as mounts are; and the index that they share."""

    def __init__(self, store: StoreBuilder, cache: Path, stack: ExitStack) -> None:
        self.built = store
        self.cache = cache
        local = stack.enter_context(closing(open_local(str(store.v2))))
        self.index = ReferenceIndex(local, str(store.v2), cache, ttl=0.0)
        stack.callback(self.index.close)
        self._local = local
        self._stack = stack

    def mount(self) -> tuple[Graph, Keeper, CountingStore]:
        counting = CountingStore(self._local)
        keeper = Keeper(self.index.files, pause=3600)
        graph = Graph(Contents(counting), known=Known(self.index.files), keeper=keeper)
        self._stack.callback(graph.close)
        return graph, keeper, counting

    def files(self) -> list[Path]:
        return [path for path in self.cache.rglob("*") if path.is_file()]


@pytest.fixture
def mounts(store: StoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mounts]:
    for number in range(3):
        store.image("app", f"v{number}", config=store.config(n=number))
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)
    with ExitStack() as stack:
        yield Mounts(store, tmp_path / "cache", stack)


def walk(graph: Graph) -> list[object]:
    return [
        (tag, graph.outline("app", graph.tag("app", tag))._replace(itself=None))  # type: ignore[arg-type]
        for tag in graph.listing("app").tags
    ]


def reads(store: CountingStore) -> int:
    return store.count("read") + store.count("examine")


def test_the_next_mount_reads_no_link_and_no_manifest_again(mounts: Mounts) -> None:
    first, keeper, read = mounts.mount()
    seen = walk(first)
    assert reads(read) == 6
    keeper.write()
    second, _, again = mounts.mount()
    assert walk(second) == seen
    assert reads(again) == 0


def test_closing_writes_what_waits(mounts: Mounts) -> None:
    first, _, _ = mounts.mount()
    walk(first)
    first.close()
    second, _, again = mounts.mount()
    walk(second)
    assert reads(again) == 0


def test_a_tag_that_moved_since_is_read_anew(mounts: Mounts) -> None:
    first, keeper, _ = mounts.mount()
    walk(first)
    keeper.write()
    moved = mounts.built.image("app", "v1", layers=[])
    second, _, again = mounts.mount()
    assert str(second.tag("app", "v1")) == moved.digest
    assert reads(again) == 1


def test_a_pass_takes_over_and_says_that_nothing_that_it_knew_has_changed(mounts: Mounts) -> None:
    mounts.index.refresh()
    mounts.built.image("app", "v9")
    first, keeper, _ = mounts.mount()
    walk(first)
    keeper.write()
    assert mounts.index.refresh().changed
    assert not mounts.index.refresh().changed
    (name,) = [path.read_text() for path in mounts.files() if path.name == "current"]
    (file,) = [path for path in mounts.files() if path.name == name]
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT count(*) FROM kept_link").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM kept_manifest").fetchone() == (0,)


def test_reports_say_the_same_whatever_a_mount_kept(mounts: Mounts) -> None:
    first, keeper, _ = mounts.mount()
    walk(first)
    keeper.write()
    done = mounts.index.refresh()
    assert done.first
    assert done.changed


def test_while_another_writes_nothing_waits_and_it_is_kept_later(mounts: Mounts) -> None:
    mounts.index.refresh()
    mounts.built.image("app", "v9")
    (lock,) = [path for path in mounts.files() if path.name == "lock"]
    first, keeper, _ = mounts.mount()
    descriptor = os.open(lock, os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    began = time.monotonic()
    walk(first)
    keeper.write()
    assert time.monotonic() - began < 10
    os.close(descriptor)
    keeper.write()
    second, _, again = mounts.mount()
    assert len(walk(second)) == 4
    assert reads(again) == 0


@pytest.mark.parametrize("harm", ["gone", "another content"])
def test_what_was_kept_hides_no_damage_of_a_manifest(mounts: Mounts, harm: str) -> None:
    first, keeper, _ = mounts.mount()
    walk(first)
    keeper.write()
    data = mounts.built.data(str(first.tag("app", "v1")))
    data.unlink() if harm == "gone" else data.write_bytes(b"{}")
    second, _, _ = mounts.mount()
    with pytest.raises(DamageError):
        second.outline("app", second.tag("app", "v1"))


@pytest.mark.parametrize("harm", ["a file in its place", "deleted under it"])
def test_where_nothing_can_be_kept_the_answers_are_the_same(mounts: Mounts, harm: str) -> None:
    first, keeper, _ = mounts.mount()
    if harm == "a file in its place":
        mounts.cache.write_text("in the way")
    else:
        walk(first)
        keeper.write()
        for path in sorted(mounts.cache.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()
    assert len(walk(first)) == 3
    keeper.write()
    second, _, _ = mounts.mount()
    assert len(walk(second)) == 3
