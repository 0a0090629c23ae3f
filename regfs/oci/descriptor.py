"""Descriptors: how one document names another.

Source: OCI image-spec, descriptor.md. Docker's schema 2 uses the same form.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from regfs.errors import DigestError, ManifestError
from regfs.oci.digest import Digest
from regfs.oci.platform import Platform

#: buildx marks what an attestation belongs to with these (docs.docker.com, "Image attestation storage").
REFERENCE_TYPE = "vnd.docker.reference.type"
ATTESTATION = "attestation-manifest"


class PlatformJSON(msgspec.Struct):
    """`platform` of a descriptor, as JSON has it."""

    os: str | None = None
    architecture: str | None = None
    variant: str | None = None
    os_version: str | None = msgspec.field(default=None, name="os.version")


class DescriptorJSON(msgspec.Struct, rename="camel"):
    """A descriptor, as JSON has it: any key may be absent or null, as Go's decoder allows."""

    media_type: str | None = None
    digest: str | None = None
    size: int | None = None
    urls: list[str | None] | None = None
    platform: PlatformJSON | None = None
    annotations: dict[str, str | None] | None = None
    artifact_type: str | None = None


class Descriptor(msgspec.Struct, frozen=True):
    """What a manifest says of one blob: its digest, its size in bytes, its media type.

    `size` is None where the manifest tells none, as schema 1 never does.
    """

    media_type: str
    digest: Digest
    size: int | None
    urls: tuple[str, ...] = ()
    platform: Platform | None = None
    artifact_type: str = ""
    annotations: Mapping[str, str] = msgspec.field(default_factory=dict)

    def __hash__(self) -> int:
        """Hash what tells descriptors apart: the annotations, a dict, have no hash."""
        return hash((self.media_type, self.digest, self.size))

    @property
    def attestation(self) -> bool:
        """Whether this child of an index is an attestation of another child."""
        return self.annotations.get(REFERENCE_TYPE) == ATTESTATION


def read_annotations(value: Mapping[str, str | None] | None) -> Mapping[str, str]:
    """Give annotations as Go's decoder reads them: a null is an empty string."""
    return {key: text or "" for key, text in value.items()} if value else {}


def read_descriptor(value: DescriptorJSON, place: str) -> Descriptor:
    """Check a decoded descriptor. `place` names it in errors. Raises ManifestError."""
    if value.digest is None:
        raise ManifestError(f"{place} has no digest")
    try:
        digest = Digest.parse(value.digest)
    except DigestError as error:
        raise ManifestError(f"{place}: {error}") from error
    if value.size is not None and not 0 <= value.size < 1 << 63:
        raise ManifestError(f"{place}: impossible size {value.size}")
    platform = value.platform
    return Descriptor(
        media_type=value.media_type or "",
        digest=digest,
        size=value.size,
        urls=tuple(url or "" for url in value.urls) if value.urls else (),
        platform=None
        if platform is None
        else Platform(
            platform.os or "", platform.architecture or "", platform.variant or "", platform.os_version or ""
        ),
        artifact_type=value.artifact_type or "",
        annotations=read_annotations(value.annotations),
    )
