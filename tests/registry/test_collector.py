"""What regfs calls needed and needless, against what the registry's own collector keeps and deletes.

The collector is 2.8.2's, run on stores that real registries wrote and on small ones that were built with one
fault each. Where it goes another way than regfs, a test of its own says so; what it would delete, the summary
must know in every case.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.catalogue import Reports
from regfs.store import Contents, LocalStore, locate
from tests.builder import Blob, StoreBuilder
from tests.registry.api import Api
from tests.registry.collector import AbortedError, Collection, collect, count_and_size, stored
from tests.registry.conftest import Filled
from tests.registry.pushes import push_image
from tests.registry.random_pushes import RandomPushes, States
from tests.registry.server import Registry
from tests.registry.truth import PACKED, Truth

pytestmark = pytest.mark.registry

Row = dict[str, Any]
StartRegistry = Callable[[], Registry]

ALARMS = {"collector-deletes", "manifest-lost"}


class Told:
    """What regfs tells of one store, looked at anew for each answer."""

    def __init__(self, root: Path, cache: Path | None) -> None:
        path = locate(str(root))
        store = LocalStore(path)
        # On a clock that stands still no refresh takes time, and none is believed for longer than that.
        self.index = ReferenceIndex(store, path, cache, ttl=0, clock=lambda: 0.0)
        self._reports = Reports(self.index, Contents(store))

    def rows(self, report: str) -> list[Row]:
        with self._reports.making(report) as table:
            names = [column.name for column in table.columns]
            return [dict(zip(names, row, strict=True)) for row in table.rows]

    def orphans(self) -> set[str]:
        return {row["digest"] for row in self.rows("orphans")}

    def states(self) -> States:
        found = States(set(), set(), set())
        for row in self.rows("blobs"):
            getattr(found, row["state"]).add(row["digest"])
        assert found.orphaned == self.orphans()
        return found

    def tags(self) -> dict[tuple[str, str], str | None]:
        return {(row["repository"], row["tag"]): row["digest"] for row in self.rows("tags")}

    def untagged(self) -> dict[tuple[str, str], str]:
        """Give what each image that no tag names is needed as; empty for most."""
        return {(row["repository"], row["digest"]): row["needed_as"] for row in self.rows("untagged")}

    def summary(self, section: str, item: str) -> Row:
        (row,) = (row for row in self.rows("summary") if (row["section"], row["item"]) == (section, item))
        return row

    def stored(self) -> tuple[int, int]:
        """Give the number of blobs and their bytes, as the summary has them."""
        rows = [self.summary("stored", state) for state in States._fields]
        return sum(row["count"] for row in rows), sum(row["size"] for row in rows)

    def findings(self) -> set[tuple[str, str, str]]:
        """Give kind, repository and tag of what is wrong."""
        found = self.rows("broken")
        assert all((row["severity"] == "alarm") == (row["kind"] in ALARMS) for row in found)
        return {(row["kind"], row["repository"], row["tag"]) for row in found}

    def everything(self) -> dict[str, list[Row]]:
        names = ("repositories", "tags", "blobs", "untagged", "orphans", "uploads", "broken", "summary")
        # The number of a blob, which sets the order of this one, tells when it was first seen.
        return {name: sorted(self.rows(name), key=str) for name in names}


Tell = Callable[[Path], Told]


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Tell]:
    """Give a function that has regfs tell of a store, with a new index each time."""
    made: list[Told] = []

    def make(root: Path) -> Told:
        made.append(Told(root, tmp_path / f"cache{len(made)}"))
        return made[-1]

    yield make
    for told in made:
        told.index.close()


class Pushed(NamedTuple):
    """A store that was filled at random, and the truth about it."""

    root: Path
    pushes: RandomPushes


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Pushed:
    """A store of several hundred pushes; its registry has ended. Tests only read it."""
    directory = tmp_path_factory.mktemp("random")
    registry = Registry(directory / "root", directory)
    try:
        pushes = RandomPushes(registry.api, 20240203)
        pushes.run(480)
    finally:
        registry.end()
    assert pushes.pushes > 350
    assert pushes.deletions > 30
    assert pushes.uploads > 5
    assert all(len(state) > 50 for state in pushes.states())
    assert stored(registry.root) == pushes.stored
    return Pushed(registry.root, pushes)


def copy_of(root: Path, directory: Path) -> Path:
    return Path(shutil.copytree(root, directory / "copy"))


def would_go(root: Path, told: Told) -> tuple[Collection, Collection]:
    """Run the collector dry, without and with `-m`, and see that regfs's summary knows what would go."""
    collections = collect(root), collect(root, untagged=True)
    for item, collection in zip(("garbage-collect", "garbage-collect -m"), collections, strict=True):
        row = told.summary("would be freed by", item)
        assert (row["count"], row["size"]) == count_and_size(root, collection.blobs)
        # What a collection takes of tagged images stands beside it in words.
        harm = told.states().tagged & collection.blobs
        assert row["note"].endswith("of it tags need!") == bool(harm)
    return collections


