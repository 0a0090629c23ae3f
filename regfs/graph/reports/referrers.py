"""Which manifests refer to one: signatures, SBOMs, attestations, by their `subject`."""

from __future__ import annotations

import sqlite3

from regfs.registry.terms import Role


def referrers(connection: sqlite3.Connection, repository: str, digest: str) -> list[str]:
    """Give the digests of a repository's manifests whose subject has a digest, in their order."""
    rows = connection.execute(
        """
        SELECT referrer.digest FROM blob AS subject
        JOIN edge ON edge.source = subject.id AND edge.role = ?
        JOIN blob AS referrer ON referrer.id = edge.target
        JOIN revision ON revision.name = referrer.digest
        JOIN repository ON repository.id = revision.repository AND repository.name = ?
        WHERE subject.digest = ? ORDER BY referrer.digest
        """,
        (Role.REFERRER, repository, digest),
    ).fetchall()
    return [found for (found,) in rows]
