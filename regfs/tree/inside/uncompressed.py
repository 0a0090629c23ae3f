"""`layers/NN.tar`: a layer uncompressed, whatever it is stored as."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from regfs.layers import Layer
from regfs.storage import Content
from regfs.tree import inode
from regfs.tree.inside.opener import Opener
from regfs.tree.node import Attributes, Directory, File


class LayerTar(File):
    """The tar of one layer; its sha256 is the DiffID that the image's config lists."""

    __slots__ = ("_open_layer", "_opener", "_parent")

    XATTRS = ("digest", "diff_id", "kind")

    def __init__(self, opener: Opener, parent: Directory, name: str, open_layer: Callable[[], Layer]) -> None:
        super().__init__(inode.of_child(parent.inode, name))
        self._opener = opener
        self._parent = parent
        self._open_layer = open_layer

    @property
    def identity(self) -> str:
        """The DiffID."""
        return self._open_layer().diff_id

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells; for the size, the layer is read once."""
        size = self._open_layer().size
        return Attributes.of_computed(self.inode, size, self._parent.attributes().mtime_ns)

    def facts(self) -> Mapping[str, str]:
        """Tell the digest that it is stored under, and the DiffID."""
        layer = self._open_layer()
        return {"digest": str(layer.digest), "diff_id": layer.diff_id, "kind": "layer"}

    def open(self) -> Content:
        """Open the bytes."""
        return self._opener.tar(self._open_layer())
