"""Tags: what each names, since when, and what that is."""

from __future__ import annotations

from typing import NamedTuple

from regfs.graph.index.snapshot import Snapshot
from regfs.registry.terms import Role


class TagNamed(NamedTuple):
    """A tag, and what it names; times in nanoseconds, None where that could not be read.

    `repository_id` and `blob` are the index's numbers.
    """

    repository_id: int
    repository: str
    tag: str
    blob: int | None
    digest: str | None
    pushed: int | None


class TagDescribed(NamedTuple):
    """A tag, and what it names: bytes, and those that nothing else leads to (None: unknown).

    `platforms` are an index's, or the image's own; `created` is what its config tells; `pushes` counts what
    the tag has named.
    """

    repository: str
    tag: str
    digest: str | None
    kind: str | None
    platforms: str | None
    created: str | None
    pushed: int | None
    pushes: int
    size: int | None
    exclusive: int | None
    shared: int | None


class TaggedImage(NamedTuple):
    """An image that tags name, with all of them as REPOSITORY:TAG, sorted.

    `pushed` is the last push of one of them, None if one is not known; `created` and `platforms` as a tag's;
    `exclusive` is what goes when all of them do, and with them all other names of the image (None: unknown).
    """

    digest: str
    kind: str | None
    tags: tuple[str, ...]
    platforms: str | None
    created: str | None
    pushed: int | None
    size: int | None
    exclusive: int | None


def tags(snapshot: Snapshot) -> list[TagNamed]:
    """Give all tags, sorted by repository and name."""
    rows = snapshot.rows(
        "SELECT repository, repository.name, tag.name, blob, digest, pushed FROM tag "
        "JOIN repository ON repository.id = repository LEFT JOIN blob ON blob.id = blob ORDER BY 2, 3"
    )
    return [TagNamed(*row) for row in rows]


def count_tags(snapshot: Snapshot) -> int:
    """Count all tags."""
    return int(snapshot.row("SELECT count(*) FROM tag")[0])


def tags_described(snapshot: Snapshot) -> list[TagDescribed]:
    """Give all tags with what they name, sorted. Needs WEIGHTS; configs that were not read tell nothing."""
    rows = snapshot.rows(
        f"""
        SELECT repository.name, tag.name, digest, manifest.kind,
            coalesce(
                nullif((SELECT group_concat(platform, ' ') FROM (
                    SELECT platform FROM edge WHERE source = tag.blob AND role = {Role.CHILD:d} ORDER BY
                    position
                )), ''),
                (SELECT platform FROM config WHERE blob = {_CONFIG})
            ),
            (SELECT created FROM config WHERE blob = {_CONFIG}),
            pushed,
            (SELECT count(*) FROM history WHERE repository = tag.repository AND tag = tag.name),
            weight.size, weight.exclusive, weight.size - weight.exclusive
        FROM tag JOIN repository ON repository.id = tag.repository
        LEFT JOIN blob ON blob.id = tag.blob
        LEFT JOIN manifest ON manifest.blob = tag.blob
        LEFT JOIN weight ON weight.blob = tag.blob
        ORDER BY 1, 2
        """
    )
    return [TagDescribed(*row) for row in rows]


def tagged_images(snapshot: Snapshot) -> list[TaggedImage]:
    """Give each image that tags name, sorted by the first of them. Needs WEIGHTS."""
    images: dict[str, list[TagDescribed]] = {}
    for tag in tags_described(snapshot):
        if tag.digest is not None:
            images.setdefault(tag.digest, []).append(tag)
    alone = dict(snapshot.rows("SELECT digest, alone FROM weight JOIN blob ON blob.id = weight.blob"))
    found = []
    for digest, named in images.items():
        first, times = named[0], [tag.pushed for tag in named]
        known = [time for time in times if time is not None]
        found.append(
            TaggedImage(
                digest,
                first.kind,
                tuple(f"{tag.repository}:{tag.tag}" for tag in named),
                first.platforms,
                first.created,
                max(known) if len(known) == len(times) else None,
                first.size,
                alone.get(digest),
            )
        )
    return found


#: The config that tells when a tag's image was built: a manifest of schema 1 itself, or the image's own, or
#: that of the first child that has one.
_CONFIG = f"""(
    SELECT config.blob FROM (
        SELECT tag.blob AS blob, -2 AS place
        UNION ALL SELECT target, -1 FROM edge WHERE source = tag.blob AND role = {Role.CONFIG:d}
        UNION ALL SELECT below.target, child.position FROM edge AS child
            JOIN edge AS below ON below.source = child.target AND below.role = {Role.CONFIG:d}
            WHERE child.source = tag.blob AND child.role = {Role.CHILD:d}
    ) AS found JOIN config ON config.blob = found.blob ORDER BY place LIMIT 1
)"""


class FormerTag(NamedTuple):
    """A tag that has named something, and when it was pushed then (ns)."""

    repository: str
    tag: str
    pushed: int | None


def tags_that_named(snapshot: Snapshot, blob: int) -> list[FormerTag]:
    """Give the tags that have named a manifest, and name another now; the oldest push first."""
    rows = snapshot.rows(
        "SELECT repository.name, tag, history.pushed FROM history "
        "JOIN repository ON repository.id = history.repository "
        "JOIN tag ON tag.repository = history.repository AND tag.name = history.tag "
        "WHERE history.blob = :blob AND tag.blob IS NOT :blob ORDER BY 3",
        {"blob": blob},
    )
    return [FormerTag(*row) for row in rows]


class FormerPush(NamedTuple):
    """What a tag has named before; its bytes, if it is an image that is still stored and has a weight."""

    repository: str
    tag: str
    digest: str
    pushed: int | None
    size: int | None
    stored: bool


def former_pushes(snapshot: Snapshot) -> list[FormerPush]:
    """Give what tags have named before and name no more; each tag's oldest push first. Needs WEIGHTS."""
    rows = snapshot.rows(
        "SELECT repository.name, history.tag, digest, history.pushed, weight.size, blob.size IS NOT NULL "
        "FROM history JOIN repository ON repository.id = history.repository "
        "JOIN tag ON tag.repository = history.repository AND tag.name = history.tag "
        "JOIN blob ON blob.id = history.blob LEFT JOIN weight ON weight.blob = history.blob "
        "WHERE tag.blob IS NOT history.blob ORDER BY 1, 2, 4"
    )
    return [
        FormerPush(repository, tag, digest, pushed, size, stored=bool(stored))
        for repository, tag, digest, pushed, size, stored in rows
    ]
