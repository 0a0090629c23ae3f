"""Manifests as the graph keeps them: what each says, or why it cannot be read.

Plain values, which another thread or process may have read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from sys import intern
from typing import NamedTuple

from regfs.errors import ManifestError, MissingError, RegfsError
from regfs.oci import Descriptor, Digest, ImageManifest, Index, Manifest, Schema1Manifest, parse_manifest
from regfs.oci.naming import layer_titles
from regfs.oci.platform import directory_names
from regfs.registry.contents import MANIFEST_LIMIT
from regfs.registry.findings import storable
from regfs.registry.survey import Survey
from regfs.registry.terms import Role

#: What a manifest says of one blob: role, position, digest, size, media type, a child's directory name in the
#: tree, whether it is kept elsewhere, the title by which a layer is named in the tree, a child's machine.
EdgeRow = tuple[int, int, str, int | None, str, str, bool, str, str]


class ManifestRead(NamedTuple):
    """A manifest as the index keeps it; no `kind` where `error` tells why it cannot be read.

    `subject` is the digest of what it refers to, or empty. `missing`: it is not stored (any more), which is
    no fault of its content. `stops`: the registry's collector ends with an error at its content.
    """

    digest: str
    kind: str | None
    media_type: str
    artifact_type: str
    edges: list[EdgeRow]
    subject: str
    error: RegfsError | None = None
    missing: bool = False
    stops: bool = False


def read_manifests(survey: Survey, digests: Iterable[str]) -> list[ManifestRead]:
    """Read manifests, each checked against its digest."""
    return [_read(survey, digest) for digest in digests]


def _read(survey: Survey, text: str) -> ManifestRead:
    digest = Digest.parse(text)
    try:
        raw = survey.read_blob(digest, MANIFEST_LIMIT)
        if digest.computable and (found := Digest.of(raw, digest.algorithm)) != digest:
            raise ManifestError(f"its content is {found}")
        manifest = parse_manifest(raw)
    except ManifestError as error:
        return ManifestRead(text, None, "", "", [], "", error, stops=not _parsable(raw))
    except RegfsError as error:
        return ManifestRead(text, None, "", "", [], "", error, missing=isinstance(error, MissingError))
    subject = None if isinstance(manifest, Schema1Manifest) else manifest.subject
    return ManifestRead(
        text,
        manifest.kind,
        manifest.media_type,
        "" if isinstance(manifest, Schema1Manifest) else manifest.artifact_type,
        list(edges_of(manifest)),
        str(subject.digest) if subject else "",
    )


def _parsable(raw: bytes) -> bool:
    """Tell whether the registry's collector takes some bytes for a manifest: it does not hash them."""
    with suppress(ManifestError):
        parse_manifest(raw)
        return True
    return False


def edges_of(manifest: Manifest) -> Iterator[EdgeRow]:
    """Give what a manifest names, in its order."""
    if isinstance(manifest, Index):
        names = directory_names([child.platform for child in manifest.children])
        for position, child in enumerate(manifest.children):
            yield _edge(Role.CHILD, position, child, names[position])
    if isinstance(manifest, ImageManifest) and manifest.config is not None:
        yield _edge(Role.CONFIG, 0, manifest.config)
    for position, (layer, title) in enumerate(zip(manifest.layers, layer_titles(manifest), strict=True)):
        yield _edge(Role.LAYER, position, layer, title=title)


def _edge(
    role: Role, position: int, descriptor: Descriptor, platform: str = "", *, title: str = ""
) -> EdgeRow:
    machine = descriptor.platform.text if descriptor.platform and role is Role.CHILD else ""
    return (
        int(role),
        position,
        str(descriptor.digest),
        descriptor.size,
        intern(storable(descriptor.media_type)),  # few are sent and written, each many times
        storable(platform),
        bool(descriptor.urls),
        title,
        storable(machine),
    )
