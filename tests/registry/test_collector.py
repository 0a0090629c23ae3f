"""What regfs calls needed and needless, against what the registry's own collector keeps and deletes.

The collector is 2.8.2's, run on stores that real registries wrote and on small ones that were built with one
fault each. Where it goes another way than regfs, a test of its own says so; what it would delete, the summary
must know in every case.
"""

from __future__ import annotations

import copy
import hashlib
import math
import random
import shutil
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from regfs.graph.index import ReferenceIndex
from regfs.graph.reports.catalogue import REPORTS, Reports
from regfs.store import Contents, LocalStore, locate
from tests.builder import Blob, StoreBuilder
from tests.registry.api import Api
from tests.registry.collector import AbortedError, Collection, collect, count_and_size, stored
from tests.registry.conftest import Filled
from tests.registry.pushes import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, push_document, push_index
from tests.registry.random_pushes import RandomPushes, States
from tests.registry.server import Registry
from tests.registry.truth import PACKED, Truth

pytestmark = pytest.mark.registry

Row = dict[str, Any]
StartRegistry = Callable[[], Registry]

ALARMS = {"collector-deletes", "manifest-lost"}


class Told:
    """What regfs tells of one store, looked at anew for each answer; or once for all."""

    def __init__(self, root: Path, cache: Path | None, *, once: bool = False) -> None:
        path = locate(str(root))
        store = LocalStore(path)
        # On a clock that stands still no refresh takes time, and none is believed for longer than that.
        ttl = math.inf if once else 0.0
        self.index = ReferenceIndex(store, path, cache, ttl=ttl, clock=lambda: 0.0)
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

    def alarms(self) -> set[tuple[str, str, str]]:
        return {found for found in self.findings() if found[0] in ALARMS}

    def everything(self) -> dict[str, list[Row]]:
        # This one looks at more than the others, and the summary counts what it found.
        found = {"broken": self.rows("broken")}
        found |= {name: self.rows(name) for name in REPORTS}
        # They are told in the order in which they were first seen.
        found["blobs"].sort(key=lambda row: row["digest"])
        return found


Tell = Callable[..., Told]


@pytest.fixture
def tell(tmp_path: Path) -> Iterator[Tell]:
    """Give a function that has regfs tell of a store, with a new index each time: `tell(root)`."""
    made: list[Told] = []

    def make(root: Path, *, once: bool = False) -> Told:
        made.append(Told(root, tmp_path / f"cache{len(made)}", once=once))
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
        pushes.run(420)
    finally:
        registry.end()
    assert pushes.pushes > 300
    assert pushes.deletions > 30
    assert pushes.uploads > 5
    assert all(len(state) > 30 for state in pushes.states())
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
    states = pushed.pushes.states()
    assert told.states() == states
    assert told.orphans() == states.orphaned
    assert told.tags() == pushed.pushes.tags
    assert told.findings() == set()


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


def test_with_m_it_takes_the_images_that_regfs_calls_untagged_and_the_children_of_indexes(
    pushed: Pushed, tell: Tell
) -> None:
    pushes = pushed.pushes
    told = tell(pushed.root).untagged()
    _, untagged = would_go(pushed.root, tell(pushed.root))
    manifests = {(name, digest) for name, there in pushes.revisions.items() for digest in there}
    assert untagged.manifests == manifests - {(name, digest) for (name, _), digest in pushes.tags.items()}
    assert told.keys() < untagged.manifests
    referrers = 0
    for repository, there in pushes.revisions.items():
        tags = [digest for (name, _), digest in pushes.tags.items() if name == repository]
        shown, needed = pushes.reach(tags), pushes.reach(tags, referrers=True)
        mine = {digest: why for (name, digest), why in told.items() if name == repository}
        assert mine.keys() == there.keys() - shown
        assert {digest for digest, why in mine.items() if why == "referrer of a tagged image"} == (
            mine.keys() & needed
        )
        referrers += len(mine.keys() & needed)
    assert referrers > 2


