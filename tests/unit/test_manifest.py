import pytest

from regfs.errors import ManifestError
from regfs.oci import ImageManifest, Index, Manifest, Platform, parse_manifest
from tests.builder.media_types import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    OCI_ARTIFACT,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_MANIFEST,
)
from tests.unit.documents import OCI_LAYER, A, B, C, descriptor, image, packed


def parsed_image(raw: bytes) -> ImageManifest:
    manifest = parse_manifest(raw)
    assert isinstance(manifest, ImageManifest)
    return manifest


def parsed_index(raw: bytes) -> Index:
    manifest = parse_manifest(raw)
    assert isinstance(manifest, Index)
    return manifest


def digests(manifest: Manifest) -> list[str]:
    assert not isinstance(manifest, Index)
    return [str(layer.digest) for layer in manifest.layers]


def test_an_oci_image_has_a_config_and_layers_base_first() -> None:
    raw = image()
    manifest = parsed_image(raw)
    assert manifest.raw == raw
    assert (manifest.media_type, manifest.kind) == (OCI_MANIFEST, "image")
    assert manifest.config is not None
    assert (str(manifest.config.digest), manifest.config.size) == (C, 30)
    assert digests(manifest) == [A, B]
    assert [layer.size for layer in manifest.layers] == [10, 20]
    assert manifest.layers[0].media_type == OCI_LAYER


def test_dockers_schema_2_is_read_the_same_way() -> None:
    raw = image(
        mediaType=DOCKER_MANIFEST,
        config=descriptor(C, DOCKER_CONFIG),
        layers=[descriptor(A, DOCKER_LAYER)],
    )
    manifest = parsed_image(raw)
    assert (manifest.media_type, manifest.kind, digests(manifest)) == (DOCKER_MANIFEST, "image", [A])


@pytest.mark.parametrize("absent", [{}, {"mediaType": None}, {"mediaType": ""}])
def test_without_a_media_type_the_keys_decide(absent: dict[str, object]) -> None:
    keys = {"schemaVersion": 2, **absent}
    as_image = parse_manifest(packed(**keys, config=descriptor(C), layers=[descriptor(A)]))
    as_index = parse_manifest(packed(**keys, manifests=[descriptor(A)]))
    assert (type(as_image), as_image.media_type) == (ImageManifest, OCI_MANIFEST)
    assert (type(as_index), as_index.media_type) == (Index, OCI_INDEX)


def test_without_a_media_type_manifests_makes_an_index_even_beside_layers() -> None:
    """As distribution decides: `manifests` first."""
    raw = packed(schemaVersion=2, manifests=[descriptor(A)], config=descriptor(C), layers=[])
    assert isinstance(parse_manifest(raw), Index)


@pytest.mark.parametrize("media_type", [DOCKER_LIST, OCI_INDEX])
def test_an_index_names_its_children_in_their_order(media_type: str) -> None:
    raw = packed(
        schemaVersion=2,
        mediaType=media_type,
        manifests=[
            descriptor(B, OCI_MANIFEST, platform={"os": "linux", "architecture": "arm", "variant": "v7"}),
            descriptor(
                A, OCI_MANIFEST, platform={"os": "windows", "architecture": "amd64", "os.version": "10.1"}
            ),
            descriptor(C, OCI_INDEX),
        ],
    )
    index = parsed_index(raw)
    assert (index.raw, index.media_type, index.kind) == (raw, media_type, "index")
    assert [str(child.digest) for child in index.manifests] == [B, A, C]
    assert [child.platform for child in index.manifests] == [
        Platform("linux", "arm", "v7"),
        Platform("windows", "amd64", "", "10.1"),
        None,
    ]


@pytest.mark.parametrize("value", [{}, {"manifests": []}, {"manifests": None}])
def test_an_index_may_be_empty(value: dict[str, object]) -> None:
    assert parsed_index(packed(schemaVersion=2, mediaType=OCI_INDEX, **value)).manifests == ()


