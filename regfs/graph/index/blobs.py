"""Blobs: what each is, who needs it, and what they take together."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from regfs.graph.index.schema import State
from regfs.graph.index.snapshot import Snapshot
from regfs.registry.terms import Role

#: Rows that are read at once: there may be millions.
_PAGE = 2000

#: Digests that one query asks for: SQLite before 3.32 binds no more than 999 values.
_AT_ONCE = 500

#: The edges by which a blob is named as config or layer, directly or by an alias.
_NAMED_AS = f"""
    FROM (
        SELECT source, role, position, media_type FROM edge WHERE target = id AND role < {Role.CHILD:d}
        UNION ALL
        SELECT named.source, named.role, named.position, named.media_type FROM edge AS alias
        JOIN edge AS named ON named.target = alias.source AND named.role < {Role.CHILD:d}
        WHERE alias.target = id AND alias.role = {Role.ALIAS:d}
    ) AS named
"""

# Images may name one blob by different media types: the tagged ones first, then the order of their digests.
_FIRST = f"""
    {_NAMED_AS} JOIN blob AS holder ON holder.id = named.source
    LEFT JOIN held AS holding ON holding.blob = named.source
    ORDER BY holding.state, holder.digest, role, position LIMIT 1
"""

#: `image`, `index`, what an artifact is (`signature`, `chart`…), `config`, `layer`; empty for what nothing
#: names.
_KIND = f"""
    coalesce(
        manifest.kind,
        (SELECT CASE role WHEN {Role.CONFIG:d} THEN 'config' ELSE 'layer' END {_FIRST}),
        ''
    )
"""

_MEDIA_TYPE = f"""
    coalesce(nullif(manifest.media_type, ''), (SELECT named.media_type {_FIRST}), content.media_type, '')
"""

#: A blob's state, for what is joined as `held`.
_STATE = f"coalesce(held.state, {State.ORPHANED:d})"


class Sum(NamedTuple):
    """How many, and their bytes."""

    number: int
    size: int


class StoredSum(NamedTuple):
    """How many blobs, their bytes, and blocks of 512 bytes on the disk."""

    number: int
    size: int
    blocks: int


class BlobKnown(NamedTuple):
    """A blob that is stored, or only named (no size); times in nanoseconds.

    `kind` and `media_type` tell what it is: by itself, if it is a manifest, by what names it, or by its first
    bytes.

    `manifest` is the kind of manifest that it is, if it is one; `error` why it could not be read as one;
    `seen` the media type that its first bytes tell, None if they were not looked at; `unread`: it lies where
    the store could not be read.
    """

    state: State
    unread: bool
    id: int
    digest: str
    size: int | None
    blocks: int | None
    stored: int | None
    kind: str
    media_type: str
    manifest: str | None
    error: str | None
    seen: str | None


class StoredBlob(NamedTuple):
    """A stored blob: what it is, how many images hold it, and the names of their repositories."""

    state: State
    id: int
    digest: str
    size: int
    blocks: int
    stored: int
    kind: str
    media_type: str
    images: int
    repositories: str | None


class BlobInState(NamedTuple):
    """A blob of one state, and what its first bytes tell, if they were looked at."""

    digest: str
    suffix: str | None
    media_type: str | None
    stored: int
    size: int
    blocks: int


class NamedAs(NamedTuple):
    """In how many manifests of a kind a blob has a role, and by which media type they name it."""

    role: Role
    media_type: str
    holder: str | None
    number: int


def digests_that_begin(snapshot: Snapshot, start: str) -> list[str]:
    """Give the first ten digests, stored or named, that begin so: `sha256:12ab`."""
    query = "SELECT digest FROM blob WHERE digest >= ? AND digest < ? LIMIT 10"
    return snapshot.column(query, (start, f"{start}g"))


def number_of(snapshot: Snapshot, digest: str) -> int | None:
    """Give the index's number of a digest that is stored or named."""
    return next(iter(snapshot.column("SELECT id FROM blob WHERE digest = ?", (digest,))), None)


def size_of(snapshot: Snapshot, digest: str) -> int | None:
    """Give the bytes of a stored blob; None for what is not stored."""
    return next(iter(snapshot.column("SELECT size FROM blob WHERE digest = ?", (digest,))), None)