def test_of_a_store_with_every_case_it_takes_the_orphans_and_the_layer_pushed_as_sha512(
    filled: Filled, tell: Tell
) -> None:
    told = tell(filled.registry.root)
    plain, _ = would_go(filled.registry.root, told)
    orphans = told.orphans()
    assert len(orphans) == 10
    assert plain.blobs == orphans | sha512_layer(filled.registry.api)
    assert told.findings() == {("collector-deletes", "odd/sha512", "v1")}


def test_of_a_store_with_every_case_it_takes_with_m_what_no_tag_leads_to_and_two_things_more(
    filled: Filled, tell: Tell
) -> None:
    root, api = filled.registry.root, filled.registry.api
    told = tell(root)
    _, untagged = would_go(root, told)
    tags = [(repository, tag) for repository, tags in filled.pushed.tags.items() for tag in tags]
    near = set[str]().union(*(led_to(api, *tag, deep=False) for tag in tags))
    far = set[str]().union(*(led_to(api, *tag, deep=True) for tag in tags))
    here = stored(root).keys()
    assert untagged.blobs == here - near
    states = told.states()
    # The one referrer there has a tag that leads to it, as the spec has it for registries without the API.
    assert states.tagged == (far & here) | sha512_layer(api)
    more = untagged.blobs - states.orphaned - states.untagged
    assert more == ((far - near) & here) | sha512_layer(api)
    assert len(more) > 5
    assert len(states.untagged) > 10


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


# --- where the collector goes another way ----------------------------------------------------------


class Image(NamedTuple):
    manifest: Blob
    config: Blob
    layer: Blob

    @property
    def digests(self) -> set[str]:
        return {blob.digest for blob in self}


def build(store: StoreBuilder, repository: str, tag: str | None, content: str, **keys: object) -> Image:
    """Build an image whose blobs are its own."""
    layer = store.layer({"content": content.encode()})
    config = store.config(author=content)
    return Image(store.image(repository, tag, [layer], config, **keys), config, layer)


def build_sound(store: StoreBuilder) -> set[str]:
    """Build a tagged image, an untagged one and an orphan, beside what a test is about; gives the orphan."""
    build(store, "sound/app", "v1", "tagged")
    build(store, "sound/app", None, "untagged")
    return {store.blob(b"nobody's").digest}


def test_with_m_it_takes_what_the_children_of_a_tagged_index_hold(store: StoreBuilder, tell: Tell) -> None:
    """Registries from 3.0 on keep it (distribution 601b37d98)."""
    orphan = build_sound(store)
    images = [build(store, "app", None, architecture) for architecture in ("amd64", "arm64")]
    inner = store.index("app", None, [images[1].manifest.descriptor()])
    outer = store.index("app", "latest", [images[0].manifest.descriptor(), inner.descriptor()])
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan == states.orphaned
    needed = {outer.digest, inner.digest}.union(*(image.digests for image in images))
    assert needed < states.tagged
    assert untagged.blobs - states.orphaned - states.untagged == needed - {
        outer.digest,
        inner.digest,
        images[0].manifest.digest,
    }
    assert told.findings() == set()
    assert {name for name, _ in told.untagged()} == {"sound/app"}


def test_referrers_of_a_tagged_image_are_tagged_and_with_m_they_go(store: StoreBuilder, tell: Tell) -> None:
    orphan = build_sound(store)
    subject = build(store, "app", "v1", "subject")
    signature = build(store, "app", None, "signature", subject=subject.manifest.descriptor())
    over = build(store, "app", None, "signature of it", subject=signature.manifest.descriptor())
    other = build(store, "app", None, "another", subject=Blob(f"sha256:{'12' * 32}", 3, "").descriptor())
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan == states.orphaned
    assert subject.digests | signature.digests | over.digests < states.tagged
    assert other.digests < states.untagged
    assert untagged.blobs - states.orphaned - states.untagged == signature.digests | over.digests
    shown = {digest: why for (repository, digest), why in told.untagged().items() if repository == "app"}
    assert shown == {
        signature.manifest.digest: "referrer of a tagged image",
        over.manifest.digest: "referrer of a tagged image",
        other.manifest.digest: "",
    }
    assert told.findings() == set()


