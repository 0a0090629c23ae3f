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
from regfs.oci import media_types
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
    def kind(self) -> str:
        """`image`, or `artifact` where the config is no image's."""
        if self.artifact_type or self.config is None:
            return "artifact"
        known = media_types.IMAGE_CONFIGS
        if self.media_type == media_types.DOCKER_MANIFEST:
            known |= media_types.MISNAMED_CONFIGS
        return "image" if self.config.media_type in known else "artifact"


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
        """Always `index`."""
        return "index"

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
