"""Media types, and what they say about a blob's form.

Sources: OCI image-spec, media-types.md; distribution's documentation, "Image Manifest V 2, Schema 2",
"Media Types"; Moby's image specification v1.2 for foreign layers.
"""

from __future__ import annotations

DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_SCHEMA1 = "application/vnd.docker.distribution.manifest.v1+json"
DOCKER_SCHEMA1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"
DOCKER_LAYER_GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
#: The artifact manifest of image-spec 1.1's release candidates; withdrawn, but pushed by some.
OCI_ARTIFACT = "application/vnd.oci.artifact.manifest.v1+json"
#: How the type of the config begins that BuildKit writes beside the layers of a cache (cache/remotecache/v1).
BUILDKIT_CACHE = "application/vnd.buildkit.cacheconfig."

INDEXES = frozenset({DOCKER_LIST, OCI_INDEX})
SCHEMA1 = frozenset({DOCKER_SCHEMA1, DOCKER_SCHEMA1_SIGNED})
IMAGE_CONFIGS = frozenset({DOCKER_CONFIG, OCI_CONFIG, ""})
#: What broken clients and proxies have called the config of a Docker image (distribution #1621); Docker
#: pulls them as images.
MISNAMED_CONFIGS = frozenset({"application/octet-stream", "application/json", "text/html"})

_MANIFESTS = {*INDEXES, *SCHEMA1, DOCKER_MANIFEST, OCI_MANIFEST, OCI_ARTIFACT, ""}

#: Endings that tell a compressed tar, and the suffix of its file. `+` stands for a structured-syntax
#: suffix (RFC 6838, 4.2.8), `.tar.gzip` for Docker's own style.
_TARS = (
    ("tar+gzip", ".tar.gz"),
    ("tar.gzip", ".tar.gz"),
    ("tar+zstd", ".tar.zst"),
    ("tar.zstd", ".tar.zst"),
    ("tar+xz", ".tar.xz"),
    ("tar+bzip2", ".tar.bz2"),
    (".tar", ".tar"),
    ("/tar", ".tar"),
    ("/x-tar", ".tar"),
)


#: What media types say that a layer is instead of a tar.
_NO_TARS = (
    ("+encrypted", "encrypted"),
    ("erofs", "an EROFS file system"),
    ("squashfs", "a squashfs file system"),
    ("nydus", "a nydus file system"),
)


def names_manifest(media_type: str) -> bool:
    """Tell whether what a descriptor names can be a manifest; one without a media type can."""
    return bare(media_type) in _MANIFESTS


def bare(media_type: str) -> str:
    """Give a media type without its parameters, in lower case, in which equal types are equal."""
    return media_type.split(";", 1)[0].strip().lower()


def suffix(media_type: str) -> str:
    """Give the suffix of a layer's file: `.tar…` for a tar, `.json` for JSON, `.bin` for the rest.

    An encrypted layer (`…+encrypted`) is no tar.
    """
    plain = bare(media_type)
    for ending, name in _TARS:
        if plain.endswith(ending):
            return name
    return ".json" if plain.endswith(("+json", "/json")) else ".bin"


def no_tar(media_type: str) -> str:
    """Say what a layer is that is no tar, as far as its media type tells; "" if it may be one."""
    plain = bare(media_type)
    said = next((name for mark, name in _NO_TARS if mark in plain), "")
    return said or ("JSON" if suffix(plain) == ".json" else "")
