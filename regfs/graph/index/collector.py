"""A model of the registry's own collector: what it would delete, and where it stops.

It goes another way than the states do (states.py), and regfs says where that loses data. It marks each
revision and what that names, one step far, and deletes what is not marked. So it deletes what a tag needs
where the tag's manifest is no revision, where a child of an index is none, where a layer was pushed by its
sha512 (the name is marked, the blob has another), and, before 3.0, in a repository without `_layers`.
(distribution, registry/storage/garbagecollect.go, and what 2.8.2 did to such stores.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regfs.graph.index.findings import replace_findings
from regfs.graph.index.schema import State
from regfs.graph.index.snapshot import Snapshot
from regfs.graph.index.states import NAMED, TAGGED_REVISION
from regfs.oci.media_types import SCHEMA1
from regfs.registry import layout
from regfs.registry.findings import Finding, Kind, Reach, stopped
from regfs.registry.terms import Mark, Role

#: The owner of what is found here.
OWNER = "collector"

#: The revisions that a garbage collection sees: of repositories with links to layers. Where a repository's
#: revisions were not read, its tags are believed to name some.
_SEEN = f"""(
    SELECT here.repository, here.blob FROM (
        SELECT repository, blob FROM revision
        UNION SELECT tag.repository, tag.blob FROM tag WHERE tag.repository IN (
            SELECT repository.id FROM finding JOIN repository ON repository.name = finding.repository
            WHERE reach IN ('{Reach.REVISIONS.value}', '{Reach.MANIFESTS.value}')
        )
    ) AS here JOIN repository ON repository.id = here.repository
    WHERE marks & {Mark.LAYERS:d} AND here.repository NOT IN (SELECT repository FROM passed_over)
) AS revision"""

#: The blobs that a garbage collection marks: `{revisions}` is a condition on the revisions that it starts
#: from.
_MARKED = f"""
    SELECT revision.blob AS blob FROM {_SEEN} WHERE {{revisions}}
    UNION
    SELECT edge.target FROM {_SEEN}
    JOIN blob AS manifest ON manifest.id = revision.blob AND manifest.size IS NOT NULL
    JOIN edge ON edge.source = revision.blob AND edge.role IN {NAMED}
    WHERE {{revisions}}
"""

#: All revisions; `--delete-untagged` keeps those that a tag of their repository names.
_EVERY_REVISION = "TRUE"

#: The blobs that a tag leads to and a garbage collection does not mark. What a manifest names that it starts
#: from is marked, so `_MARKED` is asked only for what was come by otherwise. (CROSS JOIN: in this order.)
_LOST = f"""
    WITH starts (blob) AS (
        SELECT blob FROM {_SEEN}
    ), doubtful (blob) AS (
        SELECT blob FROM (SELECT blob FROM tag EXCEPT SELECT * FROM starts)
        UNION SELECT target FROM edge WHERE role NOT IN {NAMED}
        UNION SELECT target FROM (SELECT blob FROM manifest EXCEPT SELECT * FROM starts) AS apart
        CROSS JOIN edge ON source = apart.blob
    )
    SELECT blob.id, blob.digest, blob.size FROM doubtful CROSS JOIN held ON held.blob = doubtful.blob
    CROSS JOIN blob ON blob.id = doubtful.blob
    WHERE held.state = {State.TAGGED:d} AND blob.size IS NOT NULL AND blob.id NOT IN (
        SELECT blob FROM ({_MARKED.format(revisions=_EVERY_REVISION)}) WHERE blob IS NOT NULL
    ) ORDER BY blob.digest
