"""The index against a naive model of the store, and a refreshed index against one that was built anew."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regfs.graph.index import Need, ReferenceIndex, Role
from regfs.graph.reports.catalogue import REPORTS, Reports
from regfs.graph.reports.formats import Format, render
from regfs.page.document import ImageFlag
from regfs.registry import Contents
from regfs.storage import FileStat, LocalStorage
from tests.builder import StoreBuilder
from tests.property.conftest import tried
from tests.property.model import Model
from tests.property.stores import Pusher

#: A little longer than clocks of file systems tick, in seconds.
TICK = 0.02


class CoarseStore(LocalStorage):
    """A store on a file system whose clock ticks every two seconds, as FAT's and some NFS servers' do."""

    def stat(self, path: str, below: str = "") -> FileStat:
        return coarse(super().stat(path, below))

    def examine(self, path: str, limit: int, below: str = "") -> tuple[FileStat, bytes]:
        found, content = super().examine(path, limit, below)
        return coarse(found), content

    @contextmanager
    def at(self, path: str) -> Iterator[CoarseStore]:
        with super().at(path) as below:
            inner = CoarseStore(below.root)
            try:
                yield inner
            finally:
                inner.close()

    def find(self, path: str, depth: int, leaf: str, likely: str = "") -> list[tuple[str, FileStat | None]]:
        return [
            (name, coarse(found) if isinstance(found, FileStat) else found)
            for name, found in super().find(path, depth, leaf, likely)
        ]

    def stamps(self, paths: Iterable[str]) -> list[int]:
        return [ticked(stamp) for stamp in super().stamps(paths)]


def coarse(found: FileStat) -> FileStat:
    return found._replace(mtime_ns=ticked(found.mtime_ns), changed_ns=ticked(found.changed_ns))


def ticked(time: int) -> int:
    return time - time % 2_000_000_000


class Ground:
    """A store, and indexes of it that are each kept in a directory of their own."""

    def __init__(self, directory: Path, kind: type[LocalStorage] = LocalStorage) -> None:
        self.store = StoreBuilder(directory / "registry")
        self._kind = kind
        self._directory = directory

    @contextmanager
    def index(self, cache: str) -> Iterator[tuple[ReferenceIndex, Reports]]:
        """Open the index that is kept in a directory of this name."""
        store = self._kind(str(self.store.v2))
        index = ReferenceIndex(store, str(self.store.v2), self._directory / cache, ttl=0)
        try:
            yield index, Reports(index, Contents(store))
        finally:
            index.close()
            store.close()


@contextmanager
def grounds(kind: type[LocalStorage] = LocalStorage) -> Iterator[Ground]:
    with tempfile.TemporaryDirectory() as directory:
        yield Ground(Path(directory), kind)


def report(reports: Reports, name: str) -> list[dict[str, str]]:
    with reports.making(name) as table:
        return list(csv.DictReader("".join(render(table, Format.CSV)).splitlines()))


# --- the model ---------------------------------------------------------------------------------------


@tried(0.4)
@given(st.data())
def test_every_report_says_what_the_model_says(data: st.DataObject) -> None:
    with grounds() as ground, ground.index("cache") as (_, reports):
        pusher = Pusher(data.draw, ground.store)
        pusher.steps(12)
        if data.draw(st.booleans()):
            pusher.damages(2)
        check(Model.of(ground.store.v2), reports)


def check(model: Model, reports: Reports) -> None:
    states = model.states()
    blobs = report(reports, "blobs")
    assert {row["digest"]: row["state"] for row in blobs} == states
    assert {row["digest"]: int(row["size"]) for row in blobs} == model.blobs
    orphans = report(reports, "orphans")
    assert sorted(row["digest"] for row in orphans) == sorted(d for d in states if states[d] == "orphaned")
    unknown = report(reports, "unknown")
    assert sorted(row["digest"] for row in unknown) == sorted(d for d in states if states[d] == "unknown")
    check_tags(model, report(reports, "tags"))
    check_untagged(model, report(reports, "untagged"))
    check_repositories(model, report(reports, "repositories"))
    uploads = {(row["repository"], row["upload"]): int(row["size"]) for row in report(reports, "uploads")}
    assert uploads == model.uploads
    check_summary(model, report(reports, "summary"))
    check_page(model, reports.page().decode())


def check_page(model: Model, page: str) -> None:
    """The page's parts are the states, and what its map draws is each byte once."""
    parts = {
        kind: int(size)
        for kind, size in re.findall(r'<li data-kind="(\w+)".*?<data value="(\d+)"', page, re.DOTALL)
    }
    found = dict.fromkeys(("tagged", "untagged", "orphaned", "unknown"), 0)
    for digest, state in model.states().items():
        found[state] += model.blobs[digest]
    assert parts["own"] + parts["shared"] + parts["between"] == found["tagged"]
    assert [parts[state] for state in ("untagged", "orphaned", "unknown")] == [
        found[state] for state in ("untagged", "orphaned", "unknown")
    ]
    assert parts["uploads"] == sum(model.uploads.values())
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    data = json.loads(text)
    images = zip(data["images"]["own"], data["images"]["flags"], strict=True)
    own = sum(size for size, flags in images if not flags & ImageFlag.SEVERAL_REPOSITORIES)
    assert own + sum(size for *_, size in data["places"]) == data["total"] == sum(parts.values())