def test_referrers_of_a_child_of_a_tagged_index_are_tagged(store: StoreBuilder, tell: Tell) -> None:
    child = build(store, "app", None, "child")
    store.index("app", "latest", [child.manifest.descriptor()])
    signature = build(store, "app", None, "signature", subject=child.manifest.descriptor())
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == set()
    assert signature.digests < untagged.blobs
    assert signature.digests < told.states().tagged
    assert told.untagged() == {("app", signature.manifest.digest): "referrer of a tagged image"}


def test_a_referrer_whose_subject_lost_its_last_tag_is_untagged(store: StoreBuilder, tell: Tell) -> None:
    build(store, "app", "v1", "another")
    subject = build(store, "app", None, "subject")
    signature = build(store, "app", None, "signature", subject=subject.manifest.descriptor())
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == told.orphans() == set()
    assert told.states().untagged == subject.digests | signature.digests
    assert list(told.untagged().values()) == ["", ""]


def test_a_layer_pushed_as_sha512_is_tagged_and_an_alarm_says_that_it_would_go(
    store: StoreBuilder, tell: Tell
) -> None:
    orphan = build_sound(store)
    content = b"a layer that no other image has"
    layer = store.sha512_layer("app", content, "application/vnd.oci.image.layer.v1.tar")
    config = store.config()
    manifest = store.image("app", "v1", [layer], config)
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan | {digest_of(content)}
    assert {manifest.digest, config.digest, digest_of(content)} < states.tagged
    assert states.orphaned == orphan
    assert untagged.blobs == states.orphaned | states.untagged | {digest_of(content)}
    assert told.findings() == {("collector-deletes", "app", "v1")}
    (row,) = told.rows("broken")
    assert row["digest"] == digest_of(content)


@pytest.mark.parametrize("algorithm", ["sha384", "sha512"])
def test_a_registry_takes_configs_and_layers_by_other_algorithms_and_each_is_an_alarm(
    algorithm: str, start_registry: StartRegistry, tell: Tell
) -> None:
    registry = start_registry()
    contents = b'{"os": "linux", "architecture": "amd64"}', b"a layer"
    types = OCI_CONFIG, OCI_LAYER
    for position, tag in enumerate(("config", "layer")):
        pushed = [registry.api.push_blob("app", *pair) for pair in zip((b"{}", b""), types, strict=True)]
        pushed[position] = registry.api.push_blob(
            "app", contents[position], types[position], algorithm=algorithm
        )
        push_document(registry.api, "app", tag, OCI_MANIFEST, config=pushed[0], layers=pushed[1:])
    told = tell(registry.root)
    plain, untagged = would_go(registry.root, told)
    assert plain.blobs == untagged.blobs == {digest_of(content) for content in contents}
    assert told.states() == States(set(stored(registry.root)), set(), set())
    assert told.findings() == {("collector-deletes", "app", "config"), ("collector-deletes", "app", "layer")}


def test_a_layer_pushed_as_sha512_and_as_sha256_too_stays(store: StoreBuilder, tell: Tell) -> None:
    content = b"a layer with two names"
    layer = store.sha512_layer("app", content, "application/vnd.oci.image.layer.v1.tar")
    store.image("app", "v1", [layer])
    store.image("app", None, [store.blob(content)])
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == set()
    # Without a tag, the second name is none that counts.
    assert digest_of(content) in untagged.blobs
    assert told.findings() == set()