"""


def note_passed_over(connection: sqlite3.Connection) -> None:
    """Note the repositories that the collector does not see."""
    connection.execute("DELETE FROM passed_over")
    hiding = connection.execute("SELECT path FROM finding WHERE kind = ?", (Kind.COLLECTOR_HIDES.value,))
    connection.executemany(
        "INSERT OR IGNORE INTO passed_over VALUES (?)",
        [(number,) for number in _passed_over(connection, [path for (path,) in hiding.fetchall()])],
    )


def _passed_over(connection: sqlite3.Connection, hiding: Iterable[str]) -> Iterator[int]:
    """Give the repositories that the collector does not see, for a file in `hiding` comes before them."""
    repositories = connection.execute("SELECT id, name, marks FROM repository").fetchall()
    for path in hiding:
        above, _, file = path.removeprefix(layout.REPOSITORIES).rpartition("/")
        above = above.strip("/")
        start = f"{above}/" if above else ""
        for number, name, marks in repositories:
            if name == above:
                if file < layout.LAYERS and marks & Mark.LAYERS:
                    yield number
            elif name.startswith(start) and name[len(start) :].partition("/")[0] > file:
                yield number


def note_what_is_lost(connection: sqlite3.Connection) -> None:
    """Find what the collector would delete although a tag needs it, and where it ends with an error."""
    replace_findings(connection, OWNER, _losses(connection))


def _losses(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find what the collector would delete although a tag needs it; one finding for each tag."""
    rows = connection.execute(_LOST).fetchall()
    for (repository, tag), blobs in _tags_of(connection, rows).items():
        alias = all(found for _, _, found in blobs)
        why = (
            "pushed by a digest of another algorithm"
            if alias
            else "the repository has no revision of a manifest that leads there"
        )
        yield _loss(Kind.COLLECTOR_DELETES, repository, tag, blobs, "garbage-collect", why)
    yield from _hazards(connection, {number for number, *_ in rows})
    yield from _stops(connection)


def _hazards(connection: sqlite3.Connection, lost: set[int]) -> Iterator[Finding]:
    """Find what the collector of registries before 3.0 would with `-m` delete besides `lost`."""
    marked = f"SELECT blob FROM ({_MARKED.format(revisions=TAGGED_REVISION)}) WHERE blob IS NOT NULL"
    more = connection.execute(
        f"""
        SELECT blob.id, blob.digest, blob.size FROM blob JOIN held ON held.blob = blob.id
        WHERE held.state = {State.TAGGED:d} AND blob.size IS NOT NULL AND blob.id NOT IN ({marked})
        ORDER BY blob.digest
        """
    ).fetchall()
    for (repository, tag), blobs in _tags_of(connection, [row for row in more if row[0] not in lost]).items():
        why = "from tags it goes one step only. 3.0 and later keep an index's children, and no referrers"
        yield _loss(
            Kind.COLLECTOR_M_DELETES,
            repository,
            tag,
            blobs,
            "garbage-collect -m of registries before 3.0",
            why,
        )


