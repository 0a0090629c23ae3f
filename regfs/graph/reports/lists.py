"""The reports that are lists: of repositories, tags, blobs, and of what could go.

Each takes the index, and gives its rows as they are read. `contents.py` fills in what only blobs tell.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping

from regfs.graph.index import Kind, Mark, Role, State
from regfs.graph.reports.check import look_at_contents
from regfs.graph.reports.kinds import KIND, MEDIA_TYPE, NAMED_AS
from regfs.graph.reports.links import look_at_links
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.signatures import images_of_tags
from regfs.graph.reports.table import Row, Table, Type, columns
from regfs.graph.reports.weights import weigh

_NUMBER, _SIZE, _TIME = Type.NUMBER, Type.SIZE, Type.TIME

#: Rows that are read at once.
_PAGE = 2000


def repositories(connection: sqlite3.Connection) -> Table:
    """List the repositories: how many tags and images, what they take, and what is theirs alone."""
    weigh(connection)
    rows = connection.execute(
        f"""
        SELECT name,
            (SELECT count(*) FROM tag WHERE repository = id),
            (SELECT count(*) FROM revision WHERE repository = id),
            (SELECT count(*) FROM untagged WHERE repository = id AND NOT doubt),
            coalesce(size, 0), CASE WHEN size IS NULL THEN 0 ELSE exclusive END,
            coalesce((SELECT sum(size) FROM upload WHERE repository = id), 0),
            (SELECT max(pushed) FROM tag WHERE repository = id)
        FROM repository LEFT JOIN repository_weight ON repository = id
        WHERE marks & {Mark.LAYERS | Mark.MANIFESTS:d} ORDER BY name
        """
    )
    return Table(
        columns(
            "repository",
            tags=_NUMBER,
            manifests=_NUMBER,
            untagged=_NUMBER,
            size=_SIZE,
            exclusive=_SIZE,
            uploads=_SIZE,
            pushed=_TIME,
        ),
        rows.fetchall(),
    )


def tags(connection: sqlite3.Connection) -> Table:
    """List the tags: what they name, since when, what that takes, and what deleting it alone would free."""
    weigh(connection)
    rows = connection.execute(
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
    return Table(
        columns(
            "repository",
            "tag",
            "digest",
            "kind",
            "platforms",
            "created",
            pushed=_TIME,
            pushes=_NUMBER,
            size=_SIZE,
            exclusive=_SIZE,
            shared=_SIZE,
            of=Type.TEXT,
        ),
        _names_only(rows.fetchall(), images_of_tags(connection)),
    )


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


def _names_only(rows: list[Row], of: Mapping[object, str]) -> Iterator[Row]:
    """Show a tag without a digest with what is known of it: its names, its time, whose signature it is."""
    for row in rows:
        image = of.get((row[0], row[1]), "")
        yield (*row, image) if row[2] else (*row[:2], None, "broken", *row[4:], image)


def blobs(connection: sqlite3.Connection) -> Table:
    """List the stored blobs: what they are, who needs them, and one path at which each shows."""
    return Table(
        columns(
            "digest",
            "kind",
            "media_type",
            "state",
            "repositories",
            size=_SIZE,
            blocks=_NUMBER,
            stored=_TIME,
            images=_NUMBER,
            example=Type.TEXT,
        ),
        _blobs(connection),
    )


def _blobs(connection: sqlite3.Connection) -> Iterator[Row]:
    """Give the rows page by page: there may be millions."""
    connection.execute("DROP TABLE IF EXISTS temp.shown")
    connection.execute(
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
    connection.execute("CREATE INDEX temp.shown_manifest ON shown (manifest)")
    paths = Paths(connection)
    last = 0
    while page := connection.execute(_PAGE_OF_BLOBS, (last, _PAGE)).fetchall():
        last = page[-1][0]
        for number, digest, size, blocks, stored, state, kind, media_type, images, repositories in page:
            yield (
                digest,
                kind,
                media_type,
                State(state or State.ORPHANED).word,
                repositories,
                size,
                blocks,
                stored,
                images,
                paths.example(number) if state else "",
            )
    connection.execute("DROP TABLE temp.shown")


_PAGE_OF_BLOBS = f"""
    SELECT id, digest, size, blocks, stored, held.state, {KIND}, {MEDIA_TYPE},
        (SELECT count(DISTINCT source) {NAMED_AS}) + (manifest.kind IS NOT NULL AND held.state IS NOT NULL),
        (SELECT group_concat(name, ' ') FROM (
            SELECT DISTINCT name FROM shown WHERE manifest = id
            OR manifest IN (SELECT source {NAMED_AS}) ORDER BY name
        ))
    FROM blob LEFT JOIN manifest ON manifest.blob = id LEFT JOIN held ON held.blob = id
    LEFT JOIN content ON content.blob = id
    WHERE size IS NOT NULL AND id > ? ORDER BY id LIMIT ?
