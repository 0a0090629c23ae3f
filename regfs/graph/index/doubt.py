"""What gaps reach: the blobs that something may need which could not be read.

A gap is a finding with a reach. Each begins to reach at some blobs (table `gap`; no blob: everything), and
reaches what those lead to (`doubted`). How far each kind reaches is DESIGN's, "What was not read is not
known"; it reaches no further, or one torn link would make a whole store unknown.

A registry takes a manifest only when its repository links what that names. So what a manifest names that
cannot be read is among its repository's links below `_layers`; and a manifest itself is at most as large as
registries take them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regfs.graph.index.schema import Doubt
from regfs.graph.index.snapshot import Snapshot
from regfs.oci.digest import LENGTHS
from regfs.registry.contents import MANIFEST_LIMIT
from regfs.registry.findings import Kind, Reach
from regfs.registry.terms import Role

#: Tags are kept somewhere else, as it seems, where there is none in so many repositories with manifests.
_MANY_REPOSITORIES = 2

#: What a gap begins to reach: a blob, or None for everything; and how.
Start = tuple[int | None, Doubt]


class Gap(NamedTuple):
    """A gap: the number of its finding, the repository's (None for none), and what the finding says."""

    number: int
    repository: int | None
    tag: str
    digest: str
    path: str
    reach: Reach


def gaps(snapshot: Snapshot) -> list[Gap]:
    """Give all gaps."""
    rows = snapshot.rows(
        "SELECT finding.rowid, repository.id, tag, digest, path, reach FROM finding "
        "LEFT JOIN repository ON repository.name = finding.repository WHERE reach != ''"
    )
    return [
        Gap(number, repository, tag, digest, path, Reach(reach))
        for number, repository, tag, digest, path, reach in rows
    ]


class Unread:
    """Tells of what is not in the index whether that may be because its place was not read.

    A gap that is about content, not about a place, hides nothing.
    """

    def __init__(self, snapshot: Snapshot) -> None:
        gaps_of_places = (gap for gap in gaps(snapshot) if gap.reach is not Reach.CONTENT)
        self._paths = {gap.path.rstrip("/") for gap in gaps_of_places if not gap.path.startswith("../")}

    def at(self, path: str) -> str | None:
        """Give the gap at a path of the store or above it, as the path of what was not read; None if none."""
        above = path
        while above not in self._paths:
            if not above:
                return None
            above = above.rpartition("/")[0]
        return above or "."


def has_gaps(snapshot: Snapshot) -> bool:
    """Tell whether anything could not be read."""
    return snapshot.row("SELECT 1 FROM finding WHERE reach != '' LIMIT 1") is not None


def has_no_tags(snapshot: Snapshot) -> bool:
    """Tell whether many repositories have manifests, and the whole store has no tag, nor a gap for one."""
    if snapshot.row("SELECT 1 FROM tag LIMIT 1"):
        return False
    (count,) = snapshot.row("SELECT count(DISTINCT repository) FROM revision WHERE blob IS NOT NULL")
    return int(count) >= _MANY_REPOSITORIES


def note_unread(connection: sqlite3.Connection) -> None:
    """Note which blobs lie where the store was not read: they are neither stored nor missing."""
    connection.execute("DELETE FROM unread")
    for gap in gaps(Snapshot(connection)):
        if gap.reach is Reach.BLOBS:
            first, behind = _digests_at(gap.path)
            connection.execute(
                "INSERT OR IGNORE INTO unread SELECT id, ? FROM blob "
                "WHERE size IS NULL AND digest >= ? AND digest < ?",
                (gap.number, first, behind),
            )


def lies_unread(snapshot: Snapshot, digest: str) -> bool:
    """Tell whether a blob that nothing tells to be stored lies where the store was not read."""
    return any(
        first <= digest < behind
        for gap in gaps(snapshot)
        if gap.reach is Reach.BLOBS
        for first, behind in (_digests_at(gap.path),)
    )