def states_of(snapshot: Snapshot, digests: Sequence[str]) -> dict[str, State]:
    """Tell the state of each of these blobs that is stored."""
    found: dict[str, State] = {}
    for start in range(0, len(digests), _AT_ONCE):
        some = digests[start : start + _AT_ONCE]
        query = (
            f"SELECT digest, {_STATE} FROM blob LEFT JOIN held ON held.blob = id "
            f"WHERE size IS NOT NULL AND digest IN ({', '.join('?' * len(some))})"
        )
        found.update((digest, State(state)) for digest, state in snapshot.rows(query, some))
    return found


def size_wanted(snapshot: Snapshot, blob: int) -> int | None:
    """Give the bytes that manifests say a blob has; of what none names, those that it has; None: unknown."""
    query = "SELECT coalesce((SELECT max(size) FROM edge WHERE target = id), size) FROM blob WHERE id = ?"
    return next(iter(snapshot.column(query, (blob,))), None)


def blob_known(snapshot: Snapshot, digest: str) -> BlobKnown | None:
    """Tell what is known of a digest; None if it is neither stored nor named."""
    row = snapshot.row(
        f"""
        SELECT {_STATE}, EXISTS (SELECT 1 FROM unread WHERE unread.blob = id), id, digest, size, blocks,
            stored, {_KIND}, {_MEDIA_TYPE}, manifest.kind, manifest.error, content.media_type
        FROM blob LEFT JOIN held ON held.blob = id LEFT JOIN manifest ON manifest.blob = id
        LEFT JOIN content ON content.blob = id WHERE digest = ?
        """,
        (digest,),
    )
    if row is None:
        return None
    state, unread, *facts = row
    return BlobKnown(State(state), bool(unread), *facts)


def named_as(snapshot: Snapshot, blob: int) -> list[NamedAs]:
    """Tell as what manifests name a blob, what most of them do first."""
    rows = snapshot.rows(
        "SELECT role, edge.media_type, holder.kind, count(*) FROM edge "
        "LEFT JOIN manifest AS holder ON holder.blob = source "
        "WHERE target = ? GROUP BY 1, 2, 3 ORDER BY 4 DESC",
        (blob,),
    )
    return [NamedAs(Role(row[0]), *row[1:]) for row in rows]


def blobs(snapshot: Snapshot) -> Iterator[StoredBlob]:
    """Give all stored blobs, page by page."""
    snapshot.rows("DROP TABLE IF EXISTS temp.shown")
    snapshot.rows(
        f"""
        CREATE TEMP TABLE shown AS
        WITH RECURSIVE shown (manifest, repository) AS (
            SELECT blob, repository FROM tag WHERE blob IS NOT NULL
            UNION SELECT blob, repository FROM untagged
            UNION
            SELECT edge.target, repository FROM shown JOIN edge ON edge.source = manifest
            WHERE edge.role = {Role.CHILD:d}
        )
        SELECT manifest, name FROM shown JOIN repository ON repository.id = repository
        """
    )
    snapshot.rows("CREATE INDEX temp.shown_manifest ON shown (manifest)")
    last = 0
    while page := snapshot.rows(_PAGE_OF_BLOBS, (last, _PAGE)):
        for state, *facts in page:
            yield StoredBlob(State(state), *facts)
        last = page[-1][1]
    snapshot.rows("DROP TABLE temp.shown")


_PAGE_OF_BLOBS = f"""
    SELECT {_STATE}, id, digest, size, blocks, stored, {_KIND}, {_MEDIA_TYPE},
        (SELECT count(DISTINCT source) {_NAMED_AS}) + (manifest.kind IS NOT NULL AND held.state IS NOT NULL),
        (SELECT group_concat(name, ' ') FROM (
            SELECT DISTINCT name FROM shown WHERE manifest = id
            OR manifest IN (SELECT source {_NAMED_AS}) ORDER BY name
        ))
    FROM blob LEFT JOIN manifest ON manifest.blob = id LEFT JOIN held ON held.blob = id
    LEFT JOIN content ON content.blob = id
    WHERE size IS NOT NULL AND id > ? ORDER BY id LIMIT ?
"""


