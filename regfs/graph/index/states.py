"""What follows from the tables: who needs each blob, and what is wrong with each image.

The states are DESIGN's: tagged is what some tag leads to, and what refers to something tagged; untagged is
what a revision leads to besides; the rest is orphaned. But what a gap may hold is neither for certain: it is
unknown (doubt.py).

All of it is made by `derived`, in the transaction of who writes. What the registry's own collector would do
is another matter (collector.py).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.doubt import gaps, has_no_tags
from regfs.graph.index.findings import replace_findings
from regfs.graph.index.schema import Doubt, State
from regfs.graph.index.snapshot import Snapshot
from regfs.registry import layout
from regfs.registry.findings import Finding, Kind, Reach, stopped
from regfs.registry.terms import Role

#: The owners of findings that follow from the index; no path is like one of them.
MANIFESTS, NO_TAGS, BLOBS = "manifests", "no tags", "named blobs"

#: Roles of what a manifest names; the others turn round what it says, or say it from outside.
NAMED = f"({Role.CONFIG:d}, {Role.LAYER:d}, {Role.CHILD:d})"

#: The revisions that a tag of their repository names.
TAGGED_REVISION = """
    EXISTS (SELECT 1 FROM tag WHERE tag.blob = revision.blob AND tag.repository = revision.repository)
"""

#: What held blobs lead to, all of them: also a name of another algorithm, a subject that is a layer, and a
#: manifest that another names as a layer.
_BELOW_HELD = "SELECT edge.target AS blob FROM edge CROSS JOIN held ON held.blob = edge.source"

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


def note_gaps(connection: sqlite3.Connection) -> None:
    """Find what tells nothing and should: manifests that nobody can read; tags, where there is not one."""
    replace_findings(connection, MANIFESTS, _lost_manifests(connection))
    replace_findings(connection, NO_TAGS, _no_tags(connection))


def note_damage(connection: sqlite3.Connection) -> None:
    """Find what images name and the store lacks, or has with another size."""
    replace_findings(connection, BLOBS, _damaged_blobs(connection))


def note_states(connection: sqlite3.Connection) -> None:
    """Note who needs each blob, and which revisions no tag leads to."""
    _states(connection)
    _untagged(connection)


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
    snapshot = Snapshot(connection)
    if has_no_tags(snapshot) and not any(gap.reach in _MAY_TAG for gap in gaps(snapshot)):
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