"""


def untagged(connection: sqlite3.Connection) -> Table:
    """List the images that no tag names, and what deleting each alone would free."""
    weigh(connection)
    rows = connection.execute(
        """
        SELECT repository.name, digest, manifest.kind, untagged.referrer, revision.pushed, weight.size,
            weight.exclusive
        FROM untagged JOIN repository ON repository.id = untagged.repository
        JOIN blob ON blob.id = untagged.blob
        LEFT JOIN revision ON revision.repository = untagged.repository AND revision.blob = untagged.blob
        LEFT JOIN manifest ON manifest.blob = untagged.blob
        LEFT JOIN weight ON weight.blob = untagged.blob
        WHERE NOT doubt ORDER BY 1, 2
        """
    )
    return Table(
        columns("repository", "digest", "kind", "needed_as", pushed=_TIME, size=_SIZE, exclusive=_SIZE),
        [
            (*row[:2], row[2] or "broken", "referrer of a tagged image" if row[3] else "", *row[4:])
            for row in rows.fetchall()
        ],
    )


def orphans(connection: sqlite3.Connection) -> Table:
    """List the blobs that no revision leads to."""
    return _in_state(connection, State.ORPHANED)


def unknown(connection: sqlite3.Connection) -> Table:
    """List the blobs that what was not read may lead to, and no tag that was."""
    return _in_state(connection, State.UNKNOWN)


def _in_state(connection: sqlite3.Connection, state: State) -> Table:
    rows = connection.execute(
        f"""
        SELECT digest, content.media_type, stored, size, blocks FROM blob
        LEFT JOIN content ON content.blob = id LEFT JOIN held ON held.blob = id
        WHERE size IS NOT NULL AND coalesce(state, {State.ORPHANED:d}) = ? ORDER BY digest
        """,
        (state,),
    )
    return Table(columns("digest", "media_type", stored=_TIME, size=_SIZE, blocks=_NUMBER), rows.fetchall())


def uploads(connection: sqlite3.Connection) -> Table:
    """List the unfinished pushes."""
    rows = connection.execute(
        "SELECT repository.name, upload.name, started, changed, size, files FROM upload "
        "JOIN repository ON repository.id = repository ORDER BY 1, 2"
    )
    return Table(
        columns("repository", "upload", "started", changed=_TIME, size=_SIZE, files=_NUMBER), rows.fetchall()
    )


def broken(connection: sqlite3.Connection) -> Table:
    """List what is wrong, the loudest first."""
    return Table(
        columns("severity", "kind", "repository", "tag", "image", "digest", "wanted", "found", "path"),
        _findings(connection, "TRUE", ()),
    )


def broken_in(connection: sqlite3.Connection, repository: str) -> list[Row]:
    """Give the rows of `broken` that are of one repository; "" for those of none."""
    return _findings(connection, "repository = ?", (repository,))


def broken_repositories(connection: sqlite3.Connection) -> list[str]:
    """Name the repositories that `broken` has rows of, sorted."""
    _look(connection)
    rows = connection.execute("SELECT DISTINCT repository FROM finding ORDER BY 1")
    return [name for (name,) in rows.fetchall()]


def _findings(connection: sqlite3.Connection, condition: str, values: tuple[str, ...]) -> list[Row]:
    _look(connection)
    rows = connection.execute(
        f"SELECT kind, repository, tag, image, digest, wanted, found, path FROM finding WHERE {condition}",
        values,
    ).fetchall()
    rows.sort(key=lambda row: (Kind(row[0]).rank, row[1:]))
    return [(Kind(row[0]).severity, *row) for row in rows]


def _look(connection: sqlite3.Connection) -> None:
    look_at_links(connection)
    look_at_contents(connection)
