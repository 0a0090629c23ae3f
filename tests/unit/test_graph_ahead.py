"""The graph over a storage that may be slow: what it asks for ahead; the test holds up the answers."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from threading import Event

import pytest

from regfs.errors import BlobMissingError, GivenUpError
from regfs.graph import Graph
from regfs.oci import Digest
from regfs.registry import Contents
from regfs.registry.pace import Pace
from regfs.registry.side_by_side import SideBySide
from regfs.storage import FileStat
from tests.builder import StoreBuilder
from tests.unit.fakes import CountingStore
from tests.unit.ground import TTL, Ground
from tests.unit.test_side_by_side import NAMES, SOON, until


class SteppingStore(CountingStore):
    """A store whose answers can be held up, below paths with some text in them."""

    def __init__(self, ground: Ground) -> None:
        super().__init__(ground.local)
        self.held = ""
        self.go = Event()

    def stat(self, path: str, below: str = "") -> FileStat:
        found = super().stat(path, below)
        if self.held and self.held in path:
            assert self.go.wait(SOON)
        return found


class Always(Pace):
    """The pace of a store that is slow, or fast."""

    def __init__(self, *, slow: bool) -> None:
        super().__init__()
        self.slow = self.far = slow

    def took(self, began: float) -> None:
        """Learn nothing."""

    def expired(self) -> bool:
        return False


class Far:
    """A store with tags `v000` and on, and the graph that reads it ahead."""

    def __init__(self, store: StoreBuilder, tags: int, *, slow: bool = True) -> None:
        self.ground = Ground(store)
        self.clock = self.ground.clock
        self.images = [store.image("app", name, config=store.config(n=name)) for name in NAMES[:tags]]
        self.store = SteppingStore(self.ground)
        self.given_up = Event()
        self.aside = SideBySide(self.given_up.is_set, Always(slow=slow))
        self.graph = Graph(
            Contents(self.store), ttl=TTL, aside=self.aside, clock=self.clock, pause=self.clock.pause
        )

    def settled(self) -> None:
        until(lambda: not self.aside.busy)


@pytest.fixture
def far(store: StoreBuilder) -> Iterator[Far]:
    far = Far(store, 40)
    yield far
    far.store.go.set()
    far.graph.close()


def links(far: Far) -> int:
    return far.store.count("stat", "current/link")


def test_of_a_fast_store_nothing_is_read_ahead(store: StoreBuilder) -> None:
    far = Far(store, 10, slow=False)
    far.graph.listing("app")
    for _ in range(2):
        far.graph.tag_pushed("app", "v000")
        far.graph.tag_entered("app", "v000")
    assert links(far) == 1
    assert not far.aside.busy


def test_the_times_of_all_tags_are_read_with_the_first(far: Far) -> None:
    far.graph.listing("app")
    pushed = [far.graph.tag_pushed("app", "v000")]
    far.settled()
    assert links(far) == 40
    pushed += [far.graph.tag_pushed("app", name) for name in NAMES[1:40]]
    assert links(far) == 40
    assert pushed == [os.stat(far.ground.built.tag_link("app", name)).st_mtime_ns for name in NAMES[:40]]


def test_nothing_is_read_ahead_of_a_tag_that_no_listing_led_to(far: Far) -> None:
    far.graph.tag_pushed("app", "v000")
    far.settled()
    assert links(far) == 1


def test_a_time_read_ahead_is_believed_for_a_ttl_and_no_longer(far: Far) -> None:
    far.graph.listing("app")
    far.graph.tag_pushed("app", "v000")
    far.settled()
    before = far.graph.tag_pushed("app", "v020")
    os.utime(far.ground.built.tag_link("app", "v020"), (1, 1))
    far.clock.now += TTL - 0.001
    assert far.graph.tag_pushed("app", "v020") == before
    far.clock.now += 0.001
    assert far.graph.tag_pushed("app", "v020") == 1_000_000_000


def test_images_that_follow_are_read_ahead_with_all_that_they_name(far: Far) -> None:
    far.graph.listing("app")
    for name in NAMES[:8]:
        far.graph.tag_entered("app", name)
    far.settled()
    calls = far.store.calls.total()
    for name in NAMES[1:40]:
        manifest = far.graph.manifest("app", far.graph.tag("app", name))
        for descriptor in manifest.layers:
            far.graph.blob("app", descriptor.digest)
    assert far.store.calls.total() == calls


def test_what_a_listed_manifest_names_is_read_ahead(far: Far) -> None:
    outline = far.graph.outline("app", Digest.parse(far.images[0].digest))
    far.graph.listed("app", outline)
    far.settled()
    assert all(far.store.count("stat", layer.digest.hex) == 1 for layer in outline.layers)


def test_a_reader_does_not_read_again_what_is_under_way(far: Far) -> None:
    far.graph.listing("app")
    far.store.held = "v001/current/link"
    far.graph.tag_pushed("app", "v000")
    until(lambda: far.store.count("stat", "v001/current/link"))
    reader = threading.Thread(target=far.graph.tag_pushed, args=("app", "v001"))
    reader.start()
    reader.join(0.1)
    assert reader.is_alive()
    far.store.go.set()
    reader.join(SOON)
    assert far.store.count("stat", "v001/current/link") == 1


def test_what_is_stuck_holds_up_no_other_reader_and_can_be_given_up(far: Far) -> None:
    far.graph.listing("app")
    far.store.held = "v001/current/link"
    far.graph.tag_pushed("app", "v000")
    until(lambda: far.store.count("stat", "v001/current/link"))
    for name in NAMES[2:40]:
        far.graph.tag_pushed("app", name)
    far.given_up.set()
    with pytest.raises(GivenUpError):
        far.graph.tag_pushed("app", "v001")


def test_what_fails_while_it_is_read_ahead_is_met_by_the_reader_and_not_kept(far: Far) -> None:
    data = far.ground.built.data(far.images[1].digest)
    raw = data.read_bytes()
    data.unlink()
    far.graph.listing("app")
    far.graph.tag_entered("app", "v000")
    far.settled()
    digest = far.graph.tag("app", "v001")
    with pytest.raises(BlobMissingError):
        far.graph.manifest("app", digest)
    data.write_bytes(raw)
    assert far.graph.manifest("app", digest).raw == raw


def test_a_listing_that_expires_under_a_walk_is_read_anew_as_a_whole(far: Far) -> None:
    far.graph.listing("app")
    far.graph.tag_pushed("app", "v000")
    far.settled()
    far.clock.now += TTL
    listed = far.store.count("list")
    for name in NAMES[1:40]:
        assert far.graph.find("app", name).tag
    assert far.store.count("list") == listed + 2
    assert far.store.count("stat", "app/v") == 0
