"""The bytes that a garbage collection frees once certain manifests were deleted from their repositories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from regfs.graph.index.blobs import Sum
from regfs.graph.index.schema import Doubt
from regfs.graph.index.snapshot import Snapshot
from regfs.graph.index.states import NAMED
from regfs.registry.terms import Role


class FreedBlob(NamedTuple):
    """A blob that a collection frees: its bytes, and whether that takes no deletion."""

    digest: str
    size: int
    orphaned: bool


class Freed(NamedTuple):
    """Numbers of blobs and their bytes.

    `by_repository` has what only that repository leads to; "" what several lead to. `orphaned` is what a
    collection frees without any deletion. `unknown` is in neither: what would go, but that a gap may hold.
    `blobs` are those that go, by digest, with their bytes, and whether they are orphaned; if asked for.
    """

    by_repository: dict[str, Sum]
    orphaned: Sum
    unknown: Sum = Sum(0, 0)
    blobs: tuple[FreedBlob, ...] = ()

    @property
    def total(self) -> Sum:
        """All blobs, and all bytes that the store would shrink by."""
        rows = [*self.by_repository.values(), self.orphaned]
        return Sum(sum(row.number for row in rows), sum(row.size for row in rows))


#: What a collection frees without any deletion.
_ORPHANED = "blob WHERE size IS NOT NULL AND id NOT IN (SELECT blob FROM held)"

_LISTED = f"""
    SELECT digest, size, FALSE FROM freed JOIN blob ON id = blob WHERE size IS NOT NULL
    UNION ALL SELECT digest, size, TRUE FROM {_ORPHANED} ORDER BY 1
"""


def freed_by(
    snapshot: Snapshot,
    deleted: Iterable[tuple[int, int]],
    *,
    ignore_no_tags: bool = False,
    listed: bool = False,
) -> Freed:
    """Collect garbage in a model: mark what the remaining revisions and tags lead to.

    `deleted` are numbers of repositories and manifests. `ignore_no_tags`: a store without
    any tag is believed to have none. `listed`: name the blobs.
    """
    gaps = f"why != {Doubt.TAGGED_ELSEWHERE:d}" if ignore_no_tags else "TRUE"
    doubted = f"(SELECT blob FROM doubted WHERE {gaps})"
    connection = snapshot.connection
    for statement in (
        "DROP TABLE IF EXISTS temp.deleted",
        "DROP TABLE IF EXISTS temp.kept",
        "DROP TABLE IF EXISTS temp.freed",
        "CREATE TEMP TABLE deleted (repository INTEGER, blob INTEGER, PRIMARY KEY (repository, blob)) "
        "WITHOUT ROWID",
        "CREATE TEMP TABLE kept (blob INTEGER PRIMARY KEY)",
    ):
        connection.execute(statement)
    connection.executemany("INSERT INTO deleted VALUES (?, ?)", deleted)
    follow = f"role IN {NAMED} OR role = {Role.ALIAS:d}"
    # By EXCEPT: SQLite looks a pair up in a list (NOT IN) twenty times as slowly.
    remaining = """
        SELECT blob FROM (
            SELECT repository, blob FROM revision UNION SELECT repository, blob FROM tag
            EXCEPT SELECT * FROM deleted
        ) WHERE blob IS NOT NULL
    """
    connection.execute(
        f"""
        INSERT INTO kept WITH RECURSIVE reached (blob) AS (
            {remaining} UNION
            SELECT edge.target FROM reached JOIN edge ON edge.source = reached.blob WHERE {follow}
        ) SELECT blob FROM reached
        """
    )
    # What is below something kept is kept: nobody need go there.
    connection.execute(
        f"""
        CREATE TEMP TABLE freed AS
        WITH RECURSIVE theirs (repository, blob) AS (
            SELECT * FROM deleted WHERE blob NOT IN (SELECT blob FROM kept) UNION
            SELECT repository, edge.target FROM theirs JOIN edge ON edge.source = theirs.blob
            WHERE ({follow}) AND edge.target NOT IN (SELECT blob FROM kept)
        )
        SELECT theirs.blob AS blob, min(repository) AS one, count(*) AS number FROM theirs
        WHERE theirs.blob NOT IN {doubted} GROUP BY theirs.blob
        """
    )
    orphaned = snapshot.row(f"SELECT count(*), coalesce(sum(size), 0) FROM {_ORPHANED}")
    unknown = snapshot.row(
        f"SELECT count(*), coalesce(sum(size), 0) FROM blob WHERE size IS NOT NULL "
        f"AND id IN {doubted} AND id NOT IN (SELECT blob FROM kept)"
    )
    by_repository = {
        name: Sum(count, size)
        for name, count, size in snapshot.rows(
            """
            SELECT CASE WHEN number = 1 THEN name ELSE '' END, count(*), sum(size) FROM freed
            JOIN blob ON blob.id = freed.blob JOIN repository ON repository.id = one
            WHERE size IS NOT NULL GROUP BY 1
            """
        )
    }
    blobs = snapshot.rows(_LISTED) if listed else []
    connection.execute("DROP TABLE temp.deleted")
    connection.execute("DROP TABLE temp.kept")
    connection.execute("DROP TABLE temp.freed")
    named = tuple(FreedBlob(digest, size, bool(alone)) for digest, size, alone in blobs)
    return Freed(by_repository, Sum(*orphaned), Sum(*unknown), named)
