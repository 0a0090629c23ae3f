"""Manifests as JSON, for tests that need no store."""

from __future__ import annotations

import json
from typing import Any

A, B, C = ("sha256:" + letter * 64 for letter in "abc")

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"


def packed(**document: Any) -> bytes:
    """Give a document as JSON; a keyword with `_` for a key that is no Python name goes by `**{…}`."""
    return json.dumps(document).encode()


def descriptor(digest: str = A, media_type: str = OCI_LAYER, size: int = 10, **more: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


def image(**changes: Any) -> bytes:
    """Give an OCI image manifest with some keys changed."""
    document = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(C, OCI_CONFIG, 30),
        "layers": [descriptor(A), descriptor(B, size=20)],
    }
    return packed(**(document | changes))