def test_a_build_cache_whose_index_names_layers_is_sound(start_registry: StartRegistry, tell: Tell) -> None:
    """As BuildKit writes one with `--cache-to type=registry`: what the index names are no manifests."""
    registry = start_registry()
    api = registry.api
    layer = api.push_blob("cache", b"\x1f\x8b a layer", f"{OCI_LAYER}+gzip")
    config = api.push_blob("cache", b'{"layers":[]}', "application/vnd.buildkit.cacheconfig.v0")
    index = push_index(api, "cache", "main", [layer.descriptor(), config.descriptor()])
    told = tell(registry.root)
    plain, untagged = would_go(registry.root, told)
    assert plain.blobs == untagged.blobs == told.orphans() == set()
    assert told.states().tagged == {index.digest, layer.digest, config.digest}
    assert told.findings() == set()


@pytest.mark.parametrize("directory_too", [False, True])
def test_a_tag_whose_revision_is_gone_is_tagged_and_an_alarm_says_that_it_would_go(
    directory_too: bool, store: StoreBuilder, tell: Tell
) -> None:
    orphan = build_sound(store)
    image = build(store, "app", "v1", "tagged by a link alone")
    link = store.revision_link("app", image.manifest.digest)
    link.unlink()
    if directory_too:
        link.parent.rmdir()
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan | image.digests
    assert image.digests < states.tagged
    assert states.orphaned == orphan
    assert untagged.blobs == states.orphaned | states.untagged | image.digests
    assert told.findings() == {("collector-deletes", "app", "v1")}


def test_a_tag_of_a_manifest_that_only_another_repository_holds_is_no_alarm(
    store: StoreBuilder, tell: Tell
) -> None:
    image = build(store, "app", "v1", "held by the other")
    build(store, "other", "v1", "another")
    store.revision("other", image.manifest)
    store.revision_link("app", image.manifest.digest).unlink()
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == set()
    assert untagged.blobs == image.digests < told.states().tagged
    assert told.alarms() == set()


def test_a_child_of_a_tagged_index_that_was_deleted_is_an_alarm(store: StoreBuilder, tell: Tell) -> None:
    kept, gone = (build(store, "app", None, name) for name in ("kept", "gone"))
    store.index("app", "latest", [image.manifest.descriptor() for image in (kept, gone)])
    store.revision_link("app", gone.manifest.digest).unlink()
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == {gone.config.digest, gone.layer.digest}
    assert gone.digests < told.states().tagged
    assert told.orphans() == set()
    assert told.findings() == {("collector-deletes", "app", "latest"), ("unlinked", "app", "latest")}


def test_the_summary_counts_the_same_whether_the_broken_were_asked_for_or_not(
    store: StoreBuilder, tell: Tell
) -> None:
    child = build(store, "app", None, "child")
    store.index("app", "latest", [child.manifest.descriptor()])
    link = store.revision_link("app", child.manifest.digest)
    link.unlink()
    told = tell(store.root)
    before = [told.summary("wrong", item)["count"] for item in ("alarm", "damage", "note")]
    assert told.findings() == {("collector-deletes", "app", "latest"), ("unlinked", "app", "latest")}
    after = [told.summary("wrong", item)["count"] for item in ("alarm", "damage", "note")]
    assert before == after == [1, 1, 0]
    store.revision("app", child.manifest)
    assert [told.summary("wrong", item)["count"] for item in ("alarm", "damage", "note")] == [0, 0, 0]


def test_a_child_of_an_untagged_index_that_was_deleted_is_no_alarm(store: StoreBuilder, tell: Tell) -> None:
    kept = build(store, "app", "v1", "kept")
    gone = build(store, "app", None, "gone")
    index = store.index("app", None, [gone.manifest.descriptor()])
    store.revision_link("app", gone.manifest.digest).unlink()
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == {gone.config.digest, gone.layer.digest}
    states = told.states()
    assert states.tagged == kept.digests
    assert states.untagged == gone.digests | {index.digest}
    assert told.alarms() == set()


