"""How two stores differ: their tags, and the blobs that one has and the other lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from regfs.graph.index import State
from regfs.graph.index.doubt import gaps, unread
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.table import Row, Table, Type, columns
from regfs.registry import layout


class Named(NamedTuple):
    """What a tag names in one store, and since when (ns)."""

    digest: str | None
    pushed: int | None


def tags(first: sqlite3.Connection, second: sqlite3.Connection) -> Table:
    """List the tags that the second store has and the first has not (added), lacks, or names differently."""
    return Table(
        columns(
            "change", "repository", "tag", "first", "second", pushed_first=Type.TIME, pushed_second=Type.TIME
        ),
        list(_tags(first, second)),
    )


def _names(connection: sqlite3.Connection) -> dict[tuple[str, str], Named]:
    return {
        (repository, tag): Named(digest, pushed)
        for repository, tag, digest, pushed in connection.execute(
            "SELECT repository.name, tag.name, digest, pushed FROM tag "
            "JOIN repository ON repository.id = repository LEFT JOIN blob ON blob.id = blob"
        )
    }


def _tags(first: sqlite3.Connection, second: sqlite3.Connection) -> Iterator[Row]:
    ours, theirs = _names(first), _names(second)
    for name in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(name), theirs.get(name)
        if one is None and other is not None:
            change = "unknown" if _may_hold(first, *name) else "added"
            yield change, *name, None, other.digest, None, other.pushed
        elif other is None and one is not None:
            change = "unknown" if _may_hold(second, *name) else "removed"
            yield change, *name, one.digest, None, one.pushed, None
        elif one is not None and other is not None and one.digest != other.digest:
            unread = any(
                side.digest is None and _may_hold(store, *name)
                for side, store in ((one, first), (other, second))
            )
            change = "unknown" if unread else "moved"
            yield change, *name, one.digest, other.digest, one.pushed, other.pushed


def _may_hold(connection: sqlite3.Connection, repository: str, tag: str) -> bool:
    """Tell whether a tag may stand, or name something, where that store could not be read."""
    path = layout.tag_link(repository, tag)
    return any(
        f"{path}/".startswith(f"{gap.path}/") or gap.path.startswith("../") for gap in gaps(connection)
    )


def blobs(first: sqlite3.Connection, second: sqlite3.Connection) -> Table:
    """List the blobs that tags of the first store need, and the second lacks or has with another size.

    Or of which that cannot be told, for the second could not be read there.
    """
    return Table(
        columns("digest", size=Type.SIZE, second=Type.SIZE, there=Type.TEXT, example=Type.TEXT),
        list(_blobs(first, second)),
    )


def _blobs(first: sqlite3.Connection, second: sqlite3.Connection) -> Iterator[Row]:
    paths = Paths(first)
    for number, digest, size in first.execute(
        "SELECT id, digest, size FROM blob JOIN held ON held.blob = id "
        "WHERE size IS NOT NULL AND state = ? ORDER BY digest",
        (State.TAGGED,),
    ).fetchall():
        there = second.execute("SELECT size FROM blob WHERE digest = ?", (digest,)).fetchone()
        if there is None or there[0] != size:
            found = there and there[0]
            said = "other size" if found is not None else "not read" if unread(second, digest) else "missing"
            yield digest, size, found, said, paths.example(number)