def check_tags(model: Model, rows: list[dict[str, str]]) -> None:
    assert {(row["repository"], row["tag"]): row["digest"] or None for row in rows} == model.tags
    assert {(row["repository"], row["tag"]): weight(row) for row in rows if row["digest"]} == model.weights(
        "tag"
    )
    for row in rows:
        if row["exclusive"]:
            assert int(row["shared"]) == int(row["size"]) - int(row["exclusive"])
        else:
            assert row["shared"] == ""


def check_untagged(model: Model, rows: list[dict[str, str]]) -> None:
    referrers = {(row["repository"], row["digest"]): bool(row["needed_as"]) for row in rows}
    assert referrers == model.untagged()
    weights = {(row["repository"], row["digest"]): weight(row) for row in rows if not row["needed_as"]}
    assert weights == {
        name: weight for name, weight in model.weights("revision").items() if name in referrers
    }


def check_repositories(model: Model, rows: list[dict[str, str]]) -> None:
    assert {row["repository"]: weight(row) for row in rows} == model.repository_weights()
    for row in rows:
        name = row["repository"]
        assert int(row["tags"]) == sum(where == name for where, _ in model.tags)
        assert int(row["untagged"]) == sum(where == name for where, _ in model.untagged())
        assert int(row["uploads"]) == sum(size for (where, _), size in model.uploads.items() if where == name)


def check_summary(model: Model, rows: list[dict[str, str]]) -> None:
    found = {row["item"]: (int(row["count"]), int(row["size"])) for row in rows if row["section"] == "stored"}
    states = model.states()
    for state in ("tagged", "untagged", "orphaned", "unknown"):
        sizes = [model.blobs[digest] for digest in states if states[digest] == state]
        assert found[state] == (len(sizes), sum(sizes))
    assert found["uploads"] == (len(model.uploads), sum(model.uploads.values()))


def weight(row: dict[str, str]) -> tuple[int, int | None]:
    """Give size and exclusive size; an image of which nothing is stored has none."""
    return int(row["size"] or 0), int(row["exclusive"]) if row["exclusive"] else None if row["size"] else 0


# --- a refresh equals a rebuild ----------------------------------------------------------------------


@tried(0.25)
@given(st.data())
def test_a_refreshed_index_equals_a_new_one(data: st.DataObject) -> None:
    with grounds() as ground:
        change_and_compare(data, ground)


@tried(0.25)
@given(st.data())
def test_a_refresh_that_skips_what_has_its_stamp_equals_a_new_index(data: st.DataObject) -> None:
    """Everything is believed to be settled, as it is on a store that was last written to seconds ago."""
    with grounds() as ground, settled():
        change_and_compare(data, ground, pause=TICK)


@tried(0.15)
@given(st.data())
def test_what_changes_within_the_tick_of_a_slow_clock_is_seen(data: st.DataObject) -> None:
    with grounds(CoarseStore) as ground:
        change_and_compare(data, ground)


@tried(0.2)
@given(st.data())
def test_a_thorough_refresh_after_damage_equals_a_new_index(data: st.DataObject) -> None:
    with grounds() as ground, settled():
        pusher = Pusher(data.draw, ground.store)
        pusher.steps(8)
        with ground.index("kept") as (index, reports):
            index.refresh()
            everything(index, reports)
            time.sleep(TICK)
            pusher.damages(4)
            index.refresh(thorough=True)
            compare(ground, index, reports)


