"""Which tags lead to a blob: the way up the edges, from a blob to what holds it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from regfs.registry.terms import Role

_TAGS_ABOVE = """
    WITH RECURSIVE up (blob) AS (
        VALUES (?) UNION
        SELECT edge.source FROM up JOIN edge ON edge.target = up.blob AND edge.role IN ({roles})
    )
    SELECT repository.name, tag.name FROM up JOIN tag ON tag.blob = up.blob
    JOIN repository ON repository.id = tag.repository
"""


def tags_above(
    connection: sqlite3.Connection, blob: int, roles: Iterable[Role] = (Role.CHILD,)
) -> list[tuple[str, str]]:
    """Give the repository and name of each tag that leads to a blob by edges of these roles alone."""
    statement = _TAGS_ABOVE.format(roles=", ".join(f"{role:d}" for role in roles))
    return connection.execute(statement, (blob,)).fetchall()
