"""`@orphans/sha256/<hex>.<suffix>`: blobs that nothing leads to. The suffix is told by their first bytes."""

from __future__ import annotations

from collections.abc import Iterable

from regfs.errors import DigestError, NoEntryError
from regfs.oci import Digest
from regfs.tree import inode
from regfs.tree.blob import StoredFile
from regfs.tree.node import Child, Node, NodeType
from regfs.tree.views.algorithms import OfAlgorithm

_ORPHANS = """
    SELECT digest, suffix, media_type FROM blob JOIN content ON content.blob = id
    WHERE size IS NOT NULL AND id NOT IN (SELECT blob FROM held) AND digest >= ? AND digest < ?
"""


class OrphansOfAlgorithm(OfAlgorithm):
    """The orphans whose digests are of one algorithm."""

    __slots__ = ()

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
                return StoredFile(self._source.scope(""), digest, media_type, "orphan", self)
        raise NoEntryError(name)

    def _find(self, first: str, behind: str) -> list[tuple[str, str, str]]:
        with self._source.reports.recognised_orphans() as connection:
            return connection.execute(f"{_ORPHANS} ORDER BY digest", (first, behind)).fetchall()