def test_a_tagged_manifest_that_is_lost_is_an_alarm_and_its_layers_would_go(
    store: StoreBuilder, tell: Tell
) -> None:
    orphan = build_sound(store)
    image = build(store, "app", "v1", "what nobody can tell any more")
    store.data(image.manifest.digest).unlink()
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    lost = {image.config.digest, image.layer.digest}
    assert plain.blobs == orphan | lost == states.orphaned
    assert untagged.blobs == states.orphaned | states.untagged
    assert told.findings() == {("manifest-lost", "app", "v1")}


def test_an_untagged_manifest_that_is_lost_is_damage_and_no_alarm(store: StoreBuilder, tell: Tell) -> None:
    image = build(store, "app", None, "what nobody can tell any more")
    build(store, "app", "v1", "another")
    store.data(image.manifest.digest).unlink()
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == told.orphans() == {image.config.digest, image.layer.digest}
    assert told.findings() == {("manifest", "app", "")}


def test_a_child_that_is_lost_while_the_repository_holds_it_is_an_alarm(
    store: StoreBuilder, tell: Tell
) -> None:
    lost, kept = (build(store, "app", None, name) for name in ("lost", "kept"))
    store.index("app", "latest", [image.manifest.descriptor() for image in (lost, kept)])
    store.data(lost.manifest.digest).unlink()
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == told.orphans() == {lost.config.digest, lost.layer.digest}
    assert told.findings() == {("manifest-lost", "app", "latest")}


@pytest.mark.parametrize("tag", ["v1", None])
def test_an_empty_link_to_a_revision_stops_the_collector_and_not_regfs(
    tag: str | None, store: StoreBuilder, tell: Tell
) -> None:
    orphan = build_sound(store)
    image = build(store, "app", tag, "beside an empty link")
    store.revision_link("app", image.manifest.digest).write_bytes(b"")
    for untagged in (False, True):
        with pytest.raises(AbortedError, match="invalid checksum digest format"):
            collect(store.root, untagged=untagged)
    told = tell(store.root)
    states = told.states()
    if tag:
        assert image.digests < states.tagged
        assert states.orphaned == orphan
        assert told.findings() == {("link", "app", ""), ("collector-deletes", "app", "v1")}
    else:
        assert states.orphaned == orphan | image.digests
        assert told.findings() == {("link", "app", "")}
    link = next(row for row in told.rows("broken") if row["kind"] == "link")
    assert link["digest"] == image.manifest.digest
    assert (store.v2 / link["path"]) == store.revision_link("app", image.manifest.digest)


def test_an_empty_link_of_a_tag_stops_the_collector_with_m_and_not_regfs(
    store: StoreBuilder, tell: Tell
) -> None:
    orphan = build_sound(store)
    image = build(store, "app", "v1", "behind an empty link")
    store.tag_link("app", "v1").write_bytes(b"")
    with pytest.raises(AbortedError, match="invalid checksum digest format"):
        collect(store.root, untagged=True)
    told = tell(store.root)
    states = told.states()
    plain = collect(store.root).blobs
    assert plain == orphan == states.orphaned
    row = told.summary("would be freed by", "garbage-collect")
    assert (row["count"], row["size"]) == count_and_size(store.root, plain)
    assert image.digests < states.untagged
    assert told.findings() == {("tag-link", "app", "v1")}
    assert told.tags()["app", "v1"] is None


def test_a_tag_without_a_link_is_skipped_by_the_collector(store: StoreBuilder, tell: Tell) -> None:
    orphan = build_sound(store)
    image = build(store, "app", "v1", "behind no link")
    store.tag_link("app", "v1").unlink()
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan == states.orphaned
    assert image.digests < states.untagged
    assert untagged.blobs == states.orphaned | states.untagged
    assert told.findings() == {("tag-link", "app", "v1")}


