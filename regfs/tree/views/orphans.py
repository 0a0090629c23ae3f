"""`@orphans/sha256/<hex>.<suffix>`: blobs that nothing leads to; `@unknown/…`: that a gap may lead to.

The suffix is told by their first bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from regfs.errors import DigestError, NoEntryError
from regfs.graph.index import State
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.blob import StoredFile
from regfs.tree.node import Child, Node, NodeType
from regfs.tree.views.algorithms import OfAlgorithm

_IN_STATE = f"""
    SELECT digest, suffix, media_type FROM blob JOIN content ON content.blob = id
    LEFT JOIN held ON held.blob = id
    WHERE size IS NOT NULL AND coalesce(state, {State.ORPHANED:d}) = ? AND digest >= ? AND digest < ?
    ORDER BY digest
"""


class OrphansOfAlgorithm(OfAlgorithm):
    """The orphans whose digests are of one algorithm."""

    __slots__ = ()

    #: The state of the blobs that are shown, and what each is called.
    state: ClassVar[State] = State.ORPHANED
    kind: ClassVar[str] = "orphan"

    def children(self) -> Iterable[Child]:
        """List them."""
        start = len(self._algorithm) + 1
        for digest, suffix, _ in self._find(f"{self._algorithm}:", f"{self._algorithm};"):
            number = inode.of_blob(Digest.parse(digest))
            yield Child(digest[start:] + suffix, NodeType.FILE, number)

    def lookup(self, name: str) -> Node:
        """Find one of them by its whole name."""
        encoded, _, suffix = name.partition(".")
        try:
            digest = Digest.parse(f"{self._algorithm}:{encoded}")
        except DigestError:
            raise NoEntryError(name) from None
        for _, known, media_type in self._find(str(digest), f"{digest}g"):
            if known == f".{suffix}":
                return StoredFile(self._source.scope(""), digest, media_type, self.kind, self)
        raise NoEntryError(name)

    def _find(self, first: str, behind: str) -> list[tuple[str, str, str]]:
        with self._source.reports.recognised_orphans() as connection:
            return connection.execute(_IN_STATE, (self.state, first, behind)).fetchall()


class UnknownOfAlgorithm(OrphansOfAlgorithm):
    """The blobs of one algorithm that something may hold which could not be read."""

    __slots__ = ()
    state = State.UNKNOWN
    kind = "unknown"
