"""What the content of blobs was found to be: kept as it is hashed, so that a check can be stopped.

A check that came to its end is over: the next one begins anew. What was hashed counts as long as the blob has
the size and time that it had then.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from regfs.graph.index.ancestry import tags_above
from regfs.graph.index.findings import replace_findings
from regfs.graph.index.snapshot import Snapshot
from regfs.registry.findings import Finding, Kind
from regfs.registry.terms import Role

#: The owner of findings about content, and the key in `meta` that says that a check came to its end.
OWNER = "content"
_ENDED = "check ended"

#: What was hashed, and has not changed since.
_HASHED = """
    LEFT JOIN hashed ON hashed.digest = blob.digest
    AND hashed.size = blob.size AND hashed.stored = blob.stored
"""


class ToHash(NamedTuple):
    """A blob to hash: its digest, size and time."""

    digest: str
    size: int
    stored: int


class Hashed(NamedTuple):
    """A blob that was hashed, as it was then; `found` is its content's digest, or what is wrong instead."""

    digest: str
    size: int
    stored: int
    found: str


class BytesHashed(NamedTuple):
    """How many bytes were hashed, and of how many."""

    done: int
    total: int


def begin_check(connection: sqlite3.Connection) -> None:
    """Go on with a check, or begin one if the last one ended."""
    if connection.execute("DELETE FROM meta WHERE key = ?", (_ENDED,)).rowcount:
        connection.execute("DELETE FROM hashed")


def bytes_hashed(snapshot: Snapshot) -> BytesHashed:
    """Tell how far a check has come."""
    found = snapshot.row(
        "SELECT coalesce(sum(CASE WHEN found IS NOT NULL THEN blob.size END), 0), "
        f"coalesce(sum(blob.size), 0) FROM blob {_HASHED} WHERE blob.size IS NOT NULL"
    )
    return BytesHashed(*found)


def left_to_hash(snapshot: Snapshot) -> list[ToHash]:
    """Give what was not hashed yet; the last is the first by digest."""
    rows = snapshot.rows(
        f"SELECT blob.digest, blob.size, blob.stored FROM blob {_HASHED} "
        "WHERE blob.size IS NOT NULL AND found IS NULL ORDER BY blob.digest DESC"
    )
    return [ToHash(*row) for row in rows]


def keep_hashes(connection: sqlite3.Connection, hashed: Iterable[Hashed]) -> None:
    """Keep what was found."""
    connection.executemany("REPLACE INTO hashed VALUES (?, ?, ?, ?)", hashed)


def end_check(connection: sqlite3.Connection) -> None:
    """Note that all was hashed, and tell of what is wrong."""
    connection.execute("REPLACE INTO meta VALUES (?, TRUE)", (_ENDED,))
    note_wrong_contents(connection)


def note_wrong_contents(connection: sqlite3.Connection) -> None:
    """Find what the last check found wrong."""
    replace_findings(connection, OWNER, _wrong_contents(connection))


def _wrong_contents(connection: sqlite3.Connection) -> Iterator[Finding]:
    rows = connection.execute(
        "SELECT id, hashed.digest, found FROM hashed JOIN blob ON blob.digest = hashed.digest "
        "AND blob.size = hashed.size AND blob.stored = hashed.stored WHERE found != hashed.digest"
    ).fetchall()
    for number, digest, found in rows:
        tags = tags_above(connection, number, set(Role) - {Role.REFERRER})
        for repository, tag in tags or [("", "")]:
            yield Finding(Kind.CONTENT, repository, tag, "", digest, "content of this digest", found)
