"""The index while a real registry pushes, deletes and collects."""

import threading
import time
from pathlib import Path

import pytest

from regfs.graph.index import Need
from tests.builder import StoreBuilder
from tests.registry.collector import AbortedError, collect
from tests.registry.random_pushes import RandomPushes
from tests.registry.server import Registry
from tests.registry.told import Row, StartRegistry, Tell, would_go

pytestmark = pytest.mark.registry

#: After so many seconds an index believes what it has read of a directory until that changes.
SETTLED = 2.6


def test_pushes_deletions_and_collections_show_the_next_time_that_regfs_looks(
    start_registry: StartRegistry, tell: Tell
) -> None:
    registry = start_registry()
    pushes = RandomPushes(registry.api, 7)
    pushes.run(5)
    told = tell(registry.root)

    def see() -> None:
        states = pushes.states()
        assert told.states() == states
        assert told.orphans() == states.orphaned
        assert told.tags() == pushes.tags
        would_go(registry.root, told)
        assert told.everything() == tell(registry.root, once=True).everything()

    see()
    pushes.run(80)
    for number in range(6):
        if number in (0, 3):
            see()
            time.sleep(SETTLED)
        pushes.run(8)
        if number in (1, 4):
            see()
            pushes.collected(collect(registry.root, untagged=number == 4, really=True))
        see()
    assert pushes.deletions > 5


def test_what_a_shared_layer_is_called_does_not_depend_on_which_image_was_seen_first(
    tmp_path: Path, tell: Tell
) -> None:
    def tell_of(order: list[bool]) -> list[Row]:
        store = StoreBuilder(tmp_path / f"docker{order[0]}")
        store.now = 1_700_000_000
        told = tell(store.root)
        for docker in order:
            layer = store.layer({"shared": b"by both"}, docker=docker)
            store.image("app", "docker" if docker else "oci", [layer], docker=docker)
            rows = told.rows("blobs")
        return sorted(rows, key=lambda row: row["digest"])

    assert tell_of([True, False]) == tell_of([False, True])


class Working(threading.Thread):
    """Pushes, deletes and collects until it is done."""

    def __init__(self, registry: Registry, pushes: RandomPushes) -> None:
        super().__init__()
        self._registry = registry
        self._pushes = pushes
        self.failure: Exception | None = None

    def run(self) -> None:
        try:
            for _ in range(3):
                self._pushes.run(50)
                self._pushes.collected(collect(self._registry.root, really=True))
            self._pushes.run(30)
        except (AssertionError, OSError, AbortedError) as failure:
            self.failure = failure


def test_an_index_that_is_read_while_the_registry_writes_is_right_in_the_end(
    start_registry: StartRegistry, tell: Tell
) -> None:
    registry = start_registry()
    pushes = RandomPushes(registry.api, 8)
    pushes.run(5)
    told = tell(registry.root)
    working = Working(registry, pushes)
    working.start()
    try:
        while working.is_alive():
            told.everything()
            tell(registry.root, once=True).everything()
    finally:
        working.join()
    assert working.failure is None
    assert told.states() == pushes.states()
    assert told.tags() == pushes.tags
    with told.index.snapshot(*Need) as snapshot:
        assert snapshot.rows("SELECT * FROM finding WHERE kind NOT LIKE 'collector-%'") == []
    assert told.findings() == set()
    assert told.everything() == tell(registry.root, once=True).everything()
