"""How two stores differ: their tags, and the blobs that one has and the other lacks."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from regfs.graph.index import State
from regfs.graph.reports.paths import Paths
from regfs.graph.reports.table import Row, Table, Type, columns


class Named(NamedTuple):
    """What a tag names in one store, and since when (ns)."""

    digest: str | None
    pushed: int


def tags(first: sqlite3.Connection, second: sqlite3.Connection) -> Table:
    """List the tags that the second store has and the first has not (added), lacks, or names differently."""
    return Table(
        columns(
            "change", "repository", "tag", "first", "second", pushed_first=Type.TIME, pushed_second=Type.TIME
        ),
        list(_tags(_names(first), _names(second))),
    )


def _names(connection: sqlite3.Connection) -> dict[tuple[str, str], Named]:
    return {
        (repository, tag): Named(digest, pushed)
        for repository, tag, digest, pushed in connection.execute(
            "SELECT repository.name, tag.name, digest, pushed FROM tag "
            "JOIN repository ON repository.id = repository LEFT JOIN blob ON blob.id = blob"
        )
    }


def _tags(first: dict[tuple[str, str], Named], second: dict[tuple[str, str], Named]) -> Iterator[Row]:
    for name in sorted(first.keys() | second.keys()):
        one, other = first.get(name), second.get(name)
        if one is None and other is not None:
            yield "added", *name, None, other.digest, None, other.pushed
        elif other is None and one is not None:
            yield "removed", *name, one.digest, None, one.pushed, None
        elif one is not None and other is not None and one.digest != other.digest:
            yield "moved", *name, one.digest, other.digest, one.pushed, other.pushed


def blobs(first: sqlite3.Connection, second: sqlite3.Connection) -> Table:
    """List the blobs that tags of the first store need, and the second lacks or has with another size."""
    return Table(
        columns("digest", size=Type.SIZE, second=Type.SIZE, example=Type.TEXT), list(_blobs(first, second))
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
            yield digest, size, there and there[0], paths.example(number)
