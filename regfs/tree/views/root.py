"""The root of the tree: the repositories, and the views beside them."""

from __future__ import annotations

from collections.abc import Iterable

from regfs.later import Later
from regfs.tree import inode, views
from regfs.tree.names import NamesDirectory
from regfs.tree.node import Child, Node, NodeType
from regfs.tree.views.source import Source

#: The views, which are loaded when somebody looks for one.
_VIEWS = ("@blobs", "@broken", "@history", "@orphans", "@reports", "@unknown", "@untagged", "@uploads")


class RootDirectory(NamesDirectory):
    """The top. `listed`: its listing shows the views, too."""

    __slots__ = ("_listed", "_views")

    def __init__(self, source: Source, *, listed: bool) -> None:
        super().__init__(source.scope(""), inode.ROOT)
        self._listed = listed
        self._views = Later(lambda: views.views_of(source))

    def children(self) -> Iterable[Child]:
        """List the repositories, and the views if they are to be listed."""
        yield from super().children()
        if self._listed:
            for name in _VIEWS:
                yield Child(name, NodeType.DIRECTORY, inode.of_child(self.inode, name))

    def lookup(self, name: str) -> Node:
        """Find a view or a repository."""
        return self._views()[name] if name in _VIEWS else super().lookup(name)
