"""What follows from the tables: who needs each blob, and what is wrong with each image.

The states are DESIGN's: tagged is what some tag leads to, and what refers to something tagged; untagged is
what a revision leads to besides; the rest is orphaned.

The registry's own collector goes another way, and regfs says where that loses data. It marks each revision
and what that names, one step far, and deletes what is not marked. So it deletes what a tag needs where the
tag's manifest is no revision, where a child of an index is none, where a layer was pushed by its sha512 (the
name is marked, the blob has another), and, before 3.0, in a repository without `_layers`.
(distribution, registry/storage/garbagecollect.go, and what 2.8.2 did to such stores.)
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator

from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.findings import Finding, Kind
from regfs.graph.index.schema import Mark, Role, State

#: The key in `meta` that says that what follows from the tables does not yet.
CHANGED = "changed"

#: The key in `meta` of the time at which they last changed, in nanoseconds since 1970.
WHEN = "when"

#: The owners of findings that follow from the index; no path is like one of them.
MANIFESTS, BLOBS, COLLECTOR = "manifests", "named blobs", "collector"

#: Roles of what a manifest names; the others turn round what it says, or say it from outside.
NAMED = f"({Role.CONFIG:d}, {Role.LAYER:d}, {Role.CHILD:d})"

#: What held blobs lead to, all of them: also a name of another algorithm, a subject that is a layer, and a
#: manifest that another names as a layer.
_BELOW_HELD = "SELECT edge.target AS blob FROM edge CROSS JOIN held ON held.blob = edge.source"

#: The blobs that a garbage collection marks: `{revisions}` is a condition on the revisions that it starts
#: from.
MARKED = f"""
    SELECT revision.blob AS blob FROM revision JOIN repository ON repository.id = revision.repository
    WHERE marks & {Mark.LAYERS:d} AND {{revisions}}
    UNION
    SELECT edge.target FROM revision JOIN repository ON repository.id = revision.repository
    JOIN blob AS manifest ON manifest.id = revision.blob AND manifest.size IS NOT NULL
    JOIN edge ON edge.source = revision.blob AND edge.role IN {NAMED}
    WHERE marks & {Mark.LAYERS:d} AND {{revisions}}
"""

#: All revisions, and with `--delete-untagged` those that a tag of their repository names.
EVERY_REVISION = "TRUE"
TAGGED_REVISION = """
    EXISTS (SELECT 1 FROM tag WHERE tag.blob = revision.blob AND tag.repository = revision.repository)
"""

#: The blobs that a tag leads to and a garbage collection does not mark. What a manifest names that it starts
#: from is marked, so `MARKED` is asked only for what was come by otherwise. (CROSS JOIN: in this order.)
_LOST = f"""
    WITH starts (blob) AS (
        SELECT blob FROM revision JOIN repository ON repository.id = revision.repository
        WHERE marks & {Mark.LAYERS:d}
    ), doubtful (blob) AS (
        SELECT blob FROM (SELECT blob FROM tag EXCEPT SELECT * FROM starts)
        UNION SELECT target FROM edge WHERE role NOT IN {NAMED}
        UNION SELECT target FROM (SELECT blob FROM manifest EXCEPT SELECT * FROM starts) AS apart
        CROSS JOIN edge ON source = apart.blob
    )
    SELECT blob.id, blob.digest, blob.size FROM doubtful CROSS JOIN held ON held.blob = doubtful.blob
    CROSS JOIN blob ON blob.id = doubtful.blob
    WHERE held.state = {State.TAGGED:d} AND blob.size IS NOT NULL AND blob.id NOT IN (
        SELECT blob FROM ({MARKED.format(revisions=EVERY_REVISION)}) WHERE blob IS NOT NULL
    ) ORDER BY blob.digest
"""

#: The images that a blob below them is wrong for: each tag, and each revision that no tag of its repository
#: names.
_IMAGES = f"""
    WITH RECURSIVE up (edge, blob) AS (
        SELECT number, source FROM wrong
        UNION
        SELECT up.edge, edge.source FROM up JOIN edge ON edge.target = up.blob AND edge.role = {Role.CHILD:d}
    )
    SELECT up.edge, repository.name, tag.name, blob.digest FROM up JOIN tag ON tag.blob = up.blob
    JOIN repository ON repository.id = tag.repository JOIN blob ON blob.id = up.blob
    UNION ALL
    SELECT up.edge, repository.name, '', blob.digest FROM up JOIN revision ON revision.blob = up.blob
    JOIN repository ON repository.id = revision.repository JOIN blob ON blob.id = up.blob
    WHERE NOT EXISTS (
        SELECT 1 FROM tag WHERE tag.blob = up.blob AND tag.repository = revision.repository
    ) AND NOT EXISTS (
        SELECT 1 FROM edge JOIN up AS above ON above.blob = edge.source AND above.edge = up.edge
        WHERE edge.target = up.blob AND edge.role = {Role.CHILD:d}
    )