def test_a_manifest_deleted_after_its_tag_moved_away_is_seen_to_be_gone() -> None:
    """As in a repository that is rolled back and cleaned: neither step shows in the time of a directory."""
    with grounds() as ground, settled():
        old = ground.store.image("app", "old", [ground.store.blob(b"old", "x/y")])
        new = ground.store.image("app", "latest", [ground.store.blob(b"new", "x/y")])
        time.sleep(TICK)
        with ground.index("kept") as (index, reports):
            everything(index, reports)
            time.sleep(TICK)
            ground.store.tag("app", "latest", old)
            ground.store.revision_link("app", new.digest).unlink()
            index.refresh()
            compare(ground, index, reports)


def test_an_index_was_created_when_its_first_child_was() -> None:
    with grounds() as ground, ground.index("cache") as (_, reports):
        children = []
        for day in (2, 1, 3):
            config = ground.store.config(created=f"2024-01-0{day}T00:00:00Z")
            children.append(ground.store.image("app", None, [], config).descriptor())
        ground.store.index("app", "built", children)
        ground.store.index("app", "reversed", children[::-1])
        created = {row["tag"]: row["created"] for row in report(reports, "tags")}
    assert created == {"built": "2024-01-02T00:00:00Z", "reversed": "2024-01-03T00:00:00Z"}


@contextmanager
def settled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("regfs.graph.index.update._TICK", 0)
        yield


def change_and_compare(data: st.DataObject, ground: Ground, pause: float = 0) -> None:
    """Change the store once or twice under an index that is kept, and compare it with a new one."""
    pusher = Pusher(data.draw, ground.store)
    pusher.steps(8)
    for _ in range(data.draw(st.integers(1, 2))):
        with ground.index("kept") as (index, reports):
            index.refresh()
            everything(index, reports)
            time.sleep(pause)
            pusher.changes(4)
    with ground.index("kept") as (index, reports):
        index.refresh()
        compare(ground, index, reports)


def compare(ground: Ground, index: ReferenceIndex, reports: Reports) -> None:
    kept = everything(index, reports)
    with ground.index("new") as (index, reports):
        new = everything(index, reports)
        assert not index.refresh().changed
    for name in sorted(kept.keys() | new.keys()):
        assert kept.get(name) == new.get(name), name


def everything(index: ReferenceIndex, reports: Reports) -> dict[str, list[str]]:
    """Give all that the index tells and then holds, in an order of its own, and without what may differ.

    That is: numbers of rows, stamps, which of many paths a blob has for an example, and what is neither blob,
    link nor upload, which only a thorough pass looks for. `broken` looks at
    every file first; it is the findings, which are among the tables.
    """
    found = {}
    for name in REPORTS.keys() - {"broken"}:
        rows = report(reports, name)
        found[name] = sorted(
            str({key: cell for key, cell in row.items() if key != "example"})
            for row in rows
            if row.get("section") != "beside that"
        )
    with index.snapshot(*Need) as snapshot:
        return found | tables(snapshot.connection)


def tables(connection: sqlite3.Connection) -> dict[str, list[str]]:
    """Give the rows of each table, with digests and repositories in the place of their numbers.

    Digests that are neither stored nor named any more may stay behind, as may empty lists of them, and what
    was read of a blob (`content`, `config`) that nobody asks about now; reports show what is asked of that.
    """
    digests = dict(connection.execute("SELECT id, digest FROM blob"))
    stored = {number for (number,) in connection.execute("SELECT id FROM blob WHERE size IS NOT NULL")}
    names = dict(connection.execute("SELECT id, name FROM repository"))
    meaning = {"blob": digests, "source": digests, "target": digests, "repository": names}
    found = {}
    for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
        if table in ("meta", "place", "content", "config", "elsewhere", "gap"):
            continue
        columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
        rows = []
        for values in connection.execute(f"SELECT * FROM {table}"):
            row = dict(zip(columns, values, strict=True))
            if (table == "blob" and row["size"] is None) or row.get("digests") == b"":
                continue
            if table in ("doubted", "held") and row["blob"] not in stored:
                continue
            if table == "edge":
                place = {Role.ALIAS: names, Role.REFERRER: digests}.get(row["role"], {})
                row["position"] = place.get(row["position"], row["position"])
            kept = {key: value for key, value in row.items() if key not in ("id", "stamp", "gap")}
            rows.append(str({key: meaning.get(key, {}).get(value, value) for key, value in kept.items()}))
        found[f"table {table}"] = sorted(rows)
    return found