def test_an_attestation_is_told_by_its_annotation() -> None:
    mark = {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": A}
    platform = {"os": "unknown", "architecture": "unknown"}
    raw = packed(
        mediaType=OCI_INDEX, manifests=[descriptor(B, annotations=mark, platform=platform), descriptor(A)]
    )
    attestation, other = parsed_index(raw).manifests
    assert (attestation.attestation, other.attestation) == (True, False)
    assert attestation.platform is not None
    assert attestation.platform.unknown


@pytest.mark.parametrize("media_type", [OCI_CONFIG, DOCKER_CONFIG, "", None])
def test_an_image_config_makes_an_image(media_type: str | None) -> None:
    assert parsed_image(image(config={"mediaType": media_type, "digest": C, "size": 1})).kind == "image"


@pytest.mark.parametrize("named", [{"mediaType": OCI_ARTIFACT}, {}])
def test_the_withdrawn_artifact_manifest_keeps_its_layers_in_blobs(named: dict[str, object]) -> None:
    raw = packed(**named, artifactType="text/x", blobs=[descriptor(A), descriptor(B)], subject=descriptor(C))
    manifest = parsed_image(raw)
    assert (manifest.media_type, manifest.kind) == (OCI_ARTIFACT, "artifact: text/x")
    assert (manifest.config, manifest.artifact_type) == (None, "text/x")
    assert digests(manifest) == [A, B]
    assert manifest.subject is not None
    assert str(manifest.subject.digest) == C


def test_images_and_indexes_may_have_a_subject_and_annotations() -> None:
    more = {"subject": descriptor(C, OCI_MANIFEST), "annotations": {"k": "v"}, "artifactType": "text/x"}
    index = parsed_index(packed(mediaType=OCI_INDEX, manifests=[], **more))
    for manifest in (parsed_image(image(**more)), index):
        assert manifest.subject is not None
        assert str(manifest.subject.digest) == C
        assert (manifest.annotations, manifest.artifact_type) == ({"k": "v"}, "text/x")


def test_a_null_is_as_good_as_an_absent_key() -> None:
    """As Go's decoder has it, so no registry refuses it."""
    nulls = dict.fromkeys(("urls", "platform", "annotations", "artifactType", "mediaType", "size"))
    raw = image(
        subject=None,
        annotations=None,
        artifactType=None,
        manifests=None,
        blobs=None,
        fsLayers=None,
        layers=[{"digest": A, **nulls}],
    )
    layer = parsed_image(raw).layers[0]
    assert (layer.media_type, layer.size, layer.urls, layer.platform) == ("", None, (), None)
    assert digests(parsed_image(image(layers=None))) == []
    platform = {"os": None, "architecture": None, "variant": None}
    index = parsed_index(packed(mediaType=OCI_INDEX, manifests=[descriptor(platform=platform)]))
    assert index.manifests[0].platform == Platform("", "")


def test_a_null_among_strings_is_an_empty_string_as_in_go() -> None:
    """encoding/json leaves the zero value for null, so registries store and serve such manifests."""
    assert parsed_image(image(annotations={"k": None})).annotations == {"k": ""}
    assert parsed_image(image(layers=[descriptor(A, urls=[None])])).layers[0].urls == ("",)


def test_unknown_keys_are_passed_over() -> None:
    raw = image(future={"deep": [1, 2, {}]}, layers=[descriptor(A, data="eA==", future=1)])
    assert digests(parsed_image(raw)) == [A]


def test_a_layer_can_be_foreign() -> None:
    layer = descriptor(A, urls=["https://example.com/a", "https://example.com/b"])
    assert parsed_image(image(layers=[layer])).layers[0].urls == (
        "https://example.com/a",
        "https://example.com/b",
    )


def test_a_sha512_digest_is_as_good() -> None:
    digest = "sha512:" + "a" * 128
    assert digests(parsed_image(image(layers=[descriptor(digest)]))) == [digest]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "truncated"),
        (b"\0", "invalid"),
        (b"\xff\xfe", "."),
        (b"\x1f\x8b\x08\x00", "."),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"x"', "object"),
        (b"{}", "no known form"),
        (b'{"a": 1', "."),
        (b"{} {}", "trailing"),
        (b"[" * 100_000, "."),
        (b'{"x":' * 100_000, "without end"),
        (packed(schemaVersion=2, mediaType="text/plain"), "text/plain"),
        (packed(schemaVersion=1), "no known form"),
        (packed(schemaVersion="2", config=descriptor()), "schemaVersion"),
        (packed(mediaType=OCI_MANIFEST, layers=[]), "without config"),
        (packed(layers=[descriptor()]), "without config"),
        (image(config={}), "config has no digest"),
        (image(config=descriptor(A[:-1])), "config: not a digest"),
        (image(config=[]), "config"),
        (image(layers={}), "layers"),
        (image(layers=[None]), "layers"),
        (image(layers=[descriptor(), {}]), r"layers\[1\] has no digest"),
        (image(layers=[descriptor("sha256:../../../x")]), r"layers\[0\]: not a digest"),
        (image(layers=[descriptor(size=-1)]), r"layers\[0\]: impossible size -1"),
        (image(layers=[descriptor(size=1 << 63)]), "impossible size"),
        (image(layers=[descriptor(size=1 << 70)]), "size|out of range|int"),
        (image(layers=[descriptor(size="10")]), "size"),
        (image(layers=[descriptor(size=1.5)]), "size"),
        (image(subject={}), "subject has no digest"),
        (packed(mediaType=OCI_INDEX, manifests=[{}]), r"manifests\[0\] has no digest"),
        (packed(mediaType=OCI_INDEX, manifests=[descriptor(platform="linux")]), "platform"),
        (packed(blobs=[{}]), r"blobs\[0\] has no digest"),
    ],
)
def test_what_is_no_manifest_is_refused_with_the_reason(raw: bytes, reason: str) -> None:
    with pytest.raises(ManifestError, match=reason):
        parse_manifest(raw)


def test_the_largest_size_is_accepted() -> None:
    assert parsed_image(image(layers=[descriptor(size=(1 << 63) - 1)])).layers[0].size == (1 << 63) - 1
