"""A directory that is listed and cannot be entered: what stands there is none of the registry's."""

from __future__ import annotations

from collections.abc import Iterable

from regfs.errors import RegfsError
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, Node


class BrokenDirectory(Directory):
    """Its attributes are plain, with the time of what stands there; every other question raises `error`."""

    __slots__ = ("_mtime_ns", "error")

    def __init__(self, parent: Directory, name: str, error: RegfsError, mtime_ns: int) -> None:
        super().__init__(inode.of_child(parent.inode, name))
        #: What every question about it raises.
        self.error = error
        self._mtime_ns = mtime_ns

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_directory(self.inode, self._mtime_ns)

    def children(self) -> Iterable[Child]:
        """Raise the error."""
        raise self.error

    def lookup(self, name: str) -> Node:
        """Raise the error."""
        raise self.error
