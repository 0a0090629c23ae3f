"""What follows from the tables: who needs each blob, and what is wrong with each image.

The states are DESIGN's: tagged is what some tag leads to, and what refers to something tagged; untagged is
what a revision leads to besides; the rest is orphaned. But what a gap may hold is neither for certain: it is
unknown (doubt.py).

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
from regfs.graph.index.doubt import gaps, has_no_tags, note_doubts, note_unread, passed_over
from regfs.graph.index.schema import Doubt, State
from regfs.oci.media_types import SCHEMA1
from regfs.registry import layout
from regfs.registry.findings import Finding, Kind, Reach, stopped
from regfs.registry.terms import Mark, Role

#: The key in `meta` that says that what follows from the tables does not yet.
CHANGED = "changed"

#: The key in `meta` of the time at which they last changed, in nanoseconds since 1970.
WHEN = "when"

#: The owners of findings that follow from the index; no path is like one of them.
MANIFESTS, NO_TAGS, BLOBS, COLLECTOR = "manifests", "no tags", "named blobs", "collector"

#: Roles of what a manifest names; the others turn round what it says, or say it from outside.
NAMED = f"({Role.CONFIG:d}, {Role.LAYER:d}, {Role.CHILD:d})"

#: What held blobs lead to, all of them: also a name of another algorithm, a subject that is a layer, and a
#: manifest that another names as a layer.
_BELOW_HELD = "SELECT edge.target AS blob FROM edge CROSS JOIN held ON held.blob = edge.source"

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
MARKED = f"""
    SELECT revision.blob AS blob FROM {_SEEN} WHERE {{revisions}}
    UNION
    SELECT edge.target FROM {_SEEN}
    JOIN blob AS manifest ON manifest.id = revision.blob AND manifest.size IS NOT NULL
    JOIN edge ON edge.source = revision.blob AND edge.role IN {NAMED}
    WHERE {{revisions}}
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
    for table in ("weight", "repository_weight", "collection"):
        connection.execute(f"DELETE FROM {table}")
    connection.execute("DELETE FROM finding WHERE 'findings ' || owner IN (SELECT key FROM meta)")
    connection.execute("DELETE FROM meta WHERE key LIKE 'findings %'")
    note_unread(connection)
    keep_findings(connection, MANIFESTS, _lost_manifests)
    keep_findings(connection, NO_TAGS, _no_tags)
    note_doubts(connection)
    _states(connection)
    _untagged(connection)
    _passed_over(connection)
    keep_findings(connection, BLOBS, _damaged_blobs)
    keep_findings(connection, COLLECTOR, _collected)


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
        "INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [finding.row(owner) for finding in find(connection)],
    )
    connection.execute("INSERT INTO meta VALUES (?, TRUE)", (key,))


