"""Blobs as the graph finds them: through links, by size, damaged ones told."""

from __future__ import annotations

import pytest

from regfs.errors import (
    BlobMissingError,
    ConfigError,
    ManifestError,
    MismatchError,
    SizeError,
    TooLargeError,
)
from regfs.graph.outline import Named
from regfs.oci import Descriptor, Digest, ImageManifest, Index
from regfs.registry.terms import Role
from tests.unit.ground import TTL, Ground
from tests.unit.trees import content_bytes


def named(digest: Digest) -> Named:
    return Named(Role.LAYER, 0, digest, None)


def test_a_sha512_blob_is_found_through_its_link(ground: Ground) -> None:
    pushed = ground.built.sha512_layer("app", b"content", "text/plain")
    found = ground.graph.blob("app", Digest.parse(pushed.digest))
    assert (found.digest, found.size) == (Digest.of(b"content"), 7)
    assert content_bytes(ground.graph.open_blob(found.digest)) == b"content"


def test_a_sha512_blob_of_another_repository_is_not(ground: Ground) -> None:
    pushed = ground.built.sha512_layer("app", b"content", "text/plain")
    with pytest.raises(BlobMissingError):
        ground.graph.blob("other", Digest.parse(pushed.digest))


def test_a_sha512_manifest_is_found_through_its_revision(ground: Ground) -> None:
    raw = ground.built.data(ground.built.image("app", None).digest).read_bytes()
    pushed = Digest.of(raw, "sha512")
    ground.built.write(ground.built.revision_link("app", str(pushed)), str(Digest.of(raw)))
    assert ground.graph.manifest("app", pushed).raw == raw


def test_a_blob_that_is_stored_under_sha512_itself_is_found(ground: Ground) -> None:
    digest = Digest.of(b"content", "sha512")
    ground.built.write(ground.built.data(str(digest)), b"content")
    assert ground.graph.blob("app", digest).digest == digest


def test_a_blob_must_have_the_size_that_the_manifest_says(ground: Ground) -> None:
    digest = Digest.parse(ground.built.blob(b"content").digest)
    assert ground.graph.sound_blob("app", Descriptor("", digest, 7)).size == 7
    assert ground.graph.sound_blob("app", Descriptor("", digest, None)).size == 7
    with pytest.raises(SizeError) as caught:
        ground.graph.sound_blob("app", Descriptor("", digest, 8))
    assert (caught.value.digest, caught.value.got, caught.value.want) == (str(digest), 7, 8)


def test_a_manifest_of_another_digest_is_damaged(ground: Ground) -> None:
    pushed = ground.built.image("app", "1.0")
    ground.built.data(pushed.digest).write_bytes(b"{}")
    with pytest.raises(MismatchError) as caught:
        ground.graph.manifest("app", Digest.parse(pushed.digest))
    assert (caught.value.digest, caught.value.got) == (pushed.digest, str(Digest.of(b"{}")))


def test_a_manifest_that_is_none_is_told(ground: Ground) -> None:
    with pytest.raises(ManifestError):
        ground.graph.manifest("app", Digest.parse(ground.built.blob(b"{}").digest))


def test_a_manifest_larger_than_registries_accept_is_not_read(ground: Ground) -> None:
    at_most = b" " * ((4 << 20) - 2) + b"{}"
    with pytest.raises(ManifestError):
        ground.graph.manifest("app", Digest.parse(ground.built.blob(at_most).digest))
    with pytest.raises(TooLargeError):
        ground.graph.manifest("app", Digest.parse(ground.built.blob(b" " + at_most).digest))


def test_a_config_that_is_missing_or_none_is_told_and_an_artifacts_is_not_read(ground: Ground) -> None:
    def config_of(content: bytes | None, **keys: object) -> object:
        config = ground.built.blob(content or b"gone", "application/vnd.oci.image.config.v1+json")
        pushed = ground.built.image("app", None, layers=[], config=config, **keys)
        if content is None:
            ground.built.data(config.digest).unlink()
        image = ground.graph.manifest("app", Digest.parse(pushed.digest))
        assert isinstance(image, ImageManifest)
        return ground.graph.config("app", image)

    with pytest.raises(ConfigError):
        config_of(b"[]")
    with pytest.raises(BlobMissingError):
        config_of(None)
    assert config_of(b"[2]", artifactType="text/x") is None


def test_whether_a_blob_is_stored_is_told_damaged_or_not(ground: Ground) -> None:
    blob = ground.built.blob(b"content")
    digest = Digest.parse(blob.digest)
    assert ground.graph.stored("app", named(digest))
    assert not ground.graph.stored("app", named(Digest.of(b"other")))
    ground.built.data(blob.digest).unlink()
    ground.built.data(blob.digest).symlink_to("/etc/passwd")
    ground.clock.now += TTL
    assert ground.graph.stored("app", named(digest))


@pytest.mark.parametrize("links", ["_layers", "_manifests/revisions"])
def test_a_blob_that_is_gone_and_whose_link_is_torn_as_well_is_just_missing(
    ground: Ground, links: str
) -> None:
    """2.8.3 leaves links of collected blobs behind; one of them may be empty."""
    digest = Digest.of(b"gone")
    ground.built.write(ground.built.repository("app") / links / "sha256" / digest.hex / "link", b"")
    assert not ground.graph.stored("app", named(digest))


def test_an_index_is_a_manifest_too(ground: Ground) -> None:
    child = ground.built.image("app", None)
    pushed = ground.built.index("app", "multi", [child.descriptor()])
    index = ground.graph.manifest("app", ground.graph.tag("app", "multi"))
    assert isinstance(index, Index)
    assert index.raw == ground.built.data(pushed.digest).read_bytes()
    assert str(index.manifests[0].digest) == child.digest
