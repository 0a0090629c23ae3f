"""Revisions: the manifests that repositories hold, and those that no tag leads to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from regfs.graph.index.snapshot import Snapshot
from regfs.graph.times import nanoseconds
from regfs.registry.terms import Role


class Revision(NamedTuple):
    """A manifest of a repository, by the index's numbers, and its digest."""

    repository_id: int
    blob: int
    digest: str


class UntaggedImage(NamedTuple):
    """A revision that no tag of its repository leads to, for certain.

    `referrer`: but to what it refers to, one does. Bytes, and those that nothing else leads to (None:
    unknown); `pushed` is the time of its link (ns).
    """

    repository: str
    digest: str
    kind: str | None
    referrer: bool
    pushed: int | None
    size: int | None
    exclusive: int | None


class UntaggedRoot(NamedTuple):
    """An image that no tag leads to, nor another such image as its child."""

    repository_id: int
    repository: str
    digest: str
    blob: int
    pushed: int | None


def revisions(snapshot: Snapshot) -> list[Revision]:
    """Give the revisions whose links can be read."""
    rows = snapshot.rows("SELECT repository, blob, digest FROM revision JOIN blob ON blob.id = blob")
    return [Revision(*row) for row in rows]


def unread_revisions(snapshot: Snapshot) -> set[tuple[str, str]]:
    """Give the revisions whose links cannot be read: the repository, and the digest that the path tells."""
    return set(
        snapshot.rows(
            "SELECT repository.name, revision.name FROM revision "
            "JOIN repository ON repository.id = repository WHERE blob IS NULL"
        )
    )


def times_of_revisions(snapshot: Snapshot) -> dict[str, dict[str, int | None]]:
    """Tell the time of each revision's link (ns), by repository and digest; None where it was not read."""
    found: dict[str, dict[str, int | None]] = {}
    query = (
        "SELECT repository.name, digest, max(pushed) FROM revision "
        "JOIN repository ON repository.id = repository JOIN blob ON blob.id = blob GROUP BY repository, blob"
    )
    for repository, digest, pushed in snapshot.rows(query):
        found.setdefault(repository, {})[digest] = pushed
    return found


def untagged_images(snapshot: Snapshot) -> list[UntaggedImage]:
    """Give the images that no tag names, sorted by repository and digest. Needs WEIGHTS."""
    rows = snapshot.rows(
        """
        SELECT repository.name, digest, manifest.kind, untagged.referrer, revision.pushed, weight.size,
            weight.exclusive
        FROM untagged JOIN repository ON repository.id = untagged.repository
        JOIN blob ON blob.id = untagged.blob
        LEFT JOIN revision ON revision.repository = untagged.repository AND revision.blob = untagged.blob
        LEFT JOIN manifest ON manifest.blob = untagged.blob
        LEFT JOIN weight ON weight.blob = untagged.blob
        WHERE NOT doubt ORDER BY 1, 2
        """
    )
    return [UntaggedImage(*row) for row in rows]


def untagged_digests(snapshot: Snapshot, repository: str, digest: str | None = None) -> list[str]:
    """Give the digests of one repository's untagged images, sorted; or one digest, if it is among them."""
    return snapshot.column(
        "SELECT digest FROM untagged JOIN blob ON blob.id = blob "
        "JOIN repository ON repository.id = repository WHERE name = :repository AND NOT doubt "
        "AND (digest = :digest OR :digest IS NULL) ORDER BY digest",
        {"repository": repository, "digest": digest},
    )


def repositories_with_untagged(snapshot: Snapshot) -> list[str]:
    """Name the repositories that have untagged images, sorted."""
    return snapshot.column(
        "SELECT DISTINCT name FROM untagged "
        "JOIN repository ON repository.id = repository WHERE NOT doubt ORDER BY name"
    )


def untagged_roots(snapshot: Snapshot) -> list[UntaggedRoot]:
    """Give the images that no tag of their repository leads to, and no other such image; sorted by digest.

    Also those that a gap may tag. A child goes with its index.
    """
    rows = snapshot.rows(
        f"""
        SELECT untagged.repository, repository.name, digest, untagged.blob, max(pushed)
        FROM untagged JOIN repository ON repository.id = untagged.repository
        JOIN blob ON blob.id = untagged.blob
        JOIN revision ON revision.repository = untagged.repository AND revision.blob = untagged.blob
        WHERE NOT referrer AND NOT EXISTS (
            SELECT 1 FROM edge JOIN revision AS above ON above.blob = edge.source
            WHERE edge.target = untagged.blob AND edge.role = {Role.CHILD:d}
            AND above.repository = untagged.repository
        )
        GROUP BY 1, 4 ORDER BY digest
        """
    )
    return [UntaggedRoot(*row) for row in rows]


class RevisionCounts(NamedTuple):
    """How many revisions there are; how many no tag of their repository leads to, or perhaps none does."""

    all: int
    untagged: int
    doubtful: int


def count_revisions(snapshot: Snapshot) -> RevisionCounts:
    """Count the revisions."""
    (every,) = snapshot.row("SELECT count(*) FROM revision")
    untagged, doubtful = snapshot.row("SELECT count(*), count(nullif(doubt, 0)) FROM untagged")
    return RevisionCounts(every, untagged - doubtful, doubtful)


def manifests_below(snapshot: Snapshot) -> dict[int, list[int]]:
    """Give, by numbers, the manifests below each manifest: its children, and what has it as its subject."""
    below: dict[int, list[int]] = {}
    query = f"SELECT source, target FROM edge WHERE role IN ({Role.CHILD:d}, {Role.REFERRER:d})"
    for source, target in snapshot.rows(query):
        below.setdefault(source, []).append(target)
    return below


def times_built(snapshot: Snapshot) -> dict[int, int]:
    """Tell when images were built (ns), as far as configs were read; an index with the last of its images."""
    found = dict(_times_built(snapshot))
    query = f"SELECT source, target FROM edge WHERE role = {Role.CHILD:d}"
    for index, child in snapshot.rows(query):
        if child in found:
            found[index] = max(found[child], found.get(index, found[child]))
    return found


def _times_built(snapshot: Snapshot) -> Iterator[tuple[int, int]]:
    for query in (
        f"SELECT source, created FROM edge JOIN config ON config.blob = target WHERE role = {Role.CONFIG:d}",
        "SELECT manifest.blob, created FROM manifest JOIN config ON config.blob = manifest.blob",
    ):
        for blob, created in snapshot.rows(query):
            time = nanoseconds(created)
            if time is not None:
                yield blob, time
