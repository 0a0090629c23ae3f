"""The graph beside an index: what it believes of it, what it looks at, and what it reads anew."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from regfs.errors import BlobMissingError, LinkError, MismatchError
from regfs.graph import Graph
from regfs.graph.index import ReferenceIndex
from regfs.graph.index.known import Known
from regfs.graph.outline import Outline
from regfs.oci import Digest
from regfs.registry import Contents, open_local
from tests.builder import StoreBuilder
from tests.unit.fakes import CountingStore, FakeClock

TTL = 10.0

#: Calls that open or list something, as against a look.
READS = ("list", "read", "examine", "open", "find", "at")


class Beside:
    """A store whose every change is some minutes old, its index, and the graph over both."""

    def __init__(self, store: StoreBuilder, cache: Path) -> None:
        self.built = store
        self.clock = FakeClock()
        self.local = open_local(str(store.v2))
        self.store = CountingStore(self.local)
        self.index = ReferenceIndex(self.local, str(store.v2), cache, ttl=0.0)
        self.known = Known(self.index.files, self.clock)
        self.graph = Graph(
            Contents(self.store), ttl=TTL, known=self.known, clock=self.clock, pause=self.clock.pause
        )

    def refresh(self) -> None:
        self.index.refresh()
        self.clock.now += TTL

    def reads(self) -> int:
        return sum(self.store.count(call) for call in READS)

    def walk(self) -> list[object]:
        """Tell all that `find -ls` shows, as the tree asks for it."""
        found: list[object] = []
        for name in self.graph.listing("team").nested:
            repository = f"team/{name}"
            for tag in self.graph.listing(repository).tags:
                outline = self.graph.outline(repository, self.graph.tag(repository, tag))
                parts = [outline.itself, *([outline.config] if outline.config else []), *outline.layers]
                blobs = [self.graph.look(repository, part) for part in parts]
                found.append((tag, self.graph.tag_pushed(repository, tag), blobs))
        return found


@pytest.fixture
def beside(store: StoreBuilder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Beside]:
    for number in range(3):
        store.image("team/app", f"v{number}", config=store.config(n=number))
    store.image("team/app/sub", "1.0")
    store.index("team/app", "all", [store.image("team/app").descriptor(platform={"os": "linux"})])
    # The index believes no stamp that is younger than some seconds: its clock is ahead, as in some seconds.
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60_000_000_000)
    it = Beside(store, tmp_path / "cache")
    it.index.refresh()
    with closing(it.index), closing(it.local), closing(it.graph):
        yield it


def test_a_walk_beside_an_index_reads_nothing_and_says_the_same(beside: Beside) -> None:
    alone = Graph(Contents(beside.local), ttl=TTL, clock=beside.clock, pause=beside.clock.pause)
    told = beside.walk()
    assert len(told) == 4
    assert beside.reads() == 0
    beside.graph, told_alone = alone, beside.graph
    assert [*map(str, beside.walk())] == [*map(str, told)]
    beside.graph = told_alone


def test_within_a_ttl_a_walk_does_not_even_look(beside: Beside) -> None:
    beside.walk()
    calls = beside.store.calls.total()
    beside.clock.now += TTL - 0.001
    beside.walk()
    assert beside.store.calls.total() == calls
    beside.clock.now += 0.001
    beside.walk()
    assert beside.store.calls.total() > calls
    assert beside.reads() == 0


def test_a_push_after_the_index_shows_after_a_ttl(beside: Beside) -> None:
    beside.walk()
    moved = beside.built.image("team/app", "v1", layers=[])
    beside.built.image("team/app", "v9")
    assert "v9" not in beside.graph.listing("team/app").tags
    beside.clock.now += TTL
    assert "v9" in beside.graph.listing("team/app").tags
    assert str(beside.graph.tag("team/app", "v1")) == moved.digest
    assert beside.graph.outline("team/app", Digest.parse(moved.digest)).layers == ()


def test_a_deleted_tag_is_gone_after_a_ttl(beside: Beside) -> None:
    beside.walk()
    tag = beside.built.tag_link("team/app", "v1").parent.parent
    tag.rename(beside.built.root / "deleted")
    beside.clock.now += TTL
    assert "v1" not in beside.graph.listing("team/app").tags


def test_a_collected_blob_is_missing_after_a_ttl(beside: Beside) -> None:
    outline = beside.graph.outline("team/app", beside.graph.tag("team/app", "v0"))
    layer = outline.layers[0]
    assert beside.graph.look("team/app", layer).size == layer.size
    beside.built.data(str(layer.digest)).parent.rename(beside.built.root / "collected")
    assert beside.graph.stored("team/app", layer)
    beside.clock.now += TTL
    assert not beside.graph.stored("team/app", layer)
    with pytest.raises(BlobMissingError):
        beside.graph.look("team/app", layer)


def test_a_manifest_that_is_gone_cannot_be_listed_though_the_index_knows_it(beside: Beside) -> None:
    digest = beside.graph.tag("team/app", "v0")
    beside.built.data(str(digest)).parent.rename(beside.built.root / "collected")
    with pytest.raises(BlobMissingError):
        beside.graph.outline("team/app", digest)


def test_a_manifest_with_another_content_is_told(beside: Beside) -> None:
    digest = beside.graph.tag("team/app", "v0")
    data = beside.built.data(str(digest))
    data.parent.rename(beside.built.root / "away")
    beside.built.write(data, b"{}")
    with pytest.raises(MismatchError):
        beside.graph.outline("team/app", digest)


def test_a_torn_link_is_not_believed_because_of_the_index(beside: Beside) -> None:
    link = beside.built.tag_link("team/app", "v0")
    link.write_bytes(b"")
    os.utime(link, (1, 1))
    with pytest.raises(LinkError):
        beside.graph.tag("team/app", "v0")


def test_an_open_looks_at_the_file_itself(beside: Beside) -> None:
    outline = beside.graph.outline("team/app", beside.graph.tag("team/app", "v0"))
    looked = beside.store.count("stat", outline.layers[0].digest.hex)
    beside.graph.sound_blob("team/app", outline.layers[0])
    assert beside.store.count("stat", outline.layers[0].digest.hex) == looked + 1


def test_what_another_pass_says_is_not_mixed_with_what_was_said_before(beside: Beside) -> None:
    """The stamp of a shard confirms what the index says now, not what was read of it before."""
    before = beside.graph.outline("team/app", beside.graph.tag("team/app", "v0"))
    layer = before.layers[0]
    beside.built.data(str(layer.digest)).parent.rename(beside.built.root / "collected")
    beside.refresh()
    with pytest.raises(BlobMissingError):
        beside.graph.look("team/app", layer)
    after = beside.graph.outline("team/app", before.itself.digest)
    assert after.layers[0].seen is None


def test_who_goes_through_many_blobs_has_all_shards_looked_at_together(
    beside: Beside, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = [beside.built.blob(b"%d" % number, "x/y") for number in range(60)]
    image = beside.built.image("team/app", "many", layers)
    beside.refresh()
    looks: list[int] = []
    stamps = beside.store.stamps

    def counted(paths: Sequence[str]) -> Sequence[int]:
        looks.append(len(paths))
        return stamps(paths)

    monkeypatch.setattr(beside.store, "stamps", counted)
    outline = beside.graph.outline("team/app", Digest.parse(image.digest))
    assert [beside.graph.look("team/app", layer).size for layer in outline.layers]
    shards = {layer.digest.hex[:2] for layer in outline.layers}
    assert looks[:-1] == [1] * len(looks[:-1])
    assert len(looks) < 10 < len(shards) <= looks[-1]
    beside.built.data(layers[-1].digest).parent.rename(beside.built.root / "collected")
    beside.clock.now += TTL
    assert [beside.graph.stored("team/app", layer) for layer in outline.layers] == [True] * 59 + [False]


def test_the_outline_of_an_index_tells_its_platforms_as_its_manifest_does(beside: Beside) -> None:
    digest = beside.graph.tag("team/app", "all")
    known = beside.graph.outline("team/app", digest)
    read = Outline.of_manifest(digest, beside.graph.manifest("team/app", digest))
    assert [child._replace(seen=None) for child in known.children] == list(read.children)
    assert known.children[0].platform == "linux-unknown"


@pytest.mark.parametrize("harm", ["deleted", "damaged", "none"])
def test_without_an_index_that_can_be_read_the_storage_answers(
    beside: Beside, harm: str, tmp_path: Path
) -> None:
    for file in (tmp_path / "cache").rglob("*"):
        if harm == "damaged" and file.name.endswith(".sqlite"):
            file.write_bytes(b"no database" * 1000)
        elif file.is_file() and (harm == "deleted" or file.name == "current"):
            file.unlink()
    beside.clock.now += TTL
    assert len(beside.walk()) == 4
    assert beside.reads() > 0


def test_a_new_file_of_the_index_is_taken(beside: Beside, tmp_path: Path) -> None:
    beside.walk()
    pushed = beside.built.image("team/app", "v5", layers=[])
    for file in (tmp_path / "cache").rglob("current"):
        file.unlink()
    other = ReferenceIndex(beside.local, str(beside.built.v2), tmp_path / "cache", ttl=0.0)
    with closing(other):
        other.refresh()
    beside.clock.now += TTL
    beside.store.calls.clear()
    assert [tag for tag, *_ in beside.walk()][-1] == "v5"
    assert str(beside.graph.tag("team/app", "v5")) == pushed.digest
    assert beside.reads() == 0
