"""An OCI image layout as directories: `oci-layout`, `index.json`, `blobs/<algorithm>/<hex>`.

Blobs are regular files, never symlinks, which newer readers of layouts refuse; they have the digest's inode,
so that `du` counts them once with the image. A layer is never opened to say what is here.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence

from regfs.errors import ContentError, DamageError, NoEntryError, StoreError
from regfs.oci import Digest
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.blob import BlobFile, BytesContent
from regfs.tree.interop.documents import LAYOUT, index_json
from regfs.tree.interop.image import ImageMember, Members, NamedImage
from regfs.tree.node import Attributes, Child, Directory, File, Node, NodeType, Part
from regfs.tree.scope import Scope

_log = logging.getLogger(__name__)

Images = Callable[[], Sequence[NamedImage]]

_MARK = "oci-layout"
_INDEX = "index.json"
_BLOBS = "blobs"


class LayoutDirectory(Part):
    """A layout of the images that `images` gives, all of one scope."""

    __slots__ = ("_images", "_scope")
    dear = True

    def __init__(self, scope: Scope, parent: Directory, name: str, images: Images) -> None:
        super().__init__(parent, name)
        self._scope = scope
        self._images = images

    def children(self) -> Iterable[Child]:
        """List the three."""
        for name in (_MARK, _INDEX):
            yield Child(name, NodeType.FILE, inode.of_child(self.inode, name))
        yield Child(_BLOBS, NodeType.DIRECTORY, inode.of_child(self.inode, _BLOBS))

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        if name == _MARK:
            return DocumentFile(self, name, LAYOUT)
        if name == _INDEX:
            return DocumentFile(self, name, index_json(self._images()))
        if name == _BLOBS:
            return LayoutBlobs(self._scope, self, self._images)
        raise NoEntryError(name)


class DocumentFile(File):
    """A document that follows from manifests alone."""

    __slots__ = ("_content", "_parent")

    def __init__(self, parent: Directory, name: str, content: bytes) -> None:
        super().__init__(inode.of_child(parent.inode, name))
        self._parent = parent
        self._content = content

    @property
    def identity(self) -> str:
        """The digest of the bytes."""
        return str(Digest.of(self._content))

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_computed(self.inode, len(self._content), self._parent.attributes().mtime_ns)

    def open(self) -> Content:
        """Give the bytes."""
        return BytesContent(self._content)


class LayoutBlobs(Part):
    """`blobs/`: a directory for each algorithm that the images' digests have."""

    __slots__ = ("_images", "_members", "_scope")

    def __init__(self, scope: Scope, parent: Directory, images: Images) -> None:
        super().__init__(parent, _BLOBS)
        self._scope = scope
        self._images = images
        self._members: Members | None = None

    def _found(self) -> Members:
        if self._members is None:
            members = Members()
            images = self._images()
            for image in images:
                try:
                    members.add(image)
                except (ContentError, DamageError, StoreError) as error:
                    if len(images) == 1:
                        raise
                    _log.warning("%s: the layout of all tags lacks blobs of it: %s", image.name, error)
            self._members = members
        return self._members

    def children(self) -> Iterable[Child]:
        """List the algorithms."""
        for name in sorted({member.descriptor.digest.algorithm for member in self._found()}):
            yield Child(name, NodeType.DIRECTORY, inode.of_child(self.inode, name))

    def lookup(self, name: str) -> Node:
        """Find the blobs of one algorithm."""
        found = {
            member.descriptor.digest.hex: member
            for member in self._found()
            if member.descriptor.digest.algorithm == name
        }
        if not found:
            raise NoEntryError(name)
        return LayoutAlgorithm(self._scope, self, name, found)


class LayoutAlgorithm(Part):
    """`blobs/<algorithm>/`: each blob of the images, by its hex digits."""

    __slots__ = ("_members", "_scope")

    def __init__(self, scope: Scope, parent: Directory, name: str, members: dict[str, ImageMember]) -> None:
        super().__init__(parent, name)
        self._scope = scope
        self._members = members

    def children(self) -> Iterable[Child]:
        """List the blobs."""
        for name in self._members:
            yield Child.of(name, self.lookup(name))

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        member = self._members.get(name)
        if member is None:
            raise NoEntryError(name)
        return BlobFile(self._scope, member.named, member.kind, self)