"""


def derive(connection: sqlite3.Connection) -> None:
    """Compute what follows from the tables anew, if they have changed since it was computed.

    In the caller's transaction.
    """
    if not connection.execute("DELETE FROM meta WHERE key = ?", (CHANGED,)).rowcount:
        return
    _states(connection)
    _untagged(connection)
    for table in ("weight", "repository_weight", "collection"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM finding WHERE 'findings ' || owner IN (SELECT key FROM meta)")
    connection.execute("DELETE FROM meta WHERE key LIKE 'findings %'")
    for owner, find in ((MANIFESTS, _lost_manifests), (BLOBS, _damaged_blobs), (COLLECTOR, _collected)):
        keep_findings(connection, owner, find)


def keep_findings(
    connection: sqlite3.Connection, owner: str, find: Callable[[sqlite3.Connection], Iterable[Finding]]
) -> None:
    """Find what follows from the index, and keep it as findings; or keep those that were found before.

    They are found anew after a change of the index.
    """
    key = f"findings {owner}"
    if connection.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone():
        return
    connection.execute("DELETE FROM finding WHERE owner = ?", (owner,))
    connection.executemany(
        "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(owner, finding.kind.value, *finding[1:]) for finding in find(connection)],
    )
    connection.execute("INSERT INTO meta VALUES (?, TRUE)", (key,))


def _states(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM held")
    for state, table in ((State.TAGGED, "tag"), (State.UNTAGGED, "revision")):
        start = f"SELECT blob FROM {table} WHERE blob IS NOT NULL"
        while _hold(connection, state, start):
            start = _BELOW_HELD


def _hold(connection: sqlite3.Connection, state: State, start: str) -> bool:
    """Note the state of what is below `start`, a query, and has none yet; tell whether there is any.

    From manifest to manifest first, then what those name besides. Layers and configs are most of all, and
    lead nowhere, but for what `_BELOW_HELD` finds then. (Roles are in ranges: the key finds no list of them.)
    """
    before = connection.total_changes
    connection.execute(
        f"""
        WITH RECURSIVE reached (blob) AS (
            SELECT blob FROM ({start}) WHERE blob NOT IN (SELECT blob FROM held)
            UNION
            SELECT edge.target FROM reached JOIN edge ON edge.source = reached.blob
            WHERE edge.role > {Role.LAYER:d} AND edge.target NOT IN (SELECT blob FROM held)
        )
        INSERT INTO held SELECT blob, ? FROM reached
        """,
        (state,),
    )
    if connection.total_changes == before:
        return False
    connection.execute(
        f"""
        INSERT OR IGNORE INTO held
        SELECT edge.target, held.state FROM held CROSS JOIN edge ON edge.source = held.blob
        WHERE held.state = ? AND edge.role <= {Role.LAYER:d}
        """,
        (state,),
    )
    return True


def _untagged(connection: sqlite3.Connection) -> None:
    # By EXCEPT and INTERSECT: SQLite looks a pair up in a list (IN) twenty times as slowly.
    connection.execute("DELETE FROM untagged")
    shown, needed = _below("shown", Role.CHILD), _below("needed", Role.CHILD, Role.REFERRER)
    connection.execute(
        f"""
        WITH RECURSIVE shown (repository, blob) AS ({shown}), needed (repository, blob) AS ({needed}),
        hidden AS (
            SELECT repository, blob FROM revision WHERE blob IS NOT NULL AND NOT ({TAGGED_REVISION})
            EXCEPT SELECT * FROM shown
        ),
        tagged AS (SELECT * FROM hidden INTERSECT SELECT * FROM needed)
        INSERT INTO untagged
        SELECT repository, blob, TRUE FROM tagged
        UNION ALL SELECT repository, blob, FALSE FROM (SELECT * FROM hidden EXCEPT SELECT * FROM tagged)
        """
    )


def _below(name: str, *roles: Role) -> str:
    """Give the query of the recursive table `name`: what is below a tag in its repository, by these roles."""
    numbers = ", ".join(f"{role:d}" for role in roles)
    return " UNION ".join(
        f"SELECT {above}.repository, edge.target FROM {above} JOIN edge ON edge.source = {above}.blob "
        f"WHERE edge.role IN ({numbers})"
        for above in ("tag", name)
    )


def _lost_manifests(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find manifests that a tag or revision names and nobody can read; those of a tag's index, too."""
    rows = connection.execute(
        """
        SELECT id, digest, CASE WHEN size IS NULL THEN 'not stored' ELSE manifest.error END
        FROM blob LEFT JOIN manifest ON manifest.blob = id
        WHERE (manifest.blob IS NOT NULL AND manifest.kind IS NULL) OR (size IS NULL AND (
            EXISTS (SELECT 1 FROM tag WHERE blob = id) OR EXISTS (SELECT 1 FROM revision WHERE blob = id)
        ))
        """
    ).fetchall()
    for number, digest, why in rows:
        tags = tags_above(connection, number)
        for repository, tag in tags:
            yield Finding(
                Kind.MANIFEST_LOST,
                repository,
                tag,
                digest,
                digest,
                "a manifest",
                f"{why}. What only this image needs shows as orphaned: do not collect garbage",
            )
        held = connection.execute(
            "SELECT repository.name FROM revision JOIN repository ON repository.id = revision.repository "
            "WHERE revision.blob = ?",
            (number,),
        ).fetchall()
        for (repository,) in held:
            if repository not in {name for name, _ in tags}:
                yield Finding(Kind.MANIFEST, repository, "", digest, digest, "a manifest", why)


