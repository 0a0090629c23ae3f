"""`@orphans/sha256/<hex>.<suffix>`: blobs that nothing leads to; `@unknown/…`: that a gap may lead to.

The suffix is told by their first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from regfs.errors import DigestError, NoEntryError
from regfs.graph.index import State
from regfs.graph.index.blobs import BlobInState, blobs_in_state
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.blob import StoredFile
from regfs.tree.node import Child, Node, NodeType
from regfs.tree.views.algorithms import OfAlgorithm


class OrphansOfAlgorithm(OfAlgorithm):
    """The orphans whose digests are of one algorithm."""

    __slots__ = ()
    dear = True

    #: The state of the blobs that are shown, and what each is called.
    state: ClassVar[State] = State.ORPHANED
    kind: ClassVar[str] = "orphan"

    def children(self) -> Iterable[Child]:
        """List them."""
        start = len(self._algorithm) + 1
        for blob in self._find(f"{self._algorithm}:", f"{self._algorithm};"):
            if blob.suffix is not None:
                number = inode.of_blob(Digest.parse(blob.digest))
                yield Child(blob.digest[start:] + blob.suffix, NodeType.FILE, number)

    def lookup(self, name: str) -> Node:
        """Find one of them by its whole name."""
        encoded, _, suffix = name.partition(".")
        try:
            digest = Digest.parse(f"{self._algorithm}:{encoded}")
        except DigestError:
            raise NoEntryError(name) from None
        for blob in self._find(str(digest), f"{digest}g"):
            if blob.suffix == f".{suffix}":
                media_type = blob.media_type or ""
                return StoredFile(self._source.scope(""), digest, media_type, self.kind, self)
        raise NoEntryError(name)

    def _find(self, first: str, behind: str) -> list[BlobInState]:
        with self._source.reports().recognised_orphans() as snapshot:
            return blobs_in_state(snapshot, self.state, first, behind)


class UnknownOfAlgorithm(OrphansOfAlgorithm):
    """The blobs of one algorithm that something may hold which could not be read."""

    __slots__ = ()
    state = State.UNKNOWN
    kind = "unknown"
