"""What an image's directory has under the names that are for other tools."""

from __future__ import annotations

import logging

from regfs.errors import NoEntryError
from regfs.oci import Schema1Manifest
from regfs.tree.blob import BlobFile
from regfs.tree.interop.archive import ArchiveFile
from regfs.tree.interop.image import Members, NamedImage
from regfs.tree.interop.layout import LayoutDirectory
from regfs.tree.interop.names import ARCHIVE, IN_DIR, LAYOUT
from regfs.tree.node import Directory, Node

_log = logging.getLogger(__name__)


def child_of_image(parent: Directory, image: NamedImage, name: str) -> Node:
    """Find what an image's directory has under such a name. Raises NoEntryError."""
    if found := IN_DIR.fullmatch(name):
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
