"""Where the stored bytes are: each blob in exactly one place, so that the places add up to the store.

A tagged blob is one image's, if no other tagged image leads to it; else it is shared, in one repository or
between several. An untagged one is its repository's, or shared. Orphaned and unknown blobs have no place.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from regfs.graph.index.schema import State
from regfs.graph.index.snapshot import Snapshot

#: Sorts before all that may stand in a name: so what two names share from the left, all between them do.
_SLASH = "\x01"


class BytesInPlace(NamedTuple):
    """Blobs of one state that lie in one place and were stored in one month (`2026-11`, UTC).

    `image` is the digest of the only tagged image that leads to them, "" if several do or none. `above` is
    the repository that has them, or what is above all that have (`team`, or "" for the top); None where that
    is not known; `repositories` tells whether these are several.
    """

    state: State
    image: str
    above: str | None
    repositories: bool
    month: str
    number: int
    size: int


def bytes_in_places(snapshot: Snapshot) -> Iterator[BytesInPlace]:
    """Give all stored blobs, summed up by state, place and month."""
    _place(snapshot)
    rows = snapshot.connection.execute(
        f"""
        SELECT coalesce(held.state, {State.ORPHANED:d}), coalesce(image.digest, ''), first, last,
            strftime('%Y-%m', blob.stored / 1000000000, 'unixepoch'), count(*), sum(blob.size)
        FROM blob LEFT JOIN held ON held.blob = blob.id
        LEFT JOIN temp.lies ON lies.blob = blob.id LEFT JOIN blob AS image ON image.id = lies.image
        WHERE blob.size IS NOT NULL GROUP BY 1, lies.image, 3, 4, 5
        """
    )
    for state, image, first, last, month, number, size in rows:
        above = None if first is None else _common(first, last)
        yield BytesInPlace(State(state), image, above, first != last, month or "", number, size)
    _forget(snapshot)


def _common(first: str, last: str) -> str:
    """Give what is above the first and the last of some names, and so above all of them."""
    shared = []
    for one, other in zip(first.split(_SLASH), last.split(_SLASH), strict=False):
        if one != other:
            break
        shared.append(one)
    return "/".join(shared)


def _place(snapshot: Snapshot) -> None:
    """Fill `lies`: each blob that tagged images lead to, or else untagged ones.

    (CROSS JOIN: in this order. SQLite knows nothing of the tables' sizes, and would search `reached`.)
    """
    _forget(snapshot)
    run = snapshot.connection.execute
    run("CREATE TEMP TABLE root (blob INTEGER PRIMARY KEY, first TEXT, last TEXT)")
    run("CREATE TEMP TABLE lies (blob INTEGER PRIMARY KEY, image INTEGER, first TEXT, last TEXT)")
    for state, table in ((State.TAGGED, "tag"), (State.UNTAGGED, "untagged")):
        run("DELETE FROM temp.root")
        run(
            f"""
            INSERT INTO temp.root SELECT blob, min(name), max(name) FROM (
                SELECT blob, replace(repository.name, '/', '{_SLASH}') AS name
                FROM {table} JOIN repository ON repository.id = repository WHERE blob IS NOT NULL
            ) GROUP BY 1
            """
        )
        run(
            f"""
            INSERT INTO temp.lies
            WITH RECURSIVE reached (root, blob) AS (
                SELECT blob, blob FROM temp.root
                UNION
                SELECT reached.root, edge.target FROM reached JOIN edge ON edge.source = reached.blob
            )
            SELECT reached.blob, CASE WHEN count(*) = 1 AND {state:d} = {State.TAGGED:d} THEN min(root) END,
                min(first), max(last)
            FROM reached CROSS JOIN temp.root ON root.blob = reached.root
            CROSS JOIN held ON held.blob = reached.blob AND held.state = {state:d} GROUP BY 1
            """
        )


def _forget(snapshot: Snapshot) -> None:
    for table in ("root", "lies"):
        snapshot.connection.execute(f"DROP TABLE IF EXISTS temp.{table}")
