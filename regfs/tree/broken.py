"""A directory that is listed and cannot be entered: what stands there is none of the registry's."""

from __future__ import annotations

from collections.abc import Iterable

from regfs.errors import RegfsError
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, Node


class BrokenDirectory(Directory):
    """Its attributes are plain; every other question raises `error`."""

    __slots__ = ("_error",)

    def __init__(self, parent: Directory, name: str, error: RegfsError) -> None:
        super().__init__(inode.of_child(parent.inode, name))
        self._error = error

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_directory(self.inode, 0)

    def children(self) -> Iterable[Child]:
        """Raise the error."""
        raise self._error

    def lookup(self, name: str) -> Node:
        """Raise the error."""
        raise self._error
