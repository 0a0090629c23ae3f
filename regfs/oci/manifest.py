"""Manifests: image manifests and indexes, Docker's and OCI's. Schema 1 is in schema1.py.

Sources: OCI image-spec, manifest.md and image-index.md; distribution's documentation, "Image Manifest
V 2, Schema 2". `mediaType` may be absent in OCI's forms; then the keys decide, as in distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from regfs.errors import ManifestError
from regfs.oci import artifacts, media_types
from regfs.oci.descriptor import Descriptor, DescriptorJSON, read_annotations, read_descriptor
from regfs.oci.document import Form
from regfs.oci.schema1 import Schema1Manifest


class ManifestJSON(msgspec.Struct, rename="camel"):
    """All keys by which the forms of a manifest differ, as JSON has them."""

    schema_version: int | None = None
    media_type: str | None = None
    artifact_type: str | None = None
    config: DescriptorJSON | None = None
    layers: list[DescriptorJSON] | None = None
    blobs: list[DescriptorJSON] | None = None
    manifests: list[DescriptorJSON] | None = None
    fs_layers: list[msgspec.Raw] | None = None
    subject: DescriptorJSON | None = None
    annotations: dict[str, str | None] | None = None


_MANIFEST = Form(ManifestJSON, ManifestError)


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """One image or artifact: a config and an ordered list of layers, base first.

    `raw` are the bytes that were parsed. `config` is None only in OCI's withdrawn artifact manifest.
    """

    raw: bytes = field(repr=False)
    media_type: str
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def image(self) -> bool:
        """Whether this is an image of files: layers that make a file system, and an image's config.

        It is one unless it says that it is not: by an artifact type, by a config that is no image's, or by
        layers of which each has a media type that is no tar's. The last is how cosign, BuildKit and ollama
        write what they attach: with an image's config. A layer of an unknown type may be a tar, one tar among
        other layers makes an image, and an image may have no layers.
        """
        if self.artifact_type or self.config is None:
            return False
        known = media_types.IMAGE_CONFIGS
        if self.media_type == media_types.DOCKER_MANIFEST:
            known |= media_types.MISNAMED_CONFIGS
        if self.config.media_type not in known:
            return False
        return not self.layers or not all(artifacts.no_tar(layer.media_type) for layer in self.layers)

    @property
    def telling_type(self) -> str:
        """The media type that tells which kind of artifact this is, or empty. Of no use for an image."""
        config = self.config.media_type if self.config else ""
        return artifacts.telling_type(self.artifact_type, config, [layer.media_type for layer in self.layers])

    @property
    def kind(self) -> str:
        """`image`, or what artifact this is: `signature`, `chart`, `artifact: <media type>` and so on."""
        return "image" if self.image else artifacts.kind_of(self.telling_type, self.annotations)


@dataclass(frozen=True, slots=True)
class Index:
    """A manifest list or image index: one descriptor for each entry, in the stored order."""

    raw: bytes = field(repr=False)
    media_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def kind(self) -> str:
        """`index`, or `cache`: BuildKit's cache for registries is an index of layers and one config."""
        return "cache" if self.telling_type else "index"

    @property
    def telling_type(self) -> str:
        """The media type that tells that this is a cache, or empty."""
        types = (media_types.bare(entry.media_type) for entry in self.layers)
        return next((name for name in types if name.startswith(media_types.BUILDKIT_CACHE)), "")

    @property
    def children(self) -> tuple[Descriptor, ...]:
        """The entries that are manifests, as image-spec has it."""
        return tuple(entry for entry in self.manifests if media_types.names_manifest(entry.media_type))

    @property
    def layers(self) -> tuple[Descriptor, ...]:
        """The entries that are none: BuildKit's cache for registries is an index of layers."""
        return tuple(entry for entry in self.manifests if not media_types.names_manifest(entry.media_type))


Manifest: TypeAlias = ImageManifest | Index | Schema1Manifest


def parse_manifest(raw: bytes) -> Manifest:
    """Parse a manifest of any form. Raises ManifestError, and nothing else, for any bytes."""
    value = _MANIFEST.decode(raw)
    media_type = value.media_type or ""
    if media_type in media_types.SCHEMA1 or (value.schema_version == 1 and value.fs_layers is not None):
        return Schema1Manifest.parse(raw)
    if media_type in media_types.INDEXES or (not media_type and value.manifests is not None):
        return _index(raw, value)
    if value.layers is not None or value.config is not None or value.blobs is not None:
        return _image(raw, value)
    if value.manifests is not None:
        return _index(raw, value)
    raise ManifestError(f"no known form of manifest (mediaType {media_type!r})")


def _index(raw: bytes, value: ManifestJSON) -> Index:
    return Index(
        raw=raw,
        media_type=value.media_type or media_types.OCI_INDEX,
        manifests=_descriptors("manifests", value.manifests),
        subject=_optional("subject", value.subject),
        artifact_type=value.artifact_type or "",
        annotations=read_annotations(value.annotations),
    )


def _image(raw: bytes, value: ManifestJSON) -> ImageManifest:
    withdrawn = value.media_type == media_types.OCI_ARTIFACT or (
        value.config is None and value.blobs is not None
    )
    if value.config is None and not withdrawn:
        raise ManifestError("image manifest without config")
    return ImageManifest(
        raw=raw,
        media_type=value.media_type or (media_types.OCI_ARTIFACT if withdrawn else media_types.OCI_MANIFEST),
        config=_optional("config", value.config),
        layers=_descriptors("blobs", value.blobs) if withdrawn else _descriptors("layers", value.layers),
        subject=_optional("subject", value.subject),
        artifact_type=value.artifact_type or "",
        annotations=read_annotations(value.annotations),
    )


def _descriptors(key: str, values: list[DescriptorJSON] | None) -> tuple[Descriptor, ...]:
    return tuple(read_descriptor(value, f"{key}[{i}]") for i, value in enumerate(values or ()))


def _optional(key: str, value: DescriptorJSON | None) -> Descriptor | None:
    return None if value is None else read_descriptor(value, key)