def test_a_repository_without_layers_is_passed_over_and_an_alarm_says_so(
    store: StoreBuilder, tell: Tell
) -> None:
    """Registries from 3.0 on know a repository by `_manifests`, and abort there."""
    orphan = build_sound(store)
    image = build(store, "team/app", "v1", "in a repository that the collector does not see")
    other = build(store, "team/app", None, "and without a tag")
    below = build(store, "team/app/below", "v1", "in one below it")
    shutil.rmtree(store.repository("team/app") / "_layers")
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan | image.digests | other.digests
    assert states.orphaned == orphan
    assert image.digests | below.digests < states.tagged
    assert other.digests < states.untagged
    assert untagged.blobs == states.orphaned | states.untagged | image.digests
    assert told.alarms() == {("collector-deletes", "team/app", "v1")}


def test_a_repository_that_never_had_a_tag_stops_the_collector_with_m_and_not_regfs(
    store: StoreBuilder, tell: Tell
) -> None:
    orphan = build_sound(store)
    image = build(store, "app", None, "pushed by its digest")
    with pytest.raises(AbortedError, match="failed to retrieve tags unknown repository name=app"):
        collect(store.root, untagged=True)
    told = tell(store.root)
    plain = collect(store.root).blobs
    assert plain == told.orphans() == orphan
    row = told.summary("would be freed by", "garbage-collect")
    assert (row["count"], row["size"]) == count_and_size(store.root, plain)
    assert image.digests < told.states().untagged
    assert told.findings() == set()


def test_with_m_a_repository_whose_last_tag_was_deleted_is_emptied(store: StoreBuilder, tell: Tell) -> None:
    image = build(store, "app", "v1", "tagged")
    shutil.rmtree(store.tag_link("app", "v1").parent.parent)
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == told.orphans() == set()
    assert untagged.blobs == image.digests == told.states().untagged
    assert told.findings() == set()


def test_a_repository_of_uploads_alone_changes_nothing(store: StoreBuilder, tell: Tell) -> None:
    orphan = build_sound(store)
    store.upload("started", b"half")
    store.upload("sound/app", b"half")
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == told.orphans() == orphan


@pytest.mark.parametrize("content", [b"", b"cut short"])
def test_a_layer_of_another_size_is_damage_that_the_collector_does_not_see(
    content: bytes, store: StoreBuilder, tell: Tell
) -> None:
    image = build(store, "app", "v1", "damaged")
    store.data(image.layer.digest).write_bytes(content)
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == untagged.blobs == told.orphans() == set()
    assert told.findings() == {("size", "app", "v1")}


def test_an_empty_manifest_stops_the_collector_and_is_an_alarm(store: StoreBuilder, tell: Tell) -> None:
    image = build(store, "app", "v1", "empty")
    store.data(image.manifest.digest).write_bytes(b"")
    for untagged in (False, True):
        with pytest.raises(AbortedError):
            collect(store.root, untagged=untagged)
    told = tell(store.root)
    assert told.states().tagged == {image.manifest.digest}
    assert told.findings() == {("manifest-lost", "app", "v1")}


@pytest.mark.xfail(strict=True, reason="a link of the right size is believed to hold its own digest")
def test_a_link_to_a_revision_that_holds_the_digest_of_another_is_an_alarm(
    store: StoreBuilder, tell: Tell
) -> None:
    one, two = (build(store, "app", name, name) for name in ("one", "two"))
    store.revision_link("app", one.manifest.digest).write_text(two.manifest.digest)
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == untagged.blobs == one.digests
    assert told.orphans() == set()
    assert told.alarms() == {("collector-deletes", "app", "one")}


def test_what_the_collector_does_not_know_in_a_store_changes_nothing(store: StoreBuilder, tell: Tell) -> None:
    """What registries from 3.1 on leave behind when they crash, and what later ones may add."""
    orphan = build_sound(store)
    image = build(store, "app", "v1", "tagged")
    link = store.revision_link("app", image.manifest.digest)
    link.with_name("link.0190.tmp").write_text(image.manifest.digest)
    store.data(image.layer.digest).with_name("data.0190.tmp").write_bytes(b"half")
    store.write(store.repository("app") / "_referrers/sha256/ab/link", "sha256:ab")
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == orphan == told.orphans()
    assert not image.digests & untagged.blobs


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_lost_the_summary_knows_what_would_go(
    seed: int, pushed: Pushed, tell: Tell, tmp_path: Path
) -> None:
    root = copy_of(pushed.root, tmp_path)
    lost = lose(root / "docker/registry/v2", random.Random(seed))
    told = tell(root)
    _, untagged = would_go(root, told)
    assert lost
    assert told.orphans() <= untagged.blobs
    found = {kind for kind, _, _ in told.findings()}
    assert found - {"unlinked", "tag-link", "manifest", "missing", "size"} <= ALARMS
    assert found & ALARMS