# --- what nobody needs -----------------------------------------------------------------------------


def test_the_states_are_those_that_the_pushes_made(pushed: Pushed, tell: Tell) -> None:
    told = tell(pushed.root)
    assert told.states() == pushed.pushes.states()
    assert told.tags() == pushed.pushes.tags
    assert told.findings() - {("upload", "", "")} == set()


def test_the_collector_takes_the_orphans_and_nothing_else(pushed: Pushed, tell: Tell) -> None:
    told = tell(pushed.root)
    plain, _ = would_go(pushed.root, told)
    assert plain.blobs == told.orphans()
    assert plain.manifests == set()


def test_with_m_it_takes_what_no_tag_leads_to_and_what_is_in_a_tagged_index(
    pushed: Pushed, tell: Tell
) -> None:
    told = tell(pushed.root)
    _, untagged = would_go(pushed.root, told)
    states = told.states()
    tags = pushed.pushes.tags.values()
    needed = pushed.pushes.reach(tags)
    assert states.orphaned | states.untagged <= untagged.blobs
    assert pushed.pushes.stored.keys() - needed <= untagged.blobs
    # The collector looks one step from a tag: of an index it keeps the children's manifests, and no more.
    manifests = pushed.pushes.manifests
    near = pushed.pushes.reach(tags, children=False)
    near |= {child for digest in tags for child in manifests[digest].children}
    assert needed - untagged.blobs == near
    assert len(untagged.blobs & needed) > 10


def test_of_a_store_with_every_case_it_takes_the_orphans_and_the_layer_pushed_as_sha512(
    filled: Filled, tell: Tell
) -> None:
    told = tell(filled.registry.root)
    plain, _ = would_go(filled.registry.root, told)
    orphans = told.orphans()
    assert len(orphans) > 10
    assert plain.blobs == orphans | sha512_layer(filled.registry.api)
    assert told.findings() == {("collector-deletes", "odd/sha512", "v1")}


def test_of_a_store_with_every_case_it_takes_with_m_what_no_tag_leads_to_and_three_things_more(
    filled: Filled, tell: Tell
) -> None:
    told = tell(filled.registry.root)
    _, untagged = would_go(filled.registry.root, told)
    states = told.states()
    images = [
        filled.registry.api.manifest(repository, tag)
        for repository, tags in filled.pushed.tags.items()
        for tag in tags
    ]
    assert len(images) > 35
    near, far = set[str](), set[str]()
    for repository, tags in filled.pushed.tags.items():
        for tag in tags:
            near |= led_to(filled.registry.api, repository, tag, deep=False)
            far |= led_to(filled.registry.api, repository, tag, deep=True)
    here = stored(filled.registry.root).keys()
    near, far = near & here, far & here
    referrers = states.tagged - far - sha512_layer(filled.registry.api)
    assert untagged.blobs == here - near
    assert untagged.blobs - states.orphaned - states.untagged == (
        (far - near) | sha512_layer(filled.registry.api) | referrers
    )
    # The tag by the referrers' schema leads to the one referrer as to a child of an index.
    assert referrers == set()
    assert far - near > set()


def sha512_layer(api: Api) -> set[str]:
    (layer,) = api.manifest("odd/sha512", "v1").document["layers"]
    assert layer["digest"].startswith("sha512:")
    return {digest_of(api.blob("odd/sha512", layer["digest"]))}


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def led_to(api: Api, repository: str, reference: str, *, deep: bool) -> set[str]:
    """Ask the API what a manifest names, and itself; `deep`: with all that the children of an index name."""
    manifest = api.manifest(repository, reference)
    document = manifest.document
    children = [child["digest"] for child in document.get("manifests", ())]
    named = [layer["blobSum"] for layer in document.get("fsLayers", ())]
    named += [layer["digest"] for layer in (document.get("config"), *document.get("layers", ())) if layer]
    below = (led_to(api, repository, child, deep=True) for child in children if deep)
    return {manifest.digest, *named, *children}.union(*below)
