"""The root of the tree: the repositories, and the views beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from regfs.tree import inode
from regfs.tree.names import NamesDirectory
from regfs.tree.node import Child, Directory, Node, NodeType
from regfs.tree.views.algorithms import AlgorithmsDirectory
from regfs.tree.views.blobs import BlobsOfAlgorithm
from regfs.tree.views.broken import Broken
from regfs.tree.views.by_repository import RepositoriesDirectory
from regfs.tree.views.history import HistoryDirectory
from regfs.tree.views.orphans import OrphansOfAlgorithm, UnknownOfAlgorithm
from regfs.tree.views.reports import MadeReports, ReportsDirectory
from regfs.tree.views.source import Source
from regfs.tree.views.untagged import Untagged
from regfs.tree.views.uploads import UploadShelf


class RootDirectory(NamesDirectory):
    """The top. `listed`: its listing shows the views, too."""

    __slots__ = ("_listed", "_views")

    def __init__(self, source: Source, *, listed: bool) -> None:
        super().__init__(source.scope(""), inode.ROOT)
        self._listed = listed
        made = MadeReports(source)
        views: dict[str, Callable[[int], Directory]] = {
            "@blobs": lambda number: AlgorithmsDirectory(source, number, BlobsOfAlgorithm),
            "@broken": lambda number: RepositoriesDirectory(Broken(source), number),
            "@history": lambda number: HistoryDirectory(source.scope(""), number),
            "@orphans": lambda number: AlgorithmsDirectory(source, number, OrphansOfAlgorithm),
            "@reports": lambda number: ReportsDirectory(made, number),
            "@unknown": lambda number: AlgorithmsDirectory(source, number, UnknownOfAlgorithm),
            "@untagged": lambda number: RepositoriesDirectory(Untagged(source), number),
            "@uploads": lambda number: RepositoriesDirectory(UploadShelf(source), number),
        }
        self._views = {name: make(inode.of_child(self.inode, name)) for name, make in views.items()}

    def children(self) -> Iterable[Child]:
        """List the repositories, and the views if they are to be listed."""
        yield from super().children()
        if self._listed:
            for name, view in self._views.items():
                yield Child(name, NodeType.DIRECTORY, view.inode)

    def lookup(self, name: str) -> Node:
        """Find a view or a repository."""
        view = self._views.get(name)
        return super().lookup(name) if view is None else view
