"""Images as OCI layouts on disk, for skopeo to push: real tars, a config that fits them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.builder import make_layer
from tests.registry.api import OCI_INDEX, OCI_MANIFEST

OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"

Files = Mapping[str, bytes]

#: A layer that many images share, large enough to be more than one read of the mount.
BASE: Files = {"etc/os-release": b"ID=demo\n", "usr/lib/data": bytes(range(256)) * 2048}


def config_of(tars: Sequence[bytes], **keys: object) -> bytes:
    """Make an image config for uncompressed layers."""
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": "2024-02-03T04:05:06Z",
            "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{_sha256(tar)}" for tar in tars]},
            "history": [
                {"created": "2024-02-03T04:05:06Z", "created_by": f"ADD {n}"} for n in range(len(tars))
            ],
            **keys,
        }
    ).encode()


def make_layout(directory: Path, layers: Sequence[Files], *, compress: bool = True, **keys: object) -> Path:
    """Write an OCI layout with one image; gives its directory. `keys` go to the config."""
    (directory / "blobs" / "sha256").mkdir(parents=True)
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    tars = [make_layer(files, "none") for files in layers]
    stored = [gzip.compress(tar, mtime=0) for tar in tars] if compress else tars
    manifest = {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": _write(directory, config_of(tars, **keys), OCI_CONFIG),
        "layers": [_write(directory, layer, OCI_LAYER + "+gzip" * compress) for layer in stored],
    }
    index = {
        "schemaVersion": 2,
        "mediaType": OCI_INDEX,
        "manifests": [_write(directory, json.dumps(manifest).encode(), OCI_MANIFEST)],
    }
    (directory / "index.json").write_text(json.dumps(index))
    return directory


def _write(directory: Path, content: bytes, media_type: str) -> dict[str, Any]:
    (directory / "blobs" / "sha256" / _sha256(content)).write_bytes(content)
    return {"mediaType": media_type, "digest": f"sha256:{_sha256(content)}", "size": len(content)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