def _damaged_blobs(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find configs, layers and children that are not stored, or not with the size that the manifest says."""
    connection.execute("DROP TABLE IF EXISTS temp.wrong")
    connection.execute(
        f"""
        CREATE TEMP TABLE wrong AS
        SELECT row_number() OVER () AS number, edge.source, edge.role, edge.position, blob.digest,
               edge.size AS wanted, coalesce(blob.size, (
                   SELECT stored.size FROM edge AS alias JOIN blob AS stored ON stored.id = alias.target
                   WHERE alias.source = edge.target AND alias.role = {Role.ALIAS:d}
               )) AS got
        FROM edge JOIN blob ON blob.id = edge.target
        WHERE edge.role IN {NAMED} AND blob.size IS NOT edge.size
        """
    )
    # An index may be sparse, a foreign layer is kept elsewhere, and schema 1 tells no sizes.
    connection.execute(
        f"""
        DELETE FROM wrong WHERE got IS wanted OR (got IS NULL AND role = {Role.CHILD:d})
        OR (got IS NOT NULL AND wanted IS NULL) OR (got IS NULL AND (
            SELECT elsewhere FROM edge
            WHERE (edge.source, edge.role, edge.position) = (wrong.source, wrong.role, wrong.position)
        ))
        """
    )
    wrong = {
        number: (Role(role), position, digest, wanted, got)
        for number, _, role, position, digest, wanted, got in connection.execute("SELECT * FROM wrong")
    }
    for number, repository, tag, image in connection.execute(_IMAGES).fetchall() if wrong else ():
        role, position, digest, wanted, got = wrong[number]
        name = f"layer {position}" if role is Role.LAYER else role.name.lower()
        bytes_wanted = "" if wanted is None else f", {wanted} bytes"
        yield Finding(
            Kind.MISSING if got is None else Kind.SIZE,
            repository,
            tag,
            image,
            digest,
            f"{name}{bytes_wanted}",
            "not stored" if got is None else f"{got} bytes",
        )
    connection.execute("DROP TABLE temp.wrong")


def _collected(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find what the registry's collector would delete although a tag needs it; one finding for each tag."""
    rows = connection.execute(_LOST).fetchall()
    lost: dict[tuple[str, str], list[tuple[str, int, bool]]] = {}
    for number, digest, size in rows:
        tags = connection.execute(
            """
            WITH RECURSIVE up (blob, alias) AS (
                VALUES (?, FALSE) UNION
                SELECT edge.source, alias OR edge.role = ? FROM up JOIN edge ON edge.target = up.blob
            )
            SELECT repository.name, tag.name, max(alias) FROM up JOIN tag ON tag.blob = up.blob
            JOIN repository ON repository.id = tag.repository GROUP BY 1, 2
            """,
            (number, Role.ALIAS),
        )
        for repository, tag, alias in tags:
            lost.setdefault((repository, tag), []).append((digest, size, bool(alias)))
    for (repository, tag), blobs in lost.items():
        alias = all(found for _, _, found in blobs)
        why = (
            "pushed by a digest of another algorithm"
            if alias
            else "the repository has no revision of a manifest that leads there"
        )
        total = sum(size for _, size, _ in blobs)
        yield Finding(
            Kind.COLLECTOR_DELETES,
            repository,
            tag,
            "",
            blobs[0][0],
            "kept, since the tag needs it",
            f"garbage-collect would delete {len(blobs)} of its blobs, {total} bytes: {why}",
        )
