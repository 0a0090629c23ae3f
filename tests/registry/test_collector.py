"""The registry's own collector keeps what regfs calls needed, and deletes what it calls orphaned.

The collector is 2.8.2's, run on stores that a real registry wrote.
"""

import copy
from pathlib import Path

import pytest

from tests.registry.api import Api
from tests.registry.collector import Collection, collect, count_and_size, digest_of, stored
from tests.registry.conftest import Filled
from tests.registry.told import Pushed, Tell, Told, copy_of, would_go

pytestmark = pytest.mark.registry


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


def led_to(api: Api, repository: str, reference: str, *, deep: bool) -> set[str]:
    """Ask the API what a manifest names, and itself; `deep`: with all that the children of an index name."""
    manifest = api.manifest(repository, reference)
    document = manifest.document
    children = [child["digest"] for child in document.get("manifests", ())]
    named = [layer["blobSum"] for layer in document.get("fsLayers", ())]
    named += [layer["digest"] for layer in (document.get("config"), *document.get("layers", ())) if layer]
    below = (led_to(api, repository, child, deep=True) for child in children if deep)
    return {manifest.digest, *named, *children}.union(*below)


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
