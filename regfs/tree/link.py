"""Symlinks: to the default platform of an index, or to where a foreign layer can be fetched."""

from __future__ import annotations

from regfs.tree import inode
from regfs.tree.node import Attributes, Directory, NodeType, Symlink


class FixedLink(Symlink):
    """A link whose target is known; it has the time of the directory that holds it.

    Its size is 0, as of links in /proc: it takes no byte of the store, and `du -b` is to add up to those.
    """

    __slots__ = ("_parent", "_target")

    def __init__(self, parent: Directory, name: str, target: str) -> None:
        super().__init__(inode.of_child(parent.inode, name))
        self._parent = parent
        self._target = target

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes(NodeType.SYMLINK, self.inode, 1, 0, 0, self._parent.attributes().mtime_ns)

    def target(self) -> str:
        """Give what the link points to."""
        return self._target
