"""What is done to a layer's tree when all its entries are in the tables."""

from __future__ import annotations

import sqlite3

from regfs.layers.entry import EntryType
from regfs.layers.tree.schema import EMPTIED, IMPLIED, WHITEOUTS

#: From 0, which has the root as its one name (schema.ROOT_KEY). No node below has itself below it.
_DELETE_NAMES = """
WITH RECURSIVE reached (id) AS (
    VALUES (0)
    UNION ALL
    SELECT node FROM reached JOIN name ON parent = id
)
DELETE FROM name WHERE parent NOT IN reached
"""

#: Whiteouts, as names: from `.wh.` on, and before what follows all that begin so. An entry has its path.
_WHITEOUT = """
{0}.name >= x'2e77682e' AND {0}.name < x'2e77682f'
AND NOT EXISTS (SELECT 1 FROM directory WHERE node = {0}.node AND traits & {implied})
"""

#: The implied directories in one that has a whiteout of their names.
_HIDDEN = f"""
SELECT hidden.node
FROM directory above
JOIN name whiteout ON whiteout.parent = above.node
JOIN name hidden ON hidden.parent = above.node AND hidden.name = substr(whiteout.name, 5)
JOIN directory implied ON implied.node = hidden.node AND implied.traits & {IMPLIED}
WHERE above.traits & {WHITEOUTS} AND {_WHITEOUT.format("whiteout", implied=IMPLIED)}
"""

#: Something below a directory that is neither a whiteout nor itself implied.
_SOLID = f"""
WITH RECURSIVE below (id) AS (
    VALUES (?)
    UNION ALL
    SELECT node FROM below JOIN name ON parent = id WHERE type = {int(EntryType.DIRECTORY)}
)
SELECT 1 FROM below JOIN name member ON parent = id
WHERE NOT ({_WHITEOUT.format("member", implied=IMPLIED)})
AND NOT EXISTS (SELECT 1 FROM directory WHERE node = member.node AND traits & {IMPLIED})
LIMIT 1
"""


def sweep(connection: sqlite3.Connection) -> None:
    """Delete what no path leads to: what was below a directory that something else has replaced."""
    connection.execute(_DELETE_NAMES)
    connection.execute("DELETE FROM node WHERE id NOT IN (SELECT node FROM name)")
    connection.execute("DELETE FROM directory WHERE node NOT IN (SELECT id FROM node)")
    connection.execute("DELETE FROM xattr WHERE node NOT IN (SELECT id FROM node)")
    connection.execute("DELETE FROM extent WHERE node NOT IN (SELECT id FROM node)")


def mark_emptied(connection: sqlite3.Connection) -> None:
    """Mark the directories that are there for whiteouts alone, where another whiteout hides them all."""
    for (node,) in connection.execute(_HIDDEN).fetchall():
        if connection.execute(_SOLID, (node,)).fetchone() is None:
            connection.execute("UPDATE directory SET traits = traits | ? WHERE node = ?", (EMPTIED, node))


def count_links(connection: sqlite3.Connection) -> None:
    """Set the number of names of each node that has several."""
    counted = connection.execute("SELECT count(*), node FROM name GROUP BY node HAVING count(*) > 1")
    connection.executemany("UPDATE node SET links = ? WHERE id = ?", counted.fetchall())
