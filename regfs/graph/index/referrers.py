"""Which manifests refer to one: signatures, SBOMs, attestations, by their `subject`."""

from __future__ import annotations

from regfs.graph.index.snapshot import Snapshot
from regfs.registry.terms import Role


def referrers(snapshot: Snapshot, repository: str, digest: str) -> list[str]:
    """Give the digests of a repository's manifests whose subject has a digest, in their order."""
    rows = snapshot.rows(
        """
        SELECT referrer.digest FROM blob AS subject
        JOIN edge ON edge.source = subject.id AND edge.role = ?
        JOIN blob AS referrer ON referrer.id = edge.target
        JOIN revision ON revision.name = referrer.digest
        JOIN repository ON repository.id = revision.repository AND repository.name = ?
        WHERE subject.digest = ? ORDER BY referrer.digest
        """,
        (Role.REFERRER, repository, digest),
    )
    return [found for (found,) in rows]