def _digests_at(path: str) -> tuple[str, str]:
    """Give the first digest that lies at a path below the store, and a text behind all of them."""
    _, *parts = path.split("/")
    if not parts:
        return "", "~"
    start = f"{parts[0]}:{parts[-1] if len(parts) > 1 else ''}"
    return start, f"{start}~"


def note_doubts(connection: sqlite3.Connection) -> None:
    """Note where each gap begins to reach, and all that it reaches."""
    connection.execute("DELETE FROM gap")
    connection.execute("DELETE FROM doubted")
    contents = set()
    for gap in gaps(Snapshot(connection)):
        if gap.reach is Reach.CONTENT:
            if gap.digest in contents:  # a finding for each tag that leads to it
                continue
            contents.add(gap.digest)
        connection.executemany(
            "INSERT INTO gap VALUES (?, ?, ?)",
            [(gap.number, *start) for start in set(_starts(connection, gap))],
        )
    for (why,) in connection.execute("SELECT DISTINCT why FROM gap WHERE blob IS NULL").fetchall():
        connection.execute("INSERT INTO doubted SELECT id, ? FROM blob WHERE size IS NOT NULL", (why,))
    connection.execute(
        """
        INSERT OR IGNORE INTO doubted
        WITH RECURSIVE reached (blob, why) AS (
            SELECT blob, why FROM gap WHERE blob IS NOT NULL
            UNION
            SELECT edge.target, why FROM reached JOIN edge ON edge.source = reached.blob
        )
        SELECT blob, why FROM reached
        """
    )


def gaps_of(snapshot: Snapshot, blob: int) -> list[tuple[str, str]]:
    """Give the path of each gap that reaches a blob, and why it could not be read; sorted."""
    return snapshot.rows(
        """
        WITH RECURSIVE above (blob) AS (
            VALUES (?) UNION SELECT edge.source FROM above JOIN edge ON edge.target = above.blob
        )
        SELECT DISTINCT CASE WHEN path = '' THEN digest ELSE path END, found FROM gap
        JOIN finding ON finding.rowid = gap.finding
        WHERE gap.blob IS NULL OR gap.blob IN (SELECT blob FROM above) ORDER BY 1, 2
        """,
        (blob,),
    )


def may_be_tagged(snapshot: Snapshot, *, no_tags: bool) -> set[tuple[int, int]]:
    """Give the revisions, as numbers of repository and blob, that a gap may tag: to delete one is to guess.

    A gap in a repository may tag what that holds. Another one may only tag what the repository has no tag
    for, if no tag leads to it at all. `no_tags`: so may tags that are kept somewhere else.
    """
    rows = snapshot.rows(
        f"""
        WITH RECURSIVE may (repository, blob) AS (
            SELECT repository.id, gap.blob FROM gap JOIN finding ON finding.rowid = gap.finding
            JOIN repository ON repository.name = finding.repository
            WHERE gap.blob IS NOT NULL AND why = {Doubt.TAGGED:d}
            UNION SELECT repository, edge.target FROM may JOIN edge ON edge.source = may.blob
        )
        SELECT repository, blob FROM revision INTERSECT SELECT repository, blob FROM may
        UNION SELECT repository, blob FROM untagged WHERE doubt & ?
        UNION SELECT repository, blob FROM revision WHERE blob IS NOT NULL
        AND EXISTS (SELECT 1 FROM finding WHERE kind = ? AND reach = ?)
        """,
        (
            Doubt.TAGGED | (Doubt.TAGGED_ELSEWHERE if no_tags else 0),
            Kind.TAGS_ELSEWHERE.value,
            Reach.EVERYTHING.value,
        ),
    )
    return set(rows)


