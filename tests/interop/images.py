"""One store with each form of image that clients pull: real layers, and configs that fit them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.builder import Blob, StoreBuilder, make_layer
from tests.builder.layers import make_tar
from tests.builder.media_types import OCI_CONFIG, OCI_MANIFEST
from tests.registry.images import BASE, Files, config_of

AMD64 = {"os": "linux", "architecture": "amd64"}
ARM64 = {"os": "linux", "architecture": "arm64", "variant": "v8"}
UNKNOWN = {"os": "unknown", "architecture": "unknown"}

SBOM = "application/spdx+json"
SIGNATURE = "application/vnd.example.signature.v1"

#: Bytes of the large layer: more than any buffer on the way holds.
LARGE = 24 << 20


class Images(NamedTuple):
    """The store, and what its tags name: digests by repository and tag."""

    store: StoreBuilder
    digests: dict[tuple[str, str], str]

    @property
    def root(self) -> Path:
        return self.store.root

    def raw(self, repository: str, tag: str) -> bytes:
        return self.store.data(self.digests[repository, tag]).read_bytes()

    def layers(self, repository: str, tag: str) -> list[str]:
        return [layer["digest"] for layer in json.loads(self.raw(repository, tag))["layers"]]


def build(root: Path) -> Images:
    store = StoreBuilder(root)
    found: dict[tuple[str, str], str] = {}

    def note(repository: str, tag: str, manifest: Blob) -> Blob:
        found[repository, tag] = manifest.digest
        return manifest

    for compression in ("gzip", "zstd", "none"):
        layers = [BASE, {"srv/app": compression.encode() * 100}]
        note("team/app", compression, image(store, "team/app", compression, layers, compression))
    note("team/docker", "v2", image(store, "team/docker", "v2", [BASE, {"a": b"1"}], docker=True))
    for repository, docker in (("team/app", False), ("team/docker", True)):
        children = []
        for platform in (AMD64, ARM64):
            files = {"etc/arch": platform["architecture"].encode()}
            architecture = {"architecture": platform["architecture"]}
            child = image(store, repository, None, [BASE, files], docker=docker, **architecture)
            children.append(child.descriptor(platform=platform))
        if not docker:
            children.append(_attestation(store, repository, children[0]["digest"]))
        note(repository, "multi", store.index(repository, "multi", children, docker=docker))
    large = {"var/large": os.urandom(LARGE)}
    note("team/app/nested", "large", image(store, "team/app/nested", "large", [large], "none"))
    subject = {"mediaType": OCI_MANIFEST, "digest": found["team/app", "gzip"], "size": 1}
    for tag, artifact_type in (("sbom", SBOM), (None, SIGNATURE)):
        content = store.blob(json.dumps({"spdxVersion": artifact_type}).encode(), artifact_type)
        referrer = refer(store, "team/app", tag, content, artifact_type, subject)
        found["team/app", tag or "signature"] = referrer.digest
    return Images(store, found)


def image(
    store: StoreBuilder,
    repository: str,
    tag: str | None,
    layers: Sequence[Files],
    compression: str = "gzip",
    *,
    docker: bool = False,
    **keys: object,
) -> Blob:
    """Push an image that can run, if there were a program in it."""
    media_type = "application/vnd.docker.container.image.v1+json" if docker else OCI_CONFIG
    config = store.blob(config_of([make_tar(files) for files in layers], **keys), media_type)
    stored = [store.layer(files, compression, docker=docker) for files in layers]
    return store.image(repository, tag, stored, config, docker=docker)


def _attestation(store: StoreBuilder, repository: str, subject: str) -> dict[str, object]:
    """Push an attestation as BuildKit does; gives its descriptor."""
    statement = store.blob(b'{"_type": "https://in-toto.io/Statement/v0.1"}', "application/vnd.in-toto+json")
    config = store.blob(config_of([], architecture="unknown", os="unknown"), OCI_CONFIG)
    manifest = store.image(repository, None, [statement], config)
    annotations = {
        "vnd.docker.reference.digest": subject,
        "vnd.docker.reference.type": "attestation-manifest",
    }
    return manifest.descriptor(platform=UNKNOWN, annotations=annotations)


def refer(
    store: StoreBuilder,
    repository: str,
    tag: str | None,
    content: Blob,
    artifact_type: str,
    subject: dict[str, object],
) -> Blob:
    """Push an artifact that refers to another manifest."""
    empty = store.blob(b"{}", "application/vnd.oci.empty.v1+json")
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "artifactType": artifact_type,
        "config": empty.descriptor(),
        "layers": [content.descriptor()],
        "subject": subject,
        "annotations": {"org.example.of": artifact_type},
    }
    for blob in (empty, content):
        store.link(repository, blob)
    return store.manifest(repository, tag, json.dumps(document).encode(), OCI_MANIFEST)


def layer_of(files: Files, compression: str) -> bytes:
    return make_layer(files, compression)