def _states(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM held")
    for state, table in ((State.TAGGED, "tag"), (State.UNTAGGED, "revision")):
        start = f"SELECT blob FROM {table} WHERE blob IS NOT NULL"
        while _hold(connection, state, start):
            start = _BELOW_HELD
    connection.execute(
        f"""
        REPLACE INTO held SELECT doubted.blob, {State.UNKNOWN:d}
        FROM doubted LEFT JOIN held ON held.blob = doubted.blob
        WHERE state IS NULL OR (state = {State.UNTAGGED:d} AND why != {Doubt.HELD:d})
        """
    )


def _passed_over(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM passed_over")
    hiding = connection.execute("SELECT path FROM finding WHERE kind = ?", (Kind.COLLECTOR_HIDES.value,))
    connection.executemany(
        "INSERT OR IGNORE INTO passed_over VALUES (?)",
        [(number,) for number in passed_over(connection, [path for (path,) in hiding.fetchall()])],
    )


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
        SELECT repository, blob, TRUE, 0 FROM tagged
        UNION ALL SELECT repository, blob, FALSE, 0 FROM (SELECT * FROM hidden EXCEPT SELECT * FROM tagged)
        """
    )
    # A gap in a repository may tag what another tag leads to as well; one elsewhere only what no tag does.
    for doubt in (Doubt.TAGGED, Doubt.TAGGED_ELSEWHERE):
        connection.execute(
            f"""
            UPDATE untagged SET doubt = doubt + {doubt:d}
            WHERE blob IN (SELECT blob FROM doubted WHERE why = {doubt:d}) AND (
                repository IN (
                    SELECT id FROM finding JOIN repository ON name = finding.repository
                    WHERE reach NOT IN ('', '{Reach.NOTHING.value}')
                ) OR blob IN (SELECT blob FROM held WHERE state = {State.UNKNOWN:d})
            )
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
        f"""
        WITH named (blob) AS (
            SELECT blob FROM tag UNION SELECT blob FROM revision
            UNION SELECT history.blob FROM tag AS broken JOIN history
            ON history.repository = broken.repository AND history.tag = broken.name WHERE broken.blob IS NULL
        )
        SELECT id, digest, CASE WHEN size IS NULL THEN 'not stored' ELSE manifest.error END, gap, stops
        FROM blob LEFT JOIN manifest ON manifest.blob = id LEFT JOIN unread ON unread.blob = id
        WHERE (manifest.blob IS NOT NULL AND manifest.kind IS NULL)
        OR (size IS NULL AND id IN (SELECT blob FROM named))
        OR (gap IS NOT NULL AND EXISTS (SELECT 1 FROM edge WHERE target = id AND role = {Role.CHILD:d}))
        """
    ).fetchall()
    for number, digest, why, gap, stops in rows:
        tags = tags_above(connection, number)
        held = connection.execute(
            "SELECT repository.name FROM revision JOIN repository ON repository.id = revision.repository "
            "WHERE revision.blob = ?",
            (number,),
        ).fetchall()
        others = [(name, "") for (name,) in held if name not in {name for name, _ in tags}]
        if gap is not None:
            for repository, tag in [*tags, *others] or [("", "")]:
                found = f"not read: {_where(connection, gap)}"
                yield Finding(
                    Kind.UNTOLD, repository, tag, digest, digest, "a manifest", found, reach=Reach.CONTENT
                )
            continue
        for repository, tag in tags:
            yield Finding(
                Kind.MANIFEST_LOST,
                repository,
                tag,
                digest,
                digest,
                "a manifest",
                f"{why}. What only this image needs is unknown: do not collect garbage",
                reach=Reach.CONTENT,
            )
        for repository, _ in others or ([] if tags else [("", "")]):
            yield Finding(
                Kind.MANIFEST, repository, "", digest, digest, "a manifest", why, reach=Reach.CONTENT
            )
        if stops and held:
            tagged = connection.execute(
                "SELECT 1 FROM tag JOIN revision USING (repository, blob) WHERE tag.blob = ?", (number,)
            )
            plain = tagged.fetchone() is not None
            kind = Kind.COLLECTOR_STOPS if plain else Kind.COLLECTOR_PLAIN_STOPS
            repository, tag = tags[0] if tags else (held[0][0], "")
            found = stopped("", "it is no manifest")
            yield Finding(kind, repository, tag, digest=digest, wanted="a manifest", found=found)


def _where(connection: sqlite3.Connection, gap: int) -> str:
    """Say where a gap is, and why."""
    path, found = connection.execute("SELECT path, found FROM finding WHERE rowid = ?", (gap,)).fetchone()
    return f"{path} {found}"


def _no_tags(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find that tags are kept somewhere else, as it seems."""
    if has_no_tags(connection) and not any(gap.reach in _MAY_TAG for gap in gaps(connection)):
        yield Finding(
            Kind.TAGS_ELSEWHERE,
            wanted="tags",
            found="repositories have manifests, and not one has a tag: Harbor from 2.15 and OpenShift keep "
            "tags in a database of their own; what is in use cannot be told from here",
            path=layout.REPOSITORIES,
            reach=Reach.NO_TAGS,
        )


_MAY_TAG = frozenset({Reach.TAG, Reach.TAGS, Reach.MANIFESTS, Reach.EVERYTHING})


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
               )) AS got, coalesce((SELECT gap FROM unread WHERE unread.blob = blob.id), (
                   SELECT gap FROM edge AS alias JOIN unread ON unread.blob = alias.target
                   WHERE alias.source = edge.target AND alias.role = {Role.ALIAS:d}
               )) AS gap
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
        number: (Role(role), position, digest, wanted, got, gap)
        for number, _, role, position, digest, wanted, got, gap in connection.execute("SELECT * FROM wrong")
    }
    for number, repository, tag, image in connection.execute(_IMAGES).fetchall() if wrong else ():
        role, position, digest, wanted, got, gap = wrong[number]
        name = f"layer {position}" if role is Role.LAYER else role.name.lower()
        bytes_wanted = "" if wanted is None else f", {wanted} bytes"
        yield Finding(
            Kind.SIZE if got is not None else Kind.MISSING if gap is None else Kind.UNTOLD,
            repository,
            tag,
            image,
            digest,
            f"{name}{bytes_wanted}",
            f"{got} bytes"
            if got is not None
            else "not stored"
            if gap is None
            else f"not read: {_where(connection, gap)}",
        )
    connection.execute("DROP TABLE temp.wrong")


def _collected(connection: sqlite3.Connection) -> Iterator[Finding]:
    """Find what the registry's collector would delete although a tag needs it; one finding for each tag."""
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
    marked = f"SELECT blob FROM ({MARKED.format(revisions=TAGGED_REVISION)}) WHERE blob IS NOT NULL"
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
