"""What the index knows of single units, with what tells whether they have changed since.

A mount asks this for each directory that somebody looks into, so an answer never waits: where there is no
index, or it cannot be read just now, nothing is known. What is given was so when the index was last brought
up to date; whether it still is, the caller sees by the stamps, which come along. Safe for many threads.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple, Protocol, TypeVar

from regfs.graph.index.keeper import decode
from regfs.graph.index.read_connections import IndexFile, connect
from regfs.graph.index.schema import WHEN
from regfs.graph.outline import Named, Outline, Seen
from regfs.oci import Digest
from regfs.registry import layout
from regfs.registry.terms import Mark, Role

T = TypeVar("T")

#: KiB of memory for SQLite's pages: a walk comes by each of them a few times in a row, and no more.
_PAGES = 256

#: Bytes of a file that the kernel is asked to read ahead.
_FETCHED = 64 << 20

#: Makes a named tuple in half the time that its own constructor takes; a walk makes one for each name.
_new = tuple.__new__

_CHILD = int(Role.CHILD)

#: Seconds for which the same file is believed to be the one in use.
_LOOK_EVERY = 1.0


class NamesKnown(NamedTuple):
    """A directory among the repositories: its stamp and that of its tags' directory, 0 where not known."""

    stamp: int
    tags_stamp: int
    marks: Mark
    nested: list[str]
    tags: list[str]


class TagKnown(NamedTuple):
    """A tag's link: its stamp, when it was pushed (ns), and the digest that it held."""

    name: str
    stamp: int
    pushed: int
    digest: Digest


class Files(Protocol):
    """Where the index lies."""

    @property
    def in_use(self) -> IndexFile | None:
        """The file that all processes use; None if there is none."""


class Known:
    """The questions, over the index that `files` has at the moment, by one connection for all.

    `version` grows when the index says something else: what was told under another may have changed.
    """

    def __init__(self, files: Files, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._file: IndexFile | None = None
        self._connection: sqlite3.Connection | None = None
        self._when: object = None
        self._look_again = float("-inf")
        self.version = 0

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._disconnect()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, ask: Callable[[sqlite3.Connection], T], nothing: T) -> T:
        """Ask by the connection; `nothing` is known where it cannot be. After an error, it is another one."""
        with self._lock:
            self._see_file()
            if self._connection is None:
                return nothing
            try:
                return ask(self._connection)
            except sqlite3.Error:
                self._disconnect()
                return nothing

    def _rows(self, query: str, *values: str | int) -> list[Any]:
        return self._ask(lambda connection: connection.execute(query, values).fetchall(), [])

    def _see_file(self) -> None:
        """Connect to the file in use, if it is another one, or was not to be had the last time."""
        now = self._clock()
        if now < self._look_again:
            return
        self._look_again = now + _LOOK_EVERY
        file = self._files.in_use
        if file != self._file or self._connection is None:
            self._disconnect()
            self._file = file
            self._connection = connect(file, _PAGES) if file else None
            if file and self._connection is not None:
                _fetch(file)
            self.version += 1

    def _note(self, when: object) -> int:
        """Give the version of an answer, by when the index last changed."""
        if when != self._when:
            self._when = when
            self.version += 1
        return self.version

    def shards(self, algorithm: str, prefix: str = "") -> tuple[dict[str, int], int]:
        """Give the stamps of an algorithm's shards, or of one, by prefix (0: not known); and the version."""
        first, last = layout.shard(algorithm, prefix), layout.shard(algorithm, prefix or "g")  # no hex digit
        rows = self._rows(_SHARDS, first, last)
        stamps = {path.rpartition("/")[2]: stamp for path, stamp, _ in rows}
        return stamps, self._note(rows[0][2]) if rows else self.version

    def names(self, name: str) -> NamesKnown | None:
        """Tell what is in a directory among the repositories ("" is the top)."""
        return self._ask(lambda connection: _names(connection, name), None)

    def tags(self, repository: str, first: str, last: str) -> list[TagKnown]:
        """Tell what tags named, from one to another in their order: those that are known to hold a digest."""
        between = repository, first, last
        rows = self._rows(_TAGS, *between) + self._rows(_KEPT_TAGS, *between)  # what a mount kept is newer
        tags = {
            name: _new(TagKnown, (name, stamp, pushed, _digest(text))) for name, stamp, pushed, text in rows
        }
        return list(tags.values())

    def tags_behind(self, repository: str, count: int) -> list[tuple[str, str]]:
        """Give the tags of the repositories whose names are behind one, in their order, `count` at most."""
        return self._rows(_TAGS_BEHIND, repository, count)

    def outline(self, digest: Digest) -> Outline | None:
        """Tell what a manifest names, with the blobs as they are stored; None if it was never read."""
        rows = self._rows(_OUTLINE, str(digest))
        if not rows:
            kept = self._rows(_KEPT, str(digest))
            return decode(kept[0][0]) if kept else None
        when, kind, media_type, size, blocks, mtime_ns = rows[0][:6]
        version = self._note(when)
        seen = _new(Seen, (size, blocks, mtime_ns, version))
        itself = _new(Named, (_CHILD, 0, digest, size, media_type, "", "", False, "", seen))
        return Outline.of_parts(itself, kind, [_named(row, version) for row in rows if row[6] is not None])


