"""What is an image, and what else a manifest is: by media types as cosign, helm and others write them."""

from __future__ import annotations

import pytest

from regfs.oci import ImageManifest, Index, parse_manifest
from tests.builder.media_types import DOCKER_CONFIG, DOCKER_LAYER, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.unit.documents import OCI_LAYER, A, B, C, descriptor, image, packed

EMPTY = "application/vnd.oci.empty.v1+json"
UNKNOWN = "application/vnd.unknown.config.v1+json"
SIGNATURE = "application/vnd.dev.cosign.simplesigning.v1+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
TAR = "application/vnd.oci.image.layer.v1.tar"


def manifest(config: str | None = None, layers: list[str] | None = None, **keys: object) -> ImageManifest:
    """Give a manifest whose config and layers have these media types; None is an image's."""
    changes: dict[str, object] = dict(keys)
    if config is not None:
        changes["config"] = descriptor(C, config)
    if layers is not None:
        changes["layers"] = [
            descriptor(f"sha256:{number:064x}", media_type) for number, media_type in enumerate(layers)
        ]
    found = parse_manifest(image(**changes))
    assert isinstance(found, ImageManifest)
    return found


@pytest.mark.parametrize(
    ("config", "layers", "keys", "kind"),
    [
        (None, [SIGNATURE, SIGNATURE], {}, "signature"),
        (DOCKER_CONFIG, [SIGNATURE], {"mediaType": DOCKER_MANIFEST}, "signature"),
        ("application/vnd.cncf.notary.signature", ["application/jose+json"], {}, "signature"),
        (EMPTY, ["application/cose"], {"artifactType": "application/vnd.cncf.notary.signature"}, "signature"),
        (EMPTY, [BUNDLE], {"artifactType": BUNDLE}, "signature"),
        (
            EMPTY,
            [BUNDLE],
            {"annotations": {"dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1"}},
            "signature",
        ),
        (
            EMPTY,
            [BUNDLE],
            {"annotations": {"dev.sigstore.bundle.predicateType": "https://slsa.dev/provenance/v1"}},
            "attestation",
        ),
        (None, ["application/vnd.dsse.envelope.v1+json"], {}, "attestation"),
        (None, ["application/vnd.in-toto+json", "application/vnd.in-toto+json"], {}, "attestation"),
        (
            EMPTY,
            ["application/vnd.in-toto+json"],
            {"artifactType": "application/vnd.docker.attestation.manifest.v1+json"},
            "attestation",
        ),
        (None, ["text/spdx"], {}, "sbom"),
        (None, ["text/spdx+json"], {}, "sbom"),
        (None, ["application/vnd.cyclonedx+xml"], {}, "sbom"),
        (None, ["application/vnd.syft+json"], {}, "sbom"),
        (EMPTY, ["application/spdx+json"], {"artifactType": "application/spdx+json"}, "sbom"),
        (
            "application/vnd.cncf.helm.config.v1+json",
            [
                "application/vnd.cncf.helm.chart.content.v1.tar+gzip",
                "application/vnd.cncf.helm.chart.provenance.v1.prov",
            ],
            {},
            "chart",
        ),
        ("application/vnd.wasm.config.v0+json", ["application/wasm"], {}, "wasm"),
        (
            "application/vnd.wasm.config.v1+json",
            ["application/vnd.wasm.content.layer.v1+wasm"],
            {},
            "wasm",
        ),
        (
            "application/vnd.docker.ai.model.config.v0.1+json",
            ["application/vnd.docker.ai.gguf.v3"],
            {},
            "model",
        ),
        (
            "application/vnd.cncf.model.config.v1+json",
            ["application/vnd.cncf.model.weight.v1.tar"],
            {"artifactType": "application/vnd.cncf.model.manifest.v1+json"},
            "model",
        ),
        (
            DOCKER_CONFIG,
            ["application/vnd.ollama.image.model", "application/vnd.ollama.image.license"],
            {"mediaType": DOCKER_MANIFEST},
            "model",
        ),
        ("application/vnd.buildkit.cacheconfig.v0", [OCI_LAYER], {}, "cache"),
        ("application/vnd.cncf.openpolicyagent.config.v1+json", [TAR], {}, "policy"),
        (UNKNOWN, ["application/vnd.sylabs.sif.layer.v1.sif"], {}, "singularity"),
        (
            "application/vnd.cncf.flux.config.v1+json",
            ["application/vnd.cncf.flux.content.v1.tar+gzip"],
            {},
            "artifact: application/vnd.cncf.flux.config.v1+json",
        ),
        # What an artifact calls itself comes before what lies in it.
        (EMPTY, ["application/spdx+json"], {"artifactType": "Text/X; a=b"}, "artifact: text/x"),
        (
            EMPTY,
            [TAR],
            {"artifactType": "application/vnd.unknown.artifact.v1"},
            "artifact: application/vnd.unknown.artifact.v1",
        ),
        (UNKNOWN, [TAR], {}, f"artifact: {UNKNOWN}"),
        (None, ["text/plain"], {}, "artifact: text/plain"),
        (None, None, {"artifactType": "text/x"}, "artifact: text/x"),
        # What is no media type is not quoted.
        (EMPTY, [], {"artifactType": "\x1b[2J/\n"}, f"artifact: {EMPTY}"),
        ("no media type", ["nor this"], {}, "artifact"),
    ],
)
def test_media_types_tell_what_an_artifact_is(
    config: str | None, layers: list[str] | None, keys: dict[str, object], kind: str
) -> None:
    assert manifest(config, layers, **keys).kind == kind


@pytest.mark.parametrize(
    "layers",
    [
        [],
        [TAR],
        [DOCKER_LAYER],
        ["application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"],
        ["application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"],
        ["application/vnd.oci.image.layer.v1.tar+gzip+encrypted"],
        ["application/vnd.oci.image.layer.nydus.blob.v1"],
        ["application/x-what-nobody-knows"],
        ["application/octet-stream"],
        ["application/json"],
        ["text/html"],
        [""],
        # One tar is enough.
        [SIGNATURE, TAR],
    ],
)
@pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
def test_odd_layers_leave_an_image_an_image(layers: list[str], media_type: str) -> None:
    assert manifest(None, layers, mediaType=media_type).kind == "image"


def test_a_cache_of_buildkit_is_an_index_of_layers_and_a_config() -> None:
    config = "application/vnd.buildkit.cacheconfig.v0"
    cache = parse_manifest(
        packed(mediaType=OCI_INDEX, manifests=[descriptor(A, OCI_LAYER), descriptor(B, config)])
    )
    layers = parse_manifest(packed(mediaType=OCI_INDEX, manifests=[descriptor(A, OCI_LAYER)]))
    assert isinstance(cache, Index)
    assert (cache.kind, cache.telling_type, layers.kind) == ("cache", config, "index")