def _stops(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find repositories at which the collector ends with an error, though nothing is wrong with them."""
    held = "EXISTS (SELECT 1 FROM revision WHERE revision.repository = repository.id)"
    tags = f"'{layout.REPOSITORIES}/' || name || '/{layout.MANIFESTS}/tags'"
    never_tagged = connection.execute(
        f"SELECT name FROM repository WHERE {held} AND {tags} NOT IN (SELECT path FROM place) "
        f"AND name NOT IN (SELECT repository FROM finding WHERE reach IN (?, ?)) ORDER BY 1",
        (Reach.TAGS.value, Reach.MANIFESTS.value),
    )
    for (name,) in never_tagged.fetchall():
        found = stopped("-m", "the repository never had a tag")
        yield Finding(Kind.COLLECTOR_M_STOPS, name, wanted="tags", found=found, path=layout.tags(name))
    # Registries before 3.0 do not see it at all.
    no_layers = connection.execute(
        "SELECT name FROM repository WHERE marks & ? AND NOT marks & ? AND name NOT IN "
        "(SELECT repository FROM finding WHERE reach = ?) ORDER BY 1",
        (Mark.MANIFESTS, Mark.LAYERS, Reach.LAYERS.value),
    )
    for (name,) in no_layers.fetchall():
        found = stopped("of registries from 3.0 on", "no links to layers")
        yield Finding(Kind.COLLECTOR_3_STOPS, name, wanted="links", found=found, path=layout.layers(name))
    marks = ", ".join("?" * len(SCHEMA1))
    schema1 = connection.execute(
        "SELECT repository.name, min(digest) FROM revision JOIN repository "
        "ON repository.id = revision.repository JOIN manifest ON manifest.blob = revision.blob "
        f"JOIN blob ON blob.id = revision.blob WHERE media_type IN ({marks}) GROUP BY 1",
        tuple(SCHEMA1),
    )
    for name, digest in schema1.fetchall():
        found = stopped("of registries from 3.0 on", "they know no manifest of schema 1")
        yield Finding(Kind.COLLECTOR_3_STOPS, name, digest=digest, wanted="schema 2 or OCI", found=found)


#: A blob that would be lost: its digest and size, and whether it is held by a name of another algorithm.
_Lost = tuple[str, int, bool]


def _tags_of(
    connection: sqlite3.Connection, rows: list[tuple[int, str, int]]
) -> dict[tuple[str, str], list[_Lost]]:
    """Find the tags that need some blobs, given as number, digest and size."""
    connection.execute("DROP TABLE IF EXISTS temp.lost")
    connection.execute("CREATE TEMP TABLE lost (blob INTEGER PRIMARY KEY, digest TEXT, size INTEGER)")
    connection.executemany("INSERT INTO lost VALUES (?, ?, ?)", rows)
    found: dict[tuple[str, str], list[_Lost]] = {}
    for repository, tag, digest, size, alias in connection.execute(
        f"""
        WITH RECURSIVE up (lost, blob, alias) AS (
            SELECT blob, blob, FALSE FROM lost UNION
            SELECT lost, edge.source, alias OR edge.role = {Role.ALIAS:d}
            FROM up JOIN edge ON edge.target = up.blob
        )
        SELECT repository.name, tag.name, digest, size, max(alias) FROM up JOIN tag ON tag.blob = up.blob
        JOIN repository ON repository.id = tag.repository JOIN lost ON lost.blob = up.lost
        GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        """
    ):
        found.setdefault((repository, tag), []).append((digest, size, bool(alias)))
    connection.execute("DROP TABLE temp.lost")
    return found


def _loss(kind: Kind, repository: str, tag: str, blobs: list[_Lost], collector: str, why: str) -> Finding:
    total = sum(size for _, size, _ in blobs)
    found = f"{collector} would delete {len(blobs)} of its blobs, {total} bytes: {why}"
    return Finding(kind, repository, tag, "", blobs[0][0], "kept, since the tag needs it", found)


class Collected(NamedTuple):
    """What a collection would delete: blobs, and their bytes.

    `needed` bytes of it tags need; of `doubted` bytes besides it is unknown whether they go. It ends with an
    error at each place of `stops`, and then frees nothing.
    """

    blobs: int
    size: int
    needed: int
    doubted: int
    stops: list[str]


def collected(snapshot: Snapshot, *, delete_untagged: bool) -> Collected:
    """Tell what `garbage-collect` would delete, or `garbage-collect -m`. Needs COLLECTIONS."""
    query = "SELECT blobs, size, needed, doubted FROM collection WHERE revisions = ?"
    found = snapshot.row(query, (TAGGED_REVISION if delete_untagged else _EVERY_REVISION,))
    kinds = Kind.COLLECTOR_STOPS, Kind.COLLECTOR_M_STOPS if delete_untagged else Kind.COLLECTOR_PLAIN_STOPS
    stops = snapshot.column(
        "SELECT CASE WHEN path = '' THEN digest ELSE path END FROM finding "
        "LEFT JOIN repository ON repository.name = finding.repository WHERE kind IN (?, ?) AND ("
        "kind != ? OR EXISTS (SELECT 1 FROM revision WHERE revision.repository = repository.id)) ORDER BY 1",
        [kind.value for kind in (*kinds, Kind.COLLECTOR_M_STOPS)],
    )
    blobs, size, needed, doubted = found
    return Collected(blobs, size, needed, doubted, stops)


def keep_collections(connection: sqlite3.Connection) -> None:
    """Compute what both collections would delete."""
    connection.execute("DELETE FROM collection")
    for revisions in (_EVERY_REVISION, TAGGED_REVISION):
        connection.execute(
            f"""
            INSERT INTO collection
            WITH marked AS ({_MARKED.format(revisions=revisions)}),
            unmarked AS (
                SELECT size, coalesce(state, {State.ORPHANED:d}) AS state FROM blob
                LEFT JOIN held ON held.blob = id
                WHERE size IS NOT NULL AND id NOT IN (SELECT blob FROM marked WHERE blob IS NOT NULL)
            )
            SELECT ?, coalesce(sum(state != {State.UNKNOWN:d}), 0),
                coalesce(sum(CASE WHEN state != {State.UNKNOWN:d} THEN size END), 0),
                coalesce(sum(CASE WHEN state = {State.TAGGED:d} THEN size END), 0),
                coalesce(sum(CASE WHEN state = {State.UNKNOWN:d} THEN size END), 0)
            FROM unmarked
            """,
            (revisions,),
        )
