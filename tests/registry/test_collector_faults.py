"""Where the collector goes another way than regfs, on stores with one fault each: a test says so, and why.

What it would delete, the summary must know in every case.
"""

import random
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.builder import Blob, StoreBuilder
from tests.registry.collector import AbortedError, collect, count_and_size, digest_of, stored
from tests.registry.pushes import OCI_CONFIG, OCI_LAYER, OCI_MANIFEST, push_document, push_index
from tests.registry.random_pushes import States
from tests.registry.told import ALARMS, Pushed, StartRegistry, Tell, copy_of, would_go

pytestmark = pytest.mark.registry


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
    assert told.findings() == {("collector-deletes", "app", "v1"), ("unlinked", "app", "v1")}


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
    assert plain.blobs == orphan | lost
    assert (states.orphaned, states.unknown) == (orphan, lost)
    assert untagged.blobs == states.orphaned | states.untagged | lost
    assert told.findings() == {("manifest-lost", "app", "v1")}


def test_an_untagged_manifest_that_is_lost_is_damage_and_no_alarm(store: StoreBuilder, tell: Tell) -> None:
    image = build(store, "app", None, "what nobody can tell any more")
    build(store, "app", "v1", "another")
    store.data(image.manifest.digest).unlink()
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == told.states().unknown == {image.config.digest, image.layer.digest}
    assert told.orphans() == set()
    assert told.findings() == {("manifest", "app", "")}


def test_a_child_that_is_lost_while_the_repository_holds_it_is_an_alarm(
    store: StoreBuilder, tell: Tell
) -> None:
    lost, kept = (build(store, "app", None, name) for name in ("lost", "kept"))
    store.index("app", "latest", [image.manifest.descriptor() for image in (lost, kept)])
    store.data(lost.manifest.digest).unlink()
    told = tell(store.root)
    plain, _ = would_go(store.root, told)
    assert plain.blobs == told.states().unknown == {lost.config.digest, lost.layer.digest}
    assert told.orphans() == set()
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
    else:
        assert image.digests < states.untagged
    assert states.orphaned == orphan
    assert told.findings() == {("link", "app", "")}
    never_tagged = set() if tag else {("collector-m-stops", "app")}
    assert told.stops() == {("collector-stops", "app")} | never_tagged
    for item in ("garbage-collect", "garbage-collect -m"):
        row = told.summary("would be freed by", item)
        assert (row["count"], row["note"].partition(" at ")[0]) == (0, "nothing: it ends with an error")
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
    assert image.digests == states.unknown
    assert told.findings() == {("tag-link", "app", "v1")}
    assert told.stops() == {("collector-m-stops", "app")}
    assert told.summary("would be freed by", "garbage-collect -m")["note"].startswith("nothing: it ends")
    assert told.tags()["app", "v1"] is None


def test_a_tag_without_a_link_is_skipped_by_the_collector(store: StoreBuilder, tell: Tell) -> None:
    orphan = build_sound(store)
    image = build(store, "app", "v1", "behind no link")
    store.tag_link("app", "v1").unlink()
    told = tell(store.root)
    plain, untagged = would_go(store.root, told)
    states = told.states()
    assert plain.blobs == orphan == states.orphaned
    assert image.digests == states.unknown
    assert untagged.blobs == states.orphaned | states.untagged | states.unknown
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
    assert told.stops() == {("collector-m-stops", "app")}
    assert told.summary("would be freed by", "garbage-collect -m")["note"].startswith("nothing: it ends")


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
    assert told.states() == States(
        {image.manifest.digest}, set(), set(), image.digests - {image.manifest.digest}
    )
    assert told.findings() == {("manifest-lost", "app", "v1")}
    assert told.stops() == {("collector-stops", "app")}


def test_a_link_to_a_revision_that_holds_the_digest_of_another_is_an_alarm(
    store: StoreBuilder, tell: Tell
) -> None:
    """Only a thorough look, as for `broken`, reads links of the right length: no registry writes such."""
    one, two = (build(store, "app", name, name) for name in ("one", "two"))
    store.revision_link("app", one.manifest.digest).write_text(two.manifest.digest)
    told = tell(store.root)
    assert told.alarms() == {("collector-deletes", "app", "one")}
    plain, untagged = would_go(store.root, told)
    assert plain.blobs == untagged.blobs == one.digests
    assert told.orphans() == set()


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
