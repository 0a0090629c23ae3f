"""What an OCI image layout and `docker save` say of images: small JSON documents.

Sources: OCI image-spec, image-layout.md and annotations.md; Moby's image specification v1.2, "Combined Image
JSON + Filesystem Changeset Format"; containerd's `images/annotations.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from regfs.oci import Digest
from regfs.oci.media_types import OCI_INDEX
from regfs.tree.interop.image import NamedImage, image_for_platform, is_foreign

LAYOUT = b'{"imageLayoutVersion":"1.0.0"}'

#: The tag alone, by which skopeo, umoci and trivy choose; and the whole name, for containerd and podman.
_TAG = "org.opencontainers.image.ref.name"
_NAME = "io.containerd.image.name"


def blob_path(digest: Digest) -> str:
    """Give the path of a blob in a layout."""
    return f"blobs/{digest.algorithm}/{digest.hex}"


def index_json(images: Iterable[NamedImage]) -> bytes:
    """Make `index.json`: one descriptor for each image, of the stored manifest as it is."""
    entries = []
    for image in images:
        found = image.descriptor
        entry: dict[str, object] = {
            "mediaType": found.media_type,
            "digest": str(found.digest),
            "size": found.size,
        }
        if found.artifact_type:
            entry["artifactType"] = found.artifact_type
        if image.tag:
            entry["annotations"] = {_NAME: image.name, _TAG: image.tag}
        entries.append(entry)
    return msgspec.json.encode({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})


def docker_json(images: Iterable[NamedImage]) -> bytes:
    """Make `manifest.json`, of the images for this platform; empty if none of them is one that Docker loads.

    It loads images of files, all of whose layers are there.
    """
    entries = []
    for named in images:
        image = image_for_platform(named)
        if image is None or image.config is None:
            continue
        if any(is_foreign(named.scope, layer) for layer in image.layers):
            continue
        entries.append(
            {
                "Config": blob_path(image.config.digest),
                "RepoTags": [named.name] if named.tag else None,
                "Layers": [blob_path(layer.digest) for layer in image.layers],
            }
        )
    return msgspec.json.encode(entries) if entries else b""


def docker_loads(image: NamedImage) -> str:
    """Tell whether `docker load` takes an image's archive, and if not, why."""
    found = image_for_platform(image)
    if found is None:
        return "no: it is no image for this platform"
    if any(is_foreign(image.scope, layer) for layer in found.layers):
        return "no: some of its layers are kept elsewhere"
    if any("zstd" in layer.media_type for layer in found.layers):
        return "no: its layers are zstd, which Docker before 23 cannot read: podman load or ctr import"
    return "yes"
