"""All the views, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from regfs.tree import inode
from regfs.tree.node import Directory
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


def views_of(source: Source) -> Mapping[str, Directory]:
    """Make the views of a store: those that `root` names."""
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
    return {name: make(inode.of_child(inode.ROOT, name)) for name, make in views.items()}
