"""Who holds a blob: the tags, revisions and manifests above it, one step up or all the way."""

from __future__ import annotations

from typing import NamedTuple

from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.snapshot import Snapshot
from regfs.registry.terms import Role


class ImageName(NamedTuple):
    """A repository, and a tag or digest in it."""

    repository: str
    name: str


class Parent(NamedTuple):
    """An index that has a manifest as its child, and the name of the child's platform."""

    manifest: int
    platform: str


class HeldIn(NamedTuple):
    """A manifest that names a blob, and as what: the blob's place in it, and what it says of the blob."""

    manifest: int
    role: Role
    position: int
    media_type: str
    title: str


def tags_of(snapshot: Snapshot, manifest: int) -> list[ImageName]:
    """Give the tags that name a manifest, sorted."""
    rows = snapshot.rows(
        "SELECT repository.name, tag.name FROM tag JOIN repository ON repository.id = tag.repository "
        "WHERE blob = ? ORDER BY 1, 2",
        (manifest,),
    )
    return [ImageName(*row) for row in rows]


def parents_of(snapshot: Snapshot, manifest: int) -> list[Parent]:
    """Give the indexes that have a manifest as their child, sorted by digest."""
    rows = snapshot.rows(
        "SELECT source, platform FROM edge JOIN blob ON blob.id = source "
        "WHERE target = ? AND role = ? ORDER BY digest, position",
        (manifest, Role.CHILD),
    )
    return [Parent(*row) for row in rows]


def untagged_names_of(snapshot: Snapshot, manifest: int) -> list[ImageName]:
    """Give the repositories, sorted, in which a manifest is a revision that no tag leads to; its digest."""
    rows = snapshot.rows(
        "SELECT repository.name, digest FROM untagged "
        "JOIN repository ON repository.id = untagged.repository JOIN blob ON blob.id = untagged.blob "
        "WHERE untagged.blob = ? ORDER BY 1",
        (manifest,),
    )
    return [ImageName(*row) for row in rows]


def manifests_that_name(snapshot: Snapshot, blob: int) -> list[HeldIn]:
    """Give the manifests that name a blob otherwise than as their child, the tagged ones first.

    As REFERRER, what it refers to; as ALIAS, the name by which the blob was pushed.
    """
    rows = snapshot.rows(
        "SELECT source, role, position, media_type, title FROM edge JOIN blob ON blob.id = source "
        "LEFT JOIN held ON held.blob = source WHERE target = ? AND role != ? "
        "ORDER BY state, digest, role, position",
        (blob, Role.CHILD),
    )
    return [HeldIn(row[0], Role(row[1]), *row[2:]) for row in rows]


def count_layers(snapshot: Snapshot, manifest: int) -> int:
    """Count the layers of an image."""
    query = "SELECT count(*) FROM edge WHERE source = ? AND role = ?"
    return int(snapshot.row(query, (manifest, Role.LAYER))[0])


def all_tags_above(snapshot: Snapshot, blob: int) -> list[ImageName]:
    """Give each tag that leads to a blob in whatever way."""
    return [ImageName(*name) for name in tags_above(snapshot.connection, blob, Role)]


def untagged_above(snapshot: Snapshot, blob: int) -> list[ImageName]:
    """Give each untagged image that leads to a blob and stands for itself, sorted."""
    rows = snapshot.rows(
        "WITH RECURSIVE above (blob) AS ("
        "VALUES (?) UNION SELECT edge.source FROM above JOIN edge ON edge.target = above.blob) "
        "SELECT repository.name, digest FROM above "
        "JOIN untagged ON untagged.blob = above.blob JOIN blob ON blob.id = above.blob "
        "JOIN repository ON repository.id = untagged.repository "
        "WHERE NOT referrer ORDER BY repository.name || '@' || digest",
        (blob,),
    )
    return [ImageName(*row) for row in rows]


class LinkedAsRevision(NamedTuple):
    """A repository with a link to a manifest, and the time of that (ns; None if it could not be read)."""

    repository: str
    pushed: int | None


def repositories_linking_layer(snapshot: Snapshot, digest: str) -> list[str]:
    """Name the repositories that have a link to a digest below `_layers`, sorted."""
    algorithm, _, encoded = digest.partition(":")
    raw = bytes.fromhex(encoded)
    rows = snapshot.rows(
        "SELECT name, digests FROM layer_links JOIN repository ON repository.id = repository "
        "WHERE algorithm = ? AND instr(digests, ?) ORDER BY name",
        (algorithm, raw),
    )
    return [
        repository
        for repository, digests in rows
        if raw in {digests[start : start + len(raw)] for start in range(0, len(digests), len(raw))}
    ]


def repositories_linking_revision(snapshot: Snapshot, digest: str) -> list[LinkedAsRevision]:
    """Name the repositories that have a link to a digest as a revision, sorted."""
    rows = snapshot.rows(
        "SELECT repository.name, pushed FROM revision JOIN repository ON repository.id = repository "
        "WHERE revision.name = ? ORDER BY 1",
        (digest,),
    )
    return [LinkedAsRevision(*row) for row in rows]