def blobs_in_state(snapshot: Snapshot, state: State, first: str = "", behind: str = "~") -> list[BlobInState]:
    """Give the stored blobs in a state, sorted by digest: from one digest on, up to another."""
    rows = snapshot.rows(
        f"""
        SELECT digest, content.suffix, content.media_type, stored, size, blocks FROM blob
        LEFT JOIN content ON content.blob = id LEFT JOIN held ON held.blob = id
        WHERE size IS NOT NULL AND {_STATE} = ? AND digest >= ? AND digest < ? ORDER BY digest
        """,
        (state, first, behind),
    )
    return [BlobInState(*row) for row in rows]


class NumberedBlob(NamedTuple):
    """A stored blob, and the index's number of it."""

    id: int
    digest: str
    size: int


def tagged_blobs(snapshot: Snapshot) -> list[NumberedBlob]:
    """Give the stored blobs that tags need, sorted by digest."""
    rows = snapshot.rows(
        "SELECT id, digest, size FROM blob JOIN held ON held.blob = id "
        "WHERE size IS NOT NULL AND state = ? ORDER BY digest",
        (State.TAGGED,),
    )
    return [NumberedBlob(*row) for row in rows]


def all_manifests(snapshot: Snapshot) -> list[str]:
    """Give the digests of what is known to be a manifest."""
    return snapshot.column("SELECT digest FROM manifest JOIN blob ON blob.id = manifest.blob")


def digests_below(snapshot: Snapshot, chosen: Callable[[str, str, str], bool]) -> set[str]:
    """Give the digests of all that some images lead to, stored or not.

    `chosen` is asked of each tag and each untagged image: its repository, tag (""), and digest ("": the tag's
    link could not be read).
    """
    names = snapshot.rows(
        "SELECT blob, repository.name, tag.name, coalesce(digest, '') FROM tag "
        "JOIN repository ON repository.id = repository LEFT JOIN blob ON blob.id = blob "
        "UNION ALL SELECT blob, repository.name, '', digest FROM untagged "
        "JOIN repository ON repository.id = repository JOIN blob ON blob.id = blob"
    )
    tops = {blob for blob, *name in names if blob is not None and chosen(*name)}
    return set(
        snapshot.column(
            "WITH RECURSIVE below (blob) AS ("
            "SELECT value FROM json_each(?) "
            "UNION SELECT edge.target FROM below JOIN edge ON edge.source = below.blob) "
            "SELECT digest FROM below JOIN blob ON blob.id = below.blob",
            (json.dumps(sorted(tops)),),
        )
    )


def sums_by_state(snapshot: Snapshot) -> dict[State, Sum]:
    """Sum the stored blobs up, by their state."""
    rows = snapshot.rows(
        f"SELECT {_STATE}, count(*), sum(size) FROM blob LEFT JOIN held ON held.blob = id "
        "WHERE size IS NOT NULL GROUP BY 1"
    )
    return {State(state): Sum(count, size) for state, count, size in rows}


def sum_of_blobs(snapshot: Snapshot) -> StoredSum:
    """Sum all stored blobs up."""
    return StoredSum(
        *snapshot.row(
            "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(blocks), 0) FROM blob "
            "WHERE size IS NOT NULL"
        )
    )


def count_indexes(snapshot: Snapshot) -> int:
    """Count the manifests that have children."""
    return int(snapshot.row("SELECT count(DISTINCT source) FROM edge WHERE role = ?", (Role.CHILD,))[0])


class Span(NamedTuple):
    """The oldest and the newest of some times, in nanoseconds; None if there are none."""

    oldest: int | None
    newest: int | None


def times_stored(snapshot: Snapshot) -> Span:
    """Tell when the first and the last blob that is there was stored."""
    return Span(*snapshot.row("SELECT min(stored), max(stored) FROM blob"))


def times_pushed(snapshot: Snapshot) -> Span:
    """Tell when the first and the last tag that is there was pushed."""
    return Span(*snapshot.row("SELECT min(pushed), max(pushed) FROM tag"))


class FilesElsewhere(NamedTuple):
    """Files that are neither blob nor upload: the bytes of links, and how many others, with one of them."""

    links: int
    number: int
    size: int
    example: str | None


def files_elsewhere(snapshot: Snapshot) -> FilesElsewhere:
    """Tell what the last thorough pass saw beside blobs and uploads."""
    (links,) = snapshot.row("SELECT coalesce(sum(size), 0) FROM elsewhere WHERE path = ''")
    others = "SELECT count(*), coalesce(sum(size), 0), min(path) FROM elsewhere WHERE path != ''"
    return FilesElsewhere(links, *snapshot.row(others))
