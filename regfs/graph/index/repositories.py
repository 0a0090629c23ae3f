"""Repositories: their names, what each holds, and what it takes."""

from __future__ import annotations

from typing import NamedTuple

from regfs.graph.index.snapshot import Snapshot
from regfs.registry.terms import Mark

#: What makes a directory among the repositories one.
_IS_ONE = f"marks & {Mark.LAYERS | Mark.MANIFESTS:d}"


class RepositoryDescribed(NamedTuple):
    """A repository: numbers of what it has, bytes, and the time of the last push (ns).

    `exclusive` bytes nothing outside it leads to; None: unknown. `uploads_at_least`: those may have more.
    """

    repository: str
    tags: int
    manifests: int
    untagged: int
    size: int
    exclusive: int | None
    uploads: int
    pushed: int | None
    uploads_at_least: bool


class RepositoryWeight(NamedTuple):
    """What a repository takes, in bytes."""

    repository: str
    size: int
    exclusive: int | None


def repository_names(snapshot: Snapshot) -> dict[int, str]:
    """Give the directories among the repositories by their numbers, sorted by name."""
    return dict(snapshot.rows("SELECT id, name FROM repository ORDER BY name"))


def has_repository(snapshot: Snapshot, name: str) -> bool:
    """Tell whether there is a directory of that name among the repositories."""
    return snapshot.row("SELECT 1 FROM repository WHERE name = ?", (name,)) is not None


def count_repositories(snapshot: Snapshot) -> int:
    """Count the repositories."""
    return int(snapshot.row(f"SELECT count(*) FROM repository WHERE {_IS_ONE}")[0])


def repositories_described(snapshot: Snapshot) -> list[RepositoryDescribed]:
    """Give all repositories with what they hold, sorted by name. Needs WEIGHTS."""
    rows = snapshot.rows(
        f"""
        SELECT name,
            (SELECT count(*) FROM tag WHERE repository = id),
            (SELECT count(*) FROM revision WHERE repository = id),
            (SELECT count(*) FROM untagged WHERE repository = id AND NOT doubt),
            coalesce(size, 0), CASE WHEN size IS NULL THEN 0 ELSE exclusive END,
            coalesce((SELECT sum(size) FROM upload WHERE repository = id), 0),
            (SELECT max(pushed) FROM tag WHERE repository = id),
            coalesce((SELECT max(at_least) FROM upload WHERE repository = id), FALSE)
        FROM repository LEFT JOIN repository_weight ON repository = id
        WHERE {_IS_ONE} ORDER BY name
        """
    )
    return [RepositoryDescribed._make((*row, bool(more))) for *row, more in rows]


def largest_repositories(snapshot: Snapshot, count: int) -> list[RepositoryWeight]:
    """Give the repositories that take most. Needs WEIGHTS."""
    rows = snapshot.rows(
        "SELECT name, size, exclusive FROM repository_weight JOIN repository ON repository.id = repository "
        "ORDER BY size DESC, name LIMIT ?",
        (count,),
    )
    return [RepositoryWeight(*row) for row in rows]
