"""Blobs that are stored, and that a repository needs and has no link to: its API answers 404 for them.

regfs shows such an image whole, since all its bytes are there. Found when first asked for (`Need.LINKS`), for
it means to look at each layer of each image, and kept as findings until the facts change.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.doubt import linked
from regfs.graph.index.findings import replace_findings
from regfs.registry.findings import Finding, Kind, Reach
from regfs.registry.terms import Role

#: The owner of these findings; it is no path, so no pass over the store takes them away.
OWNER = "links"

_NOT_SERVED = "none: the API answers 404"

_NEEDED = f"""
    WITH RECURSIVE shown (manifest) AS (
        SELECT blob FROM tag WHERE repository = :repository AND blob IS NOT NULL
        UNION SELECT blob FROM untagged WHERE repository = :repository
        UNION
        SELECT edge.target FROM shown JOIN edge ON edge.source = manifest WHERE edge.role = {Role.CHILD:d}
    )
    SELECT blob.digest, edge.source, edge.role, edge.position, image.digest FROM shown
    JOIN edge ON edge.source = manifest JOIN blob ON blob.id = edge.target
    JOIN blob AS image ON image.id = manifest
    WHERE edge.role IN ({Role.CONFIG:d}, {Role.LAYER:d}, {Role.CHILD:d})
    AND (blob.size IS NOT NULL OR EXISTS (
        SELECT 1 FROM edge AS alias WHERE alias.source = edge.target AND alias.role = {Role.ALIAS:d}
    ))
"""


_UNHELD = """
    SELECT repository.name, tag.name, blob.digest FROM tag JOIN repository ON repository.id = tag.repository
    JOIN blob ON blob.id = tag.blob
    WHERE blob.size IS NOT NULL AND NOT EXISTS (
        SELECT 1 FROM revision WHERE revision.repository = tag.repository AND revision.name = blob.digest
    )
"""


def note_missing_links(connection: sqlite3.Connection) -> None:
    """Find them."""
    replace_findings(connection, OWNER, _unlinked(connection))


def _unlinked(connection: sqlite3.Connection) -> Iterator[Finding]:
    unread = _unread(connection)
    for name, tag, digest in connection.execute(_UNHELD).fetchall():
        gap = unread.get((name, Reach.REVISIONS))
        found = f"not read: {gap}" if gap else _NOT_SERVED
        kind = Kind.UNTOLD if gap else Kind.UNLINKED
        yield Finding(kind, name, tag, digest, digest, "a link to its manifest", found)
    for number, name in connection.execute("SELECT id, name FROM repository").fetchall():
        links = _links(connection, number)
        for digest, source, role, position, image in connection.execute(
            _NEEDED, {"repository": number}
        ).fetchall():
            if digest not in links:
                gap = unread.get((name, Reach.REVISIONS if role == Role.CHILD else Reach.LAYERS))
                kind = Kind.UNTOLD if gap else Kind.UNLINKED
                found = f"not read: {gap}" if gap else _NOT_SERVED
                what = f"layer {position}" if role == Role.LAYER else Role(role).name.lower()
                above = tags_above(connection, source)
                for tag in [tag for repository, tag in above if repository == name] or [""]:
                    wanted = f"a link to its {what}"
                    yield Finding(kind, name, tag, image, digest, wanted, found)


def _unread(connection: sqlite3.Connection) -> dict[tuple[str, Reach], str]:
    """Give the parts of repositories whose links could not be read: where that is, and why."""
    found: dict[tuple[str, Reach], str] = {}
    for repository, path, why, reach in connection.execute(
        "SELECT repository, path, found, reach FROM finding WHERE reach IN (?, ?, ?)",
        (Reach.REVISIONS.value, Reach.LAYERS.value, Reach.MANIFESTS.value),
    ):
        part = Reach.REVISIONS if reach == Reach.MANIFESTS.value else Reach(reach)
        found[repository, part] = f"{path} {why}"
    return found


def _links(connection: sqlite3.Connection, repository: int) -> set[str]:
    found = {
        name
        for (name,) in connection.execute("SELECT name FROM revision WHERE repository = ?", (repository,))
    }
    found.update(linked(connection, repository))
    return found