def _starts(connection: sqlite3.Connection, gap: Gap) -> Iterator[Start]:
    match gap.reach:
        case Reach.EVERYTHING:
            yield None, Doubt.TAGGED
        case Reach.TAG:
            history = "SELECT blob FROM history WHERE repository = ? AND tag = ?"
            yield from _all(connection.execute(history, (gap.repository, gap.tag)), Doubt.TAGGED)
        case Reach.TAGS:
            yield from _revisions(connection, gap.repository, Doubt.TAGGED)
        case Reach.NO_TAGS:
            every = connection.execute("SELECT blob FROM revision WHERE blob IS NOT NULL")
            yield from _all(every, Doubt.TAGGED_ELSEWHERE)
        case Reach.CONTENT:
            yield from _content(connection, gap.digest)
        case Reach.REVISIONS | Reach.MANIFESTS:
            tagged = gap.reach is Reach.MANIFESTS
            why = Doubt.TAGGED if tagged else Doubt.HELD
            yield from _links(connection, gap.repository, why)
            yield from _all(connection.execute(_SMALL, (MANIFEST_LIMIT,)), why)


#: What may be a manifest for all that is known: what nothing names, and what is one.
_SMALL = f"""
    SELECT id FROM blob LEFT JOIN manifest ON manifest.blob = id WHERE size <= ? AND (
        manifest.kind IS NOT NULL OR NOT EXISTS (
            SELECT 1 FROM edge WHERE target = id AND role < {Role.CHILD:d}
        )
    )
"""


def _all(rows: Iterable[tuple[int]], why: Doubt) -> Iterator[Start]:
    for (blob,) in rows:
        yield blob, why


def _revisions(connection: sqlite3.Connection, repository: int | None, why: Doubt) -> Iterator[Start]:
    query = "SELECT blob FROM revision WHERE repository = ? AND blob IS NOT NULL"
    yield from _all(connection.execute(query, (repository,)), why)


def _content(connection: sqlite3.Connection, digest: str) -> Iterator[Start]:
    """Give what a manifest may name that cannot be read: what the repositories that hold it link.

    If a tag leads to it, it may be an index, and their revisions its children.
    """
    holders = connection.execute(
        f"""
        WITH RECURSIVE up (blob) AS (
            SELECT id FROM blob WHERE digest = ?
            UNION SELECT edge.source FROM up JOIN edge ON edge.target = up.blob AND role = {Role.CHILD:d}
        ), tagged (repository) AS (
            SELECT repository FROM tag WHERE blob IN (SELECT blob FROM up)
            UNION SELECT history.repository FROM history JOIN tag
            ON tag.repository = history.repository AND tag.name = history.tag
            WHERE tag.blob IS NULL AND history.blob IN (SELECT blob FROM up)
        )
        SELECT repository, TRUE FROM tagged
        UNION SELECT repository, FALSE FROM revision WHERE blob IN (SELECT blob FROM up)
        AND repository NOT IN (SELECT repository FROM tagged)
        """,
        (digest,),
    ).fetchall()
    tagged = any(by_tag for _, by_tag in holders)
    for repository, by_tag in holders:
        yield from _links(connection, repository, Doubt.TAGGED if tagged else Doubt.HELD)
        if by_tag:
            yield from _revisions(connection, repository, Doubt.TAGGED)


def _links(connection: sqlite3.Connection, repository: int | None, why: Doubt) -> Iterator[Start]:
    """Give what a repository links; everything, if that could not be read."""
    unread = connection.execute(
        "SELECT 1 FROM finding JOIN repository ON repository.name = finding.repository "
        "WHERE repository.id = ? AND reach = ?",
        (repository, Reach.LAYERS.value),
    )
    if unread.fetchone():
        yield None, why
        return
    digests = linked(connection, repository)
    for start in range(0, len(digests), 500):
        some = digests[start : start + 500]
        marks = ",".join("?" * len(some))
        yield from _all(connection.execute(f"SELECT id FROM blob WHERE digest IN ({marks})", some), why)


def linked(connection: sqlite3.Connection, repository: int | None) -> list[str]:
    """Give the digests below a repository's `_layers`."""
    rows = connection.execute(
        "SELECT algorithm, digests FROM layer_links WHERE repository = ?", (repository,)
    )
    return [
        f"{algorithm}:{digests[start : start + length].hex()}"
        for algorithm, digests in rows
        for length in (LENGTHS[algorithm] // 2,)
        for start in range(0, len(digests), length)
    ]
