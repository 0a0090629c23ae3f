"""`@untagged/<repository>/sha256:<hex>/`: images that no tag names."""

from __future__ import annotations

from collections.abc import Iterable

from regfs.errors import DigestError, NoEntryError
from regfs.graph.index.revisions import repositories_with_untagged, untagged_digests
from regfs.tree import inode
from regfs.tree.image import RevisionDirectory
from regfs.tree.interop.names import read_digest
from regfs.tree.node import Child, Directory, Node, NodeType
from regfs.tree.views.by_repository import Shelf
from regfs.tree.views.source import Source


class Untagged(Shelf):
    """The revisions that no tag of their repository leads to: what `garbage-collect -m` would take.

    Those that a gap may tag are not among them.
    """

    def __init__(self, source: Source) -> None:
        self._source = source

    def repositories(self) -> list[str]:
        """Name the repositories that have some."""
        with self._source.references().snapshot() as snapshot:
            return repositories_with_untagged(snapshot)

    def entries(self, repository: str, parent: Directory) -> Iterable[Child]:
        """List their digests."""
        with self._source.references().snapshot() as snapshot:
            digests = untagged_digests(snapshot, repository)
        return [Child(name, NodeType.DIRECTORY, inode.of_child(parent.inode, name)) for name in digests]

    def entry(self, repository: str, parent: Directory, name: str) -> Node:
        """Find one by its digest."""
        try:
            digest = read_digest(name)
        except DigestError:
            raise NoEntryError(name) from None
        with self._source.references().snapshot() as snapshot:
            found = untagged_digests(snapshot, repository, str(digest))
        if not found:
            raise NoEntryError(name)
        number = inode.of_child(parent.inode, str(digest))
        return RevisionDirectory(self._source.scope(repository), number, digest)
