"""Names that tools can take: what an image's directory resolves besides, and names without a colon.

Programs that read images cut a path at `:` (containers/image, umoci), so each name with one has another form:
`+1.0` for `:1.0`, `@sha256-<hex>` for `@sha256:<hex>`, `20260303T063000Z-…` for `2026-03-03T06:30:00Z-…`.
"""

from __future__ import annotations

import logging
import re

from regfs.errors import DigestError, NoEntryError
from regfs.oci import Digest, Schema1Manifest
from regfs.tree.blob import BlobFile
from regfs.tree.interop.archive import NAME as ARCHIVE
from regfs.tree.interop.archive import ArchiveFile
from regfs.tree.interop.image import Members, NamedImage
from regfs.tree.interop.layout import LayoutDirectory
from regfs.tree.node import Directory, Node

_log = logging.getLogger(__name__)

#: The layout of an image, and of a repository: no tag and no repository can have that name.
LAYOUT = "oci"
REPOSITORY_LAYOUT = ".oci"

#: Stands for `:` before a tag, and for the `:` of a digest.
TAG_MARK = "+"
_DIGEST_MARK = "-"

#: containers/image, directory/directory_transport.go: a blob by its hex digits, an index's child so.
_DIR = re.compile(r"([0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})(\.manifest\.json)?")


def is_interop_name(name: str) -> bool:
    """Tell whether a name in an image's directory is one of those that are for other tools."""
    return name in (LAYOUT, ARCHIVE) or _DIR.fullmatch(name) is not None


def child_of_image(parent: Directory, image: NamedImage, name: str) -> Node:
    """Find what an image's directory has under such a name. Raises NoEntryError."""
    if found := _DIR.fullmatch(name):
        return _blob(parent, image, found[1], manifest=bool(found[2]))
    if isinstance(image.manifest, Schema1Manifest):
        _log.warning(
            "%s: a schema 1 image has no %s: its layers' DiffIDs, which the config in it would have to list,"
            " are stored nowhere; skopeo reads the image's directory as dir:",
            image.name or image.digest,
            name,
        )
        raise NoEntryError(name)
    if name == ARCHIVE:
        return ArchiveFile(parent, image)
    if name == LAYOUT:
        return LayoutDirectory(image.scope, parent, name, lambda: [image])
    raise NoEntryError(name)


def _blob(parent: Directory, image: NamedImage, encoded: str, *, manifest: bool) -> Node:
    """Find a blob under the name that skopeo's `dir:` has for it."""
    members = Members()
    members.add(image)
    parts = (members.manifests,) if manifest else (members.configs, members.layers)
    for part in parts:
        for digest, member in part.items():
            if digest.hex == encoded and digest != image.digest:
                return BlobFile(image.scope, member.named, member.kind, parent)
    raise NoEntryError(encoded)


def read_digest(name: str) -> Digest:
    """Read a digest from a name, with a colon or without. Raises DigestError."""
    try:
        return Digest.parse(name)
    except DigestError:
        return Digest.parse(name.replace(_DIGEST_MARK, ":", 1))


def without_colon(name: str) -> str:
    """Give the other form of a name that begins with a time, and ends with `-` and a digest."""
    time, _, digest = name.rpartition("-")
    return f"{time.replace('-', '').replace(':', '')}-{digest}"
