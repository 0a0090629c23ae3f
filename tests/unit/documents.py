"""Manifests as JSON, for tests that need no store."""

from __future__ import annotations

import json
from typing import Any

from tests.builder.media_types import (
    OCI_CONFIG,
    OCI_MANIFEST,
)
from tests.builder.media_types import OCI_LAYER as OCI_TAR

A, B, C = ("sha256:" + letter * 64 for letter in "abc")

OCI_LAYER = f"{OCI_TAR}+gzip"


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