def lose(v2: Path, chance: random.Random) -> list[Path]:
    """Lose files and directories of a store, some of each kind, none that stops the collector."""
    patterns = {
        "repositories/**/_manifests/revisions/sha256/*/link": 12,
        "repositories/**/_manifests/tags/*/current/link": 3,
        "repositories/**/_manifests/tags/*/current": 2,
        "repositories/**/_manifests/tags/*": 2,
        "repositories/**/_layers/sha256/*/link": 5,
        "repositories/app/_layers": 1,
        "repositories/team/a/_manifests": 1,
        "blobs/sha256/*/*/data": 12,
        "blobs/sha256/*/*": 12,
        "blobs/sha256/*": 3,
    }
    lost = []
    for pattern, count in patterns.items():
        for path in chance.sample(sorted(v2.glob(pattern)), count):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            lost.append(path)
    return lost


# --- after a collection ----------------------------------------------------------------------------


def see_collected(root: Path, told: Told, *, untagged: bool) -> Collection:
    """Collect, and see that regfs tells of what is left; `told` was asked before."""
    would = would_go(root, told)[untagged]
    assert told.stored() == count_and_size(root, stored(root))
    done = collect(root, untagged=untagged, really=True)
    assert done == would
    assert told.orphans() == set()
    left = stored(root)
    assert told.stored() == (len(left), sum(left.values()))
    again = would_go(root, told)[untagged]
    assert again == Collection(set(), set())
    return done


@pytest.mark.parametrize("untagged", [False, True])
def test_after_a_collection_there_is_no_orphan_and_the_sizes_are_those_of_the_files(
    untagged: bool, pushed: Pushed, tell: Tell, tmp_path: Path
) -> None:
    root = copy_of(pushed.root, tmp_path)
    told = tell(root)
    pushes = copy.deepcopy(pushed.pushes)
    pushes.collected(see_collected(root, told, untagged=untagged))
    assert told.states() == pushes.states()
    assert told.everything() == tell(root, once=True).everything()


@pytest.mark.parametrize("untagged", [False, True])
def test_after_a_collection_of_a_store_with_every_case_too(
    untagged: bool, filled: Filled, tell: Tell, tmp_path: Path
) -> None:
    root = copy_of(filled.registry.root, tmp_path)
    told = tell(root)
    see_collected(root, told, untagged=untagged)
    lost = {("missing", "odd/sha512", "v1")}
    if untagged:
        indexes = {tag for tag in filled.pushed.tags["multi/index"] if tag != "empty"}
        images = {("multi/index", tag) for tag in indexes} | {("multi/list", "latest")}
        lost |= {(kind, *image) for kind in ("missing", "unlinked") for image in images}
        # The index by the referrers' schema: what its child holds is tagged besides.
        (referrers,) = (
            tag
            for tag in filled.pushed.tags["artifacts/sbom"]
            if tag.startswith("sha256-") and not tag.endswith(".sig")
        )
        lost.add(("unlinked", "artifacts/sbom", referrers))
    assert told.findings() == lost
    assert told.everything() == tell(root, once=True).everything()


def test_uploads_are_summed_up_beside_the_blobs(pushed: Pushed, tell: Tell) -> None:
    files = [path for path in pushed.root.glob("**/_uploads/*/**/*") if path.is_file()]
    size = sum(path.stat().st_size for path in files)
    told = tell(pushed.root)
    uploads, both = told.summary("stored", "uploads"), told.summary("stored", "all")
    assert (uploads["count"], uploads["size"]) == (pushed.pushes.uploads, size)
    count, blobs = told.stored()
    assert (both["count"], both["size"]) == (count + pushed.pushes.uploads, blobs + size)


