"""What follows from the facts: made once for each state of them, by whoever writes, and marked in `meta`.

`derive` makes what nearly every question needs, with the facts themselves. A `Need` is costly, and waits for
the first question that has it; the second finds it there, and only reads.
"""

from __future__ import annotations

import enum
import sqlite3
from collections.abc import Callable, Collection, Mapping

from regfs.graph.index import collector, doubt, hashes, links, states, weights
from regfs.graph.index.findings import forget_findings
from regfs.graph.index.schema import CHANGED

#: What the keys in `meta` begin with that tell what was made for the present state of the facts.
_MADE = "made "


class Need(enum.Enum):
    """What is made when a question first needs it."""

    #: What images and repositories take.
    WEIGHTS = "weights"
    #: Blobs that a repository needs and has no link to.
    LINKS = "links"
    #: What the last check of contents found wrong.
    CONTENTS = "contents"
    #: What the registry's collector would delete.
    COLLECTIONS = "collections"


_MAKE: Mapping[Need, Callable[[sqlite3.Connection], None]] = {
    Need.WEIGHTS: weights.weigh,
    Need.LINKS: links.note_missing_links,
    Need.CONTENTS: hashes.note_wrong_contents,
    Need.COLLECTIONS: collector.keep_collections,
}

#: In this order: what is found of manifests may be a gap, a gap has doubts, and states depend on these.
_STEPS = (
    doubt.note_unread,
    states.note_gaps,
    doubt.note_doubts,
    states.note_states,
    collector.note_passed_over,
    states.note_damage,
    collector.note_what_is_lost,
)

#: The owners of findings that follow from the facts; no path is like one of them.
_OWNERS = (
    states.MANIFESTS,
    states.NO_TAGS,
    states.BLOBS,
    collector.OWNER,
    links.OWNER,
    hashes.OWNER,
)


def derive(connection: sqlite3.Connection) -> None:
    """Compute what follows from the facts anew, if they have changed since; in the caller's transaction."""
    if not connection.execute("DELETE FROM meta WHERE key = ?", (CHANGED,)).rowcount:
        return
    connection.execute("DELETE FROM meta WHERE key LIKE ?", (f"{_MADE}%",))
    forget_findings(connection, _OWNERS)
    for step in _STEPS:
        step(connection)


def provide(connection: sqlite3.Connection, needs: Collection[Need]) -> None:
    """See that what follows is there, and what is needed besides; in the caller's transaction."""
    derive(connection)
    for need in Need:
        if need in needs and not _has(connection, f"{_MADE}{need.value}"):
            _MAKE[need](connection)
            connection.execute("INSERT INTO meta VALUES (?, TRUE)", (f"{_MADE}{need.value}",))


def provided(connection: sqlite3.Connection, needs: Collection[Need]) -> bool:
    """Tell whether all of it is there."""
    return not _has(connection, CHANGED) and all(_has(connection, f"{_MADE}{need.value}") for need in needs)


def _has(connection: sqlite3.Connection, key: str) -> bool:
    return connection.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone() is not None
