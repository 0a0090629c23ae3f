"""A view of digests: a directory for each algorithm under which blobs are stored, `@blobs/sha256/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from regfs.errors import NoEntryError
from regfs.tree import inode
from regfs.tree.node import Attributes, Child, Directory, Node, NodeType
from regfs.tree.views.source import Source


class AlgorithmsDirectory(Directory):
    """`make` makes the directory of one algorithm, from the source, its inode and the algorithm's name."""

    __slots__ = ("_make", "_source")

    def __init__(self, source: Source, number: int, make: Callable[[Source, int, str], Directory]) -> None:
        super().__init__(number)
        self._source = source
        self._make = make

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_directory(self.inode, 0)

    def children(self) -> Iterable[Child]:
        """List the algorithms under which blobs are stored."""
        for name in self._source.graph.algorithms():
            yield Child(name, NodeType.DIRECTORY, inode.of_child(self.inode, name))

    def lookup(self, name: str) -> Node:
        """Find one of them."""
        if name not in self._source.graph.algorithms():
            raise NoEntryError(name)
        return self._make(self._source, inode.of_child(self.inode, name), name)


class OfAlgorithm(Directory):
    """The directory of one algorithm: what it holds is the view's."""

    __slots__ = ("_algorithm", "_source")

    def __init__(self, source: Source, number: int, algorithm: str) -> None:
        super().__init__(number)
        self._source = source
        self._algorithm = algorithm

    def attributes(self) -> Attributes:
        """Tell what stat(2) tells."""
        return Attributes.of_directory(self.inode, 0)