# --- while the registry works ----------------------------------------------------------------------

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
    with told.index.reading() as connection:
        assert connection.execute("SELECT * FROM finding").fetchall() == []
    assert told.findings() == set()
    assert told.everything() == tell(registry.root, once=True).everything()


# --- other versions --------------------------------------------------------------------------------

TRUTH = Truth.packed()
ALL = sorted(TRUTH.stores)
WHOLE = [store for store in ALL if store.endswith(("before", "after"))]


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("stores")
    with tarfile.open(PACKED / "stores.tar.xz") as archive:
        # The safe filter is the default only from Python 3.14 on, and to name none is a warning before.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(directory)
    return directory


@pytest.mark.parametrize("store_name", ALL)
def test_every_tag_of_another_version_has_the_digest_that_the_api_said(
    store_name: str, unpacked: Path, tell: Tell
) -> None:
    said = {
        (repository, tag): digest or None
        for served in (True, False)
        for repository, tag, digest in TRUTH.tags(store_name, served=served)
    }
    assert len(said) > 2
    assert tell(unpacked / store_name).tags() == said


@pytest.mark.parametrize("store_name", ALL)
def test_what_is_wrong_in_the_store_of_another_version_is_what_its_api_failed_on(
    store_name: str, unpacked: Path, tell: Tell
) -> None:
    said = TRUTH.stores[store_name]["repositories"]
    told = tell(unpacked / store_name)
    assert told.alarms() == set()
    rows = told.rows("broken")
    # Each says of which image it is, if no tag leads there.
    assert all(row["tag"] or row["image"] for row in rows)
    wrong = {
        kind: [row for row in rows if row["kind"] == kind] for kind in sorted({row["kind"] for row in rows})
    }
    missing = {row["digest"] for row in wrong.pop("missing", ())}
    assert missing == (TRUTH.absent.keys() if store_name in WHOLE else missing & TRUTH.absent.keys())
    dangling = {(row["repository"], row["tag"], "") for row in wrong.pop("tag-link", ())}
    assert dangling == set(TRUTH.tags(store_name, served=False))
    unlinked = {(row["repository"], row["digest"]) for row in wrong.pop("unlinked", ())}
    assert wrong == {}
    refused = {(repository, digest) for repository, found in said.items() for digest in found["unserved"]}
    for repository, found in said.items():
        refused |= {(repository, digest) for digest, status in found["revisions"].items() if status == 404}
    assert unlinked <= refused
    assert ("gone/blob" in {repository for repository, _ in unlinked}) == (store_name in WHOLE)


@pytest.mark.parametrize("version", ["2.7.1", "3.0.0"])
def test_another_version_collected_with_m_what_regfs_had_called_orphaned_and_untagged(
    version: str, unpacked: Path, tell: Tell
) -> None:
    """Between the two, each registry's own collector ran. The children of its indexes had tags as well."""
    before, after = (unpacked / f"{version}/store-{name}" for name in ("before", "after"))
    states = tell(before).states()
    gone = stored(before).keys() - stored(after).keys()
    assert states.orphaned | states.untagged == gone
    assert len(states.orphaned) == 10
    then = tell(after).states()
    assert then == States(states.tagged, set(), set())


@pytest.mark.parametrize("store_name", ALL)
def test_the_orphans_in_the_store_of_another_version_are_what_the_collector_takes(
    store_name: str, unpacked: Path, tell: Tell
) -> None:
    told = tell(unpacked / store_name)
    try:
        plain, _ = would_go(unpacked / store_name, told)
    except AbortedError:
        # An empty link of a tag stops it with -m.
        assert store_name.endswith("store-crash")
        plain = collect(unpacked / store_name)
    assert plain.blobs == told.orphans()