def _fetch(file: IndexFile) -> None:
    """Have the kernel read the file in one go: a walk asks for all of it, in small pieces out of order."""
    with suppress(OSError), file.path.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, _FETCHED, os.POSIX_FADV_WILLNEED)


_SHARDS = (
    f"SELECT path, stamp, (SELECT value FROM meta WHERE key = '{WHEN}') FROM place WHERE path BETWEEN ? AND ?"
)

_TAGS = (
    "SELECT tag.name, stamp, pushed, digest FROM repository JOIN tag ON repository = repository.id "
    "JOIN blob ON blob.id = tag.blob WHERE repository.name = ? AND tag.name BETWEEN ? AND ? AND stamp"
)

_TAGS_BEHIND = (
    "SELECT repository.name, tag.name FROM repository JOIN tag ON repository = repository.id "
    "WHERE repository.name > ? ORDER BY repository.name, tag.name LIMIT ?"
)

_KEPT_TAGS = "SELECT tag, stamp, pushed, digest FROM kept_link WHERE repository = ? AND tag BETWEEN ? AND ?"
_KEPT = "SELECT outline FROM kept_manifest WHERE digest = ?"

_OUTLINE = f"""
    SELECT (SELECT value FROM meta WHERE key = '{WHEN}'), manifest.kind, manifest.media_type,
        image.size, image.blocks, image.stored,
        role, position, blob.digest, edge.size, edge.media_type, platform, elsewhere, title, machine,
        blob.size, blob.blocks, blob.stored
    FROM blob AS image CROSS JOIN manifest ON manifest.blob = image.id
    LEFT JOIN edge ON edge.source = image.id AND role <= {Role.CHILD:d}
    LEFT JOIN blob ON blob.id = edge.target
    WHERE image.digest = ? AND image.size IS NOT NULL AND kind IS NOT NULL
"""

#: The names right below one: between the two values, and with no slash behind it.
_NESTED = "SELECT name FROM repository WHERE name > ? AND name < ? AND instr(substr(name, ?), '/') = 0"


def _digest(text: str) -> Digest:
    """Give a digest that was checked before it was written."""
    algorithm, _, encoded = text.partition(":")
    return Digest(algorithm, encoded)


def _named(row: tuple[Any, ...], version: int) -> Named:
    _, _, _, _, _, _, role, position, text, size, media_type, platform, elsewhere, title, machine = row[:15]
    stored, blocks, when = row[15:]
    sound = stored is not None and (size is None or size == stored)
    seen = _new(Seen, (stored, blocks, when, version)) if sound else None
    digest = _digest(text)
    return _new(
        Named, (role, position, digest, size, media_type, platform, machine, elsewhere == 1, title, seen)
    )


def _names(connection: sqlite3.Connection, name: str) -> NamesKnown | None:
    connection.execute("BEGIN")
    try:
        marks = Mark.NOTHING
        number = None
        if name:
            row = connection.execute("SELECT id, marks FROM repository WHERE name = ?", (name,)).fetchone()
            if row is None:
                return None
            number, marks = row[0], Mark(row[1])
        stamps = dict(
            connection.execute(
                "SELECT path, stamp FROM place WHERE path IN (?, ?)",
                (layout.repository(name), layout.tags(name)),
            )
        )
        stamp, tags_stamp = (stamps.get(path, 0) for path in (layout.repository(name), layout.tags(name)))
        if not stamp or (Mark.MANIFESTS in marks and not tags_stamp):
            return None
        start = f"{name}/" if name else ""
        bounds = (start, f"{name}0" if name else "\U0010ffff", len(start) + 1)
        nested = [found[len(start) :] for (found,) in connection.execute(_NESTED, bounds)]
        tags = connection.execute("SELECT name FROM tag WHERE repository = ? ORDER BY name", (number,))
        return NamesKnown(stamp, tags_stamp, marks, nested, [tag for (tag,) in tags])
    finally:
        connection.execute("COMMIT")
