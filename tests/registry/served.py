"""What the API serves of an image, in the same values as `shown` has for the mount."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.registry.api import Api
from tests.registry.shown import File, Image, Link

#: What a file's name tells of its media type, written out here once more and by hand.
SUFFIXES = {
    "application/vnd.docker.image.rootfs.diff.tar.gzip": ".tar.gz",
    "application/vnd.docker.image.rootfs.diff.tar": ".tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip": ".tar.gz",
    "application/vnd.oci.image.layer.v1.tar": ".tar",
    "application/vnd.oci.image.layer.v1.tar+gzip": ".tar.gz",
    "application/vnd.oci.image.layer.v1.tar+zstd": ".tar.zst",
    "application/vnd.oci.image.layer.v1.tar+xz": ".tar.xz",
    "application/vnd.in-toto+json": ".json",
    "application/vnd.example.sbom+json": ".json",
    "application/octet-stream": ".bin",
}


def layer_name(position: int, layers: int, media_type: str) -> str:
    """Name a layer: its position, with as many digits as the last one's, and at least two."""
    return f"{position:0{max(2, len(str(layers - 1)))}}{SUFFIXES[media_type]}"


Descriptor = Mapping[str, Any]


def platform_names(manifests: Sequence[Descriptor]) -> list[str]:
    """Name the children of an index as the mount does: os-arch[-variant], a number where that is taken."""
    names: list[str] = []
    bases: list[str] = []
    for child in manifests:
        platform = child.get("platform") or {}
        parts = [platform.get("os", "unknown"), platform.get("architecture", "unknown")]
        base = "-".join(filter(None, [*parts, platform.get("variant")]))
        bases.append(base)
        names.append(base if bases.count(base) == 1 else f"{base}-{bases.count(base)}")
    return names


def default_platform(manifests: Sequence[Descriptor]) -> str | None:
    """Tell which child a mount with platform=linux/amd64 shows as the index's own.

    One that does not run there only if it is the only image; attestations are none.
    """
    names = platform_names(manifests)
    if "linux-amd64" in names:
        return "linux-amd64"
    images = [
        name
        for name, child in zip(names, manifests, strict=True)
        if (child.get("platform") or {}).get("os") != "unknown"
    ]
    return images[0] if len(images) == 1 else None


def serve_image(api: Api, repository: str, reference: str) -> Image:
    """Ask the API for a manifest and all that it leads to. Not for schema 1, which it signs anew."""
    manifest = api.manifest(repository, reference)
    document = manifest.document
    file = File("manifest.json", len(manifest.body), manifest.body)
    assert document["schemaVersion"] == 2
    if "manifests" in document:
        names = platform_names(document["manifests"])
        children = [serve_image(api, repository, child["digest"]) for child in document["manifests"]]
        return Image(
            file,
            platforms=dict(zip(names, children, strict=True)),
            default=default_platform(document["manifests"]),
        )
    return Image(
        file,
        config=_serve_file(api, repository, "config.json", document["config"]),
        layers=tuple(
            _serve_file(
                api, repository, layer_name(position, len(document["layers"]), layer["mediaType"]), layer
            )
            for position, layer in enumerate(document["layers"])
        ),
    )


def _serve_file(api: Api, repository: str, name: str, descriptor: Descriptor) -> File:
    if "urls" in descriptor:
        url = descriptor["urls"][0]
        return File(name, 0, Link(url))
    content = api.blob(repository, descriptor["digest"])
    assert len(content) == descriptor["size"]
    return File(name, len(content), content)
