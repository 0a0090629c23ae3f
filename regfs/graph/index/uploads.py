"""Uploads: unfinished pushes."""

from __future__ import annotations

from typing import NamedTuple

from regfs.graph.index.snapshot import Snapshot


class UploadKnown(NamedTuple):
    """An unfinished push: when it began, as the registry wrote it, its last change (ns), bytes and files.

    `at_least`: it may have more bytes.
    """

    repository: str
    upload: str
    started: str
    changed: int
    size: int
    files: int
    at_least: bool


class UploadSum(NamedTuple):
    """How many unfinished pushes, and their bytes; `at_least`: some may have more."""

    number: int
    size: int
    at_least: bool


def uploads(snapshot: Snapshot) -> list[UploadKnown]:
    """Give all uploads, sorted by repository and id."""
    rows = snapshot.rows(
        "SELECT repository.name, upload.name, started, changed, size, files, at_least FROM upload "
        "JOIN repository ON repository.id = repository ORDER BY 1, 2"
    )
    return [UploadKnown._make((*row, bool(at_least))) for *row, at_least in rows]


def repositories_with_uploads(snapshot: Snapshot) -> list[str]:
    """Name the repositories that have uploads, sorted."""
    return snapshot.column(
        "SELECT DISTINCT repository.name FROM upload JOIN repository ON repository.id = repository ORDER BY 1"
    )


def sum_of_uploads(snapshot: Snapshot, started_before: str | None = None) -> UploadSum:
    """Sum uploads up: all, or those with a date that began before another (ISO 8601, UTC)."""
    number, size, at_least = snapshot.row(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(max(at_least), FALSE) FROM upload "
        "WHERE :limit IS NULL OR (started != '' AND started < :limit)",
        {"limit": started_before},
    )
    return UploadSum(number, size, bool(at_least))
